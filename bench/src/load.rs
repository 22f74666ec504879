//! Publishing: as fast as it goes, or so many a second.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::Instant};

use crate::{
    receiver::now_us,
    system::{ACCOUNT, System},
};

/// About what a lead is.
const PADDING: usize = 400;

/// A connection that is kept alive.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    path: &'static str,
    host: String,
    authorization: String,
}

impl Connection {
    /// To a system that publishes with this key, or to a receiver, which does not look at it.
    pub(crate) async fn open(url: &str, path: &'static str, key: &str) -> anyhow::Result<Self> {
        let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default().to_owned();
        let stream = TcpStream::connect(host.parse::<SocketAddr>()?).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, path, host, authorization: format!("Bearer {key}") })
    }

    /// Posts a body and waits for the answer; its status.
    pub(crate) async fn post(&mut self, body: impl Into<Bytes>, content_type: &str) -> anyhow::Result<u16> {
        self.sender.ready().await?;
        let request = Request::post(self.path).header("host", &self.host).header("content-type", content_type);
        let request = request.header("authorization", &self.authorization);
        let answer = self.sender.send_request(request.body(Full::new(body.into()))?).await?;
        let status = answer.status().as_u16();
        answer.into_body().collect().await.context("an answer that ends")?;
        Ok(status)
    }
}

/// A payload that says when it was made.
pub(crate) fn payload() -> String {
    format!(r#"{{"sent":{},"name":"Ada Lovelace","padding":"{}"}}"#, now_us(), "x".repeat(PADDING))
}

fn event(interface: &str) -> String {
    format!(r#"{{"account":"{ACCOUNT}","interface":"{interface}","payload":{}}}"#, payload())
}

/// Publishes so many leads over so many connections at once, to one interface after the other; events in one request.
pub(crate) async fn publish(
    system: &System,
    interfaces: &[String],
    count: usize,
    connections: usize,
    batch: usize,
) -> anyhow::Result<()> {
    let (next, interfaces) = (Arc::new(AtomicUsize::new(0)), Arc::new(interfaces.to_vec()));
    let mut publishers = JoinSet::new();
    for _ in 0..connections {
        let (next, interfaces) = (Arc::clone(&next), Arc::clone(&interfaces));
        let mut connection = Connection::open(&system.http, "/v1/leads", &system.key).await?;
        publishers.spawn(async move {
            loop {
                let first = next.fetch_add(batch, Ordering::Relaxed);
                if first >= count {
                    return Ok(());
                }
                let events: Vec<_> =
                    (first..count.min(first + batch)).map(|n| event(&interfaces[n % interfaces.len()])).collect();
                let status = connection.post(events.join("\n"), "application/x-ndjson").await?;
                ensure!(status == 202, "a publish was answered with {status}");
            }
        });
    }
    while let Some(done) = publishers.join_next().await {
        done??;
    }
    Ok(())
}

/// Publishes so many leads a second for a while, one in each request, evenly spread.
pub(crate) async fn publish_at(
    system: &System,
    interfaces: &[String],
    rate: u32,
    time: Duration,
) -> anyhow::Result<u64> {
    const CONNECTIONS: u32 = 16;
    let begin = Instant::now();
    let interfaces = Arc::new(interfaces.to_vec());
    let mut publishers = JoinSet::new();
    for nth in 0..CONNECTIONS {
        let mut connection = Connection::open(&system.http, "/v1/leads", &system.key).await?;
        let interfaces = Arc::clone(&interfaces);
        publishers.spawn(async move {
            let step = Duration::from_secs(1) * CONNECTIONS / rate;
            let (mut due, mut published) = (begin + step * nth / CONNECTIONS, 0_u64);
            while due < begin + time {
                tokio::time::sleep_until(due).await;
                let interface = &interfaces[(published as usize + nth as usize) % interfaces.len()];
                let status = connection.post(event(interface), "application/json").await?;
                ensure!(status == 202, "a publish was answered with {status}");
                (due, published) = (due + step, published + 1);
            }
            Ok(published)
        });
    }
    let mut published = 0;
    while let Some(done) = publishers.join_next().await {
        published += done??;
    }
    Ok(published)
}

/// Posts so many payloads to a receiver directly: the most that this machine can do.
pub(crate) async fn ceiling(url: &str, count: usize, connections: usize) -> anyhow::Result<f64> {
    let begin = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        let next = Arc::clone(&next);
        let mut connection = Connection::open(url, "/hook", "").await?;
        clients.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < count {
                connection.post(payload(), "application/json").await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    Ok(count as f64 / begin.elapsed().as_secs_f64())
}
