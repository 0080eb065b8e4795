//! The embedded `CloudWatch` Logs: groups, streams and events.
//!
//! Other services write through `put`, also ahead of time: an event is visible from its timestamp on.

use serde_json::Value;

use super::Service;
use crate::world::{AwsError, Cx, Millis, Outcome, World};

mod events;
mod groups;
mod pattern;
pub(super) mod rules;
mod state;
#[cfg(test)]
mod tests;

pub use state::State;
pub(crate) use state::{exists, put};

/// This service's entry in the list.
pub const SERVICE: Service = Service { name: "logs", handle, operations: OPERATIONS, inventory };

const OPERATIONS: &[&str] = &[
    "CreateLogGroup",
    "CreateLogStream",
    "DeleteLogGroup",
    "DeleteRetentionPolicy",
    "DescribeLogGroups",
    "DescribeLogStreams",
    "FilterLogEvents",
    "GetLogEvents",
    "ListTagsForResource",
    "PutLogEvents",
    "PutRetentionPolicy",
    "TagResource",
    "UntagResource",
];

fn handle(world: &mut World, cx: &Cx, operation: &str, input: &Value) -> Outcome {
    let value = match operation {
        "CreateLogGroup" => groups::create(world, cx.now, input),
        "CreateLogStream" => events::create_stream(world, cx.now, input),
        "DeleteLogGroup" => groups::delete(world, input),
        "DeleteRetentionPolicy" => groups::set_retention(world, input, None),
        "DescribeLogGroups" => groups::describe(world, cx.now, input),
        "DescribeLogStreams" => events::describe_streams(world, cx.now, input),
        "FilterLogEvents" => events::filter(world, cx.now, input),
        "GetLogEvents" => events::get(world, cx.now, input),
        "ListTagsForResource" => groups::list_tags(world, input),
        "PutLogEvents" => events::put(world, cx.now, input),
        "PutRetentionPolicy" => rules::retention_is_a_listed_value(&input["retentionInDays"])
            .and_then(|days| groups::set_retention(world, input, Some(days))),
        "TagResource" => groups::tag(world, input),
        "UntagResource" => groups::untag(world, input),
        _ => Err(AwsError::new(
            "NotImplemented",
            format!("{operation} is not implemented by the embedded AWS"),
        )
        .status(501)),
    };
    value.map(Into::into)
}

fn inventory(world: &World, _now: Millis) -> Vec<(String, String, String)> {
    let groups = world.state.logs.groups.keys();
    groups.map(|name| ("log-group".into(), name.clone(), "available".into())).collect()
}
