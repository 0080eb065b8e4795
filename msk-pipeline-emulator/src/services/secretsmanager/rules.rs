//! What Secrets Manager refuses beyond the shapes of its model.

use serde_json::Value;

use super::state::{Payload, Secret, State};
use crate::world::{AwsError, Millis};

/// The rules and where each comes from.
pub(crate) const RULES: &[(&str, &str)] = &[
    ("secret_exists", "handbook aws.md §8 (ResourceNotFoundException)"),
    ("name_is_well_formed", "model documentation of CreateSecret"),
    (
        "name_is_free",
        "handbook aws.md §8; message: terraform-provider-aws, secretsmanager/secret.go",
    ),
    ("one_kind_of_value", "model documentation of CreateSecret"),
    ("secret_is_not_deleted", "handbook aws.md §8; model documentation of InvalidRequestException"),
    ("secret_is_not_managed", "handbook aws.md §8; model documentation of InvalidRequestException"),
    ("token_is_new_or_same", "model documentation of CreateSecret and PutSecretValue"),
    ("update_token_is_new", "model documentation of UpdateSecret"),
    ("recovery_window_is_in_range", "handbook aws.md §8 (7 to 30 days)"),
    ("rotation_needs_a_function", "floci-io/floci issue 2376; handbook aws.md §8"),
    (
        "managed_rotation_needs_no_function",
        "handbook aws.md §8; floci-io/floci pull request 2378; the code is (U)",
    ),
    ("one_rotation_at_a_time", "model documentation of RotateSecret"),
    ("versions_exist", "model documentation of UpdateSecretVersionStage"),
    ("stage_is_taken_from_its_holder", "model documentation of UpdateSecretVersionStage"),
    (
        "one_version_is_current",
        "model documentation of UpdateSecretVersionStage; the words are (U)",
    ),
    ("tag_keys_are_not_awss", "model documentation of TagResource"),
    ("password_has_characters", "model documentation of GetRandomPassword"),
];

fn invalid_request(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidRequestException", message)
}

pub(super) fn invalid_parameter(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}

/// What is asked for is there (handbook aws.md §8).
pub(super) fn secret_exists(state: &State, now: Millis, id: &str) -> Result<String, AwsError> {
    state.resolve(now, id).ok_or_else(|| {
        AwsError::new(
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.",
        )
    })
}

/// A name has letters, digits and `/_+=.@-` (model documentation of `CreateSecret`; `!` is in managed names).
pub(super) fn name_is_well_formed(name: &str) -> Result<(), AwsError> {
    if name.chars().all(|c| c.is_ascii_alphanumeric() || "/_+=.@-!".contains(c)) {
        return Ok(());
    }
    Err(AwsError::new(
        "ValidationException",
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
    ))
}

/// A name is taken until its secret is gone, also while that waits for its deletion (handbook aws.md §8).
pub(super) fn name_is_free(state: &State, now: Millis, name: &str) -> Result<(), AwsError> {
    match state.holder(now, name) {
        None => Ok(()),
        Some(secret) if secret.deletion.is_some() => Err(invalid_request(
            "You can't create this secret because a secret with this name is already scheduled for deletion.",
        )),
        Some(_) => Err(AwsError::new(
            "ResourceExistsException",
            format!("The operation failed because the secret {name} already exists."),
        )),
    }
}

/// A version is a string or a blob, not both (model documentation of `CreateSecret`).
pub(super) fn one_kind_of_value(input: &Value) -> Result<(), AwsError> {
    if input.get("SecretString").is_some() && input.get("SecretBinary").is_some() {
        return Err(invalid_parameter(
            "You can't specify both a binary secret value and a string secret value in the same secret.",
        ));
    }
    Ok(())
}

/// A secret that waits for its deletion can only be looked at and restored (handbook aws.md §8).
pub(super) fn secret_is_not_deleted(secret: &Secret) -> Result<(), AwsError> {
    if secret.deletion.is_some() {
        return Err(invalid_request(
            "You can't perform this operation on the secret because it was marked for deletion.",
        ));
    }
    Ok(())
}

/// A managed secret is changed and deleted by its service (handbook aws.md §8).
pub(super) fn secret_is_not_managed(secret: &Secret) -> Result<(), AwsError> {
    if secret.owning_service.is_some() {
        return Err(invalid_request(
            "The secret is managed by another service, and you must use that service to update it.",
        ));
    }
    Ok(())
}

/// A token names its version for ever: with the same value again it changes nothing and `true` is answered, with another it
/// is refused (model documentation of `PutSecretValue`).
pub(super) fn token_is_new_or_same(
    secret: &Secret,
    token: &str,
    payload: &Payload,
) -> Result<bool, AwsError> {
    match secret.versions.get(token) {
        None => Ok(false),
        Some(version) if version.payload == *payload => Ok(true),
        Some(_) => Err(token_in_use(secret, token)),
    }
}

/// `UpdateSecret` refuses a token that names a version already, whatever its value (model documentation of `UpdateSecret`).
pub(super) fn update_token_is_new(secret: &Secret, token: &str) -> Result<(), AwsError> {
    if secret.versions.contains_key(token) {
        return Err(token_in_use(secret, token));
    }
    Ok(())
}

fn token_in_use(secret: &Secret, token: &str) -> AwsError {
    AwsError::new(
        "ResourceExistsException",
        format!(
            "You can't use ClientRequestToken {token} because that value is already in use for a version of secret {}.",
            secret.arn
        ),
    )
}

/// The recovery window has 7 to 30 days and excludes a forced deletion (handbook aws.md §8).
pub(super) fn recovery_window_is_in_range(
    days: Option<i64>,
    forced: bool,
) -> Result<u64, AwsError> {
    match days {
        Some(_) if forced => Err(invalid_parameter(
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        )),
        Some(days) if !(7..=30).contains(&days) => Err(invalid_parameter(
            "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
        )),
        days => Ok(days.map_or(30, i64::unsigned_abs)),
    }
}

/// A secret that nobody manages is rotated by a function of its owner, and there are none here (floci issue 2376).
pub(super) fn rotation_needs_a_function(
    secret: &Secret,
    function: Option<&str>,
) -> Result<(), AwsError> {
    match (&secret.owning_service, function) {
        (Some(_), _) => Ok(()),
        (None, None) => Err(invalid_request(
            "You tried to enable rotation on a secret that doesn't already have a Lambda function ARN configured and you didn't include such an ARN as a parameter in this call.",
        )),
        (None, Some(_)) => Err(AwsError::new(
            "NotImplemented",
            "rotation by a function is not implemented by the embedded AWS",
        )
        .status(501)),
    }
}

/// A managed secret is rotated by its service, without a function (handbook aws.md §8).
pub(super) fn managed_rotation_needs_no_function(
    secret: &Secret,
    function: Option<&str>,
) -> Result<(), AwsError> {
    if secret.owning_service.is_some() && function.is_some() {
        return Err(invalid_request(
            "You can't specify a rotation Lambda function for a secret that is managed by another service.",
        ));
    }
    Ok(())
}

/// While a version is pending there is no second rotation (model documentation of `RotateSecret`).
pub(super) fn one_rotation_at_a_time(secret: &Secret) -> Result<(), AwsError> {
    if secret.rotation.as_ref().is_some_and(|rotation| rotation.pending.is_some()) {
        return Err(invalid_request(
            "A previous rotation isn't complete. That rotation will be reattempted.",
        ));
    }
    Ok(())
}

/// Tag keys that begin with `aws:` are reserved (model documentation of `TagResource`).
pub(super) fn tag_keys_are_not_awss<'a>(
    mut keys: impl Iterator<Item = &'a String>,
) -> Result<(), AwsError> {
    if keys.any(|key| key.to_ascii_lowercase().starts_with("aws:")) {
        return Err(invalid_parameter("Tag keys that start with 'aws:' are reserved."));
    }
    Ok(())
}

/// A password has at least one character to be made of, and is as long as what it must include.
pub(super) fn password_has_characters(
    kinds: &[Vec<char>],
    length: u64,
    each: bool,
) -> Result<(), AwsError> {
    if kinds.iter().all(Vec::is_empty) {
        return Err(invalid_parameter(
            "The password can't be generated: every character is excluded.",
        ));
    }
    if each && length < kinds.len() as u64 {
        return Err(invalid_parameter(format!(
            "The password length {length} is too short to include a character of each type."
        )));
    }
    Ok(())
}

/// Versions that a stage is moved between are there (model documentation of `UpdateSecretVersionStage`).
pub(super) fn versions_exist<'a>(
    secret: &Secret,
    versions: impl IntoIterator<Item = &'a str>,
) -> Result<(), AwsError> {
    match versions.into_iter().find(|id| !secret.versions.contains_key(*id)) {
        None => Ok(()),
        Some(id) => Err(AwsError::new(
            "ResourceNotFoundException",
            format!("Secrets Manager can't find the specified secret value for VersionId: {id}"),
        )),
    }
}

/// A stage that a version has is moved, or taken away, by naming that version (model documentation of `UpdateSecretVersionStage`).
pub(super) fn stage_is_taken_from_its_holder(
    secret: &Secret,
    stage: &str,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<(), AwsError> {
    let holder = secret.staged(stage).map(|(id, _)| id.as_str());
    if from == holder || (from.is_none() && holder == to) {
        return Ok(());
    }
    Err(invalid_parameter(format!(
        "The parameter RemoveFromVersionId can't be empty or does not match: staging label {stage} is currently attached to version {}, so you must explicitly reference that version in RemoveFromVersionId.",
        holder.unwrap_or("none")
    )))
}

/// `AWSCURRENT` is moved, never taken away (model documentation of `UpdateSecretVersionStage`).
pub(super) fn one_version_is_current(stage: &str, to: Option<&str>) -> Result<(), AwsError> {
    if stage == super::state::CURRENT && to.is_none() {
        return Err(invalid_parameter(
            "You can't remove the staging label AWSCURRENT from a version without moving it to another.",
        ));
    }
    Ok(())
}
