//! The binary is killed (`kill -9`) at random moments of creates and destroys, with state in a folder and with state in S3 and nothing
//! but the embedded AWS left on the machine. What was begun is always brought to its end, and the end is what was declared.
//!
//! Six kills a store, or as many as `MSKP_KILLS` says. Where they strike is chance: `msk-pipeline-local` has every point there is.

#![cfg(unix)]
#![allow(clippy::print_stdout, reason = "shown by `cargo test -- --nocapture`")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{SMALL, command, expect, with_file, with_state};
use serde_json::Value;

/// The longest that a run is left alone before it is killed, and a little longer than a create takes.
const PATIENCE_MS: u64 = 12_000;

/// What exists, without the objects that state itself consists of.
fn inventory(folder: &Path) -> BTreeSet<String> {
    let output = expect(folder, "--local --json local inventory", 0);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = document["inventory"].as_array().expect("rows").iter();
    rows.map(|row| format!("{} {} {}", row["service"], row["kind"], row["id"])).collect()
}

/// Everything that this machine has of the pipeline, but for the embedded AWS.
fn forget(folder: &Path) {
    for entry in fs::read_dir(folder.join(".msk-pipeline")).expect("read").flatten() {
        if entry.file_name() != "world" {
            fs::remove_dir_all(entry.path()).expect("removed");
        }
    }
}

/// A run that is killed at a random moment. False if it was quicker.
fn killed(folder: &Path, verb: &str) -> bool {
    let mut run = command(folder, &format!("--local {verb} --auto-approve"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    // Early moments more often: that is when most is begun.
    let draw = RandomState::new().hash_one(Instant::now()) % PATIENCE_MS;
    let until = Instant::now() + Duration::from_millis(draw * draw / PATIENCE_MS);
    while Instant::now() < until {
        if run.try_wait().expect("asked").is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill().expect("SIGKILL");
    run.wait().expect("dead").code().is_none()
}

fn kills(state: Option<&str>, forgets: bool) {
    let wanted = std::env::var("MSKP_KILLS").map_or(6, |n| n.parse::<u32>().expect("a number"));
    let folder = with_file(&state.map_or_else(|| SMALL.to_owned(), with_state));
    let folder = folder.path();
    expect(folder, "--local state init", 0);
    expect(folder, "--local apply --auto-approve", 0);
    expect(folder, "--local destroy --auto-approve", 0);
    let before = inventory(folder);
    let (mut count, mut rounds) = (0, 0);
    while count < wanted {
        rounds += 1;
        for verb in ["apply", "destroy"] {
            // Two or three kills a direction, each in what the one before left.
            for _ in 0..3 {
                if count < wanted && killed(folder, verb) {
                    count += 1;
                }
                if forgets {
                    forget(folder);
                }
            }
            expect(folder, &format!("--local {verb} --auto-approve"), 0);
            let argument = if verb == "apply" { "" } else { " --destroy" };
            expect(folder, &format!("--local plan --detailed-exitcode{argument}"), 0);
        }
        assert_eq!(inventory(folder), before, "after round {rounds}");
    }
    println!("{count} kills in {rounds} rounds of create and destroy");
    assert_eq!(count, wanted);
}

#[test]
fn kills_are_survived_with_state_in_a_folder() {
    kills(None, false);
}

#[test]
fn kills_are_survived_with_state_in_s3_and_nothing_left_here() {
    kills(Some("s3://acme-state/team"), true);
}
