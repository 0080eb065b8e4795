//! Whether the placeholders of a configuration resolve.

use std::collections::BTreeMap;

use super::super::around;
use super::super::worker_log::Line;
use super::database::cannot_connect;
use super::{Subject, Trouble, debezium, failed};
use crate::world::World;

/// `${provider:path:key}`; a path can't hold a colon, so an ARN is none (msk.md §7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Placeholder {
    /// The configuration key that holds it.
    holder: String,
    provider: String,
    path: String,
    key: String,
}

fn placeholders(configuration: &BTreeMap<String, String>) -> Vec<Placeholder> {
    let mut out = Vec::new();
    for (holder, value) in configuration {
        let mut rest = value.as_str();
        while let Some((_, after)) = rest.split_once("${") {
            let Some((inner, tail)) = after.split_once('}') else { break };
            rest = tail;
            let Some((provider, inner)) = inner.split_once(':') else { continue };
            let (path, key) = inner.split_once(':').unwrap_or(("", inner));
            let key = key.split_once("?ttl=").map_or(key, |(key, _)| key);
            out.push(Placeholder {
                holder: holder.clone(),
                provider: provider.into(),
                path: path.into(),
                key: key.into(),
            });
        }
    }
    out
}

/// How a provider is declared in the worker configuration.
struct Provider<'w> {
    class: &'w str,
    not_found: &'w str,
}

fn provider<'w>(worker: Option<&'w BTreeMap<String, String>>, name: &str) -> Option<Provider<'w>> {
    let worker = worker?;
    let get = |key: &str| worker.get(key).map_or("", String::as_str);
    if !get("config.providers").split(',').any(|one| one.trim() == name) {
        return None;
    }
    Some(Provider {
        class: get(&format!("config.providers.{name}.class")),
        not_found: get(&format!("config.providers.{name}.param.NotFoundStrategy")),
    })
}

/// The placeholders that a declared Secrets Manager provider resolves.
fn secrets<'w>(world: &'w World, subject: &Subject<'_>) -> Vec<(Placeholder, Provider<'w>)> {
    let worker = subject.worker(world);
    let all = placeholders(&subject.settings.configuration).into_iter();
    all.filter_map(|p| provider(worker, &p.provider).map(|declared| (p, declared)))
        .filter(|(_, declared)| declared.class.ends_with(".SecretsManagerConfigProvider"))
        .collect()
}

fn secret_failure(
    check: &'static str,
    subject: &Subject<'_>,
    stack: Vec<String>,
) -> Option<Trouble> {
    let message = format!("Failed to start connector '{}'", subject.name);
    let line = Line::new(
        "ERROR",
        message,
        "org.apache.kafka.connect.runtime.distributed.DistributedHerder:1897",
    );
    failed(check, vec![line.stack(stack)])
}

/// What the database says to the wrong password.
fn access_denied(check: &'static str, subject: &Subject<'_>, password: &str) -> Option<Trouble> {
    let user = subject.config("database.user");
    match debezium(subject.class()) {
        Some("postgresql") => cannot_connect(
            check,
            subject,
            [format!(
                "org.postgresql.util.PSQLException: FATAL: password authentication failed for user \"{user}\""
            )],
        ),
        _ => cannot_connect(
            check,
            subject,
            [format!(
                "java.sql.SQLException: Access denied for user '{user}'@'%' (using password: {password})"
            )],
        ),
    }
}

/// A placeholder whose provider is not declared is used as it stands (msk.md §7.2).
pub(super) fn placeholders_are_declared(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    let worker = subject.worker(world);
    let all = placeholders(&subject.settings.configuration);
    let literal = |holder: &str| {
        all.iter().any(|p| p.holder == holder && provider(worker, &p.provider).is_none())
    };
    let check = "placeholders_are_declared";
    if literal("database.hostname") {
        let host = subject.config("database.hostname");
        return cannot_connect(
            check,
            subject,
            [format!("java.net.UnknownHostException: {host}: Name or service not known")],
        );
    }
    if literal("database.user") || literal("database.password") {
        return access_denied(check, subject, "YES");
    }
    None
}

/// The workers have a way to Secrets Manager from every subnet they may be put in (msk.md §7.5).
pub(super) fn secrets_are_reachable(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    if secrets(world, subject).is_empty() {
        return None;
    }
    let ways = |id: &String| {
        around::subnet(world, id)
            .is_none_or(|s| around::way_out(world, subject.now, &s, "secretsmanager"))
    };
    if subject.fixed.subnets.iter().all(ways) {
        return None;
    }
    let host = format!("secretsmanager.{}.amazonaws.com", world.settings.region);
    secret_failure("secrets_are_reachable", subject, vec![
        format!("software.amazon.awssdk.core.exception.SdkClientException: Unable to execute HTTP request: Connect to {host}:443 [{host}] failed: connect timed out"),
        "\tat software.amazon.awssdk.core.exception.SdkClientException$BuilderImpl.build(SdkClientException.java:111)".into(),
        format!("Caused by: org.apache.http.conn.ConnectTimeoutException: Connect to {host}:443 [{host}] failed: connect timed out"),
        "Caused by: java.net.SocketTimeoutException: connect timed out".into(),
    ])
}

/// The secrets and their keys exist; AWS's own provider takes a missing one for an empty text unless told to fail (msk.md §7.2).
pub(super) fn secrets_exist(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    let check = "secrets_exist";
    for (wanted, declared) in secrets(world, subject) {
        let secret = around::secret(world, subject.now, &wanted.path);
        if secret.as_ref().is_some_and(|secret| secret.keys.contains(&wanted.key)) {
            continue;
        }
        let aws = declared.class.starts_with("com.amazonaws.kafka.config.providers.");
        if aws && !declared.not_found.eq_ignore_ascii_case("fail") {
            if matches!(wanted.holder.as_str(), "database.password" | "database.user") {
                return access_denied(check, subject, "NO");
            }
            continue;
        }
        if !aws && secret.is_some() {
            // A key that the secret lacks leaves the placeholder as it stands.
            return access_denied(check, subject, "YES");
        }
        let mut trouble = secret_failure(check, subject, missing(&wanted, secret.is_some()))?;
        if aws {
            trouble.lines.insert(0, announced(&wanted, secret.is_some()));
        }
        return Some(trouble);
    }
    None
}

/// What `SecretsManagerConfigProvider.get` of aws-samples/msk-config-providers writes before its strategy decides.
fn announced(wanted: &Placeholder, there: bool) -> Line {
    let Placeholder { path, key, .. } = wanted;
    let message = if there {
        format!("Secret {path} doesn't have a key {key}.")
    } else {
        format!(
            "Secret id {path} not found. Value will be handled according to a strategy defined by 'NotFoundStrategy'"
        )
    };
    Line::new(
        "INFO",
        message,
        "com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider:142",
    )
}

/// What that provider throws with `NotFoundStrategy=fail`: the SDK's exception as it came, or one of its own, whose braces stay as they are.
fn missing(wanted: &Placeholder, there: bool) -> Vec<String> {
    let thrown = if there {
        "org.apache.kafka.common.config.ConfigException: Secret undefined {}:{}".to_owned()
    } else {
        format!(
            "software.amazon.awssdk.services.secretsmanager.model.ResourceNotFoundException: Secrets Manager can't find the specified secret: {}",
            wanted.path
        )
    };
    let frame = "\tat org.apache.kafka.common.config.ConfigTransformer.transform(ConfigTransformer.java:104)";
    vec![thrown, frame.into()]
}

/// The role may read them (msk.md §7.2).
pub(super) fn secrets_may_be_read(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    let role = around::role(world, &subject.fixed.role)?;
    for (wanted, _) in secrets(world, subject) {
        let Some(secret) = around::secret(world, subject.now, &wanted.path) else { continue };
        let action = "secretsmanager:GetSecretValue";
        if around::permits(world, &role, action, &secret.arn) {
            continue;
        }
        let account = &world.settings.account;
        let denied = format!(
            "software.amazon.awssdk.services.secretsmanager.model.SecretsManagerException: User: arn:aws:sts::{account}:assumed-role/{}/kafkaconnect is not authorized to perform: {action} on resource: {} because no identity-based policy allows the {action} action (Service: SecretsManager, Status Code: 400)",
            role.name, wanted.path
        );
        return secret_failure("secrets_may_be_read", subject, vec![
            format!("org.apache.kafka.common.config.ConfigException: Could not read the secret {}", wanted.path),
            "\tat org.apache.kafka.common.config.ConfigTransformer.transform(ConfigTransformer.java:104)".into(),
            format!("Caused by: {denied}"),
        ]);
    }
    None
}
