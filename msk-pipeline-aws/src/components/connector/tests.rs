use std::fmt::Write as _;

use msk_pipeline_core::dsl::{Document, Expanded, Facts, Overlay, Pipeline, Problems};
use msk_pipeline_core::state::Pin;

use super::*;
use crate::components::components;
use crate::components::database::Engine;

fn pin() -> Pin {
    Pin { account: "111111111111".into(), region: "eu-west-1".into(), partition: "aws".into() }
}

const AROUND: &str = "\
[pipeline]
name = \"orders-cdc\"
region = \"eu-west-1\"
[network]
vpc = \"vpc-0ab12cd\"
[database.orders]
engine = \"aurora-mysql\"
[kafka.main]
";

const PLAIN: &str = "source = \"orders\"\ntables = [\"shop.orders\", \"shop.customers\"]\n";

fn read(text: &str) -> Result<Pipeline, Problems> {
    Document::parse(text)?.pipeline(&components(), &Overlay::default())
}

fn expand(text: &str) -> Result<Expanded, Problems> {
    read(text)?.expand(&components(), &pin(), &Facts::new())
}

/// A pipeline with one connector that has these keys.
fn connector(keys: &str) -> Result<Expanded, Problems> {
    expand(&format!("{AROUND}[connector.mysql]\n{keys}"))
}

fn props(expanded: &Expanded, address: &str) -> serde_json::Value {
    let found = expanded.resources.iter().find(|r| r.address.as_str() == address);
    found.unwrap_or_else(|| panic!("no {address}")).props.clone()
}

fn configuration(expanded: &Expanded) -> String {
    let props = props(expanded, "connector.mysql.connector");
    let mut text = String::new();
    for (key, value) in props["configuration"].as_object().unwrap() {
        let value = match value.as_str() {
            Some(value) => value.to_owned(),
            None => format!(
                "<{}.{}>",
                value["$ref"].as_str().unwrap(),
                value["output"].as_str().unwrap()
            ),
        };
        let _ = writeln!(text, "{key}={value}");
    }
    text
}

/// Every problem as one line each: `error connector.mysql.tables: … | help`.
#[track_caller]
fn check(keys: &str, expected: &[&str]) {
    is_told(connector(keys), expected);
}

#[track_caller]
fn is_told(expanded: Result<Expanded, Problems>, expected: &[&str]) {
    let problems = match expanded {
        Ok(expanded) => expanded.problems,
        Err(problems) => problems.0,
    };
    let found: Vec<String> = problems
        .iter()
        .map(|p| format!("{:?} {}: {}", p.severity, p.path, p.message).to_lowercase())
        .collect();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(&expected.to_lowercase()), "{found}\n  has no\n{expected}");
    }
    assert!(problems.iter().all(|p| p.help.is_some() || p.message.contains("one is")), "no help");
}

#[test]
fn the_whole_configuration_with_iam() {
    insta::assert_snapshot!(configuration(&connector(PLAIN).unwrap()), @r"
    config.action.reload=none
    connector.class=io.debezium.connector.mysql.MySqlConnector
    database.hostname=<database.orders.cluster.endpoint>
    database.include.list=cdc,shop
    database.password=${secretsmanager:orders-cdc/orders/capture:password}
    database.port=3306
    database.server.id=434149399
    database.ssl.mode=required
    database.user=${secretsmanager:orders-cdc/orders/capture:username}
    decimal.handling.mode=string
    errors.log.enable=true
    errors.log.include.messages=false
    errors.tolerance=none
    heartbeat.interval.ms=30000
    include.schema.changes=true
    incremental.snapshot.allow.schema.changes=true
    key.converter=org.apache.kafka.connect.json.JsonConverter
    key.converter.schemas.enable=false
    schema.history.internal.consumer.sasl.client.callback.handler.class=software.amazon.msk.auth.iam.IAMClientCallbackHandler
    schema.history.internal.consumer.sasl.jaas.config=software.amazon.msk.auth.iam.IAMLoginModule required;
    schema.history.internal.consumer.sasl.mechanism=AWS_MSK_IAM
    schema.history.internal.consumer.security.protocol=SASL_SSL
    schema.history.internal.kafka.bootstrap.servers=<kafka.main.cluster.bootstrap_iam>
    schema.history.internal.kafka.topic=connect.orders-cdc-mysql.history.1
    schema.history.internal.producer.sasl.client.callback.handler.class=software.amazon.msk.auth.iam.IAMClientCallbackHandler
    schema.history.internal.producer.sasl.jaas.config=software.amazon.msk.auth.iam.IAMLoginModule required;
    schema.history.internal.producer.sasl.mechanism=AWS_MSK_IAM
    schema.history.internal.producer.security.protocol=SASL_SSL
    schema.history.internal.store.only.captured.databases.ddl=false
    schema.history.internal.store.only.captured.tables.ddl=false
    signal.data.collection=cdc.signal
    signal.enabled.channels=source
    snapshot.locking.mode=none
    snapshot.mode=no_data
    table.include.list=shop.orders,shop.customers,cdc.signal,cdc.canary
    tasks.max=1
    tombstones.on.delete=true
    topic.creation.default.cleanup.policy=delete
    topic.creation.default.partitions=6
    topic.creation.default.replication.factor=3
    topic.creation.default.retention.ms=604800000
    topic.creation.groups=internal
    topic.creation.internal.cleanup.policy=delete
    topic.creation.internal.include=orders-cdc-mysql,__debezium-heartbeat\.orders-cdc-mysql,orders-cdc-mysql\.cdc\.signal,orders-cdc-mysql\.cdc\.canary
    topic.creation.internal.partitions=1
    topic.creation.internal.replication.factor=3
    topic.creation.internal.retention.ms=604800000
    topic.prefix=orders-cdc-mysql
    value.converter=org.apache.kafka.connect.json.JsonConverter
    value.converter.schemas.enable=false
    ");
}

#[test]
fn the_workers_configuration() {
    let expanded = connector(PLAIN).unwrap();
    let worker = props(&expanded, "connector.mysql.worker");
    insta::assert_snapshot!(worker["properties"].as_str().unwrap(), @r"
    config.providers=secretsmanager
    config.providers.secretsmanager.class=com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider
    config.providers.secretsmanager.param.NotFoundStrategy=fail
    config.providers.secretsmanager.param.region=eu-west-1
    key.converter=org.apache.kafka.connect.json.JsonConverter
    key.converter.schemas.enable=false
    offset.storage.partitions=25
    offset.storage.replication.factor=3
    offset.storage.topic=connect.orders-cdc-mysql.offsets.1
    value.converter=org.apache.kafka.connect.json.JsonConverter
    value.converter.schemas.enable=false
    ");
}

#[test]
fn what_it_becomes() {
    let expanded = connector(PLAIN).unwrap();
    let mut text = String::new();
    for resource in &expanded.resources {
        let address = resource.address.as_str();
        if address.starts_with("connector.") || address.starts_with("plugins.") {
            let name = resource.props["name"].as_str().or(resource.props["key"].as_str());
            let _ = writeln!(text, "{address} {} {}", resource.stage, name.unwrap_or_default());
        }
    }
    insta::assert_snapshot!(text, @r"
    connector.mysql.group security-groups orders-cdc-connector-mysql
    connector.mysql.rules security-groups rules of orders-cdc-connector-mysql
    connector.mysql.role connect orders-cdc-mysql-eu-west-1
    connector.mysql.logs connect /aws/vendedlogs/msk-connect/orders-cdc-mysql
    connector.mysql.offsets-topic connect connect.orders-cdc-mysql.offsets.1
    connector.mysql.history-topic connect connect.orders-cdc-mysql.history.1
    connector.mysql.topic-shop.orders connect orders-cdc-mysql.shop.orders
    connector.mysql.topic-shop.customers connect orders-cdc-mysql.shop.customers
    plugins.bucket connect orders-cdc-111111111111-eu-west-1
    plugins.object-00000000 connect plugins/0000000000000000000000000000000000000000000000000000000000000000.zip
    connector.mysql.plugin connect orders-cdc-mysql-00000000
    connector.mysql.worker connect orders-cdc-mysql-da6caaeb
    connector.mysql.connector connect orders-cdc-mysql
    ");
    let [of_the_database] = &expanded.notices[..] else { panic!("{:?}", expanded.notices) };
    assert!(of_the_database.body.contains("binlog retention hours"));
}

#[test]
fn the_role_may_do_the_least() {
    let expanded = connector(PLAIN).unwrap();
    let role = props(&expanded, "connector.mysql.role");
    assert_eq!(
        role["trust"]["Statement"][0]["Condition"]["ArnLike"]["aws:SourceArn"],
        "arn:aws:kafkaconnect:eu-west-1:111111111111:connector/orders-cdc-mysql/*"
    );
    let policy = role["policy"].as_array().unwrap();
    let sids: Vec<_> = policy.iter().map(|s| s["sid"].as_str().unwrap()).collect();
    assert_eq!(sids, ["Secret", "Cluster", "OwnTopics", "OwnGroups", "Data"]);
    assert_eq!(
        policy[0]["resources"][0],
        "arn:aws:secretsmanager:eu-west-1:111111111111:secret:orders-cdc/orders/capture-??????"
    );
    let text = role["policy"].to_string();
    for arn in [
        ":cluster/orders-cdc-main/*\"",
        ":topic/orders-cdc-main/*/__amazon_msk_connect_*",
        ":topic/orders-cdc-main/*/connect.orders-cdc-mysql.history.1",
        ":topic/orders-cdc-main/*/connect.orders-cdc-mysql.offsets.1",
        ":topic/orders-cdc-main/*/orders-cdc-mysql.*",
        ":group/orders-cdc-main/*/orders-cdc-mysql-schemahistory",
    ] {
        assert!(text.contains(arn), "{arn} is not in {text}");
    }

    let plain = expand(&format!("{AROUND}listeners = [\"plaintext\"]\n[connector.mysql]\n{PLAIN}"))
        .unwrap();
    let role = props(&plain, "connector.mysql.role");
    assert_eq!(role["policy"].as_array().unwrap().len(), 1, "nothing but the secret");
    let text = configuration(&plain);
    assert!(!text.contains("SASL"), "{text}");
    let connector = props(&plain, "connector.mysql.connector");
    assert_eq!(connector["authentication"], "NONE");
    assert_eq!(connector["encryption"], "PLAINTEXT");
}

#[test]
fn the_users_keys_have_the_last_word() {
    let keys = format!(
        "{PLAIN}transforms = [{{ name = \"unwrap\", type = \"io.debezium.transforms.ExtractNewRecordState\", options = {{ \"delete.tombstone.handling.mode\" = \"rewrite\" }} }}]\n[connector.mysql.config]\n\"decimal.handling.mode\" = \"precise\"\nmax.batch.size = 4096\n"
    );
    let expanded = connector(&keys).unwrap();
    assert!(expanded.problems.is_empty(), "{:?}", expanded.problems);
    let text = configuration(&expanded);
    for line in [
        "decimal.handling.mode=precise",
        "max.batch.size=4096",
        "transforms=unwrap",
        "transforms.unwrap.delete.tombstone.handling.mode=rewrite",
        "transforms.unwrap.type=io.debezium.transforms.ExtractNewRecordState",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
}

#[test]
fn tables_capacity_and_topics_are_checked() {
    check(
        "source = \"orders\"\ntables = []\n",
        &["error connector.mysql.tables: no table is captured"],
    );
    check(
        "source = \"orders\"\ntables = [\"a.b\", \"a.b\"]\n",
        &["error connector.mysql.tables.1: `a.b` is listed twice"],
    );
    check("source = \"orders\"\ntables = [\"orders\"]\n", &["`orders` is no table"]);
    check(
        &format!("{PLAIN}capacity = {{ autoscaling = true }}\n"),
        &[
            "error connector.mysql.capacity.autoscaling: Debezium's MySQL connector is a single task",
        ],
    );
    check(&format!("{PLAIN}capacity = {{ mcu = 3 }}\n"), &["can't have 3 MCUs"]);
    check(
        &format!("{PLAIN}capacity = {{ workers = 2 }}\n"),
        &["warning connector.mysql.capacity.workers"],
    );
    check(
        &format!("{PLAIN}topics = {{ replication = 4 }}\n"),
        &["error connector.mysql.topics.replication: 4 copies don't fit on 3 brokers"],
    );
    check(
        &format!(
            "{PLAIN}topics = {{ cleanup = \"compact\" }}\nconfig = {{ \"tombstones.on.delete\" = false }}\n"
        ),
        &["warning connector.mysql.topics.cleanup: compacted topics keep deleted rows"],
    );
    check(
        &format!("{PLAIN}snapshot = \"initial\"\n"),
        &["warning connector.mysql.snapshot: Aurora refuses"],
    );
    check(
        &format!(
            "{PLAIN}secret = \"arn:aws:secretsmanager:eu-west-1:1:secret:cdc/orders-AbCdEf\"\n"
        ),
        &["error connector.mysql.secret: a placeholder can't hold an ARN"],
    );
    check(
        &format!(
            "{PLAIN}transforms = [{{ name = \"a\", type = \"t\" }}, {{ name = \"a\", type = \"u\" }}]\n"
        ),
        &["two transforms are called `a`"],
    );
}

#[test]
fn keys_of_the_configuration_are_checked() {
    let config = |line: &str, expected: &[&str]| {
        check(&format!("{PLAIN}[connector.mysql.config]\n{line}\n"), expected);
    };
    config("\"database.server.name\" = \"x\"", &["is a name of Debezium 1.x"]);
    config("\"database.history.kafka.topic\" = \"x\"", &["is a name of Debezium 1.x"]);
    config("\"database.history.producer.x\" = \"x\"", &["is a name of Debezium 1.x"]);
    config("\"table.whitelist\" = \"x\"", &["is a name of Debezium 1.x"]);
    config("\"topic.prefix\" = \"x\"", &["`topic.prefix` is set by `prefix`"]);
    config("\"database.password\" = \"x\"", &["`database.password` is set by `secret`"]);
    config("\"database.server.id\" = 5", &["`database.server.id` is set by `server_id`"]);
    config("\"name\" = \"x\"", &["the connector's name is derived"]);
    config("\"tasks.max\" = 2", &["a single task"]);
    config("\"connector.class\" = \"x\"", &["only Debezium's MySQL connector"]);
    config("\"table.exclude.list\" = \"x\"", &["contradicts `tables`"]);
    config("\"bootstrap.servers\" = \"x\"", &["belongs to the clients of Connect itself"]);
    config("\"sasl.mechanism\" = \"x\"", &["belongs to the clients of Connect itself"]);
    config("\"producer.acks\" = \"all\"", &["belongs to the clients of Connect itself"]);
    config("\"producer.override.linger.ms\" = 5", &[]);
    config("\"producer.override.acks\" = 1", &["warning"]);
    config("\"database.ssl.truststore.password\" = \"x\"", &["a secret in the clear"]);
    config("\"database.ssl.truststore.password\" = \"${secretsmanager:tls:password}\"", &[]);
    config(
        "\"database.ssl.truststore.password\" = \"${ssm:tls:password}\"",
        &["no config provider is called `ssm`"],
    );
    config(
        "\"database.ssl.truststore.password\" = \"${secretsmanager:arn:aws:x}\"",
        &["can't hold an ARN"],
    );
    config("\"snapshot.mode\" = \"sometimes\"", &["`sometimes` is no value of `snapshot.mode`"]);
    config("\"snapshot.mode\" = \"never\"", &["warning"]);
    config("\"snapshot.mode\" = \"schema_only\"", &["deprecated"]);
    config("\"errors.tolerance\" = \"all\"", &["warning"]);
    config("\"signal.enabled.channels\" = \"kafka\"", &["the channel `source`"]);
    config("\"tombstone.on.delete\" = true", &["Debezium doesn't know `tombstone.on.delete`"]);
    config("\"max.batch.sise\" = 5", &["Debezium doesn't know `max.batch.sise`"]);
    config("\"metrics.jmx.enabled\" = true", &[]);
    check(
        &format!(
            "{PLAIN}connect_version = \"2.7.1\"\nconfig = {{ \"producer.override.linger.ms\" = 5 }}\n"
        ),
        &["Connect 2.7.1 lets no connector set"],
    );
}

#[test]
fn properties_of_the_workers_are_checked() {
    let worker = |line: &str, expected: &[&str]| {
        check(&format!("{PLAIN}[connector.mysql.worker]\n{line}\n"), expected);
    };
    worker("\"offset.flush.interval.ms\" = 10000", &[]);
    worker("\"offset.storage.topic\" = \"x\"", &["which `generation` names"]);
    worker("\"group.id\" = \"x\"", &["MSK Connect keeps `group.id` for itself"]);
    worker("\"rest.port\" = 1", &["MSK Connect keeps `rest.port` for itself"]);
    worker("\"producer.linger.ms\" = 1", &["MSK Connect doesn't allow `producer.linger.ms`"]);
    worker("\"producer.batch.size\" = 1", &[]);
    worker("\"config.providers\" = \"x\"", &["what the database's password comes through"]);
}

#[test]
fn what_is_around_it_is_checked() {
    let problems =
        expand(&format!("{AROUND}[connector.mysql]\nsource = \"order\"\ntables = [\"a.b\"]\n"))
            .unwrap_err();
    assert!(problems.to_string().contains("there is no `[database.order]`"), "{problems}");
    let two = AROUND.replace("[kafka.main]", "[kafka.a]\n[kafka.b]");
    let problems = expand(&format!("{two}[connector.mysql]\n{PLAIN}")).unwrap_err();
    assert!(problems.to_string().contains("there are several clusters"), "{problems}");
    let t3 = AROUND.replace(
        "[kafka.main]",
        "[kafka.main]\nversion = \"3.9.x\"\nbrokers = { type = \"kafka.t3.small\" }",
    );
    let expanded = expand(&format!("{t3}[connector.mysql]\n{PLAIN}")).unwrap();
    assert!(expanded.problems.iter().any(|p| p.message.contains("4 new IAM connections")));
    let scram = AROUND.replace("[kafka.main]", "[kafka.main]\nlisteners = [\"scram\"]");
    let problems = expand(&format!("{scram}[connector.mysql]\n{PLAIN}")).unwrap_err();
    assert!(problems.to_string().contains("has none of them"), "{problems}");
}

#[test]
fn connectors_do_not_share_what_must_be_their_own() {
    let text = format!(
        "{AROUND}[connector.a]\n{PLAIN}server_id = 7\nprefix = \"x\"\n[connector.b]\n{PLAIN}server_id = 7\nprefix = \"x\"\n"
    );
    let problems = expand(&text).unwrap_err();
    let places: Vec<_> = problems.0.iter().map(|p| p.path.to_string()).collect();
    assert_eq!(places, ["connector.b.server_id", "connector.b.prefix"], "{problems}");
    let text = format!("{AROUND}[connector.a]\n{PLAIN}[connector.b]\n{PLAIN}");
    let expanded = expand(&text).unwrap();
    let buckets = expanded.resources.iter().filter(|r| r.address.as_str() == BUCKET).count();
    assert_eq!(buckets, 1);
}

#[test]
fn the_builder_says_what_the_document_says() {
    let mut pipeline = Pipeline::new("orders-cdc", "eu-west-1");
    pipeline.declare("", Network::vpc("vpc-0ab12cd"));
    let orders = pipeline.declare("orders", Database::default());
    let main = pipeline.declare("main", Kafka::new());
    let mysql = Debezium::mysql(orders, main).tables(["shop.orders", "shop.customers"]);
    pipeline.declare("mysql", mysql);
    let built = pipeline.expand(&components(), &pin(), &Facts::new()).unwrap();
    let read = connector(PLAIN).unwrap();
    assert_eq!(
        props(&built, "connector.mysql.connector"),
        props(&read, "connector.mysql.connector")
    );
}

#[test]
fn a_plugins_digest_names_the_plugin_and_is_uploaded_once() {
    let text = format!("{AROUND}[connector.a]\n{PLAIN}[connector.b]\n{PLAIN}");
    let pipeline = read(&text).unwrap();
    let fact = serde_json::json!({ "sha256": "ab".repeat(32), "size": 5, "class": Product::of(Engine::MySql).class });
    let facts = Facts::from([("plugin:a".into(), fact.clone()), ("plugin:b".into(), fact)]);
    let expanded = pipeline.expand(&components(), &pin(), &facts).unwrap();
    assert_eq!(props(&expanded, "connector.a.plugin")["name"], "orders-cdc-a-abababab");
    assert_eq!(props(&expanded, "plugins.object-abababab")["size"], 5);
}

const POSTGRESQL: &str = "\
[pipeline]
name = \"orders-cdc\"
region = \"eu-west-1\"
[network]
vpc = \"vpc-0ab12cd\"
[database.orders]
engine = \"aurora-postgresql\"
[kafka.main]
";

fn postgres(keys: &str) -> Result<Expanded, Problems> {
    expand(&format!("{POSTGRESQL}[connector.mysql]\n{PLAIN}{keys}"))
}

#[test]
fn the_whole_configuration_for_postgresql() {
    insta::assert_snapshot!(configuration(&postgres("").unwrap()), @r#"
    config.action.reload=none
    connector.class=io.debezium.connector.postgresql.PostgresConnector
    database.dbname=orders
    database.hostname=<database.orders.cluster.endpoint>
    database.password=${secretsmanager:orders-cdc/orders/capture:password}
    database.port=5432
    database.sslmode=require
    database.user=${secretsmanager:orders-cdc/orders/capture:username}
    decimal.handling.mode=string
    errors.log.enable=true
    errors.log.include.messages=false
    errors.tolerance=none
    heartbeat.action.query=INSERT INTO "cdc"."heartbeat" (connector, beat) VALUES ('orders-cdc-mysql', now()) ON CONFLICT (connector) DO UPDATE SET beat = now()
    heartbeat.interval.ms=30000
    key.converter=org.apache.kafka.connect.json.JsonConverter
    key.converter.schemas.enable=false
    plugin.name=pgoutput
    publication.autocreate.mode=disabled
    publication.name=orders_cdc_mysql
    signal.data.collection=cdc.signal
    signal.enabled.channels=source
    slot.drop.on.stop=false
    slot.name=orders_cdc_mysql_1
    snapshot.locking.mode=none
    snapshot.mode=no_data
    table.include.list=shop.orders,shop.customers,cdc.signal,cdc.canary
    tasks.max=1
    tombstones.on.delete=true
    topic.creation.default.cleanup.policy=delete
    topic.creation.default.partitions=6
    topic.creation.default.replication.factor=3
    topic.creation.default.retention.ms=604800000
    topic.creation.groups=internal
    topic.creation.internal.cleanup.policy=delete
    topic.creation.internal.include=orders-cdc-mysql,__debezium-heartbeat\.orders-cdc-mysql,orders-cdc-mysql\.cdc\.signal,orders-cdc-mysql\.cdc\.canary
    topic.creation.internal.partitions=1
    topic.creation.internal.replication.factor=3
    topic.creation.internal.retention.ms=604800000
    topic.prefix=orders-cdc-mysql
    value.converter=org.apache.kafka.connect.json.JsonConverter
    value.converter.schemas.enable=false
    "#);
}

#[test]
fn postgresql_needs_no_history() {
    let expanded = postgres("").unwrap();
    let addresses: Vec<_> = expanded.resources.iter().map(|r| r.address.as_str()).collect();
    assert!(addresses.contains(&"connector.mysql.offsets-topic"));
    assert!(!addresses.contains(&"connector.mysql.history-topic"));
    let role = props(&expanded, "connector.mysql.role").to_string();
    assert!(role.contains("offsets.1") && !role.contains("history"), "{role}");
}

#[test]
fn a_generation_of_postgresql_has_a_slot_of_its_own() {
    let of = |keys: &str, key: &str| {
        let expanded = postgres(keys).unwrap();
        let props = props(&expanded, "connector.mysql.connector");
        props["configuration"][key].as_str().unwrap().to_owned()
    };
    assert_eq!(of("", "slot.name"), "orders_cdc_mysql_1");
    assert_eq!(of("generation = 2", "slot.name"), "orders_cdc_mysql_2");
    assert_eq!(of("generation = 2", "publication.name"), "orders_cdc_mysql");
    assert_eq!(of("slot = \"mine\"\ngeneration = 2", "slot.name"), "mine");
    assert_eq!(of("snapshot = \"initial\"", "snapshot.mode"), "initial");
    assert_eq!(of("snapshot = \"initial\"", "snapshot.locking.mode"), "none");
}

#[track_caller]
fn check_postgres(keys: &str, expected: &[&str]) {
    is_told(postgres(keys), expected);
}

#[test]
fn what_cannot_work_with_postgresql() {
    check_postgres("", &[]);
    check_postgres("snapshot = \"initial\"", &[]);
    check_postgres("slot = \"my-slot\"", &["is no name for a replication slot"]);
    check_postgres("slot = \"Mine\"", &["is no name for a replication slot"]);
    check_postgres("publication = \"1st\"", &["is no name for a publication"]);
    check_postgres("server_id = 7", &["knows its readers by their slots"]);
    check_postgres("capacity = { workers = 2 }", &["PostgreSQL connector is a single task"]);
    let config = |pair: &str, expected: &[&str]| {
        check_postgres(&format!("config = {{ {pair} }}"), expected);
    };
    config("\"slot.name\" = \"s\"", &["is set by `slot`"]);
    config("\"publication.name\" = \"p\"", &["is set by `publication`"]);
    config("\"database.dbname\" = \"d\"", &["is set by `database` of the source"]);
    config("\"database.server.id\" = 7", &["is a key of debezium's mysql connector"]);
    config("\"plugin.name\" = \"decoderbufs\"", &["no output plugin `decoderbufs`"]);
    config("\"plugin.name\" = \"wal2json\"", &["is no value", "no output plugin `wal2json`"]);
    config("\"slot.drop.on.stop\" = true", &["each stop drops the slot"]);
    config("\"publication.autocreate.mode\" = \"filtered\"", &["owns no table"]);
    config("\"snapshot.mode\" = \"schema_only\"", &["is no value", "deprecated"]);
    config("\"snapshot.locking.mode\" = \"minimal\"", &["is no value"]);
    config("\"database.sslmode\" = \"disable\"", &["in the clear"]);
    config("\"slot.stream.parms\" = \"a\"", &["doesn't know `slot.stream.parms`"]);
    config("\"slot.max.retries\" = -1", &["can't be `-1`"]);
    check("slot = \"s\"\nsource = \"orders\"\ntables = [\"a.b\"]", &["has no slot"]);
}

#[test]
fn two_connectors_share_neither_slot_nor_publication() {
    let keys = "slot = \"s\"\npublication = \"p\"\n";
    let text = format!(
        "{POSTGRESQL}[connector.a]\n{PLAIN}{keys}prefix = \"a\"\n[connector.b]\n{PLAIN}{keys}prefix = \"b\"\n"
    );
    let told =
        ["connector.b.publication: `connector.a` has", "connector.b.slot: `connector.a` reads"];
    is_told(expand(&text), &told);
}
