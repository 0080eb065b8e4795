//! `[kafka.NAME]`: an MSK cluster with its security group, configuration and log group, or one that exists.

use std::collections::{BTreeMap, BTreeSet};

use msk_pipeline_core::Address;
use msk_pipeline_core::dsl::{
    Component, Declared, Expansion, Key, Notice, Schema, Type, duration, filled, quoted,
};
use msk_pipeline_core::kind::Input;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::connector;
use super::network::Network;
use super::stage;
use crate::kinds::log_group::{self, LogGroup};
use crate::kinds::msk_cluster::{self as cluster, Brokers, Logs, MskCluster};
use crate::kinds::msk_cluster_lookup::{self as lookup, MskClusterLookup};
use crate::kinds::msk_configuration::{self as configuration, MskConfiguration};
use crate::kinds::network as network_kind;
use crate::kinds::security_group::{self as group, SecurityGroup};
use crate::kinds::security_group_rules::{
    self as rules, Direction, Peer, Rule, SecurityGroupRules,
};

pub use crate::kinds::msk_cluster::Listener;

/// The `[kafka.NAME]` section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub struct Kafka {
    /// The name of a cluster that exists; nothing of it is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing: Option<String>,
    /// The Kafka version as MSK spells it.
    pub version: String,
    /// Brokers.
    pub brokers: BrokerSettings,
    /// How clients may connect.
    pub listeners: BTreeSet<Listener>,
    /// Further clients.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Allow>,
    /// Broker properties, over the defaults.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// `DEFAULT`, `PER_BROKER`, `PER_TOPIC_PER_BROKER` or `PER_TOPIC_PER_PARTITION`.
    pub monitoring: String,
    /// Broker logs.
    pub logs: LogSettings,
    /// Keys that were written beside `existing` although they can't be together, also those with the value that is the default.
    #[serde(skip)]
    beside: BTreeSet<String>,
}

/// What may stand beside `existing`.
const BESIDE_EXISTING: [&str; 2] = ["existing", "listeners"];

// By hand, because only here can a key that was written be told from one that has its default.
impl<'de> Deserialize<'de> for Kafka {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        let mut kafka = Self::deserialize(&value).map_err(D::Error::custom)?;
        if kafka.existing.is_some() {
            let keys = value.as_object().into_iter().flat_map(|map| map.keys());
            let refused = keys.filter(|key| !BESIDE_EXISTING.contains(&key.as_str()));
            kafka.beside = refused.cloned().collect();
        }
        Ok(kafka)
    }
}

// The counterpart: an existing cluster has no other keys but those that differ from the defaults, so that it is read as it was written.
impl Serialize for Kafka {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.existing.is_none() {
            return Self::serialize(self, to);
        }
        let json = || serde_json::value::Serializer;
        let mut value = Self::serialize(self, json()).map_err(S::Error::custom)?;
        let default = Self::serialize(&Self::default(), json()).map_err(S::Error::custom)?;
        if let Some(map) = value.as_object_mut() {
            map.retain(|key, value| {
                BESIDE_EXISTING.contains(&key.as_str()) || default.get(key) != Some(value)
            });
        }
        value.serialize(to)
    }
}

/// Brokers of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerSettings {
    /// How many; a multiple of the number of subnets.
    pub count: i32,
    /// Their instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// GiB each.
    pub storage_gib: i32,
}

/// A client that may connect, beside the pipeline's own connectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Members of this group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_group: Option<String>,
    /// Addresses in this range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<String>,
    /// On this listener; all of the cluster's if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<Listener>,
}

/// Where broker logs go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// For how long the log group keeps them; `forever` is a value, too.
    pub retention: String,
    /// Also to this prefix of the pipeline's bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_prefix: Option<String>,
    /// Also to this bucket, which exists; without it `s3_prefix` is in the pipeline's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_bucket: Option<String>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            existing: None,
            version: "3.9.x.kraft".into(),
            brokers: BrokerSettings::default(),
            listeners: BTreeSet::from([Listener::Iam]),
            allow: Vec::new(),
            config: BTreeMap::new(),
            monitoring: "DEFAULT".into(),
            logs: LogSettings::default(),
            beside: BTreeSet::new(),
        }
    }
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self { count: 3, instance_type: "kafka.m7g.large".into(), storage_gib: 100 }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { retention: "30d".into(), s3_prefix: None, s3_bucket: None }
    }
}

/// What a careful engineer sets and MSK's defaults don't (handbook msk.md §3 *Configuration*): three copies of which two must be
/// written, no election of a broker that lacks records, no topics by typing error.
const DEFAULT_CONFIG: &[(&str, &str)] = &[
    ("auto.create.topics.enable", "false"),
    ("default.replication.factor", "3"),
    ("min.insync.replicas", "2"),
    ("unclean.leader.election.enable", "false"),
];

const LISTENERS: Type = Type::Enum(&["iam", "tls", "scram", "plaintext"]);

impl Component for Kafka {
    const NAME: &'static str = "kafka";
    const NAMED: bool = true;
    const SCHEMA: &'static Schema = &Schema {
        doc: "An MSK cluster.",
        keys: &[
            Key::new("existing", Type::Checked(filled), "The name of a cluster that exists, or its ARN. It is read and checked, never changed; all other keys but `listeners` are refused.")
                .change("another cluster: a resnapshot into its topics"),
            Key::new(
                "version",
                Type::Open(&["3.9.x.kraft", "3.9.x", "3.8.x", "4.0.x.kraft"]),
                "The Kafka version as MSK spells it; `.kraft` without ZooKeeper.",
            )
            .default("\"3.9.x.kraft\"")
            .change("upwards: in place, brokers restart one after the other; downwards or between ZooKeeper and KRaft: replaces the cluster (data lost)"),
            Key::new(
                "brokers",
                Type::Table(&Schema {
                    doc: "Brokers.",
                    keys: &[
                        Key::new("count", Type::Int(2, 60), "How many; a multiple of the number of subnets.")
                            .default("3")
                            .change("in place; existing partitions stay where they are"),
                        Key::new("type", Type::Checked(instance_type), "Their instance type.")
                            .default("\"kafka.m7g.large\"")
                            .change("in place, brokers restart one after the other"),
                        Key::new("storage_gib", Type::Int(1, 16_384), "GiB of storage a broker.")
                            .default("100")
                            .change("in place, growing only, at most every six hours"),
                    ],
                }),
                "Brokers.",
            ),
            Key::new("listeners", Type::List(&LISTENERS), "How clients may connect: `iam` (9098), `scram` (9096), `tls` (9094), `plaintext` (9092).")
                .default("[\"iam\"]")
                .change("in place, brokers restart one after the other"),
            Key::new(
                "allow",
                Type::List(&Type::Table(&Schema {
                    doc: "A client that may connect, beside the pipeline's own connectors.",
                    keys: &[
                        Key::new("security_group", Type::Checked(group_id), "Members of this group."),
                        Key::new("cidr", Type::Checked(cidr), "Addresses in this range."),
                        Key::new("listener", LISTENERS, "On this listener.").default("all of the cluster's"),
                    ],
                })),
                "Further clients.",
            )
            .change("in place"),
            Key::new("config", Type::Properties, "Broker properties, over the defaults `auto.create.topics.enable = false`, `default.replication.factor = 3`, `min.insync.replicas = 2`, `unclean.leader.election.enable = false`. Keys quoted or nested.")
                .change("in place: a new revision; brokers restart one after the other where a property needs it"),
            Key::new("monitoring", Type::Enum(&["DEFAULT", "PER_BROKER", "PER_TOPIC_PER_BROKER", "PER_TOPIC_PER_PARTITION"]), "The level of CloudWatch metrics.")
                .default("\"DEFAULT\"")
                .change("in place"),
            Key::new(
                "logs",
                Type::Table(&Schema {
                    doc: "Broker logs.",
                    keys: &[
                        Key::new("retention", Type::Checked(retention), "For how long the log group keeps them; one of CloudWatch's values, or `forever`.")
                            .default("\"30d\"")
                            .change("in place"),
                        Key::new("s3_prefix", Type::Text, "Also to this prefix of a bucket."),
                        Key::new("s3_bucket", Type::Text, "The bucket for `s3_prefix`, which exists.")
                            .default("the pipeline's own"),
                    ],
                }),
                "Broker logs.",
            ),
        ],
    };

    fn expand(&self, name: &str, cx: &mut Expansion<'_>) {
        if self.existing.is_some() {
            self.expand_existing(name, cx);
            return;
        }
        if cx.get::<Network>("").is_none() {
            cx.error(
                "",
                "a cluster needs a network",
                "write a section [network] with `vpc = \"vpc-…\"`",
            );
            return;
        }
        self.check(cx);
        let address = |part: &str| Address::new(format!("kafka.{name}.{part}"));
        let tags = cx.header.tags.clone();
        let physical = cx.name(&[name], 64);

        let group_name = cx.name(&["kafka", name], 255);
        let group = group::Props {
            name: group_name.clone(),
            description: format!("Brokers of {}", cx.header.name),
            vpc_id: Network::output(network_kind::Network::VPC_ID),
            keep: false,
            tags: tags.clone(),
        };
        cx.add::<SecurityGroup>(address("group"), stage::SECURITY_GROUPS, &group, []);
        let group_id: Input<String> = Input::output(address("group"), SecurityGroup::GROUP_ID);
        let rules = rules::Props {
            name: format!("rules of {group_name}"),
            group_id: group_id.clone(),
            rules: self.rules(name, &group_id, cx),
            keep: false,
        };
        cx.add::<SecurityGroupRules>(address("rules"), stage::SECURITY_GROUPS, &rules, []);

        let logs = log_group::Props {
            name: format!("/aws/vendedlogs/msk/{physical}"),
            retention_days: days(&self.logs.retention),
            kms_key: None,
            tags: tags.clone(),
        };
        cx.add::<LogGroup>(address("logs"), stage::KAFKA, &logs, []);
        let configuration = configuration::Props {
            name: physical.clone(),
            description: format!("Brokers of {}", cx.header.name),
            properties: self.properties(),
        };
        cx.add::<MskConfiguration>(address("configuration"), stage::KAFKA, &configuration, []);

        let cluster = cluster::Props {
            name: physical,
            version: self.version.clone(),
            brokers: Brokers {
                count: self.brokers.count,
                instance_type: self.brokers.instance_type.clone(),
                storage_gib: self.brokers.storage_gib,
            },
            subnets: Network::output(network_kind::Network::KAFKA_SUBNETS),
            security_groups: vec![group_id],
            configuration_arn: Input::output(address("configuration"), MskConfiguration::ARN),
            configuration_revision: Input::output(
                address("configuration"),
                MskConfiguration::REVISION,
            ),
            listeners: self.effective_listeners(),
            kms_key: cx.header.kms_key.clone(),
            monitoring: self.monitoring.clone(),
            logs: Logs {
                cloudwatch: Some(Input::output(address("logs"), LogGroup::NAME)),
                s3_bucket: self.log_bucket(cx),
                s3_prefix: self.logs.s3_prefix.clone(),
            },
            tags,
        };
        cx.add::<MskCluster>(address("cluster"), stage::KAFKA, &cluster, [address("rules")]);
    }
}

impl Kafka {
    /// A cluster with all defaults: three m7g.large brokers in KRaft mode, IAM over TLS.
    pub fn new() -> Self {
        Self::default()
    }

    /// A cluster that exists.
    pub fn existing(name: impl Into<String>) -> Self {
        Self { existing: Some(name.into()), ..Self::default() }
    }

    /// Sets the Kafka version.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Sets the brokers.
    #[must_use]
    pub fn brokers(
        mut self,
        count: i32,
        instance_type: impl Into<String>,
        storage_gib: i32,
    ) -> Self {
        self.brokers = BrokerSettings { count, instance_type: instance_type.into(), storage_gib };
        self
    }

    /// Sets the listeners.
    #[must_use]
    pub fn listeners(mut self, listeners: impl IntoIterator<Item = Listener>) -> Self {
        self.listeners = listeners.into_iter().collect();
        self
    }

    /// Sets one broker property.
    #[must_use]
    pub fn config(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.config.insert(key.into(), value.to_string());
        self
    }

    /// Lets a client connect.
    #[must_use]
    pub fn allow(mut self, client: Allow) -> Self {
        self.allow.push(client);
        self
    }

    /// Sets where broker logs go.
    #[must_use]
    pub fn logs(mut self, logs: LogSettings) -> Self {
        self.logs = logs;
        self
    }

    /// The listener that connectors use: the safest that MSK Connect speaks (it has IAM and none, no SCRAM).
    pub fn connect_listener(&self) -> Listener {
        let order = [Listener::Iam, Listener::Tls, Listener::Plaintext];
        order.into_iter().find(|l| self.listeners.contains(l)).unwrap_or(Listener::Iam)
    }

    /// The listeners that MSK opens: plaintext beside IAM or SCRAM means `TLS_PLAINTEXT` with unauthenticated access, and with it comes
    /// an unauthenticated TLS listener (handbook msk.md §4).
    fn effective_listeners(&self) -> BTreeSet<Listener> {
        let mut listeners = self.listeners.clone();
        if listeners.contains(&Listener::Plaintext) && listeners.len() > 1 {
            listeners.insert(Listener::Tls);
        }
        listeners
    }

    /// The broker properties: the defaults, then the user's.
    fn properties(&self) -> BTreeMap<String, String> {
        let defaults = DEFAULT_CONFIG.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let mut properties: BTreeMap<_, _> = defaults.collect();
        if self.brokers.count < 3 {
            properties.insert("default.replication.factor".into(), self.brokers.count.to_string());
            properties.insert("min.insync.replicas".into(), "1".into());
        }
        properties.extend(self.config.clone());
        properties
    }

    fn expand_existing(&self, name: &str, cx: &mut Expansion<'_>) {
        for key in &self.beside {
            cx.error(
                key,
                format!(
                    "`{key}` can't be set together with `existing`: that cluster is never changed"
                ),
                "remove one of the two",
            );
        }
        let Some(existing) = &self.existing else { return };
        let cluster = match cluster_name(existing, &cx.header.region, cx.header.account.as_deref())
        {
            Ok(cluster) => cluster.to_owned(),
            Err(why) => {
                let help = "name a cluster of this account and region, or its ARN";
                return cx.error("existing", why, help);
            }
        };
        self.open_by_hand(name, &cluster, cx);
        let props = lookup::Props { name: cluster, listener: self.connect_listener() };
        let address = format!("kafka.{name}.cluster");
        cx.add::<MskClusterLookup>(address, stage::KAFKA, &props, []);
    }

    /// Says which rules the connectors need in the security group of a cluster that is never changed here.
    fn open_by_hand(&self, name: &str, cluster: &str, cx: &mut Expansion<'_>) {
        let port = self.connect_listener().port();
        let lines: Vec<String> = super::connectors_on(name, cx)
            .into_iter()
            .map(|connector| {
                format!(
                    "# from the security group of connector.{connector} (its id: `connector.{connector}.group`)\n\
                     aws ec2 authorize-security-group-ingress --group-id <group of {cluster}> --protocol tcp \
                     --port {port} --source-group <group of connector.{connector}>\n"
                )
            })
            .collect();
        if !lines.is_empty() {
            cx.notice(Notice {
                about: format!("kafka.{name}"),
                title: format!(
                    "Let the connectors reach the brokers of `{cluster}`, whose security group is never changed here."
                ),
                body: lines.concat(),
            });
        }
    }

    #[expect(clippy::case_sensitive_file_extension_comparisons, reason = "a version, not a file")]
    fn check(&self, cx: &mut Expansion<'_>) {
        if self.listeners.is_empty() {
            cx.error("listeners", "a cluster needs a listener", "write `listeners = [\"iam\"]`");
        }
        if filled(&self.version).is_err() {
            cx.error("version", "the Kafka version is empty", "one is \"3.9.x.kraft\"");
        }
        let t3 = self.brokers.instance_type == "kafka.t3.small";
        if t3 && (self.version.ends_with(".kraft") || self.version.starts_with('4')) {
            cx.error(
                "version",
                "MSK offers kafka.t3.small only with ZooKeeper",
                "use version = \"3.9.x\", or a larger broker such as kafka.m7g.large",
            );
        }
        let sasl =
            self.listeners.contains(&Listener::Iam) || self.listeners.contains(&Listener::Scram);
        if self.listeners.contains(&Listener::Plaintext) && sasl {
            cx.warn(
                "listeners",
                "plaintext beside IAM or SCRAM also opens an unauthenticated TLS listener, and anybody in the network can write",
                "drop `plaintext` once no client needs it",
            );
        }
        super::broker_properties::check(&self.config, cx);
        let properties = self.properties();
        let number = |key: &str| properties.get(key).and_then(|v| v.parse::<i32>().ok());
        let (factor, isr) = (number("default.replication.factor"), number("min.insync.replicas"));
        if let Some(factor) = factor.filter(|f| *f > self.brokers.count) {
            cx.error(
                "config",
                format!(
                    "default.replication.factor is {factor} and there are {} brokers",
                    self.brokers.count
                ),
                "at most one copy a broker is possible",
            );
        }
        if let Some(internal) =
            number("offsets.topic.replication.factor").filter(|f| *f > self.brokers.count)
        {
            cx.error(
                "config.offsets.topic.replication.factor",
                format!(
                    "{internal} copies of the offsets don't fit on {} brokers",
                    self.brokers.count
                ),
                "at most one copy a broker is possible",
            );
        }
        if let (Some(factor), Some(isr)) = (factor, isr)
            && isr > factor
        {
            cx.error(
                "config",
                format!("min.insync.replicas = {isr} can't be met by {factor} copies: nothing could be written"),
                "set min.insync.replicas one lower than the replication factor",
            );
        } else if let (Some(factor), Some(isr)) = (factor, isr)
            && isr == factor
            && factor > 1
        {
            cx.warn(
                "config",
                format!("with min.insync.replicas = {isr} and {factor} copies, writes stop while one broker restarts"),
                "set min.insync.replicas one lower than the replication factor",
            );
        }
        for (n, allow) in self.allow.iter().enumerate() {
            let key = format!("allow.{n}");
            if allow.security_group.is_some() == allow.cidr.is_some() {
                cx.error(&key, "exactly one of `security_group` and `cidr` is needed", "");
            }
            if allow.cidr.as_deref() == Some("0.0.0.0/0") {
                cx.error(&key, "brokers must not be open to everybody", "name a range or a group");
            }
            if let Some(listener) = allow.listener.filter(|l| !self.listeners.contains(l)) {
                let message = format!("the cluster has no listener `{}`", listener_name(listener));
                cx.error(&key, message, "add it to `listeners`, or leave it out here");
            }
        }
    }

    fn rules(&self, name: &str, group_id: &Input<String>, cx: &mut Expansion<'_>) -> Vec<Rule> {
        let mut rules = Vec::new();
        for connector in super::connectors_on(name, cx) {
            let peer = Peer::Group(Input::output(
                format!("connector.{connector}.group"),
                SecurityGroup::GROUP_ID,
            ));
            let port = self.connect_listener().port();
            let what = format!("workers of connector {connector}");
            rules.push(Rule::tcp(Direction::Ingress, port, peer, what));
        }
        for allow in &self.allow {
            let listeners = match allow.listener {
                Some(listener) => BTreeSet::from([listener]),
                None => self.listeners.clone(),
            };
            for listener in listeners {
                let peer = match (&allow.security_group, &allow.cidr) {
                    (Some(group), _) => Peer::Group(Input::Known(group.clone())),
                    (None, Some(cidr)) => Peer::Cidr(cidr.clone()),
                    (None, None) => continue,
                };
                let what = format!("{} clients", listener_name(listener));
                rules.push(Rule::tcp(Direction::Ingress, listener.port(), peer, what));
            }
        }
        // Brokers talk to each other inside the service; their own group needs no way out but to itself.
        let (from_port, to_port, protocol) = (-1, -1, "-1".to_owned());
        let (peer, description) = (Peer::Group(group_id.clone()), "among brokers".to_owned());
        rules.push(Rule {
            direction: Direction::Egress,
            protocol,
            from_port,
            to_port,
            peer,
            description,
        });
        rules
    }

    fn log_bucket(&self, cx: &mut Expansion<'_>) -> Option<Input<String>> {
        self.logs.s3_prefix.as_ref()?;
        Some(match &self.logs.s3_bucket {
            Some(bucket) => Input::Known(bucket.clone()),
            None => connector::own_bucket(cx),
        })
    }
}

/// The name of an existing cluster, from the name itself or from an ARN of this region and, where the file says which, this account.
fn cluster_name<'a>(
    existing: &'a str,
    region: &str,
    account: Option<&str>,
) -> Result<&'a str, String> {
    if !existing.starts_with("arn:") {
        // What MSK takes for a name (handbook msk.md §2).
        return match existing.len() {
            1..=64 if !existing.contains(['/', ':', ' ']) => Ok(existing),
            _ => Err(format!("{} is no name of an MSK cluster", quoted(existing))),
        };
    }
    let wrong = || format!("{} is no ARN of an MSK cluster", quoted(existing));
    let parts: Vec<&str> = existing.splitn(6, ':').collect();
    let [_, _, "kafka", its_region, its_account, resource] = parts.as_slice() else {
        return Err(wrong());
    };
    let cluster = match resource.split('/').collect::<Vec<_>>().as_slice() {
        ["cluster", name, uuid] if !name.is_empty() && !uuid.is_empty() => *name,
        _ => return Err(wrong()),
    };
    if *its_region != region {
        return Err(format!("that cluster is in {its_region}, and this pipeline in {region}"));
    }
    match account.filter(|account| account != its_account) {
        Some(account) => {
            Err(format!("that cluster is of account {its_account}, and this pipeline of {account}"))
        }
        None => Ok(cluster),
    }
}

/// The handle of a declared cluster.
pub type KafkaHandle = Declared<Kafka>;

fn listener_name(listener: Listener) -> &'static str {
    match listener {
        Listener::Iam => "iam",
        Listener::Scram => "scram",
        Listener::Tls => "tls",
        Listener::Plaintext => "plaintext",
    }
}

/// The retention periods that CloudWatch Logs knows, in days (handbook aws.md §7).
const RETENTION_DAYS: &[u64] = &[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

/// Checks a log retention.
pub(crate) fn retention(text: &str) -> Result<(), String> {
    if text == "forever" {
        return Ok(());
    }
    let days = duration(text)?.as_secs() / 86_400;
    if RETENTION_DAYS.contains(&days) && duration(text)?.as_secs() % 86_400 == 0 {
        return Ok(());
    }
    let known: Vec<_> = RETENTION_DAYS.iter().map(|d| format!("{d}d")).collect();
    Err(format!("CloudWatch keeps logs for {} or forever, not for {text}", known.join(", ")))
}

/// A checked log retention in days; `None` means forever.
pub(crate) fn days(text: &str) -> Option<i32> {
    i32::try_from(duration(text).ok()?.as_secs() / 86_400).ok()
}

fn instance_type(text: &str) -> Result<(), String> {
    let parts: Vec<_> = text.split('.').collect();
    match parts.as_slice() {
        ["kafka", family, size] if super::is_family(family) && super::is_size(size) => Ok(()),
        ["kafka", family, size] if super::is_family(family) => {
            Err(format!("{} is no size of a broker; one is `kafka.m7g.large`", quoted(size)))
        }
        ["express", ..] => {
            Err("Express brokers are not supported: they have other storage, logs and limits"
                .into())
        }
        _ => Err(format!("{} is no broker type; one is `kafka.m7g.large`", quoted(text))),
    }
}

/// Checks a security group's id.
pub(crate) fn group_id(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("sg-").unwrap_or_default();
    if !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(format!("{} is no security group id; one begins with `sg-`", quoted(text)))
}

/// Checks an IPv4 range: its address must be that of the network, as EC2 returns it.
pub(crate) fn cidr(text: &str) -> Result<(), String> {
    let wrong = || format!("{} is no IPv4 range; one is `10.0.0.0/16`", quoted(text));
    let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
    let address: std::net::Ipv4Addr = address.parse().map_err(|_| wrong())?;
    let bits: u32 = bits.parse().ok().filter(|b| *b <= 32).ok_or_else(wrong)?;
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    let network = std::net::Ipv4Addr::from(u32::from(address) & mask);
    if network == address {
        return Ok(());
    }
    Err(format!("`{text}` has bits behind its prefix; the range is `{network}/{bits}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_cluster_is_named_or_given_by_its_arn() {
        let arn = |region: &str, account: &str| {
            format!(
                "arn:aws:kafka:{region}:{account}:cluster/main/0b1c2d3e-0000-4000-a000-000000000000-2"
            )
        };
        let name = |existing: &str, account| {
            cluster_name(existing, "eu-west-1", account).map(str::to_owned)
        };
        assert_eq!(name("main", None).as_deref(), Ok("main"));
        let ours = arn("eu-west-1", "111111111111");
        assert_eq!(name(&ours, None).as_deref(), Ok("main"));
        assert_eq!(name(&ours, Some("111111111111")).as_deref(), Ok("main"));
        assert!(name(&ours, Some("222222222222")).unwrap_err().contains("of account 111111111111"));
        let other = arn("us-east-1", "111111111111");
        assert!(name(&other, None).unwrap_err().contains("is in us-east-1"));
        for wrong in [
            "",
            "a/b",
            "arn:aws:kafka:eu-west-1:1:cluster/main",
            "arn:aws:rds:eu-west-1:1:cluster/a/b",
        ] {
            assert!(name(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn connectors_need_a_rule_in_the_group_of_an_existing_cluster() {
        use msk_pipeline_core::dsl::Document;
        use msk_pipeline_core::state::Pin;
        let text = "[pipeline]\nname = \"orders\"\nregion = \"eu-west-1\"\n[network]\nvpc = \"vpc-0ab12cd\"\n\
            [database.db]\n[kafka.main]\nexisting = \"arn:aws:kafka:eu-west-1:111111111111:cluster/prod/u-1\"\nlisteners = [\"tls\"]\n\
            [connector.c]\nsource = \"db\"\ntables = [\"shop.orders\"]\n";
        let components = crate::components::components();
        let document = Document::parse(text).unwrap();
        let pipeline = document.pipeline(&components, &Default::default()).unwrap();
        let pin = Pin {
            account: "111111111111".into(),
            region: "eu-west-1".into(),
            partition: "aws".into(),
        };
        let expanded = pipeline.expand(&components, &pin, &Default::default()).unwrap();
        let lookup = expanded.resources.iter().find(|r| r.kind == "aws.kafka.cluster-lookup");
        assert_eq!(lookup.unwrap().props["name"], "prod");
        let notice = expanded.notices.iter().find(|n| n.about == "kafka.main").unwrap();
        assert!(
            notice.body.contains("--port 9094 --source-group <group of connector.c>"),
            "{notice:?}"
        );
    }

    #[test]
    fn an_existing_cluster_stands_alone_in_the_file_and_in_the_builder() {
        let read = |text: &str| serde_json::from_str::<Kafka>(text).unwrap();
        let beside = |text: &str| read(text).beside.into_iter().collect::<Vec<_>>();
        let none = Vec::<String>::new();
        assert_eq!(beside(r#"{ "existing": "main", "listeners": ["tls"] }"#), none);
        // Also with the value that is the default.
        assert_eq!(beside(r#"{ "existing": "main", "brokers": { "count": 3 } }"#), ["brokers"]);
        assert_eq!(beside(r#"{ "version": "3.9.x.kraft", "monitoring": "PER_BROKER" }"#), none);
        let again = |kafka: &Kafka| {
            serde_json::from_value::<Kafka>(serde_json::to_value(kafka).unwrap()).unwrap()
        };
        for kafka in [
            Kafka::new(),
            Kafka::new().brokers(6, "kafka.m7g.large", 100).config("num.partitions", 3),
            Kafka::existing("main"),
            Kafka::existing("main").listeners([Listener::Tls]),
        ] {
            assert_eq!(again(&kafka), kafka);
        }
        assert_eq!(again(&Kafka::existing("main").version("3.8.x")).beside.len(), 1);
    }
}
