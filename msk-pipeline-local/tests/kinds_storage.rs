//! Roles, buckets, objects, endpoints and topics through the engine, on a world in this process and in virtual time: create, drift,
//! update, destroy.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use msk_pipeline_aws::{Artifact, Artifacts, Session, kinds};
use msk_pipeline_core::graph::{Graph, Resource};
use msk_pipeline_core::kind::Verdict;
use msk_pipeline_core::plan::{Action, Plan, Verb};
use msk_pipeline_core::run::{
    ApplyOptions, AutoApprove, Cancel, Engine, NoEvents, RunError, RunSummary,
};
use msk_pipeline_core::state::MemoryStore;
use msk_pipeline_core::{Clock, Entropy, RealClock, Timestamp};
use msk_pipeline_emulator::shell::InProcess;
use msk_pipeline_emulator::{Request, Settings, World};
use msk_pipeline_local::Embedded;
use serde_json::{Value, json};

const REGION: &str = "eu-west-1";
/// The digests of `one` and `two`.
const ONE: &str = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
const TWO: &str = "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3";

/// An account, and the engine of one pipeline in it.
struct Bench {
    world: Arc<InProcess>,
    clock: Arc<dyn Clock>,
    session: Session,
    engine: Engine,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let settings = Settings { region: REGION.into(), ..Settings::default() };
        let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(Timestamp(settings.epoch)));
        let world = InProcess::new(World::new(settings));
        let session = Embedded::session(world.clone(), Arc::clone(&clock), REGION);
        let folder = tempfile::tempdir().unwrap();
        let mut files = BTreeMap::new();
        for (digest, contents) in [(ONE, "one"), (TWO, "two")] {
            let path = folder.path().join(contents);
            std::fs::write(&path, contents).unwrap();
            files.insert(digest.to_owned(), Artifact::File(path));
        }
        let engine = Engine {
            registry: kinds::registry(&session, &Artifacts(files)),
            store: Arc::new(MemoryStore::new()),
            clock: Arc::clone(&clock),
            entropy: Arc::new(Entropy::seeded(1)),
            events: Arc::new(NoEvents),
            pipeline: "orders".into(),
            pin: session.pin().await.unwrap(),
            who: "test".into(),
        };
        Self { world, clock, session, engine, _folder: folder }
    }

    fn graph(&self, resources: &[Resource]) -> Graph {
        Graph::build(resources.to_vec(), &self.engine.registry).unwrap()
    }

    async fn plan(&self, resources: &[Resource]) -> Plan {
        self.engine.plan(&self.graph(resources), Verb::Apply, &[]).await.unwrap()
    }

    /// The operations that a plan lists, in order.
    async fn ops(&self, resources: &[Resource]) -> Vec<String> {
        let plan = self.plan(resources).await;
        assert_eq!(plan.refusals, []);
        plan.steps.iter().flat_map(|s| &s.calls).map(|c| c.op.clone()).collect()
    }

    /// Applies, and expects that nothing is left to do then.
    #[track_caller]
    fn apply<'a>(&'a self, resources: &'a [Resource]) -> impl Future<Output = RunSummary> + 'a {
        let at = std::panic::Location::caller();
        async move {
            let options = ApplyOptions { consent_to_all: true, ..ApplyOptions::default() };
            let graph = self.graph(resources);
            let run = self.engine.apply(&graph, options, &AutoApprove, &Cancel::never()).await;
            let summary = run.unwrap_or_else(|e| panic!("{at}: {e}"));
            assert!(summary.is_complete(), "{at}: {summary:?}");
            let plan = self.plan(resources).await;
            assert_eq!(plan.refusals, [], "{at}");
            let left: Vec<_> = plan.steps.iter().filter(|s| s.action != Action::NoOp).collect();
            assert!(left.is_empty(), "{at}: {left:?}");
            summary
        }
    }

    #[track_caller]
    fn destroy(&self) -> impl Future<Output = RunSummary> + '_ {
        let at = std::panic::Location::caller();
        async move {
            let options = ApplyOptions { consent_to_all: true, ..ApplyOptions::default() };
            let graph = Graph::default();
            let run = self.engine.destroy(&graph, options, &AutoApprove, &Cancel::never()).await;
            let summary = run.unwrap_or_else(|e| panic!("{at}: {e}"));
            assert!(summary.is_complete(), "{at}: {summary:?}");
            assert!(self.engine.state().await.unwrap().records.is_empty(), "{at}");
            summary
        }
    }

    /// An output of a resource that is ready.
    async fn output(&self, address: &str, output: &str) -> String {
        let outputs = self.engine.state().await.unwrap().outputs();
        outputs[address][output].as_str().unwrap().to_owned()
    }

    /// A request in JSON that no kind of these tests makes.
    fn post(&self, service: &str, path: &str, body: &Value) -> Value {
        let scope = format!("AKIDEXAMPLE/20260101/{REGION}/{service}/aws4_request");
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00");
        let request = Request {
            method: "POST".into(),
            path: path.into(),
            headers: vec![("authorization".into(), authorization)],
            body: body.to_string().into(),
            ..Request::default()
        };
        let response = self.world.call(self.clock.wall().0, &request);
        let text = String::from_utf8_lossy(&response.body).into_owned();
        assert_eq!(response.status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Private subnets of the account's VPC, one a zone, and the VPC.
    async fn network(&self) -> (String, Vec<String>) {
        let answer = self.session.ec2.describe_subnets().send().await.unwrap();
        let private = answer
            .subnets()
            .iter()
            .filter(|s| s.tags().iter().any(|t| t.value() == Some("private")));
        let subnets: Vec<_> = private.map(|s| s.subnet_id().unwrap().to_owned()).collect();
        (answer.subnets()[0].vpc_id().unwrap().to_owned(), subnets)
    }

    async fn cluster(&self) -> String {
        let (_, subnets) = self.network().await;
        let answer = self.post(
            "kafka",
            "/v1/clusters",
            &json!({
                "clusterName": "main",
                "kafkaVersion": "3.8.x",
                "numberOfBrokerNodes": 3,
                "brokerNodeGroupInfo": {
                    "clientSubnets": subnets[..3],
                    "instanceType": "kafka.m5.large",
                    "storageInfo": { "ebsStorageInfo": { "volumeSize": 100 } },
                },
            }),
        );
        self.clock.sleep(Duration::from_hours(1)).await;
        answer["clusterArn"].as_str().unwrap().to_owned()
    }
}

fn resource(address: &str, kind: &str, props: &Value) -> Resource {
    Resource {
        address: address.into(),
        kind: kind.into(),
        stage: "connect".into(),
        props: props.clone(),
        needs: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_role() {
    let bench = Bench::new().await;
    let role = |resource_arn: &str, description: &str| {
        let props = json!({
            "name": "orders-mysql",
            "description": description,
            "trust": { "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow",
                "Principal": { "Service": "kafkaconnect.amazonaws.com" },
                "Action": "sts:AssumeRole",
                "Condition": { "StringEquals": { "aws:SourceAccount": "111111111111" } },
            }] },
            "policy_name": "connector",
            "policy": [{ "sid": "Read", "actions": ["s3:GetObject"], "resources": [resource_arn] }],
            "tags": { "Team": "data ü" },
        });
        [resource("connector.mysql.role", "aws.iam.role", &props)]
    };
    let first = role("arn:aws:s3:::a/*", "runs a connector");
    assert_eq!(bench.ops(&first).await, ["iam:CreateRole", "iam:PutRolePolicy"]);
    bench.apply(&first).await;
    let arn = bench.output("connector.mysql.role", "role_arn").await;
    assert_eq!(arn, "arn:aws:iam::111111111111:role/orders-mysql");

    let iam = &bench.session.iam;
    let everything =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    for policy in ["connector", "more"] {
        iam.put_role_policy()
            .role_name("orders-mysql")
            .policy_name(policy)
            .policy_document(everything)
            .send()
            .await
            .unwrap();
    }
    iam.attach_role_policy()
        .role_name("orders-mysql")
        .policy_arn("arn:aws:iam::aws:policy/AdministratorAccess")
        .send()
        .await
        .unwrap();
    assert_eq!(
        bench.ops(&first).await,
        ["iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:DetachRolePolicy"]
    );
    bench.apply(&first).await;

    let second = role("arn:aws:s3:::b/*", "");
    assert_eq!(bench.ops(&second).await, ["iam:PutRolePolicy", "iam:UpdateRole"]);
    bench.apply(&second).await;
    bench.destroy().await;
    assert!(iam.get_role().role_name("orders-mysql").send().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_bucket_with_an_object() {
    let bench = Bench::new().await;
    let resources = |digest: &str, days: i32| {
        let bucket = json!({
            "name": "orders-plugins-111111111111",
            "versioning": true,
            "noncurrent_days": days,
            "abort_uploads_days": 1,
            "tags": { "Team": "data" },
        });
        let object = json!({
            "bucket": { "$ref": "plugins.bucket", "output": "bucket_name" },
            "key": format!("plugins/{digest}.zip"),
            "sha256": digest,
            "size": 3,
            "content_type": "application/zip",
        });
        [
            resource("plugins.bucket", "aws.s3.bucket", &bucket),
            resource("plugins.object", "aws.s3.object", &object),
        ]
    };
    let first = resources(ONE, 30);
    bench.apply(&first).await;
    let version = bench.output("plugins.object", "version_id").await;
    assert_ne!(version, "null", "the bucket keeps versions before the object is written");
    let bucket = bench.output("plugins.bucket", "bucket_name").await;

    let s3 = &bench.session.s3;
    s3.delete_public_access_block().bucket(&bucket).send().await.unwrap();
    s3.delete_bucket_lifecycle().bucket(&bucket).send().await.unwrap();
    let key = format!("plugins/{ONE}.zip");
    s3.delete_object().bucket(&bucket).key(&key).send().await.unwrap();
    assert_eq!(
        bench.ops(&first).await,
        ["s3:PutPublicAccessBlock", "s3:PutBucketLifecycleConfiguration", "s3:PutObject"]
    );
    bench.apply(&first).await;
    assert_ne!(bench.output("plugins.object", "version_id").await, version);

    // Other contents have another key: written first, the old one deleted last with all its versions.
    let second = resources(TWO, 10);
    assert_eq!(
        bench.ops(&second).await,
        ["s3:PutBucketLifecycleConfiguration", "s3:PutObject", "s3:DeleteObjects"]
    );
    bench.apply(&second).await;
    let left = s3.list_object_versions().bucket(&bucket).prefix(&key).send().await.unwrap();
    assert_eq!((left.versions().len(), left.delete_markers().len()), (0, 0));

    // More than one page of other people's files, and an upload that nobody finished.
    for n in 0..1100 {
        s3.put_object().bucket(&bucket).key(format!("logs/{n}")).send().await.unwrap();
    }
    for key in ["x", "y"] {
        s3.create_multipart_upload().bucket(&bucket).key(key).send().await.unwrap();
    }
    bench.destroy().await;
    assert!(s3.head_bucket().bucket(&bucket).send().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn endpoints() {
    let bench = Bench::new().await;
    let (vpc, subnets) = bench.network().await;
    let tables = bench.session.ec2.describe_route_tables().send().await.unwrap();
    let tables: Vec<_> =
        tables.route_tables().iter().map(|t| t.route_table_id().unwrap().to_owned()).collect();
    let group =
        json!({ "name": "orders-endpoints", "description": "d", "vpc_id": vpc, "tags": {} });
    let resources = |subnets: &[String], tables: &[String], dns: bool| {
        let secrets = json!({
            "name": "orders-secretsmanager",
            "vpc_id": vpc,
            "service": format!("com.amazonaws.{REGION}.secretsmanager"),
            "type": "interface",
            "subnets": subnets,
            "groups": [{ "$ref": "endpoints.group", "output": "group_id" }],
            "private_dns": dns,
        });
        let s3 = json!({
            "name": "orders-s3",
            "vpc_id": vpc,
            "service": format!("com.amazonaws.{REGION}.s3"),
            "type": "gateway",
            "route_tables": tables,
        });
        [
            resource("endpoints.group", "aws.ec2.security-group", &group),
            resource("endpoints.secrets", "aws.ec2.vpc-endpoint", &secrets),
            resource("endpoints.s3", "aws.ec2.vpc-endpoint", &s3),
        ]
    };
    let first = resources(&subnets[..2], &tables[..1], true);
    bench.apply(&first).await;
    let secrets = bench.output("endpoints.secrets", "endpoint_id").await;
    let gateway = bench.output("endpoints.s3", "endpoint_id").await;

    let ec2 = &bench.session.ec2;
    ec2.modify_vpc_endpoint()
        .vpc_endpoint_id(&secrets)
        .remove_subnet_ids(&subnets[0])
        .private_dns_enabled(false)
        .send()
        .await
        .unwrap();
    ec2.delete_vpc_endpoints().vpc_endpoint_ids(&gateway).send().await.unwrap();
    bench.clock.sleep(Duration::from_mins(10)).await;
    // The gateway endpoint refers to nothing, and so comes first.
    assert_eq!(bench.ops(&first).await, ["ec2:CreateVpcEndpoint", "ec2:ModifyVpcEndpoint"]);
    bench.apply(&first).await;

    let second = resources(&subnets[1..3], &tables[1..], false);
    assert_eq!(bench.ops(&second).await, ["ec2:ModifyVpcEndpoint", "ec2:ModifyVpcEndpoint"]);
    bench.apply(&second).await;
    assert_eq!(bench.output("endpoints.secrets", "endpoint_id").await, secrets);
    bench.destroy().await;
    bench.clock.sleep(Duration::from_hours(1)).await;
    let left = ec2.describe_vpc_endpoints().send().await.unwrap();
    assert!(left.vpc_endpoints().is_empty());
}

#[tokio::test(start_paused = true)]
async fn topics() {
    let bench = Bench::new().await;
    let cluster = bench.cluster().await;
    let topic = |partitions: i32, replication: i32, retention: &str| {
        let props = json!({
            "cluster_arn": cluster,
            "name": "shop.orders",
            "partitions": partitions,
            "replication": replication,
            "configs": { "retention.ms": retention },
        });
        [resource("connector.mysql.topic-1", "aws.kafka.topic", &props)]
    };
    let kafka = &bench.session.kafka;

    // One that was there before is not ours, neither to change nor to delete.
    kafka
        .create_topic()
        .cluster_arn(&cluster)
        .topic_name("shop.orders")
        .partition_count(1)
        .replication_factor(3)
        .send()
        .await
        .unwrap();
    let first = topic(3, 3, "1209600000");
    let refusals = bench.plan(&first).await.refusals;
    assert!(refusals[0].because.contains("did not create"), "{refusals:?}");
    kafka.delete_topic().cluster_arn(&cluster).topic_name("shop.orders").send().await.unwrap();
    bench.clock.sleep(Duration::from_mins(5)).await;

    bench.apply(&first).await;
    let arn = bench.output("connector.mysql.topic-1", "topic_arn").await;
    assert!(arn.ends_with("/shop.orders"), "{arn}");

    // base64 of {"retention.ms":"1000"}
    kafka
        .update_topic()
        .cluster_arn(&cluster)
        .topic_name("shop.orders")
        .configs("eyJyZXRlbnRpb24ubXMiOiIxMDAwIn0=")
        .send()
        .await
        .unwrap();
    bench.clock.sleep(Duration::from_mins(1)).await;
    assert_eq!(bench.ops(&first).await, ["kafka:UpdateTopic"]);
    bench.apply(&first).await;

    let second = topic(6, 3, "604800000");
    let plan = bench.plan(&second).await;
    let verdicts: Vec<_> =
        plan.steps.iter().flat_map(|s| &s.calls).map(|c| c.data.verdict).collect();
    assert_eq!(verdicts, [Verdict::Gap, Verdict::Ordering]);
    bench.apply(&second).await;

    // Fewer partitions: another topic, and nobody loses records without having agreed.
    let third = topic(2, 2, "604800000");
    assert_eq!(bench.ops(&third).await, ["kafka:DeleteTopic", "kafka:CreateTopic"]);
    let refused = bench
        .engine
        .apply(&bench.graph(&third), ApplyOptions::default(), &AutoApprove, &Cancel::never())
        .await;
    assert!(matches!(refused, Err(RunError::DataLoss(_))), "{refused:?}");
    bench.apply(&third).await;
    bench.destroy().await;
    let gone = kafka.describe_topic().cluster_arn(&cluster).topic_name("shop.orders").send().await;
    assert!(gone.is_err());
}
