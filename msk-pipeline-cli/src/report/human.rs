//! A run's events for people: a compact live view on a terminal, plain lines with the time elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use msk_pipeline_core::dsl::Notice;
use msk_pipeline_core::kind::Verdict;
use msk_pipeline_core::plan::{Action, Plan};
use msk_pipeline_core::run::{Answer, EventSink, RunEvent, StepOutcome};
use msk_pipeline_core::{Address, Clock, Timestamp};

use super::cloud::Cloud;
use super::plan::View;
use super::words::{doing, done, span, time_of_day};
use crate::printer::{Printer, cut, tame, visible, wrap};

/// Where there is no live view, a sign of life comes at least this often.
const SIGN_OF_LIFE: Duration = Duration::from_mins(1);

/// Renders events.
pub(crate) struct Human {
    printer: Arc<Printer>,
    clock: Arc<dyn Clock>,
    cloud: Cloud,
    scale: f64,
    inner: Mutex<Inner>,
}

struct Inner {
    /// The nonce of a plan that was shown already.
    shown: Option<String>,
    /// What the plan keeps in AWS and forgets.
    kept: BTreeSet<Address>,
    running: BTreeMap<Address, Running>,
    /// What was told of each address, where lines stay: nothing is said twice.
    told: BTreeSet<(Address, String)>,
    left: usize,
    over: usize,
    /// Somebody asked to stop; what is skipped from now on is counted at the end.
    interrupted: bool,
    last_line: Instant,
    frame: usize,
}

struct Running {
    action: Action,
    since: Timestamp,
    usual: Duration,
    doing: String,
}

impl Human {
    pub(crate) fn new(
        printer: &Arc<Printer>,
        clock: &Arc<dyn Clock>,
        cloud: Cloud,
        scale: f64,
    ) -> Self {
        Self {
            printer: Arc::clone(printer),
            clock: Arc::clone(clock),
            cloud,
            scale,
            inner: Mutex::new(Inner {
                shown: None,
                kept: BTreeSet::new(),
                running: BTreeMap::new(),
                told: BTreeSet::new(),
                left: 0,
                over: 0,
                interrupted: false,
                last_line: Instant::now(),
                frame: 0,
            }),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a plan, once.
    pub(crate) fn show(&self, plan: &Plan) {
        let mut inner = self.inner();
        let kept = plan.steps.iter().filter(|s| s.keeps);
        inner.kept = kept.map(|s| s.address.clone()).collect();
        inner.left = plan.steps.iter().filter(|s| s.action != Action::NoOp).count();
        if inner.shown.as_ref() == Some(&plan.nonce) {
            return;
        }
        inner.shown = Some(plan.nonce.clone());
        drop(inner);
        self.printer.say(format!("{}\n", self.view(&[]).plan(plan)));
    }

    /// How plans are shown on stderr.
    pub(crate) fn view<'a>(&self, notices: &'a [Notice]) -> View<'a> {
        View {
            paint: self.printer.err,
            width: self.printer.width(),
            verbose: self.printer.verbose,
            cloud: self.cloud,
            scale: self.scale,
            notices,
        }
    }

    fn mark(&self) -> String {
        self.cloud.mark(" ")
    }

    /// Redraws the live view, or gives a sign of life.
    pub(crate) fn tick(&self) {
        let mut inner = self.inner();
        if inner.running.is_empty() {
            return;
        }
        let now = self.clock.wall();
        if self.printer.redraws {
            inner.frame += 1;
            let lines = self.live(&inner, now);
            drop(inner);
            self.printer.redraw(&lines);
        } else if inner.last_line.elapsed() > SIGN_OF_LIFE {
            inner.last_line = Instant::now();
            let list: Vec<_> = inner
                .running
                .iter()
                .map(|(address, r)| format!("{address} ({}, {})", r.doing, r.time(now)))
                .collect();
            drop(inner);
            let text = format!("{} under way: {}{}", time_of_day(), list.join("; "), self.mark());
            self.printer.say(text);
        }
    }

    fn live(&self, inner: &Inner, now: Timestamp) -> Vec<String> {
        const SPINNER: [char; 8] = ['⣷', '⣯', '⣟', '⡿', '⢿', '⣻', '⣽', '⣾'];
        let p = self.printer.err;
        let width = self.printer.width().saturating_sub(1);
        let spinner = SPINNER[inner.frame % SPINNER.len()];
        let widest = inner.running.keys().map(|a| a.as_str().len()).max().unwrap_or(0).min(34);
        let mut lines: Vec<String> = inner
            .running
            .iter()
            .map(|(address, running)| {
                // The time and the mark stay whole; what is done is cut.
                let tail = format!("  {}{}", running.time(now), self.mark());
                let head = format!("{spinner} {address:widest$}  {}", running.doing);
                let head = cut(&head, width.saturating_sub(visible(&tail)));
                format!("{}{}", p.cyan(head), p.dim(tail))
            })
            .collect();
        let waiting = inner.left.saturating_sub(inner.over + inner.running.len());
        let status =
            format!("  {} done, {} under way, {waiting} to come", inner.over, inner.running.len());
        lines.push(p.dim(cut(&status, width)));
        lines
    }

    /// Takes the live view away.
    pub(crate) fn end(&self) {
        self.inner().running.clear();
        self.printer.redraw(&[]);
    }

    /// A line that stays.
    fn line(&self, text: &str) {
        self.inner().last_line = Instant::now();
        let time = if self.printer.redraws { String::new() } else { format!("{} ", time_of_day()) };
        let indent = visible(&time) + 2;
        self.printer.say(wrap(&format!("{time}{text}"), self.printer.width(), indent));
    }

    /// A line about a resource, where there is no live view; a call that is tried again is no news.
    fn news(&self, address: &Address, text: &str) {
        let news = self.inner().told.insert((address.clone(), text.to_owned()));
        if news || self.printer.verbose > 0 {
            self.line(&format!("{address}: {text}"));
        }
    }

    fn update(&self, address: &Address, doing: String) {
        if let Some(running) = self.inner().running.get_mut(address) {
            running.doing = doing;
        }
    }

    fn finished(
        &self,
        address: &Address,
        action: Action,
        outcome: &StepOutcome,
        elapsed: Duration,
    ) {
        let p = self.printer.err;
        let kept = {
            let mut inner = self.inner();
            inner.running.remove(address);
            inner.over += 1;
            inner.kept.contains(address)
        };
        match outcome {
            StepOutcome::Done { .. } if kept => {
                self.line(&format!("{} kept {address}{}", p.green("="), self.mark()));
            }
            StepOutcome::Done { .. } => {
                if action == Action::Record && self.printer.verbose == 0 {
                    return;
                }
                let time = if elapsed.as_secs() > 0 {
                    format!(" in {}", span(elapsed))
                } else {
                    String::new()
                };
                let text = format!("{} {address}{time}{}", done(action), self.mark());
                self.line(&format!("{} {text}", p.green("✓")));
            }
            StepOutcome::Failed { cause, help } => {
                let cause = tame(cause);
                self.line(&format!("{} {address}: {cause}{}", p.red("✗ failed"), self.mark()));
                if !help.is_empty() {
                    self.line(&format!("  help: {}", tame(help)));
                }
            }
            StepOutcome::Skipped { .. } if self.inner().interrupted => {}
            StepOutcome::Skipped { because_of } => {
                self.line(&format!("{} {address}, because of {because_of}", p.yellow("- skipped")));
            }
            StepOutcome::Declined => {
                self.line(&format!("{} {address}: its stage was declined", p.yellow("- skipped")));
            }
            StepOutcome::Open => {
                self.line(&format!(
                    "{} {address}: its stage waits for approval",
                    p.yellow("- left")
                ));
            }
            // The end lists what goes on.
            StepOutcome::Interrupted { .. } => self.inner().interrupted = true,
        }
    }
}

impl Running {
    fn time(&self, now: Timestamp) -> String {
        let since = now.since(self.since);
        if self.usual.is_zero() {
            span(since)
        } else {
            format!("{} of about {}", span(since), span(self.usual))
        }
    }
}

impl EventSink for Human {
    fn emit(&self, event: RunEvent) {
        let p = self.printer.err;
        match event {
            RunEvent::WaitingForLock { holder } => {
                self.line(&format!(
                    "The state is locked by {} ({}) since {}; waiting for that run to end or to prove that it lives",
                    tame(&holder.who),
                    tame(&holder.why),
                    holder.since
                ));
            }
            RunEvent::TookOver { from } => {
                self.line(&p.yellow(format!(
                    "Took over from {} ({}), whose lease expired",
                    tame(&from.who),
                    tame(&from.why)
                )));
            }
            RunEvent::Settling { address, op } => {
                self.line(&format!(
                    "{address}: an earlier run sent {op}; looking for what became of it"
                ));
            }
            RunEvent::Settled { address, found, .. } => {
                self.line(&format!("{address}: {}{}", tame(&found), self.mark()));
            }
            RunEvent::Planned { plan } => self.show(&plan),
            RunEvent::Gate { stage, answer, earlier } => match answer {
                Answer::Approve if earlier => {
                    self.line(&format!("Stage {stage}: approved in an earlier run"));
                }
                Answer::Approve => {}
                Answer::Decline => self.line(&p.yellow(format!("Stage {stage}: declined"))),
                Answer::Later => self.line(&p.yellow(format!("Stage {stage}: left open"))),
            },
            RunEvent::StepStarted { address, action, usual_secs, .. } => {
                let running = Running {
                    action,
                    since: self.clock.wall(),
                    usual: Duration::from_secs(usual_secs),
                    doing: doing(action).into(),
                };
                self.inner().running.insert(address, running);
            }
            RunEvent::CallStarted { address, op, data } => {
                self.update(&address, op.clone());
                if !self.printer.redraws {
                    let data = match data.verdict {
                        Verdict::None => String::new(),
                        _ => format!("  data: {}", tame(&data.to_string())),
                    };
                    self.news(&address, &format!("{op}{data}"));
                }
            }
            RunEvent::CallFinished { address, error: Some(error), retry: true, .. } => {
                self.update(&address, format!("again after {}", tame(&error.to_string())));
                if self.printer.verbose > 0 {
                    self.line(&format!("{address}: {}; tried again", tame(&error.to_string())));
                }
            }
            RunEvent::Waiting { address, condition } => {
                let (seen, what) = (tame(&condition.seen), tame(&condition.what));
                let text = format!("{seen}, waits for {what}");
                if !self.printer.redraws {
                    let usual = if condition.usual.is_zero() {
                        String::new()
                    } else {
                        format!(" (usually {})", span(condition.usual))
                    };
                    self.news(&address, &format!("{text}{usual}{}", self.mark()));
                }
                let mut inner = self.inner();
                if let Some(running) = inner.running.get_mut(&address) {
                    running.doing = text;
                    if running.usual.is_zero() || running.action == Action::Wait {
                        running.usual = condition.usual;
                    }
                }
            }
            RunEvent::Certain { address, cause, help } => {
                self.line(&p.red(format!("{address} will not run: {}", tame(&cause))));
                if !help.is_empty() {
                    self.line(&format!("  fix: {}{}", tame(&help), self.mark()));
                }
            }
            RunEvent::StepFinished { address, action, outcome, elapsed_ms } => {
                self.finished(&address, action, &outcome, Duration::from_millis(elapsed_ms));
            }
            RunEvent::Finished { .. } => self.end(),
            // The first line was printed before; accepted calls show in what follows.
            _ => {}
        }
        if self.printer.redraws {
            self.tick();
        }
    }
}
