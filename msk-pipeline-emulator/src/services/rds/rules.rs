//! What RDS refuses beyond the shapes of its model, one function a rule, each with its source. `handbook` is `aws.md`; `model` is
//! the text of the service model.

use super::state::Tags;
use crate::world::AwsError;

mod clusters;
mod groups;
mod instances;

pub(super) use clusters::*;
pub(super) use groups::*;
pub(super) use instances::*;

type Rule = Result<(), AwsError>;

/// (rule, source).
#[allow(dead_code, reason = "the list is read by the tests that hold every rule to a source")]
pub(crate) const RULES: &[(&str, &str)] = &[
    ("identifier_is_well_formed", "handbook §4.4; model CreateDBCluster.DBClusterIdentifier"),
    (
        "subnet_group_name_is_well_formed",
        "handbook §4.2; model CreateDBSubnetGroup.DBSubnetGroupName",
    ),
    ("subnets_are_in_one_vpc", "handbook §4.2; model InvalidSubnet"),
    ("subnets_cover_two_zones", "handbook §4.2; model DBSubnetGroupDoesNotCoverEnoughAZs"),
    ("subnet_group_is_unused", "handbook §4.2; anomalyco/ion#1187 (message)"),
    ("subnet_is_unused", "handbook §4.2; model SubnetAlreadyInUse"),
    ("family_exists", "aws-cloudformation/cloudformation-coverage-roadmap#703"),
    (
        "parameter_group_is_unused",
        "model DeleteDBParameterGroup; terraform-aws-modules/terraform-aws-rds-aurora#466 (message)",
    ),
    (
        "parameter_group_is_not_default",
        "model DeleteDBParameterGroup; awsdocs/amazon-rds-user-guide#14 (message)",
    ),
    ("at_most_twenty_parameters", "handbook §4.3; model ModifyDBParameterGroup (code U)"),
    ("parameter_exists", "hashicorp/terraform-provider-aws#522"),
    ("parameter_is_modifiable", "model Parameter.IsModifiable (code U)"),
    ("parameter_value_is_allowed", "model Parameter.AllowedValues (code U)"),
    (
        "static_parameter_waits_for_reboot",
        "handbook §4.3; hashicorp/terraform-provider-aws#216 (message)",
    ),
    ("group_has_no_pending_changes", "handbook §4.3 (reset is retried on it; when exactly U)"),
    ("engine_is_aurora", "handbook §4.5 (code U)"),
    ("version_is_offered", "handbook §4.5; aws-samples/serverless-patterns PR 1336"),
    (
        "version_is_in_standard_support",
        "handbook §4.4; model CreateDBCluster.EngineLifecycleSupport (code U)",
    ),
    (
        "master_credentials_are_given_once",
        "handbook §4.4; model CreateDBCluster.ManageMasterUserPassword (codes U)",
    ),
    (
        "master_username_is_free",
        "handbook §4.4; model CreateDBCluster.MasterUsername; aws-cloudformation/cfn-lint PR 4425, DataShades/ckan-aws-templates#6 (messages)",
    ),
    (
        "database_name_is_free",
        "model CreateDBCluster.DatabaseName; hashicorp/terraform-provider-aws#38528, #2469; awslabs/aws-saas-boost#180 (`admin`; message U)",
    ),
    ("master_password_is_well_formed", "model CreateDBCluster.MasterUserPassword (code U)"),
    (
        "number_is_in_range",
        "handbook §4.4; model CreateDBCluster.Port, .BackupRetentionPeriod, CreateDBInstance.PromotionTier (code U)",
    ),
    ("at_most_three_zones", "handbook §4.4 (code U)"),
    (
        "family_matches_version",
        "handbook §4.5; mattermost/mattermost-load-test-ng PR 707 (message)",
    ),
    ("groups_are_in_the_vpc", "terraform-aws-modules/terraform-aws-rds#395 (message)"),
    ("scaling_range_is_valid", "handbook §4.4; model ServerlessV2ScalingConfiguration (code U)"),
    (
        "serverless_instance_needs_scaling",
        "handbook §4.4; Aurora user guide, Creating a cluster that uses Aurora Serverless v2",
    ),
    ("log_types_exist", "model CreateDBCluster.EnableCloudwatchLogsExports (code U)"),
    ("storage_type_exists", "handbook §4.4; model CreateDBCluster.StorageType"),
    ("cluster_is_available", "handbook §4.4"),
    (
        "cluster_is_available_for_snapshot",
        "handbook §4.11; hashicorp/terraform-provider-aws PR 40333 (message)",
    ),
    ("upgrade_goes_up", "hashicorp/terraform-provider-aws#45026"),
    ("major_upgrade_is_allowed", "model ModifyDBCluster.AllowMajorVersionUpgrade (code U)"),
    ("major_upgrade_names_groups", "handbook §4.3; terraform-aws-modules/terraform-aws-rds#435"),
    (
        "rotation_applies_immediately",
        "handbook §4.4; model ModifyDBCluster.RotateMasterUserPassword (code U)",
    ),
    (
        "unmanaging_needs_a_password",
        "handbook §4.4; model ModifyDBCluster.ManageMasterUserPassword (code U)",
    ),
    ("protected_cluster_stays", "handbook §4.4"),
    ("members_are_deleted_first", "handbook §4.4; getmoto/moto PR 6998 (message)"),
    (
        "final_snapshot_is_decided",
        "handbook §4.4; crossplane-contrib/provider-aws#1423, hashicorp/terraform-provider-aws#33539 (messages)",
    ),
    ("class_is_orderable", "handbook §4.5"),
    ("engine_matches_cluster", "model CreateDBInstance.Engine (code U)"),
    (
        "setting_belongs_to_cluster",
        "handbook §4.6; hashicorp/terraform-provider-aws PR 6009, aws-controllers-k8s/community#2060",
    ),
    (
        "public_instance_needs_gateway",
        "handbook §4.4; model CreateDBInstance.PubliclyAccessible; code and message as reported from deployments",
    ),
    ("monitoring_needs_a_role", "model CreateDBInstance.MonitoringRoleArn (code U)"),
    ("instance_is_available", "handbook §4.6; model InvalidDBInstanceState"),
    ("instance_is_not_being_deleted", "handbook §4.6"),
    (
        "cluster_instance_takes_no_final_snapshot",
        "handbook §4.6; cloud-custodian/cloud-custodian#1153",
    ),
    ("snapshot_is_ready", "model InvalidDBClusterSnapshotStateFault"),
    ("quota_allows", "handbook §1.3, §12; model DescribeAccountAttributes"),
    ("tag_key_is_not_reserved", "handbook §4.7 (code U)"),
    ("page_size_is_in_range", "handbook §1.4 (code U)"),
];

fn refuse(code: &str, message: impl Into<String>) -> Rule {
    Err(AwsError::new(code, message))
}

fn unless(ok: bool, code: &str, message: impl FnOnce() -> String) -> Rule {
    if ok { Ok(()) } else { refuse(code, message()) }
}

const COMBINATION: &str = "InvalidParameterCombination";
const VALUE: &str = "InvalidParameterValue";

/// Letters, digits and hyphens, a letter first, no hyphen last, no two in a row (handbook §4.4).
pub(in crate::services::rds) fn identifier_is_well_formed(
    member: &str,
    id: &str,
    longest: usize,
) -> Rule {
    let ok = id.len() <= longest
        && id.starts_with(|c: char| c.is_ascii_alphabetic())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !id.ends_with('-')
        && !id.contains("--");
    unless(ok, VALUE, || {
        format!(
            "The parameter {member} is not a valid identifier. Identifiers must begin with a letter; must contain only ASCII \
             letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens."
        )
    })
}

/// Ranges that the model only tells in words.
pub(in crate::services::rds) fn number_is_in_range(
    member: &str,
    value: Option<i64>,
    low: i64,
    high: i64,
) -> Rule {
    unless(value.is_none_or(|v| (low..=high).contains(&v)), VALUE, || {
        format!("Invalid {member}: {}. Valid values: {low}-{high}.", value.unwrap_or_default())
    })
}

/// A snapshot that is being made can't be deleted.
pub(in crate::services::rds) fn snapshot_is_ready(id: &str, status: &str) -> Rule {
    unless(status == "available", "InvalidDBClusterSnapshotStateFault", || {
        format!("Cannot delete the cluster snapshot {id} because it is in state {status}.")
    })
}

/// Quotas of a fresh account, as DescribeAccountAttributes lists them.
pub(in crate::services::rds) fn quota_allows(
    code: &str,
    what: &str,
    used: usize,
    limit: usize,
) -> Rule {
    unless(used < limit, code, || format!("Cannot create more than {limit} {what}"))
}

/// `aws:` is AWS's own.
pub(in crate::services::rds) fn tag_key_is_not_reserved(tags: &Tags) -> Rule {
    unless(!tags.keys().any(|k| k.to_ascii_lowercase().starts_with("aws:")), VALUE, || {
        "aws: prefixed tag key names are not allowed for external use.".into()
    })
}

/// Pages hold 20 to 100 records.
pub(in crate::services::rds) fn page_size_is_in_range(size: i64) -> Rule {
    unless((20..=100).contains(&size), VALUE, || {
        format!("Invalid value {size} for MaxRecords. Must be between 20 and 100")
    })
}
