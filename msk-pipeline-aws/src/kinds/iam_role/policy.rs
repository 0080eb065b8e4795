//! Policy documents: statements whose resources may be outputs of other resources, and the comparison of documents by meaning.
//!
//! # Sources
//! Handbook aws.md §5 (policy comparison).

use std::collections::BTreeSet;

use msk_pipeline_core::kind::{Change, Input};
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

/// What differs between two documents, member by member: one change a statement that comes or goes (`policy.Secret`), and in one that
/// stays one a member that comes or goes (`policy.Data.Action`) or a condition that changes
/// (`policy.Secret.Condition.StringEquals.aws:SourceAccount`). A statement without an id is counted: `policy.Statement[0]`.
///
/// Documents that mean the same have no changes.
pub(super) fn changes(field: &str, from: Option<&Value>, to: Option<&Value>) -> Vec<Change> {
    let is_document = |document: &Value| document.get("Statement").is_some();
    if [from, to].into_iter().flatten().any(|document| !is_document(document)) {
        return vec![Change::new(field, from, to)];
    }
    let mut found = Vec::new();
    let version = |document: Option<&Value>| document.and_then(|d| d.get("Version")).cloned();
    // The version of a document that comes or goes is no news.
    if from.is_some() && to.is_some() && version(from) != version(to) {
        found.push(Change::new(format!("{field}.Version"), version(from), version(to)));
    }
    let statements = |document: Option<&Value>| -> Vec<Value> {
        many(document.and_then(|d| d.get("Statement"))).into_iter().cloned().collect()
    };
    let (mut old, mut new) = (statements(from), statements(to));
    let same = |a: &Value, b: &Value| canonical_statement(a) == canonical_statement(b);
    old.retain(|statement| match new.iter().position(|other| same(statement, other)) {
        Some(at) => {
            new.remove(at);
            false
        }
        None => true,
    });
    let (mut old, new) = (named(old), named(new));
    for (name, statement) in &new {
        let field = format!("{field}.{name}");
        match old.iter().position(|(other, _)| other == name) {
            Some(at) => found.extend(members(&field, &old.remove(at).1, statement)),
            None => found.push(Change::new(field, None::<()>, Some(bare(statement)))),
        }
    }
    let gone = old.iter().map(|(name, statement)| {
        Change::new(format!("{field}.{name}"), Some(bare(statement)), None::<()>)
    });
    found.extend(gone);
    found
}

/// The document as far as it is known: a resource that is not is the reference to it.
pub(super) fn preview(statements: &[Statement]) -> Value {
    let statements = statements.iter().map(|statement| {
        let resource = |scope: &Scope| match (scope.arn(), scope) {
            (Some(arn), _) => Value::String(arn),
            (None, Scope::Of { arn, .. }) => serde_json::to_value(arn).unwrap_or_default(),
            (None, Scope::Arn(arn)) => Value::String(arn.clone()),
        };
        let resources: Vec<Value> = statement.resources.iter().map(resource).collect();
        let known = Statement { resources: Vec::new(), ..statement.clone() };
        let mut value = known.to_json().unwrap_or_default();
        value["Resource"] = resources.into();
        value
    });
    json!({ "Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>() })
}

/// Statements with their ids; those without one are counted.
fn named(statements: Vec<Value>) -> Vec<(String, Value)> {
    let name = |(n, statement): (usize, Value)| {
        let sid = statement.get("Sid").and_then(Value::as_str).filter(|sid| !sid.is_empty());
        (sid.map_or_else(|| format!("Statement[{n}]"), str::to_owned), statement)
    };
    statements.into_iter().enumerate().map(name).collect()
}

/// A statement without what goes without saying beside its name.
fn bare(statement: &Value) -> Value {
    let mut statement = statement.clone();
    if let Some(map) = statement.as_object_mut() {
        map.remove("Sid");
        if map.get("Effect").is_some_and(|effect| effect == "Allow") {
            map.remove("Effect");
        }
    }
    statement
}

/// What differs between two statements of one id.
fn members(field: &str, old: &Value, new: &Value) -> Vec<Change> {
    let keys = |value: &Value| -> BTreeSet<String> {
        value.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect()
    };
    let (was, is) = (canonical_statement(old), canonical_statement(new));
    let mut found = Vec::new();
    for key in &keys(old) | &keys(new) {
        if was.get(&key) == is.get(&key) {
            continue;
        }
        let field = format!("{field}.{key}");
        let (from, to) = (old.get(&key), new.get(&key));
        match key.as_str() {
            "Action" | "NotAction" => {
                found.extend(listed(&field, from, to, str::to_ascii_lowercase));
            }
            "Resource" | "NotResource" => found.extend(listed(&field, from, to, str::to_owned)),
            "Principal" | "NotPrincipal" if from.and(to).is_some_and(Value::is_object) => {
                let (from, to) = (from.unwrap_or(&Value::Null), to.unwrap_or(&Value::Null));
                for kind in &keys(from) | &keys(to) {
                    let field = format!("{field}.{kind}");
                    found.extend(listed(&field, from.get(&kind), to.get(&kind), root));
                }
            }
            "Condition" => {
                let empty = Value::Null;
                let (from, to) = (from.unwrap_or(&empty), to.unwrap_or(&empty));
                let (was, is) = (conditions(from), conditions(to));
                for operator in &keys(&was) | &keys(&is) {
                    let (was, is) = (&was[&operator], &is[&operator]);
                    for name in (&keys(was) | &keys(is)).into_iter().filter(|n| was[n] != is[n]) {
                        let field = format!("{field}.{operator}.{name}");
                        found.push(Change::new(field, was.get(&name), is.get(&name)));
                    }
                }
            }
            _ => found.push(Change::new(field, from, to)),
        }
    }
    found
}

/// One change a member of a list that comes or goes.
fn listed(
    field: &str,
    from: Option<&Value>,
    to: Option<&Value>,
    normal: impl Fn(&str) -> String,
) -> Vec<Change> {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), &normal);
    let (old, new) = (many(from), many(to));
    let lacks = |list: &[&Value], item: &Value| list.iter().all(|other| text(other) != text(item));
    let gone = old.iter().filter(|item| lacks(&new, item));
    let come = new.iter().filter(|item| lacks(&old, item));
    gone.map(|item| Change::new(field, Some(item), None::<()>))
        .chain(come.map(|item| Change::new(field, None::<()>, Some(item))))
        .collect()
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

    #[track_caller]
    fn changed(from: Option<&Value>, to: Option<&Value>, expected: &[(&str, Value, Value)]) {
        let found: Vec<_> = changes("policy", from, to)
            .into_iter()
            .map(|c| (c.field, c.from.unwrap_or_default(), c.to.unwrap_or_default()))
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(f, a, b)| ((*f).to_owned(), a.clone(), b.clone())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_change_of_a_document_is_told_member_by_member() {
        let none = || Value::Null;
        let document =
            |statements: Value| json!({ "Version": "2012-10-17", "Statement": statements });
        let read = json!({ "Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["a", "b"] });
        let who = json!({ "Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": { "Service": "kafkaconnect.amazonaws.com" },
            "Condition": { "StringEquals": { "aws:SourceAccount": "1" } } });
        let ours = document(json!([read, who]));
        let with = |path: &str, value: Value| {
            let mut other = ours.clone();
            *other.pointer_mut(path).unwrap() = value;
            other
        };
        changed(Some(&ours), Some(&with("/Statement/0/Action", json!("S3:getobject"))), &[]);
        let more = with("/Statement/0/Action", json!(["s3:getobject", "s3:PutObject"]));
        let put = json!("s3:PutObject");
        changed(Some(&ours), Some(&more), &[("policy.Read.Action", none(), put.clone())]);
        changed(Some(&more), Some(&ours), &[("policy.Read.Action", put, none())]);
        let other = with("/Statement/0/Resource", json!(["b", "c"]));
        changed(
            Some(&ours),
            Some(&other),
            &[
                ("policy.Read.Resource", json!("a"), none()),
                ("policy.Read.Resource", none(), json!("c")),
            ],
        );
        let denied = with("/Statement/0/Effect", json!("Deny"));
        changed(
            Some(&ours),
            Some(&denied),
            &[("policy.Read.Effect", json!("Allow"), json!("Deny"))],
        );
        // The statement without an id is the only one that differs.
        let account = with("/Statement/1/Condition/StringEquals/aws:SourceAccount", json!("2"));
        let field = "policy.Statement[0].Condition.StringEquals.aws:sourceaccount";
        changed(Some(&ours), Some(&account), &[(field, json!(["1"]), json!(["2"]))]);
        let service = with("/Statement/1/Principal/Service", json!("ec2.amazonaws.com"));
        let field = "policy.Statement[0].Principal.Service";
        changed(
            Some(&ours),
            Some(&service),
            &[
                (field, json!("kafkaconnect.amazonaws.com"), none()),
                (field, none(), json!("ec2.amazonaws.com")),
            ],
        );
        let short = json!({ "Action": ["s3:GetObject"], "Resource": ["a", "b"] });
        let without = document(json!([who]));
        changed(Some(&without), Some(&ours), &[("policy.Read", none(), short.clone())]);
        changed(Some(&ours), Some(&without), &[("policy.Read", short.clone(), none())]);
        changed(None, Some(&document(json!([read]))), &[("policy.Read", none(), short)]);
        // What is no document is told as it is.
        let odd = json!("not JSON");
        changed(Some(&odd), Some(&ours), &[("policy", odd.clone(), ours.clone())]);
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
