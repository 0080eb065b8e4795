//! Child processes that can't be lost: each in a process group of its own, and on record until it is known to be gone.
//!
//! # Guarantees
//! - A server that was killed leaves its programs on record; [`Ledger::open`] of the next one ends them.
//! - A process is only ever signalled while its start time is the recorded one: a reused pid belongs to somebody else.
//! - One process at a time holds the ledger of a world; anybody may look at it ([`running`]).
//!
//! # Caveats
//! A kill between a program's start and its record, some microseconds, leaves it behind; its ports are then found taken.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;

/// How long a program that was asked to end may take before it is made to.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How much of a log an error repeats.
const TAIL: usize = 20;

/// Which process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: i32,
    /// When it started, in clock ticks since the machine did (`proc_pid_stat(5)`, field 22).
    started: u64,
}

impl Identity {
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid, started: start_time(&stat)? })
    }

    /// Whether this very process is still there, and no zombie.
    pub(crate) fn lives(self) -> bool {
        let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", self.pid)) else { return false };
        start_time(&stat) == Some(self.started) && state(&stat) != Some('Z')
    }

    /// Signals it and no other of its group, if it still is who it was.
    pub(crate) fn signal_alone(self, signal: Signal) {
        if self.lives()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            let _ = kill_process(pid, signal);
        }
    }

    /// Signals its group, of which it is the leader, if it still is who it was.
    fn signal(self, signal: Signal) {
        if self.lives()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            // It may end between the look and the signal; then there is nobody to hear it.
            let _ = kill_process_group(pid, signal);
        }
    }
}

/// What a program takes for the wish that it end in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ends {
    /// SIGTERM, as most do.
    #[default]
    Terminate,
    /// SIGINT: to a PostgreSQL, SIGTERM means to wait until the last client has gone.
    Interrupt,
}

impl Ends {
    fn signal(self) -> Signal {
        match self {
            Self::Terminate => Signal::TERM,
            Self::Interrupt => Signal::INT,
        }
    }
}

/// A program on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    identity: Identity,
    /// Where it listens; empty in a record of an earlier version.
    #[serde(default)]
    at: String,
    /// How it is asked to end.
    #[serde(default)]
    ends: Ends,
}

type Entries = BTreeMap<String, Entry>;

/// The fields behind the name, which may have spaces and parentheses in it.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace()
}

fn state(stat: &str) -> Option<char> {
    fields(stat).next()?.chars().next()
}

fn start_time(stat: &str) -> Option<u64> {
    fields(stat).nth(19)?.parse().ok()
}

/// Every program of a world that may be running.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    entries: Mutex<Entries>,
    /// Held for as long as the ledger is.
    _lock: File,
}

impl Ledger {
    /// Opens the ledger in `folder`, and ends what an earlier holder left running. Answers with the names of those, too.
    ///
    /// # Errors
    /// [`Error::InUse`] while another process holds it.
    pub fn open(folder: &Path) -> Result<(Arc<Self>, Vec<String>)> {
        let lock_path = folder.join("programs.lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(Error::io("open", lock_path.display()))?;
        lock.try_lock().map_err(|_| Error::InUse(lock_path))?;
        let path = folder.join("programs.json");
        let recorded = recorded(&path)?.into_iter();
        let left: Entries = recorded.filter(|(_, entry)| entry.identity.lives()).collect();
        for entry in left.values() {
            entry.identity.signal(entry.ends.signal());
        }
        let deadline = Instant::now() + PATIENCE;
        while left.values().any(|e| e.identity.lives()) && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
        for entry in left.values() {
            entry.identity.signal(Signal::KILL);
        }
        let ledger = Self { path, entries: Mutex::default(), _lock: lock };
        ledger.save(&BTreeMap::new())?;
        Ok((Arc::new(ledger), left.into_keys().collect()))
    }

    fn save(&self, entries: &Entries) -> Result<()> {
        let text = serde_json::to_vec_pretty(entries).expect("numbers and names");
        files::replace(&self.path, text)
    }

    fn change(&self, f: impl FnOnce(&mut Entries)) -> Result<()> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        f(&mut entries);
        self.save(&entries)
    }
}

fn recorded(path: &Path) -> Result<Entries> {
    match fs::read(path) {
        Ok(text) => {
            serde_json::from_slice(&text).map_err(|e| Error::io("read", path.display())(e.into()))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Entries::new()),
        Err(e) => Err(Error::io("read", path.display())(e)),
    }
}

/// A program that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// What it is, and whose: `MariaDB of orders`.
    pub name: String,
    /// Its process id.
    pub pid: i32,
    /// Its address and main port.
    pub at: String,
    /// What it holds in memory, in bytes.
    pub resident: u64,
}

/// The programs of a plane's folder that run, by name: those of the process that holds the ledger, or, without one, what a killed one
/// left. Takes no lock.
///
/// # Errors
/// A record that can't be read.
pub fn running(folder: &Path) -> Result<Vec<Listed>> {
    let live = recorded(&folder.join("programs.json"))?;
    let live = live.into_iter().filter(|(_, entry)| entry.identity.lives());
    let listed = live.map(|(name, Entry { identity: Identity { pid, .. }, at, .. })| Listed {
        name,
        pid,
        at,
        resident: resident(pid).unwrap_or_default(),
    });
    Ok(listed.collect())
}

/// A program that was started and not yet ended. Dropping it ends it at once.
#[derive(Debug)]
pub struct Program {
    name: String,
    log: PathBuf,
    child: tokio::process::Child,
    identity: Identity,
    ends: Ends,
    ledger: Arc<Ledger>,
    ended: bool,
}

impl Program {
    /// Starts `command` in a process group of its own, without input, with both outputs appended to `log`. It will listen `at` this
    /// address, which is for people.
    pub fn start(
        name: &str,
        at: std::net::SocketAddr,
        command: Command,
        log: &Path,
        ledger: &Arc<Ledger>,
    ) -> Result<Self> {
        Self::start_ended(Ends::default(), name, at, command, log, ledger)
    }

    /// As [`start`](Self::start), with another word for its end.
    pub(crate) fn start_ended(
        ends: Ends,
        name: &str,
        at: std::net::SocketAddr,
        mut command: Command,
        log: &Path,
        ledger: &Arc<Ledger>,
    ) -> Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        use std::os::unix::process::CommandExt as _;
        let open = || OpenOptions::new().create(true).append(true).mode(0o600).open(log);
        let (out, err) = (open(), open());
        let out = out.map_err(Error::io("open", log.display()))?;
        let err = err.map_err(Error::io("open", log.display()))?;
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let program = command.get_program().display().to_string();
        let mut child =
            tokio::process::Command::from(command).spawn().map_err(Error::io("start", &program))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        // It is our child and unreaped, so that its entry is there even if it has ended already.
        let Some(identity) = Identity::of(pid) else {
            let _ = child.start_kill();
            return Err(Error::io("watch", &program)(std::io::ErrorKind::NotFound.into()));
        };
        let program = Self {
            name: name.to_owned(),
            log: log.to_owned(),
            child,
            identity,
            ends,
            ledger: ledger.clone(),
            ended: false,
        };
        ledger.change(|entries| {
            entries.insert(name.to_owned(), Entry { identity, at: at.to_string(), ends });
        })?;
        Ok(program)
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.identity.pid
    }

    /// Where it logs to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// # Errors
    /// [`Error::Ended`] with the end of its log, if it isn't running any more.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait().map_err(Error::io("watch", &self.name))? {
            None => Ok(()),
            Some(status) => {
                self.forget();
                Err(Error::Ended {
                    program: self.name.clone(),
                    status: status.to_string(),
                    log: self.log.clone(),
                    tail: tail(&self.log),
                })
            }
        }
    }

    /// Asks `ready` again and again until it says so.
    ///
    /// # Errors
    /// [`Error::Ended`], or [`Error::NotReady`] after `patience`.
    pub async fn wait_until<F: Future<Output = bool>>(
        &mut self,
        patience: Duration,
        mut ready: impl FnMut() -> F,
    ) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            self.check()?;
            if ready().await {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::NotReady {
                    program: self.name.clone(),
                    seconds: patience.as_secs(),
                    log: self.log.clone(),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Asks it to end, and after some seconds makes it; with it everything in its group.
    pub async fn stop(mut self) {
        self.end().await;
    }

    /// As [`stop`](Self::stop), for an owner who can't give it away.
    pub(crate) async fn end(&mut self) {
        self.identity.signal(self.ends.signal());
        let _ = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        self.end_at_once().await;
    }

    /// Ends it at once, for programs whose data nobody wants any more.
    pub async fn kill(mut self) {
        self.end_at_once().await;
    }

    async fn end_at_once(&mut self) {
        self.identity.signal(Signal::KILL);
        let _ = self.child.wait().await;
        self.forget();
    }

    fn forget(&mut self) {
        self.ended = true;
        let mine = |entry: &Entry| entry.identity == self.identity;
        // A record that stays is harmless: its process is gone.
        let _ = self.ledger.change(|entries| entries.retain(|_, entry| !mine(entry)));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.ended {
            self.identity.signal(Signal::KILL);
            let _ = self.child.try_wait();
            self.forget();
        }
    }
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|t| String::from_utf8_lossy(&t).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

/// What a process holds in memory, in bytes; `None` when it is gone.
pub fn resident(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: std::net::SocketAddr =
        std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4242);

    fn sleeper() -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & wait"]);
        command
    }

    fn group_lives(pid: i32) -> bool {
        rustix::process::test_kill_process_group(Pid::from_raw(pid).expect("a pid")).is_ok()
    }

    #[test]
    fn a_name_with_parentheses_hides_no_field() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 2 0";
        assert_eq!((state(stat), start_time(stat)), (Some('S'), Some(4242)));
    }

    #[tokio::test]
    async fn ending_a_program_ends_its_whole_group() {
        let folder = tempfile::tempdir().expect("a folder");
        let (ledger, left) = Ledger::open(folder.path()).expect("opened");
        assert!(left.is_empty());
        let log = folder.path().join("log");
        let mut program = Program::start("s", AT, sleeper(), &log, &ledger).expect("started");
        let pid = program.pid();
        program.check().expect("it runs");
        assert!(group_lives(pid));
        let listed = running(folder.path()).expect("read while it is held");
        let [one] = listed.as_slice() else { panic!("{listed:?}") };
        assert_eq!((one.name.as_str(), one.pid, one.at.as_str()), ("s", pid, "127.0.0.1:4242"));
        assert!(one.resident > 0);
        program.stop().await;
        let deadline = Instant::now() + PATIENCE;
        while group_lives(pid) {
            assert!(Instant::now() < deadline, "the `sleep` goes with its shell");
            tokio::time::sleep(LOOK).await;
        }
        assert_eq!(fs::read_to_string(folder.path().join("programs.json")).expect("there"), "{}");
    }

    #[tokio::test]
    async fn what_a_dead_holder_left_is_ended_and_a_reused_pid_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut left = sleeper();
        std::os::unix::process::CommandExt::process_group(&mut left, 0);
        let mut left = left.spawn().expect("started");
        let mut stranger = Command::new("sleep").arg("60").spawn().expect("started");
        let id = |child: &std::process::Child| {
            Identity::of(i32::try_from(child.id()).expect("small")).expect("it lives")
        };
        let other = Identity { started: id(&stranger).started + 1, ..id(&stranger) };
        // As an earlier version wrote it.
        let record = BTreeMap::from([("left", id(&left)), ("stranger", other)]);
        let path = folder.path().join("programs.json");
        fs::write(&path, serde_json::to_vec(&record).expect("JSON")).expect("written");

        let listed = running(folder.path()).expect("read");
        assert_eq!(listed.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["left"]);
        let (_ledger, ended) = Ledger::open(folder.path()).expect("opened");
        assert_eq!(ended, ["left"]);
        assert_eq!(running(folder.path()).expect("read"), []);
        assert!(!left.wait().expect("it ended").success());
        assert!(stranger.try_wait().expect("asked").is_none(), "somebody else's process goes on");
        stranger.kill().expect("ended");
        stranger.wait().expect("ended");
    }

    #[tokio::test]
    async fn one_holder_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Ledger::open(folder.path()).expect("opened");
        assert!(matches!(Ledger::open(folder.path()), Err(Error::InUse(_))));
        drop(first);
        Ledger::open(folder.path()).expect("opened");
    }

    #[tokio::test]
    async fn a_program_that_ends_by_itself_is_an_error_with_its_last_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let (ledger, _) = Ledger::open(folder.path()).expect("opened");
        let mut command = Command::new("sh");
        command.args(["-c", "echo the last word; exit 3"]);
        let mut program =
            Program::start("p", AT, command, &folder.path().join("log"), &ledger).expect("started");
        let error = program
            .wait_until(Duration::from_secs(5), || async { false })
            .await
            .expect_err("it ends");
        let text = error.to_string();
        assert!(text.contains("exit status: 3") && text.contains("the last word"), "{text}");
    }
}
