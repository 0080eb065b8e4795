//! The way to the programs behind a world: each name's loopback address, and certificates of the world's own authority.

use std::fs;
use std::path::PathBuf;

use msk_pipeline_real::Hosts;
use msk_pipeline_source::Way;
use msk_pipeline_verify::Reach;

/// The programs of the plane in this folder, wherever the process is that runs them.
pub(crate) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// The plane's folder is the one in the world's folder.
    pub(crate) fn of(world: &std::path::Path) -> Self {
        Self { folder: world.join("plane") }
    }
}

impl Way for Programs {
    fn reach(&self) -> Reach {
        // A plane that never ran has neither; then nothing is reached, and what was looked for is named.
        let hosts = Hosts::open(&self.folder).ok();
        let table = hosts.iter().flat_map(|hosts| hosts.table());
        let addresses = table.map(|(name, ip)| (name.clone(), ip.to_string())).collect();
        let authorities = fs::read_to_string(self.folder.join("ca/ca.pem")).into_iter().collect();
        Reach { addresses, authorities }
    }
}
