//! The rules of clusters, one test each.

use serde_json::{Value, json};

use super::{Lab, MINUTE, code};
use crate::services::rds::{catalog, rules};

fn mysql(version: &str) -> catalog::EngineVersion {
    catalog::find("aurora-mysql", version).expect("offered")
}

#[test]
fn engine_is_aurora() {
    assert_eq!(code(rules::engine_is_aurora("aurora")), "InvalidParameterValue");
}

#[test]
fn version_is_offered() {
    let error = rules::version_is_offered("aurora-mysql", Some("8.0.mysql_aurora.3.11.0"))
        .expect_err("refused");
    assert_eq!(error.code, "InvalidParameterCombination");
    assert_eq!(error.message, "Cannot find version 8.0.mysql_aurora.3.11.0 for aurora-mysql");
    let short = rules::version_is_offered("aurora-mysql", Some("8.4.7")).expect("offered");
    assert_eq!(short.version, "8.4.mysql_aurora.8.4.7");
}

#[test]
fn version_is_in_standard_support() {
    let off = "open-source-rds-extended-support-disabled";
    let old = mysql("5.7.mysql_aurora.2.11.2");
    assert_eq!(
        code(rules::version_is_in_standard_support(&old, off)),
        "InvalidParameterCombination"
    );
    rules::version_is_in_standard_support(&old, "open-source-rds-extended-support")
        .expect("allowed");
    rules::version_is_in_standard_support(&mysql("8.0.mysql_aurora.3.10.0"), off).expect("allowed");
}

#[test]
fn master_credentials_are_given_once() {
    assert_eq!(
        code(rules::master_credentials_are_given_once(Some("u"), true, true)),
        "InvalidParameterCombination"
    );
    assert_eq!(
        code(rules::master_credentials_are_given_once(Some("u"), false, false)),
        "InvalidParameterValue"
    );
    assert_eq!(
        code(rules::master_credentials_are_given_once(None, true, false)),
        "InvalidParameterValue"
    );
}

#[test]
fn master_username_is_free() {
    assert_eq!(
        code(rules::master_username_is_free("aurora-postgresql", "admin")),
        "InvalidParameterValue"
    );
    rules::master_username_is_free("aurora-mysql", "admin").expect("allowed");
    rules::master_username_is_free("aurora-postgresql", "postgres").expect("allowed");
    let reserved =
        rules::master_username_is_free("aurora-postgresql", "pg_dba").expect_err("refused");
    assert!(reserved.message.contains("starting with \"pg_\""), "{}", reserved.message);
    rules::master_username_is_free("aurora-mysql", "pg_dba").expect("allowed");
    assert_eq!(
        code(rules::master_username_is_free("aurora-mysql", "12345")),
        "InvalidParameterValue"
    );
}

#[test]
fn database_name_is_free() {
    let mut lab = Lab::new();
    let mut input = lab.cluster_input();
    input["DatabaseName"] = "my-shop".into();
    lab.refused("CreateDBCluster", input, "InvalidParameterValue", "must begin with a letter");
    let pg = |name| rules::database_name_is_free("aurora-postgresql", Some(name));
    assert!(pg("admin").expect_err("refused").message.contains("reserved word"));
    assert_eq!(code(pg("1shop")), "InvalidParameterValue");
    pg("shop_2").expect("allowed");
    rules::database_name_is_free("aurora-mysql", Some("admin")).expect("allowed");
    rules::database_name_is_free("aurora-postgresql", None).expect("none is made");
}

#[test]
fn master_password_is_well_formed() {
    for bad in ["short", "with/slash", "with@sign-"] {
        let error = rules::master_password_is_well_formed(bad).expect_err("refused");
        assert!(!error.message.contains(bad));
    }
}

#[test]
fn at_most_three_zones() {
    let four: Vec<_> = ('a'..='d').map(String::from).collect();
    assert_eq!(code(rules::at_most_three_zones(&four)), "InvalidParameterValue");
}

#[test]
fn family_matches_version() {
    let version = mysql("8.0.mysql_aurora.3.10.0");
    let error =
        rules::family_matches_version("g", "aurora-mysql5.7", &version).expect_err("refused");
    assert_eq!(error.code, "InvalidParameterCombination");
    assert!(error.message.contains("can't be used for this instance"));
}

#[test]
fn groups_are_in_the_vpc() {
    let other = [("sg-1".to_owned(), Some("vpc-2".to_owned()))];
    assert_eq!(code(rules::groups_are_in_the_vpc("vpc-1", &other)), "InvalidParameterCombination");
    let none = [("sg-2".to_owned(), None)];
    assert_eq!(code(rules::groups_are_in_the_vpc("vpc-1", &none)), "InvalidParameterValue");
}

#[test]
fn scaling_range_is_valid() {
    for bad in [
        json!({ "MinCapacity": 0.7, "MaxCapacity": 2.0 }),
        json!({ "MinCapacity": 4.0, "MaxCapacity": 2.0 }),
        json!({ "MinCapacity": 0.5, "MaxCapacity": 0.0 }),
        json!({ "MinCapacity": 0.5, "MaxCapacity": 512.0 }),
        json!({ "MinCapacity": 0.0, "MaxCapacity": 2.0, "SecondsUntilAutoPause": 10 }),
    ] {
        assert_eq!(code(rules::scaling_range_is_valid(&bad)), "InvalidParameterValue", "{bad}");
    }
    rules::scaling_range_is_valid(&json!({ "MinCapacity": 0.5, "MaxCapacity": 16.0 }))
        .expect("allowed");
}

#[test]
fn serverless_instance_needs_scaling() {
    let mut lab = Lab::new();
    lab.create_cluster(&json!({}));
    let input = json!({
        "DBInstanceIdentifier": "w", "DBClusterIdentifier": "db", "Engine": "aurora-mysql",
        "DBInstanceClass": "db.serverless",
    });
    let message = "Set the Serverless v2 scaling configuration";
    lab.refused("CreateDBInstance", input.clone(), "InvalidDBClusterStateFault", message);
    lab.pass(6 * MINUTE);
    let range = json!({ "MinCapacity": 0.5, "MaxCapacity": 4.0 });
    let modify = json!({
        "DBClusterIdentifier": "db", "ServerlessV2ScalingConfiguration": range, "ApplyImmediately": true,
    });
    lab.ok("ModifyDBCluster", modify);
    lab.pass(4 * MINUTE);
    assert_eq!(lab.cluster()["ServerlessV2ScalingConfiguration"], range);
    lab.ok("CreateDBInstance", input);
}

#[test]
fn log_types_exist() {
    assert_eq!(
        code(rules::log_types_exist("aurora-mysql", &["postgresql".into()])),
        "InvalidParameterCombination"
    );
}

#[test]
fn storage_type_exists() {
    assert_eq!(code(rules::storage_type_exists(Some("gp3"))), "StorageTypeNotSupported");
    rules::storage_type_exists(Some("aurora-iopt1")).expect("allowed");
}

#[test]
fn cluster_is_available() {
    let mut lab = Lab::new();
    lab.create_cluster(&json!({}));
    let modify = json!({ "DBClusterIdentifier": "db", "BackupRetentionPeriod": 3 });
    lab.refused("ModifyDBCluster", modify, "InvalidDBClusterStateFault", "creating");
    let delete = json!({ "DBClusterIdentifier": "db", "SkipFinalSnapshot": true });
    lab.refused("DeleteDBCluster", delete, "InvalidDBClusterStateFault", "creating");
}

#[test]
fn cluster_is_available_for_snapshot() {
    let mut lab = Lab::running();
    let input = json!({ "DBClusterIdentifier": "db", "DBClusterSnapshotIdentifier": "One" });
    lab.ok("CreateDBClusterSnapshot", input.clone());
    assert_eq!(lab.cluster()["Status"], "backing-up");
    lab.refused(
        "CreateDBClusterSnapshot",
        input.clone(),
        "InvalidDBClusterStateFault",
        "isn't currently",
    );
    lab.pass(5 * MINUTE);
    lab.refused("CreateDBClusterSnapshot", input, "DBClusterSnapshotAlreadyExistsFault", "one");
}

#[test]
fn upgrade_goes_up() {
    let (low, high) = (mysql("8.0.mysql_aurora.3.04.0"), mysql("8.0.mysql_aurora.3.10.0"));
    rules::upgrade_goes_up(&low, &high).expect("allowed");
    let error = rules::upgrade_goes_up(&high, &low).expect_err("refused");
    assert_eq!(
        error.message,
        format!("Cannot upgrade aurora-mysql from {} to {}", high.version, low.version)
    );
    let (old, new) = (mysql("5.7.mysql_aurora.2.11.2"), mysql("8.4.7"));
    assert_eq!(code(rules::upgrade_goes_up(&old, &new)), "InvalidParameterCombination");
}

#[test]
fn major_upgrade_is_allowed() {
    let (from, to) = (mysql("5.7.mysql_aurora.2.12.5"), mysql("8.0.mysql_aurora.3.10.0"));
    assert_eq!(
        code(rules::major_upgrade_is_allowed(&from, &to, false)),
        "InvalidParameterCombination"
    );
    rules::major_upgrade_is_allowed(&from, &to, true).expect("allowed");
}

#[test]
fn major_upgrade_names_groups() {
    let error = rules::major_upgrade_names_groups("instance", "mine", false).expect_err("refused");
    assert!(error.message.contains("parameter group mine is custom"));
    rules::major_upgrade_names_groups("cluster", "default.aurora-mysql8.0", false)
        .expect("allowed");
}

#[test]
fn rotation_applies_immediately() {
    let mut lab = Lab::running();
    let mut input = json!({ "DBClusterIdentifier": "db", "RotateMasterUserPassword": true });
    lab.refused("ModifyDBCluster", input.clone(), "InvalidParameterCombination", "immediately");
    input["ApplyImmediately"] = json!(true);
    let value = |lab: &mut Lab| {
        let arn = lab.cluster()["MasterUserSecret"]["SecretArn"].clone();
        crate::plane::secret(&lab.world, lab.now, arn.as_str().expect("an ARN"))
            .expect("it is there")
    };
    let before = value(&mut lab);
    lab.ok("ModifyDBCluster", input);
    assert_eq!(lab.cluster()["MasterUserSecret"]["SecretStatus"], "rotating");
    lab.pass(5 * MINUTE);
    assert_eq!(lab.cluster()["MasterUserSecret"]["SecretStatus"], "active");
    let after = value(&mut lab);
    assert_eq!(before["username"], after["username"]);
    assert_ne!(before["password"], after["password"], "a rotation draws another password");
}

#[test]
fn unmanaging_needs_a_password() {
    let mut lab = Lab::running();
    let mut input = json!({ "DBClusterIdentifier": "db", "ManageMasterUserPassword": false });
    lab.refused(
        "ModifyDBCluster",
        input.clone(),
        "InvalidParameterCombination",
        "MasterUserPassword",
    );
    input["MasterUserPassword"] = json!("correct-horse");
    lab.ok("ModifyDBCluster", input);
    assert_eq!(lab.cluster()["MasterUserSecret"], Value::Null);
    assert_eq!(
        code(rules::unmanaging_needs_a_password(true, None, true)),
        "InvalidParameterCombination"
    );
}

#[test]
fn protected_cluster_stays() {
    let mut lab = Lab::running();
    lab.ok("ModifyDBCluster", json!({ "DBClusterIdentifier": "db", "DeletionProtection": true }));
    let input = json!({ "DBClusterIdentifier": "db", "SkipFinalSnapshot": true });
    lab.refused("DeleteDBCluster", input, "InvalidParameterCombination", "disable deletion pro");
}

#[test]
fn members_are_deleted_first() {
    let mut lab = Lab::running();
    let input = json!({ "DBClusterIdentifier": "db", "SkipFinalSnapshot": true });
    lab.refused(
        "DeleteDBCluster",
        input.clone(),
        "InvalidDBClusterStateFault",
        "in non-deleting state",
    );
    lab.ok("DeleteDBInstance", json!({ "DBInstanceIdentifier": "w" }));
    lab.ok("DeleteDBCluster", input);
    lab.pass(5 * MINUTE); // the instance is gone first
    assert_eq!(lab.cluster()["Status"], "deleting");
    assert_eq!(lab.cluster()["DBClusterMembers"], json!([]));
}

#[test]
fn final_snapshot_is_decided() {
    let mut lab = Lab::running();
    let input = json!({ "DBClusterIdentifier": "db" });
    lab.refused(
        "DeleteDBCluster",
        input,
        "InvalidParameterCombination",
        "FinalDBSnapshotIdentifier is required",
    );
    assert_eq!(code(rules::final_snapshot_is_decided(true, true)), "InvalidParameterCombination");
}
