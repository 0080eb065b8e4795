//! The list of components: what a user may write, one file each.

use msk_pipeline_core::dsl::{Components, Expansion};

mod broker_properties;
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

/// A family of instances, as AWS names them: `r7g`, `t4g`, `x2iedn`.
fn is_family(text: &str) -> bool {
    let letters = text.len() - text.trim_start_matches(|c: char| c.is_ascii_lowercase()).len();
    let rest = &text[letters..];
    letters > 0
        && rest.starts_with(|c: char| c.is_ascii_digit())
        && rest.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase() || c == '-')
}

/// A size of an instance: `medium`, `large`, `12xlarge`.
fn is_size(text: &str) -> bool {
    let times = |n: &str| n.parse::<u8>().is_ok_and(|n| n > 1) && !n.starts_with('0');
    matches!(text, "micro" | "small" | "medium" | "large" | "xlarge" | "metal")
        || text.strip_suffix("xlarge").is_some_and(times)
}
