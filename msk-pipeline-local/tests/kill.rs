//! The kill loop on the embedded AWS: a run is killed at every point there is, and the next one has to come to the same end.
//!
//! A simulated process is one fresh current-thread runtime under paused time; a kill drops the runtime. The world and the disk live
//! outside. Points are: before each changing request, after it and before its reply, before each journal write, in the middle of it,
//! after it, and every sleep. With state in S3 nothing on this machine outlives a kill; journal writes are changing requests then.
//! Of that loop every fifth point is tried, and all of them with `MSKP_KILL_POINTS=all`.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "a test shows what it counted")]

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::{Cloud, PART_A, Process, pin};
use msk_pipeline_aws::state::{S3Place, S3Store, make_ready};
use msk_pipeline_core::run::{RunError, RunSummary};
use msk_pipeline_core::state::{Disk, FileStore, MemoryDisk, State, StateStore};
use msk_pipeline_core::{Clock, Entropy, RealClock, Timestamp};
use msk_pipeline_emulator::shell::{Call, Moment, Next};
use msk_pipeline_emulator::{Settings, World};
use msk_pipeline_local::Embedded;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// Counts the points of a run, and ends it at one of them.
#[derive(Default)]
struct Points {
    counted: AtomicUsize,
    fatal: usize,
    dead: Notify,
}

impl Points {
    fn kill_at(fatal: usize) -> Arc<Self> {
        Arc::new(Self { fatal, ..Self::default() })
    }

    /// True if the process dies here.
    fn hit(&self) -> bool {
        let n = self.counted.fetch_add(1, Ordering::Relaxed) + 1;
        if n == self.fatal {
            self.dead.notify_one();
        }
        self.fatal != 0 && n >= self.fatal
    }

    async fn pass(&self) {
        if self.hit() {
            std::future::pending::<()>().await;
        }
    }
}

#[derive(Clone)]
struct MortalDisk {
    inner: MemoryDisk,
    points: Arc<Points>,
}

#[async_trait]
impl Disk for MortalDisk {
    async fn read(&self, path: &Path) -> std::io::Result<Option<Vec<u8>>> {
        self.inner.read(path).await
    }

    async fn append(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.points.pass().await;
        if self.points.hit() {
            self.inner.append_torn(path, bytes, bytes.len() * 2 / 3);
            std::future::pending::<()>().await;
        }
        self.inner.append(path, bytes).await?;
        self.points.pass().await;
        Ok(())
    }

    async fn truncate(&self, path: &Path, len: u64) -> std::io::Result<()> {
        self.inner.truncate(path, len).await
    }

    async fn replace(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.points.pass().await;
        self.inner.replace(path, bytes).await
    }

    async fn lock(&self, path: &Path) -> std::io::Result<Option<Box<dyn Send + Sync>>> {
        self.inner.lock(path).await
    }
}

#[derive(Debug)]
struct MortalClock {
    inner: RealClock,
    points: Arc<Points>,
    wall: Arc<AtomicU64>,
}

impl std::fmt::Debug for Points {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Points")
    }
}

#[async_trait]
impl Clock for MortalClock {
    fn wall(&self) -> Timestamp {
        let wall = self.inner.wall();
        self.wall.store(wall.0, Ordering::Relaxed);
        wall
    }

    async fn sleep(&self, duration: Duration) {
        self.points.pass().await;
        self.inner.sleep(duration).await;
    }

    async fn grace(&self, duration: Duration) {
        self.inner.grace(duration).await;
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Verb {
    Apply,
    Destroy,
}

/// Where state lives.
#[derive(Clone, Copy, PartialEq)]
enum Store {
    File,
    S3,
}

const BUCKET: &str = "acme-state";

impl Store {
    /// The store as the next process opens it.
    fn open(
        self,
        cloud: &Cloud,
        clock: &Arc<dyn Clock>,
        points: &Arc<Points>,
    ) -> Arc<dyn StateStore> {
        match self {
            Store::File => {
                let disk = MortalDisk { inner: cloud.disk.clone(), points: Arc::clone(points) };
                Arc::new(FileStore::on(disk, "state"))
            }
            Store::S3 => {
                let session = Embedded::session(cloud.world.clone(), clock.clone(), "us-east-1");
                // No two processes begin at the same time, so that none draws another's lease.
                let ids = Arc::new(Entropy::seeded(cloud.wall.0));
                let place: S3Place = format!("s3://{BUCKET}").parse().unwrap();
                Arc::new(S3Store::new(&session, clock.clone(), ids, &place, "orders-cdc", &pin()))
            }
        }
    }
}

/// Runs one process. `None` if it was killed.
fn run(
    cloud: &mut Cloud,
    store: Store,
    points: &Arc<Points>,
    verb: Verb,
    toml: &str,
) -> Option<Result<RunSummary, RunError>> {
    let observer = {
        let points = Arc::clone(points);
        move |moment: Moment, call: &Call<'_>| {
            let counts = call.changing && matches!(moment, Moment::Before | Moment::Committed);
            if counts && points.hit() { Next::Stop } else { Next::Go }
        }
    };
    cloud.world.observe(Arc::new(observer));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let wall = Arc::new(AtomicU64::new(cloud.wall.0));
    let outcome = runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(MortalClock {
            inner: RealClock::starting_at(cloud.wall),
            points: Arc::clone(points),
            wall: Arc::clone(&wall),
        });
        let store = store.open(cloud, &clock, points);
        let process = Process::new(cloud, store, clock, 7);
        tokio::select! {
            biased;
            () = points.dead.notified() => None,
            result = async {
                match verb {
                    Verb::Apply => process.apply(toml).await,
                    Verb::Destroy => process.destroy(toml).await,
                }
            } => Some(result),
        }
    });
    drop(runtime);
    cloud.world.unobserve();
    // The next process starts a little later.
    cloud.wall = Timestamp(wall.load(Ordering::Relaxed)) + Duration::from_secs(20);
    outcome
}

fn state(cloud: &Cloud, store: Store) -> State {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(cloud.wall));
        let store = store.open(cloud, &clock, &Points::kill_at(0));
        store.load().await.unwrap().fold().unwrap()
    })
}

/// Times out of a value, everything else as it is: ids are drawn by label, so that they don't depend on the order of creation.
fn timeless(value: Value) -> Value {
    match value {
        Value::Number(n) if n.as_u64().is_some_and(|n| n > 1_600_000_000_000) => json!("time"),
        Value::Array(items) => items.into_iter().map(timeless).collect(),
        // Ids of requests, which an operation shows, are made from the time.
        Value::Object(map) => map
            .into_iter()
            .filter(|(key, _)| key != "request_id")
            .map(|(key, value)| (key, timeless(value)))
            .collect(),
        plain => plain,
    }
}

/// What exists, in the world and in state. Where state is kept counts by what is read from it.
fn canonical(cloud: &Cloud, store: Store) -> Value {
    let mut world = cloud.world.with(|w: &mut World| serde_json::to_value(&w.state).unwrap());
    if let Some(buckets) = world["s3"]["buckets"].as_object_mut() {
        buckets.remove(BUCKET);
    }
    if let Some(draws) = world["draws"].as_object_mut() {
        draws.retain(|label, _| !label.contains(BUCKET));
    }
    let state = state(cloud, store);
    assert_eq!(state.run, None, "the run is over");
    json!({ "world": timeless(world), "records": timeless(serde_json::to_value(state.records).unwrap()) })
}

#[track_caller]
fn same(found: &Value, expected: &Value, at: &str) {
    let lines = |v: &Value| {
        serde_json::to_string_pretty(v).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (found, expected) = (lines(found), lines(expected));
    if let Some(n) = (0..found.len().max(expected.len())).find(|&n| found.get(n) != expected.get(n))
    {
        let around =
            |v: &[String]| v[n.saturating_sub(10).min(v.len())..(n + 3).min(v.len())].join("\n");
        panic!("{at}: found\n{}\ninstead of\n{}", around(&found), around(&expected));
    }
}

fn prepared(store: Store, before: &[(Verb, &str)]) -> Cloud {
    let mut cloud = Cloud::new(Settings::default());
    if store == Store::S3 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(cloud.wall));
            let session = Embedded::session(cloud.world.clone(), clock, "us-east-1");
            let place: S3Place = format!("s3://{BUCKET}").parse().unwrap();
            make_ready(&session, &place, &pin()).await.unwrap();
        });
    }
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
                    let found = canonical(&cloud, store);
                    if found != expected {
                        problems.lock().unwrap().push(at.clone());
                        let first = problems.lock().unwrap().len() == 1;
                        if first {
                            same(&found, &expected, &at);
                        }
                    }
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
