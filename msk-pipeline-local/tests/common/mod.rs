//! A pipeline on an embedded AWS in virtual time, for tests.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

pub mod mortal;
pub mod others;
pub mod outside;
pub mod spellings;
pub mod stored;
pub mod trouble;
pub mod twin;
pub mod watch;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use msk_pipeline_aws::components::components;
use msk_pipeline_aws::kinds::registry;
use msk_pipeline_aws::{Artifact, Artifacts, Session};
use msk_pipeline_core::dsl::{Document, Facts, Overlay};
use msk_pipeline_core::graph::{Graph, Resource};
use msk_pipeline_core::plan::{Action, Adopt, Plan, Verb};
use msk_pipeline_core::run::{
    ApplyOptions, AutoApprove, Cancel, Engine, EventSink, RunError, RunEvent, RunSummary,
    StepOutcome,
};
use msk_pipeline_core::state::{FileStore, MemoryDisk, Pin, StateStore};
use msk_pipeline_core::{Clock, Entropy, RealClock, Timestamp};
use msk_pipeline_emulator::shell::InProcess;
use msk_pipeline_emulator::{Settings, World};
use msk_pipeline_local::Embedded;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Everything that outlives a simulated process.
#[derive(Clone)]
pub struct Cloud {
    pub world: Arc<InProcess>,
    pub disk: MemoryDisk,
    pub wall: Timestamp,
}

impl Cloud {
    pub fn new(settings: Settings) -> Self {
        let wall = Timestamp(settings.epoch);
        Self { world: InProcess::new(World::new(settings)), disk: MemoryDisk::default(), wall }
    }

    pub fn store(&self) -> Arc<dyn StateStore> {
        Arc::new(FileStore::on(self.disk.clone(), "state"))
    }

    /// The same world and disk once more, to go on from there twice.
    pub fn fork(&self) -> Self {
        let disk = MemoryDisk::default();
        for (path, bytes) in self.disk.files() {
            disk.append_torn(&path, &bytes, bytes.len());
        }
        Self { world: InProcess::new(self.world.snapshot()), disk, wall: self.wall }
    }
}

/// A plugin archive with the connector classes of all examples, which no test has to fetch.
pub struct Plugin {
    pub sha256: String,
    pub bytes: Vec<u8>,
}

impl Plugin {
    const CLASSES: [&str; 2] = [
        "io.debezium.connector.mysql.MySqlConnector",
        "io.debezium.connector.postgresql.PostgresConnector",
    ];

    /// `release` makes the bytes differ, and nothing else.
    fn new(release: &str) -> Self {
        // Major version 55: Java 11.
        let compiled = [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 55];
        let path = |class: &str| format!("{}.class", class.replace('.', "/"));
        let [mysql, postgresql] = Self::CLASSES.map(path);
        let listing = "META-INF/services/org.apache.kafka.connect.source.SourceConnector";
        let listed = Self::CLASSES.join("\n");
        let jar =
            zipped(&[(listing, listed.as_bytes()), (&mysql, &compiled), (&postgresql, &compiled)]);
        let bytes = zipped(&[("mysql/connector.jar", &jar), ("mysql/RELEASE", release.as_bytes())]);
        let digest = Sha256::digest(&bytes);
        let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { sha256, bytes }
    }

    /// What packing would tell of it, for the connectors of all examples.
    pub fn facts(&self) -> Facts {
        let fact = json!({ "sha256": self.sha256, "size": self.bytes.len() });
        ["orders", "mysql", "postgres"].map(|name| (format!("plugin:{name}"), fact.clone())).into()
    }
}

/// Two releases of the plugin.
pub static PLUGINS: LazyLock<[Plugin; 2]> = LazyLock::new(|| ["1", "2"].map(Plugin::new));

fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub fn pin() -> Pin {
    Pin { account: "111111111111".into(), region: "us-east-1".into(), partition: "aws".into() }
}

/// Events of a run, in order.
#[derive(Default, Clone)]
pub struct Events(pub Arc<Mutex<Vec<RunEvent>>>);

impl EventSink for Events {
    fn emit(&self, event: RunEvent) {
        self.0.lock().unwrap().push(event);
    }
}

/// One simulated process.
pub struct Process {
    pub engine: Engine,
    pub events: Events,
    pub clock: Arc<dyn Clock>,
    pub session: Session,
    pub facts: Facts,
    /// Resources beside those that the document expands to.
    pub extra: Vec<Resource>,
}

impl Process {
    pub fn new(
        cloud: &Cloud,
        store: Arc<dyn StateStore>,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Self {
        let session = Embedded::session(cloud.world.clone(), clock.clone(), "us-east-1");
        Self::on(session, store, clock, seed)
    }

    /// On clients of its own.
    pub fn on(
        session: Session,
        store: Arc<dyn StateStore>,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Self {
        let events = Events::default();
        let files = PLUGINS
            .iter()
            .map(|plugin| (plugin.sha256.clone(), Artifact::Bytes(plugin.bytes.clone())));
        let artifacts = Artifacts(files.collect());
        let engine = Engine {
            registry: registry(&session, &artifacts),
            store,
            clock: clock.clone(),
            entropy: Arc::new(Entropy::seeded(seed)),
            events: Arc::new(events.clone()),
            pipeline: "orders-cdc".into(),
            pin: pin(),
            who: "test".into(),
        };
        Self { engine, events, clock, session, facts: PLUGINS[0].facts(), extra: Vec::new() }
    }

    pub fn simple(cloud: &Cloud) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(cloud.wall));
        Self::new(cloud, cloud.store(), clock, 7)
    }

    /// The same for the pipeline that `toml` names.
    pub fn of(mut self, toml: &str) -> Self {
        let document = Document::parse(toml).expect("the document parses");
        let pipeline = document.pipeline(&components(), &Overlay::default()).expect("it is right");
        self.engine.pipeline.clone_from(&pipeline.header().name);
        self
    }

    /// Why steps failed, as events told it.
    pub fn failures(&self) -> Vec<String> {
        let events = self.events.0.lock().unwrap();
        let failed = events.iter().filter_map(|event| match event {
            RunEvent::StepFinished {
                address,
                outcome: StepOutcome::Failed { cause, help },
                ..
            } => Some(format!("{address}: {cause} ({help})")),
            _ => None,
        });
        failed.collect()
    }

    pub fn graph(&self, toml: &str) -> Graph {
        graph(toml, &self.engine, &self.facts, &self.extra)
    }

    pub async fn plan(&self, toml: &str) -> Plan {
        self.engine.plan(&self.graph(toml), Verb::Apply, &[]).await.unwrap()
    }

    pub async fn apply(&self, toml: &str) -> Result<RunSummary, RunError> {
        let options = ApplyOptions::default();
        self.engine.apply(&self.graph(toml), options, &AutoApprove, &Cancel::never()).await
    }

    /// Takes over what is at an address.
    pub async fn adopt(
        &self,
        toml: &str,
        address: &str,
        id: Option<&str>,
        from_lineage: Option<&str>,
    ) -> Result<RunSummary, RunError> {
        let (id, from_lineage) = (id.map(str::to_owned), from_lineage.map(str::to_owned));
        let adopt = Some(Adopt { address: address.into(), id, from_lineage });
        let options = ApplyOptions { adopt, ..ApplyOptions::default() };
        self.engine.apply(&self.graph(toml), options, &AutoApprove, &Cancel::never()).await
    }

    pub async fn destroy(&self, toml: &str) -> Result<RunSummary, RunError> {
        let options = ApplyOptions { consent_to_all: true, ..ApplyOptions::default() };
        self.engine.destroy(&self.graph(toml), options, &AutoApprove, &Cancel::never()).await
    }
}

fn graph(toml: &str, engine: &Engine, facts: &Facts, extra: &[Resource]) -> Graph {
    let components = components();
    let document = Document::parse(toml).expect("the document parses");
    let pipeline =
        document.pipeline(&components, &Overlay::default()).expect("the document is right");
    let expanded = pipeline.expand(&components, &engine.pin, facts).expect("it expands");
    let resources = expanded.resources.into_iter().chain(extra.iter().cloned()).collect();
    Graph::build(resources, &engine.registry).expect("the graph is right")
}

/// Operations of a plan, as `address operation`.
pub fn operations(plan: &Plan) -> Vec<String> {
    plan.steps
        .iter()
        .flat_map(|s| s.calls.iter().map(move |c| format!("{} {}", s.address, c.op)))
        .collect()
}

/// What exists, as `service kind id`.
pub fn inventory(cloud: &Cloud, process: &Process) -> BTreeSet<String> {
    outside::inventory_at(cloud, process.clock.wall())
}

/// The plan changes nothing.
#[track_caller]
pub fn assert_nothing(plan: &Plan, when: &str) {
    assert!(plan.refusals.is_empty(), "{when}: {:?}", plan.refusals);
    let steps: Vec<_> = plan.steps.iter().filter(|s| s.action != Action::NoOp).collect();
    assert!(steps.is_empty(), "{when}: {steps:#?}");
}

/// The document with each `from`, which it has once, replaced.
pub fn replaced(toml: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(toml.to_owned(), |toml, (from, to)| {
        assert_eq!(toml.matches(from).count(), 1, "{from:?} is there once");
        toml.replacen(from, to, 1)
    })
}

/// The change by which a pipeline's database is prepared by hand.
pub const BY_HAND: (&str, &str) = ("prepare    = \"direct\"", "prepare    = \"sql\"");

/// A world in which a pipeline was applied, ten minutes later. Has a thread of its own, so that tests with a runtime can ask for it.
pub fn applied(toml: &str) -> Cloud {
    let run = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(async {
            let cloud = Cloud::new(Settings::default());
            let process = Process::simple(&cloud).of(toml);
            let summary = process.apply(toml).await.unwrap();
            assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
            Cloud { wall: process.clock.wall() + Duration::from_mins(10), ..cloud }
        })
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

/// An output of the pipeline as text.
pub async fn output(process: &Process, address: &str, name: &str) -> String {
    let state = process.engine.state().await.unwrap();
    let record = state.records.iter().find(|(a, _)| a.as_str() == address).expect("an address");
    match &record.1.current.as_ref().unwrap().outputs[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub const PART_A: &str = r#"
[pipeline]
name   = "orders-cdc"
region = "us-east-1"
[network]
vpc = { tags = { Name = "default-vpc" } }
[kafka.main]
allow = [{ cidr = "172.31.0.0/16" }]
"#;
