//! Rows that go in, and events that come out.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use msk_pipeline_real::Access;
use msk_pipeline_verify::chain::AwsCredentials;
use msk_pipeline_verify::chain::kafka::{Kafka, Login};
use msk_pipeline_verify::{Reach, Secret};
use serde_json::Value;

use crate::OLD;
use crate::world::World;

/// Inserts rows into the table of orders, one after the other, until it is told to end. While the database is away it tries the same row again,
/// so that every row up to the last is there in the end.
pub(crate) struct Writer {
    ends: Arc<AtomicBool>,
    written: Arc<AtomicU32>,
    thread: JoinHandle<()>,
}

impl Writer {
    pub(crate) fn begin(world: &World) -> Self {
        let (ends, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (told, count) = (Arc::clone(&ends), Arc::clone(&written));
        let client = world.client();
        let line = client.get_args().last().expect("a line").to_owned();
        let folder = client.get_current_dir().expect("a folder").to_owned();
        let crate::world::Example { schema, execute, or_nothing, .. } = world.example;
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                let id = OLD + 1 + count.load(Ordering::Relaxed);
                let statement =
                    format!("INSERT INTO {schema}.orders VALUES ({id}, 'new') {or_nothing}");
                let mut command = std::process::Command::new("sh");
                let line = format!("{} {execute}=\"{statement}\"", line.to_string_lossy());
                command.arg("-c").arg(line).current_dir(&folder).stdin(Stdio::null());
                if command
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .expect("runs")
                    .success()
                {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Self { ends, written, thread }
    }

    /// How many rows there are of its.
    pub(crate) fn end(self) -> u32 {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().expect("it ended");
        self.written.load(Ordering::Relaxed)
    }
}

/// What is on the topic of a table: how many events of each operation and row.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Events(BTreeMap<(char, u32), usize>);

impl Events {
    pub(crate) fn has(&self, op: char, id: u32) -> bool {
        self.0.contains_key(&(op, id))
    }

    /// Every row with events of an operation, and how many of these it has.
    pub(crate) fn of(&self, op: char) -> impl Iterator<Item = (u32, usize)> {
        self.0.iter().filter(move |((of, _), _)| *of == op).map(|((_, id), n)| (*id, *n))
    }
}

/// Reads the topic through the IAM listener, by AWS's names, as any client of AWS's would. While brokers are away it says so.
pub(crate) async fn events(world: &World, table: &str) -> Result<Events, String> {
    let mut found = Events::default();
    let access = Access::read(&world.plane()).map_err(|e| e.whole())?;
    let access = access.ok_or("no programs run")?;
    let (_, text) = world.run("output kafka.main.cluster.bootstrap_iam");
    let bootstrap = text.lines().find(|line| line.contains(":9098")).expect("brokers");
    let bootstrap = bootstrap.rsplit(' ').next().unwrap_or_default();
    let credentials = AwsCredentials {
        access_key_id: access.credentials.access_key,
        secret_access_key: Secret::new(access.credentials.secret),
        session_token: Some(Secret::new(access.credentials.token)),
    };
    let login = Login::Iam { credentials, region: "us-east-1".into() };
    let kafka = Kafka { bootstrap: bootstrap.split(',').map(str::to_owned).collect(), login };
    let addresses = access.hosts.into_iter().map(|(host, at)| (host, at.to_string())).collect();
    let reach = Reach { addresses, authorities: vec![access.ca_pem] };
    let records = kafka.records(&format!("orders.{}.{table}", world.example.schema), &reach).await;
    let records = records.map_err(|error| format!("{error:?}"))?;
    for (_, value) in records {
        let event: Value =
            serde_json::from_slice(&value.expect("no row is deleted")).expect("JSON");
        let op = event["op"].as_str().and_then(|op| op.chars().next()).expect("an op");
        let id =
            event["after"]["id"].as_u64().and_then(|id| u32::try_from(id).ok()).expect("an id");
        *found.0.entry((op, id)).or_default() += 1;
    }
    Ok(found)
}
