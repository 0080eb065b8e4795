//! What loopback can't show, and the embedded AWS judges by its rules: routes, secrets as AWS's own provider asks for them, and policies on
//! topics and groups. No worker runs for a connector that they doom.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use msk_pipeline_verify::cause::{Evidence, Reported};
use serde_json::{Value, json};

use crate::account::Account;
use crate::failure::Failure;
use crate::stage::{Stage, With};

pub(crate) fn all(stage: &Stage) {
    let account = &stage.account;
    let good = |name: &str| stage.configuration(name, 906_020);
    let public = account.public_subnets();
    reserved(stage);
    doomed(
        stage,
        "no-route",
        &Failure::new(
            "no route to Secrets Manager",
            "workers in subnets without a NAT and without an endpoint",
            "C-SECRET-ROUTE",
            "connect timed out",
        ),
        &With { subnets: Some(&public), ..With::default() },
        &good("no-route"),
    );
    let mut configuration = good("no-secret");
    configuration["database.password"] = "${secretsmanager:cdc/nothing:password}".into();
    doomed(
        stage,
        "no-secret",
        &Failure::new(
            "secret missing",
            "a placeholder with the name of no secret",
            "C-SECRET-MISSING",
            "can't find the specified secret",
        ),
        &With::default(),
        &configuration,
    );
    let mut configuration = good("no-key");
    configuration["database.password"] = "${secretsmanager:cdc/orders:passphrase}".into();
    doomed(
        stage,
        "no-key",
        &Failure::new(
            "key in the secret missing",
            "a placeholder with a key that the secret doesn't have",
            "C-SECRET-KEY",
            "passphrase",
        ),
        &With::default(),
        &configuration,
    );
    for (name, action, failure) in [
        (
            "no-read",
            "secretsmanager:GetSecretValue",
            Failure::new(
                "no right to the secret",
                "a role without secretsmanager:GetSecretValue",
                "C-SECRET-RIGHTS",
                "is not authorized to perform",
            ),
        ),
        (
            "no-write",
            "kafka-cluster:WriteData",
            Failure::new(
                "no right to the topics",
                "a role without kafka-cluster:WriteData",
                "C-KAFKA-TOPIC-RIGHTS",
                "Not authorized to access topics",
            ),
        ),
        (
            "no-group",
            "kafka-cluster:AlterGroup",
            Failure::new(
                "no right to the group",
                "a role without kafka-cluster:AlterGroup",
                "C-KAFKA-GROUP-RIGHTS",
                "Not authorized to access group",
            ),
        ),
    ] {
        let role = account.role(
            name,
            &json!([
                { "Effect": "Allow", "Action": "*", "Resource": "*" },
                { "Effect": "Deny", "Action": action, "Resource": "*" },
            ]),
        );
        std::thread::sleep(Duration::from_secs(1));
        doomed(stage, name, &failure, &With { role: Some(&role), ..With::default() }, &good(name));
    }
}

/// MSK Connect takes no worker configuration with a key of its own; its answer is all that there is.
fn reserved(stage: &Stage) {
    let started = Instant::now();
    let properties = "key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
security.protocol=SASL_SSL
";
    let body = json!({ "name": "reserved", "propertiesFileContent": STANDARD.encode(properties) });
    let uri = "/v1/worker-configurations";
    let refused = stage.account.try_rest("kafkaconnect", "POST", uri, &body);
    let symptom = Instant::now();
    let pairs = properties.lines().filter_map(|line| line.split_once('='));
    let evidence = Evidence {
        reported: refused.err().map(|message| Reported { code: String::new(), message }),
        worker_config: pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        ..Evidence::default()
    };
    stage.reports(
        &Failure::new(
            "reserved key",
            "a worker configuration with `security.protocol`",
            "C-WORKER-RESERVED-KEY",
            "",
        )
        .by_rules(),
        started,
        || Some((symptom, evidence.clone())),
    );
}

fn doomed(stage: &Stage, name: &str, failure: &Failure, with: &With<'_>, configuration: &Value) {
    let failure = &failure.by_rules();
    stage.account.log_group(&format!("/{name}"));
    stage.fails(name, configuration, failure, || {
        stage.create(name, with, configuration);
    });
}

impl Account {
    /// Subnets whose way out is an internet gateway, which takes no worker's address.
    fn public_subnets(&self) -> Vec<String> {
        let text = self.form("ec2", "2016-11-15", "DescribeSubnets", &[]);
        let items = text.split("<item>").filter(|item| item.contains("<subnetId>"));
        let public = items.filter(|item| item.contains("<mapPublicIpOnLaunch>true"));
        public.map(|item| crate::account::between(item, "subnetId").to_owned()).take(3).collect()
    }
}
