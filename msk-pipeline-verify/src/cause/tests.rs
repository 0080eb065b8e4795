//! Every recording against the whole table, and what no recording can show.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::known::{Known, WITNESSES, all};
use super::*;

/// A recording: its head says what is expected, the rest is a worker's log.
struct Recording {
    name: String,
    /// A code, or `none`.
    expect: String,
    /// Codes that may stand beside it.
    also: BTreeSet<String>,
    evidence: Evidence,
    /// Whether running programs wrote it.
    recorded: bool,
}

impl Recording {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut recording = Self {
            name,
            expect: String::new(),
            also: BTreeSet::new(),
            evidence: Evidence::default(),
            recorded: false,
        };
        for line in text.lines() {
            match line.strip_prefix("# ").and_then(|line| line.split_once(": ")) {
                Some((key, value)) => recording.head(key, value),
                None => recording.evidence.lines.push(LogLine::new(line)),
            }
        }
        assert!(
            !recording.expect.is_empty(),
            "{} says nothing of what is expected",
            path.display()
        );
        recording
    }

    fn head(&mut self, key: &str, value: &str) {
        let evidence = &mut self.evidence;
        let status = || Status { state: "RUNNING".into(), ..Status::default() };
        match key {
            "expect" => value.clone_into(&mut self.expect),
            "also" => self.also.extend(value.split_whitespace().map(str::to_owned)),
            "connector" => value.clone_into(&mut evidence.connector),
            "reported" => {
                let message = serde_json::from_str(value).unwrap();
                evidence.reported = Some(Reported { code: "400".into(), message });
            }
            "connector-state" => evidence.status.get_or_insert_with(status).state = value.into(),
            "task-state" => {
                let tasks = &mut evidence.status.get_or_insert_with(status).tasks;
                let id = u32::try_from(tasks.len()).unwrap();
                tasks.push(Task { id, state: value.into(), trace: None });
            }
            "recorded" => self.recorded = true,
            "source" => {}
            other => panic!("{}: unknown key {other}", self.name),
        }
    }
}

fn recordings() -> Vec<Recording> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    files.sort();
    files.iter().map(|path| Recording::read(path)).collect()
}

fn recording(name: &str) -> Recording {
    recordings().into_iter().find(|recording| recording.name == name).expect(name)
}

fn code(diagnosis: &Diagnosis) -> &str {
    diagnosis.verdict.as_ref().map_or("none", |verdict| verdict.code.as_str())
}

fn error(at: &str, text: &str) -> LogLine {
    LogLine::new(format!("[Worker-a] [2026-08-01 {at},000] ERROR [orders|task-0] {text} (a.B:1)"))
}

fn info(at: &str, text: &str) -> LogLine {
    LogLine::new(format!("[Worker-a] [2026-08-01 {at},000] INFO [orders|task-0] {text} (a.B:1)"))
}

fn trace(text: &str) -> LogLine {
    LogLine::new(format!("[Worker-a] {text}"))
}

fn orders(lines: Vec<LogLine>) -> Evidence {
    Evidence { connector: "orders".into(), lines, ..Evidence::default() }
}

const DENIED: &str =
    "java.sql.SQLException: Access denied for user 'cdc'@'10.0.1.7' (using password: YES)";
const REFUSED: &str = "Caused by: java.net.ConnectException: Connection refused";
const LINK: &str =
    "com.mysql.cj.jdbc.exceptions.CommunicationsException: Communications link failure";
const KILLED: &str = "WorkerSourceTask{id=orders-0} Task threw an uncaught and unrecoverable exception. \
    Task is being killed and will not recover until manually restarted";

/// The whole matrix: no recording shows a cause that is another's.
#[test]
fn every_recording_has_its_cause_and_no_other() {
    let mut wrong = Vec::new();
    for recording in recordings() {
        let diagnosis = diagnose(&recording.evidence);
        if code(&diagnosis) != recording.expect {
            wrong.push(format!(
                "{}: expected {}, got {diagnosis}",
                recording.name, recording.expect
            ));
        }
        for other in &diagnosis.also {
            if !recording.also.contains(&other.code) {
                wrong
                    .push(format!("{}: also {} by {}", recording.name, other.code, other.shown_by));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_entry_has_a_recording_or_is_shown_by_facts_alone() {
    let expected: BTreeSet<_> =
        recordings().into_iter().map(|recording| recording.expect).collect();
    let without = |known: &&Known| known.fact.is_none() && !expected.contains(known.code);
    let without: Vec<_> = all().filter(without).map(|known| known.code).collect();
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn the_table_is_whole() {
    let mut codes = BTreeSet::new();
    for known in all() {
        assert!(codes.insert(known.code), "{} stands twice", known.code);
        assert!(
            known.code.starts_with("C-")
                && known
                    .code
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-')
        );
        assert!(!known.signs.is_empty() || known.fact.is_some(), "{} can't show", known.code);
        assert!(
            !known.fix.is_empty() && !known.meaning.is_empty() && !known.source.is_empty(),
            "{}",
            known.code
        );
        for sign in known.signs {
            let anchor = pattern::anchor(sign.text);
            assert!(anchor.len() >= 8, "{}: \"{anchor}\" is too common to search for", known.code);
            assert!(WITNESSES.iter().all(|w| !sign.text.contains(w.text)), "{}", known.code);
        }
    }
}

/// A gap that a fix names comes from some sign, from the configuration, or from a fact: a misspelt one would never be filled.
#[test]
fn every_gap_in_a_fix_can_be_filled() {
    const FACTS: &[&str] =
        &["key", "connector", "user", "slot", "pid", "level", "table", "secret", "from"];
    for known in all() {
        let from_signs: BTreeSet<_> =
            known.signs.iter().flat_map(|sign| pattern::names(sign.text)).collect();
        for text in known.fix.iter().chain([&known.title, &known.meaning]) {
            for name in text
                .split('{')
                .skip(1)
                .filter_map(|rest| rest.split_once('}'))
                .map(|(name, _)| name)
                .filter(|name| is_name(name))
            {
                let known_name =
                    from_signs.contains(name) || TOLD_KEYS.contains(&name) || FACTS.contains(&name);
                assert!(known_name, "{}: {{{name}}}", known.code);
            }
        }
    }
}

/// A sign, its gaps filled, shows its own entry: none is written in a way that can't match, or is another's.
#[test]
fn every_sign_shows_its_own_entry() {
    for known in all().filter(|known| known.given.is_none()) {
        for sign in known.signs {
            let mut text = String::new();
            for (n, piece) in sign.text.split(['{', '}']).enumerate() {
                text += if n % 2 == 0 { piece } else { "gap" };
            }
            let mut lines: Vec<_> =
                sign.after.into_iter().map(|mark| info("09:59:59", mark)).collect();
            lines.push(error("10:00:00", sign.within.first().unwrap_or(&"x")));
            lines.push(trace(&format!("Caused by: {text} z")));
            let shown = if sign.level == super::log::Level::Info {
                info("10:00:01", &text)
            } else {
                error("10:00:01", "y")
            };
            lines.push(shown);
            let diagnosis = diagnose(&orders(lines));
            let codes: Vec<_> =
                diagnosis.verdict.iter().chain(&diagnosis.also).map(|v| v.code.as_str()).collect();
            assert!(codes.contains(&known.code), "{}: \"{text}\" shows {codes:?}", known.code);
        }
    }
}

#[test]
fn a_fix_is_concrete() {
    let diagnosis = diagnose(&recording("mysql-no-replication-slave").evidence);
    assert_eq!(diagnosis.verdict.unwrap().fix, ["GRANT REPLICATION SLAVE ON *.* TO '<user>'@'%';"]);
    let mut evidence = recording("mysql-no-replication-slave").evidence;
    evidence.connector_config.insert("database.user".into(), "poor".into());
    assert_eq!(
        diagnose(&evidence).verdict.unwrap().fix,
        ["GRANT REPLICATION SLAVE ON *.* TO 'poor'@'%';"]
    );
    // A placeholder is no name.
    evidence
        .connector_config
        .insert("database.user".into(), "${secretsmanager:cdc/orders:username}".into());
    assert_eq!(
        diagnose(&evidence).verdict.unwrap().fix,
        ["GRANT REPLICATION SLAVE ON *.* TO '<user>'@'%';"]
    );
}

#[test]
fn the_deepest_cause_is_told() {
    let diagnosis = diagnose(&recording("mysql-replication-factor").evidence);
    let cause = diagnosis.error.unwrap().caused_by.unwrap();
    assert!(
        cause.starts_with("org.apache.kafka.common.errors.InvalidReplicationFactorException: "),
        "{cause}"
    );
}

#[test]
fn an_error_whose_cause_is_unknown_is_told_all_the_same() {
    let evidence = orders(vec![
        error("10:00:00", KILLED),
        trace("x.Y: outer"),
        trace("\tat a.B.c(B.java:1)"),
        trace("Caused by: x.Z: why"),
    ]);
    let diagnosis = diagnose(&evidence);
    assert!(diagnosis.wrong && diagnosis.verdict.is_none());
    assert_eq!(diagnosis.error.unwrap().caused_by.as_deref(), Some("x.Z: why"));
}

#[test]
fn what_healed_is_no_cause() {
    let gone = vec![error("10:00:00", "Producer failure"), trace(LINK), trace(REFUSED)];
    let diagnosis = diagnose(&orders(gone.clone()));
    assert_eq!(
        (code(&diagnosis), diagnosis.verdict.as_ref().unwrap().certainty),
        ("C-DB-REFUSED", Certainty::Likely)
    );
    let mut back = gone.clone();
    back.push(info("10:00:20", "Connected to binlog at db:3306, starting at x"));
    let diagnosis = diagnose(&orders(back.clone()));
    assert_eq!((code(&diagnosis), diagnosis.wrong), ("none", false));
    // And gone once more.
    back.extend(gone);
    assert_eq!(code(&diagnose(&orders(back))), "C-DB-REFUSED");
    // What worked before it doesn't heal it.
    let before = vec![
        info("09:00:00", "Connected to binlog at db:3306, starting at x"),
        error("10:00:00", "Producer failure"),
        trace(LINK),
        trace(REFUSED),
    ];
    assert_eq!(code(&diagnose(&orders(before))), "C-DB-REFUSED");
}

#[test]
fn what_ended_a_task_is_certain_also_if_it_could_heal() {
    let evidence = orders(vec![error("10:00:00", KILLED), trace(LINK), trace(REFUSED)]);
    assert_eq!(diagnose(&evidence).verdict.unwrap().certainty, Certainty::Certain);
    // Traces of a failed task are final, too, and need no log.
    let task = Task {
        id: 0,
        state: "FAILED".into(),
        trace: Some(format!("{LINK}\n\tat a.B.c(B.java:1)\n{REFUSED}")),
    };
    let status = Some(Status { state: "RUNNING".into(), trace: None, tasks: vec![task] });
    let diagnosis =
        diagnose(&Evidence { connector: "orders".into(), status, ..Evidence::default() });
    assert_eq!((code(&diagnosis), diagnosis.also.len()), ("C-DB-REFUSED", 0));
    assert_eq!(diagnosis.verdict.unwrap().certainty, Certainty::Certain);
}

/// Where validation refuses a configuration, the log says so in its list of requests alone.
#[test]
fn a_refused_configuration_is_final() {
    let asked = |answer: &str| {
        let request = format!(
            r#"127.0.0.1 - - [23/Nov/2026:03:00:00 +0000] "PUT /connectors/orders/config HTTP/1.1" {answer} 303 "-" "-" 17"#
        );
        let head = "[Worker-a] [2026-08-01 10:00:01,000] INFO";
        LogLine::new(format!(
            "{head} {request} (org.apache.kafka.connect.runtime.rest.RestServer:62)"
        ))
    };
    let tested = [error("10:00:00", "Failed testing connection"), trace(LINK), trace(REFUSED)];
    for (answer, expected) in [("400", Certainty::Certain), ("201", Certainty::Likely)] {
        let lines = tested.iter().cloned().chain([asked(answer)]).collect();
        let verdict = diagnose(&orders(lines)).verdict.unwrap();
        assert_eq!((verdict.code.as_str(), verdict.certainty), ("C-DB-REFUSED", expected));
    }
}

/// Connect's mapper doesn't see what isn't an exception of its own; Jetty tells it, at WARN.
#[test]
fn what_nobody_caught_in_a_request_is_an_error() {
    let warned = |by: &str| {
        let head = format!(
            "[Worker-a] [2026-08-01 10:00:00,000] WARN /connectors/orders/config ({by}:776)"
        );
        let lines = vec![
            LogLine::new(head),
            trace("x.ServletException: y"),
            trace("Caused by: java.lang.NoSuchFieldError: Z"),
        ];
        diagnose(&orders(lines)).verdict.map(|v| (v.code, v.certainty))
    };
    let conflict = ("C-PLUGIN-CONFLICT".to_owned(), Certainty::Certain);
    assert_eq!(warned("org.eclipse.jetty.server.HttpChannel"), Some(conflict));
    assert_eq!(warned("a.B"), None);
}

/// The task ends of it seconds later; the cause is there at once.
#[test]
fn a_record_that_can_t_be_sent_is_final_before_its_task_is() {
    let sent = |how: &str| {
        let head = "[Worker-a] [2026-08-01 10:00:00,000] WARN [orders|task-0] WorkerSourceTask{id=orders-0}";
        let failed = format!(
            "{head} Failed to send record to topic 'orders' and partition '0' due to {how} exception:  (a.B:1)"
        );
        let cause = "Caused by: x.InvalidReplicationFactorException: Replication factor: 4 larger than available brokers: 3";
        let lines = vec![LogLine::new(failed), trace("x.Y: z"), trace(cause)];
        diagnose(&orders(lines)).verdict.map(|v| (v.code, v.certainty))
    };
    let certain = ("C-KAFKA-REPLICATION".to_owned(), Certainty::Certain);
    assert_eq!(sent("an unrecoverable"), Some(certain));
    assert_eq!(sent("another"), None);
}

/// The provider announces what is missing, and what it throws names nothing.
#[test]
fn an_error_has_the_names_of_its_announcement() {
    let announced = info("10:00:00", "Secret cdc/orders doesn't have a key pasword.");
    let thrown = [
        error("10:00:01", "Failed to start connector 'orders'"),
        trace("org.apache.kafka.common.config.ConfigException: Secret undefined {}:{}"),
    ];
    let verdict = diagnose(&orders([vec![announced], thrown.to_vec()].concat())).verdict.unwrap();
    assert_eq!(verdict.title, "secret cdc/orders has no key pasword");
    // Another of the same level speaks for itself.
    let other = error("10:00:00", "Not authorized to access topics: [orders.a]");
    let bare = error("10:00:01", "TopicAuthorizationException: Topic authorization failed");
    let verdict = diagnose(&orders(vec![other, bare])).verdict.unwrap();
    assert_eq!(verdict.title, "the connector may not use topic <topic>");
}

#[test]
fn lines_of_other_connectors_and_workers_are_told_apart() {
    // Two connectors, three workers, two streams: each line belongs to the entry that its own worker began.
    let line = |stream: &str, text: &str| LogLine { stream: stream.into(), text: text.into() };
    let head = |worker: &str, name: &str, text: &str| {
        format!("[Worker-{worker}] [2026-08-01 10:00:00,000] ERROR [{name}|task-0] {text} (a.B:1)")
    };
    let lines = vec![
        line("s1", &head("a", "billing", "Producer failure")),
        line("s2", &head("a", "orders", "Producer failure")),
        line("s1", &head("b", "orders", "unrelated")),
        line("s1", &format!("[Worker-a] {DENIED}")),
        line("s2", &format!("[Worker-a] {LINK}")),
        line("s1", "[Worker-b] x.Y: z"),
        line("s2", &format!("[Worker-a] {REFUSED}")),
    ];
    let evidence = |name: &str| Evidence {
        connector: name.into(),
        lines: lines.clone(),
        ..Evidence::default()
    };
    assert_eq!(code(&diagnose(&evidence("orders"))), "C-DB-REFUSED");
    assert_eq!(code(&diagnose(&evidence("billing"))), "C-DB-AUTH");
    assert_eq!(code(&diagnose(&evidence("shipping"))), "none");
}

#[test]
fn an_event_may_hold_a_whole_trace_and_a_line_may_be_cut() {
    let text = format!(
        "[Worker-a] [2026-08-01 10:00:00,000] ERROR [orders] x (a.B:1)\n{DENIED}\n\tat a.B.c(B.java:1)"
    );
    assert_eq!(code(&diagnose(&orders(vec![LogLine::new(text)]))), "C-DB-AUTH");
    // 256 kB, in the middle of a character's bytes no longer.
    let long = format!("{DENIED} {}", "é".repeat(128 * 1024));
    let evidence = orders(vec![error("10:00:00", "Producer failure"), trace(&long)]);
    let diagnosis = diagnose(&evidence);
    assert_eq!(code(&diagnosis), "C-DB-AUTH");
    assert!(diagnosis.to_string().len() < 8 * 1024);
}

#[test]
fn facts_show_what_no_log_does() {
    let status = |tasks: Vec<Task>| Some(Status { state: "RUNNING".into(), trace: None, tasks });
    let task = |state: &str| Task { id: 0, state: state.into(), trace: None };
    let check =
        |evidence: &Evidence, expected: &str| assert_eq!(code(&diagnose(evidence)), expected);
    let mut evidence = orders(Vec::new());
    evidence.status = status(Vec::new());
    check(&evidence, "C-NO-TASK");
    evidence.status = status(vec![task("FAILED")]);
    check(&evidence, "C-TASK-FAILED");
    evidence.status = status(vec![task("RUNNING")]);
    check(&evidence, "none");

    let mut evidence = orders(vec![error("10:00:00", "Producer failure"), trace(DENIED)]);
    evidence.facts = Facts {
        secret_changed_at: Some(2_000),
        connector_started_at: Some(1_000),
        ..Facts::default()
    };
    check(&evidence, "C-DB-ROTATED");
    evidence.facts.secret_changed_at = Some(500);
    check(&evidence, "C-DB-AUTH");
    let not_rotated = |out: &RuledOut| {
        out.layer == Layer::Secret && out.because.contains("rotation is not the cause")
    };
    assert!(diagnose(&evidence).ruled_out.iter().any(not_rotated));

    let mut evidence = orders(Vec::new());
    evidence.worker_config.insert("producer.acks".into(), "all".into());
    evidence.status = Some(Status { state: "FAILED".into(), ..Status::default() });
    check(&evidence, "none");
    evidence.worker_config.insert("security.protocol".into(), "SASL_SSL".into());
    check(&evidence, "C-WORKER-RESERVED-KEY");
    assert!(diagnose(&evidence).verdict.unwrap().title.ends_with("security.protocol"));
    evidence.status = status(vec![task("RUNNING")]);
    check(&evidence, "none");

    let mut evidence = recording("secret-missing").evidence;
    evidence.connector_config.insert(
        "database.password".into(),
        "${sm:arn:aws:secretsmanager:us-east-1:1:secret:x:password}".into(),
    );
    check(&evidence, "C-SECRET-ARN");

    let mut evidence = recording("worker-memory-exit").evidence;
    let mut set = |key: &str, value: &str| {
        evidence
            .connector_config
            .insert(format!("schema.history.internal.{key}"), value.to_owned());
        code(&diagnose(&evidence)).to_owned()
    };
    assert_eq!(set("kafka.bootstrap.servers", "b-1.x:9092"), "C-WORKER-MEMORY");
    assert_eq!(set("kafka.bootstrap.servers", "b-1.x:9098"), "C-KAFKA-PLAIN-TO-TLS");
    assert_eq!(set("producer.security.protocol", "SASL_SSL"), "C-KAFKA-PLAIN-TO-TLS");
    assert_eq!(set("consumer.security.protocol", "SASL_SSL"), "C-WORKER-MEMORY");

    let mut evidence = recording("mysql-position-purged").evidence;
    evidence.facts = Facts {
        database_created_at: Some(2_000),
        connector_started_at: Some(1_000),
        ..Facts::default()
    };
    check(&evidence, "C-OFFSETS-FOREIGN");
}

#[test]
fn a_layer_that_must_have_worked_is_ruled_out_with_its_reason() {
    let diagnosis = diagnose(&recording("mysql-wrong-password").evidence);
    let out = diagnosis.ruled_out.iter().find(|out| out.layer == Layer::DatabaseNetwork).unwrap();
    assert!(out.because.contains("Access denied for user 'debezium'"), "{}", out.because);
    assert!(diagnosis.ruled_out.iter().all(|out| out.layer != Layer::DatabaseLogin));
}

#[test]
fn a_watch_tells_a_certain_cause_at_once_and_nothing_while_it_may_heal() {
    let mut watch = Watch::new("orders");
    assert!(
        watch.feed([error("10:00:00", "Producer failure"), trace(LINK), trace(REFUSED)]).is_none()
    );
    assert_eq!(code(&watch.diagnosis()), "C-DB-REFUSED");
    assert!(
        watch.feed([info("10:00:10", "Connected to binlog at db:3306, starting at x")]).is_none()
    );
    assert_eq!(code(&watch.diagnosis()), "none");
    // Not at the head of the entry, and not only when the next one begins.
    assert!(watch.feed([error("10:00:20", "Producer failure")]).is_none());
    let told = watch.feed([trace(DENIED)]).unwrap();
    assert_eq!(
        (code(&told), told.verdict.as_ref().unwrap().certainty),
        ("C-DB-AUTH", Certainty::Certain)
    );
    // Once is enough.
    assert!(watch.feed([trace("\tat a.B.c(B.java:1)")]).is_none());
    assert!(watch.feed([]).is_none());
}

/// Fed line by line, a watch comes to what the whole log says: certain causes as soon as they show.
#[test]
fn a_watch_and_a_diagnosis_agree_on_every_recording() {
    for recording in recordings() {
        let mut evidence = recording.evidence;
        let whole = diagnose(&evidence);
        let lines = std::mem::take(&mut evidence.lines);
        evidence.reported = None;
        let logged = diagnose(&Evidence { lines: lines.clone(), ..evidence.clone() });
        let mut watch = Watch::with(evidence);
        let told: Vec<_> = lines
            .into_iter()
            .filter_map(|line| watch.feed([line]))
            .map(|d| code(&d).to_owned())
            .collect();
        assert_eq!(watch.diagnosis(), logged, "{}", recording.name);
        if recording.expect == "none" {
            assert!(told.is_empty(), "{}: {told:?}", recording.name);
        } else if logged.verdict.as_ref().is_some_and(|v| v.certainty == Certainty::Certain) {
            assert!(told.contains(&recording.expect), "{}: {told:?}", recording.name);
        }
        assert!(whole.wrong || recording.expect == "none", "{}", recording.name);
    }
}

#[test]
fn no_secret_of_a_log_is_repeated() {
    let secret = r#"org.apache.kafka.common.config.ConfigException: Invalid value {"username":"cdc","pass":"hunter2"} for configuration cdc/orders: Unexpected value of a secret's structure"#;
    let evidence = orders(vec![
        error("10:00:00", KILLED),
        trace(secret),
        trace("Caused by: x.Y: password=hunter2"),
    ]);
    let diagnosis = diagnose(&evidence);
    assert_eq!(code(&diagnosis), "C-SECRET-KEY");
    assert!(
        !diagnosis.to_string().contains("hunter2") && !format!("{diagnosis:?}").contains("hunter2")
    );
}

#[test]
fn a_diagnosis_can_be_stored_and_read_again() {
    for recording in recordings() {
        let diagnosis = diagnose(&recording.evidence);
        let text = serde_json::to_string(&diagnosis).unwrap();
        assert_eq!(serde_json::from_str::<Diagnosis>(&text).unwrap(), diagnosis);
        let evidence = serde_json::to_string(&recording.evidence).unwrap();
        assert_eq!(serde_json::from_str::<Evidence>(&evidence).unwrap(), recording.evidence);
    }
}

/// The time is proportional to the log: ten times as many lines may take at most thirty times as long. Of each size the least of the runs
/// counts, which is what the machine does when nothing else is in the way; both are measured in turn, at least three times, and again until
/// they have had such a moment. A reader that were quadratic has none.
#[test]
fn the_time_is_linear_and_short() {
    const ROUNDS: std::ops::RangeInclusive<usize> = 3..=20;
    let failing = |n: usize| {
        let entry = [
            error("10:00:00", "Producer failure"),
            trace(LINK),
            trace("\tat a.B.c(B.java:1)"),
            trace(REFUSED),
        ];
        let noise = info(
            "10:00:01",
            "Committing offsets for 12 acknowledged messages of the task orders-0 of the connector orders",
        );
        let lines = (0..n).map(|i| if i % 5 == 4 { noise.clone() } else { entry[i % 5].clone() });
        orders(lines.collect())
    };
    let time = |evidence: &Evidence| {
        let start = Instant::now();
        assert_eq!(code(&diagnose(evidence)), "C-DB-REFUSED");
        start.elapsed()
    };
    // Optimised it takes a few milliseconds; tests aren't.
    let fits =
        |small: Duration, large: Duration| small < Duration::from_secs(1) && large < small * 30;
    let (few, many) = (failing(10_000), failing(100_000));
    let (mut small, mut large) = (Duration::MAX, Duration::MAX);
    for round in 1..=*ROUNDS.end() {
        (small, large) = (small.min(time(&few)), large.min(time(&many)));
        if round >= *ROUNDS.start() && fits(small, large) {
            return;
        }
    }
    panic!("10,000 lines took {small:?}, 100,000 {large:?}");
}

/// `docs/causes.md` is this table; with `MSKP_WRITE_DOCS=1` it is written.
#[test]
fn the_documentation_lists_every_cause() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/causes.md");
    let wanted = documentation();
    if std::env::var("MSKP_WRITE_DOCS").as_deref() == Ok("1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "run MSKP_WRITE_DOCS=1 cargo test -p msk-pipeline-verify documentation"
    );
}

fn documentation() -> String {
    let recordings = recordings();
    let mut text = String::from(
        "# Known causes\n\nWhy a connector fails, as `explain` tells it: each cause has a code that stays. *Shown by* names the recordings in \
         `msk-pipeline-verify/recordings/` that the tests hold against the whole table: **bold** ones were recorded from running programs \
         (by `record.py`, or as the head says), the others are texts with their source in the head; *facts* are states, configurations and times that no log has. \
         [failures.md](failures.md) tells which were provoked, and how soon each was explained.\n\n\
         | code | what is wrong | what to do | shown by |\n| --- | --- | --- | --- |\n",
    );
    let cell = |text: &str| {
        text.replace('|', "\\|")
            .replace('{', "‹")
            .replace('}', "›")
            .replace('<', "‹")
            .replace('>', "›")
    };
    for known in all() {
        let of = recordings.iter().filter(|recording| recording.expect == known.code);
        let mut shown: Vec<_> = of
            .map(|r| if r.recorded { format!("**{}**", r.name) } else { r.name.clone() })
            .collect();
        shown.extend(known.fact.map(|_| "facts".to_owned()));
        let fix: Vec<_> = known.fix.iter().map(|fix| cell(fix)).collect();
        text += &format!(
            "| `{}` | {} | {} | {} |\n",
            known.code,
            cell(known.title),
            fix.join("<br>"),
            shown.join(", ")
        );
    }
    text
}
