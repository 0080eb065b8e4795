//! Databases over connections of their own protocols: one for each look and each change, always over TLS.

use std::sync::Arc;

use async_trait::async_trait;
use msk_pipeline_core::kind::{CallError, Class};
use msk_pipeline_verify::chain::Database;
use msk_pipeline_verify::{Check, Outcome, Reach, Secret};

use crate::catalogue::{Catalogue, Look, Publication, Schema, Slot, Table, Unreached, User};
use crate::change::{Change, TableName};
use crate::place::{Engine, Place};
use crate::servers::{Credentials, Login, Server, Servers, Way};
use crate::{mysql, postgres};

/// Databases over connections.
pub struct Connections {
    servers: Arc<dyn Servers>,
    way: Arc<dyn Way>,
}

/// A session, of whichever engine. What an engine doesn't have is refused.
#[async_trait]
pub(crate) trait Session: Send {
    /// A user, without whether it logs in.
    async fn user(&mut self, name: &str) -> Result<Option<User>, CallError>;
    async fn schema(&mut self, name: &str) -> Result<Option<Schema>, CallError>;
    async fn table(&mut self, table: &TableName) -> Result<Option<Table>, CallError>;
    async fn row(&mut self, table: &TableName, id: &str) -> Result<Option<()>, CallError>;
    async fn retention(&mut self) -> Result<Option<Option<u32>>, CallError> {
        Err(foreign("binlog retention"))
    }
    async fn publication(&mut self, _: &str) -> Result<Option<Publication>, CallError> {
        Err(foreign("publication"))
    }
    async fn slot(&mut self, _: &str) -> Result<Option<Slot>, CallError> {
        Err(foreign("replication slot"))
    }
    /// `password` is that of the change's secret.
    async fn change(&mut self, change: &Change, password: &Secret) -> Result<(), CallError>;
    /// The answers are there; how the session ends changes nothing.
    async fn close(self: Box<Self>);
}

pub(crate) fn foreign(what: &str) -> CallError {
    CallError::new(Class::Invalid, LOOK, format!("this engine has no {what}"))
}

/// An open session.
struct Open(Box<dyn Session>);

/// Why no session came about.
pub(crate) enum Refused {
    Unreached(Unreached),
    /// User or password are wrong.
    Login(String),
    Failed(String),
}

pub(crate) const LOOK: &str = "database:Look";

impl Connections {
    /// Databases that `servers` tells of, by this way.
    pub fn new(servers: Arc<dyn Servers>, way: Arc<dyn Way>) -> Self {
        Self { servers, way }
    }

    async fn connect(
        &self,
        at: &Place,
        login: &Login,
        as_whom: &Credentials,
    ) -> Result<Box<dyn Session>, Refused> {
        let database = Database {
            host: login.host.clone(),
            port: login.port,
            name: at.database.clone(),
            user: as_whom.user.clone(),
            password: as_whom.password.clone(),
            tls: true,
        };
        let reach: Reach = self.way.reach();
        match at.engine() {
            Engine::MySql => mysql::connect(&database, &reach).await,
            Engine::Postgres => postgres::connect(&database, &reach).await,
        }
    }

    /// A session of the master user.
    async fn session(&self, at: &Place) -> Result<Look<Open>, CallError> {
        let login = match self.servers.master(&at.cluster).await? {
            Server::Absent => return Ok(Look::NoServer),
            Server::NotReady(state) => return Ok(Look::NotReady(state)),
            Server::Ready(login) => login,
        };
        match self.connect(at, &login, &login.master).await {
            Ok(session) => Ok(Look::Found(Open(session))),
            Err(Refused::Unreached(unreached)) => Ok(Look::Unreached(unreached)),
            Err(Refused::Login(text) | Refused::Failed(text)) => {
                Err(CallError::new(Class::Denied, "database:Login", text))
            }
        }
    }

    /// Whether the user logs in with what the secret has now.
    async fn logs_in(&self, at: &Place, name: &str, secret: &str) -> Result<bool, CallError> {
        let Some(credentials) = self.servers.credentials(secret).await? else { return Ok(false) };
        is_of(&credentials, name, secret)?;
        let Server::Ready(login) = self.servers.master(&at.cluster).await? else {
            return Err(CallError::new(Class::Unknown, LOOK, "the writer went away meanwhile"));
        };
        match self.connect(at, &login, &credentials).await {
            Ok(session) => {
                session.close().await;
                Ok(true)
            }
            Err(Refused::Login(_)) => Ok(false),
            Err(Refused::Failed(text)) => Err(CallError::new(Class::Denied, LOOK, text)),
            Err(Refused::Unreached(unreached)) => {
                Err(CallError::new(Class::Unknown, LOOK, unreached.what))
            }
        }
    }

    /// Looks with a session of the master user.
    async fn look<T>(
        &self,
        at: &Place,
        look: impl AsyncFnOnce(&mut Open) -> Result<Option<T>, CallError>,
    ) -> Result<Look<T>, CallError> {
        Ok(match self.session(at).await? {
            Look::Found(mut session) => {
                let found = look(&mut session).await;
                session.0.close().await;
                found?.map_or(Look::Absent, Look::Found)
            }
            Look::NoServer => Look::NoServer,
            Look::NotReady(state) => Look::NotReady(state),
            Look::Unreached(unreached) => Look::Unreached(unreached),
            Look::Absent => Look::Absent,
        })
    }
}

/// A secret of another user would set this one's password to that one's, and connectors would log in as the other.
fn is_of(credentials: &Credentials, name: &str, secret: &str) -> Result<(), CallError> {
    if credentials.user == name {
        return Ok(());
    }
    let message = format!(
        "the secret {secret} is of the user `{}`, not of `{name}`: correct `capture.user`, or name another secret",
        credentials.user
    );
    Err(CallError::new(Class::Invalid, LOOK, message))
}

/// What a check that failed says of a session.
pub(crate) fn refused(check: &Check) -> Refused {
    match &check.outcome {
        Outcome::Unreachable { what, open } => {
            Refused::Unreached(Unreached { what: what.clone(), open: open.clone() })
        }
        Outcome::Fail { code, found, .. } if code == "C-DB-AUTH" => Refused::Login(found.clone()),
        Outcome::Fail { code, found, fix }
            if matches!(code.as_str(), "C-DB-REFUSED" | "C-DB-HOST") =>
        {
            Refused::Unreached(Unreached { what: found.clone(), open: fix.join(" ") })
        }
        Outcome::Fail { code, found, .. } if code == "C-DB-TLS-TRUST" => Refused::Failed(format!(
            "{found} [{code}] Trust the authorities of RDS: --ca-bundle global-bundle.pem (https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem)"
        )),
        Outcome::Fail { code, found, fix } => {
            Refused::Failed(format!("{found} [{code}] {}", fix.join(" ")))
        }
        Outcome::Pass { found } => Refused::Failed(found.clone()),
    }
}

#[async_trait]
impl Catalogue for Connections {
    async fn user(&self, at: &Place, name: &str, secret: &str) -> Result<Look<User>, CallError> {
        let found = self.look(at, async |session| session.0.user(name).await).await?;
        let Look::Found(user) = found else { return Ok(found) };
        let logs_in = self.logs_in(at, name, secret).await?;
        Ok(Look::Found(User { logs_in, ..user }))
    }

    async fn retention(&self, at: &Place) -> Result<Look<Option<u32>>, CallError> {
        self.look(at, async |session| session.0.retention().await).await
    }

    async fn schema(&self, at: &Place, name: &str) -> Result<Look<Schema>, CallError> {
        self.look(at, async |session| session.0.schema(name).await).await
    }

    async fn table(&self, at: &Place, table: &TableName) -> Result<Look<Table>, CallError> {
        self.look(at, async |session| session.0.table(table).await).await
    }

    async fn row(&self, at: &Place, table: &TableName, id: &str) -> Result<Look<()>, CallError> {
        self.look(at, async |session| session.0.row(table, id).await).await
    }

    async fn publication(&self, at: &Place, name: &str) -> Result<Look<Publication>, CallError> {
        self.look(at, async |session| session.0.publication(name).await).await
    }

    async fn slot(&self, at: &Place, name: &str) -> Result<Look<Slot>, CallError> {
        self.look(at, async |session| session.0.slot(name).await).await
    }

    async fn change(&self, at: &Place, change: &Change) -> Result<(), CallError> {
        let op = change.op();
        let mut password = Secret::default();
        if let Some((name, secret)) = change.secret() {
            let found = self.servers.credentials(secret).await?;
            let missing =
                || CallError::new(Class::NotFound, op, format!("there is no secret {secret}"));
            let credentials = found.ok_or_else(missing)?;
            is_of(&credentials, name, secret)?;
            password = credentials.password;
        }
        // Whatever is in the way, nothing was sent.
        let mut session = match self.session(at).await? {
            Look::Found(session) => session,
            Look::NoServer | Look::Absent => {
                let message = format!("there is no cluster {}", at.cluster);
                return Err(CallError::new(Class::NotFound, op, message));
            }
            Look::NotReady(state) => {
                let message = format!("the writer of {} is {state}", at.cluster);
                return Err(CallError::new(Class::NotYet, op, message));
            }
            Look::Unreached(unreached) => {
                let message = format!("{}. {}", unreached.what, unreached.open);
                return Err(CallError::new(Class::NotYet, op, message));
            }
        };
        let done = session.0.change(change, &password).await;
        session.0.close().await;
        done.map_err(|error| without(&password, error))
    }
}

/// A server may quote the statement that it refuses.
fn without(password: &Secret, mut error: CallError) -> CallError {
    if !password.reveal().is_empty() {
        error.message = error.message.replace(password.reveal(), "[hidden]");
    }
    error
}
