//! `[database.*]`: stands in until the component itself is here; only what a connector has to know of one.

use msk_pipeline_core::Address;
use msk_pipeline_core::dsl::{Component, Expansion, Key, Schema, Type};
use serde::{Deserialize, Serialize};

/// A database.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Database {
    /// One that exists.
    #[serde(default)]
    pub existing: Option<String>,
    /// How changes are captured.
    #[serde(default)]
    pub capture: Option<Capture>,
    /// The port.
    #[serde(default)]
    pub port: Option<i32>,
    /// The key for storage and secrets.
    #[serde(default)]
    pub kms_key: Option<String>,
}

/// How changes are captured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Capture {
    /// An existing secret's name.
    #[serde(default)]
    pub secret: Option<String>,
    /// The signal table.
    #[serde(default)]
    pub signal_table: Option<String>,
}

impl Component for Database {
    const NAME: &'static str = "database";
    const NAMED: bool = true;
    const SCHEMA: &'static Schema = &Schema {
        doc: "A database.",
        keys: &[
            Key::new("engine", Type::Text, ""),
            Key::new("existing", Type::Text, ""),
            Key::new("capture", Type::Map(&Type::Text), ""),
        ],
    };

    fn expand(&self, _name: &str, _cx: &mut Expansion<'_>) {}
}

impl Database {
    /// The resource that has to be ready before the database named `name` answers.
    pub fn ready(&self, name: &str) -> Address {
        let what = if self.existing.is_some() { "cluster" } else { "writer" };
        Address::new(format!("database.{name}.{what}"))
    }

    /// The address of the capture user's secret.
    pub fn capture_secret(name: &str) -> Address {
        Address::new(format!("database.{name}.capture-secret"))
    }

    /// The table that starts incremental snapshots.
    pub fn signal_table(&self) -> &str {
        let table = self.capture.as_ref().and_then(|c| c.signal_table.as_deref());
        table.unwrap_or("cdc.signal")
    }

    /// The port of a created database.
    pub fn port_or_default(&self) -> i32 {
        self.port.unwrap_or(3306)
    }
}
