//! The list of kinds: the only existing file that a new kind touches.

use msk_pipeline_core::kind::Registry;

use crate::Artifacts;
use crate::session::Session;

pub mod iam_role;
pub mod kafka_topic;
//X pub mod log_group;
//X pub mod msk_cluster;
//X pub mod msk_configuration;
//X pub mod network;
pub mod s3_bucket;
pub mod s3_object;
pub mod security_group;
//X pub mod security_group_rules;
pub mod vpc_endpoint;

#[cfg(test)]
pub(crate) mod testing;

/// Every kind there is. What is uploaded is found in `artifacts`.
pub fn registry(session: &Session, artifacts: &Artifacts) -> Registry {
    Registry::default()
        //X .with(network::Network::new(session))
        .with(iam_role::IamRole::new(session))
        .with(kafka_topic::KafkaTopic::new(session))
        .with(s3_bucket::S3Bucket::new(session))
        .with(s3_object::S3Object::new(session, artifacts))
        .with(vpc_endpoint::VpcEndpoint::new(session))
        .with(security_group::SecurityGroup::new(session))
    //X .with(security_group_rules::SecurityGroupRules::new(session))
    //X .with(log_group::LogGroup::new(session))
    //X .with(msk_configuration::MskConfiguration::new(session))
    //X .with(msk_cluster::MskCluster::new(session))
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
