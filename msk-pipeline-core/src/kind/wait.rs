//! Waiting is separate from doing: what a step waits for, and how often it looks (design decision D8).

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What has to become true before a step goes on. Waiting holds no concurrency slot, writes nothing, and re-attaches after a kill,
/// because all that it does is to observe again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What is waited for, as a fragment: `cluster ACTIVE`.
    pub what: String,
    /// What was seen last: `CREATING`, `INCREASE_BROKER_COUNT PENDING`.
    pub seen: String,
    /// How long it usually takes; shapes the polling.
    #[serde(with = "seconds")]
    pub usual: Duration,
    /// After which the step gives up. Nothing is undone: the next run goes on waiting.
    #[serde(with = "seconds")]
    pub deadline: Duration,
}

impl Condition {
    /// Waits for `what`, having `seen` something else; gives up after six times the usual duration, at least ten minutes.
    pub fn new(what: impl Into<String>, seen: impl Into<String>, usual: Duration) -> Self {
        let deadline = (usual * 6).max(Duration::from_mins(10));
        Self { what: what.into(), seen: seen.into(), usual, deadline }
    }

    /// Sets the deadline.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

/// When to look again: rarely while it is far too early, often around the usual end.
#[derive(Debug, Clone, Copy)]
pub struct Poll {
    usual: Duration,
}

impl Poll {
    /// The fastest and the slowest pace.
    const RANGE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));

    /// The schedule for something that usually takes `usual`.
    pub fn usual(usual: Duration) -> Self {
        Self { usual }
    }

    /// How long to sleep when `waited` has passed since the wait began.
    ///
    /// Until 60 % of the usual duration the pace is six times slower than after it, but never past that point; after twice the
    /// usual duration it slows down again, so that something that hangs for an hour is not asked for 1,800 times.
    pub fn next(self, waited: Duration) -> Duration {
        let pace = (self.usual / 60).clamp(Self::RANGE.0, Self::RANGE.1);
        let early = self.usual.mul_f64(0.6);
        if waited < early {
            (pace * 6).min(early.saturating_sub(waited)).max(pace)
        } else if waited > self.usual * 2 {
            pace * 3
        } else {
            pace
        }
    }
}

mod seconds {
    use super::{Deserialize, Duration};
    pub(super) fn serialize<S: serde::Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(d.as_secs())
    }
    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        d: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twenty_minute_wait_is_noticed_within_ten_seconds_and_takes_few_polls() {
        let poll = Poll::usual(Duration::from_mins(20));
        let (mut at, mut polls) = (Duration::ZERO, 0);
        while at < Duration::from_mins(20) {
            let next = poll.next(at);
            assert!(next <= Duration::from_mins(1));
            at += next;
            polls += 1;
        }
        assert!(
            at.saturating_sub(Duration::from_mins(20)) <= Duration::from_secs(10),
            "late by {at:?}"
        );
        assert!(polls <= 75, "{polls} polls");
    }

    #[test]
    fn a_short_wait_is_polled_at_the_fastest_pace() {
        assert_eq!(
            Poll::usual(Duration::from_secs(5)).next(Duration::ZERO),
            Duration::from_secs(3)
        );
        assert_eq!(Poll::usual(Duration::ZERO).next(Duration::ZERO), Duration::from_secs(2));
    }
}
