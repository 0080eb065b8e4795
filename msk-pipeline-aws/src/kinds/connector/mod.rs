//! `aws.kafkaconnect.connector`: one connector that MSK Connect runs.
//!
//! # Guarantees
//! * Worker settings (capacity, plugin, worker configuration) and the connector's configuration change in place, in that order, by
//!   one `UpdateConnector` each and never by one for both. The whole configuration is sent, and the version that was observed.
//! * An update has succeeded only if its *operation* did and the connector then shows the value: MSK Connect rolls a failed one back
//!   and the connector looks fine again. Everything else replaces the connector, which is deleted first because its name is unique.
//! * A failure is told in AWS's words and with the last error in the workers' log, read before anything is deleted.
//! * Bootstrap servers are compared by cluster: AWS names three brokers at random, and a random order is never a wanted value.
//! # Caveats
//! What a changed key does to *data* is judged in [`connector_verdicts`](super::connector_verdicts). A connector that runs while its
//! task has died is not noticed here: only metrics tell.
//! # Sources
//! Handbook msk.md §5 (operations), §5.1 (life cycle), §5.2 (what changes in place), §5.3 (leftovers), §6 (bootstrap strings), §7.6
//! (logs), §11 (traps).

mod bootstrap;
mod diff;
pub(crate) mod logs;
pub(crate) mod observe;
mod request;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_core::Timestamp;
use msk_pipeline_core::kind::{
    CallError, Case, Guard, Input, Kind, Mark, MarkSeen, Next, Sent, Status, Target,
};
use serde::{Deserialize, Serialize};

use crate::session::Session;
use crate::tags::Tags;

/// The kind.
pub struct Connector {
    client: aws_sdk_kafkaconnect::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The connector's name.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The version of Kafka Connect, `3.7.x`.
    pub connect_version: String,
    /// The cluster's bootstrap servers.
    pub bootstrap: Input<String>,
    /// How the workers log in to the cluster.
    pub authentication: Authentication,
    /// How they talk to it.
    pub encryption: Encryption,
    /// Where the workers are.
    pub subnets: Input<Vec<String>>,
    /// Their security groups.
    pub security_groups: Vec<Input<String>>,
    /// The role that the workers act as.
    pub role_arn: Input<String>,
    /// How many workers of which size.
    pub capacity: Capacity,
    /// The custom plugin.
    pub plugin: Revision,
    /// The worker configuration; `None` is MSK Connect's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<Revision>,
    /// The topic in which its place is kept, if it has one of its own (`offset.storage.topic` of the worker configuration). It
    /// outlives the connector, so that one created again goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offsets_topic: Option<String>,
    /// The connector's configuration.
    pub configuration: BTreeMap<String, Input<String>>,
    /// The log group of the workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_group: Option<Input<String>>,
    /// The user's tags.
    pub tags: Tags,
}

/// How workers log in to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Authentication {
    /// Not at all.
    None,
    /// With their role.
    Iam,
}

/// How workers talk to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Encryption {
    /// In the clear.
    Plaintext,
    /// With TLS.
    Tls,
}

/// How many workers of which size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capacity {
    /// A fixed number.
    Provisioned {
        /// MCUs of each worker (one vCPU and 4 GiB each): 1, 2, 4 or 8.
        mcu: i32,
        /// Workers.
        workers: i32,
    },
    /// Between two numbers, by load. MSK Connect then sets `tasks.max` itself.
    Autoscaling {
        /// MCUs of each worker.
        mcu: i32,
        /// Fewest workers.
        min: i32,
        /// Most workers.
        max: i32,
        /// CPU per cent below which a worker is taken away.
        scale_in: i32,
        /// CPU per cent above which one is added.
        scale_out: i32,
    },
}

/// An immutable part at one revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Its ARN.
    pub arn: Input<String>,
    /// Its revision.
    pub revision: Input<i64>,
}

/// What the workers' log says of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    /// The entry that explains it.
    log: String,
    /// The known cause with its code.
    cause: Option<String>,
    /// What to change.
    fix: Vec<String>,
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(cause) = &self.cause {
            write!(f, "{cause}; ")?;
        }
        write!(f, "the workers' log says: {}", self.log)
    }
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    arn: String,
    state: String,
    /// Why it is in this state, in AWS's words.
    state_says: Option<String>,
    /// The token that guards updates.
    version: Option<String>,
    description: Option<String>,
    connect_version: String,
    bootstrap: String,
    authentication: String,
    encryption: String,
    subnets: Vec<String>,
    security_groups: Vec<String>,
    role_arn: String,
    capacity: Option<Capacity>,
    plugin: Option<(String, i64)>,
    worker: Option<(String, i64)>,
    /// Without the values that look like secrets.
    configuration: BTreeMap<String, String>,
    log_group: Option<String>,
    tags: Tags,
    newest_operation: Option<String>,
    /// Since when it is in its state, if an operation or its creation tells.
    #[serde(default)]
    since: Option<Timestamp>,
    /// The operation that the pursued call started.
    operation: Option<Operation>,
    /// The last error in the workers' log, read only after a failure.
    log_says: Option<Said>,
}

/// An operation on a connector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Operation {
    pub(crate) state: String,
    /// Why it failed, in AWS's words.
    pub(crate) says: Option<String>,
    /// The step that failed.
    pub(crate) step: Option<String>,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The connector's ARN.
    pub connector_arn: String,
    /// Its name.
    pub connector_name: String,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `CreateConnector`
    Create {
        /// Everything.
        props: Box<Props>,
        /// Tags, the mark among them.
        tags: Tags,
    },
    /// `UpdateConnector` with worker settings; what is `None` stays.
    UpdateWorkers {
        /// The connector.
        arn: String,
        /// Capacity.
        capacity: Option<Capacity>,
        /// Plugin.
        plugin: Option<Revision>,
        /// Worker configuration.
        worker: Option<Worker>,
    },
    /// `UpdateConnector` with the whole configuration
    UpdateConfiguration {
        /// The connector.
        arn: String,
        /// All of it.
        configuration: BTreeMap<String, Input<String>>,
    },
    /// `ResumeConnector`
    Resume {
        /// The connector.
        arn: String,
    },
    /// `TagResource`
    SetTags {
        /// The connector.
        arn: String,
        /// Tags.
        tags: Tags,
    },
    /// `UntagResource`
    RemoveTags {
        /// The connector.
        arn: String,
        /// Their keys.
        keys: Vec<String>,
    },
    /// `DeleteConnector`
    Delete {
        /// The connector.
        arn: String,
    },
}

/// Which worker configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worker {
    /// MSK Connect's own.
    Default,
    /// This one.
    Revision(Revision),
}

impl Call {
    /// The type of the operation that the call starts.
    fn operation_type(&self) -> Option<&'static str> {
        match self {
            Call::UpdateWorkers { .. } => Some("UPDATE_WORKER_SETTING"),
            Call::UpdateConfiguration { .. } => Some("UPDATE_CONNECTOR_CONFIGURATION"),
            Call::Resume { .. } => Some("RESUME_CONNECTOR"),
            _ => None,
        }
    }
}

impl Connector {
    /// The output with the connector's ARN.
    pub const CONNECTOR_ARN: &'static str = "connector_arn";
    /// The output with its name.
    pub const CONNECTOR_NAME: &'static str = "connector_name";

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { client: session.kafkaconnect.clone(), logs: session.logs.clone() }
    }
}

#[async_trait]
impl Kind for Connector {
    const TYPE: &'static str = "aws.kafkaconnect.connector";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    fn visibility() -> Duration {
        Duration::from_mins(2)
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        observe::observe(self, target).await
    }

    fn mark(seen: &Seen) -> MarkSeen {
        Mark::seen_in_tags(&seen.tags)
    }

    fn ids(seen: &Seen) -> Vec<String> {
        vec![seen.arn.clone()]
    }

    fn status(seen: &Seen) -> Option<Status> {
        let log = seen.log_says.as_ref().map(ToString::to_string);
        let says: Vec<String> = seen.state_says.iter().cloned().chain(log).collect();
        Some(Status::new(&seen.state).since(seen.since).says(Some(says.join("; "))))
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        diff::calls(case)
    }

    async fn perform(&self, call: &Call, guard: &Guard) -> Result<Sent, CallError> {
        request::perform(&self.client, call, guard).await
    }
}

#[cfg(test)]
mod tests;
