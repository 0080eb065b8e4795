//! `plan`: every call that would be made, and what it does to data. Changes nothing, anywhere.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use msk_pipeline_core::plan::{Action, Plan, Verb};
use msk_pipeline_core::run::NoEvents;
use serde_json::json as document;

use super::run::{Prepared, Purpose};
use crate::args::PlanArgs;
use crate::diagnostic::{Failure, problems_json};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::report::json;
use crate::report::plan::View;
use crate::settings::{Settings, quoted};

pub(super) async fn run(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    args: &PlanArgs,
) -> Result<Exit, Failure> {
    let verb = if args.destroy { Verb::Destroy } else { Verb::Apply };
    let again = settings.command("plan");
    let interrupt = Interrupt::listen(printer, "plan", again.clone());
    let prepared = interrupt.or(Prepared::new(settings, printer, Purpose::Plan)).await?;
    let engine = prepared.engine(settings, Arc::new(NoEvents))?;
    let plan = interrupt
        .or(async {
            let plan = engine.plan(&prepared.graph, verb, &[]).await;
            plan.map_err(|e| Failure::run(&e, &again))
        })
        .await?;
    let cloud = settings.cloud;
    if let Some(file) = &args.out {
        save(&plan, file).map_err(|error| {
            Failure::new(Exit::Failed, format!("{} can't be written: {error}", file.display()))
        })?;
    }
    if printer.json {
        printer.data_json(&cloud.document(document!({
            "changes": plan.has_changes(),
            "plan": plan,
            "kept": json::kept(&plan),
            "unrecorded_parts": prepared.unrecorded,
            "needs_consent": plan.needs_consent(),
            "notices": prepared.expanded.notices,
            "problems": problems_json(&prepared.expanded.problems, &prepared.declaration.source),
        })));
    } else {
        let notices = if verb == Verb::Apply { prepared.expanded.notices.as_slice() } else { &[] };
        let view = View {
            paint: printer.out,
            width: printer.width(),
            verbose: printer.verbose,
            cloud,
            scale: prepared.target.scale,
            notices,
        };
        printer.data(view.plan(&plan));
        if verb == Verb::Apply && !prepared.unrecorded.is_empty() {
            let parts: Vec<&str> = prepared.unrecorded.iter().map(String::as_str).collect();
            printer.tell(&format!(
                "An apply would record in msk-pipeline.lock, by digest: {}",
                parts.join(", ")
            ));
        }
    }
    printer.say(next(settings, &plan, args));
    Ok(if !plan.refusals.is_empty() {
        Exit::Failed
    } else if args.detailed_exitcode && plan.has_changes() {
        Exit::Changes
    } else {
        Exit::Done
    })
}

fn next(settings: &Settings, plan: &Plan, args: &PlanArgs) -> String {
    let verb = plan.verb.as_str();
    if !plan.refusals.is_empty() {
        return "Next: follow the help above, then plan again.".into();
    }
    if !plan.has_changes() && plan.steps.iter().any(|step| step.action == Action::Record) {
        let command = settings.command(verb);
        return format!("Next: {command} notes that in the state, and changes nothing in AWS");
    }
    if !plan.has_changes() {
        return format!("Nothing to do. Endpoints and ids: {}", settings.command("output"));
    }
    let mut command = match &args.out {
        Some(file) => format!("apply {}", quoted(&file.to_string_lossy())),
        None => verb.to_owned(),
    };
    for address in plan.needs_consent().keys() {
        command += &format!(" --allow-data-loss {address}");
    }
    format!("Next: {}", settings.command(&command))
}

/// Writes a plan where only its owner reads it; the file has all of it or is not there.
fn save(plan: &Plan, file: &Path) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    // A file that somebody else made may have other permissions.
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(new)?;
    out.write_all(&serde_json::to_vec_pretty(plan)?)?;
    out.sync_all()?;
    fs::rename(new, file)
}
