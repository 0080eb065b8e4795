//! One Aurora cluster: a MariaDB or a PostgreSQL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use msk_pipeline_emulator::plane::{Database, Engine, Work};

use super::{Context, Event, Owner, random};
use crate::database::{self, Server};
use crate::error::Result;

const CHECK: Duration = Duration::from_secs(1);

struct Running {
    engine: Engine,
    server: Server,
    spec: database::Spec,
}

pub(super) struct Unit {
    context: Arc<Context>,
    running: Option<Running>,
    /// The last wait that was reported on.
    settled: Option<String>,
}

impl Owner for Unit {
    type Wanted = Database;
    const CHECK: Duration = CHECK;

    async fn be(&mut self, wanted: &Database) {
        let open = wanted.awaits.as_ref().filter(|a| self.settled.as_ref() != Some(&a.token));
        if open.is_some_and(|a| matches!(a.what, Work::Reboot { .. })) {
            self.stop().await;
        }
        let outcome = self.make(wanted).await;
        let object = format!("database {}", wanted.name);
        match (open, outcome) {
            (Some(wait), outcome) => {
                self.settled = Some(wait.token.clone());
                self.context.settle(&object, &wait.token, &outcome).await;
            }
            (None, Err(e)) => {
                self.context.tell(Event::Ended { program: object, why: e.whole() });
                tokio::time::sleep(CHECK).await;
            }
            (None, Ok(())) => {}
        }
    }

    async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            let program = format!("database {}", running.spec.name);
            running.server.stop().await;
            self.context.tell(Event::Stopped { program });
        }
    }

    async fn remove(&mut self) {
        let running = self.running.as_ref().map(|r| (r.engine, r.spec.name.clone()));
        self.stop().await;
        if let Some((engine, name)) = running {
            // What stays would only take room; the next cluster of this name must not find it.
            let home = database::folder(engine, &self.context.folder, &name);
            let _ = crate::files::remove_folder(&home);
        }
    }
}

impl Unit {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context, running: None, settled: None }
    }

    async fn make(&mut self, wanted: &Database) -> Result<()> {
        if let Some(running) = &mut self.running {
            match running.server.check() {
                Ok(()) => return running.follow(wanted).await,
                Err(e) => {
                    self.running = None;
                    return Err(e);
                }
            }
        }
        let begun = Instant::now();
        let context = &self.context;
        let spec = self.spec(wanted)?;
        let server = Server::start(
            wanted.engine,
            &spec,
            &context.folder,
            &context.toolbox,
            &context.authority,
            &context.ledger,
        )
        .await?;
        let program = format!("database {}", wanted.name);
        for difference in server.differences(&wanted.version) {
            context.differs(&program, difference);
        }
        if wanted.readers.len() > 1 {
            context.differs(&program, "reader instances are the writer, under their names");
        }
        if !wanted.managed {
            context
                .differs(&program, "the master password that the caller chose is not known here");
        }
        self.running = Some(Running { engine: wanted.engine, server, spec });
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        context.tell(Event::Ready { program, millis });
        Ok(())
    }

    fn spec(&self, wanted: &Database) -> Result<database::Spec> {
        let first = wanted.endpoints.first().cloned().unwrap_or_default();
        let address = self.context.hosts(|hosts| {
            for name in wanted.endpoints.iter().chain(&wanted.readers) {
                hosts.alias(name, &first)?;
            }
            hosts.address(&first)
        })?;
        Ok(database::Spec {
            name: wanted.name.clone(),
            address,
            port: wanted.port,
            endpoints: wanted.endpoints.union(&wanted.readers).cloned().collect(),
            parameters: plain(&wanted.parameters),
            master: wanted.master.clone(),
            password: wanted.password.clone().unwrap_or_else(|| random(16)),
            database: wanted.database.clone(),
        })
    }
}

impl Running {
    /// What changes without a restart: the master's password, and parameters that RDS pushes to a running server.
    async fn follow(&mut self, wanted: &Database) -> Result<()> {
        if let Some(password) = wanted.password.as_ref().filter(|p| **p != self.spec.password) {
            self.server.set_password(&wanted.master, password).await?;
            self.spec.password.clone_from(password);
        }
        let changed: BTreeMap<_, _> = wanted
            .parameters
            .iter()
            .filter(|(name, (value, dynamic))| {
                *dynamic && self.spec.parameters.get(*name) != Some(value)
            })
            .map(|(name, (value, _))| (name.clone(), value.clone()))
            .collect();
        if !changed.is_empty() {
            let mut spec = self.spec.clone();
            spec.parameters.extend(changed.clone());
            self.server.set_parameters(&changed, &spec).await?;
            self.spec = spec;
        }
        Ok(())
    }
}

fn plain(parameters: &BTreeMap<String, (String, bool)>) -> BTreeMap<String, String> {
    parameters.iter().map(|(name, (value, _))| (name.clone(), value.clone())).collect()
}
