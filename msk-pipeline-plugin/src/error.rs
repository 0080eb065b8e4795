//! What can go wrong between a part and a package, each with what to do about it.

use std::io;
use std::path::PathBuf;

use crate::digest::Sha256;
use crate::part::ParsePartError;

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a plugin couldn't be packed. The text says what went wrong, [`Error::help`] what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An empty list.
    #[error("a plugin needs at least one part")]
    NoParts,
    /// A part that was built by hand isn't one.
    #[error("the plugin part can't be used")]
    Part(#[from] ParsePartError),
    /// The same source twice.
    #[error("the part `{part}` is listed twice")]
    RepeatedPart {
        /// Its source string.
        part: String,
    },
    /// Something has to be fetched, and nothing may be.
    #[error("offline, and not in the cache: {}", parts.join(", "))]
    Offline {
        /// Source strings.
        parts: Vec<String>,
    },
    /// Something has to be recorded, and nothing may be.
    #[error("not in the lock file `{}`: {}", lock.display(), parts.join(", "))]
    NotLocked {
        /// The lock file.
        lock: PathBuf,
        /// Source strings.
        parts: Vec<String>,
    },
    /// A recorded or written digest isn't that of the bytes.
    #[error("`{part}` is not what {by} says: expected sha256 {expected}, got {got}")]
    DigestMismatch {
        /// Its source string.
        part: String,
        /// Who expected: the lock file or the pipeline's own text.
        by: Expectation,
        /// What it should have been.
        expected: Sha256,
        /// What it is.
        got: Sha256,
    },
    /// The download isn't what the repository's own checksum says.
    #[error(
        "the download of `{part}` doesn't match the repository's own {algorithm}: expected {expected}, got {got}"
    )]
    ChecksumMismatch {
        /// Its source string.
        part: String,
        /// The checksum's file extension.
        algorithm: &'static str,
        /// What the repository publishes.
        expected: String,
        /// What came.
        got: String,
    },
    /// The repository has the artefact, and no checksum of it.
    #[error("the repository publishes no checksum for `{part}`")]
    ChecksumMissing {
        /// Its source string.
        part: String,
    },
    /// Answered with 404 or 410.
    #[error("`{part}` is not at {url}")]
    NotFound {
        /// Its source string.
        part: String,
        /// Where it was looked for.
        url: String,
    },
    /// Answered with another status.
    #[error("fetching {url} was answered with HTTP status {status}")]
    Status {
        /// Where.
        url: String,
        /// What.
        status: u16,
    },
    /// An unencrypted address, for something whose digest isn't known yet.
    #[error(
        "`{part}` would be fetched without encryption from {url}, and nothing says yet what must come"
    )]
    Unencrypted {
        /// Its source string.
        part: String,
        /// Where.
        url: String,
    },
    /// No answer.
    #[error("fetching {url} failed: {message}")]
    Http {
        /// Where.
        url: String,
        /// What the client says.
        message: String,
    },
    /// The system has no usable root certificate.
    #[error("no root certificate found on this machine")]
    NoRootCertificates,
    /// More bytes than [`crate::Limits::download`].
    #[error("`{part}` is larger than {limit} bytes")]
    TooLarge {
        /// Its source string.
        part: String,
        /// The limit.
        limit: u64,
    },
    /// A mirror of `central` is marked as blocked, or its address can't be used.
    #[error("the mirror `{id}` of Maven's settings in `{}` can't be used: {problem}", path.display())]
    Mirror {
        /// The settings file.
        path: PathBuf,
        /// The mirror's id.
        id: String,
        /// Why.
        problem: String,
    },
    /// The settings file isn't XML.
    #[error("Maven's settings in `{}` can't be read: {message}", path.display())]
    Settings {
        /// The settings file.
        path: PathBuf,
        /// What the parser says.
        message: String,
    },
    /// The repository's address isn't one.
    #[error("`{0}` is not the address of a Maven repository")]
    Repository(String),
    /// The lock file isn't one.
    #[error("the lock file `{}` can't be read: {message}", path.display())]
    LockSyntax {
        /// The lock file.
        path: PathBuf,
        /// What the parser says.
        message: String,
    },
    /// Written by a newer version.
    #[error("the lock file `{}` has version {found}, and this program knows versions up to {known}", path.display())]
    LockVersion {
        /// The lock file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest known one.
        known: u32,
    },
    /// The same parts gave other bytes than the lock file records.
    #[error("packing the recorded parts gave sha256 {got}, and the lock file says {expected}")]
    PackageMismatch {
        /// From the lock file.
        expected: Sha256,
        /// Of the ZIP just made.
        got: Sha256,
    },
    /// An archive that can't or mustn't be unpacked.
    #[error("the archive `{archive}` is refused: {problem}")]
    Archive {
        /// Its source string or path.
        archive: String,
        /// Why.
        problem: ArchiveProblem,
    },
    /// Two parts bring the same path.
    #[error("`{path}` is in two parts: `{first}` and `{second}`")]
    Conflict {
        /// The path in the ZIP.
        path: String,
        /// A source string.
        first: String,
        /// The other one.
        second: String,
    },
    /// The operating system said no.
    #[error("can't {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Who said what the bytes must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expectation {
    /// The lock file.
    Lock,
    /// `sha256` beside `url` or `file`.
    Written,
}

impl std::fmt::Display for Expectation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lock => "the lock file",
            Self::Written => "its `sha256`",
        })
    }
}

/// Why an archive is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveProblem {
    /// Not in the format that its name promises, or damaged.
    #[error("it can't be read ({0})")]
    Unreadable(String),
    /// An absolute path, a drive, or `..`.
    #[error("the entry `{0}` would leave the folder it is unpacked to")]
    Traversal(String),
    /// A name with a backslash, a control character, an empty or an over-long component.
    #[error("the entry `{0}` has a name that isn't the same on every system")]
    Name(String),
    /// A name that isn't UTF-8.
    #[error("the entry `{0}` has a name that isn't UTF-8")]
    NotUtf8(String),
    /// A link, device, pipe or sparse file.
    #[error("the entry `{name}` is a {kind}, and only files and folders are taken")]
    Special {
        /// The entry.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// The same path twice.
    #[error("the entry `{0}` is there twice")]
    Duplicate(String),
    /// A file where another entry needs a folder.
    #[error("`{0}` is both a file and a folder")]
    FileAndFolder(String),
    /// Encrypted.
    #[error("the entry `{0}` is encrypted")]
    Encrypted(String),
    /// Several entries share their bytes.
    #[error("its entries overlap, which only a bomb does")]
    Overlap,
    /// Over [`crate::Limits::entries`].
    #[error("it has more than {0} entries")]
    Entries(usize),
    /// Over [`crate::Limits::file`].
    #[error("the entry `{name}` is larger than {limit} bytes")]
    File {
        /// The entry.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// Over [`crate::Limits::total`].
    #[error("it unpacks to more than {0} bytes")]
    Total(u64),
    /// Over [`crate::Limits::ratio`].
    #[error("it unpacks to more than {0} times its size")]
    Ratio(u64),
    /// A tar's long name or PAX header of many bytes.
    #[error("it has an extended header of {0} bytes")]
    Header(u64),
    /// No file in it.
    #[error("it has no file in it")]
    Empty,
}

impl Error {
    /// Says what to do next, as a sentence.
    pub fn help(&self) -> String {
        match self {
            Self::NoParts => "Name the connector's plugin, for example { maven = \"io.debezium:debezium-connector-mysql:2.7.4.Final\" }.".into(),
            Self::Part(_) => "Correct the part as the message says.".into(),
            Self::RepeatedPart { .. } => "Remove one of the two.".into(),
            Self::Offline { .. } => "Run it once with network access; the cache then has what is needed.".into(),
            Self::NotLocked { .. } => "Run it once without the demand that everything be locked, and commit the lock file.".into(),
            Self::DigestMismatch { part, by: Expectation::Lock, .. } => format!(
                "Its source now serves other bytes under the same name. Find out why before you trust them; to accept them, delete the entry `{part}` \
                 from the lock file and run again."
            ),
            Self::DigestMismatch { by: Expectation::Written, .. } => {
                "Compare with the digest that its publisher gives, and correct `sha256` only if that one changed.".into()
            }
            Self::ChecksumMismatch { .. } => "The download was damaged or altered on its way: try again, or try another mirror.".into(),
            Self::ChecksumMissing { .. } => {
                "Give the part as { url = \"…\", sha256 = \"…\" } instead, with a digest from its publisher, or use a repository that has checksums.".into()
            }
            Self::NotFound { part, .. } if part.starts_with("maven:io.debezium:debezium-connector-") => {
                "Check the version: not every Debezium connector exists in every release (SQL Server and Oracle end at 2.7.3.Final in the 2.7 line).".into()
            }
            Self::NotFound { part, .. } if part.starts_with("maven:") => {
                "Check the coordinates and that the repository has them; MSKP_MAVEN_REPOSITORY and the mirrors of Maven's settings.xml choose it.".into()
            }
            Self::NotFound { .. } => "Check the address.".into(),
            Self::Status { status: 401 | 403 | 407, .. } => {
                "The server wants a login, which isn't supported here: put the file into a repository without one, or give it as { file = \"…\" }.".into()
            }
            Self::Status { .. } => "Try again later, or use another mirror by MSKP_MAVEN_REPOSITORY.".into(),
            Self::Unencrypted { .. } => "Use an https:// address, or fetch it once over https so that the lock file has its digest.".into(),
            Self::Http { .. } => "Check the network, HTTPS_PROXY and the machine's root certificates, then try again.".into(),
            Self::NoRootCertificates => "Install the system's CA certificates, or name a file with them in SSL_CERT_FILE.".into(),
            Self::TooLarge { .. } => "Check that it is the plugin you mean; raise the limit if it is.".into(),
            Self::Mirror { .. } => "Correct the mirror, or set MSKP_MAVEN_REPOSITORY, which comes first.".into(),
            Self::Settings { .. } => "Correct the file, or set MSKP_MAVEN_REPOSITORY, which comes first.".into(),
            Self::Repository(_) => "Give an https:// address in MSKP_MAVEN_REPOSITORY, or unset it.".into(),
            Self::LockSyntax { .. } => "Restore it from version control, or delete it to have everything recorded anew.".into(),
            Self::LockVersion { .. } => "Use the version of this program that wrote it, or a newer one.".into(),
            Self::PackageMismatch { .. } => "This is a defect, or the lock file was edited: delete its [[package]] entry and run again, and report it if it comes back.".into(),
            Self::Archive { problem: ArchiveProblem::Unreadable(_), .. } => "Check that the file is complete and that its name has the right extension.".into(),
            Self::Archive { problem: ArchiveProblem::Entries(_) | ArchiveProblem::File { .. } | ArchiveProblem::Total(_) | ArchiveProblem::Ratio(_), .. } => {
                "Check that it is the plugin you mean; raise the limit if it is.".into()
            }
            Self::Archive { .. } => "No plugin needs that. Find out where the archive comes from; repack it yourself if you trust it.".into(),
            Self::Conflict { .. } => "Leave one of the two parts out, or the file out of one of them.".into(),
            Self::Io { .. } => "Check that the path exists, that you may use it and that the disk has room.".into(),
        }
    }

    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn archive(archive: impl Into<String>, problem: ArchiveProblem) -> Self {
        Self::Archive { archive: archive.into(), problem }
    }
}
