//! Databases as the programs behind them see them. Each Aurora cluster is one server, its writer's; readers are its other names.

use std::collections::BTreeMap;

use super::state::{Cluster, Instance, Phase};
use super::{catalog, parameters, views};
use crate::plane::{self, Awaited, Engine, Work};
use crate::world::{Millis, World};

pub(crate) fn databases(world: &World, now: Millis) -> Vec<plane::Database> {
    let state = &world.state.rds;
    let clusters = state.clusters.values().filter(|c| c.life.exists(now) && !c.life.deleting());
    clusters
        .filter_map(|c| Some((c, state.writer(&c.id, now)?)))
        .filter(|(_, writer)| !writer.life.deleting() && writer.life.fails.is_none())
        .map(|(cluster, writer)| wanted_of(world, cluster, writer, now))
        .collect()
}

fn wanted_of(world: &World, cluster: &Cluster, writer: &Instance, now: Millis) -> plane::Database {
    let state = &world.state.rds;
    let readers = state.members(&cluster.id, now).into_iter().filter(|m| m.id != writer.id);
    let secret = cluster.secret.as_ref().and_then(|s| plane::secret(world, now, &s.arn));
    let mysql = catalog::is_mysql(&cluster.engine);
    plane::Database {
        name: cluster.id.clone(),
        engine: if mysql { Engine::MySql } else { Engine::PostgreSql },
        version: cluster.life.text(now, "EngineVersion"),
        writer: writer.id.clone(),
        endpoints: [
            views::cluster_endpoint(world, &cluster.id, "cluster"),
            views::instance_endpoint(world, &writer.id),
        ]
        .into(),
        readers: readers
            .map(|m| views::instance_endpoint(world, &m.id))
            .chain([views::cluster_endpoint(world, &cluster.id, "cluster-ro")])
            .collect(),
        port: views::port(cluster, &cluster.life.values(now)),
        master: cluster.master_username.clone(),
        managed: cluster.secret.is_some(),
        password: secret.and_then(|members| members.get("password").cloned()),
        database: cluster.database.clone(),
        parameters: wanted_parameters(world, cluster, writer, now),
        awaits: awaits(writer, now),
    }
}

/// What is set in the groups; the instance's wins, as it does on Aurora.
fn wanted_parameters(
    world: &World,
    cluster: &Cluster,
    writer: &Instance,
    now: Millis,
) -> BTreeMap<String, (String, bool)> {
    let state = &world.state.rds;
    let groups = [
        (state.cluster_groups.get(&cluster.life.text(now, "DBClusterParameterGroup")), true),
        (state.instance_groups.get(&writer.life.text(now, "DBParameterGroupName")), false),
    ];
    let mut out = BTreeMap::new();
    for (group, of_cluster) in groups {
        let Some(group) = group else { continue };
        for (name, setting) in &group.settings {
            let known = parameters::find(&group.family, of_cluster, name);
            let dynamic = known.is_some_and(|p| p.apply_type == "dynamic");
            out.insert(name.clone(), (setting.value.clone(), dynamic));
        }
    }
    out
}

/// The first phase that only a report can end.
fn open(instance: &Instance, now: Millis) -> Option<(Millis, &Phase)> {
    let far = |phase: &&Phase| phase.until >= plane::UNTIL_REPORTED && now < phase.until;
    if let Some(phase) = instance.life.creating.iter().find(far) {
        return Some((instance.life.created_at, phase));
    }
    let changes = instance.life.changes.iter().filter(|c| c.from <= now);
    changes.into_iter().find_map(|c| c.phases.iter().find(far).map(|phase| (c.from, phase)))
}

fn awaits(instance: &Instance, now: Millis) -> Option<Awaited> {
    let (since, phase) = open(instance, now)?;
    let what = if phase.status == "rebooting" {
        Work::Reboot { brokers: Vec::new() }
    } else {
        Work::Create
    };
    Some(Awaited { token: token(instance, since), what })
}

fn token(instance: &Instance, since: Millis) -> String {
    format!("{}/{since}", instance.resource_id)
}

pub(crate) fn end(world: &mut World, now: Millis, wanted: &str, failure: Option<&str>) -> bool {
    let found = world.state.rds.instances.values_mut().find(|instance| {
        open(instance, now).is_some_and(|(since, _)| token(instance, since) == wanted)
    });
    let Some(instance) = found else { return false };
    let creating = now < instance.life.ready_at();
    let life = &mut instance.life;
    let changes = life.changes.iter_mut().filter(|c| c.from <= now).flat_map(|c| &mut c.phases);
    for phase in life.creating.iter_mut().chain(changes) {
        phase.until = phase.until.min(now);
    }
    for boot in &mut life.boots {
        *boot = (*boot).min(now);
    }
    if creating && failure.is_some() {
        // The one way in which a server that doesn't come up shows itself on RDS: its parameters don't fit.
        life.fails = Some("incompatible-parameters".into());
    }
    true
}
