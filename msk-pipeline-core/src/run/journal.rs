//! The journal of a live run: entries are queued by steps and made durable in batches.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::state::{Entry, Lease, Stamped, State, StoreError};

/// Entries on their way to the store.
///
/// Steps call [`record`](Journal::record) and go on when their entry is durable. The executor calls [`flush`](Journal::flush)
/// whenever every step has come to a halt, so that whatever is ready shares one write.
pub(super) struct Journal<'a> {
    clock: &'a dyn Clock,
    shared: Mutex<Shared>,
}

struct Shared {
    state: State,
    queue: VecDeque<(Entry, oneshot::Sender<Result<(), StoreError>>)>,
    /// The first failure. Whether its entries are durable is not known, so nothing may follow them.
    broken: Option<StoreError>,
}

impl<'a> Journal<'a> {
    pub(super) fn new(clock: &'a dyn Clock, state: State) -> Self {
        Self { clock, shared: Mutex::new(Shared { state, queue: VecDeque::new(), broken: None }) }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an entry durable. Nothing that it announces may happen before this returns `Ok`.
    pub(super) async fn record(&self, entry: Entry) -> Result<(), StoreError> {
        let (done, durable) = oneshot::channel();
        self.shared().queue.push_back((entry, done));
        durable.await.unwrap_or_else(|_| {
            Err(StoreError::Io {
                action: "writing",
                file: "the journal".into(),
                why: "the run ended before the entry was stored".into(),
            })
        })
    }

    pub(super) fn has_queue(&self) -> bool {
        !self.shared().queue.is_empty()
    }

    /// Reads from the state as it is with everything durable folded in.
    pub(super) fn with_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.shared().state)
    }

    /// Writes everything queued in one batch, then lets those who wait go on.
    ///
    /// # Errors
    /// The store failed, now or earlier: after the first failure nothing is written any more. An entry that can't follow is found
    /// before it is written, so that it fails this run and not every run after it.
    pub(super) async fn flush(&self, lease: &mut dyn Lease) -> Result<(), StoreError> {
        let (batch, waiting, head) = {
            let mut shared = self.shared();
            let head = shared.state.head;
            let now = self.clock.wall();
            let queued: Vec<_> = shared.queue.drain(..).collect();
            let mut batch = Vec::with_capacity(queued.len());
            let mut waiting = Vec::with_capacity(queued.len());
            for (n, (entry, done)) in queued.into_iter().enumerate() {
                batch.push(Stamped { seq: head + 1 + n as u64, at: now, entry });
                waiting.push(done);
            }
            (batch, waiting, head)
        };
        if batch.is_empty() {
            return Ok(());
        }
        let result = match self.fold(&batch) {
            Ok(()) => lease.append(head, &batch).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            self.shared().broken.get_or_insert(error.clone());
        }
        for done in waiting {
            // Whoever waited may have been dropped by a cancellation.
            let _ = done.send(result.clone());
        }
        result
    }

    /// Folds a batch in. Nobody reads the state between this and the end of the append: steps are not polled meanwhile.
    fn fold(&self, batch: &[Stamped]) -> Result<(), StoreError> {
        let mut shared = self.shared();
        if let Some(error) = &shared.broken {
            return Err(error.clone());
        }
        batch.iter().try_for_each(|entry| shared.state.after(entry)).map_err(StoreError::from)
    }

    /// Records entries outside of any step, in one batch.
    pub(super) async fn write(
        &self,
        lease: &mut dyn Lease,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<(), StoreError> {
        let entries = entries.into_iter().map(|entry| (entry, oneshot::channel().0));
        self.shared().queue.extend(entries);
        self.flush(lease).await
    }
}
