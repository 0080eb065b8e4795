//! The programs that the real plane starts: found on this machine, or, for what runs from jars, fetched into the plugin cache.

use std::env;
use std::path::{Path, PathBuf};

use msk_pipeline_emulator::plane::Engine;
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

const POSTGRES: &[Absent; 2] = &[
    Absent { program: "postgres", package: "postgresql" },
    Absent { program: "initdb", package: "postgresql" },
];
/// Where Debian keeps a folder for each version of PostgreSQL, which is on nobody's PATH.
const POSTGRES_VERSIONS: &str = "/usr/lib/postgresql";

/// The programs of this machine.
#[derive(Debug, Clone)]
pub struct Toolbox {
    /// `java`, 17 or newer.
    pub java: PathBuf,
    /// `keytool`, which every Java runtime has.
    pub keytool: PathBuf,
    /// MariaDB's programs, or what is missing of them. Only a world with an Aurora `MySQL` cluster needs them.
    pub mariadb: std::result::Result<MariaDb, Absent>,
    /// PostgreSQL's programs, or what is missing of them. Only a world with an Aurora PostgreSQL cluster needs them.
    pub postgres: std::result::Result<Postgres, Absent>,
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

/// PostgreSQL's programs, both of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// The server, `postgres`.
    pub server: PathBuf,
    /// `initdb`.
    pub initdb: PathBuf,
    /// `setpriv`, which only root needs.
    pub setpriv: Option<PathBuf>,
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
        let postgres = find_postgres(&places, &bindirs(&places));
        let (java, keytool) = (find(*java)?, find(*keytool)?);
        Ok(Self { java, keytool, mariadb: mariadb(), postgres, store })
    }

    /// The programs that this machine lacks for a world with databases of these engines; looked for as [`find`](Self::find) does.
    ///
    /// # Errors
    /// [`Error::System`] on another system than Linux.
    pub fn missing(path: Option<&std::ffi::OsStr>, engines: &[Engine]) -> Result<Vec<Absent>> {
        if !cfg!(target_os = "linux") {
            return Err(Error::System);
        }
        let places = places(path);
        Ok(lacking(&places, &bindirs(&places), engines))
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

fn lacking(places: &[PathBuf], bindirs: &[PathBuf], engines: &[Engine]) -> Vec<Absent> {
    let mysql: &[Absent] = if engines.contains(&Engine::MySql) { MARIADB } else { &[] };
    let needed = JAVA.iter().chain(mysql);
    let mut lacking: Vec<Absent> =
        needed.filter(|n| find_in(places, n.program).is_none()).copied().collect();
    if engines.contains(&Engine::PostgreSql)
        && let Err(absent) = find_postgres(places, bindirs)
    {
        lacking.push(absent);
    }
    lacking
}

/// Where PostgreSQL's programs may be besides `places`: where `pg_config` says, and Debian's folders, the newest version first.
fn bindirs(places: &[PathBuf]) -> Vec<PathBuf> {
    let asked = find_in(places, "pg_config").and_then(|program| {
        let output = std::process::Command::new(program).arg("--bindir").output().ok()?;
        let said = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| PathBuf::from(said.trim()))
    });
    asked.into_iter().chain(versions(Path::new(POSTGRES_VERSIONS))).collect()
}

/// The `bin` folders of `parent`'s versions, the newest first.
fn versions(parent: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let number = |name: std::ffi::OsString| name.to_str()?.parse::<u32>().ok();
    let mut found: Vec<_> =
        entries.filter_map(|e| Some((number(e.file_name())?, e.path().join("bin")))).collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, bin)| bin).collect()
}

/// The first folder that has all of PostgreSQL's programs.
fn find_postgres(places: &[PathBuf], bindirs: &[PathBuf]) -> std::result::Result<Postgres, Absent> {
    let [server, initdb] = POSTGRES;
    let all = |folder: &PathBuf| {
        let folder = std::slice::from_ref(folder);
        Some((find_in(folder, server.program)?, find_in(folder, initdb.program)?))
    };
    let found = places.iter().chain(bindirs).find_map(all);
    let setpriv = find_in(places, "setpriv");
    found.map(|(server, initdb)| Postgres { server, initdb, setpriv }).ok_or(*server)
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
        let lacks = |engines: &[Engine]| {
            lacking(&places, &[], engines).iter().map(|a| a.program).collect::<Vec<_>>()
        };
        let mysql = ["java", "keytool", "mariadbd", "mariadb-install-db", "mariadb"];
        assert_eq!(lacks(&[Engine::MySql]), mysql);
        assert_eq!(lacks(&[Engine::PostgreSql]), ["java", "keytool", "postgres"]);
        assert_eq!(lacks(&[]), ["java", "keytool"]);
        let absent = Absent { program: "mariadbd", package: "mariadb-server" };
        let text = Error::from(absent).to_string();
        assert!(text.contains("`mariadbd`") && text.contains("mariadb-server"), "{text}");
    }

    fn program(folder: &Path, name: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::create_dir_all(folder).expect("made");
        let path = folder.join(name);
        std::fs::write(&path, "").expect("written");
        let runs = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, runs).expect("it may be run");
    }

    #[test]
    fn postgresql_is_found_whole_and_the_newest_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, debian) = (folder.path().join("path"), folder.path().join("postgresql"));
        for version in ["9", "15", "17", "common"] {
            program(&debian.join(version).join("bin"), "postgres");
        }
        program(&debian.join("9/bin"), "initdb");
        program(&debian.join("15/bin"), "initdb");
        let bins = versions(&debian);
        assert_eq!(bins, ["17", "15", "9"].map(|v| debian.join(v).join("bin")));
        let places = [path.clone()];
        let found = find_postgres(&places, &bins).expect("15 is whole");
        assert_eq!(found.server, debian.join("15/bin/postgres"));
        assert_eq!(found.initdb, debian.join("15/bin/initdb"));
        program(&path, "postgres");
        program(&path, "initdb");
        let found = find_postgres(&places, &bins).expect("found");
        assert_eq!(found.server, path.join("postgres"), "what is on the PATH was chosen");
        let absent = find_postgres(&[], &[]).expect_err("there is none");
        assert_eq!(absent, Absent { program: "postgres", package: "postgresql" });
    }
}
