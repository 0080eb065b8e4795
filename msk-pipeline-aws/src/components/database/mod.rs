//! `[database.*]`: an Aurora database that changes are captured from.
//!
//! A created one is a security group with its rules, a subnet group, two parameter groups, a cluster, its writer, its readers and the
//! capture user's secret. An existing one is a lookup and, unless it has one already, the capture user's secret.

mod builder;
mod check;
mod direct;
mod engine;
mod prepare;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use msk_pipeline_core::Address;
use msk_pipeline_core::dsl::{Component, Expansion, Schema, duration, quoted};
use msk_pipeline_core::kind::Input;
use msk_pipeline_source::Place;
use serde::{Deserialize, Serialize};

pub use self::engine::Engine;
use super::connector::Connector;
use crate::kinds::aurora_cluster::{self, AuroraCluster};
pub use crate::kinds::aurora_cluster::{Capacity, OnDestroy};
use crate::kinds::aurora_instance::{self, AuroraInstance};
use crate::kinds::db_cluster_lookup::{self, DbClusterLookup};
use crate::kinds::db_cluster_parameter_group::DbClusterParameterGroup;
use crate::kinds::db_parameter_group::DbParameterGroup;
use crate::kinds::db_subnet_group::{self, DbSubnetGroup};
use crate::kinds::parameter_group;
use crate::kinds::secret::{self, Secret};
use crate::kinds::security_group::{self, SecurityGroup};
use crate::kinds::security_group_rules::{self, Direction, Peer, Rule, SecurityGroupRules};
use crate::tags::Tags;

const SERVERLESS_CLASS: &str = "db.serverless";
const NETWORK: &str = "network";

/// An Aurora database: created, or an existing one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// The engine.
    pub engine: Option<String>,
    /// A cluster that exists already.
    pub existing: Option<String>,
    /// The engine version.
    pub version: Option<String>,
    /// The database inside the cluster that changes are captured from (PostgreSQL).
    pub database: Option<String>,
    /// The first instance.
    pub writer: Option<Writer>,
    /// Further instances.
    pub readers: BTreeMap<String, Reader>,
    /// The range of serverless instances.
    pub serverless: Option<Capacity>,
    /// Cluster parameters.
    pub parameters: BTreeMap<String, String>,
    /// Instance parameters.
    pub instance_parameters: BTreeMap<String, String>,
    /// How connectors read it.
    pub capture: Option<Capture>,
    /// How the capture user comes into the database.
    pub prepare: Option<String>,
    /// What a destroy does.
    pub on_destroy: Option<OnDestroy>,
    /// Public addresses.
    pub public: Option<bool>,
    /// The port.
    pub port: Option<i32>,
    /// The master user.
    pub master_user: Option<String>,
    /// How long backups are kept.
    pub backup_retention: Option<String>,
    /// Refuses deletion by others.
    pub deletion_protection: Option<bool>,
    /// Logs that go to CloudWatch.
    pub logs: Vec<String>,
    /// The key for storage and secrets.
    pub kms_key: Option<String>,
    /// Subnets for this database.
    pub subnets: Option<Vec<String>>,
    /// Who may connect beside the connectors.
    pub allow: Vec<Allow>,
    /// Tags beside the pipeline's.
    pub tags: Tags,
}

/// The first instance.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Writer {
    /// Its class.
    pub class: Option<String>,
}

/// A further instance.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reader {
    /// Its class.
    pub class: Option<String>,
    /// When it takes over.
    pub promotion_tier: Option<i32>,
}

/// The capture user and what connectors need.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capture {
    /// The user.
    pub user: Option<String>,
    /// An existing secret's name.
    pub secret: Option<String>,
    /// For how long binary logs are kept (MySQL).
    pub binlog_retention: Option<String>,
    /// The signal table.
    pub signal_table: Option<String>,
}

/// Somebody who may connect.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Allow {
    /// A block of addresses.
    pub cidr: Option<String>,
    /// A security group.
    pub security_group: Option<String>,
    /// A prefix list.
    pub prefix_list: Option<String>,
    /// What it is for.
    pub description: Option<String>,
}

/// The capture user: a name that may stand in a statement as it is.
fn user(name: &str) -> Result<(), String> {
    plain(name, 32)
}

/// The master user; RDS takes at most 16 characters.
fn master_user(name: &str) -> Result<(), String> {
    plain(name, 16)
}

fn plain(name: &str, longest: usize) -> Result<(), String> {
    let fits = (1..=longest).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.starts_with(|c: char| c.is_ascii_alphabetic());
    if fits {
        return Ok(());
    }
    Err(format!(
        "{} is no user name: 1 to {longest} letters, digits and underscores, a letter first",
        quoted(name)
    ))
}

/// A PostgreSQL database: a name that needs no quotes, of at most 63 characters.
fn database(name: &str) -> Result<(), String> {
    let fits = name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && name.starts_with(|c: char| c.is_ascii_lowercase());
    if fits {
        return Ok(());
    }
    Err(format!(
        "{} is no name for a database: 1 to 63 lower-case letters, digits and underscores, a letter first",
        quoted(name)
    ))
}

/// `database.table`, or `schema.table` of PostgreSQL.
fn table(name: &str) -> Result<(), String> {
    let plain = |part: &str| {
        (1..=64).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$')
    };
    match name.split_once('.') {
        Some((database, table)) if plain(database) && plain(table) => Ok(()),
        _ => Err(format!(
            "{} is no table; write `database.table`, of PostgreSQL `schema.table`",
            quoted(name)
        )),
    }
}

impl Database {
    /// The resource that has to be ready before the database named `name` answers: the writer, or an existing cluster.
    pub fn ready(&self, name: &str) -> Address {
        let what = if self.existing.is_some() { "cluster" } else { "writer" };
        Address::new(format!("database.{name}.{what}"))
    }

    /// The address of the capture user's secret; outputs `secret_name`, `secret_arn`, `kms_key`.
    pub fn capture_secret(name: &str) -> Address {
        Address::new(format!("database.{name}.capture-secret"))
    }

    /// What RDS calls the cluster of the database named `name`.
    pub(crate) fn identifier(&self, name: &str, cx: &Expansion<'_>) -> String {
        self.existing.clone().unwrap_or_else(|| cx.name(&[name], 63))
    }

    /// Whether the pipeline itself prepares it, by connection.
    pub fn is_prepared(&self) -> bool {
        self.prepare.as_deref() == Some("direct")
    }

    /// The resources inside the database named `name` that a connector of it needs; none where somebody prepares it by hand.
    pub fn prepared(&self, name: &str) -> Vec<Address> {
        if !self.is_prepared() {
            return Vec::new();
        }
        let own = match self.engine() {
            Engine::MySql => "binlog-retention",
            Engine::PostgreSql => "canary-table",
        };
        let parts = [own, "capture-user", "signal-table", "heartbeat-table"];
        parts.map(|part| Address::new(format!("database.{name}.{part}"))).into()
    }

    /// Where statements for the database named `name` go.
    pub(crate) fn place(&self, name: &str, cx: &Expansion<'_>) -> Place {
        direct::place(self, name, cx)
    }

    /// Whether what is inside it goes with its cluster when that is destroyed.
    pub(crate) fn goes_with_cluster(&self) -> bool {
        self.existing.is_none() && self.on_destroy != Some(OnDestroy::Keep)
    }

    /// The tables that the publication of one of its connectors lists (PostgreSQL), with the resources that make the tool's own.
    pub(crate) fn published(
        &self,
        name: &str,
        connector: &Connector,
    ) -> (BTreeSet<String>, Vec<Address>) {
        let own = direct::postgresql::OWN_TABLES
            .map(|(part, _)| Address::new(format!("database.{name}.{part}")));
        (direct::postgresql::published(self, connector), own.into())
    }

    /// The table that a connector writes the time of its heartbeats into, beside the signal table.
    pub fn heartbeat_table(&self) -> String {
        let signal = self.signal_table();
        let (schema, table) = signal.split_once('.').unwrap_or((signal, ""));
        let name = if table == "heartbeat" { "heartbeat_of_connectors" } else { "heartbeat" };
        format!("{schema}.{name}")
    }

    /// The capture user.
    pub fn capture_user(&self) -> &str {
        let user = self.capture.as_ref().and_then(|c| c.user.as_deref());
        user.unwrap_or("debezium")
    }

    /// The table that starts incremental snapshots.
    pub fn signal_table(&self) -> &str {
        let table = self.capture.as_ref().and_then(|c| c.signal_table.as_deref());
        table.unwrap_or("cdc.signal")
    }

    /// The engine; a name that the schema refuses counts as the default one.
    pub fn engine(&self) -> Engine {
        self.engine.as_deref().and_then(Engine::named).unwrap_or_default()
    }

    /// The database that sessions are in, of the database named `name`; `None` of an engine whose sessions need none.
    pub fn database_name(&self, name: &str) -> Option<String> {
        match self.engine() {
            Engine::MySql => None,
            Engine::PostgreSql => {
                Some(self.database.clone().unwrap_or_else(|| name.replace('-', "_")))
            }
        }
    }

    /// The version in full.
    pub fn full_version(&self) -> String {
        let engine = self.engine();
        engine.full_version(self.version.as_deref().unwrap_or(engine.version()))
    }

    /// The port. An existing database that has another one is refused with what to write.
    pub fn port_or_default(&self) -> u16 {
        let given = self.port.and_then(|port| u16::try_from(port).ok());
        given.unwrap_or_else(|| self.engine().port())
    }

    /// For how long binary logs are kept; `None` of an engine that has none.
    pub fn binlog_retention(&self) -> Option<Duration> {
        (self.engine() == Engine::MySql).then(|| Duration::from_hours(self.binlog_hours()))
    }

    /// For how many hours binary logs are kept.
    fn binlog_hours(&self) -> u64 {
        let text = self.capture.as_ref().and_then(|c| c.binlog_retention.as_deref());
        hours(text.unwrap_or("7d"))
    }

    fn backup_days(&self) -> u64 {
        hours(self.backup_retention.as_deref().unwrap_or("7d")) / 24
    }

    fn writer_class(&self) -> &str {
        let class = self.writer.as_ref().and_then(|w| w.class.as_deref());
        class.unwrap_or(SERVERLESS_CLASS)
    }

    fn reader_class<'a>(&'a self, reader: &'a Reader) -> &'a str {
        reader.class.as_deref().unwrap_or_else(|| self.writer_class())
    }

    /// Every class in use with the key that chose it.
    fn classes(&self) -> Vec<(String, &str)> {
        let readers = self.readers.iter();
        std::iter::once(("writer.class".to_owned(), self.writer_class()))
            .chain(readers.map(|(k, r)| (format!("readers.{k}.class"), self.reader_class(r))))
            .collect()
    }

    fn capacity(&self) -> Option<Capacity> {
        let any = self.classes().iter().any(|(_, class)| *class == SERVERLESS_CLASS);
        any.then(|| self.serverless.unwrap_or(Capacity { min: 0.5, max: 8.0 }))
    }
}

/// Whole hours; what can't be read was reported by the schema.
fn hours(text: &str) -> u64 {
    duration(text).unwrap_or(Duration::from_hours(7 * 24)).as_secs() / 3600
}

impl Component for Database {
    const NAME: &'static str = "database";
    const NAMED: bool = true;
    const SCHEMA: &'static Schema = &schema::SCHEMA;

    fn expand(&self, name: &str, cx: &mut Expansion<'_>) {
        if !check::check(self, name, cx) {
            return;
        }
        let plan = Plan::new(self, name, cx);
        let secret = plan.capture_secret(cx);
        match &self.existing {
            Some(identifier) => plan.lookup(identifier, cx),
            None => {
                plan.groups(cx);
                plan.parameters(cx);
                plan.cluster(cx);
                plan.instances(cx);
            }
        }
        if self.is_prepared() {
            plan.prepare(&secret, cx);
        }
        prepare::notices(self, name, &secret, cx);
    }
}

/// A database on its way to resources.
struct Plan<'a> {
    database: &'a Database,
    name: &'a str,
    tags: Tags,
    kms_key: Option<String>,
    keep: bool,
}

const STAGE: &str = "database";

impl<'a> Plan<'a> {
    fn new(database: &'a Database, name: &'a str, cx: &Expansion<'_>) -> Self {
        let mut tags = cx.header.tags.clone();
        tags.extend(database.tags.clone());
        Self {
            database,
            name,
            tags,
            kms_key: database.kms_key.clone().or_else(|| cx.header.kms_key.clone()),
            keep: database.on_destroy == Some(OnDestroy::Keep),
        }
    }

    fn address(&self, part: &str) -> String {
        format!("database.{}.{part}", self.name)
    }

    fn output(&self, part: &str, output: &str) -> Input<String> {
        Input::output(self.address(part), output)
    }

    fn subnets(&self) -> Input<Vec<String>> {
        match &self.database.subnets {
            Some(subnets) => subnets.clone().into(),
            None => Input::output(NETWORK, "database_subnets"),
        }
    }

    /// Adds the capture user's secret, and returns its name.
    fn capture_secret(&self, cx: &mut Expansion<'_>) -> String {
        let existing = self.database.capture.as_ref().and_then(|c| c.secret.clone());
        let props = secret::Props {
            name: existing
                .clone()
                .unwrap_or_else(|| format!("{}/{}/capture", cx.header.name, self.name)),
            username: self.database.capture_user().to_owned(),
            description: format!("User and password with which connectors read {}", self.name),
            kms_key: self.kms_key.clone(),
            existing: existing.is_some(),
            keep: self.keep,
            tags: self.tags.clone(),
        };
        let address = Database::capture_secret(self.name);
        cx.add::<Secret>(address, STAGE, &props, []);
        props.name
    }

    /// The parameters that capturing changes depends on.
    fn captures(&self) -> BTreeMap<String, String> {
        let parameters = self.database.engine().parameters().iter();
        parameters.map(|&(name, value)| (name.into(), value.into())).collect()
    }

    fn lookup(&self, identifier: &str, cx: &mut Expansion<'_>) {
        let props = db_cluster_lookup::Props {
            name: identifier.to_owned(),
            engine: self.database.engine().name().to_owned(),
            port: self.database.port_or_default().into(),
            parameters: self.captures(),
        };
        cx.add::<DbClusterLookup>(self.address("cluster"), STAGE, &props, []);
    }

    fn groups(&self, cx: &mut Expansion<'_>) {
        let name = cx.name(&["database", self.name], 255);
        let group = security_group::Props {
            name: name.clone(),
            description: format!("Database {} of the pipeline {}", self.name, cx.header.name),
            vpc_id: Input::output(NETWORK, "vpc_id"),
            keep: self.keep,
            tags: self.tags.clone(),
        };
        cx.add::<SecurityGroup>(self.address("group"), "security-groups", &group, []);
        let port = self.database.port_or_default().into();
        let ingress = |peer, description| Rule {
            direction: Direction::Ingress,
            protocol: "tcp".into(),
            from_port: port,
            to_port: port,
            peer,
            description,
        };
        let readers = cx.all::<Connector>().into_iter().filter(|(_, c)| c.source == self.name);
        let mut rules: Vec<Rule> = readers
            .map(|(connector, _)| {
                let group = format!("connector.{connector}.group");
                let peer = Peer::Group(Input::output(group, SecurityGroup::GROUP_ID));
                ingress(peer, format!("connector {connector}"))
            })
            .collect();
        rules.extend(self.database.allow.iter().filter_map(|allow| {
            let peer = match (&allow.cidr, &allow.security_group, &allow.prefix_list) {
                (Some(block), ..) if block.contains(':') => Peer::Cidr6(block.clone()),
                (Some(block), ..) => Peer::Cidr(block.clone()),
                (_, Some(group), _) => Peer::Group(group.as_str().into()),
                (_, _, Some(list)) => Peer::PrefixList(list.clone()),
                _ => return None,
            };
            Some(ingress(peer, allow.description.clone().unwrap_or_else(|| "allowed".into())))
        }));
        let props = security_group_rules::Props {
            name: format!("rules of {name}"),
            group_id: self.output("group", SecurityGroup::GROUP_ID),
            rules,
            keep: self.keep,
        };
        cx.add::<SecurityGroupRules>(self.address("rules"), "security-groups", &props, []);
        let subnets = db_subnet_group::Props {
            name: cx.name(&[self.name], 255),
            description: format!("Subnets of the database {}", self.name),
            vpc_id: Input::output(NETWORK, "vpc_id"),
            subnets: self.subnets(),
            keep: self.keep,
            tags: self.tags.clone(),
        };
        cx.add::<DbSubnetGroup>(self.address("subnets"), STAGE, &subnets, []);
    }

    fn parameters(&self, cx: &mut Expansion<'_>) {
        let (engine, version) = (self.database.engine(), self.database.full_version());
        let props = |cx: &Expansion<'_>, of: &str, parameters| parameter_group::Props {
            name: cx.name(&[self.name, of, &engine.short_family(&version)], 255),
            family: engine.family(&version),
            description: format!("Parameters of the database {}", self.name),
            parameters,
            keep: self.keep,
            tags: self.tags.clone(),
        };
        let mut parameters = self.captures();
        parameters.extend(self.database.parameters.clone());
        let cluster = props(cx, "cluster", parameters);
        cx.add::<DbClusterParameterGroup>(self.address("cluster-parameters"), STAGE, &cluster, []);
        let instance = props(cx, "instance", self.database.instance_parameters.clone());
        cx.add::<DbParameterGroup>(self.address("instance-parameters"), STAGE, &instance, []);
    }

    fn cluster(&self, cx: &mut Expansion<'_>) {
        let database = self.database;
        let props = aurora_cluster::Props {
            name: database.identifier(self.name, cx),
            engine: database.engine().name().to_owned(),
            version: database.full_version(),
            // `postgres` is in every cluster.
            database: database.database_name(self.name).filter(|name| name != "postgres"),
            master_user: database
                .master_user
                .clone()
                .unwrap_or_else(|| database.engine().master_user().into()),
            port: database.port_or_default().into(),
            serverless: database.capacity(),
            kms_key: self.kms_key.clone(),
            backup_retention_days: i32::try_from(database.backup_days()).unwrap_or(7),
            deletion_protection: database.deletion_protection.unwrap_or(true),
            logs: database.logs.iter().cloned().collect(),
            subnet_group: self.output("subnets", DbSubnetGroup::NAME),
            parameter_group: self.output("cluster-parameters", parameter_group::NAME),
            instance_parameter_group: self.output("instance-parameters", parameter_group::NAME),
            security_groups: vec![self.output("group", SecurityGroup::GROUP_ID)],
            on_destroy: database.on_destroy.unwrap_or_default(),
            tags: self.tags.clone(),
        };
        cx.add::<AuroraCluster>(self.address("cluster"), STAGE, &props, []);
    }

    fn instances(&self, cx: &mut Expansion<'_>) {
        let instance =
            |cx: &Expansion<'_>, parts: &[&str], class: &str, tier| aurora_instance::Props {
                name: cx.name(parts, 63),
                cluster: self.output("cluster", AuroraCluster::CLUSTER_ID),
                engine: self.database.engine().name().to_owned(),
                version: self.database.full_version(),
                class: class.to_owned(),
                promotion_tier: tier,
                public: self.database.public.unwrap_or_default(),
                parameter_group: self.output("instance-parameters", parameter_group::NAME),
                revisions: vec![
                    self.output("cluster-parameters", parameter_group::REVISION),
                    self.output("instance-parameters", parameter_group::REVISION),
                ],
                values: vec![
                    self.output("cluster-parameters", parameter_group::VALUES),
                    self.output("instance-parameters", parameter_group::VALUES),
                ],
                subnets: self.subnets(),
                keep: self.keep,
                tags: self.tags.clone(),
            };
        let writer = instance(cx, &[self.name, "writer"], self.database.writer_class(), 0);
        cx.add::<AuroraInstance>(self.address("writer"), STAGE, &writer, []);
        for (key, reader) in &self.database.readers {
            let class = self.database.reader_class(reader);
            let tier = reader.promotion_tier.unwrap_or(1);
            let props = instance(cx, &[self.name, "reader", key], class, tier);
            // The first instance of a cluster becomes its writer.
            let needs = [Address::new(self.address("writer"))];
            let address = self.address(&format!("reader-{key}"));
            cx.add::<AuroraInstance>(address, STAGE, &props, needs);
        }
    }
}

#[cfg(test)]
mod tests;
