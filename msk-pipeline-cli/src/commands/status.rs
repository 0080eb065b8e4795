//! `status`: the state of every recorded object in AWS's words, what is in flight, where others changed something, and where the file
//! asks for something else by now. Writes nothing and takes no lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use msk_pipeline_core::Address;
use msk_pipeline_core::kind::Change;
use msk_pipeline_core::plan::{Action, Found, Looked, Step, Verb, look};
use msk_pipeline_core::run::NoEvents;
use msk_pipeline_core::state::State;
use serde_json::{Value, json};

use super::run::{Prepared, Purpose};
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::printer::{Paint, Printer, tame, wrap};
use crate::report::plan::place;
use crate::report::words::value;
use crate::settings::Settings;

pub(super) async fn run(settings: &Arc<Settings>, printer: &Arc<Printer>) -> Result<Exit, Failure> {
    let again = settings.command("status");
    let interrupt = Interrupt::listen(printer, "status", again.clone());
    let prepared = interrupt.or(Prepared::new(settings, printer, Purpose::Status)).await?;
    let engine = prepared.engine(settings, Arc::new(NoEvents))?;
    let (state, looked, plan) = interrupt
        .or(async {
            let failure = |e| Failure::run(&e, &again);
            let state = engine.state().await.map_err(failure)?;
            let looked = look(&engine.registry, engine.clock.as_ref(), &state).await;
            let plan = engine.plan(&prepared.graph, Verb::Apply, &[]).await.map_err(failure);
            Ok((state, looked, plan))
        })
        .await?;
    // What can't be compared with the file has a state all the same.
    let (plan, failure) = match plan {
        Ok(plan) => (Some(plan), None),
        Err(failure) => (None, Some(failure)),
    };
    let steps = plan.as_ref().map_or(&[][..], |plan| &plan.steps);
    let refusals = plan.as_ref().map_or(&[][..], |plan| &plan.refusals);
    let (location, pin) = (prepared.target.store.location(), &prepared.target.pin);
    let pipeline = &prepared.declaration.pipeline.header().name;
    let rows = rows(&looked, steps);
    if printer.json {
        printer.data_json(&settings.cloud.document(json!({
            "pipeline": pipeline,
            "pin": pin,
            "state": location,
            "serial": state.serial,
            "unfinished_run": state.run.as_ref().map(|r| json!({ "verb": r.verb, "started": r.started.to_string() })),
            "resources": rows.iter().map(Row::json).collect::<Vec<_>>(),
            "refusals": refusals,
            "problems": failure.as_ref().map_or_else(|| json!([]), Failure::to_json),
        })));
        return Ok(failure.map_or(Exit::Done, |failure| failure.exit));
    }
    let title = format!("{pipeline} ({})", place(pin, settings.cloud));
    show(settings, printer, &state, &title, &rows, &location);
    let p = printer.out;
    for refusal in refusals {
        printer.data(format!("  {} {}: {}", p.red("x"), refusal.address, tame(&refusal.because)));
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    let open = !refusals.is_empty() || steps.iter().any(Step::changes);
    printer.say(match (&state.run, open) {
        (Some(run), _) => format!("Next: this continues: {}", settings.command(&run.verb)),
        (None, true) => format!("Next: every call with {}", settings.command("plan")),
        (None, false) => {
            format!("Nothing to do. Endpoints and ids: {}", settings.command("output"))
        }
    });
    Ok(Exit::Done)
}

/// One object, or one that is declared and not there yet.
struct Row<'a> {
    address: &'a Address,
    name: &'a str,
    kind: &'a str,
    stage: &'a str,
    looked: Option<&'a Looked>,
    /// What an apply would do to it.
    step: Option<&'a Step>,
}

/// Recorded objects in the order of the plan, then those that it does not name; an object that is only declared has a row, too.
fn rows<'a>(looked: &'a [Looked], steps: &'a [Step]) -> Vec<Row<'a>> {
    let mut left: BTreeMap<(&Address, u64), &Looked> =
        looked.iter().map(|l| ((&l.address, l.generation), l)).collect();
    let mut rows: Vec<Row<'a>> = steps
        .iter()
        .map(|step| Row {
            address: &step.address,
            name: &step.name,
            kind: &step.kind,
            stage: &step.stage,
            looked: left.remove(&(&step.address, step.generation)),
            step: Some(step),
        })
        .collect();
    rows.extend(left.into_values().map(|looked| Row {
        address: &looked.address,
        name: &looked.name,
        kind: &looked.kind,
        stage: &looked.stage,
        looked: Some(looked),
        step: None,
    }));
    rows
}

impl Row<'_> {
    /// AWS's word for its state.
    fn word(&self) -> &str {
        match self.looked.map(|l| &l.found) {
            Some(Found::Object(status)) => &status.word,
            Some(Found::Foreign { .. }) => "foreign",
            Some(Found::Unknown { .. }) => "unknown",
            Some(Found::Missing) => "missing",
            None => "-",
        }
    }

    /// Since when, if AWS tells.
    fn since(&self) -> Option<String> {
        match &self.looked?.found {
            Found::Object(status) => status.since.map(|at| at.to_string()),
            _ => None,
        }
    }

    /// What goes on or went wrong, in AWS's words.
    fn says(&self) -> Option<String> {
        match &self.looked?.found {
            Found::Object(status) => status.says.clone(),
            Found::Foreign { whose } => Some(whose.clone()),
            Found::Unknown { error } => Some(error.to_string()),
            Found::Missing => None,
        }
    }

    fn drift(&self) -> &[Change] {
        self.looked.map_or(&[], |l| &l.drift)
    }

    /// How it stands to the file.
    fn declared(&self) -> &'static str {
        match self.step.map(|s| s.action) {
            Some(Action::NoOp | Action::Record) => "as declared",
            Some(Action::Create) => "to be created",
            Some(Action::Update) => "to be changed",
            Some(Action::Delete) => "to be deleted",
            Some(Action::Wait) => "in flight",
            None => "not planned",
        }
    }

    fn json(&self) -> Value {
        json!({
            "address": self.address,
            "name": self.name,
            "kind": self.kind,
            "stage": self.stage,
            "status": self.word(),
            "since": self.since(),
            "says": self.says(),
            "drift": self.drift(),
            "trouble": self.looked.and_then(|l| l.trouble.as_ref()),
            "in_flight": self.looked.and_then(|l| l.in_flight.as_ref()),
            "deposed": self.looked.is_some_and(|l| l.deposed),
            "declared": self.declared(),
            "because": self.step.and_then(|s| s.because.as_ref()),
        })
    }

    /// What is told below its line.
    fn details(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.says().into_iter().collect();
        if let Some(looked) = self.looked {
            if looked.deposed {
                lines.push("replaced; to be deleted".into());
            }
            // What AWS says is not told twice.
            let told = |cause: &&String| !lines.iter().any(|line| cause.contains(line.as_str()));
            lines.extend(looked.trouble.iter().filter(told).cloned().collect::<Vec<_>>());
            let on_its_way = looked.in_flight.iter();
            lines.extend(on_its_way.map(|c| format!("{}, on its way to {}", c.seen, c.what)));
            lines.extend(looked.drift.iter().map(|change| {
                let shown = |v: &Option<Value>| v.as_ref().map_or("(not set)".into(), value);
                let (is, was) = (shown(&change.from), shown(&change.to));
                format!("DRIFT {}: {is} here, {was} was recorded", change.field)
            }));
        }
        let Some(step) = self.step else { return lines };
        let drifted = self.drift().iter().map(|c| &c.field).collect::<Vec<_>>();
        let asks = step.calls.iter().flat_map(|c| &c.fields).any(|f| !drifted.contains(&&f.field));
        match step.action {
            Action::NoOp | Action::Record | Action::Wait => {}
            Action::Create if self.looked.is_none() => lines.push("not created yet".into()),
            Action::Update if !asks && !drifted.is_empty() => {
                lines.push("an apply takes that back".into());
            }
            _ => {
                let ops: Vec<_> = step.calls.iter().map(|c| c.op.as_str()).collect();
                lines.push(format!("{} by the next apply: {}", self.declared(), ops.join(", ")));
            }
        }
        lines
    }

    fn painted(&self, p: Paint) -> String {
        let word = format!("{:12}", tame(self.word()));
        let bad = self
            .looked
            .is_some_and(|l| l.trouble.is_some() || !matches!(l.found, Found::Object(_)));
        let settled = self.looked.is_some_and(|l| l.drift.is_empty() && l.in_flight.is_none());
        match (bad, settled) {
            (true, _) => p.red(word),
            (false, true) => p.green(word),
            (false, false) => p.yellow(word),
        }
    }
}

fn show(
    settings: &Settings,
    printer: &Printer,
    state: &State,
    title: &str,
    rows: &[Row<'_>],
    location: &str,
) {
    let p = printer.out;
    let mark = settings.cloud.mark("  ");
    printer.data(p.bold(title));
    printer.data(format!("state    {location}, serial {}", state.serial));
    if let Some(run) = &state.run {
        let text = format!("unfinished {}, begun {}", run.verb, run.started);
        printer.data(p.yellow(format!("run      {text}{mark}")));
    }
    let widest = rows.iter().map(|r| r.address.as_str().len()).max().unwrap_or(0);
    for row in rows {
        let since = row.since().map(|at| format!("  since {at}")).unwrap_or_default();
        let (word, name) = (row.painted(p), tame(row.name));
        printer.data(format!("  {word} {:widest$}  {name}{since}{mark}", row.address));
        for line in row.details() {
            let text = format!("{}{}{mark}", " ".repeat(15), tame(&line));
            printer.data(wrap(&text, printer.width(), 17));
        }
    }
    for (address, object, pending) in state.pending() {
        let answer = if pending.is_open() { "no answer is known" } else { "it was accepted" };
        let name = tame(&object.name);
        printer.data(format!(
            "  in flight    {address}  {name}: {} sent {}, {answer}{mark}",
            pending.op, pending.begun
        ));
    }
}

#[cfg(test)]
mod tests {
    use msk_pipeline_core::kind::{CallError, Class, Status};

    use super::*;

    fn looked(address: &str, found: Found) -> Looked {
        Looked {
            address: address.into(),
            generation: 1,
            deposed: false,
            kind: "toy".into(),
            stage: "kafka".into(),
            name: "orders-main".into(),
            found,
            drift: Vec::new(),
            in_flight: None,
            trouble: None,
        }
    }

    #[test]
    fn every_object_has_its_word_also_where_there_is_no_plan() {
        let cause = "the connector is FAILED: Unknown; the workers' log says: x; caused by: y";
        let status =
            Status::new("FAILED").says(Some("Unknown; the workers' log says: x; caused by: y"));
        let denied = CallError::new(Class::Denied, "kafka:ListClusters", "not allowed");
        let all = [
            Looked { trouble: Some(cause.into()), ..looked("c", Found::Object(status)) },
            looked("gone", Found::Missing),
            looked("denied", Found::Unknown { error: denied }),
            looked("theirs", Found::Foreign { whose: "of another state".into() }),
            Looked {
                drift: vec![Change::new("backup", Some(3), Some(7))],
                ..looked("drifted", Found::Object(Status::new("available")))
            },
        ];
        let rows = rows(&all, &[]);
        let told: Vec<_> = rows
            .iter()
            .map(|row| format!("{} {}: {}", row.address, row.word(), row.details().join(" | ")))
            .collect();
        assert_eq!(
            told,
            [
                "c FAILED: Unknown; the workers' log says: x; caused by: y",
                "denied unknown: kafka:ListClusters: not allowed",
                "drifted available: DRIFT backup: 3 here, 7 was recorded",
                "gone missing: ",
                "theirs foreign: of another state",
            ]
        );
    }
}
