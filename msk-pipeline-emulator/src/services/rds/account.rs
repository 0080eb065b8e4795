//! Tags, quotas, and what is on offer.

use serde_json::{Value, json};

use super::catalog::{self, EngineVersion};
use super::rules;
use super::state::Tags;
use super::support::{filters, flag, needed, page, passes, tag_list, tags, text, texts, zones};
use super::views;
use crate::world::{AwsError, Cx, Millis, Outcome, Reply, World};

pub(super) const CLUSTERS: usize = 40;
pub(super) const INSTANCES: usize = 40;
pub(super) const PARAMETER_GROUPS: usize = 50;
pub(super) const SUBNET_GROUPS: usize = 50;
pub(super) const CLUSTER_SNAPSHOTS: usize = 100;

/// The tags of the object with this ARN.
fn tags_of<'w>(w: &'w mut World, now: Millis, arn: &str) -> Result<&'w mut Tags, AwsError> {
    let prefix = w.arn("rds", "");
    let Some((kind, name)) = arn.strip_prefix(&prefix).and_then(|rest| rest.split_once(':')) else {
        return Err(AwsError::new(
            "InvalidParameterValue",
            format!("Invalid resource name: {arn}"),
        ));
    };
    let state = &mut w.state.rds;
    let (found, code, what) = match kind {
        "cluster" => (
            state.clusters.get_mut(name).filter(|c| c.life.exists(now)).map(|c| &mut c.tags),
            "DBClusterNotFoundFault",
            "DBCluster",
        ),
        "db" => (
            state.instances.get_mut(name).filter(|i| i.life.exists(now)).map(|i| &mut i.tags),
            "DBInstanceNotFound",
            "DBInstance",
        ),
        "cluster-pg" => (
            state.cluster_groups.get_mut(name).map(|g| &mut g.tags),
            "DBParameterGroupNotFound",
            "DBClusterParameterGroup",
        ),
        "pg" => (
            state.instance_groups.get_mut(name).map(|g| &mut g.tags),
            "DBParameterGroupNotFound",
            "DBParameterGroup",
        ),
        "subgrp" => (
            state.subnet_groups.get_mut(name).map(|g| &mut g.tags),
            "DBSubnetGroupNotFoundFault",
            "DBSubnetGroup",
        ),
        "cluster-snapshot" => (
            state.snapshots.get_mut(name).map(|s| &mut s.tags),
            "DBClusterSnapshotNotFoundFault",
            "DBClusterSnapshot",
        ),
        _ => (None, "InvalidParameterValue", "Resource"),
    };
    found.ok_or_else(|| AwsError::new(code, format!("{what} {name} not found.")))
}

pub(super) fn add_tags(w: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let new = tags(input)?;
    tags_of(w, cx.now, needed(input, "ResourceName"))?.extend(new);
    Ok(Reply::default())
}

pub(super) fn remove_tags(w: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let keys = texts(input, "TagKeys").unwrap_or_default();
    tags_of(w, cx.now, needed(input, "ResourceName"))?.retain(|key, _| !keys.contains(key));
    Ok(Reply::default())
}

pub(super) fn list_tags(w: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let tags = tags_of(w, cx.now, needed(input, "ResourceName"))?;
    Ok(json!({ "TagList": tag_list(tags) }).into())
}

fn description(version: &EngineVersion) -> String {
    if catalog::is_mysql(version.engine) {
        let short = version.version.rsplit('.').take(3).collect::<Vec<_>>();
        let short = short.into_iter().rev().collect::<Vec<_>>().join(".");
        format!("Aurora MySQL {short} (compatible with MySQL {})", version.major)
    } else {
        format!("Aurora PostgreSQL (compatible with PostgreSQL {})", version.version)
    }
}

pub(super) fn engine_versions(input: &Value) -> Outcome {
    let known = ["db-parameter-group-family", "engine", "engine-mode", "engine-version", "status"];
    let wanted = filters(input, &known)?;
    let default = |v: &EngineVersion| catalog::default_version(v.engine) == Some(*v);
    let records = catalog::VERSIONS
        .iter()
        .enumerate()
        .filter(|(_, v)| text(input, "Engine").is_none_or(|e| e == v.engine))
        .filter(|(_, v)| {
            text(input, "EngineVersion")
                .is_none_or(|e| e == v.major || catalog::find(v.engine, e) == Some(**v))
        })
        .filter(|(_, v)| text(input, "DBParameterGroupFamily").is_none_or(|f| f == v.family))
        .filter(|(_, v)| flag(input, "DefaultOnly") != Some(true) || default(v))
        .filter(|(_, v)| {
            passes(&wanted, |name| {
                match name {
                    "db-parameter-group-family" => v.family,
                    "engine" => v.engine,
                    "engine-version" => v.version,
                    "status" => "available",
                    _ => "provisioned",
                }
                .into()
            })
        })
        .map(|(n, v)| (format!("{n:04}"), engine_version(v)));
    Ok(page(input, "DBEngineVersions", records)?.into())
}

fn engine_version(v: &EngineVersion) -> Value {
    let targets: Vec<_> = catalog::upgrades(v)
        .iter()
        .map(|(to, major)| {
            json!({
                "Engine": to.engine,
                "EngineVersion": to.version,
                "Description": description(to),
                "AutoUpgrade": false,
                "IsMajorVersionUpgrade": major,
                "SupportedEngineModes": ["provisioned"],
            })
        })
        .collect();
    let mut shown = json!({
        "Engine": v.engine,
        "MajorEngineVersion": v.major,
        "EngineVersion": v.version,
        "DBParameterGroupFamily": v.family,
        "DBEngineDescription": if catalog::is_mysql(v.engine) { "Aurora MySQL" } else { "Aurora (PostgreSQL)" },
        "DBEngineVersionDescription": format!("{}{}", description(v), if v.lts { " (LTS)" } else { "" }),
        "ValidUpgradeTarget": targets,
        "ExportableLogTypes": catalog::log_types(v.engine),
        "SupportsLogExportsToCloudwatchLogs": true,
        "SupportsReadReplica": false,
        "SupportedEngineModes": ["provisioned"],
        "SupportedFeatureNames": [],
        "Status": "available",
        "SupportsParallelQuery": catalog::is_mysql(v.engine),
        "SupportsGlobalDatabases": true,
        "SupportedCACertificateIdentifiers": ["rds-ca-ecc384-g1", "rds-ca-rsa4096-g1", "rds-ca-rsa2048-g1"],
    });
    if catalog::classes(v).iter().any(|c| c == "db.serverless") {
        shown["ServerlessV2FeaturesSupport"] = json!({ "MinCapacity": 0.0, "MaxCapacity": 256.0 });
    }
    shown
}

pub(super) fn orderable(w: &mut World, cx: &Cx, input: &Value) -> Outcome {
    filters(input, &[])?;
    let engine = needed(input, "Engine");
    rules::engine_is_aurora(engine)?;
    let zones: Vec<_> = zones(w, cx).iter().map(|zone| json!({ "Name": zone })).collect();
    let mut records = Vec::new();
    for version in catalog::VERSIONS.iter().filter(|v| v.engine == engine) {
        if text(input, "EngineVersion").is_some_and(|e| catalog::find(engine, e) != Some(*version))
        {
            continue;
        }
        for class in catalog::classes(version) {
            if text(input, "DBInstanceClass").is_some_and(|c| c != class) {
                continue;
            }
            for storage in ["aurora", "aurora-iopt1"] {
                // I/O-optimised storage came with Aurora MySQL 3.
                if storage == "aurora-iopt1" && version.major == "5.7" {
                    continue;
                }
                let shown = json!({
                    "Engine": engine,
                    "EngineVersion": version.version,
                    "DBInstanceClass": class,
                    "LicenseModel": views::license(engine),
                    "AvailabilityZones": zones,
                    "MultiAZCapable": false,
                    "ReadReplicaCapable": false,
                    "Vpc": true,
                    "SupportsStorageEncryption": true,
                    "StorageType": storage,
                    "SupportsIops": false,
                    "SupportsEnhancedMonitoring": true,
                    "SupportsIAMDatabaseAuthentication": true,
                    "SupportsPerformanceInsights": true,
                    "SupportedEngineModes": ["provisioned"],
                    "SupportsClusters": true,
                    "SupportsGlobalDatabases": true,
                    "SupportedNetworkTypes": ["DUAL", "IPV4"],
                });
                records.push((format!("{:06}", records.len()), shown));
            }
        }
    }
    Ok(page(input, "OrderableDBInstanceOptions", records)?.into())
}

pub(super) fn attributes(w: &World, cx: &Cx) -> Reply {
    let state = &w.state.rds;
    let custom = |names: &mut dyn Iterator<Item = &String>| {
        names.filter(|n| !n.starts_with("default.")).count()
    };
    let clusters = state.clusters.values().filter(|c| c.life.exists(cx.now)).count();
    let instances = state.instances.values().filter(|i| i.life.exists(cx.now)).count();
    let widest = state.subnet_groups.values().map(|g| g.subnets.len()).max().unwrap_or(0);
    let quotas = [
        ("DBInstances", instances, INSTANCES),
        ("ReservedDBInstances", 0, 40),
        ("AllocatedStorage", 0, 100_000),
        ("DBParameterGroups", custom(&mut state.instance_groups.keys()), PARAMETER_GROUPS),
        ("DBSubnetGroups", state.subnet_groups.len(), SUBNET_GROUPS),
        ("SubnetsPerDBSubnetGroup", widest, 20),
        ("ManualSnapshots", 0, 100),
        ("EventSubscriptions", 0, 20),
        ("OptionGroups", 0, 20),
        ("DBClusters", clusters, CLUSTERS),
        ("DBClusterParameterGroups", custom(&mut state.cluster_groups.keys()), PARAMETER_GROUPS),
        ("DBClusterRoles", 0, 5),
        ("ManualClusterSnapshots", state.snapshots.len(), CLUSTER_SNAPSHOTS),
        ("CustomEndpointsPerDBCluster", 0, 5),
        ("DBInstanceRoles", 0, 5),
    ];
    let quotas: Vec<_> = quotas
        .iter()
        .map(|(name, used, max)| json!({ "AccountQuotaName": name, "Used": used, "Max": max }))
        .collect();
    json!({ "AccountQuotas": quotas }).into()
}
