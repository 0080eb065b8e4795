//! What `--real` refuses, and what is told where no program runs. Needs no program; `rehearsal` has those.

#![cfg(target_os = "linux")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use common::{SMALL, command, err, expect, out, with_file};
use serde_json::Value;

fn status(folder: &Path) -> Value {
    serde_json::from_slice(&expect(folder, "local status --json", 0).stdout).expect("JSON")
}

#[test]
fn real_is_about_the_embedded_aws() {
    let folder = with_file(SMALL);
    let text = err(&expect(folder.path(), "plan --real", 3));
    assert!(text.contains("give --local, too"), "{text}");
}

#[test]
fn asking_begins_nothing() {
    let folder = with_file(SMALL);
    let status = status(folder.path());
    assert_eq!((&status["begun"], &status["served"]), (&false.into(), &false.into()));
    let text = err(&expect(folder.path(), "local stop", 0));
    assert!(text.contains("Nothing runs"), "{text}");
    assert!(!folder.path().join(".msk-pipeline").exists());
}

#[test]
fn what_was_made_without_programs_gets_none() {
    let folder = with_file(SMALL);
    let folder = folder.path();
    expect(folder, "--local apply --approve security-groups", 4);
    let text = err(&expect(folder, "--local --real apply --auto-approve", 3));
    assert!(text.contains("begun without") && text.contains("local reset"), "{text}");
    assert_eq!(status(folder)["cloud"], "simulated");
    // It goes on as it was.
    expect(folder, "--local apply --auto-approve", 0);
}

#[test]
fn a_world_that_is_served_without_programs_gets_none() {
    let folder = with_file(SMALL);
    let folder = folder.path();
    let mut server =
        command(folder, "local serve --port 0").stdout(Stdio::piped()).spawn().expect("starts");
    let mut url = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut url).expect("a line");
    let told = status(folder);
    assert_eq!((&told["served"], &told["endpoint"]), (&true.into(), &url.trim().into()));
    assert_eq!(told["pid"], server.id());
    for args in ["--local --real apply --auto-approve", "local serve --real --port 0", "local stop"]
    {
        let text = err(&expect(folder, args, 3));
        assert!(text.contains(&format!("process {} without", server.id())), "{args}: {text}");
    }
    // The others go on beside it.
    let text = out(&expect(folder, "--local plan", 0));
    assert!(text.contains("SIMULATED"), "{text}");
    server.kill().expect("killed");
    server.wait().expect("ended");
    assert_eq!(status(folder)["served"], false, "who was killed serves no more");
}
