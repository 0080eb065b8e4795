//! What a server refuses. Codes and messages: page 'Server Error Message Reference', `MySQL` 8.0.

use super::state::{Server, Table};
use crate::world::AwsError;

/// The rules and where each comes from.
pub(crate) const RULES: &[(&str, &str)] = &[
    ("user_is_new", "MySQL 8.0 'Server Error Message Reference', 1396"),
    ("user_is_there", "MySQL 8.0 'Server Error Message Reference', 1396; for GRANT 1410"),
    ("schema_is_new", "MySQL 8.0 'Server Error Message Reference', 1007"),
    ("schema_is_there", "MySQL 8.0 'Server Error Message Reference', 1008 and 1049"),
    ("table_is_new", "MySQL 8.0 'Server Error Message Reference', 1050"),
    ("table_is_there", "MySQL 8.0 'Server Error Message Reference', 1051 and 1146"),
    ("row_is_new", "MySQL 8.0 'Server Error Message Reference', 1062"),
    (
        "retention_is_in_range",
        "handbook aws.md §4.9; doc 'Setting and showing binary log configuration'",
    ),
];

fn refused(code: &str, message: String) -> AwsError {
    AwsError::new(code, message).status(400)
}

pub(super) fn user_is_new(server: &Server, name: &str) -> Result<(), AwsError> {
    if server.users.contains_key(name) {
        return Err(refused("1396", format!("Operation CREATE USER failed for '{name}'@'%'")));
    }
    Ok(())
}

pub(super) fn user_is_there(server: &Server, name: &str, what: &str) -> Result<(), AwsError> {
    if server.users.contains_key(name) {
        return Ok(());
    }
    Err(match what {
        "GRANT" => refused("1410", "You are not allowed to create a user with GRANT".into()),
        _ => refused("1396", format!("Operation {what} failed for '{name}'@'%'")),
    })
}

pub(super) fn schema_is_new(server: &Server, name: &str) -> Result<(), AwsError> {
    if server.schemas.contains_key(name) {
        return Err(refused("1007", format!("Can't create database '{name}'; database exists")));
    }
    Ok(())
}

/// `code` is that of the statement: 1008 where it is dropped, 1049 where it is used.
pub(super) fn schema_is_there<'a>(
    server: &'a mut Server,
    name: &str,
    code: &str,
) -> Result<&'a mut std::collections::BTreeMap<String, Table>, AwsError> {
    let missing = match code {
        "1008" => format!("Can't drop database '{name}'; database doesn't exist"),
        _ => format!("Unknown database '{name}'"),
    };
    server.schemas.get_mut(name).ok_or_else(|| refused(code, missing))
}

pub(super) fn table_is_new(
    tables: &std::collections::BTreeMap<String, Table>,
    name: &str,
) -> Result<(), AwsError> {
    if tables.contains_key(name) {
        return Err(refused("1050", format!("Table '{name}' already exists")));
    }
    Ok(())
}

/// `code` is that of the statement: 1051 where it is dropped, 1146 where it is used.
pub(super) fn table_is_there<'a>(
    server: &'a mut Server,
    schema: &str,
    table: &str,
    code: &str,
) -> Result<&'a mut Table, AwsError> {
    let missing = match code {
        "1051" => format!("Unknown table '{schema}.{table}'"),
        _ => format!("Table '{schema}.{table}' doesn't exist"),
    };
    let found = server.schemas.get_mut(schema).and_then(|tables| tables.get_mut(table));
    found.ok_or_else(|| refused(code, missing))
}

pub(super) fn row_is_new(table: &Table, id: &str) -> Result<(), AwsError> {
    if table.rows.contains_key(id) {
        return Err(refused("1062", format!("Duplicate entry '{id}' for key 'PRIMARY'")));
    }
    Ok(())
}

pub(super) fn retention_is_in_range(hours: Option<i64>) -> Result<(), AwsError> {
    if hours.is_some_and(|hours| !(1..=2160).contains(&hours)) {
        let message =
            "For binlog retention hours the value must be between 1 and 2160 inclusive or be NULL";
        return Err(refused("1644", message.into()));
    }
    Ok(())
}
