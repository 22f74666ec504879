//! Whether the broker answers and stores, as this process sees it: the parts `broker`, `storage` and `work storage` of
//! its readiness.
//!
//! A stream of nats-server whose write failed answers no publish and stores nothing more until the server is started
//! again, though the server answers everything else. So each stream is asked to delete a message that cannot exist: a
//! stream that works says that there is none, a broken one names its error, and nothing is written. A replicated stream
//! is not asked, because another server takes over, and the request would be written to its Raft log.
//!
//! An append that is not acknowledged makes this look at once. Otherwise it looks for an answer every few seconds.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::jetstream::{
    Context, ErrorCode,
    context::{RequestError, RequestErrorKind},
    response::Response,
    stream::Info,
};
use futures::future::join_all;
use runtime::{Drain, Latch, NeededBy, Platform};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use crate::{JournalError, StreamName, connection::trouble::Trouble};

/// The services that need a broker. The others answer from the read model.
#[rustfmt::skip]
const NEED_BROKER: NeededBy = NeededBy::Only(&[
    "ingest", "dispatcher", "notifier",
    "leadline.v1.RegistryService", "leadline.v1.AccessService", "leadline.v1.JobService",
]);
/// The services that need every stream but LEADS to store.
#[rustfmt::skip]
const NEED_WORK_STORAGE: NeededBy = NeededBy::Only(&[
    "dispatcher", "notifier",
    "leadline.v1.RegistryService", "leadline.v1.AccessService", "leadline.v1.JobService",
]);

/// How often it is looked whether the broker answers.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// The same while there is trouble, so that its end is seen soon.
const TROUBLE_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often each stream is asked whether it stores while all is well: a refused request counts as an error in the
/// figures of the broker, and an append that fails is noticed anyway.
const STORAGE_LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// A broker that has not answered for this long does not work, though the connection still stands.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a failed append waits for the reason.
const REASON_TIMEOUT: Duration = Duration::from_secs(4);
/// No stream gets as far as this sequence.
const IMPOSSIBLE_SEQUENCE: u64 = 1 << 62;

/// Knows whether the broker answers and stores. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Health(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    broker: Latch,
    storage: Latch,
    work_storage: Latch,
    connection: Mutex<Connection>,
    last_acknowledged: Mutex<Option<Instant>>,
    requested: Notify,
    looks: watch::Sender<Looks>,
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
    Away,
    Refused,
}

/// What came of looking at the streams.
#[derive(Debug, Clone, Default)]
pub(crate) struct Looks {
    /// How many looks ended.
    count: u64,
    troubles: Vec<(StreamName, Trouble)>,
}

impl Looks {
    fn of(&self, stream: StreamName) -> Option<&Trouble> {
        self.troubles.iter().find(|(name, _)| *name == stream).map(|(_, trouble)| trouble)
    }

    /// Whether a stream stores nothing more until the broker is started again.
    pub(crate) fn needs_restart(&self) -> bool {
        self.troubles.iter().any(|(_, trouble)| trouble.lasts_until_restart())
    }
}

impl Health {
    pub(crate) fn new(platform: &Platform) -> Self {
        let latch = |name, needed_by| platform.readiness.latch_for(name, needed_by);
        Self(Arc::new(Shared {
            broker: latch("broker", NEED_BROKER),
            storage: latch("storage", NeededBy::Only(&["ingest"])),
            work_storage: latch("work storage", NEED_WORK_STORAGE),
            connection: Mutex::new(Connection { link: Link::Starting, is_silent: false }),
            last_acknowledged: Mutex::default(),
            requested: Notify::new(),
            looks: watch::Sender::default(),
        }))
    }

    /// Looks at the broker until the drain.
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
        if matches!(before, Link::Away | Link::Refused) {
            tracing::info!("the connection to the broker is back");
        }
        // The broker may have been started again, with streams that store again.
        self.0.requested.notify_one();
    }

    pub(crate) fn disconnected(&self) {
        if self.change(Link::Away) == Link::Up {
            tracing::warn!("the connection to the broker is lost; trying again");
        }
    }

    /// The broker does not let this process in.
    pub(crate) fn refused(&self, why: &str) {
        if self.change(Link::Refused) != Link::Refused {
            tracing::error!(
                why,
                "the broker refuses the credentials; replace the file of --nats-creds or the certificate, which are read \
                 again at each try, or start with others in --nats-url; trying again"
            );
        }
    }

    fn change(&self, link: Link) -> Link {
        let mut connection = self.lock();
        // A broker that refuses credentials ends the connection, too.
        let is_known = connection.link == Link::Refused && link == Link::Away;
        let before = connection.link;
        if !is_known {
            connection.link = link;
        }
        connection.is_silent &= link != Link::Up;
        self.show(&connection);
        before
    }

    /// Something was stored.
    pub(crate) fn acknowledged(&self) {
        *self.0.last_acknowledged.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Changes whenever the streams were looked at.
    pub(crate) fn looks(&self) -> watch::Receiver<Looks> {
        self.0.looks.subscribe()
    }

    /// Refuses at once what is known not to be stored.
    pub(crate) fn stores(&self, stream: StreamName) -> Result<(), JournalError> {
        match self.0.looks.borrow().of(stream) {
            None => Ok(()),
            Some(trouble) => Err(JournalError::CannotStore(trouble.clone())),
        }
    }

    /// The reason why an append was not acknowledged, if the streams tell it.
    pub(crate) async fn explain(&self, error: JournalError) -> JournalError {
        if !matches!(error, JournalError::Unavailable { .. }) || self.lock().link != Link::Up {
            return error;
        }
        let mut looks = self.looks();
        let before = looks.borrow_and_update().count;
        self.0.requested.notify_one();
        let Ok(Ok(looks)) = timeout(REASON_TIMEOUT, looks.wait_for(|looks| looks.count > before)).await else {
            return error;
        };
        let found = looks.troubles.first().map(|(_, trouble)| trouble.clone());
        drop(looks);
        found.map_or(error, JournalError::CannotStore)
    }

    async fn run(&self, context: &Context) {
        let mut streams_looked_at = None;
        loop {
            let answers = self.look_for_answer(context).await;
            let due = streams_looked_at.is_none_or(|at: Instant| at.elapsed() >= STORAGE_LOOK_INTERVAL);
            if answers && due {
                self.look_at_streams(context).await;
                streams_looked_at = Some(Instant::now());
            }
            let well = answers && self.0.looks.borrow().troubles.is_empty();
            if !well {
                streams_looked_at = None;
            }
            tokio::select! {
                () = sleep(if well { LOOK_INTERVAL } else { TROUBLE_LOOK_INTERVAL }) => {}
                () = self.0.requested.notified() => streams_looked_at = None,
            }
        }
    }

    /// Whether the broker answers. An append that it acknowledged meanwhile is an answer, too.
    async fn look_for_answer(&self, context: &Context) -> bool {
        let begun = Instant::now();
        let answers = timeout(LOOK_TIMEOUT, stream_info(context, StreamName::Leads))
            .await
            .is_ok_and(|info| !matches!(info, Err(error) if matches!(error.kind(), RequestErrorKind::TimedOut)));
        let acknowledged = *self.0.last_acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = answers || acknowledged.is_some_and(|at| at >= begun);
        let mut connection = self.lock();
        if connection.link == Link::Up && connection.is_silent == answers {
            if answers {
                tracing::info!("the broker answers again");
            } else {
                tracing::warn!("the broker does not answer, though the connection to it stands; trying again");
            }
        }
        connection.is_silent = !answers;
        self.show(&connection);
        answers
    }

    async fn look_at_streams(&self, context: &Context) {
        let looked = join_all(StreamName::ALL.map(|stream| async move {
            // A stream that gives no answer is no news about its storage.
            timeout(LOOK_TIMEOUT, look_at(context, stream)).await.unwrap_or(None).map(|trouble| (stream, trouble))
        }));
        let troubles: Vec<_> = looked.await.into_iter().flatten().collect();
        let before = self.0.looks.borrow().troubles.clone();
        log(&before, &troubles);
        let of = |is_leads: bool| {
            let mut found = troubles.iter().filter(|(stream, _)| (*stream == StreamName::Leads) == is_leads);
            found.next().map(|(_, trouble)| trouble.public())
        };
        for (latch, trouble) in [(&self.0.storage, of(true)), (&self.0.work_storage, of(false))] {
            match trouble {
                None => latch.ready(),
                Some(why) => latch.not_ready(why),
            }
        }
        self.0.looks.send_modify(|looks| {
            looks.count += 1;
            looks.troubles = troubles;
        });
    }

    fn show(&self, connection: &Connection) {
        match connection.link {
            Link::Starting => self.0.broker.not_ready("is starting"),
            Link::Away => self.0.broker.not_ready("the broker is away"),
            Link::Refused => self.0.broker.not_ready("the broker refuses the credentials"),
            Link::Up if connection.is_silent => self.0.broker.not_ready("the broker does not answer"),
            Link::Up => self.0.broker.ready(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Connection> {
        self.0.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(before: &[(StreamName, Trouble)], now: &[(StreamName, Trouble)]) {
    let kind = |troubles: &[(StreamName, Trouble)]| troubles.first().map(|(_, trouble)| trouble.public());
    match (kind(before), now.first()) {
        (before, Some((stream, trouble))) if before.as_ref() != Some(&trouble.public()) => {
            let (stream, detail, advice) = (stream.as_str(), trouble.detail(), trouble.advice());
            tracing::error!(stream, detail, "{}; {advice}", trouble.public());
        }
        (Some(_), None) => tracing::info!("the broker stores again"),
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

/// Why a stream does not store; `None` if it does, or does not tell.
async fn look_at(context: &Context, stream: StreamName) -> Option<Trouble> {
    let info = match stream_info(context, stream).await {
        Ok(Response::Ok(info)) => info,
        Ok(Response::Err { error }) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            return Some(Trouble::NoStream(stream));
        }
        Err(error) if error.kind() == RequestErrorKind::NoResponders => return Some(Trouble::NoJetStream),
        Ok(Response::Err { .. }) | Err(_) => return None,
    };
    if let Some(cluster) = info.cluster.filter(|cluster| cluster.raft_group.is_some()) {
        return cluster.leader.is_none().then_some(Trouble::NoLeader(stream));
    }
    let subject = format!("STREAM.MSG.DELETE.{}", stream.as_str());
    let deleted = context.request(subject, &DeleteMessage { seq: IMPOSSIBLE_SEQUENCE }).await;
    match deleted {
        Ok(Response::<MessageDeleted>::Err { error }) => Trouble::from_storage(&error.to_string()),
        Ok(Response::Ok(MessageDeleted {})) | Err(_) => None,
    }
}
