//! When a symptom is there, and when its cause is known: the worker's own file is read beside the log group that AWS's readers see.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use msk_pipeline_verify::cause::{Certainty, Evidence, LogLine, Verdict, Watch};
use serde_json::{Value, json};

use crate::account::Account;

/// How often both are looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(50);
/// A symptom that doesn't come by then wasn't provoked; an explanation that doesn't come isn't any.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is waited for.
pub(crate) struct Sought<'a> {
    pub(crate) group: &'a str,
    /// The worker's own log; `None` where the world writes the group itself.
    pub(crate) file: Option<PathBuf>,
    /// The words of a program by which the failure begins to show.
    pub(crate) symptom: &'a str,
    pub(crate) code: &'a str,
    pub(crate) least: Certainty,
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) symptom: Instant,
    pub(crate) explained: Instant,
    pub(crate) verdict: Verdict,
}

/// Reads from the moment of its making on.
pub(crate) struct Observer<'a> {
    account: &'a Account,
    sought: Sought<'a>,
    worker: Option<Fresh>,
    follow: Follow<'a>,
    watch: Watch,
    symptom: Option<Instant>,
}

impl<'a> Observer<'a> {
    pub(crate) fn new(account: &'a Account, evidence: Evidence, sought: Sought<'a>) -> Self {
        Self {
            account,
            worker: sought.file.clone().map(Fresh::new),
            follow: Follow::new(account, sought.group),
            watch: Watch::with(evidence),
            symptom: None,
            sought,
        }
    }

    /// Looks until the cause is known.
    ///
    /// # Errors
    /// If another cause is told as certain, or none in time; with what the log says.
    pub(crate) fn run(mut self) -> Result<Seen, String> {
        let deadline = Instant::now() + PATIENCE;
        let mut told: Vec<String> = Vec::new();
        loop {
            if self.symptom.is_none()
                && self.worker.as_mut().is_some_and(|w| w.came(self.sought.symptom))
            {
                self.symptom = Some(Instant::now());
            }
            let lines = self.follow.more();
            self.symptom_of_the_world(&lines);
            told.extend(lines.iter().map(|(_, line)| line.text.clone()));
            // Each by itself, so that it doesn't matter where a look cuts the log.
            let mut certain = None;
            for (_, line) in lines {
                certain = certain.or(self.watch.feed([line]));
            }
            if let Some(verdict) = self.verdict(certain.and_then(|d| d.verdict))? {
                let explained = Instant::now();
                let symptom = self.symptom.ok_or_else(|| {
                    format!("{} before {:?}: {verdict}", self.sought.code, self.sought.symptom)
                })?;
                return Ok(Seen { symptom, explained, verdict });
            }
            if Instant::now() > deadline {
                let seen = if self.symptom.is_some() { "seen" } else { "not seen" };
                let loud = told.iter().filter(|line| !line.contains("] INFO "));
                let loud: Vec<&String> = loud.collect();
                let last = loud[loud.len().saturating_sub(60)..]
                    .iter()
                    .copied()
                    .cloned()
                    .collect::<Vec<_>>()
                    .join("\n");
                let symptom = self.sought.symptom;
                return Err(format!(
                    "{symptom:?} was {seen}; {}\nlog:\n{last}",
                    self.watch.diagnosis()
                ));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The verdict that is sought. A certain one comes from the watch, as in a run; a lesser one is what a diagnosis would say now.
    fn verdict(&self, certain: Option<Verdict>) -> Result<Option<Verdict>, String> {
        let code = self.sought.code;
        if let Some(verdict) = certain {
            return if verdict.code == code {
                Ok(Some(verdict))
            } else {
                Err(format!("expected {code}, told as certain: {}", self.watch.diagnosis()))
            };
        }
        let verdict = self.watch.diagnosis().verdict;
        let least = self.sought.least;
        let enough =
            |v: &Verdict| least < Certainty::Certain && v.certainty >= least && v.code == code;
        Ok(verdict.filter(enough))
    }

    /// A line that the world writes is there from its time on.
    fn symptom_of_the_world(&mut self, lines: &[(u64, LogLine)]) {
        if self.worker.is_some() || self.symptom.is_some() {
            return;
        }
        let first = lines.iter().find(|(_, line)| line.text.contains(self.sought.symptom));
        let since = first.map(|(at, _)| self.account.now().saturating_sub(*at));
        let passed = since.map(|span| self.account.world.time.wall_span(span));
        self.symptom = passed.and_then(|span| Instant::now().checked_sub(span));
    }
}

/// What is appended to a file.
struct Fresh {
    path: PathBuf,
    from: u64,
    /// Kept open: a connector that failed takes its folder with it.
    file: Option<File>,
    text: Vec<u8>,
}

impl Fresh {
    fn new(path: PathBuf) -> Self {
        let from = path.metadata().map_or(0, |m| m.len());
        Self { path, from, file: None, text: Vec::new() }
    }

    /// Whether a text came.
    fn came(&mut self, needle: &str) -> bool {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
            if let Some(file) = &mut self.file {
                file.seek(SeekFrom::Start(self.from)).expect("a file");
            }
        }
        let Some(file) = &mut self.file else { return false };
        let searched = self.text.len().saturating_sub(needle.len());
        file.read_to_end(&mut self.text).expect("readable");
        self.text[searched..].windows(needle.len()).any(|w| w == needle.as_bytes())
    }
}

/// Lines of a group as they come, each once, with its time, by `FilterLogEvents` as `apply` and `connector logs` read them.
struct Follow<'a> {
    account: &'a Account,
    group: &'a str,
    from: u64,
    told: BTreeSet<String>,
}

impl<'a> Follow<'a> {
    fn new(account: &'a Account, group: &'a str) -> Self {
        Self { account, group, from: account.now(), told: BTreeSet::new() }
    }

    fn more(&mut self) -> Vec<(u64, LogLine)> {
        let mut lines = Vec::new();
        let mut request = json!({ "logGroupName": self.group, "startTime": self.from });
        loop {
            let page = self.account.target("logs", "Logs_20140328.FilterLogEvents", &request);
            let events = page["events"].as_array().cloned().unwrap_or_default();
            for event in &events {
                let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
                let at = event["timestamp"].as_u64().expect("a time");
                if self.told.insert(text("eventId")) {
                    let line = LogLine { stream: text("logStreamName"), text: text("message") };
                    lines.push((at, line));
                }
                self.from = self.from.max(at);
            }
            if page["nextToken"].is_null() {
                lines.sort_by_key(|(at, _)| *at);
                return lines;
            }
            request["nextToken"] = Value::clone(&page["nextToken"]);
        }
    }
}
