//! The connection to the broker.

use std::{error::Error, sync::Arc, time::Duration};

use async_nats::{
    ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerAddr,
    jetstream::{Context, ContextBuilder},
};
use jiff::Timestamp;
use runtime::{Drain, Latch, Platform};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use crate::{
    ANSWER_DEADLINE, Flush, JournalError, NatsOptions, batch::Batcher, memory::Memory, options::USUAL_URL, streams,
};

/// The oldest broker whose schedules can be trusted.
const OLDEST: (i64, i64, i64) = (2, 15, 1);
const OLDEST_TEXT: &str = "2.15.1";
/// How long a service waits for a broker that is still starting.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// The pause between two tries to connect.
const CONNECT_PAUSE: Duration = Duration::from_millis(250);
/// How many appends may wait for their acknowledgement at once; further ones wait before they are sent.
const MOST_IN_FLIGHT: usize = 8_192;
/// How often a silent connection is checked.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// A connection to the broker. Clones share it.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    context: Context,
    drain: Drain,
    process: Uuid,
    batchers: Option<Batchers>,
    memory: Memory,
    dedup_window: Duration,
}

/// Group commit, for each of the streams that many write to at once: a batch belongs to one stream.
pub(crate) struct Batchers {
    pub(crate) leads: Batcher,
    pub(crate) deliveries: Batcher,
    pub(crate) parked: Batcher,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

impl Journal {
    /// Connects, waiting for a broker that is still starting, and sets the streams up.
    ///
    /// # Errors
    /// When there is no broker after 30 seconds, it is older than 2.15.1, or refuses the streams.
    pub async fn connect(options: &NatsOptions, platform: &Platform) -> Result<Self, JournalError> {
        let latch = platform.readiness.latch("broker");
        let give_up = Instant::now() + CONNECT_DEADLINE;
        let (changed, connections) = watch::channel(0);
        let changed = Arc::new(changed);
        let context = loop {
            match Self::try_connect(options, &latch, &changed, &platform.drain).await {
                Ok(context) => break context,
                Err(error) if !error.is_passing() => return Err(error),
                Err(error) if Instant::now() >= give_up || platform.drain.is_stopping() => return Err(error),
                Err(error) => tracing::debug!(error = error.chain(), "no broker yet"),
            }
            tokio::time::sleep(CONNECT_PAUSE).await;
        };
        latch.ready();
        let batcher = || Batcher::start(&context);
        let batched = options.nats_flush == Flush::EveryWrite;
        let batchers = batched.then(|| Batchers { leads: batcher(), deliveries: batcher(), parked: batcher() });
        let dedup_window = streams::dedup_window(&context).await?;
        let (memory, drain) = (Memory::start(&context, &connections), platform.drain.clone());
        Ok(Self { inner: Arc::new(Inner { context, drain, process: Uuid::new_v4(), batchers, memory, dedup_window }) })
    }

    async fn try_connect(
        options: &NatsOptions,
        latch: &Latch,
        connections: &Arc<watch::Sender<u64>>,
        drain: &Drain,
    ) -> Result<Context, JournalError> {
        let url = options.nats_url.as_deref().unwrap_or(USUAL_URL);
        // An error must not show what is secret in a URL.
        let shown = || url.split(',').map(|url| url.rsplit('@').next().unwrap_or(url)).collect::<Vec<_>>().join(",");
        let (latch, changes, connections, drain) =
            (latch.clone(), Arc::clone(connections), Arc::clone(connections), drain.clone());
        let mut connect = ConnectOptions::new()
            .name("leadline")
            .ping_interval(PING_INTERVAL)
            .request_timeout(Some(ANSWER_DEADLINE))
            // Only the first one is made at once. A connection that is back before anybody has seen that it was lost has
            // messages asked for anew only after some seconds of silence.
            .reconnect_delay_callback(move |tries| match (tries, *changes.borrow()) {
                (1, 0) => Duration::ZERO,
                _ => CONNECT_PAUSE,
            })
            .event_callback(move |event| {
                if matches!(event, Event::Connected | Event::Disconnected) {
                    connections.send_modify(|changes| *changes += 1);
                }
                // What happens to the connection at the end is nobody's concern.
                if !drain.is_stopping() {
                    report(&latch, &event);
                }
                async {}
            });
        if let Some(file) = &options.nats_creds {
            connect = connect
                .credentials_file(file)
                .await
                .map_err(|source| JournalError::Credentials { file: file.display().to_string(), source })?;
        }
        connect = with_tls(connect, options);
        let servers: Vec<ServerAddr> = url
            .split(',')
            .map(|url| url.trim().parse())
            .collect::<Result<_, _>>()
            .map_err(|source| JournalError::Url { url: shown(), source })?;
        // The client library leaves what is in the URL to its caller.
        let named = servers.iter().find_map(|server| Some((server.username()?, server.password())));
        connect = match named {
            Some((user, Some(password))) => connect.user_and_password(user.to_owned(), password.to_owned()),
            Some((token, None)) => connect.token(token.to_owned()),
            None => connect,
        };
        let client = connect.connect(servers).await.map_err(|e| match e.kind() {
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                JournalError::NotAllowed { url: shown() }
            }
            _ if is_tls(&e) => JournalError::NoTls { url: shown(), source: Box::new(e) },
            _ => JournalError::NotReached { url: shown(), source: Box::new(e) },
        })?;
        if !client.is_server_compatible(OLDEST.0, OLDEST.1, OLDEST.2) {
            let found = client.server_info().version;
            return Err(JournalError::TooOld { url: shown(), found, needed: OLDEST_TEXT });
        }
        let context = ContextBuilder::new()
            .timeout(ANSWER_DEADLINE)
            .max_ack_inflight(MOST_IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client);
        streams::set_up(&context, options).await?;
        Ok(context)
    }

    pub(crate) fn context(&self) -> &Context {
        &self.inner.context
    }

    /// Who we are among those who share the broker.
    pub(crate) fn process(&self) -> Uuid {
        self.inner.process
    }

    /// Whether the broker still knows the ids of facts that were stored at `since` or later.
    pub fn remembers_ids_since(&self, since: Timestamp, now: Timestamp) -> bool {
        // Half of it, because the clocks of broker and services may differ.
        let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        age < self.inner.dedup_window / 2
    }

    /// From when on the broker still knows the ids of facts, as this process tells time.
    pub fn remembers_ids_from(&self, now: Instant) -> Instant {
        now.checked_sub(self.inner.dedup_window / 2).unwrap_or(now)
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.inner.memory
    }

    /// The drain of the process.
    pub fn drain(&self) -> &Drain {
        &self.inner.drain
    }

    pub(crate) fn batchers(&self) -> Option<&Batchers> {
        self.inner.batchers.as_ref()
    }
}

fn with_tls(mut connect: ConnectOptions, options: &NatsOptions) -> ConnectOptions {
    if let Some(file) = &options.nats_ca {
        connect = connect.add_root_certificates(file.clone()).require_tls(true);
    }
    if let (Some(certificate), Some(key)) = (&options.nats_cert, &options.nats_key) {
        connect = connect.add_client_certificate(certificate.clone(), key.clone()).require_tls(true);
    }
    connect
}

/// Whether TLS is what failed. The client library calls it input or output unless it is about a file.
fn is_tls(error: &ConnectError) -> bool {
    let inner = |error: &(dyn Error + 'static)| {
        let io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        io.is_some_and(|inner| inner.is::<async_nats::rustls::Error>()) || error.is::<async_nats::rustls::Error>()
    };
    let first: &(dyn Error + 'static) = error;
    error.kind() == ConnectErrorKind::Tls || std::iter::successors(Some(first), |&error| error.source()).any(inner)
}

fn report(latch: &Latch, event: &Event) {
    match event {
        Event::Connected => latch.ready(),
        Event::Disconnected | Event::Closed => {
            tracing::warn!("the connection to the broker is lost; trying again");
            latch.not_ready("the broker is away");
        }
        Event::SlowConsumer(subscription) => {
            tracing::warn!(subscription, "messages were dropped before they were taken; they come again");
        }
        other => tracing::debug!(event = %other, "broker connection"),
    }
}
