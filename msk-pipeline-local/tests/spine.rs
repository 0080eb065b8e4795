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
    let before = cloud.world.with(|w| w.state.clone());
    let plan = process.plan(PART_A).await;
    assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
    println!("{}", operations(&plan).join("\n"));
    let start = tokio::time::Instant::now();
    let summary = process.apply(PART_A).await.unwrap();
    println!("{summary:?} in {:?}", start.elapsed());
    for event in process.events.0.lock().unwrap().iter() {
        println!("{}", serde_json::to_string(event).unwrap().chars().take(300).collect::<String>());
    }
    assert!(summary.is_complete(), "{summary:?}");
    let again = process.plan(PART_A).await;
    assert!(again.steps.iter().all(|s| s.action == Action::NoOp), "{:?}", operations(&again));
    let summary = process.destroy(PART_A).await.unwrap();
    assert!(summary.is_complete(), "{summary:?}");
    assert!(process.engine.state().await.unwrap().records.is_empty());
    let _ = before;
}
