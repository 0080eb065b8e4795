use std::collections::BTreeMap;

use msk_pipeline_core::Timestamp;
use msk_pipeline_core::kind::{
    Case, Condition, Effect, Guard, Input, Mark, Next, Pursuit, Recorded, Sent,
};

use super::*;
use crate::kinds::connect::tests::summary;

const BOOTSTRAP: &str =
    "b-1.c.a1.c5.kafka.eu-west-1.amazonaws.com:9098,b-2.c.a1.c5.kafka.eu-west-1.amazonaws.com:9098";
const SHUFFLED: &str =
    "b-6.c.a1.c5.kafka.eu-west-1.amazonaws.com:9098,b-4.c.a1.c5.kafka.eu-west-1.amazonaws.com:9098";
const HISTORY: &str = "schema.history.internal.kafka.bootstrap.servers";

fn configuration() -> BTreeMap<String, Input<String>> {
    [
        ("connector.class", "io.debezium.connector.mysql.MySqlConnector"),
        ("topic.prefix", "orders"),
        ("table.include.list", "shop.orders"),
        ("database.password", "${secretsmanager:cdc/orders:password}"),
        (HISTORY, BOOTSTRAP),
    ]
    .map(|(k, v)| (k.to_owned(), Input::from(v)))
    .into()
}

fn want() -> Props {
    Props {
        name: "orders-cdc-mysql".into(),
        description: None,
        connect_version: "3.7.x".into(),
        bootstrap: BOOTSTRAP.into(),
        authentication: Authentication::Iam,
        encryption: Encryption::Tls,
        subnets: Input::Known(vec!["subnet-1".into(), "subnet-2".into()]),
        security_groups: vec!["sg-1".into()],
        role_arn: "arn:role".into(),
        capacity: Capacity::Provisioned { mcu: 1, workers: 1 },
        plugin: Revision { arn: "arn:plugin".into(), revision: Input::Known(1) },
        worker: Some(Revision { arn: "arn:worker".into(), revision: Input::Known(1) }),
        offsets_topic: Some("orders-cdc-mysql.offsets.1".into()),
        configuration: configuration(),
        log_group: Some("/aws/msk-connect/orders-cdc-mysql".into()),
        tags: Tags::new(),
    }
}

fn mark() -> Mark {
    Mark { lineage: "l".into(), pipeline: "p".into(), address: "connector.mysql.connector".into() }
}

fn seen(state: &str) -> Seen {
    Seen {
        arn: "arn:connector".into(),
        state: state.into(),
        state_says: None,
        version: Some("K1".into()),
        description: None,
        connect_version: "3.7.x".into(),
        bootstrap: BOOTSTRAP.into(),
        authentication: "IAM".into(),
        encryption: "TLS".into(),
        subnets: vec!["subnet-1".into(), "subnet-2".into()],
        security_groups: vec!["sg-1".into()],
        role_arn: "arn:role".into(),
        capacity: Some(Capacity::Provisioned { mcu: 1, workers: 1 }),
        plugin: Some(("arn:plugin".into(), 1)),
        worker: Some(("arn:worker".into(), 1)),
        configuration: configuration()
            .into_iter()
            .filter_map(|(k, v)| Some((k, v.known()?.clone())))
            .collect(),
        log_group: Some("/aws/msk-connect/orders-cdc-mysql".into()),
        tags: mark().tags(),
        newest_operation: Some("arn:op0".into()),
        operation: None,
        since: None,
        log_says: None,
    }
}

fn was() -> Recorded<Props, Outputs> {
    let outputs = Outputs {
        connector_arn: "arn:connector".into(),
        connector_name: "orders-cdc-mysql".into(),
    };
    Recorded { props: want(), outputs: Some(outputs) }
}

fn pursuit(call: Call, effect: Effect) -> Pursuit<Call> {
    Pursuit {
        call,
        op: "kafkaconnect:UpdateConnector".into(),
        effect,
        guard: Guard::default(),
        sent: Some(Sent { operation: Some("arn:op1".into()), id: None }),
        begun: Timestamp::default(),
        ended: None,
    }
}

fn case(want: Option<Props>, seen: Option<Seen>) -> Case<Connector> {
    Case { want, seen, was: Some(was()), pursuit: None, mark: mark() }
}

#[track_caller]
fn check(want: Option<Props>, seen: Option<Seen>, expected: &str) {
    assert_eq!(summary(&diff::calls(&case(want, seen))), expected);
}

/// A wish with one key of the configuration changed.
#[expect(clippy::unnecessary_wraps, reason = "what `check` takes")]
fn key(key: &str, value: Option<&str>) -> Option<Props> {
    let mut props = want();
    match value {
        Some(value) => props.configuration.insert(key.into(), value.into()),
        None => props.configuration.remove(key),
    };
    Some(props)
}

#[test]
fn it_comes_and_goes() {
    check(Some(want()), None, "calls: kafkaconnect:CreateConnector none");
    check(Some(want()), Some(seen("CREATING")), "wait connector RUNNING (CREATING)");
    check(Some(want()), Some(seen("RUNNING")), "converged");
    check(None, Some(seen("RUNNING")), "calls: kafkaconnect:DeleteConnector gap");
    check(
        None,
        Some(seen("UPDATING")),
        "wait connector to settle (UPDATING), then: kafkaconnect:DeleteConnector gap",
    );
    check(None, Some(seen("DELETING")), "wait connector gone (DELETING)");
    check(None, None, "gone");
    check(
        Some(want()),
        Some(seen("DELETING")),
        "wait the old connector to be gone (DELETING), then: kafkaconnect:CreateConnector none",
    );
    let Next::Wait { condition: Condition { deadline, .. }, .. } =
        diff::calls(&case(Some(want()), Some(seen("CREATING"))))
    else {
        panic!()
    };
    assert_eq!(deadline.as_secs(), 35 * 60);
}

#[test]
fn without_offsets_of_its_own_deleting_it_means_a_new_snapshot() {
    let mut without = case(None, Some(seen("RUNNING")));
    without.was.as_mut().unwrap().props.offsets_topic = None;
    assert_eq!(summary(&diff::calls(&without)), "calls: kafkaconnect:DeleteConnector resnapshot");
}

#[test]
fn one_that_never_ran_holds_no_data() {
    let mut unborn = case(None, Some(seen("FAILED")));
    unborn.was = None;
    assert_eq!(summary(&diff::calls(&unborn)), "calls: kafkaconnect:DeleteConnector none");
    unborn.was = Some(was());
    assert_eq!(summary(&diff::calls(&unborn)), "calls: kafkaconnect:DeleteConnector gap");
}

#[test]
fn each_immutable_field_replaces() {
    let replaced = |edit: fn(&mut Props), what: &str| {
        let mut props = want();
        edit(&mut props);
        check(
            Some(props),
            Some(seen("RUNNING")),
            &format!("replace (restart): MSK Connect can't change {what}"),
        );
    };
    replaced(|p| p.description = Some("d".into()), "its description");
    replaced(|p| p.connect_version = "2.7.1".into(), "its Connect version");
    replaced(|p| p.bootstrap = "b-1.other.a1.c5.kafka.x:9098".into(), "its bootstrap servers");
    replaced(|p| p.bootstrap = Input::output("kafka.main.cluster", "b"), "its bootstrap servers");
    replaced(|p| p.authentication = Authentication::None, "its authentication");
    replaced(|p| p.encryption = Encryption::Plaintext, "its encryption");
    replaced(|p| p.subnets = Input::Known(vec!["subnet-1".into()]), "its subnets");
    replaced(|p| p.security_groups = vec!["sg-2".into()], "its security groups");
    replaced(
        |p| p.security_groups = vec![Input::output("connector.mysql.group", "group_id")],
        "its security groups",
    );
    replaced(|p| p.role_arn = "arn:other".into(), "its role");
    replaced(|p| p.log_group = None, "its log delivery");
}

#[test]
fn order_and_brokers_named_at_random_are_no_difference() {
    let mut props = want();
    props.bootstrap = SHUFFLED.into();
    props.configuration.insert(HISTORY.into(), SHUFFLED.into());
    props.subnets = Input::Known(vec!["subnet-2".into(), "subnet-1".into()]);
    check(Some(props.clone()), Some(seen("RUNNING")), "converged");

    // An update of something else sends the brokers that the connector has.
    props.configuration.insert("max.batch.size".into(), "4096".into());
    let Next::Calls(calls) = diff::calls(&case(Some(props.clone()), Some(seen("RUNNING")))) else {
        panic!()
    };
    let Call::UpdateConfiguration { configuration, .. } = &calls[0].call else { panic!() };
    assert_eq!(configuration[HISTORY], BOOTSTRAP.into());
    assert_eq!(calls[0].fields.len(), 1);

    // One that was deleted outside is made again with the brokers that were recorded.
    let Next::Calls(calls) = diff::calls(&case(Some(props), None)) else { panic!() };
    let Call::Create { props, .. } = &calls[0].call else { panic!() };
    assert_eq!(props.bootstrap, BOOTSTRAP.into());
}

#[test]
fn worker_settings_go_together_and_before_the_configuration() {
    let mut props = key("decimal.handling.mode", Some("string")).unwrap();
    props.capacity = Capacity::Provisioned { mcu: 2, workers: 1 };
    props.plugin.arn = Input::output("connector.mysql.plugin", "plugin_arn");
    props.tags.insert("Team".into(), "data".into());
    check(
        Some(props.clone()),
        Some(seen("RUNNING")),
        "calls: kafkaconnect:UpdateConnector restart, kafkaconnect:UpdateConnector shape, kafkaconnect:TagResource none",
    );
    let Next::Calls(calls) = diff::calls(&case(Some(props), Some(seen("RUNNING")))) else {
        panic!()
    };
    let Call::UpdateWorkers { capacity, plugin, worker, .. } = &calls[0].call else { panic!() };
    assert!(capacity.is_some() && plugin.is_some() && worker.is_none());
    let fields: Vec<_> = calls[0].fields.iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["capacity.mcu", "plugin"]);
    assert_eq!(calls[0].guard.version.as_deref(), Some("K1"));
    assert_eq!(calls[0].guard.operation.as_deref(), Some("arn:op0"));
}

#[test]
fn each_worker_setting_changes_in_place() {
    let restart = "calls: kafkaconnect:UpdateConnector restart";
    let edited = |edit: fn(&mut Props), expected: &str| {
        let mut props = want();
        edit(&mut props);
        check(Some(props), Some(seen("RUNNING")), expected);
    };
    edited(|p| p.capacity = Capacity::Provisioned { mcu: 1, workers: 2 }, restart);
    edited(|p| p.plugin.revision = Input::Known(2), restart);
    edited(|p| p.worker = None, restart);
    edited(|p| p.worker.as_mut().unwrap().arn = "arn:other".into(), restart);
    edited(
        |p| {
            p.worker.as_mut().unwrap().arn = "arn:other".into();
            p.offsets_topic = Some("orders-cdc-mysql.offsets.2".into());
        },
        "replace (resnapshot): its place in the binary log is to be kept in another topic",
    );
}

#[test]
fn a_key_changes_in_place_with_its_own_verdict() {
    let running = || Some(seen("RUNNING"));
    let update = |verdict: &str| format!("calls: kafkaconnect:UpdateConnector {verdict}");
    check(key("topic.prefix", Some("other")), running(), &update("resnapshot"));
    check(key("table.include.list", Some("shop.orders,shop.lines")), running(), &update("gap"));
    check(key("snapshot.mode", Some("initial")), running(), &update("restart"));
    check(key("tombstones.on.delete", Some("false")), running(), &update("shape"));
    check(key("table.include.list", None), running(), &update("gap"));
    let mut pending = want();
    let host = Input::output("database.orders.cluster", "endpoint");
    pending.configuration.insert("database.hostname".into(), host);
    check(Some(pending), running(), &update("resnapshot"));
}

#[test]
fn a_secret_that_somebody_put_there_is_removed_and_not_shown() {
    let mut leaked = seen("RUNNING");
    leaked.configuration.insert(
        "database.password".into(),
        observe::without_secret("database.password", "hunter2"),
    );
    let next = diff::calls(&case(Some(want()), Some(leaked)));
    assert_eq!(summary(&next), "calls: kafkaconnect:UpdateConnector restart");
    assert!(!format!("{next:?}").contains("hunter2"));
    assert_eq!(
        observe::without_secret("database.password", "${secretsmanager:a:b}"),
        "${secretsmanager:a:b}"
    );
}

#[test]
fn only_the_operation_tells_whether_an_update_took() {
    let edited = key("max.batch.size", Some("4096")).unwrap();
    let call = Call::UpdateConfiguration {
        arn: "arn:connector".into(),
        configuration: edited.configuration.clone(),
    };
    let after = |state: &str, operation: &str| {
        let mut seen = seen(state);
        seen.operation = Some(Operation {
            state: operation.into(),
            says: Some("X: health check".into()),
            step: Some("VALIDATE_UPDATE".into()),
        });
        seen.log_says = Some(said("ERROR; caused by: java.net.Y"));
        let mut case = case(Some(edited.clone()), Some(seen));
        case.pursuit = Some(pursuit(call.clone(), Effect::Update));
        summary(&diff::calls(&case))
    };
    assert_eq!(
        after("UPDATING", "UPDATE_IN_PROGRESS"),
        "wait connector RUNNING (UPDATING, operation UPDATE_IN_PROGRESS)"
    );
    assert_eq!(after("RUNNING", "PENDING"), "wait connector RUNNING (RUNNING, operation PENDING)");
    assert_eq!(
        after("RUNNING", "ROLLBACK_COMPLETE"),
        "failed: UPDATE_CONNECTOR_CONFIGURATION was rolled back, the connector has its old settings (ROLLBACK_COMPLETE at VALIDATE_UPDATE): X: health check; the workers' log says: ERROR; caused by: java.net.Y"
    );
    assert!(
        after("RUNNING", "UPDATE_FAILED")
            .starts_with("failed: UPDATE_CONNECTOR_CONFIGURATION failed (UPDATE_FAILED")
    );
    assert!(after("RUNNING", "ROLLBACK_FAILED").starts_with("failed: "));
    // Complete, and the description still shows the past: asked for again, which the engine takes as "not visible yet".
    assert_eq!(after("RUNNING", "UPDATE_COMPLETE"), "calls: kafkaconnect:UpdateConnector restart");
}

fn said(log: &str) -> Said {
    Said { log: log.into(), cause: None, fix: Vec::new() }
}

#[test]
fn a_failed_connector_tells_why_and_is_then_made_again() {
    let mut failed = seen("FAILED");
    failed.state_says = Some("UnknownError.Unknown: The last operation failed.".into());
    failed.log_says = Some(said("[c] Stopping due to error; caused by: java.net.Z"));
    let mut case = case(Some(want()), Some(failed));
    case.was = None;
    let cause = "the connector is FAILED: UnknownError.Unknown: The last operation failed.; the workers' log says: [c] Stopping due to error; caused by: java.net.Z";
    assert_eq!(summary(&diff::calls(&case)), format!("replace (none): {cause}"));
    let create = Call::Create { props: Box::new(want()), tags: Tags::new() };
    case.pursuit = Some(pursuit(create, Effect::Create));
    assert_eq!(summary(&diff::calls(&case)), format!("failed: {cause}"));
}

#[test]
fn a_paused_connector_runs_again_before_it_is_changed() {
    check(Some(want()), Some(seen("PAUSED")), "calls: kafkaconnect:ResumeConnector none");
    check(
        key("max.batch.size", Some("1")),
        Some(seen("PAUSED")),
        "calls: kafkaconnect:ResumeConnector none, kafkaconnect:UpdateConnector restart",
    );
}
