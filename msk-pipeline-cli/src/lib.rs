//! The command line of msk-pipeline: arguments become settings, a command calls the library, its events become text or JSON lines.
//!
//! It decides nothing about clouds: all that it does, the library does in-process. It alone prints.

mod args;
mod background;
mod behind;
mod commands;
mod declaration;
mod diagnostic;
mod exit;
mod held;
mod interrupt;
mod printer;
mod programs;
mod prompt;
mod provider;
mod report;
mod settings;
mod state_folder;
mod target;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;

use args::Cli;
use diagnostic::Failure;
use exit::Exit;
use printer::Printer;
use settings::Settings;

/// Parses the arguments, carries the command out, and returns the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, args.iter().any(|a| a == "--json")),
    };
    let printer = Arc::new(Printer::new(cli.global.json, cli.global.verbose));
    let mut settings = match Settings::resolve(&cli.global, std::env::vars()) {
        Ok(settings) => settings,
        Err(failure) => return failure.report(&printer, &cli.command).into(),
    };
    // One thread: what blocks (the embedded world, packing) has threads of its own.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::new(Exit::Failed, format!("no runtime: {error}"));
            return failure.report(&printer, &cli.command).into();
        }
    };
    let ended = runtime.block_on(async {
        settings.cloud = background::before(&cli.command, &settings, &printer).await?;
        commands::run(&cli.command, &Arc::new(settings), &printer).await
    });
    // A thread that reads the terminal can't be stopped and must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(50));
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(&printer, &cli.command).into(),
    }
}

/// Help and version are no errors; everything else is invalid usage.
fn usage(error: &clap::Error, json: bool) -> ExitCode {
    // A closed pipe is nobody's loss.
    let _ = error.print();
    if !error.use_stderr() {
        return Exit::Done.into();
    }
    if json {
        let message = error.render().to_string();
        let message = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
        Printer::new(true, 0).data_json(&report::json::refused_arguments(message));
    }
    Exit::Invalid.into()
}
