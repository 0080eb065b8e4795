//! `local status` and `local stop`: who serves the embedded AWS, and the programs behind it.

use std::path::Path;

use msk_pipeline_core::Timestamp;
use msk_pipeline_local::LocalWorld;
use msk_pipeline_real::process::{Listed, running};
use msk_pipeline_real::serving::{self, Served, Server, Stopped};
use msk_pipeline_real::{mariadb, postgres};
use serde_json::json;

use super::Here;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::report::cloud::Cloud;
use crate::report::words::count;
use crate::settings::{Settings, quoted};

pub(super) async fn status(
    settings: &Settings,
    printer: &Printer,
    here: Here,
) -> Result<Exit, Failure> {
    let Here { place, folder, title } = here;
    let failed = |e: msk_pipeline_real::Error| Failure::real(&e);
    let served = serving::served(&folder).map_err(failed)?;
    let programs = running(&serving::plane(&folder)).map_err(failed)?;
    // Looking at it must not begin it.
    let scale = if LocalWorld::is_begun(&folder) {
        let local = LocalWorld::open(&folder, place).await.map_err(|e| Failure::local(&e))?;
        Some(local.scale().map_err(|e| Failure::local(&e))?)
    } else {
        None
    };
    let server = match &served {
        Served::By { server, .. } => server.as_ref(),
        Served::No => None,
    };
    let serves = served != Served::No;
    if printer.json {
        printer.data_json(&settings.cloud.document(json!({
            "begun": scale.is_some(),
            "time_scale": scale,
            "served": serves,
            "pid": server.map(Server::pid),
            "since": server.map(|s| since(s).to_string()),
            "endpoint": server.and_then(|s| s.endpoint.as_deref()),
            "log": serves.then(|| serving::log(&folder)),
            "programs": programs,
        })));
        return Ok(Exit::Done);
    }
    printer.data(title);
    match (server, scale) {
        (_, None) => printer.data("served   no, and it was not begun yet"),
        (Some(server), _) => printer.data(format!(
            "served   by process {} since {}{}",
            server.pid(),
            since(server),
            server
                .endpoint
                .as_ref()
                .map_or_else(|| ", which begins".into(), |url| format!(" at {url}"))
        )),
        (None, _) if serves => printer.data("served   by a process that begins"),
        (None, _) => printer.data("served   no"),
    }
    if !serves && !programs.is_empty() {
        let left = count(programs.len(), "program");
        printer.data(format!("         {left} of a process that was killed; the next start, or `local stop`, ends them"));
    }
    table(printer, &programs);
    for command in clients(&folder, &programs) {
        printer.data(format!("sql      {command}"));
    }
    if settings.cloud == Cloud::Real && serves {
        printer.data(format!("log      {}", serving::log(&folder).display()));
    }
    if let Some(note) = scale.and_then(|scale| settings.cloud.note(scale)) {
        printer.tell(&note);
    }
    Ok(Exit::Done)
}

pub(super) async fn stop(
    settings: &Settings,
    printer: &Printer,
    here: Here,
) -> Result<Exit, Failure> {
    let stopped = end(&here.folder).await?;
    if printer.json {
        printer.data_json(&settings.cloud.document(json!({ "ended": stopped })));
        return Ok(Exit::Done);
    }
    tell(printer, &stopped);
    if stopped == Stopped::default() {
        printer.say(format!("Nothing runs behind the {}.", here.title));
    } else {
        printer.say("Their data stay; the next command with --local --real goes on with them.");
    }
    Ok(Exit::Done)
}

/// Ends the programs of a world, and who runs them.
pub(super) async fn end(world: &Path) -> Result<Stopped, Failure> {
    let world = world.to_owned();
    match tokio::task::spawn_blocking(move || serving::stop(&world)).await {
        Ok(stopped) => stopped.map_err(|e| Failure::real(&e)),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// What was ended, line by line.
pub(super) fn tell(printer: &Printer, stopped: &Stopped) {
    table(printer, &stopped.programs);
    let programs = count(stopped.programs.len(), "program");
    match stopped.server {
        Some(pid) => {
            printer.say(format!("Ended process {pid}, which served it, and its {programs}."));
        }
        None if stopped.programs.is_empty() => {}
        None => printer.say(format!("Ended {programs} that a killed process had left.")),
    }
}

fn table(printer: &Printer, programs: &[Listed]) {
    let widest = programs.iter().map(|p| p.name.chars().count()).max().unwrap_or(0);
    let total: u64 = programs.iter().map(|p| p.resident).sum();
    for Listed { name, pid, at, resident } in programs {
        let memory = resident >> 20;
        printer.data(format!("program  {name:widest$}  pid {pid:<7}  {memory:>5} MiB  {at}"));
    }
    if programs.len() > 1 {
        printer.data(format!("memory   {} MiB in all", total >> 20));
    }
}

/// How to speak to each database over its own socket: to a MariaDB as its administrator, to a PostgreSQL as the master, whose tables
/// can be published.
fn clients(world: &Path, programs: &[Listed]) -> Vec<String> {
    let plane = serving::plane(world);
    let file = |path: &Path| quoted(&path.to_string_lossy());
    let client = |program: &Listed| {
        if let Some(name) = program.name.strip_prefix("MariaDB of ") {
            let options = mariadb::folder(&plane, name).join("server.cnf");
            return Some(format!("mariadb --defaults-file={}", file(&options)));
        }
        let name = program.name.strip_prefix("PostgreSQL of ")?;
        let service = postgres::service_file(&postgres::folder(&plane, name));
        Some(format!("PGSERVICEFILE={} psql service=aurora", file(&service)))
    };
    programs.iter().filter_map(client).collect()
}

fn since(server: &Server) -> Timestamp {
    Timestamp(server.since.saturating_mul(1000))
}
