//! The binary in a folder of its own, for tests.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A cluster in a network that every embedded AWS has: the smallest pipeline.
pub const SMALL: &str = r#"
[pipeline]
name = "orders"
region = "us-east-1"
[network]
vpc = { tags = { Name = "default-vpc" } }
[kafka.main]
"#;

/// A folder with this as its `pipeline.toml`.
pub fn with_file(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("pipeline.toml"), text).expect("written");
    folder
}

/// [`SMALL`] with a database and a connector, whose plugin lies in a file.
pub fn connector_file() -> String {
    let source = r#"[database.orders]
engine = "aurora-mysql"
[connector.orders]
source = "orders"
tables = ["shop.orders"]
plugin = { file = "plugin.zip" }
"#;
    format!("{SMALL}{source}")
}

/// A folder with that, and with a plugin that no test has to fetch.
pub fn with_connector() -> tempfile::TempDir {
    let folder = with_file(&connector_file());
    let class = "io.debezium.connector.mysql.MySqlConnector";
    let services = "META-INF/services/org.apache.kafka.connect.source.SourceConnector";
    let path = format!("{}.class", class.replace('.', "/"));
    let compiled = [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 55];
    let jar = zipped(&[(services, class.as_bytes()), (&path, &compiled)]);
    let plugin = zipped(&[("mysql/connector.jar", &jar)]);
    fs::write(folder.path().join("plugin.zip"), plugin).expect("written");
    folder
}

fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).expect("a file");
        zip.write_all(bytes).expect("written");
    }
    zip.finish().expect("a ZIP").into_inner()
}

/// [`SMALL`] with its state at `place`.
pub fn with_state(place: &str) -> String {
    SMALL.replace("[network]", &format!("state = \"{place}\"\n[network]"))
}

pub fn command(folder: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-pipeline"));
    for (name, _) in
        std::env::vars().filter(|(n, _)| n.starts_with("MSKP_") || n.starts_with("AWS_"))
    {
        command.env_remove(name);
    }
    // The user's cache folder is none of a test's.
    command.env("XDG_CACHE_HOME", folder.join("cache"));
    command.env_remove("CI").current_dir(folder).args(args.split_whitespace()).stdin(Stdio::null());
    command
}

pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs and checks the exit code.
#[track_caller]
pub fn expect(folder: &Path, args: &str, code: i32) -> Output {
    let output = command(folder, args).output().expect("runs");
    assert_eq!(output.status.code(), Some(code), "{args}\n{}{}", out(&output), err(&output));
    output
}
