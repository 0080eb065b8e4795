//! The one stream of events: all that output ever sees (design decision D12).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::approval::Answer;
use crate::address::Address;
use crate::kind::{CallError, Condition, DataEffect};
use crate::plan::{Action, Plan, Verb};
use crate::state::Holder;

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunEvent {
    /// The first event of every run.
    Started {
        /// Version of this stream's form.
        version: u32,
        /// What is run.
        verb: Verb,
        /// The pipeline.
        pipeline: String,
    },
    /// Another run holds the state, and this one waits for it to end or to prove that it lives. Repeated when the holder changes.
    WaitingForLock {
        /// The holder.
        holder: Holder,
    },
    /// The lease of a run that fell silent has expired, and this run has taken it over.
    TookOver {
        /// Whose it was.
        from: Holder,
    },
    /// A call of an earlier run is looked for.
    Settling {
        /// Whose call.
        address: Address,
        /// The operation.
        op: String,
    },
    /// It is known what became of a call of an earlier run.
    Settled {
        /// Whose call.
        address: Address,
        /// The operation.
        op: String,
        /// What was found.
        found: String,
    },
    /// The plan that is about to be carried out.
    Planned {
        /// The plan.
        plan: Box<Plan>,
    },
    /// A gate was answered.
    Gate {
        /// The stage.
        stage: String,
        /// The answer.
        answer: Answer,
        /// True if an earlier run's approval covered it.
        earlier: bool,
    },
    /// A step began.
    StepStarted {
        /// Which resource.
        address: Address,
        /// What kind of step.
        action: Action,
        /// The physical name.
        name: String,
        /// How long it usually takes, in seconds.
        usual_secs: u64,
    },
    /// A changing request is about to be sent; a stop, or a lost right to write, may still keep it.
    CallStarted {
        /// For which resource.
        address: Address,
        /// The operation.
        op: String,
        /// What it does to data.
        data: DataEffect,
    },
    /// It was answered.
    CallFinished {
        /// For which resource.
        address: Address,
        /// The operation.
        op: String,
        /// The error, if it was not accepted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<CallError>,
        /// True if the step goes on all the same: it observes and decides again.
        retry: bool,
    },
    /// A step waits. Repeated whenever what is seen changes.
    Waiting {
        /// Which resource.
        address: Address,
        /// What for.
        condition: Condition,
    },
    /// What a step waits for will not come about as things are: something has to be changed. It is waited for all the same.
    Certain {
        /// Which resource.
        address: Address,
        /// The cause.
        cause: String,
        /// What to change; may be empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        help: String,
    },
    /// A step ended.
    StepFinished {
        /// Which resource.
        address: Address,
        /// What kind of step.
        action: Action,
        /// How.
        outcome: StepOutcome,
        /// How long it took, in milliseconds of the run's clock.
        elapsed_ms: u64,
    },
    /// The last event of every run.
    Finished {
        /// How it ended; of a run that ended with an error only what is in `error`.
        summary: RunSummary,
        /// Why it did not begin or could not go on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum StepOutcome {
    /// Done.
    Done {
        /// The outputs; null for a deletion.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        outputs: Value,
    },
    /// Not done, and why.
    Failed {
        /// The cause.
        cause: String,
        /// What to do about it; may be empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        help: String,
    },
    /// Not tried, because another step failed, or its stage was declined or is open.
    Skipped {
        /// Because of which resource.
        because_of: Address,
    },
    /// Not tried, because its stage's gate was declined.
    Declined,
    /// Not tried, because its stage's gate is still open.
    Open,
    /// Left, because the run was asked to stop.
    Interrupted {
        /// What is still going on in the cloud, if anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        going_on: Option<String>,
    },
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunSummary {
    /// Resources that were made.
    pub created: usize,
    /// Resources that were changed.
    pub updated: usize,
    /// Resources that were deleted.
    pub deleted: usize,
    /// Resources that were taken over.
    #[serde(default)]
    pub adopted: usize,
    /// Steps that failed.
    pub failed: Vec<Address>,
    /// Steps that were skipped because of a failure, or of a gate that was declined or is open.
    pub skipped: Vec<Address>,
    /// Stages whose gate was declined.
    pub declined: Vec<String>,
    /// Stages whose gate is still open.
    pub open: Vec<String>,
    /// Steps that were left, with what is still going on.
    pub interrupted: Vec<(Address, Option<String>)>,
    /// How long it took, in milliseconds of the run's clock.
    pub elapsed_ms: u64,
}

impl RunSummary {
    /// True if everything in the plan was done.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
            && self.skipped.is_empty()
            && self.declined.is_empty()
            && self.open.is_empty()
            && self.interrupted.is_empty()
    }
}

/// Where events go. Called in order, from one thread at a time; must not block.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: RunEvent);
}

impl<F: Fn(RunEvent) + Send + Sync> EventSink for F {
    fn emit(&self, event: RunEvent) {
        self(event);
    }
}

/// Drops all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl EventSink for NoEvents {
    fn emit(&self, _event: RunEvent) {}
}
