//! The state itself, and the one function that changes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::entry::{ApprovedCall, Entry, Outcome, Stamped};
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
/// It changes only through [`State::after`]: the live run, recovery after a kill and `state show` fold the same function over the
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

    fn object_mut(&mut self, generation: u64) -> Option<&mut Object> {
        self.current.iter_mut().chain(&mut self.deposed).find(|o| o.generation == generation)
    }

    /// The highest generation in use, or used before.
    pub fn newest(&self) -> u64 {
        let all = self.current.iter().chain(&self.deposed).map(|o| o.generation);
        all.max().unwrap_or(0).max(self.retired)
    }

    /// True while it names no object and only remembers a generation.
    fn is_empty(&self) -> bool {
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
            ended: p.ended,
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

/// An entry that can't follow what came before: the journal was damaged or written by other code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq} ({entry}) can't follow entry {head}: {why}")]
pub struct IllegalEntry {
    /// Its place.
    pub seq: u64,
    /// The newest good entry.
    pub head: u64,
    /// What it is.
    pub entry: &'static str,
    /// What is wrong.
    pub why: String,
}

impl State {
    /// The version of the stored form.
    pub const FORMAT: u32 = 1;

    /// Folds one entry in.
    ///
    /// # Errors
    /// An entry out of sequence, or about an object that no earlier entry brought into being.
    pub fn after(&mut self, stamped: &Stamped) -> Result<(), IllegalEntry> {
        let Stamped { seq, at, entry } = stamped;
        let illegal =
            |why: String| IllegalEntry { seq: *seq, head: self.head, entry: entry.name(), why };
        if *seq != self.head + 1 {
            return Err(illegal("entries must be gapless".into()));
        }
        if self.lineage.is_empty() != matches!(entry, Entry::Opened { .. }) {
            return Err(illegal("a journal begins with exactly one `opened`".into()));
        }
        let missing = |address: &Address, generation: &u64| {
            illegal(format!("no object {generation} of {address} is known"))
        };
        match entry {
            Entry::Opened { lineage, pipeline, pin } => {
                self.format = Self::FORMAT;
                self.lineage.clone_from(lineage);
                self.pipeline.clone_from(pipeline);
                self.pin = pin.clone();
            }
            Entry::RunStarted { verb, plan, nonce, consent } => {
                self.serial += 1;
                self.run = Some(OpenRun {
                    verb: verb.clone(),
                    plan: plan.clone(),
                    nonce: nonce.clone(),
                    started: *at,
                    consent: consent.clone(),
                    // What was approved stays approved until a run in that direction completes: a resumed run asks only for what is new.
                    approved: self
                        .run
                        .take()
                        .filter(|run| run.verb == *verb)
                        .map(|run| run.approved)
                        .unwrap_or_default(),
                });
            }
            Entry::Approved { stage, calls, .. } => {
                let Some(run) = &mut self.run else {
                    return Err(illegal("an approval needs a started run".into()));
                };
                let approved = run.approved.entry(stage.clone()).or_default();
                approved.extend(calls.iter().cloned());
            }
            Entry::Begin {
                address,
                generation,
                kind,
                version,
                stage,
                name,
                props,
                deps,
                op,
                effect,
                call,
                guard,
            } => {
                let record = self.records.entry(address.clone()).or_default();
                let pending = Pending {
                    op: op.clone(),
                    effect: *effect,
                    call: call.clone(),
                    guard: guard.clone(),
                    begun: *at,
                    ended: None,
                    sent: None,
                    error: None,
                };
                if let Some(object) = record.object_mut(*generation) {
                    let accepted = |p: &Pending| p.effect == Effect::Create && p.sent.is_some();
                    if let Some(made) = object.pending.replace(pending).filter(accepted) {
                        object.origin = Some(Box::new(made));
                    }
                    if *effect != Effect::Delete && !object.was_ready() {
                        object.props = props.clone();
                        object.deps.clone_from(deps);
                    }
                } else if record.current.is_none() || *effect == Effect::Delete {
                    let object = Object {
                        generation: *generation,
                        kind: kind.clone(),
                        version: *version,
                        stage: stage.clone(),
                        name: name.clone(),
                        props: props.clone(),
                        outputs: Value::Null,
                        deps: deps.clone(),
                        pending: Some(pending),
                        origin: None,
                        adoption: None,
                    };
                    // An object of ours that state did not know, in the way of what is wanted, has no place of its own.
                    match &mut record.current {
                        Some(_) => record.deposed.push(object),
                        current => *current = Some(object),
                    }
                } else {
                    return Err(illegal(format!("{address} has a current object already")));
                }
            }
            Entry::Adopted {
                address,
                generation,
                kind,
                version,
                stage,
                name,
                props,
                deps,
                adoption,
            } => {
                let record = self.records.entry(address.clone()).or_default();
                // What was recorded of that name was another object.
                let adopted = Object {
                    generation: *generation,
                    kind: kind.clone(),
                    version: *version,
                    stage: stage.clone(),
                    name: name.clone(),
                    props: props.clone(),
                    outputs: Value::Null,
                    deps: deps.clone(),
                    pending: None,
                    origin: None,
                    adoption: Some(adoption.clone()),
                };
                match &mut record.current {
                    Some(object) if object.generation != *generation => {
                        return Err(illegal(format!("{address} has another current object")));
                    }
                    current => *current = Some(adopted),
                }
            }
            Entry::End { address, generation, outcome } => {
                let object = self
                    .records
                    .get_mut(address)
                    .and_then(|r| r.object_mut(*generation))
                    .ok_or_else(|| missing(address, generation))?;
                let Some(pending) = &mut object.pending else {
                    return Err(illegal(format!("{address} has no begun call")));
                };
                pending.ended = Some(*at);
                match outcome {
                    Outcome::Accepted(sent) => {
                        pending.sent = Some(sent.clone());
                        pending.error = None;
                    }
                    Outcome::Failed(error) => pending.error = Some(error.clone()),
                }
            }
            Entry::Ready {
                address,
                generation,
                kind,
                version,
                stage,
                name,
                props,
                outputs,
                deps,
            } => {
                let record = self.records.entry(address.clone()).or_default();
                let ready = Object {
                    generation: *generation,
                    kind: kind.clone(),
                    version: *version,
                    stage: stage.clone(),
                    name: name.clone(),
                    props: props.clone(),
                    outputs: outputs.clone(),
                    deps: deps.clone(),
                    pending: None,
                    origin: None,
                    adoption: None,
                };
                if let Some(object) = record.object_mut(*generation) {
                    *object = ready;
                } else if record.current.is_none() {
                    record.current = Some(ready);
                } else {
                    return Err(illegal(format!("{address} has another current object")));
                }
            }
            Entry::Settled { address, generation, found: _ } => {
                let record =
                    self.records.get_mut(address).ok_or_else(|| missing(address, generation))?;
                let object =
                    record.object_mut(*generation).ok_or_else(|| missing(address, generation))?;
                object.pending = None;
            }
            Entry::Deposed { address, generation } => {
                let record =
                    self.records.get_mut(address).ok_or_else(|| missing(address, generation))?;
                match record.current.take_if(|o| o.generation == *generation) {
                    Some(object) => record.deposed.push(object),
                    None => return Err(missing(address, generation)),
                }
            }
            Entry::Restored { address, generation } => {
                let record =
                    self.records.get_mut(address).ok_or_else(|| missing(address, generation))?;
                if record.current.is_some() {
                    return Err(illegal(format!("{address} has a current object already")));
                }
                let at = record.deposed.iter().position(|o| o.generation == *generation);
                let at = at.ok_or_else(|| missing(address, generation))?;
                record.current = Some(record.deposed.remove(at));
            }
            Entry::Gone { address, generation } => {
                let record =
                    self.records.get_mut(address).ok_or_else(|| missing(address, generation))?;
                let object =
                    record.object(*generation).ok_or_else(|| missing(address, generation))?;
                // A create that never arrived used no generation up: it is begun again, as it was approved.
                let existed = object.was_ready()
                    || object.pending.as_ref().is_some_and(|p| p.effect == Effect::Delete);
                if existed {
                    record.retired = record.retired.max(*generation);
                }
                record.current.take_if(|o| o.generation == *generation);
                record.deposed.retain(|o| o.generation != *generation);
                if record.is_empty() && (self.run.is_none() || record.retired == 0) {
                    self.records.remove(address);
                }
            }
            Entry::RunFinished { complete } => {
                self.serial += 1;
                if let Some(run) = &mut self.run
                    && *complete
                {
                    self.spent = std::mem::take(&mut run.nonce);
                    self.run = None;
                    self.records.retain(|_, record| !record.is_empty());
                }
            }
        }
        self.head = *seq;
        Ok(())
    }

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

    /// True if no answer, or one that doesn't tell, has come: the request may have taken effect.
    pub fn is_open(&self) -> bool {
        match &self.error {
            Some(error) => error.class == Class::Unknown,
            None => self.sent.is_none(),
        }
    }
}

impl Entry {
    /// The entry's name, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Entry::Opened { .. } => "opened",
            Entry::RunStarted { .. } => "run_started",
            Entry::Approved { .. } => "approved",
            Entry::Begin { .. } => "begin",
            Entry::Adopted { .. } => "adopted",
            Entry::End { .. } => "end",
            Entry::Ready { .. } => "ready",
            Entry::Settled { .. } => "settled",
            Entry::Deposed { .. } => "deposed",
            Entry::Restored { .. } => "restored",
            Entry::Gone { .. } => "gone",
            Entry::RunFinished { .. } => "run_finished",
        }
    }
}
