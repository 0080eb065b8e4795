//! Files of the operating system, and what it takes until they survive a power cut.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;

use async_trait::async_trait;

use super::Disk;

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

const FILES: Files<'static> = Files(&Os);

#[async_trait]
impl Disk for RealDisk {
    async fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        FILES.append(path, bytes)
    }

    async fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        FILES.truncate(path, len)
    }

    async fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        FILES.replace(path, bytes)
    }

    async fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        FILES.lock(path)
    }
}

/// What makes changes durable.
trait Flush {
    /// The bytes of a file, and its length.
    fn data(&self, file: &File, path: &Path) -> io::Result<()>;
    /// Everything about a file.
    fn file(&self, file: &File, path: &Path) -> io::Result<()>;
    /// Which files are in a folder.
    fn folder(&self, folder: &Path) -> io::Result<()>;
}

struct Os;

impl Flush for Os {
    fn data(&self, file: &File, _path: &Path) -> io::Result<()> {
        file.sync_data()
    }

    fn file(&self, file: &File, _path: &Path) -> io::Result<()> {
        file.sync_all()
    }

    fn folder(&self, folder: &Path) -> io::Result<()> {
        // Other systems can't open folders, and need not.
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    }
}

/// Changes that are durable when they return.
struct Files<'a>(&'a (dyn Flush + Sync));

impl Files<'_> {
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.parent(path)?;
        let new = !path.exists();
        let mut file = private(OpenOptions::new().create(true).append(true)).open(path)?;
        file.write_all(bytes)?;
        self.0.data(&file, path)?;
        if new { self.name_of(path) } else { Ok(()) }
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        self.0.file(&file, path)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.parent(path)?;
        let fresh = path.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file = private(options.create(true).write(true).truncate(true)).open(&fresh)?;
        file.write_all(bytes)?;
        self.0.file(&file, &fresh)?;
        fs::rename(&fresh, path)?;
        self.name_of(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.parent(path)?;
        let mut options = OpenOptions::new();
        let file = private(options.create(true).write(true).truncate(false)).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                self.names_up_to(path)?;
                Ok(Some(Box::new(file)))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn parent(&self, path: &Path) -> io::Result<()> {
        let Some(folder) = path.parent() else { return Ok(()) };
        if folder.is_dir() {
            return Ok(());
        }
        // Each new folder has to be in its parent durably, or the journal in it goes with it.
        let missing: Vec<&Path> = folder.ancestors().take_while(|f| !f.is_dir()).collect();
        for new in missing.into_iter().rev().filter(|f| !f.as_os_str().is_empty()) {
            let mut builder = fs::DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            match builder.create(new) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => self.name_of(new)?,
            }
        }
        Ok(())
    }

    /// That `path` is in its folder.
    fn name_of(&self, path: &Path) -> io::Result<()> {
        let Some(folder) = path.parent() else { return Ok(()) };
        let here = folder.as_os_str().is_empty();
        self.0.folder(if here { Path::new(".") } else { folder })
    }

    /// What an earlier process made here, and may have been killed before it was durable, is durable after this: the files beside
    /// `path`, and the folders that lead to them, as far up as a state's own folders reach (`.msk-pipeline/NAME/PLACE`).
    fn names_up_to(&self, path: &Path) -> io::Result<()> {
        self.name_of(path)?;
        for folder in path.ancestors().skip(1).take(3).take_while(|f| f.parent().is_some()) {
            match self.name_of(folder) {
                // Folders above may be somebody else's.
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Says what was made durable and how it was at that moment: a file's length, a folder's names.
    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);

    impl Told {
        fn tell(&self, what: String) {
            self.0.lock().unwrap().push(what);
        }

        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    fn name(path: &Path) -> String {
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    impl Flush for Told {
        fn data(&self, file: &File, path: &Path) -> io::Result<()> {
            self.file(file, path)
        }

        fn file(&self, _file: &File, path: &Path) -> io::Result<()> {
            self.tell(format!("{}: {} bytes", name(path), fs::metadata(path)?.len()));
            Ok(())
        }

        fn folder(&self, folder: &Path) -> io::Result<()> {
            let mut names: Vec<_> =
                fs::read_dir(folder)?.flatten().map(|e| name(&e.path())).collect();
            names.sort();
            self.tell(format!("{}/ {}", name(folder), names.join(" ")));
            Ok(())
        }
    }

    #[test]
    fn what_returned_survives_a_power_cut() {
        let folder = tempfile::tempdir().unwrap();
        let (told, state) = (Told::default(), folder.path().join("orders/local"));
        let (files, journal) = (Files(&told), state.join("journal"));
        let above = name(folder.path());

        files.append(&journal, b"one").unwrap();
        let made = [format!("{above}/ orders"), "orders/ local".into()];
        assert_eq!(told.take()[..2], made, "each new folder is in the one above it");
        files.append(&journal, b"two").unwrap();
        assert_eq!(told.take(), ["journal: 6 bytes"]);
        files.truncate(&journal, 3).unwrap();
        assert_eq!(told.take(), ["journal: 3 bytes"]);
        files.replace(&state.join("state.json"), b"{}").unwrap();
        let replaced = ["state.new: 2 bytes", "local/ journal state.json"];
        assert_eq!(
            told.take(),
            replaced,
            "its bytes before its name, or a crash leaves an empty file"
        );
    }

    #[test]
    fn a_new_file_is_in_its_folder_with_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let told = Told::default();
        Files(&told).append(&folder.path().join("journal"), b"one").unwrap();
        assert_eq!(
            told.take(),
            ["journal: 3 bytes".to_owned(), format!("{}/ journal", name(folder.path()))]
        );
    }

    #[test]
    fn a_lock_makes_durable_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("pipelines/orders/local");
        fs::create_dir_all(&state).unwrap();
        fs::write(state.join("journal"), "one").unwrap();
        let told = Told::default();
        let lock = Files(&told).lock(&state.join("lock")).unwrap();
        assert!(lock.is_some());
        let expected = [
            "local/ journal lock".to_owned(),
            "orders/ local".into(),
            "pipelines/ orders".into(),
            format!("{}/ pipelines", name(folder.path())),
        ];
        assert_eq!(told.take(), expected);
    }
}
