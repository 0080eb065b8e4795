//! The list of components: what a user names in a document.

use msk_pipeline_core::dsl::Components;

pub mod connector;
pub mod database;

/// Every component there is.
pub fn components() -> Components {
    Components::default().with::<database::Database>().with::<connector::Connector>()
}
