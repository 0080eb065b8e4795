//! What a connector has to know of the cluster and the database that it connects: every look at other components is here.

use msk_pipeline_core::Address;
use msk_pipeline_core::dsl::Expansion;
use msk_pipeline_core::kind::Input;

use super::{Connector, Product};
use crate::components::database::{Database, Engine};
use crate::components::kafka::{Kafka, Listener};
use crate::kinds::aurora_cluster::AuroraCluster;

/// The cluster that a connector writes to.
pub(super) struct Cluster<'a> {
    pub(super) name: String,
    pub(super) kafka: &'a Kafka,
    /// What MSK calls it.
    pub(super) physical: String,
    pub(super) listener: Listener,
}

impl Cluster<'_> {
    pub(super) fn address(&self, part: &str) -> Address {
        Address::new(format!("kafka.{}.{part}", self.name))
    }

    pub(super) fn existing(&self) -> bool {
        self.kafka.existing.is_some()
    }

    /// How many brokers there are; of an existing cluster that is not known yet.
    pub(super) fn brokers(&self) -> Option<i32> {
        (!self.existing()).then_some(self.kafka.brokers.count)
    }

    pub(super) fn t3(&self) -> bool {
        !self.existing() && self.kafka.brokers.instance_type.starts_with("kafka.t3.")
    }
}

/// The database that a connector reads.
pub(super) struct Source<'a> {
    pub(super) name: String,
    pub(super) database: &'a Database,
    /// The name of the secret with the capture user and its password.
    pub(super) secret: String,
}

impl Source<'_> {
    pub(super) fn address(&self, part: &str) -> Address {
        Address::new(format!("database.{}.{part}", self.name))
    }

    pub(super) fn existing(&self) -> bool {
        self.database.existing.is_some()
    }

    /// An output of its cluster, of which nothing can be asked before it is known.
    pub(super) fn server(&self) -> Input<String> {
        Input::output(self.address("cluster"), AuroraCluster::CLUSTER_ARN)
    }

    /// The connector that reads it.
    pub(super) fn product(&self) -> &'static Product {
        Product::of(self.database.engine())
    }

    /// Whether its connector keeps the history of schemas in a topic: PostgreSQL tells the schema beside each change.
    pub(super) fn has_history(&self) -> bool {
        self.database.engine() == Engine::MySql
    }
}

/// The name of the cluster that a connector uses: its own word, or the only one there is.
pub(in crate::components) fn cluster_of(
    connector: &Connector,
    cx: &Expansion<'_>,
) -> Option<String> {
    connector.kafka.clone().or_else(|| match cx.all::<Kafka>().as_slice() {
        [(name, _)] => Some((*name).to_owned()),
        _ => None,
    })
}

pub(super) fn cluster<'a>(connector: &Connector, cx: &mut Expansion<'a>) -> Option<Cluster<'a>> {
    let all = cx.all::<Kafka>();
    let wanted = cluster_of(connector, cx);
    let Some((name, kafka)) =
        all.iter().find(|(name, _)| wanted.as_deref() == Some(*name)).copied()
    else {
        let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        match (&wanted, names.is_empty()) {
            (Some(wanted), false) => cx.error(
                "kafka",
                format!("there is no `[kafka.{wanted}]`"),
                &format!("declared clusters: {}", names.join(", ")),
            ),
            (_, true) => {
                cx.error("kafka", "there is no cluster to write to", "declare one: `[kafka.main]`");
            }
            (None, false) => cx.error(
                "kafka",
                "there are several clusters",
                &format!("say which one: kafka = \"{}\"", names[0]),
            ),
        }
        return None;
    };
    let physical = match &kafka.existing {
        // A name, or an ARN that has the name in its middle.
        Some(existing) => existing.split('/').nth(1).unwrap_or(existing).to_owned(),
        None => cx.name(&[name], 64),
    };
    Some(Cluster { name: name.to_owned(), kafka, physical, listener: kafka.connect_listener() })
}

pub(super) fn source<'a>(connector: &Connector, cx: &mut Expansion<'a>) -> Option<Source<'a>> {
    let Some(database) = cx.get::<Database>(&connector.source) else {
        let names: Vec<_> = cx.all::<Database>().iter().map(|(name, _)| *name).collect();
        let help = if names.is_empty() {
            format!("declare it: `[database.{}]`", connector.source)
        } else {
            format!("declared databases: {}", names.join(", "))
        };
        cx.error("source", format!("there is no `[database.{}]`", connector.source), &help);
        return None;
    };
    let captured = database.capture.as_ref().and_then(|c| c.secret.clone());
    let secret = connector.secret.clone().or(captured);
    let own = || format!("{}/{}/capture", cx.header.name, connector.source);
    Some(Source { name: connector.source.clone(), database, secret: secret.unwrap_or_else(own) })
}
