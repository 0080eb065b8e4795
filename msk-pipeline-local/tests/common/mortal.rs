//! Processes that can die at any counted point: a simulated process is one fresh current-thread runtime under paused time; a kill
//! drops the runtime. The world and the disk live outside.
//!
//! A point is: before each changing request, after it took effect and before its reply, before each journal write to a disk, in the
//! middle of it, after it, before each snapshot there, and every wait. With state in S3 writes of state are changing requests; what is
//! on this machine is lost with the process, and a write is there or it is not.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_aws::Session;
use msk_pipeline_aws::state::{S3Place, S3Store, make_ready};
use msk_pipeline_core::clock::Reading;
use msk_pipeline_core::run::{ApplyOptions, AutoApprove, Cancel, RunError, RunEvent, RunSummary};
use msk_pipeline_core::state::{Disk, FileStore, MemoryDisk, State, StateStore};
use msk_pipeline_core::{Clock, Entropy, RealClock, Timestamp, plan};
use msk_pipeline_emulator::Settings;
use msk_pipeline_emulator::shell::{Call, InProcess, Moment, Next};
use msk_pipeline_local::Embedded;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

#[allow(unused_imports, reason = "each test binary uses a part")]
pub use super::outside::{self, timeless};
use super::trouble::{self, Trouble};
use super::{Cloud, Process, pin};

/// How long after a process another one starts.
const LATER: Duration = Duration::from_secs(20);

/// Counts the points of a process; ends it at one of them, or copies the outside at each.
#[derive(Default)]
pub struct Points {
    pub counted: AtomicUsize,
    fatal: usize,
    dead: Notify,
    /// The append from which on the disk is full.
    pub full_at: Option<usize>,
    appends: AtomicUsize,
    copies: Option<Mutex<Vec<Left>>>,
    /// What goes wrong with its clocks and its lease.
    pub trouble: Arc<Trouble>,
}

/// All that a process which dies at a point leaves.
pub struct Left {
    /// Which point.
    pub what: &'static str,
    /// What its successor has.
    pub cloud: Cloud,
}

impl Points {
    /// Kills at this point, counted from 1; at none if it is 0.
    pub fn kill_at(fatal: usize) -> Arc<Self> {
        Arc::new(Self::dying_at(fatal))
    }

    pub fn dying_at(fatal: usize) -> Self {
        Self { fatal, ..Self::default() }
    }

    /// Kills at no point, and keeps what a kill at each would leave.
    pub fn copying() -> Arc<Self> {
        Arc::new(Self { copies: Some(Mutex::default()), ..Self::default() })
    }

    /// What was kept, in the order of the points.
    pub fn left(&self) -> Vec<Left> {
        self.copies.as_ref().map(|c| std::mem::take(&mut *c.lock().unwrap())).unwrap_or_default()
    }

    /// How many points there were.
    pub fn count(&self) -> usize {
        self.counted.load(Ordering::Relaxed)
    }

    /// True if an append met a full disk.
    pub fn was_full(&self) -> bool {
        self.full_at.is_some_and(|n| self.appends.load(Ordering::Relaxed) >= n)
    }
}

/// A process's points, and the outside as it is at them.
struct Watch {
    points: Arc<Points>,
    store: Store,
    world: Arc<InProcess>,
    disk: MemoryDisk,
    /// The world's.
    clock: RealClock,
    began: Timestamp,
}

impl Watch {
    /// True if the process dies here.
    fn hit(&self, what: &'static str) -> bool {
        self.hit_leaving(what, |_| ())
    }

    /// The same where a dying process still does `last` to the disk.
    fn hit_leaving(&self, what: &'static str, last: impl Fn(&MemoryDisk)) -> bool {
        let points = &self.points;
        let n = points.counted.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(copies) = &points.copies {
            let world = InProcess::new(self.world.snapshot());
            let copy = Cloud { world, disk: self.disk.fork(), wall: self.clock.wall() };
            last(&copy.disk);
            let cloud = copy.after_death(self.store);
            copies.lock().unwrap().push(Left { what, cloud });
        }
        let dies = points.fatal != 0 && n >= points.fatal;
        if dies {
            last(&self.disk);
            points.dead.notify_one();
        }
        dies
    }

    async fn pass(&self, what: &'static str) {
        if self.hit(what) {
            std::future::pending::<()>().await;
        }
    }
}

impl Cloud {
    /// As the next process finds it when this is what was there as the last one died.
    fn after_death(self, store: Store) -> Self {
        let disk = match store {
            Store::File => self.disk,
            Store::S3 => MemoryDisk::default(),
        };
        Self { world: self.world, disk, wall: self.wall + LATER }
    }
}

#[derive(Clone)]
struct WatchedDisk(Arc<Watch>);

#[async_trait]
impl Disk for WatchedDisk {
    async fn read(&self, path: &Path) -> std::io::Result<Option<Vec<u8>>> {
        self.0.disk.read(path).await
    }

    async fn append(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let Self(watch) = self;
        watch.pass("before an append").await;
        watch.points.appends.fetch_add(1, Ordering::Relaxed);
        if watch.points.was_full() {
            watch.disk.append_torn(path, bytes, bytes.len() / 3);
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        let torn = |disk: &MemoryDisk| disk.append_torn(path, bytes, bytes.len() * 2 / 3);
        if watch.hit_leaving("a torn append", torn) {
            std::future::pending::<()>().await;
        }
        watch.disk.append(path, bytes).await?;
        watch.pass("after an append").await;
        Ok(())
    }

    async fn truncate(&self, path: &Path, len: u64) -> std::io::Result<()> {
        self.0.disk.truncate(path, len).await
    }

    async fn replace(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.0.pass("before a snapshot").await;
        self.0.disk.replace(path, bytes).await
    }

    async fn lock(&self, path: &Path) -> std::io::Result<Option<Box<dyn Send + Sync>>> {
        self.0.disk.lock(path).await
    }
}

struct WatchedClock(Arc<Watch>);

impl std::fmt::Debug for WatchedClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WatchedClock")
    }
}

#[async_trait]
impl Clock for WatchedClock {
    fn wall(&self) -> Timestamp {
        self.0.points.trouble.wall(self.0.clock.wall())
    }

    fn reading(&self) -> Reading {
        let world = self.0.clock.wall();
        self.0.points.trouble.reading(world, world.since(self.0.began))
    }

    async fn sleep(&self, duration: Duration) {
        self.0.pass("a wait").await;
        self.0.points.trouble.wait();
        self.0.clock.sleep(duration).await;
    }

    async fn grace(&self, duration: Duration) {
        self.0.clock.grace(duration).await;
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Verb {
    Apply,
    Destroy,
}

/// Where state lives.
#[derive(Clone, Copy, PartialEq)]
pub enum Store {
    File,
    /// Without an outbox, which is all that this store would keep on the machine.
    S3,
}

pub const BUCKET: &str = "acme-state";

impl Store {
    /// The store as the next process opens it.
    fn open(
        self,
        cloud: &Cloud,
        session: &Session,
        clock: &Arc<dyn Clock>,
        disk: impl Disk + Clone + 'static,
    ) -> Arc<dyn StateStore> {
        match self {
            Store::File => Arc::new(FileStore::on(disk, "state")),
            Store::S3 => {
                // No two processes begin at the same time, so that none draws another's lease.
                let ids = Arc::new(Entropy::seeded(cloud.wall.0));
                let place: S3Place = format!("s3://{BUCKET}").parse().unwrap();
                Arc::new(S3Store::new(session, clock.clone(), ids, &place, "orders-cdc", &pin()))
            }
        }
    }

    /// A fresh world in which state can be kept here.
    pub fn world(self, settings: Settings) -> Cloud {
        let cloud = Cloud::new(settings);
        if self == Store::S3 {
            runtime().block_on(async {
                let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(cloud.wall));
                let session = Embedded::session(cloud.world.clone(), clock, "us-east-1");
                let place: S3Place = format!("s3://{BUCKET}").parse().unwrap();
                make_ready(&session, &place, &pin()).await.unwrap();
            });
        }
        cloud
    }
}

/// Under paused time.
fn runtime() -> Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime")
}

/// Plans in a process of its own, which changes nothing.
///
/// # Errors
/// It failed, or what is outside is not as it was before.
pub fn plan(cloud: &Cloud, store: Store, toml: &str) -> Result<(), String> {
    let outside = || (cloud.world.with(|world| world.revision), cloud.disk.files());
    let before = outside();
    let planned = runtime().block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(cloud.wall));
        let session = Embedded::session(cloud.world.clone(), clock.clone(), "us-east-1");
        let store = store.open(cloud, &session, &clock, cloud.disk.clone());
        let process = Process::on(session, store, clock, 7);
        process.engine.plan(&process.graph(toml), plan::Verb::Apply, &[]).await
    });
    planned.map_err(|error| format!("it can't be planned: {error}"))?;
    if outside() == before { Ok(()) } else { Err("a plan left something".into()) }
}

/// Runs one process. `None` if it was killed.
pub fn run(
    cloud: &mut Cloud,
    store: Store,
    points: &Arc<Points>,
    verb: Verb,
    toml: &str,
) -> Option<Result<RunSummary, RunError>> {
    let consent_to_all = verb == Verb::Destroy;
    let options = ApplyOptions { consent_to_all, ..ApplyOptions::default() };
    run_with(cloud, store, points, verb, toml, options)
}

/// Runs one process with these options. `None` if it was killed.
pub fn run_with(
    cloud: &mut Cloud,
    store: Store,
    points: &Arc<Points>,
    verb: Verb,
    toml: &str,
    options: ApplyOptions,
) -> Option<Result<RunSummary, RunError>> {
    run_on(cloud, store, points, verb, toml, options, |store| store).map(|ended| ended.result)
}

/// A process that came to its end.
pub struct Ended {
    pub result: Result<RunSummary, RunError>,
    /// Why steps failed.
    pub failures: Vec<String>,
    /// It took over a lease that its holder had let expire.
    pub took_over: bool,
}

/// Runs one process whose state is in what `around` makes of the store. `None` if it was killed.
pub fn run_on(
    cloud: &mut Cloud,
    store: Store,
    points: &Arc<Points>,
    verb: Verb,
    toml: &str,
    options: ApplyOptions,
    around: impl FnOnce(Arc<dyn StateStore>) -> Arc<dyn StateStore>,
) -> Option<Ended> {
    let runtime = runtime();
    let (outcome, wall) = runtime.block_on(async {
        let watch = Arc::new(Watch {
            points: Arc::clone(points),
            store,
            world: cloud.world.clone(),
            disk: cloud.disk.clone(),
            clock: RealClock::starting_at(cloud.wall),
            began: cloud.wall,
        });
        let looks = Arc::clone(&watch);
        cloud.world.observe(Arc::new(move |moment: Moment, call: &Call<'_>| {
            let dies = match moment {
                Moment::Before if call.changing => looks.hit("before a request"),
                Moment::Committed if call.changing => looks.hit("before a reply"),
                _ => false,
            };
            if dies { Next::Stop } else { Next::Go }
        }));
        let clock: Arc<dyn Clock> = Arc::new(WatchedClock(Arc::clone(&watch)));
        let session = trouble::session(cloud, &points.trouble);
        let kept = around(store.open(cloud, &session, &clock, WatchedDisk(Arc::clone(&watch))));
        let process = Process::on(session, kept, clock, 7).of(toml);
        let (engine, graph, never) = (&process.engine, process.graph(toml), Cancel::never());
        let outcome = tokio::select! {
            biased;
            () = points.dead.notified() => None,
            result = async {
                match verb {
                    Verb::Apply => engine.apply(&graph, options, &AutoApprove, &never).await,
                    Verb::Destroy => engine.destroy(&graph, options, &AutoApprove, &never).await,
                }
            } => {
                let events = process.events.0.lock().unwrap();
                let took_over = events.iter().any(|e| matches!(e, RunEvent::TookOver { .. }));
                drop(events);
                Some(Ended { result, failures: process.failures(), took_over })
            }
        };
        (outcome, watch.clock.wall())
    });
    drop(runtime);
    cloud.world.unobserve();
    let left = Cloud { wall, ..cloud.clone() };
    *cloud = match outcome {
        None => left.after_death(store),
        Some(_) => Cloud { wall: wall + LATER, ..left },
    };
    outcome
}

pub fn state(cloud: &Cloud, store: Store) -> State {
    runtime().block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(cloud.wall));
        let session = Embedded::session(cloud.world.clone(), clock.clone(), "us-east-1");
        let store = store.open(cloud, &session, &clock, cloud.disk.clone());
        store.load().await.unwrap().fold().unwrap()
    })
}
