//! The truth about a CDC connector: why it fails, and the proof by a row that it works.
//!
//! * [`cause`] turns evidence (a worker's log, Connect's task states, what AWS reports, configurations) into a diagnosis with a
//!   code, what it means, and the statement, key or rule to change. It is pure: whoever has the evidence can ask.
//! * [`chain`] looks at each link from the database to the topic, and says of each: as it has to be, not so and what to change, or out of reach
//!   from here and what to open.
//! * [`canary`] changes a row and waits for its events.
//! * [`session`] runs statements on either engine.
//! * [`tail`] shows events as they come.
//!
//! It knows Kafka, Kafka Connect, Debezium and databases, and nothing of the engine, of AWS's interfaces, or of terminals. Secrets are
//! [`Secret`]s, which never print.

pub mod canary;
pub mod cause;
pub mod chain;
mod check;
mod reach;
mod secret;
pub mod session;
pub mod tail;

pub use check::{Check, Outcome};
pub use reach::{Reach, TlsError};
pub use secret::Secret;
