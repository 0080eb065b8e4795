//! `connector snapshot`: the rows that tables have, asked for once more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use msk_pipeline_aws::evidence::FollowLog;
use msk_pipeline_aws::signal::{Ended, Reading, SignalError, ask};
use serde_json::json;

use super::{AGAIN, ends_of, open_look};
use crate::args::Sight;
use crate::behind::Site;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::target::random;

/// A connector that lives begins with a signal within seconds.
const SILENCE: Duration = Duration::from_mins(1);

pub(super) async fn run(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    connector: &str,
    tables: &[String],
    sight: &Sight,
) -> Result<Exit, Failure> {
    let again = settings.command(&format!("connector snapshot {connector}"));
    let interrupt = Interrupt::listen(printer, "snapshot", again);
    let site = interrupt.or(Site::open(settings)).await?;
    let ends = interrupt.or(ends_of(&site, connector)).await?;
    let look = open_look(&site, settings, &ends.arn, sight)?;
    let session = &site.target.session;
    let from = i64::try_from(site.target.clock.wall().0).unwrap_or(i64::MAX);
    let id = id()?;
    let asked = async {
        let asked = ask(session, &ends, &id, tables, &look.reach).await;
        asked.map_err(|error| failed(&error))
    };
    let tables = interrupt.or(asked).await?;
    printer.say(format!(
        "Asked {} for the rows of {} (signal {id}).",
        ends.name,
        tables.join(", ")
    ));
    let Some(group) = &ends.log_group else {
        printer.say(
            "It delivers no log to CloudWatch: how its tables end is seen in their topics only.",
        );
        return Ok(Exit::Done);
    };
    let mut log = FollowLog::new(session, group.as_str(), from);
    let mut reading = Reading::of(&tables);
    let mut told = BTreeMap::new();
    let (mut begun, mut warned) = (tokio::time::Instant::now(), false);
    while reading.left().next().is_some() {
        let wait = tokio::time::sleep(AGAIN);
        tokio::select! {
            biased;
            () = interrupt.requested() => {
                let left: Vec<_> = reading.left().collect();
                return Err(Failure::interrupted("the snapshot goes on without the program")
                    .help(format!("not ended yet: {}", left.join(", "))));
            }
            () = wait => {}
        }
        let lines = log.more().await;
        let lines = lines.map_err(|e| Failure::call("the workers' log can't be read", &e))?;
        for (_, line) in lines {
            let Some((table, ended)) = reading.take(&line.text) else { continue };
            printer.say(format!("  {table}: {}", words(&ended)));
            told.insert(table, ended);
            begun = tokio::time::Instant::now();
        }
        if !warned && begun.elapsed() > SILENCE {
            let alive = settings.command("status --check");
            printer.say(format!(
                "No table has ended yet. Large ones take long; whether it lives: {alive}"
            ));
            warned = true;
        }
    }
    let skipped = told.values().any(|ended| matches!(ended, Ended::Skipped(_)));
    if printer.json {
        let tables: BTreeMap<_, _> = told.iter().map(|(t, ended)| (t, words(ended))).collect();
        let document = json!({ "connector": ends.name, "signal": id, "tables": tables });
        printer.data_json(&settings.cloud.document(document));
    }
    Ok(if skipped { Exit::Failed } else { Exit::Done })
}

fn words(ended: &Ended) -> String {
    match ended {
        Ended::Read => "read".into(),
        Ended::Empty => "it has no row".into(),
        Ended::Skipped(why) => format!("NOT READ: {why}"),
    }
}

/// A signal's name; the table takes 42 characters.
fn id() -> Result<String, Failure> {
    let hex: String = random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("mskp-{hex}"))
}

fn failed(error: &SignalError) -> Failure {
    let exit = match error {
        SignalError::NotCaptured { .. } | SignalError::NoTable(_) => Exit::Invalid,
        _ => Exit::Failed,
    };
    Failure::new(exit, error.to_string())
}
