//! What a connector needs inside a database, as resources: a capture user with its grants, a schema of the tool's own with a signal and a
//! heartbeat table, the signals that start snapshots; of MySQL binlog retention, of PostgreSQL publications and replication slots.
//!
//! * [`Catalogue`] is all that the kinds ask of databases. [`Connections`] answers it over connections; a rehearsal answers it by itself.
//! * [`Change`] is a changing request, as a value: plan and journal hold it, and no password is in it.
//! * [`Place`] says where it goes, and so to which engine.
//! * [`kinds`] are the resources; [`register`] adds them to a registry.
//!
//! It knows the engine's kinds and databases, and nothing of AWS's interfaces: where a cluster's writer is, how its master user logs in and
//! what a secret holds is asked of [`Servers`].

mod catalogue;
mod change;
mod connections;
pub mod kinds;
mod mysql;
mod place;
mod postgres;
mod servers;

use std::sync::Arc;

pub use catalogue::{
    Catalogue, Look, Nowhere, Privileges, Publication, Schema, Slot, Table, Unreached, User,
};
pub use change::{Change, TableName, classify};
pub use connections::Connections;
use msk_pipeline_core::kind::Registry;
pub use place::{Engine, Place};
pub use servers::{Credentials, Login, Server, Servers, Way};

/// Adds every kind of this crate to a registry.
#[must_use]
pub fn register(registry: Registry, catalogue: &Arc<dyn Catalogue>) -> Registry {
    registry
        .with(kinds::Retention::new(Arc::clone(catalogue)))
        .with(kinds::Schema::new(Arc::clone(catalogue)))
        .with(kinds::Table::new(Arc::clone(catalogue)))
        .with(kinds::Publication::new(Arc::clone(catalogue)))
        .with(kinds::Slot::new(Arc::clone(catalogue)))
        .with(kinds::User::new(Arc::clone(catalogue)))
        .with(kinds::Signal::new(Arc::clone(catalogue)))
}
