//! A database, brokers and a worker, put together by plain calls.

mod client;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use msk_pipeline_plugin::{Options, Sources, Store};
use msk_pipeline_real::connect::{self, Credentials, Worker};
use msk_pipeline_real::kafka::{self, Listener, Running};
use msk_pipeline_real::mariadb::{Server, Spec as DatabaseSpec};
use msk_pipeline_real::process::Ledger;
use msk_pipeline_real::properties::Properties;
use msk_pipeline_real::proxy::Gate;
use msk_pipeline_real::sigv4::{Presigned, Refusal};
use msk_pipeline_real::toolbox::Jars;
use msk_pipeline_real::{Authority, Error, Hosts, RealPlane, Toolbox};

const REGION: &str = "us-east-1";
const DOMAIN: &str = "demo.abc123.c2.kafka.us-east-1.amazonaws.com";
const ENDPOINT: &str = "orders.cluster-abc123.us-east-1.rds.amazonaws.com";

pub(crate) fn credentials() -> Credentials {
    Credentials {
        access_key: "ASIAEXAMPLE".into(),
        secret: "key/secret+".into(),
        token: "to/ken+=".into(),
    }
}

struct OneRole;

impl Gate for OneRole {
    fn admit(&self, claim: &Presigned) -> Result<(), Refusal> {
        let Credentials { access_key, secret, token } = credentials();
        if claim.access_key()? != access_key {
            return Err(Refusal::Key);
        }
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("later");
        claim.check(&secret, Some(&token), REGION, i64::try_from(now.as_secs()).expect("soon"))
    }

    fn refused(&self, access_key: &str, refusal: Refusal) {
        panic!("{access_key}: {refusal}");
    }
}

pub(crate) struct Bench {
    folder: tempfile::TempDir,
    toolbox: Toolbox,
    jars: Jars,
    hosts: Hosts,
    authority: Authority,
    ledger: Arc<Ledger>,
    count: u32,
    server: Option<Server>,
    brokers: BTreeMap<u32, Running>,
    worker: Option<Worker>,
}

/// Whether real programs are wanted.
pub(crate) fn wanted() -> bool {
    if std::env::var_os("MSKP_REAL").is_some_and(|v| v == "1") {
        return true;
    }
    println!(
        "left out: set MSKP_REAL=1; it needs the Debian packages default-jre-headless, mariadb-server and postgresql, and a Maven repository once"
    );
    false
}

fn cache() -> PathBuf {
    let var = |name| std::env::var_os(name).map(PathBuf::from);
    var("MSKP_CACHE").or_else(|| Some(var("HOME")?.join(".cache/msk-pipeline"))).expect("a home")
}

pub(crate) fn toolbox() -> Toolbox {
    let store = Store::new(cache(), Sources::from_env());
    Toolbox::find(std::env::var_os("PATH").as_deref(), store).expect("Java")
}

/// The Debezium plugin as `apply` would upload it.
pub(crate) fn plugin(database: &str) -> PathBuf {
    packed(&format!("io.debezium:debezium-connector-{database}:2.7.4.Final"))
}

/// An artefact of Maven Central as a plugin.
pub(crate) fn packed(coordinate: &str) -> PathBuf {
    let part = coordinate.parse().expect("coordinates");
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options::new(cache(), folder.path().join("lock"), Sources::from_env());
    msk_pipeline_plugin::pack(&[part], &options).expect("packed").path
}

/// What a client hears over TCP.
pub(crate) fn mariadb(
    address: std::net::Ipv4Addr,
    user: &str,
    password: &str,
    statements: &str,
) -> Result<String, String> {
    said(client(address, user, password).arg(format!("--execute={statements}")))
}

/// A client over TCP.
pub(crate) fn client(address: std::net::Ipv4Addr, user: &str, password: &str) -> Command {
    let mut command = Command::new(&toolbox().mariadb.as_ref().expect("mariadb-server").client);
    command
        .args(["--no-defaults", "--batch", "--protocol=tcp", "--port=3306"])
        .arg(format!("--host={address}"))
        .arg(format!("--user={user}"))
        .env("MYSQL_PWD", password);
    command
}

/// What the administrator hears over the server's own socket, without a header.
pub(crate) fn administer(options: &std::path::Path, statements: &str) -> Result<String, String> {
    let mut command = Command::new(&toolbox().mariadb.as_ref().expect("mariadb-server").client);
    command.arg(format!("--defaults-file={}", options.display()));
    said(command.args(["--batch", "--skip-column-names"]).arg(format!("--execute={statements}")))
}

fn said(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// What partition 0 of a topic holds, read through the IAM listener with the operator's credentials; brokers that are away have nothing.
pub(crate) async fn read(plane: &RealPlane, bootstrap: &str, topic: &str) -> String {
    let mut all = String::new();
    for host in bootstrap.split(',') {
        let (host, port) = host.split_once(':').expect("host and port");
        let address = (plane.hosts()[host], port.parse().expect("a port")).into();
        let credentials = plane.credentials();
        let seen =
            client::try_fetch(address, host, plane.ca_pem(), &credentials, REGION, topic).await;
        all += &seen.unwrap_or_default();
    }
    all
}

/// Waits until partition 0 of a topic holds a text.
pub(crate) async fn until_read(plane: &RealPlane, bootstrap: &str, topic: &str, needle: &str) {
    let deadline = Instant::now() + Duration::from_mins(5);
    while !read(plane, bootstrap, topic).await.contains(needle) {
        assert!(Instant::now() < deadline, "{needle:?} did not arrive");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    println!("{needle:?} arrived");
}

impl Bench {
    pub(crate) fn new(count: u32) -> Option<Self> {
        if !wanted() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let started = Instant::now();
        let toolbox = toolbox();
        let jars =
            toolbox.jars(&folder.path().join("lib"), |c| println!("fetching {c}")).expect("jars");
        let hosts = Hosts::open(folder.path()).expect("hosts");
        let authority =
            Authority::create(&folder.path().join("ca"), &toolbox.keytool).expect("a CA");
        let (ledger, _) = Ledger::open(folder.path()).expect("a ledger");
        println!("toolbox after {:?}", started.elapsed());
        let (server, worker) = (None, None);
        Some(Self {
            folder,
            toolbox,
            jars,
            hosts,
            authority,
            ledger,
            count,
            server,
            brokers: BTreeMap::new(),
            worker,
        })
    }

    pub(crate) async fn database(&mut self) {
        let pairs = [("binlog_format", "ROW"), ("binlog_row_image", "FULL")];
        let spec = DatabaseSpec {
            name: "orders".into(),
            address: self.hosts.address(ENDPOINT).expect("an address"),
            port: 3306,
            endpoints: [ENDPOINT.to_owned()].into(),
            parameters: pairs.map(|(k, v)| (k.into(), v.into())).into(),
            master: "admin".into(),
            password: "master password".into(),
            database: Some("shop".into()),
        };
        let started = Instant::now();
        let tools = self.toolbox.mariadb.as_ref().expect("mariadb-server");
        let server = Server::start(&spec, self.folder.path(), tools, &self.authority, &self.ledger)
            .await
            .unwrap_or_else(|e| panic!("{}", e.whole()));
        println!("database after {:?}", started.elapsed());
        assert_eq!(server.unknown, [""; 0]);
        self.server = Some(server);
        self.sql_as(
            "admin",
            "master password",
            "CREATE TABLE shop.orders (id INT PRIMARY KEY, note VARCHAR(100));
             INSERT INTO shop.orders VALUES (1, 'old');
             CREATE USER debezium@'%' IDENTIFIED BY 'secret';
             GRANT SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT, LOCK TABLES ON *.* TO debezium@'%'",
        )
        .expect("the master may");
    }

    pub(crate) async fn sql(&self, statements: &str) {
        self.server.as_ref().expect("started").sql(statements).await.expect("accepted");
    }

    /// As a client would, over TCP at the endpoint's address and port.
    pub(crate) fn sql_as(
        &self,
        user: &str,
        password: &str,
        statements: &str,
    ) -> Result<String, String> {
        mariadb(self.hosts.table()[ENDPOINT], user, password, statements)
    }

    pub(crate) async fn brokers(&mut self) {
        let mut brokers = BTreeMap::new();
        for id in 1..=self.count {
            let host = format!("b-{id}.{DOMAIN}");
            let address = self.hosts.address(&host).expect("an address");
            brokers.insert(id, kafka::Broker { host, address });
        }
        let names: BTreeSet<String> = brokers.values().map(|b| b.host.clone()).collect();
        let spec = kafka::Spec {
            name: "demo".into(),
            arn: "arn:aws:kafka:us-east-1:111111111111:cluster/demo/x".into(),
            listeners: [Listener::Plaintext, Listener::Iam].into(),
            properties: Properties::from([(
                "default.replication.factor".into(),
                self.count.to_string(),
            )]),
            voters: brokers.keys().copied().collect(),
            brokers,
        };
        let runtime = kafka::Runtime {
            java: &self.toolbox.java,
            class_path: &self.jars.broker(),
            heap: 256,
            folder: self.folder.path(),
            hosts: self.hosts.file(),
            ledger: &self.ledger,
        };
        let tls = self.authority.server(&names).expect("a certificate");
        let gate: Arc<dyn Gate> = Arc::new(OneRole);
        let started = Instant::now();
        self.brokers = kafka::start_all(&spec, &runtime, &tls, &gate)
            .await
            .unwrap_or_else(|e| panic!("{}", e.whole()));
        println!("{} brokers after {:?}", self.count, started.elapsed());
    }

    fn bootstrap(&self) -> String {
        (1..=self.count).map(|id| format!("b-{id}.{DOMAIN}:9098")).collect::<Vec<_>>().join(",")
    }

    pub(crate) async fn worker(&mut self, password: &str) {
        let provider = "com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider";
        let properties = [
            ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
            ("key.converter.schemas.enable", "false"),
            ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
            ("value.converter.schemas.enable", "false"),
            ("config.providers", "secretsmanager"),
            ("config.providers.secretsmanager.class", provider),
            ("config.providers.secretsmanager.param.region", REGION),
        ];
        let secret = [("username", "debezium"), ("password", password)];
        let spec = connect::Spec {
            name: "mysql".into(),
            id: "0000-2".into(),
            address: self.hosts.address("worker.mysql").expect("an address"),
            bootstrap: self.bootstrap(),
            iam: true,
            tls: true,
            properties: properties.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            plugin: "00".into(),
            jar: false,
            credentials: credentials(),
            region: REGION.into(),
            secrets: [(
                "cdc/orders".into(),
                secret.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            )]
            .into(),
            heap: 256,
        };
        let runtime = connect::Runtime {
            java: &self.toolbox.java,
            class_path: &self.jars.worker(),
            folder: self.folder.path(),
            hosts: self.hosts.file(),
            authority: &self.authority,
            ledger: &self.ledger,
        };
        let started = Instant::now();
        let mut worker = Worker::start(&spec, &plugin("mysql"), &runtime)
            .unwrap_or_else(|e| panic!("{}", e.whole()));
        worker.wait().await.unwrap_or_else(|e| panic!("{}", e.whole()));
        println!("worker after {:?}; {:?}", started.elapsed(), worker.differences);
        self.worker = Some(worker);
    }

    fn configuration(&self) -> BTreeMap<String, String> {
        let jaas = "software.amazon.msk.auth.iam.IAMLoginModule required;";
        let handler = "software.amazon.msk.auth.iam.IAMClientCallbackHandler";
        let bootstrap = self.bootstrap();
        let mut all: BTreeMap<String, String> = [
            ("connector.class", "io.debezium.connector.mysql.MySqlConnector"),
            ("tasks.max", "1"),
            ("database.hostname", ENDPOINT),
            ("database.port", "3306"),
            ("database.user", "${secretsmanager:cdc/orders:username}"),
            ("database.password", "${secretsmanager:cdc/orders:password}"),
            ("database.server.id", "906010"),
            ("database.ssl.mode", "required"),
            ("database.include.list", "shop"),
            ("topic.prefix", "cdc"),
            ("topic.creation.default.partitions", "1"),
            ("topic.creation.default.replication.factor", "-1"),
            ("schema.history.internal.kafka.topic", "history"),
            ("schema.history.internal.kafka.bootstrap.servers", &bootstrap),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        for side in ["producer", "consumer"] {
            for (key, value) in [
                ("security.protocol", "SASL_SSL"),
                ("sasl.mechanism", "AWS_MSK_IAM"),
                ("sasl.jaas.config", jaas),
                ("sasl.client.callback.handler.class", handler),
            ] {
                all.insert(format!("schema.history.internal.{side}.{key}"), value.into());
            }
        }
        all
    }

    pub(crate) async fn try_configure(&self) -> Result<(), Error> {
        let rest = self.worker.as_ref().expect("started").rest;
        rest.configure("mysql", &self.configuration()).await
    }

    pub(crate) async fn configure(&self) {
        self.try_configure().await.expect("accepted");
    }

    pub(crate) async fn until_running(&self) {
        let rest = self.worker.as_ref().expect("started").rest;
        let deadline = Instant::now() + Duration::from_mins(3);
        loop {
            let status = rest.status("mysql").await.expect("answered");
            if let Some(status) = &status {
                assert_eq!(status.failure(), None);
            }
            if status.as_ref().is_some_and(|s| s.all("RUNNING")) {
                return;
            }
            assert!(Instant::now() < deadline, "{status:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What partition 0 of a topic holds, as text, once every needle is in it; read with `OAUTHBEARER` from its first broker that leads.
    pub(crate) async fn records(&self, topic: &str, needles: &[&str]) -> String {
        let deadline = Instant::now() + Duration::from_mins(3);
        loop {
            let mut text = String::new();
            for id in self.brokers.keys() {
                let host = format!("b-{id}.{DOMAIN}");
                let address = (self.hosts.table()[&host], 9098).into();
                text += &client::fetch(
                    address,
                    &host,
                    self.authority.pem(),
                    &credentials(),
                    REGION,
                    topic,
                )
                .await;
            }
            if needles.iter().all(|needle| text.contains(needle)) {
                return text;
            }
            assert!(Instant::now() < deadline, "{needles:?} not in {text}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    pub(crate) fn pids(&self) -> Vec<i32> {
        let brokers = self.brokers.values().map(|b| b.program().pid());
        let worker = self.worker.iter().map(|w| w.program().pid());
        brokers.chain(worker).chain(self.server.iter().map(|s| s.program().pid())).collect()
    }

    pub(crate) async fn stop(self) {
        let pids = self.pids();
        if let Some(worker) = self.worker {
            worker.stop().await;
        }
        for broker in self.brokers.into_values() {
            broker.kill().await;
        }
        if let Some(server) = self.server {
            server.stop().await;
        }
        for pid in pids {
            assert_eq!(msk_pipeline_real::process::resident(pid), None, "{pid} is gone");
        }
    }
}
