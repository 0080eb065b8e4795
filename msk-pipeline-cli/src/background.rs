//! The programs of an embedded AWS that has real ones: begun in the background by the first command with `--real`, used by the later ones.

use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use msk_pipeline_local::{LocalWorld, Settings as Place};
use msk_pipeline_real::Toolbox;
use msk_pipeline_real::serving::{self, Served, Server};

use crate::args::{Command, LocalCommand, StateCommand};
use crate::declaration::Declaration;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::printer::{Printer, tame};
use crate::provider;
use crate::report::cloud::Cloud;
use crate::settings::Settings;
use crate::{state_folder, target};

/// How often a server that begins, and the log of one that runs, is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How often it is asked whether it still serves.
const ALIVE: Duration = Duration::from_secs(1);
/// How many lines of its log an error repeats.
const TAIL: usize = 8;

/// Tells what stands behind what the command will show. Where it wants real programs, these run, or are on their way, when this returns.
///
/// # Errors
/// Programs that this machine lacks or that don't start; `--real` on a world that is simulated; a run on a world whose programs don't run.
pub(crate) async fn before(
    command: &Command,
    settings: &Settings,
    printer: &Arc<Printer>,
) -> Result<Cloud, Failure> {
    let usual = settings.cloud;
    match command {
        Command::Init
        | Command::Validate
        | Command::Schema
        | Command::Graph { .. }
        | Command::Completions { .. } => return Ok(usual),
        Command::Local { command } => return Ok(of_world(command, settings)),
        _ => {}
    }
    if !settings.local {
        if settings.real {
            let message = "--real puts programs behind the embedded AWS, and this is about AWS";
            return Err(Failure::new(Exit::Invalid, message)
                .help("give --local, too, or leave --real (or MSKP_REAL) out"));
        }
        return Ok(usual);
    }
    let declaration = Declaration::read(settings)?;
    let place = target::place(declaration.pipeline.header());
    let world = state_folder::world(settings, &place.account, &place.region);
    if settings.real {
        if begins(command) || LocalWorld::is_begun(&world) {
            if let Served::By { real: false, server: Some(server) } = served(&world)? {
                return Err(Failure::real(&msk_pipeline_real::Error::Served(server)));
            }
            LocalWorld::check_programs(&world).map_err(|e| Failure::local(&e))?;
            check(settings, &declaration)?;
            serve(settings, printer, &world, place).await?;
        }
    } else if !LocalWorld::has_real_programs(&world) {
        return Ok(usual);
    } else if !matches!(served(&world)?, Served::By { real: true, .. }) {
        let message = "this embedded AWS has real programs, and nobody runs them";
        let help = format!(
            "{} --real starts them; or forget it with `{}`",
            settings.command(command.word()),
            settings.local_command("reset")
        );
        if begins(command) {
            return Err(Failure::new(Exit::Invalid, message).help(help));
        }
        printer.tell(&printer.err.yellow(format!(
            "{message}: what is shown of databases, clusters and connectors is what was last seen of them. {help}"
        )));
    }
    if begins(command) {
        tokio::spawn(relay(settings.clone(), Arc::clone(printer), world));
    }
    Ok(Cloud::Real)
}

/// Whether a command may begin an embedded AWS; what only looks does not.
fn begins(command: &Command) -> bool {
    command.is_run() || matches!(command, Command::State { command: StateCommand::Init })
}

/// What stands behind the world that a command on the embedded AWS itself is about.
fn of_world(command: &LocalCommand, settings: &Settings) -> Cloud {
    let real = match Declaration::read(settings) {
        Ok(declaration) => {
            let place = target::place(declaration.pipeline.header());
            let world = state_folder::world(settings, &place.account, &place.region);
            LocalWorld::has_real_programs(&world)
        }
        // The command itself says what is wrong with the file.
        Err(_) => false,
    };
    let begun_so = settings.real && matches!(command, LocalCommand::Serve { .. });
    if real || begun_so { Cloud::Real } else { Cloud::Simulated }
}

/// What this machine lacks is told before anything is begun, with all its packages at once.
fn check(settings: &Settings, declaration: &Declaration) -> Result<(), Failure> {
    let (_, graph) = declaration.expand_offline()?;
    let path = std::env::var_os("PATH");
    let missing = Toolbox::missing(path.as_deref(), &provider::engines(&graph))
        .map_err(|e| Failure::real(&e))?;
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<_> = missing.iter().map(|m| format!("`{}`", m.program)).collect();
    let mut packages: Vec<_> = missing.iter().map(|m| m.package).collect();
    packages.dedup();
    let message = format!("--real needs {}, not on this machine", programs.join(", "));
    Err(Failure::new(Exit::Failed, message).help(format!(
        "install the package{} {} (the names in Debian), or go on without --real: {}",
        if packages.len() == 1 { "" } else { "s" },
        packages.join(" "),
        settings.command("").replacen(" --real", "", 1).trim_end()
    )))
}

/// Sees that a server runs the programs of a world, which is begun if there is none.
async fn serve(
    settings: &Settings,
    printer: &Arc<Printer>,
    world: &Path,
    place: Place,
) -> Result<(), Failure> {
    LocalWorld::open(world, place.with_programs()).await.map_err(|e| Failure::local(&e))?;
    ensure(settings, printer, world).await.map(drop)
}

/// The server of a world, begun if there is none. Of several commands that ask at once, one begins it.
async fn ensure(
    settings: &Settings,
    printer: &Arc<Printer>,
    world: &Path,
) -> Result<Server, Failure> {
    loop {
        match served(world)? {
            Served::By { real: false, server: Some(server) } => {
                return Err(Failure::real(&msk_pipeline_real::Error::Served(server)));
            }
            Served::By { real: true, server: Some(server) } if server.endpoint.is_some() => {
                return Ok(server);
            }
            Served::By { .. } => {}
            Served::No => {
                let right = serving::may_begin(world).map_err(|e| Failure::real(&e))?;
                // Another may have begun one between the look and the right.
                if right.is_some() && served(world)? == Served::No {
                    begin(settings, printer, world).await?;
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn served(world: &Path) -> Result<Served, Failure> {
    serving::served(world).map_err(|e| Failure::real(&e))
}

/// Starts a server in the background, and waits until it serves.
async fn begin(settings: &Settings, printer: &Arc<Printer>, world: &Path) -> Result<(), Failure> {
    let log = serving::log(world);
    printer.tell(&format!(
        "Starting the programs of this embedded AWS in the background, until `{}`; what they say is in {}",
        settings.local_command("stop"),
        log.display()
    ));
    let mut follow = Follow::from_end(&log);
    let mut child = spawn(settings, &log).map_err(|error| {
        Failure::new(Exit::Failed, format!("the background process can't be started: {error}"))
    })?;
    loop {
        show(printer, &follow.lines());
        if let Served::By { real: true, server: Some(server) } = served(world)?
            && u32::try_from(server.pid()) == Ok(child.id())
            && server.endpoint.is_some()
        {
            return Ok(());
        }
        match child.try_wait() {
            Ok(None) => tokio::time::sleep(LOOK).await,
            Ok(Some(status)) => {
                let said = follow.said();
                let last = said[said.len().saturating_sub(TAIL)..].join("\n");
                let message = format!("the programs could not be started ({status}):\n{last}");
                return Err(Failure::new(Exit::Failed, message)
                    .help(format!("all that was said is in {}", log.display())));
            }
            Err(error) => {
                let message = format!("the background process can't be watched: {error}");
                return Err(Failure::new(Exit::Failed, message));
            }
        }
    }
}

/// What programs say is for people.
fn show(printer: &Printer, lines: &[String]) {
    if !printer.json {
        for line in lines {
            printer.say(printer.err.dim(format!("  {line}")));
        }
    }
}

/// The same program, told by its environment what this one was told by arguments: variables may be secret, and arguments are seen by all.
fn spawn(settings: &Settings, log: &Path) -> std::io::Result<Child> {
    let open = || {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(log)
    };
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.args(["local", "serve", "--port", "0", "--real", "--detached"]);
    command.env("MSKP_FILE", &settings.file);
    for name in ["MSKP_JSON", "MSKP_LOCAL", "MSKP_VERBOSE"] {
        command.env_remove(name);
    }
    if let Some(env) = &settings.overlay.env {
        command.env("MSKP_ENV", env);
    }
    for (name, value) in &settings.overlay.vars {
        command.env(format!("MSKP_VAR_{name}"), value);
    }
    command.stdin(Stdio::null()).stdout(open()?).stderr(open()?).spawn()
}

/// Shows what the programs' server says while a run goes on, and begins another if it ends under the run, which would wait for ever.
async fn relay(settings: Settings, printer: Arc<Printer>, world: PathBuf) {
    let mut follow = Follow::from_end(&serving::log(&world));
    let mut asked = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        show(&printer, &follow.lines());
        if asked.elapsed() < ALIVE {
            continue;
        }
        asked = Instant::now();
        if matches!(served(&world), Ok(Served::No)) {
            printer.tell(&printer.err.yellow("The process that ran the programs has ended."));
            if let Err(failure) = ensure(&settings, &printer, &world).await {
                failure.print(&printer);
                return;
            }
            follow = Follow::from_end(&serving::log(&world));
        }
    }
}

/// What is appended to a log.
struct Follow {
    path: PathBuf,
    begin: u64,
    at: u64,
}

impl Follow {
    fn from_end(path: &Path) -> Self {
        let at = path.metadata().map_or(0, |m| m.len());
        Self { path: path.to_owned(), begin: at, at }
    }

    /// Whole lines that came since the last call.
    fn lines(&mut self) -> Vec<String> {
        let text = self.read(self.at);
        let Some(end) = text.rfind('\n') else { return Vec::new() };
        self.at += end as u64 + 1;
        text[..end].lines().map(tame).collect()
    }

    /// All lines since the beginning.
    fn said(&self) -> Vec<String> {
        self.read(self.begin).lines().map(tame).collect()
    }

    /// A log that can't be read just now says nothing.
    fn read(&self, from: u64) -> String {
        let read = || {
            let mut file = std::fs::File::open(&self.path)?;
            file.seek(SeekFrom::Start(from))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            Ok::<_, std::io::Error>(text)
        };
        // Its own words are UTF-8; a cut within a character is no whole line and comes again.
        read().map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn only_whole_lines_are_shown_and_each_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        std::fs::write(&path, "before\n").expect("written");
        let mut follow = Follow::from_end(&path);
        let mut log = OpenOptions::new().append(true).open(&path).expect("there");
        log.write_all(b"one\ntw").expect("written");
        assert_eq!(follow.lines(), ["one"]);
        assert_eq!(follow.lines(), [""; 0]);
        log.write_all(b"o\x1b\n").expect("written");
        assert_eq!(follow.lines(), ["two "]);
        assert_eq!(follow.said(), ["one", "two "]);
    }
}
