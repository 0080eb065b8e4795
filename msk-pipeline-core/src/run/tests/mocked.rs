//! The executor against mocks of kinds, stores and approvers: what is called, in which order, and what is not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::pin;
use crate::Address;
use crate::clock::RealClock;
use crate::entropy::Entropy;
use crate::graph::{Graph, Resource};
use crate::kind::{
    CallError, Class, Condition, DataEffect, Effect, MarkSeen, MockErasedKind, Next, Proposed,
    Registry, Sent, Succession, Verdict,
};
use crate::plan::{Plan, Verb};
use crate::run::{
    Answer, ApplyOptions, AutoApprove, Cancel, Canceller, Engine, MockApprover, RunError, RunEvent,
    RunSummary, StepOutcome,
};
use crate::state::{
    Entry, Holder, Loaded, MemoryStore, MockLease, MockStateStore, Pin, Stamped, StateStore,
    StoreError,
};

/// What the provider was asked, what it is to answer, and what exists there.
#[derive(Default)]
pub(super) struct Script {
    calls: Vec<String>,
    pub(super) exists: BTreeMap<String, Value>,
    /// By `op name`, taken once each.
    errors: BTreeMap<String, CallError>,
    /// Names whose objects never become ready.
    pub(super) stuck: BTreeSet<String>,
    /// Names whose create needs other arguments once it comes to it.
    fickle: BTreeSet<String>,
    /// Names whose deletion loses data.
    precious: BTreeSet<String>,
    /// Names whose objects are another's.
    pub(super) foreign: BTreeSet<String>,
}

pub(super) type Shared = Arc<Mutex<Script>>;

fn name(value: &Value) -> String {
    value["name"].as_str().unwrap_or_default().to_owned()
}

/// A provider as a mock: objects appear at once; `size` is changed in place.
pub(super) fn kind(script: &Shared) -> MockErasedKind {
    let mut kind = MockErasedKind::new();
    kind.expect_type_name().return_const("mock");
    kind.expect_version().return_const(1_u32);
    kind.expect_succession().return_const(Succession::DeleteFirst);
    kind.expect_visibility().return_const(Duration::from_mins(1));
    kind.expect_name().returning(|props| Ok(name(props)));
    let s = script.clone();
    kind.expect_mark().returning(move |seen| {
        let foreign = s.lock().unwrap().foreign.contains(&name(seen));
        Ok(if foreign { MarkSeen::Absent } else { MarkSeen::ByParent })
    });
    let s = script.clone();
    kind.expect_observe()
        .returning(move |target| Ok(s.lock().unwrap().exists.get(&name(&target.props)).cloned()));
    let s = script.clone();
    kind.expect_calls().returning(move |case| {
        let script = s.lock().unwrap();
        let propose = |op: &str, effect, props: &Value| {
            let call = json!({ "op": op, "name": name(props), "props": props });
            Proposed::new(op, effect, call)
        };
        Ok(match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (None, Some(seen)) => {
                let verdict = if script.precious.contains(&name(seen)) {
                    DataEffect::new(Verdict::Lost, "everything")
                } else {
                    DataEffect::NONE
                };
                Next::Calls(vec![propose("Delete", Effect::Delete, seen).data(verdict)])
            }
            (Some(want), None) => {
                let mut create = propose("Create", Effect::Create, want);
                if script.fickle.contains(&name(want)) && !script.calls.is_empty() {
                    create.call["more"] = json!(true);
                }
                Next::Calls(vec![create])
            }
            (Some(want), Some(_)) if script.stuck.contains(&name(want)) => Next::Wait {
                condition: Condition::new("ready", "CREATING", Duration::from_mins(5)),
                then: Vec::new(),
            },
            (Some(want), Some(seen)) if want == seen => {
                Next::Converged(json!({ "id": name(want) }))
            }
            (Some(want), Some(_)) => Next::Calls(vec![propose("Update", Effect::Update, want)]),
        })
    });
    let s = script.clone();
    kind.expect_perform().returning(move |call, _| {
        let mut script = s.lock().unwrap();
        let asked = format!("{} {}", call["op"].as_str().unwrap_or_default(), name(call));
        script.calls.push(asked.clone());
        if let Some(error) = script.errors.remove(&asked) {
            return Err(error);
        }
        match call["op"].as_str() {
            Some("Delete") => script.exists.remove(&name(call)),
            _ => script.exists.insert(name(call), call["props"].clone()),
        };
        Ok(Sent::default())
    });
    kind
}

pub(super) fn node(address: &str, stage: &str, needs: &[&str]) -> Resource {
    Resource {
        address: address.into(),
        kind: "mock".into(),
        stage: stage.into(),
        props: json!({ "name": address, "size": 1 }),
        needs: needs.iter().map(|&n| n.into()).collect(),
    }
}

/// One pipeline with its store, its provider and the events of all runs.
pub(super) struct Bench {
    pub(super) script: Shared,
    pub(super) store: Arc<dyn StateStore>,
    pub(super) events: Arc<Mutex<Vec<RunEvent>>>,
    entropy: Arc<Entropy>,
    pin: Pin,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self {
            script: Shared::default(),
            store: Arc::new(MemoryStore::new()),
            events: Arc::default(),
            entropy: Arc::new(Entropy::seeded(1)),
            pin: pin(),
        }
    }

    pub(super) fn engine(&self) -> Engine {
        self.engine_with(kind(&self.script))
    }

    fn engine_with(&self, kind: MockErasedKind) -> Engine {
        let log = self.events.clone();
        Engine {
            registry: Registry::default().with_erased(Arc::new(kind)),
            store: self.store.clone(),
            clock: Arc::new(RealClock::starting_at(crate::Timestamp(1_000_000))),
            entropy: self.entropy.clone(),
            events: Arc::new(move |event| log.lock().unwrap().push(event)),
            pipeline: "mocks".into(),
            pin: self.pin.clone(),
            who: "tester".into(),
        }
    }

    pub(super) fn graph(&self, resources: &[Resource]) -> Graph {
        Graph::build(resources.to_vec(), &self.engine().registry).unwrap()
    }

    async fn apply(&self, resources: &[Resource]) -> Result<RunSummary, RunError> {
        self.apply_with(resources, ApplyOptions::default(), &AutoApprove).await
    }

    async fn apply_with(
        &self,
        resources: &[Resource],
        options: ApplyOptions,
        approver: &dyn crate::run::Approver,
    ) -> Result<RunSummary, RunError> {
        let graph = self.graph(resources);
        self.engine().apply(&graph, options, approver, &Cancel::never()).await
    }

    async fn plan(&self, resources: &[Resource]) -> Plan {
        self.engine().plan(&self.graph(resources), Verb::Apply, &[]).await.unwrap()
    }

    /// The calls since this was asked last.
    pub(super) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.script.lock().unwrap().calls)
    }

    fn fails(&self, call: &str, class: Class) {
        let error = CallError::new(class, call, "no");
        self.script.lock().unwrap().errors.insert(call.into(), error);
    }

    fn outcome(&self, address: &str) -> StepOutcome {
        let events = self.events.lock().unwrap();
        let ended = events.iter().rev().find_map(|event| match event {
            RunEvent::StepFinished { address: a, outcome, .. } if a.as_str() == address => {
                Some(outcome.clone())
            }
            _ => None,
        });
        ended.unwrap()
    }
}

/// An approver that must be asked exactly for these stages.
fn gates(answers: &[(&'static str, Answer)]) -> MockApprover {
    let mut approver = MockApprover::new();
    for &(stage, answer) in answers {
        approver.expect_ask().withf(move |gate| gate.stage == stage).times(1).return_const(answer);
    }
    approver
}

pub(super) fn diamond() -> Vec<Resource> {
    vec![
        node("a", "one", &[]),
        node("b", "one", &["a"]),
        node("c", "two", &["a"]),
        node("d", "two", &["b", "c"]),
    ]
}

#[tokio::test(start_paused = true)]
async fn dependencies_are_made_first_and_deleted_last() {
    let bench = Bench::new();
    let summary = bench.apply(&diamond()).await.unwrap();
    assert_eq!((summary.created, summary.is_complete()), (4, true));
    assert_eq!(bench.calls(), ["Create a", "Create b", "Create c", "Create d"]);
    assert_eq!(bench.apply(&diamond()).await.unwrap(), RunSummary::default());
    assert_eq!(bench.calls(), [""; 0]);

    let graph = bench.graph(&diamond());
    let options = ApplyOptions::default();
    let summary =
        bench.engine().destroy(&graph, options, &AutoApprove, &Cancel::never()).await.unwrap();
    assert_eq!((summary.deleted, summary.is_complete()), (4, true));
    let calls = bench.calls();
    assert_eq!((calls[0].as_str(), calls[3].as_str()), ("Delete d", "Delete a"));
}

/// A run can be spawned on a runtime with several threads.
#[test]
fn runs_and_plans_are_send() {
    fn sent<T: Send>(_: T) {}
    let bench = Bench::new();
    let (engine, graph, never) = (bench.engine(), bench.graph(&diamond()), Cancel::never());
    sent(engine.plan(&graph, Verb::Apply, &[]));
    sent(engine.apply(&graph, ApplyOptions::default(), &AutoApprove, &never));
    sent(engine.destroy(&graph, ApplyOptions::default(), &AutoApprove, &never));
}

#[tokio::test(start_paused = true)]
async fn a_destroy_of_one_stage_takes_what_depends_on_it_along() {
    let bench = Bench::new();
    let mut resources = diamond();
    resources.push(node("e", "one", &[]));
    bench.apply(&resources).await.unwrap();
    bench.calls();
    let graph = bench.graph(&resources);
    let options = ApplyOptions { stages: vec!["two".into()], ..ApplyOptions::default() };
    bench.engine().destroy(&graph, options, &AutoApprove, &Cancel::never()).await.unwrap();
    assert_eq!(bench.calls(), ["Delete d", "Delete c"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_declined_stage_is_skipped_and_says_so() {
    let bench = Bench::new();
    let mut resources = diamond();
    resources.push(node("e", "three", &["d"]));
    resources.push(node("f", "three", &[]));
    let approver =
        gates(&[("one", Answer::Approve), ("two", Answer::Decline), ("three", Answer::Approve)]);
    let summary = bench.apply_with(&resources, ApplyOptions::default(), &approver).await.unwrap();
    assert_eq!(bench.calls(), ["Create a", "Create f", "Create b"]);
    assert_eq!(summary.declined, ["two"]);
    assert_eq!(summary.skipped, ["e".into()]);
    assert_eq!(bench.outcome("c"), StepOutcome::Declined);
    assert_eq!(bench.outcome("e"), StepOutcome::Skipped { because_of: "d".into() });
}

#[tokio::test(start_paused = true)]
async fn a_gate_left_open_is_the_only_one_asked_next_time() {
    let bench = Bench::new();
    let later = gates(&[("one", Answer::Approve), ("two", Answer::Later)]);
    let summary = bench.apply_with(&diamond(), ApplyOptions::default(), &later).await.unwrap();
    assert_eq!(summary.open, ["two"]);
    assert_eq!(bench.calls(), ["Create a", "Create b"], "what was approved goes on");
    assert_eq!(bench.outcome("c"), StepOutcome::Open);
    let holder = Holder { who: "x".into(), why: "y".into(), since: crate::Timestamp(0) };
    drop(bench.store.lease(holder).await.expect("no lease is held"));

    let rest = gates(&[("two", Answer::Approve)]);
    let summary = bench.apply_with(&diamond(), ApplyOptions::default(), &rest).await.unwrap();
    assert!(summary.is_complete());
    assert_eq!(bench.calls(), ["Create c", "Create d"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_an_open_gate_is_left_for_later() {
    let bench = Bench::new();
    let mut resources = diamond();
    resources.push(node("e", "three", &["d"]));
    let approver =
        gates(&[("one", Answer::Approve), ("two", Answer::Later), ("three", Answer::Approve)]);
    let summary = bench.apply_with(&resources, ApplyOptions::default(), &approver).await.unwrap();
    assert_eq!(bench.outcome("e"), StepOutcome::Skipped { because_of: "d".into() });
    assert!(!summary.is_complete());
    let rest = gates(&[("two", Answer::Approve)]);
    let summary = bench.apply_with(&resources, ApplyOptions::default(), &rest).await.unwrap();
    assert!(summary.is_complete(), "the approval of stage three still holds: {summary:?}");
}

#[tokio::test(start_paused = true)]
async fn an_approval_covers_only_the_calls_that_were_shown() {
    let bench = Bench::new();
    bench.fails("Create b", Class::Denied);
    let both = gates(&[("one", Answer::Approve), ("two", Answer::Approve)]);
    bench.apply_with(&diamond(), ApplyOptions::default(), &both).await.unwrap();
    let mut edited = diamond();
    edited[3].props["size"] = json!(2);
    let again = gates(&[("two", Answer::Approve)]);
    let summary = bench.apply_with(&edited, ApplyOptions::default(), &again).await.unwrap();
    assert!(summary.is_complete());
}

#[tokio::test(start_paused = true)]
async fn dependents_of_a_failure_are_skipped_with_the_cause_and_others_go_on() {
    let bench = Bench::new();
    bench.fails("Create b", Class::Denied);
    let mut resources = diamond();
    resources.push(node("e", "two", &["d"]));
    let summary = bench.apply(&resources).await.unwrap();
    assert_eq!(bench.calls(), ["Create a", "Create b", "Create c"]);
    assert_eq!((summary.failed, summary.skipped), (vec!["b".into()], vec!["d".into(), "e".into()]));
    assert_eq!(bench.outcome("e"), StepOutcome::Skipped { because_of: "b".into() });
}

#[tokio::test(start_paused = true)]
async fn a_refused_create_is_repeated_without_waiting_for_an_object() {
    for (class, at_most) in [(Class::Throttled, 2), (Class::NotYet, 5), (Class::Conflict, 5)] {
        let bench = Bench::new();
        bench.fails("Create a", class);
        let began = tokio::time::Instant::now();
        let summary = bench.apply(&[node("a", "one", &[])]).await.unwrap();
        assert!(summary.is_complete());
        assert_eq!(bench.calls(), ["Create a"; 2]);
        let took = began.elapsed();
        assert!(took <= Duration::from_secs(at_most), "{class:?} took {took:?}");
    }
}

/// A store that works, except that one append fails; and what it was given.
fn store(fails_at: Option<usize>, appends: Arc<Mutex<Vec<Vec<Stamped>>>>) -> MockStateStore {
    let mut store = MockStateStore::new();
    store.expect_load().returning(|| Ok(Loaded::default()));
    store.expect_lease().returning(move |_| {
        let mut lease = MockLease::new();
        lease.expect_load().returning(|| Ok(Loaded::default()));
        let appends = appends.clone();
        lease.expect_append().returning(move |_, batch| {
            let mut appends = appends.lock().unwrap();
            appends.push(batch.to_vec());
            if Some(appends.len()) == fails_at {
                let why = "no space left on device".into();
                return Err(StoreError::Io { action: "writing", file: "journal".into(), why });
            }
            Ok(())
        });
        lease.expect_compact().returning(|_| Ok(()));
        lease.expect_release().returning(|| Ok(()));
        lease.expect_confirmed_at().returning(|| None);
        lease.expect_taken_from().returning(|| None);
        lease.expect_stash().returning(|_| ());
        Ok(Box::new(lease))
    });
    store
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_its_begin_is_durable_nor_after_the_store_failed() {
    let appends = Arc::default();
    let sound = Bench { store: Arc::new(store(None, Arc::clone(&appends))), ..Bench::new() };
    sound.apply(&diamond()).await.unwrap();
    let count = appends.lock().unwrap().len();
    for fails_at in 1..=count {
        let appends: Arc<Mutex<Vec<Vec<Stamped>>>> = Arc::default();
        let broken = store(Some(fails_at), appends.clone());
        let bench = Bench { store: Arc::new(broken), ..Bench::new() };
        let result = bench.apply(&diamond()).await;
        assert!(matches!(result, Err(RunError::Store(_))), "{fails_at}: {result:?}");
        let appends = appends.lock().unwrap();
        assert_eq!(appends.len(), fails_at, "nothing follows a failed append");
        let begun = appends[..fails_at - 1]
            .iter()
            .flatten()
            .filter(|s| matches!(s.entry, Entry::Begin { .. }))
            .count();
        assert_eq!(bench.calls().len(), begun, "append {fails_at} failed");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_shares_one_append() {
    let appends: Arc<Mutex<Vec<Vec<Stamped>>>> = Arc::default();
    let bench = Bench { store: Arc::new(store(None, appends.clone())), ..Bench::new() };
    let many: Vec<_> = (0..50).map(|n| node(&format!("n{n}"), "one", &[])).collect();
    bench.apply(&many).await.unwrap();
    let appends = appends.lock().unwrap();
    let begins: Vec<usize> = appends
        .iter()
        .map(|batch| batch.iter().filter(|s| matches!(s.entry, Entry::Begin { .. })).count())
        .filter(|&n| n > 0)
        .collect();
    assert_eq!(begins, [50]);
    assert!(appends.len() <= 8, "{} appends for 50 resources", appends.len());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_plan_does_not_list_is_never_sent() {
    let bench = Bench::new();
    bench.script.lock().unwrap().fickle.insert("b".into());
    let summary = bench.apply(&diamond()).await.unwrap();
    assert_eq!(summary.failed, ["b".into()]);
    assert_eq!(bench.calls(), ["Create a", "Create c"]);
    let StepOutcome::Failed { cause, .. } = bench.outcome("b") else { panic!() };
    assert!(cause.starts_with("the plan no longer holds"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn data_is_lost_only_where_that_very_address_was_named() {
    let bench = Bench::new();
    bench.apply(&diamond()).await.unwrap();
    bench.calls();
    bench.script.lock().unwrap().precious.extend(["b".to_owned(), "d".to_owned()]);
    let graph = bench.graph(&diamond());
    let destroy = async |consent: &[&str]| {
        let consent = consent.iter().map(|&a| Address::new(a)).collect();
        let options = ApplyOptions { consent, ..ApplyOptions::default() };
        bench.engine().destroy(&graph, options, &AutoApprove, &Cancel::never()).await
    };
    match destroy(&["b"]).await {
        Err(RunError::DataLoss(left)) => {
            assert_eq!(left, [("d".into(), DataEffect::new(Verdict::Lost, "everything"))]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.calls(), [""; 0]);
    assert!(destroy(&["b", "d"]).await.unwrap().is_complete());
}

/// Of two reasons the graver one is told; the plan has both.
#[tokio::test(start_paused = true)]
async fn data_that_would_be_lost_weighs_more_than_a_refusal() {
    let bench = Bench::new();
    bench.apply(&diamond()).await.unwrap();
    bench.script.lock().unwrap().precious.insert("d".into());
    let foreign = json!({ "name": "e", "size": 1 });
    bench.script.lock().unwrap().exists.insert("e".into(), foreign);
    bench.script.lock().unwrap().foreign.insert("e".into());
    let mut wanted = diamond();
    wanted.retain(|r| r.address.as_str() != "d");
    wanted.push(node("e", "one", &[]));
    let result = bench.apply(&wanted).await;
    assert!(matches!(result, Err(RunError::DataLoss(_))), "{result:?}");
    bench.script.lock().unwrap().precious.clear();
    let result = bench.apply(&wanted).await;
    assert!(matches!(result, Err(RunError::Refused(_))), "{result:?}");
}

fn with_plan(plan: &Plan) -> ApplyOptions {
    ApplyOptions { plan: Some(plan.clone()), ..ApplyOptions::default() }
}

#[track_caller]
fn stale(result: Result<RunSummary, RunError>, why: &str) {
    match result {
        Err(RunError::StalePlan(found)) => assert_eq!(found, why),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_is_carried_out_once_and_as_it_was_shown() {
    let bench = Bench::new();
    let graph = diamond();
    let plan = bench.plan(&graph).await;
    let apply = async |plan: &Plan| bench.apply_with(&graph, with_plan(plan), &AutoApprove).await;

    let mut edited = plan.clone();
    edited.steps.pop();
    stale(apply(&edited).await, "it was edited");
    let mut elsewhere = plan.clone();
    elsewhere.pin.account = "222222222222".into();
    stale(apply(&elsewhere.sealed()).await, "it is for another pipeline, account or region");
    let newer = Plan { format: 2, ..plan.clone() }.sealed();
    stale(apply(&newer).await, "it was written by another version");

    let mut more = graph.clone();
    more.push(node("e", "two", &[]));
    let result = bench.apply_with(&more, with_plan(&plan), &AutoApprove).await;
    stale(result, "e now needs Create, which it does not list");
    assert_eq!(bench.calls(), [""; 0]);

    let other = bench.plan(&graph).await;
    assert!(apply(&plan).await.unwrap().is_complete());
    stale(apply(&plan).await, "it was carried out already");
    stale(apply(&other).await, "it was made for another state");
    let mut resized = graph.clone();
    resized[0].props["size"] = json!(2);
    let (one, two) = (bench.plan(&resized).await, bench.plan(&resized).await);
    bench.apply_with(&resized, with_plan(&one), &AutoApprove).await.unwrap();
    let result = bench.apply_with(&resized, with_plan(&two), &AutoApprove).await;
    stale(result, "another run has changed the state since");
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_that_was_interrupted_may_be_given_again() {
    let bench = Bench::new();
    let plan = bench.plan(&diamond()).await;
    bench.fails("Create b", Class::Denied);
    let both = gates(&[("one", Answer::Approve), ("two", Answer::Approve)]);
    let summary = bench.apply_with(&diamond(), with_plan(&plan), &both).await.unwrap();
    assert_eq!(summary.failed, ["b".into()]);
    // Nothing is asked again.
    let summary = bench.apply_with(&diamond(), with_plan(&plan), &gates(&[])).await.unwrap();
    assert!(summary.is_complete());
    assert_eq!(bench.calls().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_first_stop_sends_nothing_new_and_leaves_waits() {
    let bench = Bench::new();
    bench.script.lock().unwrap().stuck.insert("a".into());
    let (canceller, cancel) = Canceller::new();
    let began = tokio::time::Instant::now();
    let (engine, graph) = (bench.engine(), bench.graph(&diamond()));
    let run = engine.apply(&graph, ApplyOptions::default(), &AutoApprove, &cancel);
    let stop = async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        canceller.cancel();
    };
    let (summary, ()) = tokio::join!(run, stop);
    let summary = summary.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(100));
    let going_on = "waiting for ready (CREATING)".to_owned();
    assert_eq!(summary.interrupted, [("a".into(), Some(going_on))]);
    assert_eq!(bench.calls(), ["Create a"]);

    // The next run waits on, asks nothing and sends nothing for it.
    bench.script.lock().unwrap().stuck.clear();
    let summary = bench.apply_with(&diamond(), ApplyOptions::default(), &gates(&[])).await.unwrap();
    assert!(summary.is_complete());
    assert_eq!(bench.calls(), ["Create b", "Create c", "Create d"]);
}

/// A kind whose requests are answered late, by the name of their object: they take effect at once.
pub(super) struct Slow {
    pub(super) inner: MockErasedKind,
    pub(super) time: fn(&str) -> Duration,
    /// What its requests may take, if that is not the usual.
    pub(super) longest: Option<Duration>,
}

#[async_trait::async_trait]
impl crate::kind::ErasedKind for Slow {
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
    async fn observe(
        &self,
        target: &crate::kind::ErasedTarget,
    ) -> Result<Option<Value>, CallError> {
        self.inner.observe(target).await
    }
    fn mark(&self, seen: &Value) -> Result<MarkSeen, CallError> {
        self.inner.mark(seen)
    }
    fn calls(&self, case: &crate::kind::ErasedCase) -> Result<crate::kind::ErasedNext, CallError> {
        let mut next = self.inner.calls(case)?;
        if let Next::Calls(calls) = &mut next {
            for call in calls {
                call.longest_secs = self.longest.map(|longest| longest.as_secs());
            }
        }
        Ok(next)
    }
    async fn perform(&self, call: &Value, guard: &crate::kind::Guard) -> Result<Sent, CallError> {
        let sent = self.inner.perform(call, guard).await;
        tokio::time::sleep((self.time)(&name(call))).await;
        sent
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_gets_five_seconds_and_none_at_the_second_stop() {
    for (stops, seconds) in [(1, 5), (2, 1)] {
        let bench = Bench::new();
        let mut engine = bench.engine();
        engine.registry = Registry::default().with_erased(Arc::new(Slow {
            inner: kind(&bench.script),
            time: |_| Duration::from_hours(1),
            longest: Some(Duration::from_hours(2)),
        }));
        let (canceller, cancel) = Canceller::new();
        let graph = bench.graph(&diamond());
        let run = engine.apply(&graph, ApplyOptions::default(), &AutoApprove, &cancel);
        let stop = async {
            tokio::time::sleep(Duration::from_mins(1)).await;
            for _ in 0..stops {
                canceller.cancel();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let began = tokio::time::Instant::now();
        let run = async {
            let summary = run.await.unwrap();
            (summary, began.elapsed())
        };
        let ((summary, took), ()) = tokio::join!(run, stop);
        assert_eq!(took, Duration::from_secs(60 + seconds), "{stops} stops");
        let going_on = summary.interrupted.iter().find(|(a, _)| a.as_str() == "a").unwrap();
        assert_eq!(going_on.1.as_deref(), Some("Create was sent"), "{stops} stops");
        // It had been made: the next run finds it.
        assert!(bench.apply(&diamond()).await.unwrap().is_complete());
        assert_eq!(bench.calls(), ["Create a", "Create b", "Create c", "Create d"]);
    }
}

/// It is looked for as long as an object may be invisible, and not until its time has come.
#[tokio::test(start_paused = true)]
async fn what_was_begun_by_a_clock_that_was_ahead_is_looked_for_no_longer() {
    let bench = Bench::new();
    let one = [node("a", "one", &[])];
    let mut ahead = bench.engine();
    let time = |_: &str| Duration::from_mins(10);
    ahead.registry = Registry::default().with_erased(Arc::new(Slow {
        inner: kind(&bench.script),
        time,
        longest: Some(Duration::from_hours(1)),
    }));
    tokio::time::sleep(Duration::from_hours(8)).await;
    let (graph, options, never) = (bench.graph(&one), ApplyOptions::default(), Cancel::never());
    tokio::select! {
        biased;
        run = ahead.apply(&graph, options, &AutoApprove, &never) => {
            panic!("it takes ten minutes: {run:?}")
        }
        () = tokio::time::sleep(Duration::from_secs(1)) => {}
    }
    bench.script.lock().unwrap().exists.clear();
    // The next process is told the time as it is, eight hours earlier.
    let began = tokio::time::Instant::now();
    assert!(bench.apply(&one).await.unwrap().is_complete());
    let took = began.elapsed();
    assert!((110..=140).contains(&took.as_secs()), "as long as any other: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lock_held_by_another_is_waited_for_and_then_named() {
    let bench = Bench::new();
    let holder = Holder { who: "ann".into(), why: "apply".into(), since: crate::Timestamp(7) };
    let lease = bench.store.lease(holder).await.unwrap();
    let began = tokio::time::Instant::now();
    let options = || ApplyOptions { lock_timeout: Duration::from_secs(30), ..Default::default() };
    match bench.apply_with(&diamond(), options(), &AutoApprove).await {
        Err(RunError::Store(StoreError::Locked(other))) => assert_eq!(other.who, "ann"),
        other => panic!("{other:?}"),
    }
    assert_eq!(began.elapsed(), Duration::from_secs(30));
    assert!(!bench.plan(&diamond()).await.steps.is_empty(), "planning takes no lock");
    let release = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        drop(lease);
    };
    let graph = diamond();
    let (summary, ()) = tokio::join!(bench.apply_with(&graph, options(), &AutoApprove), release);
    assert!(summary.unwrap().is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_state_of_another_account_is_not_touched() {
    let mut bench = Bench::new();
    bench.apply(&diamond()[..1]).await.unwrap();
    bench.calls();
    bench.pin.account = "222222222222".into();
    let result = bench.apply(&diamond()).await;
    assert!(matches!(result, Err(RunError::WrongWorld { .. })), "{result:?}");
    match bench.events.lock().unwrap().last() {
        Some(RunEvent::Finished { error: Some(error), .. }) => {
            assert!(error.contains("222222222222"), "{error}");
        }
        other => panic!("the stream ends with {other:?}"),
    }
    let graph = bench.graph(&diamond());
    let result = bench.engine().plan(&graph, Verb::Destroy, &[]).await;
    assert!(matches!(result, Err(RunError::WrongWorld { .. })), "{result:?}");
    assert_eq!(bench.calls(), [""; 0]);
}

/// An observation that the kind can't read proves nothing: what it is of is not forgotten.
#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_is_not_forgotten() {
    let bench = Bench::new();
    bench.apply(&diamond()[..1]).await.unwrap();
    let mut broken = MockErasedKind::new();
    broken.expect_type_name().return_const("mock");
    broken.expect_name().returning(|props| Ok(name(props)));
    broken.expect_visibility().return_const(Duration::ZERO);
    broken.expect_observe().returning(|_| Ok(Some(json!({ "odd": true }))));
    broken
        .expect_mark()
        .returning(|_| Err(CallError::new(Class::Invalid, "mock", "an observation was expected")));
    let engine = bench.engine_with(broken);
    let graph = bench.graph(&[]);
    let options = ApplyOptions::default();
    let result = engine.destroy(&graph, options, &AutoApprove, &Cancel::never()).await;
    assert!(matches!(result, Err(RunError::Refused(_))), "{result:?}");
    assert_eq!(bench.engine().state().await.unwrap().records.len(), 1);
}

/// A kind whose objects have nothing to refer to.
struct Plain;

#[async_trait::async_trait]
impl crate::kind::Kind for Plain {
    const TYPE: &'static str = "plain";
    type Props = BTreeMap<String, Value>;
    type Seen = ();
    type Outputs = ();
    type Call = ();
    fn name(props: &Self::Props) -> String {
        props["name"].to_string()
    }
    async fn observe(&self, _: &crate::kind::Target<Self>) -> Result<Option<()>, CallError> {
        Ok(Some(()))
    }
    fn mark((): &()) -> MarkSeen {
        MarkSeen::ReadOnly
    }
    fn calls(&self, case: &crate::kind::Case<Self>) -> Next<(), ()> {
        if case.want.is_some() { Next::Converged(()) } else { Next::Gone }
    }
    async fn perform(&self, (): &(), _: &crate::kind::Guard) -> Result<Sent, CallError> {
        unreachable!("it is only read")
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_without_outputs_becomes_ready_all_the_same() {
    let bench = Bench::new();
    let mut engine = bench.engine();
    engine.registry = Registry::default().with(Plain);
    let mut resource = node("a", "one", &[]);
    resource.kind = "plain".into();
    let graph = Graph::build(vec![resource], &engine.registry).unwrap();
    let options = ApplyOptions::default();
    engine.apply(&graph, options, &AutoApprove, &Cancel::never()).await.unwrap();
    assert!(engine.state().await.unwrap().records["a"].current.as_ref().unwrap().was_ready());
    let plan = engine.plan(&graph, Verb::Apply, &[]).await.unwrap();
    assert_eq!(plan.steps[0].action, crate::plan::Action::NoOp);
}
