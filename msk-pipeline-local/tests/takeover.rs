//! A run is stopped past its lease, another takes over and finishes, and the first goes on: it sends no call, and it spoils nothing.
//!
//! A stopped process is one that is not polled any more. It is stopped at each moment at which it waits for something: for an answer,
//! for time to pass, and before each request for state. Left out is the one moment that no client can guard: between the last look
//! at the clock and the changing request itself. Some of the points are tried, and all of them with `MSKP_KILL_POINTS=all`.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "a test shows what it counted")]

mod common;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::{Cloud, PART_A, Process, pin as account};
use msk_pipeline_aws::Session;
use msk_pipeline_aws::session::{Handler, PlainRequest, PlainResponse};
use msk_pipeline_aws::state::{S3Place, S3Store, make_ready};
use msk_pipeline_core::clock::Reading;
use msk_pipeline_core::run::{RunError, RunEvent, RunSummary};
use msk_pipeline_core::state::{Holder, Lease, Loaded, Stamped, State, StateStore, StoreError};
use msk_pipeline_core::{Clock, Entropy, RealClock, Timestamp};
use msk_pipeline_emulator::world::is_read;
use msk_pipeline_emulator::{Request, Settings, World, protocol};
use msk_pipeline_local::Embedded;
use serde_json::Value;
use tokio::sync::Notify;

const BUCKET: &str = "acme-state";

/// What the first process's clocks show of the time in which it was stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stop {
    /// SIGSTOP: both go on.
    Stopped,
    /// The machine slept: the steady count stood still.
    Slept,
    /// The machine was stopped, and its time of day was set back by more than that.
    SetBack,
}

/// Stops the first process at one of its points.
struct Gate {
    counted: AtomicUsize,
    fatal: usize,
    /// Only answers to journal writes are points: what was begun is durable then, and not sent yet.
    begun_only: bool,
    stopped: Notify,
    thaw: Notify,
    resumed: AtomicBool,
    /// Changing requests that it sent after it went on, other than for state.
    late: Mutex<Vec<String>>,
    /// How long its steady count stood still, and by how much its time of day was set back.
    missed: Mutex<(Duration, Duration)>,
}

impl Gate {
    fn at(fatal: usize, begun_only: bool) -> Arc<Self> {
        Arc::new(Self {
            counted: AtomicUsize::new(0),
            fatal,
            begun_only,
            stopped: Notify::new(),
            thaw: Notify::new(),
            resumed: AtomicBool::new(false),
            late: Mutex::default(),
            missed: Mutex::default(),
        })
    }

    async fn pass(&self, begun: bool) {
        if self.begun_only && !begun {
            return;
        }
        if self.counted.fetch_add(1, Ordering::Relaxed) + 1 == self.fatal {
            self.stopped.notify_one();
            self.thaw.notified().await;
        }
    }
}

struct Gated {
    inner: Embedded,
    gate: Arc<Gate>,
}

#[async_trait]
impl Handler for Gated {
    async fn handle(&self, request: PlainRequest) -> Option<PlainResponse> {
        let whole = Request {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            body: request.body.clone().into(),
        };
        let operation = protocol::target(&whole).map_or_else(|_| String::new(), |t| t.operation);
        let about_state = request.path.starts_with(&format!("/{BUCKET}/"));
        let changes = !is_read(&operation) && !about_state;
        let journals =
            about_state && operation == "PutObject" && request.path.contains("/journal/");
        if !changes {
            self.gate.pass(false).await;
        } else if self.gate.resumed.load(Ordering::Relaxed) {
            self.gate.late.lock().unwrap().push(operation);
        }
        let answer = self.inner.handle(request).await;
        self.gate.pass(journals).await;
        answer
    }
}

struct GatedClock {
    inner: RealClock,
    gate: Arc<Gate>,
}

impl std::fmt::Debug for GatedClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GatedClock")
    }
}

#[async_trait]
impl Clock for GatedClock {
    fn wall(&self) -> Timestamp {
        self.inner.wall()
    }
    fn reading(&self) -> Reading {
        let Reading { wall, steady } = self.inner.reading();
        let (stood, back) = *self.gate.missed.lock().unwrap();
        let back = u64::try_from(back.as_millis()).unwrap();
        Reading { wall: Timestamp(wall.0 - back), steady: steady.saturating_sub(stood) }
    }
    async fn sleep(&self, duration: Duration) {
        self.gate.pass(false).await;
        self.inner.sleep(duration).await;
    }
    async fn grace(&self, duration: Duration) {
        self.inner.grace(duration).await;
    }
}

fn store(session: &Session, clock: &Arc<dyn Clock>, process: u64) -> S3Store {
    let ids = Arc::new(Entropy::seeded(process));
    let place: S3Place = format!("s3://{BUCKET}").parse().unwrap();
    S3Store::new(session, clock.clone(), ids, &place, "orders-cdc", &account())
}

/// A lease without a fence: it believes that it lasts, and appends whatever stands in the way.
struct Blind<S>(S);

#[async_trait]
impl StateStore for Blind<S3Store> {
    async fn load(&self) -> Result<Loaded, StoreError> {
        self.0.load().await
    }
    async fn lease(&self, holder: Holder) -> Result<Box<dyn Lease>, StoreError> {
        Ok(Box::new(Blind(self.0.lease(holder).await?)))
    }
    fn location(&self) -> String {
        self.0.location()
    }
}

#[async_trait]
impl Lease for Blind<Box<dyn Lease>> {
    async fn load(&mut self) -> Result<Loaded, StoreError> {
        self.0.load().await
    }
    async fn append(&mut self, expected_head: u64, entries: &[Stamped]) -> Result<(), StoreError> {
        match self.0.append(expected_head, entries).await {
            Err(StoreError::Lost { .. }) => Ok(()),
            answer => answer,
        }
    }
    async fn compact(&mut self, _state: &State) -> Result<(), StoreError> {
        Ok(())
    }
    async fn release(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What the first process did once it went on.
struct Outcome {
    late: Vec<String>,
    result: Result<RunSummary, RunError>,
    took_over: bool,
    /// World and state: after the second process had finished, and at the end.
    left: [Value; 2],
}

/// How many points there are, if it is not stopped; else what came of it.
fn stopped_at(fatal: usize, begun_only: bool, stop: Stop, blind: bool) -> Result<Outcome, usize> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let cloud = Cloud::new(Settings::default());
        let time: Arc<dyn Clock> = Arc::new(RealClock::starting_at(cloud.wall));
        let plain = Embedded::session(cloud.world.clone(), time.clone(), "us-east-1");
        let place: S3Place = format!("s3://{BUCKET}").parse().unwrap();
        make_ready(&plain, &place, &account()).await.unwrap();

        let gate = Gate::at(fatal, begun_only);
        let clock: Arc<dyn Clock> = Arc::new(GatedClock {
            inner: RealClock::starting_at(cloud.wall),
            gate: Arc::clone(&gate),
        });
        // The world's time is its own.
        let inner = Embedded::new(cloud.world.clone(), time.clone());
        let gated = Gated { inner, gate: Arc::clone(&gate) };
        let session = Embedded::on(Arc::new(gated), "us-east-1");
        let kept = store(&session, &clock, 1);
        let kept: Arc<dyn StateStore> = if blind { Arc::new(Blind(kept)) } else { Arc::new(kept) };
        let first = Process::on(session, kept, clock, 7);
        let mut running = pin!(first.apply(PART_A));
        tokio::select! {
            biased;
            () = gate.stopped.notified() => {}
            result = &mut running => {
                assert!(result.unwrap().is_complete());
                return Err(gate.counted.load(Ordering::Relaxed));
            }
        }
        // Longer than a lease lasts, and than the second process takes.
        let since = time.reading();
        let second = Process::new(&cloud, Arc::new(store(&plain, &time, 2)), time.clone(), 8);
        let summary = second.apply(PART_A).await.unwrap();
        assert!(summary.is_complete(), "{summary:?}");
        let left = async || {
            let mut world =
                cloud.world.with(|w: &mut World| serde_json::to_value(&w.state).unwrap());
            world["s3"]["buckets"].as_object_mut().unwrap().remove(BUCKET);
            world["draws"].as_object_mut().unwrap().retain(|label, _| !label.contains(BUCKET));
            let state = store(&plain, &time, 3).load().await.unwrap().fold().unwrap();
            serde_json::json!([world, state.records, state.run])
        };
        let before = left().await;
        time.sleep(Duration::from_mins(10)).await;

        let passed = time.reading().since(since);
        *gate.missed.lock().unwrap() = match stop {
            Stop::Stopped => (Duration::ZERO, Duration::ZERO),
            Stop::Slept => (passed, Duration::ZERO),
            Stop::SetBack => (passed, passed + Duration::from_secs(1)),
        };
        gate.resumed.store(true, Ordering::Relaxed);
        gate.thaw.notify_one();
        let result = running.await;
        let late = gate.late.lock().unwrap().clone();
        let took_over =
            second.events.0.lock().unwrap().iter().any(|e| matches!(e, RunEvent::TookOver { .. }));
        Ok(Outcome { late, result, took_over, left: [before, left().await] })
    })
}

/// Tries every `stride`th point on two threads, and judges what came of each. Gives how many points there are.
fn each_point(
    stop: Stop,
    begun_only: bool,
    blind: bool,
    stride: usize,
    judge: impl Fn(usize, Outcome) + Sync,
) -> usize {
    let all = std::env::var("MSKP_KILL_POINTS").is_ok_and(|v| v == "all");
    let stride = if all { 1 } else { stride };
    let counted =
        stopped_at(0, begun_only, stop, blind).err().expect("it is not stopped at point 0");
    let next = AtomicUsize::new(1);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let fatal = next.fetch_add(stride, Ordering::Relaxed);
                    if fatal > counted {
                        break;
                    }
                    let outcome = stopped_at(fatal, begun_only, stop, blind);
                    let outcome = outcome.unwrap_or_else(|n| panic!("{fatal} of {n} is not met"));
                    judge(fatal, outcome);
                }
            });
        }
    });
    counted
}

#[test]
fn a_holder_that_goes_on_after_its_lease_sends_no_call() {
    let ways = [
        (Stop::Stopped, false, 29),
        (Stop::Stopped, true, 2),
        (Stop::Slept, true, 2),
        (Stop::SetBack, true, 2),
    ];
    for (stop, begun_only, stride) in ways {
        let (tried, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let counted = each_point(stop, begun_only, false, stride, |fatal, outcome| {
            let at = format!("{stop:?} at {fatal}");
            assert_eq!(outcome.late, [] as [&str; 0], "{at}: it went on and sent calls");
            let [before, after] = outcome.left;
            assert_eq!(before, after, "{at}: it changed what the other had left");
            // It lost its lease; or it had not begun, or was done, and finds nothing to do.
            match outcome.result {
                Ok(summary) => assert!(summary.is_complete(), "{at}: {summary:?}"),
                Err(RunError::Store(StoreError::Lost { .. } | StoreError::Locked(_))) => {}
                Err(other) => panic!("{at}: {other}"),
            }
            tried.fetch_add(1, Ordering::Relaxed);
            taken.fetch_add(usize::from(outcome.took_over), Ordering::Relaxed);
        });
        let (tried, taken) = (tried.into_inner(), taken.into_inner());
        println!("{stop:?}: counted {counted}, tried {tried}, taken over {taken}");
        assert!(taken * 2 > tried, "most of the time it held the lease");
    }
}

/// The tests above would notice.
#[test]
fn a_holder_without_a_fence_is_caught() {
    let sent = Mutex::new(Vec::new());
    each_point(Stop::Stopped, true, true, 5, |_, outcome| {
        sent.lock().unwrap().extend(outcome.late);
    });
    let sent = sent.into_inner().unwrap();
    assert!(!sent.is_empty(), "without a fence the old holder goes on");
}
