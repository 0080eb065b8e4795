//! What the tests of `calls` share.

use msk_pipeline_core::kind::{Case, Kind, Mark, Next, Proposed, Verdict};

use crate::catalogue::Privileges;

/// The mark that `case` writes.
pub(crate) fn mark() -> Mark {
    Mark { lineage: "l1".into(), pipeline: "orders".into(), address: "database.main.x".into() }
}

/// `want` against `seen`, nothing recorded, nothing begun.
pub(crate) fn case<K: Kind>(want: Option<K::Props>, seen: Option<K::Seen>) -> Case<K> {
    Case { want, seen, was: None, pursuit: None, mark: mark() }
}

/// One privilege on each object.
pub(crate) fn privileges(list: &[(&str, &str)]) -> Privileges {
    list.iter().map(|&(on, privilege)| (on.to_owned(), [privilege.to_owned()].into())).collect()
}

/// What comes next, in one word a call, each with its verdict if it has one.
pub(crate) fn ops<C, O>(next: &Next<C, O>) -> String {
    let one = |call: &Proposed<C>| {
        let op = call.op.rsplit(':').next().unwrap_or_default();
        match call.data.verdict {
            Verdict::None => op.to_owned(),
            verdict => format!("{op} {verdict}"),
        }
    };
    match next {
        Next::Converged(_) => "converged".into(),
        Next::Gone => "gone".into(),
        Next::Kept => "kept".into(),
        Next::Calls(calls) => calls.iter().map(one).collect::<Vec<_>>().join(", "),
        Next::Wait { .. } => "wait".into(),
        Next::Replace { .. } => "replace".into(),
        Next::Refuse { .. } => "refuse".into(),
        Next::Failed { .. } => "failed".into(),
    }
}
