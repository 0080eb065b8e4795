//! A connector's own operations: restart, pause, resume.
//!
//! They change what a connector does, and nothing that a state records: it is as declared before and after. So they are no part of a plan,
//! and need no journal: an operation that nobody waited for any more is found by `status`. Whoever asks for one holds the state's
//! lease meanwhile, so that no run is under way.
//!
//! # Sources
//! Handbook msk.md §5 (operations), §5.1: pause only from RUNNING, resume only from PAUSED, restart only from RUNNING, none while another
//! operation runs; restarting failed tasks only needs Connect 3.7.

use std::fmt;
use std::time::Duration;

use aws_sdk_kafkaconnect::Client;
use msk_pipeline_core::Clock;
use msk_pipeline_core::kind::{CallError, Class, Mark, MarkSeen};

use crate::Session;
use crate::error::{absent, classify};
use crate::kinds::connect;
use crate::kinds::connector::observe::{described, find_described, operation, operations};

/// How often an operation is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// So long an operation may take: a health check that fails takes as long as a create that can't work, some twenty minutes.
const PATIENCE: Duration = Duration::from_mins(30);
/// After a lost reply an operation shows within this.
const VISIBLE: Duration = Duration::from_mins(2);

/// What is asked of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `RestartConnector`: the connector and its tasks.
    Restart {
        /// Only the tasks that failed.
        only_failed: bool,
    },
    /// `PauseConnector`: it reads nothing any more and keeps its place.
    Pause,
    /// `ResumeConnector`: it goes on where it was.
    Resume,
}

impl Operation {
    /// The state that a connector has to be in.
    fn from(self) -> &'static str {
        match self {
            Self::Restart { .. } | Self::Pause => "RUNNING",
            Self::Resume => "PAUSED",
        }
    }

    /// True if there is nothing to do for a connector in this state. A restart is always something to do.
    fn done_in(self, state: &str) -> bool {
        match self {
            Self::Restart { .. } => false,
            Self::Resume => state == "RUNNING",
            Self::Pause => state == "PAUSED",
        }
    }

    /// AWS's word for its type.
    fn kind(self) -> &'static str {
        match self {
            Self::Restart { .. } => "RESTART_CONNECTOR",
            Self::Pause => "PAUSE_CONNECTOR",
            Self::Resume => "RESUME_CONNECTOR",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restart { .. } => "restart",
            Self::Pause => "pause",
            Self::Resume => "resume",
        })
    }
}

/// Why an operation is not begun, or did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperateError {
    /// There is none.
    #[error("connector {0} does not exist")]
    Absent(String),
    /// It is somebody else's.
    #[error("connector {0} is not ours: its mark is of another state, or it has none")]
    Foreign(String),
    /// It isn't in the state that the operation needs.
    #[error("connector {name} is {state}, and only one that is {needed} can {operation}")]
    State {
        /// Which.
        name: String,
        /// What it is.
        state: String,
        /// What it has to be.
        needed: &'static str,
        /// What was asked.
        operation: Operation,
    },
    /// It was begun and failed.
    #[error("the {operation} of connector {name} ended with {state}{}", says.as_ref().map_or(String::new(), |s| format!(": {s}")))]
    Failed {
        /// Which.
        name: String,
        /// What was asked.
        operation: Operation,
        /// How it ended.
        state: String,
        /// AWS's words.
        says: Option<String>,
    },
    /// It was begun, and its end was not waited for any longer.
    #[error("the {operation} of connector {name} is still {state} after {} min", .after.as_secs() / 60)]
    Lasting {
        /// Which.
        name: String,
        /// What was asked.
        operation: Operation,
        /// How it stands.
        state: String,
        /// How long was waited.
        after: Duration,
    },
    /// AWS refused, or did not answer.
    #[error("{0}")]
    Call(#[from] CallError),
}

/// An operation that AWS accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    name: String,
    operation: Operation,
    arn: String,
}

/// Begins an operation on the connector of that name, if it carries the mark of `lineage`; `None` if there is nothing to do, because it is
/// paused, or runs, already. One changing request at most.
///
/// # Errors
/// Nothing was changed, but for [`OperateError::Call`] with an unknown outcome.
pub async fn begin(
    session: &Session,
    clock: &dyn Clock,
    name: &str,
    lineage: &str,
    operation: Operation,
) -> Result<Option<Begun>, OperateError> {
    let client = &session.kafkaconnect;
    let Some(arn) = check(session, name, lineage, operation).await? else { return Ok(None) };
    let before = newest(client, &arn, operation).await?;
    let arn = match send(client, &arn, operation).await {
        Ok(sent) => sent,
        // Whether it was carried out is seen in the connector's operations; it is not sent twice.
        Err(error) if error.class == Class::Unknown => {
            let found = appeared(client, clock, &arn, operation, before.as_deref()).await?;
            found.ok_or(error)?
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Some(Begun { name: name.to_owned(), operation, arn }))
}

/// Whether the operation could be begun: answers with the connector's ARN, or with `None` if there is nothing to do. Changes nothing.
pub(crate) async fn check(
    session: &Session,
    name: &str,
    lineage: &str,
    operation: Operation,
) -> Result<Option<String>, OperateError> {
    let client = &session.kafkaconnect;
    let absent_error = || OperateError::Absent(name.to_owned());
    let (arn, described) = find_described(client, name).await?.ok_or_else(absent_error)?;
    let tags = absent(connect::tags(client, &arn).await)?.ok_or_else(absent_error)?;
    let seen = Mark::seen_in_tags(&tags);
    let ours = matches!(&seen, MarkSeen::Lineage { lineage: whose, .. } if whose == lineage);
    if !ours {
        return Err(OperateError::Foreign(name.to_owned()));
    }
    let state = described.connector_state().map(|s| s.as_str().to_owned()).unwrap_or_default();
    if operation.done_in(&state) {
        return Ok(None);
    }
    if state != operation.from() {
        let (name, needed) = (name.to_owned(), operation.from());
        return Err(OperateError::State { name, state, needed, operation });
    }
    Ok(Some(arn))
}

async fn send(client: &Client, arn: &str, operation: Operation) -> Result<String, CallError> {
    let sent = match operation {
        Operation::Restart { only_failed } => {
            let request = client.restart_connector().connector_arn(arn);
            let answer = request.only_failed_tasks(only_failed).send().await;
            let answer = answer.map_err(|e| classify("kafkaconnect:RestartConnector", e))?;
            answer.connector_operation_arn().map(str::to_owned)
        }
        Operation::Pause => {
            let answer = client.pause_connector().connector_arn(arn).send().await;
            let answer = answer.map_err(|e| classify("kafkaconnect:PauseConnector", e))?;
            answer.connector_operation_arn().map(str::to_owned)
        }
        Operation::Resume => {
            let answer = client.resume_connector().connector_arn(arn).send().await;
            let answer = answer.map_err(|e| classify("kafkaconnect:ResumeConnector", e))?;
            answer.connector_operation_arn().map(str::to_owned)
        }
    };
    Ok(sent.unwrap_or_default())
}

/// The newest operation of the type.
async fn newest(
    client: &Client,
    arn: &str,
    operation: Operation,
) -> Result<Option<String>, CallError> {
    let all = absent(operations(client, arn).await)?.unwrap_or_default();
    let of_type = |t: &str| t == operation.kind();
    let found =
        all.iter().find(|o| o.connector_operation_type().is_some_and(|t| of_type(t.as_str())));
    Ok(found.and_then(|o| o.connector_operation_arn()).map(str::to_owned))
}

/// An operation that wasn't there before.
async fn appeared(
    client: &Client,
    clock: &dyn Clock,
    arn: &str,
    operation: Operation,
    before: Option<&str>,
) -> Result<Option<String>, CallError> {
    let begun = clock.wall();
    loop {
        let now = newest(client, arn, operation).await?;
        if now.as_deref() != before {
            return Ok(now);
        }
        if clock.wall().since(begun) >= VISIBLE {
            return Ok(None);
        }
        clock.sleep(LOOK).await;
    }
}

/// Waits for an operation's end; `seen` gets its state whenever that changes. Dropping it changes nothing: the operation goes on.
///
/// # Errors
/// If it failed, or lasts longer than half an hour.
pub async fn settle(
    session: &Session,
    clock: &dyn Clock,
    begun: &Begun,
    mut seen: impl FnMut(&str),
) -> Result<(), OperateError> {
    let Begun { name, operation: asked, arn } = begun;
    let since = clock.wall();
    let mut last = String::new();
    loop {
        let found = described(&operation(&session.kafkaconnect, arn).await?);
        let (state, says) = (found.state, found.says);
        if state != last {
            seen(&state);
            last.clone_from(&state);
        }
        if state.ends_with("_FAILED") || state.starts_with("ROLLBACK_COMPLETE") {
            return Err(OperateError::Failed {
                name: name.clone(),
                operation: *asked,
                state,
                says,
            });
        }
        if state.ends_with("_COMPLETE") {
            return Ok(());
        }
        let after = clock.wall().since(since);
        if after >= PATIENCE {
            return Err(OperateError::Lasting {
                name: name.clone(),
                operation: *asked,
                state,
                after,
            });
        }
        clock.sleep(LOOK).await;
    }
}
