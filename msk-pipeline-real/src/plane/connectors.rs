//! One connector: its Connect worker, its configuration, and what MSK Connect's operations mean for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use msk_pipeline_emulator::plane::{Awaited, Connector, Report, Settings, Task, Work};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::{Context, Event, Owner, Principal, archive, random};
use crate::connect::{self, Worker};
use crate::error::{Error, Result};
use crate::rest::{Part, Status};
use crate::worker_log::Tail;

const CHECK: Duration = Duration::from_millis(500);
/// How often new lines of a log are brought to the world.
const SHIP: Duration = Duration::from_millis(250);
/// How long a state from before a change may be told after it: until the group has rebalanced and the connector has new tasks.
const STALE: Duration = Duration::from_secs(20);
/// How long a connector may take until it runs. On MSK Connect, one that can't reach its brokers is given up after some twenty minutes
/// (handbook msk.md §5.1); Kafka Connect itself gives up sooner, and its end is what counts here.
const PATIENCE: Duration = Duration::from_mins(20);

/// So long the tasks of a worker that is started again may take to run.
const BEGINS: Duration = Duration::from_mins(1);

struct Running {
    worker: Worker,
    spec: connect::Spec,
    /// The configuration that Connect has; `None` before it has one.
    configured: Option<BTreeMap<String, String>>,
}

/// Where the worker's lines go.
struct Lines {
    context: Arc<Context>,
    tail: Mutex<Tail>,
    group: String,
    stream: String,
}

impl Lines {
    /// Brings what is new to the world. Two at once don't change the order.
    async fn ship(&self) {
        let mut tail = self.tail.lock().await;
        loop {
            let lines = tail.lines();
            if lines.is_empty() {
                return;
            }
            let (group, stream) = (self.group.clone(), self.stream.clone());
            self.context.report(Report::Log { group, stream, lines }).await;
        }
    }
}

/// Ships as long as it exists, whatever its unit waits for: Connect may take long over a request.
struct Log {
    lines: Arc<Lines>,
    task: JoinHandle<()>,
}

impl Log {
    fn follow(lines: Lines) -> Self {
        let lines = Arc::new(lines);
        let shipped = lines.clone();
        let task = tokio::spawn(async move {
            loop {
                shipped.ship().await;
                tokio::time::sleep(SHIP).await;
            }
        });
        Self { lines, task }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) struct Unit {
    context: Arc<Context>,
    running: Option<Running>,
    settled: Option<String>,
    tasks: Vec<Task>,
    log: Option<Log>,
    name: Option<String>,
    /// What had failed before the connector was given another configuration.
    stale: Option<Part>,
}

impl Owner for Unit {
    type Wanted = Connector;
    const CHECK: Duration = CHECK;

    async fn be(&mut self, wanted: &Connector) {
        self.name = Some(wanted.name.clone());
        let open =
            wanted.awaits.as_ref().filter(|a| self.settled.as_ref() != Some(&a.token)).cloned();
        let object = format!("connector {}", wanted.name);
        let outcome = match &open {
            Some(wait) => self.work(wanted, wait).await,
            None => self.keep(wanted).await,
        };
        self.ship().await;
        if let Some(wait) = open {
            self.settled = Some(wait.token.clone());
            self.context.settle(&object, &wait.token, &outcome).await;
        } else if let Err(e) = outcome {
            self.context.tell(Event::Ended { program: object, why: e.whole() });
        }
    }

    async fn stop(&mut self) {
        if self.running.is_some() {
            self.end().await;
            let name = self.name.clone().unwrap_or_default();
            self.context.tell(Event::Stopped { program: format!("connector {name}") });
        }
    }

    async fn remove(&mut self) {
        self.stop().await;
        if let Some(name) = &self.name {
            // Secrets lie in it.
            let _ = crate::files::remove_folder(&connect::folder(&self.context.folder, name));
        }
    }
}

impl Unit {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            running: None,
            settled: None,
            tasks: Vec::new(),
            log: None,
            name: None,
            stale: None,
        }
    }

    async fn work(&mut self, wanted: &Connector, wait: &Awaited) -> Result<()> {
        match &wait.what {
            Work::Create | Work::Reboot { .. } => {
                self.become_running(wanted, &wanted.settings).await
            }
            Work::Update { validated } => self.update(wanted, *validated).await,
            Work::Pause => {
                self.configure(wanted, &wanted.settings).await?;
                self.rest()?.pause(&wanted.name).await?;
                self.until(wanted, "PAUSED").await
            }
            Work::Resume => {
                self.configure(wanted, &wanted.settings).await?;
                self.rest()?.resume(&wanted.name).await?;
                self.until(wanted, "RUNNING").await
            }
            Work::Restart { only_failed } => {
                self.configure(wanted, &wanted.settings).await?;
                self.rest()?.restart(&wanted.name, *only_failed).await?;
                // Connect answers before it has begun.
                tokio::time::sleep(CHECK).await;
                // MSK Connect's restart ends also where a task fails again (U): what tasks do is for their states to say.
                let _ = self.until(wanted, "RUNNING").await;
                Ok(())
            }
        }
    }

    /// The new settings, and where they don't run and that is checked, the old ones again.
    async fn update(&mut self, wanted: &Connector, validated: bool) -> Result<()> {
        if !validated {
            return self.configure(wanted, &wanted.settings).await;
        }
        let Err(failure) = self.become_running(wanted, &wanted.settings).await else {
            return Ok(());
        };
        if let Some(before) = &wanted.before {
            self.become_running(wanted, before).await?;
        }
        Err(failure)
    }

    async fn become_running(&mut self, wanted: &Connector, settings: &Settings) -> Result<()> {
        self.configure(wanted, settings).await?;
        self.until(wanted, if wanted.paused { "PAUSED" } else { "RUNNING" }).await
    }

    /// A worker with these settings, and the connector configured on it.
    async fn configure(&mut self, wanted: &Connector, settings: &Settings) -> Result<()> {
        let spec = self.spec(wanted, settings)?;
        let fits = |r: &mut Running| r.worker.check().is_ok() && same_worker(&r.spec, &spec);
        let fits = self.running.as_mut().is_some_and(fits);
        if !fits {
            self.end().await;
            self.start(wanted, spec.clone()).await?;
        }
        let Some(running) = &mut self.running else { return Ok(()) };
        if running.spec.secrets != spec.secrets {
            running.worker.write_secrets(&spec.secrets)?;
            running.spec.secrets = spec.secrets;
        }
        if running.configured.as_ref() != Some(&settings.configuration) {
            let before = running.worker.rest.status(&wanted.name).await.ok().flatten();
            running.worker.rest.configure(&wanted.name, &settings.configuration).await?;
            running.configured = Some(settings.configuration.clone());
            self.stale = before.and_then(|status| status.failure().cloned());
        }
        Ok(())
    }

    fn spec(&self, wanted: &Connector, settings: &Settings) -> Result<connect::Spec> {
        let name = format!("worker.{}.connect.internal", wanted.id);
        Ok(connect::Spec {
            name: wanted.name.clone(),
            id: wanted.id.clone(),
            address: self.context.hosts(|hosts| hosts.address(&name))?,
            bootstrap: wanted.bootstrap.clone(),
            iam: wanted.iam,
            tls: wanted.tls,
            properties: settings.properties.clone(),
            plugin: settings.plugin.clone(),
            jar: settings.jar,
            credentials: self.context.credentials(Principal::Role(wanted.role.clone())),
            region: self.context.region.clone(),
            secrets: wanted.secrets.clone(),
            heap: self.context.heap,
        })
    }

    async fn start(&mut self, wanted: &Connector, spec: connect::Spec) -> Result<()> {
        let begun = Instant::now();
        let context = self.context.clone();
        let home = connect::folder(&context.folder, &wanted.name);
        let archive = archive(&context, &home, &spec.plugin).await?;
        let worker_id = random(9)[..17].to_owned();
        self.log = wanted.log.as_ref().map(|group| {
            Log::follow(Lines {
                context: context.clone(),
                tail: Mutex::new(Tail::new(home.join("worker.log"), &worker_id)),
                group: group.clone(),
                // The stream's name as on the simulated plane.
                stream: format!("{}-{}/{worker_id}", wanted.name, wanted.id),
            })
        });
        let hosts = context.hosts(|hosts| hosts.file().to_owned());
        let runtime = connect::Runtime {
            java: &context.toolbox.java,
            class_path: &context.jars.worker(),
            folder: &context.folder,
            hosts: &hosts,
            authority: &context.authority,
            ledger: &context.ledger,
        };
        let mut worker = Worker::start(&spec, &archive, &runtime)?;
        let deadline = Instant::now() + PATIENCE;
        while !worker.rest.ready().await {
            worker.check()?;
            if Instant::now() > deadline {
                return Err(not_ready(&worker));
            }
            tokio::time::sleep(CHECK).await;
        }
        let program = format!("connector {}", wanted.name);
        for difference in &worker.differences {
            context.differs(&program, difference.clone());
        }
        if wanted.workers > 1 {
            context.differs(&program, format!("one worker runs instead of {}", wanted.workers));
        }
        let ours = "Kafka Connect 3.8.1 runs, whatever version is asked for";
        context.differs(&program, format!("{ours} (it is {})", wanted.version));
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        context.tell(Event::Ready { program, millis });
        self.running = Some(Running { worker, spec, configured: None });
        Ok(())
    }

    /// Waits until the connector and all its tasks are in a state.
    ///
    /// # Errors
    /// As soon as any of them failed, with what it failed of. A failure from before the last change is passed over until it is another, or stays.
    async fn until(&mut self, wanted: &Connector, state: &str) -> Result<()> {
        let begun = Instant::now();
        let deadline = begun + PATIENCE;
        let mut stale = self.stale.take();
        loop {
            let status = self.look(wanted).await?;
            let failed = status.as_ref().and_then(Status::failure);
            if stale.is_some() && stale.as_ref() == failed && begun.elapsed() < STALE {
                tokio::time::sleep(CHECK).await;
                continue;
            }
            stale = None;
            if let Some(failed) = failed {
                let message = failed.trace.clone().unwrap_or_default();
                return Err(Error::Rest { status: 200, message });
            }
            if status.is_some_and(|s| s.all(state)) {
                return Ok(());
            }
            let Some(running) = &self.running else { return Ok(()) };
            if Instant::now() > deadline {
                return Err(not_ready(&running.worker));
            }
            tokio::time::sleep(CHECK).await;
        }
    }

    /// Looks at the tasks, and records what they do when it is something else than before.
    async fn look(&mut self, wanted: &Connector) -> Result<Option<Status>> {
        let Some(running) = &mut self.running else { return Ok(None) };
        running.worker.check()?;
        let status = running.worker.rest.status(&wanted.name).await?;
        let seen: Vec<Task> = status
            .iter()
            .flat_map(|s| &s.tasks)
            .map(|t| Task { id: t.id, state: t.state.clone(), trace: t.trace.clone() })
            .collect();
        if seen != self.tasks {
            self.tasks.clone_from(&seen);
            self.context.report(Report::Tasks { connector: wanted.arn.clone(), tasks: seen }).await;
        }
        Ok(status)
    }

    /// Nothing is waited for: the worker runs, is configured, and is looked at. One that died is started again, as MSK Connect does.
    async fn keep(&mut self, wanted: &Connector) -> Result<()> {
        let began = self.running.is_none();
        self.configure(wanted, &wanted.settings).await?;
        if began {
            let state = if wanted.paused { "PAUSED" } else { "RUNNING" };
            // That its tasks fail, or take long, is for their states to say.
            let _ = tokio::time::timeout(BEGINS, self.until(wanted, state)).await;
        }
        match self.look(wanted).await {
            Err(e @ Error::Ended { .. }) => {
                self.running = None;
                Err(e)
            }
            // A worker that is busy rebalancing refuses; it is asked again.
            _ => Ok(()),
        }
    }

    fn rest(&self) -> Result<crate::rest::Rest> {
        let missing = || Error::Rest { status: 0, message: "the worker does not run".into() };
        self.running.as_ref().map(|r| r.worker.rest).ok_or_else(missing)
    }

    /// Brings what the worker has written to the world before what came of it is told.
    async fn ship(&self) {
        if let Some(log) = &self.log {
            log.lines.ship().await;
        }
    }

    async fn end(&mut self) {
        if let Some(running) = self.running.take() {
            running.worker.stop().await;
            self.ship().await;
            self.log = None;
        }
    }
}

fn not_ready(worker: &Worker) -> Error {
    Error::NotReady {
        program: "the Connect worker".into(),
        seconds: PATIENCE.as_secs(),
        log: worker.program().log().to_owned(),
    }
}

/// Whether a worker can stay: everything but the secrets, which are files.
fn same_worker(old: &connect::Spec, new: &connect::Spec) -> bool {
    connect::Spec { secrets: new.secrets.clone(), ..old.clone() } == *new
}
