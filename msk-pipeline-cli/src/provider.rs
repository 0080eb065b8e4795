//! The only place that knows the provider's names: its components, kinds, and the packing of plugins.

use std::sync::Arc;

use async_trait::async_trait;
use msk_pipeline_aws::session::{Handler, PlainRequest, PlainResponse};
use msk_pipeline_aws::{Artifacts, Session, kinds, plugins};
use msk_pipeline_core::dsl::{Components, Notice};
use msk_pipeline_core::graph::Graph;
use msk_pipeline_core::kind::Registry;
use msk_pipeline_core::plan::Plan;
use msk_pipeline_core::state::State;
use msk_pipeline_real::database::Engine;
use msk_pipeline_verify::Reach;
use serde_json::Value;

use crate::declaration::Declaration;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::programs::Programs;
use crate::settings::Settings;

/// The sections that a file may have.
pub(crate) fn components() -> Components {
    msk_pipeline_aws::components::components()
}

/// Every kind, on a session's clients. Files that calls upload are found among the artifacts.
pub(crate) fn registry(session: &Session, artifacts: &Artifacts) -> Registry {
    kinds::registry(session, artifacts)
}

/// A session that trusts the databases that the settings name a certificate for. Aurora's are signed by RDS's own authorities.
pub(crate) fn with_authorities(session: Session, settings: &Settings) -> Result<Session, Failure> {
    let authorities = settings.authorities()?;
    if authorities.is_empty() {
        return Ok(session);
    }
    let reach = Reach { authorities, ..Reach::default() };
    let databases = msk_pipeline_aws::source::databases(&session, Arc::new(reach));
    Ok(session.with_source(databases))
}

/// A session whose databases are programs.
pub(crate) fn with_programs(session: Session, programs: Programs) -> Session {
    let databases = msk_pipeline_aws::source::databases(&session, Arc::new(programs));
    session.with_source(databases)
}

/// Fetches and packs what the pipeline's connectors run, before anything is planned. Archives are kept in the cache folder; what was
/// fetched first is recorded in `msk-pipeline.lock` beside the file, unless this is `tentative`: then it is only noted in the cache.
pub(crate) async fn prepare(
    declaration: &Declaration,
    settings: &Settings,
    tentative: bool,
) -> Result<plugins::Prepared, Failure> {
    let pipeline = declaration.pipeline.clone();
    let mut options = plugins::PackOptions::new(settings.folder());
    options.cache = settings.plugin_cache();
    if tentative {
        options.recording = plugins::Recording::Tentative;
    }
    // The embedded workers resolve placeholders themselves, so that a rehearsal needs no provider archive.
    options.provider_optional = settings.local;
    let packed = tokio::task::spawn_blocking(move || plugins::prepare(&pipeline, &options)).await;
    match packed {
        Ok(Ok(prepared)) => Ok(prepared),
        Ok(Err(problems)) => Err(Failure::problems(&problems, declaration.source.clone())),
        Err(error) => {
            Err(Failure::new(Exit::Failed, format!("packing the plugins failed: {error}")))
        }
    }
}

/// What only a person can do about the rows that exist already, given what is recorded.
pub(crate) fn snapshot_notices(graph: &Graph, state: &State) -> Vec<Notice> {
    msk_pipeline_aws::components::connector::snapshot_notices(graph, state)
}

/// The engines of the databases that are declared as the pipeline's own.
pub(crate) fn engines(graph: &Graph) -> Vec<Engine> {
    let clusters = graph.resources().filter(|r| msk_pipeline_aws::source::is_cluster(&r.kind));
    let engine = |engine: &Value| match engine.as_str() {
        Some("aurora-postgresql") => Engine::PostgreSql,
        _ => Engine::MySql,
    };
    clusters.map(|cluster| engine(&cluster.props["engine"])).collect()
}

/// What a plan keeps, as (address, name).
pub(crate) fn kept(plan: &Plan) -> Vec<(String, String)> {
    let kept = plan.steps.iter().filter(|s| s.keeps);
    kept.map(|s| (s.address.to_string(), s.name.clone())).collect()
}

/// Clients that reach nothing: for what is pure.
pub(crate) fn nowhere() -> Session {
    struct Nowhere;

    #[async_trait]
    impl Handler for Nowhere {
        async fn handle(&self, _request: PlainRequest) -> Option<PlainResponse> {
            None
        }
    }

    Session::embedded(Arc::new(Nowhere), "us-east-1")
}
