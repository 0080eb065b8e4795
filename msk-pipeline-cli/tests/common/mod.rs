//! The binary in a folder of its own, for tests.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

pub fn command(folder: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_msk-pipeline"));
    for (name, _) in
        std::env::vars().filter(|(n, _)| n.starts_with("MSKP_") || n.starts_with("AWS_"))
    {
        command.env_remove(name);
    }
    // The user's cache folder is none of a test's.
    command.env("XDG_CACHE_HOME", folder.join("cache"));
    command.env_remove("CI").current_dir(folder).args(args.split_whitespace()).stdin(Stdio::null());
    command
}

pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs and checks the exit code.
#[track_caller]
pub fn expect(folder: &Path, args: &str, code: i32) -> Output {
    let output = command(folder, args).output().expect("runs");
    assert_eq!(output.status.code(), Some(code), "{args}\n{}{}", out(&output), err(&output));
    output
}
