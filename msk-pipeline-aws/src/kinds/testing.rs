//! What the unit tests of kinds share.

use std::sync::Arc;

use async_trait::async_trait;
use msk_pipeline_core::kind::{Mark, Next};

use crate::session::{Handler, PlainRequest, PlainResponse, Session};

/// The mark of the tests' own pipeline.
pub(crate) fn mark() -> Mark {
    Mark { lineage: "l1".into(), pipeline: "p".into(), address: "a".into() }
}

/// What comes next, in words: the operations in order, with their data verdict where there is one.
pub(crate) fn ops<C, O>(next: &Next<C, O>) -> Vec<String> {
    match next {
        Next::Converged(_) => vec!["converged".into()],
        Next::Gone => vec!["gone".into()],
        Next::Calls(calls) => calls.iter().map(|c| verdict(&c.op, &c.data)).collect(),
        Next::Wait { then, .. } => {
            let then = then.iter().map(|c| verdict(&c.op, &c.data));
            std::iter::once("wait".to_owned()).chain(then).collect()
        }
        Next::Replace { effect, .. } => vec![verdict("replace", effect)],
        Next::Refuse { .. } => vec!["refuse".into()],
        Next::Failed { .. } => vec!["failed".into()],
    }
}

fn verdict(op: &str, data: &msk_pipeline_core::kind::DataEffect) -> String {
    if *data == msk_pipeline_core::kind::DataEffect::NONE {
        op.to_owned()
    } else {
        format!("{op} ({})", data.verdict)
    }
}

/// A session that reaches nothing: `calls` is pure.
pub(crate) fn session() -> Session {
    struct Nowhere;
    #[async_trait]
    impl Handler for Nowhere {
        async fn handle(&self, _: PlainRequest) -> Option<PlainResponse> {
            None
        }
    }
    Session::embedded(Arc::new(Nowhere), "eu-west-1")
}
