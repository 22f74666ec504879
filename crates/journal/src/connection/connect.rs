//! Connects to the broker, and checks its version.

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
use runtime::{Drain, ErrorChain as _, Platform, causes};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use crate::{
    clock::ANSWER_DEADLINE,
    connection::{
        credentials::Credentials,
        health::Health,
        options::{DEFAULT_URL, Flush, NatsOptions},
        servers::Servers,
        set_up,
    },
    consume::restart_watermark::RestartWatermark,
    error::JournalError,
    publish::batch::Batcher,
};

/// The oldest broker whose message schedules are reliable.
const MIN_BROKER_VERSION: (i64, i64, i64) = (2, 15, 1);
const MIN_BROKER_VERSION_TEXT: &str = "2.15.1";
/// How long a process waits for a broker that is still starting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_RETRY_DELAY: Duration = Duration::from_millis(250);
/// How many appends may wait for their acknowledgement at once; further appends wait before they are sent.
const MAX_IN_FLIGHT: usize = 8_192;
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
    restart_watermark: RestartWatermark,
    dedup_window: Duration,
}

/// Group commit for each stream with many concurrent appends: a batch belongs to one stream.
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
    /// Connects, and sets up the streams. Waits for a broker that is still starting.
    ///
    /// # Errors
    /// When no broker answers within 30 seconds, it is older than 2.15.1, or it refuses the streams.
    pub async fn connect(options: &NatsOptions, platform: &Platform) -> Result<Self, JournalError> {
        let health = Health::new(platform);
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let (changed, connections) = watch::channel(0);
        let changed = Arc::new(changed);
        let context = loop {
            match Self::try_connect(options, &health, &changed, &platform.drain).await {
                Ok(context) => break context,
                Err(error) if !error.is_passing() => return Err(error),
                Err(error) if Instant::now() >= deadline || platform.drain.is_stopping() => return Err(error),
                Err(error) => tracing::debug!(error = error.chain(), "cannot connect to the broker; retrying"),
            }
            tokio::time::sleep(CONNECT_RETRY_DELAY).await;
        };
        health.connected();
        health.start(&context, &platform.drain);
        let batcher = || Batcher::start(&context);
        let batched = options.nats_flush == Flush::EveryWrite;
        let batchers = batched.then(|| Batchers { leads: batcher(), deliveries: batcher(), parked: batcher() });
        let dedup_window = set_up::dedup_window(&context).await?;
        let (restart_watermark, drain) = (RestartWatermark::start(&context, &connections), platform.drain.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                context,
                drain,
                process: Uuid::new_v4(),
                batchers,
                health,
                restart_watermark,
                dedup_window,
            }),
        })
    }

    async fn try_connect(
        options: &NatsOptions,
        health: &Health,
        connections: &Arc<watch::Sender<u64>>,
        drain: &Drain,
    ) -> Result<Context, JournalError> {
        let servers = Servers::parse(options.nats_url.as_deref().unwrap_or(DEFAULT_URL))?;
        let shown = || servers.shown();
        // Events of a connection that failed to set up do not concern the connection that is used later.
        let is_used = Arc::new(AtomicBool::new(false));
        let is_reported = Arc::clone(&is_used);
        let (health, changes, connections, drain) =
            (health.clone(), Arc::clone(connections), Arc::clone(connections), drain.clone());
        let mut connect = with_credentials(options, &health)?
            .name("leadline")
            .ping_interval(PING_INTERVAL)
            .request_timeout(Some(ANSWER_DEADLINE))
            // Only the first connection is made without delay. If the client reconnects before this process notices the
            // loss, it requests messages again only after some seconds of silence.
            .reconnect_delay_callback(move |tries| match (tries, *changes.borrow()) {
                (1, 0) => Duration::ZERO,
                _ => CONNECT_RETRY_DELAY,
            })
            .event_callback(move |event| {
                if matches!(event, Event::Connected | Event::Disconnected) {
                    connections.send_modify(|changes| *changes += 1);
                }
                // The connection may close during the drain; that is not reported.
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
        if !client.is_server_compatible(MIN_BROKER_VERSION.0, MIN_BROKER_VERSION.1, MIN_BROKER_VERSION.2) {
            let found = client.server_info().version;
            return Err(JournalError::TooOld { url: shown(), found, needed: MIN_BROKER_VERSION_TEXT });
        }
        let context = ContextBuilder::new()
            .timeout(ANSWER_DEADLINE)
            .max_ack_inflight(MAX_IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client);
        set_up::set_up(&context, options).await?;
        is_used.store(true, Ordering::Relaxed);
        Ok(context)
    }

    pub(crate) fn context(&self) -> &Context {
        &self.inner.context
    }

    /// The id of this process among those that share the broker.
    pub(crate) fn process(&self) -> Uuid {
        self.inner.process
    }

    /// Whether the broker still remembers the message ids of facts that were stored at `since` or later.
    pub fn remembers_ids_since(&self, since: Timestamp, now: Timestamp) -> bool {
        // Only half of the window counts, because the clocks of broker and services may differ.
        let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        age < self.inner.dedup_window / 2
    }

    /// The time from which the broker remembers message ids, by the clock of this process.
    pub fn remembers_ids_from(&self, now: Instant) -> Instant {
        now.checked_sub(self.inner.dedup_window / 2).unwrap_or(now)
    }

    /// Waits until the broker needs a restart to store again (`true`), or until it stores again (`false`).
    pub async fn storing_needs_restart(&self, needs_restart: bool) {
        // The sender lives as long as the process.
        let _ = self.health().storage_checks().wait_for(|checks| checks.needs_restart() == needs_restart).await;
    }

    pub(crate) fn health(&self) -> &Health {
        &self.inner.health
    }

    pub(crate) fn restart_watermark(&self) -> &RestartWatermark {
        &self.inner.restart_watermark
    }

    pub fn drain(&self) -> &Drain {
        &self.inner.drain
    }

    pub(crate) fn batchers(&self) -> Option<&Batchers> {
        self.inner.batchers.as_ref()
    }
}

/// The credentials file is read again for each connection.
fn with_credentials(options: &NatsOptions, health: &Health) -> Result<ConnectOptions, JournalError> {
    let Some(file) = options.nats_creds.clone() else { return Ok(ConnectOptions::new()) };
    Credentials::read(&file)
        .map_err(|source| JournalError::Credentials { file: file.display().to_string(), source })?;
    let health = health.clone();
    Ok(ConnectOptions::with_auth_callback(move |nonce| {
        let auth = Credentials::read(&file).map_err(AuthError::new);
        let auth = auth.and_then(|credentials| credentials.sign(&nonce).map_err(AuthError::new));
        if let Err(error) = &auth {
            health.refused(&format!("cannot use the credentials in {}: {}", file.display(), error.chain()));
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

/// Whether TLS caused the failure. The client library reports it as an I/O error unless a file is the cause.
fn is_tls(error: &ConnectError) -> bool {
    let inner = |error: &(dyn Error + 'static)| {
        let io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        io.is_some_and(|inner| inner.is::<async_nats::rustls::Error>()) || error.is::<async_nats::rustls::Error>()
    };
    error.kind() == ConnectErrorKind::Tls || causes(error).any(inner)
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
        Event::LameDuckMode => tracing::info!("broker enters lame duck mode; connecting to another server"),
        Event::SlowConsumer(subscription) => {
            tracing::warn!(subscription, "slow consumer: the client dropped messages; the broker redelivers them");
        }
        other => tracing::debug!(event = %other, "broker connection"),
    }
}

/// Whether the broker, or the client library on its behalf, refuses the credentials. The library only returns texts.
fn is_about_credentials(error: &str) -> bool {
    let error = error.to_lowercase();
    ["authorization violation", "authentication"].iter().any(|words| error.contains(words))
}
