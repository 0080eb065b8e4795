//! Aurora MySQL, MySQL and MariaDB over connections of their own protocol: one for each look and each change, always over TLS.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use msk_pipeline_core::kind::{CallError, Class};
use msk_pipeline_verify::chain::{Database, grants::Grants, mysql};
use msk_pipeline_verify::{Check, Outcome};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

use crate::catalogue::{Catalogue, Look, Schema, Table, Unreached, User};
use crate::change::{Change, TableName, classify};
use crate::servers::{Credentials, Login, Server, Servers, Way};

/// Databases over connections.
pub struct MySql {
    servers: Arc<dyn Servers>,
    way: Arc<dyn Way>,
}

/// Why no session came about.
enum Refused {
    Unreached(Unreached),
    /// User or password are wrong.
    Login(String),
    Failed(String),
}

const LOOK: &str = "mysql:Look";

/// Literals are written for a session that reads them as MySQL does by default, whatever the server's mode is. A statement that waits for a lock
/// gives up long before the engine takes it for lost, so that none takes effect later.
const MODE: &str = "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', lock_wait_timeout = 15, innodb_lock_wait_timeout = 15";

impl MySql {
    /// Databases that `servers` tells of, by this way.
    pub fn new(servers: Arc<dyn Servers>, way: Arc<dyn Way>) -> Self {
        Self { servers, way }
    }

    async fn connect(&self, login: &Login, as_whom: &Credentials) -> Result<Conn, Refused> {
        let database = Database {
            host: login.host.clone(),
            port: login.port,
            name: None,
            user: as_whom.user.clone(),
            password: as_whom.password.clone(),
            tls: true,
        };
        let mut session =
            mysql::connect(&database, &self.way.reach()).await.map_err(|check| refused(&check))?;
        let mode = session.query_drop(MODE).await;
        mode.map_err(|error| Refused::Failed(error.to_string()))?;
        Ok(session)
    }

    /// A session of the master user.
    async fn session(&self, cluster: &str) -> Result<Look<Conn>, CallError> {
        let login = match self.servers.master(cluster).await? {
            Server::Absent => return Ok(Look::NoServer),
            Server::NotReady(state) => return Ok(Look::NotReady(state)),
            Server::Ready(login) => login,
        };
        match self.connect(&login, &login.master).await {
            Ok(session) => Ok(Look::Found(session)),
            Err(Refused::Unreached(unreached)) => Ok(Look::Unreached(unreached)),
            Err(Refused::Login(text) | Refused::Failed(text)) => {
                Err(CallError::new(Class::Denied, "mysql:Login", text))
            }
        }
    }

    /// Whether the user logs in with what the secret has now.
    async fn logs_in(&self, cluster: &str, name: &str, secret: &str) -> Result<bool, CallError> {
        let Some(credentials) = self.servers.credentials(secret).await? else { return Ok(false) };
        is_of(&credentials, name, secret)?;
        let Server::Ready(login) = self.servers.master(cluster).await? else {
            return Err(CallError::new(Class::Unknown, LOOK, "the writer went away meanwhile"));
        };
        match self.connect(&login, &credentials).await {
            Ok(session) => {
                close(session).await;
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
        cluster: &str,
        look: impl AsyncFnOnce(&mut Conn) -> Result<Option<T>, Error>,
    ) -> Result<Look<T>, CallError> {
        let mut session = match self.session(cluster).await? {
            Look::Found(session) => session,
            Look::NoServer => return Ok(Look::NoServer),
            Look::NotReady(state) => return Ok(Look::NotReady(state)),
            Look::Unreached(unreached) => return Ok(Look::Unreached(unreached)),
            Look::Absent => return Ok(Look::Absent),
        };
        let found = look(&mut session).await;
        close(session).await;
        Ok(found.map_err(|error| failed(LOOK, &error))?.map_or(Look::Absent, Look::Found))
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

/// The answers are there; how the session ends changes nothing.
async fn close(session: Conn) {
    _ = session.disconnect().await;
}

fn refused(check: &Check) -> Refused {
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

fn failed(op: &str, error: &Error) -> CallError {
    match error {
        Error::Server(server) => classify(op, server.code, &server.message),
        // The connection broke: the statement may have been carried out.
        other => CallError::new(Class::Unknown, op, other.to_string()),
    }
}

/// A server that has attributes of users: MySQL from 8.0.21 on. MariaDB has none, and may call itself MySQL.
async fn has_attributes(session: &mut Conn) -> Result<bool, Error> {
    let table = "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'information_schema' AND TABLE_NAME = 'USER_ATTRIBUTES'";
    let found: Option<u8> = session.query_first(table).await?;
    Ok(found.is_some())
}

async fn attribute(session: &mut Conn, name: &str) -> Result<BTreeMap<String, String>, Error> {
    let text: Option<Option<String>> = session
        .exec_first(
            "SELECT CAST(ATTRIBUTE AS CHAR) FROM information_schema.USER_ATTRIBUTES WHERE USER = ? AND HOST = '%'",
            (name,),
        )
        .await?;
    let value = text.flatten().and_then(|text| serde_json::from_str(&text).ok());
    let members: serde_json::Map<String, serde_json::Value> = value.unwrap_or_default();
    let texts = members.into_iter().filter_map(|(k, v)| Some((k, v.as_str()?.to_owned())));
    Ok(texts.collect())
}

async fn user(session: &mut Conn, name: &str) -> Result<Option<User>, Error> {
    let statement =
        format!("SHOW GRANTS FOR '{}'@'%'", name.replace('\\', "\\\\").replace('\'', "''"));
    let rows: Vec<String> = match session.query(statement).await {
        // "There is no such grant defined for user".
        Err(Error::Server(error)) if error.code == 1141 => return Ok(None),
        rows => rows?,
    };
    let privileges = Grants::parse(rows.iter().map(String::as_str)).by_object();
    let attribute =
        if has_attributes(session).await? { Some(attribute(session, name).await?) } else { None };
    Ok(Some(User { logs_in: false, attribute, privileges }))
}

#[async_trait]
impl Catalogue for MySql {
    async fn user(&self, cluster: &str, name: &str, secret: &str) -> Result<Look<User>, CallError> {
        let found = self.look(cluster, async |session| user(session, name).await).await?;
        let Look::Found(user) = found else { return Ok(found) };
        let logs_in = self.logs_in(cluster, name, secret).await?;
        Ok(Look::Found(User { logs_in, ..user }))
    }

    async fn retention(&self, cluster: &str) -> Result<Look<Option<u32>>, CallError> {
        self.look(cluster, async |session| {
            let rows: Vec<(String, Option<String>, String)> =
                session.query("CALL mysql.rds_show_configuration").await?;
            let hours = rows.into_iter().find(|(name, ..)| name == "binlog retention hours");
            Ok(Some(hours.and_then(|(_, value, _)| value?.trim().parse().ok())))
        })
        .await
    }

    async fn schema(&self, cluster: &str, name: &str) -> Result<Look<Schema>, CallError> {
        self.look(cluster, async |session| {
            let found: Option<String> = session
                .exec_first(
                    "SELECT schema_name FROM information_schema.schemata WHERE schema_name = ?",
                    (name,),
                )
                .await?;
            if found.is_none() {
                return Ok(None);
            }
            let tables: Vec<String> = session
                .exec(
                    "SELECT table_name FROM information_schema.tables WHERE table_schema = ?",
                    (name,),
                )
                .await?;
            Ok(Some(Schema { tables: tables.into_iter().collect() }))
        })
        .await
    }

    async fn table(&self, cluster: &str, table: &TableName) -> Result<Look<Table>, CallError> {
        self.look(cluster, async |session| {
            let comment: Option<String> = session
                .exec_first(
                    "SELECT table_comment FROM information_schema.tables WHERE table_schema = ? AND table_name = ?",
                    (&table.schema, &table.table),
                )
                .await?;
            Ok(comment.map(|comment| Table { comment }))
        })
        .await
    }

    async fn row(&self, cluster: &str, table: &TableName, id: &str) -> Result<Look<()>, CallError> {
        let statement = format!(
            "SELECT COUNT(*) FROM `{}`.`{}` WHERE id = ?",
            table.schema.replace('`', "``"),
            table.table.replace('`', "``")
        );
        self.look(cluster, async |session| {
            let count: Result<Option<u64>, Error> = session.exec_first(statement, (id,)).await;
            match count {
                // No such table, no such row.
                Err(Error::Server(error)) if matches!(error.code, 1049 | 1146) => Ok(None),
                count => Ok(count?.filter(|count| *count > 0).map(|_| ())),
            }
        })
        .await
    }

    async fn change(&self, cluster: &str, change: &Change) -> Result<(), CallError> {
        let op = change.op();
        let mut password = msk_pipeline_verify::Secret::default();
        if let Some((name, secret)) = change.secret() {
            let found = self.servers.credentials(secret).await?;
            let missing =
                || CallError::new(Class::NotFound, op, format!("there is no secret {secret}"));
            let credentials = found.ok_or_else(missing)?;
            is_of(&credentials, name, secret)?;
            password = credentials.password;
        }
        // Whatever is in the way, nothing was sent.
        let mut session = match self.session(cluster).await? {
            Look::Found(session) => session,
            Look::NoServer | Look::Absent => {
                let message = format!("there is no cluster {cluster}");
                return Err(CallError::new(Class::NotFound, op, message));
            }
            Look::NotReady(state) => {
                let message = format!("the writer of {cluster} is {state}");
                return Err(CallError::new(Class::NotYet, op, message));
            }
            Look::Unreached(unreached) => {
                let message = format!("{}. {}", unreached.what, unreached.open);
                return Err(CallError::new(Class::NotYet, op, message));
            }
        };
        let attributes = match change {
            Change::CreateUser { .. } => {
                has_attributes(&mut session).await.map_err(|error| failed(op, &error))?
            }
            _ => false,
        };
        let statement = change.statement(password.reveal(), attributes);
        let done = session.query_drop(statement).await;
        close(session).await;
        done.map_err(|error| without(&password, failed(op, &error)))
    }
}

/// A server may quote the statement that it refuses.
fn without(password: &msk_pipeline_verify::Secret, mut error: CallError) -> CallError {
    if !password.reveal().is_empty() {
        error.message = error.message.replace(password.reveal(), "[hidden]");
    }
    error
}
