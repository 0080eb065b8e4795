//! The connector between the SDK's clients and a world.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use msk_pipeline_aws::Session;
use msk_pipeline_aws::session::{Handler, PlainRequest, PlainResponse};
use msk_pipeline_core::Clock;
use msk_pipeline_emulator::Request;
use msk_pipeline_emulator::shell::Handle;
use msk_pipeline_emulator::world::Delivery;

use crate::simulated::Simulated;

/// A world as the far end of the SDK's clients. It tells the world the clock's time, and lets a reply's delay pass on that clock.
pub struct Embedded {
    world: Arc<dyn Handle>,
    clock: Arc<dyn Clock>,
    durable: bool,
}

impl Embedded {
    /// Clients that reach `world`, at the time that `clock` tells.
    pub fn session(world: Arc<dyn Handle>, clock: Arc<dyn Clock>, region: &str) -> Session {
        Self::on(Arc::new(Self::new(world, clock)), region)
    }

    /// Clients that reach `handler`, a world or what is around one, with the databases that the world keeps a catalogue of.
    pub fn on(handler: Arc<dyn Handler>, region: &str) -> Session {
        let databases = Simulated::new(Arc::clone(&handler), region);
        Session::embedded(handler, region).with_source(Arc::new(databases))
    }

    /// The far end alone, to be wrapped.
    pub fn new(world: Arc<dyn Handle>, clock: Arc<dyn Clock>) -> Self {
        Self { world, clock, durable: false }
    }

    /// As [`session`](Self::session), for a world that waits for its disk: calls run where they hold nobody up.
    pub fn durable(world: Arc<dyn Handle>, clock: Arc<dyn Clock>, region: &str) -> Session {
        Self::on(Arc::new(Self { world, clock, durable: true }), region)
    }
}

#[async_trait]
impl Handler for Embedded {
    async fn handle(&self, request: PlainRequest) -> Option<PlainResponse> {
        let request = Request {
            method: request.method,
            path: request.path,
            query: request.query,
            headers: request.headers,
            body: request.body.into(),
        };
        let response = if self.durable {
            let (world, clock) = (Arc::clone(&self.world), Arc::clone(&self.clock));
            let call = move || world.call(clock.wall().0, &request);
            tokio::task::spawn_blocking(call).await.ok()?
        } else {
            self.world.call(self.clock.wall().0, &request)
        };
        if response.delay > 0 {
            self.clock.sleep(Duration::from_millis(response.delay)).await;
        }
        match response.delivery {
            Delivery::Normal => Some(PlainResponse {
                status: response.status,
                headers: response.headers,
                body: response.body.to_vec(),
            }),
            Delivery::Dropped => None,
            // The caller is dead: no answer ever comes.
            Delivery::Held => std::future::pending().await,
        }
    }
}
