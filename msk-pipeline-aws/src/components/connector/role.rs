//! What the workers may do: the least that the listener and the secret need.
//!
//! Source: handbook msk.md §7.4 (statements), §7.2 (secrets). Parts of ARNs that are drawn at random (the UUID of a cluster, the six
//! characters of a secret) are wildcards, so that the policy is known before they exist.

use msk_pipeline_core::dsl::Expansion;
use serde_json::{Value, json};

use super::Connector;
use super::around::{Cluster, Source};
use super::config::Names;
use crate::components::kafka::Listener;
use crate::kinds::iam_role::{Scope, Statement};

/// Who may act as the role: MSK Connect, for this connector of this account.
pub(super) fn trust(names: &Names, cx: &Expansion<'_>) -> Value {
    let pin = cx.pin;
    let connector = format!(
        "arn:{}:kafkaconnect:{}:{}:connector/{}/*",
        pin.partition, pin.region, pin.account, names.connector
    );
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": "kafkaconnect.amazonaws.com" },
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": { "aws:SourceAccount": pin.account },
                "ArnLike": { "aws:SourceArn": connector },
            },
        }],
    })
}

pub(super) fn policy(
    connector: &Connector,
    names: &Names,
    cluster: &Cluster<'_>,
    source: &Source<'_>,
    cx: &Expansion<'_>,
) -> Vec<Statement> {
    let pin = cx.pin;
    let secret = format!(
        "arn:{}:secretsmanager:{}:{}:secret:{}-??????",
        pin.partition, pin.region, pin.account, source.secret
    );
    let mut statements = vec![Statement::allow(
        "Secret",
        &["secretsmanager:GetSecretValue"],
        [Scope::Arn(secret.clone())],
    )];
    let own_key = source.database.kms_key.as_ref().or(cx.header.kms_key.as_ref());
    let given = source.database.capture.as_ref().is_some_and(|c| c.secret.is_some());
    if own_key.is_some() || connector.secret.is_some() || given {
        // A secret that exists may have a key of its own. The key may be given by alias, which IAM doesn't know: any key, but only to open this secret.
        let mut decrypt = Statement::allow("SecretKey", &["kms:Decrypt"], [Scope::Arn("*".into())]);
        decrypt.condition = json!({
            "StringEquals": { "kms:ViaService": format!("secretsmanager.{}.amazonaws.com", pin.region) },
            "StringLike": { "kms:EncryptionContext:SecretARN": secret },
        });
        statements.push(decrypt);
    }
    // Without a login there is nothing to allow.
    if cluster.listener != Listener::Iam {
        return statements;
    }
    let arn = |what: &str, name: &str| {
        let slash = if name.is_empty() { "" } else { "/" };
        Scope::Arn(format!(
            "arn:{}:kafka:{}:{}:{what}/{}/*{slash}{name}",
            pin.partition, pin.region, pin.account, cluster.physical
        ))
    };
    let prefix = &names.prefix;
    let mut data = vec![
        arn("topic", prefix),
        arn("topic", &format!("{prefix}.*")),
        arn("topic", &format!("__debezium-heartbeat.{prefix}")),
    ];
    data.extend(connector.topics.extra.iter().map(|name| arn("topic", name)));
    let mut own_topics = vec![arn("topic", "__amazon_msk_connect_*"), arn("topic", &names.offsets)];
    let mut own_groups = vec![
        arn("group", "__amazon_msk_connect_*"),
        arn("group", &format!("connect-{}", names.connector)),
    ];
    if source.has_history() {
        own_topics.push(arn("topic", &names.history));
        own_groups.push(arn("group", &format!("{prefix}-schemahistory")));
    }
    statements.extend([
        Statement::allow(
            "Cluster",
            &[
                "kafka-cluster:Connect",
                "kafka-cluster:DescribeCluster",
                "kafka-cluster:WriteDataIdempotently",
            ],
            [arn("cluster", "")],
        ),
        Statement::allow(
            "OwnTopics",
            &[
                "kafka-cluster:CreateTopic",
                "kafka-cluster:DescribeTopic",
                "kafka-cluster:DescribeTopicDynamicConfiguration",
                "kafka-cluster:ReadData",
                "kafka-cluster:WriteData",
            ],
            own_topics,
        ),
        Statement::allow(
            "OwnGroups",
            &["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"],
            own_groups,
        ),
        Statement::allow(
            "Data",
            &[
                "kafka-cluster:CreateTopic",
                "kafka-cluster:DescribeTopic",
                "kafka-cluster:WriteData",
            ],
            data,
        ),
    ]);
    statements
}
