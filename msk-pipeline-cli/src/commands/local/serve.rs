//! `local serve`: the embedded AWS on a loopback port, and with `--real` the programs behind it.

use std::path::Path;
use std::sync::Arc;

use msk_pipeline_local::{LocalWorld, Server, Settings as Place};
use msk_pipeline_plugin::{Sources, Store};
use msk_pipeline_real::serving::{self, Serving};
use msk_pipeline_real::{Options, RealPlane, Toolbox};
use serde_json::json;

use super::Here;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::interrupt::Signals;
use crate::printer::{Printer, tame};
use crate::report::cloud::Cloud;
use crate::settings::Settings;

pub(super) async fn run(
    settings: &Settings,
    printer: &Arc<Printer>,
    here: Here,
    port: u16,
    time_scale: Option<f64>,
    detached: bool,
) -> Result<Exit, Failure> {
    if detached {
        serving::detach().map_err(|e| Failure::real(&e))?;
    }
    let Here { place, folder, .. } = here;
    let mut signals = Signals::new();
    let real = settings.cloud == Cloud::Real;
    // Before the world is made one with real programs: others may serve it as a simulated one.
    let mut serving = Serving::begin(&folder, real).map_err(|e| Failure::real(&e))?;
    let region = place.region.clone();
    let place = if real { place.with_programs() } else { place };
    let local = LocalWorld::open(&folder, place).await.map_err(|e| Failure::local(&e))?;
    if let Some(scale) = time_scale.or(real.then_some(Place::REAL_SCALE)) {
        local.rescale(scale).map_err(|e| Failure::local(&e))?;
    }
    let scale = local.scale().map_err(|e| Failure::local(&e))?;
    let server = local.serve(port).await.map_err(|e| Failure::local(&e))?;
    let url = server.url();
    let mut plane =
        if real { Some(start_plane(settings, printer, &local, &folder).await?) } else { None };
    let serves = format!("The {}, at {scale} times real time.", here.title);
    if detached {
        printer.say(format!("{serves} {url}"));
        // Who began it finds its programs there.
        let caught_up = async {
            if let Some(plane) = &mut plane {
                plane.caught_up().await;
            }
        };
        tokio::select! {
            () = caught_up => {
                serving.ready(&url).map_err(|e| Failure::real(&e))?;
                signals.next().await;
            }
            () = signals.next() => {}
        }
        stop(printer, signals, plane, server).await;
        return Ok(Exit::Done);
    }
    serving.ready(&url).map_err(|e| Failure::real(&e))?;
    if printer.json {
        let document = json!({ "endpoint": url, "time_scale": scale });
        printer.data_json(&settings.cloud.document(document));
    } else {
        printer.data(&url);
    }
    printer.say(serves);
    if let Some(note) = settings.cloud.note(scale) {
        printer.tell(&note);
    }
    printer.say(format!(
        "Next: AWS_ENDPOINT_URL={url} AWS_REGION={region} AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws sts get-caller-identity"
    ));
    printer.say("Ctrl-C ends it; the world stays.");
    signals.next().await;
    stop(printer, signals, plane, server).await;
    Ok(Exit::Done)
}

/// Ends the programs in order; who asks once more ends them at once.
async fn stop(printer: &Printer, mut signals: Signals, plane: Option<RealPlane>, server: Server) {
    if let Some(plane) = plane {
        printer.say("Ending its programs; their data stay. Once more ends them at once.");
        plane.stop_unless(signals.next()).await;
    }
    printer.say("Stopping: requests under way are answered, the world stays.");
    server.stop().await;
}

/// Starts the programs behind a world, and tells what becomes of them.
async fn start_plane(
    settings: &Settings,
    printer: &Arc<Printer>,
    local: &LocalWorld,
    folder: &Path,
) -> Result<RealPlane, Failure> {
    let path = std::env::var_os("PATH");
    let store = Store::new(settings.plugin_cache(), Sources::from_env());
    let toolbox = Toolbox::find(path.as_deref(), store).map_err(|e| Failure::real(&e))?;
    let world = Arc::clone(&local.world) as Arc<_>;
    let options = Options::new(serving::plane(folder), toolbox);
    printer
        .say("Starting real programs; the first time their jars are fetched from Maven Central.");
    let started = tokio::task::spawn_blocking(move || RealPlane::start(world, options)).await;
    let (plane, mut events) = match started {
        Ok(started) => started.map_err(|e| Failure::real(&e))?,
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
