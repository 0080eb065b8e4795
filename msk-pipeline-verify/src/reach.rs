//! The way to a server: addresses given by hand, TLS, and what a failed connection means.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::check::Check;

/// So long a connection may take. A security group lets nothing through, so this is what its absence costs.
const CONNECT: Duration = Duration::from_secs(5);

/// How servers are reached.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Addresses for host names, such as `127.0.0.1` for a broker's name; TLS still checks the name. The others are asked of DNS.
    pub addresses: BTreeMap<String, String>,
    /// Certificates in PEM that are trusted besides the system's.
    pub authorities: Vec<String>,
}

/// Why TLS can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Text that isn't a certificate.
    #[error("a certificate that was given can't be read")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    /// A certificate that isn't one of an authority.
    #[error("a certificate that was given can't be trusted")]
    Authority(#[source] rustls::Error),
}

impl Reach {
    /// The address to connect to for a host.
    pub(crate) fn address<'a>(&'a self, host: &'a str) -> &'a str {
        self.addresses.get(host).map_or(host, String::as_str)
    }

    /// A client's TLS: the system's authorities and those that were given, `ring` for the cryptography.
    pub(crate) fn tls(&self) -> Result<Arc<rustls::ClientConfig>, TlsError> {
        let mut roots = rustls::RootCertStore::empty();
        // A system without certificates is no error here: those that were given may be enough.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for pem in &self.authorities {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(TlsError::Certificate)?;
                roots.add(certificate).map_err(TlsError::Authority)?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    /// Whether a port answers.
    pub(crate) async fn connects(&self, host: &str, port: u16) -> io::Result<()> {
        let connecting = TcpStream::connect((self.address(host), port));
        timeout(CONNECT, connecting)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(())
    }
}

/// What is looked for at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Database,
    Broker,
}

/// What a connection that failed means.
pub(crate) fn unreached(server: Server, host: &str, port: u16, error: &io::Error) -> Check {
    let (name, kind, name_fails, refused) = match server {
        Server::Database => ("the way to the database", "database", "C-DB-HOST", "C-DB-REFUSED"),
        Server::Broker => {
            ("the way to the brokers", "brokers", "C-KAFKA-HOST", "C-KAFKA-UNREACHED")
        }
    };
    let text = error.to_string();
    let port_text = port.to_string();
    let values = [("host", host), ("database.port", port_text.as_str())];
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            Check::fail(name, refused, format!("{host}:{port} refuses connections"), &values)
        }
        _ if text.contains("lookup")
            || text.contains("Name or service not known")
            || text.contains("nodename") =>
        {
            Check::fail(name, name_fails, format!("{host} has no address here"), &values)
        }
        _ => {
            let open = format!(
                "Open TCP {port} from here in the {kind}' security group, or run this where connectors run: on a host in the VPC with \
                 the connector's security group (an instance, or CloudShell with a VPC environment)."
            );
            Check::unreachable(name, format!("{host}:{port} ({text})"), open)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    #[tokio::test]
    async fn a_port_refuses_and_a_name_is_unknown() {
        // Bound and dropped: nothing listens there.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let addresses = BTreeMap::from([("db.example".to_owned(), "127.0.0.1".to_owned())]);
        let reach = Reach { addresses, ..Reach::default() };
        let error = reach.connects("db.example", port).await.unwrap_err();
        let check = unreached(Server::Database, "db.example", port, &error);
        assert_eq!(check.code(), Some("C-DB-REFUSED"));
        assert!(check.to_string().contains(&port.to_string()));
        let error =
            io::Error::other("failed to lookup address information: Name or service not known");
        assert_eq!(unreached(Server::Broker, "b-1.x", 9098, &error).code(), Some("C-KAFKA-HOST"));
    }

    #[tokio::test]
    async fn a_port_that_answers_is_reached_by_its_given_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let addresses = BTreeMap::from([("db.invalid".to_owned(), "127.0.0.1".to_owned())]);
        Reach { addresses, ..Reach::default() }.connects("db.invalid", port).await.unwrap();
    }

    #[test]
    fn silence_says_what_to_open() {
        let check = unreached(Server::Broker, "b-1.x", 9098, &io::ErrorKind::TimedOut.into());
        let Outcome::Unreachable { open, .. } = &check.outcome else { panic!("{check}") };
        assert!(open.contains("TCP 9098"));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let with = |pem: &str| Reach { authorities: vec![pem.into()], ..Reach::default() }.tls();
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(with(broken), Err(TlsError::Authority(_))));
        assert!(with("").is_ok());
    }
}
