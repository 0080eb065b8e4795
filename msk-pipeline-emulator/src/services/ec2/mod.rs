//! The embedded EC2: the network that a pipeline finds, and the security groups and VPC endpoints that it makes.
//!
//! There are no instances and no way to make a VPC or a subnet: `seed` lays out the network of the account.

use serde_json::{Value, json};

use super::Service;
use crate::world::{AwsError, Cx, Millis, Outcome, World};

mod describe;
mod endpoints;
mod groups;
mod network;
mod permissions;
pub(super) mod rules;
mod seed;
mod state;
mod tags;
#[cfg(test)]
mod tests;

pub(crate) use seed::seed;
pub use state::State;
pub(crate) use state::{Egress, Interface, SubnetView, allows, egress, endpoint, group, subnet};

/// This service's entry in the list.
pub const SERVICE: Service = Service { name: "ec2", handle, operations: OPERATIONS, inventory };

const OPERATIONS: &[&str] = &[
    "AuthorizeSecurityGroupEgress",
    "AuthorizeSecurityGroupIngress",
    "CreateSecurityGroup",
    "CreateTags",
    "CreateVpcEndpoint",
    "DeleteSecurityGroup",
    "DeleteTags",
    "DeleteVpcEndpoints",
    "DescribeAvailabilityZones",
    "DescribeNetworkInterfaces",
    "DescribeRouteTables",
    "DescribeSecurityGroupRules",
    "DescribeSecurityGroups",
    "DescribeSubnets",
    "DescribeTags",
    "DescribeVpcEndpoints",
    "DescribeVpcs",
    "ModifySecurityGroupRules",
    "ModifyVpcEndpoint",
    "RevokeSecurityGroupEgress",
    "RevokeSecurityGroupIngress",
    "UpdateSecurityGroupRuleDescriptionsEgress",
    "UpdateSecurityGroupRuleDescriptionsIngress",
];

fn handle(world: &mut World, cx: &Cx, operation: &str, input: &Value) -> Outcome {
    if OPERATIONS.contains(&operation) && describe::flag(input, "DryRun") {
        return Err(AwsError::new(
            "DryRunOperation",
            "Request would have succeeded, but DryRun flag is set.",
        )
        .status(412));
    }
    let value = match operation {
        "AuthorizeSecurityGroupEgress" => permissions::authorize(world, input, true),
        "AuthorizeSecurityGroupIngress" => permissions::authorize(world, input, false),
        "CreateSecurityGroup" => groups::create(world, cx, input),
        "CreateTags" => tags::create(world, cx.now, input),
        "CreateVpcEndpoint" => endpoints::create(world, cx.now, input),
        "DeleteSecurityGroup" => groups::delete(world, cx.now, input),
        "DeleteTags" => tags::delete(world, cx.now, input),
        "DeleteVpcEndpoints" => Ok(endpoints::delete(world, cx.now, input)),
        "DescribeAvailabilityZones" => network::zones(world, input),
        "DescribeNetworkInterfaces" => network::interfaces(world, cx.now, input),
        "DescribeRouteTables" => network::route_tables(world, cx.now, input),
        "DescribeSecurityGroupRules" => groups::describe_rules(world, input),
        "DescribeSecurityGroups" => groups::describe(world, input),
        "DescribeSubnets" => network::subnets(world, cx.now, input),
        "DescribeTags" => tags::describe(world, cx.now, input),
        "DescribeVpcEndpoints" => endpoints::describe(world, cx.now, input),
        "DescribeVpcs" => network::vpcs(world, input),
        "ModifySecurityGroupRules" => permissions::modify(world, input),
        "ModifyVpcEndpoint" => endpoints::modify(world, cx.now, input),
        "RevokeSecurityGroupEgress" => permissions::revoke(world, input, true),
        "RevokeSecurityGroupIngress" => permissions::revoke(world, input, false),
        "UpdateSecurityGroupRuleDescriptionsEgress" => {
            permissions::update_descriptions(world, input, true)
        }
        "UpdateSecurityGroupRuleDescriptionsIngress" => {
            permissions::update_descriptions(world, input, false)
        }
        _ => Err(AwsError::new(
            "NotImplemented",
            format!("{operation} is not implemented by the embedded AWS"),
        )
        .status(501)),
    };
    value.map(Into::into)
}

fn inventory(world: &World, now: Millis) -> Vec<(String, String, String)> {
    let state = &world.state.ec2;
    let groups = state
        .groups
        .values()
        .filter(|group| group.name != state::DEFAULT_GROUP)
        .map(|group| ("security-group".into(), group.id.clone(), "available".into()));
    let endpoints = state
        .endpoints
        .values()
        .filter(|endpoint| endpoint.state(now) != state::EndpointState::Gone)
        .map(|endpoint| {
            ("vpc-endpoint".into(), endpoint.id.clone(), endpoint.state(now).name().into())
        });
    groups.chain(endpoints).collect()
}

/// The answer of the calls that only say that they worked.
fn done() -> Value {
    json!({ "Return": true })
}
