//! Cluster snapshots.

use serde_json::{Value, json};

use super::state::{Cluster, SNAPSHOT, Snapshot, Tags, Values, When};
use super::support::{filters, name_of, needed, page, passes, tags, text};
use super::{account, clusters, groups, rules, views};
use crate::world::{AwsError, Cx, Millis, Outcome, World};

pub(super) fn not_found(id: &str) -> AwsError {
    AwsError::new("DBClusterSnapshotNotFoundFault", format!("DBClusterSnapshot not found: {id}"))
}

/// Records a snapshot of the cluster and returns how long it takes.
pub(super) fn take(
    w: &mut World,
    now: Millis,
    id: &str,
    cluster: &Cluster,
    tags: Tags,
) -> Result<Millis, AwsError> {
    let id = id.to_ascii_lowercase();
    rules::identifier_is_well_formed("DBClusterSnapshotIdentifier", &id, 255)?;
    if w.state.rds.snapshots.contains_key(&id) {
        return Err(AwsError::new(
            "DBClusterSnapshotAlreadyExistsFault",
            format!(
                "Cannot create the cluster snapshot because one with the identifier {id} already exists."
            ),
        ));
    }
    rules::quota_allows(
        "SnapshotQuotaExceeded",
        "manual cluster snapshots",
        w.state.rds.snapshots.len(),
        account::CLUSTER_SNAPSHOTS,
    )?;
    let shown = views::cluster(w, cluster, now);
    let mut values: Values = [
        "AvailabilityZones",
        "Engine",
        "EngineMode",
        "EngineVersion",
        "AllocatedStorage",
        "Port",
        "ClusterCreateTime",
        "MasterUsername",
        "StorageEncrypted",
        "KmsKeyId",
        "IAMDatabaseAuthenticationEnabled",
        "StorageType",
        "DbClusterResourceId",
    ]
    .iter()
    .filter_map(|n| Some(((*n).to_owned(), shown.get(n)?.clone())))
    .collect();
    values.insert("LicenseModel".into(), json!(views::license(&cluster.engine)));
    if let Ok(group) = groups::subnet_group(w, &cluster.subnet_group) {
        values.insert("VpcId".into(), json!(group.vpc_id));
    }
    let copy =
        cluster.life.values(now).get("CopyTagsToSnapshot").is_some_and(|c| *c == json!(true));
    let mut all = if copy { cluster.tags.clone() } else { Tags::new() };
    all.extend(tags);
    let took = w.duration(&format!("rds/cluster-snapshot/{id}"), SNAPSHOT);
    let snapshot = Snapshot {
        id: id.clone(),
        cluster: cluster.id.clone(),
        created_at: now,
        ready_at: now + took,
        values,
        tags: all,
    };
    w.state.rds.snapshots.insert(id, snapshot);
    Ok(took)
}

pub(super) fn create(w: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let mut cluster = clusters::get(w, needed(input, "DBClusterIdentifier"), cx.now)?;
    cluster.life.settle(cx.now);
    rules::cluster_is_available_for_snapshot(&cluster.id, cluster.life.status(cx.now))?;
    let id = needed(input, "DBClusterSnapshotIdentifier").to_ascii_lowercase();
    let took = take(w, cx.now, &id, &cluster, tags(input)?)?;
    cluster.life.change(cx.now, When::Now, &[("backing-up", took)], Values::new());
    w.state.rds.clusters.insert(cluster.id.clone(), cluster);
    let snapshot =
        w.state.rds.snapshots.get(&id).map_or(Value::Null, |s| views::snapshot(w, s, cx.now));
    Ok(json!({ "DBClusterSnapshot": snapshot }).into())
}

pub(super) fn delete(w: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let id = name_of(needed(input, "DBClusterSnapshotIdentifier"));
    let snapshot = w.state.rds.snapshots.get(&id).ok_or_else(|| not_found(&id))?;
    rules::snapshot_is_ready(&id, snapshot.status(cx.now))?;
    let mut shown = views::snapshot(w, snapshot, cx.now);
    shown["Status"] = json!("deleted");
    w.state.rds.snapshots.remove(&id);
    Ok(json!({ "DBClusterSnapshot": shown }).into())
}

pub(super) fn describe(w: &World, cx: &Cx, input: &Value) -> Outcome {
    let wanted =
        filters(input, &["db-cluster-id", "db-cluster-snapshot-id", "snapshot-type", "engine"])?;
    let id = text(input, "DBClusterSnapshotIdentifier").map(name_of);
    if let Some(id) = &id
        && !w.state.rds.snapshots.contains_key(id)
    {
        return Err(not_found(id));
    }
    let cluster = text(input, "DBClusterIdentifier").map(name_of);
    let manual = text(input, "SnapshotType").is_none_or(|t| t == "manual");
    let records = w
        .state
        .rds
        .snapshots
        .values()
        .filter(|s| manual && id.as_ref().is_none_or(|i| *i == s.id))
        .filter(|s| cluster.as_ref().is_none_or(|c| *c == s.cluster))
        .filter(|s| {
            passes(&wanted, |name| match name {
                "db-cluster-id" => s.cluster.clone(),
                "db-cluster-snapshot-id" => s.id.clone(),
                "snapshot-type" => "manual".into(),
                _ => s.values.get("Engine").and_then(Value::as_str).unwrap_or_default().to_owned(),
            })
        })
        .map(|s| (s.id.clone(), views::snapshot(w, s, cx.now)));
    Ok(page(input, "DBClusterSnapshots", records)?.into())
}
