//! The connection to the broker.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{
    AuthError, ClientError, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerError,
    jetstream::{Context, ContextBuilder},
};
use jiff::Timestamp;
use runtime::{Drain, ErrorChain as _, Platform};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use crate::{
    ANSWER_DEADLINE, Flush, JournalError, NatsOptions, connection::credentials::Credentials,
    connection::health::Health, connection::options::USUAL_URL, connection::servers::Servers,
    consume::restart_watermark::Memory, publish::batch::Batcher, streams,
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
    health: Health,
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
        let health = Health::new(platform);
        let give_up = Instant::now() + CONNECT_DEADLINE;
        let (changed, connections) = watch::channel(0);
        let changed = Arc::new(changed);
        let context = loop {
            match Self::try_connect(options, &health, &changed, &platform.drain).await {
                Ok(context) => break context,
                Err(error) if !error.is_passing() => return Err(error),
                Err(error) if Instant::now() >= give_up || platform.drain.is_stopping() => return Err(error),
                Err(error) => tracing::debug!(error = error.chain(), "no broker yet"),
            }
            tokio::time::sleep(CONNECT_PAUSE).await;
        };
        health.connected();
        health.start(&context, &platform.drain);
        let batcher = || Batcher::start(&context);
        let batched = options.nats_flush == Flush::EveryWrite;
        let batchers = batched.then(|| Batchers { leads: batcher(), deliveries: batcher(), parked: batcher() });
        let dedup_window = streams::dedup_window(&context).await?;
        let (memory, drain) = (Memory::start(&context, &connections), platform.drain.clone());
        Ok(Self {
            inner: Arc::new(Inner { context, drain, process: Uuid::new_v4(), batchers, health, memory, dedup_window }),
        })
    }

    async fn try_connect(
        options: &NatsOptions,
        health: &Health,
        connections: &Arc<watch::Sender<u64>>,
        drain: &Drain,
    ) -> Result<Context, JournalError> {
        let servers = Servers::parse(options.nats_url.as_deref().unwrap_or(USUAL_URL))?;
        let shown = || servers.shown();
        // The events of a try that fails are not those of the connection that is used.
        let is_used = Arc::new(AtomicBool::new(false));
        let is_reported = Arc::clone(&is_used);
        let (health, changes, connections, drain) =
            (health.clone(), Arc::clone(connections), Arc::clone(connections), drain.clone());
        let mut connect = with_credentials(options, &health)?
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
                if is_reported.load(Ordering::Relaxed) && !drain.is_stopping() {
                    report(&health, &event);
                }
                async {}
            });
        connect = with_tls(connect, options);
        connect = servers.log_in(connect);
        let client = connect.connect(&servers.addresses[..]).await.map_err(|e| match e.kind() {
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
        is_used.store(true, Ordering::Relaxed);
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

    /// Waits until the broker stores nothing more before it is started again, or until it stores.
    pub async fn storing_needs_restart(&self, needs_restart: bool) {
        // The sender lives as long as the process.
        let _ = self.health().looks().wait_for(|looks| looks.needs_restart() == needs_restart).await;
    }

    pub(crate) fn health(&self) -> &Health {
        &self.inner.health
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

/// The file with credentials is read at each connect.
fn with_credentials(options: &NatsOptions, health: &Health) -> Result<ConnectOptions, JournalError> {
    let Some(file) = options.nats_creds.clone() else { return Ok(ConnectOptions::new()) };
    Credentials::read(&file)
        .map_err(|source| JournalError::Credentials { file: file.display().to_string(), source })?;
    let health = health.clone();
    Ok(ConnectOptions::with_auth_callback(move |nonce| {
        let auth = Credentials::read(&file).map_err(AuthError::new);
        let auth = auth.and_then(|credentials| credentials.sign(&nonce).map_err(AuthError::new));
        if let Err(error) = &auth {
            health.refused(&format!("cannot use the credentials in {}: {error}", file.display()));
        }
        async move { auth }
    }))
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

fn report(health: &Health, event: &Event) {
    match event {
        Event::Connected => health.connected(),
        Event::Disconnected | Event::Closed => health.disconnected(),
        Event::ServerError(ServerError::AuthorizationViolation) => health.refused("authorization violation"),
        Event::ServerError(ServerError::Other(error)) | Event::ClientError(ClientError::Other(error))
            if is_about_credentials(error) =>
        {
            health.refused(error);
        }
        Event::LameDuckMode => tracing::info!("a broker is about to stop; the connection moves to another one"),
        Event::SlowConsumer(subscription) => {
            tracing::warn!(subscription, "messages were dropped before they were taken; they come again");
        }
        other => tracing::debug!(event = %other, "broker connection"),
    }
}

/// Whether the broker, or the client library for it, refuses the credentials. The library gives texts only.
fn is_about_credentials(error: &str) -> bool {
    let error = error.to_lowercase();
    ["authorization violation", "authentication"].iter().any(|words| error.contains(words))
}
