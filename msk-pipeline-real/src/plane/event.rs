//! What the plane tells whoever runs it, for people.

use std::fmt;

use serde::Serialize;

/// Something that happened to the programs, or that is otherwise than on AWS. Says no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// A jar is being fetched.
    Fetching {
        /// Its Maven coordinates.
        artefact: String,
    },
    /// A program that an earlier plane left was ended.
    Leftover {
        /// Which one.
        program: String,
    },
    /// A program runs and is ready.
    Ready {
        /// Whose: `cluster demo, broker 1`.
        program: String,
        /// How long that took, in milliseconds.
        millis: u64,
    },
    /// A program ended that should run; it is started again.
    Ended {
        /// Whose.
        program: String,
        /// How, with its last words.
        why: String,
    },
    /// A program was ended because the world wants it no more.
    Stopped {
        /// Whose.
        program: String,
    },
    /// Something is otherwise than on AWS.
    Differs {
        /// Of which object.
        object: String,
        /// How.
        how: String,
    },
    /// What the world waited for failed, and that was recorded.
    Failed {
        /// Of which object.
        object: String,
        /// Why.
        message: String,
    },
    /// A client was not let in by IAM; it has heard no more than "Access denied".
    Refused {
        /// The cluster's ARN.
        cluster: String,
        /// The access key that it named.
        access_key: String,
        /// Why.
        why: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetching { artefact } => write!(f, "fetching {artefact}"),
            Self::Leftover { program } => write!(f, "ended what an earlier run left: {program}"),
            Self::Ready { program, millis } => {
                write!(f, "{program} is ready after {}.{} s", millis / 1000, millis % 1000 / 100)
            }
            Self::Ended { program, why } => {
                write!(f, "{program} ended and is started again: {why}")
            }
            Self::Stopped { program } => write!(f, "{program} was stopped"),
            Self::Differs { object, how } => write!(f, "{object}, other than on AWS: {how}"),
            Self::Failed { object, message } => write!(f, "{object} failed: {message}"),
            Self::Refused { cluster, access_key, why } => {
                write!(f, "{cluster} refused {access_key}: {why}")
            }
        }
    }
}
