//! The programs that the real plane starts: found on this machine, or, for what runs from jars, fetched into the plugin cache.

use std::env;
use std::path::{Path, PathBuf};

use msk_pipeline_plugin::{Coordinate, Sha256, Store};

use crate::error::{Error, Result};
use crate::files;

/// What is fetched: one line a jar, "use SHA-256 coordinates".
const ARTEFACTS: &str = include_str!("../artefacts.txt");
/// Where Debian keeps what isn't on everybody's PATH.
const USUAL_PLACES: &[&str] =
    &["/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/bin", "/usr/local/bin"];

const JAVA: &[Absent; 2] = &[
    Absent { program: "java", package: "default-jre-headless" },
    Absent { program: "keytool", package: "default-jre-headless" },
];
const MARIADB: &[Absent; 3] = &[
    Absent { program: "mariadbd", package: "mariadb-server" },
    Absent { program: "mariadb-install-db", package: "mariadb-server" },
    Absent { program: "mariadb", package: "mariadb-server" },
];

/// The programs of this machine.
#[derive(Debug, Clone)]
pub struct Toolbox {
    /// `java`, 17 or newer.
    pub java: PathBuf,
    /// `keytool`, which every Java runtime has.
    pub keytool: PathBuf,
    /// MariaDB's programs, or what is missing of them. Only a world with an Aurora `MySQL` cluster needs them.
    pub mariadb: std::result::Result<MariaDb, Absent>,
    /// Where Kafka's jars come from.
    pub store: Store,
}

/// MariaDB's programs.
#[derive(Debug, Clone)]
pub struct MariaDb {
    /// The server, `mariadbd`.
    pub server: PathBuf,
    /// `mariadb-install-db`.
    pub install: PathBuf,
    /// The client, `mariadb`.
    pub client: PathBuf,
}

/// A program that isn't there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absent {
    /// Its name.
    pub program: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
}

impl From<Absent> for Error {
    fn from(Absent { program, package }: Absent) -> Self {
        Self::Missing { program, package }
    }
}

impl Toolbox {
    /// Looks on `path` (in the form of `PATH`) and in Debian's usual places.
    ///
    /// # Errors
    /// [`Error::Missing`] without Java, [`Error::System`] on another system than Linux. That there is no database is no error here: it is
    /// one when a world wants to start it.
    pub fn find(path: Option<&std::ffi::OsStr>, store: Store) -> Result<Self> {
        if !cfg!(target_os = "linux") {
            return Err(Error::System);
        }
        let places = places(path);
        let find = |needed: Absent| find_in(&places, needed.program).ok_or(needed);
        let [java, keytool] = JAVA;
        let [server, install, client] = MARIADB;
        let mariadb = || {
            Ok(MariaDb { server: find(*server)?, install: find(*install)?, client: find(*client)? })
        };
        Ok(Self { java: find(*java)?, keytool: find(*keytool)?, mariadb: mariadb(), store })
    }

    /// The programs that this machine lacks, for a world with or without databases; looked for as [`find`](Self::find) does.
    ///
    /// # Errors
    /// [`Error::System`] on another system than Linux.
    pub fn missing(path: Option<&std::ffi::OsStr>, databases: bool) -> Result<Vec<Absent>> {
        if !cfg!(target_os = "linux") {
            return Err(Error::System);
        }
        Ok(lacking(&places(path), databases))
    }

    /// Kafka's jars, as links with their usual names in `folder`: plugin scanners go by a file's name.
    pub fn jars(&self, folder: &Path, progress: impl FnMut(&Coordinate)) -> Result<Jars> {
        let list = artefacts();
        let wanted: Vec<_> = list.iter().map(|a| (a.coordinate.clone(), a.sha256)).collect();
        let paths = self.store.artefacts(&wanted, progress)?;
        files::remove_folder(folder)?;
        files::folder(folder)?;
        let mut jars = Jars::default();
        for (artefact, path) in list.iter().zip(paths) {
            let link = folder.join(&artefact.file);
            let path = path.canonicalize().map_err(Error::io("find", path.display()))?;
            std::os::unix::fs::symlink(&path, &link).map_err(Error::io("link", link.display()))?;
            if artefact.iam { jars.iam.push(link) } else { jars.kafka.push(link) }
        }
        Ok(jars)
    }
}

fn places(path: Option<&std::ffi::OsStr>) -> Vec<PathBuf> {
    let given = path.map(|p| env::split_paths(p).collect::<Vec<_>>()).unwrap_or_default();
    given.into_iter().chain(USUAL_PLACES.iter().map(PathBuf::from)).collect()
}

fn lacking(places: &[PathBuf], databases: bool) -> Vec<Absent> {
    let of_databases: &[Absent] = if databases { MARIADB } else { &[] };
    let needed = JAVA.iter().chain(of_databases);
    needed.filter(|n| find_in(places, n.program).is_none()).copied().collect()
}

fn find_in(places: &[PathBuf], program: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let runs = |path: &PathBuf| {
        path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    places.iter().map(|place| place.join(program)).find(runs)
}

/// Class paths.
#[derive(Debug, Clone, Default)]
pub struct Jars {
    kafka: Vec<PathBuf>,
    iam: Vec<PathBuf>,
}

impl Jars {
    /// Of a broker.
    pub fn broker(&self) -> String {
        join(&mut self.kafka.iter())
    }

    /// Of a Connect worker, which on MSK Connect has the IAM login module.
    pub fn worker(&self) -> String {
        join(&mut self.kafka.iter().chain(&self.iam))
    }
}

fn join(paths: &mut dyn Iterator<Item = &PathBuf>) -> String {
    paths.map(|p| p.display().to_string()).collect::<Vec<_>>().join(":")
}

struct Artefact {
    iam: bool,
    sha256: Sha256,
    coordinate: Coordinate,
    file: String,
}

fn artefacts() -> Vec<Artefact> {
    let lines = ARTEFACTS.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| artefact(line).unwrap_or_else(|| panic!("artefacts.txt: {line}"))).collect()
}

fn artefact(line: &str) -> Option<Artefact> {
    let mut words = line.split_whitespace();
    let (usage, digest, coordinate) = (words.next()?, words.next()?, words.next()?);
    let parts: Vec<&str> = coordinate.split(':').collect();
    let classifier = parts.get(4).map(|c| format!("-{c}")).unwrap_or_default();
    Some(Artefact {
        iam: usage == "iam",
        sha256: digest.parse().ok()?,
        // Two groups have a `metrics-core`; the version tells them apart.
        file: format!("{}-{}{classifier}.jar", parts.get(1)?, parts.get(2)?),
        coordinate: coordinate.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_artefact_is_pinned_and_has_a_name_of_its_own() {
        let list = artefacts();
        let names: BTreeSet<_> = list.iter().map(|a| &a.file).collect();
        assert_eq!(names.len(), list.len());
        assert_eq!(list.iter().filter(|a| a.iam).count(), 1);
        for needed in
            ["kafka_2.13-3.8.1.jar", "connect-runtime-3.8.1.jar", "kafka-clients-3.8.1.jar"]
        {
            assert!(names.contains(&needed.to_owned()), "{needed}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(find_in(&[folder.path().to_owned()], "java"), None);
        std::fs::write(folder.path().join("java"), "").expect("write");
        assert_eq!(find_in(&[folder.path().to_owned()], "java"), None, "it can't be run");
        let places = [folder.path().to_owned()];
        let lacks =
            |databases| lacking(&places, databases).iter().map(|a| a.program).collect::<Vec<_>>();
        assert_eq!(lacks(true), ["java", "keytool", "mariadbd", "mariadb-install-db", "mariadb"]);
        assert_eq!(lacks(false), ["java", "keytool"]);
        let absent = Absent { program: "mariadbd", package: "mariadb-server" };
        let text = Error::from(absent).to_string();
        assert!(text.contains("`mariadbd`") && text.contains("mariadb-server"), "{text}");
    }
}
