//! A worker's log on its way to `CloudWatch`, in MSK Connect's format (handbook msk.md §7.6): every line behind the worker's name, stack
//! traces too. What Connect writes behind it is its own format, which is MSK Connect's as well.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

/// Lines of one event at most, so that a look at the world stays short.
const BATCH: usize = 2_000;

/// Reads a log as it grows.
#[derive(Debug)]
pub(crate) struct Tail {
    path: PathBuf,
    offset: u64,
    /// What came without its end of line.
    rest: Vec<u8>,
    prefix: String,
}

impl Tail {
    /// From the present end of a log on; `worker` has seventeen hexadecimal digits.
    pub(crate) fn new(path: PathBuf, worker: &str) -> Self {
        let offset = path.metadata().map_or(0, |m| m.len());
        Self { path, offset, rest: Vec::new(), prefix: format!("[Worker-{worker}]") }
    }

    /// The whole lines that came since the last call.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let mut bytes = std::mem::take(&mut self.rest);
        let mut read = || -> std::io::Result<u64> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.offset))?;
            Ok(u64::try_from(file.take(4 << 20).read_to_end(&mut bytes)?).unwrap_or_default())
        };
        // A log that can't be read now is read later.
        self.offset += read().unwrap_or_default();
        let mut lines = Vec::new();
        let mut from = 0;
        while let Some(len) = bytes[from..].iter().position(|b| *b == b'\n') {
            if lines.len() == BATCH {
                break;
            }
            let line = String::from_utf8_lossy(&bytes[from..from + len]);
            lines.push(format!("{} {}", self.prefix, line.trim_end_matches('\r')));
            from += len + 1;
        }
        self.rest = bytes.split_off(from);
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn whole_lines_come_once_and_in_msk_connect_s_format() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        std::fs::write(&path, "of an earlier worker\n").expect("written");
        let mut tail = Tail::new(path.clone(), "0123456789abcdef0");
        let mut file = File::options().append(true).open(&path).expect("opened");
        let mut write = |text: &str| file.write_all(text.as_bytes()).expect("written");
        assert_eq!(tail.lines(), [""; 0]);
        write("[2026-01-01 00:00:00,000] ERROR [c|task-0] it failed (a.B:7)\njava.lang.Ex");
        let first = "[Worker-0123456789abcdef0] [2026-01-01 00:00:00,000] ERROR [c|task-0] it failed (a.B:7)";
        assert_eq!(tail.lines(), [first]);
        write("ception: no\n\tat a.B\n");
        assert_eq!(
            tail.lines(),
            [
                "[Worker-0123456789abcdef0] java.lang.Exception: no",
                "[Worker-0123456789abcdef0] \tat a.B"
            ]
        );
        assert_eq!(tail.lines(), [""; 0]);
    }
}
