//! The checks and the canary against real programs: Kafka, Connect with Debezium, MariaDB, PostgreSQL.
//!
//! They run with `MSKP_REAL=1` only, need what `recordings/record.py` needs, and keep jars and data under `MSKP_REAL_LAB` (default: a folder of the
//! target folder).

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use msk_pipeline_verify::canary::{self, CanaryError, Engine, Row, Step};
use msk_pipeline_verify::chain::kafka::{Kafka, Login};
use msk_pipeline_verify::chain::{self, Database, Topics, mysql, postgres};
use msk_pipeline_verify::{Check, Reach, Secret};

/// The programs; they end when this does.
struct Programs {
    child: Child,
    lab: PathBuf,
}

impl Programs {
    fn start() -> Self {
        let lab = std::env::var_os("MSKP_REAL_LAB")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("lab"), PathBuf::from);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/recordings/record.py");
        let mut child = Command::new("python3")
            .args([script.as_ref(), lab.as_os_str(), "--serve".as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said.trim(), "ready", "the programs did not start");
        Self { child, lab }
    }

    /// The broker's own certificate.
    fn authority(&self) -> String {
        std::fs::read_to_string(self.lab.join("broker.pem")).unwrap()
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        _ = self.child.wait();
    }
}

/// Names that nothing resolves but the table: what is proved is proved through it.
fn reach() -> Reach {
    let here = |name: &str| (name.to_owned(), "127.0.0.1".to_owned());
    let addresses =
        BTreeMap::from([here("mysql.invalid"), here("postgres.invalid"), here("b-1.invalid")]);
    Reach { addresses, authorities: Vec::new() }
}

fn mysql_database(user: &str, password: &str) -> Database {
    Database {
        host: "mysql.invalid".into(),
        port: 13306,
        name: None,
        user: user.into(),
        password: Secret::new(password),
        tls: false,
    }
}

fn postgres_database() -> Database {
    Database {
        host: "postgres.invalid".into(),
        port: 15432,
        name: Some("shop".into()),
        ..mysql_database("debezium", "right")
    }
}

fn brokers() -> Kafka {
    Kafka { bootstrap: vec!["b-1.invalid:19092".into()], login: Login::Plaintext }
}

fn row(prefix: &str) -> Row {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    Row {
        schema: "cdc".into(),
        table: "canary".into(),
        id: format!("row-{now}"),
        topic: format!("{prefix}.cdc.canary"),
        tombstone: true,
    }
}

fn codes(checks: &[Check]) -> Vec<&str> {
    checks.iter().filter_map(Check::code).collect()
}

#[tokio::test]
async fn the_chain_and_the_canary_on_real_programs() {
    if std::env::var("MSKP_REAL").as_deref() != Ok("1") {
        let mut err = std::io::stderr();
        _ = std::io::Write::write_all(
            &mut err,
            b"LEFT OUT: real Kafka, Connect and databases; run it with MSKP_REAL=1\n",
        );
        return;
    }
    let programs = Programs::start();
    mysql_chain().await;
    postgres_chain().await;
    kafka_chain().await;
    kafka_tls(&programs.authority()).await;
    rows_come_out().await;
}

async fn mysql_chain() {
    let wanted = mysql::Wanted {
        tables: vec!["shop.orders".into(), "cdc.canary".into()],
        signal_table: Some("cdc.signals".into()),
        retention: Some(Duration::from_hours(1)),
        locks: true,
    };
    let of = |user: &'static str, password: &'static str| {
        let wanted = wanted.clone();
        async move { chain::check_mysql(&mysql_database(user, password), &wanted, &reach()).await }
    };
    let checks = of("debezium", "right").await;
    assert!(codes(&checks).is_empty(), "{checks:#?}");
    assert_eq!(codes(&of("debezium", "wrong").await), ["C-DB-AUTH"]);
    assert_eq!(
        codes(&of("poor", "right").await),
        [
            "C-MYSQL-GRANT-SLAVE",
            "C-MYSQL-GRANT-CLIENT",
            "C-MYSQL-GRANT-RELOAD",
            "C-MYSQL-GRANT-SELECT",
            "C-MYSQL-GRANT-SIGNAL"
        ]
    );
    let mut nowhere = mysql_database("debezium", "right");
    nowhere.host = "nowhere.invalid".into();
    assert_eq!(codes(&chain::check_mysql(&nowhere, &wanted, &reach()).await), ["C-DB-HOST"]);
    // Without binary log.
    let mut off = mysql_database("debezium", "right");
    off.port = 13307;
    let shop = mysql::Wanted { tables: vec!["shop.orders".into()], ..mysql::Wanted::default() };
    assert_eq!(codes(&chain::check_mysql(&off, &shop, &reach()).await), ["C-MYSQL-BINLOG-OFF"]);
}

async fn postgres_chain() {
    let wanted = |slot: &str, publication: &str, table: &str| postgres::Wanted {
        slot: slot.into(),
        publication: publication.into(),
        tables: vec![table.into()],
    };
    let of = |wanted: postgres::Wanted| async move {
        chain::check_postgres(&postgres_database(), &wanted, &reach()).await
    };
    let checks = of(wanted("s_real_postgres", "dbz_publication", "cdc.canary")).await;
    assert!(codes(&checks).is_empty(), "{checks:#?}");
    assert_eq!(
        codes(&of(wanted("none", "dbz_publication", "cdc.canary")).await),
        ["C-PG-SLOT-MISSING"]
    );
    assert_eq!(
        codes(&of(wanted("s_real_postgres", "none", "cdc.canary")).await),
        ["C-PG-PUBLICATION"]
    );
    assert_eq!(
        codes(&of(wanted("s_real_postgres", "dbz_publication", "public.secret")).await),
        ["C-PG-GRANT-SELECT", "C-PG-NOT-PUBLISHED"]
    );
    let wrong = Database { password: Secret::new("wrong"), ..postgres_database() };
    let wanted = wanted("s", "p", "cdc.canary");
    assert_eq!(codes(&chain::check_postgres(&wrong, &wanted, &reach()).await), ["C-DB-AUTH"]);
}

async fn kafka_chain() {
    let now = || {
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
    };
    let topics = |needed: &str| Topics {
        needed: vec![needed.into()],
        heartbeat: Some(("__debezium-heartbeat.real-mysql".into(), Duration::from_secs(30))),
        since: None,
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    let checks = chain::check_kafka(&brokers(), &topics("real-mysql"), &reach(), now()).await;
    assert!(codes(&checks).is_empty(), "{checks:#?}");
    let checks =
        chain::check_kafka(&brokers(), &topics("not-there"), &reach(), now() + 3_600_000).await;
    assert_eq!(codes(&checks), ["C-KAFKA-NO-TOPIC", "C-HEARTBEAT"]);
}

async fn kafka_tls(authority: &str) {
    let of = |bootstrap: &str, authorities: Vec<String>| {
        let kafka = Kafka { bootstrap: vec![bootstrap.into()], login: Login::Tls };
        async move {
            chain::check_kafka(
                &kafka,
                &Topics::default(),
                &Reach { authorities, ..Reach::default() },
                0,
            )
            .await
        }
    };
    let checks = of("127.0.0.1:19094", vec![authority.into()]).await;
    assert!(codes(&checks).is_empty(), "{checks:#?}");
    assert_eq!(codes(&of("127.0.0.1:19094", Vec::new()).await), ["C-KAFKA-TRUST"]);
    // At the plain port TLS is no message that a broker knows: it hangs up, and says nothing.
    assert_eq!(codes(&of("127.0.0.1:19092", vec![authority.into()]).await), ["C-KAFKA-UNREACHED"]);
}

async fn rows_come_out() {
    let wait = Duration::from_secs(30);
    for (engine, database, prefix) in [
        (Engine::MySql, mysql_database("debezium", "right"), "real-mysql"),
        (Engine::Postgres, postgres_database(), "real-postgres"),
    ] {
        // The first row makes the topic; the second finds it.
        for _ in 0..2 {
            let proof =
                canary::prove(engine, &database, &brokers(), &row(prefix), &reach(), wait).await;
            let proof = proof.unwrap_or_else(|error| panic!("{prefix}: {error:?}"));
            let steps: Vec<_> = proof.seen.iter().map(|seen| seen.step).collect();
            assert_eq!(
                steps,
                [Step::Insert, Step::Update, Step::Delete, Step::Tombstone],
                "{proof}"
            );
        }
        if engine == Engine::MySql {
            tokio::time::sleep(Duration::from_secs(3)).await;
            let lag =
                chain::check_lag(&database, &brokers(), "connect-offsets", "real-mysql", &reach())
                    .await
                    .unwrap();
            // What was proved is committed; little comes after it.
            assert!(lag.bytes().is_some_and(|bytes| bytes < 10_000), "{lag:?}");
            assert!(lag.committed.is_some_and(|at| at.position > 4));
        }
        // Where nothing comes out, that is what is said, and no row stays.
        let mut other = row(prefix);
        other.topic = prefix.to_owned() + ".cdc.other";
        let error =
            canary::prove(engine, &database, &brokers(), &other, &reach(), Duration::from_secs(2))
                .await
                .unwrap_err();
        assert!(matches!(error, CanaryError::Missing { step: Step::Insert, .. }), "{error}");
    }
}
