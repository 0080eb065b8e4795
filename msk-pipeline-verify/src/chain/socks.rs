//! A SOCKS5 server on the loopback interface that knows some hosts by other addresses.
//!
//! Brokers tell clients their names, and the Kafka client resolves them itself: there is no other place to give an address for a name. It
//! serves the one command that the client sends (RFC 1928: no authentication, CONNECT), and ends when it is dropped.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::reach::Reach;

/// The server.
#[derive(Debug)]
pub(crate) struct Socks {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Socks {
    /// Begins to serve at a free port.
    pub(crate) async fn start(reach: Reach) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let reach = reach.clone();
                // What fails is a closed connection for the client.
                tokio::spawn(async move { serve(client, &reach).await });
            }
        });
        Ok(Self { address, task })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Socks {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut client: TcpStream, reach: &Reach) -> io::Result<()> {
    let [_version, methods] = read(&mut client).await?;
    client.read_exact(&mut vec![0; usize::from(methods)]).await?;
    client.write_all(&[5, 0]).await?;
    let [_version, _command, _reserved, kind] = read(&mut client).await?;
    let host = match kind {
        1 => std::net::Ipv4Addr::from(read::<4>(&mut client).await?).to_string(),
        4 => std::net::Ipv6Addr::from(read::<16>(&mut client).await?).to_string(),
        _ => {
            let [length] = read(&mut client).await?;
            let mut name = vec![0; usize::from(length)];
            client.read_exact(&mut name).await?;
            String::from_utf8_lossy(&name).into_owned()
        }
    };
    let port = u16::from_be_bytes(read(&mut client).await?);
    match TcpStream::connect((reach.address(&host), port)).await {
        Ok(mut server) => {
            client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
            copy_bidirectional(&mut client, &mut server).await?;
            Ok(())
        }
        // "Host unreachable".
        Err(_) => client.write_all(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]).await,
    }
}

async fn read<const N: usize>(from: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[tokio::test]
    async fn a_name_is_connected_by_its_given_address() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let echo = tokio::spawn(async move {
            let (mut client, _) = server.accept().await.unwrap();
            let [byte] = read(&mut client).await.unwrap();
            client.write_all(&[byte + 1]).await.unwrap();
        });
        let addresses = BTreeMap::from([("b-1.invalid".to_owned(), "127.0.0.1".to_owned())]);
        let socks = Socks::start(Reach { addresses, ..Reach::default() }).await.unwrap();
        let mut client = TcpStream::connect(socks.address()).await.unwrap();
        client.write_all(&[5, 1, 0]).await.unwrap();
        assert_eq!(read(&mut client).await.unwrap(), [5, 0]);
        client.write_all(&[5, 1, 0, 3, 11]).await.unwrap();
        client.write_all(b"b-1.invalid").await.unwrap();
        client.write_all(&port.to_be_bytes()).await.unwrap();
        assert_eq!(read::<10>(&mut client).await.unwrap()[1], 0);
        client.write_all(&[41]).await.unwrap();
        assert_eq!(read(&mut client).await.unwrap(), [42]);
        echo.await.unwrap();
    }
}
