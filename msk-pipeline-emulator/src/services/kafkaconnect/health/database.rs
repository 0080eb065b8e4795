//! Whether the database answers, and whether the schema history has a place.

use super::super::around;
use super::super::worker_log::Line;
use super::brokers::{listens, topic_arn};
use super::{Subject, Trouble, cluster, debezium, invalid, port_of, task_died};
use crate::world::World;

/// Debezium tests its connection when the connector is validated.
pub(super) fn cannot_connect<S: Into<String>>(
    check: &'static str,
    subject: &Subject<'_>,
    stack: impl IntoIterator<Item = S>,
) -> Option<Trouble> {
    let family = debezium(subject.class()).unwrap_or("mysql");
    let stack: Vec<String> = stack.into_iter().map(Into::into).collect();
    let reason =
        stack.first().map_or("", |s| s.split_once(": ").map_or(s, |(_, rest)| rest)).to_string();
    let (database, prefix, logger) = match family {
        "postgresql" => (
            format!("/{}", subject.config("database.dbname")),
            "Error while validating connector config",
            "io.debezium.connector.postgresql.PostgresConnector:103",
        ),
        _ => (
            String::new(),
            "Unable to connect",
            "io.debezium.connector.common.RelationalBaseSourceConnector:85",
        ),
    };
    let message = format!(
        "Failed testing connection for jdbc:{family}://{}:{}{database} with user '{}'",
        subject.config("database.hostname"),
        database_port(subject),
        subject.config("database.user"),
    );
    let failed = Line::new("ERROR", message, logger);
    let mut trouble = invalid(check, &format!("{prefix}: {reason}"))?;
    trouble.lines.insert(0, failed.stack(stack));
    Some(trouble)
}

fn database_port(subject: &Subject<'_>) -> u16 {
    let usual = match debezium(subject.class()) {
        Some("postgresql") => 5432,
        Some("sqlserver") => 1433,
        Some("oracle") => 1528,
        _ => 3306,
    };
    subject.config("database.port").parse().unwrap_or(usual)
}

/// A database of this account is available and lets the workers in; any other one is taken for reachable (msk.md §7.5).
pub(super) fn database_is_reachable(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    debezium(subject.class())?;
    let database = around::database(world, subject.now, subject.config("database.hostname"))?;
    let port = database_port(subject);
    let groups = &subject.fixed.security_groups;
    let open = groups.is_empty() || around::allows(world, groups, &database.groups, port);
    let cause = if !open {
        "java.net.SocketTimeoutException: Connect timed out"
    } else if !database.available || database.port != port {
        "java.net.ConnectException: Connection refused"
    } else {
        return None;
    };
    let stack = if debezium(subject.class()) == Some("postgresql") {
        let host = subject.config("database.hostname");
        let first = if open {
            format!(
                "Connection to {host}:{port} refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections."
            )
        } else {
            "The connection attempt failed.".to_owned()
        };
        [
            format!("org.postgresql.util.PSQLException: {first}"),
            "\tat org.postgresql.core.v3.ConnectionFactoryImpl.openConnectionImpl(ConnectionFactoryImpl.java:354)".into(),
            format!("Caused by: {cause}"),
        ]
    } else {
        [
            "com.mysql.cj.jdbc.exceptions.CommunicationsException: Communications link failure".to_owned(),
            "\tat com.mysql.cj.jdbc.exceptions.SQLError.createCommunicationsException(SQLError.java:175)".into(),
            format!("Caused by: {cause}"),
        ]
    };
    cannot_connect("database_is_reachable", subject, stack)
}

/// A `MySQL` writes its binlog by rows (msk.md §8).
pub(super) fn binlog_is_row(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    if !matches!(debezium(subject.class()), Some("mysql" | "mariadb")) {
        return None;
    }
    let database = around::database(world, subject.now, subject.config("database.hostname"))?;
    if database.binlog_format_row {
        return None;
    }
    task_died(
        "binlog_is_row",
        subject,
        [
            "org.apache.kafka.connect.errors.ConnectException: The MySQL server is not configured to use a ROW binlog_format, which is required for this connector to work properly. Change the MySQL configuration to use a binlog_format=ROW and restart the connector.",
            "\tat io.debezium.connector.mysql.MySqlConnectorTask.validateBinlogConfiguration(MySqlConnectorTask.java:311)",
        ],
    )
}

fn history_hosts<'a>(subject: &'a Subject<'_>) -> Vec<&'a str> {
    let servers = subject.config("schema.history.internal.kafka.bootstrap.servers");
    servers.split(',').map(str::trim).filter(|s| !s.is_empty()).collect()
}

/// The history's own clients reach the brokers: known host, open port, and the security settings of the listener for the
/// producer and for the consumer (msk.md §7.3, §11.9).
pub(super) fn history_is_reachable(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    if !subject.has_history() {
        return None;
    }
    let hosts = history_hosts(subject);
    let port = hosts.first().map_or(0, |host| port_of(host));
    let found = cluster(world, subject.now, &hosts);
    let groups = &subject.fixed.security_groups;
    let open = found.is_some_and(|c| {
        listens(&c, port) && (groups.is_empty() || around::allows(world, groups, &c.groups, port))
    });
    let wanted = match port {
        9098 | 20098 => "SASL_SSL",
        9094 | 20094 => "SSL",
        _ => "PLAINTEXT",
    };
    let secured = ["producer", "consumer"].iter().all(|client| {
        let setting =
            |key: &str| subject.config(&format!("schema.history.internal.{client}.{key}"));
        let protocol = setting("security.protocol");
        let protocol = if protocol.is_empty() { "PLAINTEXT" } else { protocol };
        protocol == wanted && (wanted != "SASL_SSL" || setting("sasl.mechanism") == "AWS_MSK_IAM")
    });
    if open && secured {
        return None;
    }
    let cause = "org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment. Call: describeTopics";
    task_died("history_is_reachable", subject, [
        "io.debezium.DebeziumException: Error while checking the existence of the schema history topic".to_string(),
        "\tat io.debezium.storage.kafka.history.KafkaSchemaHistory.checkTopicSettings(KafkaSchemaHistory.java:440)".into(),
        format!("Caused by: java.util.concurrent.ExecutionException: {cause}"),
        format!("Caused by: {cause}"),
    ])
}

/// The history topic is there, or the role may create it (msk.md §8, §7.4).
pub(super) fn history_topic_can_be(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    if !subject.has_history() {
        return None;
    }
    let hosts = history_hosts(subject);
    let cluster = cluster(world, subject.now, &hosts)?;
    let topic = subject.config("schema.history.internal.kafka.topic");
    let iam = matches!(hosts.first().map(|host| port_of(host)), Some(9098 | 20098));
    if !iam || around::topic_exists(world, subject.now, &cluster.arn, topic) {
        return None;
    }
    let role = around::role(world, &subject.fixed.role)?;
    if around::permits(world, &role, "kafka-cluster:CreateTopic", &topic_arn(&cluster.arn, topic)) {
        return None;
    }
    task_died("history_topic_can_be", subject, [
        "io.debezium.DebeziumException: Creation of database schema history topic failed, please create the topic manually".to_string(),
        "\tat io.debezium.storage.kafka.history.KafkaSchemaHistory.initializeStorage(KafkaSchemaHistory.java:575)".into(),
        "Caused by: java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.TopicAuthorizationException: Authorization failed.".into(),
        "Caused by: org.apache.kafka.common.errors.TopicAuthorizationException: Authorization failed.".into(),
    ])
}

/// With IAM the role may read and write the history and join its group (msk.md §7.4).
pub(super) fn history_may_be_used(world: &World, subject: &Subject<'_>) -> Option<Trouble> {
    if !subject.has_history() {
        return None;
    }
    let hosts = history_hosts(subject);
    if !matches!(hosts.first().map(|host| port_of(host)), Some(9098 | 20098)) {
        return None;
    }
    let cluster = cluster(world, subject.now, &hosts)?;
    let role = around::role(world, &subject.fixed.role)?;
    let topic = subject.config("schema.history.internal.kafka.topic");
    let group = format!("{}-schemahistory", subject.config("topic.prefix"));
    let topic_arn = topic_arn(&cluster.arn, topic);
    let group_arn = format!("{}/{group}", cluster.arn.replacen(":cluster/", ":group/", 1));
    let allowed = |action: &str, arn: &str| {
        around::permits(world, &role, &format!("kafka-cluster:{action}"), arn)
    };
    let cause = if !["DescribeTopic", "ReadData", "WriteData"]
        .iter()
        .all(|a| allowed(a, &topic_arn))
    {
        format!(
            "org.apache.kafka.common.errors.TopicAuthorizationException: Not authorized to access topics: [{topic}]"
        )
    } else if !["AlterGroup", "DescribeGroup"].iter().all(|a| allowed(a, &group_arn)) {
        format!(
            "org.apache.kafka.common.errors.GroupAuthorizationException: Not authorized to access group: {group}"
        )
    } else {
        return None;
    };
    task_died("history_may_be_used", subject, [
        "io.debezium.relational.history.SchemaHistoryException: Unable to use the schema history topic".to_string(),
        "\tat io.debezium.storage.kafka.history.KafkaSchemaHistory.recoverRecords(KafkaSchemaHistory.java:290)".into(),
        format!("Caused by: {cause}"),
    ])
}
