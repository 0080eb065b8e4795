//! `verify`, `status --check` and `connector tail` where real programs stand behind the embedded AWS. Left out, and said so, unless
//! `MSKP_REAL=1`: `MSKP_REAL=1 cargo test --workspace --test verify_real -- --nocapture`.

#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "what was left out, and what was measured, is said")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{command, err, out, with_file};
use msk_pipeline_local::{LocalWorld, Settings};
use msk_pipeline_real::Access;
use serde_json::Value;

const FILE: &str = r#"
[pipeline]
name = "orders"
region = "us-east-1"
[network]
vpc = { tags = { Name = "default-vpc" } }
[database.orders]
engine = "aurora-mysql"
[kafka.main]
[connector.orders]
source = "orders"
prefix = "orders"
tables = ["shop.orders"]
heartbeat = "5s"
"#;

/// The folder of a world whose programs end with it.
struct Place {
    folder: tempfile::TempDir,
}

impl Drop for Place {
    fn drop(&mut self) {
        // What can't be ended is found and ended by the next server of the world.
        let _ = with_cache(self.folder.path(), "local stop").status();
    }
}

impl Place {
    fn new() -> Self {
        Self { folder: with_file(FILE) }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn world(&self) -> PathBuf {
        self.path().join(".msk-pipeline/world/aws-111111111111-us-east-1")
    }

    #[track_caller]
    fn run(&self, args: &str, code: i32) -> Output {
        let output = with_cache(self.path(), args).output().expect("runs");
        assert_eq!(output.status.code(), Some(code), "{args}\n{}{}", out(&output), err(&output));
        output
    }

    /// The members of a secret in the world.
    fn secret(&self, name: &str) -> Value {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let world = LocalWorld::open(&self.world(), Settings::new("us-east-1")).await;
            let secrets = world.expect("a world").session.secretsmanager;
            let value = secrets.get_secret_value().secret_id(name).send().await.expect("a secret");
            serde_json::from_str(value.secret_string().expect("text")).expect("JSON")
        })
    }

    /// SQL as the master user, as a client on this machine sends it.
    fn sql(&self, statements: &str) {
        let endpoint = self.output("database.orders.cluster.endpoint");
        let secret = self.secret(&self.output("database.orders.cluster.master_secret"));
        let access = Access::read(&self.world().join("plane")).expect("read").expect("it runs");
        let output = Command::new("mariadb")
            .args(["--no-defaults", "--protocol=tcp", "--port=3306"])
            .arg(format!("--host={}", access.hosts[&endpoint]))
            .arg(format!("--user={}", secret["username"].as_str().expect("text")))
            .arg(format!("--execute={statements}"))
            .env("MYSQL_PWD", secret["password"].as_str().expect("text"))
            .output()
            .expect("the client runs");
        assert!(output.status.success(), "{}", err(&output));
    }

    fn output(&self, name: &str) -> String {
        out(&self.run(&format!("--local --real output {name}"), 0)).trim().to_owned()
    }
}

/// The user's own cache, so that jars are fetched once.
fn with_cache(folder: &Path, args: &str) -> Command {
    let mut command = command(folder, args);
    match std::env::var_os("MSKP_CACHE") {
        Some(cache) => command.env("MSKP_CACHE", cache),
        None => command.env_remove("XDG_CACHE_HOME"),
    };
    command
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn codes(document: &Value) -> Vec<&str> {
    let checks = document["connectors"][0]["checks"].as_array().expect("checks").iter();
    checks.filter_map(|check| check["code"].as_str()).collect()
}

#[test]
fn rows_are_proved_and_a_dead_connector_is_seen() {
    if std::env::var("MSKP_REAL").as_deref() != Ok("1") {
        println!(
            "left out: set MSKP_REAL=1; it needs the Debian packages default-jre-headless and mariadb-server, and a Maven repository once"
        );
        return;
    }
    let place = Place::new();
    let stages = "--approve security-groups --approve database --approve kafka";
    place.run(&format!("--local --real apply {stages}"), 4);
    let password =
        place.secret("orders/orders/capture")["password"].as_str().expect("text").to_owned();
    place.sql(&format!(
        "CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY, note VARCHAR(100));
         CREATE DATABASE cdc; CREATE TABLE cdc.signal (id VARCHAR(42) PRIMARY KEY, type VARCHAR(32) NOT NULL, data VARCHAR(2048));
         CREATE USER debezium@'%' IDENTIFIED BY '{password}';
         GRANT SELECT, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO debezium@'%';
         GRANT INSERT, DELETE ON cdc.signal TO debezium@'%';
         CALL mysql.rds_set_configuration('binlog retention hours', 168)"
    ));
    place.run("--local --real apply --approve connect", 0);

    // The canary is usual here; every link is looked at before.
    let begun = Instant::now();
    let document = json(&place.run("--local --real --json verify", 0));
    println!("verified after {:?}", begun.elapsed());
    let connector = &document["connectors"][0];
    assert_eq!((&document["ok"], &connector["verdict"]), (&true.into(), &"sound".into()));
    let steps: Vec<_> = connector["proof"]["seen"].as_array().expect("steps").iter().collect();
    let names: Vec<_> = steps.iter().map(|seen| seen["step"].as_str().expect("text")).collect();
    assert_eq!(names, ["insert", "update", "delete", "tombstone"]);
    println!("{}", connector["proof"]);
    assert!(!document.to_string().contains(&password), "no secret is told");
    let text = out(&place.run("--local --real verify --passive orders", 0));
    for link in [
        "tasks: 1 RUNNING",
        "login: as debezium",
        "binlog_format = ROW",
        "the brokers",
        "heartbeat",
    ] {
        assert!(text.contains(link), "{link} is not in\n{text}");
    }
    assert!(!text.contains("SIMULATED"), "{text}");
    let line = out(&place.run("--local --real status --check", 0));
    assert!(line.starts_with("OK") && line.lines().count() == 1, "{line}");

    tail_shows_rows(&place);

    // A grant that is taken.
    place.sql("REVOKE DELETE ON cdc.signal FROM debezium@'%'");
    let document = json(&place.run("--local --real --json verify --passive", 1));
    assert_eq!(codes(&document), ["C-MYSQL-GRANT-SIGNAL"]);
    place.sql("GRANT DELETE ON cdc.signal TO debezium@'%'");

    // RUNNING, as AWS has it, and doomed: at its next login the database refuses it.
    place.sql("ALTER USER debezium@'%' IDENTIFIED BY 'another'");
    let document = json(&place.run("--local --real --json verify", 1));
    assert!(codes(&document).contains(&"C-DB-AUTH"), "{document}");
    assert_eq!(document["connectors"][0]["proof"], Value::Null, "no row is tried");

    place.run("--local --real destroy --auto-approve", 0);
}

/// A row that is changed while somebody looks comes as lines.
fn tail_shows_rows(place: &Place) {
    let mut tail = with_cache(place.path(), "--local --real connector tail orders")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut said = BufReader::new(tail.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("Ctrl-C ends it") {
        assert!(said.read_line(&mut line).expect("a line") > 0, "it ended:\n{line}");
    }
    let (sender, lines) = std::sync::mpsc::channel();
    let stdout = BufReader::new(tail.stdout.take().expect("piped"));
    std::thread::spawn(move || {
        for line in stdout.lines() {
            let _ = sender.send(line.unwrap_or_default());
        }
    });
    place.sql("INSERT INTO shop.orders VALUES (7, 'old'); UPDATE shop.orders SET note = 'new' WHERE id = 7; DELETE FROM shop.orders WHERE id = 7");
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let line = lines.recv_timeout(Duration::from_mins(1));
        seen.push(line.unwrap_or_else(|_| panic!("only {seen:#?}")));
    }
    let begin = [
        "c shop.orders {\"id\":7} ",
        "u shop.orders {\"id\":7} {\"note\":\"old\"} -> {\"note\":\"new\"}",
        "d shop.orders",
        "tombstone orders.shop.orders",
    ];
    for (line, begin) in seen.iter().zip(begin) {
        assert!(line.starts_with(begin), "{seen:#?}");
    }
    let _ = Command::new("kill").args(["-INT", &tail.id().to_string()]).status();
    assert_eq!(tail.wait().expect("ends").code(), Some(0));
}
