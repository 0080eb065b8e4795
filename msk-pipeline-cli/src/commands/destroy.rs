//! `destroy`: deletes everything that apply made, dependents first. On a terminal it asks for the pipeline's name.

use std::collections::BTreeSet;
use std::sync::Arc;

use msk_pipeline_core::Address;
use msk_pipeline_core::plan::Verb;
use msk_pipeline_core::run::{ApplyOptions, RunError};

use super::run::{Prepared, Purpose, Run, check_store};
use crate::args::DestroyArgs;
use crate::declaration::Declaration;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::prompt::{Gates, answer};
use crate::settings::{Settings, quoted};

pub(super) async fn run(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    args: &DestroyArgs,
) -> Result<Exit, Failure> {
    let declared = Declaration::read(settings)?.pipeline.header().state.clone();
    check_store(settings, declared.as_deref())?;
    let again = settings.command(&again(args));
    let interrupt = Interrupt::listen(printer, "destroy", again.clone());
    let prepared = interrupt.or(Prepared::new(settings, printer, Purpose::Destroy)).await?;
    let run = Run::new(settings, printer, &prepared, &interrupt, Verb::Destroy, again, false)?;
    let mut options = ApplyOptions {
        consent: args.allow_data_loss.iter().map(Address::new).collect(),
        // Data of the embedded AWS is worth nothing; on a real one only a name, typed or given, is consent (D9).
        consent_to_all: settings.local && args.auto_approve,
        stages: args.stages.clone(),
        lock_timeout: args.lock_timeout,
        ..ApplyOptions::default()
    };
    let mut approved = args.auto_approve;
    if printer.interactive && !options.consent_to_all {
        let plan = interrupt
            .or(async {
                let plan = run.engine.plan(&prepared.graph, Verb::Destroy, &args.stages).await;
                plan.map_err(|e| Failure::run(&e, &run.again))
            })
            .await?;
        let needs: BTreeSet<Address> = plan.needs_consent().into_keys().cloned().collect();
        let open = !needs.is_subset(&options.consent);
        if plan.has_changes() && plan.refusals.is_empty() && (open || !approved) {
            run.show(&plan);
            let name = &prepared.declaration.pipeline.header().name;
            let question = format!(
                "This deletes what is listed above. Type the pipeline's name, {}, to go on: ",
                printer.err.bold(name)
            );
            let typed = tokio::select! {
                biased;
                () = interrupt.requested() => return Err(Failure::run(&RunError::Interrupted, &run.again)),
                typed = answer(printer, question) => typed,
            };
            if typed.as_deref() != Some(name.as_str()) {
                printer.say("That is not its name: nothing was changed.");
                printer.say(format!("Next: {}", run.again));
                return Ok(Exit::Gate);
            }
            // What was shown and agreed to, and nothing else.
            options.consent.extend(needs);
            options.plan = Some(plan);
            approved = true;
        }
    }
    run.execute(options, &Gates::new(printer, approved, &[])).await
}

fn again(args: &DestroyArgs) -> String {
    let mut command = "destroy".to_owned();
    for stage in &args.stages {
        command += &format!(" --stage {}", quoted(stage));
    }
    if args.auto_approve {
        command += " --auto-approve";
    }
    for address in &args.allow_data_loss {
        command += &format!(" --allow-data-loss {}", quoted(address));
    }
    command
}
