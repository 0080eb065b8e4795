//! The embedded AWS that `--local` uses: a world in a folder, whose time goes on while nothing runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use msk_pipeline_aws::Session;
use msk_pipeline_core::{Clock, ScaledClock, Timestamp};
use msk_pipeline_emulator::plane::{self, Task};
use msk_pipeline_emulator::shell::http::Server;
use msk_pipeline_emulator::shell::{
    FileWorld, InProcess, Mapping, TimeSource as _, file, wall_now,
};
use msk_pipeline_emulator::world::Plane;
use msk_pipeline_emulator::{World, services, world};

use crate::clock::WorldClock;
use crate::embedded::Embedded;

/// What a world is begun with. A world that exists keeps what it has.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The account id.
    pub account: String,
    /// The region; the partition follows from it.
    pub region: String,
    /// World time in one unit of real time.
    pub scale: f64,
    /// Its clusters, databases and connectors become ready when real programs say so; somebody has to run these.
    pub real: bool,
}

impl Settings {
    /// The account of an embedded AWS where nothing else is asked for.
    pub const ACCOUNT: &'static str = "111111111111";
    /// At this scale a full create, about forty minutes on AWS, takes a quarter of a minute.
    pub const SCALE: f64 = 180.0;

    /// The scale of a world with real programs: what AWS takes half an hour for has some minutes then.
    pub const REAL_SCALE: f64 = 20.0;

    /// The default account and scale in `region`.
    pub fn new(region: impl Into<String>) -> Self {
        let account = Self::ACCOUNT.into();
        Self { account, region: region.into(), scale: Self::SCALE, real: false }
    }

    /// The same with real programs, at the scale of these.
    #[must_use]
    pub fn with_programs(self) -> Self {
        Self { real: true, scale: Self::REAL_SCALE, ..self }
    }

    /// The partition of the region.
    pub fn partition(&self) -> &'static str {
        match self.region.split('-').next() {
            Some("cn") => "aws-cn",
            Some("us") if self.region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }

    fn world(&self, epoch: u64) -> world::Settings {
        world::Settings {
            account: self.account.clone(),
            region: self.region.clone(),
            partition: self.partition().into(),
            epoch,
            plane: if self.real { Plane::Real } else { Plane::Simulated },
            ..world::Settings::default()
        }
    }
}

/// Why there is no world.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Its files can't be used.
    #[error("the embedded AWS can't be used: {0}")]
    World(#[from] file::Error),
    /// It is one of another account or region.
    #[error("the embedded AWS in {folder} is account {found}, not {wanted}")]
    Other {
        /// Where.
        folder: PathBuf,
        /// The account and region that it has.
        found: String,
        /// The account and region asked for.
        wanted: String,
    },
    /// It was begun without real programs, and they are asked for.
    #[error("the embedded AWS in {folder} was begun without real programs")]
    Simulated {
        /// Where.
        folder: PathBuf,
    },
    /// It can't be served.
    #[error("port {port} of 127.0.0.1 can't be had: {source}")]
    Port {
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
}

/// One thing that exists in a world.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The service, `kafka`.
    pub service: &'static str,
    /// What it is.
    pub kind: String,
    /// Its id or name.
    pub id: String,
    /// Its state; nothing real stands behind it.
    pub state: String,
}

/// A world in a folder, with clients and a clock on it. Several processes may have the same one open.
pub struct LocalWorld {
    /// Clients that reach it.
    pub session: Session,
    /// Its time.
    pub clock: Arc<dyn Clock>,
    /// The world.
    pub world: Arc<FileWorld>,
    folder: PathBuf,
    settings: Settings,
}

impl LocalWorld {
    /// Opens the world in `folder`, or begins one there whose time is the present.
    ///
    /// # Errors
    /// Files that can't be used, or a world of another account or region.
    pub async fn open(folder: &Path, settings: Settings) -> Result<Self, LocalError> {
        let (path, wanted) = (folder.to_owned(), settings.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let fresh = wanted.world(wall_now());
            let world = FileWorld::open_or_create(&path, fresh, wanted.scale)?;
            let found = world.read(|w| w.settings.clone())?;
            let time = world.time()?;
            Ok::<_, LocalError>((world, found, time))
        });
        let (world, found, time) = match opened.await {
            Ok(result) => result?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let place = |account: &str, region: &str| format!("{account} in {region}");
        if (&found.account, &found.region) != (&settings.account, &settings.region) {
            return Err(LocalError::Other {
                folder: folder.to_owned(),
                found: place(&found.account, &found.region),
                wanted: place(&settings.account, &settings.region),
            });
        }
        let mut real = found.plane == Plane::Real;
        if settings.real && !real {
            // Programs can't take over what was made without them.
            real = world.change(|world, time: &mut Mapping| {
                let empty = is_empty(world, time.world(wall_now()));
                if empty {
                    world.settings.plane = Plane::Real;
                }
                empty
            })?;
            if !real {
                return Err(LocalError::Simulated { folder: folder.to_owned() });
            }
        }
        let settings = Settings { real, ..settings };
        let clock: Arc<dyn Clock> = Arc::new(WorldClock::new(Arc::clone(&world), time));
        let session =
            Embedded::durable(Arc::clone(&world) as Arc<_>, Arc::clone(&clock), &settings.region);
        Ok(Self { session, clock, world, folder: folder.to_owned(), settings })
    }

    /// Clients and a clock on a world as [`open`](Self::open) would begin it, kept in memory: for what only looks, and must not begin
    /// one. Its ids are those that the world will have.
    pub fn fresh(settings: &Settings) -> (Session, Arc<dyn Clock>) {
        let now = wall_now();
        let world = InProcess::new(World::new(settings.world(now)));
        let clock: Arc<dyn Clock> = Arc::new(ScaledClock::new(Timestamp(now), settings.scale));
        (Embedded::session(world, Arc::clone(&clock), &settings.region), clock)
    }

    /// True if a world was begun in `folder`.
    pub fn is_begun(folder: &Path) -> bool {
        folder.join("world.json").exists()
    }

    /// Sees whether real programs can stand behind the world in `folder`; changes nothing.
    ///
    /// # Errors
    /// [`LocalError::Simulated`] where something was made in it without them, or files that can't be used.
    pub fn check_programs(folder: &Path) -> Result<(), LocalError> {
        if !Self::is_begun(folder) {
            return Ok(());
        }
        let world = FileWorld::open(folder)?;
        let now = world.now();
        let takes = world.read(|w| w.settings.plane == Plane::Real || is_empty(w, now))?;
        if takes { Ok(()) } else { Err(LocalError::Simulated { folder: folder.to_owned() }) }
    }

    /// True if a world was begun in `folder`, and real programs have to stand behind it. One that can't be read says so when it is opened.
    pub fn has_real_programs(folder: &Path) -> bool {
        let plane = |world: &World| world.settings.plane;
        FileWorld::open(folder).and_then(|world| world.read(plane)).is_ok_and(|p| p == Plane::Real)
    }

    /// True if real programs have to stand behind its clusters, databases and connectors.
    pub fn is_real(&self) -> bool {
        self.settings.real
    }

    /// What the tasks of a connector were last seen doing, by its ARN; none where nothing stands behind it.
    ///
    /// # Errors
    /// A world that can't be read.
    pub fn tasks(&self, connector: &str) -> Result<Vec<Task>, LocalError> {
        Ok(self.world.read(|world| plane::tasks(world, connector))?)
    }

    /// How fast its time goes: world time in one unit of real time.
    ///
    /// # Errors
    /// A world that can't be read.
    pub fn scale(&self) -> Result<f64, LocalError> {
        Ok(self.world.time()?.scale)
    }

    /// Lets time go on at another scale, for every process, without a jump.
    ///
    /// # Errors
    /// A world that can't be stored.
    pub fn rescale(&self, scale: f64) -> Result<(), LocalError> {
        Ok(self.world.rescale(scale)?)
    }

    /// What exists in it now.
    ///
    /// # Errors
    /// A world that can't be read.
    pub fn inventory(&self) -> Result<Vec<Row>, LocalError> {
        let now = self.world.now();
        Ok(self.world.read(|world| inventory(world, now))?)
    }

    /// Makes it what a fresh world is: a network and nothing else, and nothing real behind it until that is asked for. Its time goes on, so
    /// that no clock runs backwards; after real programs as fast as that of a world without.
    ///
    /// # Errors
    /// A world that can't be stored.
    pub fn reset(&self) -> Result<(), LocalError> {
        let blobs = self.folder.join("blobs");
        let settings = Settings { real: false, ..self.settings.clone() };
        let scale = self.settings.real.then_some(Settings::SCALE);
        self.world.change(move |world, time: &mut Mapping| {
            if let Some(scale) = scale {
                time.rescale(wall_now(), scale);
            }
            *world = World::new(settings.world(time.world(wall_now())));
            // Contents that this process never loaded are nobody's now. What stays only takes room.
            for entry in fs::read_dir(&blobs).into_iter().flatten().flatten() {
                let _ = fs::remove_file(entry.path());
            }
        })?;
        Ok(())
    }

    /// Serves it over HTTP on the loopback interface to any AWS client; port 0 takes a free one.
    ///
    /// # Errors
    /// A port that can't be had.
    pub async fn serve(&self, port: u16) -> Result<Server, LocalError> {
        Server::start(port, Arc::clone(&self.world) as Arc<_>, Arc::clone(&self.world) as Arc<_>)
            .await
            .map_err(|source| LocalError::Port { port, source })
    }

    /// What exists in a world that nobody has begun yet.
    pub fn fresh_inventory(settings: &Settings) -> Vec<Row> {
        let now = wall_now();
        inventory(&World::new(settings.world(now)), now)
    }
}

/// Nothing was made in it.
fn is_empty(world: &World, now: u64) -> bool {
    inventory(world, now) == inventory(&World::new(world.settings.clone()), now)
}

fn inventory(world: &World, now: u64) -> Vec<Row> {
    let rows = services::SERVICES.iter().flat_map(|service| {
        (service.inventory)(world, now).into_iter().map(|(kind, id, state)| Row {
            service: service.name,
            kind,
            id,
            state,
        })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn processes_share_a_world_and_its_time_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("world");
        let one = LocalWorld::open(&path, Settings::new("eu-west-1")).await.unwrap();
        let two = LocalWorld::open(&path, Settings::new("eu-west-1")).await.unwrap();
        assert_eq!(two.session.pin().await.unwrap().account, Settings::ACCOUNT);
        assert_eq!(one.inventory().unwrap(), two.inventory().unwrap());
        let before = one.clock.wall();
        two.world.advance(3_600_000).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(one.clock.wall().since(before) >= Duration::from_hours(1));
    }

    #[tokio::test]
    async fn a_world_of_another_region_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        LocalWorld::open(folder.path(), Settings::new("eu-west-1")).await.unwrap();
        let other = LocalWorld::open(folder.path(), Settings::new("eu-west-2")).await;
        assert!(matches!(other, Err(LocalError::Other { .. })));
    }

    #[tokio::test]
    async fn real_programs_stand_behind_a_world_from_its_beginning_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (simulated, real) =
            (Settings::new("us-east-1"), |real| Settings { real, ..Settings::new("us-east-1") });
        let local = LocalWorld::open(folder.path(), simulated).await.unwrap();
        assert!(!local.is_real());
        let group = local.session.logs.create_log_group().log_group_name("g");
        group.send().await.unwrap();
        let refused = LocalWorld::open(folder.path(), real(true)).await;
        assert!(matches!(refused, Err(LocalError::Simulated { .. })));
        let refused = LocalWorld::check_programs(folder.path());
        assert!(matches!(refused, Err(LocalError::Simulated { .. })));
        local.reset().unwrap();
        LocalWorld::check_programs(folder.path()).unwrap();
        assert!(!LocalWorld::has_real_programs(folder.path()), "a look changes nothing");
        assert!(LocalWorld::open(folder.path(), real(true)).await.unwrap().is_real());
        // What it is, it is for everybody, until a reset.
        assert!(LocalWorld::has_real_programs(folder.path()));
        let same = LocalWorld::open(folder.path(), real(false)).await.unwrap();
        assert!(same.is_real());
        same.rescale(10.0).unwrap();
        same.reset().unwrap();
        let fresh = LocalWorld::open(folder.path(), real(false)).await.unwrap();
        assert!(!fresh.is_real() && !LocalWorld::has_real_programs(folder.path()));
        assert!((fresh.scale().unwrap() - Settings::SCALE).abs() < f64::EPSILON);
    }

    #[tokio::test]
    async fn a_reset_leaves_a_fresh_world() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::new("us-east-1");
        let local = LocalWorld::open(folder.path(), settings.clone()).await.unwrap();
        let fresh = local.inventory().unwrap();
        let ec2 = &local.session.ec2;
        let vpcs = ec2.describe_vpcs().send().await.unwrap();
        let group = ec2.create_security_group().group_name("g").description("d");
        group.set_vpc_id(vpcs.vpcs()[0].vpc_id.clone()).send().await.unwrap();
        assert_ne!(local.inventory().unwrap(), fresh);
        local.reset().unwrap();
        assert_eq!(local.inventory().unwrap(), fresh);
        assert_eq!(LocalWorld::fresh_inventory(&settings), fresh);
    }
}
