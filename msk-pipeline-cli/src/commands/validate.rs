//! `validate`: the file alone, without AWS.

use serde_json::json;

use crate::declaration::Declaration;
use crate::diagnostic::{Failure, problems_json, warn};
use crate::exit::Exit;
use crate::printer::Printer;
use crate::report::words::count;
use crate::settings::Settings;

pub(super) fn run(settings: &Settings, printer: &Printer) -> Result<Exit, Failure> {
    let declaration = Declaration::read(settings)?;
    let (expanded, graph) = declaration.expand_offline()?;
    if printer.json {
        printer.data_json(&json!({
            "version": 1,
            "valid": true,
            "pipeline": declaration.pipeline.header().name,
            "resources": graph.len(),
            "problems": problems_json(&expanded.problems, &declaration.source),
        }));
        return Ok(Exit::Done);
    }
    warn(&expanded.problems, &declaration.source, printer);
    let warnings = match expanded.problems.len() {
        0 => String::new(),
        n => format!(", {}", count(n, "warning")),
    };
    printer.say(format!(
        "{} is valid: {} declares {}{warnings}.",
        declaration.source.name,
        declaration.pipeline.header().name,
        count(graph.len(), "resource"),
    ));
    printer.say(format!("Next: {}", settings.command("plan")));
    Ok(Exit::Done)
}
