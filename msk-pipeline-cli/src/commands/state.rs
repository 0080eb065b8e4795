//! `state`: what is recorded, who holds it, and the edits that a person may make without a run.

use std::sync::Arc;

use msk_pipeline_aws::state::make_ready;
use msk_pipeline_core::Address;
use msk_pipeline_core::state::lease::EXPIRY;
use msk_pipeline_core::state::{EditError, Holder, State, StoreError};
use serde_json::json;

use super::rebuild;
use crate::args::{LockCommand, StateCommand};
use crate::declaration::Declaration;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::printer::{Printer, tame};
use crate::settings::Settings;
use crate::state_folder;
use crate::target::{self, Target};

pub(super) async fn run(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    command: &StateCommand,
) -> Result<Exit, Failure> {
    let declaration = Declaration::read(settings)?;
    match command {
        StateCommand::Rebuild(args) => rebuild::run(settings, printer, args).await,
        StateCommand::List => list(settings, printer, &declaration).await,
        StateCommand::Show { address } => show(settings, printer, &declaration, address).await,
        StateCommand::Init => init(settings, printer, &declaration).await,
        StateCommand::Lock { command: LockCommand::Show } => {
            show_lock(settings, printer, &declaration).await
        }
        StateCommand::Lock { command: LockCommand::Release } => {
            release_lock(settings, printer, &declaration).await
        }
        StateCommand::Pull => {
            let (state, _) = target::recorded(settings, &declaration).await?;
            printer.data(serde_json::to_string_pretty(&state).unwrap_or_default());
            Ok(Exit::Done)
        }
        StateCommand::Push { state: file } => {
            let name = file.display();
            let bytes = std::fs::read(file)
                .map_err(|e| Failure::new(Exit::Invalid, format!("{name} can't be read: {e}")))?;
            let pushed: State = serde_json::from_slice(&bytes).map_err(|e| {
                Failure::new(Exit::Invalid, format!("{name} is no state: {e}"))
                    .help("print one with `state pull`")
            })?;
            let header = declaration.pipeline.header();
            edit(settings, printer, &declaration, "state push", |state, pin| {
                let here =
                    State { pipeline: header.name.clone(), pin: pin.clone(), ..State::default() };
                if (&pushed.pipeline, &pushed.pin) != (&here.pipeline, &here.pin) {
                    let of = |s: &State| {
                        let (account, region) = (&s.pin.account, &s.pin.region);
                        format!("pipeline {} in account {account}, region {region}", s.pipeline)
                    };
                    return Err(EditError::OtherWorld { expected: of(&here), found: of(&pushed) });
                }
                *state = state.replaced_by(pushed.clone())?;
                Ok(format!("{} resources are recorded now.", state.records.len()))
            })
            .await
        }
        StateCommand::Mv { from, to } => {
            edit(settings, printer, &declaration, "state mv", |state, _| {
                state.rename(&Address::new(from), &Address::new(to))?;
                Ok(format!(
                    "{from} is {to} now. The mark on the object follows with the next apply."
                ))
            })
            .await
        }
        StateCommand::Rm { address } => {
            edit(settings, printer, &declaration, "state rm", |state, _| {
                let record = state.forget(&Address::new(address))?;
                let objects = record.current.iter().chain(&record.deposed);
                let names: Vec<_> =
                    objects.map(|o| format!("{} {}", o.kind, tame(&o.name))).collect();
                Ok(format!("{address} is forgotten. What stays in AWS: {}.", names.join(", ")))
            })
            .await
        }
    }
}

/// Changes the recorded state under its lock.
async fn edit(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    declaration: &Declaration,
    why: &str,
    change: impl FnOnce(&mut State, &msk_pipeline_core::state::Pin) -> Result<String, EditError>,
) -> Result<Exit, Failure> {
    let target = Target::open(settings, declaration.pipeline.header(), false).await?;
    let done = edit_on(settings, &target, why, change).await?;
    if printer.json {
        printer.data_json(&settings.cloud.document(json!({ "done": done })));
    } else {
        printer.say(done);
    }
    Ok(Exit::Done)
}

/// The same where AWS was reached already. Returns what `change` says.
pub(super) async fn edit_on(
    settings: &Settings,
    target: &Target,
    why: &str,
    change: impl FnOnce(&mut State, &msk_pipeline_core::state::Pin) -> Result<String, EditError>,
) -> Result<String, Failure> {
    let lease = target.store.lease(holder(settings, target, why)).await;
    let mut lease = lease.map_err(|e| Failure::store(&e))?;
    let result = async {
        let loaded = lease.load().await.map_err(|e| Failure::store(&e))?;
        let mut state = loaded.fold().map_err(|e| Failure::store(&e))?;
        let done = change(&mut state, &target.pin).map_err(|error| {
            let help = match &error {
                EditError::Unknown(_) => {
                    format!("list addresses with `{}`", settings.command("state list"))
                }
                EditError::InFlight { .. } => {
                    format!("let `{}` settle it first", settings.command("apply"))
                }
                _ => String::new(),
            };
            Failure::new(Exit::Invalid, error.to_string()).help(help)
        })?;
        lease.compact(&state).await.map_err(|e| Failure::store(&e))?;
        Ok(done)
    }
    .await;
    let released = lease.release().await;
    let done = result?;
    released.map_err(|e| Failure::store(&e))?;
    Ok(done)
}

fn holder(settings: &Settings, target: &Target, why: &str) -> Holder {
    Holder { who: target::who(settings), why: why.into(), since: target.clock.wall() }
}

async fn init(
    settings: &Settings,
    printer: &Printer,
    declaration: &Declaration,
) -> Result<Exit, Failure> {
    let header = declaration.pipeline.header();
    let Some(place) = state_folder::shared(header)? else {
        printer.say("State lies in a folder, which is made when it is needed.");
        return Ok(Exit::Done);
    };
    let target = Target::open(settings, header, false).await?;
    let ready = make_ready(&target.session, &place, &target.pin).await;
    let ready = ready.map_err(|e| Failure::store(&e))?;
    if printer.json {
        printer.data_json(&settings.cloud.document(json!({
            "state": place.to_string(),
            "done": ready.done,
            "own_policy": ready.own_policy,
        })));
        return Ok(Exit::Done);
    }
    let mark = settings.cloud.mark("  ");
    for call in &ready.done {
        printer.say(format!("  {call} {}{mark}", place.bucket()));
    }
    if ready.own_policy {
        printer.say(printer.err.yellow(format!(
            "The bucket {} has a policy of its own, which was left alone: see that it refuses requests without TLS.",
            place.bucket()
        )));
    }
    printer.say(format!("{place} is ready.{mark}"));
    Ok(Exit::Done)
}

async fn show_lock(
    settings: &Settings,
    printer: &Printer,
    declaration: &Declaration,
) -> Result<Exit, Failure> {
    let target = Target::open(settings, declaration.pipeline.header(), true).await?;
    let held = match &target.shared {
        Some(store) => store.holder().await.map_err(|e| Failure::store(&e))?,
        // A lock of the operating system is seen by trying it.
        None => match target.store.lease(holder(settings, &target, "state lock show")).await {
            Ok(_) => None,
            Err(StoreError::Locked(holder)) => Some((holder, std::time::Duration::ZERO, false)),
            Err(error) => return Err(Failure::store(&error)),
        },
    };
    let renewed = |age: &std::time::Duration| target.shared.is_some().then_some(age.as_secs());
    if printer.json {
        let lock = held.as_ref().map(|(holder, age, expired)| {
            json!({
                "who": holder.who,
                "why": holder.why,
                "since": holder.since.to_string(),
                "renewed_seconds_ago": renewed(age),
                "expired": expired,
            })
        });
        let state = target.store.location();
        let document = json!({ "state": state, "lock": lock });
        printer.data_json(&settings.cloud.document(document));
        return Ok(Exit::Done);
    }
    match held {
        None => printer.say("Nobody holds the state."),
        Some((holder, age, expired)) => {
            let renewed = match renewed(&age) {
                Some(seconds) if expired => format!(", expired: renewed {seconds} s ago"),
                Some(seconds) => format!(", renewed {seconds} s ago"),
                None => String::new(),
            };
            let (who, why) = (tame(&holder.who), tame(&holder.why));
            printer.data(format!("{who} ({why}) since {}{renewed}", holder.since));
        }
    }
    Ok(Exit::Done)
}

async fn release_lock(
    settings: &Settings,
    printer: &Printer,
    declaration: &Declaration,
) -> Result<Exit, Failure> {
    let target = Target::open(settings, declaration.pipeline.header(), false).await?;
    let Some(store) = &target.shared else {
        let message = "the lock of a state in a folder belongs to its process, and ends with it";
        return Err(Failure::new(Exit::Invalid, message).help(format!(
            "see which process that is with `{}`",
            settings.command("state lock show")
        )));
    };
    let by = holder(settings, &target, "state lock release");
    match store.break_lease(by).await.map_err(|e| Failure::store(&e))? {
        None => printer.say("Nobody holds the state."),
        Some(holder) => {
            let (who, why) = (tame(&holder.who), tame(&holder.why));
            printer.say(format!(
                "Taken from {who} ({why}). If that run lives, it stops at its next write; the next run begins once its last request is certainly over, in {} s.",
                EXPIRY.as_secs()
            ));
        }
    }
    Ok(Exit::Done)
}

async fn list(
    settings: &Settings,
    printer: &Printer,
    declaration: &Declaration,
) -> Result<Exit, Failure> {
    let (state, location) = target::recorded(settings, declaration).await?;
    if printer.json {
        let list: Vec<_> = state
            .records
            .iter()
            .map(|(address, record)| json!({ "address": address, "record": record }))
            .collect();
        printer.data_json(&settings.cloud.document(json!({
            "state": location,
            "lineage": state.lineage,
            "serial": state.serial,
            "resources": list,
        })));
        return Ok(Exit::Done);
    }
    let mark = settings.cloud.mark("  ");
    let widest = state.records.keys().map(|a| a.as_str().len()).max().unwrap_or(0);
    for (address, record) in &state.records {
        for (n, object) in record.current.iter().chain(&record.deposed).enumerate() {
            let deposed = n > 0 || record.current.is_none();
            let note = match (&object.pending, object.was_ready()) {
                _ if deposed => "  replaced, to be deleted".into(),
                (Some(pending), _) => format!("  in flight: {}", pending.op),
                (None, false) => "  never ready".into(),
                (None, true) => String::new(),
            };
            let (kind, name) = (&object.kind, tame(&object.name));
            printer.data(format!("{address:widest$}  {kind}  {name}{note}{mark}"));
        }
    }
    if state.records.is_empty() {
        printer.say(format!("Nothing is recorded in {location}."));
    }
    Ok(Exit::Done)
}

async fn show(
    settings: &Settings,
    printer: &Printer,
    declaration: &Declaration,
    address: &str,
) -> Result<Exit, Failure> {
    let (state, _) = target::recorded(settings, declaration).await?;
    let Some(record) = state.records.get(address) else {
        let message = format!("nothing is recorded of `{address}`");
        return Err(Failure::new(Exit::Invalid, message)
            .help(format!("list addresses with `{}`", settings.command("state list"))));
    };
    let value = settings.cloud.document(json!({ "address": address, "record": record }));
    if printer.json {
        printer.data_json(&value);
    } else {
        printer.data(serde_json::to_string_pretty(&value).unwrap_or_default());
    }
    Ok(Exit::Done)
}
