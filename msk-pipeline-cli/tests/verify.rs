//! `verify`, `status --check` and `connector` on a simulated world, which is never taken for verified.

#![cfg(unix)]

mod common;

use common::{err, expect, out, with_connector, with_file};
use serde_json::Value;

fn json(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_simulated_connector_is_operated_and_never_verified() {
    let folder = with_connector();
    let folder = folder.path();
    expect(folder, "--local apply --auto-approve", 0);

    // Nothing stands behind it: that is said, and no success, whatever is asked.
    for args in ["verify", "verify --passive", "verify orders --canary", "status --check"] {
        let output = expect(folder, &format!("--local {args}"), 1);
        let text = out(&output);
        assert!(text.starts_with("UNVERIFIED"), "{args}\n{text}");
        assert!(text.contains("nothing stands behind") && text.contains("SIMULATED"), "{text}");
        assert!(text.contains("--local --real apply"), "{text}");
    }
    let document = json(&expect(folder, "--local verify --json", 1));
    assert_eq!((&document["ok"], &document["simulated"]), (&false.into(), &true.into()));
    let connector = &document["connectors"][0];
    assert_eq!(connector["verdict"], "unverified");
    assert_eq!(connector["checks"][0]["outcome"], "pass");
    assert_eq!(connector["proof"], Value::Null);
    let lines = out(&expect(folder, "--local status --check", 1));
    assert_eq!(lines.lines().count(), 1, "a line a connector: {lines}");

    // Its own operations.
    expect(folder, "--local connector pause orders", 0);
    let line = out(&expect(folder, "--local status --check", 1));
    assert!(line.starts_with("WRONG") && line.contains("C-CONNECTOR-PAUSED"), "{line}");
    let again = err(&expect(folder, "--local connector pause connector.orders", 0));
    assert!(again.contains("nothing to do"), "{again}");
    let refused = err(&expect(folder, "--local connector restart orders", 3));
    assert!(refused.contains("PAUSED") && refused.contains("RUNNING"), "{refused}");
    let done = json(&expect(folder, "--local --json connector resume orders", 0));
    assert_eq!(done["operation"], "resume");
    let done = err(&expect(folder, "--local connector restart orders --only-failed", 0));
    assert!(done.contains("RESTART_COMPLETE") && done.contains("SIMULATED"), "{done}");
    expect(folder, "--local plan --detailed-exitcode", 0);

    // Its log; no events.
    let log = out(&expect(folder, "--local connector logs orders --since 30d", 0));
    assert!(log.contains("[Worker-"), "{log}");
    let line = out(&expect(folder, "--local --json connector logs orders --since 30d", 0));
    let line: Value = serde_json::from_str(line.lines().next().expect("a line")).expect("JSON");
    assert!(line["text"].as_str().is_some_and(|text| !text.is_empty()), "{line}");
    let none = err(&expect(folder, "--local connector tail orders", 1));
    assert!(none.contains("nothing stands behind"), "{none}");

    let unknown = err(&expect(folder, "--local verify billing", 3));
    assert!(unknown.contains("connector.orders.connector"), "{unknown}");
    expect(folder, "--local connector pause billing", 3);
}

#[test]
fn without_a_connector_nothing_is_verified() {
    let folder = with_file(common::SMALL);
    for args in ["verify", "status --check"] {
        let output = expect(folder.path(), &format!("--local {args}"), 1);
        assert!(err(&output).contains("No connector is recorded"), "{}", err(&output));
        let document = json(&expect(folder.path(), &format!("--local --json {args}"), 1));
        assert_eq!(
            (&document["ok"], &document["connectors"]),
            (&false.into(), &Value::Array(vec![]))
        );
    }
    expect(folder.path(), "--local verify --canary --passive", 3);
    expect(folder.path(), "--local connector logs orders", 3);
}
