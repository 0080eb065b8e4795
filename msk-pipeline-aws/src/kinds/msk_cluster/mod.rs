//! `aws.kafka.cluster`: one provisioned MSK cluster.
//!
//! # Guarantees
//! One attribute family a request, one request at a time, in the order of `diff`. An update counts only if its *operation* completed
//! and a new describe shows the value: the cluster's own state is ACTIVE again after a failed update, too. The bootstrap strings in the
//! outputs are kept while their hosts are brokers of the cluster, because MSK names three brokers at random.
//! # Caveats
//! Subnets, security groups, encryption at rest and the metadata mode can't be changed; MSK has no call for them. Storage only grows,
//! and after it grew MSK refuses more for six hours. A broker that is added gets no partitions by itself.
//! # Sources
//! Handbook msk.md §2 (wire), §3 (life cycle, what changes in place), §4 (validations), §6 (endpoints).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_core::Timestamp;
use msk_pipeline_core::kind::{
    CallError, Case, Condition, DataEffect, Effect, Guard, Input, Kind, Mark, MarkSeen, Next,
    Proposed, Sent, Status, Target, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::session::Session;
use crate::tags::{TagDiff, Tags, marked};

mod diff;
mod wire;

/// The kind.
pub struct MskCluster {
    kafka: aws_sdk_kafka::Client,
}

/// A port on which brokers listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Listener {
    /// TLS and IAM, 9098.
    Iam,
    /// TLS and SCRAM, 9096.
    Scram,
    /// TLS without authentication, 9094.
    Tls,
    /// Neither, 9092.
    Plaintext,
}

impl Listener {
    /// The port inside the VPC (handbook msk.md §6).
    pub fn port(self) -> u16 {
        match self {
            Listener::Iam => 9098,
            Listener::Scram => 9096,
            Listener::Tls => 9094,
            Listener::Plaintext => 9092,
        }
    }

    /// The output with its bootstrap string.
    pub fn output(self) -> &'static str {
        match self {
            Listener::Iam => "bootstrap_iam",
            Listener::Scram => "bootstrap_scram",
            Listener::Tls => "bootstrap_tls",
            Listener::Plaintext => "bootstrap_plaintext",
        }
    }
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The cluster's name, unique in account and region.
    pub name: String,
    /// The Kafka version as MSK spells it, `3.9.x.kraft`.
    pub version: String,
    /// Brokers.
    pub brokers: Brokers,
    /// Two or three subnets, one a zone.
    pub subnets: Input<Vec<String>>,
    /// Security groups of the brokers' interfaces.
    pub security_groups: Vec<Input<String>>,
    /// The configuration.
    pub configuration_arn: Input<String>,
    /// Its revision.
    pub configuration_revision: Input<i64>,
    /// How clients may connect.
    pub listeners: BTreeSet<Listener>,
    /// The key for data at rest; `None` means AWS's own.
    pub kms_key: Option<String>,
    /// `DEFAULT`, `PER_BROKER`, `PER_TOPIC_PER_BROKER` or `PER_TOPIC_PER_PARTITION`.
    pub monitoring: String,
    /// Where broker logs go.
    pub logs: Logs,
    /// The user's tags.
    pub tags: Tags,
}

/// How many brokers of what size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brokers {
    /// A multiple of the number of subnets.
    pub count: i32,
    /// `kafka.m7g.large`.
    pub instance_type: String,
    /// GiB a broker.
    pub storage_gib: i32,
}

/// Where broker logs go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Logs {
    /// A CloudWatch log group.
    pub cloudwatch: Option<Input<String>>,
    /// A bucket.
    pub s3_bucket: Option<Input<String>>,
    /// The prefix in it.
    pub s3_prefix: Option<String>,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Seen {
    arn: String,
    state: String,
    cause: String,
    token: String,
    version: String,
    count: i32,
    instance_type: String,
    storage_gib: i32,
    subnets: BTreeSet<String>,
    security_groups: BTreeSet<String>,
    configuration_arn: String,
    configuration_revision: i64,
    listeners: BTreeSet<Listener>,
    monitoring: String,
    /// ARN of the key that encrypts its volumes.
    #[serde(default)]
    kms_key: Option<String>,
    log_group: Option<String>,
    log_bucket: Option<String>,
    log_prefix: Option<String>,
    tags: Tags,
    /// Host names of the brokers; empty until the cluster is usable.
    hosts: BTreeSet<String>,
    bootstrap: BTreeMap<Listener, String>,
    /// The operation that the pending call started.
    operation: Option<Operation>,
    /// The newest operation of all.
    newest: Option<String>,
    /// What it is doing, and since when it is in its state, if an operation or its creation tells.
    #[serde(default)]
    going: Option<String>,
    #[serde(default)]
    since: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Operation {
    arn: String,
    kind: String,
    state: String,
    error: String,
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outputs {
    /// The cluster's ARN.
    pub cluster_arn: String,
    /// Its name.
    pub cluster_name: String,
    /// `host:port,…` of the IAM listener; empty if there is none.
    pub bootstrap_iam: String,
    /// Of the SCRAM listener.
    pub bootstrap_scram: String,
    /// Of the TLS listener.
    pub bootstrap_tls: String,
    /// Of the plaintext listener.
    pub bootstrap_plaintext: String,
}

/// A changing request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `CreateCluster`
    Create(Box<Create>),
    /// `UpdateBrokerType`
    Type {
        /// The cluster.
        arn: String,
        /// The type.
        instance_type: String,
    },
    /// `UpdateBrokerStorage`
    Storage {
        /// The cluster.
        arn: String,
        /// GiB a broker.
        storage_gib: i32,
    },
    /// `UpdateBrokerCount`
    Count {
        /// The cluster.
        arn: String,
        /// Brokers.
        count: i32,
    },
    /// `UpdateMonitoring`
    Monitoring {
        /// The cluster.
        arn: String,
        /// The level.
        monitoring: String,
        /// Where logs go.
        logs: Logs,
    },
    /// `UpdateClusterConfiguration`
    Configuration {
        /// The cluster.
        arn: String,
        /// The configuration.
        configuration_arn: Input<String>,
        /// Its revision.
        revision: Input<i64>,
    },
    /// `UpdateClusterKafkaVersion`, with the configuration in the same call where both change.
    Version {
        /// The cluster.
        arn: String,
        /// The version.
        version: String,
        /// The configuration.
        configuration_arn: Input<String>,
        /// Its revision.
        revision: Input<i64>,
    },
    /// `UpdateSecurity`
    Security {
        /// The cluster.
        arn: String,
        /// How clients may connect.
        listeners: BTreeSet<Listener>,
    },
    /// `TagResource`
    SetTags {
        /// The cluster.
        arn: String,
        /// Tags.
        tags: Tags,
    },
    /// `UntagResource`
    RemoveTags {
        /// The cluster.
        arn: String,
        /// Keys.
        keys: Vec<String>,
    },
    /// `DeleteCluster`
    Delete {
        /// The cluster.
        arn: String,
    },
}

/// The arguments of `CreateCluster`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Create {
    props: Props,
    tags: Tags,
}

impl MskCluster {
    /// The output with the ARN.
    pub const CLUSTER_ARN: &'static str = "cluster_arn";
    /// The output with the name.
    pub const CLUSTER_NAME: &'static str = "cluster_name";

    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { kafka: session.kafka.clone() }
    }
}

#[async_trait]
impl Kind for MskCluster {
    const TYPE: &'static str = "aws.kafka.cluster";
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
        wire::observe(&self.kafka, &target.props.name, target.pursuit.as_ref()).await
    }

    fn mark(seen: &Seen) -> MarkSeen {
        Mark::seen_in_tags(&seen.tags)
    }

    fn ids(seen: &Seen) -> Vec<String> {
        vec![seen.arn.clone()]
    }

    fn status(seen: &Seen) -> Option<Status> {
        Some(seen.status())
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        let Some(seen) = &case.seen else {
            return match &case.want {
                None => Next::Gone,
                Some(want) => Next::Calls(vec![create(want, &case.mark)]),
            };
        };
        let was_usable = case.was.as_ref().is_some_and(|w| w.outputs.is_some());
        let lost = || {
            if was_usable || !matches!(seen.state.as_str(), "CREATING" | "FAILED") {
                DataEffect::new(Verdict::Lost, "all topics and their records")
            } else {
                DataEffect::NONE
            }
        };
        let delete = || {
            let call = Call::Delete { arn: seen.arn.clone() };
            Proposed::new("kafka:DeleteCluster", Effect::Delete, call)
                .data(lost())
                .usual(Duration::from_mins(8))
                .guard(guard(seen))
        };
        let Some(want) = &case.want else {
            return match seen.state.as_str() {
                "DELETING" => wait("cluster gone", seen, 8, Vec::new()),
                "ACTIVE" | "FAILED" => Next::Calls(vec![delete()]),
                _ => wait("cluster ACTIVE, before it can be deleted", seen, 18, vec![delete()]),
            };
        };
        match seen.state.as_str() {
            "FAILED" if case.pursuit.is_some() => {
                return Next::Failed {
                    cause: if seen.cause.is_empty() {
                        "MSK reports the cluster as FAILED and gives no reason".into()
                    } else {
                        seen.cause.clone()
                    },
                    help: "a failed cluster can only be deleted: the next apply replaces it".into(),
                };
            }
            "FAILED" => {
                return Next::Replace { because: "the cluster is FAILED".into(), effect: lost() };
            }
            "DELETING" => return wait("cluster gone", seen, 8, vec![create(want, &case.mark)]),
            _ => {}
        }
        if let Some(because) = diff::immutable(want, seen, case.was.as_ref().map(|w| &w.props)) {
            return Next::Replace { because, effect: lost() };
        }
        if let Some((because, help)) = diff::impossible(want, seen) {
            return Next::Refuse { because, help };
        }
        let mut calls = diff::calls(want, seen);
        calls.extend(tag_calls(want, seen, &case.mark));
        if seen.state != "ACTIVE" {
            let minutes = case.pursuit.as_ref().map_or(18, |p| usual_minutes(&p.op, seen.count));
            return wait("cluster ACTIVE", seen, minutes, calls);
        }
        // Only the operation tells whether an update took.
        if let Some(operation) = &seen.operation {
            if operation.state.ends_with("FAILED") || operation.state == "ROLLBACK_COMPLETE" {
                return Next::Failed {
                    cause: format!(
                        "{} ended {}: {}",
                        operation.kind, operation.state, operation.error
                    ),
                    help: "mend the cause and apply again".into(),
                };
            }
            if !operation.state.ends_with("COMPLETE") {
                let what = format!("{} complete", operation.kind);
                let minutes =
                    case.pursuit.as_ref().map_or(15, |p| usual_minutes(&p.op, seen.count));
                let usual = Duration::from_secs(minutes * 60);
                let condition =
                    Condition::new(what, &operation.state, usual).deadline(Duration::from_hours(2));
                return Next::Wait { condition, then: calls };
            }
        }
        if calls.is_empty() {
            return Next::Converged(
                seen.outputs(&want.name, case.was.as_ref().and_then(|w| w.outputs.as_ref())),
            );
        }
        Next::Calls(calls)
    }

    async fn perform(&self, call: &Call, guard: &Guard) -> Result<Sent, CallError> {
        wire::perform(&self.kafka, call, guard).await
    }
}

fn guard(seen: &Seen) -> Guard {
    Guard { version: Some(seen.token.clone()), operation: seen.newest.clone() }
}

fn create(want: &Props, mark: &Mark) -> Proposed<Call> {
    let call =
        Call::Create(Box::new(Create { props: want.clone(), tags: marked(&want.tags, mark) }));
    Proposed::new("kafka:CreateCluster", Effect::Create, call)
        .fields(diff::all_fields(want))
        .may_change(&[MskCluster::CLUSTER_ARN, "bootstrap_iam", "bootstrap_scram", "bootstrap_tls"])
        .may_change(&["bootstrap_plaintext"])
        .usual(Duration::from_mins(18))
}

fn tag_calls(want: &Props, seen: &Seen, mark: &Mark) -> Vec<Proposed<Call>> {
    let diff = TagDiff::between(&seen.tags, &marked(&want.tags, mark));
    let mut calls = Vec::new();
    if !diff.set.is_empty() {
        let call = Call::SetTags { arn: seen.arn.clone(), tags: diff.set.clone() };
        calls.push(
            Proposed::new("kafka:TagResource", Effect::Update, call)
                .fields(diff.set_fields(&seen.tags)),
        );
    }
    if !diff.remove.is_empty() {
        let keys = diff.remove.iter().cloned().collect();
        let call = Call::RemoveTags { arn: seen.arn.clone(), keys };
        calls.push(
            Proposed::new("kafka:UntagResource", Effect::Update, call)
                .fields(diff.remove_fields(&seen.tags)),
        );
    }
    calls
}

fn wait(what: &str, seen: &Seen, minutes: u64, then: Vec<Proposed<Call>>) -> Next<Call, Outputs> {
    let state = match &seen.operation {
        Some(operation) => format!("{}, {} {}", seen.state, operation.kind, operation.state),
        None => seen.state.clone(),
    };
    let condition = Condition::new(what, state, Duration::from_secs(minutes * 60))
        .deadline(Duration::from_hours(2));
    Next::Wait { condition, then }
}

/// How long an operation usually takes (handbook msk.md §3 *Durations*).
fn usual_minutes(op: &str, brokers: i32) -> u64 {
    let brokers = u64::try_from(brokers).unwrap_or(3);
    match op {
        "kafka:UpdateBrokerType" => 12 * brokers,
        "kafka:UpdateBrokerStorage" => 3,
        "kafka:UpdateClusterConfiguration" | "kafka:UpdateClusterKafkaVersion" => 5 * brokers,
        "kafka:UpdateMonitoring" => 5,
        "kafka:UpdateSecurity" => 12,
        "kafka:UpdateBrokerCount" => 15,
        _ => 18,
    }
}

impl Seen {
    /// Looks at the cluster named exactly `name`, whoever made it.
    pub(super) async fn of(
        kafka: &aws_sdk_kafka::Client,
        name: &str,
    ) -> Result<Option<Self>, CallError> {
        wire::observe(kafka, name, None).await
    }

    pub(super) fn has(&self, listener: Listener) -> bool {
        self.listeners.contains(&listener)
    }

    pub(super) fn is_usable(&self) -> bool {
        self.state == "ACTIVE"
    }

    /// Its state, for people.
    pub(super) fn status(&self) -> Status {
        let says = self.going.as_ref().or(Some(&self.cause));
        Status::new(&self.state).since(self.since).says(says)
    }

    pub(super) fn state(&self) -> &str {
        &self.state
    }

    /// The outputs; a recorded bootstrap string is kept while all its hosts are brokers.
    pub(super) fn outputs(&self, name: &str, was: Option<&Outputs>) -> Outputs {
        outputs(name, self, was)
    }
}

fn outputs(name: &str, seen: &Seen, was: Option<&Outputs>) -> Outputs {
    let keep = |listener: Listener, was: Option<&String>| {
        let now = seen.bootstrap.get(&listener).cloned().unwrap_or_default();
        let valid = |text: &&String| {
            let host = |entry: &str| entry.rsplit_once(':').map(|(host, _)| host.to_owned());
            !text.is_empty()
                && text.split(',').all(|e| host(e).is_some_and(|host| seen.hosts.contains(&host)))
        };
        match was.filter(valid) {
            Some(kept) if !now.is_empty() => kept.clone(),
            _ => now,
        }
    };
    Outputs {
        cluster_arn: seen.arn.clone(),
        cluster_name: name.to_owned(),
        bootstrap_iam: keep(Listener::Iam, was.map(|w| &w.bootstrap_iam)),
        bootstrap_scram: keep(Listener::Scram, was.map(|w| &w.bootstrap_scram)),
        bootstrap_tls: keep(Listener::Tls, was.map(|w| &w.bootstrap_tls)),
        bootstrap_plaintext: keep(Listener::Plaintext, was.map(|w| &w.bootstrap_plaintext)),
    }
}
