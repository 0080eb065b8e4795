//! What became of every recorded object: its state in the provider's words, and where it drifted from what was recorded.

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::decide::foreign;
use super::observe::{READS, Reader, in_window};
use crate::address::Address;
use crate::clock::Clock;
use crate::kind::{
    CallError, Change, Condition, ErasedCase, ErasedTarget, Mark, Next, Registry, Status,
};
use crate::state::{Object, State};

/// A recorded object as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Looked {
    /// Which resource.
    pub address: Address,
    /// Which of its objects.
    pub generation: u64,
    /// It was replaced, and is to be deleted.
    pub deposed: bool,
    /// Its kind.
    pub kind: String,
    /// Its stage.
    pub stage: String,
    /// Its physical name.
    pub name: String,
    /// What was found.
    pub found: Found,
    /// Fields that others changed since it was recorded, from what is there to what was recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Change>,
    /// What it is on its way to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<Condition>,
    /// Why it can't stay as it is, or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// What was found at an object's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Found {
    /// The object.
    Object(Status),
    /// Nothing.
    Missing,
    /// Somebody else's object.
    Foreign {
        /// Whose.
        whose: String,
    },
    /// It could not be looked at.
    Unknown {
        /// Why.
        error: CallError,
    },
}

/// Looks at every object that is recorded, by reads alone: nothing is written and no lease is taken.
///
/// Drift is what the object's kind would change to bring it to what was *recorded*; that the declaration asks for something else by
/// now is no drift. An object that can't be looked at is told as such, and hides no other.
pub async fn look(registry: &Registry, clock: &dyn Clock, state: &State) -> Vec<Looked> {
    let objects = state.records.iter().flat_map(|(address, record)| {
        let current = record.current.iter().map(|o| (false, o));
        let deposed = record.deposed.iter().map(|o| (true, o));
        current.chain(deposed).map(move |(deposed, object)| (address, deposed, object))
    });
    stream::iter(objects)
        .map(|(address, deposed, object)| one(registry, clock, state, address, deposed, object))
        .buffered(READS)
        .collect()
        .await
}

async fn one(
    registry: &Registry,
    clock: &dyn Clock,
    state: &State,
    address: &Address,
    deposed: bool,
    object: &Object,
) -> Looked {
    let mut looked = Looked {
        address: address.clone(),
        generation: object.generation,
        deposed,
        kind: object.kind.clone(),
        stage: object.stage.clone(),
        name: object.name.clone(),
        found: Found::Missing,
        drift: Vec::new(),
        in_flight: None,
        trouble: None,
    };
    if let Err(error) = fill(&mut looked, registry, clock, state, object).await {
        looked.found = Found::Unknown { error };
    }
    looked
}

async fn fill(
    looked: &mut Looked,
    registry: &Registry,
    clock: &dyn Clock,
    state: &State,
    object: &Object,
) -> Result<(), CallError> {
    let Some(kind) = registry.get(&object.kind) else {
        let what = "this program does not know objects of this kind";
        return Err(CallError::new(crate::kind::Class::Invalid, &object.kind, what));
    };
    let was = object.was_ready().then(|| (object.props.clone(), object.outputs.clone()));
    let target =
        ErasedTarget { props: object.props.clone(), was: was.clone(), pursuit: object.pursuit() };
    let reader = Reader { clock, requests: None };
    let Some(seen) = reader.observe(kind, &target).await? else { return Ok(()) };
    let mark = kind.mark(&seen)?;
    if in_window(kind.as_ref(), object.pursuit().as_ref(), Some(&mark), clock.wall()) {
        return Ok(());
    }
    if let Some(whose) = foreign(&mark, &state.lineage, &object.name, object.adoption.as_ref()) {
        looked.found = Found::Foreign { whose };
        return Ok(());
    }
    match kind.status(&seen)? {
        None => return Ok(()),
        Some(status) => looked.found = Found::Object(status),
    }
    // Props of an object that was never ready may be half made: that is no drift.
    let settled = object.was_ready() && object.pending.is_none();
    let case = ErasedCase {
        want: (!object.is_going()).then(|| object.props.clone()),
        seen: Some(seen),
        was,
        pursuit: object.pursuit(),
        mark: Mark {
            lineage: state.lineage.clone(),
            pipeline: state.pipeline.clone(),
            address: looked.address.clone(),
        },
    };
    match kind.calls(&case)? {
        Next::Calls(calls) if settled => {
            looked.drift = calls.into_iter().flat_map(|call| call.fields).collect();
        }
        Next::Wait { condition, then } => {
            looked.in_flight = Some(condition);
            if settled {
                looked.drift = then.into_iter().flat_map(|call| call.fields).collect();
            }
        }
        Next::Failed { cause, .. } => looked.trouble = Some(cause),
        Next::Replace { because, .. } | Next::Refuse { because, .. } if settled => {
            looked.trouble = Some(because);
        }
        _ => {}
    }
    Ok(())
}
