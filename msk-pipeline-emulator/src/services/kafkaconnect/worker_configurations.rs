//! Worker configurations: immutable, ACTIVE at once, one revision.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::state::{WORKER_CONFIGURATION_DELETE, WorkerConfiguration};
use super::{not_found, page, put_some, rules, text, text_map};
use crate::world::{AwsError, Cx, Millis, Outcome, World};

pub(super) fn create(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let name = text(input, "name");
    let content = text(input, "propertiesFileContent");
    rules::worker_configuration_name_is_free(world, cx.now, name)?;
    let properties = properties(&rules::worker_configuration_is_base64(content)?);
    rules::worker_converters(&properties)?;
    rules::worker_keys(&properties)?;
    rules::worker_client_keys(&properties)?;
    rules::worker_configuration_quota(world, cx.now)?;

    world.state.kafkaconnect.purge(cx.now);
    let label = format!("kafkaconnect/worker-configuration/{name}");
    let arn = super::new_arn(world, &label, "worker-configuration", name);
    let configuration = WorkerConfiguration {
        arn: arn.clone(),
        name: name.into(),
        description: input.get("description").and_then(Value::as_str).map(String::from),
        content: content.into(),
        properties,
        created_at: cx.now,
        deleting_since: None,
        gone_at: None,
        tags: text_map(input.get("tags")),
    };
    let answer = json!({
        "creationTime": cx.now,
        "latestRevision": revision(&configuration),
        "name": name,
        "workerConfigurationArn": arn,
        "workerConfigurationState": configuration.state(cx.now),
    });
    world.state.kafkaconnect.worker_configurations.insert(arn, configuration);
    Ok(answer.into())
}

pub(super) fn describe(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let configuration = find(world, cx.now, text(input, "workerConfigurationArn"))?;
    let mut out = summary(configuration, cx.now);
    out["latestRevision"]["propertiesFileContent"] = configuration.content.clone().into();
    Ok(out.into())
}

pub(super) fn list(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let prefix = text(input, "namePrefix");
    let all = world.state.kafkaconnect.worker_configurations.values();
    let found = all.filter(|c| c.exists(cx.now) && c.name.starts_with(prefix));
    let entries: Vec<_> = found.map(|c| summary(c, cx.now)).collect();
    Ok(page(input, &entries, "workerConfigurations")?.into())
}

pub(super) fn delete(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let arn = text(input, "workerConfigurationArn");
    let state = find(world, cx.now, arn)?.state(cx.now);
    rules::worker_configuration_can_be_deleted(state)?;
    rules::worker_configuration_is_unused(world, cx.now, arn)?;
    let label = format!("kafkaconnect/worker-configuration/{arn}/delete");
    let took = world.duration(&label, WORKER_CONFIGURATION_DELETE);
    if let Some(configuration) = world.state.kafkaconnect.worker_configurations.get_mut(arn) {
        configuration.deleting_since = Some(cx.now);
        configuration.gone_at = Some(cx.now + took);
    }
    Ok(json!({ "workerConfigurationArn": arn, "workerConfigurationState": "DELETING" }).into())
}

/// A worker configuration that exists.
pub(super) fn find<'a>(
    world: &'a World,
    now: Millis,
    arn: &str,
) -> Result<&'a WorkerConfiguration, AwsError> {
    let found = world.state.kafkaconnect.worker_configurations.get(arn).filter(|c| c.exists(now));
    found.ok_or_else(|| {
        not_found(format!("The worker configuration with ARN {arn} could not be found."))
    })
}

fn revision(configuration: &WorkerConfiguration) -> Value {
    let mut out = json!({ "creationTime": configuration.created_at, "revision": 1 });
    put_some(&mut out, "description", configuration.description.clone().map(Value::from));
    out
}

fn summary(configuration: &WorkerConfiguration, now: Millis) -> Value {
    let mut out = json!({
        "creationTime": configuration.created_at,
        "latestRevision": revision(configuration),
        "name": configuration.name,
        "workerConfigurationArn": configuration.arn,
        "workerConfigurationState": configuration.state(now),
    });
    put_some(&mut out, "description", configuration.description.clone().map(Value::from));
    out
}

/// The text behind base64, if it is that.
pub(super) fn decoded(content: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(content.trim()).ok()?).ok()
}

/// Reads a Java properties file: comments, `=`, `:` or blank between key and value, lines continued with a backslash.
pub(super) fn properties(content: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut lines = content.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim_start().to_string();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        while line.ends_with('\\') {
            line.pop();
            line.push_str(lines.next().unwrap_or_default().trim_start());
        }
        let end = line.find(['=', ':', ' ', '\t']).unwrap_or(line.len());
        let (key, rest) = line.split_at(end);
        let rest = rest.trim_start();
        let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim();
        out.insert(key.to_string(), value.to_string());
    }
    out
}
