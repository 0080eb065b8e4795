//! A changing statement as a value, and what a server's refusal of it means.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use msk_pipeline_core::kind::{CallError, Class};
use serde::{Deserialize, Serialize};

/// A table with its schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
}

impl TableName {
    /// Reads `schema.table`.
    pub fn parse(text: &str) -> Option<Self> {
        let (schema, table) = text.split_once('.')?;
        Some(Self { schema: schema.to_owned(), table: table.to_owned() })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// One changing statement. A password is named by its secret, and read when the statement is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the statement's own parts")]
pub enum Change {
    /// `CREATE USER`, with the mark as its attribute where the server has attributes.
    CreateUser { name: String, secret: String, attribute: BTreeMap<String, String> },
    /// `ALTER USER … IDENTIFIED BY`: the password that the secret has now.
    SetPassword { name: String, secret: String },
    /// `ALTER USER … ATTRIBUTE`: the mark, of a user that is taken over. Only on servers that have attributes.
    MarkUser { name: String, attribute: BTreeMap<String, String> },
    /// `GRANT`
    Grant { name: String, on: String, privileges: BTreeSet<String> },
    /// `REVOKE`
    Revoke { name: String, on: String, privileges: BTreeSet<String> },
    /// `DROP USER`
    DropUser { name: String },
    /// `CALL mysql.rds_set_configuration('binlog retention hours', …)`
    SetRetention { hours: u32 },
    /// `CREATE DATABASE`
    CreateSchema { name: String },
    /// `DROP DATABASE`
    DropSchema { name: String },
    /// `CREATE TABLE`
    CreateTable { table: TableName, columns: String, comment: String },
    /// `ALTER TABLE … COMMENT`: the mark, of a table that is taken over.
    MarkTable { table: TableName, comment: String },
    /// `DROP TABLE`
    DropTable { table: TableName },
    /// `INSERT` of a signal.
    InsertRow { table: TableName, id: String, kind: String, data: String },
}

impl Change {
    /// The operation, `mysql:CreateUser`.
    pub fn op(&self) -> &'static str {
        match self {
            Self::CreateUser { .. } => "mysql:CreateUser",
            Self::SetPassword { .. } => "mysql:SetPassword",
            Self::MarkUser { .. } => "mysql:MarkUser",
            Self::MarkTable { .. } => "mysql:MarkTable",
            Self::Grant { .. } => "mysql:Grant",
            Self::Revoke { .. } => "mysql:Revoke",
            Self::DropUser { .. } => "mysql:DropUser",
            Self::SetRetention { .. } => "mysql:SetRetention",
            Self::CreateSchema { .. } => "mysql:CreateSchema",
            Self::DropSchema { .. } => "mysql:DropSchema",
            Self::CreateTable { .. } => "mysql:CreateTable",
            Self::DropTable { .. } => "mysql:DropTable",
            Self::InsertRow { .. } => "mysql:InsertRow",
        }
    }

    /// The secret whose password the statement has.
    pub fn secret(&self) -> Option<(&str, &str)> {
        match self {
            Self::CreateUser { name, secret, .. } | Self::SetPassword { name, secret } => {
                Some((name, secret))
            }
            _ => None,
        }
    }

    /// The statement, in the syntax that MySQL and MariaDB share but for attributes, which only MySQL has. `password` is that of
    /// [`secret`](Self::secret).
    pub(crate) fn statement(&self, password: &str, attributes: bool) -> String {
        let of = |name: &str| format!("{}@'%'", literal(name));
        match self {
            Self::CreateUser { name, attribute, .. } => {
                let mut text =
                    format!("CREATE USER {} IDENTIFIED BY {}", of(name), literal(password));
                if attributes {
                    let json = serde_json::json!(attribute).to_string();
                    text.push_str(&format!(" ATTRIBUTE {}", literal(&json)));
                }
                text
            }
            Self::SetPassword { name, .. } => {
                format!("ALTER USER {} IDENTIFIED BY {}", of(name), literal(password))
            }
            Self::MarkUser { name, attribute } => {
                let json = serde_json::json!(attribute).to_string();
                format!("ALTER USER {} ATTRIBUTE {}", of(name), literal(&json))
            }
            Self::MarkTable { table, comment } => {
                format!("ALTER TABLE {} COMMENT = {}", full(table), literal(comment))
            }
            Self::Grant { name, on, privileges } => {
                format!("GRANT {} ON {} TO {}", list(privileges), object(on), of(name))
            }
            Self::Revoke { name, on, privileges } => {
                format!("REVOKE {} ON {} FROM {}", list(privileges), object(on), of(name))
            }
            Self::DropUser { name } => format!("DROP USER {}", of(name)),
            Self::SetRetention { hours } => {
                format!("CALL mysql.rds_set_configuration('binlog retention hours', {hours})")
            }
            Self::CreateSchema { name } => format!("CREATE DATABASE {}", quoted(name)),
            Self::DropSchema { name } => format!("DROP DATABASE {}", quoted(name)),
            Self::CreateTable { table, columns, comment } => {
                format!("CREATE TABLE {} ({columns}) COMMENT = {}", full(table), literal(comment))
            }
            Self::DropTable { table } => format!("DROP TABLE {}", full(table)),
            Self::InsertRow { table, id, kind, data } => format!(
                "INSERT INTO {} (id, type, data) VALUES ({}, {}, {})",
                full(table),
                literal(id),
                literal(kind),
                literal(data)
            ),
        }
    }
}

/// A string literal, for a session that reads `\` as MySQL does by default.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// An identifier.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn full(table: &TableName) -> String {
    format!("{}.{}", quoted(&table.schema), quoted(&table.table))
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
            format!("{}.*", quoted(&literally))
        }
        Some((schema, table)) => format!("{}.{}", quoted(schema), quoted(table)),
    }
}

/// What a server's refusal means for the next move. Codes: page 'Server Error Message Reference', MySQL 8.0.
pub fn classify(op: &str, code: u16, message: &str) -> CallError {
    let creates = op.starts_with("mysql:Create");
    let class = match code {
        // A user that exists, or doesn't: the server has one code for both.
        1396 if creates => Class::AlreadyExists,
        1007 | 1050 | 1062 => Class::AlreadyExists,
        1008 | 1049 | 1051 | 1141 | 1146 | 1147 | 1396 | 1410 => Class::NotFound,
        1044 | 1045 | 1142 | 1227 | 1370 => Class::Denied,
        // Too many connections; a lock that was waited for; a server that is being shut down, or has become a reader.
        1040 | 1053 | 1205 | 1213 | 1290 | 1836 => Class::Conflict,
        _ => Class::Invalid,
    };
    CallError { code: Some(code.to_string()), ..CallError::new(class, op, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: &Change, expected: &str) {
        assert_eq!(change.statement("it's \\ secret", true), expected);
    }

    fn set(items: &[&str]) -> BTreeSet<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
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
        assert!(!create.statement("p", false).contains("ATTRIBUTE"));
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

    #[test]
    fn a_refusal_has_a_class() {
        for (op, code, expected) in [
            ("mysql:CreateUser", 1396, Class::AlreadyExists),
            ("mysql:DropUser", 1396, Class::NotFound),
            ("mysql:InsertRow", 1062, Class::AlreadyExists),
            ("mysql:DropTable", 1051, Class::NotFound),
            ("mysql:Grant", 1044, Class::Denied),
            ("mysql:Grant", 1213, Class::Conflict),
            ("mysql:Grant", 1064, Class::Invalid),
        ] {
            assert_eq!(classify(op, code, "").class, expected, "{op} {code}");
        }
    }
}
