//! Gates at a terminal, by flags, or left open. Without a terminal nothing is asked.

use std::collections::BTreeSet;
use std::io::BufRead as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use msk_pipeline_core::plan::Action;
use msk_pipeline_core::run::{Answer, Approver, Gate};

use crate::printer::{Printer, wrap};

/// Answers gates by flags; else asks at a terminal; else leaves them open.
pub(crate) struct Gates {
    printer: Arc<Printer>,
    everything: AtomicBool,
    stages: BTreeSet<String>,
}

impl Gates {
    pub(crate) fn new(printer: &Arc<Printer>, everything: bool, stages: &[String]) -> Self {
        Self {
            printer: Arc::clone(printer),
            everything: AtomicBool::new(everything),
            stages: stages.iter().cloned().collect(),
        }
    }
}

#[async_trait]
impl Approver for Gates {
    async fn ask(&self, gate: &Gate) -> Answer {
        if self.everything.load(Ordering::Relaxed) || self.stages.contains(&gate.stage) {
            return Answer::Approve;
        }
        if !self.printer.interactive {
            return Answer::Later;
        }
        let count = |of: &[Action]| {
            let steps = gate.steps.iter().filter(|s| s.adoption.is_none());
            steps.filter(|s| of.contains(&s.action)).count()
        };
        let taken = gate.steps.iter().filter(|s| s.adoption.is_some()).count();
        let parts: Vec<String> = [
            ("create", count(&[Action::Create])),
            ("change", count(&[Action::Update])),
            ("delete", count(&[Action::Delete])),
            ("wait for", count(&[Action::Wait])),
            ("take over", taken),
        ]
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(word, n)| format!("{n} to {word}"))
        .collect();
        loop {
            let stage = self.printer.err.bold(&gate.stage);
            let question = format!(
                "Stage {stage}, {}. Go on? [y]es, [a]ll stages, [n]o, [l]ater: ",
                parts.join(", ")
            );
            match answer(&self.printer, question).await.as_deref() {
                Some("y" | "yes") => return Answer::Approve,
                Some("a" | "all") => {
                    self.everything.store(true, Ordering::Relaxed);
                    return Answer::Approve;
                }
                Some("n" | "no") => return Answer::Decline,
                Some("l" | "later") | None => return Answer::Later,
                Some(_) => self.printer.say("Please answer y, a, n or l."),
            }
        }
    }
}

/// Asks and returns the answer in lower case; `None` at the end of input.
pub(crate) async fn answer(printer: &Printer, question: String) -> Option<String> {
    printer.ask(wrap(&question, printer.width(), 2));
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        match std::io::stdin().lock().read_line(&mut line) {
            Ok(n) if n > 0 => Some(line.trim().to_lowercase()),
            _ => None,
        }
    });
    let line = line.await.ok().flatten();
    printer.answered();
    line
}
