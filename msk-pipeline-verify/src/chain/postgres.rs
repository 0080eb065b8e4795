//! Aurora PostgreSQL and PostgreSQL: WAL level, role, slot, publication, replica identity.

use std::time::Duration;

use rustls::ClientConfig;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Database;
use crate::check::Check;
use crate::reach::{Reach, Server, unreached};

const OPEN: Duration = Duration::from_secs(10);

/// What a server says about itself and the capture role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostgresFacts {
    /// `wal_level`.
    pub wal_level: String,
    /// Whether the role may replicate: its attribute, or membership of `rds_replication`, also by way of another role.
    pub may_replicate: bool,
    /// The slot, if there is one of that name.
    pub slot: Option<Slot>,
    /// Whether the publication exists.
    pub publication: bool,
    /// The tables in it, as `schema.table`.
    pub published: Vec<String>,
    /// Captured tables that exist, with whether the role may read them and their replica identity (`d`, `f`, `i`, `n`).
    pub tables: Vec<(String, bool, char)>,
}

/// A replication slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slot {
    /// Whether a client uses it.
    pub active: bool,
    /// `reserved`, `extended`, `unreserved`, `lost`.
    pub wal_status: Option<String>,
    /// How many bytes of WAL it holds back.
    pub behind: Option<i64>,
}

/// What a pipeline needs of the source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `slot.name`.
    pub slot: String,
    /// `publication.name`.
    pub publication: String,
    /// Captured tables, as `schema.table`.
    pub tables: Vec<String>,
}

/// Judges what a server said. Pure.
pub fn judge(facts: &PostgresFacts, wanted: &Wanted, role: &str) -> Vec<Check> {
    let tables = wanted.tables.join(", ");
    let values = [
        ("user", role),
        ("slot", wanted.slot.as_str()),
        ("slot.name", &wanted.slot),
        ("publication.name", &wanted.publication),
        ("table.include.list", &tables),
    ];
    let mut checks = vec![
        match facts.wal_level.as_str() {
            "logical" => Check::pass("wal_level", "logical"),
            level => Check::fail("wal_level", "C-PG-WAL-LEVEL", level, &values),
        },
        if facts.may_replicate {
            Check::pass("replication", format!("{role} may replicate"))
        } else {
            Check::fail(
                "replication",
                "C-PG-REPLICATION",
                format!("{role} may not replicate"),
                &values,
            )
        },
        slot(facts.slot.as_ref(), wanted, &values),
    ];
    if facts.publication {
        checks.push(Check::pass("publication", wanted.publication.clone()));
    } else {
        let found = format!("there is no publication {}", wanted.publication);
        checks.push(Check::fail("publication", "C-PG-PUBLICATION", found, &values));
    }
    for name in &wanted.tables {
        checks.extend(table(facts, name, role, wanted));
    }
    checks
}

fn slot(slot: Option<&Slot>, wanted: &Wanted, values: &[(&str, &str)]) -> Check {
    let name = format!("slot {}", wanted.slot);
    let Some(slot) = slot else {
        return Check::fail(name, "C-PG-SLOT-MISSING", "it does not exist", values);
    };
    if slot.wal_status.as_deref() == Some("lost") {
        return Check::fail(name, "C-PG-SLOT-LOST", "wal_status = lost", values);
    }
    let behind =
        slot.behind.map_or_else(String::new, |bytes| format!(", holds back {bytes} bytes"));
    let used =
        if slot.active { "in use" } else { "not in use: no connector reads from it at the moment" };
    Check::pass(name, format!("{used}{behind}"))
}

fn table(facts: &PostgresFacts, name: &str, role: &str, wanted: &Wanted) -> Vec<Check> {
    let check = format!("table {name}");
    let values = [
        ("user", role),
        ("table", name),
        ("publication.name", &wanted.publication),
        ("table.include.list", name),
    ];
    let Some((_, readable, identity)) = facts.tables.iter().find(|(table, ..)| table == name)
    else {
        return vec![Check::fail(
            check,
            "C-NO-TABLES",
            format!("{role} sees no table {name}"),
            &values,
        )];
    };
    let mut checks = Vec::new();
    if !readable {
        let schema = name.split_once('.').map_or("public", |(schema, _)| schema);
        let fix =
            format!("GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON {name} TO {role};");
        let found = format!("{role} may not read it");
        checks.push(Check::fail(&check, "C-PG-GRANT-SELECT", found, &[]).with_fix(vec![fix]));
    }
    if facts.publication && !facts.published.iter().any(|published| published == name) {
        let found = format!("it is not in publication {}", wanted.publication);
        let fix = format!(
            "As the table's owner: ALTER PUBLICATION {} ADD TABLE {name};",
            wanted.publication
        );
        checks.push(Check::fail(&check, "C-PG-NOT-PUBLISHED", found, &[]).advise(fix));
    }
    if *identity == 'n' {
        let found = "REPLICA IDENTITY is NOTHING: updates and deletes have no key".to_owned();
        let fix = format!(
            "ALTER TABLE {name} REPLICA IDENTITY DEFAULT; (FULL for whole rows in `before`)"
        );
        checks.push(Check::fail(&check, "C-PG-REPLICA-IDENTITY", found, &[]).advise(fix));
    }
    if checks.is_empty() {
        let identity = match identity {
            'f' => "FULL",
            'i' => "an index",
            _ => "DEFAULT: `before` has the key only",
        };
        checks
            .push(Check::pass(check, format!("readable, published, replica identity {identity}")));
    }
    checks
}

/// A session with the task that drives it; the task ends with the session.
pub(crate) struct Session {
    pub(crate) client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Opens a session, or says why there is none.
pub(crate) async fn connect(database: &Database, reach: &Reach) -> Result<Session, Check> {
    let (host, port) = (database.host.as_str(), database.port);
    reach.connects(host, port).await.map_err(|e| unreached(Server::Database, host, port, &e))?;
    let mut config = Config::new();
    config
        .host(host)
        .port(port)
        .user(&database.user)
        .password(database.password.reveal())
        .dbname(database.name.as_deref().unwrap_or("postgres"))
        .connect_timeout(OPEN)
        .application_name("msk-pipeline verify");
    if let Ok(address) = reach.address(host).parse() {
        config.hostaddr(address);
    }
    let tls =
        reach.tls().map_err(|e| Check::fail("login", "C-DB-TLS-TRUST", e.to_string(), &[]))?;
    open(config, database.tls.then_some(tls.as_ref()))
        .await
        .map_err(|error| refused(&error, database))
}

async fn open(
    mut config: Config,
    tls: Option<&ClientConfig>,
) -> Result<Session, tokio_postgres::Error> {
    // What ends a connection is told by the next statement on it.
    let (client, driver) = match tls {
        Some(tls) => {
            let connector = MakeRustlsConnect::new(tls.clone());
            let (client, connection) = config.ssl_mode(SslMode::Require).connect(connector).await?;
            (client, tokio::spawn(async move { _ = connection.await }))
        }
        None => {
            let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await?;
            (client, tokio::spawn(async move { _ = connection.await }))
        }
    };
    Ok(Session { client, driver })
}

fn refused(error: &tokio_postgres::Error, database: &Database) -> Check {
    let text = error.as_db_error().map_or_else(|| error.to_string(), |e| e.message().to_owned());
    // Classes of SQLSTATE: PostgreSQL, appendix A.
    let code = match error.code().map(|code| code.code()) {
        Some("28P01") => "C-DB-AUTH",
        Some("28000") => "C-PG-HBA",
        Some("3D000") => "C-PG-DATABASE",
        Some("53300") => "C-DB-CONNECTIONS",
        _ if text.contains("TLS") || text.contains("certificate") => "C-DB-TLS-TRUST",
        _ => "C-DB-SESSION",
    };
    database.refuses(code, text)
}

/// Asks a server for its facts.
pub(crate) async fn facts(
    client: &Client,
    wanted: &Wanted,
) -> Result<PostgresFacts, tokio_postgres::Error> {
    let wal_level = client.query_one("SHOW wal_level", &[]).await?.get(0);
    let may_replicate = client
        .query_one(
            "SELECT rolreplication OR rolsuper OR EXISTS (SELECT 1 FROM pg_roles g \
             WHERE g.rolname = 'rds_replication' AND pg_has_role(r.oid, g.oid, 'MEMBER')) \
             FROM pg_roles r WHERE rolname = current_user",
            &[],
        )
        .await?
        .get(0);
    let slot = client
        .query_opt(
            "SELECT active, wal_status, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint FROM pg_replication_slots \
             WHERE slot_name = $1",
            &[&wanted.slot],
        )
        .await?
        .map(|row| Slot { active: row.get(0), wal_status: row.get(1), behind: row.get(2) });
    let publication = client
        .query_one("SELECT count(*) FROM pg_publication WHERE pubname = $1", &[&wanted.publication])
        .await?
        .get::<_, i64>(0)
        > 0;
    let published = client
        .query(
            "SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = $1",
            &[&wanted.publication],
        )
        .await?;
    let tables = client
        .query(
            "SELECT n.nspname || '.' || c.relname, \
             has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'), c.relreplident::text \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND n.nspname || '.' || c.relname = ANY($1)",
            &[&wanted.tables],
        )
        .await?;
    let identity = |text: String| text.chars().next().unwrap_or('d');
    Ok(PostgresFacts {
        wal_level,
        may_replicate,
        slot,
        publication,
        published: published.iter().map(|row| row.get(0)).collect(),
        tables: tables.iter().map(|row| (row.get(0), row.get(1), identity(row.get(2)))).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut PostgresFacts), expected: &[&str]) -> Vec<Check> {
        let mut facts = PostgresFacts {
            wal_level: "logical".into(),
            may_replicate: true,
            slot: Some(Slot { active: true, wal_status: Some("reserved".into()), behind: Some(7) }),
            publication: true,
            published: vec!["public.orders".into()],
            tables: vec![("public.orders".into(), true, 'd')],
        };
        change(&mut facts);
        let wanted = Wanted {
            slot: "s".into(),
            publication: "p".into(),
            tables: vec!["public.orders".into()],
        };
        let checks = judge(&facts, &wanted, "cdc");
        assert_eq!(checks.iter().filter_map(Check::code).collect::<Vec<_>>(), expected);
        checks
    }

    #[test]
    fn each_fact_that_is_wrong_fails_its_own_check() {
        check(|_| {}, &[]);
        check(|f| f.wal_level = "replica".into(), &["C-PG-WAL-LEVEL"]);
        check(|f| f.may_replicate = false, &["C-PG-REPLICATION"]);
        check(|f| f.slot = None, &["C-PG-SLOT-MISSING"]);
        check(|f| f.slot.as_mut().unwrap().wal_status = Some("lost".into()), &["C-PG-SLOT-LOST"]);
        check(|f| f.publication = false, &["C-PG-PUBLICATION"]);
        check(|f| f.published.clear(), &["C-PG-NOT-PUBLISHED"]);
        check(|f| f.tables[0].1 = false, &["C-PG-GRANT-SELECT"]);
        check(|f| f.tables[0].2 = 'n', &["C-PG-REPLICA-IDENTITY"]);
        check(|f| f.tables.clear(), &["C-NO-TABLES"]);
    }

    #[test]
    fn a_fix_names_the_role_and_the_slot() {
        let told = |checks: Vec<Check>| checks.iter().map(ToString::to_string).collect::<String>();
        assert!(
            told(check(|f| f.may_replicate = false, &["C-PG-REPLICATION"]))
                .contains("GRANT rds_replication TO cdc;")
        );
        let lost = told(check(
            |f| f.slot.as_mut().unwrap().wal_status = Some("lost".into()),
            &["C-PG-SLOT-LOST"],
        ));
        assert!(lost.contains("pg_drop_replication_slot('s')"), "{lost}");
    }
}
