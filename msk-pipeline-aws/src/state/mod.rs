//! Shared state in S3: the journal as immutable segments, a snapshot, and a lease.
//!
//! Under `<prefix>/<pipeline>/<account>-<region>/`:
//!
//! * `journal/<number>`: one batch of entries each, numbered without gaps, written once (`If-None-Match: *`);
//! * `state.json`: a snapshot, with the number of the newest segment that is folded in;
//! * `lease`: who may write, and how often that was renewed.

mod bucket;
mod form;
mod lease;
mod objects;
mod place;

use std::path::PathBuf;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt as _};
use msk_pipeline_core::kind::{CallError, Class};
use msk_pipeline_core::state::lease::EXPIRY;
use msk_pipeline_core::state::{Holder, Lease, Loaded, Pin, StateStore, StoreError};
use msk_pipeline_core::{Clock, Entropy};

pub use bucket::{Readiness, make_ready};
pub use place::S3Place;

use crate::session::Session;
use form::{LeaseNote, Segment, Snapshot};
use lease::S3Lease;
use objects::{Expected, Found, Listed, Objects, Put};

const LEASE: &str = "lease";
const SNAPSHOT: &str = "state.json";
const JOURNAL: &str = "journal/";

/// Segments that are read at once.
const READS: usize = 16;
/// How often a reading is begun anew because a writer tidied up meanwhile. Each time that writer has finished another run.
const READINGS: usize = 10;
/// The pauses between attempts at a request that got no answer or was throttled. With its own limit for each request the store
/// gives up within a minute.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// State in S3, shared by whoever can reach the bucket.
///
/// # Guarantees
/// * `append` returns after S3 accepted the segment. A reply that was lost is settled by reading the segment back.
/// * The journal's numbering is the fence: whoever begins to write takes the next number first, so that the next append of any
///   earlier holder meets 412 and answers [`StoreError::Lost`], however that holder came to believe it still had the lease.
/// * A lease expires by S3's clock alone: the response's `Date` less the lease's `Last-Modified`. The clocks of machines don't matter.
/// * Every request names the account that has to own the bucket; a bucket of somebody else's is neither read nor written.
///
/// # Assumptions
/// Reads and lists see every write that was answered before (S3 has been strongly consistent since December 2020), and the clocks
/// behind `Date` and `Last-Modified` differ by less than [`SLACK`](msk_pipeline_core::state::lease::SLACK).
///
/// # Caveats
/// Segments that a snapshot holds are deleted after a day. A holder that was stopped for longer and goes on could write a segment
/// that nobody reads; it is kept from sending a call by the lease, which it can't renew.
#[derive(Clone)]
pub struct S3Store {
    inner: Arc<Inner>,
}

struct Inner {
    objects: Objects,
    clock: Arc<dyn Clock>,
    ids: Arc<Entropy>,
    outbox: Option<PathBuf>,
}

/// A journal as it was read.
struct Journal {
    loaded: Loaded,
    /// The newest entry.
    head: u64,
    /// The newest segment.
    segment: u64,
    /// The snapshot's segment and `ETag`.
    snapshot: Option<(u64, String)>,
}

impl S3Store {
    /// The state of `pipeline` in an account and region. `ids` names leases: no two processes may draw the same.
    pub fn new(
        session: &Session,
        clock: Arc<dyn Clock>,
        ids: Arc<Entropy>,
        place: &S3Place,
        pipeline: &str,
        pin: &Pin,
    ) -> Self {
        let prefix = format!("{}{pipeline}/{}-{}/", place.folder(), pin.account, pin.region);
        let objects = Objects::new(session, place.bucket(), prefix, &pin.account);
        Self { inner: Arc::new(Inner { objects, clock, ids, outbox: None }) }
    }

    /// With a file on this machine for answers that came while S3 could not be written.
    #[must_use]
    pub fn with_outbox(self, file: impl Into<PathBuf>) -> Self {
        let Inner { objects, clock, ids, .. } = &*self.inner;
        let (objects, clock, ids) = (objects.clone(), Arc::clone(clock), Arc::clone(ids));
        Self { inner: Arc::new(Inner { objects, clock, ids, outbox: Some(file.into()) }) }
    }

    /// Who holds the lease, how long ago that was renewed, and whether it has expired; `None` if nobody does.
    ///
    /// # Errors
    /// S3 can't be read.
    pub async fn holder(&self) -> Result<Option<(Holder, Duration, bool)>, StoreError> {
        let found = self.inner.note().await?;
        Ok(found.filter(|(note, _, _)| !note.released).map(|(note, _, age)| {
            let expired = age > EXPIRY;
            (note.holder, age, expired)
        }))
    }

    /// Takes the lease away from whoever holds it, and says who that was; `None` if nobody did. That run's calls stop: its next
    /// renewal or write answers [`StoreError::Lost`]. It may have confirmed its lease just before, and send one more call. So the
    /// lease becomes `by`'s, who does not renew it: the next run can take it after
    /// [`EXPIRY`], as if it had been left. One that had expired already is free at once.
    ///
    /// # Errors
    /// S3 can't be written, or the lease changed hands meanwhile ([`StoreError::Locked`]).
    pub async fn break_lease(&self, by: Holder) -> Result<Option<Holder>, StoreError> {
        let Some((note, etag, age)) = self.inner.note().await?.filter(|(n, _, _)| !n.released)
        else {
            return Ok(None);
        };
        let taken = LeaseNote::new(self.inner.ids.id("lease"), by);
        let freed = if age > EXPIRY { taken.given_back(1) } else { taken };
        match self.inner.put(LEASE, form::write(&freed), &Expected::ETag(etag)).await? {
            Put::Stored(_) => Ok(Some(note.holder)),
            Put::Unexpected | Put::Contended => match self.inner.note().await? {
                Some((now, _, _)) if now == freed => Ok(Some(note.holder)),
                Some((now, _, _)) => Err(StoreError::Locked(now.holder)),
                None => Ok(None),
            },
        }
    }
}

impl Inner {
    fn error(&self, action: &'static str, name: &str, error: &CallError) -> StoreError {
        let place = self.objects.place(name);
        StoreError::Remote { action, place, why: error.to_string(), help: help(error).to_owned() }
    }

    /// Passes over a failure that a repetition may mend, after the next of its pauses.
    async fn bear(
        &self,
        pauses: &mut slice::Iter<'_, Duration>,
        action: &'static str,
        name: &str,
        error: &CallError,
    ) -> Result<(), StoreError> {
        match pauses.next().filter(|_| passes(error)) {
            Some(pause) => {
                self.clock.sleep(*pause).await;
                Ok(())
            }
            None => Err(self.error(action, name, error)),
        }
    }

    /// Writes on a condition. If it is repeated after a lost reply it finds its own object: [`Put::Unexpected`] may be a success.
    async fn put(&self, name: &str, body: Vec<u8>, expected: &Expected) -> Result<Put, StoreError> {
        let mut pauses = PAUSES.iter();
        loop {
            match self.objects.put(name, body.clone(), expected).await {
                Ok(put) => return Ok(put),
                Err(error) => self.bear(&mut pauses, "writing", name, &error).await?,
            }
        }
    }

    async fn get(&self, name: &str) -> Result<Option<Found>, StoreError> {
        let mut pauses = PAUSES.iter();
        loop {
            match self.objects.get(name).await {
                Ok(found) => return Ok(found),
                Err(error) => self.bear(&mut pauses, "reading", name, &error).await?,
            }
        }
    }

    async fn list(&self, folder: &str, after: &str) -> Result<Vec<Listed>, StoreError> {
        let mut pauses = PAUSES.iter();
        loop {
            match self.objects.list(folder, after).await {
                Ok(listed) => return Ok(listed),
                Err(error) => self.bear(&mut pauses, "listing", folder, &error).await?,
            }
        }
    }

    /// The lease as it is, its `ETag`, and its age.
    async fn note(&self) -> Result<Option<(LeaseNote, String, Duration)>, StoreError> {
        let Some(found) = self.get(LEASE).await? else { return Ok(None) };
        let note = form::read(&self.objects.place(LEASE), &found.body)?;
        Ok(Some((note, found.etag, found.age)))
    }

    async fn snapshot(&self) -> Result<Option<(Snapshot, String)>, StoreError> {
        let Some(found) = self.get(SNAPSHOT).await? else { return Ok(None) };
        let snapshot = form::read(&self.objects.place(SNAPSHOT), &found.body)?;
        Ok(Some((snapshot, found.etag)))
    }

    async fn segment(&self, number: u64) -> Result<Option<Segment>, StoreError> {
        let name = segment_name(number);
        let Some(found) = self.get(&name).await? else { return Ok(None) };
        let place = self.objects.place(&name);
        let segment: Segment = form::read(&place, &found.body)?;
        if segment.number != number {
            let why = format!("it says that it is segment {}", segment.number);
            return Err(StoreError::Damaged { file: place, why });
        }
        Ok(Some(segment))
    }

    /// Reads the snapshot and the segments after it. A writer that tidies up meanwhile has stored a newer snapshot before: then the
    /// reading is begun anew.
    async fn read(&self) -> Result<Journal, StoreError> {
        for _ in 0..READINGS {
            if let Some(journal) = self.try_read().await? {
                return Ok(journal);
            }
        }
        let why = "a segment is missing that no snapshot holds".into();
        Err(StoreError::Damaged { file: self.objects.place(JOURNAL), why })
    }

    async fn try_read(&self) -> Result<Option<Journal>, StoreError> {
        let (snapshot, etag) = self.snapshot().await?.unzip();
        let snapshot = snapshot.unwrap_or_default();
        let after = segment_name(snapshot.segment);
        let listed = self.list(JOURNAL, &after).await?;
        // They are read by number: what is missing of them shows then.
        let last = snapshot.segment + listed.len() as u64;
        let reads = stream::iter(snapshot.segment + 1..=last).map(|number| self.segment(number));
        let segments: Vec<_> = reads.buffered(READS).collect().await;
        let mut entries = Vec::new();
        for segment in segments {
            let Some(segment) = segment? else { return Ok(None) };
            entries.extend(segment.entries);
        }
        let head = entries.last().map_or(snapshot.state.head, |e| e.seq);
        Ok(Some(Journal {
            head,
            segment: last,
            snapshot: etag.map(|etag| (snapshot.segment, etag)),
            loaded: Loaded { snapshot: snapshot.state, entries },
        }))
    }
}

/// Wide enough for a segment a second for thirty thousand years, so that names sort as numbers do.
fn segment_name(number: u64) -> String {
    format!("{JOURNAL}{number:012}")
}

/// True for a failure that a repetition may mend.
fn passes(error: &CallError) -> bool {
    matches!(error.class, Class::Unknown | Class::Throttled | Class::Conflict)
}

fn help(error: &CallError) -> &'static str {
    match (error.class, error.code.as_deref()) {
        (_, Some("NoSuchBucket")) => "make the bucket with `state init`",
        (
            _,
            Some(
                "PermanentRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException",
            ),
        ) => "keep state in a bucket of the pipeline's region",
        (Class::Denied, _) => {
            "the bucket has to belong to the pipeline's account, and the caller needs s3:ListBucket on it and s3:GetObject, \
             s3:PutObject and s3:DeleteObject below the prefix"
        }
        (Class::Expired, _) => {
            "renew the credentials and run again: nothing is lost, waits re-attach"
        }
        (Class::Unknown | Class::Throttled | Class::Conflict, _) => {
            "run again to go on once S3 can be reached"
        }
        _ => "",
    }
}

#[async_trait]
impl StateStore for S3Store {
    async fn load(&self) -> Result<Loaded, StoreError> {
        Ok(self.inner.read().await?.loaded)
    }

    async fn lease(&self, holder: Holder) -> Result<Box<dyn Lease>, StoreError> {
        Ok(Box::new(S3Lease::acquire(&self.inner, holder).await?))
    }

    fn location(&self) -> String {
        self.inner.objects.place("")
    }
}
