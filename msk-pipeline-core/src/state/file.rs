//! State in a folder: `state.json` (snapshot), `journal` (entries after it, one line each with its checksum), `lock`.

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::disk::{Disk, RealDisk};
use super::entry::Stamped;
use super::record::State;
use super::store::{Holder, Lease, Loaded, StateStore, StoreError};

/// The default store: a folder on this machine, private to the user.
///
/// # Guarantees
/// * `append` returns after the entries were fsynced.
/// * A line that a crash tore is recognised by its checksum and cut off by the next lease; a damaged line that is *not* the last
///   is an error, never skipped.
/// * `compact` writes the snapshot beside the old one and renames it; entries that the snapshot already holds are ignored, so a
///   crash between the rename and the cutting of the journal loses and repeats nothing.
/// * One writer at a time on one machine, by a lock that the operating system drops with the process.
///
/// # Caveats
/// The lock does not reach across machines, and the folder dies with its disk: in CI use a shared store.
#[derive(Clone)]
pub struct FileStore<D = RealDisk> {
    folder: PathBuf,
    disk: D,
}

impl FileStore {
    /// A store in `folder`, which is made with the first write.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), disk: RealDisk }
    }
}

impl<D: Disk + Clone> FileStore<D> {
    /// A store in `folder` of `disk`.
    pub fn on(disk: D, folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), disk }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    async fn read(&self) -> Result<(Loaded, u64, u64), StoreError> {
        let (snapshot_path, journal_path) = (self.path("state.json"), self.path("journal"));
        let io = |path: &Path, error: std::io::Error| StoreError::Io {
            action: "reading",
            file: path.display().to_string(),
            why: error.to_string(),
        };
        // The journal before the snapshot: a compaction in between can only make entries redundant, never lose any.
        let journal = self
            .disk
            .read(&journal_path)
            .await
            .map_err(|e| io(&journal_path, e))?
            .unwrap_or_default();
        let snapshot =
            match self.disk.read(&snapshot_path).await.map_err(|e| io(&snapshot_path, e))? {
                None => State::default(),
                Some(bytes) => {
                    serde_json::from_slice(&bytes).map_err(|error| StoreError::Damaged {
                        file: snapshot_path.display().to_string(),
                        why: error.to_string(),
                    })?
                }
            };
        let (mut entries, good) = lines(&journal)
            .map_err(|why| StoreError::Damaged { file: journal_path.display().to_string(), why })?;
        entries.retain(|e| e.seq > snapshot.head);
        Ok((Loaded { snapshot, entries }, good, journal.len() as u64))
    }
}

/// The whole lines of a journal, and how many bytes they take.
fn lines(journal: &[u8]) -> Result<(Vec<Stamped>, u64), String> {
    let (mut entries, mut good) = (Vec::new(), 0);
    let mut rest = journal;
    while !rest.is_empty() {
        let end = rest.iter().position(|&b| b == b'\n');
        match end.map(|end| parse(&rest[..end])) {
            Some(Ok(entry)) => entries.push(entry),
            // A line whose checksum fits was written whole, by a version that knows more.
            Some(Err(Unread::Unknown(why))) => {
                return Err(format!("entry after {} is of another version: {why}", entries.len()));
            }
            // Only the tail may be torn.
            Some(Err(Unread::Torn(why))) if end.is_some_and(|end| end + 1 < rest.len()) => {
                return Err(format!("entry after {}: {why}", entries.len()));
            }
            Some(Err(_)) | None if goes_on(rest) => {
                return Err(format!("entry {} does not end where it should", entries.len() + 1));
            }
            Some(Err(_)) | None => break,
        }
        let taken = end.map_or(rest.len(), |end| end + 1);
        good += taken as u64;
        rest = &rest[taken..];
    }
    Ok((entries, good))
}

/// True if a whole entry begins here and something other than the end of its line follows: nothing was torn, the end was damaged.
fn goes_on(tail: &[u8]) -> bool {
    let Some((sum, rest)) = tail.split_at_checked(9) else { return false };
    let mut values =
        serde_json::Deserializer::from_slice(rest).into_iter::<serde::de::IgnoredAny>();
    if !matches!(values.next(), Some(Ok(_))) {
        return false;
    }
    let (json, after) = rest.split_at(values.byte_offset());
    sum == format!("{:08x} ", crc32fast::hash(json)).as_bytes() && !matches!(after, [] | b"\n")
}

/// Why a line is no entry.
enum Unread {
    /// It is not what was written.
    Torn(String),
    /// It is what was written, and this version does not know it.
    Unknown(String),
}

fn parse(line: &[u8]) -> Result<Stamped, Unread> {
    let torn = |why: &str| Unread::Torn(why.to_owned());
    let text = std::str::from_utf8(line).map_err(|e| torn(&e.to_string()))?;
    let (sum, json) = text.split_once(' ').ok_or_else(|| torn("no checksum"))?;
    if sum != format!("{:08x}", crc32fast::hash(json.as_bytes())) {
        return Err(torn("the checksum does not match"));
    }
    serde_json::from_str(json).map_err(|e| Unread::Unknown(e.to_string()))
}

pub(super) fn line(entry: &Stamped) -> String {
    let json = serde_json::to_string(entry).expect("entries have string keys only");
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}

#[async_trait]
impl<D: Disk + Clone + 'static> StateStore for FileStore<D> {
    async fn load(&self) -> Result<Loaded, StoreError> {
        Ok(self.read().await?.0)
    }

    async fn lease(&self, holder: Holder) -> Result<Box<dyn Lease>, StoreError> {
        let (lock, note) = (self.path("lock"), self.path("lock.json"));
        let io = |action, path: &Path, error: std::io::Error| StoreError::Io {
            action,
            file: path.display().to_string(),
            why: error.to_string(),
        };
        let Some(guard) = self.disk.lock(&lock).await.map_err(|e| io("locking", &lock, e))? else {
            let note = self.disk.read(&note).await.ok().flatten();
            let unknown = || Holder {
                who: "another process".into(),
                why: "writing".into(),
                since: holder.since,
            };
            let other = note.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            return Err(StoreError::Locked(other.unwrap_or_else(unknown)));
        };
        let text = serde_json::to_vec(&holder).expect("a holder has string keys only");
        self.disk.replace(&note, &text).await.map_err(|e| io("writing", &note, e))?;
        Ok(Box::new(FileLease { store: self.clone(), guard: Some(guard), head: None }))
    }

    fn location(&self) -> String {
        self.folder.display().to_string()
    }
}

struct FileLease<D> {
    store: FileStore<D>,
    guard: Option<Box<dyn Send + Sync>>,
    head: Option<u64>,
}

impl<D: Disk> FileLease<D> {
    fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> StoreError {
        let file = path.display().to_string();
        move |error| StoreError::Io { action, file, why: error.to_string() }
    }
}

#[async_trait]
impl<D: Disk + Clone + 'static> Lease for FileLease<D> {
    async fn load(&mut self) -> Result<Loaded, StoreError> {
        let (loaded, good, len) = self.store.read().await?;
        if good < len {
            let path = self.store.path("journal");
            self.store.disk.truncate(&path, good).await.map_err(Self::io(&path, "cutting"))?;
        }
        self.head = Some(loaded.entries.last().map_or(loaded.snapshot.head, |e| e.seq));
        Ok(loaded)
    }

    async fn append(&mut self, expected_head: u64, entries: &[Stamped]) -> Result<(), StoreError> {
        let found = if let Some(head) = self.head {
            head
        } else {
            self.load().await?;
            self.head.unwrap_or_default()
        };
        if found != expected_head {
            return Err(StoreError::Fenced { expected: expected_head, found });
        }
        let path = self.store.path("journal");
        let text: String = entries.iter().map(line).collect();
        // Unknown until it returns: a failed write may have left a part that the next load cuts off.
        self.head = None;
        self.store.disk.append(&path, text.as_bytes()).await.map_err(Self::io(&path, "writing"))?;
        self.head = Some(entries.last().map_or(found, |e| e.seq));
        Ok(())
    }

    async fn compact(&mut self, state: &State) -> Result<(), StoreError> {
        let path = self.store.path("state.json");
        let text = serde_json::to_vec(state).expect("state has string keys only");
        self.store.disk.replace(&path, &text).await.map_err(Self::io(&path, "writing"))?;
        let path = self.store.path("journal");
        self.store.disk.replace(&path, b"").await.map_err(Self::io(&path, "writing"))?;
        Ok(())
    }

    async fn release(&mut self) -> Result<(), StoreError> {
        self.guard = None;
        Ok(())
    }
}
