//! The master's and the capture user's passwords exist in the embedded AWS's secret store and nowhere else: not in what the binary
//! prints, in any format and at any log level, and not in any file that it writes.

#![cfg(unix)]
#![allow(clippy::print_stdout, reason = "shown by `cargo test -- --nocapture`")]

mod common;
#[path = "../../msk-pipeline-local/tests/common/spellings.rs"]
#[allow(unreachable_pub, reason = "a module of other tests, too")]
mod spellings;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::{command, connector_file, with_connector};
use serde_json::Value;
use spellings::{found, spellings};
use tempfile::TempDir;

/// What changes the form of output. Variables that other programs log by are set for every run.
const FORMATS: [&str; 6] = ["", "-v", "-vv", "--json", "--json -v", "--json -vv"];

/// A folder with a pipeline, and all that the binary told there.
struct Place {
    folder: TempDir,
    /// Command line and stream, and what was written to it.
    told: Vec<(String, Vec<u8>)>,
}

impl Place {
    fn new() -> Self {
        let folder = with_connector();
        Self { folder, told: Vec::new() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&mut self, args: &str, code: i32) -> Vec<u8> {
        let mut command = command(self.path(), args);
        for name in ["RUST_LOG", "MSKP_LOG", "AWS_LOG", "SMITHY_LOG"] {
            command.env(name, "trace");
        }
        let output = command.env("RUST_BACKTRACE", "full").output().expect("runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args}\n{text}");
        self.told.push((format!("stdout of {args}"), output.stdout.clone()));
        self.told.push((format!("stderr of {args}"), output.stderr));
        output.stdout
    }

    /// Every command that shows something, in one format.
    fn look(&mut self, format: &str) {
        let saved = format!("saved{}.json", format.replace(' ', ""));
        let all = [
            "validate",
            "schema",
            "graph --format dot",
            "graph --format mermaid",
            "graph --format json",
            "plan",
            "plan --destroy",
            "status",
            "output",
            "state list",
            "local inventory",
            &format!("plan --out {saved}"),
        ];
        for command in all {
            self.run(&format!("--local {format} {command}"), 0);
        }
        // A simulated connector is never verified.
        for command in ["verify", "verify --canary", "status --check"] {
            self.run(&format!("--local {format} {command}"), 1);
        }
        self.run(&format!("--local {format} connector logs orders"), 0);
        let listed = self.run("--local --json state list", 0);
        let listed: Value = serde_json::from_slice(&listed).expect("JSON");
        for address in addresses(&listed) {
            self.run(&format!("--local {format} state show {address}"), 0);
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let (mut files, mut folders) = (Vec::new(), vec![self.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let entry = entry.expect("an entry");
                let list = if entry.file_type().expect("a type").is_dir() {
                    &mut folders
                } else {
                    &mut files
                };
                list.push(entry.path());
            }
        }
        files
    }

    /// The file of the embedded AWS, which has the secret store in it.
    fn world(&self) -> PathBuf {
        let mut worlds = self.files().into_iter().filter(|file| file.ends_with("world.json"));
        worlds.next().expect("a world")
    }

    fn secrets(&self) -> BTreeSet<String> {
        let world: Value =
            serde_json::from_slice(&fs::read(self.world()).expect("read")).expect("JSON");
        let secrets: BTreeSet<_> =
            spellings::secrets(&world["world"]["state"]).into_iter().collect();
        assert_eq!(secrets.len(), 2, "the master's and the capture user's");
        assert!(secrets.iter().all(|secret| secret.len() >= 16), "recognisable");
        secrets
    }

    /// Where one of `secrets` is found, in what was told and in every file; of the world's file, in all but the secret store.
    fn search(&self, secrets: &BTreeSet<String>) -> Vec<String> {
        let spelled: Vec<_> = secrets.iter().flat_map(|secret| spellings(secret)).collect();
        let told = self.told.iter().filter(|(_, bytes)| found(&spelled, bytes));
        let mut places: Vec<String> = told.map(|(place, _)| place.clone()).collect();
        let world = self.world();
        for file in self.files() {
            let mut bytes = fs::read(&file).expect("read");
            if file == world {
                assert!(found(&spelled, &bytes), "the search finds what is there");
                let mut value: Value = serde_json::from_slice(&bytes).expect("JSON");
                let state = value["world"]["state"].as_object_mut().expect("a state");
                state.remove("secretsmanager").expect("the secret store");
                bytes = serde_json::to_vec(&value).expect("JSON");
            }
            if found(&spelled, &bytes) {
                let place = file.strip_prefix(self.path()).expect("in the folder");
                places.push(place.display().to_string());
            }
        }
        places
    }
}

/// Every text of a document that is an address.
fn addresses(listed: &Value) -> Vec<String> {
    match listed {
        Value::Object(map) => {
            let own = map.get("address").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(map.values().flat_map(addresses)).collect()
        }
        Value::Array(items) => items.iter().flat_map(addresses).collect(),
        _ => Vec::new(),
    }
}

/// From nothing to nothing, with an edit; `formats` are those of the three runs.
fn nowhere(formats: [&str; 3]) {
    let mut place = Place::new();
    let [apply, edit, destroy] = formats;
    place.run(&format!("--local {apply} apply --auto-approve"), 0);
    let secrets = place.secrets();
    for format in FORMATS {
        place.look(format);
    }
    assert_eq!(place.search(&secrets), [""; 0]);
    let edited = connector_file().replace("[network]", "tags = { Team = \"data\" }\n[network]");
    fs::write(place.path().join("pipeline.toml"), edited).expect("written");
    place.run(&format!("--local {edit} plan --out edit.json --detailed-exitcode"), 2);
    place.run(&format!("--local {edit} apply edit.json --auto-approve"), 0);
    assert_eq!(place.secrets(), secrets);
    assert_eq!(place.search(&secrets), [""; 0]);
    place.run(&format!("--local {destroy} plan --destroy"), 0);
    // The world's store is emptied by the destroy: what is searched for is known from before.
    let world = fs::read(place.world()).expect("read");
    place.run(&format!("--local {destroy} destroy --auto-approve"), 0);
    fs::write(place.world(), world).expect("written");
    assert_eq!(place.search(&secrets), [""; 0]);
    let files = place.files().len();
    println!("{} outputs and {files} files searched for {}", place.told.len(), secrets.len());
}

#[test]
fn no_secret_is_told_or_written() {
    nowhere(["-vv", "--json -vv", "-v"]);
}

#[test]
fn no_secret_is_told_or_written_in_json() {
    nowhere(["--json -vv", "", "--json"]);
}

/// The search itself: a secret that somebody puts into the file is found wherever that goes.
#[test]
fn a_secret_in_the_file_is_found_wherever_it_goes() {
    let mut place = Place::new();
    place.run("--local apply --auto-approve", 0);
    let secrets = place.secrets();
    assert_eq!(place.search(&secrets), [""; 0]);

    // In each way of writing it, in a file like any other.
    for secret in &secrets {
        for spelling in spellings(secret) {
            let leak = place.path().join(".msk-pipeline/leak");
            fs::write(&leak, [b"{\"password\":\"", spelling.as_slice(), b"\"}"].concat())
                .expect("written");
            assert_eq!(place.search(&secrets), [".msk-pipeline/leak"]);
            fs::remove_file(leak).expect("removed");
        }
    }

    let secret = secrets.first().expect("one");
    let quoted = serde_json::to_string(secret).expect("a text");
    let config = format!("config = {{ \"errors.leak\" = {quoted} }}\n");
    fs::write(place.path().join("pipeline.toml"), connector_file() + &config).expect("written");
    for format in FORMATS {
        place.run(&format!("--local {format} plan --out leak.json"), 0);
    }
    place.run("--local --json -vv apply --auto-approve", 0);
    place.run("--local --json state show connector.orders.connector", 0);
    let places = place.search(&secrets);
    for expected in [
        "stdout of --local -v plan --out leak.json",
        "stdout of --local --json plan --out leak.json",
        "stdout of --local --json -vv apply --auto-approve",
        "stdout of --local --json state show connector.orders.connector",
        "leak.json",
        ".msk-pipeline/orders/local/state.json",
        "pipeline.toml",
    ] {
        assert!(places.iter().any(|place| place == expected), "{expected} is not in {places:#?}");
    }
}
