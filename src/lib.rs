//! Declare a change-data-capture pipeline on AWS as one value; plan, apply, rehearse and destroy it.
//!
//! ```
//! use msk_pipeline::prelude::*;
//! use msk_pipeline::Pipeline;
//!
//! let mut pipeline = Pipeline::new("orders-cdc", "us-east-1");
//! pipeline.declare("", Network::vpc("vpc-0ab12cd"));
//! let db = pipeline.declare("orders", Database::aurora_mysql());
//! let kafka = pipeline.declare("main", Kafka::new());
//! pipeline.declare("mysql", Debezium::mysql(db, kafka).tables(["shop.orders", "shop.customers"]));
//!
//! // Everything wrong is said at once; what is right becomes resources. No request is made for this.
//! let pin = Pin { account: "111111111111".into(), region: "us-east-1".into(), partition: "aws".into() };
//! let expanded = pipeline.expand(&components(), &pin, &Facts::default())?;
//! assert!(expanded.resources.iter().any(|r| r.address.as_str() == "kafka.main.cluster"));
//!
//! // The same value as a document.
//! assert!(pipeline.to_toml().contains("[database.orders]"));
//! # Ok::<(), msk_pipeline::dsl::Problems>(())
//! ```
//!
//! From there, [`graph::Graph`] orders the resources, and [`run::Engine`] plans, applies and destroys them: on AWS through
//! [`aws::Session::connect`], or on an embedded AWS through [`rehearsal::LocalWorld`]. `examples/mysql_cdc.rs` goes all the way.
//!
//! This crate has no logic: it is the engine (`msk-pipeline-core`), the provider (`msk-pipeline-aws`, feature `aws`) and the rehearsal
//! (`msk-pipeline-local`, feature `emulator`) under one name. Kinds and stages of one's own need the engine alone: see
//! [`kind::Kind`] and `tests/own_kind.rs`.

pub use msk_pipeline_core::dsl::Pipeline;
pub use msk_pipeline_core::{
    Address, Clock, Entropy, RealClock, ScaledClock, Timestamp, dsl, graph, kind, plan, run, state,
};

#[cfg(feature = "aws")]
pub use msk_pipeline_aws as aws;
#[cfg(feature = "emulator")]
pub use msk_pipeline_local as rehearsal;

/// What a program that declares a pipeline usually needs.
pub mod prelude {
    pub use msk_pipeline_core::dsl::{Declared, Facts, Pipeline};
    pub use msk_pipeline_core::graph::Graph;
    pub use msk_pipeline_core::plan::{Plan, Verb};
    pub use msk_pipeline_core::run::{
        Answer, ApplyOptions, Approver, AutoApprove, Cancel, Engine, EventSink, RunEvent,
    };
    pub use msk_pipeline_core::state::{FileStore, MemoryStore, Pin, StateStore};

    #[cfg(feature = "aws")]
    pub use msk_pipeline_aws::{
        Session,
        components::{
            components,
            connector::{Connector, Debezium},
            database::Database,
            kafka::{Kafka, Listener},
            network::{Network, Subnets},
        },
        kinds::registry,
    };
}
