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
//! others (`roles::REPLICATION`): a GRANT takes effect within a second, and `rolreplication` is true of members, which it isn't on RDS
//! (toluaina/pgsync#16).
//!
//! `CREATE PUBLICATION … FOR ALL TABLES` wants a superuser here; on RDS `rds_superuser` will do (neondatabase/neon#6229). Text sorts by bytes (locale C). There is no
//! Aurora storage: WAL is kept in files, by the size that `max_wal_size` and slots give it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::account::Account;
use crate::authority::Authority;
pub use crate::database::Spec;
use crate::error::{Error, Result};
use crate::files;
use crate::process::{Ends, Ledger, Program};
use crate::toolbox::Postgres;

mod place;
mod roles;
mod session;

use place::Place;
use session::{open, rows};

/// Some seconds are usual; a busy machine takes its time.
const START: Duration = Duration::from_mins(3);
/// How long the processes of a killed server may take to notice: until then its memory is in use.
const ORPHANS: Duration = Duration::from_secs(20);
/// How long a look at that waits for the next one.
const LOOK: Duration = Duration::from_millis(100);
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
        let administrator = open(&place).await?;
        roles::bootstrap(&administrator, spec).await?;
        if !place.prepared().exists() {
            roles::make_database(&administrator, spec).await?;
            files::replace(&place.prepared(), "")?;
        }
        let follower = tokio::spawn(roles::follow(place.clone()));
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
        rows(&open(&self.place).await?, statements).await
    }

    /// Sets the master's password, as a rotation of the managed secret does.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<()> {
        roles::set_password(&open(&self.place).await?, user, password).await
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
        self.place.leave();
    }
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
        let ready = || async { open(place).await.is_ok() };
        match program.wait_until(START, ready).await {
            Ok(()) => return Ok(program),
            Err(Error::Ended { tail, .. })
                if tail.contains("pre-existing shared memory block")
                    && begun.elapsed() < ORPHANS =>
            {
                tokio::time::sleep(LOOK).await;
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    pub(super) fn spec(parameters: &[(&str, &str)]) -> Spec {
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
}
