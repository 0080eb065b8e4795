//! What every operation needs: reading members, tags, filters, pages, names and ARNs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::rules;
use super::state::Tags;
use crate::services::ec2;
use crate::world::{AwsError, Cx, World};

pub(super) fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

/// A required text member: the protocol has checked that it is there.
pub(super) fn needed<'a>(input: &'a Value, name: &str) -> &'a str {
    text(input, name).unwrap_or_default()
}

pub(super) fn flag(input: &Value, name: &str) -> Option<bool> {
    input.get(name).and_then(Value::as_bool)
}

pub(super) fn number(input: &Value, name: &str) -> Option<i64> {
    input.get(name).and_then(Value::as_i64)
}

pub(super) fn given<'a>(input: &'a Value, name: &str) -> Option<&'a Value> {
    input.get(name).filter(|v| !v.is_null())
}

pub(super) fn texts(input: &Value, name: &str) -> Option<Vec<String>> {
    let list = input.get(name)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).map(Into::into).collect())
}

/// Members of AWS that the embedded one doesn't have.
pub(super) fn without(input: &Value, names: &[&str]) -> Result<(), AwsError> {
    match names.iter().find(|n| given(input, n).is_some_and(|v| *v != json!(false))) {
        None => Ok(()),
        Some(name) => Err(not_implemented(&format!("the member {name}"))),
    }
}

pub(super) fn not_implemented(what: &str) -> AwsError {
    AwsError::new("NotImplemented", format!("{what} is not implemented by the embedded AWS"))
        .status(501)
}

pub(super) fn tags(input: &Value) -> Result<Tags, AwsError> {
    let list = input.get("Tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let tags = list
        .iter()
        .filter_map(|t| {
            Some((text(t, "Key")?.to_owned(), text(t, "Value").unwrap_or_default().to_owned()))
        })
        .collect();
    rules::tag_key_is_not_reserved(&tags)?;
    Ok(tags)
}

pub(super) fn tag_list(tags: &Tags) -> Value {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}

/// A name or an ARN of this kind, as the name in lower case.
pub(super) fn name_of(name_or_arn: &str) -> String {
    let name = if name_or_arn.starts_with("arn:") {
        name_or_arn.splitn(7, ':').nth(6).unwrap_or_default()
    } else {
        name_or_arn
    };
    name.to_ascii_lowercase()
}

/// The filters of a describe; `known` are the names that it takes.
pub(super) fn filters(
    input: &Value,
    known: &[&str],
) -> Result<Vec<(String, Vec<String>)>, AwsError> {
    let list =
        input.get("Filters").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .map(|f| {
            let name = needed(f, "Name").to_owned();
            if known.contains(&name.as_str()) {
                Ok((name, texts(f, "Values").unwrap_or_default()))
            } else {
                Err(AwsError::new(
                    "InvalidParameterValue",
                    format!("Unrecognized filter name: {name}"),
                ))
            }
        })
        .collect()
}

/// Whether an object passes all filters; `value` tells what it has under a filter's name. Identifiers match as ARNs too.
pub(super) fn passes(filters: &[(String, Vec<String>)], value: impl Fn(&str) -> String) -> bool {
    filters.iter().all(|(name, wanted)| {
        let value = value(name);
        wanted.iter().any(|w| *w == value || w.starts_with("arn:") && name_of(w) == value)
    })
}

/// One page of records that are sorted by their keys. The marker is the last key of the page before, so that a record that comes
/// or goes in between shifts nothing.
pub(super) fn page(
    input: &Value,
    member: &str,
    records: impl IntoIterator<Item = (String, Value)>,
) -> Result<Value, AwsError> {
    let size = number(input, "MaxRecords").unwrap_or(100);
    rules::page_size_is_in_range(size)?;
    let size = usize::try_from(size).unwrap_or(100);
    let after = match text(input, "Marker").filter(|m| !m.is_empty()) {
        None => None,
        Some(marker) => Some(
            URL_SAFE_NO_PAD
                .decode(marker)
                .ok()
                .and_then(|m| String::from_utf8(m).ok())
                .ok_or_else(|| {
                    AwsError::new("InvalidParameterValue", format!("Invalid marker: {marker}"))
                })?,
        ),
    };
    let mut rest = records
        .into_iter()
        .skip_while(|(key, _)| after.as_ref().is_some_and(|a| key <= a))
        .peekable();
    let mut list = Vec::new();
    let mut last = String::new();
    while list.len() < size
        && let Some((key, value)) = rest.next()
    {
        last = key;
        list.push(value);
    }
    let mut out = json!({ member: list });
    if rest.peek().is_some() {
        out["Marker"] = URL_SAFE_NO_PAD.encode(last).into();
    }
    Ok(out)
}

/// The availability zones of the region, as EC2 lists them.
pub(super) fn zones(world: &mut World, cx: &Cx) -> Vec<String> {
    let reply = (ec2::SERVICE.handle)(world, cx, "DescribeAvailabilityZones", &json!({}));
    let listed = reply.map(|r| r.value["AvailabilityZones"].clone()).unwrap_or_default();
    let zones: Vec<_> = listed
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|z| text(z, "ZoneName").map(Into::into))
        .collect();
    if zones.is_empty() {
        let region = &world.settings.region;
        return ('a'..='c').map(|z| format!("{region}{z}")).collect();
    }
    zones
}

/// A dial by its name.
fn dial<'w>(world: &'w World, name: &str) -> Option<&'w Value> {
    world.faults.dial(name)
}

/// The status in which creation of `id` ends when the dial says that it fails: `true`, an identifier, a list of identifiers, or
/// an object with `identifiers` and the `status`.
pub(super) fn late_failure(world: &World, name: &str, id: &str) -> Option<String> {
    failure(dial(world, name)?, id)
}

pub(super) fn failure(dial: &Value, id: &str) -> Option<String> {
    let hits = |v: &Value| match v {
        Value::Bool(all) => *all,
        Value::String(one) => one == id,
        Value::Array(some) => some.iter().any(|s| s == id),
        _ => false,
    };
    match dial {
        Value::Object(o) => o
            .get("identifiers")
            .is_none_or(hits)
            .then(|| o.get("status").and_then(Value::as_str).unwrap_or("failed").to_owned()),
        other => hits(other).then(|| "failed".to_owned()),
    }
}
