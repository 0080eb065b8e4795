//! The embedded `secretsmanager`: secrets with their versions and stages, and those that another service manages.
//! Values are readable through `GetSecretValue` alone; no other part of the world gets to see one.

use serde_json::Value;

use super::Service;
use crate::world::{AwsError, Cx, Millis, Outcome, World};

mod operations;
mod password;
pub(crate) mod rules;
mod state;
mod values;

#[cfg(test)]
mod tests;

pub use state::State;
pub(crate) use state::{all, create_managed, current_version, delete_managed, find, members};

/// This service's entry in the list.
pub const SERVICE: Service =
    Service { name: "secretsmanager", handle, operations: OPERATIONS, inventory };

const OPERATIONS: &[&str] = &[
    "CreateSecret",
    "DeleteSecret",
    "DescribeSecret",
    "GetRandomPassword",
    "GetResourcePolicy",
    "GetSecretValue",
    "ListSecretVersionIds",
    "ListSecrets",
    "PutSecretValue",
    "RestoreSecret",
    "RotateSecret",
    "TagResource",
    "UntagResource",
    "UpdateSecret",
    "UpdateSecretVersionStage",
];

fn handle(world: &mut World, cx: &Cx, operation: &str, input: &Value) -> Outcome {
    match operation {
        "CreateSecret" => operations::create_secret(world, cx, input),
        "DeleteSecret" => operations::delete_secret(world, cx, input),
        "DescribeSecret" => operations::describe_secret(world, cx, input),
        "GetRandomPassword" => password::get_random_password(world, input),
        "GetResourcePolicy" => operations::get_resource_policy(world, cx, input),
        "GetSecretValue" => values::get_secret_value(world, cx, input),
        "ListSecretVersionIds" => values::list_secret_version_ids(world, cx, input),
        "ListSecrets" => operations::list_secrets(world, cx, input),
        "PutSecretValue" => values::put_secret_value(world, cx, input),
        "RestoreSecret" => operations::restore_secret(world, cx, input),
        "RotateSecret" => values::rotate_secret(world, cx, input),
        "TagResource" => operations::tag_resource(world, cx, input),
        "UntagResource" => operations::untag_resource(world, cx, input),
        "UpdateSecret" => values::update_secret(world, cx, input),
        "UpdateSecretVersionStage" => values::update_secret_version_stage(world, cx, input),
        other => Err(AwsError::new(
            "NotImplemented",
            format!("{other} is not implemented by the embedded AWS"),
        )
        .status(501)),
    }
}

fn inventory(world: &World, now: Millis) -> Vec<(String, String, String)> {
    let secrets = world.state.secretsmanager.visible(now);
    secrets
        .map(|secret| {
            let state = match secret.deletion {
                Some(_) => "scheduled for deletion",
                None => "active",
            };
            ("secret".into(), secret.name.clone(), state.into())
        })
        .collect()
}
