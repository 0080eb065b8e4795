//! What lies in a store, looked at from outside: no request is sent for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use msk_pipeline_core::kind::Effect;
use msk_pipeline_core::state::{Entry, FileStore, Loaded, Object, Stamped, State, StateStore as _};
use msk_pipeline_core::{Address, Timestamp};
use msk_pipeline_emulator::shell::{Call, Moment, Next};
use serde_json::Value;

use super::Cloud;
use super::mortal::{BUCKET, Store, Verb};

/// The versions of every object in the state's bucket: the key, and where its bytes are in the world's blobs; the newest last.
fn versions(cloud: &Cloud) -> BTreeMap<String, Vec<String>> {
    let s3 = cloud.world.with(|world| serde_json::to_value(&world.state.s3).unwrap());
    let objects = s3["buckets"][BUCKET]["objects"].as_object().cloned().unwrap_or_default();
    let digests = |versions: &Value| {
        let contents = versions.as_array().unwrap().iter().map(|v| &v["content"]["sha256"]);
        contents.filter_map(|digest| digest.as_str().map(str::to_owned)).collect()
    };
    objects.iter().map(|(key, versions)| (key.clone(), digests(versions))).collect()
}

/// Everything that was ever stored and lies somewhere: the files, and each version of each object in the bucket.
pub fn bytes(cloud: &Cloud) -> Vec<Vec<u8>> {
    let digests: BTreeSet<String> = versions(cloud).into_values().flatten().collect();
    let blobs = cloud.world.with(|world| {
        let found = digests.iter().map(|d| world.blobs[d].to_vec());
        found.collect::<Vec<_>>()
    });
    cloud.disk.files().into_values().chain(blobs).collect()
}

/// State as the next process finds it.
pub fn loaded(cloud: &Cloud, store: Store) -> Loaded {
    if store == Store::File {
        let store = FileStore::on(cloud.disk.clone(), "state");
        return futures_util::FutureExt::now_or_never(store.load()).unwrap().unwrap();
    }
    let mut snapshot = (0, State::default());
    let mut segments: BTreeMap<u64, Vec<Stamped>> = BTreeMap::new();
    for (key, digests) in versions(cloud) {
        let Some(newest) = digests.last() else { continue };
        let read = || {
            let bytes = cloud.world.with(|world| world.blobs[newest].clone());
            serde_json::from_slice::<Value>(&bytes).unwrap()
        };
        if key.ends_with("/state.json") {
            let document = read();
            let state = serde_json::from_value(document["state"].clone()).unwrap();
            snapshot = (document["segment"].as_u64().unwrap(), state);
        } else if key.contains("/journal/") {
            let document = read();
            let entries = serde_json::from_value(document["entries"].clone()).unwrap();
            segments.insert(document["number"].as_u64().unwrap(), entries);
        }
    }
    let (folded, snapshot) = snapshot;
    let entries = segments.into_iter().filter(|(number, _)| *number > folded);
    Loaded { snapshot, entries: entries.flat_map(|(_, entries)| entries).collect() }
}

/// Looks at every changing request of one process on its way in, and tells what is wrong.
///
/// * It was announced, in the state that survives: an open *begin* of its operation is stored.
/// * Each *begin* announces one request: none is repeated without having been answered, looked at and announced again.
/// * In an apply, everything that the object needs is recorded as ready.
pub struct Guard {
    cloud: Cloud,
    store: Store,
    verb: Verb,
    /// The newest entry when the process began.
    head: u64,
    sent: Mutex<BTreeMap<String, usize>>,
    problems: Mutex<Vec<String>>,
}

impl Guard {
    /// Begins to look.
    pub fn of(cloud: &Cloud, store: Store, verb: Verb) -> Arc<Self> {
        let head = loaded(cloud, store).fold().unwrap().head;
        let guard = Arc::new(Self {
            cloud: cloud.clone(),
            store,
            verb,
            head,
            sent: Mutex::default(),
            problems: Mutex::default(),
        });
        let looks = Arc::clone(&guard);
        cloud.world.observe(Arc::new(move |moment: Moment, call: &Call<'_>| {
            let about_state = call.request.path.starts_with(&format!("/{BUCKET}"));
            // A password is drawn within the request that stores it.
            let counts = call.changing && call.operation != "GetRandomPassword" && !about_state;
            if moment == Moment::Before && counts {
                looks.look_at(call.operation);
            }
            Next::Go
        }));
        guard
    }

    /// The first thing that was wrong.
    pub fn problem(&self) -> Option<String> {
        self.problems.lock().unwrap().first().cloned()
    }

    fn look_at(&self, operation: &str) {
        let loaded = loaded(&self.cloud, self.store);
        let of = |op: &str| op.rsplit(':').next() == Some(operation);
        let begins = loaded.entries.iter().filter(|stamped| {
            stamped.seq > self.head && matches!(&stamped.entry, Entry::Begin { op, .. } if of(op))
        });
        let begins = begins.count();
        let sent = {
            let mut sent = self.sent.lock().unwrap();
            let sent = sent.entry(operation.to_owned()).or_default();
            *sent += 1;
            *sent
        };
        let state = loaded.fold().unwrap();
        let announced = state.pending().find(|(_, _, p)| p.is_open() && of(&p.op));
        let problem = match announced {
            None => Some(format!("{operation} was not announced")),
            Some(_) if sent > begins => {
                Some(format!("{operation} was sent {sent} times, announced {begins} times"))
            }
            Some((address, object, pending))
                if self.verb == Verb::Apply && pending.effect != Effect::Delete =>
            {
                let missing = object.deps.iter().find(|dep| !is_ready(&state, dep));
                missing.map(|dep| format!("{address} was sent before {dep} was ready"))
            }
            Some(_) => None,
        };
        self.problems.lock().unwrap().extend(problem);
    }
}

fn is_ready(state: &State, address: &Address) -> bool {
    let current = state.records.get(address).and_then(|record| record.current.as_ref());
    current.is_some_and(Object::was_ready)
}

/// Objects that are there more often than state has them: by the marks that they carry, those of one address and kind of object
/// outnumber its current and deposed ones. A generation is not in the mark; each recorded object has one of its own.
pub fn doubles(cloud: &Cloud, state: &State, now: Timestamp) -> Vec<String> {
    let world = cloud.world.with(|world| serde_json::to_value(&world.state).unwrap());
    let live = super::mortal::outside::inventory_at(cloud, now);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (service, family, kind) in FAMILIES {
        let objects =
            world[service][family].as_object().unwrap_or_else(|| panic!("{service} has {family}"));
        for (id, object) in objects {
            let tag = |key: &str| object["tags"][key].as_str();
            let name = object["name"].as_str().unwrap_or(id);
            // One that is gone may have a namesake.
            let gone = [&object["gone_at"], &object["life"]["gone_at"]];
            let is_gone = gone.iter().any(|at| at.as_u64().is_some_and(|at| at <= now.0));
            let is_live = !is_gone
                && [id.as_str(), name]
                    .iter()
                    .any(|called| live.contains(&format!("{service} {kind} {called}")));
            if tag("msk-pipeline:lineage") == Some(&state.lineage)
                && let Some(address) = tag("msk-pipeline:address")
                && is_live
            {
                found.entry(address.to_owned()).or_default().push(format!("{service} {id}"));
            }
        }
    }
    let known = |address: &str| {
        let record = state.records.iter().find(|(a, _)| a.as_str() == address).map(|(_, r)| r);
        record.map_or(0, |r| r.deposed.len() + usize::from(r.current.is_some()))
    };
    let doubled = found.into_iter().filter(|(address, there)| there.len() > known(address));
    doubled.map(|(address, there)| format!("{address}: {there:?}")).collect()
}

/// Where the world keeps what is marked by tags, and what the inventory calls it.
const FAMILIES: [(&str, &str, &str); 15] = [
    ("ec2", "groups", "security-group"),
    ("ec2", "endpoints", "vpc-endpoint"),
    ("iam", "roles", "role"),
    ("kafka", "clusters", "cluster"),
    ("kafkaconnect", "connectors", "connector"),
    ("kafkaconnect", "plugins", "custom plugin"),
    ("kafkaconnect", "worker_configurations", "worker configuration"),
    ("logs", "groups", "log-group"),
    ("rds", "clusters", "db-cluster"),
    ("rds", "instances", "db-instance"),
    ("rds", "subnet_groups", "db-subnet-group"),
    ("rds", "cluster_groups", "db-cluster-parameter-group"),
    ("rds", "instance_groups", "db-parameter-group"),
    ("s3", "buckets", "bucket"),
    ("secretsmanager", "secrets", "secret"),
];
