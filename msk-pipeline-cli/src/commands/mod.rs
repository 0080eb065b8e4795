//! One file a verb: it gets settings and a printer, calls the library, and returns how it ended.

mod adopt;
mod apply;
mod completions;
mod connector;
mod destroy;
mod explain;
mod graph;
mod init;
mod local;
mod output;
mod plan;
mod rebuild;
mod run;
mod schema;
mod state;
mod status;
mod validate;
mod verify;

use std::sync::Arc;

use crate::args::Command;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::settings::Settings;

/// Carries a command out.
pub(crate) async fn run(
    command: &Command,
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
) -> Result<Exit, Failure> {
    match command {
        Command::Init => init::run(settings, printer),
        Command::Validate => validate::run(settings, printer),
        Command::Schema => Ok(schema::run(printer)),
        Command::Graph { format } => graph::run(settings, printer, *format),
        Command::Plan(args) => plan::run(settings, printer, args).await,
        Command::Apply(args) => apply::run(settings, printer, args).await,
        Command::Destroy(args) => destroy::run(settings, printer, args).await,
        Command::Adopt(args) => adopt::run(settings, printer, args).await,
        Command::Status(args) if args.check => verify::check(settings, printer, &args.sight).await,
        Command::Status(_) => status::run(settings, printer).await,
        Command::Verify(args) => verify::run(settings, printer, args).await,
        Command::Connector { command } => connector::run(settings, printer, command).await,
        Command::Explain { address } => explain::run(settings, printer, address.as_deref()).await,
        Command::Output { name } => output::run(settings, printer, name.as_deref()).await,
        Command::State { command } => state::run(settings, printer, command).await,
        Command::Completions { shell } => Ok(completions::run(printer, *shell)),
        Command::Local { command } => local::run(settings, printer, command).await,
    }
}
