//! A pipeline that prepares its database, on the embedded AWS in virtual time: made, found unchanged, mended, changed, killed, and gone.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "a test shows what it counted")]

mod common;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use common::mortal::{Points, Store, Verb, run};
use common::outside::{canonical, difference};
use common::{BY_HAND, Cloud, Process, applied, assert_nothing, inventory, operations, replaced};
use msk_pipeline_core::plan::Plan;
use msk_pipeline_core::run::{ApplyOptions, AutoApprove, Cancel};
use msk_pipeline_core::state::MemoryDisk;
use msk_pipeline_emulator::Settings;
use msk_pipeline_emulator::fault::{Effect, Rule, When};
use msk_pipeline_source::{Change, Look, Place, TableName};

/// The recommended pipeline, whose destroy leaves no snapshot.
static DIRECT: LazyLock<String> = LazyLock::new(|| {
    let example = include_str!("../../examples/mysql-cdc.toml");
    let changes = [("on_destroy = \"snapshot\"", "on_destroy = \"delete\"")];
    replaced(example, &changes)
});

/// What RDS calls its cluster.
const CLUSTER: &str = "orders-orders";
const SECRET: &str = "orders/orders/capture";

fn at() -> Place {
    Place::mysql(CLUSTER)
}

/// The operations inside the database.
fn inside(plan: &Plan) -> Vec<String> {
    let all = operations(plan).into_iter();
    all.filter(|operation| operation.contains(" database:")).collect()
}

async fn complete(process: &Process, toml: &str) {
    let summary = process.apply(toml).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
}

async fn others_do(process: &Process, change: Change) {
    process.session.source().change(&at(), &change).await.unwrap();
}

fn name() -> String {
    "debezium".into()
}

fn set(privilege: &str) -> BTreeSet<String> {
    [privilege.to_owned()].into()
}

#[tokio::test(start_paused = true)]
async fn it_is_made_with_the_database_and_goes_with_it() {
    let cloud = Cloud::new(Settings::default());
    let process = Process::simple(&cloud).of(&DIRECT);
    let before = inventory(&cloud, &process);
    let plan = process.plan(&DIRECT).await;
    assert_eq!(plan.refusals, []);
    let mut planned = inside(&plan);
    assert_eq!(planned.last().unwrap(), "connector.orders.snapshot database:InsertRow");
    planned.sort_unstable();
    assert_eq!(
        planned,
        [
            "connector.orders.snapshot database:InsertRow",
            "database.orders.binlog-retention database:SetRetention",
            "database.orders.capture-user database:CreateUser",
            "database.orders.capture-user database:Grant",
            "database.orders.capture-user database:Grant",
            "database.orders.capture-user database:Grant",
            "database.orders.capture-user database:Grant",
            "database.orders.capture-user database:Grant",
            "database.orders.heartbeat-table database:CreateTable",
            "database.orders.schema database:CreateSchema",
            "database.orders.signal-table database:CreateTable",
        ]
    );
    complete(&process, &DIRECT).await;
    assert_nothing(&process.plan(&DIRECT).await, "a second plan");
    let Look::Found(user) = process.session.source().user(&at(), "debezium", SECRET).await.unwrap()
    else {
        panic!("no user");
    };
    assert!(user.logs_in);
    let privileges: Vec<_> = user
        .privileges
        .iter()
        .map(|(on, list)| format!("{on}: {}", Vec::from_iter(list.clone()).join(", ")))
        .collect();
    assert_eq!(
        privileges,
        [
            "*.*: REPLICATION CLIENT, REPLICATION SLAVE, SHOW DATABASES",
            "cdc.*: SELECT",
            "cdc.heartbeat: INSERT, UPDATE",
            "cdc.signal: DELETE, INSERT",
            "shop.*: SELECT",
        ]
    );
    let summary = process.destroy(&DIRECT).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
    assert_eq!(inventory(&cloud, &process), before);
    assert!(process.engine.state().await.unwrap().records.is_empty());
}

/// What others did, and the statements that take it back.
async fn is_mended(change: Change, expected: &[&str]) {
    let cloud = applied(&DIRECT);
    let process = Process::simple(&cloud).of(&DIRECT);
    others_do(&process, change.clone()).await;
    assert_eq!(inside(&process.plan(&DIRECT).await), expected, "{change:?}");
    complete(&process, &DIRECT).await;
    assert_nothing(&process.plan(&DIRECT).await, change.op());
}

#[tokio::test(start_paused = true)]
async fn what_others_did_is_seen_and_mended() {
    let user = "database.orders.capture-user database:";
    let of = |ops: &[&str]| ops.iter().map(|op| format!("{user}{op}")).collect::<Vec<_>>();
    let check = async |change, ops: &[&str]| {
        let expected = of(ops);
        is_mended(change, &expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
    };
    check(
        Change::DropUser { name: name() },
        &["CreateUser", "Grant", "Grant", "Grant", "Grant", "Grant"],
    )
    .await;
    let (on, privileges) = ("shop.*".to_owned(), set("SELECT"));
    check(Change::Revoke { name: name(), on, privileges }, &["Grant"]).await;
    let (on, privileges) = ("*.*".to_owned(), set("SUPER"));
    check(Change::Grant { name: name(), on, privileges }, &["Revoke"]).await;
    is_mended(
        Change::SetRetention { hours: 24 },
        &["database.orders.binlog-retention database:SetRetention"],
    )
    .await;
    let table = TableName::parse("cdc.heartbeat").unwrap();
    is_mended(
        Change::DropTable { table },
        &["database.orders.heartbeat-table database:CreateTable"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_with_another_value_sets_the_password_anew() {
    let cloud = applied(&DIRECT);
    let process = Process::simple(&cloud).of(&DIRECT);
    let value = r#"{"username":"debezium","password":"another-password"}"#;
    let put = process.session.secretsmanager.put_secret_value().secret_id(SECRET);
    put.secret_string(value).send().await.unwrap();
    let plan = process.plan(&DIRECT).await;
    assert_eq!(inside(&plan), ["database.orders.capture-user database:SetPassword"]);
    assert!(!serde_json::to_string(&plan).unwrap().contains("another-password"));
    complete(&process, &DIRECT).await;
    assert_nothing(&process.plan(&DIRECT).await, "the password is set");
    let files = cloud.disk.files();
    assert!(files.iter().all(|(_, f)| !String::from_utf8_lossy(f).contains("another-password")));
}

#[tokio::test(start_paused = true)]
async fn an_added_table_is_granted_captured_and_then_asked_for_once() {
    let cloud = applied(&DIRECT);
    let process = Process::simple(&cloud).of(&DIRECT);
    let added = replaced(&DIRECT, &[("\"shop.customers\"]", "\"shop.customers\", \"hr.people\"]")]);
    let plan = process.plan(&added).await;
    assert_eq!(
        inside(&plan),
        [
            "database.orders.capture-user database:Grant",
            "connector.orders.snapshot database:InsertRow",
        ]
    );
    let place = |address: &str| plan.steps.iter().position(|s| s.address.as_str() == address);
    assert!(place("connector.orders.connector") < place("connector.orders.snapshot"));
    let signal = plan.steps.iter().find(|s| s.address.as_str() == "connector.orders.snapshot");
    let call = serde_json::to_string(&signal.unwrap().calls).unwrap();
    assert!(call.contains("hr.people") && !call.contains("shop.orders"), "{call}");
    complete(&process, &added).await;
    assert_nothing(&process.plan(&added).await, "the table is added");
    // Taken away and added again, its rows are asked for again: its changes in between were missed.
    let options = ApplyOptions { consent_to_all: true, ..ApplyOptions::default() };
    let (graph, never) = (process.graph(&DIRECT), Cancel::never());
    let summary = process.engine.apply(&graph, options, &AutoApprove, &never).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
    let plan = process.plan(&added).await;
    assert!(inside(&plan).iter().any(|op| op.ends_with("snapshot database:InsertRow")));
}

#[tokio::test(start_paused = true)]
async fn a_user_of_somebody_else_is_not_touched() {
    let cloud = applied(&DIRECT);
    let process = Process::simple(&cloud).of(&DIRECT);
    others_do(&process, Change::DropUser { name: name() }).await;
    let attribute = Default::default();
    others_do(&process, Change::CreateUser { name: name(), secret: SECRET.into(), attribute })
        .await;
    let plan = process.plan(&DIRECT).await;
    let refused: Vec<_> = plan.refusals.iter().map(|r| r.address.as_str()).collect();
    assert_eq!(refused, ["database.orders.capture-user"]);
}

/// Who ran the printed statements before has what `direct` would make, and it carries no mark.
#[tokio::test(start_paused = true)]
async fn what_was_made_by_hand_is_taken_over_by_name() {
    let sql = replaced(&DIRECT, &[BY_HAND]);
    let cloud = applied(&sql);
    let process = Process::simple(&cloud).of(&DIRECT);
    let attribute = Default::default();
    others_do(&process, Change::CreateUser { name: name(), secret: SECRET.into(), attribute })
        .await;
    others_do(&process, Change::CreateSchema { name: "cdc".into() }).await;
    let table = TableName::parse("cdc.signal").unwrap();
    let (columns, comment) = ("id INT".into(), String::new());
    others_do(&process, Change::CreateTable { table, columns, comment, whole_rows: false }).await;
    let refused = process.plan(&DIRECT).await.refusals;
    let refused: BTreeSet<_> = refused.iter().map(|r| r.address.as_str()).collect();
    let (user, table) = ("database.orders.capture-user", "database.orders.signal-table");
    assert_eq!(refused, [user, table].into());
    for address in [table, user] {
        let taken = process.adopt(&DIRECT, address, None, None).await;
        assert!(taken.as_ref().is_ok_and(|s| s.is_complete()), "{address}: {taken:?}");
    }
    complete(&process, &DIRECT).await;
    assert_nothing(&process.plan(&DIRECT).await, "taken over");
}

#[tokio::test(start_paused = true)]
async fn a_table_of_others_keeps_the_schema() {
    let cloud = applied(&DIRECT);
    let process = Process::simple(&cloud).of(&DIRECT);
    let table = TableName::parse("cdc.theirs").unwrap();
    let theirs = Change::CreateTable {
        table: table.clone(),
        columns: "id INT".into(),
        comment: String::new(),
        whole_rows: false,
    };
    others_do(&process, theirs).await;
    let without = replaced(&DIRECT, &[BY_HAND]);
    let plan = process.plan(&without).await;
    let mut planned = inside(&plan);
    planned.sort_unstable();
    assert_eq!(
        planned,
        [
            "database.orders.capture-user database:DropUser",
            "database.orders.heartbeat-table database:DropTable",
            "database.orders.signal-table database:DropTable",
        ]
    );
    complete(&process, &without).await;
    let source = process.session.source();
    assert!(matches!(source.table(&at(), &table).await.unwrap(), Look::Found(_)));
    let signal = TableName::parse("cdc.signal").unwrap();
    assert_eq!(source.table(&at(), &signal).await.unwrap(), Look::Absent);
}

/// Twelve of the points, evenly spread; every point with `MSKP_KILL_POINTS=all`.
fn killed(title: &str, base: &Cloud, verb: Verb, toml: &str) {
    let mut undisturbed = base.fork();
    let points = Points::copying();
    let summary = run(&mut undisturbed, Store::File, &points, verb, toml).unwrap().unwrap();
    assert!(summary.is_complete(), "{summary:?}");
    let expected = canonical(&undisturbed, Store::File);
    let left = points.left();
    let mut problems = Vec::new();
    let all = std::env::var("MSKP_KILL_POINTS").is_ok_and(|v| v == "all");
    let stride = if all { 1 } else { left.len().div_ceil(12) };
    let tried: Vec<_> = left.iter().enumerate().step_by(stride).collect();
    for &(n, point) in &tried {
        let mut cloud = point.cloud.fork();
        let again = run(&mut cloud, Store::File, &Points::kill_at(0), verb, toml);
        match again.expect("nobody kills it") {
            Ok(summary) if summary.is_complete() => {
                let differs = difference(&canonical(&cloud, Store::File), &expected);
                problems.extend(differs.map(|d| format!("{title} {n} ({}): {d}", point.what)));
            }
            other => problems.push(format!("{title} {n} ({}): {other:?}", point.what)),
        }
    }
    println!("{title}: killed at {} of {} points", tried.len(), left.len());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(left.len() > 20, "{title}: {} points", left.len());
}

/// From nothing: a successor may find the cluster and not yet its writer.
#[test]
fn creating_it_all_survives_kills() {
    killed("create", &Cloud::new(Settings::default()), Verb::Apply, &DIRECT);
}

/// On a pipeline that is otherwise there, so that every point is one of these kinds or of what depends on them.
#[test]
fn preparing_survives_every_kill() {
    let sql = replaced(&DIRECT, &[BY_HAND]);
    killed("prepare", &applied(&sql), Verb::Apply, &DIRECT);
}

#[test]
fn taking_it_back_survives_every_kill() {
    let sql = replaced(&DIRECT, &[BY_HAND]);
    killed("take back", &applied(&DIRECT), Verb::Apply, &sql);
}

#[test]
fn adding_a_table_survives_every_kill() {
    let added = replaced(&DIRECT, &[("\"shop.customers\"]", "\"shop.customers\", \"hr.people\"]")]);
    killed("add a table", &applied(&DIRECT), Verb::Apply, &added);
}

#[tokio::test(start_paused = true)]
async fn an_initial_snapshot_may_lock_and_needs_no_signal() {
    let cloud = Cloud::new(Settings::default());
    let initial = replaced(
        &DIRECT,
        &[("source = \"orders\"", "source = \"orders\"\nsnapshot = \"initial\"")],
    );
    let plan = Process::simple(&cloud).of(&initial).plan(&initial).await;
    assert!(!inside(&plan).iter().any(|op| op.starts_with("connector.orders.snapshot")));
    let granted = serde_json::to_string(&plan).unwrap();
    assert!(granted.contains("\"RELOAD\"") && granted.contains("\"LOCK TABLES\""));
    let plan = Process::simple(&cloud).of(&DIRECT).plan(&DIRECT).await;
    let granted = serde_json::to_string(&plan).unwrap();
    assert!(!granted.contains("\"RELOAD\"") && !granted.contains("\"LOCK TABLES\""));
}

/// A database of somebody else, which has longer retention than is asked for.
#[tokio::test(start_paused = true)]
async fn of_a_database_that_exists_only_what_is_ours_goes() {
    const GUEST: &str = r#"
[pipeline]
name   = "guest"
region = "us-east-1"
[network]
vpc = { tags = { Name = "default-vpc" } }
[database.orders]
existing = "orders-orders"
prepare  = "direct"
capture  = { user = "guest", signal_table = "guest.signal", binlog_retention = "3d" }
"#;
    let cloud = Cloud { disk: MemoryDisk::default(), ..applied(&DIRECT) };
    let process = Process::simple(&cloud).of(GUEST);
    let before = inventory(&cloud, &process);
    let plan = process.plan(GUEST).await;
    assert!(!inside(&plan).iter().any(|op| op.ends_with("SetRetention")), "{:?}", inside(&plan));
    complete(&process, GUEST).await;
    assert_nothing(&process.plan(GUEST).await, "a second plan");
    assert!(inventory(&cloud, &process).contains("database user orders-orders/guest"));
    let summary = process.destroy(GUEST).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
    assert_eq!(inventory(&cloud, &process), before);
    let hours = process.session.source().retention(&at()).await.unwrap();
    assert_eq!(hours, Look::Found(Some(168)));
}

/// A run that meets a database which doesn't answer says so, and sends nothing.
#[tokio::test(start_paused = true)]
async fn a_database_that_does_not_answer_is_refused() {
    let cloud = applied(&DIRECT);
    let rule = Rule::new(
        "database",
        "*",
        When::Always,
        Effect::Error {
            code: "Unreachable".into(),
            message: "no answer".into(),
            status: Some(400),
        },
    );
    cloud.world.with(|world| world.faults.rules.push(rule));
    let process = Process::simple(&cloud).of(&DIRECT);
    let plan = process.plan(&DIRECT).await;
    let refused: Vec<_> = plan.refusals.iter().map(|r| r.address.as_str()).collect();
    assert!(refused.contains(&"database.orders.capture-user"), "{refused:?}");
    let told = &plan.refusals[0];
    assert!(told.because.contains("can't be reached") && told.help.contains("sql"), "{told:?}");
    // What goes with its cluster needs no answer.
    let summary = process.destroy(&DIRECT).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
}

// ---- PostgreSQL -------------------------------------------------------------------------------------------------------------------

/// The example of PostgreSQL, whose destroy leaves no snapshot.
static POSTGRES: LazyLock<String> = LazyLock::new(|| {
    let example = include_str!("../../examples/postgres-cdc.toml");
    replaced(example, &[("on_destroy = \"snapshot\"", "on_destroy = \"delete\"")])
});

/// The same, prepared by hand.
static POSTGRES_BY_HAND: LazyLock<String> =
    LazyLock::new(|| replaced(&POSTGRES, &[("\"direct\"", "\"sql\"")]));

fn shop() -> Place {
    Place::postgres(CLUSTER, "shop")
}

fn tables(names: &[&str]) -> BTreeSet<TableName> {
    names.iter().filter_map(|name| TableName::parse(name)).collect()
}

const SLOT: &str = "orders_orders_1";
const PUBLICATION: &str = "orders_orders";

#[tokio::test(start_paused = true)]
async fn postgresql_is_prepared_and_given_back() {
    let cloud = Cloud::new(Settings::default());
    let process = Process::simple(&cloud).of(&POSTGRES);
    let before = inventory(&cloud, &process);
    let plan = process.plan(&POSTGRES).await;
    assert_eq!(plan.refusals, []);
    let planned = inside(&plan);
    let place = |operation: &str| planned.iter().position(|planned| planned == operation);
    let (publication, slot) = (
        place("connector.orders.publication database:CreatePublication"),
        place("connector.orders.slot database:CreateSlot"),
    );
    assert!(publication.is_some() && publication < slot, "{planned:?}");
    assert_eq!(planned.last().unwrap(), "connector.orders.snapshot database:InsertRow");
    let steps: Vec<_> = plan.steps.iter().map(|step| step.address.as_str()).collect();
    let at = |address: &str| steps.iter().position(|step| *step == address);
    assert!(at("connector.orders.slot") < at("connector.orders.connector"), "{steps:?}");
    assert!(!planned.iter().any(|operation| operation.ends_with("SetRetention")));
    complete(&process, &POSTGRES).await;
    assert_nothing(&process.plan(&POSTGRES).await, "a second plan");
    let source = process.session.source();
    let Look::Found(user) = source.user(&shop(), "debezium", SECRET).await.unwrap() else {
        panic!("no user");
    };
    assert!(user.logs_in);
    let privileges: Vec<_> = user
        .privileges
        .iter()
        .map(|(on, list)| format!("{on}: {}", Vec::from_iter(list.clone()).join(", ")))
        .collect();
    assert_eq!(
        privileges,
        [
            "*: rds_replication",
            "cdc.canary: SELECT",
            "cdc.heartbeat: INSERT, SELECT, UPDATE",
            "cdc.signal: DELETE, INSERT, SELECT",
            "database shop: CONNECT",
            "sales.customers: SELECT",
            "sales.line_items: SELECT",
            "sales.orders: SELECT",
            "schema cdc: USAGE",
            "schema sales: USAGE",
        ]
    );
    let Look::Found(publication) = source.publication(&shop(), PUBLICATION).await.unwrap() else {
        panic!("no publication");
    };
    let own = ["cdc.canary", "cdc.heartbeat", "cdc.signal"];
    let captured = ["sales.customers", "sales.line_items", "sales.orders"];
    assert_eq!(publication.tables, tables(&[own, captured].concat()));
    let Look::Found(slot) = source.slot(&shop(), SLOT).await.unwrap() else { panic!("no slot") };
    assert!(slot.active && slot.plugin == "pgoutput" && slot.database == "shop", "{slot:?}");
    let summary = process.destroy(&POSTGRES).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
    assert_eq!(inventory(&cloud, &process), before);
    assert!(process.engine.state().await.unwrap().records.is_empty());
}

/// What others did to the example of PostgreSQL, and the calls that take it back, with what is missed.
async fn is_mended_in_postgresql(change: Change, expected: &[&str]) {
    let cloud = applied(&POSTGRES);
    let process = Process::simple(&cloud).of(&POSTGRES);
    process.session.source().change(&shop(), &change).await.unwrap();
    let plan = process.plan(&POSTGRES).await;
    let calls = plan.steps.iter().flat_map(|step| step.calls.iter().map(move |c| (step, c)));
    let told: Vec<_> = calls
        .map(|(step, call)| format!("{} {} {}", step.address, call.op, call.data.verdict))
        .collect();
    assert_eq!(told, expected, "{change:?}");
    complete(&process, &POSTGRES).await;
    assert_nothing(&process.plan(&POSTGRES).await, change.op());
}

#[tokio::test(start_paused = true)]
async fn what_others_did_to_postgresql_is_seen_and_mended() {
    let publication = "connector.orders.publication database:";
    is_mended_in_postgresql(
        Change::RemoveTables { name: PUBLICATION.into(), tables: tables(&["sales.orders"]) },
        &[&format!("{publication}AddTables gap")],
    )
    .await;
    is_mended_in_postgresql(
        Change::AddTables { name: PUBLICATION.into(), tables: tables(&["hr.people"]) },
        &[&format!("{publication}RemoveTables none")],
    )
    .await;
    is_mended_in_postgresql(
        Change::DropPublication { name: PUBLICATION.into() },
        &[&format!("{publication}CreatePublication gap")],
    )
    .await;
    let (on, privileges) = ("sales.orders".to_owned(), set("SELECT"));
    is_mended_in_postgresql(
        Change::Revoke { name: name(), on, privileges },
        &["database.orders.capture-user database:Grant none"],
    )
    .await;
    let (on, privileges) = ("*".to_owned(), set("rds_superuser"));
    is_mended_in_postgresql(
        Change::Grant { name: name(), on, privileges },
        &["database.orders.capture-user database:Revoke none"],
    )
    .await;
}

/// A slot that is read from can't be dropped; of one that was lost all that was changed since is missed.
#[tokio::test(start_paused = true)]
async fn a_lost_slot_is_a_gap_and_waits_for_its_reader() {
    let cloud = applied(&POSTGRES);
    let process = Process::simple(&cloud).of(&POSTGRES);
    let source = process.session.source();
    let drop = Change::DropSlot { name: SLOT.into() };
    let error = source.change(&shop(), &drop).await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("55006"));
    cloud.world.with(|world| world.faults.set("database.slot-lost", vec![SLOT]));
    let plan = process.plan(&POSTGRES).await;
    let step = plan.steps.iter().find(|s| s.address.as_str() == "connector.orders.slot").unwrap();
    let calls: Vec<_> =
        step.calls.iter().map(|call| format!("{} {}", call.op, call.data.verdict)).collect();
    assert_eq!(calls, ["database:DropSlot gap", "database:CreateSlot gap"]);
    assert!(step.calls[0].data.what.contains("wal_status = lost"), "{step:?}");
}

#[tokio::test(start_paused = true)]
async fn an_added_table_is_published_granted_captured_and_then_asked_for() {
    let cloud = applied(&POSTGRES);
    let process = Process::simple(&cloud).of(&POSTGRES);
    let changes = [("\"sales.customers\"]", "\"sales.customers\", \"hr.people\"]")];
    let added = replaced(&POSTGRES, &changes);
    let plan = process.plan(&added).await;
    let mut planned = inside(&plan);
    assert_eq!(planned.pop().unwrap(), "connector.orders.snapshot database:InsertRow");
    planned.sort_unstable();
    assert_eq!(
        planned,
        [
            "connector.orders.publication database:AddTables",
            "database.orders.capture-user database:Grant",
            "database.orders.capture-user database:Grant",
        ]
    );
    complete(&process, &added).await;
    assert_nothing(&process.plan(&added).await, "the table is added");
    let options = ApplyOptions { consent_to_all: true, ..ApplyOptions::default() };
    let (graph, never) = (process.graph(&POSTGRES), Cancel::never());
    let summary = process.engine.apply(&graph, options, &AutoApprove, &never).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
    assert_nothing(&process.plan(&POSTGRES).await, "the table is taken away");
}

/// Another slot is made, the connector moves to it, and the old one goes.
#[tokio::test(start_paused = true)]
async fn a_slot_with_another_name_is_a_gap() {
    let cloud = applied(&POSTGRES);
    let process = Process::simple(&cloud).of(&POSTGRES);
    let renamed =
        replaced(&POSTGRES, &[("prefix = \"orders\"", "slot = \"another\"\nprefix = \"orders\"")]);
    let plan = process.plan(&renamed).await;
    let connector = plan.steps.iter().find(|s| s.address.as_str() == "connector.orders.connector");
    let told = serde_json::to_string(&connector.unwrap().calls).unwrap();
    assert!(told.contains("\"gap\"") && told.contains("the new slot begins now"), "{told}");
    complete(&process, &renamed).await;
    assert_nothing(&process.plan(&renamed).await, "the slot has another name");
    let source = process.session.source();
    assert!(matches!(source.slot(&shop(), "another").await.unwrap(), Look::Found(_)));
    assert_eq!(source.slot(&shop(), SLOT).await.unwrap(), Look::Absent);
}

#[test]
fn preparing_postgresql_survives_every_kill() {
    killed("prepare PostgreSQL", &applied(&POSTGRES_BY_HAND), Verb::Apply, &POSTGRES);
}

#[test]
fn giving_postgresql_back_survives_every_kill() {
    killed("give PostgreSQL back", &applied(&POSTGRES), Verb::Destroy, &POSTGRES);
}
