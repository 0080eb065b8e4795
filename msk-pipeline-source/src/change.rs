//! A changing request as a value, and what a server's refusal of it means.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use msk_pipeline_core::kind::CallError;
use serde::{Deserialize, Serialize};

use crate::place::Engine;
use crate::{mysql, postgres};

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

/// One changing request, which has its effect wholly or not at all. A password is named by its secret, and read when the request is sent.
///
/// What each is in SQL stands with the engine: `mysql/statement.rs`, `postgres/statement.rs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the request's own parts")]
pub enum Change {
    /// Makes a user, with the mark as its attribute where the server has attributes.
    CreateUser { name: String, secret: String, attribute: BTreeMap<String, String> },
    /// Sets the password that the secret has now.
    SetPassword { name: String, secret: String },
    /// Writes the mark on a user that is taken over. Only on servers that have attributes.
    MarkUser { name: String, attribute: BTreeMap<String, String> },
    /// Gives privileges on one object.
    Grant { name: String, on: String, privileges: BTreeSet<String> },
    /// Takes privileges on one object.
    Revoke { name: String, on: String, privileges: BTreeSet<String> },
    /// Drops a user.
    DropUser { name: String },
    /// Sets for how long binary logs are kept (MySQL).
    SetRetention { hours: u32 },
    /// Makes a schema.
    CreateSchema { name: String },
    /// Drops a schema.
    DropSchema { name: String },
    /// Makes a table, with the mark as its comment.
    CreateTable {
        table: TableName,
        columns: String,
        comment: String,
        /// Updates and deletes tell the whole row that was (PostgreSQL: REPLICA IDENTITY FULL).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        whole_rows: bool,
    },
    /// Writes the mark on a table that is taken over.
    MarkTable { table: TableName, comment: String },
    /// Drops a table.
    DropTable { table: TableName },
    /// Writes a signal.
    InsertRow { table: TableName, id: String, kind: String, data: String },
    /// Makes a publication of tables, with the mark as its comment (PostgreSQL).
    CreatePublication { name: String, tables: BTreeSet<TableName>, comment: String },
    /// Writes the mark on a publication that is taken over (PostgreSQL).
    MarkPublication { name: String, comment: String },
    /// Publishes further tables (PostgreSQL).
    AddTables { name: String, tables: BTreeSet<TableName> },
    /// Publishes tables no more (PostgreSQL).
    RemoveTables { name: String, tables: BTreeSet<TableName> },
    /// Drops a publication (PostgreSQL).
    DropPublication { name: String },
    /// Makes a logical replication slot of `pgoutput` (PostgreSQL).
    CreateSlot { name: String },
    /// Drops a replication slot (PostgreSQL).
    DropSlot { name: String },
}

impl Change {
    /// The operation, `database:CreateUser`.
    pub fn op(&self) -> &'static str {
        match self {
            Self::CreateUser { .. } => "database:CreateUser",
            Self::SetPassword { .. } => "database:SetPassword",
            Self::MarkUser { .. } => "database:MarkUser",
            Self::Grant { .. } => "database:Grant",
            Self::Revoke { .. } => "database:Revoke",
            Self::DropUser { .. } => "database:DropUser",
            Self::SetRetention { .. } => "database:SetRetention",
            Self::CreateSchema { .. } => "database:CreateSchema",
            Self::DropSchema { .. } => "database:DropSchema",
            Self::CreateTable { .. } => "database:CreateTable",
            Self::MarkTable { .. } => "database:MarkTable",
            Self::DropTable { .. } => "database:DropTable",
            Self::InsertRow { .. } => "database:InsertRow",
            Self::CreatePublication { .. } => "database:CreatePublication",
            Self::MarkPublication { .. } => "database:MarkPublication",
            Self::AddTables { .. } => "database:AddTables",
            Self::RemoveTables { .. } => "database:RemoveTables",
            Self::DropPublication { .. } => "database:DropPublication",
            Self::CreateSlot { .. } => "database:CreateSlot",
            Self::DropSlot { .. } => "database:DropSlot",
        }
    }

    /// The secret whose password the request has.
    pub fn secret(&self) -> Option<(&str, &str)> {
        match self {
            Self::CreateUser { name, secret, .. } | Self::SetPassword { name, secret } => {
                Some((name, secret))
            }
            _ => None,
        }
    }
}

/// What a server's refusal means for the next move: `code` is the number of a `MySQL` error, the SQLSTATE of a `PostgreSQL` one.
pub fn classify(engine: Engine, op: &str, code: &str, message: &str) -> CallError {
    let (class, help) = match engine {
        Engine::MySql => (mysql::refusal::class(op, code), None),
        Engine::Postgres => postgres::refusal::class(op, code),
    };
    let message = help.map_or_else(|| message.to_owned(), |help| format!("{message}: {help}"));
    CallError { code: Some(code.to_owned()), ..CallError::new(class, op, message) }
}
