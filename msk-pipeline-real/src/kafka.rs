//! Apache Kafka in the place of an MSK cluster: brokers in KRaft mode, with MSK's listeners at MSK's ports.
//!
//! Every broker has a loopback address of its own. Listeners with TLS are a [`Proxy`]'s, which passes on to one of the broker's
//! own listeners some ports higher; the broker advertises the AWS name and the AWS port.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::ServerConfig;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;

use crate::error::Result;
use crate::files;
use crate::process::{Ledger, Program};
use crate::properties::{self, Properties};
use crate::proxy::{Gate, Mode, Proxy};

/// Some seconds are usual; a busy machine takes its time.
const START: Duration = Duration::from_mins(5);
/// Between a public port and the broker's own behind a proxy.
const BEHIND: u16 = 10_000;
const CONTROLLER: u16 = 19_093;
/// Where brokers speak to each other, and the plane to them.
pub(crate) const REPLICATION: u16 = 19_091;
/// How many of a new cluster's brokers vote on metadata, at most.
pub const VOTERS: usize = 3;

/// A listener of MSK, with its port (handbook msk.md §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listener {
    /// 9092.
    Plaintext,
    /// 9094.
    Tls,
    /// 9098.
    Iam,
}

impl Listener {
    /// The port that clients use.
    pub const fn port(self) -> u16 {
        match self {
            Self::Plaintext => 9092,
            Self::Tls => 9094,
            Self::Iam => 9098,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "CLIENT",
            Self::Tls => "CLIENT_SECURE",
            Self::Iam => "CLIENT_IAM",
        }
    }

    /// The broker's own port.
    const fn inner(self) -> u16 {
        match self {
            Self::Plaintext => self.port(),
            Self::Tls | Self::Iam => self.port() + BEHIND,
        }
    }
}

/// A cluster as it should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The cluster's name.
    pub name: String,
    /// Its ARN; the id of the Kafka cluster follows from it.
    pub arn: String,
    /// Its brokers.
    pub brokers: BTreeMap<u32, Broker>,
    /// Those that also vote on metadata; they stay the same for as long as the cluster exists.
    pub voters: BTreeSet<u32>,
    /// What clients may use.
    pub listeners: BTreeSet<Listener>,
    /// MSK's defaults with the properties of the configuration revision over them.
    pub properties: Properties,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its name on AWS.
    pub host: String,
    /// Its address here.
    pub address: Ipv4Addr,
}

/// What every broker of every cluster is started with.
pub struct Runtime<'a> {
    /// `java`.
    pub java: &'a Path,
    /// The class path.
    pub class_path: &'a str,
    /// The heap, in MiB.
    pub heap: u32,
    /// The plane's folder.
    pub folder: &'a Path,
    /// For `-Djdk.net.hosts.file`.
    pub hosts: &'a Path,
    /// Where programs are recorded.
    pub ledger: &'a Arc<Ledger>,
}

/// What MSK sets where a configuration says nothing (handbook msk.md §3, "MSK defaults").
pub fn defaults(zones: usize) -> Properties {
    let (replication, in_sync) = if zones >= 3 { ("3", "2") } else { ("2", "1") };
    [
        ("allow.everyone.if.no.acl.found", "true"),
        ("auto.create.topics.enable", "false"),
        ("default.replication.factor", replication),
        ("min.insync.replicas", in_sync),
        ("num.io.threads", "8"),
        ("num.network.threads", "5"),
        ("num.partitions", "1"),
        ("num.replica.fetchers", "2"),
        ("replica.lag.time.max.ms", "30000"),
        ("unclean.leader.election.enable", "true"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into()
}

/// A running broker with its proxies.
#[derive(Debug)]
pub struct Running {
    program: Program,
    proxies: Vec<Proxy>,
}

/// Where a cluster keeps what it has, below the plane's folder.
pub fn folder(plane: &Path, cluster: &str) -> PathBuf {
    plane.join("kafka").join(cluster)
}

impl Running {
    /// Starts a broker; it is on its way when this returns, see [`Running::wait`].
    pub async fn start(
        spec: &Spec,
        id: u32,
        runtime: &Runtime<'_>,
        tls: &Arc<ServerConfig>,
        gate: &Arc<dyn Gate>,
    ) -> Result<Self> {
        let home = folder(runtime.folder, &spec.name).join(format!("broker-{id}"));
        let data = home.join("data");
        files::folder(&data)?;
        files::replace(&data.join("meta.properties"), properties::render(&meta(&spec.arn, id)))?;
        let config = home.join("server.properties");
        let broker = spec.brokers.get(&id).expect("a broker of the cluster");
        files::replace(&config, properties::render(&server(spec, id, &data)))?;
        let mut proxies = Vec::new();
        for listener in &spec.listeners {
            let mode = match listener {
                Listener::Plaintext => continue,
                Listener::Tls => Mode::Tls,
                Listener::Iam => Mode::Iam(gate.clone()),
            };
            let (port, inner) = (listener.port(), listener.inner());
            proxies.push(Proxy::start(broker.address, port, inner, tls.clone(), mode).await?);
        }
        let log4j = home.join("log4j.properties");
        files::replace(&log4j, LOG4J)?;
        let mut command =
            jvm(runtime.java, runtime.class_path, runtime.heap, runtime.hosts, &log4j);
        command.arg("kafka.Kafka").arg(&config).current_dir(&home);
        let name = format!("broker {id} of {}", spec.name);
        let log = home.join("server.log");
        let port = spec.listeners.last().map_or(REPLICATION, |l| l.port());
        let at = SocketAddr::from((broker.address, port));
        let program = Program::start(&name, at, command, &log, runtime.ledger)?;
        Ok(Self { program, proxies })
    }

    /// Waits until it serves clients: a broker opens its listeners when it has caught up with the metadata.
    pub async fn wait(&mut self, spec: &Spec, id: u32) -> Result<()> {
        let Some(broker) = spec.brokers.get(&id) else { return Ok(()) };
        let port = spec.listeners.first().map_or(REPLICATION, |l| l.inner());
        let address = broker.address;
        self.program
            .wait_until(START, || async move { TcpStream::connect((address, port)).await.is_ok() })
            .await
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

    /// Ends it in order. Its ports are free when this returns.
    pub async fn stop(self) {
        close(self.proxies).await;
        self.program.stop().await;
    }

    /// Ends it at once.
    pub async fn kill(self) {
        close(self.proxies).await;
        self.program.kill().await;
    }
}

async fn close(proxies: Vec<Proxy>) {
    for proxy in proxies {
        proxy.close().await;
    }
}

/// A JVM of this plane: small, with its own names and nothing of the user's environment but what it needs.
pub(crate) fn jvm(java: &Path, class_path: &str, heap: u32, hosts: &Path, log4j: &Path) -> Command {
    let mut command = Command::new(java);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("CLASSPATH", class_path)
        .env("LANG", "C.UTF-8")
        .arg(format!("-Xmx{heap}m"))
        .args([
            "-Xss512k",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError",
        ])
        .args([
            "-Djava.awt.headless=true",
            "-Duser.timezone=UTC",
            "-Djava.net.preferIPv4Stack=true",
        ])
        .arg(format!("-Djdk.net.hosts.file={}", hosts.display()))
        .arg(format!("-Dlog4j.configuration=file:{}", log4j.display()));
    command
}

/// Kafka's own format; what speaks at each request is turned down.
const LOG4J: &str = "log4j.rootLogger=INFO, stdout
log4j.appender.stdout=org.apache.log4j.ConsoleAppender
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
log4j.appender.stdout.layout.ConversionPattern=[%d] %p %m (%c)%n
";

/// A UUID as Kafka writes one.
fn uuid(of: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(of)[..16])
}

/// What `kafka-storage format` would write, without the JVM that it takes. The directory has the same id at each start: by another
/// one the controller takes all that is in it for lost.
fn meta(arn: &str, id: u32) -> Properties {
    [
        ("version", "1".to_owned()),
        ("cluster.id", uuid(arn)),
        ("node.id", id.to_string()),
        ("directory.id", uuid(&format!("{arn}/{id}"))),
    ]
    .map(|(k, v)| (k.to_owned(), v))
    .into()
}

/// The configuration of one broker. What the plane needs wins over what the revision says.
fn server(spec: &Spec, id: u32, data: &Path) -> Properties {
    let voters: Vec<_> = spec.brokers.iter().filter(|(id, _)| spec.voters.contains(id)).collect();
    let votes = spec.voters.contains(&id);
    let broker = &spec.brokers[&id];
    let (address, host) = (broker.address, &broker.host);
    let mut listeners = vec![format!("REPLICATION://{address}:{REPLICATION}")];
    let mut advertised = listeners.clone();
    let mut protocols = vec!["CONTROLLER:PLAINTEXT".to_owned(), "REPLICATION:PLAINTEXT".into()];
    for listener in &spec.listeners {
        let name = listener.name();
        listeners.push(format!("{name}://{address}:{}", listener.inner()));
        advertised.push(format!("{name}://{host}:{}", listener.port()));
        protocols.push(format!("{name}:PLAINTEXT"));
    }
    if votes {
        listeners.push(format!("CONTROLLER://{address}:{CONTROLLER}"));
    }
    let quorum: Vec<String> =
        voters.iter().map(|(id, b)| format!("{id}@{}:{CONTROLLER}", b.address)).collect();
    let count = spec.brokers.len();
    let (internal, in_sync) = (count.min(3).to_string(), count.min(3).div_ceil(2).to_string());
    // Before the revision's, which may have its own.
    let mut all: Properties = [
        ("offsets.topic.replication.factor", internal.as_str()),
        ("offsets.topic.num.partitions", "10"),
        ("transaction.state.log.replication.factor", &internal),
        ("transaction.state.log.num.partitions", "5"),
        ("transaction.state.log.min.isr", &in_sync),
        ("group.initial.rebalance.delay.ms", "0"),
        ("log.cleaner.dedupe.buffer.size", "16777216"),
        ("log.cleaner.threads", "1"),
        // A machine that compiles meanwhile is no dead voter: by default a broker that takes a minute to register gives up.
        ("controller.quorum.election.timeout.ms", "5000"),
        ("controller.quorum.fetch.timeout.ms", "15000"),
        ("initial.broker.registration.timeout.ms", "300000"),
        ("broker.session.timeout.ms", "30000"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into();
    all.extend(spec.properties.iter().map(|(k, v)| (k.clone(), v.clone())));
    // KRaft knows nothing of ZooKeeper, whose timeouts a configuration may set.
    all.retain(|key, _| !key.starts_with("zookeeper."));
    let roles = if votes { "broker,controller" } else { "broker" };
    all.extend(
        [
            ("process.roles", roles.to_owned()),
            ("node.id", id.to_string()),
            ("controller.quorum.voters", quorum.join(",")),
            ("controller.listener.names", "CONTROLLER".into()),
            ("inter.broker.listener.name", "REPLICATION".into()),
            ("listeners", listeners.join(",")),
            ("advertised.listeners", advertised.join(",")),
            ("listener.security.protocol.map", protocols.join(",")),
            ("log.dirs", data.display().to_string()),
            ("broker.rack", format!("zone-{}", (id - 1) % 3 + 1)),
        ]
        .map(|(k, v)| (k.to_owned(), v)),
    );
    all
}

/// Starts all of a cluster's brokers at once and waits for every one.
///
/// # Errors
/// The first that any of them has; the others are ended.
pub async fn start_all(
    spec: &Spec,
    runtime: &Runtime<'_>,
    tls: &Arc<ServerConfig>,
    gate: &Arc<dyn Gate>,
) -> Result<BTreeMap<u32, Running>> {
    let mut running = BTreeMap::new();
    for id in spec.brokers.keys() {
        running.insert(*id, Running::start(spec, *id, runtime, tls, gate).await?);
    }
    for (id, broker) in &mut running {
        broker.wait(spec, *id).await?;
    }
    Ok(running)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(count: u32) -> Spec {
        let broker = |id| {
            let host = format!("b-{id}.demo.kafka");
            let address = Ipv4Addr::new(127, 70, 1, u8::try_from(id).expect("few"));
            (id, Broker { host, address })
        };
        Spec {
            name: "demo".into(),
            arn: "arn:aws:kafka:us-east-1:1:cluster/demo/x".into(),
            brokers: (1..=count).map(broker).collect(),
            voters: (1..=count.min(3)).collect(),
            listeners: [Listener::Plaintext, Listener::Tls, Listener::Iam].into(),
            properties: Properties::from([
                ("min.insync.replicas".into(), "2".into()),
                ("zookeeper.session.timeout.ms".into(), "6000".into()),
                ("node.id".into(), "99".into()),
            ]),
        }
    }

    #[test]
    fn clients_are_told_aws_names_and_ports() {
        let all = server(&spec(3), 2, Path::new("/d"));
        assert_eq!(
            all["advertised.listeners"],
            "REPLICATION://127.70.1.2:19091,CLIENT://b-2.demo.kafka:9092,CLIENT_SECURE://b-2.demo.kafka:9094,CLIENT_IAM://b-2.demo.kafka:9098"
        );
        assert_eq!(
            all["listeners"],
            "REPLICATION://127.70.1.2:19091,CLIENT://127.70.1.2:9092,CLIENT_SECURE://127.70.1.2:19094,CLIENT_IAM://127.70.1.2:19098,CONTROLLER://127.70.1.2:19093"
        );
        assert_eq!((&*all["node.id"], &*all["min.insync.replicas"]), ("2", "2"));
        assert!(!all.contains_key("zookeeper.session.timeout.ms"));
    }

    #[test]
    fn voters_vote_and_later_brokers_only_serve() {
        let spec = spec(6);
        let (third, fourth) =
            (server(&spec, 3, Path::new("/d")), server(&spec, 4, Path::new("/d")));
        assert_eq!(
            (&*third["process.roles"], &*fourth["process.roles"]),
            ("broker,controller", "broker")
        );
        assert!(!fourth["listeners"].contains("CONTROLLER://"));
        assert_eq!(third["controller.quorum.voters"], fourth["controller.quorum.voters"]);
        assert_eq!(third["controller.quorum.voters"].split(',').count(), 3);
    }

    #[test]
    fn a_small_cluster_replicates_its_own_topics_less() {
        let all = server(&spec(1), 1, Path::new("/d"));
        assert_eq!(
            (&*all["offsets.topic.replication.factor"], &*all["transaction.state.log.min.isr"]),
            ("1", "1")
        );
    }

    #[test]
    fn a_cluster_and_its_directories_keep_their_ids() {
        let of = |arn, id| meta(arn, id);
        assert_eq!(of("arn", 1), of("arn", 1));
        let ids =
            |arn, id| (of(arn, id)["cluster.id"].clone(), of(arn, id)["directory.id"].clone());
        let (cluster, directory) = ids("arn", 1);
        assert_eq!((cluster.len(), directory.len()), (22, 22));
        assert_eq!(ids("arn", 2).0, cluster);
        assert_ne!(ids("arn", 2).1, directory);
        assert_ne!(ids("other", 1).0, cluster);
    }
}
