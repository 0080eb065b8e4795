//! The table of known causes: one entry a cause, one file a family.
//!
//! An entry is data. It recognises a cause by *signs*, which are patterns (see [`super::pattern`]) over the texts of a log: heads of
//! entries, exceptions and `Caused by:` lines. What a pattern's gaps held, and some keys of the connector's configuration, can stand in
//! the fix as `{name}`.
//!
//! To add a cause: an entry in its family's list, with its source, and a recording in `recordings/` whose head says `# expect: CODE`.
//! The tests ask for both, and hold each recording against every entry.

mod config;
mod database;
mod history;
mod kafka;
mod mysql;
mod plugin;
mod postgres;
mod secret;
pub(super) mod worker;

use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::log::Level;
use super::pattern::Gaps;

/// A cause that is known.
pub(super) struct Known {
    /// Stable: scripts and pages refer to it.
    pub code: &'static str,
    /// What is wrong, as a headline.
    pub title: &'static str,
    /// Where between worker and database.
    pub layer: Layer,
    /// How it shows in a log; any of them.
    pub signs: &'static [Sign],
    /// How it shows in what is known besides.
    pub fact: Option<Fact>,
    /// Whether it is what is wrong, or what follows from it.
    pub rank: Rank,
    /// True if waiting may end it: then it is no certain cause as long as it is tried again.
    pub heals: bool,
    /// True if it isn't disproved by something of its layer that works later.
    pub lasts: bool,
    /// Codes that it explains: they are not told beside it.
    pub explains: &'static [&'static str],
    /// What else has to be so for it to count.
    pub given: Option<fn(&Evidence) -> bool>,
    /// What it means.
    pub meaning: &'static str,
    /// What to change, in order; statements, keys and rules, with gaps.
    pub fix: &'static [&'static str],
    /// Where the texts are from: the class that writes them, or the page that says so.
    pub source: &'static str,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code)
    }
}

/// A function of the evidence: the gaps, if the evidence shows the cause. The second argument is the code that the log showed.
pub(super) type Fact = fn(&Evidence, Option<&str>) -> Option<Gaps>;

/// How a cause shows in a log.
pub(super) struct Sign {
    /// The pattern.
    pub text: &'static str,
    /// Literals of which one has to stand in the same entry; none: wherever it is.
    pub within: &'static [&'static str],
    /// Literals that mustn't stand in the same entry so far.
    pub without: &'static [&'static str],
    /// A text of [`MARKS`] that must have been written earlier.
    pub after: Option<&'static str>,
    /// The least level of the entry.
    pub level: Level,
}

/// Texts that decide what later ones mean.
pub(super) const MARKS: &[&str] = &[HAD_OFFSET];

/// `BaseSourceTask`: the connector has run before.
const HAD_OFFSET: &str = "Found previous partition offset";

/// How much a sign says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// That something has stopped, without a word on why; it counts where nothing else is found.
    State,
    /// What follows from something else; it yields to that.
    Symptom,
    /// What is wrong.
    Root,
}

/// Where between worker and database a cause lies: what comes before it on the way has worked, if it shows at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Layer {
    /// The worker's process and its own configuration.
    Worker,
    /// Classes of the plugin.
    Plugin,
    /// The connector's configuration.
    Configuration,
    /// Secrets Manager: the way there, the right, the secret, its keys.
    Secret,
    /// The way to the brokers.
    KafkaNetwork,
    /// TLS and authentication with the brokers.
    KafkaLogin,
    /// Rights on topics, groups and the cluster.
    KafkaRights,
    /// Topics: whether they exist, their replication, what they take.
    KafkaTopics,
    /// The way to the database.
    DatabaseNetwork,
    /// Authentication with the database.
    DatabaseLogin,
    /// The capture user's rights.
    DatabaseRights,
    /// Settings of the database: binary log, WAL level, publication.
    DatabaseSettings,
    /// The position in the source: binary log, slot, offsets.
    Position,
    /// Debezium's schema history.
    History,
    /// Tasks of a connector.
    Tasks,
}

impl Layer {
    /// What must have worked for something of this layer to show.
    pub(super) fn needs(self) -> &'static [Self] {
        use Layer::{
            Configuration, DatabaseLogin, DatabaseNetwork, DatabaseRights, DatabaseSettings,
            KafkaLogin, KafkaNetwork, KafkaRights, Plugin, Secret,
        };
        match self {
            Self::Worker | Self::Plugin | Self::KafkaNetwork | Self::Tasks => &[],
            Self::Configuration | Self::Secret => &[Plugin],
            Self::KafkaLogin => &[KafkaNetwork],
            Self::KafkaRights | Self::KafkaTopics => &[KafkaNetwork, KafkaLogin],
            Self::DatabaseNetwork => &[Plugin, Configuration, Secret],
            Self::DatabaseLogin => &[Plugin, Configuration, DatabaseNetwork],
            Self::DatabaseRights | Self::DatabaseSettings => {
                &[Plugin, Configuration, Secret, DatabaseNetwork, DatabaseLogin]
            }
            Self::Position => &[
                Plugin,
                Configuration,
                Secret,
                DatabaseNetwork,
                DatabaseLogin,
                DatabaseRights,
                DatabaseSettings,
            ],
            Self::History => &[
                Plugin,
                Configuration,
                Secret,
                KafkaNetwork,
                KafkaLogin,
                KafkaRights,
                DatabaseNetwork,
                DatabaseLogin,
            ],
        }
    }

    /// What would be wrong, in words.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Worker => "the worker",
            Self::Plugin => "the plugin's classes",
            Self::Configuration => "the connector's configuration",
            Self::Secret => "the secret, or the way to Secrets Manager",
            Self::KafkaNetwork => "the way to the brokers (DNS, security groups, ports)",
            Self::KafkaLogin => "authentication with the brokers",
            Self::KafkaRights => "rights on topics and groups",
            Self::KafkaTopics => "topics",
            Self::DatabaseNetwork => "the way to the database (DNS, security groups, port)",
            Self::DatabaseLogin => "the database's user and password",
            Self::DatabaseRights => "the capture user's grants",
            Self::DatabaseSettings => "the database's settings for replication",
            Self::Position => "the position in the source",
            Self::History => "the schema history",
            Self::Tasks => "the tasks",
        }
    }
}

/// An entry with the usual values, for `..KNOWN`.
const KNOWN: Known = Known {
    code: "",
    title: "",
    layer: Layer::Worker,
    signs: &[],
    fact: None,
    rank: Rank::Root,
    heals: false,
    lasts: false,
    explains: &[],
    given: None,
    meaning: "",
    fix: &[],
    source: "",
};

/// A pattern anywhere in an ERROR.
const fn sign(text: &'static str) -> Sign {
    Sign { text, within: &[], without: &[], after: None, level: Level::Error }
}

/// A pattern in an ERROR that has one of the literals before it.
const fn within(text: &'static str, within: &'static [&'static str]) -> Sign {
    Sign { text, within, without: &[], after: None, level: Level::Error }
}

/// A pattern in an ERROR that has none of the literals before it.
const fn without(text: &'static str, without: &'static [&'static str]) -> Sign {
    Sign { text, within: &[], without, after: None, level: Level::Error }
}

/// A pattern at any level.
const fn told(text: &'static str) -> Sign {
    Sign { text, within: &[], without: &[], after: None, level: Level::Info }
}

/// A pattern in a WARN or an ERROR.
const fn warning(text: &'static str) -> Sign {
    Sign { text, within: &[], without: &[], after: None, level: Level::Warn }
}

/// A text that shows that something works, and what.
pub(super) struct Witness {
    /// The literal.
    pub text: &'static str,
    /// The layers that work.
    pub proves: &'static [Layer],
}

/// Texts at any level that show that something works.
pub(super) const WITNESSES: &[Witness] = &[
    // MySqlConnector.validateConnection, PostgresConnector.validateConnection.
    Witness {
        text: "Successfully tested connection for jdbc:",
        proves: &[Layer::Plugin, Layer::Secret, Layer::DatabaseNetwork, Layer::DatabaseLogin],
    },
    // BinaryLogClient and BinlogStreamingChangeEventSource's listener.
    Witness { text: "Connected to binlog at", proves: DATABASE },
    Witness { text: "Keepalive thread is running", proves: DATABASE },
    // PostgresStreamingChangeEventSource, once the replication stream is open.
    Witness { text: "Processing messages", proves: DATABASE },
    // BaseSourceTask, when records were handed to Connect's producer.
    Witness { text: "records sent during previous", proves: DATABASE },
    // AbstractWorkerSourceTask, when the producer has acknowledged them.
    Witness { text: "Committing offsets for ", proves: &[Layer::KafkaTopics] },
    // Metadata: brokers have answered.
    Witness { text: "] Cluster ID: ", proves: &[Layer::KafkaNetwork, Layer::KafkaLogin] },
    // DistributedHerder: the worker has its topics and its group.
    Witness {
        text: "Finished starting connectors and tasks",
        proves: &[Layer::Worker, Layer::KafkaNetwork, Layer::KafkaLogin],
    },
];

const DATABASE: &[Layer] = &[
    Layer::Plugin,
    Layer::Configuration,
    Layer::Secret,
    Layer::DatabaseNetwork,
    Layer::DatabaseLogin,
    Layer::DatabaseRights,
    Layer::DatabaseSettings,
    Layer::Position,
];

/// Texts that say that what failed is not tried again.
pub(super) const FINAL: &[&str] = &[
    // WorkerTask.doRun
    "Task is being killed and will not recover until manually restarted",
    // AbstractWorkerSourceTask.sendRecords
    " due to an unrecoverable exception",
    // ConnectDistributed, AbstractConnectCli
    "Stopping due to error",
    // HotSpot with -XX:+ExitOnOutOfMemoryError
    "Terminating due to java.lang.OutOfMemoryError",
    // ConnectExceptionMapper: the connector wasn't accepted.
    "Uncaught exception in REST call to /connectors",
    // RestServer's request log: the configuration was refused, which Connect's mapper doesn't tell where it was validation that did.
    "/config HTTP/1.1\" 400 ",
    "\"POST /connectors HTTP/1.1\" 400 ",
    // DistributedHerder
    "Uncaught exception in herder work thread, exiting",
    // AbstractHerder, WorkerConnector: the connector itself.
    "Failed to start connector",
    "Error while starting connector",
    "Failed to start task",
];

/// Every known cause, family by family.
pub(super) fn all() -> impl Iterator<Item = &'static Known> {
    [
        worker::KNOWN,
        plugin::KNOWN,
        config::KNOWN,
        secret::KNOWN,
        kafka::KNOWN,
        database::KNOWN,
        mysql::KNOWN,
        postgres::KNOWN,
        history::KNOWN,
    ]
    .into_iter()
    .flatten()
}
