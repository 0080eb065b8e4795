//! Clusters, operations and nodes as the API shows them, in both of its versions.

use serde_json::{Map, Value, json};

use super::state::{Cluster, Operation, Placement, Provisioned};
use super::versions;
use crate::world::{Millis, World};

/// The flat `ClusterInfo` of version 1.
pub(crate) fn cluster_v1(world: &World, cluster: &Cluster, now: Millis) -> Value {
    let mut out = head(cluster, now);
    out.append(&mut provisioned(world, cluster, now));
    Value::Object(out)
}

/// The nested `Cluster` of version 2.
pub(crate) fn cluster_v2(world: &World, cluster: &Cluster, now: Millis) -> Value {
    let mut out = head(cluster, now);
    out.insert("ClusterType".into(), json!("PROVISIONED"));
    out.insert("Provisioned".into(), Value::Object(provisioned(world, cluster, now)));
    Value::Object(out)
}

fn head(cluster: &Cluster, now: Millis) -> Map<String, Value> {
    let mut out = Map::new();
    if let Some(operation) = cluster.active(now) {
        out.insert("ActiveOperationArn".into(), json!(operation.arn));
    }
    out.insert("ClusterArn".into(), json!(cluster.arn));
    out.insert("ClusterName".into(), json!(cluster.name));
    out.insert("CreationTime".into(), json!(cluster.created_at));
    out.insert("CurrentVersion".into(), json!(cluster.version(now)));
    out.insert("State".into(), json!(cluster.state(now)));
    if cluster.state(now) == "FAILED"
        && let Some((code, message)) = cluster.create_failure.as_ref().and_then(|f| f.told.as_ref())
    {
        out.insert("StateInfo".into(), json!({ "Code": code, "Message": message }));
    }
    out.insert("Tags".into(), json!(cluster.tags));
    out
}

fn provisioned(world: &World, cluster: &Cluster, now: Millis) -> Map<String, Value> {
    let values = cluster.visible(now);
    let mut out = Map::new();
    out.insert("BrokerNodeGroupInfo".into(), node_group(cluster, values));
    out.insert("ClientAuthentication".into(), values.authentication.clone());
    out.insert("CurrentBrokerSoftwareInfo".into(), software(values));
    out.insert("EncryptionInfo".into(), encryption(cluster, values));
    out.insert("EnhancedMonitoring".into(), json!(values.enhanced_monitoring));
    out.insert("OpenMonitoring".into(), values.open_monitoring.clone());
    if let Some(logging) = &values.logging {
        out.insert("LoggingInfo".into(), logging.clone());
    }
    out.insert("NumberOfBrokerNodes".into(), json!(values.broker_count));
    if let Some(rebalancing) = &values.rebalancing {
        out.insert("Rebalancing".into(), rebalancing.clone());
    }
    out.insert("StorageMode".into(), json!(values.storage_mode));
    out.insert("CustomerActionStatus".into(), json!("NONE"));
    if cluster.serves(now) && !versions::kraft(&values.kafka_version) && values.zookeeper_access {
        let domain = cluster.domain(world);
        let string = |port: u16| {
            json!((1..=3).map(|i| format!("z-{i}.{domain}:{port}")).collect::<Vec<_>>().join(","))
        };
        out.insert("ZookeeperConnectString".into(), string(2181));
        out.insert("ZookeeperConnectStringTls".into(), string(2182));
    }
    out
}

fn node_group(cluster: &Cluster, values: &Provisioned) -> Value {
    let list = |f: fn(&Placement) -> &String| cluster.subnets.iter().map(f).collect::<Vec<_>>();
    let mut out = json!({
        "BrokerAZDistribution": "DEFAULT",
        "ClientSubnets": list(|p| &p.subnet),
        "InstanceType": values.instance_type,
        "SecurityGroups": cluster.groups,
        "ConnectivityInfo": values.connectivity,
        "ZoneIds": list(|p| &p.az_id),
    });
    if let Some(size) = values.volume_size {
        let mut ebs = json!({ "VolumeSize": size });
        if let Some(throughput) = &values.throughput {
            ebs["ProvisionedThroughput"] = throughput.clone();
        }
        out["StorageInfo"] = json!({ "EbsStorageInfo": ebs });
    }
    out
}

fn encryption(cluster: &Cluster, values: &Provisioned) -> Value {
    json!({
        "EncryptionAtRest": { "DataVolumeKMSKeyId": cluster.kms_key },
        "EncryptionInTransit": {
            "ClientBroker": values.client_broker,
            "InCluster": values.in_cluster,
        },
    })
}

/// `CurrentBrokerSoftwareInfo`: the only place that names the configuration.
pub(crate) fn software(values: &Provisioned) -> Value {
    let mut out = json!({ "KafkaVersion": values.kafka_version });
    if let Some((arn, revision)) = &values.configuration {
        out["ConfigurationArn"] = json!(arn);
        out["ConfigurationRevision"] = json!(revision);
    }
    out
}

/// `ClusterOperationInfo` of version 1.
pub(crate) fn operation_v1(cluster: &Cluster, operation: &Operation, now: Millis) -> Value {
    let mut out = json!({
        "ClientRequestId": operation.request_id,
        "ClusterArn": cluster.arn,
        "CreationTime": operation.created_at,
        "OperationArn": operation.arn,
        "OperationState": operation.state(now),
        "OperationSteps": operation.steps(now),
        "OperationType": operation.kind,
        "SourceClusterInfo": operation.source,
        "TargetClusterInfo": operation.target,
    });
    ending(&mut out, operation, now);
    out
}

/// `ClusterOperationV2`: another name for the start, and the details nested.
pub(crate) fn operation_v2(cluster: &Cluster, operation: &Operation, now: Millis) -> Value {
    let mut out = operation_v2_summary(cluster, operation, now);
    out["Provisioned"] = json!({
        "OperationSteps": operation.steps(now),
        "SourceClusterInfo": operation.source,
        "TargetClusterInfo": operation.target,
    });
    ending(&mut out, operation, now);
    out
}

/// An item of the list of version 2: no error, no steps.
pub(crate) fn operation_v2_summary(cluster: &Cluster, operation: &Operation, now: Millis) -> Value {
    let mut out = json!({
        "ClusterArn": cluster.arn,
        "ClusterType": "PROVISIONED",
        "StartTime": operation.created_at,
        "OperationArn": operation.arn,
        "OperationState": operation.state(now),
        "OperationType": operation.kind,
    });
    if now >= operation.ends_at {
        out["EndTime"] = json!(operation.ends_at);
    }
    out
}

fn ending(out: &mut Value, operation: &Operation, now: Millis) {
    if now < operation.ends_at {
        return;
    }
    out["EndTime"] = json!(operation.ends_at);
    if let Some((code, message)) = operation.failure.as_ref().and_then(|f| f.told.as_ref()) {
        out["ErrorInfo"] = json!({ "ErrorCode": code, "ErrorString": message });
    }
}

/// The brokers as `ListNodes` shows them, none before the cluster is up.
pub(crate) fn nodes(world: &World, cluster: &Cluster, now: Millis) -> Vec<Value> {
    if !cluster.serves(now) {
        return Vec::new();
    }
    let values = cluster.visible(now);
    let domain = cluster.domain(world);
    cluster
        .brokers(now)
        .iter()
        .map(|broker| {
            json!({
                "AddedToClusterTime": iso(broker.from.max(cluster.ready_at)),
                "InstanceType": values.instance_type,
                "NodeARN": broker.arn,
                "NodeType": "BROKER",
                "BrokerNodeInfo": {
                    "AttachedENIId": broker.interface,
                    "BrokerId": f64::from(broker.id),
                    "ClientSubnet": cluster.subnets[broker.placement].subnet,
                    "ClientVpcIpAddress": broker.ip,
                    "CurrentBrokerSoftwareInfo": software(values),
                    "Endpoints": [format!("b-{}.{domain}", broker.id)],
                },
            })
        })
        .collect()
}

/// A moment as ISO-8601, for the one member that the model calls a string.
pub(crate) fn iso(at: Millis) -> String {
    let (days, rest) = (at / 86_400_000, at % 86_400_000);
    // Civil date from a day number, counted in eras of 400 years that begin in March.
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    let (h, m, s, ms) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
}
