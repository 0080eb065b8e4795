//! `local`: the embedded AWS itself.

use std::path::PathBuf;
use std::sync::Arc;

use msk_pipeline_core::dsl::Header;
use msk_pipeline_core::state::{FileStore, Holder, Lease, Loaded, StateStore as _};
use msk_pipeline_core::{Clock as _, RealClock};
use msk_pipeline_local::{LocalWorld, Row, Settings as Place};
use msk_pipeline_plugin::{Sources, Store};
use msk_pipeline_real::{Options, RealPlane, Toolbox};
use serde_json::json;

use crate::args::LocalCommand;
use crate::declaration::Declaration;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::printer::{Printer, tame};
use crate::report::words::SIMULATED;
use crate::settings::Settings;
use crate::state_folder;
use crate::target;

/// How fast the time of a world goes whose programs are real: what AWS takes half an hour for has some minutes then.
const REAL_SCALE: f64 = 10.0;

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
    let title = format!("embedded AWS, account {}, {}, {SIMULATED}", place.account, place.region);
    let begun = LocalWorld::is_begun(&folder);
    match command {
        LocalCommand::Inventory => {
            let rows = if begun {
                let local =
                    LocalWorld::open(&folder, place).await.map_err(|e| Failure::local(&e))?;
                local.inventory().map_err(|e| Failure::local(&e))?
            } else {
                // Looking at it must not begin it.
                LocalWorld::fresh_inventory(&place)
            };
            inventory(printer, &title, &rows);
        }
        LocalCommand::Reset => {
            let mut leases = hold_states(settings, &place.account, &place.region).await?;
            if begun {
                let local =
                    LocalWorld::open(&folder, place).await.map_err(|e| Failure::local(&e))?;
                local.reset().map_err(|e| Failure::local(&e))?;
            }
            let mut forgotten = Vec::new();
            for (folder, name, lease) in &mut leases {
                std::fs::remove_dir_all(&*folder).map_err(|error| {
                    let message = format!("{} can't be removed: {error}", folder.display());
                    Failure::new(Exit::Failed, message)
                })?;
                // Its lock file is gone with the folder.
                let _ = lease.release().await;
                forgotten.push(name.clone());
            }
            if printer.json {
                printer.data_json(&json!({ "version": 1, "simulated": true, "reset": begun, "forgotten": forgotten }));
            }
            let what = if begun { "is empty again" } else { "was not begun yet" };
            printer.say(format!("The {title} {what}."));
            if !forgotten.is_empty() {
                printer.say(format!("Forgot what had been made in it: {}.", forgotten.join(", ")));
            }
            printer.say(format!("Next: {}", local_command(settings, "apply")));
        }
        LocalCommand::Serve { port, real, time_scale } => {
            let region = place.region.clone();
            let place = Place { real: *real, ..place };
            let local = LocalWorld::open(&folder, place).await.map_err(|e| Failure::local(&e))?;
            let usual = (*real).then_some(REAL_SCALE);
            if let Some(scale) = time_scale.or(usual) {
                local.rescale(scale).map_err(|e| Failure::local(&e))?;
            }
            let scale = local.scale().map_err(|e| Failure::local(&e))?;
            let server = local.serve(*port).await.map_err(|e| Failure::local(&e))?;
            let url = server.url();
            let plane = if local.is_real() {
                Some(start_plane(settings, printer, &local, folder.join("plane")).await?)
            } else {
                None
            };
            let interrupt = Interrupt::listen(printer, "local", settings.local_command("serve"));
            if printer.json {
                printer.data_json(&json!({ "version": 1, "simulated": true, "endpoint": url, "time_scale": scale }));
            } else {
                printer.data(&url);
            }
            printer.say(format!("The {title}, at {scale} times real time."));
            printer.say(format!(
                "Next: AWS_ENDPOINT_URL={url} AWS_REGION={region} AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws sts get-caller-identity"
            ));
            printer.say("Ctrl-C ends it; the world stays.");
            interrupt.requested().await;
            if let Some(plane) = plane {
                printer.say("Ending its programs; their data stay.");
                let _ = tokio::task::spawn_blocking(|| plane.stop()).await;
            }
            server.stop().await;
        }
    }
    Ok(Exit::Done)
}

/// Starts the programs behind a world, and tells what becomes of them.
async fn start_plane(
    settings: &Settings,
    printer: &Arc<Printer>,
    local: &LocalWorld,
    folder: PathBuf,
) -> Result<RealPlane, Failure> {
    let failed = |error: msk_pipeline_real::Error| {
        Failure::new(Exit::Failed, format!("the real programs can't be started: {}", error.whole()))
    };
    let path = std::env::var_os("PATH");
    let store = Store::new(settings.plugin_cache(), Sources::from_env());
    let toolbox = Toolbox::find(path.as_deref(), store).map_err(failed)?;
    let world = Arc::clone(&local.world) as Arc<_>;
    let options = Options::new(folder, toolbox);
    printer
        .say("Starting real programs; the first time their jars are fetched from Maven Central.");
    let started = tokio::task::spawn_blocking(move || RealPlane::start(world, options)).await;
    let (plane, mut events) = match started {
        Ok(started) => started.map_err(failed)?,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    let told = Arc::clone(printer);
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            told.say(tame(&event.to_string()));
        }
    });
    Ok(plane)
}

/// A command on the embedded AWS, whether or not `--local` was given to this one.
fn local_command(settings: &Settings, verb: &str) -> String {
    if settings.local {
        settings.command(verb)
    } else {
        settings.command(&format!("--local {verb}"))
    }
}

fn inventory(printer: &Printer, title: &str, rows: &[Row]) {
    if printer.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|r| json!({ "service": r.service, "kind": r.kind, "id": r.id, "state": r.state, "simulated": true }))
            .collect();
        printer.data_json(&json!({ "version": 1, "simulated": true, "inventory": rows }));
        return;
    }
    let width = |of: fn(&Row) -> String| rows.iter().map(|r| of(r).len()).max().unwrap_or(0);
    let (kinds, ids) = (width(|r| format!("{} {}", r.service, r.kind)), width(|r| r.id.clone()));
    for row in rows {
        let kind = format!("{} {}", row.service, row.kind);
        printer.data(format!("{kind:kinds$}  {:ids$}  {}  {SIMULATED}", row.id, row.state));
    }
    if rows.is_empty() {
        printer.tell(&format!("Nothing but its network exists in the {title}."));
    }
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
            who: format!("{}, process {}", settings.user, std::process::id()),
            why: "local reset".into(),
            since: RealClock::system().wall(),
        };
        let lease = store.lease(holder).await.map_err(|e| Failure::store(&e))?;
        held.push((folder, state.pipeline, lease));
    }
    Ok(held)
}
