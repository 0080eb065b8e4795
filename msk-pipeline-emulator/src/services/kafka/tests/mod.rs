//! Calls of this service without a protocol in between.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{SERVICE, versions};
use crate::services::{ec2, logs};
use crate::world::{AwsError, Cx, Millis, Outcome, Settings, World};

mod lifecycle;
mod rules;

pub(super) const MINUTE: Millis = 60_000;
pub(super) const LOG_GROUP: &str = "kafka-test";

/// An account with its default network and a clock that the test moves.
pub(super) struct Account {
    pub(super) world: World,
    pub(super) now: Millis,
    /// Public subnets in distinct zones where brokers may be.
    pub(super) subnets: Vec<String>,
    pub(super) vpc: String,
}

pub(super) fn account() -> Account {
    let settings = Settings::default();
    let now = settings.epoch;
    let mut world = World::new(settings);
    let cx = cx(now);
    let group = json!({ "logGroupName": LOG_GROUP });
    (logs::SERVICE.handle)(&mut world, &cx, "CreateLogGroup", &group).unwrap();
    let reply = (ec2::SERVICE.handle)(&mut world, &cx, "DescribeSubnets", &json!({})).unwrap();
    let found = reply.value["Subnets"].as_array().unwrap();
    let views = found
        .iter()
        .filter_map(|s| ec2::subnet(&world, s["SubnetId"].as_str()?))
        .filter(|view| view.public && view.az_id != "use1-az3");
    let by_zone: BTreeMap<String, (String, String)> =
        views.map(|view| (view.az_id, (view.id, view.vpc_id))).collect();
    let vpc = by_zone.values().next().unwrap().1.clone();
    let subnets = by_zone.into_values().map(|(id, _)| id).collect();
    Account { world, now, subnets, vpc }
}

fn cx(now: Millis) -> Cx {
    Cx { now, body: bytes::Bytes::new(), request_id: "request".into() }
}

impl Account {
    pub(super) fn call(&mut self, operation: &str, input: &Value) -> Outcome {
        (SERVICE.handle)(&mut self.world, &cx(self.now), operation, input)
    }

    #[track_caller]
    pub(super) fn ok(&mut self, operation: &str, input: &Value) -> Value {
        match self.call(operation, input) {
            Ok(reply) => reply.value,
            Err(error) => panic!("{operation}: {} {}", error.code, error.message),
        }
    }

    #[track_caller]
    pub(super) fn refused(&mut self, operation: &str, input: &Value) -> AwsError {
        match self.call(operation, input) {
            Ok(reply) => panic!("{operation} was not refused: {}", reply.value),
            Err(error) => error,
        }
    }

    /// Refused with this code and a message that contains this text.
    #[track_caller]
    pub(super) fn says(&mut self, operation: &str, input: &Value, code: &str, text: &str) {
        let error = self.refused(operation, input);
        assert_eq!(error.code, code, "{}", error.message);
        assert!(error.message.contains(text), "{}", error.message);
    }

    /// Input of a create call: three m5.large brokers.
    pub(super) fn cluster(&self, name: &str) -> Value {
        json!({
            "ClusterName": name,
            "KafkaVersion": "3.8.x",
            "NumberOfBrokerNodes": 3,
            "BrokerNodeGroupInfo": {
                "ClientSubnets": self.subnets[..3],
                "InstanceType": "kafka.m5.large",
                "StorageInfo": { "EbsStorageInfo": { "VolumeSize": 100 } },
            },
            "Tags": { "pipeline": "orders" },
        })
    }

    /// Creates a cluster and waits for it; its ARN.
    #[track_caller]
    pub(super) fn create(&mut self, input: &Value) -> String {
        let arn = self.ok("CreateCluster", input)["ClusterArn"].as_str().unwrap().to_owned();
        self.now += 18 * MINUTE;
        arn
    }

    /// An ACTIVE cluster of the usual kind.
    #[track_caller]
    pub(super) fn active(&mut self) -> String {
        let input = self.cluster("main");
        self.create(&input)
    }

    #[track_caller]
    pub(super) fn describe(&mut self, arn: &str) -> Value {
        self.ok("DescribeCluster", &json!({ "ClusterArn": arn }))["ClusterInfo"].take()
    }

    /// An update of the cluster with its present version.
    #[track_caller]
    pub(super) fn versioned(&mut self, arn: &str, mut input: Value) -> Value {
        input["ClusterArn"] = json!(arn);
        input["CurrentVersion"] = self.describe(arn)["CurrentVersion"].clone();
        input
    }

    /// Starts an update; the operation's ARN.
    #[track_caller]
    pub(super) fn update(&mut self, arn: &str, operation: &str, input: Value) -> String {
        let input = self.versioned(arn, input);
        self.ok(operation, &input)["ClusterOperationArn"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(super) fn operation(&mut self, arn: &str) -> Value {
        let input = json!({ "ClusterOperationArn": arn });
        self.ok("DescribeClusterOperation", &input)["ClusterOperationInfo"].take()
    }

    #[track_caller]
    pub(super) fn configuration(&mut self, name: &str, properties: &str) -> String {
        let input = json!({ "Name": name, "ServerProperties": versions::encode(properties) });
        self.ok("CreateConfiguration", &input)["Arn"].as_str().unwrap().to_owned()
    }
}
