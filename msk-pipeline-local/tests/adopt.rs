//! Taking over what exists, and state made again from marks, on the embedded AWS in virtual time. That every kind can be adopted is in
//! the contract suite.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "a test shows what it counted")]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use common::mortal::{Points, Store, Verb, run, run_with, timeless};
use common::watch::Look;
use common::{
    BY_HAND, Cloud, PART_A, Process, applied, assert_nothing, inventory, operations, replaced,
};
use msk_pipeline_core::plan::{Action, Adopt, Claim, Plan, Rebuilt};
use msk_pipeline_core::run::{
    Answer, ApplyOptions, Approver, AutoApprove, Cancel, Gate, RunError, RunEvent, RunSummary,
};
use msk_pipeline_core::state::{Entry, Holder, MemoryDisk, State};
use msk_pipeline_core::{Clock, RealClock};
use msk_pipeline_emulator::Settings;
use serde_json::json;

const MYSQL_CDC: &str = include_str!("../../examples/mysql-cdc.toml");
const MINIMAL: &str = include_str!("../../examples/minimal.toml");
const SEED_PARITY: &str = include_str!("../../examples/seed-parity.toml");

static APPLIED: LazyLock<Cloud> = LazyLock::new(|| applied(PART_A));
static WHOLE: LazyLock<Cloud> = LazyLock::new(|| applied(MYSQL_CDC));

/// The same world, whose state is lost.
fn lost(cloud: &Cloud) -> Cloud {
    Cloud { disk: MemoryDisk::default(), ..cloud.fork() }
}

/// The world with `state` in its store.
async fn with_state(cloud: &Cloud, state: &State) -> Cloud {
    let cloud = lost(cloud);
    let holder = Holder { who: "test".into(), why: "test".into(), since: cloud.wall };
    let mut lease = cloud.store().lease(holder).await.unwrap();
    lease.load().await.unwrap();
    lease.compact(state).await.unwrap();
    lease.release().await.unwrap();
    cloud
}

/// A process whose state, if there is none yet, gets a lineage of its own.
fn stranger(cloud: &Cloud) -> Process {
    let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(cloud.wall));
    Process::new(cloud, cloud.store(), clock, 8)
}

/// The state that an applied pipeline has.
async fn recorded(cloud: &Cloud) -> State {
    cloud.store().load().await.unwrap().fold().unwrap()
}

#[track_caller]
fn refused(outcome: Result<RunSummary, RunError>) -> String {
    match outcome.unwrap_err() {
        RunError::Refused(refusals) => {
            let lines =
                refusals.iter().map(|r| format!("{}: {} ({})", r.address, r.because, r.help));
            lines.collect::<Vec<_>>().join("\n")
        }
        error => panic!("{error}"),
    }
}

#[track_caller]
fn complete(process: &Process, outcome: Result<RunSummary, RunError>) -> RunSummary {
    let summary = outcome.unwrap();
    assert!(summary.is_complete(), "{summary:?} {:#?}", process.failures());
    summary
}

fn planned(process: &Process) -> Plan {
    let events = process.events.0.lock().unwrap();
    let mut plans = events.iter().filter_map(|event| match event {
        RunEvent::Planned { plan } => Some(plan.as_ref().clone()),
        _ => None,
    });
    plans.next_back().expect("a plan was shown")
}

#[tokio::test(start_paused = true)]
async fn an_id_has_to_be_that_of_the_very_object() {
    let lineage = recorded(&APPLIED).await.lineage;
    let cloud = lost(&APPLIED);
    let (process, watch) = stranger(&cloud).watched(Look);
    let groups = process.session.ec2.describe_security_groups().send().await.unwrap();
    let group = |name: &str| {
        let found = groups.security_groups().iter().find(|g| g.group_name() == Some(name));
        found.expect(name).group_id().unwrap().to_owned()
    };
    let (ours, other) = (group("orders-cdc-kafka-main"), group("default"));
    let adopt =
        async |id: &str| process.adopt(PART_A, "kafka.main.group", Some(id), Some(&lineage)).await;
    for wrong in [other.as_str(), "orders-cdc-kafka", "", "vpc-0"] {
        let text = refused(adopt(wrong).await);
        assert!(text.contains(&format!("{ours}, not `{wrong}`")), "{text}");
        assert!(text.contains("`existing`"), "{text}");
    }
    assert_eq!(watch.sent(), []);
    let world = cloud.fork();
    for right in [ours.as_str(), "orders-cdc-kafka-main"] {
        let cloud = Cloud { wall: cloud.wall, ..world.fork() };
        let process = stranger(&cloud);
        let adopted = process.adopt(PART_A, "kafka.main.group", Some(right), Some(&lineage)).await;
        assert_eq!(complete(&process, adopted).adopted, 1, "{right}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_else_is_planned_or_done() {
    let lineage = recorded(&APPLIED).await.lineage;
    let cloud = lost(&APPLIED);
    let (process, watch) = stranger(&cloud).watched(Look);
    // Something else differs, too, and a resource is gone from the file.
    let toml = replaced(PART_A, &[("172.31.0.0/16", "172.30.0.0/16")]);
    let adopted = process.adopt(&toml, "kafka.main.logs", None, Some(&lineage)).await;
    complete(&process, adopted);
    let addresses: Vec<_> = planned(&process).steps.iter().map(|s| s.address.clone()).collect();
    assert_eq!(addresses, ["kafka.main.logs".into()]);
    assert_eq!(watch.sent_for("kafka.main.logs"), ["logs:TagResource"]);
    assert_eq!(watch.sent().len(), 1);
    // What is only read and needed is noted on the way: the group's VPC.
    let adopted = process.adopt(&toml, "kafka.main.group", None, Some(&lineage)).await;
    complete(&process, adopted);
    let steps = planned(&process).steps;
    let notes: BTreeMap<_, _> = steps.iter().map(|s| (s.address.to_string(), s.action)).collect();
    let expected = [("kafka.main.group", Action::Update), ("network", Action::Record)];
    assert_eq!(notes, expected.map(|(a, action)| (a.to_owned(), action)).into());
    // Again, there is nothing to do.
    let again = process.adopt(&toml, "kafka.main.group", None, None).await;
    assert_eq!(complete(&process, again), RunSummary::default());
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_or_would_be_replaced_is_refused() {
    let fresh = Cloud::new(Settings::default());
    let (process, watch) = Process::simple(&fresh).watched(Look);
    let text = refused(process.adopt(PART_A, "kafka.main.logs", None, None).await);
    assert!(text.contains("there is no `/aws/vendedlogs/msk/orders-cdc-main`"), "{text}");
    let text = refused(process.adopt(PART_A, "kafka.main.cluster", None, None).await);
    assert!(text.contains("which is not ready") && text.contains("first"), "{text}");
    let text = refused(process.adopt(PART_A, "kafka.main.none", None, None).await);
    assert!(text.contains("nothing of that address is declared"), "{text}");
    assert_eq!(watch.sent(), []);

    // Everything but the cluster is ours, and the cluster was made with other brokers.
    let mut state = recorded(&APPLIED).await;
    state.records.remove("kafka.main.cluster");
    let lineage = std::mem::replace(&mut state.lineage, "lineage-of-ours".into());
    let cloud = with_state(&APPLIED, &state).await;
    let (process, watch) = Process::simple(&cloud).watched(Look);
    for address in ["kafka.main.logs", "kafka.main.configuration", "kafka.main.group"] {
        complete(&process, process.adopt(PART_A, address, None, Some(&lineage)).await);
    }
    let sent = watch.sent().len();
    let other = replaced(PART_A, &[("[kafka.main]", "[kafka.main]\nversion = \"3.8.x\"")]);
    let text = refused(process.adopt(&other, "kafka.main.cluster", None, Some(&lineage)).await);
    assert!(text.contains("would have to be replaced"), "{text}");
    assert_eq!(watch.sent().len(), sent);
}

/// Answers later.
struct Later;

#[async_trait::async_trait]
impl Approver for Later {
    async fn ask(&self, gate: &Gate) -> Answer {
        assert_eq!(gate.steps.len(), 1);
        Answer::Later
    }
}

/// The whole pipeline, whose state does not know `address`.
async fn without(address: &str) -> Cloud {
    let mut state = recorded(&WHOLE).await;
    state.records.remove(address).expect("it was recorded");
    with_state(&WHOLE, &state).await
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_adopted_by_being_recorded_and_only_with_consent() {
    let topic = "connector.orders.topic-shop.orders";
    let cloud = without(topic).await;
    let (process, watch) = Process::simple(&cloud).of(MYSQL_CDC).watched(Look);
    let text = refused(process.apply(MYSQL_CDC).await);
    assert!(text.contains(&format!("`adopt {topic}`")), "{text}");
    let adopt = Some(Adopt { address: topic.into(), id: None, from_lineage: None });
    let options = ApplyOptions { adopt, ..ApplyOptions::default() };
    let graph = process.graph(MYSQL_CDC);
    let open = process.engine.apply(&graph, options, &Later, &Cancel::never()).await.unwrap();
    assert_eq!((open.open.len(), open.adopted), (1, 0));
    assert!(!recorded(&cloud).await.records.contains_key(topic));
    let adopted = process.adopt(MYSQL_CDC, topic, None, None).await;
    assert_eq!(complete(&process, adopted).adopted, 1);
    assert_eq!(watch.sent(), []);
    assert_nothing(&process.plan(MYSQL_CDC).await, "adopted");
}

#[tokio::test(start_paused = true)]
async fn what_adopting_does_to_data_needs_consent_by_name() {
    let connector = "connector.orders.connector";
    let cloud = without(connector).await;
    // Somebody else's connector, which names topics otherwise.
    let process = Process::simple(&cloud).of(MYSQL_CDC);
    let kafkaconnect = &process.session.kafkaconnect;
    let listed = kafkaconnect.list_connectors().send().await.unwrap();
    let arn = listed.connectors()[0].connector_arn().unwrap();
    let described = kafkaconnect.describe_connector().connector_arn(arn).send().await.unwrap();
    let mut configuration = described.connector_configuration().unwrap().clone();
    let theirs = "io.debezium.schema.DefaultTopicNamingStrategy";
    configuration.insert("topic.naming.strategy".into(), theirs.into());
    let update = kafkaconnect.update_connector().connector_arn(arn);
    let update = update.set_connector_configuration(Some(configuration));
    update.current_version(described.current_version().unwrap()).send().await.unwrap();
    for key in ["msk-pipeline:lineage", "msk-pipeline:pipeline", "msk-pipeline:address"] {
        kafkaconnect.untag_resource().resource_arn(arn).tag_keys(key).send().await.unwrap();
    }
    process.clock.sleep(std::time::Duration::from_hours(1)).await;
    let (process, watch) = process.watched(Look);
    let error = process.adopt(MYSQL_CDC, connector, None, None).await.unwrap_err();
    let RunError::DataLoss(affected) = &error else { panic!("{error}") };
    assert_eq!(affected.len(), 1);
    assert_eq!(watch.sent(), []);
    let adopt = Some(Adopt { address: connector.into(), id: Some(arn.into()), from_lineage: None });
    let consent = [connector.into()].into();
    let options = ApplyOptions { adopt, consent, ..ApplyOptions::default() };
    let graph = process.graph(MYSQL_CDC);
    let adopted = process.engine.apply(&graph, options, &AutoApprove, &Cancel::never()).await;
    complete(&process, adopted);
    assert_eq!(
        watch.sent().iter().map(|s| s.op.as_str()).collect::<Vec<_>>(),
        operations(&planned(&process))
            .iter()
            .map(|o| o.split(' ').nth(1).unwrap())
            .collect::<Vec<_>>()
    );
    assert_nothing(&process.plan(MYSQL_CDC).await, "adopted");
}

// ---- Kills --------------------------------------------------------------------------------------------------------------------------

/// An adoption is killed at every point; whether `adopt` or `apply` comes next, the end is that of the undisturbed one.
#[test]
fn an_adoption_survives_every_kill() {
    let runtime = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap()
    };
    // Two calls are needed: the mark, and another retention.
    let edited =
        replaced(PART_A, &[("[kafka.main]", "[kafka.main]\nlogs = { retention = \"14d\" }")]);
    let (base, lineage) = runtime().block_on(async {
        let mut state = recorded(&APPLIED).await;
        state.records.remove("kafka.main.logs");
        // What is recorded is ours; the log group alone carries another's mark.
        let cloud = with_state(&APPLIED, &state).await;
        let process = Process::simple(&cloud);
        let tags = [("msk-pipeline:lineage".to_owned(), "lineage-of-another".to_owned())].into();
        let groups = process.session.logs.describe_log_groups().send().await.unwrap();
        let arn = groups.log_groups()[0].log_group_arn().unwrap().to_owned();
        let tag = process.session.logs.tag_resource().resource_arn(arn).set_tags(Some(tags));
        tag.send().await.unwrap();
        (cloud, "lineage-of-another")
    });
    let options = || ApplyOptions {
        adopt: Some(Adopt {
            address: "kafka.main.logs".into(),
            id: None,
            from_lineage: Some(lineage.into()),
        }),
        ..ApplyOptions::default()
    };
    let end = |cloud: &Cloud| {
        let state = runtime().block_on(recorded(cloud));
        let world = cloud.world.with(|w| serde_json::to_value(&w.state).unwrap());
        (timeless(world), timeless(json!(state.records)))
    };
    let adopt = |cloud: &mut Cloud, points: &_| {
        run_with(cloud, Store::File, points, Verb::Apply, &edited, options())
    };
    let mut undisturbed = base.fork();
    let points = Points::kill_at(0);
    assert!(adopt(&mut undisturbed, &points).unwrap().unwrap().is_complete());
    let counted = points.counted.load(Ordering::Relaxed);
    let expected = end(&undisturbed);
    let (mut continued, mut left) = (0, 0);
    for fatal in 1..=counted {
        let at = format!("killed at {fatal} of {counted}");
        let mut killed = base.fork();
        assert!(adopt(&mut killed, &Points::kill_at(fatal)).is_none(), "{at}");
        let entries = runtime().block_on(async { killed.store().load().await.unwrap().entries });
        let is_begun = entries.iter().any(|e| matches!(e.entry, Entry::Adopted { .. }));
        let mut again = killed.fork();
        let summary = adopt(&mut again, &Points::kill_at(0)).unwrap().unwrap();
        assert!(summary.is_complete(), "{at}: {summary:?}");
        assert_eq!(end(&again), expected, "{at}");
        // A destroy deletes it only once the mark is ours.
        let theirs = |cloud: &Cloud| {
            let world = cloud.world.with(|w| serde_json::to_string(&w.state.logs).unwrap());
            world.contains(lineage)
        };
        let mut destroyed = killed.fork();
        let summary = run(&mut destroyed, Store::File, &Points::kill_at(0), Verb::Destroy, &edited);
        assert!(summary.unwrap().unwrap().is_complete(), "{at}");
        assert_eq!(theirs(&destroyed), theirs(&killed), "{at}");
        left += usize::from(is_begun && theirs(&killed));
        // By an apply, if the consent was journaled; otherwise it still refuses.
        let mut applied = killed.fork();
        let summary = run(&mut applied, Store::File, &Points::kill_at(0), Verb::Apply, &edited);
        match summary.unwrap() {
            Ok(summary) => {
                assert!(summary.is_complete(), "{at}: {summary:?}");
                assert_eq!(end(&applied), expected, "{at}");
                continued += 1;
            }
            Err(RunError::Refused(_)) if !is_begun => {}
            Err(error) => panic!("{at}: {error}"),
        }
    }
    println!(
        "adoption: {counted} points, {continued} continued by apply, {left} left alone by destroy"
    );
    assert!(continued > 3 && continued < counted && left > 0);
}

// ---- State made again ---------------------------------------------------------------------------------------------------------------

async fn rebuild(process: &Process, toml: &str) -> Rebuilt {
    process.engine.rebuild(&process.graph(toml)).await.unwrap()
}

async fn made_again(toml: &str) {
    let made = applied(toml);
    let before = recorded(&made).await;
    let process = Process::simple(&lost(&made)).of(toml);
    let revision = made.world.with(|w| w.revision);
    let rebuilt = rebuild(&process, toml).await;
    assert_eq!(rebuilt.lineages, [before.lineage.clone()].into());
    let strange = |c: &Claim| {
        !matches!(c, Claim::Ours { as_declared: true, .. } | Claim::Part { as_declared: true })
    };
    let strange: Vec<_> = rebuilt.traced.iter().filter(|t| strange(&t.claim)).collect();
    assert!(strange.is_empty(), "{strange:#?}");
    assert_eq!(made.world.with(|w| w.revision), revision, "it only reads");
    let cloud = with_state(&made, &rebuilt.state).await;
    let process = Process::simple(&cloud).of(toml);
    assert_nothing(&process.plan(toml).await, "made again");
    assert_eq!(rebuilt.state.records.len(), before.records.len());
    let options = ApplyOptions { consent_to_all: true, ..ApplyOptions::default() };
    let graph = process.graph(toml);
    let ended = process.engine.destroy(&graph, options, &AutoApprove, &Cancel::never()).await;
    complete(&process, ended);
    let process = Process::simple(&made).of(toml);
    complete(&process, process.destroy(toml).await);
    let left = |cloud: &Cloud| inventory(cloud, &process);
    assert_eq!(
        left(&cloud),
        left(&made),
        "a destroy leaves no more than with the state that was lost"
    );
}

#[tokio::test(start_paused = true)]
async fn the_recommended_pipeline_is_made_again() {
    // What a connector was signalled is in no mark: prepared directly, its rows are asked for once more.
    made_again(&replaced(MYSQL_CDC, &[BY_HAND])).await;
}

#[tokio::test(start_paused = true)]
async fn the_smallest_pipeline_is_made_again() {
    made_again(MINIMAL).await;
}

#[tokio::test(start_paused = true)]
async fn the_pipeline_that_is_replaced_is_made_again() {
    made_again(SEED_PARITY).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_strange_missing_or_changed_is_told_and_not_taken_for_ours() {
    let cloud = lost(&APPLIED);
    let process = Process::simple(&cloud);
    let logs = &process.session.logs;
    let groups = logs.describe_log_groups().send().await.unwrap();
    let group = &groups.log_groups()[0];
    let claim = async |address: &str| {
        let rebuilt = rebuild(&process, PART_A).await;
        rebuilt.traced.into_iter().find(|t| t.address.as_str() == address).unwrap().claim
    };
    let tag = async |lineage: &str, pipeline: &str| {
        let tags = [("lineage", lineage), ("pipeline", pipeline)];
        let tags = tags.map(|(k, v)| (format!("msk-pipeline:{k}"), v.to_owned())).into();
        let tag = logs.tag_resource().resource_arn(group.log_group_arn().unwrap());
        tag.set_tags(Some(tags)).send().await.unwrap();
    };
    // Another pipeline's mark is no lineage of ours.
    tag("lineage-of-another", "another").await;
    assert!(
        matches!(claim("kafka.main.logs").await, Claim::Foreign { whose } if whose.contains("another"))
    );
    let rebuilt = rebuild(&process, PART_A).await;
    assert_eq!(rebuilt.lineages.len(), 1);
    assert!(!rebuilt.state.records.contains_key("kafka.main.logs"));
    assert!(rebuilt.state.records.contains_key("kafka.main.group"));
    // A second lineage of this very pipeline: no state is made.
    tag("lineage-of-another", "orders-cdc").await;
    let rebuilt = rebuild(&process, PART_A).await;
    assert_eq!(rebuilt.lineages.len(), 2, "{:?}", rebuilt.lineages);
    assert_eq!(rebuilt.state, State::default());
    let name = group.log_group_name().unwrap();
    logs.put_retention_policy().log_group_name(name).retention_in_days(1).send().await.unwrap();
    let lineage = "lineage-of-another".to_owned();
    assert_eq!(claim("kafka.main.logs").await, Claim::Ours { lineage, as_declared: false });
    // What needs it can't be looked at with certainty, and is not lost: its name is enough.
    logs.delete_log_group().log_group_name(name).send().await.unwrap();
    assert_eq!(claim("kafka.main.logs").await, Claim::Missing);
    assert!(matches!(claim("kafka.main.cluster").await, Claim::Ours { .. }));
}
