//! What a call does to data (design decision D9).

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a call does to data, from harmless to worst. The order is the order of severity.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing.
    #[default]
    None,
    /// A component restarts: clients reconnect, events are delayed.
    Restart,
    /// Consumers see other payloads.
    Shape,
    /// Consumers may see events of one key in another order.
    Ordering,
    /// Existing rows, or rows of a period, are missed until they are snapshotted.
    Gap,
    /// Everything is read and delivered again.
    Resnapshot,
    /// Data is gone.
    Lost,
}

impl Verdict {
    /// True where `apply` and `destroy` refuse unless the very address is named.
    pub fn needs_consent(self) -> bool {
        self >= Verdict::Resnapshot
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::None => "none",
            Verdict::Restart => "restart",
            Verdict::Shape => "shape",
            Verdict::Ordering => "ordering",
            Verdict::Gap => "gap",
            Verdict::Resnapshot => "resnapshot",
            Verdict::Lost => "lost",
        })
    }
}

/// A verdict and what exactly is meant by it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DataEffect {
    /// The verdict.
    pub verdict: Verdict,
    /// What is restarted, missed or lost, as a fragment: `all topics and their records`. Empty for [`Verdict::None`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub what: String,
}

impl DataEffect {
    /// Nothing happens to data.
    pub const NONE: DataEffect = DataEffect { verdict: Verdict::None, what: String::new() };

    /// `verdict`, in so many words.
    pub fn new(verdict: Verdict, what: impl Into<String>) -> Self {
        Self { verdict, what: what.into() }
    }
}

impl fmt::Display for DataEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.what.is_empty() {
            write!(f, "{}", self.verdict)
        } else {
            write!(f, "{}: {}", self.verdict, self.what)
        }
    }
}
