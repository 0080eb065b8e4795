//! `aws.kafka.cluster-lookup`: an MSK cluster that exists already. Read and checked, never changed.
//!
//! # Guarantees
//! The outputs are those of `aws.kafka.cluster`, so that whoever needs a cluster need not know which of the two it is.
//! # Caveats
//! Its security group is not ours: letting the workers in is up to its owner.
//! # Sources
//! Handbook msk.md §2, §6.

use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_core::kind::{
    CallError, Case, Condition, Guard, Kind, MarkSeen, Next, Sent, Status, Target,
};
use serde::{Deserialize, Serialize};

use super::msk_cluster::{Listener, Outputs, Seen};
use crate::session::Session;

/// The kind.
pub struct MskClusterLookup {
    kafka: aws_sdk_kafka::Client,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The cluster's name.
    pub name: String,
    /// The listener that connectors will use.
    pub listener: Listener,
}

/// There is none: the cluster is only read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Call {}

impl MskClusterLookup {
    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { kafka: session.kafka.clone() }
    }
}

#[async_trait]
impl Kind for MskClusterLookup {
    const TYPE: &'static str = "aws.kafka.cluster-lookup";
    type Props = Props;
    type Seen = Option<Seen>;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Option<Seen>>, CallError> {
        Ok(Some(Seen::of(&self.kafka, &target.props.name).await?))
    }

    fn mark(_seen: &Option<Seen>) -> MarkSeen {
        MarkSeen::ReadOnly
    }

    fn status(seen: &Option<Seen>) -> Option<Status> {
        seen.as_ref().map(Seen::status)
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        let Some(want) = &case.want else { return Next::Gone };
        let Some(seen) = case.seen.as_ref().and_then(Option::as_ref) else {
            return Next::Refuse {
                because: format!("there is no provisioned MSK cluster `{}`", want.name),
                help: "name one of this account and region".into(),
            };
        };
        if !seen.has(want.listener) {
            return Next::Refuse {
                because: format!(
                    "the cluster `{}` has no listener on port {}",
                    want.name,
                    want.listener.port()
                ),
                help: "name one that it has: `listeners = [\"…\"]`, or enable it there".into(),
            };
        }
        if seen.is_usable() {
            let was = case.was.as_ref().and_then(|w| w.outputs.as_ref());
            return Next::Converged(seen.outputs(&want.name, was));
        }
        let condition = Condition::new("cluster ACTIVE", seen.state(), Duration::from_mins(15));
        Next::Wait { condition, then: Vec::new() }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        match *call {}
    }
}
