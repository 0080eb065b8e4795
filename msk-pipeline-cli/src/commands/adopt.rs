//! `adopt`: takes over an object that is not ours, as the resource that the file declares under its name.

use std::sync::Arc;

use msk_pipeline_core::Address;
use msk_pipeline_core::plan::{Adopt, Verb};
use msk_pipeline_core::run::ApplyOptions;

use super::run::{Prepared, Purpose, Run, check_stages, check_store};
use crate::args::{AdoptArgs, Consent};
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
    args: &AdoptArgs,
) -> Result<Exit, Failure> {
    let declared = Declaration::read(settings)?.pipeline.header().state.clone();
    check_store(settings, declared.as_deref())?;
    let again = settings.command(&again(args));
    let interrupt = Interrupt::listen(printer, "adopt", again.clone());
    let prepared = interrupt.or(Prepared::new(settings, printer, Purpose::Adopt)).await?;
    check_stages(&args.consent.approve, &prepared)?;
    if prepared.graph.get(&args.address).is_none() {
        let message = format!("nothing is declared as `{}`", args.address);
        return Err(Failure::new(Exit::Invalid, message)
            .help(format!("list addresses with `{}`", settings.command("graph"))));
    }
    let run = Run::new(settings, printer, &prepared, &interrupt, Verb::Apply, again, false)?;
    let options = ApplyOptions {
        adopt: Some(Adopt {
            address: Address::new(&args.address),
            id: args.id.clone(),
            from_lineage: args.from_lineage.clone(),
        }),
        consent: args.consent.addresses(),
        lock_timeout: args.consent.lock_timeout,
        ..ApplyOptions::default()
    };
    let Consent { auto_approve, approve, .. } = &args.consent;
    run.execute(options, &Gates::new(printer, *auto_approve, approve)).await
}

fn again(args: &AdoptArgs) -> String {
    let mut command = format!("adopt {}", quoted(&args.address));
    if let Some(id) = &args.id {
        command += &format!(" {}", quoted(id));
    }
    if let Some(lineage) = &args.from_lineage {
        command += &format!(" --from-lineage {}", quoted(lineage));
    }
    command + &args.consent.flags()
}
