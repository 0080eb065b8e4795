//! The lock file: which bytes each part had when it was first fetched, and which ZIP they give. Meant to be committed.
//!
//! It has no time and no machine in it, and its order is that of the sources, so that the same parts give the same file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::error::{Error, Expectation, Result};
use crate::pack::PackageKey;

/// The newest version of the format that is written and read.
pub const LOCK_VERSION: u32 = 1;

const HEAD: &str = "# Written by msk-pipeline: what the plugin's parts contained when they were first fetched. Commit this file.\n";

/// A lock file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    parts: BTreeMap<String, LockedPart>,
    packages: BTreeMap<PackageKey, LockedPackage>,
}

/// What a source gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockedPart {
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// How many bytes.
    pub size: u64,
}

/// The ZIP that some parts give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockedPackage {
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// How many bytes.
    pub size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    part: Vec<PartEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    package: Vec<PackageEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartEntry {
    source: String,
    sha256: Sha256,
    size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackageEntry {
    key: PackageKey,
    sha256: Sha256,
    size: u64,
}

/// Read first and alone, so that a newer file is told from a broken one.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Lock {
    /// Reads a lock file; one that doesn't exist is empty.
    pub fn load(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(Error::io("read", path)(e)),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        let bad = |message: String| Error::LockSyntax { path: path.to_path_buf(), message };
        let Version { version } = toml::from_str(text).map_err(|e| bad(e.to_string()))?;
        if version != LOCK_VERSION {
            return Err(Error::LockVersion {
                path: path.to_path_buf(),
                found: version,
                known: LOCK_VERSION,
            });
        }
        let document: Document = toml::from_str(text).map_err(|e| bad(e.to_string()))?;
        let mut lock = Self::default();
        for PartEntry { source, sha256, size } in document.part {
            if lock.parts.insert(source.clone(), LockedPart { sha256, size }).is_some() {
                return Err(bad(format!("`{source}` is in it twice")));
            }
        }
        for PackageEntry { key, sha256, size } in document.package {
            if lock.packages.insert(key, LockedPackage { sha256, size }).is_some() {
                return Err(bad(format!("the package `{key}` is in it twice")));
            }
        }
        Ok(lock)
    }

    /// The file's text.
    pub fn to_toml(&self) -> String {
        let document = Document {
            version: LOCK_VERSION,
            part: self
                .parts
                .iter()
                .map(|(source, p)| PartEntry {
                    source: source.clone(),
                    sha256: p.sha256,
                    size: p.size,
                })
                .collect(),
            package: self
                .packages
                .iter()
                .map(|(&key, p)| PackageEntry { key, sha256: p.sha256, size: p.size })
                .collect(),
        };
        format!(
            "{HEAD}{}",
            toml::to_string(&document).expect("tables of strings and numbers can be written")
        )
    }

    /// What a source gave, by its source string.
    pub fn part(&self, source: &str) -> Option<LockedPart> {
        self.parts.get(source).copied()
    }

    /// What a package was.
    pub fn package(&self, key: PackageKey) -> Option<LockedPackage> {
        self.packages.get(&key).copied()
    }

    pub(crate) fn set_part(&mut self, source: String, part: LockedPart) {
        self.parts.insert(source, part);
    }

    pub(crate) fn set_package(&mut self, key: PackageKey, package: LockedPackage) {
        self.packages.insert(key, package);
    }

    /// Drops every entry but those of these parts and packages, for a tool that knows all connectors of a pipeline.
    pub fn retain(&mut self, part: impl Fn(&str) -> bool, package: impl Fn(PackageKey) -> bool) {
        self.parts.retain(|source, _| part(source));
        self.packages.retain(|&key, _| package(key));
    }

    /// Adds what is new to what the file has by now. Another process may have recorded meanwhile: the first one stays right, but where `overruled` says no.
    ///
    /// The caller holds the cache's lock for this file.
    pub(crate) fn merge_into(&self, path: &Path, overruled: impl Fn(&str) -> bool) -> Result<()> {
        let mut merged = Self::load(path)?;
        for (source, new) in &self.parts {
            match merged.parts.get(source) {
                Some(old) if old.sha256 != new.sha256 && !overruled(source) => {
                    return Err(Error::DigestMismatch {
                        part: source.clone(),
                        by: Expectation::Lock,
                        expected: old.sha256,
                        got: new.sha256,
                    });
                }
                Some(old) if old == new => {}
                _ => merged.set_part(source.clone(), *new),
            }
        }
        for (&key, new) in &self.packages {
            match merged.packages.get(&key) {
                Some(old) if old.sha256 != new.sha256 => {
                    return Err(Error::PackageMismatch { expected: old.sha256, got: new.sha256 });
                }
                Some(_) => {}
                None => merged.set_package(key, *new),
            }
        }
        let text = merged.to_toml();
        // An unchanged file keeps its time, for those who watch it.
        if fs::read_to_string(path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let write = || -> io::Result<()> {
            let mut file =
                tempfile::Builder::new().prefix(".msk-pipeline-lock").tempfile_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            share(file.as_file())?;
            file.persist(path)?;
            Ok(())
        };
        write().map_err(Error::io("write", path))
    }
}

/// Temporary files are private; a file that is committed is not.
#[cfg(unix)]
fn share(file: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share(_: &fs::File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::folder;

    fn lock(parts: &[(&str, &str)]) -> Lock {
        let mut lock = Lock::default();
        for (source, content) in parts {
            lock.set_part(
                (*source).to_owned(),
                LockedPart { sha256: Sha256::of(content), size: content.len() as u64 },
            );
        }
        lock
    }

    #[test]
    fn a_lock_file_has_one_text_whatever_the_order() {
        let (a, b) =
            (lock(&[("maven:a", "1"), ("url:b", "2")]), lock(&[("url:b", "2"), ("maven:a", "1")]));
        assert_eq!(a.to_toml(), b.to_toml());
        assert_eq!(Lock::parse(&a.to_toml(), Path::new("x")).expect("its own text"), a);
        assert!(a.to_toml().starts_with("# Written by msk-pipeline"));
    }

    #[test]
    fn recording_keeps_what_others_recorded_and_refuses_to_change_it() {
        let folder = folder();
        let path = folder.path().join("msk-pipeline.lock");
        lock(&[("maven:a", "1")]).merge_into(&path, |_| false).expect("new file");
        lock(&[("maven:b", "2")]).merge_into(&path, |_| false).expect("second");
        assert_eq!(Lock::load(&path).expect("read"), lock(&[("maven:a", "1"), ("maven:b", "2")]));
        let error =
            lock(&[("maven:a", "other")]).merge_into(&path, |_| false).expect_err("changed");
        assert!(
            matches!(&error, Error::DigestMismatch { part, .. } if part == "maven:a"),
            "{error}"
        );
        assert!(error.help().contains("delete the entry `maven:a`"), "{}", error.help());
        assert_eq!(
            fs::read_dir(folder.path()).expect("list").count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn a_newer_a_broken_and_an_edited_file_are_told_apart() {
        let read = |text: &str| Lock::parse(text, Path::new("x")).expect_err(text);
        assert!(matches!(read("version = 2\nnew = true"), Error::LockVersion { found: 2, .. }));
        assert!(matches!(read("version = "), Error::LockSyntax { .. }));
        assert!(matches!(
            read("version = 1\n[[part]]\nsource = 'a'\nsha256 = '00'\nsize = 1"),
            Error::LockSyntax { .. }
        ));
        let entry = format!("[[part]]\nsource = 'a'\nsha256 = '{}'\nsize = 1\n", Sha256::of(""));
        assert!(read(&format!("version = 1\n{entry}{entry}")).to_string().contains("twice"));
    }
}
