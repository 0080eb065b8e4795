//! Real programs. Left out, and said so, unless `MSKP_REAL=1`: `MSKP_REAL=1 cargo test -p msk-pipeline-real --test plane`.

#![expect(clippy::print_stdout, reason = "what was left out, and what was measured, is said")]

#[expect(dead_code, reason = "the driver's test uses the rest")]
mod common;

use common::Bench;
use msk_pipeline_real::process::resident;

/// A row that is inserted, updated and deleted in the database comes out of the IAM listener, with the plugin and the configuration
/// as they would be on AWS.
#[tokio::test]
async fn a_row_arrives_through_the_iam_listener() {
    let Some(mut bench) = Bench::new(3) else { return };
    bench.database().await;
    bench.brokers().await;
    bench.worker("secret").await;
    bench.configure().await;
    bench.until_running().await;
    bench.sql("INSERT INTO shop.orders VALUES (41, 'a real row')").await;
    bench.sql("UPDATE shop.orders SET note = 'changed' WHERE id = 41").await;
    let seen = bench.records("cdc.shop.orders", &["a real row", "\"op\":\"u\""]).await;
    assert!(seen.contains("\"id\":41"), "{seen}");
    let memory: u64 = bench.pids().into_iter().filter_map(resident).sum();
    println!("memory of three brokers, a worker and a database: {} MiB", memory >> 20);
    assert!(memory < 2 << 30, "the plane stays below 2 GiB: {memory}");
    bench.stop().await;
}

/// What Connect says of a task that failed is what Debezium and the database said.
#[tokio::test]
async fn a_wrong_password_fails_with_the_database_s_own_words() {
    let Some(mut bench) = Bench::new(1) else { return };
    bench.database().await;
    bench.brokers().await;
    bench.worker("not the password").await;
    let refused = bench.try_configure().await.expect_err("Debezium validates its connection first");
    let text = refused.to_string();
    assert!(text.contains("Access denied for user 'debezium'"), "{text}");
    bench.stop().await;
}

/// What the project's SQL for Aurora asks of a server.
#[tokio::test]
async fn the_master_and_the_capture_user_may_what_they_may_on_aurora() {
    let Some(mut bench) = Bench::new(1) else { return };
    bench.database().await;
    let debezium = |sql: &'static str| bench.sql_as("debezium", "secret", sql);
    debezium("SHOW MASTER STATUS").expect("granted");
    debezium("FLUSH TABLES shop.orders WITH READ LOCK")
        .expect("RELOAD and LOCK TABLES were granted");
    let error = debezium("INSERT INTO shop.orders VALUES (9, '')").expect_err("not granted");
    assert!(error.contains("denied"), "{error}");
    bench.sql_as("", "", "SELECT 1").expect_err("there is no anonymous user");
    bench.sql_as("admin", "wrong", "SELECT 1").expect_err("it has a password");
    let retention = "CALL mysql.rds_set_configuration('binlog retention hours', 72);
        CALL mysql.rds_show_configuration; SHOW VARIABLES LIKE 'binlog_expire_logs_seconds'";
    let rows = bench.sql_as("admin", "master password", retention).expect("the master may");
    assert!(rows.contains("binlog retention hours\t72") && rows.contains("259200"), "{rows}");
    let zero = "CALL mysql.rds_set_configuration('binlog retention hours', 0)";
    bench.sql_as("admin", "master password", zero).expect_err("0 is no retention");
    bench.stop().await;
}
