//! How processes that don't run the plane reach its programs: names, the authority, and credentials that the brokers take.
//!
//! The credentials lie in a file that only the user reads, and end with the plane that drew them: it removes the file, and where it was
//! killed they are worth nothing, since each plane draws its own.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::connect::Credentials;
use crate::error::{Error, Result};
use crate::files;
use crate::hosts::Hosts;

/// What a client outside the plane needs.
#[derive(Debug, Clone)]
pub struct Access {
    /// Names of the embedded AWS with their addresses on this machine.
    pub hosts: BTreeMap<String, Ipv4Addr>,
    /// The certificate of the authority that every TLS listener's certificate is from, in PEM.
    pub ca_pem: String,
    /// Whoever has these may do everything on every cluster.
    pub credentials: Credentials,
}

#[derive(Serialize, Deserialize)]
struct File {
    access_key: String,
    secret: String,
    token: String,
}

fn file(plane: &Path) -> PathBuf {
    plane.join("operator.json")
}

impl Access {
    /// The way to the programs of a plane's folder; `None` where no plane runs, or it has only begun.
    ///
    /// # Errors
    /// Files that can't be read.
    pub fn read(plane: &Path) -> Result<Option<Self>> {
        let path = file(plane);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", path.display())(e)),
        };
        let File { access_key, secret, token } = serde_json::from_slice(&text)
            .map_err(|e| Error::io("read", path.display())(e.into()))?;
        let ca = crate::authority::pem_file(&plane.join("ca"));
        let ca_pem = std::fs::read_to_string(&ca).map_err(Error::io("read", ca.display()))?;
        let hosts = Hosts::open(plane)?.table().clone();
        Ok(Some(Self { hosts, ca_pem, credentials: Credentials { access_key, secret, token } }))
    }
}

/// Lets other processes of the user in.
pub(crate) fn grant(plane: &Path, credentials: &Credentials) -> Result<()> {
    let Credentials { access_key, secret, token } = credentials.clone();
    let text = serde_json::to_vec(&File { access_key, secret, token }).expect("strings");
    files::replace(&file(plane), text)
}

/// The credentials end.
pub(crate) fn withdraw(plane: &Path) {
    // Nobody takes them any more, whether or not they lie there.
    let _ = std::fs::remove_file(file(plane));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn access_is_the_users_own_and_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let plane = folder.path();
        assert!(Access::read(plane).expect("nothing there").is_none());
        files::folder(&plane.join("ca")).expect("made");
        files::replace(&crate::authority::pem_file(&plane.join("ca")), "PEM").expect("written");
        let address = Hosts::open(plane).expect("opened").address("b-1.x").expect("room");
        let credentials =
            Credentials { access_key: "ASIA1".into(), secret: "hunter2".into(), token: "t".into() };
        grant(plane, &credentials).expect("written");
        let mode = file(plane).metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let access = Access::read(plane).expect("read").expect("there");
        assert_eq!((access.ca_pem.as_str(), access.hosts["b-1.x"]), ("PEM", address));
        assert!(access.credentials == credentials);
        assert!(!format!("{access:?}").contains("hunter2"));
        withdraw(plane);
        assert!(Access::read(plane).expect("nothing there").is_none());
    }
}
