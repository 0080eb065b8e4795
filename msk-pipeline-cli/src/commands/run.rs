//! What apply and destroy share: everything before the first call, the run itself, and how its end is told.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use msk_pipeline_aws::Artifacts;
use msk_pipeline_aws::watch::LogWatch;
use msk_pipeline_core::dsl::Expanded;
use msk_pipeline_core::graph::Graph;
use msk_pipeline_core::plan::{Plan, Verb};
use msk_pipeline_core::run::{ApplyOptions, Engine, EventSink, RunError, RunSummary};
use msk_pipeline_core::state::Loaded;
use serde_json::Value;

use crate::declaration::Declaration;
use crate::diagnostic::{Failure, warn};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::printer::{Printer, tame, wrap};
use crate::prompt::Gates;
use crate::provider;
use crate::report::cloud::Cloud;
use crate::report::human::Human;
use crate::report::json::{self, Json};
use crate::report::words::{count, span_here};
use crate::settings::Settings;
use crate::target::Target;

/// How often the live view is redrawn.
const FRAME: Duration = Duration::from_millis(125);

/// What a command prepares for. Only an apply writes anything beside the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To plan.
    Plan,
    /// To tell the status.
    Status,
    /// To make what is declared.
    Apply,
    /// To delete it.
    Destroy,
    /// To take over one object.
    Adopt,
    /// To make state again.
    Rebuild,
}

impl Purpose {
    fn doing(self) -> &'static str {
        match self {
            Purpose::Plan => "Planning",
            Purpose::Status => "Looking at",
            Purpose::Apply => "Applying",
            Purpose::Destroy => "Destroying",
            Purpose::Adopt => "Adopting for",
            Purpose::Rebuild => "Looking for objects of",
        }
    }

    /// It changes nothing, anywhere.
    fn looks(self) -> bool {
        matches!(self, Purpose::Plan | Purpose::Status)
    }
}

/// Everything that is known before a plan is made.
pub(super) struct Prepared {
    pub(super) declaration: Declaration,
    pub(super) target: Target,
    pub(super) expanded: Expanded,
    pub(super) graph: Graph,
    /// Sources of plugin parts that the lock file does not have: the next apply records them.
    pub(super) unrecorded: BTreeSet<String>,
    artifacts: Artifacts,
}

impl Prepared {
    /// Checks the file, packs plugins, reaches AWS and expands.
    pub(super) async fn new(
        settings: &Settings,
        printer: &Printer,
        purpose: Purpose,
    ) -> Result<Self, Failure> {
        let declaration = Declaration::read(settings)?;
        // Everything wrong with the file is told before anything is reached or written.
        declaration.expand_offline()?;
        let header = declaration.pipeline.header();
        let place = match settings.cloud {
            Cloud::Aws => format!("AWS, {}", header.region),
            embedded => format!("the {}", embedded.place(&header.region)),
        };
        printer.say(printer.err.dim(format!("{} {} on {place}", purpose.doing(), header.name)));
        let pack = provider::prepare(&declaration, settings, purpose != Purpose::Apply);
        let open = Target::open(settings, header, purpose.looks());
        let (target, plugins) = if settings.local {
            // What can't be packed is told before an embedded AWS is begun.
            let plugins = pack.await?;
            (open.await?, plugins)
        } else {
            // The wrong account is told before minutes of downloads.
            (open.await?, pack.await?)
        };
        if let Some(note) = settings.cloud.note(target.scale) {
            printer.say(printer.err.dim(wrap(&note, printer.width(), 2)));
        }
        let (facts, artifacts) = (plugins.facts, plugins.artifacts);
        let registry = provider::registry(&target.session, &artifacts);
        let (mut expanded, graph) = declaration.expand(&target.pin, &facts, &registry)?;
        // A run changes what is recorded: what is new is known before it alone.
        let recorded = target.store.load().await.and_then(Loaded::fold);
        let recorded = recorded.map_err(|e| Failure::store(&e))?;
        expanded.notices.extend(provider::snapshot_notices(&graph, &recorded));
        if !printer.json {
            warn(&expanded.problems, &declaration.source, printer);
            warn(&plugins.warnings, &declaration.source, printer);
        }
        let unrecorded = plugins.unrecorded;
        Ok(Self { declaration, target, expanded, graph, unrecorded, artifacts })
    }

    pub(super) fn engine(
        &self,
        settings: &Settings,
        events: Arc<dyn EventSink>,
    ) -> Result<Engine, Failure> {
        let registry = provider::registry(&self.target.session, &self.artifacts);
        self.target.engine(settings, self.declaration.pipeline.header(), registry, events)
    }
}

/// State that dies with a container's disk is refused where that is likely.
pub(super) fn check_store(settings: &Settings, declared: Option<&str>) -> Result<(), Failure> {
    if settings.ci && !settings.local && declared.is_none() {
        let message = "CI is set, and the state would lie in a folder of this machine";
        return Err(Failure::new(Exit::Invalid, message).help(
            "share it, in [pipeline]: state = \"s3://bucket/prefix\"; or, if this disk outlives the job, say so: state = \".msk-pipeline/state\"",
        ));
    }
    Ok(())
}

/// One run: what it needs and how it is told.
pub(super) struct Run<'a> {
    pub(super) settings: &'a Settings,
    pub(super) printer: &'a Arc<Printer>,
    pub(super) prepared: &'a Prepared,
    pub(super) interrupt: &'a Interrupt,
    pub(super) verb: Verb,
    /// The command that was given, to be copied.
    pub(super) again: String,
    human: Arc<Human>,
    pub(super) engine: Engine,
    /// Reads connectors' logs while the run waits for them.
    logs: Arc<LogWatch>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        printer: &'a Arc<Printer>,
        prepared: &'a Prepared,
        interrupt: &'a Interrupt,
        verb: Verb,
        again: String,
        fail_fast: bool,
    ) -> Result<Self, Failure> {
        let (cloud, target) = (settings.cloud, &prepared.target);
        let human = Arc::new(Human::new(printer, &target.clock, cloud, target.scale));
        let events: Arc<dyn EventSink> = if printer.json {
            Arc::new(Json { printer: Arc::clone(printer), cloud, clock: Arc::clone(&target.clock) })
        } else {
            Arc::clone(&human) as Arc<_>
        };
        let canceller = fail_fast.then(|| interrupt.canceller.clone());
        let (session, clock) = (&target.session, Arc::clone(&target.clock));
        let logs = Arc::new(LogWatch::new(session, clock, &prepared.graph, events, canceller));
        let engine = prepared.engine(settings, Arc::clone(&logs) as Arc<_>)?;
        Ok(Self { settings, printer, prepared, interrupt, verb, again, human, engine, logs })
    }

    /// Shows a plan that was made before the run.
    pub(super) fn show(&self, plan: &Plan) {
        if !self.printer.json {
            self.human.show(plan);
        }
    }

    /// Carries it out and tells how it ended.
    pub(super) async fn execute(
        &self,
        options: ApplyOptions,
        gates: &Gates,
    ) -> Result<Exit, Failure> {
        let (graph, cancel) = (&self.prepared.graph, &self.interrupt.cancel);
        let adopts = options.adopt.is_some();
        let result = match self.verb {
            Verb::Apply => self.ticking(self.engine.apply(graph, options, gates, cancel)).await,
            Verb::Destroy => self.ticking(self.engine.destroy(graph, options, gates, cancel)).await,
        };
        self.human.end();
        match result {
            Ok(summary) => Ok(self.tell(&summary, adopts)),
            Err(error) => Err(self.fail(&error).await),
        }
    }

    async fn ticking<T>(&self, run: impl Future<Output = T>) -> T {
        let mut run = std::pin::pin!(run);
        let mut logs = std::pin::pin!(self.logs.run());
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                result = &mut run => return result,
                never = &mut logs => match never {},
                _ = frames.tick() => self.human.tick(),
            }
        }
    }

    /// A run that did not begin; where several reasons hold, the one whose exit code comes first.
    async fn fail(&self, error: &RunError) -> Failure {
        let failure = Failure::run(error, &self.again);
        if matches!(error, RunError::Interrupted)
            && let Ok(state) = self.engine.state().await
            && state.pending().next().is_some()
        {
            for (address, _, pending) in state.pending() {
                self.printer.say(format!("  {address}: {} goes on{}", pending.op, self.mark()));
            }
            return failure.help(format!("this continues: {}", self.again));
        }
        failure
    }

    fn mark(&self) -> String {
        self.settings.cloud.mark(" ")
    }

    fn tell(&self, summary: &RunSummary, adopts: bool) -> Exit {
        let exit = self.exit(summary);
        let next = match exit {
            Exit::Done if adopts => {
                format!("Next: see what else differs with {}", self.settings.command("plan"))
            }
            _ => self.next(summary, exit),
        };
        if self.printer.json {
            let notices = match self.verb {
                Verb::Apply if !adopts => serde_json::to_value(&self.prepared.expanded.notices),
                _ => Ok(Value::Array(Vec::new())),
            };
            let notices = notices.unwrap_or_default();
            self.printer.data_json(&json::result(
                if adopts { "adopt" } else { self.verb.as_str() },
                exit,
                Some(summary),
                &notices,
                &next,
                self.settings.cloud,
            ));
            return exit;
        }
        self.tell_people(summary, exit, adopts);
        self.printer.say(next);
        exit
    }

    /// How it ended; a run that a certain cause stopped has failed, and nobody has interrupted it.
    fn exit(&self, summary: &RunSummary) -> Exit {
        match exit_of(summary) {
            Exit::Interrupted if !self.logs.told().is_empty() && !self.interrupt.is_requested() => {
                Exit::Failed
            }
            exit => exit,
        }
    }

    fn tell_people(&self, summary: &RunSummary, exit: Exit, adopts: bool) {
        let (p, printer) = (self.printer.err, self.printer);
        let say = |text: String| printer.say(wrap(&text, printer.width(), 4));
        let list = |addresses: &[msk_pipeline_core::Address]| {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        if *summary != RunSummary::default() {
            printer.say("");
        }
        if !summary.interrupted.is_empty() {
            let going: Vec<_> =
                summary.interrupted.iter().filter_map(|(a, g)| Some((a, g.as_ref()?))).collect();
            if going.is_empty() {
                say(p.yellow(format!("{}. Nothing is under way.", self.stopped(exit))));
            } else {
                let cloud = if self.settings.local { "the embedded AWS" } else { "AWS" };
                let stopped = self.stopped(exit);
                say(p.yellow(format!("{stopped}. This goes on in {cloud} without the program:")));
                for (address, going_on) in going {
                    say(format!("  {address}: {}{}", tame(going_on), self.mark()));
                }
            }
            let rest = summary.interrupted.iter().filter(|(_, g)| g.is_none()).count();
            let rest = rest + summary.skipped.len();
            if rest > 0 {
                say(format!("Not begun: {}.", count(rest, "step")));
            }
        }
        if !summary.failed.is_empty() {
            say(p.red(format!("{} failed: {}", summary.failed.len(), list(&summary.failed))));
            if !summary.skipped.is_empty() && summary.interrupted.is_empty() {
                say(format!(
                    "{} skipped because of that: {}",
                    summary.skipped.len(),
                    list(&summary.skipped)
                ));
            }
        }
        if !summary.declined.is_empty() {
            say(p.yellow(format!(
                "Declined, with what depends on it: stage {}",
                summary.declined.join(", ")
            )));
        }
        if !summary.open.is_empty() {
            let stages = summary.open.join(", ");
            let nothing =
                summary.created + summary.updated + summary.deleted + summary.adopted == 0;
            let lead = if nothing { "Nothing was changed" } else { "The rest was carried out" };
            say(p.yellow(match summary.open.len() {
                1 => format!("{lead}: the gate of stage {stages} is open."),
                _ => format!("{lead}: the gates of stages {stages} are open."),
            }));
        }
        let parts: Vec<String> = [
            (summary.created, "created"),
            (summary.updated, "changed"),
            (summary.deleted, "deleted"),
            (summary.adopted, "taken over"),
        ]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
        if !parts.is_empty() {
            let time =
                span_here(Duration::from_millis(summary.elapsed_ms), self.prepared.target.scale);
            let text = format!("{} in {time}.{}", parts.join(", "), self.mark());
            say(if exit == Exit::Done { p.green(p.bold(format!("Done: {text}"))) } else { text });
        }
        if self.verb == Verb::Apply
            && !adopts
            && matches!(exit, Exit::Done | Exit::Failed | Exit::Gate)
        {
            let mut lines = Vec::new();
            self.human.view(&self.prepared.expanded.notices).notices(&mut lines);
            // A plan without changes was followed by a blank line already.
            if *summary == RunSummary::default() && !lines.is_empty() {
                lines.remove(0);
            }
            if !lines.is_empty() {
                printer.say(lines.join("\n"));
                printer.say("");
            }
        }
    }

    /// Why a run ended before its time.
    fn stopped(&self, exit: Exit) -> String {
        let told = self.logs.told();
        match told.first().filter(|_| exit == Exit::Failed) {
            Some((address, found)) => {
                let code = found.verdict.as_ref().map_or("", |verdict| verdict.code.as_str());
                format!("Stopped, because {address} will not run [{code}]")
            }
            None => "Interrupted".to_owned(),
        }
    }

    fn next(&self, summary: &RunSummary, exit: Exit) -> String {
        match exit {
            Exit::Done if self.verb == Verb::Apply => {
                format!("Next: endpoints and ids with {}", self.settings.command("output"))
            }
            Exit::Done if self.settings.local => {
                format!("Next: see what is left with {}", self.settings.local_command("inventory"))
            }
            Exit::Done => format!("Next: {} brings it up again", self.settings.command("apply")),
            Exit::Gate if !summary.open.is_empty() => {
                let stages = summary.open.iter().map(|s| format!(" --approve {s}"));
                let flags = match self.verb {
                    Verb::Apply => stages.collect::<String>(),
                    Verb::Destroy => " --auto-approve".into(),
                };
                let also = if self.verb == Verb::Apply { " (or --auto-approve)" } else { "" };
                format!("Next: {}{flags}{also}", self.again)
            }
            Exit::Interrupted => format!("Next: this continues: {}", self.again),
            _ => format!("Next: {} goes on where this ended", self.again),
        }
    }
}

fn exit_of(summary: &RunSummary) -> Exit {
    let holds = [
        (!summary.interrupted.is_empty(), Exit::Interrupted),
        (!summary.failed.is_empty(), Exit::Failed),
        (!summary.declined.is_empty() || !summary.open.is_empty(), Exit::Gate),
    ];
    holds.into_iter().filter(|(holds, _)| *holds).map(|(_, e)| e).max().unwrap_or(Exit::Done)
}

/// A mistyped stage would leave its gate open and nobody would know why.
pub(super) fn check_stages(approved: &[String], prepared: &Prepared) -> Result<(), Failure> {
    let mut known: Vec<&str> = prepared.graph.resources().map(|r| r.stage.as_str()).collect();
    known.dedup();
    known.sort_unstable();
    known.dedup();
    match approved.iter().find(|s| !known.contains(&s.as_str())) {
        None => Ok(()),
        Some(stage) => Err(Failure::new(Exit::Invalid, format!("there is no stage `{stage}`"))
            .help(format!("known: {}", known.join(", ")))),
    }
}
