//! The embedded `kafkaconnect`: custom plugins, worker configurations, connectors and their operations.
//!
//! Behind a connector stands nothing: whether it would run is decided from the world when it is created or changed
//! (`health.rs`), and what its workers would have logged about it goes to its log group (`worker_log.rs`).

use serde_json::Value;

use super::{Inventory, Service};
use crate::world::{AwsError, Cx, Millis, Outcome, World};

mod archive;
mod around;
mod changes;
mod connectors;
mod health;
pub(crate) mod plane;
mod plugins;
pub(super) mod rules;
mod state;
mod tags;
#[cfg(test)]
mod tests;
mod worker_configurations;
mod worker_log;

pub use state::State;
pub(crate) use state::{beats, interfaces, reads_slot};

/// This service's entry in the list.
pub const SERVICE: Service =
    Service { name: "kafkaconnect", handle, operations: OPERATIONS, inventory };

const OPERATIONS: &[&str] = &[
    "CreateConnector",
    "CreateCustomPlugin",
    "CreateWorkerConfiguration",
    "DeleteConnector",
    "DeleteCustomPlugin",
    "DeleteWorkerConfiguration",
    "DescribeConnector",
    "DescribeConnectorOperation",
    "DescribeCustomPlugin",
    "DescribeWorkerConfiguration",
    "ListConnectorOperations",
    "ListConnectors",
    "ListCustomPlugins",
    "ListTagsForResource",
    "ListWorkerConfigurations",
    "PauseConnector",
    "RestartConnector",
    "ResumeConnector",
    "TagResource",
    "UntagResource",
    "UpdateConnector",
];

fn handle(world: &mut World, cx: &Cx, operation: &str, input: &Value) -> Outcome {
    match operation {
        "CreateConnector" => connectors::create(world, cx, input),
        "DescribeConnector" => connectors::describe(world, cx, input),
        "ListConnectors" => connectors::list(world, cx, input),
        "UpdateConnector" => changes::update(world, cx, input),
        "PauseConnector" => changes::pause(world, cx, input),
        "ResumeConnector" => changes::resume(world, cx, input),
        "RestartConnector" => changes::restart(world, cx, input),
        "DeleteConnector" => changes::delete(world, cx, input),
        "ListConnectorOperations" => changes::list_operations(world, cx, input),
        "DescribeConnectorOperation" => changes::describe_operation(world, cx, input),
        "CreateCustomPlugin" => plugins::create(world, cx, input),
        "DescribeCustomPlugin" => plugins::describe(world, cx, input),
        "ListCustomPlugins" => plugins::list(world, cx, input),
        "DeleteCustomPlugin" => plugins::delete(world, cx, input),
        "CreateWorkerConfiguration" => worker_configurations::create(world, cx, input),
        "DescribeWorkerConfiguration" => worker_configurations::describe(world, cx, input),
        "ListWorkerConfigurations" => worker_configurations::list(world, cx, input),
        "DeleteWorkerConfiguration" => worker_configurations::delete(world, cx, input),
        "ListTagsForResource" => tags::list(world, cx, input),
        "TagResource" => tags::tag(world, cx, input),
        "UntagResource" => tags::untag(world, cx, input),
        _ => Err(AwsError::new(
            "NotImplemented",
            format!("{operation} is not implemented by the embedded AWS"),
        )
        .status(501)),
    }
}

fn inventory(world: &World, now: Millis) -> Inventory {
    let state = &world.state.kafkaconnect;
    let mut out = Vec::new();
    for plugin in state.plugins.values().filter(|p| p.exists(now)) {
        out.push(("custom plugin".into(), plugin.name.clone(), plugin.state(now).into()));
    }
    for configuration in state.worker_configurations.values().filter(|c| c.exists(now)) {
        let state = configuration.state(now).into();
        out.push(("worker configuration".into(), configuration.name.clone(), state));
    }
    for connector in state.connectors.values().filter(|c| c.exists(now)) {
        out.push(("connector".into(), connector.name.clone(), connector.state(now).into()));
    }
    out
}

/// A member that is text; absent ones are empty.
fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// A map of text to text.
fn text_map(value: Option<&Value>) -> std::collections::BTreeMap<String, String> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().into())).collect()
}

/// A list of text.
fn text_list(value: Option<&Value>) -> Vec<String> {
    let entries = value.and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(|v| v.as_str().map(String::from)).collect()
}

/// Sets a member that AWS leaves out when there is nothing to say.
fn put_some(target: &mut Value, member: &str, value: Option<Value>) {
    if let Some(value) = value {
        target[member] = value;
    }
}

fn bad_request(message: impl Into<String>) -> AwsError {
    AwsError::new("BadRequestException", message)
}

fn not_found(message: impl Into<String>) -> AwsError {
    AwsError::new("NotFoundException", message).status(404)
}

/// One page of a list: the token is the position after the last entry that was answered.
fn page(input: &Value, entries: &[Value], member: &str) -> Result<Value, AwsError> {
    let size = input.get("maxResults").and_then(Value::as_u64).unwrap_or(100);
    let size = usize::try_from(size).unwrap_or(100);
    let start = match text(input, "nextToken") {
        "" => 0,
        token => token
            .parse::<usize>()
            .ok()
            .filter(|start| *start <= entries.len())
            .ok_or_else(|| bad_request("The specified nextToken is invalid."))?,
    };
    let end = entries.len().min(start + size);
    let mut out = Value::Object(serde_json::Map::new());
    if end < entries.len() {
        out["nextToken"] = end.to_string().into();
    }
    out[member] = entries[start..end].to_vec().into();
    Ok(out)
}

/// The dial `name`, when it is turned on for the connector `connector`: `true` means every one, a text that one.
fn dialled(world: &World, name: &str, connector: &str) -> bool {
    match around::dial(world, name) {
        Some(Value::Bool(on)) => on,
        Some(Value::String(only)) => only == connector,
        Some(Value::Array(only)) => only.iter().any(|one| one.as_str() == Some(connector)),
        _ => false,
    }
}

/// A new ARN of this service: `…:<kind>/<name>/<uuid>-<N>`; N is the number of a cell and the same for a whole account (U).
fn new_arn(world: &mut World, label: &str, kind: &str, name: &str) -> String {
    let uuid = world.uuid(label);
    world.arn("kafkaconnect", &format!("{kind}/{name}/{uuid}-2"))
}

/// A new version token, `K` and thirteen more, as MSK's.
fn new_version(world: &mut World, label: &str) -> String {
    format!("K{}", world.token(label, 13))
}
