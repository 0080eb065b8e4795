//! Errors as people and programs get them: message, place in the file, one line of help, exit code.

use std::fmt::Write as _;
use std::ops::Range;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report,
};
use msk_pipeline_core::dsl::{Problem, Problems, Severity};
use msk_pipeline_core::graph::GraphError;
use msk_pipeline_core::kind::{CallError, Class};
use msk_pipeline_core::run::RunError;
use msk_pipeline_core::state::StoreError;
use msk_pipeline_local::LocalError;
use serde_json::{Value, json};

use crate::args::Command;
use crate::exit::Exit;
use crate::printer::{Printer, tame};
use crate::report;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    findings: Vec<Finding>,
    source: Option<Text>,
}

/// The text that spans point into.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) name: String,
    pub(crate) text: String,
}

#[derive(Debug, Clone)]
struct Finding {
    severity: Severity,
    message: String,
    help: Option<String>,
    path: String,
    span: Option<Range<usize>>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        let (message, severity) = (message.into(), Severity::Error);
        let finding = Finding { severity, message, help: None, path: String::new(), span: None };
        Self { exit, findings: vec![finding], source: None }
    }

    /// Says what to do.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        let help = help.into();
        if let Some(finding) = self.findings.last_mut()
            && !help.is_empty()
        {
            finding.help = Some(help);
        }
        self
    }

    fn and(mut self, other: Failure) -> Self {
        self.findings.extend(other.findings);
        self
    }

    /// What is wrong with a declaration.
    pub(crate) fn problems(problems: &Problems, source: Text) -> Self {
        let mut findings: Vec<_> = problems.0.iter().map(Finding::of).collect();
        // What keeps it from working comes first.
        findings.sort_by_key(|f| std::cmp::Reverse(f.severity));
        Self { exit: Exit::Invalid, findings, source: Some(source) }
    }

    pub(crate) fn graph(errors: &[GraphError]) -> Self {
        let all = errors.iter().map(|e| Failure::new(Exit::Invalid, e.to_string()));
        all.reduce(Failure::and).unwrap_or_else(|| Failure::new(Exit::Failed, "no graph"))
    }

    pub(crate) fn interrupted(what: &str) -> Self {
        Failure::new(Exit::Interrupted, format!("interrupted: {what}"))
    }

    /// AWS refused a read that comes before any plan.
    pub(crate) fn call(what: &str, error: &CallError) -> Self {
        let help = match error.class {
            Class::Expired => "renew the credentials, then run this again",
            Class::Denied => {
                "check the credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID, or `aws sso login`; \
                 with --local none are needed"
            }
            Class::Unknown => "check the network and the credentials, then run this again",
            _ => "",
        };
        Failure::new(Exit::Failed, format!("{what}: {error}")).help(help)
    }

    /// Everything that keeps a run from beginning or going on. `again` is the command that was given.
    pub(crate) fn run(error: &RunError, again: &str) -> Self {
        let message = error.to_string();
        match error {
            RunError::Store(error) => Failure::store(error),
            RunError::Plan(errors) => errors
                .iter()
                .map(|e| Failure::new(Exit::Failed, e.to_string()))
                .reduce(Failure::and)
                .unwrap_or_else(|| Failure::new(Exit::Failed, message)),
            RunError::Refused(refusals) => refusals
                .iter()
                .map(|r| {
                    let message = format!("{}: {}", r.address, r.because);
                    Failure::new(Exit::Failed, message).help(r.help.clone())
                })
                .reduce(Failure::and)
                .unwrap_or_else(|| Failure::new(Exit::Failed, message)),
            RunError::DataLoss(effects) => {
                let list: Vec<_> = effects.iter().map(|(a, d)| format!("{a} ({d})")).collect();
                let flags: Vec<_> =
                    effects.iter().map(|(a, _)| format!("--allow-data-loss {a}")).collect();
                let message = format!("refused, nothing was changed: {}", list.join("; "));
                let help = format!("if that is wanted: {again} {}", flags.join(" "));
                Failure::new(Exit::DataLoss, message).help(help)
            }
            RunError::WrongWorld { .. } => Failure::new(Exit::Invalid, message).help(
                "state belongs to one account and region; check credentials, region and --env",
            ),
            RunError::StalePlan(_) => {
                Failure::new(Exit::Invalid, message).help("plan again and review what changed")
            }
            RunError::Interrupted => Failure::interrupted("nothing was changed"),
        }
    }

    pub(crate) fn store(error: &StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Locked(_) | StoreError::Leased { .. } => Failure::new(Exit::Locked, message)
                .help("wait for that run to end, or give --lock-timeout 10m to wait here"),
            StoreError::Fenced { .. } => Failure::new(Exit::Locked, message)
                .help("see what the other run does with `status`"),
            StoreError::Lost { .. } => Failure::new(Exit::Locked, message)
                .help("no call was made since; see what the other run does with `status`"),
            StoreError::Remote { help, .. } => {
                Failure::new(Exit::Failed, message).help(help.clone())
            }
            StoreError::Newer { .. } => {
                Failure::new(Exit::Invalid, message).help("update msk-pipeline")
            }
            StoreError::Illegal(_) | StoreError::Damaged { .. } => Failure::new(Exit::Failed, message)
                .help("the file was changed by something else; restore it from a backup, objects in AWS are untouched"),
            StoreError::Io { .. } => Failure::new(Exit::Failed, message),
        }
    }

    pub(crate) fn local(error: &LocalError) -> Self {
        let message = error.to_string();
        match error {
            LocalError::World(_) => Failure::new(Exit::Failed, message)
                .help("if it is not worth keeping, remove .msk-pipeline/world"),
            LocalError::Other { .. } => Failure::new(Exit::Invalid, message),
            LocalError::Simulated { .. } => Failure::new(Exit::Invalid, message).help(
                "go on without --real; or forget it with `local reset`, and --real begins one with real programs",
            ),
            LocalError::Port { .. } => Failure::new(Exit::Failed, message)
                .help("choose another with --port; 0 takes a free one"),
        }
    }

    /// The programs behind the embedded AWS.
    pub(crate) fn real(error: &msk_pipeline_real::Error) -> Self {
        use msk_pipeline_real::Error;
        let message = error.whole();
        match error {
            Error::Served(server) if !server.real => Failure::new(Exit::Invalid, message)
                .help("end that one with Ctrl-C in its terminal, then run this again"),
            Error::Served(_) => Failure::new(Exit::Invalid, message)
                .help("use it with --local --real, or end it with `local stop`"),
            _ => Failure::new(Exit::Failed, message),
        }
    }

    /// Prints the failure and returns its exit code.
    pub(crate) fn report(&self, printer: &Printer, command: &Command) -> Exit {
        self.print(printer);
        if printer.json {
            let value = report::json::failure(command, self);
            printer.data_json(&value);
        }
        self.exit
    }

    pub(crate) fn print(&self, printer: &Printer) {
        printer.say(render(&self.findings, self.source.as_ref(), printer).trim_end());
        let errors = self.findings.iter().filter(|f| f.severity == Severity::Error).count();
        if let Some(source) = &self.source
            && errors > 1
        {
            printer.say(format!("{errors} errors in {}; nothing was done.", source.name));
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        self.findings.iter().map(|f| f.to_json(self.source.as_ref())).collect()
    }
}

impl Finding {
    fn of(problem: &Problem) -> Self {
        Self {
            severity: problem.severity,
            message: problem.message.clone(),
            help: problem.help.clone(),
            path: problem.path.to_string(),
            span: problem.span.clone(),
        }
    }

    fn to_json(&self, source: Option<&Text>) -> Value {
        let place = self.span.as_ref().zip(source).map(|(span, source)| {
            let before = &source.text[..span.start.min(source.text.len())];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            json!({ "file": source.name, "line": line, "column": column })
        });
        json!({
            "severity": if self.severity == Severity::Error { "error" } else { "warning" },
            "message": self.message,
            "help": self.help,
            "path": (!self.path.is_empty()).then_some(&self.path),
            "place": place,
        })
    }
}

/// Warnings, for people.
pub(crate) fn warn(problems: &[Problem], source: &Text, printer: &Printer) {
    let findings: Vec<_> = problems.iter().map(Finding::of).collect();
    if !findings.is_empty() {
        printer.say(render(&findings, Some(source), printer).trim_end());
    }
}

/// Problems as JSON.
pub(crate) fn problems_json(problems: &[Problem], source: &Text) -> Value {
    problems.iter().map(|p| Finding::of(p).to_json(Some(source))).collect()
}

fn render(findings: &[Finding], source: Option<&Text>, printer: &Printer) -> String {
    let theme =
        if printer.err.0 { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let wrapped = GraphicalReportHandler::new_themed(theme)
        .with_width(printer.width())
        .with_links(false)
        .with_break_words(false);
    // A command is to be copied, so that its line stays whole.
    let whole = wrapped.clone().with_wrap_lines(false);
    let mut out = String::new();
    for finding in findings {
        let mut diagnostic = MietteDiagnostic::new(tame(&finding.message));
        diagnostic.severity = Some(match finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        });
        diagnostic.help = finding.help.as_deref().map(tame);
        let mut report = None;
        if let (Some(span), Some(source)) = (&finding.span, source) {
            // A span over several lines says no more than its first.
            let text = &source.text;
            let start = span.start.min(text.len());
            let line_end = text[start..].find('\n').map_or(text.len(), |n| start + n);
            let length = span.end.min(line_end).saturating_sub(start);
            let label = (!finding.path.is_empty()).then(|| finding.path.clone());
            let label = LabeledSpan::new(label, start, length);
            let named = NamedSource::new(&source.name, text.clone());
            report =
                Some(Report::new(diagnostic.clone().with_label(label)).with_source_code(named));
        } else if !finding.path.is_empty() && !finding.message.contains(&finding.path) {
            diagnostic.message = format!("{}: {}", finding.path, diagnostic.message);
        }
        let report = report.unwrap_or_else(|| Report::new(diagnostic));
        let copied = finding.help.as_ref().is_some_and(|help| help.contains("msk-pipeline "));
        let handler = if copied { &whole } else { &wrapped };
        if handler.render_report(&mut out, report.as_ref()).is_err() {
            // The text can be had without the picture.
            let _ = writeln!(out, "error: {}", finding.message);
        }
    }
    out
}
