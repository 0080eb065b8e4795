//! What is in the databases, by the cluster that they belong to.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What exists.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Servers by the resource id of their cluster: one that is made again under the same name is another server.
    pub(super) servers: BTreeMap<String, Server>,
}

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) enum Engine {
    #[default]
    MySql,
    Postgres,
}

/// What a preparation can see and change of one server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Server {
    pub(super) engine: Engine,
    /// Users by name; of `MySQL` at `%`.
    pub(super) users: BTreeMap<String, User>,
    /// `binlog retention hours`; `None` is `NULL` (`MySQL`).
    pub(super) retention: Option<i64>,
    /// Databases; `MySQL` has one, without a name.
    pub(super) databases: BTreeMap<String, Database>,
    /// Replication slots by name (`PostgreSQL`).
    pub(super) slots: BTreeMap<String, Slot>,
}

/// What is in one database.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Database {
    /// Schemas with their tables.
    pub(super) schemas: BTreeMap<String, BTreeMap<String, Table>>,
    /// Publications by name (`PostgreSQL`).
    pub(super) publications: BTreeMap<String, Publication>,
}

/// A user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct User {
    /// The version of the secret whose password was set: nothing of the password is kept.
    pub(super) password_of: Option<(String, String)>,
    /// `ATTRIBUTE`, or a role's comment.
    pub(super) attribute: BTreeMap<String, String>,
    /// Privileges by what they are on: `*.*`, `shop.*`, `cdc.signal`; `database shop`, `schema cdc`.
    pub(super) privileges: BTreeMap<String, BTreeSet<String>>,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Table {
    pub(super) columns: String,
    pub(super) comment: String,
    /// `REPLICA IDENTITY FULL` (`PostgreSQL`).
    #[serde(default)]
    pub(super) whole_rows: bool,
    /// Rows by their key.
    pub(super) rows: BTreeMap<String, (String, String)>,
}

/// A publication.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Publication {
    pub(super) tables: BTreeSet<String>,
    pub(super) comment: String,
}

/// A replication slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) database: String,
    pub(super) plugin: String,
}
