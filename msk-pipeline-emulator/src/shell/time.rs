//! World time from wall time: `world_base + (wall_now − wall_base) × scale`, with a scale that changes without a jump.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{TimeSource, wall_now};
use crate::world::Millis;

/// How world time follows the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mapping {
    /// World time at `wall_base`.
    pub world_base: Millis,
    /// A moment on the wall clock.
    pub wall_base: Millis,
    /// World milliseconds in one of the wall's; 0 is standstill.
    pub scale: f64,
}

impl Mapping {
    /// World time begins at `world` when the wall clock shows `wall`.
    pub fn new(world: Millis, wall: Millis, scale: f64) -> Self {
        Self { world_base: world, wall_base: wall, scale: valid(scale) }
    }

    /// World time when the wall clock shows `wall`. A wall clock set back lets it stand still.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "spans of milliseconds stay far below 2^53 and the scale is not negative"
    )]
    pub fn world(&self, wall: Millis) -> Millis {
        let elapsed = wall.saturating_sub(self.wall_base);
        self.world_base.saturating_add((elapsed as f64 * self.scale) as Millis)
    }

    /// How long a span of world time lasts on the wall clock; none at standstill.
    #[expect(clippy::cast_precision_loss, reason = "spans of milliseconds stay far below 2^53")]
    pub fn wall_span(&self, span: Millis) -> Duration {
        if self.scale == 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(span as f64 / 1000.0 / self.scale).unwrap_or(Duration::MAX)
    }

    /// Changes the scale from `wall` on; world time has no jump there.
    pub fn rescale(&mut self, wall: Millis, scale: f64) {
        *self = Self::new(self.world(wall), wall, scale);
    }

    /// Moves world time ahead by `span`.
    pub fn advance(&mut self, span: Millis) {
        self.world_base = self.world_base.saturating_add(span);
    }
}

fn valid(scale: f64) -> f64 {
    if scale.is_finite() && scale > 0.0 { scale } else { 0.0 }
}

impl TimeSource for Mapping {
    fn now(&self) -> Millis {
        self.world(wall_now())
    }

    fn wall(&self, span: Millis) -> Duration {
        self.wall_span(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_changes_without_a_jump() {
        let mut time = Mapping::new(1_000_000, 500, 60.0);
        assert_eq!(time.world(1_500), 1_060_000);
        time.rescale(1_500, 1.0);
        assert_eq!(time.world(1_500), 1_060_000);
        assert_eq!(time.world(2_500), 1_061_000);
        time.rescale(2_500, 0.0);
        assert_eq!(time.world(9_999_999), 1_061_000);
        time.advance(5);
        assert_eq!(time.world(2_500), 1_061_005);
    }

    #[test]
    fn a_wall_clock_set_back_does_not_turn_world_time_back() {
        let time = Mapping::new(1_000, 500, 2.0);
        assert_eq!(time.world(100), 1_000);
        assert_eq!(time.wall_span(4_000), Duration::from_secs(2));
        assert_eq!(Mapping::new(0, 0, -1.0).wall_span(5), Duration::ZERO);
    }
}
