//! Whether a PostgreSQL lets a connector read its changes.

use super::super::around;
use super::super::worker_log::Line;
use super::{Subject, Trouble, debezium, invalid, task_died};
use crate::world::World;

/// The task can't make its replication slot.
fn no_slot(check: &'static str, subject: &Subject<'_>, cause: &str) -> Option<Trouble> {
    task_died(check, subject, [
        "io.debezium.DebeziumException: Creation of replication slot failed".to_owned(),
        "\tat io.debezium.connector.postgresql.PostgresConnectorTask.tryToCreateSlot(PostgresConnectorTask.java:277)".into(),
        "\tat io.debezium.connector.postgresql.PostgresConnectorTask.start(PostgresConnectorTask.java:162)".into(),
        format!("Caused by: org.postgresql.util.PSQLException: ERROR: {cause}"),
        "\tat org.postgresql.core.v3.QueryExecutorImpl.receiveErrorResponse(QueryExecutorImpl.java:2713)".into(),
    ])
}

/// A slot's name is what PostgreSQL takes (msk.md §8; Debezium's `PostgresConnectorConfig.validateReplicationSlotName`).
pub(super) fn slot_name_is_well_formed(_world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    let name = subject.config("slot.name");
    if debezium(subject.class()) != Some("postgresql") || name.is_empty() {
        return None;
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.len() <= 63 && name.chars().all(plain) {
        return None;
    }
    invalid(
        "slot_name_is_well_formed",
        "The 'slot.name' value is invalid: Valid replication slot name must contain only digits, lowercase characters and underscores with length <= 63",
    )
}

/// `wal_level` is `logical`, which `rds.logical_replication` makes it at the writer's next boot (aws.md §4.10). A reader has no slots.
pub(super) fn wal_level_is_logical(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    if debezium(subject.class()) != Some("postgresql") {
        return None;
    }
    let database = around::database(world, subject.now, subject.config("database.hostname"))?;
    if database.logical_replication {
        return None;
    }
    let check = "wal_level_is_logical";
    let mut trouble = no_slot(check, subject, "logical decoding requires wal_level >= logical")?;
    let tested = format!(
        "Failed testing connection for jdbc:postgresql://{}:{}/{} with user '{}'",
        subject.config("database.hostname"),
        database.port,
        subject.config("database.dbname"),
        subject.config("database.user"),
    );
    let tested =
        Line::new("ERROR", tested, "io.debezium.connector.postgresql.PostgresConnectorTask:144");
    trouble.lines.insert(0, tested.task().stack([
        "java.sql.SQLException: Postgres server wal_level property must be 'logical' but is: 'replica'",
        "\tat io.debezium.connector.postgresql.PostgresConnectorTask.checkWalLevel(PostgresConnectorTask.java:435)",
    ]));
    Some(trouble)
}

/// Aurora has no `decoderbufs`, which is Debezium's default (msk.md §8).
pub(super) fn decoding_plugin_is_there(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    if debezium(subject.class()) != Some("postgresql") {
        return None;
    }
    around::database(world, subject.now, subject.config("database.hostname"))?;
    let plugin = match subject.config("plugin.name") {
        "" => "decoderbufs",
        named => named,
    };
    if plugin == "pgoutput" {
        return None;
    }
    let cause = format!("could not access file \"{plugin}\": No such file or directory");
    no_slot("decoding_plugin_is_there", subject, &cause)
}
