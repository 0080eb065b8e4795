//! The promise that a state store makes.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::entry::Stamped;
use super::fold::IllegalEntry;
use super::record::State;
use crate::clock::{Reading, Timestamp};

use std::time::Duration;

/// Where state lives: a snapshot and the journal after it.
///
/// A store that is read without a lease may show a run in progress; it never shows half an entry.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Reads the snapshot and the entries after it. Changes nothing, takes no lease.
    async fn load(&self) -> Result<Loaded, StoreError>;

    /// Becomes the only writer. It does not wait: whoever gets [`StoreError::Leased`] looks again.
    ///
    /// # Errors
    /// [`StoreError::Locked`] with the present holder where that one is certain to live, [`StoreError::Leased`] where only time tells.
    async fn lease(&self, holder: Holder) -> Result<Box<dyn Lease>, StoreError>;

    /// Where it is, for people.
    fn location(&self) -> String;
}

/// The right to write, held by one process at a time.
///
/// There are two families. A lock of the operating system ends with its process and can't be lost before. A lease in a shared store
/// expires unless it is renewed (the times are in [`lease`](super::lease)) and can be lost; then `append`, `compact` and `renew`
/// answer [`StoreError::Lost`] and nothing of this holder is stored any more.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait Lease: Send + Sync {
    /// Reads as [`StateStore::load`] does, with the certainty that nobody writes. What a killed writer left torn is cut off.
    async fn load(&mut self) -> Result<Loaded, StoreError>;

    /// Makes entries durable. Until this returns, no request that they announce may be sent. If the process dies meanwhile, the next
    /// run finds a prefix of them: all, none, or as many as were whole; what is torn is cut off. After an error other than the two
    /// below any of that may be true.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the journal's head is not `expected_head`, [`StoreError::Lost`] if another holder has written since.
    async fn append(&mut self, expected_head: u64, entries: &[Stamped]) -> Result<(), StoreError>;

    /// Replaces snapshot and journal by a snapshot. A kill at any point leaves one or the other whole.
    async fn compact(&mut self, state: &State) -> Result<(), StoreError>;

    /// Gives the right back. Dropping a lease must do the same where that is possible without I/O that waits.
    async fn release(&mut self) -> Result<(), StoreError>;

    /// When the request that last confirmed this right was sent; `None` for a right that lasts as long as the process.
    fn confirmed_at(&self) -> Option<Reading> {
        None
    }

    /// Confirms the right, and lets it last [`EXPIRY`](super::lease::EXPIRY) from now.
    ///
    /// # Errors
    /// [`StoreError::Lost`] if it is another's by now. After any other error nothing has changed that a later renewal can't mend.
    async fn renew(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whose lease expired for this one to begin; `None` if nobody held it.
    fn taken_from(&self) -> Option<Holder> {
        None
    }

    /// Keeps entries that could not be appended, beside the store, where that is possible. The next lease from here appends them
    /// if the journal still ends where they begin, and forgets them otherwise: then the objects are observed anew. Best effort:
    /// what is lost here costs an observation.
    async fn stash(&mut self, entries: &[Stamped]) {
        let _ = entries;
    }
}

/// Who holds a lease, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// `user@host, process 4711`.
    pub who: String,
    /// `apply`.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
}

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Loaded {
    /// The snapshot; the default state if there is none.
    pub snapshot: State,
    /// The entries after it.
    pub entries: Vec<Stamped>,
}

impl Loaded {
    /// The present state.
    ///
    /// # Errors
    /// A journal that can't be folded, or a snapshot of a newer form.
    pub fn fold(self) -> Result<State, StoreError> {
        let mut state = self.snapshot;
        if state.format > State::FORMAT {
            return Err(StoreError::Newer { found: state.format, supported: State::FORMAT });
        }
        for entry in &self.entries {
            state.after(entry)?;
        }
        Ok(state)
    }
}

/// How a store fails.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another process writes.
    #[error("the state is locked by {} ({}) since {}", .0.who, .0.why, .0.since)]
    Locked(Holder),
    /// Another process holds a lease that it has to renew. It lives if `renewal` is another at a later look; if it does not
    /// renew, the lease can be taken once `left` has passed.
    #[error("the state is locked by {} ({}) since {}; if that run is dead, its lease ends in {} s", .holder.who, .holder.why, .holder.since, .left.as_secs())]
    Leased {
        /// The holder.
        holder: Holder,
        /// Which renewal of which lease this is.
        renewal: String,
        /// How long until it expires without another.
        left: Duration,
    },
    /// This run's lease is another's by now: it expired while this run was silent, or somebody released it by hand.
    #[error("this run has lost its lease: {} ({}) took it over at {}", .by.who, .by.why, .by.since)]
    Lost {
        /// Whose it is, or whose it was last.
        by: Holder,
    },
    /// Another process has written since this one last did.
    #[error(
        "the journal moved on to entry {found} while this run was at {expected}: another run has taken over"
    )]
    Fenced {
        /// Where this run was.
        expected: u64,
        /// Where the journal is.
        found: u64,
    },
    /// A stored form that this code is too old for.
    #[error("the state has format {found}, this version reads up to {supported}")]
    Newer {
        /// The form found.
        found: u32,
        /// The newest form that this code reads.
        supported: u32,
    },
    /// The journal contradicts itself.
    #[error("the journal is damaged: {0}")]
    Illegal(#[from] IllegalEntry),
    /// A stored text can't be read.
    #[error("{file} is damaged: {why}")]
    Damaged {
        /// Which file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// The medium failed.
    #[error("{action} {file}: {why}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        file: String,
        /// The error.
        why: String,
    },
    /// A store that is reached over a network refused, or did not answer.
    #[error("{action} {place}: {why}")]
    Remote {
        /// What was tried.
        action: &'static str,
        /// On what.
        place: String,
        /// The error.
        why: String,
        /// What to do about it; may be empty.
        help: String,
    },
}
