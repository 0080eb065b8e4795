//! A diagnosis while the log is still being written.

use super::reader::Reader;
use super::{Certainty, Diagnosis, Evidence, LogLine, conclude};

/// Watches a log and says at once when a cause is certain.
///
/// ```
/// use msk_pipeline_verify::cause::{LogLine, Watch};
///
/// let mut watch = Watch::new("orders");
/// let retried = "[2026-08-01 10:00:00,123] WARN [orders|task-0] Connection to node -1 (b-1/10.0.1.4:9098) could not be established. \
///     Node may not be available. (org.apache.kafka.clients.NetworkClient:830)";
/// assert!(watch.feed([LogLine::new(retried)]).is_none());
/// ```
#[derive(Debug, Clone)]
pub struct Watch {
    reader: Reader,
    evidence: Evidence,
    told: Option<String>,
}

impl Watch {
    /// Begins to watch a connector.
    pub fn new(connector: impl Into<String>) -> Self {
        Self::with(Evidence { connector: connector.into(), ..Evidence::default() })
    }

    /// Begins with what is known already. The lines in it are read as if they had been fed.
    pub fn with(mut evidence: Evidence) -> Self {
        let mut reader = Reader::new(&evidence.connector);
        for line in std::mem::take(&mut evidence.lines) {
            reader.line(&line);
        }
        Self { reader, evidence, told: None }
    }

    /// Reads new lines. A diagnosis comes back when they make a cause certain that hasn't been told yet; nothing comes back while what
    /// failed is tried again and may still heal.
    pub fn feed(&mut self, lines: impl IntoIterator<Item = LogLine>) -> Option<Diagnosis> {
        let mut read = false;
        for line in lines {
            self.reader.line(&line);
            read = true;
        }
        if !read {
            return None;
        }
        let diagnosis = self.diagnosis();
        let certain = diagnosis.verdict.as_ref().filter(|v| v.certainty == Certainty::Certain)?;
        if self.told.as_ref() == Some(&certain.code) {
            return None;
        }
        self.told = Some(certain.code.clone());
        Some(diagnosis)
    }

    /// What is known so far, certain or not.
    pub fn diagnosis(&self) -> Diagnosis {
        conclude(&self.reader, &self.evidence)
    }
}
