//! What the servers behind Aurora clusters have in common: one concept for both engines, one file for each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use msk_pipeline_emulator::plane::Engine;

use crate::authority::Authority;
use crate::error::{Error, Result};
use crate::process::{Ledger, Program};
use crate::toolbox::Toolbox;
use crate::{mariadb, postgres};

/// What a server is started with.
#[derive(Clone, PartialEq, Eq)]
pub struct Spec {
    /// The cluster's identifier.
    pub name: String,
    /// Where it listens.
    pub address: Ipv4Addr,
    /// With which port.
    pub port: u16,
    /// The names under which it is reached, for its certificate.
    pub endpoints: BTreeSet<String>,
    /// The parameters of its groups.
    pub parameters: BTreeMap<String, String>,
    /// The master user.
    pub master: String,
    /// Its password.
    pub password: String,
    /// The database that is made with the cluster.
    pub database: Option<String>,
}

impl std::fmt::Debug for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, address, port, parameters, master, .. } = self;
        write!(f, "{name} at {address}:{port} for {master} with {parameters:?}")
    }
}

/// Where a cluster's server keeps what it has, below the plane's folder.
pub fn folder(engine: Engine, plane: &Path, name: &str) -> PathBuf {
    match engine {
        Engine::MySql => mariadb::folder(plane, name),
        Engine::PostgreSql => postgres::folder(plane, name),
    }
}

/// A running server.
#[derive(Debug)]
pub enum Server {
    /// Of an Aurora `MySQL`.
    MariaDb(mariadb::Server),
    /// Of an Aurora PostgreSQL.
    Postgres(postgres::Server),
}

impl Server {
    /// Starts a server; the first time, with a fresh data folder. Ready when this returns.
    ///
    /// # Errors
    /// If its programs are missing, or it doesn't come up; what it said is in the error.
    pub async fn start(
        engine: Engine,
        spec: &Spec,
        plane: &Path,
        toolbox: &Toolbox,
        authority: &Authority,
        ledger: &Arc<Ledger>,
    ) -> Result<Self> {
        Ok(match engine {
            Engine::MySql => {
                let tools = toolbox.mariadb.as_ref().map_err(|absent| Error::from(*absent))?;
                Self::MariaDb(mariadb::Server::start(spec, plane, tools, authority, ledger).await?)
            }
            Engine::PostgreSql => {
                let tools = toolbox.postgres.as_ref().map_err(|absent| Error::from(*absent))?;
                Self::Postgres(
                    postgres::Server::start(spec, plane, tools, authority, ledger).await?,
                )
            }
        })
    }

    /// What in it is otherwise than on Aurora at this `version` of the engine.
    pub fn differences(&self, version: &str) -> Vec<String> {
        let (product, unknown) = match self {
            Self::MariaDb(server) => ("MariaDB", &server.unknown),
            Self::Postgres(server) => ("PostgreSQL", &server.unknown),
        };
        let unknown =
            unknown.iter().map(|name| format!("{product} does not take the parameter {name}"));
        let mut all: Vec<String> = unknown.collect();
        if let Self::Postgres(server) = self {
            all.extend(server.differences(version));
        }
        all
    }

    /// Sets the master's password, as a rotation of the managed secret does.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<()> {
        match self {
            Self::MariaDb(server) => server.set_password(user, password).await,
            Self::Postgres(server) => server.set_password(user, password).await,
        }
    }

    /// Sets parameters that need no restart: the `changed` ones of those in `spec`.
    pub async fn set_parameters(
        &self,
        changed: &BTreeMap<String, String>,
        spec: &Spec,
    ) -> Result<()> {
        match self {
            Self::MariaDb(server) => server.set_parameters(changed).await.map(drop),
            Self::Postgres(server) => server.set_parameters(spec).await,
        }
    }

    /// # Errors
    /// If it isn't running any more.
    pub fn check(&mut self) -> Result<()> {
        match self {
            Self::MariaDb(server) => server.check(),
            Self::Postgres(server) => server.check(),
        }
    }

    /// Its process.
    pub fn program(&self) -> &Program {
        match self {
            Self::MariaDb(server) => server.program(),
            Self::Postgres(server) => server.program(),
        }
    }

    /// Ends it in order.
    pub async fn stop(self) {
        match self {
            Self::MariaDb(server) => server.stop().await,
            Self::Postgres(server) => server.stop().await,
        }
    }
}
