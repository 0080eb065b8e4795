//! The whole pipeline on the embedded AWS in virtual time: the examples from nothing to nothing, edits in place, changes by others,
//! the critical path, and secrets.

mod common;

use std::collections::BTreeSet;

use common::{Cloud, Process, operations};
use msk_pipeline_core::plan::{Action, Plan};
use msk_pipeline_emulator::Settings;
use msk_pipeline_emulator::services::SERVICES;

const MYSQL_CDC: &str = include_str!("../../examples/mysql-cdc.toml");
const MINIMAL: &str = include_str!("../../examples/minimal.toml");
const SEED_PARITY: &str = include_str!("../../examples/seed-parity.toml");

/// What exists, as `service kind id`.
fn inventory(cloud: &Cloud, process: &Process) -> BTreeSet<String> {
    let now = process.clock.wall().0;
    let rows = cloud.world.with(|world| {
        let all = SERVICES.iter().flat_map(|service| {
            let rows = (service.inventory)(world, now);
            rows.into_iter().map(|(kind, id, _)| format!("{} {kind} {id}", service.name))
        });
        all.collect()
    });
    rows
}

#[track_caller]
fn assert_nothing(plan: &Plan, when: &str) {
    assert!(plan.refusals.is_empty(), "{when}: {:?}", plan.refusals);
    let steps: Vec<_> = plan.steps.iter().filter(|s| s.action != Action::NoOp).collect();
    assert!(steps.is_empty(), "{when}: {steps:#?}");
}

async fn there_and_back(toml: &str, snapshots: usize) {
    let cloud = Cloud::new(Settings::default());
    let process = Process::simple(&cloud).of(toml);
    let before = inventory(&cloud, &process);
    let summary = process.apply(toml).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
    for _ in 0..2 {
        assert_nothing(&process.plan(toml).await, "after apply");
    }
    let summary = process.destroy(toml).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
    assert!(process.engine.state().await.unwrap().records.is_empty());
    let after = inventory(&cloud, &process);
    assert!(before.is_subset(&after), "{:?}", before.difference(&after).collect::<Vec<_>>());
    let left: Vec<&String> = after.difference(&before).collect();
    assert_eq!(left.len(), snapshots, "{left:?}");
    // What is left was told beforehand, by name.
    let events = serde_json::to_string(&*process.events.0.lock().unwrap()).unwrap();
    for row in left {
        assert!(row.starts_with("rds ") && row.contains("snapshot"), "{row}");
        let name = row.rsplit(' ').next().unwrap();
        assert!(events.contains(name), "{name} was not announced");
    }
}

#[tokio::test(start_paused = true)]
async fn mysql_cdc_goes_there_and_back() {
    there_and_back(MYSQL_CDC, 1).await;
}

#[tokio::test(start_paused = true)]
async fn minimal_goes_there_and_back() {
    there_and_back(MINIMAL, 1).await;
}

#[tokio::test(start_paused = true)]
async fn seed_parity_goes_there_and_back() {
    there_and_back(SEED_PARITY, 0).await;
}
