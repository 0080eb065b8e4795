//! `state rebuild`: makes a lost state again from the marks on the objects that the file names.

use std::sync::Arc;

use msk_pipeline_core::plan::{Claim, Rebuilt, Traced};
use msk_pipeline_core::run::NoEvents;
use serde_json::json;

use super::run::{Prepared, Purpose, check_store};
use super::state::edit_on;
use crate::args::RebuildArgs;
use crate::declaration::Declaration;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::printer::{Printer, tame};
use crate::prompt::answer;
use crate::report::words::count;
use crate::settings::Settings;

pub(super) async fn run(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    args: &RebuildArgs,
) -> Result<Exit, Failure> {
    let declared = Declaration::read(settings)?.pipeline.header().state.clone();
    check_store(settings, declared.as_deref())?;
    let again = settings.command("state rebuild");
    let interrupt = Interrupt::listen(printer, "state rebuild", again.clone());
    let prepared = interrupt.or(Prepared::new(settings, printer, Purpose::Rebuild)).await?;
    let engine = prepared.engine(settings, Arc::new(NoEvents))?;
    let rebuilt = interrupt
        .or(async {
            let failure = |error| Failure::run(&error, &again);
            let state = engine.state().await.map_err(failure)?;
            if !state.records.is_empty() {
                let there = count(state.records.len(), "resource");
                let message = format!("{there} recorded already, in {}", engine.store.location());
                return Err(Failure::new(Exit::Invalid, message)
                    .help(format!("see them with `{}`", settings.command("state list"))));
            }
            engine.rebuild(&prepared.graph).await.map_err(failure)
        })
        .await?;
    if !printer.json {
        show(settings, printer, &rebuilt.traced);
    }
    check_lineage(&rebuilt)?;
    if !args.auto_approve && !agreed(printer, &rebuilt, &interrupt).await? {
        tell(settings, printer, &engine.store.location(), &rebuilt, Exit::Gate);
        printer.say("Nothing was recorded.");
        printer.say(format!("Next: {again} --auto-approve"));
        return Ok(Exit::Gate);
    }
    let state = rebuilt.state.clone();
    edit_on(settings, &prepared.target, "state rebuild", |here, _| {
        *here = here.restored_from(state)?;
        Ok(String::new())
    })
    .await?;
    tell(settings, printer, &engine.store.location(), &rebuilt, Exit::Done);
    let recorded = count(rebuilt.state.records.len(), "resource");
    printer.say(format!("Recorded: {recorded}, lineage {}.", tame(&rebuilt.state.lineage)));
    printer.say(format!("Next: see what differs with {}", settings.command("plan")));
    Ok(Exit::Done)
}

/// State has one lineage: none is made of what carries several, or none.
fn check_lineage(rebuilt: &Rebuilt) -> Result<(), Failure> {
    let lineages: Vec<_> = rebuilt.lineages.iter().map(|l| tame(l)).collect();
    match lineages.len() {
        1 => Ok(()),
        0 => Err(Failure::new(Exit::Failed, "no object carries a mark of this pipeline")
            .help("what exists without one is taken over with `adopt ADDRESS`")),
        n => {
            let message = format!("the objects carry marks of {n} states: {}", lineages.join(", "));
            Err(Failure::new(Exit::Failed, message).help(
                "find a copy of one of them (`state push`), or take the others' objects over with `adopt ADDRESS --from-lineage LINEAGE` from a state of your own",
            ))
        }
    }
}

async fn agreed(
    printer: &Printer,
    rebuilt: &Rebuilt,
    interrupt: &Interrupt,
) -> Result<bool, Failure> {
    if !printer.interactive || printer.json {
        return Ok(false);
    }
    let recorded = count(rebuilt.state.records.len(), "resource");
    let question = format!("Record {recorded} as this pipeline's? [y]es, [n]o: ");
    let said = interrupt.or(async { Ok(answer(printer, question).await) }).await?;
    Ok(matches!(said.as_deref(), Some("y" | "yes")))
}

fn show(settings: &Settings, printer: &Printer, traced: &[Traced]) {
    let mark = settings.cloud.mark("  ");
    let widest = traced.iter().map(|t| t.address.as_str().len()).max().unwrap_or(0);
    for Traced { address, kind, name, claim } in traced {
        let differs = |as_declared: &bool| if *as_declared { "" } else { ", not as declared" };
        let found = match claim {
            Claim::Ours { as_declared, .. } => format!("ours{}", differs(as_declared)),
            Claim::Part { as_declared } => {
                format!("part of ours, or only read{}", differs(as_declared))
            }
            Claim::Foreign { whose } => format!("foreign: {}", tame(whose)),
            Claim::Missing => "missing".into(),
            Claim::Unknown { needs } => format!("unknown: needs {needs}, which is not as declared"),
        };
        printer.data(format!("{address:widest$}  {kind}  {}  {found}{mark}", tame(name)));
    }
}

fn tell(settings: &Settings, printer: &Printer, location: &str, rebuilt: &Rebuilt, exit: Exit) {
    if printer.json {
        printer.data_json(&settings.cloud.document(json!({
            "state": location,
            "lineage": rebuilt.state.lineage,
            "found": rebuilt.traced,
            "recorded": exit == Exit::Done,
        })));
    }
}
