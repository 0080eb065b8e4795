//! The configuration that is generated: of the connector, and of its workers. The user's keys come last and win.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use msk_pipeline_core::kind::Input;

use super::around::{Cluster, Source};
use super::{CANARY, Connector, PROVIDER, Snapshot};
use crate::components::kafka::Listener;

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
}

/// What a transform of Kafka Connect, here `PREFIX.`, needs to log in with IAM (handbook msk.md §7.3).
const IAM: &[(&str, &str)] = &[
    ("security.protocol", "SASL_SSL"),
    ("sasl.mechanism", "AWS_MSK_IAM"),
    ("sasl.jaas.config", "software.amazon.msk.auth.iam.IAMLoginModule required;"),
    ("sasl.client.callback.handler.class", "software.amazon.msk.auth.iam.IAMClientCallbackHandler"),
];

/// The whole configuration of a Debezium connector for `MySQL`, version 2.7.
pub(super) fn connector(
    connector: &Connector,
    names: &Names,
    cluster: &Cluster<'_>,
    source: &Source<'_>,
    server_id: i64,
) -> Configuration {
    let mut all = Configuration::new();
    let mut put = |key: &str, value: &str| {
        all.insert(key.to_owned(), Input::Known(value.to_owned()));
    };
    let placeholder = |key: &str| format!("${{{PROVIDER}:{}:{key}}}", source.secret);

    put("connector.class", super::CLASS);
    // One task reads one binary log, whatever the capacity.
    put("tasks.max", "1");
    put("topic.prefix", &names.prefix);

    put("database.port", &source.database.port_or_default().to_string());
    put("database.user", &placeholder("username"));
    put("database.password", &placeholder("password"));
    put("database.server.id", &server_id.to_string());
    // Debezium's default, `preferred`, falls back to no encryption in silence. Every Aurora cluster speaks TLS, and 8.4 nothing else.
    put("database.ssl.mode", "required");

    let signal = source.database.signal_table();
    let incremental = connector.snapshot == Snapshot::Incremental;
    let mut tables: Vec<&str> = connector.tables.iter().map(String::as_str).collect();
    // Signals are read from the binary log, so their table is captured like any other.
    if incremental && !tables.contains(&signal) {
        tables.push(signal);
    }
    // The proof by a row needs a table that is captured and nobody else's; until it is made, its name stands for nothing.
    let canary = canary_table(signal);
    if !tables.contains(&canary.as_str()) {
        tables.push(&canary);
    }
    let mut databases: Vec<&str> =
        tables.iter().filter_map(|t| t.split_once('.')).map(|(database, _)| database).collect();
    databases.sort_unstable();
    databases.dedup();
    let list = |items: &[&str]| {
        let quoted: Vec<_> = items.iter().map(|item| item.replace('$', "\\$")).collect();
        quoted.join(",")
    };
    put("database.include.list", &list(&databases));
    put("table.include.list", &list(&tables));

    match connector.snapshot {
        Snapshot::Incremental => {
            put("snapshot.mode", "no_data");
            put("snapshot.locking.mode", "none");
            put("signal.enabled.channels", "source");
            put("signal.data.collection", signal);
            put("incremental.snapshot.allow.schema.changes", "true");
        }
        Snapshot::NoData => {
            put("snapshot.mode", "no_data");
            put("snapshot.locking.mode", "none");
        }
        // Without the lock, what is committed between the snapshot's start and the reading of the binlog position is missed.
        Snapshot::Initial => {
            put("snapshot.mode", "initial");
            put("snapshot.locking.mode", "minimal");
        }
    }

    put("schema.history.internal.kafka.topic", &names.history);
    // Schemas of tables that are not captured yet are kept, so that adding one needs no new history.
    put("schema.history.internal.store.only.captured.tables.ddl", "false");
    put("schema.history.internal.store.only.captured.databases.ddl", "false");
    // Its clients are the connector's own, which the workers' settings don't reach: once for each.
    for client in ["producer", "consumer"] {
        let prefix = format!("schema.history.internal.{client}");
        match cluster.listener {
            Listener::Iam => {
                for (key, value) in IAM {
                    put(&format!("{prefix}.{key}"), value);
                }
            }
            Listener::Tls => put(&format!("{prefix}.security.protocol"), "SSL"),
            Listener::Plaintext | Listener::Scram => {}
        }
    }

    for side in ["key", "value"] {
        put(&format!("{side}.converter"), JSON);
        put(&format!("{side}.converter.schemas.enable"), "false");
    }
    // Without a schema beside it nobody could read the bytes that `precise` writes.
    put("decimal.handling.mode", "string");
    put("tombstones.on.delete", "true");
    put("include.schema.changes", "true");

    // A silent database still moves the place on, before the binary log is purged behind it.
    put("heartbeat.interval.ms", &millis(connector.heartbeat.as_deref().unwrap_or("30s")));
    if source.database.is_prepared() {
        // In the table its time can be seen by everybody who reads the database.
        let table = source.database.heartbeat_table();
        put(
            "heartbeat.action.query",
            &format!(
                "INSERT INTO {table} (connector, beat) VALUES ('{}', NOW(3)) ON DUPLICATE KEY UPDATE beat = NOW(3)",
                names.connector
            ),
        );
    }

    let topics = &connector.topics;
    let replication = super::replication(connector, cluster).to_string();
    put("topic.creation.default.partitions", &topics.partitions.to_string());
    put("topic.creation.default.replication.factor", &replication);
    for (key, value) in super::topic_configs(topics) {
        put(&format!("topic.creation.default.{key}"), &value);
    }
    // Heartbeats, schema changes, signals and canaries need their order, and little room.
    put("topic.creation.groups", "internal");
    let own = |table: &str| format!("{}\\.{}", regex(&names.prefix), regex(table));
    let (signals, canaries) = (own(signal), own(&canary));
    put(
        "topic.creation.internal.include",
        &format!("{0},__debezium-heartbeat\\.{0},{signals},{canaries}", regex(&names.prefix)),
    );
    put("topic.creation.internal.partitions", "1");
    put("topic.creation.internal.replication.factor", &replication);
    // Nobody reads these from the beginning, whatever the cluster's own retention is.
    put("topic.creation.internal.cleanup.policy", "delete");
    put("topic.creation.internal.retention.ms", INTERNAL_RETENTION_MS);

    put("errors.tolerance", "none");
    put("errors.log.enable", "true");
    // Rows don't belong into logs.
    put("errors.log.include.messages", "false");
    // A provider's time to live must not restart the connector (handbook msk.md §7.2).
    put("config.action.reload", "none");

    if !connector.transforms.is_empty() {
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

    all.insert("database.hostname".into(), Input::output(source.address("cluster"), "endpoint"));
    all.insert(
        "schema.history.internal.kafka.bootstrap.servers".into(),
        Input::output(cluster.address("cluster"), cluster.listener.output()),
    );
    for (key, value) in &connector.config {
        all.insert(key.clone(), Input::Known(value.clone()));
    }
    all
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
