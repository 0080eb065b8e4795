//! `[connector.*]`: stands in until the component itself is here; only what a database has to know of one.

use msk_pipeline_core::dsl::{Component, Expansion, Key, Schema, Type};
use serde::{Deserialize, Serialize};

/// A connector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Connector {
    /// The database that it reads.
    pub source: String,
}

impl Component for Connector {
    const NAME: &'static str = "connector";
    const NAMED: bool = true;
    const SCHEMA: &'static Schema = &Schema {
        doc: "A connector.",
        keys: &[Key::new("source", Type::Text, "The database that it reads.").required()],
    };

    fn expand(&self, _name: &str, _cx: &mut Expansion<'_>) {}
}
