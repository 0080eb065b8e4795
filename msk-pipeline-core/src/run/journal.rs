//! The journal of a live run: entries are queued by steps and made durable in batches, as long as the right to write lasts.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::{Clock, Reading, Timestamp};
use crate::state::lease::{CONFIRMED, RENEW_AGAIN, RENEW_EVERY};
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
    queue: VecDeque<(Entry, Done)>,
    /// The first failure. Whether its entries are durable is not known, so nothing may follow them.
    broken: Option<StoreError>,
    /// The newest entry that is certainly durable.
    durable: u64,
    /// Answers to calls that could not be stored.
    unstored: Vec<(Timestamp, Entry)>,
    /// When the right to write was last confirmed; `None` if it lasts as long as the process.
    confirmed: Option<Reading>,
    /// When a renewal last failed, if the newest did.
    unconfirmed: Option<Reading>,
    /// Who waits for a confirmation.
    asking: Vec<Done>,
}

type Done = oneshot::Sender<Result<(), StoreError>>;

impl<'a> Journal<'a> {
    /// A journal after `state`, under a lease that was last confirmed at `confirmed`.
    pub(super) fn new(clock: &'a dyn Clock, state: State, confirmed: Option<Reading>) -> Self {
        let shared = Shared {
            durable: state.head,
            state,
            queue: VecDeque::new(),
            broken: None,
            unstored: Vec::new(),
            confirmed,
            unconfirmed: None,
            asking: Vec::new(),
        };
        Self { clock, shared: Mutex::new(shared) }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an entry durable. Nothing that it announces may happen before this returns `Ok`.
    pub(super) async fn record(&self, entry: Entry) -> Result<(), StoreError> {
        let (done, durable) = oneshot::channel();
        self.shared().queue.push_back((entry, done));
        durable.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Returns when a changing request may be sent: nothing has failed to be stored, and the right to write was confirmed less than
    /// [`CONFIRMED`] ago, or is now. The request has to follow at once.
    ///
    /// # Errors
    /// The right to write is lost, or can't be confirmed.
    pub(super) async fn confirm(&self) -> Result<(), StoreError> {
        loop {
            let answer = {
                let mut shared = self.shared();
                if let Some(error) = &shared.broken {
                    return Err(error.clone());
                }
                if self.is_confirmed(&shared) {
                    return Ok(());
                }
                let (done, answer) = oneshot::channel();
                shared.asking.push(done);
                answer
            };
            answer.await.unwrap_or_else(|_| Err(ended()))?;
        }
    }

    fn is_confirmed(&self, shared: &Shared) -> bool {
        let now = self.clock.reading();
        shared.confirmed.is_none_or(|at| now.since(at) < CONFIRMED)
    }

    /// Makes certain, after a time in which nothing was written, that what was read meanwhile was not another holder's doing.
    ///
    /// # Errors
    /// The right to write is lost. One that can't be confirmed at present is no error before something has to be written.
    pub(super) async fn reconfirm(&self, lease: &mut dyn Lease) -> Result<(), StoreError> {
        if self.is_confirmed(&self.shared()) {
            return Ok(());
        }
        match self.renew(lease).await {
            Err(error @ StoreError::Lost { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// True if somebody waits for [`flush`](Journal::flush).
    pub(super) fn has_work(&self) -> bool {
        let shared = self.shared();
        !shared.queue.is_empty() || !shared.asking.is_empty()
    }

    /// Returns when the right to write should be renewed; never, if it lasts as long as the process.
    pub(super) async fn renewal_due(&self) {
        let left = {
            let shared = self.shared();
            let now = self.clock.reading();
            let left = |wait: Duration, since: Reading| wait.saturating_sub(now.since(since));
            shared.confirmed.map(|at| match shared.unconfirmed {
                Some(failed) => left(RENEW_AGAIN, failed),
                None => left(RENEW_EVERY, at),
            })
        };
        match left {
            Some(left) => self.clock.sleep(left).await,
            None => std::future::pending().await,
        }
    }

    /// Renews, and answers whoever waits for that. Until something has to be stored a failure hurts nobody else.
    pub(super) async fn renew(&self, lease: &mut dyn Lease) -> Result<(), StoreError> {
        let result = lease.renew().await;
        let mut shared = self.shared();
        shared.confirmed = lease.confirmed_at();
        shared.unconfirmed = result.is_err().then(|| self.clock.reading());
        for done in shared.asking.drain(..) {
            // Whoever waited may have been dropped by a cancellation.
            let _ = done.send(result.clone());
        }
        result
    }

    /// Does `work`, renewing the right to write meanwhile.
    pub(super) async fn holding<T>(
        &self,
        lease: &mut dyn Lease,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                result = &mut work => return result,
                () = self.renewal_due() => {
                    let _ = self.renew(lease).await;
                }
            }
        }
    }

    /// Answers to calls that could not be stored, as they would follow the newest durable entry.
    pub(super) fn unstored(&self) -> Vec<Stamped> {
        let shared = self.shared();
        let follow = shared.unstored.iter().zip(shared.durable + 1..);
        follow.map(|((at, entry), seq)| Stamped { seq, at: *at, entry: entry.clone() }).collect()
    }

    /// Reads from the state as it is with everything durable folded in.
    pub(super) fn with_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.shared().state)
    }

    /// Writes everything queued in one batch, then lets those who wait go on; renews the right to write if somebody waits for that.
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
        let mut result = Ok(());
        if !batch.is_empty() {
            result = match self.begin_write(&batch) {
                Ok(()) => lease.append(head, &batch).await,
                Err(error) => Err(error),
            };
            self.end_write(&result);
        }
        for done in waiting {
            // Whoever waited may have been dropped by a cancellation.
            let _ = done.send(result.clone());
        }
        if !self.shared().asking.is_empty() {
            // They are told, each.
            let _ = self.renew(lease).await;
        }
        result
    }

    /// Folds a batch in. Nobody reads the state between this and the end of the append: steps are not polled meanwhile. If nobody
    /// waits for that end, nothing may follow the batch, and its answers count as not stored.
    fn begin_write(&self, batch: &[Stamped]) -> Result<(), StoreError> {
        let mut shared = self.shared();
        let ends = batch.iter().filter(|e| matches!(e.entry, Entry::End { .. }));
        shared.unstored.extend(ends.map(|e| (e.at, e.entry.clone())));
        if let Some(error) = &shared.broken {
            return Err(error.clone());
        }
        shared.broken = Some(ended());
        batch.iter().try_for_each(|entry| shared.state.after(entry)).map_err(StoreError::from)
    }

    fn end_write(&self, result: &Result<(), StoreError>) {
        let mut shared = self.shared();
        match result {
            Ok(()) => {
                shared.durable = shared.state.head;
                shared.unstored.clear();
                shared.broken = None;
            }
            Err(error) => shared.broken = Some(error.clone()),
        }
    }

    /// True once something could not be stored, or nobody waited to learn whether it was.
    pub(super) fn is_broken(&self) -> bool {
        self.shared().broken.is_some()
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

fn ended() -> StoreError {
    StoreError::Io {
        action: "writing",
        file: "the journal".into(),
        why: "the run ended before the entry was stored".into(),
    }
}
