//! The spine: from a document to calls, state, and back to nothing, on the embedded AWS in virtual time.
#![allow(clippy::print_stdout, reason = "a test shows what happened")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod common;

use std::process::Command;
use std::sync::{Arc, Mutex};

use common::{Cloud, PART_A, Process, operations};
use msk_pipeline_core::plan::Action;
use msk_pipeline_emulator::Settings;
use msk_pipeline_emulator::shell::{Call, Moment, Next};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const WHOLE: &str = include_str!("../../examples/mysql-cdc.toml");

#[tokio::test(start_paused = true)]
async fn apply_plans_nothing_more_and_destroy_leaves_nothing() {
    let cloud = Cloud::new(Settings::default());
    let process = Process::simple(&cloud);
    let plan = process.plan(PART_A).await;
    assert_eq!(plan.refusals, []);
    assert_eq!(plan.stages(), ["security-groups", "kafka"]);
    assert_eq!(
        operations(&plan),
        [
            "kafka.main.logs logs:CreateLogGroup",
            "kafka.main.logs logs:PutRetentionPolicy",
            "kafka.main.configuration kafka:CreateConfiguration",
            "kafka.main.group ec2:CreateSecurityGroup",
            "kafka.main.rules ec2:AuthorizeSecurityGroupIngress",
            "kafka.main.rules ec2:AuthorizeSecurityGroupEgress",
            // EC2's default rules; the second only in a VPC with IPv6.
            "kafka.main.rules ec2:RevokeSecurityGroupEgress",
            "kafka.main.rules ec2:RevokeSecurityGroupEgress",
            "kafka.main.cluster kafka:CreateCluster",
        ]
    );
    assert!(cloud.disk.files().is_empty(), "planning writes nothing");
    let start = tokio::time::Instant::now();
    let summary = process.apply(PART_A).await.unwrap();
    assert!(summary.is_complete(), "{summary:?}");
    let (critical, took) = (18.0 * 60.0, start.elapsed().as_secs_f64());
    assert!(took <= critical * 1.02 + 5.0, "{took} s of virtual time");
    let again = process.plan(PART_A).await;
    assert!(again.steps.iter().all(|s| s.action == Action::NoOp), "{:?}", operations(&again));
    let summary = process.destroy(PART_A).await.unwrap();
    assert!(summary.is_complete(), "{summary:?}");
    assert!(process.engine.state().await.unwrap().records.is_empty());
}

/// Everything that can be seen of one seed: requests with their time, events, files, and the world at the end.
fn trace(seed: u64) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let cloud = Cloud::new(Settings { seed, variance: 0.3, ..Settings::default() });
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&requests);
        cloud.world.observe(Arc::new(move |moment: Moment, call: &Call<'_>| {
            if moment == Moment::Before {
                // The SDK writes the members of a map in any order, another one each time.
                // What isn't text is a plugin's archive.
                let body = match serde_json::from_slice::<Value>(&call.request.body) {
                    Ok(value) => value.to_string(),
                    Err(_) => String::from_utf8_lossy(&call.request.body).into_owned(),
                };
                let path = &call.request.path;
                let line =
                    format!("{} {} {} {path} {body}", call.now, call.service, call.operation);
                log.lock().unwrap().push(line);
            }
            Next::Go
        }));
        let process = Process::simple(&cloud).of(WHOLE);
        assert!(process.apply(WHOLE).await.unwrap().is_complete());
        assert!(process.destroy(WHOLE).await.unwrap().is_complete());
        let requests = requests.lock().unwrap().join("\n");
        let events = process.events.0.lock().unwrap();
        let events: Vec<_> = events.iter().map(|e| serde_json::to_string(e).unwrap()).collect();
        let files = cloud.disk.files().into_iter();
        let files: String = files
            .map(|(p, b)| format!("{}\n{}\n", p.display(), String::from_utf8_lossy(&b)))
            .collect();
        let world = cloud.world.with(|world| serde_json::to_string_pretty(world).unwrap());
        [requests, events.join("\n"), files, world].join("\n---\n")
    })
}

/// Fails with the first line in which two traces differ.
#[track_caller]
fn same(one: &str, other: &str) {
    let differ = one.lines().zip(other.lines()).enumerate().find(|(_, (a, b))| a != b);
    if let Some((n, (a, b))) = differ {
        panic!("line {n}:\n{a}\n{b}");
    }
    assert_eq!(one.len(), other.len());
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    same(&trace(11), &trace(11));
}

/// The seed that a process of its own is to trace, and the file that it writes the trace to.
const TRACED: [&str; 2] = ["MSK_PIPELINE_TEST_SEED", "MSK_PIPELINE_TEST_TRACE"];

/// Not a test: what [`in_another_process`] runs there.
#[test]
#[ignore = "run by the_same_seed_gives_the_same_trace_in_another_process, in processes of its own"]
fn write_a_trace() {
    let [seed, file] = TRACED.map(|name| std::env::var(name).expect("set by the parent"));
    std::fs::write(file, trace(seed.parse().unwrap())).unwrap();
}

/// The trace of a seed, from another process than this one.
fn in_another_process(seed: u64) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace");
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "write_a_trace", "--ignored"]);
    process.env(TRACED[0], seed.to_string()).env(TRACED[1], &file);
    let output = process.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_trace_in_another_process() {
    let (first, second) = (in_another_process(11), in_another_process(11));
    same(&first, &second);
    same(&first, &trace(11));
    let hash = Sha256::digest(&first);
    println!("seed 11: {} lines, {hash:02x?}", first.lines().count());
    assert!(first.lines().count() > 1_000, "there is something to compare");
    assert_ne!(first, in_another_process(12), "another seed is another course of events");
}
