//! Writes the ZIP. Its bytes are a promise: the name of an uploaded plugin is their digest, and other bytes mean another plugin and a restarted connector.
//!
//! So the entries are sorted and *stored*: no compressor's version or processor shows in them (jars are compressed already; for Debezium it costs a
//! tenth of the size), and the few records that an uncompressed ZIP needs are written here rather than by a crate that may change its mind about an optional field.
//! Folders have entries of their own, for extractors that make none; the time is the format's first.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// A file in the spool: everything that is unpacked lies there end to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) offset: u64,
    pub(crate) size: u32,
    pub(crate) crc32: u32,
}

/// Raised whenever the same files would give other bytes; part of the package key.
pub(crate) const FORMAT: u32 = 1;

/// 1980-01-01 00:00:00 in MS-DOS's packing.
const DATE: u16 = 1 << 5 | 1;

/// Writes the files in the order of their names, with the folders that they are in.
///
/// The limits that [`crate::unpack`] enforces keep every number within what a ZIP without the 64-bit extension can hold; [`io::ErrorKind::FileTooLarge`] otherwise.
pub(crate) fn write(
    files: &BTreeMap<String, Slice>,
    spool: &mut (impl Read + Seek),
    out: &mut impl Write,
) -> io::Result<()> {
    let mut entries: BTreeMap<&str, Option<Slice>> = BTreeMap::new();
    for (path, slice) in files {
        entries.extend(path.match_indices('/').map(|(at, _)| (&path[..=at], None)));
        entries.insert(path, Some(*slice));
    }
    let too_large = || io::Error::from(io::ErrorKind::FileTooLarge);
    let count = u16::try_from(entries.len()).map_err(|_| too_large())?;
    let (mut offset, mut directory) = (0_u64, Vec::new());
    for (name, slice) in &entries {
        let Slice { size, crc32, .. } = slice.unwrap_or(Slice { offset: 0, size: 0, crc32: 0 });
        let mut common = Vec::with_capacity(26);
        common.extend(10_u16.to_le_bytes()); // version needed: 1.0, as a stored entry needs no more
        common.extend(if name.is_ascii() { [0, 0] } else { (1_u16 << 11).to_le_bytes() }); // flags: the name is UTF-8
        common.extend([0, 0]); // method: stored
        common.extend([0, 0]); // time
        common.extend(DATE.to_le_bytes());
        common.extend(crc32.to_le_bytes());
        common.extend(size.to_le_bytes()); // compressed
        common.extend(size.to_le_bytes());
        common.extend(u16::try_from(name.len()).map_err(|_| too_large())?.to_le_bytes());
        common.extend([0, 0]); // no extra field

        let start = u32::try_from(offset).map_err(|_| too_large())?;
        out.write_all(b"PK\x03\x04")?;
        out.write_all(&common)?;
        out.write_all(name.as_bytes())?;
        if let Some(slice) = slice {
            spool.seek(SeekFrom::Start(slice.offset))?;
            let copied = io::copy(&mut Read::take(&mut *spool, u64::from(slice.size)), out)?;
            if copied != u64::from(slice.size) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        offset += 4 + 26 + name.len() as u64 + u64::from(size);

        directory.extend(b"PK\x01\x02");
        directory.extend((0x030a_u16).to_le_bytes()); // made by: Unix, so that the mode below counts
        directory.extend(&common);
        directory.extend([0; 6]); // no comment, first disk, no internal attributes
        let mode: u32 = if slice.is_some() { 0o100_644 << 16 } else { 0o040_755 << 16 | 0x10 };
        directory.extend(mode.to_le_bytes());
        directory.extend(start.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    out.write_all(&directory)?;
    out.write_all(b"PK\x05\x06\0\0\0\0")?;
    out.write_all(&count.to_le_bytes())?;
    out.write_all(&count.to_le_bytes())?;
    out.write_all(&u32::try_from(directory.len()).map_err(|_| too_large())?.to_le_bytes())?;
    out.write_all(&u32::try_from(offset).map_err(|_| too_large())?.to_le_bytes())?;
    out.write_all(&[0, 0]) // no comment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256;

    fn sample() -> Vec<u8> {
        let (mut spool, mut files) = (Vec::new(), BTreeMap::new());
        for (name, content) in
            [("b/z.txt", "last"), ("b/ä.txt", "umlaut"), ("a.jar", ""), ("b/c/d.md", "deep")]
        {
            let slice = Slice {
                offset: spool.len() as u64,
                size: u32::try_from(content.len()).expect("small"),
                crc32: crc32fast::hash(content.as_bytes()),
            };
            files.insert(name.to_owned(), slice);
            spool.extend(content.as_bytes());
        }
        let mut zip = Vec::new();
        write(&files, &mut io::Cursor::new(spool), &mut zip).expect("write");
        zip
    }

    #[test]
    fn the_bytes_of_a_format_never_change() {
        // If this fails, raise FORMAT: every uploaded plugin gets another name.
        assert_eq!(FORMAT, 1);
        assert_eq!(
            Sha256::of(sample()).to_string(),
            "7de0690ae50d2d829ffaf09a0ec4d94519c1e59438864e20d6680b3dcdfd0625"
        );
    }

    #[test]
    fn another_reader_finds_the_same_files() {
        let mut zip = zip::ZipArchive::new(io::Cursor::new(sample())).expect("a ZIP");
        zip.validate_header_consistency().expect("local headers say what the directory says");
        let mut seen = Vec::new();
        for i in 0..zip.len() {
            let mut entry = zip.by_index(i).expect("entry");
            assert_eq!(
                (entry.compression(), entry.extra_data()),
                (zip::CompressionMethod::Stored, None)
            );
            let mut content = String::new();
            entry.read_to_string(&mut content).expect("its checksum fits");
            seen.push((entry.name().expect("UTF-8").into_owned(), content));
        }
        let seen: Vec<_> = seen.iter().map(|(n, c)| (n.as_str(), c.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("a.jar", ""),
                ("b/", ""),
                ("b/c/", ""),
                ("b/c/d.md", "deep"),
                ("b/z.txt", "last"),
                ("b/ä.txt", "umlaut")
            ]
        );
    }
}
