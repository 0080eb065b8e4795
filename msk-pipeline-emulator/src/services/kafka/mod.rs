//! The embedded `kafka`: MSK's provisioned clusters with their operations, configurations and topics.
//!
//! Serverless clusters, SCRAM secrets, cluster policies, private VPC connections, replicators and channels do not exist here.

use serde_json::{Value, json};

use super::Service;
use crate::world::{AwsError, Cx, Millis, Outcome, World};

mod clusters;
mod configurations;
pub(crate) mod plane;
pub(super) mod rules;
mod state;
mod topics;
mod updates;
mod versions;
mod views;

#[cfg(test)]
mod tests;

pub use state::State;
#[cfg(test)]
use state::by_arn;
pub(crate) use state::{by_bootstrap, interfaces, topic_exists};

/// This service's entry in the list.
pub const SERVICE: Service = Service { name: "kafka", handle, operations: OPERATIONS, inventory };

const OPERATIONS: &[&str] = &[
    "CreateCluster",
    "CreateClusterV2",
    "CreateConfiguration",
    "CreateTopic",
    "DeleteCluster",
    "DeleteConfiguration",
    "DeleteTopic",
    "DescribeCluster",
    "DescribeClusterOperation",
    "DescribeClusterOperationV2",
    "DescribeClusterV2",
    "DescribeConfiguration",
    "DescribeConfigurationRevision",
    "DescribeTopic",
    "DescribeTopicPartitions",
    "GetBootstrapBrokers",
    "GetCompatibleKafkaVersions",
    "ListClusterOperations",
    "ListClusterOperationsV2",
    "ListClusters",
    "ListClustersV2",
    "ListConfigurationRevisions",
    "ListConfigurations",
    "ListKafkaVersions",
    "ListNodes",
    "ListTagsForResource",
    "ListTopics",
    "RebootBroker",
    "TagResource",
    "UntagResource",
    "UpdateBrokerCount",
    "UpdateBrokerStorage",
    "UpdateBrokerType",
    "UpdateClusterConfiguration",
    "UpdateClusterKafkaVersion",
    "UpdateConfiguration",
    "UpdateConnectivity",
    "UpdateMonitoring",
    "UpdateSecurity",
    "UpdateStorage",
    "UpdateTopic",
];

fn handle(world: &mut World, cx: &Cx, operation: &str, input: &Value) -> Outcome {
    match operation {
        "CreateCluster" => clusters::create(world, cx, input, false),
        "CreateClusterV2" => clusters::create(world, cx, input, true),
        "DescribeCluster" => clusters::describe(world, cx, input, false),
        "DescribeClusterV2" => clusters::describe(world, cx, input, true),
        "ListClusters" => clusters::list(world, cx, input, false),
        "ListClustersV2" => clusters::list(world, cx, input, true),
        "DeleteCluster" => clusters::delete(world, cx, input),
        "GetBootstrapBrokers" => clusters::bootstrap(world, cx, input),
        "ListNodes" => clusters::nodes(world, cx, input),
        "ListClusterOperations" => clusters::operations(world, cx, input, false),
        "ListClusterOperationsV2" => clusters::operations(world, cx, input, true),
        "DescribeClusterOperation" => clusters::operation(world, cx, input, false),
        "DescribeClusterOperationV2" => clusters::operation(world, cx, input, true),
        "ListKafkaVersions" => clusters::kafka_versions(cx, input),
        "GetCompatibleKafkaVersions" => clusters::compatible_versions(world, cx, input),
        "ListTagsForResource" | "TagResource" | "UntagResource" => {
            clusters::tags(world, cx, operation, input)
        }
        "UpdateBrokerCount"
        | "UpdateBrokerType"
        | "UpdateBrokerStorage"
        | "UpdateStorage"
        | "UpdateClusterConfiguration"
        | "UpdateClusterKafkaVersion"
        | "UpdateMonitoring"
        | "UpdateSecurity"
        | "UpdateConnectivity"
        | "RebootBroker" => updates::update(world, cx, operation, input),
        "CreateConfiguration" => configurations::create(world, cx, input),
        "DescribeConfiguration" => configurations::describe(world, cx, input),
        "DescribeConfigurationRevision" => configurations::describe_revision(world, cx, input),
        "ListConfigurations" => configurations::list(world, cx, input),
        "ListConfigurationRevisions" => configurations::list_revisions(world, cx, input),
        "UpdateConfiguration" => configurations::update(world, cx, input),
        "DeleteConfiguration" => configurations::delete(world, cx, input),
        "CreateTopic" => topics::create(world, cx, input),
        "ListTopics" => topics::list(world, cx, input),
        "DescribeTopic" => topics::describe(world, cx, input),
        "DescribeTopicPartitions" => topics::partitions(world, cx, input),
        "UpdateTopic" => topics::update(world, cx, input),
        "DeleteTopic" => topics::delete(world, cx, input),
        _ => Err(not_here(operation)),
    }
}

/// What this world has not got.
fn not_here(what: &str) -> AwsError {
    AwsError::new("NotImplemented", format!("{what} is not implemented by the embedded AWS"))
        .status(501)
}

/// One page of a list: `MaxResults` items from where `NextToken` says.
fn page(input: &Value, member: &str, items: &[Value]) -> Outcome {
    let wrong = || rules::invalid("nextToken", "The nextToken is not valid.");
    let start = match state::text(input, "/NextToken") {
        None => 0,
        Some(token) => versions::decode(token)
            .and_then(|t| t.strip_prefix("offset:").and_then(|n| n.parse::<usize>().ok()))
            .filter(|start| *start <= items.len())
            .ok_or_else(wrong)?,
    };
    let size = input.get("MaxResults").and_then(Value::as_u64).unwrap_or(100);
    let end = start.saturating_add(usize::try_from(size).unwrap_or(100)).min(items.len());
    let mut out = serde_json::Map::new();
    out.insert(member.into(), json!(items[start..end]));
    if end < items.len() {
        out.insert("NextToken".into(), json!(versions::encode(&format!("offset:{end}"))));
    }
    Ok(Value::Object(out).into())
}

/// The strings of a list.
fn strings(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn inventory(world: &World, now: Millis) -> Vec<(String, String, String)> {
    let state = &world.state.kafka;
    let mut out = Vec::new();
    for cluster in state.clusters.values().filter(|c| c.exists(now)) {
        out.push(("cluster".into(), cluster.name.clone(), cluster.state(now).into()));
        for (name, topic) in cluster.topics.iter().filter(|(_, t)| t.readable(now)) {
            let id = format!("{}/{name}", cluster.name);
            out.push(("topic".into(), id, topic.state(now).into()));
        }
    }
    for configuration in state.configurations.values().filter(|c| c.exists(now)) {
        let state = configuration.state().to_owned();
        out.push(("configuration".into(), configuration.name.clone(), state));
    }
    out
}
