//! The whole pipeline on the embedded AWS in virtual time: the examples from nothing to nothing, edits in place, changes by others,
//! the critical path, and secrets.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "a test shows what it counted")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::spellings;
use common::{
    BY_HAND, Cloud, PLUGINS, Process, applied, assert_nothing, inventory, operations, output,
    replaced,
};
use msk_pipeline_aws::Session;
use msk_pipeline_aws::components::connector::snapshot_notices;
use msk_pipeline_aws::evidence::evidence;
use msk_pipeline_core::kind::{
    self, CallError, Change, Condition, ErasedCase, ErasedKind, ErasedNext, ErasedTarget, Guard,
    MarkSeen, Sent, Succession, Verdict,
};
use msk_pipeline_core::plan::{Found, Looked, Plan, Step, Verb, look};
use msk_pipeline_core::run::{RunError, RunEvent};
use msk_pipeline_core::state::MemoryDisk;
use msk_pipeline_core::{Clock, RealClock};
use msk_pipeline_emulator::Settings;
use msk_pipeline_emulator::shell::{Call, InProcess, Moment, Next};
use msk_pipeline_verify::cause::diagnose;
use serde_json::{Value, json};

const POSTGRES_CDC: &str = include_str!("../../examples/postgres-cdc.toml");
const MYSQL_CDC: &str = include_str!("../../examples/mysql-cdc.toml");
const MINIMAL: &str = include_str!("../../examples/minimal.toml");
const SEED_PARITY: &str = include_str!("../../examples/seed-parity.toml");

async fn there_and_back(toml: &str, snapshots: usize) {
    let cloud = Cloud::new(Settings::default());
    let process = Process::simple(&cloud).of(toml);
    let before = inventory(&cloud, &process);
    let summary = process.apply(toml).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
    for _ in 0..2 {
        assert_nothing(&process.plan(toml).await, "after apply");
    }
    let summary = process.destroy(toml).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
    assert!(process.engine.state().await.unwrap().records.is_empty());
    let after = inventory(&cloud, &process);
    assert!(before.is_subset(&after), "{:?}", before.difference(&after).collect::<Vec<_>>());
    let left: Vec<&String> = after.difference(&before).collect();
    assert_eq!(left.len(), snapshots, "{left:?}");
    // What is left was told beforehand, by name.
    let events = serde_json::to_string(&*process.events.0.lock().unwrap()).unwrap();
    for row in left {
        assert!(row.starts_with("rds ") && row.contains("snapshot"), "{row}");
        let name = row.rsplit(' ').next().unwrap();
        assert!(events.contains(name), "{name} was not announced");
    }
}

#[tokio::test(start_paused = true)]
async fn mysql_cdc_goes_there_and_back() {
    there_and_back(MYSQL_CDC, 1).await;
}

#[tokio::test(start_paused = true)]
async fn minimal_goes_there_and_back() {
    there_and_back(MINIMAL, 1).await;
}

#[tokio::test(start_paused = true)]
async fn postgres_cdc_goes_there_and_back() {
    there_and_back(POSTGRES_CDC, 1).await;
}

/// Whoever can't run it where the database can be reached runs the printed statements.
#[tokio::test(start_paused = true)]
async fn postgres_cdc_goes_there_and_back_prepared_by_hand() {
    there_and_back(&replaced(POSTGRES_CDC, &[("\"direct\"", "\"sql\"")]), 1).await;
}

#[tokio::test(start_paused = true)]
async fn seed_parity_goes_there_and_back() {
    there_and_back(SEED_PARITY, 0).await;
}

/// What exists in `after` and not in `before`; what AWS draws at random is left out.
fn new_rows(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Vec<String> {
    let known = |row: &String| {
        let cut = ["sg-", "rds!"].iter().find_map(|id| Some(row.find(id)? + id.len()));
        row[..cut.unwrap_or(row.len())].to_owned()
    };
    after.difference(before).map(known).collect()
}

/// What a database that is kept needs is kept with it; who is destroyed is gone from its rules; the next apply takes it back, and
/// with another state it is somebody else's.
#[tokio::test(start_paused = true)]
async fn a_kept_database_keeps_what_it_needs() {
    let empty = Cloud::new(Settings::default());
    let before = inventory(&empty, &Process::simple(&empty));
    let toml = replaced(&SQL_CDC, &[("on_destroy = \"snapshot\"", "on_destroy = \"keep\"")]);
    let cloud = SQL_APPLIED.fork();
    let process = Process::simple(&cloud).of(&toml);
    let plan = process.engine.plan(&process.graph(&toml), Verb::Destroy, &[]).await.unwrap();
    let touched: Vec<_> =
        operations(&plan).into_iter().filter(|op| op.starts_with("database.")).collect();
    assert_eq!(touched, Vec::<String>::new());
    let all = plan.steps.iter().filter(|s| s.address.as_str().starts_with("database."));
    assert!(all.clone().all(|s| s.keeps), "{:#?}", all.collect::<Vec<_>>());
    let group = output(&process, "database.orders.group", "group_id").await;
    let summary = process.destroy(&toml).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
    assert!(process.engine.state().await.unwrap().records.is_empty());
    let rows = new_rows(&before, &inventory(&cloud, &process));
    assert_eq!(
        rows,
        [
            "ec2 security-group sg-",
            "rds db-cluster orders-orders",
            "rds db-cluster-parameter-group orders-orders-cluster-mysql8-0",
            "rds db-instance orders-orders-reader-a",
            "rds db-instance orders-orders-writer",
            "rds db-parameter-group orders-orders-instance-mysql8-0",
            "rds db-subnet-group orders-orders",
            "secretsmanager secret orders/orders/capture",
            "secretsmanager secret rds!",
        ]
    );
    // Nobody who is gone is named in the group's rules.
    let filter = aws_sdk_ec2::types::Filter::builder().name("group-id").values(group).build();
    let rules = process.session.ec2.describe_security_group_rules().filters(filter);
    let rules = rules.send().await.unwrap();
    let named = rules.security_group_rules().iter().filter(|r| r.referenced_group_info().is_some());
    assert_eq!(named.count(), 0);

    // A state that knows nothing of it.
    let other = Cloud { disk: MemoryDisk::default(), ..cloud.fork() };
    let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(other.wall));
    let stranger = Process::new(&other, other.store(), clock, 8).of(&toml);
    let plan = stranger.plan(&toml).await;
    let refused: Vec<_> = plan.refusals.iter().map(|r| r.address.as_str()).collect();
    assert!(refused.contains(&"database.orders.cluster"), "{refused:?}");
    assert!(plan.refusals.iter().all(|r| r.help.contains("existing")), "{:?}", plan.refusals);

    // The same state takes it back.
    let plan = process.plan(&toml).await;
    assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
    let touched: Vec<_> =
        operations(&plan).into_iter().filter(|op| op.starts_with("database.")).collect();
    assert_eq!(touched, ["database.orders.rules ec2:AuthorizeSecurityGroupIngress"]);
    let summary = process.apply(&toml).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
    assert_nothing(&process.plan(&toml).await, "after it was taken back");
}

/// An instance that somebody else put into the database is not deleted with it, and the refusal comes before anything else is.
#[tokio::test(start_paused = true)]
async fn somebody_elses_instance_stops_a_destroy() {
    let process = Process::simple(&APPLIED.fork()).of(MYSQL_CDC);
    process
        .session
        .rds
        .create_db_instance()
        .db_instance_identifier("analytics")
        .db_cluster_identifier("orders-orders")
        .db_instance_class("db.r7g.large")
        .engine("aurora-mysql")
        .send()
        .await
        .unwrap();
    let graph = process.graph(MYSQL_CDC);
    let plan = process.engine.plan(&graph, Verb::Destroy, &[]).await.unwrap();
    let [refusal] = &plan.refusals[..] else { panic!("{:?}", plan.refusals) };
    assert_eq!(refusal.address.as_str(), "database.orders.cluster");
    assert!(refusal.because.contains("analytics"), "{refusal:?}");
    assert!(process.destroy(MYSQL_CDC).await.is_err());
    // It does not stand in the way of anything else.
    assert_nothing(&process.plan(MYSQL_CDC).await, "beside it");
}

/// The tables that the signals name that are to be written once `toml` is applied.
async fn signalled(process: &Process, toml: &str) -> Vec<String> {
    let state = process.engine.state().await.unwrap();
    let notices = snapshot_notices(&process.graph(toml), &state);
    let named = notices.iter().map(|notice| {
        assert_eq!(notice.about, "connector.orders");
        let (_, list) = notice.body.split_once("\"data-collections\": [").unwrap();
        list.split_once(']').unwrap().0.replace('"', "")
    });
    named.collect()
}

#[tokio::test(start_paused = true)]
async fn only_rows_of_new_tables_are_asked_for() {
    let fresh = Process::simple(&Cloud::new(Settings::default())).of(&SQL_CDC);
    let all = "shop.customers, shop.line_items, shop.orders";
    assert_eq!(signalled(&fresh, &SQL_CDC).await, [all]);

    let process = Process::simple(&SQL_APPLIED.fork()).of(&SQL_CDC);
    assert_eq!(signalled(&process, &SQL_CDC).await, Vec::<String>::new());
    let edited = |change| replaced(&SQL_CDC, &[change]);
    let added = edited(("\"shop.customers\"]", "\"shop.customers\", \"shop.$prices\"]"));
    assert_eq!(signalled(&process, &added).await, ["shop.$prices"]);
    let fewer = edited((", \"shop.customers\"]", "]"));
    assert_eq!(signalled(&process, &fewer).await, Vec::<String>::new());
    // Starting anew reads everything.
    let anew = edited(("prefix = \"orders\"", "generation = 2\nprefix = \"orders\""));
    assert_eq!(signalled(&process, &anew).await, [all]);
    let elsewhere = edited(("prefix = \"orders\"", "prefix = \"sales\""));
    assert_eq!(signalled(&process, &elsewhere).await, [all]);
    let by_hand = edited(("prefix = \"orders\"", "snapshot = \"no-data\"\nprefix = \"orders\""));
    assert_eq!(signalled(&process, &by_hand).await, Vec::<String>::new());

    // An edit that was interrupted is still to be told; once it is through, it was.
    let outputs = process.engine.state().await.unwrap();
    assert!(process.apply(&added).await.unwrap().is_complete());
    assert_eq!(signalled(&process, &added).await, Vec::<String>::new());
    let notices = snapshot_notices(&process.graph(&added), &outputs);
    assert_eq!(notices.len(), 1, "{notices:?}");
}

/// What `look` tells of an address.
fn looked<'a>(all: &'a [Looked], address: &str) -> &'a Looked {
    all.iter().find(|l| l.address.as_str() == address).expect("it is recorded")
}

fn word(looked: &Looked) -> &str {
    match &looked.found {
        Found::Object(status) => &status.word,
        other => panic!("{}: {other:?}", looked.address),
    }
}

async fn look_at(process: &Process) -> Vec<Looked> {
    let state = process.engine.state().await.unwrap();
    look(&process.engine.registry, process.clock.as_ref(), &state).await
}

#[tokio::test(start_paused = true)]
async fn status_tells_what_aws_says_and_what_others_changed() {
    let process = Process::simple(&APPLIED.fork()).of(MYSQL_CDC);
    let all = look_at(&process).await;
    for (address, expected) in [
        ("kafka.main.cluster", "ACTIVE"),
        ("connector.orders.connector", "RUNNING"),
        ("connector.orders.plugin", "ACTIVE"),
        ("connector.orders.worker", "ACTIVE"),
        ("connector.orders.topic-shop.orders", "ACTIVE"),
        ("database.orders.cluster", "available"),
        ("database.orders.writer", "available"),
        ("database.orders.group", "exists"),
    ] {
        assert_eq!(word(looked(&all, address)), expected, "{address}");
    }
    let quiet = |l: &&Looked| l.drift.is_empty() && l.in_flight.is_none() && l.trouble.is_none();
    assert!(all.iter().all(|l| quiet(&l)), "{all:#?}");

    // Somebody changes something, and deletes something.
    let Session { rds, logs, kafka, .. } = &process.session;
    rds.modify_db_cluster()
        .db_cluster_identifier("orders-orders")
        .backup_retention_period(3)
        .apply_immediately(true)
        .send()
        .await
        .unwrap();
    let group = "/aws/vendedlogs/msk/orders-main";
    logs.delete_log_group().log_group_name(group).send().await.unwrap();
    let arn = output(&process, "kafka.main.cluster", "cluster_arn").await;
    let described = kafka.describe_cluster_v2().cluster_arn(&arn).send().await.unwrap();
    let begun = process.clock.wall();
    kafka
        .update_broker_count()
        .cluster_arn(&arn)
        .current_version(described.cluster_info().unwrap().current_version().unwrap())
        .target_number_of_broker_nodes(6)
        .send()
        .await
        .unwrap();
    process.clock.sleep(Duration::from_mins(3)).await;
    let all = look_at(&process).await;
    let database = looked(&all, "database.orders.cluster");
    let [change] = &database.drift[..] else { panic!("{database:?}") };
    assert_eq!(change.field, "backup_retention_days");
    assert_eq!((&change.from, &change.to), (&Some(json!(3)), &Some(json!(7))));
    assert_eq!(looked(&all, "kafka.main.logs").found, Found::Missing);
    let cluster = looked(&all, "kafka.main.cluster");
    let Found::Object(status) = &cluster.found else { panic!("{cluster:?}") };
    assert_eq!(status.word, "UPDATING");
    assert!(status.says.as_deref().is_some_and(|s| s.contains("BROKER_COUNT")), "{status:?}");
    let since = status.since.expect("the operation tells");
    assert!(since >= begun && since.since(begun) < Duration::from_mins(1), "{since} {begun}");
    // What the file asks for is no drift.
    assert!(looked(&all, "connector.orders.connector").drift.is_empty());
}

#[tokio::test(start_paused = true)]
async fn status_tells_why_a_connector_failed() {
    let cloud = Cloud::new(Settings::default());
    let process = Process::simple(&cloud).of(MYSQL_CDC);
    cloud.world.with(|w| w.faults.set("kafkaconnect.create-fails", json!("orders-orders")));
    let summary = process.apply(MYSQL_CDC).await.unwrap();
    assert!(!summary.is_complete());
    let all = look_at(&process).await;
    let connector = looked(&all, "connector.orders.connector");
    let Found::Object(status) = &connector.found else { panic!("{connector:?}") };
    assert_eq!(status.word, "FAILED");
    let says = status.says.as_deref().unwrap();
    let cause = "caused by: java.lang.IllegalStateException: made to fail by a dial";
    assert!(says.contains("Task threw an uncaught") && says.contains(cause), "{says}");
}

/// What AWS tells of a connector is enough for a diagnosis, and a healthy one is none.
#[tokio::test(start_paused = true)]
async fn what_aws_tells_of_a_connector_is_evidence() {
    let cloud = Cloud::new(Settings::default());
    let process = Process::simple(&cloud).of(MYSQL_CDC);
    assert_eq!(evidence(&process.session, "orders-orders").await.unwrap(), None);
    cloud.world.with(|w| w.faults.set("kafkaconnect.create-fails", json!("orders-orders")));
    assert!(!process.apply(MYSQL_CDC).await.unwrap().is_complete());
    let told = evidence(&process.session, "orders-orders").await.unwrap().unwrap();
    assert_eq!(told.state, "FAILED");
    let found = told.evidence;
    assert_eq!(found.worker_config["config.providers"], "secretsmanager");
    assert_eq!(found.connector_config["topic.prefix"], "orders");
    assert!(found.facts.secret_changed_at < found.facts.connector_started_at, "{:?}", found.facts);
    let diagnosis = diagnose(&found);
    assert!(diagnosis.wrong && diagnosis.reported.is_some(), "{diagnosis}");
    let error = diagnosis.error.unwrap();
    let cause = "java.lang.IllegalStateException: made to fail by a dial of the embedded AWS";
    assert_eq!(error.caused_by.as_deref(), Some(cause));

    let healthy = Process::simple(&APPLIED.fork());
    let told = evidence(&healthy.session, "orders-orders").await.unwrap().unwrap();
    assert_eq!(told.state, "RUNNING");
    let found = told.evidence;
    assert!(!found.lines.is_empty());
    let diagnosis = diagnose(&found);
    assert!(!diagnosis.wrong, "{diagnosis}");
}

/// The world in which the recommended pipeline was applied.
static APPLIED: LazyLock<Cloud> = LazyLock::new(|| applied(MYSQL_CDC));

/// The same, where somebody prepares the database by hand.
static SQL_CDC: LazyLock<String> = LazyLock::new(|| replaced(MYSQL_CDC, &[BY_HAND]));
static SQL_APPLIED: LazyLock<Cloud> = LazyLock::new(|| applied(&SQL_CDC));

#[tokio::test(start_paused = true)]
async fn state_takes_at_most_a_kilobyte_a_resource() {
    let files = APPLIED.disk.files();
    let bytes: usize = files.values().map(Vec::len).sum();
    let resources = Process::simple(&APPLIED.fork()).engine.state().await.unwrap().records.len();
    println!("{} bytes of state a resource, {resources} resources", bytes / resources);
    assert!(bytes <= 1024 * resources, "{bytes} bytes for {resources} resources");
}

/// Edits the recommended pipeline after it was applied: the plan has exactly these operations and this verdict; it applies; then there
/// is nothing left to do.
async fn edit(changes: &[(&str, &str)], expected: &[&str], worst: Verdict) {
    let toml = replaced(MYSQL_CDC, changes);
    let cloud = APPLIED.fork();
    let process = Process::simple(&cloud).of(&toml);
    planned_and_applied(&process, &toml, expected, worst).await;
}

async fn planned_and_applied(process: &Process, toml: &str, expected: &[&str], worst: Verdict) {
    let plan = process.plan(toml).await;
    assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
    assert_eq!(operations(&plan), expected);
    assert_eq!(plan.worst(), worst);
    let summary = process.apply(toml).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
    assert_nothing(&process.plan(toml).await, "after the edit");
}

#[tokio::test(start_paused = true)]
async fn edit_more_brokers() {
    edit(
        &[("count = 3", "count = 6")],
        &["kafka.main.cluster kafka:UpdateBrokerCount"],
        Verdict::None,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn edit_bigger_volumes() {
    edit(
        &[("storage_gib = 250", "storage_gib = 300")],
        &["kafka.main.cluster kafka:UpdateBrokerStorage"],
        Verdict::None,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn edit_another_kafka_version() {
    edit(
        &[("3.9.x.kraft", "4.0.x.kraft")],
        &["kafka.main.cluster kafka:UpdateClusterKafkaVersion"],
        Verdict::Restart,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn edit_another_broker_type() {
    edit(
        &[("kafka.m7g.large", "kafka.m7g.xlarge")],
        &["kafka.main.cluster kafka:UpdateBrokerType"],
        Verdict::Restart,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn edit_a_broker_property() {
    edit(
        &[("listeners = [", "config = { \"log.retention.hours\" = 48 }\nlisteners = [")],
        &[
            "kafka.main.configuration kafka:UpdateConfiguration",
            "kafka.main.cluster kafka:UpdateClusterConfiguration",
        ],
        Verdict::Restart,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn edit_a_connector_key() {
    edit(
        &[("prefix = ", "config = { \"max.batch.size\" = \"4096\" }\nprefix = ")],
        &["connector.orders.connector kafkaconnect:UpdateConnector"],
        Verdict::Restart,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn edit_another_table() {
    edit(
        &[("\"shop.customers\"]", "\"shop.customers\", \"shop.returns\"]")],
        &[
            "connector.orders.topic-shop.returns kafka:CreateTopic",
            "connector.orders.connector kafkaconnect:UpdateConnector",
            "connector.orders.snapshot database:InsertRow",
        ],
        Verdict::Gap,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn edit_another_tag() {
    edit(
        &[("Team = \"data\"", "Team = \"platform\"")],
        &[
            "database.orders.capture-secret secretsmanager:TagResource",
            "database.orders.cluster-parameters rds:AddTagsToResource",
            "database.orders.instance-parameters rds:AddTagsToResource",
            "kafka.main.logs logs:TagResource",
            "connector.orders.role iam:TagRole",
            "connector.orders.logs logs:TagResource",
            "plugins.bucket s3:PutBucketTagging",
            "connector.orders.worker kafkaconnect:TagResource",
            "database.orders.group ec2:CreateTags",
            "database.orders.subnets rds:AddTagsToResource",
            "kafka.main.group ec2:CreateTags",
            "connector.orders.group ec2:CreateTags",
            "database.orders.cluster rds:AddTagsToResource",
            "connector.orders.plugin kafkaconnect:TagResource",
            "database.orders.writer rds:AddTagsToResource",
            "kafka.main.cluster kafka:TagResource",
            "database.orders.reader-a rds:AddTagsToResource",
            "connector.orders.connector kafkaconnect:TagResource",
        ],
        Verdict::None,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn edit_another_instance_class() {
    edit(
        &[(
            "writer     = { class = \"db.r7g.large\" }",
            "writer     = { class = \"db.r7g.xlarge\" }",
        )],
        &["database.orders.writer rds:ModifyDBInstance"],
        Verdict::Restart,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn edit_a_database_parameter() {
    edit(
        &[("on_destroy = ", "parameters = { max_connections = \"500\" }\non_destroy = ")],
        &["database.orders.cluster-parameters rds:ModifyDBClusterParameterGroup"],
        Verdict::None,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn edit_another_log_retention() {
    edit(
        &[("listeners = [", "logs = { retention = \"14d\" }\nlisteners = [")],
        &["kafka.main.logs logs:PutRetentionPolicy"],
        Verdict::None,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn edit_another_listener() {
    edit(
        &[("listeners = [\"iam\"]", "listeners = [\"iam\", \"tls\"]")],
        &["kafka.main.cluster kafka:UpdateSecurity"],
        Verdict::Restart,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn edit_another_plugin() {
    let cloud = APPLIED.fork();
    let mut process = Process::simple(&cloud).of(MYSQL_CDC);
    process.facts = PLUGINS[1].facts();
    let [old, new] = [&PLUGINS[0], &PLUGINS[1]].map(|plugin| &plugin.sha256[..8]);
    // The new one is made first; the old one goes when nobody uses it any more.
    let expected = [
        &format!("plugins.object-{new} s3:PutObject"),
        "connector.orders.plugin kafkaconnect:CreateCustomPlugin",
        "connector.orders.connector kafkaconnect:UpdateConnector",
        "connector.orders.plugin kafkaconnect:DeleteCustomPlugin",
        &format!("plugins.object-{old} s3:DeleteObjects"),
    ];
    planned_and_applied(&process, MYSQL_CDC, &expected, Verdict::Restart).await;
}

#[tokio::test(start_paused = true)]
async fn edit_a_static_database_parameter() {
    let parameters = r#"parameters = { "gtid-mode" = "ON", enforce_gtid_consistency = "ON" }"#;
    let expected = [
        "database.orders.cluster-parameters rds:ModifyDBClusterParameterGroup",
        "database.orders.writer rds:RebootDBInstance",
        "database.orders.reader-a rds:RebootDBInstance",
    ];
    let line = format!("{parameters}\non_destroy = ");
    edit(&[("on_destroy = ", &line)], &expected, Verdict::Restart).await;
}

/// Another name is another cluster. Nobody loses the first one's records without naming it.
async fn renamed(changes: &[(&str, &str)], pipeline: &str, address: &str) {
    let toml = replaced(MYSQL_CDC, changes);
    let cloud = APPLIED.fork();
    let before = cloud.world.with(|w| w.revision);
    let mut process = Process::simple(&cloud).of(&toml);
    process.engine.pipeline = pipeline.into();
    let error = process.apply(&toml).await.unwrap_err();
    let RunError::DataLoss(lost) = &error else { panic!("{error}") };
    let lost = lost.iter().find(|(a, _)| a.as_str() == address).expect("the cluster is named");
    assert_eq!(lost.1.verdict, Verdict::Lost);
    assert!(error.to_string().contains(address));
    assert_eq!(cloud.world.with(|w| w.revision), before, "nothing was changed");
}

#[tokio::test(start_paused = true)]
async fn renaming_the_cluster_needs_consent() {
    renamed(&[("[kafka.main]", "[kafka.other]")], "orders", "kafka.main.cluster").await;
}

#[tokio::test(start_paused = true)]
async fn renaming_the_pipeline_needs_consent() {
    renamed(&[("name   = \"orders\"", "name   = \"sales\"")], "orders", "kafka.main.cluster").await;
}

#[tokio::test(start_paused = true)]
async fn shuffled_bootstrap_strings_are_no_change() {
    let toml = replaced(MYSQL_CDC, &[("count = 3", "count = 6")]);
    let cloud = APPLIED.fork();
    let process = Process::simple(&cloud).of(&toml);
    assert!(process.apply(&toml).await.unwrap().is_complete());
    let arn = output(&process, "kafka.main.cluster", "cluster_arn").await;
    let mut strings = BTreeSet::new();
    for n in 0..20 {
        process.clock.sleep(Duration::from_secs(37 * n + 1)).await;
        let brokers = process.session.kafka.get_bootstrap_brokers().cluster_arn(&arn);
        let brokers = brokers.send().await.unwrap();
        strings.insert(brokers.bootstrap_broker_string_sasl_iam().unwrap().to_owned());
        assert_nothing(&process.plan(&toml).await, "with another string");
    }
    assert!(strings.len() > 10, "the world shuffles: {strings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_subnet_that_sorts_first_is_no_change() {
    let cloud = APPLIED.fork();
    // Four more private subnets, one in each zone, whose ids come first.
    cloud.world.with(|world| {
        let mut ec2 = serde_json::to_value(&world.state.ec2).unwrap();
        let old = ec2["subnets"].as_object().unwrap().clone();
        let private = old.values().filter(|s| s["tags"]["Tier"] == "private");
        for (n, subnet) in private.enumerate() {
            let id = format!("subnet-{n:017}");
            let mut subnet = subnet.clone();
            subnet["id"] = json!(id);
            subnet["cidr"] = json!(format!("172.31.{}.0/24", 200 + n));
            subnet["tags"]["Name"] = json!(format!("private-subnet-0{n}"));
            ec2["subnets"][&id] = subnet;
            let tables = ec2["route_tables"].as_object_mut().unwrap();
            let private = tables.values_mut();
            let mut private = private.filter(|t| t["tags"]["Name"] == json!("private-route-table"));
            private.next().unwrap()["subnets"][&id] = json!(format!("rtbassoc-{n:017}"));
        }
        world.state.ec2 = serde_json::from_value(ec2).unwrap();
    });
    let process = Process::simple(&cloud).of(MYSQL_CDC);
    let kept = output(&process, "network", "kafka_subnets").await;
    assert_nothing(&process.plan(MYSQL_CDC).await, "with new subnets");
    // A pipeline that selects now takes the new ones.
    let other = Cloud { disk: MemoryDisk::default(), ..cloud.clone() };
    let other = Process::simple(&other).of(MYSQL_CDC);
    let plan = other.plan(MYSQL_CDC).await;
    let network = plan.steps.iter().find(|s| s.address.as_str() == "network").unwrap();
    let fresh = network.outputs["kafka_subnets"].to_string();
    assert!(fresh.contains("subnet-0000"), "{fresh}");
    assert_ne!(fresh, kept);
}

/// What others did and nobody can take back in place: it is named, and nothing that costs data happens without consent.
#[tokio::test(start_paused = true)]
async fn changes_that_cannot_be_taken_back_are_named() {
    for n in 0..2 {
        let cloud = APPLIED.fork();
        let process = Process::simple(&cloud).of(MYSQL_CDC);
        let arn = output(&process, "kafka.main.cluster", "cluster_arn").await;
        let kafka = &process.session.kafka;
        let described = kafka.describe_cluster_v2().cluster_arn(&arn).send().await.unwrap();
        let version = described.cluster_info().unwrap().current_version().unwrap();
        if n == 0 {
            let volume = aws_sdk_kafka::types::BrokerEbsVolumeInfo::builder()
                .kafka_broker_node_id("ALL")
                .volume_size_gb(500)
                .build();
            let update = kafka.update_broker_storage().cluster_arn(arn).current_version(version);
            update.target_broker_ebs_volume_info(volume).send().await.unwrap();
        } else {
            let update = kafka.update_cluster_kafka_version().cluster_arn(arn);
            let update = update.current_version(version).target_kafka_version("4.0.x.kraft");
            update.send().await.unwrap();
        }
        process.clock.sleep(Duration::from_hours(1)).await;
        let revision = cloud.world.with(|w| w.revision);
        let error = process.apply(MYSQL_CDC).await.unwrap_err();
        println!("{error}");
        assert!(error.to_string().contains("kafka.main.cluster"), "{error}");
        assert!(matches!(error, RunError::Refused(_) | RunError::DataLoss(_)), "{error}");
        assert_eq!(cloud.world.with(|w| w.revision), revision, "nothing was changed");
    }
}

/// How long each object really took, in milliseconds, by the name that its step has: what the world itself recorded, so that whatever
/// a run notices late counts against it.
fn lives(cloud: &Cloud, topics: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let state = cloud.world.with(|world| serde_json::to_value(&world.state).unwrap());
    let all = |service: &str, list: &str| {
        let objects = state[service][list].as_object().expect("a list of the world").clone();
        objects.into_values().collect::<Vec<_>>()
    };
    let millis = |value: &Value| value.as_u64().expect("a time");
    let mut lives = BTreeMap::new();
    let mut add = |name: &Value, from: u64, to: u64| {
        lives.insert(name.as_str().expect("a name").to_owned(), to - from);
    };
    for cluster in all("kafka", "clusters") {
        add(&cluster["name"], millis(&cluster["created_at"]), millis(&cluster["ready_at"]));
        for (name, topic) in cluster["topics"].as_object().unwrap() {
            // Connect makes topics of its own.
            let Some(asked) = topics.get(name) else { continue };
            let name = json!(format!("{}/{name}", cluster["name"].as_str().unwrap()));
            add(&name, *asked, millis(&topic["ready_at"]));
        }
    }
    for list in ["clusters", "instances"] {
        for object in all("rds", list) {
            let life = &object["life"];
            let ready = life["creating"].as_array().unwrap().last().unwrap();
            // The cluster and its MSK namesake have names of their own each.
            let name = json!(format!("rds {}", object["id"].as_str().unwrap()));
            add(&name, millis(&life["created_at"]), millis(&ready["until"]));
        }
    }
    for list in ["plugins", "connectors"] {
        for object in all("kafkaconnect", list) {
            let name = json!(format!("connect {}", object["name"].as_str().unwrap()));
            add(&name, millis(&object["created_at"]), millis(&object["settled_at"]));
        }
    }
    // A connector is accepted once its role is known everywhere.
    for role in all("iam", "roles") {
        add(&role["name"], millis(&role["created_at"]), millis(&role["propagated_at"]));
    }
    lives
}

/// The name of a step's object in [`lives`].
fn life(step: &Step) -> String {
    match step.kind.as_str() {
        "aws.rds.cluster" | "aws.rds.instance" => format!("rds {}", step.name),
        "aws.kafkaconnect.connector" | "aws.kafkaconnect.custom-plugin" => {
            format!("connect {}", step.name)
        }
        "aws.kafka.cluster" | "aws.kafka.topic" | "aws.iam.role" => step.name.clone(),
        // All others are there at once.
        _ => String::new(),
    }
}

/// Time that this thread had a processor, which is all of a run. Zero where the system does not tell.
fn thread_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

/// The CPU that one create may take, the embedded AWS and the SDK with it, without optimisation.
const CPU: Duration = Duration::from_secs(1);

async fn critical_path(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        // One seed is one course of events: every run of it does the same work, and what else the machine does only adds to the time
        // that it takes. The least of up to six runs is nearest to that work.
        let mut least = create(seed).await;
        for _ in 1..6 {
            if least < CPU {
                break;
            }
            least = least.min(create(seed).await);
        }
        assert!(least < CPU, "seed {seed}: {least:?} of CPU");
        assert!(!cfg!(target_os = "linux") || least > Duration::ZERO, "nothing was measured");
    }
}

/// Makes the recommended pipeline and compares the time that passes with its critical path. The CPU that it took.
async fn create(seed: u64) -> Duration {
    let cloud = Cloud::new(Settings { seed, variance: 0.3, ..Settings::default() });
    let process = Process::simple(&cloud).of(&SQL_CDC);
    let topics: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
    let asked = Arc::clone(&topics);
    cloud.world.observe(Arc::new(move |moment: Moment, call: &Call<'_>| {
        if moment == Moment::Committed && call.operation == "CreateTopic" {
            let body: Value = serde_json::from_slice(&call.request.body).unwrap();
            let name = body["topicName"].as_str().unwrap().to_owned();
            asked.lock().unwrap().insert(name, call.now);
        }
        Next::Go
    }));
    let (began, cpu) = (process.clock.wall(), thread_cpu());
    let summary = process.apply(&SQL_CDC).await.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
    let (elapsed, cpu) = (process.clock.wall().since(began), thread_cpu().saturating_sub(cpu));
    let lives = lives(&cloud, &topics.lock().unwrap());
    let events = process.events.0.lock().unwrap();
    let plan = events.iter().find_map(|event| match event {
        RunEvent::Planned { plan } => Some(plan),
        _ => None,
    });
    let (mut ends, mut known) = (Vec::new(), 0);
    for step in &plan.unwrap().steps {
        let begin = step.after.iter().map(|&n| ends[n]).max().unwrap_or(0);
        let life = lives.get(&life(step));
        known += usize::from(life.is_some());
        ends.push(begin + life.copied().unwrap_or(0));
    }
    assert_eq!(known, 12, "{lives:?}");
    let critical = Duration::from_millis(ends.into_iter().max().unwrap());
    println!("seed {seed}: {elapsed:?}, critical path {critical:?}, {cpu:?} of CPU");
    let most = critical.mul_f64(1.02) + Duration::from_secs(5);
    assert!(elapsed <= most, "seed {seed}: {elapsed:?} of at most {most:?}");
    cpu
}

#[tokio::test(start_paused = true)]
async fn a_create_takes_its_critical_path() {
    critical_path(0..10).await;
}

#[tokio::test(start_paused = true)]
async fn another_create_takes_its_critical_path() {
    critical_path(10..20).await;
}

/// The values in the world's own secret store.
fn secrets(world: &InProcess) -> Vec<String> {
    spellings::secrets(&world.with(|world| serde_json::to_value(&world.state).unwrap()))
}

/// Service, and all of a request that went to it.
type Requests = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// All that a process leaves and sends, and where in it one of `secrets` is found.
struct Traces {
    cloud: Cloud,
    process: Process,
    requests: Requests,
}

impl Traces {
    fn new() -> Self {
        let cloud = Cloud::new(Settings::default());
        let requests: Requests = Arc::default();
        let log = Arc::clone(&requests);
        cloud.world.observe(Arc::new(move |moment: Moment, call: &Call<'_>| {
            if moment == Moment::Before {
                let request = call.request;
                let mut all = format!("{} {} {:?}", request.path, request.query, request.headers);
                all.push('\n');
                let bytes = [all.as_bytes(), &request.body].concat();
                log.lock().unwrap().push((call.service.to_owned(), bytes));
            }
            Next::Go
        }));
        let process = Process::simple(&cloud).of(MYSQL_CDC);
        Self { cloud, process, requests }
    }

    /// Where a secret is found.
    fn search(&self, plans: &[Plan]) -> BTreeSet<&'static str> {
        let secrets = secrets(&self.cloud.world);
        assert!(secrets.len() >= 2, "the master's and the capture user's");
        assert!(secrets.iter().all(|s| s.len() >= 16), "recognisable");
        let spelled: Vec<_> =
            secrets.iter().flat_map(|secret| spellings::spellings(secret)).collect();
        let has = |bytes: &[u8]| spellings::found(&spelled, bytes);
        let mut found = BTreeSet::new();
        let files = self.cloud.disk.files();
        assert!(!files.is_empty());
        if files.values().any(|bytes| has(bytes)) {
            found.insert("disk");
        }
        for event in self.process.events.0.lock().unwrap().iter() {
            let texts = [serde_json::to_string(event).unwrap(), format!("{event:?}")];
            if texts.iter().any(|text| has(text.as_bytes())) {
                found.insert("events");
            }
        }
        for plan in plans {
            let texts = [serde_json::to_string(plan).unwrap(), format!("{plan:?}")];
            if texts.iter().any(|text| has(text.as_bytes())) {
                found.insert("plan");
            }
        }
        let requests = self.requests.lock().unwrap();
        assert!(requests.iter().any(|(service, _)| service == "kafkaconnect"));
        let mut others = requests.iter().filter(|(service, _)| service != "secretsmanager");
        if others.any(|(_, bytes)| has(bytes)) {
            found.insert("requests");
        }
        // The search itself: the one place where it has to find something.
        assert!(requests.iter().any(|(s, bytes)| s == "secretsmanager" && has(bytes)));
        found
    }

    /// Apply, an edit, plans between, and a look.
    async fn run(mut self, leak: Option<Leak>) -> BTreeSet<&'static str> {
        if let Some(leak) = leak {
            let world = Arc::clone(&self.cloud.world);
            let registry = self.process.engine.registry.clone();
            let inner = Arc::clone(registry.get(leak.kind()).expect("a kind"));
            let kind = Leaking { inner, leak, world, done: AtomicBool::new(false) };
            self.process.engine.registry = registry.with_erased(Arc::new(kind));
        }
        let edited = replaced(MYSQL_CDC, &[("Team = \"data\"", "Team = \"platform\"")]);
        let mut plans = vec![self.process.plan(MYSQL_CDC).await];
        let applied = self.process.apply(MYSQL_CDC).await;
        assert!(leak.is_some() || applied.unwrap().is_complete());
        plans.push(self.process.plan(&edited).await);
        if leak.is_none() {
            assert!(self.process.apply(&edited).await.unwrap().is_complete());
            // The values that are searched for are gone after a destroy: it is looked before and after.
            assert_eq!(self.search(&plans), BTreeSet::new());
            plans.push(
                self.process
                    .engine
                    .plan(&self.process.graph(&edited), Verb::Destroy, &[])
                    .await
                    .unwrap(),
            );
        }
        self.search(&plans)
    }
}

/// What a careless kind could do with a secret.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Leak {
    /// Record it, as an output.
    Outputs,
    /// Tell it while it waits.
    Event,
    /// Show it in a plan.
    Plan,
    /// Put it into the connector's configuration.
    Configuration,
}

impl Leak {
    fn kind(self) -> &'static str {
        match self {
            Leak::Configuration => "aws.kafkaconnect.connector",
            _ => "aws.secretsmanager.secret",
        }
    }
}

/// A kind that leaks.
struct Leaking {
    inner: Arc<dyn ErasedKind>,
    leak: Leak,
    world: Arc<InProcess>,
    done: AtomicBool,
}

#[async_trait]
impl ErasedKind for Leaking {
    fn type_name(&self) -> &'static str {
        self.inner.type_name()
    }

    fn version(&self) -> u32 {
        self.inner.version()
    }

    fn name(&self, props: &Value) -> Result<String, CallError> {
        self.inner.name(props)
    }

    fn succession(&self) -> Succession {
        self.inner.succession()
    }

    fn visibility(&self) -> Duration {
        self.inner.visibility()
    }

    async fn observe(&self, target: &ErasedTarget) -> Result<Option<Value>, CallError> {
        self.inner.observe(target).await
    }

    fn mark(&self, seen: &Value) -> Result<MarkSeen, CallError> {
        self.inner.mark(seen)
    }

    fn calls(&self, case: &ErasedCase) -> Result<ErasedNext, CallError> {
        let mut next = self.inner.calls(case)?;
        let Some(secret) = secrets(&self.world).first().cloned() else { return Ok(next) };
        match (&mut next, self.leak) {
            (kind::Next::Converged(outputs), Leak::Outputs) => outputs["password"] = json!(secret),
            (kind::Next::Converged(_), Leak::Event) if !self.done.swap(true, Ordering::Relaxed) => {
                let condition = Condition::new("login", secret, Duration::from_secs(1));
                next = kind::Next::Wait { condition, then: Vec::new() };
            }
            (kind::Next::Calls(calls), Leak::Plan) => {
                calls[0].fields.push(Change::new("password", None::<()>, Some(secret)));
            }
            _ => {}
        }
        Ok(next)
    }

    async fn perform(&self, call: &Value, guard: &Guard) -> Result<Sent, CallError> {
        let mut call = call.clone();
        if self.leak == Leak::Configuration {
            configure(&mut call, &secrets(&self.world)[0]);
        }
        self.inner.perform(&call, guard).await
    }
}

/// Puts a password into every connector configuration in a call.
fn configure(call: &mut Value, secret: &str) {
    let Some(map) = call.as_object_mut() else { return };
    for (key, value) in map.iter_mut() {
        match value.as_object_mut().filter(|_| key == "configuration") {
            Some(configuration) => {
                configuration.insert("database.password".into(), json!(secret));
            }
            None => configure(value, secret),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_written_told_or_sent() {
    assert_eq!(Traces::new().run(None).await, BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_leaks_a_secret_is_caught() {
    let found = async |leak| Traces::new().run(Some(leak)).await;
    assert_eq!(found(Leak::Outputs).await, BTreeSet::from(["disk", "events"]));
    assert_eq!(found(Leak::Event).await, BTreeSet::from(["events"]));
    assert_eq!(found(Leak::Plan).await, BTreeSet::from(["plan"]));
    assert_eq!(found(Leak::Configuration).await, BTreeSet::from(["requests"]));
}
