//! A plan as a value: what `plan` shows, `apply` carries out, and a plan file holds.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufWriter;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::address::Address;
use crate::entropy::hex;
use crate::kind::{CallError, Condition, DataEffect, ErasedProposed, Verdict, holds_given};
use crate::state::{Adoption, ApprovedCall, Pin, State};

/// The direction of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Towards the spec.
    Apply,
    /// Towards nothing.
    Destroy,
}

impl Verb {
    /// `apply` or `destroy`.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Apply => "apply",
            Verb::Destroy => "destroy",
        }
    }
}

/// Everything that a run will do, in an order in which it can be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this form. This code writes and reads 1.
    pub format: u32,
    /// The pipeline.
    pub pipeline: String,
    /// The account and region that it is for.
    pub pin: Pin,
    /// The state that it is for. Proposed here if there is no state yet.
    pub lineage: String,
    /// The serial of the state that it was made from; zero if there was none.
    pub serial: u64,
    /// Makes this plan different from every other: it is carried out once.
    pub nonce: String,
    /// The direction.
    pub verb: Verb,
    /// The steps; each comes after those that it waits for.
    pub steps: Vec<Step>,
    /// What stands in the way. A plan with refusals can be shown, not carried out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
    /// SHA-256 over all of the above.
    pub digest: String,
}

/// What happens to one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Which resource.
    pub address: Address,
    /// Which of its objects.
    pub generation: u64,
    /// Its kind.
    pub kind: String,
    /// Its stage.
    pub stage: String,
    /// Its physical name.
    pub name: String,
    /// What kind of step this is.
    pub action: Action,
    /// The calls, in their order.
    #[serde(default)]
    pub calls: Vec<ErasedProposed>,
    /// Why, where the calls alone don't say it: `subnets can't be changed`, `changed outside of this pipeline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// What is going on already: a call of an earlier run, or an operation of somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<Condition>,
    /// The steps, by index, that come first.
    #[serde(default)]
    pub after: Vec<usize>,
    /// What is wanted, with references; or for a deletion what was recorded.
    pub props: Value,
    /// The resources that this one needs.
    #[serde(default)]
    pub deps: Vec<Address>,
    /// Outputs, where they are known now.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub outputs: Value,
    /// The generation that this object takes over from, which is deleted last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposes: Option<u64>,
    /// True if this object was deposed and becomes the current one again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restores: bool,
    /// True if the object is a part of somebody else's: it is forgotten as it is, and not looked at again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgets: bool,
    /// True if the object exists and stays, because the spec says that it is kept: it is forgotten.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps: bool,
    /// The object is somebody else's, and is taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,
}

/// What kind of step it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is as wanted, and state says so.
    NoOp,
    /// Nothing is changed in the cloud; state learns what was read.
    Record,
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is deleted, for good or to make room for its successor.
    Delete,
    /// What is going on already is waited for.
    Wait,
}

/// Something that can't or won't be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which resource.
    pub address: Address,
    /// Why, as a fragment.
    pub because: String,
    /// What to do about it.
    pub help: String,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// A resource could not be looked at.
    #[error("looking at {address} failed: {error}")]
    Observe {
        /// Which resource.
        address: Address,
        /// The failure.
        error: CallError,
    },
    /// State has an object of a kind that no provider registered.
    #[error("{address} is of kind {kind}, which this program does not know")]
    UnknownKind {
        /// Which resource.
        address: Address,
        /// Its kind.
        kind: String,
    },
}

impl Step {
    /// True if it makes calls, waits for one of an earlier run, or takes an object over.
    pub fn changes(&self) -> bool {
        self.adoption.is_some() || !matches!(self.action, Action::NoOp | Action::Record)
    }

    /// True if it forgets an object that exists.
    pub(crate) fn lets_go(&self) -> bool {
        let forgotten = self.action == Action::Record && self.outputs.is_null();
        self.keeps || self.forgets || forgotten && self.because.is_some()
    }

    /// The worst that it does to data.
    pub fn data(&self) -> DataEffect {
        self.calls.iter().map(|c| &c.data).max_by_key(|d| d.verdict).cloned().unwrap_or_default()
    }

    /// Its calls as approvals keep them.
    pub fn to_approve(&self) -> impl Iterator<Item = ApprovedCall> {
        self.calls.iter().map(|call| ApprovedCall {
            address: self.address.clone(),
            generation: self.generation,
            op: call.op.clone(),
            data: call.data.verdict,
            call: call.call.clone(),
        })
    }

    /// True if every call is among those that were approved earlier, doing no worse to data than was shown then.
    pub(crate) fn is_covered_by(
        &self,
        approved: &[ApprovedCall],
        outputs: &BTreeMap<Address, Value>,
    ) -> bool {
        // Taking an object over without a call is approved by no call either.
        let shown = self.adoption.is_none() || !self.calls.is_empty();
        shown
            && self.calls.iter().all(|call| {
                approved.iter().any(|a| {
                    a.address == self.address
                        && a.generation == self.generation
                        && a.op == call.op
                        && a.data >= call.data.verdict
                        && holds_given(&a.call, &call.call, outputs)
                })
            })
    }
}

impl Plan {
    /// The version of the stored form.
    pub const FORMAT: u32 = 1;

    /// Computes the digest and stores it.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.digest = self.compute_digest();
        self
    }

    /// True if nothing was edited since the plan was made.
    pub fn is_genuine(&self) -> bool {
        self.digest == self.compute_digest()
    }

    fn compute_digest(&self) -> String {
        let Plan {
            format,
            pipeline,
            pin,
            lineage,
            serial,
            nonce,
            verb,
            steps,
            refusals,
            digest: _,
        } = self;
        let sealed = (format, pipeline, pin, lineage, serial, nonce, verb, steps, refusals);
        let mut hash = BufWriter::with_capacity(1 << 16, Sha256::new());
        serde_json::to_writer(&mut hash, &sealed).expect("a plan has string keys only");
        let hash = hash.into_inner().map_err(|e| e.into_error()).expect("a hash takes every byte");
        hex(&hash.finalize())
    }

    /// Every output that is known: recorded, or observed for this plan.
    pub(crate) fn outputs_by_now(&self, state: &State) -> BTreeMap<Address, Value> {
        let mut outputs = state.outputs();
        let observed = self.steps.iter().filter(|s| !s.outputs.is_null());
        outputs.extend(observed.map(|s| (s.address.clone(), s.outputs.clone())));
        outputs
    }

    /// True if any step makes a call or waits for one.
    pub fn has_changes(&self) -> bool {
        self.steps.iter().any(Step::changes)
    }

    /// The stages with changes: each after those that its steps wait for, otherwise in the order in which they come up.
    pub fn stages(&self) -> Vec<&str> {
        let mut left: Vec<&str> = Vec::new();
        for step in self.steps.iter().filter(|s| s.changes()) {
            if !left.contains(&step.stage.as_str()) {
                left.push(step.stage.as_str());
            }
        }
        let mut waits: BTreeSet<(&str, &str)> = BTreeSet::new();
        for step in &self.steps {
            let others = step.after.iter().map(|&n| self.steps[n].stage.as_str());
            waits.extend(others.map(|other| (step.stage.as_str(), other)));
        }
        let mut sorted = Vec::with_capacity(left.len());
        while !left.is_empty() {
            let free = |s: &&&str| left.iter().all(|o| o == *s || !waits.contains(&(**s, *o)));
            // Stages that wait for each other keep the order in which they come up.
            let at = left.iter().position(|s| free(&s)).unwrap_or(0);
            sorted.push(left.remove(at));
        }
        sorted
    }

    /// The resources whose data is read again or lost, with the worst of their calls.
    pub fn needs_consent(&self) -> BTreeMap<&Address, DataEffect> {
        let mut found: BTreeMap<&Address, DataEffect> = BTreeMap::new();
        for step in &self.steps {
            let data = step.data();
            if data.verdict.needs_consent() {
                let worst = found.entry(&step.address).or_default();
                if worst.verdict < data.verdict {
                    *worst = data;
                }
            }
        }
        found
    }

    /// The worst that the plan does to data.
    pub fn worst(&self) -> Verdict {
        self.steps.iter().map(|s| s.data().verdict).max().unwrap_or_default()
    }
}
