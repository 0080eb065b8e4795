//! Each rule of `RULES` refuses what it says; a test carries its rule's name.

use serde_json::{Value, json};

use super::{Account, LOG_GROUP, MINUTE, account};
use crate::services::ec2::{self, SubnetView};
use crate::services::kafka::rules::{self, RULES};
use crate::services::kafka::state::Schemes;
use crate::services::kafka::versions;

const BAD: &str = "BadRequestException";

#[test]
fn every_rule_has_a_source_a_function_and_a_test() {
    let tests = include_str!("rules.rs");
    let code = [
        include_str!("../rules.rs"),
        include_str!("../rules/create.rs"),
        include_str!("../rules/update.rs"),
        include_str!("../rules/content.rs"),
    ]
    .concat();
    for (rule, source) in RULES {
        assert!(!source.is_empty(), "{rule}");
        let defined =
            ["(", "<"].iter().any(|end| code.contains(&format!("pub(crate) fn {rule}{end}")));
        assert!(defined, "{rule} has no function");
        assert!(tests.contains(&format!("\nfn {rule}()")), "{rule} has no test");
    }
}

/// A create call with one member changed.
fn changed(a: &Account, pointer: &str, value: Value) -> Value {
    let mut input = a.cluster("main");
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    input.pointer_mut(parent).unwrap()[member] = value;
    input
}

#[track_caller]
fn create_says(pointer: &str, value: Value, text: &str) {
    let mut a = account();
    let input = changed(&a, pointer, value);
    a.says("CreateCluster", &input, BAD, text);
}

/// The second of two like updates, or the only one, is refused.
#[track_caller]
fn update_says(operation: &str, input: Value, text: &str) {
    let mut a = account();
    let arn = a.active();
    let input = a.versioned(&arn, input);
    a.says(operation, &input, BAD, text);
}

#[test]
fn name_unique() {
    let mut a = account();
    let input = a.cluster("main");
    let arn = a.create(&input);
    let error = a.refused("CreateCluster", &input);
    assert_eq!(error.status, Some(409));
    assert_eq!(error.extra["invalidParameter"], "clusterName");
    a.ok("DeleteCluster", &json!({ "ClusterArn": arn }));
    a.says("CreateCluster", &input, "ConflictException", "already exists");
    a.configuration("main", "");
    let input = json!({ "Name": "main", "ServerProperties": "" });
    assert_eq!(a.refused("CreateConfiguration", &input).extra["invalidParameter"], "name");
}

#[test]
fn subnets_two_or_three() {
    let a = account();
    let one = json!(a.subnets[..1]);
    create_says("/BrokerNodeGroupInfo/ClientSubnets", one, "two or three");
    assert!(rules::subnets_two_or_three("us-west-1", 3).is_err());
}

#[test]
fn subnets_exist() {
    let ghosts = json!(["subnet-00ghost1", "subnet-00ghost2"]);
    create_says("/BrokerNodeGroupInfo/ClientSubnets", ghosts, "does not exist");
}

fn views(a: &Account) -> Vec<SubnetView> {
    a.subnets[..2].iter().map(|id| ec2::subnet(&a.world, id).unwrap()).collect()
}

#[test]
fn subnets_one_vpc() {
    let mut views = views(&account());
    assert!(rules::subnets_one_vpc(&views).is_ok());
    views[1].vpc_id = "vpc-other".into();
    assert!(rules::subnets_one_vpc(&views).is_err());
}

#[test]
fn subnets_one_per_zone() {
    let a = account();
    let twice = json!([a.subnets[0], a.subnets[0]]);
    create_says("/BrokerNodeGroupInfo/ClientSubnets", twice, "BrokerAZDistribution");
}

#[test]
fn zone_not_use1_az3() {
    let mut views = views(&account());
    assert!(rules::zone_not_use1_az3(&views).is_ok());
    views[1].az_id = "use1-az3".into();
    assert!(rules::zone_not_use1_az3(&views).is_err());
}

#[test]
fn groups_exist() {
    create_says("/BrokerNodeGroupInfo/SecurityGroups", json!(["sg-00ghost"]), "does not exist");
    let a = account();
    let elsewhere = [("sg-1".to_owned(), Some("vpc-other".to_owned()))];
    assert!(rules::groups_exist(&a.vpc, &elsewhere).is_err());
}

#[test]
fn broker_count_multiple() {
    create_says("/NumberOfBrokerNodes", json!(4), "multiple of the number of Availability Zones");
    update_says("UpdateBrokerCount", json!({ "TargetNumberOfBrokerNodes": 5 }), "multiple");
}

#[test]
fn broker_quota() {
    assert!(rules::broker_quota("3.8.x", 33, 0).is_err());
    assert!(rules::broker_quota("3.8.x.kraft", 60, 0).is_ok());
    assert!(rules::broker_quota("3.8.x.kraft", 60, 33).is_err());
}

#[test]
fn kafka_version_offered() {
    create_says("/KafkaVersion", json!("2.8.1"), "Unsupported KafkaVersion [2.8.1]");
    create_says("/KafkaVersion", json!("4.0.x"), "4.0.x.kraft");
    let mut a = account();
    let input = changed(&a, "/KafkaVersion", json!("3.6.0"));
    a.now = 1_780_272_000_000;
    a.says("CreateCluster", &input, BAD, "Unsupported");
}

#[test]
fn instance_type_offered() {
    let text = "Unsupported InstanceType specified. Valid values: [";
    create_says("/BrokerNodeGroupInfo/InstanceType", json!("kafka.c5.large"), text);
    let mut a = account();
    let mut input = changed(&a, "/BrokerNodeGroupInfo/InstanceType", json!("kafka.t3.small"));
    input["KafkaVersion"] = json!("3.9.x.kraft");
    a.says("CreateCluster", &input, BAD, text);
    input["KafkaVersion"] = json!("3.9.x");
    a.ok("CreateCluster", &input);
}

#[test]
fn express_rules() {
    create_says("/BrokerNodeGroupInfo/InstanceType", json!("express.m7g.large"), "no EBS storage");
    let mut a = account();
    let mut input = changed(&a, "/BrokerNodeGroupInfo/StorageInfo", Value::Null);
    input["BrokerNodeGroupInfo"]["InstanceType"] = json!("express.m7g.large");
    let arn = a.create(&input);
    assert_eq!(a.describe(&arn)["Rebalancing"]["Status"], "ACTIVE");
    let input = a.versioned(&arn, json!({ "VolumeSizeGB": 200 }));
    a.says("UpdateStorage", &input, BAD, "no EBS storage");
    let refused = |version, subnets, logging: Option<&Value>| {
        rules::express_rules("express.m7g.large", version, subnets, false, logging).is_err()
    };
    let logging = json!({ "BrokerLogs": { "S3": { "Enabled": true } } });
    assert!(refused("3.9.x", 3, None));
    assert!(refused("3.8.x", 2, None));
    assert!(refused("3.8.x", 3, Some(&logging)));
    assert!(!refused("3.8.x", 3, None));
}

const IAM: Schemes = Schemes { unauthenticated: false, tls: false, scram: false, iam: true };

#[test]
fn auth_needs_encryption() {
    let mut a = account();
    let mut input = a.cluster("main");
    input["ClientAuthentication"] = json!({ "Sasl": { "Iam": { "Enabled": true } } });
    input["EncryptionInfo"] = json!({ "EncryptionInTransit": { "ClientBroker": "PLAINTEXT" } });
    a.says("CreateCluster", &input, BAD, "client authentication");
}

#[test]
fn auth_needs_in_cluster() {
    assert!(rules::auth_needs_in_cluster(IAM, false).is_err());
    let open = Schemes::of(&Value::Null);
    assert!(open.unauthenticated && rules::auth_needs_in_cluster(open, false).is_ok());
}

#[test]
fn sasl_with_plaintext_needs_unauthenticated() {
    let check = rules::sasl_with_plaintext_needs_unauthenticated;
    assert!(check(IAM, "TLS_PLAINTEXT").is_err());
    assert!(check(IAM, "TLS").is_ok());
    assert!(check(Schemes { unauthenticated: true, ..IAM }, "TLS_PLAINTEXT").is_ok());
}

#[test]
fn no_public_access_at_create() {
    let asked = json!({ "PublicAccess": { "Type": "SERVICE_PROVIDED_EIPS" } });
    create_says("/BrokerNodeGroupInfo/ConnectivityInfo", asked, "public access");
}

#[test]
fn no_vpc_connectivity_at_create() {
    let asked =
        json!({ "VpcConnectivity": { "ClientAuthentication": { "Tls": { "Enabled": true } } } });
    create_says("/BrokerNodeGroupInfo/ConnectivityInfo", asked, "VPC connectivity");
}

#[test]
fn t3_small_no_tiered() {
    let mut a = account();
    let mut input = changed(&a, "/BrokerNodeGroupInfo/InstanceType", json!("kafka.t3.small"));
    input["StorageMode"] = json!("TIERED");
    a.says("CreateCluster", &input, BAD, "Tiered storage");
}

#[test]
fn t3_small_no_multi_vpc() {
    let asked =
        json!({ "VpcConnectivity": { "ClientAuthentication": { "Tls": { "Enabled": true } } } });
    assert!(rules::t3_small_no_multi_vpc("kafka.t3.small", &asked).is_err());
    assert!(rules::t3_small_no_multi_vpc("kafka.m5.large", &asked).is_ok());
}

#[test]
fn throughput_limits() {
    let rate = |rate: i64| json!({ "Enabled": true, "VolumeThroughput": rate });
    let check = |kind, value: &Value| rules::throughput_limits(kind, Some(100), Some(value));
    assert!(check("kafka.m5.2xlarge", &rate(250)).is_err());
    assert!(check("kafka.m5.4xlarge", &rate(250)).is_ok());
    assert!(check("kafka.m7g.2xlarge", &rate(250)).is_ok());
    assert!(check("kafka.m5.4xlarge", &rate(2376)).is_err());
}

#[test]
fn log_group_exists() {
    let logging = |group| json!({ "BrokerLogs": { "CloudWatchLogs": { "Enabled": true, "LogGroup": group } } });
    create_says("/LoggingInfo", logging("ghost"), "log group ghost does not exist");
    update_says("UpdateMonitoring", json!({ "LoggingInfo": logging("ghost") }), "ghost");
    let mut a = account();
    let input = changed(&a, "/LoggingInfo", logging(LOG_GROUP));
    let arn = a.create(&input);
    let shown = a.describe(&arn)["LoggingInfo"].take();
    assert_eq!(shown["BrokerLogs"]["S3"]["Enabled"], false);
}

#[test]
fn tags_valid() {
    create_says("/Tags", json!({ "aws:x": "1" }), "aws:x");
    let many: serde_json::Map<String, Value> =
        (0..51).map(|i| (format!("k{i}"), json!("v"))).collect();
    create_says("/Tags", Value::Object(many), "50 tags");
}

#[test]
fn cluster_found() {
    let mut a = account();
    let ghost = "arn:aws:kafka:us-east-1:111111111111:cluster/ghost/uuid-1";
    a.says("DescribeCluster", &json!({ "ClusterArn": ghost }), "NotFoundException", "");
    assert_eq!(a.refused("DescribeCluster", &json!({ "ClusterArn": "main" })).status, Some(403));
}

#[test]
fn active_for_update() {
    let mut a = account();
    let arn = a.active();
    let input = a.versioned(&arn, json!({ "TargetNumberOfBrokerNodes": 6 }));
    a.ok("UpdateBrokerCount", &input);
    a.says("UpdateBrokerCount", &input, BAD, "UPDATING state");
    let reboot = json!({ "ClusterArn": arn, "BrokerIds": ["1"] });
    a.says("RebootBroker", &reboot, BAD, "UPDATING state");
}

#[test]
fn version_current() {
    let mut a = account();
    let arn = a.active();
    let stale = a.versioned(&arn, json!({ "EnhancedMonitoring": "PER_BROKER" }));
    a.ok("UpdateMonitoring", &stale);
    a.now += 5 * MINUTE;
    a.says("UpdateMonitoring", &stale, BAD, "version of the cluster isn't current");
    a.says("DeleteCluster", &stale, BAD, "version");
}

#[test]
fn deletable() {
    let mut a = account();
    let input = a.cluster("main");
    let arn = a.ok("CreateCluster", &input)["ClusterArn"].clone();
    a.says("DeleteCluster", &json!({ "ClusterArn": arn }), BAD, "CREATING state");
    a.now += 18 * MINUTE;
    a.ok("DeleteCluster", &json!({ "ClusterArn": arn }));
    a.says("DeleteCluster", &json!({ "ClusterArn": arn }), BAD, "DELETING state");
}

#[test]
fn bootstrap_ready() {
    let mut a = account();
    let arn = a.active();
    a.ok("DeleteCluster", &json!({ "ClusterArn": arn }));
    let text = "You can't get bootstrap broker nodes for a cluster in DELETING state.";
    a.says("GetBootstrapBrokers", &json!({ "ClusterArn": arn }), BAD, text);
}

#[test]
fn count_changes() {
    update_says("UpdateBrokerCount", json!({ "TargetNumberOfBrokerNodes": 3 }), "differ");
}

#[test]
fn broker_removal() {
    let mut a = account();
    let mut input = a.cluster("main");
    input["NumberOfBrokerNodes"] = json!(6);
    let arn = a.create(&input);
    let topic = json!({
        "ClusterArn": arn, "TopicName": "t", "PartitionCount": 6, "ReplicationFactor": 1,
    });
    a.ok("CreateTopic", &topic);
    let input = a.versioned(&arn, json!({ "TargetNumberOfBrokerNodes": 3 }));
    a.says("UpdateBrokerCount", &input, BAD, "without partitions");
    assert!(rules::broker_removal("kafka.t3.small", "3.8.x", true).is_err());
}

#[test]
fn type_changes() {
    update_says("UpdateBrokerType", json!({ "TargetInstanceType": "kafka.m5.large" }), "already");
    update_says(
        "UpdateBrokerType",
        json!({ "TargetInstanceType": "express.m7g.large" }),
        "Standard and Express",
    );
    let mut a = account();
    let arn = a.active();
    a.update(&arn, "UpdateBrokerType", json!({ "TargetInstanceType": "kafka.m7g.xlarge" }));
    a.now += 36 * MINUTE;
    assert_eq!(a.describe(&arn)["BrokerNodeGroupInfo"]["InstanceType"], "kafka.m7g.xlarge");
}

#[test]
fn partitions_per_broker() {
    let mut a = account();
    let arn = a.active();
    let topic = json!({
        "ClusterArn": arn, "TopicName": "t", "PartitionCount": 301, "ReplicationFactor": 3,
    });
    a.ok("CreateTopic", &topic);
    let input = a.versioned(&arn, json!({ "TargetInstanceType": "kafka.t3.small" }));
    a.says("UpdateBrokerType", &input, BAD, "limit of 300");
}

#[test]
fn storage_changes() {
    let target = json!({ "VolumeSizeGB": 100, "KafkaBrokerNodeId": "All" });
    update_says(
        "UpdateBrokerStorage",
        json!({ "TargetBrokerEBSVolumeInfo": [target] }),
        "does not include any updates to the EBS volumes",
    );
}

#[test]
fn storage_only_grows() {
    update_says("UpdateStorage", json!({ "VolumeSizeGB": 50 }), "only be increased");
}

#[test]
fn storage_all_brokers() {
    let one = json!({ "VolumeSizeGB": 200, "KafkaBrokerNodeId": "1" });
    update_says("UpdateBrokerStorage", json!({ "TargetBrokerEBSVolumeInfo": [one] }), "All");
}

#[test]
fn storage_not_optimizing() {
    let mut a = account();
    let arn = a.active();
    let target = json!({ "VolumeSizeGB": 200, "KafkaBrokerNodeId": "ALL" });
    a.update(&arn, "UpdateBrokerStorage", json!({ "TargetBrokerEBSVolumeInfo": [target] }));
    a.now += 3 * MINUTE;
    let ebs = "/BrokerNodeGroupInfo/StorageInfo/EbsStorageInfo/VolumeSize";
    assert_eq!(a.describe(&arn).pointer(ebs), Some(&json!(200)));
    let input = a.versioned(&arn, json!({ "VolumeSizeGB": 300 }));
    a.says("UpdateStorage", &input, BAD, "optimizing");
    a.now += 360 * MINUTE;
    a.ok("UpdateStorage", &input);
}

#[test]
fn tiered_stays() {
    assert!(rules::tiered_stays("TIERED", Some("LOCAL")).is_err());
    assert!(rules::tiered_stays("LOCAL", Some("TIERED")).is_ok());
}

#[test]
fn one_attribute_a_request() {
    update_says(
        "UpdateStorage",
        json!({ "VolumeSizeGB": 200, "StorageMode": "TIERED" }),
        "multiple attributes",
    );
}

#[test]
fn upgrade_only() {
    for target in ["3.7.x", "3.9.x.kraft", "3.8.x"] {
        update_says("UpdateClusterKafkaVersion", json!({ "TargetKafkaVersion": target }), target);
    }
    let mut a = account();
    let arn = a.active();
    let configuration = a.configuration("main", "num.partitions=3");
    let wanted = json!({
        "TargetKafkaVersion": "3.9.x",
        "ConfigurationInfo": { "Arn": configuration, "Revision": 1 },
    });
    a.update(&arn, "UpdateClusterKafkaVersion", wanted);
    a.now += 15 * MINUTE;
    let software = a.describe(&arn)["CurrentBrokerSoftwareInfo"].take();
    assert_eq!(software["KafkaVersion"], "3.9.x");
    assert_eq!(software["ConfigurationArn"], json!(configuration));
}

#[test]
fn security_not_at_rest() {
    let at_rest = json!({ "EncryptionAtRest": { "DataVolumeKMSKeyId": "k" } });
    update_says("UpdateSecurity", json!({ "EncryptionInfo": at_rest }), "encryption-at-rest");
}

#[test]
fn security_not_in_cluster() {
    let info = json!({ "EncryptionInTransit": { "InCluster": true, "ClientBroker": "TLS" } });
    update_says("UpdateSecurity", json!({ "EncryptionInfo": info }), "inter-broker");
}

#[test]
fn security_changes() {
    let same = json!({ "ClientAuthentication": { "Unauthenticated": { "Enabled": true } } });
    update_says("UpdateSecurity", same, "any updates to the security setting");
}

#[test]
fn public_access_allowed() {
    let asked =
        json!({ "ConnectivityInfo": { "PublicAccess": { "Type": "SERVICE_PROVIDED_EIPS" } } });
    update_says("UpdateConnectivity", asked, "unauthenticated access to be off");
    let good = rules::PublicAccess {
        version: "3.8.x",
        subnets_public: true,
        schemes: IAM,
        client_broker: "TLS",
        in_cluster: true,
        acls_required: false,
    };
    assert!(rules::public_access_allowed(&good).is_ok());
    let scram = Schemes { scram: true, ..IAM };
    assert!(rules::public_access_allowed(&rules::PublicAccess { schemes: scram, ..good }).is_err());
}

#[test]
fn vpc_connectivity_allowed() {
    let wanted = json!({ "ConnectivityInfo": { "VpcConnectivity": {
        "ClientAuthentication": { "Sasl": { "Iam": { "Enabled": true } } },
    } } });
    update_says("UpdateConnectivity", wanted.clone(), "authentication scheme");
    assert!(rules::vpc_connectivity_allowed("2.7.0", IAM, &wanted["ConnectivityInfo"]).is_err());
    assert!(rules::vpc_connectivity_allowed("3.8.x", IAM, &wanted["ConnectivityInfo"]).is_ok());
}

#[test]
fn one_broker_a_reboot() {
    let mut a = account();
    let arn = a.active();
    for ids in [json!(["1", "2"]), json!(["9"])] {
        let input = json!({ "ClusterArn": arn, "BrokerIds": ids });
        a.says("RebootBroker", &input, BAD, "one broker");
    }
}

const GHOST: &str = "arn:aws:kafka:us-east-1:111111111111:configuration/ghost/uuid-1";

#[test]
fn configuration_exists() {
    let text = "Configuration ARN does not exist";
    let mut a = account();
    a.says("DescribeConfiguration", &json!({ "Arn": GHOST }), BAD, text);
    create_says("/ConfigurationInfo", json!({ "Arn": GHOST, "Revision": 1 }), text);
    let info = json!({ "ConfigurationInfo": { "Arn": GHOST, "Revision": 1 } });
    update_says("UpdateClusterConfiguration", info, text);
}

#[test]
fn configuration_revision_exists() {
    let mut a = account();
    let arn = a.configuration("main", "");
    let input = changed(&a, "/ConfigurationInfo", json!({ "Arn": arn, "Revision": 2 }));
    a.says("CreateCluster", &input, BAD, "revision");
    a.says("DescribeConfigurationRevision", &json!({ "Arn": arn, "Revision": 0 }), BAD, "revision");
}

#[test]
fn configuration_name() {
    for name in ["-a", "a_b", "a.b"] {
        let input = json!({ "Name": name, "ServerProperties": "" });
        account().says("CreateConfiguration", &input, BAD, "name");
    }
}

#[track_caller]
fn properties_say(properties: &str, text: &str) {
    let input = json!({ "Name": "main", "ServerProperties": versions::encode(properties) });
    account().says("CreateConfiguration", &input, BAD, text);
}

#[test]
fn configuration_properties() {
    properties_say("# why\nlog.dirs = /tmp\n", "Key 'log.dirs' is not supported");
    let good =
        "auto.create.topics.enable = true\nlog.retention.hours: 24\nreplica.fetch.max.bytes 1\n";
    account().configuration("main", good);
}

#[test]
fn configuration_ranges() {
    properties_say("replica.lag.time.max.ms=9999", "between 10000 and 30000");
    properties_say("zookeeper.session.timeout.ms=x", "between 6000 and 18000");
    account().configuration("main", "replica.lag.time.max.ms=10000");
}

#[test]
fn configuration_not_in_use() {
    let mut a = account();
    let (first, second) = (a.configuration("one", ""), a.configuration("two", ""));
    let input = changed(&a, "/ConfigurationInfo", json!({ "Arn": first, "Revision": 1 }));
    let arn = a.create(&input);
    a.says("DeleteConfiguration", &json!({ "Arn": first }), BAD, "in use by one or more clusters");
    let wanted = json!({ "ConfigurationInfo": { "Arn": second, "Revision": 1 } });
    a.update(&arn, "UpdateClusterConfiguration", wanted);
    a.says("DeleteConfiguration", &json!({ "Arn": second }), BAD, "in use");
    a.says("DeleteConfiguration", &json!({ "Arn": first }), BAD, "in use");
    a.now += 15 * MINUTE;
    a.ok("DeleteConfiguration", &json!({ "Arn": first }));
}

#[test]
fn configuration_quotas() {
    let mut a = account();
    let arn = a.configuration("main", "");
    let update = json!({ "Arn": arn, "ServerProperties": "" });
    for _ in 0..49 {
        a.ok("UpdateConfiguration", &update);
    }
    a.says("UpdateConfiguration", &update, BAD, "limit");
    assert!(rules::configuration_quotas(101, 1).is_err());
}

fn topic(arn: &str, name: &str, partitions: u64, replication: u64) -> Value {
    json!({
        "ClusterArn": arn,
        "TopicName": name,
        "PartitionCount": partitions,
        "ReplicationFactor": replication,
    })
}

#[test]
fn topics_supported() {
    let mut a = account();
    let input = a.cluster("main");
    let arn = a.ok("CreateCluster", &input)["ClusterArn"].as_str().unwrap().to_owned();
    a.says("CreateTopic", &topic(&arn, "t", 1, 1), BAD, "CREATING");
    assert!(rules::topics_supported("ACTIVE", "3.5.1").is_err());
    assert!(rules::topics_supported("ACTIVE", "3.6.0").is_ok());
}

#[test]
fn topic_name() {
    let mut a = account();
    let arn = a.active();
    for name in ["a b", ".", &"x".repeat(250)] {
        a.says("CreateTopic", &topic(&arn, name, 1, 1), "KafkaRequestException", "invalid");
    }
}

#[test]
fn topic_new() {
    let mut a = account();
    let arn = a.active();
    a.ok("CreateTopic", &topic(&arn, "t", 1, 1));
    let error = a.refused("CreateTopic", &topic(&arn, "t", 1, 1));
    assert_eq!((error.code.as_str(), error.status), ("TopicExistsException", Some(409)));
}

#[test]
fn replication_at_most_brokers() {
    let mut a = account();
    let arn = a.active();
    let text = "Replication factor: 4 larger than available brokers: 3.";
    a.says("CreateTopic", &topic(&arn, "t", 1, 4), "KafkaRequestException", text);
    let kraft = rules::replication_at_most_brokers(4, 3, "3.9.x.kraft").unwrap_err();
    assert!(kraft.message.contains("only 3 broker(s) are registered"));
}

#[test]
fn topic_configs() {
    let mut a = account();
    let arn = a.active();
    let mut input = topic(&arn, "t", 1, 1);
    for configs in ["%", &versions::encode("[]"), &versions::encode(r#"{"retention.ms":{}}"#)] {
        input["Configs"] = json!(configs);
        a.says("CreateTopic", &input, BAD, "Base64");
    }
    input["Configs"] = json!(versions::encode(r#"{"nonsense":"1"}"#));
    let text = "Unknown topic config name: nonsense";
    a.says("CreateTopic", &input, "KafkaRequestException", text);
}

#[test]
fn configs_xor_partitions() {
    let mut a = account();
    let arn = a.active();
    a.ok("CreateTopic", &topic(&arn, "t", 1, 1));
    let mut input = json!({ "ClusterArn": arn, "TopicName": "t" });
    a.says("UpdateTopic", &input, BAD, "either");
    input["PartitionCount"] = json!(2);
    input["Configs"] = json!(versions::encode("{}"));
    a.says("UpdateTopic", &input, BAD, "either");
}

#[test]
fn partitions_only_grow() {
    let mut a = account();
    let arn = a.active();
    a.ok("CreateTopic", &topic(&arn, "t", 3, 1));
    for count in [1, 3] {
        let input = json!({ "ClusterArn": arn, "TopicName": "t", "PartitionCount": count });
        a.says("UpdateTopic", &input, "KafkaRequestException", "3 partition(s)");
    }
}
