//! State in S3 on the embedded AWS, in virtual time: the contract, replies that get lost, leases that expire, holders that go on.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Cloud, pin};
use msk_pipeline_aws::Session;
use msk_pipeline_aws::session::{Handler, PlainRequest, PlainResponse};
use msk_pipeline_aws::state::{S3Place, S3Store, make_ready};
use msk_pipeline_core::clock::Reading;
use msk_pipeline_core::state::lease::EXPIRY;
use msk_pipeline_core::state::{
    Described, Entry, Lease, Outcome, Stamped, State, StateStore, StoreError,
};
use msk_pipeline_core::testkit::stores::{folded, history, holder, keeps_its_promises};
use msk_pipeline_core::{Clock, Entropy, RealClock, Timestamp, kind};
use msk_pipeline_emulator::fault::{Effect, Rule, When};
use msk_pipeline_emulator::protocol::time;
use msk_pipeline_emulator::shell::{Call, Moment, Next};
use msk_pipeline_emulator::{Settings, World};
use msk_pipeline_local::Embedded;
use serde_json::json;

const BASE: &str = "orders-cdc/orders-cdc/111111111111-us-east-1";

fn place() -> S3Place {
    "s3://acme-state/orders-cdc".parse().unwrap()
}

/// A world with a bucket for state, and the present.
struct Bench {
    cloud: Cloud,
    clock: Arc<dyn Clock>,
}

impl Bench {
    async fn new() -> Self {
        let cloud = Cloud::new(Settings::default());
        let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(cloud.wall));
        let bench = Self { cloud, clock };
        make_ready(&bench.session(), &place(), &pin()).await.unwrap();
        bench
    }

    fn session(&self) -> Session {
        Embedded::session(self.cloud.world.clone(), self.clock.clone(), "us-east-1")
    }

    /// The store as a process with this number opens it.
    fn store(&self, process: u64) -> S3Store {
        self.store_by(process, self.clock.clone())
    }

    /// The same for a process that has a clock of its own. The world's time is not that clock's.
    fn store_by(&self, process: u64, clock: Arc<dyn Clock>) -> S3Store {
        let ids = Arc::new(Entropy::seeded(process));
        S3Store::new(&self.session(), clock, ids, &place(), "orders-cdc", &pin())
    }

    async fn lease(&self, process: u64) -> Box<dyn Lease> {
        let lease = self.store(process).lease(holder(&format!("process {process}"))).await;
        let mut lease = lease.expect("nobody holds it");
        lease.load().await.unwrap();
        lease
    }

    async fn pass(&self, duration: Duration) {
        self.clock.sleep(duration).await;
    }

    fn fault(&self, rule: Rule) {
        self.cloud.world.with(|world: &mut World| world.faults.rules.push(rule));
    }

    /// The segments that are there, by their numbers.
    async fn segments(&self) -> Vec<u64> {
        let prefix = format!("{BASE}/journal/");
        let s3 = self.session().s3;
        let page = s3.list_objects_v2().bucket("acme-state").prefix(&prefix).send().await.unwrap();
        let keys = page.contents().iter().filter_map(|o| o.key()?.strip_prefix(&prefix));
        keys.map(|n| n.parse().unwrap()).collect()
    }
}

/// A clock that tells another time of day, and passes as the other does.
#[derive(Debug)]
struct Skewed(Arc<dyn Clock>, i64);

#[async_trait::async_trait]
impl Clock for Skewed {
    fn wall(&self) -> Timestamp {
        Timestamp(self.0.wall().0.saturating_add_signed(self.1))
    }
    fn reading(&self) -> Reading {
        let reading = self.0.reading();
        Reading { wall: self.wall(), ..reading }
    }
    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }
    async fn grace(&self, duration: Duration) {
        self.0.grace(duration).await;
    }
}

fn put(when: When, effect: Effect) -> Rule {
    Rule::new("s3", "PutObject", when, effect).times(1)
}

#[track_caller]
fn lost_to<T: std::fmt::Debug>(result: Result<T, StoreError>, who: &str) {
    match result {
        Err(StoreError::Lost { by }) => assert_eq!(by.who, who),
        other => panic!("it should have lost its lease: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn it_keeps_the_promises_of_a_store() {
    let bench = Bench::new().await;
    keeps_its_promises(&bench.store(1), &bench.store(2)).await;
}

/// Two runs that use everything a store has.
async fn life(bench: &Bench) -> Result<(), StoreError> {
    let all = history(7);
    let mut lease = bench.store(1).lease(holder("ann")).await?;
    lease.load().await?;
    lease.append(0, &all[..2]).await?;
    lease.append(2, &all[2..3]).await?;
    lease.renew().await?;
    lease.compact(&folded(&all[..3])).await?;
    lease.append(3, &all[3..5]).await?;
    lease.release().await?;
    let mut lease = bench.store(2).lease(holder("bob")).await?;
    assert_eq!(lease.load().await?.fold()?, folded(&all[..5]));
    lease.append(5, &all[5..]).await?;
    lease.compact(&folded(&all)).await?;
    lease.release().await?;
    Ok(())
}

/// A bucket of that name in another account is never used.
#[tokio::test(start_paused = true)]
async fn every_request_names_the_owner_of_the_bucket() {
    let bench = Bench::new().await;
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let noted = seen.clone();
    let look = move |moment: Moment, call: &Call<'_>| {
        if moment == Moment::Before {
            let owner = call.request.header("x-amz-expected-bucket-owner");
            assert_eq!(owner, Some("111111111111"), "{}", call.operation);
            noted.lock().unwrap().insert(call.operation.to_owned());
        }
        Next::Go
    };
    bench.cloud.world.observe(Arc::new(look));
    life(&bench).await.unwrap();
    bench.pass(Duration::from_hours(25)).await;
    let mut lease = bench.lease(3).await;
    lease.compact(&folded(&history(7))).await.unwrap();
    let seen: Vec<_> = seen.lock().unwrap().iter().cloned().collect();
    assert_eq!(seen, ["DeleteObjects", "GetObject", "ListObjectsV2", "PutObject"]);
}

/// Every request of a whole life is struck once, by each fault: what is stored is as if nothing had happened.
#[tokio::test(start_paused = true)]
async fn lost_replies_and_server_errors_are_settled_by_reading_back() {
    let calls = {
        let bench = Bench::new().await;
        let calls = Arc::new(AtomicU64::new(0));
        let counted = calls.clone();
        let count = move |moment: Moment, _: &Call<'_>| {
            counted.fetch_add(u64::from(moment == Moment::Before), Ordering::Relaxed);
            Next::Go
        };
        bench.cloud.world.observe(Arc::new(count));
        life(&bench).await.unwrap();
        calls.load(Ordering::Relaxed)
    };
    assert!(calls > 20, "{calls} calls");
    let faults = [
        Effect::LostReply,
        Effect::Reset,
        Effect::ServerError(500),
        Effect::ServerError(503),
        Effect::Throttle,
        Effect::Silence,
        Effect::Error {
            code: "ConditionalRequestConflict".into(),
            message: "a rival".into(),
            status: Some(409),
        },
    ];
    for effect in faults {
        for n in 1..=calls {
            let bench = Bench::new().await;
            bench.fault(Rule::new("s3", "*", When::Nth(n), effect.clone()).times(1));
            let at = format!("call {n} of {calls}, {effect:?}");
            life(&bench).await.unwrap_or_else(|e| panic!("{at}: {e}"));
            let found = bench.store(3).load().await.unwrap().fold().unwrap();
            assert_eq!(found, folded(&history(7)), "{at}");
            let free = bench.store(4).lease(holder("carl")).await;
            // Only a release that no attempt brought through leaves a lease behind, and that one ends.
            assert!(free.is_ok(), "{at}: {:?}", free.err());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_written_says_so_and_stores_nothing_by_halves() {
    let bench = Bench::new().await;
    let all = history(4);
    let mut lease = bench.lease(1).await;
    lease.append(0, &all[..2]).await.unwrap();
    bench.fault(Rule::new("s3", "PutObject", When::Always, Effect::ServerError(503)).times(5));
    let began = bench.clock.wall();
    let failed = lease.append(2, &all[2..]).await;
    assert!(matches!(failed, Err(StoreError::Remote { .. })), "{failed:?}");
    assert!(bench.clock.wall().since(began) < Duration::from_mins(1));
    assert_eq!(bench.store(2).load().await.unwrap().entries, all[..2]);
    // It can be written again, and the lease is still ours.
    lease.append(2, &all[2..]).await.unwrap();
    assert_eq!(bench.store(2).load().await.unwrap().entries, all);
}

#[tokio::test(start_paused = true)]
async fn a_lease_lasts_ninety_seconds_from_its_last_renewal() {
    let bench = Bench::new().await;
    let mut first = bench.lease(1).await;
    for _ in 0..4 {
        bench.pass(Duration::from_secs(80)).await;
        first.renew().await.unwrap();
    }
    let contend = async || match bench.store(2).lease(holder("process 2")).await {
        Ok(lease) => Ok(lease),
        Err(StoreError::Leased { holder, left, .. }) => {
            assert_eq!(holder.who, "process 1");
            Err(left)
        }
        Err(other) => panic!("{other}"),
    };
    let left = contend().await.err().expect("it was renewed just now");
    assert!(left.abs_diff(EXPIRY) <= Duration::from_secs(1), "{left:?}");
    bench.pass(Duration::from_secs(EXPIRY.as_secs() - 1)).await;
    let left = contend().await.err().expect("it has not expired");
    assert!(left <= Duration::from_secs(2), "{left:?}");
    bench.pass(left).await;
    let mut second = contend().await.expect("it has expired");
    assert_eq!(second.taken_from().unwrap().who, "process 1");
    second.load().await.unwrap();
    lost_to(first.renew().await, "process 2");
}

/// A lease lasts from when S3 received the renewal, which is not before it was sent and may be long before it was answered.
#[tokio::test(start_paused = true)]
async fn a_lease_counts_from_when_its_renewal_was_sent() {
    let bench = Bench::new().await;
    let slow = || put(When::Always, Effect::Slow(8_000));
    let lost = || put(When::Always, Effect::LostReply);
    for (fault, at_least) in [(slow(), 8_000), (lost(), 500)] {
        bench.fault(fault.clone());
        let taken = bench.store(1).lease(holder("process 1")).await;
        let mut lease = taken.expect("nobody holds it");
        let age = |lease: &dyn Lease| bench.clock.reading().since(lease.confirmed_at().unwrap());
        assert!(age(lease.as_ref()) >= Duration::from_millis(at_least), "{fault:?}");
        bench.fault(fault.clone());
        lease.renew().await.unwrap();
        assert!(age(lease.as_ref()) >= Duration::from_millis(at_least), "{fault:?}");
        lease.release().await.unwrap();
    }
}

/// Answers as S3 does, but for the time, which is the machine's: as a store that judged by its own clock would see it.
struct LocalDate {
    inner: Embedded,
    clock: Arc<dyn Clock>,
}

#[async_trait::async_trait]
impl Handler for LocalDate {
    async fn handle(&self, request: PlainRequest) -> Option<PlainResponse> {
        let mut answer = self.inner.handle(request).await?;
        for (name, value) in &mut answer.headers {
            if name == "date" {
                *value = time::http(self.clock.wall().0);
            }
        }
        Some(answer)
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_judged_by_its_own_clock_would_be_noticed() {
    let bench = Bench::new().await;
    let _held = bench.lease(1).await;
    let clock: Arc<dyn Clock> = Arc::new(Skewed(bench.clock.clone(), 91_000));
    let inner = Embedded::new(bench.cloud.world.clone(), bench.clock.clone());
    let broken = LocalDate { inner, clock: clock.clone() };
    let session = Embedded::on(Arc::new(broken), "us-east-1");
    let ids = Arc::new(Entropy::seeded(2));
    let store = S3Store::new(&session, clock, ids, &place(), "orders-cdc", &pin());
    store.lease(holder("process 2")).await.expect("it takes a lease that was renewed just now");
}

/// The clock of a machine, however wrong, neither ends another's lease nor lets it last.
#[tokio::test(start_paused = true)]
async fn expiry_is_judged_by_the_clock_of_s3() {
    for skew in [-7_200_000, -91_000, 91_000, 7_200_000_i64] {
        let bench = Bench::new().await;
        let mut held = bench.lease(1).await;
        let skewed: Arc<dyn Clock> = Arc::new(Skewed(bench.clock.clone(), skew));
        let store = bench.store_by(2, skewed);
        bench.pass(Duration::from_secs(85)).await;
        let early = store.lease(holder("process 2")).await;
        assert!(matches!(early, Err(StoreError::Leased { .. })), "skew {skew} ms");
        held.renew().await.unwrap();
        bench.pass(Duration::from_secs(92)).await;
        let late = store.lease(holder("process 2")).await;
        assert_eq!(late.expect("it has expired").taken_from().unwrap().who, "process 1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_was_succeeded_can_store_nothing() {
    let bench = Bench::new().await;
    let all = history(6);
    let mut old = bench.lease(1).await;
    old.append(0, &all[..2]).await.unwrap();
    bench.pass(Duration::from_secs(92)).await;
    let mut new = bench.store(2).lease(holder("process 2")).await.unwrap();
    assert_eq!(new.load().await.unwrap().entries, all[..2]);
    // The fence alone: the old holder does not even know that its lease is gone.
    lost_to(old.append(2, &all[2..3]).await, "process 2");
    lost_to(old.compact(&folded(&all[..2])).await, "process 2");
    lost_to(old.renew().await, "process 2");
    new.append(2, &all[2..4]).await.unwrap();
    assert_eq!(bench.store(3).load().await.unwrap().entries, all[..4]);
    old.release().await.unwrap();
    new.renew().await.expect("the old holder's release gave nothing away");
}

/// An old holder's snapshot that arrives late is true, and older than what there is by then.
#[tokio::test(start_paused = true)]
async fn a_late_snapshot_replaces_no_newer_one() {
    let bench = Bench::new().await;
    let all = history(6);
    let mut old = bench.lease(1).await;
    old.append(0, &all[..2]).await.unwrap();
    bench.pass(Duration::from_secs(92)).await;
    let mut new = bench.store(2).lease(holder("process 2")).await.unwrap();
    new.load().await.unwrap();
    new.append(2, &all[2..4]).await.unwrap();
    new.compact(&folded(&all[..4])).await.unwrap();
    lost_to(old.compact(&folded(&all[..2])).await, "process 2");
    // One that comes before the successor's own is replaced by that.
    bench.pass(Duration::from_secs(92)).await;
    let mut third = bench.store(3).lease(holder("process 3")).await.unwrap();
    third.load().await.unwrap();
    new.compact(&folded(&all[..4])).await.unwrap();
    third.append(4, &all[4..]).await.unwrap();
    third.compact(&folded(&all)).await.unwrap();
    let s3 = bench.session().s3;
    let get = s3.get_object().bucket("acme-state").key(format!("{BASE}/state.json"));
    let body = get.send().await.unwrap().body.collect().await.unwrap().to_vec();
    let snapshot: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(snapshot["state"]["head"], 6);
}

/// Also when the old holder wrote the number that the successor was about to take.
#[tokio::test(start_paused = true)]
async fn a_late_segment_is_read_by_the_successor() {
    let bench = Bench::new().await;
    let all = history(4);
    let mut old = bench.lease(1).await;
    bench.pass(Duration::from_secs(92)).await;
    let mut new = bench.store(2).lease(holder("process 2")).await.unwrap();
    old.append(0, &all[..2]).await.expect("nobody has taken the number yet");
    assert_eq!(new.load().await.unwrap().entries, all[..2]);
    lost_to(old.append(2, &all[2..3]).await, "process 2");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_expired_and_that_nobody_took_is_renewed() {
    let bench = Bench::new().await;
    let mut lease = bench.lease(1).await;
    bench.pass(Duration::from_hours(3)).await;
    lease.renew().await.unwrap();
    lease.append(0, &history(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_can_be_taken_away_by_hand() {
    let bench = Bench::new().await;
    let mut held = bench.lease(1).await;
    let store = bench.store(2);
    let (who, _, expired) = store.holder().await.unwrap().unwrap();
    assert_eq!((who.who.as_str(), expired), ("process 1", false));
    bench.pass(Duration::from_secs(29)).await;
    let freed = store.break_lease(holder("ann")).await.unwrap().unwrap();
    assert_eq!(freed.who, "process 1");
    lost_to(held.renew().await, "ann");
    lost_to(held.append(0, &history(1)).await, "ann");
    // It may have sent a call the moment before: that one is over when the next run looks.
    match store.lease(holder("bob")).await.err() {
        Some(StoreError::Leased { holder, left, .. }) => {
            assert_eq!(holder.who, "ann");
            assert!(left >= EXPIRY, "{left:?}");
        }
        other => panic!("{other:?}"),
    }
    bench.pass(Duration::from_secs(92)).await;
    // Of one that has expired nothing is to come.
    assert_eq!(store.break_lease(holder("carl")).await.unwrap().unwrap().who, "ann");
    assert_eq!(store.holder().await.unwrap(), None);
    assert_eq!(store.break_lease(holder("carl")).await.unwrap(), None);
    let bob = store.lease(holder("bob")).await.unwrap();
    assert_eq!(bob.taken_from(), None);
}

/// A run that was interrupted while a request was under way does not hand over before that can be seen.
#[tokio::test(start_paused = true)]
async fn a_lease_with_a_request_under_way_is_left_to_expire() {
    let begin = || Entry::Begin {
        object: Described {
            address: "a".into(),
            generation: 1,
            kind: "toy".into(),
            version: 1,
            stage: "s".into(),
            name: "a".into(),
            props: json!({}),
            deps: Vec::new(),
        },
        op: "toy:Create".into(),
        effect: kind::Effect::Create,
        call: json!({}),
        guard: kind::Guard::default(),
    };
    let end = |outcome| Entry::End { address: "a".into(), generation: 1, outcome };
    let failed = |class| end(Outcome::Failed(kind::CallError::new(class, "toy:Create", "no")));
    for (answer, free) in [
        (None, false),
        (Some(failed(kind::Class::Unknown)), false),
        (Some(failed(kind::Class::Denied)), true),
        (Some(end(Outcome::Accepted(kind::Sent::default()))), true),
    ] {
        let bench = Bench::new().await;
        let mut lease = bench.lease(1).await;
        lease.append(0, &history(2)).await.unwrap();
        let entries = std::iter::once(begin()).chain(answer.clone());
        for (seq, entry) in (3..).zip(entries) {
            lease.append(seq - 1, &[Stamped { seq, at: Timestamp(9), entry }]).await.unwrap();
        }
        lease.release().await.unwrap();
        let next = bench.store(2).lease(holder("process 2")).await;
        assert_eq!(next.is_ok(), free, "{answer:?}");
        bench.pass(Duration::from_secs(92)).await;
        if let Err(error) = next {
            assert!(matches!(error, StoreError::Leased { .. }), "{error}");
            bench.store(2).lease(holder("process 2")).await.expect("it has expired");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_that_take_an_expired_lease_one_gets_it() {
    let bench = Bench::new().await;
    drop(bench.lease(1).await);
    bench.pass(Duration::from_secs(92)).await;
    let stores: Vec<_> = (2..6).map(|n| bench.store(n)).collect();
    let takers = stores.iter().enumerate().map(|(n, store)| store.lease(holder(&n.to_string())));
    let taken = futures_util::future::join_all(takers).await;
    assert_eq!(taken.iter().filter(|t| t.is_ok()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn segments_are_deleted_a_day_after_a_snapshot_holds_them() {
    let bench = Bench::new().await;
    let all = history(6);
    let mut lease = bench.lease(1).await;
    lease.append(0, &all[..2]).await.unwrap();
    lease.append(2, &all[2..3]).await.unwrap();
    bench.pass(Duration::from_hours(23)).await;
    lease.compact(&folded(&all[..3])).await.unwrap();
    assert_eq!(bench.segments().await, [1, 2, 3], "their numbers stay taken");
    bench.pass(Duration::from_hours(2)).await;
    lease.append(3, &all[3..4]).await.unwrap();
    lease.compact(&folded(&all[..4])).await.unwrap();
    assert_eq!(bench.segments().await, [4]);
    lease.append(4, &all[4..]).await.unwrap();
    assert_eq!(bench.store(2).load().await.unwrap().fold().unwrap(), folded(&all));
}

#[tokio::test(start_paused = true)]
async fn runs_that_find_nothing_to_do_do_not_lengthen_the_journal_for_ever() {
    let bench = Bench::new().await;
    let all = history(3);
    let mut lease = bench.lease(1).await;
    lease.append(0, &all).await.unwrap();
    lease.release().await.unwrap();
    for run in 2..200 {
        let mut lease = bench.lease(run).await;
        lease.release().await.unwrap();
        bench.pass(Duration::from_hours(1)).await;
    }
    assert_eq!(bench.store(200).load().await.unwrap().fold().unwrap(), folded(&all));
    let left = bench.segments().await.len();
    assert!(left < 24 + 2 * 33, "{left} segments");
}

/// A reader between two requests of which a writer finishes a run and tidies up reads anew.
#[tokio::test(start_paused = true)]
async fn a_reader_survives_a_writer_that_tidies_up() {
    let all = history(6);
    // The reader's requests: the snapshot, the list, then segments.
    for overtaken in 1..=4_u64 {
        let bench = Bench::new().await;
        let mut lease = bench.lease(1).await;
        lease.append(0, &all[..2]).await.unwrap();
        lease.append(2, &all[2..4]).await.unwrap();
        bench.pass(Duration::from_hours(25)).await;
        let slow = Rule::new("s3", "*", When::Nth(overtaken), Effect::Slow(5_000)).times(1);
        bench.fault(slow);
        let store = bench.store(2);
        let write = async {
            bench.pass(Duration::from_secs(1)).await;
            lease.append(4, &all[4..]).await.unwrap();
            lease.compact(&folded(&all)).await.unwrap();
        };
        let (read, ()) = tokio::join!(store.load(), write);
        let read = read.unwrap().fold().unwrap();
        assert!(read == folded(&all) || read == folded(&all[..4]), "{overtaken}: {read:?}");
        assert_eq!(bench.segments().await, [4], "{overtaken}");
    }
}

#[tokio::test(start_paused = true)]
async fn damage_is_an_error() {
    let bench = Bench::new().await;
    let mut lease = bench.lease(1).await;
    for pair in history(6).chunks(2) {
        lease.append(pair[0].seq - 1, pair).await.unwrap();
    }
    let key = |n: u64| format!("{BASE}/journal/{n:012}");
    let s3 = bench.session().s3;
    let segment = s3.get_object().bucket("acme-state").key(key(3)).send().await.unwrap();
    let body = segment.body.collect().await.unwrap().to_vec();
    for damaged in [&body[..body.len() - 3], b"", b"{}"] {
        let put = s3.put_object().bucket("acme-state").key(key(3)).body(damaged.to_vec().into());
        put.send().await.unwrap();
        let read = bench.store(2).load().await;
        assert!(matches!(read, Err(StoreError::Damaged { .. })), "{read:?}");
    }
    s3.delete_object().bucket("acme-state").key(key(3)).send().await.unwrap();
    let read = bench.store(2).load().await;
    assert!(matches!(read, Err(StoreError::Damaged { .. })), "{read:?}");
}

#[tokio::test(start_paused = true)]
async fn the_outbox_serves_the_first_run_too() {
    let all = history(4);
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new().await;
    let store = bench.store(1).with_outbox(folder.path().join("outbox"));
    let mut lease = store.lease(holder("process 1")).await.unwrap();
    lease.load().await.unwrap();
    lease.append(0, &all[..2]).await.unwrap();
    lease.stash(&all[2..]).await;
    lease.release().await.unwrap();
    let mut lease = store.lease(holder("process 2")).await.unwrap();
    assert_eq!(lease.load().await.unwrap().entries, all);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_stored_is_stored_later_if_it_still_follows() {
    let all = history(6);
    let folder = tempfile::tempdir().unwrap();
    for overtaken in [false, true] {
        let bench = Bench::new().await;
        let outbox = folder.path().join("outbox");
        let mut lease = bench.lease(1).await;
        lease.append(0, &all[..2]).await.unwrap();
        drop(lease);
        bench.pass(Duration::from_secs(92)).await;
        let stashing = bench.store(2).with_outbox(&outbox);
        let mut lease = stashing.lease(holder("process 2")).await.unwrap();
        lease.load().await.unwrap();
        lease.stash(&all[2..4]).await;
        lease.release().await.unwrap();
        if overtaken {
            let other = Stamped { at: Timestamp(99), ..all[2].clone() };
            let mut lease = bench.lease(3).await;
            lease.append(2, std::slice::from_ref(&other)).await.unwrap();
            lease.release().await.unwrap();
        }
        let mut lease = stashing.lease(holder("process 4")).await.unwrap();
        let loaded = lease.load().await.unwrap();
        assert_eq!(loaded.entries.len(), if overtaken { 3 } else { 4 });
        assert_eq!(bench.store(5).load().await.unwrap(), loaded);
        assert!(!outbox.exists());
        let head = loaded.entries.last().unwrap().seq;
        let next = Stamped { seq: head + 1, ..all[3].clone() };
        lease.append(head, &[next]).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_bucket_is_made_once_and_is_private() {
    let cloud = Cloud::new(Settings::default());
    let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(cloud.wall));
    let session = Embedded::session(cloud.world.clone(), clock.clone(), "us-east-1");
    let store =
        S3Store::new(&session, clock, Arc::new(Entropy::seeded(1)), &place(), "orders-cdc", &pin());
    match store.load().await {
        Err(StoreError::Remote { help, .. }) => assert!(help.contains("state init"), "{help}"),
        other => panic!("{other:?}"),
    }
    let made = make_ready(&session, &place(), &pin()).await.unwrap();
    assert_eq!(made.done.first(), Some(&"s3:CreateBucket"));
    let again = make_ready(&session, &place(), &pin()).await.unwrap();
    assert_eq!(again.done, [] as [&str; 0]);
    assert!(!again.own_policy);

    let bucket = "acme-state";
    let s3 = &session.s3;
    let versioning = s3.get_bucket_versioning().bucket(bucket).send().await.unwrap();
    assert_eq!(versioning.status().unwrap().as_str(), "Enabled");
    let block = s3.get_public_access_block().bucket(bucket).send().await.unwrap();
    let block = block.public_access_block_configuration.unwrap();
    assert_eq!(
        [
            block.block_public_acls,
            block.ignore_public_acls,
            block.block_public_policy,
            block.restrict_public_buckets
        ],
        [Some(true); 4]
    );
    let policy = s3.get_bucket_policy().bucket(bucket).send().await.unwrap();
    assert!(policy.policy().unwrap().contains("aws:SecureTransport"));

    // What its owner chose stays.
    s3.put_bucket_policy()
        .bucket(bucket)
        .policy(policy.policy().unwrap().replace("TlsOnly", "Ours"))
        .send()
        .await
        .unwrap();
    let again = make_ready(&session, &place(), &pin()).await.unwrap();
    assert_eq!((again.done.len(), again.own_policy), (0, true));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_of_somebody_else_is_not_touched() {
    let bench = Bench::new().await;
    bench.cloud.world.with(|world: &mut World| world.state.s3.taken.insert("theirs".into()));
    let theirs: S3Place = "s3://theirs/x".parse().unwrap();
    let refused = make_ready(&bench.session(), &theirs, &pin()).await;
    match refused {
        Err(StoreError::Remote { help, .. }) => assert!(help.contains("another account"), "{help}"),
        other => panic!("{other:?}"),
    }
    // The same bucket, as one who believes to be in another account sees it.
    let mut other = pin();
    other.account = "222222222222".into();
    let refused = make_ready(&bench.session(), &place(), &other).await;
    assert!(refused.is_err(), "{refused:?}");
    let ids = Arc::new(Entropy::seeded(9));
    let store =
        S3Store::new(&bench.session(), bench.clock.clone(), ids, &place(), "orders-cdc", &other);
    assert!(matches!(store.load().await, Err(StoreError::Remote { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_segment_that_meets_itself_is_stored_once() {
    let bench = Bench::new().await;
    let mut lease = bench.lease(1).await;
    bench.fault(put(When::Nth(1), Effect::LostReply));
    lease.append(0, &history(2)).await.unwrap();
    assert_eq!(bench.segments().await, [1, 2]);
    lease.append(2, &history(3)[2..]).await.unwrap();
    assert_eq!(bench.store(2).load().await.unwrap().entries, history(3));
}

fn unanswered(times: u64) -> Rule {
    Rule::new("s3", "PutObject", When::From(1), Effect::ServerError(503)).times(times)
}

/// A renewal that was stored although its reply was lost is not taken for the next one.
#[tokio::test(start_paused = true)]
async fn only_a_renewal_that_was_stored_just_now_confirms() {
    let bench = Bench::new().await;
    let mut lease = bench.lease(1).await;
    bench.fault(Rule::new("s3", "PutObject", When::From(1), Effect::LostReply).times(1));
    bench.fault(unanswered(8));
    lease.renew().await.unwrap_err();
    bench.cloud.world.with(|world: &mut World| world.faults.rules.clear());
    bench.pass(Duration::from_mins(1)).await;
    lease.renew().await.unwrap();
    // By S3's clock, too.
    bench.pass(Duration::from_mins(1)).await;
    let other = bench.store(2).lease(holder("process 2")).await.err().unwrap();
    assert!(matches!(other, StoreError::Leased { .. }), "{other:?}");
    lease.release().await.unwrap();
    bench.store(3).lease(holder("process 3")).await.unwrap();
}

/// A holder whose lease has expired and who does not know what became of its last write takes no number from its successor.
#[tokio::test(start_paused = true)]
async fn a_former_holder_takes_no_number() {
    let all = history(4);
    let bench = Bench::new().await;
    let mut old = bench.lease(1).await;
    old.append(0, &all[..2]).await.unwrap();
    bench.fault(unanswered(8));
    old.append(2, &all[2..3]).await.unwrap_err();
    bench.cloud.world.with(|world: &mut World| world.faults.rules.clear());
    bench.pass(Duration::from_secs(92)).await;
    let mut new = bench.lease(2).await;
    let late = old.append(2, &all[2..3]).await;
    assert!(matches!(late, Err(StoreError::Lost { .. })), "{late:?}");
    new.append(2, &all[2..]).await.unwrap();
}

/// An edit has no entries: only the whole snapshot tells whether it was stored.
#[tokio::test(start_paused = true)]
async fn an_edit_is_stored_or_told() {
    let all = history(2);
    let bench = Bench::new().await;
    let mut lease = bench.lease(1).await;
    lease.append(0, &all).await.unwrap();
    lease.compact(&folded(&all)).await.unwrap();
    let edited = State { serial: 99, ..folded(&all) };
    let contended = Effect::Error {
        code: "ConditionalRequestConflict".into(),
        message: "A conflicting conditional operation is in progress".into(),
        status: Some(409),
    };
    bench.fault(Rule::new("s3", "PutObject", When::From(1), contended).times(1));
    lease.compact(&edited).await.unwrap();
    assert_eq!(bench.store(2).load().await.unwrap().fold().unwrap(), edited);
}

/// The newest segment stays, so that a gap shows and its number is not taken again.
#[tokio::test(start_paused = true)]
async fn a_reader_with_an_old_snapshot_begins_anew() {
    let all = history(4);
    for overtaken in 1..=4_u64 {
        let bench = Bench::new().await;
        let mut lease = bench.lease(1).await;
        lease.append(0, &all[..2]).await.unwrap();
        lease.append(2, &all[2..]).await.unwrap();
        bench.pass(Duration::from_hours(25)).await;
        bench.fault(Rule::new("s3", "*", When::Nth(overtaken), Effect::Slow(5_000)).times(1));
        let store = bench.store(2);
        let write = async {
            bench.pass(Duration::from_secs(1)).await;
            lease.compact(&folded(&all)).await.unwrap();
        };
        let (read, ()) = tokio::join!(store.load(), write);
        assert_eq!(read.unwrap().fold().unwrap(), folded(&all), "{overtaken}");
    }
}
