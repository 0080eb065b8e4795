//! Names of the embedded AWS on this machine: each gets a loopback address of its own, so that every program keeps the port it has
//! on AWS, and configurations need no rewriting.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::files;

/// The addresses of one world, a /24 within 127.0.0.0/8. A name keeps its address for as long as the world's folder exists.
#[derive(Debug)]
pub struct Hosts {
    file: PathBuf,
    network: [u8; 3],
    names: BTreeMap<String, Ipv4Addr>,
}

impl Hosts {
    /// Opens the table in `folder`. Its network follows from the folder's path, so that two worlds seldom share one; where they do, the
    /// second finds its ports taken and says so.
    pub fn open(folder: &Path) -> Result<Self> {
        let file = folder.join("hosts");
        let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
        // Distributions keep 127.0.0.1 and 127.0.1.1 for themselves, resolvers 127.0.0.53.
        let network = [127, 64 + digest[0] % 190, digest[1]];
        let names = match std::fs::read_to_string(&file) {
            Ok(text) => parse(&text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(Error::io("read", file.display())(e)),
        };
        Ok(Self { file, network, names })
    }

    /// The address of a name, which it gets now if it has none; a new one is on disk when this returns.
    pub fn address(&mut self, name: &str) -> Result<Ipv4Addr> {
        if let Some(address) = self.names.get(name) {
            return Ok(*address);
        }
        let [a, b, c] = self.network;
        let free = (1..=253)
            .map(|d| Ipv4Addr::new(a, b, c, d))
            .find(|address| !self.names.values().any(|taken| taken == address))
            .ok_or(Error::Addresses)?;
        self.names.insert(name.to_owned(), free);
        self.save()?;
        Ok(free)
    }

    /// Lets a name lead to the address of another one.
    pub fn alias(&mut self, name: &str, target: &str) -> Result<Ipv4Addr> {
        let address = self.address(target)?;
        if self.names.insert(name.to_owned(), address) != Some(address) {
            self.save()?;
        }
        Ok(address)
    }

    /// Forgets a name.
    pub fn forget(&mut self, name: &str) -> Result<()> {
        if self.names.remove(name).is_some() { self.save() } else { Ok(()) }
    }

    /// The file for `-Djdk.net.hosts.file`: names that aren't in it are unknown to the JVM, as in a VPC without a way out.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Every name with its address.
    pub fn table(&self) -> &BTreeMap<String, Ipv4Addr> {
        &self.names
    }

    fn save(&self) -> Result<()> {
        let text: String =
            self.names.iter().map(|(name, address)| format!("{address} {name}\n")).collect();
        files::replace(&self.file, text)
    }
}

fn parse(text: &str) -> BTreeMap<String, Ipv4Addr> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(address, name)| Some((name.to_owned(), address.parse().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_addresses_and_never_share_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut hosts = Hosts::open(folder.path()).expect("opened");
        let first = hosts.address("b-1.x").expect("room");
        let second = hosts.address("b-2.x").expect("room");
        assert!(first.is_loopback() && first != second);
        assert_eq!(hosts.address("b-1.x").expect("room"), first);
        assert_eq!(hosts.alias("reader.x", "b-2.x").expect("room"), second);
        let again = Hosts::open(folder.path()).expect("opened");
        assert_eq!(again.table(), hosts.table());
        let text = std::fs::read_to_string(again.file()).expect("written");
        assert!(text.contains(&format!("{first} b-1.x\n")), "{text}");
    }

    #[test]
    fn a_full_network_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut hosts = Hosts::open(folder.path()).expect("opened");
        for n in 0..253 {
            hosts.address(&n.to_string()).expect("room");
        }
        assert!(matches!(hosts.address("one more"), Err(Error::Addresses)));
        hosts.forget("7").expect("written");
        hosts.address("one more").expect("room again");
    }
}
