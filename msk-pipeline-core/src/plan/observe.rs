//! The reads of a plan: every object is looked at, many at a time, transient failures repeated.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::kind::{CallError, Class, Effect, ErasedKind, ErasedTarget, MarkSeen, Pursuit};

use crate::run::Cancel;

use serde_json::Value;
use tokio::sync::Semaphore;

/// How many objects are looked at at once.
pub(crate) const READS: usize = 16;

/// Looks at objects.
pub(crate) struct Reader<'a> {
    pub(crate) clock: &'a dyn Clock,
    /// Places for requests, if they are limited; a pause between attempts holds none.
    pub(crate) requests: Option<&'a Semaphore>,
}

impl Reader<'_> {
    /// How often a read is repeated before its failure counts.
    const ATTEMPTS: u32 = 8;

    /// Observes, repeating throttled and unanswered reads.
    pub(crate) async fn observe(
        &self,
        kind: &Arc<dyn ErasedKind>,
        target: &ErasedTarget,
    ) -> Result<Option<Value>, CallError> {
        let mut attempt = 0;
        loop {
            let answer = {
                let _place = match self.requests {
                    Some(requests) => requests.acquire().await.ok(),
                    None => None,
                };
                kind.observe(target).await
            };
            match answer {
                Err(error)
                    if matches!(error.class, Class::Throttled | Class::Unknown)
                        && attempt + 1 < Self::ATTEMPTS =>
                {
                    self.clock.sleep(backoff(attempt)).await;
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    /// Observes; `None` if the run is asked to stop first. Reads may be dropped at any point.
    pub(crate) async fn observe_or(
        &self,
        kind: &Arc<dyn ErasedKind>,
        target: &ErasedTarget,
        cancel: &Cancel,
    ) -> Option<Result<Option<Value>, CallError>> {
        tokio::select! {
            biased;
            () = cancel.cancelled(1) => None,
            answer = self.observe(kind, target) => Some(answer),
        }
    }
}

/// 1, 2, 4 … seconds, at most 20. Without jitter: requests of one process don't repeat in step, because each waits for its own answer.
pub(crate) fn backoff(attempt: u32) -> Duration {
    Duration::from_secs(1 << attempt.min(5)).min(Duration::from_secs(20))
}

/// True while an own create is so recent that not seeing its object, or its mark, proves nothing.
pub(crate) fn in_window(
    kind: &dyn ErasedKind,
    pursuit: Option<&Pursuit<Value>>,
    mark: Option<&MarkSeen>,
    now: Timestamp,
) -> bool {
    pursuit.is_some_and(|p| is_missing(p, mark) && now < p.unseen_until(kind.visibility()))
}

/// True if nothing shows that the create that is looked for took effect.
pub(crate) fn is_missing(pursuit: &Pursuit<Value>, mark: Option<&MarkSeen>) -> bool {
    pursuit.effect == Effect::Create && matches!(mark, None | Some(MarkSeen::Absent))
}
