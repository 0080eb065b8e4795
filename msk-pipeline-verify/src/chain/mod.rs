//! The chain from database to topic, link by link: the way there, login, grants, settings, brokers, topics, last event, heartbeat.
//!
//! What a server says is fetched ([`mysql::MySqlFacts`], [`postgres::PostgresFacts`]) and judged by pure functions. A link that can't be reached
//! hides those behind it, so a chain ends there; the database and Kafka are two chains.
//!
//! Codes of failures are those of [`crate::cause`], with their fixes. Some exist here only, because no log shows them:
//! `C-MYSQL-RETENTION`, `C-MYSQL-GRANT-SIGNAL`, `C-PG-NOT-PUBLISHED`, `C-PG-REPLICA-IDENTITY`, `C-HEARTBEAT`, and `C-DB-SESSION` for what a driver can't
//! name.

pub mod grants;
mod iam;
pub mod kafka;
pub mod mysql;
pub mod postgres;
pub mod records;
mod socks;

use std::time::Duration;

pub use iam::AwsCredentials;

use crate::check::Check;
use crate::reach::Reach;
use crate::secret::Secret;

/// A database and the capture user.
#[derive(Debug, Clone)]
pub struct Database {
    /// The host's name: that of the certificate.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database's name, for PostgreSQL.
    pub name: Option<String>,
    /// The user.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// Whether TLS is used, and the certificate checked.
    pub tls: bool,
}

impl Database {
    /// A login that failed: the code of its cause, and the server's words.
    fn refuses(&self, code: &str, text: String) -> Check {
        let port = self.port.to_string();
        let values = [
            ("user", self.user.as_str()),
            ("database.hostname", &self.host),
            ("database.port", &port),
        ];
        Check::fail("login", code, text, &values)
    }
}

/// What the Kafka side of a pipeline needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topics {
    /// Topics that have to exist.
    pub needed: Vec<String>,
    /// The heartbeat's topic, with how old its newest record may be.
    pub heartbeat: Option<(String, Duration)>,
}

/// Checks a MySQL source as its capture user.
pub async fn check_mysql(database: &Database, wanted: &mysql::Wanted, reach: &Reach) -> Vec<Check> {
    let mut session = match mysql::connect(database, reach).await {
        Ok(session) => session,
        Err(check) => return vec![check],
    };
    let mut checks = vec![Check::pass("login", format!("as {}", database.user))];
    match mysql::facts(&mut session).await {
        Ok(facts) => checks.extend(mysql::judge(&facts, wanted, &database.user)),
        Err(error) => checks.push(Check::fail(
            "the database's answers",
            "C-DB-SESSION",
            error.to_string(),
            &[],
        )),
    }
    // The answers are there; how the session ends changes nothing.
    _ = session.disconnect().await;
    checks
}

/// Checks a PostgreSQL source as its capture role.
pub async fn check_postgres(
    database: &Database,
    wanted: &postgres::Wanted,
    reach: &Reach,
) -> Vec<Check> {
    let session = match postgres::connect(database, reach).await {
        Ok(session) => session,
        Err(check) => return vec![check],
    };
    let mut checks = vec![Check::pass("login", format!("as {}", database.user))];
    match postgres::facts(&session.client, wanted).await {
        Ok(facts) => checks.extend(postgres::judge(&facts, wanted, &database.user)),
        Err(error) => checks.push(Check::fail(
            "the database's answers",
            "C-DB-SESSION",
            error.to_string(),
            &[],
        )),
    }
    checks
}

/// Checks the brokers, the topics and the heartbeat; `now` in milliseconds since 1970.
pub async fn check_kafka(
    kafka: &kafka::Kafka,
    topics: &Topics,
    reach: &Reach,
    now: i64,
) -> Vec<Check> {
    let broker = match kafka.connect(reach).await {
        Ok(broker) => broker,
        Err(check) => return vec![check],
    };
    let mut checks = vec![Check::pass("the brokers", "reached and let in")];
    let existing = match broker.topics().await {
        Ok(existing) => existing.into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
        Err(error) => {
            checks.push(Check::fail("topics", "C-KAFKA-UNREACHED", error.to_string(), &[]));
            return checks;
        }
    };
    checks.extend(kafka::judge_topics(&existing, &topics.needed));
    if let Some((topic, most)) =
        topics.heartbeat.as_ref().filter(|(topic, _)| existing.contains(topic))
    {
        checks.push(match broker.last(topic).await {
            Ok(last) => judge_heartbeat(last, *most, now),
            Err(error) => Check::fail("heartbeat", "C-KAFKA-UNREACHED", error.to_string(), &[]),
        });
    } else if let Some((topic, _)) = &topics.heartbeat {
        checks.push(Check::fail(
            "heartbeat",
            "C-HEARTBEAT",
            format!("there is no topic {topic}: the connector has never beaten"),
            &[],
        ));
    }
    checks
}

/// Judges the age of the newest heartbeat. Pure; times in milliseconds since 1970.
pub fn judge_heartbeat(last: Option<i64>, most: Duration, now: i64) -> Check {
    let Some(last) = last else {
        return Check::fail(
            "heartbeat",
            "C-HEARTBEAT",
            "none was written, or none is kept any more",
            &[],
        );
    };
    // A broker's clock may be ahead of ours.
    let age = Duration::from_millis(u64::try_from(now.saturating_sub(last)).unwrap_or(0));
    let found = format!("{} s ago", age.as_secs());
    if age <= most {
        Check::pass("heartbeat", found)
    } else {
        Check::fail(
            "heartbeat",
            "C-HEARTBEAT",
            format!(
                "{found}, and it should come within {} s: the connector does not read",
                most.as_secs()
            ),
            &[],
        )
    }
}

/// Checks how far a connector is behind the server's binary log: its committed position in Connect's `offsets` topic, and the server's now.
///
/// A quiet database's committed position stays behind by what isn't captured; heartbeats move it.
pub async fn check_lag(
    database: &Database,
    kafka: &kafka::Kafka,
    offsets: &str,
    connector: &str,
    reach: &Reach,
) -> Result<Lag, Check> {
    let broker = kafka.connect(reach).await?;
    let unread = |e: kafka::KafkaError| {
        Check::fail("committed position", "C-KAFKA-UNREACHED", e.to_string(), &[])
    };
    let committed = broker.committed(offsets, connector).await.map_err(unread)?;
    let mut session = mysql::connect(database, reach).await?;
    let server = mysql::position(&mut session).await;
    // The answer is there; how the session ends changes nothing.
    _ = session.disconnect().await;
    Ok(Lag { server, committed })
}

/// Where the server's binary log ends and what a connector has committed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Lag {
    /// The server's end; `None` without binary log, or without the right to ask.
    pub server: Option<mysql::BinlogPosition>,
    /// The connector's; `None` if it has committed nothing.
    pub committed: Option<mysql::BinlogPosition>,
}

impl Lag {
    /// The distance in bytes, where both are in one file.
    pub fn bytes(&self) -> Option<u64> {
        behind(self.server.as_ref()?, self.committed.as_ref()?)
    }
}

/// How far a connector is behind the server in its binary log, where that can be told in bytes: within one file.
///
/// `None` if the committed position is in an older file; then the number of files between is what can be told.
pub fn behind(server: &mysql::BinlogPosition, committed: &mysql::BinlogPosition) -> Option<u64> {
    (server.file == committed.file).then(|| server.position.saturating_sub(committed.position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_is_fresh_or_not() {
        let most = Duration::from_secs(30);
        assert!(judge_heartbeat(Some(70_000), most, 100_000).passed());
        assert!(judge_heartbeat(Some(101_000), most, 100_000).passed());
        assert_eq!(judge_heartbeat(Some(69_999), most, 100_000).code(), Some("C-HEARTBEAT"));
        assert_eq!(judge_heartbeat(None, most, 100_000).code(), Some("C-HEARTBEAT"));
    }

    #[test]
    fn the_distance_is_told_within_a_file() {
        let at = |file: &str, position| mysql::BinlogPosition { file: file.into(), position };
        assert_eq!(behind(&at("b.2", 900), &at("b.2", 400)), Some(500));
        assert_eq!(behind(&at("b.2", 300), &at("b.2", 400)), Some(0));
        assert_eq!(behind(&at("b.2", 900), &at("b.1", 400)), None);
    }
}
