//! The list of kinds: the only existing file that a new kind touches.

use msk_pipeline_core::kind::Registry;

use crate::Artifacts;
use crate::session::Session;

pub mod aurora_cluster;
pub mod aurora_instance;
mod connect;
pub mod connector;
pub mod connector_verdicts;
pub mod custom_plugin;
pub mod db_cluster_lookup;
pub mod db_cluster_parameter_group;
pub mod db_parameter_group;
pub mod db_subnet_group;
pub mod iam_role;
pub mod kafka_topic;
pub mod log_group;
pub mod msk_cluster;
pub mod msk_cluster_lookup;
pub mod msk_configuration;
pub mod network;
pub mod parameter_group;
pub mod rds;
pub mod s3_bucket;
pub mod s3_object;
pub mod secret;
pub mod security_group;
pub mod security_group_rules;
pub mod vpc_endpoint;
pub mod worker_configuration;

#[cfg(test)]
mod emulated;
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
        .with(s3_bucket::S3Bucket::new(session))
        .with(s3_object::S3Object::new(session, artifacts))
        .with(secret::Secret::new(session))
        .with(db_subnet_group::DbSubnetGroup::new(session))
        .with(db_cluster_parameter_group::DbClusterParameterGroup::new(session))
        .with(db_parameter_group::DbParameterGroup::new(session))
        .with(aurora_cluster::AuroraCluster::new(session))
        .with(aurora_instance::AuroraInstance::new(session))
        .with(db_cluster_lookup::DbClusterLookup::new(session))
        .with(msk_configuration::MskConfiguration::new(session))
        .with(msk_cluster::MskCluster::new(session))
        .with(msk_cluster_lookup::MskClusterLookup::new(session))
        .with(kafka_topic::KafkaTopic::new(session))
        .with(custom_plugin::CustomPlugin::new(session))
        .with(worker_configuration::WorkerConfiguration::new(session))
        .with(connector::Connector::new(session))
}

/// True if these recorded props say that a destroy leaves the object in AWS: its own `keep`, or a database's `on_destroy = "keep"`.
///
/// Whoever removes such an object from a pipeline only forgets it. Its mark stays on it, so that a later run with the same state takes
/// it back, and one with another state finds it foreign.
pub fn is_kept(props: &serde_json::Value) -> bool {
    props["keep"] == true || props["on_destroy"] == "keep"
}

/// Whether an object that is encrypted with the key `used` would need another one. AWS shows a key's ARN and neither an alias nor
/// that none was named: then it counts whether the wanted one is `as_recorded`; without a record nothing is known to differ.
fn is_other_key(wanted: Option<&str>, used: Option<&str>, as_recorded: Option<bool>) -> bool {
    match (wanted, used) {
        (Some(wanted), Some(used)) if !wanted.contains("alias/") => {
            wanted != used && !used.ends_with(&format!("/{wanted}"))
        }
        _ => as_recorded == Some(false),
    }
}

/// A time of the SDK's, if it is one that can be written down.
fn timestamp(at: Option<&aws_smithy_types::DateTime>) -> Option<msk_pipeline_core::Timestamp> {
    let millis = at?.to_millis().ok()?;
    u64::try_from(millis).ok().map(msk_pipeline_core::Timestamp)
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

/// The first twelve digits of a SHA-256, for names and revisions.
fn short_hash(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().take(6).map(|b| format!("{b:02x}")).collect()
}
