//! The kinds on a real MariaDB, over TLS, as Aurora's master user may: made, found unchanged, mended, gone.
//!
//! Runs with `MSKP_REAL=1` only; it needs the Debian packages `default-jre-headless` (for its trust store) and `mariadb-server`.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "a test says what it leaves out")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use msk_pipeline_core::Timestamp;
use msk_pipeline_core::kind::{
    CallError, Case, Class, Effect, Guard, Kind, Mark, MarkSeen, Next, Pursuit, Recorded, Sent,
    Target,
};
use msk_pipeline_plugin::{Sources, Store};
use msk_pipeline_real::mariadb::{self, Spec};
use msk_pipeline_real::process::Ledger;
use msk_pipeline_real::{Authority, Hosts, Toolbox};
use msk_pipeline_source::kinds::{
    Retention, RetentionProps, Schema, SchemaProps, Signal, SignalProps, Table, TableProps, User,
    UserProps,
};
use msk_pipeline_source::{
    Catalogue, Connections, Credentials, Login, Look, Place, Privileges, Server, Servers, TableName,
};
use msk_pipeline_verify::{Reach, Secret};

const ENDPOINT: &str = "orders.cluster-abc123.us-east-1.rds.amazonaws.com";
const CLUSTER: &str = "orders";

fn at() -> Place {
    Place::mysql(CLUSTER)
}

const MASTER: &str = "it's a \\ master password";
const SECRET: &str = "orders/capture";

/// One cluster, and secrets whose values change.
#[derive(Default)]
struct Known(Mutex<BTreeMap<String, String>>);

impl Known {
    fn set(&self, password: &str) {
        self.0.lock().unwrap().insert(SECRET.into(), password.into());
    }
}

#[async_trait]
impl Servers for Known {
    async fn master(&self, cluster: &str) -> Result<Server, CallError> {
        let master = Credentials { user: "admin".into(), password: Secret::new(MASTER) };
        let login = Login { host: ENDPOINT.into(), port: 3306, master };
        Ok(if cluster == CLUSTER { Server::Ready(login) } else { Server::Absent })
    }

    async fn credentials(&self, secret: &str) -> Result<Option<Credentials>, CallError> {
        let password = self.0.lock().unwrap().get(secret).cloned();
        Ok(password.map(|p| Credentials { user: "debezium".into(), password: Secret::new(p) }))
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    server: mariadb::Server,
    known: Arc<Known>,
    reach: Reach,
}

impl Bench {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("cache"), Sources::from_env());
        let toolbox = Toolbox::find(std::env::var_os("PATH").as_deref(), store).expect("Java");
        let mut hosts = Hosts::open(folder.path()).unwrap();
        let authority = Authority::create(&folder.path().join("ca"), &toolbox.keytool).unwrap();
        let (ledger, _) = Ledger::open(folder.path()).unwrap();
        let pairs = [("binlog_format", "ROW"), ("binlog_row_image", "FULL")];
        let spec = Spec {
            name: CLUSTER.into(),
            address: hosts.address(ENDPOINT).unwrap(),
            port: 3306,
            endpoints: [ENDPOINT.to_owned()].into(),
            parameters: pairs.map(|(k, v)| (k.into(), v.into())).into(),
            master: "admin".into(),
            password: MASTER.into(),
            database: Some("my_shop".into()),
        };
        let tools = toolbox.mariadb.as_ref().expect("mariadb-server");
        let server = mariadb::Server::start(&spec, folder.path(), tools, &authority, &ledger).await;
        let server = server.unwrap_or_else(|e| panic!("{}", e.whole()));
        let addresses =
            hosts.table().iter().map(|(name, ip)| (name.clone(), ip.to_string())).collect();
        let pem = std::fs::read_to_string(authority.pem_file()).unwrap();
        let reach = Reach { addresses, authorities: vec![pem] };
        Self { _folder: folder, server, known: Arc::default(), reach }
    }

    fn catalogue(&self) -> Arc<dyn Catalogue> {
        let servers = Arc::clone(&self.known) as Arc<dyn Servers>;
        Arc::new(Connections::new(servers, Arc::new(self.reach.clone())))
    }

    async fn sql(&self, statements: &str) -> String {
        self.server.sql(statements).await.unwrap_or_else(|e| panic!("{}", e.whole()))
    }
}

fn mark() -> Mark {
    Mark { lineage: "l1".into(), pipeline: "orders".into(), address: "database.orders.x".into() }
}

/// The engine's loop: looks, takes the first call, and looks again, until nothing is left. Answers with the operations.
async fn run<K: Kind>(
    kind: &K,
    want: Option<K::Props>,
    was: Option<Recorded<K::Props, K::Outputs>>,
) -> Result<(Vec<String>, Option<K::Outputs>), CallError> {
    let mut ops = Vec::new();
    let mut pursuit: Option<Pursuit<K::Call>> = None;
    for _ in 0..20 {
        let props = want.clone().or_else(|| was.as_ref().map(|w| w.props.clone())).unwrap();
        let target = Target { props, was: was.clone(), pursuit: pursuit.clone() };
        let seen = kind.observe(&target).await?;
        if let Some(seen) = &seen
            && K::mark(seen) == MarkSeen::Absent
        {
            return Err(CallError::new(Class::Denied, "test", "somebody else's"));
        }
        let case = Case {
            want: want.clone(),
            seen,
            was: was.clone(),
            pursuit: pursuit.take(),
            mark: mark(),
        };
        let call = match kind.calls(&case) {
            Next::Converged(outputs) => return Ok((ops, Some(outputs))),
            Next::Gone => return Ok((ops, None)),
            Next::Calls(calls) => calls.into_iter().next().unwrap(),
            Next::Refuse { because, help } => {
                return Err(CallError::new(Class::Invalid, "test", format!("{because}: {help}")));
            }
            _ => panic!("neither a call nor the end after {ops:?}"),
        };
        kind.perform(&call.call, &Guard::default()).await?;
        ops.push(call.op.clone());
        pursuit = Some(Pursuit {
            call: call.call,
            op: call.op,
            effect: Effect::Update,
            guard: Guard::default(),
            sent: Some(Sent::default()),
            begun: Timestamp(0),
            ended: Some(Timestamp(0)),
        });
    }
    panic!("no end: {ops:?}");
}

/// Converges, and records that.
async fn made<K: Kind>(
    kind: &K,
    want: &K::Props,
    was: &mut Option<Recorded<K::Props, K::Outputs>>,
) -> Vec<String> {
    let (ops, outputs) = run(kind, Some(want.clone()), was.clone()).await.unwrap();
    *was = Some(Recorded { props: want.clone(), outputs });
    ops
}

fn privileges() -> Privileges {
    let of = |list: &str| list.split(", ").map(str::to_owned).collect::<BTreeSet<_>>();
    Privileges::from([
        ("*.*".into(), of("REPLICATION CLIENT, REPLICATION SLAVE, SHOW DATABASES")),
        ("my_shop.*".into(), of("SELECT")),
        ("cdc.*".into(), of("SELECT")),
        ("cdc.signal".into(), of("DELETE, INSERT")),
    ])
}

#[tokio::test]
async fn a_database_is_prepared_and_left_as_it_was() {
    if std::env::var("MSKP_REAL").as_deref() != Ok("1") {
        println!("LEFT OUT: a real MariaDB; run it with MSKP_REAL=1");
        return;
    }
    let bench = Bench::start().await;
    bench.known.set("first ' password \\");
    let catalogue = bench.catalogue();
    let signal = TableName::parse("cdc.signal").unwrap();
    bench.sql("CREATE TABLE my_shop.orders (id INT PRIMARY KEY); CREATE DATABASE myXshop").await;

    let (schema, table, user, retention, signals) = (
        Schema::new(Arc::clone(&catalogue)),
        Table::new(Arc::clone(&catalogue)),
        User::new(Arc::clone(&catalogue)),
        Retention::new(Arc::clone(&catalogue)),
        Signal::new(Arc::clone(&catalogue)),
    );
    let wanted_schema = SchemaProps {
        at: at(),
        server: "arn".into(),
        name: "cdc".into(),
        own: ["signal".into()].into(),
        with_server: false,
    };
    let wanted_table = TableProps {
        at: at(),
        server: "arn".into(),
        table: signal.clone(),
        columns: "id VARCHAR(42) PRIMARY KEY, type VARCHAR(32) NOT NULL, data VARCHAR(2048) NULL"
            .into(),
        whole_rows: false,
        with_server: false,
    };
    let wanted_user = UserProps {
        at: at(),
        server: "arn".into(),
        name: "debezium".into(),
        secret: SECRET.into(),
        privileges: privileges(),
        with_server: false,
    };
    let wanted_hours =
        RetentionProps { at: at(), server: "arn".into(), hours: 168, at_least: false };
    let wanted_signal = |tables: &[&str]| SignalProps {
        at: at(),
        table: signal.clone(),
        connector: "orders".into(),
        place: "offsets.1".into(),
        tables: tables.iter().map(|t| (*t).to_owned()).collect(),
        beat: None,
    };
    let (mut of_schema, mut of_table, mut of_user, mut of_retention, mut of_signals) =
        (None, None, None, None, None);

    // Made, and then nothing is left to do.
    assert_eq!(made(&schema, &wanted_schema, &mut of_schema).await, ["database:CreateSchema"]);
    assert_eq!(made(&table, &wanted_table, &mut of_table).await, ["database:CreateTable"]);
    let ops = made(&user, &wanted_user, &mut of_user).await;
    assert_eq!(ops[0], "database:CreateUser");
    assert!(ops[1..].iter().all(|op| op == "database:Grant") && ops.len() == 5, "{ops:?}");
    assert_eq!(made(&retention, &wanted_hours, &mut of_retention).await, ["database:SetRetention"]);
    let one = wanted_signal(&["my_shop.orders"]);
    assert_eq!(made(&signals, &one, &mut of_signals).await, ["database:InsertRow"]);
    for again in [
        made(&schema, &wanted_schema, &mut of_schema).await,
        made(&table, &wanted_table, &mut of_table).await,
        made(&user, &wanted_user, &mut of_user).await,
        made(&retention, &wanted_hours, &mut of_retention).await,
        made(&signals, &one, &mut of_signals).await,
    ] {
        assert_eq!(again, [""; 0]);
    }
    let rows = bench.sql("SELECT type, data FROM cdc.signal").await;
    assert_eq!(
        rows.trim(),
        "execute-snapshot\t{\"data-collections\":[\"my_shop.orders\"],\"type\":\"incremental\"}"
    );
    assert_eq!(bench.sql("SELECT @@binlog_expire_logs_seconds").await.trim(), "604800");

    // `_` in the schema's name is no wildcard.
    let grants = bench.sql("SHOW GRANTS FOR debezium@'%'").await;
    assert!(grants.contains("`my\\\\_shop`.*") || grants.contains("`my\\_shop`.*"), "{grants}");

    // What others did is mended, each thing with its statement.
    bench.sql("REVOKE SELECT ON `my\\_shop`.* FROM debezium@'%'").await;
    assert_eq!(made(&user, &wanted_user, &mut of_user).await, ["database:Grant"]);
    bench.sql("GRANT SELECT ON myXshop.* TO debezium@'%'").await;
    assert_eq!(made(&user, &wanted_user, &mut of_user).await, ["database:Revoke"]);
    bench.sql("GRANT PROCESS ON *.* TO debezium@'%'").await;
    assert_eq!(made(&user, &wanted_user, &mut of_user).await, ["database:Revoke"]);
    let taken = "REVOKE INSERT ON cdc.signal FROM debezium@'%'";
    bench.sql(taken).await;
    assert_eq!(made(&user, &wanted_user, &mut of_user).await, ["database:Grant"]);
    bench.sql("CALL mysql.rds_set_configuration('binlog retention hours', 24)").await;
    assert_eq!(made(&retention, &wanted_hours, &mut of_retention).await, ["database:SetRetention"]);

    // A secret with another value is seen, and the password set anew.
    bench.known.set("second");
    assert_eq!(made(&user, &wanted_user, &mut of_user).await, ["database:SetPassword"]);
    let Look::Found(found) = catalogue.user(&at(), "debezium", SECRET).await.unwrap() else {
        panic!("it is there");
    };
    assert!(found.logs_in && found.attribute.is_none(), "MariaDB has no attributes of users");

    // A table that is added is one signal more, and the same call is the same row.
    let two = wanted_signal(&["my_shop.orders", "my_shop.items"]);
    let before = of_signals.clone();
    assert_eq!(made(&signals, &two, &mut of_signals).await, ["database:InsertRow"]);
    run(&signals, Some(two.clone()), before).await.unwrap();
    assert_eq!(bench.sql("SELECT COUNT(*) FROM cdc.signal").await.trim(), "2");

    // What others made is nobody's to change.
    let theirs =
        TableProps { table: TableName::parse("my_shop.orders").unwrap(), ..wanted_table.clone() };
    assert!(run(&table, Some(theirs), None).await.is_err());
    assert!(run(&user, Some(wanted_user.clone()), None).await.is_err(), "not recorded, not marked");

    // A schema with a table of others stays; then all goes.
    assert_eq!(run(&user, None, of_user).await.unwrap().0, ["database:DropUser"]);
    assert_eq!(run(&table, None, of_table).await.unwrap().0, ["database:DropTable"]);
    let drop = msk_pipeline_source::kinds::Call {
        at: at(),
        change: msk_pipeline_source::Change::DropSchema { name: "cdc".into() },
    };
    bench.sql("CREATE TABLE cdc.theirs (id INT)").await;
    let refused = schema.perform(&drop, &Guard::default()).await.unwrap_err();
    assert_eq!(refused.class, Class::Conflict);
    bench.sql("DROP TABLE cdc.theirs").await;
    assert_eq!(run(&schema, None, of_schema).await.unwrap().0, ["database:DropSchema"]);
    let left = bench.sql("SELECT User FROM mysql.global_priv WHERE User = 'debezium'").await;
    assert_eq!(left.trim(), "");
    assert_eq!(bench.sql("SHOW DATABASES LIKE 'cdc'").await.trim(), "");
    assert!(bench.sql("SHOW TABLES IN my_shop").await.contains("orders"));

    refusals(&bench).await;
    bench.server.stop().await;
}

/// What can't be reached says so, and no error has a password.
async fn refusals(bench: &Bench) {
    let none = bench.catalogue().retention(&Place::mysql("another")).await.unwrap();
    assert_eq!(none, Look::NoServer);
    let look = async |reach: Reach| {
        let servers = Arc::clone(&bench.known) as Arc<dyn Servers>;
        Connections::new(servers, Arc::new(reach)).retention(&at()).await
    };
    let elsewhere = BTreeMap::from([(ENDPOINT.to_owned(), "127.99.99.99".to_owned())]);
    let away = look(Reach { addresses: elsewhere, ..bench.reach.clone() }).await.unwrap();
    assert!(matches!(away, Look::Unreached(_)), "{away:?}");
    let distrusted = look(Reach { authorities: Vec::new(), ..bench.reach.clone() }).await;
    let error = distrusted.unwrap_err();
    assert_eq!(error.class, Class::Denied);
    assert!(!error.message.contains("master password"), "{error}");
    println!("{error}");
    bench.known.set("'");
    let broken =
        msk_pipeline_source::Change::SetPassword { name: "nobody".into(), secret: SECRET.into() };
    assert!(bench.catalogue().change(&at(), &broken).await.is_err());
}
