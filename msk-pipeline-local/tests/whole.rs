//! The whole pipeline on the embedded AWS in virtual time: the examples from nothing to nothing, edits in place, changes by others,
//! the critical path, and secrets.

mod common;

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use common::{Cloud, PLUGINS, Process, operations};
use msk_pipeline_core::kind::Verdict;
use msk_pipeline_core::plan::{Action, Plan};
use msk_pipeline_core::run::RunError;
use msk_pipeline_emulator::Settings;
use msk_pipeline_emulator::services::SERVICES;

const MYSQL_CDC: &str = include_str!("../../examples/mysql-cdc.toml");
const MINIMAL: &str = include_str!("../../examples/minimal.toml");
const SEED_PARITY: &str = include_str!("../../examples/seed-parity.toml");

/// What exists, as `service kind id`.
fn inventory(cloud: &Cloud, process: &Process) -> BTreeSet<String> {
    let now = process.clock.wall().0;
    let rows = cloud.world.with(|world| {
        let all = SERVICES.iter().flat_map(|service| {
            let rows = (service.inventory)(world, now);
            rows.into_iter().map(|(kind, id, _)| format!("{} {kind} {id}", service.name))
        });
        all.collect()
    });
    rows
}

#[track_caller]
fn assert_nothing(plan: &Plan, when: &str) {
    assert!(plan.refusals.is_empty(), "{when}: {:?}", plan.refusals);
    let steps: Vec<_> = plan.steps.iter().filter(|s| s.action != Action::NoOp).collect();
    assert!(steps.is_empty(), "{when}: {steps:#?}");
}

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
async fn seed_parity_goes_there_and_back() {
    there_and_back(SEED_PARITY, 0).await;
}

/// The world in which the recommended pipeline was applied.
static APPLIED: LazyLock<Cloud> = LazyLock::new(|| applied(MYSQL_CDC));

/// A world in which a pipeline was applied, ten minutes later. Has a thread of its own, so that tests with a runtime can ask for it.
fn applied(toml: &'static str) -> Cloud {
    let thread = std::thread::spawn(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(async {
            let cloud = Cloud::new(Settings::default());
            let process = Process::simple(&cloud).of(toml);
            let summary = process.apply(toml).await.unwrap();
            assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
            Cloud { wall: process.clock.wall() + Duration::from_mins(10), ..cloud }
        })
    });
    thread.join().unwrap()
}

fn replaced(toml: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(toml.to_owned(), |toml, (from, to)| {
        assert_eq!(toml.matches(from).count(), 1, "{from:?} is there once");
        toml.replacen(from, to, 1)
    })
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
