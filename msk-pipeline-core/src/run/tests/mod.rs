//! Tests of the engine as a whole, in virtual time.

mod kill;
mod leases;
mod mocked;
mod random;
mod support;
