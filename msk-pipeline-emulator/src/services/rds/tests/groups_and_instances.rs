//! The other rules, one test each.

use serde_json::json;

use super::{Lab, MINUTE, code};
use crate::services::ec2::Egress;
use crate::services::rds::{catalog, parameters, rules};

fn mysql(version: &str) -> catalog::EngineVersion {
    catalog::find("aurora-mysql", version).expect("offered")
}

#[test]
fn identifier_is_well_formed() {
    for bad in ["1a", "a--b", "a-", "a_b", ""] {
        assert_eq!(code(rules::identifier_is_well_formed("X", bad, 63)), "InvalidParameterValue");
    }
    rules::identifier_is_well_formed("X", "a-1", 63).expect("allowed");
}

#[test]
fn subnet_group_name_is_well_formed() {
    assert_eq!(code(rules::subnet_group_name_is_well_formed("default")), "InvalidParameterValue");
    rules::subnet_group_name_is_well_formed("a.b c_d-1").expect("allowed");
}

#[test]
fn subnets_are_in_one_vpc() {
    let one = ("subnet-1".to_owned(), Some("vpc-1".to_owned()));
    let two = ("subnet-2".to_owned(), Some("vpc-2".to_owned()));
    assert_eq!(code(rules::subnets_are_in_one_vpc(&[one.clone(), two])), "InvalidSubnet");
    assert_eq!(code(rules::subnets_are_in_one_vpc(&[one, ("x".into(), None)])), "InvalidSubnet");
}

#[test]
fn subnets_cover_two_zones() {
    let mut lab = Lab::new();
    let one = lab.subnets[0].clone();
    let input =
        json!({ "DBSubnetGroupName": "one", "DBSubnetGroupDescription": "d", "SubnetIds": [one] });
    lab.refused(
        "CreateDBSubnetGroup",
        input,
        "DBSubnetGroupDoesNotCoverEnoughAZs",
        "at least 2 AZs",
    );
}

#[test]
fn subnet_group_is_unused() {
    let mut lab = Lab::running();
    let input = json!({ "DBSubnetGroupName": "NET" });
    lab.refused(
        "DeleteDBSubnetGroup",
        input,
        "InvalidDBSubnetGroupStateFault",
        "database cluster: db is still",
    );
}

#[test]
fn subnet_is_unused() {
    assert_eq!(code(rules::subnet_is_unused(&["a".into()], &["a".into()])), "SubnetAlreadyInUse");
    rules::subnet_is_unused(&["b".into()], &["a".into()]).expect("allowed");
}

#[test]
fn family_exists() {
    assert_eq!(code(rules::family_exists("mysql8.0")), "InvalidParameterValue");
    rules::family_exists("aurora-postgresql16").expect("allowed");
}

#[test]
fn parameter_group_is_unused() {
    let mut lab = Lab::running();
    let input = json!({ "DBClusterParameterGroupName": "cdc" });
    let message = "still members of this parameter group cdc";
    lab.refused("DeleteDBClusterParameterGroup", input, "InvalidDBParameterGroupState", message);
}

#[test]
fn parameter_group_is_not_default() {
    let mut lab = Lab::running();
    let input = json!({ "DBParameterGroupName": "default.aurora-mysql8.0" });
    lab.refused(
        "DeleteDBParameterGroup",
        input,
        "InvalidDBParameterGroupState",
        "cannot be deleted",
    );
}

#[test]
fn at_most_twenty_parameters() {
    assert_eq!(code(rules::at_most_twenty_parameters(21)), "InvalidParameterValue");
    rules::at_most_twenty_parameters(20).expect("allowed");
}

#[test]
fn parameter_exists() {
    let mut lab = Lab::running();
    assert_eq!(code(lab.set("wal_level", "logical", "pending-reboot")), "InvalidParameterValue");
    // A cluster parameter is unknown to an instance group.
    assert_eq!(
        code(rules::parameter_exists("aurora-mysql8.0", false, "binlog_format")),
        "InvalidParameterValue"
    );
}

#[test]
fn parameter_is_modifiable() {
    assert_eq!(code(Lab::running().set("basedir", "/", "pending-reboot")), "InvalidParameterValue");
}

#[test]
fn parameter_value_is_allowed() {
    let mut lab = Lab::running();
    assert_eq!(code(lab.set("binlog_format", "ROWS", "pending-reboot")), "InvalidParameterValue");
    assert_eq!(code(lab.set("max_allowed_packet", "12", "immediate")), "InvalidParameterValue");
    lab.set("max_allowed_packet", "67108864", "immediate").expect("allowed");
    let limit = parameters::find("aurora-postgresql16", true, "max_slot_wal_keep_size");
    rules::parameter_value_is_allowed(&limit.expect("known"), "-1").expect("allowed");
}

#[test]
fn static_parameter_waits_for_reboot() {
    let error = Lab::running().set("binlog_format", "ROW", "immediate").expect_err("refused");
    assert_eq!(error.code, "InvalidParameterCombination");
    assert_eq!(error.message, "cannot use immediate apply method for static parameter");
}

#[test]
fn group_has_no_pending_changes() {
    let mut lab = Lab::running();
    lab.set("binlog_row_image", "full", "immediate").expect("allowed");
    let input = json!({ "DBClusterParameterGroupName": "cdc", "ResetAllParameters": true });
    let code = "InvalidDBParameterGroupState";
    lab.refused("ResetDBClusterParameterGroup", input.clone(), code, "has pending changes");
    lab.pass(MINUTE);
    lab.ok("ResetDBClusterParameterGroup", input);
}

#[test]
fn number_is_in_range() {
    assert_eq!(
        code(rules::number_is_in_range("Port", Some(80), 1150, 65_535)),
        "InvalidParameterValue"
    );
    rules::number_is_in_range("Port", None, 1150, 65_535).expect("allowed");
}

#[test]
fn class_is_orderable() {
    let version = mysql("8.0.mysql_aurora.3.10.0");
    let error = rules::class_is_orderable("db.t3.small", &version).expect_err("refused");
    assert_eq!(error.code, "InvalidParameterCombination");
    assert!(
        error.message.starts_with(
            "RDS does not support creating a DB instance with the following combination"
        )
    );
    rules::class_is_orderable("db.t3.small", &mysql("5.7.mysql_aurora.2.11.2")).expect("allowed");
    rules::class_is_orderable("db.serverless", &version).expect("allowed");
}

#[test]
fn engine_matches_cluster() {
    let mut lab = Lab::running();
    let input = json!({
        "DBInstanceIdentifier": "r", "DBClusterIdentifier": "db", "Engine": "aurora-postgresql",
        "DBInstanceClass": "db.r6g.large",
    });
    lab.refused("CreateDBInstance", input, "InvalidParameterCombination", "engine name");
}

#[test]
fn setting_belongs_to_cluster() {
    let storage = json!({ "AllocatedStorage": 20 });
    assert_eq!(
        code(rules::setting_belongs_to_cluster(&storage, true)),
        "InvalidParameterCombination"
    );
    let version = json!({ "EngineVersion": "8.0.mysql_aurora.3.10.0" });
    rules::setting_belongs_to_cluster(&version, true).expect("allowed");
    let error = rules::setting_belongs_to_cluster(&version, false).expect_err("refused");
    assert!(error.message.contains("ModifyDbCluster"));
}

#[test]
fn public_instance_needs_gateway() {
    let inside = [Egress::None, Egress::None];
    assert_eq!(
        code(rules::public_instance_needs_gateway(true, &inside)),
        "InvalidVPCNetworkStateFault"
    );
    rules::public_instance_needs_gateway(false, &inside).expect("allowed");
    rules::public_instance_needs_gateway(true, &[Egress::None, Egress::InternetGateway])
        .expect("allowed");
    rules::public_instance_needs_gateway(true, &[Egress::Nat]).expect("allowed");
}

#[test]
fn monitoring_needs_a_role() {
    assert_eq!(code(rules::monitoring_needs_a_role(60, false)), "InvalidParameterCombination");
    assert_eq!(code(rules::monitoring_needs_a_role(7, true)), "InvalidParameterValue");
    rules::monitoring_needs_a_role(0, false).expect("allowed");
}

#[test]
fn instance_is_available() {
    let mut lab = Lab::running();
    lab.ok("RebootDBInstance", json!({ "DBInstanceIdentifier": "w" }));
    let input = json!({ "DBInstanceIdentifier": "w" });
    lab.refused("RebootDBInstance", input, "InvalidDBInstanceState", "rebooting");
}

#[test]
fn instance_is_not_being_deleted() {
    let mut lab = Lab::running();
    let input = json!({ "DBInstanceIdentifier": "w" });
    lab.ok("DeleteDBInstance", input.clone());
    lab.refused("DeleteDBInstance", input, "InvalidDBInstanceState", "is already being deleted");
}

#[test]
fn cluster_instance_takes_no_final_snapshot() {
    let mut lab = Lab::running();
    let input = json!({ "DBInstanceIdentifier": "w", "FinalDBSnapshotIdentifier": "x" });
    lab.refused("DeleteDBInstance", input, "InvalidParameterCombination", "cluster instance");
}

#[test]
fn snapshot_is_ready() {
    let mut lab = Lab::running();
    lab.ok(
        "CreateDBClusterSnapshot",
        json!({ "DBClusterIdentifier": "db", "DBClusterSnapshotIdentifier": "s" }),
    );
    let input = json!({ "DBClusterSnapshotIdentifier": "s" });
    lab.refused("DeleteDBClusterSnapshot", input, "InvalidDBClusterSnapshotStateFault", "creating");
}

#[test]
fn quota_allows() {
    assert_eq!(
        code(rules::quota_allows("InstanceQuotaExceeded", "x", 40, 40)),
        "InstanceQuotaExceeded"
    );
    rules::quota_allows("InstanceQuotaExceeded", "x", 39, 40).expect("allowed");
}

#[test]
fn tag_key_is_not_reserved() {
    let mut lab = Lab::running();
    let arn = lab.cluster()["DBClusterArn"].clone();
    let input = json!({ "ResourceName": arn, "Tags": [{ "Key": "aws:x", "Value": "" }] });
    lab.refused("AddTagsToResource", input, "InvalidParameterValue", "aws:");
}

#[test]
fn page_size_is_in_range() {
    let mut lab = Lab::new();
    lab.refused(
        "DescribeDBClusters",
        json!({ "MaxRecords": 10 }),
        "InvalidParameterValue",
        "MaxRecords",
    );
}
