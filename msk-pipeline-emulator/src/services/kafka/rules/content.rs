//! Configurations and topics.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Check, bad, invalid, kafka_request, require};
use crate::services::kafka::versions;
use crate::world::AwsError;

/// A missing configuration is a bad request, not a 404.
pub(crate) fn configuration_exists(found: bool) -> Check {
    require(found, || invalid("arn", "Configuration ARN does not exist."))
}

/// A referenced revision exists.
pub(crate) fn configuration_revision_exists(revision: i64, latest: usize) -> Check {
    let found = usize::try_from(revision).is_ok_and(|r| (1..=latest).contains(&r));
    require(found, || invalid("revision", "Configuration revision does not exist."))
}

/// Letters, digits and hyphens, not beginning with a hyphen.
pub(crate) fn configuration_name(name: &str) -> Check {
    let fits = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    require(fits, || invalid("name", "The configuration name is not valid."))
}

/// Only known broker properties can be set.
pub(crate) fn configuration_properties(properties: &[(String, String)], against: &str) -> Check {
    let refused: Vec<String> = properties
        .iter()
        .filter(|(key, _)| !versions::settable(key))
        .map(|(key, value)| {
            let why = format!(
                "Key '{key}' is not supported by at least one Apache Kafka version. Key checked \
                 against versions: [{against}]"
            );
            property_error(key, value, &why)
        })
        .collect();
    require(refused.is_empty(), || {
        invalid("serverProperties", format!("[ {} ]", refused.join(", ")))
    })
}

/// Ranged broker properties are within their range.
pub(crate) fn configuration_ranges(properties: &[(String, String)]) -> Check {
    let mut refused = Vec::new();
    for (key, value) in properties {
        let range = versions::RANGES.iter().find(|(name, _, _)| name == key);
        if let Some((_, least, most)) = range
            && !value.parse::<i64>().is_ok_and(|v| (*least..=*most).contains(&v))
        {
            let why = format!("Value must be between {least} and {most}");
            refused.push(property_error(key, value, &why));
        }
    }
    require(refused.is_empty(), || {
        invalid("serverProperties", format!("[ {} ]", refused.join(", ")))
    })
}

fn property_error(key: &str, value: &str, why: &str) -> String {
    format!("{{ \"name\" : {key:?}, \"value\" : {value:?}, \"errorMessages\" : [ {why:?} ] }}")
}

/// A configuration that a cluster uses (or is about to) is not deleted.
pub(crate) fn configuration_not_in_use(in_use: bool) -> Check {
    require(!in_use, || {
        bad("Configuration is in use by one or more clusters. Dissociate the configuration from \
             the clusters.")
    })
}

/// 100 configurations an account, 50 revisions a configuration.
pub(crate) fn configuration_quotas(configurations: usize, revisions: usize) -> Check {
    require(configurations <= 100 && revisions <= 50, || {
        bad("The limit of configurations per account or revisions per configuration is reached.")
    })
}

/// Topics are managed on ACTIVE provisioned clusters with Kafka 3.6.0 or newer.
pub(crate) fn topics_supported(state: &str, version: &str) -> Check {
    require(state == "ACTIVE", || {
        bad(format!("Topic operations are not available for a cluster in {state} state."))
    })?;
    require(versions::numbers(version) >= (3, 6, 0), || {
        bad(format!("Topic operations are not supported for Kafka version {version}."))
    })
}

/// What Kafka accepts as a topic's name.
pub(crate) fn topic_name(name: &str) -> Check {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let why = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        "'.' or '..' is not allowed".to_owned()
    } else if name.len() > 249 {
        format!("the length of '{name}' is longer than the max allowed length 249")
    } else if !name.chars().all(legal) {
        format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' \
             and '-'"
        )
    } else {
        return Ok(());
    };
    Err(kafka_request(format!("Topic name is invalid: {why}")))
}

/// A topic's name is free.
pub(crate) fn topic_new(name: &str, exists: bool) -> Check {
    require(!exists, || {
        AwsError::new("TopicExistsException", format!("Topic '{name}' already exists.")).status(409)
    })
}

/// No more replicas than brokers, in Kafka's words.
pub(crate) fn replication_at_most_brokers(factor: u64, brokers: usize, version: &str) -> Check {
    require(factor <= brokers as u64, || {
        kafka_request(if versions::kraft(version) {
            format!(
                "Unable to replicate the partition {factor} time(s): The target replication factor \
                 of {factor} cannot be reached because only {brokers} broker(s) are registered."
            )
        } else {
            format!("Replication factor: {factor} larger than available brokers: {brokers}.")
        })
    })
}

/// Topic configurations are base64 of a JSON object with names that Kafka knows.
pub(crate) fn topic_configs(configs: &str) -> Result<BTreeMap<String, String>, AwsError> {
    let wrong = || invalid("configs", "The configs must be a Base64-encoded JSON object.");
    let decoded = versions::decode(configs).ok_or_else(wrong)?;
    let Ok(Value::Object(object)) = serde_json::from_str(&decoded) else { return Err(wrong()) };
    let mut out = BTreeMap::new();
    for (key, value) in object {
        require(versions::topic_config(&key), || {
            kafka_request(format!("Unknown topic config name: {key}"))
        })?;
        let value = match value {
            Value::String(s) => s,
            Value::Number(n) => n.to_string(),
            Value::Bool(b) => b.to_string(),
            _ => return Err(wrong()),
        };
        out.insert(key, value);
    }
    Ok(out)
}

/// An update names configurations or a partition count, not both and not neither.
pub(crate) fn configs_xor_partitions(configs: bool, partitions: bool) -> Check {
    require(configs != partitions, || bad("Specify either configs or partitionCount."))
}

/// Partitions are only added.
pub(crate) fn partitions_only_grow(current: usize, target: u64) -> Check {
    let current = current as u64;
    require(target != current, || {
        kafka_request(format!("Topic already has {current} partition(s)."))
    })?;
    require(target > current, || {
        kafka_request(format!(
            "The topic currently has {current} partition(s); {target} would not be an increase."
        ))
    })
}
