//! One cluster, two databases and whoever watches: what every failure is provoked on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use msk_pipeline_emulator::plane;
use msk_pipeline_emulator::shell::Shared as _;
use msk_pipeline_real::{Event, RealPlane, connect, mariadb};
use msk_pipeline_verify::cause::{Evidence, Reported, Verdict, diagnose};
use serde_json::{Value, json};

use crate::account::{Account, Connector, MYSQL};
use crate::common;
use crate::failure::Failure;
use crate::observer::{LOOK, Observer, Sought};
use crate::table::{By, Row};

/// How long any state may take.
const PATIENCE: Duration = Duration::from_mins(4);
/// By when a cause has to be told.
const LATENCY: Duration = Duration::from_secs(2);

/// The usual worker configuration, with the provider that AWS's guide has.
const WORKER: &str = "key.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=false
value.converter=org.apache.kafka.connect.json.JsonConverter
value.converter.schemas.enable=false
config.providers=secretsmanager
config.providers.secretsmanager.class=com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider
config.providers.secretsmanager.param.region=us-east-1
config.providers.secretsmanager.param.NotFoundStrategy=fail
offset.flush.interval.ms=1000
";

/// A database as its clients see it.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) name: &'static str,
    pub(crate) endpoint: String,
    /// Of the master.
    password: String,
}

/// What the plane told of objects that failed, the newest of each with its time.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<BTreeMap<String, (Instant, String)>>);

impl Answers {
    pub(crate) fn hear(&self, event: Event) {
        if let Event::Failed { object, message } = event {
            self.0.lock().expect("whole").insert(object, (Instant::now(), message));
        }
    }
}

/// Everything that failures share.
pub(crate) struct Stage {
    pub(crate) account: Account,
    pub(crate) plane: RealPlane,
    folder: PathBuf,
    pub(crate) cluster: String,
    pub(crate) bootstrap: String,
    pub(crate) plugin: String,
    pub(crate) worker: String,
    pub(crate) role: String,
    pub(crate) orders: Database,
    /// One whose settings are changed.
    pub(crate) other: Database,
    answers: Arc<Answers>,
    rows: Mutex<Vec<Row>>,
    problems: Mutex<Vec<String>>,
}

/// Asks until the answer is `wanted`.
#[track_caller]
pub(crate) fn until(what: &str, wanted: &[&str], mut ask: impl FnMut() -> String) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask();
        if wanted.contains(&answer.as_str()) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what} is {answer} and not {wanted:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Stage {
    /// Starts the cluster and the databases.
    pub(crate) fn start(
        account: Account,
        plane: RealPlane,
        folder: &Path,
        answers: Arc<Answers>,
    ) -> Self {
        let everything = json!([{ "Effect": "Allow", "Action": "*", "Resource": "*" }]);
        let role = account.role("connect", &everything);
        let cluster = account.cluster("demo");
        let endpoints = ["orders", "other"].map(|name| account.database(name, &MYSQL));
        let plugin =
            account.plugin("debezium", &std::fs::read(common::plugin("mysql")).expect("packed"));
        let worker = account.worker_configuration(WORKER);
        until("the cluster", &["ACTIVE"], || account.cluster_state(&cluster));
        let [orders, other] = endpoints;
        for instance in ["orders-1", "other-1"] {
            until(instance, &["available"], || account.instance_status(instance));
        }
        until("the plugin", &["ACTIVE"], || account.plugin_state(&plugin));
        let database = |name: &'static str, endpoint: String| {
            let password = account.master_password_of(&endpoint);
            Database { name, endpoint, password }
        };
        let bootstrap = account.bootstrap(&cluster);
        Self {
            orders: database("orders", orders),
            other: database("other", other),
            folder: folder.to_owned(),
            bootstrap,
            account,
            plane,
            cluster,
            plugin,
            worker,
            role,
            answers,
            rows: Mutex::default(),
            problems: Mutex::default(),
        }
    }

    /// Runs statements as a database's master.
    #[track_caller]
    pub(crate) fn sql(&self, database: &Database, statements: &str) -> String {
        let address = self.plane.hosts()[&database.endpoint];
        common::mariadb(address, "admin", &database.password, statements)
            .unwrap_or_else(|e| panic!("{statements}: {e}"))
    }

    /// Runs statements as the administrator, who on AWS is RDS itself.
    #[track_caller]
    pub(crate) fn administer(&self, database: &Database, statements: &str) -> String {
        let options = mariadb::folder(&self.folder, database.name).join("server.cnf");
        common::administer(&options, statements).unwrap_or_else(|e| panic!("{statements}: {e}"))
    }

    /// The file that is written now.
    pub(crate) fn newest_log(&self, database: &Database) -> String {
        let logs = self.administer(database, "SHOW BINARY LOGS");
        let newest = logs.lines().last().and_then(|line| line.split_whitespace().next());
        newest.expect("a log").to_owned()
    }

    pub(crate) fn log_of(&self, connector: &str) -> PathBuf {
        connect::folder(&self.folder, connector).join("worker.log")
    }

    /// Provokes a failure and watches how it is explained.
    pub(crate) fn fails(
        &self,
        connector: &str,
        configuration: &Value,
        failure: &Failure,
        provoke: impl FnOnce(),
    ) {
        let group = format!("/{connector}");
        let config: BTreeMap<String, String> =
            serde_json::from_value(configuration.clone()).expect("texts");
        let evidence = Evidence {
            connector: connector.into(),
            connector_config: config,
            ..Evidence::default()
        };
        let sought = Sought {
            group: &group,
            file: matches!(failure.by, By::Programs).then(|| self.log_of(connector)),
            symptom: failure.symptom,
            code: failure.code,
            least: failure.least,
        };
        let observer = Observer::new(&self.account, evidence, sought);
        let started = Instant::now();
        let seen = std::thread::scope(|scope| {
            let seen = scope.spawn(|| observer.run());
            provoke();
            seen.join().expect("an observer")
        });
        match seen {
            Ok(seen) => {
                let symptom = seen.symptom.saturating_duration_since(started);
                let latency = seen.explained.saturating_duration_since(seen.symptom);
                let row = failure.row(&seen.verdict, Some(symptom), Some(latency));
                self.told(row);
            }
            Err(problem) => self.problem(format!("{}: {problem}", failure.what)),
        }
    }

    /// A failure that no log tells: what is known, and since when, is asked for again and again.
    pub(crate) fn reports(
        &self,
        failure: &Failure,
        started: Instant,
        known: impl Fn() -> Option<(Instant, Evidence)>,
    ) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while Instant::now() < deadline {
            let Some((symptom, evidence)) = known() else {
                std::thread::sleep(LOOK);
                continue;
            };
            let diagnosis = diagnose(&evidence);
            let found = diagnosis.verdict.as_ref();
            let right = |v: &&Verdict| v.code == failure.code && v.certainty >= failure.least;
            let Some(verdict) = found.filter(right) else {
                return self.problem(format!("{}: {diagnosis}", failure.what));
            };
            let after = symptom.saturating_duration_since(started);
            return self.told(failure.row(verdict, Some(after), Some(symptom.elapsed())));
        }
        self.problem(format!("{}: nothing was reported", failure.what));
    }

    /// What Connect answered about a connector since then.
    pub(crate) fn answer(&self, connector: &str, since: Instant) -> Option<(Instant, Evidence)> {
        let answers = self.answers.0.lock().expect("whole");
        let (at, message) = answers.get(&format!("connector {connector}"))?;
        let reported = Reported { code: String::new(), message: message.clone() };
        let evidence = Evidence {
            connector: connector.into(),
            reported: Some(reported),
            ..Evidence::default()
        };
        (*at >= since).then_some((*at, evidence))
    }

    pub(crate) fn told(&self, row: Row) {
        println!("{row}");
        if let Some(latency) = row.latency.filter(|l| *l >= LATENCY) {
            self.problem(format!("{}: explained only after {latency:?}", row.what));
        }
        self.rows.lock().expect("whole").push(row);
    }

    /// Something that is wrong; the others are tried all the same.
    pub(crate) fn problem(&self, problem: String) {
        println!("PROBLEM {problem}");
        self.problems.lock().expect("whole").push(problem);
    }

    /// The rows, and what was wrong.
    pub(crate) fn finish(self) -> (Vec<Row>, Vec<String>) {
        self.plane.stop();
        (self.rows.into_inner().expect("whole"), self.problems.into_inner().expect("whole"))
    }

    /// What a connector's tasks were last reported to do.
    pub(crate) fn tasks(&self, arn: &str) -> Vec<plane::Task> {
        let mut found = Vec::new();
        self.account.world.look(&mut |world, _| found = plane::tasks(world, arn));
        found
    }

    pub(crate) fn create(&self, name: &str, with: &With<'_>, configuration: &Value) -> String {
        self.account.connector(
            name,
            &Connector {
                configuration,
                bootstrap: &self.bootstrap,
                plugin: with.plugin.unwrap_or(&self.plugin),
                worker: with.worker.unwrap_or(&self.worker),
                role: with.role.unwrap_or(&self.role),
                log_group: &format!("/{name}"),
                subnets: with.subnets,
            },
        )
    }

    pub(crate) fn state(&self, arn: &str) -> String {
        let shown = self.account.describe_connector(arn);
        shown["connectorState"].as_str().unwrap_or_default().to_owned()
    }

    /// Sets parameters of a database's cluster parameter group; a reboot takes over those that need one.
    pub(crate) fn parameters(&self, database: &Database, pairs: &[(&str, &str, &str)]) {
        let group = format!("{}-parameters", database.name);
        let mut all = vec![("DBClusterParameterGroupName".to_owned(), group)];
        for (n, (name, value, apply)) in pairs.iter().enumerate() {
            let key = |part: &str| format!("Parameters.Parameter.{}.{part}", n + 1);
            all.push((key("ParameterName"), (*name).into()));
            all.push((key("ParameterValue"), (*value).into()));
            all.push((key("ApplyMethod"), (*apply).into()));
        }
        let all: Vec<(&str, &str)> = all.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        self.account.form("rds", "2014-10-31", "ModifyDBClusterParameterGroup", &all);
    }

    pub(crate) fn reboot(&self, database: &Database) {
        let instance = format!("{}-1", database.name);
        let pid = || {
            let running = msk_pipeline_real::process::running(&self.folder).expect("a list");
            let name = format!("MariaDB of {}", database.name);
            running.into_iter().find(|p| p.name == name).map_or(0, |p| p.pid)
        };
        let before = pid();
        self.account.reboot_instance(&instance);
        until(&instance, &["rebooting", "available"], || self.account.instance_status(&instance));
        until(&instance, &["available"], || {
            if pid() == before { String::new() } else { self.account.instance_status(&instance) }
        });
    }

    /// The topic of a schema history, as `apply` makes it.
    pub(crate) fn history(&self, prefix: &str) {
        let configs = json!({ "cleanup.policy": "delete", "retention.ms": "-1" });
        self.account.topic(&self.cluster, &format!("{prefix}.history"), &configs);
    }

    /// A configuration that works, with topics of its own.
    pub(crate) fn configuration(&self, prefix: &str, server_id: u32) -> Value {
        let mut all = json!({
            "connector.class": "io.debezium.connector.mysql.MySqlConnector",
            "tasks.max": "1",
            "database.hostname": self.orders.endpoint,
            "database.port": "3306",
            "database.user": "${secretsmanager:cdc/orders:username}",
            "database.password": "${secretsmanager:cdc/orders:password}",
            "database.server.id": server_id.to_string(),
            "database.ssl.mode": "required",
            "database.include.list": "shop",
            "table.include.list": "shop.orders",
            "snapshot.locking.mode": "minimal",
            "schema.history.internal.store.only.captured.tables.ddl": "true",
            "topic.prefix": prefix,
            "topic.creation.default.partitions": "1",
            "topic.creation.default.replication.factor": "-1",
            "schema.history.internal.kafka.topic": format!("{prefix}.history"),
            "schema.history.internal.kafka.bootstrap.servers": self.bootstrap,
        });
        for (key, value) in IAM {
            both(&mut all, key, value);
        }
        all
    }
}

/// What a client of the IAM listener needs.
const IAM: &[(&str, &str)] = &[
    ("security.protocol", "SASL_SSL"),
    ("sasl.mechanism", "AWS_MSK_IAM"),
    ("sasl.jaas.config", "software.amazon.msk.auth.iam.IAMLoginModule required;"),
    ("sasl.client.callback.handler.class", "software.amazon.msk.auth.iam.IAMClientCallbackHandler"),
];

/// Sets a key of both clients of the schema history.
pub(crate) fn both(configuration: &mut Value, key: &str, value: &str) {
    for side in ["producer", "consumer"] {
        configuration[format!("schema.history.internal.{side}.{key}")] = value.into();
    }
}

/// What is other than usual in a connector's making.
#[derive(Default)]
pub(crate) struct With<'a> {
    pub(crate) plugin: Option<&'a str>,
    pub(crate) worker: Option<&'a str>,
    pub(crate) role: Option<&'a str>,
    pub(crate) subnets: Option<&'a [String]>,
}
