//! Log groups: create, delete, describe, retention, tags.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::rules;
use super::state::Group;
use crate::world::{AwsError, Millis, World};

pub(super) fn text<'a>(input: &'a Value, member: &str) -> Option<&'a str> {
    input[member].as_str().filter(|text| !text.is_empty())
}

/// The name of the log group that a call is about: by name, or by an identifier (a name or an ARN) in its place.
pub(super) fn named(world: &World, input: &Value) -> Result<String, AwsError> {
    let identifier = text(input, "logGroupIdentifier");
    let name = rules::name_or_identifier(text(input, "logGroupName"), identifier)?;
    let name = name.strip_prefix(&world.arn("logs", "log-group:")).unwrap_or(name);
    let name = name.strip_suffix(":*").unwrap_or(name);
    rules::group_exists(&world.state.logs, name)?;
    Ok(name.to_owned())
}

fn named_by_arn(world: &World, input: &Value) -> Result<String, AwsError> {
    let arn = text(input, "resourceArn").unwrap_or_default();
    let name = rules::arn_is_of_a_group(&world.arn("logs", "log-group:"), arn)?;
    rules::group_exists(&world.state.logs, name)?;
    Ok(name.to_owned())
}

fn tags_in(input: &Value) -> BTreeMap<String, String> {
    let tags = input["tags"].as_object().into_iter().flatten();
    tags.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

pub(super) fn create(world: &mut World, now: Millis, input: &Value) -> Result<Value, AwsError> {
    let name = text(input, "logGroupName").unwrap_or_default().to_owned();
    let tags = tags_in(input);
    rules::tags_fit(tags.len())?;
    rules::group_is_new(&world.state.logs, &name)?;
    let group = Group {
        name: name.clone(),
        created_at: now,
        retention: None,
        kms_key: text(input, "kmsKeyId").map(str::to_owned),
        class: text(input, "logGroupClass").unwrap_or("STANDARD").to_owned(),
        protected: input["deletionProtectionEnabled"].as_bool().unwrap_or(false),
        tags,
        streams: BTreeMap::new(),
    };
    world.state.logs.groups.insert(name, group);
    Ok(Value::Null)
}

pub(super) fn delete(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let name = named(world, input)?;
    rules::group_is_unprotected(&world.state.logs.groups[&name])?;
    world.state.logs.groups.remove(&name);
    Ok(Value::Null)
}

pub(super) fn set_retention(
    world: &mut World,
    input: &Value,
    days: Option<u64>,
) -> Result<Value, AwsError> {
    let name = named(world, input)?;
    if let Some(group) = world.state.logs.groups.get_mut(&name) {
        group.retention = days;
    }
    Ok(Value::Null)
}

pub(super) fn describe(world: &World, now: Millis, input: &Value) -> Result<Value, AwsError> {
    let prefix = text(input, "logGroupNamePrefix");
    let pattern = text(input, "logGroupNamePattern");
    rules::prefix_or_pattern(prefix, pattern)?;
    let class = text(input, "logGroupClass");
    let identifiers: Vec<&str> = input["logGroupIdentifiers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let groups = world
        .state
        .logs
        .groups
        .values()
        // A prefix is a prefix: asked for `/aws/msk/orders`, AWS also tells of `/aws/msk/orders-2`.
        .filter(|group| prefix.is_none_or(|prefix| group.name.starts_with(prefix)))
        .filter(|group| pattern.is_none_or(|pattern| group.name.contains(pattern)))
        .filter(|group| class.is_none_or(|class| same_class(class, &group.class)))
        .filter(|group| {
            identifiers.is_empty()
                || identifiers
                    .iter()
                    .any(|id| *id == group.name || *id == arn_of(world, &group.name))
        })
        .map(|group| (group.name.clone(), show(world, now, group, pattern.is_some())))
        .collect();
    page("logGroups", groups, input, 50)
}

/// Asking for one of the two cheap classes tells of both (botocore `DescribeLogGroups`).
fn same_class(asked: &str, class: &str) -> bool {
    const CHEAP: [&str; 2] = ["INFREQUENT_ACCESS", "ESSENTIALS"];
    asked == class || (CHEAP.contains(&asked) && CHEAP.contains(&class))
}

fn arn_of(world: &World, name: &str) -> String {
    world.arn("logs", &format!("log-group:{name}"))
}

fn show(world: &World, now: Millis, group: &Group, brief: bool) -> Value {
    let arn = arn_of(world, &group.name);
    let mut shown = json!({
        "logGroupName": group.name,
        "creationTime": group.created_at,
        "arn": format!("{arn}:*"),
    });
    if brief {
        return shown;
    }
    let bytes: usize = group
        .visible_streams(now)
        .flat_map(|stream| group.visible_events(stream, now))
        .map(|event| event.message.len() + rules::EVENT_OVERHEAD)
        .sum();
    shown["logGroupArn"] = arn.into();
    shown["logGroupClass"] = group.class.as_str().into();
    shown["metricFilterCount"] = 0.into();
    shown["storedBytes"] = bytes.into();
    shown["deletionProtectionEnabled"] = group.protected.into();
    if let Some(days) = group.retention {
        shown["retentionInDays"] = days.into();
    }
    if let Some(key) = &group.kms_key {
        shown["kmsKeyId"] = key.as_str().into();
    }
    shown
}

/// How many items a page has.
pub(super) fn size(input: &Value, most: usize) -> usize {
    input["limit"].as_u64().and_then(|limit| limit.try_into().ok()).unwrap_or(most)
}

/// One page of items that come with the key by which they are ordered; the token is the position of the last one.
pub(super) fn page(
    output: &str,
    items: Vec<(String, Value)>,
    input: &Value,
    most: usize,
) -> Result<Value, AwsError> {
    let start = match text(input, "nextToken") {
        None => 0,
        Some(token) => {
            let key = rules::token_is_known(token.strip_prefix("after/"))?;
            items.iter().position(|(k, _)| k == key).map_or(items.len(), |at| at + 1)
        }
    };
    let size = size(input, most);
    let end = start.saturating_add(size).min(items.len());
    let mut answer = Map::new();
    if end < items.len() && end > 0 {
        answer.insert("nextToken".into(), format!("after/{}", items[end - 1].0).into());
    }
    let shown: Vec<Value> =
        items.into_iter().take(end).skip(start).map(|(_, value)| value).collect();
    answer.insert(output.into(), shown.into());
    Ok(answer.into())
}

pub(super) fn list_tags(world: &World, input: &Value) -> Result<Value, AwsError> {
    let name = named_by_arn(world, input)?;
    Ok(json!({ "tags": world.state.logs.groups[&name].tags }))
}

pub(super) fn tag(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let name = named_by_arn(world, input)?;
    if let Some(group) = world.state.logs.groups.get_mut(&name) {
        let mut tags = group.tags.clone();
        tags.extend(tags_in(input));
        rules::tags_fit(tags.len())?;
        group.tags = tags;
    }
    Ok(Value::Null)
}

pub(super) fn untag(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let name = named_by_arn(world, input)?;
    if let Some(group) = world.state.logs.groups.get_mut(&name) {
        for key in input["tagKeys"].as_array().into_iter().flatten() {
            group.tags.remove(key.as_str().unwrap_or_default());
        }
    }
    Ok(Value::Null)
}
