//! The load generator. It publishes as fast as possible or at a fixed rate, to the system or directly to a receiver.
//!
//! It runs on the same cores as the system under test, so it does as little as possible: a few persistent connections,
//! and bodies written in one go.

use std::{
    collections::HashSet,
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use api::{PublishLeadRequest, publish_leads_result::Result as Outcome};
use bytes::Bytes;
use futures::stream;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    api::{ACCOUNT, Api},
    receiver::now_us,
};

/// About the size of a lead: the whole event has 500 bytes.
const PADDING: &str = match std::str::from_utf8(&[b'x'; 400]) {
    Ok(padding) => padding,
    Err(_) => "",
};
/// The number of connections of a load at a fixed rate.
const RATE_CONNECTIONS: u32 = 16;

/// The target of requests.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    url: String,
    path: &'static str,
    key: String,
    /// The interfaces of the events, in turn. Empty if only payloads are sent, to a receiver.
    interfaces: Arc<Vec<String>>,
    /// The prefix of event ids; `None` if ingest makes the ids.
    ids: Option<String>,
}

impl Target {
    /// A system under test.
    pub(crate) fn system(api: &Api, interfaces: &[String]) -> Self {
        let interfaces = Arc::new(interfaces.to_vec());
        Self { url: api.addresses.http.clone(), path: "/v1/leads", key: api.key.clone(), interfaces, ids: None }
    }

    /// The same system, with event ids that the publisher names.
    pub(crate) fn with_ids(&self, prefix: &str) -> Self {
        Self { ids: Some(prefix.to_owned()), ..self.clone() }
    }

    /// A receiver without a system in between: the ceiling of this machine.
    pub(crate) fn receiver(url: &str) -> Self {
        Self { url: url.to_owned(), path: "/hook", key: String::new(), interfaces: Arc::default(), ids: None }
    }

    fn write(&self, body: &mut String, nth: usize, sent: u64) {
        if self.interfaces.is_empty() {
            return write_payload(body, sent);
        }
        let interface = &self.interfaces[nth % self.interfaces.len()];
        let _ = write!(body, r#"{{"account":"{ACCOUNT}","interface":"{interface}","#);
        if let Some(prefix) = &self.ids {
            // Scattered like the ids of most publishers, and unique.
            let scattered = (nth as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let _ = write!(body, r#""event_id":"{prefix}-{scattered:016x}","#);
        }
        body.push_str(r#""payload":"#);
        write_payload(body, sent);
        body.push('}');
    }
}

/// Writes the body for a receiver; it contains the time of publishing.
fn write_payload(body: &mut String, sent: u64) {
    let _ = write!(body, r#"{{"sent":{sent},"name":"Ada Lovelace","padding":"{PADDING}"}}"#);
}

/// A persistent connection.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    path: &'static str,
    host: String,
    authorization: String,
}

impl Connection {
    async fn open(target: &Target) -> anyhow::Result<Self> {
        let host = target.url.trim_start_matches("http://").split('/').next().unwrap_or_default().to_owned();
        let stream = TcpStream::connect(host.parse::<SocketAddr>()?).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, path: target.path, host, authorization: format!("Bearer {}", target.key) })
    }

    /// Posts a body and waits for a successful answer.
    async fn post(&mut self, body: String, content_type: &str) -> anyhow::Result<()> {
        self.sender.ready().await?;
        let request = Request::post(self.path).header("host", &self.host).header("content-type", content_type);
        let request = request.header("authorization", &self.authorization);
        let answer = self.sender.send_request(request.body(Full::new(body.into()))?).await?;
        let status = answer.status();
        answer.into_body().collect().await.context("an answer that ends")?;
        ensure!(status.is_success(), "a post was answered with {status}");
        Ok(())
    }
}

/// Posts `count` events over `connections` connections, `batch` events per request.
pub(crate) async fn publish(target: &Target, count: usize, connections: usize, batch: usize) -> anyhow::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let content_type = if batch == 1 { "application/json" } else { "application/x-ndjson" };
    let mut publishers = JoinSet::<anyhow::Result<u64>>::new();
    for _ in 0..connections {
        let (next, target) = (Arc::clone(&next), target.clone());
        let mut connection = Connection::open(&target).await?;
        publishers.spawn(async move {
            let mut posted = 0;
            loop {
                let first = next.fetch_add(batch, Ordering::Relaxed);
                if first >= count {
                    return Ok(posted);
                }
                let last = count.min(first + batch);
                let mut body = String::with_capacity(batch * 2 * PADDING.len());
                for nth in first..last {
                    target.write(&mut body, nth, now_us());
                    body.push('\n');
                }
                connection.post(body, content_type).await?;
                posted += (last - first) as u64;
            }
        });
    }
    let posted = all(publishers).await?;
    ensure!(posted == count as u64, "{posted} of {count} events were posted");
    Ok(())
}

/// Publishes `count` events over gRPC, with one stream per connection.
pub(crate) async fn publish_streams(
    api: &Api,
    interfaces: &[String],
    count: usize,
    connections: usize,
) -> anyhow::Result<()> {
    let (next, interfaces) = (Arc::new(AtomicUsize::new(0)), Arc::new(interfaces.to_vec()));
    let mut publishers = JoinSet::<anyhow::Result<u64>>::new();
    for _ in 0..connections {
        let mut ingest = api.ingest().await?;
        let (next, interfaces) = (Arc::clone(&next), Arc::clone(&interfaces));
        let requests = std::iter::from_fn(move || {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            (nth < count).then(|| lead(&interfaces[nth % interfaces.len()]))
        });
        publishers.spawn(async move {
            let mut results = ingest.publish_leads(stream::iter(requests)).await?.into_inner();
            let mut stored = 0;
            while let Some(result) = results.message().await? {
                ensure!(matches!(result.result, Some(Outcome::Published(_))), "a publish was answered with {result:?}");
                stored += 1;
            }
            Ok(stored)
        });
    }
    let stored = all(publishers).await?;
    ensure!(stored == count as u64, "{stored} of {count} events were answered");
    Ok(())
}

fn lead(interface: &str) -> PublishLeadRequest {
    let mut payload = String::with_capacity(2 * PADDING.len());
    write_payload(&mut payload, now_us());
    PublishLeadRequest {
        account: ACCOUNT.into(),
        interface: interface.into(),
        payload: payload.into(),
        ..PublishLeadRequest::default()
    }
}

/// Posts `rate` events per second for this time, evenly spread, one per request. Returns their number.
pub(crate) async fn publish_at(target: &Target, rate: u32, time: Duration) -> anyhow::Result<u64> {
    let stop = CancellationToken::new();
    let publishing = publish_until(target, rate, &stop);
    let (accepted, ()) = tokio::join!(publishing, async {
        tokio::time::sleep(time).await;
        stop.cancel();
    });
    match accepted? {
        Accepted { refused: Some(why), .. } => Err(why),
        Accepted { sent_at, .. } => Ok(sent_at.len() as u64),
    }
}

/// The events that the target accepted.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    /// The send times of accepted events in microseconds, all different.
    pub(crate) sent_at: HashSet<u64>,
    /// Why the last event was refused; `None` if none was.
    pub(crate) refused: Option<anyhow::Error>,
}

/// Posts `rate` events per second, one per request, until `stop` is cancelled or a request fails.
pub(crate) async fn publish_until(target: &Target, rate: u32, stop: &CancellationToken) -> anyhow::Result<Accepted> {
    let begin = Instant::now();
    let mut publishers = JoinSet::<anyhow::Result<Accepted>>::new();
    for connection in 0..RATE_CONNECTIONS {
        publishers.spawn(publish_steadily(target.clone(), connection, rate, begin, stop.clone()));
    }
    let mut all = Accepted::default();
    while let Some(done) = publishers.join_next().await {
        let done = done??;
        all.sent_at.extend(done.sent_at);
        all.refused = all.refused.or(done.refused);
    }
    Ok(all)
}

/// Posts the share of one connection.
async fn publish_steadily(
    target: Target,
    nth: u32,
    rate: u32,
    begin: Instant,
    stop: CancellationToken,
) -> anyhow::Result<Accepted> {
    let mut connection = Connection::open(&target).await?;
    let step = Duration::from_secs(1) * RATE_CONNECTIONS / rate;
    let (mut due, mut accepted) = (begin + step * nth / RATE_CONNECTIONS, Accepted::default());
    while stop.run_until_cancelled(tokio::time::sleep_until(due)).await.is_some() {
        // Each connection uses its own microseconds, and never sends two events in the same one.
        let (now, every) = (now_us(), u64::from(RATE_CONNECTIONS));
        let sent = now - now % every + u64::from(nth);
        let mut body = String::with_capacity(2 * PADDING.len());
        target.write(&mut body, accepted.sent_at.len() + nth as usize, sent);
        if let Err(why) = connection.post(body, "application/json").await {
            accepted.refused = Some(why);
            break;
        }
        accepted.sent_at.insert(sent);
        due += step;
    }
    Ok(accepted)
}

/// Waits for all publishers, and returns the sum of their counts.
async fn all(mut publishers: JoinSet<anyhow::Result<u64>>) -> anyhow::Result<u64> {
    let mut sum = 0;
    while let Some(done) = publishers.join_next().await {
        sum += done??;
    }
    Ok(sum)
}
