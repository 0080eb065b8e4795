//! Settle: before anything is planned, find out by reads alone what became of every begun call (design decision D6).

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::cancel::Cancel;
use super::event::{EventSink, RunEvent};
use super::journal::Journal;
use crate::address::Address;
use crate::clock::Clock;
use crate::kind::{
    Effect, ErasedCase, ErasedKind, ErasedTarget, Mark, MarkSeen, Next, Poll, Registry,
};
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
/// * An update or a delete of which nothing is visible is looked for as long: the spec may have changed back meanwhile, and what is
///   seen now would pass for what is wanted, while the change is on its way.
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
    let (lineage, pipeline) =
        journal.with_state(|state| (state.lineage.clone(), state.pipeline.clone()));
    let owner = |address: &Address| Mark {
        lineage: lineage.clone(),
        pipeline: pipeline.clone(),
        address: address.clone(),
    };
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
            let mark = seen.as_ref().map(|seen| kind.mark(seen)).transpose().map_err(|error| {
                SettleError::Read(PlanError::Observe { address: address.clone(), error })
            })?;
            let now = clock.wall();
            let unseen = in_window(kind.as_ref(), Some(&pursuit), mark.as_ref(), now)
                || now.since(pursuit.ended.unwrap_or(pursuit.begun)) < kind.visibility()
                    && seen.is_some_and(|seen| {
                        looks_untouched(kind.as_ref(), &target, seen, owner(&address))
                    });
            if !unseen {
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

/// True if an object shows nothing of the update or delete that is looked for: it is as it was recorded, or as ready to be deleted
/// as before.
fn looks_untouched(kind: &dyn ErasedKind, target: &ErasedTarget, seen: Value, mark: Mark) -> bool {
    let effect = target.pursuit.as_ref().map(|p| p.effect);
    let ErasedTarget { props, was, pursuit } = target.clone();
    let (want, was) = match effect {
        Some(Effect::Delete) => (None, was.or(Some((props, Value::Null)))),
        Some(Effect::Update) if was.is_some() => (Some(props), was),
        _ => return false,
    };
    match kind.calls(&ErasedCase { want, seen: Some(seen), was, pursuit, mark }) {
        Ok(Next::Converged(_)) => effect == Some(Effect::Update),
        Ok(Next::Calls(_)) => effect == Some(Effect::Delete),
        _ => false,
    }
}
