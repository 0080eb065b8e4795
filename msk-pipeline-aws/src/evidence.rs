//! What AWS tells of a connector's trouble, gathered for a diagnosis.
//!
//! Reads only: `kafkaconnect:ListConnectors`, `DescribeConnector`, `ListConnectorOperations`, `DescribeConnectorOperation`,
//! `DescribeWorkerConfiguration`, `logs:FilterLogEvents` and `secretsmanager:DescribeSecret`. No secret's value is read. MSK Connect
//! tells nothing of tasks; what became of them is in the workers' log (handbook msk.md §5.1, §7.6).

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_kafkaconnect::operation::describe_connector::DescribeConnectorOutput;
use aws_sdk_kafkaconnect::types::{ConnectorOperationSummary, WorkerConfigurationDescription};
use msk_pipeline_core::kind::{CallError, Kind as _};
use msk_pipeline_verify::cause::{Evidence, Facts, Reported, Status};

use crate::Session;
use crate::error::{absent, classify};
use crate::kinds::connector::observe::{
    configuration, find_described, log_group, operation, operations, without_secret,
};
use crate::kinds::connector::{Connector, logs};
use crate::kinds::{millis, worker_configuration};

pub use crate::kinds::connector::logs::Follow as FollowLog;

/// True if recorded objects of this kind are connectors, whose name [`evidence`] takes.
pub fn is_connector(kind: &str) -> bool {
    kind == Connector::TYPE
}

/// A connector as AWS tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its state, `RUNNING`. MSK Connect tells nothing of tasks: they may be dead under it.
    pub state: String,
    /// What a diagnosis is made from.
    pub evidence: Evidence,
}

/// Everything that AWS tells of the connector with this name; `None` if there is none.
///
/// Of the log only the lines of the present incarnation: since its creation, or since its newest operation began.
///
/// # Errors
/// A read that failed. An object that is named and does not exist (a log group, a secret, a worker configuration) is no failure.
pub async fn evidence(session: &Session, connector: &str) -> Result<Option<Told>, CallError> {
    Ok(described(session, connector).await?.map(|(_, told)| told))
}

/// The same, with the description that it is from.
pub(crate) async fn described(
    session: &Session,
    connector: &str,
) -> Result<Option<(DescribeConnectorOutput, Told)>, CallError> {
    let client = &session.kafkaconnect;
    let Some((arn, described)) = find_described(client, connector).await? else {
        return Ok(None);
    };
    let operations = absent(operations(client, &arn).await)?.unwrap_or_default();
    let newest = operations.first();
    let since = newest.and_then(|o| o.creation_time()).or(described.creation_time()).copied();
    let connector_config = configuration(&described);
    let state = described.connector_state().map(|s| s.as_str().to_owned()).unwrap_or_default();
    let mut evidence = Evidence {
        connector: connector.to_owned(),
        reported: reported(session, &described, newest).await?,
        // Without a word about tasks no other state says anything of them.
        status: (state == "FAILED").then(|| Status { state: state.clone(), ..Status::default() }),
        facts: Facts {
            secret_changed_at: secret_changed_at(session, &connector_config).await?,
            connector_started_at: millis(since.as_ref()),
            ..Facts::default()
        },
        connector_config,
        ..Evidence::default()
    };
    if let Some(worker) = described.worker_configuration() {
        evidence.worker_config = worker_config(session, worker).await?;
    }
    if let Some(group) = log_group(&described) {
        let since = since.and_then(|t| t.to_millis().ok());
        evidence.lines = logs::all(&session.logs, &group, since).await?;
    }
    Ok(Some((described, Told { state, evidence })))
}

/// What AWS reports of the newest operation if that failed, or of the connector.
async fn reported(
    session: &Session,
    connector: &DescribeConnectorOutput,
    newest: Option<&ConnectorOperationSummary>,
) -> Result<Option<Reported>, CallError> {
    let said = |code: Option<&str>, message: Option<&str>| {
        let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
        let reported = Reported { code: text(code), message: text(message) };
        Some(reported).filter(|r| !r.code.is_empty() || !r.message.is_empty())
    };
    if let Some(arn) = newest.and_then(|o| o.connector_operation_arn()) {
        let operation = absent(operation(&session.kafkaconnect, arn).await)?;
        let error = operation.and_then(|o| o.error_info().cloned());
        if let Some(error) = error.and_then(|e| said(e.code(), e.message())) {
            return Ok(Some(error));
        }
    }
    Ok(connector.state_description().and_then(|s| said(s.code(), s.message())))
}

async fn worker_config(
    session: &Session,
    worker: &WorkerConfigurationDescription,
) -> Result<BTreeMap<String, String>, CallError> {
    let arn = worker.worker_configuration_arn().unwrap_or_default();
    let described = absent(worker_configuration::describe(&session.kafkaconnect, arn).await)?;
    let text = described.as_ref().map(worker_configuration::properties).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let pairs = lines.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
    Ok(pairs.map(|(key, value)| (key.clone(), without_secret(&key, &value))).collect())
}

/// When the newest of the secrets that the configuration refers to got its value, in milliseconds since 1970.
async fn secret_changed_at(
    session: &Session,
    config: &BTreeMap<String, String>,
) -> Result<Option<u64>, CallError> {
    let mut newest = None;
    let names = config.values().filter_map(|value| {
        let rest = value.split_once("${secretsmanager:")?.1;
        rest.split_once(':').map(|(name, _)| name)
    });
    for name in names.collect::<BTreeSet<_>>() {
        let secret = session.secretsmanager.describe_secret().secret_id(name).send().await;
        let secret = absent(secret.map_err(|e| classify("secretsmanager:DescribeSecret", e)))?;
        newest = newest.max(millis(secret.and_then(|s| s.last_changed_date().copied()).as_ref()));
    }
    Ok(newest)
}
