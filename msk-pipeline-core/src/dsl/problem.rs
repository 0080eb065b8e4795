//! What is wrong with a declaration: everything at once, each with its place.

use std::fmt;
use std::ops::Range;

/// The place of a value in a declaration: `kafka`, `main`, `brokers`, `count`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path(Vec<String>);

impl Path {
    /// The place that these names lead to.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// The place one step further.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let mut names = self.0.clone();
        names.push(name.to_owned());
        Self(names)
    }

    /// The place that a key such as `brokers.count` leads to from here.
    #[must_use]
    pub fn dotted(&self, key: &str) -> Self {
        let mut names = self.0.clone();
        names.extend(key.split('.').filter(|k| !k.is_empty()).map(str::to_owned));
        Self(names)
    }

    pub(super) fn names(&self) -> &[String] {
        &self.0
    }

    pub(super) fn parent(&self) -> Option<Self> {
        let (_, rest) = self.0.split_last()?;
        Some(Self(rest.to_vec()))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, name) in self.0.iter().enumerate() {
            let dot = if n == 0 { "" } else { "." };
            let bare = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            if bare { write!(f, "{dot}{name}")? } else { write!(f, "{dot}\"{name}\"")? }
        }
        Ok(())
    }
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It works, and should be looked at.
    Warning,
    /// It can't work.
    Error,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, as a fragment.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where.
    pub path: Path,
    /// Where in the document's text, in bytes; unknown for what a builder declared.
    pub span: Option<Range<usize>>,
}

impl Problem {
    /// An error at `path`.
    pub fn error(path: Path, message: impl Into<String>) -> Self {
        let (message, severity) = (message.into(), Severity::Error);
        Self { severity, message, help: None, path, span: None }
    }

    /// A warning at `path`.
    pub fn warning(path: Path, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, message) }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        let help = help.into();
        self.help = (!help.is_empty()).then_some(help);
        self
    }
}

/// Everything that is wrong, warnings included.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
#[error("{}", .0.iter().map(line).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

fn line(problem: &Problem) -> String {
    let help = problem.help.as_deref().map(|h| format!(" (help: {h})")).unwrap_or_default();
    let place = problem.path.to_string();
    let colon = if place.is_empty() { "" } else { ": " };
    format!("{place}{colon}{}{help}", problem.message)
}

impl Problems {
    /// True if anything can't work.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|p| p.severity == Severity::Error)
    }
}

/// Text in backticks, for a message; empty text would leave nothing between them.
pub fn quoted(text: &str) -> String {
    if text.is_empty() { "empty text".into() } else { format!("`{text}`") }
}

/// `did you mean …?` for the candidate nearest to `word`, if one is near.
pub(super) fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let word = word.to_ascii_lowercase();
    let near = |c: &&str| strsim::jaro_winkler(&word, &c.to_ascii_lowercase());
    let best = candidates.into_iter().max_by(|a, b| near(a).total_cmp(&near(b)))?;
    (near(&best) > 0.82).then(|| format!("did you mean `{best}`?"))
}
