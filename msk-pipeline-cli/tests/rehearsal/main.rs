//! The rehearsal with real programs as a user walks it (docs/rehearsal.md), through the binary: apply, rows, every kind of change with a
//! verified row after each, kills, destroy; rows are written throughout.
//!
//! Left out, and said so, unless `MSKP_REAL=1`: `MSKP_REAL=1 cargo test --workspace --test rehearsal -- --nocapture`.

#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "what was left out, and how far it is, is said")]

mod rows;
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rows::{Events, Writer, events};
use world::{MYSQL, POSTGRES, World};

/// Rows that are there before the connector is, and read by a signal once.
const OLD: u32 = 20;

#[tokio::test]
async fn every_row_arrives_whatever_is_changed_or_killed() {
    if !world::wanted() {
        return;
    }
    let world = World::new(
        MYSQL,
        &[("source = \"orders\"\n", &format!("source = \"orders\"\n{OLD_PLUGIN}"))],
    );
    let begun = Instant::now();
    let say = |what: &str| println!("{:>4} s  {what}", begun.elapsed().as_secs());

    // The database has tables and rows before anything captures them.
    world.expect("apply --approve security-groups,database,kafka", 4);
    world.sql(&tables());
    say("database and brokers run");
    world.expect("apply --auto-approve", 0);
    say("the connector runs");
    let pids = world.pids();
    assert_eq!(pids.len(), 6, "three brokers, a worker, a database and who serves them: {pids:?}");
    world.expect("verify", 0);
    say("first verified row");
    let first = arrive(&world, "orders", 'r', 1..=OLD).await;
    say("the old rows arrived");
    let writer = Writer::begin(&world);

    world.set_connector_key("max.batch.size", 1024);
    change(&world);
    say("a key of the connector is changed");

    world.sql("CREATE TABLE shop.invoices (id INT PRIMARY KEY); INSERT INTO shop.invoices VALUES (1), (2), (3);");
    world.edit("\"shop.customers\"]", "\"shop.customers\", \"shop.invoices\"]");
    change(&world);
    arrive(&world, "invoices", 'r', 1..=3).await;
    say("a table is added, and its old rows arrived");

    world.edit(OLD_PLUGIN, "");
    change(&world);
    say("the plugin is upgraded");

    let before = world.capture_password().await;
    world.expect("connector rotate-credentials orders", 0);
    let password = world.capture_password().await;
    assert_ne!(password, before);
    world.expect("plan --detailed-exitcode", 0);
    world.expect("verify", 0);
    say("the password is rotated");

    world.edit("count = 3", "count = 6");
    let pids = world.pids();
    change(&world);
    assert_eq!(world.pids(), pids, "six are declared, three run, and none was started again");
    say("the brokers are grown");

    world.set_connector_key("max.batch.size", 512);
    world.kill_during("apply --auto-approve", "kafkaconnect:UpdateConnector", None);
    change(&world);
    say("an apply was killed and went on");

    world.set_connector_key("max.batch.size", 256);
    let server = world.server();
    world.kill_during("apply --auto-approve", "kafkaconnect:UpdateConnector", Some(server));
    let (status, told) = world.run("plan");
    assert_eq!(status, 0, "{told}");
    assert_ne!(world.server(), server, "another serves");
    change(&world);
    assert!(pids.iter().all(|pid| !world::lives(*pid)), "nothing of the killed one still runs");
    say("the server and an apply were killed, and all went on");

    world.expect("local stop", 0);
    world.expect("verify", 0);
    say("all was stopped, and went on");

    let written = writer.end();
    println!("{written} rows were written meanwhile");
    let last = arrive(&world, "orders", 'c', OLD + 1..=OLD + written).await;
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
    // One after the other: each has a machine's memory.
    drop(world);
    postgres().await;
}

/// The same of PostgreSQL, as far as it differs: prepared, verified, changed, a table added, killed, stopped, begun anew, destroyed.
async fn postgres() {
    let world = World::new(POSTGRES, &[]);
    let begun = Instant::now();
    let say = |what: &str| println!("{:>4} s  {what}", begun.elapsed().as_secs());

    // What captured tables are granted needs them: the run says which is missing, and the next one goes on.
    world.expect("apply --approve security-groups,database,kafka", 1);
    let rows: Vec<String> = (1..=OLD).map(|id| format!("({id}, 'old')")).collect();
    world.sql(&format!(
        "CREATE SCHEMA sales;
CREATE TABLE sales.orders (id INT PRIMARY KEY, note VARCHAR(100));
CREATE TABLE sales.line_items (id INT PRIMARY KEY);
CREATE TABLE sales.customers (id INT PRIMARY KEY);
INSERT INTO sales.orders VALUES {};",
        rows.join(", ")
    ));
    world.expect("apply --auto-approve", 0);
    world.expect("verify", 0);
    say("first verified row");
    let first = arrive(&world, "orders", 'r', 1..=OLD).await;
    let writer = Writer::begin(&world);

    world.set_connector_key("max.batch.size", 1024);
    change(&world);
    say("a key of the connector is changed");

    world.sql("CREATE TABLE sales.invoices (id INT PRIMARY KEY); INSERT INTO sales.invoices VALUES (1), (2), (3);");
    world.edit("\"sales.customers\"]", "\"sales.customers\", \"sales.invoices\"]");
    change(&world);
    arrive(&world, "invoices", 'r', 1..=3).await;
    say("a table is added, and its old rows arrived");

    world.edit("count = 3", "count = 6");
    change(&world);
    say("the brokers are grown");

    world.set_connector_key("max.batch.size", 512);
    let server = world.server();
    world.kill_during("apply --auto-approve", "kafkaconnect:UpdateConnector", Some(server));
    change(&world);
    say("the server and an apply were killed, and all went on");

    world.expect("local stop", 0);
    world.expect("verify", 0);
    say("all was stopped, and went on");

    let written = writer.end();
    println!("{written} rows were written meanwhile");
    let last = arrive(&world, "orders", 'c', OLD + 1..=OLD + written).await;
    say("every row arrived");
    assert_eq!(snapshot(&last), snapshot(&first), "no row was read again by a snapshot");

    let pids = world.pids();
    world.expect("destroy --auto-approve", 0);
    world.expect("local stop", 0);
    assert!(pids.iter().all(|pid| !world::lives(*pid)), "{pids:?} are gone");
    say("destroyed");
}

/// Applies what was changed, and sees that nothing is left to do and that rows come out.
#[track_caller]
fn change(world: &World) {
    world.expect("apply --auto-approve", 0);
    world.expect("plan --detailed-exitcode", 0);
    world.expect("verify", 0);
}

/// Waits until every row of a table came out by an operation.
async fn arrive(
    world: &World,
    table: &str,
    op: char,
    rows: std::ops::RangeInclusive<u32>,
) -> Events {
    let what = format!("`{op}` of every row of {table} arrives");
    let all = until(&what, async || {
        let events = events(world, table).await?;
        let missing: Vec<u32> = rows.clone().filter(|id| !events.has(op, *id)).collect();
        if missing.is_empty() { Ok(events) } else { Err(format!("missing: {missing:?}")) }
    });
    all.await
}

/// An older connector, which is upgraded to the one that is the default.
const OLD_PLUGIN: &str =
    "plugin = { maven = \"io.debezium:debezium-connector-mysql:2.7.3.Final\" }\n";

fn tables() -> String {
    let rows: Vec<String> = (1..=OLD).map(|id| format!("({id}, 'old')")).collect();
    format!(
        "CREATE DATABASE shop;
CREATE TABLE shop.orders (id INT PRIMARY KEY, note VARCHAR(100));
CREATE TABLE shop.line_items (id INT PRIMARY KEY);
CREATE TABLE shop.customers (id INT PRIMARY KEY);
INSERT INTO shop.orders VALUES {};",
        rows.join(", ")
    )
}

/// How often a snapshot has read each row.
fn snapshot(events: &Events) -> BTreeMap<u32, usize> {
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
