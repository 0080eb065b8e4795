//! Sends one request about a connector.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_kafkaconnect::operation::update_connector::builders::UpdateConnectorFluentBuilder;
use aws_sdk_kafkaconnect::types::{
    ApacheKafkaCluster, AutoScaling, AutoScalingUpdate, Capacity as SdkCapacity, CapacityUpdate,
    CloudWatchLogsLogDelivery, CustomPlugin, CustomPluginUpdate, KafkaCluster,
    KafkaClusterClientAuthentication, KafkaClusterClientAuthenticationType,
    KafkaClusterEncryptionInTransit, KafkaClusterEncryptionInTransitType, LogDelivery, Plugin,
    PluginUpdate, ProvisionedCapacity, ProvisionedCapacityUpdate, ScaleInPolicy,
    ScaleInPolicyUpdate, ScaleOutPolicy, ScaleOutPolicyUpdate, Vpc, WorkerConfiguration,
    WorkerConfigurationUpdate, WorkerLogDelivery,
};
use msk_pipeline_core::kind::{CallError, Class, Guard, Input, Sent};

use super::{Authentication, Call, Capacity, Encryption, Props, Revision, Worker};
use crate::error::classify;
use crate::kinds::connect::{self, unbuilt};
use crate::tags::Tags;

const CREATE: &str = "kafkaconnect:CreateConnector";
const UPDATE: &str = "kafkaconnect:UpdateConnector";

pub(super) async fn perform(
    client: &aws_sdk_kafkaconnect::Client,
    call: &Call,
    guard: &Guard,
) -> Result<Sent, CallError> {
    match call {
        Call::Create { props, tags } => create(client, props, tags).await,
        Call::UpdateWorkers { arn, capacity, plugin, worker } => {
            let mut request = client
                .update_connector()
                .set_capacity(capacity.map(capacity_update))
                .connector_arn(arn);
            if let Some(plugin) = plugin {
                let plugin = CustomPluginUpdate::builder()
                    .set_custom_plugin_arn(plugin.arn.known().cloned())
                    .set_revision(plugin.revision.known().copied())
                    .build()
                    .map_err(|e| unbuilt(UPDATE, &e))?;
                request = request.plugins(PluginUpdate::builder().custom_plugin(plugin).build());
            }
            request = match worker {
                Some(Worker::Default) => request.use_default_worker_configuration(true),
                Some(Worker::Revision(worker)) => {
                    let worker = WorkerConfigurationUpdate::builder()
                        .set_worker_configuration_arn(worker.arn.known().cloned())
                        .set_revision(worker.revision.known().copied())
                        .build()
                        .map_err(|e| unbuilt(UPDATE, &e))?;
                    request.worker_configuration(worker)
                }
                None => request,
            };
            update(request, guard).await
        }
        Call::UpdateConfiguration { arn, configuration } => {
            let request = client
                .update_connector()
                .connector_arn(arn)
                .set_connector_configuration(Some(known(configuration)));
            update(request, guard).await
        }
        Call::Resume { arn } => {
            let answer = client
                .resume_connector()
                .connector_arn(arn)
                .send()
                .await
                .map_err(|e| classify("kafkaconnect:ResumeConnector", e))?;
            let operation = answer.connector_operation_arn().map(str::to_owned);
            Ok(Sent { operation, id: None })
        }
        Call::SetTags { arn, tags } => connect::set_tags(client, arn, tags).await,
        Call::RemoveTags { arn, keys } => connect::remove_tags(client, arn, keys).await,
        Call::Delete { arn } => {
            client
                .delete_connector()
                .connector_arn(arn)
                .set_current_version(guard.version.clone())
                .send()
                .await
                .map_err(|e| outdated(classify("kafkaconnect:DeleteConnector", e)))?;
            Ok(Sent::default())
        }
    }
}

async fn create(
    client: &aws_sdk_kafkaconnect::Client,
    props: &Props,
    tags: &Tags,
) -> Result<Sent, CallError> {
    let groups = props.security_groups.iter().filter_map(Input::known).cloned().collect();
    let vpc = Vpc::builder()
        .set_subnets(props.subnets.known().cloned())
        .set_security_groups(Some(groups))
        .build()
        .map_err(|e| unbuilt(CREATE, &e))?;
    let cluster = ApacheKafkaCluster::builder()
        .set_bootstrap_servers(props.bootstrap.known().cloned())
        .vpc(vpc)
        .build()
        .map_err(|e| unbuilt(CREATE, &e))?;
    let authentication = KafkaClusterClientAuthentication::builder()
        .authentication_type(match props.authentication {
            Authentication::None => KafkaClusterClientAuthenticationType::None,
            Authentication::Iam => KafkaClusterClientAuthenticationType::Iam,
        })
        .build()
        .map_err(|e| unbuilt(CREATE, &e))?;
    let encryption = KafkaClusterEncryptionInTransit::builder()
        .encryption_type(match props.encryption {
            Encryption::Plaintext => KafkaClusterEncryptionInTransitType::Plaintext,
            Encryption::Tls => KafkaClusterEncryptionInTransitType::Tls,
        })
        .build()
        .map_err(|e| unbuilt(CREATE, &e))?;
    let plugin = CustomPlugin::builder()
        .set_custom_plugin_arn(props.plugin.arn.known().cloned())
        .set_revision(props.plugin.revision.known().copied())
        .build()
        .map_err(|e| unbuilt(CREATE, &e))?;
    let answer = client
        .create_connector()
        .connector_name(&props.name)
        .set_connector_description(props.description.clone())
        .kafka_connect_version(&props.connect_version)
        .kafka_cluster(KafkaCluster::builder().apache_kafka_cluster(cluster).build())
        .kafka_cluster_client_authentication(authentication)
        .kafka_cluster_encryption_in_transit(encryption)
        .capacity(capacity(props.capacity))
        .plugins(Plugin::builder().custom_plugin(plugin).build())
        .set_worker_configuration(props.worker.as_ref().map(worker).transpose()?)
        .set_connector_configuration(Some(known(&props.configuration)))
        .set_service_execution_role_arn(props.role_arn.known().cloned())
        .set_log_delivery(props.log_group.as_ref().map(log_delivery))
        .set_tags(Some(tags.clone().into_iter().collect()))
        .send()
        .await
        .map_err(|e| not_yet(classify(CREATE, e)))?;
    Ok(Sent { id: answer.connector_arn().map(str::to_owned), operation: None })
}

async fn update(request: UpdateConnectorFluentBuilder, guard: &Guard) -> Result<Sent, CallError> {
    let answer = request
        .set_current_version(guard.version.clone())
        .send()
        .await
        .map_err(|e| outdated(classify(UPDATE, e)))?;
    let operation = answer.connector_operation_arn().map(str::to_owned);
    Ok(Sent { operation, id: None })
}

/// IAM propagates: right after its creation MSK Connect can't assume a role, and says so with a 400 (handbook msk.md §5.2).
fn not_yet(mut error: CallError) -> CallError {
    let message = error.message.to_ascii_lowercase();
    let role = message.contains("role") || message.contains("assume");
    if error.class == Class::Invalid && role && !message.contains("service-linked") {
        error.class = Class::NotYet;
    }
    error
}

/// A version that moved on is a 400 too, because `UpdateConnector` declares no conflict (handbook msk.md §5.1): look again. So is a
/// state in which nothing can be changed.
fn outdated(mut error: CallError) -> CallError {
    let message = error.message.to_ascii_lowercase();
    let moved = message.contains("version") && message.contains("current");
    let busy = message.contains("in the state") || message.contains("operation");
    if error.class == Class::Invalid && (moved || busy) {
        error.class = Class::Conflict;
    }
    error
}

fn known(configuration: &BTreeMap<String, Input<String>>) -> HashMap<String, String> {
    configuration.iter().filter_map(|(k, v)| Some((k.clone(), v.known()?.clone()))).collect()
}

fn worker(worker: &Revision) -> Result<WorkerConfiguration, CallError> {
    WorkerConfiguration::builder()
        .set_worker_configuration_arn(worker.arn.known().cloned())
        .set_revision(worker.revision.known().copied())
        .build()
        .map_err(|e| unbuilt(CREATE, &e))
}

fn log_delivery(group: &Input<String>) -> LogDelivery {
    let logs = CloudWatchLogsLogDelivery::builder()
        .enabled(true)
        .set_log_group(group.known().cloned())
        .build();
    LogDelivery::builder()
        .worker_log_delivery(WorkerLogDelivery::builder().cloud_watch_logs(logs).build())
        .build()
}

fn capacity(capacity: Capacity) -> SdkCapacity {
    match capacity {
        Capacity::Provisioned { mcu, workers } => SdkCapacity::builder().provisioned_capacity(
            ProvisionedCapacity::builder().mcu_count(mcu).worker_count(workers).build(),
        ),
        Capacity::Autoscaling { mcu, min, max, scale_in, scale_out } => {
            let scale_in = ScaleInPolicy::builder().cpu_utilization_percentage(scale_in).build();
            let scale_out = ScaleOutPolicy::builder().cpu_utilization_percentage(scale_out).build();
            SdkCapacity::builder().auto_scaling(
                AutoScaling::builder()
                    .mcu_count(mcu)
                    .min_worker_count(min)
                    .max_worker_count(max)
                    .scale_in_policy(scale_in)
                    .scale_out_policy(scale_out)
                    .build(),
            )
        }
    }
    .build()
}

fn capacity_update(capacity: Capacity) -> CapacityUpdate {
    match capacity {
        Capacity::Provisioned { mcu, workers } => CapacityUpdate::builder().provisioned_capacity(
            ProvisionedCapacityUpdate::builder().mcu_count(mcu).worker_count(workers).build(),
        ),
        // Both policies are required here, unlike in a create (handbook msk.md §5).
        Capacity::Autoscaling { mcu, min, max, scale_in, scale_out } => {
            let scale_in =
                ScaleInPolicyUpdate::builder().cpu_utilization_percentage(scale_in).build();
            let scale_out =
                ScaleOutPolicyUpdate::builder().cpu_utilization_percentage(scale_out).build();
            CapacityUpdate::builder().auto_scaling(
                AutoScalingUpdate::builder()
                    .mcu_count(mcu)
                    .min_worker_count(min)
                    .max_worker_count(max)
                    .scale_in_policy(scale_in)
                    .scale_out_policy(scale_out)
                    .build(),
            )
        }
    }
    .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_told_from_what_is_wrong() {
        let error = |message: &str| CallError::new(Class::Invalid, CREATE, message);
        let role = "The service execution role r can't be assumed by kafkaconnect.amazonaws.com.";
        assert_eq!(not_yet(error(role)).class, Class::NotYet);
        assert_eq!(not_yet(error("Invalid mcuCount.")).class, Class::Invalid);
        let version = "The current version of the connector is not K1. Describe the connector.";
        assert_eq!(outdated(error(version)).class, Class::Conflict);
        let state = "The connector can't be updated in the state UPDATING.";
        assert_eq!(outdated(error(state)).class, Class::Conflict);
        assert_eq!(outdated(error("Invalid mcuCount.")).class, Class::Invalid);
    }
}
