//! The configuration that is generated: of the connector, and of its workers. The user's keys come last and win.

mod mysql;
mod postgresql;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use msk_pipeline_core::kind::Input;

use super::around::{Cluster, Source};
use super::{CANARY, Connector, PROVIDER, Snapshot};
use crate::components::database::Engine;

/// The configuration of the connector.
pub(super) type Configuration = BTreeMap<String, Input<String>>;

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

/// Seven days.
const INTERNAL_RETENTION_MS: &str = "604800000";

/// Names that belong to a connector.
pub(super) struct Names {
    pub(super) connector: String,
    pub(super) prefix: String,
    pub(super) history: String,
    pub(super) offsets: String,
    /// The replication slot (PostgreSQL).
    pub(super) slot: String,
    /// The publication (PostgreSQL).
    pub(super) publication: String,
}

/// What a configuration is made for.
pub(super) struct Subject<'a> {
    pub(super) connector: &'a Connector,
    pub(super) names: &'a Names,
    pub(super) cluster: &'a Cluster<'a>,
    pub(super) source: &'a Source<'a>,
    pub(super) server_id: i64,
}

impl Subject<'_> {
    /// Captured tables: those of the section, and the tool's own.
    fn tables(&self) -> Vec<String> {
        let signal = self.source.database.signal_table();
        let mut tables = self.connector.tables.clone();
        // Signals are read from the log of changes, so their table is captured like any other.
        let own = [
            (self.connector.snapshot == Snapshot::Incremental).then(|| signal.to_owned()),
            // The proof by a row needs a table that is captured and nobody else's; until it is made, its name stands for nothing.
            Some(canary_table(signal)),
        ];
        for table in own.into_iter().flatten() {
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
        tables
    }
}

/// The whole configuration of a Debezium connector, version 2.7.
pub(super) fn connector(subject: &Subject<'_>) -> Configuration {
    let Subject { connector, names, source, .. } = subject;
    let mut all = Configuration::new();
    let mut put = |key: &str, value: &str| {
        all.insert(key.to_owned(), Input::Known(value.to_owned()));
    };
    let placeholder = |key: &str| format!("${{{PROVIDER}:{}:{key}}}", source.secret);

    put("connector.class", source.product().class);
    // One task reads one log, whatever the capacity.
    put("tasks.max", "1");
    put("topic.prefix", &names.prefix);

    put("database.port", &source.database.port_or_default().to_string());
    put("database.user", &placeholder("username"));
    put("database.password", &placeholder("password"));
    put("table.include.list", &list(subject.tables().iter().map(String::as_str)));
    if connector.snapshot == Snapshot::Incremental {
        put("signal.enabled.channels", "source");
        put("signal.data.collection", source.database.signal_table());
    }

    for side in ["key", "value"] {
        put(&format!("{side}.converter"), JSON);
        put(&format!("{side}.converter.schemas.enable"), "false");
    }
    // Without a schema beside it nobody could read the bytes that `precise` writes.
    put("decimal.handling.mode", "string");
    put("tombstones.on.delete", "true");
    // A silent database still moves the place on, before what comes after it is purged, or fills the disk.
    put(
        "heartbeat.interval.ms",
        &millis(connector.heartbeat.as_deref().unwrap_or(super::HEARTBEAT)),
    );

    put("errors.tolerance", "none");
    put("errors.log.enable", "true");
    // Rows don't belong into logs.
    put("errors.log.include.messages", "false");
    // A provider's time to live must not restart the connector (handbook msk.md §7.2).
    put("config.action.reload", "none");

    topics(subject, &mut put);
    transforms(connector, &mut put);
    match source.database.engine() {
        Engine::MySql => mysql::put(subject, &mut put),
        Engine::PostgreSql => postgresql::put(subject, &mut put),
    }

    all.insert("database.hostname".into(), Input::output(source.address("cluster"), "endpoint"));
    if source.database.engine() == Engine::MySql {
        all.extend(mysql::references(subject));
    }
    for (key, value) in &connector.config {
        all.insert(key.clone(), Input::Known(value.clone()));
    }
    all
}

fn topics(subject: &Subject<'_>, put: &mut impl FnMut(&str, &str)) {
    let Subject { connector, names, cluster, source, .. } = subject;
    let replication = super::replication(connector, cluster).to_string();
    put("topic.creation.default.partitions", &connector.topics.partitions.to_string());
    put("topic.creation.default.replication.factor", &replication);
    for (key, value) in super::topic_configs(&connector.topics) {
        put(&format!("topic.creation.default.{key}"), &value);
    }
    // Heartbeats, schema changes, signals and canaries need their order, and little room.
    put("topic.creation.groups", "internal");
    let signal = source.database.signal_table();
    let own = |table: &str| format!("{}\\.{}", regex(&names.prefix), regex(table));
    let (signals, canaries) = (own(signal), own(&canary_table(signal)));
    put(
        "topic.creation.internal.include",
        &format!("{0},__debezium-heartbeat\\.{0},{signals},{canaries}", regex(&names.prefix)),
    );
    put("topic.creation.internal.partitions", "1");
    put("topic.creation.internal.replication.factor", &replication);
    // Nobody reads these from the beginning, whatever the cluster's own retention is.
    put("topic.creation.internal.cleanup.policy", "delete");
    put("topic.creation.internal.retention.ms", INTERNAL_RETENTION_MS);
}

fn transforms(connector: &Connector, put: &mut impl FnMut(&str, &str)) {
    if connector.transforms.is_empty() {
        return;
    }
    let names: Vec<_> = connector.transforms.iter().map(|t| t.name.as_str()).collect();
    put("transforms", &names.join(","));
    for transform in &connector.transforms {
        let prefix = format!("transforms.{}", transform.name);
        put(&format!("{prefix}.type"), &transform.class);
        for (key, value) in &transform.options {
            put(&format!("{prefix}.{key}"), value);
        }
    }
}

/// A list of names in which nothing stands for something else.
fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    items.map(|item| item.replace('$', "\\$")).collect::<Vec<_>>().join(",")
}

/// The properties of the workers, as a map.
pub(super) fn worker(
    connector: &Connector,
    names: &Names,
    replication: i32,
    region: &str,
) -> BTreeMap<String, String> {
    let provider = format!("config.providers.{PROVIDER}");
    let mut all: BTreeMap<String, String> = [
        ("key.converter".to_owned(), JSON.to_owned()),
        ("key.converter.schemas.enable".into(), "false".into()),
        ("value.converter".into(), JSON.into()),
        ("value.converter.schemas.enable".into(), "false".into()),
        // Its own topic, made before it: replacing the connector keeps its place.
        ("offset.storage.topic".into(), names.offsets.clone()),
        ("offset.storage.partitions".into(), super::OFFSETS_PARTITIONS.to_string()),
        ("offset.storage.replication.factor".into(), replication.to_string()),
        ("config.providers".into(), PROVIDER.into()),
        (format!("{provider}.class"), super::PROVIDER_CLASS.into()),
        (format!("{provider}.param.region"), region.into()),
        // The default takes a secret that is missing for an empty password (handbook msk.md §7.2).
        (format!("{provider}.param.NotFoundStrategy"), "fail".into()),
    ]
    .into();
    all.extend(connector.worker.clone());
    all
}

/// The properties as a file: sorted, so that the same settings give the same text.
pub(super) fn properties(all: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in all {
        let value = value.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(text, "{key}={value}");
    }
    text
}

/// The tables of a list as it stands in a configuration, without its escapes.
pub(crate) fn listed(list: &str) -> impl Iterator<Item = String> {
    list.split(',').map(|table| table.trim().replace("\\$", "$")).filter(|table| !table.is_empty())
}

/// The canary's table beside the signal table.
pub(super) fn canary_table(signal: &str) -> String {
    format!("{}.{CANARY}", signal.split_once('.').map_or("cdc", |(schema, _)| schema))
}

fn millis(duration: &str) -> String {
    msk_pipeline_core::dsl::duration(duration).map_or(0, |d| d.as_millis()).to_string()
}

fn regex(text: &str) -> String {
    text.replace('.', "\\.").replace('$', "\\$")
}
