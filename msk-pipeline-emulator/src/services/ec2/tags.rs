//! Tags on the objects of the network.

use serde_json::{Value, json};

use super::describe::{Query, list, text, texts};
use super::rules;
use super::state::{EndpointState, State, Tags};
use crate::world::{AwsError, Millis, World};

/// The tags that a create call gives to what it makes. A specification for another type of object is refused.
pub(super) fn specified(input: &Value, resource_type: &str) -> Result<Tags, AwsError> {
    let mut tags = Tags::new();
    for specification in list(input, "TagSpecifications") {
        let named = text(specification, "ResourceType").unwrap_or_default();
        if named != resource_type {
            return Err(AwsError::new(
                "InvalidParameterValue",
                format!("'{named}' is not a valid taggable resource type for this operation."),
            ));
        }
        let pairs = pairs(specification);
        if pairs.is_empty() {
            return Err(AwsError::new(
                "InvalidParameterValue",
                "Tag specification must have at least one tag",
            ));
        }
        rules::tags_are_allowed(&pairs, tags.len() + pairs.len())?;
        tags.extend(pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    Ok(tags)
}

fn pairs(input: &Value) -> Vec<(&str, &str)> {
    list(input, "Tags")
        .iter()
        .map(|tag| {
            (tag["Key"].as_str().unwrap_or_default(), tag["Value"].as_str().unwrap_or_default())
        })
        .collect()
}

/// The tags of an object, whatever it is, to be changed.
fn tags_of<'a>(state: &'a mut State, now: Millis, id: &str) -> Result<&'a mut Tags, AwsError> {
    let kind = id.split_once('-').map_or("", |(kind, _)| kind);
    let missing =
        |code: &str, what: &str| AwsError::new(code, format!("The {what} '{id}' does not exist"));
    match kind {
        "sg" => state
            .groups
            .get_mut(id)
            .map(|group| &mut group.tags)
            .ok_or_else(|| missing("InvalidGroup.NotFound", "security group")),
        "sgr" => state
            .groups
            .values_mut()
            .find_map(|group| group.rules.get_mut(id))
            .map(|rule| &mut rule.tags)
            .ok_or_else(|| {
                missing("InvalidSecurityGroupRuleId.NotFound", "security group rule ID")
            }),
        "vpc" => state
            .vpcs
            .get_mut(id)
            .map(|vpc| &mut vpc.tags)
            .ok_or_else(|| missing("InvalidVpcID.NotFound", "vpc ID")),
        "subnet" => state
            .subnets
            .get_mut(id)
            .map(|subnet| &mut subnet.tags)
            .ok_or_else(|| missing("InvalidSubnetID.NotFound", "subnet ID")),
        "rtb" => state
            .route_tables
            .get_mut(id)
            .map(|table| &mut table.tags)
            .ok_or_else(|| missing("InvalidRouteTableID.NotFound", "routeTable ID")),
        "vpce" => state
            .endpoints
            .get_mut(id)
            .filter(|endpoint| endpoint.state(now).exists())
            .map(|endpoint| &mut endpoint.tags)
            .ok_or_else(|| missing("InvalidVpcEndpointId.NotFound", "Vpc Endpoint Id")),
        _ => Err(AwsError::new("InvalidID", format!("The ID '{id}' is not valid"))),
    }
}

pub(super) fn create(world: &mut World, now: Millis, input: &Value) -> Result<Value, AwsError> {
    let pairs = pairs(input);
    let mut state = world.state.ec2.clone();
    for id in texts(input, "Resources") {
        let tags = tags_of(&mut state, now, &id)?;
        let added = pairs.iter().filter(|(key, _)| !tags.contains_key(*key)).count();
        rules::tags_are_allowed(&pairs, tags.len() + added)?;
        tags.extend(pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())));
    }
    world.state.ec2 = state;
    Ok(Value::Null)
}

/// Removes tags: each by key, or by key and value where a value is given; all where none is named.
pub(super) fn delete(world: &mut World, now: Millis, input: &Value) -> Result<Value, AwsError> {
    let named = list(input, "Tags");
    let mut state = world.state.ec2.clone();
    for id in texts(input, "Resources") {
        let tags = tags_of(&mut state, now, &id)?;
        if named.is_empty() {
            tags.clear();
        }
        for tag in named {
            let key = tag["Key"].as_str().unwrap_or_default();
            if tag["Value"].as_str().is_none_or(|value| tags.get(key).is_some_and(|v| v == value)) {
                tags.remove(key);
            }
        }
    }
    world.state.ec2 = state;
    Ok(Value::Null)
}

pub(super) fn describe(world: &World, now: Millis, input: &Value) -> Result<Value, AwsError> {
    let state = &world.state.ec2;
    let mut all: Vec<(&str, &str, &Tags)> = Vec::new();
    all.extend(state.vpcs.values().map(|vpc| (vpc.id.as_str(), "vpc", &vpc.tags)));
    all.extend(state.subnets.values().map(|subnet| (subnet.id.as_str(), "subnet", &subnet.tags)));
    all.extend(
        state.route_tables.values().map(|table| (table.id.as_str(), "route-table", &table.tags)),
    );
    for group in state.groups.values() {
        all.push((&group.id, "security-group", &group.tags));
        all.extend(
            group.rules.values().map(|rule| (rule.id.as_str(), "security-group-rule", &rule.tags)),
        );
    }
    all.extend(
        state
            .endpoints
            .values()
            .filter(|endpoint| endpoint.state(now) != EndpointState::Gone)
            .map(|endpoint| (endpoint.id.as_str(), "vpc-endpoint", &endpoint.tags)),
    );
    let tags = all
        .into_iter()
        .flat_map(|(id, kind, tags)| {
            tags.iter().map(move |(key, value)| {
                json!({
                    "ResourceId": id,
                    "ResourceType": kind,
                    "Key": key,
                    "Value": value,
                    // What `tag:KEY` looks at; not part of the answer.
                    "Tags": [{ "Key": key, "Value": value }],
                })
            })
        })
        .collect();
    let mut answer = Query {
        output: "Tags",
        ids: None,
        unknown: ("", ""),
        filters: &[
            ("key", "Key"),
            ("resource-id", "ResourceId"),
            ("resource-type", "ResourceType"),
            ("value", "Value"),
        ],
        tags: Some("Tags"),
    }
    .answer(tags, input)?;
    for tag in answer["Tags"].as_array_mut().into_iter().flatten() {
        if let Some(tag) = tag.as_object_mut() {
            tag.remove("Tags");
        }
    }
    Ok(answer)
}
