//! A world in memory, called directly. The connector that puts an SDK client on top lives with the client: this crate knows no SDK.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Handle, Observer, Observers};
use crate::world::{Millis, Request, Response, World};

/// A world that several tasks and threads of one process call.
#[derive(Default)]
pub struct InProcess {
    world: Mutex<World>,
    observers: Observers,
}

impl InProcess {
    /// A handle of `world`.
    pub fn new(world: World) -> Arc<Self> {
        Arc::new(Self { world: Mutex::new(world), observers: Observers::default() })
    }

    /// Answers a request at a moment of world time.
    pub fn call(&self, now: Millis, request: &Request) -> Response {
        self.observers.around(now, request, || self.with(|world| world.handle(now, request)))
    }

    /// Adds an observer.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.observers.add(observer);
    }

    /// Takes all observers away.
    pub fn unobserve(&self) {
        self.observers.clear();
    }

    /// Looks into the world or turns its dials.
    pub fn with<T>(&self, f: impl FnOnce(&mut World) -> T) -> T {
        f(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A copy of the world as it is.
    pub fn snapshot(&self) -> World {
        self.with(|world| world.clone())
    }
}

/// A world in memory whose time is given by a mapping from the wall clock.
pub struct Timed {
    /// The world.
    pub world: Arc<InProcess>,
    /// Its time.
    pub time: super::Mapping,
}

impl Handle for Timed {
    fn call(&self, now: Millis, request: &Request) -> Response {
        self.world.call(now, request)
    }
}

impl super::Shared for Timed {
    fn look(&self, look: &mut dyn FnMut(&World, Millis)) {
        let now = super::TimeSource::now(&self.time);
        self.world.with(|world| look(world, now));
    }

    fn report(&self, report: &crate::plane::Report) -> bool {
        let now = super::TimeSource::now(&self.time);
        self.world.with(|world| crate::plane::record(world, now, report))
    }

    fn content(&self, sha256: &str) -> Option<bytes::Bytes> {
        self.world.with(|world| world.blobs.get(sha256).cloned())
    }
}

impl Handle for InProcess {
    fn call(&self, now: Millis, request: &Request) -> Response {
        InProcess::call(self, now, request)
    }
}
