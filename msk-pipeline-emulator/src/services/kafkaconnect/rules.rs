//! What MSK Connect refuses beyond the shapes of its model, one function a rule, each with its source; and the list of them and
//! of the checks in `health.rs` that decide whether a connector runs.
//!
//! Sources are sections of the MSK handbook; (U) marks what no primary source confirms.

use std::collections::BTreeSet;

use serde_json::Value;

use super::state::{Connector, Settings};
use super::{around, bad_request, text};
use crate::world::{AwsError, Millis, World};

mod parts;
pub(super) use parts::*;

type Rule<T = ()> = Result<T, AwsError>;

/// Every rule and check with its source; each has a test of that name.
pub(crate) const RULES: &[(&str, &str)] = &[
    (
        "plugin_name_is_free",
        "msk.md §5: same name needs delete first, 409 until gone; CREATE_FAILED keeps the name (§5.2)",
    ),
    ("plugin_bucket_arn", "model member `bucketArn`; refusing another kind of ARN is (U)"),
    ("plugin_quota", "msk.md §5.4: 100 plugins, 429"),
    ("plugin_can_be_deleted", "msk.md §5: states; refusing while CREATING or DELETING is (U)"),
    ("plugin_is_unused", "msk.md §5.2: delete of a plugin in use, 400 (U)"),
    ("plugin_exists", "msk.md §5: validation order, 404"),
    ("plugin_is_active", "msk.md §5: validation order, 400 (U)"),
    (
        "exactly_one_plugin",
        "msk.md §5: the list must hold exactly one custom plugin; revision 1 for ever",
    ),
    (
        "worker_configuration_name_is_free",
        "msk.md §5: same name needs delete first, 409 until gone",
    ),
    (
        "worker_configuration_is_base64",
        "msk.md §1: propertiesFileContent is base64 text that the caller encodes",
    ),
    ("worker_converters", "msk.md §7.1: key.converter and value.converter are mandatory"),
    ("worker_keys", "msk.md §7.1: forbidden prefixes and names"),
    ("worker_client_keys", "msk.md §7.1: only some producer. and consumer. keys"),
    ("worker_configuration_quota", "msk.md §5.4: 100 worker configurations, 429"),
    ("worker_configuration_can_be_deleted", "msk.md §5: states; refusing a second delete is (U)"),
    (
        "worker_configuration_is_unused",
        "msk.md §5.2: delete of a worker configuration in use, 400 (U)",
    ),
    ("worker_configuration_exists", "msk.md §5: validation order, 404"),
    (
        "connector_name_is_free",
        "msk.md §5.2, §11.5: names are unique until gone; FAILED owns its name",
    ),
    ("connect_version", "msk.md §5.4: exactly 2.7.1 and 3.7.x"),
    ("one_capacity", "msk.md §5: exactly one of provisionedCapacity and autoScaling"),
    ("mcu_count", "msk.md §5: 1, 2, 4, 8"),
    ("worker_counts", "msk.md §5: 1 to 10 workers, minimum not above maximum"),
    ("autoscaling_task_count", "msk.md §5: maxAutoscalingTaskCount is at least maxWorkerCount"),
    ("worker_quota", "msk.md §5.4: 60 workers an account, the maximum counts, 429"),
    (
        "role_is_not_service_linked",
        "msk.md §5.3: AWSServiceRoleForKafkaConnect cannot be the execution role",
    ),
    ("role_exists", "msk.md §7.4: a role; 400 when there is none (U)"),
    (
        "role_is_trusted",
        "msk.md §7.4: trust for kafkaconnect.amazonaws.com with its conditions; 400 (U)",
    ),
    (
        "role_has_propagated",
        "aws.md §5: roles propagate; what MSK Connect answers meanwhile is unknown, 400 naming the role (U)",
    ),
    ("log_group_exists", "msk.md §7.4: log destinations must exist beforehand; 400 (U)"),
    ("subnets_in_one_vpc", "msk.md §7.5: subnets and groups of one VPC; 400 (U)"),
    ("security_groups_in_vpc", "msk.md §7.5: subnets and groups of one VPC; 400 (U)"),
    ("connector_exists", "msk.md §1: 404"),
    (
        "version_is_current",
        "msk.md §5.1: stale currentVersion, 400 because UpdateConnector declares no Conflict",
    ),
    ("one_kind_of_update", "msk.md §5.2: both groups at once are rejected; an empty update is (U)"),
    (
        "one_worker_configuration",
        "msk.md §5.2: workerConfiguration with useDefaultWorkerConfiguration is rejected",
    ),
    (
        "updatable",
        "msk.md §5.1: from RUNNING, from PAUSED only with skipHealthValidation, none while another operation runs",
    ),
    ("pausable", "msk.md §5.1: only from RUNNING"),
    ("resumable", "msk.md §5.1: only from PAUSED"),
    ("restartable", "msk.md §5.1: only from RUNNING"),
    ("only_failed_tasks", "msk.md §5.1: onlyFailedTasks needs Connect 3.7"),
    ("deletable", "msk.md §5.1: from RUNNING, FAILED, PAUSED"),
    ("operation_exists", "msk.md §1: 404"),
    // What decides whether a connector runs, in `health.rs`.
    (
        "bootstrap_is_known",
        "msk.md §5.1: a cluster that can't be reached spins just over 20 min, then FAILED",
    ),
    ("cluster_is_active", "msk.md §5.1, as above"),
    (
        "brokers_are_open",
        "msk.md §7.5: connector group to broker group on the port of the listener",
    ),
    ("listener_fits", "msk.md §6: port of each listener; §7.5: switching auth silently breaks"),
    ("role_may_connect", "msk.md §7.4: kafka-cluster statements of an IAM-auth cluster"),
    ("class_is_in_plugin", "msk.md §8: plugin validation, service files"),
    ("class_fits_java", "msk.md §8: 3.x cannot load on Connect 2.7.1; §5.4 Java 11 and 17"),
    ("required_keys", "msk.md §8: required keys of each Debezium connector"),
    (
        "overrides_are_allowed",
        "msk.md §7.1: producer.override.* is rejected by 2.7.1's policy None",
    ),
    (
        "topic_creation_defaults",
        "msk.md §8: replication.factor and partitions are mandatory once any is used",
    ),
    ("secrets_are_reachable", "msk.md §7.5: NAT or interface endpoint, else time-outs and FAILED"),
    ("secrets_may_be_read", "msk.md §7.2: secretsmanager:GetSecretValue"),
    (
        "secrets_exist",
        "msk.md §7.2: placeholders name a secret and a JSON key; NotFoundStrategy of msk-config-providers",
    ),
    (
        "placeholders_are_declared",
        "msk.md §7.2: a provider must be declared in the worker configuration",
    ),
    (
        "database_is_reachable",
        "msk.md §7.5: connector group to database group; the database must be available",
    ),
    ("binlog_is_row", "msk.md §8: binlog_format=ROW for MySQL"),
    (
        "wal_level_is_logical",
        "aws.md §4.10: rds.logical_replication makes wal_level logical; the words as Debezium 2.7.4 logged them",
    ),
    (
        "slot_name_is_well_formed",
        "msk.md §8: slot.name; Debezium's PostgresConnectorConfig.validateReplicationSlotName (pattern and words)",
    ),
    (
        "decoding_plugin_is_there",
        "msk.md §8: plugin.name is pgoutput on RDS, its default decoderbufs",
    ),
    (
        "history_is_reachable",
        "msk.md §7.3, §11.9: the schema history's own clients need the security settings twice",
    ),
    (
        "history_topic_can_be",
        "msk.md §8: the topic is created when missing, which needs CreateTopic (§7.4)",
    ),
    (
        "history_may_be_used",
        "msk.md §7.4: history topic Describe, Read, Write and its group Alter, Describe",
    ),
    (
        "role_may_write",
        "msk.md §7.4: source topics DescribeTopic, WriteData, and CreateTopic with topic.creation",
    ),
];

fn conflict() -> AwsError {
    AwsError::new(
        "ConflictException",
        "A resource with this name already exists. Retry your request with another name.",
    )
    .status(409)
}

fn too_many(message: &str) -> AwsError {
    AwsError::new("TooManyRequestsException", message).status(429)
}

// Creating a connector.

/// Names are unique until the connector is gone; a FAILED one owns its name (msk.md §5.2, §11).
pub(super) fn connector_name_is_free(world: &World, now: Millis, name: &str) -> Rule {
    let mut all = world.state.kafkaconnect.connectors.values();
    if all.any(|c| c.name == name && c.exists(now)) { Err(conflict()) } else { Ok(()) }
}

/// There are two versions (msk.md §5.4).
pub(super) fn connect_version(version: &str) -> Rule {
    match version {
        "2.7.1" | "3.7.x" => Ok(()),
        _ => Err(bad_request(format!(
            "The Kafka Connect version {version} is not supported. Supported versions: 2.7.1, 3.7.x."
        ))),
    }
}

/// Exactly one kind of capacity (msk.md §5).
pub(super) fn one_capacity(capacity: &Value) -> Rule<&Value> {
    let given = |member| capacity.get(member).filter(|v: &&Value| !v.is_null());
    match (given("provisionedCapacity"), given("autoScaling")) {
        (Some(one), None) | (None, Some(one)) => Ok(one),
        _ => Err(bad_request(
            "Exactly one of provisionedCapacity and autoScaling must be specified.",
        )),
    }
}

/// MCUs a worker (msk.md §5).
pub(super) fn mcu_count(one: &Value) -> Rule {
    match one.get("mcuCount").and_then(Value::as_u64) {
        Some(1 | 2 | 4 | 8) => Ok(()),
        _ => Err(bad_request("Invalid mcuCount. The valid values are 1, 2, 4, 8.")),
    }
}

/// One to ten workers (msk.md §5).
pub(super) fn worker_counts(one: &Value) -> Rule {
    let count = |member| one.get(member).and_then(Value::as_i64);
    for member in ["workerCount", "minWorkerCount", "maxWorkerCount"] {
        if count(member).is_some_and(|count| !(1..=10).contains(&count)) {
            return Err(bad_request(format!("Invalid {member}. It must be between 1 and 10.")));
        }
    }
    match (count("minWorkerCount"), count("maxWorkerCount")) {
        (Some(least), Some(most)) if least > most => {
            Err(bad_request("The minWorkerCount must not be greater than the maxWorkerCount."))
        }
        _ => Ok(()),
    }
}

/// The limit of tasks leaves each worker one (msk.md §5).
pub(super) fn autoscaling_task_count(one: &Value) -> Rule {
    let tasks = one.get("maxAutoscalingTaskCount").and_then(Value::as_i64);
    let most = one.get("maxWorkerCount").and_then(Value::as_i64).unwrap_or(1);
    match tasks {
        Some(tasks) if tasks < most => Err(bad_request(
            "The maxAutoscalingTaskCount must be at least equal to the maxWorkerCount.",
        )),
        _ => Ok(()),
    }
}

/// Sixty workers an account; of autoscaling the maximum counts (msk.md §5.4). `but` is the connector whose capacity changes.
pub(super) fn worker_quota(world: &World, now: Millis, but: Option<&str>, wanted: u64) -> Rule {
    let others = world.state.kafkaconnect.connectors.values();
    let others = others.filter(|c| c.exists(now) && Some(c.arn.as_str()) != but);
    let taken: u64 =
        others.filter_map(|c| c.uses(now).into_iter().map(Settings::most_workers).max()).sum();
    if taken + wanted <= 60 {
        Ok(())
    } else {
        Err(too_many("The limit of workers has been reached."))
    }
}

/// The service-linked role is not an execution role (msk.md §5.3).
pub(super) fn role_is_not_service_linked(arn: &str) -> Rule {
    if arn.contains(":role/aws-service-role/") {
        return Err(bad_request(format!(
            "The service-linked role {arn} can't be the service execution role."
        )));
    }
    Ok(())
}

/// The role exists (msk.md §7.4 (U)).
pub(super) fn role_exists(world: &World, arn: &str) -> Rule<around::Role> {
    around::role(world, arn)
        .ok_or_else(|| bad_request(format!("The service execution role {arn} does not exist.")))
}

/// The role lets MSK Connect in, for this connector (msk.md §7.4 (U)).
pub(super) fn role_is_trusted(world: &World, role: &around::Role, connector_arn: &str) -> Rule {
    if around::trusts(world, role, connector_arn) {
        return Ok(());
    }
    Err(bad_request(format!(
        "The service execution role {} can't be assumed by kafkaconnect.amazonaws.com. Check its trust policy.",
        role.arn
    )))
}

/// A fresh role can't be assumed yet (aws.md §5; the answer is (U)).
pub(super) fn role_has_propagated(role: &around::Role, now: Millis) -> Rule {
    if role.propagated_at <= now {
        return Ok(());
    }
    Err(bad_request(format!(
        "The service execution role {} can't be assumed by kafkaconnect.amazonaws.com.",
        role.arn
    )))
}

/// Log destinations must exist beforehand (msk.md §7.4 (U)).
pub(super) fn log_group_exists(world: &World, log_delivery: Option<&Value>) -> Rule {
    let Some(logs) = log_delivery.and_then(|d| d.pointer("/workerLogDelivery/cloudWatchLogs"))
    else {
        return Ok(());
    };
    if !logs.get("enabled").and_then(Value::as_bool).unwrap_or(false) {
        return Ok(());
    }
    match text(logs, "logGroup") {
        "" => Err(bad_request(
            "A logGroup must be specified when CloudWatch Logs delivery is enabled.",
        )),
        group if around::log_group_exists(world, group) => Ok(()),
        group => Err(bad_request(format!("The log group {group} does not exist."))),
    }
}

/// The subnets exist and lie in one VPC, which is returned (msk.md §7.5 (U)).
pub(super) fn subnets_in_one_vpc(world: &World, subnets: &[String]) -> Rule<String> {
    let mut vpcs = BTreeSet::new();
    for id in subnets {
        let subnet = around::subnet(world, id)
            .ok_or_else(|| bad_request(format!("The subnet {id} does not exist.")))?;
        vpcs.insert(subnet.vpc_id);
    }
    match (vpcs.pop_first(), vpcs.is_empty()) {
        (Some(vpc), true) => Ok(vpc),
        (None, _) => Err(bad_request("At least one subnet must be specified.")),
        _ => Err(bad_request("The subnets must be in the same VPC.")),
    }
}

/// The security groups exist and lie in the subnets' VPC (msk.md §7.5 (U)).
pub(super) fn security_groups_in_vpc(world: &World, groups: &[String], vpc: &str) -> Rule {
    for id in groups {
        match around::group_vpc(world, id) {
            None => return Err(bad_request(format!("The security group {id} does not exist."))),
            Some(other) if other != vpc => {
                return Err(bad_request(format!(
                    "The security group {id} and the subnets must be in the same VPC."
                )));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

// Changing a connector.

/// The connector exists (msk.md §1).
pub(super) fn connector_exists<'a>(
    world: &'a World,
    now: Millis,
    arn: &str,
) -> Rule<&'a Connector> {
    let found = world.state.kafkaconnect.connectors.get(arn).filter(|c| c.exists(now));
    found.ok_or_else(|| {
        super::not_found(format!("The connector with ARN {arn} could not be found."))
    })
}

/// `currentVersion` is the version of now (msk.md §5.1).
pub(super) fn version_is_current(connector: &Connector, now: Millis, version: &str) -> Rule {
    if connector.version(now) == version {
        return Ok(());
    }
    Err(bad_request(format!(
        "The current version of the connector is not {version}. Describe the connector and retry with its current version."
    )))
}

/// Either worker settings or the connector's configuration (msk.md §5.2); returns true for the configuration.
pub(super) fn one_kind_of_update(input: &Value) -> Rule<bool> {
    let given = |member: &str| input.get(member).is_some_and(|v| !v.is_null());
    let default = input.get("useDefaultWorkerConfiguration").and_then(Value::as_bool) == Some(true);
    let worker = given("capacity") || given("plugins") || given("workerConfiguration") || default;
    match (worker, given("connectorConfiguration")) {
        (true, true) => Err(bad_request(
            "The worker setting and the connector configuration can't be updated in the same request.",
        )),
        (false, false) => Err(bad_request("At least one setting to update must be specified.")),
        (_, configuration) => Ok(configuration),
    }
}

/// A worker configuration or the default one (msk.md §5.2).
pub(super) fn one_worker_configuration(input: &Value) -> Rule {
    let default = input.get("useDefaultWorkerConfiguration").and_then(Value::as_bool) == Some(true);
    if default && input.get("workerConfiguration").is_some_and(|v| !v.is_null()) {
        return Err(bad_request(
            "You can't specify both workerConfiguration and useDefaultWorkerConfiguration.",
        ));
    }
    Ok(())
}

fn wrong_state(what: &str, state: &str) -> AwsError {
    bad_request(format!("The connector can't be {what} in the state {state}."))
}

/// From RUNNING; from PAUSED without health checks only (msk.md §5.1).
pub(super) fn updatable(state: &str, skip_health: bool) -> Rule {
    match (state, skip_health) {
        ("RUNNING", _) | ("PAUSED", true) => Ok(()),
        ("PAUSED", false) => Err(bad_request(
            "To update a connector in the state PAUSED, skipHealthValidation must be true.",
        )),
        _ => Err(wrong_state("updated", state)),
    }
}

/// Only from RUNNING (msk.md §5.1).
pub(super) fn pausable(state: &str) -> Rule {
    if state == "RUNNING" { Ok(()) } else { Err(wrong_state("paused", state)) }
}

/// Only from PAUSED (msk.md §5.1).
pub(super) fn resumable(state: &str) -> Rule {
    if state == "PAUSED" { Ok(()) } else { Err(wrong_state("resumed", state)) }
}

/// Only from RUNNING (msk.md §5.1).
pub(super) fn restartable(state: &str) -> Rule {
    if state == "RUNNING" { Ok(()) } else { Err(wrong_state("restarted", state)) }
}

/// Connect 2.7.1 can't restart only the failed tasks (msk.md §5.1).
pub(super) fn only_failed_tasks(version: &str, only_failed: bool) -> Rule {
    if only_failed && version == "2.7.1" {
        return Err(bad_request("onlyFailedTasks requires Kafka Connect version 3.7 or later."));
    }
    Ok(())
}

/// From RUNNING, FAILED or PAUSED (msk.md §5.1).
pub(super) fn deletable(state: &str) -> Rule {
    match state {
        "RUNNING" | "FAILED" | "PAUSED" => Ok(()),
        _ => Err(wrong_state("deleted", state)),
    }
}

/// The operation exists, and so does its connector (msk.md §1).
pub(super) fn operation_exists<'a>(
    world: &'a World,
    now: Millis,
    arn: &str,
) -> Rule<(&'a Connector, &'a super::state::Operation)> {
    let connectors = world.state.kafkaconnect.connectors.values().filter(|c| c.exists(now));
    connectors
        .flat_map(|c| c.operations.iter().map(move |op| (c, op)))
        .find(|(_, op)| op.arn == arn)
        .ok_or_else(|| {
            super::not_found(format!("The connector operation with ARN {arn} could not be found."))
        })
}
