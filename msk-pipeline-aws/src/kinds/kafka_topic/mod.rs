//! `aws.kafka.topic`: a topic, through MSK's own topic operations.
//!
//! # Guarantees
//! Topics take no tags. A topic is ours if state recorded it, or if our own create was begun before it was seen: one that was there
//! before is nobody's to change, and the create answers `TopicExistsException`, which ends the step. A topic that a lost reply left
//! behind is found because *begin* was written first.
//! Partitions only grow, and that moves keys; fewer partitions, or another replication, replace the topic and lose its records.
//! # Caveats
//! * Shorter retention of a data topic is a *gap*, not *lost*: the source still has the rows, consumers that are behind miss the events.
//!   For a schema history and for offsets it is *lost*: nothing brings them back.
//! * A config that was never declared here is not drift (brokers may show their own), but setting configs takes it away.
//! * Reads lag by up to a minute, and a deleted topic reads ACTIVE for a while.
//! * While the cluster is busy nothing can be asked about its topics: that is waited for.
//! # Sources
//! Handbook msk.md §1, §2 and §3 (Topics).

mod effect;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use msk_pipeline_core::kind::{
    CallError, Case, Change, Class, Condition, DataEffect, Effect, Guard, Input, Kind, MarkSeen,
    Next, Proposed, Recorded, Sent, Status, Succession, Target,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{absent, classify};
use crate::session::Session;

/// The kind.
pub struct KafkaTopic {
    kafka: aws_sdk_kafka::Client,
}

/// Topic configurations by name.
pub type Configs = BTreeMap<String, String>;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The cluster.
    pub cluster_arn: Input<String>,
    /// The cluster's name. Only tells topics of one name on two clusters apart.
    #[serde(default)]
    pub cluster: String,
    /// The topic's name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// How many copies of each.
    pub replication: i32,
    /// What is set on the topic itself.
    #[serde(default)]
    pub configs: Configs,
    /// What is in it, as far as losing it matters.
    #[serde(default)]
    pub holds: Holds,
}

/// What a topic holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// Change events.
    #[default]
    Data,
    /// A connector's schema history.
    History,
    /// A connector's source offsets.
    Offsets,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// The topic.
    Topic(Topic),
    /// Nothing can be asked: the cluster is in this state.
    Busy(String),
}

/// A topic that was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Topic {
    cluster_arn: String,
    name: String,
    arn: String,
    status: String,
    partitions: i32,
    replication: i32,
    configs: Configs,
    /// Recorded, or seen after our own call was begun.
    ours: bool,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The topic's ARN.
    pub topic_arn: String,
    /// The topic's name.
    pub topic_name: String,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the request's own arguments")]
pub enum Call {
    /// `CreateTopic`
    Create {
        cluster_arn: Input<String>,
        name: String,
        partitions: i32,
        replication: i32,
        configs: Configs,
    },
    /// `UpdateTopic` with configs: all of them.
    SetConfigs { cluster_arn: String, name: String, configs: Configs },
    /// `UpdateTopic` with a number of partitions.
    AddPartitions { cluster_arn: String, name: String, partitions: i32 },
    /// `DeleteTopic`
    Delete { cluster_arn: String, name: String },
}

impl KafkaTopic {
    /// The output with the topic's name.
    pub const TOPIC_NAME: &'static str = "topic_name";
    /// How long a create or an update takes.
    const USUAL: Duration = Duration::from_secs(10);

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { kafka: session.kafka.clone() }
    }

    async fn look(&self, cluster: &str, name: &str, ours: bool) -> Result<Option<Seen>, CallError> {
        let answer = self.kafka.describe_topic().cluster_arn(cluster).topic_name(name).send().await;
        let answer = match answer.map_err(|e| classify("kafka:DescribeTopic", e)) {
            Err(error) if matches!(error.class, Class::Invalid | Class::Conflict) => {
                return self.busy(cluster, error).await;
            }
            answer => absent(answer)?,
        };
        let Some(topic) = answer else { return Ok(None) };
        let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
        let status = text(topic.status().map(|s| s.as_str()));
        Ok(Some(Seen::Topic(Topic {
            cluster_arn: cluster.to_owned(),
            name: name.to_owned(),
            arn: text(topic.topic_arn()),
            // One that is going is nobody's any more: it is waited for.
            ours: ours || status == "DELETING",
            status,
            partitions: topic.partition_count().unwrap_or_default(),
            replication: topic.replication_factor().unwrap_or_default(),
            configs: decode(topic.configs().unwrap_or_default()),
        })))
    }

    /// A question about a topic was refused: because of the cluster's state?
    async fn busy(&self, cluster: &str, error: CallError) -> Result<Option<Seen>, CallError> {
        let answer = self.kafka.describe_cluster_v2().cluster_arn(cluster).send().await;
        let answer = absent(answer.map_err(|e| classify("kafka:DescribeClusterV2", e)))?;
        let Some(info) = answer.and_then(|a| a.cluster_info) else { return Ok(None) };
        match info.state().map(|s| s.as_str()) {
            Some("ACTIVE") | None => Err(error),
            Some(state) => Ok(Some(Seen::Busy(state.to_owned()))),
        }
    }
}

#[async_trait]
impl Kind for KafkaTopic {
    const TYPE: &'static str = "aws.kafka.topic";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        if props.cluster.is_empty() {
            props.name.clone()
        } else {
            format!("{}/{}", props.cluster, props.name)
        }
    }

    fn succession() -> Succession {
        // The connector moves to the new topic before the old one goes.
        Succession::CreateFirst
    }

    fn visibility() -> Duration {
        // Reads lag about a minute (handbook msk.md §3).
        Duration::from_mins(2)
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        let name = &target.props.name;
        let ours = target.is_recorded();
        let wanted = target.props.cluster_arn.known();
        if let Some(cluster) = wanted
            && let Some(seen) = self.look(cluster, name, ours).await?
        {
            return Ok(Some(seen));
        }
        // A topic whose cluster is about to change is still looked for where it is.
        let recorded = target.was.as_ref().and_then(|w| w.props.cluster_arn.known());
        match recorded.filter(|cluster| Some(*cluster) != wanted) {
            Some(cluster) => self.look(cluster, name, ours).await,
            None => Ok(None),
        }
    }

    fn mark(seen: &Seen) -> MarkSeen {
        match seen {
            Seen::Topic(topic) if !topic.ours => MarkSeen::Absent,
            _ => MarkSeen::ByParent,
        }
    }

    fn ids(seen: &Seen) -> Vec<String> {
        match seen {
            Seen::Topic(topic) => vec![topic.name.clone(), topic.arn.clone()],
            Seen::Busy(_) => Vec::new(),
        }
    }

    fn status(seen: &Seen) -> Option<Status> {
        Some(match seen {
            Seen::Topic(topic) => Status::new(&topic.status),
            Seen::Busy(state) => Status::new("unknown")
                .says(Some(format!("the cluster is {state}, and tells nothing of topics"))),
        })
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        let holds = case.was.as_ref().map(|w| w.props.holds);
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (Some(want), None) => create(want),
            (want, Some(Seen::Busy(state))) => {
                let then = match (want, case.was.as_ref().and_then(as_recorded)) {
                    (Some(want), None) => Next::Calls(vec![create_call(want)]),
                    (Some(want), Some(topic)) => {
                        update(want, &topic, case.was.as_ref().map(|w| &w.props))
                    }
                    (None, Some(topic)) => delete(&topic, holds.unwrap_or_default()),
                    (None, None) => Next::Calls(Vec::new()),
                };
                let condition = Condition::new("cluster ACTIVE", state, Duration::from_mins(20));
                match then {
                    Next::Calls(then) => Next::Wait { condition, then },
                    Next::Converged(_) => Next::Wait { condition, then: Vec::new() },
                    other => other,
                }
            }
            (None, Some(Seen::Topic(topic))) => delete(topic, holds.unwrap_or_default()),
            (Some(want), Some(Seen::Topic(topic))) => {
                update(want, topic, case.was.as_ref().map(|w| &w.props))
            }
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        self.send(call).await.map_err(|mut error| {
            // The cluster has become busy since it was looked at: that passes.
            if error.class == Class::Invalid && error.message.contains("cluster in") {
                error.class = Class::Conflict;
            }
            error
        })?;
        Ok(Sent::default())
    }
}

impl KafkaTopic {
    async fn send(&self, call: &Call) -> Result<(), CallError> {
        match call {
            Call::Create { cluster_arn, name, partitions, replication, configs } => {
                self.kafka
                    .create_topic()
                    .set_cluster_arn(cluster_arn.known().cloned())
                    .topic_name(name)
                    .partition_count(*partitions)
                    .replication_factor(*replication)
                    .set_configs((!configs.is_empty()).then(|| encode(configs)))
                    .send()
                    .await
                    .map_err(|e| classify("kafka:CreateTopic", e))
                    .map_err(exists)?;
            }
            Call::SetConfigs { cluster_arn, name, configs } => {
                self.kafka
                    .update_topic()
                    .cluster_arn(cluster_arn)
                    .topic_name(name)
                    .configs(encode(configs))
                    .send()
                    .await
                    .map_err(|e| classify("kafka:UpdateTopic", e))?;
            }
            Call::AddPartitions { cluster_arn, name, partitions } => {
                self.kafka
                    .update_topic()
                    .cluster_arn(cluster_arn)
                    .topic_name(name)
                    .partition_count(*partitions)
                    .send()
                    .await
                    .map_err(|e| classify("kafka:UpdateTopic", e))?;
            }
            Call::Delete { cluster_arn, name } => {
                self.kafka
                    .delete_topic()
                    .cluster_arn(cluster_arn)
                    .topic_name(name)
                    .send()
                    .await
                    .map_err(|e| classify("kafka:DeleteTopic", e))
                    .map_err(still_there)?;
            }
        }
        Ok(())
    }
}

/// A topic that exists when our create arrives was made by somebody else: an earlier create of ours is looked for long enough before
/// another one is sent.
fn exists(mut error: CallError) -> CallError {
    if error.class == Class::AlreadyExists {
        error.class = Class::Invalid;
        error.message = format!(
            "{} It was made by somebody else: give this topic another name, or declare that one as existing.",
            error.message
        );
    }
    error
}

/// A topic that was deleted reads ACTIVE for a while; a channel that still writes to it goes in its own time (handbook msk.md §3).
fn still_there(mut error: CallError) -> CallError {
    if error.class == Class::NotFound || error.message.contains("associated Channel") {
        error.class = Class::Conflict;
    }
    error
}

fn encode(configs: &Configs) -> String {
    BASE64.encode(serde_json::json!(configs).to_string())
}

fn decode(configs: &str) -> Configs {
    let bytes = BASE64.decode(configs).unwrap_or_default();
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let found: BTreeMap<String, Value> = serde_json::from_slice(&bytes).unwrap_or_default();
    found.into_iter().map(|(k, v)| (k, text(v))).collect()
}

fn create(want: &Props) -> Next<Call, Outputs> {
    if want.holds == Holds::History && want.partitions != 1 {
        return Next::Refuse {
            because: "a schema history is read in order, so it has one partition".into(),
            help: "set its partitions to 1".into(),
        };
    }
    Next::Calls(vec![create_call(want)])
}

fn create_call(want: &Props) -> Proposed<Call> {
    let call = Call::Create {
        cluster_arn: want.cluster_arn.clone(),
        name: want.name.clone(),
        partitions: want.partitions,
        replication: want.replication,
        configs: want.configs.clone(),
    };
    Proposed::new("kafka:CreateTopic", Effect::Create, call)
        .fields([
            Change::new("name", None::<()>, Some(&want.name)),
            Change::new("partitions", None::<()>, Some(want.partitions)),
            Change::new("replication", None::<()>, Some(want.replication)),
        ])
        .may_change(&["topic_arn", KafkaTopic::TOPIC_NAME])
        .usual(KafkaTopic::USUAL)
}

/// A topic that can't be asked for, as it is by what was recorded: what has to be done once it can be asked for is decided on that.
fn as_recorded(was: &Recorded<Props, Outputs>) -> Option<Topic> {
    let Props { cluster_arn, name, partitions, replication, configs, .. } = was.props.clone();
    Some(Topic {
        cluster_arn: cluster_arn.known()?.clone(),
        name,
        arn: was.outputs.as_ref().map(|o| o.topic_arn.clone()).unwrap_or_default(),
        status: "ACTIVE".into(),
        partitions,
        replication,
        configs,
        ours: true,
    })
}

fn update(want: &Props, topic: &Topic, was: Option<&Props>) -> Next<Call, Outputs> {
    if topic.status == "DELETING" {
        return Next::Wait { condition: waits(topic, "to be gone"), then: vec![create_call(want)] };
    }
    // A topic that is just being made holds nothing.
    let lost = match topic.status.as_str() {
        "CREATING" => DataEffect::NONE,
        _ => effect::of_deleting(want.holds, &topic.name),
    };
    let replace = |because: String| Next::Replace { because, effect: lost.clone() };
    if want.cluster_arn.differs(&topic.cluster_arn) {
        return replace("a topic can't be moved to another cluster".into());
    }
    if want.replication != topic.replication {
        return replace(format!(
            "the replication of a topic can't be changed ({} to {})",
            topic.replication, want.replication
        ));
    }
    if want.partitions < topic.partitions {
        return replace(format!(
            "partitions can't be taken away ({} to {})",
            topic.partitions, want.partitions
        ));
    }
    if want.partitions > topic.partitions && want.holds != Holds::Data {
        return Next::Refuse {
            because: format!("topic {} is read as a whole, so its partitions stay", topic.name),
            help: format!("set its partitions to {}", topic.partitions),
        };
    }
    let mut calls = Vec::new();
    calls.extend(set_configs(want, topic, was));
    if want.partitions > topic.partitions {
        let call = Call::AddPartitions {
            cluster_arn: topic.cluster_arn.clone(),
            name: topic.name.clone(),
            partitions: want.partitions,
        };
        let field = Change::new("partitions", Some(topic.partitions), Some(want.partitions));
        calls.push(
            Proposed::new("kafka:UpdateTopic", Effect::Update, call)
                .fields([field])
                .data(effect::of_more_partitions(&topic.name))
                .usual(KafkaTopic::USUAL),
        );
    }
    if topic.status != "ACTIVE" {
        return Next::Wait { condition: waits(topic, "ACTIVE"), then: calls };
    }
    if calls.is_empty() {
        return Next::Converged(Outputs {
            topic_arn: topic.arn.clone(),
            topic_name: topic.name.clone(),
        });
    }
    Next::Calls(calls)
}

fn set_configs(want: &Props, topic: &Topic, was: Option<&Props>) -> Option<Proposed<Call>> {
    let set = want.configs.iter().filter(|(k, v)| topic.configs.get(*k) != Some(v));
    let mut fields: Vec<Change> = set
        .map(|(k, v)| Change::new(format!("configs.{k}"), topic.configs.get(k), Some(v)))
        .collect();
    // What was declared before and is not any more.
    let dropped = was.iter().flat_map(|w| w.configs.keys());
    let dropped = dropped.filter(|k| !want.configs.contains_key(*k));
    fields.extend(dropped.filter_map(|k| {
        Some(Change::new(format!("configs.{k}"), Some(topic.configs.get(k)?), None::<()>))
    }));
    if fields.is_empty() {
        return None;
    }
    let call = Call::SetConfigs {
        cluster_arn: topic.cluster_arn.clone(),
        name: topic.name.clone(),
        configs: want.configs.clone(),
    };
    Some(
        Proposed::new("kafka:UpdateTopic", Effect::Update, call)
            .fields(fields)
            .data(effect::of_configs(want.holds, &topic.name, &topic.configs, &want.configs))
            .usual(KafkaTopic::USUAL),
    )
}

fn waits(topic: &Topic, what: &str) -> Condition {
    Condition::new(format!("topic {} {what}", topic.name), &topic.status, KafkaTopic::USUAL)
}

fn delete(topic: &Topic, holds: Holds) -> Next<Call, Outputs> {
    if topic.status == "DELETING" {
        return Next::Wait { condition: waits(topic, "to be gone"), then: Vec::new() };
    }
    let data = match topic.status.as_str() {
        "CREATING" => DataEffect::NONE,
        _ => effect::of_deleting(holds, &topic.name),
    };
    let call = Call::Delete { cluster_arn: topic.cluster_arn.clone(), name: topic.name.clone() };
    let delete = Proposed::new("kafka:DeleteTopic", Effect::Delete, call)
        .data(data)
        .usual(Duration::from_secs(30));
    if matches!(topic.status.as_str(), "CREATING" | "UPDATING") {
        return Next::Wait { condition: waits(topic, "ACTIVE"), then: vec![delete] };
    }
    Next::Calls(vec![delete])
}

#[cfg(test)]
mod tests;
