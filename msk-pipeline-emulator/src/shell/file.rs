//! A world in a folder, durable per changing call and shared by several processes.
//!
//! ```text
//! <folder>/world.json     the world, its time mapping and a serial; replaced atomically
//! <folder>/world.lock     locked for the length of a call
//! <folder>/blobs/<sha256> contents of stored objects, written once
//! ```
//!
//! # Guarantees
//! A call sees everything that any process committed before it. When a changing call returns, its effect is on disk; a process
//! that dies before leaves the world as it was. Folder and files are private to the user.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Handle, Mapping, Observer, Observers, TimeSource, wall_now};
use crate::protocol;
use crate::world::{Millis, Request, Response, Settings, World, is_read};

/// Raised when the form of the file changes in a way that older code can't read.
const FORMAT: u32 = 1;

/// Why a world's file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It isn't a world.
    #[error("{path} is not a world: {source}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Another version wrote it.
    #[error("{path} has format {found}, this version reads {FORMAT}")]
    Format {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// There is no world in the folder.
    #[error("{path} holds no world")]
    Missing {
        /// Which folder.
        path: PathBuf,
    },
}

/// The document on disk. `format` and `serial` come first, so that a glance at the head tells whether it moved.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Document {
    format: u32,
    serial: u64,
    time: Mapping,
    /// World time of the newest change: it never runs backwards, whatever the wall clocks of the processes say.
    newest: Millis,
    world: World,
}

struct Inner {
    lock: File,
    document: Document,
    /// Blobs that are known to be on disk.
    stored: BTreeSet<String>,
}

/// A handle of the world in a folder.
pub struct FileWorld {
    folder: PathBuf,
    inner: Mutex<Inner>,
    observers: Observers,
}

impl FileWorld {
    /// Opens the world in `folder`, or begins one there at world time `settings.epoch` and `scale`.
    pub fn open_or_create(
        folder: &Path,
        settings: Settings,
        scale: f64,
    ) -> Result<Arc<Self>, Error> {
        Self::start(folder, Some((settings, scale)))
    }

    /// Opens the world in `folder`.
    pub fn open(folder: &Path) -> Result<Arc<Self>, Error> {
        if !folder.join("world.json").exists() {
            return Err(Error::Missing { path: folder.into() });
        }
        Self::start(folder, None)
    }

    fn start(folder: &Path, create: Option<(Settings, f64)>) -> Result<Arc<Self>, Error> {
        make_folder(folder)?;
        make_folder(&folder.join("blobs"))?;
        let path = folder.join("world.lock");
        let lock = private()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| Error::Io { path: path.clone(), source })?;
        lock.lock().map_err(|source| Error::Io { path, source })?;
        let document = match (read(folder)?, create) {
            (Some(document), _) => document,
            (None, Some((settings, scale))) => {
                let time = Mapping::new(settings.epoch, wall_now(), scale);
                let newest = settings.epoch;
                let document = Document {
                    format: FORMAT,
                    serial: 1,
                    time,
                    newest,
                    world: World::new(settings),
                };
                write_document(folder, &document)?;
                document
            }
            (None, None) => return Err(Error::Missing { path: folder.into() }),
        };
        let inner = Inner { lock, document, stored: BTreeSet::new() };
        inner.unlock(folder)?;
        Ok(Arc::new(Self {
            folder: folder.into(),
            inner: Mutex::new(inner),
            observers: Observers::default(),
        }))
    }

    /// Answers a request at a moment of world time, or later if the world is ahead already.
    ///
    /// # Errors
    /// If the world can't be read or its change can't be stored; then nothing has changed.
    pub fn try_call(&self, now: Millis, request: &Request) -> Result<Response, Error> {
        let mut failure = None;
        let response = self.observers.around(now, request, || {
            let contents = needs_contents(request);
            self.locked(|folder, inner| {
                if contents {
                    load_blobs(folder, inner)?;
                }
                let now = now.max(inner.document.newest);
                let before = inner.document.world.blobs.keys().cloned().collect();
                let response = inner.document.world.handle(now, request);
                if response.changed {
                    inner.document.newest = now;
                    inner.store(folder, &before)?;
                }
                Ok(response)
            })
            .unwrap_or_else(|e| {
                failure = Some(e);
                Response::default()
            })
        });
        failure.map_or(Ok(response), Err)
    }

    /// The time mapping as it is on disk.
    pub fn time(&self) -> Result<Mapping, Error> {
        self.locked(|_, inner| Ok(inner.document.time))
    }

    /// Lets world time run at another scale from now on, without a jump, for every process.
    pub fn rescale(&self, scale: f64) -> Result<(), Error> {
        self.change(|_, time| time.rescale(wall_now(), scale))
    }

    /// Moves world time ahead.
    pub fn advance(&self, span: Millis) -> Result<(), Error> {
        self.change(|_, time| time.advance(span))
    }

    /// Changes world or time durably, for instance a dial.
    pub fn change<T>(&self, f: impl FnOnce(&mut World, &mut Mapping) -> T) -> Result<T, Error> {
        self.locked(|folder, inner| {
            let before = inner.document.world.blobs.keys().cloned().collect();
            let result = f(&mut inner.document.world, &mut inner.document.time);
            inner.store(folder, &before)?;
            Ok(result)
        })
    }

    /// Looks into the world as it is on disk.
    pub fn read<T>(&self, f: impl FnOnce(&World) -> T) -> Result<T, Error> {
        self.locked(|_, inner| Ok(f(&inner.document.world)))
    }

    /// Adds an observer.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.observers.add(observer);
    }

    /// Runs `f` under the lock, on the newest state.
    fn locked<T>(&self, f: impl FnOnce(&Path, &mut Inner) -> Result<T, Error>) -> Result<T, Error> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.folder.join("world.lock");
        inner.lock.lock().map_err(|source| Error::Io { path, source })?;
        let result = inner.refresh(&self.folder).and_then(|()| f(&self.folder, &mut inner));
        inner.unlock(&self.folder)?;
        result
    }
}

impl Handle for FileWorld {
    fn call(&self, now: Millis, request: &Request) -> Response {
        self.try_call(now, request).unwrap_or_else(|e| {
            let body = format!("<Error><Code>InternalFailure</Code><Message>{e}</Message></Error>");
            let code = ("x-amzn-errortype".to_owned(), "InternalFailure".to_owned());
            Response { status: 500, headers: vec![code], body: body.into(), ..Response::default() }
        })
    }
}

impl super::Shared for FileWorld {
    /// A world that can't be read isn't looked at; the next look tries again.
    fn look(&self, look: &mut dyn FnMut(&World, Millis)) {
        let _ = self.locked(|_, inner| {
            let now = inner.document.time.world(wall_now()).max(inner.document.newest);
            look(&inner.document.world, now);
            Ok(())
        });
    }

    fn report(&self, report: &crate::plane::Report) -> bool {
        let recorded = self.locked(|folder, inner| {
            let now = inner.document.time.world(wall_now()).max(inner.document.newest);
            let before = inner.document.world.blobs.keys().cloned().collect();
            let changed = crate::plane::record(&mut inner.document.world, now, report);
            if changed {
                inner.document.newest = now;
                inner.store(folder, &before)?;
            }
            Ok(changed)
        });
        recorded.unwrap_or(false)
    }

    fn content(&self, sha256: &str) -> Option<bytes::Bytes> {
        let name = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
        let path = self.folder.join("blobs").join(sha256);
        name.then(|| fs::read(path).ok()).flatten().map(Into::into)
    }
}

impl TimeSource for FileWorld {
    fn now(&self) -> Millis {
        let cached = || self.inner.lock().unwrap_or_else(PoisonError::into_inner).document.time;
        self.time().unwrap_or_else(|_| cached()).world(wall_now())
    }

    fn wall(&self, span: Millis) -> Duration {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).document.time.wall_span(span)
    }
}

/// Whether a call may look into stored contents: only then are they read from disk.
fn needs_contents(request: &Request) -> bool {
    protocol::target(request).is_ok_and(|t| {
        matches!(t.service, "s3" | "kafkaconnect")
            && (t.operation == "GetObject" || !is_read(&t.operation))
    })
}

impl Inner {
    fn unlock(&self, folder: &Path) -> Result<(), Error> {
        self.lock.unlock().map_err(|source| Error::Io { path: folder.join("world.lock"), source })
    }

    /// Reads the document again if another process has replaced it.
    fn refresh(&mut self, folder: &Path) -> Result<(), Error> {
        if serial_on_disk(folder)? == Some(self.document.serial) {
            return Ok(());
        }
        let mut fresh = read(folder)?.ok_or_else(|| Error::Missing { path: folder.into() })?;
        fresh.world.blobs = std::mem::take(&mut self.document.world.blobs);
        self.document = fresh;
        Ok(())
    }

    /// Stores the document; on failure memory is given up, so that the next call reads what is on disk.
    fn store(&mut self, folder: &Path, before: &BTreeSet<String>) -> Result<(), Error> {
        self.document.serial += 1;
        let result = self.write(folder, before);
        if result.is_err() {
            self.document.serial = 0;
            self.document.world.blobs.clear();
        }
        result
    }

    /// Contents first, then the document that refers to them; contents that nothing refers to any more last.
    fn write(&mut self, folder: &Path, before: &BTreeSet<String>) -> Result<(), Error> {
        let path = folder.join("blobs");
        let blobs = &self.document.world.blobs;
        let new: Vec<_> = blobs.iter().filter(|(name, _)| !self.stored.contains(*name)).collect();
        for (name, content) in &new {
            if !path.join(name).exists() {
                replace(&path, name, content)?;
            }
        }
        if !new.is_empty() {
            sync_folder(&path)?;
        }
        write_document(folder, &self.document)?;
        self.stored.extend(new.into_iter().map(|(name, _)| name.clone()));
        for name in before.iter().filter(|name| !blobs.contains_key(*name)) {
            // Left behind it would only take room.
            let _ = fs::remove_file(path.join(name));
            self.stored.remove(name);
        }
        Ok(())
    }
}

/// Loads the contents that this process doesn't hold yet.
fn load_blobs(folder: &Path, inner: &mut Inner) -> Result<(), Error> {
    let path = folder.join("blobs");
    let list = fs::read_dir(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
    let mut there = BTreeSet::new();
    for entry in list {
        let entry = entry.map_err(|source| Error::Io { path: path.clone(), source })?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.len() != 64 || !name.bytes().all(|b| b.is_ascii_hexdigit()) {
            continue;
        }
        if !inner.document.world.blobs.contains_key(&name) {
            let content = fs::read(entry.path())
                .map_err(|source| Error::Io { path: entry.path(), source })?;
            inner.document.world.blobs.insert(name.clone(), content.into());
        }
        there.insert(name);
    }
    // Another process may have removed some.
    inner.document.world.blobs.retain(|name, _| there.contains(name));
    inner.stored = there;
    Ok(())
}

fn read(folder: &Path) -> Result<Option<Document>, Error> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let path = folder.join("world.json");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Io { path, source }),
    };
    let parse = |source| Error::Parse { path: path.clone(), source };
    let head: Head = serde_json::from_str(&text).map_err(parse)?;
    if head.format != FORMAT {
        return Err(Error::Format { path, found: head.format });
    }
    serde_json::from_str(&text).map(Some).map_err(parse)
}

/// The serial, from the first bytes of the file.
fn serial_on_disk(folder: &Path) -> Result<Option<u64>, Error> {
    let path = folder.join("world.json");
    let mut head = Vec::new();
    let file = File::open(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
    file.take(64).read_to_end(&mut head).map_err(|source| Error::Io { path, source })?;
    let head = String::from_utf8_lossy(&head);
    let digits = head.split_once("\"serial\":").and_then(|(_, rest)| rest.split_once(','));
    Ok(digits.and_then(|(digits, _)| digits.trim().parse().ok()))
}

fn write_document(folder: &Path, document: &Document) -> Result<(), Error> {
    let path = folder.join("world.json");
    let text = serde_json::to_vec(document).map_err(|source| Error::Parse { path, source })?;
    replace(folder, "world.json", &text)?;
    sync_folder(folder)
}

/// Writes a file beside, syncs it, and moves it into place.
fn replace(folder: &Path, name: &str, content: &[u8]) -> Result<(), Error> {
    let path = folder.join(name);
    let new = folder.join(format!("{name}.new"));
    let io = |source| Error::Io { path: path.clone(), source };
    let mut file = private().create(true).truncate(true).write(true).open(&new).map_err(io)?;
    file.write_all(content).map_err(io)?;
    file.sync_all().map_err(io)?;
    fs::rename(&new, &path).map_err(io)
}

fn sync_folder(folder: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(|source| Error::Io { path: folder.into(), source })?;
    Ok(())
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make_folder(folder: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|source| Error::Io { path: folder.into(), source })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::fault::{Effect, Rule, When};
    use crate::shell::{Call, Moment, Next};
    use crate::world::Delivery;

    fn caller() -> Request {
        let scope =
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/sts/aws4_request, Signature=0";
        Request {
            method: "POST".into(),
            path: "/".into(),
            headers: vec![("authorization".into(), scope.into())],
            body: Bytes::from_static(b"Action=GetCallerIdentity"),
            ..Request::default()
        }
    }

    fn open(folder: &Path) -> Arc<FileWorld> {
        FileWorld::open_or_create(folder, Settings::default(), 0.0).expect("opens")
    }

    #[test]
    fn two_handles_share_one_world() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("world");
        let (one, two) = (open(&path), open(&path));
        let rule = Rule::new("sts", "*", When::Nth(2), Effect::ServerError(503));
        one.change(|world, _| world.faults.rules.push(rule)).expect("stores");
        let now = Settings::default().epoch;
        assert_eq!(two.call(now, &caller()).status, 200);
        assert_eq!(one.call(now, &caller()).status, 503);
        assert_eq!(two.call(now, &caller()).status, 200);
        drop((one, two));
        let again = FileWorld::open(&path).expect("opens");
        let rules = again.read(|w| (w.faults.rules[0].seen, w.revision)).expect("reads");
        assert_eq!(rules, (3, 3));
    }

    #[test]
    fn no_call_of_four_at_once_is_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let rule = Rule::new("sts", "*", When::Always, Effect::Slow(1));
        open(folder.path()).change(|world, _| world.faults.rules.push(rule)).expect("stores");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let world = open(folder.path());
                    for now in 0..10 {
                        assert_eq!(world.call(now, &caller()).status, 200);
                    }
                });
            }
        });
        let counted = open(folder.path()).read(|w| (w.faults.rules[0].seen, w.revision));
        assert_eq!(counted.expect("reads"), (40, 40));
    }

    #[test]
    fn a_change_that_can_not_be_stored_did_not_happen() {
        let folder = tempfile::tempdir().expect("a folder");
        let world = open(folder.path());
        world.change(|w, _| w.faults.set("dial", 1)).expect("stores");
        // A folder in the place of the new file makes the write fail.
        let blocker = folder.path().join("world.json.new");
        fs::create_dir(&blocker).expect("made");
        world.change(|w, _| w.faults.set("dial", 2)).expect_err("refused");
        fs::remove_dir(&blocker).expect("removed");
        let dial = world.read(|w| w.faults.dial("dial").cloned()).expect("reads");
        assert_eq!(dial, Some(1.into()));
    }

    #[test]
    fn contents_are_stored_once_and_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = "a".repeat(64);
        let world = open(folder.path());
        let content = Bytes::from_static(b"zip");
        world.change(|w, _| w.blobs.insert(name.clone(), content)).expect("stores");
        let file = folder.path().join("blobs").join(&name);
        assert_eq!(fs::read(&file).expect("there"), b"zip");
        let other = open(folder.path());
        let loaded = other.locked(|folder, inner| {
            load_blobs(folder, inner)?;
            Ok(inner.document.world.blobs.len())
        });
        assert_eq!(loaded.expect("loads"), 1);
        other.change(|w, _| w.blobs.clear()).expect("stores");
        assert!(!file.exists());
    }

    #[cfg(unix)]
    #[test]
    fn everything_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/world");
        open(&path);
        for (file, mode) in
            [("", 0o700), ("blobs", 0o700), ("world.json", 0o600), ("world.lock", 0o600)]
        {
            let found = fs::metadata(path.join(file)).expect("there").permissions().mode();
            assert_eq!(found & 0o777, mode, "{file}");
        }
    }

    #[test]
    fn time_is_shared_and_never_runs_backwards() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (open(folder.path()), open(folder.path()));
        let epoch = Settings::default().epoch;
        assert_eq!(two.now(), epoch);
        one.advance(60_000).expect("stores");
        assert_eq!(two.now(), epoch + 60_000);
        one.rescale(2.0).expect("stores");
        assert_eq!(two.time().expect("reads").wall_span(4_000), Duration::from_secs(2));
        assert!(two.now() >= epoch + 60_000);
    }

    #[test]
    fn a_foreign_format_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("world.json"), r#"{"format":9,"serial":1}"#).expect("writes");
        assert!(matches!(FileWorld::open(folder.path()), Err(Error::Format { found: 9, .. })));
        assert!(matches!(FileWorld::open(&folder.path().join("x")), Err(Error::Missing { .. })));
    }

    #[test]
    fn observers_see_three_moments_and_may_stop_the_call() {
        let folder = tempfile::tempdir().expect("a folder");
        let world = open(folder.path());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        world.observe(Arc::new(move |moment: Moment, call: &Call<'_>| {
            log.lock().expect("not poisoned").push((
                call.number,
                call.operation.to_owned(),
                moment,
            ));
            if call.number == 2 && moment == Moment::Before { Next::Stop } else { Next::Go }
        }));
        assert_eq!(world.call(1, &caller()).delivery, Delivery::Normal);
        assert_eq!(world.call(1, &caller()).delivery, Delivery::Held);
        let moments: Vec<(u64, Moment)> =
            seen.lock().expect("not poisoned").iter().map(|(n, _, m)| (*n, *m)).collect();
        let expected = [
            (1, Moment::Before),
            (1, Moment::Committed),
            (1, Moment::Replying),
            (2, Moment::Before),
        ];
        assert_eq!(moments, expected);
    }
}
