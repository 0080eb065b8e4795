//! The promise that a kind makes to the engine (design decision D4).

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::CallError;
use super::status::Status;
use super::verdict::DataEffect;
use super::wait::Condition;
use crate::address::Address;
use crate::clock::Timestamp;

/// A family of cloud objects: how to look at one, what calls bring it to what is wanted, and how to make one call.
///
/// # Expected flow
/// The engine repeats one loop, for create, update, delete, retry and recovery alike:
/// 1. [`observe`](Kind::observe) the object (reads only);
/// 2. ask [`calls`](Kind::calls), a pure function, for the way from what is seen to what is wanted;
/// 3. journal *begin* for the first call, durably;
/// 4. [`perform`](Kind::perform) it: exactly one changing request;
/// 5. journal *end*, and observe again, until `calls` says that nothing is left.
///
/// The list that `calls` returns for a fresh observation *is* the plan of the resource.
///
/// # Guarantees that an implementation gives
/// * `observe` changes nothing and answers `None` for an object that does not exist, also when a parent does not exist or is not
///   known yet ([`Input::Pending`](super::Input::Pending)).
/// * `calls` is pure, and total: for every observation, also of a foreign, failed or half-made object, it returns something true.
///   What it lists for an absent object is everything until convergence, not only the create.
/// * A name is a function of the props. Two resources with one name in one account are one object.
/// * `perform` sends at most one changing request, and may be abandoned at any point.
/// * No secret value occurs in props, observations, outputs or calls.
///
/// # Guarantees that the engine gives
/// * `perform` is only called after *begin* was stored, for a call that the plan listed, with all inputs known.
/// * A call is repeated only after a new observation asked for it again.
/// * An object whose mark is another's is never passed to `perform`, except where the kind owns it through its parent.
#[async_trait]
pub trait Kind: Send + Sync + 'static {
    /// The family's name, written into state: `aws.kafka.cluster`.
    const TYPE: &'static str;
    /// Raised when the stored form of props, outputs or calls changes.
    const VERSION: u32 = 1;

    /// What is wanted. Fields that are other resources' outputs are [`Input`](super::Input)s.
    type Props: Serialize + DeserializeOwned + Clone + Send + Sync;
    /// What is observed.
    type Seen: Serialize + DeserializeOwned + Clone + Send + Sync;
    /// What others may refer to once the object is ready.
    type Outputs: Serialize + DeserializeOwned + Clone + Send + Sync;
    /// A changing request with its arguments.
    type Call: Serialize + DeserializeOwned + Clone + Send + Sync;

    /// The physical name, unique for this kind in an account and region.
    fn name(props: &Self::Props) -> String;

    /// What a changed name means: delete the old object first, or create the new one first and delete the old one last.
    fn succession() -> Succession {
        Succession::DeleteFirst
    }

    /// How long after a create, or another accepted call, reads may still show the past.
    fn visibility() -> Duration {
        Duration::from_mins(1)
    }

    /// Looks at the object.
    async fn observe(&self, target: &Target<Self>) -> Result<Option<Self::Seen>, CallError>;

    /// Whose the object is.
    fn mark(seen: &Self::Seen) -> MarkSeen;

    /// What else its provider calls the object, beside its name: its ARN, its generated id. Whoever names an object to be adopted may
    /// use any of these.
    fn ids(_seen: &Self::Seen) -> Vec<String> {
        Vec::new()
    }

    /// The object's state in its provider's words, for people: nothing is decided on it. `None` if what was observed is the absence of
    /// the object.
    fn status(_seen: &Self::Seen) -> Option<Status> {
        Some(Status::exists())
    }

    /// The way from what is seen to what is wanted; pure.
    fn calls(&self, case: &Case<Self>) -> Next<Self::Call, Self::Outputs>;

    /// Sends one changing request. `guard` is what `calls` put beside the call.
    async fn perform(&self, call: &Self::Call, guard: &Guard) -> Result<Sent, CallError>;
}

/// The order of a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Succession {
    /// The old object is deleted before the new one is created.
    DeleteFirst,
    /// The new object is created, dependents are moved to it, and the old one is deleted last.
    CreateFirst,
}

/// Whom an object belongs to: written on it in its create call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The lineage of the state that owns it. This alone decides.
    pub lineage: String,
    /// The pipeline's name, for people.
    pub pipeline: String,
    /// The address, for people.
    pub address: Address,
}

impl Mark {
    /// The tag that decides.
    pub const LINEAGE: &'static str = "msk-pipeline:lineage";
    /// The tag with the pipeline's name.
    pub const PIPELINE: &'static str = "msk-pipeline:pipeline";
    /// The tag with the address.
    pub const ADDRESS: &'static str = "msk-pipeline:address";

    /// The mark as tags.
    pub fn tags(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (Self::LINEAGE.into(), self.lineage.clone()),
            (Self::PIPELINE.into(), self.pipeline.clone()),
            (Self::ADDRESS.into(), self.address.to_string()),
        ])
    }

    /// The mark as text, for objects that take no tags: `[msk-pipeline:lineage=… pipeline=… address=…]`.
    pub fn text(&self) -> String {
        format!(
            "[{}={} pipeline={} address={}]",
            Self::LINEAGE,
            self.lineage,
            self.pipeline,
            self.address
        )
    }

    /// Reads the lineage from tags.
    pub fn seen_in_tags(tags: &BTreeMap<String, String>) -> MarkSeen {
        match tags.get(Self::LINEAGE) {
            Some(lineage) => MarkSeen::Lineage {
                lineage: lineage.clone(),
                pipeline: tags.get(Self::PIPELINE).cloned().unwrap_or_default(),
            },
            None => MarkSeen::Absent,
        }
    }

    /// Reads the lineage from text.
    pub fn seen_in_text(text: &str) -> MarkSeen {
        let field = |name: &str| {
            let rest = &text[text.find(name)? + name.len()..];
            Some(rest.split([' ', ']']).next().unwrap_or_default().to_owned())
        };
        match field(&format!("[{}=", Self::LINEAGE)) {
            Some(lineage) => {
                MarkSeen::Lineage { lineage, pipeline: field(" pipeline=").unwrap_or_default() }
            }
            None => MarkSeen::Absent,
        }
    }
}

/// The mark that was found on an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkSeen {
    /// A lineage, ours or another's.
    Lineage {
        /// The lineage.
        lineage: String,
        /// The pipeline's name beside it.
        pipeline: String,
    },
    /// No mark: somebody else's, or one whose mark is not visible yet.
    Absent,
    /// Nothing to mark: owned through its parent, set absolutely.
    ByParent,
    /// Not owned: it is only read.
    ReadOnly,
}

/// What a call was decided on, journaled with *begin*: after a lost reply an operation is ours if it is newer than `operation`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Guard {
    /// The object's version token; sent with the request where the API takes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The newest operation on the object before the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
}

/// What an accepted request answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sent {
    /// The operation that AWS started, if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// An identifier that only the create's answer tells (a generated id), for the next observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// The longest that a changing request may take, connecting included, with whatever is read on its way. The engine gives it up after
/// this, and a provider should.
pub const LONGEST_REQUEST: Duration = Duration::from_secs(45);

/// A *begin* that is older than this when its request can be sent is written anew: what becomes of a request is looked for from its
/// *begin* on.
pub(crate) const STALE_BEGIN: Duration = Duration::from_secs(5);

/// A begun call whose effect has not been confirmed by an observation yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pursuit<C> {
    /// The call.
    pub call: C,
    /// Its operation's name.
    pub op: String,
    /// What it does.
    pub effect: Effect,
    /// What it was decided on.
    pub guard: Guard,
    /// What its answer said; `None` while no answer is known.
    pub sent: Option<Sent>,
    /// When *begin* was written.
    pub begun: Timestamp,
    /// When the answer came; `None` while none is known, or while it is only known that none came.
    pub ended: Option<Timestamp>,
}

impl<C> Pursuit<C> {
    /// Until when reads may show nothing of what this call does, if they lag by `visibility` at most. A request without an answer
    /// may still be on its way for as long as requests may take.
    pub fn unseen_until(&self, visibility: Duration) -> Timestamp {
        self.ended.unwrap_or(self.begun + STALE_BEGIN + LONGEST_REQUEST) + visibility
    }
}

/// What state says about an object.
#[derive(Debug, Clone)]
pub struct Recorded<P, O> {
    /// The props that it was last converged to, resolved; for one that was never ready, those that it is being made with.
    pub props: P,
    /// Its outputs then; `None` if it was never ready, which a kind is told of only where it is to be deleted.
    pub outputs: Option<O>,
}

/// What to look for.
pub struct Target<K: Kind + ?Sized> {
    /// What is wanted, or for a deletion what was recorded.
    pub props: K::Props,
    /// What state says.
    pub was: Option<Recorded<K::Props, K::Outputs>>,
    /// The last call, if its effect is not confirmed yet.
    pub pursuit: Option<Pursuit<K::Call>>,
}

impl<K: Kind + ?Sized> Target<K> {
    /// Whether state knows the object, or a run has begun to make it.
    pub fn is_recorded(&self) -> bool {
        self.was.is_some() || self.pursuit.is_some()
    }
}

/// What `calls` decides on.
pub struct Case<K: Kind + ?Sized> {
    /// What is wanted; `None` means that the object has to go.
    pub want: Option<K::Props>,
    /// What was observed; `None` means that it does not exist.
    pub seen: Option<K::Seen>,
    /// What state says.
    pub was: Option<Recorded<K::Props, K::Outputs>>,
    /// The last call, if its effect is not confirmed yet.
    pub pursuit: Option<Pursuit<K::Call>>,
    /// The mark to write on what is created.
    pub mark: Mark,
}

/// What comes next for a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next<C, O> {
    /// Nothing is left to do; these are the outputs.
    Converged(O),
    /// It does not exist, and is not wanted.
    Gone,
    /// It exists, is not wanted, and stays, because its props say so: the pipeline forgets it.
    Kept,
    /// These calls, in this order; the list is complete as far as it can be known now.
    Calls(Vec<Proposed<C>>),
    /// Nothing can be done until this holds; `then` is what is expected to be left.
    Wait {
        /// What is waited for.
        condition: Condition,
        /// The calls expected after it.
        then: Vec<Proposed<C>>,
    },
    /// What is wanted can't be had in place.
    Replace {
        /// The reason, as a fragment: `subnets can't be changed`.
        because: String,
        /// What deleting the present object does to data.
        effect: DataEffect,
    },
    /// It won't be done: the wish is impossible or unsafe.
    Refuse {
        /// The reason, as a fragment.
        because: String,
        /// What to do about it.
        help: String,
    },
    /// It was tried and AWS reports that it failed.
    Failed {
        /// The cause in AWS's words, as far as they are known.
        cause: String,
        /// What to do about it.
        help: String,
    },
}

/// What a call does to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Makes it.
    Create,
    /// Changes it.
    Update,
    /// Removes it.
    Delete,
}

/// A field that a call changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The field, as in the props: `brokers.count`.
    pub field: String,
    /// Its present value, if the object exists and shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// The wanted value; a reference means known after apply. `None` means that it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

impl Change {
    /// A field that goes from `from` to `to`.
    pub fn new(
        field: impl Into<String>,
        from: Option<impl Serialize>,
        to: Option<impl Serialize>,
    ) -> Self {
        let value = |v| serde_json::to_value(v).unwrap_or(Value::Null);
        Self {
            field: field.into(),
            from: from.map(|v| value(serde_json::to_value(v).unwrap_or(Value::Null))),
            to: to.map(|v| value(serde_json::to_value(v).unwrap_or(Value::Null))),
        }
    }
}

/// One call of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposed<C> {
    /// The call with its arguments.
    pub call: C,
    /// The operation, `kafka:UpdateBrokerCount`.
    pub op: String,
    /// What it does to the object.
    pub effect: Effect,
    /// The fields that it changes.
    #[serde(default)]
    pub fields: Vec<Change>,
    /// What it does to data.
    #[serde(default)]
    pub data: DataEffect,
    /// The outputs that it may change; all others keep their recorded value.
    #[serde(default)]
    pub may_change: Vec<String>,
    /// How long it usually takes until the object is ready again, in seconds.
    #[serde(default)]
    pub usual_secs: u64,
    /// Made only if this holds, which is known only then: `if protection is on`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_if: Option<String>,
    /// Does a part of the work each time: asked for again after it was accepted, it is sent again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeats: bool,
    /// How long its request may take, in seconds, if that is longer than [`LONGEST_REQUEST`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_secs: Option<u64>,
    /// What it was decided on.
    #[serde(default)]
    pub guard: Guard,
}

impl<C> Proposed<C> {
    /// A call without changed fields, with no effect on data, that takes no noticeable time.
    pub fn new(op: &str, effect: Effect, call: C) -> Self {
        Self {
            call,
            op: op.into(),
            effect,
            fields: Vec::new(),
            data: DataEffect::NONE,
            may_change: Vec::new(),
            usual_secs: 0,
            only_if: None,
            repeats: false,
            longest_secs: None,
            guard: Guard::default(),
        }
    }

    /// Adds changed fields.
    #[must_use]
    pub fn fields(mut self, fields: impl IntoIterator<Item = Change>) -> Self {
        self.fields.extend(fields);
        self
    }

    /// Sets what it does to data.
    #[must_use]
    pub fn data(mut self, data: DataEffect) -> Self {
        self.data = data;
        self
    }

    /// Names outputs that it may change.
    #[must_use]
    pub fn may_change(mut self, outputs: &[&str]) -> Self {
        self.may_change.extend(outputs.iter().map(|&o| o.to_owned()));
        self
    }

    /// Sets how long it usually takes.
    #[must_use]
    pub fn usual(mut self, usual: Duration) -> Self {
        self.usual_secs = usual.as_secs();
        self
    }

    /// Makes it conditional.
    #[must_use]
    pub fn only_if(mut self, condition: impl Into<String>) -> Self {
        self.only_if = Some(condition.into());
        self
    }

    /// Says that each time it does a part of the work: deleting a thousand of many objects. Without this, a call that is asked for
    /// again after it was accepted is taken for one whose effect is not visible yet.
    #[must_use]
    pub fn repeats(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// Lets its request take longer than [`LONGEST_REQUEST`]. A successor of this run doesn't wait for it, so it has to be harmless
    /// whenever it arrives: the upload of a content-addressed object that must not exist yet.
    #[must_use]
    pub fn longest(mut self, longest: Duration) -> Self {
        self.longest_secs = Some(longest.as_secs());
        self
    }

    /// How long its request may take, with whatever is read on the way: then it counts as not answered.
    pub fn limit(&self) -> Duration {
        self.longest_secs.map_or(LONGEST_REQUEST, Duration::from_secs)
    }

    /// Sets what it was decided on.
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_from_tags_and_text() {
        let mark =
            Mark { lineage: "l1".into(), pipeline: "orders".into(), address: "kafka.main".into() };
        let ours = MarkSeen::Lineage { lineage: "l1".into(), pipeline: "orders".into() };
        assert_eq!(Mark::seen_in_tags(&mark.tags()), ours);
        assert_eq!(Mark::seen_in_text(&format!("Brokers of orders {}", mark.text())), ours);
        assert_eq!(Mark::seen_in_text("no mark"), MarkSeen::Absent);
    }
}
