//! The promise that a state store makes.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::entry::Stamped;
use super::record::{IllegalEntry, State};
use crate::clock::Timestamp;

/// Where state lives: a snapshot and the journal after it.
///
/// A store that is read without a lease may show a run in progress; it never shows half an entry.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Reads the snapshot and the entries after it. Changes nothing, takes no lease.
    async fn load(&self) -> Result<Loaded, StoreError>;

    /// Becomes the only writer.
    ///
    /// # Errors
    /// [`StoreError::Locked`] with the present holder.
    async fn lease(&self, holder: Holder) -> Result<Box<dyn Lease>, StoreError>;

    /// Where it is, for people.
    fn location(&self) -> String;
}

/// The right to write, held by one process at a time.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait Lease: Send + Sync {
    /// Reads as [`StateStore::load`] does, with the certainty that nobody writes. What a killed writer left torn is cut off.
    async fn load(&mut self) -> Result<Loaded, StoreError>;

    /// Makes entries durable. Until this returns, no request that they announce may be sent. If the process dies meanwhile, the next
    /// run finds a prefix of them: all, none, or as many as were whole; what is torn is cut off.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the journal's head is not `expected_head`: somebody else has written.
    async fn append(&mut self, expected_head: u64, entries: &[Stamped]) -> Result<(), StoreError>;

    /// Replaces snapshot and journal by a snapshot. A kill at any point leaves one or the other whole.
    async fn compact(&mut self, state: &State) -> Result<(), StoreError>;

    /// Gives the right back. Dropping a lease must do the same where that is possible without I/O that waits.
    async fn release(&mut self) -> Result<(), StoreError>;
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
}
