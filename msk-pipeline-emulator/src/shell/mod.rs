//! What makes a world reachable: loopback HTTP, an in-process handle, a durable file.
//!
//! A shell holds a world and gives it the time; it adds no behaviour. [`InProcess`] keeps the world in memory, [`FileWorld`] in
//! a file that several processes share, and [`http`] serves either to clients on this machine. [`Observer`]s look on at three
//! moments of each call; the kill tests use them to die there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::protocol;
use crate::world::{Delivery, Millis, Request, Response, World, is_read};

pub mod file;
pub mod http;
pub mod in_process;
pub mod time;

pub use file::FileWorld;
pub use in_process::{InProcess, Timed};
pub use time::Mapping;

/// A world that can be called.
pub trait Handle: Send + Sync + 'static {
    /// Answers a request at a moment of world time. What it changed is committed when this returns.
    fn call(&self, now: Millis, request: &Request) -> Response;
}

/// A world that is looked at and changed beside its calls: what the driver of a real plane needs.
pub trait Shared: Handle {
    /// Looks at the world, and when it is there, in world time.
    fn look(&self, look: &mut dyn FnMut(&World, Millis));

    /// Records a report. What it changed is committed when this returns; answers whether it did.
    fn report(&self, report: &crate::plane::Report) -> bool;

    /// The content of a stored object by its SHA-256.
    fn content(&self, sha256: &str) -> Option<bytes::Bytes>;
}

/// Where a server takes the time from.
pub trait TimeSource: Send + Sync + 'static {
    /// The present, in world time.
    fn now(&self) -> Millis;

    /// How long a span of world time lasts for those who wait.
    fn wall(&self, span: Millis) -> Duration;
}

/// The wall clock in milliseconds since the epoch.
pub fn wall_now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// A moment in the course of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Moment {
    /// It arrived; nothing was done.
    Before,
    /// It took effect, and that is durable where the world is.
    Committed,
    /// The reply is about to leave.
    Replying,
}

/// A call as an observer sees it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Counts the calls through this handle, from 1.
    pub number: u64,
    /// When, in world time.
    pub now: Millis,
    /// The service's signing name; empty if the request names none that exists.
    pub service: &'a str,
    /// The operation; empty if the request is none.
    pub operation: &'a str,
    /// Whether the operation can change anything.
    pub changing: bool,
    /// What was asked.
    pub request: &'a Request,
    /// What will be answered; `None` at [`Moment::Before`].
    pub response: Option<&'a Response>,
}

/// What an observer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Next {
    /// The call goes on.
    #[default]
    Go,
    /// The caller is dead: the call ends here, and its answer is [`Delivery::Held`].
    Stop,
}

/// Looks on. Any `Fn(Moment, &Call) -> Next` is one.
pub trait Observer: Send + Sync {
    /// Called at each [`Moment`] of each call. The world is not locked meanwhile.
    fn at(&self, moment: Moment, call: &Call<'_>) -> Next;
}

impl<F: Fn(Moment, &Call<'_>) -> Next + Send + Sync> Observer for F {
    fn at(&self, moment: Moment, call: &Call<'_>) -> Next {
        self(moment, call)
    }
}

/// The observers of one handle.
#[derive(Default)]
struct Observers {
    list: Mutex<(u64, Vec<Arc<dyn Observer>>)>,
}

impl Observers {
    fn add(&self, observer: Arc<dyn Observer>) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).1.push(observer);
    }

    fn clear(&self) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).1.clear();
    }

    /// Runs `carry_out` between the moments.
    fn around(
        &self,
        now: Millis,
        request: &Request,
        carry_out: impl FnOnce() -> Response,
    ) -> Response {
        let (number, observers) = {
            let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
            list.0 += 1;
            (list.0, list.1.clone())
        };
        if observers.is_empty() {
            return carry_out();
        }
        let held = || Response { delivery: Delivery::Held, ..Response::default() };
        let target = protocol::target(request).ok();
        let operation = target.as_ref().map_or("", |t| t.operation.as_str());
        let call = Call {
            number,
            now,
            service: target.as_ref().map_or("", |t| t.service),
            operation,
            changing: !operation.is_empty() && !is_read(operation),
            request,
            response: None,
        };
        let stops =
            |moment, call: &Call<'_>| observers.iter().any(|o| o.at(moment, call) == Next::Stop);
        if stops(Moment::Before, &call) {
            return held();
        }
        let response = carry_out();
        let call = Call { response: Some(&response), ..call };
        if stops(Moment::Committed, &call) || stops(Moment::Replying, &call) {
            return Response { changed: response.changed, ..held() };
        }
        response
    }
}
