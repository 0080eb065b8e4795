//! Processes that can be killed at any counted point: a simulated process is one fresh current-thread runtime under paused time; a kill
//! drops the runtime. The world and the disk live outside.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_aws::Session;
use msk_pipeline_aws::state::{S3Place, S3Store, make_ready};
use msk_pipeline_core::clock::Reading;
use msk_pipeline_core::run::{ApplyOptions, AutoApprove, Cancel, RunError, RunSummary};
use msk_pipeline_core::state::{Disk, FileStore, MemoryDisk, State, StateStore};
use msk_pipeline_core::{Clock, Entropy, RealClock, Timestamp, plan};
use msk_pipeline_emulator::Settings;
use msk_pipeline_emulator::shell::{Call, Moment, Next};
use msk_pipeline_local::Embedded;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::trouble::{self, Trouble};
use super::{Cloud, Process, pin};

/// Counts the points of a run, and ends it at one of them.
#[derive(Default)]
pub struct Points {
    pub counted: AtomicUsize,
    fatal: usize,
    dead: Notify,
    /// The append from which on the disk is full.
    pub full_at: Option<usize>,
    appends: AtomicUsize,
    /// What goes wrong with its clocks and its lease.
    pub trouble: Arc<Trouble>,
}

impl Points {
    pub fn kill_at(fatal: usize) -> Arc<Self> {
        Arc::new(Self::dying_at(fatal))
    }

    pub fn dying_at(fatal: usize) -> Self {
        Self { fatal, ..Self::default() }
    }

    /// True if an append met a full disk.
    pub fn was_full(&self) -> bool {
        self.full_at.is_some_and(|n| self.appends.load(Ordering::Relaxed) >= n)
    }

    /// True if the process dies here.
    pub fn hit(&self) -> bool {
        let n = self.counted.fetch_add(1, Ordering::Relaxed) + 1;
        if n == self.fatal {
            self.dead.notify_one();
        }
        self.fatal != 0 && n >= self.fatal
    }

    pub async fn pass(&self) {
        if self.hit() {
            std::future::pending::<()>().await;
        }
    }
}

#[derive(Clone)]
pub struct MortalDisk {
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
        self.points.appends.fetch_add(1, Ordering::Relaxed);
        if self.points.was_full() {
            self.inner.append_torn(path, bytes, bytes.len() / 3);
            return Err(std::io::ErrorKind::StorageFull.into());
        }
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
pub struct MortalClock {
    inner: RealClock,
    points: Arc<Points>,
    began: Timestamp,
}

impl std::fmt::Debug for Points {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Points")
    }
}

#[async_trait]
impl Clock for MortalClock {
    fn wall(&self) -> Timestamp {
        self.points.trouble.wall(self.inner.wall())
    }

    fn reading(&self) -> Reading {
        let world = self.inner.wall();
        self.points.trouble.reading(world, world.since(self.began))
    }

    async fn sleep(&self, duration: Duration) {
        self.points.pass().await;
        self.points.trouble.wait();
        self.inner.sleep(duration).await;
    }

    async fn grace(&self, duration: Duration) {
        self.inner.grace(duration).await;
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
    S3,
}

pub const BUCKET: &str = "acme-state";

impl Store {
    /// The store as the next process opens it.
    pub fn open(
        self,
        cloud: &Cloud,
        session: &Session,
        clock: &Arc<dyn Clock>,
        points: &Arc<Points>,
    ) -> Arc<dyn StateStore> {
        match self {
            Store::File => {
                let disk = MortalDisk { inner: cloud.disk.clone(), points: Arc::clone(points) };
                Arc::new(FileStore::on(disk, "state"))
            }
            Store::S3 => {
                // No two processes begin at the same time, so that none draws another's lease.
                let ids = Arc::new(Entropy::seeded(cloud.wall.0));
                let place: S3Place = format!("s3://{BUCKET}").parse().unwrap();
                Arc::new(S3Store::new(session, clock.clone(), ids, &place, "orders-cdc", &pin()))
            }
        }
    }
}

impl Store {
    /// A fresh world in which state can be kept here.
    pub fn world(self, settings: Settings) -> Cloud {
        let cloud = Cloud::new(settings);
        if self == Store::S3 {
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
        cloud
    }
}

/// Plans in a process of its own, which changes nothing.
///
/// # Errors
/// It failed, or what is outside is not as it was before.
pub fn plan(cloud: &Cloud, store: Store, toml: &str) -> Result<(), String> {
    let outside = || (cloud.world.with(|world| world.revision), cloud.disk.files());
    let before = outside();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let planned = runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(cloud.wall));
        let session = Embedded::session(cloud.world.clone(), clock.clone(), "us-east-1");
        let store = store.open(cloud, &session, &clock, &Points::kill_at(0));
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
    let (outcome, wall) = runtime.block_on(async {
        let world = RealClock::starting_at(cloud.wall);
        let clock: Arc<dyn Clock> = Arc::new(MortalClock {
            inner: world.clone(),
            points: Arc::clone(points),
            began: cloud.wall,
        });
        let session = trouble::session(cloud, &points.trouble);
        let store = store.open(cloud, &session, &clock, points);
        let process = Process::on(session, store, clock, 7);
        let outcome = tokio::select! {
            biased;
            () = points.dead.notified() => None,
            result = async {
                let (engine, graph, never) =
                    (&process.engine, process.graph(toml), Cancel::never());
                match verb {
                    Verb::Apply => engine.apply(&graph, options, &AutoApprove, &never).await,
                    Verb::Destroy => engine.destroy(&graph, options, &AutoApprove, &never).await,
                }
            } => Some(result),
        };
        (outcome, world.wall())
    });
    drop(runtime);
    cloud.world.unobserve();
    // The next process starts a little later.
    cloud.wall = wall + Duration::from_secs(20);
    outcome
}

pub fn state(cloud: &Cloud, store: Store) -> State {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(cloud.wall));
        let session = Embedded::session(cloud.world.clone(), clock.clone(), "us-east-1");
        let store = store.open(cloud, &session, &clock, &Points::kill_at(0));
        store.load().await.unwrap().fold().unwrap()
    })
}

/// Times out of a value, everything else as it is: ids are drawn by label, so that they don't depend on the order of creation.
pub fn timeless(value: Value) -> Value {
    match value {
        Value::Number(n) if n.as_u64().is_some_and(|n| n > 1_600_000_000_000) => json!("time"),
        Value::Array(items) => items.into_iter().map(timeless).collect(),
        // Ids of requests, which an operation shows, and of lines in a log are made from the time.
        Value::Object(map) => map
            .into_iter()
            .filter(|(key, _)| key != "request_id" && key != "events")
            .map(|(key, value)| (key, timeless(value)))
            .collect(),
        plain => plain,
    }
}

/// What exists outside of every process.
pub mod outside {
    use std::collections::BTreeSet;

    use msk_pipeline_emulator::services::SERVICES;

    use serde_json::Value;

    use super::{BUCKET, Cloud, Timestamp};

    /// As `service kind id`.
    pub fn inventory(cloud: &Cloud) -> BTreeSet<String> {
        inventory_at(cloud, cloud.wall)
    }

    /// The same at another moment.
    pub fn inventory_at(cloud: &Cloud, now: Timestamp) -> BTreeSet<String> {
        cloud.world.with(|world| {
            let all = SERVICES.iter().flat_map(|service| {
                let rows = (service.inventory)(world, now.0);
                rows.into_iter().map(|(kind, id, _)| format!("{} {kind} {id}", service.name))
            });
            all.collect()
        })
    }

    /// What is in objects without being one: versions in buckets, rules of groups, policies of roles. The last word of each row is the
    /// object's. What is in the bucket that keeps state is left out.
    pub fn parts(cloud: &Cloud) -> BTreeSet<String> {
        let (ec2, s3, iam) = cloud.world.with(|world| {
            let value = |part: serde_json::Result<Value>| part.unwrap();
            (
                value(serde_json::to_value(&world.state.ec2)),
                value(serde_json::to_value(&world.state.s3)),
                value(serde_json::to_value(&world.state.iam)),
            )
        });
        let mut rows = BTreeSet::new();
        for (bucket, value) in entries(&s3["buckets"]).filter(|(name, _)| *name != BUCKET) {
            for (key, versions) in entries(&value["objects"]) {
                for version in versions.as_array().unwrap() {
                    rows.insert(format!("version {} of {key} in {bucket}", version["id"]));
                }
            }
        }
        for (group, value) in entries(&ec2["groups"]) {
            rows.extend(entries(&value["rules"]).map(|(id, _)| format!("rule {id} of {group}")));
        }
        for (role, value) in entries(&iam["roles"]) {
            let inline = entries(&value["inline"]).map(|(id, _)| id.as_str());
            let attached = value["attached"].as_array().unwrap().iter().filter_map(Value::as_str);
            rows.extend(inline.chain(attached).map(|id| format!("policy {id} of {role}")));
        }
        rows
    }

    fn entries(map: &Value) -> impl Iterator<Item = (&String, &Value)> {
        map.as_object().expect("a map").iter()
    }

    /// Objects that were made since `before` and that `known`, the state as text, does not name: nobody would ever delete them.
    pub fn orphans(cloud: &Cloud, known: &str, before: &BTreeSet<String>) -> Vec<String> {
        let now = inventory(cloud);
        let ec2 = cloud.world.with(|world| serde_json::to_value(&world.state.ec2).unwrap());
        let unknown = now.difference(before).filter(|row| {
            let id = row.rsplit(' ').next().unwrap();
            let name = ec2["groups"][id]["name"].as_str().unwrap_or(id);
            // The managed master secret comes and goes with its cluster; a final snapshot is announced, and stays.
            let of_cluster = ["secretsmanager secret rds!cluster-", "rds db-cluster-snapshot "];
            !known.contains(name) && !of_cluster.iter().any(|kind| row.starts_with(kind))
        });
        unknown.cloned().collect()
    }
}
