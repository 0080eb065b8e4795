//! What Debezium's connector for `MySQL` needs beside the rest.

use msk_pipeline_core::kind::Input;

use super::super::Snapshot;
use super::{Configuration, Subject, list};
use crate::components::kafka::Listener;

/// What a transform of Kafka Connect, here `PREFIX.`, needs to log in with IAM (handbook msk.md §7.3).
const IAM: &[(&str, &str)] = &[
    ("security.protocol", "SASL_SSL"),
    ("sasl.mechanism", "AWS_MSK_IAM"),
    ("sasl.jaas.config", "software.amazon.msk.auth.iam.IAMLoginModule required;"),
    ("sasl.client.callback.handler.class", "software.amazon.msk.auth.iam.IAMClientCallbackHandler"),
];

pub(super) fn put(subject: &Subject<'_>, put: &mut impl FnMut(&str, &str)) {
    let Subject { connector, names, source, server_id, .. } = subject;
    put("database.server.id", &server_id.to_string());
    // Debezium's default, `preferred`, falls back to no encryption in silence. Every Aurora cluster speaks TLS, and 8.4 nothing else.
    put("database.ssl.mode", "required");

    let tables = subject.tables();
    let mut databases: Vec<&str> =
        tables.iter().filter_map(|t| t.split_once('.')).map(|(database, _)| database).collect();
    databases.sort_unstable();
    databases.dedup();
    put("database.include.list", &list(databases.into_iter()));

    let (mode, locks) = match connector.snapshot {
        Snapshot::Incremental | Snapshot::NoData => ("no_data", "none"),
        // Without the lock, what is committed between the snapshot's start and the reading of the binlog position is missed.
        Snapshot::Initial => ("initial", "minimal"),
    };
    put("snapshot.mode", mode);
    put("snapshot.locking.mode", locks);
    if connector.snapshot == Snapshot::Incremental {
        put("incremental.snapshot.allow.schema.changes", "true");
    }
    put("include.schema.changes", "true");
    history(subject, put);

    if source.database.is_prepared() {
        // In the table its time can be seen by everybody who reads the database, and that it streams from this place.
        let table = source.database.heartbeat_table();
        put(
            "heartbeat.action.query",
            &format!(
                "INSERT INTO {table} (id, beat) VALUES ('{}', NOW(3)) ON DUPLICATE KEY UPDATE beat = NOW(3)",
                names.offsets
            ),
        );
    }
}

fn history(subject: &Subject<'_>, put: &mut impl FnMut(&str, &str)) {
    put("schema.history.internal.kafka.topic", &subject.names.history);
    // Schemas of tables that are not captured yet are kept, so that adding one needs no new history.
    put("schema.history.internal.store.only.captured.tables.ddl", "false");
    put("schema.history.internal.store.only.captured.databases.ddl", "false");
    // Its clients are the connector's own, which the workers' settings don't reach: once for each.
    for client in ["producer", "consumer"] {
        let prefix = format!("schema.history.internal.{client}");
        match subject.cluster.listener {
            Listener::Iam => {
                for (key, value) in IAM {
                    put(&format!("{prefix}.{key}"), value);
                }
            }
            Listener::Tls => put(&format!("{prefix}.security.protocol"), "SSL"),
            Listener::Plaintext | Listener::Scram => {}
        }
    }
}

/// Keys whose values are known after apply.
pub(super) fn references(subject: &Subject<'_>) -> Configuration {
    let cluster = subject.cluster;
    let servers = Input::output(cluster.address("cluster"), cluster.listener.output());
    [("schema.history.internal.kafka.bootstrap.servers".to_owned(), servers)].into()
}
