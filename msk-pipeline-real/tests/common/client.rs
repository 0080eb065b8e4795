//! A Kafka client that can fetch: TLS, `SaslHandshake` with OAUTHBEARER, `Fetch` v4.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use msk_pipeline_real::connect::Credentials;
use msk_pipeline_real::sigv4::{Presigned, stamp};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Stream = TlsStream<TcpStream>;

fn token(host: &str, credentials: &Credentials, region: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("later");
    let date = stamp(i64::try_from(now.as_secs()).expect("soon"));
    let scope =
        format!("{}/{}/{region}/kafka-cluster/aws4_request", credentials.access_key, &date[..8]);
    let pairs = [
        ("Action", "kafka-cluster:Connect"),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", &scope),
        ("X-Amz-Date", &date),
        ("X-Amz-Expires", "900"),
        ("X-Amz-Security-Token", &credentials.token),
        ("X-Amz-SignedHeaders", "host"),
    ];
    let query = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let mut request = Presigned { host: host.into(), query };
    request.sign(&credentials.secret, region).expect("complete");
    let query: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(request.query.iter().chain([(&"User-Agent".to_owned(), &"test".to_owned())]))
        .finish();
    URL_SAFE_NO_PAD.encode(format!("https://{host}/?{query}"))
}

async fn call(stream: &mut Stream, api: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
    let frame =
        [&api.to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 1, 0xff, 0xff], body].concat();
    let len = u32::try_from(frame.len()).expect("short");
    stream.write_all(&[&len.to_be_bytes()[..], &frame].concat()).await?;
    let len = stream.read_u32().await?;
    let mut answer = vec![0; len as usize];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

fn string(text: &str) -> Vec<u8> {
    [&i16::try_from(text.len()).expect("short").to_be_bytes()[..], text.as_bytes()].concat()
}

/// What a broker has of partition 0 from its beginning; nothing if it doesn't lead it.
pub(crate) async fn fetch(
    address: SocketAddr,
    host: &str,
    ca: &str,
    credentials: &Credentials,
    region: &str,
    topic: &str,
) -> String {
    try_fetch(address, host, ca, credentials, region, topic).await.expect("a broker that answers")
}

/// The same of a broker that may be away.
pub(crate) async fn try_fetch(
    address: SocketAddr,
    host: &str,
    ca: &str,
    credentials: &Credentials,
    region: &str,
    topic: &str,
) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from(host.to_owned()).expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    let answer = call(&mut stream, 17, 1, &string("OAUTHBEARER")).await?;
    assert_eq!(&answer[4..6], b"\0\0");
    let message = format!("n,,\u{1}auth=Bearer {}\u{1}\u{1}", token(host, credentials, region));
    let len = i32::try_from(message.len()).expect("short").to_be_bytes();
    let answer = call(&mut stream, 36, 1, &[&len[..], message.as_bytes()].concat()).await?;
    assert_eq!(&answer[4..6], b"\0\0", "{}", String::from_utf8_lossy(&answer));
    let body = [
        &(-1_i32).to_be_bytes()[..], // a consumer
        &100_i32.to_be_bytes(),      // waits 100 ms
        &0_i32.to_be_bytes(),
        &(1_i32 << 22).to_be_bytes(),
        &[0],
        &1_i32.to_be_bytes(),
        &string(topic),
        &1_i32.to_be_bytes(),
        &0_i32.to_be_bytes(),
        &0_i64.to_be_bytes(),
        &(1_i32 << 22).to_be_bytes(),
    ]
    .concat();
    Ok(String::from_utf8_lossy(&call(&mut stream, 1, 4, &body).await?).into_owned())
}
