//! `schema`: the JSON Schema of the file.

use crate::exit::Exit;
use crate::printer::Printer;
use crate::provider;

pub(super) fn run(printer: &Printer) -> Exit {
    let schema = provider::components().json_schema();
    printer.data(serde_json::to_string_pretty(&schema).unwrap_or_default());
    Exit::Done
}
