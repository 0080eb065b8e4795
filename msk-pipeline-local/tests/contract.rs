//! What every kind of the registry owes to the engine, on the embedded AWS in virtual time. A kind that is added is held to it here: it
//! needs a resource in one of the documents below, or an entry in [`READ_ONLY`].
//!
//! A *birth* is the first changing request for a resource. The recommended example is applied once; around each birth the world and the
//! disk are copied. A process that starts from such a copy is the second one of the same lineage, whose predecessor was killed there.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "a test shows what it counted")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use common::watch::{Around, Look, Request};
use common::{Cloud, Process, assert_nothing, inventory, replaced};
use msk_pipeline_aws::Session;
use msk_pipeline_aws::kinds::registry;
use msk_pipeline_core::Clock;
use msk_pipeline_core::graph::Resource;
use msk_pipeline_core::kind::{CallError, Effect, ErasedKind, Guard, Mark, Sent};
use msk_pipeline_core::run::{RunError, RunEvent};
use msk_pipeline_core::state::{Holder, MemoryDisk, State};
use msk_pipeline_emulator::Settings;
use serde_json::{Value, json};

/// Kinds that change nothing: they read what somebody else made.
const READ_ONLY: [&str; 3] =
    ["aws.ec2.network", "aws.kafka.cluster-lookup", "aws.rds.cluster-lookup"];

/// Kinds whose objects take no mark, because they are parts of another object that has one. Who may change them is decided there:
/// while the group is somebody else's, its rules are not even looked at.
const BY_PARENT: [&str; 4] = [
    "aws.ec2.security-group-rules",
    "mysql.binlog-retention",
    "database.schema",
    "database.snapshot-signal",
];

/// Kinds of which nothing is deleted: a setting stays as it is, and signals go with their table.
const FORGOTTEN: [&str; 2] = ["mysql.binlog-retention", "database.snapshot-signal"];

/// Kinds whose objects take no mark and can be somebody else's all the same. They are ours only where state says so.
const UNMARKED: [&str; 3] = ["aws.kafka.topic", "aws.s3.object", "postgres.slot"];

/// A second connector, which reads a PostgreSQL.
const POSTGRES: &str = r#"
[database.second]
engine   = "aurora-postgresql"
prepare  = "direct"
[connector.postgres]
source = "second"
tables = ["sales.orders"]
"#;

/// Every kind that makes something: the recommended pipeline, with endpoints of its own and a second connector.
static WIDE: LazyLock<String> = LazyLock::new(|| {
    let example = include_str!("../../examples/mysql-cdc.toml");
    replaced(example, &[("egress = \"require\"", "egress = \"create-endpoints\"")]) + POSTGRES
});

/// Resources of kinds that no section of the file makes; they may refer to those of [`WIDE`]. A new kind that isn't part of a component
/// yet goes here.
fn extra() -> Vec<Resource> {
    Vec::new()
}

/// A process on [`WIDE`] and [`extra`].
fn process(cloud: &Cloud) -> Process {
    let mut process = Process::simple(cloud).of(&WIDE);
    process.extra = extra();
    process
}

/// The first changing request for a resource.
struct Birth {
    request: Request,
    /// The request was announced in the journal, and not sent.
    before: Cloud,
    /// It was carried out, and its reply not seen.
    after: Cloud,
}

/// [`WIDE`] made, and every kind's first birth on the way.
struct Made {
    cloud: Cloud,
    /// What exists in it.
    inventory: BTreeSet<String>,
    /// What existed before.
    fresh: BTreeSet<String>,
    births: Vec<Birth>,
}

static MADE: LazyLock<Made> = LazyLock::new(|| {
    in_virtual_time(async || {
        let cloud = Cloud::new(Settings::default());
        let process = process(&cloud);
        let fresh = inventory(&cloud, &process);
        let births: Arc<Mutex<Vec<Birth>>> = Arc::default();
        let midwife =
            Midwife { births: births.clone(), cloud: cloud.clone(), clock: process.clock.clone() };
        let (process, _) = process.watched(midwife);
        complete(&process, process.apply(&WIDE).await);
        let inventory = inventory(&cloud, &process);
        let cloud = Cloud { wall: process.clock.wall() + Duration::from_mins(10), ..cloud };
        let births = std::mem::take(&mut *births.lock().unwrap());
        Made { cloud, inventory, fresh, births }
    })
});

/// Runs in a thread with a runtime of its own, so that a test that has one can ask for it.
fn in_virtual_time<T: Send>(work: impl AsyncFnOnce() -> T + Send) -> T {
    let run = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(work())
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

/// Copies the world around the first request of each kind.
struct Midwife {
    births: Arc<Mutex<Vec<Birth>>>,
    cloud: Cloud,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Around for Midwife {
    async fn perform(
        &self,
        kind: &dyn ErasedKind,
        request: &Request,
        guard: &Guard,
    ) -> Result<Sent, CallError> {
        let known = self.births.lock().unwrap().iter().any(|b| b.request.kind == request.kind);
        let copy = || Cloud { wall: self.clock.wall(), ..self.cloud.fork() };
        let before = copy();
        let sent = kind.perform(&request.call, guard).await;
        // A request that was refused, and will be repeated, is no birth.
        if !known && sent.is_ok() {
            let birth = Birth { request: request.clone(), before, after: copy() };
            self.births.lock().unwrap().push(birth);
        }
        sent
    }
}

#[track_caller]
fn complete(process: &Process, outcome: Result<msk_pipeline_core::run::RunSummary, RunError>) {
    let summary = outcome.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
}

/// Runs `prove` for every birth, each in virtual time of its own, and tells all that failed.
fn for_each_birth(births: &[&Birth], prove: impl AsyncFn(&Birth) + Sync) {
    let next = Mutex::new(births.iter());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(birth) = next.lock().unwrap().next() else { break };
                    let run = || in_virtual_time(async || prove(birth).await);
                    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err() {
                        failed.lock().unwrap().push(birth.request.kind);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    println!("{} of {} kinds hold", births.len() - failed.len(), births.len());
    assert!(failed.is_empty(), "{failed:?}");
}

/// Births of kinds whose create writes a mark.
fn marked() -> Vec<&'static Birth> {
    let unmarked = |birth: &&Birth| {
        !BY_PARENT.contains(&birth.request.kind) && !UNMARKED.contains(&birth.request.kind)
    };
    MADE.births.iter().filter(unmarked).collect()
}

/// Every kind of the registry, by name.
fn kinds() -> BTreeSet<&'static str> {
    let cloud = Cloud::new(Settings::default());
    let process = Process::simple(&cloud);
    registry(&process.session, &Default::default()).iter().map(|kind| kind.type_name()).collect()
}

#[test]
fn every_kind_is_held_to_the_contract() {
    let born: BTreeSet<_> = MADE.births.iter().map(|birth| birth.request.kind).collect();
    let both: Vec<_> = READ_ONLY.iter().filter(|kind| born.contains(*kind)).collect();
    assert!(both.is_empty(), "{both:?} change something");
    let covered: BTreeSet<_> = born.iter().copied().chain(READ_ONLY).collect();
    assert_eq!(kinds(), covered, "a kind needs a resource in a document of this file");
    for kind in BY_PARENT.iter().chain(&UNMARKED) {
        assert!(born.contains(kind), "{kind} is listed and not there");
    }
    println!("{} kinds make something, {} only read", born.len(), READ_ONLY.len());
}

// ---- A second process of the same lineage ---------------------------------------------------------------------------------------

#[test]
fn a_second_process_makes_no_second_object() {
    for_each_birth(&MADE.births.iter().collect::<Vec<_>>(), async |birth| {
        let Birth { request, after, .. } = birth;
        let cloud = after.fork();
        let (process, watch) = process(&cloud).watched(Look);
        complete(&process, process.apply(&WIDE).await);
        let again: Vec<_> = watch.sent().into_iter().filter(|sent| sent == request).collect();
        assert!(again.is_empty(), "{} was sent twice", request.op);
        assert_eq!(inventory(&cloud, &process), MADE.inventory, "after {}", request.op);
        assert_nothing(&process.plan(&WIDE).await, &request.op);
    });
}

// ---- Somebody else's object -------------------------------------------------------------------------------------------------------

/// Whose an object is.
#[derive(Debug, Clone, Copy)]
enum Owner {
    AnotherLineage,
    Nobody,
}

const ANOTHER: &str = "lineage-of-somebody-else";

/// The same request, as somebody else would send it.
fn disguised(call: &Value, lineage: &str, owner: Owner) -> Value {
    let mark = [Mark::LINEAGE, Mark::PIPELINE, Mark::ADDRESS];
    let keeps = |key: &str| matches!(owner, Owner::AnotherLineage) || !mark.contains(&key);
    match call {
        Value::String(text) => match owner {
            Owner::AnotherLineage => json!(text.replace(lineage, ANOTHER)),
            Owner::Nobody => {
                let marked = text.find(&format!("[{}=", Mark::LINEAGE));
                json!(marked.map_or(text.as_str(), |at| text[..at].trim_end()))
            }
        },
        Value::Array(items) => items.iter().map(|item| disguised(item, lineage, owner)).collect(),
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| keeps(key))
            .map(|(key, value)| (key.clone(), disguised(value, lineage, owner)))
            .collect(),
        plain => plain.clone(),
    }
}

async fn load(cloud: &Cloud) -> State {
    cloud.store().load().await.unwrap().fold().unwrap()
}

/// The same cloud with another state in its store.
async fn with_state(cloud: &Cloud, state: &State) -> Cloud {
    let cloud = Cloud { disk: MemoryDisk::default(), ..cloud.clone() };
    let holder = Holder { who: "test".into(), why: "test".into(), since: cloud.wall };
    let mut lease = cloud.store().lease(holder).await.unwrap();
    lease.load().await.unwrap();
    lease.compact(state).await.unwrap();
    lease.release().await.unwrap();
    cloud
}

/// Somebody else's object, where this pipeline's would come to be.
async fn make_foreign(
    session: &Session,
    kind: &dyn ErasedKind,
    request: &Request,
    lineage: &str,
    owner: Owner,
) {
    let text = |key: &str| {
        let of_call = request.call.as_object().unwrap().values().next().unwrap();
        of_call[key].as_str().unwrap().to_owned()
    };
    if request.kind == "aws.s3.object" {
        let put = session.s3.put_object().bucket(text("bucket")).key(text("key"));
        put.body(Bytes::from_static(b"something else").into()).send().await.unwrap();
        return;
    }
    let call = disguised(&request.call, lineage, owner);
    assert!(!call.to_string().contains(lineage), "{call}");
    assert!(UNMARKED.contains(&request.kind) || call != request.call, "{call}");
    kind.perform(&call, &Guard::default()).await.unwrap();
}

/// The object is there before the pipeline is applied: the plan says whose it is, and nothing at all is done.
async fn refused_by_the_plan(birth: &Birth, owner: Owner) {
    let Birth { request, before, .. } = birth;
    let cloud = before.fork();
    let mut state = load(&cloud).await;
    // As if this pipeline had not come here yet.
    state.records.retain(|address, _| address.as_str() != request.address);
    let cloud = with_state(&cloud, &state).await;
    let known = load(&MADE.cloud).await.records;
    let record = known.iter().find(|(address, _)| address.as_str() == request.address).unwrap().1;
    let name = format!("`{}`", record.current.as_ref().unwrap().name);
    let other = Process::simple(&cloud);
    let kind = other.engine.registry.get(request.kind).unwrap();
    make_foreign(&other.session, kind.as_ref(), request, &state.lineage, owner).await;
    let (process, watch) = process(&cloud).watched(Look);
    // An object that is still being made is somebody else's already, and so is one whose mark had time to become visible.
    for pause in [Duration::ZERO, Duration::from_hours(1)] {
        process.clock.sleep(pause).await;
        let error = process.apply(&WIDE).await.unwrap_err();
        let RunError::Refused(refusals) = &error else { panic!("{error}") };
        let refusal = refusals.iter().find(|r| r.address.as_str() == request.address);
        let refusal = refusal.unwrap_or_else(|| panic!("{} is not in {error}", request.address));
        says_whose(&refusal.because, owner);
        assert!(refusal.because.contains(&name), "{name} is not in {}", refusal.because);
        assert_eq!(watch.sent(), [], "nothing is done");
    }
}

#[track_caller]
fn says_whose(text: &str, owner: Owner) {
    let said = match owner {
        Owner::AnotherLineage => ANOTHER,
        Owner::Nobody => "did not create",
    };
    assert!(text.contains(said), "{text}");
}

#[test]
fn an_object_of_another_lineage_is_refused_by_the_plan() {
    let births = marked();
    for_each_birth(&births, async |birth| refused_by_the_plan(birth, Owner::AnotherLineage).await);
}

#[test]
fn an_object_without_a_mark_is_refused_by_the_plan() {
    let births: Vec<_> =
        MADE.births.iter().filter(|birth| !BY_PARENT.contains(&birth.request.kind)).collect();
    for_each_birth(&births, async |birth| refused_by_the_plan(birth, Owner::Nobody).await);
}

/// Somebody else is faster by one request.
struct Faster {
    address: String,
    lineage: String,
    owner: Owner,
    session: Session,
}

#[async_trait]
impl Around for Faster {
    async fn perform(
        &self,
        kind: &dyn ErasedKind,
        request: &Request,
        guard: &Guard,
    ) -> Result<Sent, CallError> {
        if request.address == self.address && request.effect == Effect::Create {
            make_foreign(&self.session, kind, request, &self.lineage, self.owner).await;
        }
        kind.perform(&request.call, guard).await
    }
}

/// The object comes to be between the plan and the create: the step fails, and nothing more is sent for it.
async fn refused_by_the_step(birth: &Birth, owner: Owner) {
    let Birth { request, before, .. } = birth;
    let address = request.address.clone();
    let cloud = before.fork();
    let lineage = load(&cloud).await.lineage;
    let process = process(&cloud);
    let session = process.session.clone();
    let (process, watch) =
        process.watched(Faster { address: address.clone(), lineage, owner, session });
    let summary = process.apply(&WIDE).await.unwrap();
    assert!(summary.failed.iter().any(|a| a.as_str() == address), "{summary:?}");
    let failures = process.failures();
    let failure = failures.iter().find(|f| f.starts_with(&format!("{address}: "))).unwrap();
    if request.kind == "aws.ec2.vpc-endpoint" {
        // The name of an endpoint is a tag, which two may have. What there is once in a VPC is the private name of the service.
        assert!(failure.contains("already a conflicting DNS domain"), "{failure}");
    } else {
        says_whose(failure, owner);
    }
    assert_eq!(watch.sent_for(&address), [request.op.as_str()], "the create and nothing after it");
}

#[test]
fn an_object_of_a_faster_lineage_is_refused_by_the_step() {
    for_each_birth(&marked(), async |birth| {
        refused_by_the_step(birth, Owner::AnotherLineage).await;
    });
}

#[test]
fn a_faster_object_without_a_mark_is_refused_by_the_step() {
    for_each_birth(&marked(), async |birth| refused_by_the_step(birth, Owner::Nobody).await);
}

/// The world before a birth, with somebody else's object in the place of the one that would be born, and no trace of it in state.
async fn occupied(birth: &Birth, owner: Owner) -> Cloud {
    let Birth { request, before, .. } = birth;
    let cloud = before.fork();
    let mut state = load(&cloud).await;
    state.records.retain(|address, _| address.as_str() != request.address);
    let cloud = with_state(&cloud, &state).await;
    let other = Process::simple(&cloud);
    let kind = other.engine.registry.get(request.kind).unwrap();
    make_foreign(&other.session, kind.as_ref(), request, &state.lineage, owner).await;
    Cloud { wall: cloud.wall + Duration::from_hours(1), ..cloud }
}

#[track_caller]
fn refused(outcome: Result<msk_pipeline_core::run::RunSummary, RunError>) -> String {
    match outcome.unwrap_err() {
        RunError::Refused(refusals) => refusals
            .iter()
            .map(|r| format!("{}: {} ({})\n", r.address, r.because, r.help))
            .collect(),
        error => panic!("{error}"),
    }
}

/// Somebody else's object is refused by an apply, which names the command; that command takes it over without making a second one, and
/// then it is one of ours like all others.
async fn is_adopted(birth: &Birth, owner: Owner) {
    let Request { kind, address, .. } = &birth.request;
    let cloud = occupied(birth, owner).await;
    let (process, watch) = process(&cloud).watched(Look);
    let from = match owner {
        Owner::AnotherLineage => Some(ANOTHER),
        Owner::Nobody => None,
    };
    let command = from.map_or("`adopt ADDRESS`", |_| "`adopt ADDRESS --from-lineage FROM`");
    let command = command.replace("ADDRESS", address).replace("FROM", ANOTHER);
    assert!(refused(process.apply(&WIDE).await).contains(&command), "{command}");
    // An object of another lineage is taken from that very lineage only.
    for wrong in [None, Some("lineage-of-a-third")].into_iter().filter(|w| *w != from) {
        let text = refused(process.adopt(&WIDE, address, None, wrong).await);
        assert!(text.starts_with(&format!("{address}: ")), "{text}");
    }
    assert_eq!(watch.sent(), [], "nothing is done");
    let before = inventory(&cloud, &process);
    complete(&process, process.adopt(&WIDE, address, None, from).await);
    let sent = watch.sent();
    assert!(sent.iter().all(|s| s.address == *address && s.effect != Effect::Create), "{sent:?}");
    assert!(UNMARKED.contains(kind) || !sent.is_empty(), "it was marked");
    assert_eq!(inventory(&cloud, &process), before);
    let state = load(&cloud).await;
    let record = state.records.iter().find(|(a, _)| a.as_str() == address).unwrap().1;
    let object = record.current.as_ref().unwrap();
    assert!(object.was_ready() && object.adoption.is_none(), "{object:?}");
    complete(&process, process.apply(&WIDE).await);
    assert_eq!(inventory(&cloud, &process), MADE.inventory);
    assert_nothing(&process.plan(&WIDE).await, kind);
    complete(&process, process.destroy(&WIDE).await);
    assert_eq!(inventory(&cloud, &process), DELETED.0);
}

#[test]
fn an_object_of_another_lineage_is_adopted() {
    for_each_birth(&marked(), async |birth| is_adopted(birth, Owner::AnotherLineage).await);
}

#[test]
fn an_object_without_a_mark_is_adopted() {
    let births = MADE.births.iter().filter(|birth| {
        // What lies in the bucket under the digest of something else is nothing that this pipeline could want.
        !BY_PARENT.contains(&birth.request.kind) && birth.request.kind != "aws.s3.object"
    });
    for_each_birth(&births.collect::<Vec<_>>(), async |birth| {
        is_adopted(birth, Owner::Nobody).await;
    });
}

/// A state that knows every object, of which none carries its mark.
#[tokio::test(start_paused = true)]
async fn a_state_whose_mark_is_on_nothing_changes_nothing() {
    let cloud = MADE.cloud.fork();
    let mut state = load(&cloud).await;
    state.lineage = ANOTHER.into();
    let cloud = with_state(&cloud, &state).await;
    let (process, watch) = process(&cloud).watched(Look);
    let error = process.apply(&WIDE).await.unwrap_err();
    let RunError::Refused(refusals) = &error else { panic!("{error}") };
    for birth in marked() {
        let named = refusals.iter().any(|r| r.address.as_str() == birth.request.address);
        assert!(named, "{} is not in {error}", birth.request.address);
    }
    let _ = process.destroy(&WIDE).await;
    assert_eq!(watch.sent(), []);
    assert_eq!(inventory(&cloud, &process), MADE.inventory);
}

// ---- Deleting twice ---------------------------------------------------------------------------------------------------------------

/// Copies the world after the newest deleting request for each resource.
struct Undertaker {
    deaths: Arc<Mutex<BTreeMap<String, Cloud>>>,
    cloud: Cloud,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Around for Undertaker {
    async fn perform(
        &self,
        kind: &dyn ErasedKind,
        request: &Request,
        guard: &Guard,
    ) -> Result<Sent, CallError> {
        let sent = kind.perform(&request.call, guard).await;
        if sent.is_ok() {
            let copy = Cloud { wall: self.clock.wall(), ..self.cloud.fork() };
            self.deaths.lock().unwrap().insert(request.address.clone(), copy);
        }
        sent
    }
}

/// What is left after a destroy, and the world after each resource's deletion.
static DELETED: LazyLock<(BTreeSet<String>, BTreeMap<String, Cloud>)> = LazyLock::new(|| {
    in_virtual_time(async || {
        let cloud = MADE.cloud.fork();
        let process = process(&cloud);
        let deaths: Arc<Mutex<BTreeMap<String, Cloud>>> = Arc::default();
        let undertaker = Undertaker {
            deaths: Arc::clone(&deaths),
            cloud: cloud.clone(),
            clock: Arc::clone(&process.clock),
        };
        let (process, _) = process.watched(undertaker);
        complete(&process, process.destroy(&WIDE).await);
        let deaths = std::mem::take(&mut *deaths.lock().unwrap());
        let left = inventory(&cloud, &process);
        assert!(MADE.fresh.is_subset(&left));
        (left, deaths)
    })
});

/// Somebody deleted the object, and all that depended on it, and the state knows nothing of that. Then it is destroyed, twice.
#[test]
fn what_somebody_else_deleted_is_destroyed_twice() {
    let (left, deaths) = &*DELETED;
    let (forgotten, births): (Vec<_>, Vec<_>) =
        MADE.births.iter().partition(|birth| FORGOTTEN.contains(&birth.request.kind));
    assert_eq!(forgotten.len(), FORGOTTEN.len());
    assert!(forgotten.iter().all(|birth| !deaths.contains_key(&birth.request.address)));
    for_each_birth(&births, async |birth| {
        let address = &birth.request.address;
        let death = deaths.get(address).expect("it was deleted");
        let cloud = Cloud { disk: MADE.cloud.disk.fork(), ..death.fork() };
        let (process, watch) = process(&cloud).watched(Look);
        complete(&process, process.destroy(&WIDE).await);
        assert!(process.engine.state().await.unwrap().records.is_empty());
        // A final snapshot is the only thing that a destroy makes.
        let found = inventory(&cloud, &process);
        assert_eq!(&found, left, "{address}");
        let (sent, revision) = (watch.sent(), cloud.world.with(|w| w.revision));
        complete(&process, process.destroy(&WIDE).await);
        assert_eq!(watch.sent(), sent, "nothing is left to delete");
        assert_eq!(cloud.world.with(|w| w.revision), revision);
    });
}

/// Sends every deleting request twice, and gives the second answer.
struct Stutter;

#[async_trait]
impl Around for Stutter {
    async fn perform(
        &self,
        kind: &dyn ErasedKind,
        request: &Request,
        guard: &Guard,
    ) -> Result<Sent, CallError> {
        let first = kind.perform(&request.call, guard).await;
        match request.effect {
            Effect::Delete if first.is_ok() => kind.perform(&request.call, guard).await,
            _ => first,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_arrives_twice_succeeds() {
    let cloud = MADE.cloud.fork();
    let (process, _) = process(&cloud).watched(Stutter);
    complete(&process, process.destroy(&WIDE).await);
    assert!(process.engine.state().await.unwrap().records.is_empty());
    assert_eq!(inventory(&cloud, &process), DELETED.0);
}

// ---- Waits end on failure ---------------------------------------------------------------------------------------------------------

/// What makes an object fail after it was accepted.
enum Cause {
    /// A dial of the embedded AWS, and its value.
    Dial(&'static str, Value),
    /// Somebody deletes what was uploaded, one request before it is used.
    Upload,
}

/// How objects of a kind can fail while they are waited for, and what a step says then. Empty where there is no such state: what is
/// accepted is there at once, or comes to be without fail. `None` is a kind that nobody thought of.
fn failures(kind: &str) -> Option<Vec<(Cause, &'static str)>> {
    use Cause::{Dial, Upload};
    let instance = |status: &'static str| {
        (Dial("rds.create-instance-fails", json!({ "status": status })), status)
    };
    Some(match kind {
        "aws.kafka.cluster" => vec![
            (Dial("kafka.create-fails", json!(true)), "The creation of the cluster failed"),
            (Dial("kafka.create-fails", json!("silent")), "FAILED"),
        ],
        "aws.rds.cluster" => ["failed", "migration-failed", "inaccessible-encryption-credentials"]
            .map(|status| (Dial("rds.create-cluster-fails", json!({ "status": status })), status))
            .into(),
        "aws.rds.instance" => {
            ["failed", "incompatible-network", "incompatible-parameters", "storage-full"]
                .map(instance)
                .into()
        }
        "aws.kafkaconnect.connector" => vec![(
            Dial("kafkaconnect.create-fails", json!(true)),
            "made to fail by a dial of the embedded AWS",
        )],
        "aws.kafkaconnect.custom-plugin" => vec![(Upload, "CREATE_FAILED")],
        "aws.cloudwatch.log-group"
        | "aws.ec2.security-group"
        | "aws.ec2.security-group-rules"
        | "aws.ec2.vpc-endpoint"
        | "aws.iam.role"
        | "aws.kafka.configuration"
        | "aws.kafka.topic"
        | "aws.kafkaconnect.worker-configuration"
        | "aws.rds.cluster-parameter-group"
        | "aws.rds.parameter-group"
        | "aws.rds.subnet-group"
        | "aws.s3.bucket"
        | "aws.s3.object"
        | "aws.secretsmanager.secret"
        | "mysql.binlog-retention"
        | "database.schema"
        | "database.snapshot-signal"
        | "database.table"
        | "database.capture-user"
        | "postgres.publication"
        | "postgres.slot" => Vec::new(),
        _ => return None,
    })
}

#[test]
fn a_wait_ends_with_the_cause_of_the_failure() {
    let kinds: BTreeMap<_, _> = MADE
        .births
        .iter()
        .map(|birth| (birth.request.kind, failures(birth.request.kind)))
        .collect();
    let unknown: Vec<_> = kinds.iter().filter(|(_, f)| f.is_none()).map(|(kind, _)| kind).collect();
    assert!(unknown.is_empty(), "how do {unknown:?} fail?");
    for_each_birth(&MADE.births.iter().collect::<Vec<_>>(), async |birth| {
        let address = &birth.request.address;
        for (cause, said) in failures(birth.request.kind).unwrap() {
            let cloud = birth.before.fork();
            let mut process = process(&cloud);
            match &cause {
                Cause::Dial(name, value) => {
                    cloud.world.with(|world| world.faults.set(name, value.clone()));
                }
                Cause::Upload => {
                    let eraser =
                        Eraser { kind: birth.request.kind, session: process.session.clone() };
                    process = process.watched(eraser).0;
                }
            }
            let summary = process.apply(&WIDE).await.unwrap();
            assert!(summary.failed.iter().any(|a| a.as_str() == address), "{said}: {summary:?}");
            let failures = process.failures();
            let failure = failures.iter().find(|f| f.starts_with(&format!("{address}: "))).unwrap();
            assert!(failure.contains(said), "{said}: {failure}");
            let (waited, usual, deadline) = waited(&process, address);
            println!("{failure}\n    after {waited:?}; usual {usual:?}, deadline {deadline:?}");
            assert!(waited <= usual * 2 && waited < deadline / 2, "{said}: {waited:?}");
        }
    });
}

/// Deletes every object of every bucket before the first request of a kind.
struct Eraser {
    kind: &'static str,
    session: Session,
}

#[async_trait]
impl Around for Eraser {
    async fn perform(
        &self,
        kind: &dyn ErasedKind,
        request: &Request,
        guard: &Guard,
    ) -> Result<Sent, CallError> {
        if request.kind == self.kind {
            let s3 = &self.session.s3;
            for bucket in s3.list_buckets().send().await.unwrap().buckets() {
                let bucket = bucket.name().unwrap();
                let listed = s3.list_object_versions().bucket(bucket).send().await.unwrap();
                for version in listed.versions() {
                    let delete = s3.delete_object().bucket(bucket).key(version.key().unwrap());
                    let delete = delete.set_version_id(version.version_id().map(str::to_owned));
                    delete.send().await.unwrap();
                }
            }
        }
        kind.perform(&request.call, guard).await
    }
}

/// How long the step of `address` took, how long its wait usually takes, and how long it may take.
fn waited(process: &Process, address: &str) -> (Duration, Duration, Duration) {
    let events = process.events.0.lock().unwrap();
    let took = events.iter().find_map(|event| match event {
        RunEvent::StepFinished { address: a, elapsed_ms, .. } if a.as_str() == address => {
            Some(Duration::from_millis(*elapsed_ms))
        }
        _ => None,
    });
    let waits = events.iter().filter_map(|event| match event {
        RunEvent::Waiting { address: a, condition } if a.as_str() == address => {
            Some((condition.usual, condition.deadline))
        }
        _ => None,
    });
    let (usual, deadline) = waits.max().expect("it waited");
    (took.expect("it ended"), usual, deadline)
}

// ---- Kinds that only read ---------------------------------------------------------------------------------------------------------

/// The same connector on a cluster and a database that are there already.
const EXISTING: &str = r#"
[pipeline]
name   = "guest"
region = "us-east-1"
[network]
vpc = { tags = { Name = "default-vpc" } }
[database.orders]
existing = "orders-orders"
capture  = { user = "debezium", secret = "orders/orders/capture" }
[kafka.main]
existing = "orders-main"
"#;

#[tokio::test(start_paused = true)]
async fn kinds_that_only_read_change_nothing() {
    let cloud = Cloud { disk: MemoryDisk::default(), ..MADE.cloud.fork() };
    let (process, watch) = Process::simple(&cloud).of(EXISTING).watched(Look);
    complete(&process, process.apply(EXISTING).await);
    let records = process.engine.state().await.unwrap().records;
    let read: BTreeSet<_> =
        records.values().map(|record| record.current.as_ref().unwrap().kind.clone()).collect();
    assert!(READ_ONLY.iter().all(|kind| read.contains(*kind)), "{read:?}");
    complete(&process, process.destroy(EXISTING).await);
    let sent = watch.sent();
    let changed = sent.iter().find(|request| READ_ONLY.contains(&request.kind));
    assert!(changed.is_none(), "{changed:?}");
    assert_eq!(sent, []);
    assert_eq!(inventory(&cloud, &process), MADE.inventory);
}
