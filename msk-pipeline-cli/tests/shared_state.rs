//! The binary with state in S3 on the embedded AWS: its commands, runs that contend, a run that is stopped past its lease.
//!
//! Four processes contend, or as many as `MSKP_CONTENDERS` says.

#![cfg(unix)]
#![allow(clippy::print_stdout, reason = "shown by `cargo test -- --nocapture`")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{command, err, expect, out, with_file, with_state};
use serde_json::Value;

/// The pipeline with its state in a bucket.
fn file() -> String {
    with_state("s3://acme-state/team")
}

/// A folder with the file, and a bucket for state in its embedded AWS.
fn prepared() -> tempfile::TempDir {
    let folder = with_file(&file());
    expect(folder.path(), "--local state init", 0);
    folder
}

/// Slows the embedded AWS down, so that a lease of ninety seconds lasts a second and a half here: a loaded machine may keep a
/// process waiting for a good part of one.
fn slowed(folder: &Path) {
    let mut child = command(folder, "local serve --port 0 --time-scale 60")
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped"));
    let mut seen = String::new();
    while !seen.contains("Ctrl-C ends it") {
        assert!(lines.read_line(&mut seen).expect("a line") > 0, "it ended:\n{seen}");
    }
    signal(&child, "-INT");
    assert!(child.wait().expect("ends").success());
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
}

fn clusters(folder: &Path) -> usize {
    let output = expect(folder, "--local --json local inventory", 0);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = document["inventory"].as_array().expect("rows");
    rows.iter().filter(|r| r["service"] == "kafka" && r["kind"] == "cluster").count()
}

fn events(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn named<'a>(events: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |e| e["event"] == name)
}

#[test]
fn a_bucket_is_made_and_said_to_be_missing_before() {
    let folder = with_file(&file());
    let folder = folder.path();
    let text = err(&expect(folder, "--local apply --auto-approve", 1));
    assert!(text.contains("state init"), "{text}");
    let text = err(&expect(folder, "--local state init", 0));
    assert!(text.contains("s3:CreateBucket") && text.contains("s3:PutBucketPolicy"), "{text}");
    let text = err(&expect(folder, "--local state init", 0));
    assert!(!text.contains("s3:Put"), "the second time nothing is done:\n{text}");
    fs::write(folder.join("pipeline.toml"), file().replace("s3://acme", "gs://acme"))
        .expect("written");
    let text = err(&expect(folder, "--local state list", 3));
    assert!(text.contains("s3://bucket/prefix"), "{text}");
}

#[test]
fn state_is_pulled_pushed_and_edited() {
    let folder = prepared();
    let folder = folder.path();
    expect(folder, "--local apply --auto-approve", 0);
    let kept: Vec<_> =
        fs::read_dir(folder.join(".msk-pipeline")).expect("read").flatten().collect();
    assert_eq!(kept.len(), 1, "nothing but the world is kept here: {kept:?}");
    let pulled = out(&expect(folder, "--local state pull", 0));
    fs::write(folder.join("state.json"), &pulled).expect("written");
    let pulled: Value = serde_json::from_str(&pulled).expect("JSON");

    let text = err(&expect(folder, "--local state rm kafka.main.logs", 0));
    assert!(text.contains("stays in AWS: aws.cloudwatch.log-group"), "{text}");
    assert!(!out(&expect(folder, "--local state list", 0)).contains("kafka.main.logs"));
    let text = err(&expect(folder, "--local state push state.json", 3));
    assert!(text.contains("it is older"), "{text}");
    let change = |name: &str, value: Value| {
        let mut state = pulled.clone();
        state["serial"] = 1000.into();
        state[name] = value;
        fs::write(folder.join("other.json"), state.to_string()).expect("written");
    };
    change("lineage", "other".into());
    let text = err(&expect(folder, "--local state push other.json", 3));
    assert!(text.contains("another lineage"), "{text}");
    change("pipeline", "other".into());
    let text = err(&expect(folder, "--local state push other.json", 3));
    assert!(text.contains("it is the state of pipeline other"), "{text}");
    change("serial", 1000.into());
    expect(folder, "--local state push other.json", 0);
    assert!(out(&expect(folder, "--local state list", 0)).contains("kafka.main.logs"));
    expect(folder, "--local plan --detailed-exitcode", 0);

    expect(folder, "--local state mv kafka.main.logs kafka.main.other", 0);
    assert!(out(&expect(folder, "--local state list", 0)).contains("kafka.main.other"));
    expect(folder, "--local state mv kafka.main.logs kafka.main.other", 3);
    expect(folder, "--local state mv kafka.main.other kafka.main.logs", 0);
    // A run goes on from the edited state.
    expect(folder, "--local destroy --auto-approve", 0);
    assert_eq!(clusters(folder), 0);
}

#[test]
fn contenders_run_one_at_a_time() {
    let count = std::env::var("MSKP_CONTENDERS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let folder = prepared();
    let folder = folder.path();
    slowed(folder);
    let children: Vec<Child> = (0..count)
        .map(|n| {
            let patience = if n % 2 == 0 { " --lock-timeout 400h" } else { "" };
            command(folder, &format!("--local --json apply --auto-approve{patience}"))
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("starts")
        })
        .collect();
    let pids: BTreeSet<u32> = children.iter().map(Child::id).collect();
    // Each is read to its end beside the others: a full pipe would hold its writer up.
    let readers: Vec<_> = children
        .into_iter()
        .map(|child| {
            let pid = child.id();
            (pid, std::thread::spawn(move || child.wait_with_output().expect("ends")))
        })
        .collect();
    let (mut exits, mut calls, mut makers) = (BTreeMap::new(), Vec::new(), 0);
    for (n, (pid, reader)) in readers.into_iter().enumerate() {
        let output = reader.join().expect("no panic");
        let code = output.status.code().expect("it exits");
        *exits.entry(code).or_insert(0) += 1;
        let events = events(&out(&output));
        match code {
            0 => {}
            5 => {
                // Whoever waits ends in success, unless it had begun and lost its lease.
                let text = err(&output);
                assert!(n % 2 == 1 || text.contains("lost its lease"), "{text}");
                let holder = pids.iter().find(|p| text.contains(&format!("process {p}")));
                assert!(holder.is_some_and(|p| *p != pid), "it names who holds it:\n{text}");
            }
            other => panic!("exit {other}:\n{}{}", out(&output), err(&output)),
        }
        makers +=
            named(&events, "call_started").filter(|e| e["op"] == "kafka:CreateCluster").count();
        let at: Vec<_> = named(&events, "call_started")
            .map(|e| e["at"].as_str().expect("a time").to_owned())
            .collect();
        if let (Some(first), Some(last)) = (at.first(), at.last()) {
            calls.push((first.clone(), last.clone()));
        }
    }
    calls.sort();
    println!("{count} contenders: exits {exits:?}, {} of them sent calls", calls.len());
    assert!(exits.get(&0).is_some_and(|n| *n >= 1), "{exits:?}");
    assert_eq!(makers, 1, "one cluster is created, once");
    for pair in calls.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "one run at a time: {calls:?}");
    }
    assert_eq!(clusters(folder), 1);
    expect(folder, "--local plan --detailed-exitcode", 0);
    let text = err(&expect(folder, "--local state lock show", 0));
    assert!(text.contains("Nobody holds the state"), "{text}");
}

#[test]
fn a_run_that_is_stopped_past_its_lease_sends_no_further_call() {
    let folder = prepared();
    let folder = folder.path();
    slowed(folder);
    let mut first = command(folder, "--local --json apply --auto-approve")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(first.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.contains(r#""waiting""#) {
        line.clear();
        assert!(lines.read_line(&mut line).expect("a line") > 0, "it ended");
    }
    let shown = out(&expect(folder, "--local state lock show", 0));
    assert!(shown.contains(&format!("process {} (apply)", first.id())), "{shown}");
    stop_outside_of_the_world(folder, &first);

    // No flag: a holder that does not renew is waited for until its lease ends.
    let second = expect(folder, "--local --json apply --auto-approve", 0);
    let told = events(&out(&second));
    let from = named(&told, "took_over").next().expect("it says so");
    assert!(from["from"]["who"].to_string().contains(&format!("process {}", first.id())), "{from}");

    signal(&first, "-CONT");
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("read");
    let mut said = String::new();
    first.stderr.take().expect("piped").read_to_string(&mut said).expect("read");
    assert_eq!(first.wait().expect("ends").code(), Some(5), "{rest}{said}");
    assert!(said.contains("lost its lease"), "{said}");
    let late: Vec<_> = events(&rest);
    assert_eq!(named(&late, "call_started").count(), 0, "{rest}");
    assert_eq!(clusters(folder), 1);
    expect(folder, "--local plan --detailed-exitcode", 0);
}

#[test]
fn a_lock_is_taken_away_by_hand() {
    let folder = prepared();
    let folder = folder.path();
    slowed(folder);
    let mut first = command(folder, "--local --json apply --auto-approve")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(first.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.contains(r#""waiting""#) {
        line.clear();
        assert!(lines.read_line(&mut line).expect("a line") > 0, "it ended");
    }
    let text = err(&expect(folder, "--local state lock release", 0));
    assert!(
        text.contains("Taken from") && text.contains(&format!("process {}", first.id())),
        "{text}"
    );
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("read");
    let mut said = String::new();
    first.stderr.take().expect("piped").read_to_string(&mut said).expect("read");
    assert_eq!(first.wait().expect("ends").code(), Some(5), "{rest}{said}");
    assert!(said.contains("state lock release"), "{said}");
    expect(folder, "--local apply --auto-approve", 0);
    assert_eq!(clusters(folder), 1);
}

/// Stops a process at a moment at which it does not hold the embedded AWS, which would hold up everybody; AWS itself has no such lock.
fn stop_outside_of_the_world(folder: &Path, child: &Child) {
    let world = fs::read_dir(folder.join(".msk-pipeline/world")).expect("a world");
    let lock = world.flatten().next().expect("one").path().join("world.lock");
    for _ in 0..100 {
        signal(child, "-STOP");
        std::thread::sleep(Duration::from_millis(100));
        if File::open(&lock).expect("there").try_lock().is_ok() {
            return;
        }
        signal(child, "-CONT");
        std::thread::sleep(Duration::from_millis(7));
    }
    panic!("it always holds the world");
}
