//! References between resources: a prop that is another resource's output.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::contract::Proposed;
use super::verdict::Verdict;
use crate::address::Address;

const REF: &str = "$ref";
const OUTPUT: &str = "output";

/// The output of another resource, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ref {
    /// Whose output.
    pub address: Address,
    /// Which output.
    pub output: String,
}

impl Ref {
    /// Output `output` of the resource at `address`.
    pub fn new(address: impl Into<Address>, output: impl Into<String>) -> Self {
        Self { address: address.into(), output: output.into() }
    }

    fn to_value(&self) -> Value {
        serde_json::json!({ REF: self.address, OUTPUT: self.output })
    }

    fn from_value(value: &Value) -> Option<Self> {
        let map = value.as_object()?;
        (map.len() == 2).then_some(())?;
        Some(Self::new(map.get(REF)?.as_str()?, map.get(OUTPUT)?.as_str()?))
    }
}

/// A prop that is a plain value, or the output of another resource that is known only once that resource is ready.
///
/// A kind sees [`Input::Pending`] only while planning; before a call is made every input has been resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<T> {
    /// The value.
    Known(T),
    /// Known after the resource that it names is ready.
    Pending(Ref),
}

impl<T> Input<T> {
    /// The value, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Input::Known(value) => Some(value),
            Input::Pending(_) => None,
        }
    }

    /// The output `output` of the resource at `address`.
    pub fn output(address: impl Into<Address>, output: impl Into<String>) -> Self {
        Input::Pending(Ref::new(address, output))
    }
}

impl<T: PartialEq> Input<T> {
    /// True if the value is known to differ from `seen`, or not known at all.
    pub fn differs(&self, seen: &T) -> bool {
        self.known() != Some(seen)
    }
}

impl<T> From<T> for Input<T> {
    fn from(value: T) -> Self {
        Input::Known(value)
    }
}

impl From<&str> for Input<String> {
    fn from(value: &str) -> Self {
        Input::Known(value.to_owned())
    }
}

impl<T: Serialize> Serialize for Input<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Input::Known(value) => value.serialize(serializer),
            Input::Pending(reference) => reference.to_value().serialize(serializer),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Input<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match Ref::from_value(&value) {
            Some(reference) => Ok(Input::Pending(reference)),
            None => T::deserialize(value).map(Input::Known).map_err(serde::de::Error::custom),
        }
    }
}

/// Every reference in `value`, in document order.
pub(crate) fn references(value: &Value) -> Vec<Ref> {
    fn walk(value: &Value, found: &mut Vec<Ref>) {
        if let Some(reference) = Ref::from_value(value) {
            found.push(reference);
            return;
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            Value::Object(map) => map.values().for_each(|item| walk(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, &mut found);
    found
}

/// `value` with every reference replaced whose output is in `known`.
pub(crate) fn resolve(value: &Value, known: &BTreeMap<Address, Value>) -> Value {
    if let Some(reference) = Ref::from_value(value) {
        return match known.get(&reference.address).and_then(|o| o.get(&reference.output)) {
            Some(output) if !output.is_null() => output.clone(),
            _ => value.clone(),
        };
    }
    match value {
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| resolve(item, known)).collect())
        }
        Value::Object(map) => {
            Value::Object(map.iter().map(|(k, v)| (k.clone(), resolve(v, known))).collect())
        }
        plain => plain.clone(),
    }
}

/// True if the arguments `now` are those that were `planned`; a reference in the plan may have become any value.
///
/// For a step of the plan itself, whose references the engine resolves.
fn holds(planned: &Value, now: &Value) -> bool {
    matches(planned, now, &|_, _| true)
}

/// True if the arguments `now` are those that were `planned`, when a reference stands for what it refers to: the same reference, or the
/// output that it has by now.
pub(crate) fn holds_given(
    planned: &Value,
    now: &Value,
    outputs: &BTreeMap<Address, Value>,
) -> bool {
    matches(planned, now, &|reference, now| {
        let output = outputs.get(&reference.address).and_then(|o| o.get(&reference.output));
        *now == reference.to_value() || output == Some(now)
    })
}

impl Proposed<Value> {
    /// True if sending `now`, which does `data` to data, is what this listed: the same operation with the same arguments, and no
    /// graver.
    pub(crate) fn lists(&self, now: &Self, data: Verdict) -> bool {
        self.is_like(now, data) && holds(&self.call, &now.call)
    }

    /// The same across plans, where a reference stands for the output that it has by now.
    pub(crate) fn lists_given(&self, now: &Self, outputs: &BTreeMap<Address, Value>) -> bool {
        self.is_like(now, now.data.verdict) && holds_given(&self.call, &now.call, outputs)
    }

    fn is_like(&self, now: &Self, data: Verdict) -> bool {
        self.op == now.op && self.effect == now.effect && self.data.verdict >= data
    }
}

fn matches(planned: &Value, now: &Value, stands_for: &dyn Fn(&Ref, &Value) -> bool) -> bool {
    if let Some(reference) = Ref::from_value(planned) {
        return stands_for(&reference, now);
    }
    let matches = |planned, now| matches(planned, now, stands_for);
    match (planned, now) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| matches(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| matches(v, w)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Props {
        subnets: Input<Vec<String>>,
        groups: Vec<Input<String>>,
    }

    fn half_known(subnets: &[&str]) -> Value {
        json!({ "subnets": subnets, "groups": ["sg-1", { "$ref": "kafka.main.group", "output": "id" }] })
    }

    #[test]
    fn inputs_round_trip_and_resolve() {
        let props = Props {
            subnets: Input::output("network", "kafka_subnets"),
            groups: vec!["sg-1".into(), Input::output("kafka.main.group", "id")],
        };
        let value = serde_json::to_value(&props).unwrap();
        assert_eq!(serde_json::from_value::<Props>(value.clone()).unwrap(), props);
        assert_eq!(references(&value).len(), 2);

        let known =
            BTreeMap::from([(Address::new("network"), json!({ "kafka_subnets": ["a", "b"] }))]);
        let resolved = resolve(&value, &known);
        let half: Props = serde_json::from_value(resolved.clone()).unwrap();
        assert_eq!(half.subnets, Input::Known(vec!["a".into(), "b".into()]));
        assert_eq!(half.groups[1], props.groups[1], "an unknown output stays a reference");
        assert!(holds(&value, &resolved), "a planned reference may become any value");
        assert!(holds_given(&value, &half_known(&["a", "b"]), &known));
        assert!(
            !holds_given(&value, &half_known(&["a", "c"]), &known),
            "another value than was meant"
        );
        assert!(!holds(&resolved, &json!({ "subnets": ["a", "c"], "groups": ["sg-1", "sg-2"] })));
    }
}
