//! `apply`: makes what is declared, or carries out a saved plan.

use std::path::Path;
use std::sync::Arc;

use msk_pipeline_core::plan::{Plan, Verb};
use msk_pipeline_core::run::ApplyOptions;

use super::run::{Prepared, Purpose, Run, check_stages, check_store};
use crate::args::{ApplyArgs, Consent};
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
    check_stages(&args.consent.approve, &prepared)?;
    let verb = saved.as_ref().map_or(Verb::Apply, |plan| plan.verb);
    let run = Run::new(settings, printer, &prepared, &interrupt, verb, again, args.fail_fast)?;
    let options = ApplyOptions {
        plan: saved,
        consent: args.consent.addresses(),
        lock_timeout: args.consent.lock_timeout,
        ..ApplyOptions::default()
    };
    let Consent { auto_approve, approve, .. } = &args.consent;
    run.execute(options, &Gates::new(printer, *auto_approve, approve)).await
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

fn again(args: &ApplyArgs) -> String {
    let file = args.planfile.as_ref();
    let file = file.map(|file| format!(" {}", quoted(&file.to_string_lossy())));
    let fast = if args.fail_fast { " --fail-fast" } else { "" };
    format!("apply{}{}{fast}", file.unwrap_or_default(), args.consent.flags())
}
