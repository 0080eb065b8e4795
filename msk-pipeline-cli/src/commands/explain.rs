//! `explain`: why a connector fails, out of what AWS reports, its workers' log and its configuration. Changes nothing.

use std::sync::Arc;

use msk_pipeline_aws::evidence::{Told, evidence};
use msk_pipeline_core::state::Loaded;
use msk_pipeline_verify::cause::diagnose;
use serde_json::{Value, json};

use super::connector::asked;
use crate::declaration::Declaration;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::printer::{Printer, tame};
use crate::settings::Settings;
use crate::target::Target;

pub(super) async fn run(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    address: Option<&str>,
) -> Result<Exit, Failure> {
    let declaration = Declaration::read(settings)?;
    let target = Target::open(settings, declaration.pipeline.header(), true).await?;
    let state = target.store.load().await.and_then(Loaded::fold).map_err(|e| Failure::store(&e))?;
    let asked = asked(&state, address)?;
    if asked.is_empty() && !printer.json {
        printer.say("No connector is recorded.");
    }
    let (mut wrong, mut all) = (false, Vec::new());
    for (address, name) in asked {
        let told = evidence(&target.session, name)
            .await
            .map_err(|error| Failure::call(&format!("{address} can't be looked at"), &error))?;
        let Some(Told { state, evidence }) = told else {
            wrong = true;
            all.push(json!({ "address": address, "exists": false }));
            if !printer.json {
                printer.data(format!("{address}: {name} does not exist"));
            }
            continue;
        };
        let diagnosis = diagnose(&evidence);
        wrong |= diagnosis.wrong;
        if printer.json {
            all.push(json!({ "address": address, "exists": true, "state": state, "diagnosis": diagnosis }));
            continue;
        }
        let mark = settings.cloud.mark(" ");
        printer.data(format!("{address} is {state}{mark}"));
        for line in diagnosis.to_string().lines() {
            printer.data(tame(line));
        }
        if state == "RUNNING" && !diagnosis.wrong {
            printer.data("  MSK Connect tells nothing of tasks; that rows arrive is the proof");
        }
        if evidence.lines.is_empty() && diagnosis.wrong {
            printer.data("  no log     nothing is in its log group, or it has none");
        }
    }
    if printer.json {
        let document = json!({ "connectors": Value::Array(all) });
        printer.data_json(&settings.cloud.document(document));
    }
    Ok(if wrong { Exit::Failed } else { Exit::Done })
}
