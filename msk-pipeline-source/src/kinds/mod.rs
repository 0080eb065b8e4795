//! The resources inside a database.
//!
//! All of them name their cluster by its identifier, which is known before it exists: while there is no such cluster they don't exist either.
//! While its writer isn't available, what was never recorded doesn't exist either, because the writer is being made; what was is waited for.
//! What can't be reached from here is refused with what to open; once a run has changed something, it is waited for.

mod publication;
mod retention;
mod schema;
mod signal;
mod slot;
mod table;
mod user;

use std::sync::Arc;
use std::time::Duration;

use msk_pipeline_core::kind::{
    CallError, Case, Class, Condition, Effect, Input, Kind, Next, Proposed, Sent, Status, Target,
};
use serde::{Deserialize, Serialize};

use crate::catalogue::{Catalogue, Look, Unreached};
use crate::change::Change;
use crate::place::Place;

pub use publication::{Props as PublicationProps, Publication};
pub use retention::{Props as RetentionProps, Retention};
pub use schema::{Props as SchemaProps, Schema};
pub use signal::{Beat, Props as SignalProps, Signal};
pub use slot::{Props as SlotProps, Slot};
pub use table::{Props as TableProps, Table};
pub use user::{Props as UserProps, User};

/// What is observed of an object in a database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen<T> {
    /// It, as it is.
    There(T),
    /// The writer isn't available.
    NotReady(String),
    /// The database can't be reached from here.
    Unreached(Unreached),
}

impl<T> Seen<T> {
    /// `recorded` says that state knows the object, or that a run has begun to make it.
    fn of(look: Look<T>, recorded: bool) -> Option<Self> {
        match look {
            Look::NoServer | Look::Absent => None,
            Look::NotReady(state) => recorded.then_some(Self::NotReady(state)),
            Look::Unreached(unreached) => Some(Self::Unreached(unreached)),
            Look::Found(found) => Some(Self::There(found)),
        }
    }

    fn map<U>(self, f: impl FnOnce(T) -> U) -> Seen<U> {
        match self {
            Self::There(found) => Seen::There(f(found)),
            Self::NotReady(state) => Seen::NotReady(state),
            Self::Unreached(unreached) => Seen::Unreached(unreached),
        }
    }

    /// What comes next where the object can't be seen; `None` where it can.
    fn obstacle<C, O>(&self, wanted: bool, begun: bool, with_server: bool) -> Option<Next<C, O>> {
        match self {
            Self::There(_) => None,
            _ if !wanted && with_server => Some(Next::Kept),
            Self::NotReady(state) => Some(answers(state)),
            Self::Unreached(unreached) if begun => Some(answers(&unreached.what)),
            Self::Unreached(unreached) => Some(refused(unreached)),
        }
    }

    fn status(&self) -> Status {
        match self {
            Self::There(_) => Status::exists(),
            Self::NotReady(state) => {
                Status::new("unknown").says(Some(format!("the database: {state}")))
            }
            Self::Unreached(unreached) => {
                Status::new("unknown").says(Some(format!("{} {}", unreached.what, unreached.open)))
            }
        }
    }
}

/// What a look finds of an object in a server, of which nothing is asked while it is still to be made, or made anew.
async fn observe<K: Kind, T>(
    target: &Target<K>,
    server: &Input<String>,
    look: impl Future<Output = Result<Look<T>, CallError>>,
) -> Result<Option<Seen<T>>, CallError> {
    if server.known().is_none() {
        return Ok(None);
    }
    Ok(Seen::of(look.await?, target.is_recorded()))
}

/// What comes first where the object can't be seen; `None` where it can, or where it doesn't exist.
fn obstacle<K: Kind<Seen = Seen<T>>, T>(
    case: &Case<K>,
    with_server: bool,
) -> Option<Next<K::Call, K::Outputs>> {
    case.seen.as_ref()?.obstacle(case.want.is_some(), case.pursuit.is_some(), with_server)
}

/// A changing request and where it goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Where it goes.
    #[serde(flatten)]
    pub at: Place,
    /// What it is.
    pub change: Change,
}

fn proposed(at: &Place, effect: Effect, change: Change) -> Proposed<Call> {
    let op = change.op();
    Proposed::new(op, effect, Call { at: at.clone(), change })
}

async fn perform(catalogue: &Arc<dyn Catalogue>, call: &Call) -> Result<Sent, CallError> {
    catalogue.change(&call.at, &call.change).await?;
    Ok(Sent::default())
}

/// Objects that take no mark: an earlier create of ours is looked for before another one is sent, so one that exists when a create arrives
/// was made by somebody else.
fn made_by_another(mut error: CallError) -> CallError {
    if error.class == Class::AlreadyExists {
        error.class = Class::Invalid;
        error.message = format!("{}: it was made by somebody else meanwhile", error.message);
    }
    error
}

fn answers<C, O>(seen: &str) -> Next<C, O> {
    let condition = Condition::new("the database to answer", seen, ANSWERS);
    Next::Wait { condition, then: Vec::new() }
}

/// What to do about a database that can't be reached from here.
fn refused<C, O>(unreached: &Unreached) -> Next<C, O> {
    Next::Refuse {
        because: format!("the database can't be reached from here: {}", unreached.what),
        help: format!(
            "{} Or write `prepare = \"sql\"`: then the statements are printed, for somebody who can reach it.",
            unreached.open
        ),
    }
}

/// A failover takes about half a minute (handbook aws.md §4.9: the writer alone has binary logs, or slots).
const ANSWERS: Duration = Duration::from_secs(30);

#[cfg(test)]
pub(crate) mod testing;
