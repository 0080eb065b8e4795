//! Connectors as the workers behind them see them.

use std::collections::BTreeMap;

use super::around;
use super::state::{Connector, Failure, Operation, OperationKind, Settings};
use crate::plane::{self, Awaited, Task, UNTIL_REPORTED, Work};
use crate::services::secretsmanager;
use crate::world::{Millis, World};

pub(crate) fn connectors(world: &World, now: Millis) -> Vec<plane::Connector> {
    let all = world.state.kafkaconnect.connectors.values();
    let wanted = all.filter(|c| c.exists(now) && !matches!(c.state(now), "DELETING" | "FAILED"));
    // What the world's own rules have doomed has no worker.
    wanted.filter(|c| c.failure.is_none()).map(|c| wanted_of(world, c, now)).collect()
}

/// The operation that only a report can end.
fn open(connector: &Connector, now: Millis) -> Option<&Operation> {
    connector.underway(now).filter(|o| o.ends_at >= UNTIL_REPORTED)
}

fn wanted_of(world: &World, connector: &Connector, now: Millis) -> plane::Connector {
    let operation = open(connector, now);
    let current = connector.settings(now);
    let target = operation.and_then(|o| o.target.as_ref());
    let fixed = &connector.fixed;
    plane::Connector {
        arn: connector.arn.clone(),
        name: connector.name.clone(),
        id: connector.id.clone(),
        bootstrap: fixed.bootstrap_servers.clone(),
        iam: fixed.authentication == "IAM",
        tls: fixed.encryption == "TLS",
        role: fixed.role.clone(),
        log: fixed.log_group().map(Into::into),
        version: fixed.kafka_connect_version.clone(),
        workers: current.workers(),
        settings: shown(world, target.unwrap_or(current)),
        before: target.map(|_| shown(world, current)),
        paused: matches!(connector.state(now), "PAUSED" | "PAUSING"),
        secrets: secrets(world, connector, now),
        awaits: awaits(connector, operation, now),
    }
}

fn shown(world: &World, settings: &Settings) -> plane::Settings {
    let state = &world.state.kafkaconnect;
    let plugin = state.plugins.get(&settings.plugin);
    let worker =
        settings.worker_configuration_arn().and_then(|a| state.worker_configurations.get(a));
    plane::Settings {
        plugin: plugin.and_then(|p| p.file.as_ref()).map(|f| f.sha256.clone()).unwrap_or_default(),
        jar: plugin.is_some_and(|p| p.content_type == "JAR"),
        properties: worker.map(|c| c.properties.clone()).unwrap_or_default(),
        configuration: settings.configuration.clone(),
    }
}

/// What the role may read, if the workers have a way to Secrets Manager at all.
fn secrets(
    world: &World,
    connector: &Connector,
    now: Millis,
) -> BTreeMap<String, BTreeMap<String, String>> {
    let ways = |id: &String| {
        around::subnet(world, id).is_none_or(|s| around::way_out(world, now, &s, "secretsmanager"))
    };
    let Some(role) = around::role(world, &connector.fixed.role) else { return BTreeMap::new() };
    if !connector.fixed.subnets.iter().all(ways) {
        return BTreeMap::new();
    }
    let readable = secretsmanager::all(world, now)
        .into_iter()
        .filter(|(_, arn)| around::permits(world, &role, "secretsmanager:GetSecretValue", arn));
    readable.filter_map(|(name, arn)| Some((name, plane::secret(world, now, &arn)?))).collect()
}

fn awaits(connector: &Connector, operation: Option<&Operation>, now: Millis) -> Option<Awaited> {
    if now < connector.settled_at {
        return Some(Awaited { token: connector.arn.clone(), what: Work::Create });
    }
    let operation = operation?;
    let what = match operation.kind {
        OperationKind::WorkerSetting | OperationKind::Configuration => {
            Work::Update { validated: operation.validated }
        }
        OperationKind::Pause => Work::Pause,
        OperationKind::Resume => Work::Resume,
        OperationKind::Restart => Work::Restart { only_failed: operation.only_failed },
    };
    Some(Awaited { token: operation.arn.clone(), what })
}

pub(crate) fn tasks(world: &World, arn: &str) -> Vec<Task> {
    let found = world.state.kafkaconnect.connectors.get(arn);
    found.map(|connector| connector.tasks.clone()).unwrap_or_default()
}

pub(crate) fn set_tasks(world: &mut World, arn: &str, tasks: &[Task]) -> bool {
    let Some(connector) = world.state.kafkaconnect.connectors.get_mut(arn) else { return false };
    let changed = connector.tasks != tasks;
    connector.tasks = tasks.to_vec();
    changed
}

pub(crate) fn end(world: &mut World, now: Millis, token: &str, failure: Option<&str>) -> bool {
    for connector in world.state.kafkaconnect.connectors.values_mut() {
        if connector.arn == token && now < connector.settled_at {
            connector.settled_at = now;
            connector.failure = failure.map(|_| Failure::generic());
            connector.failed_check = failure.map(|_| "reported".into());
            return true;
        }
        let found = connector.operations.iter_mut().find(|o| o.arn == token && now < o.ends_at);
        let Some(operation) = found else { continue };
        operation.ends_at = now;
        if failure.is_some() && operation.target.is_some() {
            operation.rolls_back_at = Some(now);
            operation.error = Some(Failure::generic());
        }
        return true;
    }
    false
}
