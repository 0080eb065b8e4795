//! The chain from database to topic, link by link: the way there, login, grants, settings, brokers, topics, last event, heartbeat.
//!
//! What a server says is fetched ([`mysql::MySqlFacts`], [`postgres::PostgresFacts`]) and judged by pure functions. A link that can't be reached
//! hides those behind it, so a chain ends there; the database and Kafka are two chains.
//!
//! Codes of failures are those of [`crate::cause`], with their fixes. Some exist here only, because no log shows them:
//! `C-MYSQL-RETENTION`, `C-MYSQL-GRANT-SIGNAL`, `C-PG-NOT-PUBLISHED`, `C-PG-REPLICA-IDENTITY`, `C-HEARTBEAT`, `C-LAG`, `C-CONNECTOR-PAUSED`,
//! `C-CONNECTOR-FAILED`, `C-CONNECTOR-STATE`, `C-TASK-STATE`, `C-SECRET-NEWER`, `C-UNKNOWN`, and `C-DB-SESSION` for what a driver can't name.

pub mod connector;
pub mod grants;
mod iam;
pub mod kafka;
mod lag;
pub mod mysql;
pub mod postgres;
pub mod records;
mod socks;

use std::time::Duration;

pub use iam::AwsCredentials;
pub use lag::{Lag, judge_lag, judge_slot};

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
    /// Since when the connector runs, in milliseconds since 1970, if that is known: before its first heartbeat is due there need not be one.
    pub since: Option<i64>,
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
    if let Some((topic, most)) = &topics.heartbeat {
        checks.push(match broker.last(topic).await {
            Ok(last) => judge_heartbeat(last, *most, topics.since, now),
            Err(kafka::KafkaError::NoTopic(_)) => judge_heartbeat(None, *most, topics.since, now),
            Err(error) => Check::fail("heartbeat", "C-KAFKA-UNREACHED", error.to_string(), &[]),
        });
    }
    checks
}

/// Judges the age of the newest heartbeat. Pure; times in milliseconds since 1970.
///
/// A connector that runs since less than `most` need not have beaten yet; where it isn't known since when it runs, it is taken for old.
pub fn judge_heartbeat(last: Option<i64>, most: Duration, since: Option<i64>, now: i64) -> Check {
    const NAME: &str = "heartbeat";
    let young = since.filter(|since| age(*since, now) <= most);
    let (found, recent) = match (last, young) {
        (Some(last), _) if age(last, now) <= most => (ago(last, now), true),
        (_, Some(since)) => (format!("none yet: the connector began {}", ago(since, now)), true),
        (None, None) => ("none was written, or none is kept any more".into(), false),
        (Some(last), None) => {
            let most = most.as_secs();
            (format!("{}, and one should come within {most} s", ago(last, now)), false)
        }
    };
    if recent {
        return Check::pass(NAME, found);
    }
    Check::fail(NAME, "C-HEARTBEAT", format!("{found}: the connector does not read"), &[]).advise(
        "Look at `explain`: if its log shows nothing, restart the connector; its place is kept, and no row is lost while the binary log is.",
    )
}

/// How long ago, of times in milliseconds since 1970. A broker's clock may be ahead of ours.
fn age(at: i64, now: i64) -> Duration {
    Duration::from_millis(u64::try_from(now.saturating_sub(at)).unwrap_or(0))
}

/// The same, for people.
pub fn ago(at: i64, now: i64) -> String {
    let seconds = age(at, now).as_secs();
    match seconds {
        0..=119 => format!("{seconds} s ago"),
        120..=7_199 => format!("{} min ago", seconds / 60),
        7_200..=172_799 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Looks how far a connector is behind the server's binary log: its committed position in Connect's `offsets` topic, and the server's now.
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
    let files = mysql::files(&mut session).await.unwrap_or_default();
    // The answers are there; how the session ends changes nothing.
    _ = session.disconnect().await;
    Ok(Lag { server, committed, files })
}

/// Looks at a replication slot and how far its reader is behind what the server has written; `None` if there is none of that name.
pub async fn check_slot(
    database: &Database,
    slot: &str,
    reach: &Reach,
) -> Result<Option<postgres::Slot>, Check> {
    let session = postgres::connect(database, reach).await?;
    let wanted = postgres::Wanted { slot: slot.to_owned(), ..postgres::Wanted::default() };
    let facts = postgres::facts(&session.client, &wanted).await;
    facts
        .map(|facts| facts.slot)
        .map_err(|e| Check::fail("replication slot distance", "C-DB-SESSION", e.to_string(), &[]))
}

/// When the newest of the events of some topics was written, in milliseconds since 1970, and on which; `None` if they hold none. Topics
/// that don't exist hold none.
pub async fn last_event(
    kafka: &kafka::Kafka,
    topics: &[String],
    reach: &Reach,
) -> Result<Option<(i64, String)>, Check> {
    let broker = kafka.connect(reach).await?;
    let mut newest = None;
    for topic in topics {
        match broker.last(topic).await {
            Ok(at) => newest = newest.max(at.map(|at| (at, topic.clone()))),
            Err(kafka::KafkaError::NoTopic(_)) => {}
            Err(error) => {
                return Err(Check::fail("last event", "C-KAFKA-UNREACHED", error.to_string(), &[]));
            }
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_is_fresh_or_not() {
        let most = Duration::from_secs(30);
        let judge = |last, since| judge_heartbeat(last, most, since, 100_000);
        assert!(judge(Some(70_000), None).passed());
        assert!(judge(Some(101_000), None).passed(), "a broker's clock is ahead");
        assert_eq!(judge(Some(69_999), None).code(), Some("C-HEARTBEAT"));
        assert_eq!(judge(None, None).code(), Some("C-HEARTBEAT"));
    }

    #[test]
    fn a_connector_that_just_began_need_not_have_beaten() {
        let most = Duration::from_secs(30);
        for last in [None, Some(1_000)] {
            assert!(judge_heartbeat(last, most, Some(70_000), 100_000).passed());
            assert!(judge_heartbeat(last, most, Some(69_999), 100_000).failed());
        }
    }

    #[test]
    fn an_age_is_told_in_its_own_unit() {
        let told = [0, 119, 120, 7_200, 172_800].map(|s| ago(0, s * 1_000));
        assert_eq!(told, ["0 s ago", "119 s ago", "2 min ago", "2 h ago", "2 days ago"]);
    }
}
