//! JSON bodies, by model name inside and by location name on the wire.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` from a float saturates, and a number that no i64 holds is out of every range of the models"
)]

use serde_json::{Map, Number, Value};

use super::{Malformed, time};
use crate::model::{Model, Type};

/// A body's value as a shape: wire names to model names, timestamps to milliseconds. Unknown members are dropped, as AWS does.
pub(super) fn read(
    model: &Model,
    name: &str,
    value: &Value,
    path: &str,
) -> Result<Value, Malformed> {
    let shape = model.shape(name);
    let malformed = || Malformed { member: path.to_owned(), value: value.to_string() };
    if value.is_null() {
        return Ok(Value::Null);
    }
    Ok(match (shape.kind, value) {
        (Type::Structure, Value::Object(map)) => {
            let mut out = Map::new();
            for (member, m) in shape.members.iter().filter(|(_, m)| m.location.is_none()) {
                let wire = m.wire(member);
                if let Some(inner) = map.get(wire).filter(|v| !v.is_null()) {
                    let path =
                        if path.is_empty() { wire.to_owned() } else { format!("{path}.{wire}") };
                    out.insert(member.clone(), read(model, &m.shape, inner, &path)?);
                }
            }
            Value::Object(out)
        }
        (Type::List, Value::Array(items)) => {
            let inner = shape.member.as_ref().expect("a list has a member");
            Value::Array(
                items
                    .iter()
                    .map(|v| read(model, &inner.shape, v, path))
                    .collect::<Result<_, _>>()?,
            )
        }
        (Type::Map, Value::Object(map)) => {
            let inner = shape.value.as_ref().expect("a map has a value");
            let entries = map.iter().filter(|(_, v)| !v.is_null());
            let read = entries.map(|(k, v)| Ok((k.clone(), read(model, &inner.shape, v, path)?)));
            Value::Object(read.collect::<Result<_, Malformed>>()?)
        }
        (Type::Timestamp, Value::Number(n)) => {
            let seconds = n.as_f64().filter(|s| *s >= 0.0).ok_or_else(malformed)?;
            Value::from((seconds * 1000.0).round() as u64)
        }
        (Type::Timestamp, Value::String(s)) => Value::from(time::parse(s).ok_or_else(malformed)?),
        (Type::Integer | Type::Long, Value::Number(n)) if n.is_f64() => {
            let whole = n.as_f64().filter(|f| f.fract() == 0.0).ok_or_else(malformed)?;
            Value::from(whole as i64)
        }
        (Type::Integer | Type::Long | Type::Double | Type::Float, Value::Number(_))
        | (Type::Boolean, Value::Bool(_))
        | (Type::String | Type::Blob, Value::String(_)) => value.clone(),
        _ => return Err(malformed()),
    })
}

/// A value as it goes on the wire. Members with a location (headers) are left out.
pub(super) fn write(model: &Model, name: &str, format: Option<&str>, value: &Value) -> Value {
    let shape = model.shape(name);
    match (shape.kind, value) {
        (Type::Structure, Value::Object(map)) => {
            let mut out = Map::new();
            for (member, m) in shape.members.iter().filter(|(_, m)| m.location.is_none()) {
                if let Some(inner) = map.get(member).filter(|v| !v.is_null()) {
                    let written = write(model, &m.shape, m.timestamp.as_deref(), inner);
                    out.insert(m.wire(member).to_owned(), written);
                }
            }
            Value::Object(out)
        }
        (Type::List, Value::Array(items)) => {
            let inner = shape.member.as_ref().expect("a list has a member");
            Value::Array(items.iter().map(|v| write(model, &inner.shape, None, v)).collect())
        }
        (Type::Map, Value::Object(map)) => {
            let inner = shape.value.as_ref().expect("a map has a value");
            let entries = map.iter().map(|(k, v)| (k.clone(), write(model, &inner.shape, None, v)));
            Value::Object(entries.collect())
        }
        (Type::Timestamp, Value::Number(n)) => {
            let at = n.as_u64().unwrap_or_default();
            match format.or(shape.timestamp.as_deref()) {
                Some("iso8601") => Value::from(time::iso(at)),
                Some("rfc822") => Value::from(time::http(at)),
                _ => time::epoch(at),
            }
        }
        (Type::Double | Type::Float, Value::Number(n)) => {
            // MSK writes broker ids as 1.0.
            n.as_f64().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
        }
        _ => value.clone(),
    }
}
