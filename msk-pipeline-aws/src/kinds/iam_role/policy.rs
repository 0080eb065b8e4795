//! Policy documents: statements whose resources may be outputs of other resources, and the comparison of documents by meaning.
//!
//! # Sources
//! Handbook aws.md §5 (policy comparison).

use std::collections::BTreeSet;

use msk_pipeline_core::kind::Input;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One statement of an identity policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// Its id: letters and digits.
    pub sid: String,
    /// `kafka-cluster:ReadData`, …
    pub actions: Vec<String>,
    /// What they are allowed on.
    pub resources: Vec<Scope>,
    /// Conditions as in the policy language; null for none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub condition: Value,
}

impl Statement {
    /// Allows `actions` on `resources`.
    pub fn allow(
        sid: impl Into<String>,
        actions: &[&str],
        resources: impl IntoIterator<Item = Scope>,
    ) -> Self {
        Self {
            sid: sid.into(),
            actions: actions.iter().map(|&a| a.to_owned()).collect(),
            resources: resources.into_iter().collect(),
            condition: Value::Null,
        }
    }

    fn to_json(&self) -> Option<Value> {
        let resources: Option<Vec<String>> = self.resources.iter().map(Scope::arn).collect();
        let mut statement = json!({
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": self.actions,
            "Resource": resources?,
        });
        if !self.condition.is_null() {
            statement["Condition"] = self.condition.clone();
        }
        Some(statement)
    }
}

/// What a statement is about: an ARN pattern, or one that is derived from another resource's output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scope {
    /// An ARN, or a pattern.
    Arn(String),
    /// An output, changed: the topics of a cluster have the cluster's ARN with another word and a suffix.
    Of {
        /// The ARN to begin with.
        arn: Input<String>,
        /// Replaces the first of these by the second: `:cluster/`, `:topic/`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replace: Option<(String, String)>,
        /// Is put at its end: `/*`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        append: String,
    },
}

impl Scope {
    /// Exactly what an output names.
    pub fn of(arn: Input<String>) -> Self {
        Scope::Of { arn, replace: None, append: String::new() }
    }

    /// What an output names, with `append` at its end: the objects of a bucket.
    pub fn within(arn: Input<String>, append: impl Into<String>) -> Self {
        Scope::Of { arn, replace: None, append: append.into() }
    }

    /// Topics (`what` = `topic`), groups (`group`) or transactional ids (`transactional-id`) of a cluster.
    pub fn of_cluster(cluster_arn: Input<String>, what: &str, name: &str) -> Self {
        let replace = Some((":cluster/".to_owned(), format!(":{what}/")));
        Scope::Of { arn: cluster_arn, replace, append: format!("/{name}") }
    }

    fn arn(&self) -> Option<String> {
        match self {
            Scope::Arn(arn) => Some(arn.clone()),
            Scope::Of { arn, replace, append } => {
                let arn = arn.known()?;
                let arn = match replace {
                    Some((from, to)) => arn.replacen(from.as_str(), to, 1),
                    None => arn.clone(),
                };
                Some(arn + append)
            }
        }
    }
}

/// The document of these statements; `None` while a resource in it is not known.
pub(super) fn document(statements: &[Statement]) -> Option<Value> {
    let statements: Option<Vec<Value>> = statements.iter().map(Statement::to_json).collect();
    Some(json!({ "Version": "2012-10-17", "Statement": statements? }))
}

/// Undoes the URL encoding in which IAM gives documents.
pub(super) fn decode(text: &str) -> Value {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        match (first, hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// Whether two documents mean the same: the order of statements and of list members does not count, a scalar is a list of one, effects
/// and actions are compared without case, an account id stands for the account's root.
pub(super) fn equivalent(a: &Value, b: &Value) -> bool {
    canonical(a) == canonical(b)
}

fn canonical(document: &Value) -> Value {
    let Some(map) = document.as_object() else { return document.clone() };
    let mut out = map.clone();
    let mut statements: Vec<Value> =
        many(map.get("Statement")).into_iter().map(canonical_statement).collect();
    statements.sort_by_key(Value::to_string);
    out.insert("Statement".into(), Value::Array(statements));
    Value::Object(out)
}

fn canonical_statement(statement: &Value) -> Value {
    let Some(map) = statement.as_object() else { return statement.clone() };
    let canonical = map.iter().map(|(key, value)| {
        let value = match key.as_str() {
            "Effect" => Value::String(value.as_str().unwrap_or_default().to_ascii_lowercase()),
            "Action" | "NotAction" => set(value, str::to_ascii_lowercase),
            "Resource" | "NotResource" => set(value, str::to_owned),
            "Principal" | "NotPrincipal" => match value {
                Value::Object(map) => map
                    .iter()
                    .map(|(kind, who)| (kind.clone(), set(who, root)))
                    .collect::<Map<_, _>>()
                    .into(),
                // `*` and `{"AWS": "*"}` are one.
                other => json!({ "AWS": set(other, str::to_owned) }),
            },
            "Condition" => conditions(value),
            _ => value.clone(),
        };
        (key.clone(), value)
    });
    Value::Object(canonical.collect())
}

fn conditions(value: &Value) -> Value {
    let Some(operators) = value.as_object() else { return value.clone() };
    let operators = operators.iter().map(|(operator, keys)| {
        let keys = keys.as_object().into_iter().flatten();
        let keys: Map<_, _> =
            keys.map(|(k, v)| (k.to_ascii_lowercase(), set(v, str::to_owned))).collect();
        (operator.clone(), Value::Object(keys))
    });
    Value::Object(operators.collect())
}

fn root(who: &str) -> String {
    if who.len() == 12 && who.bytes().all(|b| b.is_ascii_digit()) {
        return format!("arn:aws:iam::{who}:root");
    }
    who.to_owned()
}

/// A scalar or a list as a sorted list without repetition.
fn set(value: &Value, normal: impl Fn(&str) -> String) -> Value {
    let text = |v: &Value| match v {
        Value::String(s) => normal(s),
        other => other.to_string(),
    };
    many(Some(value)).into_iter().map(text).collect::<BTreeSet<_>>().into_iter().collect()
}

fn many(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_compared_by_meaning() {
        let ours = json!({ "Version": "2012-10-17", "Statement": [
            { "Sid": "A", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["a", "b"] },
            { "Sid": "B", "Effect": "Allow", "Action": "sts:AssumeRole",
              "Principal": { "AWS": "111111111111" },
              "Condition": { "StringEquals": { "aws:SourceAccount": "1" } } },
        ] });
        let same = json!({ "Version": "2012-10-17", "Statement": [
            { "Sid": "B", "Effect": "allow", "Action": ["sts:assumerole"],
              "Principal": { "AWS": ["arn:aws:iam::111111111111:root"] },
              "Condition": { "StringEquals": { "AWS:SourceAccount": ["1"] } } },
            { "Sid": "A", "Effect": "Allow", "Action": "s3:GetObject", "Resource": ["b", "a", "a"] },
        ] });
        assert!(equivalent(&ours, &same));
        let one = json!({ "Version": "2012-10-17", "Statement": ours["Statement"][0] });
        let list = json!({ "Version": "2012-10-17", "Statement": [ours["Statement"][0]] });
        assert!(equivalent(&one, &list), "a single statement is a list of one");
        for (path, other) in [
            ("/Statement/0/Resource", json!(["a"])),
            ("/Statement/0/Sid", json!("C")),
            ("/Statement/0/Effect", json!("Deny")),
            ("/Statement/1/Condition/StringEquals/aws:SourceAccount", json!("2")),
            ("/Version", json!("2008-10-17")),
        ] {
            let mut changed = ours.clone();
            *changed.pointer_mut(path).unwrap() = other;
            assert!(!equivalent(&ours, &changed), "{path}");
        }
    }

    #[test]
    fn documents_are_decoded() {
        let text = "%7B%22a%22%3A%22100%25%20%C3%BC%2B%22%7D";
        assert_eq!(decode(text), json!({ "a": "100% ü+" }));
        assert_eq!(decode("{\"a\":\"b\"}"), json!({ "a": "b" }));
    }

    #[test]
    fn resources_are_derived_from_outputs() {
        let cluster = Input::from("arn:aws:kafka:eu-west-1:1:cluster/main/u-1");
        let topics = Scope::of_cluster(cluster, "topic", "orders.*");
        assert_eq!(topics.arn().unwrap(), "arn:aws:kafka:eu-west-1:1:topic/main/u-1/orders.*");
        let pending = Scope::within(Input::output("bucket", "bucket_arn"), "/*");
        let statement = Statement::allow("A", &["s3:GetObject"], [pending]);
        assert_eq!(document(std::slice::from_ref(&statement)), None);
        let back: Statement =
            serde_json::from_value(serde_json::to_value(&statement).unwrap()).unwrap();
        assert_eq!(back, statement);
    }
}
