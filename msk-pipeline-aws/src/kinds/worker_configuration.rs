//! `aws.kafkaconnect.worker-configuration`: the properties of the workers of connectors.
//!
//! # Guarantees
//! A worker configuration is immutable and its name carries a hash of its properties: other properties are another configuration,
//! created before the old one is deleted.
//! # Caveats
//! The properties are a Java properties file that the caller encodes in base64 (unlike an MSK configuration, which the SDK encodes).
//! There is one revision for ever.
//! # Sources
//! Handbook msk.md §1 (base64), §5 (operations, states), §7.1 (what may stand in it: checked by the component).

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kafkaconnect::Client;
use aws_sdk_kafkaconnect::operation::describe_worker_configuration::DescribeWorkerConfigurationOutput;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use msk_pipeline_core::kind::{
    CallError, Case, Change, Condition, DataEffect, Effect, Guard, Kind, Mark, MarkSeen, Next,
    Proposed, Sent, Status, Succession, Target,
};
use serde::{Deserialize, Serialize};

use super::connect::{self, TagCall};
use crate::error::{absent, classify};
use crate::session::Session;
use crate::tags::{Tags, marked};

/// The kind.
pub struct WorkerConfiguration {
    client: Client,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// Its name, with a short hash of the properties at its end.
    pub name: String,
    /// What it is for; can't be changed.
    pub description: String,
    /// The properties file, as text.
    pub properties: String,
    /// The user's tags.
    pub tags: Tags,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    arn: String,
    state: String,
    revision: i64,
    properties: String,
    tags: Tags,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The worker configuration's ARN.
    pub worker_arn: String,
    /// Its revision.
    pub revision: i64,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `CreateWorkerConfiguration`
    Create {
        /// Name.
        name: String,
        /// Description.
        description: String,
        /// The properties file, as text.
        properties: String,
        /// Tags, the mark among them.
        tags: Tags,
    },
    /// `TagResource`
    SetTags {
        /// The worker configuration.
        arn: String,
        /// Tags.
        tags: Tags,
    },
    /// `UntagResource`
    RemoveTags {
        /// The worker configuration.
        arn: String,
        /// Their keys.
        keys: Vec<String>,
    },
    /// `DeleteWorkerConfiguration`
    Delete {
        /// The worker configuration.
        arn: String,
    },
}

impl WorkerConfiguration {
    /// The output with the ARN.
    pub const WORKER_ARN: &'static str = "worker_arn";
    /// The output with the revision.
    pub const REVISION: &'static str = "revision";

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { client: session.kafkaconnect.clone() }
    }

    async fn find(&self, name: &str) -> Result<Option<String>, CallError> {
        let mut token = None;
        loop {
            let page = self
                .client
                .list_worker_configurations()
                .name_prefix(name)
                .set_next_token(token)
                .send()
                .await
                .map_err(|e| classify("kafkaconnect:ListWorkerConfigurations", e))?;
            let found = page.worker_configurations().iter().find(|w| w.name() == Some(name));
            if let Some(worker) = found {
                return Ok(worker.worker_configuration_arn().map(str::to_owned));
            }
            token = page.next_token().filter(|t| !t.is_empty()).map(str::to_owned);
            if token.is_none() {
                return Ok(None);
            }
        }
    }
}

#[async_trait]
impl Kind for WorkerConfiguration {
    const TYPE: &'static str = "aws.kafkaconnect.worker-configuration";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    fn succession() -> Succession {
        Succession::CreateFirst
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        let Some(arn) = self.find(&target.props.name).await? else { return Ok(None) };
        let Some(worker) = absent(describe(&self.client, &arn).await)? else { return Ok(None) };
        let Some(tags) = absent(connect::tags(&self.client, &arn).await)? else { return Ok(None) };
        let revision = worker.latest_revision();
        let state = worker.worker_configuration_state();
        Ok(Some(Seen {
            state: state.map(|s| s.as_str().to_owned()).unwrap_or_default(),
            revision: revision.map_or(1, |r| r.revision().max(1)),
            properties: properties(&worker),
            arn,
            tags,
        }))
    }

    fn mark(seen: &Seen) -> MarkSeen {
        Mark::seen_in_tags(&seen.tags)
    }

    fn ids(seen: &Seen) -> Vec<String> {
        vec![seen.arn.clone()]
    }

    fn status(seen: &Seen) -> Option<Status> {
        Some(Status::new(&seen.state))
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (None, Some(seen)) => delete(seen),
            (Some(want), None) => Next::Calls(vec![create(want, &case.mark)]),
            (Some(want), Some(seen)) => update(want, seen, &case.mark),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        match call {
            Call::Create { name, description, properties, tags } => {
                let answer = self
                    .client
                    .create_worker_configuration()
                    .name(name)
                    .description(description)
                    .properties_file_content(STANDARD.encode(properties))
                    .set_tags(Some(tags.clone().into_iter().collect()))
                    .send()
                    .await
                    .map_err(|e| classify("kafkaconnect:CreateWorkerConfiguration", e))?;
                let id = answer.worker_configuration_arn().map(str::to_owned);
                Ok(Sent { id, operation: None })
            }
            Call::SetTags { arn, tags } => connect::set_tags(&self.client, arn, tags).await,
            Call::RemoveTags { arn, keys } => connect::remove_tags(&self.client, arn, keys).await,
            Call::Delete { arn } => {
                self.client
                    .delete_worker_configuration()
                    .worker_configuration_arn(arn)
                    .send()
                    .await
                    .map_err(|e| classify("kafkaconnect:DeleteWorkerConfiguration", e))?;
                Ok(Sent::default())
            }
        }
    }
}

/// The worker configuration with this ARN.
pub(crate) async fn describe(
    client: &Client,
    arn: &str,
) -> Result<DescribeWorkerConfigurationOutput, CallError> {
    client
        .describe_worker_configuration()
        .worker_configuration_arn(arn)
        .send()
        .await
        .map_err(|e| classify("kafkaconnect:DescribeWorkerConfiguration", e))
}

/// Its properties file, as text. What isn't text in base64 is none.
pub(crate) fn properties(described: &DescribeWorkerConfigurationOutput) -> String {
    let revision = described.latest_revision();
    let content = revision.and_then(|r| r.properties_file_content()).unwrap_or_default();
    String::from_utf8_lossy(&STANDARD.decode(content).unwrap_or_default()).into_owned()
}

fn create(want: &Props, mark: &Mark) -> Proposed<Call> {
    let call = Call::Create {
        name: want.name.clone(),
        description: want.description.clone(),
        properties: want.properties.clone(),
        tags: marked(&want.tags, mark),
    };
    Proposed::new("kafkaconnect:CreateWorkerConfiguration", Effect::Create, call)
        .fields([
            Change::new("name", None::<()>, Some(&want.name)),
            Change::new("properties", None::<()>, Some(&want.properties)),
        ])
        .may_change(&[WorkerConfiguration::WORKER_ARN, WorkerConfiguration::REVISION])
}

fn gone(what: &str, state: &str) -> Condition {
    Condition::new(what, state, Duration::from_secs(20))
}

fn update(want: &Props, seen: &Seen, mark: &Mark) -> Next<Call, Outputs> {
    if seen.state == "DELETING" {
        let condition = gone("the old worker configuration to be gone", &seen.state);
        return Next::Wait { condition, then: vec![create(want, mark)] };
    }
    if seen.properties != want.properties {
        return Next::Replace {
            because: "it holds other properties than its name says, and they can't be changed"
                .into(),
            effect: DataEffect::NONE,
        };
    }
    let calls = connect::tag_calls(&seen.tags, &marked(&want.tags, mark), |call| match call {
        TagCall::Set(tags) => Call::SetTags { arn: seen.arn.clone(), tags },
        TagCall::Remove(keys) => Call::RemoveTags { arn: seen.arn.clone(), keys },
    });
    if calls.is_empty() {
        let outputs = Outputs { worker_arn: seen.arn.clone(), revision: seen.revision };
        return Next::Converged(outputs);
    }
    Next::Calls(calls)
}

fn delete(seen: &Seen) -> Next<Call, Outputs> {
    if seen.state == "DELETING" {
        let condition = gone("worker configuration gone", &seen.state);
        return Next::Wait { condition, then: Vec::new() };
    }
    let call = Call::Delete { arn: seen.arn.clone() };
    Next::Calls(vec![Proposed::new("kafkaconnect:DeleteWorkerConfiguration", Effect::Delete, call)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want() -> Props {
        Props {
            name: "orders-cdc-mysql-0123abcd".into(),
            description: "d".into(),
            properties: "key.converter=k\n".into(),
            tags: Tags::new(),
        }
    }

    fn mark() -> Mark {
        Mark { lineage: "l".into(), pipeline: "p".into(), address: "connector.c.worker".into() }
    }

    fn seen(state: &str) -> Seen {
        Seen {
            arn: "arn:w".into(),
            state: state.into(),
            revision: 1,
            properties: "key.converter=k\n".into(),
            tags: mark().tags(),
        }
    }

    #[track_caller]
    fn check(want: Option<Props>, seen: Option<Seen>, expected: &str) {
        let session = crate::kinds::testing::session();
        let case = Case { want, seen, was: None, pursuit: None, mark: mark() };
        let next = Kind::calls(&WorkerConfiguration::new(&session), &case);
        assert_eq!(connect::tests::summary(&next), expected);
    }

    #[test]
    fn the_change_matrix() {
        check(Some(want()), None, "calls: kafkaconnect:CreateWorkerConfiguration none");
        check(Some(want()), Some(seen("ACTIVE")), "converged");
        check(
            Some(want()),
            Some(seen("DELETING")),
            "wait the old worker configuration to be gone (DELETING), then: kafkaconnect:CreateWorkerConfiguration none",
        );
        let other = Props { properties: "key.converter=x\n".into(), ..want() };
        check(
            Some(other),
            Some(seen("ACTIVE")),
            "replace (none): it holds other properties than its name says, and they can't be changed",
        );
        let tagged = Props { tags: Tags::from([("Team".into(), "data".into())]), ..want() };
        check(Some(tagged), Some(seen("ACTIVE")), "calls: kafkaconnect:TagResource none");
        check(None, Some(seen("ACTIVE")), "calls: kafkaconnect:DeleteWorkerConfiguration none");
        check(None, Some(seen("DELETING")), "wait worker configuration gone (DELETING)");
        check(None, None, "gone");
    }
}
