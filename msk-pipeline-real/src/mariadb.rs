//! MariaDB in the place of Aurora `MySQL`.
//!
//! # What is as there
//! The parameters of the groups that MariaDB knows, the master user and its password, `mysql.rds_set_configuration` and
//! `mysql.rds_show_configuration`, TLS with a certificate for the endpoint.
//!
//! # What isn't
//! It is another server, which tells clients that it is MySQL 5.7.19: no GTIDs of `MySQL`'s form, no `caching_sha2_password`, no `performance_schema` by default, and a binary log
//! whose retention is `NULL` is not purged at all. The global read lock, which Aurora refuses everybody (handbook aws.md §4.9), is
//! had with RELOAD: MariaDB can't be made to refuse it alone, since the table locks that Debezium 2.7 falls back to,
//! `FLUSH TABLES … WITH READ LOCK`, take the same privilege.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use crate::account::own_name;
use crate::authority::Authority;
pub use crate::database::Spec;
use crate::error::{Error, Result};
use crate::files;
use crate::process::{Ledger, Program};
use crate::toolbox::MariaDb;

/// Some seconds are usual; a busy machine takes its time.
const START: Duration = Duration::from_mins(3);

/// A running server.
#[derive(Debug)]
pub struct Server {
    program: Program,
    client: PathBuf,
    options: PathBuf,
    /// Parameters that MariaDB doesn't have, in order.
    pub unknown: Vec<String>,
}

/// Where a cluster's server keeps what it has, below the plane's folder.
pub fn folder(plane: &Path, name: &str) -> PathBuf {
    plane.join("mariadb").join(name)
}

impl Server {
    /// Starts a server; the first time, with a fresh data folder. Ready when this returns.
    ///
    /// # Errors
    /// If it doesn't come up; what it said is in the error.
    pub async fn start(
        spec: &Spec,
        plane: &Path,
        tools: &MariaDb,
        authority: &Authority,
        ledger: &Arc<Ledger>,
    ) -> Result<Self> {
        let home = folder(plane, &spec.name);
        files::folder(&home)?;
        let user = own_name();
        let data = home.join("data");
        if !data.exists() {
            install(tools, &home, &data, &user).await?;
        }
        let known = known_variables(tools).await?;
        let (parameters, unknown) = split(&spec.parameters, &known);
        // The path of a Unix socket has 107 bytes at most; a world's folder may have more.
        let socket = std::env::temp_dir().join(format!("mskp-{}.sock", crate::short_digest(&home)));
        let (certificate, key) =
            authority.server_files(&format!("mariadb-{}", spec.name), &spec.endpoints)?;
        let options = home.join("server.cnf");
        let facts = Facts {
            user: &user,
            data: &data,
            socket: &socket,
            certificate: &certificate,
            key: &key,
            ca: &authority.pem_file(),
        };
        files::replace(&options, option_file(spec, &parameters, &facts))?;
        let mut command = Command::new(&tools.server);
        command.arg(format!("--defaults-file={}", options.display()));
        let log = home.join("server.log");
        let name = format!("MariaDB of {}", spec.name);
        let at = SocketAddr::from((spec.address, spec.port));
        let program = Program::start(&name, at, command, &log, ledger)?;
        let mut server = Self { program, client: tools.client.clone(), options, unknown };
        let (client, options) = (server.client.clone(), server.options.clone());
        server
            .program
            .wait_until(START, || async { sql(&client, &options, "SELECT 1").await.is_ok() })
            .await?;
        server.sql(&bootstrap(spec)).await?;
        Ok(server)
    }

    /// Runs statements as the administrator, over the server's own socket; rows come back tab-separated without a header.
    pub async fn sql(&self, statements: &str) -> Result<String> {
        sql(&self.client, &self.options, statements).await
    }

    /// Sets the master's password, as a rotation of the managed secret does.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<()> {
        let statement = format!(
            "SET sql_log_bin = 0; ALTER USER {}@'%' IDENTIFIED BY {};",
            quoted(user),
            quoted(password)
        );
        self.sql(&statement).await.map(drop)
    }

    /// Sets parameters that need no restart; answers with those that do.
    pub async fn set_parameters(
        &self,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Vec<String>> {
        let mut refused = Vec::new();
        for (name, value) in parameters {
            let statement = format!("SET GLOBAL {name} = {};", literal(value));
            if is_name(name) && self.sql(&statement).await.is_ok() {
                continue;
            }
            refused.push(name.clone());
        }
        Ok(refused)
    }

    /// # Errors
    /// If it isn't running any more.
    pub fn check(&mut self) -> Result<()> {
        self.program.check()
    }

    /// Its process.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Ends it in order.
    pub async fn stop(self) {
        self.program.stop().await;
    }
}

async fn install(tools: &MariaDb, home: &Path, data: &Path, user: &str) -> Result<()> {
    let fresh = home.join("data.new");
    files::remove_folder(&fresh)?;
    let output = tokio::process::Command::new(&tools.install)
        .arg("--no-defaults")
        .arg(format!("--datadir={}", fresh.display()))
        .arg(format!("--user={user}"))
        // The administrator is whoever runs this, known by the socket: there is no password to keep.
        .args(["--auth-root-authentication-method=socket", "--skip-test-db", "--skip-name-resolve"])
        .arg(format!("--auth-root-socket-user={user}"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Error::io("run", tools.install.display()))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let message = String::from_utf8_lossy(&said).trim().to_owned();
        return Err(Error::Prepare { program: "mariadb-install-db", message });
    }
    std::fs::rename(&fresh, data).map_err(Error::io("rename", fresh.display()))
}

/// The variables that this MariaDB has, with `_` in their names.
async fn known_variables(tools: &MariaDb) -> Result<BTreeSet<String>> {
    let output = tokio::process::Command::new(&tools.server)
        .args(["--no-defaults", "--help", "--verbose"])
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(Error::io("run", tools.server.display()))?;
    Ok(variables(&String::from_utf8_lossy(&output.stdout)))
}

/// The names in the table at the end of `mariadbd --help --verbose`.
fn variables(help: &str) -> BTreeSet<String> {
    let table = help.split("\n-----").nth(1).unwrap_or_default();
    let lines = table.lines().skip(1).take_while(|line| !line.trim().is_empty());
    lines.filter_map(|line| line.split_whitespace().next()).map(|n| n.replace('-', "_")).collect()
}

/// What is always as here, whatever a group says: it is about the machine and not about the data.
const OURS: &[&str] = &[
    "port",
    "socket",
    "datadir",
    "bind_address",
    "basedir",
    "tmpdir",
    "user",
    "pid_file",
    "log_error",
];

fn split(
    parameters: &BTreeMap<String, String>,
    known: &BTreeSet<String>,
) -> (BTreeMap<String, String>, Vec<String>) {
    let mut unknown = Vec::new();
    let mut taken = BTreeMap::new();
    for (name, value) in parameters {
        // OFF is Aurora's word for a server without a binary log, and no value of MariaDB's `binlog_format`.
        let off = name == "binlog_format" && value.eq_ignore_ascii_case("OFF");
        if off {
            continue;
        }
        if is_name(name)
            && known.contains(name)
            && !OURS.contains(&name.as_str())
            && !value.contains('\n')
        {
            taken.insert(name.clone(), value.clone());
        } else {
            unknown.push(name.clone());
        }
    }
    (taken, unknown)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

struct Facts<'a> {
    user: &'a str,
    data: &'a Path,
    socket: &'a Path,
    certificate: &'a Path,
    key: &'a Path,
    ca: &'a Path,
}

/// What the server tells clients that it is. Of a server that calls itself MariaDB, Debezium's binary log client wants MariaDB's own GTID events;
/// transactions then begin without the `BEGIN` by which its MySQL connector counts, and each restart of a task skips one that it has not
/// read. To a MySQL replica MariaDB sends `BEGIN`. Newer versions are asked for variables that MariaDB 10 lacks
/// (`transaction_isolation`, from 5.7.20 on).
const MYSQL: &str = "5.7.19-log";

/// A small server: what Aurora has by default and Debezium needs, then the groups' parameters, which win, then what can't be otherwise.
fn option_file(spec: &Spec, parameters: &BTreeMap<String, String>, facts: &Facts<'_>) -> String {
    let format = spec.parameters.get("binlog_format");
    // Aurora's default is OFF (handbook aws.md §4.9).
    let logs = format.is_some_and(|f| !f.eq_ignore_ascii_case("OFF"));
    let mut lines = vec![
        "[mysqld]".to_owned(),
        "server_id=1".into(),
        format!("version={MYSQL}"),
        "character_set_server=utf8mb4".into(),
        "innodb_buffer_pool_size=32M".into(),
        "key_buffer_size=1M".into(),
        "aria_pagecache_buffer_size=1M".into(),
        "performance_schema=OFF".into(),
    ];
    lines.extend(parameters.iter().map(|(name, value)| format!("{name}={value}")));
    if logs {
        lines.extend(["log_bin=mysql-bin-changelog".into(), "log_bin_compress=OFF".into()]);
    } else {
        lines.push("skip_log_bin".into());
    }
    lines.extend([
        format!("user={}", facts.user),
        format!("datadir={}", facts.data.display()),
        format!("socket={}", facts.socket.display()),
        format!("bind_address={}", spec.address),
        format!("port={}", spec.port),
        "pid_file=server.pid".into(),
        "skip_name_resolve".into(),
        "event_scheduler=ON".into(),
        format!("ssl_cert={}", facts.certificate.display()),
        format!("ssl_key={}", facts.key.display()),
        format!("ssl_ca={}", facts.ca.display()),
        "[client]".into(),
        format!("socket={}", facts.socket.display()),
        format!("user={}", facts.user),
    ]);
    lines.join("\n") + "\n"
}

/// What a master user may on Aurora `MySQL`, as far as MariaDB has it ("Master user account privileges", Aurora user guide).
const MASTER: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER";

/// Makes the server what a fresh Aurora is; harmless when repeated. Nothing of it is in the binary log.
fn bootstrap(spec: &Spec) -> String {
    let master = format!("{}@'%'", quoted(&spec.master));
    let database = spec.database.as_ref().map_or_else(String::new, |name| {
        format!("CREATE DATABASE IF NOT EXISTS `{}`;\n", name.replace('`', "``"))
    });
    format!(
        "SET sql_log_bin = 0;
DELETE FROM mysql.global_priv WHERE User = '';
FLUSH PRIVILEGES;
CREATE USER IF NOT EXISTS {master};
ALTER USER {master} IDENTIFIED BY {password};
GRANT {MASTER} ON *.* TO {master} WITH GRANT OPTION;
{database}CREATE TABLE IF NOT EXISTS mysql.rds_configuration (name VARCHAR(100) PRIMARY KEY, value VARCHAR(100), description VARCHAR(300) NOT NULL);
INSERT IGNORE INTO mysql.rds_configuration VALUES ('binlog retention hours', NULL, 'binlog retention hours specifies the duration in hours before binary logs are automatically deleted.');
DELIMITER //
CREATE OR REPLACE PROCEDURE mysql.rds_show_configuration() SQL SECURITY DEFINER
  SELECT name, value, description FROM mysql.rds_configuration//
CREATE OR REPLACE PROCEDURE mysql.rds_set_configuration(IN wanted VARCHAR(100), IN given INT) SQL SECURITY DEFINER
BEGIN
  SET SESSION sql_log_bin = 0;
  IF wanted <> 'binlog retention hours' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Invalid configuration parameter';
  ELSEIF given IS NOT NULL AND (given < 1 OR given > 2160) THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'For binlog retention hours the value must be between 1 and 2160 inclusive or be NULL';
  END IF;
  UPDATE mysql.rds_configuration SET value = given WHERE name = wanted;
  SET GLOBAL binlog_expire_logs_seconds = COALESCE(given, 0) * 3600;
END//
DELIMITER ;
SET GLOBAL binlog_expire_logs_seconds = (SELECT CAST(COALESCE(value, 0) AS UNSIGNED) * 3600 FROM mysql.rds_configuration WHERE name = 'binlog retention hours');
GRANT EXECUTE ON PROCEDURE mysql.rds_show_configuration TO {master} WITH GRANT OPTION;
GRANT EXECUTE ON PROCEDURE mysql.rds_set_configuration TO {master} WITH GRANT OPTION;
",
        password = quoted(&spec.password),
    )
}

async fn sql(client: &Path, options: &Path, statements: &str) -> Result<String> {
    let mut child = tokio::process::Command::new(client)
        .arg(format!("--defaults-file={}", options.display()))
        .args(["--batch", "--skip-column-names", "mysql"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::io("run", client.display()))?;
    let mut input = child.stdin.take().expect("piped");
    let statements = statements.to_owned();
    // Passwords are in here: they go through the pipe and stand in no argument. The client may refuse before it has read all.
    let write = tokio::spawn(async move { drop(input.write_all(statements.as_bytes()).await) });
    let output = child.wait_with_output().await.map_err(Error::io("run", client.display()))?;
    let _ = write.await;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(refused(&output.stderr))
}

fn refused(said: &[u8]) -> Error {
    Error::Sql { server: "MariaDB", message: String::from_utf8_lossy(said).trim().to_owned() }
}

/// A string literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A value for `SET GLOBAL`: numbers and words as they are.
fn literal(value: &str) -> String {
    let plain = !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain { value.to_owned() } else { quoted(value) }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn spec(parameters: &[(&str, &str)]) -> Spec {
        Spec {
            name: "orders".into(),
            address: Ipv4Addr::new(127, 70, 1, 9),
            port: 3306,
            endpoints: BTreeSet::new(),
            parameters: parameters
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            master: "admin".into(),
            password: "it's \\ secret".into(),
            database: Some("shop".into()),
        }
    }

    fn options(spec: &Spec) -> String {
        let known = ["binlog_format", "binlog_row_image", "max_connections", "port"]
            .map(String::from)
            .into();
        let (parameters, _) = split(&spec.parameters, &known);
        let path = Path::new("/x");
        let facts =
            Facts { user: "me", data: path, socket: path, certificate: path, key: path, ca: path };
        option_file(spec, &parameters, &facts)
    }

    #[test]
    fn parameters_are_taken_over_or_named() {
        let spec = spec(&[
            ("binlog_format", "ROW"),
            ("aurora_parallel_query", "ON"),
            ("port", "1"),
            ("x;y", "1"),
        ]);
        let known = ["binlog_format", "port"].map(String::from).into();
        let (taken, unknown) = split(&spec.parameters, &known);
        assert_eq!(taken.keys().collect::<Vec<_>>(), ["binlog_format"]);
        assert_eq!(unknown, ["aurora_parallel_query", "port", "x;y"]);
        let text = options(&spec);
        assert!(
            text.contains("binlog_format=ROW\n")
                && text.contains("log_bin=")
                && text.contains("port=3306\n")
        );
    }

    #[test]
    fn without_a_format_there_is_no_binary_log_as_on_aurora() {
        for parameters in [&[][..], &[("binlog_format", "OFF")]] {
            let text = options(&spec(parameters));
            assert!(text.contains("skip_log_bin\n") && !text.contains("log_bin="), "{text}");
            assert!(!text.contains("binlog_format"), "MariaDB knows no OFF: {text}");
        }
    }

    #[test]
    fn secrets_are_literals_and_shown_nowhere() {
        let spec = spec(&[]);
        assert!(bootstrap(&spec).contains("IDENTIFIED BY 'it''s \\\\ secret';"));
        assert!(!format!("{spec:?}").contains("secret"));
        assert!(!options(&spec).contains("secret"));
    }

    #[test]
    fn the_table_of_variables_is_read() {
        let help = "x\n\nVariables (--variable-name=value)\nand boolean options {FALSE|TRUE}     Value (after reading options)\n------------------------------------ -----------\nbinlog-format        MIXED\nport                 3306\n\nTo see\n";
        assert_eq!(variables(help), ["binlog_format", "port"].map(String::from).into());
    }
}
