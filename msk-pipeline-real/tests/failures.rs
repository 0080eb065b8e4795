//! Failures that are provoked on real programs, each explained with its cause within two seconds of its symptom. Left out, and said so,
//! unless `MSKP_REAL=1`: `MSKP_REAL=1 cargo test -p msk-pipeline-real --test failures -- --nocapture`.
//! With `MSKP_WRITE_DOCS=1` as well it writes what it measured to `docs/failures.md`.
#![expect(clippy::print_stdout, reason = "what was left out, and what is seen, is said")]

#[expect(dead_code, reason = "the driver's test uses the rest")]
#[path = "common/account.rs"]
mod account;
#[path = "failures/clients.rs"]
mod clients;
#[expect(dead_code, reason = "the plane's test uses the rest")]
mod common;
#[path = "failures/configured.rs"]
mod configured;
#[path = "failures/failure.rs"]
mod failure;
#[path = "failures/lane.rs"]
mod lane;
#[path = "failures/observer.rs"]
mod observer;
#[path = "failures/recordings.rs"]
mod recordings;
#[path = "failures/requests.rs"]
mod requests;
#[path = "failures/rules.rs"]
mod rules;
#[path = "failures/running.rs"]
mod running;
#[path = "failures/stage.rs"]
mod stage;
#[path = "failures/table.rs"]
mod table;
#[path = "failures/workers.rs"]
mod workers;

use std::sync::Arc;
use std::time::Instant;

use account::Account;
use lane::Lane;
use msk_pipeline_real::{Authority, Options, RealPlane};
use msk_pipeline_verify::cause;
use recordings::Recording;
use stage::{Answers, Stage};
use table::By;

#[test]
fn every_failure_is_explained_within_two_seconds_of_its_symptom() {
    if !common::wanted() {
        return;
    }
    let begun = Instant::now();
    let folder = tempfile::tempdir().expect("a folder");
    let toolbox = common::toolbox();
    let strange =
        Authority::create(&folder.path().join("strange"), &toolbox.keytool).expect("a CA");
    let account = Account::new();
    let home = folder.path().join("real");
    let options = Options::new(&home, toolbox);
    let (plane, mut events) = RealPlane::start(account.shared(), options).expect("a plane");
    let answers = Arc::new(Answers::default());
    let heard = answers.clone();
    let tell = std::thread::spawn(move || {
        while let Some(event) = events.blocking_recv() {
            println!("  {event}");
            heard.hear(event);
        }
    });
    let stage = Stage::start(account, plane, &home, answers);
    configured::prepare(&stage);
    let plugins = workers::prepare(&stage);
    println!("the stage stands after {:?}", begun.elapsed());
    let stranger = strange.trust_store().display().to_string();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut lane = Lane::start(&stage, "orders");
            configured::configuration(&lane);
            configured::database(&mut lane, &stranger);
            configured::settings(&mut lane);
            configured::kafka(&mut lane, &stranger);
            running::running(&mut lane);
        });
        scope.spawn(|| workers::all(&stage, &plugins));
        scope.spawn(|| rules::all(&stage));
    });
    recordings::all(&stage);
    let (rows, problems) = stage.finish();
    tell.join().expect("told");
    println!("{} failures in {:?}", rows.len(), begun.elapsed());
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    if std::env::var("MSKP_WRITE_DOCS").is_ok_and(|v| v == "1") {
        std::fs::write(table::path(), table::page(&rows)).expect("written");
    }
}

/// What the page says still holds: its codes are in the table of causes, its recordings expect them, and nothing is slower than promised.
#[test]
fn the_page_of_failures_is_true() {
    let page = std::fs::read_to_string(table::path()).expect("docs/failures.md");
    assert!(page.starts_with(table::HEAD), "it is to be written anew");
    let rows = table::rows(&page);
    let provoked = rows.iter().filter(|row| row[2] == By::Programs.words()).count();
    assert!(provoked >= 25, "{provoked} failures were provoked on real programs");
    for row in &rows {
        let [what, how, by, code, title, symptom, latency] = &row[..] else { panic!("{row:?}") };
        let code = code.trim_matches('`');
        assert!(!cause::fix(code, &[]).is_empty(), "{what}: {code} is no known cause");
        assert!(!title.is_empty(), "{what}");
        if by == By::Recording.words() {
            assert_eq!(Recording::read(how.trim_matches('`')).expect, code, "{what}");
            continue;
        }
        let known = [By::Programs, By::Rules].map(By::words);
        assert!(known.contains(&by.as_str()), "{what} is by {by}");
        let seconds = |cell: &str| {
            let number = cell.trim_start_matches("< ").strip_suffix(" s");
            number.and_then(|n| n.parse::<f64>().ok()).unwrap_or_else(|| panic!("{what}: {cell}"))
        };
        assert!(seconds(symptom) >= 0.0 && seconds(latency) < 2.0, "{what}: {latency}");
    }
}
