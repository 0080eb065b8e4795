//! What AWS and Connect say of a connector, judged: RUNNING is what they say, not that rows come out. Pure.

use crate::cause::{Diagnosis, Task};
use crate::check::Check;

/// Judges a connector's state, in MSK Connect's words.
pub fn judge_state(state: &str) -> Check {
    const NAME: &str = "connector";
    match state {
        "RUNNING" => Check::pass(NAME, state),
        "PAUSED" | "PAUSING" => {
            Check::fail(NAME, "C-CONNECTOR-PAUSED", format!("it is {state} and reads nothing"), &[])
                .advise("Resume it: `connector resume`, or the next `apply`.")
        }
        "FAILED" => Check::fail(NAME, "C-CONNECTOR-FAILED", "it is FAILED", &[])
            .advise("`explain` tells why; `apply` replaces it once the cause is removed."),
        "DELETING" => Check::fail(NAME, "C-CONNECTOR-STATE", "it is being deleted", &[]),
        _ => Check::fail(NAME, "C-CONNECTOR-STATE", format!("it is {state}"), &[])
            .advise("Wait until that is over, then ask again."),
    }
}

/// Judges what Connect says of a connector's tasks.
pub fn judge_tasks(tasks: &[Task]) -> Check {
    const NAME: &str = "tasks";
    let with = |state: &str| -> Vec<String> {
        let of = tasks.iter().filter(|task| task.state == state);
        of.map(|task| task.id.to_string()).collect()
    };
    let failed = with("FAILED");
    if !failed.is_empty() {
        let found = format!("task {} of {} is FAILED", failed.join(", "), tasks.len());
        return Check::fail(NAME, "C-TASK-FAILED", found, &[]);
    }
    match (with("RUNNING").len(), tasks.len()) {
        (_, 0) => Check::fail(NAME, "C-NO-TASK", "there is none", &[]),
        (running, all) if running == all => Check::pass(NAME, format!("{running} RUNNING")),
        (running, all) => {
            let states: Vec<_> = tasks.iter().map(|task| task.state.as_str()).collect();
            let found = format!("{running} of {all} RUNNING ({})", states.join(", "));
            Check::fail(NAME, "C-TASK-STATE", found, &[])
                .advise("Wait until Connect has shared them out, then ask again.")
        }
    }
}

/// Judges whether the secret got its value before the connector read it; times in milliseconds since 1970, `None` if not known.
pub fn judge_secret(changed: Option<u64>, started: Option<u64>) -> Option<Check> {
    const NAME: &str = "secret's version";
    let (changed, started) = (changed?, started?);
    if changed <= started {
        return Some(Check::pass(NAME, "older than the connector's start"));
    }
    let by = (changed - started) / 1_000;
    let found = format!(
        "it changed {by} s after the connector read it: at its next reconnect it logs in with the old value"
    );
    Some(Check::fail(NAME, "C-SECRET-NEWER", found, &[]).advise(
        "Restart the connector once the database takes the new value: `connector restart`.",
    ))
}

/// A diagnosis as a check: what its log and reports show.
pub fn judge_diagnosis(diagnosis: &Diagnosis) -> Check {
    const NAME: &str = "its log and reports";
    if !diagnosis.wrong {
        return Check::pass(NAME, "nothing wrong shows");
    }
    if let Some(verdict) = &diagnosis.verdict {
        let shown = match verdict.shown_by.as_str() {
            "" => String::new(),
            shown => format!(" ({shown})"),
        };
        let failed = Check::fail(NAME, &verdict.code, format!("{}{shown}", verdict.title), &[]);
        // The table's text has gaps that only the diagnosis fills.
        return failed.with_fix(verdict.fix.clone());
    }
    let reported = diagnosis.reported.as_ref().map(|r| format!("{}: {}", r.code, r.message));
    let error = diagnosis.error.as_ref().map(ToString::to_string).or(reported);
    let found = error.unwrap_or_else(|| "it failed, and nothing says why".into());
    Check::fail(NAME, "C-UNKNOWN", found, &[])
        .advise("`explain` tells all that is known; the whole log: `connector logs`.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::{Evidence, LogLine, diagnose};
    use crate::check::Outcome;

    #[test]
    fn only_running_passes() {
        let codes = ["RUNNING", "PAUSED", "FAILED", "UPDATING", "DELETING", ""].map(|state| {
            judge_state(state)
                .code()
                .map_or_else(String::new, |code| code.replace("C-CONNECTOR-", ""))
        });
        assert_eq!(codes, ["", "PAUSED", "FAILED", "STATE", "STATE", "STATE"]);
    }

    #[test]
    fn running_without_tasks_that_run_is_dead() {
        let judge = |states: &[&str]| {
            let task = |(id, state): (usize, &&str)| Task {
                id: u32::try_from(id).unwrap(),
                state: (*state).into(),
                trace: None,
            };
            let tasks: Vec<_> = states.iter().enumerate().map(task).collect();
            judge_tasks(&tasks).code().map(str::to_owned)
        };
        assert_eq!(judge(&["RUNNING"]), None);
        assert_eq!(judge(&[]).as_deref(), Some("C-NO-TASK"));
        assert_eq!(judge(&["RUNNING", "FAILED"]).as_deref(), Some("C-TASK-FAILED"));
        assert_eq!(judge(&["UNASSIGNED"]).as_deref(), Some("C-TASK-STATE"));
    }

    #[test]
    fn a_secret_that_changed_after_the_start_was_not_read() {
        let failed = |changed, started| judge_secret(changed, started).map(|check| check.failed());
        assert_eq!(failed(Some(2), Some(1)), Some(true));
        assert_eq!(failed(Some(1), Some(1)), Some(false));
        assert_eq!((failed(None, Some(1)), failed(Some(1), None)), (None, None));
    }

    #[test]
    fn a_diagnosis_keeps_its_code_and_fix() {
        let log = "[Worker-0a] [2026-08-01 10:00:00,123] ERROR [orders|task-0] Failed testing connection (a.B:1)\n\
                   [Worker-0a] java.sql.SQLException: Access denied for user 'cdc'@'10.0.1.7' (using password: YES)";
        let evidence = Evidence {
            connector: "orders".into(),
            lines: log.lines().map(LogLine::new).collect(),
            ..Evidence::default()
        };
        let diagnosis = diagnose(&evidence);
        let Outcome::Fail { code, fix, .. } = judge_diagnosis(&diagnosis).outcome else { panic!() };
        assert_eq!(code, "C-DB-AUTH");
        assert_eq!(fix, diagnosis.verdict.unwrap().fix, "with its gaps filled");
        assert!(judge_diagnosis(&diagnose(&Evidence::default())).passed());
    }
}
