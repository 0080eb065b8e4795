//! Where a connector begins and ends, as AWS tells it.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_kafkaconnect::operation::describe_connector::DescribeConnectorOutput;
use aws_sdk_secretsmanager::Client;
use msk_pipeline_core::kind::CallError;
use msk_pipeline_verify::cause::Evidence;
use msk_pipeline_verify::chain::kafka::{Kafka, Login};
use msk_pipeline_verify::chain::{AwsCredentials, Database, mysql};
use msk_pipeline_verify::session::Engine;
use msk_pipeline_verify::{Check, Secret};

use super::secrets::resolve;
use crate::Session;
use crate::components::connector::{CANARY, CLASS, listed, topic};
use crate::evidence::{Told, described};

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
/// A heartbeat is late after so many intervals, and not before a minute: Connect writes in batches, and a broker may move.
const LATE: u32 = 3;

/// A connector with everything that AWS tells of its two ends. No secret: passwords are placeholders.
#[derive(Debug, Clone, PartialEq)]
pub struct Ends {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: String,
    /// Log, reports, times and configurations.
    pub evidence: Evidence,
    /// The cluster's servers.
    pub bootstrap: Vec<String>,
    /// True with IAM authentication.
    pub iam: bool,
    /// True with TLS.
    pub tls: bool,
    /// The topic in which Connect keeps its place.
    pub offsets: String,
    /// The log group of its workers.
    pub log_group: Option<String>,
    /// Its ARN.
    pub arn: String,
}

/// Why a connector can't be looked at here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It reads something else than `MySQL` with Debezium.
    #[error("its class is {0}: only Debezium's connector for MySQL is looked at")]
    Class(String),
    /// A key that it needs is not there.
    #[error("its configuration has no `{0}`")]
    Key(&'static str),
}

/// Asks AWS for a connector's ends; `None` if there is none with this name.
///
/// # Errors
/// A read that failed.
pub async fn ends(session: &Session, connector: &str) -> Result<Option<Ends>, CallError> {
    let Some((described, Told { state, evidence })) = described(session, connector).await? else {
        return Ok(None);
    };
    let arn = described.connector_arn().unwrap_or_default();
    let cluster = described.kafka_cluster().and_then(|k| k.apache_kafka_cluster());
    let servers = cluster.and_then(|k| k.bootstrap_servers()).unwrap_or_default();
    Ok(Some(Ends {
        name: connector.to_owned(),
        state,
        bootstrap: servers
            .split(',')
            .map(|s| s.trim().to_owned())
            .filter(|s| !s.is_empty())
            .collect(),
        iam: is(
            &described,
            |c| c.kafka_cluster_client_authentication()?.authentication_type().map(|t| t.as_str()),
            "IAM",
        ),
        tls: is(
            &described,
            |c| c.kafka_cluster_encryption_in_transit()?.encryption_type().map(|t| t.as_str()),
            "TLS",
        ),
        offsets: offsets(&evidence.worker_config, connector, arn),
        log_group: crate::kinds::connector::observe::log_group(&described),
        arn: arn.to_owned(),
        evidence,
    }))
}

fn is<'a>(
    of: &'a DescribeConnectorOutput,
    what: impl Fn(&'a DescribeConnectorOutput) -> Option<&'a str>,
    value: &str,
) -> bool {
    what(of) == Some(value)
}

/// The worker configuration's topic, or the one that MSK Connect makes (handbook msk.md §5.3).
fn offsets(worker: &BTreeMap<String, String>, name: &str, arn: &str) -> String {
    let id = arn.rsplit('/').next().unwrap_or_default();
    worker
        .get("offset.storage.topic")
        .cloned()
        .unwrap_or_else(|| format!("__amazon_msk_connect_offsets_{name}_{id}"))
}

impl Ends {
    /// A key of its configuration.
    pub fn config(&self, key: &str) -> Option<&str> {
        self.evidence.connector_config.get(key).map(String::as_str)
    }

    /// Whether it is one that can be looked at.
    ///
    /// # Errors
    /// Why not.
    pub fn fit(&self) -> Result<(), Unfit> {
        let class = self.config("connector.class").unwrap_or_default();
        if class != CLASS {
            return Err(Unfit::Class(class.to_owned()));
        }
        let needed = ["database.hostname", "database.user", "database.password", "topic.prefix"];
        needed
            .into_iter()
            .find(|key| self.config(key).is_none())
            .map_or(Ok(()), |key| Err(Unfit::Key(key)))
    }

    /// The engine that it reads.
    pub(crate) fn engine(&self) -> Engine {
        match self.config("connector.class") {
            Some(class) if class.contains(".postgresql.") => Engine::Postgres,
            _ => Engine::MySql,
        }
    }

    /// Where its database is, without a user.
    pub(crate) fn place(&self) -> Database {
        let config = |key| self.config(key).unwrap_or_default();
        Database {
            host: config("database.hostname").to_owned(),
            port: config("database.port").parse().unwrap_or(3306),
            name: None,
            user: String::new(),
            password: Secret::default(),
            tls: config("database.ssl.mode") != "disabled",
        }
    }

    /// Its database as the capture user, whose secret is read for it.
    pub(crate) async fn source(&self, secrets: &Client) -> Result<Database, Check> {
        let config = |key| self.config(key).unwrap_or_default();
        let user = resolve(secrets, config("database.user")).await?;
        let password = Secret::new(resolve(secrets, config("database.password")).await?);
        Ok(Database { user, password, ..self.place() })
    }

    /// The cluster, entered with these credentials where it asks for some.
    pub fn kafka(&self, credentials: Option<AwsCredentials>, region: &str) -> Kafka {
        let login = match (self.iam, self.tls, credentials) {
            (true, _, Some(credentials)) => Login::Iam { credentials, region: region.to_owned() },
            (_, true, _) => Login::Tls,
            _ => Login::Plaintext,
        };
        Kafka { bootstrap: self.bootstrap.clone(), login }
    }

    /// The table of signals.
    pub fn signal_table(&self) -> Option<&str> {
        self.config("signal.data.collection")
    }

    fn listed(&self) -> impl Iterator<Item = String> {
        listed(self.config("table.include.list").unwrap_or_default())
    }

    /// Captured tables, as the list has them but without its escapes; without those of the tool's own.
    pub fn tables(&self) -> Vec<String> {
        let own = |name: &String| {
            Some(name.as_str()) != self.signal_table() && self.canary_table().as_ref() != Some(name)
        };
        self.listed().filter(own).collect()
    }

    /// The canary's table, if it is captured.
    pub fn canary_table(&self) -> Option<String> {
        let ends = format!(".{CANARY}");
        let schema = self.signal_table().and_then(|table| Some(table.split_once('.')?.0));
        self.listed().find(|name| match schema {
            Some(schema) => name.strip_suffix(&ends) == Some(schema),
            None => name.ends_with(&ends),
        })
    }

    /// The topic of a table.
    pub fn topic(&self, table: &str) -> String {
        topic(self.config("topic.prefix").unwrap_or_default(), table)
    }

    /// The topics of its tables.
    pub fn events(&self) -> Vec<String> {
        self.tables().iter().map(|table| self.topic(table)).collect()
    }

    /// Its transforms; they may send events elsewhere, or in another shape.
    pub fn transforms(&self) -> Vec<&str> {
        let list = self.config("transforms").unwrap_or_default();
        list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
    }

    /// The converter of a side, if it isn't JSON's: such records can't be read here.
    pub fn foreign_converter(&self) -> Option<&str> {
        let of = |side: &str| {
            let key = format!("{side}.converter");
            self.config(&key).or_else(|| self.evidence.worker_config.get(&key).map(String::as_str))
        };
        ["key", "value"].into_iter().filter_map(of).find(|class| *class != JSON)
    }

    /// The heartbeat's topic, and how old its newest record may be; `None` without heartbeats.
    pub fn heartbeat(&self) -> Option<(String, Duration)> {
        let interval = self.config("heartbeat.interval.ms")?.parse().ok().filter(|ms| *ms > 0)?;
        let prefix = ["topic.heartbeat.prefix", "heartbeat.topics.prefix"];
        let prefix =
            prefix.into_iter().find_map(|key| self.config(key)).unwrap_or("__debezium-heartbeat");
        let topic = format!("{prefix}.{}", self.config("topic.prefix")?);
        let most = (Duration::from_millis(interval) * LATE).max(Duration::from_mins(1));
        Some((topic, most))
    }

    /// What it needs of its source.
    pub fn wanted(&self, retention: Option<Duration>) -> mysql::Wanted {
        mysql::Wanted {
            tables: self.tables(),
            signal_table: self.signal_table().map(str::to_owned),
            retention,
            locks: self.config("snapshot.locking.mode") != Some("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(config: &[(&str, &str)]) -> Ends {
        let pairs = |list: &[(&str, &str)]| {
            list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>()
        };
        Ends {
            name: "orders".into(),
            state: "RUNNING".into(),
            evidence: Evidence { connector_config: pairs(config), ..Evidence::default() },
            bootstrap: vec!["b-1:9098".into()],
            iam: true,
            tls: true,
            offsets: "o".into(),
            log_group: None,
            arn: "arn:c/orders/u-1".into(),
        }
    }

    const TABLES: (&str, &str) =
        ("table.include.list", "shop.orders,shop.a\\$b,cdc.signal,cdc.canary");

    #[test]
    fn its_own_tables_are_none_that_are_captured() {
        let of = ends(&[TABLES, ("signal.data.collection", "cdc.signal"), ("topic.prefix", "p")]);
        assert_eq!(of.tables(), ["shop.orders", "shop.a$b"]);
        assert_eq!(of.canary_table().as_deref(), Some("cdc.canary"));
        assert_eq!(of.events(), ["p.shop.orders", "p.shop.a_b"]);
        // A user's table of that name in another schema is the user's.
        let other = ends(&[
            ("table.include.list", "shop.canary,cdc.signal"),
            ("signal.data.collection", "cdc.signal"),
        ]);
        assert_eq!((other.canary_table(), other.tables().len()), (None, 1));
    }

    #[test]
    fn a_heartbeat_is_late_after_three_and_a_minute() {
        let of =
            |ms: &str| ends(&[("heartbeat.interval.ms", ms), ("topic.prefix", "p")]).heartbeat();
        let topic = "__debezium-heartbeat.p".to_owned();
        assert_eq!(of("30000"), Some((topic.clone(), Duration::from_secs(90))));
        assert_eq!(of("1000"), Some((topic, Duration::from_mins(1))));
        assert_eq!(of("0"), None);
        assert_eq!(ends(&[]).heartbeat(), None);
    }

    #[test]
    fn place_is_kept_in_its_own_topic_or_msk_connects() {
        let arn = "arn:aws:kafkaconnect:eu-west-1:1:connector/orders/0-0-2";
        let own = BTreeMap::from([("offset.storage.topic".to_owned(), "mine".to_owned())]);
        assert_eq!(offsets(&own, "orders", arn), "mine");
        let default = offsets(&BTreeMap::new(), "orders", arn);
        assert_eq!(default, "__amazon_msk_connect_offsets_orders_0-0-2");
    }

    #[test]
    fn the_listener_follows_from_how_it_logs_in() {
        let key = || AwsCredentials {
            access_key_id: "a".into(),
            secret_access_key: msk_pipeline_verify::Secret::new("s"),
            session_token: None,
        };
        let of = ends(&[]);
        assert!(matches!(of.kafka(Some(key()), "r").login, Login::Iam { .. }));
        let plain = Ends { iam: false, tls: false, ..of.clone() };
        assert!(matches!(plain.kafka(Some(key()), "r").login, Login::Plaintext));
        assert!(matches!(Ends { iam: false, ..of }.kafka(None, "r").login, Login::Tls));
    }

    #[test]
    fn what_is_no_debezium_for_mysql_is_unfit() {
        let sink = ends(&[("connector.class", "org.example.Sink")]);
        assert_eq!(sink.fit(), Err(Unfit::Class("org.example.Sink".into())));
        assert_eq!(ends(&[("connector.class", CLASS)]).fit(), Err(Unfit::Key("database.hostname")));
    }
}
