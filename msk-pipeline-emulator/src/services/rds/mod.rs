//! The embedded `rds`: Aurora clusters and instances with what belongs to them. Behind an endpoint stands nothing; what the
//! database would do is known by its parameters alone.

#![allow(clippy::doc_markdown, reason = "Aurora's engines are names, not code")]

use serde_json::Value;

use super::Service;
use crate::world::{Cx, Millis, Outcome, World};

mod account;
mod catalog;
mod clusters;
mod groups;
mod instances;
mod parameters;
pub(crate) mod plane;
pub(crate) mod rules;
mod snapshots;
mod state;
mod support;
#[cfg(test)]
mod tests;
mod views;

use groups::Kind;
pub use state::State;
#[allow(unused_imports, reason = "for the services that look at a database from outside")]
pub(crate) use views::{DbView, by_endpoint, interfaces, server, servers};

/// This service's entry in the list.
pub const SERVICE: Service = Service { name: "rds", handle, operations: OPERATIONS, inventory };

const OPERATIONS: &[&str] = &[
    "AddTagsToResource",
    "CreateDBCluster",
    "CreateDBClusterParameterGroup",
    "CreateDBClusterSnapshot",
    "CreateDBInstance",
    "CreateDBParameterGroup",
    "CreateDBSubnetGroup",
    "DeleteDBCluster",
    "DeleteDBClusterParameterGroup",
    "DeleteDBClusterSnapshot",
    "DeleteDBInstance",
    "DeleteDBParameterGroup",
    "DeleteDBSubnetGroup",
    "DescribeAccountAttributes",
    "DescribeDBClusterParameterGroups",
    "DescribeDBClusterParameters",
    "DescribeDBClusterSnapshots",
    "DescribeDBClusters",
    "DescribeDBEngineVersions",
    "DescribeDBInstances",
    "DescribeDBParameterGroups",
    "DescribeDBParameters",
    "DescribeDBSubnetGroups",
    "DescribeOrderableDBInstanceOptions",
    "ListTagsForResource",
    "ModifyDBCluster",
    "ModifyDBClusterParameterGroup",
    "ModifyDBInstance",
    "ModifyDBParameterGroup",
    "ModifyDBSubnetGroup",
    "RebootDBInstance",
    "RemoveTagsFromResource",
    "ResetDBClusterParameterGroup",
    "ResetDBParameterGroup",
];

fn handle(w: &mut World, cx: &Cx, operation: &str, input: &Value) -> Outcome {
    match operation {
        "AddTagsToResource" => account::add_tags(w, cx, input),
        "CreateDBCluster" => clusters::create(w, cx, input),
        "CreateDBClusterParameterGroup" => groups::create_parameter_group(w, Kind::Cluster, input),
        "CreateDBClusterSnapshot" => snapshots::create(w, cx, input),
        "CreateDBInstance" => instances::create(w, cx, input),
        "CreateDBParameterGroup" => groups::create_parameter_group(w, Kind::Instance, input),
        "CreateDBSubnetGroup" => groups::create_subnet_group(w, input),
        "DeleteDBCluster" => clusters::delete(w, cx, input),
        "DeleteDBClusterParameterGroup" => {
            groups::delete_parameter_group(w, cx, Kind::Cluster, input)
        }
        "DeleteDBClusterSnapshot" => snapshots::delete(w, cx, input),
        "DeleteDBInstance" => instances::delete(w, cx, input),
        "DeleteDBParameterGroup" => groups::delete_parameter_group(w, cx, Kind::Instance, input),
        "DeleteDBSubnetGroup" => groups::delete_subnet_group(w, cx, input),
        "DescribeAccountAttributes" => Ok(account::attributes(w, cx)),
        "DescribeDBClusterParameterGroups" => {
            groups::describe_parameter_groups(w, Kind::Cluster, input)
        }
        "DescribeDBClusterParameters" => groups::describe_parameters(w, Kind::Cluster, input),
        "DescribeDBClusterSnapshots" => snapshots::describe(w, cx, input),
        "DescribeDBClusters" => clusters::describe(w, cx, input),
        "DescribeDBEngineVersions" => account::engine_versions(input),
        "DescribeDBInstances" => instances::describe(w, cx, input),
        "DescribeDBParameterGroups" => groups::describe_parameter_groups(w, Kind::Instance, input),
        "DescribeDBParameters" => groups::describe_parameters(w, Kind::Instance, input),
        "DescribeDBSubnetGroups" => groups::describe_subnet_groups(w, input),
        "DescribeOrderableDBInstanceOptions" => account::orderable(w, cx, input),
        "ListTagsForResource" => account::list_tags(w, cx, input),
        "ModifyDBCluster" => clusters::modify(w, cx, input),
        "ModifyDBClusterParameterGroup" => {
            groups::modify_parameter_group(w, cx, Kind::Cluster, input)
        }
        "ModifyDBInstance" => instances::modify(w, cx, input),
        "ModifyDBParameterGroup" => groups::modify_parameter_group(w, cx, Kind::Instance, input),
        "ModifyDBSubnetGroup" => groups::modify_subnet_group(w, cx, input),
        "RebootDBInstance" => instances::reboot(w, cx, input),
        "RemoveTagsFromResource" => account::remove_tags(w, cx, input),
        "ResetDBClusterParameterGroup" => {
            groups::reset_parameter_group(w, cx, Kind::Cluster, input)
        }
        "ResetDBParameterGroup" => groups::reset_parameter_group(w, cx, Kind::Instance, input),
        other => Err(support::not_implemented(other)),
    }
}

fn inventory(w: &World, now: Millis) -> Vec<(String, String, String)> {
    views::inventory(w, now)
}
