//! The local certificate authority: what Amazon's is for real brokers and databases.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Error, Result};
use crate::files;

/// What the trust store is locked with. It holds no secret; the format wants one.
pub const TRUST_PASSWORD: &str = "changeit";

/// The authority of one world. Its key is made when it is opened and never written: a certificate of an earlier run is worth nothing.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pem: String,
    folder: PathBuf,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The file with the certificate of the authority in a folder.
pub(crate) fn pem_file(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::Certificates(e.to_string())
}

impl Authority {
    /// Makes an authority, with `ca.pem` and the Java trust store `trust.p12` in `folder`.
    pub fn create(folder: &Path, keytool: &Path) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "msk-pipeline embedded AWS");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(failed)?)
            .map_err(failed)?;
        let pem = issuer.pem();
        let authority = Self { issuer, pem, folder: folder.to_owned() };
        files::folder(folder)?;
        files::replace(&authority.pem_file(), &authority.pem)?;
        authority.make_trust_store(keytool)?;
        Ok(authority)
    }

    fn make_trust_store(&self, keytool: &Path) -> Result<()> {
        let store = self.trust_store();
        let _ = std::fs::remove_file(&store);
        let output = Command::new(keytool)
            .args(["-importcert", "-noprompt", "-alias", "msk-pipeline", "-storetype", "PKCS12"])
            .args(["-storepass", TRUST_PASSWORD, "-file"])
            .arg(self.pem_file())
            .arg("-keystore")
            .arg(&store)
            .output()
            .map_err(Error::io("run", keytool.display()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(failed(String::from_utf8_lossy(&output.stdout)))
    }

    /// The authority's certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The file that has it.
    pub fn pem_file(&self) -> PathBuf {
        pem_file(&self.folder)
    }

    /// The trust store for a JVM, PKCS #12, locked with [`TRUST_PASSWORD`].
    pub fn trust_store(&self) -> PathBuf {
        self.folder.join("trust.p12")
    }

    fn issue(&self, names: &BTreeSet<String>) -> Result<(rcgen::Certificate, KeyPair)> {
        let mut params =
            CertificateParams::new(names.iter().cloned().collect::<Vec<_>>()).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "embedded AWS");
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok((certificate, key))
    }

    /// What a TLS server for these names speaks with.
    pub fn server(&self, names: &BTreeSet<String>) -> Result<Arc<ServerConfig>> {
        let (certificate, key) = self.issue(names)?;
        let chain: Vec<CertificateDer<'static>> =
            vec![certificate.der().clone(), self.issuer.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(failed)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(failed)?;
        Ok(Arc::new(config))
    }

    /// A certificate and its key as files of the authority's folder, for programs that do TLS themselves.
    pub fn server_files(&self, name: &str, names: &BTreeSet<String>) -> Result<(PathBuf, PathBuf)> {
        let (certificate, key) = self.issue(names)?;
        let (cert, private) =
            (self.folder.join(format!("{name}.pem")), self.folder.join(format!("{name}.key")));
        files::replace(&cert, certificate.pem())?;
        files::replace(&private, key.serialize_pem())?;
        Ok((cert, private))
    }
}
