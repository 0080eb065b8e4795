//! Time is given: the only way to read it or to let it pass.
//!
//! Nothing else in this crate calls `Instant::now`, `SystemTime::now` or a sleep. Three clocks exist: [`RealClock`], [`ScaledClock`]
//! for the embedded AWS (waits, deadlines and lease durations follow the world's scale), and `RealClock` under paused tokio time,
//! which makes it virtual.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// A point in wall-clock time: milliseconds since the Unix epoch.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, rhs: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(u64::try_from(rhs.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    /// `2026-01-31T23:59:59Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1000;
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        // Civil date from days since 1970-01-01, in 400-year eras that begin on 1 March.
        let z = days + 719_468;
        let (era, doe) = (z / 146_097, z % 146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + u64::from(month <= 2);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// What a clock showed at one moment: the time of day, which can be set, and a count that only grows, which may stand still while the
/// machine sleeps. Each catches what the other misses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The time of day.
    pub wall: Timestamp,
    /// Time since some fixed moment of this process.
    pub steady: Duration,
}

impl Reading {
    /// The longest time that can have passed since `earlier`: the greater of the two differences, and no bound at all
    /// ([`Duration::MAX`]) if the time of day was set back meanwhile.
    pub fn since(self, earlier: Reading) -> Duration {
        if self.wall < earlier.wall {
            return Duration::MAX;
        }
        self.wall.since(earlier.wall).max(self.steady.saturating_sub(earlier.steady))
    }
}

/// The source of time of a run.
///
/// # Cancel safety
/// Dropping a `sleep` has no effect beyond not sleeping.
#[async_trait]
pub trait Clock: Send + Sync + fmt::Debug {
    /// Wall-clock time, as recorded in the journal.
    fn wall(&self) -> Timestamp;

    /// Both readings, to tell how long ago something was at most. A clock that has one tells it twice.
    fn reading(&self) -> Reading {
        let wall = self.wall();
        Reading { wall, steady: Duration::from_millis(wall.0) }
    }

    /// Lets `duration` pass in the time that this clock tells.
    async fn sleep(&self, duration: Duration);

    /// Lets `duration` pass in real time, also where this clock runs faster: what a request may take, and the grace that an
    /// interrupted run gives to requests already sent.
    async fn grace(&self, duration: Duration);
}

/// Real time; under `tokio::time::pause` it is virtual, and the wall clock follows.
#[derive(Debug, Clone)]
pub struct RealClock {
    origin: (Timestamp, tokio::time::Instant),
    /// Whether the wall time began as the system's, so that it can be compared with what that is now.
    system: bool,
}

fn system_time() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

impl RealClock {
    /// A clock whose wall time is the system's.
    pub fn system() -> Self {
        Self { system: true, ..Self::starting_at(system_time()) }
    }

    /// A clock whose wall time is `wall` now. Needs a tokio runtime only under paused time.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { origin: (wall, tokio::time::Instant::now()), system: false }
    }
}

#[async_trait]
impl Clock for RealClock {
    fn wall(&self) -> Timestamp {
        self.origin.0 + self.origin.1.elapsed()
    }

    fn reading(&self) -> Reading {
        let steady = self.origin.1.elapsed();
        // A machine that slept, and a clock that was set, show only in the system's time.
        let wall = if self.system { system_time() } else { self.origin.0 + steady };
        Reading { wall, steady }
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn grace(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that runs `scale` times as fast as real time, for runs against an embedded AWS that does so too.
#[derive(Debug, Clone)]
pub struct ScaledClock {
    origin: (Timestamp, tokio::time::Instant),
    scale: f64,
}

impl ScaledClock {
    /// A clock that tells `wall` now and runs `scale` times as fast as real time.
    pub fn new(wall: Timestamp, scale: f64) -> Self {
        Self { origin: (wall, tokio::time::Instant::now()), scale: scale.max(f64::MIN_POSITIVE) }
    }
}

#[async_trait]
impl Clock for ScaledClock {
    fn wall(&self) -> Timestamp {
        self.origin.0 + self.origin.1.elapsed().mul_f64(self.scale)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration.div_f64(self.scale)).await;
    }

    async fn grace(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_as_iso_8601() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_000, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_767_225_600_000, "2026-01-01T00:00:00Z"),
            (1_798_761_599_999, "2026-12-31T23:59:59Z"),
        ] {
            assert_eq!(Timestamp(millis).to_string(), text);
        }
    }

    #[test]
    fn a_reading_bounds_what_passed_whichever_clock_misses_it() {
        let at =
            |wall, steady| Reading { wall: Timestamp(wall), steady: Duration::from_millis(steady) };
        let earlier = at(1000, 50);
        for (later, passed) in [
            (at(1000, 50), Duration::ZERO),
            (at(1010, 60), Duration::from_millis(10)),
            // The machine slept, and the count stood still.
            (at(91_000, 51), Duration::from_secs(90)),
            // Somebody set the clock back, by a little and by more than what passed.
            (at(1005, 40_050), Duration::from_secs(40)),
            (at(999, 51), Duration::MAX),
        ] {
            assert_eq!(later.since(earlier), passed, "{later:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_scaled_clock_passes_its_own_time() {
        let clock = ScaledClock::new(Timestamp(0), 60.0);
        let real = tokio::time::Instant::now();
        clock.sleep(Duration::from_mins(1)).await;
        assert_eq!(real.elapsed(), Duration::from_secs(1));
        assert_eq!(clock.wall(), Timestamp(60_000));
    }
}
