//! Lives of plugins and connectors from creation to the last interface.

use super::*;

#[test]
fn a_plugin_keeps_what_it_copied() {
    let mut scene = Scene::new();
    let made = scene.ok("CreateCustomPlugin", &plugin("p"));
    assert_eq!((&made["customPluginState"], &made["revision"]), (&json!("CREATING"), &json!(1)));
    let one = json!({ "customPluginArn": made["customPluginArn"] });
    assert!(scene.ok("DescribeCustomPlugin", &one).get("latestRevision").is_none());
    scene.pass(40);
    let ready = scene.ok("DescribeCustomPlugin", &one);
    assert_eq!(ready["customPluginState"], "ACTIVE");
    assert_eq!(ready["latestRevision"]["fileDescription"]["fileSize"], 15);
    let tags = scene.ok("ListTagsForResource", &json!({ "resourceArn": made["customPluginArn"] }));
    assert_eq!(tags["tags"]["Team"], "data");
}

#[test]
fn a_plugin_without_an_object_fails_and_keeps_its_name() {
    let mut scene = Scene::new();
    set(|d| d.objects.clear());
    let made = scene.ok("CreateCustomPlugin", &plugin("p"));
    scene.pass(40);
    let one = json!({ "customPluginArn": made["customPluginArn"] });
    let failed = scene.ok("DescribeCustomPlugin", &one);
    assert_eq!(failed["customPluginState"], "CREATE_FAILED");
    assert!(failed.get("latestRevision").is_none() && failed.get("stateDescription").is_some());
    scene.refused_with("ConflictException", "CreateCustomPlugin", &plugin("p"));
    scene.ok("DeleteCustomPlugin", &one);
}

#[test]
fn a_connector_lives_and_leaves_its_interfaces_behind() {
    let (mut scene, _, arn) = Scene::running();
    let seen = scene.connector(&arn);
    assert_eq!(seen["networkType"], "IPV4");
    assert_eq!(seen["connectorConfiguration"], configuration());
    assert!(seen.get("tags").is_none() && seen.get("stateDescription").is_none());
    set(|d| {
        assert!(d.logged.iter().any(|(_, l)| {
            l.contains("INFO [orders|task-0] WorkerSourceTask{id=orders-0} Source task")
        }));
    });

    let of = |scene: &Scene| interfaces(&scene.world, scene.now);
    let [interface] = &of(&scene)[..] else { panic!("one worker has one interface") };
    assert!(
        interface.description.starts_with("DO NOT DELETE - AWS Kafka Connect ENI for orders - ")
    );
    assert_eq!(interface.tags["AmazonMSKConnectManaged"], "true");
    assert!(interface.requester_managed && interface.private_ip.starts_with("10.0.1."));

    let one = json!({ "connectorArn": arn });
    assert_eq!(scene.ok("DeleteConnector", &one)["connectorState"], "DELETING");
    scene.pass(179);
    assert_eq!(scene.connector(&arn)["connectorState"], "DELETING");
    scene.pass(1);
    scene.refused_with("NotFoundException", "DescribeConnector", &one);
    assert_eq!(of(&scene).len(), 1);
    scene.pass(239);
    assert_eq!(of(&scene).len(), 1);
    scene.pass(1);
    assert!(of(&scene).is_empty());
}

fn update(scene: &mut Scene, arn: &str, members: Value) -> String {
    let mut input = members;
    input["connectorArn"] = arn.into();
    input["currentVersion"] = scene.connector(arn)["currentVersion"].clone();
    let answer = scene.ok("UpdateConnector", &input);
    assert_eq!(answer["connectorState"], "UPDATING");
    answer["connectorOperationArn"].as_str().expect("an ARN").into()
}

fn operation(scene: &mut Scene, arn: &str) -> Value {
    scene.ok("DescribeConnectorOperation", &json!({ "connectorOperationArn": arn }))
}

#[test]
fn an_update_shows_when_it_is_complete() {
    let (mut scene, _, arn) = Scene::running();
    let before = scene.connector(&arn);
    let mut wanted = configuration();
    wanted["tombstones.on.delete"] = "false".into();
    wanted.as_object_mut().expect("a map").remove("tasks.max");
    let op = update(&mut scene, &arn, json!({ "connectorConfiguration": wanted }));
    assert_eq!(operation(&mut scene, &op)["connectorOperationState"], "PENDING");
    scene.pass(100);
    let during = operation(&mut scene, &op);
    assert_eq!(during["connectorOperationState"], "UPDATE_IN_PROGRESS");
    assert_eq!(during["operationSteps"][0]["stepState"], "COMPLETED");
    assert!(during.get("endTime").is_none());
    assert_eq!(scene.connector(&arn)["connectorState"], "UPDATING");
    assert_eq!(scene.connector(&arn)["connectorConfiguration"], configuration());
    scene.pass(140);
    let after = scene.connector(&arn);
    assert_eq!(
        (&after["connectorState"], &after["connectorConfiguration"]),
        (&json!("RUNNING"), &wanted)
    );
    assert_ne!(after["currentVersion"], before["currentVersion"]);
    let done = operation(&mut scene, &op);
    assert_eq!(done["connectorOperationState"], "UPDATE_COMPLETE");
    assert!(
        done["operationSteps"]
            .as_array()
            .expect("steps")
            .iter()
            .all(|s| s["stepState"] == "COMPLETED")
    );
    assert_eq!(done["originConnectorConfiguration"], configuration());
    let listed = scene.ok("ListConnectorOperations", &json!({ "connectorArn": arn }));
    assert_eq!(
        listed["connectorOperations"][0]["connectorOperationType"],
        "UPDATE_CONNECTOR_CONFIGURATION"
    );
}

#[test]
fn an_unhealthy_update_rolls_back() {
    let (mut scene, _, arn) = Scene::running();
    let mut wanted = configuration();
    wanted["database.port"] = "3307".into();
    let op = update(&mut scene, &arn, json!({ "connectorConfiguration": wanted }));
    scene.pass(300);
    let during = operation(&mut scene, &op);
    assert_eq!(during["connectorOperationState"], "ROLLBACK_IN_PROGRESS");
    assert_eq!(
        during["operationSteps"][2],
        json!({ "stepType": "VALIDATE_UPDATE", "stepState": "FAILED" })
    );
    assert_eq!(during["operationSteps"][3]["stepState"], "CANCELLED");
    assert_eq!(scene.connector(&arn)["connectorState"], "UPDATING");
    scene.pass(120);
    assert_eq!(operation(&mut scene, &op)["connectorOperationState"], "ROLLBACK_COMPLETE");
    assert!(operation(&mut scene, &op).get("errorInfo").is_some());
    let after = scene.connector(&arn);
    assert_eq!(after["connectorState"], "RUNNING");
    assert_eq!(after["connectorConfiguration"], configuration());
}

#[test]
fn an_unhealthy_update_stays_when_health_is_skipped() {
    let (mut scene, _, arn) = Scene::running();
    let mut wanted = configuration();
    wanted["database.port"] = "3307".into();
    let op = update(
        &mut scene,
        &arn,
        json!({ "connectorConfiguration": wanted, "skipHealthValidation": true }),
    );
    scene.pass(240);
    assert_eq!(operation(&mut scene, &op)["connectorOperationState"], "UPDATE_COMPLETE");
    assert_eq!(scene.connector(&arn)["connectorConfiguration"], wanted);
}

#[test]
fn capacity_plugin_and_worker_configuration_change_together() {
    let (mut scene, _, arn) = Scene::running();
    let new = scene.ok("CreateCustomPlugin", &plugin("new"))["customPluginArn"].clone();
    scene.pass(41);
    let mut plain = configuration();
    plain["database.password"] = "secret".into();
    update(&mut scene, &arn, json!({ "connectorConfiguration": plain }));
    scene.pass(241);
    let scaling = json!({ "autoScaling": {
        "mcuCount": 2, "minWorkerCount": 3, "maxWorkerCount": 4,
        "scaleInPolicy": { "cpuUtilizationPercentage": 10 },
        "scaleOutPolicy": { "cpuUtilizationPercentage": 90 },
    } });
    let op = update(
        &mut scene,
        &arn,
        json!({
            "capacity": scaling,
            "plugins": [{ "customPlugin": { "customPluginArn": new, "revision": 1 } }],
            "useDefaultWorkerConfiguration": true,
        }),
    );
    scene.pass(240);
    assert_eq!(
        operation(&mut scene, &op)["targetWorkerSetting"]["useDefaultWorkerConfiguration"],
        true
    );
    let after = scene.connector(&arn);
    assert_eq!(after["capacity"], scaling);
    assert_eq!(after["plugins"][0]["customPlugin"]["customPluginArn"], new);
    assert!(after.get("workerConfiguration").is_none());
    assert_eq!(interfaces(&scene.world, scene.now).len(), 3);
}

#[test]
fn scaling_policies_have_defaults() {
    let (mut scene, parts) = Scene::ready();
    let mut input = parts.connector("orders");
    input["capacity"] =
        json!({ "autoScaling": { "mcuCount": 1, "minWorkerCount": 1, "maxWorkerCount": 2 } });
    let arn = scene.create(&input);
    assert_eq!(
        scene.connector(&arn)["capacity"]["autoScaling"]["scaleOutPolicy"],
        json!({ "cpuUtilizationPercentage": 80 })
    );
}

#[test]
fn a_connector_pauses_resumes_and_restarts() {
    let (mut scene, _, arn) = Scene::running();
    let one = json!({ "connectorArn": arn });
    for (call, during, after) in [
        ("PauseConnector", "PAUSING", "PAUSED"),
        ("ResumeConnector", "RESUMING", "RUNNING"),
        ("RestartConnector", "RESTARTING", "RUNNING"),
    ] {
        let version = scene.connector(&arn)["currentVersion"].clone();
        let op =
            scene.ok(call, &one)["connectorOperationArn"].as_str().expect("an ARN").to_string();
        assert_eq!(scene.connector(&arn)["connectorState"], during);
        scene.pass(91);
        assert_eq!(scene.connector(&arn)["connectorState"], after);
        assert_eq!(scene.connector(&arn)["currentVersion"], version);
        let state = operation(&mut scene, &op)["connectorOperationState"].clone();
        assert!(state.as_str().expect("a state").ends_with("_COMPLETE"));
    }
}

#[test]
fn tags_and_pages() {
    let (mut scene, parts, arn) = Scene::running();
    let one = json!({ "resourceArn": arn });
    scene.ok("TagResource", &json!({ "resourceArn": arn, "tags": { "A": "1" } }));
    scene.ok("UntagResource", &json!({ "resourceArn": arn, "tagKeys": ["Team"] }));
    assert_eq!(scene.ok("ListTagsForResource", &one), json!({ "tags": { "A": "1" } }));
    scene.create(&parts.connector("orders-2"));
    let first =
        scene.ok("ListConnectors", &json!({ "maxResults": 1, "connectorNamePrefix": "orders" }));
    assert_eq!(first["connectors"].as_array().expect("a list").len(), 1);
    assert!(first["connectors"][0].get("connectorConfiguration").is_none());
    let next =
        scene.ok("ListConnectors", &json!({ "maxResults": 1, "nextToken": first["nextToken"] }));
    assert!(next.get("nextToken").is_none());
    assert_eq!(next["connectors"].as_array().expect("a list").len(), 1);
    let kinds: Vec<_> =
        (SERVICE.inventory)(&scene.world, scene.now).into_iter().map(|(k, _, s)| (k, s)).collect();
    assert_eq!(kinds.len(), 4);
    assert!(kinds.contains(&("connector".into(), "RUNNING".into())));
}

#[test]
fn the_same_world_again_is_the_same() {
    let run = || {
        let (scene, _, _) = Scene::running();
        serde_json::to_string(&scene.world.state).expect("a state")
    };
    assert_eq!(run(), run());
}

#[test]
fn dials_make_a_create_fail_and_an_update_roll_back() {
    let (mut scene, parts, arn) = Scene::running();
    let turn = |name: &str, value: Value| set(|d| drop(d.dials.insert(name.into(), value)));
    turn("kafkaconnect.create-fails", json!(["second"]));
    let second = scene.create(&parts.connector("second"));
    let third = scene.create(&parts.connector("third"));
    scene.pass(361);
    assert_eq!(scene.connector(&second)["connectorState"], "FAILED");
    assert_eq!(scene.connector(&third)["connectorState"], "RUNNING");

    turn("kafkaconnect.update-rolls-back", true.into());
    let wanted = json!({ "connectorConfiguration": configuration() });
    let op = update(&mut scene, &arn, wanted);
    scene.pass(421);
    assert_eq!(operation(&mut scene, &op)["connectorOperationState"], "ROLLBACK_COMPLETE");
}
