//! Journal entries: everything that a run intends and learns, in the order in which it was made durable.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::record::{Adoption, Object, Pin};
use crate::address::Address;
use crate::clock::Timestamp;
use crate::kind::{CallError, Effect, Guard, Sent, Verdict};

/// One entry of the journal.
///
/// Two rules give the journal its worth (design decision D5): no changing request is sent before its [`Begin`](Entry::Begin) is
/// durable, and no dependent starts before the entry that makes its dependency ready is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// The state came into being.
    Opened {
        /// Identity of this state; the mark on every object it owns.
        lineage: String,
        /// The pipeline's name.
        pipeline: String,
        /// The account and region, which never change.
        pin: Pin,
    },
    /// A run began to carry out a plan.
    RunStarted {
        /// `apply` or `destroy`.
        verb: String,
        /// Digest of the plan.
        plan: String,
        /// The plan's nonce: a plan is carried out once.
        nonce: String,
        /// Addresses for which losing data was agreed to.
        consent: Vec<Address>,
    },
    /// A stage's gate was passed, for these calls of this plan.
    Approved {
        /// The stage.
        stage: String,
        /// Digest of the plan.
        plan: String,
        /// The approved calls.
        calls: Vec<ApprovedCall>,
    },
    /// A changing request is about to be sent.
    Begin {
        /// Of which object.
        #[serde(flatten)]
        object: Described,
        /// The operation.
        op: String,
        /// What it does.
        effect: Effect,
        /// The call with its arguments.
        call: Value,
        /// What it was decided on.
        guard: Guard,
    },
    /// Somebody consented to take over an object that is not ours. Until it is ready, the mark that it carries does not keep the
    /// pipeline from changing it towards what is wanted; nothing that this does deletes it.
    Adopted {
        /// Which object, and what it is brought to.
        #[serde(flatten)]
        object: Described,
        /// Whose it was.
        adoption: Adoption,
    },
    /// The answer to the newest begun call of an address.
    End {
        /// Which resource.
        address: Address,
        /// Which of its objects.
        generation: u64,
        /// What became of the request.
        outcome: Outcome,
    },
    /// The resource is what was wanted.
    Ready {
        /// Which object, and what it was converged to.
        #[serde(flatten)]
        object: Described,
        /// The outputs.
        outputs: Value,
    },
    /// An observation showed what became of a begun call, or that the chase after it is over.
    Settled {
        /// Which resource.
        address: Address,
        /// Which of its objects.
        generation: u64,
        /// What was found, as a fragment: `took effect`, `never arrived`, or the cause of a failure.
        found: String,
    },
    /// The current object is to be deleted once its successor is in use.
    Deposed {
        /// Which resource.
        address: Address,
        /// Which of its objects.
        generation: u64,
    },
    /// A deposed object is wanted again and becomes the current one.
    Restored {
        /// Which resource.
        address: Address,
        /// Which of its objects.
        generation: u64,
    },
    /// The object does not exist any more.
    Gone {
        /// Which resource.
        address: Address,
        /// Which of its objects.
        generation: u64,
    },
    /// A run ended.
    RunFinished {
        /// True if everything in the plan was done.
        complete: bool,
    },
}

/// An object, as the entries tell it that may be the first about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// Which resource.
    pub address: Address,
    /// Which of its objects: raised with every replacement.
    pub generation: u64,
    /// The kind.
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// The stage, for a resource that the spec no longer names.
    pub stage: String,
    /// The physical name.
    pub name: String,
    /// The props, resolved.
    pub props: Value,
    /// The resources that this one needs.
    pub deps: Vec<Address>,
}

impl Described {
    /// The object while nothing else is known of it.
    pub(super) fn fresh(&self) -> Object {
        Object {
            generation: self.generation,
            kind: self.kind.clone(),
            version: self.version,
            stage: self.stage.clone(),
            name: self.name.clone(),
            props: self.props.clone(),
            outputs: Value::Null,
            deps: self.deps.clone(),
            pending: None,
            origin: None,
            adoption: None,
        }
    }
}

/// A call that passed its gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovedCall {
    /// Of which resource.
    pub address: Address,
    /// Of which of its objects.
    pub generation: u64,
    /// The operation.
    pub op: String,
    /// What it was shown to do to data.
    #[serde(default)]
    pub data: Verdict,
    /// The call as it was shown; a reference stands for what was known only after apply.
    pub call: Value,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// AWS accepted it.
    Accepted(Sent),
    /// AWS refused it, or it was lost: the error says which.
    Failed(CallError),
}

/// An entry with its place in the journal and its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// Gapless, from 1.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The entry.
    #[serde(flatten)]
    pub entry: Entry,
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
