//! What is refused, and what a refusal says.

use super::*;

/// The connector with one member changed.
fn with(parts: &Parts, pointer: &str, value: Value) -> Value {
    let mut input = parts.connector("orders");
    let (outer, member) = pointer.rsplit_once('/').expect("a pointer");
    input.pointer_mut(outer).expect("a member")[member] = value;
    input
}

const BAD: &str = "BadRequestException";
const MISSING: &str = "NotFoundException";
const CONFLICT: &str = "ConflictException";
const TOO_MANY: &str = "TooManyRequestsException";

#[test]
fn plugin_name_is_free() {
    let mut scene = Scene::new();
    let arn = scene.ok("CreateCustomPlugin", &plugin("p"))["customPluginArn"].clone();
    scene.refused_with(CONFLICT, "CreateCustomPlugin", &plugin("p"));
    scene.pass(60);
    scene.ok("DeleteCustomPlugin", &json!({ "customPluginArn": arn }));
    scene.refused_with(CONFLICT, "CreateCustomPlugin", &plugin("p"));
    scene.pass(11);
    scene.refused_with(MISSING, "DescribeCustomPlugin", &json!({ "customPluginArn": arn }));
    scene.ok("CreateCustomPlugin", &plugin("p"));
}

#[test]
fn plugin_bucket_arn() {
    let mut scene = Scene::new();
    let mut input = plugin("p");
    input["location"]["s3Location"]["bucketArn"] = "plugins".into();
    scene.refused_with(BAD, "CreateCustomPlugin", &input);
}

#[test]
fn plugin_quota() {
    let mut scene = Scene::new();
    (0..100).for_each(|n| drop(scene.ok("CreateCustomPlugin", &plugin(&format!("p{n}")))));
    scene.refused_with(TOO_MANY, "CreateCustomPlugin", &plugin("p"));
}

#[test]
fn plugin_can_be_deleted() {
    let mut scene = Scene::new();
    let arn = scene.ok("CreateCustomPlugin", &plugin("p"))["customPluginArn"].clone();
    scene.refused_with(BAD, "DeleteCustomPlugin", &json!({ "customPluginArn": arn }));
}

#[test]
fn plugin_is_unused() {
    let (mut scene, parts, arn) = Scene::running();
    let input = json!({ "customPluginArn": parts.plugin });
    assert!(scene.refused("DeleteCustomPlugin", &input).1.contains("orders"));
    scene.ok("DeleteConnector", &json!({ "connectorArn": arn }));
    scene.refused_with(BAD, "DeleteCustomPlugin", &input);
    scene.pass(181);
    scene.ok("DeleteCustomPlugin", &input);
}

#[test]
fn plugin_exists() {
    let (mut scene, parts) = Scene::ready();
    let other = format!("{}x", parts.plugin);
    let input = with(&parts, "/plugins/0/customPlugin/customPluginArn", other.into());
    scene.refused_with(MISSING, "CreateConnector", &input);
}

#[test]
fn plugin_is_active() {
    let (mut scene, parts) = Scene::ready();
    let young = scene.ok("CreateCustomPlugin", &plugin("young"))["customPluginArn"].clone();
    let input = with(&parts, "/plugins/0/customPlugin/customPluginArn", young);
    assert!(scene.refused("CreateConnector", &input).1.contains("CREATING"));
}

#[test]
fn exactly_one_plugin() {
    let (mut scene, parts) = Scene::ready();
    let one = parts.connector("orders")["plugins"][0].clone();
    for plugins in [json!([]), json!([one, one])] {
        scene.refused_with(BAD, "CreateConnector", &with(&parts, "/plugins", plugins));
    }
    scene.refused_with(
        BAD,
        "CreateConnector",
        &with(&parts, "/plugins/0/customPlugin/revision", 2.into()),
    );
}

#[test]
fn worker_configuration_name_is_free() {
    let mut scene = Scene::new();
    scene.ok("CreateWorkerConfiguration", &worker("w", WORKER));
    scene.refused_with(CONFLICT, "CreateWorkerConfiguration", &worker("w", WORKER));
}

#[test]
fn worker_configuration_is_base64() {
    let input = json!({ "name": "w", "propertiesFileContent": "key.converter=x" });
    Scene::new().refused_with(BAD, "CreateWorkerConfiguration", &input);
}

#[track_caller]
fn refuses_property(line: &str) {
    let input = worker("w", &format!("{WORKER}{line}=x\n"));
    let (code, message) = Scene::new().refused("CreateWorkerConfiguration", &input);
    assert_eq!((code.as_str(), message.contains(line)), (BAD, true), "{message}");
}

#[test]
fn worker_converters() {
    let mut scene = Scene::new();
    let input = worker("w", "key.converter=a\n#value.converter=b\n");
    assert!(scene.refused("CreateWorkerConfiguration", &input).1.contains("value.converter"));
}

#[test]
fn worker_keys() {
    ["rest.port", "ssl.truststore.location", "group.id", "plugin.path", "bootstrap.servers"]
        .into_iter()
        .for_each(refuses_property);
    let allowed = format!("{WORKER}offset.storage.topic: mine\nproducer.acks all\n");
    Scene::new().ok("CreateWorkerConfiguration", &worker("w", &allowed));
}

#[test]
fn worker_client_keys() {
    ["producer.bootstrap.servers", "consumer.group.id"].into_iter().for_each(refuses_property);
}

#[test]
fn worker_configuration_quota() {
    let mut scene = Scene::new();
    for n in 0..100 {
        scene.ok("CreateWorkerConfiguration", &worker(&format!("w{n}"), WORKER));
    }
    scene.refused_with(TOO_MANY, "CreateWorkerConfiguration", &worker("w", WORKER));
}

#[test]
fn worker_configuration_can_be_deleted() {
    let (mut scene, parts) = Scene::ready();
    let input = json!({ "workerConfigurationArn": parts.worker });
    assert_eq!(
        scene.ok("DeleteWorkerConfiguration", &input)["workerConfigurationState"],
        "DELETING"
    );
    scene.refused_with(BAD, "DeleteWorkerConfiguration", &input);
    scene.pass(6);
    scene.refused_with(MISSING, "DeleteWorkerConfiguration", &input);
}

#[test]
fn worker_configuration_is_unused() {
    let (mut scene, parts, _) = Scene::running();
    let input = json!({ "workerConfigurationArn": parts.worker });
    scene.refused_with(BAD, "DeleteWorkerConfiguration", &input);
}

#[test]
fn worker_configuration_exists() {
    let (mut scene, parts) = Scene::ready();
    let input = with(&parts, "/workerConfiguration/workerConfigurationArn", "arn:none".into());
    scene.refused_with(MISSING, "CreateConnector", &input);
}

#[test]
fn connector_name_is_free() {
    let (mut scene, parts, arn) = Scene::running();
    scene.refused_with(CONFLICT, "CreateConnector", &parts.connector("orders"));
    scene.ok("DeleteConnector", &json!({ "connectorArn": arn }));
    scene.refused_with(CONFLICT, "CreateConnector", &parts.connector("orders"));
    scene.pass(181);
    assert_ne!(scene.create(&parts.connector("orders")), arn);
}

#[track_caller]
fn refuses(pointer: &str, value: Value) -> String {
    let (mut scene, parts) = Scene::ready();
    let (code, message) = scene.refused("CreateConnector", &with(&parts, pointer, value));
    assert_eq!(code, BAD);
    message
}

#[test]
fn connect_version() {
    refuses("/kafkaConnectVersion", "3.7.1".into());
}

#[test]
fn one_capacity() {
    refuses("/capacity", json!({}));
    let auto = json!({ "mcuCount": 1, "minWorkerCount": 1, "maxWorkerCount": 2 });
    refuses("/capacity/autoScaling", auto);
}

#[test]
fn mcu_count() {
    refuses("/capacity/provisionedCapacity/mcuCount", 3.into());
}

#[test]
fn worker_counts() {
    refuses("/capacity/provisionedCapacity/workerCount", 11.into());
    refuses("/capacity/provisionedCapacity/workerCount", 0.into());
    let auto =
        json!({ "autoScaling": { "mcuCount": 1, "minWorkerCount": 3, "maxWorkerCount": 2 } });
    refuses("/capacity", auto);
}

#[test]
fn autoscaling_task_count() {
    let auto = json!({ "autoScaling": {
        "mcuCount": 1, "minWorkerCount": 1, "maxWorkerCount": 4, "maxAutoscalingTaskCount": 3,
    } });
    refuses("/capacity", auto);
}

#[test]
fn worker_quota() {
    let (mut scene, parts) = Scene::ready();
    let capacity =
        json!({ "autoScaling": { "mcuCount": 1, "minWorkerCount": 1, "maxWorkerCount": 10 } });
    let mut input = with(&parts, "/capacity", capacity);
    for n in 0..6 {
        input["connectorName"] = format!("c{n}").into();
        scene.create(&input);
    }
    scene.refused_with(TOO_MANY, "CreateConnector", &parts.connector("orders"));
}

#[test]
fn role_is_not_service_linked() {
    let arn = "arn:aws:iam::111111111111:role/aws-service-role/kafkaconnect.amazonaws.com/AWSServiceRoleForKafkaConnect";
    refuses("/serviceExecutionRoleArn", arn.into());
}

#[test]
fn role_exists() {
    let other = "arn:aws:iam::111111111111:role/other";
    assert!(refuses("/serviceExecutionRoleArn", other.into()).contains(other));
}

#[test]
fn role_is_trusted() {
    let (mut scene, parts) = Scene::ready();
    set(|d| d.trusted = false);
    assert!(scene.refused("CreateConnector", &parts.connector("orders")).1.contains(ROLE));
}

#[test]
fn role_has_propagated() {
    let (mut scene, parts) = Scene::ready();
    let soon = scene.now + 5_000;
    set(|d| d.roles = [(ROLE.to_string(), soon)].into());
    assert!(scene.refused("CreateConnector", &parts.connector("orders")).1.contains(ROLE));
    scene.pass(5);
    scene.create(&parts.connector("orders"));
}

#[test]
fn log_group_exists() {
    refuses("/logDelivery/workerLogDelivery/cloudWatchLogs/logGroup", "/none".into());
}

#[test]
fn subnets_in_one_vpc() {
    let pointer = "/kafkaCluster/apacheKafkaCluster/vpc/subnets";
    for subnets in [json!([]), json!(["subnet-none"]), json!(["subnet-a", "subnet-far"])] {
        refuses(pointer, subnets);
    }
}

#[test]
fn security_groups_in_vpc() {
    let pointer = "/kafkaCluster/apacheKafkaCluster/vpc/securityGroups";
    for groups in [json!(["sg-none"]), json!(["sg-far"])] {
        refuses(pointer, groups);
    }
}

#[test]
fn connector_exists() {
    let mut scene = Scene::new();
    for operation in
        ["DescribeConnector", "PauseConnector", "DeleteConnector", "ListConnectorOperations"]
    {
        scene.refused_with(MISSING, operation, &json!({ "connectorArn": "arn:none" }));
    }
}

/// An update of a running connector.
#[track_caller]
fn refuses_update(members: Value) -> String {
    let (mut scene, _, arn) = Scene::running();
    let mut input = members;
    input["connectorArn"] = arn.clone().into();
    if input.get("currentVersion").is_none() {
        input["currentVersion"] = scene.connector(&arn)["currentVersion"].clone();
    }
    let (code, message) = scene.refused("UpdateConnector", &input);
    assert_eq!(code, BAD);
    message
}

#[test]
fn version_is_current() {
    let configuration = configuration();
    refuses_update(json!({ "currentVersion": "KSTALE", "connectorConfiguration": configuration }));
}

#[test]
fn one_kind_of_update() {
    refuses_update(json!({}));
    let capacity = json!({ "provisionedCapacity": { "mcuCount": 2, "workerCount": 1 } });
    refuses_update(json!({ "capacity": capacity, "connectorConfiguration": configuration() }));
}

#[test]
fn one_worker_configuration() {
    refuses_update(json!({
        "useDefaultWorkerConfiguration": true,
        "workerConfiguration": { "workerConfigurationArn": "arn:any", "revision": 1 },
    }));
}

#[test]
fn updatable() {
    let (mut scene, _, arn) = Scene::running();
    let one = json!({ "connectorArn": arn });
    scene.ok("PauseConnector", &one);
    let version = scene.connector(&arn)["currentVersion"].clone();
    let mut input = json!({ "connectorArn": arn, "currentVersion": version });
    input["connectorConfiguration"] = configuration();
    scene.refused_with(BAD, "UpdateConnector", &input);
    scene.pass(61);
    assert!(scene.refused("UpdateConnector", &input).1.contains("skipHealthValidation"));
    input["skipHealthValidation"] = true.into();
    scene.ok("UpdateConnector", &input);
    scene.pass(241);
    assert_eq!(scene.connector(&arn)["connectorState"], "PAUSED");
}

#[test]
fn pausable() {
    let (mut scene, parts) = Scene::ready();
    let arn = scene.create(&parts.connector("orders"));
    scene.refused_with(BAD, "PauseConnector", &json!({ "connectorArn": arn }));
}

#[test]
fn resumable() {
    let (mut scene, _, arn) = Scene::running();
    scene.refused_with(BAD, "ResumeConnector", &json!({ "connectorArn": arn }));
}

#[test]
fn restartable() {
    let (mut scene, _, arn) = Scene::running();
    let one = json!({ "connectorArn": arn });
    scene.ok("RestartConnector", &one);
    scene.refused_with(BAD, "RestartConnector", &one);
    scene.pass(91);
    scene.ok("RestartConnector", &one);
}

#[test]
fn only_failed_tasks() {
    let (mut scene, parts) = Scene::ready();
    let arn = scene.create(&with(&parts, "/kafkaConnectVersion", "2.7.1".into()));
    scene.pass(361);
    let input = json!({ "connectorArn": arn, "onlyFailedTasks": true });
    scene.refused_with(BAD, "RestartConnector", &input);
}

#[test]
fn deletable() {
    let (mut scene, parts) = Scene::ready();
    let arn = scene.create(&parts.connector("orders"));
    scene.refused_with(BAD, "DeleteConnector", &json!({ "connectorArn": arn }));
}

#[test]
fn operation_exists() {
    let input = json!({ "connectorOperationArn": "arn:none" });
    Scene::new().refused_with(MISSING, "DescribeConnectorOperation", &input);
}
