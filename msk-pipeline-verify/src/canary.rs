//! The proof by a row: one is inserted, updated and deleted, and has to come out as `c`, `u`, `d` and a tombstone.
//!
//! The row is the tool's own, in the tool's own schema and table, which the connector captures. Events are Debezium's, as JSON with or without schema.

use std::fmt;
use std::time::{Duration, Instant};

use rskafka::client::partition::OffsetAt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chain::Database;
use crate::chain::kafka::{Kafka, KafkaError};
use crate::check::Check;
use crate::reach::Reach;
pub use crate::session::Engine;
use crate::session::{Refused, Session};

/// What was done to the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// INSERT, seen as `c`.
    Insert,
    /// UPDATE, seen as `u`.
    Update,
    /// DELETE, seen as `d`.
    Delete,
    /// The record without a value behind a `d`, by which compaction forgets the key.
    Tombstone,
}

impl Step {
    /// Debezium's `op`; a tombstone has none.
    fn op(self) -> &'static str {
        match self {
            Self::Insert => "c",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Tombstone => "a tombstone",
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Insert => Some(Self::Update),
            Self::Update => Some(Self::Delete),
            Self::Delete => Some(Self::Tombstone),
            Self::Tombstone => None,
        }
    }
}

/// Which row, and where it comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The schema, which belongs to the tool.
    pub schema: String,
    /// The table: `id` (text, primary key) and `step` (integer).
    pub table: String,
    /// The row's key; a new one for each proof.
    pub id: String,
    /// The topic of the table's events: `<topic.prefix>.<schema>.<table>`.
    pub topic: String,
    /// Whether deletions are followed by tombstones (`tombstones.on.delete`).
    pub tombstone: bool,
}

/// That a step came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Which.
    pub step: Step,
    /// From before the statement was sent until the record was read.
    pub latency_ms: u64,
    /// The record's offset.
    pub offset: i64,
}

/// That a row came out, from INSERT to tombstone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The topic.
    pub topic: String,
    /// The row's key.
    pub id: String,
    /// Each step, in order.
    pub seen: Vec<Seen>,
    /// From before the first statement until the last record.
    pub end_to_end_ms: u64,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CanaryError {
    /// The database or Kafka can't be used at all.
    #[error("{0}")]
    Check(Check),
    /// A statement on the row failed.
    #[error("{step:?} of the row failed: {text}")]
    Statement {
        /// Which.
        step: Step,
        /// The server's words.
        text: String,
    },
    /// Kafka didn't answer in between.
    #[error("reading {topic} failed")]
    Kafka {
        /// The topic.
        topic: String,
        /// Why.
        #[source]
        source: KafkaError,
    },
    /// Nothing came.
    #[error(
        "the row was changed ({step:?}) and no `{}` came out on {topic} within {} s: the connector does not read, or not this table",
        step.op(), waited.as_secs()
    )]
    Missing {
        /// Which.
        step: Step,
        /// Where.
        topic: String,
        /// How long was waited.
        waited: Duration,
    },
    /// Something came, and isn't what was written.
    #[error("a record of the row on {topic} at offset {offset} is wrong: {problem}")]
    Wrong {
        /// Where.
        topic: String,
        /// The record's offset.
        offset: i64,
        /// What is wrong.
        problem: String,
    },
}

/// A name that needs no escaping in either engine; others are refused.
fn is_plain(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl Row {
    /// The statements that make the schema and the table where they aren't there. They need rights that a capture user doesn't have.
    pub fn preparation(&self, engine: Engine) -> Vec<String> {
        let Self { schema, table, .. } = self;
        let mut statements = vec![
            format!("CREATE SCHEMA IF NOT EXISTS {schema}"),
            format!(
                "CREATE TABLE IF NOT EXISTS {schema}.{table} (id VARCHAR(64) NOT NULL PRIMARY KEY, step INT NOT NULL)"
            ),
        ];
        if engine == Engine::Postgres {
            // Otherwise `before` would have the key only.
            statements.push(format!("ALTER TABLE {schema}.{table} REPLICA IDENTITY FULL"));
        }
        statements
    }

    /// The statement of a step; the row's `step` is 1, then 2. The id is checked to be plain, so it can stand in the text.
    fn statement(&self, step: Step) -> Option<String> {
        let Self { schema, table, id, .. } = self;
        match step {
            Step::Insert => {
                Some(format!("INSERT INTO {schema}.{table} (id, step) VALUES ('{id}', 1)"))
            }
            Step::Update => Some(format!("UPDATE {schema}.{table} SET step = 2 WHERE id = '{id}'")),
            Step::Delete => Some(format!("DELETE FROM {schema}.{table} WHERE id = '{id}'")),
            Step::Tombstone => None,
        }
    }

    fn check(&self) -> Result<(), CanaryError> {
        let id = self.id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !self.id.is_empty()
            && self.id.len() <= 64;
        if id && is_plain(&self.schema) && is_plain(&self.table) {
            return Ok(());
        }
        let found =
            format!("`{}.{}` and `{}` have to be plain names", self.schema, self.table, self.id);
        Err(CanaryError::Check(Check::fail("the canary's row", "C-CANARY-NAME", found, &[])))
    }

    /// What a record is: the step that it shows, or `None` if it is of another row. An error says what is wrong with one of ours.
    fn shows(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Option<Step>, String> {
        let Some(key) = key.and_then(payload) else { return Ok(None) };
        if key.get("id").and_then(Value::as_str) != Some(self.id.as_str()) {
            return Ok(None);
        }
        if key.as_object().is_none_or(|key| key.len() != 1) {
            return Err(format!("the key is {key}, and should be {{\"id\":\"{}\"}}", self.id));
        }
        let Some(value) = value else { return Ok(Some(Step::Tombstone)) };
        let event = payload(value).ok_or("the value is no JSON object")?;
        let op = event.get("op").and_then(Value::as_str).unwrap_or_default();
        let (step, before, after) = match op {
            "c" => (Step::Insert, None, Some(1)),
            "u" => (Step::Update, Some(1), Some(2)),
            "d" => (Step::Delete, Some(2), None),
            other => return Err(format!("its op is `{other}`")),
        };
        self.holds(&event, "before", before)?;
        self.holds(&event, "after", after)?;
        Ok(Some(step))
    }

    /// Whether one side of an event is the row as it was, or null.
    fn holds(&self, event: &Value, side: &str, step: Option<i64>) -> Result<(), String> {
        let image = event.get(side).unwrap_or(&Value::Null);
        let right = match step {
            None => image.is_null(),
            Some(step) => {
                image.get("id").and_then(Value::as_str) == Some(self.id.as_str())
                    && image.get("step").and_then(Value::as_i64) == Some(step)
            }
        };
        let wanted =
            step.map_or("null".to_owned(), |step| format!("id {} with step {step}", self.id));
        if right { Ok(()) } else { Err(format!("`{side}` is {image}, and should be {wanted}")) }
    }
}

/// The object of a JSON record, taken out of its envelope if it has a schema.
pub(crate) fn payload(bytes: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    match value {
        Value::Object(mut object)
            if object.contains_key("schema") && object.contains_key("payload") =>
        {
            object.remove("payload")
        }
        Value::Object(_) => Some(value),
        _ => None,
    }
}

/// The steps that have come out: each once, in order. A repetition of a step that was seen is no error, because delivery is at least once.
#[derive(Debug)]
struct Progress {
    next: Option<Step>,
    last: Option<Step>,
}

impl Progress {
    fn new() -> Self {
        Self { next: Some(Step::Insert), last: None }
    }

    /// Takes a step; true if it is the one that was waited for.
    fn take(&mut self, step: Step) -> Result<bool, String> {
        if Some(step) == self.next {
            self.last = Some(step);
            self.next = step.next();
            return Ok(true);
        }
        match self.last {
            Some(last) if step <= last => Ok(false),
            _ => Err(format!(
                "`{}` came before `{}`",
                step.op(),
                self.next.map_or("the end", Step::op)
            )),
        }
    }
}

/// Makes the canary's schema and table. `database` needs a user with the right to; what is there already stays.
pub async fn prepare(
    engine: Engine,
    database: &Database,
    row: &Row,
    reach: &Reach,
) -> Result<(), CanaryError> {
    row.check()?;
    let mut session = Session::open(engine, database, reach).await.map_err(CanaryError::Check)?;
    for statement in row.preparation(engine) {
        let failed = |Refused { text, .. }| CanaryError::Statement { step: Step::Insert, text };
        session.run(&statement).await.map_err(failed)?;
    }
    Ok(())
}

/// Proves that rows come out: changes the row step by step, each after the one before it came out, and waits up to `wait` for each.
///
/// Leaves no row behind when it fails after the INSERT, as far as the database still answers.
pub async fn prove(
    engine: Engine,
    database: &Database,
    kafka: &Kafka,
    row: &Row,
    reach: &Reach,
    wait: Duration,
) -> Result<Proof, CanaryError> {
    row.check()?;
    let mut session = Session::open(engine, database, reach).await.map_err(CanaryError::Check)?;
    let broker = kafka.connect(reach).await.map_err(CanaryError::Check)?;
    let of_topic = |source| CanaryError::Kafka { topic: row.topic.clone(), source };
    // A topic that isn't there yet is made by the first row, and read from its beginning.
    let mut reader = match broker.read(&row.topic, OffsetAt::Latest).await {
        Ok(reader) => Some(reader),
        Err(KafkaError::NoTopic(_)) => None,
        Err(error) => return Err(of_topic(error)),
    };
    let begin = Instant::now();
    let mut progress = Progress::new();
    let mut seen = Vec::new();
    let outcome = async {
        while let Some(step) =
            progress.next.filter(|step| row.tombstone || *step != Step::Tombstone)
        {
            let sent = Instant::now();
            if let Some(statement) = row.statement(step) {
                session
                    .run(&statement)
                    .await
                    .map_err(|Refused { text, .. }| CanaryError::Statement { step, text })?;
            }
            while progress.next == Some(step) {
                if sent.elapsed() > wait {
                    return Err(CanaryError::Missing {
                        step,
                        topic: row.topic.clone(),
                        waited: wait,
                    });
                }
                let Some(reading) = &mut reader else {
                    tokio::time::sleep(POLL).await;
                    reader = broker.read(&row.topic, OffsetAt::Earliest).await.ok();
                    continue;
                };
                for record in reading.poll(POLL).await.map_err(of_topic)? {
                    let (key, value) =
                        (record.record.key.as_deref(), record.record.value.as_deref());
                    let wrong = |problem| CanaryError::Wrong {
                        topic: row.topic.clone(),
                        offset: record.offset,
                        problem,
                    };
                    let Some(shown) = row.shows(key, value).map_err(wrong)? else { continue };
                    if progress.take(shown).map_err(wrong)? {
                        let latency_ms =
                            u64::try_from(sent.elapsed().as_millis()).unwrap_or(u64::MAX);
                        seen.push(Seen { step: shown, latency_ms, offset: record.offset });
                    }
                }
            }
        }
        Ok(())
    }
    .await;
    if outcome.is_err()
        && progress.last.is_none_or(|last| last < Step::Delete)
        && let Some(statement) = row.statement(Step::Delete)
    {
        // The first failure is what is told.
        _ = session.run(&statement).await;
    }
    outcome?;
    let end_to_end_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Proof { topic: row.topic.clone(), id: row.id.clone(), seen, end_to_end_ms })
}

/// So long a poll waits for records of one partition.
const POLL: Duration = Duration::from_millis(100);

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {} came out on {}:", self.id, self.topic)?;
        for seen in &self.seen {
            write!(f, " {} {} ms,", seen.step.op(), seen.latency_ms)?;
        }
        write!(f, " end to end {} ms", self.end_to_end_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            schema: "cdc".into(),
            table: "canary".into(),
            id: "r-1".into(),
            topic: "o.cdc.canary".into(),
            tombstone: true,
        }
    }

    const KEY: &str = r#"{"id":"r-1"}"#;

    #[track_caller]
    fn shows(key: &str, value: Option<&str>, expected: Result<Option<Step>, &str>) {
        let found = row().shows(Some(key.as_bytes()), value.map(str::as_bytes));
        match expected {
            Ok(step) => assert_eq!(found, Ok(step)),
            Err(text) => assert!(found.as_ref().is_err_and(|e| e.contains(text)), "{found:?}"),
        }
    }

    #[test]
    fn events_of_the_row_are_known_with_and_without_schema() {
        let insert = r#"{"before":null,"after":{"id":"r-1","step":1},"op":"c"}"#;
        shows(KEY, Some(insert), Ok(Some(Step::Insert)));
        let schema =
            |payload: &str| format!(r#"{{"schema":{{"type":"struct"}},"payload":{payload}}}"#);
        shows(&schema(KEY), Some(&schema(insert)), Ok(Some(Step::Insert)));
        shows(
            KEY,
            Some(r#"{"before":{"id":"r-1","step":1},"after":{"id":"r-1","step":2},"op":"u"}"#),
            Ok(Some(Step::Update)),
        );
        shows(
            KEY,
            Some(r#"{"before":{"id":"r-1","step":2},"after":null,"op":"d"}"#),
            Ok(Some(Step::Delete)),
        );
        shows(KEY, None, Ok(Some(Step::Tombstone)));
        shows(r#"{"id":"r-2"}"#, Some("nonsense"), Ok(None));
        assert_eq!(row().shows(None, None), Ok(None));
        assert_eq!(row().shows(Some(b"nonsense"), None), Ok(None));
    }

    #[test]
    fn a_record_that_is_not_what_was_written_is_no_proof() {
        shows(
            KEY,
            Some(r#"{"before":null,"after":{"id":"r-1","step":7},"op":"c"}"#),
            Err("`after` is"),
        );
        shows(
            KEY,
            Some(r#"{"before":null,"after":{"id":"r-1","step":2},"op":"u"}"#),
            Err("`before` is null"),
        );
        shows(KEY, Some(r#"{"before":{"id":"r-1"},"after":null,"op":"d"}"#), Err("`before` is"));
        shows(KEY, Some(r#"{"id":"r-1","step":1}"#), Err("its op is ``"));
        shows(KEY, Some("[1]"), Err("no JSON object"));
        shows(r#"{"id":"r-1","step":1}"#, None, Err("the key is"));
    }

    #[test]
    fn steps_come_in_order_and_may_come_again() {
        let mut progress = Progress::new();
        assert!(progress.take(Step::Update).is_err());
        assert_eq!(progress.take(Step::Insert), Ok(true));
        assert_eq!(progress.take(Step::Insert), Ok(false));
        assert_eq!(progress.take(Step::Update), Ok(true));
        assert_eq!(progress.take(Step::Insert), Ok(false));
        assert!(progress.take(Step::Tombstone).unwrap_err().contains("before `d`"));
        assert_eq!(progress.take(Step::Delete), Ok(true));
        assert_eq!(progress.take(Step::Tombstone), Ok(true));
        assert_eq!(progress.next, None);
    }

    #[test]
    fn names_that_would_need_escaping_are_refused() {
        let with = |change: fn(&mut Row)| {
            let mut row = row();
            change(&mut row);
            row.check()
        };
        assert!(with(|_| {}).is_ok());
        assert!(with(|r| r.id = "x'; DROP TABLE y; --".into()).is_err());
        assert!(with(|r| r.schema = "a`b".into()).is_err());
        assert!(with(|r| r.table = String::new()).is_err());
        assert!(with(|r| r.id = "x".repeat(65)).is_err());
    }

    #[test]
    fn postgres_keeps_whole_rows_for_before() {
        assert_eq!(row().preparation(Engine::MySql).len(), 2);
        assert!(row().preparation(Engine::Postgres)[2].ends_with("REPLICA IDENTITY FULL"));
    }
}
