//! What is inside a fresh Aurora: its roles, the master, the database that is made with it; and REPLICATION by membership.

use std::time::Duration;

use tokio_postgres::Client;

use super::ALWAYS;
use super::place::Place;
use super::session::{open, rows};
use crate::database::Spec;
use crate::error::Result;

/// How often membership of `rds_replication` is looked at.
const FOLLOW: Duration = Duration::from_millis(250);

/// Gives the server the roles of a fresh Aurora, and the master its present password; harmless when repeated.
pub(super) async fn bootstrap(administrator: &Client, spec: &Spec) -> Result<()> {
    rows(administrator, &roles(spec)).await.map(drop)
}

/// Makes the database that is made with a cluster.
pub(super) async fn make_database(administrator: &Client, spec: &Spec) -> Result<()> {
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
pub(super) async fn follow(place: Place) {
    loop {
        if let Ok(administrator) = open(&place).await {
            // A role may go between the look and its change.
            while rows(&administrator, REPLICATION).await.is_ok() {
                tokio::time::sleep(FOLLOW).await;
            }
        }
        tokio::time::sleep(FOLLOW).await;
    }
}

/// Another password of the master.
pub(super) async fn set_password(administrator: &Client, user: &str, password: &str) -> Result<()> {
    let (user, password) = (identifier(user), literal(&verifier(password)));
    rows(administrator, &format!("ALTER ROLE {user} PASSWORD {password}")).await.map(drop)
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

#[cfg(test)]
mod tests {
    use super::super::tests::spec;
    use super::*;

    #[test]
    fn secrets_are_in_no_statement() {
        let statements = roles(&spec(&[]));
        assert!(statements.contains("PASSWORD 'SCRAM-SHA-256$4096:"), "{statements}");
        assert!(!statements.contains("secret"), "{statements}");
    }
}
