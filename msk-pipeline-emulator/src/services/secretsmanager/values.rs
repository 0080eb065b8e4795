//! The operations on versions and their values: the only ones that read a value or write one.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::operations::{held, page, payload, seen, text, token};
use super::state::{CURRENT, DAY, PENDING, Payload, ROTATION, Secret, Version};
use super::{password, rules};
use crate::world::{AwsError, Cx, Outcome, World};

pub(super) fn get_secret_value(world: &World, cx: &Cx, input: &Value) -> Outcome {
    let secret = seen(world, cx, input)?;
    rules::secret_is_not_deleted(&secret)?;
    let (wanted, stage) = (text(input, "VersionId"), text(input, "VersionStage"));
    let found = match wanted {
        Some(id) => secret
            .versions
            .get_key_value(id)
            .filter(|(_, version)| stage.is_none_or(|stage| version.stages.contains(stage))),
        None => secret.staged(stage.unwrap_or(CURRENT)),
    };
    let (id, version) = found.ok_or_else(|| {
        let what = match wanted {
            Some(id) => format!("VersionId: {id}"),
            None => format!("staging label: {}", stage.unwrap_or(CURRENT)),
        };
        AwsError::new(
            "ResourceNotFoundException",
            format!("Secrets Manager can't find the specified secret value for {what}"),
        )
    })?;
    let mut out = json!({ "ARN": secret.arn, "Name": secret.name, "VersionId": id,
        "VersionStages": version.stages, "CreatedDate": version.created_at });
    match &version.payload {
        Payload::Text(value) => out["SecretString"] = json!(value),
        Payload::Binary(value) => out["SecretBinary"] = json!(value),
    }
    Ok(out.into())
}

/// Adds a version with its stages; the stages that others had move to it.
fn add(secret: &mut Secret, id: &str, payload: Payload, stages: &[String], cx: &Cx) {
    let version = Version { payload, stages: BTreeSet::new(), created_at: cx.now };
    secret.versions.insert(id.into(), version);
    for stage in stages {
        secret.stage(id, stage);
    }
    secret.changed_at = cx.now;
    // Versions without a stage are deprecated: those of the last day and a hundred in all are kept (PutSecretValue).
    while secret.versions.len() > 100 {
        let oldest = secret
            .versions
            .iter()
            .filter(|(_, v)| v.stages.is_empty() && v.created_at + DAY <= cx.now)
            .min_by_key(|(_, version)| version.created_at)
            .map(|(id, _)| id.clone());
        match oldest {
            Some(id) => secret.versions.remove(&id),
            None => break,
        };
    }
}

pub(super) fn put_secret_value(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let Some(payload) = payload(input)? else {
        return Err(rules::invalid_parameter(
            "You must provide either SecretString or SecretBinary.",
        ));
    };
    let name = seen(world, cx, input)?.name;
    let id = token(world, input, &name);
    let secret = held(world, cx, input)?;
    rules::secret_is_not_deleted(secret)?;
    rules::secret_is_not_managed(secret)?;
    if !rules::token_is_new_or_same(secret, &id, &payload)? {
        let given = input.get("VersionStages").and_then(Value::as_array);
        let stages = match given {
            // The first version of all is the current one, whatever was asked.
            Some(stages) if !secret.versions.is_empty() => {
                stages.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => vec![CURRENT.to_owned()],
        };
        add(secret, &id, payload, &stages, cx);
    }
    let stages = &secret.versions[&id].stages;
    let out =
        json!({ "ARN": secret.arn, "Name": secret.name, "VersionId": id, "VersionStages": stages });
    Ok(out.into())
}

pub(super) fn update_secret(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let payload = payload(input)?;
    let name = seen(world, cx, input)?.name;
    let id = payload.is_some().then(|| token(world, input, &name));
    let secret = held(world, cx, input)?;
    rules::secret_is_not_deleted(secret)?;
    rules::secret_is_not_managed(secret)?;
    let mut out = json!({ "ARN": secret.arn, "Name": secret.name });
    if let (Some(payload), Some(id)) = (payload, id) {
        rules::update_token_is_new(secret, &id)?;
        add(secret, &id, payload, &[CURRENT.to_owned()], cx);
        out["VersionId"] = json!(id);
    }
    if let Some(description) = text(input, "Description") {
        secret.description = Some(description.into());
    }
    if let Some(key) = text(input, "KmsKeyId") {
        secret.kms_key_id = Some(key).filter(|key| !key.is_empty()).map(str::to_owned);
    }
    secret.changed_at = cx.now;
    Ok(out.into())
}

/// Moves a stage from one version to another, adds it to one, or takes it away.
pub(super) fn update_secret_version_stage(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let stage = text(input, "VersionStage").unwrap_or_default();
    let (from, to) = (text(input, "RemoveFromVersionId"), text(input, "MoveToVersionId"));
    let secret = held(world, cx, input)?;
    rules::secret_is_not_deleted(secret)?;
    rules::secret_is_not_managed(secret)?;
    rules::versions_exist(secret, [from, to].into_iter().flatten())?;
    rules::stage_is_taken_from_its_holder(secret, stage, from, to)?;
    rules::one_version_is_current(stage, to)?;
    match (to, from.and_then(|from| secret.versions.get_mut(from))) {
        (Some(to), _) => secret.stage(to, stage),
        (None, Some(version)) => drop(version.stages.remove(stage)),
        (None, None) => {}
    }
    secret.changed_at = cx.now;
    Ok(json!({ "ARN": secret.arn, "Name": secret.name }).into())
}

pub(super) fn list_secret_version_ids(world: &World, cx: &Cx, input: &Value) -> Outcome {
    let secret = seen(world, cx, input)?;
    let all = input.get("IncludeDeprecated").and_then(Value::as_bool).unwrap_or(false);
    let versions = secret.versions.iter().filter(|(_, version)| all || !version.stages.is_empty());
    let items = versions.map(|(id, version)| {
        let mut item = json!({ "VersionId": id, "CreatedDate": version.created_at });
        if !version.stages.is_empty() {
            item["VersionStages"] = json!(version.stages);
        }
        item
    });
    page(input, items.collect(), "Versions", json!({ "ARN": secret.arn, "Name": secret.name }))
}

/// Rotates a managed secret: a new password is pending until the service has set it, then current.
pub(super) fn rotate_secret(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let function = text(input, "RotationLambdaARN").filter(|arn| !arn.is_empty());
    let secret = seen(world, cx, input)?;
    rules::secret_is_not_deleted(&secret)?;
    rules::managed_rotation_needs_no_function(&secret, function)?;
    rules::rotation_needs_a_function(&secret, function)?;
    let name = secret.name.clone();
    let mut out = json!({ "ARN": secret.arn, "Name": name });
    if let Some(id) =
        text(input, "ClientRequestToken").filter(|id| secret.versions.contains_key(*id))
    {
        // The same request again: it was carried out already.
        out["VersionId"] = json!(id);
        return Ok(out.into());
    }
    rules::one_rotation_at_a_time(&secret)?;
    let now = input.get("RotateImmediately").and_then(Value::as_bool).unwrap_or(true);
    let mut prepared = None;
    if now {
        let id = token(world, input, &name);
        let label = format!("secretsmanager/secret/{name}/rotate");
        let done = cx.now + world.duration(&label, ROTATION);
        let password = password::master_password(world, &label);
        prepared = Some((id, done, with_password(&secret, &password)));
    }
    let secret = held(world, cx, input)?;
    if let Some((id, done, payload)) = prepared {
        add(secret, &id, payload, &[PENDING.to_owned()], cx);
        if let Some(rotation) = &mut secret.rotation {
            rotation.pending = Some((id.clone(), done));
        }
        out["VersionId"] = json!(id);
    }
    if let (Some(rules), Some(rotation)) = (input.get("RotationRules"), &mut secret.rotation) {
        rotation.rules = rules.clone();
    }
    Ok(out.into())
}

/// The current value with another password.
fn with_password(secret: &Secret, password: &str) -> Payload {
    let mut value = match secret.staged(CURRENT).map(|(_, version)| &version.payload) {
        Some(Payload::Text(text)) => serde_json::from_str(text).unwrap_or_else(|_| json!({})),
        _ => json!({}),
    };
    if !value.is_object() {
        value = json!({});
    }
    value["password"] = json!(password);
    Payload::Text(value.to_string())
}
