//! Looks at a connector: its description, its tags, the operation that is pursued, and after a failure its workers' log.

use std::collections::BTreeMap;

use aws_sdk_kafkaconnect::Client;
use aws_sdk_kafkaconnect::operation::describe_connector::DescribeConnectorOutput;
use aws_sdk_kafkaconnect::operation::describe_connector_operation::DescribeConnectorOperationOutput;
use aws_sdk_kafkaconnect::types::{CapacityDescription, ConnectorOperationSummary};
use aws_smithy_types::DateTime;
use msk_pipeline_core::Timestamp;
use msk_pipeline_core::kind::{CallError, Target};

use super::{Capacity, Connector, Operation, Seen, logs};
use crate::error::{absent, classify};
use crate::kinds::{connect, timestamp};

pub(super) async fn observe(
    kind: &Connector,
    target: &Target<Connector>,
) -> Result<Option<Seen>, CallError> {
    let Some((arn, connector)) = find_described(&kind.client, &target.props.name).await? else {
        return Ok(None);
    };
    let Some(tags) = absent(connect::tags(&kind.client, &arn).await)? else { return Ok(None) };
    let mut seen = seen(arn, &connector);
    seen.tags = tags;
    if seen.state == "CREATING" {
        // Operations begin after that; a create is polled for minutes.
        return Ok(Some(seen));
    }
    let Some(operations) = absent(operations(&kind.client, &seen.arn).await)? else {
        return Ok(None);
    };
    seen.newest_operation =
        operations.first().and_then(|o| o.connector_operation_arn()).map(str::to_owned);
    seen.since = since(&seen.state, connector.creation_time(), operations.first());
    let pursued = pursued(target, &operations);
    let mut since = connector.creation_time().copied();
    if let Some(pursued) = pursued
        && let Some(operation) = absent(operation(&kind.client, &pursued).await)?
    {
        since = operation.creation_time().copied();
        seen.operation = Some(described(&operation));
    }
    let failed = seen.state == "FAILED" || seen.operation.as_ref().is_some_and(Operation::failed);
    if failed && let Some(group) = &seen.log_group {
        let since = since.and_then(|t| t.to_millis().ok());
        seen.log_says = logs::last_error(&kind.logs, group, &target.props.name, since).await?;
    }
    Ok(Some(seen))
}

/// Since when a connector is in its state: one that is being created since its creation began, another since the newest operation began
/// or ended. That a connector stayed as it is since its creation ended is told by nothing.
fn since(
    state: &str,
    created: Option<&DateTime>,
    newest: Option<&ConnectorOperationSummary>,
) -> Option<Timestamp> {
    let at = match (state, newest) {
        ("CREATING", _) => created,
        (_, Some(newest)) => newest.end_time().or(newest.creation_time()),
        _ => None,
    };
    timestamp(at)
}

/// The ARN of the connector with this name.
async fn find(client: &Client, name: &str) -> Result<Option<String>, CallError> {
    let mut token = None;
    loop {
        let page = client
            .list_connectors()
            .connector_name_prefix(name)
            .set_next_token(token)
            .send()
            .await
            .map_err(|e| classify("kafkaconnect:ListConnectors", e))?;
        let found = page.connectors().iter().find(|c| c.connector_name() == Some(name));
        if let Some(connector) = found {
            return Ok(connector.connector_arn().map(str::to_owned));
        }
        token = page.next_token().filter(|t| !t.is_empty()).map(str::to_owned);
        if token.is_none() {
            return Ok(None);
        }
    }
}

/// The connector with this name: its ARN, and what AWS tells of it.
pub(crate) async fn find_described(
    client: &Client,
    name: &str,
) -> Result<Option<(String, DescribeConnectorOutput)>, CallError> {
    let Some(arn) = find(client, name).await? else { return Ok(None) };
    let answer = client.describe_connector().connector_arn(&arn).send().await;
    let answer = answer.map_err(|e| classify("kafkaconnect:DescribeConnector", e));
    Ok(absent(answer)?.map(|described| (arn, described)))
}

/// All operations, the newest first.
pub(crate) async fn operations(
    client: &Client,
    arn: &str,
) -> Result<Vec<ConnectorOperationSummary>, CallError> {
    let mut all = Vec::new();
    let mut token = None;
    loop {
        let page = client
            .list_connector_operations()
            .connector_arn(arn)
            .set_next_token(token)
            .send()
            .await
            .map_err(|e| classify("kafkaconnect:ListConnectorOperations", e))?;
        all.extend(page.connector_operations().iter().cloned());
        token = page.next_token().filter(|t| !t.is_empty()).map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    all.sort_by_key(|o| std::cmp::Reverse(o.creation_time().map(DateTime::as_nanos)));
    Ok(all)
}

/// The operation of the pursued call: the one that its answer named, or after a lost reply the newest of its type among those that
/// are newer than what *begin* recorded.
fn pursued(target: &Target<Connector>, operations: &[ConnectorOperationSummary]) -> Option<String> {
    let pursuit = target.pursuit.as_ref()?;
    let wanted = pursuit.call.operation_type()?;
    if let Some(operation) = pursuit.sent.as_ref().and_then(|sent| sent.operation.clone()) {
        return Some(operation);
    }
    let before = pursuit.guard.operation.as_deref();
    operations
        .iter()
        .take_while(|o| before.is_none() || o.connector_operation_arn() != before)
        .find(|o| o.connector_operation_type().is_some_and(|t| t.as_str() == wanted))
        .and_then(|o| o.connector_operation_arn())
        .map(str::to_owned)
}

/// The operation with this ARN.
pub(crate) async fn operation(
    client: &Client,
    arn: &str,
) -> Result<DescribeConnectorOperationOutput, CallError> {
    client
        .describe_connector_operation()
        .connector_operation_arn(arn)
        .send()
        .await
        .map_err(|e| classify("kafkaconnect:DescribeConnectorOperation", e))
}

/// What AWS tells of an operation.
pub(crate) fn described(operation: &DescribeConnectorOperationOutput) -> Operation {
    let failed = operation
        .operation_steps()
        .iter()
        .find(|s| s.step_state().is_some_and(|state| state.as_str() == "FAILED"));
    let says = operation.error_info().map(connect::described).filter(|s| !s.is_empty());
    Operation {
        state: operation
            .connector_operation_state()
            .map(|s| s.as_str().to_owned())
            .unwrap_or_default(),
        says,
        step: failed.and_then(|s| s.step_type()).map(|t| t.as_str().to_owned()),
    }
}

fn seen(arn: String, c: &DescribeConnectorOutput) -> Seen {
    let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
    let cluster = c.kafka_cluster().and_then(|k| k.apache_kafka_cluster());
    let vpc = cluster.and_then(|k| k.vpc());
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    let plugin = c.plugins().first().and_then(|p| p.custom_plugin());
    Seen {
        arn,
        state: c.connector_state().map(|s| s.as_str().to_owned()).unwrap_or_default(),
        state_says: c.state_description().map(connect::described).filter(|s| !s.is_empty()),
        version: c.current_version().map(str::to_owned),
        description: c.connector_description().filter(|d| !d.is_empty()).map(str::to_owned),
        connect_version: text(c.kafka_connect_version()),
        bootstrap: text(cluster.and_then(|k| k.bootstrap_servers())),
        authentication: c
            .kafka_cluster_client_authentication()
            .and_then(|a| a.authentication_type())
            .map(|a| a.as_str().to_owned())
            .unwrap_or_default(),
        encryption: c
            .kafka_cluster_encryption_in_transit()
            .and_then(|e| e.encryption_type())
            .map(|e| e.as_str().to_owned())
            .unwrap_or_default(),
        subnets: sorted(vpc.map(|v| v.subnets()).unwrap_or_default()),
        security_groups: sorted(vpc.map(|v| v.security_groups()).unwrap_or_default()),
        role_arn: text(c.service_execution_role_arn()),
        capacity: c.capacity().and_then(capacity),
        plugin: plugin.map(|p| (text(p.custom_plugin_arn()), p.revision())),
        worker: c
            .worker_configuration()
            .map(|w| (text(w.worker_configuration_arn()), w.revision())),
        configuration: configuration(c),
        log_group: log_group(c),
        tags: BTreeMap::new(),
        newest_operation: None,
        since: None,
        operation: None,
        log_says: None,
    }
}

/// A connector's configuration, without the values that look like secrets.
pub(crate) fn configuration(c: &DescribeConnectorOutput) -> BTreeMap<String, String> {
    let pairs = c.connector_configuration().into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), without_secret(key, value))).collect()
}

/// The log group that its workers write to.
pub(crate) fn log_group(c: &DescribeConnectorOutput) -> Option<String> {
    let logs = c.log_delivery().and_then(|l| l.worker_log_delivery());
    let group = logs.and_then(|l| l.cloud_watch_logs()).filter(|l| l.enabled());
    group.and_then(|l| l.log_group()).map(str::to_owned)
}

fn capacity(c: &CapacityDescription) -> Option<Capacity> {
    if let Some(p) = c.provisioned_capacity() {
        return Some(Capacity::Provisioned { mcu: p.mcu_count(), workers: p.worker_count() });
    }
    let a = c.auto_scaling()?;
    Some(Capacity::Autoscaling {
        mcu: a.mcu_count(),
        min: a.min_worker_count(),
        max: a.max_worker_count(),
        scale_in: a.scale_in_policy().map_or(0, |p| p.cpu_utilization_percentage()),
        scale_out: a.scale_out_policy().map_or(0, |p| p.cpu_utilization_percentage()),
    })
}

/// What stands for a value that looks like a secret in the clear.
pub(super) const HIDDEN: &str = "(hidden)";

/// A value that somebody put there in the clear never gets into an observation (design decision D11); placeholders are references.
pub(crate) fn without_secret(key: &str, value: &str) -> String {
    let secret = ["password", "secret", "token", "credentials"]
        .iter()
        .any(|word| key.to_ascii_lowercase().contains(word))
        || (key.ends_with("jaas.config") && value.contains("password"));
    if secret && !value.contains("${") { HIDDEN.to_owned() } else { value.to_owned() }
}

impl Operation {
    pub(super) fn failed(&self) -> bool {
        self.state.ends_with("_FAILED") || self.state == "ROLLBACK_COMPLETE"
    }

    pub(super) fn complete(&self) -> bool {
        self.state.ends_with("_COMPLETE") && self.state != "ROLLBACK_COMPLETE"
    }
}
