//! The embedded `sts`.

use serde_json::{Value, json};

use super::Service;
use crate::world::{AwsError, Cx, Millis, Outcome, World};

/// This service's entry in the list.
pub const SERVICE: Service =
    Service { name: "sts", handle, operations: &["GetCallerIdentity"], inventory };

fn handle(world: &mut World, _cx: &Cx, operation: &str, _input: &Value) -> Outcome {
    match operation {
        "GetCallerIdentity" => {
            let account = &world.settings.account;
            let partition = &world.settings.partition;
            Ok(json!({
                "UserId": "AIDAEMBEDDEDAWSUSER00",
                "Account": account,
                "Arn": format!("arn:{partition}:iam::{account}:user/embedded"),
            })
            .into())
        }
        other => {
            Err(AwsError::new("NotImplemented", format!("{other} is not embedded")).status(501))
        }
    }
}

fn inventory(_world: &World, _now: Millis) -> Vec<(String, String, String)> {
    Vec::new()
}
