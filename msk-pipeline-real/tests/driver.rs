//! A pipeline made through AWS's wire protocols, with real programs behind it. Left out, and said so, unless `MSKP_REAL=1`:
//! `MSKP_REAL=1 cargo test -p msk-pipeline-real --test driver -- --nocapture`.
#![expect(clippy::print_stdout, reason = "what was left out, and what the plane tells, is said")]

#[path = "common/account.rs"]
mod account;
#[expect(dead_code, reason = "the plane's test uses the rest")]
mod common;

use std::time::{Duration, Instant};

use account::{Account, Connector};
use msk_pipeline_emulator::plane;
use msk_pipeline_emulator::shell::Shared as _;
use msk_pipeline_real::{Options, RealPlane};
use serde_json::{Value, json};

/// Asks until the answer is `wanted`.
async fn until(what: &str, wanted: &str, mut ask: impl FnMut() -> String) {
    let deadline = Instant::now() + Duration::from_mins(8);
    loop {
        let answer = ask();
        if answer == wanted {
            println!("{what} is {wanted}");
            return;
        }
        assert!(Instant::now() < deadline, "{what} is {answer} and not {wanted}");
        assert!(!answer.contains("FAILED"), "{what} is {answer}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn configuration(endpoint: &str, bootstrap: &str) -> Value {
    let mut all = json!({
        "connector.class": "io.debezium.connector.mysql.MySqlConnector",
        "tasks.max": "1",
        "database.hostname": endpoint,
        "database.port": "3306",
        "database.user": "${secretsmanager:cdc/orders:username}",
        "database.password": "${secretsmanager:cdc/orders:password}",
        "database.server.id": "906010",
        "database.ssl.mode": "required",
        "database.include.list": "shop",
        "topic.prefix": "cdc",
        "topic.creation.default.partitions": "1",
        "topic.creation.default.replication.factor": "-1",
        "schema.history.internal.kafka.topic": "cdc.history",
        "schema.history.internal.kafka.bootstrap.servers": bootstrap,
    });
    for side in ["producer", "consumer"] {
        for (key, value) in [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "AWS_MSK_IAM"),
            ("sasl.jaas.config", "software.amazon.msk.auth.iam.IAMLoginModule required;"),
            (
                "sasl.client.callback.handler.class",
                "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
            ),
        ] {
            all[format!("schema.history.internal.{side}.{key}")] = value.into();
        }
    }
    all
}

const WORKER: &str = "key.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=false
value.converter=org.apache.kafka.connect.json.JsonConverter
value.converter.schemas.enable=false
config.providers=secretsmanager
config.providers.secretsmanager.class=com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider
config.providers.secretsmanager.param.region=us-east-1
config.providers.secretsmanager.param.NotFoundStrategy=fail
";

/// RUNNING comes from real tasks, an update that does not run goes back, and nothing is left when all is deleted.
#[tokio::test]
async fn a_pipeline_made_over_the_wire_runs_for_real() {
    if !common::wanted() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let account = Account::new();
    let options = Options::new(folder.path().join("real"), common::toolbox());
    let (plane, mut events) = RealPlane::start(account.shared(), options).expect("a plane");
    let tell = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            println!("  {event}");
        }
    });

    let everything = json!([{ "Effect": "Allow", "Action": "*", "Resource": "*" }]);
    let role = account.role("connect", &everything);
    account.log_group("/connect");
    account.secret("cdc/orders", &json!({ "username": "debezium", "password": "secret" }));
    let cluster = account.cluster("demo");
    let endpoint = account.database("orders");
    let plugin = account.plugin("debezium", &std::fs::read(common::plugin()).expect("packed"));
    let worker = account.worker_configuration(WORKER);
    until("the cluster", "ACTIVE", || account.cluster_state(&cluster)).await;
    until("the instance", "available", || account.instance_status("orders-1")).await;
    until("the plugin", "ACTIVE", || account.plugin_state(&plugin)).await;
    account.topic(
        &cluster,
        "cdc.history",
        &json!({ "cleanup.policy": "delete", "retention.ms": "-1" }),
    );

    let master = account.master_password();
    let address = plane.hosts()[&endpoint];
    let sql =
        |user: &str, password: &str, text: &str| common::mariadb(address, user, password, text);
    sql("admin", &master, "CREATE TABLE shop.orders (id INT PRIMARY KEY, note VARCHAR(100));
        CREATE USER debezium@'%' IDENTIFIED BY 'secret';
        GRANT SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT, LOCK TABLES ON *.* TO debezium@'%'")
        .expect("the managed password is the master's");

    let bootstrap = account.bootstrap(&cluster);
    let good = configuration(&endpoint, &bootstrap);
    let connector = account.connector(
        "mysql",
        &Connector {
            configuration: &good,
            bootstrap: &bootstrap,
            plugin: &plugin,
            worker: &worker,
            role: &role,
            log_group: "/connect",
        },
    );
    let state = || {
        account.describe_connector(&connector)["connectorState"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    until("the connector", "RUNNING", state).await;
    let tasks = || {
        let mut found = Vec::new();
        account.world.look(&mut |world, _| found = plane::tasks(world, &connector));
        found
    };
    assert_eq!(tasks().iter().map(|t| t.state.as_str()).collect::<Vec<_>>(), ["RUNNING"]);
    sql("admin", &master, "INSERT INTO shop.orders VALUES (41, 'a real row')").expect("accepted");
    let needle = "a real row";
    common::until_read(&plane, &bootstrap, "cdc.shop.orders", needle).await;
    let lines = account.log_lines("/connect", "Kafka version");
    assert!(lines.iter().all(|l| l.starts_with("[Worker-")) && !lines.is_empty(), "{lines:?}");

    let mut bad = good.clone();
    bad["database.user"] = "nobody".into();
    let operation = account.update_connector(&connector, &bad);
    until("the update", "ROLLBACK_COMPLETE", || account.operation_state(&operation)).await;
    assert_eq!(account.describe_connector(&connector)["connectorConfiguration"], good);
    let causes = account.log_lines("/connect", "Access denied for user 'nobody'");
    assert!(
        !causes.is_empty(),
        "the cause is in the worker's log: {:?}",
        account.log_lines("/connect", "nobody")
    );
    sql("admin", &master, "INSERT INTO shop.orders VALUES (42, 'after the rollback')")
        .expect("accepted");
    common::until_read(&plane, &bootstrap, "cdc.shop.orders", "after the rollback").await;

    let reboot = account.reboot_broker(&cluster, 2);
    until("the reboot", "REBOOT_COMPLETE", || account.cluster_operation_state(&reboot)).await;
    sql("admin", &master, "INSERT INTO shop.orders VALUES (43, 'after the reboot')")
        .expect("accepted");
    common::until_read(&plane, &bootstrap, "cdc.shop.orders", "after the reboot").await;

    account.delete_connector(&connector);
    account.delete_instance("orders-1");
    account.delete_cluster(&cluster);
    let programs = folder.path().join("real/programs.json");
    until("the list of programs", "{}", || std::fs::read_to_string(&programs).expect("there"))
        .await;
    plane.stop();
    tell.await.expect("told");
}
