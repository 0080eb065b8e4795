//! What is seen of clusters and instances over time.

use serde_json::{Value, json};

use super::{Lab, MINUTE};
use crate::services::rds::state::next_window;
use crate::services::rds::support::failure;
use crate::services::rds::{SERVICE, by_endpoint, interfaces};

#[test]
fn a_cluster_with_its_instance() {
    let mut lab = Lab::new();
    let created = lab.create_cluster(&json!({ "AvailabilityZones": ["us-east-1c"] }));
    assert_eq!(created["Status"], "creating");
    assert_eq!(created["DBClusterIdentifier"], "db");
    assert_eq!(created["AvailabilityZones"].as_array().map(Vec::len), Some(3));
    assert_eq!(created["StorageType"], Value::Null);
    assert_eq!(created["DBClusterParameterGroup"], "default.aurora-mysql8.0");
    assert_eq!(created["MasterUserSecret"]["SecretStatus"], "creating");
    assert_eq!(created["MasterUserSecret"]["SecretArn"], Value::Null);
    let endpoint = created["Endpoint"].as_str().expect("an endpoint").to_owned();
    assert!(
        endpoint.starts_with("db.cluster-c") && endpoint.ends_with(".us-east-1.rds.amazonaws.com")
    );

    assert_eq!(lab.create_instance("w")["DBInstanceStatus"], "creating");
    lab.create_instance("r");
    lab.pass(MINUTE);
    let secret = lab.cluster()["MasterUserSecret"].clone();
    assert_eq!(secret["SecretStatus"], "active");
    assert!(secret["SecretArn"].as_str().expect("an ARN").contains(":secret:rds!cluster-"));

    let mut seen = Vec::new();
    let mut ready = Vec::new();
    for _ in 0..30 {
        lab.pass(30_000);
        let status = lab.instance("w")["DBInstanceStatus"].as_str().expect("a status").to_owned();
        // It answers once it has booted: a backup keeps nobody out.
        let view = by_endpoint(&lab.world, lab.now, &endpoint).expect("a database");
        assert_eq!(view.available, status != "creating", "{status}");
        if seen.last() != Some(&status) {
            seen.push(status);
        }
        ready.push(lab.cluster()["Status"] == "available");
    }
    assert_eq!(seen, ["creating", "backing-up", "modifying", "available"]);
    assert!(ready.iter().any(|r| *r));
    let members = lab.cluster()["DBClusterMembers"].clone();
    assert_eq!(members[0]["IsClusterWriter"], false); // `r`: members are in order of creation, then of name
    assert_eq!(members[1]["DBInstanceIdentifier"], "w");
    assert_eq!(members[1]["IsClusterWriter"], true);
    assert_eq!(members[1]["DBClusterParameterGroupStatus"], "in-sync");

    let shown = lab.instance("w");
    assert_eq!(shown["Endpoint"]["Port"], 3306);
    assert_eq!(shown["DBSubnetGroup"]["DBSubnetGroupName"], "net");
    let view = by_endpoint(&lab.world, lab.now, &format!("{endpoint}:3306")).expect("a database");
    assert!(view.available && !view.binlog_format_row && view.groups == [lab.group.clone()]);
    let enis = interfaces(&lab.world, lab.now);
    assert_eq!(enis.len(), 2);
    assert_eq!(enis[0].description, "RDSNetworkInterface");
    assert_ne!(enis[0].az, enis[1].az);

    lab.ok("DeleteDBInstance", json!({ "DBInstanceIdentifier": "w" }));
    assert_eq!(lab.instance("w")["DBInstanceStatus"], "deleting");
    assert_eq!(lab.cluster()["DBClusterMembers"][0]["IsClusterWriter"], true); // `r` took over
    lab.ok("DeleteDBInstance", json!({ "DBInstanceIdentifier": "r", "SkipFinalSnapshot": true }));
    lab.pass(4 * MINUTE);
    lab.refused(
        "DescribeDBInstances",
        json!({ "DBInstanceIdentifier": "w" }),
        "DBInstanceNotFound",
        "not found",
    );
    assert_eq!(interfaces(&lab.world, lab.now).len(), 2);
    lab.pass(MINUTE);
    assert_eq!(interfaces(&lab.world, lab.now).len(), 0);
    let delete = json!({ "DBClusterIdentifier": "db", "FinalDBSnapshotIdentifier": "last" });
    assert_eq!(lab.ok("DeleteDBCluster", delete)["DBCluster"]["Status"], "deleting");
    lab.pass(8 * MINUTE);
    lab.refused(
        "DescribeDBClusters",
        json!({ "DBClusterIdentifier": "db" }),
        "DBClusterNotFoundFault",
        "db",
    );
    let snapshot = lab.ok("DescribeDBClusterSnapshots", json!({}))["DBClusterSnapshots"][0].clone();
    assert_eq!(
        (&snapshot["Status"], &snapshot["PercentProgress"]),
        (&json!("available"), &json!(100))
    );
    lab.ok("DeleteDBClusterSnapshot", json!({ "DBClusterSnapshotIdentifier": "last" }));
    lab.ok("DeleteDBSubnetGroup", json!({ "DBSubnetGroupName": "net" }));
    assert_eq!((SERVICE.inventory)(&lab.world, lab.now), []);
}

#[test]
fn a_modification_is_seen_late() {
    let mut lab = Lab::running();
    let input = json!({ "DBClusterIdentifier": "db", "BackupRetentionPeriod": 7, "ApplyImmediately": true });
    lab.ok("ModifyDBCluster", input.clone());
    let look = |lab: &mut Lab| {
        (lab.cluster()["Status"].clone(), lab.cluster()["BackupRetentionPeriod"].clone())
    };
    lab.pass(30_000);
    assert_eq!(look(&mut lab), (json!("available"), json!(1)));
    lab.pass(30_000);
    assert_eq!(look(&mut lab), (json!("modifying"), json!(1)));
    lab.refused(
        "ModifyDBCluster",
        input,
        "InvalidDBClusterStateFault",
        "not currently in the available state",
    );
    lab.pass(3 * MINUTE);
    assert_eq!(look(&mut lab), (json!("available"), json!(7)));
    assert_eq!(lab.cluster()["PendingModifiedValues"], Value::Null);
}

#[test]
fn a_deferred_modification_waits_for_the_window() {
    let mut lab = Lab::running();
    let input = json!({
        "DBClusterIdentifier": "db", "BackupRetentionPeriod": 7, "DeletionProtection": true,
        "PreferredMaintenanceWindow": "sun:05:00-sun:05:30",
    });
    let modified = lab.ok("ModifyDBCluster", input)["DBCluster"].clone();
    assert_eq!(modified["PendingModifiedValues"]["BackupRetentionPeriod"], 7);
    assert_eq!(modified["DeletionProtection"], true); // always at once
    lab.pass(60 * MINUTE);
    assert_eq!(lab.cluster()["BackupRetentionPeriod"], 1);
    lab.now = next_window("sun:05:00-sun:05:30", lab.now) + 3 * MINUTE;
    assert_eq!(lab.cluster()["BackupRetentionPeriod"], 7);
}

#[test]
fn an_immediate_modification_takes_the_waiting_ones_along() {
    let mut lab = Lab::running();
    lab.ok(
        "ModifyDBInstance",
        json!({ "DBInstanceIdentifier": "w", "DBInstanceClass": "db.r6g.xlarge" }),
    );
    assert_eq!(lab.instance("w")["PendingModifiedValues"]["DBInstanceClass"], "db.r6g.xlarge");
    lab.pass(60 * MINUTE);
    assert_eq!(lab.instance("w")["DBInstanceStatus"], "available");
    lab.ok("ModifyDBInstance", json!({ "DBInstanceIdentifier": "w", "ApplyImmediately": true }));
    let mut seen = Vec::new();
    for _ in 0..20 {
        lab.pass(30_000);
        let status = lab.instance("w")["DBInstanceStatus"].clone();
        if seen.last() != Some(&status) {
            seen.push(status);
        }
    }
    assert_eq!(seen, ["available", "modifying", "rebooting", "modifying", "available"]);
    assert_eq!(lab.instance("w")["DBInstanceClass"], "db.r6g.xlarge");
}

#[test]
fn a_static_parameter_waits_for_the_reboot() {
    let mut lab = Lab::running();
    let status = |lab: &mut Lab| {
        lab.cluster()["DBClusterMembers"][0]["DBClusterParameterGroupStatus"].clone()
    };
    let host = lab.cluster()["Endpoint"].as_str().expect("an endpoint").to_owned();
    let row =
        |lab: &Lab| by_endpoint(&lab.world, lab.now, &host).expect("a database").binlog_format_row;
    assert_eq!(status(&mut lab), "in-sync");
    lab.set("binlog_format", "row", "pending-reboot").expect("allowed");
    assert_eq!((status(&mut lab), row(&lab)), (json!("pending-reboot"), false));
    lab.pass(60 * MINUTE);
    assert_eq!(lab.cluster()["Status"], "available");
    assert_eq!(status(&mut lab), "pending-reboot");
    let rebooted = lab.ok("RebootDBInstance", json!({ "DBInstanceIdentifier": "w" }));
    assert_eq!(rebooted["DBInstance"]["DBInstanceStatus"], "rebooting");
    assert!(!by_endpoint(&lab.world, lab.now, &host).expect("a database").available);
    lab.pass(MINUTE);
    assert_eq!((status(&mut lab), row(&lab)), (json!("in-sync"), true));
    // The same value again is no change; a dynamic one is pushed.
    lab.set("binlog_format", "row", "pending-reboot").expect("allowed");
    assert_eq!(status(&mut lab), "in-sync");
    lab.set("binlog_row_image", "full", "immediate").expect("allowed");
    assert_eq!(status(&mut lab), "applying");
    lab.pass(MINUTE);
    assert_eq!(status(&mut lab), "in-sync");
    // Another group waits for a reboot as well.
    let attach = json!({ "DBClusterIdentifier": "db", "DBClusterParameterGroupName": "default.aurora-mysql8.0" });
    lab.ok("ModifyDBCluster", attach);
    assert_eq!((status(&mut lab), row(&lab)), (json!("pending-reboot"), false));
}

#[test]
fn a_group_set_before_the_cluster_is_in_sync_at_once() {
    let mut lab = Lab::new();
    lab.ok(
        "CreateDBClusterParameterGroup",
        json!({ "DBClusterParameterGroupName": "cdc", "DBParameterGroupFamily": "aurora-mysql8.0", "Description": "d" }),
    );
    lab.set("binlog_format", "ROW", "pending-reboot").expect("allowed");
    lab.create_cluster(&json!({ "DBClusterParameterGroupName": "cdc" }));
    lab.create_instance("w");
    lab.pass(10 * MINUTE);
    let host = lab.cluster()["Endpoint"].as_str().expect("an endpoint").to_owned();
    assert!(by_endpoint(&lab.world, lab.now, &host).expect("a database").binlog_format_row);
    let reader = lab.cluster()["ReaderEndpoint"].as_str().expect("an endpoint").to_owned();
    assert!(by_endpoint(&lab.world, lab.now, &reader).expect("a database").binlog_format_row);
    lab.create_instance("r"); // now the reader endpoint leads elsewhere
    assert!(!by_endpoint(&lab.world, lab.now, &reader).expect("a database").binlog_format_row);
}

#[test]
fn an_upgrade_takes_the_instances_along() {
    let mut lab = Lab::running();
    lab.ok(
        "ModifyDBCluster",
        json!({
            "DBClusterIdentifier": "db", "EngineVersion": "8.4.7", "AllowMajorVersionUpgrade": true,
            "DBClusterParameterGroupName": "default.aurora-mysql8.4", "ApplyImmediately": true,
        }),
    );
    lab.pass(2 * MINUTE);
    assert_eq!(lab.cluster()["Status"], "upgrading");
    assert_eq!(lab.instance("w")["DBInstanceStatus"], "upgrading");
    assert_eq!(lab.cluster()["PendingModifiedValues"]["EngineVersion"], "8.4.mysql_aurora.8.4.7");
    lab.pass(15 * MINUTE);
    let (cluster, instance) = (lab.cluster(), lab.instance("w"));
    assert_eq!(cluster["EngineVersion"], "8.4.mysql_aurora.8.4.7");
    assert_eq!(instance["EngineVersion"], "8.4.mysql_aurora.8.4.7");
    assert_eq!(cluster["DBClusterParameterGroup"], "default.aurora-mysql8.4");
    assert_eq!(instance["DBParameterGroups"][0]["DBParameterGroupName"], "default.aurora-mysql8.4");
    assert_eq!(cluster["DBClusterMembers"][0]["DBClusterParameterGroupStatus"], "in-sync");
}

#[test]
fn no_password_is_kept() {
    let mut lab = Lab::new();
    let mut input = lab.cluster_input();
    input["ManageMasterUserPassword"] = json!(false);
    input["MasterUserPassword"] = json!("correct-horse");
    lab.ok("CreateDBCluster", input);
    lab.pass(10 * MINUTE);
    let modify = json!({ "DBClusterIdentifier": "db", "MasterUserPassword": "battery-staple" });
    lab.ok("ModifyDBCluster", modify);
    lab.pass(MINUTE);
    assert_eq!(lab.cluster()["Status"], "resetting-master-credentials");
    let text = serde_json::to_string(&lab.world).expect("a world can be written");
    assert!(!text.contains("correct-horse") && !text.contains("battery-staple"));
}

#[test]
fn tags_parameters_and_pages() {
    let mut lab = Lab::running();
    let arn = lab.cluster()["DBClusterArn"].clone();
    lab.ok(
        "AddTagsToResource",
        json!({ "ResourceName": arn, "Tags": [{ "Key": "a", "Value": "1" }, { "Key": "b" }] }),
    );
    lab.ok("RemoveTagsFromResource", json!({ "ResourceName": arn, "TagKeys": ["b"] }));
    let list = lab.ok("ListTagsForResource", json!({ "ResourceName": arn }));
    assert_eq!(list["TagList"], json!([{ "Key": "a", "Value": "1" }]));
    assert_eq!(lab.cluster()["TagList"], list["TagList"]);

    lab.set("binlog_format", "ROW", "pending-reboot").expect("allowed");
    let mut all = Vec::new();
    let mut input = json!({ "DBClusterParameterGroupName": "cdc", "MaxRecords": 20 });
    loop {
        let page = lab.ok("DescribeDBClusterParameters", input.clone());
        all.extend(page["Parameters"].as_array().expect("a list").clone());
        let Some(marker) = page.get("Marker") else { break };
        input["Marker"] = marker.clone();
    }
    let names: Vec<_> = all.iter().filter_map(|p| p["ParameterName"].as_str()).collect();
    assert!(names.len() > 40 && names.is_sorted(), "{names:?}");
    let input = json!({ "DBClusterParameterGroupName": "cdc", "Source": "user" });
    let user = lab.ok("DescribeDBClusterParameters", input.clone())["Parameters"].clone();
    assert_eq!(user.as_array().map(Vec::len), Some(1));
    assert_eq!(user[0]["ParameterValue"], "ROW");
    assert_eq!(user[0]["AllowedValues"], "ROW,STATEMENT,MIXED,OFF");
    lab.ok(
        "ResetDBClusterParameterGroup",
        json!({ "DBClusterParameterGroupName": "cdc", "ResetAllParameters": true }),
    );
    assert_eq!(lab.ok("DescribeDBClusterParameters", input)["Parameters"], json!([]));
}

#[test]
fn what_is_on_offer() {
    let mut lab = Lab::new();
    let all =
        lab.ok("DescribeDBEngineVersions", json!({ "Engine": "aurora-mysql" }))["DBEngineVersions"]
            .clone();
    assert_eq!(all.as_array().map(Vec::len), Some(30));
    assert_eq!(all[0]["ValidUpgradeTarget"][0]["EngineVersion"], "5.7.mysql_aurora.2.11.2");
    let input = json!({ "Engine": "aurora-postgresql", "DefaultOnly": true });
    let one = lab.ok("DescribeDBEngineVersions", input)["DBEngineVersions"].clone();
    assert_eq!(one.as_array().map(Vec::len), Some(1));
    let input = json!({
        "Engine": "aurora-mysql", "EngineVersion": "8.0.mysql_aurora.3.10.0", "DBInstanceClass": "db.t3.small",
    });
    assert_eq!(
        lab.ok("DescribeOrderableDBInstanceOptions", input.clone())["OrderableDBInstanceOptions"],
        json!([])
    );
    let quotas = lab.ok("DescribeAccountAttributes", json!({}))["AccountQuotas"].clone();
    assert!(
        quotas.as_array().expect("a list").iter().any(|q| q["AccountQuotaName"] == "DBClusters")
    );
}

#[test]
fn a_dial_fails_what_it_names() {
    assert_eq!(failure(&json!(true), "w").as_deref(), Some("failed"));
    assert_eq!(failure(&json!("r"), "w"), None);
    let dial = json!({ "identifiers": ["w"], "status": "incompatible-parameters" });
    assert_eq!(failure(&dial, "w").as_deref(), Some("incompatible-parameters"));
    let mut lab = Lab::running();
    lab.world.state.rds.instances.get_mut("w").expect("an instance").life.fails =
        Some("failed".into());
    assert_eq!(lab.instance("w")["DBInstanceStatus"], "failed");
    lab.ok("DeleteDBInstance", json!({ "DBInstanceIdentifier": "w" }));
}

fn logical(lab: &Lab) -> bool {
    let host = crate::services::rds::views::cluster_endpoint(&lab.world, "db", "cluster");
    by_endpoint(&lab.world, lab.now, &host).expect("a cluster").logical_replication
}

#[test]
fn a_postgresql_cluster_replicates_logically_after_a_reboot() {
    let mut lab = Lab::new();
    let group = json!({
        "DBClusterParameterGroupName": "cdc", "DBParameterGroupFamily": "aurora-postgresql16", "Description": "d",
    });
    lab.ok("CreateDBClusterParameterGroup", group);
    let postgres = json!({
        "Engine": "aurora-postgresql", "EngineVersion": "16.8", "MasterUsername": "postgres", "DatabaseName": "shop",
        "DBClusterParameterGroupName": "cdc", "EnableCloudwatchLogsExports": ["postgresql"],
    });
    let made = lab.create_cluster(&postgres);
    assert_eq!((&made["Port"], &made["DatabaseName"]), (&json!(5432), &json!("shop")));
    let instance = json!({
        "DBInstanceIdentifier": "w", "DBClusterIdentifier": "db", "Engine": "aurora-postgresql",
        "DBInstanceClass": "db.r7g.large",
    });
    let made = lab.ok("CreateDBInstance", instance)["DBInstance"].clone();
    assert_eq!(made["LicenseModel"], "postgresql-license");
    assert_eq!(made["DBParameterGroups"][0]["DBParameterGroupName"], "default.aurora-postgresql16");
    lab.pass(10 * MINUTE);
    assert!(!logical(&lab), "it is off by default");

    // `wal_level` follows from it, and is no parameter of a group.
    assert_eq!(
        super::code(lab.set("wal_level", "logical", "pending-reboot")),
        "InvalidParameterValue"
    );
    assert_eq!(
        super::code(lab.set("rds.logical_replication", "1", "immediate")),
        "InvalidParameterCombination"
    );
    lab.set("rds.logical_replication", "1", "pending-reboot").expect("allowed");
    lab.pass(10 * MINUTE);
    assert_eq!(
        lab.cluster()["DBClusterMembers"][0]["DBClusterParameterGroupStatus"],
        "pending-reboot"
    );
    assert!(!logical(&lab), "it is static");
    lab.ok("RebootDBInstance", json!({ "DBInstanceIdentifier": "w" }));
    lab.pass(2 * MINUTE);
    assert!(logical(&lab));

    let mut up =
        json!({ "DBClusterIdentifier": "db", "EngineVersion": "17.7", "ApplyImmediately": true });
    lab.refused(
        "ModifyDBCluster",
        up.clone(),
        "InvalidParameterCombination",
        "AllowMajorVersionUpgrade",
    );
    up["AllowMajorVersionUpgrade"] = true.into();
    lab.refused("ModifyDBCluster", up.clone(), "InvalidParameterCombination", "is custom");
    up["EngineVersion"] = "15.14".into();
    lab.refused("ModifyDBCluster", up, "InvalidParameterCombination", "Cannot upgrade");
}

#[test]
fn what_a_postgresql_may_be() {
    let mut lab = Lab::new();
    let input = json!({ "Engine": "aurora-postgresql", "EngineVersion": "16.8" });
    let one = lab.ok("DescribeDBEngineVersions", input)["DBEngineVersions"][0].clone();
    assert_eq!(one["DBParameterGroupFamily"], "aurora-postgresql16");
    assert_eq!(one["ExportableLogTypes"], json!(["instance", "postgresql", "iam-db-auth-error"]));
    assert!(one["DBEngineVersionDescription"].as_str().is_some_and(|d| d.ends_with("(LTS)")));
    let targets = one["ValidUpgradeTarget"].as_array().expect("a list");
    let found: Vec<_> = targets
        .iter()
        .map(|t| (t["EngineVersion"].as_str().expect("text"), t["IsMajorVersionUpgrade"] == true))
        .collect();
    assert!(found.contains(&("16.10", false)) && found.contains(&("17.7", true)), "{found:?}");
    assert!(!found.iter().any(|(v, _)| *v == "15.14"), "{found:?}");
    let default = |family: &str| {
        crate::services::rds::parameters::find(family, true, "rds.force_ssl")
            .and_then(|p| p.default)
    };
    assert_eq!(default("aurora-postgresql16"), Some("0"));
    assert_eq!(default("aurora-postgresql17"), Some("1"));
    // The logical replication of a cluster is none of an instance's parameters.
    let instance =
        |name| crate::services::rds::parameters::find("aurora-postgresql16", false, name);
    assert!(instance("rds.logical_replication").is_none() && instance("work_mem").is_some());
}
