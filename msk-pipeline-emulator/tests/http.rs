//! The HTTP shell over a real socket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use msk_pipeline_emulator::fault::{Effect, Rule, When};
use msk_pipeline_emulator::shell::http::Server;
use msk_pipeline_emulator::shell::{InProcess, Mapping};
use msk_pipeline_emulator::{Settings, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SCALE: f64 = 10.0;

async fn start(rules: Vec<Rule>) -> (Arc<InProcess>, Server) {
    let mut world = World::new(Settings::default());
    world.faults.rules = rules;
    let world = InProcess::new(world);
    let time = Arc::new(Mapping::new(Settings::default().epoch, 0, SCALE));
    let server = Server::start(0, world.clone(), time).await.expect("a free port");
    (world, server)
}

async fn ask(server: &Server) -> String {
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    let request = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/sts/aws4_request\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(server.address()).await.expect("listens");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_or(String::new(), |_| answer)
}

#[tokio::test]
async fn it_answers_and_stops() {
    let (_, server) = start(Vec::new()).await;
    assert!(server.address().ip().is_loopback());
    let answer = ask(&server).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("x-amzn-requestid: "), "{answer}");
    assert!(answer.contains("<Account>111111111111</Account>"), "{answer}");
    let address = server.address();
    server.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn lost_replies_close_the_connection_and_slow_ones_wait() {
    let rules = vec![
        Rule::new("sts", "*", When::Nth(1), Effect::LostReply),
        Rule::new("sts", "*", When::Nth(2), Effect::Slow(1_000)),
    ];
    let (world, server) = start(rules).await;
    assert_eq!(ask(&server).await, "");
    assert_eq!(world.with(|w| w.revision), 1, "counted, so it has to be stored");
    let began = Instant::now();
    assert!(ask(&server).await.contains("200 OK"));
    assert!(began.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn a_silent_call_does_not_hold_up_the_stop() {
    let (_, server) = start(vec![Rule::new("sts", "*", When::Always, Effect::Silence)]).await;
    let waiting = tokio::time::timeout(Duration::from_millis(100), ask(&server)).await;
    assert!(waiting.is_err(), "no answer comes");
    server.stop().await;
}
