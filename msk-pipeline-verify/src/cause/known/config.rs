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
        title: "{key} has a value that it can't have: {value}",
        layer: Layer::Configuration,
        signs: &[
            sign("Invalid value {value} for configuration {key}: Not a number"),
            sign("Invalid value {value} for configuration {key}: Expected value to be"),
            sign("Invalid value {value} for configuration {key}: Value must be"),
            sign("The '{key}' value is invalid: {value}"),
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

pub(super) fn shown_by(text: String) -> Gaps {
    BTreeMap::from([("shown_by", text)])
}
