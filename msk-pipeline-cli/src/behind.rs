//! What stands behind the AWS that a command reaches, and how it is got at: servers by their names, programs on this machine, or nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use msk_pipeline_aws::verify::{Closed, Look};
use msk_pipeline_core::dsl::Header;
use msk_pipeline_core::state::{Loaded, State};
use msk_pipeline_real::{Access, serving};
use msk_pipeline_verify::cause::Task;
use msk_pipeline_verify::chain::AwsCredentials;
use msk_pipeline_verify::{Reach, Secret};

use crate::args::Sight;
use crate::declaration::Declaration;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::programs;
use crate::report::cloud::Cloud;
use crate::settings::Settings;
use crate::state_folder;
use crate::target::{Target, place};

/// What stands behind an AWS.
pub(crate) enum Behind {
    /// AWS's own servers.
    Aws,
    /// Nothing: the embedded AWS simulates them.
    Nothing,
    /// Programs on this machine; without access, none runs.
    Programs(Option<Access>),
}

/// An AWS with what stands behind it, and what is recorded of it.
pub(crate) struct Site {
    pub(crate) declaration: Declaration,
    pub(crate) target: Target,
    pub(crate) state: State,
    pub(crate) behind: Behind,
}

impl Site {
    /// Reads the file and the state, and finds out what stands behind. Begins nothing.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, Failure> {
        let declaration = Declaration::read(settings)?;
        let header = declaration.pipeline.header();
        let target = Target::open(settings, header, true).await?;
        let state = target.store.load().await.and_then(Loaded::fold);
        let state = state.map_err(|e| Failure::store(&e))?;
        let behind = behind(settings, header)?;
        Ok(Self { declaration, target, state, behind })
    }

    /// How a connector is looked at.
    pub(crate) fn look(
        &self,
        settings: &Settings,
        arn: &str,
        sight: &Sight,
    ) -> Result<Look, Failure> {
        let mut look = Look {
            reach: Reach { authorities: settings.authorities()?, ..Reach::default() },
            credentials: None,
            tasks: None,
            retention: None,
            now: now(),
            aws_now: self.target.clock.wall().0,
            scale: self.target.scale,
            most_behind: sight.max_lag,
            closed: None,
        };
        match &self.behind {
            Behind::Aws => {}
            Behind::Nothing => {
                look.closed = Some(Closed {
                    what: "nothing stands behind a simulated connector, so there are no rows to verify".into(),
                    open: format!(
                        "Real programs stand behind a world that begins with them: {}, then {}",
                        settings.local_command("reset"),
                        settings.command("--real apply")
                    ),
                });
            }
            Behind::Programs(None) => {
                look.closed = Some(Closed {
                    what: "the programs behind this world don't run".into(),
                    open: format!("Start them: {}", settings.command("--real verify")),
                });
            }
            Behind::Programs(Some(access)) => {
                let programs = programs::reach(access);
                look.reach.addresses = programs.addresses;
                look.reach.authorities.extend(programs.authorities);
                look.credentials = Some(AwsCredentials {
                    access_key_id: access.credentials.access_key.clone(),
                    secret_access_key: Secret::new(access.credentials.secret.as_str()),
                    session_token: Some(Secret::new(access.credentials.token.as_str())),
                });
                if let Some(world) = &self.target.world {
                    let tasks = world.tasks(arn).map_err(|e| Failure::local(&e))?.into_iter();
                    let told = tasks.map(|t| Task { id: t.id, state: t.state, trace: t.trace });
                    look.tasks = Some(told.collect());
                }
            }
        }
        Ok(look)
    }

    /// True if a row may be changed without being asked for: nobody else's data are near.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self.behind, Behind::Programs(_))
    }
}

fn behind(settings: &Settings, header: &Header) -> Result<Behind, Failure> {
    match settings.cloud {
        Cloud::Aws => return Ok(Behind::Aws),
        Cloud::Simulated => return Ok(Behind::Nothing),
        Cloud::Real => {}
    }
    let place = place(header);
    let folder = state_folder::world(settings, &place.account, &place.region);
    let access = Access::read(&serving::plane(&folder)).map_err(|error| {
        let message = format!("the way to the programs can't be read: {}", error.whole());
        Failure::new(Exit::Failed, message)
    })?;
    Ok(Behind::Programs(access))
}

/// The time of this machine, which programs on it and servers elsewhere share.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
