//! What a check found, whichever it is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cause;

/// One check of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at, such as `binlog format`.
    pub name: String,
    /// What was found.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// As it has to be.
    Pass {
        /// What is there.
        found: String,
    },
    /// Not as it has to be.
    Fail {
        /// The cause's code, as in a [`cause::Verdict`].
        code: String,
        /// What is there.
        found: String,
        /// What to change, in order.
        fix: Vec<String>,
    },
    /// It can't be looked at from here.
    Unreachable {
        /// What didn't answer.
        what: String,
        /// What to open, or where to run it.
        open: String,
    },
}

impl Check {
    /// As it has to be.
    pub fn pass(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), outcome: Outcome::Pass { found: found.into() } }
    }

    /// Not as it has to be. The fix is that of the table of known causes, with `values` in its gaps.
    pub fn fail(
        name: impl Into<String>,
        code: &str,
        found: impl Into<String>,
        values: &[(&str, &str)],
    ) -> Self {
        let fix = cause::fix(code, values);
        Self {
            name: name.into(),
            outcome: Outcome::Fail { code: code.into(), found: found.into(), fix },
        }
    }

    /// The same failure with these things to change, and no others.
    #[must_use]
    pub(crate) fn with_fix(mut self, fixes: Vec<String>) -> Self {
        if let Outcome::Fail { fix, .. } = &mut self.outcome {
            *fix = fixes;
        }
        self
    }

    /// Adds what to change, for what the table doesn't know; nothing to what isn't a failure.
    #[must_use]
    pub fn advise(mut self, text: impl Into<String>) -> Self {
        if let Outcome::Fail { fix, .. } = &mut self.outcome {
            fix.push(text.into());
        }
        self
    }

    /// Out of reach.
    pub fn unreachable(
        name: impl Into<String>,
        what: impl Into<String>,
        open: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            outcome: Outcome::Unreachable { what: what.into(), open: open.into() },
        }
    }

    /// True if it is as it has to be.
    pub fn passed(&self) -> bool {
        matches!(self.outcome, Outcome::Pass { .. })
    }

    /// True if it is not as it has to be; what is out of reach is neither.
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Fail { .. })
    }

    /// The code of a failure.
    pub fn code(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Fail { code, .. } => Some(code),
            _ => None,
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Pass { found } => write!(f, "ok    {}: {found}", self.name),
            Outcome::Fail { code, found, fix } => {
                write!(f, "FAIL  {}: {found} [{code}]", self.name)?;
                fix.iter().try_for_each(|fix| write!(f, "\n        {fix}"))
            }
            Outcome::Unreachable { what, open } => {
                write!(f, "?     {}: not from here: {what}\n        {open}", self.name)
            }
        }
    }
}
