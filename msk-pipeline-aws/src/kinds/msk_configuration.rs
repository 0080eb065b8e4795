//! `aws.kafka.configuration`: broker properties, as revisions of one MSK configuration.
//!
//! # Guarantees
//! Never replaced for other properties: a change appends a revision, and clusters move to it by their own call.
//! # Caveats
//! MSK configurations take no tags, so the mark stands in the description. Old revisions stay; MSK keeps at most 50. A configuration
//! can be deleted only when no cluster uses it.
//! # Sources
//! Handbook msk.md §3 *Configuration*.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kafka::primitives::Blob;
use aws_sdk_kafka::types::ConfigurationState;
use msk_pipeline_core::kind::{
    CallError, Case, Change, Class, Condition, Effect, Guard, Kind, Mark, MarkSeen, Next, Proposed,
    Sent, Status, Target,
};
use serde::{Deserialize, Serialize};

use crate::error::{absent, classify};
use crate::session::Session;

/// The kind.
pub struct MskConfiguration {
    kafka: aws_sdk_kafka::Client,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The configuration's name, unique in account and region.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Broker properties.
    pub properties: BTreeMap<String, String>,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    arn: String,
    revision: i64,
    description: String,
    deleting: bool,
    properties: BTreeMap<String, String>,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The configuration's ARN.
    pub arn: String,
    /// Its newest revision.
    pub revision: i64,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `CreateConfiguration`
    Create {
        /// Name.
        name: String,
        /// Description, with the mark.
        description: String,
        /// Properties.
        properties: BTreeMap<String, String>,
    },
    /// `UpdateConfiguration`: appends a revision.
    Update {
        /// The configuration.
        arn: String,
        /// Description, with the mark.
        description: String,
        /// Properties, all of them.
        properties: BTreeMap<String, String>,
    },
    /// `DeleteConfiguration`
    Delete {
        /// The configuration.
        arn: String,
    },
}

impl MskConfiguration {
    /// The output with the ARN.
    pub const ARN: &'static str = "arn";
    /// The output with the newest revision.
    pub const REVISION: &'static str = "revision";

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { kafka: session.kafka.clone() }
    }

    async fn find(
        &self,
        name: &str,
    ) -> Result<Option<aws_sdk_kafka::types::Configuration>, CallError> {
        let mut token = None;
        loop {
            let page = self
                .kafka
                .list_configurations()
                .set_next_token(token)
                .send()
                .await
                .map_err(|e| classify("kafka:ListConfigurations", e))?;
            if let Some(found) = page.configurations().iter().find(|c| c.name() == Some(name)) {
                return Ok(Some(found.clone()));
            }
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(None);
            }
        }
    }
}

/// `key=value` lines, sorted: what MSK stores byte for byte.
fn to_properties(properties: &BTreeMap<String, String>) -> Blob {
    let text: String = properties.iter().map(|(k, v)| format!("{k}={v}\n")).collect();
    Blob::new(text.into_bytes())
}

fn from_properties(blob: &Blob) -> BTreeMap<String, String> {
    String::from_utf8_lossy(blob.as_ref())
        .lines()
        .filter_map(|line| line.trim().split_once('='))
        .filter(|(key, _)| !key.starts_with('#'))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

#[async_trait]
impl Kind for MskConfiguration {
    const TYPE: &'static str = "aws.kafka.configuration";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        let Some(found) = self.find(&target.props.name).await? else { return Ok(None) };
        let arn = found.arn().unwrap_or_default().to_owned();
        let revision = found.latest_revision().and_then(|r| r.revision()).unwrap_or_default();
        let answer = self
            .kafka
            .describe_configuration_revision()
            .arn(&arn)
            .revision(revision)
            .send()
            .await
            .map_err(|e| {
                let mut error = classify("kafka:DescribeConfigurationRevision", e);
                // A missing configuration is a 400, not a 404.
                if error.message.contains("does not exist") {
                    error.class = Class::NotFound;
                }
                error
            });
        let Some(answer) = absent(answer)? else { return Ok(None) };
        // The revision's description is the one that the last update wrote; the configuration's is that of its create call.
        let revised = answer.description().filter(|d| !d.is_empty()).or(found.description());
        Ok(Some(Seen {
            revision,
            description: revised.unwrap_or_default().to_owned(),
            deleting: found.state() == Some(&ConfigurationState::Deleting),
            properties: answer.server_properties().map(from_properties).unwrap_or_default(),
            arn,
        }))
    }

    fn mark(seen: &Seen) -> MarkSeen {
        Mark::seen_in_text(&seen.description)
    }

    fn ids(seen: &Seen) -> Vec<String> {
        vec![seen.arn.clone()]
    }

    fn status(seen: &Seen) -> Option<Status> {
        Some(if seen.deleting { Status::new("DELETING") } else { Status::exists() })
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (want, Some(seen)) if seen.deleting => {
                let then = want.iter().map(|want| create(want, &case.mark)).collect();
                let condition =
                    Condition::new("configuration gone", "DELETING", Duration::from_secs(10));
                Next::Wait { condition, then }
            }
            (None, Some(seen)) => {
                let call = Call::Delete { arn: seen.arn.clone() };
                Next::Calls(vec![Proposed::new("kafka:DeleteConfiguration", Effect::Delete, call)])
            }
            (Some(want), None) => Next::Calls(vec![create(want, &case.mark)]),
            (Some(want), Some(seen)) => {
                let mut fields = property_changes(&seen.properties, &want.properties);
                // Somebody else's that is taken over: the mark is in the description.
                match Self::mark(seen) {
                    MarkSeen::Lineage { lineage, .. } if lineage == case.mark.lineage => {}
                    _ => {
                        let description = describe(want, &case.mark);
                        let from = Some(&seen.description);
                        fields.push(Change::new("description", from, Some(description)));
                    }
                }
                if fields.is_empty() {
                    return Next::Converged(Outputs {
                        arn: seen.arn.clone(),
                        revision: seen.revision,
                    });
                }
                let call = Call::Update {
                    arn: seen.arn.clone(),
                    description: describe(want, &case.mark),
                    properties: want.properties.clone(),
                };
                Next::Calls(vec![
                    Proposed::new("kafka:UpdateConfiguration", Effect::Update, call)
                        .fields(fields)
                        .may_change(&[Self::REVISION]),
                ])
            }
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        match call {
            Call::Create { name, description, properties } => {
                let answer = self
                    .kafka
                    .create_configuration()
                    .name(name)
                    .description(description)
                    .server_properties(to_properties(properties))
                    .send()
                    .await
                    .map_err(|e| classify("kafka:CreateConfiguration", e))?;
                Ok(Sent { id: answer.arn().map(str::to_owned), operation: None })
            }
            Call::Update { arn, description, properties } => {
                self.kafka
                    .update_configuration()
                    .arn(arn)
                    .description(description)
                    .server_properties(to_properties(properties))
                    .send()
                    .await
                    .map_err(|e| classify("kafka:UpdateConfiguration", e))?;
                Ok(Sent::default())
            }
            Call::Delete { arn } => {
                self.kafka.delete_configuration().arn(arn).send().await.map_err(|e| {
                    let mut error = classify("kafka:DeleteConfiguration", e);
                    if error.message.contains("does not exist") {
                        error.class = Class::NotFound;
                    }
                    error
                })?;
                Ok(Sent::default())
            }
        }
    }
}

fn describe(want: &Props, mark: &Mark) -> String {
    format!("{} {}", want.description, mark.text())
}

fn create(want: &Props, mark: &Mark) -> Proposed<Call> {
    let call = Call::Create {
        name: want.name.clone(),
        description: describe(want, mark),
        properties: want.properties.clone(),
    };
    Proposed::new("kafka:CreateConfiguration", Effect::Create, call)
        .fields(property_changes(&BTreeMap::new(), &want.properties))
        .may_change(&[MskConfiguration::ARN, MskConfiguration::REVISION])
}

fn property_changes(
    seen: &BTreeMap<String, String>,
    want: &BTreeMap<String, String>,
) -> Vec<Change> {
    let set = want.iter().filter(|(k, v)| seen.get(*k) != Some(v));
    let gone = seen.iter().filter(|(k, _)| !want.contains_key(*k));
    set.map(|(k, v)| Change::new(k, seen.get(k), Some(v)))
        .chain(gone.map(|(k, v)| Change::new(k, Some(v), None::<()>)))
        .collect()
}
