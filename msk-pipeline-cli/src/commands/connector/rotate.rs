//! `connector rotate-credentials`: another password for a capture user.

use std::sync::Arc;
use std::time::Duration;

use msk_pipeline_aws::operate::OperateError;
use msk_pipeline_aws::rotate::{RotateError, is_refusal, rotate};
use msk_pipeline_aws::verify::Depth;

use super::{AGAIN, asked, connectors, ends_of, open_look};
use crate::args::Sight;
use crate::behind::Site;
use crate::commands::verify;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::held::held;
use crate::interrupt::Interrupt;
use crate::printer::{Printer, tame};
use crate::settings::Settings;

/// So long a connector that was just restarted may take until it reads again; then what is wrong is told.
const WAIT: Duration = Duration::from_mins(2);

pub(super) async fn run(
    settings: &Arc<Settings>,
    printer: &Arc<Printer>,
    connector: &str,
    canary: bool,
    sight: &Sight,
) -> Result<Exit, Failure> {
    let command = format!("connector rotate-credentials {connector}");
    let interrupt = Interrupt::listen(printer, "rotation", settings.command(&command));
    let site = interrupt.or(Site::open(settings)).await?;
    let ends = interrupt.or(ends_of(&site, connector)).await?;
    let look = open_look(&site, settings, &ends.arn, sight)?;
    let all: Vec<String> = connectors(&site.state).map(|c| c.object.name.clone()).collect();
    let target = &site.target;
    let work = async {
        let (session, clock) = (&target.session, target.clock.as_ref());
        let lineage = &site.state.lineage;
        let said = |step: &str| printer.say(tame(step));
        let done = rotate(session, clock, lineage, &ends.name, &all, &look.reach, said).await;
        done.map_err(|error| failed(settings, &command, &error))
    };
    let rotated = tokio::select! {
        biased;
        () = interrupt.requested() => {
            return Err(Failure::interrupted("the rotation stopped where it was")
                .help(format!("go on with it: {}", settings.command(&command))));
        }
        rotated = held(settings, target, &command, work) => rotated?,
    };
    printer.say(format!(
        "{} has another password; restarted: {}.",
        rotated.user,
        rotated.connectors.join(", ")
    ));
    let prove = canary || site.is_own();
    let depth = if prove { Depth::Proof { wait: WAIT } } else { Depth::Chain };
    let every = asked(&site.state, None)?;
    let of: Vec<_> =
        every.into_iter().filter(|(_, n)| rotated.connectors.iter().any(|c| c == n)).collect();
    let alive = async {
        let since = tokio::time::Instant::now();
        loop {
            let reports = verify::look(settings, &site, &of, sight, Depth::Alive).await?;
            if verify::exit(&reports) == Exit::Done || since.elapsed() > WAIT {
                return Ok(());
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    interrupt.or(alive).await?;
    let reports = interrupt.or(verify::look(settings, &site, &of, sight, depth)).await?;
    verify::tell(settings, printer, &reports, prove);
    Ok(verify::exit(&reports))
}

fn failed(settings: &Settings, command: &str, error: &RotateError) -> Failure {
    let exit = match error {
        RotateError::NoSecret(_)
        | RotateError::Foreign(_)
        | RotateError::Operate(OperateError::State { .. } | OperateError::Foreign(_)) => {
            Exit::Invalid
        }
        _ => Exit::Failed,
    };
    let help = match error {
        RotateError::Foreign(_) | RotateError::NoSecret(_) | RotateError::Absent(_) => {
            String::new()
        }
        RotateError::Operate(_) => {
            format!("see how it stands: {}", settings.command("status"))
        }
        RotateError::Login(check) if is_refusal(check) => format!(
            "neither password of the secret may log in: with `prepare = \"direct\"` `{}` sets the current one, then again: {}",
            settings.command("apply"),
            settings.command(command)
        ),
        _ => format!("go on with it: {}", settings.command(command)),
    };
    Failure::new(exit, error.to_string()).help(help)
}
