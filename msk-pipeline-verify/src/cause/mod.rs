//! Why a connector fails: from evidence to a diagnosis.
//!
//! ```
//! use msk_pipeline_verify::cause::{Certainty, Evidence, LogLine, diagnose};
//!
//! let log = "\
//! [Worker-0a1b2c3d4e5f60718] [2026-08-01 10:00:00,123] ERROR [orders|task-0] Failed testing connection (a.B:1)
//! [Worker-0a1b2c3d4e5f60718] java.sql.SQLException: Access denied for user 'cdc'@'10.0.1.7' (using password: YES)
//! [Worker-0a1b2c3d4e5f60718] [2026-08-01 10:00:00,456] ERROR [orders] Uncaught exception in REST call to /connectors (c.D:2)";
//! let evidence = Evidence {
//!     connector: "orders".into(),
//!     lines: log.lines().map(LogLine::new).collect(),
//!     ..Evidence::default()
//! };
//! let diagnosis = diagnose(&evidence);
//! let verdict = diagnosis.verdict.as_ref().unwrap();
//! assert_eq!(verdict.code, "C-DB-AUTH");
//! assert_eq!(verdict.certainty, Certainty::Certain);
//! println!("{diagnosis}");
//! ```

mod evidence;
mod known;
mod log;
mod pattern;
mod reader;
mod redact;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

pub use evidence::{Evidence, Facts, Reported, Status, Task};
pub use known::Layer;
pub use known::worker::is_reserved as is_reserved_worker_key;
pub use log::LogLine;
pub use watch::Watch;

use known::{Known, Rank};
use log::Level;
use pattern::Gaps;
use reader::{Finding, Reader};
use redact::redact;

/// What is known about why a connector fails. Its texts hold no secrets that a log may hold: what looks like one is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The connector's name.
    pub connector: String,
    /// The known cause; `None` if there is none, or nothing is wrong.
    pub verdict: Option<Verdict>,
    /// The last ERROR that explains, also if its cause isn't known.
    pub error: Option<LastError>,
    /// What AWS reports, as it stands.
    pub reported: Option<Reported>,
    /// Other known causes that show, the likeliest first.
    pub also: Vec<Verdict>,
    /// What it is not, and how that is known.
    pub ruled_out: Vec<RuledOut>,
    /// True if the evidence shows that something is wrong: a verdict, a failed state, or an ERROR that nothing has healed.
    pub wrong: bool,
}

/// A known cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Stable, such as `C-DB-AUTH`.
    pub code: String,
    /// What is wrong, as a headline.
    pub title: String,
    /// Where between worker and database.
    pub layer: Layer,
    /// What it means.
    pub meaning: String,
    /// What to change, in order.
    pub fix: Vec<String>,
    /// How certain.
    pub certainty: Certainty,
    /// The text that shows it.
    pub shown_by: String,
    /// When it was written, in the log's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub at: String,
    /// Where the facts of this entry are from.
    pub source: String,
}

/// How certain a verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// It was a warning, or something that follows from another cause that doesn't show.
    Possible,
    /// It is an error that is still being tried again, and may end by itself.
    Likely,
    /// Waiting doesn't help: it was final, or it is nothing that ends by itself.
    Certain,
}

/// The last ERROR that explains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When, in the log's words; empty for a trace from Connect's REST interface.
    pub at: String,
    /// `connector|task-0`.
    pub context: String,
    /// What it says.
    pub message: String,
    /// The exception, with the first lines of its text.
    pub exception: Option<String>,
    /// The deepest `Caused by:`.
    pub caused_by: Option<String>,
}

/// Something that isn't the cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuledOut {
    /// What.
    pub layer: Layer,
    /// In words.
    pub what: String,
    /// How that is known.
    pub because: String,
}

/// Explains why a connector fails.
///
/// A pure function: no clock, no files, no network. Takes time in proportion to the evidence.
pub fn diagnose(evidence: &Evidence) -> Diagnosis {
    let mut reader = Reader::new(&evidence.connector);
    for line in &evidence.lines {
        reader.line(line);
    }
    read_status(&mut reader, evidence);
    conclude(&reader, evidence)
}

/// Traces and reports are read like ERRORs that come last, and are final.
fn read_status(reader: &mut Reader, evidence: &Evidence) {
    if let Some(reported) = &evidence.reported {
        let text = reported.message.trim();
        if !text.is_empty() {
            reader.trace(&reported.code, text);
        }
    }
    let Some(status) = &evidence.status else { return };
    if let Some(trace) = status.trace.as_deref().filter(|_| status.state == "FAILED") {
        reader.trace("the connector is FAILED", trace);
    }
    for task in status.tasks.iter().filter(|task| task.state == "FAILED") {
        if let Some(trace) = &task.trace {
            reader.trace(&format!("task {} is FAILED", task.id), trace);
        }
    }
}

fn conclude(reader: &Reader, evidence: &Evidence) -> Diagnosis {
    let mut verdicts = verdicts(reader, evidence);
    verdicts.sort_by_key(|(rank, verdict)| std::cmp::Reverse((*rank, verdict.certainty)));
    // What follows from a cause is no second one, and one text has one cause.
    let codes: BTreeSet<String> =
        verdicts.iter().map(|(_, verdict)| verdict.code.clone()).collect();
    let explained =
        known::all().filter(|known| codes.contains(known.code)).flat_map(|known| known.explains);
    let explained: BTreeSet<&str> = explained.copied().collect();
    verdicts.retain(|(_, verdict)| !explained.contains(verdict.code.as_str()));
    let best = verdicts.first().map(|(rank, _)| *rank);
    verdicts.retain(|(rank, _)| Some(*rank) == best);
    let mut told = BTreeSet::new();
    verdicts.retain(|(_, verdict)| told.insert(verdict.shown_by.clone()));
    let mut verdicts = verdicts.into_iter().map(|(_, verdict)| verdict);
    let verdict = verdicts.next();
    let broken = evidence.failed() || reader.last_final_stands();
    let error =
        if verdict.is_some() || broken { last_error(reader, verdict.as_ref()) } else { None };
    Diagnosis {
        connector: evidence.connector.clone(),
        ruled_out: verdict.as_ref().map(|v| ruled_out(reader, evidence, v)).unwrap_or_default(),
        wrong: verdict.is_some() || broken,
        also: verdicts.collect(),
        verdict,
        error,
        reported: evidence
            .reported
            .as_ref()
            .map(|r| Reported { code: r.code.clone(), message: redact(&r.message) }),
    }
}

/// Everything that shows: in the log, the best first, and in the facts.
fn verdicts(reader: &Reader, evidence: &Evidence) -> Vec<(Rank, Verdict)> {
    let mut findings = reader.findings();
    findings.retain(|finding| finding.known.given.is_none_or(|given| given(evidence)));
    let shown = findings.first().map(|finding| finding.known.code);
    let mut found: Vec<_> = Vec::new();
    for known in known::all() {
        if let Some(gaps) = known.fact.and_then(|fact| fact(evidence, shown)) {
            let because = gaps.get("shown_by").cloned().unwrap_or_default();
            let certainty = if known.heals || known.rank == Rank::State {
                Certainty::Likely
            } else {
                Certainty::Certain
            };
            found.push((known.rank, verdict(known, &gaps, evidence, certainty, &because, "")));
        }
    }
    for finding in findings {
        let certainty = certainty(reader, finding);
        found.push((
            finding.known.rank,
            verdict(
                finding.known,
                &finding.gaps,
                evidence,
                certainty,
                &finding.text,
                &finding.time,
            ),
        ));
    }
    found
}

fn certainty(reader: &Reader, finding: &Finding) -> Certainty {
    let known = finding.known;
    match (finding.level, known.rank) {
        (Level::Error, Rank::Root) if !known.heals || reader.is_final(finding) => {
            Certainty::Certain
        }
        (Level::Error, Rank::Root) => Certainty::Likely,
        (_, Rank::Symptom) if reader.is_final(finding) => Certainty::Likely,
        (_, Rank::Root) if !known.heals || reader.is_final(finding) || finding.times > 2 => {
            Certainty::Likely
        }
        _ => Certainty::Possible,
    }
}

fn verdict(
    known: &Known,
    gaps: &Gaps,
    evidence: &Evidence,
    certainty: Certainty,
    text: &str,
    at: &str,
) -> Verdict {
    let values = values(gaps, evidence);
    Verdict {
        code: known.code.into(),
        title: fill(known.title, &values),
        layer: known.layer,
        meaning: fill(known.meaning, &values),
        fix: known.fix.iter().map(|fix| fill(fix, &values)).collect(),
        certainty,
        shown_by: redact(text),
        at: at.into(),
        source: known.source.into(),
    }
}

/// What to change where a cause is known by its code: the table's text with values in its gaps. Empty if there is no such code.
pub fn fix(code: &str, values: &[(&str, &str)]) -> Vec<String> {
    let values =
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let known = known::all().find(|known| known.code == code);
    known.map(|known| known.fix.iter().map(|fix| fill(fix, &values)).collect()).unwrap_or_default()
}

/// Keys of the connector's configuration that may stand in a fix. None of them is a secret.
const TOLD_KEYS: &[&str] = &[
    "database.dbname",
    "database.hostname",
    "database.port",
    "database.server.id",
    "database.user",
    "publication.name",
    "schema.history.internal.kafka.bootstrap.servers",
    "schema.history.internal.kafka.topic",
    "slot.name",
    "table.include.list",
    "topic.creation.default.replication.factor",
    "topic.prefix",
];

/// What can stand in a fix: gaps, then the configuration. A placeholder (`${…}`) tells nothing.
fn values(gaps: &Gaps, evidence: &Evidence) -> BTreeMap<String, String> {
    let config =
        TOLD_KEYS.iter().filter_map(|key| Some((*key, evidence.connector_config.get(*key)?)));
    let mut values: BTreeMap<_, _> = config
        .filter(|(_, value)| !value.contains("${"))
        .map(|(k, v)| (k.to_owned(), v.clone()))
        .collect();
    values.insert("connector".into(), evidence.connector.clone());
    if let Some(user) = values.get("database.user").cloned() {
        values.insert("user".into(), user);
    }
    values.extend(gaps.iter().map(|(name, value)| ((*name).to_owned(), redact(value))));
    values
}

/// Puts values into `{name}`s; what isn't known stays as `<name>`.
fn fill(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled += before;
        let name = after.split_once('}').filter(|(name, _)| is_name(name));
        let Some((name, after)) = name else {
            filled.push('{');
            rest = after;
            continue;
        };
        match values.get(name) {
            Some(value) if value.is_empty() => filled += "(nothing)",
            Some(value) => filled += value,
            None => filled += &format!("<{name}>"),
        }
        rest = after;
    }
    filled + rest
}

/// Braces with anything else between them stand for themselves.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '.')
}

fn last_error(reader: &Reader, verdict: Option<&Verdict>) -> Option<LastError> {
    let failure =
        verdict.and_then(|v| reader.failure_at(&v.at, &v.shown_by)).or_else(|| reader.failure())?;
    Some(LastError {
        at: failure.time.clone(),
        context: failure.context.clone(),
        message: redact(&failure.message),
        exception: (!failure.exception.is_empty()).then(|| redact(&failure.exception.join(" "))),
        caused_by: failure.caused_by.as_deref().map(redact),
    })
}

/// What must have worked for the verdict's text to be written, and what the log or the facts say besides.
fn ruled_out(reader: &Reader, evidence: &Evidence, verdict: &Verdict) -> Vec<RuledOut> {
    let mut out: BTreeMap<Layer, String> = BTreeMap::new();
    if !verdict.shown_by.is_empty() {
        for layer in verdict.layer.needs() {
            out.insert(
                *layer,
                format!("without it there would be no \"{}\"", short(&verdict.shown_by)),
            );
        }
    }
    for layer in reader.layers_worked() {
        if layer != verdict.layer {
            let words = reader.worked_at(layer).unwrap_or_default();
            out.entry(layer)
                .or_insert_with(|| format!("the log says \"{}\"", short(&redact(words))));
        }
    }
    let Facts { secret_changed_at, connector_started_at, .. } = &evidence.facts;
    if let (Some(changed), Some(started)) = (secret_changed_at, connector_started_at)
        && changed < started
        && verdict.layer == Layer::DatabaseLogin
    {
        let because =
            "the secret has not changed since the connector read it: a rotation is not the cause";
        out.insert(Layer::Secret, because.into());
    }
    let what = |layer: Layer| layer.what().to_owned();
    out.into_iter().map(|(layer, because)| RuledOut { layer, what: what(layer), because }).collect()
}

/// A quotation for half a line.
fn short(text: &str) -> String {
    let clipped = pattern::clip(text, 100);
    if clipped.len() < text.len() { format!("{clipped}…") } else { clipped.to_owned() }
}

impl fmt::Display for Certainty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Possible => "possible",
            Self::Likely => "likely; it is still being tried again, or follows from something else",
            Self::Certain => "certain; waiting does not help",
        })
    }
}

/// For a person: the verdict first, then what to do, then how it is known.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Some(verdict) => write!(f, "{}: {verdict}", self.connector)?,
            None if self.wrong => {
                writeln!(f, "{}: failed, and the cause is none that is known", self.connector)?;
            }
            None => return writeln!(f, "{}: nothing wrong shows", self.connector),
        }
        if let Some(error) = &self.error {
            writeln!(f, "  last error  {error}")?;
        }
        if let Some(reported) =
            self.reported.as_ref().filter(|r| !r.code.is_empty() || !r.message.is_empty())
        {
            writeln!(f, "  reported    {}: {}", reported.code, reported.message)?;
        }
        for other in &self.also {
            writeln!(f, "  also        {} {} ({})", other.code, other.title, other.shown_by)?;
        }
        let mut ruled_out: Vec<(&str, Vec<&str>)> = Vec::new();
        for out in &self.ruled_out {
            match ruled_out.iter_mut().find(|(because, _)| *because == out.because) {
                Some((_, what)) => what.push(&out.what),
                None => ruled_out.push((&out.because, vec![&out.what])),
            }
        }
        for (because, what) in ruled_out {
            writeln!(f, "  not         {}: {because}", what.join("; "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} [{}]", self.title, self.code)?;
        writeln!(f, "  meaning     {}", self.meaning)?;
        for (n, fix) in self.fix.iter().enumerate() {
            writeln!(f, "  {:<11} {fix}", if n == 0 { "fix" } else { "" })?;
        }
        writeln!(f, "  certainty   {}", self.certainty)?;
        if !self.shown_by.is_empty() {
            let at = if self.at.is_empty() { String::new() } else { format!("{}  ", self.at) };
            writeln!(f, "  shown by    {at}{}", self.shown_by)?;
        }
        Ok(())
    }
}

impl fmt::Display for LastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let context =
            if self.context.is_empty() { String::new() } else { format!("[{}] ", self.context) };
        write!(f, "{context}{}", self.message)?;
        if let Some(exception) = &self.exception {
            write!(f, ": {exception}")?;
        }
        match &self.caused_by {
            Some(cause) => write!(f, "; caused by: {cause}"),
            None => Ok(()),
        }
    }
}
