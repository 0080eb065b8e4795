use msk_pipeline_core::kind::{Change, Condition, Proposed};
use msk_pipeline_core::plan::Refusal;
use msk_pipeline_core::state::Pin;
use serde_json::json;

use super::*;

fn step(address: &str, action: Action, calls: Vec<ErasedProposed>, after: &[usize]) -> Step {
    Step {
        address: address.into(),
        generation: 1,
        kind: "toy".into(),
        stage: address.split('.').next().unwrap_or_default().into(),
        name: format!("orders-{}", address.replace('.', "-")),
        action,
        calls,
        because: None,
        in_flight: None,
        after: after.to_vec(),
        props: Value::Null,
        deps: Vec::new(),
        outputs: Value::Null,
        deposes: None,
        restores: false,
        forgets: false,
        keeps: false,
        adoption: None,
    }
}

fn plan(steps: Vec<Step>) -> Plan {
    let pin =
        Pin { account: "111111111111".into(), region: "eu-west-1".into(), partition: "aws".into() };
    Plan {
        format: Plan::FORMAT,
        pipeline: "orders".into(),
        pin,
        lineage: "l".into(),
        serial: 1,
        nonce: "n".into(),
        verb: Verb::Apply,
        steps,
        refusals: Vec::new(),
        digest: String::new(),
    }
}

fn call(op: &str, effect: Effect, minutes: u64) -> ErasedProposed {
    Proposed::new(op, effect, json!({})).usual(Duration::from_secs(minutes * 60))
}

fn render(plan: &Plan, paint: bool, width: usize) -> String {
    let notices = [Notice {
        about: "database.orders".into(),
        title: "create the capture user".into(),
        body: "CREATE USER 'debezium'@'%';".into(),
    }];
    let view = View {
        paint: Paint(paint),
        width,
        verbose: 0,
        cloud: Cloud::Simulated,
        scale: 180.0,
        notices: &notices,
    };
    view.plan(plan)
}

/// A plan with everything that a plan can show.
fn everything() -> Plan {
    let cluster = call("kafka:UpdateBrokerCount", Effect::Update, 25)
        .fields([Change::new("brokers.count", Some(3), Some(6))])
        .data(DataEffect::new(Verdict::Restart, "brokers restart one after another"));
    let gone = call("kafka:DeleteCluster", Effect::Delete, 10)
        .data(DataEffect::new(Verdict::Lost, "all topics and their records"))
        .only_if("no topic is in use");
    let topic = call("kafkaconnect:UpdateConnector", Effect::Update, 5)
        .fields([
            Change::new("topic.prefix", Some("a"), Some("b")),
            Change::new(
                "group",
                None::<&str>,
                Some(json!({ "$ref": "kafka.main.group", "output": "group_id" })),
            ),
        ])
        .data(DataEffect::new(Verdict::Resnapshot, "every table, into new topics"));
    let mut waiting = step("connect.b", Action::Wait, vec![], &[0]);
    waiting.in_flight = Some(Condition::new("RUNNING", "CREATING", Duration::from_mins(20)));
    let mut update = step("kafka.main", Action::Update, vec![cluster], &[]);
    update.because = Some("it was changed outside of this pipeline".into());
    let mut plan = plan(vec![
        update,
        step("kafka.old", Action::Delete, vec![gone], &[]),
        step("connect.a", Action::Update, vec![topic], &[0]),
        waiting,
        step("connect.c", Action::NoOp, vec![], &[]),
    ]);
    plan.refusals.push(Refusal {
        address: "kafka.other".into(),
        because: "it belongs to another pipeline".into(),
        help: "choose another name".into(),
    });
    plan
}

#[test]
fn a_plan_says_everything() {
    let text = render(&everything(), false, 80);
    for part in [
        "Plan orders (embedded AWS, account 111111111111, eu-west-1, SIMULATED)",
        "Stage kafka\n  ~ change kafka.main  orders-kafka-main",
        "      because it was changed outside of this pipeline",
        "      kafka:UpdateBrokerCount, about 25 min\n        brokers.count  3 → 6",
        "        data: restart: brokers restart one after another",
        "  - delete kafka.old",
        "kafka:DeleteCluster, about 10 min, only if no topic is in use",
        "        !! DATA LOST !! all topics and their records",
        "        topic.prefix  \"a\" → \"b\"",
        "(not set) → (known after apply: kafka.main.group group_id)",
        "        !! RESNAPSHOT !! every table, into new topics",
        "  > wait for connect.b",
        "in flight: CREATING now, waits for RUNNING (usually 20 min) SIMULATED",
        "  x kafka.other: it belongs to another pipeline\n    help: choose another name",
        "!! DATA WOULD BE LOST !! in 2 resources:",
        "  connect.a  RESNAPSHOT: every table, into new topics",
        "    CREATE USER 'debezium'@'%';",
        "Plan: 2 to change, 1 to delete, 1 to wait for; 1 as declared.",
        "It takes about 45",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!text.contains('\x1b'));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [60, 80, 120] {
        for line in render(&everything(), true, width).lines() {
            assert!(crate::printer::visible(line) <= width, "{line}");
        }
    }
}

#[test]
fn a_plan_without_changes_is_one_clear_line() {
    let text = render(&plan(vec![step("kafka.main", Action::NoOp, vec![], &[])]), false, 80);
    assert!(text.ends_with("No changes: 1 resource is as declared. SIMULATED"), "{text}");
}

#[test]
fn what_is_kept_is_said_and_what_is_only_gone_is_not() {
    let forgotten =
        |address: &str, keeps: bool| Step { keeps, ..step(address, Action::Record, vec![], &[]) };
    let mut plan = plan(vec![
        forgotten("database.cluster", true),
        forgotten("database.group", true),
        forgotten("database.other", false),
    ]);
    plan.verb = Verb::Destroy;
    let text = render(&plan, false, 80);
    assert!(
        text.contains("  = keep and forget database.cluster  orders-database-cluster"),
        "{text}"
    );
    assert!(text.contains("  = keep and forget database.group"), "{text}");
    assert!(!text.contains("database.other"), "{text}");
    assert!(text.contains("leaves 2 resources in AWS and forgets them"), "{text}");
    assert!(
        text.ends_with("Nothing to delete: 2 resources would be kept and forgotten. SIMULATED"),
        "{text}"
    );
}
