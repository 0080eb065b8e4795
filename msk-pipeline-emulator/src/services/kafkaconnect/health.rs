//! Whether a connector would run: one check a function, each looking at the world as it is when the connector is created or
//! changed. What a check finds is what the workers would log; AWS's own answer is generic.

use std::collections::BTreeMap;

mod brokers;
mod configuration;
mod database;
mod postgres;
mod secrets;

use super::around;
use super::state::{Fixed, Settings};
use super::worker_log::Line;
use crate::world::{Millis, Plane, World};

/// What is looked at.
pub(super) struct Subject<'a> {
    pub(super) name: &'a str,
    /// `<uuid>-<N>`.
    pub(super) id: &'a str,
    pub(super) fixed: &'a Fixed,
    pub(super) settings: &'a Settings,
    pub(super) now: Millis,
}

/// Why it would not run.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    /// The check that found it.
    pub(super) check: &'static str,
    /// Whether the workers don't even reach the brokers, which they try for more than twenty minutes.
    pub(super) unreachable: bool,
    /// The last words.
    pub(super) lines: Vec<Line>,
}

type Check = fn(&World, &Subject<'_>) -> Option<Trouble>;

/// In the order in which a worker would stumble: its brokers, its plugin, its configuration, its secrets, its database, its history.
const CHECKS: &[Check] = &[
    brokers::bootstrap_is_known,
    brokers::cluster_is_active,
    brokers::brokers_are_open,
    brokers::listener_fits,
    brokers::role_may_connect,
    configuration::class_is_in_plugin,
    configuration::class_fits_java,
    configuration::required_keys,
    postgres::slot_name_is_well_formed,
    configuration::overrides_are_allowed,
    configuration::topic_creation_defaults,
    secrets::placeholders_are_declared,
    secrets::secrets_are_reachable,
    secrets::secrets_exist,
    secrets::secrets_may_be_read,
    database::database_is_reachable,
    database::binlog_is_row,
    postgres::wal_level_is_logical,
    postgres::decoding_plugin_is_there,
    database::history_is_reachable,
    database::history_topic_can_be,
    database::history_may_be_used,
    brokers::role_may_write,
];

/// What real programs can't show on one machine: routes, security groups, policies beyond `kafka-cluster:Connect`, and how AWS's own
/// providers of secrets fail.
const BEYOND_PROGRAMS: &[Check] = &[
    brokers::bootstrap_is_known,
    brokers::cluster_is_active,
    brokers::brokers_are_open,
    brokers::role_may_connect,
    secrets::secrets_are_reachable,
    secrets::secrets_exist,
    secrets::secrets_may_be_read,
    database::database_is_reachable,
    database::history_topic_can_be,
    database::history_may_be_used,
    brokers::role_may_write,
];

/// The first thing that keeps the connector from running. Where the plane is real, programs find out about the rest.
pub(super) fn trouble(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    let checks = match world.settings.plane {
        Plane::Simulated => CHECKS,
        Plane::Real => BEYOND_PROGRAMS,
    };
    checks.iter().find_map(|check| check(world, subject))
}

impl Subject<'_> {
    fn config(&self, key: &str) -> &str {
        self.settings.configuration.get(key).map_or("", String::as_str)
    }

    fn class(&self) -> &str {
        self.config("connector.class")
    }

    /// The properties of the worker configuration; the default one of MSK Connect has only the converters.
    fn worker<'w>(&self, world: &'w World) -> Option<&'w BTreeMap<String, String>> {
        let arn = self.settings.worker_configuration_arn()?;
        world.state.kafkaconnect.worker_configurations.get(arn).map(|c| &c.properties)
    }

    /// The port of the first bootstrap server.
    fn port(&self) -> u16 {
        self.fixed.hosts().first().map_or(0, |host| port_of(host))
    }

    /// Whether this connector keeps a schema history in Kafka.
    fn has_history(&self) -> bool {
        let storage = self.config("schema.history.internal");
        let kafka = storage.is_empty() || storage.ends_with(".KafkaSchemaHistory");
        kafka
            && matches!(debezium(self.class()), Some("mysql" | "mariadb" | "sqlserver" | "oracle"))
    }
}

/// Which Debezium source connector a class is.
fn debezium(class: &str) -> Option<&str> {
    let rest = class.strip_prefix("io.debezium.connector.")?;
    let (family, simple) = rest.split_once('.')?;
    (!simple.ends_with("SinkConnector")).then_some(family)
}

fn port_of(host: &str) -> u16 {
    host.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(0)
}

fn cluster(world: &World, now: Millis, hosts: &[&str]) -> Option<around::Cluster> {
    hosts.iter().find_map(|host| around::cluster(world, now, host))
}

#[expect(clippy::unnecessary_wraps, reason = "it is what a check answers")]
fn failed(check: &'static str, lines: Vec<Line>) -> Option<Trouble> {
    Some(Trouble { check, unreachable: false, lines })
}

/// The worker gives up on its brokers.
#[expect(clippy::unnecessary_wraps, reason = "it is what a check answers")]
fn no_brokers<S: Into<String>>(
    check: &'static str,
    causes: impl IntoIterator<Item = S>,
) -> Option<Trouble> {
    let mut stack = vec![
        "org.apache.kafka.connect.errors.ConnectException: Failed to connect to and describe Kafka cluster. Check worker's broker connection and security properties.".to_string(),
        "\tat org.apache.kafka.connect.runtime.WorkerConfig.lookupKafkaClusterId(WorkerConfig.java:424)".into(),
        "\tat org.apache.kafka.connect.cli.ConnectDistributed.createHerder(ConnectDistributed.java:73)".into(),
        "\tat org.apache.kafka.connect.cli.AbstractConnectCli.startConnect(AbstractConnectCli.java:122)".into(),
    ];
    stack.extend(causes.into_iter().map(|cause| format!("Caused by: {}", cause.into())));
    let last = Line::new(
        "ERROR",
        "Stopping due to error",
        "org.apache.kafka.connect.cli.AbstractConnectCli:99",
    );
    Some(Trouble { check, unreachable: true, lines: vec![last.stack(stack)] })
}

const NO_NODE: &str = "org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment. Call: listNodes";

fn timed_out() -> [String; 2] {
    [format!("java.util.concurrent.ExecutionException: {NO_NODE}"), NO_NODE.into()]
}

/// Connect refuses the configuration of the connector.
fn invalid(check: &'static str, reason: &str) -> Option<Trouble> {
    let line = Line::new(
        "ERROR",
        "Uncaught exception in REST call to /connectors",
        "org.apache.kafka.connect.runtime.rest.errors.ConnectExceptionMapper:64",
    );
    failed(check, vec![line.stack([
        "org.apache.kafka.connect.runtime.rest.errors.BadRequestException: Connector configuration is invalid and contains the following 1 error(s):".to_string(),
        reason.to_string(),
        "You can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`".into(),
        "\tat org.apache.kafka.connect.runtime.AbstractHerder.maybeAddConfigErrors(AbstractHerder.java:751)".into(),
    ])])
}

/// The task dies.
fn task_died<S: Into<String>>(
    check: &'static str,
    subject: &Subject<'_>,
    stack: impl IntoIterator<Item = S>,
) -> Option<Trouble> {
    let message = format!(
        "WorkerSourceTask{{id={}-0}} Task threw an uncaught and unrecoverable exception. Task is being killed and will not recover until manually restarted",
        subject.name
    );
    failed(
        check,
        vec![
            Line::new("ERROR", message, "org.apache.kafka.connect.runtime.WorkerTask:230")
                .task()
                .stack(stack),
        ],
    )
}

/// What a dial makes of it.
pub(super) fn by_dial(subject: &Subject<'_>) -> Option<Trouble> {
    task_died(
        "dial",
        subject,
        [
            "org.apache.kafka.connect.errors.ConnectException: An exception occurred in the change event producer. This connector will be stopped.",
            "\tat io.debezium.pipeline.ErrorHandler.setProducerThrowable(ErrorHandler.java:67)",
            "Caused by: java.lang.IllegalStateException: made to fail by a dial of the embedded AWS",
        ],
    )
}

/// What the configuration calls its class.
pub(super) fn class_of(settings: &Settings) -> &str {
    settings.configuration.get("connector.class").map_or("", String::as_str)
}
