//! Rules of subnet groups and parameter groups.

use super::{COMBINATION, Rule, VALUE, refuse, unless};
use crate::services::rds::catalog;
use crate::services::rds::parameters::{self, Parameter};
use crate::world::AwsError;

/// At most 255 letters, digits, periods, underscores, spaces or hyphens, a letter first, not `default` (handbook §4.2).
pub(in crate::services::rds) fn subnet_group_name_is_well_formed(name: &str) -> Rule {
    let ok = name.len() <= 255
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._ -".contains(c))
        && name != "default";
    unless(ok, VALUE, || "The parameter DBSubnetGroupName is not a valid identifier.".into())
}

/// All subnets exist and share a VPC (handbook §4.2, model InvalidSubnet). `vpcs` holds `None` for one that doesn't exist.
pub(in crate::services::rds) fn subnets_are_in_one_vpc(
    subnets: &[(String, Option<String>)],
) -> Rule {
    if let Some((id, _)) = subnets.iter().find(|(_, vpc)| vpc.is_none()) {
        return refuse("InvalidSubnet", format!("The subnet ID '{id}' does not exist"));
    }
    let same = subnets.windows(2).all(|pair| pair[0].1 == pair[1].1);
    unless(same, "InvalidSubnet", || "The requested subnets are not all in a common VPC.".into())
}

/// At least two availability zones (handbook §4.2).
pub(in crate::services::rds) fn subnets_cover_two_zones(zones: &[String]) -> Rule {
    let distinct: std::collections::BTreeSet<_> = zones.iter().collect();
    unless(distinct.len() >= 2, "DBSubnetGroupDoesNotCoverEnoughAZs", || {
        let now = distinct.iter().map(|z| z.as_str()).collect::<Vec<_>>().join(", ");
        format!(
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: {now}. Add \
             subnets to cover at least 2 AZs."
        )
    })
}

/// A group that a cluster uses can't be deleted (handbook §4.2).
pub(in crate::services::rds) fn subnet_group_is_unused(name: &str, cluster: Option<&str>) -> Rule {
    match cluster {
        None => Ok(()),
        Some(cluster) => refuse(
            "InvalidDBSubnetGroupStateFault",
            format!(
                "Cannot delete the subnet group '{name}' because at least one database cluster: {cluster} is still using it."
            ),
        ),
    }
}

/// A subnet in which an instance sits stays in its group (handbook §4.2).
pub(in crate::services::rds) fn subnet_is_unused(removed: &[String], used: &[String]) -> Rule {
    match removed.iter().find(|s| used.contains(s)) {
        None => Ok(()),
        Some(subnet) => {
            refuse("SubnetAlreadyInUse", format!("The subnet {subnet} is already in use."))
        }
    }
}

/// The family of a new parameter group is one of the engines'.
pub(in crate::services::rds) fn family_exists(family: &str) -> Rule {
    unless(catalog::family_exists(family), VALUE, || {
        format!("ParameterGroupFamily {family} is not a valid parameter group family")
    })
}

/// A group that a cluster or an instance uses can't be deleted.
pub(in crate::services::rds) fn parameter_group_is_unused(name: &str, used: bool) -> Rule {
    unless(!used, "InvalidDBParameterGroupState", || {
        format!(
            "One or more database instances are still members of this parameter group {name}, so the group cannot be deleted"
        )
    })
}

/// `default.*` can't be deleted or changed.
pub(in crate::services::rds) fn parameter_group_is_not_default(name: &str, verb: &str) -> Rule {
    unless(!name.starts_with("default."), "InvalidDBParameterGroupState", || {
        format!("Default DBParameterGroup cannot be {verb}: {name}")
    })
}

/// At most 20 parameters a call.
pub(in crate::services::rds) fn at_most_twenty_parameters(count: usize) -> Rule {
    unless(count <= 20, VALUE, || {
        format!("A maximum of 20 parameters can be modified in a single request, got {count}.")
    })
}

/// The family has the parameter, at this level.
pub(in crate::services::rds) fn parameter_exists(
    family: &str,
    cluster: bool,
    name: &str,
) -> Result<Parameter, AwsError> {
    parameters::find(family, cluster, name)
        .ok_or_else(|| AwsError::new(VALUE, format!("Could not find parameter with name: {name}")))
}

/// Some parameters belong to RDS.
pub(in crate::services::rds) fn parameter_is_modifiable(parameter: &Parameter) -> Rule {
    unless(parameter.modifiable, VALUE, || {
        format!("The parameter {} cannot be modified.", parameter.name)
    })
}

/// The value is one of the allowed ones.
pub(in crate::services::rds) fn parameter_value_is_allowed(
    parameter: &Parameter,
    value: &str,
) -> Rule {
    unless(parameters::allows(parameter, value), VALUE, || {
        format!(
            "Invalid parameter value: {value} for: {} allowed values are: {}",
            parameter.name, parameter.allowed
        )
    })
}

/// `immediate` is for dynamic parameters alone.
pub(in crate::services::rds) fn static_parameter_waits_for_reboot(
    parameter: &Parameter,
    method: &str,
) -> Rule {
    unless(parameter.apply_type == "dynamic" || method != "immediate", COMBINATION, || {
        "cannot use immediate apply method for static parameter".into()
    })
}

/// A group whose values are still being pushed can't be reset.
pub(in crate::services::rds) fn group_has_no_pending_changes(name: &str, applying: bool) -> Rule {
    unless(!applying, "InvalidDBParameterGroupState", || {
        format!("Parameter group {name} has pending changes")
    })
}
