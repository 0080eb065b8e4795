//! Placeholders of a connector's configuration, resolved for one look.

use aws_sdk_secretsmanager::Client;
use msk_pipeline_core::kind::{CallError, Class};
use msk_pipeline_verify::Check;
use serde_json::Value;

use crate::error::classify;

/// The value of `${provider:secret:key}`, or the text itself if it is none. A secret's value is never part of a check.
pub(super) async fn resolve(client: &Client, text: &str) -> Result<String, Check> {
    let Some((name, key)) = placeholder(text) else {
        if text.contains("${") {
            return Err(foreign());
        }
        return Ok(text.to_owned());
    };
    let value = match value(client, name).await {
        Ok(value) => value,
        Err(error) => return Err(unread(name, &error)),
    };
    match value.get(key).and_then(Value::as_str) {
        Some(value) => Ok(value.to_owned()),
        None => Err(Check::fail(
            SECRET,
            "C-SECRET-KEY",
            format!("secret {name} has no text `{key}`"),
            &[("secret", name), ("key", key)],
        )),
    }
}

/// The name of the check.
pub(super) const SECRET: &str = "secret";

/// A secret's value as an object; one that isn't JSON has no keys.
pub(super) async fn value(client: &Client, name: &str) -> Result<Value, CallError> {
    let answer = client.get_secret_value().secret_id(name).send().await;
    let answer = answer.map_err(|e| classify("secretsmanager:GetSecretValue", e))?;
    let text = answer.secret_string().unwrap_or_default();
    Ok(serde_json::from_str(text).unwrap_or(Value::Null))
}

/// What can't be read is the connector's trouble only if it isn't there.
fn unread(name: &str, error: &CallError) -> Check {
    if error.class == Class::NotFound {
        let found = format!("secret {name} does not exist");
        return Check::fail(SECRET, "C-SECRET-MISSING", found, &[("secret", name)]);
    }
    let open = format!(
        "Run it with credentials that may secretsmanager:GetSecretValue on {name} (and kms:Decrypt on its key): without it nothing can log in as the capture user."
    );
    Check::unreachable(SECRET, format!("secret {name} ({error})"), open)
}

fn foreign() -> Check {
    Check::unreachable(
        SECRET,
        "a value of a config provider other than Secrets Manager",
        "Only placeholders `${secretsmanager:NAME:KEY}` are resolved here.",
    )
}

/// Name and key of a placeholder that is the whole text.
pub(crate) fn placeholder(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix("${secretsmanager:")?.strip_suffix('}')?;
    let (name, key) = inner.split_once(':')?;
    // `?ttl=…` is the provider's own (handbook msk.md §7.2).
    Some((name, key.split('?').next().unwrap_or(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_names_a_secret_and_a_key() {
        assert_eq!(
            placeholder("${secretsmanager:cdc/orders:password}"),
            Some(("cdc/orders", "password"))
        );
        assert_eq!(
            placeholder("${secretsmanager:rds!cluster-1:p?ttl=60}"),
            Some(("rds!cluster-1", "p"))
        );
        assert_eq!(placeholder("${s3import:bucket:key}"), None);
        assert_eq!(placeholder("debezium"), None);
    }

    #[test]
    fn what_is_refused_to_us_is_not_the_connectors_fault() {
        let with =
            |class| unread("cdc", &CallError::new(class, "secretsmanager:GetSecretValue", "no"));
        assert_eq!(with(Class::NotFound).code(), Some("C-SECRET-MISSING"));
        let denied = with(Class::Denied);
        assert!(!denied.failed() && !denied.passed(), "{denied}");
    }
}
