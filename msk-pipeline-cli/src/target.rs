//! The AWS that a command reaches: the real one or the embedded one, its account, its time, and where state about it lives.

use std::sync::Arc;

use msk_pipeline_aws::Session;
use msk_pipeline_aws::state::S3Store;
use msk_pipeline_core::dsl::Header;
use msk_pipeline_core::run::{Engine, EventSink};
use msk_pipeline_core::state::{FileStore, Pin, State, StateStore};
use msk_pipeline_core::{Clock, Entropy, RealClock};
use msk_pipeline_local::{LocalWorld, Settings as Place};

use crate::declaration::Declaration;
use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::programs::Programs;
use crate::provider;
use crate::report::cloud::Cloud;
use crate::settings::Settings;
use crate::state_folder;

/// An AWS.
pub(crate) struct Target {
    pub(crate) session: Session,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pin: Pin,
    pub(crate) store: Arc<dyn StateStore>,
    /// The same, if it is one in S3.
    pub(crate) shared: Option<S3Store>,
    /// The embedded AWS, if it is one that was begun.
    pub(crate) world: Option<LocalWorld>,
    /// World time in one unit of real time.
    pub(crate) scale: f64,
}

/// The account and region of the embedded AWS for a file.
pub(crate) fn place(header: &Header) -> Place {
    let mut place = Place::new(header.region.as_str());
    if let Some(account) = &header.account {
        place.account.clone_from(account);
    }
    place
}

impl Target {
    /// Reaches the AWS that the settings name, and refuses an account that the file does not. Who only looks begins no embedded AWS.
    pub(crate) async fn open(
        settings: &Settings,
        header: &Header,
        looks: bool,
    ) -> Result<Self, Failure> {
        let (session, clock, scale, world) = if settings.local {
            let place = place(header);
            let place = if settings.cloud == Cloud::Real { place.with_programs() } else { place };
            let folder = state_folder::world(settings, &place.account, &place.region);
            if looks && !LocalWorld::is_begun(&folder) {
                let (session, clock) = LocalWorld::fresh(&place);
                (session, clock, place.scale, None)
            } else {
                let local =
                    LocalWorld::open(&folder, place).await.map_err(|e| Failure::local(&e))?;
                let scale = local.scale().map_err(|e| Failure::local(&e))?;
                let session = local.session.clone();
                let session = if local.is_real() {
                    provider::with_programs(session, Programs::of(&folder))
                } else {
                    session
                };
                (session, Arc::clone(&local.clock), scale, Some(local))
            }
        } else {
            let clock: Arc<dyn Clock> = Arc::new(RealClock::system());
            let session = Session::connect(&header.region).await;
            (provider::with_authorities(session, settings)?, clock, 1.0, None)
        };
        let pin = session
            .pin()
            .await
            .map_err(|error| Failure::call("AWS does not tell whose account this is", &error))?;
        if let Some(account) = header.account.as_ref().filter(|a| **a != pin.account) {
            let message = format!(
                "these credentials are of account {}, the file says {account}",
                pin.account
            );
            return Err(Failure::new(Exit::Invalid, message)
                .help("use credentials of that account, or correct `account` in [pipeline]"));
        }
        let folder = state_folder::of(settings, header, &pin.account);
        let shared = match state_folder::shared(header)? {
            Some(place) => {
                let (clock, ids) = (Arc::clone(&clock), Arc::new(entropy()?));
                let store = S3Store::new(&session, clock, ids, &place, &header.name, &pin);
                Some(store.with_outbox(folder.join("outbox")))
            }
            None => None,
        };
        let store: Arc<dyn StateStore> = match &shared {
            Some(store) => Arc::new(store.clone()),
            None => Arc::new(FileStore::new(folder)),
        };
        Ok(Self { session, clock, pin, store, shared, world, scale })
    }

    /// The engine for a pipeline here.
    pub(crate) fn engine(
        &self,
        settings: &Settings,
        header: &Header,
        registry: msk_pipeline_core::kind::Registry,
        events: Arc<dyn EventSink>,
    ) -> Result<Engine, Failure> {
        Ok(Engine {
            registry,
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            entropy: Arc::new(entropy()?),
            events,
            pipeline: header.name.clone(),
            pin: self.pin.clone(),
            who: who(settings),
        })
    }
}

/// Who runs this, for locks.
pub(crate) fn who(settings: &Settings) -> String {
    format!("{}, process {}", settings.user, std::process::id())
}

fn entropy() -> Result<Entropy, Failure> {
    random().map(Entropy::from_bytes)
}

/// Bytes of the system's randomness.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(Exit::Failed, format!("the system gives no random bytes: {error}"))
    })?;
    Ok(bytes)
}

/// The recorded state and where it is; of a state in a folder without AWS, where the account is clear.
pub(crate) async fn recorded(
    settings: &Settings,
    declaration: &Declaration,
) -> Result<(State, String), Failure> {
    let header = declaration.pipeline.header();
    if state_folder::shared(header)?.is_some() {
        let store = Target::open(settings, header, true).await?.store;
        let state = store.load().await.and_then(msk_pipeline_core::state::Loaded::fold);
        return Ok((state.map_err(|e| Failure::store(&e))?, store.location()));
    }
    let folder = match state_folder::known(settings, header) {
        Some(folder) => folder,
        None => {
            let session = Session::connect(&header.region).await;
            let pin = session.pin().await.map_err(|error| {
                Failure::call("AWS does not tell whose account this is", &error)
                    .help("write `account` in [pipeline] to look at state without AWS")
            })?;
            state_folder::of(settings, header, &pin.account)
        }
    };
    let store = FileStore::new(folder);
    let state = store.load().await.and_then(msk_pipeline_core::state::Loaded::fold);
    Ok((state.map_err(|e| Failure::store(&e))?, store.location()))
}
