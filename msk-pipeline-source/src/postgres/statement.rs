//! Changes as statements of `PostgreSQL`.
//!
//! What a mark belongs to is made in one message with it, which the server carries out in one transaction (`PostgreSQL` 16, chapter
//! 'Message Flow', 'Multiple Statements in a Simple Query').

use std::collections::{BTreeMap, BTreeSet};

use msk_pipeline_verify::session::Engine;

use crate::change::{Change, TableName};

const SQL: Engine = Engine::Postgres;

/// A change as text; `None` for what `PostgreSQL` doesn't have. `verifier` is that of the password of [`Change::secret`]: the password
/// itself is in no statement, so that no log of the server has it.
pub(super) fn statement(change: &Change, verifier: &str) -> Option<String> {
    Some(match change {
        Change::CreateUser { name, attribute, .. } => format!(
            "CREATE ROLE {0} LOGIN PASSWORD {1}; {2}",
            SQL.quoted(name),
            SQL.literal(verifier),
            mark_role(name, attribute)
        ),
        Change::SetPassword { name, .. } => {
            format!("ALTER ROLE {} LOGIN PASSWORD {}", SQL.quoted(name), SQL.literal(verifier))
        }
        Change::MarkUser { name, attribute } => mark_role(name, attribute),
        Change::Grant { name, on, privileges } => {
            format!("GRANT {} TO {}", what(on, privileges), SQL.quoted(name))
        }
        Change::Revoke { name, on, privileges } => {
            format!("REVOKE {} FROM {}", what(on, privileges), SQL.quoted(name))
        }
        Change::DropUser { name } => format!("DROP ROLE {}", SQL.quoted(name)),
        Change::SetRetention { .. } => return None,
        Change::CreateSchema { name } => format!("CREATE SCHEMA {}", SQL.quoted(name)),
        Change::DropSchema { name } => format!("DROP SCHEMA {}", SQL.quoted(name)),
        Change::CreateTable { table, columns, comment, whole_rows } => {
            let table = full(table);
            let identity = if *whole_rows {
                format!("; ALTER TABLE {table} REPLICA IDENTITY FULL")
            } else {
                String::new()
            };
            format!(
                "CREATE TABLE {table} ({columns}){identity}; COMMENT ON TABLE {table} IS {}",
                SQL.literal(comment)
            )
        }
        Change::MarkTable { table, comment } => {
            format!("COMMENT ON TABLE {} IS {}", full(table), SQL.literal(comment))
        }
        Change::DropTable { table } => format!("DROP TABLE {}", full(table)),
        Change::InsertRow { table, id, kind, data } => format!(
            "INSERT INTO {} (id, type, data) VALUES ({}, {}, {})",
            full(table),
            SQL.literal(id),
            SQL.literal(kind),
            SQL.literal(data)
        ),
        Change::CreatePublication { name, tables, comment } => format!(
            "CREATE PUBLICATION {} FOR TABLE {}; {}",
            SQL.quoted(name),
            list(tables),
            mark_publication(name, comment)
        ),
        Change::MarkPublication { name, comment } => mark_publication(name, comment),
        Change::AddTables { name, tables } => {
            format!("ALTER PUBLICATION {} ADD TABLE {}", SQL.quoted(name), list(tables))
        }
        Change::RemoveTables { name, tables } => {
            format!("ALTER PUBLICATION {} DROP TABLE {}", SQL.quoted(name), list(tables))
        }
        Change::DropPublication { name } => format!("DROP PUBLICATION {}", SQL.quoted(name)),
        Change::CreateSlot { name } => format!(
            "SELECT pg_create_logical_replication_slot({}, '{}')",
            SQL.literal(name),
            super::PLUGIN
        ),
        Change::DropSlot { name } => {
            format!("SELECT pg_drop_replication_slot({})", SQL.literal(name))
        }
    })
}

fn mark_role(name: &str, attribute: &BTreeMap<String, String>) -> String {
    let json = serde_json::json!(attribute).to_string();
    format!("COMMENT ON ROLE {} IS {}", SQL.quoted(name), SQL.literal(&json))
}

fn mark_publication(name: &str, comment: &str) -> String {
    format!("COMMENT ON PUBLICATION {} IS {}", SQL.quoted(name), SQL.literal(comment))
}

/// `SELECT ON "sales"."orders"`; on `*` roles.
fn what(on: &str, privileges: &BTreeSet<String>) -> String {
    let plain = || privileges.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    match on.split_once(' ') {
        Some(("database", name)) => format!("{} ON DATABASE {}", plain(), SQL.quoted(name)),
        Some((_, name)) => format!("{} ON SCHEMA {}", plain(), SQL.quoted(name)),
        None if on == "*" => {
            privileges.iter().map(|role| SQL.quoted(role)).collect::<Vec<_>>().join(", ")
        }
        None => {
            let table = TableName::parse(on).map_or_else(|| SQL.quoted(on), |table| full(&table));
            format!("{} ON TABLE {table}", plain())
        }
    }
}

pub(super) fn full(table: &TableName) -> String {
    format!("{}.{}", SQL.quoted(&table.schema), SQL.quoted(&table.table))
}

fn list(tables: &BTreeSet<TableName>) -> String {
    tables.iter().map(full).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: &Change, expected: &str) {
        assert_eq!(statement(change, "SCRAM-SHA-256$it's").as_deref(), Some(expected));
    }

    fn table(name: &str) -> TableName {
        TableName::parse(name).expect("a table")
    }

    fn name() -> String {
        "orders_1".into()
    }

    #[test]
    fn users_and_what_they_may() {
        let attribute = BTreeMap::from([("k".to_owned(), "it's".to_owned())]);
        let secret = "s".to_owned();
        check(
            &Change::CreateUser { name: name(), secret: secret.clone(), attribute },
            "CREATE ROLE \"orders_1\" LOGIN PASSWORD 'SCRAM-SHA-256$it''s'; COMMENT ON ROLE \"orders_1\" IS '{\"k\":\"it''s\"}'",
        );
        check(
            &Change::SetPassword { name: name(), secret },
            "ALTER ROLE \"orders_1\" LOGIN PASSWORD 'SCRAM-SHA-256$it''s'",
        );
        let grant = |on: &str, list: &[&str]| Change::Grant {
            name: name(),
            on: on.into(),
            privileges: list.iter().map(|item| (*item).to_owned()).collect(),
        };
        check(&grant("*", &["rds_replication"]), "GRANT \"rds_replication\" TO \"orders_1\"");
        check(
            &grant("database my-db", &["CONNECT"]),
            "GRANT CONNECT ON DATABASE \"my-db\" TO \"orders_1\"",
        );
        check(&grant("schema a", &["USAGE"]), "GRANT USAGE ON SCHEMA \"a\" TO \"orders_1\"");
        check(
            &grant("a.B", &["SELECT", "INSERT"]),
            "GRANT INSERT, SELECT ON TABLE \"a\".\"B\" TO \"orders_1\"",
        );
        let privileges = ["SELECT".to_owned()].into();
        check(
            &Change::Revoke { name: name(), on: "a.b".into(), privileges },
            "REVOKE SELECT ON TABLE \"a\".\"b\" FROM \"orders_1\"",
        );
        check(&Change::DropUser { name: name() }, "DROP ROLE \"orders_1\"");
        assert_eq!(statement(&Change::SetRetention { hours: 1 }, ""), None);
    }

    #[test]
    fn tables_and_their_signals() {
        let create = |whole_rows| Change::CreateTable {
            table: table("cdc.signal"),
            columns: "id INT".into(),
            comment: "it's".into(),
            whole_rows,
        };
        check(
            &create(false),
            "CREATE TABLE \"cdc\".\"signal\" (id INT); COMMENT ON TABLE \"cdc\".\"signal\" IS 'it''s'",
        );
        check(
            &create(true),
            "CREATE TABLE \"cdc\".\"signal\" (id INT); ALTER TABLE \"cdc\".\"signal\" REPLICA IDENTITY FULL; COMMENT ON TABLE \"cdc\".\"signal\" IS 'it''s'",
        );
        let row = Change::InsertRow {
            table: table("cdc.signal"),
            id: "1".into(),
            kind: "execute-snapshot".into(),
            data: "{\"a\": \"\\b\"}".into(),
        };
        check(
            &row,
            "INSERT INTO \"cdc\".\"signal\" (id, type, data) VALUES ('1', 'execute-snapshot', '{\"a\": \"\\b\"}')",
        );
    }

    #[test]
    fn publications_and_slots() {
        let tables = || BTreeSet::from([table("a.b"), table("c.d")]);
        check(
            &Change::CreatePublication { name: name(), tables: tables(), comment: "m".into() },
            "CREATE PUBLICATION \"orders_1\" FOR TABLE \"a\".\"b\", \"c\".\"d\"; COMMENT ON PUBLICATION \"orders_1\" IS 'm'",
        );
        check(
            &Change::AddTables { name: name(), tables: tables() },
            "ALTER PUBLICATION \"orders_1\" ADD TABLE \"a\".\"b\", \"c\".\"d\"",
        );
        check(
            &Change::RemoveTables { name: name(), tables: tables() },
            "ALTER PUBLICATION \"orders_1\" DROP TABLE \"a\".\"b\", \"c\".\"d\"",
        );
        check(&Change::DropPublication { name: name() }, "DROP PUBLICATION \"orders_1\"");
        check(
            &Change::CreateSlot { name: name() },
            "SELECT pg_create_logical_replication_slot('orders_1', 'pgoutput')",
        );
        check(&Change::DropSlot { name: name() }, "SELECT pg_drop_replication_slot('orders_1')");
    }
}
