//! The figures: metrics of the whole installation. They count the work that waits in the broker and its age, the lag of
//! the read model, the sizes of streams, and the messages in quarantine.
//!
//! Figures are taken every five seconds, so that their cost does not depend on the number of readers. Every query
//! process shows the same figures. While the broker or the database does not answer, its figures are missing, not old.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{AccountId, DestinationId, Registry, health::FAILING_AFTER};
use jiff::Timestamp;
use journal::{Journal, JournalError, RegistryView, StreamName};
use read_model::{Sources, Store, StoreError};
use runtime::{
    ErrorChain as _, Platform,
    metrics::{self, KeyValue},
};
use tokio::time::timeout;

/// The interval between two sets of figures.
const INTERVAL: Duration = Duration::from_secs(5);
/// Failing destinations are counted up to this number.
const MAX_FAILING: u32 = 10_000;
/// The maximum number of API keys that metrics name.
const MAX_NAMED_KEYS: usize = 20;
/// The time before its expiry from which an API key is shown beside the first one: that of the alert.
const KEY_EXPIRES_SOON_SECONDS: i64 = 7 * 24 * 60 * 60;
/// How long an expired API key is still shown.
const EXPIRED_FOR_SECONDS: i64 = 24 * 60 * 60;

/// Each gauge: its name, unit and description.
#[rustfmt::skip]
const GAUGES: [(&str, &str, &str); 22] = [
    ("leadline.parked", "{delivery}", "Work that its lane cannot take now"),
    ("leadline.destination.parked", "{delivery}", "Parked work of the destinations that have the most"),
    ("leadline.held", "{delivery}", "Deliveries that are held because their destination is off"),
    ("leadline.ordered", "{delivery}", "Deliveries in ordered queues"),
    ("leadline.timers.pending", "{timer}", "Retries that wait for their time"),
    ("leadline.consumer.waiting", "{message}", "Messages that a consumer has not received"),
    ("leadline.consumer.in_hand", "{message}", "Messages that a consumer has received and not acknowledged"),
    ("leadline.consumer.oldest_waiting", "s", "Age of the first message that a consumer has not acknowledged"),
    ("leadline.read_model.lag", "s", "Age of the first fact that the read model does not show"),
    ("leadline.destinations", "{destination}", "Destinations by their state"),
    ("leadline.problems.open", "{problem}", "Groups of failures with one cause at one destination"),
    ("leadline.jobs", "{job}", "Jobs that have not ended"),
    ("leadline.mails.waiting", "{notice}", "Notices whose mails are not sent"),
    ("leadline.quarantined", "{message}", "Unreadable messages on the stream POISON; must be 0"),
    ("leadline.broker.messages", "{message}", "Messages of a stream"),
    ("leadline.broker.storage.used", "By", "Bytes of a stream on disk, of one replica"),
    ("leadline.broker.storage.limit", "By", "Bytes that a stream may take, if it has a limit"),
    ("leadline.broker.account.storage.used", "By", "Bytes of the broker's account on disk, of all replicas"),
    ("leadline.broker.account.storage.limit", "By", "Bytes that the broker's account may take, if it has a limit"),
    ("leadline.broker.replicas.behind", "{replica}", "Replicas of a stream that lag behind"),
    ("leadline.destination.certificate.expires_in", "s", "Time until the client certificate of a destination expires; the first to expire"),
    ("leadline.api_key.expires_in", "s", "Time until an API key expires: the first one, and those that expire within a week"),
];

type Figures = HashMap<&'static str, Vec<(f64, Vec<KeyValue>)>>;

/// The last figures of each source.
#[derive(Debug, Default)]
struct Latest {
    of_broker: Figures,
    of_database: Figures,
    of_registry: Figures,
}

struct Taker {
    journal: Journal,
    store: Store,
    registry: RegistryView,
    /// The last known checkpoint of each stream; it stays while the database does not answer.
    checkpoints: Vec<(StreamName, u64)>,
}

pub(crate) fn start(sources: &Sources, platform: &Platform) {
    if !metrics::are_on() {
        return;
    }
    let latest = Arc::<Mutex<Latest>>::default();
    observe(&latest);
    let Sources { journal, store, registry, .. } = sources.clone();
    let (mut taker, drain) = (Taker { journal, store, registry, checkpoints: vec![] }, platform.drain.clone());
    platform.drain.spawn("figures", async move {
        loop {
            tokio::select! {
                () = taker.take(&latest) => {}
                () = drain.stopping() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = drain.stopping() => return,
            }
        }
    });
}

fn observe(latest: &Arc<Mutex<Latest>>) {
    for (name, unit, description) in GAUGES {
        let latest = Arc::clone(latest);
        metrics::meter()
            .f64_observable_gauge(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| {
                let latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
                for figures in [&latest.of_broker, &latest.of_database, &latest.of_registry] {
                    for (value, attributes) in figures.get(name).into_iter().flatten() {
                        observer.observe(*value, attributes);
                    }
                }
            })
            .build();
    }
}

impl Taker {
    async fn take(&mut self, latest: &Mutex<Latest>) {
        // A source that does not answer in time has no figures.
        let of_database = match timeout(INTERVAL, self.of_database()).await {
            Ok(Ok(figures)) => figures,
            Ok(Err(error)) => {
                tracing::debug!(error = error.chain(), "cannot take the figures of the read model");
                Figures::new()
            }
            Err(_) => Figures::new(),
        };
        let of_broker = match timeout(INTERVAL, self.of_broker()).await {
            Ok(Ok(figures)) => figures,
            Ok(Err(error)) => {
                tracing::debug!(error = error.chain(), "cannot take the figures of the broker");
                Figures::new()
            }
            Err(_) => Figures::new(),
        };
        let of_registry = of_registry(&self.registry.snapshot(), Timestamp::now());
        *latest.lock().unwrap_or_else(PoisonError::into_inner) = Latest { of_broker, of_database, of_registry };
    }

    async fn of_broker(&self) -> Result<Figures, JournalError> {
        let mut figures = Figures::new();
        self.of_backlog(&mut figures).await?;
        for stream in self.journal.stream_figures().await? {
            let name = || vec![KeyValue::new("messaging.destination.name", stream.stream.as_str())];
            add(&mut figures, "leadline.broker.messages", stream.messages, name());
            add(&mut figures, "leadline.broker.storage.used", stream.bytes, name());
            if let Some(limit) = stream.max_bytes {
                add(&mut figures, "leadline.broker.storage.limit", limit, name());
            }
            add(&mut figures, "leadline.broker.replicas.behind", stream.behind as u64, name());
        }
        let account = self.journal.account_figures().await?;
        add(&mut figures, "leadline.broker.account.storage.used", account.bytes, vec![]);
        if let Some(limit) = account.max_bytes {
            add(&mut figures, "leadline.broker.account.storage.limit", limit, vec![]);
        }
        let now = Timestamp::now();
        for (stream, checkpoint) in &self.checkpoints {
            let first = self.journal.stream(*stream).time_after(*checkpoint).await?;
            let name = vec![KeyValue::new("messaging.destination.name", stream.as_str())];
            put(&mut figures, "leadline.read_model.lag", age(first, now), name);
        }
        Ok(figures)
    }

    async fn of_backlog(&self, figures: &mut Figures) -> Result<(), JournalError> {
        let backlog = self.journal.backlog().await?;
        let consumer = |name: &'static str| vec![KeyValue::new("leadline.consumer", name)];
        for lag in &backlog.lags {
            add(figures, "leadline.consumer.waiting", lag.waiting, consumer(lag.name));
            add(figures, "leadline.consumer.in_hand", lag.in_hand, consumer(lag.name));
        }
        let now = Timestamp::now();
        for (name, oldest) in self.journal.oldest_waiting().await? {
            put(figures, "leadline.consumer.oldest_waiting", age(oldest, now), consumer(name));
        }
        let mails = backlog.lags.iter().filter(|lag| lag.stream == StreamName::Notices);
        add(figures, "leadline.mails.waiting", mails.map(|lag| lag.waiting + lag.in_hand).sum(), vec![]);
        add(figures, "leadline.parked", backlog.parked, vec![]);
        add(figures, "leadline.ordered", backlog.in_order, vec![]);
        add(figures, "leadline.timers.pending", backlog.timers, vec![]);
        add(figures, "leadline.quarantined", backlog.poison, vec![]);
        let named = metrics::named_destinations();
        if named > 0 && backlog.parked > 0 {
            let mut parked = self.journal.parking().lanes().await?;
            parked.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            let registry = self.registry.snapshot();
            for (destination, count) in parked.into_iter().take(named) {
                let account = registry.destination_ever(&destination).map(|known| known.account.as_str());
                let attributes = names(account.unwrap_or_default(), &destination);
                add(figures, "leadline.destination.parked", count, attributes);
            }
        }
        Ok(())
    }

    async fn of_database(&mut self) -> Result<Figures, StoreError> {
        let mut checkpoints = vec![];
        for stream in StreamName::projected() {
            checkpoints.push((stream, self.store.checkpoint(stream).await?));
        }
        self.checkpoints = checkpoints;
        let mut figures = Figures::new();
        let counts = self.store.installation_counts().await?;
        add(&mut figures, "leadline.held", counts.held, vec![]);
        add(&mut figures, "leadline.problems.open", counts.open_problems, vec![]);
        for (status, jobs) in counts.open_jobs {
            let attributes = vec![KeyValue::new("leadline.status", status.as_str())];
            add(&mut figures, "leadline.jobs", jobs, attributes);
        }
        let failing = self.store.failing(FAILING_AFTER, MAX_FAILING).await?;
        let registry = self.registry.snapshot();
        let failing = failing.iter().filter_map(|id| registry.destination(id)).filter(|d| !d.is_off()).count();
        add(&mut figures, "leadline.destinations", failing as u64, state("failing"));
        Ok(figures)
    }
}

fn of_registry(registry: &Registry, now: Timestamp) -> Figures {
    let mut figures = Figures::new();
    let (mut on, mut deactivated, mut disabled, mut expiring) = (0_u64, 0_u64, 0_u64, vec![]);
    let destinations = registry.accounts().flat_map(|account| account.destinations()).filter(|d| !d.deleted);
    for destination in destinations {
        match (destination.deactivated.is_some(), destination.enabled) {
            (true, _) => deactivated += 1,
            (false, false) => disabled += 1,
            (false, true) => on += 1,
        }
        let certificate = destination.transport.client_certificate.as_ref();
        expiring.extend(certificate.map(|certificate| (certificate.not_after, destination)));
    }
    for (count, name) in [(on, "on"), (deactivated, "deactivated"), (disabled, "disabled")] {
        add(&mut figures, "leadline.destinations", count, state(name));
    }
    // The first destination is always named, so that the alert can name it.
    expiring.sort_by_key(|(not_after, _)| *not_after);
    for (not_after, destination) in expiring.into_iter().take(metrics::named_destinations().max(1)) {
        let attributes = names(destination.account.as_str(), &destination.id);
        put(&mut figures, "leadline.destination.certificate.expires_in", left(not_after, now), attributes);
    }
    let keys = registry.keys().filter(|key| key.revoked_at.is_none());
    let expiring = keys.filter_map(|key| Some((key.expires_at?, key)));
    let is_recent = |at: &Timestamp| at.duration_since(now).as_secs() > -EXPIRED_FOR_SECONDS;
    let mut expiring: Vec<_> = expiring.filter(|(at, _)| is_recent(at)).collect();
    expiring.sort_by_key(|(at, _)| *at);
    // The first key is always shown, so that a missing figure means that no key expires.
    let is_soon = |at: &Timestamp| at.duration_since(now).as_secs() < KEY_EXPIRES_SOON_SECONDS;
    let shown = expiring.iter().enumerate().take_while(|(index, (at, _))| *index == 0 || is_soon(at));
    for (_, (next, key)) in shown.take(MAX_NAMED_KEYS) {
        // An empty label of Prometheus is a missing label.
        let account = key.account.as_ref().map(AccountId::as_str).unwrap_or_default().to_owned();
        let attributes =
            vec![KeyValue::new("leadline.account", account), KeyValue::new("leadline.api_key", key.id.to_string())];
        put(&mut figures, "leadline.api_key.expires_in", left(*next, now), attributes);
    }
    figures
}

fn names(account: &str, destination: &DestinationId) -> Vec<KeyValue> {
    let account = KeyValue::new("leadline.account", account.to_owned());
    vec![account, KeyValue::new("leadline.destination", destination.to_string())]
}

fn state(name: &'static str) -> Vec<KeyValue> {
    vec![KeyValue::new("leadline.state", name)]
}

/// The age of the oldest waiting message, in seconds; 0 if none waits.
fn age(since: Option<Timestamp>, now: Timestamp) -> f64 {
    since.map_or(0.0, |since| now.duration_since(since).as_secs_f64().max(0.0))
}

fn left(at: Timestamp, now: Timestamp) -> f64 {
    at.duration_since(now).as_secs_f64()
}

fn add(figures: &mut Figures, name: &'static str, count: u64, attributes: Vec<KeyValue>) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge of more than 2^53 needs no last digit")]
    put(figures, name, count as f64, attributes);
}

fn put(figures: &mut Figures, name: &'static str, value: f64, attributes: Vec<KeyValue>) {
    debug_assert!(GAUGES.iter().any(|(gauge, ..)| *gauge == name), "{name} is not a gauge");
    figures.entry(name).or_default().push((value, attributes));
}
