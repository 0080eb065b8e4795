//! A world in which RDS is tried out.

use serde_json::{Value, json};

use super::SERVICE;
use super::rules::RULES;
use crate::services::ec2;
use crate::world::{AwsError, Cx, Millis, Settings, World};

mod clusters;
mod groups_and_instances;
mod lifecycle;

const MINUTE: Millis = 60_000;

/// A world with a clock that the test moves.
struct Lab {
    world: World,
    now: Millis,
    subnets: [String; 2],
    group: String,
}

impl Lab {
    /// A world with the subnet group `net` in two zones of one VPC.
    fn new() -> Self {
        let settings = Settings::default();
        let now = settings.epoch + MINUTE;
        let mut world = World::new(settings);
        let cx = Cx { now, body: bytes::Bytes::new(), request_id: String::new() };
        let mut list = |operation: &str, member: &str| {
            let reply = (ec2::SERVICE.handle)(&mut world, &cx, operation, &json!({}));
            reply.ok().and_then(|r| r.value[member].as_array().cloned()).unwrap_or_default()
        };
        let subnets = list("DescribeSubnets", "Subnets");
        let groups = list("DescribeSecurityGroups", "SecurityGroups");
        let (subnets, group) = match subnets.as_slice() {
            [a, rest @ ..] => {
                let vpc = &a["VpcId"];
                let other = |s: &&Value| {
                    s["VpcId"] == *vpc && s["AvailabilityZone"] != a["AvailabilityZone"]
                };
                let b = rest.iter().find(other).expect("a second zone");
                let group = groups.iter().find(|g| g["VpcId"] == *vpc).expect("a group");
                let id = |v: &Value| v.as_str().expect("an id").to_owned();
                ([id(&a["SubnetId"]), id(&b["SubnetId"])], id(&group["GroupId"]))
            }
            [] => (["subnet-0a".into(), "subnet-0b".into()], "sg-0".into()),
        };
        let mut lab = Self { world, now, subnets, group };
        lab.ok(
            "CreateDBSubnetGroup",
            json!({ "DBSubnetGroupName": "Net", "DBSubnetGroupDescription": "d", "SubnetIds": lab.subnets.clone() }),
        );
        lab
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers build the input in place")]
    fn call(&mut self, operation: &str, input: Value) -> Result<Value, AwsError> {
        let cx = Cx { now: self.now, body: bytes::Bytes::new(), request_id: String::new() };
        (SERVICE.handle)(&mut self.world, &cx, operation, &input).map(|r| r.value)
    }

    #[track_caller]
    fn ok(&mut self, operation: &str, input: Value) -> Value {
        self.call(operation, input)
            .unwrap_or_else(|e| panic!("{operation}: {}: {}", e.code, e.message))
    }

    #[track_caller]
    fn refused(&mut self, operation: &str, input: Value, code: &str, message: &str) {
        let error = self.call(operation, input).expect_err("refused");
        assert_eq!(
            (error.code.as_str(), error.message.contains(message)),
            (code, true),
            "{}",
            error.message
        );
    }

    fn pass(&mut self, time: Millis) {
        self.now += time;
    }

    #[track_caller]
    fn cluster(&mut self) -> Value {
        self.ok("DescribeDBClusters", json!({ "DBClusterIdentifier": "db" }))["DBClusters"][0]
            .clone()
    }

    #[track_caller]
    fn instance(&mut self, id: &str) -> Value {
        self.ok("DescribeDBInstances", json!({ "DBInstanceIdentifier": id }))["DBInstances"][0]
            .clone()
    }

    fn cluster_input(&self) -> Value {
        json!({
            "DBClusterIdentifier": "DB",
            "Engine": "aurora-mysql",
            "EngineVersion": "8.0.mysql_aurora.3.10.0",
            "MasterUsername": "root",
            "ManageMasterUserPassword": true,
            "DBSubnetGroupName": "net",
            "VpcSecurityGroupIds": [self.group],
            "StorageType": "aurora",
        })
    }

    fn create_cluster(&mut self, more: &Value) -> Value {
        let mut input = self.cluster_input();
        for (name, value) in more.as_object().into_iter().flatten() {
            input[name] = value.clone();
        }
        self.ok("CreateDBCluster", input)["DBCluster"].clone()
    }

    fn create_instance(&mut self, id: &str) -> Value {
        let input = json!({
            "DBInstanceIdentifier": id, "DBClusterIdentifier": "db", "Engine": "aurora-mysql",
            "DBInstanceClass": "db.r6g.large",
        });
        self.ok("CreateDBInstance", input)["DBInstance"].clone()
    }

    /// A cluster with a writer, both available, with the cluster parameter group `cdc`.
    fn running() -> Self {
        let mut lab = Self::new();
        lab.ok(
            "CreateDBClusterParameterGroup",
            json!({ "DBClusterParameterGroupName": "cdc", "DBParameterGroupFamily": "aurora-mysql8.0", "Description": "d" }),
        );
        lab.create_cluster(&json!({ "DBClusterParameterGroupName": "cdc" }));
        lab.create_instance("w");
        lab.pass(10 * MINUTE);
        lab
    }

    fn set(&mut self, name: &str, value: &str, method: &str) -> Result<Value, AwsError> {
        self.call(
            "ModifyDBClusterParameterGroup",
            json!({ "DBClusterParameterGroupName": "cdc", "Parameters": [
                { "ParameterName": name, "ParameterValue": value, "ApplyMethod": method },
            ] }),
        )
    }
}

#[track_caller]
fn code<T: std::fmt::Debug>(result: Result<T, AwsError>) -> String {
    result.expect_err("refused").code
}

#[test]
fn every_rule_has_a_function_and_a_test() {
    let functions = [
        include_str!("rules.rs"),
        include_str!("rules/groups.rs"),
        include_str!("rules/clusters.rs"),
        include_str!("rules/instances.rs"),
    ]
    .concat();
    let tests =
        [include_str!("tests/clusters.rs"), include_str!("tests/groups_and_instances.rs")].concat();
    for (name, source) in RULES {
        assert!(
            functions.contains(&format!("pub(in crate::services::rds) fn {name}(")),
            "no function {name}"
        );
        assert!(tests.contains(&format!("\nfn {name}()")), "no test {name}");
        assert!(!source.is_empty());
    }
    assert_eq!(functions.matches("pub(in crate::services::rds) fn ").count(), RULES.len());
}
