//! The service as a caller sees it, at times of the test's choosing.

use std::io::Write as _;

use base64::Engine as _;
use serde_json::{Value, json};

use super::rules::RULES;
use super::*;
use crate::world::Settings;

pub(super) mod double;
mod health;
mod lifecycle;
mod requests;

use double::{BROKER, DATABASE, Double, POSTGRES, set};

pub(super) const ROLE: &str = "arn:aws:iam::111111111111:role/connect";
const MYSQL: &str = "io.debezium.connector.mysql.MySqlConnector";
const POSTGRESQL: &str = "io.debezium.connector.postgresql.PostgresConnector";

/// A world, and the time in it.
struct Scene {
    world: World,
    now: Millis,
}

impl Scene {
    /// Nothing of this service, everything else healthy.
    fn new() -> Self {
        double::install(Double::healthy());
        let world = World::new(Settings::default());
        let mut scene = Self { now: world.settings.epoch, world };
        scene.world.blobs.insert("sha".into(), plugin_zip(MYSQL, 55).into());
        scene
    }

    /// With an active plugin and a worker configuration that declares a provider.
    fn ready() -> (Self, Parts) {
        let mut scene = Self::new();
        let plugin = scene.ok("CreateCustomPlugin", &plugin("debezium"));
        let worker = scene.ok("CreateWorkerConfiguration", &worker("worker", WORKER));
        scene.pass(60);
        let parts = Parts {
            plugin: plugin["customPluginArn"].as_str().expect("an ARN").into(),
            worker: worker["workerConfigurationArn"].as_str().expect("an ARN").into(),
        };
        (scene, parts)
    }

    fn pass(&mut self, seconds: u64) {
        self.now += seconds * 1000;
    }

    fn call(&mut self, operation: &str, input: &Value) -> Outcome {
        let cx = Cx { now: self.now, body: bytes::Bytes::new(), request_id: "r".into() };
        (SERVICE.handle)(&mut self.world, &cx, operation, input)
    }

    #[track_caller]
    fn ok(&mut self, operation: &str, input: &Value) -> Value {
        self.call(operation, input).expect(operation).value
    }

    /// The code and message of a refusal.
    #[track_caller]
    fn refused(&mut self, operation: &str, input: &Value) -> (String, String) {
        let before = serde_json::to_value(&self.world.state).expect("a state");
        let error = self.call(operation, input).expect_err(operation);
        let after = serde_json::to_value(&self.world.state).expect("a state");
        assert_eq!(before, after, "a refused call changes nothing");
        (error.code, error.message)
    }

    #[track_caller]
    fn refused_with(&mut self, code: &str, operation: &str, input: &Value) {
        assert_eq!(self.refused(operation, input).0, code);
    }

    fn connector(&mut self, arn: &str) -> Value {
        self.ok("DescribeConnector", &json!({ "connectorArn": arn }))
    }

    /// A running connector.
    fn running() -> (Self, Parts, String) {
        let (mut scene, parts) = Self::ready();
        let arn = scene.create(&parts.connector("orders"));
        scene.pass(361);
        assert_eq!(scene.connector(&arn)["connectorState"], "RUNNING");
        (scene, parts, arn)
    }

    #[track_caller]
    fn create(&mut self, input: &Value) -> String {
        let made = self.ok("CreateConnector", input);
        assert_eq!(made["connectorState"], "CREATING");
        made["connectorArn"].as_str().expect("an ARN").into()
    }
}

/// The ARNs of what a connector is made of.
struct Parts {
    plugin: String,
    worker: String,
}

impl Parts {
    /// A connector that would run.
    fn connector(&self, name: &str) -> Value {
        json!({
            "connectorName": name,
            "capacity": { "provisionedCapacity": { "mcuCount": 1, "workerCount": 1 } },
            "connectorConfiguration": configuration(),
            "kafkaCluster": { "apacheKafkaCluster": {
                "bootstrapServers": format!("{BROKER}:9098"),
                "vpc": { "subnets": ["subnet-a", "subnet-b"], "securityGroups": ["sg-connect"] },
            } },
            "kafkaClusterClientAuthentication": { "authenticationType": "IAM" },
            "kafkaClusterEncryptionInTransit": { "encryptionType": "TLS" },
            "kafkaConnectVersion": "3.7.x",
            "plugins": [{ "customPlugin": { "customPluginArn": self.plugin, "revision": 1 } }],
            "workerConfiguration": { "workerConfigurationArn": self.worker, "revision": 1 },
            "serviceExecutionRoleArn": ROLE,
            "logDelivery": { "workerLogDelivery": {
                "cloudWatchLogs": { "enabled": true, "logGroup": "/connect" },
            } },
            "tags": { "Team": "data" },
        })
    }
}

fn configuration() -> Value {
    let mut out = json!({
        "connector.class": MYSQL,
        "tasks.max": "1",
        "topic.prefix": "orders",
        "database.hostname": DATABASE,
        "database.user": "debezium",
        "database.password": "${secretsmanager:cdc/orders:password}",
        "database.server.id": "906010",
        "schema.history.internal.kafka.topic": "orders.history",
        "schema.history.internal.kafka.bootstrap.servers": format!("{BROKER}:9098"),
    });
    for client in ["producer", "consumer"] {
        out[format!("schema.history.internal.{client}.security.protocol")] = "SASL_SSL".into();
        out[format!("schema.history.internal.{client}.sasl.mechanism")] = "AWS_MSK_IAM".into();
    }
    out
}

const WORKER: &str = "key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
# where passwords come from
config.providers=secretsmanager
config.providers.secretsmanager.class=com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider
config.providers.secretsmanager.param.NotFoundStrategy = fail
";

fn plugin(name: &str) -> Value {
    json!({
        "name": name,
        "contentType": "ZIP",
        "location": { "s3Location": { "bucketArn": "arn:aws:s3:::plugins", "fileKey": "debezium.zip" } },
        "tags": { "Team": "data" },
    })
}

fn worker(name: &str, properties: &str) -> Value {
    let content = base64::engine::general_purpose::STANDARD.encode(properties);
    json!({ "name": name, "propertiesFileContent": content })
}

fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).expect("an entry");
        zip.write_all(bytes).expect("bytes");
    }
    zip.finish().expect("an archive").into_inner()
}

/// A plugin archive with one connector, compiled for a major version of Java's class files.
fn plugin_zip(class: &str, major: u8) -> Vec<u8> {
    let jar = zipped(&[
        ("META-INF/services/org.apache.kafka.connect.source.SourceConnector", class.as_bytes()),
        (&format!("{}.class", class.replace('.', "/")), &[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, major]),
    ]);
    zipped(&[
        ("debezium-connector-mysql/core.jar", &jar),
        ("debezium-connector-mysql/README.md", b"x"),
    ])
}

#[test]
fn every_rule_has_a_source_and_a_test() {
    let tests = [include_str!("tests/requests.rs"), include_str!("tests/health.rs")].concat();
    for (rule, source) in RULES {
        assert!(
            source.contains("msk.md") || source.contains("aws.md") || source.contains("model"),
            "{rule}"
        );
        assert!(tests.contains(&format!("fn {rule}()")), "{rule} has no test");
    }
}
