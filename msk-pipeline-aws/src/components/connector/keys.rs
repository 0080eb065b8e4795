//! The configuration keys that Debezium's connectors, 2.7, and Kafka Connect 3.7 know, the names that Debezium 1.x had for them, and the values
//! of keys with few: a file for each connector, and here what they share.

mod mysql;
mod postgresql;

pub(super) use self::mysql::MYSQL;
pub(super) use self::postgresql::POSTGRESQL;

/// The keys of a connector.
#[derive(Debug)]
pub(super) struct Keys {
    /// Keys of the connector itself. A key that is missing here still works: the list only serves "did you mean".
    pub(super) known: &'static [&'static str],
    /// What was called otherwise in Debezium 1.x; unknown keys are ignored silently, so the old name would do nothing.
    pub(super) renamed: &'static [(&'static str, &'static str)],
    /// Keys with few values.
    pub(super) values: &'static [(&'static str, &'static [&'static str])],
    /// Keys that are `true` or `false`.
    pub(super) booleans: &'static [&'static str],
    /// Keys that are whole numbers, with the least and the greatest one.
    pub(super) numbers: &'static [(&'static str, i64, i64)],
    /// Keys that a section's own key sets, and which one, beside [`OWN`].
    pub(super) own: &'static [(&'static str, &'static str)],
    /// Typical keys of another connector, which this one ignores, and whose they are.
    pub(super) foreign: &'static [(&'static str, &'static str)],
}

const INT: i64 = i32::MAX as i64;

/// Keys of every connector that a section's own key sets, and which one.
const OWN: &[(&str, &str)] = &[
    ("topic.prefix", "`prefix`"),
    ("table.include.list", "`tables`"),
    ("database.hostname", "`source`"),
    ("database.port", "`source`"),
    ("database.user", "`secret`"),
    ("database.password", "`secret`"),
    ("transforms", "`transforms`"),
    ("topic.creation.default.partitions", "`topics.partitions`"),
    ("topic.creation.default.replication.factor", "`topics.replication`"),
];

impl Keys {
    /// The section's own key that sets a key.
    pub(super) fn owner(&self, key: &str) -> Option<&'static str> {
        OWN.iter().chain(self.own).find(|(known, _)| *known == key).map(|(_, own)| *own)
    }
}

/// Keys whose names a user makes: nothing is said about what follows.
pub(super) const FREE_PREFIXES: &[&str] = &[
    "transforms.",
    "predicates.",
    "converters.",
    "column.mask.",
    "column.truncate.",
    "column.propagate.",
    "driver.",
    "header.converter.",
    "key.converter.",
    "value.converter.",
    "post.processors.",
    "producer.override.",
    "schema.history.internal.producer.",
    "schema.history.internal.consumer.",
    "signal.consumer.",
    "snapshot.select.statement.overrides.",
    "topic.creation.",
    "topic.naming.",
    "custom.",
];

/// All that may follow `producer.` in a worker configuration.
pub(super) const WORKER_PRODUCER: &[&str] = &[
    "acks",
    "batch.size",
    "buffer.memory",
    "compression.type",
    "enable.idempotence",
    "key.serializer",
    "max.request.size",
    "metadata.max.age.ms",
    "metadata.max.idle.ms",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.ms",
    "value.serializer",
];

/// All that may follow `consumer.`.
pub(super) const WORKER_CONSUMER: &[&str] = &[
    "allow.auto.create.topics",
    "auto.offset.reset",
    "check.crcs",
    "fetch.max.bytes",
    "fetch.max.wait.ms",
    "fetch.min.bytes",
    "heartbeat.interval.ms",
    "key.deserializer",
    "max.partition.fetch.bytes",
    "max.poll.records",
    "metadata.max.age.ms",
    "partition.assignment.strategy",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.ms",
    "session.timeout.ms",
    "value.deserializer",
];
