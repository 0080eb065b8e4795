//! What others change behind the pipeline's back, for each example: the plan names it, and an apply takes it back.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "a test shows what it counted")]

mod common;

use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use aws_sdk_kafka::primitives::Blob;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::{Cloud, PLUGINS, Process, applied, output};
use msk_pipeline_aws::Session;
use msk_pipeline_core::kind::Mark;
use msk_pipeline_core::plan::Action;
use serde_json::json;

/// An example, the names in it, and the world in which it was applied.
struct Example {
    name: &'static str,
    toml: &'static str,
    database: &'static str,
    connector: &'static str,
    /// The topic of its first table.
    topic: &'static str,
    /// A parameter that capturing depends on, a value that breaks it, and the field that tells.
    captures: (&'static str, &'static str, &'static str),
    /// A log of its engine.
    log: &'static str,
    applied: LazyLock<Cloud>,
}

const MYSQL_CAPTURES: (&str, &str, &str) = ("binlog_format", "MIXED", "parameters.binlog_format");

static MYSQL_CDC: Example = Example {
    name: "mysql-cdc",
    toml: include_str!("../../examples/mysql-cdc.toml"),
    database: "orders",
    connector: "orders",
    topic: "shop.orders",
    captures: MYSQL_CAPTURES,
    log: "slowquery",
    applied: LazyLock::new(|| applied(MYSQL_CDC.toml)),
};

static MINIMAL: Example = Example {
    name: "minimal",
    toml: include_str!("../../examples/minimal.toml"),
    database: "orders",
    connector: "mysql",
    topic: "shop.orders",
    captures: MYSQL_CAPTURES,
    log: "slowquery",
    applied: LazyLock::new(|| applied(MINIMAL.toml)),
};

static SEED_PARITY: Example = Example {
    name: "seed-parity",
    toml: include_str!("../../examples/seed-parity.toml"),
    database: "rds-cdc",
    connector: "mysql",
    topic: "cdc.orders",
    captures: MYSQL_CAPTURES,
    log: "slowquery",
    applied: LazyLock::new(|| applied(SEED_PARITY.toml)),
};

static POSTGRES_CDC: Example = Example {
    name: "postgres-cdc",
    toml: include_str!("../../examples/postgres-cdc.toml"),
    database: "orders",
    connector: "orders",
    topic: "sales.orders",
    captures: ("rds.logical_replication", "0", "parameters.rds.logical_replication"),
    log: "postgresql",
    applied: LazyLock::new(|| applied(POSTGRES_CDC.toml)),
};

impl Example {
    /// A tag that it declares, or else one of the mark that doesn't decide whose an object is.
    fn tag(&self) -> &'static str {
        if self.toml.contains("Team") { "Team" } else { Mark::PIPELINE }
    }

    fn database(&self, resource: &str) -> String {
        format!("database.{}.{resource}", self.database)
    }

    fn connector(&self, resource: &str) -> String {
        format!("connector.{}.{resource}", self.connector)
    }
}

/// What somebody else did.
enum Deed {
    /// Changed something: the address and the field that a plan has to name.
    Changed(String, String),
    /// Nothing: the example has no such object.
    NotThere,
    /// Nothing: that was the last one.
    Over,
}

/// The physical name of what is at an address; `None` if nothing is.
async fn named(process: &Process, address: &str) -> Option<String> {
    let state = process.engine.state().await.unwrap();
    let record = state.records.iter().find(|(a, _)| a.as_str() == address)?;
    record.1.current.as_ref().map(|object| object.name.clone())
}

/// What is gone, as the field of a change.
const GONE: &str = "(deleted)";

/// Somebody else's `n`th change.
async fn interfere(example: &Example, process: &Process, n: usize) -> Deed {
    let [database, writer, reader, subnets, secret] =
        ["cluster", "writer", "reader-a", "subnets", "capture-secret"].map(|r| example.database(r));
    let [cluster_parameters, instance_parameters] =
        ["cluster-parameters", "instance-parameters"].map(|r| example.database(r));
    let [role, connector, plugin, worker] =
        ["role", "connector", "plugin", "worker"].map(|r| example.connector(r));
    let topic = example.connector(&format!("topic-{}", example.topic));
    let object = format!("plugins.object-{}", &PLUGINS[0].sha256[..8]);
    let has_reader = named(process, &reader).await.is_some();
    let serverless = !example.toml.contains("class");
    let name = async |address: &str| named(process, address).await.unwrap();
    let bucket = name("plugins.bucket").await;
    let broker_logs = name("kafka.main.logs").await;
    let role_name = name(&role).await;
    let database_name = name(&database).await;
    // `cluster/topic`.
    let topic_name = name(&topic).await;
    let topic_name = topic_name.rsplit('/').next().unwrap();
    let tag = example.tag();
    let tag_field = format!("tags.{tag}");
    let Session { ec2, iam, kafka, kafkaconnect, logs, rds, s3, secretsmanager, .. } =
        &process.session;
    let cluster = output(process, "kafka.main.cluster", "cluster_arn").await;
    let connector_arn = output(process, &connector, "connector_arn").await;
    let group = output(process, "kafka.main.group", "group_id").await;
    let described = kafka.describe_cluster_v2().cluster_arn(&cluster).send().await.unwrap();
    let version = described.cluster_info().unwrap().current_version().unwrap();
    let described = kafkaconnect.describe_connector().connector_arn(&connector_arn);
    let described = described.send().await.unwrap();
    let connector_version = described.current_version().unwrap();
    let document = |action: &str, resource: &str| {
        let statement = json!([{ "Effect": "Allow", "Action": action, "Resource": resource }]);
        json!({ "Version": "2012-10-17", "Statement": statement }).to_string()
    };
    let found: (&str, &str) = match n {
        0 => {
            let put = logs.put_retention_policy().log_group_name(&broker_logs);
            put.retention_in_days(1).send().await.unwrap();
            ("kafka.main.logs", "retention_days")
        }
        1 => {
            logs.delete_log_group().log_group_name(&broker_logs).send().await.unwrap();
            ("kafka.main.logs", GONE)
        }
        2 => {
            let arn = output(process, "kafka.main.logs", "arn").await;
            logs.untag_resource().resource_arn(arn).tag_keys(tag).send().await.unwrap();
            ("kafka.main.logs", &tag_field)
        }
        3 => {
            let tag = aws_sdk_ec2::types::Tag::builder().key(tag).build();
            ec2.delete_tags().resources(group).tags(tag).send().await.unwrap();
            ("kafka.main.group", &tag_field)
        }
        4 => {
            let range = aws_sdk_ec2::types::IpRange::builder().cidr_ip("10.0.0.0/8").build();
            let permission = aws_sdk_ec2::types::IpPermission::builder()
                .ip_protocol("tcp")
                .from_port(22)
                .to_port(22)
                .ip_ranges(range)
                .build();
            let open = ec2.authorize_security_group_ingress().group_id(group);
            open.ip_permissions(permission).send().await.unwrap();
            ("kafka.main.rules", "rules")
        }
        5 => {
            let filter =
                aws_sdk_ec2::types::Filter::builder().name("group-id").values(&group).build();
            let rules = ec2.describe_security_group_rules().filters(filter).send().await.unwrap();
            let mut rules = rules.security_group_rules().iter();
            let rule = rules.find(|r| r.is_egress() == Some(false)).unwrap();
            let close = ec2.revoke_security_group_ingress().group_id(group);
            close
                .security_group_rule_ids(rule.security_group_rule_id().unwrap())
                .send()
                .await
                .unwrap();
            ("kafka.main.rules", "rules")
        }
        6 => {
            let arn = output(process, "kafka.main.configuration", "arn").await;
            let described = kafka.describe_configuration().arn(&arn).send().await.unwrap();
            let update = kafka.update_configuration().arn(arn);
            let update = update.set_description(described.description().map(str::to_owned));
            let text = "auto.create.topics.enable=true\n";
            update.server_properties(Blob::new(text)).send().await.unwrap();
            ("kafka.main.configuration", "auto.create.topics.enable")
        }
        // AWS removes no brokers of this type.
        7 if example.toml.contains("kafka.t3") => return Deed::NotThere,
        7 => {
            let update = kafka.update_broker_count().cluster_arn(cluster).current_version(version);
            update.target_number_of_broker_nodes(6).send().await.unwrap();
            ("kafka.main.cluster", "brokers.count")
        }
        8 => {
            let update = kafka.update_broker_type().cluster_arn(cluster).current_version(version);
            // The type has to be one that the cluster's mode takes.
            let kraft = example.toml.contains("kafka.m7g") || !example.toml.contains("kafka.t3");
            let other = if kraft { "kafka.m7g.xlarge" } else { "kafka.m5.large" };
            update.target_instance_type(other).send().await.unwrap();
            ("kafka.main.cluster", "brokers.type")
        }
        9 => {
            let update = kafka.update_monitoring().cluster_arn(cluster).current_version(version);
            update.enhanced_monitoring("PER_BROKER".into()).send().await.unwrap();
            ("kafka.main.cluster", "monitoring")
        }
        10 => {
            let iam = aws_sdk_kafka::types::Iam::builder().enabled(true).build();
            let sasl = aws_sdk_kafka::types::Sasl::builder().iam(iam).build();
            // Opened where it is closed, closed where it is open.
            let closed = !example.toml.contains("\"plaintext\"");
            let open = aws_sdk_kafka::types::Unauthenticated::builder().enabled(closed).build();
            let authentication = aws_sdk_kafka::types::ClientAuthentication::builder()
                .sasl(sasl)
                .unauthenticated(open)
                .build();
            let update = kafka.update_security().cluster_arn(cluster).current_version(version);
            let update = update.client_authentication(authentication);
            // Plaintext needs access without authentication, so that it is closed together with it.
            let tls =
                aws_sdk_kafka::types::EncryptionInTransit::builder().client_broker("TLS".into());
            let tls =
                aws_sdk_kafka::types::EncryptionInfo::builder().encryption_in_transit(tls.build());
            let update = if closed { update } else { update.encryption_info(tls.build()) };
            update.send().await.unwrap();
            ("kafka.main.cluster", "listeners")
        }
        11 => {
            let off = aws_sdk_kafka::types::CloudWatchLogs::builder().enabled(false).build();
            let off = aws_sdk_kafka::types::BrokerLogs::builder().cloud_watch_logs(off).build();
            let off = aws_sdk_kafka::types::LoggingInfo::builder().broker_logs(off).build();
            let update = kafka.update_monitoring().cluster_arn(cluster).current_version(version);
            update.logging_info(off).send().await.unwrap();
            ("kafka.main.cluster", "logs.cloudwatch")
        }
        12 => {
            kafka.untag_resource().resource_arn(cluster).tag_keys(tag).send().await.unwrap();
            ("kafka.main.cluster", &tag_field)
        }
        13 => {
            let configs =
                BASE64.encode(r#"{ "retention.ms": "1000", "cleanup.policy": "compact" }"#);
            let update = kafka.update_topic().cluster_arn(cluster);
            let update = update.topic_name(topic_name).configs(configs);
            update.send().await.unwrap();
            (&topic, "configs.cleanup.policy")
        }
        14 => {
            let delete = kafka.delete_topic().cluster_arn(cluster);
            delete.topic_name(topic_name).send().await.unwrap();
            (&topic, GONE)
        }
        15 => {
            let policies = iam.list_role_policies().role_name(&role_name).send().await.unwrap();
            let delete = iam.delete_role_policy().role_name(&role_name);
            delete.policy_name(&policies.policy_names()[0]).send().await.unwrap();
            (&role, "policy.Secret")
        }
        16 => {
            let put = iam.put_role_policy().role_name(&role_name).policy_name("extra");
            put.policy_document(document("s3:*", "*")).send().await.unwrap();
            (&role, "policy.extra.Statement[0]")
        }
        17 => {
            let statement = json!({
                "Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": { "Service": "ec2.amazonaws.com" },
            });
            let trust = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
            let update = iam.update_assume_role_policy().role_name(&role_name);
            update.policy_document(trust).send().await.unwrap();
            (&role, "trust.Statement[0].Principal.Service")
        }
        18 => {
            iam.update_role().role_name(&role_name).description("mine").send().await.unwrap();
            (&role, "description")
        }
        19 => {
            let attach = iam.attach_role_policy().role_name(&role_name);
            attach.policy_arn("arn:aws:iam::aws:policy/ReadOnlyAccess").send().await.unwrap();
            (&role, "attached")
        }
        20 => {
            iam.untag_role().role_name(&role_name).tag_keys(tag).send().await.unwrap();
            (&role, &tag_field)
        }
        21 => {
            s3.delete_public_access_block().bucket(&bucket).send().await.unwrap();
            ("plugins.bucket", "public_access")
        }
        22 => {
            let suspended = aws_sdk_s3::types::VersioningConfiguration::builder()
                .status(aws_sdk_s3::types::BucketVersioningStatus::Suspended)
                .build();
            let put = s3.put_bucket_versioning().bucket(&bucket);
            put.versioning_configuration(suspended).send().await.unwrap();
            ("plugins.bucket", "versioning")
        }
        23 => {
            s3.delete_bucket_lifecycle().bucket(&bucket).send().await.unwrap();
            ("plugins.bucket", "lifecycle")
        }
        24 => {
            let tagging = s3.get_bucket_tagging().bucket(&bucket).send().await.unwrap();
            let left = tagging.tag_set().iter().filter(|t| t.key() != tag).cloned();
            let left = aws_sdk_s3::types::Tagging::builder().set_tag_set(Some(left.collect()));
            let put = s3.put_bucket_tagging().bucket(&bucket).tagging(left.build().unwrap());
            put.send().await.unwrap();
            ("plugins.bucket", &tag_field)
        }
        25 => {
            s3.delete_bucket_ownership_controls().bucket(&bucket).send().await.unwrap();
            ("plugins.bucket", "ownership")
        }
        26 => {
            let key = output(process, &object, "key").await;
            s3.delete_object().bucket(&bucket).key(key).send().await.unwrap();
            (&object, "key")
        }
        27 => {
            let update = secretsmanager.update_secret().secret_id(name(&secret).await);
            update.description("mine").send().await.unwrap();
            (&secret, "description")
        }
        28 => {
            let delete = secretsmanager.delete_secret().secret_id(name(&secret).await);
            delete.recovery_window_in_days(7).send().await.unwrap();
            (&secret, "deletion")
        }
        29 => {
            let untag = secretsmanager.untag_resource().secret_id(name(&secret).await);
            untag.tag_keys(tag).send().await.unwrap();
            (&secret, &tag_field)
        }
        30 => {
            let modify = rds.modify_db_cluster_parameter_group();
            let modify = modify.db_cluster_parameter_group_name(name(&cluster_parameters).await);
            let (name, value, field) = example.captures;
            modify.parameters(parameter(name, value)).send().await.unwrap();
            (&cluster_parameters, field)
        }
        31 => {
            let modify = rds.modify_db_parameter_group();
            let modify = modify.db_parameter_group_name(name(&instance_parameters).await);
            modify.parameters(parameter("max_connections", "10")).send().await.unwrap();
            (&instance_parameters, "parameters.max_connections")
        }
        32 => {
            let groups = rds.describe_db_subnet_groups().db_subnet_group_name(&database_name);
            let groups = groups.send().await.unwrap();
            let all = groups.db_subnet_groups()[0].subnets().iter();
            let two = all.take(2).map(|s| s.subnet_identifier().unwrap().to_owned());
            let modify = rds.modify_db_subnet_group().db_subnet_group_name(&database_name);
            modify.set_subnet_ids(Some(two.collect())).send().await.unwrap();
            (&subnets, "subnets")
        }
        33..=36 => {
            let modify = rds.modify_db_cluster().db_cluster_identifier(&database_name);
            let modify = modify.apply_immediately(true);
            let (modify, field) = match n {
                33 => (modify.backup_retention_period(3), "backup_retention_days"),
                34 => {
                    let protected = !example.toml.contains("deletion_protection = false");
                    (modify.deletion_protection(!protected), "deletion_protection")
                }
                35 => (modify.vpc_security_group_ids(group), "security_groups"),
                _ => {
                    let logs = aws_sdk_rds::types::CloudwatchLogsExportConfiguration::builder()
                        .enable_log_types(example.log)
                        .build();
                    (modify.cloudwatch_logs_export_configuration(logs), "logs")
                }
            };
            modify.send().await.unwrap();
            (&database, field)
        }
        37 | 38 => {
            let modify = rds.modify_db_instance().db_instance_identifier(name(&writer).await);
            let modify = modify.apply_immediately(true);
            let (modify, field) = match n {
                37 => (modify.db_instance_class("db.r7g.xlarge"), "class"),
                _ => (modify.auto_minor_version_upgrade(true), "auto_minor_upgrade"),
            };
            modify.send().await.unwrap();
            (&writer, field)
        }
        39 | 40 if !has_reader => return Deed::NotThere,
        39 => {
            let modify = rds.modify_db_instance().db_instance_identifier(name(&reader).await);
            modify.promotion_tier(7).apply_immediately(true).send().await.unwrap();
            (&reader, "promotion_tier")
        }
        40 => {
            rds.delete_db_instance()
                .db_instance_identifier(name(&reader).await)
                .send()
                .await
                .unwrap();
            (&reader, GONE)
        }
        41 => {
            use aws_sdk_kafkaconnect::types::{CapacityUpdate, ProvisionedCapacityUpdate};
            let capacity = ProvisionedCapacityUpdate::builder().mcu_count(2).worker_count(2);
            let capacity = CapacityUpdate::builder().provisioned_capacity(capacity.build());
            let update = kafkaconnect.update_connector().connector_arn(connector_arn);
            let update = update.current_version(connector_version).capacity(capacity.build());
            update.send().await.unwrap();
            (&connector, "capacity.workers")
        }
        42 => {
            let mut configuration = described.connector_configuration().unwrap().clone();
            configuration.insert("max.batch.size".into(), "1".into());
            let update = kafkaconnect.update_connector().connector_arn(connector_arn);
            let update = update.current_version(connector_version);
            update.set_connector_configuration(Some(configuration)).send().await.unwrap();
            (&connector, "configuration.max.batch.size")
        }
        43 => {
            let untag = kafkaconnect.untag_resource().resource_arn(connector_arn);
            untag.tag_keys(tag).send().await.unwrap();
            (&connector, &tag_field)
        }
        44 => {
            kafkaconnect.pause_connector().connector_arn(connector_arn).send().await.unwrap();
            (&connector, "state")
        }
        45 => {
            let delete = kafkaconnect.delete_connector().connector_arn(connector_arn);
            delete.send().await.unwrap();
            (&connector, GONE)
        }
        46 => {
            let arn = output(process, &worker, "worker_arn").await;
            kafkaconnect.untag_resource().resource_arn(arn).tag_keys(tag).send().await.unwrap();
            (&worker, &tag_field)
        }
        47 => {
            let arn = output(process, &plugin, "plugin_arn").await;
            kafkaconnect.untag_resource().resource_arn(arn).tag_keys(tag).send().await.unwrap();
            (&plugin, &tag_field)
        }
        48 => {
            let range = aws_sdk_rds::types::ServerlessV2ScalingConfiguration::builder();
            let range = range.min_capacity(1.5).max_capacity(2.5).build();
            let modify = rds.modify_db_cluster().db_cluster_identifier(&database_name);
            let modify = modify.serverless_v2_scaling_configuration(range);
            if !serverless {
                return Deed::NotThere;
            }
            modify.apply_immediately(true).send().await.unwrap();
            (&database, "serverless")
        }
        49 => {
            let public = !example.toml.contains("public = true");
            let modify = rds.modify_db_instance().db_instance_identifier(name(&writer).await);
            let modify = modify.publicly_accessible(public).apply_immediately(true);
            modify.send().await.unwrap();
            (&writer, "public")
        }
        _ => return Deed::Over,
    };
    let (address, field) = found;
    Deed::Changed(address.to_owned(), field.to_owned())
}

fn parameter(name: &str, value: &str) -> aws_sdk_rds::types::Parameter {
    let method = aws_sdk_rds::types::ApplyMethod::PendingReboot;
    let parameter = aws_sdk_rds::types::Parameter::builder();
    parameter.parameter_name(name).parameter_value(value).apply_method(method).build()
}

/// Every change that somebody else makes to an example is seen, named, and taken back. How many there were.
fn seen_and_taken_back(example: &'static Example) -> usize {
    let (next, count) = (Mutex::new(0..), Mutex::new(0));
    let problems = Mutex::new(Vec::new());
    LazyLock::force(&example.applied);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let n = next.lock().unwrap().next().unwrap();
                    let mut runtime = tokio::runtime::Builder::new_current_thread();
                    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
                    match runtime.block_on(one(example, n)) {
                        Outcome::TakenBack => *count.lock().unwrap() += 1,
                        Outcome::Wrong(problem) => problems.lock().unwrap().push(problem),
                        Outcome::NotThere => {}
                        Outcome::Over => break,
                    }
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    println!("{}: {} changes by others", example.name, count.lock().unwrap());
    count.into_inner().unwrap()
}

/// Somebody's `n`th change: whether it is named, whether an apply takes it back, and whether nothing is left to do then.
async fn one(example: &Example, n: usize) -> Outcome {
    let cloud = example.applied.fork();
    let process = Process::simple(&cloud).of(example.toml);
    let (address, field) = match interfere(example, &process, n).await {
        Deed::Changed(address, field) => (address, field),
        Deed::NotThere => return Outcome::NotThere,
        Deed::Over => return Outcome::Over,
    };
    // What was changed has arrived, and what was deleted is gone.
    process.clock.sleep(Duration::from_hours(1)).await;
    let plan = process.plan(example.toml).await;
    let named = plan.steps.iter().any(|step| {
        let shown = |f: &str| step.calls.iter().any(|c| c.fields.iter().any(|c| c.field == f));
        let gone = field == GONE && step.because.as_deref().is_some_and(|b| b.contains("delet"));
        step.address.as_str() == address && step.changes() && (gone || shown(&field))
    });
    let what = format!("{n} {address} {field}");
    if !named || !plan.refusals.is_empty() {
        let steps = plan.steps.iter().filter(|s| s.action != Action::NoOp).map(|s| {
            let fields: Vec<_> = s.calls.iter().flat_map(|c| &c.fields).map(|f| &f.field).collect();
            format!("{} {:?} {fields:?} {:?}", s.address, s.action, s.because)
        });
        let steps: Vec<_> = steps.collect();
        return Outcome::Wrong(format!("{what}: {steps:?} {:?}", plan.refusals));
    }
    match process.apply(example.toml).await {
        Ok(summary) if summary.is_complete() => {}
        other => return Outcome::Wrong(format!("{what}: {other:?} {:?}", process.failures())),
    }
    let again = process.plan(example.toml).await;
    let left: Vec<_> = again.steps.iter().filter(|s| s.action != Action::NoOp).collect();
    if !left.is_empty() || !again.refusals.is_empty() {
        return Outcome::Wrong(format!("{what}, after apply: {left:?} {:?}", again.refusals));
    }
    Outcome::TakenBack
}

/// What became of a change.
enum Outcome {
    TakenBack,
    Wrong(String),
    NotThere,
    Over,
}

#[test]
fn changes_by_others_to_the_recommended_example_are_seen_and_taken_back() {
    assert_eq!(seen_and_taken_back(&MYSQL_CDC), 49);
}

#[test]
fn changes_by_others_to_the_example_of_postgresql_are_seen_and_taken_back() {
    assert_eq!(seen_and_taken_back(&POSTGRES_CDC), 49);
}

#[test]
fn changes_by_others_to_the_smallest_example_are_seen_and_taken_back() {
    assert_eq!(seen_and_taken_back(&MINIMAL), 48);
}

#[test]
fn changes_by_others_to_the_example_of_the_seed_are_seen_and_taken_back() {
    assert_eq!(seen_and_taken_back(&SEED_PARITY), 46);
}
