//! Whether the workers get to the brokers, and are let in.

use super::super::around;
use super::super::state::internal_topics;
use super::super::worker_log::Line;
use super::{Subject, Trouble, cluster, debezium, failed, no_brokers, task_died, timed_out};
use crate::world::World;

/// At least one bootstrap server is one of a cluster (msk.md §5.1).
pub(super) fn bootstrap_is_known(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    if cluster(world, subject.now, &subject.fixed.hosts()).is_some() {
        return None;
    }
    no_brokers(
        "bootstrap_is_known",
        [
            "org.apache.kafka.common.KafkaException: Failed to create new KafkaAdminClient",
            "org.apache.kafka.common.config.ConfigException: No resolvable bootstrap urls given in bootstrap.servers",
        ],
    )
}

/// Its cluster is ACTIVE, or changes while it serves (msk.md §5.1).
pub(super) fn cluster_is_active(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    let cluster = cluster(world, subject.now, &subject.fixed.hosts())?;
    if cluster.serves { None } else { no_brokers("cluster_is_active", timed_out()) }
}

/// The groups let the workers through to the brokers (msk.md §7.5).
pub(super) fn brokers_are_open(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    let cluster = cluster(world, subject.now, &subject.fixed.hosts())?;
    let groups = &subject.fixed.security_groups;
    if groups.is_empty() || around::allows(world, groups, &cluster.groups, subject.port()) {
        return None;
    }
    no_brokers("brokers_are_open", timed_out())
}

/// Whether the cluster has a listener on the port; those for IPv6 go with the others (msk.md §6).
pub(super) fn listens(cluster: &around::Cluster, port: u16) -> bool {
    cluster.ports.contains(&port) || cluster.ports.iter().any(|own| own + 11_000 == port)
}

/// Authentication and encryption of the connector are those of the port's listener (msk.md §6).
pub(super) fn listener_fits(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    let cluster = cluster(world, subject.now, &subject.fixed.hosts())?;
    if !listens(&cluster, subject.port()) {
        return no_brokers("listener_fits", timed_out());
    }
    let (authentication, encryption) =
        (subject.fixed.authentication.as_str(), subject.fixed.encryption.as_str());
    match (subject.port(), authentication, encryption) {
        (9092 | 20092, "NONE", "PLAINTEXT")
        | (9094 | 20094, "NONE", "TLS")
        | (9098 | 20098, "IAM", "TLS") => None,
        (9092 | 20092, _, "TLS") => no_brokers(
            "listener_fits",
            [
                "java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.SslAuthenticationException: SSL handshake failed",
                "org.apache.kafka.common.errors.SslAuthenticationException: SSL handshake failed",
                "javax.net.ssl.SSLException: Unsupported or unrecognized SSL message",
            ],
        ),
        (_, "IAM", _) => no_brokers(
            "listener_fits",
            [
                "java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.UnsupportedSaslMechanismException: Client SASL mechanism 'AWS_MSK_IAM' not enabled in the server",
                "org.apache.kafka.common.errors.UnsupportedSaslMechanismException: Client SASL mechanism 'AWS_MSK_IAM' not enabled in the server",
            ],
        ),
        _ => no_brokers("listener_fits", timed_out()),
    }
}

/// With IAM the role may connect and keep Connect's own topics (msk.md §7.4).
pub(super) fn role_may_connect(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    if subject.fixed.authentication != "IAM" {
        return None;
    }
    let cluster = cluster(world, subject.now, &subject.fixed.hosts())?;
    let role = around::role(world, &subject.fixed.role)?;
    if !around::permits(world, &role, "kafka-cluster:Connect", &cluster.arn) {
        let denied = format!(
            "org.apache.kafka.common.errors.SaslAuthenticationException: [{}]: Access denied",
            subject.id
        );
        return no_brokers(
            "role_may_connect",
            [format!("java.util.concurrent.ExecutionException: {denied}"), denied],
        );
    }
    let offsets = subject.worker(world).and_then(|w| w.get("offset.storage.topic"));
    for topic in internal_topics(subject.name, subject.id, offsets.map(String::as_str)) {
        let arn = topic_arn(&cluster.arn, &topic);
        for action in ["CreateTopic", "DescribeTopic", "ReadData", "WriteData"] {
            if !around::permits(world, &role, &format!("kafka-cluster:{action}"), &arn) {
                let line = Line::new(
                    "ERROR",
                    "[Worker clientId=connect-1] Uncaught exception in herder work thread, exiting:",
                    "org.apache.kafka.connect.runtime.distributed.DistributedHerder:366",
                );
                return failed("role_may_connect", vec![line.stack([
                    format!("org.apache.kafka.connect.errors.ConnectException: Error while attempting to create/find topic(s) '{topic}'"),
                    "\tat org.apache.kafka.connect.util.TopicAdmin.createOrFindTopics(TopicAdmin.java:466)".into(),
                    format!("Caused by: org.apache.kafka.common.errors.TopicAuthorizationException: Not authorized to access topics: [{topic}]"),
                ])]);
            }
        }
    }
    None
}

pub(super) fn topic_arn(cluster_arn: &str, topic: &str) -> String {
    format!("{}/{topic}", cluster_arn.replacen(":cluster/", ":topic/", 1))
}

/// With IAM the role may write the topics that are known beforehand: the schema changes, and the tables that are named in full; and
/// create them when the connector is to (msk.md §7.4, §8).
pub(super) fn role_may_write(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    if subject.fixed.authentication != "IAM" {
        return None;
    }
    debezium(subject.class())?;
    let cluster = cluster(world, subject.now, &subject.fixed.hosts())?;
    let role = around::role(world, &subject.fixed.role)?;
    let creates = !subject.config("topic.creation.default.partitions").is_empty();
    for topic in data_topics(subject) {
        let arn = topic_arn(&cluster.arn, &topic);
        let missing = || !around::topic_exists(world, subject.now, &cluster.arn, &topic);
        let mut needed = vec!["kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"];
        if creates && missing() {
            needed.push("kafka-cluster:CreateTopic");
        }
        if needed.iter().all(|action| around::permits(world, &role, action, &arn)) {
            continue;
        }
        let cause = format!(
            "org.apache.kafka.common.errors.TopicAuthorizationException: Not authorized to access topics: [{topic}]"
        );
        return task_died("role_may_write", subject, [
            "org.apache.kafka.connect.errors.ConnectException: Unrecoverable exception from producer send callback".to_string(),
            "\tat org.apache.kafka.connect.runtime.WorkerSourceTask.prepareToSendRecord(WorkerSourceTask.java:156)".into(),
            format!("Caused by: {cause}"),
        ]);
    }
    None
}

/// The topics of a Debezium connector that its configuration names in full.
fn data_topics(subject: &Subject<'_>) -> Vec<String> {
    let prefix = subject.config("topic.prefix");
    let mut out = Vec::new();
    if subject.has_history() && subject.config("include.schema.changes") != "false" {
        out.push(prefix.to_string());
    }
    for table in subject.config("table.include.list").split(',') {
        let table = table.trim().replace("\\.", ".");
        // An expression stands for tables that nobody knows here.
        if !table.is_empty() && !table.contains(['*', '+', '?', '(', '[', '{', '|', '^', '$', '\\'])
        {
            out.push(format!("{prefix}.{table}"));
        }
    }
    out
}
