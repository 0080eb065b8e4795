//! What Debezium's connector for `PostgreSQL` needs beside the rest.

use super::super::Snapshot;
use super::Subject;

pub(super) fn put(subject: &Subject<'_>, put: &mut impl FnMut(&str, &str)) {
    let Subject { connector, names, source, .. } = subject;
    put("database.dbname", &source.database.database_name(&source.name).unwrap_or_default());
    // Debezium's default, `prefer`, falls back to no encryption in silence.
    put("database.sslmode", "require");

    // The one output plugin that is in every server (handbook aws.md §4.10).
    put("plugin.name", "pgoutput");
    // Both are made before the connector, so that nothing is missed, and by somebody who owns the tables, which the capture user doesn't.
    put("slot.name", &names.slot);
    put("publication.name", &names.publication);
    put("publication.autocreate.mode", "disabled");
    // A stopped connector comes back to its slot.
    put("slot.drop.on.stop", "false");

    put(
        "snapshot.mode",
        match connector.snapshot {
            Snapshot::Incremental | Snapshot::NoData => "no_data",
            Snapshot::Initial => "initial",
        },
    );
    // A snapshot reads what was committed before it began, and locks nothing.
    put("snapshot.locking.mode", "none");

    // What is written in other databases of the cluster holds the slot back, unless something is captured in this one now and then.
    let table = source.database.heartbeat_table();
    let (schema, table) = table.split_once('.').unwrap_or(("cdc", &table));
    put(
        "heartbeat.action.query",
        &format!(
            "INSERT INTO \"{schema}\".\"{table}\" (connector, beat) VALUES ('{}', now()) ON CONFLICT (connector) DO UPDATE SET beat = now()",
            names.connector
        ),
    );
}
