//! What exists, and what it looks like at a given time: every state, version and setting is a function of recorded events and now.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::archive::Contents;
use super::around;
use crate::services::ec2;
use crate::world::{Millis, World};

/// A custom plugin from CREATING to ACTIVE.
pub(super) const PLUGIN_CREATE: Millis = 40_000;
/// A custom plugin from DELETING to gone (U).
pub(super) const PLUGIN_DELETE: Millis = 10_000;
/// A worker configuration from DELETING to gone (U).
pub(super) const WORKER_CONFIGURATION_DELETE: Millis = 5_000;
/// A connector from CREATING to RUNNING, or to FAILED when its own start fails.
pub(super) const CONNECTOR_CREATE: Millis = 360_000;
/// A connector whose brokers can't be reached spins just over twenty minutes before it is FAILED (handbook msk.md §5.1).
pub(super) const CONNECTOR_UNREACHABLE: Millis = 1_230_000;
/// An update, from the call to RUNNING.
pub(super) const CONNECTOR_UPDATE: Millis = 240_000;
/// What the way back takes when an update fails its health check (U).
pub(super) const CONNECTOR_ROLLBACK: Millis = 180_000;
/// A pause (U).
pub(super) const CONNECTOR_PAUSE: Millis = 60_000;
/// A resume (U).
pub(super) const CONNECTOR_RESUME: Millis = 60_000;
/// A restart (U).
pub(super) const CONNECTOR_RESTART: Millis = 90_000;
/// A connector from DELETING to gone.
pub(super) const CONNECTOR_DELETE: Millis = 180_000;
/// How long the interfaces of the workers outlive their connector (U).
pub(super) const INTERFACES_LINGER: Millis = 240_000;
/// How long an operation is PENDING (U).
pub(super) const OPERATION_PENDING: Millis = 5_000;

/// Everything of this service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// By ARN.
    pub(super) connectors: BTreeMap<String, Connector>,
    /// By ARN.
    pub(super) plugins: BTreeMap<String, Plugin>,
    /// By ARN.
    pub(super) worker_configurations: BTreeMap<String, WorkerConfiguration>,
}

impl State {
    /// Forgets what is gone and leaves nothing behind; changing calls do this first.
    pub(super) fn purge(&mut self, now: Millis) {
        self.plugins.retain(|_, p| p.exists(now));
        self.worker_configurations.retain(|_, c| c.exists(now));
        self.connectors.retain(|_, c| c.exists(now) || c.workers.iter().any(|w| w.exists(now)));
    }
}

/// A `stateDescription` or `errorInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    /// The code.
    pub(super) code: String,
    /// The message.
    pub(super) message: String,
}

impl Failure {
    /// What AWS says of most failures; the cause is in the worker logs (handbook msk.md §5.1; the wording is (U)).
    pub(super) fn generic() -> Self {
        Self {
            code: "UnknownError.Unknown".into(),
            message: "The last operation failed. Retry the operation.".into(),
        }
    }

    pub(super) fn shown(&self) -> Value {
        serde_json::json!({ "code": self.code, "message": self.message })
    }
}

/// A custom plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plugin {
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) content_type: String,
    /// `location` as given.
    pub(super) location: Value,
    pub(super) created_at: Millis,
    /// When CREATING ends.
    pub(super) settled_at: Millis,
    pub(super) failure: Option<Failure>,
    /// The object as it was when the plugin was created; later changes of the object are of no account.
    pub(super) file: Option<PluginFile>,
    pub(super) deleting_since: Option<Millis>,
    pub(super) gone_at: Option<Millis>,
    pub(super) tags: BTreeMap<String, String>,
}

/// The content of a plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PluginFile {
    pub(super) sha256: String,
    pub(super) md5: String,
    pub(super) size: u64,
    /// What could be read of it; `None` when it isn't an archive.
    pub(super) contents: Option<Contents>,
}

impl Plugin {
    pub(super) fn exists(&self, now: Millis) -> bool {
        self.gone_at.is_none_or(|gone| now < gone)
    }

    pub(super) fn state(&self, now: Millis) -> &'static str {
        if self.deleting_since.is_some() {
            "DELETING"
        } else if now < self.settled_at {
            "CREATING"
        } else if self.failure.is_some() {
            "CREATE_FAILED"
        } else {
            "ACTIVE"
        }
    }
}

/// A worker configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct WorkerConfiguration {
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    /// The base64 text as it was sent.
    pub(super) content: String,
    /// What it says.
    pub(super) properties: BTreeMap<String, String>,
    pub(super) created_at: Millis,
    pub(super) deleting_since: Option<Millis>,
    pub(super) gone_at: Option<Millis>,
    pub(super) tags: BTreeMap<String, String>,
}

impl WorkerConfiguration {
    pub(super) fn exists(&self, now: Millis) -> bool {
        self.gone_at.is_none_or(|gone| now < gone)
    }

    pub(super) fn state(&self, _now: Millis) -> &'static str {
        if self.deleting_since.is_some() { "DELETING" } else { "ACTIVE" }
    }
}

/// What an update can change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Settings {
    /// `CapacityDescription`.
    pub(super) capacity: Value,
    /// The ARN of the one plugin.
    pub(super) plugin: String,
    /// Its revision.
    pub(super) plugin_revision: u64,
    /// `WorkerConfigurationDescription`; `None` is the default one of MSK Connect.
    pub(super) worker_configuration: Option<Value>,
    /// `connectorConfiguration`.
    pub(super) configuration: BTreeMap<String, String>,
}

impl Settings {
    /// How many workers run at first.
    pub(super) fn workers(&self) -> u64 {
        let count = self
            .capacity
            .pointer("/provisionedCapacity/workerCount")
            .or_else(|| self.capacity.pointer("/autoScaling/minWorkerCount"));
        count.and_then(Value::as_u64).unwrap_or(1)
    }

    /// How many workers count against the account's quota: for autoscaling the maximum (handbook msk.md §5.4).
    pub(super) fn most_workers(&self) -> u64 {
        let most = self.capacity.pointer("/autoScaling/maxWorkerCount").and_then(Value::as_u64);
        most.unwrap_or_else(|| self.workers())
    }

    /// `PluginDescription` list.
    pub(super) fn plugins_shown(&self) -> Value {
        serde_json::json!([{ "customPlugin": {
            "customPluginArn": self.plugin, "revision": self.plugin_revision,
        } }])
    }

    /// The ARN of the worker configuration.
    pub(super) fn worker_configuration_arn(&self) -> Option<&str> {
        self.worker_configuration.as_ref().map(|c| super::text(c, "workerConfigurationArn"))
    }
}

/// What kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum OperationKind {
    /// Capacity, plugin or worker configuration.
    WorkerSetting,
    /// The connector's own configuration.
    Configuration,
    /// RUNNING to PAUSED.
    Pause,
    /// PAUSED to RUNNING.
    Resume,
    /// RUNNING to RUNNING.
    Restart,
}

/// One operation on a connector.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Operation {
    pub(super) arn: String,
    pub(super) kind: OperationKind,
    pub(super) created_at: Millis,
    pub(super) ends_at: Millis,
    /// When the health check failed and the way back began.
    pub(super) rolls_back_at: Option<Millis>,
    pub(super) error: Option<Failure>,
    /// Whether an update has a health check.
    pub(super) validated: bool,
    /// The settings before and wanted, for updates.
    pub(super) origin: Option<Settings>,
    pub(super) target: Option<Settings>,
    /// Whether a restart leaves the tasks alone that run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) only_failed: bool,
    /// The connector's version once it has ended.
    pub(super) version: String,
}

impl Operation {
    fn is_update(&self) -> bool {
        matches!(self.kind, OperationKind::WorkerSetting | OperationKind::Configuration)
    }

    pub(super) fn shown_kind(&self) -> &'static str {
        match self.kind {
            OperationKind::WorkerSetting => "UPDATE_WORKER_SETTING",
            OperationKind::Configuration => "UPDATE_CONNECTOR_CONFIGURATION",
            OperationKind::Pause => "PAUSE_CONNECTOR",
            OperationKind::Resume => "RESUME_CONNECTOR",
            OperationKind::Restart => "RESTART_CONNECTOR",
        }
    }

    pub(super) fn state(&self, now: Millis) -> &'static str {
        let pending = now < self.ends_at.min(self.created_at + OPERATION_PENDING);
        let ended = now >= self.ends_at;
        match (self.kind, ended) {
            _ if pending => "PENDING",
            (OperationKind::Pause, false) => "PAUSE_IN_PROGRESS",
            (OperationKind::Pause, true) => "PAUSE_COMPLETE",
            (OperationKind::Resume, false) => "RESUME_IN_PROGRESS",
            (OperationKind::Resume, true) => "RESUME_COMPLETE",
            (OperationKind::Restart, false) => "RESTART_IN_PROGRESS",
            (OperationKind::Restart, true) => "RESTART_COMPLETE",
            (_, ended) => match (self.rolls_back_at, ended) {
                (Some(_), true) => "ROLLBACK_COMPLETE",
                (Some(at), false) if now >= at => "ROLLBACK_IN_PROGRESS",
                (_, false) => "UPDATE_IN_PROGRESS",
                (None, true) => "UPDATE_COMPLETE",
            },
        }
    }

    /// The steps of an update, with their states; none for the other kinds (U).
    pub(super) fn steps(&self, now: Millis) -> Vec<(&'static str, &'static str)> {
        if !self.is_update() {
            return Vec::new();
        }
        let mut names = vec!["INITIALIZE_UPDATE", self.shown_kind()];
        if self.validated {
            names.push("VALIDATE_UPDATE");
        }
        names.push("FINALIZE_UPDATE");
        // The steps share the time up to the end or the failed health check: a short first and last one around the work (U).
        let until = self.rolls_back_at.unwrap_or(self.ends_at);
        let span = until - self.created_at;
        let failed = self.rolls_back_at.is_some_and(|at| now >= at);
        let count = names.len() as u64;
        names
            .into_iter()
            .zip(0u64..)
            .map(|(name, index)| {
                let done = if self.rolls_back_at.is_some() {
                    // All but the last lie before the failure.
                    self.created_at + span * (index + 1) / (count - 1)
                } else {
                    self.created_at + span * (index + 1) / count
                };
                let begun = if self.rolls_back_at.is_some() {
                    self.created_at + span * index / (count - 1)
                } else {
                    self.created_at + span * index / count
                };
                let state = match (failed, name) {
                    (true, "VALIDATE_UPDATE") => "FAILED",
                    (true, "FINALIZE_UPDATE") => "CANCELLED",
                    _ if now >= done => "COMPLETED",
                    _ if now >= begun && now >= self.created_at + OPERATION_PENDING => {
                        "IN_PROGRESS"
                    }
                    _ => "PENDING",
                };
                (name, state)
            })
            .collect()
    }
}

/// A network interface of one worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Worker {
    pub(super) interface: String,
    pub(super) subnet: String,
    pub(super) private_ip: String,
    pub(super) from: Millis,
    pub(super) until: Option<Millis>,
}

impl Worker {
    pub(super) fn exists(&self, now: Millis) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }
}

/// A connector.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Connector {
    pub(super) arn: String,
    pub(super) name: String,
    /// `<uuid>-<N>`, the last part of the ARN.
    pub(super) id: String,
    pub(super) description: Option<String>,
    pub(super) created_at: Millis,
    /// When CREATING ends.
    pub(super) settled_at: Millis,
    pub(super) failure: Option<Failure>,
    /// The check in `health.rs` that decided for FAILED.
    pub(super) failed_check: Option<String>,
    /// What it was created with.
    pub(super) settings: Settings,
    /// What never changes.
    pub(super) fixed: Fixed,
    /// The version token at creation.
    pub(super) version: String,
    /// Oldest first.
    pub(super) operations: Vec<Operation>,
    pub(super) workers: Vec<Worker>,
    /// What its tasks were last reported to do, on the real plane.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tasks: Vec<crate::plane::Task>,
    pub(super) deleting_since: Option<Millis>,
    pub(super) gone_at: Option<Millis>,
    pub(super) tags: BTreeMap<String, String>,
}

/// What no API can change on a connector (handbook msk.md §5.2).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Fixed {
    pub(super) bootstrap_servers: String,
    pub(super) subnets: Vec<String>,
    pub(super) security_groups: Vec<String>,
    pub(super) authentication: String,
    pub(super) encryption: String,
    pub(super) kafka_connect_version: String,
    pub(super) role: String,
    /// `logDelivery` as given.
    pub(super) log_delivery: Option<Value>,
    pub(super) network_type: String,
}

impl Fixed {
    /// The log group of the workers, when they have one.
    pub(super) fn log_group(&self) -> Option<&str> {
        let logs = self.log_delivery.as_ref()?.pointer("/workerLogDelivery/cloudWatchLogs")?;
        let enabled = logs.get("enabled").and_then(Value::as_bool).unwrap_or(false);
        enabled.then(|| super::text(logs, "logGroup")).filter(|group| !group.is_empty())
    }

    /// The bootstrap servers one by one.
    pub(super) fn hosts(&self) -> Vec<&str> {
        self.bootstrap_servers.split(',').map(str::trim).filter(|s| !s.is_empty()).collect()
    }
}

impl Connector {
    pub(super) fn exists(&self, now: Millis) -> bool {
        self.gone_at.is_none_or(|gone| now < gone)
    }

    /// The operation that is under way.
    pub(super) fn underway(&self, now: Millis) -> Option<&Operation> {
        self.operations.iter().find(|op| now < op.ends_at)
    }

    pub(super) fn state(&self, now: Millis) -> &'static str {
        if self.deleting_since.is_some() {
            return "DELETING";
        }
        if now < self.settled_at {
            return "CREATING";
        }
        if self.failure.is_some() {
            return "FAILED";
        }
        if let Some(operation) = self.underway(now) {
            return match operation.kind {
                OperationKind::WorkerSetting | OperationKind::Configuration => "UPDATING",
                OperationKind::Pause => "PAUSING",
                OperationKind::Resume => "RESUMING",
                OperationKind::Restart => "RESTARTING",
            };
        }
        // An update leaves a paused connector paused (U).
        let switched = self.operations.iter().rev().find_map(|op| match op.kind {
            OperationKind::Pause => Some("PAUSED"),
            OperationKind::Resume => Some("RUNNING"),
            _ => None,
        });
        switched.unwrap_or("RUNNING")
    }

    /// The settings that hold: a change counts once its operation has completed without a rollback.
    pub(super) fn settings(&self, now: Millis) -> &Settings {
        let changed = self.operations.iter().rev().find_map(|op| {
            let holds = now >= op.ends_at && op.rolls_back_at.is_none();
            op.target.as_ref().filter(|_| holds)
        });
        changed.unwrap_or(&self.settings)
    }

    /// The version token: another one after each update, also after one that was rolled back (U); pausing, resuming,
    /// restarting and tagging leave it alone (U).
    pub(super) fn version(&self, now: Millis) -> &str {
        let ended = self.operations.iter().rev().find(|op| op.is_update() && now >= op.ends_at);
        ended.map_or(&self.version, |op| &op.version)
    }

    /// Every setting that it has now or is on its way to.
    pub(super) fn uses(&self, now: Millis) -> Vec<&Settings> {
        let wanted = self.underway(now).and_then(|op| op.target.as_ref());
        [Some(self.settings(now)), wanted].into_iter().flatten().collect()
    }
}

/// The names of the topics that Connect keeps for itself; they outlive the connector (handbook msk.md §5.3). A worker
/// configuration can name its own for the offsets.
pub(super) fn internal_topics(name: &str, id: &str, offsets: Option<&str>) -> Vec<String> {
    ["configs", "offsets", "status"]
        .iter()
        .map(|what| match (*what, offsets) {
            ("offsets", Some(topic)) => topic.to_string(),
            _ => format!("__amazon_msk_connect_{what}_{name}_{id}"),
        })
        .collect()
}

/// Whether the workers of a connector hold a replication slot of the server with this name. They do so until they are gone.
pub(crate) fn reads_slot(world: &World, now: Millis, host: &str, slot: &str) -> bool {
    world.state.kafkaconnect.connectors.values().any(|connector| {
        let configuration = &connector.settings(now).configuration;
        let is = |key: &str, value: &str| configuration.get(key).is_some_and(|v| v == value);
        connector.exists(now)
            && !matches!(connector.state(now), "CREATING" | "FAILED")
            && is("database.hostname", host)
            && is("slot.name", slot)
    })
}

/// Whether a connector that streams from the server writes this row of heartbeats (`heartbeat.action.query`).
pub(crate) fn beats(world: &World, now: Millis, host: &str, table: &str, id: &str) -> bool {
    let (into, id) = (format!("INTO {table} "), format!("'{id}'"));
    world.state.kafkaconnect.connectors.values().any(|connector| {
        let configuration = &connector.settings(now).configuration;
        let query = configuration.get("heartbeat.action.query");
        connector.exists(now)
            && connector.state(now) == "RUNNING"
            && configuration.get("database.hostname").is_some_and(|of| of == host)
            && query.is_some_and(|query| query.contains(&into) && query.contains(&id))
    })
}

/// The network interfaces of all workers, lingering ones included: until they are gone, their groups and subnets can't be
/// deleted (handbook msk.md §5.3, aws.md §3.3).
pub(crate) fn interfaces(world: &World, now: Millis) -> Vec<ec2::Interface> {
    let mut out = Vec::new();
    for connector in world.state.kafkaconnect.connectors.values() {
        let uuid = connector.id.rsplit_once('-').map_or("", |(uuid, _)| uuid);
        for worker in connector.workers.iter().filter(|w| w.exists(now)) {
            let subnet = around::subnet(world, &worker.subnet);
            let (vpc_id, az) = subnet.map(|s| (s.vpc_id, s.az)).unwrap_or_default();
            out.push(ec2::Interface {
                id: worker.interface.clone(),
                subnet_id: worker.subnet.clone(),
                vpc_id,
                az,
                groups: connector.fixed.security_groups.clone(),
                description: format!(
                    "DO NOT DELETE - AWS Kafka Connect ENI for {} - {uuid}",
                    connector.name
                ),
                requester_id: "kafkaconnect.amazonaws.com".into(), // (U)
                requester_managed: true,
                interface_type: "interface".into(),
                private_ip: worker.private_ip.clone(),
                status: "in-use".into(),
                tags: [("AmazonMSKConnectManaged".to_string(), "true".to_string())].into(),
            });
        }
    }
    out
}
