//! What `calls` says to every difference, and whose a topic is.

use super::*;
use crate::kinds::testing::{mark, ops, session};

const ARN: &str = "arn:aws:kafka:eu-west-1:1:cluster/main/u";

fn want() -> Props {
    Props {
        cluster_arn: ARN.into(),
        cluster: String::new(),
        name: "shop.orders".into(),
        partitions: 6,
        replication: 3,
        configs: Configs::from([("retention.ms".into(), "1209600000".into())]),
        holds: Holds::Data,
    }
}

fn topic() -> Topic {
    Topic {
        cluster_arn: ARN.into(),
        name: "shop.orders".into(),
        arn: format!("{ARN}/shop.orders"),
        status: "ACTIVE".into(),
        partitions: 6,
        replication: 3,
        configs: want().configs,
        ours: true,
    }
}

fn next(want: Option<Props>, seen: Option<Seen>, was: Option<Props>) -> String {
    let outputs = Outputs { topic_arn: String::new(), topic_name: String::new() };
    let was = was.map(|props| Recorded { props, outputs: Some(outputs) });
    let case = Case { want, seen, was, pursuit: None, mark: mark() };
    ops(&KafkaTopic::new(&session()).calls(&case))
}

#[test]
fn every_difference_has_its_call_and_verdict() {
    let with = |change: &dyn Fn(&mut Topic, &mut Props)| {
        let (mut topic, mut want) = (topic(), want());
        change(&mut topic, &mut want);
        next(Some(want), Some(Seen::Topic(topic)), None)
    };
    assert_eq!(next(Some(want()), None, None), "CreateTopic");
    assert_eq!(with(&|_, _| ()), "converged");
    assert_eq!(with(&|_, w| w.partitions = 12), "UpdateTopic ordering");
    assert_eq!(with(&|_, w| w.partitions = 3), "replace lost");
    assert_eq!(with(&|_, w| w.replication = 2), "replace lost");
    assert_eq!(with(&|_, w| w.cluster_arn = Input::output("k", "cluster_arn")), "replace lost");
    assert_eq!(
        with(&|_, w| drop(w.configs.insert("retention.ms".into(), "1".into()))),
        "UpdateTopic gap"
    );
    assert_eq!(
        with(&|_, w| drop(w.configs.insert("retention.ms".into(), "-1".into()))),
        "UpdateTopic"
    );
    assert_eq!(
        with(&|_, w| {
            w.partitions = 7;
            w.configs.insert("retention.ms".into(), "-1".into());
        }),
        "UpdateTopic, UpdateTopic ordering",
        "configs and partitions are two requests"
    );
    let shown = |t: &mut Topic, _: &mut Props| drop(t.configs.insert("x".into(), "1".into()));
    assert_eq!(with(&shown), "converged", "never declared here");
    assert_eq!(
        with(&|t, w| {
            t.status = "CREATING".into();
            w.partitions = 7;
        }),
        "wait, UpdateTopic ordering"
    );
    assert_eq!(
        with(&|t, w| {
            t.status = "CREATING".into();
            w.replication = 2;
        }),
        "replace",
        "nothing is in it yet"
    );
    assert_eq!(with(&|t, _| t.status = "DELETING".into()), "wait, CreateTopic");
    assert_eq!(
        with(&|_, w| {
            w.holds = Holds::Offsets;
            w.partitions = 7;
        }),
        "refuse"
    );

    let was = Props { configs: Configs::from([("x".into(), "1".into())]), ..want() };
    let mut there = topic();
    there.configs.insert("x".into(), "1".into());
    assert_eq!(
        next(Some(want()), Some(Seen::Topic(there)), Some(was)),
        "UpdateTopic",
        "declared before and not any more"
    );
    let history = Props { holds: Holds::History, ..want() };
    assert_eq!(next(Some(history), None, None), "refuse", "more than one partition");
    assert_eq!(next(Some(want()), Some(Seen::Busy("UPDATING".into())), None), "wait, CreateTopic");
    // While its cluster is busy a topic can't be asked for: what was recorded tells what will have to be done.
    let busy = |want: Option<Props>| {
        let was = Some(Props { holds: Holds::Data, ..self::want() });
        next(want, Some(Seen::Busy("UPDATING".into())), was)
    };
    assert_eq!(busy(Some(want())), "wait");
    assert_eq!(busy(Some(Props { partitions: 12, ..want() })), "wait, UpdateTopic ordering");
    assert_eq!(busy(Some(Props { partitions: 3, ..want() })), "replace lost");
    assert_eq!(busy(None), "wait, DeleteTopic lost");
}

#[test]
fn deleting_says_what_is_lost() {
    let delete = |status: &str, holds| {
        let topic = Topic { status: status.into(), ..topic() };
        next(None, Some(Seen::Topic(topic)), Some(Props { holds, ..want() }))
    };
    assert_eq!(next(None, None, None), "gone");
    assert_eq!(delete("ACTIVE", Holds::Data), "DeleteTopic lost");
    assert_eq!(delete("ACTIVE", Holds::History), "DeleteTopic lost");
    assert_eq!(delete("CREATING", Holds::Data), "wait, DeleteTopic");
    assert_eq!(delete("UPDATING", Holds::Data), "wait, DeleteTopic lost");
    assert_eq!(delete("DELETING", Holds::Data), "wait");
}

#[test]
fn a_topic_that_was_there_before_is_not_ours() {
    let foreign = Seen::Topic(Topic { ours: false, ..topic() });
    assert_eq!(KafkaTopic::mark(&foreign), MarkSeen::Absent);
    assert_eq!(KafkaTopic::mark(&Seen::Topic(topic())), MarkSeen::ByParent);
    let refused = exists(CallError::new(Class::AlreadyExists, "op", "Topic 't' already exists."));
    assert_eq!(refused.class, Class::Invalid, "another attempt can't help");
}

#[test]
fn configs_survive_their_two_encodings() {
    assert_eq!(decode(&encode(&want().configs)), want().configs);
    assert_eq!(decode(&BASE64.encode(r#"{"a":1}"#))["a"], "1");
    assert!(decode("").is_empty());
}
