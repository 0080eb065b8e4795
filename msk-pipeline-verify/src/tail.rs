//! The events of topics as they come: key, operation, table, before and after.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use rskafka::client::partition::OffsetAt;
use rskafka::record::RecordAndOffset;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::canary::payload;
use crate::chain::kafka::{Broker, Kafka, KafkaError, Reader};
use crate::check::Check;
use crate::reach::Reach;

/// So long a broker keeps a request for records that there aren't yet.
const WAIT: Duration = Duration::from_millis(500);
/// How often topics that aren't there yet are looked for.
const LOOK: Duration = Duration::from_secs(3);
/// Records that were read and not yet taken; then reading waits.
const AHEAD: usize = 256;

/// A record of a topic, read as Debezium's event where it is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
    /// When it was written, in milliseconds since 1970.
    pub at: i64,
    /// The key; null without one. JSON without its schema, else text.
    pub key: Value,
    /// What it tells.
    #[serde(flatten)]
    pub told: Told,
}

/// What a record tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Told {
    /// A change of a row.
    Change {
        /// Debezium's `op`: `c`reated, `u`pdated, `d`eleted, `r`ead by a snapshot, `t`runcated.
        op: String,
        /// The table, as `schema.table`.
        table: String,
        /// The row before; null where there was none.
        before: Value,
        /// The row after.
        after: Value,
    },
    /// A key without a value, by which compaction forgets it.
    Tombstone,
    /// Something else: what a transform made, a heartbeat, or no JSON.
    Other {
        /// As it stands.
        value: Value,
    },
}

/// Reads topics from their end on, until it is dropped.
pub struct Tail {
    events: mpsc::Receiver<Result<Event, KafkaError>>,
    _readers: JoinSet<()>,
}

impl Tail {
    /// Begins to read at the topics' present ends. A topic that isn't there yet is read from its beginning once it is.
    ///
    /// # Errors
    /// If the brokers can't be used, as a check says it.
    pub async fn open(kafka: &Kafka, topics: &[String], reach: &Reach) -> Result<Self, Check> {
        let broker = kafka.connect(reach).await?;
        let failed = |e: KafkaError| Check::fail("topics", "C-KAFKA-UNREACHED", e.to_string(), &[]);
        let (sender, events) = mpsc::channel(AHEAD);
        let mut readers = JoinSet::new();
        let mut missing = BTreeSet::new();
        for topic in topics {
            match broker.read(topic, OffsetAt::Latest).await {
                Ok(reader) => begin(&mut readers, topic, reader, &sender),
                Err(KafkaError::NoTopic(_)) => drop(missing.insert(topic.clone())),
                Err(error) => return Err(failed(error)),
            }
        }
        // Whoever looks for topics keeps the connection, and with it the way to the brokers, open.
        readers.spawn(appear(broker, missing, sender));
        Ok(Self { events, _readers: readers })
    }

    /// The next event.
    ///
    /// # Errors
    /// A partition that can't be read any more; the others go on.
    pub async fn next(&mut self) -> Result<Event, KafkaError> {
        match self.events.recv().await {
            Some(event) => event,
            // Whoever looks for topics never ends, and holds a sender.
            None => std::future::pending().await,
        }
    }
}

type Sender = mpsc::Sender<Result<Event, KafkaError>>;

fn begin(readers: &mut JoinSet<()>, topic: &str, reader: Reader, sender: &Sender) {
    for reader in reader.each() {
        readers.spawn(follow(topic.to_owned(), reader, sender.clone()));
    }
}

/// Reads one partition until nobody listens.
async fn follow(topic: String, (partition, mut reader): (i32, Reader), sender: Sender) {
    loop {
        let records = match reader.poll(WAIT).await {
            Ok(records) => records,
            Err(error) => {
                // A leader that moves is found again by the next request.
                if sender.send(Err(error)).await.is_err() {
                    return;
                }
                tokio::time::sleep(LOOK).await;
                continue;
            }
        };
        for record in records {
            if sender.send(Ok(event(&topic, partition, &record))).await.is_err() {
                return;
            }
        }
    }
}

/// Reads topics once they are there.
async fn appear(broker: Broker, mut missing: BTreeSet<String>, sender: Sender) {
    let mut readers = JoinSet::new();
    loop {
        tokio::time::sleep(LOOK).await;
        for topic in missing.clone() {
            // What isn't there, or doesn't answer now, is asked again.
            if let Ok(reader) = broker.read(&topic, OffsetAt::Earliest).await {
                begin(&mut readers, &topic, reader, &sender);
                missing.remove(&topic);
            }
        }
        if sender.is_closed() {
            return;
        }
    }
}

fn event(topic: &str, partition: i32, record: &RecordAndOffset) -> Event {
    Event {
        topic: topic.to_owned(),
        partition,
        offset: record.offset,
        at: record.record.timestamp.timestamp_millis(),
        key: record.record.key.as_deref().map_or(Value::Null, read),
        told: told(record.record.value.as_deref()),
    }
}

/// JSON without its schema, else text.
fn read(bytes: &[u8]) -> Value {
    payload(bytes)
        .or_else(|| serde_json::from_slice(bytes).ok())
        .unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned().into())
}

fn told(value: Option<&[u8]>) -> Told {
    let Some(value) = value else { return Told::Tombstone };
    let value = read(value);
    let Some(op) = value.get("op").and_then(Value::as_str) else { return Told::Other { value } };
    let side = |name: &str| value.get(name).cloned().unwrap_or(Value::Null);
    let source = |name: &str| value.get("source")?.get(name)?.as_str();
    // MySQL's schemas are databases; PostgreSQL has both.
    let schema = source("schema").or_else(|| source("db")).unwrap_or_default();
    Told::Change {
        op: op.to_owned(),
        table: format!("{schema}.{}", source("table").unwrap_or_default()),
        before: side("before"),
        after: side("after"),
    }
}

/// One line: `u shop.orders {"id":7} {"note":"old"} -> {"note":"new"}`; of a changed row only what changed.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, offset, key, .. } = self;
        match &self.told {
            Told::Tombstone => write!(f, "tombstone {topic} {key}"),
            Told::Other { value } => write!(f, "- {topic} {key} {value}"),
            Told::Change { op, table, before, after } => {
                write!(f, "{op} {table} {key} ")?;
                match (before, after) {
                    (Value::Null, after) => write!(f, "{after}"),
                    (before, Value::Null) => write!(f, "{before} -> gone"),
                    (before, after) => {
                        let (before, after) = changed(before, after);
                        write!(f, "{before} -> {after}")
                    }
                }
            }
        }?;
        write!(f, "  @{partition}/{offset}")
    }
}

/// Of two rows what differs; of anything else all.
fn changed(before: &Value, after: &Value) -> (Value, Value) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return (before.clone(), after.clone());
    };
    let only = |of: &serde_json::Map<String, Value>, other: &serde_json::Map<String, Value>| {
        let differs = of.iter().filter(|(name, value)| other.get(*name) != Some(*value));
        Value::Object(differs.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    (only(old, new), only(new, old))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &str, value: Option<&str>) -> String {
        let (topic, key) = ("p.shop.orders".to_owned(), read(key.as_bytes()));
        let told = told(value.map(str::as_bytes));
        Event { topic, partition: 2, offset: 40, at: 0, key, told }.to_string()
    }

    #[test]
    fn a_change_is_one_line() {
        let source = r#""source":{"db":"shop","table":"orders"}"#;
        let of = |op: &str, before: &str, after: &str| {
            let value = format!(r#"{{"op":"{op}","before":{before},"after":{after},{source}}}"#);
            line(r#"{"id":7}"#, Some(&value))
        };
        let (old, new) = (r#"{"id":7,"note":"old"}"#, r#"{"id":7,"note":"new"}"#);
        assert_eq!(of("c", "null", old), format!(r#"c shop.orders {{"id":7}} {old}  @2/40"#));
        assert_eq!(
            of("u", old, new),
            r#"u shop.orders {"id":7} {"note":"old"} -> {"note":"new"}  @2/40"#
        );
        assert_eq!(
            of("d", old, "null"),
            format!(r#"d shop.orders {{"id":7}} {old} -> gone  @2/40"#)
        );
        assert_eq!(line(r#"{"id":7}"#, None), r#"tombstone p.shop.orders {"id":7}  @2/40"#);
    }

    #[test]
    fn schemas_are_left_out_and_what_is_no_event_is_shown_as_it_stands() {
        let key = r#"{"schema":{"type":"struct"},"payload":{"id":7}}"#;
        let value = r#"{"schema":{},"payload":{"op":"r","before":null,"after":{"id":7},"source":{"db":"inventory","schema":"public","table":"t"}}}"#;
        assert_eq!(line(key, Some(value)), r#"r public.t {"id":7} {"id":7}  @2/40"#);
        assert_eq!(line("k", Some("not JSON")), r#"- p.shop.orders "k" "not JSON"  @2/40"#);
        assert_eq!(line("1", Some(r#"{"id":7}"#)), r#"- p.shop.orders 1 {"id":7}  @2/40"#);
    }
}
