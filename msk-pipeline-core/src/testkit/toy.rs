//! `toy.toy`: an object that is changed in place, or replaced under its own name.
//!
//! # Guarantees
//! `calls` is pure; one `perform` is one request; observing again after any outcome is always right.
//! # Caveats
//! Names are unique, so a replacement deletes first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cloud::{Status, ToyCloud, View};
use crate::clock::Clock;
use crate::kind::{
    CallError, Case, Change, Class, Condition, DataEffect, Effect, Guard, Input, Kind, Mark,
    MarkSeen, Next, Proposed, Sent, Target, Verdict,
};

/// The kind `toy.toy`. It holds what it needs to send requests: here the cloud itself, elsewhere a client.
#[derive(Clone)]
pub struct Toy {
    /// Where toys live.
    pub cloud: ToyCloud,
    /// The time, which a cloud would know by itself.
    pub clock: Arc<dyn Clock>,
}

/// What is wanted of a toy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToyProps {
    /// Its physical name.
    pub name: String,
    /// Changed in place.
    pub size: Input<u32>,
    /// A change replaces it.
    #[serde(default)]
    pub shape: String,
    /// The id of another object that it lives in. A change replaces it.
    #[serde(default)]
    pub parent: Option<Input<String>>,
    /// Ids of blobs that it uses. Changed in place.
    #[serde(default)]
    pub blobs: Vec<Input<String>>,
    /// True if deleting it loses data.
    #[serde(default)]
    pub precious: bool,
}

impl ToyProps {
    /// A toy of size 1 with this name.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            size: 1.into(),
            shape: "round".into(),
            parent: None,
            blobs: Vec::new(),
            precious: false,
        }
    }
}

/// What others may refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToyOutputs {
    /// Another object of the same name has another id.
    pub id: String,
    /// The size that it has.
    pub size: u32,
}

/// The changing requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToyCall {
    /// Makes it. The mark is part of the request.
    Create {
        /// What is wanted.
        props: ToyProps,
        /// The mark.
        tags: BTreeMap<String, String>,
    },
    /// Sets everything that can be changed in place.
    Update {
        /// Which toy.
        name: String,
        /// The wanted size.
        size: Input<u32>,
        /// The wanted blobs.
        blobs: Vec<Input<String>>,
    },
    /// Deletes it.
    Delete {
        /// Which toy.
        name: String,
    },
}

#[async_trait]
impl Kind for Toy {
    const TYPE: &'static str = "toy.toy";

    type Props = ToyProps;
    type Seen = View;
    type Outputs = ToyOutputs;
    type Call = ToyCall;

    fn name(props: &ToyProps) -> String {
        props.name.clone()
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<View>, CallError> {
        Ok(self.cloud.describe(&target.props.name, self.clock.wall()))
    }

    fn mark(seen: &View) -> MarkSeen {
        Mark::seen_in_tags(&seen.tags)
    }

    fn calls(&self, case: &Case<Self>) -> Next<ToyCall, ToyOutputs> {
        match (&case.want, &case.seen) {
            (None, None) => Next::Gone,
            (Some(want), None) => Next::Calls(vec![create(want, &case.mark)]),
            (None, Some(seen)) => {
                let recorded = case.was.as_ref().map(|was| &was.props);
                let name = recorded.map_or_else(String::new, |p| p.name.clone());
                let precious =
                    recorded.is_some_and(|p| p.precious) && seen.status != Status::Failed;
                let delete = vec![delete(name, precious)];
                match seen.status {
                    Status::Ready | Status::Failed => Next::Calls(delete),
                    Status::Deleting => wait("deleted", seen, ToyCloud::DELETE, Vec::new()),
                    Status::Creating | Status::Updating => {
                        wait("idle", seen, ToyCloud::UPDATE, delete)
                    }
                }
            }
            (Some(want), Some(seen)) => match seen.status {
                Status::Creating | Status::Updating | Status::Ready
                    if unfit(want, seen).is_some() =>
                {
                    let because = unfit(want, seen).unwrap_or_default().into();
                    Next::Replace { because, effect: loss(want.precious) }
                }
                Status::Creating => {
                    wait("ready", seen, ToyCloud::CREATE, updates(want, seen).into_iter().collect())
                }
                Status::Updating => {
                    wait("ready", seen, ToyCloud::UPDATE, updates(want, seen).into_iter().collect())
                }
                Status::Deleting => {
                    wait("deleted", seen, ToyCloud::DELETE, vec![create(want, &case.mark)])
                }
                Status::Failed if case.pursuit.is_some() => failed(seen),
                Status::Failed => Next::Replace {
                    because: "it could not be made".into(),
                    effect: DataEffect::NONE,
                },
                Status::Ready => ready(case, want, seen),
            },
        }
    }

    async fn perform(&self, call: &ToyCall, guard: &Guard) -> Result<Sent, CallError> {
        let now = self.clock.wall();
        let operation = match call {
            ToyCall::Create { props, tags } => {
                let fields = BTreeMap::from([
                    ("size".into(), json!(props.size)),
                    ("shape".into(), json!(props.shape)),
                    ("parent".into(), json!(props.parent)),
                    ("blobs".into(), json!(props.blobs)),
                ]);
                self.cloud.create("toy:Create", &props.name, fields, tags.clone(), now)
            }
            ToyCall::Update { name, size, blobs } => {
                let fields =
                    BTreeMap::from([("size".into(), json!(size)), ("blobs".into(), json!(blobs))]);
                self.cloud.update("toy:Update", name, fields, guard.version.as_deref(), now)
            }
            ToyCall::Delete { name } => self.cloud.delete("toy:Delete", name, now),
        };
        match operation {
            Ok(operation) => Ok(Sent { operation: Some(operation), id: None }),
            // A delete of what is gone has done what it should.
            Err(error)
                if matches!(call, ToyCall::Delete { .. }) && error.class == Class::NotFound =>
            {
                Ok(Sent::default())
            }
            Err(error) => Err(error),
        }
    }
}

fn ready(case: &Case<Toy>, want: &ToyProps, seen: &View) -> Next<ToyCall, ToyOutputs> {
    // Our own operation is the one that is newer than what was seen before the call.
    let ours = case.pursuit.as_ref().is_some_and(|p| {
        p.effect == Effect::Update && p.guard.operation.as_ref() != Some(&seen.operation.id)
    });
    if ours && seen.operation.failed.is_some() {
        return failed(seen);
    }
    match updates(want, seen) {
        Some(update) => Next::Calls(vec![update]),
        None => Next::Converged(ToyOutputs {
            id: seen.id.clone(),
            // It is the wanted one, or there would be an update.
            size: want.size.known().copied().unwrap_or_default(),
        }),
    }
}

/// Why no update leads from what is seen to what is wanted. This is asked before anything is waited for: an object that is being made
/// with another shape, by a run that was killed before the shape was changed back, never becomes the wanted one.
fn unfit(want: &ToyProps, seen: &View) -> Option<&'static str> {
    let shows = |field: &str, value| seen.fields.get(field).is_some_and(|v| *v == value);
    if !shows("parent", json!(want.parent)) {
        Some("its parent can't be changed")
    } else if !shows("shape", json!(want.shape)) {
        Some("its shape can't be changed")
    } else {
        None
    }
}

fn create(want: &ToyProps, mark: &Mark) -> Proposed<ToyCall> {
    let call = ToyCall::Create { props: want.clone(), tags: mark.tags() };
    Proposed::new("toy:Create", Effect::Create, call)
        .fields([Change::new("size", None::<u32>, Some(&want.size))])
        .usual(ToyCloud::CREATE)
}

fn updates(want: &ToyProps, seen: &View) -> Option<Proposed<ToyCall>> {
    let wanted = [("size", json!(want.size)), ("blobs", json!(want.blobs))];
    let changed: Vec<_> = wanted
        .into_iter()
        .filter(|(field, value)| seen.fields.get(*field) != Some(value))
        .collect();
    let call = ToyCall::Update {
        name: want.name.clone(),
        size: want.size.clone(),
        blobs: want.blobs.clone(),
    };
    let guard = Guard {
        version: Some(seen.version.to_string()),
        operation: Some(seen.operation.id.clone()),
    };
    (!changed.is_empty()).then(|| {
        Proposed::new("toy:Update", Effect::Update, call)
            .fields(changed.into_iter().map(|(f, to)| Change::new(f, seen.fields.get(f), Some(to))))
            .data(DataEffect::new(Verdict::Restart, "the toy"))
            .may_change(&["size"])
            .usual(ToyCloud::UPDATE)
            .guard(guard)
    })
}

fn delete(name: String, precious: bool) -> Proposed<ToyCall> {
    Proposed::new("toy:Delete", Effect::Delete, ToyCall::Delete { name })
        .data(loss(precious))
        .usual(ToyCloud::DELETE)
}

fn loss(precious: bool) -> DataEffect {
    if precious { DataEffect::new(Verdict::Lost, "what is in the toy") } else { DataEffect::NONE }
}

fn failed(seen: &View) -> Next<ToyCall, ToyOutputs> {
    let cause = seen.operation.failed.clone().unwrap_or_else(|| "it failed".into());
    Next::Failed { cause, help: "run again to try once more".into() }
}

fn wait(
    what: &str,
    seen: &View,
    usual: Duration,
    then: Vec<Proposed<ToyCall>>,
) -> Next<ToyCall, ToyOutputs> {
    let condition = Condition::new(format!("toy {what}"), format!("{:?}", seen.status), usual);
    Next::Wait { condition, then }
}
