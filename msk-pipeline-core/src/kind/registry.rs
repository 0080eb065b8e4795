//! Kinds by name: a typed trait for those who write kinds, its erased twin for the engine, and one blanket implementation between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::contract::{
    Case, Guard, Kind, Mark, MarkSeen, Next, Proposed, Pursuit, Recorded, Sent, Succession, Target,
};
use super::error::{CallError, Class};
use super::status::Status;

/// [`Next`] without types.
pub type ErasedNext = Next<Value, Value>;
/// [`Proposed`] without types.
pub type ErasedProposed = Proposed<Value>;

/// [`Target`] without types.
#[derive(Debug, Clone)]
pub struct ErasedTarget {
    /// What is wanted, or recorded.
    pub props: Value,
    /// Recorded props and outputs.
    pub was: Option<(Value, Value)>,
    /// The last call, if unconfirmed.
    pub pursuit: Option<Pursuit<Value>>,
}

/// [`Case`] without types.
#[derive(Debug, Clone)]
pub struct ErasedCase {
    /// What is wanted.
    pub want: Option<Value>,
    /// What was observed.
    pub seen: Option<Value>,
    /// Recorded props and outputs.
    pub was: Option<(Value, Value)>,
    /// The last call, if unconfirmed.
    pub pursuit: Option<Pursuit<Value>>,
    /// The mark to write.
    pub mark: Mark,
}

/// A [`Kind`] without its types: what the engine works with. Implemented for every `Kind`; implement `Kind` instead.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait ErasedKind: Send + Sync {
    /// [`Kind::TYPE`].
    fn type_name(&self) -> &'static str;
    /// [`Kind::VERSION`].
    fn version(&self) -> u32;
    /// [`Kind::name`]; fails if the props are not of this kind.
    fn name(&self, props: &Value) -> Result<String, CallError>;
    /// [`Kind::succession`].
    fn succession(&self) -> Succession;
    /// [`Kind::visibility`].
    fn visibility(&self) -> Duration;
    /// [`Kind::observe`].
    async fn observe(&self, target: &ErasedTarget) -> Result<Option<Value>, CallError>;
    /// [`Kind::mark`].
    fn mark(&self, seen: &Value) -> Result<MarkSeen, CallError>;
    /// [`Kind::ids`].
    fn ids(&self, seen: &Value) -> Result<Vec<String>, CallError> {
        let _ = seen;
        Ok(Vec::new())
    }
    /// [`Kind::status`].
    fn status(&self, seen: &Value) -> Result<Option<Status>, CallError> {
        let _ = seen;
        Ok(Some(Status::exists()))
    }
    /// [`Kind::calls`].
    fn calls(&self, case: &ErasedCase) -> Result<ErasedNext, CallError>;
    /// [`Kind::perform`].
    async fn perform(&self, call: &Value, guard: &Guard) -> Result<Sent, CallError>;
}

fn read<K: Kind, T: DeserializeOwned>(what: &str, value: &Value) -> Result<T, CallError> {
    T::deserialize(value).map_err(|error| {
        CallError::new(Class::Invalid, K::TYPE, format!("{what} of this kind expected: {error}"))
    })
}

fn write<K: Kind, T: Serialize>(what: &str, value: &T) -> Result<Value, CallError> {
    serde_json::to_value(value).map_err(|error| {
        CallError::new(Class::Invalid, K::TYPE, format!("{what} can't be stored: {error}"))
    })
}

fn recorded<K: Kind>(was: Option<&(Value, Value)>) -> Option<Recorded<K::Props, K::Outputs>> {
    let (props, outputs) = was?;
    // What an older version of the kind recorded and this one can't read is treated as not recorded: observation decides.
    Some(Recorded {
        props: read::<K, _>("props", props).ok()?,
        outputs: match outputs {
            Value::Null => None,
            Value::Object(map) if map.is_empty() => read::<K, _>("outputs", outputs)
                .or_else(|_| read::<K, _>("outputs", &Value::Null))
                .ok(),
            outputs => read::<K, _>("outputs", outputs).ok(),
        },
    })
}

fn pursuit<K: Kind>(pursuit: Option<&Pursuit<Value>>) -> Option<Pursuit<K::Call>> {
    let p = pursuit?;
    Some(Pursuit {
        call: read::<K, _>("call", &p.call).ok()?,
        op: p.op.clone(),
        effect: p.effect,
        guard: p.guard.clone(),
        sent: p.sent.clone(),
        begun: p.begun,
        ended: p.ended,
    })
}

fn proposals<K: Kind>(list: Vec<Proposed<K::Call>>) -> Result<Vec<ErasedProposed>, CallError> {
    list.into_iter()
        .map(|p| {
            Ok(Proposed {
                call: write::<K, _>("call", &p.call)?,
                op: p.op,
                effect: p.effect,
                fields: p.fields,
                data: p.data,
                may_change: p.may_change,
                usual_secs: p.usual_secs,
                only_if: p.only_if,
                repeats: p.repeats,
                longest_secs: p.longest_secs,
                guard: p.guard,
            })
        })
        .collect()
}

#[async_trait]
impl<K: Kind> ErasedKind for K {
    fn type_name(&self) -> &'static str {
        K::TYPE
    }

    fn version(&self) -> u32 {
        K::VERSION
    }

    fn name(&self, props: &Value) -> Result<String, CallError> {
        Ok(K::name(&read::<K, _>("props", props)?))
    }

    fn succession(&self) -> Succession {
        K::succession()
    }

    fn visibility(&self) -> Duration {
        K::visibility()
    }

    async fn observe(&self, target: &ErasedTarget) -> Result<Option<Value>, CallError> {
        let target = Target::<K> {
            props: read::<K, _>("props", &target.props)?,
            was: recorded::<K>(target.was.as_ref()),
            pursuit: pursuit::<K>(target.pursuit.as_ref()),
        };
        Kind::observe(self, &target)
            .await?
            .map(|seen| write::<K, _>("observation", &seen))
            .transpose()
    }

    fn mark(&self, seen: &Value) -> Result<MarkSeen, CallError> {
        Ok(K::mark(&read::<K, _>("observation", seen)?))
    }

    fn ids(&self, seen: &Value) -> Result<Vec<String>, CallError> {
        Ok(K::ids(&read::<K, _>("observation", seen)?))
    }

    fn status(&self, seen: &Value) -> Result<Option<Status>, CallError> {
        Ok(K::status(&read::<K, _>("observation", seen)?))
    }

    fn calls(&self, case: &ErasedCase) -> Result<ErasedNext, CallError> {
        let case = Case::<K> {
            want: case.want.as_ref().map(|v| read::<K, _>("props", v)).transpose()?,
            seen: case.seen.as_ref().map(|v| read::<K, _>("observation", v)).transpose()?,
            was: recorded::<K>(case.was.as_ref()),
            pursuit: pursuit::<K>(case.pursuit.as_ref()),
            mark: case.mark.clone(),
        };
        Ok(match Kind::calls(self, &case) {
            // Null is how state says that an object was never ready: a kind without outputs has an empty map of them.
            Next::Converged(outputs) => {
                Next::Converged(match write::<K, _>("outputs", &outputs)? {
                    Value::Null => Value::Object(serde_json::Map::default()),
                    outputs => outputs,
                })
            }
            Next::Gone => Next::Gone,
            Next::Kept => Next::Kept,
            Next::Calls(list) => Next::Calls(proposals::<K>(list)?),
            Next::Wait { condition, then } => Next::Wait { condition, then: proposals::<K>(then)? },
            Next::Replace { because, effect } => Next::Replace { because, effect },
            Next::Refuse { because, help } => Next::Refuse { because, help },
            Next::Failed { cause, help } => Next::Failed { cause, help },
        })
    }

    async fn perform(&self, call: &Value, guard: &Guard) -> Result<Sent, CallError> {
        Kind::perform(self, &read::<K, _>("call", call)?, guard).await
    }
}

/// The kinds that an engine knows, by name.
#[derive(Default, Clone)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Arc<dyn ErasedKind>>,
}

impl Registry {
    /// Adds a kind.
    #[must_use]
    pub fn with<K: Kind>(self, kind: K) -> Self {
        self.with_erased(Arc::new(kind))
    }

    /// Adds a kind that has already lost its types.
    #[must_use]
    pub fn with_erased(mut self, kind: Arc<dyn ErasedKind>) -> Self {
        self.kinds.insert(kind.type_name(), kind);
        self
    }

    /// The kind named `type_name`.
    pub fn get(&self, type_name: &str) -> Option<&Arc<dyn ErasedKind>> {
        self.kinds.get(type_name)
    }

    /// All kinds, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn ErasedKind>> {
        self.kinds.values()
    }
}
