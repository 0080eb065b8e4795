//! A server's files: its configuration, who may come in how, its certificate, and where its socket is.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{ADMINISTRATOR, ALWAYS, service_file};
use crate::account::{Account, own_name};
use crate::authority::Authority;
use crate::database::Spec;
use crate::error::{Error, Result};
use crate::files;

/// A server's files, and who owns them.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) home: PathBuf,
    pub(super) account: Account,
    /// The folder of its socket.
    pub(super) socket: PathBuf,
    pub(super) port: u16,
    certificate: PathBuf,
    key: PathBuf,
}

impl Place {
    /// Makes the folders and the certificate.
    pub(super) fn prepare(
        home: PathBuf,
        spec: &Spec,
        account: Account,
        authority: &Authority,
    ) -> Result<Self> {
        let (certificate, key) =
            authority.server_files(&format!("postgres-{}", spec.name), &spec.endpoints)?;
        account.own(&certificate)?;
        account.own(&key)?;
        let socket = socket_folder(&home, &std::env::temp_dir());
        if socket != home {
            files::folder(&socket)?;
            // Its name can be guessed, and everybody may make a folder there.
            let uid = socket.symlink_metadata().map_err(Error::io("use", socket.display()))?.uid();
            if !account.is(uid) {
                return Err(Error::io("use", socket.display())(
                    std::io::ErrorKind::PermissionDenied.into(),
                ));
            }
            account.own(&socket)?;
        }
        Ok(Self { home, account, socket, port: spec.port, certificate, key })
    }

    pub(super) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    pub(super) fn options(&self) -> PathBuf {
        self.home.join("server.conf")
    }

    /// The file that says that the server was made what a fresh Aurora is.
    pub(super) fn prepared(&self) -> PathBuf {
        self.home.join("prepared")
    }

    /// Removes what is not in its home; the server has ended.
    pub(super) fn leave(&self) {
        if self.socket != self.home {
            let _ = std::fs::remove_dir(&self.socket);
        }
    }

    /// Writes the server's configuration; answers with the parameters that are not taken over.
    pub(super) fn configure(&self, spec: &Spec, known: &BTreeSet<String>) -> Result<Vec<String>> {
        let (parameters, unknown) = split(&spec.parameters, known);
        let write = |name: &str, content: String| {
            let path = self.home.join(name);
            files::replace(&path, content)?;
            self.account.own(&path)
        };
        write("hba.conf", access(spec))?;
        write("ident.conf", identities(&own_name(), &spec.master))?;
        write("server.conf", self.option_file(spec, &parameters))?;
        // Ours, not the server's.
        files::replace(&service_file(&self.home), self.service(spec))?;
        Ok(unknown)
    }

    /// A small server: what Aurora has by default, then the groups' parameters, which win, then what can't be otherwise.
    fn option_file(&self, spec: &Spec, parameters: &BTreeMap<String, String>) -> String {
        let set = |name: &str, value: &str| format!("{name} = {}", quoted(value));
        let path = |name: &str, path: &Path| set(name, &path.to_string_lossy());
        let logical = spec.parameters.get("rds.logical_replication").is_some_and(|v| v == "1");
        let mut lines: Vec<String> =
            DEFAULTS.iter().map(|(name, value)| set(name, value)).collect();
        lines.extend(parameters.iter().map(|(name, value)| set(name, value)));
        lines.extend([
            set("wal_level", if logical { "logical" } else { "replica" }),
            set("listen_addresses", &spec.address.to_string()),
            set("port", &spec.port.to_string()),
            path("unix_socket_directories", &self.socket),
            path("data_directory", &self.data()),
            path("hba_file", &self.home.join("hba.conf")),
            path("ident_file", &self.home.join("ident.conf")),
            set("ssl", "on"),
            path("ssl_cert_file", &self.certificate),
            path("ssl_key_file", &self.key),
            set("password_encryption", "scram-sha-256"),
            set("log_destination", "stderr"),
            set("logging_collector", "off"),
        ]);
        lines.join("\n") + "\n"
    }

    fn service(&self, spec: &Spec) -> String {
        let Self { socket, port, .. } = self;
        let database = spec.database.as_deref().unwrap_or(ALWAYS);
        let Spec { master, .. } = spec;
        format!(
            "[aurora]\nhost={}\nport={port}\nuser={master}\ndbname={database}\n",
            socket.display()
        )
    }
}

/// The path of a Unix socket has 107 bytes at most; a world's folder may have more.
fn socket_folder(home: &Path, temporary: &Path) -> PathBuf {
    let longest = home.join(".s.PGSQL.65535");
    if longest.as_os_str().len() <= 107 {
        return home.to_owned();
    }
    temporary.join(format!("mskp-{}", crate::short_digest(home)))
}

/// What Aurora has by default where PostgreSQL has something else (handbook aws.md §4.10 and the families of the embedded RDS), and a small
/// memory.
const DEFAULTS: &[(&str, &str)] = &[
    ("shared_buffers", "32MB"),
    ("huge_pages", "off"),
    ("max_wal_size", "256MB"),
    ("min_wal_size", "32MB"),
    ("max_replication_slots", "20"),
    ("max_wal_senders", "20"),
    ("idle_in_transaction_session_timeout", "86400000"),
    ("track_activity_query_size", "4096"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("datestyle", "iso, mdy"),
    ("lc_messages", "C"),
];

/// What is always as here, whatever a group says: it is about the machine and not about the data.
const OURS: &[&str] = &[
    "allow_system_table_mods",
    "archive_command",
    "archive_library",
    "bonjour",
    "config_file",
    "data_directory",
    "external_pid_file",
    "hba_file",
    "huge_pages",
    "ident_file",
    "listen_addresses",
    "log_destination",
    "log_directory",
    "log_filename",
    "logging_collector",
    "port",
    // A library that isn't on this machine keeps the server from starting.
    "local_preload_libraries",
    "session_preload_libraries",
    "shared_preload_libraries",
    "ssl",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_crl_file",
    "ssl_key_file",
    "unix_socket_directories",
    "unix_socket_group",
    "unix_socket_permissions",
    "wal_level",
];

/// Parameters of RDS that have their meaning here, in another form.
const TRANSLATED: &[&str] = &["rds.logical_replication", "rds.force_ssl"];

/// Parameters that are taken over, and names of those that aren't. A formula of RDS stands for the memory of an instance class.
fn split(
    parameters: &BTreeMap<String, String>,
    known: &BTreeSet<String>,
) -> (BTreeMap<String, String>, Vec<String>) {
    let mut unknown = Vec::new();
    let mut taken = BTreeMap::new();
    for (name, value) in parameters {
        if TRANSLATED.contains(&name.as_str()) {
            continue;
        }
        if known.contains(name) && !OURS.contains(&name.as_str()) && !value.contains(['\n', '{']) {
            taken.insert(name.clone(), value.clone());
        } else {
            unknown.push(name.clone());
        }
    }
    (taken, unknown)
}

/// Who comes how (`pg_hba.conf`): the administrator and the master from the account that runs the plane, over the socket; everybody
/// else, and the master, with a password over loopback. Without TLS only where `rds.force_ssl` is 0 in so many words.
fn access(spec: &Spec) -> String {
    let plain = spec.parameters.get("rds.force_ssl").is_some_and(|value| value == "0");
    let host = if plain { "host" } else { "hostssl" };
    let master = &spec.master;
    format!(
        "local all \"{ADMINISTRATOR}\" peer map=plane\n\
         local all \"{master}\" peer map=plane\n\
         host all \"{ADMINISTRATOR}\" all reject\n\
         {host} all all 127.0.0.0/8 scram-sha-256\n"
    )
}

/// The account that runs the plane is the administrator, and the master, to the socket (`pg_ident.conf`).
fn identities(own: &str, master: &str) -> String {
    format!("plane \"{own}\" \"{ADMINISTRATOR}\"\nplane \"{own}\" \"{master}\"\n")
}

/// A string of the configuration file.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::spec;
    use super::*;

    fn options(spec: &Spec) -> String {
        let known = ["max_replication_slots", "port", "application_name"].map(String::from).into();
        let (parameters, _) = split(&spec.parameters, &known);
        let path = PathBuf::from("/x");
        let place = Place {
            home: path.clone(),
            account: Account::Own,
            socket: path.clone(),
            port: spec.port,
            certificate: path.clone(),
            key: path,
        };
        place.option_file(spec, &parameters)
    }

    #[test]
    fn parameters_are_taken_over_or_named() {
        let spec = spec(&[
            ("application_name", "it's"),
            ("max_replication_slots", "7"),
            ("port", "1"),
            ("rds.logical_replication", "1"),
            ("rds.logical_wal_cache", "1"),
            ("shared_buffers", "{DBInstanceClassMemory/32768}"),
        ]);
        let known = ["application_name", "max_replication_slots", "port", "shared_buffers"];
        let (taken, unknown) = split(&spec.parameters, &known.map(String::from).into());
        assert_eq!(taken.keys().collect::<Vec<_>>(), ["application_name", "max_replication_slots"]);
        assert_eq!(unknown, ["port", "rds.logical_wal_cache", "shared_buffers"]);
        let text = options(&spec);
        let last = |name: &str| {
            let prefix = format!("{name} = ");
            text.lines().rev().find_map(|line| line.strip_prefix(&prefix)).map(str::to_owned)
        };
        assert_eq!(last("application_name").as_deref(), Some("'it''s'"));
        assert_eq!(last("max_replication_slots").as_deref(), Some("'7'"));
        assert_eq!(last("port").as_deref(), Some("'5432'"));
        assert_eq!(last("wal_level").as_deref(), Some("'logical'"));
    }

    #[test]
    fn without_logical_replication_there_is_none_as_on_aurora() {
        for parameters in
            [&[][..], &[("rds.logical_replication", "0")], &[("wal_level", "logical")]]
        {
            let text = options(&spec(parameters));
            assert!(text.contains("wal_level = 'replica'\n"), "{text}");
            assert!(!text.contains("logical'"), "{text}");
        }
    }

    #[test]
    fn everybody_has_a_password_and_tls_but_where_the_group_says_otherwise() {
        let rules = access(&spec(&[]));
        assert!(rules.contains("\nhostssl all all 127.0.0.0/8 scram-sha-256\n"), "{rules}");
        assert!(access(&spec(&[("rds.force_ssl", "1")])).contains("\nhostssl all all"));
        let plain = access(&spec(&[("rds.force_ssl", "0")]));
        assert!(plain.contains("\nhost all all 127.0.0.0/8 scram-sha-256\n"), "{plain}");
        for rules in [rules, plain] {
            assert!(!rules.contains("trust"), "{rules}");
            for line in rules.lines().filter(|line| line.contains("peer")) {
                assert!(line.starts_with("local ") && !line.contains("local all all"), "{rules}");
            }
        }
    }

    #[test]
    fn secrets_are_shown_nowhere() {
        let spec = spec(&[]);
        for text in [format!("{spec:?}"), options(&spec), access(&spec)] {
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn a_socket_has_a_short_path() {
        let short = Path::new("/home/me/orders/.msk-pipeline/world/plane/postgres/orders");
        assert_eq!(socket_folder(short, Path::new("/tmp")), short);
        let long = Path::new("/home/me").join("x".repeat(90));
        let found = socket_folder(&long, Path::new("/tmp"));
        assert!(found.starts_with("/tmp/") && found.join(".s.PGSQL.65535").as_os_str().len() < 108);
        assert_ne!(found, socket_folder(&long.join("y"), Path::new("/tmp")));
    }
}
