//! `docs/failures.md`: the table of results, and how it is read again.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::observer::LOOK;

/// Whose words the symptom is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    /// Real programs failed.
    Programs,
    /// The embedded AWS's rules failed it: loopback has no routes and brokers know one of IAM's actions.
    Rules,
    /// A recording was read.
    Recording,
}

impl By {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Programs, "real programs"),
        (Self::Rules, "the embedded AWS's rules"),
        (Self::Recording, "recording"),
    ];

    pub(crate) fn words(self) -> &'static str {
        Self::ALL.into_iter().find(|(by, _)| *by == self).expect("all").1
    }
}

/// A failure with what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) how: String,
    pub(crate) code: String,
    pub(crate) title: String,
    pub(crate) by: By,
    /// From the beginning of the failure to its symptom.
    pub(crate) symptom: Option<Duration>,
    /// From the symptom to its explanation.
    pub(crate) latency: Option<Duration>,
}

impl Row {
    fn cells(&self) -> [String; 7] {
        [
            self.what.clone(),
            self.how.clone(),
            self.by.words().into(),
            format!("`{}`", self.code),
            self.title.replace('<', "‹").replace('>', "›"),
            seconds(self.symptom),
            seconds(self.latency),
        ]
    }
}

/// Half of the interval between two looks is what a span is exact to.
fn seconds(span: Option<Duration>) -> String {
    match span {
        None => "–".into(),
        Some(span) if span < LOOK => format!("< {:.2} s", LOOK.as_secs_f64()),
        Some(span) => format!("{:.2} s", span.as_secs_f64()),
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, code, title, .. } = self;
        let (symptom, latency) = (seconds(self.symptom), seconds(self.latency));
        write!(f, "{what}: {title} [{code}], symptom after {symptom}, explained {latency} later")
    }
}

pub(crate) fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/failures.md")
}

pub(crate) const HEAD: &str = "# Provoked failures

What the table of [known causes](causes.md) is worth: failures that were provoked on the embedded AWS with real programs behind it (MariaDB, Kafka
with the IAM listener, Kafka Connect with the Debezium plugin that `apply` packs), each explained with its cause. Written by

    MSKP_REAL=1 MSKP_WRITE_DOCS=1 cargo test -p msk-pipeline-real --test failures -- --nocapture

which fails where a cause is another one, where another is told as certain before it, or where it comes two seconds after the symptom or later.

* *symptom after*: from the act that provokes the failure until the words by which it shows stand in the worker's own log file.
* *explained after*: from then until the reader that `apply`, `explain` and `connector logs` have in common (`cause::Watch`) is certain of the cause, fed line by line
  with what `FilterLogEvents` answers, asked every 50 ms, and with the connector's configuration. `apply` asks every two seconds, and on AWS CloudWatch takes
  some seconds of its own. `C-NO-TABLES` and `C-NO-TASK` are told as likely: a warning and a state say no more.
* *by*: whose words the symptom is. *Real programs*: MariaDB, Kafka or Kafka Connect failed. *The embedded AWS's rules*: loopback has no routes, and the brokers
  know one of IAM's actions, so the rules of the embedded AWS say it in the words of the programs' sources. *Recording*: it can't be provoked here; the
  log of that name in `msk-pipeline-verify/recordings/` is read. Where it isn't bold in [causes.md](causes.md) it is a text with its source.

";

/// The page.
pub(crate) fn page(rows: &[Row]) -> String {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| (row.by, &row.code, &row.what));
    let heads = [
        "failure",
        "how it was provoked",
        "by",
        "code",
        "what is told",
        "symptom after",
        "explained after",
    ];
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut page = HEAD.to_owned();
    page += &line(&heads.map(String::from));
    page += &line(&heads.map(|_| "---".into()));
    for row in rows {
        page += &line(&row.cells().map(|cell| cell.replace('|', "\\|")));
    }
    page
}

/// The rows of a page, cell by cell.
pub(crate) fn rows(page: &str) -> Vec<Vec<String>> {
    let lines = page.lines().filter(|line| line.starts_with("| ")).skip(2);
    let cells = |line: &str| line.split(" | ").map(|c| c.trim_matches(['|', ' ']).into()).collect();
    lines.map(cells).collect()
}
