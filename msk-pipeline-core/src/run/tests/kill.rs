//! The kill loop: a run is killed at every point there is, and the next one has to come to the same end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::support::{Outside, Points, Wrap, blob, id_of, toy};
use crate::Timestamp;
use crate::graph::{Graph, Resource};
use crate::kind::{Class, Input};
use crate::plan::Verb;
use crate::run::{Answer, ApplyOptions, Approver, Cancel, Gate, RunError};
use crate::state::Disk as _;
use crate::testkit::Dial;

fn first() -> Vec<Resource> {
    let mut late = toy("late", "apps", |p| p.parent = Some(id_of("net")));
    late.needs = vec!["sized".into()];
    vec![
        toy("net", "base", |_| ()),
        toy("volume", "base", |p| p.size = 1.into()),
        blob("config", "base", "one"),
        toy("user", "apps", |p| {
            p.parent = Some(id_of("net"));
            p.blobs = vec![id_of("config")];
        }),
        toy("sized", "apps", |p| p.size = Input::output("volume", "size")),
        toy("leaf", "apps", |p| p.parent = Some(id_of("user"))),
        late,
        toy("alone", "base", |_| ()),
        toy("dropped", "apps", |p| p.parent = Some(id_of("net"))),
    ]
}

/// In place: net, volume, sized (through volume's output), user (through config's). Delete first: alone, late. Create first: config.
fn second() -> Vec<Resource> {
    let mut resources = first();
    resources.retain(|r| r.address.as_str() != "dropped");
    let mut set = |address: &str, field: &str, value: serde_json::Value| {
        let resource = resources.iter_mut().find(|r| r.address.as_str() == address).unwrap();
        resource.props[field] = value;
    };
    set("net", "size", 2.into());
    set("volume", "size", 3.into());
    set("config", "content", "two".into());
    set("alone", "shape", "square".into());
    set("late", "shape", "square".into());
    resources.push(toy("added", "apps", |p| p.parent = Some(id_of("net"))));
    resources
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Names {
    Unique,
    Shared,
}

/// A world in which `done` was carried out undisturbed.
fn world(names: Names, done: &[(Verb, Vec<Resource>)]) -> Outside {
    let outside = Outside::new();
    outside.cloud.set_lag(Duration::from_secs(5));
    if names == Names::Shared {
        outside.cloud.allow_same_names();
    }
    outside.cloud.plant("foreign", BTreeMap::new());
    for (verb, resources) in done {
        let summary = outside.run(&Points::default(), Wrap::Sound, *verb, resources);
        assert!(summary.unwrap().unwrap().is_complete());
    }
    // Until reads show what is.
    let later = outside.now() + Duration::from_mins(1);
    *outside.wall.lock().unwrap() = later;
    outside
}

/// Compares line by line, because the values are long.
#[track_caller]
fn same(found: &serde_json::Value, expected: &serde_json::Value, at: &str) {
    let lines =
        |v| serde_json::to_string_pretty(v).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let (found, expected): (Vec<_>, Vec<_>) = (lines(found), lines(expected));
    if let Some(n) = (0..found.len().max(expected.len())).find(|&n| found.get(n) != expected.get(n))
    {
        let around =
            |v: &[String]| v[n.saturating_sub(8).min(v.len())..(n + 3).min(v.len())].join("\n");
        panic!("{at}: found\n{}\ninstead of\n{}", around(&found), around(&expected));
    }
}

/// Kills one run at each of its points, and lets the next come to an end.
fn kill_everywhere(
    title: &str,
    names: Names,
    before: &[(Verb, Vec<Resource>)],
    verb: Verb,
    resources: &[Resource],
) {
    let base = world(names, before);
    let undisturbed = base.fork();
    let points = Points::default();
    let summary = undisturbed.run(&points, Wrap::Sound, verb, resources).unwrap().unwrap();
    assert!(summary.is_complete(), "{summary:?}");
    let (counted, expected) = (points.counted(), undisturbed.canonical());
    let foreign = undisturbed.cloud.truth("foreign", undisturbed.now());

    let mut killed = 0;
    for fatal in 1..=counted {
        let at = format!("{title}, {names:?} names, killed at {fatal} of {counted}");
        let outside = base.fork();
        outside.asked.lock().unwrap().clear();
        killed += usize::from(
            outside.run(&Points::kill_at(fatal), Wrap::Sound, verb, resources).is_none(),
        );
        let approved: BTreeSet<String> =
            outside.state().run.iter().flat_map(|run| run.approved.keys().cloned()).collect();
        outside.asked.lock().unwrap().clear();
        let again = outside.run(&Points::default(), Wrap::Sound, verb, resources);
        let summary = again.unwrap().unwrap_or_else(|error| panic!("{at}: {error}"));
        assert!(summary.is_complete(), "{at}: {summary:?}");
        same(&outside.canonical(), &expected, &at);
        for name in outside.cloud.all(outside.now()).keys() {
            let (now, then) = (outside.cloud.creates(name), undisturbed.cloud.creates(name));
            assert_eq!(now, then, "{at}: {name} was created {now} times");
        }
        assert_eq!(outside.cloud.doubles(), 0, "{at}");
        assert_eq!(outside.cloud.truth("foreign", outside.now()), foreign, "{at}");
        assert_eq!(*outside.unannounced.lock().unwrap(), Vec::<String>::new(), "{at}");
        let asked: BTreeSet<_> = outside.asked.lock().unwrap().iter().cloned().collect();
        assert!(asked.is_disjoint(&approved), "{at}: {asked:?} asked, {approved:?} was approved");
        // And nothing is left to do.
        outside.asked.lock().unwrap().clear();
        let summary =
            outside.run(&Points::default(), Wrap::Sound, verb, resources).unwrap().unwrap();
        assert_eq!(summary, crate::run::RunSummary::default(), "{at}");
    }
    #[expect(clippy::print_stdout, reason = "shown by `cargo test -- --nocapture`")]
    {
        println!("{title}, {names:?} names: counted {counted}, killed {killed}");
    }
    assert_eq!(killed, counted, "{title}");
}

#[test]
fn create_survives_every_kill() {
    for names in [Names::Unique, Names::Shared] {
        kill_everywhere("create", names, &[], Verb::Apply, &first());
    }
}

#[test]
fn update_survives_every_kill() {
    for names in [Names::Unique, Names::Shared] {
        kill_everywhere("update", names, &[(Verb::Apply, first())], Verb::Apply, &second());
    }
}

#[test]
fn destroy_survives_every_kill() {
    for names in [Names::Unique, Names::Shared] {
        kill_everywhere("destroy", names, &[(Verb::Apply, first())], Verb::Destroy, &first());
    }
}

/// A call is sent before its *begin* is durable: seen at once, and a kill in between makes a second object.
#[test]
fn a_late_begin_is_caught() {
    let base = world(Names::Shared, &[]);
    let outside = base.fork();
    let points = Points::default();
    outside.run(&points, Wrap::LateBegin, Verb::Apply, &first()).unwrap().unwrap();
    assert!(!outside.unannounced.lock().unwrap().is_empty());

    let doubled = (1..=points.counted()).any(|fatal| {
        let outside = base.fork();
        outside.run(&Points::kill_at(fatal), Wrap::LateBegin, Verb::Apply, &first());
        outside.run(&Points::default(), Wrap::Sound, Verb::Apply, &first()).unwrap().unwrap();
        outside.cloud.doubles() > 0
    });
    assert!(doubled, "no kill made a second object");
}

#[test]
fn a_missing_mark_check_is_caught() {
    for (wrap, refused) in [(Wrap::Sound, true), (Wrap::NoMarkCheck, false)] {
        let outside = world(Names::Unique, &[]);
        outside.cloud.plant("alone", BTreeMap::new());
        let before = outside.cloud.truth("alone", outside.now());
        let result = outside.run(&Points::default(), wrap, Verb::Apply, &first()).unwrap();
        assert_eq!(matches!(result, Err(RunError::Refused(_))), refused, "{result:?}");
        let untouched = outside.cloud.truth("alone", outside.now()) == before;
        assert_eq!(untouched, refused, "{wrap:?}");
    }
}

/// Makes an object of a wanted name, as it is wanted but without our mark, while the plan is looked at.
struct Rival(Outside);

#[async_trait]
impl Approver for Rival {
    async fn ask(&self, _: &Gate) -> Answer {
        // Long enough ago that every read shows it.
        let then = Timestamp(1);
        self.0.cloud.plant("alone", BTreeMap::new());
        let fields = [
            ("size", json!(1)),
            ("shape", json!("round")),
            ("parent", json!(null)),
            ("blobs", json!([])),
        ];
        for (field, value) in fields {
            self.0.cloud.tamper("alone", field, value, then);
        }
        Answer::Approve
    }
}

#[test]
fn what_somebody_makes_between_plan_and_call_is_not_touched() {
    let outside = world(Names::Unique, &[]);
    let alone = [toy("alone", "base", |_| ())];
    let summary = outside.process(&Points::default(), Wrap::Sound, async |engine| {
        let graph = Graph::build(alone.to_vec(), &engine.registry).unwrap();
        let rival = Rival(outside.clone());
        engine.apply(&graph, ApplyOptions::default(), &rival, &Cancel::never()).await
    });
    let summary = summary.unwrap().unwrap();
    assert_eq!(summary.failed, ["alone".into()], "it is somebody else's: {summary:?}");
    let theirs = outside.cloud.truth("alone", outside.now()).unwrap();
    assert_eq!(theirs.tags, BTreeMap::new(), "{theirs:?}");
    assert!(!outside.state().records.contains_key("alone"), "and is not recorded");
}

#[test]
fn a_lost_reply_that_counts_as_a_failure_is_caught() {
    for (wrap, sound) in [(Wrap::Sound, true), (Wrap::LostIsFailed, false)] {
        let outside = world(Names::Shared, &[]);
        let net = &first()[..1];
        outside.cloud.dial("toy:Create", "net", Dial::LoseReply);
        let summary = outside.run(&Points::default(), wrap, Verb::Apply, net);
        assert_eq!(summary.unwrap().unwrap().is_complete(), sound, "{wrap:?}");
        let _ = outside.run(&Points::default(), wrap, Verb::Apply, net);
        assert_eq!(outside.cloud.doubles() == 0, sound, "{wrap:?}");
    }
}

/// A request may be on its way for as long as requests may take, and its object be invisible for as long again as reads lag.
#[test]
fn a_request_that_arrives_late_is_neither_doubled_nor_forgotten() {
    let net = &first()[..1];
    let late = |base: &Outside| {
        let outside = base.fork();
        outside.cloud.set_lag(Duration::from_secs(50));
        outside.cloud.dial("toy:Create", "net", Dial::ArriveLate(Duration::from_secs(40)));
        outside
    };
    let base = world(Names::Shared, &[]);
    let points = Points::default();
    let outside = late(&base);
    outside.run(&points, Wrap::Sound, Verb::Apply, net).unwrap().unwrap();
    assert_eq!(outside.cloud.creates("net"), 1);
    for fatal in 1..=points.counted() {
        for verb in [Verb::Apply, Verb::Destroy] {
            let outside = late(&base);
            outside.run(&Points::kill_at(fatal), Wrap::Sound, Verb::Apply, net);
            complete(&outside, verb, net);
            // Whatever was on its way has arrived, and can be seen.
            *outside.wall.lock().unwrap() = outside.now() + Duration::from_mins(5);
            let left = outside.cloud.truth("net", outside.now()).is_some();
            assert_eq!(left, verb == Verb::Apply, "killed at {fatal}, then {}", verb.as_str());
            assert!(outside.cloud.creates("net") <= 1, "killed at {fatal}, then {}", verb.as_str());
        }
    }
}

/// Whatever a kill left, and while another run holds the lock.
#[test]
fn a_plan_writes_nothing_sends_nothing_and_takes_no_lock() {
    let base = world(Names::Unique, &[(Verb::Apply, first())]);
    let points = Points::default();
    base.fork().run(&points, Wrap::Sound, Verb::Apply, &second()).unwrap().unwrap();
    for fatal in 1..=points.counted() {
        let outside = base.fork();
        outside.run(&Points::kill_at(fatal), Wrap::Sound, Verb::Apply, &second());
        let before = (outside.disk.files(), outside.cloud.requests());
        let planned = outside.process(&Points::default(), Wrap::Sound, async |engine| {
            let held = outside.disk.lock(Path::new("state/lock")).await.unwrap();
            assert!(held.is_some(), "nobody else has it");
            let graph = Graph::build(second(), &engine.registry).unwrap();
            engine.plan(&graph, Verb::Apply, &[]).await
        });
        let plan = planned.unwrap().unwrap_or_else(|error| panic!("killed at {fatal}: {error}"));
        assert!(plan.refusals.is_empty(), "killed at {fatal}: {:?}", plan.refusals);
        let after = (outside.disk.files(), outside.cloud.requests());
        assert!(after == before, "killed at {fatal}: the plan left something");
    }
}

#[test]
fn the_same_seed_leaves_the_same_trace() {
    let trace = || {
        let outside = world(Names::Unique, &[(Verb::Apply, first())]);
        outside.cloud.dial("toy:Update", "net", Dial::Throttle);
        outside.cloud.dial("toy:Create", "added", Dial::LoseReply);
        outside.cloud.dial("toy:Create", "late", Dial::NeverArrive);
        outside.run(&Points::default(), Wrap::Sound, Verb::Apply, &second()).unwrap().unwrap();
        outside.run(&Points::default(), Wrap::Sound, Verb::Destroy, &second()).unwrap().unwrap();
        let events = serde_json::to_string(&*outside.events.lock().unwrap()).unwrap();
        let written = outside.written.lock().unwrap().clone();
        (events, String::from_utf8(written).unwrap())
    };
    let (one, two) = (trace(), trace());
    assert!(one.0.len() > 10_000 && one.1.len() > 10_000);
    assert!(one == two);
}

fn complete(outside: &Outside, verb: Verb, resources: &[Resource]) {
    let summary = outside.run(&Points::default(), Wrap::Sound, verb, resources);
    let summary = summary.unwrap().unwrap();
    let events = outside.events.lock().unwrap();
    assert!(
        summary.is_complete(),
        "{summary:?} {:#?}",
        events.iter().rev().take(4).collect::<Vec<_>>()
    );
}

/// The old object of a create-first replacement goes last, and its parent has to make room first: neither may be left out.
#[test]
fn replacements_in_both_orders_do_not_wait_for_each_other() {
    let version = |shape: &str| {
        let mut config = blob("config", "base", shape);
        config.needs = vec!["net".into()];
        vec![toy("net", "base", |p| p.shape = shape.into()), config]
    };
    let outside = world(Names::Unique, &[(Verb::Apply, version("round"))]);
    complete(&outside, Verb::Apply, &version("square"));
    assert_eq!(outside.cloud.creates("net"), 2);
    assert_eq!(outside.cloud.all(outside.now()).len(), 3, "net, config and the foreign one");
}

/// The user lets go of what is removed only when its new home is there, whose predecessor what is removed still needs.
#[test]
fn what_no_order_satisfies_is_refused_and_takes_two_applies() {
    let mut config = blob("config", "base", "one");
    config.needs = vec!["net".into()];
    let user = |change: &dyn Fn(&mut crate::testkit::ToyProps)| toy("user", "apps", change);
    let net = |shape: &str| toy("net", "base", |p| p.shape = shape.into());
    let one = vec![net("round"), config.clone(), user(&|p| p.blobs = vec![id_of("config")])];
    let moved = user(&|p| p.size = Input::output("net", "size"));
    let two = vec![net("square"), moved.clone()];
    let outside = world(Names::Unique, &[(Verb::Apply, one)]);
    let before = outside.cloud.requests();
    match outside.run(&Points::default(), Wrap::Sound, Verb::Apply, &two).unwrap() {
        Err(RunError::Refused(refusals)) => {
            assert_eq!(refusals.len(), 1);
            assert_eq!(refusals[0].address.as_str(), "config");
            assert!(refusals[0].because.contains("user uses it"), "{refusals:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(outside.cloud.requests(), before, "nothing was changed");
    complete(&outside, Verb::Apply, &[net("square"), config, moved]);
    complete(&outside, Verb::Apply, &two);
}

/// What has to make room stays while what its successor needs can't be made.
#[test]
fn nothing_makes_room_for_what_cannot_be_made_yet() {
    let late = |change: &dyn Fn(&mut crate::testkit::ToyProps)| toy("late", "apps", change);
    let outside = world(Names::Unique, &[(Verb::Apply, vec![late(&|_| ())])]);
    let edited = late(&|p| {
        p.shape = "square".into();
        p.size = Input::output("volume", "size");
    });
    let two = [toy("volume", "base", |_| ()), edited];
    outside.cloud.dial("toy:Create", "volume", Dial::Refuse(Class::Denied));
    let summary = outside.run(&Points::default(), Wrap::Sound, Verb::Apply, &two);
    let summary = summary.unwrap().unwrap();
    assert_eq!(summary.failed, ["volume".into()]);
    assert_eq!(summary.deleted, 0);
    assert!(outside.cloud.truth("late", outside.now()).is_some());
    complete(&outside, Verb::Apply, &two);
    assert_eq!(outside.cloud.creates("late"), 2);
}

/// Killed while a replacement deletes, with reads that don't show it yet; then the edit is undone.
#[test]
fn what_is_on_its_way_does_not_pass_for_what_is_wanted() {
    let version = |shape: &str| [toy("net", "base", |p| p.shape = shape.into())];
    let base = world(Names::Unique, &[(Verb::Apply, version("round").to_vec())]);
    let points = Points::default();
    base.fork().run(&points, Wrap::Sound, Verb::Apply, &version("square"));
    for fatal in 1..=points.counted() {
        let outside = base.fork();
        outside.run(&Points::kill_at(fatal), Wrap::Sound, Verb::Apply, &version("square"));
        complete(&outside, Verb::Apply, &version("round"));
        let later = outside.now() + Duration::from_mins(2);
        *outside.wall.lock().unwrap() = later;
        let left = outside.run(&Points::default(), Wrap::Sound, Verb::Apply, &version("round"));
        assert_eq!(left.unwrap().unwrap(), crate::run::RunSummary::default(), "killed at {fatal}");
    }
}

/// A kind that deletes an object which never became ready is told its props.
#[test]
fn what_was_never_ready_is_deleted_too() {
    let outside = world(Names::Unique, &[]);
    outside.cloud.dial("toy:Create", "net", Dial::FailLate("out of clay".into()));
    let net = &first()[..1];
    let summary = outside.run(&Points::default(), Wrap::Sound, Verb::Apply, net).unwrap().unwrap();
    assert_eq!(summary.failed, ["net".into()]);
    complete(&outside, Verb::Destroy, net);
    assert_eq!(outside.cloud.truth("net", outside.now()), None);
}
