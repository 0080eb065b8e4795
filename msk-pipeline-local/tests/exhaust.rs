//! Every point at which a process can die, over the whole recommended pipeline: at each of them another process, which has nothing but
//! the world and the state as they were at that moment, has to come to the end that an undisturbed run comes to. With state in S3 it has
//! the world alone: everything on the machine is gone.
//!
//! A kill *is* what the outside looks like at that moment, so the run is made once and the outside is copied at every point. On a sample
//! the successor dies too, at a point of its own, and a third process has to come to that end. What the points are stands at
//! `common::mortal`; `kill.rs` tries them by really dropping the process, as the successor's deaths here do.
//!
//! `MSKP_EXHAUST=all cargo test --workspace --test exhaust -- --nocapture` resumes from every point, and lets 200 successors of each loop
//! die; `MSKP_EXHAUST=n` does an nth of both. Without it a share is tried, evenly spread.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "a test shows what it counted")]

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::mortal::{Left, Points, Store, Verb, run_on, state};
use common::outside::{self, canonical, difference};
use common::{Cloud, PART_A};
use msk_pipeline_core::clock::Reading;
use msk_pipeline_core::run::ApplyOptions;
use msk_pipeline_core::state::{Holder, Lease, Loaded, Stamped, State, StateStore, StoreError};
use msk_pipeline_emulator::Settings;
use serde_json::{Value, json};

const MYSQL_CDC: &str = include_str!("../../examples/mysql-cdc.toml");

/// What a process is asked to do, and where it keeps state.
#[derive(Clone, Copy)]
struct Job<'a> {
    verb: Verb,
    toml: &'a str,
    store: Store,
    /// What is put around the store.
    around: fn(Arc<dyn StateStore>) -> Arc<dyn StateStore>,
}

impl<'a> Job<'a> {
    fn new(store: Store, verb: Verb, toml: &'a str) -> Self {
        Self { verb, toml, store, around: |store| store }
    }

    /// One process. `None` if it was killed; an error unless it did everything, else whether it took over from a dead one.
    fn run(&self, cloud: &mut Cloud, points: &Arc<Points>) -> Option<Result<bool, String>> {
        let Self { verb, toml, store, around } = *self;
        let consent_to_all = verb == Verb::Destroy;
        let options = ApplyOptions { consent_to_all, ..ApplyOptions::default() };
        let ended = run_on(cloud, store, points, verb, toml, options, around)?;
        Some(match ended.result {
            Ok(summary) if summary.is_complete() => Ok(ended.took_over),
            Ok(summary) => Err(format!("{summary:?} {:#?}", ended.failures)),
            Err(error) => Err(error.to_string()),
        })
    }

    /// One process that nobody kills.
    fn finish(&self, cloud: &mut Cloud) -> Result<bool, String> {
        self.run(cloud, &Points::kill_at(0)).expect("nobody kills it")
    }
}

/// How much of it is tried.
#[derive(Clone, Copy)]
struct Share {
    /// At every how-manieth point what a death leaves is looked at.
    looks: usize,
    /// Every how-manieth point is resumed from.
    stride: usize,
    /// How many successors die as well.
    again: usize,
}

impl Share {
    /// Of `counted` points: all, every nth, or, if `MSKP_EXHAUST` says nothing, so few that it takes seconds.
    fn of(counted: usize) -> Self {
        let (stride, again) = match std::env::var("MSKP_EXHAUST").as_deref() {
            Ok("all") => (1, 200),
            Ok(n) => {
                let n: usize = n.parse().expect("MSKP_EXHAUST is `all` or a number");
                (n, 200 / n)
            }
            Err(_) => (counted.div_ceil(10), 3),
        };
        Self { looks: stride.div_ceil(4), stride, again }
    }
}

/// Tries points on two threads, in order.
fn each<T: Sync>(of: &[T], stride: usize, judge: impl Fn(usize, &T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(stride, Ordering::Relaxed);
                    let Some(item) = of.get(n) else { break };
                    judge(n, item);
                }
            });
        }
    });
}

/// What came of the deaths in one loop.
#[derive(Debug, Default)]
struct Report {
    counted: usize,
    killed: usize,
    /// Successors that waited for a dead one's lease to end.
    took_over: usize,
    /// Successors that were killed in their turn.
    again: usize,
    /// Successors that should have been, and had no point left.
    over: usize,
    /// Objects that nobody would ever delete, as a death left them.
    orphans: Vec<String>,
    /// Ends other than the undisturbed one.
    problems: Vec<String>,
}

/// Deaths of one job, and what they are held to.
struct Deaths<'a> {
    job: Job<'a>,
    /// What was there before the job began.
    before: BTreeSet<String>,
    /// What is there when nobody dies.
    expected: Value,
    report: Mutex<Report>,
}

impl Deaths<'_> {
    /// Kills `job`, which begins in `base`.
    fn of(job: Job<'_>, base: &Cloud, share: impl FnOnce(usize) -> Share) -> Report {
        let (mut undisturbed, points) = (base.fork(), Points::copying());
        job.run(&mut undisturbed, &points).expect("nobody kills it").unwrap();
        let (counted, left) = (points.count(), points.left());
        assert_eq!(left.len(), counted);
        let deaths = Deaths {
            job,
            before: outside::inventory(base),
            expected: canonical(&undisturbed, job.store),
            report: Mutex::new(Report { counted, ..Report::default() }),
        };
        let Share { looks, stride, again } = share(counted);
        let tried = counted.div_ceil(stride);
        each(&left, looks, |n, Left { what, cloud }| {
            deaths.look(&format!("killed at {n} of {counted} ({what})"), cloud);
        });
        each(&left, stride, |n, Left { what, cloud }| {
            let at = format!("killed at {n} of {counted} ({what})");
            let points = deaths.succeed(&at, cloud.fork());
            for i in (0..again).filter(|i| i * tried / again == n / stride) {
                deaths.die_again(&at, cloud.fork(), points, i);
            }
        });
        let report = deaths.report.into_inner().unwrap();
        assert_eq!(report.killed, tried);
        assert_eq!(report.again + report.over, again);
        report
    }

    /// What a death left is named in the state that it left.
    fn look(&self, at: &str, cloud: &Cloud) {
        let known = serde_json::to_string(&state(cloud, self.job.store).records).unwrap();
        let orphans = outside::orphans(cloud, &known, &self.before);
        let mut report = self.report.lock().unwrap();
        report.orphans.extend(orphans.iter().map(|orphan| format!("{at}: {orphan}")));
    }

    /// The successor of a process that was killed, and how many points it had.
    fn succeed(&self, at: &str, cloud: Cloud) -> usize {
        let (took_over, points) = self.end(at, cloud);
        let mut report = self.report.lock().unwrap();
        report.killed += 1;
        report.took_over += usize::from(took_over);
        points
    }

    /// The `i`th successor to die itself, of those that have so many points, and the successor's successor.
    fn die_again(&self, at: &str, mut cloud: Cloud, points: usize, i: usize) {
        if points == 0 {
            self.report.lock().unwrap().over += 1;
            return;
        }
        // Steps of the golden section: evenly spread over the course of a successor, however few there are.
        let fatal = 1 + points * (i * 610 % 987) / 987;
        let at = format!("{at}, then at {fatal} of {points}");
        let ended = self.job.run(&mut cloud, &Points::kill_at(fatal));
        assert!(ended.is_none(), "{at}: it ended before");
        self.look(&at, &cloud);
        self.end(&at, cloud);
        self.report.lock().unwrap().again += 1;
    }

    /// A process that comes to the undisturbed end. Whether it took over, and how many points it had.
    fn end(&self, at: &str, mut cloud: Cloud) -> (bool, usize) {
        let points = Points::kill_at(0);
        let result = self.job.run(&mut cloud, &points).expect("nobody kills it");
        let problem = match &result {
            Err(problem) => Some(problem.clone()),
            Ok(_) => difference(&canonical(&cloud, self.job.store), &self.expected),
        };
        let mut report = self.report.lock().unwrap();
        report.problems.extend(problem.map(|problem| format!("{at}: {problem}")));
        (result.unwrap_or_default(), points.count())
    }
}

/// A world in which `before` was carried out.
fn prepared(store: Store, before: &[(Verb, &str)]) -> Cloud {
    let mut cloud = store.world(Settings::default());
    for (verb, toml) in before {
        Job::new(store, *verb, toml).finish(&mut cloud).unwrap();
    }
    cloud
}

fn exhaust(title: &str, store: Store, before: &[(Verb, &str)], verb: Verb, toml: &str) {
    let job = Job::new(store, verb, toml);
    let report = Deaths::of(job, &prepared(store, before), Share::of);
    let Report { counted, killed, took_over, again, over, orphans, problems } = report;
    println!(
        "{title}: counted {counted}, killed {killed}, of their successors {took_over} took over a lease, {again} were killed again and \
         {over} had no point left; orphans {}, other ends {}",
        orphans.len(),
        problems.len()
    );
    let found: Vec<_> = orphans.into_iter().chain(problems).collect();
    let first = found[..found.len().min(9)].join("\n");
    assert!(found.is_empty(), "{title}: {} problems\n{first}", found.len());
    // A lease is held at all but the first and the last points; a file's lock ends with its process.
    let leased = store == Store::S3;
    assert_eq!(took_over > 0, leased, "{title}");
    assert!(
        !leased || took_over + killed.div_ceil(10) >= killed,
        "{title}: {took_over} of {killed}"
    );
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
    exhaust("create", Store::File, &[], Verb::Apply, MYSQL_CDC);
}

#[test]
fn update_survives_a_death_at_every_point() {
    exhaust("update", Store::File, &[(Verb::Apply, MYSQL_CDC)], Verb::Apply, &edited());
}

#[test]
fn destroy_survives_a_death_at_every_point() {
    exhaust("destroy", Store::File, &[(Verb::Apply, MYSQL_CDC)], Verb::Destroy, MYSQL_CDC);
}

#[test]
fn create_survives_deaths_that_leave_nothing_on_the_machine() {
    exhaust("create, state in S3", Store::S3, &[], Verb::Apply, MYSQL_CDC);
}

#[test]
fn update_survives_deaths_that_leave_nothing_on_the_machine() {
    let before = [(Verb::Apply, MYSQL_CDC)];
    exhaust("update, state in S3", Store::S3, &before, Verb::Apply, &edited());
}

#[test]
fn destroy_survives_deaths_that_leave_nothing_on_the_machine() {
    let before = [(Verb::Apply, MYSQL_CDC)];
    exhaust("destroy, state in S3", Store::S3, &before, Verb::Destroy, MYSQL_CDC);
}

/// Says that a batch is stored, and stores it with the next one: a kill loses the last.
struct Behind<S> {
    inner: S,
    held: Option<(u64, Vec<Stamped>)>,
}

impl<S> Behind<S> {
    fn new(inner: S) -> Self {
        Self { inner, held: None }
    }
}

#[async_trait]
impl StateStore for Behind<Arc<dyn StateStore>> {
    async fn load(&self) -> Result<Loaded, StoreError> {
        self.inner.load().await
    }
    async fn lease(&self, holder: Holder) -> Result<Box<dyn Lease>, StoreError> {
        Ok(Box::new(Behind::new(self.inner.lease(holder).await?)))
    }
    fn location(&self) -> String {
        self.inner.location()
    }
}

impl Behind<Box<dyn Lease>> {
    async fn catch_up(&mut self) -> Result<(), StoreError> {
        let Some((head, entries)) = self.held.take() else { return Ok(()) };
        self.inner.append(head, &entries).await
    }
}

#[async_trait]
impl Lease for Behind<Box<dyn Lease>> {
    async fn load(&mut self) -> Result<Loaded, StoreError> {
        self.catch_up().await?;
        self.inner.load().await
    }
    async fn append(&mut self, expected_head: u64, entries: &[Stamped]) -> Result<(), StoreError> {
        self.catch_up().await?;
        self.held = Some((expected_head, entries.to_vec()));
        Ok(())
    }
    async fn compact(&mut self, state: &State) -> Result<(), StoreError> {
        self.catch_up().await?;
        self.inner.compact(state).await
    }
    async fn release(&mut self) -> Result<(), StoreError> {
        self.catch_up().await?;
        self.inner.release().await
    }
    fn confirmed_at(&self) -> Option<Reading> {
        self.inner.confirmed_at()
    }
    async fn renew(&mut self) -> Result<(), StoreError> {
        self.inner.renew().await
    }
    fn taken_from(&self) -> Option<Holder> {
        self.inner.taken_from()
    }
}

/// The tests above would notice: every object that a create makes is one whose *begin* can be in the last batch.
#[test]
fn with_a_store_that_loses_the_last_batch_there_are_orphans() {
    for store in [Store::File, Store::S3] {
        let around = |store| Arc::new(Behind::new(store)) as Arc<dyn StateStore>;
        let job = Job { around, ..Job::new(store, Verb::Apply, PART_A) };
        let base = prepared(store, &[]);
        let mut whole = base.fork();
        job.finish(&mut whole).unwrap();
        let made = &outside::inventory(&whole) - &outside::inventory(&base);
        assert_eq!(made.len(), 4, "{made:?}");

        let share = |counted| Share { looks: 1, stride: counted, again: 0 };
        let report = Deaths::of(job, &base, share);
        let lost = |object: &&String| report.orphans.iter().any(|orphan| orphan.ends_with(*object));
        let unnoticed: Vec<_> = made.iter().filter(|object| !lost(object)).collect();
        assert!(unnoticed.is_empty(), "{unnoticed:?}");
        let nobodys = |orphan: &&String| !made.iter().any(|object| orphan.ends_with(object));
        assert_eq!(report.orphans.iter().find(nobodys), None);
    }
}

/// A destroy from here leaves what was there `before` any of it, and nothing in state.
fn leaves_no_trace(cloud: &mut Cloud, toml: &str, before: &BTreeSet<String>) -> Result<(), String> {
    Job::new(Store::File, Verb::Destroy, toml).finish(cloud)?;
    let after = outside::inventory(cloud);
    let left: Vec<_> = after.symmetric_difference(before).collect();
    if !left.is_empty() {
        return Err(format!("left or taken: {left:?}"));
    }
    let records = state(cloud, Store::File).records;
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
    let points = Points::copying();
    Job::new(Store::File, Verb::Apply, &toml).run(&mut cloud, &points).unwrap().unwrap();
    let (counted, left) = (points.count(), points.left());
    let (tried, problems) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let Share { stride, .. } = Share::of(counted);
    each(&left, stride, |n, Left { what, cloud }| {
        tried.fetch_add(1, Ordering::Relaxed);
        if let Err(problem) = leaves_no_trace(&mut cloud.fork(), &toml, &before) {
            problems.lock().unwrap().push(format!("killed at {n} ({what}): {problem}"));
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
        let failed = Job::new(Store::File, Verb::Apply, &toml).finish(&mut cloud);
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
    Job::new(Store::File, Verb::Apply, &toml).finish(&mut cloud).unwrap();
    cloud.world.with(|world| *world = empty);
    leaves_no_trace(&mut cloud, &toml, &before).unwrap();
}
