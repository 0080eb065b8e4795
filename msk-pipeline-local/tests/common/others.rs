//! What others do behind the pipeline's back.

use std::sync::Arc;
use std::time::Duration;

use msk_pipeline_aws::Session;
use msk_pipeline_core::state::State;
use msk_pipeline_core::{Clock, RealClock};
use msk_pipeline_local::Embedded;

use super::Cloud;

/// What somebody else may do: change something, or delete what AWS lets anybody delete.
pub const DEEDS: [&str; 12] = [
    "log group deleted",
    "tag of a group taken",
    "rule added",
    "tag of a cluster taken",
    "topic deleted",
    "role policy deleted",
    "secret deleted",
    "plugin object deleted",
    "reader deleted",
    "connector deleted",
    "cluster parameter group deleted",
    "instance parameter group deleted",
];

/// Does the `n`th of [`DEEDS`]. True if AWS let it happen: what is not there, busy or in use stays as it is.
pub fn interfere(cloud: &Cloud, state: &State, n: usize) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(cloud.wall));
        let session = Embedded::session(cloud.world.clone(), clock.clone(), "us-east-1");
        let done = attempt(&session, state, n).await.is_some();
        // What goes takes its time.
        clock.sleep(Duration::from_mins(10)).await;
        done
    })
}

async fn attempt(session: &Session, state: &State, n: usize) -> Option<()> {
    let Session { ec2, iam, kafka, kafkaconnect, logs, rds, s3, secretsmanager, .. } = session;
    let object = |address: &str| {
        let found = state.records.iter().find(|(a, _)| a.as_str() == address);
        found.and_then(|(_, record)| record.current.as_ref())
    };
    let name = |address: &str| object(address).map(|object| object.name.clone());
    let output =
        |address: &str, output: &str| object(address)?.outputs[output].as_str().map(str::to_owned);
    match DEEDS[n] {
        "log group deleted" => {
            let delete = logs.delete_log_group().log_group_name(name("kafka.main.logs")?);
            delete.send().await.ok()?;
        }
        "tag of a group taken" => {
            let tag = aws_sdk_ec2::types::Tag::builder().key("Team").build();
            let untag = ec2.delete_tags().resources(output("kafka.main.group", "group_id")?);
            untag.tags(tag).send().await.ok()?;
        }
        "rule added" => {
            let range = aws_sdk_ec2::types::IpRange::builder().cidr_ip("10.0.0.0/8").build();
            let permission = aws_sdk_ec2::types::IpPermission::builder()
                .ip_protocol("tcp")
                .from_port(22)
                .to_port(22)
                .ip_ranges(range)
                .build();
            let open = ec2.authorize_security_group_ingress();
            let open = open.group_id(output("kafka.main.group", "group_id")?);
            open.ip_permissions(permission).send().await.ok()?;
        }
        "tag of a cluster taken" => {
            let arn = output("kafka.main.cluster", "cluster_arn")?;
            kafka.untag_resource().resource_arn(arn).tag_keys("Team").send().await.ok()?;
        }
        "topic deleted" => {
            let topic = name("connector.orders.topic-shop.t0")?;
            let arn = output("kafka.main.cluster", "cluster_arn")?;
            let delete = kafka.delete_topic().cluster_arn(arn);
            delete.topic_name(topic.rsplit('/').next()?).send().await.ok()?;
        }
        "role policy deleted" => {
            let role = name("connector.orders.role")?;
            let policies = iam.list_role_policies().role_name(&role).send().await.ok()?;
            let delete = iam.delete_role_policy().role_name(role);
            delete.policy_name(policies.policy_names().first()?).send().await.ok()?;
        }
        "secret deleted" => {
            let secret = name("database.orders.capture-secret")?;
            let delete = secretsmanager.delete_secret().secret_id(secret);
            delete.recovery_window_in_days(7).send().await.ok()?;
        }
        "plugin object deleted" => {
            let mut addresses = state.records.keys().map(msk_pipeline_core::Address::as_str);
            let address = addresses.find(|a| a.starts_with("plugins.object-"))?;
            let delete = s3.delete_object().bucket(name("plugins.bucket")?);
            delete.key(output(address, "key")?).send().await.ok()?;
        }
        "reader deleted" => {
            let reader = name("database.orders.reader-a")?;
            rds.delete_db_instance().db_instance_identifier(reader).send().await.ok()?;
        }
        "connector deleted" => {
            let arn = output("connector.orders.connector", "connector_arn")?;
            kafkaconnect.delete_connector().connector_arn(arn).send().await.ok()?;
        }
        "cluster parameter group deleted" => {
            let delete = rds.delete_db_cluster_parameter_group();
            let group = name("database.orders.cluster-parameters")?;
            delete.db_cluster_parameter_group_name(group).send().await.ok()?;
        }
        "instance parameter group deleted" => {
            let delete = rds.delete_db_parameter_group();
            let group = name("database.orders.instance-parameters")?;
            delete.db_parameter_group_name(group).send().await.ok()?;
        }
        other => unreachable!("{other}"),
    }
    Some(())
}
