//! What happens to a connector after its creation: updates, pauses, restarts, deletion, and the operations that record them.

use serde_json::{Value, json};

use super::connectors::{self, capacity};
use super::health::{self, Subject};
use super::state::{
    CONNECTOR_DELETE, CONNECTOR_PAUSE, CONNECTOR_RESTART, CONNECTOR_RESUME, CONNECTOR_ROLLBACK,
    CONNECTOR_UPDATE, Connector, Failure, INTERFACES_LINGER, Operation, OperationKind, Settings,
};
use super::{page, put_some, rules, text, text_map};
use crate::world::{AwsError, Cx, Millis, Outcome, World};

pub(super) fn update(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let now = cx.now;
    let connector = rules::connector_exists(world, now, text(input, "connectorArn"))?.clone();
    rules::version_is_current(&connector, now, text(input, "currentVersion"))?;
    let configuration = rules::one_kind_of_update(input)?;
    rules::one_worker_configuration(input)?;
    let skip_health = input.get("skipHealthValidation").and_then(Value::as_bool).unwrap_or(false);
    rules::updatable(connector.state(now), skip_health)?;
    let origin = connector.settings(now).clone();
    let target = target(world, now, &connector, &origin, input)?;

    world.state.kafkaconnect.purge(now);
    let subject = Subject {
        name: &connector.name,
        id: &connector.id,
        fixed: &connector.fixed,
        settings: &target,
        now,
    };
    let trouble = if super::dialled(world, "kafkaconnect.update-rolls-back", &connector.name) {
        health::by_dial(&subject)
    } else {
        health::trouble(world, &subject)
    };
    let label = format!("kafkaconnect/connector/{}", connector.name);
    let worked_until = now
        + if trouble.is_none() {
            world.lasting(&label, CONNECTOR_UPDATE)
        } else {
            world.duration(&label, CONNECTOR_UPDATE)
        };
    let rolls_back = trouble.is_some() && !skip_health;
    let ends_at = if rolls_back {
        worked_until + world.duration(&label, CONNECTOR_ROLLBACK)
    } else {
        worked_until
    };
    connectors::log_start(world, &connector, &target, (now, worked_until), trouble.as_ref());
    if rolls_back {
        connectors::log_start(world, &connector, &origin, (worked_until, ends_at), None);
    } else {
        resize(world, &connector, &label, target.workers(), (now, worked_until));
    }
    let kind =
        if configuration { OperationKind::Configuration } else { OperationKind::WorkerSetting };
    let operation = Operation {
        rolls_back_at: rolls_back.then_some(worked_until),
        error: rolls_back.then(Failure::generic),
        validated: !skip_health,
        origin: Some(origin),
        target: Some(target),
        ..operation(world, &connector, kind, now, ends_at)
    };
    let operation_arn = record(world, &connector.arn, operation);
    Ok(json!({
        "connectorArn": connector.arn,
        "connectorOperationArn": operation_arn,
        "connectorState": "UPDATING",
    })
    .into())
}

/// The settings that the update asks for; what it doesn't name stays, a configuration is replaced whole (handbook msk.md §5.2).
fn target(
    world: &World,
    now: Millis,
    connector: &Connector,
    origin: &Settings,
    input: &Value,
) -> Result<Settings, AwsError> {
    let given = |member: &str| input.get(member).filter(|v| !v.is_null());
    let mut target = origin.clone();
    if let Some(configuration) = given("connectorConfiguration") {
        target.configuration = text_map(Some(configuration));
        return Ok(target);
    }
    if let Some(plugins) = given("plugins") {
        (target.plugin, target.plugin_revision) = rules::exactly_one_plugin(plugins)?;
        rules::plugin_is_active(rules::plugin_exists(world, now, &target.plugin)?, now)?;
    }
    if let Some(reference) = given("workerConfiguration") {
        rules::worker_configuration_exists(world, now, reference)?;
        target.worker_configuration = Some(reference.clone());
    }
    if given("useDefaultWorkerConfiguration").and_then(Value::as_bool) == Some(true) {
        target.worker_configuration = None;
    }
    if let Some(wanted) = given("capacity") {
        target.capacity = capacity(wanted)?;
        rules::worker_quota(world, now, Some(&connector.arn), target.most_workers())?;
    }
    Ok(target)
}

/// Adds or takes away interfaces when the number of workers changes.
fn resize(
    world: &mut World,
    connector: &Connector,
    label: &str,
    wanted: u64,
    (now, done): (Millis, Millis),
) {
    let kept = connector.workers.iter().filter(|w| w.until.is_none()).count() as u64;
    let more = connectors::workers(
        world,
        label,
        &connector.fixed.subnets,
        wanted.saturating_sub(kept),
        now,
    );
    let Some(connector) = world.state.kafkaconnect.connectors.get_mut(&connector.arn) else {
        return;
    };
    let surplus = usize::try_from(kept.saturating_sub(wanted)).unwrap_or(0);
    let staying = connector.workers.iter_mut().rev().filter(|w| w.until.is_none());
    staying.take(surplus).for_each(|w| w.until = Some(done + INTERFACES_LINGER));
    connector.workers.extend(more);
}

pub(super) fn pause(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let connector = rules::connector_exists(world, cx.now, text(input, "connectorArn"))?.clone();
    rules::pausable(connector.state(cx.now))?;
    switch(world, cx.now, &connector, OperationKind::Pause, CONNECTOR_PAUSE, false)
}

pub(super) fn resume(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let connector = rules::connector_exists(world, cx.now, text(input, "connectorArn"))?.clone();
    rules::resumable(connector.state(cx.now))?;
    switch(world, cx.now, &connector, OperationKind::Resume, CONNECTOR_RESUME, false)
}

pub(super) fn restart(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let connector = rules::connector_exists(world, cx.now, text(input, "connectorArn"))?.clone();
    rules::restartable(connector.state(cx.now))?;
    let only_failed = input.get("onlyFailedTasks").and_then(Value::as_bool).unwrap_or(false);
    rules::only_failed_tasks(&connector.fixed.kafka_connect_version, only_failed)?;
    switch(world, cx.now, &connector, OperationKind::Restart, CONNECTOR_RESTART, only_failed)
}

#[expect(clippy::unnecessary_wraps, reason = "it is what an operation answers")]
fn switch(
    world: &mut World,
    now: Millis,
    connector: &Connector,
    kind: OperationKind,
    usual: Millis,
    only_failed: bool,
) -> Outcome {
    world.state.kafkaconnect.purge(now);
    let label = format!("kafkaconnect/connector/{}", connector.name);
    let ends_at = now + world.lasting(&label, usual);
    let operation = Operation { only_failed, ..operation(world, connector, kind, now, ends_at) };
    let operation_arn = record(world, &connector.arn, operation);
    Ok(json!({ "connectorArn": connector.arn, "connectorOperationArn": operation_arn }).into())
}

fn operation(
    world: &mut World,
    connector: &Connector,
    kind: OperationKind,
    created_at: Millis,
    ends_at: Millis,
) -> Operation {
    let label = format!("kafkaconnect/connector/{}/operation", connector.name);
    let uuid = world.uuid(&label);
    let rest = format!("connector-operation/{}/{}/{uuid}", connector.name, connector.id);
    Operation {
        arn: world.arn("kafkaconnect", &rest),
        kind,
        created_at,
        ends_at,
        rolls_back_at: None,
        error: None,
        validated: false,
        origin: None,
        target: None,
        only_failed: false,
        version: super::new_version(world, &label),
    }
}

fn record(world: &mut World, connector: &str, operation: Operation) -> String {
    let arn = operation.arn.clone();
    if let Some(connector) = world.state.kafkaconnect.connectors.get_mut(connector) {
        connector.operations.push(operation);
    }
    arn
}

pub(super) fn delete(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let arn = text(input, "connectorArn");
    let connector = rules::connector_exists(world, cx.now, arn)?;
    if let version @ [_, ..] = text(input, "currentVersion").as_bytes() {
        rules::version_is_current(connector, cx.now, &String::from_utf8_lossy(version))?;
    }
    rules::deletable(connector.state(cx.now))?;
    let label = format!("kafkaconnect/connector/{}", connector.name);
    let gone_at = cx.now + world.duration(&label, CONNECTOR_DELETE);
    let lingers = world.duration(&format!("{label}/interface"), INTERFACES_LINGER);
    if let Some(connector) = world.state.kafkaconnect.connectors.get_mut(arn) {
        connector.deleting_since = Some(cx.now);
        connector.gone_at = Some(gone_at);
        // The interfaces vanish some time after the connector (handbook msk.md §5.3).
        for worker in connector.workers.iter_mut().filter(|w| w.until.is_none()) {
            worker.until = Some(gone_at + lingers);
        }
    }
    Ok(json!({ "connectorArn": arn, "connectorState": "DELETING" }).into())
}

pub(super) fn list_operations(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let connector = rules::connector_exists(world, cx.now, text(input, "connectorArn"))?;
    // Newest first (U).
    let entries: Vec<_> = connector.operations.iter().rev().map(|op| summary(op, cx.now)).collect();
    Ok(page(input, &entries, "connectorOperations")?.into())
}

pub(super) fn describe_operation(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let arn = text(input, "connectorOperationArn");
    let (connector, operation) = rules::operation_exists(world, cx.now, arn)?;
    let mut out = summary(operation, cx.now);
    out["connectorArn"] = connector.arn.clone().into();
    let steps = operation.steps(cx.now);
    if !steps.is_empty() {
        let steps =
            steps.into_iter().map(|(kind, state)| json!({ "stepType": kind, "stepState": state }));
        out["operationSteps"] = steps.collect::<Vec<_>>().into();
    }
    for (side, settings) in [("origin", &operation.origin), ("target", &operation.target)] {
        let Some(settings) = settings else { continue };
        if operation.kind == OperationKind::Configuration {
            out[format!("{side}ConnectorConfiguration")] = json!(settings.configuration);
        } else {
            out[format!("{side}WorkerSetting")] = worker_setting(settings);
        }
    }
    let failed = operation.rolls_back_at.is_some_and(|at| cx.now >= at);
    let error = operation.error.as_ref().filter(|_| failed).map(Failure::shown);
    put_some(&mut out, "errorInfo", error);
    Ok(out.into())
}

fn summary(operation: &Operation, now: Millis) -> Value {
    let mut out = json!({
        "connectorOperationArn": operation.arn,
        "connectorOperationType": operation.shown_kind(),
        "connectorOperationState": operation.state(now),
        "creationTime": operation.created_at,
    });
    let ended = (now >= operation.ends_at).then(|| operation.ends_at.into());
    put_some(&mut out, "endTime", ended);
    out
}

fn worker_setting(settings: &Settings) -> Value {
    let mut out = json!({ "capacity": settings.capacity, "plugins": settings.plugins_shown() });
    match &settings.worker_configuration {
        Some(reference) => out["workerConfiguration"] = reference.clone(),
        None => out["useDefaultWorkerConfiguration"] = true.into(),
    }
    out
}
