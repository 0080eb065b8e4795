//! How long it takes from nothing to the first verified row: the recommended pipeline with real programs, through the binary.
//!
//! Left out, and said so, unless `MSKP_REAL=1`: `MSKP_REAL=1 cargo test --workspace --test first_row -- --nocapture`. With `MSKP_BENCH=1` more
//! than a minute is a failure; jars and the plugin have to be in the caches.

#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "what was left out, and what was measured, is said")]

#[path = "rehearsal/world.rs"]
#[allow(dead_code, reason = "the rehearsal uses the rest")]
mod world;

use std::time::{Duration, Instant};

use world::World;

const AT_MOST: Duration = Duration::from_mins(1);

#[test]
fn the_first_verified_row_comes_within_a_minute() {
    if !world::wanted() {
        return;
    }
    let world = World::new(world::MYSQL, &[]);
    let begun = Instant::now();
    world.expect("apply --auto-approve", 0);
    let applied = begun.elapsed();
    world.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY); CREATE TABLE shop.line_items (id INT PRIMARY KEY);
         CREATE TABLE shop.customers (id INT PRIMARY KEY);",
    );
    world.expect("verify", 0);
    let verified = begun.elapsed();
    println!(
        "applied after {:.1} s, first verified row after {:.1} s",
        applied.as_secs_f64(),
        verified.as_secs_f64()
    );
    world.expect("destroy --auto-approve", 0);
    println!("destroyed after {:.1} s", begun.elapsed().as_secs_f64());
    if std::env::var_os("MSKP_BENCH").is_some_and(|v| v == "1") {
        assert!(verified < AT_MOST, "{verified:?}");
    }
}
