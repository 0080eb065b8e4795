//! Connectors: creation, with their fate decided on the spot, and how they look.

use serde_json::{Value, json};

use super::health::{self, Subject, Trouble};
use super::state::{
    CONNECTOR_CREATE, CONNECTOR_UNREACHABLE, Connector, Failure, Fixed, Settings, Worker,
};
use super::worker_log::{self, Line, Writer};
use super::{around, page, put_some, rules, text, text_list, text_map};
use crate::world::{AwsError, Cx, Millis, Outcome, Plane, World};

/// CPU use at which autoscaling takes workers away when nothing is said (U).
const SCALE_IN: u64 = 20;
/// CPU use at which it adds workers (U).
const SCALE_OUT: u64 = 80;

pub(super) fn create(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let now = cx.now;
    let name = text(input, "connectorName");
    // The order is the handbook's suggestion (msk.md §5 (U)): name, plugin and worker configuration, their states, the rest.
    rules::connector_name_is_free(world, now, name)?;
    let (plugin, plugin_revision) = rules::exactly_one_plugin(&input["plugins"])?;
    rules::plugin_exists(world, now, &plugin)?;
    let worker_configuration = input.get("workerConfiguration").filter(|v| !v.is_null()).cloned();
    if let Some(reference) = &worker_configuration {
        rules::worker_configuration_exists(world, now, reference)?;
    }
    rules::plugin_is_active(rules::plugin_exists(world, now, &plugin)?, now)?;
    let fixed = fixed(input);
    rules::connect_version(&fixed.kafka_connect_version)?;
    let settings = Settings {
        capacity: capacity(input.get("capacity").unwrap_or(&Value::Null))?,
        plugin,
        plugin_revision,
        worker_configuration,
        configuration: text_map(input.get("connectorConfiguration")),
    };
    rules::worker_quota(world, now, None, settings.most_workers())?;
    rules::role_is_not_service_linked(&fixed.role)?;
    let role = rules::role_exists(world, &fixed.role)?;
    // The UUID isn't drawn yet, and a condition on the source can't know it either: it ends in a wildcard.
    let any = world
        .arn("kafkaconnect", &format!("connector/{name}/00000000-0000-4000-a000-000000000000-2"));
    rules::role_is_trusted(world, &role, &any)?;
    rules::role_has_propagated(&role, now)?;
    rules::log_group_exists(world, fixed.log_delivery.as_ref())?;
    let vpc = rules::subnets_in_one_vpc(world, &fixed.subnets)?;
    rules::security_groups_in_vpc(world, &fixed.security_groups, &vpc)?;

    world.state.kafkaconnect.purge(now);
    let label = format!("kafkaconnect/connector/{name}");
    let arn = super::new_arn(world, &label, "connector", name);
    let id = arn.rsplit('/').next().unwrap_or_default().to_string();
    let subject = Subject { name, id: &id, fixed: &fixed, settings: &settings, now };
    let trouble = if super::dialled(world, "kafkaconnect.create-fails", name) {
        health::by_dial(&subject)
    } else {
        health::trouble(world, &subject)
    };
    let settled_at = now
        + match &trouble {
            Some(Trouble { unreachable: true, .. }) => {
                world.duration(&label, CONNECTOR_UNREACHABLE)
            }
            Some(_) => world.duration(&label, CONNECTOR_CREATE),
            None => world.lasting(&label, CONNECTOR_CREATE),
        };
    let version = super::new_version(world, &label);
    let workers = workers(world, &label, &fixed.subnets, settings.workers(), now);
    let connector = Connector {
        arn: arn.clone(),
        name: name.into(),
        id,
        description: input.get("connectorDescription").and_then(Value::as_str).map(String::from),
        created_at: now,
        settled_at,
        failure: trouble.as_ref().map(|_| Failure::generic()),
        failed_check: trouble.as_ref().map(|trouble| trouble.check.to_string()),
        settings,
        fixed,
        version,
        operations: Vec::new(),
        workers,
        tasks: Vec::new(),
        deleting_since: None,
        gone_at: None,
        tags: text_map(input.get("tags")),
    };
    log_start(world, &connector, &connector.settings, (now, settled_at), trouble.as_ref());
    let answer = json!({
        "connectorArn": arn,
        "connectorName": name,
        "connectorState": connector.state(now),
    });
    world.state.kafkaconnect.connectors.insert(arn, connector);
    Ok(answer.into())
}

pub(super) fn describe(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let connector = rules::connector_exists(world, cx.now, text(input, "connectorArn"))?;
    let mut out = summary(connector, cx.now);
    out["connectorConfiguration"] = json!(connector.settings(cx.now).configuration);
    let failed = connector.state(cx.now) == "FAILED";
    let why = connector.failure.as_ref().filter(|_| failed).map(Failure::shown);
    put_some(&mut out, "stateDescription", why);
    Ok(out.into())
}

pub(super) fn list(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let prefix = text(input, "connectorNamePrefix");
    let all = world.state.kafkaconnect.connectors.values();
    let found = all.filter(|c| c.exists(cx.now) && c.name.starts_with(prefix));
    let entries: Vec<_> = found.map(|c| summary(c, cx.now)).collect();
    Ok(page(input, &entries, "connectors")?.into())
}

fn summary(connector: &Connector, now: Millis) -> Value {
    let fixed = &connector.fixed;
    let settings = connector.settings(now);
    let mut out = json!({
        "capacity": settings.capacity,
        "connectorArn": connector.arn,
        "connectorName": connector.name,
        "connectorState": connector.state(now),
        "creationTime": connector.created_at,
        "currentVersion": connector.version(now),
        "kafkaCluster": { "apacheKafkaCluster": {
            "bootstrapServers": fixed.bootstrap_servers,
            "vpc": { "securityGroups": fixed.security_groups, "subnets": fixed.subnets },
        } },
        "kafkaClusterClientAuthentication": { "authenticationType": fixed.authentication },
        "kafkaClusterEncryptionInTransit": { "encryptionType": fixed.encryption },
        "kafkaConnectVersion": fixed.kafka_connect_version,
        "networkType": fixed.network_type,
        "plugins": settings.plugins_shown(),
        "serviceExecutionRoleArn": fixed.role,
    });
    put_some(&mut out, "connectorDescription", connector.description.clone().map(Value::from));
    put_some(&mut out, "logDelivery", fixed.log_delivery.clone());
    put_some(&mut out, "workerConfiguration", settings.worker_configuration.clone());
    out
}

/// The parts that no update reaches.
fn fixed(input: &Value) -> Fixed {
    let cluster = input.pointer("/kafkaCluster/apacheKafkaCluster").cloned().unwrap_or_default();
    let inner = |outer: &str, member: &str| {
        input.get(outer).map(|value| text(value, member)).unwrap_or_default().to_string()
    };
    let network_type = match text(input, "networkType") {
        "" => "IPV4",
        given => given,
    };
    Fixed {
        bootstrap_servers: text(&cluster, "bootstrapServers").into(),
        subnets: text_list(cluster.pointer("/vpc/subnets")),
        security_groups: text_list(cluster.pointer("/vpc/securityGroups")),
        authentication: inner("kafkaClusterClientAuthentication", "authenticationType"),
        encryption: inner("kafkaClusterEncryptionInTransit", "encryptionType"),
        kafka_connect_version: text(input, "kafkaConnectVersion").into(),
        role: text(input, "serviceExecutionRoleArn").into(),
        log_delivery: input.get("logDelivery").filter(|v| !v.is_null()).cloned(),
        network_type: network_type.into(),
    }
}

/// A capacity as it will be shown: checked, with the policies of autoscaling filled in (handbook msk.md §5).
pub(super) fn capacity(capacity: &Value) -> Result<Value, AwsError> {
    let one = rules::one_capacity(capacity)?;
    rules::mcu_count(one)?;
    rules::worker_counts(one)?;
    rules::autoscaling_task_count(one)?;
    let mut shown = one.clone();
    if capacity.get("autoScaling").is_none_or(Value::is_null) {
        return Ok(json!({ "provisionedCapacity": shown }));
    }
    for (member, usual) in [("scaleInPolicy", SCALE_IN), ("scaleOutPolicy", SCALE_OUT)] {
        if shown.get(member).is_none_or(Value::is_null) {
            shown[member] = json!({ "cpuUtilizationPercentage": usual });
        }
    }
    Ok(json!({ "autoScaling": shown }))
}

/// `count` new workers, round and round the subnets.
pub(super) fn workers(
    world: &mut World,
    label: &str,
    subnets: &[String],
    count: u64,
    from: Millis,
) -> Vec<Worker> {
    let label = format!("{label}/interface");
    let one = |subnet: &String| {
        let interface = format!("eni-{}", world.hex(&label, 17));
        let cidr = around::subnet(world, subnet).map(|s| s.cidr).unwrap_or_default();
        let private_ip = address(&cidr, world.draw(&label));
        Worker { interface, subnet: subnet.clone(), private_ip, from, until: None }
    };
    let count = usize::try_from(count).unwrap_or(1);
    subnets.iter().cycle().take(if subnets.is_empty() { 0 } else { count }).map(one).collect()
}

/// An address of a subnet; AWS keeps the first four and the last.
fn address(cidr: &str, drawn: u64) -> String {
    let (base, bits) = cidr.split_once('/').unwrap_or(("10.0.0.0", "24"));
    let bits: u32 = bits.parse().unwrap_or(24);
    let size = 1u64 << (32 - bits.clamp(8, 28));
    let base = base.parse::<std::net::Ipv4Addr>().map_or(0, u32::from);
    let host = u32::try_from(4 + drawn % (size - 5)).unwrap_or(4);
    std::net::Ipv4Addr::from(base.wrapping_add(host)).to_string()
}

/// Writes what the workers log of a start between two times, and of what ended it.
pub(super) fn log_start(
    world: &mut World,
    connector: &Connector,
    settings: &Settings,
    (from, until): (Millis, Millis),
    trouble: Option<&Trouble>,
) {
    if world.settings.plane == Plane::Real && trouble.is_none() {
        return; // its worker writes itself
    }
    let label = format!("kafkaconnect/connector/{}/worker", connector.name);
    let writer = Writer {
        connector: &connector.name,
        id: &connector.id,
        fixed: &connector.fixed,
        worker: world.hex(&label, 17),
    };
    let first = connector.fixed.hosts().first().map_or_else(String::new, ToString::to_string);
    let lines = worker_log::healthy(
        health::class_of(settings),
        &connector.name,
        &connector.fixed.kafka_connect_version,
        &first,
    );
    let at = |share: u64| from + (until - from) * share / 1000;
    match trouble {
        None => {
            for (share, line) in &lines {
                writer.write(world, at(*share), line);
            }
        }
        Some(Trouble { unreachable: true, lines: last, .. }) => {
            // It tries again every minute from the third on.
            let warning = Line::new(
                "WARN",
                format!(
                    "[AdminClient clientId=adminclient-1] Connection to node -1 ({first}) could not be established. Node may not be available."
                ),
                "org.apache.kafka.clients.NetworkClient:814",
            );
            let mut next = from + 180_000;
            while next + 60_000 < until {
                writer.write(world, next, &warning);
                next += 60_000;
            }
            for line in last {
                writer.write(world, until.saturating_sub(30_000), line);
            }
        }
        Some(Trouble { lines: last, .. }) => {
            for (share, line) in lines.iter().filter(|(share, _)| *share < 900) {
                writer.write(world, at(*share), line);
            }
            for line in last {
                writer.write(world, at(920), line);
            }
        }
    }
}
