//! The spine: from a document to calls, state, and back to nothing, on the embedded AWS in virtual time.
#![allow(clippy::print_stdout, reason = "a test shows what happened")]

mod common;

use common::{Cloud, PART_A, Process, operations};
use msk_pipeline_core::plan::Action;
use msk_pipeline_emulator::Settings;

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

/// Events and journal bytes of one seed are the same in two simulated processes.
#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let cloud = Cloud::new(Settings { seed: 11, variance: 0.3, ..Settings::default() });
            let process = Process::simple(&cloud);
            process.apply(PART_A).await.unwrap();
            let events = serde_json::to_string(&*process.events.0.lock().unwrap()).unwrap();
            (events, cloud.disk.files())
        })
    };
    let (first, second) = (trace(), trace());
    assert!(first.0 == second.0, "the events differ");
    assert!(first.1 == second.1, "the files differ");
}
