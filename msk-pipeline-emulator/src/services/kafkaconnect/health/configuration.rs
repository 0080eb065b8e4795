//! Whether the plugin has the connector and the connector accepts its configuration.

use super::super::archive;
use super::super::worker_log::Line;
use super::{Subject, Trouble, debezium, failed, invalid};
use crate::world::World;

/// A class as Connect finds it: by its full name, its simple name, or that without the ending.
fn names(listed: &str, wanted: &str) -> bool {
    let simple = listed.rsplit('.').next().unwrap_or(listed);
    let alias = ["SourceConnector", "SinkConnector", "Connector"]
        .iter()
        .find_map(|ending| simple.strip_suffix(ending));
    listed == wanted || simple == wanted || alias == Some(wanted)
}

/// The service files of the plugin list the class, or a jar of it has it (msk.md §8).
pub(super) fn class_is_in_plugin(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    let class = subject.class();
    if class.is_empty() {
        return invalid(
            "class_is_in_plugin",
            "Missing required configuration \"connector.class\" which has no default value.",
        );
    }
    let plugin = world.state.kafkaconnect.plugins.get(&subject.settings.plugin)?;
    let file = plugin.file.as_ref()?;
    let contents = file.contents.as_ref()?;
    if contents.connectors.keys().any(|listed| names(listed, class)) {
        return None;
    }
    let bytes = world.blobs.get(&file.sha256);
    if bytes.is_some_and(|bytes| archive::has_class(bytes, &plugin.content_type, class)) {
        return None;
    }
    let available: Vec<_> = contents
        .connectors
        .keys()
        .map(|listed| format!("PluginDesc{{class=class {listed}}}"))
        .collect();
    let line = Line::new(
        "ERROR",
        "Uncaught exception in REST call to /connectors",
        "org.apache.kafka.connect.runtime.rest.errors.ConnectExceptionMapper:64",
    );
    failed("class_is_in_plugin", vec![line.stack([
        format!(
            "org.apache.kafka.connect.errors.ConnectException: Failed to find any class that implements Connector and which name matches {class}, available connectors are: {}",
            available.join(", ")
        ),
        "\tat org.apache.kafka.connect.runtime.isolation.Plugins.connectorClass(Plugins.java:225)".into(),
    ])])
}

/// The class was compiled for the Java of the Connect version: 11 or 17 (msk.md §8, §5.4).
pub(super) fn class_fits_java(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    let plugin = world.state.kafkaconnect.plugins.get(&subject.settings.plugin)?;
    let contents = plugin.file.as_ref()?.contents.as_ref()?;
    let (class, major) =
        contents.connectors.iter().find(|(listed, _)| names(listed, subject.class()))?;
    let most = if subject.fixed.kafka_connect_version == "2.7.1" { 55 } else { 61 };
    if *major <= most {
        return None;
    }
    let line = Line::new(
        "ERROR",
        "Stopping due to error",
        "org.apache.kafka.connect.cli.AbstractConnectCli:99",
    );
    failed("class_fits_java", vec![line.stack([
        format!(
            "java.lang.UnsupportedClassVersionError: {} has been compiled by a more recent version of the Java Runtime (class file version {major}.0), this version of the Java Runtime only recognizes class file versions up to {most}.0",
            class.replace('.', "/")
        ),
        "\tat java.base/java.lang.ClassLoader.defineClass1(Native Method)".into(),
    ])])
}

/// The keys without which a Debezium connector does not start (msk.md §8).
pub(super) fn required_keys(_world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    let own: &[&str] = match debezium(subject.class())? {
        "mysql" | "mariadb" => {
            &["topic.prefix", "database.hostname", "database.user", "database.server.id"]
        }
        "postgresql" | "oracle" => {
            &["topic.prefix", "database.hostname", "database.user", "database.dbname"]
        }
        "mongodb" => &["topic.prefix", "mongodb.connection.string"],
        "sqlserver" => &["topic.prefix", "database.hostname", "database.names"],
        _ => return None,
    };
    let history: &[&str] = if subject.has_history() {
        &["schema.history.internal.kafka.topic", "schema.history.internal.kafka.bootstrap.servers"]
    } else {
        &[]
    };
    let missing = own.iter().chain(history).find(|key| subject.config(key).is_empty())?;
    invalid("required_keys", &format!("The '{missing}' value is invalid: A value is required"))
}

/// Connect 2.7.1 lets no connector override the clients of the worker (msk.md §7.1).
pub(super) fn overrides_are_allowed(_world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    if subject.fixed.kafka_connect_version != "2.7.1" {
        return None;
    }
    let prefixes = ["producer.override.", "consumer.override.", "admin.override."];
    let key = subject
        .settings
        .configuration
        .keys()
        .find(|k| prefixes.iter().any(|p| k.starts_with(p)))?;
    invalid(
        "overrides_are_allowed",
        &format!(
            "The 'None' policy does not allow '{key}' to be overridden in the connector configuration."
        ),
    )
}

/// Once any `topic.creation.` key is there, these two must be (msk.md §8).
pub(super) fn topic_creation_defaults(_world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    if !subject.settings.configuration.keys().any(|key| key.starts_with("topic.creation.")) {
        return None;
    }
    let needed = ["topic.creation.default.replication.factor", "topic.creation.default.partitions"];
    let missing = needed.iter().find(|key| subject.config(key).is_empty())?;
    invalid(
        "topic_creation_defaults",
        &format!("Missing required configuration \"{missing}\" which has no default value."),
    )
}
