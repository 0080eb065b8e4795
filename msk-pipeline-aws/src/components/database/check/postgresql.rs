//! What is wrong with a `[database.*]` of PostgreSQL.

use msk_pipeline_core::dsl::{Expansion, quoted};

use super::super::{Connector, Database, database as database_name};

/// The newest major version that Debezium 2.7 supports.
const NEWEST: u32 = 16;
/// The oldest one in standard support.
const OLDEST: u32 = 14;

pub(super) fn check(database: &Database, name: &str, cx: &mut Expansion<'_>) {
    if database.capture.as_ref().is_some_and(|capture| capture.binlog_retention.is_some()) {
        cx.error(
            "capture.binlog_retention",
            "PostgreSQL has no binary logs: it keeps what a replication slot has not read for as long as that takes",
            "leave it out",
        );
    }
    names(database, name, cx);
    parameters(database, name, cx);
}

fn names(database: &Database, name: &str, cx: &mut Expansion<'_>) {
    if database.existing.is_some() && database.database.is_none() {
        cx.error(
            "database",
            "a cluster that exists may have several databases, and a slot reads one",
            "name it: database = \"shop\"",
        );
    }
    let whole = database.database_name(name).unwrap_or_default();
    if let Err(why) = database_name(&whole) {
        cx.error("database", why, "set `database`");
    }
    if ["template0", "template1", "rdsadmin"].contains(&whole.as_str()) {
        let message = format!("`{whole}` belongs to the server");
        cx.error("database", message, "choose another name");
    }
    for (key, user) in [
        ("capture.user", Some(database.capture_user())),
        ("master_user", database.master_user.as_deref()),
    ] {
        let lower = user.unwrap_or_default().to_ascii_lowercase();
        if lower.starts_with("pg_") || lower.starts_with("rds") || lower == "admin" {
            cx.error(key, format!("`{lower}` is reserved by the engine"), "choose another name");
        }
    }
    let signal = database.signal_table();
    if signal.bytes().any(|b| b.is_ascii_uppercase()) {
        cx.error(
            "capture.signal_table",
            format!("PostgreSQL reads {} without quotes as lower case", quoted(signal)),
            "write it in lower case",
        );
    }
    if matches!(signal.split('.').next(), Some("pg_catalog" | "information_schema")) {
        cx.error(
            "capture.signal_table",
            "the server's own schema takes no tables",
            "leave it out: it is `cdc.signal`",
        );
    }
}

/// Typical settings by hand that Aurora refuses, or that break capturing later.
fn parameters(database: &Database, name: &str, cx: &mut Expansion<'_>) {
    if database.parameters.contains_key("wal_level") {
        cx.error(
            "parameters.wal_level",
            "Aurora lets nobody set wal_level: it follows from `rds.logical_replication`",
            "remove it: `rds.logical_replication = 1` is set, and makes it `logical`",
        );
    }
    let slots = cx.all::<Connector>().iter().filter(|(_, c)| c.source == name).count();
    for limit in ["max_replication_slots", "max_wal_senders"] {
        let given = database.parameters.get(limit).and_then(|value| value.parse::<usize>().ok());
        if let Some(given) = given.filter(|given| *given < slots) {
            cx.error(
                &format!("parameters.{limit}"),
                format!("{given} is too few: {slots} connectors read this database, each through a slot of its own"),
                "remove it: the default is 20",
            );
        }
    }
    let kept = database.parameters.get("max_slot_wal_keep_size").map(|value| value.trim());
    if kept.is_some_and(|kept| kept != "-1") {
        cx.warn(
            "parameters.max_slot_wal_keep_size",
            "a connector that falls behind by more than this loses its slot, and has to read everything again",
            "leave it out, and watch `verify` for what the slot holds back",
        );
    }
}

/// `16.8`: major and minor version.
pub(super) fn version(version: &str, cx: &mut Expansion<'_>) {
    let numbers: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    let Some([major, _]) = numbers.as_deref() else {
        cx.error(
            "version",
            format!("{} is no version of Aurora PostgreSQL", quoted(version)),
            "write major and minor version, such as \"16.8\"",
        );
        return;
    };
    if *major < OLDEST {
        cx.error(
            "version",
            format!("{version} is past standard support"),
            "use \"16.8\", the newest with long-term support that Debezium 2.7 supports",
        );
    } else if *major > NEWEST {
        cx.warn(
            "version",
            format!("Debezium 2.7 supports PostgreSQL up to {NEWEST}, and this is {major}"),
            "use \"16.8\", or bring a newer Debezium by `plugin`",
        );
    }
}
