//! Settle: before anything is planned, find out by reads alone what became of every begun call (design decision D6).

use std::sync::Arc;
use std::time::Duration;

use super::cancel::Cancel;
use super::event::{EventSink, RunEvent};
use super::journal::Journal;
use crate::clock::Clock;
use crate::kind::{Effect, ErasedTarget, MarkSeen, Poll, Registry};
use crate::plan::{PlanError, Reader, foreign, in_window};
use crate::state::{Entry, Lease, StoreError};

/// How settling fails.
pub(super) enum SettleError {
    Read(PlanError),
    Store(StoreError),
    Interrupted,
}

/// Looks for the effect of every begun call. It changes nothing in the cloud and asks nothing.
///
/// * A create whose object is not visible is looked for until the kind's visibility window is over; then it never arrived.
/// * A create whose object is there, an update, and a delete whose object is still there stay pending: the plan that follows decides
///   on what it observes, and a kind can tell from the pending call which operation is its own.
/// * A delete whose object is gone is over.
pub(super) async fn settle(
    registry: &Registry,
    clock: &dyn Clock,
    events: &dyn EventSink,
    journal: &Journal<'_>,
    lease: &mut dyn Lease,
    cancel: &Cancel,
) -> Result<(), SettleError> {
    let pending: Vec<_> = journal.with_state(|state| {
        state.pending().map(|(address, object, _)| (address.clone(), object.clone())).collect()
    });
    let lineage = journal.with_state(|state| state.lineage.clone());
    for (address, object) in pending {
        let Some(pursuit) = object.pursuit() else { continue };
        let Some(kind) = registry.get(&object.kind).map(Arc::clone) else {
            let kind = object.kind.clone();
            return Err(SettleError::Read(PlanError::UnknownKind { address, kind }));
        };
        events.emit(RunEvent::Settling { address: address.clone(), op: pursuit.op.clone() });
        let target = ErasedTarget {
            props: object.props.clone(),
            was: object.was_ready().then(|| (object.props.clone(), object.outputs.clone())),
            pursuit: Some(pursuit.clone()),
        };
        let began = clock.wall();
        let mark = loop {
            let Some(seen) = Reader { clock }.observe_or(&kind, &target, cancel).await else {
                return Err(SettleError::Interrupted);
            };
            let seen = seen.map_err(|error| {
                SettleError::Read(PlanError::Observe { address: address.clone(), error })
            })?;
            // An object whose mark can't be read is not forgotten: nobody would look for it again.
            let mark = seen.map(|seen| kind.mark(&seen)).transpose().map_err(|error| {
                SettleError::Read(PlanError::Observe { address: address.clone(), error })
            })?;
            if !in_window(kind.as_ref(), Some(&pursuit), mark.as_ref(), clock.wall()) {
                break mark;
            }
            let waited = clock.wall().since(began);
            tokio::select! {
                biased;
                () = cancel.cancelled(1) => return Err(SettleError::Interrupted),
                () = clock.sleep(Poll::usual(Duration::from_secs(10)).next(waited)) => {}
            }
        };
        let ours = mark.as_ref().is_some_and(|mark: &MarkSeen| foreign(mark, &lineage).is_none());
        let generation = object.generation;
        let (entry, found) = match (pursuit.effect, ours) {
            (Effect::Delete, false) => {
                (Some(Entry::Gone { address: address.clone(), generation }), "the object is gone")
            }
            (Effect::Create, false) if !object.was_ready() => (
                Some(Entry::Gone { address: address.clone(), generation }),
                "the request never arrived, or its object is gone",
            ),
            (Effect::Create | Effect::Update, false) => (
                Some(Entry::Settled {
                    address: address.clone(),
                    generation,
                    found: "the object is gone".into(),
                }),
                "the object is gone",
            ),
            (_, true) => (None, "the object is there; what is left is planned"),
        };
        if let Some(entry) = entry {
            journal.write(lease, entry).await.map_err(SettleError::Store)?;
        }
        let (op, found) = (pursuit.op, found.to_owned());
        events.emit(RunEvent::Settled { address, op, found });
    }
    Ok(())
}
