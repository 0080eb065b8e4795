//! `graph`: what waits for what.

use msk_pipeline_core::graph::Format;

use crate::args::GraphFormat;
use crate::declaration::Declaration;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::settings::Settings;

pub(super) fn run(
    settings: &Settings,
    printer: &Printer,
    format: GraphFormat,
) -> Result<Exit, Failure> {
    let (_, graph) = Declaration::read(settings)?.expand_offline()?;
    let format = match format {
        _ if printer.json => Format::Json,
        GraphFormat::Dot => Format::Dot,
        GraphFormat::Mermaid => Format::Mermaid,
        GraphFormat::Json => Format::Json,
    };
    printer.data(graph.render(format).trim_end());
    Ok(Exit::Done)
}
