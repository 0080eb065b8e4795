//! Requests of the query protocols: a form whose dotted, numbered names spell structures, lists and maps.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Malformed, scalar};
use crate::model::{Model, Type};

/// A form as a tree: `A.B.1=x` is `A → B → 1 → x`.
#[derive(Debug, Default)]
struct Node {
    value: Option<String>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn insert(&mut self, name: &str, value: String) {
        let mut node = self;
        for part in name.split('.') {
            node = node.children.entry(part.to_owned()).or_default();
        }
        node.value = Some(value);
    }

    /// The children named by numbers, in numeric order.
    fn numbered(&self) -> impl Iterator<Item = &Node> {
        let mut items: Vec<(u64, &Node)> =
            self.children.iter().filter_map(|(k, v)| k.parse().ok().map(|n| (n, v))).collect();
        items.sort_by_key(|(n, _)| *n);
        items.into_iter().map(|(_, v)| v)
    }
}

/// Which of the two dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Lists are always flat, names are `queryName` or the capitalised location name.
    Ec2,
    /// Lists have a named level unless flattened.
    Query,
}

/// The names and values of a form body.
pub(super) fn fields(body: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(body).into_owned().collect()
}

/// The input of an operation.
pub(super) fn input(
    model: &Model,
    dialect: Dialect,
    shape: Option<&str>,
    fields: Vec<(String, String)>,
) -> Result<Value, Malformed> {
    let mut root = Node::default();
    for (name, value) in fields {
        if name != "Action" && name != "Version" {
            root.insert(&name, value);
        }
    }
    match shape {
        Some(shape) => {
            read(model, dialect, shape, &root, "").map(|v| v.unwrap_or(Value::Object(Map::new())))
        }
        None => Ok(Value::Object(Map::new())),
    }
}

fn capitalised(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |c| c.to_ascii_uppercase().to_string() + chars.as_str())
}

fn read(
    model: &Model,
    dialect: Dialect,
    name: &str,
    node: &Node,
    path: &str,
) -> Result<Option<Value>, Malformed> {
    let shape = model.shape(name);
    match shape.kind {
        Type::Structure => {
            let mut out = Map::new();
            for (member, m) in &shape.members {
                let wire = match (dialect, &m.query_name) {
                    (Dialect::Ec2, Some(query)) => query.clone(),
                    (Dialect::Ec2, None) => capitalised(m.wire(member)),
                    (Dialect::Query, _) => m.wire(member).to_owned(),
                };
                if let Some(child) = node.children.get(&wire) {
                    let path = if path.is_empty() { wire } else { format!("{path}.{wire}") };
                    if let Some(value) = read(model, dialect, &m.shape, child, &path)? {
                        out.insert(member.clone(), value);
                    }
                }
            }
            Ok(Some(Value::Object(out)))
        }
        Type::List => {
            let inner = shape.member.as_ref().expect("a list has a member");
            let level = match dialect {
                Dialect::Query if !shape.flattened() => {
                    // Clients agree on the model's name; `member` is accepted for every list, as AWS does.
                    node.children.get(inner.wire("member")).or_else(|| node.children.get("member"))
                }
                _ => None,
            };
            let mut out = Vec::new();
            for item in level.unwrap_or(node).numbered() {
                out.extend(read(model, dialect, &inner.shape, item, path)?);
            }
            Ok(Some(Value::Array(out)))
        }
        Type::Map => {
            let (k, v) = (
                shape.key.as_ref().expect("a map has a key"),
                shape.value.as_ref().expect("a map has a value"),
            );
            let level =
                if shape.flattened() { node } else { node.children.get("entry").unwrap_or(node) };
            let mut out = Map::new();
            for entry in level.numbered() {
                let key = entry.children.get(k.wire("key")).and_then(|n| n.value.clone());
                let value = entry.children.get(v.wire("value"));
                if let (Some(key), Some(value)) = (key, value)
                    && let Some(value) = read(model, dialect, &v.shape, value, path)?
                {
                    out.insert(key, value);
                }
            }
            Ok(Some(Value::Object(out)))
        }
        kind => match &node.value {
            Some(text) => scalar(kind, text)
                .map(Some)
                .ok_or_else(|| Malformed { member: path.to_owned(), value: text.clone() }),
            None => Ok(None),
        },
    }
}
