//! The time of a world that several processes share, as a clock for the engine.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use msk_pipeline_core::{Clock, Timestamp};
use msk_pipeline_emulator::shell::{FileWorld, Mapping, wall_now};

/// How old the known mapping may be. Looking it up takes the world's lock.
const FRESH: Duration = Duration::from_millis(250);

/// Tells the time of a world in a folder. Waits, deadlines and leases follow the world's scale, also when another process changes it.
pub struct WorldClock {
    world: Arc<FileWorld>,
    known: Mutex<(Instant, Mapping)>,
}

impl WorldClock {
    /// A clock that tells `world`'s time, which was `mapping` just now.
    pub fn new(world: Arc<FileWorld>, mapping: Mapping) -> Self {
        Self { world, known: Mutex::new((Instant::now(), mapping)) }
    }

    fn mapping(&self) -> Mapping {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0.elapsed() > FRESH {
            // A world that can't be read says so at the next call; until then time goes on as it did.
            let mapping = self.world.time().unwrap_or(known.1);
            *known = (Instant::now(), mapping);
        }
        known.1
    }
}

impl fmt::Debug for WorldClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorldClock")
    }
}

#[async_trait]
impl Clock for WorldClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.mapping().world(wall_now()))
    }

    async fn sleep(&self, duration: Duration) {
        let end = self.wall() + duration;
        loop {
            let mapping = self.mapping();
            let left = end.since(Timestamp(mapping.world(wall_now())));
            if left.is_zero() {
                return;
            }
            // A world at standstill is looked at again until its time goes on.
            let wall = match mapping.scale {
                0.0 => FRESH,
                scale => left.div_f64(scale).min(FRESH * 4).max(Duration::from_millis(1)),
            };
            tokio::time::sleep(wall).await;
        }
    }

    async fn grace(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
