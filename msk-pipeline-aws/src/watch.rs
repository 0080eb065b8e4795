//! Watches the workers' logs of connectors while a run waits for them: a cause that is certain is told at once, not after the twenty minutes
//! for which MSK Connect tries.
//!
//! It reads only, beside the run: what it can't read it does not tell, and nothing of the run depends on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use msk_pipeline_core::graph::Graph;
use msk_pipeline_core::plan::Action;
use msk_pipeline_core::run::{Canceller, EventSink, RunEvent};
use msk_pipeline_core::{Address, Clock};
use msk_pipeline_verify::cause::{Diagnosis, Evidence, Watch};

use crate::Session;
use crate::evidence::{FollowLog, is_connector};

/// How often logs are read.
const LOOK: Duration = Duration::from_secs(2);
/// Requests after which a worker begins anew.
const BEGINS: &[&str] = &["kafkaconnect:CreateConnector", "kafkaconnect:UpdateConnector"];

/// Passes a run's events on, and puts in what the logs of connectors say while they are waited for.
pub struct LogWatch {
    session: Session,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
    /// Stops the run when a cause is certain.
    stops: Option<Canceller>,
    connectors: BTreeMap<Address, Known>,
    /// Steps under way that are to leave a connector that runs.
    rising: Mutex<BTreeSet<Address>>,
    watched: Mutex<BTreeMap<Address, Watched>>,
    told: Mutex<Vec<(Address, Diagnosis)>>,
}

/// A connector as it is declared.
struct Known {
    name: String,
    log_group: String,
    /// Its configuration, as far as it is known beforehand.
    configuration: BTreeMap<String, String>,
}

struct Watched {
    log: FollowLog,
    watch: Watch,
}

impl LogWatch {
    /// Watches the connectors of a graph. With a `canceller` the first certain cause stops the run as an interrupt does: the next run goes on.
    pub fn new(
        session: &Session,
        clock: Arc<dyn Clock>,
        graph: &Graph,
        events: Arc<dyn EventSink>,
        canceller: Option<Canceller>,
    ) -> Self {
        let of_kind = graph.resources().filter(|resource| is_connector(&resource.kind));
        let connectors = of_kind.filter_map(|resource| {
            let text = |key: &str| resource.props.get(key)?.as_str().map(str::to_owned);
            let configuration = resource.props.get("configuration").and_then(|c| c.as_object());
            let known = configuration.into_iter().flatten();
            let known = known.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())));
            let (name, log_group) = (text("name")?, text("log_group")?);
            let known = Known { name, log_group, configuration: known.collect() };
            Some((resource.address.clone(), known))
        });
        Self {
            session: session.clone(),
            clock,
            events,
            stops: canceller,
            connectors: connectors.collect(),
            rising: Mutex::default(),
            watched: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// Reads logs for as long as it is polled; never returns. Dropping it ends the reading.
    pub async fn run(&self) -> std::convert::Infallible {
        loop {
            self.clock.sleep(LOOK).await;
            let addresses: Vec<_> = lock(&self.watched).keys().cloned().collect();
            for address in addresses {
                // Taken out while it is read: events come in meanwhile.
                let Some(mut watched) = lock(&self.watched).remove(&address) else { continue };
                let lines = watched.log.more().await.unwrap_or_default();
                let found = watched.watch.feed(lines.into_iter().map(|(_, line)| line));
                // Its step may have ended meanwhile, or begun anew.
                if lock(&self.rising).contains(&address) {
                    lock(&self.watched).entry(address.clone()).or_insert(watched);
                }
                if let Some(found) = found {
                    self.tell(&address, found);
                }
            }
        }
    }

    /// The causes that were told, with all that is known of each.
    pub fn told(&self) -> Vec<(Address, Diagnosis)> {
        lock(&self.told).clone()
    }

    fn tell(&self, address: &Address, found: Diagnosis) {
        let Some(verdict) = &found.verdict else { return };
        self.events.emit(RunEvent::Certain {
            address: address.clone(),
            cause: format!("{} [{}]", verdict.title, verdict.code),
            help: verdict.fix.join(" "),
        });
        lock(&self.told).push((address.clone(), found));
        if let Some(stops) = &self.stops {
            stops.cancel();
        }
    }

    fn begin(&self, address: &Address) {
        let Some(known) = self.connectors.get(address) else { return };
        let since = i64::try_from(self.clock.wall().0).unwrap_or(i64::MAX);
        let log = FollowLog::new(&self.session, known.log_group.as_str(), since);
        let watch = Watch::with(Evidence {
            connector: known.name.clone(),
            connector_config: known.configuration.clone(),
            ..Evidence::default()
        });
        let watched = Watched { log, watch };
        lock(&self.watched).insert(address.clone(), watched);
    }
}

impl EventSink for LogWatch {
    fn emit(&self, event: RunEvent) {
        match &event {
            RunEvent::StepStarted { address, action, .. } if *action != Action::Delete => {
                lock(&self.rising).insert(address.clone());
            }
            // From before the request on: what a worker writes is not older.
            RunEvent::CallStarted { address, op, .. } if BEGINS.contains(&op.as_str()) => {
                self.begin(address);
            }
            // What an earlier run began is watched from now on: what came before may be of another incarnation.
            RunEvent::Waiting { address, .. }
                if lock(&self.rising).contains(address)
                    && !lock(&self.watched).contains_key(address) =>
            {
                self.begin(address);
            }
            RunEvent::StepFinished { address, .. } => {
                lock(&self.rising).remove(address);
                lock(&self.watched).remove(address);
            }
            _ => {}
        }
        self.events.emit(event);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
