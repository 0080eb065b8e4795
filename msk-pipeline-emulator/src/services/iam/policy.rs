//! The policy language as far as it decides here: which statements of a document apply, and what they come to.
//! It evaluates; whether a document is well formed is the business of the `rules`.

use std::collections::BTreeMap;

use serde_json::Value;

/// What a request is made with: condition keys in lower case.
pub(crate) type Context<'a> = BTreeMap<&'a str, &'a str>;

/// What the policies come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// A statement allows it and none denies it.
    Allowed,
    /// A statement denies it.
    Denied,
    /// No statement says anything.
    Silent,
}

/// The statements of a document; a single one may stand without a list.
pub(crate) fn statements(policy: &Value) -> Vec<&Value> {
    one_or_many(policy.get("Statement"))
}

/// A member that may be a string or a list of strings.
pub(crate) fn strings(value: Option<&Value>) -> Vec<&str> {
    one_or_many(value).into_iter().filter_map(Value::as_str).collect()
}

fn one_or_many(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(list)) => list.iter().collect(),
        Some(single) => vec![single],
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any run of characters and `?` for one.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last star was, and how much text it has swallowed so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, swallowed)) = star {
            star = Some((at, swallowed + 1));
            p = at + 1;
            t = swallowed + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// ARNs are compared component by component, so that a star cannot reach over a colon (but for the last component).
fn arn_matches(pattern: &str, arn: &str) -> bool {
    let (pattern, arn): (Vec<&str>, Vec<&str>) =
        (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    pattern.len() == arn.len() && pattern.iter().zip(&arn).all(|(p, a)| matches(p, a))
}

/// Whether every condition of the statement holds. An operator that is not known here never holds.
pub(crate) fn conditions_hold(statement: &Value, context: &Context) -> bool {
    let Some(conditions) = statement.get("Condition").and_then(Value::as_object) else {
        return true;
    };
    conditions.iter().all(|(operator, keys)| {
        let keys = keys.as_object().into_iter().flatten();
        keys.into_iter().all(|(key, wanted)| condition_holds(operator, key, wanted, context))
    })
}

fn condition_holds(operator: &str, key: &str, wanted: &Value, context: &Context) -> bool {
    let (operator, if_exists) = match operator.strip_suffix("IfExists") {
        Some(operator) => (operator, true),
        None => (operator, false),
    };
    let test: fn(&str, &str) -> bool = match operator {
        "StringEquals" | "StringNotEquals" => |wanted, found| wanted == found,
        "StringEqualsIgnoreCase" => |wanted, found| wanted.eq_ignore_ascii_case(found),
        "StringLike" | "StringNotLike" => matches,
        "ArnEquals" | "ArnLike" | "ArnNotEquals" | "ArnNotLike" => arn_matches,
        _ => return false,
    };
    let negated = operator.contains("Not");
    match context.get(key.to_ascii_lowercase().as_str()) {
        None => if_exists || negated,
        Some(found) => strings(Some(wanted)).iter().any(|wanted| test(wanted, found)) != negated,
    }
}

/// What identity policies come to for one action on one resource; a denial wins over everything.
pub(crate) fn decide<'a>(
    policies: impl Iterator<Item = &'a Value>,
    action: &str,
    resource: &str,
    context: &Context,
) -> Decision {
    let applies = |statement: &&Value| {
        names(statement, "Action", "NotAction", |pattern| action_matches(pattern, action))
            && names(statement, "Resource", "NotResource", |pattern| matches(pattern, resource))
            && conditions_hold(statement, context)
    };
    conclude(policies.flat_map(statements).filter(applies))
}

/// Whether a trust policy lets the service assume the role.
pub(crate) fn trusts(trust: &Value, service: &str, context: &Context) -> bool {
    let applies = |statement: &&Value| {
        let principal = statement.get("Principal");
        let named = principal.and_then(Value::as_str) == Some("*")
            || strings(principal.and_then(|p| p.get("Service"))).contains(&service);
        named
            && names(statement, "Action", "NotAction", |pattern| {
                action_matches(pattern, "sts:AssumeRole")
            })
            && conditions_hold(statement, context)
    };
    conclude(statements(trust).into_iter().filter(applies)) == Decision::Allowed
}

fn action_matches(pattern: &str, action: &str) -> bool {
    matches(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase())
}

fn names(statement: &Value, member: &str, negated: &str, test: impl Fn(&str) -> bool) -> bool {
    match statement.get(negated) {
        Some(list) => !strings(Some(list)).into_iter().any(test),
        None => strings(statement.get(member)).into_iter().any(test),
    }
}

fn conclude<'a>(applying: impl Iterator<Item = &'a Value>) -> Decision {
    let mut decision = Decision::Silent;
    for statement in applying {
        if statement.get("Effect").and_then(Value::as_str) == Some("Deny") {
            return Decision::Denied;
        }
        decision = Decision::Allowed;
    }
    decision
}
