//! The driver: looks at the world again and again, and makes the programs what the world says.
//!
//! 1. [`wanted`] is a pure function of the world: which programs, and with what.
//! 2. For each object there is one unit (`clusters`, `databases`, `connectors`), a task that alone owns the object's programs. It gets
//!    what is wanted now, does one thing after the other, and reports what came of it.
//! 3. Reports are recorded in the world; the next look sees what follows from them.
//!
//! Nothing but the world is remembered: a driver that begins anew finds open waits in the world and programs of its predecessor in
//! the ledger, ends those, and starts what is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use msk_pipeline_emulator::plane::{self, Report};
use msk_pipeline_emulator::shell::Shared;
use msk_pipeline_emulator::world::{Millis, World};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::access;
use crate::authority::Authority;
use crate::connect::Credentials;
use crate::error::{Error, Result};
use crate::hosts::Hosts;
use crate::process::Ledger;
use crate::proxy::Gate;
use crate::sigv4::{Presigned, Refusal};
use crate::toolbox::{Jars, Toolbox};

mod clusters;
mod connectors;
mod databases;
mod event;

pub use event::Event;

/// How often the world is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How the plane is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// The plane's folder, inside the world's: data, logs, certificates, names. Private to the user.
    pub folder: PathBuf,
    /// The programs.
    pub toolbox: Toolbox,
    /// How many brokers of a cluster run at most; names of further ones lead to these. 3 by default.
    pub brokers: usize,
    /// The heap of a broker and of a worker, in MiB. 256 by default.
    pub heap: u32,
}

impl Options {
    /// The usual sizes.
    pub fn new(folder: impl Into<PathBuf>, toolbox: Toolbox) -> Self {
        Self { folder: folder.into(), toolbox, brokers: 3, heap: 256 }
    }
}

/// The programs of one world. [`RealPlane::stop`] ends them in order; dropping it ends them at once.
///
/// It has a thread and a runtime of its own: every byte between brokers and clients goes through its proxies, and whoever runs it may
/// be busy.
pub struct RealPlane {
    context: Arc<Context>,
    course: watch::Sender<Course>,
    driver: Option<std::thread::JoinHandle<()>>,
    /// Closed once everything that the world had at the start was seen to.
    first: mpsc::Receiver<()>,
}

/// What the driver is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// Follow the world.
    Follow,
    /// End all programs in order, then itself.
    Stop,
    /// End at once, and with it all programs.
    Abandon,
}

impl RealPlane {
    fn end(&mut self, course: Course) {
        let _ = self.course.send(course);
        if let Some(driver) = self.driver.take() {
            // It panicked, if at all, after its own report; its programs ended with it.
            let _ = driver.join();
            access::withdraw(&self.context.folder);
        }
    }
}

impl Drop for RealPlane {
    fn drop(&mut self) {
        self.end(Course::Abandon);
    }
}

/// What every unit works with.
pub(crate) struct Context {
    world: Arc<dyn Shared>,
    folder: PathBuf,
    toolbox: Toolbox,
    jars: Jars,
    authority: Authority,
    ledger: Arc<Ledger>,
    brokers: usize,
    heap: u32,
    region: String,
    hosts: Mutex<Hosts>,
    keys: Mutex<BTreeMap<String, (Credentials, Principal)>>,
    events: mpsc::UnboundedSender<Event>,
}

/// Whose credentials they are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Principal {
    /// A role, with its policies.
    Role(String),
    /// Whoever runs the plane.
    Operator,
}

impl RealPlane {
    /// Ends what an earlier plane of this folder left, and begins to run what the world says. Fetches what is missing first, which
    /// takes a while the first time; blocks meanwhile.
    ///
    /// # Errors
    /// If programs are missing, jars can't be had, or another process runs this world's programs. That one object's programs don't
    /// start is no error here: it is recorded in the world, and an [`Event`].
    pub fn start(
        world: Arc<dyn Shared>,
        options: Options,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Event>)> {
        let (events, receiver) = mpsc::unbounded_channel();
        let tell = |event: Event| drop(events.send(event));
        let Options { folder, mut toolbox, brokers, heap } = options;
        // Programs run in folders of their own.
        let whole =
            |path: &Path| std::path::absolute(path).map_err(Error::io("resolve", path.display()));
        let folder = whole(&folder)?;
        toolbox.store.cache = whole(&toolbox.store.cache)?;
        crate::files::folder(&folder)?;
        let (ledger, left) = Ledger::open(&folder)?;
        for program in left {
            tell(Event::Leftover { program });
        }
        let jars = toolbox.jars(&folder.join("lib"), |coordinate| {
            tell(Event::Fetching { artefact: coordinate.to_string() });
        })?;
        let authority = Authority::create(&folder.join("ca"), &toolbox.keytool)?;
        let hosts = Mutex::new(Hosts::open(&folder)?);
        let mut region = String::new();
        world.look(&mut |world, _| region.clone_from(&world.settings.region));
        let context = Arc::new(Context {
            world,
            folder,
            toolbox,
            jars,
            authority,
            ledger,
            brokers: brokers.max(1),
            heap,
            region,
            hosts,
            keys: Mutex::default(),
            events,
        });
        let mut present = BTreeMap::new();
        context.world.look(&mut |world, now| present = wanted(world, now));
        prune(&context.folder, &present)?;
        access::grant(&context.folder, &context.credentials(Principal::Operator))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::io("start", "a runtime"))?;
        let (course, orders) = watch::channel(Course::Follow);
        let (seen_to, first) = mpsc::channel(1);
        let driven = context.clone();
        let driver = std::thread::Builder::new()
            .name("real-plane".into())
            .spawn(move || runtime.block_on(drive(driven, orders, seen_to)))
            .map_err(Error::io("start", "a thread"))?;
        Ok((Self { context, course, driver: Some(driver), first }, receiver))
    }

    /// Returns once each object that the world had at the start has its programs again, or was seen not to get them.
    pub async fn caught_up(&mut self) {
        while self.first.recv().await.is_some() {}
    }

    /// Names of the embedded AWS with their addresses on this machine, for clients outside a JVM.
    pub fn hosts(&self) -> BTreeMap<String, std::net::Ipv4Addr> {
        self.context.hosts(|hosts| hosts.table().clone())
    }

    /// The file with the same, for `-Djdk.net.hosts.file`.
    pub fn hosts_file(&self) -> PathBuf {
        self.context.hosts(|hosts| hosts.file().to_owned())
    }

    /// The certificate of the authority that every TLS listener's certificate is from, in PEM.
    pub fn ca_pem(&self) -> &str {
        self.context.authority.pem()
    }

    /// Credentials with which clients of ours may connect to every cluster. They end with the plane.
    pub fn credentials(&self) -> Credentials {
        self.context.credentials(Principal::Operator)
    }

    /// Ends every program in order, which takes some seconds; blocks meanwhile. Data stay: the next plane of this folder goes on with
    /// them.
    pub fn stop(mut self) {
        self.end(Course::Stop);
    }

    /// As [`stop`](Self::stop), without blocking; what still runs when somebody is in a `hurry` is ended at once.
    pub async fn stop_unless(self, hurry: impl Future<Output = ()>) {
        let _ = self.course.send(Course::Stop);
        let stopped = async {
            while self.driver.as_ref().is_some_and(|driver| !driver.is_finished()) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = stopped => {}
            () = hurry => {}
        }
    }
}

impl Context {
    fn hosts<T>(&self, f: impl FnOnce(&mut Hosts) -> T) -> T {
        f(&mut self.hosts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, event: Event) {
        // Nobody may listen any more.
        let _ = self.events.send(event);
    }

    fn differs(&self, object: &str, how: impl Into<String>) {
        self.tell(Event::Differs { object: object.to_owned(), how: how.into() });
    }

    /// Records a report, off the runtime's thread: the world may be a file that others hold.
    async fn report(&self, report: Report) {
        let world = self.world.clone();
        let _ = tokio::task::spawn_blocking(move || world.report(&report)).await;
    }

    /// Records how a wait ended.
    async fn settle(&self, object: &str, token: &str, outcome: &Result<()>) {
        let token = token.to_owned();
        match outcome {
            Ok(()) => self.report(Report::Done { token }).await,
            Err(e) => {
                let message = e.whole();
                self.tell(Event::Failed { object: object.to_owned(), message: message.clone() });
                self.report(Report::Failed { token, message }).await;
            }
        }
    }

    fn credentials(&self, principal: Principal) -> Credentials {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((credentials, _)) = keys.values().find(|(_, of)| *of == principal) {
            return credentials.clone();
        }
        let credentials = Credentials {
            access_key: format!("ASIA{}", random(8).to_uppercase()),
            secret: random(20),
            token: random(32),
        };
        keys.insert(credentials.access_key.clone(), (credentials.clone(), principal));
        credentials
    }

    fn principal(&self, access_key: &str) -> Option<(Credentials, Principal)> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(access_key).cloned()
    }
}

/// `bytes` random bytes in hexadecimal.
fn random(bytes: usize) -> String {
    let mut drawn = vec![0; bytes];
    getrandom::fill(&mut drawn).expect("the system's random source");
    drawn.iter().map(|b| format!("{b:02x}")).collect()
}

/// The gate of one cluster: signature, then the role's policy.
struct ClusterGate {
    context: Arc<Context>,
    cluster: String,
}

impl Gate for ClusterGate {
    fn admit(&self, claim: &Presigned) -> std::result::Result<(), Refusal> {
        let found = self.context.principal(claim.access_key()?);
        let (credentials, principal) = found.ok_or(Refusal::Key)?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
        claim.check(&credentials.secret, Some(&credentials.token), &self.context.region, now)?;
        let Principal::Role(role) = principal else { return Ok(()) };
        let mut permitted = false;
        self.context.world.look(&mut |world, _| {
            permitted = plane::permits(world, &role, "kafka-cluster:Connect", &self.cluster);
        });
        permitted.then_some(()).ok_or(Refusal::Policy)
    }

    fn refused(&self, access_key: &str, refusal: Refusal) {
        let cluster = self.cluster.clone();
        let access_key = access_key.to_owned();
        self.context.tell(Event::Refused { cluster, access_key, why: refusal.to_string() });
    }
}

/// An object that has programs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// An MSK cluster, by ARN.
    Cluster(String),
    /// An Aurora cluster, by identifier.
    Database(String),
    /// A connector, by ARN.
    Connector(String),
}

/// What its programs should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// Brokers.
    Cluster(plane::Cluster),
    /// A database server.
    Database(plane::Database),
    /// A Connect worker.
    Connector(plane::Connector),
}

/// Which programs should run, and with what: a pure function of the world.
pub fn wanted(world: &World, now: Millis) -> BTreeMap<Key, Spec> {
    let clusters = plane::clusters(world, now).into_iter();
    let clusters = clusters.map(|c| (Key::Cluster(c.arn.clone()), Spec::Cluster(c)));
    let databases = plane::databases(world, now).into_iter();
    let databases = databases.map(|d| (Key::Database(d.name.clone()), Spec::Database(d)));
    let connectors = plane::connectors(world, now).into_iter();
    let connectors = connectors.map(|c| (Key::Connector(c.arn.clone()), Spec::Connector(c)));
    clusters.chain(databases).chain(connectors).collect()
}

/// What a unit is told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Order<T> {
    /// Be this.
    Be(T),
    /// End; data stay.
    Stop,
    /// End and remove the data: the object is gone.
    Remove,
}

/// What alone owns the programs of one object.
trait Owner {
    /// What the world says of the object.
    type Wanted: Clone;
    /// How long it is left alone at most, without an order.
    const CHECK: Duration;
    /// Makes the programs what is wanted, or sees that they still are.
    async fn be(&mut self, wanted: &Self::Wanted);
    /// Ends them.
    async fn stop(&mut self);
    /// Ends them and removes their data.
    async fn remove(&mut self);
}

/// Held until an object that there was at the start is seen to.
type First = Option<mpsc::Sender<()>>;

/// Carries out orders, one after the other, until one ends the programs. An order to end is not kept waiting by what lasts minutes: that
/// is dropped, and programs that it was starting end with it.
async fn follow<O: Owner>(
    mut owner: O,
    mut orders: watch::Receiver<Order<O::Wanted>>,
    mut first: First,
) {
    loop {
        let order = orders.borrow_and_update().clone();
        match order {
            Order::Be(wanted) => tokio::select! {
                biased;
                _ = orders.wait_for(|order| !matches!(order, Order::Be(_))) => continue,
                () = owner.be(&wanted) => drop(first.take()),
            },
            Order::Stop => return owner.stop().await,
            Order::Remove => return owner.remove().await,
        }
        let _ = tokio::time::timeout(O::CHECK, orders.changed()).await;
    }
}

/// A unit's orders and its task.
struct Unit {
    orders: Orders,
    task: JoinHandle<()>,
}

enum Orders {
    Cluster(watch::Sender<Order<plane::Cluster>>),
    Database(watch::Sender<Order<plane::Database>>),
    Connector(watch::Sender<Order<plane::Connector>>),
}

impl Unit {
    fn begin(context: &Arc<Context>, spec: Spec, first: First) -> Self {
        let context = context.clone();
        match spec {
            Spec::Cluster(cluster) => {
                let (sender, orders) = watch::channel(Order::Be(cluster));
                let task = tokio::spawn(follow(clusters::Unit::new(context), orders, first));
                Self { orders: Orders::Cluster(sender), task }
            }
            Spec::Database(database) => {
                let (sender, orders) = watch::channel(Order::Be(database));
                let task = tokio::spawn(follow(databases::Unit::new(context), orders, first));
                Self { orders: Orders::Database(sender), task }
            }
            Spec::Connector(connector) => {
                let (sender, orders) = watch::channel(Order::Be(connector));
                let task = tokio::spawn(follow(connectors::Unit::new(context), orders, first));
                Self { orders: Orders::Connector(sender), task }
            }
        }
    }

    fn order(&self, spec: Spec) {
        match (&self.orders, spec) {
            (Orders::Cluster(to), Spec::Cluster(spec)) => tell(to, Order::Be(spec)),
            (Orders::Database(to), Spec::Database(spec)) => tell(to, Order::Be(spec)),
            (Orders::Connector(to), Spec::Connector(spec)) => tell(to, Order::Be(spec)),
            _ => unreachable!("a key has one kind"),
        }
    }

    /// Tells it to end, and answers with what ends when it has.
    fn end(self, remove: bool) -> JoinHandle<()> {
        match &self.orders {
            Orders::Cluster(to) => tell(to, if remove { Order::Remove } else { Order::Stop }),
            Orders::Database(to) => tell(to, if remove { Order::Remove } else { Order::Stop }),
            Orders::Connector(to) => tell(to, if remove { Order::Remove } else { Order::Stop }),
        }
        self.task
    }
}

fn tell<T: PartialEq>(to: &watch::Sender<Order<T>>, order: Order<T>) {
    to.send_if_modified(|present| {
        let changed = *present != order;
        *present = order;
        changed
    });
}

/// Ends its units when it is dropped before its time.
#[derive(Default)]
struct Units(BTreeMap<Key, Unit>);

impl Drop for Units {
    fn drop(&mut self) {
        for unit in self.0.values() {
            unit.task.abort();
        }
    }
}

async fn drive(
    context: Arc<Context>,
    mut course: watch::Receiver<Course>,
    seen_to: mpsc::Sender<()>,
) {
    let mut first = Some(seen_to);
    let mut units = Units::default();
    let mut ending: BTreeMap<Key, JoinHandle<()>> = BTreeMap::new();
    while *course.borrow() == Course::Follow {
        let mut now_wanted = look(&context).await;
        ending.retain(|_, task| !task.is_finished());
        // A name can come again while its last bearer is on its way out.
        now_wanted.retain(|key, _| !ending.contains_key(key));
        let gone: Vec<Key> =
            units.0.keys().filter(|k| !now_wanted.contains_key(k)).cloned().collect();
        for key in gone {
            if let Some(unit) = units.0.remove(&key) {
                ending.insert(key, unit.end(true));
            }
        }
        for (key, spec) in now_wanted {
            match units.0.get(&key) {
                Some(unit) => unit.order(spec),
                None => {
                    let unit = Unit::begin(&context, spec, first.clone());
                    units.0.insert(key, unit);
                }
            }
        }
        first = None;
        let _ = tokio::time::timeout(LOOK, course.changed()).await;
    }
    if *course.borrow() == Course::Abandon {
        return; // the runtime ends with its tasks, and they with their programs
    }
    let left = std::mem::take(&mut units.0).into_values().map(|unit| unit.end(false));
    let left: Vec<_> = left.chain(ending.into_values()).collect();
    let all = async {
        for task in left {
            let _ = task.await;
        }
    };
    tokio::select! {
        () = all => {}
        _ = course.wait_for(|course| *course == Course::Abandon) => {}
    }
}

async fn look(context: &Arc<Context>) -> BTreeMap<Key, Spec> {
    let world = context.world.clone();
    let look = move || {
        let mut found = BTreeMap::new();
        world.look(&mut |world, now| found = wanted(world, now));
        found
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

/// Removes the data of objects that the world has no more: they were deleted while no plane ran, and whatever has their name later must
/// not find them.
fn prune(folder: &Path, wanted: &BTreeMap<Key, Spec>) -> Result<()> {
    let homes: BTreeSet<PathBuf> = wanted.values().map(|spec| home(folder, spec)).collect();
    for parent in ["kafka", "mariadb", "postgres", "connect"] {
        for entry in std::fs::read_dir(folder.join(parent)).into_iter().flatten().flatten() {
            if !homes.contains(&entry.path()) {
                crate::files::remove_folder(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// Where an object's programs keep what they have.
fn home(folder: &Path, spec: &Spec) -> PathBuf {
    match spec {
        Spec::Cluster(cluster) => crate::kafka::folder(folder, &cluster.name),
        Spec::Database(database) => {
            crate::database::folder(database.engine, folder, &database.name)
        }
        Spec::Connector(connector) => crate::connect::folder(folder, &connector.name),
    }
}

/// Where an archive of the world lies as a file.
async fn archive(context: &Context, folder: &Path, sha256: &str) -> Result<PathBuf> {
    let path = folder.join("plugin.archive");
    let (world, wanted) = (context.world.clone(), sha256.to_owned());
    let content = tokio::task::spawn_blocking(move || world.content(&wanted)).await.ok().flatten();
    let missing =
        || Error::io("read the plugin's archive", sha256)(std::io::ErrorKind::NotFound.into());
    crate::files::folder(folder)?;
    crate::files::replace(&path, content.ok_or_else(missing)?)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(name: &str, engine: plane::Engine) -> (Key, Spec) {
        let database = plane::Database {
            name: name.into(),
            engine,
            version: String::new(),
            writer: String::new(),
            endpoints: BTreeSet::new(),
            readers: BTreeSet::new(),
            port: 0,
            master: String::new(),
            managed: false,
            password: None,
            database: None,
            parameters: BTreeMap::new(),
            awaits: None,
        };
        (Key::Database(name.into()), Spec::Database(database))
    }

    #[test]
    fn what_was_deleted_meanwhile_leaves_nothing() {
        let plane = tempfile::tempdir().expect("a folder");
        let folder = |path: &str| plane.path().join(path);
        let all = ["mariadb/a", "postgres/a", "postgres/b", "kafka/c", "connect/d", "ca/e"];
        for path in all {
            std::fs::create_dir_all(folder(path)).expect("made");
        }
        // A name can have changed its engine.
        let wanted = BTreeMap::from([
            database("a", plane::Engine::MySql),
            database("b", plane::Engine::PostgreSql),
        ]);
        prune(plane.path(), &wanted).expect("pruned");
        let left: Vec<_> = all.into_iter().filter(|path| folder(path).exists()).collect();
        assert_eq!(left, ["mariadb/a", "postgres/b", "ca/e"]);
    }
}
