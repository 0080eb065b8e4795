//! In front of a broker: TLS, and on the IAM listener the handshake that only MSK's brokers know. What follows is passed on unread.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::error::{Error, Result};
use crate::sasl::{self, MAX_FRAME, Mechanism, Request};
use crate::sigv4::{Presigned, Refusal};

/// How long a client may take until it is authenticated, as a broker's `socket.connection.setup.timeout` would have it.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Decides who may connect.
pub trait Gate: Send + Sync + 'static {
    /// Whether the claim is good for the cluster behind the proxy. A refusal's reason is for the log; the client hears MSK's words.
    fn admit(&self, claim: &Presigned) -> std::result::Result<(), Refusal>;

    /// Told of every refusal.
    fn refused(&self, access_key: &str, refusal: Refusal);
}

/// What a proxy does.
pub enum Mode {
    /// TLS alone.
    Tls,
    /// TLS and IAM.
    Iam(Arc<dyn Gate>),
}

/// A listening proxy; dropping it closes it and every connection through it.
#[derive(Debug)]
pub struct Proxy {
    task: JoinHandle<()>,
    address: SocketAddr,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Listens at `ip` and `port` for the broker's `target` port at the same address.
    pub async fn start(
        ip: Ipv4Addr,
        port: u16,
        target: u16,
        tls: Arc<ServerConfig>,
        mode: Mode,
    ) -> Result<Self> {
        let address = SocketAddr::from((ip, port));
        let listener = TcpListener::bind(address).await.map_err(Error::io("listen at", address))?;
        let address = listener.local_addr().map_err(Error::io("listen at", address))?;
        let acceptor = TlsAcceptor::from(tls);
        let mode = Arc::new(mode);
        let target = SocketAddr::from((ip, target));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    biased;
                    Some(_) = connections.join_next() => {}
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => {
                            let (acceptor, mode) = (acceptor.clone(), mode.clone());
                            connections.spawn(serve(stream, acceptor, mode, target));
                        }
                        // Out of file descriptors, most likely: others go on.
                        Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                    },
                }
            }
        });
        Ok(Self { task, address })
    }

    /// Closes it; its port is free when this returns.
    pub async fn close(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Ends when either side does; a broker that isn't there closes the connection, as it would.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor, mode: Arc<Mode>, target: SocketAddr) {
    let _ = stream.set_nodelay(true);
    let opening = async {
        let mut client = acceptor.accept(stream).await.ok()?;
        let mut broker = TcpStream::connect(target).await.ok()?;
        let _ = broker.set_nodelay(true);
        if let Mode::Iam(gate) = &*mode {
            authenticate(&mut client, &mut broker, gate.as_ref()).await?;
        }
        Some((client, broker))
    };
    if let Ok(Some((mut client, mut broker))) = tokio::time::timeout(HANDSHAKE, opening).await {
        let _ = copy_bidirectional(&mut client, &mut broker).await;
    }
}

/// Speaks for the broker until the client is authenticated; `None` when it won't be.
async fn authenticate(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    broker: &mut (impl AsyncRead + AsyncWrite + Unpin),
    gate: &dyn Gate,
) -> Option<()> {
    let mut mechanism: Option<Mechanism> = None;
    loop {
        let frame = read_frame(client).await?;
        match sasl::request(&frame)? {
            Request::ApiVersions => {
                write_frame(broker, &frame).await?;
                let answer = read_frame(broker).await?;
                write_frame(client, &answer).await?;
            }
            Request::Handshake { correlation, mechanism: name } => {
                let (found, answer) = sasl::handshake(correlation, &name);
                write_frame(client, &answer).await?;
                mechanism = Some(found?);
            }
            Request::Authenticate { correlation, version, payload } => {
                let id = request_id();
                let message = format!("[{id}]: Access denied");
                let admitted = match mechanism {
                    None => Err(sasl::out_of_turn()),
                    Some(mechanism) => admit(gate, mechanism, &payload)
                        .then_some(mechanism)
                        .ok_or(sasl::denied(&message)),
                };
                let welcome = admitted.map(|mechanism| sasl::welcome(mechanism, &id));
                let outcome = welcome.as_deref().map_err(|e| *e);
                write_frame(client, &sasl::authenticate(correlation, version, outcome)).await?;
                return outcome.ok().map(|_| ());
            }
            Request::Other => return None,
        }
    }
}

fn admit(gate: &dyn Gate, mechanism: Mechanism, payload: &[u8]) -> bool {
    let Some(claim) = sasl::claim(mechanism, payload) else {
        gate.refused("", Refusal::Parameter("the authentication payload"));
        return false;
    };
    match gate.admit(&claim) {
        Ok(()) => true,
        Err(refusal) => {
            gate.refused(claim.access_key().unwrap_or_default(), refusal);
            false
        }
    }
}

/// A UUID, as MSK puts one before its words.
fn request_id() -> String {
    let mut bytes = [0_u8; 16];
    let _ = getrandom::fill(&mut bytes);
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

async fn read_frame(from: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let len = from.read_u32().await.ok()?;
    if len > MAX_FRAME {
        return None;
    }
    let mut frame = vec![0; usize::try_from(len).ok()?];
    from.read_exact(&mut frame).await.ok()?;
    Some(frame)
}

async fn write_frame(to: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> Option<()> {
    let len = u32::try_from(frame.len()).ok()?;
    to.write_all(&[&len.to_be_bytes(), frame].concat()).await.ok()?;
    to.flush().await.ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Keys(Mutex<Vec<(String, Refusal)>>);

    impl Gate for Keys {
        fn admit(&self, claim: &Presigned) -> std::result::Result<(), Refusal> {
            (claim.host == "good").then_some(()).ok_or(Refusal::Signature)
        }

        fn refused(&self, access_key: &str, refusal: Refusal) {
            self.0.lock().expect("whole").push((access_key.to_owned(), refusal));
        }
    }

    fn call(api: i16, version: i16, body: &[u8]) -> Vec<u8> {
        [&api.to_be_bytes()[..], &version.to_be_bytes(), &1_i32.to_be_bytes(), b"\xff\xff", body]
            .concat()
    }

    fn claim(host: &str) -> Vec<u8> {
        let json =
            format!(r#"{{"version":"2020_10_22","host":"{host}","x-amz-credential":"AKID/x"}}"#);
        let len = i32::try_from(json.len()).expect("short").to_be_bytes();
        call(36, 0, &[&len[..], json.as_bytes()].concat())
    }

    const HELLO: &[u8] = b"\0\x0bAWS_MSK_IAM";

    /// The client's frames against a broker that answers `ApiVersions` with "versions": the client's answers, and what came of it.
    async fn talk(frames: &[Vec<u8>]) -> (Vec<Vec<u8>>, Option<()>, Vec<(String, Refusal)>) {
        let (mut client, mut front) = tokio::io::duplex(4096);
        let (mut back, mut broker) = tokio::io::duplex(4096);
        let gate = Keys(Mutex::default());
        let server = async {
            let outcome = authenticate(&mut front, &mut back, &gate).await;
            drop((front, back));
            outcome
        };
        let broker = async {
            while let Some(frame) = read_frame(&mut broker).await {
                assert_eq!(sasl::request(&frame), Some(Request::ApiVersions), "nothing else");
                write_frame(&mut broker, b"versions").await;
            }
        };
        let client = async {
            let mut answers = Vec::new();
            for frame in frames {
                if write_frame(&mut client, frame).await.is_none() {
                    break;
                }
                let Some(answer) = read_frame(&mut client).await else { break };
                answers.push(answer);
            }
            drop(client);
            answers
        };
        let (outcome, (), answers) = tokio::join!(server, broker, client);
        (answers, outcome, gate.0.into_inner().expect("whole"))
    }

    #[tokio::test]
    async fn the_port_of_a_closed_proxy_is_free() {
        let folder = tempfile::tempdir().expect("a folder");
        let keytool = folder.path().join("no-keytool");
        std::fs::write(&keytool, "#!/bin/sh\n").expect("written");
        std::fs::set_permissions(&keytool, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .expect("set");
        let authority = crate::Authority::create(folder.path(), &keytool).expect("a CA");
        let tls = authority.server(&["b-1.example".to_owned()].into()).expect("a certificate");
        let address = Ipv4Addr::new(127, 99, 98, 97);
        let first = Proxy::start(address, 0, 1, tls.clone(), Mode::Tls).await.expect("listens");
        let port = first.address().port();
        tokio::task::yield_now().await;
        assert!(
            Proxy::start(address, port, 1, tls.clone(), Mode::Tls).await.is_err(),
            "it is taken"
        );
        first.close().await;
        Proxy::start(address, port, 1, tls, Mode::Tls).await.expect("free again");
    }

    #[tokio::test]
    async fn who_is_admitted_is_passed_on() {
        let frames = [call(18, 3, b""), call(17, 1, HELLO), claim("good")];
        let (answers, outcome, refused) = talk(&frames).await;
        assert_eq!(answers[0], b"versions");
        assert_eq!((&answers[1][4..6], &answers[2][4..6]), (&b"\0\0"[..], &b"\0\0"[..]));
        assert_eq!((outcome, refused.len()), (Some(()), 0));
    }

    #[tokio::test]
    async fn who_is_not_hears_msk_s_words_and_the_log_the_reason() {
        let (answers, outcome, refused) = talk(&[call(17, 1, HELLO), claim("bad")]).await;
        assert_eq!(&answers[1][4..6], b"\0\x3a");
        assert!(String::from_utf8_lossy(&answers[1]).contains("]: Access denied"));
        assert_eq!((outcome, refused), (None, vec![("AKID".to_owned(), Refusal::Signature)]));
    }

    #[tokio::test]
    async fn nothing_reaches_the_broker_out_of_turn() {
        let produce = call(0, 9, b"");
        for frames in [
            vec![produce.clone()],
            vec![call(17, 1, HELLO), produce],
            vec![claim("good")],
            vec![call(17, 1, b"\0\x05PLAIN"), claim("good")],
        ] {
            let (_, outcome, _) = talk(&frames).await;
            assert_eq!(outcome, None, "{frames:?}");
        }
    }
}
