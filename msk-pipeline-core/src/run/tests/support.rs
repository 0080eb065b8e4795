//! A process that can be killed at any counted point, and the world outside of it that survives.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::clock::{Clock, RealClock, Timestamp};
use crate::entropy::Entropy;
use crate::graph::{Graph, Resource};
use crate::kind::{
    CallError, ErasedCase, ErasedKind, ErasedNext, ErasedTarget, Guard, Input, MarkSeen, Registry,
    Sent, Succession,
};
use crate::plan::Verb;
use crate::run::{
    Answer, ApplyOptions, Approver, Cancel, Engine, Gate, RunError, RunEvent, RunSummary,
};
use crate::state::{Disk, FileStore, MemoryDisk, Pin, State, StateStore};
use crate::testkit::{Blob, BlobProps, Toy, ToyCloud, ToyProps};

/// Counts the points at which a process can be killed, and kills it at one of them.
#[derive(Clone, Default)]
pub(super) struct Points(Arc<PointsInner>);

#[derive(Default)]
struct PointsInner {
    counted: Mutex<usize>,
    fatal: Option<usize>,
    dead: Notify,
}

impl Points {
    pub(super) fn kill_at(fatal: usize) -> Self {
        Self(Arc::new(PointsInner { fatal: Some(fatal), ..PointsInner::default() }))
    }

    pub(super) fn counted(&self) -> usize {
        *self.0.counted.lock().unwrap()
    }

    /// One point. If it is the fatal one, `last` happens and this never returns; neither does any later point.
    async fn pass_or(&self, last: impl FnOnce()) {
        let n = {
            let mut counted = self.0.counted.lock().unwrap();
            *counted += 1;
            *counted
        };
        let Some(fatal) = self.0.fatal.filter(|&fatal| n >= fatal) else { return };
        if n == fatal {
            last();
            self.0.dead.notify_one();
        }
        std::future::pending::<()>().await;
    }

    pub(super) async fn pass(&self) {
        self.pass_or(|| ()).await;
    }
}

/// What survives a process.
#[derive(Clone)]
pub(super) struct Outside {
    pub(super) cloud: ToyCloud,
    pub(super) disk: MemoryDisk,
    pub(super) wall: Arc<Mutex<Timestamp>>,
    pub(super) events: Arc<Mutex<Vec<RunEvent>>>,
    pub(super) asked: Arc<Mutex<Vec<String>>>,
    /// Calls that were sent although no *begin* for them was durable.
    pub(super) unannounced: Arc<Mutex<Vec<String>>>,
    /// Everything that was ever appended.
    pub(super) written: Arc<Mutex<Vec<u8>>>,
    processes: Arc<Mutex<u64>>,
}

impl Outside {
    pub(super) fn new() -> Self {
        Self {
            cloud: ToyCloud::default(),
            disk: MemoryDisk::default(),
            wall: Arc::new(Mutex::new(Timestamp(1_767_225_600_000))),
            events: Arc::default(),
            asked: Arc::default(),
            unannounced: Arc::default(),
            written: Arc::default(),
            processes: Arc::default(),
        }
    }

    /// A copy that goes its own way.
    pub(super) fn fork(&self) -> Self {
        Self {
            cloud: self.cloud.fork(),
            disk: self.disk.fork(),
            wall: Arc::new(Mutex::new(self.now())),
            processes: Arc::new(Mutex::new(*self.processes.lock().unwrap())),
            ..Self::new()
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        *self.wall.lock().unwrap()
    }

    /// The state as a later process finds it.
    pub(super) fn state(&self) -> State {
        let store = FileStore::on(self.disk.clone(), "state");
        futures_util::FutureExt::now_or_never(store.load()).unwrap().unwrap().fold().unwrap()
    }

    /// One process: a fresh runtime with an engine on it. `None` if it was killed.
    pub(super) fn process<T>(
        &self,
        points: &Points,
        wrap: Wrap,
        body: impl AsyncFnOnce(Engine) -> T,
    ) -> Option<T> {
        let seed = {
            let mut processes = self.processes.lock().unwrap();
            *processes += 1;
            *processes
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let clock = Arc::new(MortalClock {
                inner: RealClock::starting_at(self.now()),
                points: points.clone(),
            });
            let kinds: [Arc<dyn ErasedKind>; 2] = [
                Arc::new(Toy { cloud: self.cloud.clone(), clock: clock.clone() }),
                Arc::new(Blob { cloud: self.cloud.clone(), clock: clock.clone() }),
            ];
            let mut registry = Registry::default();
            for inner in kinds {
                let (points, outside) = (points.clone(), self.clone());
                registry =
                    registry.with_erased(Arc::new(MortalKind { inner, points, outside, wrap }));
            }
            let (written, points) = (self.written.clone(), points.clone());
            let disk = MortalDisk {
                inner: self.disk.clone(),
                points: points.clone(),
                written,
                held: Arc::default(),
                wrap,
            };
            let log = self.events.clone();
            let engine = Engine {
                registry,
                store: Arc::new(FileStore::on(disk, "state")),
                clock: clock.clone(),
                entropy: Arc::new(Entropy::seeded(seed)),
                events: Arc::new(move |event| log.lock().unwrap().push(event)),
                pipeline: "toys".into(),
                pin: pin(),
                who: format!("tester, process {seed}"),
            };
            let result = tokio::select! {
                biased;
                () = points.0.dead.notified() => None,
                result = body(engine) => Some(result),
            };
            *self.wall.lock().unwrap() = clock.wall() + Duration::from_secs(1);
            result
        })
    }

    /// Applies or destroys in one process.
    pub(super) fn run(
        &self,
        points: &Points,
        wrap: Wrap,
        verb: Verb,
        resources: &[Resource],
    ) -> Option<Result<RunSummary, RunError>> {
        let approver = Log(self.asked.clone());
        let options = ApplyOptions { consent_to_all: true, ..ApplyOptions::default() };
        self.process(points, wrap, async |engine| {
            let graph = Graph::build(resources.to_vec(), &engine.registry).unwrap();
            match verb {
                Verb::Apply => engine.apply(&graph, options, &approver, &Cancel::never()).await,
                Verb::Destroy => engine.destroy(&graph, options, &approver, &Cancel::never()).await,
            }
        })
    }

    /// Cloud and state without what may differ between two ways to the same end.
    pub(super) fn canonical(&self) -> Value {
        let all = self.cloud.all(self.now());
        let state = self.state();
        let cloud: BTreeMap<_, _> =
            all.iter().map(|(n, v)| (n, json!([v.status, v.fields, v.tags]))).collect();
        let open: Vec<_> = state.run.iter().map(|run| run.verb.clone()).collect();
        let mut text =
            json!({ "cloud": cloud, "records": state.records, "open": open }).to_string();
        for (name, view) in &all {
            text = text.replace(&format!("\"{}\"", view.id), &format!("\"id of {name}\""));
        }
        serde_json::from_str(&text.replace(&state.lineage, "lineage")).unwrap()
    }
}

pub(super) fn pin() -> Pin {
    Pin { account: "111111111111".into(), region: "eu-west-1".into(), partition: "aws".into() }
}

/// Approves and remembers.
struct Log(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Approver for Log {
    async fn ask(&self, gate: &Gate) -> Answer {
        self.0.lock().unwrap().push(gate.stage.clone());
        Answer::Approve
    }
}

/// What is broken on purpose, to see that the tests notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrap {
    Sound,
    /// *Begin* is not written before its call, but with what comes next.
    LateBegin,
    /// Every object counts as ours.
    NoMarkCheck,
    /// A request without a reply counts as refused.
    LostIsFailed,
}

struct MortalKind {
    inner: Arc<dyn ErasedKind>,
    points: Points,
    outside: Outside,
    wrap: Wrap,
}

#[async_trait]
impl ErasedKind for MortalKind {
    fn type_name(&self) -> &'static str {
        self.inner.type_name()
    }
    fn version(&self) -> u32 {
        self.inner.version()
    }
    fn name(&self, props: &Value) -> Result<String, CallError> {
        self.inner.name(props)
    }
    fn succession(&self) -> Succession {
        self.inner.succession()
    }
    fn visibility(&self) -> Duration {
        self.inner.visibility()
    }
    async fn observe(&self, target: &ErasedTarget) -> Result<Option<Value>, CallError> {
        self.inner.observe(target).await
    }
    fn mark(&self, seen: &Value) -> Result<MarkSeen, CallError> {
        match self.wrap {
            Wrap::NoMarkCheck => Ok(MarkSeen::ByParent),
            _ => self.inner.mark(seen),
        }
    }
    fn calls(&self, case: &ErasedCase) -> Result<ErasedNext, CallError> {
        self.inner.calls(case)
    }
    async fn perform(&self, call: &Value, guard: &Guard) -> Result<Sent, CallError> {
        self.points.pass().await;
        let state = self.outside.state();
        if !state.pending().any(|(_, _, pending)| pending.call == *call && pending.is_open()) {
            self.outside.unannounced.lock().unwrap().push(call.to_string());
        }
        let answer = self.inner.perform(call, guard).await;
        self.points.pass().await;
        match answer {
            Err(error) if self.wrap == Wrap::LostIsFailed => {
                Err(CallError { class: crate::kind::Class::Invalid, ..error })
            }
            answer => answer,
        }
    }
}

struct MortalClock {
    inner: RealClock,
    points: Points,
}

impl std::fmt::Debug for MortalClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MortalClock")
    }
}

#[async_trait]
impl Clock for MortalClock {
    fn wall(&self) -> Timestamp {
        self.inner.wall()
    }
    async fn sleep(&self, duration: Duration) {
        self.points.pass().await;
        self.inner.sleep(duration).await;
    }
    async fn grace(&self, duration: Duration) {
        self.inner.grace(duration).await;
    }
}

#[derive(Clone)]
struct MortalDisk {
    inner: MemoryDisk,
    points: Points,
    written: Arc<Mutex<Vec<u8>>>,
    held: Arc<Mutex<Vec<u8>>>,
    wrap: Wrap,
}

#[async_trait]
impl Disk for MortalDisk {
    async fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.inner.read(path).await
    }
    async fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let begins = bytes.windows(15).any(|w| w == br#""entry":"begin""#);
        if self.wrap == Wrap::LateBegin && begins {
            // Held back until something else is written.
            self.held.lock().unwrap().extend_from_slice(bytes);
            return Ok(());
        }
        let bytes = &[std::mem::take(&mut *self.held.lock().unwrap()), bytes.to_vec()].concat()[..];
        self.points.pass().await;
        let first_line = bytes.iter().position(|&b| b == b'\n').map_or(0, |n| n + 1);
        for torn in BTreeSet::from([1, bytes.len() / 2, first_line + 9, bytes.len() - 1]) {
            self.points.pass_or(|| self.inner.append_torn(path, bytes, torn)).await;
        }
        self.written.lock().unwrap().extend_from_slice(bytes);
        self.inner.append(path, bytes).await?;
        self.points.pass().await;
        Ok(())
    }
    async fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.points.pass().await;
        self.inner.truncate(path, len).await
    }
    async fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.points.pass().await;
        self.inner.replace(path, bytes).await?;
        self.points.pass().await;
        Ok(())
    }
    async fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.inner.lock(path).await
    }
}

pub(super) fn toy(address: &str, stage: &str, change: impl FnOnce(&mut ToyProps)) -> Resource {
    let mut props = ToyProps::named(address);
    change(&mut props);
    Resource {
        address: address.into(),
        kind: "toy.toy".into(),
        stage: stage.into(),
        props: serde_json::to_value(props).unwrap(),
        needs: Vec::new(),
    }
}

pub(super) fn blob(address: &str, stage: &str, content: &str) -> Resource {
    let props = BlobProps { name: address.into(), content: content.into() };
    Resource {
        address: address.into(),
        kind: "toy.blob".into(),
        stage: stage.into(),
        props: serde_json::to_value(props).unwrap(),
        needs: Vec::new(),
    }
}

pub(super) fn id_of(address: &str) -> Input<String> {
    Input::output(address, "id")
}
