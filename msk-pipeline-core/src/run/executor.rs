//! Carries out the steps of a plan: each as soon as what it waits for is done, none before its *begin* is durable.
//!
//! It does not decide what to do (`plan` did), does not print (events do), and does not know what a call is (kinds do).

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
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
use super::walk::{Halt, Walk, described, failed};
use crate::address::Address;
use crate::clock::Clock;
use crate::kind::{Registry, references, resolve};
use crate::plan::{Action, Plan, Step};
use crate::state::{Entry, Lease, StoreError};

/// Requests under way at once. AWS throttles control planes at a few requests a second; waiting takes no place.
const REQUESTS: usize = 8;
/// How long a request already sent may take once the run was asked to stop.
pub(super) const GRACE: Duration = Duration::from_secs(5);

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
    pub(super) fn going_on(&self, step: &Step) -> Option<String> {
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
        let walk = Walk::new(self, kind, step, requests, want);
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
