//! The truth about a CDC connector: why it fails, and the proof by a row that it works.
//!
//! * [`cause`] turns evidence (a worker's log, Connect's task states, what AWS reports, configurations) into a diagnosis with a
//!   code, what it means, and the statement, key or rule to change. It is pure: whoever has the evidence can ask.
//!
//! It knows Kafka, Kafka Connect, Debezium and databases, and nothing of the engine, of AWS's interfaces, or of terminals.

pub mod cause;
