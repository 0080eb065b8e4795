//! `verify`: whether rows come out, link by link, and by a row; `status --check`: whether connectors are alive, a line each.

use std::sync::Arc;

use msk_pipeline_aws::verify::{Depth, Report, Verdict, declared_retention, verify};
use msk_pipeline_core::Address;
use msk_pipeline_verify::{Check, Outcome};
use serde_json::{Value, json};

use super::connector::{asked, connectors};
use crate::args::{Sight, VerifyArgs};
use crate::behind::Site;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::printer::{Paint, Printer, tame};
use crate::settings::Settings;

pub(super) async fn run(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    args: &VerifyArgs,
) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen(printer, "verify", settings.command("verify"));
    let site = interrupt.or(Site::open(settings)).await?;
    let canary = args.canary || (site.is_own() && !args.passive);
    let depth = if canary { Depth::Proof { wait: args.wait } } else { Depth::Chain };
    let of = asked(&site.state, args.connector.as_deref())?;
    let reports = interrupt.or(look(settings, &site, &of, &args.sight, depth)).await?;
    tell(settings, printer, &reports, canary);
    Ok(exit(&reports))
}

/// Prints every link of each connector.
pub(super) fn tell(settings: &Settings, printer: &Printer, reports: &[Found<'_>], canary: bool) {
    say_none(printer, reports);
    if printer.json {
        print_json(printer, settings, reports);
    } else {
        for found in reports {
            print(printer, settings, found, canary);
        }
    }
}

/// `status --check`.
pub(super) async fn check(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    sight: &Sight,
) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen(printer, "status", settings.command("status --check"));
    let site = interrupt.or(Site::open(settings)).await?;
    let of = asked(&site.state, None)?;
    let reports = interrupt.or(look(settings, &site, &of, sight, Depth::Alive)).await?;
    say_none(printer, &reports);
    if printer.json {
        print_json(printer, settings, &reports);
    } else {
        for (address, report) in &reports {
            let (p, mark) = (printer.out, settings.cloud.mark("  "));
            let verdict = report.as_ref().map_or(Verdict::Wrong, |report| report.verdict);
            let line = report.as_ref().map_or_else(|| "it does not exist".into(), one_line);
            printer.data(format!("{} {address}  {}{mark}", word(p, verdict), tame(&line)));
        }
    }
    Ok(exit(&reports))
}

/// What was found of each connector; `None` if it does not exist.
pub(super) type Found<'a> = (&'a Address, Option<Report>);

pub(super) async fn look<'a>(
    settings: &Settings,
    site: &Site,
    of: &[(&'a Address, &str)],
    sight: &Sight,
    depth: Depth,
) -> Result<Vec<Found<'a>>, Failure> {
    let mut reports = Vec::new();
    for (address, name) in of {
        let arn = connectors(&site.state).find(|c| c.address == *address).and_then(|c| c.arn());
        let mut look = site.look(settings, arn.unwrap_or_default(), sight)?;
        look.retention = declared_retention(&site.declaration.pipeline, address);
        let report = verify(&site.target.session, name, &look, depth).await;
        let report = report
            .map_err(|error| Failure::call(&format!("{address} can't be looked at"), &error))?;
        reports.push((*address, report));
    }
    Ok(reports)
}

/// Nothing to look at is no success.
fn say_none(printer: &Printer, reports: &[Found<'_>]) {
    if reports.is_empty() {
        printer.say("No connector is recorded: there is nothing to verify.");
    }
}

/// Only what was seen to be well is well; of no connector nothing was seen.
pub(super) fn exit(reports: &[Found<'_>]) -> Exit {
    let well = |report: &Report| report.verdict == Verdict::Sound;
    let all = !reports.is_empty() && reports.iter().all(|(_, r)| r.as_ref().is_some_and(well));
    if all { Exit::Done } else { Exit::Failed }
}

fn print(printer: &Printer, settings: &Settings, (address, report): &Found<'_>, canary: bool) {
    let (p, mark) = (printer.out, settings.cloud.mark("  "));
    let Some(report) = report else {
        printer.data(format!("{} {address} does not exist{mark}", word(p, Verdict::Wrong)));
        return;
    };
    let verdict = word(p, report.verdict);
    printer.data(format!("{verdict} {address}  {}{mark}", tame(&report.connector)));
    for check in &report.checks {
        for (n, line) in tame(&check.to_string()).lines().enumerate() {
            let line = if n == 0 { painted(p, check, line) } else { line.to_owned() };
            printer.data(format!("  {line}"));
        }
    }
    match (canary, &report.proof) {
        (true, None) if report.verdict == Verdict::Wrong => {
            printer.data("  no row was tried: first what is wrong above");
        }
        (false, _) if report.verdict == Verdict::Sound => {
            printer.say("No row was changed; --canary proves it by one.");
        }
        _ => {}
    }
}

fn painted(p: Paint, check: &Check, line: &str) -> String {
    let (head, rest) = line.split_at(line.find("  ").unwrap_or(0));
    let head = match check.outcome {
        Outcome::Pass { .. } => p.green(head),
        Outcome::Fail { .. } => p.red(head),
        Outcome::Unreachable { .. } => p.yellow(head),
    };
    head + rest
}

/// The verdict, in one width.
fn word(p: Paint, verdict: Verdict) -> String {
    match verdict {
        Verdict::Sound => p.green("OK        "),
        Verdict::Unverified => p.yellow("UNVERIFIED"),
        Verdict::Wrong => p.red("WRONG     "),
    }
}

/// Why it isn't well, or what shows that it is.
fn one_line(report: &Report) -> String {
    let told = |check: &Check| match &check.outcome {
        Outcome::Pass { found } => format!("{} {found}", check.name),
        Outcome::Fail { code, found, fix } => {
            let fix = fix.first().map(|fix| format!(" {fix}")).unwrap_or_default();
            format!("{}: {found} [{code}]{fix}", check.name)
        }
        Outcome::Unreachable { what, open } => {
            format!("{}: not from here: {what}. {open}", check.name)
        }
    };
    match report.reason() {
        Some(reason) => format!("{}; {}", report.state, told(reason)),
        None => {
            let shown = ["tasks", "heartbeat", "last event", "binary log distance"];
            let shown = report.checks.iter().filter(|check| shown.contains(&check.name.as_str()));
            let parts: Vec<_> = shown.map(told).collect();
            std::iter::once(report.state.clone()).chain(parts).collect::<Vec<_>>().join("; ")
        }
    }
}

fn print_json(printer: &Printer, settings: &Settings, reports: &[Found<'_>]) {
    let each = reports.iter().map(|(address, report)| match report {
        None => json!({ "address": address, "exists": false, "verdict": Verdict::Wrong }),
        Some(report) => {
            let mut value = json!({ "address": address, "exists": true });
            if let (Some(into), Ok(Value::Object(from))) =
                (value.as_object_mut(), serde_json::to_value(report))
            {
                into.extend(from);
            }
            value
        }
    });
    printer.data_json(&settings.cloud.document(json!({
        "ok": exit(reports) == Exit::Done,
        "connectors": each.collect::<Vec<_>>(),
    })));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(checks: Vec<Check>) -> Report {
        Report {
            connector: "orders-mysql".into(),
            state: "RUNNING".into(),
            verdict: Verdict::of(&checks),
            checks,
            proof: None,
        }
    }

    #[test]
    fn a_line_has_what_decides_first() {
        let well = vec![
            Check::pass("login", "as debezium"),
            Check::pass("tasks", "1 RUNNING"),
            Check::pass("heartbeat", "4 s ago"),
        ];
        assert_eq!(one_line(&report(well.clone())), "RUNNING; tasks 1 RUNNING; heartbeat 4 s ago");
        let dead = Check::fail("heartbeat", "C-HEARTBEAT", "12 min ago", &[]).advise("Look.");
        let checks = [well, vec![dead]].concat();
        assert_eq!(one_line(&report(checks)), "RUNNING; heartbeat: 12 min ago [C-HEARTBEAT] Look.");
    }

    #[test]
    fn only_what_was_seen_to_be_well_ends_with_zero() {
        let address: Address = "connector.mysql.connector".into();
        let of = |checks: Option<Vec<Check>>| exit(&[(&address, checks.map(report))]);
        assert_eq!(of(Some(vec![Check::pass("a", "b")])), Exit::Done);
        assert_eq!(of(Some(vec![Check::unreachable("a", "b", "c")])), Exit::Failed);
        assert_eq!(of(Some(Vec::new())), Exit::Failed);
        assert_eq!(of(None), Exit::Failed);
        assert_eq!(exit(&[]), Exit::Failed);
    }
}
