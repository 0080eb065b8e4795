//! A distributed Kafka Connect worker in the place of MSK Connect's.
//!
//! The connector's configuration and the plugin's archive are used as they are. What differs from MSK Connect is in the worker alone,
//! and [`Worker::differences`] says it: secrets come from files that hold what Secrets Manager has, because the providers that ask
//! AWS can't reach the embedded one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use msk_pipeline_plugin::Limits;

use crate::authority::{Authority, TRUST_PASSWORD};
use crate::error::{Error, Result};
use crate::files;
use crate::kafka::jvm;
use crate::process::{Ledger, Program};
use crate::properties::{self, Properties};
use crate::rest::Rest;

/// Some seconds are usual; a busy machine takes its time.
const START: Duration = Duration::from_mins(5);
const REST_PORT: u16 = 8083;

/// A worker as it should run.
#[derive(Clone, PartialEq, Eq)]
pub struct Spec {
    /// The connector's name.
    pub name: String,
    /// `<uuid>-<N>`, the last part of its ARN.
    pub id: String,
    /// The address of its REST API.
    pub address: Ipv4Addr,
    /// `bootstrapServers`, unchanged.
    pub bootstrap: String,
    /// `authenticationType` is IAM.
    pub iam: bool,
    /// `encryptionType` is TLS.
    pub tls: bool,
    /// The worker configuration's properties; empty is MSK Connect's default configuration.
    pub properties: Properties,
    /// The SHA-256 of the plugin's archive.
    pub plugin: String,
    /// Whether the archive is a single jar.
    pub jar: bool,
    /// The credentials of the service execution role.
    pub credentials: Credentials,
    /// The world's region.
    pub region: String,
    /// Secrets that the role may read, by name: the members of each.
    pub secrets: BTreeMap<String, Properties>,
    /// Heap, in MiB.
    pub heap: u32,
}

/// Temporary credentials of a role.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key's id.
    pub access_key: String,
    /// The secret.
    pub secret: String,
    /// The session token.
    pub token: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.access_key)
    }
}

impl std::fmt::Debug for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}) against {}", self.name, self.id, self.bootstrap)
    }
}

/// What every worker is started with.
pub struct Runtime<'a> {
    /// `java`.
    pub java: &'a Path,
    /// The class path.
    pub class_path: &'a str,
    /// The plane's folder.
    pub folder: &'a Path,
    /// For `-Djdk.net.hosts.file`.
    pub hosts: &'a Path,
    /// Whom workers trust.
    pub authority: &'a Authority,
    /// Where programs are recorded.
    pub ledger: &'a Arc<Ledger>,
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    program: Program,
    /// Its API.
    pub rest: Rest,
    home: PathBuf,
    /// What is otherwise than on MSK Connect.
    pub differences: Vec<String>,
}

/// Where a connector's worker keeps what it has, below the plane's folder.
pub fn folder(plane: &Path, connector: &str) -> PathBuf {
    plane.join("connect").join(connector)
}

impl Worker {
    /// Unpacks the plugin from `archive` and starts a worker; it is on its way when this returns, see [`Worker::wait`].
    pub fn start(spec: &Spec, archive: &Path, runtime: &Runtime<'_>) -> Result<Self> {
        let home = folder(runtime.folder, &spec.name);
        files::folder(&home)?;
        let plugins = home.join("plugins").join(&spec.plugin);
        if !plugins.exists() {
            files::remove_folder(&home.join("plugins"))?;
            let fresh = home.join("plugins").join("new");
            msk_pipeline_plugin::unpack(archive, spec.jar, &fresh, &Limits::default())?;
            std::fs::rename(&fresh, &plugins).map_err(Error::io("rename", fresh.display()))?;
        }
        write_secrets(&home, &spec.secrets)?;
        let (all, differences) = worker(spec, &plugins);
        let config = home.join("worker.properties");
        files::replace(&config, properties::render(&all))?;
        let log4j = home.join("log4j.properties");
        files::replace(&log4j, LOG4J)?;
        let mut command = jvm(runtime.java, runtime.class_path, spec.heap, runtime.hosts, &log4j);
        command
            .env("AWS_ACCESS_KEY_ID", &spec.credentials.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &spec.credentials.secret)
            .env("AWS_SESSION_TOKEN", &spec.credentials.token)
            .env("AWS_REGION", &spec.region)
            // Without it the SDK would look for an instance's role on the network.
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .arg(format!(
                "-Djavax.net.ssl.trustStore={}",
                runtime.authority.trust_store().display()
            ))
            .arg(format!("-Djavax.net.ssl.trustStorePassword={TRUST_PASSWORD}"))
            .arg("-Djavax.net.ssl.trustStoreType=PKCS12")
            .arg("org.apache.kafka.connect.cli.ConnectDistributed")
            .arg(&config)
            .current_dir(secrets_folder(&home));
        let log = home.join("worker.log");
        let name = format!("Connect worker of {}", spec.name);
        let at = SocketAddr::from((spec.address, REST_PORT));
        let program = Program::start(&name, at, command, &log, runtime.ledger)?;
        let rest = Rest::new(at);
        Ok(Self { program, rest, home, differences })
    }

    /// Waits until it has joined its group.
    ///
    /// # Errors
    /// [`Error::Ended`] when it gives up, as it does when it can't reach its brokers.
    pub async fn wait(&mut self) -> Result<()> {
        let rest = self.rest;
        self.program.wait_until(START, || async move { rest.ready().await }).await
    }

    /// Puts new values of secrets in place; connectors see them when they start again, as with any config provider.
    pub fn write_secrets(&self, secrets: &BTreeMap<String, Properties>) -> Result<()> {
        write_secrets(&self.home, secrets)
    }

    /// # Errors
    /// If it isn't running any more.
    pub fn check(&mut self) -> Result<()> {
        self.program.check()
    }

    /// Its process.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Ends it in order. The secrets' values leave the disk with it.
    pub async fn stop(self) {
        self.program.stop().await;
        let _ = files::remove_folder(&secrets_folder(&self.home));
    }
}

/// Connect's own format: behind MSK Connect's prefix it is what MSK Connect writes.
const LOG4J: &str = "log4j.rootLogger=INFO, stdout
log4j.appender.stdout=org.apache.log4j.ConsoleAppender
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
log4j.appender.stdout.layout.ConversionPattern=[%d] %p %X{connector.context}%m (%c:%L)%n
";

fn secrets_folder(home: &Path) -> PathBuf {
    home.join("secrets")
}

/// One property file a secret, at the path that a placeholder names. A name that would lead elsewhere is left out: its placeholder
/// then finds nothing.
fn write_secrets(home: &Path, secrets: &BTreeMap<String, Properties>) -> Result<()> {
    let folder = secrets_folder(home);
    files::folder(&folder)?;
    let mut wanted = BTreeSet::new();
    for (name, members) in secrets {
        if !Path::new(name).components().all(|c| matches!(c, Component::Normal(_))) {
            continue;
        }
        let path = folder.join(name);
        files::folder(path.parent().unwrap_or(&folder))?;
        files::replace(&path, properties::render(members))?;
        wanted.insert(path);
    }
    remove_others(&folder, &wanted)
}

fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>) -> Result<()> {
    let list = std::fs::read_dir(folder).map_err(Error::io("list", folder.display()))?;
    for entry in list.flatten() {
        let path = entry.path();
        if path.is_dir() {
            remove_others(&path, wanted)?;
        } else if !wanted.contains(&path) {
            std::fs::remove_file(&path).map_err(Error::io("remove", path.display()))?;
        }
    }
    Ok(())
}

/// The last part of the class names of the config providers that ask Secrets Manager (handbook msk.md §7.2).
const SECRETS_MANAGER: &str = "SecretsManagerConfigProvider";
const FILES: &str = "org.apache.kafka.common.config.provider.FileConfigProvider";

/// The worker's properties, and what in them is otherwise than on MSK Connect.
fn worker(spec: &Spec, plugins: &Path) -> (Properties, Vec<String>) {
    let Spec { name, id, address, .. } = spec;
    let mut all = spec.properties.clone();
    for key in ["key.converter", "value.converter"] {
        let usual = "org.apache.kafka.connect.storage.StringConverter";
        all.entry(key.into()).or_insert_with(|| usual.into());
    }
    let mut differences = replace_providers(&mut all);
    let internal = |what: &str| format!("__amazon_msk_connect_{what}_{name}_{id}");
    all.entry("offset.storage.topic".into()).or_insert_with(|| internal("offsets"));
    let mut set = |key: &str, value: String| drop(all.insert(key.into(), value));
    set("bootstrap.servers", spec.bootstrap.clone());
    set("group.id", format!("__amazon_msk_connect_{name}_{id}"));
    set("config.storage.topic", internal("configs"));
    set("status.storage.topic", internal("status"));
    for what in ["config", "offset", "status"] {
        // The brokers' default, which fits clusters of every size.
        set(&format!("{what}.storage.replication.factor"), "-1".into());
    }
    set("plugin.path", plugins.display().to_string());
    set("listeners", format!("http://{address}:{REST_PORT}"));
    set("rest.advertised.host.name", address.to_string());
    // There is one worker: nobody to wait for who may come back.
    set("scheduled.rebalance.max.delay.ms", "0".into());
    for prefix in ["", "producer.", "consumer.", "admin."] {
        for (key, value) in security(spec) {
            set(&format!("{prefix}{key}"), value.into());
        }
    }
    differences.push("scheduled.rebalance.max.delay.ms is 0, as there is one worker".into());
    (all, differences)
}

/// What MSK Connect adds for the worker's own clients (handbook msk.md §7.1, §7.3).
fn security(spec: &Spec) -> Vec<(&'static str, &'static str)> {
    match (spec.iam, spec.tls) {
        (true, _) => vec![
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "AWS_MSK_IAM"),
            ("sasl.jaas.config", "software.amazon.msk.auth.iam.IAMLoginModule required;"),
            (
                "sasl.client.callback.handler.class",
                "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
            ),
        ],
        (false, true) => vec![("security.protocol", "SSL")],
        (false, false) => vec![("security.protocol", "PLAINTEXT")],
    }
}

fn replace_providers(all: &mut Properties) -> Vec<String> {
    let aliases: Vec<String> = all
        .get("config.providers")
        .map(|list| list.split(',').map(|alias| alias.trim().to_owned()).collect())
        .unwrap_or_default();
    let mut differences = Vec::new();
    for alias in aliases {
        let class = format!("config.providers.{alias}.class");
        if !all.get(&class).is_some_and(|c| c.ends_with(SECRETS_MANAGER)) {
            continue;
        }
        let was = all.insert(class.clone(), FILES.into()).unwrap_or_default();
        let parameters = format!("config.providers.{alias}.param.");
        all.retain(|key, _| !key.starts_with(&parameters));
        differences.push(format!(
            "{class} is {FILES} instead of {was}: it reads the same secrets from files"
        ));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(properties: &[(&str, &str)]) -> Spec {
        Spec {
            name: "c".into(),
            id: "u-2".into(),
            address: Ipv4Addr::new(127, 70, 1, 9),
            bootstrap: "b-1.x:9098".into(),
            iam: true,
            tls: true,
            properties: properties
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            plugin: "00".into(),
            jar: false,
            credentials: Credentials {
                access_key: "A".into(),
                secret: "S".into(),
                token: "T".into(),
            },
            region: "us-east-1".into(),
            secrets: BTreeMap::new(),
            heap: 256,
        }
    }

    #[test]
    fn internal_topics_are_msk_connect_s_and_the_offsets_may_be_one_s_own() {
        let (all, _) = worker(&spec(&[]), Path::new("/p"));
        assert_eq!(all["config.storage.topic"], "__amazon_msk_connect_configs_c_u-2");
        assert_eq!(all["offset.storage.topic"], "__amazon_msk_connect_offsets_c_u-2");
        assert_eq!(all["key.converter"], "org.apache.kafka.connect.storage.StringConverter");
        let (all, _) = worker(
            &spec(&[("offset.storage.topic", "mine"), ("bootstrap.servers", "x")]),
            Path::new("/p"),
        );
        assert_eq!(
            (&*all["offset.storage.topic"], &*all["bootstrap.servers"]),
            ("mine", "b-1.x:9098")
        );
    }

    #[test]
    fn the_worker_s_clients_speak_as_the_connector_says() {
        let (all, _) = worker(&spec(&[]), Path::new("/p"));
        for prefix in ["", "producer.", "consumer.", "admin."] {
            assert_eq!(all[&format!("{prefix}sasl.mechanism")], "AWS_MSK_IAM");
        }
        let plain = Spec { iam: false, tls: false, ..spec(&[]) };
        let (all, _) = worker(&plain, Path::new("/p"));
        assert_eq!(all["producer.security.protocol"], "PLAINTEXT");
        assert!(!all.contains_key("sasl.mechanism"));
    }

    #[test]
    fn providers_of_secrets_manager_read_files_and_others_stay() {
        let (all, differences) = worker(
            &spec(&[
                ("config.providers", "secretsmanager, env"),
                (
                    "config.providers.secretsmanager.class",
                    "com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider",
                ),
                ("config.providers.secretsmanager.param.region", "us-east-1"),
                ("config.providers.env.class", "org.example.Env"),
                ("config.providers.env.param.x", "1"),
            ]),
            Path::new("/p"),
        );
        assert_eq!(all["config.providers.secretsmanager.class"], FILES);
        assert!(!all.contains_key("config.providers.secretsmanager.param.region"));
        assert_eq!(
            (&*all["config.providers.env.class"], &*all["config.providers.env.param.x"]),
            ("org.example.Env", "1")
        );
        assert!(differences[0].contains("com.amazonaws.kafka"), "{differences:?}");
    }

    #[test]
    fn secrets_are_private_files_and_stay_in_their_folder() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join("home");
        let secret = |value: &str| Properties::from([("password".to_owned(), value.to_owned())]);
        let secrets = BTreeMap::from([
            ("cdc/orders".to_owned(), secret("a")),
            ("../out".to_owned(), secret("b")),
            ("/tmp/mskp-out".to_owned(), secret("c")),
        ]);
        write_secrets(&home, &secrets).expect("written");
        let path = home.join("secrets/cdc/orders");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "password=a\n");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        assert!(!home.join("out").exists() && !Path::new("/tmp/mskp-out").exists());
        write_secrets(&home, &BTreeMap::new()).expect("written");
        assert!(!path.exists(), "a secret that may not be read any more is gone");
    }

    #[test]
    fn nothing_secret_is_shown_or_in_the_worker_s_properties() {
        let spec = spec(&[]);
        let shown =
            format!("{spec:?} {:?} {:?}", spec.credentials, worker(&spec, Path::new("/p")).0);
        assert!(!shown.contains("\"S\"") && !shown.contains("secret: "), "{shown}");
    }
}
