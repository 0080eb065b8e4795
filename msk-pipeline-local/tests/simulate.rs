//! Simulation: a seed decides the pipeline, its edits, who interferes, what goes wrong, and when the process dies. Whatever it is:
//! * nothing of ours exists that state does not name, and nothing twice (after every process, however it ended);
//! * no request is sent that was not announced, none twice for one announcement, and none before what its object needs is ready;
//! * no secret is in any file, nor in any version of any object of the bucket that keeps state;
//! * a plan leaves nothing, anywhere;
//! * each operation comes to the end that it comes to undisturbed (see `twin::canonical` for what that compares), a second apply finds
//!   nothing to do, and a destroy leaves the world as it began, with its versions, uploads, rules and policies.
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

use common::mortal::{BUCKET, Points, Store, Verb, outside, plan, run, state};
use common::outside::difference;
use common::stored::Guard;
use common::trouble::{Lease, Trouble};
use common::{Cloud, others, spellings, stored, twin};
use msk_pipeline_core::Entropy;
use msk_pipeline_core::run::RunSummary;
use msk_pipeline_emulator::fault::{Calls, Effect, Rule, When};
use msk_pipeline_emulator::{Settings, World};
use serde_json::json;
use sha2::{Digest as _, Sha256};

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
    fn trouble(&self, trouble: &Trouble) {
        let told = |n: &AtomicU64| n.load(Ordering::Relaxed);
        self.fault("time of day behind", u64::from(trouble.ahead < 0));
        self.fault("time of day ahead", u64::from(trouble.ahead > 0));
        self.fault("clocks that part", told(&trouble.parted));
        let unrenewed = told(&trouble.unrenewed);
        match trouble.lease {
            Some((Lease::Refused, ..)) => self.fault("renewal refused", unrenewed),
            Some((Lease::Unanswered, ..)) => self.fault("renewal unanswered", unrenewed),
            Some((Lease::Taken, ..)) => self.fault("lease taken", unrenewed.min(1)),
            None => {}
        }
    }

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
    /// Where the same operations are carried out undisturbed.
    twin: Cloud,
    before: BTreeSet<String>,
    /// What was searched for secrets, and for how many.
    searched: BTreeSet<([u8; 32], usize)>,
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

    /// Draws what goes wrong with the clocks and the lease of one process.
    fn trouble(&self, label: &str) -> Trouble {
        let dice = |what: &str, n| self.dice.below(&format!("{label} {what}"), n);
        let mut trouble = Trouble::default();
        let millis = |minutes: u64| i64::try_from(minutes * 60_000).unwrap();
        match dice("time of day", 100) {
            0..8 => trouble.ahead = -millis(1 + dice("behind by", 90)),
            8..14 => trouble.ahead = millis(1 + dice("ahead by", 600)),
            _ => {}
        }
        if dice("clocks part", 100) < 15 {
            let minutes = millis(1 + dice("clocks part by", 30));
            // The machine slept; somebody set the time back, or forward.
            let (set, missed) = match dice("clocks part how", 3) {
                0 => (0, minutes.unsigned_abs()),
                1 => (-minutes, 0),
                _ => (minutes, 0),
            };
            trouble.parts = Some((1 + dice("clocks part at", 40), set, missed));
        }
        if self.store == Store::S3 && dice("lease", 100) < 40 {
            let what = match dice("lease how", 3) {
                0 => Lease::Refused,
                1 => Lease::Unanswered,
                _ => Lease::Taken,
            };
            let from = Duration::from_secs(5 + dice("lease from", 900));
            trouble.lease = Some((what, from, Duration::from_secs(60 + dice("lease for", 600))));
        }
        trouble
    }

    /// What has to hold whenever a process has ended, however.
    fn check(&mut self) -> Result<(), String> {
        let state = state(&self.cloud, self.store);
        let text = serde_json::to_string(&state).unwrap();
        let orphans = outside::orphans(&self.cloud, &text, &self.before);
        if !orphans.is_empty() {
            return Err(format!("nobody would delete {orphans:?}"));
        }
        let doubles = stored::doubles(&self.cloud, &state, self.cloud.wall);
        if !doubles.is_empty() {
            return Err(format!("more than state has: {doubles:?}"));
        }
        let world = self.cloud.world.with(|w: &mut World| serde_json::to_value(&w.state).unwrap());
        let secrets = spellings::secrets(&world);
        let spelled: Vec<_> = secrets.iter().flat_map(|s| spellings::spellings(s)).collect();
        for bytes in stored::bytes(&self.cloud) {
            // What was searched for as many secrets has none of them.
            let digest: [u8; 32] = Sha256::digest(&bytes).into();
            if self.searched.insert((digest, secrets.len())) && spellings::found(&spelled, &bytes) {
                return Err("a secret was written".into());
            }
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
                points.trouble = Arc::new(self.trouble(&label));
            }
            let (points, guard) = (Arc::new(points), Guard::of(&self.cloud, self.store, verb));
            let outcome = run(&mut self.cloud, self.store, &points, verb, toml);
            self.calm();
            self.tally.runs.fetch_add(1, Ordering::Relaxed);
            self.tally.fault("full disk", u64::from(points.was_full()));
            self.tally.trouble(&points.trouble);
            if let Some(problem) = guard.problem() {
                return Err(format!("{label}: {problem}"));
            }
            self.check().map_err(|problem| format!("{label}: {problem}"))?;
            if self.dice.chance(&format!("{label} planned"), 25) {
                let planned = plan(&self.cloud, self.store, toml);
                planned.map_err(|problem| format!("{label}: {problem}"))?;
            }
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

    /// Somebody else changes something, here and for the twin.
    fn drift(&mut self, label: &str) {
        let n = usize::try_from(self.dice.below(label, others::DEEDS.len() as u64)).unwrap();
        let known = state(&self.cloud, self.store);
        let twin = state(&self.twin, self.store);
        if others::interfere(&self.cloud, &known, n) {
            self.tally.fault(&format!("{} by others", others::DEEDS[n]), 1);
            others::interfere(&self.twin, &twin, n);
        }
        // Reads may lag.
        for cloud in [&mut self.cloud, &mut self.twin] {
            cloud.wall = cloud.wall + Duration::from_mins(20);
        }
    }

    /// The same operation without any trouble, and how its end differs.
    fn compare(&mut self, verb: Verb, toml: &str, label: &str) -> Result<(), String> {
        match run(&mut self.twin, self.store, &Arc::default(), verb, toml).unwrap() {
            Ok(summary) if summary.is_complete() => {}
            other => return Err(format!("{label}: undisturbed: {other:?}")),
        }
        let [found, expected] = [&self.cloud, &self.twin]
            .map(|cloud| twin::canonical(cloud, &state(cloud, self.store)));
        let told = difference(&found, &expected);
        told.map_or(Ok(()), |told| Err(format!("{label}: not as undisturbed: {told}")))
    }
}

/// Objects, and what is in them.
fn everything(cloud: &Cloud) -> BTreeSet<String> {
    outside::inventory(cloud).into_iter().chain(outside::parts(cloud)).collect()
}

fn one_seed(seed: u64, without: &BTreeSet<usize>, tally: &Tally) -> Result<(), String> {
    let dice = Dice(Entropy::seeded(seed));
    let store = if dice.chance("store", 35) { Store::S3 } else { Store::File };
    let settings = Settings { seed, variance: 0.3, ..Settings::default() };
    let cloud = store.world(settings);
    let (twin, before) = (cloud.fork(), everything(&cloud));
    let (mut spec, all) = (Spec::drawn(&dice), operations(&dice));
    let searched = BTreeSet::new();
    let mut course = Course { dice, cloud, store, twin, before, searched, tally };
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
            let after = everything(&course.cloud);
            if after != course.before {
                let left: Vec<_> = after.symmetric_difference(&course.before).collect();
                return Err(format!("{label}: not as it began: {left:?}"));
            }
            course.compare(Verb::Destroy, &toml, &label)?;
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
        course.compare(Verb::Apply, &toml, &label)?;
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
                    if seed % 500 == 0 {
                        let found = problems.lock().unwrap().len();
                        println!("at seed {seed}, {found} problems, {:?}", began.elapsed());
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
