//! Packs the plugins of a pipeline's connectors before it is expanded: their digests are facts, their archives artifacts.
//!
//! Fetches what is missing, and writes the cache and, unless it is tentative, the lock file; so it blocks, and runs on a thread that
//! may. It looks at nothing of AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use msk_pipeline_core::dsl::{Component as _, Facts, Path as Place, Pipeline, Problem, Problems};
use msk_pipeline_plugin::{Options, Package, Part, Severity, Sources, pack};
use serde::Deserialize as _;
use serde_json::json;

use crate::components::connector::{Connector, PROVIDER_CLASS, Product, fact_name};
use crate::components::database::Database;
use crate::{Artifact, Artifacts};

/// How to pack.
#[derive(Debug, Clone)]
pub struct PackOptions {
    /// The folder of the pipeline's file: `file` parts are relative to it.
    pub folder: PathBuf,
    /// The cache.
    pub cache: PathBuf,
    /// The lock file.
    pub lock: PathBuf,
    /// Where to fetch.
    pub sources: Sources,
    /// Fetch nothing.
    pub offline: bool,
    /// What becomes of digests that the lock file does not have.
    pub recording: Recording,
    /// Do without the config provider if it can't be had: only for an embedded AWS, whose workers resolve placeholders themselves.
    pub provider_optional: bool,
}

impl PackOptions {
    /// Cache and lock file in `folder`, fetching as the environment says.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref();
        Self {
            cache: folder.join(".msk-pipeline").join("plugins"),
            lock: folder.join("msk-pipeline.lock"),
            folder: folder.to_owned(),
            sources: Sources::from_env(),
            offline: false,
            recording: Recording::default(),
            provider_optional: false,
        }
    }
}

/// What becomes of the digests of what is fetched for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recording {
    /// They go into the lock file.
    #[default]
    Lock,
    /// They are noted in the cache, where packing in earnest finds them: for plans, which write nothing.
    Tentative,
    /// There must be none: for CI.
    Refuse,
}

/// What packing found.
#[derive(Debug, Clone, Default)]
pub struct Prepared {
    /// What expansion needs to know of each plugin.
    pub facts: Facts,
    /// The archives by their digest.
    pub artifacts: Artifacts,
    /// Sources of parts that the lock file does not have, because packing was tentative.
    pub unrecorded: BTreeSet<String>,
    /// What works and should be looked at.
    pub warnings: Vec<Problem>,
}

/// Packs each connector's plugin, and checks that its class can be loaded by its workers.
///
/// # Errors
/// Everything that can't work, at once: parts that can't be had, classes that are missing or need a newer Java.
pub fn prepare(pipeline: &Pipeline, options: &PackOptions) -> Result<Prepared, Problems> {
    let mut prepared = Prepared::default();
    let mut problems = Vec::new();
    let mut packed: BTreeMap<Vec<Part>, Package> = BTreeMap::new();
    for section in pipeline.sections().iter().filter(|s| s.component == Connector::NAME) {
        // What can't be read is a problem of expansion, which tells it with its place.
        let Ok(connector) = Connector::deserialize(&section.value) else { continue };
        let place = Place::new([Connector::NAME, section.name.as_str(), "plugin"]);
        let product = product(pipeline, &connector.source);
        match plugin(&connector, product, options, &mut packed, &place, &mut problems) {
            Ok(package) => {
                let fact = json!({
                    "sha256": package.sha256.to_string(),
                    "size": package.size,
                    "class": product.class,
                });
                prepared.unrecorded.extend(package.unrecorded);
                prepared.facts.insert(fact_name(&section.name), fact);
                prepared
                    .artifacts
                    .0
                    .insert(package.sha256.to_string(), Artifact::File(package.path));
            }
            Err(problem) => problems.push(problem),
        }
    }
    let problems = Problems(problems);
    if problems.has_errors() {
        return Err(problems);
    }
    prepared.warnings = problems.0;
    Ok(prepared)
}

/// The connector for a source. What can't be read is a problem of expansion, which tells it with its place.
fn product(pipeline: &Pipeline, source: &str) -> &'static Product {
    let mut sections = pipeline.sections().iter();
    let section = sections.find(|s| s.component == Database::NAME && s.name == source);
    let database = section.and_then(|section| Database::deserialize(&section.value).ok());
    Product::of(database.unwrap_or_default().engine())
}

fn plugin(
    connector: &Connector,
    product: &Product,
    options: &PackOptions,
    packed: &mut BTreeMap<Vec<Part>, Package>,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Result<Package, Problem> {
    let (own, provider) =
        connector.parts(product).map_err(|why| Problem::error(place.clone(), why))?;
    let mut all = own.clone();
    all.push(provider);
    let mut with_provider = true;
    let package = match packed.get(&all) {
        Some(package) => package.clone(),
        None => {
            let how = Options {
                base: options.folder.clone(),
                offline: options.offline,
                locked: options.recording == Recording::Refuse,
                tentative: options.recording == Recording::Tentative,
                ..Options::new(&options.cache, &options.lock, options.sources.clone())
            };
            let failed = |error: msk_pipeline_plugin::Error| {
                Problem::error(place.clone(), chain(&error)).help(error.help())
            };
            match pack(&all, &how) {
                Ok(package) => {
                    packed.insert(all, package.clone());
                    package
                }
                Err(error) if options.provider_optional => {
                    let package = pack(&own, &how).map_err(failed)?;
                    with_provider = false;
                    let message = format!(
                        "the plugin is packed without its config provider ({error}): this is not the ZIP that AWS would get"
                    );
                    problems.push(Problem::warning(place.clone(), message).help(
                        "the embedded AWS resolves secrets itself; on AWS the provider is needed",
                    ));
                    package
                }
                Err(error) => return Err(failed(error)),
            }
        }
    };
    let java = connector.java();
    let mut findings = package.inspection.check(product.class, java);
    if with_provider {
        let more = package.inspection.check_config_provider(PROVIDER_CLASS, java);
        findings.extend(more.into_iter().filter(|f| !findings.contains(f)).collect::<Vec<_>>());
    }
    for finding in findings {
        let message = finding.to_string();
        problems.push(match finding.severity() {
            Severity::Error => Problem::error(place.clone(), message),
            Severity::Warning => Problem::warning(place.clone(), message),
        });
    }
    Ok(package)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use msk_pipeline_core::dsl::Severity as Bad;

    use super::*;

    #[test]
    fn what_cannot_be_had_is_a_problem_at_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut pipeline = Pipeline::new("orders", "eu-west-1");
        let part = Part::file("missing.zip").unwrap();
        let connector = Connector { source: "db".into(), ..Connector::default() };
        pipeline.declare("mysql", connector.plugin(part));
        let options = PackOptions { offline: true, ..PackOptions::new(folder.path()) };
        let problems = prepare(&pipeline, &options).unwrap_err();
        assert_eq!(problems.0.len(), 1);
        assert_eq!(problems.0[0].severity, Bad::Error);
        assert_eq!(problems.0[0].path.to_string(), "connector.mysql.plugin");
        assert!(problems.0[0].help.is_some());
    }

    #[test]
    fn without_connectors_nothing_is_packed() {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = Pipeline::new("orders", "eu-west-1");
        let prepared = prepare(&pipeline, &PackOptions::new(folder.path())).unwrap();
        assert!(prepared.facts.is_empty() && prepared.artifacts.0.is_empty());
        assert!(!folder.path().join(".msk-pipeline").exists());
    }
}
