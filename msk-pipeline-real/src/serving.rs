//! Which process serves a world: one with real programs, or any number without.
//!
//! ```text
//! <world>/serve.lock   locked exclusively by the one that runs real programs, shared by those that serve a simulated world
//! <world>/serve.begin  locked by whoever begins one in the background, so that two at once begin one
//! <world>/serve.json   who it is, since when, and where it listens
//! <world>/serve.log    what one in the background says
//! ```
//!
//! The locks are the kernel's and end with their process, however that ends; the record may outlive it and says nothing by itself.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;
use crate::process::{Identity, Ledger, Listed, running};

/// Whoever looks holds the lock for an instant.
const GLANCE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(50);
/// How long a server may take to end its programs in order: each has eight seconds, and they end side by side.
const PATIENCE: Duration = Duration::from_secs(45);

/// A process that serves a world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    #[serde(flatten)]
    identity: Identity,
    /// Whether it runs real programs.
    pub real: bool,
    /// Where it speaks HTTP; `None` while it begins.
    pub endpoint: Option<String>,
    /// Since when, in seconds since 1970.
    pub since: u64,
}

impl Server {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.identity.pid
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let without = if self.real { "" } else { " without real programs" };
        write!(f, "process {}{without}", self.pid())
    }
}

/// Who serves a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// Nobody.
    No,
    /// Somebody; `None` for the instant in which it has not yet said who it is.
    By {
        /// Whether with real programs.
        real: bool,
        /// Who.
        server: Option<Server>,
    },
}

/// The folder of the plane, inside a world's.
pub fn plane(world: &Path) -> PathBuf {
    world.join("plane")
}

/// The log of a server in the background.
pub fn log(world: &Path) -> PathBuf {
    world.join("serve.log")
}

/// The right to serve a world, for as long as this is held.
#[derive(Debug)]
pub struct Serving {
    _lock: File,
    record: PathBuf,
    server: Server,
}

impl Serving {
    /// Begins to serve, and writes down who does.
    ///
    /// # Errors
    /// [`Error::Served`] where another process does: with real programs nobody else may, without them nobody may with.
    pub fn begin(world: &Path, real: bool) -> Result<Self> {
        files::folder(world)?;
        let lock = open(&world.join("serve.lock"))?;
        let deadline = Instant::now() + GLANCE;
        while !(if real { held(lock.try_lock()) } else { held(lock.try_lock_shared()) })? {
            if Instant::now() > deadline {
                return Err(match served(world)? {
                    Served::By { server: Some(server), .. } => Error::Served(server),
                    _ => Error::InUse(world.join("serve.lock")),
                });
            }
            std::thread::sleep(LOOK);
        }
        let pid = i32::try_from(std::process::id()).unwrap_or_default();
        let identity = Identity::of(pid)
            .ok_or_else(|| Error::io("watch", "itself")(std::io::ErrorKind::NotFound.into()))?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let server = Server { identity, real, endpoint: None, since };
        let serving = Self { _lock: lock, record: record(world), server };
        serving.write()?;
        Ok(serving)
    }

    /// Says where it listens: from now on it serves.
    pub fn ready(&mut self, endpoint: &str) -> Result<()> {
        self.server.endpoint = Some(endpoint.to_owned());
        self.write()
    }

    fn write(&self) -> Result<()> {
        files::replace(&self.record, serde_json::to_vec(&self.server).expect("plain values"))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if read(&self.record).is_some_and(|server| server.identity == self.server.identity) {
            let _ = std::fs::remove_file(&self.record);
        }
    }
}

fn record(world: &Path) -> PathBuf {
    world.join("serve.json")
}

fn read(record: &Path) -> Option<Server> {
    serde_json::from_slice(&std::fs::read(record).ok()?).ok()
}

fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    options.open(path).map_err(Error::io("open", path.display()))
}

fn held(attempt: std::result::Result<(), TryLockError>) -> Result<bool> {
    match attempt {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(Error::io("lock", "serve.lock")(e)),
    }
}

/// Who serves a world now.
///
/// # Errors
/// A lock that can't be tried.
pub fn served(world: &Path) -> Result<Served> {
    let path = world.join("serve.lock");
    if !path.exists() {
        return Ok(Served::No);
    }
    let lock = open(&path)?;
    if held(lock.try_lock())? {
        return Ok(Served::No);
    }
    let real = !held(lock.try_lock_shared())?;
    let server = read(&record(world)).filter(|s| s.real == real && s.identity.lives());
    Ok(Served::By { real, server })
}

/// The right to begin a server in the background, if nobody else has it just now. It ends when the file is closed.
///
/// # Errors
/// A lock that can't be tried.
pub fn may_begin(world: &Path) -> Result<Option<File>> {
    files::folder(world)?;
    let lock = open(&world.join("serve.begin"))?;
    Ok(held(lock.try_lock())?.then_some(lock))
}

/// Leaves the terminal's session, so that what ends that does not end this process.
///
/// # Errors
/// In a process that leads a group already.
pub fn detach() -> Result<()> {
    let left = rustix::process::setsid();
    left.map(drop).map_err(|e| Error::io("leave", "the terminal's session")(e.into()))
}

/// What was ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// The server; `None` where none served, and only what a killed one had left was ended.
    pub server: Option<i32>,
    /// The programs.
    pub programs: Vec<Listed>,
}

/// Ends the server that runs real programs for a world, and these; without one, what a killed one left. Their data stay. Blocks until
/// they are gone, half a minute at most.
///
/// # Errors
/// [`Error::Served`] where a simulated world is served: it has no programs, and its server is somebody's terminal.
pub fn stop(world: &Path) -> Result<Stopped> {
    let plane = plane(world);
    let programs = running(&plane)?;
    let deadline = Instant::now() + PATIENCE;
    let mut ended = None;
    loop {
        match served(world)? {
            Served::No => break,
            Served::By { real: false, server: Some(server) } => return Err(Error::Served(server)),
            Served::By { real: false, server: None } => {
                return Err(Error::InUse(world.join("serve.lock")));
            }
            Served::By { real: true, server } => {
                if let Some(server) = server {
                    // Once: a second signal would end it in the middle of ending its programs.
                    if ended.is_none() {
                        server.identity.signal_alone(Signal::TERM);
                    }
                    if Instant::now() > deadline {
                        server.identity.signal_alone(Signal::KILL);
                    }
                    ended = Some(server.pid());
                }
            }
        }
        if Instant::now() > deadline + GLANCE {
            return Err(Error::InUse(world.join("serve.lock")));
        }
        std::thread::sleep(LOOK);
    }
    // What a killed server left ends with the next one that holds its ledger, and that is this.
    if plane.exists() {
        drop(Ledger::open(&plane)?);
        crate::access::withdraw(&plane);
    }
    Ok(Stopped { server: ended, programs })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_serves_with_real_programs_and_says_who() {
        let folder = tempfile::tempdir().expect("a folder");
        let world = folder.path();
        assert_eq!(served(world).expect("asked"), Served::No);
        let mut serving = Serving::begin(world, true).expect("free");
        let pid = i32::try_from(std::process::id()).expect("small");
        let Served::By { real: true, server: Some(server) } = served(world).expect("asked") else {
            panic!("it is served");
        };
        assert_eq!((server.pid(), server.endpoint), (pid, None));
        serving.ready("http://127.0.0.1:1").expect("written");
        let Served::By { server: Some(server), .. } = served(world).expect("asked") else {
            panic!("it is served");
        };
        assert_eq!(server.endpoint.as_deref(), Some("http://127.0.0.1:1"));
        for real in [true, false] {
            let error = Serving::begin(world, real).expect_err("it is served");
            assert!(matches!(&error, Error::Served(s) if s.pid() == pid), "{error}");
        }
        let mode = record(world).metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(serving);
        assert_eq!(served(world).expect("asked"), Served::No);
        assert!(!record(world).exists());
    }

    #[test]
    fn many_serve_a_simulated_world_and_none_with_real_programs_beside_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let world = folder.path();
        let one = Serving::begin(world, false).expect("free");
        let two = Serving::begin(world, false).expect("shared");
        assert!(matches!(served(world), Ok(Served::By { real: false, server: Some(_) })));
        assert!(matches!(Serving::begin(world, true), Err(Error::Served(s)) if !s.real));
        assert!(matches!(stop(world), Err(Error::Served(_))), "it is not this command's to end");
        drop((one, two));
        Serving::begin(world, true).expect("free");
    }

    #[test]
    fn a_record_of_a_dead_server_says_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let world = folder.path();
        let serving = Serving::begin(world, true).expect("free");
        let old = std::fs::read(record(world)).expect("there");
        drop(serving);
        std::fs::write(record(world), old).expect("as a kill leaves it");
        assert_eq!(served(world).expect("asked"), Served::No);
        assert_eq!(stop(world).expect("nothing to do"), Stopped::default());
    }

    #[test]
    fn one_begins_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = may_begin(folder.path()).expect("asked");
        assert!(first.is_some());
        assert!(may_begin(folder.path()).expect("asked").is_none());
        drop(first);
        assert!(may_begin(folder.path()).expect("asked").is_some());
    }
}
