//! A pipeline made through AWS's wire protocols, with real programs behind it. Left out, and said so, unless `MSKP_REAL=1`:
//! `MSKP_REAL=1 cargo test -p msk-pipeline-real --test driver -- --nocapture`.
#![expect(clippy::print_stdout, reason = "what was left out, and what the plane tells, is said")]

#[path = "common/account.rs"]
#[expect(dead_code, reason = "PostgreSQL's test uses the rest")]
mod account;
#[expect(dead_code, reason = "the plane's test uses the rest")]
mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use account::{Account, Connector, MYSQL};
use msk_pipeline_emulator::plane;
use msk_pipeline_emulator::shell::Shared as _;
use msk_pipeline_real::{Options, RealPlane, process};
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

/// RUNNING comes from real tasks, an update that does not run goes back, every operation acts on the programs, those that die come back with
/// what they had, and nothing is left when all is deleted.
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
    let endpoint = account.database("orders", &MYSQL);
    let plugin =
        account.plugin("debezium", &std::fs::read(common::plugin("mysql")).expect("packed"));
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
            subnets: None,
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

    let stage = Stage { account: &account, bootstrap, connector, cluster, endpoint, master };
    stage.operations(&plane).await;
    stage.deaths(&plane, &folder.path().join("real")).await;

    // A plane that ends at once, and another in its place: what was on the topics and in the database is there.
    drop(plane);
    tell.await.expect("told");
    let options = Options::new(folder.path().join("real"), common::toolbox());
    let (plane, mut events) = RealPlane::start(account.shared(), options).expect("another plane");
    let tell = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            println!("  {event}");
        }
    });
    until("the worker", "RUNNING", || stage.worker(&folder.path().join("real"))).await;
    common::until_read(&plane, &stage.bootstrap, "cdc.shop.orders", "a real row").await;
    stage.row(&plane, 60, "after another plane began").await;
    let Stage { connector, cluster, .. } = stage;

    account.delete_connector(&connector);
    account.delete_instance("orders-1");
    account.delete_cluster(&cluster);
    let programs = folder.path().join("real/programs.json");
    until("the list of programs", "{}", || std::fs::read_to_string(&programs).expect("there"))
        .await;
    plane.stop();
    tell.await.expect("told");
}

/// A pipeline that runs.
struct Stage<'a> {
    account: &'a Account,
    bootstrap: String,
    connector: String,
    cluster: String,
    endpoint: String,
    master: String,
}

impl Stage<'_> {
    /// Inserts a row, as the master. While the database is away it is tried again.
    async fn insert(&self, plane: &RealPlane, id: u32, note: &str) {
        let deadline = Instant::now() + Duration::from_mins(2);
        let statement = format!("INSERT IGNORE INTO shop.orders VALUES ({id}, '{note}')");
        let insert =
            || common::mariadb(plane.hosts()[&self.endpoint], "admin", &self.master, &statement);
        while let Err(error) = insert() {
            assert!(Instant::now() < deadline, "{note}: {error}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Inserts a row and waits for its event.
    async fn row(&self, plane: &RealPlane, id: u32, note: &str) {
        self.insert(plane, id, note).await;
        common::until_read(plane, &self.bootstrap, "cdc.shop.orders", note).await;
    }

    fn connector_state(&self) -> String {
        let shown = self.account.describe_connector(&self.connector);
        shown["connectorState"].as_str().unwrap_or_default().to_owned()
    }

    fn pid(plane: &Path, program: &str) -> Option<i32> {
        let running = process::running(plane).expect("a list");
        running.into_iter().find(|p| p.name.starts_with(program)).map(|p| p.pid)
    }

    fn worker(&self, plane: &Path) -> String {
        let there = Self::pid(plane, "Connect worker").is_some();
        if there { self.connector_state() } else { "no worker".into() }
    }

    /// What MSK, MSK Connect and RDS offer acts on the programs.
    async fn operations(&self, plane: &RealPlane) {
        let reboot = self.account.reboot_broker(&self.cluster, 2);
        let state = || self.account.cluster_operation_state(&reboot);
        until("the broker's reboot", "REBOOT_COMPLETE", state).await;
        self.row(plane, 43, "after the reboot").await;

        self.account.switch_connector(&self.connector, "PUT", "pause");
        until("the connector", "PAUSED", || self.connector_state()).await;
        self.insert(plane, 44, "written while paused").await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let read = common::read(plane, &self.bootstrap, "cdc.shop.orders").await;
        assert!(!read.contains("written while paused"), "a paused connector reads nothing");
        self.account.switch_connector(&self.connector, "PUT", "resume");
        until("the connector", "RUNNING", || self.connector_state()).await;
        self.row(plane, 44, "written while paused").await;

        let restart = self.account.switch_connector(&self.connector, "POST", "restart");
        until("the restart", "RESTART_COMPLETE", || self.account.operation_state(&restart)).await;
        self.row(plane, 45, "after the restart").await;

        let other =
            self.account.plugin("debezium-2", &with_a_file(common::plugin("mysql"), "NOTES.txt"));
        until("the other plugin", "ACTIVE", || self.account.plugin_state(&other)).await;
        let change = self.account.change_plugin(&self.connector, &other);
        until("the update", "UPDATE_COMPLETE", || self.account.operation_state(&change)).await;
        self.row(plane, 46, "after the other plugin").await;

        self.account.reboot_instance("orders-1");
        until("the instance", "available", || self.account.instance_status("orders-1")).await;
        self.row(plane, 47, "after the instance was rebooted").await;
    }

    /// Programs that die are started again, with what they had.
    async fn deaths(&self, plane: &RealPlane, folder: &Path) {
        for (n, program) in ["MariaDB", "broker 1", "Connect worker"].into_iter().enumerate() {
            let pid = Self::pid(folder, program).expect("it runs");
            let status = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
            assert!(status.expect("kill runs").success());
            let again =
                || Self::pid(folder, program).filter(|p| *p != pid).map_or("gone", |_| "back");
            until(program, "back", || again().to_owned()).await;
            let id = 50 + u32::try_from(n).expect("few");
            self.row(plane, id, &format!("after the death of {program}")).await;
        }
    }
}

/// The same archive with one more file.
fn with_a_file(archive: PathBuf, name: &str) -> Vec<u8> {
    use std::io::Write as _;
    let bytes = std::io::Cursor::new(std::fs::read(archive).expect("packed"));
    let mut archive = zip::ZipWriter::new_append(bytes).expect("a ZIP");
    archive.start_file(name, zip::write::SimpleFileOptions::default()).expect("begun");
    archive.write_all(b"of a test").expect("written");
    archive.finish().expect("whole").into_inner()
}
