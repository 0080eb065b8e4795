//! What is done with a connector that exists, and what is seen of one while it comes up, in virtual time: its own operations, the watch over
//! its log, and that a simulated one is never taken for verified.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod common;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use common::{Cloud, Events, Process, applied};
use msk_pipeline_aws::operate::{self, OperateError, Operation};
use msk_pipeline_aws::verify::{Closed, Depth, Look, Verdict, declared_retention, ends, verify};
use msk_pipeline_aws::watch::LogWatch;
use msk_pipeline_core::dsl::{Document, Overlay};
use msk_pipeline_core::run::{ApplyOptions, AutoApprove, Cancel, Canceller, RunEvent};
use msk_pipeline_emulator::fault::{Effect, Rule, When};
use msk_pipeline_emulator::{Settings, World};
use msk_pipeline_verify::Reach;

const MYSQL_CDC: &str = include_str!("../../examples/mysql-cdc.toml");
const NAME: &str = "orders-orders";
const ADDRESS: &str = "connector.orders.connector";

static APPLIED: LazyLock<Cloud> = LazyLock::new(|| applied(MYSQL_CDC));

async fn operated(process: &Process, operation: Operation) -> Result<Vec<String>, OperateError> {
    let lineage = process.engine.state().await.unwrap().lineage;
    let (session, clock) = (&process.session, process.clock.as_ref());
    let Some(begun) = operate::begin(session, clock, NAME, &lineage, operation).await? else {
        return Ok(vec!["nothing".into()]);
    };
    let mut seen = Vec::new();
    operate::settle(session, clock, &begun, |state| seen.push(state.to_owned())).await?;
    Ok(seen)
}

async fn state(process: &Process) -> String {
    ends(&process.session, NAME).await.unwrap().unwrap().state
}

#[tokio::test(start_paused = true)]
async fn a_connector_is_paused_resumed_and_restarted() {
    let process = Process::simple(&APPLIED.fork()).of(MYSQL_CDC);
    let resumed = operated(&process, Operation::Resume).await.unwrap();
    assert_eq!(resumed, ["nothing"], "it runs");
    let paused = operated(&process, Operation::Pause).await.unwrap();
    assert_eq!(paused.last().unwrap(), "PAUSE_COMPLETE");
    assert_eq!(state(&process).await, "PAUSED");
    assert_eq!(operated(&process, Operation::Pause).await.unwrap(), ["nothing"]);
    // Only one that runs can be restarted.
    let refused = operated(&process, Operation::Restart { only_failed: false }).await;
    assert!(matches!(&refused, Err(OperateError::State { state, .. }) if state == "PAUSED"));
    assert_eq!(
        operated(&process, Operation::Resume).await.unwrap().last().unwrap(),
        "RESUME_COMPLETE"
    );
    let restarted = operated(&process, Operation::Restart { only_failed: true }).await.unwrap();
    assert_eq!(restarted.last().unwrap(), "RESTART_COMPLETE");
    assert_eq!(state(&process).await, "RUNNING");
}

#[tokio::test(start_paused = true)]
async fn a_paused_connector_is_resumed_by_the_next_apply() {
    let process = Process::simple(&APPLIED.fork()).of(MYSQL_CDC);
    operated(&process, Operation::Pause).await.unwrap();
    let plan = process.plan(MYSQL_CDC).await;
    assert_eq!(common::operations(&plan), [format!("{ADDRESS} kafkaconnect:ResumeConnector")]);
    assert!(process.apply(MYSQL_CDC).await.unwrap().is_complete());
    assert_eq!(state(&process).await, "RUNNING");
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_connector_is_not_touched() {
    let process = Process::simple(&APPLIED.fork()).of(MYSQL_CDC);
    let (session, clock) = (&process.session, process.clock.as_ref());
    let stranger = operate::begin(session, clock, NAME, "another", Operation::Pause).await;
    assert!(matches!(stranger, Err(OperateError::Foreign(_))));
    let absent = operate::begin(session, clock, "none", "another", Operation::Pause).await;
    assert!(matches!(absent, Err(OperateError::Absent(_))));
    assert_eq!(state(&process).await, "RUNNING");
}

/// A reply that is lost: the operation is found, and not asked for twice.
#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_looked_for() {
    let cloud = APPLIED.fork();
    let process = Process::simple(&cloud).of(MYSQL_CDC);
    let rule = Rule::new("kafkaconnect", "PauseConnector", When::Nth(1), Effect::LostReply);
    cloud.world.with(|world: &mut World| world.faults.rules.push(rule));
    let seen = operated(&process, Operation::Pause).await.unwrap();
    assert_eq!(seen.last().unwrap(), "PAUSE_COMPLETE");
    assert_eq!(state(&process).await, "PAUSED");
}

fn look(process: &Process, closed: Option<Closed>) -> Look {
    Look {
        reach: Reach::default(),
        credentials: None,
        tasks: None,
        retention: None,
        now: 0,
        aws_now: process.clock.wall().0,
        scale: 1.0,
        most_behind: Look::MOST_BEHIND,
        closed,
    }
}

/// A healthy connector behind which nothing stands is unverified; one that isn't healthy is wrong.
#[tokio::test(start_paused = true)]
async fn what_is_simulated_is_never_verified() {
    let process = Process::simple(&APPLIED.fork()).of(MYSQL_CDC);
    let closed = || Some(Closed { what: "nothing".into(), open: "serve".into() });
    let of = async |depth| {
        let look = look(&process, closed());
        verify(&process.session, NAME, &look, depth).await.unwrap().unwrap()
    };
    for depth in [Depth::Alive, Depth::Chain, Depth::Proof { wait: Duration::from_secs(1) }] {
        let report = of(depth).await;
        assert_eq!(report.verdict, Verdict::Unverified, "{report:?}");
        assert_eq!(report.reason().unwrap().name, "its rows");
        assert_eq!(report.proof, None);
    }
    operated(&process, Operation::Pause).await.unwrap();
    let report = of(Depth::Alive).await;
    assert_eq!(report.verdict, Verdict::Wrong);
    assert_eq!(report.reason().unwrap().code(), Some("C-CONNECTOR-PAUSED"));
    let absent = verify(&process.session, "none", &look(&process, closed()), Depth::Alive).await;
    assert_eq!(absent.unwrap(), None);
}

/// A secret that changes after the connector began is told.
#[tokio::test(start_paused = true)]
async fn a_secret_that_is_newer_than_the_connector_is_wrong() {
    let process = Process::simple(&APPLIED.fork()).of(MYSQL_CDC);
    let name = common::output(&process, "database.orders.capture-secret", "secret_name").await;
    let value = r#"{"username":"debezium","password":"a new one"}"#;
    let change = process.session.secretsmanager.put_secret_value().secret_id(name);
    change.secret_string(value).send().await.unwrap();
    let closed = Closed { what: "nothing".into(), open: "serve".into() };
    let look = look(&process, Some(closed));
    let report = verify(&process.session, NAME, &look, Depth::Alive).await.unwrap().unwrap();
    let codes: Vec<_> = report.checks.iter().filter_map(|check| check.code()).collect();
    assert_eq!(codes, ["C-SECRET-NEWER"]);
    assert!(!format!("{report:?}").contains("a new one"));
}

#[tokio::test(start_paused = true)]
async fn both_ends_are_told_by_aws() {
    let process = Process::simple(&APPLIED.fork()).of(MYSQL_CDC);
    let ends = ends(&process.session, NAME).await.unwrap().unwrap();
    ends.fit().unwrap();
    assert!(ends.iam && ends.tls && ends.bootstrap.iter().all(|b| b.ends_with(":9098")));
    assert_eq!(ends.offsets, "connect.orders-orders.offsets.1");
    assert_eq!(ends.canary_table().as_deref(), Some("cdc.canary"));
    assert!(!ends.tables().contains(&"cdc.signal".to_owned()), "{:?}", ends.tables());
    let document = Document::parse(MYSQL_CDC).unwrap();
    let components = msk_pipeline_aws::components::components();
    let pipeline = document.pipeline(&components, &Overlay::default()).unwrap();
    let retention = declared_retention(&pipeline, &ADDRESS.into());
    assert_eq!(retention, Some(Duration::from_hours(7 * 24)));
    assert_eq!(declared_retention(&pipeline, &"connector.gone.connector".into()), None);
}

/// An apply on an empty world whose connector's worker writes a line while it is CREATING. Returns the causes that were told, and
/// whether the run was complete.
async fn watched(text: &str, fail_fast: bool) -> (Vec<String>, bool, Process) {
    let cloud = Cloud::new(Settings::default());
    let mut process = Process::simple(&cloud).of(MYSQL_CDC);
    let (canceller, cancel) = Canceller::new();
    let cancel = if fail_fast { cancel } else { Cancel::never() };
    let graph = process.graph(MYSQL_CDC);
    let events = Arc::new(Events(process.events.0.clone()));
    let stops = fail_fast.then_some(canceller);
    let logs =
        Arc::new(LogWatch::new(&process.session, process.clock.clone(), &graph, events, stops));
    process.engine.events = logs.clone();
    let writes = async {
        let logs = &process.session.logs;
        let group = "/aws/vendedlogs/msk-connect/orders-orders";
        loop {
            process.clock.sleep(Duration::from_secs(30)).await;
            let found = ends(&process.session, NAME).await.unwrap();
            if found.is_some_and(|ends| ends.state == "CREATING") {
                break;
            }
        }
        logs.create_log_stream().log_group_name(group).log_stream_name("s").send().await.unwrap();
        let at = i64::try_from(process.clock.wall().0).unwrap();
        let event = InputLogEvent::builder().timestamp(at).message(text).build().unwrap();
        let request = logs.put_log_events().log_group_name(group).log_stream_name("s");
        request.log_events(event).send().await.unwrap();
        std::future::pending::<()>().await;
    };
    let run = process.engine.apply(&graph, ApplyOptions::default(), &AutoApprove, &cancel);
    let summary = tokio::select! {
        summary = run => summary.unwrap(),
        () = writes => unreachable!("it waits"),
        never = logs.run() => match never {},
    };
    let events = process.events.0.lock().unwrap().clone();
    let told = events.iter().filter_map(|event| match event {
        RunEvent::Certain { address, cause, help } => {
            assert!(address.as_str() == ADDRESS && !help.is_empty());
            Some(cause.clone())
        }
        _ => None,
    });
    (told.collect(), summary.is_complete(), process)
}

const DENIED: &str = "[Worker-0a1b2c3d4e5f60718] [2026-01-01 10:00:00,123] ERROR [orders-orders|task-0] Failed testing connection (a.B:1)\n\
    [Worker-0a1b2c3d4e5f60718] java.sql.SQLException: Access denied for user 'debezium'@'10.0.1.7' (using password: YES)";

#[tokio::test(start_paused = true)]
async fn a_certain_cause_is_told_while_the_connector_is_creating() {
    let (told, complete, _) = watched(DENIED, false).await;
    assert_eq!(told.len(), 1, "once: {told:?}");
    assert!(told[0].ends_with("[C-DB-AUTH]"), "{told:?}");
    assert!(complete, "without --fail-fast the run goes on");
}

#[tokio::test(start_paused = true)]
async fn fail_fast_stops_the_run_and_the_next_goes_on() {
    let (told, complete, process) = watched(DENIED, true).await;
    assert_eq!((told.len(), complete), (1, false));
    assert_eq!(state(&process).await, "CREATING", "the run didn't wait for its end");
    let state = process.engine.state().await.unwrap();
    assert!(state.run.is_some() || state.pending().next().is_some(), "something is left to do");
    assert!(process.apply(MYSQL_CDC).await.unwrap().is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_line_that_shows_nothing_certain_is_not_told() {
    let line = "[Worker-0a] [2026-01-01 10:00:00,123] WARN [orders-orders|task-0] Couldn't commit yet (a.B:1)";
    let (told, complete, _) = watched(line, true).await;
    assert_eq!((told.len(), complete), (0, true));
}
