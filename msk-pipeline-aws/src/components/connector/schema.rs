//! The keys of `[connector.NAME]`.

use msk_pipeline_core::dsl::{Key, Schema, Symbol, Type, duration, filled, quoted};

use super::super::kafka::retention;

const PART: Schema = Schema {
    doc: "One part of a plugin: exactly one of `maven`, `url` and `file`.",
    keys: &[
        Key::new(
            "maven",
            Type::Text,
            "Maven coordinates, group:artifact:version; the lock file records the digest.",
        ),
        Key::new("url", Type::Text, "An address, with `sha256`."),
        Key::new(
            "sha256",
            Type::Text,
            "The digest in hexadecimal, or \"first-fetch\" to trust and record what comes first.",
        ),
        Key::new("file", Type::Text, "A file, relative to the pipeline's."),
    ],
};

const RESTART: &str = "in place; the task restarts";

pub(super) const SCHEMA: Schema = Schema {
    doc: "A Debezium connector for MySQL or PostgreSQL on MSK Connect.",
    keys: &[
        Key::new("source", Type::Checked(section_name), "The database that it reads: the name of a `[database.*]`.")
            .required()
            .change("in place; positions of another server mean nothing (resnapshot)"),
        Key::new("kafka", Type::Checked(section_name), "The cluster that it writes to: the name of a `[kafka.*]`.")
            .default("the only one")
            .change("replaces the connector (resnapshot)"),
        Key::new("prefix", Type::Checked(prefix), "What its topics begin with: <prefix>.<database>.<table>, of PostgreSQL <prefix>.<schema>.<table>.")
            .default("\"<pipeline>-<connector>\"")
            .change("in place; a resnapshot into new topics"),
        Key::new("tables", Type::List(&Type::Checked(super::table)), "Captured tables, each `database.table`, of PostgreSQL `schema.table`.")
            .required()
            .change("in place; existing rows of an added table are missed until an incremental snapshot (gap)"),
        Key::new(
            "plugin",
            Type::OneOf(&[Type::Table(&PART), Type::List(&Type::Table(&PART))]),
            "What the plugin is made of; several parts are packed into one ZIP.",
        )
        .default("{ maven = \"io.debezium:debezium-connector-mysql:2.7.4.Final\" }; of PostgreSQL debezium-connector-postgres")
        .change("a new plugin, then in place; workers are replaced"),
        Key::new(
            "config_provider",
            Type::Table(&PART),
            "What AWS's config provider for Secrets Manager (com.amazonaws.kafka.config.providers) is taken from.",
        )
        .default("the release 0.4.0 of aws-samples/msk-config-providers, pinned by the first fetch")
        .change("a new plugin, then in place; workers are replaced"),
        Key::new(
            "capacity",
            Type::Table(&Schema {
                doc: "Workers.",
                keys: &[
                    Key::new("mcu", Type::Int(1, 8), "MCUs of a worker, 1, 2, 4 or 8: one vCPU and 4 GiB each.").default("1").change(RESTART),
                    Key::new("workers", Type::Int(1, 10), "Workers. Debezium's connector is a single task.").default("1").change(RESTART),
                    Key::new("autoscaling", Type::Bool, "Refused: a single task can't be divided.").default("false"),
                ],
            }),
            "Workers.",
        ),
        Key::new("connect_version", Type::Enum(&["3.7.x", "2.7.1"]), "The version of Kafka Connect: 3.7.x runs Java 17, 2.7.1 Java 11.")
            .default("\"3.7.x\"")
            .change("replaces the connector; it keeps its place"),
        Key::new(
            "topics",
            Type::Table(&Schema {
                doc: "Topics of tables.",
                keys: &[
                    Key::new("partitions", Type::Int(1, 10_000), "Partitions of each. Events of a row stay in one.")
                        .default("6")
                        .change("in place, only more; rows move to other partitions (ordering)"),
                    Key::new("replication", Type::Int(1, 15), "Copies of each partition.")
                        .default("3, or as many as there are brokers")
                        .change("replaces the topics (data lost)"),
                    Key::new("retention", Type::Checked(forever_or_time), "For how long events are kept: a time, or `forever`.")
                        .default("\"7d\"")
                        .change("in place"),
                    Key::new("cleanup", Type::Enum(&["delete", "compact", "compact,delete"]), "What becomes of old events.")
                        .default("\"delete\"")
                        .change("in place"),
                    Key::new("extra", Type::List(&Type::Text), "Further topics that transforms write to, for the role; may end in `*`.")
                        .change("in place"),
                ],
            }),
            "Topics of tables.",
        ),
        Key::new(
            "transforms",
            Type::List(&Type::Table(&Schema {
                doc: "A single message transform.",
                keys: &[
                    Key::new("name", Type::Text, "Its name in the configuration.").required(),
                    Key::new("type", Type::Text, "Its class.").required(),
                    Key::new("options", Type::Properties, "Its settings, without `transforms.<name>.`."),
                ],
            })),
            "Single message transforms, in order.",
        )
        .change("in place; consumers see other payloads (shape)"),
        Key::new("config", Type::Properties, "Keys of the connector's configuration. They have the last word, and are checked.")
            .change("in place; each key has its own effect on data, which the plan tells"),
        Key::new("worker", Type::Properties, "Properties of the workers, over the generated ones; checked against what MSK Connect keeps for itself.")
            .change("a new worker configuration, then in place; workers are replaced"),
        Key::new("server_id", Type::Int(1, 4_294_967_295), "MySQL: the number that it has among the replicas of the database.")
            .default("derived from the names of pipeline and connector")
            .change("in place"),
        Key::new("slot", Type::Text, "PostgreSQL: the replication slot that it reads.")
            .default("derived from the names of pipeline and connector, and the generation")
            .change("a new slot, then in place; what is changed in between is missed (gap)"),
        Key::new("publication", Type::Text, "PostgreSQL: the publication of its tables.")
            .default("derived from the names of pipeline and connector")
            .change("a new publication, then in place; the task restarts"),
        Key::new(
            "snapshot",
            Type::Enum(&["incremental", "initial", "no-data"]),
            "How existing rows are read: `incremental` beside the stream, without locks, when the signal table asks for it; `initial` first of all, of MySQL under locks; `no-data` not at all.",
        )
        .default("\"incremental\"")
        .change("in place; it counts when there is no offset"),
        Key::new("heartbeat", Type::Checked(time), "How often a heartbeat moves its place on while the tables are silent; `0s` for never.")
            .default("\"30s\"")
            .change(RESTART),
        Key::new("logs_retention", Type::Checked(retention), "For how long the workers' log is kept: a time, or `forever`.")
            .default("\"30d\"")
            .change("in place"),
        Key::new("secret", Type::Checked(filled), "The name (not the ARN) of a secret that exists, {\"username\", \"password\"}, instead of the database's.")
            .default("the database's capture secret")
            .change(RESTART),
        Key::new("generation", Type::Int(1, 9_999), "The generation of its offsets, and of its schema history or replication slot. Raise it to start anew on purpose.")
            .default("1")
            .change("new ones, the old ones go (resnapshot)"),
        Key::new("permissions_boundary", Type::Text, "The ARN of the policy that bounds its role.").change("in place"),
        Key::new("tags", Type::Map(&Type::Text), "Tags, over the pipeline's.").change("in place"),
    ],
};

/// The last part of a section's header.
fn section_name(text: &str) -> Result<(), String> {
    match text.split_once('.') {
        Some((_, name)) if Symbol::new(name).is_ok() => {
            Err(format!("`{text}` is a whole header; write its last part alone, \"{name}\""))
        }
        _ => Symbol::new(text).map(|_| ()),
    }
}

fn time(text: &str) -> Result<(), String> {
    duration(text).map(|_| ())
}

fn forever_or_time(text: &str) -> Result<(), String> {
    if text == "forever" { Ok(()) } else { time(text) }
}

/// Topic names of tables must fit into Kafka's 249 characters.
fn prefix(text: &str) -> Result<(), String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || text.len() > 100 || !text.chars().all(valid) {
        return Err(format!(
            "{} is no prefix of topics: use at most 100 letters, digits, dots, hyphens and underscores",
            quoted(text)
        ));
    }
    Ok(())
}
