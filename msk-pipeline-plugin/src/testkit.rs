//! What the tests share: folders, archives built byte by byte where a library would refuse, and a repository on this machine.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Cursor, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The head of a class file.
pub(crate) fn class(major: u16) -> Vec<u8> {
    [&[0xca, 0xfe, 0xba, 0xbe, 0, 0][..], &major.to_be_bytes()].concat()
}

/// A well-behaved ZIP, compressed.
pub(crate) fn zip(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated);
        writer.start_file(name.to_string(), options).expect("entry");
        writer.write_all(content).expect("write");
    }
    writer.finish().expect("finish").into_inner()
}

/// A ZIP that says whatever it is told: name, Unix mode, content.
pub(crate) fn evil_zip(entries: &[(&[u8], u32, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for &(name, mode, content) in entries {
        let size = u32::try_from(content.len()).expect("small").to_le_bytes();
        let name_len = u16::try_from(name.len()).expect("short").to_le_bytes();
        let common = [
            &[10, 0, 0, 8, 0, 0, 0, 0, 33, 0][..],
            &crc32fast::hash(content).to_le_bytes(),
            &size,
            &size,
            &name_len,
            &[0, 0],
        ]
        .concat();
        let start = u32::try_from(out.len()).expect("small").to_le_bytes();
        directory.extend(
            [
                b"PK\x01\x02\x0a\x03",
                &common[..],
                &[0; 6],
                &(mode << 16).to_le_bytes(),
                &start,
                name,
            ]
            .concat(),
        );
        out.extend([b"PK\x03\x04", &common[..], name, content].concat());
    }
    let count = u16::try_from(entries.len()).expect("few").to_le_bytes();
    let (len, start) = (
        u32::try_from(directory.len()).expect("small").to_le_bytes(),
        u32::try_from(out.len()).expect("small").to_le_bytes(),
    );
    out.extend(directory);
    out.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count, &len, &start, &[0, 0]].concat());
    out
}

/// A tar.gz that says whatever it is told: name, type, content.
pub(crate) fn tar_gz(entries: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    for &(name, kind, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        header.set_cksum();
        tar.extend(header.as_bytes());
        tar.extend(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&tar).expect("write");
    gz.finish().expect("finish")
}

/// A Maven repository on the loopback interface, until the process ends.
pub(crate) struct Repository {
    pub(crate) url: String,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Repository {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (files, asked) = (
            Arc::new(Mutex::new(BTreeMap::<String, Vec<u8>>::new())),
            Arc::new(Mutex::new(Vec::new())),
        );
        let (served, log) = (Arc::clone(&files), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let lines = BufReader::new(&stream)
                    .lines()
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty());
                let head: Vec<String> = lines.collect();
                let path = head
                    .first()
                    .and_then(|line| line.split(' ').nth(1))
                    .unwrap_or_default()
                    .to_owned();
                let body = served.lock().expect("not poisoned").get(&path).cloned();
                log.lock().expect("not poisoned").push(path);
                let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
                let body = body.unwrap_or_default();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(&body);
            }
        });
        Self { url, files, asked }
    }

    pub(crate) fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.files.lock().expect("not poisoned").insert(path.to_owned(), content.into());
    }

    pub(crate) fn remove(&self, path: &str) {
        self.files.lock().expect("not poisoned").remove(path);
    }

    /// What was asked for since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("not poisoned"))
    }
}
