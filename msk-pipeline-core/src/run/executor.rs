//! Carries out the steps of a plan: each as soon as what it waits for is done, none before its *begin* is durable.
//!
//! It does not decide what to do (`plan` did), does not print (events do), and does not know what a call is (kinds do).

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll as TaskPoll;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::cancel::Cancel;
use super::event::{EventSink, RunEvent, RunSummary, StepOutcome};
use super::journal::Journal;
use crate::address::Address;
use crate::clock::{Clock, Timestamp};
use crate::kind::{
    CallError, Class, Condition, Effect, ErasedCase, ErasedKind, ErasedNext, ErasedProposed,
    ErasedTarget, Mark, MarkSeen, Next, Poll, Registry, STALE_BEGIN, references, resolve,
};
use crate::plan::{
    Action, Plan, Reader, Step, UNMARKABLE, backoff, foreign, help_with_foreign, in_window,
};
use crate::state::{Described, Entry, Lease, Outcome, StoreError};

/// Requests under way at once. AWS throttles control planes at a few requests a second; waiting takes no place.
const REQUESTS: usize = 8;
/// How long a request already sent may take once the run was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

pub(super) struct Executor<'a> {
    pub(super) registry: &'a Registry,
    pub(super) clock: &'a dyn Clock,
    pub(super) events: &'a dyn EventSink,
    pub(super) journal: &'a Journal<'a>,
    pub(super) cancel: &'a Cancel,
    pub(super) plan: &'a Plan,
}

/// The stages whose steps are not carried out, by what was said at their gates.
#[derive(Clone, Default)]
pub(super) struct Withheld {
    pub(super) declined: Vec<String>,
    pub(super) open: Vec<String>,
}

impl Withheld {
    /// How a step of one of these stages ends.
    fn outcome(&self, step: &Step) -> Option<StepOutcome> {
        if !step.changes() {
            None
        } else if self.declined.contains(&step.stage) {
            Some(StepOutcome::Declined)
        } else {
            self.open.contains(&step.stage).then_some(StepOutcome::Open)
        }
    }
}

/// Why a step can't go on.
enum Halt {
    Outcome(StepOutcome),
    Store(StoreError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Halt::Store(error)
    }
}

fn failed(cause: impl Into<String>, help: impl Into<String>) -> Halt {
    Halt::Outcome(StepOutcome::Failed { cause: cause.into(), help: help.into() })
}

/// Which step ended, how, and how long it took.
type Ended = (usize, Result<StepOutcome, Halt>, Duration);

enum Progress {
    Finished(usize, Result<StepOutcome, Halt>, Duration),
    Flush,
    Renew,
}

impl Executor<'_> {
    /// Runs every step that can run. Steps of stages that were declined or left open, and what waits for them, are skipped.
    ///
    /// # Errors
    /// The store failed: nothing was begun after that; requests already sent were awaited.
    pub(super) async fn execute(
        &self,
        lease: &mut dyn Lease,
        withheld: &Withheld,
    ) -> Result<RunSummary, StoreError> {
        let steps = &self.plan.steps;
        let started = self.clock.wall();
        let mut unblocks: Vec<Vec<usize>> = vec![Vec::new(); steps.len()];
        let mut waits: Vec<usize> = vec![0; steps.len()];
        for (n, step) in steps.iter().enumerate() {
            waits[n] = step.after.len();
            step.after.iter().for_each(|&before| unblocks[before].push(n));
        }
        let Withheld { declined, open } = withheld.clone();
        let mut summary = RunSummary { declined, open, ..RunSummary::default() };
        let mut over: Vec<bool> = vec![false; steps.len()];
        let mut ready: BTreeSet<usize> = (0..steps.len()).filter(|&n| waits[n] == 0).collect();
        // What is withheld itself is told so, also where it waits for something else that is.
        let refused = |n: usize| Some((n, withheld.outcome(&steps[n])?));
        let refused: Vec<_> = (0..steps.len()).filter_map(refused).collect();
        for (n, outcome) in &refused {
            self.finish(*n, outcome.clone(), Duration::ZERO, &mut over, &mut summary);
        }
        for (n, _) in refused {
            self.skip_after(n, &unblocks, &mut over, &mut summary);
        }
        self.spare(&unblocks, &mut over, &mut summary);
        let requests = Semaphore::new(REQUESTS);
        let mut running: FuturesUnordered<BoxFuture<'_, Ended>> = FuturesUnordered::new();
        let mut broken: Option<StoreError> = None;
        loop {
            while let Some(n) = ready.pop_first() {
                if over[n] {
                    continue;
                }
                let stopping = self.cancel.is_cancelled() || broken.is_some();
                if steps[n].action == Action::NoOp {
                    over[n] = true;
                    release(n, &unblocks, &mut waits, &mut ready);
                } else if stopping {
                    let outcome = StepOutcome::Interrupted { going_on: None };
                    self.finish(n, outcome, Duration::ZERO, &mut over, &mut summary);
                    self.skip_after(n, &unblocks, &mut over, &mut summary);
                } else {
                    let requests = &requests;
                    running.push(Box::pin(async move {
                        let begun = self.clock.wall();
                        let result = self.step(&steps[n], requests).await;
                        (n, result, self.clock.wall().since(begun))
                    }));
                }
            }
            let progress = poll_fn(|cx| match running.poll_next_unpin(cx) {
                TaskPoll::Ready(Some((n, result, took))) => {
                    TaskPoll::Ready(Some(Progress::Finished(n, result, took)))
                }
                TaskPoll::Ready(None) => TaskPoll::Ready(None),
                // Every step has come to a halt: what they want written goes into one batch.
                TaskPoll::Pending if self.journal.has_work() => {
                    TaskPoll::Ready(Some(Progress::Flush))
                }
                TaskPoll::Pending => TaskPoll::Pending,
            });
            let progress = tokio::select! {
                biased;
                () = self.cancel.cancelled(2) => {
                    for (n, step) in steps.iter().enumerate() {
                        if !over[n] && step.action != Action::NoOp {
                            let outcome = StepOutcome::Interrupted { going_on: self.going_on(step) };
                            self.finish(n, outcome, Duration::ZERO, &mut over, &mut summary);
                        }
                    }
                    None
                }
                progress = progress => progress,
                () = self.journal.renewal_due() => Some(Progress::Renew),
            };
            match progress {
                None => break,
                Some(Progress::Flush) => {
                    let stored = tokio::select! {
                        biased;
                        // A store that hangs must not keep the second stop waiting; what it holds is found by the next run.
                        () = self.cancel.cancelled(2) => continue,
                        stored = self.journal.flush(lease) => stored,
                    };
                    if let Err(error) = stored {
                        broken.get_or_insert(error);
                    }
                }
                // Lost or not, a wait goes on: only what has to be stored needs the lease.
                Some(Progress::Renew) => tokio::select! {
                    biased;
                    () = self.cancel.cancelled(2) => {}
                    _ = self.journal.renew(lease) => {}
                },
                Some(Progress::Finished(n, result, took)) => match result {
                    Ok(outcome @ StepOutcome::Done { .. }) => {
                        self.finish(n, outcome, took, &mut over, &mut summary);
                        release(n, &unblocks, &mut waits, &mut ready);
                    }
                    Ok(outcome) | Err(Halt::Outcome(outcome)) => {
                        self.finish(n, outcome, took, &mut over, &mut summary);
                        self.skip_after(n, &unblocks, &mut over, &mut summary);
                    }
                    Err(Halt::Store(error)) => {
                        let cause = format!("the state could not be written: {error}");
                        let outcome = StepOutcome::Failed { cause, help: String::new() };
                        self.finish(n, outcome, took, &mut over, &mut summary);
                        self.skip_after(n, &unblocks, &mut over, &mut summary);
                        broken.get_or_insert(error);
                    }
                },
            }
        }
        summary.elapsed_ms = millis(self.clock.wall().since(started));
        match broken {
            Some(error) => Err(error),
            None => Ok(summary),
        }
    }

    fn finish(
        &self,
        n: usize,
        outcome: StepOutcome,
        took: Duration,
        over: &mut [bool],
        summary: &mut RunSummary,
    ) {
        let step = &self.plan.steps[n];
        over[n] = true;
        let address = step.address.clone();
        match (&outcome, step.action) {
            (StepOutcome::Done { .. }, _) if step.adoption.is_some() => summary.adopted += 1,
            (StepOutcome::Done { .. }, Action::Create) => summary.created += 1,
            (StepOutcome::Done { .. }, Action::Update | Action::Wait) => summary.updated += 1,
            (StepOutcome::Done { .. }, Action::Delete) => summary.deleted += 1,
            (StepOutcome::Failed { .. }, _) => summary.failed.push(address.clone()),
            (StepOutcome::Skipped { .. }, _) => summary.skipped.push(address.clone()),
            (StepOutcome::Done { .. }, Action::NoOp | Action::Record)
            | (StepOutcome::Declined | StepOutcome::Open, _) => {}
            (StepOutcome::Interrupted { going_on }, _) => {
                summary.interrupted.push((address.clone(), going_on.clone()));
            }
        }
        self.events.emit(RunEvent::StepFinished {
            address,
            action: step.action,
            outcome,
            elapsed_ms: millis(took),
        });
    }

    /// Skips what waits, directly or not, for a step that was not done.
    fn skip_after(
        &self,
        root: usize,
        unblocks: &[Vec<usize>],
        over: &mut [bool],
        summary: &mut RunSummary,
    ) {
        let because_of = &self.plan.steps[root].address;
        let mut next = unblocks[root].clone();
        while let Some(n) = next.pop() {
            if over[n] {
                continue;
            }
            next.extend(&unblocks[n]);
            if self.plan.steps[n].action == Action::NoOp {
                over[n] = true;
            } else {
                let outcome = StepOutcome::Skipped { because_of: because_of.clone() };
                self.finish(n, outcome, Duration::ZERO, over, summary);
            }
        }
    }

    /// Skips deletions that make room for a successor which will not be made: what is there stays.
    fn spare(&self, unblocks: &[Vec<usize>], over: &mut [bool], summary: &mut RunSummary) {
        let steps = &self.plan.steps;
        let heir = |n: usize| {
            let is_heir = |&m: &usize| {
                steps[m].address == steps[n].address && steps[m].action != Action::Delete
            };
            unblocks[n].iter().copied().find(is_heir)
        };
        let heirs: Vec<_> = (0..steps.len())
            .filter(|&n| steps[n].action == Action::Delete)
            .filter_map(|n| Some((n, heir(n)?)))
            .collect();
        while let Some(&(n, heir)) = heirs.iter().find(|&&(n, heir)| !over[n] && over[heir]) {
            let because_of = steps[heir].address.clone();
            self.finish(n, StepOutcome::Skipped { because_of }, Duration::ZERO, over, summary);
            self.skip_after(n, unblocks, over, summary);
        }
    }

    /// What is still going on for a step's object, by what the journal says.
    fn going_on(&self, step: &Step) -> Option<String> {
        self.journal.with_state(|state| {
            let object = state.records.get(&step.address)?.object(step.generation)?;
            let sent = object.pending.as_ref().filter(|p| p.may_have_taken_effect());
            sent.map(|p| format!("{} was sent", p.op))
        })
    }

    async fn step(&self, step: &Step, requests: &Semaphore) -> Result<StepOutcome, Halt> {
        self.events.emit(RunEvent::StepStarted {
            address: step.address.clone(),
            action: step.action,
            name: step.name.clone(),
            usual_secs: step.calls.iter().map(|c| c.usual_secs).sum(),
        });
        let Some(kind) = self.registry.get(&step.kind) else {
            return Err(failed(format!("kind {} is not registered", step.kind), ""));
        };
        self.take_place(step).await?;
        let want = self.wanted(step)?;
        self.adopt(step, kind.version(), want.as_ref()).await?;
        let walk = Walk {
            executor: self,
            kind,
            step,
            requests,
            want,
            accepted: None,
            awaited: Vec::new(),
            waiting: None,
            attempts: BTreeMap::new(),
        };
        if step.forgets { walk.gone().await } else { walk.walk().await }
    }

    /// Makes the step's object the current one where it takes over from another.
    async fn take_place(&self, step: &Step) -> Result<(), Halt> {
        let current = self.journal.with_state(|state| {
            state.records.get(&step.address)?.current.as_ref().map(|o| o.generation)
        });
        if let Some(old) = step.deposes
            && current == Some(old)
        {
            let entry = Entry::Deposed { address: step.address.clone(), generation: old };
            self.journal.record(entry).await?;
        }
        if step.restores && current != Some(step.generation) {
            let generation = step.generation;
            self.journal
                .record(Entry::Restored { address: step.address.clone(), generation })
                .await?;
        }
        Ok(())
    }

    /// Notes that the step's object is being taken over, before anything is done to it.
    async fn adopt(&self, step: &Step, version: u32, want: Option<&Value>) -> Result<(), Halt> {
        let (Some(adoption), Some(props)) = (&step.adoption, want) else { return Ok(()) };
        let begun = self.journal.with_state(|state| {
            let object = state.records.get(&step.address)?.object(step.generation)?;
            Some(object.adoption.as_ref() == Some(adoption))
        });
        if begun == Some(true) {
            return Ok(());
        }
        let object = described(step, version, props.clone());
        let entry = Entry::Adopted { object, adoption: adoption.clone() };
        Ok(self.journal.record(entry).await?)
    }

    /// The step's props with every reference resolved; `None` for a deletion.
    fn wanted(&self, step: &Step) -> Result<Option<Value>, Halt> {
        // A record step without outputs forgets an object that does not exist any more.
        let gone = step.action == Action::Record && step.outputs.is_null();
        if step.action == Action::Delete || gone {
            return Ok(None);
        }
        let known = self.journal.with_state(|state| {
            let outputs = |a: &Address| {
                let object = state.records.get(a)?.current.as_ref()?;
                object.was_ready().then(|| (a.clone(), object.outputs.clone()))
            };
            step.deps.iter().filter_map(outputs).collect::<BTreeMap<_, _>>()
        });
        let props = resolve(&step.props, &known);
        match references(&props).first() {
            None => Ok(Some(props)),
            Some(missing) => Err(failed(
                format!("output `{}` of {} is not known", missing.output, missing.address),
                "",
            )),
        }
    }
}

fn release(n: usize, unblocks: &[Vec<usize>], waits: &mut [usize], ready: &mut BTreeSet<usize>) {
    for &next in &unblocks[n] {
        waits[next] -= 1;
        if waits[next] == 0 {
            ready.insert(next);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One step's way through the loop of design decision D4: observe, take the first call, begin, perform, end, observe again.
struct Walk<'a> {
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

impl Walk<'_> {
    async fn walk(mut self) -> Result<StepOutcome, Halt> {
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

    async fn gone(&self) -> Result<StepOutcome, Halt> {
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
fn described(step: &Step, version: u32, props: Value) -> Described {
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
