//! What goes wrong around one process, beside the cloud: its clocks, and its lease on state in S3.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_aws::Session;
use msk_pipeline_aws::session::{Handler, PlainRequest, PlainResponse};
use msk_pipeline_core::clock::Reading;
use msk_pipeline_core::{Clock, RealClock, Timestamp};
use msk_pipeline_emulator::Request;
use msk_pipeline_local::Embedded;
use serde_json::{Value, json};

use super::Cloud;
use super::mortal::BUCKET;

/// How a process's lease is interfered with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lease {
    /// Renewals are answered with an error.
    Refused,
    /// Renewals get no answer, for as long as a request may take.
    Unanswered,
    /// Another writes a lease of its own.
    Taken,
}

/// Trouble for one process.
#[derive(Debug, Default)]
pub struct Trouble {
    /// By how many milliseconds its time of day is ahead of the world's from its beginning; negative if it is behind.
    pub ahead: i64,
    /// At which of its waits its clocks part: the time of day is set by so many milliseconds, and the steady count misses as many.
    pub parts: Option<(u64, i64, u64)>,
    /// What becomes of its renewals, from when on and for how long, counted from its beginning.
    pub lease: Option<(Lease, Duration, Duration)>,
    waits: AtomicU64,
    set: AtomicI64,
    missed: AtomicU64,
    /// How often it happened.
    pub parted: AtomicU64,
    pub unrenewed: AtomicU64,
}

impl Trouble {
    /// Once for each wait.
    pub fn wait(&self) {
        let n = self.waits.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some((at, set, missed)) = self.parts
            && n == at
        {
            self.set.store(set, Ordering::Relaxed);
            self.missed.store(missed, Ordering::Relaxed);
            self.parted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The time of day that the process is told.
    pub fn wall(&self, world: Timestamp) -> Timestamp {
        Timestamp(world.0.saturating_add_signed(self.ahead + self.set.load(Ordering::Relaxed)))
    }

    /// Both of its clocks, when so much time has passed for the world since it began.
    pub fn reading(&self, world: Timestamp, passed: Duration) -> Reading {
        let missed = Duration::from_millis(self.missed.load(Ordering::Relaxed));
        Reading { wall: self.wall(world), steady: passed.saturating_sub(missed) }
    }
}

/// Clients of a process in trouble. The world's time is its own.
pub fn session(cloud: &Cloud, trouble: &Arc<Trouble>) -> Session {
    let clock: Arc<dyn Clock> = Arc::new(RealClock::starting_at(cloud.wall));
    let inner = Embedded::new(cloud.world.clone(), clock.clone());
    let (cloud, trouble, began) = (cloud.clone(), Arc::clone(trouble), clock.wall());
    let unsteady = Unsteady { inner, cloud, clock, began, trouble };
    Embedded::on(Arc::new(unsteady), "us-east-1")
}

struct Unsteady {
    inner: Embedded,
    cloud: Cloud,
    clock: Arc<dyn Clock>,
    began: Timestamp,
    trouble: Arc<Trouble>,
}

impl Unsteady {
    /// What becomes of this request, if it writes the lease while that is interfered with.
    fn strikes(&self, request: &PlainRequest) -> Option<Lease> {
        let writes = request.method == "PUT"
            && request.path.starts_with(&format!("/{BUCKET}/"))
            && request.path.ends_with("/lease");
        let (what, from, long) = self.trouble.lease.filter(|_| writes)?;
        let since = self.clock.wall().since(self.began);
        (from..from + long).contains(&since).then_some(what)
    }

    /// Stores a lease that another holds, as if its request had come first.
    fn take(&self, request: &PlainRequest) {
        let mut note: Value = serde_json::from_slice(&request.body).unwrap();
        note["lease"] = json!("the lease of another");
        note["holder"]["who"] = json!("another");
        note["released"] = json!(false);
        let bound = |name: &str| {
            name.starts_with("if-") || name.starts_with("x-amz-checksum-") || name == "content-md5"
        };
        let headers = request.headers.iter().filter(|(name, _)| !bound(name));
        let body = serde_json::to_vec(&note).unwrap();
        let headers = headers.map(|(name, value)| match name.as_str() {
            "content-length" => (name.clone(), body.len().to_string()),
            "x-amz-content-sha256" => (name.clone(), "UNSIGNED-PAYLOAD".to_owned()),
            _ => (name.clone(), value.clone()),
        });
        let theirs = Request {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: headers.collect(),
            body: body.clone().into(),
        };
        // What goes wrong here is nothing to the other.
        let answer = self.cloud.world.with(|world| {
            let faults = std::mem::take(&mut world.faults);
            let answer = world.handle(self.clock.wall().0, &theirs);
            world.faults = faults;
            answer
        });
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 200, "the other's lease is not stored: {said}");
    }
}

#[async_trait]
impl Handler for Unsteady {
    async fn handle(&self, request: PlainRequest) -> Option<PlainResponse> {
        let struck = self.strikes(&request);
        self.trouble.unrenewed.fetch_add(u64::from(struck.is_some()), Ordering::Relaxed);
        match struck {
            None => self.inner.handle(request).await,
            Some(Lease::Refused) => {
                let body = "<Error><Code>InternalError</Code><Message>no</Message></Error>";
                Some(PlainResponse { status: 500, headers: Vec::new(), body: body.into() })
            }
            Some(Lease::Unanswered) => {
                self.clock.sleep(Duration::from_secs(45)).await;
                None
            }
            Some(Lease::Taken) => {
                // Once: what follows is told that it is another's.
                if self.trouble.unrenewed.load(Ordering::Relaxed) == 1 {
                    self.take(&request);
                }
                self.inner.handle(request).await
            }
        }
    }
}
