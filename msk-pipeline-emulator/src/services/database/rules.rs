//! What a server refuses. `MySQL`: page 'Server Error Message Reference', 8.0. `PostgreSQL`: appendix 'Error Codes', 16, and the messages that a
//! server of version 15 gave.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::state::{Engine, Publication, Server, Table, User};
use super::text;
use crate::world::AwsError;

/// The rules and where each comes from.
pub(crate) const RULES: &[(&str, &str)] = &[
    ("protocol_is_spoken", "each engine has a protocol of its own: no session comes about"),
    ("database_is_there", "PostgreSQL 16 'Error Codes', 3D000"),
    (
        "engine_has_it",
        "MySQL 8.0 'Server Error Message Reference', 1064; PostgreSQL 16 'Error Codes', 3F000",
    ),
    ("user_is_new", "MySQL 8.0 'Server Error Message Reference', 1396; PostgreSQL 16, 42710"),
    (
        "user_is_there",
        "MySQL 8.0 'Server Error Message Reference', 1396; for GRANT 1410; PostgreSQL 16, 42704",
    ),
    ("role_may_do_nothing", "PostgreSQL 16, page 'DROP ROLE', 2BP01"),
    ("schema_is_new", "MySQL 8.0 'Server Error Message Reference', 1007; PostgreSQL 16, 42P06"),
    (
        "schema_is_there",
        "MySQL 8.0 'Server Error Message Reference', 1008 and 1049; PostgreSQL 16, 3F000",
    ),
    ("schema_is_empty", "PostgreSQL 16, page 'DROP SCHEMA' (RESTRICT is the default), 2BP01"),
    ("table_is_new", "MySQL 8.0 'Server Error Message Reference', 1050; PostgreSQL 16, 42P07"),
    (
        "table_is_there",
        "MySQL 8.0 'Server Error Message Reference', 1051 and 1146; PostgreSQL 16, 42P01",
    ),
    ("row_is_new", "MySQL 8.0 'Server Error Message Reference', 1062; PostgreSQL 16, 23505"),
    (
        "retention_is_in_range",
        "handbook aws.md §4.9; doc 'Setting and showing binary log configuration'",
    ),
    ("publication_is_new", "PostgreSQL 16 'Error Codes', 42710"),
    ("publication_is_there", "PostgreSQL 16 'Error Codes', 42704"),
    ("tables_are_not_published", "PostgreSQL 16, page 'ALTER PUBLICATION', 42710"),
    ("tables_are_published", "PostgreSQL 16, page 'ALTER PUBLICATION', 42704"),
    ("wal_is_logical", "handbook aws.md §4.10; PostgreSQL 16, section 'Logical Decoding', 55000"),
    ("slot_is_new", "PostgreSQL 16 'Error Codes', 42710"),
    ("slot_is_there", "PostgreSQL 16 'Error Codes', 42704"),
    (
        "slot_is_free",
        "PostgreSQL 16, 'Replication Management Functions': pg_drop_replication_slot, 55006",
    ),
];

type Schemas = BTreeMap<String, BTreeMap<String, Table>>;

fn refused(code: &str, message: impl Into<String>) -> AwsError {
    AwsError::new(code, message.into()).status(400)
}

pub(super) fn protocol_is_spoken(engine: Engine, input: &Value) -> Result<(), AwsError> {
    if input["Database"].is_string() == (engine == Engine::Postgres) {
        return Ok(());
    }
    Err(refused("ProtocolError", "the server speaks another protocol"))
}

/// `postgres` is in every cluster.
pub(super) fn database_is_there(
    engine: Engine,
    made: Option<&str>,
    input: &Value,
) -> Result<(), AwsError> {
    let name = text(input, "Database");
    if engine == Engine::MySql || name == "postgres" || made == Some(name) {
        return Ok(());
    }
    Err(refused("3D000", format!("database \"{name}\" does not exist")))
}

/// Binary logs are `MySQL`'s, publications and slots `PostgreSQL`'s.
pub(super) fn engine_has_it(engine: Engine, operation: &str) -> Result<(), AwsError> {
    let postgres = ["Publication", "Slot", "AddTables", "RemoveTables"];
    match engine {
        Engine::MySql if postgres.iter().any(|what| operation.ends_with(what)) => {
            Err(refused("1064", "You have an error in your SQL syntax"))
        }
        Engine::Postgres if operation == "SetRetention" => {
            Err(refused("3F000", "schema \"mysql\" does not exist"))
        }
        _ => Ok(()),
    }
}

pub(super) fn user_is_new(server: &Server, name: &str) -> Result<(), AwsError> {
    if !server.users.contains_key(name) {
        return Ok(());
    }
    Err(match server.engine {
        Engine::MySql => refused("1396", format!("Operation CREATE USER failed for '{name}'@'%'")),
        Engine::Postgres => refused("42710", format!("role \"{name}\" already exists")),
    })
}

pub(super) fn user_is_there<'a>(
    server: &'a mut Server,
    name: &str,
    operation: &str,
) -> Result<&'a mut User, AwsError> {
    let engine = server.engine;
    server.users.get_mut(name).ok_or_else(|| match (engine, operation) {
        (Engine::Postgres, _) => refused("42704", format!("role \"{name}\" does not exist")),
        (Engine::MySql, "Grant") => {
            refused("1410", "You are not allowed to create a user with GRANT")
        }
        (Engine::MySql, "Revoke") => {
            refused("1396", format!("Operation REVOKE failed for '{name}'@'%'"))
        }
        (Engine::MySql, "DropUser") => {
            refused("1396", format!("Operation DROP USER failed for '{name}'@'%'"))
        }
        (Engine::MySql, _) => {
            refused("1396", format!("Operation ALTER USER failed for '{name}'@'%'"))
        }
    })
}

/// Membership in another role doesn't keep a role, what it may do on an object does.
pub(super) fn role_may_do_nothing(engine: Engine, name: &str, user: &User) -> Result<(), AwsError> {
    if engine == Engine::MySql || user.privileges.keys().all(|on| on == "*") {
        return Ok(());
    }
    Err(refused(
        "2BP01",
        format!("role \"{name}\" cannot be dropped because some objects depend on it"),
    ))
}

pub(super) fn schema_is_new(engine: Engine, schemas: &Schemas, name: &str) -> Result<(), AwsError> {
    if !schemas.contains_key(name) {
        return Ok(());
    }
    Err(match engine {
        Engine::MySql => {
            refused("1007", format!("Can't create database '{name}'; database exists"))
        }
        Engine::Postgres => refused("42P06", format!("schema \"{name}\" already exists")),
    })
}

pub(super) fn schema_is_there<'a>(
    engine: Engine,
    schemas: &'a mut Schemas,
    name: &str,
    operation: &str,
) -> Result<&'a mut BTreeMap<String, Table>, AwsError> {
    schemas.get_mut(name).ok_or_else(|| match (engine, operation) {
        (Engine::Postgres, _) => refused("3F000", format!("schema \"{name}\" does not exist")),
        (Engine::MySql, "DropSchema") => {
            refused("1008", format!("Can't drop database '{name}'; database doesn't exist"))
        }
        (Engine::MySql, _) => refused("1049", format!("Unknown database '{name}'")),
    })
}

/// `MySQL` drops a schema with all that is in it.
pub(super) fn schema_is_empty(
    engine: Engine,
    name: &str,
    tables: &BTreeMap<String, Table>,
) -> Result<(), AwsError> {
    if engine == Engine::MySql || tables.is_empty() {
        return Ok(());
    }
    Err(refused("2BP01", format!("cannot drop schema {name} because other objects depend on it")))
}

pub(super) fn table_is_new(
    engine: Engine,
    tables: &BTreeMap<String, Table>,
    name: &str,
) -> Result<(), AwsError> {
    if !tables.contains_key(name) {
        return Ok(());
    }
    Err(match engine {
        Engine::MySql => refused("1050", format!("Table '{name}' already exists")),
        Engine::Postgres => refused("42P07", format!("relation \"{name}\" already exists")),
    })
}

pub(super) fn table_is_there<'a>(
    engine: Engine,
    schemas: &'a mut Schemas,
    schema: &str,
    table: &str,
    operation: &str,
) -> Result<&'a mut Table, AwsError> {
    let found = schemas.get_mut(schema).and_then(|tables| tables.get_mut(table));
    found.ok_or_else(|| match (engine, operation) {
        (Engine::Postgres, "DropTable") => {
            refused("42P01", format!("table \"{table}\" does not exist"))
        }
        (Engine::Postgres, _) => {
            refused("42P01", format!("relation \"{schema}.{table}\" does not exist"))
        }
        (Engine::MySql, "DropTable") => {
            refused("1051", format!("Unknown table '{schema}.{table}'"))
        }
        (Engine::MySql, _) => refused("1146", format!("Table '{schema}.{table}' doesn't exist")),
    })
}

pub(super) fn row_is_new(engine: Engine, table: &Table, id: &str) -> Result<(), AwsError> {
    if !table.rows.contains_key(id) {
        return Ok(());
    }
    Err(match engine {
        Engine::MySql => refused("1062", format!("Duplicate entry '{id}' for key 'PRIMARY'")),
        Engine::Postgres => {
            refused("23505", "duplicate key value violates unique constraint \"signal_pkey\"")
        }
    })
}

pub(super) fn retention_is_in_range(hours: Option<i64>) -> Result<(), AwsError> {
    if hours.is_some_and(|hours| !(1..=2160).contains(&hours)) {
        let message =
            "For binlog retention hours the value must be between 1 and 2160 inclusive or be NULL";
        return Err(refused("1644", message));
    }
    Ok(())
}

pub(super) fn publication_is_new(
    publications: &BTreeMap<String, Publication>,
    name: &str,
) -> Result<(), AwsError> {
    if publications.contains_key(name) {
        return Err(refused("42710", format!("publication \"{name}\" already exists")));
    }
    Ok(())
}

pub(super) fn publication_is_there<'a>(
    publications: &'a mut BTreeMap<String, Publication>,
    name: &str,
) -> Result<&'a mut Publication, AwsError> {
    let missing = || refused("42704", format!("publication \"{name}\" does not exist"));
    publications.get_mut(name).ok_or_else(missing)
}

pub(super) fn tables_are_not_published(
    name: &str,
    publication: &Publication,
    tables: &BTreeSet<String>,
) -> Result<(), AwsError> {
    let Some(table) = tables.intersection(&publication.tables).next() else { return Ok(()) };
    let relation = table.rsplit('.').next().unwrap_or(table);
    let message = format!("relation \"{relation}\" is already member of publication \"{name}\"");
    Err(refused("42710", message))
}

pub(super) fn tables_are_published(
    publication: &Publication,
    tables: &BTreeSet<String>,
) -> Result<(), AwsError> {
    let Some(table) = tables.difference(&publication.tables).next() else { return Ok(()) };
    let relation = table.rsplit('.').next().unwrap_or(table);
    Err(refused("42704", format!("relation \"{relation}\" is not part of the publication")))
}

pub(super) fn wal_is_logical(logical: bool) -> Result<(), AwsError> {
    if logical {
        return Ok(());
    }
    Err(refused("55000", "logical decoding requires wal_level >= logical"))
}

pub(super) fn slot_is_new(server: &Server, name: &str) -> Result<(), AwsError> {
    if server.slots.contains_key(name) {
        return Err(refused("42710", format!("replication slot \"{name}\" already exists")));
    }
    Ok(())
}

pub(super) fn slot_is_there(server: &Server, name: &str) -> Result<(), AwsError> {
    if server.slots.contains_key(name) {
        return Ok(());
    }
    Err(refused("42704", format!("replication slot \"{name}\" does not exist")))
}

pub(super) fn slot_is_free(name: &str, active: bool) -> Result<(), AwsError> {
    if active {
        return Err(refused("55006", format!("replication slot \"{name}\" is active")));
    }
    Ok(())
}
