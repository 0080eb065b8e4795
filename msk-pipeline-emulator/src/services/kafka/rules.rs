//! What MSK refuses beyond the shapes of its model: one function a rule, each with its source. "Handbook" is the MSK part of this
//! project's collected facts; "(U)" marks what no primary source confirms (mostly the wording of a message).

use super::state::{Cluster, State};
use crate::world::{AwsError, Millis};

mod content;
mod create;
mod update;

pub(crate) use content::*;
pub(crate) use create::*;
pub(crate) use update::*;

/// What a rule answers.
pub(crate) type Check = Result<(), AwsError>;

/// Every rule with its source; each has a test of its name.
#[allow(dead_code, reason = "documentation that the tests hold to the code")]
pub(crate) const RULES: &[(&str, &str)] = &[
    (
        "name_unique",
        "handbook 3, Configuration (terraform-provider-aws#8898); 3: FAILED keeps its name",
    ),
    ("subnets_two_or_three", "handbook 4, Subnets (botocore, developer guide msk-create-cluster)"),
    ("subnets_exist", "handbook 4, Subnets"),
    ("subnets_one_vpc", "handbook 4, Subnets"),
    ("subnets_one_per_zone", "handbook 4, Subnets; message terraform-provider-aws#9658"),
    ("zone_not_use1_az3", "botocore kafka BrokerNodeGroupInfo.ClientSubnets"),
    ("groups_exist", "handbook 4 (U: wording)"),
    ("broker_count_multiple", "handbook 4; the message as seen in public deployment notes"),
    ("broker_quota", "handbook 4, Quotas"),
    (
        "kafka_version_offered",
        "handbook 4; message awslabs/benchmark-ai#739, invalidParameter terraform-provider-aws#14150",
    ),
    (
        "instance_type_offered",
        "handbook 4; message terraform-provider-aws#35151; .kraft drops t3.small (public rejections, 2026)",
    ),
    (
        "express_rules",
        "handbook 4, Express; terraform-aws-msk-kafka-cluster#47, terraform-provider-aws#48309",
    ),
    ("auth_needs_encryption", "handbook 4, Auth x encryption"),
    ("auth_needs_in_cluster", "handbook 4, Auth x encryption"),
    (
        "sasl_with_plaintext_needs_unauthenticated",
        "MSK API reference ClientAuthentication, quoted in terraform-provider-aws#20956",
    ),
    ("no_public_access_at_create", "handbook 3, In place or replace"),
    ("no_vpc_connectivity_at_create", "handbook 3, In place or replace"),
    ("t3_small_no_tiered", "handbook 4, t3.small"),
    ("t3_small_no_multi_vpc", "handbook 4, t3.small"),
    ("throughput_limits", "handbook 4, Provisioned throughput"),
    ("log_group_exists", "handbook 3 and 4, loggingInfo (U: wording)"),
    ("tags_valid", "handbook 1, Tagging (developer guide msk-tagging)"),
    ("cluster_found", "handbook 1, errors; 403 for what is no ARN: provider-upjet-aws#489"),
    ("active_for_update", "handbook 3, states"),
    ("version_current", "handbook 3, currentVersion; message terraform-provider-aws#25061"),
    ("deletable", "handbook 3, states"),
    (
        "bootstrap_ready",
        "terraform-aws-msk-cluster#28 (BadRequestException and message), handbook 3",
    ),
    ("count_changes", "developer guide msk-update-broker-count, msk-remove-broker"),
    ("broker_removal", "developer guide msk-remove-broker"),
    ("type_changes", "handbook 3 (U: wording; Standard and Express do not mix)"),
    ("partitions_per_broker", "handbook 4, Partitions per broker"),
    (
        "storage_changes",
        "handbook 3, no-change call = 400 (terraform-provider-aws kafka/cluster.go)",
    ),
    ("storage_only_grows", "handbook 3, grow only"),
    ("storage_all_brokers", "handbook 3, all brokers at once"),
    ("storage_not_optimizing", "handbook 3, Durations (developer guide manually-expand-storage)"),
    ("tiered_stays", "handbook 3, storageMode (U)"),
    ("one_attribute_a_request", "aws/aws-cdk#16765"),
    ("upgrade_only", "handbook 3 and 4, kafkaVersion"),
    (
        "security_not_at_rest",
        "handbook 3, UpdateSecurity (terraform-provider-aws kafka/cluster.go)",
    ),
    (
        "security_not_in_cluster",
        "handbook 3, UpdateSecurity (terraform-provider-aws kafka/cluster.go)",
    ),
    ("security_changes", "terraform-provider-aws#24914"),
    ("public_access_allowed", "handbook 4, Public access"),
    ("vpc_connectivity_allowed", "handbook 3, VPC connection"),
    ("one_broker_a_reboot", "handbook 2, RebootBroker (developer guide msk-reboot-broker)"),
    ("configuration_exists", "handbook 3, Configuration: missing is 400"),
    ("configuration_revision_exists", "handbook 3, Configuration (U: wording)"),
    ("configuration_name", "handbook 2, Names (developer guide msk-configuration-operations)"),
    ("configuration_properties", "handbook 3, whitelist; message aws/aws-sdk#26"),
    ("configuration_ranges", "handbook 3, Ranges (developer guide msk-configuration-properties)"),
    ("configuration_not_in_use", "terraform-provider-aws#15831"),
    ("configuration_quotas", "handbook 3: 50 revisions, 100 configurations"),
    ("topics_supported", "handbook 3, Topics"),
    ("topic_name", "apache/kafka clients common/internals/Topic.java"),
    ("topic_new", "botocore kafka CreateTopic: TopicExistsException"),
    ("replication_at_most_brokers", "apache/kafka AdminUtils, ReplicationControlManager"),
    ("topic_configs", "handbook 3, Topics; apache/kafka LogConfig.validateNames"),
    ("configs_xor_partitions", "handbook 2, Describe/Update/DeleteTopic"),
    ("partitions_only_grow", "handbook 3, Topics; message apache/kafka"),
];

/// A 400 with a text.
pub(crate) fn bad(message: impl Into<String>) -> AwsError {
    AwsError::new("BadRequestException", message).status(400)
}

/// A 400 that names the parameter.
pub(crate) fn invalid(parameter: &str, message: impl Into<String>) -> AwsError {
    bad(message).with("invalidParameter", parameter)
}

/// A 404.
pub(crate) fn missing(message: impl Into<String>) -> AwsError {
    AwsError::new("NotFoundException", message).status(404)
}

/// A 400 that comes from the brokers.
pub(crate) fn kafka_request(message: impl Into<String>) -> AwsError {
    AwsError::new("KafkaRequestException", message).status(400)
}

fn require(holds: bool, error: impl FnOnce() -> AwsError) -> Check {
    if holds { Ok(()) } else { Err(error()) }
}

/// A name is taken while its holder exists in any state, FAILED and DELETING included.
pub(crate) fn name_unique(parameter: &str, taken: bool) -> Check {
    require(!taken, || {
        AwsError::new("ConflictException", "A resource with this name already exists.")
            .status(409)
            .with("invalidParameter", parameter)
    })
}

/// At most 50 tags; keys 1 to 128, values to 256 characters; `aws:` is reserved.
pub(crate) fn tags_valid<'a>(
    total: usize,
    tags: impl Iterator<Item = (&'a str, &'a str)>,
) -> Check {
    require(total <= 50, || invalid("tags", "A resource can have at most 50 tags."))?;
    for (key, value) in tags {
        let fits = (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256;
        require(fits && !key.to_ascii_lowercase().starts_with("aws:"), || {
            invalid("tags", format!("The tag {key} is not valid."))
        })?;
    }
    Ok(())
}

/// The cluster exists. What is no ARN at all is denied before it is looked up.
pub(crate) fn cluster_found<'a>(
    state: &'a State,
    arn: &str,
    now: Millis,
) -> Result<&'a Cluster, AwsError> {
    require(arn.starts_with("arn:"), || {
        AwsError::new("AccessDeniedException", "The resource is not an ARN.").status(403)
    })?;
    state
        .clusters
        .get(arn)
        .filter(|c| c.exists(now))
        .ok_or_else(|| missing("The requested cluster does not exist."))
}
