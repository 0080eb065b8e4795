//! Clusters as the programs behind them see them.

use std::collections::BTreeMap;

use super::state::{Cluster, Failure, Operation, Provisioned, listeners};
use super::versions;
use crate::plane::{self, Awaited, Topic, Work};
use crate::world::{Millis, World};

/// Whether an operation of this kind is done by brokers; the others change what brokers here don't have, such as a volume's size.
pub(super) fn by_programs(kind: &str) -> bool {
    matches!(
        kind,
        "INCREASE_BROKER_COUNT"
            | "DECREASE_BROKER_COUNT"
            | "UPDATE_CLUSTER_CONFIGURATION"
            | "UPDATE_SECURITY"
            | "REBOOT_NODE"
    )
}

pub(crate) fn clusters(world: &World, now: Millis) -> Vec<plane::Cluster> {
    let all = world.state.kafka.clusters.values();
    let wanted = all.filter(|c| c.exists(now) && !matches!(c.state(now), "DELETING" | "FAILED"));
    wanted.map(|cluster| wanted_of(world, cluster, now)).collect()
}

fn wanted_of(world: &World, cluster: &Cluster, now: Millis) -> plane::Cluster {
    let active = cluster.active(now).filter(|o| by_programs(&o.kind));
    let values = active.map_or_else(|| cluster.visible(now), |operation| &operation.after);
    let domain = cluster.domain(world);
    // The brokers that there will be when the operation has ended.
    let brokers = cluster.brokers(active.map_or(now, |operation| operation.ends_at));
    let topics = cluster.topics.iter().filter(|(_, t)| t.deleted_at.is_none());
    plane::Cluster {
        arn: cluster.arn.clone(),
        name: cluster.name.clone(),
        zones: cluster.subnets.len(),
        brokers: brokers.into_iter().map(|b| (b.id, format!("b-{}.{domain}", b.id))).collect(),
        ports: listeners(values).into_iter().map(|listener| listener.port).collect(),
        properties: properties(world, values),
        topics: topics
            .map(|(name, topic)| {
                let partitions = topic.partitions.len();
                let (replication, configs) = (topic.replication, topic.configs.clone());
                (name.clone(), Topic { partitions, replication, configs })
            })
            .collect(),
        awaits: awaits(cluster, active, now),
    }
}

fn awaits(cluster: &Cluster, active: Option<&Operation>, now: Millis) -> Option<Awaited> {
    if now < cluster.ready_at {
        return Some(Awaited { token: cluster.arn.clone(), what: Work::Create });
    }
    let operation = active?;
    let what = match operation.kind.as_str() {
        "REBOOT_NODE" => Work::Reboot { brokers: operation.reboots.clone() },
        _ => Work::Update { validated: true },
    };
    Some(Awaited { token: operation.arn.clone(), what })
}

fn properties(world: &World, values: &Provisioned) -> BTreeMap<String, String> {
    let find = || {
        let (arn, revision) = values.configuration.as_ref()?;
        let configuration = world.state.kafka.configurations.get(arn)?;
        let index = usize::try_from(*revision).ok()?.checked_sub(1)?;
        let text = versions::decode(&configuration.revisions.get(index)?.properties)?;
        Some(versions::properties(&text).into_iter().collect())
    };
    find().unwrap_or_default()
}

pub(crate) fn end(world: &mut World, now: Millis, token: &str, failure: Option<&str>) -> bool {
    let told = |message: &str, code: &str| Failure { told: Some((code.into(), message.into())) };
    for cluster in world.state.kafka.clusters.values_mut() {
        if cluster.arn == token && now < cluster.ready_at {
            cluster.ready_at = now;
            if let Some(message) = failure {
                cluster.create_failure = Some(told(message, "InternalFailure"));
            }
            return true;
        }
        let found = cluster.operations.last_mut().filter(|o| o.arn == token && now < o.ends_at);
        let Some(operation) = found else { continue };
        let planned = std::mem::replace(&mut operation.ends_at, now);
        operation.starts_at = operation.starts_at.min(now);
        operation.failure = failure.map(|message| told(message, "UpdateFailed"));
        if failure.is_some() {
            cluster.brokers.retain(|b| b.from != planned);
        }
        for broker in &mut cluster.brokers {
            if broker.from == planned {
                broker.from = now;
            }
            if broker.until == Some(planned) {
                broker.until = failure.is_none().then_some(now);
            }
        }
        return true;
    }
    false
}
