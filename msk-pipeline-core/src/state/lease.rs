//! The arithmetic of leases: how long the right to write lasts, and when a successor may be certain that its predecessor is silent.
//!
//! A lease that can be lost (state in S3) is renewed by its holder and expires by the store's own clock. What a holder sends ends
//! before its lease can have expired:
//!
//! ```text
//! renewal sent        call starts            its last byte             lease expires, counted from when the store
//!      |-- < CONFIRMED --|-- <= LONGEST_REQUEST --|------- slack -------|   received the renewal: never before it was sent
//!      0                30                       75                    90 s
//! ```
//!
//! So whoever takes an expired lease over may settle begun calls at once: no request of the predecessor is still to come. One kind of
//! request may take longer, the upload of a content-addressed object that must not exist yet; whenever it arrives it changes
//! nothing that is there.

use std::time::Duration;

pub use crate::kind::LONGEST_REQUEST;

/// How often a holder renews.
pub const RENEW_EVERY: Duration = Duration::from_secs(30);

/// How soon a renewal that failed is tried again.
pub const RENEW_AGAIN: Duration = Duration::from_secs(5);

/// A changing request is sent only if the lease was confirmed less than this ago, by wall and by monotonic clock, counted from when
/// the confirming request was *sent*.
pub const CONFIRMED: Duration = Duration::from_secs(30);

/// A lease that was not renewed for this long, by the store's clock alone, may be taken over.
pub const EXPIRY: Duration = Duration::from_secs(90);

/// What is left for bytes on their way and for clocks that tell whole seconds.
pub const SLACK: Duration = Duration::from_secs(15);

const _: () = assert!(
    CONFIRMED.as_secs() + LONGEST_REQUEST.as_secs() + SLACK.as_secs() <= EXPIRY.as_secs(),
    "a successor could settle a call that its predecessor has still to send"
);
