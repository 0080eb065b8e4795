//! The list of kinds: the only existing file that a new kind touches.

use msk_pipeline_core::kind::Registry;

use crate::session::Session;

mod connect;
pub mod connector;
pub mod connector_verdicts;
pub mod custom_plugin;
pub mod log_group;
pub mod msk_cluster;
pub mod msk_configuration;
pub mod network;
pub mod security_group;
pub mod security_group_rules;
pub mod worker_configuration;

/// Every kind there is.
pub fn registry(session: &Session) -> Registry {
    Registry::default()
        .with(network::Network::new(session))
        .with(security_group::SecurityGroup::new(session))
        .with(security_group_rules::SecurityGroupRules::new(session))
        .with(log_group::LogGroup::new(session))
        .with(msk_configuration::MskConfiguration::new(session))
        .with(msk_cluster::MskCluster::new(session))
        .with(connector::Connector::new(session))
        .with(custom_plugin::CustomPlugin::new(session))
        .with(worker_configuration::WorkerConfiguration::new(session))
}
