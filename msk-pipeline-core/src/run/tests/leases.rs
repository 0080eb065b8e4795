//! The engine under a lease that can be lost: when it renews, what it does not send, whom it waits for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::mocked::{Bench, Slow, kind, node};
use crate::Timestamp;
use crate::clock::{Clock, Reading};
use crate::graph::Resource;
use crate::kind::{Class, Registry};
use crate::run::{
    Answer, ApplyOptions, Approver, AutoApprove, Cancel, Canceller, Engine, EventSink, Gate,
    RunError, RunEvent, RunSummary,
};
use crate::state::{
    Entry, Holder, Lease, Loaded, MemoryStore, Stamped, State, StateStore, StoreError,
};

type Seconds = std::ops::Range<u64>;

/// What goes wrong with the store, by seconds since the run began; and what was asked of it.
#[derive(Default)]
struct Dials {
    /// When renewals fail without an answer.
    unreachable: Mutex<Option<Seconds>>,
    /// When renewals get no answer for as long as anybody waits.
    silent: Mutex<Option<Seconds>>,
    /// From when on the lease is another's, as renewals tell.
    lost: Mutex<Option<u64>>,
    /// When appends fail without an answer.
    unwritable: Mutex<Option<Seconds>>,
    /// When it was renewed.
    renewed: Mutex<Vec<u64>>,
    /// What was kept beside the store.
    stashed: Mutex<Vec<Stamped>>,
    /// What those who want the lease are told before they get it.
    answers: Mutex<VecDeque<StoreError>>,
    /// When they asked.
    asked: Mutex<Vec<u64>>,
    taken_from: Mutex<Option<Holder>>,
}

#[derive(Clone)]
struct Store {
    inner: MemoryStore,
    clock: Arc<dyn Clock>,
    began: Timestamp,
    dials: Arc<Dials>,
}

struct Held {
    inner: Box<dyn Lease>,
    store: Store,
    confirmed: Reading,
}

impl Store {
    fn now(&self) -> u64 {
        self.clock.wall().since(self.began).as_secs()
    }

    fn within(&self, when: &Mutex<Option<Seconds>>) -> bool {
        when.lock().unwrap().as_ref().is_some_and(|when| when.contains(&self.now()))
    }
}

fn unreachable() -> StoreError {
    let (place, why) = ("state".into(), "no answer".into());
    StoreError::Remote { action: "writing", place, why, help: String::new() }
}

fn holder(who: &str) -> Holder {
    Holder { who: who.into(), why: "apply".into(), since: Timestamp(7) }
}

#[async_trait]
impl StateStore for Store {
    async fn load(&self) -> Result<Loaded, StoreError> {
        self.inner.load().await
    }
    async fn lease(&self, holder: Holder) -> Result<Box<dyn Lease>, StoreError> {
        self.dials.asked.lock().unwrap().push(self.now());
        if let Some(error) = self.dials.answers.lock().unwrap().pop_front() {
            return Err(error);
        }
        let inner = self.inner.lease(holder).await?;
        Ok(Box::new(Held { inner, store: self.clone(), confirmed: self.clock.reading() }))
    }
    fn location(&self) -> String {
        "a store that can be lost".into()
    }
}

#[async_trait]
impl Lease for Held {
    async fn load(&mut self) -> Result<Loaded, StoreError> {
        self.inner.load().await
    }
    async fn append(&mut self, expected_head: u64, entries: &[Stamped]) -> Result<(), StoreError> {
        if self.store.dials.lost.lock().unwrap().is_some_and(|from| from <= self.store.now()) {
            return Err(StoreError::Lost { by: holder("bob") });
        }
        if self.store.within(&self.store.dials.unwritable) {
            return Err(unreachable());
        }
        self.inner.append(expected_head, entries).await
    }
    async fn compact(&mut self, state: &State) -> Result<(), StoreError> {
        self.inner.compact(state).await
    }
    async fn release(&mut self) -> Result<(), StoreError> {
        self.inner.release().await
    }
    fn confirmed_at(&self) -> Option<Reading> {
        Some(self.confirmed)
    }
    async fn renew(&mut self) -> Result<(), StoreError> {
        if self.store.dials.lost.lock().unwrap().is_some_and(|from| from <= self.store.now()) {
            return Err(StoreError::Lost { by: holder("bob") });
        }
        if self.store.within(&self.store.dials.silent) {
            std::future::pending::<()>().await;
        }
        if self.store.within(&self.store.dials.unreachable) {
            return Err(unreachable());
        }
        self.confirmed = self.store.clock.reading();
        self.store.dials.renewed.lock().unwrap().push(self.store.now());
        Ok(())
    }
    fn taken_from(&self) -> Option<Holder> {
        self.store.dials.taken_from.lock().unwrap().clone()
    }
    async fn stash(&mut self, entries: &[Stamped]) {
        self.store.dials.stashed.lock().unwrap().extend_from_slice(entries);
    }
}

/// A bench whose store can be lost, and whose requests take as long as `time` says.
struct Leased {
    bench: Bench,
    engine: Engine,
    dials: Arc<Dials>,
    began: Timestamp,
}

impl Leased {
    fn new(time: fn(&str) -> Duration) -> Self {
        let bench = Bench::new();
        let mut engine = bench.engine();
        let (inner, longest) = (kind(&bench.script), Some(Duration::from_hours(1)));
        engine.registry = Registry::default().with_erased(Arc::new(Slow { inner, time, longest }));
        let began = engine.clock.wall();
        let dials = Arc::new(Dials::default());
        engine.store = Arc::new(Store {
            inner: MemoryStore::new(),
            clock: engine.clock.clone(),
            began,
            dials: dials.clone(),
        });
        Self { bench, engine, dials, began }
    }

    async fn apply(&self, resources: &[Resource]) -> Result<RunSummary, RunError> {
        self.apply_with(resources, ApplyOptions::default(), &AutoApprove).await
    }

    async fn apply_with(
        &self,
        resources: &[Resource],
        options: ApplyOptions,
        approver: &dyn Approver,
    ) -> Result<RunSummary, RunError> {
        let graph = self.bench.graph(resources);
        self.engine.apply(&graph, options, approver, &Cancel::never()).await
    }

    fn elapsed(&self) -> u64 {
        self.engine.clock.wall().since(self.began).as_secs()
    }

    fn events(&self, which: fn(&RunEvent) -> bool) -> usize {
        self.bench.events.lock().unwrap().iter().filter(|e| which(e)).count()
    }
}

const MINUTES_10: Duration = Duration::from_mins(10);

struct Hesitant;

#[async_trait]
impl Approver for Hesitant {
    async fn ask(&self, _: &Gate) -> Answer {
        tokio::time::sleep(MINUTES_10).await;
        Answer::Approve
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_every_thirty_seconds_whatever_goes_on() {
    let leased = Leased::new(|_| MINUTES_10);
    // Ten minutes at the gate, ten in a request, and ten in another.
    let chain = [node("a", "one", &[]), node("b", "one", &["a"])];
    let summary = leased.apply_with(&chain, ApplyOptions::default(), &Hesitant).await.unwrap();
    assert!(summary.is_complete());
    let mut renewed = leased.dials.renewed.lock().unwrap().clone();
    assert_eq!(leased.elapsed(), 30 * 60);
    renewed.insert(0, 0);
    renewed.push(leased.elapsed());
    let gaps: Vec<_> = renewed.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap <= 30), "{renewed:?}");
    assert!(gaps.len() <= 62, "no more often than needed: {renewed:?}");
}

/// Settling waits for two minutes until a create is certain not to have arrived.
#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_while_an_earlier_run_is_settled() {
    let leased = Leased::new(|_| MINUTES_10);
    let one = [node("a", "one", &[])];
    tokio::select! {
        biased;
        run = leased.apply(&one) => panic!("it takes ten minutes: {run:?}"),
        () = tokio::time::sleep(Duration::from_secs(1)) => {}
    }
    leased.bench.script.lock().unwrap().exists.clear();
    leased.dials.renewed.lock().unwrap().clear();
    let settled = async {
        while leased.events(|e| matches!(e, RunEvent::Settled { .. })) == 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        biased;
        run = leased.apply(&one) => panic!("it takes ten minutes: {run:?}"),
        () = settled => {}
    }
    let renewed = leased.dials.renewed.lock().unwrap().clone();
    assert_eq!(renewed, [31, 61, 91], "of the two minutes that it waited");
}

#[tokio::test(start_paused = true)]
async fn no_call_is_sent_that_no_lease_covers_just_now() {
    let minutes_5: fn(&str) -> Duration = |_| Duration::from_mins(5);
    let chain = [node("a", "one", &[]), node("b", "one", &["a"])];
    // Renewals fail from the first minute on; the call that is under way is awaited, its answer is stored, and no other is sent.
    let leased = Leased::new(minutes_5);
    *leased.dials.unreachable.lock().unwrap() = Some(60..u64::MAX);
    let result = leased.apply(&chain).await;
    assert!(matches!(result, Err(RunError::Store(StoreError::Remote { .. }))), "{result:?}");
    assert_eq!(leased.bench.calls(), ["Create a"]);
    assert_eq!(leased.elapsed(), 300);
    let state = leased.engine.state().await.unwrap();
    assert!(state.records["a"].current.as_ref().unwrap().was_ready());

    // A gap that is over by then hurts nobody.
    let leased = Leased::new(minutes_5);
    *leased.dials.unreachable.lock().unwrap() = Some(60..280);
    assert!(leased.apply(&chain).await.unwrap().is_complete());
    assert_eq!(leased.bench.calls(), ["Create a", "Create b"]);
}

/// A successor counts on it that no request takes longer, with whatever is read on its way.
#[tokio::test(start_paused = true)]
async fn a_request_is_given_up_before_a_successor_looks() {
    let mut leased = Leased::new(|_| MINUTES_10);
    leased.engine.registry = Registry::default().with_erased(Arc::new(Slow {
        inner: kind(&leased.bench.script),
        time: |_| MINUTES_10,
        longest: None,
    }));
    // It took effect: the next look finds it.
    let summary = leased.apply(&[node("a", "one", &[])]).await.unwrap();
    assert!(summary.is_complete(), "{summary:?}");
    assert_eq!(leased.bench.calls(), ["Create a"]);
    let answered = |e: &&RunEvent| matches!(e, RunEvent::CallFinished { .. });
    let events = leased.bench.events.lock().unwrap();
    let Some(RunEvent::CallFinished { error: Some(error), .. }) = events.iter().find(answered)
    else {
        panic!("{events:?}")
    };
    assert_eq!((error.class, error.code.as_deref()), (Class::Unknown, None));
    assert!(error.message.contains("45 seconds"), "{error}");
}

/// A listener that takes its time: meanwhile the lease is lost.
struct Pager {
    dials: Arc<Dials>,
    clock: Arc<Skewed>,
}

impl EventSink for Pager {
    fn emit(&self, event: RunEvent) {
        if matches!(event, RunEvent::CallStarted { .. }) {
            *self.dials.lost.lock().unwrap() = Some(0);
            assert_eq!(self.clock.0.swap(300, Ordering::Relaxed), 0, "told twice");
        }
    }
}

/// A clock that somebody sets forward, by seconds.
#[derive(Debug)]
struct Skewed(AtomicU64, Arc<dyn Clock>);

#[async_trait]
impl Clock for Skewed {
    fn wall(&self) -> Timestamp {
        self.1.wall() + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
    async fn sleep(&self, duration: Duration) {
        self.1.sleep(duration).await;
    }
    async fn grace(&self, duration: Duration) {
        self.1.grace(duration).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_between_the_last_look_at_the_lease_and_the_request() {
    let mut leased = Leased::new(|_| Duration::ZERO);
    let clock = Arc::new(Skewed(AtomicU64::new(0), leased.engine.clock.clone()));
    leased.engine.clock = clock.clone();
    leased.engine.events = Arc::new(Pager { dials: leased.dials.clone(), clock });
    let result = leased.apply(&[node("a", "one", &[])]).await;
    assert!(matches!(result, Err(RunError::Store(StoreError::Lost { .. }))), "{result:?}");
    assert_eq!(leased.bench.calls(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_does_not_wait_for_a_renewal() {
    let leased = Leased::new(|_| MINUTES_10);
    *leased.dials.silent.lock().unwrap() = Some(0..u64::MAX);
    let graph = leased.bench.graph(&[node("a", "one", &[])]);
    let (canceller, cancel) = Canceller::new();
    let run = leased.engine.apply(&graph, ApplyOptions::default(), &AutoApprove, &cancel);
    let stopped = async {
        tokio::time::sleep(Duration::from_mins(1)).await;
        canceller.cancel();
        canceller.cancel();
        std::future::pending::<()>().await;
    };
    let ended = tokio::time::timeout(MINUTES_10 / 2, async {
        tokio::select! {
            ended = run => ended,
            () = stopped => unreachable!("it goes on for ever"),
        }
    });
    let summary = ended.await.expect("it ends with the second stop").unwrap();
    assert_eq!(summary.interrupted.len(), 1, "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_lost_during_a_wait_is_no_error_until_something_is_written() {
    let leased = Leased::new(|_| Duration::from_mins(5));
    *leased.dials.lost.lock().unwrap() = Some(60);
    let chain = [node("a", "one", &[]), node("b", "one", &["a"])];
    let result = leased.apply(&chain).await;
    let Err(RunError::Store(StoreError::Lost { by })) = result else { panic!("{result:?}") };
    assert_eq!(by, holder("bob"));
    assert_eq!(leased.elapsed(), 300, "the call that was sent is awaited");
    assert_eq!(leased.bench.calls(), ["Create a"]);
}

#[tokio::test(start_paused = true)]
async fn a_plan_made_while_the_lease_was_lost_is_not_told() {
    let leased = Leased::new(|_| Duration::ZERO);
    *leased.dials.lost.lock().unwrap() = Some(0);
    // What is there is the successor's by now, and would pass for foreign.
    {
        let mut script = leased.bench.script.lock().unwrap();
        script.exists.insert("a".into(), serde_json::json!({ "name": "a" }));
        script.foreign.insert("a".into());
    }
    let late = Leased {
        engine: Engine { clock: Arc::new(Late(leased.engine.clock.clone())), ..leased.engine },
        ..leased
    };
    let result = late.apply(&[node("a", "one", &[])]).await;
    assert!(matches!(result, Err(RunError::Store(StoreError::Lost { .. }))), "{result:?}");
}

/// A clock on which a minute has passed since the lease was taken.
#[derive(Debug)]
struct Late(Arc<dyn Clock>);

#[async_trait]
impl Clock for Late {
    fn wall(&self) -> Timestamp {
        self.0.wall()
    }
    fn reading(&self) -> Reading {
        let reading = self.0.reading();
        Reading { wall: reading.wall + Duration::from_mins(1), ..reading }
    }
    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }
    async fn grace(&self, duration: Duration) {
        self.0.grace(duration).await;
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_store_cannot_be_written_answers_are_awaited_and_kept_and_nothing_is_begun() {
    let leased = Leased::new(|name| Duration::from_secs(if name == "a" { 10 } else { 100 }));
    *leased.dials.unwritable.lock().unwrap() = Some(5..u64::MAX);
    let resources = [node("a", "one", &[]), node("b", "one", &[]), node("c", "one", &["a"])];
    let result = leased.apply(&resources).await;
    assert!(matches!(result, Err(RunError::Store(StoreError::Remote { .. }))), "{result:?}");
    assert_eq!(leased.elapsed(), 100, "what was sent is awaited");
    assert_eq!(leased.bench.calls(), ["Create a", "Create b"]);
    let head = leased.engine.state().await.unwrap().head;
    let stashed = leased.dials.stashed.lock().unwrap().clone();
    let kept: Vec<_> = stashed
        .iter()
        .map(|e| match &e.entry {
            Entry::End { address, .. } => (e.seq - head, address.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kept, [(1, "a"), (2, "b")]);
    // They follow what is stored.
    let mut state = leased.engine.state().await.unwrap();
    for entry in &stashed {
        state.after(entry).unwrap();
    }
}

fn silent(renewal: &str, left: u64) -> StoreError {
    let (holder, renewal) = (holder("ann"), renewal.into());
    StoreError::Leased { holder, renewal, left: Duration::from_secs(left) }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_renews_is_named_and_one_that_does_not_is_succeeded() {
    let one = [node("a", "one", &[])];
    // It renews.
    let leased = Leased::new(|_| Duration::ZERO);
    *leased.dials.answers.lock().unwrap() =
        VecDeque::from([silent("1", 80), silent("1", 75), silent("2", 90)]);
    match leased.apply(&one).await {
        Err(RunError::Store(StoreError::Locked(other))) => assert_eq!(other, holder("ann")),
        other => panic!("{other:?}"),
    }
    assert_eq!(*leased.dials.asked.lock().unwrap(), [0, 5, 10]);
    assert_eq!(leased.events(|e| matches!(e, RunEvent::WaitingForLock { .. })), 1);

    // It does not, and the lease expires.
    let leased = Leased::new(|_| Duration::ZERO);
    *leased.dials.answers.lock().unwrap() =
        VecDeque::from([silent("1", 9), silent("1", 4), silent("1", 0)]);
    *leased.dials.taken_from.lock().unwrap() = Some(holder("ann"));
    assert!(leased.apply(&one).await.unwrap().is_complete());
    assert_eq!(*leased.dials.asked.lock().unwrap(), [0, 5, 9, 10]);
    assert_eq!(leased.events(|e| matches!(e, RunEvent::TookOver { .. })), 1);

    // It renews, and whoever waits has patience for twenty seconds; or until it is given back.
    for (renewals, ends) in [(20, false), (3, true)] {
        let leased = Leased::new(|_| Duration::ZERO);
        *leased.dials.answers.lock().unwrap() =
            (0..renewals).map(|n| silent(&n.to_string(), 90)).collect();
        let lock_timeout = Duration::from_secs(20);
        let options = ApplyOptions { lock_timeout, ..ApplyOptions::default() };
        let result = leased.apply_with(&one, options, &AutoApprove).await;
        assert_eq!(result.is_ok(), ends, "{result:?}");
        assert_eq!(leased.elapsed(), if ends { 15 } else { 20 });
    }
}
