//! Reads a log line by line and keeps what counts: which known causes showed, what worked since, whether anything was final.
//!
//! Both a diagnosis and a watch are this fold; the time it takes is proportional to what it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::known::{self, FINAL, Known, Layer, MARKS, Rank, Sign, WITNESSES};
use super::log::{self, Level, LogLine, Open, Part};
use super::pattern::{self, Gaps, clip};

/// So many texts of one entry are kept, each this long in bytes: they decide what stands *within* an entry.
const TEXTS: usize = 64;
const TEXT: usize = 4 * 1024;
/// So many ERRORs are kept at most.
const FAILURES: usize = 64;
/// So many lines of an exception's own text are told.
const TOLD: usize = 3;

/// What is written at WARN and is an ERROR.
const FATAL: &[&str] = &[
    // Jetty, of what nobody caught in a REST call: to whoever called an answer 500, as what Connect's own mapper writes at ERROR.
    " (org.eclipse.jetty.server.HttpChannel:",
    // AbstractWorkerSourceTask.sendRecords: the task ends of it, some seconds later.
    " due to an unrecoverable exception",
];

/// A known cause that a log showed.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub known: &'static Known,
    pub gaps: Gaps,
    /// The text that showed it.
    pub text: String,
    /// When it was written, in the log's words; empty for a trace.
    pub time: String,
    /// The number of its entry.
    pub entry: usize,
    pub depth: usize,
    pub weight: usize,
    pub level: Level,
    /// How often it showed.
    pub times: usize,
}

/// An ERROR with its exceptions.
#[derive(Debug, Clone, Default)]
pub(super) struct Failure {
    entry: usize,
    pub time: String,
    pub context: String,
    pub message: String,
    /// The outermost exception with the lines of its text.
    pub exception: Vec<String>,
    /// The deepest `Caused by:`.
    pub caused_by: Option<String>,
}

/// The entry that is open for one worker.
#[derive(Debug, Clone, Default)]
struct Entry {
    /// Its number, from 1; 0 before the first, or if it is passed over.
    number: usize,
    level: Option<Level>,
    time: String,
    depth: usize,
    in_frames: bool,
    texts: Vec<String>,
}

/// The fold.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    connector: String,
    open: Open<Entry>,
    /// Entries so far.
    count: usize,
    findings: BTreeMap<&'static str, Finding>,
    /// For each layer the entry that last showed it working, with its words.
    worked: BTreeMap<Layer, (usize, String)>,
    /// The newest ERROR with a cause, with an exception, and of any kind.
    failures: Vec<Failure>,
    /// The entry that last said that nothing is tried again.
    pub last_final: Option<usize>,
    /// Marks that were written.
    marks: BTreeSet<&'static str>,
}

/// What one literal stands for.
#[derive(Clone, Copy)]
enum Anchor {
    Sign(&'static Known, &'static Sign),
    Witness(usize),
    Final,
    Mark(&'static str),
}

/// All literals, searched at once: the time for a line doesn't depend on how many causes are known.
struct Table {
    search: AhoCorasick,
    anchors: Vec<Anchor>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut literals = Vec::new();
    let mut anchors = Vec::new();
    for known in known::all() {
        for sign in known.signs {
            literals.push(pattern::anchor(sign.text));
            anchors.push(Anchor::Sign(known, sign));
        }
    }
    for (n, witness) in WITNESSES.iter().enumerate() {
        literals.push(witness.text);
        anchors.push(Anchor::Witness(n));
    }
    for text in FINAL {
        literals.push(text);
        anchors.push(Anchor::Final);
    }
    for text in MARKS {
        literals.push(text);
        anchors.push(Anchor::Mark(text));
    }
    Table { search: AhoCorasick::new(literals).expect("literals of a table"), anchors }
});

impl Reader {
    pub(super) fn new(connector: &str) -> Self {
        Self {
            connector: connector.to_owned(),
            open: Open::default(),
            count: 0,
            findings: BTreeMap::new(),
            worked: BTreeMap::new(),
            failures: Vec::new(),
            last_final: None,
            marks: BTreeSet::new(),
        }
    }

    /// Reads one event of a log.
    pub(super) fn line(&mut self, line: &LogLine) {
        // The lines of a trace in one event have the worker of its first line.
        let (of_event, _) = log::worker(log::cut(&line.text));
        for text in line.text.lines() {
            let (worker, text) = log::worker(log::cut(text));
            let worker = if worker.is_empty() { of_event } else { worker };
            let mut entry = std::mem::take(self.open.of(&line.stream, worker));
            self.part(&mut entry, log::part(text.trim_end()));
            *self.open.of(&line.stream, worker) = entry;
        }
    }

    /// Reads a stack trace that is known to be of a failure, as a last ERROR.
    pub(super) fn trace(&mut self, message: &str, trace: &str) {
        let mut entry = Entry::default();
        self.head(&mut entry, "", Level::Error, &self.connector.clone(), message);
        for text in trace.lines() {
            self.part(&mut entry, log::part(log::cut(text).trim_end()));
        }
        self.last_final = Some(self.count);
    }

    fn part(&mut self, entry: &mut Entry, part: Part<'_>) {
        match part {
            Part::Head { time, level, context, message } => {
                *entry = Entry::default();
                let name = context.split('|').next().unwrap_or_default();
                if name.is_empty() || name == self.connector {
                    let fatal = level == Level::Warn && FATAL.iter().any(|t| message.contains(t));
                    let level = if fatal { Level::Error } else { level };
                    self.head(entry, time, level, context, message);
                }
            }
            Part::Frame(text) => {
                entry.in_frames = true;
                if entry.number > 0 && entry.level == Some(Level::Error) {
                    self.look(entry, Level::Error, text);
                }
            }
            Part::Exception { text, caused } => self.exception(entry, text, caused),
        }
    }

    fn head(&mut self, entry: &mut Entry, time: &str, level: Level, context: &str, message: &str) {
        self.count += 1;
        entry.number = self.count;
        entry.level = Some(level);
        if level > Level::Info {
            time.clone_into(&mut entry.time);
        }
        if level == Level::Error {
            self.failed(entry.number, time, context, message);
        }
        self.text(entry, message);
    }

    /// Keeps an ERROR; those that can't be told any more make room.
    fn failed(&mut self, entry: usize, time: &str, context: &str, message: &str) {
        if self.failures.len() >= FAILURES {
            let told = self.failure().cloned();
            self.failures.clear();
            self.failures.extend(told);
        }
        let message = clip(message, TEXT).to_owned();
        let (time, context) = (time.to_owned(), context.to_owned());
        self.failures.push(Failure { entry, time, context, message, ..Failure::default() });
    }

    fn exception(&mut self, entry: &mut Entry, text: &str, caused: bool) {
        if entry.number == 0 || entry.level == Some(Level::Info) {
            return;
        }
        if caused {
            entry.depth += 1;
            entry.in_frames = false;
        }
        if entry.in_frames {
            return;
        }
        if let Some(failure) = self.failures.iter_mut().rev().find(|f| f.entry == entry.number) {
            if caused {
                failure.caused_by = Some(clip(text, TEXT).to_owned());
            } else if entry.depth == 0 && failure.exception.len() < TOLD {
                failure.exception.push(clip(text, TEXT).to_owned());
            }
        }
        self.text(entry, text);
    }

    /// Looks for everything that the table knows in one text of an entry.
    fn text(&mut self, entry: &mut Entry, text: &str) {
        let level = entry.level.unwrap_or(Level::Info);
        if level > Level::Info && entry.texts.len() < TEXTS {
            entry.texts.push(clip(text, TEXT).to_owned());
        }
        self.look(entry, level, text);
    }

    fn look(&mut self, entry: &Entry, level: Level, text: &str) {
        let table = &*TABLE;
        for found in table.search.find_overlapping_iter(text) {
            match table.anchors[found.pattern().as_usize()] {
                Anchor::Sign(known, sign) if level >= sign.level => {
                    self.sign(entry, level, known, sign, text);
                }
                Anchor::Witness(n) if level < Level::Error => self.worked(entry.number, n, text),
                Anchor::Sign(..) | Anchor::Witness(_) => {}
                Anchor::Mark(text) => _ = self.marks.insert(text),
                Anchor::Final => self.last_final = Some(entry.number),
            }
        }
    }

    fn worked(&mut self, entry: usize, witness: usize, text: &str) {
        for layer in WITNESSES[witness].proves {
            self.worked.insert(*layer, (entry, clip(text, 120).to_owned()));
        }
    }

    fn sign(
        &mut self,
        entry: &Entry,
        level: Level,
        known: &'static Known,
        sign: &'static Sign,
        text: &str,
    ) {
        let stands = |literal: &&str| entry.texts.iter().any(|text| text.contains(*literal));
        if sign.after.is_some_and(|mark| !self.marks.contains(mark)) {
            return;
        }
        if (!sign.within.is_empty() && !sign.within.iter().any(stands))
            || sign.without.iter().any(stands)
        {
            return;
        }
        let Some(gaps) = pattern::gaps(sign.text, text) else { return };
        let finding = Finding {
            known,
            gaps,
            text: clip(text, TEXT).to_owned(),
            time: entry.time.clone(),
            entry: entry.number,
            depth: entry.depth,
            weight: pattern::weight(sign.text)
                + sign.within.iter().map(|w| w.len()).max().unwrap_or(0),
            level,
            times: 1,
        };
        match self.findings.get_mut(known.code) {
            None => _ = self.findings.insert(known.code, finding),
            // An ERROR tells more than the warnings before it.
            Some(old) if old.level > level => old.times += 1,
            Some(old) => {
                let times = old.times + usize::from(old.entry != finding.entry);
                // An ERROR that names nothing is about what its own entry, or a quieter announcement, has named.
                let named = old.entry == finding.entry || old.level < level;
                let gaps = if named && finding.gaps.is_empty() {
                    std::mem::take(&mut old.gaps)
                } else {
                    finding.gaps
                };
                *old = Finding { gaps, times, ..finding };
            }
        }
    }

    /// What showed and isn't healed, the best first.
    pub(super) fn findings(&self) -> Vec<&Finding> {
        let mut open: Vec<_> =
            self.findings.values().filter(|finding| !self.healed(finding)).collect();
        open.sort_by_key(|f| std::cmp::Reverse(order(f)));
        open
    }

    /// True if what the finding says is broken has worked since, and nothing said after it that it ended.
    fn healed(&self, finding: &Finding) -> bool {
        let ended = self.last_final.is_some_and(|end| end >= finding.entry);
        let worked =
            self.worked.get(&finding.known.layer).is_some_and(|(at, _)| *at > finding.entry);
        worked && !ended && !finding.known.lasts
    }

    /// True if what the finding says was final.
    pub(super) fn is_final(&self, finding: &Finding) -> bool {
        self.last_final.is_some_and(|end| end >= finding.entry)
    }

    /// The words that last showed a layer working.
    pub(super) fn worked_at(&self, layer: Layer) -> Option<&str> {
        self.worked.get(&layer).map(|(_, text)| text.as_str())
    }

    /// The layers that were shown working.
    pub(super) fn layers_worked(&self) -> impl Iterator<Item = Layer> {
        self.worked.keys().copied()
    }

    /// True if the log's last word on the connector is that something ended.
    pub(super) fn last_final_stands(&self) -> bool {
        let streaming = self.worked.get(&Layer::Position).map_or(0, |(at, _)| *at);
        self.last_final.is_some_and(|end| end > streaming)
    }

    /// The ERROR of a time that holds a text.
    pub(super) fn failure_at(&self, time: &str, text: &str) -> Option<&Failure> {
        let holds = |f: &&Failure| {
            f.time == time
                && (f.message == text
                    || f.exception.iter().any(|e| e == text)
                    || f.caused_by.as_deref() == Some(text))
        };
        self.failures.iter().rev().find(holds)
    }

    /// The ERROR to tell: the newest with a cause, or else with an exception, or else the newest.
    pub(super) fn failure(&self) -> Option<&Failure> {
        let newest = |has: fn(&Failure) -> bool| self.failures.iter().rfind(|f| has(f));
        newest(|f| f.caused_by.is_some())
            .or_else(|| newest(|f| !f.exception.is_empty()))
            .or_else(|| newest(|_| true))
    }
}

/// What is wrong before what follows from it, what was an ERROR before warnings, then the newest, deepest and most exact.
fn order(finding: &Finding) -> (Rank, Level, usize, usize, usize) {
    (finding.known.rank, finding.level, finding.entry, finding.depth, finding.weight)
}
