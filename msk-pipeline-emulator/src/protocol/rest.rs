//! Routes and locations of the REST protocols.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::{Malformed, scalar, time};
use crate::model::{Member, Model, Other, Type};
use crate::world::Request;

/// The operation that a request means, with its decoded labels. When several fit, the one that asks for most wins; an
/// operation in use wins over one that isn't.
pub(super) fn route<'m>(
    model: &'m Model,
    request: &Request,
) -> Option<(&'m str, Vec<(String, String)>)> {
    let query = query(&request.query);
    let named = query.iter().find(|(n, _)| n == "x-id").map(|(_, v)| v.as_str());
    let used = model.operations.iter().map(|(n, o)| (n.as_str(), &o.route, 1));
    let others = model.others.iter().map(|(n, o)| (n.as_str(), o, 0));
    used.chain(others)
        .filter_map(|(name, route, used)| {
            let (labels, literals) = fits(route, request, &query)?;
            let demands = route.required_query.len()
                + route.required_headers.len()
                + route.uri.split_once('?').map_or(0, |(_, q)| q.split('&').count());
            Some(((named == Some(name), literals, demands, used), name, labels))
        })
        .max_by(|a, b| a.0.cmp(&b.0))
        .map(|(_, name, labels)| (name, labels))
}

type Labels = Vec<(String, String)>;

fn fits(route: &Other, request: &Request, query: &[(String, String)]) -> Option<(Labels, usize)> {
    if route.method != request.method {
        return None;
    }
    let (path, literal) = route.uri.split_once('?').unwrap_or((&route.uri, ""));
    for part in literal.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        query.iter().find(|(n, v)| n == name && (value.is_empty() || v == value))?;
    }
    if !route.required_query.iter().all(|name| query.iter().any(|(n, _)| n == name))
        || !route.required_headers.iter().all(|h| request.header(&h.to_ascii_lowercase()).is_some())
    {
        return None;
    }
    let template: Vec<&str> = path.trim_matches('/').split('/').filter(|s| !s.is_empty()).collect();
    // The raw path is split first: an encoded ARN is one segment.
    let raw = request.path.strip_prefix('/').unwrap_or(&request.path);
    let greedy = path.contains("+}");
    let mut segments: Vec<&str> =
        if raw.is_empty() { Vec::new() } else { raw.split('/').collect() };
    if !greedy && segments.len() > 1 && segments.last() == Some(&"") {
        segments.pop();
    }
    let mut labels = Vec::new();
    walk(&template, &segments, &mut labels).map(|literals| (labels, literals))
}

/// Matches segments; the result is the number of literal segments.
fn walk(template: &[&str], segments: &[&str], labels: &mut Labels) -> Option<usize> {
    let Some((first, rest)) = template.split_first() else {
        return segments.is_empty().then_some(0);
    };
    let Some(label) = first.strip_prefix('{').and_then(|l| l.strip_suffix('}')) else {
        return (segments.first() == Some(first))
            .then(|| walk(rest, &segments[1..], labels))
            .flatten()
            .map(|n| n + 1);
    };
    let (label, greedy) = match label.strip_suffix('+') {
        Some(label) => (label, true),
        None => (label, false),
    };
    let longest = segments.len().checked_sub(rest.len()).filter(|n| *n > 0)?;
    // An ARN that wasn't encoded spans several segments.
    let arn = segments[0].starts_with("arn:") || segments[0].starts_with("arn%3A");
    let lengths: Vec<usize> = if greedy {
        vec![longest]
    } else if arn {
        (1..=longest).collect()
    } else {
        vec![1]
    };
    for length in lengths {
        let text = segments[..length].join("/");
        if text.is_empty() {
            continue;
        }
        let depth = labels.len();
        labels.push((label.to_owned(), percent_decode_str(&text).decode_utf8_lossy().into_owned()));
        if let Some(literals) = walk(rest, &segments[length..], labels) {
            return Some(literals);
        }
        labels.truncate(depth);
    }
    None
}

/// The decoded pairs of a query string.
pub(super) fn query(raw: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(raw.as_bytes()).into_owned().collect()
}

/// Puts the members that travel in path, query and headers into `out`.
pub(super) fn locations(
    model: &Model,
    shape: &str,
    labels: &[(String, String)],
    request: &Request,
    headers: &[(String, String)],
    out: &mut Map<String, Value>,
) -> Result<(), Malformed> {
    let query = query(&request.query);
    for (name, m) in &model.shape(shape).members {
        let wire = m.wire(name);
        let value = match m.location.as_deref() {
            Some("uri") => {
                let found = labels.iter().find(|(n, _)| n == wire);
                found.map(|(_, v)| one(model, m, wire, v)).transpose()?
            }
            Some("querystring") => {
                let mut found = query.iter().filter(|(n, _)| n == wire).map(|(_, v)| v.as_str());
                let target = model.shape(&m.shape);
                if target.kind == Type::List {
                    let inner = target.member.as_ref().expect("a list has a member");
                    let items: Vec<Value> =
                        found.map(|v| one(model, inner, wire, v)).collect::<Result<_, _>>()?;
                    (!items.is_empty()).then_some(Value::Array(items))
                } else {
                    found.next().map(|v| one(model, m, wire, v)).transpose()?
                }
            }
            Some("header") => {
                let lower = wire.to_ascii_lowercase();
                let found = headers.iter().find(|(n, _)| *n == lower);
                match found {
                    Some((_, v)) if model.shape(&m.shape).kind == Type::List => Some(Value::Array(
                        v.split(',').map(|item| Value::from(item.trim())).collect(),
                    )),
                    Some((_, v)) => Some(one(model, m, wire, v)?),
                    None => None,
                }
            }
            Some("headers") => {
                let prefix = wire.to_ascii_lowercase();
                let map: Map<String, Value> = headers
                    .iter()
                    .filter_map(|(n, v)| {
                        n.strip_prefix(&prefix).map(|n| (n.to_owned(), Value::from(v.as_str())))
                    })
                    .collect();
                (!map.is_empty()).then_some(Value::Object(map))
            }
            _ => None,
        };
        if let Some(value) = value {
            out.insert(name.clone(), value);
        }
    }
    Ok(())
}

fn one(model: &Model, member: &Member, wire: &str, text: &str) -> Result<Value, Malformed> {
    scalar(model.shape(&member.shape).kind, text)
        .ok_or_else(|| Malformed { member: wire.to_owned(), value: text.to_owned() })
}

/// The output members that travel as headers.
pub(super) fn headers(model: &Model, shape: &str, value: &Value) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for (name, m) in &model.shape(shape).members {
        let Some(value) = value.get(name).filter(|v| !v.is_null()) else { continue };
        let wire = m.wire(name).to_ascii_lowercase();
        match (m.location.as_deref(), value) {
            (Some("headers"), Value::Object(map)) => {
                for (key, v) in map {
                    out.push((format!("{wire}{key}"), v.as_str().unwrap_or_default().to_owned()));
                }
            }
            (Some("header"), value) => {
                let shape = model.shape(&m.shape);
                let format = m.timestamp.as_deref().or(shape.timestamp.as_deref());
                let text = match (shape.kind, value) {
                    (Type::Timestamp, Value::Number(n)) => {
                        let at = n.as_u64().unwrap_or_default();
                        if format == Some("iso8601") { time::iso(at) } else { time::http(at) }
                    }
                    (_, Value::String(s)) => s.clone(),
                    (_, Value::Array(items)) => {
                        items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
                    }
                    (_, other) => other.to_string(),
                };
                out.push((wire, text));
            }
            _ => {}
        }
    }
    out
}
