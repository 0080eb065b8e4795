//! `aws.rds.cluster-lookup`: a cluster that exists already. It is read and checked, never changed, never deleted.
//!
//! # Guarantees
//! Ready means: the engine is the declared one, the cluster can be used, binary logging is on (`binlog_format=ROW`,
//! `binlog_row_image=FULL`), and its writer runs with these parameters. What is wrong is refused with what to do about it.
//! # Caveats
//! Binlog retention and the capture user's grants can't be seen without SQL.
//! # Sources
//! Handbook aws.md §4.3, §4.9.

use std::collections::BTreeMap;

use async_trait::async_trait;
use msk_pipeline_core::kind::{CallError, Case, Guard, Kind, MarkSeen, Next, Sent, Status, Target};
use serde::{Deserialize, Serialize};

use super::aurora_cluster::{self, Cluster, Outputs};
use super::db_cluster_parameter_group as groups;
use super::parameter_group::Scope as _;
use super::rds::{CLUSTER_USUAL, text, wait};
use crate::session::Session;

/// The kind.
pub struct DbClusterLookup {
    rds: aws_sdk_rds::Client,
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Props {
    /// The cluster's identifier.
    pub name: String,
    /// The engine that it must have.
    pub engine: String,
    /// The port that it must have: connectors and their security groups are made for it.
    pub port: i32,
    /// Parameters of its cluster group that must have these values.
    pub parameters: BTreeMap<String, String>,
}

/// What is observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    cluster: Cluster,
    /// The required parameters as they are.
    parameters: BTreeMap<String, String>,
}

/// Nothing is ever changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Call {}

impl DbClusterLookup {
    /// The kind on a session's clients.
    pub fn new(session: &Session) -> Self {
        Self { rds: session.rds.clone() }
    }
}

#[async_trait]
impl Kind for DbClusterLookup {
    const TYPE: &'static str = "aws.rds.cluster-lookup";
    type Props = Props;
    type Seen = Seen;
    type Outputs = Outputs;
    type Call = Call;

    fn name(props: &Props) -> String {
        props.name.clone()
    }

    async fn observe(&self, target: &Target<Self>) -> Result<Option<Seen>, CallError> {
        let props = &target.props;
        let Some(cluster) = aurora_cluster::describe(&self.rds, &props.name).await? else {
            return Ok(None);
        };
        let cluster = Cluster::read(&cluster);
        let (mut parameters, mut marker) = (BTreeMap::new(), None);
        loop {
            let group = &cluster.parameter_group;
            let (page, next) = groups::Cluster::parameters(&self.rds, group, marker).await?;
            for parameter in &page {
                let name = text(parameter.parameter_name());
                if let Some(value) = parameter.parameter_value()
                    && props.parameters.contains_key(&name)
                {
                    parameters.insert(name, value.to_owned());
                }
            }
            marker = next.filter(|m| !m.is_empty());
            if marker.is_none() {
                return Ok(Some(Seen { cluster, parameters }));
            }
        }
    }

    fn mark(_seen: &Seen) -> MarkSeen {
        MarkSeen::ReadOnly
    }

    fn status(seen: &Seen) -> Option<Status> {
        Some(seen.cluster.state())
    }

    fn calls(&self, case: &Case<Self>) -> Next<Call, Outputs> {
        match (&case.want, &case.seen) {
            (None, _) => Next::Gone,
            (Some(want), None) => Next::Refuse {
                because: format!("there is no cluster `{}` in this account and region", want.name),
                help: "correct `existing`, or remove it to have a cluster created".into(),
            },
            (Some(want), Some(seen)) => judge(want, seen),
        }
    }

    async fn perform(&self, call: &Call, _guard: &Guard) -> Result<Sent, CallError> {
        match *call {}
    }
}

fn judge(want: &Props, seen: &Seen) -> Next<Call, Outputs> {
    let cluster = &seen.cluster;
    let refuse = |because: String, help: String| Next::Refuse { because, help };
    if cluster.engine != want.engine {
        return refuse(
            format!("`{}` runs {}, not {}", want.name, cluster.engine, want.engine),
            "set `engine` to what it runs, or name another cluster in `existing`".into(),
        );
    }
    if cluster.port != want.port {
        return refuse(
            format!("`{}` listens on port {}, not {}", want.name, cluster.port, want.port),
            format!("write `port = {}` beside `existing`", cluster.port),
        );
    }
    match cluster.status.as_str() {
        "creating" | "starting" | "upgrading" | "failing-over" | "rebooting" => {
            let condition = wait("cluster available", &cluster.status, CLUSTER_USUAL);
            return Next::Wait { condition, then: Vec::new() };
        }
        "deleting"
        | "stopped"
        | "stopping"
        | "failed"
        | "cloning-failed"
        | "migration-failed"
        | "inaccessible-encryption-credentials" => {
            return refuse(
                format!("`{}` is {}", want.name, cluster.status),
                "bring it back to available, then plan again".into(),
            );
        }
        _ => {}
    }
    for (name, value) in &want.parameters {
        // A full row image is MySQL's own default, which Aurora does not show.
        let default = if name == "binlog_row_image" { "full" } else { "" };
        let found = seen.parameters.get(name).map_or(default, String::as_str);
        if !found.eq_ignore_ascii_case(value) {
            let found = if found.is_empty() { "not set" } else { found };
            return refuse(
                format!("{name} is {found} in `{}`, and must be {value}", cluster.parameter_group),
                format!(
                    "set it in a cluster parameter group of your own, attach that, and reboot the writer: \
                     `aws rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name {} --parameters \
                     ParameterName={name},ParameterValue={value},ApplyMethod=pending-reboot`",
                    cluster.parameter_group
                ),
            );
        }
    }
    match cluster.members.iter().find(|(_, writer, _)| *writer) {
        None => refuse(
            format!("`{}` has no writer instance", want.name),
            "add an instance to the cluster".into(),
        ),
        Some((id, _, state)) if state == "pending-reboot" => refuse(
            format!("the writer `{id}` runs with older parameters than its group has"),
            format!("restart it: `aws rds reboot-db-instance --db-instance-identifier {id}`"),
        ),
        Some((id, _, state)) if state != "in-sync" => {
            let condition = wait(format!("parameters of {id} in-sync"), state, CLUSTER_USUAL);
            Next::Wait { condition, then: Vec::new() }
        }
        Some(_) => Next::Converged(cluster.outputs(&want.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{case, kind, ops};

    fn want() -> Props {
        Props {
            name: "prod".into(),
            engine: "aurora-mysql".into(),
            port: 3306,
            parameters: [
                ("binlog_format".to_owned(), "ROW".to_owned()),
                ("binlog_row_image".to_owned(), "FULL".to_owned()),
            ]
            .into(),
        }
    }

    fn seen() -> Seen {
        let cluster = Cluster {
            name: "prod".into(),
            arn: "arn".into(),
            resource_id: "cluster-ABC".into(),
            status: "available".into(),
            engine: "aurora-mysql".into(),
            version: "8.0.mysql_aurora.3.08.0".into(),
            database: None,
            master_user: "admin".into(),
            endpoint: "e".into(),
            reader_endpoint: "r".into(),
            port: 3306,
            serverless: None,
            encrypted: false,
            kms_key: None,
            backup_retention_days: 1,
            deletion_protection: false,
            logs: Default::default(),
            subnet_group: "s".into(),
            parameter_group: "g".into(),
            security_groups: vec!["sg-1".into()],
            master_secret: None,
            pending: Vec::new(),
            members: vec![("w".into(), true, "in-sync".into())],
            owners: Default::default(),
            tags: Default::default(),
        };
        let parameters = [("binlog_format".to_owned(), "row".to_owned())].into();
        Seen { cluster, parameters }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Seen), expected: &str) {
        let mut seen = seen();
        change(&mut seen);
        let case = case::<DbClusterLookup>(Some(want()), Some(seen));
        assert_eq!(ops(&kind(DbClusterLookup::new).calls(&case)), expected);
    }

    #[test]
    fn it_is_checked_and_never_changed() {
        check(|_| {}, "converged");
        check(|s| s.cluster.engine = "aurora-postgresql".into(), "refuse");
        check(|s| s.cluster.port = 3307, "refuse");
        check(|s| s.cluster.status = "stopped".into(), "refuse");
        check(|s| s.cluster.status = "backing-up".into(), "converged");
        check(|s| s.cluster.status = "upgrading".into(), "wait");
        check(|s| s.parameters.clear(), "refuse");
        check(|s| drop(s.parameters.insert("binlog_row_image".into(), "minimal".into())), "refuse");
        check(|s| s.cluster.members.clear(), "refuse");
        check(|s| s.cluster.members[0].2 = "pending-reboot".into(), "refuse");
        check(|s| s.cluster.members[0].2 = "applying".into(), "wait");
        let kind = kind(DbClusterLookup::new);
        assert_eq!(ops(&kind.calls(&case(Some(want()), None))), "refuse");
        assert_eq!(ops(&kind.calls(&case(None, Some(seen())))), "gone");
    }
}
