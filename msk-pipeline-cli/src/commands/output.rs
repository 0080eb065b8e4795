//! `output`: ids, ARNs and endpoints of what is ready, from the recorded state.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::declaration::Declaration;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::report::words;
use crate::settings::Settings;
use crate::target;

pub(super) async fn run(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    name: Option<&str>,
) -> Result<Exit, Failure> {
    let declaration = Declaration::read(settings)?;
    let (state, _) = target::recorded(settings, &declaration).await?;
    let outputs: Map<String, Value> =
        state.outputs().into_iter().map(|(a, o)| (a.to_string(), o)).collect();
    let Some(name) = name else {
        if outputs.is_empty() {
            printer.say("Nothing is ready yet.");
            printer.say(format!("Next: {}", settings.command("apply")));
        }
        if printer.json {
            printer.data_json(&Value::Object(outputs));
        } else {
            for (address, output) in &outputs {
                print_all(printer, address, output);
            }
        }
        return Ok(Exit::Done);
    };
    let found = outputs.get(name).or_else(|| {
        let (address, output) = name.rsplit_once('.')?;
        outputs.get(address)?.get(output)
    });
    match found {
        None => Err(Failure::new(Exit::Invalid, format!("there is no output `{name}`"))
            .help(format!("list them with `{}`", settings.command("output")))),
        Some(value) if printer.json => {
            printer.data_json(value);
            Ok(Exit::Done)
        }
        Some(Value::String(text)) => {
            printer.data(text);
            Ok(Exit::Done)
        }
        Some(value @ Value::Object(_)) => {
            print_all(printer, name, value);
            Ok(Exit::Done)
        }
        Some(value) => {
            printer.data(value);
            Ok(Exit::Done)
        }
    }
}

fn print_all(printer: &Printer, address: &str, output: &Value) {
    for (key, value) in output.as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| words::value(value), str::to_owned);
        printer.data(format!("{address}.{key} = {text}"));
    }
}
