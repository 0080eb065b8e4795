//! The statements for `PostgreSQL`.

use msk_pipeline_core::dsl::Expansion;

use super::super::Database;
use super::super::direct::postgresql::{CANARY_TABLE, Needed, OWN_TABLES, own_tables};

/// The statements for the capture user, the tool's own tables, and each connector's publication and slot. They may be run again: after a
/// change of the declaration they bring the database to it.
///
/// Sources: handbook aws.md §4.10, msk.md §8.
pub(super) fn statements(
    database: &Database,
    name: &str,
    secret: &str,
    cx: &Expansion<'_>,
) -> String {
    let needed = Needed::of(database, name, cx);
    let user = quoted(database.capture_user());
    let schema = database.signal_table().split('.').next().unwrap_or_default();
    let within = database.database_name(name).unwrap_or_default();
    let mut text = format!(
        "-- Run as the master user in the database `{within}`, on the cluster's writer endpoint. The password:
--   aws secretsmanager get-secret-value --secret-id {secret} --query SecretString --output text
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{0}') THEN CREATE ROLE {user}; END IF;
END $$;
ALTER ROLE {user} LOGIN PASSWORD '<password from secret {secret}>';
CREATE SCHEMA IF NOT EXISTS {1};
",
        database.capture_user(),
        quoted(schema),
    );
    for (own, (part, columns)) in own_tables(database).iter().zip(OWN_TABLES) {
        text.push_str(&format!("CREATE TABLE IF NOT EXISTS {} ({columns});\n", table(own)));
        // Otherwise an update's `before` would have the key only.
        if part == CANARY_TABLE {
            text.push_str(&format!("ALTER TABLE {} REPLICA IDENTITY FULL;\n", table(own)));
        }
    }
    for (on, privileges) in needed.privileges() {
        let list = privileges.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        text.push_str(&grant(&on, &list, &user));
    }
    for (publication, slot, tables) in needed.connectors() {
        let tables = tables.iter().map(|name| table(name)).collect::<Vec<_>>().join(", ");
        let name = quoted(&publication);
        text.push_str(&format!(
            "-- Its owner has to own every table in it; of one that another role owns: GRANT <owner> TO <master user>;
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = '{publication}') THEN CREATE PUBLICATION {name}; END IF;
END $$;
ALTER PUBLICATION {name} SET TABLE {tables};
SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')
  WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '{slot}');
-- A slot that nobody reads fills the disk. When the connector is gone for good:
--   SELECT pg_drop_replication_slot('{slot}'); DROP PUBLICATION {name};
",
        ));
    }
    text.push_str(
        "-- To verify: logical; the slots, not lost; every captured table.
SHOW wal_level;
SELECT slot_name, active, wal_status FROM pg_replication_slots;
SELECT * FROM pg_publication_tables;
",
    );
    text
}

fn grant(on: &str, list: &str, user: &str) -> String {
    match on.split_once(' ') {
        Some((kind, name)) => {
            format!("GRANT {list} ON {} {} TO {user};\n", kind.to_uppercase(), quoted(name))
        }
        None if on == "*" => format!("GRANT {list} TO {user};\n"),
        None => format!("GRANT {list} ON {} TO {user};\n", table(on)),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn table(name: &str) -> String {
    name.split('.').map(quoted).collect::<Vec<_>>().join(".")
}
