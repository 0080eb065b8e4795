//! Simulation: a seed decides the pipeline, its edits, who interferes, what goes wrong, and when the process dies. Whatever it is, nothing of
//! ours exists that state does not name, no request is sent that was not announced, and the end is what was declared.
//!
//! `cargo test --workspace --test simulate -- --nocapture` runs a bounded number of seeds; `MSKP_SEEDS=10000`
//! runs that many, `MSKP_SEED=n` replays one. A seed that fails is made smaller, by leaving out operations, before it is told.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "a test shows what it counted")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::mortal::{BUCKET, Points, Store, Verb, outside, run, state};
use common::{Cloud, spellings};
use msk_pipeline_core::kind::Effect as Does;
use msk_pipeline_core::run::RunSummary;
use msk_pipeline_core::state::{FileStore, StateStore as _};
use msk_pipeline_core::{Clock, Entropy, RealClock};
use msk_pipeline_emulator::fault::{Calls, Effect, Rule, When};
use msk_pipeline_emulator::shell::{Call, Moment, Next};
use msk_pipeline_emulator::{Settings, World};
use msk_pipeline_local::Embedded;
use serde_json::json;

/// Attempts that a fault or a kill may strike; the ones after them are left alone.
const WILD: usize = 4;
/// Attempts at one operation, after which it counts as stuck.
const ATTEMPTS: usize = 14;

/// Choices by label: what one decides does not depend on which others were made.
struct Dice(Entropy);

impl Dice {
    fn below(&self, label: &str, n: u64) -> u64 {
        u64::from_str_radix(&self.0.id(label)[..12], 16).unwrap() % n
    }

    fn chance(&self, label: &str, percent: u64) -> bool {
        self.below(label, 100) < percent
    }
}

/// A pipeline that a seed declares.
#[derive(Clone, Debug)]
struct Spec {
    brokers: u64,
    hours: u64,
    retention: u64,
    team: u64,
    database: bool,
    reader: bool,
    tables: Option<u64>,
    mcu: u64,
}

impl Spec {
    fn drawn(dice: &Dice) -> Self {
        // Most are small, so that many can be tried.
        let size = dice.below("size", 20);
        Self {
            brokers: 3,
            hours: 24,
            retention: 0,
            team: 0,
            database: size >= 14,
            reader: false,
            tables: (size >= 17).then_some(2),
            mcu: 1,
        }
    }

    /// One edit.
    fn edited(&self, dice: &Dice, label: &str) -> Self {
        let mut next = self.clone();
        match dice.below(label, 8) {
            0 => next.brokers = 6,
            1 => next.hours += 24,
            2 => next.retention = (next.retention + 1) % 3,
            3 => next.team += 1,
            4 => next.reader = !next.reader && next.database,
            5 => next.tables = next.tables.map(|t| t + 1),
            6 => next.mcu = if next.mcu == 1 { 2 } else { 1 },
            _ => {
                next.hours += 1;
                next.team += 1;
            }
        }
        next
    }

    fn toml(&self) -> String {
        let Self { brokers, hours, team, .. } = self;
        let days = ["14d", "30d", "60d"][usize::try_from(self.retention).unwrap()];
        let mut toml = format!(
            r#"[pipeline]
name = "orders-cdc"
region = "us-east-1"
tags = {{ Team = "team{team}" }}
[network]
vpc = {{ tags = {{ Name = "default-vpc" }} }}
[kafka.main]
brokers = {{ count = {brokers} }}
config = {{ "log.retention.hours" = {hours} }}
logs = {{ retention = "{days}" }}
"#
        );
        if self.database {
            let readers = if self.reader { "a = { class = \"db.r7g.large\" }" } else { "" };
            toml += &format!(
                "[database.orders]\nengine = \"aurora-mysql\"\nwriter = {{ class = \"db.r7g.large\" }}\nreaders = {{ {readers} }}\non_destroy = \"delete\"\n"
            );
        }
        if let Some(tables) = self.tables {
            let names: Vec<_> = (0..tables).map(|n| format!("\"shop.t{n}\"")).collect();
            toml += &format!(
                "[connector.orders]\nsource = \"orders\"\ntables = [{}]\ncapacity = {{ mcu = {}, workers = 1 }}\n",
                names.join(", "),
                self.mcu
            );
        }
        toml
    }
}

/// What happens to a pipeline, one after another.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Apply,
    Edit,
    Drift,
    Destroy,
}

fn operations(dice: &Dice) -> Vec<Operation> {
    let mut all = vec![Operation::Apply];
    for n in 0..dice.below("operations", 4) {
        all.push(match dice.below(&format!("operation {n}"), 8) {
            0..=3 => Operation::Edit,
            4 | 5 => Operation::Drift,
            6 => Operation::Apply,
            _ => Operation::Destroy,
        });
    }
    all.push(Operation::Destroy);
    all
}

/// What was met, over all seeds.
#[derive(Default)]
struct Tally {
    kills: AtomicU64,
    runs: AtomicU64,
    faults: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    fn fault(&self, name: &str, times: u64) {
        if times > 0 {
            *self.faults.lock().unwrap().entry(name.to_owned()).or_default() += times;
        }
    }
}

/// One seed's course.
struct Course<'a> {
    dice: Dice,
    cloud: Cloud,
    store: Store,
    before: BTreeSet<String>,
    tally: &'a Tally,
}

impl Course<'_> {
    /// Turns the dials for one attempt.
    fn dials(&mut self, label: &str) {
        let dice = &self.dice;
        let share = |what: &str, most: u64| {
            let percent = dice.below(&format!("{label} {what}"), most + 1);
            #[expect(clippy::cast_precision_loss, reason = "at most 20")]
            When::Share(percent as f64 / 100.0)
        };
        let rule =
            |name: &str, when, effect| Rule::new("*", "*", when, effect).named(name).times(8);
        let expired = Effect::Error {
            code: "ExpiredTokenException".into(),
            message: "The security token included in the request is expired".into(),
            status: None,
        };
        let mut rules = vec![
            rule("throttle", share("throttle", 10), Effect::Throttle),
            rule("5xx", share("5xx", 6), Effect::ServerError(500)),
            rule("reset", share("reset", 6), Effect::Reset),
            rule("lost reply", share("lost reply", 12), Effect::LostReply).calls(Calls::Changing),
            rule("slow", share("slow", 10), Effect::Slow(20_000)),
        ];
        if dice.chance(&format!("{label} expires"), 10) {
            let from = When::From(20 + dice.below(&format!("{label} expires at"), 200));
            rules.push(Rule::new("*", "*", from, expired).named("expired credentials").times(30));
        }
        let mut dials = BTreeMap::new();
        for name in [
            "kafka.create-fails",
            "kafka.update-fails",
            "rds.create-instance-fails",
            "kafkaconnect.create-fails",
            "kafkaconnect.update-rolls-back",
        ] {
            if dice.chance(&format!("{label} {name}"), 8) {
                dials.insert(name.to_owned(), json!(true));
            }
        }
        self.cloud.world.with(|world| {
            world.faults.rules = rules;
            world.faults.dials = dials;
        });
    }

    fn calm(&mut self) {
        let tally = self.tally;
        self.cloud.world.with(|world| {
            for rule in std::mem::take(&mut world.faults.rules) {
                tally.fault(&rule.name, rule.struck);
            }
            for (name, _) in std::mem::take(&mut world.faults.dials) {
                tally.fault(&format!("{name} (dialled)"), 1);
            }
        });
    }

    /// Looks at every changing request on its way in: it was announced in the state that survives, and what its object needs is ready.
    fn guard(&self, verb: Verb) -> Arc<Mutex<Vec<String>>> {
        let problems: Arc<Mutex<Vec<String>>> = Arc::default();
        if self.store == Store::File {
            let (disk, told) = (self.cloud.disk.clone(), Arc::clone(&problems));
            self.cloud.world.observe(Arc::new(move |moment: Moment, call: &Call<'_>| {
                // A password is drawn within the request that stores it.
                let counts = call.changing && call.operation != "GetRandomPassword";
                if moment == Moment::Before && counts {
                    let store = FileStore::on(disk.clone(), "state");
                    let state = futures_util::FutureExt::now_or_never(store.load());
                    let state = state.unwrap().unwrap().fold().unwrap();
                    let announced = state.pending().find(|(_, _, p)| {
                        p.is_open() && p.op.rsplit(':').next() == Some(call.operation)
                    });
                    let problem = match announced {
                        None => Some(format!("{} was not announced", call.operation)),
                        Some((address, object, pending))
                            if verb == Verb::Apply && pending.effect != Does::Delete =>
                        {
                            let ready = |a: &msk_pipeline_core::Address| {
                                let record = state.records.get(a);
                                let current = record.and_then(|r| r.current.as_ref());
                                current.is_some_and(msk_pipeline_core::state::Object::was_ready)
                            };
                            let missing = object.deps.iter().find(|d| !ready(d));
                            missing.map(|d| format!("{address} was sent before {d} was ready"))
                        }
                        Some(_) => None,
                    };
                    told.lock().unwrap().extend(problem);
                }
                Next::Go
            }));
        }
        problems
    }

    /// What has to hold whenever a process has ended, however.
    fn check(&self) -> Result<(), String> {
        let state = state(&self.cloud, self.store);
        let text = serde_json::to_string(&state).unwrap();
        let orphans = outside::orphans(&self.cloud, &text, &self.before);
        if !orphans.is_empty() {
            return Err(format!("nobody would delete {orphans:?}"));
        }
        let world = self.cloud.world.with(|w: &mut World| serde_json::to_value(&w.state).unwrap());
        let secrets = spellings::secrets(&world);
        let spelled: Vec<_> = secrets.iter().flat_map(|s| spellings::spellings(s)).collect();
        let written = self.cloud.disk.files();
        let mut written = written.values().map(Vec::as_slice).chain([text.as_bytes()]);
        if written.any(|bytes| spellings::found(&spelled, bytes)) {
            return Err("a secret was written".into());
        }
        Ok(())
    }

    /// Repeats a run until it has come to its end, through faults and kills.
    fn carry_through(&mut self, verb: Verb, toml: &str, label: &str) -> Result<(), String> {
        let mut last = String::new();
        for attempt in 0..ATTEMPTS {
            let label = format!("{label}, attempt {attempt}");
            let wild = attempt < WILD;
            let mut fatal = 0;
            let mut points = Points::default();
            if wild {
                self.dials(&label);
                if self.dice.chance(&format!("{label} dies"), 60) {
                    let most = 1 + self.dice.below(&format!("{label} latest"), 350);
                    fatal = 1 + self.dice.below(&format!("{label} at"), most);
                }
                points = Points::dying_at(usize::try_from(fatal).unwrap());
                if self.dice.chance(&format!("{label} full"), 8) {
                    let nth = 1 + self.dice.below(&format!("{label} full at"), 20);
                    points.full_at = Some(usize::try_from(nth).unwrap());
                }
                if self.dice.chance(&format!("{label} jumps"), 10) {
                    let hours = 1 + self.dice.below(&format!("{label} jumps by"), 30);
                    self.cloud.wall = self.cloud.wall + Duration::from_hours(hours);
                    self.tally.fault("clock jump", 1);
                }
            }
            let points = Arc::new(points);
            let problems = self.guard(verb);
            let outcome = run(&mut self.cloud, self.store, &points, verb, toml);
            self.calm();
            self.tally.runs.fetch_add(1, Ordering::Relaxed);
            self.tally.fault("full disk", u64::from(points.was_full()));
            if let Some(problem) = problems.lock().unwrap().first() {
                return Err(format!("{label}: {problem}"));
            }
            self.check().map_err(|problem| format!("{label}: {problem}"))?;
            match outcome {
                Some(Ok(summary)) if summary.is_complete() => return Ok(()),
                Some(other) => last = format!("{other:?}"),
                None => {
                    self.tally.kills.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Err(format!("{label}: never comes to an end: {last}"))
    }

    /// Somebody else changes something.
    fn drift(&mut self, label: &str) {
        let which = self.dice.below(label, 4);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let records = state(&self.cloud, self.store).records;
        let output = |address: &str, name: &str| {
            let object = records.iter().find(|(a, _)| a.as_str() == address)?.1.current.as_ref()?;
            object.outputs[name].as_str().map(str::to_owned)
        };
        runtime.block_on(async {
            let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(self.cloud.wall));
            let session = Embedded::session(self.cloud.world.clone(), clock, "us-east-1");
            let group = output("kafka.main.group", "group_id");
            // What is refused, because the object is gone or busy, is no change.
            match (which, group) {
                (0, _) => {
                    let delete = session.logs.delete_log_group();
                    let _ =
                        delete.log_group_name("/aws/vendedlogs/msk/orders-cdc-main").send().await;
                }
                (1, Some(group)) => {
                    let tag = aws_sdk_ec2::types::Tag::builder().key("Team").build();
                    let _ = session.ec2.delete_tags().resources(group).tags(tag).send().await;
                }
                (2, Some(group)) => {
                    let range = aws_sdk_ec2::types::IpRange::builder().cidr_ip("10.0.0.0/8");
                    let permission = aws_sdk_ec2::types::IpPermission::builder()
                        .ip_protocol("tcp")
                        .from_port(22)
                        .to_port(22)
                        .ip_ranges(range.build());
                    let open = session.ec2.authorize_security_group_ingress().group_id(group);
                    let _ = open.ip_permissions(permission.build()).send().await;
                }
                _ => {
                    if let Some(arn) = output("kafka.main.cluster", "cluster_arn") {
                        let untag = session.kafka.untag_resource().resource_arn(arn);
                        let _ = untag.tag_keys("Team").send().await;
                    }
                }
            }
        });
        // Reads may lag.
        self.cloud.wall = self.cloud.wall + Duration::from_mins(10);
        self.tally.fault("change by others", 1);
    }
}

fn one_seed(seed: u64, without: &BTreeSet<usize>, tally: &Tally) -> Result<(), String> {
    let dice = Dice(Entropy::seeded(seed));
    let store = if dice.chance("store", 35) { Store::S3 } else { Store::File };
    let settings = Settings { seed, variance: 0.3, ..Settings::default() };
    let cloud = store.world(settings);
    let before = outside::inventory(&cloud);
    let (mut spec, all) = (Spec::drawn(&dice), operations(&dice));
    let mut course = Course { dice, cloud, store, before, tally };
    for (n, operation) in all.iter().enumerate().filter(|(n, _)| !without.contains(n)) {
        let label = format!("operation {n} ({operation:?})");
        if let Operation::Edit = operation {
            spec = spec.edited(&course.dice, &format!("{label} edit"));
        }
        if let Operation::Drift = operation {
            course.drift(&format!("{label} drift"));
        }
        let toml = spec.toml();
        if let Operation::Destroy = operation {
            course.carry_through(Verb::Destroy, &toml, &label)?;
            let after = outside::inventory(&course.cloud);
            if after != course.before {
                let left: Vec<_> = after.symmetric_difference(&course.before).collect();
                return Err(format!("{label}: not as it began: {left:?}"));
            }
            continue;
        }
        course.carry_through(Verb::Apply, &toml, &label)?;
        let again = run(&mut course.cloud, store, &Arc::default(), Verb::Apply, &toml);
        match again.unwrap() {
            Ok(summary) if summary == RunSummary::default() => {}
            other => {
                return Err(format!("{label}: again, and there is something to do: {other:?}"));
            }
        }
    }
    let bucket = if store == Store::S3 { BUCKET } else { "no bucket" };
    let kept = course.before.iter().filter(|row| row.contains("s3 bucket")).count();
    assert_eq!(kept, usize::from(store == Store::S3), "{bucket}");
    Ok(())
}

/// A failing seed with as few operations as fail, too.
fn shrunk(seed: u64, first: String) -> String {
    let count = operations(&Dice(Entropy::seeded(seed))).len();
    let (mut without, mut problem) = (BTreeSet::new(), first);
    for n in 0..count {
        let fewer: BTreeSet<usize> = without.iter().copied().chain([n]).collect();
        if let Err(found) = one_seed(seed, &fewer, &Tally::default()) {
            (without, problem) = (fewer, found);
        }
    }
    let all = operations(&Dice(Entropy::seeded(seed)));
    let left: Vec<_> = all.iter().enumerate().filter(|(n, _)| !without.contains(n)).collect();
    format!(
        "seed {seed}: {problem}\n  with the operations {left:?} of\n{}\n  again with MSKP_SEED={seed} cargo test --workspace --test simulate -- --nocapture",
        Spec::drawn(&Dice(Entropy::seeded(seed))).toml()
    )
}

#[test]
fn whatever_the_seed_nothing_is_lost_or_doubled() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap());
    let seeds = match number("MSKP_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("MSKP_SEEDS").unwrap_or(40) + 1,
    };
    let (began, count) = (Instant::now(), seeds.end - seeds.start);
    let (next, tally) = (AtomicU64::new(seeds.start), Tally::default());
    let problems = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || problems.lock().unwrap().len() >= 5 {
                        break;
                    }
                    if let Err(problem) = one_seed(seed, &BTreeSet::new(), &tally) {
                        problems.lock().unwrap().push(shrunk(seed, problem));
                    }
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    let faults = tally.faults.into_inner().unwrap();
    let faults: Vec<_> = faults.iter().map(|(name, n)| format!("{n} {name}")).collect();
    println!(
        "{count} seeds, {} runs, {} kills; {}; {} orphans or doubles; {:?}",
        tally.runs.into_inner(),
        tally.kills.into_inner(),
        faults.join(", "),
        problems.len(),
        began.elapsed()
    );
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
