//! One step's way: observe, take the first call, begin, perform, end, observe again (design decision D4).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;

use super::event::{RunEvent, StepOutcome};
use super::executor::{Executor, GRACE};
use crate::clock::Timestamp;
use crate::kind::{
    CallError, Class, Condition, Effect, ErasedCase, ErasedKind, ErasedNext, ErasedProposed,
    ErasedTarget, Mark, MarkSeen, Next, Poll, STALE_BEGIN,
};
use crate::plan::{Reader, Step, UNMARKABLE, backoff, foreign, help_with_foreign, in_window};
use crate::state::{Described, Entry, Outcome, StoreError};

/// Why a step can't go on.
pub(super) enum Halt {
    Outcome(StepOutcome),
    Store(StoreError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Halt::Store(error)
    }
}

pub(super) fn failed(cause: impl Into<String>, help: impl Into<String>) -> Halt {
    Halt::Outcome(StepOutcome::Failed { cause: cause.into(), help: help.into() })
}

/// One step's way through the loop of design decision D4: observe, take the first call, begin, perform, end, observe again.
pub(super) struct Walk<'a> {
    executor: &'a Executor<'a>,
    kind: &'a Arc<dyn ErasedKind>,
    step: &'a Step,
    requests: &'a Semaphore,
    want: Option<Value>,
    /// The call that AWS accepted last in this run, and when.
    accepted: Option<(Value, Timestamp)>,
    /// What was to follow the wait that this walk watched last.
    awaited: Vec<ErasedProposed>,
    /// What is waited for, since when, and how it looked.
    waiting: Option<(String, Timestamp, String)>,
    /// Failures by class and call since the last call that was accepted, for the pauses between attempts.
    attempts: BTreeMap<(&'static str, String), u32>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        executor: &'a Executor<'a>,
        kind: &'a Arc<dyn ErasedKind>,
        step: &'a Step,
        requests: &'a Semaphore,
        want: Option<Value>,
    ) -> Self {
        Self {
            executor,
            kind,
            step,
            requests,
            want,
            accepted: None,
            awaited: Vec::new(),
            waiting: None,
            attempts: BTreeMap::new(),
        }
    }

    pub(super) async fn walk(mut self) -> Result<StepOutcome, Halt> {
        loop {
            if self.executor.cancel.is_cancelled() {
                return Ok(self.interrupted());
            }
            match self.next().await? {
                Next::Converged(outputs) if self.want.is_some() => {
                    return self.ready(outputs).await;
                }
                Next::Converged(_) | Next::Gone | Next::Kept => return self.gone().await,
                Next::Wait { condition, then } => {
                    self.awaited = then;
                    self.wait(condition).await?;
                }
                Next::Calls(calls) => {
                    self.waiting = None;
                    match calls.into_iter().next() {
                        Some(call) => self.call(call).await?,
                        None => {
                            return Err(failed("its kind lists no call and is not converged", ""));
                        }
                    }
                }
                Next::Replace { because, .. } => {
                    return Err(no_longer_holds(&format!(
                        "it would have to be replaced: {because}"
                    )));
                }
                Next::Refuse { because, help } => return Err(failed(because, help)),
                Next::Failed { cause, help } => {
                    self.settle(&cause).await?;
                    return Err(failed(cause, help));
                }
            }
        }
    }

    /// Observes and decides.
    async fn next(&self) -> Result<ErasedNext, Halt> {
        let Executor { journal, clock, plan, .. } = self.executor;
        let (was, pursuit) = journal.with_state(|state| {
            let object =
                state.records.get(&self.step.address).and_then(|r| r.object(self.step.generation));
            let was =
                object.filter(|o| o.was_ready()).map(|o| (o.props.clone(), o.outputs.clone()));
            (was, object.and_then(crate::state::Object::pursuit))
        });
        let props = self.want.clone().unwrap_or_else(|| self.step.props.clone());
        // A selection that the plan made is kept: it is the one that was shown.
        let selected = || {
            let outputs = Some(&self.step.outputs).filter(|o| !o.is_null() && self.want.is_some());
            outputs.map(|outputs| (props.clone(), outputs.clone()))
        };
        // What a deletion does is decided by the props in the plan: a destroy takes them from the present spec.
        let was = match &self.want {
            None => was.map(|(_, outputs)| (props.clone(), outputs)),
            Some(_) => was.or_else(selected),
        };
        let target =
            ErasedTarget { props: props.clone(), was: was.clone(), pursuit: pursuit.clone() };
        let seen = {
            let reader = Reader { clock: *clock, requests: Some(self.requests) };
            match reader.observe_or(self.kind, &target, self.executor.cancel).await {
                None => return Err(Halt::Outcome(self.interrupted())),
                Some(Ok(seen)) => seen,
                Some(Err(error)) => return Err(failed_read(&error)),
            }
        };
        // A kind that deletes is told the props, also of an object that was never ready.
        let was = was.or_else(|| self.want.is_none().then_some((props, Value::Null)));
        let case = ErasedCase {
            want: self.want.clone(),
            seen,
            was,
            pursuit,
            mark: Mark {
                lineage: plan.lineage.clone(),
                pipeline: plan.pipeline.clone(),
                address: self.step.address.clone(),
            },
        };
        let broken = |error: CallError| failed(error.to_string(), "");
        let mark =
            case.seen.as_ref().map(|seen| self.kind.mark(seen)).transpose().map_err(broken)?;
        if in_window(self.kind.as_ref(), case.pursuit.as_ref(), mark.as_ref(), clock.wall()) {
            let condition = Condition::new(
                "the created object to be visible",
                "not visible yet",
                Duration::from_secs(5),
            );
            return Ok(Next::Wait { condition, then: Vec::new() });
        }
        let whose = |mark: &MarkSeen| {
            foreign(mark, &plan.lineage, &self.step.name, self.step.adoption.as_ref())
        };
        if let Some(problem) = mark.as_ref().and_then(whose) {
            if self.want.is_none() {
                return Ok(Next::Gone);
            }
            return Err(failed(problem, help_with_foreign(&self.step.address, mark.as_ref())));
        }
        let next = self.kind.calls(&case).map_err(broken)?;
        if let (Next::Converged(outputs), Some(_)) = (&next, &self.step.adoption) {
            self.check_taken(outputs).await?;
        }
        Ok(next)
    }

    /// An object that is taken over has to be ours by the mark that it carries, once it is recorded.
    async fn check_taken(&self, outputs: &Value) -> Result<(), Halt> {
        let props = self.want.clone().unwrap_or_default();
        let was = Some((props.clone(), outputs.clone()));
        let target = ErasedTarget { props, was, pursuit: None };
        let reader = Reader { clock: self.executor.clock, requests: Some(self.requests) };
        let seen = match reader.observe_or(self.kind, &target, self.executor.cancel).await {
            None => return Err(Halt::Outcome(self.interrupted())),
            Some(seen) => seen.map_err(|error| failed_read(&error))?,
        };
        let mark = seen.map(|seen| self.kind.mark(&seen)).transpose();
        let mark = mark.map_err(|error| failed(error.to_string(), ""))?;
        let lineage = &self.executor.plan.lineage;
        match mark.and_then(|mark| foreign(&mark, lineage, &self.step.name, None)) {
            None => Ok(()),
            Some(problem) => Err(failed(problem, UNMARKABLE)),
        }
    }

    async fn call(&mut self, call: ErasedProposed) -> Result<(), Halt> {
        let Executor { journal, clock, events, cancel, .. } = self.executor;
        self.check_listed(&call)?;
        if let Some((accepted, at)) = &self.accepted
            && *accepted == call.call
            && !call.repeats
        {
            // Accepted, and reads still show the past: look again, don't repeat.
            let passed = clock.wall().since(*at);
            if passed >= self.kind.visibility() {
                let cause = format!(
                    "{} was accepted {} s ago and the object still does not show it",
                    call.op,
                    passed.as_secs()
                );
                return Err(failed(cause, "run again to try once more"));
            }
            return self.pause(Poll::usual(Duration::from_secs(5)).next(passed)).await;
        }
        let (address, generation) = (self.step.address.clone(), self.step.generation);
        let mut begun = clock.wall();
        journal.record(self.begin(&call)).await?;
        let permit = self.requests.acquire().await;
        // Told before the last look at the right to write: whoever listens may take its time.
        events.emit(RunEvent::CallStarted {
            address: address.clone(),
            op: call.op.clone(),
            data: call.data.clone(),
        });
        // Waiting for a place, and waiting to be confirmed, may each have made it old.
        for _ in 0..2 {
            if clock.wall().since(begun) > STALE_BEGIN && !cancel.is_cancelled() {
                begun = clock.wall();
                journal.record(self.begin(&call)).await?;
            }
            journal.confirm().await?;
        }
        // A stop that came while *begin* was stored: the call is not sent, and the next run finds that it had no effect.
        if cancel.is_cancelled() {
            return Err(Halt::Outcome(StepOutcome::Interrupted { going_on: None }));
        }
        let answer = tokio::select! {
            biased;
            answer = self.kind.perform(&call.call, &call.guard) => answer,
            () = clock.grace(call.limit()) => {
                let why = format!("no answer within {} seconds", call.limit().as_secs());
                Err(CallError::new(Class::Unknown, &call.op, why))
            }
            () = async { cancel.cancelled(1).await; clock.grace(GRACE).await } => {
                Err(CallError::new(Class::Unknown, &call.op, "no answer within five seconds of the interruption"))
            }
        };
        drop(permit);
        let retry = match &answer {
            Ok(_) => None,
            Err(error) => self.patience(error, &call),
        };
        events.emit(RunEvent::CallFinished {
            address: address.clone(),
            op: call.op.clone(),
            error: answer.as_ref().err().cloned(),
            retry: answer.is_ok() || retry.is_some(),
        });
        let outcome = match &answer {
            Ok(sent) => Outcome::Accepted(sent.clone()),
            Err(error) => Outcome::Failed(error.clone()),
        };
        journal.record(Entry::End { address, generation, outcome }).await?;
        match (answer, retry) {
            (Ok(_), _) => {
                self.attempts.clear();
                self.accepted = Some((call.call, clock.wall()));
                Ok(())
            }
            (Err(_), Some(pause)) => self.pause(pause).await,
            (Err(error), None) => {
                if error.class != Class::Unknown {
                    self.settle(&error.to_string()).await?;
                }
                Err(failed(error.to_string(), help_for(error.class)))
            }
        }
    }

    fn begin(&self, call: &ErasedProposed) -> Entry {
        let props = self.want.clone().unwrap_or_else(|| self.step.props.clone());
        Entry::Begin {
            object: described(self.step, self.kind.version(), props),
            op: call.op.clone(),
            effect: call.effect,
            call: call.call.clone(),
            guard: call.guard.clone(),
        }
    }

    /// The plan is what happens: only listed calls are sent. What was being made when it was planned, and became usable while this
    /// walk watched, holds as much data as it did then: none.
    fn check_listed(&self, call: &ErasedProposed) -> Result<(), Halt> {
        let same =
            |a: &&ErasedProposed| a.op == call.op && a.effect == call.effect && a.call == call.call;
        let data = self.awaited.iter().find(same).unwrap_or(call).data.verdict;
        if self.step.calls.iter().any(|planned| planned.lists(call, data)) {
            return Ok(());
        }
        Err(no_longer_holds(&format!(
            "{} would be needed as well, or with other arguments",
            call.op
        )))
    }

    /// How long to pause before observing again after a failure; `None` if it stays a failure.
    fn patience(&mut self, error: &CallError, call: &ErasedProposed) -> Option<Duration> {
        let effect = call.effect;
        let (name, attempts, pause): (_, u32, fn(u32) -> Duration) = match error.class {
            Class::Throttled => ("throttled", 20, backoff),
            Class::Unknown => ("unknown", 8, backoff),
            // Observing tells whose it is.
            Class::AlreadyExists => ("exists", 3, |_| Duration::from_secs(2)),
            Class::Conflict => ("conflict", 120, |n| Duration::from_secs(u64::from(3 + n).min(15))),
            Class::NotYet => ("not yet", 60, |_| Duration::from_secs(3)),
            Class::NotFound if effect == Effect::Delete => ("gone", 3, |_| Duration::from_secs(2)),
            Class::NotFound => ("not found", 10, |_| Duration::from_secs(3)),
            // Services refuse to delete what is being deleted, in words of their own: looking again tells whether that is all.
            Class::Invalid if effect == Effect::Delete => {
                ("refused", 1, |_| Duration::from_secs(2))
            }
            Class::Denied | Class::Expired | Class::Invalid | Class::Quota => return None,
        };
        if error.class == Class::Unknown && self.executor.cancel.is_cancelled() {
            return Some(Duration::ZERO);
        }
        let attempt = self.attempts.entry((name, call.call.to_string())).or_default();
        *attempt += 1;
        (*attempt <= attempts).then(|| pause(*attempt - 1))
    }

    async fn wait(&mut self, condition: Condition) -> Result<(), Halt> {
        let Executor { clock, events, .. } = self.executor;
        let now = clock.wall();
        let (since, news) = match &self.waiting {
            Some((what, since, seen)) if *what == condition.what => {
                (*since, *seen != condition.seen)
            }
            _ => (now, true),
        };
        let waited = now.since(since);
        self.waiting = Some((condition.what.clone(), since, condition.seen.clone()));
        if news {
            events.emit(RunEvent::Waiting {
                address: self.step.address.clone(),
                condition: condition.clone(),
            });
        }
        if waited > condition.deadline {
            let cause = format!(
                "waited {} min for {}; it is {}",
                waited.as_secs() / 60,
                condition.what,
                condition.seen
            );
            return Err(failed(
                cause,
                "nothing was undone and it goes on in the cloud: run again to go on waiting",
            ));
        }
        self.pause(Poll::usual(condition.usual).next(waited)).await
    }

    /// Sleeps, unless the run is asked to stop.
    async fn pause(&self, duration: Duration) -> Result<(), Halt> {
        tokio::select! {
            biased;
            () = self.executor.cancel.cancelled(1) => Err(Halt::Outcome(self.interrupted())),
            () = self.executor.clock.sleep(duration) => Ok(()),
        }
    }

    fn interrupted(&self) -> StepOutcome {
        let waiting =
            self.waiting.as_ref().map(|(what, _, seen)| format!("waiting for {what} ({seen})"));
        StepOutcome::Interrupted { going_on: waiting.or_else(|| self.executor.going_on(self.step)) }
    }

    async fn settle(&self, found: &str) -> Result<(), Halt> {
        let (address, generation) = (self.step.address.clone(), self.step.generation);
        let known = self.executor.journal.with_state(|state| {
            state.records.get(&address).and_then(|r| r.object(generation)).is_some()
        });
        if known {
            let entry = Entry::Settled { address, generation, found: found.to_owned() };
            self.executor.journal.record(entry).await?;
        }
        Ok(())
    }

    async fn ready(&self, outputs: Value) -> Result<StepOutcome, Halt> {
        let props = self.want.clone().unwrap_or_default();
        let object = described(self.step, self.kind.version(), props);
        let entry = Entry::Ready { object, outputs: outputs.clone() };
        self.executor.journal.record(entry).await?;
        Ok(StepOutcome::Done { outputs })
    }

    pub(super) async fn gone(&self) -> Result<StepOutcome, Halt> {
        let (address, generation) = (self.step.address.clone(), self.step.generation);
        let known = self.executor.journal.with_state(|state| {
            state.records.get(&address).and_then(|r| r.object(generation)).is_some()
        });
        if known {
            self.executor.journal.record(Entry::Gone { address, generation }).await?;
        }
        Ok(StepOutcome::Done { outputs: Value::Null })
    }
}

/// The step's object as the journal tells it.
pub(super) fn described(step: &Step, version: u32, props: Value) -> Described {
    Described {
        address: step.address.clone(),
        generation: step.generation,
        kind: step.kind.clone(),
        version,
        stage: step.stage.clone(),
        name: step.name.clone(),
        props,
        deps: step.deps.clone(),
    }
}

fn no_longer_holds(why: &str) -> Halt {
    failed(
        format!("the plan no longer holds: {why}"),
        "plan again: nothing that was not shown is done",
    )
}

fn failed_read(error: &CallError) -> Halt {
    failed(format!("it could not be looked at: {error}"), help_for(error.class))
}

fn help_for(class: Class) -> &'static str {
    match class {
        Class::Expired => "renew the credentials and run again: nothing is lost, waits re-attach",
        Class::Denied => "the caller needs this permission; run again once it has it",
        Class::Quota => "raise the quota or remove what is not needed, then run again",
        Class::Throttled | Class::Unknown | Class::Conflict | Class::NotYet => "run again to go on",
        Class::NotFound | Class::AlreadyExists | Class::Invalid => "",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::time::Duration;

    use async_trait::async_trait;
    use serde_json::json;

    use crate::entropy::Entropy;
    use crate::graph::{Graph, Resource};
    use crate::kind::{
        CallError, Case, Effect, Guard, Kind, MarkSeen, Next, Proposed, Registry, Sent, Target,
    };
    use crate::run::{ApplyOptions, AutoApprove, Cancel, Engine, NoEvents};
    use crate::state::{MemoryStore, Pin, StateStore as _};
    use crate::{Clock as _, RealClock, Timestamp};

    use super::{Arc, STALE_BEGIN};

    /// A heap of things of which one request takes one away.
    struct Heap(Mutex<u32>);

    #[async_trait]
    impl Kind for Heap {
        const TYPE: &'static str = "heap";
        type Props = String;
        type Seen = u32;
        type Outputs = String;
        type Call = String;

        fn name(props: &String) -> String {
            props.clone()
        }
        async fn observe(&self, _: &Target<Self>) -> Result<Option<u32>, CallError> {
            Ok(Some(*self.0.lock().unwrap()).filter(|n| *n > 0))
        }
        fn mark(_: &u32) -> MarkSeen {
            MarkSeen::ByParent
        }
        fn calls(&self, case: &Case<Self>) -> Next<String, String> {
            let call = |op: &str, effect| Proposed::new(op, effect, op.to_owned());
            match (&case.want, &case.seen) {
                (None, None) => Next::Gone,
                (None, Some(_)) => Next::Calls(vec![call("take", Effect::Delete).repeats()]),
                (Some(_), None) => Next::Calls(vec![call("make", Effect::Create)]),
                (Some(_), Some(_)) => Next::Converged("heap".into()),
            }
        }
        async fn perform(&self, call: &String, _: &Guard) -> Result<Sent, CallError> {
            let mut left = self.0.lock().unwrap();
            *left = if call == "make" { 3 } else { *left - 1 };
            Ok(Sent::default())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_does_a_part_is_sent_until_nothing_is_left() {
        let registry = Registry::default().with(Heap(Mutex::new(0)));
        let clock = Arc::new(RealClock::starting_at(Timestamp(0)));
        let resource = Resource {
            address: "heap".into(),
            kind: "heap".into(),
            stage: "all".into(),
            props: json!("heap"),
            needs: Vec::new(),
        };
        let graph = Graph::build(vec![resource], &registry).unwrap();
        let engine = Engine {
            registry,
            store: Arc::new(MemoryStore::new()),
            clock: clock.clone(),
            entropy: Arc::new(Entropy::seeded(1)),
            events: Arc::new(NoEvents),
            pipeline: "p".into(),
            pin: Pin::default(),
            who: "test".into(),
        };
        let (options, never) = (ApplyOptions::default(), Cancel::never());
        let made = engine.apply(&graph, options.clone(), &AutoApprove, &never).await.unwrap();
        assert!(made.is_complete(), "{made:?}");
        let taken = engine.destroy(&graph, options, &AutoApprove, &never).await.unwrap();
        assert!(taken.is_complete(), "{taken:?}");
        assert_eq!(clock.wall(), Timestamp(0), "nothing was waited for");
    }

    /// A thing whose create takes four seconds to be answered; it notes how old its *begin* was when the request was sent.
    struct Slow {
        clock: Arc<RealClock>,
        store: Arc<MemoryStore>,
        made: Mutex<BTreeMap<String, Duration>>,
    }

    #[async_trait]
    impl Kind for Slow {
        const TYPE: &'static str = "slow";
        type Props = String;
        type Seen = String;
        type Outputs = String;
        type Call = String;

        fn name(props: &String) -> String {
            props.clone()
        }
        async fn observe(&self, target: &Target<Self>) -> Result<Option<String>, CallError> {
            let made = self.made.lock().unwrap().contains_key(&target.props);
            Ok(made.then(|| target.props.clone()))
        }
        fn mark(_: &String) -> MarkSeen {
            MarkSeen::ByParent
        }
        fn calls(&self, case: &Case<Self>) -> Next<String, String> {
            match (&case.want, &case.seen) {
                (_, Some(seen)) => Next::Converged(seen.clone()),
                (Some(want), None) => {
                    Next::Calls(vec![Proposed::new("make", Effect::Create, want.clone())])
                }
                (None, None) => Next::Gone,
            }
        }
        async fn perform(&self, call: &String, _: &Guard) -> Result<Sent, CallError> {
            let state = self.store.load().await.unwrap().fold().unwrap();
            let begun = state.pending().find(|(_, o, _)| o.name == *call).unwrap().2.begun;
            self.made.lock().unwrap().insert(call.clone(), self.clock.wall().since(begun));
            self.clock.sleep(Duration::from_secs(4)).await;
            Ok(Sent::default())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_had_to_wait_is_begun_anew() {
        let clock = Arc::new(RealClock::starting_at(Timestamp(0)));
        let store = Arc::new(MemoryStore::new());
        let slow = Arc::new(Slow {
            clock: clock.clone(),
            store: store.clone(),
            made: Mutex::new(BTreeMap::new()),
        });
        let registry = Registry::default().with_erased(slow.clone());
        let resource = |n: usize| Resource {
            address: format!("slow{n}").as_str().into(),
            kind: "slow".into(),
            stage: "all".into(),
            props: json!(format!("slow{n}")),
            needs: Vec::new(),
        };
        let graph = Graph::build((0..40).map(resource).collect(), &registry).unwrap();
        let engine = Engine {
            registry,
            store,
            clock: clock.clone(),
            entropy: Arc::new(Entropy::seeded(1)),
            events: Arc::new(NoEvents),
            pipeline: "p".into(),
            pin: Pin::default(),
            who: "test".into(),
        };
        let (options, never) = (ApplyOptions::default(), Cancel::never());
        let made = engine.apply(&graph, options, &AutoApprove, &never).await.unwrap();
        assert_eq!(made.created, 40);
        assert!(clock.wall() >= Timestamp(20_000), "forty at eight a time, four seconds each");
        let made = slow.made.lock().unwrap();
        let oldest = made.values().max().unwrap();
        assert!(*oldest <= STALE_BEGIN, "the oldest begin was {oldest:?} old");
    }
}
