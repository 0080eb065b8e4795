//! Tests of the state: what every entry does, and what the file store survives.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::clock::Timestamp;
use crate::kind::{CallError, Class, Effect, Guard, Sent};
use crate::testkit::stores;

fn opened() -> Entry {
    Entry::Opened { lineage: "l".into(), pipeline: "toys".into(), pin: Pin::default() }
}

fn started() -> Entry {
    let (verb, plan, nonce) = ("apply".into(), "digest".into(), "nonce".into());
    Entry::RunStarted { verb, plan, nonce, consent: vec!["a".into()] }
}

fn approved() -> Entry {
    let call = ApprovedCall {
        address: "a".into(),
        generation: 1,
        op: "toy:Create".into(),
        data: crate::kind::Verdict::None,
        call: Value::Null,
    };
    Entry::Approved { stage: "s".into(), plan: "digest".into(), calls: vec![call] }
}

fn described(generation: u64) -> Described {
    Described {
        address: "a".into(),
        generation,
        kind: "toy".into(),
        version: 1,
        stage: "s".into(),
        name: "a".into(),
        props: json!({ "size": generation }),
        deps: Vec::new(),
    }
}

fn begin(generation: u64, effect: Effect) -> Entry {
    let (object, guard) = (described(generation), Guard::default());
    Entry::Begin { object, op: "toy:Call".into(), effect, call: json!({}), guard }
}

fn end(generation: u64, outcome: Outcome) -> Entry {
    Entry::End { address: "a".into(), generation, outcome }
}

fn ready(generation: u64) -> Entry {
    Entry::Ready { object: described(generation), outputs: json!({ "id": generation }) }
}

fn settled(generation: u64) -> Entry {
    Entry::Settled { address: "a".into(), generation, found: "it is there".into() }
}

fn deposed(generation: u64) -> Entry {
    Entry::Deposed { address: "a".into(), generation }
}

fn restored(generation: u64) -> Entry {
    Entry::Restored { address: "a".into(), generation }
}

fn gone(generation: u64) -> Entry {
    Entry::Gone { address: "a".into(), generation }
}

fn stamped(entries: &[Entry]) -> Vec<Stamped> {
    let stamp = |(n, entry): (usize, &Entry)| Stamped {
        seq: n as u64 + 1,
        at: Timestamp(n as u64),
        entry: entry.clone(),
    };
    entries.iter().enumerate().map(stamp).collect()
}

fn fold(entries: &[Entry]) -> Result<State, IllegalEntry> {
    let mut state = State::default();
    stamped(entries).iter().try_for_each(|entry| state.after(entry))?;
    Ok(state)
}

/// Folds `opened`, `run_started` and these, and shows the record of `a`: `*` marks a begun call, a generation in brackets is deposed.
#[track_caller]
fn check(entries: &[Entry], expected: &str) {
    let all: Vec<_> = [opened(), started()].into_iter().chain(entries.iter().cloned()).collect();
    let state = fold(&all).unwrap();
    let record = state.records.get("a").cloned().unwrap_or_default();
    let show = |o: &Object| {
        let made = if o.was_ready() { "ready" } else { "new" };
        format!("{made} {}{}", o.generation, if o.pending.is_some() { "*" } else { "" })
    };
    let deposed = record.deposed.iter().map(|o| format!("[{}]", show(o)));
    let shown: Vec<_> = record.current.iter().map(show).chain(deposed).collect();
    assert_eq!(shown.join(" "), expected);
}

#[track_caller]
fn illegal(entries: &[Entry], why: &str) {
    let all: Vec<_> = [opened(), started()].into_iter().chain(entries.iter().cloned()).collect();
    assert_eq!(fold(&all).unwrap_err().why, why);
}

fn refused(class: Class) -> Outcome {
    Outcome::Failed(CallError::new(class, "toy:Create", "no"))
}

#[test]
fn entries_fold_to_what_is_known() {
    check(&[], "");
    check(&[begin(1, Effect::Create)], "new 1*");
    check(&[begin(1, Effect::Create), end(1, Outcome::Accepted(Sent::default()))], "new 1*");
    check(&[begin(1, Effect::Create), ready(1)], "ready 1");
    check(&[begin(1, Effect::Create), settled(1)], "new 1");
    check(&[begin(1, Effect::Create), gone(1)], "");
    check(&[ready(1), begin(1, Effect::Update)], "ready 1*");
    check(&[ready(1), begin(1, Effect::Delete), gone(1)], "");
    check(&[ready(1), deposed(1)], "[ready 1]");
    check(&[ready(1), deposed(1), begin(2, Effect::Create)], "new 2* [ready 1]");
    check(&[ready(1), deposed(1), ready(2), gone(1)], "ready 2");
    check(&[ready(1), deposed(1), ready(2), deposed(2), restored(1)], "ready 1 [ready 2]");
    // An object of ours that state did not know and that is in the way.
    check(&[ready(1), begin(2, Effect::Delete)], "ready 1 [new 2*]");
}

#[test]
fn entries_that_cannot_follow_are_refused() {
    let none = |n: u64| format!("no object {n} of a is known");
    illegal(&[opened()], "a journal begins with exactly one `opened`");
    illegal(&[ready(1), begin(2, Effect::Create)], "a has a current object already");
    illegal(&[ready(1), ready(2)], "a has another current object");
    illegal(&[end(1, refused(Class::Invalid))], &none(1));
    illegal(&[ready(1), end(1, refused(Class::Invalid))], "a has no begun call");
    illegal(&[settled(1)], &none(1));
    illegal(&[ready(1), settled(2)], &none(2));
    illegal(&[deposed(1)], &none(1));
    illegal(&[ready(1), deposed(2)], &none(2));
    illegal(&[ready(1), restored(1)], "a has a current object already");
    illegal(&[ready(1), deposed(1), restored(2)], &none(2));
    illegal(&[gone(1)], &none(1));
    illegal(&[ready(1), gone(2)], &none(2));
    assert_eq!(fold(&[started()]).unwrap_err().why, "a journal begins with exactly one `opened`");
    assert_eq!(fold(&[opened(), approved()]).unwrap_err().why, "an approval needs a started run");
    let mut state = State::default();
    let gap = Stamped { seq: 2, at: Timestamp(0), entry: opened() };
    assert_eq!(state.after(&gap).unwrap_err().why, "entries must be gapless");
    assert_eq!(state, State::default());
}

#[test]
fn a_run_is_open_until_it_completes() {
    let open = [opened(), started(), approved(), Entry::RunFinished { complete: false }];
    let state = fold(&open).unwrap();
    assert_eq!((state.serial, state.spent.as_str()), (2, ""));
    assert_eq!(state.run.as_ref().unwrap().approved["s"].len(), 1);
    assert_eq!(state.run.unwrap().consent, ["a".into()]);
    let again = [&open[..], &[started()]].concat();
    assert_eq!(fold(&again).unwrap().run.unwrap().approved["s"].len(), 1, "approvals stay");
    let state = fold(&[&again[..], &[Entry::RunFinished { complete: true }]].concat()).unwrap();
    assert_eq!((state.serial, state.spent.as_str(), state.run), (4, "nonce", None));
}

#[test]
fn a_generation_is_not_used_twice_while_a_run_is_open() {
    let newest = |entries: &[Entry]| {
        let all = [&[opened(), started()], entries].concat();
        fold(&all).unwrap().records.get("a").map(Record::newest)
    };
    assert_eq!(newest(&[ready(1), begin(1, Effect::Delete), gone(1)]), Some(1));
    assert_eq!(newest(&[begin(1, Effect::Create), gone(1)]), None, "it never arrived");
    let over = [ready(1), gone(1), Entry::RunFinished { complete: true }];
    assert_eq!(newest(&over), None);
}

#[test]
fn a_refused_call_is_not_chased() {
    let pursued = |outcome| {
        let all = [opened(), started(), begin(1, Effect::Create), end(1, outcome)];
        fold(&all).unwrap().records["a"].current.as_ref().unwrap().pursuit().is_some()
    };
    assert!(pursued(Outcome::Accepted(Sent::default())));
    assert!(pursued(refused(Class::Unknown)));
    assert!(pursued(refused(Class::AlreadyExists)), "it may be ours");
    for class in [Class::Throttled, Class::Conflict, Class::NotYet, Class::Denied, Class::Invalid] {
        assert!(!pursued(refused(class)), "{class:?}");
    }
}

/// The create was accepted, and the call after it was refused: the object, which may carry no mark, is still known to be ours.
#[test]
fn an_accepted_create_is_remembered_until_the_object_is_ready() {
    let pursued = |rest: &[Entry]| {
        let made = [
            opened(),
            started(),
            begin(1, Effect::Create),
            end(1, Outcome::Accepted(Sent::default())),
            begin(1, Effect::Update),
        ];
        let state = fold(&[&made, rest].concat()).unwrap();
        state.records["a"].current.as_ref().unwrap().pursuit().map(|p| p.effect)
    };
    assert_eq!(pursued(&[]), Some(Effect::Update), "the newest that may have taken effect");
    let refused = [end(1, refused(Class::Denied))];
    assert_eq!(pursued(&refused), Some(Effect::Create));
    let settled =
        Entry::Settled { address: "a".into(), generation: 1, found: "it was refused".into() };
    assert_eq!(pursued(&[refused[0].clone(), settled]), Some(Effect::Create));
    assert_eq!(pursued(&[ready(1)]), None);
}

fn holder(who: &str) -> Holder {
    Holder { who: who.into(), why: "apply".into(), since: Timestamp(0) }
}

fn history() -> Vec<Stamped> {
    let accepted = Outcome::Accepted(Sent::default());
    stamped(&[
        opened(),
        started(),
        approved(),
        begin(1, Effect::Create),
        end(1, accepted),
        ready(1),
    ])
}

/// A disk with these bytes as journal.
fn disk(journal: &[u8]) -> MemoryDisk {
    let disk = MemoryDisk::default();
    disk.append_torn(Path::new("state/journal"), journal, journal.len());
    disk
}

fn text(entries: &[Stamped]) -> Vec<u8> {
    entries.iter().map(file::line).collect::<String>().into_bytes()
}

#[tokio::test]
async fn a_tail_torn_at_any_byte_is_cut_off() {
    let entries = history();
    let whole = text(&entries);
    for len in 0..whole.len() {
        let lines = whole[..len].split(|&b| b == b'\n').count() - 1;
        let store = FileStore::on(disk(&whole[..len]), "state");
        assert_eq!(store.load().await.unwrap().entries, entries[..lines], "torn at {len}");
        let mut lease = store.lease(holder("me")).await.unwrap();
        assert_eq!(lease.load().await.unwrap().entries, entries[..lines], "torn at {len}");
        // What is left out is written again, as if it never had been.
        lease.append(lines as u64, &entries[lines..]).await.unwrap();
        assert_eq!(store.load().await.unwrap().entries, entries, "torn at {len}");
    }
}

#[tokio::test]
async fn damage_before_the_last_entry_is_an_error() {
    let entries = history();
    let whole = text(&entries);
    let last = text(&entries[..entries.len() - 1]).len();
    for at in 0..last {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        let loaded = FileStore::on(disk(&damaged), "state").load().await;
        assert!(matches!(loaded, Err(StoreError::Damaged { .. })), "byte {at}: {loaded:?}");
    }
}

#[tokio::test]
async fn a_crash_between_snapshot_and_cut_repeats_nothing() {
    let entries = history();
    let disk = disk(&text(&entries));
    let store = FileStore::on(disk.clone(), "state");
    let state = store.load().await.unwrap().fold().unwrap();
    let snapshot = serde_json::to_vec(&state).unwrap();
    disk.replace(Path::new("state/state.json"), &snapshot).await.unwrap();

    let mut lease = store.lease(holder("me")).await.unwrap();
    let loaded = lease.load().await.unwrap();
    assert_eq!(loaded.entries, []);
    assert_eq!(loaded.fold().unwrap(), state);
    let next = Stamped { seq: 7, at: Timestamp(9), entry: gone(1) };
    lease.append(6, std::slice::from_ref(&next)).await.unwrap();
    assert_eq!(store.load().await.unwrap().entries, [next]);
}

#[tokio::test]
async fn a_head_that_moved_fences_the_writer() {
    let store = MemoryStore::new();
    let entries = history();
    let mut lease = store.lease(holder("me")).await.unwrap();
    lease.append(0, &entries[..2]).await.unwrap();
    let fenced = lease.append(1, &entries[1..2]).await;
    assert!(matches!(fenced, Err(StoreError::Fenced { expected: 1, found: 2 })), "{fenced:?}");
}

#[tokio::test]
async fn a_newer_form_is_refused() {
    let snapshot = State { format: State::FORMAT + 1, ..State::default() };
    let loaded = Loaded { snapshot, entries: Vec::new() };
    assert!(matches!(loaded.fold(), Err(StoreError::Newer { found: 2, supported: 1 })));
}

#[tokio::test]
async fn one_writer_at_a_time_and_the_other_is_told_who() {
    let folder = tempfile::tempdir().unwrap();
    let real = || FileStore::new(folder.path().join("state"));
    let memory = MemoryStore::new();
    let pairs: [[Box<dyn StateStore>; 2]; 2] = [
        [Box::new(real()), Box::new(real())],
        [Box::new(memory.clone()), Box::new(memory.clone())],
    ];
    for [one, two] in pairs {
        let mut lease = one.lease(holder("ann@here, process 1")).await.unwrap();
        match two.lease(holder("bob")).await.err() {
            Some(StoreError::Locked(other)) => assert_eq!(other.who, "ann@here, process 1"),
            other => panic!("{other:?}"),
        }
        lease.release().await.unwrap();
        drop(two.lease(holder("bob")).await.unwrap());
        drop(one.lease(holder("a dropped lease is given back")).await.unwrap());
    }
}

#[tokio::test]
async fn stores_on_this_machine_keep_their_promises() {
    let memory = MemoryStore::new();
    stores::keeps_its_promises(&memory, &memory.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = || FileStore::new(folder.path().join("state"));
    stores::keeps_its_promises(&file(), &file()).await;
}

#[cfg(unix)]
#[tokio::test]
async fn real_files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("toys").join("local");
    let store = FileStore::new(&folder);
    let mut lease = store.lease(holder("me")).await.unwrap();
    lease.append(0, &history()).await.unwrap();
    let state = store.load().await.unwrap().fold().unwrap();
    lease.compact(&state).await.unwrap();
    assert_eq!(store.load().await.unwrap().fold().unwrap(), state);

    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(folder.parent().unwrap()), 0o700);
    let mut names = Vec::new();
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(names, ["journal", "lock", "lock.json", "state.json"]);
}
