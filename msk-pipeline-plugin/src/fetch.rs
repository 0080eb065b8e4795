//! Downloads a part into the cache and compares it with everything that is known of it.

use std::io::{self, Read as _, Write};
use std::sync::Arc;
use std::time::Duration;

use sha2::Digest as _;
use tempfile::NamedTempFile;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Proxy};

use crate::cache::{Cache, Verified};
use crate::digest::{HashingWriter, Sha256, hex};
use crate::error::{Error, Expectation, Result};
use crate::part::{Coordinate, Part, without_credentials};
use crate::sources::Sources;

/// How often a request is made before its failure counts; only for failures of the connection, at once.
const ATTEMPTS: u32 = 3;

pub(crate) struct Fetcher<'a> {
    sources: &'a Sources,
    cache: &'a Cache,
    limit: u64,
    agent: Option<Agent>,
}

impl<'a> Fetcher<'a> {
    pub(crate) fn new(sources: &'a Sources, cache: &'a Cache, limit: u64) -> Self {
        Self { sources, cache, limit, agent: None }
    }

    /// Downloads a Maven or URL part; `known` is what somebody already says of its digest.
    pub(crate) fn fetch(
        &mut self,
        part: &Part,
        known: Option<(Sha256, Expectation)>,
    ) -> Result<Verified> {
        let source = part.to_string();
        let (url, published) = match part {
            Part::Maven(coordinate) => {
                let url = self.sources.address(coordinate)?;
                refuse_unencrypted(&source, &url, known.is_some())?;
                let published = self.published(&url, known.is_none())?;
                // With a recorded digest a checksum from the same server would add nothing.
                if published.is_none() && known.is_none() {
                    self.probe(&url, coordinate)?;
                    return Err(Error::ChecksumMissing { part: source });
                }
                (url, published)
            }
            Part::Url { url, .. } => {
                refuse_unencrypted(&source, url, known.is_some())?;
                (url.clone(), None)
            }
            Part::File { .. } => unreachable!("files are read where they are"),
        };
        let mut response =
            self.get(&url, known.is_none())?.ok_or_else(|| not_found(&source, &url))?;
        let mut body = response
            .body_mut()
            .with_config()
            .limit(u64::MAX)
            .reader()
            .take(self.limit.saturating_add(1));
        let mut writer = HashingWriter::new(Also {
            inner: self.cache.temp()?,
            check: published.map(Check::new),
        });
        let copied = io::copy(&mut body, &mut writer)
            .map_err(|e| Error::Http { url: without_credentials(&url), message: e.to_string() })?;
        if copied > self.limit {
            return Err(Error::TooLarge { part: source, limit: self.limit });
        }
        let (also, sha256, size) = writer.finish();
        if let Some(check) = also.check {
            let (algorithm, expected, got) = check.finish();
            if expected != got {
                return Err(Error::ChecksumMismatch { part: source, algorithm, expected, got });
            }
        }
        if let Some((expected, by)) = known.filter(|(expected, _)| *expected != sha256) {
            return Err(Error::DigestMismatch { part: source, by, expected, got: sha256 });
        }
        self.cache.keep_download(also.inner, sha256, size)
    }

    /// What the repository says of an artefact: the best checksum that it has.
    fn published(&mut self, url: &str, encrypted: bool) -> Result<Option<(Algorithm, String)>> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Sha1] {
            let Some(mut response) =
                self.get(&format!("{url}.{}", algorithm.extension()), encrypted)?
            else {
                continue;
            };
            let mut text = Vec::new();
            let url = || without_credentials(url);
            response
                .body_mut()
                .as_reader()
                .take(1024)
                .read_to_end(&mut text)
                .map_err(|e| Error::Http { url: url(), message: e.to_string() })?;
            // Some tools write the file's name behind the digest.
            let text = String::from_utf8_lossy(&text);
            let digest = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
            if digest.len() == algorithm.digits() && digest.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Ok(Some((algorithm, digest)));
            }
        }
        Ok(None)
    }

    /// Tells "no such artefact" from "no checksum of it".
    fn probe(&mut self, url: &str, coordinate: &Coordinate) -> Result<()> {
        match self.get(url, true)? {
            Some(_) => Ok(()),
            None => Err(not_found(&format!("maven:{coordinate}"), url)),
        }
    }

    /// Asks for an address; nothing there is `None`. With `encrypted`, neither it nor a redirection may be plain, but on this machine.
    fn get(
        &mut self,
        url: &str,
        encrypted: bool,
    ) -> Result<Option<ureq::http::Response<ureq::Body>>> {
        let agent = self.agent()?;
        let mut attempt = 1;
        let failed = loop {
            match agent.get(url).config().https_only(encrypted && !is_loopback(url)).build().call()
            {
                Ok(response) => match response.status().as_u16() {
                    200 => return Ok(Some(response)),
                    404 | 410 => return Ok(None),
                    status => return Err(Error::Status { url: without_credentials(url), status }),
                },
                Err(
                    e @ (ureq::Error::Io(_)
                    | ureq::Error::Timeout(_)
                    | ureq::Error::ConnectionFailed),
                ) if attempt < ATTEMPTS => {
                    attempt += 1;
                    drop(e);
                }
                Err(e) => break e,
            }
        };
        Err(Error::Http { url: without_credentials(url), message: failed.to_string() })
    }

    /// The client, made when it is first needed: reading the system's certificates takes a while.
    fn agent(&mut self) -> Result<Agent> {
        if let Some(agent) = &self.agent {
            return Ok(agent.clone());
        }
        let roots: Vec<Certificate<'static>> = rustls_native_certs::load_native_certs()
            .certs
            .iter()
            .map(|der| Certificate::from_der(der).to_owned())
            .collect();
        if roots.is_empty() {
            return Err(Error::NoRootCertificates);
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            // Named, because the process may have installed another default.
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            // Unset, ureq would read the environment by itself.
            .proxy(if self.sources.proxy_from_env { Proxy::try_from_env() } else { None })
            .http_status_as_error(false)
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_mins(1)))
            .timeout_per_read(Some(Duration::from_mins(1)))
            .build()
            .new_agent();
        Ok(self.agent.insert(agent).clone())
    }
}

fn refuse_unencrypted(source: &str, url: &str, known: bool) -> Result<()> {
    if known || url.starts_with("https://") || is_loopback(url) {
        return Ok(());
    }
    Err(Error::Unencrypted { part: source.to_owned(), url: without_credentials(url) })
}

fn not_found(source: &str, url: &str) -> Error {
    Error::NotFound { part: source.to_owned(), url: without_credentials(url) }
}

fn is_loopback(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let name = if host.starts_with('[') {
        host.split_inclusive(']').next().unwrap_or_default()
    } else {
        host.split(':').next().unwrap_or_default()
    };
    ["127.0.0.1", "localhost", "[::1]"].contains(&name)
}

#[derive(Clone, Copy)]
enum Algorithm {
    Sha256,
    Sha512,
    Sha1,
}

impl Algorithm {
    fn extension(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Sha1 => "sha1",
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
            Self::Sha1 => 40,
        }
    }
}

enum Hash {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    Sha1(sha1::Sha1),
}

struct Check {
    algorithm: Algorithm,
    expected: String,
    hash: Hash,
}

impl Check {
    fn new((algorithm, expected): (Algorithm, String)) -> Self {
        let hash = match algorithm {
            Algorithm::Sha256 => Hash::Sha256(sha2::Sha256::default()),
            Algorithm::Sha512 => Hash::Sha512(sha2::Sha512::default()),
            Algorithm::Sha1 => Hash::Sha1(sha1::Sha1::default()),
        };
        Self { algorithm, expected, hash }
    }

    fn update(&mut self, bytes: &[u8]) {
        match &mut self.hash {
            Hash::Sha256(h) => h.update(bytes),
            Hash::Sha512(h) => h.update(bytes),
            Hash::Sha1(h) => h.update(bytes),
        }
    }

    fn finish(self) -> (&'static str, String, String) {
        let got = match self.hash {
            Hash::Sha256(h) => hex(&h.finalize()),
            Hash::Sha512(h) => hex(&h.finalize()),
            Hash::Sha1(h) => hex(&h.finalize()),
        };
        (self.algorithm.extension(), self.expected, got)
    }
}

/// Writes to the temporary file and to the published checksum's hash.
struct Also {
    inner: NamedTempFile,
    check: Option<Check>,
}

impl Write for Also {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        if let Some(check) = &mut self.check {
            check.update(&bytes[..n]);
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (url, expected) in [
            ("http://127.0.0.1:80/x", true),
            ("http://localhost/x", true),
            ("http://[::1]:8/x", true),
            ("https://localhost/x", false),
            ("http://localhost.example/x", false),
            ("http://localhost@example.com/x", false),
            ("http://example.com/?@localhost/", false),
        ] {
            assert_eq!(is_loopback(url), expected, "{url}");
        }
    }
}
