//! Runs of the binary on the embedded AWS: signals, saved plans, locks, exit codes.

#![cfg(unix)]
#![allow(clippy::print_stdout, reason = "shown by `cargo test -- --nocapture`")]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{SMALL, command, err, expect, out, with_file};
use serde_json::Value;

/// A run that is under way, up to a line with `until`, and its stderr from there.
fn begin(folder: &Path, args: &str, until: &str) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = command(folder, args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped"));
    let mut seen = String::new();
    while !seen.contains(until) {
        let read = lines.read_line(&mut seen).expect("a line");
        assert!(read > 0, "it ended before {until}:\n{seen}");
    }
    (child, lines)
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
}

/// What `local inventory` lists: kind and id, without the state.
fn inventory(folder: &Path) -> Vec<String> {
    let output = expect(folder, "--local --json local inventory", 0);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = document["inventory"].as_array().expect("rows");
    rows.iter().map(|r| format!("{} {} {}", r["service"], r["kind"], r["id"])).collect()
}

fn clusters(folder: &Path) -> usize {
    inventory(folder).iter().filter(|row| row.starts_with("\"kafka\" \"cluster\"")).count()
}

#[test]
fn a_signal_leaves_what_goes_on_and_the_next_run_continues() {
    for (name, twice) in [("-INT", false), ("-TERM", false), ("-INT", true)] {
        let folder = with_file(SMALL);
        let folder = folder.path();
        let before = inventory(folder);
        let (mut child, mut lines) =
            begin(folder, "--local apply --auto-approve", "waits for cluster");
        let asked = Instant::now();
        signal(&child, name);
        if twice {
            signal(&child, name);
        }
        let mut rest = String::new();
        lines.read_to_string(&mut rest).expect("read");
        let status = child.wait().expect("ends");
        assert_eq!(status.code(), Some(130), "{name}\n{rest}");
        assert!(asked.elapsed() < Duration::from_secs(8), "{name}: {:?}", asked.elapsed());
        assert!(
            rest.contains("this continues: msk-pipeline --local apply --auto-approve"),
            "{name}\n{rest}"
        );
        if !twice {
            assert!(rest.contains("goes on in the embedded AWS"), "{name}\n{rest}");
            assert!(rest.contains("kafka.main.cluster: "), "{name}\n{rest}");
        }
        expect(folder, "--local apply --auto-approve", 0);
        assert_eq!(clusters(folder), 1, "{name}");
        expect(folder, "--local plan --detailed-exitcode", 0);
        if !twice {
            continue;
        }
        expect(folder, "--local destroy --auto-approve", 0);
        assert_eq!(inventory(folder), before);
    }
}

#[test]
fn a_saved_plan_is_carried_out_once_and_only_as_it_was_shown() {
    let folder = with_file(SMALL);
    let folder = folder.path();
    expect(folder, "--local plan --out one.json", 0);
    expect(folder, "--local apply one.json --auto-approve", 0);
    let text = err(&expect(folder, "--local apply one.json --auto-approve", 3));
    assert!(text.contains("carried out already"), "{text}");

    let edit = |what: &str| {
        let with = format!("{SMALL}brokers = {{ storage_gib = {what} }}\n");
        fs::write(folder.join("pipeline.toml"), with).expect("written");
    };
    edit("200");
    expect(folder, "--local plan --out two.json --detailed-exitcode", 2);
    let two = folder.join("two.json");
    let edited = fs::read_to_string(&two).expect("read").replace("200", "900");
    fs::write(folder.join("edited.json"), edited).expect("written");
    let text = err(&expect(folder, "--local apply edited.json --auto-approve", 3));
    assert!(text.contains("it was edited"), "{text}");
    expect(folder, "--local apply --auto-approve", 0);
    let text = err(&expect(folder, "--local apply two.json --auto-approve", 3));
    assert!(text.contains("another run has changed the state since"), "{text}");

    // The other direction, whose consent isn't in the file.
    expect(folder, "--local plan --destroy --out three.json", 0);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(folder.join("three.json")).expect("there").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let text = err(&expect(folder, "--local apply three.json --auto-approve", 6));
    let flag = "--allow-data-loss kafka.main.cluster";
    assert!(text.contains(&format!("apply three.json --auto-approve {flag}")), "{text}");
    expect(folder, &format!("--local apply three.json --auto-approve {flag}"), 0);
    assert_eq!(clusters(folder), 0);
}

/// Every file below a folder, but what lies in the user's cache.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = vec![folder.to_owned()];
    while let Some(path) = next.pop() {
        for entry in fs::read_dir(path).expect("a folder").flatten() {
            let path = entry.path();
            if path.ends_with("cache") {
                continue;
            }
            found.push(path.strip_prefix(folder).expect("below").display().to_string());
            if path.is_dir() {
                next.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn planning_writes_nothing_beside_the_file() {
    let connector = "[database.db]\n[connector.c]\nsource = \"db\"\ntables = [\"shop.orders\"]\n";
    let plugin = "plugin = { file = \"plugin.zip\" }\n";
    let folder = with_file(&format!("{SMALL}{connector}{plugin}"));
    let folder = folder.path();
    // What can't be packed is told before anything is begun, by every command.
    for verb in ["validate", "plan", "status", "apply --auto-approve", "destroy --auto-approve"] {
        let code = if verb == "validate" { 0 } else { 3 };
        let text = err(&expect(folder, &format!("--local {verb}"), code));
        assert!(code == 0 || text.contains("plugin.zip"), "{verb}: {text}");
        assert_eq!(files(folder), ["pipeline.toml"], "{verb}");
    }
    fs::write(folder.join("pipeline.toml"), SMALL).expect("written");
    let plan = out(&expect(folder, "--local plan", 0));
    assert!(plan.contains("kafka.main.cluster"), "{plan}");
    expect(folder, "--local status", 0);
    expect(folder, "--local validate", 0);
    assert_eq!(files(folder), ["pipeline.toml"]);
}

#[test]
fn a_kept_database_is_named_where_it_is_forgotten_and_taken_back() {
    let folder =
        with_file(&SMALL.replace("[kafka.main]", "[database.orders]\non_destroy = \"keep\"\n"));
    let folder = folder.path();
    expect(folder, "--local apply --auto-approve", 0);
    let before = inventory(folder);
    let plan = out(&expect(folder, "--local plan --destroy", 0));
    for kept in ["capture-secret", "cluster", "writer", "group", "rules", "subnets"] {
        assert!(plan.contains(&format!("= keep and forget database.orders.{kept}")), "{plan}");
    }
    let output = expect(folder, "--local --json destroy --auto-approve", 0);
    let stream = out(&output);
    let mut events = stream.lines().map(|l| serde_json::from_str::<Value>(l).expect("JSON"));
    let planned = events.rfind(|e| e["event"] == "planned").expect("a plan");
    let kept = planned["kept"].as_array().expect("a list");
    let cluster = kept.iter().find(|k| k["address"] == "database.orders.cluster").expect("kept");
    assert_eq!(cluster["name"], "orders-orders");
    assert_eq!(inventory(folder), before);
    let text = out(&expect(folder, "--local state list", 0));
    assert!(!text.contains("database."), "{text}");
    // The same state takes it back, without a change.
    let text = err(&expect(folder, "--local plan --detailed-exitcode", 0));
    assert!(text.contains("--local apply notes that in the state"), "{text}");
    expect(folder, "--local apply --auto-approve", 0);
    let text = err(&expect(folder, "--local plan", 0));
    assert!(text.contains("Nothing to do"), "{text}");
    assert_eq!(inventory(folder), before);
}

#[test]
fn status_tells_the_state_of_every_object() {
    let folder = with_file(SMALL);
    let folder = folder.path();
    expect(folder, "--local apply --auto-approve", 0);
    let text = out(&expect(folder, "--local status", 0));
    assert!(text.contains("  ACTIVE       kafka.main.cluster"), "{text}");
    assert!(text.contains("  exists       kafka.main.group"), "{text}");
    assert!(text.lines().skip(2).all(|line| line.ends_with("SIMULATED")), "{text}");
    // What the file asks for is told beside the state, and does not hide it.
    let edited = format!("{SMALL}brokers = {{ count = 6 }}\n[kafka.second]\n");
    fs::write(folder.join("pipeline.toml"), edited).expect("written");
    let output = expect(folder, "--local --json status", 0);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let row = |address: &str| {
        let all = document["resources"].as_array().expect("rows").iter();
        all.clone().find(|r| r["address"] == address).expect(address).clone()
    };
    let cluster = row("kafka.main.cluster");
    assert_eq!(
        (&cluster["status"], &cluster["declared"]),
        (&"ACTIVE".into(), &"to be changed".into())
    );
    assert_eq!(cluster["drift"], Value::Array(Vec::new()));
    let second = row("kafka.second.cluster");
    assert_eq!((&second["status"], &second["declared"]), (&"-".into(), &"to be created".into()));
    let text = out(&expect(folder, "--local status", 0));
    assert!(text.contains("to be changed by the next apply: kafka:UpdateBrokerCount"), "{text}");
}

#[test]
fn one_run_at_a_time() {
    let folder = with_file(SMALL);
    let folder = folder.path();
    let (mut first, lines) = begin(folder, "--local apply --auto-approve", "waits for cluster");
    let text = err(&expect(folder, "--local apply --auto-approve", 5));
    assert!(text.contains(&format!("process {}", first.id())), "{text}");
    assert!(text.contains("--lock-timeout"), "{text}");
    // A run that can't have the lock ends its stream like any other.
    let output = expect(folder, "--local --json apply --auto-approve", 5);
    let events: Vec<Value> =
        out(&output).lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let kinds: Vec<_> = events.iter().map(|e| e["event"].as_str().unwrap_or_default()).collect();
    assert_eq!(kinds, ["started", "finished", "result"]);
    assert!(events[1]["error"].as_str().is_some_and(|e| e.contains("process")), "{}", events[1]);
    assert!(events[0]["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{}", events[0]);
    assert_eq!(events[2]["exit"], 5);
    let text = err(&expect(folder, "--local apply --auto-approve --lock-timeout 2h", 0));
    assert!(text.contains("No changes"), "{text}");
    assert!(!text.contains("\n\n\n"), "two blank lines:\n{text}");
    drop(lines);
    assert_eq!(first.wait().expect("ends").code(), Some(0));
    assert_eq!(clusters(folder), 1);
}

#[test]
fn the_reason_that_weighs_most_gives_the_exit_code() {
    let folder = with_file(SMALL);
    let folder = folder.path();
    let plain = expect(folder, "--local plan --detailed-exitcode", 2);
    assert!(out(&plain).contains("kafka.main.cluster"));
    expect(folder, "--local plan", 0);
    expect(folder, "--local apply", 4);
    expect(folder, "--local apply --auto-approve", 0);
    // Destroying without consent names the flag, gates or not.
    let text = err(&expect(folder, "--local destroy", 6));
    assert!(text.contains("--allow-data-loss kafka.main.cluster"), "{text}");
    // Renaming is another cluster, and the data of this one.
    let renamed = SMALL.replace("kafka.main", "kafka.other");
    fs::write(folder.join("pipeline.toml"), &renamed).expect("written");
    let text = err(&expect(folder, "--local apply --auto-approve", 6));
    assert!(text.contains("--allow-data-loss kafka.main.cluster"), "{text}");
    // An account that isn't reached, and state of another.
    let other = SMALL.replace("[network]", "account = \"222222222222\"\n[network]");
    fs::write(folder.join("pipeline.toml"), &other).expect("written");
    let text = err(&expect(folder, "--local apply --auto-approve", 3));
    assert!(text.contains("222222222222") && text.contains("111111111111"), "{text}");
    assert_eq!(clusters_of(folder), 1);
}

/// The clusters of the world that the first file named.
fn clusters_of(folder: &Path) -> usize {
    fs::write(folder.join("pipeline.toml"), SMALL).expect("written");
    clusters(folder)
}

#[test]
fn serving_ends_with_a_true_word() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut child, mut lines) = begin(folder.path(), "local serve --port 0", "Ctrl-C ends it");
    signal(&child, "-INT");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("read");
    assert_eq!(child.wait().expect("ends").code(), Some(0), "{rest}");
    assert!(rest.contains("the world stays") && !rest.contains("no new call"), "{rest}");
}

/// The promise is 100 ms; the bound is generous, because tests run beside each other in a debug build.
#[test]
fn something_is_said_at_once() {
    let folder = with_file(SMALL);
    let first = (0..5)
        .map(|_| {
            let began = Instant::now();
            let (mut child, lines) = begin(folder.path(), "--local plan", "Planning");
            let first = began.elapsed();
            drop(lines);
            let _ = child.wait();
            first
        })
        .min()
        .expect("some");
    assert!(first < Duration::from_millis(500), "{first:?}");
    println!("first output after {first:?}");
}

/// The state of the only pipeline in a folder is lost; the lineage that it had.
fn lose_state(folder: &Path) -> String {
    let output = expect(folder, "--local --json state list", 0);
    let listed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    fs::remove_dir_all(folder.join(".msk-pipeline/orders")).expect("removed");
    listed["lineage"].as_str().expect("a lineage").to_owned()
}

#[test]
fn somebody_elses_object_is_adopted_by_name_and_with_consent() {
    let folder = with_file(SMALL);
    let folder = folder.path();
    expect(folder, "--local apply --auto-approve", 0);
    let before = inventory(folder);
    let lineage = lose_state(folder);
    let command = format!("adopt kafka.main.logs --from-lineage {lineage}");
    let text = err(&expect(folder, "--local apply --auto-approve", 1));
    assert!(text.contains(&command), "{text}");

    expect(folder, "--local adopt kafka.main.nothing --auto-approve", 3);
    let text = err(&expect(folder, "--local adopt kafka.main.logs --auto-approve", 1));
    assert!(text.contains("belongs to another state") && text.contains(&command), "{text}");
    let other = "adopt kafka.main.logs --from-lineage lineage-of-nobody --auto-approve";
    let text = err(&expect(folder, &format!("--local {other}"), 1));
    assert!(text.contains(&lineage), "{text}");
    let named = |id: &str| {
        format!("--local adopt kafka.main.logs {id} --from-lineage {lineage} --auto-approve")
    };
    let text = err(&expect(folder, &named("/aws/msk/another"), 1));
    assert!(text.contains("not `/aws/msk/another`"), "{text}");
    // The cluster needs what isn't ours yet.
    let early = format!("--local adopt kafka.main.cluster --from-lineage {lineage} --auto-approve");
    let text = err(&expect(folder, &early, 1));
    assert!(text.contains("which is not ready"), "{text}");
    assert_eq!(out(&expect(folder, "--local state list", 0)), "", "nothing is recorded");

    // Without consent the plan is shown, and nothing is done.
    let text = err(&expect(folder, &format!("--local {command}"), 4));
    assert!(text.contains("~ take over kafka.main.logs"), "{text}");
    assert!(text.contains("1 to take over") && text.contains("TagResource"), "{text}");
    assert!(text.contains(&format!("Next: msk-pipeline --local {command}")), "{text}");
    assert_eq!(out(&expect(folder, "--local state list", 0)), "", "nothing is recorded");

    let arn = out(&expect(folder, "--local --json local inventory", 0));
    let arn = arn.split('"').find(|s| s.contains("/msk/orders")).map(str::to_owned);
    let arn = arn.unwrap_or_else(|| panic!("a log group"));
    let text = err(&expect(folder, &named(&arn), 0));
    assert!(text.contains("1 taken over"), "{text}");
    let listed = out(&expect(folder, "--local state list", 0));
    assert!(listed.contains("kafka.main.logs") && listed.lines().count() == 1, "{listed}");
    // It is ours now: a second time changes nothing, and an apply does not name it any more.
    for again in ["adopt kafka.main.logs", &command] {
        let text = err(&expect(folder, &format!("--local {again}"), 0));
        assert!(text.contains("No changes"), "{text}");
    }
    let text = err(&expect(folder, "--local apply --auto-approve", 1));
    assert!(
        !text.contains("adopt kafka.main.logs") && text.contains("adopt kafka.main."),
        "{text}"
    );
    assert_eq!(inventory(folder), before);

    let text = err(&expect(folder, "--local destroy --auto-approve", 0));
    assert!(text.contains("1 deleted"), "only what was taken over: {text}");
}

#[test]
fn a_lost_state_is_made_again_from_marks() {
    let folder = with_file(SMALL);
    let folder = folder.path();
    let text = err(&expect(folder, "--local state rebuild --auto-approve", 1));
    assert!(text.contains("no object carries a mark"), "{text}");
    expect(folder, "--local apply --auto-approve", 0);
    let text = err(&expect(folder, "--local state rebuild --auto-approve", 3));
    assert!(text.contains("recorded already"), "{text}");
    let listed = out(&expect(folder, "--local state list", 0));
    let before = inventory(folder);
    let lineage = lose_state(folder);

    let asked = expect(folder, "--local state rebuild", 4);
    assert!(out(&asked).contains("kafka.main.cluster        aws.kafka.cluster"), "{}", out(&asked));
    assert_eq!(out(&expect(folder, "--local state list", 0)), "", "nothing is recorded");
    let asked = expect(folder, "--local --json state rebuild", 4);
    let asked: Value = serde_json::from_slice(&asked.stdout).expect("one document");
    assert_eq!(asked["recorded"], false);
    assert_eq!(asked["lineage"], lineage);
    let found = asked["found"].as_array().expect("a list");
    assert_eq!(found.len(), listed.lines().count());

    let text = err(&expect(folder, "--local state rebuild --auto-approve", 0));
    assert!(text.contains(&lineage), "{text}");
    assert_eq!(out(&expect(folder, "--local state list", 0)), listed);
    let planned = out(&expect(folder, "--local plan --detailed-exitcode", 0));
    assert!(planned.contains("No changes") && !planned.contains("noted"), "{planned}");
    assert_eq!(inventory(folder), before);
    expect(folder, "--local apply --auto-approve", 0);
    expect(folder, "--local destroy --auto-approve", 0);
    assert_eq!(out(&expect(folder, "--local state list", 0)), "");
}
