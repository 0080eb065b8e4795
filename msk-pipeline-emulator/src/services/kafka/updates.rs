//! Updates of a cluster. Each checks, then records one operation with its beginning, its end and what will be true afterwards;
//! time does the rest.

use serde_json::{Value, json};

use super::clusters::{
    add_brokers, authentication_of, connectivity, find, logging, open_monitoring, secure,
    version_token,
};
use super::state::{
    Cluster, Failure, Operation, Provisioned, Schemes, dial, property, text, usual,
};
use super::{rules, versions};
use crate::services::logs;
use crate::world::{AwsError, Cx, Millis, Outcome, World};

/// What an update will do.
struct Change {
    kind: &'static str,
    /// The step between initializing and finalizing.
    step: &'static str,
    usual: Millis,
    source: Value,
    target: Value,
    after: Provisioned,
    optimizes: bool,
    /// The brokers that a reboot restarts.
    reboots: Vec<u32>,
}

/// Any `Update…` of a cluster, and `RebootBroker`.
pub(crate) fn update(world: &mut World, cx: &Cx, operation: &str, input: &Value) -> Outcome {
    let cluster = find(world, cx, input)?.clone();
    rules::active_for_update(cluster.state(cx.now))?;
    if operation != "RebootBroker" {
        let given = text(input, "/CurrentVersion").unwrap_or_default();
        rules::version_current(given, cluster.version(cx.now))?;
    }
    let now = cluster.visible(cx.now).clone();
    let change = match operation {
        "UpdateBrokerCount" => return broker_count(world, cx, cluster, now, input),
        "UpdateBrokerType" => broker_type(cx, &cluster, now, input)?,
        "UpdateBrokerStorage" => {
            let targets: &[Value] = input
                .get("TargetBrokerEBSVolumeInfo")
                .and_then(Value::as_array)
                .map_or(&[], Vec::as_slice);
            let ids: Vec<&str> =
                targets.iter().filter_map(|t| text(t, "/KafkaBrokerNodeId")).collect();
            rules::storage_all_brokers(&ids)?;
            storage(cx, &cluster, now, &targets[0], "UPDATE_BROKER_STORAGE")?
        }
        "UpdateStorage" => storage(cx, &cluster, now, input, "UPDATE_STORAGE")?,
        "UpdateClusterConfiguration" => configuration(world, cx, &cluster, now, input)?,
        "UpdateClusterKafkaVersion" => kafka_version(world, cx, &cluster, now, input)?,
        "UpdateMonitoring" => monitoring(world, now, input)?,
        "UpdateSecurity" => security(now, input)?,
        "UpdateConnectivity" => network(world, &cluster, now, input)?,
        _ => reboot(cx, &cluster, now, input)?,
    };
    record(world, cx, &cluster.arn, change)
}

fn record(world: &mut World, cx: &Cx, arn: &str, change: Change) -> Outcome {
    let Some(cluster) = world.state.kafka.clusters.get(arn) else {
        return Err(rules::missing("The requested cluster does not exist."));
    };
    let label = format!("kafka/cluster/{}", cluster.name);
    let place = format!("cluster-operation/{}/{}", cluster.name, cluster.tail);
    let before = cluster.version(cx.now).to_owned();
    let failure = dial(world, "kafka.update-fails")
        .filter(|how| *how == Value::Bool(true) || how.as_str() == Some(change.kind))
        .map(|_| {
            let text = "The update failed and was rolled back. The cluster keeps its settings.";
            Failure { told: Some(("UpdateFailed".to_owned(), text.to_owned())) }
        });
    let uuid = world.uuid(&label);
    let operation_arn = world.arn("kafka", &format!("{place}/{uuid}"));
    let duration = if super::plane::by_programs(change.kind) {
        world.lasting(&label, change.usual)
    } else {
        world.duration(&label, change.usual)
    };
    let optimizing = change.optimizes.then(|| world.duration(&label, usual::OPTIMIZING));
    // A reboot changes nothing that a version could guard.
    let version_after =
        if change.kind == "REBOOT_NODE" { before } else { version_token(world, &label) };
    let operation = Operation {
        arn: operation_arn.clone(),
        kind: change.kind.into(),
        request_id: cx.request_id.clone(),
        created_at: cx.now,
        starts_at: cx.now + usual::PENDING.min(duration / 2),
        ends_at: cx.now + duration,
        optimizing_until: optimizing.map(|more| cx.now + duration + more),
        steps: ["INITIALIZE_UPDATE", change.step, "FINALIZE_UPDATE"].map(str::to_owned).to_vec(),
        source: change.source,
        target: change.target,
        after: change.after,
        version_after,
        failure,
        reboots: change.reboots,
    };
    if let Some(cluster) = world.state.kafka.clusters.get_mut(arn) {
        cluster.operations.push(operation);
    }
    Ok(json!({ "ClusterArn": arn, "ClusterOperationArn": operation_arn }).into())
}

/// Brokers come and go when the operation completes, so their records are written with that moment.
fn broker_count(
    world: &mut World,
    cx: &Cx,
    mut cluster: Cluster,
    mut after: Provisioned,
    input: &Value,
) -> Outcome {
    let target = input.get("TargetNumberOfBrokerNodes").and_then(Value::as_u64).unwrap_or(0);
    let current = after.broker_count;
    rules::count_changes(current, target)?;
    rules::broker_count_multiple(target, cluster.subnets.len())?;
    let elsewhere: u64 = world
        .state
        .kafka
        .clusters
        .values()
        .filter(|c| c.exists(cx.now) && c.arn != cluster.arn)
        .map(|c| c.visible(cx.now).broker_count)
        .sum();
    rules::broker_quota(&after.kafka_version, target, elsewhere)?;
    let grows = target > current;
    let leaving = if grows { Vec::new() } else { leaving(&cluster, cx.now, current - target) };
    if !grows {
        let enough = leaving.len() as u64 == current - target;
        rules::broker_removal(&after.instance_type, &after.kafka_version, enough)?;
    }
    after.broker_count = target;
    let first_new = cluster.brokers.iter().map(|b| b.id).max().unwrap_or(0) + 1;
    let created: Vec<f64> = (first_new..)
        .take(usize::try_from(target.saturating_sub(current)).unwrap_or(0))
        .map(f64::from)
        .collect();
    let deleted: Vec<f64> = leaving.iter().map(|id| f64::from(*id)).collect();
    let reply = record(
        world,
        cx,
        &cluster.arn,
        Change {
            kind: if grows { "INCREASE_BROKER_COUNT" } else { "DECREASE_BROKER_COUNT" },
            step: if grows { "ADD_BROKERS" } else { "REMOVE_BROKERS" },
            usual: usual::BROKER_COUNT,
            source: json!({ "NumberOfBrokerNodes": current }),
            target: json!({
                "NumberOfBrokerNodes": target,
                "BrokerCountUpdateInfo": {
                    "CreatedBrokerIds": created,
                    "DeletedBrokerIds": deleted,
                },
            }),
            after,
            optimizes: false,
            reboots: Vec::new(),
        },
    )?;
    let recorded = world.state.kafka.clusters.get(&cluster.arn).and_then(|c| c.operations.last());
    let ends_at = recorded.filter(|o| o.failure.is_none()).map(|o| o.ends_at);
    if let Some(ends_at) = ends_at {
        if grows {
            // Drawn for the copy, then kept.
            add_brokers(world, &mut cluster, target, ends_at);
        }
        for broker in &mut cluster.brokers {
            if leaving.contains(&broker.id) {
                broker.until = Some(ends_at);
            }
        }
        if let Some(stored) = world.state.kafka.clusters.get_mut(&cluster.arn) {
            stored.brokers = cluster.brokers;
        }
    }
    Ok(reply)
}

/// The brokers that a removal takes: without partitions, the same number in every subnet, the newest first.
fn leaving(cluster: &Cluster, now: Millis, count: u64) -> Vec<u32> {
    let used: std::collections::BTreeSet<u32> = cluster
        .topics
        .values()
        .filter(|t| t.readable(now))
        .flat_map(|t| t.partitions.iter().flatten().copied())
        .collect();
    let each = usize::try_from(count).unwrap_or(0) / cluster.subnets.len().max(1);
    let mut out = Vec::new();
    for placement in 0..cluster.subnets.len() {
        let mut here: Vec<u32> = cluster
            .brokers(now)
            .iter()
            .filter(|b| b.placement == placement && !used.contains(&b.id))
            .map(|b| b.id)
            .collect();
        here.sort_unstable_by(|a, b| b.cmp(a));
        out.extend(here.into_iter().take(each));
    }
    out.sort_unstable();
    out
}

fn broker_type(
    cx: &Cx,
    cluster: &Cluster,
    mut after: Provisioned,
    input: &Value,
) -> Result<Change, AwsError> {
    let target = text(input, "/TargetInstanceType").unwrap_or_default();
    rules::instance_type_offered(target, &after.kafka_version)?;
    rules::type_changes(&after.instance_type, target)?;
    rules::partitions_per_broker(target, cluster.fullest_broker(cx.now))?;
    rules::t3_small_no_tiered(target, &after.storage_mode)?;
    rules::t3_small_no_multi_vpc(target, &after.connectivity)?;
    rules::throughput_limits(target, after.volume_size, after.throughput.as_ref())?;
    let source = json!({ "InstanceType": after.instance_type });
    target.clone_into(&mut after.instance_type);
    Ok(Change {
        kind: "UPDATE_BROKER_TYPE",
        step: "UPDATE_BROKER_TYPE",
        usual: usual::TYPE_PER_BROKER * after.broker_count,
        source,
        target: json!({ "InstanceType": target }),
        after,
        optimizes: false,
        reboots: Vec::new(),
    })
}

fn storage(
    cx: &Cx,
    cluster: &Cluster,
    mut after: Provisioned,
    wanted: &Value,
    kind: &'static str,
) -> Result<Change, AwsError> {
    let size = wanted.get("VolumeSizeGB").and_then(Value::as_i64);
    let throughput = wanted.get("ProvisionedThroughput").filter(|t| !t.is_null());
    let mode = text(wanted, "/StorageMode");
    let volumes = size.is_some() || throughput.is_some();
    rules::one_attribute_a_request(usize::from(volumes) + usize::from(mode.is_some()))?;
    rules::express_rules(&after.instance_type, &after.kafka_version, 3, volumes, None)?;
    rules::storage_only_grows(after.volume_size, size)?;
    rules::tiered_stays(&after.storage_mode, mode)?;
    let grown = size.is_some() && size != after.volume_size;
    let faster = throughput.is_some() && throughput != after.throughput.as_ref();
    let moved = mode.is_some_and(|mode| mode != after.storage_mode);
    rules::storage_changes(grown || faster || moved)?;
    rules::t3_small_no_tiered(&after.instance_type, mode.unwrap_or("LOCAL"))?;
    rules::throughput_limits(&after.instance_type, size.or(after.volume_size), throughput)?;
    if volumes {
        rules::storage_not_optimizing(cluster.optimizing_until(cx.now).is_some())?;
    }
    let show = |values: &Provisioned| {
        if moved {
            return json!({ "StorageMode": values.storage_mode });
        }
        let mut volume = json!({ "KafkaBrokerNodeId": "All", "VolumeSizeGB": values.volume_size });
        if let Some(throughput) = &values.throughput {
            volume["ProvisionedThroughput"] = throughput.clone();
        }
        json!({ "BrokerEBSVolumeInfo": [volume] })
    };
    let source = show(&after);
    after.volume_size = size.or(after.volume_size);
    after.throughput = throughput.cloned().or(after.throughput);
    after.storage_mode = mode.map_or(after.storage_mode.clone(), str::to_owned);
    Ok(Change {
        kind,
        step: "UPDATE_STORAGE",
        usual: usual::STORAGE,
        source,
        target: show(&after),
        after,
        optimizes: volumes,
        reboots: Vec::new(),
    })
}

fn configuration_info(values: &Provisioned) -> Value {
    values
        .configuration
        .as_ref()
        .map_or_else(|| json!({}), |(arn, revision)| json!({ "Arn": arn, "Revision": revision }))
}

fn configuration(
    world: &World,
    cx: &Cx,
    cluster: &Cluster,
    mut after: Provisioned,
    input: &Value,
) -> Result<Change, AwsError> {
    let source = json!({ "ConfigurationInfo": configuration_info(&after) });
    rules::partitions_per_broker(&after.instance_type, cluster.fullest_broker(cx.now))?;
    configure(world, cx, &mut after, input)?;
    Ok(Change {
        kind: "UPDATE_CLUSTER_CONFIGURATION",
        step: "UPDATE_CLUSTER_CONFIGURATION",
        usual: usual::ROLLING_PER_BROKER * after.broker_count,
        source,
        target: json!({ "ConfigurationInfo": configuration_info(&after) }),
        after,
        optimizes: false,
        reboots: Vec::new(),
    })
}

/// Takes over the configuration that the input names, if it names one.
fn configure(
    world: &World,
    cx: &Cx,
    after: &mut Provisioned,
    input: &Value,
) -> Result<(), AwsError> {
    let wanted = super::configurations::reference(input.get("ConfigurationInfo"));
    if let Some((arn, revision)) = wanted {
        super::configurations::usable(world, cx.now, &arn, revision)?;
        after.configuration = Some((arn, revision));
    }
    Ok(())
}

fn kafka_version(
    world: &World,
    cx: &Cx,
    cluster: &Cluster,
    mut after: Provisioned,
    input: &Value,
) -> Result<Change, AwsError> {
    let target = text(input, "/TargetKafkaVersion").unwrap_or_default();
    rules::upgrade_only(target, &versions::targets(&after.kafka_version, cx.now))?;
    rules::instance_type_offered(&after.instance_type, target)?;
    rules::express_rules(&after.instance_type, target, 3, false, None)?;
    rules::partitions_per_broker(&after.instance_type, cluster.fullest_broker(cx.now))?;
    let show = |values: &Provisioned| {
        let mut out = json!({ "KafkaVersion": values.kafka_version });
        if values.configuration.is_some() {
            out["ConfigurationInfo"] = configuration_info(values);
        }
        out
    };
    let source = show(&after);
    configure(world, cx, &mut after, input)?;
    target.clone_into(&mut after.kafka_version);
    Ok(Change {
        kind: "UPDATE_CLUSTER_KAFKA_VERSION",
        step: "UPDATE_APACHE_KAFKA_BINARIES",
        usual: usual::ROLLING_PER_BROKER * after.broker_count,
        source,
        target: show(&after),
        after,
        optimizes: false,
        reboots: Vec::new(),
    })
}

fn monitoring(world: &World, mut after: Provisioned, input: &Value) -> Result<Change, AwsError> {
    let show = |values: &Provisioned| {
        let mut out = json!({
            "EnhancedMonitoring": values.enhanced_monitoring,
            "OpenMonitoring": values.open_monitoring,
        });
        if let Some(logging) = &values.logging {
            out["LoggingInfo"] = logging.clone();
        }
        out
    };
    let source = show(&after);
    if let Some(level) = text(input, "/EnhancedMonitoring") {
        level.clone_into(&mut after.enhanced_monitoring);
    }
    if let Some(open) = input.get("OpenMonitoring").filter(|o| !o.is_null()) {
        after.open_monitoring = open_monitoring(Some(open));
    }
    if let Some(wanted) = input.get("LoggingInfo").filter(|l| !l.is_null()) {
        let wanted = logging(wanted);
        rules::log_group_exists(&wanted, |group| logs::exists(world, group))?;
        rules::express_rules(&after.instance_type, &after.kafka_version, 3, false, Some(&wanted))?;
        after.logging = Some(wanted);
    }
    Ok(Change {
        kind: "UPDATE_MONITORING",
        step: "UPDATE_MONITORING",
        usual: usual::MONITORING,
        source,
        target: show(&after),
        after,
        optimizes: false,
        reboots: Vec::new(),
    })
}

/// A given `ClientAuthentication` replaces the present one as a whole.
fn security(mut after: Provisioned, input: &Value) -> Result<Change, AwsError> {
    let encryption = input.get("EncryptionInfo").unwrap_or(&Value::Null);
    rules::security_not_at_rest(encryption)?;
    rules::security_not_in_cluster(encryption)?;
    let show = |values: &Provisioned| {
        json!({
            "ClientAuthentication": values.authentication,
            "EncryptionInfo": { "EncryptionInTransit": {
                "ClientBroker": values.client_broker,
                "InCluster": values.in_cluster,
            } },
        })
    };
    let before = after.clone();
    if let Some(wanted) = input.get("ClientAuthentication").filter(|a| !a.is_null()) {
        after.authentication = authentication_of(wanted);
    }
    if let Some(client_broker) = text(encryption, "/EncryptionInTransit/ClientBroker") {
        client_broker.clone_into(&mut after.client_broker);
    }
    rules::security_changes(before != after)?;
    secure(&after)?;
    Ok(Change {
        kind: "UPDATE_SECURITY",
        step: "UPDATE_SECURITY",
        usual: usual::SECURITY,
        source: show(&before),
        target: show(&after),
        after,
        optimizes: false,
        reboots: Vec::new(),
    })
}

fn network(
    world: &World,
    cluster: &Cluster,
    mut after: Provisioned,
    input: &Value,
) -> Result<Change, AwsError> {
    let wanted = input.get("ConnectivityInfo").filter(|c| !c.is_null());
    let zookeeper = super::state::flag(input, "/ZookeeperAccess/Enabled");
    rules::one_attribute_a_request(
        usize::from(wanted.is_some()) + usize::from(zookeeper.is_some()),
    )?;
    let show = |values: &Provisioned| {
        if zookeeper.is_some() {
            json!({ "ZookeeperAccess": { "Enabled": values.zookeeper_access } })
        } else {
            json!({ "ConnectivityInfo": values.connectivity })
        }
    };
    let source = show(&after);
    if let Some(access) = zookeeper {
        after.zookeeper_access = access;
    }
    after.connectivity = connectivity(&after.connectivity, wanted);
    let schemes = Schemes::of(&after.authentication);
    if text(&after.connectivity, "/PublicAccess/Type") == Some("SERVICE_PROVIDED_EIPS") {
        let acls = property(world, &after, "allow.everyone.if.no.acl.found");
        rules::public_access_allowed(&rules::PublicAccess {
            version: &after.kafka_version,
            subnets_public: cluster.subnets.iter().all(|p| p.public),
            schemes,
            client_broker: &after.client_broker,
            in_cluster: after.in_cluster,
            acls_required: acls.as_deref() == Some("false"),
        })?;
    }
    rules::t3_small_no_multi_vpc(&after.instance_type, &after.connectivity)?;
    rules::vpc_connectivity_allowed(&after.kafka_version, schemes, &after.connectivity)?;
    Ok(Change {
        kind: "UPDATE_CONNECTIVITY",
        step: "UPDATE_CONNECTIVITY",
        usual: usual::CONNECTIVITY,
        source,
        target: show(&after),
        after,
        optimizes: false,
        reboots: Vec::new(),
    })
}

fn reboot(
    cx: &Cx,
    cluster: &Cluster,
    after: Provisioned,
    input: &Value,
) -> Result<Change, AwsError> {
    let ids = super::strings(input.get("BrokerIds"));
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let known: Vec<String> = cluster.brokers(cx.now).iter().map(|b| b.id.to_string()).collect();
    rules::one_broker_a_reboot(&ids, &known)?;
    Ok(Change {
        kind: "REBOOT_NODE",
        step: "REBOOT_BROKER",
        usual: usual::REBOOT,
        source: json!({}),
        target: json!({}),
        after,
        optimizes: false,
        reboots: ids.iter().filter_map(|id| id.parse().ok()).collect(),
    })
}
