//! Failures that need a worker of their own: what is in the plugin, how much memory there is, how many tasks.

use std::io::{Cursor, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use msk_pipeline_real::rest::Rest;
use msk_pipeline_verify::cause::{Evidence, Status, Task};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::common;
use crate::failure::Failure;
use crate::stage::{Stage, With, both, until};

/// Plugins that are broken. They are uploaded beforehand: an upload keeps the world busy for as long as it takes to read it.
pub(crate) struct Plugins {
    lacking: String,
    newer: String,
    mixed: String,
}

pub(crate) fn prepare(stage: &Stage) -> Plugins {
    let archive = std::fs::read(common::plugin("mysql")).expect("packed");
    let newer = |name: &str, content: Vec<u8>| {
        Some(if name.contains("/debezium-connector-mysql-") {
            for_java_21(&content)
        } else {
            content
        })
    };
    let lacking = |name: &str, content: Vec<u8>| {
        (!name.contains("/mysql-binlog-connector-java-")).then_some(content)
    };
    let old = jar("io.debezium:debezium-core:2.5.4.Final");
    let mixed = |name: &str, content: Vec<u8>| {
        Some(if name.contains("/debezium-core-") { old.clone() } else { content })
    };
    let made = |name: &str, archive: Vec<u8>| {
        let plugin = stage.account.plugin(name, &archive);
        until(name, &["ACTIVE"], || stage.account.plugin_state(&plugin));
        plugin
    };
    Plugins {
        lacking: made("lacking", changed(&archive, lacking)),
        newer: made("newer", changed(&archive, newer)),
        mixed: made("mixed", changed(&archive, mixed)),
    }
}

pub(crate) fn all(stage: &Stage, plugins: &Plugins) {
    plugin(
        stage,
        "lacking",
        &plugins.lacking,
        &Failure::new(
            "missing class",
            "a plugin without the jar of the binary log's client",
            "C-PLUGIN-CLASS",
            "java.lang.NoClassDefFoundError",
        ),
    );
    plugin(
        stage,
        "newer",
        &plugins.newer,
        &Failure::new(
            "class version",
            "a plugin whose connector is compiled for Java 21",
            "C-PLUGIN-JAVA",
            "java.lang.UnsupportedClassVersionError",
        ),
    );
    plugin(
        stage,
        "mixed",
        &plugins.mixed,
        &Failure::new(
            "conflicting jar",
            "a plugin with debezium-core of another release",
            "C-PLUGIN-CONFLICT",
            "java.lang.NoSuch",
        ),
    );
    memory(stage);
    plain(stage);
    no_task(stage);
}

/// A connector whose plugin is broken.
fn plugin(stage: &Stage, name: &str, plugin: &str, failure: &Failure) {
    stage.account.log_group(&format!("/{name}"));
    let configuration = stage.configuration(name, 906_030);
    let mut arn = String::new();
    stage.fails(name, &configuration, failure, || {
        let with = With { plugin: Some(plugin), ..With::default() };
        arn = stage.create(name, &with, &configuration);
    });
    remove(stage, name, &arn);
}

/// Deletes a connector as soon as it can be.
fn remove(stage: &Stage, name: &str, arn: &str) {
    until(name, &["RUNNING", "FAILED"], || stage.state(arn));
    stage.account.delete_connector(arn);
    until(name, &["gone"], || {
        let there = stage.account.try_describe_connector(arn).is_ok();
        if there { "there".into() } else { "gone".into() }
    });
}

/// More rows than fit into the heap, and queues that take them all.
fn memory(stage: &Stage) {
    stage.administer(
        &stage.orders,
        "SET sql_log_bin = 0; CREATE DATABASE big; USE big; CREATE TABLE `rows` (id INT PRIMARY KEY, note LONGTEXT);
         INSERT INTO `rows` SELECT seq, REPEAT('x', 900000) FROM seq_1_to_300",
    );
    let name = "memory";
    stage.account.log_group(&format!("/{name}"));
    let mut configuration = stage.configuration(name, 906_031);
    for (key, value) in [
        ("database.include.list", "big"),
        ("table.include.list", "big.rows"),
        ("max.queue.size", "60000"),
        ("max.batch.size", "50000"),
        ("producer.override.max.request.size", "30000000"),
        ("producer.override.buffer.memory", "400000000"),
    ] {
        configuration[key] = value.into();
    }
    let mut arn = String::new();
    stage.fails(
        name,
        &configuration,
        &Failure::new(
            "out of memory",
            "a snapshot of 270 MB with queues of 60,000 rows and a heap of 256 MiB",
            "C-WORKER-MEMORY",
            "java.lang.OutOfMemoryError",
        ),
        || arn = stage.create(name, &With::default(), &configuration),
    );
    remove(stage, name, &arn);
}

/// A client that takes the first bytes of a TLS answer for a length; its worker ends of it.
fn plain(stage: &Stage) {
    let name = "plain";
    stage.account.log_group(&format!("/{name}"));
    let mut configuration = stage.configuration(name, 906_033);
    both(&mut configuration, "security.protocol", "PLAINTEXT");
    let mut arn = String::new();
    stage.fails(
        name,
        &configuration,
        &Failure::new(
            "client without TLS at a port with it",
            "`security.protocol` = PLAINTEXT for the schema history at the IAM port",
            "C-KAFKA-PLAIN-TO-TLS",
            "java.lang.OutOfMemoryError",
        ),
        || arn = stage.create(name, &With::default(), &configuration),
    );
    remove(stage, name, &arn);
}

/// Debezium's connector makes no task where it is asked for two.
fn no_task(stage: &Stage) {
    let name = "two";
    stage.account.log_group(&format!("/{name}"));
    let mut configuration = stage.configuration(name, 906_032);
    configuration["tasks.max"] = "2".into();
    let mut arn = String::new();
    stage.fails(
        name,
        &configuration,
        &Failure::new(
            "more tasks than the connector can have",
            "`tasks.max` = 2",
            "C-CONFIG-TASKS",
            "Only a single connector task may be started",
        ),
        || arn = stage.create(name, &With::default(), &configuration),
    );
    // A status is all that there is to read.
    let id = arn.rsplit('/').next().expect("an id");
    let address = stage.plane.hosts()[&format!("worker.{id}.connect.internal")];
    stage.reports(
        &Failure::new(
            "RUNNING with no task",
            "the same connector, by what Connect says of it alone",
            "C-NO-TASK",
            "",
        )
        .likely(),
        Instant::now(),
        || {
            let status = status(SocketAddr::from((address, 8083)), name)?;
            let evidence =
                Evidence { connector: name.into(), status: Some(status), ..Evidence::default() };
            Some((Instant::now(), evidence))
        },
    );
}

fn status(at: SocketAddr, name: &str) -> Option<Status> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let told = runtime.expect("a runtime").block_on(Rest::new(at).status(name));
    told.expect("answered").map(|told| Status {
        state: told.connector.state,
        trace: told.connector.trace,
        tasks: told
            .tasks
            .into_iter()
            .map(|t| Task { id: t.id, state: t.state, trace: t.trace })
            .collect(),
    })
}

/// The archive with every file as `change` gives it; without those for which it gives none.
fn changed(archive: &[u8], change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut old = ZipArchive::new(Cursor::new(archive)).expect("a ZIP");
    let mut new = ZipWriter::new(Cursor::new(Vec::new()));
    for n in 0..old.len() {
        let mut file = old.by_index(n).expect("an entry");
        let (name, folder) = (file.name().expect("text").into_owned(), file.is_dir());
        let mut content = Vec::new();
        file.read_to_end(&mut content).expect("readable");
        if let Some(content) = change(&name, content).filter(|_| !folder) {
            // What is in it is packed already.
            let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
            new.start_file(name, stored).expect("begun");
            new.write_all(&content).expect("written");
        }
    }
    new.finish().expect("whole").into_inner()
}

/// A jar whose classes say that they need Java 21 (class file version 65).
fn for_java_21(jar: &[u8]) -> Vec<u8> {
    changed(jar, |name, mut content| {
        if Path::new(name).extension().is_some_and(|e| e == "class") {
            content[6..8].copy_from_slice(&65_u16.to_be_bytes());
        }
        Some(content)
    })
}

/// One jar of Maven Central.
fn jar(coordinate: &str) -> Vec<u8> {
    let packed = std::fs::read(common::packed(coordinate)).expect("packed");
    let mut archive = ZipArchive::new(Cursor::new(packed)).expect("a ZIP");
    let jar = (0..archive.len()).find(|n| {
        archive.by_index(*n).is_ok_and(|file| file.name().is_ok_and(|name| name.ends_with(".jar")))
    });
    let mut content = Vec::new();
    let mut file = archive.by_index(jar.expect("a jar")).expect("an entry");
    file.read_to_end(&mut content).expect("readable");
    content
}
