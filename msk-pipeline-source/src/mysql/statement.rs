//! Changes as statements of `MySQL`.

use std::collections::BTreeSet;

use msk_pipeline_verify::session::Engine;

use crate::change::{Change, TableName};

const SQL: Engine = Engine::MySql;

/// A change as a statement, in the syntax that MySQL and MariaDB share but for attributes, which only MySQL has; `None` for what
/// MySQL doesn't have. `password` is that of [`Change::secret`].
pub(super) fn statement(change: &Change, password: &str, attributes: bool) -> Option<String> {
    let of = |name: &str| format!("{}@'%'", SQL.literal(name));
    Some(match change {
        Change::CreateUser { name, attribute, .. } => {
            let mut text =
                format!("CREATE USER {} IDENTIFIED BY {}", of(name), SQL.literal(password));
            if attributes {
                let json = serde_json::json!(attribute).to_string();
                text.push_str(&format!(" ATTRIBUTE {}", SQL.literal(&json)));
            }
            text
        }
        Change::SetPassword { name, .. } => {
            format!("ALTER USER {} IDENTIFIED BY {}", of(name), SQL.literal(password))
        }
        Change::MarkUser { name, attribute } => {
            let json = serde_json::json!(attribute).to_string();
            format!("ALTER USER {} ATTRIBUTE {}", of(name), SQL.literal(&json))
        }
        Change::MarkTable { table, comment } => {
            format!("ALTER TABLE {} COMMENT = {}", full(table), SQL.literal(comment))
        }
        Change::Grant { name, on, privileges } => {
            format!("GRANT {} ON {} TO {}", list(privileges), object(on), of(name))
        }
        Change::Revoke { name, on, privileges } => {
            format!("REVOKE {} ON {} FROM {}", list(privileges), object(on), of(name))
        }
        Change::DropUser { name } => format!("DROP USER {}", of(name)),
        Change::SetRetention { hours } => {
            format!("CALL mysql.rds_set_configuration('binlog retention hours', {hours})")
        }
        Change::CreateSchema { name } => format!("CREATE DATABASE {}", SQL.quoted(name)),
        Change::DropSchema { name } => format!("DROP DATABASE {}", SQL.quoted(name)),
        Change::CreateTable { table, columns, comment, whole_rows: _ } => {
            format!("CREATE TABLE {} ({columns}) COMMENT = {}", full(table), SQL.literal(comment))
        }
        Change::DropTable { table } => format!("DROP TABLE {}", full(table)),
        Change::InsertRow { table, id, kind, data } => format!(
            "INSERT INTO {} (id, type, data) VALUES ({}, {}, {})",
            full(table),
            SQL.literal(id),
            SQL.literal(kind),
            SQL.literal(data)
        ),
        Change::CreatePublication { .. }
        | Change::MarkPublication { .. }
        | Change::AddTables { .. }
        | Change::RemoveTables { .. }
        | Change::DropPublication { .. }
        | Change::CreateSlot { .. }
        | Change::DropSlot { .. } => return None,
    })
}

fn full(table: &TableName) -> String {
    format!("{}.{}", SQL.quoted(&table.schema), SQL.quoted(&table.table))
}

fn list(privileges: &BTreeSet<String>) -> String {
    privileges.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// What privileges are on. On a whole schema its name is a pattern, in which `_` and `%` stand for others unless they are escaped.
fn object(on: &str) -> String {
    match on.split_once('.') {
        Some(("*", _)) | None => "*.*".into(),
        Some((schema, "*")) => {
            let literally = schema.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%");
            format!("{}.*", SQL.quoted(&literally))
        }
        Some((schema, table)) => format!("{}.{}", SQL.quoted(schema), SQL.quoted(table)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[track_caller]
    fn check(change: &Change, expected: &str) {
        assert_eq!(statement(change, "it's \\ secret", true).as_deref(), Some(expected));
    }

    fn set(items: &[&str]) -> BTreeSet<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    #[test]
    fn what_mysql_does_not_have_is_no_statement() {
        assert_eq!(statement(&Change::DropSlot { name: "s".into() }, "", true), None);
    }

    #[test]
    fn each_change_is_one_statement() {
        let (name, secret) = ("debezium".to_owned(), "s".to_owned());
        let attribute = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        let create = Change::CreateUser { name: name.clone(), secret: secret.clone(), attribute };
        check(
            &create,
            "CREATE USER 'debezium'@'%' IDENTIFIED BY 'it''s \\\\ secret' ATTRIBUTE '{\"k\":\"v\"}'",
        );
        assert!(!statement(&create, "p", false).unwrap_or_default().contains("ATTRIBUTE"));
        let attribute = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        let mark = Change::MarkUser { name: name.clone(), attribute };
        check(&mark, "ALTER USER 'debezium'@'%' ATTRIBUTE '{\"k\":\"v\"}'");
        check(
            &Change::SetPassword { name: name.clone(), secret },
            "ALTER USER 'debezium'@'%' IDENTIFIED BY 'it''s \\\\ secret'",
        );
        let grant = |on: &str| Change::Grant {
            name: name.clone(),
            on: on.into(),
            privileges: set(&["SELECT", "INSERT"]),
        };
        check(&grant("*.*"), "GRANT INSERT, SELECT ON *.* TO 'debezium'@'%'");
        check(&grant("my_shop.*"), "GRANT INSERT, SELECT ON `my\\_shop`.* TO 'debezium'@'%'");
        check(&grant("my_shop.a_b"), "GRANT INSERT, SELECT ON `my_shop`.`a_b` TO 'debezium'@'%'");
        let revoke = Change::Revoke {
            name: name.clone(),
            on: "shop.*".into(),
            privileges: set(&["SELECT"]),
        };
        check(&revoke, "REVOKE SELECT ON `shop`.* FROM 'debezium'@'%'");
        check(&Change::DropUser { name }, "DROP USER 'debezium'@'%'");
        check(
            &Change::SetRetention { hours: 168 },
            "CALL mysql.rds_set_configuration('binlog retention hours', 168)",
        );
        let table = TableName::parse("cdc.signal").expect("a table");
        let create = Change::CreateTable {
            table: table.clone(),
            columns: "id INT".into(),
            comment: "c".into(),
            whole_rows: true,
        };
        check(&create, "CREATE TABLE `cdc`.`signal` (id INT) COMMENT = 'c'");
        let row = Change::InsertRow {
            table,
            id: "1".into(),
            kind: "execute-snapshot".into(),
            data: "{\"a\": \"b\"}".into(),
        };
        check(
            &row,
            "INSERT INTO `cdc`.`signal` (id, type, data) VALUES ('1', 'execute-snapshot', '{\"a\": \"b\"}')",
        );
    }
}
