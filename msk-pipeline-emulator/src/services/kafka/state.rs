//! What MSK remembers, and what a cluster, a configuration or a topic is at a point in time. Nothing here ticks: states, versions
//! and visible values are functions of recorded events and the present.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::versions;
use crate::services::ec2;
use crate::world::{Millis, World};

/// How long things usually take, in world milliseconds.
pub(crate) mod usual {
    use crate::world::Millis;

    const SECOND: Millis = 1_000;
    const MINUTE: Millis = 60 * SECOND;

    /// A cluster from CREATING to ACTIVE or FAILED.
    pub(crate) const CREATE: Millis = 18 * MINUTE;
    /// A cluster from DELETING to gone.
    pub(crate) const DELETE: Millis = 8 * MINUTE;
    /// How long the brokers' network interfaces outlive the cluster.
    pub(crate) const INTERFACES_LINGER: Millis = 3 * MINUTE;
    /// An operation from PENDING to in progress; part of its duration.
    pub(crate) const PENDING: Millis = 20 * SECOND;
    /// More or fewer brokers.
    pub(crate) const BROKER_COUNT: Millis = 15 * MINUTE;
    /// Another instance type, a broker.
    pub(crate) const TYPE_PER_BROKER: Millis = 12 * MINUTE;
    /// A bigger volume.
    pub(crate) const STORAGE: Millis = 3 * MINUTE;
    /// How long the volumes are optimized after growing.
    pub(crate) const OPTIMIZING: Millis = 6 * 60 * MINUTE;
    /// Another configuration or Kafka version, a broker.
    pub(crate) const ROLLING_PER_BROKER: Millis = 5 * MINUTE;
    /// Another monitoring or logging.
    pub(crate) const MONITORING: Millis = 5 * MINUTE;
    /// Other listeners.
    pub(crate) const SECURITY: Millis = 12 * MINUTE;
    /// Public access, private connectivity, network type.
    pub(crate) const CONNECTIVITY: Millis = 15 * MINUTE;
    /// The restart of one broker.
    pub(crate) const REBOOT: Millis = 5 * MINUTE;
    /// A configuration from DELETING to gone.
    pub(crate) const CONFIGURATION_DELETE: Millis = 5 * SECOND;
    /// A topic from CREATING or UPDATING to ACTIVE.
    pub(crate) const TOPIC: Millis = 5 * SECOND;
    /// How long a deleted topic still reads ACTIVE.
    pub(crate) const TOPIC_STILL_ACTIVE: Millis = 10 * SECOND;
    /// A topic from its deletion to gone.
    pub(crate) const TOPIC_DELETE: Millis = 30 * SECOND;
}

/// What exists.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Clusters by ARN; those that are gone stay until their interfaces are gone too.
    pub(crate) clusters: BTreeMap<String, Cluster>,
    /// Configurations by ARN.
    pub(crate) configurations: BTreeMap<String, Configuration>,
    /// The key that clusters without one of their own get; empty before the first.
    pub(crate) default_key: String,
}

/// One provisioned cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) arn: String,
    pub(crate) name: String,
    /// `<uuid>-<cell>`, the end of the ARN.
    pub(crate) tail: String,
    /// The small number that the ARN and the host names share.
    pub(crate) cell: u64,
    /// Six characters that make the host names unique.
    pub(crate) host_id: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) subnets: Vec<Placement>,
    pub(crate) groups: Vec<String>,
    pub(crate) kms_key: String,
    pub(crate) created_at: Millis,
    pub(crate) ready_at: Millis,
    /// Set when creation ends in FAILED.
    pub(crate) create_failure: Option<Failure>,
    pub(crate) deleting_since: Option<Millis>,
    pub(crate) gone_at: Option<Millis>,
    pub(crate) first: Provisioned,
    pub(crate) first_version: String,
    /// Oldest first; only the last one can be unfinished.
    pub(crate) operations: Vec<Operation>,
    pub(crate) brokers: Vec<Broker>,
    pub(crate) topics: BTreeMap<String, Topic>,
}

/// A subnet that was given at creation, as it was then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Placement {
    pub(crate) subnet: String,
    pub(crate) vpc: String,
    pub(crate) az: String,
    pub(crate) az_id: String,
    pub(crate) cidr: String,
    pub(crate) public: bool,
}

/// What updates can change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Provisioned {
    pub(crate) instance_type: String,
    pub(crate) broker_count: u64,
    pub(crate) kafka_version: String,
    pub(crate) configuration: Option<(String, i64)>,
    pub(crate) volume_size: Option<i64>,
    pub(crate) throughput: Option<Value>,
    pub(crate) storage_mode: String,
    pub(crate) enhanced_monitoring: String,
    pub(crate) open_monitoring: Value,
    pub(crate) logging: Option<Value>,
    pub(crate) authentication: Value,
    pub(crate) client_broker: String,
    pub(crate) in_cluster: bool,
    pub(crate) connectivity: Value,
    pub(crate) rebalancing: Option<Value>,
    pub(crate) zookeeper_access: bool,
}

/// One broker and its network interface.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Broker {
    pub(crate) id: u32,
    pub(crate) arn: String,
    /// Index into the cluster's subnets.
    pub(crate) placement: usize,
    pub(crate) interface: String,
    pub(crate) ip: String,
    pub(crate) from: Millis,
    pub(crate) until: Option<Millis>,
}

/// One cluster operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Operation {
    pub(crate) arn: String,
    pub(crate) kind: String,
    pub(crate) request_id: String,
    pub(crate) created_at: Millis,
    pub(crate) starts_at: Millis,
    pub(crate) ends_at: Millis,
    /// While this lasts, a second change of the volumes is refused.
    pub(crate) optimizing_until: Option<Millis>,
    pub(crate) steps: Vec<String>,
    pub(crate) source: Value,
    pub(crate) target: Value,
    pub(crate) after: Provisioned,
    pub(crate) version_after: String,
    /// Set when it ends in `UPDATE_FAILED`.
    pub(crate) failure: Option<Failure>,
    /// The brokers that a reboot restarts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) reboots: Vec<u32>,
}

/// Why something failed, as far as AWS says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// `(code, text)`, which AWS sometimes leaves out.
    pub(crate) told: Option<(String, String)>,
}

/// One configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Configuration {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) kafka_versions: Vec<String>,
    pub(crate) created_at: Millis,
    /// Revision n is at index n - 1.
    pub(crate) revisions: Vec<Revision>,
    pub(crate) deleting_since: Option<Millis>,
    pub(crate) gone_at: Option<Millis>,
}

/// One revision of a configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Revision {
    pub(crate) created_at: Millis,
    pub(crate) description: String,
    /// Base64, as sent.
    pub(crate) properties: String,
}

/// One topic.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Topic {
    pub(crate) arn: String,
    pub(crate) replication: u32,
    /// The replicas of each partition, the leader first.
    pub(crate) partitions: Vec<Vec<u32>>,
    pub(crate) configs: BTreeMap<String, String>,
    pub(crate) ready_at: Millis,
    pub(crate) updating_until: Option<Millis>,
    pub(crate) deleted_at: Option<Millis>,
    pub(crate) gone_at: Option<Millis>,
}

impl Cluster {
    /// Whether any operation still sees it; its name is taken as long.
    pub(crate) fn exists(&self, now: Millis) -> bool {
        self.gone_at.is_none_or(|gone| now < gone)
    }

    /// The cluster state.
    pub(crate) fn state(&self, now: Millis) -> &'static str {
        if self.deleting_since.is_some() {
            "DELETING"
        } else if now < self.ready_at {
            "CREATING"
        } else if self.create_failure.is_some() {
            "FAILED"
        } else {
            match self.active(now) {
                Some(operation) if operation.kind == "REBOOT_NODE" => "REBOOTING_BROKER",
                Some(_) => "UPDATING",
                None => "ACTIVE",
            }
        }
    }

    /// The operation that has not ended yet.
    pub(crate) fn active(&self, now: Millis) -> Option<&Operation> {
        self.operations.last().filter(|operation| now < operation.ends_at)
    }

    fn last_success(&self, now: Millis) -> Option<&Operation> {
        self.operations.iter().rev().find(|o| o.ends_at <= now && o.failure.is_none())
    }

    /// What a describe shows: the target of an operation only once it has completed.
    pub(crate) fn visible(&self, now: Millis) -> &Provisioned {
        self.last_success(now).map_or(&self.first, |operation| &operation.after)
    }

    /// `currentVersion`: a new one after every operation that succeeded.
    pub(crate) fn version(&self, now: Millis) -> &str {
        self.last_success(now).map_or(&self.first_version, |operation| &operation.version_after)
    }

    /// Until when a second change of the volumes is refused.
    pub(crate) fn optimizing_until(&self, now: Millis) -> Option<Millis> {
        let until = self
            .operations
            .iter()
            .filter(|o| o.failure.is_none())
            .filter_map(|o| o.optimizing_until)
            .max()?;
        (now < until).then_some(until)
    }

    /// The brokers that serve now.
    pub(crate) fn brokers(&self, now: Millis) -> Vec<&Broker> {
        self.brokers
            .iter()
            .filter(|b| b.from <= now && b.until.is_none_or(|until| now < until))
            .collect()
    }

    /// How many partitions (with replicas) the fullest broker holds.
    pub(crate) fn fullest_broker(&self, now: Millis) -> usize {
        let mut held: BTreeMap<u32, usize> = BTreeMap::new();
        for topic in self.topics.values().filter(|t| t.readable(now)) {
            for replica in topic.partitions.iter().flatten() {
                *held.entry(*replica).or_default() += 1;
            }
        }
        held.values().copied().max().unwrap_or(0)
    }

    /// `<label>.<id>.c<cell>.kafka.<region>.<suffix>`. The label is the name in lower case without hyphens, cut so that a
    /// wildcard certificate for it has at most 64 characters.
    pub(crate) fn domain(&self, world: &World) -> String {
        let settings = &world.settings;
        let suffix =
            if settings.partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
        let rest = format!("{}.c{}.kafka.{}.{suffix}", self.host_id, self.cell, settings.region);
        let room = 64usize.saturating_sub("*.".len() + ".".len() + rest.len()).max(1);
        let label: String = self
            .name
            .chars()
            .filter(|c| *c != '-')
            .map(|c| c.to_ascii_lowercase())
            .take(room)
            .collect();
        format!("{label}.{rest}")
    }

    /// Whether a listener answers: the data plane is up, whatever the control plane does.
    pub(crate) fn serves(&self, now: Millis) -> bool {
        matches!(self.state(now), "ACTIVE" | "UPDATING" | "REBOOTING_BROKER")
    }
}

impl Operation {
    /// The state, a free string in the API.
    pub(crate) fn state(&self, now: Millis) -> String {
        let verb = if self.kind == "REBOOT_NODE" { "REBOOT" } else { "UPDATE" };
        if now < self.starts_at {
            "PENDING".into()
        } else if now < self.ends_at {
            format!("{verb}_IN_PROGRESS")
        } else if self.failure.is_some() {
            format!("{verb}_FAILED")
        } else {
            format!("{verb}_COMPLETE")
        }
    }

    /// The steps with their status: the first and the last take a tenth each. A failing operation fails in the last step
    /// but one.
    pub(crate) fn steps(&self, now: Millis) -> Vec<Value> {
        let total = self.ends_at.saturating_sub(self.starts_at).max(1);
        let done = now.saturating_sub(self.starts_at).min(total);
        let (count, tenth) = (self.steps.len(), total / 10);
        let ends = |i: usize| match i {
            0 => tenth,
            _ if i + 1 == count => total,
            _ => total - tenth,
        };
        let failing = count.saturating_sub(2);
        (0..count)
            .map(|i| {
                let begins = if i == 0 { 0 } else { ends(i - 1) };
                let fails = self.failure.is_some() && i == failing;
                let status = if now < self.starts_at
                    || done < begins
                    || self.failure.is_some() && i > failing
                {
                    "PENDING"
                } else if fails && now >= self.ends_at {
                    "FAILED"
                } else if !fails && done >= ends(i) {
                    "COMPLETED"
                } else {
                    "IN_PROGRESS"
                };
                json!({ "StepName": self.steps[i], "StepInfo": { "StepStatus": status } })
            })
            .collect()
    }
}

impl Configuration {
    /// Whether any operation still sees it; its name is taken as long.
    pub(crate) fn exists(&self, now: Millis) -> bool {
        self.gone_at.is_none_or(|gone| now < gone)
    }

    /// ACTIVE or DELETING.
    pub(crate) fn state(&self) -> &'static str {
        if self.deleting_since.is_some() { "DELETING" } else { "ACTIVE" }
    }
}

impl Topic {
    /// Whether the topic operations still show it.
    pub(crate) fn readable(&self, now: Millis) -> bool {
        self.gone_at.is_none_or(|gone| now < gone)
    }

    /// The state. A deleted topic reads ACTIVE for a while.
    pub(crate) fn state(&self, now: Millis) -> &'static str {
        if self.deleted_at.is_some_and(|at| now >= at + usual::TOPIC_STILL_ACTIVE) {
            "DELETING"
        } else if now < self.ready_at {
            "CREATING"
        } else if self.deleted_at.is_none() && self.updating_until.is_some_and(|at| now < at) {
            "UPDATING"
        } else {
            "ACTIVE"
        }
    }
}

/// Which authentication schemes a `ClientAuthentication` turns on. Leaving all of them out means unauthenticated access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the API")]
pub(crate) struct Schemes {
    pub(crate) unauthenticated: bool,
    pub(crate) tls: bool,
    pub(crate) scram: bool,
    pub(crate) iam: bool,
}

impl Schemes {
    pub(crate) fn of(authentication: &Value) -> Self {
        let tls = flag(authentication, "/Tls/Enabled").unwrap_or_else(|| {
            authentication
                .pointer("/Tls/CertificateAuthorityArnList")
                .and_then(Value::as_array)
                .is_some_and(|list| !list.is_empty())
        });
        let scram = flag(authentication, "/Sasl/Scram/Enabled").unwrap_or(false);
        let iam = flag(authentication, "/Sasl/Iam/Enabled").unwrap_or(false);
        let unauthenticated =
            flag(authentication, "/Unauthenticated/Enabled").unwrap_or(!(tls || scram || iam));
        Self { unauthenticated, tls, scram, iam }
    }

    /// Whether any scheme needs a client to prove who it is.
    pub(crate) fn any(self) -> bool {
        self.tls || self.scram || self.iam
    }
}

/// A boolean inside a value.
pub(crate) fn flag(value: &Value, pointer: &str) -> Option<bool> {
    value.pointer(pointer).and_then(Value::as_bool)
}

/// A string inside a value.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// One way to reach the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listener {
    /// `PLAINTEXT`, `TLS`, `SASL_SCRAM` or `SASL_IAM`.
    pub(crate) name: &'static str,
    /// The port inside the VPC.
    pub(crate) port: u16,
    /// What follows `BootstrapBrokerString` in the member's name.
    pub(crate) member: &'static str,
}

/// The listeners inside the VPC that a set of values turns on.
pub(crate) fn listeners(values: &Provisioned) -> Vec<Listener> {
    let schemes = Schemes::of(&values.authentication);
    let plain = values.client_broker != "TLS";
    let encrypted = values.client_broker != "PLAINTEXT";
    let mut out = Vec::new();
    if schemes.unauthenticated && plain {
        out.push(Listener { name: "PLAINTEXT", port: 9092, member: "" });
    }
    if encrypted && (schemes.unauthenticated || schemes.tls) {
        out.push(Listener { name: "TLS", port: 9094, member: "Tls" });
    }
    if schemes.scram {
        out.push(Listener { name: "SASL_SCRAM", port: 9096, member: "SaslScram" });
    }
    if schemes.iam {
        out.push(Listener { name: "SASL_IAM", port: 9098, member: "SaslIam" });
    }
    out
}

/// At most three of `items` in an order that depends on the cluster and the present alone: reading changes nothing, and no two
/// readings need agree.
pub(crate) fn pick_three<T: Clone>(
    world: &World,
    arn: &str,
    now: Millis,
    mut items: Vec<T>,
) -> Vec<T> {
    let mut hash = Sha256::new();
    hash.update(world.settings.seed.to_le_bytes());
    hash.update(arn.as_bytes());
    hash.update(now.to_le_bytes());
    let digest = hash.finalize();
    for i in (1..items.len()).rev() {
        let byte = usize::from(digest[i % digest.len()]);
        items.swap(i, byte % (i + 1));
    }
    items.truncate(3);
    items
}

/// What other services may know of a cluster.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "a view is whole, whatever its callers need today")]
pub(crate) struct ClusterView {
    pub(crate) arn: String,
    pub(crate) name: String,
    /// The security groups of the brokers.
    pub(crate) groups: Vec<String>,
    /// The subnets of the brokers.
    pub(crate) subnets: Vec<String>,
    pub(crate) vpc_id: String,
    pub(crate) state: &'static str,
    /// Whether a client that can route to it is answered: `ACTIVE`, `UPDATING` or `REBOOTING_BROKER`.
    pub(crate) serves: bool,
    pub(crate) listeners: Vec<Listener>,
    /// The host names of the brokers.
    pub(crate) hosts: Vec<String>,
    pub(crate) kafka_version: String,
    pub(crate) instance_type: String,
    /// What `auto.create.topics.enable` is in the configuration in force (MSK's default: false).
    pub(crate) auto_create_topics: bool,
}

fn view(world: &World, now: Millis, cluster: &Cluster) -> ClusterView {
    let values = cluster.visible(now);
    let domain = cluster.domain(world);
    ClusterView {
        arn: cluster.arn.clone(),
        name: cluster.name.clone(),
        groups: cluster.groups.clone(),
        subnets: cluster.subnets.iter().map(|p| p.subnet.clone()).collect(),
        vpc_id: cluster.subnets.first().map(|p| p.vpc.clone()).unwrap_or_default(),
        state: cluster.state(now),
        serves: cluster.serves(now),
        listeners: listeners(values),
        hosts: cluster.brokers(now).iter().map(|b| format!("b-{}.{domain}", b.id)).collect(),
        kafka_version: values.kafka_version.clone(),
        instance_type: values.instance_type.clone(),
        auto_create_topics: property(world, values, "auto.create.topics.enable").as_deref()
            == Some("true"),
    }
}

/// The cluster with this ARN, if it still exists.
#[cfg(test)]
pub(crate) fn by_arn(world: &World, now: Millis, arn: &str) -> Option<ClusterView> {
    let cluster = world.state.kafka.clusters.get(arn).filter(|c| c.exists(now))?;
    Some(view(world, now, cluster))
}

/// The cluster that one `host:port` of a bootstrap string belongs to (of a list, the first). The port is not looked at: compare
/// it with the view's listeners.
pub(crate) fn by_bootstrap(world: &World, now: Millis, host_port: &str) -> Option<ClusterView> {
    let first = host_port.split(',').next()?.trim();
    let host = first.rsplit_once(':').map_or(first, |(host, _)| host).to_ascii_lowercase();
    world.state.kafka.clusters.values().filter(|c| c.exists(now)).find_map(|cluster| {
        let domain = cluster.domain(world);
        let known = cluster.brokers(now).iter().any(|b| host == format!("b-{}.{domain}", b.id));
        known.then(|| view(world, now, cluster))
    })
}

/// Whether a client would find the topic.
pub(crate) fn topic_exists(world: &World, now: Millis, cluster_arn: &str, topic: &str) -> bool {
    world
        .state
        .kafka
        .clusters
        .get(cluster_arn)
        .filter(|c| c.exists(now))
        .and_then(|c| c.topics.get(topic))
        .is_some_and(|t| t.ready_at <= now && t.deleted_at.is_none())
}

/// The brokers' network interfaces. They outlive the cluster by a few minutes.
pub(crate) fn interfaces(world: &World, now: Millis) -> Vec<ec2::Interface> {
    let mut out = Vec::new();
    for cluster in world.state.kafka.clusters.values() {
        let gone = cluster.gone_at.map(|gone| gone + usual::INTERFACES_LINGER);
        for broker in &cluster.brokers {
            let until = match (broker.until.map(|u| u + usual::INTERFACES_LINGER), gone) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            if now < broker.from || until.is_some_and(|until| now >= until) {
                continue;
            }
            let place = &cluster.subnets[broker.placement];
            out.push(ec2::Interface {
                id: broker.interface.clone(),
                subnet_id: place.subnet.clone(),
                vpc_id: place.vpc.clone(),
                az: place.az.clone(),
                groups: cluster.groups.clone(),
                description: format!(
                    "DO NOT DELETE - Amazon MSK network interface for cluster {}",
                    cluster.arn
                ),
                requester_id: "AWSServiceRoleForKafka".into(),
                requester_managed: true,
                interface_type: "interface".into(),
                private_ip: broker.ip.clone(),
                status: "in-use".into(),
                tags: BTreeMap::from([
                    ("AWSMSKManaged".to_owned(), "true".to_owned()),
                    ("ClusterArn".to_owned(), cluster.arn.clone()),
                ]),
            });
        }
    }
    out
}

/// A broker property as the configuration in force sets it.
pub(crate) fn property(world: &World, values: &Provisioned, key: &str) -> Option<String> {
    let (arn, revision) = values.configuration.as_ref()?;
    let configuration = world.state.kafka.configurations.get(arn)?;
    let index = usize::try_from(*revision).ok()?.checked_sub(1)?;
    let properties = versions::decode(&configuration.revisions.get(index)?.properties)?;
    versions::properties(&properties).into_iter().rev().find(|(k, _)| k == key).map(|(_, v)| v)
}

/// A dial for what goes wrong. Every fault of this service is asked for here.
pub(crate) fn dial(world: &World, name: &str) -> Option<Value> {
    world.faults.dial(name).cloned()
}

/// Forgets what nobody can see any more.
pub(crate) fn purge(world: &mut World, now: Millis) {
    let state = &mut world.state.kafka;
    state
        .clusters
        .retain(|_, c| c.gone_at.is_none_or(|gone| now < gone + usual::INTERFACES_LINGER));
    state.configurations.retain(|_, c| c.exists(now));
    for cluster in state.clusters.values_mut() {
        cluster.topics.retain(|_, t| t.readable(now));
    }
}
