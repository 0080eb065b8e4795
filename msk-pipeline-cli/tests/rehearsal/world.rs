//! The binary in a folder of its own, the programs that it started, and their end.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use msk_pipeline_local::{LocalWorld, Settings};
use serde_json::Value;

/// Whether real programs are wanted here; that they are left out is said.
pub(crate) fn wanted() -> bool {
    let wanted = std::env::var_os("MSKP_REAL").is_some_and(|v| v == "1");
    if !wanted {
        println!(
            "left out: set MSKP_REAL=1; it needs the Debian packages default-jre-headless, mariadb-server and postgresql, and a Maven repository once"
        );
    }
    wanted
}

/// An example, and what its database speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Example {
    pub(crate) file: &'static str,
    /// The schema of its tables.
    pub(crate) schema: &'static str,
    /// The option of the database's client before a statement.
    pub(crate) execute: &'static str,
    /// What an INSERT ends with that may come twice.
    pub(crate) or_nothing: &'static str,
}

pub(crate) const MYSQL: Example = Example {
    file: "mysql-cdc.toml",
    schema: "shop",
    execute: "--execute",
    or_nothing: "ON DUPLICATE KEY UPDATE note = note",
};

#[allow(dead_code, reason = "the bench has one database")]
pub(crate) const POSTGRES: Example = Example {
    file: "postgres-cdc.toml",
    schema: "sales",
    execute: "--command",
    or_nothing: "ON CONFLICT DO NOTHING",
};

/// A folder with a pipeline. What runs behind it ends with this.
pub(crate) struct World {
    folder: tempfile::TempDir,
    binary: PathBuf,
    pub(crate) example: Example,
}

impl World {
    /// An example, edited.
    pub(crate) fn new(example: Example, edits: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // A build during these minutes must not change what is tested.
        let binary = folder.path().join("msk-pipeline");
        fs::copy(env!("CARGO_BIN_EXE_msk-pipeline"), &binary).expect("copied");
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let copy = |from: &str, to: &str| {
            fs::copy(examples.join(from), folder.path().join(to)).expect("copied");
        };
        copy(example.file, "pipeline.toml");
        copy("msk-pipeline.lock", "msk-pipeline.lock");
        let world = Self { folder, binary, example };
        for (from, to) in edits {
            world.edit(from, to);
        }
        world
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(&self.binary);
        let ours = |name: &str| {
            (name.starts_with("MSKP_") && name != "MSKP_CACHE") || name.starts_with("AWS_")
        };
        for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        if !args.starts_with("local ") {
            command.args(["--local", "--real"]);
        }
        command.env_remove("CI").current_dir(self.folder.path()).stdin(Stdio::null());
        command.args(args.split_whitespace());
        command
    }

    /// Runs; answers with the exit code and all that was said.
    pub(crate) fn run(&self, args: &str) -> (i32, String) {
        let output = self.command(args).output().expect("runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }

    /// Runs, and checks the exit code and that nothing real is called simulated.
    #[track_caller]
    pub(crate) fn expect(&self, args: &str, code: i32) {
        let (found, text) = self.run(args);
        assert_eq!(found, code, "{args}\n{text}");
        let marked = |line: &&str| line.ends_with("SIMULATED");
        assert_eq!(text.lines().find(marked), None, "{args}");
    }

    /// Kills a run, and with it the server if its pid is given, as soon as it has said something.
    pub(crate) fn kill_during(&self, args: &str, said: &str, server: Option<i32>) {
        let mut child = self.command(args).stderr(Stdio::piped()).spawn().expect("starts");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut seen = String::new();
        for line in lines {
            let line = line.expect("text");
            seen += &format!("{line}\n");
            if line.contains("Z ") && line.contains(said) {
                if let Some(server) = server {
                    signal(server, "-KILL");
                }
                child.kill().expect("killed");
                child.wait().expect("ended");
                return;
            }
        }
        let status = child.wait().expect("ended");
        panic!("{args} ended ({status}) before {said}:\n{seen}");
    }

    pub(crate) fn edit(&self, from: &str, to: &str) {
        let file = self.folder.path().join("pipeline.toml");
        let text = fs::read_to_string(&file).expect("read");
        assert!(text.contains(from), "{from}");
        fs::write(&file, text.replace(from, to)).expect("written");
    }

    /// Sets the one key of the connector's own configuration, in the file.
    pub(crate) fn set_connector_key(&self, key: &str, value: u32) {
        let file = self.folder.path().join("pipeline.toml");
        let text = fs::read_to_string(&file).expect("read");
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("config = ")).collect();
        // The connector's section is the file's last.
        let text = format!("{}\nconfig = {{ \"{key}\" = {value} }}\n", kept.join("\n"));
        fs::write(&file, text).expect("written");
    }

    fn status(&self) -> Value {
        let output = self.command("local status --json").output().expect("runs");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Who serves.
    pub(crate) fn server(&self) -> i32 {
        let status = self.status();
        let pid = status["pid"].as_i64().unwrap_or_else(|| panic!("nobody serves: {status}"));
        i32::try_from(pid).expect("a pid")
    }

    pub(crate) fn programs(&self) -> usize {
        self.status()["programs"].as_array().expect("a list").len()
    }

    /// Who serves, and the programs.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let status = self.status();
        let programs = status["programs"].as_array().expect("a list").iter().map(|p| &p["pid"]);
        let all = programs.chain([&status["pid"]]).filter_map(Value::as_i64);
        all.map(|pid| i32::try_from(pid).expect("a pid")).collect()
    }

    /// The folder of the embedded AWS.
    fn place(&self) -> PathBuf {
        self.folder.path().join(".msk-pipeline/world/aws-111111111111-us-east-1")
    }

    /// The folder of its programs.
    pub(crate) fn plane(&self) -> PathBuf {
        self.place().join("plane")
    }

    pub(crate) async fn capture_password(&self) -> String {
        let local = LocalWorld::open(&self.place(), Settings::new("us-east-1")).await;
        let client = local.expect("the world").session.secretsmanager;
        let answer = client.get_secret_value().secret_id("orders/orders/capture").send().await;
        let text = answer.expect("there").secret_string().expect("text").to_owned();
        let value: Value = serde_json::from_str(&text).expect("JSON");
        value["password"].as_str().expect("text").to_owned()
    }

    /// How a database is spoken to, as `local status` says it.
    pub(crate) fn client(&self) -> Command {
        let (_, text) = self.run("local status");
        let line = text.lines().find_map(|line| line.strip_prefix("sql      "));
        let mut command = Command::new("sh");
        let line = line.unwrap_or_else(|| panic!("no database runs:\n{text}"));
        command.args(["-c", line]).current_dir(self.folder.path());
        command
    }

    pub(crate) fn sql(&self, statements: &str) {
        let mut child = self.client().stdin(Stdio::piped()).spawn().expect("starts");
        child.stdin.take().expect("piped").write_all(statements.as_bytes()).expect("written");
        assert!(child.wait().expect("ends").success(), "{statements}");
    }

    /// Files below the plane's folder that hold a text.
    pub(crate) fn files_with(&self, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        search(&self.plane(), text.as_bytes(), &mut found);
        found
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.place().join("serve.log")).unwrap_or_default();
            println!("what the server said:\n{log}");
        }
        let _ = self.command("local stop").output();
    }
}

fn search(folder: &Path, text: &[u8], found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_symlink() {
            continue; // a jar
        }
        if path.is_dir() {
            search(&path, text, found);
        } else if fs::read(&path).expect("read").windows(text.len()).any(|w| w == text) {
            found.push(path.display().to_string());
        }
    }
}

fn signal(pid: i32, name: &str) {
    let status = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(status.expect("kill runs").success());
}

/// Whether a process runs, and is no zombie.
pub(crate) fn lives(pid: i32) -> bool {
    msk_pipeline_real::process::resident(pid).is_some()
}
