//! The RDS kinds and the secret on the embedded AWS: that what a plan lists is what converging takes, and that nothing is left over.

use std::collections::BTreeMap;
use std::sync::Arc;

use msk_pipeline_core::kind::{
    Class, Guard, Kind, MarkSeen, Next, Proposed, Pursuit, Recorded, Target,
};

use super::aurora_cluster::{self, AuroraCluster, Capacity, OnDestroy};
use super::aurora_instance::{self, AuroraInstance};
use super::db_cluster_lookup::{self, DbClusterLookup};
use super::db_cluster_parameter_group::DbClusterParameterGroup;
use super::db_parameter_group::DbParameterGroup;
use super::db_subnet_group::{self, DbSubnetGroup};
use super::parameter_group;
use super::secret::{self, Secret};
use super::testing::{Cloud, case, mark};
use crate::Session;

/// A resource: its kind, and what a state would remember.
struct Resource<K: Kind> {
    cloud: Arc<Cloud>,
    kind: K,
    was: Option<Recorded<K::Props, K::Outputs>>,
}

impl<K: Kind> Resource<K> {
    fn new(cloud: &Arc<Cloud>, session: &Session, new: impl Fn(&Session) -> K) -> Self {
        Self { cloud: Arc::clone(cloud), kind: new(session), was: None }
    }

    /// What the engine does with a kind, in short. Returns the operations in order; fails on one that the first look did not list.
    async fn converge(&mut self, want: Option<K::Props>) -> Vec<String> {
        let value = |call: &K::Call| serde_json::to_value(call).unwrap();
        let (mut done, mut planned) = (Vec::new(), None);
        let mut pursuit: Option<Pursuit<K::Call>> = None;
        for _ in 0..2000 {
            let was = self.was.clone();
            let props = want.clone().or_else(|| was.as_ref().map(|w| w.props.clone())).unwrap();
            let target = Target { props, was: was.clone(), pursuit: pursuit.clone() };
            let seen = self.kind.observe(&target).await.unwrap();
            if let Some(MarkSeen::Lineage { lineage, .. }) = seen.as_ref().map(K::mark) {
                assert_eq!(lineage, mark().lineage);
            }
            let mut now = case::<K>(want.clone(), seen);
            (now.was, now.pursuit) = (was, pursuit.clone());
            let next = self.kind.calls(&now);
            let list: Vec<Proposed<K::Call>> = match &next {
                Next::Calls(list) | Next::Wait { then: list, .. } => list.clone(),
                _ => Vec::new(),
            };
            let planned = planned.get_or_insert(list);
            match next {
                Next::Converged(outputs) => {
                    self.was = want.map(|props| Recorded { props, outputs: Some(outputs) });
                    return done;
                }
                Next::Gone | Next::Kept => return done,
                Next::Wait { .. } => self.cloud.pass(10),
                Next::Calls(list) => {
                    let first = list.into_iter().next().unwrap();
                    let listed = planned
                        .iter()
                        .any(|p| p.op == first.op && value(&p.call) == value(&first.call));
                    assert!(listed, "{} was not in the plan", first.op);
                    if pursuit.as_ref().is_some_and(|p| value(&p.call) == value(&first.call)) {
                        self.cloud.pass(5);
                        continue;
                    }
                    match self.kind.perform(&first.call, &Guard::default()).await {
                        Ok(sent) => {
                            done.push(first.op.rsplit(':').next().unwrap().to_owned());
                            pursuit = Some(Pursuit {
                                call: first.call,
                                op: first.op,
                                effect: first.effect,
                                guard: first.guard,
                                sent: Some(sent),
                                begun: Default::default(),
                                ended: None,
                            });
                        }
                        Err(e) if matches!(e.class, Class::Conflict | Class::NotYet) => {
                            self.cloud.pass(10);
                        }
                        Err(e) => panic!("{e}"),
                    }
                }
                Next::Replace { because, .. } => panic!("{because}"),
                Next::Refuse { because, help } => panic!("{because}; {help}"),
                Next::Failed { cause, .. } => panic!("{cause}"),
            }
        }
        panic!("it does not converge; done: {done:?}");
    }

    fn outputs(&self) -> &K::Outputs {
        self.was.as_ref().unwrap().outputs.as_ref().unwrap()
    }
}

/// A VPC with two of its subnets in different zones, and a security group.
async fn network(session: &Session) -> (String, Vec<String>, String) {
    let subnets = session.ec2.describe_subnets().send().await.unwrap();
    let first = subnets.subnets().first().unwrap();
    let second = subnets
        .subnets()
        .iter()
        .find(|s| {
            s.vpc_id() == first.vpc_id() && s.availability_zone() != first.availability_zone()
        })
        .unwrap();
    let id = |s: &aws_sdk_ec2::types::Subnet| s.subnet_id().unwrap().to_owned();
    let vpc = first.vpc_id().unwrap().to_owned();
    let groups = session.ec2.describe_security_groups().send().await.unwrap();
    let group = groups.security_groups().iter().find(|g| g.vpc_id() == Some(vpc.as_str()));
    let group = group.and_then(|g| g.group_id()).unwrap().to_owned();
    (vpc, vec![id(first), id(second)], group)
}

fn group(name: &str, parameters: &[(&str, &str)]) -> parameter_group::Props {
    parameter_group::Props {
        name: name.into(),
        family: "aurora-mysql8.0".into(),
        description: "d".into(),
        parameters: parameters.iter().map(|&(k, v)| (k.into(), v.into())).collect(),
        keep: false,
        tags: BTreeMap::new(),
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_database_lives_and_dies() {
    let cloud = Cloud::new();
    let session = Session::embedded(cloud.clone(), "us-east-1");
    let (vpc, subnet_ids, sg) = network(&session).await;
    let none = Vec::<String>::new();

    let mut subnets = Resource::new(&cloud, &session, DbSubnetGroup::new);
    let subnet_props = db_subnet_group::Props {
        name: "orders-main".into(),
        description: "d".into(),
        vpc_id: vpc.as_str().into(),
        subnets: subnet_ids.clone().into(),
        keep: false,
        tags: BTreeMap::new(),
    };
    assert_eq!(subnets.converge(Some(subnet_props.clone())).await, ["CreateDBSubnetGroup"]);
    assert_eq!(subnets.converge(Some(subnet_props)).await, none);

    let binlog = [("binlog_format", "ROW"), ("binlog_row_image", "FULL")];
    let mut shared = Resource::new(&cloud, &session, DbClusterParameterGroup::new);
    assert_eq!(
        shared.converge(Some(group("orders-cluster", &binlog))).await,
        ["CreateDBClusterParameterGroup", "ModifyDBClusterParameterGroup"]
    );
    assert_eq!(shared.converge(Some(group("orders-cluster", &binlog))).await, none);
    let mut own = Resource::new(&cloud, &session, DbParameterGroup::new);
    assert_eq!(own.converge(Some(group("orders-instance", &[]))).await, ["CreateDBParameterGroup"]);

    let mut cluster = Resource::new(&cloud, &session, AuroraCluster::new);
    let mut cluster_props = aurora_cluster::Props {
        name: "orders-main".into(),
        engine: "aurora-mysql".into(),
        version: "8.0.mysql_aurora.3.10.3".into(),
        database: None,
        master_user: "admin".into(),
        port: 3306,
        serverless: Some(Capacity { min: 0.5, max: 8.0 }),
        kms_key: None,
        backup_retention_days: 7,
        deletion_protection: true,
        logs: ["error".into()].into(),
        subnet_group: "orders-main".into(),
        parameter_group: "orders-cluster".into(),
        instance_parameter_group: "orders-instance".into(),
        security_groups: vec![sg.as_str().into()],
        on_destroy: OnDestroy::Snapshot,
        tags: BTreeMap::from([("Team".into(), "data".into())]),
    };
    assert_eq!(cluster.converge(Some(cluster_props.clone())).await, ["CreateDBCluster"]);
    assert_eq!(cluster.converge(Some(cluster_props.clone())).await, none);
    assert!(cluster.outputs().master_secret.starts_with("rds!cluster-"));

    let mut writer = Resource::new(&cloud, &session, AuroraInstance::new);
    let mut writer_props = aurora_instance::Props {
        name: "orders-main-writer".into(),
        cluster: "orders-main".into(),
        engine: "aurora-mysql".into(),
        version: cluster_props.version.clone(),
        class: "db.serverless".into(),
        promotion_tier: 0,
        public: false,
        parameter_group: "orders-instance".into(),
        revisions: vec![shared.outputs().revision.as_str().into()],
        values: Vec::new(),
        subnets: subnet_ids.into(),
        keep: false,
        tags: BTreeMap::new(),
    };
    assert_eq!(writer.converge(Some(writer_props.clone())).await, ["CreateDBInstance"]);
    assert_eq!(writer.converge(Some(writer_props.clone())).await, none);

    // The same database, looked up.
    let mut lookup = Resource::new(&cloud, &session, DbClusterLookup::new);
    let lookup_props = db_cluster_lookup::Props {
        name: "orders-main".into(),
        engine: "aurora-mysql".into(),
        port: 3306,
        parameters: binlog.iter().map(|&(k, v)| (k.into(), v.into())).collect(),
    };
    assert_eq!(lookup.converge(Some(lookup_props)).await, none);
    assert_eq!(lookup.outputs(), cluster.outputs());

    // A static parameter is changed: another revision, and the writer restarts.
    let gtid = [binlog[0], ("gtid-mode", "ON"), ("enforce_gtid_consistency", "ON")];
    let before = shared.outputs().revision.clone();
    assert_eq!(
        shared.converge(Some(group("orders-cluster", &gtid))).await,
        ["ModifyDBClusterParameterGroup", "ResetDBClusterParameterGroup"]
    );
    assert_ne!(shared.outputs().revision, before);
    writer_props.revisions = vec![shared.outputs().revision.as_str().into()];
    assert_eq!(writer.converge(Some(writer_props.clone())).await, ["RebootDBInstance"]);
    assert_eq!(writer.converge(Some(writer_props.clone())).await, none);

    // Several settings in one call, then an upgrade.
    cluster_props.backup_retention_days = 14;
    cluster_props.serverless = Some(Capacity { min: 1.0, max: 16.0 });
    cluster_props.logs = ["slowquery".into()].into();
    cluster_props.tags.clear();
    assert_eq!(
        cluster.converge(Some(cluster_props.clone())).await,
        ["ModifyDBCluster", "RemoveTagsFromResource"]
    );
    cluster_props.version = "8.0.mysql_aurora.3.10.4".into();
    assert_eq!(cluster.converge(Some(cluster_props.clone())).await, ["ModifyDBCluster"]);
    assert_eq!(cluster.converge(Some(cluster_props)).await, none);
    writer_props.class = "db.r7g.large".into();
    writer_props.promotion_tier = 2;
    assert_eq!(writer.converge(Some(writer_props.clone())).await, ["ModifyDBInstance"]);
    assert_eq!(writer.converge(Some(writer_props)).await, none);

    // Everything goes, also twice.
    assert_eq!(writer.converge(None).await, ["DeleteDBInstance"]);
    assert_eq!(cluster.converge(None).await, ["ModifyDBCluster", "DeleteDBCluster"]);
    assert_eq!(cluster.converge(None).await, none);
    assert_eq!(shared.converge(None).await, ["DeleteDBClusterParameterGroup"]);
    assert_eq!(own.converge(None).await, ["DeleteDBParameterGroup"]);
    assert_eq!(subnets.converge(None).await, ["DeleteDBSubnetGroup"]);
    assert_eq!(subnets.converge(None).await, none);
    let snapshots = session.rds.describe_db_cluster_snapshots().send().await.unwrap();
    assert_eq!(snapshots.db_cluster_snapshots().len(), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn what_rds_does_not_offer_is_refused_before_anything_is_made() {
    let cloud = Cloud::new();
    let session = Session::embedded(cloud.clone(), "us-east-1");
    let instance = AuroraInstance::new(&session);
    let props = aurora_instance::Props {
        name: "orders-main-writer".into(),
        cluster: "orders-main".into(),
        engine: "aurora-mysql".into(),
        version: "8.0.mysql_aurora.3.10.4".into(),
        class: "db.t3.small".into(),
        promotion_tier: 0,
        public: false,
        parameter_group: "g".into(),
        revisions: Vec::new(),
        values: Vec::new(),
        subnets: Vec::new().into(),
        keep: false,
        tags: BTreeMap::new(),
    };
    let target = Target { props: props.clone(), was: None, pursuit: None };
    let seen = instance.observe(&target).await.unwrap();
    let next = instance.calls(&case(Some(props), seen));
    assert!(matches!(next, Next::Refuse { .. }), "{next:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_secret_lives_and_dies_and_lives_again() {
    let cloud = Cloud::new();
    let session = Session::embedded(cloud.clone(), "us-east-1");
    let none = Vec::<String>::new();
    let mut secret = Resource::new(&cloud, &session, Secret::new);
    let mut props = secret::Props {
        name: "orders/main/capture".into(),
        username: "debezium".into(),
        description: "d".into(),
        kms_key: None,
        existing: false,
        keep: false,
        tags: BTreeMap::new(),
    };
    assert_eq!(secret.converge(Some(props.clone())).await, ["CreateSecret"]);
    assert_eq!(secret.converge(Some(props.clone())).await, none);
    let read = || async {
        let value = session.secretsmanager.get_secret_value();
        let value = value.secret_id("orders/main/capture").send().await.unwrap();
        let text = value.secret_string().unwrap().to_owned();
        serde_json::from_str::<BTreeMap<String, String>>(&text).unwrap()
    };
    let first = read().await;
    assert_eq!((first["username"].as_str(), first["password"].len()), ("debezium", 32));
    props.username = "cdc".into();
    assert_eq!(secret.converge(Some(props.clone())).await, ["PutSecretValue", "TagResource"]);
    let second = read().await;
    assert_eq!(second["username"], "cdc");
    assert_ne!(first["password"], second["password"]);

    // Somebody schedules it for deletion: it is restored, with its password.
    let delete = session.secretsmanager.delete_secret().secret_id("orders/main/capture");
    delete.recovery_window_in_days(7).send().await.unwrap();
    assert_eq!(secret.converge(Some(props.clone())).await, ["RestoreSecret"]);
    assert_eq!(read().await, second);

    assert_eq!(secret.converge(None).await, ["DeleteSecret"]);
    assert_eq!(secret.converge(None).await, none);
    secret.was = None;
    assert_eq!(secret.converge(Some(props)).await, ["CreateSecret"]);
    assert_ne!(read().await, second);
}
