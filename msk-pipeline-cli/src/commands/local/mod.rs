//! `local`: the embedded AWS itself.

mod programs;
mod serve;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use msk_pipeline_core::dsl::Header;
use msk_pipeline_core::state::{FileStore, Holder, Lease, Loaded, StateStore as _};
use msk_pipeline_core::{Clock as _, RealClock};
use msk_pipeline_local::{LocalWorld, Row, Settings as Place};
use msk_pipeline_real::serving::{self, Stopped};
use serde_json::json;

use crate::args::LocalCommand;
use crate::declaration::Declaration;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::report::cloud::{Cloud, stays_simulated};
use crate::report::words::SIMULATED;
use crate::settings::Settings;
use crate::state_folder;
use crate::target;

/// The world that a command is about.
struct Here {
    place: Place,
    folder: PathBuf,
    /// For people.
    title: String,
}

pub(super) async fn run(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    command: &LocalCommand,
) -> Result<Exit, Failure> {
    // The file says which account and region; without one there is a usual world.
    let header = if settings.file.exists() {
        Declaration::read(settings)?.pipeline.header().clone()
    } else {
        Header { region: "us-east-1".into(), ..Header::default() }
    };
    let place = target::place(&header);
    let folder = state_folder::world(settings, &place.account, &place.region);
    let title = settings.cloud.place(&format!("account {}, {}", place.account, place.region));
    let here = Here { place, folder, title };
    match command {
        LocalCommand::Inventory => inventory(settings, printer, here).await,
        LocalCommand::Status => programs::status(settings, printer, here).await,
        LocalCommand::Stop => programs::stop(settings, printer, here).await,
        LocalCommand::Reset => reset(settings, printer, here).await,
        LocalCommand::Serve { port, time_scale, detached } => {
            serve::run(settings, printer, here, *port, *time_scale, *detached).await
        }
    }
}

async fn reset(settings: &Settings, printer: &Printer, here: Here) -> Result<Exit, Failure> {
    let Here { place, folder, title } = here;
    let mut leases = hold_states(settings, &place.account, &place.region).await?;
    let begun = LocalWorld::is_begun(&folder);
    let mut stopped = Stopped::default();
    if begun {
        if settings.cloud == Cloud::Real {
            stopped = programs::end(&folder).await?;
        }
        let local = LocalWorld::open(&folder, place).await.map_err(|e| Failure::local(&e))?;
        local.reset().map_err(|e| Failure::local(&e))?;
        remove(&serving::plane(&folder))?;
    }
    let mut forgotten = Vec::new();
    for (folder, name, lease) in &mut leases {
        remove(folder)?;
        // Its lock file is gone with the folder.
        let _ = lease.release().await;
        forgotten.push(name.clone());
    }
    if printer.json {
        let document = json!({ "reset": begun, "forgotten": forgotten, "ended": stopped });
        printer.data_json(&settings.cloud.document(document));
    } else {
        programs::tell(printer, &stopped);
    }
    let what = if begun { "is empty again" } else { "was not begun yet" };
    printer.say(format!("The {title} {what}."));
    if !forgotten.is_empty() {
        printer.say(format!("Forgot what had been made in it: {}.", forgotten.join(", ")));
    }
    printer.say(format!("Next: {}", local_command(settings, "apply")));
    Ok(Exit::Done)
}

/// Removes a folder; one that isn't there is fine.
fn remove(folder: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let message = format!("{} can't be removed: {error}", folder.display());
            Err(Failure::new(Exit::Failed, message))
        }
        _ => Ok(()),
    }
}

/// A command on the embedded AWS, whether or not `--local` was given to this one.
fn local_command(settings: &Settings, verb: &str) -> String {
    if settings.local {
        settings.command(verb)
    } else {
        settings.command(&format!("--local {verb}"))
    }
}

async fn inventory(settings: &Settings, printer: &Printer, here: Here) -> Result<Exit, Failure> {
    let Here { place, folder, title } = here;
    let rows = if LocalWorld::is_begun(&folder) {
        let local = LocalWorld::open(&folder, place).await.map_err(|e| Failure::local(&e))?;
        local.inventory().map_err(|e| Failure::local(&e))?
    } else {
        // Looking at it must not begin it.
        LocalWorld::fresh_inventory(&place)
    };
    let cloud = settings.cloud;
    let simulated = |row: &Row| cloud.is_simulated() || stays_simulated(row.service);
    if printer.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|r| json!({ "service": r.service, "kind": r.kind, "id": r.id, "state": r.state, "simulated": simulated(r) }))
            .collect();
        printer.data_json(&cloud.document(json!({ "inventory": rows })));
        return Ok(Exit::Done);
    }
    let width = |of: fn(&Row) -> String| rows.iter().map(|r| of(r).len()).max().unwrap_or(0);
    let (kinds, ids) = (width(|r| format!("{} {}", r.service, r.kind)), width(|r| r.id.clone()));
    for row in &rows {
        let kind = format!("{} {}", row.service, row.kind);
        let mark = if simulated(row) { format!("  {SIMULATED}") } else { String::new() };
        printer.data(format!("{kind:kinds$}  {:ids$}  {}{mark}", row.id, row.state));
    }
    if rows.is_empty() {
        printer.tell(&format!("Nothing but its network exists in the {title}."));
    }
    Ok(Exit::Done)
}

/// The states of all pipelines in a world, held so that no run is under way in it.
async fn hold_states(
    settings: &Settings,
    account: &str,
    region: &str,
) -> Result<Vec<(PathBuf, String, Box<dyn Lease>)>, Failure> {
    let mut held = Vec::new();
    let folders = std::fs::read_dir(settings.dot_folder());
    for entry in folders.into_iter().flatten().flatten() {
        let folder = entry.path().join("local");
        if !folder.is_dir() {
            continue;
        }
        let store = FileStore::new(&folder);
        let state = store.load().await.and_then(Loaded::fold).map_err(|e| Failure::store(&e))?;
        if state.pin.account != account || state.pin.region != region {
            continue;
        }
        let holder = Holder {
            who: target::who(settings),
            why: "local reset".into(),
            since: RealClock::system().wall(),
        };
        let lease = store.lease(holder).await.map_err(|e| Failure::store(&e))?;
        held.push((folder, state.pipeline, lease));
    }
    Ok(held)
}
