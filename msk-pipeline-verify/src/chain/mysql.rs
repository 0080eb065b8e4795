//! Aurora MySQL, MySQL and MariaDB: what the capture user may do, and whether the binary log has what Debezium needs.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, SslOpts};
use tokio::time::timeout;

use super::Database;
use super::grants::Grants;
use crate::check::Check;
use crate::reach::{Reach, Server, unreached};

/// So long a session may take to open once the port answers.
const OPEN: Duration = Duration::from_secs(10);

/// What a server says about itself and its user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MySqlFacts {
    /// The rows of SHOW GRANTS.
    pub grants: Vec<String>,
    /// `@@log_bin`.
    pub log_bin: bool,
    /// `@@binlog_format`.
    pub binlog_format: String,
    /// `@@binlog_row_image`.
    pub binlog_row_image: String,
    /// How long binary logs are kept: RDS's own setting where there is one; `None`: as long as RDS needs them itself, which is minutes.
    pub retention: Option<Duration>,
    /// Tables that the user sees, as `schema.table`.
    pub tables: Vec<String>,
    /// File and position of the newest event; `None` without the right to ask.
    pub position: Option<BinlogPosition>,
}

/// A place in the binary log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct BinlogPosition {
    /// The file, such as `binlog.000042`.
    pub file: String,
    /// The byte in it.
    pub position: u64,
}

/// What a pipeline needs of the source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Captured tables, as `schema.table`.
    pub tables: Vec<String>,
    /// The table of signals, as `schema.table`.
    pub signal_table: Option<String>,
    /// How long changes have to be kept at least.
    pub retention: Option<Duration>,
    /// Whether its snapshots lock tables, for which they flush them (`snapshot.locking.mode` other than `none`).
    pub locks: bool,
}

/// Judges what a server said. Pure.
pub fn judge(facts: &MySqlFacts, wanted: &Wanted, user: &str) -> Vec<Check> {
    let grants = Grants::parse(facts.grants.iter().map(String::as_str));
    let mut checks = vec![
        everywhere(&grants, "REPLICATION SLAVE", "C-MYSQL-GRANT-SLAVE", user),
        everywhere(&grants, "REPLICATION CLIENT", "C-MYSQL-GRANT-CLIENT", user),
    ];
    if wanted.locks {
        checks.push(everywhere(&grants, "RELOAD", "C-MYSQL-GRANT-RELOAD", user));
    }
    for table in &wanted.tables {
        checks.push(readable(facts, &grants, table, user));
    }
    if let Some(table) = &wanted.signal_table {
        checks.push(signal(&grants, table, user));
    }
    checks.extend(binlog(facts));
    checks.extend(wanted.retention.map(|least| retention(facts, least)));
    checks
}

fn everywhere(grants: &Grants, privilege: &str, code: &str, user: &str) -> Check {
    let name = format!("grant {privilege}");
    if grants.has(privilege) {
        Check::pass(name, format!("{user} has it"))
    } else {
        Check::fail(name, code, format!("{user} lacks it"), &[("user", user)])
    }
}

fn readable(facts: &MySqlFacts, grants: &Grants, name: &str, user: &str) -> Check {
    let check = format!("grant SELECT on {name}");
    let (schema, table) = name.split_once('.').unwrap_or((name, ""));
    if !grants.has_on_table("SELECT", schema, table) {
        return Check::fail(
            check,
            "C-MYSQL-GRANT-SELECT",
            format!("{user} lacks it"),
            &[("user", user), ("table", schema)],
        );
    }
    if facts.tables.iter().any(|seen| seen == name) {
        Check::pass(check, format!("{user} has it"))
    } else {
        Check::fail(
            check,
            "C-NO-TABLES",
            format!("there is no table {name}"),
            &[("user", user), ("table.include.list", name)],
        )
    }
}

fn signal(grants: &Grants, name: &str, user: &str) -> Check {
    let (schema, table) = name.split_once('.').unwrap_or((name, ""));
    let missing: Vec<_> = ["SELECT", "INSERT", "DELETE"]
        .into_iter()
        .filter(|p| !grants.has_on_table(p, schema, table))
        .collect();
    let check = format!("grants on the signal table {name}");
    if missing.is_empty() {
        return Check::pass(check, "SELECT, INSERT, DELETE");
    }
    let missing = missing.join(", ");
    Check::fail(check, "C-MYSQL-GRANT-SIGNAL", format!("{user} lacks {missing}"), &[])
        .advise(format!("GRANT {missing} ON `{schema}`.`{table}` TO '{user}'@'%';"))
}

fn binlog(facts: &MySqlFacts) -> Vec<Check> {
    if !facts.log_bin {
        return vec![Check::fail("binary log", "C-MYSQL-BINLOG-OFF", "log_bin is OFF", &[])];
    }
    let is = |name: &str, value: &str, wanted: &str, code: &str| {
        let found = format!("{name} = {value}");
        if value.eq_ignore_ascii_case(wanted) {
            Check::pass(name, found)
        } else {
            Check::fail(name, code, found, &[])
        }
    };
    vec![
        Check::pass("binary log", "log_bin is ON"),
        is("binlog_format", &facts.binlog_format, "ROW", "C-MYSQL-NOT-ROW"),
        is("binlog_row_image", &facts.binlog_row_image, "FULL", "C-MYSQL-NOT-FULL"),
    ]
}

fn retention(facts: &MySqlFacts, least: Duration) -> Check {
    let hours = |time: Duration| time.as_secs() / 3_600;
    let found = match facts.retention {
        None => "binary logs are deleted as soon as the server can do without them".to_owned(),
        Some(kept) if kept >= least => {
            return Check::pass("binlog retention", format!("{} h", hours(kept)));
        }
        Some(kept) => format!("{} h, and {} h are wanted", hours(kept), hours(least)),
    };
    Check::fail("binlog retention", "C-MYSQL-RETENTION", found, &[])
        .advise(format!(
            "Aurora, RDS: CALL mysql.rds_set_configuration('binlog retention hours', {});",
            hours(least)
        ))
        .advise(format!("Elsewhere: SET GLOBAL binlog_expire_logs_seconds = {};", least.as_secs()))
}

/// Opens a session, or says why there is none.
pub async fn connect(database: &Database, reach: &Reach) -> Result<Conn, Check> {
    let (host, port) = (database.host.as_str(), database.port);
    reach.connects(host, port).await.map_err(|e| unreached(Server::Database, host, port, &e))?;
    let mut opts = OptsBuilder::default()
        .ip_or_hostname(reach.address(host))
        .tcp_port(port)
        .user(Some(&database.user))
        .pass(Some(database.password.reveal()))
        .prefer_socket(Some(false));
    if database.tls {
        let roots = reach.authorities.iter().map(|pem| pem.clone().into_bytes().into());
        let ssl = SslOpts::default()
            .with_root_certs(roots.collect())
            .with_danger_tls_hostname_override(Some(host.to_owned()));
        opts = opts.ssl_opts(ssl);
    }
    match timeout(OPEN, Conn::new(opts)).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(error)) => Err(refused(&error, database)),
        Err(_) => Err(Check::unreachable(
            "login",
            format!("{host}:{port} (the port answers and no session comes about)"),
            "Something between here and the database takes connections and passes nothing on: look at proxies and tunnels.",
        )),
    }
}

fn refused(error: &mysql_async::Error, database: &Database) -> Check {
    let text = error.to_string();
    let code = match error {
        mysql_async::Error::Server(server) if server.code == 1040 => "C-DB-CONNECTIONS",
        mysql_async::Error::Server(server) if server.code == 3159 => "C-DB-TLS-REQUIRED",
        mysql_async::Error::Server(_) => "C-DB-AUTH",
        _ if text.to_lowercase().contains("certificate") => "C-DB-TLS-TRUST",
        _ => "C-DB-SESSION",
    };
    database.refuses(code, text)
}

/// Asks a server for its facts.
pub(crate) async fn facts(session: &mut Conn) -> Result<MySqlFacts, mysql_async::Error> {
    let grants = session.query("SHOW GRANTS").await?;
    let row: Option<(bool, String, String)> =
        session.query_first("SELECT @@log_bin, @@binlog_format, @@binlog_row_image").await?;
    let (log_bin, binlog_format, binlog_row_image) = row.unwrap_or_default();
    let tables = session
        .query("SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables WHERE table_type = 'BASE TABLE'")
        .await?;
    let retention = retention_of(session).await;
    let position = position(session).await;
    Ok(MySqlFacts { grants, log_bin, binlog_format, binlog_row_image, retention, tables, position })
}

/// RDS keeps its own setting, which counts where it exists; elsewhere it is the server's variable, whose 0 is "for ever".
async fn retention_of(session: &mut Conn) -> Option<Duration> {
    let rds: Result<Option<(Option<u64>,)>, _> = session
        .query_first(
            "SELECT value FROM mysql.rds_configuration WHERE name = 'binlog retention hours'",
        )
        .await;
    if let Ok(Some((hours,))) = rds {
        return hours.map(|hours| Duration::from_secs(hours * 3_600));
    }
    let seconds: Option<f64> =
        session.query_first("SELECT @@binlog_expire_logs_seconds + 0E0").await.ok().flatten();
    match seconds {
        Some(seconds) if seconds > 0.0 => Some(Duration::from_secs_f64(seconds)),
        _ => Some(Duration::MAX),
    }
}

/// The files of the binary log with their sizes in bytes, the oldest first; `None` without the right to ask.
pub(crate) async fn files(session: &mut Conn) -> Option<Vec<(String, u64)>> {
    let rows: Vec<mysql_async::Row> = session.query("SHOW BINARY LOGS").await.ok()?;
    rows.into_iter().map(|row| Some((row.get(0)?, row.get(1)?))).collect()
}

/// Where the binary log ends. MySQL 8.4 has renamed the statement.
pub(crate) async fn position(session: &mut Conn) -> Option<BinlogPosition> {
    for statement in ["SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"] {
        let row: Result<Option<mysql_async::Row>, _> = session.query_first(statement).await;
        if let Ok(Some(row)) = row {
            return Some(BinlogPosition { file: row.get(0)?, position: row.get(1)? });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    fn facts() -> MySqlFacts {
        MySqlFacts {
            grants: vec![
                "GRANT SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `cdc`@`%`"
                    .into(),
                "GRANT INSERT, DELETE ON `cdc`.`signal` TO `cdc`@`%`".into(),
            ],
            log_bin: true,
            binlog_format: "ROW".into(),
            binlog_row_image: "FULL".into(),
            retention: Some(Duration::from_hours(7 * 24)),
            tables: vec!["shop.orders".into(), "cdc.signal".into()],
            position: None,
        }
    }

    fn wanted() -> Wanted {
        Wanted {
            tables: vec!["shop.orders".into()],
            signal_table: Some("cdc.signal".into()),
            retention: Some(Duration::from_hours(24)),
            locks: true,
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut MySqlFacts), expected: &[&str]) -> Vec<Check> {
        let mut facts = facts();
        change(&mut facts);
        let checks = judge(&facts, &wanted(), "cdc");
        assert_eq!(checks.iter().filter_map(Check::code).collect::<Vec<_>>(), expected);
        checks
    }

    #[test]
    fn each_fact_that_is_wrong_fails_its_own_check() {
        check(|_| {}, &[]);
        check(|f| f.log_bin = false, &["C-MYSQL-BINLOG-OFF"]);
        check(|f| f.binlog_format = "MIXED".into(), &["C-MYSQL-NOT-ROW"]);
        check(|f| f.binlog_row_image = "MINIMAL".into(), &["C-MYSQL-NOT-FULL"]);
        check(|f| f.tables.clear(), &["C-NO-TABLES"]);
        check(|f| f.retention = None, &["C-MYSQL-RETENTION"]);
        check(|f| f.retention = Some(Duration::from_hours(1)), &["C-MYSQL-RETENTION"]);
        check(
            |f| f.grants[1] = "GRANT INSERT ON `cdc`.`signal` TO `cdc`@`%`".into(),
            &["C-MYSQL-GRANT-SIGNAL"],
        );
    }

    #[test]
    fn who_locks_nothing_flushes_nothing() {
        let mut facts = facts();
        facts.grants[0] = facts.grants[0].replace("RELOAD, ", "");
        let failed = |locks| {
            let wanted = Wanted { locks, ..wanted() };
            judge(&facts, &wanted, "cdc").iter().filter(|check| check.failed()).count()
        };
        assert_eq!((failed(true), failed(false)), (1, 0));
    }

    #[test]
    fn each_missing_grant_is_named_with_its_statement() {
        for (privilege, code) in [
            ("RELOAD", "C-MYSQL-GRANT-RELOAD"),
            ("REPLICATION SLAVE", "C-MYSQL-GRANT-SLAVE"),
            ("REPLICATION CLIENT", "C-MYSQL-GRANT-CLIENT"),
        ] {
            let without =
                |f: &mut MySqlFacts| f.grants[0] = f.grants[0].replace(privilege, "CREATE");
            let checks = check(without, &[code]);
            let failed = checks.iter().find(|check| !check.passed()).unwrap();
            let Outcome::Fail { fix, .. } = &failed.outcome else { panic!() };
            assert_eq!(fix[0], format!("GRANT {privilege} ON *.* TO 'cdc'@'%';"));
        }
        check(
            |f| f.grants[0] = f.grants[0].replace("SELECT", "CREATE"),
            &["C-MYSQL-GRANT-SELECT", "C-MYSQL-GRANT-SIGNAL"],
        );
    }
}
