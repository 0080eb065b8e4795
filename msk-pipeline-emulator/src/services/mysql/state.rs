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

/// What a preparation can see and change of one server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Server {
    /// Users at `%`, by name.
    pub(super) users: BTreeMap<String, User>,
    /// `binlog retention hours`; `None` is `NULL`.
    pub(super) retention: Option<i64>,
    /// Schemas with their tables.
    pub(super) schemas: BTreeMap<String, BTreeMap<String, Table>>,
}

/// A user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct User {
    /// The version of the secret whose password was set: nothing of the password is kept.
    pub(super) password_of: Option<(String, String)>,
    /// `ATTRIBUTE`.
    pub(super) attribute: BTreeMap<String, String>,
    /// Privileges by what they are on: `*.*`, `shop.*`, `cdc.signal`.
    pub(super) privileges: BTreeMap<String, BTreeSet<String>>,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Table {
    pub(super) columns: String,
    pub(super) comment: String,
    /// Rows by their key.
    pub(super) rows: BTreeMap<String, (String, String)>,
}
