//! One MSK cluster: its brokers, their proxies and the topics of MSK's own API.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use msk_pipeline_emulator::plane::{Cluster, Topic, Work};

use super::{ClusterGate, Context, Event, Owner};
use crate::admin;
use crate::error::Result;
use crate::kafka::{self, Listener, REPLICATION, Running, VOTERS};
use crate::proxy::Gate;

const CHECK: Duration = Duration::from_secs(1);

pub(super) struct Unit {
    context: Arc<Context>,
    /// What runs.
    spec: Option<kafka::Spec>,
    running: BTreeMap<u32, Running>,
    /// The topics that were made.
    topics: BTreeMap<String, Topic>,
    settled: Option<String>,
}

impl Owner for Unit {
    type Wanted = Cluster;
    const CHECK: Duration = CHECK;

    async fn be(&mut self, wanted: &Cluster) {
        let open = wanted.awaits.as_ref().filter(|a| self.settled.as_ref() != Some(&a.token));
        let reboots: BTreeSet<u32> = match open.map(|a| &a.what) {
            Some(Work::Reboot { brokers }) => brokers.iter().copied().collect(),
            _ => BTreeSet::new(),
        };
        let object = format!("cluster {}", wanted.name);
        let before = self.spec.clone();
        let mut outcome = match self.spec(wanted) {
            Ok(spec) => self.make(spec, &reboots).await,
            Err(e) => Err(e),
        };
        if let Some(wait) = open {
            if let (Err(_), Some(before)) = (&outcome, before) {
                // An operation that fails leaves the cluster as it was.
                if let Err(e) = self.make(before, &BTreeSet::new()).await {
                    outcome = Err(e);
                }
            }
            self.settled = Some(wait.token.clone());
            self.context.settle(&object, &wait.token, &outcome).await;
        } else if let Err(e) = &outcome {
            self.context.tell(Event::Ended { program: object.clone(), why: e.whole() });
        }
        if outcome.is_ok()
            && let Err(e) = self.keep_topics(&wanted.topics).await
        {
            self.context.differs(&object, e.whole());
        }
    }

    /// All at once: voters that end one after the other wait for each other.
    async fn stop(&mut self) {
        let ends: Vec<_> = std::mem::take(&mut self.running)
            .into_values()
            .map(|b| tokio::spawn(b.stop()))
            .collect();
        for end in ends {
            let _ = end.await;
        }
        self.tell_stopped();
    }

    async fn remove(&mut self) {
        for broker in std::mem::take(&mut self.running).into_values() {
            broker.kill().await;
        }
        self.tell_stopped();
        if let Some(spec) = &self.spec {
            // A cluster of this name that comes later must not find the old one's data.
            let _ = crate::files::remove_folder(&kafka::folder(&self.context.folder, &spec.name));
        }
    }
}

impl Unit {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            spec: None,
            running: BTreeMap::new(),
            topics: BTreeMap::new(),
            settled: None,
        }
    }

    /// What should run: the first brokers, up to the plane's limit, with names of the others leading to them.
    fn spec(&self, wanted: &Cluster) -> Result<kafka::Spec> {
        let (run, others) = shared_out(&wanted.brokers, self.context.brokers);
        let brokers = self.context.hosts(|hosts| -> Result<_> {
            for (host, target) in &others {
                hosts.alias(host, target)?;
            }
            run.iter()
                .map(|(id, host)| {
                    let address = hosts.address(host)?;
                    Ok((*id, kafka::Broker { host: host.clone(), address }))
                })
                .collect::<Result<BTreeMap<_, _>>>()
        })?;
        let listeners = [Listener::Plaintext, Listener::Tls, Listener::Iam];
        let mut properties = kafka::defaults(wanted.zones);
        properties.extend(wanted.properties.clone());
        Ok(kafka::Spec {
            name: wanted.name.clone(),
            arn: wanted.arn.clone(),
            voters: self.voters(&wanted.name, brokers.keys().copied())?,
            listeners: listeners.into_iter().filter(|l| wanted.ports.contains(&l.port())).collect(),
            brokers,
            properties,
        })
    }

    /// Written down when the cluster first starts: metadata can't be taken over by voters that never saw them.
    fn voters(&self, name: &str, brokers: impl Iterator<Item = u32>) -> Result<BTreeSet<u32>> {
        let folder = kafka::folder(&self.context.folder, name);
        let file = folder.join("voters");
        if let Ok(text) = std::fs::read_to_string(&file) {
            return Ok(text.split_whitespace().filter_map(|id| id.parse().ok()).collect());
        }
        let voters: BTreeSet<u32> = brokers.take(VOTERS).collect();
        crate::files::folder(&folder)?;
        let text: Vec<String> = voters.iter().map(ToString::to_string).collect();
        crate::files::replace(&file, text.join(" "))?;
        Ok(voters)
    }

    async fn make(&mut self, spec: kafka::Spec, reboots: &BTreeSet<u32>) -> Result<()> {
        let same = self.spec.as_ref().is_some_and(|old| {
            (&old.listeners, &old.properties) == (&spec.listeners, &spec.properties)
        });
        let first = self.running.is_empty();
        let gone: Vec<u32> =
            self.running.keys().filter(|id| !spec.brokers.contains_key(id)).copied().collect();
        for id in gone {
            self.end(id).await;
        }
        let names = certified(spec.brokers.values().map(|b| b.host.as_str()));
        let tls = self.context.authority.server(&names)?;
        let begun = Instant::now();
        let mut started = Vec::new();
        for id in spec.brokers.keys() {
            let again = match self.running.get_mut(id) {
                None => true,
                Some(broker) => broker.check().is_err() || reboots.contains(id) || !same,
            };
            if !again {
                continue;
            }
            self.end(*id).await;
            let running = self.start(&spec, *id, &tls).await?;
            self.running.insert(*id, running);
            if first {
                started.push(*id); // all at once: the voters need each other
            } else {
                self.wait(&spec, *id, begun).await?;
            }
        }
        for id in started {
            self.wait(&spec, id, begun).await?;
        }
        if self.spec.is_none() {
            self.tell_differences(&spec);
        }
        self.spec = Some(spec);
        Ok(())
    }

    async fn start(
        &self,
        spec: &kafka::Spec,
        id: u32,
        tls: &Arc<rustls::ServerConfig>,
    ) -> Result<Running> {
        let context = &self.context;
        let hosts = context.hosts(|hosts| hosts.file().to_owned());
        let runtime = kafka::Runtime {
            java: &context.toolbox.java,
            class_path: &context.jars.broker(),
            heap: context.heap,
            folder: &context.folder,
            hosts: &hosts,
            ledger: &context.ledger,
        };
        let gate: Arc<dyn Gate> =
            Arc::new(ClusterGate { context: context.clone(), cluster: spec.arn.clone() });
        Running::start(spec, id, &runtime, tls, &gate).await
    }

    async fn wait(&mut self, spec: &kafka::Spec, id: u32, begun: Instant) -> Result<()> {
        let Some(broker) = self.running.get_mut(&id) else { return Ok(()) };
        if let Err(e) = broker.wait(spec, id).await {
            self.running.remove(&id);
            return Err(e);
        }
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let program = format!("cluster {}, broker {id}", spec.name);
        self.context.tell(Event::Ready { program, millis });
        Ok(())
    }

    fn tell_differences(&self, spec: &kafka::Spec) {
        let object = format!("cluster {}", spec.name);
        self.context
            .differs(&object, "Apache Kafka 3.8.1 in KRaft mode, whatever version is asked for");
        if spec.listeners.contains(&Listener::Iam) {
            self.context.differs(
                &object,
                "of IAM's actions, brokers check kafka-cluster:Connect; the others are checked when a connector is created",
            );
        }
    }

    /// Topics of MSK's API exist, with their partitions and settings; what clients made stays.
    async fn keep_topics(&mut self, wanted: &BTreeMap<String, Topic>) -> Result<()> {
        if self.topics == *wanted {
            return Ok(());
        }
        let Some(broker) = self.spec.as_ref().and_then(|s| s.brokers.values().next()) else {
            return Ok(());
        };
        let broker = SocketAddr::from((broker.address, REPLICATION));
        for name in self.topics.keys().filter(|name| !wanted.contains_key(*name)) {
            admin::delete(broker, name).await?;
        }
        for (name, topic) in wanted {
            match self.topics.get(name) {
                Some(made) if made == topic => {}
                Some(made) => {
                    if made.partitions != topic.partitions {
                        admin::partitions(broker, name, topic.partitions).await?;
                    }
                    if made.configs != topic.configs {
                        admin::configure(broker, name, &topic.configs).await?;
                    }
                }
                None => {
                    // Brokers beyond the plane's limit hold no replicas here.
                    let most = u32::try_from(self.running.len()).unwrap_or(u32::MAX);
                    let replication = topic.replication.min(most);
                    admin::create(broker, name, topic.partitions, replication, &topic.configs)
                        .await?;
                }
            }
        }
        self.topics.clone_from(wanted);
        Ok(())
    }

    async fn end(&mut self, id: u32) {
        if let Some(broker) = self.running.remove(&id) {
            broker.stop().await;
        }
    }

    fn tell_stopped(&self) {
        if let Some(spec) = &self.spec {
            self.context.tell(Event::Stopped { program: format!("cluster {}", spec.name) });
        }
    }
}

/// The names in the brokers' certificate: their own, and any of their domain's, so that those which are declared later and lead here are in it.
fn certified<'a>(hosts: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let domain = |host: &str| Some(format!("*.{}", host.split_once('.')?.1));
    hosts.flat_map(|host| [Some(host.to_owned()), domain(host)]).flatten().collect()
}

/// Names of brokers that don't run, each with the one that it leads to.
type Others = Vec<(String, String)>;

/// The brokers that run, and where the names of the others lead.
fn shared_out(brokers: &BTreeMap<u32, String>, most: usize) -> (BTreeMap<u32, String>, Others) {
    let run: BTreeMap<u32, String> =
        brokers.iter().take(most).map(|(id, host)| (*id, host.clone())).collect();
    let targets = run.values().cycle();
    let others = brokers.values().skip(most).cloned().zip(targets.cloned()).collect();
    (run, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_that_come_later_are_in_the_certificate() {
        let names = certified(["b-1.demo.x", "b-2.demo.x"].into_iter());
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["*.demo.x", "b-1.demo.x", "b-2.demo.x"]);
    }

    #[test]
    fn names_beyond_the_limit_lead_to_brokers_that_run() {
        let brokers = (1..=5).map(|id| (id, format!("b-{id}"))).collect();
        let (run, others) = shared_out(&brokers, 3);
        assert_eq!(run.keys().collect::<Vec<_>>(), [&1, &2, &3]);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(others, [pair("b-4", "b-1"), pair("b-5", "b-2")]);
        assert_eq!(shared_out(&brokers, 9).1, []);
    }
}
