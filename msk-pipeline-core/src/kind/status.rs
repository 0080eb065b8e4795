//! What an object is like at this moment, for people: nothing is decided on it.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// The state of an object, in its provider's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The provider's word: `ACTIVE`, `RUNNING`, `available`; `exists` for objects that have no state of their own.
    pub word: String,
    /// Since when, if the provider tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What goes on, or went wrong, as far as the provider and its logs tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
}

impl Status {
    /// A state without more to it.
    pub fn new(word: impl Into<String>) -> Self {
        Self { word: word.into(), since: None, says: None }
    }

    /// Of an object that is there or not, and nothing else.
    pub fn exists() -> Self {
        Self::new("exists")
    }

    /// Sets since when.
    #[must_use]
    pub fn since(mut self, since: Option<Timestamp>) -> Self {
        self.since = since;
        self
    }

    /// Sets what goes on or went wrong; empty text is none.
    #[must_use]
    pub fn says(mut self, says: Option<impl Into<String>>) -> Self {
        self.says = says.map(Into::into).filter(|s| !s.is_empty());
        self
    }
}
