//! From parts to a package, and what is known of it beforehand.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache::{Cache, Verified, verified};
use crate::digest::{HashingWriter, Sha256, digest_of};
use crate::error::{Error, Expectation, Result};
use crate::fetch::Fetcher;
use crate::inspect::{Inspection, inspect};
use crate::lock::{Lock, LockedPackage, LockedPart};
use crate::part::{Form, Part};
use crate::repack;
use crate::sources::Sources;
use crate::unpack::{Limits, Spool};

/// How to pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The cache folder; may be shared by several processes and projects.
    pub cache: PathBuf,
    /// The lock file; created by the first [`pack()`].
    pub lock: PathBuf,
    /// The folder that relative `file` parts are relative to: that of the pipeline's file. Empty: the current one.
    pub base: PathBuf,
    /// Where to fetch.
    pub sources: Sources,
    /// What counts as a bomb.
    pub limits: Limits,
    /// Fetch nothing: [`Error::Offline`] names what is missing.
    pub offline: bool,
    /// Record nothing: [`Error::NotLocked`] names what is new. For CI.
    pub locked: bool,
    /// Leave the lock file alone: what is new is noted in the cache, and [`Package::unrecorded`] names it. For plans. A later
    /// [`pack()`] without this takes the noted digests for the first fetch, so that it packs what was planned.
    pub tentative: bool,
}

impl Options {
    /// Fetches what is missing and records it, within the default limits.
    pub fn new(cache: impl Into<PathBuf>, lock: impl Into<PathBuf>, sources: Sources) -> Self {
        let (cache, lock) = (cache.into(), lock.into());
        Self {
            cache,
            lock,
            base: PathBuf::new(),
            sources,
            limits: Limits::default(),
            offline: false,
            locked: false,
            tentative: false,
        }
    }
}

/// Names a package by its parts alone: the digests and file names, in any order. The same key means the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PackageKey(Sha256);

impl fmt::Display for PackageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A packed plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Package {
    /// The ZIP, in the cache folder: copy or upload it, don't change it.
    pub path: PathBuf,
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// How many bytes.
    pub size: u64,
    /// What it was made of, by key.
    pub key: PackageKey,
    /// What is in it.
    pub inspection: Inspection,
    /// What it was made of, in the order given.
    pub parts: Vec<PackedPart>,
    /// Sources of parts that the lock file does not have: only after a [tentative](Options::tentative) [`pack()`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrecorded: Vec<String>,
}

/// A part as it was packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackedPart {
    /// Its source string: `maven:…`, `url:…` or `file:…`.
    pub source: String,
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// How many bytes; `None` if neither the lock file nor the cache knows.
    pub size: Option<u64>,
}

/// What is known of a package without a request and without a write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The key, if the digest of every part is known.
    pub key: Option<PackageKey>,
    /// The ZIP's digest, if the lock file or the cache has it. Enough to name the upload.
    pub sha256: Option<Sha256>,
    /// The ZIP's size, likewise.
    pub size: Option<u64>,
    /// The package itself, if it is in the cache: then [`pack()`] fetches and writes nothing.
    pub package: Option<Package>,
    /// Source strings of what [`pack()`] would fetch.
    pub to_fetch: Vec<String>,
}

/// A part with what is known of its digest.
struct Known {
    part: Part,
    source: String,
    digest: Option<(Sha256, Expectation)>,
    size: Option<u64>,
}

impl Known {
    /// A file is what it is now; a download what was written or recorded.
    fn of(part: &Part, options: &Options, lock: &Lock) -> Result<Self> {
        let (part, source) = (part.clone().checked()?, part.to_string());
        if let Part::File { path, .. } = &part {
            let path = options.base.join(path);
            let file = File::open(&path).map_err(Error::io("open", &path))?;
            let (got, size) = digest_of(file).map_err(Error::io("read", &path))?;
            if let Some(expected) = part.pinned().filter(|&expected| expected != got) {
                return Err(Error::DigestMismatch {
                    part: source,
                    by: Expectation::Written,
                    expected,
                    got,
                });
            }
            return Ok(Self {
                part,
                source,
                digest: Some((got, Expectation::Written)),
                size: Some(size),
            });
        }
        let locked = lock.part(&source);
        // A digest that was written beside the address is the user's last word: it changes with the user's file, the record follows.
        let digest = match part.pinned() {
            Some(written) => Some((written, Expectation::Written)),
            None => locked.map(|l| (l.sha256, Expectation::Lock)),
        };
        let size = locked.filter(|l| digest.is_some_and(|(d, _)| d == l.sha256)).map(|l| l.size);
        Ok(Self { part, source, digest, size })
    }

    fn is_recorded(&self, lock: &Lock) -> bool {
        matches!(self.part, Part::File { .. })
            || lock
                .part(&self.source)
                .is_some_and(|l| self.digest.is_some_and(|(d, _)| d == l.sha256))
    }
}

fn all_known(parts: &[Part], options: &Options, lock: &Lock) -> Result<Vec<Known>> {
    if parts.is_empty() {
        return Err(Error::NoParts);
    }
    let mut seen = BTreeSet::new();
    for part in parts {
        if !seen.insert(part.to_string()) {
            return Err(Error::RepeatedPart { part: part.to_string() });
        }
    }
    parts.iter().map(|part| Known::of(part, options, lock)).collect()
}

/// The key, when every digest is known.
fn key_of(parts: &[Known]) -> Option<PackageKey> {
    let mut lines = BTreeSet::new();
    for part in parts {
        let (form, stem) = part.part.form();
        let form = match form {
            Form::Jar => "jar",
            Form::Zip => "zip",
            Form::TarGz => "tar.gz",
        };
        lines.insert(format!("{form} {stem} {}\n", part.digest?.0));
    }
    let lines: String = lines.into_iter().collect();
    Some(PackageKey(Sha256::of(format!("msk-pipeline plugin {}\n{lines}", repack::FORMAT))))
}

/// The package in the cache, if its bytes are still those that the lock file records, or else the note beside it.
fn cached(
    parts: &[Known],
    key: PackageKey,
    lock: &Lock,
    options: &Options,
) -> Result<Option<Package>> {
    let expected =
        lock.package(key).map(|l| l.sha256).or_else(|| Cache::package_note(&options.cache, key));
    let path = Cache::package_path(&options.cache, key);
    match expected.and_then(|sha256| verified(&path, sha256)) {
        Some(Verified { sha256, size, .. }) => {
            package(path, sha256, size, key, parts, options).map(Some)
        }
        None => Ok(None),
    }
}

fn package(
    path: PathBuf,
    sha256: Sha256,
    size: u64,
    key: PackageKey,
    parts: &[Known],
    options: &Options,
) -> Result<Package> {
    let inspection = inspect(&path, &options.limits)?;
    let parts = parts
        .iter()
        .filter_map(|p| {
            Some(PackedPart { source: p.source.clone(), sha256: p.digest?.0, size: p.size })
        })
        .collect();
    Ok(Package { path, sha256, size, key, inspection, parts, unrecorded: Vec::new() })
}

/// Says what is known of a package. Sends no request and writes nothing, not even into the cache.
///
/// With a committed lock file the ZIP's digest is known even where nothing was ever fetched.
pub fn plan(parts: &[Part], options: &Options) -> Result<Plan> {
    let lock = Lock::load(&options.lock)?;
    let known = all_known(parts, options, &lock)?;
    let key = key_of(&known);
    let locked = key.and_then(|key| lock.package(key));
    let package = match key {
        Some(key) => cached(&known, key, &lock, options)?,
        None => None,
    };
    let to_fetch = if package.is_some() { Vec::new() } else { missing(&known, options) };
    let (sha256, size) =
        package.as_ref().map(|p| (p.sha256, p.size)).or(locked.map(|l| (l.sha256, l.size))).unzip();
    Ok(Plan { key, sha256, size, package, to_fetch })
}

/// Source strings of the downloads that aren't in the cache.
fn missing(known: &[Known], options: &Options) -> Vec<String> {
    let here = |k: &&Known| {
        !matches!(k.part, Part::File { .. })
            && !k.digest.is_some_and(|(d, _)| Cache::has_blob(&options.cache, d))
    };
    known.iter().filter(here).map(|k| k.source.clone()).collect()
}

/// Packs a plugin: fetches what the cache doesn't have, verifies, repacks, inspects, and records what is new in the lock file.
///
/// # Guarantees
/// - The same parts give the same bytes, on any machine and in any order.
/// - If the lock file has all parts and the cache the ZIP, no request is sent.
/// - Nothing is recorded before everything went well; a kill leaves nothing that a later call could take for complete.
///
/// # Caveats
/// - Blocks; while it fetches, for minutes. It can't be interrupted but by ending the process, which is safe.
/// - Two processes that share a lock file but not the cache folder may overwrite each other's record; the next call makes up for it.
pub fn pack(parts: &[Part], options: &Options) -> Result<Package> {
    let lock = Lock::load(&options.lock)?;
    let mut known = all_known(parts, options, &lock)?;
    for k in known.iter_mut().filter(|k| k.digest.is_none()) {
        // What an earlier plan fetched, as long as the cache still has it.
        if let Some(noted) = Cache::noted(&options.cache, &k.source) {
            (k.digest, k.size) = (Some((noted.sha256, Expectation::Lock)), Some(noted.size));
        }
    }
    let new = known.iter().filter(|k| options.tentative && !k.is_recorded(&lock));
    let unrecorded: Vec<String> = new.map(|k| k.source.clone()).collect();
    if options.locked {
        let new: Vec<String> =
            known.iter().filter(|k| !k.is_recorded(&lock)).map(|k| k.source.clone()).collect();
        if !new.is_empty() {
            return Err(Error::NotLocked { lock: options.lock.clone(), parts: new });
        }
    }
    if let Some(key) = key_of(&known)
        && (options.tentative
            || known.iter().all(|k| k.is_recorded(&lock))
                && (lock.package(key).is_some() || !is_recordable(&known)))
        && let Some(package) = cached(&known, key, &lock, options)?
    {
        return Ok(Package { unrecorded, ..package });
    }
    if options.offline {
        let parts = missing(&known, options);
        if !parts.is_empty() {
            return Err(Error::Offline { parts });
        }
    }

    let cache = Cache::open(&options.cache)?;
    let mut fetcher = Fetcher::new(&options.sources, &cache, options.limits.download);
    let mut spool = Spool::new(cache.anonymous()?, &options.limits);
    for k in &mut known {
        let content = obtain(k, &cache, &mut fetcher, options)?;
        (k.digest, k.size) = (Some((content.sha256, Expectation::Lock)), Some(content.size));
        let (form, stem) = k.part.form();
        spool.add(&k.source, form, &stem, content)?;
    }
    let key = key_of(&known).expect("every part was just hashed");
    let (files, mut spool) = spool.finish()?;

    let temp = cache.temp()?;
    let temp_path = temp.path().to_path_buf();
    let write = || -> io::Result<_> {
        let mut writer = BufWriter::new(HashingWriter::new(temp));
        repack::write(&files, &mut spool, &mut writer)?;
        writer.flush()?;
        Ok(writer.into_inner().map_err(io::IntoInnerError::into_error)?.finish())
    };
    let (temp, sha256, size) = write().map_err(Error::io("write", temp_path))?;
    if let Some(locked) = lock.package(key).filter(|l| l.sha256 != sha256) {
        return Err(Error::PackageMismatch { expected: locked.sha256, got: sha256 });
    }
    let path = cache.keep_package(temp, key, sha256)?;
    let package = package(path, sha256, size, key, &known, options)?;
    if options.tentative {
        cache.note(&fetched(&known))?;
    } else if !options.locked {
        record(&known, &package, options, &cache)?;
    }
    Ok(Package { unrecorded, ..package })
}

/// The bytes of a part, verified: a file as it is now, a download out of the cache or from its source.
fn obtain(
    k: &Known,
    cache: &Cache,
    fetcher: &mut Fetcher<'_>,
    options: &Options,
) -> Result<Verified> {
    if let Part::File { path, .. } = &k.part {
        return copy_file(k, &options.base.join(path), cache, options.limits.download);
    }
    if let Some((digest, _)) = k.digest
        && let Some(blob) = cache.blob(digest)?
    {
        return Ok(blob);
    }
    if options.offline {
        return Err(Error::Offline { parts: vec![k.source.clone()] });
    }
    fetcher.fetch(&k.part, k.digest)
}

/// Copies a file into the cache, so that its bytes stay what was hashed while they are unpacked.
fn copy_file(k: &Known, path: &Path, cache: &Cache, limit: u64) -> Result<Verified> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut writer = HashingWriter::new(cache.temp()?);
    let copied = io::copy(&mut file.take(limit.saturating_add(1)), &mut writer)
        .map_err(Error::io("read", path))?;
    if copied > limit {
        return Err(Error::TooLarge { part: k.source.clone(), limit });
    }
    let (temp, got, size) = writer.finish();
    if let Some(expected) = k.part.pinned().filter(|&expected| expected != got) {
        return Err(Error::DigestMismatch {
            part: k.source.clone(),
            by: Expectation::Written,
            expected,
            got,
        });
    }
    cache.keep_download(temp, got, size)
}

/// Whether the lock file is to have the package: a file without a digest would leave a record behind each time it is built.
fn is_recordable(known: &[Known]) -> bool {
    known.iter().all(|k| !matches!(k.part, Part::File { sha256: None, .. }))
}

/// The downloads as a lock file has them.
fn fetched(known: &[Known]) -> Lock {
    let mut new = Lock::default();
    for k in known.iter().filter(|k| !matches!(k.part, Part::File { .. })) {
        let Some(((sha256, _), size)) = k.digest.zip(k.size) else { continue };
        new.set_part(k.source.clone(), LockedPart { sha256, size });
    }
    new
}

fn record(known: &[Known], package: &Package, options: &Options, cache: &Cache) -> Result<()> {
    let mut new = fetched(known);
    let pinned = known.iter().filter(|k| k.part.pinned().is_some());
    let overruled: BTreeSet<&str> = pinned.map(|k| k.source.as_str()).collect();
    if is_recordable(known) {
        new.set_package(package.key, LockedPackage { sha256: package.sha256, size: package.size });
    }
    let _guard = cache.guard(&options.lock)?;
    new.merge_into(&options.lock, |source| overruled.contains(source))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::testkit::{Repository, class, folder, tar_gz, zip};

    const JAR: &str = "/g/h/smt/1.0/smt-1.0.jar";
    const ARCHIVE: &str = "/io/debezium/debezium-connector-mysql/2.7.4.Final/debezium-connector-mysql-2.7.4.Final-plugin.tar.gz";

    struct World {
        folder: TempDir,
        repository: Repository,
    }

    impl World {
        /// Two artefacts: one with SHA-256, one only with SHA-1.
        fn new() -> Self {
            let (folder, repository) = (folder(), Repository::start());
            let service = "META-INF/services/org.apache.kafka.connect.source.SourceConnector";
            let connector = zip(&[("x/Y.class", class(55)), (service, b"x.Y".to_vec())]);
            let archive = tar_gz(&[
                (b"dbz/", b'5', b""),
                (b"dbz/y.jar", b'0', &connector),
                (b"dbz/README.md", b'0', b"hello"),
            ]);
            repository.put(
                &format!("{ARCHIVE}.sha256"),
                format!("{}  plugin.tar.gz\n", Sha256::of(&archive)),
            );
            repository.put(ARCHIVE, archive);
            let jar = zip(&[("s/Smt.class", class(52))]);
            let sha1 = <sha1::Sha1 as sha2::Digest>::digest(&jar);
            repository.put(&format!("{JAR}.sha1"), crate::digest::hex(&sha1));
            repository.put(JAR, jar);
            Self { folder, repository }
        }

        fn options(&self, cache: &str) -> Options {
            let sources =
                Sources { repository: Some(self.repository.url.clone()), ..Sources::default() };
            let base = self.folder.path().to_path_buf();
            Options {
                base: base.clone(),
                ..Options::new(base.join(cache), base.join("msk-pipeline.lock"), sources)
            }
        }

        fn write(&self, name: &str, content: &[u8]) {
            fs::write(self.folder.path().join(name), content).expect("write");
        }

        fn lock(&self) -> String {
            fs::read_to_string(self.folder.path().join("msk-pipeline.lock")).unwrap_or_default()
        }
    }

    fn parts() -> Vec<Part> {
        ["io.debezium:debezium-connector-mysql:2.7.4.Final", "g.h:smt:1.0"]
            .map(|c| c.parse().expect("a part"))
            .to_vec()
    }

    fn files(path: &Path) -> Vec<String> {
        let zip = zip::ZipArchive::new(File::open(path).expect("open")).expect("a ZIP");
        zip.file_names().map(|n| n.expect("UTF-8").into_owned()).collect()
    }

    #[test]
    fn the_same_parts_give_the_same_bytes_in_any_order_and_cache() {
        let world = World::new();
        let one = pack(&parts(), &world.options("one")).expect("packed");
        let lock = world.lock();
        let two = pack(&parts().into_iter().rev().collect::<Vec<_>>(), &world.options("two"))
            .expect("packed");
        assert_eq!(fs::read(&one.path).expect("read"), fs::read(&two.path).expect("read"));
        assert_eq!((one.key, one.sha256, one.size), (two.key, two.sha256, two.size));
        assert_eq!(
            files(&one.path),
            ["dbz/", "dbz/README.md", "dbz/y.jar", "smt-1.0/", "smt-1.0/smt-1.0.jar"]
        );
        assert_eq!(world.lock(), lock, "nothing new was recorded");
        assert_eq!(one.inspection.check("x.Y", 11), []);
        assert_eq!(
            one.parts[0].source,
            "maven:io.debezium:debezium-connector-mysql:2.7.4.Final:tar.gz:plugin"
        );
    }

    #[test]
    fn a_second_pack_sends_no_request_and_a_plan_writes_nothing() {
        let world = World::new();
        let options = world.options("cache");
        let before = plan(&parts(), &options).expect("planned");
        assert_eq!((before.key, before.sha256, before.to_fetch.len()), (None, None, 2));
        assert!(
            !options.cache.exists()
                && !options.lock.exists()
                && world.repository.asked().is_empty()
        );

        let package = pack(&parts(), &options).expect("packed");
        assert!(!world.repository.asked().is_empty());
        let locked = Options { offline: true, locked: true, ..options.clone() };
        assert_eq!(pack(&parts(), &locked).expect("cached"), package);
        let after = plan(&parts(), &options).expect("planned");
        assert_eq!((after.package, after.to_fetch.len()), (Some(package.clone()), 0));

        // Elsewhere, with the lock file alone, the ZIP's name is known.
        let elsewhere = plan(&parts(), &world.options("empty")).expect("planned");
        assert_eq!(
            (elsewhere.key, elsewhere.sha256, elsewhere.size),
            (Some(package.key), Some(package.sha256), Some(package.size))
        );
        assert_eq!(elsewhere.to_fetch.len(), 2);
        assert_eq!(world.repository.asked(), Vec::<String>::new());
        let offline = pack(&parts(), &Options { offline: true, ..world.options("empty") })
            .expect_err("nothing there");
        assert!(matches!(&offline, Error::Offline { parts } if parts.len() == 2), "{offline}");
    }

    #[test]
    fn a_plan_leaves_the_lock_file_alone_and_what_it_fetched_is_packed_later() {
        let world = World::new();
        let options = world.options("cache");
        let tentative = Options { tentative: true, ..options.clone() };
        let planned = pack(&parts(), &tentative).expect("packed");
        let sources: Vec<_> = parts().iter().map(ToString::to_string).collect();
        assert_eq!(planned.unrecorded, sources);
        assert!(!options.lock.exists());
        world.repository.asked();
        assert_eq!(pack(&parts(), &tentative).expect("packed again"), planned);
        assert_eq!(world.repository.asked(), Vec::<String>::new(), "it was noted");

        // The repository has other bytes by now; what was planned is what is packed.
        let other = zip(&[("s/Other.class", class(52))]);
        let sha1 = <sha1::Sha1 as sha2::Digest>::digest(&other);
        world.repository.put(&format!("{JAR}.sha1"), crate::digest::hex(&sha1));
        world.repository.put(JAR, other);
        let package = pack(&parts(), &options).expect("packed in earnest");
        assert_eq!((package.sha256, package.unrecorded.len()), (planned.sha256, 0));
        assert_eq!(world.repository.asked(), Vec::<String>::new());
        let lock = world.lock();
        assert!(sources.iter().all(|source| lock.contains(source)), "{lock}");
        assert_eq!(pack(&parts(), &tentative).expect("recorded").unrecorded, Vec::<String>::new());

        // What the cache lost is fetched anew, note or not.
        fs::remove_file(&options.lock).expect("removed");
        fs::remove_dir_all(options.cache.join("v1/blobs")).expect("removed");
        fs::remove_dir_all(options.cache.join("v1/packages")).expect("removed");
        assert_ne!(pack(&parts(), &tentative).expect("fetched").sha256, planned.sha256);
    }

    #[test]
    fn a_missing_file_leaves_nothing_behind() {
        let world = World::new();
        let options = world.options("cache");
        let error = pack(&[Part::file("missing.zip").expect("a part")], &options);
        assert!(error.is_err());
        assert!(!options.cache.exists() && !options.lock.exists());
    }

    #[test]
    fn damage_in_the_cache_is_noticed_and_repaired() {
        let world = World::new();
        let options = world.options("cache");
        let package = pack(&parts(), &options).expect("packed");
        world.repository.asked();
        fs::write(&package.path, "damaged").expect("write");
        assert_eq!(plan(&parts(), &options).expect("planned").package, None);
        assert_eq!(pack(&parts(), &options).expect("repacked"), package);
        assert_eq!(world.repository.asked(), Vec::<String>::new(), "the downloads were still good");
        fs::write(&package.path, "damaged").expect("write");
        for blob in fs::read_dir(options.cache.join("v1/blobs")).expect("list").flatten() {
            fs::write(blob.path(), "damaged").expect("write");
        }
        assert_eq!(pack(&parts(), &options).expect("fetched anew"), package);
        assert_eq!(Sha256::of(fs::read(&package.path).expect("read")), package.sha256);
    }

    #[test]
    fn an_artefact_that_changed_is_refused_with_both_digests() {
        let world = World::new();
        pack(&parts(), &world.options("one")).expect("packed");
        let (recorded, other) = (world.lock(), zip(&[("s/Evil.class", class(52))]));
        world.repository.put(
            &format!("{JAR}.sha1"),
            crate::digest::hex(&<sha1::Sha1 as sha2::Digest>::digest(&other)),
        );
        world.repository.put(JAR, other.clone());
        let error = pack(&parts(), &world.options("two")).expect_err("changed");
        let Error::DigestMismatch { part, by: Expectation::Lock, expected, got } = &error else {
            panic!("{error}")
        };
        assert_eq!((part.as_str(), *got), ("maven:g.h:smt:1.0:jar", Sha256::of(&other)));
        assert!(
            recorded.contains(&expected.to_string())
                && error.help().contains("delete the entry `maven:g.h:smt:1.0:jar`")
        );
        assert_eq!(world.lock(), recorded);
    }

    #[test]
    fn published_checksums_are_compared_and_needed() {
        let world = World::new();
        let smt: Vec<Part> = vec!["g.h:smt:1.0".parse().expect("a part")];
        let wrong = |file: &str, text: String, algorithm: &str| {
            world.repository.put(&format!("{JAR}.{file}"), text);
            match pack(&smt, &world.options("cache")) {
                Err(Error::ChecksumMismatch { algorithm: a, .. }) => assert_eq!(a, algorithm),
                other => panic!("{other:?}"),
            }
        };
        wrong("sha1", "0".repeat(40), "sha1");
        wrong("sha512", "0".repeat(128), "sha512");
        wrong("sha256", "0".repeat(64), "sha256");
        for file in ["sha1", "sha256", "sha512"] {
            world.repository.remove(&format!("{JAR}.{file}"));
        }
        assert!(matches!(pack(&smt, &world.options("cache")), Err(Error::ChecksumMissing { .. })));
        world.repository.remove(JAR);
        assert!(matches!(pack(&smt, &world.options("cache")), Err(Error::NotFound { .. })));
        assert_eq!(world.lock(), "", "nothing was recorded");
    }

    #[test]
    fn a_url_is_pinned_by_what_is_written_or_came_first() {
        let world = World::new();
        let content = zip(&[("p/a.txt", b"1".to_vec())]);
        world.repository.put("/p.zip", content.clone());
        let url = format!("{}/p.zip", world.repository.url);
        let wrong = Part::url(&url, Sha256::of("other")).expect("a part");
        let error = pack(&[wrong], &world.options("cache")).expect_err("not that");
        assert!(matches!(error, Error::DigestMismatch { by: Expectation::Written, .. }), "{error}");

        let first = Part::url_first_fetch(&url).expect("a part");
        let locked =
            pack(std::slice::from_ref(&first), &Options { locked: true, ..world.options("cache") })
                .expect_err("not recorded");
        assert!(matches!(&locked, Error::NotLocked { parts, .. } if parts.len() == 1), "{locked}");
        pack(std::slice::from_ref(&first), &world.options("cache")).expect("recorded");
        let other = zip(&[("p/a.txt", b"2".to_vec())]);
        world.repository.put("/p.zip", other.clone());
        assert!(matches!(
            pack(&[first], &world.options("two")),
            Err(Error::DigestMismatch { by: Expectation::Lock, .. })
        ));
        // The user's own digest is the last word; the record follows.
        pack(&[Part::url(&url, Sha256::of(&other)).expect("a part")], &world.options("two"))
            .expect("as written");
        assert!(
            world.lock().contains(&Sha256::of(&other).to_string())
                && !world.lock().contains(&Sha256::of(&content).to_string())
        );
    }

    #[test]
    fn an_unencrypted_source_needs_a_known_digest() {
        let world = World::new();
        let mut options = world.options("cache");
        options.sources.repository = Some("http://repository.invalid/maven".into());
        assert!(matches!(pack(&parts(), &options), Err(Error::Unencrypted { .. })));
        let part = Part::url_first_fetch("http://files.invalid/p.zip").expect("a part");
        assert!(matches!(pack(&[part], &options), Err(Error::Unencrypted { .. })));
    }

    #[test]
    fn a_download_beyond_the_limit_is_cut_off() {
        let world = World::new();
        let options = world.options("cache");
        let limits = Limits { download: 10, ..Limits::default() };
        assert!(matches!(
            pack(&parts(), &Options { limits, ..options.clone() }),
            Err(Error::TooLarge { limit: 10, .. })
        ));
        assert_eq!(fs::read_dir(options.cache.join("v1/tmp")).expect("list").count(), 0);
    }

    #[test]
    fn a_file_is_taken_as_it_is_and_never_recorded() {
        let world = World::new();
        let options = world.options("cache");
        let part = [Part::file("local.zip").expect("a part")];
        world.write("local.zip", &zip(&[("p/a.txt", b"1".to_vec())]));
        let one = pack(&part, &options).expect("packed");
        assert_eq!(plan(&part, &options).expect("planned").package, Some(one.clone()));
        world.write("local.zip", &zip(&[("p/a.txt", b"2".to_vec())]));
        assert_eq!(plan(&part, &options).expect("planned").package, None);
        assert_ne!(pack(&part, &options).expect("packed").key, one.key);
        assert!(!world.lock().contains("sha256"), "{}", world.lock());
        let pinned = Part::File { path: "local.zip".into(), sha256: Some(Sha256::of("other")) };
        assert!(matches!(
            pack(&[pinned], &options),
            Err(Error::DigestMismatch { by: Expectation::Written, .. })
        ));
    }

    #[test]
    fn an_edited_lock_file_does_not_pass() {
        let world = World::new();
        let package = pack(&parts(), &world.options("one")).expect("packed");
        let edited =
            world.lock().replace(&package.sha256.to_string(), &Sha256::of("evil").to_string());
        world.write("msk-pipeline.lock", edited.as_bytes());
        for locked in [false, true] {
            let options = Options { locked, ..world.options("one") };
            assert!(matches!(pack(&parts(), &options), Err(Error::PackageMismatch { .. })));
        }
    }

    #[test]
    fn what_makes_no_plugin_is_refused_first() {
        let world = World::new();
        assert!(matches!(pack(&[], &world.options("c")), Err(Error::NoParts)));
        let twice = [parts()[0].clone(), parts()[0].clone()];
        assert!(matches!(pack(&twice, &world.options("c")), Err(Error::RepeatedPart { .. })));
        let odd = Part::File { path: "x.rar".into(), sha256: None };
        assert!(matches!(pack(&[odd], &world.options("c")), Err(Error::Part(_))));
    }

    #[test]
    fn several_at_once_agree() {
        let world = World::new();
        let packages: Vec<Package> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6)
                .map(|_| scope.spawn(|| pack(&parts(), &world.options("cache")).expect("packed")))
                .collect();
            threads.into_iter().map(|t| t.join().expect("no panic")).collect()
        });
        assert!(packages.iter().all(|p| *p == packages[0]));
        assert_eq!(
            fs::read_dir(world.options("cache").cache.join("v1/tmp")).expect("list").count(),
            0
        );
        assert_eq!(world.lock().matches("[[part]]").count(), 2);
    }

    #[test]
    fn several_that_record_different_things_lose_none() {
        let world = World::new();
        let part = |i: usize| {
            let content = zip(&[(&format!("p/{i}.txt"), vec![])]);
            world.write(&format!("{i}.zip"), &content);
            [Part::File { path: format!("{i}.zip").into(), sha256: Some(Sha256::of(content)) }]
        };
        std::thread::scope(|scope| {
            for part in (0..16).map(part) {
                let options = world.options("cache");
                scope.spawn(move || pack(&part, &options).expect("packed"));
            }
        });
        assert_eq!(world.lock().matches("[[package]]").count(), 16);
    }

    /// Not a test: what the next one runs as processes of their own.
    #[test]
    #[ignore = "a child of the next test"]
    fn child() {
        let (Ok(folder), Ok(repository)) =
            (std::env::var("TEST_FOLDER"), std::env::var("TEST_REPOSITORY"))
        else {
            return;
        };
        let (base, sources) =
            (PathBuf::from(folder), Sources { repository: Some(repository), ..Sources::default() });
        pack(&parts(), &Options::new(base.join("cache"), base.join("msk-pipeline.lock"), sources))
            .expect("packed");
    }

    #[test]
    fn processes_share_a_cache_and_killed_ones_leave_nothing() {
        let world = World::new();
        let spawn = || {
            std::process::Command::new(std::env::current_exe().expect("this program"))
                .args(["--exact", "pack::tests::child", "--ignored"])
                .env("TEST_FOLDER", world.folder.path())
                .env("TEST_REPOSITORY", &world.repository.url)
                .stdout(std::process::Stdio::null())
                .spawn()
                .expect("a process")
        };
        for delay in 0..12 {
            let mut child = spawn();
            std::thread::sleep(std::time::Duration::from_millis(delay * 3));
            child.kill().expect("killed");
            child.wait().expect("gone");
        }
        let children: Vec<_> = (0..4).map(|_| spawn()).collect();
        for mut child in children {
            assert!(child.wait().expect("ended").success());
        }
        let package =
            pack(&parts(), &Options { offline: true, locked: true, ..world.options("cache") })
                .expect("all there");
        assert_eq!(Sha256::of(fs::read(&package.path).expect("read")), package.sha256);
        drop(Cache::open(&world.folder.path().join("cache")).expect("cache"));
        assert_eq!(
            fs::read_dir(world.folder.path().join("cache/v1/tmp")).expect("list").count(),
            0
        );
    }
}
