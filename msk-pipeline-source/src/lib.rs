//! What a connector needs inside a database, as resources: a capture user with its grants, binlog retention, a schema of the tool's own
//! with a signal and a heartbeat table, and the signals that start snapshots.
//!
//! * [`Catalogue`] is all that the kinds ask of databases. [`MySql`] answers it over connections; a rehearsal answers it by itself.
//! * [`Change`] is a changing statement, as a value: plan and journal hold it, and no password is in it.
//! * [`kinds`] are the resources; [`register`] adds them to a registry.
//!
//! It knows the engine's kinds and databases, and nothing of AWS's interfaces: where a cluster's writer is, how its master user logs in and
//! what a secret holds is asked of [`Servers`].

mod catalogue;
mod change;
pub mod kinds;
mod mysql;
mod servers;

use std::sync::Arc;

pub use catalogue::{Catalogue, Look, Nowhere, Privileges, Schema, Table, Unreached, User};
pub use change::{Change, TableName, classify};
use msk_pipeline_core::kind::Registry;
pub use mysql::MySql;
pub use servers::{Credentials, Login, Server, Servers, Way};

/// Adds every kind of this crate to a registry.
#[must_use]
pub fn register(registry: Registry, catalogue: &Arc<dyn Catalogue>) -> Registry {
    registry
        .with(kinds::Retention::new(Arc::clone(catalogue)))
        .with(kinds::Schema::new(Arc::clone(catalogue)))
        .with(kinds::Table::new(Arc::clone(catalogue)))
        .with(kinds::User::new(Arc::clone(catalogue)))
        .with(kinds::Signal::new(Arc::clone(catalogue)))
}
