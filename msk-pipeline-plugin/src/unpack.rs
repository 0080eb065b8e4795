//! Takes archives apart, trusting nothing in them.
//!
//! No name out of an archive ever becomes a path on this machine: contents go end to end into one spool file without a name, and names are only checked and
//! kept as text. Archives within archives stay what they are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

use crate::cache::Verified;
use crate::error::{ArchiveProblem, Error, Result};
use crate::part::Form;
use crate::repack::Slice;

/// How much is taken; beyond it an archive counts as a bomb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The size of one download or file.
    pub download: u64,
    /// The number of entries of one archive or jar.
    pub entries: usize,
    /// The unpacked size of one entry; at most 4 GiB.
    pub file: u64,
    /// The unpacked size of all parts together; at most 4 GiB.
    pub total: u64,
    /// How many times an archive's size it may unpack to; not counted below 16 MiB.
    pub ratio: u64,
}

/// Several times what the largest known connectors need.
impl Default for Limits {
    fn default() -> Self {
        Self { download: 1 << 30, entries: 20_000, file: 512 << 20, total: 2 << 30, ratio: 100 }
    }
}

/// Below this a ratio says nothing: text may well shrink to a hundredth.
const RATIO_FREE: u64 = 16 << 20;
/// The length of a name, as Linux limits a component; the whole may have some of them.
const NAME: usize = 255;
const PATH: usize = 1024;
/// What a tar's long name or PAX header may be; more would only fill the memory.
const TAR_EXTENSION: u64 = 64 << 10;

/// Everything that was unpacked so far.
pub(crate) struct Spool<'a> {
    file: File,
    len: u64,
    limits: &'a Limits,
    files: BTreeMap<String, (Slice, String)>,
}

impl<'a> Spool<'a> {
    pub(crate) fn new(file: File, limits: &'a Limits) -> Self {
        Self { file, len: 0, limits, files: BTreeMap::new() }
    }

    /// Adds one part: an archive's tree as it is, or in a folder named `stem` if it has files at its top; a jar in a folder named `stem`.
    pub(crate) fn add(
        &mut self,
        source: &str,
        form: Form,
        stem: &str,
        part: Verified,
    ) -> Result<()> {
        let mut tree = Tree {
            spool: self,
            source,
            archive_size: part.size,
            unpacked: 0,
            entries: 0,
            files: BTreeMap::new(),
            folders: Vec::new(),
        };
        match form {
            Form::Jar => tree.file(&format!("{stem}/{stem}.jar"), part.file)?,
            Form::Zip => tree.zip(part.file)?,
            Form::TarGz => tree.tar(MultiGzDecoder::new(BufReader::new(part.file)))?,
        }
        let (files, folders) = (std::mem::take(&mut tree.files), std::mem::take(&mut tree.folders));
        check_tree(&files, &folders).map_err(|p| Error::archive(source, p))?;
        // Kafka Connect takes each folder as one plugin; files at the top would each become one.
        let flat = files.keys().any(|path| !path.contains('/'));
        for (path, slice) in files {
            let path = if flat { format!("{stem}/{path}") } else { path };
            if let Some((_, other)) = self.files.get(&path) {
                return Err(Error::Conflict {
                    path,
                    first: other.clone(),
                    second: source.to_owned(),
                });
            }
            self.files.insert(path, (slice, source.to_owned()));
        }
        Ok(())
    }

    /// The files by their path in the ZIP, and the spool that has their contents.
    pub(crate) fn finish(self) -> Result<(BTreeMap<String, Slice>, File)> {
        for (path, (_, second)) in &self.files {
            for (at, _) in path.match_indices('/') {
                if let Some((_, first)) = self.files.get(&path[..at]) {
                    return Err(Error::Conflict {
                        path: path[..at].to_owned(),
                        first: first.clone(),
                        second: second.clone(),
                    });
                }
            }
        }
        Ok((self.files.into_iter().map(|(path, (slice, _))| (path, slice)).collect(), self.file))
    }
}

fn check_tree(
    files: &BTreeMap<String, Slice>,
    folders: &[String],
) -> std::result::Result<(), ArchiveProblem> {
    if files.is_empty() {
        return Err(ArchiveProblem::Empty);
    }
    let parents = files.keys().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at]));
    for folder in parents.chain(folders.iter().map(String::as_str)) {
        if files.contains_key(folder) {
            return Err(ArchiveProblem::FileAndFolder(folder.to_owned()));
        }
    }
    Ok(())
}

/// One part on its way into the spool.
struct Tree<'s, 'l> {
    spool: &'s mut Spool<'l>,
    source: &'s str,
    archive_size: u64,
    unpacked: u64,
    entries: usize,
    files: BTreeMap<String, Slice>,
    folders: Vec<String>,
}

impl Tree<'_, '_> {
    fn refuse(&self, problem: ArchiveProblem) -> Error {
        Error::archive(self.source, problem)
    }

    fn unreadable(&self) -> impl Fn(io::Error) -> Error + use<> {
        let source = self.source.to_owned();
        move |e| Error::archive(source.clone(), ArchiveProblem::Unreadable(e.to_string()))
    }

    fn count(&mut self) -> Result<()> {
        self.entries += 1;
        if self.entries > self.spool.limits.entries {
            return Err(self.refuse(ArchiveProblem::Entries(self.spool.limits.entries)));
        }
        Ok(())
    }

    fn zip(&mut self, file: File) -> Result<()> {
        let bad = |e: zip::result::ZipError| {
            Error::archive(self.source, ArchiveProblem::Unreadable(e.to_string()))
        };
        let mut zip = zip::ZipArchive::new(BufReader::new(file)).map_err(bad)?;
        // The crate's index has one entry for each name; it remembers that there were more.
        if zip.has_duplicate_names() {
            return Err(
                self.refuse(ArchiveProblem::Duplicate("(a name in the ZIP's directory)".into()))
            );
        }
        if zip.len() > self.spool.limits.entries {
            return Err(self.refuse(ArchiveProblem::Entries(self.spool.limits.entries)));
        }
        if zip.has_overlapping_entries().map_err(bad)? {
            return Err(self.refuse(ArchiveProblem::Overlap));
        }
        for index in 0..zip.len() {
            self.count()?;
            // Raw first: what is refused needn't be decoded.
            let entry = zip.by_index_raw(index).map_err(|e| {
                Error::archive(self.source, ArchiveProblem::Unreadable(e.to_string()))
            })?;
            let name = checked_name(entry.name_raw()).map_err(|p| self.refuse(p))?;
            let kind = entry.unix_mode().map_or(0, |mode| mode & 0o170_000);
            if !matches!(kind, 0 | 0o100_000 | 0o040_000) {
                let kind = if kind == 0o120_000 { "symbolic link" } else { "special file" };
                return Err(self.refuse(ArchiveProblem::Special { name, kind }));
            }
            if entry.encrypted() {
                return Err(self.refuse(ArchiveProblem::Encrypted(name)));
            }
            let folder = entry.name_raw().ends_with(b"/");
            drop(entry);
            if folder {
                self.folder(&name);
            } else {
                let entry = zip.by_index(index).map_err(|e| {
                    Error::archive(self.source, ArchiveProblem::Unreadable(e.to_string()))
                })?;
                self.file(&name, entry)?;
            }
        }
        Ok(())
    }

    /// Reads tar's own extensions for long names here: the crate would read them whole, however long they are.
    fn tar(&mut self, stream: impl Read) -> Result<()> {
        let unreadable = self.unreadable();
        let budget =
            self.spool.limits.total.saturating_add(self.spool.limits.entries as u64 * 2048);
        let mut archive = tar::Archive::new(stream.take(budget));
        let mut long_name: Option<Vec<u8>> = None;
        for entry in archive.entries().map_err(&unreadable)?.raw(true) {
            let mut entry = entry.map_err(&unreadable)?;
            let kind = entry.header().entry_type();
            self.count()?;
            if matches!(kind, EntryType::GNULongName | EntryType::XHeader) {
                if entry.size() > TAR_EXTENSION {
                    return Err(self.refuse(ArchiveProblem::Header(entry.size())));
                }
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(&unreadable)?;
                if kind == EntryType::GNULongName {
                    bytes.truncate(bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len()));
                    long_name = Some(bytes);
                } else {
                    for record in tar::PaxExtensions::new(&bytes) {
                        let record = record.map_err(&unreadable)?;
                        match record.key_bytes() {
                            b"path" => long_name = Some(record.value_bytes().to_vec()),
                            // Both would give the entry another length than its header says.
                            b"size" => {
                                return Err(self.refuse(ArchiveProblem::Unreadable(
                                    "a PAX header overrides a size".into(),
                                )));
                            }
                            key if key.starts_with(b"GNU.sparse") => {
                                return Err(self.refuse(ArchiveProblem::Special {
                                    name: "(a PAX header)".into(),
                                    kind: "sparse file",
                                }));
                            }
                            _ => {}
                        }
                    }
                }
                continue;
            }
            // A comment for the whole archive, as git writes one.
            if kind == EntryType::XGlobalHeader {
                continue;
            }
            let raw = long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
            let name = checked_name(&raw).map_err(|p| self.refuse(p))?;
            let special = match kind {
                // Old tars have no type for a folder, only the slash.
                EntryType::Regular | EntryType::Continuous if !raw.ends_with(b"/") => {
                    self.file(&name, entry)?;
                    continue;
                }
                EntryType::Directory | EntryType::Regular => {
                    self.folder(&name);
                    continue;
                }
                EntryType::Link => "hard link",
                EntryType::Symlink | EntryType::GNULongLink => "symbolic link",
                EntryType::Char | EntryType::Block => "device",
                EntryType::Fifo => "pipe",
                EntryType::GNUSparse => "sparse file",
                _ => "special file",
            };
            return Err(self.refuse(ArchiveProblem::Special { name, kind: special }));
        }
        Ok(())
    }

    fn folder(&mut self, name: &str) {
        // `./` is the top itself.
        if !name.is_empty() {
            self.folders.push(name.to_owned());
        }
    }

    fn file(&mut self, name: &str, mut content: impl Read) -> Result<()> {
        let limits = *self.spool.limits;
        if name.is_empty() {
            return Err(self.refuse(ArchiveProblem::Name(name.to_owned())));
        }
        if self.files.contains_key(name) {
            return Err(self.refuse(ArchiveProblem::Duplicate(name.to_owned())));
        }
        let (offset, mut crc, mut size) = (self.spool.len, crc32fast::Hasher::new(), 0_u64);
        let mut buffer = vec![0; 64 << 10];
        // What a header claims is never believed: the bytes are counted as they come.
        loop {
            let n = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.unreadable()(e)),
            };
            size += n as u64;
            self.unpacked += n as u64;
            self.spool.len += n as u64;
            if size > limits.file.min(u64::from(u32::MAX)) {
                return Err(
                    self.refuse(ArchiveProblem::File { name: name.to_owned(), limit: limits.file })
                );
            }
            if self.spool.len > limits.total {
                return Err(self.refuse(ArchiveProblem::Total(limits.total)));
            }
            if self.unpacked > RATIO_FREE && self.unpacked / limits.ratio.max(1) > self.archive_size
            {
                return Err(self.refuse(ArchiveProblem::Ratio(limits.ratio)));
            }
            crc.update(&buffer[..n]);
            self.spool
                .file
                .write_all(&buffer[..n])
                .map_err(Error::io("write", "the spool file"))?;
        }
        let size = u32::try_from(size).expect("checked against its maximum above");
        self.files.insert(name.to_owned(), Slice { offset, size, crc32: crc.finalize() });
        Ok(())
    }
}

/// The name without `./` before and `/` after it, if it is one that means the same inside a folder on every system.
fn checked_name(raw: &[u8]) -> std::result::Result<String, ArchiveProblem> {
    let Ok(name) = std::str::from_utf8(raw) else {
        return Err(ArchiveProblem::NotUtf8(String::from_utf8_lossy(raw).into_owned()));
    };
    let shown: String = name.chars().take(200).flat_map(char::escape_debug).collect();
    let drive = name.as_bytes().get(1) == Some(&b':')
        && name.starts_with(|c: char| c.is_ascii_alphabetic());
    if name.starts_with(['/', '\\']) || drive || name.split(['/', '\\']).any(|c| c == "..") {
        return Err(ArchiveProblem::Traversal(shown));
    }
    let name = name.trim_start_matches("./");
    let name = if name == "." { "" } else { name.strip_suffix('/').unwrap_or(name) };
    let odd = |c: &str| c.is_empty() || c == "." || c.len() > NAME;
    if name.len() > PATH
        || name.chars().any(|c| c == '\\' || c.is_control())
        || (!name.is_empty() && name.split('/').any(odd))
    {
        return Err(ArchiveProblem::Name(shown));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Seek as _;

    use super::*;
    use crate::digest::Sha256;
    use crate::testkit::{evil_zip, tar_gz, zip};

    const FILE: u32 = 0o100_644;

    fn verified(bytes: &[u8]) -> Verified {
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(bytes).expect("write");
        file.rewind().expect("rewind");
        Verified { file, sha256: Sha256::of(bytes), size: bytes.len() as u64 }
    }

    fn unpacked(parts: &[(&str, Form, &[u8])], limits: &Limits) -> Result<Vec<String>> {
        let mut spool = Spool::new(tempfile::tempfile().expect("temporary file"), limits);
        for (name, form, bytes) in parts {
            spool.add(name, *form, name, verified(bytes))?;
        }
        Ok(spool.finish()?.0.into_keys().collect())
    }

    #[track_caller]
    fn refused(form: Form, bytes: &[u8]) -> ArchiveProblem {
        match unpacked(&[("x", form, bytes)], &Limits::default()) {
            Err(Error::Archive { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_that_leave_or_differ_are_refused_in_both_formats() {
        let long = "a/".repeat(600);
        for (name, traversal) in [
            ("../evil", true),
            ("a/../../evil", true),
            ("/etc/evil", true),
            ("C:/evil", true),
            ("C:evil", true),
            ("..\\evil", true),
            ("\\\\host\\evil", true),
            ("a\\evil", false),
            ("a//evil", false),
            ("a/./evil", false),
            ("a/\u{1}evil", false),
            (&long, false),
        ] {
            let check = |problem: ArchiveProblem| match problem {
                ArchiveProblem::Traversal(_) => assert!(traversal, "{name}"),
                ArchiveProblem::Name(_) => assert!(!traversal, "{name}"),
                other => panic!("{name}: {other}"),
            };
            check(refused(Form::Zip, &evil_zip(&[(name.as_bytes(), FILE, b"x")])));
            if name.len() <= 100 {
                check(refused(Form::TarGz, &tar_gz(&[(name.as_bytes(), b'0', b"x")])));
            }
            // By way of a long name, GNU's and PAX's.
            let gnu: [(&[u8], u8, &[u8]); 2] =
                [(b"long", b'L', name.as_bytes()), (b"short", b'0', b"x")];
            check(refused(Form::TarGz, &tar_gz(&gnu)));
            let record = |len: usize| format!("{len} path={name}\n");
            let len = (name.len()..name.len() + 20)
                .find(|&len| record(len).len() == len)
                .expect("some length fits");
            let record = record(len);
            let pax: [(&[u8], u8, &[u8]); 2] =
                [(b"pax", b'x', record.as_bytes()), (b"short", b'0', b"x")];
            check(refused(Form::TarGz, &tar_gz(&pax)));
        }
        let raw: &[u8] = b"a/\xff";
        assert!(matches!(
            refused(Form::Zip, &evil_zip(&[(raw, FILE, b"x")])),
            ArchiveProblem::NotUtf8(_)
        ));
        assert!(matches!(
            refused(Form::TarGz, &tar_gz(&[(raw, b'0', b"x")])),
            ArchiveProblem::NotUtf8(_)
        ));
    }

    #[test]
    fn links_devices_and_pipes_are_refused() {
        for (kind, said) in [
            (b'1', "hard link"),
            (b'2', "symbolic link"),
            (b'3', "device"),
            (b'4', "device"),
            (b'6', "pipe"),
            (b'S', "sparse file"),
        ] {
            match refused(Form::TarGz, &tar_gz(&[(b"a/x", kind, b"")])) {
                ArchiveProblem::Special { kind, .. } => assert_eq!(kind, said),
                other => panic!("{said}: {other}"),
            }
        }
        for (mode, said) in
            [(0o120_777, "symbolic link"), (0o020_644, "special file"), (0o010_644, "special file")]
        {
            match refused(Form::Zip, &evil_zip(&[(b"a/x", mode, b"/etc/passwd")])) {
                ArchiveProblem::Special { kind, .. } => assert_eq!(kind, said),
                other => panic!("{said}: {other}"),
            }
        }
    }

    #[test]
    fn a_path_that_is_there_twice_is_refused() {
        let twice: [(&[u8], u32, &[u8]); 2] = [(b"a/x", FILE, b"1"), (b"a/x", FILE, b"2")];
        assert!(matches!(refused(Form::Zip, &evil_zip(&twice)), ArchiveProblem::Duplicate(_)));
        assert!(
            matches!(refused(Form::TarGz, &tar_gz(&[(b"a/x", b'0', b"1"), (b"./a/x", b'0', b"2")])), ArchiveProblem::Duplicate(n) if n == "a/x")
        );
        assert!(
            matches!(refused(Form::TarGz, &tar_gz(&[(b"a", b'0', b"1"), (b"a/x", b'0', b"2")])), ArchiveProblem::FileAndFolder(n) if n == "a")
        );
        assert!(matches!(
            refused(Form::TarGz, &tar_gz(&[(b"b/a", b'0', b"1"), (b"b/a/", b'5', b"")])),
            ArchiveProblem::FileAndFolder(_)
        ));
        let (one, two) = (tar_gz(&[(b"a/x", b'0', b"1")]), tar_gz(&[(b"a/x", b'0', b"1")]));
        let error =
            unpacked(&[("one", Form::TarGz, &one), ("two", Form::TarGz, &two)], &Limits::default())
                .expect_err("both have it");
        assert_eq!(error.to_string(), "`a/x` is in two parts: `one` and `two`");
    }

    #[test]
    fn bombs_are_stopped_while_they_unpack() {
        let zeros = vec![0; 20 << 20];
        assert_eq!(
            refused(Form::TarGz, &tar_gz(&[(b"a/x", b'0', &zeros)])),
            ArchiveProblem::Ratio(100)
        );
        assert_eq!(refused(Form::Zip, &zip(&[("a/x", zeros)])), ArchiveProblem::Ratio(100));
        let entries: [(&[u8], u8, &[u8]); 3] =
            [(b"a/1", b'0', b"12345"), (b"a/2", b'0', b"12345"), (b"a/3", b'0', b"12345")];
        let three = tar_gz(&entries);
        let with = |limits: Limits| match unpacked(&[("x", Form::TarGz, &three)], &limits) {
            Err(Error::Archive { problem, .. }) => Some(problem),
            Ok(_) => None,
            other => panic!("{other:?}"),
        };
        let limits = Limits { entries: 3, file: 5, total: 15, ..Limits::default() };
        assert_eq!(with(limits), None);
        assert_eq!(with(Limits { entries: 2, ..limits }), Some(ArchiveProblem::Entries(2)));
        assert_eq!(
            with(Limits { file: 4, ..limits }),
            Some(ArchiveProblem::File { name: "a/1".into(), limit: 4 })
        );
        assert_eq!(with(Limits { total: 14, ..limits }), Some(ArchiveProblem::Total(14)));
        // Headers that would only fill the memory.
        for (kind, content) in [
            (b'L', vec![b'a'; 1 << 20]),
            (b'x', [b"1048576 comment=".as_slice(), &vec![b'a'; 1_048_559], b"\n"].concat()),
        ] {
            let bytes = tar_gz(&[(b"l", kind, &content), (b"a/x", b'0', b"")]);
            assert_eq!(refused(Form::TarGz, &bytes), ArchiveProblem::Header(1 << 20));
        }
        // Two entries over the same bytes: the directory's second record points at the first file.
        let mut overlap = evil_zip(&[(b"a/1", FILE, b"12345"), (b"a/2", FILE, b"12345")]);
        let second = overlap.windows(4).rposition(|w| w == b"PK\x01\x02").expect("a directory");
        overlap[second + 42..second + 46].fill(0);
        assert!(matches!(
            refused(Form::Zip, &overlap),
            ArchiveProblem::Overlap | ArchiveProblem::Unreadable(_)
        ));
    }

    #[test]
    fn damaged_and_empty_archives_are_refused() {
        let good = tar_gz(&[(b"a/x", b'0', b"hello")]);
        for (form, bytes) in [
            (Form::TarGz, &good[..good.len() / 2]),
            (Form::TarGz, b"PK"),
            (Form::Zip, &good[..]),
            (Form::Zip, b""),
        ] {
            assert!(matches!(refused(form, bytes), ArchiveProblem::Unreadable(_)));
        }
        let mut zip = evil_zip(&[(b"a/x", FILE, b"hello")]);
        let at = zip.windows(5).position(|w| w == b"hello").expect("stored");
        zip[at] = b'j';
        assert!(
            matches!(refused(Form::Zip, &zip), ArchiveProblem::Unreadable(_)),
            "its checksum doesn't fit"
        );
        let mut zip = evil_zip(&[(b"a/x", FILE, b"hello")]);
        let directory = zip.windows(4).position(|w| w == b"PK\x01\x02").expect("a directory");
        (zip[6], zip[directory + 8]) = (1, 1);
        assert_eq!(refused(Form::Zip, &zip), ArchiveProblem::Encrypted("a/x".into()));
        assert_eq!(refused(Form::TarGz, &tar_gz(&[(b"a/", b'5', b"")])), ArchiveProblem::Empty);
    }

    #[test]
    fn trees_keep_their_folder_and_loose_files_get_one() {
        let tree: [(&[u8], u8, &[u8]); 4] = [
            (b"./", b'5', b""),
            (b"./dbz/", b'5', b""),
            (b"./dbz/a.jar", b'0', b"1"),
            (b"dbz/LICENSE", b'0', b"2"),
        ];
        let flat = zip(&[
            ("b.jar", b"1".to_vec()),
            ("doc/README.md", b"2".to_vec()),
            ("inner.zip", b"PK".to_vec()),
        ]);
        let names = unpacked(
            &[
                ("t", Form::TarGz, &tar_gz(&tree)),
                ("flat-1", Form::Zip, &flat),
                ("smt-2", Form::Jar, b"PK"),
            ],
            &Limits::default(),
        );
        assert_eq!(
            names.expect("fine"),
            [
                "dbz/LICENSE",
                "dbz/a.jar",
                "flat-1/b.jar",
                "flat-1/doc/README.md",
                "flat-1/inner.zip",
                "smt-2/smt-2.jar"
            ]
        );
    }
}
