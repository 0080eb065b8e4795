//! What the world wants of programs, and what their reports make of it. Needs no program.

#[path = "common/account.rs"]
#[expect(dead_code, reason = "the driver's test uses the rest")]
mod account;

use account::{Account, MYSQL, POSTGRESQL};
use msk_pipeline_emulator::plane::{self, Report, Work};
use msk_pipeline_emulator::shell::Shared as _;
use msk_pipeline_real::{Key, Spec, wanted};

impl Account {
    fn wanted(&self, key: &Key) -> Option<Spec> {
        let mut found = None;
        self.world.look(&mut |world, now| found = wanted(world, now + 3_600_000).remove(key));
        found
    }

    fn cluster_wanted(&self, arn: &str) -> plane::Cluster {
        match self.wanted(&Key::Cluster(arn.to_owned())) {
            Some(Spec::Cluster(cluster)) => cluster,
            other => panic!("{other:?}"),
        }
    }

    fn done(&self, token: &str) -> bool {
        self.world.report(&Report::Done { token: token.to_owned() })
    }

    fn failed(&self, token: &str) -> bool {
        self.world.report(&Report::Failed { token: token.to_owned(), message: "no".into() })
    }
}

#[test]
fn a_cluster_is_creating_until_its_brokers_report() {
    let account = Account::new();
    let arn = account.cluster("demo");
    let cluster = account.cluster_wanted(&arn);
    assert_eq!(cluster.brokers.len(), 3);
    assert!(cluster.brokers[&2].starts_with("b-2.demo.") && cluster.ports.contains(&9098));
    assert_eq!(cluster.properties["min.insync.replicas"], "2");
    let wait = cluster.awaits.expect("an hour later it still waits");
    assert_eq!((wait.what, account.cluster_state(&arn)), (Work::Create, "CREATING".into()));
    assert!(account.done(&wait.token));
    assert_eq!(account.cluster_state(&arn), "ACTIVE");
    assert!(!account.done(&wait.token), "it is over");
    assert_eq!(account.cluster_wanted(&arn).awaits, None);
}

#[test]
fn a_cluster_whose_brokers_do_not_come_up_is_failed_and_has_none() {
    let account = Account::new();
    let arn = account.cluster("demo");
    let token = account.cluster_wanted(&arn).awaits.expect("a wait").token;
    assert!(account.failed(&token));
    assert_eq!(account.cluster_state(&arn), "FAILED");
    assert_eq!(account.wanted(&Key::Cluster(arn)), None);
}

#[test]
fn a_reboot_lasts_until_the_broker_is_back() {
    let account = Account::new();
    let arn = account.cluster("demo");
    account.done(&account.cluster_wanted(&arn).awaits.expect("a wait").token);
    account.reboot_broker(&arn, 2);
    assert_eq!(account.cluster_state(&arn), "REBOOTING_BROKER");
    let wait = account.cluster_wanted(&arn).awaits.expect("a wait");
    assert_eq!(wait.what, Work::Reboot { brokers: vec![2] });
    assert!(account.done(&wait.token));
    assert_eq!(account.cluster_state(&arn), "ACTIVE");
}

#[test]
fn a_database_is_its_writer_s_server_with_the_managed_password() {
    let account = Account::new();
    let endpoint = account.database("orders", &MYSQL);
    let key = Key::Database("orders".into());
    let Some(Spec::Database(database)) = account.wanted(&key) else { panic!("a database") };
    assert!(database.endpoints.contains(&endpoint), "{database:?}");
    assert_eq!(database.parameters["binlog_format"], ("ROW".to_owned(), false));
    assert_eq!((database.master.as_str(), database.database.as_deref()), ("admin", Some("shop")));
    let password = database.password.clone().filter(|_| database.managed).expect("managed");
    assert!(password.len() >= 16 && !format!("{database:?}").contains(&password));
    assert_eq!(account.instance_status("orders-1"), "creating");
    let token = database.awaits.expect("a wait").token;
    assert!(account.done(&token));
    assert_eq!(account.instance_status("orders-1"), "available");
    account.delete_instance("orders-1");
    assert_eq!(account.wanted(&key), None);
}

#[test]
fn a_postgresql_is_a_program_too() {
    let account = Account::new();
    let endpoint = account.database("orders", &POSTGRESQL);
    let key = Key::Database("orders".into());
    let Some(Spec::Database(database)) = account.wanted(&key) else { panic!("a database") };
    assert!(database.endpoints.contains(&endpoint), "{database:?}");
    assert_eq!((database.engine, database.version.as_str()), (plane::Engine::PostgreSql, "16.8"));
    assert_eq!(database.parameters["rds.logical_replication"], ("1".to_owned(), false));
    let master = (database.master.as_str(), database.database.as_deref(), database.port);
    assert_eq!(master, ("postgres", Some("shop"), 5432));
    assert_eq!(account.instance_status("orders-1"), "creating");
    assert!(account.failed(&database.awaits.expect("a wait").token));
    assert_eq!(account.instance_status("orders-1"), "incompatible-parameters");
    assert_eq!(account.wanted(&key), None);
}

#[test]
fn a_simulated_world_says_the_same_bytes_as_before_there_were_planes() {
    let world = msk_pipeline_emulator::World::new(msk_pipeline_emulator::Settings::default());
    let text = serde_json::to_string(&world).expect("JSON");
    assert!(!text.contains("plane") && !text.contains("only_failed"));
    let again: msk_pipeline_emulator::World = serde_json::from_str(&text).expect("a world");
    assert_eq!(again.settings.plane, msk_pipeline_emulator::Plane::Simulated);
}
