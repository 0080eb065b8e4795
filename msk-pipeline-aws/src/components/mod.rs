//! The list of components: what a user may write, one file each.

use msk_pipeline_core::dsl::Components;

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
fn connectors_on(_name: &str, _cx: &msk_pipeline_core::dsl::Expansion<'_>) -> Vec<String> {
    Vec::new()
}

/// The pipeline's own bucket.
fn own_bucket(
    _cx: &msk_pipeline_core::dsl::Expansion<'_>,
) -> msk_pipeline_core::kind::Input<String> {
    msk_pipeline_core::kind::Input::output("plugins.bucket", "bucket_name")
}

/// A cluster that exists.
fn existing_cluster(
    _kafka: &kafka::Kafka,
    _name: &str,
    cx: &mut msk_pipeline_core::dsl::Expansion<'_>,
) {
    cx.error("existing", "existing clusters are not supported yet", "");
}
