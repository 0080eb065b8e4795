//! Sessions with a PostgreSQL, as its clients have them: over TCP, with TLS that is checked against the plane's authority.

use std::net::Ipv4Addr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Who asks, where.
#[derive(Clone)]
pub(crate) struct Login<'a> {
    pub(crate) host: &'a str,
    pub(crate) address: Ipv4Addr,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    pub(crate) database: &'a str,
    /// The authority's certificate; `None` without TLS.
    pub(crate) ca: Option<&'a str>,
}

impl Login<'_> {
    async fn open(&self) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config
            .host(self.host)
            .hostaddr(self.address.into())
            .user(self.user)
            .password(self.password)
            .dbname(self.database);
        let Some(ca) = self.ca else {
            let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await?;
            tokio::spawn(async move { drop(connection.await) });
            return Ok(client);
        };
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            roots.add(certificate.expect("PEM")).expect("an authority");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = MakeRustlsConnect::new(tls);
        let (client, connection) = config.ssl_mode(SslMode::Require).connect(connector).await?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }

    /// A session that stays open.
    pub(crate) async fn session(&self) -> Result<Client, String> {
        self.open().await.map_err(|e| told(&e))
    }

    /// Runs statements in a session of their own; the cells of the rows, tab-separated.
    pub(crate) async fn run(&self, statements: &str) -> Result<String, String> {
        let client = self.session().await?;
        let messages = client.simple_query(statements).await.map_err(|e| told(&e))?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let cells = |row: &tokio_postgres::SimpleQueryRow| {
            (0..row.len()).map(|n| row.get(n).unwrap_or("NULL").to_owned()).collect::<Vec<_>>()
        };
        Ok(rows.map(|row| cells(row).join("\t")).collect::<Vec<_>>().join("\n"))
    }
}

fn told(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string)
}
