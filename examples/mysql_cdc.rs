//! The recommended pipeline through the library: declared, planned, applied, planned again and destroyed on an embedded AWS.
//!
//! `cargo run --example mysql_cdc`. On real AWS only three lines differ: the session (`Session::connect`), the clock
//! (`RealClock::system`), and an approver that asks a person.
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::collections::BTreeSet;
use std::sync::Arc;

use msk_pipeline::aws::plugins::{PackOptions, prepare};
use msk_pipeline::prelude::*;
use msk_pipeline::rehearsal::{LocalWorld, Settings};
use msk_pipeline::run::StepOutcome;
use msk_pipeline::{Address, Entropy};

fn declare() -> Pipeline {
    let mut pipeline = Pipeline::new("orders", "us-east-1");
    pipeline.header_mut().tags.insert("Team".into(), "data".into());
    pipeline.declare("", Network::vpc_tagged("Name", "default-vpc"));
    let db = pipeline.declare(
        "orders",
        Database::aurora_mysql().writer("db.r7g.large").reader("a", "db.r7g.large"),
    );
    let kafka = pipeline.declare("main", Kafka::new().brokers(3, "kafka.m7g.large", 250));
    let connector = Debezium::mysql(db, kafka).prefix("orders").tables([
        "shop.orders",
        "shop.line_items",
        "shop.customers",
    ]);
    pipeline.declare("orders", connector);
    pipeline
}

/// One line for each step that ends.
fn tell(event: RunEvent) {
    if let RunEvent::StepFinished { address, outcome, elapsed_ms, .. } = event {
        let how = match outcome {
            StepOutcome::Done { .. } => "done".to_owned(),
            other => format!("{other:?}"),
        };
        println!("{address}: {how} after {} s of the embedded AWS's time", elapsed_ms / 1000);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let pipeline = declare();

    // The plugin is packed first: its digest is in the plan.
    let mut options = PackOptions::new(folder.path());
    options.provider_optional = true;
    let packing = pipeline.clone();
    let plugins = tokio::task::spawn_blocking(move || prepare(&packing, &options)).await??;

    let world = LocalWorld::open(&folder.path().join("world"), Settings::new("us-east-1")).await?;
    let pin = world.session.pin().await?;
    let expanded = pipeline.expand(&components(), &pin, &plugins.facts)?;
    let kinds = registry(&world.session, &plugins.artifacts);
    let graph = Graph::build(expanded.resources, &kinds).map_err(|errors| format!("{errors:?}"))?;
    let engine = Engine {
        registry: kinds,
        store: Arc::new(FileStore::new(folder.path().join("state"))),
        clock: Arc::clone(&world.clock),
        entropy: Arc::new(Entropy::seeded(1)),
        events: Arc::new(tell),
        pipeline: pipeline.header().name.clone(),
        pin,
        who: "the example".into(),
    };

    let plan = engine.plan(&graph, Verb::Apply, &[]).await?;
    println!(
        "{} steps in stages {:?}; worst for data: {}",
        plan.steps.len(),
        plan.stages(),
        plan.worst()
    );
    let never = Cancel::never();
    let summary = engine.apply(&graph, ApplyOptions::default(), &AutoApprove, &never).await?;
    assert!(summary.is_complete(), "{summary:?}");
    let again = engine.plan(&graph, Verb::Apply, &[]).await?;
    assert!(!again.has_changes(), "a second plan has nothing to do");

    // What a destroy loses has to be agreed to, address by address.
    let plan = engine.plan(&graph, Verb::Destroy, &[]).await?;
    let consent: BTreeSet<Address> = plan.needs_consent().into_keys().cloned().collect();
    println!("destroying needs consent for {consent:?}");
    let options = ApplyOptions { consent, ..ApplyOptions::default() };
    let summary = engine.destroy(&graph, options, &AutoApprove, &never).await?;
    assert!(summary.is_complete(), "{summary:?}");
    println!("left in the embedded AWS: {:?}", world.inventory()?.len());
    Ok(())
}
