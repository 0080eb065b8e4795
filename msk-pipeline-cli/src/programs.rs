//! The way to the programs behind a world: each name's loopback address, and certificates of the world's own authority.

use std::path::{Path, PathBuf};

use msk_pipeline_real::{Access, serving};
use msk_pipeline_source::Way;
use msk_pipeline_verify::Reach;

/// The programs of a world, wherever the process is that runs them.
pub(crate) struct Programs {
    plane: PathBuf,
}

impl Programs {
    pub(crate) fn of(world: &Path) -> Self {
        Self { plane: serving::plane(world) }
    }
}

impl Way for Programs {
    fn reach(&self) -> Reach {
        // Without a plane nothing is reached, and what was looked for is named.
        Access::read(&self.plane).ok().flatten().as_ref().map(reach).unwrap_or_default()
    }
}

/// What a client needs to reach and to trust them.
pub(crate) fn reach(access: &Access) -> Reach {
    let addresses = access.hosts.iter().map(|(name, ip)| (name.clone(), ip.to_string())).collect();
    Reach { addresses, authorities: vec![access.ca_pem.clone()] }
}
