//! The list of kinds: the only existing file that a new kind touches.

use msk_pipeline_core::kind::Registry;

use crate::Artifacts;
use crate::session::Session;

pub mod aurora_cluster;
pub mod aurora_instance;
pub(crate) mod connect;
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

/// Every kind there is. What is uploaded is found in `artifacts`. The kinds inside databases are those of another crate.
pub fn registry(session: &Session, artifacts: &Artifacts) -> Registry {
    let registry = Registry::default()
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
        .with(connector::Connector::new(session));
    msk_pipeline_source::register(registry, session.source())
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
    millis(at).map(msk_pipeline_core::Timestamp)
}

/// Since 1970.
pub(crate) fn millis(at: Option<&aws_smithy_types::DateTime>) -> Option<u64> {
    u64::try_from(at?.to_millis().ok()?).ok()
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// The source files of the workspace that could know kinds, with what is compiled into the product of each. The embedded AWS has
    /// modules of the same names and knows none of this crate's.
    fn sources() -> Vec<(PathBuf, String)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let crates = ["aws", "cli", "core", "local", "plugin", "source"];
        let mut folders: Vec<_> =
            crates.iter().map(|name| root.join(format!("msk-pipeline-{name}/src"))).collect();
        folders.push(root.join("src"));
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = fs::read_to_string(&path).unwrap();
                    let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                    files.push((path, product.to_owned()));
                }
            }
        }
        files
    }

    /// True if `text` has a path through the module `name`: `name::…` or `…::name`.
    fn names(text: &str, name: &str) -> bool {
        text.match_indices(name).any(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + name.len()..]);
            let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            !part(before.chars().next_back())
                && !part(after.chars().next())
                && (after.starts_with("::") || before.ends_with("::"))
        })
    }

    /// A new kind is one new file and one entry in the list. So no other file may name one but its own, the components that make its
    /// resources, and other kinds that build on it.
    #[test]
    fn a_kind_is_named_in_its_file_in_the_list_and_by_components() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kinds");
        let list = include_str!("mod.rs").split("#[cfg(test)]\nmod tests {").next().unwrap();
        let entries = list.lines().filter_map(|line| line.trim().strip_prefix(".with("));
        let modules: Vec<_> = entries.map(|entry| entry.split("::").next().unwrap()).collect();
        let session = testing::session();
        let registry = registry(&session, &Artifacts::default());
        let of_aws = registry.iter().filter(|kind| kind.type_name().starts_with("aws."));
        assert_eq!(modules.len(), of_aws.count(), "one entry for each kind");
        let own = |path: &Path, module: &str| {
            path.starts_with(here.join(module)) || *path == here.join(format!("{module}.rs"))
        };
        // Only the unit tests of this crate.
        let tests =
            [here.join("emulated.rs"), here.join("testing.rs"), here.join("case_testing.rs")];
        let sources = sources();
        let mut third = Vec::new();
        for module in &modules {
            let lines = list
                .lines()
                .filter(|line| line.trim() == format!("pub mod {module};") || names(line, module));
            assert_eq!(lines.count(), 2, "{module}: its `mod` line and its entry");
            let shared = sources.iter().filter(|(path, _)| {
                path.starts_with(&here)
                    && *path != here.join("mod.rs")
                    && !tests.contains(path)
                    && !modules.iter().any(|m| own(path, m))
            });
            let named = shared.filter(|(_, text)| names(text, module));
            third.extend(named.map(|(path, _)| format!("{module} in {}", path.display())));
        }
        // Outside of this folder, only components know more of it than this file's functions; and the bucket of shared state is made by
        // the calls of the kind that makes buckets.
        let components = here.with_file_name("components");
        let bucket = here.with_file_name("state").join("bucket.rs");
        // What is known of a connector's trouble is read with the words of its kind.
        let evidence = here.with_file_name("evidence.rs");
        // Where a cluster's writer is, is read as the kind of clusters reads it; a connector's operations as that of connectors.
        let source = here.with_file_name("source.rs");
        let operate = here.with_file_name("operate.rs");
        let rotate = here.with_file_name("rotate.rs");
        let verify = here.with_file_name("verify");
        // What is inside a database are kinds of their own, in a crate of their own.
        let databases = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("msk-pipeline-source");
        let inside = |path: &Path| {
            [&here, &components, &verify, &databases].iter().any(|room| path.starts_with(room))
                || [&bucket, &evidence, &source, &operate, &rotate]
                    .iter()
                    .any(|file| *path == **file)
        };
        let outside: Vec<_> = sources.iter().filter(|(path, _)| !inside(path)).collect();
        for (path, text) in &outside {
            let paths = text.match_indices("kinds::").map(|(at, word)| &text[at + word.len()..]);
            let more = paths.filter(|rest| !rest.starts_with("registry"));
            third.extend(more.map(|rest| {
                format!("kinds::{} in {}", rest.lines().next().unwrap_or_default(), path.display())
            }));
        }
        // The family's name is written once, beside the tests of components.
        for kind in registry.iter() {
            let name = format!("\"{}\"", kind.type_name());
            let kinds = sources.iter().filter(|(path, _)| !path.starts_with(&components));
            let written = kinds.filter(|(_, text)| text.contains(&name));
            let written: Vec<_> = written.map(|(path, _)| path.display().to_string()).collect();
            if written.len() != 1 {
                third.push(format!("{name} in {written:?}"));
            }
        }
        assert!(third.is_empty(), "{}", third.join("\n"));
    }
}
