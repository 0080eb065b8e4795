//! What the kinds ask of databases.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use msk_pipeline_core::kind::{CallError, Class};
use serde::{Deserialize, Serialize};

use crate::change::{Change, TableName};

/// Privileges by what they are on: `*.*`, `shop.*`, `cdc.signal`.
pub type Privileges = BTreeMap<String, BTreeSet<String>>;

/// A user at `%`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Whether it logs in with the password that its secret has now.
    pub logs_in: bool,
    /// Its attribute, by which it can be marked; `None` on a server without attributes of users (MariaDB).
    pub attribute: Option<BTreeMap<String, String>>,
    /// What it may do.
    pub privileges: Privileges,
}

/// A schema.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Its tables and views.
    pub tables: BTreeSet<String>,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its comment, by which it is marked.
    pub comment: String,
}

/// A database that can't be reached from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreached {
    /// What didn't answer.
    pub what: String,
    /// What to open, or where to run this instead.
    pub open: String,
}

/// What a look finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look<T> {
    /// There is no such cluster.
    NoServer,
    /// The cluster is there, and its writer is not available: it is being made, or rebooted, or stopped.
    NotReady(String),
    /// It is there and can't be reached.
    Unreached(Unreached),
    /// It was reached, and has no such object.
    Absent,
    /// This is there.
    Found(T),
}

impl<T> Look<T> {
    /// The same look at what was made of what it found.
    pub fn map<U>(self, as_what: impl FnOnce(T) -> U) -> Look<U> {
        match self {
            Self::NoServer => Look::NoServer,
            Self::NotReady(state) => Look::NotReady(state),
            Self::Unreached(unreached) => Look::Unreached(unreached),
            Self::Absent => Look::Absent,
            Self::Found(found) => Look::Found(as_what(found)),
        }
    }
}

/// Databases, by their clusters.
///
/// # Guarantees that an implementation gives
/// Looks change nothing. [`change`](Catalogue::change) carries out exactly one statement, whose effect is seen by every later look. No
/// password is in an answer or an error.
#[async_trait]
pub trait Catalogue: Send + Sync + 'static {
    /// Looks at a user, and tries whether it logs in with what `secret` has now.
    async fn user(&self, cluster: &str, name: &str, secret: &str) -> Result<Look<User>, CallError>;

    /// For how many hours binary logs are kept; `None`: only as long as the server itself needs them.
    async fn retention(&self, cluster: &str) -> Result<Look<Option<u32>>, CallError>;

    /// Looks at a schema.
    async fn schema(&self, cluster: &str, name: &str) -> Result<Look<Schema>, CallError>;

    /// Looks at a table.
    async fn table(&self, cluster: &str, table: &TableName) -> Result<Look<Table>, CallError>;

    /// Whether a signal table has the row `id`.
    async fn row(&self, cluster: &str, table: &TableName, id: &str) -> Result<Look<()>, CallError>;

    /// Carries out a change.
    async fn change(&self, cluster: &str, change: &Change) -> Result<(), CallError>;
}

/// Reaches no database: for what is pure, and for worlds that have none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl Nowhere {
    fn unreached<T>(cluster: &str) -> Look<T> {
        Look::Unreached(Unreached {
            what: format!("the database of {cluster}"),
            open: "No database stands behind this session.".into(),
        })
    }
}

#[async_trait]
impl Catalogue for Nowhere {
    async fn user(&self, cluster: &str, _: &str, _: &str) -> Result<Look<User>, CallError> {
        Ok(Self::unreached(cluster))
    }

    async fn retention(&self, cluster: &str) -> Result<Look<Option<u32>>, CallError> {
        Ok(Self::unreached(cluster))
    }

    async fn schema(&self, cluster: &str, _: &str) -> Result<Look<Schema>, CallError> {
        Ok(Self::unreached(cluster))
    }

    async fn table(&self, cluster: &str, _: &TableName) -> Result<Look<Table>, CallError> {
        Ok(Self::unreached(cluster))
    }

    async fn row(&self, cluster: &str, _: &TableName, _: &str) -> Result<Look<()>, CallError> {
        Ok(Self::unreached(cluster))
    }

    async fn change(&self, cluster: &str, change: &Change) -> Result<(), CallError> {
        let message = format!("no database stands behind {cluster} in this session");
        Err(CallError::new(Class::Invalid, change.op(), message))
    }
}
