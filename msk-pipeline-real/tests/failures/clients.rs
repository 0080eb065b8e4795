//! Others who are in a connector's way: clients that hold connections, a replica, a port that says nothing.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common;
use crate::stage::Stage;

/// A child that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A replica with a server id, which reads the newest binary log.
pub(crate) struct Replica {
    _client: Running,
}

impl Replica {
    pub(crate) fn new(stage: &Stage, server_id: &str) -> Self {
        let newest = stage.newest_log(&stage.orders);
        let address = stage.plane.hosts()[&stage.orders.endpoint];
        let child = Command::new("mariadb-binlog")
            .args(["--no-defaults", "--read-from-remote-server", "--stop-never", "--protocol=tcp"])
            .arg(format!("--stop-never-slave-server-id={server_id}"))
            .args([format!("--host={address}"), "--port=3306".into(), "--user=debezium".into()])
            .arg(newest)
            .env("MYSQL_PWD", "secret")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        Self { _client: Running(child.expect("mariadb-binlog, of the package mariadb-client")) }
    }
}

/// Clients that hold every connection that a server gives its users.
pub(crate) struct Held {
    _clients: Vec<Running>,
}

impl Held {
    /// One after the other, until one is refused: those that come at once are refused for each other's sake.
    pub(crate) fn new(stage: &Stage) -> Self {
        let address = stage.plane.hosts()[&stage.other.endpoint];
        let mut clients = Vec::new();
        loop {
            let mut command = common::client(address, "debezium", "secret");
            command.arg("--execute=SELECT SLEEP(100)");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut client = Running(command.spawn().expect("a client"));
            std::thread::sleep(Duration::from_millis(500));
            if client.0.try_wait().expect("a child").is_some() {
                return Self { _clients: clients };
            }
            clients.push(client);
        }
    }
}

/// A port whose queue is full: the next connection is neither taken nor refused, as behind a security group.
pub(crate) struct Silent {
    pub(crate) address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Silent {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let soon = Duration::from_millis(300);
        let queue: Vec<_> =
            (0..800).map_while(|_| TcpStream::connect_timeout(&address, soon).ok()).collect();
        assert!(queue.len() < 800, "the queue of a listener is longer than expected");
        Self { address, _listener: listener, _queue: queue }
    }
}
