//! `[connector.*]` until the provider has its own: it is checked and makes nothing.

use msk_pipeline_aws::components::database::Database;
use msk_pipeline_core::dsl::{Component, Expansion, Key, Schema, Type};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Connector {
    source: String,
    tables: Vec<String>,
}

impl Component for Connector {
    const NAME: &'static str = "connector";
    const NAMED: bool = true;
    const SCHEMA: &'static Schema = &Schema {
        doc: "A connector.",
        keys: &[
            Key::new("source", Type::Text, "The database.").required(),
            Key::new("tables", Type::List(&Type::Text), "The tables.").required(),
        ],
    };

    fn expand(&self, _name: &str, cx: &mut Expansion<'_>) {
        if cx.get::<Database>(&self.source).is_none() {
            let message = format!("there is no `[database.{}]`", self.source);
            cx.error("source", message, "name a declared database");
        }
    }
}
