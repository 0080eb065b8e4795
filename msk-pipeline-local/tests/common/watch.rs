//! Looks on at every changing request of a process, and has the last word on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_core::kind::{
    CallError, Effect, ErasedCase, ErasedKind, ErasedNext, ErasedTarget, Guard, MarkSeen, Next,
    Registry, Sent, Status, Succession,
};
use serde_json::Value;

use super::Process;

/// A changing request that a kind is about to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub kind: &'static str,
    pub address: String,
    pub op: String,
    pub effect: Effect,
    pub call: Value,
}

/// What happens around a changing request. The default is that it is sent.
#[async_trait]
pub trait Around: Send + Sync + 'static {
    async fn perform(
        &self,
        kind: &dyn ErasedKind,
        request: &Request,
        guard: &Guard,
    ) -> Result<Sent, CallError> {
        kind.perform(&request.call, guard).await
    }
}

/// Only looks on.
pub struct Look;

impl Around for Look {}

/// The changing requests of a process.
pub struct Watch {
    around: Box<dyn Around>,
    proposed: Mutex<BTreeMap<(&'static str, String), Request>>,
    sent: Mutex<Vec<Request>>,
}

impl Watch {
    /// Every request that was sent, in order.
    pub fn sent(&self) -> Vec<Request> {
        self.sent.lock().unwrap().clone()
    }

    /// Operations that were sent for `address`.
    pub fn sent_for(&self, address: &str) -> Vec<String> {
        let of_address = |request: &&Request| request.address == address;
        self.sent.lock().unwrap().iter().filter(of_address).map(|r| r.op.clone()).collect()
    }
}

impl Process {
    /// Puts `around` around every changing request of this process.
    pub fn watched(mut self, around: impl Around) -> (Self, Arc<Watch>) {
        let around: Box<dyn Around> = Box::new(around);
        let (proposed, sent) = Default::default();
        let watch = Arc::new(Watch { around, proposed, sent });
        let kinds = self
            .engine
            .registry
            .iter()
            .map(|kind| Watched { inner: Arc::clone(kind), watch: Arc::clone(&watch) });
        let watched = kinds.fold(Registry::default(), |r, kind| r.with_erased(Arc::new(kind)));
        self.engine.registry = watched;
        (self, watch)
    }
}

struct Watched {
    inner: Arc<dyn ErasedKind>,
    watch: Arc<Watch>,
}

#[async_trait]
impl ErasedKind for Watched {
    fn type_name(&self) -> &'static str {
        self.inner.type_name()
    }

    fn version(&self) -> u32 {
        self.inner.version()
    }

    fn name(&self, props: &Value) -> Result<String, CallError> {
        self.inner.name(props)
    }

    fn succession(&self) -> Succession {
        self.inner.succession()
    }

    fn visibility(&self) -> Duration {
        self.inner.visibility()
    }

    async fn observe(&self, target: &ErasedTarget) -> Result<Option<Value>, CallError> {
        self.inner.observe(target).await
    }

    fn mark(&self, seen: &Value) -> Result<MarkSeen, CallError> {
        self.inner.mark(seen)
    }

    fn ids(&self, seen: &Value) -> Result<Vec<String>, CallError> {
        self.inner.ids(seen)
    }

    fn status(&self, seen: &Value) -> Result<Option<Status>, CallError> {
        self.inner.status(seen)
    }

    fn calls(&self, case: &ErasedCase) -> Result<ErasedNext, CallError> {
        let next = self.inner.calls(case)?;
        if let Next::Calls(calls) = &next {
            let mut proposed = self.watch.proposed.lock().unwrap();
            for call in calls {
                let request = Request {
                    kind: self.type_name(),
                    address: case.mark.address.to_string(),
                    op: call.op.clone(),
                    effect: call.effect,
                    call: call.call.clone(),
                };
                proposed.insert((request.kind, request.call.to_string()), request);
            }
        }
        Ok(next)
    }

    async fn perform(&self, call: &Value, guard: &Guard) -> Result<Sent, CallError> {
        let request = {
            let proposed = self.watch.proposed.lock().unwrap();
            let key = (self.type_name(), call.to_string());
            proposed.get(&key).expect("only what `calls` proposed is performed").clone()
        };
        self.watch.sent.lock().unwrap().push(request.clone());
        self.watch.around.perform(self.inner.as_ref(), &request, guard).await
    }
}
