//! The embedded `iam`: roles, their trust, their policies. What a role may do is asked by the other services through
//! `role`, `trusts_service` and `permits`; who calls the embedded AWS is not checked here or anywhere.

use serde_json::Value;

use super::Service;
use crate::world::{AwsError, Cx, Millis, Outcome, World};

mod operations;
pub(crate) mod policy;
pub(crate) mod rules;
mod state;

#[cfg(test)]
mod tests;

pub use state::State;
pub(crate) use state::{permits, role, trusts_service};

/// This service's entry in the list.
pub const SERVICE: Service = Service { name: "iam", handle, operations: OPERATIONS, inventory };

const OPERATIONS: &[&str] = &[
    "AttachRolePolicy",
    "CreateRole",
    "CreateServiceLinkedRole",
    "DeleteRole",
    "DeleteRolePolicy",
    "DetachRolePolicy",
    "GetRole",
    "GetRolePolicy",
    "ListAttachedRolePolicies",
    "ListInstanceProfilesForRole",
    "ListRolePolicies",
    "ListRoleTags",
    "ListRoles",
    "PutRolePolicy",
    "TagRole",
    "UntagRole",
    "UpdateAssumeRolePolicy",
    "UpdateRole",
];

fn handle(world: &mut World, cx: &Cx, operation: &str, input: &Value) -> Outcome {
    match operation {
        "AttachRolePolicy" => operations::attach_role_policy(world, input),
        "CreateRole" => operations::create_role(world, cx, input),
        "CreateServiceLinkedRole" => operations::create_service_linked_role(world, cx, input),
        "DeleteRole" => operations::delete_role(world, input),
        "DeleteRolePolicy" => operations::delete_role_policy(world, cx, input),
        "DetachRolePolicy" => operations::detach_role_policy(world, input),
        "GetRole" => operations::get_role(world, input),
        "GetRolePolicy" => operations::get_role_policy(world, input),
        "ListAttachedRolePolicies" => operations::list_attached_role_policies(world, input),
        "ListInstanceProfilesForRole" => operations::list_instance_profiles(world, input),
        "ListRolePolicies" => operations::list_role_policies(world, input),
        "ListRoleTags" => operations::list_role_tags(world, input),
        "ListRoles" => operations::list_roles(world, input),
        "PutRolePolicy" => operations::put_role_policy(world, cx, input),
        "TagRole" => operations::tag_role(world, input),
        "UntagRole" => operations::untag_role(world, input),
        "UpdateAssumeRolePolicy" => operations::update_assume_role_policy(world, cx, input),
        "UpdateRole" => operations::update_role(world, input),
        other => Err(AwsError::new(
            "NotImplemented",
            format!("{other} is not implemented by the embedded AWS"),
        )
        .status(501)),
    }
}

fn inventory(world: &World, now: Millis) -> Vec<(String, String, String)> {
    world
        .state
        .iam
        .roles
        .values()
        .map(|role| {
            let state = if now < role.propagated_at { "propagating" } else { "usable" };
            ("role".into(), role.name.clone(), state.into())
        })
        .collect()
}
