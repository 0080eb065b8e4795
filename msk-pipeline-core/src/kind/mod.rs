//! What a provider promises: kinds of resources, and the words that the engine and a kind exchange.

mod contract;
mod error;
mod input;
mod registry;
mod status;
mod verdict;
mod wait;

pub(crate) use contract::STALE_BEGIN;
pub use contract::{
    Case, Change, Effect, Guard, Kind, LONGEST_REQUEST, Mark, MarkSeen, Next, Proposed, Pursuit,
    Recorded, Sent, Succession, Target,
};
pub use error::{CallError, Class};
pub use input::{Input, Ref};
pub(crate) use input::{holds_given, references, resolve};
#[cfg(any(test, feature = "testkit"))]
pub use registry::MockErasedKind;
pub use registry::{ErasedCase, ErasedKind, ErasedNext, ErasedProposed, ErasedTarget, Registry};
pub use status::Status;
pub use verdict::{DataEffect, Verdict};
pub use wait::{Condition, Poll};
