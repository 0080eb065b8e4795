//! Clusters: created, described, reached, deleted.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::state::{
    Broker, Cluster, Failure, Operation, Placement, Provisioned, Schemes, dial, flag, listeners,
    pick_three, purge, text, usual,
};
use super::{page, rules, versions, views};
use crate::services::{ec2, logs};
use crate::world::{AwsError, Cx, Millis, Outcome, World};

/// `CreateCluster` and, with `v2`, `CreateClusterV2`.
pub(crate) fn create(world: &mut World, cx: &Cx, input: &Value, v2: bool) -> Outcome {
    let now = cx.now;
    let empty = Value::Null;
    let given = if v2 {
        match (input.get("Provisioned"), input.get("Serverless")) {
            (Some(provisioned), None) => provisioned,
            (None, Some(_)) => {
                return Err(super::not_here("CreateClusterV2 of a serverless cluster"));
            }
            _ => return Err(rules::bad("Specify either provisioned or serverless.")),
        }
    } else {
        input
    };
    let name = text(input, "/ClusterName").unwrap_or_default().to_owned();
    let group_info = given.get("BrokerNodeGroupInfo").unwrap_or(&empty);
    let tags = string_map(input.get("Tags"));
    let first = initial(given);

    let state = &world.state.kafka;
    let taken = state.clusters.values().any(|c| c.exists(now) && c.name == name);
    rules::name_unique("clusterName", taken)?;
    rules::tags_valid(tags.len(), tags.iter().map(|(k, v)| (k.as_str(), v.as_str())))?;
    rules::kafka_version_offered(&first.kafka_version, &versions::active(now))?;
    rules::instance_type_offered(&first.instance_type, &first.kafka_version)?;
    let subnets = subnets(world, group_info)?;
    let storage = group_info.get("StorageInfo").is_some_and(|s| !s.is_null());
    rules::express_rules(
        &first.instance_type,
        &first.kafka_version,
        subnets.len(),
        storage,
        first.logging.as_ref(),
    )?;
    rules::broker_count_multiple(first.broker_count, subnets.len())?;
    let elsewhere: u64 = state
        .clusters
        .values()
        .filter(|c| c.exists(now))
        .map(|c| c.visible(now).broker_count)
        .sum();
    rules::broker_quota(&first.kafka_version, first.broker_count, elsewhere)?;
    secure(&first)?;
    let connectivity = group_info.get("ConnectivityInfo").unwrap_or(&empty);
    rules::no_public_access_at_create(connectivity)?;
    rules::no_vpc_connectivity_at_create(connectivity)?;
    rules::t3_small_no_tiered(&first.instance_type, &first.storage_mode)?;
    rules::throughput_limits(&first.instance_type, first.volume_size, first.throughput.as_ref())?;
    if let Some(logging) = &first.logging {
        rules::log_group_exists(logging, |group| logs::exists(world, group))?;
    }
    if let Some((arn, revision)) = &first.configuration {
        super::configurations::usable(world, now, arn, *revision)?;
    }
    let vpc = subnets[0].vpc_id.clone();
    let mut groups = super::strings(group_info.get("SecurityGroups"));
    if groups.is_empty() {
        groups = default_group(world, cx, &vpc)?.into_iter().collect();
    }
    let found: Vec<_> =
        groups.iter().map(|id| (id.clone(), ec2::group(world, id).map(|g| g.vpc_id))).collect();
    rules::groups_exist(&vpc, &found)?;

    purge(world, now);
    let label = format!("kafka/cluster/{name}");
    let cell = 1 + world.draw(&label) % 25;
    let tail = format!("{}-{cell}", world.uuid(&label));
    let arn = world.arn("kafka", &format!("cluster/{name}/{tail}"));
    let own_key = text(given, "/EncryptionInfo/EncryptionAtRest/DataVolumeKMSKeyId");
    let kms_key = own_key.map_or_else(|| default_key(world), str::to_owned);
    let mut cluster = Cluster {
        arn: arn.clone(),
        name: name.clone(),
        tail,
        cell,
        host_id: world.token(&label, 6).to_ascii_lowercase(),
        tags,
        subnets: subnets
            .into_iter()
            .map(|s| Placement {
                subnet: s.id,
                vpc: s.vpc_id,
                az: s.az,
                az_id: s.az_id,
                cidr: s.cidr,
                public: s.public,
            })
            .collect(),
        groups,
        kms_key,
        created_at: now,
        ready_at: now + world.lasting(&label, usual::CREATE),
        create_failure: dial(world, "kafka.create-fails")
            .and_then(|how| create_failure(&how, &name)),
        deleting_since: None,
        gone_at: None,
        first_version: version_token(world, &label),
        operations: Vec::new(),
        brokers: Vec::new(),
        topics: BTreeMap::new(),
        first,
    };
    let count = cluster.first.broker_count;
    add_brokers(world, &mut cluster, count, now);
    world.state.kafka.clusters.insert(arn.clone(), cluster);
    let mut out = json!({ "ClusterArn": arn, "ClusterName": name, "State": "CREATING" });
    if v2 {
        out["ClusterType"] = json!("PROVISIONED");
    }
    Ok(out.into())
}

/// The account's key `alias/aws/kafka`, the same for every cluster.
fn default_key(world: &mut World) -> String {
    if world.state.kafka.default_key.is_empty() {
        let id = world.uuid("kafka/default-key");
        world.state.kafka.default_key = world.arn("kms", &format!("key/{id}"));
    }
    world.state.kafka.default_key.clone()
}

/// The dial is `true`, the name of a cluster, or `"silent"` for a failure without any text.
pub(crate) fn create_failure(how: &Value, name: &str) -> Option<Failure> {
    let text = "The creation of the cluster failed. Delete the cluster and create it again.";
    let told = || Some(("InternalFailure".to_owned(), text.to_owned()));
    match how {
        Value::Bool(true) => Some(Failure { told: told() }),
        Value::String(s) if s == "silent" => Some(Failure { told: None }),
        Value::String(s) if s == name => Some(Failure { told: told() }),
        _ => None,
    }
}

/// An opaque version token.
pub(crate) fn version_token(world: &mut World, label: &str) -> String {
    format!("K{}", world.token(label, 12))
}

/// Adds brokers until there are `count`, spread over the subnets in turn, serving from `from` on.
pub(crate) fn add_brokers(world: &mut World, cluster: &mut Cluster, count: u64, from: Millis) {
    let label = format!("kafka/cluster/{}", cluster.name);
    let serving = cluster.brokers.iter().filter(|b| b.until.is_none()).count() as u64;
    for n in serving..count {
        let id = cluster.brokers.iter().map(|b| b.id).max().unwrap_or(0) + 1;
        let placement = usize::try_from(n).unwrap_or(0) % cluster.subnets.len();
        let uuid = world.uuid(&label);
        let interface = format!("eni-{}", world.hex(&label, 17));
        let mut ip = address(&cluster.subnets[placement].cidr, world.draw(&label));
        while cluster.brokers.iter().any(|b| b.ip == ip) {
            ip = address(&cluster.subnets[placement].cidr, world.draw(&label));
        }
        cluster.brokers.push(Broker {
            id,
            arn: world.arn("kafka", &format!("broker/{}/{}/{uuid}", cluster.name, cluster.tail)),
            placement,
            interface,
            ip,
            from,
            until: None,
        });
    }
}

/// An address of the subnet that EC2 does not keep for itself (the first four and the last).
fn address(cidr: &str, draw: u64) -> String {
    let (base, bits) = cidr.split_once('/').unwrap_or((cidr, "24"));
    let base = base.parse::<std::net::Ipv4Addr>().map_or(0, u32::from);
    let bits: u32 = bits.parse().unwrap_or(24).min(28);
    let usable = (1u64 << (32 - bits)) - 5;
    let offset = u32::try_from(4 + draw % usable).unwrap_or(4);
    std::net::Ipv4Addr::from(base.wrapping_add(offset)).to_string()
}

fn subnets(world: &World, group_info: &Value) -> Result<Vec<ec2::SubnetView>, AwsError> {
    let ids = super::strings(group_info.get("ClientSubnets"));
    rules::subnets_two_or_three(&world.settings.region, ids.len())?;
    let found: Vec<_> = ids.iter().map(|id| (id.clone(), ec2::subnet(world, id))).collect();
    rules::subnets_exist(&found)?;
    let subnets: Vec<_> = found.into_iter().filter_map(|(_, view)| view).collect();
    rules::subnets_one_vpc(&subnets)?;
    rules::zone_not_use1_az3(&subnets)?;
    rules::subnets_one_per_zone(&subnets)?;
    Ok(subnets)
}

/// The VPC's default group, which brokers get when none is named.
fn default_group(world: &mut World, cx: &Cx, vpc: &str) -> Result<Option<String>, AwsError> {
    let query = json!({ "Filters": [
        { "Name": "vpc-id", "Values": [vpc] },
        { "Name": "group-name", "Values": ["default"] },
    ] });
    let reply = (ec2::SERVICE.handle)(world, cx, "DescribeSecurityGroups", &query)?;
    Ok(text(&reply.value, "/SecurityGroups/0/GroupId").map(str::to_owned))
}

/// What the request asks for, with the service's defaults.
fn initial(given: &Value) -> Provisioned {
    let group_info = given.get("BrokerNodeGroupInfo").unwrap_or(&Value::Null);
    let instance_type = text(group_info, "/InstanceType").unwrap_or_default().to_owned();
    let express = versions::express(&instance_type);
    let ebs = group_info.pointer("/StorageInfo/EbsStorageInfo");
    let volume_size = ebs.and_then(|e| e.get("VolumeSize")).and_then(Value::as_i64);
    let authentication = given.get("ClientAuthentication").cloned().unwrap_or_default();
    let schemes = Schemes::of(&authentication);
    // The documented default, TLS_PLAINTEXT, would be refused beside SASL alone.
    let client_broker = match text(given, "/EncryptionInfo/EncryptionInTransit/ClientBroker") {
        Some(asked) => asked,
        None if schemes.unauthenticated => "TLS_PLAINTEXT",
        None => "TLS",
    };
    Provisioned {
        broker_count: given.get("NumberOfBrokerNodes").and_then(Value::as_u64).unwrap_or(0),
        kafka_version: text(given, "/KafkaVersion").unwrap_or_default().to_owned(),
        configuration: super::configurations::reference(given.get("ConfigurationInfo")),
        volume_size: if express { volume_size } else { Some(volume_size.unwrap_or(1000)) },
        throughput: ebs.and_then(|e| e.get("ProvisionedThroughput")).cloned(),
        storage_mode: text(given, "/StorageMode").unwrap_or("LOCAL").to_owned(),
        enhanced_monitoring: text(given, "/EnhancedMonitoring").unwrap_or("DEFAULT").to_owned(),
        open_monitoring: open_monitoring(given.get("OpenMonitoring")),
        logging: given.get("LoggingInfo").filter(|l| !l.is_null()).map(logging),
        authentication: authentication_of(&authentication),
        client_broker: client_broker.to_owned(),
        in_cluster: flag(given, "/EncryptionInfo/EncryptionInTransit/InCluster").unwrap_or(true),
        connectivity: connectivity(&Value::Null, group_info.get("ConnectivityInfo")),
        rebalancing: express.then(|| {
            given.get("Rebalancing").cloned().unwrap_or_else(|| json!({ "Status": "ACTIVE" }))
        }),
        zookeeper_access: true,
        instance_type,
    }
}

/// The rules between authentication and encryption.
pub(crate) fn secure(values: &Provisioned) -> rules::Check {
    let schemes = Schemes::of(&values.authentication);
    rules::auth_needs_encryption(schemes, &values.client_broker)?;
    rules::auth_needs_in_cluster(schemes, values.in_cluster)?;
    rules::sasl_with_plaintext_needs_unauthenticated(schemes, &values.client_broker)
}

/// `ClientAuthentication` in full, as a describe shows it.
pub(crate) fn authentication_of(given: &Value) -> Value {
    let Schemes { unauthenticated, tls, scram, iam } = Schemes::of(given);
    let authorities =
        given.pointer("/Tls/CertificateAuthorityArnList").cloned().unwrap_or_else(|| json!([]));
    json!({
        "Sasl": { "Scram": { "Enabled": scram }, "Iam": { "Enabled": iam } },
        "Tls": { "CertificateAuthorityArnList": authorities, "Enabled": tls },
        "Unauthenticated": { "Enabled": unauthenticated },
    })
}

/// `OpenMonitoring` in full.
pub(crate) fn open_monitoring(given: Option<&Value>) -> Value {
    let on = |exporter: &str| {
        let pointer = format!("/Prometheus/{exporter}/EnabledInBroker");
        given.and_then(|g| flag(g, &pointer)).unwrap_or(false)
    };
    json!({ "Prometheus": {
        "JmxExporter": { "EnabledInBroker": on("JmxExporter") },
        "NodeExporter": { "EnabledInBroker": on("NodeExporter") },
    } })
}

/// `LoggingInfo` with the sinks that were left out turned off.
pub(crate) fn logging(given: &Value) -> Value {
    let mut out = given.clone();
    for kind in ["BrokerLogs", "AuthorizerLogs"] {
        let Some(sinks) = out.get_mut(kind).and_then(Value::as_object_mut) else { continue };
        for sink in ["CloudWatchLogs", "Firehose", "S3"] {
            sinks.entry(sink).or_insert_with(|| json!({ "Enabled": false }));
        }
    }
    out
}

/// `ConnectivityInfo` in full: what is given over what is there over the defaults.
pub(crate) fn connectivity(current: &Value, given: Option<&Value>) -> Value {
    let ask = |pointer: &str| {
        let given = given.and_then(|g| g.pointer(pointer)).filter(|v| !v.is_null());
        given.or_else(|| current.pointer(pointer)).cloned()
    };
    let on = |scheme: &str| {
        let pointer = format!("/VpcConnectivity/ClientAuthentication/{scheme}/Enabled");
        json!({ "Enabled": ask(&pointer).unwrap_or(Value::Bool(false)) })
    };
    json!({
        "NetworkType": ask("/NetworkType").unwrap_or_else(|| json!("IPV4")),
        "PublicAccess": { "Type": ask("/PublicAccess/Type").unwrap_or_else(|| json!("DISABLED")) },
        "VpcConnectivity": { "ClientAuthentication": {
            "Sasl": { "Iam": on("Sasl/Iam"), "Scram": on("Sasl/Scram") },
            "Tls": on("Tls"),
        } },
    })
}

fn string_map(value: Option<&Value>) -> BTreeMap<String, String> {
    value
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// `DescribeCluster` and `DescribeClusterV2`.
pub(crate) fn describe(world: &World, cx: &Cx, input: &Value, v2: bool) -> Outcome {
    let cluster = find(world, cx, input)?;
    let show = if v2 { views::cluster_v2 } else { views::cluster_v1 };
    Ok(json!({ "ClusterInfo": show(world, cluster, cx.now) }).into())
}

/// The cluster that the input names.
pub(crate) fn find<'a>(world: &'a World, cx: &Cx, input: &Value) -> Result<&'a Cluster, AwsError> {
    let arn = text(input, "/ClusterArn").unwrap_or_default();
    rules::cluster_found(&world.state.kafka, arn, cx.now)
}

/// `ListClusters` and `ListClustersV2`: by prefix of the name, by type.
pub(crate) fn list(world: &World, cx: &Cx, input: &Value, v2: bool) -> Outcome {
    let prefix = text(input, "/ClusterNameFilter").unwrap_or_default();
    let provisioned = text(input, "/ClusterTypeFilter")
        .is_none_or(|wanted| wanted.eq_ignore_ascii_case("PROVISIONED"));
    let show = if v2 { views::cluster_v2 } else { views::cluster_v1 };
    let mut found: Vec<&Cluster> = world
        .state
        .kafka
        .clusters
        .values()
        .filter(|c| c.exists(cx.now) && provisioned && c.name.starts_with(prefix))
        .collect();
    found.sort_by_key(|c| (c.created_at, &c.arn));
    let items: Vec<Value> = found.into_iter().map(|c| show(world, c, cx.now)).collect();
    page(input, "ClusterInfoList", &items)
}

/// `DeleteCluster`.
pub(crate) fn delete(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let cluster = find(world, cx, input)?;
    rules::deletable(cluster.state(cx.now))?;
    if let Some(version) = text(input, "/CurrentVersion").filter(|v| !v.is_empty()) {
        rules::version_current(version, cluster.version(cx.now))?;
    }
    let (arn, label) = (cluster.arn.clone(), format!("kafka/cluster/{}", cluster.name));
    let gone_at = cx.now + world.duration(&label, usual::DELETE);
    if let Some(cluster) = world.state.kafka.clusters.get_mut(&arn) {
        cluster.deleting_since = Some(cx.now);
        cluster.gone_at = Some(gone_at);
    }
    Ok(json!({ "ClusterArn": arn, "State": "DELETING" }).into())
}

/// `GetBootstrapBrokers`: a string for each listener that is on, each with at most three brokers in no particular order.
pub(crate) fn bootstrap(world: &World, cx: &Cx, input: &Value) -> Outcome {
    let now = cx.now;
    let cluster = find(world, cx, input)?;
    rules::bootstrap_ready(cluster.serves(now), cluster.state(now))?;
    let values = cluster.visible(now);
    let domain = cluster.domain(world);
    let ids: Vec<u32> = cluster.brokers(now).iter().map(|b| b.id).collect();
    let ids = pick_three(world, &cluster.arn, now, ids);
    let string = |host: &dyn Fn(u32) -> String| {
        json!(ids.iter().map(|id| host(*id)).collect::<Vec<_>>().join(","))
    };
    let public = text(&values.connectivity, "/PublicAccess/Type") == Some("SERVICE_PROVIDED_EIPS");
    let dual = text(&values.connectivity, "/NetworkType") == Some("DUAL");
    let mut out = serde_json::Map::new();
    for listener in listeners(values) {
        let (member, port) = (listener.member, listener.port);
        let name =
            |infix: &str, suffix: &str| format!("BootstrapBrokerString{infix}{member}{suffix}");
        out.insert(name("", ""), string(&|id| format!("b-{id}.{domain}:{port}")));
        if dual {
            let port = port + 11_000;
            out.insert(name("", "Ipv6"), string(&|id| format!("b-{id}.{domain}:{port}")));
        }
        if public && !member.is_empty() {
            let port = port + 100;
            out.insert(name("Public", ""), string(&|id| format!("b-{id}-public.{domain}:{port}")));
        }
    }
    for (scheme, short, member) in [
        ("Sasl/Iam", "iam", "SaslIam"),
        ("Sasl/Scram", "scram", "SaslScram"),
        ("Tls", "tls", "Tls"),
    ] {
        let pointer = format!("/VpcConnectivity/ClientAuthentication/{scheme}/Enabled");
        if flag(&values.connectivity, &pointer) == Some(true) {
            let host = |id: u32| format!("b-{id}.{short}.{domain}:{}", 14_000 + id);
            out.insert(format!("BootstrapBrokerStringVpcConnectivity{member}"), string(&host));
        }
    }
    Ok(Value::Object(out).into())
}

/// `ListNodes`.
pub(crate) fn nodes(world: &World, cx: &Cx, input: &Value) -> Outcome {
    let cluster = find(world, cx, input)?;
    page(input, "NodeInfoList", &views::nodes(world, cluster, cx.now))
}

/// `ListClusterOperations` and `ListClusterOperationsV2`, newest first.
pub(crate) fn operations(world: &World, cx: &Cx, input: &Value, v2: bool) -> Outcome {
    let cluster = find(world, cx, input)?;
    let show = if v2 { views::operation_v2_summary } else { views::operation_v1 };
    let items: Vec<Value> =
        cluster.operations.iter().rev().map(|o| show(cluster, o, cx.now)).collect();
    page(input, "ClusterOperationInfoList", &items)
}

/// `DescribeClusterOperation` and `DescribeClusterOperationV2`.
pub(crate) fn operation(world: &World, cx: &Cx, input: &Value, v2: bool) -> Outcome {
    let arn = text(input, "/ClusterOperationArn").unwrap_or_default();
    let found: Option<(&Cluster, &Operation)> = world
        .state
        .kafka
        .clusters
        .values()
        .filter(|c| c.exists(cx.now))
        .find_map(|c| c.operations.iter().find(|o| o.arn == arn).map(|o| (c, o)));
    let (cluster, operation) =
        found.ok_or_else(|| rules::missing("The requested cluster operation does not exist."))?;
    let show = if v2 { views::operation_v2 } else { views::operation_v1 };
    Ok(json!({ "ClusterOperationInfo": show(cluster, operation, cx.now) }).into())
}

/// `ListTagsForResource`, `TagResource` and `UntagResource`. Of what exists here only clusters have tags; changing them leaves
/// the cluster's version alone.
pub(crate) fn tags(world: &mut World, cx: &Cx, operation: &str, input: &Value) -> Outcome {
    let arn = text(input, "/ResourceArn").unwrap_or_default();
    rules::cluster_found(&world.state.kafka, arn, cx.now)?;
    let Some(cluster) = world.state.kafka.clusters.get_mut(arn) else {
        return Err(rules::missing("The requested resource does not exist."));
    };
    match operation {
        "TagResource" => {
            let mut tags = cluster.tags.clone();
            let added = string_map(input.get("Tags"));
            tags.extend(added.clone());
            let added = added.iter().map(|(k, v)| (k.as_str(), v.as_str()));
            rules::tags_valid(tags.len(), added)?;
            cluster.tags = tags;
            Ok(json!({}).into())
        }
        "UntagResource" => {
            for key in super::strings(input.get("TagKeys")) {
                cluster.tags.remove(&key);
            }
            Ok(json!({}).into())
        }
        _ => Ok(json!({ "Tags": cluster.tags }).into()),
    }
}

/// `ListKafkaVersions`.
pub(crate) fn kafka_versions(cx: &Cx, input: &Value) -> Outcome {
    let items: Vec<Value> = versions::all(cx.now)
        .map(|(version, active)| {
            json!({ "Version": version, "Status": if active { "ACTIVE" } else { "DEPRECATED" } })
        })
        .collect();
    page(input, "KafkaVersions", &items)
}

/// `GetCompatibleKafkaVersions`: of one cluster, or of every version that can go anywhere.
pub(crate) fn compatible_versions(world: &World, cx: &Cx, input: &Value) -> Outcome {
    let sources: Vec<String> = match text(input, "/ClusterArn") {
        Some(_) => vec![find(world, cx, input)?.visible(cx.now).kafka_version.clone()],
        None => versions::all(cx.now).map(|(v, _)| v.to_owned()).collect(),
    };
    let items: Vec<Value> = sources
        .iter()
        .map(|source| (source, versions::targets(source, cx.now)))
        .filter(|(_, targets)| !targets.is_empty())
        .map(|(source, targets)| json!({ "SourceVersion": source, "TargetVersions": targets }))
        .collect();
    Ok(json!({ "CompatibleKafkaVersions": items }).into())
}
