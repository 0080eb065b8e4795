//! Where statements go.

pub use msk_pipeline_verify::session::Engine;
use serde::{Deserialize, Serialize};

/// A cluster, and of PostgreSQL the database in it: a session is in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The cluster's identifier.
    pub cluster: String,
    /// The database. Only sessions of PostgreSQL are in one, so this tells the engine, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

impl Place {
    /// A cluster of MySQL.
    pub fn mysql(cluster: impl Into<String>) -> Self {
        Self { cluster: cluster.into(), database: None }
    }

    /// A database in a cluster of PostgreSQL.
    pub fn postgres(cluster: impl Into<String>, database: impl Into<String>) -> Self {
        Self { cluster: cluster.into(), database: Some(database.into()) }
    }

    /// What answers there.
    pub fn engine(&self) -> Engine {
        if self.database.is_some() { Engine::Postgres } else { Engine::MySql }
    }
}
