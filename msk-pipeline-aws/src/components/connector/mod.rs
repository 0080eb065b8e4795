//! `[connector.NAME]`: a Debezium connector for `MySQL` or `PostgreSQL` on MSK Connect, with everything that it needs.
//!
//! It becomes a security group with its rules, a role, a log group, its own topics for offsets and (`MySQL`) schema history, a topic for each
//! table, the plugin in a bucket, a worker configuration, and the connector.
//!
//! # Decisions
//! * **Snapshot**: Aurora refuses the global read lock, so Debezium's initial snapshot would hold a lock on every captured table until
//!   it has read the last one, and without locks it would miss what is committed between the snapshot's start and the reading of the
//!   binlog position. So the connector starts with `no_data` and without locks (it reads schemas only, and streams), and existing rows
//!   are read by an *incremental* snapshot, in chunks, while it streams. A row in the signal table starts it; the statement is told by
//!   [`snapshot_notices`], for the tables that are new.
//! * **PostgreSQL**: a snapshot locks nothing there, and existing rows are read incrementally all the same, so that a large table doesn't hold the
//!   slot back until it is read. Slot and publication are made before the connector, never by it: nothing is missed in between, and the capture
//!   user has to own no table.
//! * **Secrets**: the configuration names a secret, and AWS's own config provider resolves it in the workers. It has no home in Maven
//!   Central; its ZIP comes from its releases, and the digest of the first fetch is locked.
//! * **Place**: offsets and schema history have topics of their own with a `generation`, made before the connector, so that replacing
//!   it keeps its place. Raising the generation is how one starts anew on purpose.
//! * **Decimals** are text: the events carry no schema, and without one nobody could read the bytes that Debezium writes by default.
//! * **Topics** of tables are made here, with the settings that are declared; Connect makes only those for heartbeats, schema changes
//!   and signals.
//!
//! Sources: handbook msk.md §7 (worker configuration, secrets, role, network), §8 (Debezium).

mod around;
mod builder;
mod check;
mod config;
mod inside;
mod keys;
mod product;
mod role;
mod schema;
mod snapshot;

use std::collections::BTreeMap;

use msk_pipeline_core::Address;
use msk_pipeline_core::dsl::{Component, Expansion, Schema, quoted};
use msk_pipeline_core::kind::Input;
use msk_pipeline_plugin::{Part, Sha256};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

pub(super) use self::around::cluster_of;
use self::around::{Cluster, Source};
pub use self::builder::Debezium;
use self::config::Names;
pub(crate) use self::config::listed;
pub(crate) use self::product::Product;
pub use self::snapshot::snapshot_notices;
use super::database::Database;
use super::kafka::{Kafka, Listener, days};
use super::network::Network;
use super::stage;
use crate::kinds::connector::{self as kind, Authentication, Capacity, Encryption, Revision};
use crate::kinds::custom_plugin::{self, CustomPlugin};
use crate::kinds::iam_role::{self, IamRole};
use crate::kinds::kafka_topic::{self, Holds, KafkaTopic};
use crate::kinds::log_group::{self, LogGroup};
use crate::kinds::msk_cluster::MskCluster;
use crate::kinds::network as network_kind;
use crate::kinds::s3_bucket::{self, S3Bucket};
use crate::kinds::s3_object::{self, S3Object};
use crate::kinds::security_group::{self, SecurityGroup};
use crate::kinds::security_group_rules::{
    self as rules, Direction, Peer, Rule, SecurityGroupRules,
};
use crate::kinds::worker_configuration::{self, WorkerConfiguration};
use crate::tags::Tags;

/// The table of the proof by a row, in the schema of the signal table, which is the tool's own.
pub(crate) const CANARY: &str = "canary";
/// AWS's config providers.
const PROVIDERS: &str = "https://github.com/aws-samples/msk-config-providers/releases/download/r0.4.0/msk-config-providers-0.4.0-with-dependencies.zip";
/// The one for Secrets Manager.
pub(crate) const PROVIDER_CLASS: &str =
    "com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider";
/// What it is called in placeholders.
const PROVIDER: &str = "secretsmanager";
/// Kafka Connect's own default.
const OFFSETS_PARTITIONS: i32 = 25;
const CONNECT_VERSION: &str = "3.7.x";
const BUCKET: &str = "plugins.bucket";

/// The `[connector.NAME]` section.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connector {
    /// The database that it reads.
    pub source: String,
    /// The cluster that it writes to; the only one if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<String>,
    /// What topics begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Captured tables, `database.table`.
    pub tables: Vec<String>,
    /// What the plugin is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Parts>,
    /// What the config provider is taken from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_provider: Option<Part>,
    /// Workers.
    pub capacity: CapacitySettings,
    /// The version of Kafka Connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_version: Option<String>,
    /// Topics of tables.
    pub topics: Topics,
    /// Transforms, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<Transform>,
    /// Keys of the connector's configuration, over the generated ones.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// Properties of the workers, over the generated ones.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub worker: BTreeMap<String, String>,
    /// The number that it has among the replicas of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_id: Option<i64>,
    /// The replication slot that it reads (PostgreSQL).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// The publication of its tables (PostgreSQL).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publication: Option<String>,
    /// How existing rows are read.
    pub snapshot: Snapshot,
    /// How often a heartbeat moves the place on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<String>,
    /// For how long the log group keeps the workers' log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs_retention: Option<String>,
    /// The name of a secret that exists, instead of the database's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The generation of its offsets and schema history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// The ARN of the policy that bounds its role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions_boundary: Option<String>,
    /// Tags, over the pipeline's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: Tags,
}

/// One part, or several.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Parts {
    /// One.
    One(Part),
    /// Several, packed into one ZIP.
    Several(Vec<Part>),
}

// By hand, because serde's own would keep to itself what is wrong with a part.
impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(from)?;
        let parts = if value.is_array() {
            serde_json::from_value(value).map(Parts::Several)
        } else {
            serde_json::from_value(value).map(Parts::One)
        };
        parts.map_err(D::Error::custom)
    }
}

/// Workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CapacitySettings {
    /// MCUs of each: one vCPU and 4 GiB.
    pub mcu: i32,
    /// How many.
    pub workers: i32,
    /// Refused, with the reason.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub autoscaling: bool,
}

impl Default for CapacitySettings {
    fn default() -> Self {
        Self { mcu: 1, workers: 1, autoscaling: false }
    }
}

/// Topics of tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Topics {
    /// Partitions of each.
    pub partitions: i32,
    /// Copies of each partition; three, or as many as there are brokers, if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication: Option<i32>,
    /// For how long events are kept.
    pub retention: String,
    /// `delete`, `compact` or `compact,delete`.
    pub cleanup: String,
    /// Further topics that transforms write to; may end in `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<String>,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            partitions: 6,
            replication: None,
            retention: "7d".into(),
            cleanup: "delete".into(),
            extra: Vec::new(),
        }
    }
}

/// A single message transform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transform {
    /// Its name in the configuration.
    pub name: String,
    /// Its class.
    #[serde(rename = "type")]
    pub class: String,
    /// Its settings, without `transforms.<name>.`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// How existing rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Snapshot {
    /// In chunks beside the stream, when a signal asks for it. Locks nothing.
    #[default]
    Incremental,
    /// Before anything else, under locks.
    Initial,
    /// Not at all.
    NoData,
}

impl Component for Connector {
    const NAME: &'static str = "connector";
    const NAMED: bool = true;
    const SCHEMA: &'static Schema = &schema::SCHEMA;

    fn expand(&self, name: &str, cx: &mut Expansion<'_>) {
        let cluster = around::cluster(self, cx);
        let source = around::source(self, cx);
        let (Some(cluster), Some(source)) = (cluster, source) else { return };
        if cx.get::<Network>("").is_none() {
            cx.error(
                "",
                "a connector needs a network: its workers run in subnets of yours",
                "write a section [network] with `vpc = \"vpc-…\"`",
            );
            return;
        }
        check::check(self, name, &cluster, &source, cx);
        let physical = cx.name(&[name], 100);
        let generation = self.generation.unwrap_or(1);
        let mut tags = cx.header.tags.clone();
        tags.extend(self.tags.clone());
        let plan = Plan {
            connector: self,
            name,
            cluster,
            source,
            names: Names {
                prefix: prefix(self, name, cx),
                // Not under the prefix: a consumer that subscribes to `<prefix>.*` must not get them.
                history: format!("connect.{physical}.history.{generation}"),
                offsets: format!("connect.{physical}.offsets.{generation}"),
                slot: self.slot(name, cx),
                publication: self.publication(name, cx),
                connector: physical,
            },
            tags,
        };
        plan.network(cx);
        plan.role(cx);
        let topics = plan.topics(cx);
        plan.plugin(cx);
        plan.worker(cx);
        plan.connector(topics, cx);
    }
}

/// A connector on its way to resources.
struct Plan<'a> {
    connector: &'a Connector,
    name: &'a str,
    cluster: Cluster<'a>,
    source: Source<'a>,
    names: Names,
    tags: Tags,
}

impl Plan<'_> {
    fn address(&self, part: &str) -> Address {
        Address::new(format!("connector.{}.{part}", self.name))
    }

    fn output<T>(&self, part: &str, output: &str) -> Input<T> {
        Input::output(self.address(part), output)
    }

    fn log_group(&self) -> String {
        // Groups of this prefix don't count against the size of the account's log resource policy.
        format!("/aws/vendedlogs/msk-connect/{}", self.names.connector)
    }

    fn network(&self, cx: &mut Expansion<'_>) {
        let name = cx.name(&["connector", self.name], 255);
        let group = security_group::Props {
            name: name.clone(),
            description: format!("Workers of connector {} of {}", self.name, cx.header.name),
            vpc_id: Network::output(network_kind::Network::VPC_ID),
            keep: false,
            tags: self.tags.clone(),
        };
        cx.add::<SecurityGroup>(self.address("group"), stage::SECURITY_GROUPS, &group, []);
        let anywhere = || Peer::Cidr("0.0.0.0/0".into());
        let group_of = |existing: bool, address: Address| {
            if existing {
                anywhere()
            } else {
                Peer::Group(Input::output(address, SecurityGroup::GROUP_ID))
            }
        };
        let brokers = group_of(self.cluster.existing(), self.cluster.address("group"));
        let database = group_of(self.source.existing(), self.source.address("group"));
        let port = self.source.database.port_or_default();
        let egress = |port, peer, what: &str| Rule::tcp(Direction::Egress, port, peer, what);
        let resolver =
            Rule { protocol: "udp".into(), ..egress(53, anywhere(), "resolvers named by the VPC") };
        let props = rules::Props {
            name: format!("rules of {name}"),
            group_id: self.output("group", SecurityGroup::GROUP_ID),
            rules: vec![
                egress(self.cluster.listener.port(), brokers, "brokers"),
                egress(port, database, "database"),
                egress(443, anywhere(), "Secrets Manager, STS and other AWS services"),
                egress(53, anywhere(), "resolvers named by the VPC"),
                resolver,
            ],
            keep: false,
        };
        cx.add::<SecurityGroupRules>(self.address("rules"), stage::SECURITY_GROUPS, &props, []);
    }

    fn role(&self, cx: &mut Expansion<'_>) {
        let props = iam_role::Props {
            // Roles are of the account, pipelines of a region.
            name: cx.name(&[self.name, &cx.pin.region], 64),
            description: format!("Workers of connector {} of {}", self.name, cx.header.name),
            trust: role::trust(&self.names, cx),
            policy_name: "connector".into(),
            policy: role::policy(self.connector, &self.names, &self.cluster, &self.source, cx),
            permissions_boundary: self.connector.permissions_boundary.clone(),
            tags: self.tags.clone(),
        };
        cx.add::<IamRole>(self.address("role"), stage::CONNECT, &props, []);
        let retention = self.connector.logs_retention.as_deref().unwrap_or("30d");
        let logs = log_group::Props {
            name: self.log_group(),
            retention_days: days(retention),
            kms_key: None,
            tags: self.tags.clone(),
        };
        cx.add::<LogGroup>(self.address("logs"), stage::CONNECT, &logs, []);
    }

    /// Adds the topics, and returns their addresses.
    fn topics(&self, cx: &mut Expansion<'_>) -> Vec<Address> {
        let replication = replication(self.connector, &self.cluster);
        let configs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let mut wanted = vec![(
            "offsets-topic".to_owned(),
            self.names.offsets.clone(),
            OFFSETS_PARTITIONS,
            configs(&[("cleanup.policy", "compact")]),
            Holds::Offsets,
        )];
        if self.source.has_history() {
            wanted.push((
                // One partition, for ever: Debezium replays it in order.
                "history-topic".to_owned(),
                self.names.history.clone(),
                1,
                configs(&[
                    ("cleanup.policy", "delete"),
                    ("retention.bytes", "-1"),
                    ("retention.ms", "-1"),
                ]),
                Holds::History,
            ));
        }
        for table in &self.connector.tables {
            // By name: with a number, a table added in front would rename the topics of all others.
            wanted.push((
                format!("topic-{table}"),
                topic(&self.names.prefix, table),
                self.connector.topics.partitions,
                topic_configs(&self.connector.topics),
                Holds::Data,
            ));
        }
        let mut addresses = Vec::new();
        for (part, name, partitions, configs, holds) in wanted {
            let address = self.address(&part);
            if cx.has(address.as_str()) {
                continue;
            }
            let props = kafka_topic::Props {
                cluster_arn: Input::output(
                    self.cluster.address("cluster"),
                    MskCluster::CLUSTER_ARN,
                ),
                cluster: self.cluster.physical.clone(),
                name,
                partitions,
                replication,
                configs,
                holds,
            };
            cx.add::<KafkaTopic>(address.clone(), stage::CONNECT, &props, []);
            addresses.push(address);
        }
        addresses
    }

    fn plugin(&self, cx: &mut Expansion<'_>) {
        let fact = cx.facts.get(&fact_name(self.name));
        let digest = fact.and_then(|f| f.get("sha256")).and_then(|v| v.as_str());
        let sha256 = digest.map_or_else(|| "0".repeat(64), str::to_owned);
        let size = fact.and_then(|f| f.get("size")).and_then(serde_json::Value::as_u64);
        let short = sha256[..8].to_owned();
        own_bucket(cx);
        let object = format!("plugins.object-{short}");
        if !cx.has(&object) {
            let props = s3_object::Props {
                bucket: Input::output(BUCKET, S3Bucket::BUCKET_NAME),
                key: format!("plugins/{sha256}.zip"),
                sha256: sha256.clone(),
                size: size.unwrap_or_default(),
                content_type: Some("application/zip".into()),
            };
            cx.add::<S3Object>(object.as_str(), stage::CONNECT, &props, []);
        }
        let props = custom_plugin::Props {
            name: cx.name(&[self.name, &short], 128),
            description: format!("Plugin of connector {}, sha256 {sha256}", self.name),
            bucket_arn: Input::output(object.as_str(), "bucket_arn"),
            key: Input::output(object.as_str(), "key"),
            version_id: Input::output(object.as_str(), "version_id"),
            tags: self.tags.clone(),
        };
        cx.add::<CustomPlugin>(self.address("plugin"), stage::CONNECT, &props, []);
    }

    fn worker(&self, cx: &mut Expansion<'_>) {
        let replication = replication(self.connector, &self.cluster);
        let properties = config::properties(&config::worker(
            self.connector,
            &self.names,
            replication,
            &cx.pin.region,
        ));
        let hash = Sha256::of(&properties).to_string();
        let props = worker_configuration::Props {
            name: cx.name(&[self.name, &hash[..8]], 128),
            description: format!("Workers of connector {} of {}", self.name, cx.header.name),
            properties,
            tags: self.tags.clone(),
        };
        cx.add::<WorkerConfiguration>(self.address("worker"), stage::CONNECT, &props, []);
    }

    fn connector(&self, topics: Vec<Address>, cx: &mut Expansion<'_>) {
        let (authentication, encryption) = match self.cluster.listener {
            Listener::Iam => (Authentication::Iam, Encryption::Tls),
            Listener::Plaintext => (Authentication::None, Encryption::Plaintext),
            Listener::Tls | Listener::Scram => (Authentication::None, Encryption::Tls),
        };
        let server_id = server_id(self.connector, self.name, cx);
        let version = self.connector.connect_version.as_deref().unwrap_or(CONNECT_VERSION);
        let props = kind::Props {
            name: self.names.connector.clone(),
            description: None,
            connect_version: version.to_owned(),
            bootstrap: Input::output(
                self.cluster.address("cluster"),
                self.cluster.listener.output(),
            ),
            authentication,
            encryption,
            subnets: Network::output(network_kind::Network::CONNECT_SUBNETS),
            security_groups: vec![self.output("group", SecurityGroup::GROUP_ID)],
            role_arn: self.output("role", IamRole::ROLE_ARN),
            capacity: Capacity::Provisioned {
                mcu: self.connector.capacity.mcu,
                workers: self.connector.capacity.workers,
            },
            plugin: Revision {
                arn: self.output("plugin", CustomPlugin::PLUGIN_ARN),
                revision: self.output("plugin", CustomPlugin::REVISION),
            },
            worker: Some(Revision {
                arn: self.output("worker", WorkerConfiguration::WORKER_ARN),
                revision: self.output("worker", WorkerConfiguration::REVISION),
            }),
            offsets_topic: Some(self.names.offsets.clone()),
            configuration: config::connector(&config::Subject {
                connector: self.connector,
                names: &self.names,
                cluster: &self.cluster,
                source: &self.source,
                server_id,
            }),
            log_group: Some(self.log_group().into()),
            tags: self.tags.clone(),
        };
        self.signal(cx);
        let mut needs = vec![
            self.address("rules"),
            self.address("logs"),
            self.source.database.ready(&self.source.name),
        ];
        if !self.cluster.existing() {
            needs.push(self.cluster.address("rules"));
        }
        if !self.source.existing() {
            needs.push(self.source.address("rules"));
        }
        if self.connector.secret.is_none() {
            needs.push(Database::capture_secret(&self.source.name));
        }
        needs.extend(self.source.database.prepared(&self.source.name));
        needs.extend(self.slot(cx));
        needs.extend(topics);
        needs.extend(super::network::endpoints(cx));
        cx.add::<kind::Connector>(self.address("connector"), stage::CONNECT, &props, needs);
    }
}

/// How often a heartbeat comes, where nothing is said.
const HEARTBEAT: &str = "30s";

/// The name of the fact about a connector's plugin.
pub(crate) fn fact_name(connector: &str) -> String {
    format!("plugin:{connector}")
}

/// The topic of a table. Debezium replaces what a topic's name can't have.
pub(crate) fn topic(prefix: &str, table: &str) -> String {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let table: String = table.chars().map(|c| if valid(c) { c } else { '_' }).collect();
    format!("{prefix}.{table}")
}

fn topic_configs(topics: &Topics) -> BTreeMap<String, String> {
    let mut configs = BTreeMap::from([("cleanup.policy".to_owned(), topics.cleanup.clone())]);
    if topics.cleanup.contains("delete") {
        let retention = match topics.retention.as_str() {
            "forever" => "-1".to_owned(),
            text => msk_pipeline_core::dsl::duration(text)
                .map_or_else(|_| text.to_owned(), |d| d.as_millis().to_string()),
        };
        configs.insert("retention.ms".into(), retention);
    }
    configs
}

fn replication(connector: &Connector, cluster: &Cluster<'_>) -> i32 {
    connector.topics.replication.unwrap_or_else(|| cluster.brokers().unwrap_or(3).min(3))
}

fn prefix(connector: &Connector, name: &str, cx: &Expansion<'_>) -> String {
    connector.prefix.clone().unwrap_or_else(|| cx.name(&[name], 100))
}

/// What is the connector's inside of PostgreSQL, where names have at most 63 characters.
fn in_postgres(name: &str, cx: &Expansion<'_>) -> String {
    cx.name(&[name], 56).replace('-', "_")
}

/// The server id: the user's, or one from 10000 on that pipeline and connector always get.
fn server_id(connector: &Connector, name: &str, cx: &Expansion<'_>) -> i64 {
    const LOWEST: i64 = 10_000;
    connector.server_id.unwrap_or_else(|| {
        let digest = Sha256::of(format!("{}/{name}", cx.header.name)).to_string();
        let drawn = i64::from_str_radix(&digest[..12], 16).unwrap_or_default();
        LOWEST + drawn % ((1 << 31) - LOWEST)
    })
}

/// Checks `database.table`, of PostgreSQL `schema.table`.
fn table(text: &str) -> Result<(), String> {
    let valid = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$'))
    };
    match text.split_once('.') {
        Some((database, table)) if valid(database) && valid(table) => Ok(()),
        _ => {
            Err(format!("{} is no table; one is `shop.orders`: database, dot, table", quoted(text)))
        }
    }
}

impl Connector {
    /// What its plugin is made of: the connector's parts, then the config provider's.
    pub(crate) fn parts(&self, product: &Product) -> Result<(Vec<Part>, Part), String> {
        let parts = match &self.plugin {
            None => vec![Part::maven(product.plugin).map_err(|e| e.to_string())?],
            Some(Parts::One(part)) => vec![part.clone()],
            Some(Parts::Several(parts)) => parts.clone(),
        };
        let provider = match &self.config_provider {
            Some(part) => part.clone(),
            None => Part::url_first_fetch(PROVIDERS).map_err(|e| e.to_string())?,
        };
        Ok((parts, provider))
    }

    /// The replication slot of the connector named `name`: with another generation it begins anew, at another slot.
    pub(in crate::components) fn slot(&self, name: &str, cx: &Expansion<'_>) -> String {
        let generation = self.generation.unwrap_or(1);
        self.slot.clone().unwrap_or_else(|| format!("{}_{generation}", in_postgres(name, cx)))
    }

    /// The publication of the connector named `name`.
    pub(in crate::components) fn publication(&self, name: &str, cx: &Expansion<'_>) -> String {
        self.publication.clone().unwrap_or_else(|| in_postgres(name, cx))
    }

    /// The Java that its workers run (handbook msk.md §5.4).
    pub(crate) fn java(&self) -> u16 {
        if self.connect_version.as_deref() == Some("2.7.1") { 11 } else { 17 }
    }
}

#[cfg(test)]
mod tests;

/// The pipeline's own bucket, declared when the first component needs it: plugin archives, and broker logs where they are wanted.
pub(super) fn own_bucket(cx: &mut Expansion<'_>) -> Input<String> {
    if !cx.has(BUCKET) {
        let here = |k: &Kafka| k.logs.s3_prefix.is_some() && k.logs.s3_bucket.is_none();
        let logs = cx.all::<Kafka>().iter().any(|(_, k)| here(k));
        let bucket = s3_bucket::Props {
            name: format!("{}-{}-{}", cx.header.name, cx.pin.account, cx.pin.region),
            holds: if logs { s3_bucket::Holds::Logs } else { s3_bucket::Holds::Artifacts },
            encryption: match &cx.header.kms_key {
                Some(key) => s3_bucket::Encryption::Kms(key.clone()),
                None => s3_bucket::Encryption::Aes256,
            },
            versioning: true,
            noncurrent_days: Some(30),
            abort_uploads_days: Some(7),
            tags: cx.header.tags.clone(),
        };
        cx.add::<S3Bucket>(BUCKET, stage::CONNECT, &bucket, []);
    }
    Input::output(BUCKET, S3Bucket::BUCKET_NAME)
}
