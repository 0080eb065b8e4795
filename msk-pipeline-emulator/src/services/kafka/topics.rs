//! Topics, through MSK's own API. What clients create over the Kafka protocol is not seen here.

use serde_json::{Value, json};

use super::clusters::find;
use super::state::{Cluster, Topic, purge, text, usual};
use super::{page, rules, versions};
use crate::world::{AwsError, Cx, Millis, Outcome, World};

fn cluster<'a>(world: &'a World, cx: &Cx, input: &Value) -> Result<&'a Cluster, AwsError> {
    let cluster = find(world, cx, input)?;
    rules::topics_supported(cluster.state(cx.now), &cluster.visible(cx.now).kafka_version)?;
    Ok(cluster)
}

fn topic<'a>(
    cluster: &'a Cluster,
    now: Millis,
    name: &str,
    code: &str,
) -> Result<&'a Topic, AwsError> {
    cluster.topics.get(name).filter(|t| t.readable(now)).ok_or_else(|| {
        AwsError::new(code, "This server does not host this topic-partition.").status(404)
    })
}

/// Spreads partitions over the brokers: each next partition begins one broker further on.
fn assign(brokers: &[u32], from: usize, to: usize, replication: u32) -> Vec<Vec<u32>> {
    let replication = usize::try_from(replication).unwrap_or(1);
    (from..to)
        .map(|p| (0..replication).map(|r| brokers[(p + r) % brokers.len()]).collect())
        .collect()
}

/// `CreateTopic`.
pub(crate) fn create(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let now = cx.now;
    let held = cluster(world, cx, input)?;
    let name = text(input, "/TopicName").unwrap_or_default().to_owned();
    rules::topic_name(&name)?;
    rules::topic_new(&name, held.topics.get(&name).is_some_and(|t| t.readable(now)))?;
    let factor = input.get("ReplicationFactor").and_then(Value::as_u64).unwrap_or(1);
    let count = input.get("PartitionCount").and_then(Value::as_u64).unwrap_or(1);
    let brokers: Vec<u32> = held.brokers(now).iter().map(|b| b.id).collect();
    let version = &held.visible(now).kafka_version;
    rules::replication_at_most_brokers(factor, brokers.len(), version)?;
    let configs = text(input, "/Configs").map(rules::topic_configs).transpose()?;
    let replication = u32::try_from(factor).unwrap_or(1);
    let count = usize::try_from(count).unwrap_or(1);
    let (cluster_arn, label) = (held.arn.clone(), format!("kafka/topic/{}/{name}", held.name));
    let arn = world.arn("kafka", &format!("topic/{}/{}/{name}", held.name, held.tail));

    purge(world, now);
    let ready_at = now + world.duration(&label, usual::TOPIC);
    let topic = Topic {
        arn: arn.clone(),
        replication,
        partitions: assign(&brokers, 0, count, replication),
        configs: configs.unwrap_or_default(),
        ready_at,
        updating_until: None,
        deleted_at: None,
        gone_at: None,
    };
    if let Some(cluster) = world.state.kafka.clusters.get_mut(&cluster_arn) {
        cluster.topics.insert(name.clone(), topic);
    }
    Ok(json!({ "TopicArn": arn, "TopicName": name, "Status": "CREATING" }).into())
}

/// `ListTopics`, by prefix.
pub(crate) fn list(world: &World, cx: &Cx, input: &Value) -> Outcome {
    let prefix = text(input, "/TopicNameFilter").unwrap_or_default();
    let items: Vec<Value> = cluster(world, cx, input)?
        .topics
        .iter()
        .filter(|(name, topic)| topic.readable(cx.now) && name.starts_with(prefix))
        .map(|(name, topic)| {
            json!({
                "TopicArn": topic.arn,
                "TopicName": name,
                "ReplicationFactor": topic.replication,
                "PartitionCount": topic.partitions.len(),
                "OutOfSyncReplicaCount": 0,
            })
        })
        .collect();
    page(input, "Topics", &items)
}

/// `DescribeTopic`: the configurations are those that were set, not the defaults beneath.
pub(crate) fn describe(world: &World, cx: &Cx, input: &Value) -> Outcome {
    let name = text(input, "/TopicName").unwrap_or_default();
    let cluster = cluster(world, cx, input)?;
    let topic = topic(cluster, cx.now, name, "NotFoundException")?;
    Ok(json!({
        "TopicArn": topic.arn,
        "TopicName": name,
        "ReplicationFactor": topic.replication,
        "PartitionCount": topic.partitions.len(),
        "Configs": versions::encode(&json!(topic.configs).to_string()),
        "Status": topic.state(cx.now),
    })
    .into())
}

/// `DescribeTopicPartitions`.
pub(crate) fn partitions(world: &World, cx: &Cx, input: &Value) -> Outcome {
    let name = text(input, "/TopicName").unwrap_or_default();
    let cluster = cluster(world, cx, input)?;
    let items: Vec<Value> = topic(cluster, cx.now, name, "NotFoundException")?
        .partitions
        .iter()
        .enumerate()
        .map(|(number, replicas)| {
            json!({
                "Partition": number,
                "Leader": replicas.first(),
                "Replicas": replicas,
                "Isr": replicas,
            })
        })
        .collect();
    page(input, "Partitions", &items)
}

/// `UpdateTopic`: the configurations, which replace those that were set, or the number of partitions.
pub(crate) fn update(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let now = cx.now;
    let name = text(input, "/TopicName").unwrap_or_default().to_owned();
    let held = cluster(world, cx, input)?;
    let present = topic(held, now, &name, "UnknownTopicOrPartitionException")?;
    if present.deleted_at.is_some() {
        return Err(unknown());
    }
    let count = input.get("PartitionCount").and_then(Value::as_u64);
    let configs = text(input, "/Configs");
    rules::configs_xor_partitions(configs.is_some(), count.is_some())?;
    if let Some(count) = count {
        rules::partitions_only_grow(present.partitions.len(), count)?;
    }
    let configs = configs.map(rules::topic_configs).transpose()?;
    let brokers: Vec<u32> = held.brokers(now).iter().map(|b| b.id).collect();
    let (arn, cluster_arn) = (present.arn.clone(), held.arn.clone());
    let label = format!("kafka/topic/{}/{name}", held.name);
    let until = now + world.duration(&label, usual::TOPIC);
    let stored = world.state.kafka.clusters.get_mut(&cluster_arn);
    if let Some(topic) = stored.and_then(|c| c.topics.get_mut(&name)) {
        topic.updating_until = Some(until);
        if let Some(configs) = configs {
            topic.configs = configs;
        }
        if let Some(count) = count.and_then(|c| usize::try_from(c).ok()) {
            let more = assign(&brokers, topic.partitions.len(), count, topic.replication);
            topic.partitions.extend(more);
        }
    }
    Ok(json!({ "TopicArn": arn, "TopicName": name, "Status": "UPDATING" }).into())
}

fn unknown() -> AwsError {
    AwsError::new(
        "UnknownTopicOrPartitionException",
        "This server does not host this topic-partition.",
    )
    .status(404)
}

/// `DeleteTopic`. The topic is readable for a while afterwards.
pub(crate) fn delete(world: &mut World, cx: &Cx, input: &Value) -> Outcome {
    let name = text(input, "/TopicName").unwrap_or_default().to_owned();
    let held = cluster(world, cx, input)?;
    let present = topic(held, cx.now, &name, "UnknownTopicOrPartitionException")?;
    if present.deleted_at.is_some() {
        return Err(unknown());
    }
    let (arn, cluster_arn) = (present.arn.clone(), held.arn.clone());
    let label = format!("kafka/topic/{}/{name}", held.name);
    let gone_at = cx.now + world.duration(&label, usual::TOPIC_DELETE);
    let stored = world.state.kafka.clusters.get_mut(&cluster_arn);
    if let Some(topic) = stored.and_then(|c| c.topics.get_mut(&name)) {
        topic.deleted_at = Some(cx.now);
        topic.gone_at = Some(gone_at);
    }
    Ok(json!({ "TopicArn": arn, "TopicName": name, "Status": "DELETING" }).into())
}
