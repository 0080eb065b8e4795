//! What would be done: the ordered list of calls, each with what it does to data. Planning reads and writes nothing.

mod decide;
mod look;
mod observe;
mod step;

pub use decide::{Options, plan};
pub use look::{Found, Looked, look};
pub use step::{Action, Plan, PlanError, Refusal, Step, Verb};

pub(crate) use decide::foreign;
pub(crate) use observe::{READS, Reader, backoff, in_window};
