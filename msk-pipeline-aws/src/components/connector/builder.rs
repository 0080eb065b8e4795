//! The builder: the same value as a document's section.

use msk_pipeline_core::dsl::Declared;
use msk_pipeline_plugin::Part;

use super::{CapacitySettings, Connector, Parts, Snapshot, Topics, Transform};
use crate::components::database::Database;
use crate::components::kafka::Kafka;

/// Connectors of Debezium.
#[derive(Debug, Clone, Copy)]
pub struct Debezium;

impl Debezium {
    /// A connector that reads a `MySQL` database and writes to a cluster.
    ///
    /// The handles say which; one of another component does not compile:
    /// ```compile_fail
    /// # use msk_pipeline_aws::components::{connector::Debezium, kafka::Kafka};
    /// # let mut pipeline = msk_pipeline_core::dsl::Pipeline::new("p", "eu-west-1");
    /// let kafka = pipeline.declare("main", Kafka::new());
    /// Debezium::mysql(kafka, kafka);
    /// ```
    pub fn mysql(database: Declared<Database>, kafka: Declared<Kafka>) -> Connector {
        Self::reading(database, kafka)
    }

    /// A connector that reads a `PostgreSQL` database and writes to a cluster. Which of Debezium's connectors runs follows from the database.
    pub fn postgres(database: Declared<Database>, kafka: Declared<Kafka>) -> Connector {
        Self::reading(database, kafka)
    }

    fn reading(database: Declared<Database>, kafka: Declared<Kafka>) -> Connector {
        Connector {
            source: database.name().to_owned(),
            kafka: Some(kafka.name().to_owned()),
            ..Connector::default()
        }
    }
}

impl Connector {
    /// Captures tables, each `database.table`.
    #[must_use]
    pub fn tables<S: Into<String>>(mut self, tables: impl IntoIterator<Item = S>) -> Self {
        self.tables.extend(tables.into_iter().map(Into::into));
        self
    }

    /// Sets what topics begin with. Changing it later is a resnapshot.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Adds a part to the plugin; the first one takes the place of the default.
    #[must_use]
    pub fn plugin(mut self, part: Part) -> Self {
        self.plugin = Some(match self.plugin.take() {
            None => Parts::One(part),
            Some(Parts::One(first)) => Parts::Several(vec![first, part]),
            Some(Parts::Several(mut parts)) => {
                parts.push(part);
                Parts::Several(parts)
            }
        });
        self
    }

    /// Sets what the config provider is taken from.
    #[must_use]
    pub fn config_provider(mut self, part: Part) -> Self {
        self.config_provider = Some(part);
        self
    }

    /// Sets MCUs a worker, and workers.
    #[must_use]
    pub fn capacity(mut self, mcu: i32, workers: i32) -> Self {
        self.capacity = CapacitySettings { mcu, workers, autoscaling: false };
        self
    }

    /// Sets the version of Kafka Connect.
    #[must_use]
    pub fn connect_version(mut self, version: impl Into<String>) -> Self {
        self.connect_version = Some(version.into());
        self
    }

    /// Sets the topics of tables.
    #[must_use]
    pub fn topics(mut self, topics: Topics) -> Self {
        self.topics = topics;
        self
    }

    /// Adds a transform after those that there are.
    #[must_use]
    pub fn transform(mut self, transform: Transform) -> Self {
        self.transforms.push(transform);
        self
    }

    /// Sets a key of the configuration.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a builder takes numbers and booleans as they are"
    )]
    pub fn config(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.config.insert(key.into(), value.to_string());
        self
    }

    /// Sets a property of the workers.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a builder takes numbers and booleans as they are"
    )]
    pub fn worker(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.worker.insert(key.into(), value.to_string());
        self
    }

    /// Sets the number that it has among the database's replicas.
    #[must_use]
    pub fn server_id(mut self, server_id: i64) -> Self {
        self.server_id = Some(server_id);
        self
    }

    /// Names the replication slot that it reads (PostgreSQL). Changing it later is a gap.
    #[must_use]
    pub fn reads_slot(mut self, slot: impl Into<String>) -> Self {
        self.slot = Some(slot.into());
        self
    }

    /// Names the publication of its tables (PostgreSQL).
    #[must_use]
    pub fn reads_publication(mut self, publication: impl Into<String>) -> Self {
        self.publication = Some(publication.into());
        self
    }

    /// Sets how existing rows are read.
    #[must_use]
    pub fn snapshot(mut self, snapshot: Snapshot) -> Self {
        self.snapshot = snapshot;
        self
    }

    /// Sets how often a heartbeat comes: `30s`.
    #[must_use]
    pub fn heartbeat(mut self, every: impl Into<String>) -> Self {
        self.heartbeat = Some(every.into());
        self
    }

    /// Sets for how long the workers' log is kept: `30d`, `forever`.
    #[must_use]
    pub fn logs_retention(mut self, retention: impl Into<String>) -> Self {
        self.logs_retention = Some(retention.into());
        self
    }

    /// Names a secret that exists, instead of the database's.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>) -> Self {
        self.secret = Some(name.into());
        self
    }

    /// Sets the generation of offsets and schema history. Raising it is a resnapshot.
    #[must_use]
    pub fn generation(mut self, generation: u32) -> Self {
        self.generation = Some(generation);
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }
}
