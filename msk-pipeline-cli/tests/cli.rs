//! The binary as a user meets it: exit codes, diagnostics, what is written, the JSON stream.

mod common;

use std::fs;

use common::{command, err, expect, out, with_file};
use serde_json::Value;

#[test]
fn init_writes_a_file_that_is_valid_and_never_over_another() {
    let folder = tempfile::tempdir().expect("a folder");
    expect(folder.path(), "init", 0);
    assert!(err(&expect(folder.path(), "validate", 0)).contains("is valid"));
    assert!(err(&expect(folder.path(), "init", 3)).contains("exists already"));
    let document: Value =
        serde_json::from_slice(&expect(folder.path(), "validate --json", 0).stdout).expect("JSON");
    assert_eq!(document["valid"], true);
}

#[test]
fn usage_errors_are_invalid_input() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [
        "",
        "frobnicate",
        "plan -x",
        "apply --lock-timeout soon",
        "local serve --port 99999",
        "plan --var novalue",
    ] {
        let output = expect(folder.path(), args, 3);
        assert!(out(&output).is_empty() && !err(&output).is_empty(), "{args}");
    }
    assert!(out(&expect(folder.path(), "--help", 0)).contains("Exit codes"));
    let output = expect(folder.path(), "apply --frob --json", 3);
    let line: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&line["event"], &line["exit"]), (&"result".into(), &3.into()));
}

#[test]
fn every_problem_is_shown_with_its_place() {
    let folder =
        with_file("[pipeline]\nname = \"Bad_name\"\nregion = \"us-east-1\"\n[kafkaa.main]\n");
    let text = err(&expect(folder.path(), "validate", 3));
    for part in [
        "pipeline.toml:2:8",
        "pipeline.toml:4:2",
        "unknown section `kafkaa`",
        "did you mean `kafka`?",
        "2 errors",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let document: Value =
        serde_json::from_slice(&expect(folder.path(), "validate --json", 3).stdout).expect("JSON");
    assert_eq!(document["problems"][1]["place"]["line"], 4);
}

#[test]
fn a_missing_file_says_how_to_get_one() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(err(&expect(folder.path(), "plan", 3)).contains("msk-pipeline init"));
}

#[test]
fn completions_and_schema_are_data() {
    let folder = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            out(&expect(folder.path(), &format!("completions {shell}"), 0))
                .contains("msk-pipeline")
        );
    }
    let schema: Value =
        serde_json::from_slice(&expect(folder.path(), "schema", 0).stdout).expect("JSON");
    assert!(schema["properties"]["pipeline"].is_object());
}

#[test]
fn without_a_terminal_nothing_is_asked_and_the_flag_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    expect(folder.path(), "init", 0);
    let text = err(&expect(folder.path(), "--local apply", 4));
    assert!(text.contains("--approve") && text.contains("--auto-approve"), "{text}");
    assert!(text.contains("SIMULATED"));
}

#[test]
fn a_stream_parses_and_ends_with_one_result() {
    let folder = tempfile::tempdir().expect("a folder");
    expect(folder.path(), "init", 0);
    let output = command(folder.path(), "apply --local --json").output().expect("runs");
    let lines: Vec<Value> =
        out(&output).lines().map(|l| serde_json::from_str(l).expect("each line is JSON")).collect();
    let results = lines.iter().filter(|l| l["event"] == "result").count();
    assert_eq!((results, &lines.last().expect("a line")["event"]), (1, &"result".into()));
    assert_eq!(lines.last().expect("a line")["exit"].as_i64(), output.status.code().map(i64::from));
    assert_eq!(lines[0]["event"], "started");
}

#[test]
fn planning_writes_nothing_but_the_plan_and_that_is_private() {
    let folder = tempfile::tempdir().expect("a folder");
    expect(folder.path(), "init", 0);
    expect(folder.path(), "plan --local --detailed-exitcode --out p.json", 2);
    assert!(!folder.path().join(".msk-pipeline/orders-cdc").exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder.path().join("p.json")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let file = folder.path().join("p.json");
    let edited = fs::read_to_string(&file).expect("read").replace("orders-cdc-kafka", "evil");
    fs::write(&file, edited).expect("written");
    assert!(
        err(&expect(folder.path(), "apply --local p.json --auto-approve", 3)).contains("edited")
    );
}

#[test]
fn looking_at_the_embedded_aws_does_not_begin_it() {
    let folder = tempfile::tempdir().expect("a folder");
    expect(folder.path(), "local inventory", 0);
    expect(folder.path(), "local reset", 0);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn ci_needs_a_word_about_state() {
    let folder = tempfile::tempdir().expect("a folder");
    expect(folder.path(), "init", 0);
    let output = command(folder.path(), "apply --auto-approve").env("CI", "true").output();
    let output = output.expect("runs");
    assert_eq!(output.status.code(), Some(3));
    assert!(err(&output).contains("state ="));
}
