//! The few administrative requests of Kafka's protocol that MSK's topic API stands for, sent to a broker over its plaintext listener.
//!
//! Source: Kafka's protocol guide, `CreateTopics` v4, `DeleteTopics` v3, `CreatePartitions` v1, `AlterConfigs` v1; all before the
//! flexible encoding, and all served by Kafka 3.8.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::{Error, Result};

const PATIENCE: Duration = Duration::from_mins(1);
const TOPIC_ALREADY_EXISTS: i16 = 36;
const UNKNOWN_TOPIC: i16 = 3;
const INVALID_PARTITIONS: i16 = 37;

/// Makes a topic; one that is there already is fine.
pub(crate) async fn create(
    broker: SocketAddr,
    name: &str,
    partitions: usize,
    replication: u32,
    configs: &BTreeMap<String, String>,
) -> Result<()> {
    let mut body = Body::default();
    body.count(1).string(name).i32(partitions).i16(replication);
    body.count(0).configs(configs).timeout().flag(false);
    let answer = call(broker, 19, 4, &body.0).await?;
    // Throttle, one topic, its name, its code.
    settled(name, code_after_name(&answer, 8), &[TOPIC_ALREADY_EXISTS])
}

/// Deletes a topic; one that isn't there is fine.
pub(crate) async fn delete(broker: SocketAddr, name: &str) -> Result<()> {
    let mut body = Body::default();
    body.count(1).string(name).timeout();
    let answer = call(broker, 20, 3, &body.0).await?;
    settled(name, code_after_name(&answer, 8), &[UNKNOWN_TOPIC])
}

/// Raises the number of partitions.
pub(crate) async fn partitions(broker: SocketAddr, name: &str, count: usize) -> Result<()> {
    let mut body = Body::default();
    body.count(1).string(name).i32(count).0.extend((-1_i32).to_be_bytes());
    body.timeout().flag(false);
    let answer = call(broker, 37, 1, &body.0).await?;
    settled(name, code_after_name(&answer, 8), &[INVALID_PARTITIONS])
}

/// Replaces the configurations that are set on a topic.
pub(crate) async fn configure(
    broker: SocketAddr,
    name: &str,
    configs: &BTreeMap<String, String>,
) -> Result<()> {
    let mut body = Body::default();
    body.count(1).0.push(2); // a topic
    body.string(name).configs(configs).flag(false);
    let answer = call(broker, 33, 1, &body.0).await?;
    let code = answer.get(8..10).and_then(|b| b.try_into().ok()).map(i16::from_be_bytes);
    settled(name, code, &[])
}

fn settled(name: &str, code: Option<i16>, fine: &[i16]) -> Result<()> {
    match code {
        Some(code) if code == 0 || fine.contains(&code) => Ok(()),
        code => Err(Error::Topic { topic: name.to_owned(), code: code.unwrap_or(-1) }),
    }
}

fn code_after_name(answer: &[u8], at: usize) -> Option<i16> {
    let len = i16::from_be_bytes(answer.get(at..at + 2)?.try_into().ok()?);
    let code = at + 2 + usize::try_from(len).ok()?;
    Some(i16::from_be_bytes(answer.get(code..code + 2)?.try_into().ok()?))
}

/// One request on a connection of its own; the answer without its correlation.
async fn call(broker: SocketAddr, api: i16, version: i16, body: &[u8]) -> Result<Vec<u8>> {
    let exchange = async {
        let mut stream = TcpStream::connect(broker).await?;
        let head = [&api.to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 1, 0xff, 0xff]];
        let frame = [&head.concat(), body].concat();
        let len = u32::try_from(frame.len()).map_err(std::io::Error::other)?;
        stream.write_all(&[&len.to_be_bytes()[..], &frame].concat()).await?;
        let len = stream.read_u32().await?.min(1 << 20);
        let mut answer = vec![0; usize::try_from(len).map_err(std::io::Error::other)?];
        stream.read_exact(&mut answer).await?;
        Ok(answer.split_off(answer.len().min(4)))
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await;
    answer.unwrap_or(Err(std::io::ErrorKind::TimedOut.into())).map_err(Error::io("ask", broker))
}

#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn count(&mut self, len: usize) -> &mut Self {
        self.i32(len)
    }

    fn i32(&mut self, value: usize) -> &mut Self {
        self.0.extend(i32::try_from(value).unwrap_or(i32::MAX).to_be_bytes());
        self
    }

    fn i16(&mut self, value: u32) -> &mut Self {
        self.0.extend(i16::try_from(value).unwrap_or(i16::MAX).to_be_bytes());
        self
    }

    fn string(&mut self, text: &str) -> &mut Self {
        self.i16(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.0.extend(text.bytes());
        self
    }

    fn configs(&mut self, configs: &BTreeMap<String, String>) -> &mut Self {
        self.count(configs.len());
        for (key, value) in configs {
            self.string(key).string(value);
        }
        self
    }

    fn timeout(&mut self) -> &mut Self {
        self.i32(30_000)
    }

    fn flag(&mut self, value: bool) -> &mut Self {
        self.0.push(value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_bytes_of_the_protocol() {
        let mut body = Body::default();
        let configs = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        body.count(1).string("t").i32(6).i16(3).count(0).configs(&configs).timeout().flag(false);
        assert_eq!(
            body.0,
            b"\0\0\0\x01\0\x01t\0\0\0\x06\0\x03\0\0\0\0\0\0\0\x01\0\x01k\0\x01v\0\0\x75\x30\0"
        );
    }

    #[test]
    fn the_code_of_the_answer_decides() {
        let answer = b"\0\0\0\0\0\0\0\x01\0\x01t\0\x24\xff\xff";
        assert_eq!(code_after_name(answer, 8), Some(36));
        settled("t", Some(36), &[36]).expect("it is there already");
        let error = settled("t", Some(38), &[36]).expect_err("replication factor");
        assert!(error.to_string().contains("38"), "{error}");
        settled("t", code_after_name(b"\0\0", 8), &[]).expect_err("cut short");
    }
}
