//! What a plugin is made of, as a user writes it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;

/// One part of a plugin: an archive that is unpacked into the ZIP, or a jar that gets a folder of its own.
///
/// In TOML `{ maven = "group:artifact:version" }`, `{ url = "https://…", sha256 = "…" }` or `{ file = "…" }`; [`FromStr`] takes Maven coordinates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub enum Part {
    /// An artefact of a Maven repository; its digest is recorded in the lock file when it is first fetched.
    Maven(Coordinate),
    /// A download.
    Url {
        /// Where it is; without user and password, and with a file name at its end.
        url: String,
        /// What must come from there.
        sha256: Pin,
    },
    /// A file on this machine, taken as it is; never in the lock file.
    File {
        /// Relative to [`Options::base`](crate::Options::base).
        path: PathBuf,
        /// What it must contain, if that matters.
        sha256: Option<Sha256>,
    },
}

/// How the content of a download is fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pin {
    /// By this digest.
    Sha256(Sha256),
    /// By whatever came first, as recorded in the lock file; written `sha256 = "first-fetch"`.
    FirstFetch,
}

const FIRST_FETCH: &str = "first-fetch";

/// Maven coordinates `group:artifact:version[:extension[:classifier]]`.
///
/// A Debezium connector without an extension means its plugin archive (`tar.gz`, classifier `plugin`); anything else without one is a jar.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinate {
    pub(crate) group: String,
    pub(crate) artifact: String,
    pub(crate) version: String,
    pub(crate) extension: String,
    pub(crate) classifier: Option<String>,
}

/// Why a text or a table isn't a part; says what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParsePartError {
    /// The number of `:` doesn't fit.
    #[error(
        "`{0}` is not a Maven coordinate: write group:artifact:version, then optionally :extension and :classifier"
    )]
    Shape(String),
    /// A field is empty or has a character that could mean something else in a path.
    #[error(
        "the {field} `{value}` of `{coordinate}` must be letters, digits, `.`, `_` and `-`, and begin with a letter, digit or `_`"
    )]
    Field {
        /// Which one.
        field: &'static str,
        /// Its text.
        value: String,
        /// All of it.
        coordinate: String,
    },
    /// The version may mean other bytes tomorrow.
    #[error(
        "the version `{version}` of `{coordinate}` may mean other bytes tomorrow: name one released version"
    )]
    MovingVersion {
        /// The version.
        version: String,
        /// All of it.
        coordinate: String,
    },
    /// Not exactly one of the three.
    #[error("a plugin part needs exactly one of `maven`, `url` and `file`, and has {0}")]
    OneOf(&'static str),
    /// `maven` with `sha256`.
    #[error("`sha256` doesn't go with `maven`: the lock file records the digest of `{0}`")]
    DigestWithMaven(String),
    /// `url` without `sha256`.
    #[error(
        "`{0}` needs `sha256`: the digest its publisher gives, or \"first-fetch\" to trust and record what comes first"
    )]
    DigestMissing(String),
    /// `file` with `sha256 = "first-fetch"`, or no digest at all.
    #[error("`sha256 = \"{0}\"` is not a digest of 64 hexadecimal digits")]
    Digest(String),
    /// Another scheme, or nothing behind it.
    #[error("`{0}` must be an https:// or http:// address that ends in a file name")]
    Url(String),
    /// A secret in a file that is committed.
    #[error(
        "the address on host `{host}` has a user or password in it, which would end up in the lock file: take them out"
    )]
    UrlCredentials {
        /// The host alone.
        host: String,
    },
    /// A file name that wouldn't do as a folder of the ZIP.
    #[error(
        "the file name `{0}` must be letters, digits, `.`, `_`, `+` and `-`, and begin with a letter, digit or `_`"
    )]
    FileName(String),
    /// An extension that can't be packed.
    #[error(
        "`{0}` is neither a jar nor an archive that can be unpacked: its name must end in .jar, .zip, .tar.gz or .tgz"
    )]
    Extension(String),
}

/// What a part's file name says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Jar,
    Zip,
    TarGz,
}

impl Form {
    /// The form and the name without its extension.
    pub(crate) fn of(name: &str) -> Option<(Self, &str)> {
        let lower = name.to_ascii_lowercase();
        [(".jar", Self::Jar), (".zip", Self::Zip), (".tar.gz", Self::TarGz), (".tgz", Self::TarGz)]
            .into_iter()
            .find(|(end, _)| lower.len() > end.len() && lower.ends_with(end))
            .and_then(|(end, form)| Some((form, name.get(..name.len() - end.len())?)))
    }
}

impl Part {
    /// Makes a part of Maven coordinates.
    pub fn maven(coordinate: &str) -> Result<Self, ParsePartError> {
        coordinate.parse().map(Self::Maven).and_then(Self::checked)
    }

    /// Makes a part of a download whose digest is known.
    pub fn url(url: impl Into<String>, sha256: Sha256) -> Result<Self, ParsePartError> {
        Self::Url { url: url.into(), sha256: Pin::Sha256(sha256) }.checked()
    }

    /// Makes a part of a download that is pinned by its first fetch.
    pub fn url_first_fetch(url: impl Into<String>) -> Result<Self, ParsePartError> {
        Self::Url { url: url.into(), sha256: Pin::FirstFetch }.checked()
    }

    /// Makes a part of a file.
    pub fn file(path: impl Into<PathBuf>) -> Result<Self, ParsePartError> {
        Self::File { path: path.into(), sha256: None }.checked()
    }

    /// Refuses what couldn't be packed anyway. The variants are public, so [`crate::pack()`] calls it again.
    pub(crate) fn checked(self) -> Result<Self, ParsePartError> {
        if let Self::Url { url, .. } = &self {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            let Some((authority, path)) = rest.and_then(|r| r.split_once('/')) else {
                return Err(ParsePartError::Url(without_credentials(url)));
            };
            if let Some((_, host)) = authority.rsplit_once('@') {
                return Err(ParsePartError::UrlCredentials { host: host.to_owned() });
            }
            let printable = url.bytes().all(|b| b.is_ascii_graphic());
            if authority.is_empty() || path.is_empty() || !printable {
                return Err(ParsePartError::Url(url.clone()));
            }
        }
        match Form::of(&self.file_name()) {
            Some((_, stem)) if is_plain_name(stem) => Ok(self),
            Some(_) => Err(ParsePartError::FileName(self.file_name())),
            None => Err(ParsePartError::Extension(self.to_string())),
        }
    }

    /// The name its file has: the folder and jar name of a jar in the ZIP.
    pub(crate) fn file_name(&self) -> String {
        match self {
            Self::Maven(c) => c.file_name(),
            Self::Url { url, .. } => {
                let path = url.split(['?', '#']).next().unwrap_or_default();
                path.rsplit('/').next().unwrap_or_default().to_owned()
            }
            Self::File { path, .. } => {
                path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned()
            }
        }
    }

    /// Form and stem; `checked` has made sure that there are some.
    pub(crate) fn form(&self) -> (Form, String) {
        let name = self.file_name();
        let (form, stem) = Form::of(&name).expect("parts are checked before use");
        (form, stem.to_owned())
    }

    /// The digest that the user wrote.
    pub(crate) fn pinned(&self) -> Option<Sha256> {
        match self {
            Self::Url { sha256: Pin::Sha256(digest), .. } => Some(*digest),
            Self::File { sha256, .. } => *sha256,
            Self::Maven(_) | Self::Url { sha256: Pin::FirstFetch, .. } => None,
        }
    }
}

/// The part's source string, as the lock file has it: `maven:…`, `url:…` or `file:…`.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Maven(c) => write!(f, "maven:{c}"),
            Self::Url { url, .. } => write!(f, "url:{url}"),
            Self::File { path, .. } => write!(f, "file:{}", path.display()),
        }
    }
}

impl FromStr for Part {
    type Err = ParsePartError;

    fn from_str(text: &str) -> Result<Self, ParsePartError> {
        Self::maven(text)
    }
}

/// A name that is one path component on every system, and nothing special.
fn is_plain_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c))
}

/// The address without what stands before `@`.
pub(crate) fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

impl Coordinate {
    /// `artifact-version[-classifier].extension`.
    pub(crate) fn file_name(&self) -> String {
        let classifier = self.classifier.as_ref().map(|c| format!("-{c}")).unwrap_or_default();
        format!("{}-{}{classifier}.{}", self.artifact, self.version, self.extension)
    }
}

/// Every field is written, so that the default for Debezium never changes what a lock file means.
impl fmt::Display for Coordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.group, self.artifact, self.version, self.extension)?;
        self.classifier.as_ref().map_or(Ok(()), |c| write!(f, ":{c}"))
    }
}

impl FromStr for Coordinate {
    type Err = ParsePartError;

    fn from_str(text: &str) -> Result<Self, ParsePartError> {
        let fields: Vec<&str> = text.split(':').collect();
        let &[group, artifact, version, ref rest @ ..] = fields.as_slice() else {
            return Err(ParsePartError::Shape(text.to_owned()));
        };
        let debezium = group == "io.debezium" && artifact.starts_with("debezium-connector-");
        let (extension, classifier) = match *rest {
            [] if debezium => ("tar.gz", Some("plugin")),
            [] => ("jar", None),
            [extension] => (extension, None),
            [extension, classifier] => (extension, Some(classifier)),
            _ => return Err(ParsePartError::Shape(text.to_owned())),
        };
        let names = [
            ("group", group),
            ("artifact", artifact),
            ("version", version),
            ("extension", extension),
        ];
        for (field, value) in names.into_iter().chain(classifier.map(|c| ("classifier", c))) {
            // `..` would climb in the repository's address; a range such as `[1,2)` fails here too.
            if !is_plain_name(value) || value.contains("..") || value.ends_with('.') {
                return Err(ParsePartError::Field {
                    field,
                    value: value.to_owned(),
                    coordinate: text.to_owned(),
                });
            }
        }
        if version.ends_with("-SNAPSHOT") || ["LATEST", "RELEASE", "SNAPSHOT"].contains(&version) {
            return Err(ParsePartError::MovingVersion {
                version: version.to_owned(),
                coordinate: text.to_owned(),
            });
        }
        Ok(Self {
            group: group.to_owned(),
            artifact: artifact.to_owned(),
            version: version.to_owned(),
            extension: extension.to_owned(),
            classifier: classifier.map(str::to_owned),
        })
    }
}

/// The table as written; an untagged enum would answer every mistake with "did not match any variant".
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(skip_serializing_if = "Option::is_none")]
    maven: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl TryFrom<Raw> for Part {
    type Error = ParsePartError;

    fn try_from(raw: Raw) -> Result<Self, ParsePartError> {
        let digest = |text: String| text.parse().map_err(|_| ParsePartError::Digest(text));
        match raw {
            Raw { maven: Some(text), url: None, file: None, sha256 } => match sha256 {
                Some(_) => Err(ParsePartError::DigestWithMaven(text)),
                None => Part::maven(&text),
            },
            Raw { maven: None, url: Some(url), file: None, sha256 } => {
                let sha256 = match sha256 {
                    None => return Err(ParsePartError::DigestMissing(without_credentials(&url))),
                    Some(text) if text == FIRST_FETCH => Pin::FirstFetch,
                    Some(text) => Pin::Sha256(digest(text)?),
                };
                Part::Url { url, sha256 }.checked()
            }
            Raw { maven: None, url: None, file: Some(path), sha256 } => {
                Part::File { path, sha256: sha256.map(digest).transpose()? }.checked()
            }
            Raw { maven: None, url: None, file: None, .. } => {
                Err(ParsePartError::OneOf("none of them"))
            }
            _ => Err(ParsePartError::OneOf("several")),
        }
    }
}

impl From<Part> for Raw {
    fn from(part: Part) -> Self {
        let none = Raw { maven: None, url: None, file: None, sha256: None };
        match part {
            Part::Maven(c) => Raw { maven: Some(c.to_string()), ..none },
            Part::Url { url, sha256: Pin::Sha256(d) } => {
                Raw { url: Some(url), sha256: Some(d.to_string()), ..none }
            }
            Part::Url { url, sha256: Pin::FirstFetch } => {
                Raw { url: Some(url), sha256: Some(FIRST_FETCH.to_owned()), ..none }
            }
            Part::File { path, sha256 } => {
                Raw { file: Some(path), sha256: sha256.map(String::from), ..none }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Document {
        plugin: Part,
    }

    #[track_caller]
    fn parse(text: &str) -> Result<Part, String> {
        let read: Result<Document, _> = toml::from_str(&format!("plugin = {text}"));
        let part = read.map(|d| d.plugin).map_err(|e| e.message().to_owned())?;
        let again =
            toml::to_string(&Document { plugin: part.clone() }).expect("a part can be written");
        assert_eq!(toml::from_str(&again), Ok(Document { plugin: part.clone() }), "{again}");
        Ok(part)
    }

    #[test]
    fn parts_round_trip_and_get_their_file_names() {
        let digest = "ab".repeat(32);
        for (text, source, name) in [
            (
                r#"{ maven = "io.debezium:debezium-connector-mysql:2.7.4.Final" }"#.to_owned(),
                "maven:io.debezium:debezium-connector-mysql:2.7.4.Final:tar.gz:plugin",
                "debezium-connector-mysql-2.7.4.Final-plugin.tar.gz",
            ),
            (
                r#"{ maven = "io.debezium:debezium-core:2.7.4.Final" }"#.to_owned(),
                "maven:io.debezium:debezium-core:2.7.4.Final:jar",
                "debezium-core-2.7.4.Final.jar",
            ),
            (
                r#"{ maven = "io.debezium:debezium-connector-mysql:2.7.4.Final:jar" }"#.to_owned(),
                "maven:io.debezium:debezium-connector-mysql:2.7.4.Final:jar",
                "debezium-connector-mysql-2.7.4.Final.jar",
            ),
            (r#"{ maven = "a.b:c:1:zip:all" }"#.to_owned(), "maven:a.b:c:1:zip:all", "c-1-all.zip"),
            (
                format!(r#"{{ url = "https://example.com/x/y.zip?z=1", sha256 = "{digest}" }}"#),
                "url:https://example.com/x/y.zip?z=1",
                "y.zip",
            ),
            (
                r#"{ url = "https://example.com/y.tgz", sha256 = "first-fetch" }"#.to_owned(),
                "url:https://example.com/y.tgz",
                "y.tgz",
            ),
            (r#"{ file = "build/smt.jar" }"#.to_owned(), "file:build/smt.jar", "smt.jar"),
            (
                format!(r#"{{ file = "build/smt.jar", sha256 = "{digest}" }}"#),
                "file:build/smt.jar",
                "smt.jar",
            ),
        ] {
            let part = parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!((part.to_string().as_str(), part.file_name().as_str()), (source, name));
        }
    }

    #[test]
    fn mistakes_are_answered_with_what_to_write() {
        for (text, said) in [
            ("{}", "exactly one of"),
            (r#"{ maven = "a:b:1", file = "x.jar" }"#, "has several"),
            (
                r#"{ mavn = "a:b:1" }"#,
                "unknown field `mavn`, expected one of `maven`, `url`, `file`, `sha256`",
            ),
            (r#"{ maven = "a:b" }"#, "write group:artifact:version"),
            (r#"{ maven = "a:b:1:jar:c:d" }"#, "write group:artifact:version"),
            (r#"{ maven = "a::1" }"#, "the artifact ``"),
            (r#"{ maven = "a:b:../../c" }"#, "the version `../../c`"),
            (r#"{ maven = "a:b:1..2" }"#, "the version `1..2`"),
            (r#"{ maven = "a:b:[1,2)" }"#, "the version `[1,2)`"),
            (r#"{ maven = "a:b:1-SNAPSHOT" }"#, "name one released version"),
            (r#"{ maven = "a:b:LATEST" }"#, "name one released version"),
            (r#"{ maven = "a:b:1:pom" }"#, "neither a jar nor an archive"),
            (r#"{ maven = "a:b:1", sha256 = "00" }"#, "the lock file records"),
            (r#"{ url = "https://example.com/x.zip" }"#, "needs `sha256`"),
            (r#"{ url = "https://example.com/x.zip", sha256 = "00" }"#, "64 hexadecimal digits"),
            (
                r#"{ url = "ftp://example.com/x.zip", sha256 = "first-fetch" }"#,
                "must be an https://",
            ),
            (
                r#"{ url = "https://me:secret@example.com/x.zip", sha256 = "first-fetch" }"#,
                "on host `example.com` has a user or password",
            ),
            (r#"{ file = "x.jar", sha256 = "first-fetch" }"#, "not a digest"),
            (r#"{ file = "x.rar" }"#, ".jar, .zip, .tar.gz or .tgz"),
            (r#"{ file = "my plugin.jar" }"#, "the file name `my plugin.jar` must be"),
            (r#"{ file = ".zip" }"#, ".jar, .zip, .tar.gz or .tgz"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
            assert!(!error.contains("secret@"), "{error}");
        }
    }
}
