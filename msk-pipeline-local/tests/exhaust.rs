//! Every point at which a process can die, over the whole recommended pipeline: at each of them another process, which has nothing but
//! the world and the state as they were at that moment, has to come to the end that an undisturbed run comes to.
//!
//! A kill *is* what the outside looks like at that moment, so the run is made once and the outside is copied at every point; `kill.rs`
//! really drops the runtime, and both count the same points. A point is: before each changing request, after it took effect and before
//! its reply, before each journal write, in the middle of it, after it, before each snapshot, and every wait.
//!
//! `MSKP_EXHAUST=all cargo test --workspace --test exhaust -- --nocapture` resumes from every point; without it
//! from a share of them, evenly spread.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "a test shows what it counted")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::mortal::{Verb, outside, timeless};
use common::twin::difference;
use common::{Cloud, Process};
use msk_pipeline_core::state::{Disk, FileStore, MemoryDisk, State};
use msk_pipeline_core::{Clock, RealClock, Timestamp};
use msk_pipeline_emulator::shell::{Call, InProcess, Moment, Next};
use msk_pipeline_emulator::{Settings, World};
use serde_json::{Value, json};

const MYSQL_CDC: &str = include_str!("../../examples/mysql-cdc.toml");

/// The outside at one moment: all that a process which dies there leaves.
struct Left {
    what: &'static str,
    world: World,
    disk: MemoryDisk,
    wall: Timestamp,
}

impl Left {
    fn cloud(&self) -> Cloud {
        let world = InProcess::new(self.world.clone());
        // The next process starts a little later.
        let wall = self.wall + Duration::from_secs(20);
        Cloud { world, disk: self.disk.fork(), wall }
    }
}

/// Copies the outside at every point, if it is told to.
struct Points {
    counted: AtomicUsize,
    copies: bool,
    left: Mutex<Vec<Left>>,
    world: Arc<InProcess>,
    disk: MemoryDisk,
    clock: RealClock,
}

impl std::fmt::Debug for Points {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Points")
    }
}

impl Points {
    fn pass(&self, what: &'static str) {
        self.pass_with(what, |_| ());
    }

    /// `last` is what the disk still gets.
    fn pass_with(&self, what: &'static str, last: impl FnOnce(&MemoryDisk)) {
        self.counted.fetch_add(1, Ordering::Relaxed);
        if !self.copies {
            return;
        }
        let disk = self.disk.fork();
        last(&disk);
        let left = Left { what, world: self.world.snapshot(), disk, wall: self.clock.wall() };
        self.left.lock().unwrap().push(left);
    }
}

#[derive(Clone)]
struct WatchedDisk {
    inner: MemoryDisk,
    points: Arc<Points>,
}

#[async_trait]
impl Disk for WatchedDisk {
    async fn read(&self, path: &Path) -> std::io::Result<Option<Vec<u8>>> {
        self.inner.read(path).await
    }

    async fn append(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.points.pass("before an append");
        let torn = bytes.len() * 2 / 3;
        self.points.pass_with("a torn append", |disk| disk.append_torn(path, bytes, torn));
        self.inner.append(path, bytes).await?;
        self.points.pass("after an append");
        Ok(())
    }

    async fn truncate(&self, path: &Path, len: u64) -> std::io::Result<()> {
        self.inner.truncate(path, len).await
    }

    async fn replace(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.points.pass("before a snapshot");
        self.inner.replace(path, bytes).await
    }

    async fn lock(&self, path: &Path) -> std::io::Result<Option<Box<dyn Send + Sync>>> {
        self.inner.lock(path).await
    }
}

#[derive(Debug)]
struct WatchedClock(Arc<Points>);

#[async_trait]
impl Clock for WatchedClock {
    fn wall(&self) -> Timestamp {
        self.0.clock.wall()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.pass("a wait");
        self.0.clock.sleep(duration).await;
    }

    async fn grace(&self, duration: Duration) {
        self.0.clock.grace(duration).await;
    }
}

/// One process that is not disturbed; what it left at each point, if that is asked for.
fn run(
    cloud: &mut Cloud,
    verb: Verb,
    toml: &str,
    copies: bool,
) -> Result<(usize, Vec<Left>), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let points = Arc::new(Points {
            counted: AtomicUsize::new(0),
            copies,
            left: Mutex::default(),
            world: cloud.world.clone(),
            disk: cloud.disk.clone(),
            clock: RealClock::starting_at(cloud.wall),
        });
        let watch = Arc::clone(&points);
        cloud.world.observe(Arc::new(move |moment: Moment, call: &Call<'_>| {
            match moment {
                Moment::Before if call.changing => watch.pass("before a request"),
                Moment::Committed if call.changing => watch.pass("before a reply"),
                _ => {}
            }
            Next::Go
        }));
        let disk = WatchedDisk { inner: cloud.disk.clone(), points: Arc::clone(&points) };
        let store = Arc::new(FileStore::on(disk, "state"));
        let clock = Arc::new(WatchedClock(Arc::clone(&points)));
        let process = Process::new(cloud, store, clock, 7).of(toml);
        let result = match verb {
            Verb::Apply => process.apply(toml).await,
            Verb::Destroy => process.destroy(toml).await,
        };
        cloud.world.unobserve();
        cloud.wall = points.clock.wall() + Duration::from_secs(20);
        match result {
            Ok(summary) if summary.is_complete() => {}
            Ok(summary) => return Err(format!("{summary:?} {:#?}", process.failures())),
            Err(error) => return Err(error.to_string()),
        }
        let left = std::mem::take(&mut *points.left.lock().unwrap());
        Ok((points.counted.load(Ordering::Relaxed), left))
    })
}

fn state(disk: &MemoryDisk) -> State {
    let store = FileStore::on(disk.fork(), "state");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        use msk_pipeline_core::state::StateStore as _;
        store.load().await.unwrap().fold().unwrap()
    })
}

/// What exists, in the world and in state, without what may differ between two ways to the same end.
fn canonical(cloud: &Cloud) -> Value {
    let mut world = cloud.world.with(|w: &mut World| serde_json::to_value(&w.state).unwrap());
    // Interfaces that outlived their instance are struck out when somebody looks, not when they go.
    let lingers = |i: &Value| i["until"].as_u64().is_none_or(|until| until > cloud.wall.0);
    world["rds"]["interfaces"].as_array_mut().unwrap().retain(lingers);
    // A password that was drawn and never stored leaves nothing but the count of draws.
    world["draws"].as_object_mut().unwrap().remove("secretsmanager/random-password");
    let records = serde_json::to_value(state(&cloud.disk).records).unwrap();
    json!({ "world": timeless(world), "records": timeless(records) })
}

/// Every how-manieth point is resumed from.
fn stride() -> usize {
    match std::env::var("MSKP_EXHAUST").as_deref() {
        Ok("all") => 1,
        _ => 11,
    }
}

fn exhaust(title: &str, before: &[(Verb, &str)], verb: Verb, toml: &str) {
    let mut base = Cloud::new(Settings::default());
    for (verb, toml) in before {
        run(&mut base, *verb, toml, false).unwrap();
    }
    let rows = outside::inventory(&base);
    let mut undisturbed = base.fork();
    let (counted, left) = run(&mut undisturbed, verb, toml, true).unwrap();
    assert_eq!(left.len(), counted);
    let expected = canonical(&undisturbed);
    for (n, left) in left.iter().enumerate() {
        let known = serde_json::to_string(&state(&left.disk).records).unwrap();
        let orphans = outside::orphans(&left.cloud(), &known, &rows);
        assert!(orphans.is_empty(), "{title}, {n} ({}): {orphans:?}", left.what);
    }

    let end = |left: &Left| {
        let mut cloud = left.cloud();
        run(&mut cloud, verb, toml, false)?;
        difference(&canonical(&cloud), &expected, "").map_or(Ok(()), Err)
    };
    let (next, killed, again) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let problems = Mutex::new(Vec::new());
    let stride = stride();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(stride, Ordering::Relaxed);
                    let Some(first) = left.get(n) else { break };
                    let told = |result: Result<(), String>, what: &str| {
                        let at =
                            format!("{title}, killed at {n} of {counted} ({}){what}", first.what);
                        problems.lock().unwrap().extend(result.err().map(|e| format!("{at}: {e}")));
                    };
                    killed.fetch_add(1, Ordering::Relaxed);
                    told(end(first), "");
                    // And again, at a point of the recovery itself.
                    if n % 5 == 0 {
                        let mut cloud = first.cloud();
                        match run(&mut cloud, verb, toml, true) {
                            Err(error) => told(Err(error), ""),
                            Ok((points, second)) if points > 0 => {
                                let second = &second[n * 7919 % points];
                                again.fetch_add(1, Ordering::Relaxed);
                                told(end(second), &format!(", then at {}", second.what));
                            }
                            Ok(_) => {}
                        }
                    }
                }
            });
        }
    });
    let (killed, again) = (killed.into_inner(), again.into_inner());
    println!("{title}: counted {counted}, killed {killed}, killed again in the recovery {again}");
    let problems = problems.into_inner().unwrap();
    assert!(
        problems.is_empty(),
        "{} problems\n{}",
        problems.len(),
        problems[..problems.len().min(9)].join("\n")
    );
    assert_eq!(killed, counted.div_ceil(stride), "{title}");
}

fn edited() -> String {
    let edits = [
        ("count = 3", "count = 6"),
        ("Team = \"data\"", "Team = \"platform\""),
        ("\"shop.customers\"]", "\"shop.customers\", \"shop.returns\"]"),
        ("retention = \"14d\"", "retention = \"21d\""),
        ("binlog_retention = \"7d\"", "binlog_retention = \"3d\""),
        (
            "readers    = { a = { class = \"db.r7g.large\" } }",
            "readers    = { a = { class = \"db.r7g.xlarge\" }, b = { class = \"db.r7g.large\" } }",
        ),
    ];
    edits.iter().fold(MYSQL_CDC.to_owned(), |toml, (from, to)| {
        assert_eq!(toml.matches(from).count(), 1, "{from}");
        toml.replace(from, to)
    })
}

#[test]
fn create_survives_a_death_at_every_point() {
    exhaust("create", &[], Verb::Apply, MYSQL_CDC);
}

#[test]
fn update_survives_a_death_at_every_point() {
    exhaust("update", &[(Verb::Apply, MYSQL_CDC)], Verb::Apply, &edited());
}

#[test]
fn destroy_survives_a_death_at_every_point() {
    exhaust("destroy", &[(Verb::Apply, MYSQL_CDC)], Verb::Destroy, MYSQL_CDC);
}

/// A destroy from here leaves what was there `before` any of it, and nothing in state.
fn leaves_no_trace(cloud: &mut Cloud, toml: &str, before: &BTreeSet<String>) -> Result<(), String> {
    run(cloud, Verb::Destroy, toml, false)?;
    let after = outside::inventory(cloud);
    let left: Vec<_> = after.symmetric_difference(before).collect();
    if !left.is_empty() {
        return Err(format!("left or taken: {left:?}"));
    }
    let records = state(&cloud.disk).records;
    if records.is_empty() { Ok(()) } else { Err(format!("recorded: {records:?}")) }
}

fn without_snapshot() -> String {
    let toml = MYSQL_CDC.replace("on_destroy = \"snapshot\"", "on_destroy = \"delete\"");
    assert_ne!(toml, MYSQL_CDC);
    toml
}

#[test]
fn a_create_that_died_anywhere_is_destroyed_without_a_trace() {
    let toml = without_snapshot();
    let mut cloud = Cloud::new(Settings::default());
    let before = outside::inventory(&cloud);
    let (counted, left) = run(&mut cloud, Verb::Apply, &toml, true).unwrap();
    let (next, tried) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let problems = Mutex::new(Vec::new());
    let stride = stride();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(left) = left.get(next.fetch_add(stride, Ordering::Relaxed)) {
                    let n = tried.fetch_add(1, Ordering::Relaxed);
                    if let Err(problem) = leaves_no_trace(&mut left.cloud(), &toml, &before) {
                        let at = format!("the {n}th ({})", left.what);
                        problems.lock().unwrap().push(format!("{at}: {problem}"));
                    }
                }
            });
        }
    });
    let (tried, problems) = (tried.into_inner(), problems.into_inner().unwrap());
    println!("destroyed after a death at {tried} of {counted} points of a create");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!(tried, counted.div_ceil(stride));
}

/// What failed in AWS, late or at once, is in nobody's way.
#[test]
fn what_failed_is_destroyed_without_a_trace() {
    let toml = without_snapshot();
    for dial in ["kafka.create-fails", "rds.create-instance-fails", "kafkaconnect.create-fails"] {
        let mut cloud = Cloud::new(Settings::default());
        let before = outside::inventory(&cloud);
        cloud.world.with(|world| world.faults.set(dial, json!(true)));
        let failed = run(&mut cloud, Verb::Apply, &toml, false);
        assert!(failed.is_err(), "{dial} fails nothing");
        // Killed, or run anew: what is there is destroyed either way, and so it is while it still fails.
        leaves_no_trace(&mut cloud.fork(), &toml, &before)
            .unwrap_or_else(|e| panic!("{dial}: {e}"));
    }
}

/// Everything was deleted by somebody else, as far as AWS lets anybody, before the destroy.
#[test]
fn a_destroy_of_what_is_gone_is_no_failure() {
    let toml = without_snapshot();
    let mut cloud = Cloud::new(Settings::default());
    let before = outside::inventory(&cloud);
    let empty = cloud.world.snapshot();
    run(&mut cloud, Verb::Apply, &toml, false).unwrap();
    cloud.world.with(|world| *world = empty);
    leaves_no_trace(&mut cloud, &toml, &before).unwrap();
}
