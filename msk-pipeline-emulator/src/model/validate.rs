//! Checks an input against its shape: required members, types, lengths, ranges, patterns, enums.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use regex_lite::Regex;
use serde_json::Value;

use super::{Model, Type};

/// Upper bounds of the models that AWS does not enforce: (service, shape, why).
pub const UNENFORCED: &[(&str, &str, &str)] = &[(
    "kafka",
    "__integerMin1Max15",
    "quotas allow more brokers than the model's 15 (handbook msk §2)",
)];

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A required member is absent.
    Missing,
    /// It has another type than the model says.
    Type,
    /// Length or value out of bounds.
    Range,
    /// The text does not match the pattern.
    Pattern,
    /// Not one of the enum's values.
    Enum,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, by wire names, list positions from 1: `brokerNodeGroupInfo.clientSubnets`.
    pub path: String,
    /// The member's model name.
    pub member: String,
    /// What.
    pub kind: Kind,
    /// The offending value as text (empty if missing).
    pub value: String,
    /// `Member must not be null` and the like, as AWS's validation says it.
    pub constraint: String,
}

/// Everything that is wrong with `value` as a `shape` of `model`; `service` selects the exceptions of [`UNENFORCED`].
pub fn validate(model: &Model, service: &str, shape: &str, value: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    check(model, service, shape, value, "", "", &mut problems);
    problems
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[expect(clippy::cast_precision_loss, reason = "lengths stay far below 2^53")]
fn check(
    model: &Model,
    service: &str,
    name: &str,
    value: &Value,
    path: &str,
    member: &str,
    problems: &mut Vec<Problem>,
) {
    let shape = model.shape(name);
    let mut problem = |kind, constraint: String| {
        let value = match value {
            Value::String(s) => s.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        problems.push(Problem {
            path: path.into(),
            member: member.into(),
            kind,
            value,
            constraint,
        });
    };
    let fits = match shape.kind {
        Type::Structure | Type::Map => value.is_object(),
        Type::List => value.is_array(),
        Type::String | Type::Blob => value.is_string(),
        Type::Integer | Type::Long | Type::Timestamp => value.is_i64() || value.is_u64(),
        Type::Double | Type::Float => value.is_number(),
        Type::Boolean => value.is_boolean(),
    };
    if !fits {
        problem(Kind::Type, format!("Member must be of type {:?}", shape.kind).to_lowercase());
        return;
    }
    let bounded = !UNENFORCED.iter().any(|(s, n, _)| *s == service && *n == name);
    let size = match value {
        Value::String(s) => Some(s.chars().count() as f64),
        Value::Array(a) => Some(a.len() as f64),
        Value::Object(o) if shape.kind == Type::Map => Some(o.len() as f64),
        Value::Number(n) => n.as_f64(),
        _ => None,
    };
    // A blob's bounds count the decoded bytes.
    let size = match (shape.kind, value) {
        (Type::Blob, Value::String(s)) => Some((s.trim_end_matches('=').len() * 3 / 4) as f64),
        _ => size,
    };
    let unit = match shape.kind {
        Type::Integer | Type::Long | Type::Double | Type::Float => "value",
        _ => "length",
    };
    if let Some(size) = size {
        if let Some(min) = shape.min.filter(|min| size < *min) {
            problem(Kind::Range, format!("Member must have {unit} greater than or equal to {min}"));
        }
        if let Some(max) = shape.max.filter(|max| bounded && size > *max) {
            problem(Kind::Range, format!("Member must have {unit} less than or equal to {max}"));
        }
    }
    match value {
        Value::String(text) => {
            if !shape.values.is_empty() && !shape.values.contains(text) {
                let set = format!("[{}]", shape.values.join(", "));
                problem(Kind::Enum, format!("Member must satisfy enum value set: {set}"));
            }
            if let Some(pattern) = shape.pattern.as_deref().filter(|p| !matches(p, text)) {
                problem(
                    Kind::Pattern,
                    format!("Member must satisfy regular expression pattern: {pattern}"),
                );
            }
        }
        Value::Array(items) => {
            let inner = shape.member.as_ref().expect("a list has a member");
            for (i, item) in items.iter().enumerate() {
                let path = format!("{path}.{}.member", i + 1);
                check(model, service, &inner.shape, item, &path, member, problems);
            }
        }
        Value::Object(map) if shape.kind == Type::Map => {
            let (k, v) = (
                shape.key.as_ref().expect("a map has a key"),
                shape.value.as_ref().expect("a map has a value"),
            );
            for (key, item) in map {
                check(
                    model,
                    service,
                    &k.shape,
                    &Value::String(key.clone()),
                    path,
                    member,
                    problems,
                );
                check(
                    model,
                    service,
                    &v.shape,
                    item,
                    &format!("{path}.{key}.member"),
                    member,
                    problems,
                );
            }
        }
        Value::Object(map) => {
            for required in &shape.required {
                if map.get(required).is_none_or(Value::is_null) {
                    // The payload may be empty; labels can't be.
                    let wire =
                        shape.members.get(required).map_or(required.as_str(), |m| m.wire(required));
                    problems.push(Problem {
                        path: join(path, wire),
                        member: required.clone(),
                        kind: Kind::Missing,
                        value: String::new(),
                        constraint: "Member must not be null".into(),
                    });
                }
            }
            for (key, item) in map.iter().filter(|(_, v)| !v.is_null()) {
                if let Some(m) = shape.members.get(key).filter(|m| !m.streaming()) {
                    let path = join(path, m.wire(key));
                    check(model, service, &m.shape, item, &path, key, problems);
                }
            }
        }
        _ => {}
    }
}

/// Whether the whole of `text` matches. Patterns that the small matcher can't read match everything.
fn matches(pattern: &str, text: &str) -> bool {
    static SEEN: OnceLock<Mutex<BTreeMap<String, Option<Regex>>>> = OnceLock::new();
    let mut seen = SEEN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let regex = seen.entry(pattern.to_owned()).or_insert_with(|| compile(pattern));
    regex.as_ref().is_none_or(|r| r.is_match(text))
}

/// The models write Java's dialect: `\p{L}` and the like become letters and digits of any script, and UTF-16 pairs one range.
fn compile(pattern: &str) -> Option<Regex> {
    let pattern = pattern
        .replace(
            "\\p{L}\\p{Z}\\p{N}",
            "a-zA-Z0-9\\u00A0\\u00AA-\\u00FF\\u0100-\\uD7FF\\uE000-\\uFFFD \\u{10000}-\\u{10FFFF}",
        )
        .replace("\\u10000-\\u10FFFF", "\\u{10000}-\\u{10FFFF}");
    Regex::new(&format!("^(?:{pattern})$")).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{NAMES, of};

    fn paths(service: &str, shape: &str, value: &Value) -> Vec<(String, Kind)> {
        let model = of(service).expect("there");
        validate(model, service, shape, value).into_iter().map(|p| (p.path, p.kind)).collect()
    }

    #[test]
    fn every_pattern_compiles() {
        for name in NAMES {
            for (shape, s) in &of(name).expect("listed").shapes {
                if let Some(p) = &s.pattern {
                    assert!(compile(p).is_some(), "{name} {shape} {p}");
                }
            }
        }
    }

    #[test]
    fn problems_have_wire_paths() {
        let input = json!({
            "BrokerNodeGroupInfo": {"InstanceType": "x", "ClientSubnets": ["a"]},
            "ClusterName": "", "KafkaVersion": "3.9.x.kraft", "NumberOfBrokerNodes": 30, "EnhancedMonitoring": "SOME",
        });
        assert_eq!(
            paths("kafka", "CreateClusterRequest", &input),
            [
                ("brokerNodeGroupInfo.instanceType".into(), Kind::Range),
                ("clusterName".into(), Kind::Range),
                ("enhancedMonitoring".into(), Kind::Enum),
            ]
        );
        assert_eq!(
            paths("kafka", "UpdateBrokerCountRequest", &json!({"ClusterArn": "a"})),
            [
                ("currentVersion".into(), Kind::Missing),
                ("targetNumberOfBrokerNodes".into(), Kind::Missing)
            ]
        );
    }

    #[test]
    fn patterns_match_the_whole_text() {
        assert!(matches("[\\w+=,.@-]+", "role-1"));
        assert!(!matches("[\\w+=,.@-]+", "role 1"));
        assert!(matches("[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*", "größe 1"));
        assert!(!matches("[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*", "a{b}"));
        assert!(matches("(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)", "/path/"));
    }

    #[test]
    fn types_are_checked() {
        assert_eq!(
            paths(
                "iam",
                "CreateRoleRequest",
                &json!({"RoleName": 1, "AssumeRolePolicyDocument": "{}"})
            ),
            [("RoleName".into(), Kind::Type)]
        );
    }
}
