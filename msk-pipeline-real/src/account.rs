//! Accounts of this machine: whose name a server's socket knows, and who runs a program that refuses to be run by root.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::toolbox::Absent;

const ACCOUNTS: &str = "/etc/passwd";
/// Who runs what root may not: the first of these that there is.
const UNPRIVILEGED: &[&str] = &["postgres", "nobody"];
/// Drops root's rights before it becomes the program: the process, and with it the record of it, stay the same.
const SETPRIV: Absent = Absent { program: "setpriv", package: "util-linux" };
/// Bits of `CapPrm` with their names (`capabilities(7)`), the lesser right first.
const SEARCH: &[(u64, &str)] = &[(1 << 2, "dac_read_search"), (1 << 1, "dac_override")];

/// Who runs a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Account {
    /// Whoever runs this.
    Own,
    /// An account without rights, since root runs this. It keeps one right of root's, to enter folders: the plane's is below one that
    /// only root can enter.
    Unprivileged {
        setpriv: PathBuf,
        uid: u32,
        gid: u32,
        /// The capability that lets it enter; `None` where root itself lacks it.
        search: Option<&'static str>,
    },
}

impl Account {
    /// Who runs a program that refuses root.
    ///
    /// # Errors
    /// As root, if there is no `setpriv` (it is where `find` finds it), or no account to drop to.
    pub(crate) fn unprivileged(find: impl FnOnce(Absent) -> Result<PathBuf>) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let accounts = accounts()?;
        let found = UNPRIVILEGED.iter().find_map(|name| ids(&accounts, name));
        let missing =
            || Error::io("drop root's rights to", UNPRIVILEGED.join("` or `"))(not_found());
        let (uid, gid) = found.ok_or_else(missing)?;
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Ok(Self::Unprivileged { setpriv: find(SETPRIV)?, uid, gid, search: search(&status) })
    }

    /// A command that runs as this account.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let Self::Unprivileged { setpriv, uid, gid, search } = self else {
            return Command::new(program);
        };
        let kept = search.map_or_else(|| "-all".to_owned(), |right| format!("-all,+{right}"));
        let mut command = Command::new(setpriv);
        command
            .args([format!("--reuid={uid}"), format!("--regid={gid}")])
            .args(["--clear-groups", "--no-new-privs"])
            .args(["inh", "ambient"].map(|set| format!("--{set}-caps={kept}")))
            .arg(format!("--bounding-set={kept}"))
            .arg(program);
        command
    }

    /// Whether a file of this user is its own, or of whoever runs this.
    pub(crate) fn is(&self, user: u32) -> bool {
        let own = rustix::process::geteuid().as_raw() == user;
        own || matches!(self, Self::Unprivileged { uid, .. } if *uid == user)
    }

    /// Gives it a file or a folder.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Unprivileged { uid, gid, .. } => {
                chown(path, Some(*uid), Some(*gid)).map_err(Error::io("give away", path.display()))
            }
        }
    }
}

fn not_found() -> std::io::Error {
    std::io::ErrorKind::NotFound.into()
}

fn accounts() -> Result<String> {
    std::fs::read_to_string(ACCOUNTS).map_err(Error::io("read", ACCOUNTS))
}

/// The user and group id of a name.
fn ids(accounts: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields = accounts
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.skip(1)))?;
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The least capability with which a process may enter every folder, of those that it has.
fn search(status: &str) -> Option<&'static str> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapPrm:"))?;
    let has = u64::from_str_radix(line.trim(), 16).ok()?;
    SEARCH.iter().find(|(bit, _)| has & bit != 0).map(|(_, name)| *name)
}

/// The name of the user who runs this, by which a server's socket knows its administrator.
pub(crate) fn own_name() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string(ACCOUNTS).unwrap_or_default();
    let own = users.lines().find(|line| line.split(':').nth(2) == Some(&uid));
    own.and_then(|line| line.split(':').next()).unwrap_or("root").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\npostgresql:x:7:8::/:/bin/sh\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(ids(accounts, "postgres"), Some((101, 104)));
        assert_eq!(ids(accounts, "nobody"), None);
    }

    #[test]
    fn of_roots_rights_the_least_is_kept_and_no_other() {
        assert_eq!(search("Name:\tx\nCapPrm:\t000001fffeffffff\n"), Some("dac_read_search"));
        assert_eq!(search("CapPrm:\t00000000a80425fb\n"), Some("dac_override"), "a container's");
        assert_eq!(search("CapPrm:\t0000000000000000\n"), None);
        let setpriv = PathBuf::from("/usr/bin/setpriv");
        let account =
            Account::Unprivileged { setpriv, uid: 101, gid: 104, search: Some("dac_read_search") };
        let command = format!("{:?}", account.command(Path::new("/bin/initdb")));
        for part in [
            "--reuid=101",
            "--regid=104",
            "--clear-groups",
            "--no-new-privs",
            "--bounding-set=-all,+dac_read_search",
            "--ambient-caps=-all,+dac_read_search",
            "/bin/initdb",
        ] {
            assert!(command.contains(part), "{part} in {command}");
        }
        assert_eq!(Account::Own.command(Path::new("/bin/initdb")).get_args().count(), 0);
    }
}
