//! The corpus of broken files in `tests/bad`: each gives one clear first diagnostic, exit code 3, and writes nothing.
//!
//! Beside each `NAME.toml` lies `NAME.txt` with the first line of the diagnostic. A new file gets its line with
//! `MSKP_BLESS=1 cargo test -p msk-pipeline-cli --test bad`; read it before you keep it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn every_broken_file_gets_its_diagnostic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut files: Vec<_> = fs::read_dir(&corpus)
        .expect("the corpus")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    let mut wrong = Vec::new();
    for file in &files {
        let folder = tempfile::tempdir().expect("a folder");
        fs::copy(file, folder.path().join("pipeline.toml")).expect("copied");
        let output = Command::new(env!("CARGO_BIN_EXE_msk-pipeline"))
            .current_dir(folder.path())
            .args(["--local", "apply", "--auto-approve"])
            .env("NO_COLOR", "1")
            .env("MSKP_CACHE", folder.path().join("cache"))
            .stdin(Stdio::null())
            .output()
            .expect("runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let first = text.lines().next().unwrap_or_default().trim().to_owned();
        let beside = file.with_extension("txt");
        if std::env::var_os("MSKP_BLESS").is_some() && !beside.exists() {
            fs::write(&beside, format!("{first}\n")).expect("written");
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        let left = fs::read_dir(folder.path()).expect("a folder").count();
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if output.status.code() != Some(3) || first != expected.trim() || left != 1 {
            wrong.push(format!("{name}: exit {:?}, {left} files, {first:?}", output.status.code()));
        }
        assert!(output.stdout.is_empty(), "{name} prints data");
    }
    assert!(
        wrong.is_empty(),
        "{} of {} are wrong:\n{}",
        wrong.len(),
        files.len(),
        wrong.join("\n")
    );
    assert!(files.len() >= 250, "the corpus has only {} files", files.len());
}
