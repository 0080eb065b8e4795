//! The data plane behind the world: what programs there have to be, and what they report.
//!
//! A world whose [`Plane`](crate::Plane) is real says here what should run, as plain facts computed from its state. Whoever runs it
//! reports what came of it, and the world records that. The world stays a value: it starts nothing, waits for nothing, and its answers
//! follow from what was recorded. Until a report comes, what a program has to do just lasts.
//!
//! What loopback can't show, routes, security groups and most policies, is judged by the world's rules as on the simulated plane.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::services::{iam, kafka, kafkaconnect, logs, rds, secretsmanager};
use crate::world::{Millis, World};

/// How long something lasts whose end is a report: longer than any world, and small enough to be added and multiplied.
pub(crate) const UNTIL_REPORTED: Millis = 1 << 52;

/// Something that waits for a report. Two waits of one object never have the same token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// Names the wait, in [`Report`]s.
    pub token: String,
    /// What is waited for.
    pub what: Work,
}

/// What a program has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Start for the first time.
    Create,
    /// Take on what changed; a connector with its settings from before, and whether its health is checked.
    Update {
        /// Whether a connector that doesn't run afterwards goes back.
        validated: bool,
    },
    /// Stop, and start again.
    Reboot {
        /// Which brokers; none for a database.
        brokers: Vec<u32>,
    },
    /// Pause a connector.
    Pause,
    /// Let it go on.
    Resume,
    /// Restart a connector and its tasks.
    Restart {
        /// Only the tasks that failed.
        only_failed: bool,
    },
}

/// A cluster that should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// In how many zones.
    pub zones: usize,
    /// Host names of its brokers, those that are being added too.
    pub brokers: BTreeMap<u32, String>,
    /// The ports of its listeners.
    pub ports: BTreeSet<u16>,
    /// The properties of the configuration revision.
    pub properties: BTreeMap<String, String>,
    /// Topics of MSK's own API.
    pub topics: BTreeMap<String, Topic>,
    /// What it waits for.
    pub awaits: Option<Awaited>,
}

/// A topic that should exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// How many partitions.
    pub partitions: usize,
    /// How many replicas of each.
    pub replication: u32,
    /// What is set on it.
    pub configs: BTreeMap<String, String>,
}

/// What an Aurora cluster is compatible with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// `aurora-mysql`.
    MySql,
    /// `aurora-postgresql`.
    PostgreSql,
}

/// An Aurora cluster that has a writer.
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    /// The cluster's identifier.
    pub name: String,
    /// Its engine.
    pub engine: Engine,
    /// `EngineVersion`.
    pub version: String,
    /// The writer instance.
    pub writer: String,
    /// Host names that lead to the writer: the cluster's endpoint and the writer's.
    pub endpoints: BTreeSet<String>,
    /// The other names: the reader endpoint and those of reader instances.
    pub readers: BTreeSet<String>,
    /// The port.
    pub port: u16,
    /// The master user.
    pub master: String,
    /// Whether RDS manages its password.
    pub managed: bool,
    /// Its password, from the managed secret as soon as that is there; `None` where the caller set one, which the world doesn't keep.
    pub password: Option<String>,
    /// The database made with the cluster.
    pub database: Option<String>,
    /// Parameters of the cluster's group and the writer's, with whether each can change while the server runs.
    pub parameters: BTreeMap<String, (String, bool)>,
    /// What it waits for.
    pub awaits: Option<Awaited>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, engine, version, writer, port, parameters, awaits, .. } = self;
        write!(
            f,
            "Database {{ {name}, {engine:?} {version}, {writer}, {port}, {parameters:?}, {awaits:?} }}"
        )
    }
}

/// A connector that should run.
#[derive(Clone, PartialEq, Eq)]
pub struct Connector {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// `<uuid>-<N>`.
    pub id: String,
    /// `bootstrapServers`.
    pub bootstrap: String,
    /// Whether it authenticates with IAM.
    pub iam: bool,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The ARN of its service execution role.
    pub role: String,
    /// Its log group and the stream of its worker; `None` without log delivery to `CloudWatch`.
    pub log: Option<String>,
    /// `kafkaConnectVersion`.
    pub version: String,
    /// How many workers it has.
    pub workers: u64,
    /// The settings that it should have.
    pub settings: Settings,
    /// The settings to which an update goes back.
    pub before: Option<Settings>,
    /// Whether it is paused.
    pub paused: bool,
    /// Secrets that its role may read and its workers reach, by name: the text members of each.
    pub secrets: BTreeMap<String, BTreeMap<String, String>>,
    /// What it waits for.
    pub awaits: Option<Awaited>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let secrets: Vec<_> = self.secrets.keys().collect();
        let Self { name, id, settings, awaits, .. } = self;
        write!(f, "Connector {{ {name}, {id}, {settings:?}, {secrets:?}, {awaits:?} }}")
    }
}

/// What an update of a connector changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The SHA-256 of the plugin's archive, by which the world has its content.
    pub plugin: String,
    /// Whether that is a single jar.
    pub jar: bool,
    /// The worker configuration.
    pub properties: BTreeMap<String, String>,
    /// The connector's configuration, byte for byte.
    pub configuration: BTreeMap<String, String>,
}

/// What a task of a connector was last seen doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its number.
    pub id: u32,
    /// Connect's word for it.
    pub state: String,
    /// The stack trace of what it failed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// What programs report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The work that was waited for is done.
    Done {
        /// Of the wait.
        token: String,
    },
    /// It failed: a creation ends in FAILED, a cluster's operation in `UPDATE_FAILED`, a connector's update in a rollback that is done.
    Failed {
        /// Of the wait.
        token: String,
        /// Why; MSK shows it, MSK Connect doesn't.
        message: String,
    },
    /// What a connector's tasks are doing.
    Tasks {
        /// The connector's ARN.
        connector: String,
        /// All of them.
        tasks: Vec<Task>,
    },
    /// Lines of a log, in order.
    Log {
        /// The group.
        group: String,
        /// The stream.
        stream: String,
        /// The lines.
        lines: Vec<String>,
    },
}

/// The clusters that should run.
pub fn clusters(world: &World, now: Millis) -> Vec<Cluster> {
    kafka::plane::clusters(world, now)
}

/// The databases that should run.
pub fn databases(world: &World, now: Millis) -> Vec<Database> {
    rds::plane::databases(world, now)
}

/// The connectors that should run: those that were created and neither failed nor are being deleted.
pub fn connectors(world: &World, now: Millis) -> Vec<Connector> {
    kafkaconnect::plane::connectors(world, now)
}

/// What a connector's tasks were last reported to do; empty on the simulated plane.
pub fn tasks(world: &World, connector_arn: &str) -> Vec<Task> {
    kafkaconnect::plane::tasks(world, connector_arn)
}

/// Whether the policies of a role allow an action, as the programs in front of the brokers ask.
pub fn permits(world: &World, role: &str, action: &str, resource: &str) -> bool {
    iam::role(world, role).is_some_and(|role| iam::permits(&role, action, resource))
}

/// Records a report. Answers whether it changed anything: one for a wait that is over does not.
pub fn record(world: &mut World, now: Millis, report: &Report) -> bool {
    let changed = match report {
        Report::Done { token } => end(world, now, token, None),
        Report::Failed { token, message } => end(world, now, token, Some(message)),
        Report::Tasks { connector, tasks } => {
            kafkaconnect::plane::set_tasks(world, connector, tasks)
        }
        Report::Log { group, stream, lines } => {
            logs::put(world, group, stream, now, lines);
            logs::exists(world, group)
        }
    };
    if changed {
        world.revision += 1;
    }
    changed
}

fn end(world: &mut World, now: Millis, token: &str, failure: Option<&String>) -> bool {
    let failure = failure.map(String::as_str);
    kafka::plane::end(world, now, token, failure)
        || rds::plane::end(world, now, token, failure)
        || kafkaconnect::plane::end(world, now, token, failure)
}

/// The text members of a secret's current value.
pub(crate) fn secret(
    world: &World,
    now: Millis,
    name_or_arn: &str,
) -> Option<BTreeMap<String, String>> {
    secretsmanager::members(world, name_or_arn, now)
}
