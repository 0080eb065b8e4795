//! PostgreSQL in the place of Aurora PostgreSQL.
//!
//! # What is as there
//! The parameters of the groups that PostgreSQL knows, `wal_level` by `rds.logical_replication`, TLS with a certificate for the endpoint and
//! its enforcement by `rds.force_ssl`, SCRAM, and a master user that is no superuser: it has CREATEROLE and CREATEDB, owns the database that
//! is made with the cluster and the database `postgres`, and is a member of `rds_superuser`, and so of `rds_replication`, `rds_password`,
//! `pg_monitor` and `pg_signal_backend` (Aurora user guide, "Understanding the `rds_superuser` role"). The superuser is `rdsadmin`, who comes over
//! the server's own socket alone.
//!
//! # What isn't
//! On Aurora a member of `rds_replication` may replicate. A community server asks for the role's own attribute REPLICATION, in the walsender
//! and in the functions for slots, and no attribute is inherited; neither event triggers, which don't fire for roles, nor triggers, which
//! catalogues don't have, see a GRANT. So the driver looks four times a second, and gives the attribute to the members and takes it from all
//! others ([`REPLICATION`]): a GRANT takes effect within a second, and `rolreplication` is true of members, which it isn't on Aurora.
//!
//! `CREATE PUBLICATION … FOR ALL TABLES` wants a superuser here; on Aurora `rds_superuser` will do. Text sorts by bytes (locale C). There is no
//! Aurora storage: WAL is kept in files, by the size that `max_wal_size` and slots give it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::account::{Account, own_name};
use crate::authority::Authority;
pub use crate::database::Spec;
use crate::error::{Error, Result};
use crate::files;
use crate::process::{Ends, Ledger, Program};
use crate::toolbox::Postgres;

/// Some seconds are usual; a busy machine takes its time.
const START: Duration = Duration::from_mins(3);
/// How long the processes of a killed server may take to notice: until then its memory is in use.
const ORPHANS: Duration = Duration::from_secs(20);
/// How often membership of `rds_replication` is looked at.
const FOLLOW: Duration = Duration::from_millis(250);
/// The superuser, as on RDS.
const ADMINISTRATOR: &str = "rdsadmin";
/// A database that is always there.
const ALWAYS: &str = "postgres";

/// A running server.
#[derive(Debug)]
pub struct Server {
    program: Program,
    place: Place,
    version: String,
    known: BTreeSet<String>,
    follower: JoinHandle<()>,
    /// Parameters that PostgreSQL doesn't have or that are not taken over, in order.
    pub unknown: Vec<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// Where a cluster's server keeps what it has, below the plane's folder.
pub fn folder(plane: &Path, name: &str) -> PathBuf {
    plane.join("postgres").join(name)
}

/// The file that names a server to `psql`, in its folder: `PGSERVICEFILE=… psql service=aurora` is a session of the master.
pub fn service_file(home: &Path) -> PathBuf {
    home.join("client.conf")
}

impl Server {
    /// Starts a server; the first time, with a fresh data folder. Ready when this returns.
    ///
    /// # Errors
    /// If it doesn't come up; what it said is in the error.
    pub async fn start(
        spec: &Spec,
        plane: &Path,
        tools: &Postgres,
        authority: &Authority,
        ledger: &Arc<Ledger>,
    ) -> Result<Self> {
        let account = Account::unprivileged(|absent| tools.setpriv.clone().ok_or(absent.into()))?;
        let home = folder(plane, &spec.name);
        files::folder(&home)?;
        account.own(&home)?;
        let place = Place::prepare(home, spec, account, authority)?;
        if !place.data().exists() {
            install(tools, &place).await?;
        }
        let known = known_parameters(tools).await?;
        let version = version(tools).await?;
        let unknown = place.configure(spec, &known)?;
        let program = launch(spec, tools, &place, ledger).await?;
        bootstrap(&place.administrator().await?, spec).await?;
        let follower = tokio::spawn(follow(place.clone()));
        Ok(Self { program, place, version, known, follower, unknown })
    }

    /// What in it is otherwise than on Aurora at this `version` of the engine.
    pub(crate) fn differences(&self, version: &str) -> Vec<String> {
        if self.version == version {
            return Vec::new();
        }
        let ours = &self.version;
        vec![format!("PostgreSQL {ours} runs, whatever version is asked for (it is {version})")]
    }

    /// Runs statements as the administrator in the database `postgres`, over the server's own socket; rows come back tab-separated
    /// without a header.
    pub async fn sql(&self, statements: &str) -> Result<String> {
        rows(&self.place.administrator().await?, statements).await
    }

    /// Sets the master's password, as a rotation of the managed secret does.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<()> {
        let statement =
            format!("ALTER ROLE {} PASSWORD {}", identifier(user), literal(&verifier(password)));
        self.sql(&statement).await.map(drop)
    }

    /// Takes over the parameters of `spec` that need no restart.
    pub async fn set_parameters(&self, spec: &Spec) -> Result<()> {
        self.place.configure(spec, &self.known)?;
        self.sql("SELECT pg_reload_conf()").await.map(drop)
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

    /// Ends it in order: sessions are ended, not waited for.
    pub async fn stop(mut self) {
        self.follower.abort();
        // It has ended when this returns, and its session with it.
        let _ = (&mut self.follower).await;
        self.program.end().await;
    }
}

/// A server's files, and who owns them.
#[derive(Debug, Clone)]
struct Place {
    home: PathBuf,
    account: Account,
    /// The folder of its socket.
    socket: PathBuf,
    port: u16,
    certificate: PathBuf,
    key: PathBuf,
}

impl Place {
    fn prepare(
        home: PathBuf,
        spec: &Spec,
        account: Account,
        authority: &Authority,
    ) -> Result<Self> {
        let (certificate, key) =
            authority.server_files(&format!("postgres-{}", spec.name), &spec.endpoints)?;
        account.own(&certificate)?;
        account.own(&key)?;
        let socket = socket_folder(&home, &std::env::temp_dir());
        if socket != home {
            files::folder(&socket)?;
            account.own(&socket)?;
        }
        Ok(Self { home, account, socket, port: spec.port, certificate, key })
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    fn options(&self) -> PathBuf {
        self.home.join("server.conf")
    }

    /// Writes the server's configuration; answers with the parameters that are not taken over.
    fn configure(&self, spec: &Spec, known: &BTreeSet<String>) -> Result<Vec<String>> {
        let (parameters, unknown) = split(&spec.parameters, known);
        let write = |name: &str, content: String| {
            let path = self.home.join(name);
            files::replace(&path, content)?;
            self.account.own(&path)
        };
        write("hba.conf", access(spec))?;
        write("ident.conf", identities(&own_name(), &spec.master))?;
        write("server.conf", self.option_file(spec, &parameters))?;
        // Ours, not the server's.
        files::replace(&service_file(&self.home), self.service(spec))?;
        Ok(unknown)
    }

    /// A small server: what Aurora has by default, then the groups' parameters, which win, then what can't be otherwise.
    fn option_file(&self, spec: &Spec, parameters: &BTreeMap<String, String>) -> String {
        let set = |name: &str, value: &str| format!("{name} = {}", quoted(value));
        let path = |name: &str, path: &Path| set(name, &path.to_string_lossy());
        let logical = spec.parameters.get("rds.logical_replication").is_some_and(|v| v == "1");
        let mut lines: Vec<String> =
            DEFAULTS.iter().map(|(name, value)| set(name, value)).collect();
        lines.extend(parameters.iter().map(|(name, value)| set(name, value)));
        lines.extend([
            set("wal_level", if logical { "logical" } else { "replica" }),
            set("listen_addresses", &spec.address.to_string()),
            set("port", &spec.port.to_string()),
            path("unix_socket_directories", &self.socket),
            path("data_directory", &self.data()),
            path("hba_file", &self.home.join("hba.conf")),
            path("ident_file", &self.home.join("ident.conf")),
            set("ssl", "on"),
            path("ssl_cert_file", &self.certificate),
            path("ssl_key_file", &self.key),
            set("password_encryption", "scram-sha-256"),
            set("log_destination", "stderr"),
            set("logging_collector", "off"),
        ]);
        lines.join("\n") + "\n"
    }

    fn service(&self, spec: &Spec) -> String {
        let Self { socket, port, .. } = self;
        let database = spec.database.as_deref().unwrap_or(ALWAYS);
        let Spec { master, .. } = spec;
        format!(
            "[aurora]\nhost={}\nport={port}\nuser={master}\ndbname={database}\n",
            socket.display()
        )
    }

    /// A session of the superuser.
    async fn administrator(&self) -> Result<Client> {
        let connected = tokio_postgres::Config::new()
            .host_path(&self.socket)
            .port(self.port)
            .user(ADMINISTRATOR)
            .dbname(ALWAYS)
            .application_name("rdsadmin")
            .connect(NoTls)
            .await;
        let (client, connection) = connected.map_err(refused)?;
        // It ends with the client; what ends it earlier is told by the next statement.
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }
}

/// The path of a Unix socket has 107 bytes at most; a world's folder may have more.
fn socket_folder(home: &Path, temporary: &Path) -> PathBuf {
    let longest = home.join(".s.PGSQL.65535");
    if longest.as_os_str().len() <= 107 {
        return home.to_owned();
    }
    temporary.join(format!("mskp-{}", crate::short_digest(home)))
}

async fn install(tools: &Postgres, place: &Place) -> Result<()> {
    let fresh = place.home.join("data.new");
    files::remove_folder(&fresh)?;
    let mut command = place.account.command(&tools.initdb);
    command
        .arg("--pgdata")
        .arg(&fresh)
        .arg(format!("--username={ADMINISTRATOR}"))
        .args(["--encoding=UTF8", "--locale=C"])
        // Who comes how is in a file of ours, which is not in this folder.
        .args(["--auth-local=peer", "--auth-host=reject"])
        .current_dir(&place.home)
        .stdin(Stdio::null());
    let output = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Error::io("run", tools.initdb.display()))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Prepare { program: "initdb", message });
    }
    std::fs::rename(&fresh, place.data()).map_err(Error::io("rename", fresh.display()))
}

/// Starts the program and waits until it takes sessions.
async fn launch(
    spec: &Spec,
    tools: &Postgres,
    place: &Place,
    ledger: &Arc<Ledger>,
) -> Result<Program> {
    let begun = Instant::now();
    let name = format!("PostgreSQL of {}", spec.name);
    let at = SocketAddr::from((spec.address, spec.port));
    let log = place.home.join("server.log");
    loop {
        let mut command = place.account.command(&tools.server);
        command.arg("-c").arg(format!("config_file={}", place.options().display()));
        command.current_dir(&place.home);
        let mut program = Program::start_ended(Ends::Interrupt, &name, at, command, &log, ledger)?;
        let ready = || async { place.administrator().await.is_ok() };
        match program.wait_until(START, ready).await {
            Ok(()) => return Ok(program),
            Err(Error::Ended { tail, .. })
                if tail.contains("pre-existing shared memory block")
                    && begun.elapsed() < ORPHANS =>
            {
                tokio::time::sleep(FOLLOW).await;
            }
            Err(e) => return Err(e),
        }
    }
}

async fn said(tools: &Postgres, argument: &str) -> Result<String> {
    let output = tokio::process::Command::new(&tools.server)
        .arg(argument)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(Error::io("run", tools.server.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The parameters that this PostgreSQL has.
async fn known_parameters(tools: &Postgres) -> Result<BTreeSet<String>> {
    let table = said(tools, "--describe-config").await?;
    let names = table.lines().filter_map(|line| line.split('\t').next());
    Ok(names.map(|name| name.to_ascii_lowercase()).collect())
}

/// `15.18` of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
async fn version(tools: &Postgres) -> Result<String> {
    let line = said(tools, "--version").await?;
    Ok(line.split_whitespace().nth(2).unwrap_or_default().to_owned())
}

/// What Aurora has by default where PostgreSQL has something else (handbook aws.md §4.10 and the families of the embedded RDS), and a small
/// memory.
const DEFAULTS: &[(&str, &str)] = &[
    ("shared_buffers", "32MB"),
    ("huge_pages", "off"),
    ("max_wal_size", "256MB"),
    ("min_wal_size", "32MB"),
    ("max_replication_slots", "20"),
    ("max_wal_senders", "20"),
    ("idle_in_transaction_session_timeout", "86400000"),
    ("track_activity_query_size", "4096"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("datestyle", "iso, mdy"),
    ("lc_messages", "C"),
];

/// What is always as here, whatever a group says: it is about the machine and not about the data.
const OURS: &[&str] = &[
    "allow_system_table_mods",
    "archive_command",
    "archive_library",
    "bonjour",
    "config_file",
    "data_directory",
    "external_pid_file",
    "hba_file",
    "huge_pages",
    "ident_file",
    "listen_addresses",
    "log_destination",
    "log_directory",
    "log_filename",
    "logging_collector",
    "port",
    // A library that isn't on this machine keeps the server from starting.
    "local_preload_libraries",
    "session_preload_libraries",
    "shared_preload_libraries",
    "ssl",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_crl_file",
    "ssl_key_file",
    "unix_socket_directories",
    "unix_socket_group",
    "unix_socket_permissions",
    "wal_level",
];

/// Parameters of RDS that have their meaning here, in another form.
const TRANSLATED: &[&str] = &["rds.logical_replication", "rds.force_ssl"];

/// Parameters that are taken over, and names of those that aren't. A formula of RDS stands for the memory of an instance class.
fn split(
    parameters: &BTreeMap<String, String>,
    known: &BTreeSet<String>,
) -> (BTreeMap<String, String>, Vec<String>) {
    let mut unknown = Vec::new();
    let mut taken = BTreeMap::new();
    for (name, value) in parameters {
        if TRANSLATED.contains(&name.as_str()) {
            continue;
        }
        if known.contains(name) && !OURS.contains(&name.as_str()) && !value.contains(['\n', '{']) {
            taken.insert(name.clone(), value.clone());
        } else {
            unknown.push(name.clone());
        }
    }
    (taken, unknown)
}

/// Who comes how (`pg_hba.conf`): the administrator and the master from the account that runs the plane, over the socket; everybody
/// else, and the master, with a password over loopback. Without TLS only where `rds.force_ssl` is 0 in so many words.
fn access(spec: &Spec) -> String {
    let plain = spec.parameters.get("rds.force_ssl").is_some_and(|value| value == "0");
    let host = if plain { "host" } else { "hostssl" };
    let master = &spec.master;
    format!(
        "local all \"{ADMINISTRATOR}\" peer map=plane\n\
         local all \"{master}\" peer map=plane\n\
         host all \"{ADMINISTRATOR}\" all reject\n\
         {host} all all 127.0.0.0/8 scram-sha-256\n"
    )
}

/// The account that runs the plane is the administrator, and the master, to the socket (`pg_ident.conf`).
fn identities(own: &str, master: &str) -> String {
    format!("plane \"{own}\" \"{ADMINISTRATOR}\"\nplane \"{own}\" \"{master}\"\n")
}

/// A string of the configuration file.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A string literal of SQL, whatever `standard_conforming_strings` is.
fn literal(text: &str) -> String {
    let text = text.replace('\'', "''");
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\"))
    } else {
        format!("'{text}'")
    }
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What the server keeps of a password. Statements may be logged; a password is in none of ours.
fn verifier(password: &str) -> String {
    postgres_protocol::password::scram_sha_256(password.as_bytes())
}

/// Makes the server what a fresh Aurora is; harmless when repeated.
async fn bootstrap(administrator: &Client, spec: &Spec) -> Result<()> {
    rows(administrator, &roles(spec)).await?;
    let Some(database) = spec.database.as_deref().filter(|name| *name != ALWAYS) else {
        return Ok(());
    };
    let found = format!("SELECT 1 FROM pg_database WHERE datname = {}", literal(database));
    if rows(administrator, &found).await?.is_empty() {
        let (database, master) = (identifier(database), identifier(&spec.master));
        rows(administrator, &format!("CREATE DATABASE {database} OWNER {master}")).await?;
    }
    Ok(())
}

/// The roles of a fresh Aurora, as far as somebody can tell that they are there.
fn roles(spec: &Spec) -> String {
    let master = identifier(&spec.master);
    let named = literal(&spec.master);
    let password = literal(&verifier(&spec.password));
    format!(
        "DO $roles$
DECLARE one text;
BEGIN
  FOREACH one IN ARRAY ARRAY['rds_superuser', 'rds_replication', 'rds_password', {named}] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = one) THEN
      EXECUTE format('CREATE ROLE %I', one);
    END IF;
  END LOOP;
END
$roles$;
GRANT rds_replication, rds_password, pg_monitor, pg_signal_backend TO rds_superuser WITH ADMIN OPTION;
GRANT rds_superuser TO {master} WITH ADMIN OPTION;
ALTER ROLE {master} LOGIN NOSUPERUSER CREATEDB CREATEROLE PASSWORD {password} VALID UNTIL 'infinity';
ALTER DATABASE {ALWAYS} OWNER TO {master};
{REPLICATION}"
    )
}

/// Gives the attribute REPLICATION to the members of `rds_replication`, and takes it from everybody else but superusers.
const REPLICATION: &str = "DO $replication$
DECLARE one record;
BEGIN
  FOR one IN
    SELECT rolname, member FROM (
      SELECT rolname, rolreplication, pg_has_role(oid, 'rds_replication', 'MEMBER') AS member
      FROM pg_roles WHERE NOT rolsuper AND rolname <> 'rds_replication'
    ) roles WHERE rolreplication <> member
  LOOP
    EXECUTE format('ALTER ROLE %I %s', one.rolname, CASE WHEN one.member THEN 'REPLICATION' ELSE 'NOREPLICATION' END);
  END LOOP;
END
$replication$;";

/// Lets membership of `rds_replication` mean what it means on RDS, for as long as the server runs.
async fn follow(place: Place) {
    loop {
        if let Ok(administrator) = place.administrator().await {
            // A role may go between the look and its change.
            while rows(&administrator, REPLICATION).await.is_ok() {
                tokio::time::sleep(FOLLOW).await;
            }
        }
        tokio::time::sleep(FOLLOW).await;
    }
}

async fn rows(client: &Client, statements: &str) -> Result<String> {
    let messages = client.simple_query(statements).await.map_err(refused)?;
    let mut out = String::new();
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            let cells = (0..row.len()).map(|n| row.get(n).unwrap_or("NULL"));
            out += &(cells.collect::<Vec<_>>().join("\t") + "\n");
        }
    }
    Ok(out)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn refused(error: tokio_postgres::Error) -> Error {
    // The server's words and never the statement.
    let message = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
    Error::Sql { server: "PostgreSQL", message }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn spec(parameters: &[(&str, &str)]) -> Spec {
        Spec {
            name: "orders".into(),
            address: Ipv4Addr::new(127, 70, 1, 9),
            port: 5432,
            endpoints: BTreeSet::new(),
            parameters: parameters
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            master: "postgres".into(),
            password: "it's \\ secret".into(),
            database: Some("shop".into()),
        }
    }

    fn options(spec: &Spec) -> String {
        let known = ["max_replication_slots", "port", "application_name"].map(String::from).into();
        let (parameters, _) = split(&spec.parameters, &known);
        let path = PathBuf::from("/x");
        let place = Place {
            home: path.clone(),
            account: Account::Own,
            socket: path.clone(),
            port: spec.port,
            certificate: path.clone(),
            key: path,
        };
        place.option_file(spec, &parameters)
    }

    #[test]
    fn parameters_are_taken_over_or_named() {
        let spec = spec(&[
            ("application_name", "it's"),
            ("max_replication_slots", "7"),
            ("port", "1"),
            ("rds.logical_replication", "1"),
            ("rds.logical_wal_cache", "1"),
            ("shared_buffers", "{DBInstanceClassMemory/32768}"),
        ]);
        let known = ["application_name", "max_replication_slots", "port", "shared_buffers"];
        let (taken, unknown) = split(&spec.parameters, &known.map(String::from).into());
        assert_eq!(taken.keys().collect::<Vec<_>>(), ["application_name", "max_replication_slots"]);
        assert_eq!(unknown, ["port", "rds.logical_wal_cache", "shared_buffers"]);
        let text = options(&spec);
        let last = |name: &str| {
            let prefix = format!("{name} = ");
            text.lines().rev().find_map(|line| line.strip_prefix(&prefix)).map(str::to_owned)
        };
        assert_eq!(last("application_name").as_deref(), Some("'it''s'"));
        assert_eq!(last("max_replication_slots").as_deref(), Some("'7'"));
        assert_eq!(last("port").as_deref(), Some("'5432'"));
        assert_eq!(last("wal_level").as_deref(), Some("'logical'"));
    }

    #[test]
    fn without_logical_replication_there_is_none_as_on_aurora() {
        for parameters in
            [&[][..], &[("rds.logical_replication", "0")], &[("wal_level", "logical")]]
        {
            let text = options(&spec(parameters));
            assert!(text.contains("wal_level = 'replica'\n"), "{text}");
            assert!(!text.contains("logical'"), "{text}");
        }
    }

    #[test]
    fn everybody_has_a_password_and_tls_but_where_the_group_says_otherwise() {
        let rules = access(&spec(&[]));
        assert!(rules.contains("\nhostssl all all 127.0.0.0/8 scram-sha-256\n"), "{rules}");
        assert!(access(&spec(&[("rds.force_ssl", "1")])).contains("\nhostssl all all"));
        let plain = access(&spec(&[("rds.force_ssl", "0")]));
        assert!(plain.contains("\nhost all all 127.0.0.0/8 scram-sha-256\n"), "{plain}");
        for rules in [rules, plain] {
            assert!(!rules.contains("trust"), "{rules}");
            for line in rules.lines().filter(|line| line.contains("peer")) {
                assert!(line.starts_with("local ") && !line.contains("local all all"), "{rules}");
            }
        }
    }

    #[test]
    fn secrets_are_in_no_statement_and_shown_nowhere() {
        let spec = spec(&[]);
        let statements = roles(&spec);
        assert!(statements.contains("PASSWORD 'SCRAM-SHA-256$4096:"), "{statements}");
        for text in [statements, format!("{spec:?}"), options(&spec)] {
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn a_socket_has_a_short_path() {
        let short = Path::new("/home/me/orders/.msk-pipeline/world/plane/postgres/orders");
        assert_eq!(socket_folder(short, Path::new("/tmp")), short);
        let long = Path::new("/home/me").join("x".repeat(90));
        let found = socket_folder(&long, Path::new("/tmp"));
        assert!(found.starts_with("/tmp/") && found.join(".s.PGSQL.65535").as_os_str().len() < 108);
        assert_ne!(found, socket_folder(&long.join("y"), Path::new("/tmp")));
    }
}
