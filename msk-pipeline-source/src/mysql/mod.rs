//! Sessions of Aurora MySQL, MySQL and MariaDB.

pub(crate) mod refusal;
mod statement;

use std::collections::BTreeMap;

use async_trait::async_trait;
use msk_pipeline_core::kind::{CallError, Class};
use msk_pipeline_verify::chain::{Database, grants::Grants, mysql};
use msk_pipeline_verify::{Reach, Secret};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

use self::statement::statement;
use crate::catalogue::{Schema, Table, User};
use crate::change::{Change, TableName, classify};
use crate::connections::{LOOK, Refused, Session, foreign, refused};
use crate::place::Engine;

/// Literals are written for a session that reads them as MySQL does by default, whatever the server's mode is. A statement that waits for a lock
/// gives up long before the engine takes it for lost, so that none takes effect later.
const MODE: &str = "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', lock_wait_timeout = 15, innodb_lock_wait_timeout = 15";

struct MySql(Conn);

pub(crate) async fn connect(
    database: &Database,
    reach: &Reach,
) -> Result<Box<dyn Session>, Refused> {
    let mut session = mysql::connect(database, reach).await.map_err(|check| refused(&check))?;
    let mode = session.query_drop(MODE).await;
    mode.map_err(|error| Refused::Failed(error.to_string()))?;
    Ok(Box::new(MySql(session)))
}

fn failed(op: &str, error: &Error) -> CallError {
    match error {
        Error::Server(server) => {
            classify(Engine::MySql, op, &server.code.to_string(), &server.message)
        }
        // The connection broke: the statement may have been carried out.
        other => CallError::new(Class::Unknown, op, other.to_string()),
    }
}

fn unseen(error: Error) -> CallError {
    failed(LOOK, &error)
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

async fn schema(session: &mut Conn, name: &str) -> Result<Option<Schema>, Error> {
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
        .exec("SELECT table_name FROM information_schema.tables WHERE table_schema = ?", (name,))
        .await?;
    Ok(Some(Schema { tables: tables.into_iter().collect() }))
}

#[async_trait]
impl Session for MySql {
    async fn user(&mut self, name: &str) -> Result<Option<User>, CallError> {
        user(&mut self.0, name).await.map_err(unseen)
    }

    async fn schema(&mut self, name: &str) -> Result<Option<Schema>, CallError> {
        schema(&mut self.0, name).await.map_err(unseen)
    }

    async fn table(&mut self, table: &TableName) -> Result<Option<Table>, CallError> {
        let comment: Option<String> = self
            .0
            .exec_first(
                "SELECT table_comment FROM information_schema.tables WHERE table_schema = ? AND table_name = ?",
                (&table.schema, &table.table),
            )
            .await
            .map_err(unseen)?;
        Ok(comment.map(|comment| Table { comment }))
    }

    async fn row(&mut self, table: &TableName, id: &str) -> Result<Option<()>, CallError> {
        let statement = format!(
            "SELECT COUNT(*) FROM `{}`.`{}` WHERE id = ?",
            table.schema.replace('`', "``"),
            table.table.replace('`', "``")
        );
        let count: Result<Option<u64>, Error> = self.0.exec_first(statement, (id,)).await;
        match count {
            // No such table, no such row.
            Err(Error::Server(error)) if matches!(error.code, 1049 | 1146) => Ok(None),
            count => Ok(count.map_err(unseen)?.filter(|count| *count > 0).map(|_| ())),
        }
    }

    async fn retention(&mut self) -> Result<Option<Option<u32>>, CallError> {
        let rows: Result<Vec<(String, Option<String>, String)>, Error> =
            self.0.query("CALL mysql.rds_show_configuration").await;
        let hours =
            rows.map_err(unseen)?.into_iter().find(|(name, ..)| name == "binlog retention hours");
        Ok(Some(hours.and_then(|(_, value, _)| value?.trim().parse().ok())))
    }

    async fn change(&mut self, change: &Change, password: &Secret) -> Result<(), CallError> {
        let op = change.op();
        let attributes = match change {
            Change::CreateUser { .. } => {
                has_attributes(&mut self.0).await.map_err(|error| failed(op, &error))?
            }
            _ => false,
        };
        let statement = statement(change, password.reveal(), attributes);
        let statement = statement.ok_or_else(|| foreign("such object"))?;
        self.0.query_drop(statement).await.map_err(|error| failed(op, &error))
    }

    async fn close(self: Box<Self>) {
        _ = self.0.disconnect().await;
    }
}
