//! The load generator: as fast as it goes, or so many a second; at the system, or at a receiver directly.
//!
//! It runs on the same cores as what it measures, so it does as little as it can: a few connections that are kept alive, and
//! bodies written in one go.

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

use crate::{
    api::{ACCOUNT, Api},
    receiver::now_us,
};

/// About what a lead is: with what else is in it, an event has 500 bytes.
const PADDING: &str = match std::str::from_utf8(&[b'x'; 400]) {
    Ok(padding) => padding,
    Err(_) => "",
};
/// Connections over which so many a second are sent.
const AT_RATE: u32 = 16;

/// Where bodies go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    url: String,
    path: &'static str,
    key: String,
    /// The interfaces that events are from, one after the other; none: the payload alone is sent, to a receiver.
    interfaces: Arc<Vec<String>>,
    /// What the ids of events begin with; `None` if ingest makes them.
    ids: Option<String>,
}

impl Target {
    /// A system, which forwards what it gets.
    pub(crate) fn system(api: &Api, interfaces: &[String]) -> Self {
        let interfaces = Arc::new(interfaces.to_vec());
        Self { url: api.addresses.http.clone(), path: "/v1/leads", key: api.key.clone(), interfaces, ids: None }
    }

    /// The same system, and events whose publisher names their ids.
    pub(crate) fn with_ids(&self, prefix: &str) -> Self {
        Self { ids: Some(prefix.to_owned()), ..self.clone() }
    }

    /// A receiver: the most that this machine can do.
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
            // As scattered as the ids of most publishers, and all different.
            let scattered = (nth as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let _ = write!(body, r#""event_id":"{prefix}-{scattered:016x}","#);
        }
        body.push_str(r#""payload":"#);
        write_payload(body, sent);
        body.push('}');
    }
}

/// What a receiver gets; it says when it was made.
fn write_payload(body: &mut String, sent: u64) {
    let _ = write!(body, r#"{{"sent":{sent},"name":"Ada Lovelace","padding":"{PADDING}"}}"#);
}

/// A connection that is kept alive.
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

    /// Posts a body and waits for the answer, which has to be a good one.
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

/// Posts so many events over so many connections at once, `batch` of them in one request.
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

/// Publishes so many events over gRPC, each connection with one stream of them.
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

/// Posts so many events a second for a while, one in each request, evenly spread; how many they were.
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

/// What was taken of what was posted.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    /// When each of those was sent that were accepted, in microseconds; all different.
    pub(crate) sent_at: HashSet<u64>,
    /// Why the last one was not, if one was not.
    pub(crate) refused: Option<anyhow::Error>,
}

/// Posts so many events a second, one in each request, until it is told to stop or nobody answers any more.
pub(crate) async fn publish_until(target: &Target, rate: u32, stop: &CancellationToken) -> anyhow::Result<Accepted> {
    let begin = Instant::now();
    let mut publishers = JoinSet::<anyhow::Result<Accepted>>::new();
    for connection in 0..AT_RATE {
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

/// What one of the connections posts.
async fn publish_steadily(
    target: Target,
    nth: u32,
    rate: u32,
    begin: Instant,
    stop: CancellationToken,
) -> anyhow::Result<Accepted> {
    let mut connection = Connection::open(&target).await?;
    let step = Duration::from_secs(1) * AT_RATE / rate;
    let (mut due, mut accepted) = (begin + step * nth / AT_RATE, Accepted::default());
    while stop.run_until_cancelled(tokio::time::sleep_until(due)).await.is_some() {
        // Each connection has microseconds of its own, and it does not send two events in the same one.
        let (now, every) = (now_us(), u64::from(AT_RATE));
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

/// Waits for all of them; the sum of what they say.
async fn all(mut publishers: JoinSet<anyhow::Result<u64>>) -> anyhow::Result<u64> {
    let mut sum = 0;
    while let Some(done) = publishers.join_next().await {
        sum += done??;
    }
    Ok(sum)
}
