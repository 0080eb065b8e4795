//! What the tests of `calls` share: a case in one line, and what comes next in one word a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use msk_pipeline_core::kind::{Case, Kind, Mark, Next, Recorded, Verdict};
use msk_pipeline_emulator::Request;
use msk_pipeline_emulator::shell::InProcess;
use msk_pipeline_emulator::world::{Settings, World};

use crate::Session;
use crate::session::{Handler, PlainRequest, PlainResponse};

struct Nobody;

#[async_trait]
impl Handler for Nobody {
    async fn handle(&self, _request: PlainRequest) -> Option<PlainResponse> {
        None
    }
}

/// A session whose clients reach nobody: `calls` is pure.
pub(crate) fn session() -> Session {
    Session::embedded(Arc::new(Nobody), "eu-west-1")
}

/// A kind whose clients reach nobody.
pub(crate) fn kind<K>(new: impl Fn(&Session) -> K) -> K {
    new(&session())
}

/// The mark that `case` writes.
pub(crate) fn mark() -> Mark {
    Mark { lineage: "l1".into(), pipeline: "orders".into(), address: "database.main.x".into() }
}

/// `want` against `seen`, nothing recorded, nothing begun.
pub(crate) fn case<K: Kind>(want: Option<K::Props>, seen: Option<K::Seen>) -> Case<K> {
    Case { want, seen, was: None, pursuit: None, mark: mark() }
}

/// The deletion of what was recorded with `props`.
pub(crate) fn deletion<K: Kind>(
    props: K::Props,
    outputs: K::Outputs,
    seen: Option<K::Seen>,
) -> Case<K> {
    Case { was: Some(Recorded { props, outputs: Some(outputs) }), ..case(None, seen) }
}

/// What comes next: the calls without their service, each with its verdict if it has one, `?` after a conditional one.
pub(crate) fn ops<C, O>(next: &Next<C, O>) -> String {
    let verdict = |v: Verdict| if v == Verdict::None { String::new() } else { format!(" {v}") };
    let list = |calls: &[msk_pipeline_core::kind::Proposed<C>]| {
        let one = |c: &msk_pipeline_core::kind::Proposed<C>| {
            let op = c.op.rsplit(':').next().unwrap_or_default();
            let only_if = if c.only_if.is_some() { "?" } else { "" };
            format!("{op}{only_if}{}", verdict(c.data.verdict))
        };
        calls.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    match next {
        Next::Converged(_) => "converged".into(),
        Next::Gone => "gone".into(),
        Next::Kept => "kept".into(),
        Next::Calls(calls) => list(calls),
        Next::Wait { then, .. } if then.is_empty() => "wait".into(),
        Next::Wait { then, .. } => format!("wait, {}", list(then)),
        Next::Replace { effect, .. } => format!("replace{}", verdict(effect.verdict)),
        Next::Refuse { .. } => "refuse".into(),
        Next::Failed { .. } => "failed".into(),
    }
}

/// An embedded AWS whose time the test moves.
pub(crate) struct Cloud {
    world: Arc<InProcess>,
    now: AtomicU64,
}

#[async_trait]
impl Handler for Cloud {
    async fn handle(&self, request: PlainRequest) -> Option<PlainResponse> {
        let request = Request {
            method: request.method,
            path: request.path,
            query: request.query,
            headers: request.headers,
            body: request.body.into(),
        };
        let answer = self.world.call(self.now.load(Ordering::Relaxed), &request);
        let (status, headers, body) = (answer.status, answer.headers, answer.body.to_vec());
        Some(PlainResponse { status, headers, body })
    }
}

impl Cloud {
    pub(crate) fn new() -> Arc<Self> {
        let settings = Settings::default();
        let now = AtomicU64::new(settings.epoch + 60_000);
        Arc::new(Self { world: InProcess::new(World::new(settings)), now })
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.now.fetch_add(seconds * 1000, Ordering::Relaxed);
    }
}

/// When its time begins, in milliseconds since 1970.
pub(crate) fn epoch() -> i64 {
    i64::try_from(Settings::default().epoch).unwrap()
}
