//! Sessions of Aurora PostgreSQL and PostgreSQL, each in one database.

pub(crate) mod refusal;
mod statement;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use msk_pipeline_core::kind::{CallError, Class};
use msk_pipeline_verify::chain::Database;
use msk_pipeline_verify::chain::postgres;
use msk_pipeline_verify::{Outcome, Reach, Secret};
use postgres_protocol::password::scram_sha_256;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use self::statement::{full, statement};
use crate::catalogue::{Privileges, Publication, Schema, Slot, Table, User};
use crate::change::{Change, TableName, classify};
use crate::connections::{LOOK, Refused, Session, foreign, refused};
use crate::place::Engine;

/// The output plugin of the slots that are made here: the one that is in every server, and that Debezium reads.
pub(crate) const PLUGIN: &str = "pgoutput";

/// A statement, or the lock that it waits for, is given up long before the engine takes it for lost, so that none takes effect later. Names stand
/// with their schemas, and literals are read as they are written here, whatever the server's settings are.
const MODE: &str = "SET statement_timeout = '30s'; SET lock_timeout = '15s'; SET search_path = 'pg_catalog'; \
    SET standard_conforming_strings = on; SET client_min_messages = warning";

struct Postgres(postgres::Session);

/// Somebody whose password is right, and who may not enter this database (yet).
struct Outside;

pub(crate) async fn connect(
    database: &Database,
    reach: &Reach,
) -> Result<Box<dyn Session>, Refused> {
    let session = match postgres::connect(database, reach).await {
        Ok(session) => session,
        // The server checks the password first, and CONNECT then: SQLSTATE 42501, with this message.
        Err(check) if matches!(&check.outcome, Outcome::Fail { found, .. } if found.contains("permission denied for database")) =>
        {
            return Ok(Box::new(Outside));
        }
        Err(check) => return Err(refused(&check)),
    };
    let mode = session.client.batch_execute(MODE).await;
    mode.map_err(|error| Refused::Failed(error.to_string()))?;
    Ok(Box::new(Postgres(session)))
}

fn failed(op: &str, error: &Error) -> CallError {
    match error.as_db_error() {
        Some(refusal) => classify(Engine::Postgres, op, refusal.code().code(), refusal.message()),
        // The connection broke: the statement may have been carried out.
        None => CallError::new(Class::Unknown, op, error.to_string()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` gives")]
fn unseen(error: Error) -> CallError {
    failed(LOOK, &error)
}

/// What was granted to a role itself, in this database: memberships, and the access lists of the database, of schemas and of tables. What the
/// owner of an object may do is not granted.
const PRIVILEGES: &str = "
SELECT '*', g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
  WHERE r.rolname = $1
UNION ALL
SELECT 'database ' || d.datname, a.privilege_type FROM pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) a
  JOIN pg_roles r ON r.oid = a.grantee WHERE d.datname = current_database() AND r.rolname = $1 AND d.datdba <> r.oid
UNION ALL
SELECT 'schema ' || n.nspname, a.privilege_type FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a
  JOIN pg_roles r ON r.oid = a.grantee WHERE r.rolname = $1 AND n.nspowner <> r.oid
UNION ALL
SELECT n.nspname || '.' || c.relname, a.privilege_type FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
  WHERE r.rolname = $1 AND c.relowner <> r.oid";

async fn user(client: &Client, name: &str) -> Result<Option<User>, Error> {
    let role = "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = $1";
    let Some(row) = client.query_opt(role, &[&name]).await? else { return Ok(None) };
    let comment: Option<String> = row.get(0);
    let mut privileges = Privileges::new();
    for row in client.query(PRIVILEGES, &[&name]).await? {
        privileges.entry(row.get(0)).or_default().insert(row.get(1));
    }
    let attribute: Option<BTreeMap<String, String>> =
        comment.and_then(|comment| serde_json::from_str(&comment).ok());
    Ok(Some(User { logs_in: false, attribute: Some(attribute.unwrap_or_default()), privileges }))
}

async fn schema(client: &Client, name: &str) -> Result<Option<Schema>, Error> {
    let namespace = "SELECT 1 FROM pg_namespace WHERE nspname = $1";
    if client.query_opt(namespace, &[&name]).await?.is_none() {
        return Ok(None);
    }
    // Tables, views, sequences and the rest: DROP SCHEMA refuses any of them.
    let rows = client
        .query(
            "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND c.relkind NOT IN ('i', 'I', 't')",
            &[&name],
        )
        .await?;
    Ok(Some(Schema { tables: rows.iter().map(|row| row.get(0)).collect() }))
}

async fn table(client: &Client, table: &TableName) -> Result<Option<Table>, Error> {
    let row = client
        .query_opt(
            "SELECT obj_description(c.oid, 'pg_class') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND c.relname = $2",
            &[&table.schema, &table.table],
        )
        .await?;
    Ok(row.map(|row| Table { comment: row.get::<_, Option<String>>(0).unwrap_or_default() }))
}

async fn publication(client: &Client, name: &str) -> Result<Option<Publication>, Error> {
    let row = client
        .query_opt(
            "SELECT puballtables, obj_description(oid, 'pg_publication') FROM pg_publication WHERE pubname = $1",
            &[&name],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let listed = client
        .query(
            "SELECT n.nspname::text, c.relname::text FROM pg_publication_rel l JOIN pg_publication p ON p.oid = l.prpubid \
             JOIN pg_class c ON c.oid = l.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1",
            &[&name],
        )
        .await?;
    let tables: BTreeSet<_> =
        listed.iter().map(|row| TableName { schema: row.get(0), table: row.get(1) }).collect();
    let comment: Option<String> = row.get(1);
    let comment = comment.unwrap_or_default();
    Ok(Some(Publication { comment, all_tables: row.get(0), tables }))
}

async fn slot(client: &Client, name: &str) -> Result<Option<Slot>, Error> {
    let row = client
        .query_opt(
            "SELECT plugin::text, database::text, active, wal_status FROM pg_replication_slots WHERE slot_name = $1",
            &[&name],
        )
        .await?;
    let text = |value: Option<String>| value.unwrap_or_default();
    Ok(row.map(|row| Slot {
        plugin: text(row.get(0)),
        database: text(row.get(1)),
        active: row.get(2),
        lost: text(row.get(3)) == "lost",
    }))
}

#[async_trait]
impl Session for Postgres {
    async fn user(&mut self, name: &str) -> Result<Option<User>, CallError> {
        user(&self.0.client, name).await.map_err(unseen)
    }

    async fn schema(&mut self, name: &str) -> Result<Option<Schema>, CallError> {
        schema(&self.0.client, name).await.map_err(unseen)
    }

    async fn table(&mut self, name: &TableName) -> Result<Option<Table>, CallError> {
        table(&self.0.client, name).await.map_err(unseen)
    }

    async fn row(&mut self, table: &TableName, id: &str) -> Result<Option<()>, CallError> {
        let statement = format!("SELECT 1 FROM {} WHERE id = $1", full(table));
        match self.0.client.query_opt(&statement, &[&id]).await {
            // No such table, no such row.
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(None),
            found => Ok(found.map_err(unseen)?.map(|_| ())),
        }
    }

    async fn publication(&mut self, name: &str) -> Result<Option<Publication>, CallError> {
        publication(&self.0.client, name).await.map_err(unseen)
    }

    async fn slot(&mut self, name: &str) -> Result<Option<Slot>, CallError> {
        slot(&self.0.client, name).await.map_err(unseen)
    }

    async fn change(&mut self, change: &Change, password: &Secret) -> Result<(), CallError> {
        let verifier = match change.secret() {
            Some(_) => scram_sha_256(password.reveal().as_bytes()),
            None => String::new(),
        };
        let statement = statement(change, &verifier).ok_or_else(|| foreign("such object"))?;
        let done = self.0.client.batch_execute(&statement).await;
        done.map_err(|error| failed(change.op(), &error))
    }

    async fn close(self: Box<Self>) {}
}

fn kept_out() -> CallError {
    CallError::new(Class::Denied, LOOK, "this user may not connect to the database")
}

#[async_trait]
impl Session for Outside {
    async fn user(&mut self, _: &str) -> Result<Option<User>, CallError> {
        Err(kept_out())
    }

    async fn schema(&mut self, _: &str) -> Result<Option<Schema>, CallError> {
        Err(kept_out())
    }

    async fn table(&mut self, _: &TableName) -> Result<Option<Table>, CallError> {
        Err(kept_out())
    }

    async fn row(&mut self, _: &TableName, _: &str) -> Result<Option<()>, CallError> {
        Err(kept_out())
    }

    async fn change(&mut self, _: &Change, _: &Secret) -> Result<(), CallError> {
        Err(kept_out())
    }

    async fn close(self: Box<Self>) {}
}
