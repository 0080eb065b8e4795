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
    assert_eq!(props("database.main.cluster")["version"], VERSION);
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
    problem("[database.main]\nengine = \"aurora-postgresql\"\n", "not supported yet");
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
    assert_eq!(built.full_version(), VERSION);
    assert_eq!(built.capacity(), None);
    assert_eq!(built.ready("main").as_str(), "database.main.writer");
}
