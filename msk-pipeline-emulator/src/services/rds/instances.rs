//! Instances of clusters.

use serde_json::{Value, json};

use super::clusters;
use super::groups::{self, Kind};
use super::rules;
use super::state::{
    CLASS_CHANGE, DELETE, INSTANCE_AFTER_CLUSTER, INSTANCE_CREATE, INTERFACE_LINGER, Instance,
    Interface, Life, MODIFY, Phase, REBOOT, Values, When, next_window,
};
use super::support::{
    filters, flag, given, late_failure, name_of, needed, not_implemented, number, page, passes,
    tags, text, without,
};
use super::{account, views};
use crate::services::ec2;
use crate::world::{AwsError, Cx, Millis, Outcome, World};

fn get(w: &World, name_or_arn: &str, now: Millis) -> Result<Instance, AwsError> {
    let id = name_of(name_or_arn);
    w.state
        .rds
        .instance(&id, now)
        .cloned()
        .ok_or_else(|| AwsError::new("DBInstanceNotFound", format!("DBInstance {id} not found.")))
}

fn shown(w: &World, id: &str, now: Millis) -> Value {
    w.state.rds.instances.get(id).map_or(Value::Null, |i| views::instance(w, i, now))
}

pub(super) fn create(w: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let now = cx.now;
    let id = needed(input, "DBInstanceIdentifier").to_ascii_lowercase();
    rules::identifier_is_well_formed("DBInstanceIdentifier", &id, 63)?;
    let Some(cluster) = text(input, "DBClusterIdentifier") else {
        return Err(not_implemented("an instance outside a cluster"));
    };
    if w.state.rds.instance(&id, now).is_some() {
        return Err(AwsError::new("DBInstanceAlreadyExists", "DB instance already exists"));
    }
    let cluster = clusters::get(w, cluster, now)?;
    rules::setting_belongs_to_cluster(input, true)?;
    let engine = needed(input, "Engine");
    rules::engine_matches_cluster("engine name", Some(engine), &cluster.engine)?;
    let version = clusters::version(&cluster, now)?;
    let asked = match text(input, "EngineVersion") {
        Some(asked) => Some(rules::version_is_offered(engine, Some(asked))?.version),
        None => None,
    };
    rules::engine_matches_cluster("engine version", asked, version.version)?;
    let class = needed(input, "DBInstanceClass");
    rules::class_is_orderable(class, &version)?;
    let values = cluster.life.values(now);
    rules::serverless_instance_needs_scaling(
        class,
        values.contains_key("ServerlessV2ScalingConfiguration"),
    )?;
    if cluster.life.deleting() || cluster.life.fails.is_some() {
        rules::cluster_is_available(&cluster.id, cluster.life.status(now))?;
    }
    if text(input, "DBSubnetGroupName")
        .is_some_and(|g| g.to_ascii_lowercase() != cluster.subnet_group)
    {
        groups::subnet_group(w, needed(input, "DBSubnetGroupName"))?;
        return Err(not_implemented("an instance in another subnet group than its cluster's"));
    }
    rules::number_is_in_range("PromotionTier", number(input, "PromotionTier"), 0, 15)?;
    let interval = number(input, "MonitoringInterval").unwrap_or(0);
    rules::monitoring_needs_a_role(interval, text(input, "MonitoringRoleArn").is_some())?;
    let subnets = groups::subnet_group(w, &cluster.subnet_group)?.clone();
    let public = flag(input, "PubliclyAccessible").unwrap_or(subnets.name == "default");
    let egress: Vec<_> = subnets.subnets.iter().map(|(s, _)| ec2::egress(w, s)).collect();
    rules::public_instance_needs_gateway(public, &egress)?;
    let tags = tags(input)?;
    let used = w.state.rds.instances.values().filter(|i| i.life.exists(now)).count();
    rules::quota_allows("InstanceQuotaExceeded", "DB instances", used, account::INSTANCES)?;
    let group = groups::parameter_group_for(
        w,
        Kind::Instance,
        text(input, "DBParameterGroupName"),
        &version,
    )?;

    // The zone asked for, else the one with the fewest of the cluster's instances.
    let members = w.state.rds.members(&cluster.id, now);
    let crowd = |zone: &str| members.iter().filter(|m| m.zone == zone).count();
    let chosen = match text(input, "AvailabilityZone") {
        Some(zone) => subnets.subnets.iter().find(|(_, z)| z == zone),
        None => subnets.subnets.iter().min_by_key(|(_, z)| crowd(z)),
    };
    let Some((subnet, zone)) = chosen.cloned() else {
        return Err(AwsError::new(
            "InvalidVPCNetworkStateFault",
            "The DB subnet group doesn't cover the requested Availability Zone.",
        ));
    };

    w.state.rds.purge(now);
    let label = format!("rds/instance/{id}");
    let has_writer =
        cluster.writer.as_ref().is_some_and(|writer| w.state.rds.instance(writer, now).is_some());
    // The writer is a program where the plane is real.
    let took = if has_writer {
        w.duration(&label, INSTANCE_CREATE)
    } else {
        w.lasting(&label, INSTANCE_CREATE)
    };
    let ready_at = (now + took).max(cluster.life.ready_at() + INSTANCE_AFTER_CLUSTER);
    let (created, tuned) = (ready_at - took / 3, ready_at - took / 6);
    let middle = if interval > 0 { "configuring-enhanced-monitoring" } else { "backing-up" };
    let resource_id = format!("db-{}", w.token(&label, 26));
    let upkeep = values.get("PreferredMaintenanceWindow").cloned().unwrap_or_default();

    let mut values = Values::new();
    let mut set = |name: &str, value: Value| {
        values.insert(name.into(), value);
    };
    set("DBInstanceClass", json!(class));
    set("DBParameterGroupName", json!(group));
    set("PubliclyAccessible", json!(public));
    set("PromotionTier", json!(number(input, "PromotionTier").unwrap_or(1)));
    set("AutoMinorVersionUpgrade", json!(flag(input, "AutoMinorVersionUpgrade").unwrap_or(true)));
    set("CopyTagsToSnapshot", json!(flag(input, "CopyTagsToSnapshot").unwrap_or(false)));
    set("MonitoringInterval", json!(interval));
    set(
        "PerformanceInsightsEnabled",
        json!(flag(input, "EnablePerformanceInsights").unwrap_or(false)),
    );
    set(
        "CACertificateIdentifier",
        json!(text(input, "CACertificateIdentifier").unwrap_or("rds-ca-rsa2048-g1")),
    );
    set("NetworkType", json!("IPV4"));
    set(
        "PreferredMaintenanceWindow",
        text(input, "PreferredMaintenanceWindow").map_or(upkeep, |window| json!(window)),
    );
    for name in ["MonitoringRoleArn", "PerformanceInsightsRetentionPeriod"] {
        if let Some(value) = given(input, name) {
            set(name, value.clone());
        }
    }
    let instance = Instance {
        id: id.clone(),
        resource_id,
        cluster: cluster.id.clone(),
        engine: engine.into(),
        zone: zone.clone(),
        life: Life {
            created_at: now,
            creating: vec![
                Phase { status: "creating".into(), until: created },
                Phase { status: middle.into(), until: tuned },
                Phase { status: "modifying".into(), until: ready_at },
            ],
            fails: late_failure(w, "rds.create-instance-fails", &id),
            values,
            boots: vec![created],
            ..Life::default()
        },
        group_attached_at: now,
        tags,
    };
    let interface = Interface {
        id: format!("eni-{}", w.hex(&label, 17)),
        instance: id.clone(),
        cluster: cluster.id.clone(),
        private_ip: private_ip(w, &label, &subnet),
        subnet_id: subnet,
        vpc_id: subnets.vpc_id,
        zone,
        groups: Vec::new(),
        until: None,
    };
    let state = &mut w.state.rds;
    state.interfaces.push(interface);
    state.instances.insert(id.clone(), instance);
    if !has_writer && let Some(cluster) = state.clusters.get_mut(&cluster.id) {
        cluster.writer = Some(id.clone());
    }
    Ok(json!({ "DBInstance": shown(w, &id, now) }).into())
}

/// A free-looking address of the subnet: AWS keeps the first four and the last.
fn private_ip(w: &mut World, label: &str, subnet: &str) -> String {
    let cidr = ec2::subnet(w, subnet).map(|s| s.cidr).unwrap_or_default();
    let (base, bits) = cidr.split_once('/').unwrap_or(("10.0.0.0", "24"));
    let base: std::net::Ipv4Addr = base.parse().unwrap_or(std::net::Ipv4Addr::UNSPECIFIED);
    let size = 1_u32 << 32_u32.saturating_sub(bits.parse().unwrap_or(24)).clamp(4, 24);
    let host = |n: u32| {
        std::net::Ipv4Addr::from(u32::from(base).wrapping_add(4 + n % (size - 5))).to_string()
    };
    let first = (w.draw(label) >> 40) as u32; // 24 bits
    let taken = |ip: &String| {
        w.state.rds.interfaces.iter().any(|i| i.subnet_id == subnet && i.private_ip == *ip)
    };
    (0..size)
        .map(|n| host(first.wrapping_add(n)))
        .find(|ip| !taken(ip))
        .unwrap_or_else(|| host(first))
}

pub(super) fn describe(w: &World, cx: &Cx, input: &Value) -> Outcome {
    let known = ["db-cluster-id", "db-instance-id", "dbi-resource-id", "domain", "engine"];
    let wanted = filters(input, &known)?;
    let instances = match text(input, "DBInstanceIdentifier") {
        Some(id) => vec![get(w, id, cx.now)?],
        None => w.state.rds.instances.values().filter(|i| i.life.exists(cx.now)).cloned().collect(),
    };
    let records = instances
        .iter()
        .filter(|i| {
            passes(&wanted, |name| match name {
                "db-cluster-id" => i.cluster.clone(),
                "db-instance-id" => i.id.clone(),
                "dbi-resource-id" => i.resource_id.clone(),
                "engine" => i.engine.clone(),
                _ => String::new(),
            })
        })
        .map(|i| (i.id.clone(), views::instance(w, i, cx.now)));
    Ok(page(input, "DBInstances", records)?.into())
}

pub(super) fn modify(w: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let now = cx.now;
    let mut instance = get(w, needed(input, "DBInstanceIdentifier"), now)?;
    rules::setting_belongs_to_cluster(input, false)?;
    instance.life.settle(now);
    rules::instance_is_available(&instance.id, instance.life.status(now))?;
    if given(input, "NewDBInstanceIdentifier").is_some() {
        return Err(not_implemented("renaming an instance"));
    }
    let cluster = clusters::get(w, &instance.cluster, now)?;
    let version = clusters::version(&cluster, now)?;
    if let Some(class) = text(input, "DBInstanceClass") {
        rules::class_is_orderable(class, &version)?;
        let scaling = cluster.life.values(now).contains_key("ServerlessV2ScalingConfiguration");
        rules::serverless_instance_needs_scaling(class, scaling)?;
    }
    rules::number_is_in_range("PromotionTier", number(input, "PromotionTier"), 0, 15)?;
    if given(input, "MonitoringInterval").is_some() || given(input, "MonitoringRoleArn").is_some() {
        let old = Value::Object(instance.life.values.clone());
        let interval =
            number(input, "MonitoringInterval").or(number(&old, "MonitoringInterval")).unwrap_or(0);
        let role = text(input, "MonitoringRoleArn").is_some()
            || interval != 0 && text(&old, "MonitoringRoleArn").is_some();
        rules::monitoring_needs_a_role(interval, role)?;
    }
    if flag(input, "PubliclyAccessible") == Some(true) {
        let subnets = groups::subnet_group(w, &cluster.subnet_group)?;
        let egress: Vec<_> = subnets.subnets.iter().map(|(s, _)| ec2::egress(w, s)).collect();
        rules::public_instance_needs_gateway(true, &egress)?;
    }
    let group = match text(input, "DBParameterGroupName") {
        Some(name) => Some(groups::parameter_group_for(w, Kind::Instance, Some(name), &version)?),
        None => None,
    };

    w.state.rds.purge(now);
    let label = format!("rds/instance/{}", instance.id);
    let changed = |life: &Life, name: &str, value: &Value| life.values.get(name) != Some(value);
    // The parameter group's name and the tier change at once; the group's values wait for a reboot.
    if let Some(group) =
        group.map(|g| json!(g)).filter(|g| changed(&instance.life, "DBParameterGroupName", g))
    {
        instance.life.values.insert("DBParameterGroupName".into(), group);
        instance.group_attached_at = now;
    }
    for name in [
        "PromotionTier",
        "CopyTagsToSnapshot",
        "AutoMinorVersionUpgrade",
        "PreferredMaintenanceWindow",
    ] {
        if let Some(value) = given(input, name) {
            instance.life.values.insert(name.into(), value.clone());
        }
    }
    let mut quick = Values::new();
    for (member, name) in [
        ("PubliclyAccessible", "PubliclyAccessible"),
        ("MonitoringInterval", "MonitoringInterval"),
        ("MonitoringRoleArn", "MonitoringRoleArn"),
        ("EnablePerformanceInsights", "PerformanceInsightsEnabled"),
        ("PerformanceInsightsRetentionPeriod", "PerformanceInsightsRetentionPeriod"),
    ] {
        if let Some(value) = given(input, member).filter(|v| changed(&instance.life, name, v)) {
            quick.insert(name.into(), value.clone());
        }
    }
    let mut outage = Values::new();
    for name in ["DBInstanceClass", "CACertificateIdentifier"] {
        if let Some(value) = given(input, name).filter(|v| changed(&instance.life, name, v)) {
            outage.insert(name.into(), value.clone());
        }
    }
    let immediately = flag(input, "ApplyImmediately").unwrap_or(false);
    let window = next_window(&instance.life.text(now, "PreferredMaintenanceWindow"), now);
    let when = if immediately { When::Soon } else { When::Window(window) };
    if !quick.is_empty() {
        let status = if quick.contains_key("MonitoringInterval") {
            "configuring-enhanced-monitoring"
        } else {
            "modifying"
        };
        let took = w.duration(&label, MODIFY);
        instance.life.change(now, When::Soon, &[(status, took)], quick);
    }
    if immediately {
        for (name, value) in instance.life.take_deferred(now, false) {
            outage.entry(name).or_insert(value);
        }
    }
    if !outage.is_empty() {
        let took = w.duration(&label, CLASS_CHANGE);
        let steps = [
            ("modifying", took * 6 / 10),
            ("rebooting", took * 2 / 10),
            ("modifying", took - took * 8 / 10),
        ];
        instance.life.change(now, when, &steps, outage);
    }
    let id = instance.id.clone();
    w.state.rds.instances.insert(id.clone(), instance);
    Ok(json!({ "DBInstance": shown(w, &id, now) }).into())
}

pub(super) fn reboot(w: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let now = cx.now;
    let mut instance = get(w, needed(input, "DBInstanceIdentifier"), now)?;
    instance.life.settle(now);
    rules::instance_is_available(&instance.id, instance.life.status(now))?;
    without(input, &["ForceFailover"])?;
    let label = format!("rds/instance/{}", instance.id);
    let writes = w.state.rds.writer(&instance.cluster, now).is_some_and(|i| i.id == instance.id);
    let took = if writes { w.lasting(&label, REBOOT) } else { w.duration(&label, REBOOT) };
    instance.life.change(now, When::Now, &[("rebooting", took)], Values::new());
    let id = instance.id.clone();
    w.state.rds.instances.insert(id.clone(), instance);
    Ok(json!({ "DBInstance": shown(w, &id, now) }).into())
}

pub(super) fn delete(w: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let now = cx.now;
    let mut instance = get(w, needed(input, "DBInstanceIdentifier"), now)?;
    rules::instance_is_not_being_deleted(&instance.id, instance.life.deleting())?;
    rules::cluster_instance_takes_no_final_snapshot(
        text(input, "FinalDBSnapshotIdentifier").is_some(),
    )?;
    w.state.rds.purge(now);
    instance.life.settle(now);
    let gone_at = now + w.duration(&format!("rds/instance/{}", instance.id), DELETE);
    instance.life.changes.clear();
    instance.life.delete(now, gone_at);
    let (id, cluster) = (instance.id.clone(), instance.cluster.clone());
    let state = &mut w.state.rds;
    let security = state
        .cluster(&cluster, now)
        .map(|c| views::group_ids(&c.life.values(now)))
        .unwrap_or_default();
    for interface in state.interfaces.iter_mut().filter(|i| i.instance == id && i.until.is_none()) {
        interface.until = Some(gone_at + INTERFACE_LINGER);
        interface.groups.clone_from(&security);
    }
    state.instances.insert(id.clone(), instance);
    // The writer is going: the instance with the best tier takes over, if one stays.
    let heir = state
        .members(&cluster, now)
        .into_iter()
        .filter(|m| !m.life.deleting())
        .min_by_key(|m| m.tier(now))
        .map(|m| m.id.clone());
    if let Some(cluster) = state.clusters.get_mut(&cluster)
        && cluster.writer.as_ref() == Some(&id)
        && heir.is_some()
    {
        cluster.writer = heir;
    }
    Ok(json!({ "DBInstance": shown(w, &id, now) }).into())
}
