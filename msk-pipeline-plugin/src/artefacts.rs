//! Single artefacts, for programs that run from jars: fetched into the same cache as plugin parts, and by digest alone. Beside it
//! the way back from a plugin's ZIP to the folder that Kafka Connect loads it from.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};

use crate::cache::Cache;
use crate::cache::Verified;
use crate::digest::{Sha256, digest_of};
use crate::error::{Error, Expectation, Result};
use crate::fetch::Fetcher;
use crate::part::{Coordinate, Form, Part};
use crate::sources::Sources;
use crate::unpack::{Limits, Spool};

/// Where artefacts come from and go to.
#[derive(Debug, Clone)]
pub struct Store {
    /// The cache folder, made where it doesn't exist.
    pub cache: PathBuf,
    /// Where to fetch from.
    pub sources: Sources,
    /// What is taken at most; only the size of a download counts here.
    pub limits: Limits,
    /// Fetch nothing; what is missing is an error.
    pub offline: bool,
}

impl Store {
    /// A store with the default limits that may fetch.
    pub fn new(cache: impl Into<PathBuf>, sources: Sources) -> Self {
        Self { cache: cache.into(), sources, limits: Limits::default(), offline: false }
    }

    /// The artefacts as files of the cache, in the order of the list; what isn't there is fetched. A file's name is its digest,
    /// without an extension.
    ///
    /// # Guarantees
    /// Every file was hashed during this call and is what the list says. Nothing is recorded in a lock file: the list is the record.
    ///
    /// # Caveats
    /// Blocks, on the first call for as long as the downloads take. `progress` is told of each download before it begins.
    pub fn artefacts(
        &self,
        list: &[(Coordinate, Sha256)],
        mut progress: impl FnMut(&Coordinate),
    ) -> Result<Vec<PathBuf>> {
        let cache = Cache::open(&self.cache)?;
        let mut fetcher = Fetcher::new(&self.sources, &cache, self.limits.download);
        let mut missing = Vec::new();
        let mut paths = Vec::new();
        for (coordinate, sha256) in list {
            if cache.blob(*sha256)?.is_none() {
                let part = Part::Maven(coordinate.clone());
                if self.offline {
                    missing.push(part.to_string());
                } else {
                    progress(coordinate);
                    fetcher.fetch(&part, Some((*sha256, Expectation::Written)))?;
                }
            }
            paths.push(Cache::blob_path(&self.cache, *sha256));
        }
        if missing.is_empty() { Ok(paths) } else { Err(Error::Offline { parts: missing }) }
    }
}

/// Unpacks a plugin into `folder`, which is made and must be empty or absent, as MSK Connect gives it to Kafka Connect: a ZIP as its
/// tree, a jar as itself in a folder of its own.
///
/// # Errors
/// [`Error::Archive`] for whatever [`pack`](crate::pack()) refuses too: entries that would leave the folder, links, names that mean
/// different files on different systems, bombs. Then nothing was written.
pub fn unpack(archive: &Path, jar: bool, folder: &Path, limits: &Limits) -> Result<()> {
    let source = archive.display().to_string();
    let mut file = File::open(archive).map_err(Error::io("open", archive))?;
    let (sha256, size) = digest_of(&mut file).map_err(Error::io("read", archive))?;
    file.seek(SeekFrom::Start(0)).map_err(Error::io("read", archive))?;
    let scratch =
        tempfile::tempfile().map_err(Error::io("create a file in", std::env::temp_dir()))?;
    let mut spool = Spool::new(scratch, limits);
    let form = if jar { Form::Jar } else { Form::Zip };
    spool.add(&source, form, "plugin", Verified { file, sha256, size })?;
    let (files, mut contents) = spool.finish()?;
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    for (path, slice) in files {
        // `Spool` has checked it; this is what keeps a mistake there from writing elsewhere.
        debug_assert!(Path::new(&path).components().all(|c| matches!(c, Component::Normal(_))));
        let to = folder.join(&path);
        let mut write = || -> io::Result<()> {
            fs::create_dir_all(to.parent().unwrap_or(folder))?;
            contents.seek(SeekFrom::Start(slice.offset))?;
            io::copy(
                &mut (&mut contents).take(u64::from(slice.size)),
                &mut File::create_new(&to)?,
            )?;
            Ok(())
        };
        write().map_err(Error::io("write", &to))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ArchiveProblem;
    use crate::testkit::{evil_zip, folder, zip};

    #[test]
    fn a_zip_becomes_its_tree_and_a_jar_a_folder() {
        let place = folder();
        let archive = place.path().join("p.zip");
        fs::write(&archive, zip(&[("d/a.jar", b"a".to_vec()), ("d/e/b.txt", b"bb".to_vec())]))
            .expect("write");
        let out = place.path().join("out");
        unpack(&archive, false, &out, &Limits::default()).expect("unpacked");
        assert_eq!(fs::read(out.join("d/a.jar")).expect("there"), b"a");
        assert_eq!(fs::read(out.join("d/e/b.txt")).expect("there"), b"bb");

        let out = place.path().join("jar");
        unpack(&archive, true, &out, &Limits::default()).expect("unpacked");
        assert_eq!(
            fs::read(out.join("plugin/plugin.jar")).expect("there"),
            fs::read(&archive).expect("there")
        );
    }

    #[test]
    fn what_would_leave_the_folder_is_refused_before_anything_is_written() {
        let place = folder();
        let archive = place.path().join("evil.zip");
        fs::write(&archive, evil_zip(&[(b"ok/a", 0o100_644, b"1"), (b"../b", 0o100_644, b"2")]))
            .expect("write");
        let out = place.path().join("out");
        let error = unpack(&archive, false, &out, &Limits::default()).expect_err("refused");
        assert!(
            matches!(&error, Error::Archive { problem: ArchiveProblem::Traversal(_), .. }),
            "{error}"
        );
        assert!(!out.exists() && !place.path().join("b").exists());
    }

    #[test]
    fn offline_what_is_missing_is_named_and_what_is_there_is_used() {
        let place = folder();
        let store = Store { offline: true, ..Store::new(place.path(), Sources::default()) };
        let coordinate: Coordinate = "a.b:c:1".parse().expect("a coordinate");
        let list = [(coordinate, Sha256::of(b"jar"))];
        let error = store.artefacts(&list, |_| ()).expect_err("not there");
        assert!(error.to_string().contains("maven:a.b:c:1:jar"), "{error}");
        let path = Cache::blob_path(place.path(), list[0].1);
        fs::write(&path, b"jar").expect("write");
        assert_eq!(store.artefacts(&list, |_| ()).expect("there"), std::slice::from_ref(&path));
        fs::write(&path, b"evil").expect("damage");
        store.artefacts(&list, |_| ()).expect_err("damaged");
    }
}
