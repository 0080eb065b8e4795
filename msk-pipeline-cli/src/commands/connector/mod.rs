//! `connector`: the log of one, its events, its own operations, and what takes several: a snapshot, a recovery, another password.

mod recover;
mod rotate;
mod snapshot;

use std::sync::Arc;
use std::time::Duration;

use msk_pipeline_aws::evidence::{FollowLog, is_connector};
use msk_pipeline_aws::operate::{self, OperateError, Operation};
use msk_pipeline_aws::verify::{Ends, Look, ends};
use msk_pipeline_core::Address;
use msk_pipeline_core::state::{Object, State};
use msk_pipeline_verify::tail::Tail;
use serde_json::json;

use crate::args::{ConnectorCommand, Sight};
use crate::behind::Site;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::held::held;
use crate::interrupt::Interrupt;
use crate::printer::{Printer, tame};
use crate::settings::Settings;

/// How often a log is asked for new lines; `FilterLogEvents` takes a few requests a second.
const AGAIN: Duration = Duration::from_secs(2);

/// A connector that is recorded, or being made.
pub(super) struct Recorded<'a> {
    pub(super) address: &'a Address,
    object: &'a Object,
}

impl<'a> Recorded<'a> {
    /// Its ARN, once it was ready.
    pub(super) fn arn(&self) -> Option<&'a str> {
        self.object.outputs.get("connector_arn")?.as_str()
    }
}

/// Every connector that is recorded, or being made.
pub(super) fn connectors(state: &State) -> impl Iterator<Item = Recorded<'_>> {
    let current = state.records.iter().filter_map(|(a, r)| Some((a, r.current.as_ref()?)));
    let of_kind = current.filter(|(_, object)| is_connector(&object.kind));
    of_kind.map(|(address, object)| Recorded { address, object })
}

/// The connectors that are asked for, with their names in AWS: all, which may be none, or the one with this address, section or name.
///
/// # Errors
/// If none is so called.
pub(super) fn asked<'a>(
    state: &'a State,
    name: Option<&str>,
) -> Result<Vec<(&'a Address, &'a str)>, Failure> {
    let all: Vec<_> = connectors(state).map(|c| (c.address, c.object.name.as_str())).collect();
    let Some(name) = name else { return Ok(all) };
    let called = |address: &Address, physical: &str| {
        let section = address.as_str().strip_suffix(".connector");
        let short = section.and_then(|section| section.strip_prefix("connector."));
        [Some(address.as_str()), section, short, Some(physical)].contains(&Some(name))
    };
    let found: Vec<_> = all.iter().copied().filter(|(a, physical)| called(a, physical)).collect();
    if found.is_empty() {
        let known: Vec<_> = all.iter().map(|(address, _)| address.to_string()).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        let message = format!("no connector is recorded as `{name}`");
        return Err(Failure::new(Exit::Invalid, message).help(format!("known: {known}")));
    }
    Ok(found)
}

pub(super) async fn run(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    command: &ConnectorCommand,
) -> Result<Exit, Failure> {
    match command {
        ConnectorCommand::Logs { connector, since, follow } => {
            logs(settings, printer, connector, *since, *follow).await
        }
        ConnectorCommand::Tail { connector, sight } => {
            tail(settings, printer, connector, sight).await
        }
        ConnectorCommand::Restart { connector, only_failed } => {
            let operation = Operation::Restart { only_failed: *only_failed };
            operate(settings, printer, connector, operation).await
        }
        ConnectorCommand::Pause { connector } => {
            operate(settings, printer, connector, Operation::Pause).await
        }
        ConnectorCommand::Snapshot { connector, tables, sight } => {
            snapshot::run(settings, printer, connector, tables, sight).await
        }
        ConnectorCommand::RotateCredentials { connector, canary, sight } => {
            rotate::run(settings, printer, connector, *canary, sight).await
        }
        ConnectorCommand::Recover { connector, consent } => {
            recover::run(settings, printer, connector, consent).await
        }
        ConnectorCommand::Resume { connector } => {
            operate(settings, printer, connector, Operation::Resume).await
        }
    }
}

/// A connector's ends; it is recorded and has to exist.
async fn ends_of(site: &Site, connector: &str) -> Result<Ends, Failure> {
    let of = asked(&site.state, Some(connector))?;
    let (address, name) = of[0];
    let found = ends(&site.target.session, name).await;
    let found = found.map_err(|e| Failure::call(&format!("{address} can't be looked at"), &e))?;
    found.ok_or_else(|| Failure::new(Exit::Failed, format!("{address}: {name} does not exist")))
}

/// How a connector is looked at, where something stands behind it.
fn open_look(site: &Site, settings: &Settings, arn: &str, sight: &Sight) -> Result<Look, Failure> {
    let look = site.look(settings, arn, sight)?;
    match look.closed {
        Some(closed) => Err(Failure::new(Exit::Failed, closed.what).help(closed.open)),
        None => Ok(look),
    }
}

async fn logs(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    connector: &str,
    since: Duration,
    follow: bool,
) -> Result<Exit, Failure> {
    let again = settings.command(&format!("connector logs {connector}"));
    let interrupt = Interrupt::listen(printer, "logs", again);
    let site = interrupt.or(Site::open(settings)).await?;
    let ends = interrupt.or(ends_of(&site, connector)).await?;
    let Some(group) = ends.log_group else {
        let message = format!("connector {} delivers no log to CloudWatch", ends.name);
        return Err(Failure::new(Exit::Failed, message));
    };
    let clock = &site.target.clock;
    let from = i64::try_from(clock.wall().0).unwrap_or(i64::MAX);
    let from = from.saturating_sub(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    let mut log = FollowLog::new(&site.target.session, group.as_str(), from);
    let mut any = false;
    loop {
        let more = async {
            let lines = log.more().await;
            lines.map_err(|e| Failure::call("the workers' log can't be read", &e))
        };
        let lines = tokio::select! {
            biased;
            () = interrupt.requested() => return Ok(Exit::Done),
            lines = more => lines?,
        };
        any |= !lines.is_empty();
        for (at, line) in lines {
            if printer.json {
                printer.data_json(&json!({ "at": at, "stream": line.stream, "text": line.text }));
            } else {
                printer.data(tame(line.text.trim_end()));
            }
        }
        if !follow {
            break;
        }
        tokio::select! {
            biased;
            () = interrupt.requested() => return Ok(Exit::Done),
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
    if !any {
        let mark = settings.cloud.mark("  ");
        printer.say(format!("{group} has nothing of that time.{mark}"));
    }
    Ok(Exit::Done)
}

async fn tail(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    connector: &str,
    sight: &Sight,
) -> Result<Exit, Failure> {
    let again = settings.command(&format!("connector tail {connector}"));
    let interrupt = Interrupt::listen(printer, "tail", again);
    let site = interrupt.or(Site::open(settings)).await?;
    let ends = interrupt.or(ends_of(&site, connector)).await?;
    let look = open_look(&site, settings, &ends.arn, sight)?;
    let credentials = look.credentials_for(&site.target.session, &ends).await;
    let credentials =
        credentials.map_err(|e| Failure::call("there are no credentials for the cluster", &e))?;
    let (kafka, topics) = (ends.kafka(credentials, site.target.session.region()), ends.events());
    let open = async {
        let tail = Tail::open(&kafka, &topics, &look.reach).await;
        tail.map_err(|check| Failure::new(Exit::Failed, check.to_string()))
    };
    let mut tail = interrupt.or(open).await?;
    printer.say(format!("Events on {}; Ctrl-C ends it.", topics.join(", ")));
    if !ends.transforms().is_empty() {
        printer
            .say(format!("Transforms ({}) may send them elsewhere.", ends.transforms().join(", ")));
    }
    loop {
        let next = tokio::select! {
            biased;
            () = interrupt.requested() => return Ok(Exit::Done),
            next = tail.next() => next,
        };
        match next {
            Ok(event) if printer.json => {
                printer.data_json(&serde_json::to_value(&event).unwrap_or_default());
            }
            Ok(event) => printer.data(tame(&event.to_string())),
            Err(error) => printer.say(tame(&format!("a partition can't be read now: {error}"))),
        }
    }
}

async fn operate(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    connector: &str,
    operation: Operation,
) -> Result<Exit, Failure> {
    let again = settings.command(&format!("connector {operation} {connector}"));
    let interrupt = Interrupt::listen(printer, "connector", again);
    let site = interrupt.or(Site::open(settings)).await?;
    let target = &site.target;
    let of = asked(&site.state, Some(connector))?;
    let (address, name) = of[0];
    let (session, clock) = (&target.session, target.clock.as_ref());
    let begin = async {
        let begun = operate::begin(session, clock, name, &site.state.lineage, operation).await;
        begun.map_err(|error| failed(settings, &error))
    };
    let begun = held(settings, target, &format!("connector {operation}"), begin).await?;
    let mark = settings.cloud.mark("  ");
    let Some(begun) = begun else {
        return Ok(told(
            printer,
            settings,
            address,
            operation,
            &format!("{name}: nothing to do{mark}"),
        ));
    };
    printer.say(format!("{address}: {operation} begun{mark}"));
    let wait = operate::settle(session, clock, &begun, |state| {
        printer.say(format!("  {}{mark}", tame(state)));
    });
    tokio::select! {
        biased;
        () = interrupt.requested() => Err(Failure::interrupted("the operation goes on without the program")
            .help(format!("see how it ends: {}", settings.command("status")))),
        settled = wait => {
            settled.map_err(|error| failed(settings, &error))?;
            Ok(told(printer, settings, address, operation, &format!("{name}: {operation} done{mark}")))
        }
    }
}

fn told(
    printer: &Printer,
    settings: &Settings,
    address: &Address,
    operation: Operation,
    text: &str,
) -> Exit {
    if printer.json {
        printer.data_json(&settings.cloud.document(json!({
            "address": address,
            "operation": operation.to_string(),
            "done": text,
        })));
    } else {
        printer.say(text);
    }
    Exit::Done
}

fn failed(settings: &Settings, error: &OperateError) -> Failure {
    let help = match error {
        OperateError::State { .. } => format!("see how it stands: {}", settings.command("status")),
        OperateError::Failed { .. } => format!("why: {}", settings.command("explain")),
        OperateError::Lasting { .. } => {
            format!("it goes on; see how it ends: {}", settings.command("status"))
        }
        _ => String::new(),
    };
    let exit = match error {
        OperateError::State { .. } | OperateError::Foreign(_) => Exit::Invalid,
        _ => Exit::Failed,
    };
    Failure::new(exit, error.to_string()).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_is_known_by_its_section_address_and_name() {
        let object = |kind: &str, name: &str| {
            json!({ "current": {
                "generation": 1, "kind": kind, "version": 1, "stage": "connect", "name": name, "props": {},
                "outputs": { "connector_arn": "arn:c" }, "deps": [],
            } })
        };
        let state: State = serde_json::from_value(json!({
            "format": 1, "lineage": "l", "pipeline": "orders", "head": 0, "serial": 0,
            "pin": { "account": "1", "region": "r", "partition": "aws" },
            "records": {
                "connector.mysql.connector": object("aws.kafkaconnect.connector", "orders-mysql"),
                "connector.mysql.logs": object("aws.logs.log-group", "/aws/x"),
            }
        }))
        .expect("a state");
        let names =
            |name| asked(&state, name).map(|of| of.iter().map(|(_, n)| *n).collect::<Vec<_>>());
        for name in ["mysql", "connector.mysql", "connector.mysql.connector", "orders-mysql"] {
            assert_eq!(names(Some(name)).expect("known"), ["orders-mysql"], "{name}");
        }
        assert_eq!(names(None).expect("all"), ["orders-mysql"]);
        assert!(names(Some("connector.mysql.logs")).is_err());
        assert_eq!(connectors(&state).next().and_then(|c| c.arn()), Some("arn:c"));
        assert!(asked(&State::default(), None).expect("none").is_empty());
    }
}
