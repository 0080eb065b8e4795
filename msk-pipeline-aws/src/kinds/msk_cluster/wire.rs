//! Between the SDK's types and ours.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_kafka::types::{
    BrokerEbsVolumeInfo, BrokerLogs, BrokerNodeGroupInfo, ClientAuthentication, ClientBroker,
    CloudWatchLogs, ClusterInfo, ClusterOperationInfo, ConfigurationInfo, EbsStorageInfo,
    EncryptionAtRest, EncryptionInTransit, EncryptionInfo, EnhancedMonitoring, Iam, LoggingInfo,
    S3, Sasl, Scram, StorageInfo, Unauthenticated,
};
use msk_pipeline_core::kind::{CallError, Class, Effect, Guard, Pursuit, Sent};

use super::{Call, Create, Listener, Logs, Operation, Seen};
use crate::error::{absent, classify};
use crate::kinds::timestamp;
use crate::tags::Tags;

/// Looks at the cluster named exactly `name`.
pub(super) async fn observe(
    kafka: &aws_sdk_kafka::Client,
    name: &str,
    pursuit: Option<&Pursuit<Call>>,
) -> Result<Option<Seen>, CallError> {
    let Some(info) = find(kafka, name).await? else { return Ok(None) };
    let mut seen = from_info(&info);
    if seen.state == "CREATING" {
        seen.since = timestamp(info.creation_time());
    }
    if seen.state == "ACTIVE" {
        nodes(kafka, &mut seen).await?;
        bootstrap(kafka, &mut seen).await?;
    }
    if !matches!(seen.state.as_str(), "CREATING" | "FAILED" | "DELETING") {
        operations(kafka, &mut seen, pursuit).await?;
    }
    Ok(Some(seen))
}

/// The API's filter is a prefix.
async fn find(kafka: &aws_sdk_kafka::Client, name: &str) -> Result<Option<ClusterInfo>, CallError> {
    let mut token = None;
    loop {
        let page = kafka
            .list_clusters()
            .cluster_name_filter(name)
            .set_next_token(token)
            .send()
            .await
            .map_err(|e| classify("kafka:ListClusters", e))?;
        if let Some(info) = page.cluster_info_list().iter().find(|c| c.cluster_name() == Some(name))
        {
            return Ok(Some(info.clone()));
        }
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(None);
        }
    }
}

fn from_info(info: &ClusterInfo) -> Seen {
    let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
    let nodes = info.broker_node_group_info();
    let software = info.current_broker_software_info();
    let broker_logs = info.logging_info().and_then(LoggingInfo::broker_logs);
    let cloudwatch = broker_logs
        .and_then(BrokerLogs::cloud_watch_logs)
        .filter(|l| l.enabled().unwrap_or_default());
    let s3 = broker_logs.and_then(BrokerLogs::s3).filter(|l| l.enabled().unwrap_or_default());
    Seen {
        arn: text(info.cluster_arn()),
        state: info.state().map(|s| s.as_str().to_owned()).unwrap_or_default(),
        cause: info
            .state_info()
            .map(|s| match (s.code(), s.message()) {
                (Some(code), Some(message)) => format!("{message} ({code})"),
                (code, message) => text(message.or(code)),
            })
            .unwrap_or_default(),
        token: text(info.current_version()),
        version: text(software.and_then(|s| s.kafka_version())),
        count: info.number_of_broker_nodes().unwrap_or_default(),
        instance_type: text(nodes.and_then(BrokerNodeGroupInfo::instance_type)),
        storage_gib: nodes
            .and_then(BrokerNodeGroupInfo::storage_info)
            .and_then(StorageInfo::ebs_storage_info)
            .and_then(EbsStorageInfo::volume_size)
            .unwrap_or_default(),
        subnets: nodes.map(|n| n.client_subnets().iter().cloned().collect()).unwrap_or_default(),
        security_groups: nodes
            .map(|n| n.security_groups().iter().cloned().collect())
            .unwrap_or_default(),
        configuration_arn: text(software.and_then(|s| s.configuration_arn())),
        configuration_revision: software
            .and_then(|s| s.configuration_revision())
            .unwrap_or_default(),
        listeners: listeners(info),
        monitoring: info
            .enhanced_monitoring()
            .map_or("DEFAULT", EnhancedMonitoring::as_str)
            .to_owned(),
        kms_key: info
            .encryption_info()
            .and_then(EncryptionInfo::encryption_at_rest)
            .and_then(|e| e.data_volume_kms_key_id())
            .map(str::to_owned),
        log_group: cloudwatch.and_then(CloudWatchLogs::log_group).map(str::to_owned),
        log_bucket: s3.and_then(S3::bucket).map(str::to_owned),
        log_prefix: s3.and_then(S3::prefix).map(str::to_owned),
        tags: info.tags().map(|t| t.clone().into_iter().collect::<Tags>()).unwrap_or_default(),
        ..Seen::default()
    }
}

fn listeners(info: &ClusterInfo) -> BTreeSet<Listener> {
    let mut found = BTreeSet::new();
    let authentication = info.client_authentication();
    let sasl = authentication.and_then(ClientAuthentication::sasl);
    if sasl.and_then(Sasl::iam).and_then(Iam::enabled).unwrap_or_default() {
        found.insert(Listener::Iam);
    }
    if sasl.and_then(Sasl::scram).and_then(Scram::enabled).unwrap_or_default() {
        found.insert(Listener::Scram);
    }
    // Without any client authentication, access is unauthenticated (handbook msk.md §4).
    let open = match authentication.and_then(ClientAuthentication::unauthenticated) {
        Some(unauthenticated) => unauthenticated.enabled().unwrap_or_default(),
        None => found.is_empty(),
    };
    let transit = info
        .encryption_info()
        .and_then(EncryptionInfo::encryption_in_transit)
        .and_then(EncryptionInTransit::client_broker);
    if open {
        match transit {
            Some(ClientBroker::Plaintext) => {
                found.insert(Listener::Plaintext);
            }
            Some(ClientBroker::TlsPlaintext) => {
                found.extend([Listener::Plaintext, Listener::Tls]);
            }
            _ => {
                found.insert(Listener::Tls);
            }
        }
    }
    found
}

async fn nodes(kafka: &aws_sdk_kafka::Client, seen: &mut Seen) -> Result<(), CallError> {
    let mut token = None;
    loop {
        let page = kafka
            .list_nodes()
            .cluster_arn(&seen.arn)
            .set_next_token(token)
            .send()
            .await
            .map_err(|e| classify("kafka:ListNodes", e))?;
        let brokers = page.node_info_list().iter().filter_map(|n| n.broker_node_info());
        seen.hosts.extend(brokers.flat_map(|b| b.endpoints().iter().cloned()));
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(());
        }
    }
}

async fn bootstrap(kafka: &aws_sdk_kafka::Client, seen: &mut Seen) -> Result<(), CallError> {
    let answer = kafka
        .get_bootstrap_brokers()
        .cluster_arn(&seen.arn)
        .send()
        .await
        .map_err(|e| classify("kafka:GetBootstrapBrokers", e))?;
    // Three brokers at random, in random order: sorted, so that equal sets are equal strings.
    let sorted = |text: Option<&str>| {
        let mut hosts: Vec<_> = text.unwrap_or_default().split(',').map(str::trim).collect();
        hosts.sort_unstable();
        hosts.join(",")
    };
    seen.bootstrap = BTreeMap::from([
        (Listener::Iam, sorted(answer.bootstrap_broker_string_sasl_iam())),
        (Listener::Scram, sorted(answer.bootstrap_broker_string_sasl_scram())),
        (Listener::Tls, sorted(answer.bootstrap_broker_string_tls())),
        (Listener::Plaintext, sorted(answer.bootstrap_broker_string())),
    ]);
    seen.bootstrap.retain(|_, hosts| !hosts.is_empty());
    Ok(())
}

/// Finds the newest operation, and the one that the pending update started: by its ARN if the answer arrived, else as one that is
/// newer than the newest before the call, and of the right type.
async fn operations(
    kafka: &aws_sdk_kafka::Client,
    seen: &mut Seen,
    pursuit: Option<&Pursuit<Call>>,
) -> Result<(), CallError> {
    let Some(mut list) = list_operations(kafka, &seen.arn).await? else { return Ok(()) };
    list.sort_by_key(|o| std::cmp::Reverse(o.creation_time().map(|t| t.as_nanos())));
    seen.newest = list.first().and_then(|o| o.operation_arn()).map(str::to_owned);
    if let Some(newest) = list.first() {
        seen.since = timestamp(newest.end_time().or(newest.creation_time()));
        let newest = operation(newest);
        if !newest.state.ends_with("COMPLETE") && !newest.state.ends_with("FAILED") {
            seen.going = Some(format!("{} {}", newest.kind, newest.state));
        }
    }
    let Some(pursuit) = pursuit.filter(|p| p.effect == Effect::Update) else { return Ok(()) };
    let own = match pursuit.sent.as_ref().map(|s| s.operation.as_deref()) {
        Some(Some(arn)) => list.iter().find(|o| o.operation_arn() == Some(arn)),
        // Accepted by a call that starts no operation: tags.
        Some(None) => None,
        None => list
            .iter()
            .take_while(|o| o.operation_arn() != pursuit.guard.operation.as_deref())
            .find(|o| o.operation_type().is_some_and(|t| is_type_of(t, &pursuit.op))),
    };
    seen.operation = own.map(operation);
    Ok(())
}

/// All operations on a cluster, in no order; `None` if the cluster is gone meanwhile.
async fn list_operations(
    kafka: &aws_sdk_kafka::Client,
    arn: &str,
) -> Result<Option<Vec<ClusterOperationInfo>>, CallError> {
    let (mut all, mut token) = (Vec::new(), None);
    loop {
        let answer = kafka
            .list_cluster_operations()
            .cluster_arn(arn)
            .set_next_token(token)
            .send()
            .await
            .map_err(|e| classify("kafka:ListClusterOperations", e));
        let Some(page) = absent(answer)? else { return Ok(None) };
        all.extend(page.cluster_operation_info_list().iter().cloned());
        token = page.next_token().filter(|t| !t.is_empty()).map(str::to_owned);
        if token.is_none() {
            return Ok(Some(all));
        }
    }
}

fn is_type_of(operation_type: &str, op: &str) -> bool {
    match op {
        "kafka:UpdateBrokerCount" => operation_type.ends_with("_BROKER_COUNT"),
        "kafka:UpdateBrokerType" => operation_type == "UPDATE_BROKER_TYPE",
        "kafka:UpdateBrokerStorage" => operation_type.contains("STORAGE"),
        "kafka:UpdateMonitoring" => operation_type.contains("MONITORING"),
        "kafka:UpdateClusterConfiguration" => operation_type == "UPDATE_CLUSTER_CONFIGURATION",
        "kafka:UpdateClusterKafkaVersion" => operation_type == "UPDATE_CLUSTER_KAFKA_VERSION",
        "kafka:UpdateSecurity" => operation_type == "UPDATE_SECURITY",
        _ => false,
    }
}

fn operation(info: &ClusterOperationInfo) -> Operation {
    let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
    let error = info.error_info();
    Operation {
        arn: text(info.operation_arn()),
        kind: text(info.operation_type()),
        state: text(info.operation_state()),
        error: error
            .map(|e| text(e.error_string().or(e.error_code())))
            .filter(|e| !e.is_empty())
            .unwrap_or_else(|| "MSK gives no reason".into()),
    }
}

/// Sends one changing request.
pub(super) async fn perform(
    kafka: &aws_sdk_kafka::Client,
    call: &Call,
    guard: &Guard,
) -> Result<Sent, CallError> {
    let version = guard.version.clone();
    let operation = |arn: Option<&str>| Sent { operation: arn.map(str::to_owned), id: None };
    match call {
        Call::Create(create) => create_cluster(kafka, create).await,
        Call::Type { arn, instance_type } => kafka
            .update_broker_type()
            .cluster_arn(arn)
            .set_current_version(version)
            .target_instance_type(instance_type)
            .send()
            .await
            .map(|a| operation(a.cluster_operation_arn()))
            .map_err(|e| classify("kafka:UpdateBrokerType", e)),
        Call::Storage { arn, storage_gib } => kafka
            .update_broker_storage()
            .cluster_arn(arn)
            .set_current_version(version)
            .target_broker_ebs_volume_info(
                BrokerEbsVolumeInfo::builder()
                    .kafka_broker_node_id("All")
                    .volume_size_gb(*storage_gib)
                    .build(),
            )
            .send()
            .await
            .map(|a| operation(a.cluster_operation_arn()))
            .map_err(|e| classify("kafka:UpdateBrokerStorage", e)),
        Call::Count { arn, count } => kafka
            .update_broker_count()
            .cluster_arn(arn)
            .set_current_version(version)
            .target_number_of_broker_nodes(*count)
            .send()
            .await
            .map(|a| operation(a.cluster_operation_arn()))
            .map_err(|e| classify("kafka:UpdateBrokerCount", e)),
        Call::Monitoring { arn, monitoring, logs } => kafka
            .update_monitoring()
            .cluster_arn(arn)
            .set_current_version(version)
            .enhanced_monitoring(EnhancedMonitoring::from(monitoring.as_str()))
            .logging_info(logging(logs))
            .send()
            .await
            .map(|a| operation(a.cluster_operation_arn()))
            .map_err(|e| classify("kafka:UpdateMonitoring", e)),
        Call::Configuration { arn, configuration_arn, revision } => kafka
            .update_cluster_configuration()
            .cluster_arn(arn)
            .set_current_version(version)
            .configuration_info(configuration(configuration_arn.known(), revision.known()))
            .send()
            .await
            .map(|a| operation(a.cluster_operation_arn()))
            .map_err(|e| classify("kafka:UpdateClusterConfiguration", e)),
        Call::Version { arn, version: target, configuration_arn, revision } => kafka
            .update_cluster_kafka_version()
            .cluster_arn(arn)
            .set_current_version(version)
            .target_kafka_version(target)
            .configuration_info(configuration(configuration_arn.known(), revision.known()))
            .send()
            .await
            .map(|a| operation(a.cluster_operation_arn()))
            .map_err(|e| classify("kafka:UpdateClusterKafkaVersion", e)),
        Call::Security { arn, listeners } => kafka
            .update_security()
            .cluster_arn(arn)
            .set_current_version(version)
            .client_authentication(authentication(listeners))
            // Neither the key at rest nor encryption between brokers may be part of this request.
            .encryption_info(
                EncryptionInfo::builder()
                    .encryption_in_transit(
                        EncryptionInTransit::builder()
                            .client_broker(client_broker(listeners))
                            .build(),
                    )
                    .build(),
            )
            .send()
            .await
            .map(|a| operation(a.cluster_operation_arn()))
            .map_err(|e| classify("kafka:UpdateSecurity", e)),
        Call::SetTags { arn, tags } => kafka
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(tags.clone().into_iter().collect()))
            .send()
            .await
            .map(|_| Sent::default())
            .map_err(|e| classify("kafka:TagResource", e)),
        Call::RemoveTags { arn, keys } => kafka
            .untag_resource()
            .resource_arn(arn)
            .set_tag_keys(Some(keys.clone()))
            .send()
            .await
            .map(|_| Sent::default())
            .map_err(|e| classify("kafka:UntagResource", e)),
        Call::Delete { arn } => kafka
            .delete_cluster()
            .cluster_arn(arn)
            .set_current_version(version)
            .send()
            .await
            .map(|_| Sent::default())
            .map_err(|e| classify("kafka:DeleteCluster", e)),
    }
}

async fn create_cluster(kafka: &aws_sdk_kafka::Client, create: &Create) -> Result<Sent, CallError> {
    let props = &create.props;
    let groups = props.security_groups.iter().filter_map(|g| g.known().cloned()).collect();
    let nodes = BrokerNodeGroupInfo::builder()
        .instance_type(&props.brokers.instance_type)
        .set_client_subnets(props.subnets.known().cloned())
        .set_security_groups(Some(groups))
        .storage_info(
            StorageInfo::builder()
                .ebs_storage_info(
                    EbsStorageInfo::builder().volume_size(props.brokers.storage_gib).build(),
                )
                .build(),
        )
        .build();
    let at_rest = props
        .kms_key
        .as_ref()
        .map(|key| EncryptionAtRest::builder().data_volume_kms_key_id(key).build());
    let in_transit = EncryptionInTransit::builder()
        .client_broker(client_broker(&props.listeners))
        .in_cluster(true)
        .build();
    let encryption = EncryptionInfo::builder()
        .set_encryption_at_rest(at_rest)
        .encryption_in_transit(in_transit)
        .build();
    let answer = kafka
        .create_cluster()
        .cluster_name(&props.name)
        .kafka_version(&props.version)
        .number_of_broker_nodes(props.brokers.count)
        .broker_node_group_info(nodes)
        .client_authentication(authentication(&props.listeners))
        .encryption_info(encryption)
        .configuration_info(configuration(
            props.configuration_arn.known(),
            props.configuration_revision.known(),
        ))
        .enhanced_monitoring(EnhancedMonitoring::from(props.monitoring.as_str()))
        .logging_info(logging(&props.logs))
        .set_tags(Some(create.tags.clone().into_iter().collect()))
        .send()
        .await
        .map_err(|e| {
            let mut error = classify("kafka:CreateCluster", e);
            // A name in use is answered with 409 and one of several texts (handbook msk.md §1).
            if error.code.as_deref() == Some("ConflictException") {
                error.class = Class::AlreadyExists;
            }
            error
        })?;
    Ok(Sent { id: answer.cluster_arn().map(str::to_owned), operation: None })
}

fn configuration(arn: Option<&String>, revision: Option<&i64>) -> ConfigurationInfo {
    ConfigurationInfo::builder().set_arn(arn.cloned()).set_revision(revision.copied()).build()
}

fn authentication(listeners: &BTreeSet<Listener>) -> ClientAuthentication {
    let open = listeners.contains(&Listener::Tls) || listeners.contains(&Listener::Plaintext);
    ClientAuthentication::builder()
        .sasl(
            Sasl::builder()
                .iam(Iam::builder().enabled(listeners.contains(&Listener::Iam)).build())
                .scram(Scram::builder().enabled(listeners.contains(&Listener::Scram)).build())
                .build(),
        )
        .unauthenticated(Unauthenticated::builder().enabled(open).build())
        .build()
}

fn client_broker(listeners: &BTreeSet<Listener>) -> ClientBroker {
    let plaintext = listeners.contains(&Listener::Plaintext);
    if !plaintext {
        ClientBroker::Tls
    } else if listeners.len() == 1 {
        ClientBroker::Plaintext
    } else {
        ClientBroker::TlsPlaintext
    }
}

fn logging(logs: &Logs) -> LoggingInfo {
    let group = logs.cloudwatch.as_ref().and_then(|g| g.known().cloned());
    let bucket = logs.s3_bucket.as_ref().and_then(|b| b.known().cloned());
    LoggingInfo::builder()
        .broker_logs(
            BrokerLogs::builder()
                .cloud_watch_logs(
                    CloudWatchLogs::builder().enabled(group.is_some()).set_log_group(group).build(),
                )
                .s3(S3::builder()
                    .enabled(bucket.is_some())
                    .set_bucket(bucket)
                    .set_prefix(logs.s3_prefix.clone())
                    .build())
                .build(),
        )
        .build()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;

    use super::*;
    use crate::session::{Handler, PlainRequest, PlainResponse, Session};

    /// An MSK whose list of operations has two pages; the newest one is on the second.
    struct Pages;

    #[async_trait]
    impl Handler for Pages {
        async fn handle(&self, request: PlainRequest) -> Option<PlainResponse> {
            let operation = |n: u32| {
                format!(
                    r#"{{"operationArn":"arn:{n}","operationType":"UPDATE_SECURITY","operationState":"UPDATE_IN_PROGRESS","creationTime":"2026-08-0{n}T10:00:00Z"}}"#
                )
            };
            let body = if request.query.contains("nextToken=more") {
                format!(r#"{{"clusterOperationInfoList":[{}]}}"#, operation(2))
            } else {
                format!(r#"{{"clusterOperationInfoList":[{}],"nextToken":"more"}}"#, operation(1))
            };
            Some(PlainResponse { status: 200, headers: Vec::new(), body: body.into() })
        }
    }

    #[tokio::test]
    async fn the_newest_operation_may_be_on_any_page() {
        let session = Session::embedded(Arc::new(Pages), "eu-west-1");
        let mut seen =
            Seen { arn: "arn:aws:kafka:eu-west-1:1:cluster/c/u".into(), ..Seen::default() };
        operations(&session.kafka, &mut seen, None).await.unwrap();
        assert_eq!(seen.newest.as_deref(), Some("arn:2"));
        assert_eq!(seen.going.as_deref(), Some("UPDATE_SECURITY UPDATE_IN_PROGRESS"));
        assert_eq!(seen.since.map(|at| at.to_string()).as_deref(), Some("2026-08-02T10:00:00Z"));
    }
}
