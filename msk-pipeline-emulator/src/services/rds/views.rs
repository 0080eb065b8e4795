//! How objects look from outside: the answers of the API, and what other services may read.

use serde_json::{Value, json};

use super::state::{Cluster, Instance, Snapshot, State, SubnetGroup, Values};
use super::support::tag_list;
use super::{catalog, parameters};
use crate::services::ec2;
use crate::world::{Millis, World};

/// A database as its clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DbView {
    /// The cluster.
    pub(crate) identifier: String,
    /// `aurora-mysql` or `aurora-postgresql`.
    pub(crate) engine: String,
    /// Its security groups.
    pub(crate) groups: Vec<String>,
    pub(crate) port: u16,
    /// Whether something answers at that endpoint.
    pub(crate) available: bool,
    /// Whether the endpoint leads to a writer that writes row events to its binary log.
    pub(crate) binlog_format_row: bool,
    /// Whether the endpoint leads to a writer with logical replication on (`PostgreSQL`).
    pub(crate) logical_replication: bool,
}

/// The database behind a host name, which may have a port.
pub(crate) fn by_endpoint(w: &World, now: Millis, host: &str) -> Option<DbView> {
    let host =
        host.split(':').next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
    let state = &w.state.rds;
    let found = state.clusters.values().filter(|c| c.life.exists(now)).find_map(|cluster| {
        let writer = state.writer(&cluster.id, now);
        let members = state.members(&cluster.id, now);
        if host == cluster_endpoint(w, &cluster.id, "cluster") {
            return Some((cluster, writer));
        }
        if host == cluster_endpoint(w, &cluster.id, "cluster-ro") {
            let reader = members.iter().copied().find(|m| Some(&m.id) != cluster.writer.as_ref());
            return Some((cluster, reader.or(writer)));
        }
        let instance = members.into_iter().find(|m| host == instance_endpoint(w, &m.id))?;
        Some((cluster, Some(instance)))
    });
    let (cluster, target) = found?;
    let values = cluster.life.values(now);
    let writes = target.is_some_and(|t| Some(&t.id) == cluster.writer.as_ref());
    let in_effect = |name: &str, wanted: &str| {
        let Some(instance) = target.filter(|_| writes) else { return false };
        cluster_group_status(state, cluster, instance, now) == "in-sync"
            && effective_parameter(state, cluster, name, now)
                .is_some_and(|v| v.eq_ignore_ascii_case(wanted))
    };
    Some(DbView {
        identifier: cluster.id.clone(),
        engine: cluster.engine.clone(),
        groups: group_ids(&values),
        port: port(cluster, &values),
        available: cluster.life.ready_at() <= now
            && !cluster.life.deleting()
            && target.is_some_and(|t| t.serves(now)),
        binlog_format_row: in_effect("binlog_format", "ROW"),
        logical_replication: in_effect("rds.logical_replication", "1"),
    })
}

/// A cluster's server, as one who logs in at its writer's endpoint meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerView {
    /// `cluster-…`: another one for each cluster that is made, whatever its name.
    pub(crate) resource_id: String,
    /// Whether something answers at the endpoint.
    pub(crate) answers: bool,
    /// `aurora-mysql` or `aurora-postgresql`.
    pub(crate) engine: String,
    /// The database that was made with the cluster.
    pub(crate) database: Option<String>,
    /// The endpoint's host name.
    pub(crate) endpoint: String,
}

/// The server of a cluster.
pub(crate) fn server(w: &World, now: Millis, cluster: &str) -> Option<ServerView> {
    let found = w.state.rds.cluster(cluster, now)?;
    let writer = w.state.rds.writer(cluster, now);
    let available = found.life.ready_at() <= now && !found.life.deleting();
    Some(ServerView {
        resource_id: found.resource_id.clone(),
        answers: available && writer.is_some_and(|writer| writer.serves(now)),
        engine: found.engine.clone(),
        database: found.database.clone(),
        endpoint: cluster_endpoint(w, &found.id, "cluster"),
    })
}

/// Every cluster that exists: its identifier and its resource id.
pub(crate) fn servers(w: &World, now: Millis) -> Vec<(String, String)> {
    let clusters = w.state.rds.clusters.values().filter(|c| c.life.exists(now));
    clusters.map(|c| (c.id.clone(), c.resource_id.clone())).collect()
}

/// The interfaces that the instances have in the subnets, from their creation until a moment after they are gone.
pub(crate) fn interfaces(w: &World, now: Millis) -> Vec<ec2::Interface> {
    let state = &w.state.rds;
    state
        .interfaces
        .iter()
        .filter(|i| i.until.is_none_or(|until| now < until))
        .map(|i| ec2::Interface {
            id: i.id.clone(),
            subnet_id: i.subnet_id.clone(),
            vpc_id: i.vpc_id.clone(),
            az: i.zone.clone(),
            groups: if i.until.is_some() {
                i.groups.clone()
            } else {
                state
                    .cluster(&i.cluster, now)
                    .map(|c| group_ids(&c.life.values(now)))
                    .unwrap_or_default()
            },
            description: "RDSNetworkInterface".into(),
            requester_id: "amazon-rds".into(),
            requester_managed: true,
            interface_type: "interface".into(),
            private_ip: i.private_ip.clone(),
            status: "in-use".into(),
            tags: std::collections::BTreeMap::new(),
        })
        .collect()
}

/// What exists: (kind, name, state).
pub(super) fn inventory(w: &World, now: Millis) -> Vec<(String, String, String)> {
    let state = &w.state.rds;
    let mut out = Vec::new();
    let mut add =
        |kind: &str, name: &str, status: &str| out.push((kind.into(), name.into(), status.into()));
    for cluster in state.clusters.values().filter(|c| c.life.exists(now)) {
        add("db-cluster", &cluster.id, cluster.life.status(now));
    }
    for instance in state.instances.values().filter(|i| i.life.exists(now)) {
        add("db-instance", &instance.id, instance.life.status(now));
    }
    for snapshot in state.snapshots.values() {
        add("db-cluster-snapshot", &snapshot.id, snapshot.status(now));
    }
    for name in state.subnet_groups.keys().filter(|n| *n != "default") {
        add("db-subnet-group", name, "Complete");
    }
    for name in state.cluster_groups.keys().filter(|n| !n.starts_with("default.")) {
        add("db-cluster-parameter-group", name, "available");
    }
    for name in state.instance_groups.keys().filter(|n| !n.starts_with("default.")) {
        add("db-parameter-group", name, "available");
    }
    out
}

pub(super) fn group_ids(values: &Values) -> Vec<String> {
    let ids = values
        .get("VpcSecurityGroupIds")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    ids.iter().filter_map(Value::as_str).map(Into::into).collect()
}

pub(super) fn port(cluster: &Cluster, values: &Values) -> u16 {
    let port = values.get("Port").and_then(Value::as_u64).and_then(|p| u16::try_from(p).ok());
    port.unwrap_or_else(|| catalog::default_port(&cluster.engine))
}

pub(super) fn cluster_endpoint(w: &World, id: &str, kind: &str) -> String {
    format!("{id}.{kind}-{}.{}.rds.amazonaws.com", w.state.rds.account_hash, w.settings.region)
}

pub(super) fn instance_endpoint(w: &World, id: &str) -> String {
    format!("{id}.{}.{}.rds.amazonaws.com", w.state.rds.account_hash, w.settings.region)
}

/// The value of a cluster parameter in the group that the cluster uses.
fn effective_parameter(
    state: &State,
    cluster: &Cluster,
    name: &str,
    now: Millis,
) -> Option<String> {
    let group = state.cluster_groups.get(&cluster.life.text(now, "DBClusterParameterGroup"))?;
    match group.settings.get(name) {
        Some(setting) => Some(setting.value.clone()),
        None => parameters::find(&group.family, true, name)?.default.map(Into::into),
    }
}

fn cluster_group_status(
    state: &State,
    cluster: &Cluster,
    instance: &Instance,
    now: Millis,
) -> &'static str {
    state
        .cluster_groups
        .get(&cluster.life.text(now, "DBClusterParameterGroup"))
        .map_or("in-sync", |g| {
            g.apply_status(cluster.group_attached_at, instance.life.booted_at(now), now)
        })
}

fn memberships(ids: &[String], settling: bool) -> Value {
    let status = if settling { "adding" } else { "active" };
    ids.iter().map(|id| json!({ "VpcSecurityGroupId": id, "Status": status })).collect()
}

pub(super) fn subnet_group(w: &World, group: &SubnetGroup) -> Value {
    let subnets: Vec<_> = group
        .subnets
        .iter()
        .map(|(id, zone)| {
            json!({
                "SubnetIdentifier": id,
                "SubnetAvailabilityZone": { "Name": zone },
                "SubnetOutpost": {},
                "SubnetStatus": "Active",
            })
        })
        .collect();
    json!({
        "DBSubnetGroupName": group.name,
        "DBSubnetGroupDescription": group.description,
        "VpcId": group.vpc_id,
        "SubnetGroupStatus": "Complete",
        "Subnets": subnets,
        "DBSubnetGroupArn": w.arn("rds", &format!("subgrp:{}", group.name)),
        "SupportedNetworkTypes": ["IPV4"],
    })
}

pub(super) fn cluster(w: &World, cluster: &Cluster, now: Millis) -> Value {
    const PENDING: &[&str] = &[
        "EngineVersion",
        "BackupRetentionPeriod",
        "StorageType",
        "IAMDatabaseAuthenticationEnabled",
        "MasterUserPassword",
    ];
    let state = &w.state.rds;
    let values = cluster.life.values(now);
    let mut out = values.clone();
    let mut set = |name: &str, value: Value| {
        out.insert(name.into(), value);
    };
    let members: Vec<_> = state
        .members(&cluster.id, now)
        .into_iter()
        .map(|m| {
            json!({
                "DBInstanceIdentifier": m.id,
                "IsClusterWriter": Some(&m.id) == cluster.writer.as_ref(),
                "DBClusterParameterGroupStatus": cluster_group_status(state, cluster, m, now),
                "PromotionTier": m.tier(now),
            })
        })
        .collect();
    set("DBClusterIdentifier", json!(cluster.id));
    set("DbClusterResourceId", json!(cluster.resource_id));
    set("DBClusterArn", json!(w.arn("rds", &format!("cluster:{}", cluster.id))));
    set("Status", json!(cluster.life.status(now)));
    set("Engine", json!(cluster.engine));
    set("EngineMode", json!("provisioned"));
    set("AllocatedStorage", json!(1));
    set("AvailabilityZones", json!(cluster.zones));
    set("DBSubnetGroup", json!(cluster.subnet_group));
    set("Endpoint", json!(cluster_endpoint(w, &cluster.id, "cluster")));
    set("ReaderEndpoint", json!(cluster_endpoint(w, &cluster.id, "cluster-ro")));
    set("Port", json!(port(cluster, &values)));
    set("HostedZoneId", json!("Z2R2ITUGPM61AM"));
    set("MasterUsername", json!(cluster.master_username));
    set("ClusterCreateTime", json!(cluster.life.created_at));
    set("DBClusterMembers", json!(members));
    set("VpcSecurityGroups", memberships(&group_ids(&values), now < cluster.life.ready_at()));
    set("StorageEncrypted", json!(cluster.encrypted));
    set("MultiAZ", json!(zones_of(state, &cluster.id, now) > 1));
    set("AssociatedRoles", json!([]));
    set("ReadReplicaIdentifiers", json!([]));
    set("ActivityStreamStatus", json!("stopped"));
    set("CrossAccountClone", json!(false));
    set("DomainMemberships", json!([]));
    set("TagList", tag_list(&cluster.tags));
    if let Some(database) = &cluster.database {
        set("DatabaseName", json!(database));
    }
    if let Some(key) = &cluster.kms_key {
        set("KmsKeyId", json!(key));
    }
    if cluster.life.ready_at() <= now {
        set("EarliestRestorableTime", json!(cluster.life.ready_at()));
        set("LatestRestorableTime", json!(now - now % 300_000));
    }
    if let Some(secret) = &cluster.secret {
        let mut shown = json!({ "SecretStatus": secret.status(now), "KmsKeyId": secret.kms_key });
        if secret.visible_at <= now {
            shown["SecretArn"] = json!(secret.arn);
        }
        set("MasterUserSecret", shown);
    }
    let waiting = cluster.life.pending(now);
    let mut pending: Values = waiting
        .iter()
        .filter(|(n, _)| PENDING.contains(&n.as_str()))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    if let Some(logs) = waiting.get("EnabledCloudwatchLogsExports") {
        let list = |v: Option<&Value>| -> Vec<String> {
            v.and_then(Value::as_array)
                .map(|l| l.iter().filter_map(Value::as_str).map(Into::into).collect())
                .unwrap_or_default()
        };
        let (then, today) = (list(Some(logs)), list(values.get("EnabledCloudwatchLogsExports")));
        pending.insert(
            "PendingCloudwatchLogsExports".into(),
            json!({
                "LogTypesToEnable": then.iter().filter(|l| !today.contains(l)).collect::<Vec<_>>(),
                "LogTypesToDisable": today.iter().filter(|l| !then.contains(l)).collect::<Vec<_>>(),
            }),
        );
    }
    if !pending.is_empty() {
        out.insert("PendingModifiedValues".into(), Value::Object(pending));
    }
    if out.get("EnabledCloudwatchLogsExports").is_some_and(|l| *l == json!([])) {
        out.remove("EnabledCloudwatchLogsExports");
    }
    // `aurora`, the default, is not echoed (handbook §4.4).
    if out.get("StorageType").is_some_and(|s| s == "aurora") {
        out.remove("StorageType");
    }
    for hidden in ["VpcSecurityGroupIds", "MasterUserPassword"] {
        out.remove(hidden);
    }
    Value::Object(out)
}

fn zones_of(state: &State, cluster: &str, now: Millis) -> usize {
    let zones: std::collections::BTreeSet<_> =
        state.members(cluster, now).into_iter().map(|m| m.zone.as_str()).collect();
    zones.len()
}

pub(super) fn instance(w: &World, instance: &Instance, now: Millis) -> Value {
    const PENDING: &[&str] = &["DBInstanceClass", "CACertificateIdentifier"];
    let state = &w.state.rds;
    let mut out = instance.life.values(now);
    let group = out.remove("DBParameterGroupName");
    let group = group.as_ref().and_then(Value::as_str).unwrap_or_default();
    let status = state.instance_groups.get(group).map_or("in-sync", |g| {
        g.apply_status(instance.group_attached_at, instance.life.booted_at(now), now)
    });
    let mut set = |name: &str, value: Value| {
        out.insert(name.into(), value);
    };
    set("DBInstanceIdentifier", json!(instance.id));
    set("DbiResourceId", json!(instance.resource_id));
    set("DBInstanceArn", json!(w.arn("rds", &format!("db:{}", instance.id))));
    set("DBInstanceStatus", json!(instance.life.status(now)));
    set("Engine", json!(instance.engine));
    set("DBClusterIdentifier", json!(instance.cluster));
    set("AvailabilityZone", json!(instance.zone));
    set("AllocatedStorage", json!(1));
    set("DbInstancePort", json!(0));
    set("MultiAZ", json!(false));
    set("LicenseModel", json!(license(&instance.engine)));
    set("DBSecurityGroups", json!([]));
    set("OptionGroupMemberships", json!([]));
    set(
        "DBParameterGroups",
        json!([{ "DBParameterGroupName": group, "ParameterApplyStatus": status }]),
    );
    set("TagList", tag_list(&instance.tags));
    if instance.life.status(now) != "creating" {
        set("InstanceCreateTime", json!(instance.life.created_at));
    }
    if let Some(cluster) = state.cluster(&instance.cluster, now) {
        let values = cluster.life.values(now);
        for name in [
            "EngineVersion",
            "BackupRetentionPeriod",
            "PreferredBackupWindow",
            "IAMDatabaseAuthenticationEnabled",
            "EnabledCloudwatchLogsExports",
        ] {
            if let Some(value) = values.get(name).filter(|v| **v != json!([])) {
                set(name, value.clone());
            }
        }
        let storage = values.get("StorageType").cloned().unwrap_or_else(|| json!("aurora"));
        set("StorageType", storage);
        set("MasterUsername", json!(cluster.master_username));
        set("StorageEncrypted", json!(cluster.encrypted));
        set("DeletionProtection", json!(false));
        if let Some(database) = &cluster.database {
            set("DBName", json!(database));
        }
        if let Some(key) = &cluster.kms_key {
            set("KmsKeyId", json!(key));
        }
        set("VpcSecurityGroups", memberships(&group_ids(&values), false));
        if let Some(group) = state.subnet_groups.get(&cluster.subnet_group) {
            set("DBSubnetGroup", subnet_group(w, group));
        }
        if instance.life.status(now) != "creating" {
            set(
                "Endpoint",
                json!({
                    "Address": instance_endpoint(w, &instance.id),
                    "Port": port(cluster, &values),
                    "HostedZoneId": "Z2R2ITUGPM61AM",
                }),
            );
        }
    }
    let pending: Values = instance
        .life
        .pending(now)
        .into_iter()
        .filter(|(n, _)| PENDING.contains(&n.as_str()))
        .collect();
    set("PendingModifiedValues", Value::Object(pending));
    Value::Object(out)
}

pub(super) fn license(engine: &str) -> &'static str {
    if catalog::is_mysql(engine) { "general-public-license" } else { "postgresql-license" }
}

pub(super) fn snapshot(w: &World, snapshot: &Snapshot, now: Millis) -> Value {
    let mut out = snapshot.values.clone();
    let done = snapshot.ready_at <= now;
    let span = (snapshot.ready_at - snapshot.created_at).max(1);
    let progress = if done { 100 } else { (now - snapshot.created_at) * 100 / span };
    out.insert("DBClusterSnapshotIdentifier".into(), json!(snapshot.id));
    out.insert("DBClusterIdentifier".into(), json!(snapshot.cluster));
    out.insert(
        "DBClusterSnapshotArn".into(),
        json!(w.arn("rds", &format!("cluster-snapshot:{}", snapshot.id))),
    );
    out.insert("SnapshotCreateTime".into(), json!(snapshot.created_at));
    out.insert("Status".into(), json!(snapshot.status(now)));
    out.insert("PercentProgress".into(), json!(progress));
    out.insert("SnapshotType".into(), json!("manual"));
    out.insert("TagList".into(), tag_list(&snapshot.tags));
    Value::Object(out)
}
