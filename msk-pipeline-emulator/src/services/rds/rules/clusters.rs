//! Rules of clusters.

use serde_json::Value;

use super::{COMBINATION, Rule, VALUE, number_is_in_range, refuse, unless};
use crate::services::rds::catalog::{self, EngineVersion};
use crate::world::AwsError;

/// Engines that exist here; `aurora` is not one (handbook §4.5).
pub(in crate::services::rds) fn engine_is_aurora(engine: &str) -> Rule {
    unless(catalog::engine_exists(engine), VALUE, || "Invalid DB engine".into())
}

/// Unknown and withdrawn versions (handbook §4.5).
pub(in crate::services::rds) fn version_is_offered(
    engine: &str,
    version: Option<&str>,
) -> Result<EngineVersion, AwsError> {
    let found = match version {
        Some(version) => catalog::find(engine, version),
        None => catalog::default_version(engine),
    };
    found.ok_or_else(|| {
        let version = version.unwrap_or_default();
        AwsError::new(COMBINATION, format!("Cannot find version {version} for {engine}"))
    })
}

/// With extended support off, a version past standard support can't be created.
pub(in crate::services::rds) fn version_is_in_standard_support(
    version: &EngineVersion,
    lifecycle: &str,
) -> Rule {
    let refused = version.extended && lifecycle == "open-source-rds-extended-support-disabled";
    unless(!refused, COMBINATION, || {
        format!(
            "The engine version {} is past the end of standard support and RDS Extended Support is disabled.",
            version.version
        )
    })
}

/// A password or management by RDS, exactly one of them.
pub(in crate::services::rds) fn master_credentials_are_given_once(
    username: Option<&str>,
    has_password: bool,
    managed: bool,
) -> Rule {
    if username.is_none_or(str::is_empty) {
        return refuse(
            VALUE,
            "The parameter MasterUsername must be provided and must not be blank.",
        );
    }
    if has_password && managed {
        return refuse(
            COMBINATION,
            "You can't specify MasterUserPassword when ManageMasterUserPassword is enabled.",
        );
    }
    unless(has_password || managed, VALUE, || {
        "The parameter MasterUserPassword must be provided and must not be blank.".into()
    })
}

/// 1 to 16 letters or digits, a letter first, no reserved word.
pub(in crate::services::rds) fn master_username_is_free(engine: &str, name: &str) -> Rule {
    let reserved: &[&str] = if catalog::is_mysql(engine) {
        &["rdsadmin", "rdsrepladmin"]
    } else {
        &["rdsadmin", "admin"]
    };
    if reserved.contains(&name.to_ascii_lowercase().as_str()) {
        return refuse(
            VALUE,
            format!(
                "MasterUsername {name} cannot be used as it is a reserved word used by the engine"
            ),
        );
    }
    if !catalog::is_mysql(engine) && name.to_ascii_lowercase().starts_with("pg_") {
        return refuse(
            VALUE,
            format!(
                "MasterUsername {name} cannot be used because role names starting with \"pg_\" are reserved by the PostgreSQL engine"
            ),
        );
    }
    let ok = (1..=16).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    unless(ok, VALUE, || {
        "The parameter MasterUsername must be 1 to 16 letters or numbers and begin with a letter."
            .into()
    })
}

/// Letters, digits and underscores, a letter first, 63 of them in PostgreSQL and 64 in MySQL, no reserved word.
pub(in crate::services::rds) fn database_name_is_free(engine: &str, name: Option<&str>) -> Rule {
    let Some(name) = name else { return Ok(()) };
    let reserved: &[&str] = if catalog::is_mysql(engine) { &[] } else { &["admin", "rdsadmin"] };
    if reserved.contains(&name.to_ascii_lowercase().as_str()) {
        return refuse(
            VALUE,
            format!("DatabaseName {name} cannot be used. It is a reserved word for this engine"),
        );
    }
    let longest = if catalog::is_mysql(engine) { 64 } else { 63 };
    let ok = (1..=longest).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    unless(ok, VALUE, || {
        "DatabaseName must begin with a letter and contain only alphanumeric characters.".into()
    })
}

/// 8 to 41 printable ASCII characters without `/`, `"` and `@`. The message never repeats the password.
pub(in crate::services::rds) fn master_password_is_well_formed(password: &str) -> Rule {
    let ok = (8..=41).contains(&password.len())
        && password.chars().all(|c| (' '..='~').contains(&c) && !"/\"@".contains(c));
    unless(ok, VALUE, || {
        "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides '/', '@', '\"' may be \
         used, 8 to 41 of them."
            .into()
    })
}

/// A cluster's storage is in three zones.
pub(in crate::services::rds) fn at_most_three_zones(zones: &[String]) -> Rule {
    unless(zones.len() <= 3, VALUE, || {
        format!("A DB cluster can have at most 3 Availability Zones, got {}.", zones.len())
    })
}

/// A parameter group serves the versions of its family.
pub(in crate::services::rds) fn family_matches_version(
    group: &str,
    family: &str,
    version: &EngineVersion,
) -> Rule {
    unless(family == version.family, COMBINATION, || {
        format!(
            "The parameter group {group} with DBParameterGroupFamily {family} can't be used for this instance. Use a parameter \
             group with DBParameterGroupFamily {}.",
            version.family
        )
    })
}

/// Security groups exist (code U) and are in the VPC of the subnet group. `groups` holds each group with its VPC.
pub(in crate::services::rds) fn groups_are_in_the_vpc(
    vpc: &str,
    groups: &[(String, Option<String>)],
) -> Rule {
    for (id, found) in groups {
        match found {
            None => {
                return refuse(
                    VALUE,
                    format!("Invalid security group , groupId= {id}, groupName=."),
                );
            }
            Some(other) if other != vpc => {
                return refuse(
                    COMBINATION,
                    format!(
                        "The DB instance and EC2 security group are in different VPCs. The DB instance is in {vpc} and the EC2 \
                         security group is in {other}"
                    ),
                );
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// 0 or 0.5 to 256 in half steps, the minimum not above the maximum, the maximum at least 1, pauses of 5 minutes to a day.
pub(in crate::services::rds) fn scaling_range_is_valid(scaling: &Value) -> Rule {
    let number = |name: &str| scaling.get(name).and_then(Value::as_f64);
    let (min, max) = (number("MinCapacity"), number("MaxCapacity"));
    let half = |v: f64| (0.0..=256.0).contains(&v) && (v * 2.0).fract() == 0.0;
    let ok = min.is_none_or(half)
        && max.is_none_or(|m| half(m) && m >= 1.0)
        && min.zip(max).is_none_or(|(min, max)| min <= max);
    unless(ok, VALUE, || {
        "Serverless v2 capacity isn't valid: the minimum is 0 or 0.5 to 256, the maximum 1 to 256, in half steps, and the \
         minimum must not exceed the maximum."
            .into()
    })?;
    number_is_in_range(
        "SecondsUntilAutoPause",
        scaling.get("SecondsUntilAutoPause").and_then(Value::as_i64),
        300,
        86_400,
    )
}

/// A `db.serverless` instance needs a range on its cluster first.
pub(in crate::services::rds) fn serverless_instance_needs_scaling(
    class: &str,
    has_scaling: bool,
) -> Rule {
    unless(class != "db.serverless" || has_scaling, "InvalidDBClusterStateFault", || {
        "Set the Serverless v2 scaling configuration on the parent DB cluster before creating a Serverless v2 DB instance.".into()
    })
}

/// Logs that the engine writes.
pub(in crate::services::rds) fn log_types_exist(engine: &str, wanted: &[String]) -> Rule {
    let types = catalog::log_types(engine);
    match wanted.iter().find(|w| !types.contains(&w.as_str())) {
        None => Ok(()),
        Some(unknown) => refuse(
            COMBINATION,
            format!("You cannot use the log types '{unknown}' with engine version {engine}."),
        ),
    }
}

/// `aurora` and `aurora-iopt1`.
pub(in crate::services::rds) fn storage_type_exists(storage: Option<&str>) -> Rule {
    let ok = storage.is_none_or(|s| s == "aurora" || s == "aurora-iopt1");
    unless(ok, "StorageTypeNotSupported", || {
        format!("The storage type {} is not supported.", storage.unwrap_or_default())
    })
}

/// Nothing is modified or deleted while it is busy.
pub(in crate::services::rds) fn cluster_is_available(id: &str, status: &str) -> Rule {
    unless(status == "available", "InvalidDBClusterStateFault", || {
        format!("DB cluster {id} is not currently in the available state: {status}.")
    })
}

/// A snapshot is taken of an available cluster.
pub(in crate::services::rds) fn cluster_is_available_for_snapshot(id: &str, status: &str) -> Rule {
    unless(status == "available", "InvalidDBClusterStateFault", || {
        format!(
            "Can't create a snapshot because the database cluster {id} isn't currently in the available state."
        )
    })
}

/// Versions never go down, and only along the offered paths.
pub(in crate::services::rds) fn upgrade_goes_up(from: &EngineVersion, to: &EngineVersion) -> Rule {
    let ok = from == to || catalog::upgrades(from).iter().any(|(v, _)| v == to);
    unless(ok, COMBINATION, || {
        format!("Cannot upgrade {} from {} to {}", from.engine, from.version, to.version)
    })
}

/// Another major version must be asked for in so many words.
pub(in crate::services::rds) fn major_upgrade_is_allowed(
    from: &EngineVersion,
    to: &EngineVersion,
    allowed: bool,
) -> Rule {
    unless(from.major == to.major || allowed, COMBINATION, || {
        "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version."
            .into()
    })
}

/// A custom group doesn't follow to another family by itself. `kind` is `cluster` or `instance`.
pub(in crate::services::rds) fn major_upgrade_names_groups(
    kind: &str,
    current: &str,
    named: bool,
) -> Rule {
    unless(named || current.starts_with("default."), COMBINATION, || {
        format!(
            "The current DB {kind} parameter group {current} is custom. You must explicitly specify a new DB {kind} parameter \
             group, either default or custom, for the engine version upgrade."
        )
    })
}

/// Rotation of a managed password is immediate, and only of a managed one.
pub(in crate::services::rds) fn rotation_applies_immediately(
    immediately: bool,
    managed: bool,
) -> Rule {
    unless(immediately && managed, COMBINATION, || {
        if managed {
            "You must apply the change immediately when rotating the master user password.".into()
        } else {
            "You can't rotate the master user password because it isn't managed in AWS Secrets Manager.".into()
        }
    })
}

/// Ending management needs a password; while it lasts none can be set.
pub(in crate::services::rds) fn unmanaging_needs_a_password(
    managed: bool,
    manage: Option<bool>,
    has_password: bool,
) -> Rule {
    if managed && manage == Some(false) && !has_password {
        return refuse(
            COMBINATION,
            "You must specify MasterUserPassword when you turn off ManageMasterUserPassword.",
        );
    }
    let keeps = manage.unwrap_or(managed);
    unless(!(keeps && has_password), COMBINATION, || {
        "You can't specify MasterUserPassword when the master user password is managed in AWS Secrets Manager.".into()
    })
}

/// Deletion protection (handbook §4.4: Terraform looks for "disable deletion pro").
pub(in crate::services::rds) fn protected_cluster_stays(protected: bool) -> Rule {
    unless(!protected, COMBINATION, || {
        "Cannot delete protected Cluster, please disable deletion protection and try again.".into()
    })
}

/// Instances go first; those already being deleted do not count.
pub(in crate::services::rds) fn members_are_deleted_first(staying: usize) -> Rule {
    unless(staying == 0, "InvalidDBClusterStateFault", || {
        "Cluster cannot be deleted, it still contains DB instances in non-deleting state.".into()
    })
}

/// A final snapshot, or the word that there shall be none.
pub(in crate::services::rds) fn final_snapshot_is_decided(skip: bool, named: bool) -> Rule {
    match (skip, named) {
        (false, false) => refuse(
            COMBINATION,
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
        ),
        (true, true) => refuse(
            COMBINATION,
            "You cannot specify both FinalDBSnapshotIdentifier and SkipFinalSnapshot",
        ),
        _ => Ok(()),
    }
}
