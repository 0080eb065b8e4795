//! What the kinds ask of databases.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use msk_pipeline_core::kind::{CallError, Class};
use serde::{Deserialize, Serialize};

use crate::change::{Change, TableName};
use crate::place::Place;

/// Privileges by what they are on: of MySQL `*.*`, `shop.*`, `cdc.signal`; of PostgreSQL `database shop`, `schema sales`, `sales.orders`, and
/// the roles that a role is a member of on `*`.
pub type Privileges = BTreeMap<String, BTreeSet<String>>;

/// A user: of MySQL at `%`, of PostgreSQL a role that may log in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Whether it logs in with the password that its secret has now.
    pub logs_in: bool,
    /// Its attribute, by which it can be marked: of PostgreSQL its comment. `None` on a server without attributes of users (MariaDB).
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

/// A publication (PostgreSQL).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Its comment, by which it is marked.
    pub comment: String,
    /// It publishes every table that there is and will be, and can't list any.
    pub all_tables: bool,
    /// The tables that it lists.
    pub tables: BTreeSet<TableName>,
}

/// A logical replication slot (PostgreSQL).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The output plugin.
    pub plugin: String,
    /// The database whose changes it keeps.
    pub database: String,
    /// Whether somebody reads from it.
    pub active: bool,
    /// What it keeps was removed (`wal_status`), so that nobody can read from it any more.
    pub lost: bool,
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

/// Databases, by their places.
///
/// # Guarantees that an implementation gives
/// Looks change nothing. [`change`](Catalogue::change) carries out exactly one request, wholly or not at all, whose effect is seen by every later
/// look. No
/// password is in an answer or an error.
#[async_trait]
pub trait Catalogue: Send + Sync + 'static {
    /// Looks at a user, and tries whether it logs in with what `secret` has now.
    async fn user(&self, at: &Place, name: &str, secret: &str) -> Result<Look<User>, CallError>;

    /// For how many hours binary logs are kept; `None`: only as long as the server itself needs them.
    async fn retention(&self, at: &Place) -> Result<Look<Option<u32>>, CallError>;

    /// Looks at a schema.
    async fn schema(&self, at: &Place, name: &str) -> Result<Look<Schema>, CallError>;

    /// Looks at a table.
    async fn table(&self, at: &Place, table: &TableName) -> Result<Look<Table>, CallError>;

    /// Whether a signal table has the row `id`.
    async fn row(&self, at: &Place, table: &TableName, id: &str) -> Result<Look<()>, CallError>;

    /// Looks at a publication.
    async fn publication(&self, at: &Place, name: &str) -> Result<Look<Publication>, CallError>;

    /// Looks at a replication slot.
    async fn slot(&self, at: &Place, name: &str) -> Result<Look<Slot>, CallError>;

    /// Carries out a change.
    async fn change(&self, at: &Place, change: &Change) -> Result<(), CallError>;
}

/// Reaches no database: for what is pure, and for worlds that have none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl Nowhere {
    fn unreached<T>(at: &Place) -> Look<T> {
        Look::Unreached(Unreached {
            what: format!("the database of {}", at.cluster),
            open: "No database stands behind this session.".into(),
        })
    }
}

#[async_trait]
impl Catalogue for Nowhere {
    async fn user(&self, at: &Place, _: &str, _: &str) -> Result<Look<User>, CallError> {
        Ok(Self::unreached(at))
    }

    async fn retention(&self, at: &Place) -> Result<Look<Option<u32>>, CallError> {
        Ok(Self::unreached(at))
    }

    async fn schema(&self, at: &Place, _: &str) -> Result<Look<Schema>, CallError> {
        Ok(Self::unreached(at))
    }

    async fn table(&self, at: &Place, _: &TableName) -> Result<Look<Table>, CallError> {
        Ok(Self::unreached(at))
    }

    async fn row(&self, at: &Place, _: &TableName, _: &str) -> Result<Look<()>, CallError> {
        Ok(Self::unreached(at))
    }

    async fn publication(&self, at: &Place, _: &str) -> Result<Look<Publication>, CallError> {
        Ok(Self::unreached(at))
    }

    async fn slot(&self, at: &Place, _: &str) -> Result<Look<Slot>, CallError> {
        Ok(Self::unreached(at))
    }

    async fn change(&self, at: &Place, change: &Change) -> Result<(), CallError> {
        let message = format!("no database stands behind {} in this session", at.cluster);
        Err(CallError::new(Class::Invalid, change.op(), message))
    }
}
