//! Settle: before anything is planned, find out by reads alone what became of every begun call (design decision D6).

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::Value;

use super::cancel::Cancel;
use super::event::{EventSink, RunEvent};
use super::journal::Journal;
use crate::address::Address;
use crate::clock::Clock;
use crate::kind::{
    Effect, ErasedCase, ErasedKind, ErasedTarget, Mark, MarkSeen, Next, Poll, Registry,
};
use crate::plan::{PlanError, READS, Reader, foreign, is_missing};
use crate::state::{Entry, Lease, Object, StoreError};

/// How settling fails.
pub(super) enum SettleError {
    Read(PlanError),
    Store(StoreError),
    Interrupted,
}

/// Looks for the effect of every begun call. It changes nothing in the cloud and asks nothing.
///
/// * A create whose object is not visible is looked for until the kind's visibility window is over, counted from its answer, or
///   without one from when its request can't be on its way any more; where machines share the state, for at least as long by this
///   one's clock. Then it never arrived.
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
    let (pending, owner) = journal.with_state(|state| {
        let pending = state.pending().map(|(address, object, _)| (address.clone(), object.clone()));
        let owner = Mark {
            lineage: state.lineage.clone(),
            pipeline: state.pipeline.clone(),
            address: Address::new(""),
        };
        (pending.collect::<Vec<_>>(), owner)
    });
    // Where state is shared, the call may have been begun by another machine's clock, which says nothing about this one's.
    let shared = lease.confirmed_at().is_some();
    let seeker = Seeker { registry, clock, events, cancel, owner, shared };
    // Windows pass for all at once, and what is learned goes into one batch.
    let searches: Vec<_> = pending.iter().map(|(a, object)| seeker.look_for(a, object)).collect();
    let looking = stream::iter(searches).buffered(READS).collect::<Vec<_>>();
    let found = journal.holding(lease, looking).await;
    let (mut entries, mut settled) = (Vec::new(), Vec::new());
    for found in found {
        let Some((entry, event)) = found? else { continue };
        entries.extend(entry);
        settled.push(event);
    }
    journal.write(lease, entries).await.map_err(SettleError::Store)?;
    for event in settled {
        events.emit(event);
    }
    Ok(())
}

struct Seeker<'a> {
    registry: &'a Registry,
    clock: &'a dyn Clock,
    events: &'a dyn EventSink,
    cancel: &'a Cancel,
    /// Whose marks are ours; the address is each object's own.
    owner: Mark,
    /// Whether other machines write this state, too.
    shared: bool,
}

impl Seeker<'_> {
    /// Looks for the effect of one begun call: what it means for the state, and what to tell.
    async fn look_for(
        &self,
        address: &Address,
        object: &Object,
    ) -> Result<Option<(Option<Entry>, RunEvent)>, SettleError> {
        let Some(mut pursuit) = object.pursuit() else { return Ok(None) };
        // It was begun before this run, whatever the clock of the earlier one said: it is not looked for until that time has come.
        let began = self.clock.wall();
        pursuit.begun = pursuit.begun.min(began);
        pursuit.ended = pursuit.ended.map(|ended| ended.min(began));
        let address = address.clone();
        let failed =
            |error| SettleError::Read(PlanError::Observe { address: address.clone(), error });
        let Some(kind) = self.registry.get(&object.kind) else {
            let kind = object.kind.clone();
            return Err(SettleError::Read(PlanError::UnknownKind { address, kind }));
        };
        self.events.emit(RunEvent::Settling { address: address.clone(), op: pursuit.op.clone() });
        let target = ErasedTarget {
            props: object.props.clone(),
            was: object.was_ready().then(|| (object.props.clone(), object.outputs.clone())),
            pursuit: Some(pursuit.clone()),
        };
        let (mark, failure) = loop {
            let reader = Reader { clock: self.clock, requests: None };
            let Some(seen) = reader.observe_or(kind, &target, self.cancel).await else {
                return Err(SettleError::Interrupted);
            };
            let seen = seen.map_err(failed)?;
            // An object whose mark can't be read is not forgotten: nobody would look for it again.
            let mark = seen.as_ref().map(|s| kind.mark(s)).transpose().map_err(failed)?;
            let now = self.clock.wall();
            let window = kind.visibility();
            let recent =
                now < pursuit.unseen_until(window) || self.shared && now.since(began) < window;
            let owner = Mark { address: address.clone(), ..self.owner.clone() };
            let failure =
                seen.as_ref().and_then(|s| failure(kind.as_ref(), &target, s, owner.clone()));
            let unseen = recent
                && (is_missing(&pursuit, mark.as_ref())
                    || seen.is_some_and(|s| looks_untouched(kind.as_ref(), &target, s, owner)));
            if !unseen {
                break (mark, failure);
            }
            let waited = now.since(began);
            tokio::select! {
                biased;
                () = self.cancel.cancelled(1) => return Err(SettleError::Interrupted),
                () = self.clock.sleep(Poll::usual(Duration::from_secs(10)).next(waited)) => {}
            }
        };
        let lineage = &self.owner.lineage;
        let ours = mark.as_ref().is_some_and(|mark: &MarkSeen| {
            foreign(mark, lineage, &object.name, object.adoption.as_ref()).is_none()
        });
        let generation = object.generation;
        let gone = Entry::Gone { address: address.clone(), generation };
        let (entry, found) = match (pursuit.effect, ours) {
            (Effect::Delete, false) => (Some(gone), "the object is gone"),
            (Effect::Create, false) if !object.was_ready() => {
                (Some(gone), "the request never arrived, or its object is gone")
            }
            (Effect::Create | Effect::Update, false) => {
                let found = "the object is gone";
                let address = address.clone();
                (Some(Entry::Settled { address, generation, found: found.into() }), found)
            }
            (_, true) => (None, "the object is there; what is left is planned"),
        };
        // It was tried, and failed while nobody looked: that is told once, and then it is planned afresh.
        let (entry, found) = match failure.filter(|_| ours) {
            Some(cause) => {
                let found = cause.clone();
                (Some(Entry::Settled { address: address.clone(), generation, found }), cause)
            }
            None => (entry, found.to_owned()),
        };
        Ok(Some((entry, RunEvent::Settled { address, op: pursuit.op, found })))
    }
}

/// The cause, if the provider reports that what is looked for failed.
fn failure(
    kind: &dyn ErasedKind,
    target: &ErasedTarget,
    seen: &Value,
    mark: Mark,
) -> Option<String> {
    let ErasedTarget { props, was, pursuit } = target.clone();
    let deleting = pursuit.as_ref().is_some_and(|p| p.effect == Effect::Delete);
    let (want, was) =
        if deleting { (None, was.or(Some((props, Value::Null)))) } else { (Some(props), was) };
    match kind.calls(&ErasedCase { want, seen: Some(seen.clone()), was, pursuit, mark }) {
        Ok(Next::Failed { cause, .. }) => Some(cause),
        _ => None,
    }
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
