//! `connector recover`: a new generation of a connector's place and schema history, in the file and then in AWS.

use std::path::Path;
use std::sync::Arc;

use msk_pipeline_core::Address;
use toml_edit::{DocumentMut, Item, TableLike, Value, value};

use super::asked;
use crate::args::{ApplyArgs, Consent};
use crate::commands::apply;
use crate::declaration::Declaration;
use crate::diagnostic::{Failure, Text};
use crate::exit::Exit;
use crate::printer::Printer;
use crate::prompt::answer;
use crate::settings::Settings;
use crate::target;

pub(super) async fn run(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    connector: &str,
    consent: &Consent,
) -> Result<Exit, Failure> {
    let declaration = Declaration::read(settings)?;
    let (state, _) = target::recorded(settings, &declaration).await?;
    let of = asked(&state, Some(connector))?;
    let address = of[0].0.as_str();
    let section = address.strip_suffix(".connector").unwrap_or(address);
    let (text, generation) = raised(&declaration.source.text, section)
        .and_then(|(text, generation)| {
            counts(settings, &declaration, &text, section, generation)?;
            Ok((text, generation))
        })
        .map_err(|why| {
            let again = settings.command("apply");
            Failure::new(Exit::Invalid, why).help(format!("raise it by hand, then: {again}"))
        })?;
    let file = settings.file.display();
    printer.say(format!(
        "{section} gets generation {generation}: new topics for its place and its schema history. Every row that its tables have is read again, \
         as `r`; rows that were deleted while it didn't read are not told."
    ));
    if !consent.auto_approve {
        let question =
            format!("Write generation = {generation} into {file} and apply it? [y]es, [n]o: ");
        let yes = printer.interactive
            && matches!(answer(printer, question).await.as_deref(), Some("y" | "yes"));
        if !yes {
            return Err(Failure::new(Exit::Gate, "nothing was changed")
                .help("agree at a terminal, or with --auto-approve"));
        }
    }
    write(&settings.file, &text)?;
    let mut consent = consent.clone();
    consent.allow_data_loss.extend(lost(section));
    apply::run(settings, printer, &ApplyArgs { planfile: None, fail_fast: false, consent }).await
}

/// Whether the generation is what the file comes to: an environment in it, or a variable, may have the last word.
fn counts(
    settings: &Settings,
    declaration: &Declaration,
    text: &str,
    section: &str,
    generation: i64,
) -> Result<(), String> {
    let source = Text { text: text.to_owned(), ..declaration.source.clone() };
    let raised = Declaration::of(settings, source)
        .map_err(|_| format!("the file would be wrong with generation = {generation}"))?;
    let mut sections = raised.pipeline.sections().iter();
    let found = sections.find(|s| format!("{}.{}", s.component, s.name) == section);
    let counts = found.is_some_and(|found| found.value["generation"] == generation);
    if counts {
        Ok(())
    } else {
        Err(format!("the generation of [{section}] is set elsewhere, too"))
    }
}

/// What a new generation ends: the connector's place and its schema history.
fn lost(section: &str) -> Vec<String> {
    ["connector", "offsets-topic", "history-topic"]
        .map(|part| Address::new(format!("{section}.{part}")).to_string())
        .into()
}

/// The file with the section's generation raised, and which that is.
///
/// # Errors
/// Why it can't be raised here.
fn raised(text: &str, section: &str) -> Result<(String, i64), String> {
    let mut document: DocumentMut =
        text.parse().map_err(|error| format!("the file can't be edited: {error}"))?;
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for name in section.split('.') {
        let missing = || format!("the file has no table [{section}]");
        table = table.get_mut(name).and_then(Item::as_table_like_mut).ok_or_else(missing)?;
    }
    let generation = match table.get("generation") {
        None => 1,
        Some(item) => item
            .as_integer()
            .ok_or_else(|| format!("the generation of [{section}] is no number there"))?,
    };
    match table.get_mut("generation") {
        // What stands around it stays.
        Some(Item::Value(old)) => {
            let around = old.decor().clone();
            *old = Value::from(generation + 1);
            *old.decor_mut() = around;
        }
        _ => drop(table.insert("generation", value(generation + 1))),
    }
    Ok((document.to_string(), generation + 1))
}

/// Replaces the file as a whole.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let beside = file.with_extension("toml.new");
    let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, file));
    written.map_err(|error| {
        _ = std::fs::remove_file(&beside);
        Failure::new(Exit::Failed, format!("{} can't be written: {error}", file.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(&str, i64), &str>) {
        let found = raised(text, "connector.orders");
        let expected = expected.map(|(t, n)| (t.to_owned(), n)).map_err(str::to_owned);
        assert_eq!(found, expected);
    }

    #[test]
    fn the_generation_is_raised_and_nothing_else_changes() {
        check(
            "# mine\n[connector.orders]   # it\nsource = \"orders\"\n\n[kafka.main]\n",
            Ok((
                "# mine\n[connector.orders]   # it\nsource = \"orders\"\ngeneration = 2\n\n[kafka.main]\n",
                2,
            )),
        );
        check(
            "connector.orders.generation = 7 # so\n",
            Ok(("connector.orders.generation = 8 # so\n", 8)),
        );
        check("[connector.other]\n", Err("the file has no table [connector.orders]"));
        check(
            "[connector.orders]\ngeneration = \"${var.n}\"\n",
            Err("the generation of [connector.orders] is no number there"),
        );
    }
}
