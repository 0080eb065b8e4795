//! The state itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::entry::ApprovedCall;
use crate::address::Address;
use crate::clock::Timestamp;
use crate::kind::{CallError, Class, Effect, Guard, MarkSeen, Pursuit, Sent};

/// Where a state's objects live. Checked before the first call of every run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Pin {
    /// The account id.
    pub account: String,
    /// The region.
    pub region: String,
    /// The partition, `aws`.
    pub partition: String,
}

/// Everything that is known of a pipeline between runs.
///
/// It changes only through [`State::after`] (`fold.rs`): the live run, recovery after a kill and `state show` fold the same function over the
/// same entries.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    /// Version of this form. This code writes and reads 1.
    pub format: u32,
    /// Identity; empty before the first entry.
    pub lineage: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// Account and region.
    pub pin: Pin,
    /// The newest entry that is folded in.
    pub head: u64,
    /// Raised by every finished or started run: a plan made before is stale.
    pub serial: u64,
    /// One record a resource.
    pub records: BTreeMap<Address, Record>,
    /// The run that has started and not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<OpenRun>,
    /// The nonce of the plan that was carried out last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub spent: String,
}

/// An unfinished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenRun {
    /// `apply` or `destroy`.
    pub verb: String,
    /// Digest of the plan.
    pub plan: String,
    /// Nonce of the plan.
    pub nonce: String,
    /// When it started.
    pub started: Timestamp,
    /// What was agreed to lose.
    pub consent: Vec<Address>,
    /// The approved calls by stage.
    pub approved: BTreeMap<String, Vec<ApprovedCall>>,
}

/// What is known of a resource.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Record {
    /// The object in use, or being made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Object>,
    /// Objects that were replaced and not yet deleted, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deposed: Vec<Object>,
    /// The highest generation that was deleted. A generation is not given to a second object, or an approval for the first would
    /// cover the second, and a resumed run would number otherwise than the plan that was approved.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retired: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Record {
    /// The object of `generation`.
    pub fn object(&self, generation: u64) -> Option<&Object> {
        self.current.iter().chain(&self.deposed).find(|o| o.generation == generation)
    }

    pub(super) fn object_mut(&mut self, generation: u64) -> Option<&mut Object> {
        self.current.iter_mut().chain(&mut self.deposed).find(|o| o.generation == generation)
    }

    /// The highest generation in use, or used before.
    pub fn newest(&self) -> u64 {
        let all = self.current.iter().chain(&self.deposed).map(|o| o.generation);
        all.max().unwrap_or(0).max(self.retired)
    }

    /// True while it names no object and only remembers a generation.
    pub(super) fn is_empty(&self) -> bool {
        self.current.is_none() && self.deposed.is_empty()
    }
}

/// One cloud object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Which object of the resource.
    pub generation: u64,
    /// Its kind.
    pub kind: String,
    /// The kind's version that wrote this.
    pub version: u32,
    /// Its stage.
    pub stage: String,
    /// Its physical name.
    pub name: String,
    /// The props that it was last converged to, or is being made with.
    pub props: Value,
    /// Its outputs; null while it was never ready.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub outputs: Value,
    /// The resources that it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deps: Vec<Address>,
    /// The newest call, while its effect is unconfirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// The accepted create of an object that was never ready and that a later call was begun for: without it, nothing would say
    /// that an object without a mark is ours once that call is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<Pending>>,
    /// It was somebody else's and is being taken over; gone once it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,
}

/// Whose an object is that is being taken over: the one mark that does not make it a stranger's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Adoption {
    /// The lineage on it; `None` if it carries no mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl Adoption {
    /// True if an object with this mark is the one that may be taken over.
    pub fn covers(&self, mark: &MarkSeen) -> bool {
        match (mark, &self.from) {
            (MarkSeen::Absent, None) => true,
            (MarkSeen::Lineage { lineage, .. }, Some(from)) => lineage == from,
            _ => false,
        }
    }
}

impl Object {
    /// True once it was ready.
    pub fn was_ready(&self) -> bool {
        !self.outputs.is_null()
    }

    /// True if its deletion was begun and not refused.
    pub fn is_going(&self) -> bool {
        let deletes = |p: &Pending| p.effect == Effect::Delete && p.may_have_taken_effect();
        self.pending.as_ref().is_some_and(deletes)
    }

    /// The begun call as a kind sees it: none if the answer says that it had no effect, for then there is nothing to chase but, if
    /// the object was never ready, the create that made it.
    pub fn pursuit(&self) -> Option<Pursuit<Value>> {
        let newest = self.pending.as_ref().filter(|p| p.may_have_taken_effect());
        let p = newest.or(self.origin.as_deref())?;
        Some(Pursuit {
            call: p.call.clone(),
            op: p.op.clone(),
            effect: p.effect,
            guard: p.guard.clone(),
            sent: p.sent.clone(),
            begun: p.begun,
            ended: p.ended.filter(|_| !p.was_lost()),
        })
    }
}

/// A begun call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// The operation.
    pub op: String,
    /// What it does.
    pub effect: Effect,
    /// The call with its arguments.
    pub call: Value,
    /// What it was decided on.
    #[serde(default)]
    pub guard: Guard,
    /// When *begin* was written.
    pub begun: Timestamp,
    /// When the answer came, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// What an accepted request answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Sent>,
    /// How the last answer failed; a refused call stays until an observation settles it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<CallError>,
}

impl State {
    /// The version of the stored form.
    pub const FORMAT: u32 = 1;

    /// The outputs of every resource that is ready.
    pub fn outputs(&self) -> BTreeMap<Address, Value> {
        let ready =
            |r: &Record| r.current.as_ref().filter(|o| o.was_ready()).map(|o| o.outputs.clone());
        self.records.iter().filter_map(|(a, r)| Some((a.clone(), ready(r)?))).collect()
    }

    /// Every object with a begun call, with its address.
    pub fn pending(&self) -> impl Iterator<Item = (&Address, &Object, &Pending)> {
        self.records.iter().flat_map(|(address, record)| {
            record
                .current
                .iter()
                .chain(&record.deposed)
                .filter_map(move |object| Some((address, object, object.pending.as_ref()?)))
        })
    }
}

impl Pending {
    /// False if the request was refused. That an object of the name exists refuses nothing: it may be from an earlier request of
    /// ours whose reply was lost.
    pub fn may_have_taken_effect(&self) -> bool {
        let open = |e: &CallError| matches!(e.class, Class::Unknown | Class::AlreadyExists);
        self.error.as_ref().is_none_or(open)
    }

    /// True if it is known that no answer came: the request may still be on its way. A server's own failure has a code.
    fn was_lost(&self) -> bool {
        self.error.as_ref().is_some_and(|e| e.class == Class::Unknown && e.code.is_none())
    }

    /// True if no answer, or one that doesn't tell, has come: the request may have taken effect.
    pub fn is_open(&self) -> bool {
        match &self.error {
            Some(error) => error.class == Class::Unknown,
            None => self.sent.is_none(),
        }
    }
}
