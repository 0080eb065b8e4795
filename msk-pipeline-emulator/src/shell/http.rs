//! A world behind HTTP/1.1 on the loopback interface, for SDKs and command lines of this machine.
//!
//! It never listens on another interface: there are no real credentials behind it and none are checked.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::{Handle, TimeSource};
use crate::world::{Delivery, Request, Response};

/// A running server. Dropping it stops it at once; [`Server::stop`] lets calls in progress end.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on 127.0.0.1; port 0 takes a free one.
    ///
    /// # Errors
    /// If the port can't be had.
    pub async fn start(
        port: u16,
        world: Arc<dyn Handle>,
        time: Arc<dyn TimeSource>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(listener, world, time, stopped));
        Ok(Self { address, stop, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint for `AWS_ENDPOINT_URL`. An address, not a name, so that S3 clients use path style by themselves.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Accepts no more, waits for the calls in progress, and ends.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    world: Arc<dyn Handle>,
    time: Arc<dyn TimeSource>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                // A connection that was gone before it was accepted is nobody's loss.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, Arc::clone(&world), Arc::clone(&time), stopped.clone()));
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(
    stream: TcpStream,
    world: Arc<dyn Handle>,
    time: Arc<dyn TimeSource>,
    mut stopped: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let stopping = stopped.clone();
    let service = service_fn(move |request| {
        answer(request, Arc::clone(&world), Arc::clone(&time), stopping.clone())
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        biased;
        // An error here is a dropped reply or a client that went away.
        _ = connection.as_mut() => {}
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// The reply is to be lost: hyper closes the connection when a service fails.
#[derive(Debug, thiserror::Error)]
#[error("the reply is lost")]
struct Lost;

async fn answer(
    request: hyper::Request<Incoming>,
    world: Arc<dyn Handle>,
    time: Arc<dyn TimeSource>,
    mut stopping: watch::Receiver<bool>,
) -> Result<hyper::Response<Full<Bytes>>, Lost> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
    let headers = parts.headers.iter();
    let request = Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers
            .map(|(n, v)| {
                (n.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into_owned())
            })
            .collect(),
        body,
    };
    let clock = Arc::clone(&time);
    // A durable world waits for its disk.
    let call = tokio::task::spawn_blocking(move || world.call(clock.now(), &request));
    let Ok(response) = call.await else { return Err(Lost) };
    if response.delay > 0 {
        tokio::time::sleep(time.wall(response.delay)).await;
    }
    match response.delivery {
        Delivery::Normal => Ok(convert(response)),
        Delivery::Dropped => Err(Lost),
        Delivery::Held => {
            let _ = stopping.wait_for(|stop| *stop).await;
            Err(Lost)
        }
    }
}

fn convert(response: Response) -> hyper::Response<Full<Bytes>> {
    let mut builder = hyper::Response::builder().status(response.status);
    for (name, value) in &response.headers {
        // Header values from stored metadata may hold what HTTP can't carry; such a header is left out.
        if let Ok(value) = hyper::header::HeaderValue::from_bytes(value.as_bytes()) {
            builder = builder.header(name.as_str(), value);
        }
    }
    builder.body(Full::new(response.body)).unwrap_or_else(|_| {
        let mut broken =
            hyper::Response::new(Full::new(Bytes::from_static(b"unsendable response")));
        *broken.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        broken
    })
}
