//! `apply`: makes what is declared, or carries out a saved plan.

use std::path::Path;
use std::sync::Arc;

use msk_pipeline_core::Address;
use msk_pipeline_core::plan::{Plan, Verb};
use msk_pipeline_core::run::ApplyOptions;

use super::run::{Prepared, Purpose, Run, check_store};
use crate::args::ApplyArgs;
use crate::declaration::Declaration;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::prompt::Gates;
use crate::settings::{Settings, quoted};

pub(super) async fn run(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    args: &ApplyArgs,
) -> Result<Exit, Failure> {
    let saved = args.planfile.as_deref().map(read).transpose()?;
    let declared = Declaration::read(settings)?.pipeline.header().state.clone();
    check_store(settings, declared.as_deref())?;
    let again = settings.command(&again(args));
    let interrupt = Interrupt::listen(printer, "apply", again.clone());
    let prepared = interrupt.or(Prepared::new(settings, printer, Purpose::Apply)).await?;
    check_stages(&args.approve, &prepared)?;
    let verb = saved.as_ref().map_or(Verb::Apply, |plan| plan.verb);
    let run = Run::new(settings, printer, &prepared, &interrupt, verb, again)?;
    let options = ApplyOptions {
        plan: saved,
        consent: args.allow_data_loss.iter().map(Address::new).collect(),
        lock_timeout: args.lock_timeout,
        ..ApplyOptions::default()
    };
    run.execute(options, &Gates::new(printer, args.auto_approve, &args.approve)).await
}

/// A saved plan. Whether it still holds is for the engine to say.
fn read(file: &Path) -> Result<Plan, Failure> {
    let name = file.display();
    let text = std::fs::read(file)
        .map_err(|e| Failure::new(Exit::Invalid, format!("{name} can't be read: {e}")))?;
    serde_json::from_slice(&text).map_err(|error| {
        Failure::new(Exit::Invalid, format!("{name} is no saved plan: {error}"))
            .help("save one with `plan --out FILE`")
    })
}

/// A mistyped stage would leave its gate open and nobody would know why.
fn check_stages(approved: &[String], prepared: &Prepared) -> Result<(), Failure> {
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

fn again(args: &ApplyArgs) -> String {
    let mut command = "apply".to_owned();
    if let Some(file) = &args.planfile {
        command += &format!(" {}", quoted(&file.to_string_lossy()));
    }
    if args.auto_approve {
        command += " --auto-approve";
    }
    for stage in &args.approve {
        command += &format!(" --approve {}", quoted(stage));
    }
    for address in &args.allow_data_loss {
        command += &format!(" --allow-data-loss {}", quoted(address));
    }
    command
}
