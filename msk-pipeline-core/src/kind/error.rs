//! How a request to the cloud fails, as far as the engine must tell failures apart.

use serde::{Deserialize, Serialize};

/// What a failure means for the next move. A provider maps its errors to a class in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Refused for its rate; certainly without effect. Repeated after a pause.
    Throttled,
    /// The object, or one that the request names, does not exist.
    NotFound,
    /// An object of that name exists. The engine observes and decides whether it is ours.
    AlreadyExists,
    /// The object is busy, its version moved on, or others still use it. Observed again, then repeated until the deadline.
    Conflict,
    /// Something that the request names is not usable yet (IAM propagation). Repeated for a few minutes.
    NotYet,
    /// The caller may not do this.
    Denied,
    /// The credentials have expired: the run stops and can be resumed.
    Expired,
    /// The request is wrong and will stay wrong.
    Invalid,
    /// A quota is exhausted.
    Quota,
    /// No answer, or one that does not tell: the request may have taken effect. Only observation decides.
    Unknown,
}

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{operation}: {message}{}", code.as_deref().map(|c| format!(" ({c})")).unwrap_or_default())]
pub struct CallError {
    /// What the failure means.
    pub class: Class,
    /// The operation, `kafka:CreateCluster`.
    pub operation: String,
    /// The provider's error code, if it gave one.
    pub code: Option<String>,
    /// The provider's message.
    pub message: String,
}

impl CallError {
    /// A failure of `operation` without a provider's code.
    pub fn new(class: Class, operation: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class, operation: operation.into(), code: None, message: message.into() }
    }
}
