//! The list of components: what a user may write, one file each.

use msk_pipeline_core::dsl::{Components, Expansion};

pub mod connector;
pub mod database;
pub mod kafka;
pub mod network;

/// Every component there is, in the order of documentation.
pub fn components() -> Components {
    Components::default()
        .with::<network::Network>()
        .with::<database::Database>()
        .with::<kafka::Kafka>()
        .with::<connector::Connector>()
}

/// Names of the stages, in the order of the pipeline.
pub mod stage {
    /// Security groups and their rules.
    pub const SECURITY_GROUPS: &str = "security-groups";
    /// The databases.
    pub const DATABASE: &str = "database";
    /// The clusters.
    pub const KAFKA: &str = "kafka";
    /// The connectors and what they need.
    pub const CONNECT: &str = "connect";
}

/// The connectors that use the cluster `name`.
fn connectors_on<'a>(name: &str, cx: &Expansion<'a>) -> Vec<&'a str> {
    let all = cx.all::<connector::Connector>().into_iter();
    all.filter(|(_, c)| connector::cluster_of(c, cx).as_deref() == Some(name))
        .map(|(c, _)| c)
        .collect()
}
