//! The right to write state in S3: taking it, keeping it, noticing that it is gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_core::Address;
use msk_pipeline_core::clock::Reading;
use msk_pipeline_core::kind::Class;
use msk_pipeline_core::state::lease::EXPIRY;
use msk_pipeline_core::state::{
    Disk as _, Entry, Holder, Lease, Loaded, Outcome, RealDisk, Stamped, State, StoreError,
};
use serde::{Deserialize, Serialize};

use super::form::{self, FORMAT, LeaseNote, Segment, Snapshot};
use super::objects::{Expected, Put};
use super::{Inner, JOURNAL, Journal, LEASE, PAUSES, SNAPSHOT, segment_name};

/// How often the lease is tried for while others are quicker.
const ATTEMPTS: usize = 5;
/// How many segments a journal may have before it is folded without waiting for the end of a run: runs that find nothing to do leave
/// one each.
const LONG: u64 = 32;
/// How long segments are kept that a snapshot holds, by S3's clock. Until then their numbers are taken.
const KEPT: Duration = Duration::from_hours(24);

pub(super) struct S3Lease {
    store: Arc<Inner>,
    note: LeaseNote,
    etag: String,
    /// The newest number that a renewal was given, stored or not.
    drawn: u64,
    confirmed: Reading,
    taken_from: Option<Holder>,
    /// Whose the lease is, once it is known not to be ours.
    lost: Option<Holder>,
    /// Where the journal ends; `None` before it was read, and after a write whose end is not known.
    end: Option<End>,
    /// The snapshot's segment and `ETag`, as read or written last.
    snapshot: Option<(u64, String)>,
    lineage: String,
    /// Calls that were begun under this lease and of which no answer has come: their requests may still be on their way.
    open: BTreeSet<(Address, u64)>,
}

/// Where the journal ends.
#[derive(Debug, Clone, Copy)]
struct End {
    head: u64,
    segment: u64,
}

/// How a segment was stored.
enum Written {
    Stored,
    /// The number is taken by another.
    Taken(Segment),
}

/// What is kept beside the store.
#[derive(Serialize, Deserialize)]
struct Outbox {
    format: u32,
    lineage: String,
    entries: Vec<Stamped>,
}

impl S3Lease {
    pub(super) async fn acquire(store: &Arc<Inner>, holder: Holder) -> Result<Self, StoreError> {
        let ours = LeaseNote::new(store.ids.id("lease"), holder);
        let mut first_sent = None;
        let mut taken_from = None;
        for _ in 0..ATTEMPTS {
            let expected = match store.note().await? {
                None => Expected::Nothing,
                // The reply to an earlier attempt was lost.
                Some((note, etag, _)) if note == ours => {
                    let sent = first_sent.unwrap_or_else(|| store.clock.reading());
                    return Ok(Self::held(store, ours, etag, sent, taken_from));
                }
                Some((note, etag, _)) if note.released => {
                    taken_from = None;
                    Expected::ETag(etag)
                }
                Some((note, etag, age)) if age > EXPIRY => {
                    taken_from = Some(note.holder);
                    Expected::ETag(etag)
                }
                Some((note, _, age)) => {
                    let renewal = format!("{}/{}", note.lease, note.renewal);
                    // Whole seconds: one more, so that it has expired when it is looked at again.
                    let left = (EXPIRY + Duration::from_secs(1)).saturating_sub(age);
                    return Err(StoreError::Leased { holder: note.holder, renewal, left });
                }
            };
            let sent = *first_sent.get_or_insert_with(|| store.clock.reading());
            match store.put(LEASE, form::write(&ours), &expected).await? {
                Put::Stored(etag) => return Ok(Self::held(store, ours, etag, sent, taken_from)),
                Put::Unexpected | Put::Contended => {}
            }
        }
        let why = "others are quicker".to_owned();
        let place = store.objects.place(LEASE);
        let help = "run again, or give --lock-timeout 10m to wait".to_owned();
        Err(StoreError::Remote { action: "taking", place, why, help })
    }

    fn held(
        store: &Arc<Inner>,
        note: LeaseNote,
        etag: String,
        confirmed: Reading,
        taken_from: Option<Holder>,
    ) -> Self {
        Self {
            store: Arc::clone(store),
            drawn: note.renewal,
            note,
            etag,
            confirmed,
            taken_from,
            lost: None,
            end: None,
            snapshot: None,
            lineage: String::new(),
            open: BTreeSet::new(),
        }
    }

    /// Notes whose state it is, and which calls have no answer, after these entries.
    fn follow(&mut self, entries: &[Stamped]) {
        for stamped in entries {
            match &stamped.entry {
                Entry::Opened { lineage, .. } => self.lineage.clone_from(lineage),
                Entry::Begin { object, .. } => {
                    self.open.insert((object.address.clone(), object.generation));
                }
                Entry::End { outcome: Outcome::Failed(error), .. }
                    if error.class == Class::Unknown => {}
                Entry::End { address, generation, .. }
                | Entry::Settled { address, generation, .. }
                | Entry::Gone { address, generation } => {
                    self.open.remove(&(address.clone(), *generation));
                }
                Entry::Ready { object, .. } => {
                    self.open.remove(&(object.address.clone(), object.generation));
                }
                _ => {}
            }
        }
    }

    fn lose(&mut self, by: Holder) -> StoreError {
        self.lost = Some(by.clone());
        StoreError::Lost { by }
    }

    fn check(&self) -> Result<(), StoreError> {
        self.lost.as_ref().map_or(Ok(()), |by| Err(StoreError::Lost { by: by.clone() }))
    }

    /// Replaces the lease's note by one that `change` makes of it, provided that it is still ours. What was asked for before, and may
    /// have been stored without anybody knowing, is never taken for this: every note that is sent has a number of its own.
    async fn rewrite(
        &mut self,
        change: fn(&LeaseNote, u64) -> LeaseNote,
    ) -> Result<(), StoreError> {
        self.check()?;
        self.drawn += 1;
        let next = change(&self.note, self.drawn);
        let sent = self.store.clock.reading();
        for pause in PAUSES {
            let expected = Expected::ETag(self.etag.clone());
            let put = self.store.put(LEASE, form::write(&next), &expected).await?;
            let found = match put {
                Put::Stored(etag) => Some((next.clone(), etag)),
                Put::Unexpected | Put::Contended => {
                    self.store.note().await?.map(|(note, etag, _)| (note, etag))
                }
            };
            match found {
                Some((note, etag)) if note == next => {
                    (self.note, self.etag, self.confirmed) = (next, etag, sent);
                    return Ok(());
                }
                // An earlier renewal of ours whose reply was lost; or a rival write was in flight and did not win.
                Some((note, etag)) if note.lease == next.lease => {
                    (self.note, self.etag) = (note, etag);
                    self.store.clock.sleep(pause).await;
                }
                Some((note, _)) => return Err(self.lose(note.holder)),
                None => {
                    let since = self.store.clock.wall();
                    let who = "somebody".to_owned();
                    return Err(self.lose(Holder { who, why: "deleting the lease".into(), since }));
                }
            }
        }
        let place = self.store.objects.place(LEASE);
        let why = "other writes are always in flight".to_owned();
        Err(StoreError::Remote { action: "renewing", place, why, help: String::new() })
    }

    /// Writes a segment once. If its number is taken, what is there tells whether it is this one, from a request whose reply was lost.
    async fn write(&self, segment: &Segment) -> Result<Written, StoreError> {
        let name = segment_name(segment.number);
        for pause in PAUSES {
            match self.store.put(&name, form::write(segment), &Expected::Nothing).await? {
                Put::Stored(_) => return Ok(Written::Stored),
                Put::Unexpected | Put::Contended => {}
            }
            match self.store.segment(segment.number).await? {
                Some(found) if found == *segment => return Ok(Written::Stored),
                Some(found) => return Ok(Written::Taken(found)),
                // A rival write was in flight and came to nothing.
                None => self.store.clock.sleep(pause).await,
            }
        }
        let place = self.store.objects.place(&name);
        let why = "other writes are always in flight".to_owned();
        Err(StoreError::Remote { action: "writing", place, why, help: String::new() })
    }

    fn segment(&self, number: u64, entries: &[Stamped]) -> Segment {
        Segment {
            format: FORMAT,
            number,
            lease: self.note.lease.clone(),
            holder: self.note.holder.clone(),
            entries: entries.to_vec(),
        }
    }

    /// Reads the journal and takes its next number: after this no earlier holder can append.
    async fn fence(&mut self) -> Result<Journal, StoreError> {
        loop {
            let mut journal = self.store.read().await?;
            let number = journal.segment + 1;
            match self.write(&self.segment(number, &[])).await? {
                Written::Stored => {
                    journal.segment = number;
                    self.end = Some(End { head: journal.head, segment: number });
                    return Ok(journal);
                }
                // Somebody wrote since: a predecessor's last request, or a successor. Only if the lease is still ours is it ours to
                // read on.
                Written::Taken(_) => self.renew().await?,
            }
        }
    }

    /// Appends what was kept beside the store, if the journal still ends where it begins.
    async fn empty_outbox(&mut self, loaded: &mut Loaded) -> Result<(), StoreError> {
        let Some(path) = self.store.outbox.clone() else { return Ok(()) };
        let Ok(Some(bytes)) = RealDisk.read(&path).await else { return Ok(()) };
        let outbox = serde_json::from_slice::<Outbox>(&bytes).ok();
        let outbox = outbox.filter(|o| o.format == FORMAT && o.lineage == self.lineage);
        if let Some(Outbox { entries, .. }) = outbox {
            let head = self.end.map_or(0, |end| end.head);
            let follows = entries.first().is_some_and(|e| e.seq == head + 1);
            let whole = Loaded {
                entries: loaded.entries.iter().chain(&entries).cloned().collect(),
                ..loaded.clone()
            };
            if follows && whole.fold().is_ok() {
                self.append(head, &entries).await?;
                loaded.entries.extend(entries);
            }
        }
        // What stays is found not to follow the next time.
        let _ = std::fs::remove_file(&path);
        Ok(())
    }

    /// Deletes segments that the snapshot holds, once they are old enough, and keeps the newest: a reader that has an older snapshot
    /// finds a gap before it, and nobody takes its number again. Another run does it if this one can't.
    async fn tidy(&self, up_to: u64) {
        let Ok(listed) = self.store.objects.list(JOURNAL, "").await else { return };
        let last = segment_name(up_to);
        let old = listed.into_iter().filter(|l| l.name < last && l.age > KEPT).map(|l| l.name);
        let names: Vec<_> = old.take(1000).collect();
        if !names.is_empty() {
            let _ = self.store.objects.delete(&names).await;
        }
    }
}

#[async_trait]
impl Lease for S3Lease {
    async fn load(&mut self) -> Result<Loaded, StoreError> {
        self.check()?;
        let journal = self.fence().await?;
        self.snapshot = journal.snapshot;
        let mut loaded = journal.loaded;
        let opened = loaded.entries.first().and_then(|e| match &e.entry {
            Entry::Opened { lineage, .. } => Some(lineage.clone()),
            _ => None,
        });
        self.lineage = opened.unwrap_or_else(|| loaded.snapshot.lineage.clone());
        self.empty_outbox(&mut loaded).await?;
        let folded = self.snapshot.as_ref().map_or(0, |(segment, _)| *segment);
        // A journal that can't be folded is told by whoever reads it.
        if journal.segment - folded > LONG
            && let Ok(state) = loaded.clone().fold()
        {
            self.compact(&state).await?;
        }
        Ok(loaded)
    }

    async fn append(&mut self, expected_head: u64, entries: &[Stamped]) -> Result<(), StoreError> {
        self.check()?;
        let end = match self.end {
            Some(end) => end,
            // What became of the last write is read. Only a holder may take the next number for that.
            None => {
                self.renew().await?;
                let journal = self.fence().await?;
                End { head: journal.head, segment: journal.segment }
            }
        };
        if end.head != expected_head {
            return Err(StoreError::Fenced { expected: expected_head, found: end.head });
        }
        let segment = self.segment(end.segment + 1, entries);
        // Unknown until it returns.
        self.end = None;
        self.follow(entries);
        match self.write(&segment).await? {
            Written::Stored => {
                let head = entries.last().map_or(end.head, |e| e.seq);
                self.end = Some(End { head, segment: segment.number });
                Ok(())
            }
            Written::Taken(other) => Err(self.lose(other.holder)),
        }
    }

    async fn compact(&mut self, state: &State) -> Result<(), StoreError> {
        self.check()?;
        let Some(end) = self.end.filter(|end| end.head == state.head) else {
            let found = self.end.map_or(0, |end| end.head);
            return Err(StoreError::Fenced { expected: state.head, found });
        };
        let ours = Snapshot {
            format: FORMAT,
            segment: end.segment,
            lease: self.note.lease.clone(),
            state: state.clone(),
        };
        for _ in PAUSES {
            let expected = match &self.snapshot {
                None => Expected::Nothing,
                Some((_, etag)) => Expected::ETag(etag.clone()),
            };
            let put = self.store.put(SNAPSHOT, form::write(&ours), &expected).await?;
            let found = match put {
                Put::Stored(etag) => Some((ours.clone(), etag)),
                Put::Unexpected | Put::Contended => self.store.snapshot().await?,
            };
            if found.as_ref().is_some_and(|(found, _)| found.segment > end.segment) {
                let by = match self.store.note().await? {
                    Some((note, _, _)) => note.holder,
                    None => self.note.holder.clone(),
                };
                return Err(self.lose(by));
            }
            // Ours, or an earlier one with or without these entries: then it is replaced.
            let stored = found.as_ref().is_some_and(|(found, _)| *found == ours);
            self.snapshot = found.map(|(found, etag)| (found.segment, etag));
            if stored {
                self.tidy(end.segment).await;
                return Ok(());
            }
        }
        let place = self.store.objects.place(SNAPSHOT);
        let why = "other writes are always in flight".to_owned();
        Err(StoreError::Remote { action: "writing", place, why, help: String::new() })
    }

    /// A lease that can't be given back expires by itself, so that this does not fail. One under which a request may still be on
    /// its way is left to expire: a successor is not to look before that is over.
    async fn release(&mut self) -> Result<(), StoreError> {
        if !self.open.is_empty() {
            return Ok(());
        }
        let _ = self.rewrite(LeaseNote::given_back).await;
        Ok(())
    }

    fn confirmed_at(&self) -> Option<Reading> {
        Some(self.confirmed)
    }

    async fn renew(&mut self) -> Result<(), StoreError> {
        self.rewrite(LeaseNote::renewed).await
    }

    fn taken_from(&self) -> Option<Holder> {
        self.taken_from.clone()
    }

    async fn stash(&mut self, entries: &[Stamped]) {
        let Some(path) = self.store.outbox.as_ref().filter(|_| !entries.is_empty()) else { return };
        let outbox =
            Outbox { format: FORMAT, lineage: self.lineage.clone(), entries: entries.to_vec() };
        let _ = RealDisk.replace(path, &form::write(&outbox)).await;
    }
}
