//! What keeps a connector from running, what its workers log about it, and when.

use super::*;

/// Creates a connector in a world that `spoil` has changed, with an input that `edit` has; checks that it fails for the reason
/// of the log line with `cause`, and when.
#[track_caller]
fn fails(
    check: &str,
    spoil: impl FnOnce(&mut Double),
    edit: impl FnOnce(&mut Value),
    after: u64,
    cause: &str,
) {
    let (mut scene, parts) = Scene::ready();
    set(spoil);
    let mut input = parts.connector("orders");
    edit(&mut input);
    let arn = scene.create(&input);
    let began = scene.now;
    scene.pass(after - 1);
    assert_eq!(scene.connector(&arn)["connectorState"], "CREATING");
    assert!(scene.connector(&arn).get("stateDescription").is_none());
    scene.pass(1);
    let failed = scene.connector(&arn);
    assert_eq!(failed["connectorState"], "FAILED", "{cause}");
    let recorded = &scene.world.state.kafkaconnect.connectors[&arn];
    assert_eq!(recorded.failed_check.as_deref(), Some(check));
    assert_eq!(failed["stateDescription"]["code"], "UnknownError.Unknown");
    set(|d| {
        let texts: Vec<_> = d.logged.iter().map(|(_, line)| line.as_str()).collect();
        let last =
            texts.iter().rposition(|line| line.contains(" ERROR [orders")).expect("an error");
        assert!(texts.iter().any(|line| line.contains(cause)), "{cause} is not in {texts:#?}");
        assert!(last < texts.len() - 1, "a stack trace follows the error");
        assert!(d.logged.iter().all(|(at, _)| (began..=began + after * 1000).contains(at)));
    });
}

#[track_caller]
fn fails_when(check: &str, spoil: impl FnOnce(&mut Double), cause: &str) {
    fails(check, spoil, |_| {}, 360, cause);
}

#[track_caller]
fn fails_with(check: &str, key: &str, value: &str, cause: &str) {
    let edit = |input: &mut Value| match value {
        "" => drop(input["connectorConfiguration"].as_object_mut().expect("a map").remove(key)),
        _ => input["connectorConfiguration"][key] = value.into(),
    };
    fails(check, |_| {}, edit, 360, cause);
}

#[track_caller]
fn unreachable_when(
    check: &str,
    spoil: impl FnOnce(&mut Double),
    edit: impl FnOnce(&mut Value),
    cause: &str,
) {
    fails(check, spoil, edit, 1230, cause);
}

fn bootstrap(input: &mut Value, host_port: &str) {
    input["kafkaCluster"]["apacheKafkaCluster"]["bootstrapServers"] = host_port.into();
}

const NO_NODE: &str =
    "Caused by: org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node";

#[test]
fn bootstrap_is_known() {
    unreachable_when(
        "bootstrap_is_known",
        |_| {},
        |input| bootstrap(input, "b-1.other:9098"),
        "No resolvable bootstrap urls",
    );
}

#[test]
fn cluster_is_active() {
    unreachable_when("cluster_is_active", |d| d.serves = false, |_| {}, NO_NODE);
}

#[test]
fn brokers_are_open() {
    unreachable_when(
        "brokers_are_open",
        |d| d.closed.extend([("sg-brokers".into(), 9098)]),
        |_| {},
        NO_NODE,
    );
}

#[test]
fn listener_fits() {
    let none = |input: &mut Value| {
        input["kafkaClusterClientAuthentication"]["authenticationType"] = "NONE".into();
    };
    unreachable_when("listener_fits", |_| {}, none, NO_NODE);
    unreachable_when("listener_fits", |d| d.ports = vec![9092], |_| {}, NO_NODE);
    let tls = |input: &mut Value| bootstrap(input, &format!("{BROKER}:9092"));
    unreachable_when("listener_fits", |_| {}, tls, "SSL handshake failed");
}

#[test]
fn role_may_connect() {
    let denied = |action: &str| {
        let action = action.to_string();
        move |d: &mut Double| d.denied.extend([action])
    };
    unreachable_when("role_may_connect", denied("kafka-cluster:Connect"), |_| {}, "Access denied");
    fails_when(
        "role_may_connect",
        denied("kafka-cluster:WriteData"),
        "Not authorized to access topics: [__amazon_msk_connect_configs_orders_",
    );
}

#[test]
fn class_is_in_plugin() {
    fails_with(
        "class_is_in_plugin",
        "connector.class",
        "io.debezium.connector.postgresql.PostgresConnector",
        "available connectors are: PluginDesc{class=class io.debezium.connector.mysql",
    );
    fails_with("class_is_in_plugin", "connector.class", "", "connector.class");
}

#[test]
fn class_fits_java() {
    let (mut scene, parts) = Scene::ready();
    scene.world.blobs.insert("sha".into(), plugin_zip(MYSQL, 61).into());
    let new = scene.ok("CreateCustomPlugin", &plugin("new"))["customPluginArn"].clone();
    scene.pass(41);
    let mut input = parts.connector("orders");
    input["plugins"][0]["customPlugin"]["customPluginArn"] = new;
    let fine = scene.create(&input);
    input["connectorName"] = "old".into();
    input["kafkaConnectVersion"] = "2.7.1".into();
    let old = scene.create(&input);
    scene.pass(361);
    assert_eq!(scene.connector(&fine)["connectorState"], "RUNNING");
    assert_eq!(scene.connector(&old)["connectorState"], "FAILED");
    set(|d| assert!(d.logged.iter().any(|(_, l)| l.contains("class file version 61.0"))));
}

#[test]
fn required_keys() {
    fails_with("required_keys", "topic.prefix", "", "The 'topic.prefix' value is invalid");
    fails_with(
        "required_keys",
        "schema.history.internal.kafka.topic",
        "",
        "schema.history.internal.kafka.topic",
    );
}

#[test]
fn overrides_are_allowed() {
    let edit = |input: &mut Value| {
        input["kafkaConnectVersion"] = "2.7.1".into();
        input["connectorConfiguration"]["producer.override.acks"] = "all".into();
    };
    fails(
        "overrides_are_allowed",
        |_| {},
        edit,
        360,
        "The 'None' policy does not allow 'producer.override.acks'",
    );
}

#[test]
fn topic_creation_defaults() {
    fails_with(
        "topic_creation_defaults",
        "topic.creation.default.partitions",
        "6",
        "topic.creation.default.replication.factor",
    );
}

#[test]
fn secrets_are_reachable() {
    fails_when(
        "secrets_are_reachable",
        |d| d.no_way_out = true,
        "Caused by: java.net.SocketTimeoutException: connect timed out",
    );
}

#[test]
fn secrets_may_be_read() {
    let denied = |d: &mut Double| d.denied.extend(["secretsmanager:GetSecretValue".to_string()]);
    fails_when(
        "secrets_may_be_read",
        denied,
        "is not authorized to perform: secretsmanager:GetSecretValue",
    );
}

#[test]
fn secrets_exist() {
    fails_when("secrets_exist", |d| d.secrets.clear(), "ResourceNotFoundException");
    fails_with(
        "secrets_exist",
        "database.password",
        "${secretsmanager:cdc/orders:passwort}",
        "Secret cdc/orders doesn't have a key passwort.",
    );
    let arn = "${secretsmanager:arn:aws:secretsmanager:us-east-1:111111111111:secret:x:password}";
    fails_with("secrets_exist", "database.password", arn, "can't find the specified secret: arn");

    // Without NotFoundStrategy=fail AWS's provider answers an empty text.
    let (mut scene, parts) = Scene::ready();
    let lenient = WORKER.replace("NotFoundStrategy = fail", "region=us-east-1");
    let lenient = scene.ok("CreateWorkerConfiguration", &worker("lenient", &lenient));
    set(|d| d.secrets.clear());
    let mut input = parts.connector("orders");
    input["workerConfiguration"]["workerConfigurationArn"] =
        lenient["workerConfigurationArn"].clone();
    scene.create(&input);
    set(|d| assert!(d.logged.iter().any(|(_, l)| l.contains("(using password: NO)"))));
}

#[test]
fn placeholders_are_declared() {
    let edit = |input: &mut Value| {
        input.as_object_mut().expect("a map").remove("workerConfiguration");
    };
    fails(
        "placeholders_are_declared",
        |_| {},
        edit,
        360,
        "Access denied for user 'debezium'@'%' (using password: YES)",
    );
}

#[test]
fn database_is_reachable() {
    fails_when(
        "database_is_reachable",
        |d| d.closed.extend([("sg-db".into(), 3306)]),
        "Caused by: java.net.SocketTimeoutException: Connect timed out",
    );
    fails_when(
        "database_is_reachable",
        |d| d.available = false,
        "Caused by: java.net.ConnectException: Connection refused",
    );
    fails_with("database_is_reachable", "database.port", "3307", "Connection refused");
}

#[test]
fn binlog_is_row() {
    fails_when("binlog_is_row", |d| d.row = false, "not configured to use a ROW binlog_format");
}

/// Creates a PostgreSQL connector with an input that `edit` has, in a world that `spoil` has changed; its state after six minutes, and
/// the check that failed it.
fn postgres(
    spoil: impl FnOnce(&mut Double),
    edit: impl FnOnce(&mut Value),
) -> (String, Option<String>) {
    let (mut scene, parts) = Scene::ready();
    scene.world.blobs.insert("sha".into(), plugin_zip(POSTGRESQL, 55).into());
    let theirs = scene.ok("CreateCustomPlugin", &plugin("postgres"))["customPluginArn"].clone();
    scene.pass(41);
    set(spoil);
    let mut input = parts.connector("orders");
    input["plugins"][0]["customPlugin"]["customPluginArn"] = theirs;
    input["connectorConfiguration"] = json!({
        "connector.class": POSTGRESQL,
        "topic.prefix": "orders",
        "database.hostname": POSTGRES,
        "database.user": "debezium",
        "database.password": "${secretsmanager:cdc/orders:password}",
        "database.dbname": "shop",
        "plugin.name": "pgoutput",
        "table.include.list": "public.orders",
    });
    edit(&mut input["connectorConfiguration"]);
    let arn = scene.create(&input);
    scene.pass(361);
    let state = scene.connector(&arn)["connectorState"].as_str().expect("a state").to_owned();
    (state, scene.world.state.kafkaconnect.connectors[&arn].failed_check.clone())
}

#[track_caller]
fn postgres_fails(
    check: &str,
    spoil: impl FnOnce(&mut Double),
    edit: impl FnOnce(&mut Value),
    words: &[&str],
) {
    let (state, failed) = postgres(spoil, edit);
    assert_eq!((state.as_str(), failed.as_deref()), ("FAILED", Some(check)));
    set(|d| {
        for words in words {
            assert!(d.logged.iter().any(|(_, l)| l.contains(words)), "{words}: {:#?}", d.logged);
        }
        assert!(!d.logged.iter().any(|(_, l)| l.contains("mysql")), "{:#?}", d.logged);
    });
}

#[test]
fn wal_level_is_logical() {
    assert_eq!(postgres(|_| {}, |_| {}), ("RUNNING".into(), None));
    // A binary log is MySQL's matter.
    assert_eq!(postgres(|d| d.row = false, |_| {}).0, "RUNNING");
    postgres_fails(
        "wal_level_is_logical",
        |d| d.logical = false,
        |_| {},
        &[
            "Failed testing connection for jdbc:postgresql://customers.cluster-c0.us-east-1.rds.amazonaws.com:5432/shop",
            "Postgres server wal_level property must be 'logical' but is: 'replica'",
            "Creation of replication slot failed",
            "ERROR: logical decoding requires wal_level >= logical",
        ],
    );
}

#[test]
fn slot_name_is_well_formed() {
    let named = |name: String| move |c: &mut Value| c["slot.name"] = name.into();
    assert_eq!(postgres(|_| {}, named("orders_1".into())).0, "RUNNING");
    for name in ["Orders".to_owned(), "my-slot".to_owned(), "s".repeat(64)] {
        let words = "The 'slot.name' value is invalid: Valid replication slot name";
        postgres_fails("slot_name_is_well_formed", |_| {}, named(name), &[words]);
    }
}

#[test]
fn decoding_plugin_is_there() {
    let unnamed = |c: &mut Value| drop(c.as_object_mut().expect("a map").remove("plugin.name"));
    let words = "ERROR: could not access file \"decoderbufs\": No such file or directory";
    postgres_fails("decoding_plugin_is_there", |_| {}, unnamed, &[words]);
}

#[test]
fn a_postgresql_connector_fails_in_its_own_words() {
    let check = "database_is_reachable";
    let refused = "Error while validating connector config: Connection to customers.cluster-c0";
    postgres_fails(check, |d| d.available = false, |_| {}, &[refused, "Connection refused"]);
    postgres_fails(
        check,
        |d| d.closed.extend([("sg-db".into(), 5432)]),
        |_| {},
        &["The connection attempt failed.", "SocketTimeoutException: Connect timed out"],
    );
    postgres_fails(
        "required_keys",
        |_| {},
        |c| c["database.dbname"] = "".into(),
        &["The 'database.dbname' value is invalid"],
    );
    postgres_fails(
        "placeholders_are_declared",
        |_| {},
        |c| c["database.password"] = "${env:password}".into(),
        &["FATAL: password authentication failed for user \"debezium\""],
    );
}

#[test]
fn history_is_reachable() {
    let key = "schema.history.internal.consumer.security.protocol";
    fails_with("history_is_reachable", key, "", "Call: describeTopics");
    let key = "schema.history.internal.kafka.bootstrap.servers";
    fails_with("history_is_reachable", key, "b-1.other:9098", "Call: describeTopics");
}

/// Denies an action on what ends so.
fn deny(what: &str) -> impl FnOnce(&mut Double) + use<> {
    let what = what.to_string();
    move |d| d.denied.extend([what])
}

#[test]
fn history_topic_can_be() {
    let denied = "kafka-cluster:CreateTopic orders.history";
    fails_when("history_topic_can_be", deny(denied), "please create the topic manually");
    // It need not be created when it is there.
    let (mut scene, parts) = Scene::ready();
    set(deny(denied));
    set(|d| d.topics.extend(["orders.history".to_string()]));
    let arn = scene.create(&parts.connector("orders"));
    scene.pass(361);
    assert_eq!(scene.connector(&arn)["connectorState"], "RUNNING");
}

#[test]
fn history_may_be_used() {
    let check = "history_may_be_used";
    let topic = "Not authorized to access topics: [orders.history]";
    fails_when(check, deny("kafka-cluster:ReadData orders.history"), topic);
    let group = "Not authorized to access group: orders-schemahistory";
    fails_when(check, deny("kafka-cluster:AlterGroup orders-schemahistory"), group);
}

#[test]
fn role_may_write() {
    let check = "role_may_write";
    let changes = "Not authorized to access topics: [orders]";
    fails_when(check, deny("kafka-cluster:WriteData /orders"), changes);
    let edit = |input: &mut Value| {
        input["connectorConfiguration"]["table.include.list"] = "shop\\.orders,shop.a.*".into();
        input["connectorConfiguration"]["topic.creation.default.partitions"] = "6".into();
        input["connectorConfiguration"]["topic.creation.default.replication.factor"] = "3".into();
    };
    let denied = deny("kafka-cluster:CreateTopic orders.shop.orders");
    fails(check, denied, edit, 360, "Not authorized to access topics: [orders.shop.orders]");
}

#[test]
fn a_database_elsewhere_is_taken_for_reachable() {
    let (mut scene, parts) = Scene::ready();
    set(|d| d.closed.extend([("sg-db".into(), 3306)]));
    let mut input = parts.connector("orders");
    input["connectorConfiguration"]["database.hostname"] = "db.example.com".into();
    let arn = scene.create(&input);
    scene.pass(361);
    assert_eq!(scene.connector(&arn)["connectorState"], "RUNNING");
}
