//! Carrying a plan out: gates, calls, journal. What a run learns is in state before anything depends on it.

mod approval;
mod cancel;
mod engine;
mod event;
mod executor;
mod journal;
mod settle;
#[cfg(test)]
mod tests;
mod walk;

#[cfg(any(test, feature = "testkit"))]
pub use approval::MockApprover;
pub use approval::{Answer, Approver, AutoApprove, Gate};
pub use cancel::{Cancel, Canceller};
pub use engine::{ApplyOptions, Engine, RunError};
pub use event::{EventSink, NoEvents, RunEvent, RunSummary, StepOutcome};
