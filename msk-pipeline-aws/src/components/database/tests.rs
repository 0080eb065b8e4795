use msk_pipeline_core::dsl::{Components, Document, Expanded, Problems};
use msk_pipeline_core::state::Pin;

use super::*;

const HEAD: &str = "[pipeline]\nname = \"orders\"\nregion = \"eu-west-1\"\n";

fn expand(body: &str) -> Result<Expanded, Problems> {
    let components: Components = crate::components::components();
    let pin =
        Pin { account: "111111111111".into(), region: "eu-west-1".into(), partition: "aws".into() };
    let text = format!("{HEAD}{body}");
    let document = Document::parse(&text)?;
    let pipeline = document.pipeline(&components, &Default::default())?;
    pipeline.expand(&components, &pin, &Default::default())
}

#[track_caller]
fn problem(body: &str, expected: &str) {
    let text = match expand(&format!("[network]\nvpc = \"vpc-0ab12cd\"\n{body}")) {
        Ok(expanded) => Problems(expanded.problems).to_string(),
        Err(problems) => problems.to_string(),
    };
    assert!(text.contains(expected), "{expected} is not in: {text}");
}

#[test]
fn the_smallest_database_is_complete() {
    let connector = "[connector.c]\nsource = \"main\"\ntables = [\"shop.orders\"]\n";
    let around = "[network]\nvpc = \"vpc-0ab12cd\"\n[kafka.main]\n";
    let expanded = expand(&format!("{around}[database.main]\n{connector}")).unwrap();
    let addresses = expanded.resources.iter().map(|r| r.address.as_str());
    let addresses: Vec<_> = addresses.filter(|a| a.starts_with("database.")).collect();
    assert_eq!(
        addresses,
        [
            "database.main.capture-secret",
            "database.main.group",
            "database.main.rules",
            "database.main.subnets",
            "database.main.cluster-parameters",
            "database.main.instance-parameters",
            "database.main.cluster",
            "database.main.writer",
        ]
    );
    assert!(expanded.problems.is_empty(), "{:?}", expanded.problems);
    let props = |address: &str| {
        &expanded.resources.iter().find(|r| r.address.as_str() == address).unwrap().props
    };
    assert_eq!(props("database.main.cluster")["version"], Engine::MySql.version());
    assert_eq!(props("database.main.cluster")["serverless"]["min"], 0.5);
    assert_eq!(props("database.main.cluster-parameters")["parameters"]["binlog_format"], "ROW");
    assert_eq!(props("database.main.cluster-parameters")["name"], "orders-main-cluster-mysql8-0");
    assert_eq!(props("database.main.writer")["class"], "db.serverless");
    assert_eq!(props("database.main.rules")["rules"][0]["from_port"], 3306);
    let sql = &expanded.notices[0].body;
    assert!(sql.contains("'binlog retention hours', 168"), "{sql}");
    assert!(sql.contains("<password from secret orders/main/capture>"), "{sql}");
}

#[test]
fn an_existing_database_is_looked_up() {
    let body = "[database.main]\nexisting = \"prod\"\ncapture = { secret = \"cdc/prod\" }\n";
    let expanded = expand(body).unwrap();
    let kinds: Vec<_> = expanded.resources.iter().map(|r| r.kind.as_str()).collect();
    assert_eq!(kinds, ["aws.secretsmanager.secret", "aws.rds.cluster-lookup"]);
    assert_eq!(expanded.resources[0].props["existing"], true);
    assert_eq!(expanded.resources[1].props["port"], 3306);
    let expanded = expand(&format!("{body}port = 3307\n")).unwrap();
    assert_eq!(expanded.resources[1].props["port"], 3307);
}

#[test]
fn what_cannot_work_says_what_to_do() {
    problem("[database.main]\ndatabase = \"shop\"\n", "has no databases beside schemas");
    problem("[database.main]\nlogs = [\"postgresql\"]\n", "has no log `postgresql`");
    problem("[database.main]\nwriter = { class = \"db.t3.small\" }\n", "db.t4g.medium");
    problem("[database.main]\nversion = \"5.7.mysql_aurora.2.11.2\"\n", "Debezium 2.7");
    problem("[database.main]\nversion = \"9\"\n", "no version of Aurora MySQL");
    problem("[database.main]\nserverless = { min = 0, max = 4 }\n", "never pauses");
    problem("[database.main]\nserverless = { min = 0.7, max = 4 }\n", "steps of 0.5");
    problem("[database.main]\npublic = true\n", "public addresses");
    problem(
        "[database.main]\npublic = true\nallow = [{ cidr = \"0.0.0.0/0\" }]\n",
        "opens the database to the internet",
    );
    problem("[database.main]\nparameters = { binlog_format = \"MIXED\" }\n", "breaks capturing");
    problem("[database.main]\nexisting = \"prod\"\nlogs = [\"audit\"]\n", "never changed");
    problem(
        "[database.main]\nexisting = \"p.cluster-ro-x.eu-west-1.rds.amazonaws.com\"\n",
        "a reader has no binary logs",
    );
    problem("[database.main]\nbackup_retention = \"36h\"\n", "whole days");
    problem("[database.main]\ncapture = { binlog_retention = \"12h\" }\n", "3d");
    problem("[database.main]\ncapture = { user = \"a'b\" }\n", "no user name");
}

const POSTGRESQL: &str = "[database.main-db]\nengine = \"aurora-postgresql\"\n";

#[test]
fn the_smallest_postgresql_is_complete() {
    let connector = "[connector.c]\nsource = \"main-db\"\ntables = [\"shop.Orders\"]\n";
    let around = "[network]\nvpc = \"vpc-0ab12cd\"\n[kafka.main]\n";
    let expanded = expand(&format!("{around}{POSTGRESQL}{connector}")).unwrap();
    assert!(expanded.problems.is_empty(), "{:?}", expanded.problems);
    let props = |part: &str| {
        let address = format!("database.main-db.{part}");
        &expanded.resources.iter().find(|r| r.address.as_str() == address).unwrap().props
    };
    let cluster = props("cluster");
    assert_eq!(cluster["engine"], "aurora-postgresql");
    assert_eq!(cluster["version"], "16.8");
    assert_eq!(cluster["database"], "main_db");
    assert_eq!(cluster["master_user"], "postgres");
    assert_eq!(cluster["port"], 5432);
    let parameters = props("cluster-parameters");
    assert_eq!(parameters["family"], "aurora-postgresql16");
    assert_eq!(parameters["name"], "orders-main-db-cluster-postgresql16");
    assert_eq!(parameters["parameters"]["rds.logical_replication"], "1");
    assert!(parameters["parameters"].get("binlog_format").is_none());
    assert_eq!(props("rules")["rules"][0]["from_port"], 5432);
    insta::assert_snapshot!(expanded.notices[0].body, @r#"
    -- Run as the master user in the database `main_db`, on the cluster's writer endpoint. The password:
    --   aws secretsmanager get-secret-value --secret-id orders/main-db/capture --query SecretString --output text
    DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'debezium') THEN CREATE ROLE "debezium"; END IF;
    END $$;
    ALTER ROLE "debezium" LOGIN PASSWORD '<password from secret orders/main-db/capture>';
    CREATE SCHEMA IF NOT EXISTS "cdc";
    CREATE TABLE IF NOT EXISTS "cdc"."signal" (id VARCHAR(42) PRIMARY KEY, type VARCHAR(32) NOT NULL, data VARCHAR(2048) NULL);
    CREATE TABLE IF NOT EXISTS "cdc"."heartbeat" (connector VARCHAR(100) PRIMARY KEY, beat TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP);
    CREATE TABLE IF NOT EXISTS "cdc"."canary" (id VARCHAR(64) NOT NULL PRIMARY KEY, step INT NOT NULL);
    ALTER TABLE "cdc"."canary" REPLICA IDENTITY FULL;
    GRANT rds_replication TO "debezium";
    GRANT SELECT ON "cdc"."canary" TO "debezium";
    GRANT INSERT, SELECT, UPDATE ON "cdc"."heartbeat" TO "debezium";
    GRANT DELETE, INSERT, SELECT ON "cdc"."signal" TO "debezium";
    GRANT CONNECT ON DATABASE "main_db" TO "debezium";
    GRANT USAGE ON SCHEMA "cdc" TO "debezium";
    GRANT USAGE ON SCHEMA "shop" TO "debezium";
    GRANT SELECT ON "shop"."Orders" TO "debezium";
    -- Its owner has to own every table in it; of one that another role owns: GRANT <owner> TO <master user>;
    DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = 'orders_c') THEN CREATE PUBLICATION "orders_c"; END IF;
    END $$;
    ALTER PUBLICATION "orders_c" SET TABLE "cdc"."canary", "cdc"."heartbeat", "cdc"."signal", "shop"."Orders";
    SELECT pg_create_logical_replication_slot('orders_c_1', 'pgoutput')
      WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'orders_c_1');
    -- A slot that nobody reads fills the disk. When the connector is gone for good:
    --   SELECT pg_drop_replication_slot('orders_c_1'); DROP PUBLICATION "orders_c";
    -- To verify: logical; the slots, not lost; every captured table.
    SHOW wal_level;
    SELECT slot_name, active, wal_status FROM pg_replication_slots;
    SELECT * FROM pg_publication_tables;
    "#);
}

#[test]
fn an_existing_postgresql_is_looked_up() {
    let body = format!("{POSTGRESQL}existing = \"prod\"\ndatabase = \"shop\"\n");
    let expanded = expand(&body).unwrap();
    let lookup = &expanded.resources[1];
    assert_eq!(lookup.kind, "aws.rds.cluster-lookup");
    assert_eq!(lookup.props["port"], 5432);
    assert_eq!(lookup.props["parameters"]["rds.logical_replication"], "1");
}

#[test]
fn what_cannot_work_with_postgresql_says_what_to_do() {
    let problem = |keys: &str, expected: &str| problem(&format!("{POSTGRESQL}{keys}\n"), expected);
    problem("version = \"3.10.4\"", "is no version of Aurora PostgreSQL");
    problem("version = \"16\"", "major and minor version");
    problem("version = \"13.18\"", "past standard support");
    problem("version = \"17.5\"", "supports PostgreSQL up to 16");
    problem("existing = \"prod\"", "a slot reads one");
    problem(
        "existing = \"p.cluster-ro-x.eu-west-1.rds.amazonaws.com\"",
        "a reader has no replication slots",
    );
    problem("database = \"Shop\"", "is no name for a database");
    problem("database = \"template1\"", "belongs to the server");
    problem("master_user = \"admin\"", "reserved by the engine");
    problem("capture = { user = \"pg_reader\" }", "reserved by the engine");
    problem("capture = { binlog_retention = \"7d\" }", "has no binary logs");
    problem("capture = { signal_table = \"cdc.Signal\" }", "as lower case");
    problem("capture = { signal_table = \"pg_catalog.signal\" }", "the server's own schema");
    problem("writer = { class = \"db.t3.small\" }", "does not exist for Aurora PostgreSQL");
    problem("logs = [\"slowquery\"]", "its logs: postgresql");
    problem("parameters = { \"rds.logical_replication\" = 0 }", "breaks capturing");
    problem("parameters = { wal_level = \"logical\" }", "lets nobody set wal_level");
    problem("parameters = { max_slot_wal_keep_size = 1024 }", "loses its slot");
    let connector = "[connector.c]\nsource = \"main-db\"\ntables = [\"shop.orders\"]\n[kafka.main]";
    let few = "parameters = { max_replication_slots = 0 }";
    problem(&format!("{few}\n{connector}"), "0 is too few");
}

#[test]
fn builder_and_document_are_one() {
    let built = Database::aurora_mysql()
        .version("3.10.4")
        .writer("db.r7g.large")
        .reader("a", "db.r7g.large")
        .parameter("max_allowed_packet", 67_108_864)
        .on_destroy(OnDestroy::Delete);
    let value = serde_json::to_value(&built).unwrap();
    assert_eq!(serde_json::from_value::<Database>(value).unwrap(), built);
    assert_eq!(built.full_version(), Engine::MySql.version());
    assert_eq!(built.capacity(), None);
    assert_eq!(built.ready("main").as_str(), "database.main.writer");
}
