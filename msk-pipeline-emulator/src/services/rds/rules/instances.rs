//! Rules of instances.

use serde_json::Value;

use super::{COMBINATION, Rule, VALUE, refuse, unless};
use crate::services::ec2::Egress;
use crate::services::rds::catalog::{self, EngineVersion};

/// The class exists for the version.
pub(in crate::services::rds) fn class_is_orderable(class: &str, version: &EngineVersion) -> Rule {
    let ok = catalog::classes(version).iter().any(|c| c == class);
    unless(ok, COMBINATION, || {
        let license = if catalog::is_mysql(version.engine) {
            "general-public-license"
        } else {
            "postgresql-license"
        };
        format!(
            "RDS does not support creating a DB instance with the following combination: DBInstanceClass={class}, \
             Engine={}, EngineVersion={}, LicenseModel={license}. For supported combinations of instance class and database \
             engine version, see the documentation.",
            version.engine, version.version
        )
    })
}

/// Engine and version are the cluster's.
pub(in crate::services::rds) fn engine_matches_cluster(
    what: &str,
    asked: Option<&str>,
    cluster: &str,
) -> Rule {
    unless(asked.is_none_or(|a| a == cluster), COMBINATION, || {
        format!(
            "The {what} that you requested for your DB instance ({}) does not match the {what} of your DB cluster ({cluster}).",
            asked.unwrap_or_default()
        )
    })
}

/// What is set on the cluster can't be set on its instance.
pub(in crate::services::rds) fn setting_belongs_to_cluster(input: &Value, creating: bool) -> Rule {
    const MEMBERS: &[(&str, &str)] = &[
        ("MasterUsername", "master user name"),
        ("MasterUserPassword", "database password"),
        ("ManageMasterUserPassword", "database password"),
        ("AllocatedStorage", "storage size"),
        ("BackupRetentionPeriod", "backup retention period"),
        ("PreferredBackupWindow", "backup window"),
        ("VpcSecurityGroupIds", "security groups"),
        ("StorageEncrypted", "storage encryption"),
        ("KmsKeyId", "encryption key"),
        ("DBName", "database name"),
        ("Port", "database endpoint port number"),
        ("DBPortNumber", "database endpoint port number"),
        ("EnableIAMDatabaseAuthentication", "IAM database authentication"),
        ("EnableCloudwatchLogsExports", "log exports"),
        ("CloudwatchLogsExportConfiguration", "log exports"),
    ];
    let given = |name: &str| {
        input.get(name).is_some_and(|v| match v {
            Value::Null | Value::Bool(false) => false,
            Value::Array(items) => !items.is_empty(),
            _ => true,
        })
    };
    if given("DeletionProtection") {
        return refuse(
            COMBINATION,
            "Deletion Protection can only be applied on the Cluster level, not for individual instances",
        );
    }
    if !creating && given("EngineVersion") {
        return refuse(
            COMBINATION,
            "The specified DB Instance is a member of a cluster. Modify the DB engine version for the DB Cluster using the \
             ModifyDbCluster API",
        );
    }
    match MEMBERS.iter().find(|(name, _)| given(name)) {
        None => Ok(()),
        Some((_, what)) if creating => refuse(
            COMBINATION,
            format!(
                "The requested DB Instance will be a member of a DB Cluster. Set {what} for the DB Cluster."
            ),
        ),
        Some((_, what)) => refuse(
            COMBINATION,
            format!(
                "The specified DB Instance is a member of a cluster. Modify {what} for the DB Cluster using the ModifyDbCluster \
                 API"
            ),
        ),
    }
}

/// A public instance needs a VPC with an internet gateway, seen here by the routes of the subnet group.
pub(in crate::services::rds) fn public_instance_needs_gateway(
    public: bool,
    egress: &[Egress],
) -> Rule {
    let gateway = egress.iter().any(|e| !matches!(e, Egress::None));
    unless(!public || gateway, "InvalidVPCNetworkStateFault", || {
        "Cannot create a publicly accessible DBInstance. The specified VPC has no internet gateway attached.Update the VPC and \
         then try again"
            .into()
    })
}

/// Enhanced monitoring has one of seven intervals, and a role.
pub(in crate::services::rds) fn monitoring_needs_a_role(interval: i64, has_role: bool) -> Rule {
    unless([0, 1, 5, 10, 15, 30, 60].contains(&interval), VALUE, || {
        format!("Invalid MonitoringInterval: {interval}. Valid values: 0, 1, 5, 10, 15, 30, 60.")
    })?;
    unless((interval != 0) == has_role, COMBINATION, || {
        if has_role {
            "A MonitoringInterval other than 0 is required if you specify a MonitoringRoleARN."
                .into()
        } else {
            "A MonitoringRoleARN value is required if you specify a MonitoringInterval value other than 0.".into()
        }
    })
}

/// Nothing is modified or rebooted while it is busy.
pub(in crate::services::rds) fn instance_is_available(id: &str, status: &str) -> Rule {
    unless(status == "available", "InvalidDBInstanceState", || {
        format!("Instance {id} is not in available state: {status}.")
    })
}

/// Deleting twice.
pub(in crate::services::rds) fn instance_is_not_being_deleted(id: &str, deleting: bool) -> Rule {
    unless(!deleting, "InvalidDBInstanceState", || {
        format!("Instance {id} is already being deleted.")
    })
}

/// The final snapshot is the cluster's.
pub(in crate::services::rds) fn cluster_instance_takes_no_final_snapshot(named: bool) -> Rule {
    unless(!named, COMBINATION, || {
        "FinalDBSnapshotIdentifier can not be specified when deleting a cluster instance".into()
    })
}
