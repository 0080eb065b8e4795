//! Every look at the other services, in one place and in this service's own terms: what a connector's fate depends on.

use serde_json::Value;

use crate::services::{ec2, iam, kafka, logs, rds, s3, secretsmanager};
use crate::world::{Millis, World};

/// Answers from the test's double when there is one.
macro_rules! doubled {
    ($double:ident => $answer:expr) => {
        #[cfg(test)]
        if let Some(answer) = super::tests::double::ask(|$double| $answer) {
            return answer;
        }
    };
}

/// A subnet.
#[derive(Debug, Clone)]
pub(super) struct Subnet {
    pub(super) id: String,
    pub(super) vpc_id: String,
    pub(super) az: String,
    pub(super) cidr: String,
}

/// A role.
#[derive(Debug, Clone)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) propagated_at: Millis,
}

/// An object in S3.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) etag: String,
    pub(super) size: u64,
    pub(super) sha256: String,
}

/// A secret, with the names of its JSON keys.
#[derive(Debug, Clone)]
pub(super) struct Secret {
    pub(super) arn: String,
    pub(super) keys: Vec<String>,
}

/// A cluster.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) arn: String,
    pub(super) groups: Vec<String>,
    /// Whether its brokers answer.
    pub(super) serves: bool,
    /// The ports of its listeners.
    pub(super) ports: Vec<u16>,
}

/// A database.
#[derive(Debug, Clone)]
pub(super) struct Database {
    pub(super) groups: Vec<String>,
    pub(super) port: u16,
    pub(super) available: bool,
    /// Of a MySQL: whether it writes its binary log by rows.
    pub(super) binlog_format_row: bool,
    /// Of a PostgreSQL: whether `wal_level` is `logical`.
    pub(super) logical_replication: bool,
}

/// The VPC of a security group.
pub(super) fn group_vpc(world: &World, id: &str) -> Option<String> {
    doubled!(d => d.groups.get(id).cloned());
    ec2::group(world, id).map(|group| group.vpc_id)
}

/// A subnet.
pub(super) fn subnet(world: &World, id: &str) -> Option<Subnet> {
    doubled!(d => d.subnet(id));
    let found = ec2::subnet(world, id)?;
    Some(Subnet { id: found.id, vpc_id: found.vpc_id, az: found.az, cidr: found.cidr })
}

/// Whether the rules of both sides let traffic through.
pub(super) fn allows(world: &World, from: &[String], to: &[String], port: u16) -> bool {
    doubled!(d => !to.iter().any(|group| d.closed.contains(&(group.clone(), port))));
    ec2::allows(world, from, to, port)
}

/// Whether a worker in this subnet reaches an AWS service: it has no public address, so only through a NAT gateway or an endpoint.
pub(super) fn way_out(world: &World, now: Millis, subnet: &Subnet, service: &str) -> bool {
    doubled!(d => !d.no_way_out);
    matches!(ec2::egress(world, &subnet.id), ec2::Egress::Nat)
        || ec2::endpoint(world, now, &subnet.vpc_id, &subnet.id, service)
}

/// A role.
pub(super) fn role(world: &World, arn: &str) -> Option<Role> {
    doubled!(d => d.role(arn));
    let found = iam::role(world, arn)?;
    Some(Role { name: found.name, arn: found.arn, propagated_at: found.propagated_at })
}

/// Whether MSK Connect may assume the role for this connector.
pub(super) fn trusts(world: &World, role: &Role, connector_arn: &str) -> bool {
    doubled!(d => d.trusted);
    let account = &world.settings.account;
    iam::role(world, &role.arn).is_some_and(|role| {
        iam::trusts_service(&role, "kafkaconnect.amazonaws.com", account, connector_arn)
    })
}

/// Whether the role's policies allow an action.
pub(super) fn permits(world: &World, role: &Role, action: &str, resource: &str) -> bool {
    doubled!(d => d.permits(action, resource));
    iam::role(world, &role.arn).is_some_and(|role| iam::permits(&role, action, resource))
}

/// An object in S3, with what is known of its content.
pub(super) fn object(
    world: &World,
    bucket: &str,
    key: &str,
    version: Option<&str>,
) -> Option<Object> {
    doubled!(d => d.object(bucket, key));
    let found = s3::object(world, bucket, key, version)?;
    Some(Object { etag: found.etag, size: found.size, sha256: found.sha256 })
}

/// A secret, with the names of its JSON keys.
pub(super) fn secret(world: &World, now: Millis, name: &str) -> Option<Secret> {
    doubled!(d => d.secret(name));
    let found = secretsmanager::find(world, name, now)?;
    Some(Secret { arn: found.arn, keys: found.keys })
}

/// Whether a log group exists.
pub(super) fn log_group_exists(world: &World, group: &str) -> bool {
    doubled!(d => d.log_groups.contains(group));
    logs::exists(world, group)
}

/// Writes lines of a worker.
pub(super) fn log(world: &mut World, group: &str, stream: &str, at: Millis, lines: &[String]) {
    doubled!(d => d.logged.extend(lines.iter().map(|line| (at, line.clone()))));
    logs::put(world, group, stream, at, lines);
}

/// The cluster behind a bootstrap server `host:port`.
pub(super) fn cluster(world: &World, now: Millis, host_port: &str) -> Option<Cluster> {
    doubled!(d => d.cluster(host_port));
    let found = kafka::by_bootstrap(world, now, host_port)?;
    let ports = found.listeners.iter().map(|listener| listener.port).collect();
    Some(Cluster { arn: found.arn, groups: found.groups, serves: found.serves, ports })
}

/// Whether a topic exists.
pub(super) fn topic_exists(world: &World, now: Millis, cluster_arn: &str, topic: &str) -> bool {
    doubled!(d => d.topics.contains(topic));
    kafka::topic_exists(world, now, cluster_arn, topic)
}

/// The database behind a host name; `None` when it is none of ours.
pub(super) fn database(world: &World, now: Millis, host: &str) -> Option<Database> {
    doubled!(d => d.database(host));
    let found = rds::by_endpoint(world, now, host)?;
    Some(Database {
        groups: found.groups,
        port: found.port,
        available: found.available,
        binlog_format_row: found.binlog_format_row,
        logical_replication: found.logical_replication,
    })
}

/// A dial for what goes wrong. Every fault of this service is asked for here.
pub(super) fn dial(world: &World, name: &str) -> Option<Value> {
    doubled!(d => d.dials.get(name).cloned());
    world.faults.dial(name).cloned()
}
