//! What is refused of custom plugins and worker configurations.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::state::Plugin;
use super::super::{bad_request, plugins, text, worker_configurations};
use super::{Rule, conflict, too_many};
use crate::world::{AwsError, Millis, World};

// Custom plugins.

/// The name belongs to nobody until a plugin of that name is gone, whatever became of it (msk.md §5, §5.2).
pub(in super::super) fn plugin_name_is_free(world: &World, now: Millis, name: &str) -> Rule {
    let mut all = world.state.kafkaconnect.plugins.values();
    if all.any(|p| p.name == name && p.exists(now)) { Err(conflict()) } else { Ok(()) }
}

/// The bucket is given by its ARN; returns its name. Refusing anything else is (U).
pub(in super::super) fn plugin_bucket_arn(arn: &str) -> Rule<&str> {
    let mut parts = arn.splitn(6, ':');
    let shape =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
    match shape {
        (Some("arn"), Some(_), Some("s3"), Some(""), Some(""), Some(bucket))
            if !bucket.is_empty() && !bucket.contains('/') =>
        {
            Ok(bucket)
        }
        _ => Err(bad_request(format!("The bucket ARN {arn} is invalid."))),
    }
}

/// A hundred custom plugins an account (msk.md §5.4).
pub(in super::super) fn plugin_quota(world: &World, now: Millis) -> Rule {
    let count = world.state.kafkaconnect.plugins.values().filter(|p| p.exists(now)).count();
    if count < 100 {
        Ok(())
    } else {
        Err(too_many("The limit of custom plugins has been reached."))
    }
}

/// Only a plugin that is neither being made nor already on its way out (U).
pub(in super::super) fn plugin_can_be_deleted(state: &str) -> Rule {
    match state {
        "ACTIVE" | "CREATE_FAILED" => Ok(()),
        _ => Err(bad_request(format!("The custom plugin can't be deleted in the state {state}."))),
    }
}

/// No connector uses the plugin or is about to (msk.md §5.2 (U)).
pub(in super::super) fn plugin_is_unused(world: &World, now: Millis, arn: &str) -> Rule {
    let mut connectors = world.state.kafkaconnect.connectors.values().filter(|c| c.exists(now));
    match connectors.find(|c| c.uses(now).iter().any(|s| s.plugin == arn)) {
        None => Ok(()),
        Some(c) => {
            Err(bad_request(format!("The custom plugin is in use by the connector {}.", c.name)))
        }
    }
}

/// The plugin exists (msk.md §5).
pub(in super::super) fn plugin_exists<'a>(
    world: &'a World,
    now: Millis,
    arn: &str,
) -> Rule<&'a Plugin> {
    plugins::find(world, now, arn)
}

/// Only an ACTIVE plugin can be used (msk.md §5 (U)).
pub(in super::super) fn plugin_is_active(plugin: &Plugin, now: Millis) -> Rule {
    match plugin.state(now) {
        "ACTIVE" => Ok(()),
        state => Err(bad_request(format!(
            "The custom plugin {} is in the state {state}; it must be ACTIVE.",
            plugin.arn
        ))),
    }
}

/// `plugins` is a list of one, and no plugin has a second revision (msk.md §5). Returns ARN and revision.
pub(in super::super) fn exactly_one_plugin(plugins: &Value) -> Rule<(String, u64)> {
    let list = plugins.as_array().map(Vec::as_slice).unwrap_or_default();
    let [one] = list else {
        return Err(bad_request("Exactly one custom plugin must be specified."));
    };
    let revision = one.pointer("/customPlugin/revision").and_then(Value::as_u64).unwrap_or(1);
    if revision != 1 {
        return Err(bad_request(format!("The custom plugin has no revision {revision}.")));
    }
    Ok((
        one.get("customPlugin").map(|p| text(p, "customPluginArn")).unwrap_or_default().into(),
        revision,
    ))
}

// Worker configurations.

/// As for plugins (msk.md §5).
pub(in super::super) fn worker_configuration_name_is_free(
    world: &World,
    now: Millis,
    name: &str,
) -> Rule {
    let mut all = world.state.kafkaconnect.worker_configurations.values();
    if all.any(|c| c.name == name && c.exists(now)) { Err(conflict()) } else { Ok(()) }
}

/// The content is base64 of text (msk.md §1).
pub(in super::super) fn worker_configuration_is_base64(content: &str) -> Rule<String> {
    worker_configurations::decoded(content)
        .ok_or_else(|| bad_request("The propertiesFileContent is not base64-encoded text."))
}

/// Both converters are mandatory (msk.md §7.1).
pub(in super::super) fn worker_converters(properties: &BTreeMap<String, String>) -> Rule {
    for key in ["key.converter", "value.converter"] {
        if properties.get(key).is_none_or(String::is_empty) {
            return Err(bad_request(format!(
                "The worker configuration is invalid: the property {key} is required."
            )));
        }
    }
    Ok(())
}

const FORBIDDEN_PREFIXES: &[&str] = &[
    "access.control.",
    "admin.",
    "admin.listeners.https.",
    "client.",
    "connect.",
    "inter.worker.",
    "internal.",
    "listeners.https.",
    "metrics.",
    "metrics.context.",
    "rest.",
    "sasl.",
    "security.",
    "socket.",
    "ssl.",
    "topic.tracking.",
    "worker.",
];

const FORBIDDEN_NAMES: &[&str] = &[
    "bootstrap.servers",
    "config.storage.topic",
    "connections.max.idle.ms",
    "connector.client.config.override.policy",
    "group.id",
    "listeners",
    "metric.reporters",
    "plugin.path",
    "receive.buffer.bytes",
    "response.http.headers.config",
    "scheduled.rebalance.max.delay.ms",
    "send.buffer.bytes",
    "status.storage.topic",
];

const PRODUCER_KEYS: &[&str] = &[
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

const CONSUMER_KEYS: &[&str] = &[
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

fn not_allowed(key: &str) -> AwsError {
    bad_request(format!("The worker configuration is invalid: the property {key} is not allowed."))
}

/// Keys that MSK Connect keeps for itself (msk.md §7.1).
pub(in super::super) fn worker_keys(properties: &BTreeMap<String, String>) -> Rule {
    let forbidden = |key: &&String| {
        FORBIDDEN_NAMES.contains(&key.as_str())
            || FORBIDDEN_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
    };
    properties.keys().find(forbidden).map_or(Ok(()), |key| Err(not_allowed(key)))
}

/// Of the settings of Connect's own clients only these (msk.md §7.1).
pub(in super::super) fn worker_client_keys(properties: &BTreeMap<String, String>) -> Rule {
    for key in properties.keys() {
        let allowed = match (key.strip_prefix("producer."), key.strip_prefix("consumer.")) {
            (Some(setting), _) => PRODUCER_KEYS.contains(&setting),
            (_, Some(setting)) => CONSUMER_KEYS.contains(&setting),
            _ => true,
        };
        if !allowed {
            return Err(not_allowed(key));
        }
    }
    Ok(())
}

/// A hundred worker configurations an account (msk.md §5.4).
pub(in super::super) fn worker_configuration_quota(world: &World, now: Millis) -> Rule {
    let all = world.state.kafkaconnect.worker_configurations.values();
    if all.filter(|c| c.exists(now)).count() < 100 {
        Ok(())
    } else {
        Err(too_many("The limit of worker configurations has been reached."))
    }
}

/// Not twice (U).
pub(in super::super) fn worker_configuration_can_be_deleted(state: &str) -> Rule {
    match state {
        "ACTIVE" => Ok(()),
        _ => Err(bad_request(format!(
            "The worker configuration can't be deleted in the state {state}."
        ))),
    }
}

/// No connector uses it or is about to (msk.md §5.2 (U)).
pub(in super::super) fn worker_configuration_is_unused(
    world: &World,
    now: Millis,
    arn: &str,
) -> Rule {
    let mut connectors = world.state.kafkaconnect.connectors.values().filter(|c| c.exists(now));
    match connectors.find(|c| c.uses(now).iter().any(|s| s.worker_configuration_arn() == Some(arn)))
    {
        None => Ok(()),
        Some(c) => Err(bad_request(format!(
            "The worker configuration is in use by the connector {}.",
            c.name
        ))),
    }
}

/// It exists, is not on its way out, and has no second revision (msk.md §5).
pub(in super::super) fn worker_configuration_exists(
    world: &World,
    now: Millis,
    reference: &Value,
) -> Rule {
    let found = worker_configurations::find(world, now, text(reference, "workerConfigurationArn"))?;
    let revision = reference.get("revision").and_then(Value::as_u64).unwrap_or(1);
    match (found.state(now), revision) {
        ("ACTIVE", 1) => Ok(()),
        ("ACTIVE", _) => {
            Err(bad_request(format!("The worker configuration has no revision {revision}.")))
        }
        (state, _) => {
            Err(bad_request(format!("The worker configuration is in the state {state}.")))
        }
    }
}
