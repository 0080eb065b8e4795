//! What is in a plugin archive: which connectors its service files list, and for which Java they were compiled.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use serde::{Deserialize, Serialize};
use zip::ZipArchive;

/// The service files that name connectors (handbook msk.md §8, plugin validation).
const SERVICE_FILES: &[&str] = &[
    "META-INF/services/org.apache.kafka.connect.source.SourceConnector",
    "META-INF/services/org.apache.kafka.connect.sink.SinkConnector",
];

/// What could be read of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contents {
    /// How many jars.
    pub(super) jars: u64,
    /// The connector classes that the service files list, with the major version of their class file (0 when it isn't there).
    pub(super) connectors: BTreeMap<String, u16>,
}

/// Reads an archive; `None` when it isn't one.
pub(super) fn read(bytes: &[u8], content_type: &str) -> Option<Contents> {
    let mut contents = Contents::default();
    if content_type == "JAR" {
        read_jar(bytes, &mut contents)?;
        return Some(contents);
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).ok()?;
    for index in 0..archive.len() {
        let Ok(mut entry) = archive.by_index(index) else { continue };
        if !entry.name().is_ok_and(|name| name.ends_with(".jar")) {
            continue;
        }
        let mut jar = Vec::new();
        if entry.read_to_end(&mut jar).is_ok() {
            // A broken jar is no reason to refuse the archive: Connect logs it and goes on.
            let _ = read_jar(&jar, &mut contents);
        }
    }
    Some(contents)
}

fn read_jar(bytes: &[u8], contents: &mut Contents) -> Option<()> {
    let mut jar = ZipArchive::new(Cursor::new(bytes)).ok()?;
    contents.jars += 1;
    for file in SERVICE_FILES {
        let Some(listed) = entry(&mut jar, file) else { continue };
        for line in String::from_utf8_lossy(&listed).lines() {
            let class = line.split('#').next().unwrap_or_default().trim();
            if class.is_empty() {
                continue;
            }
            let path = format!("{}.class", class.replace('.', "/"));
            let compiled = entry(&mut jar, &path).unwrap_or_default();
            // A class file begins with CAFEBABE, the minor and the major version, two bytes each after the magic.
            let major = match compiled.get(6..8) {
                Some(bytes) => u16::from_be_bytes([bytes[0], bytes[1]]),
                None => 0,
            };
            contents.connectors.insert(class.into(), major);
        }
    }
    Some(())
}

fn entry(jar: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> Option<Vec<u8>> {
    let mut found = jar.by_name(name).ok()?;
    let mut bytes = Vec::new();
    found.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Whether a jar of the archive has the class; Connect also finds classes that no service file lists.
pub(super) fn has_class(bytes: &[u8], content_type: &str, class: &str) -> bool {
    let path = format!("{}.class", class.replace('.', "/"));
    let holds = |jar: &[u8]| {
        ZipArchive::new(Cursor::new(jar)).is_ok_and(|jar| jar.index_for_name(&path).is_some())
    };
    if content_type == "JAR" {
        return holds(bytes);
    }
    let Ok(mut archive) = ZipArchive::new(Cursor::new(bytes)) else { return false };
    (0..archive.len()).any(|index| {
        let mut jar = Vec::new();
        archive.by_index(index).is_ok_and(|mut entry| {
            entry.name().is_ok_and(|name| name.ends_with(".jar"))
                && entry.read_to_end(&mut jar).is_ok()
        }) && holds(&jar)
    })
}
