//! PostgreSQL behind an Aurora PostgreSQL: alone, and read by Debezium. Left out, and said so, unless `MSKP_REAL=1`:
//! `MSKP_REAL=1 cargo test -p msk-pipeline-real --test postgres -- --nocapture`.
#![expect(clippy::print_stdout, reason = "what was left out, and what the plane tells, is said")]

#[path = "common/account.rs"]
#[expect(dead_code, reason = "the driver's test uses the rest")]
mod account;
#[expect(dead_code, reason = "the plane's test uses the rest")]
mod common;
#[path = "common/sessions.rs"]
mod sessions;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use account::{Account, Connector, POSTGRESQL};
use msk_pipeline_real::postgres::{Server, Spec};
use msk_pipeline_real::process::{self, Ledger};
use msk_pipeline_real::{Authority, Hosts, Options, RealPlane, Toolbox};
use msk_pipeline_verify::chain::postgres::Wanted;
use msk_pipeline_verify::chain::{self, Database};
use msk_pipeline_verify::{Check, Reach, Secret};
use rustix::process::Signal;
use serde_json::{Value, json};
use sessions::Login;

const ENDPOINT: &str = "orders.cluster-abc123.us-east-1.rds.amazonaws.com";
const PASSWORD: &str = "it's the master's";

/// A server without a world.
struct Bench {
    folder: tempfile::TempDir,
    toolbox: Toolbox,
    authority: Authority,
    ledger: Arc<Ledger>,
    spec: Spec,
}

impl Bench {
    fn new(parameters: &[(&str, &str)]) -> Option<Self> {
        if !common::wanted() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let toolbox = common::toolbox();
        let authority =
            Authority::create(&folder.path().join("ca"), &toolbox.keytool).expect("a CA");
        let (ledger, _) = Ledger::open(folder.path()).expect("a ledger");
        let mut hosts = Hosts::open(folder.path()).expect("hosts");
        let spec = Spec {
            name: "orders".into(),
            address: hosts.address(ENDPOINT).expect("an address"),
            port: 5432,
            endpoints: [ENDPOINT.to_owned()].into(),
            parameters: parameters
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            master: "postgres".into(),
            password: PASSWORD.into(),
            database: Some("shop".into()),
        };
        Some(Self { folder, toolbox, authority, ledger, spec })
    }

    async fn start(&self) -> Server {
        let begun = Instant::now();
        let tools = self.toolbox.postgres.as_ref().expect("postgresql");
        let server =
            Server::start(&self.spec, self.folder.path(), tools, &self.authority, &self.ledger)
                .await
                .unwrap_or_else(|e| panic!("{}", e.whole()));
        println!("PostgreSQL after {:?}", begun.elapsed());
        server
    }

    fn login<'a>(&'a self, user: &'a str, password: &'a str) -> Login<'a> {
        Login {
            host: ENDPOINT,
            address: self.spec.address,
            user,
            password,
            database: "shop",
            ca: Some(self.authority.pem()),
        }
    }

    fn master(&self) -> Login<'_> {
        self.login("postgres", PASSWORD)
    }
}

/// Asks until the answer is `wanted`; that takes two seconds at most.
async fn soon(login: &Login<'_>, statement: &str, wanted: Result<&str, &str>) {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let answer = login.run(statement).await;
        let fits = match (&answer, wanted) {
            (Ok(rows), Ok(wanted)) => rows == wanted,
            (Err(error), Err(wanted)) => error.contains(wanted),
            _ => false,
        };
        if fits {
            return;
        }
        assert!(Instant::now() < deadline, "{statement}: {answer:?} and not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const SLOT: &str =
    "SELECT slot_name FROM pg_create_logical_replication_slot('of_capture', 'pgoutput')";

/// The master is what it is on Aurora, and so is whoever it lets capture.
#[tokio::test]
async fn the_master_and_the_capture_user_may_what_they_may_on_aurora() {
    let Some(bench) = Bench::new(&[("rds.logical_replication", "1")]) else { return };
    let server = bench.start().await;
    let master = bench.master();
    let own = "SELECT rolsuper, rolcreaterole, rolcreatedb, pg_has_role('rds_superuser', 'MEMBER')
        FROM pg_roles WHERE rolname = current_user";
    assert_eq!(master.run(own).await.as_deref(), Ok("f\tt\tt\tt"));
    assert_eq!(master.run("SHOW wal_level").await.as_deref(), Ok("logical"));
    assert_eq!(master.run("SHOW max_replication_slots").await.as_deref(), Ok("20"));
    for refused in [
        "CREATE ROLE another SUPERUSER",
        "CREATE ROLE another REPLICATION",
        "ALTER ROLE rdsadmin PASSWORD 'x'",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "CREATE PUBLICATION everything FOR ALL TABLES",
    ] {
        let error = master.run(refused).await.expect_err(refused);
        assert!(
            error.contains("must be superuser") || error.contains("permission denied"),
            "{error}"
        );
    }
    master
        .run(
            "CREATE TABLE orders (id int PRIMARY KEY, note text);
             CREATE ROLE capture LOGIN PASSWORD 'secret';
             CREATE ROLE owner LOGIN PASSWORD 'secret';
             GRANT CREATE ON DATABASE shop TO owner;
             GRANT SELECT ON orders TO capture;
             CREATE PUBLICATION of_orders FOR TABLE orders",
        )
        .await
        .expect("the master owns the database");
    let owner = bench.login("owner", "secret");
    let theirs = "CREATE SCHEMA theirs; GRANT USAGE ON SCHEMA theirs TO postgres;
        CREATE TABLE theirs.letters (id int PRIMARY KEY)";
    owner.run(theirs).await.expect("its schema");
    let error = master.run("CREATE PUBLICATION p FOR TABLE theirs.letters").await;
    assert!(error.as_ref().is_err_and(|e| e.contains("must be owner")), "{error:?}");

    let capture = bench.login("capture", "secret");
    let needed = "must be superuser or replication role";
    soon(&capture, SLOT, Err(needed)).await;
    master.run("GRANT rds_replication TO capture").await.expect("it has the admin option");
    soon(&capture, SLOT, Ok("of_capture")).await;
    let drop_slot = "SELECT pg_drop_replication_slot('of_capture')";
    capture.run(drop_slot).await.expect("it may replicate");
    master.run("REVOKE rds_replication FROM capture").await.expect("as it was given");
    soon(&master, "SELECT rolreplication FROM pg_roles WHERE rolname = 'capture'", Ok("f")).await;
    assert!(capture.run(SLOT).await.is_err_and(|e| e.contains(needed)));
    // The master is a member by way of `rds_superuser`.
    master.run(SLOT).await.expect("the master may replicate");
    master.run(drop_slot).await.expect("its own");
    server.stop().await;
}

fn codes(checks: &[Check]) -> Vec<&str> {
    checks.iter().filter_map(Check::code).collect()
}

/// What `verify` finds at a server whose master is no superuser and whose capture user has REPLICATION by membership alone.
#[tokio::test]
async fn verify_judges_it_as_an_aurora() {
    let Some(bench) = Bench::new(&[("rds.logical_replication", "1")]) else { return };
    let server = bench.start().await;
    let master = bench.master();
    master
        .run(
            "CREATE SCHEMA sales;
             CREATE TABLE sales.orders (id int PRIMARY KEY, note text);
             CREATE TABLE sales.letters (id int PRIMARY KEY);
             CREATE ROLE capture LOGIN PASSWORD 'secret';
             CREATE ROLE capturers;
             GRANT rds_replication TO capturers;
             GRANT USAGE ON SCHEMA sales TO capture;
             GRANT SELECT ON sales.orders TO capture;
             CREATE PUBLICATION cdc FOR TABLE sales.orders",
        )
        .await
        .expect("the master owns the database");
    master.run("SELECT pg_create_logical_replication_slot('cdc', 'pgoutput')").await.expect("made");
    let wanted = |slot: &str, table: &str| Wanted {
        slot: slot.into(),
        publication: "cdc".into(),
        tables: vec![table.into()],
    };
    let database = Database {
        host: ENDPOINT.into(),
        port: 5432,
        name: Some("shop".into()),
        user: "capture".into(),
        password: Secret::new("secret"),
        tls: true,
    };
    let reach = Reach {
        addresses: [(ENDPOINT.to_owned(), bench.spec.address.to_string())].into(),
        authorities: vec![bench.authority.pem().to_owned()],
    };
    let of = async |wanted: Wanted| chain::check_postgres(&database, &wanted, &reach).await;
    assert_eq!(codes(&of(wanted("cdc", "sales.orders")).await), ["C-PG-REPLICATION"]);

    // Nothing else runs on this thread until the other one is done: membership is all that there is, as on Aurora.
    let checks = std::thread::scope(|scope| {
        let alone = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                master.run("GRANT capturers TO capture").await.expect("the master made both");
                let attribute = "SELECT rolreplication FROM pg_roles WHERE rolname = 'capture'";
                assert_eq!(master.run(attribute).await.as_deref(), Ok("f"));
                of(wanted("cdc", "sales.orders")).await
            })
        });
        alone.join().expect("checked")
    });
    assert!(codes(&checks).is_empty(), "{checks:#?}");
    assert_eq!(codes(&of(wanted("other", "sales.orders")).await), ["C-PG-SLOT-MISSING"]);
    let letters = ["C-PG-GRANT-SELECT", "C-PG-NOT-PUBLISHED"];
    assert_eq!(codes(&of(wanted("cdc", "sales.letters")).await), letters);
    master.run("REVOKE USAGE ON SCHEMA sales FROM capture").await.expect("its own");
    let checks = of(wanted("cdc", "sales.orders")).await;
    assert_eq!(codes(&checks), ["C-PG-GRANT-SELECT"]);
    let told = checks.iter().map(ToString::to_string).collect::<String>();
    assert!(told.contains("GRANT USAGE ON SCHEMA sales TO capture;"), "{told}");

    let other = async |database: Database| {
        let checks = chain::check_postgres(&database, &wanted("cdc", "sales.orders"), &reach).await;
        codes(&checks).join(" ")
    };
    let wrong = Database { password: Secret::new("wrong"), ..database.clone() };
    assert_eq!(other(wrong).await, "C-DB-AUTH");
    let elsewhere = Database { name: Some("shopp".into()), ..database.clone() };
    assert_eq!(other(elsewhere).await, "C-PG-DATABASE");
    assert_eq!(other(Database { tls: false, ..database.clone() }).await, "C-PG-HBA");
    server.stop().await;
}

/// Nobody comes in without a password and TLS, and what lies on disk is nobody else's.
#[tokio::test]
async fn it_is_closed_to_others() {
    use std::os::unix::fs::MetadataExt as _;
    let Some(mut bench) = Bench::new(&[]) else { return };
    let server = bench.start().await;
    assert_eq!(bench.master().run("SHOW wal_level").await.as_deref(), Ok("replica"));
    let refused = |login: Login<'_>, wanted: &'static str| {
        let login = (login.user.to_owned(), login.password.to_owned(), login.ca.is_some());
        let bench = &bench;
        async move {
            let (user, password, tls) = &login;
            let mut login = bench.login(user, password);
            login.ca = login.ca.filter(|_| *tls);
            let error = login.run("SELECT 1").await.expect_err(wanted);
            assert!(error.contains(wanted), "{error}");
        }
    };
    refused(bench.login("postgres", "wrong"), "password authentication failed").await;
    refused(bench.login("rdsadmin", ""), "pg_hba.conf rejects").await;
    refused(Login { ca: None, ..bench.master() }, "no encryption").await;

    let home = msk_pipeline_real::postgres::folder(bench.folder.path(), "orders");
    let pid = server.program().pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let uid: u32 = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_whitespace().nth(1))
        .and_then(|id| id.parse().ok())
        .expect("an id");
    assert_ne!(uid, 0, "PostgreSQL is never root's");
    for (name, mode) in [("", 0o700), ("data", 0o700), ("server.conf", 0o600), ("hba.conf", 0o600)]
    {
        let found = home.join(name).metadata().expect("there");
        assert_eq!((found.mode() & 0o777, found.uid()), (mode, uid), "{name}");
    }
    let key = bench.folder.path().join("ca/postgres-orders.key").metadata().expect("there");
    assert_eq!((key.mode() & 0o777, key.uid()), (0o600, uid));
    let log = std::fs::read_to_string(home.join("server.log")).expect("a log");
    assert!(!log.contains("the master's") && !log.contains("SCRAM-SHA-256$"), "{log}");

    // Whoever runs the plane is the master over the socket, as `local status` tells them.
    let psql = std::process::Command::new("psql")
        .args(["service=aurora", "--no-password", "--no-align", "--tuples-only"])
        .args(["--command", "SELECT current_user, current_database()"])
        .env("PGSERVICEFILE", msk_pipeline_real::postgres::service_file(&home))
        .output()
        .expect("postgresql-client");
    assert_eq!(String::from_utf8_lossy(&psql.stdout).trim(), "postgres|shop", "{psql:?}");

    // A change of the group that needs no restart.
    bench.spec.parameters.insert("rds.force_ssl".into(), "0".into());
    bench.spec.parameters.insert("wal_sender_timeout".into(), "7000".into());
    server.set_parameters(&bench.spec).await.expect("taken over");
    let plain = Login { ca: None, ..bench.master() };
    soon(&plain, "SHOW wal_sender_timeout", Ok("7s")).await;

    server.set_password("postgres", "another").await.expect("set");
    let error = bench.master().run("SELECT 1").await.expect_err("it is another now");
    assert!(error.contains("password authentication failed"), "{error}");
    let another = bench.login("postgres", "another");
    another.run("SELECT 1").await.expect("the new password");
    let elsewhere = Login { database: "postgres", ..another };
    elsewhere.run("DROP DATABASE shop").await.expect("its own");
    server.stop().await;
    let server = bench.start().await;
    let error = bench.master().run("SELECT 1").await.expect_err("nobody made it again");
    assert!(error.contains("database \"shop\" does not exist"), "{error}");
    server.stop().await;
}

fn signal(pid: i32, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, signal).expect("it runs");
}

/// A process that a process has started.
fn child(parent: i32) -> i32 {
    let children = format!("/proc/{parent}/task/{parent}/children");
    let children = std::fs::read_to_string(children).expect("it runs");
    children.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("it has some")
}

/// A process that does nothing until this is dropped.
struct Held(i32);

impl Held {
    fn new(pid: i32) -> Self {
        signal(pid, Signal::STOP);
        Self(pid)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It may be gone.
        let pid = rustix::process::Pid::from_raw(self.0).expect("a pid");
        let _ = rustix::process::kill_process(pid, Signal::CONT);
    }
}

/// What was committed, and where readers are, outlive every end; an end in order waits for no client.
#[tokio::test]
async fn what_it_has_outlives_every_end() {
    let Some(bench) = Bench::new(&[("rds.logical_replication", "1")]) else { return };
    let mut server = bench.start().await;
    let create = "CREATE TABLE orders (id int PRIMARY KEY, note text);
        INSERT INTO orders VALUES (1, 'committed')";
    bench.master().run(create).await.expect("created");
    bench.master().run(SLOT).await.expect("made");
    let kept = "SELECT note, slot_name FROM orders, pg_replication_slots";

    // One of its processes does not notice for a while, and has its memory.
    let pid = server.program().pid();
    let slow = Held::new(child(pid));
    signal(pid, Signal::KILL);
    let deadline = Instant::now() + Duration::from_secs(5);
    while server.check().is_ok() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(slow);
    });
    drop(server);
    let server = bench.start().await;
    assert_eq!(bench.master().run(kept).await.as_deref(), Ok("committed\tof_capture"));

    let idle = bench.master().session().await.expect("a session that stays");
    let begun = Instant::now();
    server.stop().await;
    println!("ended after {:?} with a session open", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(6), "an end in order waits for no client");
    assert!(idle.is_closed());
    let log = bench.folder.path().join("postgres/orders/server.log");
    let log = std::fs::read_to_string(log).expect("a log");
    assert!(log.trim_end().ends_with("database system is shut down"), "{log}");

    // A plane that was killed leaves it to the next one, which ends it in order.
    let server = bench.start().await;
    let left = bench.folder.path().join("programs.json");
    let record = std::fs::read(&left).expect("a record");
    let idle = bench.master().session().await.expect("a session that stays");
    let other = tempfile::tempdir().expect("a folder");
    std::fs::write(other.path().join("programs.json"), record).expect("as a kill leaves it");
    let begun = Instant::now();
    let ended = tokio::task::spawn_blocking(move || {
        let (_ledger, ended) = Ledger::open(other.path()).expect("opened");
        ended
    });
    assert_eq!(ended.await.expect("ended"), ["PostgreSQL of orders"]);
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert!(idle.is_closed());
    drop(server);
    let server = bench.start().await;
    assert_eq!(bench.master().run(kept).await.as_deref(), Ok("committed\tof_capture"));
    let memory = process::resident(server.program().pid()).expect("it runs");
    println!("memory of the server's first process: {} MiB", memory >> 20);
    server.stop().await;
}

/// Asks until the answer is `wanted`.
async fn until(what: &str, wanted: &str, mut ask: impl FnMut() -> String) {
    let deadline = Instant::now() + Duration::from_mins(8);
    loop {
        let answer = ask();
        if answer == wanted {
            println!("{what} is {wanted}");
            return;
        }
        assert!(Instant::now() < deadline, "{what} is {answer} and not {wanted}");
        assert!(
            !answer.contains("FAILED") && !answer.contains("incompatible"),
            "{what} is {answer}"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn configuration(endpoint: &str) -> Value {
    json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        "database.hostname": endpoint,
        "database.port": "5432",
        "database.user": "${secretsmanager:cdc/orders:username}",
        "database.password": "${secretsmanager:cdc/orders:password}",
        "database.dbname": "shop",
        "database.sslmode": "require",
        "plugin.name": "pgoutput",
        "slot.name": "cdc",
        "slot.drop.on.stop": "false",
        "publication.name": "cdc",
        "publication.autocreate.mode": "disabled",
        "snapshot.mode": "no_data",
        "table.include.list": "public.orders",
        "topic.prefix": "cdc",
        "topic.creation.default.partitions": "1",
        "topic.creation.default.replication.factor": "-1",
    })
}

const WORKER: &str = "key.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=false
value.converter=org.apache.kafka.connect.json.JsonConverter
value.converter.schemas.enable=false
config.providers=secretsmanager
config.providers.secretsmanager.class=com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider
config.providers.secretsmanager.param.region=us-east-1
config.providers.secretsmanager.param.NotFoundStrategy=fail
";

const TOPIC: &str = "cdc.public.orders";

/// A pipeline that is being made or runs.
struct Stage {
    account: Account,
    plane: RealPlane,
    folder: PathBuf,
    bootstrap: String,
    endpoint: String,
    password: String,
}

impl Stage {
    fn master(&self) -> Login<'_> {
        Login {
            host: &self.endpoint,
            address: self.plane.hosts()[&self.endpoint],
            user: "postgres",
            password: &self.password,
            database: "shop",
            ca: Some(self.plane.ca_pem()),
        }
    }

    /// Runs a statement as the master. While the database is away it is tried again.
    async fn sql(&self, statement: &str) {
        let deadline = Instant::now() + Duration::from_mins(2);
        while let Err(error) = self.master().run(statement).await {
            assert!(Instant::now() < deadline, "{statement}: {error}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    async fn insert(&self, id: u32, note: &str) {
        let insert = "INSERT INTO orders VALUES";
        self.sql(&format!("{insert} ({id}, '{note}') ON CONFLICT DO NOTHING")).await;
    }

    async fn arrives(&self, text: &str) {
        common::until_read(&self.plane, &self.bootstrap, TOPIC, text).await;
    }

    fn pid(&self, program: &str) -> Option<i32> {
        let running = process::running(&self.folder).expect("a list");
        running.into_iter().find(|p| p.name.starts_with(program)).map(|p| p.pid)
    }

    /// Kills a program, and waits until another runs in its place.
    async fn kill(&self, program: &str) {
        let before = self.pid(program).expect("it runs");
        signal(before, Signal::KILL);
        let again = || self.pid(program).filter(|pid| *pid != before).map_or("gone", |_| "back");
        until(program, "back", || again().to_owned()).await;
    }
}

/// Debezium reads a PostgreSQL behind the embedded AWS with the plugin and the configuration that go to AWS; nothing is lost when a program dies, and a
/// slot outlives everything but its own end.
#[tokio::test]
async fn debezium_reads_it_through_the_plane() {
    if !common::wanted() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let account = Account::new();
    let real = folder.path().join("real");
    let options = Options::new(&real, common::toolbox());
    let (plane, mut events) = RealPlane::start(account.shared(), options).expect("a plane");
    let tell = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            println!("  {event}");
        }
    });
    let everything = json!([{ "Effect": "Allow", "Action": "*", "Resource": "*" }]);
    let role = account.role("connect", &everything);
    account.log_group("/connect");
    account.secret("cdc/orders", &json!({ "username": "debezium", "password": "secret" }));
    let cluster = account.cluster("demo");
    let endpoint = account.database("orders", &POSTGRESQL);
    let archive = std::fs::read(common::plugin("postgres")).expect("packed");
    let plugin = account.plugin("debezium", &archive);
    let worker = account.worker_configuration(WORKER);
    until("the cluster", "ACTIVE", || account.cluster_state(&cluster)).await;
    until("the instance", "available", || account.instance_status("orders-1")).await;
    until("the plugin", "ACTIVE", || account.plugin_state(&plugin)).await;
    let (bootstrap, password) = (account.bootstrap(&cluster), account.master_password());
    let mut stage = Stage { account, plane, folder: real, bootstrap, endpoint, password };
    stage.sql("CREATE TABLE orders (id int PRIMARY KEY, note text)").await;
    stage.sql("INSERT INTO orders VALUES (1, 'older than the slot')").await;
    stage
        .sql(
            "ALTER TABLE orders REPLICA IDENTITY FULL;
             CREATE ROLE debezium LOGIN PASSWORD 'secret';
             GRANT rds_replication TO debezium;
             GRANT SELECT ON orders TO debezium;
             CREATE PUBLICATION cdc FOR TABLE orders",
        )
        .await;
    stage.sql("SELECT pg_create_logical_replication_slot('cdc', 'pgoutput')").await;
    stage.insert(40, "between slot and connector").await;

    let good = configuration(&stage.endpoint);
    let connector = stage.account.connector(
        "postgres",
        &Connector {
            configuration: &good,
            bootstrap: &stage.bootstrap,
            plugin: &plugin,
            worker: &worker,
            role: &role,
            log_group: "/connect",
            subnets: None,
        },
    );
    let state = || {
        let shown = stage.account.describe_connector(&connector);
        shown["connectorState"].as_str().unwrap_or_default().to_owned()
    };
    until("the connector", "RUNNING", state).await;
    stage.insert(41, "a real row").await;
    stage.sql("UPDATE orders SET note = 'changed' WHERE id = 41").await;
    stage.sql("DELETE FROM orders WHERE id = 41").await;
    stage.arrives(r#""before":null,"after":{"id":41,"note":"a real row"}"#).await;
    stage
        .arrives(r#""before":{"id":41,"note":"a real row"},"after":{"id":41,"note":"changed"}"#)
        .await;
    stage.arrives(r#""before":{"id":41,"note":"changed"},"after":null"#).await;
    stage.arrives("between slot and connector").await;
    let read = common::read(&stage.plane, &stage.bootstrap, TOPIC).await;
    assert!(!read.contains("older than the slot"), "no snapshot was asked for");

    for (n, program) in ["Connect worker", "PostgreSQL", "Connect worker"].into_iter().enumerate() {
        let first = 50 + 10 * u32::try_from(n).expect("few");
        for id in first..first + 3 {
            stage.insert(id, &format!("row {id}")).await;
        }
        stage.kill(program).await;
        for id in first + 3..first + 6 {
            stage.insert(id, &format!("row {id}")).await;
        }
        for id in first..first + 6 {
            stage.arrives(&format!("row {id}")).await;
        }
    }

    stage.account.reboot_instance("orders-1");
    until("the instance", "available", || stage.account.instance_status("orders-1")).await;
    stage.insert(90, "after the reboot").await;
    stage.arrives("after the reboot").await;

    stage.account.rotate_master_password("orders");
    let before = stage.password.clone();
    until("the master's password", "another", || {
        let now = stage.account.master_password();
        if now == before { "the same".into() } else { "another".into() }
    })
    .await;
    stage.password = stage.account.master_password();
    stage.insert(91, "as the master with another password").await;
    stage.arrives("as the master with another password").await;

    stage.account.delete_connector(&connector);
    let slot = "SELECT active FROM pg_replication_slots WHERE slot_name = 'cdc'";
    let deadline = Instant::now() + Duration::from_mins(2);
    while stage.master().run(slot).await.as_deref() != Ok("f") {
        assert!(Instant::now() < deadline, "its slot stays, and nobody reads it");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    stage.master().run("SELECT pg_drop_replication_slot('cdc')").await.expect("the master's");
    assert_eq!(stage.master().run(slot).await.as_deref(), Ok(""));

    let home = stage.folder.join("postgres/orders");
    assert!(home.join("data").exists());
    stage.account.delete_instance("orders-1");
    stage.account.delete_cluster(&cluster);
    let programs = stage.folder.join("programs.json");
    let left = || std::fs::read_to_string(&programs).expect("there");
    until("the list of programs", "{}", left).await;
    until("its data", "gone", || if home.exists() { "there" } else { "gone" }.to_owned()).await;
    stage.plane.stop();
    tell.await.expect("told");
}
