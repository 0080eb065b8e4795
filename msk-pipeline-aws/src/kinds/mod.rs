//! The list of kinds: the only existing file that a new kind touches.

use msk_pipeline_core::kind::Registry;

use crate::session::Session;

pub mod aurora_cluster;
pub mod aurora_instance;
pub mod db_cluster_lookup;
pub mod db_cluster_parameter_group;
pub mod db_parameter_group;
pub mod db_subnet_group;
//X pub mod log_group;
//X pub mod msk_cluster;
//X pub mod msk_configuration;
//X pub mod network;
pub mod parameter_group;
pub mod rds;
pub mod secret;
pub mod security_group;
pub mod security_group_rules;
#[cfg(test)]
mod emulated;
#[cfg(test)]
pub(crate) mod testing;

/// The first twelve digits of a SHA-256, for names and revisions.
fn short_hash(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().take(6).map(|b| format!("{b:02x}")).collect()
}

/// Every kind there is.
pub fn registry(session: &Session) -> Registry {
    Registry::default()
        .with(aurora_cluster::AuroraCluster::new(session))
        .with(aurora_instance::AuroraInstance::new(session))
        .with(db_cluster_lookup::DbClusterLookup::new(session))
        .with(db_cluster_parameter_group::DbClusterParameterGroup::new(session))
        .with(db_parameter_group::DbParameterGroup::new(session))
        .with(db_subnet_group::DbSubnetGroup::new(session))
        .with(secret::Secret::new(session))
        //X .with(network::Network::new(session))
        .with(security_group::SecurityGroup::new(session))
    //X .with(security_group_rules::SecurityGroupRules::new(session))
    //X .with(log_group::LogGroup::new(session))
    //X .with(msk_configuration::MskConfiguration::new(session))
    //X .with(msk_cluster::MskCluster::new(session))
}
