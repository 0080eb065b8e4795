//! The binary: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    msk_pipeline_cli::run(std::env::args_os())
}
