//! The operations on secrets as objects: create, look at, list, tag, delete, restore.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::rules;
use super::state::{DAY, Deletion, FORCED_DELETION, Payload, Secret, Version, new_arn};
use crate::world::{AwsError, Cx, Outcome, World};

pub(super) fn text<'a>(input: &'a Value, member: &str) -> Option<&'a str> {
    input.get(member).and_then(Value::as_str)
}

/// The value that a request carries.
pub(super) fn payload(input: &Value) -> Result<Option<Payload>, AwsError> {
    rules::one_kind_of_value(input)?;
    let string = text(input, "SecretString").map(|value| Payload::Text(value.into()));
    Ok(string.or_else(|| text(input, "SecretBinary").map(|value| Payload::Binary(value.into()))))
}

/// The id of the version that a request makes: its token, or a drawn one.
pub(super) fn token(world: &mut World, input: &Value, label: &str) -> String {
    match text(input, "ClientRequestToken") {
        Some(token) => token.into(),
        None => world.uuid(&format!("secretsmanager/secret/{label}/version")),
    }
}

/// The secret that the request means, as it is now.
pub(super) fn seen(world: &World, cx: &Cx, input: &Value) -> Result<Secret, AwsError> {
    let state = &world.state.secretsmanager;
    let arn = rules::secret_exists(state, cx.now, text(input, "SecretId").unwrap_or_default())?;
    Ok(state.secrets.get(&arn).expect("it was just resolved").at(cx.now))
}

/// The same, to be changed.
pub(super) fn held<'a>(
    world: &'a mut World,
    cx: &Cx,
    input: &Value,
) -> Result<&'a mut Secret, AwsError> {
    let state = &mut world.state.secretsmanager;
    state.purge(cx.now);
    let arn = rules::secret_exists(state, cx.now, text(input, "SecretId").unwrap_or_default())?;
    let secret = state.secrets.get_mut(&arn).expect("it was just resolved");
    secret.settle(cx.now);
    Ok(secret)
}

fn tags(input: &Value) -> BTreeMap<String, String> {
    let list = input.get("Tags").and_then(Value::as_array).into_iter().flatten();
    list.map(|tag| {
        let of = |member| text(tag, member).unwrap_or_default().to_owned();
        (of("Key"), of("Value"))
    })
    .collect()
}

/// One page of a list: `NextToken` is opaque, `MaxResults` is 100 unless given.
pub(super) fn page(input: &Value, items: Vec<Value>, member: &str, mut out: Value) -> Outcome {
    let start = match text(input, "NextToken") {
        None => 0,
        Some(token) => BASE64
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|offset| offset.parse::<usize>().ok())
            .ok_or_else(|| {
                AwsError::new("InvalidNextTokenException", "The NextToken value is invalid.")
            })?,
    };
    let size = input.get("MaxResults").and_then(Value::as_u64).unwrap_or(100);
    let end = items.len().min(start.saturating_add(usize::try_from(size).unwrap_or(100)));
    if end < items.len() {
        out["NextToken"] = json!(BASE64.encode(end.to_string()));
    }
    out[member] = items.into_iter().take(end).skip(start).collect();
    Ok(out.into())
}

pub(super) fn create_secret(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let name = text(input, "Name").unwrap_or_default().to_owned();
    let payload = payload(input)?;
    let tags = tags(input);
    rules::name_is_well_formed(&name)?;
    rules::tag_keys_are_not_awss(tags.keys())?;
    let state = &mut world.state.secretsmanager;
    state.purge(cx.now);
    // The same request again, recognised by its token, answers what the first one made.
    if let (Some(secret), Some(token), Some(payload)) =
        (state.holder(cx.now, &name), text(input, "ClientRequestToken"), &payload)
        && secret.deletion.is_none()
        && rules::token_is_new_or_same(secret, token, payload)?
    {
        let out = json!({ "ARN": secret.arn, "Name": name, "VersionId": token });
        return Ok(out.into());
    }
    rules::name_is_free(state, cx.now, &name)?;
    let arn = new_arn(world, &name);
    let mut out = json!({ "ARN": arn, "Name": name });
    let mut versions = BTreeMap::new();
    if let Some(payload) = payload {
        let id = token(world, input, &name);
        out["VersionId"] = json!(id);
        let stages = BTreeSet::from([super::state::CURRENT.into()]);
        versions.insert(id, Version { payload, stages, created_at: cx.now });
    }
    let secret = Secret {
        arn: arn.clone(),
        description: text(input, "Description").map(str::to_owned),
        kms_key_id: text(input, "KmsKeyId").filter(|key| !key.is_empty()).map(str::to_owned),
        created_at: cx.now,
        changed_at: cx.now,
        ready_at: cx.now,
        deletion: None,
        tags,
        versions,
        owning_service: None,
        rotation: None,
        name,
    };
    world.state.secretsmanager.secrets.insert(arn, secret);
    Ok(out.into())
}

/// What `DescribeSecret` and `ListSecrets` have in common.
fn shown(secret: &Secret, stages_member: &str) -> Map<String, Value> {
    let mut out = Map::new();
    let mut set = |member: &str, value: Value| {
        out.insert(member.into(), value);
    };
    set("ARN", json!(secret.arn));
    set("Name", json!(secret.name));
    if let Some(description) = &secret.description {
        set("Description", json!(description));
    }
    if let Some(key) = &secret.kms_key_id {
        set("KmsKeyId", json!(key));
    }
    if let Some(rotation) = &secret.rotation {
        set("RotationEnabled", json!(true));
        set("RotationRules", rotation.rules.clone());
        if let Some(last) = rotation.last {
            set("LastRotatedDate", json!(last));
        }
        if let Some(days) = rotation.rules.get("AutomaticallyAfterDays").and_then(Value::as_u64) {
            set("NextRotationDate", json!(rotation.last.unwrap_or(secret.created_at) + days * DAY));
        }
    }
    set("LastChangedDate", json!(secret.changed_at));
    set("CreatedDate", json!(secret.created_at));
    if let Some(deletion) = secret.deletion {
        set("DeletedDate", json!(deletion.gone_at));
    }
    if let Some(service) = &secret.owning_service {
        set("OwningService", json!(service));
    }
    if !secret.tags.is_empty() {
        let tags: Vec<Value> =
            secret.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        set("Tags", json!(tags));
    }
    let stages: Map<String, Value> = secret
        .versions
        .iter()
        .filter(|(_, version)| !version.stages.is_empty())
        .map(|(id, version)| (id.clone(), json!(version.stages)))
        .collect();
    if !stages.is_empty() {
        set(stages_member, json!(stages));
    }
    out
}

pub(super) fn describe_secret(world: &World, cx: &Cx, input: &Value) -> Outcome {
    let secret = seen(world, cx, input)?;
    Ok(Value::Object(shown(&secret, "VersionIdsToStages")).into())
}

pub(super) fn get_resource_policy(world: &World, cx: &Cx, input: &Value) -> Outcome {
    let secret = seen(world, cx, input)?;
    Ok(json!({ "ARN": secret.arn, "Name": secret.name }).into())
}

/// Whether a filter of `ListSecrets` lets the secret pass. Values match by prefix; `!` in front negates.
fn passes(secret: &Secret, filter: &Value) -> bool {
    let name = || vec![secret.name.as_str()];
    let description = || secret.description.as_deref().into_iter().collect::<Vec<_>>();
    let keys = || secret.tags.keys().map(String::as_str).collect::<Vec<_>>();
    let values = || secret.tags.values().map(String::as_str).collect::<Vec<_>>();
    let found: Vec<&str> = match text(filter, "Key").unwrap_or_default() {
        "name" => name(),
        "description" => description(),
        "tag-key" => keys(),
        "tag-value" => values(),
        "owning-service" => secret.owning_service.as_deref().into_iter().collect(),
        "all" => [name(), description(), keys(), values()].concat(),
        _ => Vec::new(),
    };
    let wanted = filter.get("Values").and_then(Value::as_array).into_iter().flatten();
    wanted.filter_map(Value::as_str).any(|wanted| match wanted.strip_prefix('!') {
        Some(unwanted) => !found.iter().any(|value| value.starts_with(unwanted)),
        None => found.iter().any(|value| value.starts_with(wanted)),
    })
}

pub(super) fn list_secrets(world: &World, cx: &Cx, input: &Value) -> Outcome {
    let deleted = input.get("IncludePlannedDeletion").and_then(Value::as_bool).unwrap_or(false);
    let filters: Vec<&Value> =
        input.get("Filters").and_then(Value::as_array).into_iter().flatten().collect();
    let mut secrets: Vec<Secret> = world
        .state
        .secretsmanager
        .visible(cx.now)
        .filter(|secret| deleted || secret.deletion.is_none())
        .filter(|secret| filters.iter().all(|filter| passes(secret, filter)))
        .map(|secret| secret.at(cx.now))
        .collect();
    match text(input, "SortBy") {
        Some("name") => secrets.sort_by(|a, b| a.name.cmp(&b.name)),
        Some("last-changed-date") => secrets.sort_by_key(|s| (s.changed_at, s.name.clone())),
        _ => secrets.sort_by_key(|s| (s.created_at, s.name.clone())),
    }
    if text(input, "SortOrder") == Some("desc") {
        secrets.reverse();
    }
    let items = secrets.iter().map(|secret| Value::Object(shown(secret, "SecretVersionsToStages")));
    page(input, items.collect(), "SecretList", json!({}))
}

pub(super) fn tag_resource(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let tags = tags(input);
    let secret = held(world, cx, input)?;
    rules::secret_is_not_deleted(secret)?;
    rules::tag_keys_are_not_awss(tags.keys())?;
    secret.tags.extend(tags);
    Ok(json!({}).into())
}

pub(super) fn untag_resource(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let list = input.get("TagKeys").and_then(Value::as_array).into_iter().flatten();
    let keys: Vec<String> = list.filter_map(Value::as_str).map(str::to_owned).collect();
    let secret = held(world, cx, input)?;
    rules::secret_is_not_deleted(secret)?;
    rules::tag_keys_are_not_awss(keys.iter())?;
    secret.tags.retain(|key, _| !keys.contains(key));
    Ok(json!({}).into())
}

pub(super) fn delete_secret(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let forced = input.get("ForceDeleteWithoutRecovery").and_then(Value::as_bool).unwrap_or(false);
    let days = input.get("RecoveryWindowInDays").and_then(Value::as_i64);
    let window = rules::recovery_window_is_in_range(days, forced)?;
    let id = text(input, "SecretId").unwrap_or_default();
    if forced && world.state.secretsmanager.resolve(cx.now, id).is_none() {
        // A forced deletion never misses its secret (handbook aws.md §8).
        let member = if id.starts_with("arn:") { "ARN" } else { "Name" };
        let mut out = json!({ "DeletionDate": cx.now });
        out[member] = json!(id);
        return Ok(out.into());
    }
    let label = format!("secretsmanager/secret/{id}/delete");
    let delay = if forced { world.duration(&label, FORCED_DELETION) } else { window * DAY };
    let secret = held(world, cx, input)?;
    rules::secret_is_not_managed(secret)?;
    if !forced {
        rules::secret_is_not_deleted(secret)?;
    }
    let gone_at = cx.now + delay;
    let gone_at = secret.deletion.map_or(gone_at, |earlier| earlier.gone_at.min(gone_at));
    secret.deletion = Some(Deletion { gone_at, forced });
    let date = if forced { cx.now } else { gone_at };
    Ok(json!({ "ARN": secret.arn, "Name": secret.name, "DeletionDate": date }).into())
}

pub(super) fn restore_secret(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let secret = held(world, cx, input)?;
    if secret.deletion.is_some_and(|deletion| deletion.forced) {
        rules::secret_is_not_deleted(secret)?;
    }
    secret.deletion = None;
    Ok(json!({ "ARN": secret.arn, "Name": secret.name }).into())
}
