//! From a connector as it is to one as it is wanted; pure.

use std::collections::BTreeMap;
use std::time::Duration;

use msk_pipeline_core::kind::{
    Case, Change, Condition, DataEffect, Effect, Guard, Input, Next, Proposed, Recorded, Verdict,
};

use super::bootstrap::same_cluster;
use super::observe::without_secret;
use super::{
    Authentication, Call, Capacity, Connector, Encryption, Operation, Outputs, Props, Revision,
    Seen, Worker,
};
use crate::kinds::connect::{self, TagCall};
use crate::kinds::connector_verdicts::{verdict, worst};
use crate::tags::marked;

const CREATE_USUAL: Duration = Duration::from_mins(7);
/// A cluster that can't be reached keeps a create spinning for just over twenty minutes (handbook msk.md §5.1).
const CREATE_DEADLINE: Duration = Duration::from_mins(35);
const UPDATE_USUAL: Duration = Duration::from_mins(5);
const DELETE_USUAL: Duration = Duration::from_mins(3);

pub(super) fn calls(case: &Case<Connector>) -> Next<Call, Outputs> {
    match (&case.want, &case.seen) {
        (None, None) => Next::Gone,
        (None, Some(seen)) => delete(case, seen),
        (Some(want), None) => Next::Calls(vec![create(case, want)]),
        (Some(want), Some(seen)) => converge(case, &settled(want, seen), seen),
    }
}

fn create(case: &Case<Connector>, want: &Props) -> Proposed<Call> {
    let mut props = want.clone();
    // A connector that has to be made again keeps the brokers that it knew.
    if let Some(was) = &case.was {
        keep(&mut props.bootstrap, was.props.bootstrap.known());
        for (key, value) in &mut props.configuration {
            if key.ends_with("bootstrap.servers") {
                keep(value, was.props.configuration.get(key).and_then(Input::known));
            }
        }
    }
    let fields: Vec<_> = [
        Change::new("name", None::<()>, Some(&props.name)),
        Change::new("connect_version", None::<()>, Some(&props.connect_version)),
        Change::new("capacity", None::<()>, Some(&props.capacity)),
        Change::new("bootstrap", None::<()>, Some(&props.bootstrap)),
        Change::new("plugin", None::<()>, Some(&props.plugin.arn)),
    ]
    .into_iter()
    .chain(
        props
            .configuration
            .iter()
            .map(|(k, v)| Change::new(format!("configuration.{k}"), None::<()>, Some(v))),
    )
    .collect();
    let tags = marked(&want.tags, &case.mark);
    let call = Call::Create { props: Box::new(props), tags };
    Proposed::new("kafkaconnect:CreateConnector", Effect::Create, call)
        .fields(fields)
        .may_change(&[Connector::CONNECTOR_ARN, Connector::CONNECTOR_NAME])
        .usual(CREATE_USUAL)
}

/// The wish with the bootstrap servers that the connector has, where they are of the same cluster.
fn settled(want: &Props, seen: &Seen) -> Props {
    let mut want = want.clone();
    keep(&mut want.bootstrap, Some(&seen.bootstrap));
    for (key, value) in &mut want.configuration {
        if key.ends_with("bootstrap.servers") {
            keep(value, seen.configuration.get(key));
        }
    }
    want
}

fn keep(wanted: &mut Input<String>, present: Option<&String>) {
    if let (Input::Known(new), Some(present)) = (&*wanted, present)
        && same_cluster(new, present)
    {
        *wanted = Input::Known(present.clone());
    }
}

fn converge(case: &Case<Connector>, want: &Props, seen: &Seen) -> Next<Call, Outputs> {
    if seen.state == "DELETING" {
        let condition = Condition::new("the old connector to be gone", &seen.state, DELETE_USUAL)
            .deadline(Duration::from_mins(30));
        return Next::Wait { condition, then: vec![create(case, want)] };
    }
    if seen.state == "FAILED" {
        let cause = failure(seen);
        if case.pursuit.is_some() {
            return Next::Failed { cause, help: failure_help(seen) };
        }
        return Next::Replace { because: cause, effect: replacing(case, want, seen) };
    }
    let immutable = immutable(want, seen);
    if !immutable.is_empty() {
        return Next::Replace {
            because: format!("MSK Connect can't change {}", immutable.join(", ")),
            effect: replacing(case, want, seen),
        };
    }
    let kept = case.was.as_ref().and_then(|was| was.props.offsets_topic.as_ref());
    if kept.is_some_and(|kept| Some(kept) != want.offsets_topic.as_ref()) {
        // In place this would take two updates, and between them the task has a place without the history that belongs to it.
        return Next::Replace {
            because: "its place in the binary log is to be kept in another topic".into(),
            effect: DataEffect::new(
                Verdict::Resnapshot,
                "it starts anew: its offsets and schema history are left behind",
            ),
        };
    }
    let calls = differences(case, want, seen);
    if let Some(next) = pursued(case, seen, &calls) {
        return next;
    }
    match seen.state.as_str() {
        "RUNNING" | "PAUSED" if calls.is_empty() => Next::Converged(Outputs {
            connector_arn: seen.arn.clone(),
            connector_name: want.name.clone(),
        }),
        "RUNNING" | "PAUSED" => Next::Calls(calls),
        state => Next::Wait { condition: running(state, None), then: calls },
    }
}

/// What the operation of the pursued call says, as long as it decides.
fn pursued(
    case: &Case<Connector>,
    seen: &Seen,
    calls: &[Proposed<Call>],
) -> Option<Next<Call, Outputs>> {
    let pursuit = case.pursuit.as_ref()?;
    let operation = seen.operation.as_ref()?;
    if operation.failed() {
        let what = pursuit.call.operation_type().unwrap_or_default();
        return Some(Next::Failed {
            cause: rolled_back(what, operation, seen),
            help: failure_help(seen),
        });
    }
    if !operation.complete() {
        let condition = running(&seen.state, Some(&operation.state));
        // What the operation is about is no longer to be done.
        let then = calls.iter().filter(|c| c.call != pursuit.call).cloned().collect();
        return Some(Next::Wait { condition, then });
    }
    None
}

fn running(state: &str, operation: Option<&str>) -> Condition {
    let seen = match operation {
        Some(operation) => format!("{state}, operation {operation}"),
        None => state.to_owned(),
    };
    let usual = if state == "CREATING" { CREATE_USUAL } else { UPDATE_USUAL };
    Condition::new("connector RUNNING", seen, usual).deadline(CREATE_DEADLINE)
}

/// The fields that differ and that no call changes.
fn immutable(want: &Props, seen: &Seen) -> Vec<&'static str> {
    let authentication = match want.authentication {
        Authentication::None => "NONE",
        Authentication::Iam => "IAM",
    };
    let encryption = match want.encryption {
        Encryption::Plaintext => "PLAINTEXT",
        Encryption::Tls => "TLS",
    };
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    let subnets = want.subnets.known().map(|s| sorted(s));
    let groups: Option<Vec<_>> = want.security_groups.iter().map(|g| g.known().cloned()).collect();
    let log_group = match &want.log_group {
        None => seen.log_group.is_some(),
        Some(group) => group.known() != seen.log_group.as_ref(),
    };
    [
        ("its description", want.description != seen.description),
        ("its Connect version", want.connect_version != seen.connect_version),
        ("its bootstrap servers", want.bootstrap.differs(&seen.bootstrap)),
        ("its authentication", authentication != seen.authentication),
        ("its encryption", encryption != seen.encryption),
        ("its subnets", subnets.as_ref() != Some(&sorted(&seen.subnets))),
        ("its security groups", groups.map(|g| sorted(&g)) != Some(sorted(&seen.security_groups))),
        ("its role", want.role_arn.differs(&seen.role_arn)),
        ("its log delivery", log_group),
    ]
    .into_iter()
    .filter_map(|(what, differs)| differs.then_some(what))
    .collect()
}

/// Everything that changes in place, in order: a paused connector runs before it is changed; the plugin and the config providers
/// that a configuration needs are there before it.
fn differences(case: &Case<Connector>, want: &Props, seen: &Seen) -> Vec<Proposed<Call>> {
    let guard = Guard { version: seen.version.clone(), operation: seen.newest_operation.clone() };
    let mut calls = Vec::new();
    if matches!(seen.state.as_str(), "PAUSED" | "PAUSING") {
        let call = Call::Resume { arn: seen.arn.clone() };
        calls.push(
            Proposed::new("kafkaconnect:ResumeConnector", Effect::Update, call)
                .fields([Change::new("state", Some(&seen.state), Some("RUNNING"))])
                .usual(Duration::from_mins(2))
                .guard(guard.clone()),
        );
    }
    calls.extend(workers(case, want, seen).map(|call| call.guard(guard.clone())));
    calls.extend(configuration(want, seen).map(|call| call.guard(guard)));
    calls.extend(connect::tag_calls(
        &seen.tags,
        &marked(&want.tags, &case.mark),
        |call| match call {
            TagCall::Set(tags) => Call::SetTags { arn: seen.arn.clone(), tags },
            TagCall::Remove(keys) => Call::RemoveTags { arn: seen.arn.clone(), keys },
        },
    ));
    calls
}

fn workers(case: &Case<Connector>, want: &Props, seen: &Seen) -> Option<Proposed<Call>> {
    let mut fields = Vec::new();
    let capacity = (seen.capacity != Some(want.capacity)).then(|| {
        fields.extend(capacity_fields(seen.capacity, want.capacity));
        want.capacity
    });
    let plugin = differs(&want.plugin, seen.plugin.as_ref()).then(|| {
        let from = seen.plugin.as_ref().map(|(arn, _)| arn);
        fields.push(Change::new("plugin", from, Some(&want.plugin.arn)));
        want.plugin.clone()
    });
    let from = seen.worker.as_ref().map(|(arn, _)| arn);
    let worker = match &want.worker {
        None if seen.worker.is_some() => {
            fields.push(Change::new("worker", from, None::<&str>));
            Some(Worker::Default)
        }
        Some(wanted) if differs(wanted, seen.worker.as_ref()) => {
            fields.push(Change::new("worker", from, Some(&wanted.arn)));
            Some(Worker::Revision(wanted.clone()))
        }
        _ => None,
    };
    if fields.is_empty() {
        return None;
    }
    let mut effects =
        vec![DataEffect::new(Verdict::Restart, "workers are replaced, events are delayed")];
    if worker.is_some() {
        effects.push(offsets(case.was.as_ref(), want));
    }
    let call = Call::UpdateWorkers { arn: seen.arn.clone(), capacity, plugin, worker };
    Some(
        Proposed::new("kafkaconnect:UpdateConnector", Effect::Update, call)
            .fields(fields)
            .data(worst(effects))
            .usual(UPDATE_USUAL),
    )
}

fn differs(want: &Revision, seen: Option<&(String, i64)>) -> bool {
    seen.is_none_or(|(arn, revision)| want.arn.differs(arn) || want.revision.differs(revision))
}

fn capacity_fields(from: Option<Capacity>, to: Capacity) -> Vec<Change> {
    if let (
        Some(Capacity::Provisioned { mcu: a, workers: b }),
        Capacity::Provisioned { mcu: x, workers: y },
    ) = (from, to)
    {
        let mcu = (a != x).then(|| Change::new("capacity.mcu", Some(a), Some(x)));
        let workers = (b != y).then(|| Change::new("capacity.workers", Some(b), Some(y)));
        return mcu.into_iter().chain(workers).collect();
    }
    vec![Change::new("capacity", from, Some(to))]
}

/// What becomes of the connector's place when its worker configuration names another topic for it.
fn offsets(was: Option<&Recorded<Props, Outputs>>, want: &Props) -> DataEffect {
    let Some(was) = was else { return DataEffect::NONE };
    let (from, to) = (was.props.offsets_topic.as_deref(), want.offsets_topic.as_deref());
    if from == to { DataEffect::NONE } else { verdict("offset.storage.topic", from, to) }
}

/// The keys that differ, each with its change and its verdict.
fn changed_keys(want: &Props, seen: &Seen) -> Vec<(Change, DataEffect)> {
    let mut found = Vec::new();
    for (key, value) in &want.configuration {
        let from = seen.configuration.get(key).map(String::as_str);
        let shown = value.known().map(|v| without_secret(key, v));
        if shown.is_some() && shown.as_deref() == from {
            continue;
        }
        let to = match value {
            Input::Known(_) => Input::Known(shown.unwrap_or_default()),
            Input::Pending(reference) => Input::Pending(reference.clone()),
        };
        let known = to.known().cloned().unwrap_or_else(|| "(known after apply)".into());
        let effect = verdict(key, from, Some(&known));
        found.push((Change::new(format!("configuration.{key}"), from, Some(&to)), effect));
    }
    for (key, from) in &seen.configuration {
        if !want.configuration.contains_key(key) {
            let change = Change::new(format!("configuration.{key}"), Some(from), None::<&str>);
            found.push((change, verdict(key, Some(from), None)));
        }
    }
    found
}

fn configuration(want: &Props, seen: &Seen) -> Option<Proposed<Call>> {
    let changed = changed_keys(want, seen);
    if changed.is_empty() {
        return None;
    }
    let (fields, effects): (Vec<_>, Vec<_>) = changed.into_iter().unzip();
    // Even a key without an effect on data restarts the task.
    let restart = DataEffect::new(Verdict::Restart, "the task restarts, events are delayed");
    let all: BTreeMap<_, _> = want.configuration.clone();
    let call = Call::UpdateConfiguration { arn: seen.arn.clone(), configuration: all };
    Some(
        Proposed::new("kafkaconnect:UpdateConnector", Effect::Update, call)
            .fields(fields)
            .data(worst(std::iter::once(restart).chain(effects)))
            .usual(UPDATE_USUAL),
    )
}

fn delete(case: &Case<Connector>, seen: &Seen) -> Next<Call, Outputs> {
    let wait =
        |what: &str| Condition::new(what, &seen.state, DELETE_USUAL).deadline(CREATE_DEADLINE);
    let call = Call::Delete { arn: seen.arn.clone() };
    let delete = Proposed::new("kafkaconnect:DeleteConnector", Effect::Delete, call)
        .data(deleting(case, seen))
        .usual(DELETE_USUAL)
        .guard(Guard { version: seen.version.clone(), operation: seen.newest_operation.clone() });
    match seen.state.as_str() {
        "DELETING" => Next::Wait { condition: wait("connector gone"), then: Vec::new() },
        // Nothing can be deleted while something else is going on (handbook msk.md §5.1).
        "RUNNING" | "FAILED" | "PAUSED" => Next::Calls(vec![delete]),
        _ => Next::Wait { condition: wait("connector to settle"), then: vec![delete] },
    }
}

/// Whether it ever ran, as far as can be told.
fn never_ran(case: &Case<Connector>, seen: &Seen) -> bool {
    matches!(seen.state.as_str(), "FAILED" | "CREATING" | "DELETING")
        && case.pursuit.as_ref().is_none_or(|p| p.effect == Effect::Create)
        && case
            .was
            .as_ref()
            .and_then(|was| was.outputs.as_ref())
            .is_none_or(|outputs| outputs.connector_arn != seen.arn)
}

/// What deleting it does to data. Its topics are other resources, and say so themselves.
fn deleting(case: &Case<Connector>, seen: &Seen) -> DataEffect {
    if never_ran(case, seen) {
        return DataEffect::NONE;
    }
    match case.was.as_ref().and_then(|was| was.props.offsets_topic.as_deref()) {
        Some(topic) => DataEffect::new(
            Verdict::Gap,
            format!(
                "no changes are captured any more; one created again under the same name goes on from `{topic}` if the binlog still has its place"
            ),
        ),
        None => DataEffect::new(
            Verdict::Resnapshot,
            "its offsets go with it: one created again starts with a new snapshot",
        ),
    }
}

/// What replacing it does to data.
fn replacing(case: &Case<Connector>, want: &Props, seen: &Seen) -> DataEffect {
    if never_ran(case, seen) {
        return DataEffect::NONE;
    }
    let was = case.was.as_ref();
    let place = match was.and_then(|w| w.props.offsets_topic.as_deref()) {
        Some(topic) => DataEffect::new(
            Verdict::Restart,
            format!("events are delayed until it runs again; its place is kept in `{topic}`"),
        ),
        None => DataEffect::new(
            Verdict::Resnapshot,
            "its offsets go with it: the new one starts with a new snapshot",
        ),
    };
    let keys = changed_keys(want, seen).into_iter().map(|(_, effect)| effect);
    worst([place, offsets(was, want)].into_iter().chain(keys))
}

fn failure(seen: &Seen) -> String {
    let says = seen.state_says.as_deref().unwrap_or("AWS gives no reason");
    with_log(format!("the connector is FAILED: {says}"), seen)
}

fn rolled_back(what: &str, operation: &Operation, seen: &Seen) -> String {
    let how = match operation.state.as_str() {
        "ROLLBACK_COMPLETE" => "was rolled back, the connector has its old settings",
        "ROLLBACK_FAILED" => "failed, and so did its rollback",
        _ => "failed",
    };
    let step = operation.step.as_deref().map(|s| format!(" at {s}")).unwrap_or_default();
    let says = operation.says.as_deref().unwrap_or("AWS gives no reason");
    with_log(format!("{what} {how} ({}{step}): {says}", operation.state), seen)
}

fn with_log(cause: String, seen: &Seen) -> String {
    match &seen.log_says {
        Some(said) => format!("{cause}; {said}"),
        None => cause,
    }
}

fn failure_help(seen: &Seen) -> String {
    let fix = seen.log_says.iter().flat_map(|said| &said.fix).cloned();
    let log = seen.log_group.as_ref().map_or_else(
        || "with a log group the workers would tell the cause".to_owned(),
        |group| format!("the workers' whole log: aws logs tail {group} --since 1h"),
    );
    let mut steps: Vec<String> = fix.collect();
    if steps.is_empty() {
        steps.push("correct the cause and run again".into());
    }
    steps.push(log);
    steps.join("; ")
}
