//! `state list` and `state show`: what is recorded, without AWS.

use std::sync::Arc;

use serde_json::json;

use crate::args::StateCommand;
use crate::declaration::Declaration;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::printer::{Printer, tame};
use crate::report::words::SIMULATED;
use crate::settings::Settings;
use crate::target;

pub(super) async fn run(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    command: &StateCommand,
) -> Result<Exit, Failure> {
    let declaration = Declaration::read(settings)?;
    let (state, location) = target::recorded(settings, &declaration).await?;
    match command {
        StateCommand::List if printer.json => {
            let list: Vec<_> = state
                .records
                .iter()
                .map(|(address, record)| json!({ "address": address, "record": record }))
                .collect();
            printer.data_json(&json!({
                "version": 1,
                "simulated": settings.local,
                "state": location,
                "lineage": state.lineage,
                "serial": state.serial,
                "resources": list,
            }));
        }
        StateCommand::List => {
            let mark = if settings.local { format!("  {SIMULATED}") } else { String::new() };
            let widest = state.records.keys().map(|a| a.as_str().len()).max().unwrap_or(0);
            for (address, record) in &state.records {
                for (n, object) in record.current.iter().chain(&record.deposed).enumerate() {
                    let deposed = n > 0 || record.current.is_none();
                    let note = match (&object.pending, object.was_ready()) {
                        _ if deposed => "  replaced, to be deleted".into(),
                        (Some(pending), _) => format!("  in flight: {}", pending.op),
                        (None, false) => "  never ready".into(),
                        (None, true) => String::new(),
                    };
                    let (kind, name) = (&object.kind, tame(&object.name));
                    printer.data(format!("{address:widest$}  {kind}  {name}{note}{mark}"));
                }
            }
            if state.records.is_empty() {
                printer.say(format!("Nothing is recorded in {location}."));
            }
        }
        StateCommand::Show { address } => {
            let Some(record) = state.records.get(address.as_str()) else {
                let message = format!("nothing is recorded of `{address}`");
                return Err(Failure::new(Exit::Invalid, message)
                    .help(format!("list addresses with `{}`", settings.command("state list"))));
            };
            let value =
                json!({ "address": address, "simulated": settings.local, "record": record });
            if printer.json {
                printer.data_json(&value);
            } else {
                printer.data(serde_json::to_string_pretty(&value).unwrap_or_default());
            }
        }
    }
    Ok(Exit::Done)
}
