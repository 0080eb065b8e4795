//! What happens to clusters, configurations and topics over time.

use serde_json::{Value, json};

use super::{Account, MINUTE, account};
use crate::services::kafka::{
    SERVICE, by_arn, by_bootstrap, clusters, interfaces, state, topic_exists, versions, views,
};

#[test]
fn a_cluster_is_created_reached_and_deleted() {
    let mut a = account();
    let input = a.cluster("Main-Orders");
    let reply = a.ok("CreateCluster", &input);
    assert_eq!(reply["State"], "CREATING");
    let arn = reply["ClusterArn"].as_str().unwrap().to_owned();
    assert!(arn.starts_with("arn:aws:kafka:us-east-1:111111111111:cluster/Main-Orders/"));
    assert_eq!(interfaces(&a.world, a.now).len(), 3);
    a.says(
        "GetBootstrapBrokers",
        &json!({ "ClusterArn": arn }),
        "BadRequestException",
        "in CREATING state",
    );
    assert!(a.describe(&arn).get("ZookeeperConnectString").is_none());
    a.now += 18 * MINUTE;
    let shown = a.describe(&arn);
    assert_eq!(shown["State"], "ACTIVE");
    assert_eq!(shown["Tags"]["pipeline"], "orders");
    assert_eq!(shown["EncryptionInfo"]["EncryptionInTransit"]["ClientBroker"], "TLS_PLAINTEXT");
    assert!(shown["ZookeeperConnectString"].as_str().unwrap().contains(":2181,z-2."));
    assert!(shown.get("ConfigurationInfo").is_none());
    let strings = a.ok("GetBootstrapBrokers", &json!({ "ClusterArn": arn }));
    let first = strings["BootstrapBrokerString"].as_str().unwrap().split(',').next().unwrap();
    assert!(first.contains(".mainorders.") && first.ends_with(".amazonaws.com:9092"), "{first}");
    assert_eq!(by_bootstrap(&a.world, a.now, first).unwrap().arn, arn);
    let reply = a.ok("DeleteCluster", &json!({ "ClusterArn": arn }));
    assert_eq!(reply["State"], "DELETING");
    assert_eq!(by_arn(&a.world, a.now, &arn).unwrap().state, "DELETING");
    a.now += 8 * MINUTE;
    assert!(by_arn(&a.world, a.now, &arn).is_none());
    assert_eq!(a.refused("DescribeCluster", &json!({ "ClusterArn": arn })).status, Some(404));
    assert_eq!(interfaces(&a.world, a.now).len(), 3, "they linger");
    a.now += 3 * MINUTE;
    assert!(interfaces(&a.world, a.now).is_empty());
    let again = a.create(&input);
    assert_ne!(again, arn, "a name is free again, an ARN never");
}

#[test]
fn an_update_shows_its_target_and_a_new_version_only_when_it_has_completed() {
    let mut a = account();
    let arn = a.active();
    let before = a.describe(&arn);
    let op = a.update(&arn, "UpdateMonitoring", json!({ "EnhancedMonitoring": "PER_BROKER" }));
    assert_eq!(a.operation(&op)["OperationState"], "PENDING");
    a.now += MINUTE;
    let shown = a.operation(&op);
    assert_eq!(shown["OperationState"], "UPDATE_IN_PROGRESS");
    assert_eq!(shown["OperationSteps"][0]["StepInfo"]["StepStatus"], "COMPLETED");
    assert_eq!(shown["OperationSteps"][1]["StepInfo"]["StepStatus"], "IN_PROGRESS");
    assert_eq!(shown["OperationSteps"][2]["StepInfo"]["StepStatus"], "PENDING");
    let during = a.describe(&arn);
    assert_eq!(during["State"], "UPDATING");
    assert_eq!(during["ActiveOperationArn"], json!(op));
    assert_eq!(during["EnhancedMonitoring"], "DEFAULT");
    assert_eq!(during["CurrentVersion"], before["CurrentVersion"]);
    a.now += 4 * MINUTE;
    let after = a.describe(&arn);
    assert_eq!(after["State"], "ACTIVE");
    assert_eq!(after["EnhancedMonitoring"], "PER_BROKER");
    assert_ne!(after["CurrentVersion"], before["CurrentVersion"]);
    let shown = a.operation(&op);
    assert_eq!(shown["OperationState"], "UPDATE_COMPLETE");
    assert_eq!(shown["TargetClusterInfo"]["EnhancedMonitoring"], "PER_BROKER");
    assert_eq!(shown["OperationSteps"][2]["StepInfo"]["StepStatus"], "COMPLETED");
    let v2 = a.ok("DescribeClusterOperationV2", &json!({ "ClusterOperationArn": op }));
    assert_eq!(v2["ClusterOperationInfo"]["StartTime"], shown["CreationTime"]);
    let list = a.ok("ListClusterOperationsV2", &json!({ "ClusterArn": arn }));
    assert!(list["ClusterOperationInfoList"][0].get("Provisioned").is_none());
}

#[test]
fn a_failed_update_leaves_everything_as_it_was() {
    let mut a = account();
    let arn = a.active();
    let before = a.describe(&arn);
    let op = a.update(&arn, "UpdateMonitoring", json!({ "EnhancedMonitoring": "PER_BROKER" }));
    let cluster = a.world.state.kafka.clusters.get_mut(&arn).unwrap();
    let told = Some(("UpdateFailed".into(), "rolled back".into()));
    cluster.operations[0].failure = Some(state::Failure { told });
    a.now += 5 * MINUTE;
    assert_eq!(a.describe(&arn), before);
    let shown = a.operation(&op);
    assert_eq!(shown["OperationState"], "UPDATE_FAILED");
    assert_eq!(shown["ErrorInfo"]["ErrorString"], "rolled back");
    assert_eq!(shown["OperationSteps"][1]["StepInfo"]["StepStatus"], "FAILED");
}

#[test]
fn a_failed_cluster_keeps_its_name_and_can_only_be_deleted() {
    let mut a = account();
    let input = a.cluster("main");
    let arn = a.ok("CreateCluster", &input)["ClusterArn"].as_str().unwrap().to_owned();
    a.world.state.kafka.clusters.get_mut(&arn).unwrap().create_failure =
        Some(state::Failure { told: None });
    assert_eq!(a.describe(&arn)["State"], "CREATING");
    a.now += 18 * MINUTE;
    let shown = a.describe(&arn);
    assert_eq!(shown["State"], "FAILED");
    assert!(shown.get("StateInfo").is_none(), "AWS sometimes says nothing");
    a.says("CreateCluster", &input, "ConflictException", "already exists");
    let update = a.versioned(&arn, json!({ "TargetNumberOfBrokerNodes": 6 }));
    a.says("UpdateBrokerCount", &update, "BadRequestException", "FAILED state");
    a.ok("DeleteCluster", &json!({ "ClusterArn": arn }));
}

#[test]
fn the_dial_for_failing_creations_is_true_a_name_or_silent() {
    let fails = |how: Value| clusters::create_failure(&how, "main").map(|f| f.told.is_some());
    assert_eq!(fails(json!(true)), Some(true));
    assert_eq!(fails(json!("main")), Some(true));
    assert_eq!(fails(json!("silent")), Some(false));
    assert_eq!(fails(json!("other")), None);
    assert_eq!(fails(json!(false)), None);
}

#[test]
fn brokers_come_and_go_when_the_operation_completes() {
    let mut a = account();
    let arn = a.active();
    let nodes = |a: &mut Account| {
        a.ok("ListNodes", &json!({ "ClusterArn": arn }))["NodeInfoList"].as_array().unwrap().len()
    };
    a.update(&arn, "UpdateBrokerCount", json!({ "TargetNumberOfBrokerNodes": 6 }));
    assert_eq!(nodes(&mut a), 3);
    a.now += 15 * MINUTE;
    assert_eq!(nodes(&mut a), 6);
    assert_eq!(a.describe(&arn)["NumberOfBrokerNodes"], 6);
    let op = a.update(&arn, "UpdateBrokerCount", json!({ "TargetNumberOfBrokerNodes": 3 }));
    a.now += 15 * MINUTE;
    assert_eq!(nodes(&mut a), 3);
    let shown = a.operation(&op);
    assert_eq!(shown["OperationType"], "DECREASE_BROKER_COUNT");
    let gone = &shown["TargetClusterInfo"]["BrokerCountUpdateInfo"]["DeletedBrokerIds"];
    assert_eq!(*gone, json!([4.0, 5.0, 6.0]));
}

#[test]
fn a_reboot_has_its_own_state_and_leaves_the_version() {
    let mut a = account();
    let arn = a.active();
    let before = a.describe(&arn);
    let input = json!({ "ClusterArn": arn, "BrokerIds": ["2"] });
    let op = a.ok("RebootBroker", &input)["ClusterOperationArn"].as_str().unwrap().to_owned();
    a.now += MINUTE;
    assert_eq!(a.describe(&arn)["State"], "REBOOTING_BROKER");
    assert_eq!(a.operation(&op)["OperationState"], "REBOOT_IN_PROGRESS");
    a.ok("GetBootstrapBrokers", &json!({ "ClusterArn": arn }));
    a.now += 4 * MINUTE;
    assert_eq!(a.describe(&arn), before);
}

#[test]
fn bootstrap_strings_name_at_most_three_brokers_and_reading_changes_nothing() {
    let mut a = account();
    let mut input = a.cluster("main");
    input["NumberOfBrokerNodes"] = json!(9);
    let arn = a.create(&input);
    let stored = serde_json::to_string(&a.world).unwrap();
    let read = |a: &mut Account| {
        let strings = a.ok("GetBootstrapBrokers", &json!({ "ClusterArn": arn }));
        strings["BootstrapBrokerStringTls"].as_str().unwrap().to_owned()
    };
    let first = read(&mut a);
    assert_eq!(first.split(',').count(), 3);
    assert_eq!(read(&mut a), first, "the same moment, the same answer");
    assert_eq!(serde_json::to_string(&a.world).unwrap(), stored);
    let all: std::collections::BTreeSet<String> = (0..40)
        .map(|_| {
            a.now += 1;
            read(&mut a)
        })
        .collect();
    assert!(all.len() > 5);
}

#[test]
fn three_brokers_are_not_in_order_either() {
    let picks: std::collections::BTreeSet<Vec<u32>> =
        (0..50).map(|now| state::pick_three(&account().world, "arn", now, vec![1, 2, 3])).collect();
    assert_eq!(picks.len(), 6);
}

#[test]
fn each_listener_that_is_on_has_its_string() {
    let mut a = account();
    let mut input = a.cluster("main");
    input["ClientAuthentication"] = json!({
        "Sasl": { "Iam": { "Enabled": true } },
        "Unauthenticated": { "Enabled": true },
    });
    let arn = a.create(&input);
    let strings = a.ok("GetBootstrapBrokers", &json!({ "ClusterArn": arn }));
    let names: Vec<&String> = strings.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["BootstrapBrokerString", "BootstrapBrokerStringSaslIam", "BootstrapBrokerStringTls"]
    );
    let view = by_arn(&a.world, a.now, &arn).unwrap();
    let ports: Vec<u16> = view.listeners.iter().map(|l| l.port).collect();
    assert_eq!(ports, [9092, 9094, 9098]);
    assert!(view.serves && !view.auto_create_topics && view.hosts.len() == 3);
    a.update(
        &arn,
        "UpdateSecurity",
        json!({
            "ClientAuthentication": { "Sasl": { "Iam": { "Enabled": true } } },
            "EncryptionInfo": { "EncryptionInTransit": { "ClientBroker": "TLS" } },
        }),
    );
    a.now += 12 * MINUTE;
    let strings = a.ok("GetBootstrapBrokers", &json!({ "ClusterArn": arn }));
    assert_eq!(
        strings.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["BootstrapBrokerStringSaslIam"]
    );
}

#[test]
fn a_label_is_cut_so_that_the_wildcard_name_has_at_most_64_characters() {
    let mut a = account();
    let input = a.cluster(&"a-Long-Name-".repeat(5));
    let arn = a.create(&input);
    let domain = a.world.state.kafka.clusters[&arn].domain(&a.world);
    assert_eq!(format!("*.{domain}").len(), 64, "{domain}");
    assert!(domain.starts_with("alongnamealongname"));
}

#[test]
fn both_versions_of_describe_and_list() {
    let mut a = account();
    let mut input = a.cluster("main");
    let provisioned = input.clone();
    input["Provisioned"] = provisioned;
    let reply = a.ok("CreateClusterV2", &input);
    assert_eq!(reply["ClusterType"], "PROVISIONED");
    let arn = reply["ClusterArn"].clone();
    let v2 = a.ok("DescribeClusterV2", &json!({ "ClusterArn": arn }));
    assert_eq!(v2["ClusterInfo"]["Provisioned"]["NumberOfBrokerNodes"], 3);
    assert_eq!(v2["ClusterInfo"]["ClusterName"], "main");
    let other = a.cluster("other");
    a.ok("CreateCluster", &other);
    let page = a.ok("ListClusters", &json!({ "MaxResults": 1 }));
    assert_eq!(page["ClusterInfoList"][0]["ClusterName"], "main");
    let next = json!({ "MaxResults": 1, "NextToken": page["NextToken"] });
    let page = a.ok("ListClustersV2", &next);
    assert_eq!(page["ClusterInfoList"][0]["ClusterName"], "other");
    assert!(page.get("NextToken").is_none());
    let filtered = a.ok("ListClusters", &json!({ "ClusterNameFilter": "oth" }));
    assert_eq!(filtered["ClusterInfoList"].as_array().unwrap().len(), 1);
    let serverless = json!({ "ClusterName": "s", "Serverless": { "VpcConfigs": [] } });
    assert_eq!(a.refused("CreateClusterV2", &serverless).status, Some(501));
}

#[test]
fn configurations_have_revisions_and_missing_ones_are_a_bad_request() {
    let mut a = account();
    let arn = a.configuration("main", "auto.create.topics.enable=true");
    let update = json!({
        "Arn": arn,
        "ServerProperties": versions::encode("num.partitions=3"),
        "Description": "more",
    });
    assert_eq!(a.ok("UpdateConfiguration", &update)["LatestRevision"]["Revision"], 2);
    let first = a.ok("DescribeConfigurationRevision", &json!({ "Arn": arn, "Revision": 1 }));
    assert_eq!(
        versions::decode(first["ServerProperties"].as_str().unwrap()).unwrap(),
        "auto.create.topics.enable=true"
    );
    let shown = a.ok("DescribeConfiguration", &json!({ "Arn": arn }));
    assert!(shown.get("ServerProperties").is_none());
    assert_eq!(shown["LatestRevision"]["Revision"], 2);
    let mut input = a.cluster("main");
    input["ConfigurationInfo"] = json!({ "Arn": arn, "Revision": 1 });
    let cluster = a.create(&input);
    assert!(by_arn(&a.world, a.now, &cluster).unwrap().auto_create_topics);
    let wanted = json!({ "ConfigurationInfo": { "Arn": arn, "Revision": 2 } });
    a.update(&cluster, "UpdateClusterConfiguration", wanted);
    a.now += 15 * MINUTE;
    let software = a.describe(&cluster)["CurrentBrokerSoftwareInfo"].take();
    assert_eq!(software["ConfigurationRevision"], 2);
    a.ok("DeleteCluster", &json!({ "ClusterArn": cluster }));
    a.now += 8 * MINUTE;
    assert_eq!(a.ok("DeleteConfiguration", &json!({ "Arn": arn }))["State"], "DELETING");
    a.now += MINUTE;
    let error = a.refused("DescribeConfiguration", &json!({ "Arn": arn }));
    assert_eq!((error.status, error.code.as_str()), (Some(400), "BadRequestException"));
}

#[test]
fn a_topic_lives() {
    let mut a = account();
    let arn = a.active();
    let topic = json!({ "ClusterArn": arn, "TopicName": "orders" });
    let with = |more: Value| {
        let mut out = topic.clone();
        out.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        out
    };
    let configs = versions::encode(r#"{"cleanup.policy":"compact"}"#);
    let create = with(json!({ "PartitionCount": 2, "ReplicationFactor": 3, "Configs": configs }));
    assert_eq!(a.ok("CreateTopic", &create)["Status"], "CREATING");
    assert!(!topic_exists(&a.world, a.now, &arn, "orders"));
    a.now += 5_000;
    assert!(topic_exists(&a.world, a.now, &arn, "orders"));
    let shown = a.ok("DescribeTopic", &topic);
    assert_eq!(shown["Status"], "ACTIVE");
    assert_eq!(shown["Configs"], json!(configs));
    a.ok("UpdateTopic", &with(json!({ "PartitionCount": 4 })));
    let page = a.ok("DescribeTopicPartitions", &with(json!({ "MaxResults": 3 })));
    assert_eq!(page["Partitions"][1]["Replicas"], json!([2, 3, 1]));
    assert!(page.get("NextToken").is_some());
    assert_eq!(a.ok("ListTopics", &json!({ "ClusterArn": arn }))["Topics"][0]["PartitionCount"], 4);
    assert_eq!(a.ok("DeleteTopic", &topic)["Status"], "DELETING");
    assert_eq!(a.ok("DescribeTopic", &topic)["Status"], "ACTIVE", "for a while");
    assert!(!topic_exists(&a.world, a.now, &arn, "orders"));
    a.now += 15_000;
    assert_eq!(a.ok("DescribeTopic", &topic)["Status"], "DELETING");
    a.now += 15_000;
    a.says("DescribeTopic", &topic, "NotFoundException", "");
    a.says("DeleteTopic", &topic, "UnknownTopicOrPartitionException", "");
    a.ok("CreateTopic", &create);
}

#[test]
fn tags_change_without_a_new_version() {
    let mut a = account();
    let arn = a.active();
    let before = a.describe(&arn)["CurrentVersion"].take();
    a.ok("TagResource", &json!({ "ResourceArn": arn, "Tags": { "a": "1", "b": "2" } }));
    a.ok("UntagResource", &json!({ "ResourceArn": arn, "TagKeys": ["b"] }));
    let tags = a.ok("ListTagsForResource", &json!({ "ResourceArn": arn }));
    assert_eq!(tags["Tags"], json!({ "a": "1", "pipeline": "orders" }));
    assert_eq!(a.describe(&arn)["CurrentVersion"], before);
}

#[test]
fn compatible_versions_go_upward_in_the_same_mode() {
    let mut a = account();
    let arn = a.active();
    let shown = a.ok("GetCompatibleKafkaVersions", &json!({ "ClusterArn": arn }));
    assert_eq!(
        shown["CompatibleKafkaVersions"],
        json!([{ "SourceVersion": "3.8.x", "TargetVersions": ["3.9.x"] }])
    );
    let targets = versions::targets("3.9.x.kraft", a.now);
    assert_eq!(targets, ["4.0.x.kraft", "4.1.x.kraft"]);
    let all = a.ok("ListKafkaVersions", &json!({}));
    let status = |v: &str| {
        let list = all["KafkaVersions"].as_array().unwrap();
        list.iter().find(|x| x["Version"] == v).map(|x| x["Status"].clone())
    };
    assert_eq!(status("2.8.1"), Some(json!("DEPRECATED")));
    assert_eq!(status("4.1.x.kraft"), Some(json!("ACTIVE")));
    assert_eq!(status("4.1.x"), None);
}

#[test]
fn private_connectivity_and_both_networks_have_strings_of_their_own() {
    let mut a = account();
    let mut input = a.cluster("main");
    input["ClientAuthentication"] = json!({ "Sasl": { "Iam": { "Enabled": true } } });
    let arn = a.create(&input);
    a.update(
        &arn,
        "UpdateConnectivity",
        json!({ "ConnectivityInfo": {
            "NetworkType": "DUAL",
            "PublicAccess": { "Type": "SERVICE_PROVIDED_EIPS" },
            "VpcConnectivity": { "ClientAuthentication": { "Sasl": { "Iam": { "Enabled": true } } } },
        } }),
    );
    a.now += 15 * MINUTE;
    let strings = a.ok("GetBootstrapBrokers", &json!({ "ClusterArn": arn }));
    for (member, needle) in [
        ("SaslIam", ":9098"),
        ("SaslIamIpv6", ":20098"),
        ("PublicSaslIam", "-public."),
        ("VpcConnectivitySaslIam", ".iam."),
    ] {
        let string = strings[format!("BootstrapBrokerString{member}")].as_str().unwrap();
        assert!(string.contains(needle), "{string}");
    }
}

#[test]
fn every_listed_operation_is_carried_out() {
    let mut a = account();
    for operation in SERVICE.operations {
        if let Err(error) = a.call(operation, &json!({})) {
            assert_ne!(error.status, Some(501), "{operation}");
        }
    }
    assert_eq!(a.refused("CreateReplicator", &json!({})).status, Some(501));
}

#[test]
fn inventory_names_what_exists() {
    let mut a = account();
    a.configuration("main", "");
    let arn = a.active();
    let topic = json!({
        "ClusterArn": arn, "TopicName": "t", "PartitionCount": 1, "ReplicationFactor": 1,
    });
    a.ok("CreateTopic", &topic);
    let kinds: Vec<String> =
        (SERVICE.inventory)(&a.world, a.now).into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(kinds, ["cluster", "topic", "configuration"]);
}

#[test]
fn a_moment_as_text() {
    assert_eq!(views::iso(1_767_225_600_000), "2026-01-01T00:00:00.000Z");
    assert_eq!(views::iso(1_709_209_825_123), "2024-02-29T12:30:25.123Z");
}
