//! What Connect refuses in a configuration, and what facts show without a log.

use std::collections::BTreeMap;

use super::{Known, Layer, Rank, sign};
use crate::cause::evidence::Evidence;
use crate::cause::pattern::Gaps;

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "C-CONFIG-INVALID",
        title: "Connect refuses the connector's configuration ({count} error(s))",
        layer: Layer::Configuration,
        signs: &[sign(
            "Connector configuration is invalid and contains the following {count} error(s)",
        )],
        rank: Rank::Symptom,
        meaning: "The connector's class checked the configuration before it began and refused it. Each line of the report is one error with its key.",
        fix: &[
            "Change what the report names, key by key. Where it says that a connection failed, it is the database and not the key.",
        ],
        source: "org.apache.kafka.connect.runtime.AbstractHerder.maybeAddConfigErrors; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-CONFIG-VALUE",
        title: "{key} has a value that it can't have",
        layer: Layer::Configuration,
        signs: &[
            sign("Invalid value {value} for configuration {key}: Not a number"),
            sign("Invalid value {value} for configuration {key}: Expected value to be"),
            sign("Invalid value {value} for configuration {key}: Value must be"),
            sign("The '{key}' value is invalid: "),
        ],
        meaning: "The configuration's text was read, and one value doesn't fit its key.",
        fix: &[
            "Change {key}; values in a connector's configuration are texts, and no blanks belong around them.",
        ],
        source: "org.apache.kafka.common.config.ConfigDef; io.debezium.config.Configuration; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-CONFIG-MISSING",
        title: "{key} is missing in the connector's configuration",
        layer: Layer::Configuration,
        signs: &[
            sign("The '{key}' value is invalid: A value is required"),
            sign("Missing required configuration \"{key}\" which has no default value"),
        ],
        meaning: "A key without default was not given. Keys of Debezium 1.x (database.server.name, database.history.*) are passed over silently; their successors are topic.prefix and schema.history.internal.*.",
        fix: &["Set {key}."],
        source: "io.debezium.config.Configuration, Field.isRequired; ConfigDef.parseValue; recorded",
        ..super::KNOWN
    },
    Known {
        code: "C-CONFIG-TASKS",
        title: "the connector makes no task: `tasks.max` is more than it can have",
        layer: Layer::Configuration,
        signs: &[sign("Only a single connector task may be started")],
        explains: &["C-NO-TASK"],
        meaning: "A database has one log, which one task reads. Asked for more, the connector refuses, Connect asks it again and again, and the connector stays RUNNING without a task.",
        fix: &["Set `tasks.max` to 1."],
        source: "io.debezium.connector.binlog.BinlogConnector.taskConfigs; DistributedHerder.reconfigureConnectorTasksWithExponentialBackoffRetries; recorded",
        ..super::KNOWN
    },
];

/// The secret is newer than the connector's start, and the log shows a refused password.
pub(super) fn rotated(evidence: &Evidence, shown: Option<&str>) -> Option<Gaps> {
    let (changed, started) =
        (evidence.facts.secret_changed_at?, evidence.facts.connector_started_at?);
    let after = changed.checked_sub(started).filter(|ms| *ms > 0)?;
    (shown == Some("C-DB-AUTH")).then(|| {
        shown_by(format!("the secret changed {} s after the connector's last start", after / 1000))
    })
}

/// The database is younger than the connector, and its position isn't there.
pub(super) fn foreign_offsets(evidence: &Evidence, shown: Option<&str>) -> Option<Gaps> {
    let (created, started) =
        (evidence.facts.database_created_at?, evidence.facts.connector_started_at?);
    let after = created.checked_sub(started).filter(|ms| *ms > 0)?;
    matches!(shown, Some("C-MYSQL-PURGED" | "C-PG-SLOT-MISSING")).then(|| {
        shown_by(format!(
            "the database was created {} s after the connector's last start",
            after / 1000
        ))
    })
}

/// A placeholder with an ARN in it, while something with the secret or the login is wrong.
pub(super) fn arn_placeholder(evidence: &Evidence, shown: Option<&str>) -> Option<Gaps> {
    let (key, _) = evidence
        .connector_config
        .iter()
        .find(|(_, value)| value.contains("${") && value.contains(":arn:aws"))?;
    let wrong =
        shown.is_some_and(|code| code.starts_with("C-SECRET-") || code.starts_with("C-DB-"));
    (wrong || evidence.failed()).then(|| {
        let mut gaps = shown_by(format!("{key} in the connector's configuration"));
        gaps.insert("key", key.clone());
        gaps
    })
}

/// Ports of MSK's listeners with TLS, of public access and of IPv6 too (MSK guide, "Port information").
const TLS_PORTS: &[&str] =
    &["9094", "9096", "9098", "9194", "9196", "9198", "20094", "20096", "20098"];

/// The schema history's clients speak without TLS to a port with it, and the worker ran out of memory: one that ends there leaves no stack
/// trace by which the two could be told apart.
pub(super) fn plain_to_tls(evidence: &Evidence, shown: Option<&str>) -> Option<Gaps> {
    let set = |key: &str| evidence.connector_config.get(&format!("schema.history.internal.{key}"));
    let servers = set("kafka.bootstrap.servers")?;
    let port = |server: &str| server.rsplit_once(':').map(|(_, port)| port.trim().to_owned());
    let tls = servers.split(',').filter_map(port).any(|port| TLS_PORTS.contains(&port.as_str()));
    let protocol = ["producer.security.protocol", "consumer.security.protocol"]
        .into_iter()
        .find(|key| set(key).is_none_or(|value| !value.ends_with("SSL")))?;
    (shown == Some("C-WORKER-MEMORY") && tls).then(|| {
        shown_by(format!("schema.history.internal.{protocol} is not SSL or SASL_SSL, at {servers}"))
    })
}

pub(super) fn shown_by(text: String) -> Gaps {
    BTreeMap::from([("shown_by", text)])
}
