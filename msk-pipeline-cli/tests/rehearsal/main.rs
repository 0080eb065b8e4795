//! The rehearsal with real programs as a user walks it (docs/rehearsal.md), through the binary: apply, rows, changes, kills, destroy.
//!
//! Left out, and said so, unless `MSKP_REAL=1`: `MSKP_REAL=1 cargo test --workspace --test rehearsal -- --nocapture`.

#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "what was left out, and how far it is, is said")]

mod rows;
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rows::{Writer, events};
use world::World;

/// Rows that are there before the connector is, and read by a signal once.
const OLD: u32 = 20;

#[tokio::test]
async fn every_row_arrives_whatever_is_changed_or_killed() {
    if std::env::var_os("MSKP_REAL").is_none_or(|v| v != "1") {
        println!(
            "left out: set MSKP_REAL=1; it needs the Debian packages default-jre-headless and mariadb-server, and a Maven repository once"
        );
        return;
    }
    let world = World::new();
    let begun = Instant::now();
    let say = |what: &str| println!("{:>4} s  {what}", begun.elapsed().as_secs());

    // As on AWS the capture user is made by hand, before the connector.
    world.expect("apply --approve security-groups,database,kafka", 4);
    say("database and brokers run");
    let password = world.capture_password().await;
    world.sql(&preparation(&password));
    world.expect("apply --auto-approve", 0);
    say("the connector runs");
    let pids = world.pids();
    assert_eq!(pids.len(), 6, "three brokers, a worker, a database and who serves them: {pids:?}");

    world.sql(SNAPSHOT);
    let first = until("the rows of the snapshot arrive", async || {
        let events = events(&world).await?;
        let missing: Vec<u32> = (1..=OLD).filter(|id| !events.has('r', *id)).collect();
        if missing.is_empty() { Ok(events) } else { Err(format!("missing: {missing:?}")) }
    });
    let first = first.await;
    say("the old rows arrived");
    let writer = Writer::begin(&world);

    world.set_connector_key("max.batch.size", 1024);
    world.expect("apply --auto-approve", 0);
    world.expect("plan --detailed-exitcode", 0);
    say("a key of the connector is changed");

    world.edit("count = 3", "count = 6");
    world.expect("apply --auto-approve", 0);
    let (_, output) = world.run("output kafka.main.cluster");
    assert!(output.contains("kafka.main.cluster"), "{output}");
    assert_eq!(world.pids(), pids, "six are declared, three run, and none was started again");
    say("the brokers are grown");

    world.set_connector_key("max.batch.size", 512);
    world.kill_during("apply --auto-approve", "kafkaconnect:UpdateConnector", None);
    world.expect("apply --auto-approve", 0);
    world.expect("plan --detailed-exitcode", 0);
    say("an apply was killed and went on");

    world.set_connector_key("max.batch.size", 256);
    let server = world.server();
    world.kill_during("apply --auto-approve", "kafkaconnect:UpdateConnector", Some(server));
    let (status, told) = world.run("plan");
    assert_eq!(status, 0, "{told}");
    assert_ne!(world.server(), server, "another serves");
    world.expect("apply --auto-approve", 0);
    world.expect("plan --detailed-exitcode", 0);
    assert!(pids.iter().all(|pid| !world::lives(*pid)), "nothing of the killed one still runs");
    say("the server and an apply were killed, and all went on");

    let written = writer.end();
    println!("{written} rows were written meanwhile");
    let last = until("every row that was written arrives", async || {
        let events = events(&world).await?;
        let all = OLD + 1..=OLD + written;
        let missing: Vec<u32> = all.filter(|id| !events.has('c', *id)).collect();
        if missing.is_empty() { Ok(events) } else { Err(format!("missing: {missing:?}")) }
    });
    let last = last.await;
    say("every row arrived");
    assert_eq!(snapshot(&last), snapshot(&first), "no row was read again by a snapshot");

    let pids = world.pids();
    world.expect("destroy --auto-approve", 0);
    until("the programs end", async || match world.programs() {
        0 => Ok(()),
        left => Err(format!("{left} run")),
    })
    .await;
    world.expect("local stop", 0);
    assert!(pids.iter().all(|pid| !world::lives(*pid)), "{pids:?} are gone");
    assert_eq!(world.files_with(&password), [""; 0], "no file of the programs holds the password");
    say("destroyed");
}

fn preparation(password: &str) -> String {
    let rows: Vec<String> = (1..=OLD).map(|id| format!("({id}, 'old')")).collect();
    format!(
        "CREATE DATABASE shop;
CREATE TABLE shop.orders (id INT PRIMARY KEY, note VARCHAR(100));
CREATE TABLE shop.line_items (id INT PRIMARY KEY);
CREATE TABLE shop.customers (id INT PRIMARY KEY);
INSERT INTO shop.orders VALUES {};
CREATE USER debezium@'%' IDENTIFIED BY '{password}';
GRANT SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT, LOCK TABLES ON *.* TO debezium@'%';
CALL mysql.rds_set_configuration('binlog retention hours', 168);
CREATE DATABASE cdc;
CREATE TABLE cdc.signal (id VARCHAR(42) PRIMARY KEY, type VARCHAR(32) NOT NULL, data VARCHAR(2048) NULL);
GRANT INSERT, DELETE ON cdc.signal TO debezium@'%';",
        rows.join(", ")
    )
}

const SNAPSHOT: &str = r#"INSERT INTO cdc.signal VALUES (UUID(), 'execute-snapshot',
    '{"data-collections": ["shop.orders"], "type": "incremental"}')"#;

/// How often a snapshot has read each row.
fn snapshot(events: &rows::Events) -> BTreeMap<u32, usize> {
    events.of('r').collect()
}

/// Asks until there is an answer.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_mins(5);
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(why) => assert!(Instant::now() < deadline, "{what}: not in five minutes: {why}"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
