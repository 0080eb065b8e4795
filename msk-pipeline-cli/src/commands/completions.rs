//! `completions`: a script for a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::Exit;
use crate::printer::Printer;

pub(super) fn run(printer: &Printer, shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "msk-pipeline", &mut script);
    printer.data(String::from_utf8_lossy(&script).trim_end());
    Exit::Done
}
