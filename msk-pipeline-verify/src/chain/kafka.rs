//! Kafka: the way in, which topics exist, and when the last event came.
//!
//! The client is `rskafka`: it is pure Rust (no librdkafka, which needs a C++ toolchain and its own OpenSSL for TLS and SASL), is released by
//! those who run it in production (`InfluxData`), speaks TLS with the same rustls and ring as the rest, and has SCRAM and OAUTHBEARER, by which MSK
//! takes IAM. It has no consumer groups; nothing here needs one.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rskafka::BackoffConfig;
use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder, Credentials, OauthBearerCredentials, SaslConfig};
use rskafka::record::{Record, RecordAndOffset};
use serde_json::Value;
use tokio::time::timeout;

use super::iam::{self, AwsCredentials};
use super::mysql::BinlogPosition;
use super::socks::Socks;
use crate::check::Check;
use crate::reach::{Reach, Server, unreached};
use crate::secret::Secret;

/// So long one request may take, retries included.
const REQUEST: Duration = Duration::from_secs(15);

/// How a client proves who it is, and with it which listener it uses.
#[derive(Debug, Clone)]
pub enum Login {
    /// Plaintext, without authentication (9092).
    Plaintext,
    /// TLS, without authentication (9094).
    Tls,
    /// TLS with SASL/SCRAM-SHA-512 (9096).
    Scram {
        /// The user.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// TLS with IAM (9098).
    Iam {
        /// Whose rights.
        credentials: AwsCredentials,
        /// The cluster's region.
        region: String,
    },
}

/// A cluster and how to get into it.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// `host:port`, of which one has to answer.
    pub bootstrap: Vec<String>,
    /// How.
    pub login: Login,
}

/// Why a request had no answer.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// The client's own.
    #[error("{0}")]
    Client(#[from] rskafka::client::error::Error),
    /// Nothing came back.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The partition isn't there.
    #[error("there is no topic {0}")]
    NoTopic(String),
}

/// A client; with addresses given by hand, its own proxy beside it.
pub(crate) struct Broker {
    client: Client,
    _socks: Option<Socks>,
}

impl Kafka {
    /// Connects, or says why that isn't possible.
    pub(crate) async fn connect(&self, reach: &Reach) -> Result<Broker, Check> {
        self.answers(reach).await?;
        let failed = |text: String| {
            let (code, found) = meaning(&text);
            Check::fail("authentication with the brokers", code, found, &[])
        };
        let socks = if reach.addresses.is_empty() {
            None
        } else {
            Some(Socks::start(reach.clone()).await.map_err(|e| failed(e.to_string()))?)
        };
        let backoff = BackoffConfig { deadline: Some(REQUEST), ..BackoffConfig::default() };
        let mut builder = ClientBuilder::new(self.bootstrap.clone())
            .client_id("msk-pipeline-verify")
            .backoff_config(backoff);
        if let Some(socks) = &socks {
            builder = builder.socks5_proxy(socks.address().to_string());
        }
        if !matches!(self.login, Login::Plaintext) {
            builder = builder.tls_config(reach.tls().map_err(|e| failed(e.to_string()))?);
        }
        if let Some(sasl) = self.login.sasl() {
            builder = builder.sasl_config(sasl);
        }
        match timeout(REQUEST, builder.build()).await {
            Ok(Ok(client)) => Ok(Broker { client, _socks: socks }),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(
                "the port answers, and neither TLS nor authentication comes to an end".into(),
            )),
        }
    }

    /// Whether one of the brokers answers; if none does, why the last doesn't.
    async fn answers(&self, reach: &Reach) -> Result<(), Check> {
        let mut last = Check::fail(
            "the way to the brokers",
            "C-KAFKA-HOST",
            "no bootstrap server was given",
            &[],
        );
        for server in &self.bootstrap {
            let Some((host, Ok(port))) =
                server.rsplit_once(':').map(|(host, port)| (host, port.parse()))
            else {
                let found = format!("`{server}` is not host:port");
                last = Check::fail("the way to the brokers", "C-KAFKA-HOST", found, &[]);
                continue;
            };
            match reach.connects(host, port).await {
                Ok(()) => return Ok(()),
                Err(error) => last = unreached(Server::Broker, host, port, &error),
            }
        }
        Err(last)
    }
}

impl Login {
    fn sasl(&self) -> Option<SaslConfig> {
        match self {
            Self::Plaintext | Self::Tls => None,
            Self::Scram { user, password } => {
                let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
                Some(SaslConfig::ScramSha512(credentials))
            }
            Self::Iam { credentials, region } => {
                let (credentials, region) = (Arc::new(credentials.clone()), region.clone());
                // Each connection signs anew: a signature is cheap, and a kept one ends.
                let callback = Arc::new(move || {
                    let now =
                        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                    let token = iam::token(&credentials, &region, now).reveal().to_owned();
                    let future: std::pin::Pin<Box<dyn Future<Output = _> + Send>> =
                        Box::pin(async move { Ok(token) });
                    future
                });
                Some(SaslConfig::Oauthbearer(OauthBearerCredentials {
                    callback,
                    authz_id: None,
                    bearer_kvs: Vec::new(),
                }))
            }
        }
    }
}

/// What a failure after the first connection means, by its words.
fn meaning(text: &str) -> (&'static str, String) {
    let lower = text.to_lowercase();
    let code = if lower.contains("certificate") {
        "C-KAFKA-TRUST"
    } else if lower.contains("invalidcontenttype") || lower.contains("corrupt message") {
        "C-KAFKA-TLS"
    } else if lower.contains("access denied") {
        "C-KAFKA-IAM"
    } else if lower.contains("too many connects") {
        "C-KAFKA-IAM-CONNECTIONS"
    } else if lower.contains("mechanism") {
        "C-KAFKA-MECHANISM"
    } else if lower.contains("sasl") || lower.contains("authentication") {
        "C-KAFKA-LOGIN"
    } else {
        "C-KAFKA-UNREACHED"
    };
    (code, text.to_owned())
}

impl Broker {
    /// Topics with their partitions.
    pub(crate) async fn topics(&self) -> Result<Vec<(String, Vec<i32>)>, KafkaError> {
        let topics = within(self.client.list_topics()).await?;
        Ok(topics
            .into_iter()
            .map(|topic| (topic.name, topic.partitions.into_iter().collect()))
            .collect())
    }

    /// A reader for each partition of a topic, from its end or from its beginning.
    pub(crate) async fn read(&self, topic: &str, from: OffsetAt) -> Result<Reader, KafkaError> {
        let partitions = self.topics().await?.into_iter().find(|(name, _)| name == topic);
        let (_, partitions) = partitions.ok_or_else(|| KafkaError::NoTopic(topic.to_owned()))?;
        let mut readers = Vec::new();
        for partition in partitions {
            let handling = UnknownTopicHandling::Error;
            let client = within(self.client.partition_client(topic, partition, handling)).await?;
            let next = within(client.get_offset(from)).await?;
            readers.push((partition, client, next));
        }
        Ok(Reader { partitions: readers })
    }

    /// When the newest record of a topic was written, in milliseconds since 1970; `None` if it holds none.
    pub(crate) async fn last(&self, topic: &str) -> Result<Option<i64>, KafkaError> {
        let reader = self.read(topic, OffsetAt::Latest).await?;
        let mut newest = None;
        for (_, client, end) in reader.partitions {
            let first = within(client.get_offset(OffsetAt::Earliest)).await?;
            if end > first {
                let (records, _) = within(client.fetch_records(end - 1, 1..FETCH, 500)).await?;
                newest = newest.max(records.last().map(|r| r.record.timestamp.timestamp_millis()));
            }
        }
        Ok(newest)
    }
}

impl Broker {
    /// The position that a connector has committed, from Connect's offsets topic; `None` if there is none of this connector.
    pub(crate) async fn committed(
        &self,
        topic: &str,
        connector: &str,
    ) -> Result<Option<BinlogPosition>, KafkaError> {
        let mut newest = None;
        self.scan(topic, |record| {
            let found = committed(connector, record.key.as_deref(), record.value.as_deref());
            newest = found.or(newest.take());
        })
        .await?;
        Ok(newest)
    }

    /// Shows every record that a topic holds now, partition by partition; a topic that grows meanwhile is read to its present end.
    pub(crate) async fn scan(
        &self,
        topic: &str,
        mut see: impl FnMut(Record),
    ) -> Result<(), KafkaError> {
        let Reader { partitions } = self.read(topic, OffsetAt::Earliest).await?;
        for (_, client, mut next) in partitions {
            let end = within(client.get_offset(OffsetAt::Latest)).await?;
            while next < end {
                let (records, _) = within(client.fetch_records(next, 1..FETCH, 500)).await?;
                // What compaction or a transaction's marker left empty has no record up to the end.
                let Some(last) = records.last() else { break };
                next = last.offset + 1;
                for record in records {
                    see(record.record);
                }
            }
        }
        Ok(())
    }
}

/// The position in a record of Connect's offsets topic: the key is `["connector", {"server": …}]`, the value Debezium's offset.
fn committed(connector: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> Option<BinlogPosition> {
    let key: Value = serde_json::from_slice(key?).ok()?;
    let value: Value = serde_json::from_slice(value?).ok()?;
    (key.get(0)?.as_str()? == connector).then_some(())?;
    let file = value.get("file")?.as_str()?.to_owned();
    Some(BinlogPosition { file, position: value.get("pos")?.as_u64()? })
}

/// At most so many bytes a request.
const FETCH: i32 = 4 * 1024 * 1024;

/// The partitions of a topic with the offset to read next.
pub(crate) struct Reader {
    partitions: Vec<(i32, PartitionClient, i64)>,
}

impl Reader {
    /// One for each partition, with its number.
    pub(crate) fn each(self) -> impl Iterator<Item = (i32, Self)> {
        self.partitions
            .into_iter()
            .map(|partition| (partition.0, Self { partitions: vec![partition] }))
    }

    /// What has come since the last call; waits up to `wait` a partition.
    pub(crate) async fn poll(
        &mut self,
        wait: Duration,
    ) -> Result<Vec<RecordAndOffset>, KafkaError> {
        let mut all = Vec::new();
        for (_, client, next) in &mut self.partitions {
            let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
            let (records, _) = within(client.fetch_records(*next, 1..FETCH, wait)).await?;
            if let Some(last) = records.last() {
                *next = last.offset + 1;
            }
            all.extend(records);
        }
        Ok(all)
    }
}

async fn within<T>(
    request: impl Future<Output = Result<T, rskafka::client::error::Error>>,
) -> Result<T, KafkaError> {
    match timeout(REQUEST, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(KafkaError::Timeout(REQUEST)),
    }
}

impl From<io::Error> for KafkaError {
    fn from(_: io::Error) -> Self {
        Self::Timeout(REQUEST)
    }
}

/// Judges which of the topics that a pipeline needs exist. Pure.
pub fn judge_topics(existing: &[String], wanted: &[String]) -> Vec<Check> {
    let check = |name: &String| {
        if existing.contains(name) {
            Check::pass(format!("topic {name}"), "exists")
        } else {
            Check::fail(
                format!("topic {name}"),
                "C-KAFKA-NO-TOPIC",
                "does not exist",
                &[("topic", name.as_str())],
            )
        }
    };
    wanted.iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_that_are_missing_are_named_with_what_to_do() {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let checks = judge_topics(&names(&["a", "b"]), &names(&["b", "c"]));
        assert!(checks[0].passed());
        assert_eq!(checks[1].code(), Some("C-KAFKA-NO-TOPIC"));
        assert!(checks[1].to_string().contains("Create c"), "{}", checks[1]);
    }

    #[test]
    fn a_committed_position_is_that_of_the_connector() {
        let key = br#"["orders",{"server":"orders"}]"#;
        let value = br#"{"ts_sec":1,"file":"binlog.000003","pos":379,"server_id":1}"#;
        let of = |connector, value: &[u8]| committed(connector, Some(key), Some(value));
        assert_eq!(
            of("orders", value),
            Some(BinlogPosition { file: "binlog.000003".into(), position: 379 })
        );
        assert_eq!(of("billing", value), None);
        assert_eq!(of("orders", br#"{"lsn":7}"#), None);
        assert_eq!(committed("orders", Some(key), None), None);
        assert_eq!(committed("orders", Some(b"nonsense"), Some(value)), None);
    }

    #[test]
    fn words_of_a_failure_have_a_meaning() {
        for (text, code) in [
            ("invalid peer certificate: UnknownIssuer", "C-KAFKA-TRUST"),
            ("[7d0ab893]: Access denied", "C-KAFKA-IAM"),
            ("[7d0ab893]: Too many connects", "C-KAFKA-IAM-CONNECTIONS"),
            ("received corrupt message of type InvalidContentType", "C-KAFKA-TLS"),
            ("unsupported SASL mechanism", "C-KAFKA-MECHANISM"),
            ("SASL authentication failed", "C-KAFKA-LOGIN"),
            ("early eof", "C-KAFKA-UNREACHED"),
        ] {
            assert_eq!(meaning(text).0, code, "{text}");
        }
    }

    #[tokio::test]
    async fn no_broker_that_answers_is_told_with_its_port() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let kafka = Kafka { bootstrap: vec![format!("127.0.0.1:{port}")], login: Login::Plaintext };
        let check = kafka.connect(&Reach::default()).await.err().unwrap();
        assert_eq!(check.code(), Some("C-KAFKA-UNREACHED"));
        let kafka = Kafka { bootstrap: vec!["nonsense".into()], login: Login::Plaintext };
        assert_eq!(
            kafka.connect(&Reach::default()).await.err().unwrap().code(),
            Some("C-KAFKA-HOST")
        );
    }

    #[test]
    fn a_login_never_prints_its_secret() {
        let login = Login::Scram { user: "u".into(), password: Secret::new("hunter2") };
        assert!(!format!("{login:?}").contains("hunter2"));
    }
}
