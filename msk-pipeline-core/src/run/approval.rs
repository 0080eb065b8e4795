//! Gates: who is asked before a stage's first call (design decision D10).

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::address::Address;
use crate::plan::{Plan, Step};
use crate::state::ApprovedCall;

/// A stage that wants to make calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The stage.
    pub stage: String,
    /// Its steps with changes.
    pub steps: Vec<Step>,
    /// The digest of the plan that they are part of.
    pub plan: String,
}

/// What the one who is asked says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Go on.
    Approve,
    /// Don't: this stage and everything that waits for it is skipped.
    Decline,
    /// Not now: this stage and everything that waits for it is left for a later run, which asks again; the rest goes on.
    Later,
}

/// Whoever is asked at gates. All gates are asked before the first changing call, after the plan was shown, in the plan's order.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait Approver: Send + Sync {
    /// Answers for one gate.
    async fn ask(&self, gate: &Gate) -> Answer;
}

/// Approves everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct AutoApprove;

#[async_trait]
impl Approver for AutoApprove {
    async fn ask(&self, _gate: &Gate) -> Answer {
        Answer::Approve
    }
}

/// The gates of a plan, less those whose every call was approved earlier.
pub(super) fn gates<'a>(
    plan: &Plan,
    approved: impl Fn(&str) -> &'a [ApprovedCall],
    outputs: &BTreeMap<Address, Value>,
) -> Vec<Gate> {
    plan.stages()
        .into_iter()
        .map(|stage| Gate {
            stage: stage.to_owned(),
            steps: plan.steps.iter().filter(|s| s.changes() && s.stage == stage).cloned().collect(),
            plan: plan.digest.clone(),
        })
        .filter(|gate| {
            !gate.steps.iter().all(|step| step.is_covered_by(approved(&gate.stage), outputs))
        })
        .collect()
}
