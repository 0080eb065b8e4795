//! What would be done: the ordered list of calls, each with what it does to data. Planning reads and writes nothing.

mod adopt;
mod converge;
mod decide;
mod look;
mod observe;
mod order;
mod rebuild;
mod remove;
mod step;

pub use adopt::Adopt;
pub use decide::{Options, plan};
pub use look::{Found, Looked, look};
pub use rebuild::{Claim, Rebuilt, Traced, rebuild};
pub use step::{Action, Plan, PlanError, Refusal, Step, Verb};

pub(crate) use adopt::{UNMARKABLE, help_with_foreign};
pub(crate) use decide::foreign;
pub(crate) use observe::{READS, Reader, backoff, in_window, is_missing};
