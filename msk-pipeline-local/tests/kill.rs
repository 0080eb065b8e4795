//! The kill loop on the embedded AWS: a run is killed at every point there is, and the next one has to come to the same end.
//!
//! The process is really dropped at its point; what the points are stands at `common::mortal`. With state in S3 nothing on this machine
//! outlives a kill; of that loop every fifth point is tried, and all of them with `MSKP_KILL_POINTS=all`.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "a test shows what it counted")]

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::mortal::{Points, Store, Verb, run};
use common::outside::{canonical, difference};
use common::{Cloud, PART_A};
use msk_pipeline_emulator::Settings;

fn prepared(store: Store, before: &[(Verb, &str)]) -> Cloud {
    let mut cloud = store.world(Settings::default());
    for (verb, toml) in before {
        let summary = run(&mut cloud, store, &Points::kill_at(0), *verb, toml).unwrap().unwrap();
        assert!(summary.is_complete(), "{summary:?}");
    }
    cloud
}

fn kill_everywhere(title: &str, before: &[(Verb, &str)], verb: Verb, toml: &str) {
    kill_at_each(title, Store::File, 1, before, verb, toml);
}

/// Kills at every `stride`th point.
fn kill_at_each(
    title: &str,
    store: Store,
    stride: usize,
    before: &[(Verb, &str)],
    verb: Verb,
    toml: &str,
) {
    let base = prepared(store, before);
    let mut undisturbed = base.fork();
    let points = Points::kill_at(0);
    let summary = run(&mut undisturbed, store, &points, verb, toml).unwrap().unwrap();
    assert!(summary.is_complete(), "{summary:?}");
    let counted = points.counted.load(Ordering::Relaxed);
    let expected = canonical(&undisturbed, store);

    let next = AtomicUsize::new(1);
    let tried = counted.div_ceil(stride);
    let killed = AtomicUsize::new(0);
    let problems = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let fatal = next.fetch_add(stride, Ordering::Relaxed);
                    if fatal > counted {
                        break;
                    }
                    let at = format!("{title}, killed at {fatal} of {counted}");
                    let mut cloud = base.fork();
                    if run(&mut cloud, store, &Points::kill_at(fatal), verb, toml).is_none() {
                        killed.fetch_add(1, Ordering::Relaxed);
                    }
                    let again = run(&mut cloud, store, &Points::kill_at(0), verb, toml);
                    match again.expect("nobody kills the second run") {
                        Ok(summary) if summary.is_complete() => {}
                        other => {
                            problems.lock().unwrap().push(format!("{at}: {other:?}"));
                            continue;
                        }
                    }
                    let differs = difference(&canonical(&cloud, store), &expected);
                    problems.lock().unwrap().extend(differs.map(|d| format!("{at}: {d}")));
                }
            });
        }
    });
    let killed = killed.into_inner();
    println!("{title}: counted {counted}, tried {tried}, killed {killed}");
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!(killed, tried, "{title}");
}

fn edited() -> String {
    PART_A
        .replace("[kafka.main]", "[kafka.main]\nbrokers = { count = 6 }\nconfig = { \"log.retention.hours\" = 48 }\nlogs = { retention = \"14d\" }")
        .replace("region = ", "tags = { Team = \"data\" }\nregion = ")
}

#[test]
fn create_survives_every_kill() {
    kill_everywhere("create", &[], Verb::Apply, PART_A);
}

#[test]
fn create_survives_kills_that_leave_nothing_on_this_machine() {
    let all = std::env::var("MSKP_KILL_POINTS").is_ok_and(|v| v == "all");
    let stride = if all { 1 } else { 5 };
    kill_at_each("create, state in S3", Store::S3, stride, &[], Verb::Apply, PART_A);
}

#[test]
fn update_survives_every_kill() {
    kill_everywhere("update", &[(Verb::Apply, PART_A)], Verb::Apply, &edited());
}

#[test]
fn destroy_survives_every_kill() {
    kill_everywhere("destroy", &[(Verb::Apply, PART_A)], Verb::Destroy, PART_A);
}
