//! The verbs of the library: plan, apply, destroy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::approval::{Answer, Approver, gates};
use super::cancel::Cancel;
use super::event::{EventSink, RunEvent, RunSummary};
use super::executor::{Executor, Withheld};
use super::journal::Journal;
use super::settle::{SettleError, settle};
use crate::address::Address;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::graph::Graph;
use crate::kind::{DataEffect, ErasedProposed, Registry};
use crate::plan::{self, Action, Adopt, Plan, PlanError, Rebuilt, Refusal, Step, Verb};
use crate::state::{ApprovedCall, Entry, Holder, Lease, Pin, State, StateStore, StoreError};

/// How often a lease that another holds is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Everything that a run needs beside the pipeline itself. Cheap to make; holds no state of its own.
pub struct Engine {
    /// The kinds that can occur.
    pub registry: Registry,
    /// Where state lives.
    pub store: Arc<dyn StateStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub entropy: Arc<Entropy>,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// The pipeline's name.
    pub pipeline: String,
    /// The account and region that the provider reaches, as it says itself.
    pub pin: Pin,
    /// Who runs this, for the lock: `user@host, process 4711`.
    pub who: String,
}

/// How a run may differ from the default.
#[derive(Debug, Clone, Default)]
pub struct ApplyOptions {
    /// A plan that was saved: it and nothing else is carried out.
    pub plan: Option<Plan>,
    /// Addresses whose data may be read again or lost.
    pub consent: BTreeSet<Address>,
    /// Consents for every address: only for worlds whose data is worth nothing.
    pub consent_to_all: bool,
    /// For a destroy: only these stages and what depends on them.
    pub stages: Vec<String>,
    /// For an apply: no more than to take this object over.
    pub adopt: Option<Adopt>,
    /// How long to wait for another run to end.
    pub lock_timeout: Duration,
}

/// Why a run did not begin, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// State could not be read, locked or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The cloud could not be looked at.
    #[error("planning failed: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Plan(Vec<PlanError>),
    /// The plan has refusals.
    #[error("the plan can't be carried out: {}", .0.iter().map(|r| format!("{}: {}", r.address, r.because)).collect::<Vec<_>>().join("; "))]
    Refused(Vec<Refusal>),
    /// Data would be read again or lost, and nobody agreed to that.
    #[error("data would be affected: {}", .0.iter().map(|(a, d)| format!("{a} ({d})")).collect::<Vec<_>>().join("; "))]
    DataLoss(Vec<(Address, DataEffect)>),
    /// The state belongs to another account, region or pipeline.
    #[error("the state is for {expected} and this is {found}")]
    WrongWorld {
        /// What state says.
        expected: String,
        /// What the provider reaches.
        found: String,
    },
    /// The saved plan can't be carried out any more.
    #[error("the saved plan can't be carried out: {0}")]
    StalePlan(String),
    /// The run was asked to stop before its first call.
    #[error("interrupted")]
    Interrupted,
}

impl Engine {
    /// Makes a plan. Writes nothing, anywhere, and takes no lock.
    pub async fn plan(
        &self,
        graph: &Graph,
        verb: Verb,
        stages: &[String],
    ) -> Result<Plan, RunError> {
        let state = self.store.load().await?.fold()?;
        self.check_world(&state)?;
        self.make_plan(graph, &state, verb, stages, None, None).await
    }

    /// Makes state again from the marks on the objects that the spec names; what is recorded is not looked at. Reads only.
    ///
    /// # Errors
    /// Every object that could not be looked at.
    pub async fn rebuild(&self, graph: &Graph) -> Result<Rebuilt, RunError> {
        let (clock, pin) = (self.clock.as_ref(), &self.pin);
        let rebuilt = plan::rebuild(&self.registry, clock, graph, &self.pipeline, pin).await;
        rebuilt.map_err(RunError::Plan)
    }

    /// Reads the present state.
    pub async fn state(&self) -> Result<State, RunError> {
        Ok(self.store.load().await?.fold()?)
    }

    /// Settles what an earlier run left, plans, asks at the gates, and carries the plan out.
    ///
    /// # Guarantees
    /// * No changing request is sent that the plan did not list, and none before its *begin* is durable.
    /// * Whatever kills the process, the next run continues where this one was, without a second object.
    ///
    /// # Errors
    /// Everything that keeps the run from beginning, and a store that fails. A step that fails is no error: see [`RunSummary`].
    pub async fn apply(
        &self,
        graph: &Graph,
        options: ApplyOptions,
        approver: &dyn Approver,
        cancel: &Cancel,
    ) -> Result<RunSummary, RunError> {
        self.run(graph, Verb::Apply, options, approver, cancel).await
    }

    /// Deletes everything that state names, dependents first; what the spec now says about deletion counts. See [`Engine::apply`].
    pub async fn destroy(
        &self,
        graph: &Graph,
        options: ApplyOptions,
        approver: &dyn Approver,
        cancel: &Cancel,
    ) -> Result<RunSummary, RunError> {
        self.run(graph, Verb::Destroy, options, approver, cancel).await
    }

    async fn run(
        &self,
        graph: &Graph,
        verb: Verb,
        options: ApplyOptions,
        approver: &dyn Approver,
        cancel: &Cancel,
    ) -> Result<RunSummary, RunError> {
        let pipeline = self.pipeline.clone();
        self.events.emit(RunEvent::Started { version: 1, verb, pipeline });
        let result = self.run_locked(graph, verb, options, approver, cancel).await;
        let error = result.as_ref().err().map(ToString::to_string);
        let summary = result.as_ref().cloned().unwrap_or_default();
        self.events.emit(RunEvent::Finished { summary, error });
        result
    }

    async fn run_locked(
        &self,
        graph: &Graph,
        verb: Verb,
        options: ApplyOptions,
        approver: &dyn Approver,
        cancel: &Cancel,
    ) -> Result<RunSummary, RunError> {
        let why = if options.adopt.is_some() { "adopt" } else { verb.as_str() };
        let mut lease = self.lease(why, options.lock_timeout, cancel).await?;
        let result = self.run_leased(graph, verb, options, approver, cancel, lease.as_mut()).await;
        let released = lease.release().await;
        let summary = result?;
        released?;
        Ok(summary)
    }

    async fn lease(
        &self,
        why: &str,
        timeout: Duration,
        cancel: &Cancel,
    ) -> Result<Box<dyn Lease>, RunError> {
        let began = self.clock.wall();
        let mut told = None;
        let mut silent_since = None;
        loop {
            let holder =
                Holder { who: self.who.clone(), why: why.into(), since: self.clock.wall() };
            let early = self.clock.wall().since(began) < timeout;
            // Not cancelled: a lease that was taken and dropped would have to expire.
            let (holder, pause) = match self.store.lease(holder).await {
                Ok(lease) => {
                    if let Some(from) = lease.taken_from() {
                        self.events.emit(RunEvent::TookOver { from });
                    }
                    return Ok(lease);
                }
                Err(StoreError::Locked(holder)) if early => (holder, Duration::from_secs(1)),
                Err(StoreError::Leased { holder, renewal, left }) => {
                    // A holder that renews lives. One that does not is waited for, however short the patience: it ends by itself.
                    let first = silent_since.get_or_insert_with(|| renewal.clone());
                    if *first != renewal && !early {
                        return Err(StoreError::Locked(holder).into());
                    }
                    (holder, left.clamp(Duration::from_secs(1), LOOK_AGAIN))
                }
                Err(error) => return Err(error.into()),
            };
            if told.as_ref() != Some(&holder) {
                self.events.emit(RunEvent::WaitingForLock { holder: holder.clone() });
                told = Some(holder);
            }
            tokio::select! {
                biased;
                () = cancel.cancelled(1) => return Err(RunError::Interrupted),
                () = self.clock.sleep(pause) => {}
            }
        }
    }

    async fn run_leased(
        &self,
        graph: &Graph,
        verb: Verb,
        mut options: ApplyOptions,
        approver: &dyn Approver,
        cancel: &Cancel,
        lease: &mut dyn Lease,
    ) -> Result<RunSummary, RunError> {
        let state = lease.load().await?.fold()?;
        self.check_world(&state)?;
        let saved = options.plan.take();
        if let Some(plan) = &saved {
            self.check_saved(plan, &state, verb)?;
        }
        let clock = self.clock.as_ref();
        let journal = Journal::new(clock, state, lease.confirmed_at());
        settle(&self.registry, clock, self.events.as_ref(), &journal, lease, cancel)
            .await
            .map_err(|error| match error {
                SettleError::Read(error) => RunError::Plan(vec![error]),
                SettleError::Store(error) => RunError::Store(error),
                SettleError::Interrupted => RunError::Interrupted,
            })?;
        let state = journal.with_state(State::clone);
        let (stages, adopt) = (&options.stages, options.adopt.as_ref());
        let planning = self.make_plan(graph, &state, verb, stages, adopt, saved.as_ref());
        let plan = tokio::select! {
            biased;
            () = cancel.cancelled(1) => return Err(RunError::Interrupted),
            plan = journal.holding(lease, planning) => plan,
        };
        journal.reconfirm(lease).await?;
        let plan = plan?;
        let plan = match saved {
            Some(saved) => {
                let outputs = plan.outputs_by_now(&state);
                reconcile(saved, plan, &outputs)?
            }
            None => plan,
        };
        self.events.emit(RunEvent::Planned { plan: Box::new(plan.clone()) });
        let earlier = state.run.as_ref().filter(|run| run.verb == verb.as_str());
        let outputs = plan.outputs_by_now(&state);
        // What an unfinished run was allowed to lose it may still lose, by the very calls that were approved then.
        let agreed_earlier = |address: &Address| {
            earlier.filter(|run| run.consent.contains(address)).is_some_and(|run| {
                let steps = plan.steps.iter().filter(|s| s.address == *address);
                steps.filter(|s| s.data().verdict.needs_consent()).all(|step| {
                    run.approved
                        .get(&step.stage)
                        .is_some_and(|calls| step.is_covered_by(calls, &outputs))
                })
            })
        };
        let agreed = |a: &Address| {
            options.consent_to_all || options.consent.contains(a) || agreed_earlier(a)
        };
        let unagreed: Vec<_> = plan
            .needs_consent()
            .into_iter()
            .filter(|(address, _)| !agreed(address))
            .map(|(address, data)| (address.clone(), data))
            .collect();
        if !unagreed.is_empty() {
            return Err(RunError::DataLoss(unagreed));
        }
        // After consent, which is the graver matter; the plan, which was told, has both.
        if !plan.refusals.is_empty() {
            return Err(RunError::Refused(plan.refusals));
        }
        if plan.steps.iter().all(|s| s.action == Action::NoOp) {
            // Nothing to do, and nothing was left open.
            if state.run.is_some() {
                journal.write(lease, [Entry::RunFinished { complete: true }]).await?;
                lease.compact(&journal.with_state(State::clone)).await?;
            }
            return Ok(RunSummary::default());
        }

        let asking = self.ask(&plan, &state, approver, cancel);
        let (approved, withheld) = journal.holding(lease, asking).await?;
        let mut entries = Vec::new();
        if state.lineage.is_empty() {
            let (lineage, pipeline) = (plan.lineage.clone(), self.pipeline.clone());
            entries.push(Entry::Opened { lineage, pipeline, pin: self.pin.clone() });
        }
        entries.push(Entry::RunStarted {
            verb: verb.as_str().to_owned(),
            plan: plan.digest.clone(),
            nonce: plan.nonce.clone(),
            consent: plan.needs_consent().into_keys().cloned().collect(),
        });
        entries.extend(approved.into_iter().map(|(stage, calls)| {
            let plan = plan.digest.clone();
            Entry::Approved { stage, plan, calls }
        }));
        journal.write(lease, entries).await?;
        let executor = Executor {
            registry: &self.registry,
            clock,
            events: self.events.as_ref(),
            journal: &journal,
            cancel,
            plan: &plan,
        };
        let summary = match executor.execute(lease, &withheld).await {
            Ok(summary) => summary,
            Err(error) => {
                lease.stash(&journal.unstored()).await;
                return Err(error.into());
            }
        };
        if journal.is_broken() {
            // A second stop did not wait to learn whether the last entries were stored.
            lease.stash(&journal.unstored()).await;
            return Ok(summary);
        }
        journal.write(lease, [Entry::RunFinished { complete: summary.is_complete() }]).await?;
        lease.compact(&journal.with_state(State::clone)).await?;
        Ok(summary)
    }

    /// Asks at every gate whose calls no earlier approval of an unfinished run contains.
    async fn ask(
        &self,
        plan: &Plan,
        state: &State,
        approver: &dyn Approver,
        cancel: &Cancel,
    ) -> Result<(Vec<(String, Vec<ApprovedCall>)>, Withheld), RunError> {
        let approved = |stage: &str| {
            let approved = state.run.as_ref().and_then(|run| run.approved.get(stage));
            approved.map(Vec::as_slice).unwrap_or_default()
        };
        let gates = gates(plan, approved, &plan.outputs_by_now(state));
        for stage in plan.stages() {
            if !gates.iter().any(|g| g.stage == stage) {
                let stage = stage.to_owned();
                self.events.emit(RunEvent::Gate { stage, answer: Answer::Approve, earlier: true });
            }
        }
        let (mut granted, mut withheld) = (Vec::new(), Withheld::default());
        for gate in gates {
            let answer = tokio::select! {
                biased;
                () = cancel.cancelled(1) => return Err(RunError::Interrupted),
                answer = approver.ask(&gate) => answer,
            };
            let stage = gate.stage.clone();
            self.events.emit(RunEvent::Gate { stage, answer, earlier: false });
            match answer {
                Answer::Approve => {
                    let calls = gate.steps.iter().flat_map(Step::to_approve).collect();
                    granted.push((gate.stage, calls));
                }
                Answer::Decline => withheld.declined.push(gate.stage),
                Answer::Later => withheld.open.push(gate.stage),
            }
        }
        Ok((granted, withheld))
    }

    async fn make_plan(
        &self,
        graph: &Graph,
        state: &State,
        verb: Verb,
        stages: &[String],
        adopt: Option<&Adopt>,
        saved: Option<&Plan>,
    ) -> Result<Plan, RunError> {
        let lineage = match saved {
            Some(plan) => plan.lineage.clone(),
            None if state.lineage.is_empty() => self.entropy.id("lineage"),
            None => state.lineage.clone(),
        };
        let (pipeline, pin) = (&self.pipeline, &self.pin);
        let options = plan::Options { verb, stages, pipeline, pin, lineage, adopt };
        plan::plan(&self.registry, self.clock.as_ref(), &self.entropy, graph, state, &options)
            .await
            .map_err(RunError::Plan)
    }

    fn check_world(&self, state: &State) -> Result<(), RunError> {
        let name = |pipeline: &str, pin: &Pin| {
            format!(
                "pipeline {pipeline} in account {}, region {} ({})",
                pin.account, pin.region, pin.partition
            )
        };
        if state.lineage.is_empty() || (state.pin == self.pin && state.pipeline == self.pipeline) {
            return Ok(());
        }
        Err(RunError::WrongWorld {
            expected: name(&state.pipeline, &state.pin),
            found: name(&self.pipeline, &self.pin),
        })
    }

    fn check_saved(&self, plan: &Plan, state: &State, verb: Verb) -> Result<(), RunError> {
        let stale = |why: &str| Err(RunError::StalePlan(why.into()));
        if plan.format != Plan::FORMAT {
            return stale("it was written by another version");
        }
        if !plan.is_genuine() {
            return stale("it was edited");
        }
        if plan.verb != verb {
            return stale("it is for the other direction");
        }
        if plan.pin != self.pin || plan.pipeline != self.pipeline {
            return stale("it is for another pipeline, account or region");
        }
        if !state.lineage.is_empty() && plan.lineage != state.lineage {
            return stale("it was made for another state");
        }
        if plan.nonce == state.spent {
            return stale("it was carried out already");
        }
        let interrupted = state.run.as_ref().is_some_and(|run| run.nonce == plan.nonce);
        if plan.serial != state.serial && !interrupted {
            return stale("another run has changed the state since");
        }
        Ok(())
    }
}

/// The saved plan, provided that what is left to do now is part of it: `fresh` may need less, not more.
fn reconcile(
    saved: Plan,
    fresh: Plan,
    outputs: &BTreeMap<Address, Value>,
) -> Result<Plan, RunError> {
    let mut listed: BTreeMap<&Address, Vec<&ErasedProposed>> = BTreeMap::new();
    let mut forgotten = BTreeSet::new();
    for step in &saved.steps {
        listed.entry(&step.address).or_default().extend(&step.calls);
        if step.lets_go() {
            forgotten.insert((&step.address, step.generation));
        }
    }
    for step in &fresh.steps {
        if step.lets_go() && !forgotten.contains(&(&step.address, step.generation)) {
            let why = format!("{} would be forgotten now, which it does not list", step.address);
            return Err(RunError::StalePlan(why));
        }
        for call in &step.calls {
            let mut listed = listed.get(&step.address).into_iter().flatten();
            if !listed.any(|planned| planned.lists_given(call, outputs)) {
                return Err(RunError::StalePlan(format!(
                    "{} now needs {}, which it does not list",
                    step.address, call.op
                )));
            }
        }
    }
    // The identity that was shown and approved, the steps as they are now.
    Ok(Plan { nonce: saved.nonce, ..fresh }.sealed())
}
