//! Whether the broker answers and stores, as this process sees it. Sets the parts `broker`, `storage` and
//! `work storage` of the readiness.
//!
//! After a failed write, a stream of nats-server acknowledges nothing and stores nothing until the server is restarted,
//! though the server answers everything else. So a check requests that each stream deletes a message that cannot exist.
//! A healthy stream reports that the message is missing, a broken one reports its error, and nothing is written. A
//! replicated stream is only checked for a leader: another server takes over after a failed write, and the request
//! would be written to the stream's Raft log.
//!
//! An append without an acknowledgement triggers a check at once. Otherwise the checks run every few seconds. Only an
//! append shows that a limit of the broker is reached, or is no longer reached
//! ([`full_streams`](super::full_streams)).

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream::{
    Context, ErrorCode,
    context::{RequestError, RequestErrorKind},
    response::Response,
    stream::Info,
};
use futures::future::join_all;
use runtime::{Drain, ErrorChain as _, Latch, NeededBy, Platform};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use crate::{
    connection::{full_streams::FullStreams, storage_fault::StorageFault},
    error::JournalError,
    measured,
    streams::StreamName,
};

/// The services that need the broker. The others answer from the read model.
#[rustfmt::skip]
const NEED_BROKER: NeededBy = NeededBy::Only(&[
    "ingest", "dispatcher", "notifier",
    "leadline.v1.RegistryService", "leadline.v1.AccessService", "leadline.v1.JobService",
]);
/// The services that cannot work if a stream other than LEADS does not store.
#[rustfmt::skip]
const NEED_WORK_STORAGE: NeededBy = NeededBy::Only(&[
    "dispatcher", "notifier",
    "leadline.v1.RegistryService", "leadline.v1.AccessService", "leadline.v1.JobService",
]);

/// How often the broker is checked for an answer.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The interval while a check fails, so that a recovery is noticed soon.
const TROUBLE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How often each stream is checked while all is well. A refused delete counts as an error in the statistics of the
/// broker, and a failed append triggers a check anyway.
const STORAGE_CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// After this time without an answer the broker counts as not answering, even if the connection is open.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a failed append waits for its cause.
const CAUSE_TIMEOUT: Duration = Duration::from_secs(4);
/// No stream reaches this sequence.
const IMPOSSIBLE_SEQUENCE: u64 = 1 << 62;

#[derive(Debug, Clone)]
pub(crate) struct Health(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    broker: Latch,
    storage: Latch,
    work_storage: Latch,
    connection: Mutex<Connection>,
    /// For metrics.
    is_connected: Arc<AtomicBool>,
    appends: Mutex<Appends>,
    requested: Notify,
    storage_checks: watch::Sender<StorageChecks>,
}

/// What the outcomes of appends show.
#[derive(Debug, Default)]
struct Appends {
    last_acknowledged: Option<Instant>,
    full: FullStreams,
}

#[derive(Debug)]
struct Connection {
    link: Link,
    is_silent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Starting,
    Up,
    Disconnected,
    Refused,
}

/// The result of the last check of all streams.
#[derive(Debug, Clone, Default)]
pub(crate) struct StorageChecks {
    /// How many checks have ended.
    count: u64,
    troubles: Vec<(StreamName, StorageFault)>,
}

impl StorageChecks {
    fn of(&self, stream: StreamName) -> Option<&StorageFault> {
        self.troubles.iter().find(|(name, _)| *name == stream).map(|(_, trouble)| trouble)
    }

    /// Whether a stream stores nothing until the broker is restarted.
    pub(crate) fn needs_restart(&self) -> bool {
        self.troubles.iter().any(|(_, trouble)| trouble.lasts_until_restart())
    }
}

impl Health {
    pub(crate) fn new(platform: &Platform) -> Self {
        let latch = |name, needed_by| platform.readiness.latch_for(name, needed_by);
        let is_connected = Arc::<AtomicBool>::default();
        measured::observe_connection(Arc::clone(&is_connected));
        Self(Arc::new(Shared {
            broker: latch("broker", NEED_BROKER),
            storage: latch("storage", NeededBy::Only(&["ingest"])),
            work_storage: latch("work storage", NEED_WORK_STORAGE),
            connection: Mutex::new(Connection { link: Link::Starting, is_silent: false }),
            is_connected,
            appends: Mutex::default(),
            requested: Notify::new(),
            storage_checks: watch::Sender::default(),
        }))
    }

    /// Checks the broker until the drain.
    pub(crate) fn start(&self, context: &Context, drain: &Drain) {
        self.0.storage.ready();
        self.0.work_storage.ready();
        let (health, context, stop) = (self.clone(), context.clone(), drain.clone());
        drain.spawn("broker health", async move {
            tokio::select! {
                () = health.run(&context) => {}
                () = stop.stopping() => {}
            }
        });
    }

    pub(crate) fn connected(&self) {
        let before = self.change(Link::Up);
        if matches!(before, Link::Disconnected | Link::Refused) {
            measured::reconnected();
            tracing::info!("reconnected to the broker");
        }
        // The broker may have been restarted, and its streams may store again.
        self.0.requested.notify_one();
    }

    pub(crate) fn disconnected(&self) {
        if self.change(Link::Disconnected) == Link::Up {
            tracing::warn!("connection to the broker lost; reconnecting");
        }
    }

    /// The broker refused the credentials.
    pub(crate) fn refused(&self, why: &str) {
        if self.change(Link::Refused) != Link::Refused {
            tracing::error!(
                why,
                "the broker refuses the credentials; replace the file of --nats-creds or the certificate, which are read \
                 again for each connection, or restart with others in --nats-url; reconnecting"
            );
        }
    }

    fn change(&self, link: Link) -> Link {
        let mut connection = self.lock();
        // A broker that refuses the credentials also closes the connection.
        let is_known = connection.link == Link::Refused && link == Link::Disconnected;
        let before = connection.link;
        if !is_known {
            connection.link = link;
        }
        connection.is_silent &= link != Link::Up;
        self.report(&connection);
        before
    }

    /// The broker acknowledged an append.
    pub(crate) fn acknowledged(&self, stream: Option<StreamName>) {
        let mut appends = self.appends();
        appends.last_acknowledged = Some(Instant::now());
        appends.full.acknowledged(stream);
    }

    /// Changes after each check of the streams.
    pub(crate) fn storage_checks(&self) -> watch::Receiver<StorageChecks> {
        self.0.storage_checks.subscribe()
    }

    /// Refuses an append at once if the stream is known not to store. A limit is left to the broker: it answers at once,
    /// and only an append shows that there is room again.
    pub(crate) fn require_storing(&self, stream: StreamName) -> Result<(), JournalError> {
        match self.0.storage_checks.borrow().of(stream) {
            None => Ok(()),
            Some(trouble) if trouble.is_limit() => Ok(()),
            Some(trouble) => Err(JournalError::CannotStore(trouble.clone())),
        }
    }

    /// Replaces the error of an append by its cause, if a check of the streams finds one.
    pub(crate) async fn explain(&self, stream: Option<StreamName>, error: JournalError) -> JournalError {
        if let (Some(stream), JournalError::CannotStore(fault)) = (stream, &error)
            && fault.is_limit()
            && self.appends().full.refused(stream, fault, Instant::now())
        {
            self.0.requested.notify_one();
        }
        if !matches!(error, JournalError::Unavailable { .. }) || self.lock().link != Link::Up {
            return error;
        }
        let mut checks = self.storage_checks();
        let before = checks.borrow_and_update().count;
        self.0.requested.notify_one();
        let Ok(Ok(checks)) = timeout(CAUSE_TIMEOUT, checks.wait_for(|checks| checks.count > before)).await else {
            return error;
        };
        // A broker that has reached a limit answers.
        let mut causes = checks.troubles.iter().filter(|(_, trouble)| !trouble.is_limit());
        let found = causes.clone().find(|(name, _)| Some(*name) == stream).or_else(|| causes.next());
        let found = found.map(|(_, trouble)| trouble.clone());
        drop(checks);
        found.map_or(error, JournalError::CannotStore)
    }

    async fn run(&self, context: &Context) {
        let mut streams_checked_at = None;
        loop {
            let answers = self.check_answer(context).await;
            let due = streams_checked_at.is_none_or(|at: Instant| at.elapsed() >= STORAGE_CHECK_INTERVAL);
            if answers && due {
                self.check_streams(context).await;
                streams_checked_at = Some(Instant::now());
            }
            let well = answers && self.0.storage_checks.borrow().troubles.is_empty();
            if !well {
                streams_checked_at = None;
            }
            tokio::select! {
                () = sleep(if well { CHECK_INTERVAL } else { TROUBLE_CHECK_INTERVAL }) => {}
                () = self.0.requested.notified() => streams_checked_at = None,
            }
        }
    }

    /// Whether the broker answers. An append that it acknowledges meanwhile counts as an answer.
    async fn check_answer(&self, context: &Context) -> bool {
        let begun = Instant::now();
        let answers = timeout(CHECK_TIMEOUT, stream_info(context, StreamName::Leads))
            .await
            .is_ok_and(|info| !matches!(info, Err(error) if matches!(error.kind(), RequestErrorKind::TimedOut)));
        let acknowledged = self.appends().last_acknowledged;
        let answers = answers || acknowledged.is_some_and(|at| at >= begun);
        let mut connection = self.lock();
        if connection.link == Link::Up && connection.is_silent == answers {
            if answers {
                tracing::info!("the broker answers again");
            } else {
                tracing::warn!("the broker does not answer, though the connection is open; retrying");
            }
        }
        connection.is_silent = !answers;
        self.report(&connection);
        answers
    }

    async fn check_streams(&self, context: &Context) {
        let checks = join_all(StreamName::ALL.map(|stream| async move {
            // A missing answer does not show that the stream cannot store.
            let found = timeout(CHECK_TIMEOUT, check_stream(context, stream)).await.unwrap_or(None);
            found.or_else(|| self.appends().full.fault_of(stream, Instant::now())).map(|trouble| (stream, trouble))
        }));
        let troubles: Vec<_> = checks.await.into_iter().flatten().collect();
        let before = self.0.storage_checks.borrow().troubles.clone();
        log(&before, &troubles);
        let of = |is_leads: bool| {
            let mut found = troubles.iter().filter(|(stream, trouble)| match *stream {
                StreamName::Leads => is_leads,
                // The other streams still store, so only the size of this one is reported.
                _ => !is_leads && !matches!(trouble, StorageFault::StreamFull(_)),
            });
            found.next().map(|(_, trouble)| trouble.public())
        };
        for (latch, trouble) in [(&self.0.storage, of(true)), (&self.0.work_storage, of(false))] {
            match trouble {
                None => latch.ready(),
                Some(why) => latch.not_ready(why),
            }
        }
        self.0.storage_checks.send_modify(|checks| {
            checks.count += 1;
            checks.troubles = troubles;
        });
    }

    fn report(&self, connection: &Connection) {
        self.0.is_connected.store(connection.link == Link::Up, Ordering::Relaxed);
        match connection.link {
            Link::Starting => self.0.broker.not_ready("is starting"),
            Link::Disconnected => self.0.broker.not_ready("the broker is disconnected"),
            Link::Refused => self.0.broker.not_ready("the broker refuses the credentials"),
            Link::Up if connection.is_silent => self.0.broker.not_ready("the broker does not answer"),
            Link::Up => self.0.broker.ready(),
        }
    }

    fn appends(&self) -> std::sync::MutexGuard<'_, Appends> {
        self.0.appends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Connection> {
        self.0.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(before: &[(StreamName, StorageFault)], now: &[(StreamName, StorageFault)]) {
    let kind = |troubles: &[(StreamName, StorageFault)]| troubles.first().map(|(_, trouble)| trouble.public());
    match (kind(before), now.first()) {
        (before, Some((stream, trouble))) if before.as_ref() != Some(&trouble.public()) => {
            let (stream, detail, advice) = (stream.as_str(), trouble.detail(), trouble.advice());
            tracing::error!(stream, detail, "{}; {advice}", trouble.public());
        }
        (Some(_), None) => tracing::info!("no fault of the broker's storage is known any more"),
        _ => {}
    }
}

#[derive(Debug, Serialize)]
struct DeleteMessage {
    seq: u64,
}

#[derive(Debug, Deserialize)]
struct MessageDeleted {}

async fn stream_info(context: &Context, stream: StreamName) -> Result<Response<Info>, RequestError> {
    context.request(format!("STREAM.INFO.{}", stream.as_str()), &()).await
}

/// Why a stream does not store; `None` if it stores or gives no answer.
async fn check_stream(context: &Context, stream: StreamName) -> Option<StorageFault> {
    let info = match stream_info(context, stream).await {
        Ok(Response::Ok(info)) => info,
        Ok(Response::Err { error }) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            return Some(StorageFault::NoStream(stream));
        }
        Err(error) if error.kind() == RequestErrorKind::NoResponders => return Some(StorageFault::NoJetStream),
        Ok(Response::Err { .. }) | Err(_) => return None,
    };
    if let Some(cluster) = info.cluster.filter(|cluster| cluster.raft_group.is_some()) {
        return cluster.leader.is_none().then_some(StorageFault::NoLeader(stream));
    }
    let subject = format!("STREAM.MSG.DELETE.{}", stream.as_str());
    let deleted = context.request(subject, &DeleteMessage { seq: IMPOSSIBLE_SEQUENCE }).await;
    match deleted {
        Ok(Response::<MessageDeleted>::Err { error }) => StorageFault::from_storage(&error.chain()),
        Ok(Response::Ok(MessageDeleted {})) | Err(_) => None,
    }
}
