//! The only place that knows the provider's names: its components, kinds, and the packing of plugins.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use msk_pipeline_aws::session::{Handler, PlainRequest, PlainResponse};
use msk_pipeline_aws::{Artifacts, Session, kinds};
use msk_pipeline_core::dsl::{Components, Facts, Pipeline};
use msk_pipeline_core::kind::Registry;

use crate::diagnostic::Failure;

mod stand_in;

/// The sections that a file may have.
pub(crate) fn components() -> Components {
    msk_pipeline_aws::components::components().with::<stand_in::Connector>()
}

/// Every kind, on a session's clients. Files that calls upload are found among the artifacts.
pub(crate) fn registry(session: &Session, artifacts: &Artifacts) -> Registry {
    kinds::registry(session, artifacts)
}

/// Fetches and packs what the pipeline's connectors run, before anything is planned. `cache` holds what was fetched and packed.
#[expect(clippy::unused_async, reason = "fetches once plugins are packed here")]
pub(crate) async fn prepare(
    _pipeline: &Pipeline,
    _folder: &Path,
    _local: bool,
) -> Result<(Facts, Artifacts), Failure> {
    Ok((Facts::default(), Artifacts::default()))
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
