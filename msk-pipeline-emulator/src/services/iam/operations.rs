//! The operations on roles.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::rules;
use super::state::{PROPAGATION, Role};
use crate::world::{AwsError, Cx, Millis, Outcome, World};

/// RFC 3986: everything but the unreserved characters is encoded.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The service-linked roles whose names are known here (handbook aws.md §5).
const SERVICE_LINKED: &[(&str, &str)] = &[
    ("delivery.logs.amazonaws.com", "AWSServiceRoleForLogDelivery"),
    ("kafka.amazonaws.com", "AWSServiceRoleForKafka"),
    (
        "kafka.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_KafkaCluster",
    ),
    ("kafkaconnect.amazonaws.com", "AWSServiceRoleForKafkaConnect"),
    ("rds.amazonaws.com", "AWSServiceRoleForRDS"),
];

fn text<'a>(input: &'a Value, member: &str) -> &'a str {
    input.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn owned(input: &Value, member: &str) -> Option<String> {
    input.get(member).and_then(Value::as_str).map(str::to_owned)
}

fn tags(input: &Value) -> impl Iterator<Item = (String, String)> {
    let list = input.get("Tags").and_then(Value::as_array).into_iter().flatten();
    list.map(|tag| (text(tag, "Key").to_owned(), text(tag, "Value").to_owned()))
}

fn encoded(document: &str) -> String {
    utf8_percent_encode(document, RESERVED).to_string()
}

fn no_such_role(name: &str) -> AwsError {
    AwsError::new("NoSuchEntity", format!("The role with name {name} cannot be found."))
}

fn find<'a>(world: &'a World, input: &Value) -> Result<&'a Role, AwsError> {
    let name = text(input, "RoleName");
    world.state.iam.roles.get(name).ok_or_else(|| no_such_role(name))
}

fn find_mut<'a>(world: &'a mut World, input: &Value) -> Result<&'a mut Role, AwsError> {
    let name = text(input, "RoleName");
    let role = world.state.iam.roles.get_mut(name).ok_or_else(|| no_such_role(name))?;
    rules::service_linked_role_is_protected(role)?;
    Ok(role)
}

/// From when on a change made now is seen by other services.
fn propagated_at(world: &mut World, cx: &Cx, name: &str) -> Millis {
    cx.now + world.duration(&format!("iam/role/{name}"), PROPAGATION)
}

/// The members that every answer with a role has.
fn shown(role: &Role) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("Path".into(), json!(role.path));
    out.insert("RoleName".into(), json!(role.name));
    out.insert("RoleId".into(), json!(role.id));
    out.insert("Arn".into(), json!(role.arn));
    out.insert("CreateDate".into(), json!(role.created_at));
    out.insert("AssumeRolePolicyDocument".into(), json!(encoded(&role.trust)));
    if let Some(description) = role.description.as_deref().filter(|d| !d.is_empty()) {
        out.insert("Description".into(), json!(description));
    }
    out.insert("MaxSessionDuration".into(), json!(role.max_session_duration));
    out
}

/// A role with what only `GetRole` (and in part `CreateRole`) answers.
fn shown_fully(role: &Role) -> Map<String, Value> {
    let mut out = shown(role);
    if let Some(arn) = &role.permissions_boundary {
        out.insert(
            "PermissionsBoundary".into(),
            json!({ "PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn }),
        );
    }
    if !role.tags.is_empty() {
        out.insert("Tags".into(), shown_tags(role));
    }
    out
}

fn shown_tags(role: &Role) -> Value {
    role.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}

/// One page of a list: `Marker` is opaque, `MaxItems` is 100 unless given.
fn page(input: &Value, items: Vec<Value>, member: &str) -> Outcome {
    let start = match input.get("Marker").and_then(Value::as_str) {
        None => 0,
        Some(marker) => BASE64
            .decode(marker)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|offset| offset.parse::<usize>().ok())
            .ok_or_else(|| AwsError::new("ValidationError", "Invalid Marker."))?,
    };
    let size = input.get("MaxItems").and_then(Value::as_u64).unwrap_or(100);
    let end = items.len().min(start.saturating_add(usize::try_from(size).unwrap_or(100)));
    let truncated = end < items.len();
    let shown: Vec<Value> = items.into_iter().take(end).skip(start).collect();
    let mut out = json!({ "IsTruncated": truncated });
    out[member] = Value::Array(shown);
    if truncated {
        out["Marker"] = json!(BASE64.encode(end.to_string()));
    }
    Ok(out.into())
}

fn check_trust(world: &World, cx: &Cx, document: &str) -> Result<(), AwsError> {
    let policy = rules::policy_is_json(document, "This policy contains invalid Json")?;
    rules::policy_version_is_known(&policy)?;
    rules::policy_has_statements(&policy)?;
    rules::effect_is_allow_or_deny(&policy)?;
    rules::trust_names_a_principal(&policy)?;
    rules::trust_names_no_resource(&policy)?;
    rules::trust_actions_are_of_sts(&policy)?;
    rules::principal_form_is_known(&policy)?;
    rules::principal_role_is_there(&policy, &world.state.iam, &world.settings.account, cx.now)?;
    rules::trust_is_short_enough(document)
}

pub(super) fn create_role(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let name = text(input, "RoleName").to_owned();
    let document = text(input, "AssumeRolePolicyDocument").to_owned();
    let tags = tags(input).collect();
    rules::role_name_is_free(&world.state.iam, &name)?;
    rules::tags_are_few_enough(&tags)?;
    check_trust(world, cx, &document)?;
    let path = owned(input, "Path").unwrap_or_else(|| "/".into());
    let role = Role {
        id: format!("AROA{}", world.token(&format!("iam/role/{name}/id"), 17)),
        arn: role_arn(world, &path, &name),
        created_at: cx.now,
        propagated_at: propagated_at(world, cx, &name),
        description: owned(input, "Description"),
        max_session_duration: input
            .get("MaxSessionDuration")
            .and_then(Value::as_u64)
            .unwrap_or(3600),
        permissions_boundary: owned(input, "PermissionsBoundary"),
        trust: document,
        inline: BTreeMap::new(),
        attached: BTreeSet::new(),
        tags,
        service: None,
        path,
        name: name.clone(),
    };
    let out = json!({ "Role": shown_fully(&role) });
    world.state.iam.roles.insert(name, role);
    Ok(out.into())
}

fn role_arn(world: &World, path: &str, name: &str) -> String {
    let settings = &world.settings;
    format!("arn:{}:iam::{}:role{path}{name}", settings.partition, settings.account)
}

pub(super) fn create_service_linked_role(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let service = text(input, "AWSServiceName").to_owned();
    let Some((_, base)) = SERVICE_LINKED.iter().find(|(known, _)| *known == service) else {
        return Err(AwsError::new(
            "InvalidInput",
            format!("Cannot find Service Linked Role template for {service}"),
        ));
    };
    let name = match owned(input, "CustomSuffix") {
        Some(suffix) => format!("{base}_{suffix}"),
        None => (*base).to_owned(),
    };
    rules::service_linked_role_is_new(&world.state.iam, &name)?;
    let path = format!("/aws-service-role/{service}/");
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Action": ["sts:AssumeRole"], "Effect": "Allow", "Principal": { "Service": [service] } }] });
    let role = Role {
        id: format!("AROA{}", world.token(&format!("iam/role/{name}/id"), 17)),
        arn: role_arn(world, &path, &name),
        created_at: cx.now,
        propagated_at: propagated_at(world, cx, &name),
        description: owned(input, "Description"),
        max_session_duration: 3600,
        permissions_boundary: None,
        trust: trust.to_string(),
        inline: BTreeMap::new(),
        attached: BTreeSet::new(),
        tags: BTreeMap::new(),
        service: Some(service),
        path,
        name: name.clone(),
    };
    let out = json!({ "Role": shown(&role) });
    world.state.iam.roles.insert(name, role);
    Ok(out.into())
}

pub(super) fn get_role(world: &World, input: &Value) -> Outcome {
    let mut role = shown_fully(find(world, input)?);
    role.insert("RoleLastUsed".into(), json!({}));
    Ok(json!({ "Role": role }).into())
}

pub(super) fn list_roles(world: &World, input: &Value) -> Outcome {
    let prefix = text(input, "PathPrefix");
    let roles = world.state.iam.roles.values().filter(|role| role.path.starts_with(prefix));
    // The list leaves out tags and the boundary (model documentation of ListRoles).
    page(input, roles.map(|role| Value::Object(shown(role))).collect(), "Roles")
}

pub(super) fn update_role(world: &mut World, input: &Value) -> Outcome {
    let role = find_mut(world, input)?;
    if let Some(description) = owned(input, "Description") {
        role.description = Some(description);
    }
    // Left out, the duration falls back to an hour (model documentation of UpdateRole).
    role.max_session_duration =
        input.get("MaxSessionDuration").and_then(Value::as_u64).unwrap_or(3600);
    Ok(json!({}).into())
}

pub(super) fn update_assume_role_policy(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let document = text(input, "PolicyDocument");
    find_mut(world, input)?;
    check_trust(world, cx, document)?;
    if find(world, input)?.trust != document {
        let at = propagated_at(world, cx, text(input, "RoleName"));
        let role = find_mut(world, input)?;
        document.clone_into(&mut role.trust);
        role.propagated_at = role.propagated_at.max(at);
    }
    Ok(json!({}).into())
}

pub(super) fn delete_role(world: &mut World, input: &Value) -> Outcome {
    rules::role_has_no_policies(find_mut(world, input)?)?;
    world.state.iam.roles.remove(text(input, "RoleName"));
    Ok(json!({}).into())
}

pub(super) fn put_role_policy(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let (name, document) = (text(input, "PolicyName"), text(input, "PolicyDocument"));
    let role = find_mut(world, input)?;
    let policy = rules::policy_is_json(document, "Syntax errors in policy.")?;
    rules::policy_version_is_known(&policy)?;
    rules::policy_has_statements(&policy)?;
    rules::effect_is_allow_or_deny(&policy)?;
    rules::identity_policy_names_no_principal(&policy)?;
    rules::identity_policy_names_actions(&policy)?;
    rules::identity_policy_names_resources(&policy)?;
    rules::inline_policies_are_short_enough(role, name, document)?;
    if role.inline.get(name).is_none_or(|old| old != document) {
        let at = propagated_at(world, cx, text(input, "RoleName"));
        let role = find_mut(world, input)?;
        role.inline.insert(name.to_owned(), document.to_owned());
        role.propagated_at = role.propagated_at.max(at);
    }
    Ok(json!({}).into())
}

fn no_such_policy(name: &str) -> AwsError {
    AwsError::new("NoSuchEntity", format!("The role policy with name {name} cannot be found."))
}

pub(super) fn get_role_policy(world: &World, input: &Value) -> Outcome {
    let (role, name) = (find(world, input)?, text(input, "PolicyName"));
    let document = role.inline.get(name).ok_or_else(|| no_such_policy(name))?;
    let out =
        json!({ "RoleName": role.name, "PolicyName": name, "PolicyDocument": encoded(document) });
    Ok(out.into())
}

pub(super) fn delete_role_policy(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let name = text(input, "PolicyName");
    find_mut(world, input)?.inline.remove(name).ok_or_else(|| no_such_policy(name))?;
    let at = propagated_at(world, cx, text(input, "RoleName"));
    let role = find_mut(world, input)?;
    role.propagated_at = role.propagated_at.max(at);
    Ok(json!({}).into())
}

pub(super) fn list_role_policies(world: &World, input: &Value) -> Outcome {
    let names = find(world, input)?.inline.keys().map(|name| json!(name)).collect();
    page(input, names, "PolicyNames")
}

pub(super) fn attach_role_policy(world: &mut World, input: &Value) -> Outcome {
    let arn = text(input, "PolicyArn");
    let role = find_mut(world, input)?;
    rules::managed_policy_is_awss(arn)?;
    rules::managed_policies_are_few_enough(role, arn)?;
    role.attached.insert(arn.to_owned());
    Ok(json!({}).into())
}

pub(super) fn detach_role_policy(world: &mut World, input: &Value) -> Outcome {
    let arn = text(input, "PolicyArn");
    if !find_mut(world, input)?.attached.remove(arn) {
        return Err(AwsError::new("NoSuchEntity", format!("Policy {arn} was not found.")));
    }
    Ok(json!({}).into())
}

pub(super) fn list_attached_role_policies(world: &World, input: &Value) -> Outcome {
    let prefix = text(input, "PathPrefix");
    let attached = find(world, input)?.attached.iter();
    let policies = attached
        .filter(|arn| {
            let path = arn.split_once(":policy").map_or("/", |(_, path)| path);
            path.starts_with(prefix)
        })
        .map(|arn| {
            json!({ "PolicyName": arn.rsplit('/').next().unwrap_or_default(), "PolicyArn": arn })
        });
    page(input, policies.collect(), "AttachedPolicies")
}

pub(super) fn tag_role(world: &mut World, input: &Value) -> Outcome {
    let role = find_mut(world, input)?;
    let mut all = role.tags.clone();
    all.extend(tags(input));
    rules::tags_are_few_enough(&all)?;
    role.tags = all;
    Ok(json!({}).into())
}

pub(super) fn untag_role(world: &mut World, input: &Value) -> Outcome {
    let role = find_mut(world, input)?;
    for key in input.get("TagKeys").and_then(Value::as_array).into_iter().flatten() {
        role.tags.remove(key.as_str().unwrap_or_default());
    }
    Ok(json!({}).into())
}

pub(super) fn list_role_tags(world: &World, input: &Value) -> Outcome {
    let Value::Array(tags) = shown_tags(find(world, input)?) else {
        return page(input, Vec::new(), "Tags");
    };
    page(input, tags, "Tags")
}

/// There are no instance profiles here; the delete sequence of a role asks for them nevertheless.
pub(super) fn list_instance_profiles(world: &World, input: &Value) -> Outcome {
    find(world, input)?;
    page(input, Vec::new(), "InstanceProfiles")
}
