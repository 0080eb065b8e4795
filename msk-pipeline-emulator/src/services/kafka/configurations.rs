//! MSK configurations: a name, broker properties, and revisions that are only ever added.

use serde_json::{Value, json};

use super::state::{Configuration, Revision, purge, text, usual};
use super::{page, rules, versions};
use crate::world::{AwsError, Cx, Millis, Outcome, World};

/// The configuration and revision that a `ConfigurationInfo` names.
pub(crate) fn reference(info: Option<&Value>) -> Option<(String, i64)> {
    let info = info.filter(|i| !i.is_null())?;
    let revision = info.get("Revision").and_then(Value::as_i64).unwrap_or(0);
    Some((text(info, "/Arn").unwrap_or_default().to_owned(), revision))
}

/// Refuses a configuration that a cluster can't be given.
pub(crate) fn usable(world: &World, now: Millis, arn: &str, revision: i64) -> rules::Check {
    let found = world.state.kafka.configurations.get(arn);
    let found = found.filter(|c| c.exists(now) && c.state() == "ACTIVE");
    rules::configuration_exists(found.is_some())?;
    rules::configuration_revision_exists(revision, found.map_or(0, |c| c.revisions.len()))
}

fn find<'a>(world: &'a World, cx: &Cx, input: &Value) -> Result<&'a Configuration, AwsError> {
    let arn = text(input, "/Arn").unwrap_or_default();
    let found = world.state.kafka.configurations.get(arn).filter(|c| c.exists(cx.now));
    rules::configuration_exists(found.is_some())?;
    found.ok_or_else(|| rules::bad("Configuration ARN does not exist."))
}

fn checked(base64: &str, kafka_versions: &[String], now: Millis) -> rules::Check {
    let decoded = versions::decode(base64)
        .ok_or_else(|| rules::invalid("serverProperties", "The server properties are not text."))?;
    let properties = versions::properties(&decoded);
    let against = if kafka_versions.is_empty() {
        versions::active(now).join(", ")
    } else {
        kafka_versions.join(", ")
    };
    rules::configuration_properties(&properties, &against)?;
    rules::configuration_ranges(&properties)
}

/// `CreateConfiguration`.
pub(crate) fn create(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let now = cx.now;
    let name = text(input, "/Name").unwrap_or_default().to_owned();
    let kafka_versions = super::strings(input.get("KafkaVersions"));
    let properties = text(input, "/ServerProperties").unwrap_or_default().to_owned();
    let description = text(input, "/Description").unwrap_or_default().to_owned();
    let held = world.state.kafka.configurations.values().filter(|c| c.exists(now));
    rules::configuration_name(&name)?;
    rules::name_unique("name", held.clone().any(|c| c.name == name))?;
    rules::configuration_quotas(held.count() + 1, 1)?;
    let known: Vec<&str> = versions::all(now).map(|(version, _)| version).collect();
    for version in &kafka_versions {
        rules::kafka_version_offered(version, &known)?;
    }
    checked(&properties, &kafka_versions, now)?;

    purge(world, now);
    let label = format!("kafka/configuration/{name}");
    let cell = 1 + world.draw(&label) % 25;
    let uuid = world.uuid(&label);
    let arn = world.arn("kafka", &format!("configuration/{name}/{uuid}-{cell}"));
    let configuration = Configuration {
        arn: arn.clone(),
        name: name.clone(),
        description: description.clone(),
        kafka_versions,
        created_at: now,
        revisions: vec![Revision { created_at: now, description, properties }],
        deleting_since: None,
        gone_at: None,
    };
    let latest = latest(&configuration);
    world.state.kafka.configurations.insert(arn.clone(), configuration);
    Ok(json!({
        "Arn": arn,
        "CreationTime": now,
        "LatestRevision": latest,
        "Name": name,
        "State": "ACTIVE",
    })
    .into())
}

fn revision(number: usize, revision: &Revision) -> Value {
    json!({
        "CreationTime": revision.created_at,
        "Description": revision.description,
        "Revision": number,
    })
}

fn latest(configuration: &Configuration) -> Value {
    configuration
        .revisions
        .last()
        .map_or(Value::Null, |last| revision(configuration.revisions.len(), last))
}

fn show(configuration: &Configuration) -> Value {
    json!({
        "Arn": configuration.arn,
        "CreationTime": configuration.created_at,
        "Description": configuration.description,
        "KafkaVersions": configuration.kafka_versions,
        "LatestRevision": latest(configuration),
        "Name": configuration.name,
        "State": configuration.state(),
    })
}

/// `DescribeConfiguration`: everything but the properties.
pub(crate) fn describe(world: &World, cx: &Cx, input: &Value) -> Outcome {
    Ok(show(find(world, cx, input)?).into())
}

/// `DescribeConfigurationRevision`: the only place that shows properties.
pub(crate) fn describe_revision(world: &World, cx: &Cx, input: &Value) -> Outcome {
    let configuration = find(world, cx, input)?;
    let number = input.get("Revision").and_then(Value::as_i64).unwrap_or(0);
    rules::configuration_revision_exists(number, configuration.revisions.len())?;
    let index = usize::try_from(number - 1).unwrap_or(0);
    let found = &configuration.revisions[index];
    Ok(json!({
        "Arn": configuration.arn,
        "CreationTime": found.created_at,
        "Description": found.description,
        "Revision": number,
        "ServerProperties": found.properties,
    })
    .into())
}

/// `ListConfigurations`.
pub(crate) fn list(world: &World, cx: &Cx, input: &Value) -> Outcome {
    let mut found: Vec<&Configuration> =
        world.state.kafka.configurations.values().filter(|c| c.exists(cx.now)).collect();
    found.sort_by_key(|c| (c.created_at, &c.arn));
    let items: Vec<Value> = found.into_iter().map(show).collect();
    page(input, "Configurations", &items)
}

/// `ListConfigurationRevisions`.
pub(crate) fn list_revisions(world: &World, cx: &Cx, input: &Value) -> Outcome {
    let configuration = find(world, cx, input)?;
    let items: Vec<Value> =
        configuration.revisions.iter().enumerate().map(|(i, r)| revision(i + 1, r)).collect();
    page(input, "Revisions", &items)
}

/// `UpdateConfiguration`: one more revision.
pub(crate) fn update(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let configuration = find(world, cx, input)?;
    rules::configuration_exists(configuration.state() == "ACTIVE")?;
    rules::configuration_quotas(0, configuration.revisions.len() + 1)?;
    let properties = text(input, "/ServerProperties").unwrap_or_default().to_owned();
    checked(&properties, &configuration.kafka_versions, cx.now)?;
    let arn = configuration.arn.clone();
    let given = text(input, "/Description").map(str::to_owned);
    let mut reply = json!({ "Arn": arn });
    if let Some(configuration) = world.state.kafka.configurations.get_mut(&arn) {
        if let Some(description) = &given {
            configuration.description.clone_from(description);
        }
        let description = given.unwrap_or_default();
        configuration.revisions.push(Revision { created_at: cx.now, description, properties });
        reply["LatestRevision"] = latest(configuration);
    }
    Ok(reply.into())
}

/// `DeleteConfiguration`.
pub(crate) fn delete(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let configuration = find(world, cx, input)?;
    rules::configuration_exists(configuration.state() == "ACTIVE")?;
    let arn = configuration.arn.clone();
    let names = |values: &super::state::Provisioned| {
        values.configuration.as_ref().is_some_and(|(used, _)| *used == arn)
    };
    let in_use = world.state.kafka.clusters.values().filter(|c| c.exists(cx.now)).any(|c| {
        names(c.visible(cx.now))
            || c.active(cx.now).is_some_and(|operation| names(&operation.after))
    });
    rules::configuration_not_in_use(in_use)?;
    let label = format!("kafka/configuration/{}", configuration.name);
    let gone_at = cx.now + world.duration(&label, usual::CONFIGURATION_DELETE);
    if let Some(configuration) = world.state.kafka.configurations.get_mut(&arn) {
        configuration.deleting_since = Some(cx.now);
        configuration.gone_at = Some(gone_at);
    }
    Ok(json!({ "Arn": arn, "State": "DELETING" }).into())
}
