//! A double of the other services, so that these tests depend on none of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::super::around::{Cluster, Database, Object, Role, Secret, Subnet};
use crate::world::Millis;

/// What the other services would answer.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Debug, Default)]
pub(in super::super) struct Double {
    /// Security group to VPC.
    pub(in super::super) groups: BTreeMap<String, String>,
    /// Subnet to VPC.
    pub(in super::super) subnets: BTreeMap<String, String>,
    /// Groups that let nothing through on a port.
    pub(in super::super) closed: BTreeSet<(String, u16)>,
    pub(in super::super) no_way_out: bool,
    pub(in super::super) roles: BTreeMap<String, Millis>,
    pub(in super::super) trusted: bool,
    /// What the role's policies don't allow: an action, or an action and how its resource ends.
    pub(in super::super) denied: BTreeSet<String>,
    /// `bucket/key` to SHA-256.
    pub(in super::super) objects: BTreeMap<String, String>,
    /// Secret to its keys.
    pub(in super::super) secrets: BTreeMap<String, Vec<String>>,
    pub(in super::super) log_groups: BTreeSet<String>,
    pub(in super::super) logged: Vec<(Millis, String)>,
    pub(in super::super) serves: bool,
    pub(in super::super) ports: Vec<u16>,
    pub(in super::super) topics: BTreeSet<String>,
    pub(in super::super) available: bool,
    pub(in super::super) row: bool,
    pub(in super::super) logical: bool,
    pub(in super::super) dials: BTreeMap<String, serde_json::Value>,
}

pub(super) const BROKER: &str = "b-1.main.abc123.c2.kafka.us-east-1.amazonaws.com";
pub(super) const DATABASE: &str = "orders.cluster-c0.us-east-1.rds.amazonaws.com";
pub(super) const POSTGRES: &str = "customers.cluster-c0.us-east-1.rds.amazonaws.com";
pub(super) const CLUSTER: &str =
    "arn:aws:kafka:us-east-1:111111111111:cluster/main/00000000-0000-4000-a000-000000000001-2";

impl Double {
    /// A world in which everything is as it should be.
    pub(super) fn healthy() -> Self {
        let pairs = |all: &[(&str, &str)]| {
            all.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect()
        };
        Self {
            groups: pairs(&[("sg-connect", "vpc-1"), ("sg-brokers", "vpc-1"), ("sg-far", "vpc-2")]),
            subnets: pairs(&[
                ("subnet-a", "vpc-1"),
                ("subnet-b", "vpc-1"),
                ("subnet-far", "vpc-2"),
            ]),
            roles: [(super::ROLE.to_string(), 0)].into(),
            trusted: true,
            objects: pairs(&[("plugins/debezium.zip", "sha")]),
            secrets: [("cdc/orders".to_string(), vec!["password".to_string()])].into(),
            log_groups: ["/connect".to_string()].into(),
            serves: true,
            ports: vec![9092, 9094, 9098],
            available: true,
            row: true,
            logical: true,
            ..Self::default()
        }
    }

    pub(in super::super) fn subnet(&self, id: &str) -> Option<Subnet> {
        self.subnets.get(id).map(|vpc| Subnet {
            id: id.into(),
            vpc_id: vpc.clone(),
            az: "us-east-1a".into(),
            cidr: "10.0.1.0/24".into(),
        })
    }

    pub(in super::super) fn role(&self, arn: &str) -> Option<Role> {
        self.roles.get(arn).map(|propagated_at| Role {
            name: "connect".into(),
            arn: arn.into(),
            propagated_at: *propagated_at,
        })
    }

    pub(in super::super) fn object(&self, bucket: &str, key: &str) -> Option<Object> {
        self.objects.get(&format!("{bucket}/{key}")).map(|sha256| Object {
            etag: "\"d41d8cd98f00b204e9800998ecf8427e\"".into(),
            size: 15,
            sha256: sha256.clone(),
        })
    }

    pub(in super::super) fn secret(&self, name: &str) -> Option<Secret> {
        self.secrets.get(name).map(|keys| Secret {
            arn: format!("arn:aws:secretsmanager:us-east-1:111111111111:secret:{name}-AbCdEf"),
            keys: keys.clone(),
        })
    }

    pub(in super::super) fn cluster(&self, host_port: &str) -> Option<Cluster> {
        host_port.starts_with(BROKER).then(|| Cluster {
            arn: CLUSTER.into(),
            groups: vec!["sg-brokers".into()],
            serves: self.serves,
            ports: self.ports.clone(),
        })
    }

    pub(in super::super) fn database(&self, host: &str) -> Option<Database> {
        let port = match host {
            DATABASE => 3306,
            POSTGRES => 5432,
            _ => return None,
        };
        Some(Database {
            groups: vec!["sg-db".into()],
            port,
            available: self.available,
            binlog_format_row: self.row,
            logical_replication: self.logical,
        })
    }
}

thread_local! {
    static DOUBLE: RefCell<Option<Double>> = const { RefCell::new(None) };
}

/// Puts a double in place of the other services, for the tests of this thread.
pub(super) fn install(double: Double) {
    DOUBLE.with(|cell| *cell.borrow_mut() = Some(double));
}

/// What the double answers, when there is one.
pub(in super::super) fn ask<R>(question: impl FnOnce(&mut Double) -> R) -> Option<R> {
    DOUBLE.with(|cell| cell.borrow_mut().as_mut().map(question))
}

/// Changes the double.
pub(super) fn set(change: impl FnOnce(&mut Double)) {
    ask(change).expect("a test installs its double first");
}

impl Double {
    /// Whether nothing denies it.
    pub(in super::super) fn permits(&self, action: &str, resource: &str) -> bool {
        !self.denied.iter().any(|denied| match denied.split_once(' ') {
            None => denied == action,
            Some((denied, end)) => denied == action && resource.ends_with(end),
        })
    }
}
