//! From graph, state and observations to a plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;

use super::adopt::Adopt;
use super::observe::{READS, Reader, in_window};
use super::order::{Draft, Stuck, order};
use super::step::{Plan, PlanError, Refusal, Verb};
use crate::address::Address;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::graph::Graph;
use crate::kind::{
    CallError, Condition, ErasedCase, ErasedKind, ErasedNext, ErasedTarget, Mark, MarkSeen, Next,
    Pursuit, Registry,
};
use crate::state::{Adoption, Object, Pin, State};

/// What a plan is made for.
pub struct Options<'a> {
    /// The direction.
    pub verb: Verb,
    /// For a destroy: only these stages and what depends on them; empty means all.
    pub stages: &'a [String],
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// The account and region that the provider reaches.
    pub pin: &'a Pin,
    /// The lineage of the state, or the one that a state that does not exist yet will have.
    pub lineage: String,
    /// Plan no more than to take this object over.
    pub adopt: Option<&'a Adopt>,
}

/// Observes every object and lists the calls that lead from there to the graph, or for a destroy to nothing.
///
/// # Guarantees
/// Reads only; takes no lease. For the same graph, state and cloud the steps are the same.
///
/// # Errors
/// Every object that could not be looked at.
pub async fn plan(
    registry: &Registry,
    clock: &dyn Clock,
    entropy: &Entropy,
    graph: &Graph,
    state: &State,
    options: &Options<'_>,
) -> Result<Plan, Vec<PlanError>> {
    let lineage = options.lineage.clone();
    let mut planner = Planner {
        registry,
        reader: Reader { clock, requests: None },
        clock,
        state,
        options,
        lineage: lineage.clone(),
        drafts: Vec::new(),
        refusals: Vec::new(),
        errors: Vec::new(),
        known: BTreeMap::new(),
    };
    match options.verb {
        Verb::Apply => {
            planner.converge(graph).await;
            if let Some(adopt) = options.adopt {
                planner.narrow(graph, adopt);
            }
            let gone: Vec<_> =
                state.records.keys().filter(|a| graph.get(a.as_str()).is_none()).cloned().collect();
            if options.adopt.is_none() {
                planner.remove(&gone, None).await;
            }
        }
        Verb::Destroy => {
            let doomed = planner.doomed();
            planner.remove(&doomed, Some(graph)).await;
        }
    }
    if !planner.errors.is_empty() {
        return Err(planner.errors);
    }
    let (steps, stuck) = order(planner.drafts, state);
    planner.refusals.extend(stuck.into_iter().map(Stuck::refusal));
    Ok(Plan {
        format: Plan::FORMAT,
        pipeline: options.pipeline.to_owned(),
        pin: options.pin.clone(),
        lineage,
        serial: state.serial,
        nonce: entropy.id("plan"),
        verb: options.verb,
        steps,
        refusals: planner.refusals,
        digest: String::new(),
    }
    .sealed())
}

pub(super) struct Planner<'a> {
    pub(super) registry: &'a Registry,
    pub(super) reader: Reader<'a>,
    clock: &'a dyn Clock,
    pub(super) state: &'a State,
    pub(super) options: &'a Options<'a>,
    pub(super) lineage: String,
    pub(super) drafts: Vec<Draft>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) errors: Vec<PlanError>,
    /// Outputs as they will be after the steps so far; what a step may change is left out.
    pub(super) known: BTreeMap<Address, Value>,
}

/// Why nothing can be decided on an observation.
pub(super) enum Obstacle {
    /// The object is somebody else's, by this mark.
    Foreign(String, MarkSeen),
    /// The kind can't read it. That is no proof of anything.
    Kind(CallError),
}

impl From<CallError> for Obstacle {
    fn from(error: CallError) -> Self {
        Obstacle::Kind(error)
    }
}

/// One object to look at.
pub(super) struct Look {
    pub(super) kind: Arc<dyn ErasedKind>,
    pub(super) target: ErasedTarget,
    /// Its physical name.
    pub(super) name: String,
}

impl Planner<'_> {
    pub(super) async fn observe_all(
        &self,
        looks: &[Option<Look>],
    ) -> Vec<Result<Option<Value>, CallError>> {
        let reads: Vec<_> = looks.iter().map(|look| self.observe(look.as_ref())).collect();
        stream::iter(reads).buffered(READS).collect().await
    }

    async fn observe(&self, look: Option<&Look>) -> Result<Option<Value>, CallError> {
        match look {
            Some(look) => self.reader.observe(&look.kind, &look.target).await,
            None => Ok(None),
        }
    }

    pub(super) fn refuse(&mut self, address: &Address, because: impl Into<String>, help: &str) {
        // What is refused stays as it is: its dependents are planned against what it is, not against its absence.
        let current = self.state.records.get(address).and_then(|r| r.current.as_ref());
        if let Some(object) = current.filter(|o| o.was_ready()) {
            self.known.entry(address.clone()).or_insert_with(|| object.outputs.clone());
        }
        self.refusals.push(Refusal {
            address: address.clone(),
            because: because.into(),
            help: help.to_owned(),
        });
    }

    /// Whose the object is, then what comes next.
    pub(super) fn next(
        &self,
        kind: &dyn ErasedKind,
        name: &str,
        case: &ErasedCase,
        adoption: Option<&Adoption>,
    ) -> Result<ErasedNext, Obstacle> {
        let mark = case.seen.as_ref().map(|seen| kind.mark(seen)).transpose()?;
        if in_window(kind, case.pursuit.as_ref(), mark.as_ref(), self.clock.wall()) {
            let blank = ErasedCase { seen: None, ..case.clone() };
            let then = match kind.calls(&blank) {
                Ok(Next::Calls(calls)) => calls,
                _ => Vec::new(),
            };
            let condition = Condition::new(
                "the created object to be visible",
                "not visible yet",
                Duration::from_secs(5),
            );
            return Ok(Next::Wait { condition, then });
        }
        if let Some(mark) = mark
            && let Some(problem) = foreign(&mark, &self.lineage, name, adoption)
        {
            return Err(Obstacle::Foreign(problem, mark));
        }
        Ok(kind.calls(case)?)
    }

    pub(super) fn mark(&self, address: &Address) -> Mark {
        Mark {
            lineage: self.lineage.clone(),
            pipeline: self.options.pipeline.to_owned(),
            address: address.clone(),
        }
    }
}

/// What a kind is told of a recorded object.
pub(super) fn remembered(object: &Object) -> (Option<(Value, Value)>, Option<Pursuit<Value>>) {
    let was = object.was_ready().then(|| (object.props.clone(), object.outputs.clone()));
    (was, object.pursuit())
}

/// Why an object with this mark is not ours; `adoption` is what makes it no hindrance.
pub(crate) fn foreign(
    mark: &MarkSeen,
    lineage: &str,
    name: &str,
    adoption: Option<&Adoption>,
) -> Option<String> {
    match mark {
        mark if adoption.is_some_and(|a| a.covers(mark)) => None,
        MarkSeen::Lineage { lineage: found, pipeline } if found != lineage => Some(format!(
            "`{name}` exists and belongs to another state (pipeline `{pipeline}`, lineage {found})"
        )),
        MarkSeen::Absent => Some(format!("`{name}` exists and this pipeline did not create it")),
        _ => None,
    }
}
