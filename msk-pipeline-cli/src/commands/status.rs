//! `status`: what is recorded, what is in flight, and whether AWS still agrees. Writes nothing and takes no lock.

use std::sync::Arc;

use msk_pipeline_core::plan::{Action, Plan, Verb};
use msk_pipeline_core::run::NoEvents;
use msk_pipeline_core::state::State;
use serde_json::json;

use super::run::Prepared;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::printer::{Printer, tame};
use crate::report::words::SIMULATED;
use crate::settings::Settings;

pub(super) async fn run(settings: &Arc<Settings>, printer: &Arc<Printer>) -> Result<Exit, Failure> {
    let again = settings.command("status");
    let interrupt = Interrupt::listen(printer, "status", again.clone());
    let prepared = interrupt.or(Prepared::new(settings, printer, "Looking at")).await?;
    let engine = prepared.engine(settings, Arc::new(NoEvents))?;
    let (state, plan) = interrupt
        .or(async {
            let failure = |e| Failure::run(&e, &again);
            let state = engine.state().await.map_err(failure)?;
            let plan = engine.plan(&prepared.graph, Verb::Apply, &[]).await.map_err(failure)?;
            Ok((state, plan))
        })
        .await?;
    let location = prepared.target.store.location();
    if printer.json {
        let resources: Vec<_> = plan
            .steps
            .iter()
            .map(|step| {
                json!({
                    "address": step.address,
                    "name": step.name,
                    "kind": step.kind,
                    "stage": step.stage,
                    "status": word(step.action),
                    "because": step.because,
                    "in_flight": step.in_flight,
                })
            })
            .collect();
        printer.data_json(&json!({
            "version": 1,
            "simulated": settings.local,
            "pipeline": plan.pipeline,
            "pin": plan.pin,
            "state": location,
            "serial": state.serial,
            "unfinished_run": state.run.as_ref().map(|r| json!({ "verb": r.verb, "started": r.started.to_string() })),
            "resources": resources,
            "refusals": plan.refusals,
        }));
        return Ok(Exit::Done);
    }
    show(settings, printer, &state, &plan, &location);
    Ok(Exit::Done)
}

fn word(action: Action) -> &'static str {
    match action {
        Action::NoOp | Action::Record => "as declared",
        Action::Create => "missing",
        Action::Update => "differs",
        Action::Delete => "not wanted",
        Action::Wait => "in flight",
    }
}

fn show(settings: &Settings, printer: &Printer, state: &State, plan: &Plan, location: &str) {
    let p = printer.out;
    let mark = if settings.local { format!("  {SIMULATED}") } else { String::new() };
    printer.data(p.bold(format!(
        "{} ({})",
        plan.pipeline,
        crate::report::plan::place(plan, settings.local)
    )));
    printer.data(format!("state    {location}, serial {}", state.serial));
    if let Some(run) = &state.run {
        let text = format!("unfinished {}, begun {}", run.verb, run.started);
        printer.data(p.yellow(format!("run      {text}{mark}")));
    }
    let widest = plan.steps.iter().map(|s| s.address.as_str().len()).max().unwrap_or(0);
    for step in &plan.steps {
        let status = word(step.action);
        let status = match step.action {
            Action::NoOp | Action::Record => p.green(format!("{status:12}")),
            _ => p.yellow(format!("{status:12}")),
        };
        printer.data(format!("  {status} {:widest$}  {}{mark}", step.address, tame(&step.name)));
        if let Some(because) = &step.because {
            printer.data(format!("               because {}", tame(because)));
        }
        if let Some(condition) = &step.in_flight {
            let (seen, what) = (tame(&condition.seen), tame(&condition.what));
            printer.data(format!("               {seen}, on its way to {what}{mark}"));
        }
    }
    for (address, object, pending) in state.pending() {
        let answer = if pending.is_open() { "no answer is known" } else { "it was accepted" };
        let name = tame(&object.name);
        printer.data(format!(
            "  in flight    {address}  {name}: {} sent {}, {answer}{mark}",
            pending.op, pending.begun
        ));
    }
    for refusal in &plan.refusals {
        printer.data(format!("  {} {}: {}", p.red("x"), refusal.address, tame(&refusal.because)));
    }
    let next = match (&state.run, plan.has_changes() || !plan.refusals.is_empty()) {
        (Some(run), _) => format!("Next: this continues: {}", settings.command(&run.verb)),
        (None, true) => format!("Next: every call with {}", settings.command("plan")),
        (None, false) => {
            format!("Nothing to do. Endpoints and ids: {}", settings.command("output"))
        }
    };
    printer.say(next);
}
