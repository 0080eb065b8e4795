//! A pipeline on an embedded AWS in virtual time, for tests.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(dead_code, reason = "each test binary uses a part")]

use std::sync::{Arc, Mutex};

use msk_pipeline_aws::Artifacts;
use msk_pipeline_aws::components::components;
use msk_pipeline_aws::kinds::registry;
use msk_pipeline_core::dsl::{Document, Facts, Overlay};
use msk_pipeline_core::graph::Graph;
use msk_pipeline_core::plan::{Plan, Verb};
use msk_pipeline_core::run::{
    ApplyOptions, AutoApprove, Cancel, Engine, EventSink, RunError, RunEvent, RunSummary,
};
use msk_pipeline_core::state::{FileStore, MemoryDisk, Pin, StateStore};
use msk_pipeline_core::{Clock, Entropy, RealClock, Timestamp};
use msk_pipeline_emulator::shell::InProcess;
use msk_pipeline_emulator::{Settings, World};
use msk_pipeline_local::Embedded;

/// Everything that outlives a simulated process.
#[derive(Clone)]
pub(crate) struct Cloud {
    pub world: Arc<InProcess>,
    pub disk: MemoryDisk,
    pub wall: Timestamp,
}

impl Cloud {
    pub(crate) fn new(settings: Settings) -> Self {
        let wall = Timestamp(settings.epoch);
        Self { world: InProcess::new(World::new(settings)), disk: MemoryDisk::default(), wall }
    }

    pub(crate) fn store(&self) -> Arc<dyn StateStore> {
        Arc::new(FileStore::on(self.disk.clone(), "state"))
    }
}

pub(crate) fn pin() -> Pin {
    Pin { account: "111111111111".into(), region: "us-east-1".into(), partition: "aws".into() }
}

/// Events of a run, in order.
#[derive(Default, Clone)]
pub(crate) struct Events(pub Arc<Mutex<Vec<RunEvent>>>);

impl EventSink for Events {
    fn emit(&self, event: RunEvent) {
        self.0.lock().unwrap().push(event);
    }
}

/// One simulated process.
pub(crate) struct Process {
    pub engine: Engine,
    pub events: Events,
    pub clock: Arc<dyn Clock>,
}

impl Process {
    pub(crate) fn new(
        cloud: &Cloud,
        store: Arc<dyn StateStore>,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Self {
        let events = Events::default();
        let session = Embedded::session(cloud.world.clone(), clock.clone(), "us-east-1");
        let engine = Engine {
            registry: registry(&session, &Artifacts::default()),
            store,
            clock: clock.clone(),
            entropy: Arc::new(Entropy::seeded(seed)),
            events: Arc::new(events.clone()),
            pipeline: "orders-cdc".into(),
            pin: pin(),
            who: "test".into(),
        };
        Self { engine, events, clock }
    }

    pub(crate) fn simple(cloud: &Cloud) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(cloud.wall));
        Self::new(cloud, cloud.store(), clock, 7)
    }

    pub(crate) fn graph(&self, toml: &str) -> Graph {
        graph(toml, &self.engine)
    }

    pub(crate) async fn plan(&self, toml: &str) -> Plan {
        self.engine.plan(&self.graph(toml), Verb::Apply, &[]).await.unwrap()
    }

    pub(crate) async fn apply(&self, toml: &str) -> Result<RunSummary, RunError> {
        let options = ApplyOptions::default();
        self.engine.apply(&self.graph(toml), options, &AutoApprove, &Cancel::never()).await
    }

    pub(crate) async fn destroy(&self, toml: &str) -> Result<RunSummary, RunError> {
        let options = ApplyOptions { consent_to_all: true, ..ApplyOptions::default() };
        self.engine.destroy(&self.graph(toml), options, &AutoApprove, &Cancel::never()).await
    }
}

pub(crate) fn graph(toml: &str, engine: &Engine) -> Graph {
    let components = components();
    let document = Document::parse(toml).expect("the document parses");
    let pipeline =
        document.pipeline(&components, &Overlay::default()).expect("the document is right");
    let expanded =
        pipeline.expand(&components, &engine.pin, &Facts::default()).expect("it expands");
    Graph::build(expanded.resources, &engine.registry).expect("the graph is right")
}

/// Operations of a plan, as `address operation`.
pub(crate) fn operations(plan: &Plan) -> Vec<String> {
    plan.steps
        .iter()
        .flat_map(|s| s.calls.iter().map(move |c| format!("{} {}", s.address, c.op)))
        .collect()
}

pub(crate) const PART_A: &str = r#"
[pipeline]
name   = "orders-cdc"
region = "us-east-1"
[network]
vpc = { tags = { Name = "default-vpc" } }
[kafka.main]
allow = [{ cidr = "172.31.0.0/16" }]
"#;
