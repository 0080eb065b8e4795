//! The list of kinds: the only existing file that a new kind touches.

use msk_pipeline_core::kind::Registry;

use crate::Artifacts;
use crate::session::Session;

mod connect;
pub mod connector;
pub mod connector_verdicts;
pub mod custom_plugin;
pub mod iam_role;
pub mod kafka_topic;
pub mod log_group;
pub mod msk_cluster;
pub mod msk_configuration;
pub mod network;
pub mod s3_bucket;
pub mod s3_object;
pub mod security_group;
pub mod security_group_rules;
pub mod vpc_endpoint;
pub mod worker_configuration;

#[cfg(test)]
pub(crate) mod testing;

/// Every kind there is. What is uploaded is found in `artifacts`.
pub fn registry(session: &Session, artifacts: &Artifacts) -> Registry {
    Registry::default()
        .with(network::Network::new(session))
        .with(security_group::SecurityGroup::new(session))
        .with(security_group_rules::SecurityGroupRules::new(session))
        .with(vpc_endpoint::VpcEndpoint::new(session))
        .with(log_group::LogGroup::new(session))
        .with(iam_role::IamRole::new(session))
        .with(msk_configuration::MskConfiguration::new(session))
        .with(msk_cluster::MskCluster::new(session))
        .with(kafka_topic::KafkaTopic::new(session))
        .with(s3_bucket::S3Bucket::new(session))
        .with(s3_object::S3Object::new(session, artifacts))
        .with(custom_plugin::CustomPlugin::new(session))
        .with(worker_configuration::WorkerConfiguration::new(session))
        .with(connector::Connector::new(session))
}

/// The partition that a region is in.
pub(crate) fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}
