//! Metrics of attempts, deliveries and lanes. Attempts and deliveries are counted where their facts are stored
//! ([`crate::effects`]); lanes and requests in flight are observed.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, PoisonError, RwLock},
    time::Duration,
};

use domain::{
    AccountId, AttemptOutcome, DeliveryFact, DestinationId,
    delivery::{DeliveryAttempted, FailureReason, NextStep},
};
use jiff::Timestamp;
use runtime::{
    metrics::{self, Counters, Histograms, KeyValue, LONG_SECONDS, REQUEST_SECONDS},
    trace::TraceContext,
};
use url::Url;

use crate::{
    shared::Shared,
    work_item::{WorkItem, WorkSource},
};

/// Replaces every value that metrics do not name.
const OTHER: &str = "other";

/// The account and destination of a series.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Owner {
    /// Metrics name no destination (`--metrics-destinations`).
    Unnamed,
    Other,
    Named(Arc<(AccountId, DestinationId)>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Attempt {
    outcome: &'static str,
    kind: &'static str,
    owner: Owner,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct End {
    outcome: &'static str,
    reason: &'static str,
    owner: Owner,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Request {
    method: &'static str,
    /// `None` if there was no response.
    status: Option<u16>,
    error: Option<&'static str>,
    server: Option<(Arc<str>, u16)>,
    owner: Owner,
}

static ATTEMPTS: LazyLock<Counters<Attempt>> = LazyLock::new(|| {
    Counters::new("leadline.attempts", "{attempt}", "Attempts that are recorded", |attempt: &Attempt| {
        let own = [KeyValue::new("leadline.outcome", attempt.outcome), KeyValue::new("leadline.kind", attempt.kind)];
        attempt.owner.with(own)
    })
});

static ENDS: LazyLock<Counters<End>> = LazyLock::new(|| {
    Counters::new("leadline.deliveries.ended", "{delivery}", "Deliveries that ended", |end: &End| {
        let own = [KeyValue::new("leadline.outcome", end.outcome), KeyValue::new("leadline.reason", end.reason)];
        end.owner.with(own)
    })
});

static TO_FIRST_ATTEMPT: LazyLock<Histograms<bool>> = LazyLock::new(|| {
    let description = "Time from the acceptance of an event to the first attempt of a delivery; \
                       leadline.waited: whether it waited for its destination, parked, held or in turn";
    Histograms::new("leadline.delivery.time_to_first_attempt", LONG_SECONDS, description, |waited| {
        vec![KeyValue::new("leadline.waited", *waited)]
    })
});

static TO_SUCCESS: LazyLock<Histograms<Owner>> = LazyLock::new(|| {
    let description = "Time from the acceptance of an event to the success of a delivery without a retry by a person";
    Histograms::new("leadline.delivery.time_to_success", LONG_SECONDS, description, |owner| owner.with([]))
});

static REQUESTS: LazyLock<Histograms<Request>> = LazyLock::new(|| {
    let description = "Duration of requests to receivers";
    Histograms::new("http.client.request.duration", REQUEST_SECONDS, description, |request: &Request| {
        let server = request.server.as_ref();
        let mut attributes = vec![
            KeyValue::new("http.request.method", request.method),
            KeyValue::new("server.address", server.map_or_else(|| OTHER.into(), |(address, _)| Arc::clone(address))),
        ];
        attributes.extend(server.map(|(_, port)| KeyValue::new("server.port", i64::from(*port))));
        attributes.extend(request.status.map(|status| KeyValue::new("http.response.status_code", i64::from(status))));
        attributes.extend(match (request.error, request.status) {
            (Some(kind), _) => Some(KeyValue::new("error.type", kind)),
            (None, Some(status)) if status >= 400 => Some(KeyValue::new("error.type", status.to_string())),
            (None, _) => None,
        });
        request.owner.with(attributes)
    })
});

/// The destinations that metrics name: the first ones that had an attempt.
static NAMED: LazyLock<RwLock<HashMap<DestinationId, Owner>>> = LazyLock::new(RwLock::default);

impl Owner {
    fn of(account: &AccountId, destination: &DestinationId) -> Self {
        let max = metrics::named_destinations();
        if max == 0 {
            return Self::Unnamed;
        }
        if let Some(named) = NAMED.read().unwrap_or_else(PoisonError::into_inner).get(destination) {
            return named.clone();
        }
        let mut named = NAMED.write().unwrap_or_else(PoisonError::into_inner);
        if named.len() >= max {
            return Self::Other;
        }
        let owner = || Self::Named(Arc::new((account.clone(), destination.clone())));
        named.entry(destination.clone()).or_insert_with(owner).clone()
    }

    /// The attributes `own`, followed by those of the owner.
    fn with(&self, own: impl IntoIterator<Item = KeyValue>) -> Vec<KeyValue> {
        let (account, destination) = match self {
            Self::Unnamed => return own.into_iter().collect(),
            Self::Other => (OTHER.to_owned(), OTHER.to_owned()),
            Self::Named(names) => (names.0.to_string(), names.1.to_string()),
        };
        let names = [KeyValue::new("leadline.account", account), KeyValue::new("leadline.destination", destination)];
        own.into_iter().chain(names).collect()
    }
}

/// Records that an attempt begins.
pub(crate) fn begun(item: &WorkItem, at: Timestamp, trace: &TraceContext) {
    if item.work.attempt > 1 || item.work.round > 0 {
        return;
    }
    let accepted = item.work.reference.requested_at.unwrap_or(item.work.requested_at);
    let waited = item.source == WorkSource::Other || item.work.holds > 0;
    TO_FIRST_ATTEMPT.record(&waited, since(accepted, at), Some(trace));
}

/// Records that a fact is stored.
pub(crate) fn stored(fact: &DeliveryFact, trace: &TraceContext) {
    if !metrics::are_on() {
        return;
    }
    match fact {
        DeliveryFact::Attempted(attempted) => attempted_once(attempted, trace),
        DeliveryFact::Abandoned(abandoned) => {
            let reference = &abandoned.reference;
            ended(Some(abandoned.reason), Owner::of(&reference.account, &reference.destination));
        }
        _ => {}
    }
}

fn attempted_once(attempted: &DeliveryAttempted, trace: &TraceContext) {
    let (reference, outcome) = (&attempted.reference, &attempted.outcome);
    let owner = Owner::of(&reference.account, &reference.destination);
    let word = if outcome.is_success() { "succeeded" } else { "failed" };
    ATTEMPTS.add(&Attempt { outcome: word, kind: kind(outcome), owner: owner.clone() }, 1);
    let error = outcome.error_kind().map(domain::ErrorKind::as_str);
    // No request was made.
    if error != Some(domain::ErrorKind::Render.as_str()) {
        let status = error.is_none().then(|| outcome.status_code());
        let server = if matches!(owner, Owner::Named(_)) { server(&attempted.request.url) } else { None };
        let request =
            Request { method: method(&attempted.request.method), status, error, server, owner: owner.clone() };
        REQUESTS.record(&request, attempted.duration, Some(trace));
    }
    match attempted.next_step {
        NextStep::Succeeded => {
            if let (0, Some(accepted)) = (attempted.round, reference.requested_at) {
                TO_SUCCESS.record(&owner, since(accepted, attempted.ended_at()), Some(trace));
            }
            ended(None, owner);
        }
        NextStep::Failed(reason) => ended(Some(reason), owner),
        NextStep::RetryAt(_) => {}
    }
}

fn ended(reason: Option<FailureReason>, owner: Owner) {
    let (outcome, reason) = match reason {
        None => ("succeeded", ""),
        Some(reason) => ("failed", reason.as_str()),
    };
    ENDS.add(&End { outcome, reason, owner }, 1);
}

const fn kind(outcome: &AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::NoResponse { kind, .. } => kind.as_str(),
        AttemptOutcome::Response { status, .. } => match *status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => OTHER,
        },
    }
}

fn method(name: &str) -> &'static str {
    const KNOWN: [&str; 6] = ["POST", "PUT", "PATCH", "GET", "DELETE", "HEAD"];
    KNOWN.into_iter().find(|known| *known == name).unwrap_or("_OTHER")
}

fn server(url: &str) -> Option<(Arc<str>, u16)> {
    let url = Url::parse(url).ok()?;
    Some((url.host_str()?.into(), url.port_or_known_default()?))
}

fn since(from: Timestamp, to: Timestamp) -> Duration {
    // Zero if `to` is earlier, because the clocks of two machines may differ.
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// Observes lanes and requests in flight, and registers the counters, so that their rates begin with the first attempt.
/// `count_lanes` counts the open lanes; `None` if it cannot count them at this moment.
pub(crate) fn observe(shared: &Arc<Shared>, count_lanes: impl Fn() -> Option<usize> + Send + Sync + 'static) {
    if !metrics::are_on() {
        return;
    }
    for (outcome, kind) in [("succeeded", "2xx"), ("failed", "5xx")] {
        ATTEMPTS.add(&Attempt { outcome, kind, owner: Owner::Unnamed }, 0);
    }
    ENDS.add(&End { outcome: "succeeded", reason: "", owner: Owner::Unnamed }, 0);
    ENDS.add(&End { outcome: "failed", reason: FailureReason::Exhausted.as_str(), owner: Owner::Unnamed }, 0);
    let meter = metrics::meter();
    let of = Arc::clone(shared);
    meter
        .u64_observable_gauge("leadline.requests.in_flight")
        .with_unit("{request}")
        .with_description("Requests to receivers that are not answered yet")
        .with_callback(move |observer| observer.observe(of.in_flight.count() as u64, &[]))
        .build();
    let max = shared.max_in_flight as u64;
    meter
        .u64_observable_gauge("leadline.requests.limit")
        .with_unit("{request}")
        .with_description("Maximum requests to receivers in flight in this process (--requests, limit of open files)")
        .with_callback(move |observer| observer.observe(max, &[]))
        .build();
    let of = Arc::clone(shared);
    meter
        .u64_observable_gauge("leadline.work.waiting")
        .with_unit("{delivery}")
        .with_description("Work that waits in the memory of this process")
        .with_callback(move |observer| observer.observe(of.waiting.count() as u64, &[]))
        .build();
    let shared = Arc::clone(shared);
    meter
        .u64_observable_gauge("leadline.lanes")
        .with_unit("{lane}")
        .with_description("Lanes that have something to do, by what keeps them from being open")
        .with_callback(move |observer| {
            let not_open = shared.lane_reports.counts();
            let closed: u64 = not_open.iter().map(|(_, count)| count).sum();
            let Some(all) = count_lanes() else { return };
            let open = [("open", (all as u64).saturating_sub(closed))];
            for (state, count) in open.into_iter().chain(not_open) {
                observer.observe(count, &[KeyValue::new("leadline.state", state)]);
            }
        })
        .build();
}
