//! The list of kinds: the only existing file that a new kind touches.

use msk_pipeline_core::kind::Registry;

use crate::session::Session;

mod connect;
pub mod connector;
pub mod connector_verdicts;
pub mod custom_plugin;
//X pub mod log_group;
//X pub mod msk_cluster;
//X pub mod msk_configuration;
//X pub mod network;
pub mod security_group;
//X pub mod security_group_rules;
pub mod worker_configuration;

/// Every kind there is.
pub fn registry(session: &Session) -> Registry {
    Registry::default()
        //X .with(network::Network::new(session))
        .with(security_group::SecurityGroup::new(session))
        .with(connector::Connector::new(session))
        .with(custom_plugin::CustomPlugin::new(session))
        .with(worker_configuration::WorkerConfiguration::new(session))
    //X .with(security_group_rules::SecurityGroupRules::new(session))
    //X .with(log_group::LogGroup::new(session))
    //X .with(msk_configuration::MskConfiguration::new(session))
    //X .with(msk_cluster::MskCluster::new(session))
}
