//! A failure as it is declared: what is wrong, what was done, how it shows, and the cause that has to be told.

use std::time::Duration;

use msk_pipeline_verify::cause::{Certainty, Verdict};

use crate::table::{By, Row};

/// A failure, and what is to be said of it.
#[derive(Clone, Copy)]
pub(crate) struct Failure {
    /// What is wrong, in a few words.
    pub(crate) what: &'static str,
    /// What was done.
    pub(crate) how: &'static str,
    pub(crate) code: &'static str,
    /// How it begins to show.
    pub(crate) symptom: &'static str,
    pub(crate) least: Certainty,
    pub(crate) by: By,
}

impl Failure {
    /// One that programs show and that is certain.
    pub(crate) const fn new(
        what: &'static str,
        how: &'static str,
        code: &'static str,
        symptom: &'static str,
    ) -> Self {
        Self { what, how, code, symptom, least: Certainty::Certain, by: By::Programs }
    }

    /// What came of it.
    pub(crate) fn row(
        &self,
        verdict: &Verdict,
        symptom: Option<Duration>,
        latency: Option<Duration>,
    ) -> Row {
        Row {
            what: self.what.into(),
            how: self.how.into(),
            code: verdict.code.clone(),
            title: verdict.title.clone(),
            by: self.by,
            symptom,
            latency,
        }
    }

    pub(crate) const fn likely(mut self) -> Self {
        self.least = Certainty::Likely;
        self
    }

    pub(crate) const fn by_rules(mut self) -> Self {
        self.by = By::Rules;
        self
    }
}
