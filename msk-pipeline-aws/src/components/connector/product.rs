//! Debezium's connectors, 2.7: what is particular to the one for each engine.

use super::keys::{self, Keys};
use crate::components::database::Engine;

/// Debezium's connector for an engine.
#[derive(Debug)]
pub(crate) struct Product {
    /// The engine that it reads.
    pub(crate) engine: Engine,
    /// What people call its source.
    pub(crate) title: &'static str,
    /// `connector.class`
    pub(crate) class: &'static str,
    /// What is packed when no plugin is named: the release that this was tested with.
    pub(super) plugin: &'static str,
    /// The keys of its configuration.
    pub(super) keys: &'static Keys,
    /// The key that says whether it speaks TLS, and the values that let it speak without.
    pub(crate) tls: (&'static str, &'static [&'static str]),
}

/// Handbook msk.md §8.
const PRODUCTS: &[Product] = &[
    Product {
        engine: Engine::MySql,
        title: "MySQL",
        class: "io.debezium.connector.mysql.MySqlConnector",
        plugin: "io.debezium:debezium-connector-mysql:2.7.4.Final",
        keys: &keys::MYSQL,
        tls: ("database.ssl.mode", &["disabled", "preferred"]),
    },
    Product {
        engine: Engine::PostgreSql,
        title: "PostgreSQL",
        class: "io.debezium.connector.postgresql.PostgresConnector",
        plugin: "io.debezium:debezium-connector-postgres:2.7.4.Final",
        keys: &keys::POSTGRESQL,
        tls: ("database.sslmode", &["disable", "allow", "prefer"]),
    },
];

impl Product {
    /// The connector for an engine.
    pub(crate) fn of(engine: Engine) -> &'static Self {
        let found = PRODUCTS.iter().find(|product| product.engine == engine);
        found.unwrap_or(&PRODUCTS[0])
    }

    /// The connector with this class.
    pub(crate) fn with_class(class: &str) -> Option<&'static Self> {
        PRODUCTS.iter().find(|product| product.class == class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_has_its_product() {
        for engine in [Engine::MySql, Engine::PostgreSql] {
            let product = Product::of(engine);
            assert_eq!(product.engine, engine);
            let same = Product::with_class(product.class).expect("it has a class");
            assert_eq!(same.engine, engine);
        }
        assert!(Product::with_class("org.example.Sink").is_none());
    }
}
