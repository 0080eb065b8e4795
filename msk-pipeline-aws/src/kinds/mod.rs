//! The list of kinds: the only existing file that a new kind touches.

use msk_pipeline_core::kind::Registry;

use crate::session::Session;

pub mod log_group;
pub mod msk_cluster;
pub mod msk_configuration;
pub mod network;
pub mod security_group;
pub mod security_group_rules;

/// Every kind there is.
pub fn registry(session: &Session) -> Registry {
    Registry::default()
        .with(network::Network::new(session))
        .with(security_group::SecurityGroup::new(session))
    //X .with(security_group_rules::SecurityGroupRules::new(session))
    //X .with(log_group::LogGroup::new(session))
    //X .with(msk_configuration::MskConfiguration::new(session))
    //X .with(msk_cluster::MskCluster::new(session))
}
