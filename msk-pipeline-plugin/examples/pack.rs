//! Packs Debezium's connector for `MySQL` from the configured Maven repository, twice into separate caches, and compares the bytes.
//!
//! `cargo run -p msk-pipeline-plugin --example pack [-- GROUP:ARTIFACT:VERSION CONNECTOR_CLASS]`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::fs;
use std::time::Instant;

use msk_pipeline_plugin::{Options, Part, Sources, pack, plan};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let coordinate =
        args.next().unwrap_or_else(|| "io.debezium:debezium-connector-mysql:2.7.4.Final".into());
    let class = args.next().unwrap_or_else(|| "io.debezium.connector.mysql.MySqlConnector".into());
    let parts = [coordinate.parse::<Part>()?];
    let folder = tempfile::tempdir()?;
    let options = |cache: &str| {
        Options::new(
            folder.path().join(cache),
            folder.path().join("msk-pipeline.lock"),
            Sources::from_env(),
        )
    };

    println!("to fetch: {:?}", plan(&parts, &options("one"))?.to_fetch);
    let mut packages = Vec::new();
    for (cache, what) in [
        ("one", "fetched and packed"),
        ("two", "fetched and packed elsewhere"),
        ("one", "out of the cache"),
    ] {
        let start = Instant::now();
        let package =
            pack(&parts, &options(cache)).inspect_err(|e| println!("{e}: {}", e.help()))?;
        println!(
            "{what}: sha256 {}, {} bytes, in {:.2?}",
            package.sha256,
            package.size,
            start.elapsed()
        );
        packages.push(package);
    }
    let same = fs::read(&packages[0].path)? == fs::read(&packages[1].path)?;
    println!("the same bytes: {same}");

    let package = &packages[0];
    println!("\n{}", fs::read_to_string(folder.path().join("msk-pipeline.lock"))?);
    let inspection = &package.inspection;
    println!("unpacked {} bytes; nested {:?}", inspection.total_size, inspection.nested);
    for provided in
        inspection.sources.iter().chain(&inspection.sinks).chain(&inspection.config_providers)
    {
        println!(
            "offers {} {} ({})",
            provided.class,
            provided.version.as_deref().unwrap_or("?"),
            provided.jar
        );
    }
    for jar in &inspection.jars {
        println!(
            "  {:>9} {} {} (class files {:?}, Java {:?})",
            jar.size,
            jar.path,
            jar.version.as_deref().unwrap_or("?"),
            jar.class_major,
            jar.java()
        );
    }
    for java in [8, 11] {
        println!("on Java {java}:");
        for finding in inspection.check(&class, java) {
            println!("  {:?}: {finding}", finding.severity());
        }
    }
    println!("a slip:");
    for finding in inspection.check(&class.to_lowercase(), 17) {
        println!("  {:?}: {finding}", finding.severity());
    }
    if same { Ok(()) } else { Err("the two packages differ".into()) }
}
