//! Clusters.

use serde_json::{Value, json};

use super::catalog::{self, EngineVersion};
use super::groups::{self, Kind};
use super::rules;
use super::state::{
    CLUSTER_CREATE, Cluster, DELETE, Life, MODIFY, ManagedSecret, Phase, SECRET_ACTIVE,
    SECRET_VISIBLE, SNAPSHOT, SubnetGroup, UPGRADE, Values, When, next_window,
};
use super::support::{
    filters, flag, given, late_failure, name_of, needed, not_implemented, number, page, passes,
    tags, text, texts, without,
};
use super::{account, snapshots, support, views};
use crate::services::{ec2, secretsmanager};
use crate::world::{AwsError, Cx, Millis, Outcome, World};

/// Members that would make something that the embedded AWS doesn't have.
const ABSENT: &[&str] = &[
    "ReplicationSourceIdentifier",
    "GlobalClusterIdentifier",
    "DBClusterInstanceClass",
    "EnableLimitlessDatabase",
    "ScalingConfiguration",
    "Domain",
    "NewDBClusterIdentifier",
    "AllocatedStorage",
    "Iops",
];

pub(super) fn not_found(id: &str) -> AwsError {
    AwsError::new("DBClusterNotFoundFault", format!("DBCluster {id} not found."))
}

pub(super) fn get(w: &World, name_or_arn: &str, now: Millis) -> Result<Cluster, AwsError> {
    let id = name_of(name_or_arn);
    w.state.rds.cluster(&id, now).cloned().ok_or_else(|| not_found(&id))
}

/// The version that the cluster runs now.
pub(super) fn version(cluster: &Cluster, now: Millis) -> Result<EngineVersion, AwsError> {
    rules::version_is_offered(&cluster.engine, Some(&cluster.life.text(now, "EngineVersion")))
}

fn shown(w: &World, id: &str, now: Millis) -> Value {
    w.state.rds.clusters.get(id).map_or(Value::Null, |c| views::cluster(w, c, now))
}

/// The subnet group to use: the named one, or `default`, which RDS makes of the default VPC's subnets when it is first needed.
fn subnet_group(w: &mut World, cx: &Cx, name: Option<&str>) -> Result<SubnetGroup, AwsError> {
    if let Some(name) = name {
        return groups::subnet_group(w, name).cloned();
    }
    if let Some(group) = w.state.rds.subnet_groups.get("default") {
        return Ok(group.clone());
    }
    let filter = json!({ "Filters": [{ "Name": "default-for-az", "Values": ["true"] }] });
    let reply = (ec2::SERVICE.handle)(w, cx, "DescribeSubnets", &filter)
        .map(|r| r.value)
        .unwrap_or_default();
    let subnets = reply["Subnets"].as_array().cloned().unwrap_or_default();
    let vpc_id = subnets.first().and_then(|s| text(s, "VpcId")).map(str::to_owned);
    let Some(vpc_id) = vpc_id else {
        return Err(AwsError::new("InvalidSubnet", "No default subnet detected in VPC"));
    };
    let subnets = subnets
        .iter()
        .filter_map(|s| {
            Some((text(s, "SubnetId")?.to_owned(), text(s, "AvailabilityZone")?.to_owned()))
        })
        .collect();
    let group = SubnetGroup {
        name: "default".into(),
        description: "default".into(),
        vpc_id,
        subnets,
        tags: std::collections::BTreeMap::new(),
    };
    w.state.rds.subnet_groups.insert("default".into(), group.clone());
    Ok(group)
}

/// The security groups to use: the named ones, or the VPC's default.
fn security_groups(
    w: &mut World,
    cx: &Cx,
    vpc: &str,
    ids: Option<Vec<String>>,
) -> Result<Vec<String>, AwsError> {
    let Some(ids) = ids.filter(|ids| !ids.is_empty()) else {
        let filter = json!({ "Filters": [
            { "Name": "vpc-id", "Values": [vpc] }, { "Name": "group-name", "Values": ["default"] },
        ] });
        let reply = (ec2::SERVICE.handle)(w, cx, "DescribeSecurityGroups", &filter)
            .map(|r| r.value)
            .unwrap_or_default();
        let groups = reply["SecurityGroups"].as_array().cloned().unwrap_or_default();
        return Ok(groups.iter().filter_map(|g| text(g, "GroupId")).map(Into::into).collect());
    };
    let found: Vec<_> =
        ids.iter().map(|id| (id.clone(), ec2::group(w, id).map(|g| g.vpc_id))).collect();
    rules::groups_are_in_the_vpc(vpc, &found)?;
    Ok(ids)
}

/// Three zones: the wanted ones, then those of the subnet group, then others of the region.
fn three_zones(
    w: &mut World,
    cx: &Cx,
    wanted: Vec<String>,
    subnets: &[(String, String)],
) -> Vec<String> {
    let mut zones = wanted;
    for zone in subnets.iter().map(|(_, zone)| zone.clone()).chain(support::zones(w, cx)) {
        if zones.len() < 3 && !zones.contains(&zone) {
            zones.push(zone);
        }
    }
    zones.sort();
    zones
}

fn random_windows(w: &mut World, label: &str) -> (String, String) {
    let clock = |minutes: u64| format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60);
    let day = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][(w.draw(label) % 7) as usize];
    // Backups in the first half of an eight-hour block, maintenance in the second: they must not overlap.
    let backup = 180 + w.draw(label) % 210;
    let upkeep = 420 + w.draw(label) % 210;
    (
        format!("{}-{}", clock(backup), clock(backup + 30)),
        format!("{day}:{}-{day}:{}", clock(upkeep), clock(upkeep + 30)),
    )
}

/// Has Secrets Manager make the master secret. The password exists there and nowhere else.
fn manage_password(
    w: &mut World,
    now: Millis,
    id: &str,
    username: &str,
    kms_key: Option<&str>,
) -> ManagedSecret {
    let label = format!("rds/cluster/{id}/secret");
    let password = format!("{}{}", w.token(&label, 16), w.hex(&label, 16));
    let name = format!("rds!cluster-{}", w.uuid(&label));
    let active_at = now + w.duration(&label, SECRET_ACTIVE);
    let value = json!({ "username": username, "password": password }).to_string();
    let arn = secretsmanager::create_managed(w, now, "rds", &name, &value, active_at);
    let kms_key = match kms_key {
        Some(key) => key.to_owned(),
        None => w.arn("kms", "alias/aws/secretsmanager"),
    };
    ManagedSecret { arn, kms_key, visible_at: now + SECRET_VISIBLE, active_at, rotating: None }
}

pub(super) fn create(w: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let now = cx.now;
    let id = needed(input, "DBClusterIdentifier").to_ascii_lowercase();
    rules::identifier_is_well_formed("DBClusterIdentifier", &id, 63)?;
    let engine = needed(input, "Engine");
    rules::engine_is_aurora(engine)?;
    without(input, ABSENT)?;
    if let Some(mode) = text(input, "EngineMode").filter(|m| *m != "provisioned") {
        return Err(not_implemented(&format!("the engine mode {mode}")));
    }
    if w.state.rds.cluster(&id, now).is_some() {
        return Err(AwsError::new("DBClusterAlreadyExistsFault", "DB Cluster already exists"));
    }
    let version = rules::version_is_offered(engine, text(input, "EngineVersion"))?;
    let lifecycle =
        text(input, "EngineLifecycleSupport").unwrap_or("open-source-rds-extended-support");
    rules::version_is_in_standard_support(&version, lifecycle)?;

    let managed = flag(input, "ManageMasterUserPassword").unwrap_or(false);
    let password = text(input, "MasterUserPassword");
    let username = text(input, "MasterUsername");
    rules::master_credentials_are_given_once(username, password.is_some(), managed)?;
    let username = username.unwrap_or_default();
    rules::master_username_is_free(engine, username)?;
    password.map_or(Ok(()), rules::master_password_is_well_formed)?;
    rules::database_name_is_free(engine, text(input, "DatabaseName"))?;
    rules::number_is_in_range("Port", number(input, "Port"), 1150, 65_535)?;
    let retention = number(input, "BackupRetentionPeriod");
    rules::number_is_in_range("BackupRetentionPeriod", retention, 1, 35)?;
    let zones = texts(input, "AvailabilityZones").unwrap_or_default();
    rules::at_most_three_zones(&zones)?;
    rules::storage_type_exists(text(input, "StorageType"))?;
    if let Some(scaling) = given(input, "ServerlessV2ScalingConfiguration") {
        rules::scaling_range_is_valid(scaling)?;
    }
    let logs = texts(input, "EnableCloudwatchLogsExports").unwrap_or_default();
    rules::log_types_exist(engine, &logs)?;
    let tags = tags(input)?;

    let subnets = subnet_group(w, cx, text(input, "DBSubnetGroupName"))?;
    let security = security_groups(w, cx, &subnets.vpc_id, texts(input, "VpcSecurityGroupIds"))?;
    let used = w.state.rds.clusters.values().filter(|c| c.life.exists(now)).count();
    rules::quota_allows("DBClusterQuotaExceededFault", "DB clusters", used, account::CLUSTERS)?;
    let group = groups::parameter_group_for(
        w,
        Kind::Cluster,
        text(input, "DBClusterParameterGroupName"),
        &version,
    )?;

    w.state.rds.purge(now);
    let label = format!("rds/cluster/{id}");
    if w.state.rds.account_hash.is_empty() {
        w.state.rds.account_hash = format!("c{}", w.token("rds/account", 11).to_ascii_lowercase());
    }
    let resource_id = format!("cluster-{}", w.token(&label, 26));
    let (backup, upkeep) = random_windows(w, &label);
    let ready_at = now + w.duration(&label, CLUSTER_CREATE);
    let kms_key = text(input, "KmsKeyId").map(str::to_owned);
    let encrypted = flag(input, "StorageEncrypted").unwrap_or(false) || kms_key.is_some();
    let secret = managed
        .then(|| manage_password(w, now, &id, username, text(input, "MasterUserSecretKmsKeyId")));

    let mut values = Values::new();
    let mut set = |name: &str, value: Value| {
        values.insert(name.into(), value);
    };
    set("EngineVersion", json!(version.version));
    set("EngineLifecycleSupport", json!(lifecycle));
    set("DBClusterParameterGroup", json!(group));
    set("VpcSecurityGroupIds", json!(security));
    set("BackupRetentionPeriod", json!(retention.unwrap_or(1)));
    set("PreferredBackupWindow", json!(text(input, "PreferredBackupWindow").unwrap_or(&backup)));
    set(
        "PreferredMaintenanceWindow",
        json!(text(input, "PreferredMaintenanceWindow").unwrap_or(&upkeep)),
    );
    set("EnabledCloudwatchLogsExports", json!(logs));
    set("DeletionProtection", json!(flag(input, "DeletionProtection").unwrap_or(false)));
    set("CopyTagsToSnapshot", json!(flag(input, "CopyTagsToSnapshot").unwrap_or(false)));
    set("HttpEndpointEnabled", json!(flag(input, "EnableHttpEndpoint").unwrap_or(false)));
    set("AutoMinorVersionUpgrade", json!(flag(input, "AutoMinorVersionUpgrade").unwrap_or(true)));
    set(
        "IAMDatabaseAuthenticationEnabled",
        json!(flag(input, "EnableIAMDatabaseAuthentication").unwrap_or(false)),
    );
    set("NetworkType", json!(text(input, "NetworkType").unwrap_or("IPV4")));
    set("DatabaseInsightsMode", json!(text(input, "DatabaseInsightsMode").unwrap_or("standard")));
    set(
        "Port",
        json!(number(input, "Port").unwrap_or_else(|| catalog::default_port(engine).into())),
    );
    for name in ["StorageType", "ServerlessV2ScalingConfiguration", "BacktrackWindow"] {
        if let Some(value) = given(input, name) {
            set(name, value.clone());
        }
    }
    let cluster = Cluster {
        id: id.clone(),
        resource_id,
        engine: engine.into(),
        zones: three_zones(w, cx, zones, &subnets.subnets),
        subnet_group: subnets.name,
        database: text(input, "DatabaseName").map(Into::into),
        master_username: username.into(),
        kms_key,
        encrypted,
        life: Life {
            created_at: now,
            creating: vec![Phase { status: "creating".into(), until: ready_at }],
            fails: late_failure(w, "rds.create-cluster-fails", &id),
            values,
            ..Life::default()
        },
        secret,
        writer: None,
        group_attached_at: now,
        tags,
    };
    w.state.rds.clusters.insert(id.clone(), cluster);
    Ok(json!({ "DBCluster": shown(w, &id, now) }).into())
}

pub(super) fn describe(w: &World, cx: &Cx, input: &Value) -> Outcome {
    let known = ["clone-group-id", "db-cluster-id", "db-cluster-resource-id", "domain", "engine"];
    let wanted = filters(input, &known)?;
    let clusters = match text(input, "DBClusterIdentifier") {
        Some(id) => vec![get(w, id, cx.now)?],
        None => w.state.rds.clusters.values().filter(|c| c.life.exists(cx.now)).cloned().collect(),
    };
    let records = clusters
        .iter()
        .filter(|c| {
            passes(&wanted, |name| match name {
                "db-cluster-id" => c.id.clone(),
                "db-cluster-resource-id" => c.resource_id.clone(),
                "engine" => c.engine.clone(),
                _ => String::new(),
            })
        })
        .map(|c| (c.id.clone(), views::cluster(w, c, cx.now)));
    Ok(page(input, "DBClusters", records)?.into())
}

pub(super) fn modify(w: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let now = cx.now;
    let mut cluster = get(w, needed(input, "DBClusterIdentifier"), now)?;
    without(input, ABSENT)?;
    cluster.life.settle(now);
    rules::cluster_is_available(&cluster.id, cluster.life.status(now))?;
    let label = format!("rds/cluster/{}", cluster.id);
    let immediately = flag(input, "ApplyImmediately").unwrap_or(false);

    rules::number_is_in_range("Port", number(input, "Port"), 1150, 65_535)?;
    rules::number_is_in_range(
        "BackupRetentionPeriod",
        number(input, "BackupRetentionPeriod"),
        1,
        35,
    )?;
    rules::storage_type_exists(text(input, "StorageType"))?;
    if let Some(scaling) = given(input, "ServerlessV2ScalingConfiguration") {
        rules::scaling_range_is_valid(scaling)?;
    }
    let logs = log_exports(&cluster, input)?;

    let password = text(input, "MasterUserPassword");
    password.map_or(Ok(()), rules::master_password_is_well_formed)?;
    let manage = flag(input, "ManageMasterUserPassword");
    let managed = cluster.secret.is_some();
    rules::unmanaging_needs_a_password(managed, manage, password.is_some())?;
    let rotate = flag(input, "RotateMasterUserPassword") == Some(true);
    if rotate {
        rules::rotation_applies_immediately(immediately, managed)?;
    }

    let from = version(&cluster, now)?;
    let to = match text(input, "EngineVersion") {
        Some(version) => rules::version_is_offered(&cluster.engine, Some(version))?,
        None => from,
    };
    rules::upgrade_goes_up(&from, &to)?;
    rules::major_upgrade_is_allowed(
        &from,
        &to,
        flag(input, "AllowMajorVersionUpgrade") == Some(true),
    )?;
    let is_major = from.major != to.major;
    let named = text(input, "DBClusterParameterGroupName");
    let current = cluster.life.text(now, "DBClusterParameterGroup");
    let instance_group = text(input, "DBInstanceParameterGroupName");
    if is_major {
        rules::major_upgrade_names_groups("cluster", &current, named.is_some())?;
        for member in w.state.rds.members(&cluster.id, now) {
            let group = member.life.text(now, "DBParameterGroupName");
            rules::major_upgrade_names_groups("instance", &group, instance_group.is_some())?;
        }
    }
    let security = match texts(input, "VpcSecurityGroupIds") {
        Some(ids) => {
            let vpc = groups::subnet_group(w, &cluster.subnet_group)?.vpc_id.clone();
            Some(security_groups(w, cx, &vpc, Some(ids))?)
        }
        None => None,
    };
    let group = if named.is_some() || is_major {
        Some(groups::parameter_group_for(w, Kind::Cluster, named, &to)?)
    } else {
        None
    };
    let instance_group = if instance_group.is_some() || is_major {
        Some(groups::parameter_group_for(w, Kind::Instance, instance_group, &to)?)
    } else {
        None
    };

    // Everything is allowed: from here on nothing fails.
    w.state.rds.purge(now);
    for (member, name) in [
        ("DeletionProtection", "DeletionProtection"),
        ("CopyTagsToSnapshot", "CopyTagsToSnapshot"),
        ("PreferredBackupWindow", "PreferredBackupWindow"),
        ("PreferredMaintenanceWindow", "PreferredMaintenanceWindow"),
        ("AutoMinorVersionUpgrade", "AutoMinorVersionUpgrade"),
        ("EnableHttpEndpoint", "HttpEndpointEnabled"),
        ("DatabaseInsightsMode", "DatabaseInsightsMode"),
        ("BacktrackWindow", "BacktrackWindow"),
    ] {
        if let Some(value) = given(input, member) {
            cluster.life.values.insert(name.into(), value.clone());
        }
    }
    if let Some(group) = group.as_ref().filter(|g| !is_major && **g != current) {
        cluster.life.values.insert("DBClusterParameterGroup".into(), json!(group));
        cluster.group_attached_at = now;
    }

    // What can wait for the maintenance window, and what never does.
    let (mut soft, mut hard) = (Values::new(), Values::new());
    let changed = |name: &str, value: &Value| cluster.life.values.get(name) != Some(value);
    for (member, name) in [
        ("BackupRetentionPeriod", "BackupRetentionPeriod"),
        ("StorageType", "StorageType"),
        ("EnableIAMDatabaseAuthentication", "IAMDatabaseAuthenticationEnabled"),
    ] {
        if let Some(value) = given(input, member).filter(|v| changed(name, v)) {
            soft.insert(name.into(), value.clone());
        }
    }
    if let Some(logs) =
        logs.map(|l| json!(l)).filter(|l| changed("EnabledCloudwatchLogsExports", l))
    {
        soft.insert("EnabledCloudwatchLogsExports".into(), logs);
    }
    for name in ["Port", "ServerlessV2ScalingConfiguration"] {
        if let Some(value) = given(input, name).filter(|v| changed(name, v)) {
            hard.insert(name.into(), value.clone());
        }
    }
    if let Some(security) = security.map(|s| json!(s)).filter(|s| changed("VpcSecurityGroupIds", s))
    {
        hard.insert("VpcSecurityGroupIds".into(), security);
    }
    let mut upgrade = Values::new();
    if to != from {
        upgrade.insert("EngineVersion".into(), json!(to.version));
        if let Some(group) = group.as_ref().filter(|_| is_major) {
            upgrade.insert("DBClusterParameterGroup".into(), json!(group));
        }
    }
    if immediately {
        for (upgrades, to) in [(false, &mut soft), (true, &mut upgrade)] {
            for (name, value) in cluster.life.take_deferred(now, upgrades) {
                to.entry(name).or_insert(value);
            }
        }
    }
    let window = next_window(&cluster.life.text(now, "PreferredMaintenanceWindow"), now);
    let when = if immediately { When::Soon } else { When::Window(window) };
    if password.is_some() || rotate || (manage == Some(true) && !managed) {
        let took = w.duration(&label, MODIFY);
        cluster.life.change(
            now,
            When::Soon,
            &[("resetting-master-credentials", took)],
            Values::new(),
        );
    }
    if !hard.is_empty() {
        let took = w.duration(&label, MODIFY);
        cluster.life.change(now, When::Soon, &[("modifying", took)], hard);
    }
    if !soft.is_empty() {
        let took = w.duration(&label, MODIFY);
        cluster.life.change(now, when, &[("modifying", took)], soft);
    }
    if !upgrade.is_empty() {
        let took = w.duration(&label, UPGRADE);
        cluster.life.change(now, when, &[("upgrading", took)], upgrade);
        let members: Vec<_> =
            w.state.rds.members(&cluster.id, now).iter().map(|m| m.id.clone()).collect();
        for id in members {
            let Some(member) = w.state.rds.instances.get_mut(&id) else { continue };
            member.life.settle(now);
            // An upgrade that waited is done now, with the group that it brought.
            let mut values =
                if immediately { member.life.take_deferred(now, true) } else { Values::new() };
            if let Some(group) = &instance_group {
                values.insert("DBParameterGroupName".into(), json!(group));
            }
            member.life.change(now, when, &[("upgrading", took)], values);
        }
    }

    if manage == Some(true) && !managed {
        let key = text(input, "MasterUserSecretKmsKeyId");
        cluster.secret = Some(manage_password(w, now, &cluster.id, &cluster.master_username, key));
    }
    if manage == Some(false)
        && let Some(secret) = cluster.secret.take()
    {
        secretsmanager::delete_managed(w, now, &secret.arn);
    }
    if rotate && let Some(secret) = &mut cluster.secret {
        let secret_id = json!({ "SecretId": secret.arn });
        (secretsmanager::SERVICE.handle)(w, cx, "RotateSecret", &secret_id)?;
        let took = w.duration(&label, MODIFY);
        secret.rotating = Some((now, now + took));
    }
    let id = cluster.id.clone();
    w.state.rds.clusters.insert(id.clone(), cluster);
    Ok(json!({ "DBCluster": shown(w, &id, now) }).into())
}

/// The log types exported after this modification, if it says anything about them.
fn log_exports(cluster: &Cluster, input: &Value) -> Result<Option<Vec<String>>, AwsError> {
    let Some(change) = given(input, "CloudwatchLogsExportConfiguration") else { return Ok(None) };
    let on = texts(change, "EnableLogTypes").unwrap_or_default();
    let off = texts(change, "DisableLogTypes").unwrap_or_default();
    rules::log_types_exist(&cluster.engine, &on)?;
    rules::log_types_exist(&cluster.engine, &off)?;
    let values = Value::Object(cluster.life.values.clone());
    let mut types = texts(&values, "EnabledCloudwatchLogsExports").unwrap_or_default();
    types.retain(|t| !off.contains(t));
    for log in on {
        if !types.contains(&log) {
            types.push(log);
        }
    }
    Ok(Some(types))
}

pub(super) fn delete(w: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let now = cx.now;
    let mut cluster = get(w, needed(input, "DBClusterIdentifier"), now)?;
    cluster.life.settle(now);
    let skip = flag(input, "SkipFinalSnapshot").unwrap_or(false);
    let last = text(input, "FinalDBSnapshotIdentifier");
    rules::final_snapshot_is_decided(skip, last.is_some())?;
    let protected =
        cluster.life.values.get("DeletionProtection").is_some_and(|p| *p == json!(true));
    rules::protected_cluster_stays(protected)?;
    let status = cluster.life.status(now).to_owned();
    if cluster.life.fails.as_deref() != Some(status.as_str()) {
        rules::cluster_is_available(&cluster.id, &status)?;
    }
    let members = w.state.rds.members(&cluster.id, now);
    rules::members_are_deleted_first(members.iter().filter(|m| !m.life.deleting()).count())?;
    let mut from = members.iter().filter_map(|m| m.life.gone_at).max().unwrap_or(now);
    let label = format!("rds/cluster/{}", cluster.id);
    if let Some(last) = last {
        snapshots::take(w, now, last, &cluster, std::collections::BTreeMap::new())?;
        from += w.duration(&label, SNAPSHOT);
    }
    w.state.rds.purge(now);
    let gone_at = from + w.duration(&label, DELETE);
    cluster.life.changes.clear();
    cluster.life.delete(now, gone_at);
    if let Some(secret) = &cluster.secret {
        secretsmanager::delete_managed(w, now, &secret.arn);
    }
    let id = cluster.id.clone();
    w.state.rds.clusters.insert(id.clone(), cluster);
    Ok(json!({ "DBCluster": shown(w, &id, now) }).into())
}
