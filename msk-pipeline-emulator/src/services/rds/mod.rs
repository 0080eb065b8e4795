//! The embedded `rds`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Service;
use crate::world::{AwsError, Cx, Millis, Outcome, World};

/// This service's entry in the list.
pub const SERVICE: Service = Service { name: "rds", handle, operations: &[], inventory };

/// What exists.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {}

fn handle(_world: &mut World, _cx: &Cx, operation: &str, _input: &Value) -> Outcome {
    Err(AwsError::new(
        "NotImplemented",
        format!("{operation} is not implemented by the embedded AWS"),
    )
    .status(501))
}

fn inventory(_world: &World, _now: Millis) -> Vec<(String, String, String)> {
    Vec::new()
}

/// The interfaces that this service keeps in the account's subnets.
pub(crate) fn interfaces(_world: &World, _now: Millis) -> Vec<super::ec2::Interface> {
    Vec::new()
}
