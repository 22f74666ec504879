//! `leadline.v1.StatusService`: the state of the delivery service itself.
//!
//! Calls within a second of each other get the same answer, so the broker gets the requests of at most one call a
//! second.

use std::{sync::Arc, time::Duration};

use api::{
    duration_to_api,
    status::{invalid, unavailable},
    status_service_server::StatusServiceServer,
    timestamp_to_api,
};
use domain::{DestinationId, Registry, health::FAILING_AFTER, registry::Destination};
use jiff::{SignedDuration, Timestamp};
use journal::{Journal, JournalError, Quarantined, RegistryView, StreamName};
use read_model::{History, Repairs, Store};
use runtime::Readiness;
use tokio::{sync::Mutex, time::Instant};
use tonic::{Request, Response, Status, codec::CompressionEncoding};

use self::sizes::Sizes;
use crate::{
    call::{caller::Caller, errors::failed},
    problem_service::HealthView,
};

mod sizes;

/// The maximum age of an answer that is used for further calls.
const MAX_ANSWER_AGE: Duration = Duration::from_secs(1);
/// The number of destinations in an answer: the default and the maximum.
const DEFAULT_TOP: u32 = 20;
const MAX_TOP: u32 = 500;
/// The period that rates cover.
const RECENT: SignedDuration = SignedDuration::from_hours(1);
/// Failing destinations are counted up to this number.
const MAX_FAILING: u32 = 10_000;
/// The part of the readiness that shows whether the broker answers.
const BROKER: &str = "broker";
/// The part of the trouble about unreadable messages. Readiness does not depend on it, because all parts still work.
const QUARANTINE: &str = "quarantine";

struct StatusService {
    journal: Journal,
    store: Store,
    registry: RegistryView,
    repairs: Repairs,
    sizes: Sizes,
    history: History,
    readiness: Readiness,
    health: HealthView,
    latest: Mutex<Option<(Instant, api::GetStatusResponse)>>,
    shown: Mutex<Option<(Instant, api::GetShownUntilResponse)>>,
}

pub(crate) fn service(
    journal: Journal,
    store: Store,
    registry: RegistryView,
    repairs: Repairs,
    history: History,
    readiness: Readiness,
    health: HealthView,
) -> StatusServiceServer<impl api::status_service_server::StatusService> {
    let sizes = Sizes::new(store.clone());
    let (latest, shown) = (Mutex::default(), Mutex::default());
    let service = StatusService { journal, store, registry, repairs, sizes, history, readiness, health, latest, shown };
    StatusServiceServer::new(service).accept_compressed(CompressionEncoding::Gzip)
}

#[tonic::async_trait]
impl api::status_service_server::StatusService for StatusService {
    async fn get_status(
        &self,
        request: Request<api::GetStatusRequest>,
    ) -> Result<Response<api::GetStatusResponse>, Status> {
        let top = match request.get_ref().top {
            0 => DEFAULT_TOP,
            top if top <= MAX_TOP => top,
            top => return Err(invalid("top", format!("{top} is not from 1 to {MAX_TOP}"))),
        };
        let mut latest = self.latest.lock().await;
        let mut answer = match &*latest {
            Some((at, answer)) if at.elapsed() < MAX_ANSWER_AGE => answer.clone(),
            _ => {
                let answer = self.look().await?;
                *latest = Some((Instant::now(), answer.clone()));
                answer
            }
        };
        drop(latest);
        answer.most_parked.truncate(top as usize);
        answer.most_failing.truncate(top as usize);
        // The cached answer has the trouble about the quarantine. The troubles of this moment are put before it.
        answer.troubles.splice(0..0, self.troubles());
        Ok(Response::new(answer))
    }

    async fn get_shown_until(
        &self,
        request: Request<api::GetShownUntilRequest>,
    ) -> Result<Response<api::GetShownUntilResponse>, Status> {
        let is_platform = Caller::of(&request)?.principal().account().is_none();
        let mut shown = self.shown.lock().await;
        let mut answer = match *shown {
            Some((at, answer)) if at.elapsed() < MAX_ANSWER_AGE => answer,
            _ => shown.insert((Instant::now(), self.shown_until().await?)).1,
        };
        drop(shown);
        if !is_platform {
            answer.waiting = 0;
        }
        Ok(Response::new(answer))
    }
}

impl StatusService {
    async fn look(&self) -> Result<api::GetStatusResponse, Status> {
        let away = |e: JournalError| self.unknown(e.to_string());
        if let Some(trouble) = self.troubles().into_iter().find(|trouble| trouble.part == BROKER) {
            return Err(self.unknown(trouble.text));
        }
        let backlog = self.journal.backlog().await.map_err(away)?;
        let mut parked = self.journal.parking().lanes().await.map_err(away)?;
        let parked_destinations = parked.len() as u64;
        parked.sort_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
        parked.truncate(MAX_TOP as usize);
        let mut lags: Vec<_> =
            backlog.lags.iter().map(|lag| lag_to_api(lag.name, lag.stream, lag.waiting, lag.in_hand)).collect();
        for stream in StreamName::projected() {
            let last = self.journal.stream(stream).last_sequence().await.map_err(away)?;
            let shown = self.store.checkpoint(stream).await.map_err(failed)?;
            lags.push(lag_to_api("projector", stream, last.saturating_sub(shown), 0));
        }
        let mut streams = vec![];
        for stream in StreamName::ALL {
            streams.push(sizes::stream_to_api(stream, self.journal.stream(stream).size().await.map_err(away)?));
        }
        let measured = self.sizes.measured().await;
        let registry = self.registry.snapshot();
        let destinations = || registry.accounts().flat_map(|account| account.destinations()).filter(|d| !d.deleted);
        let counted = |count: usize| count as u64;
        let since = Timestamp::now().checked_sub(RECENT).unwrap_or(Timestamp::MIN);
        let recent = self.store.all_counts_since(since).await.map_err(failed)?;
        let failing = self.failing(&registry).await?;
        Ok(api::GetStatusResponse {
            at: Some(timestamp_to_api(Timestamp::now())),
            parked: backlog.parked,
            parked_destinations,
            most_parked: parked.iter().map(|(id, parked)| parked_to_api(&registry, id, *parked)).collect(),
            timers_pending: backlog.timers,
            lags,
            destinations_deactivated: counted(destinations().filter(|d| d.deactivated.is_some()).count()),
            destinations_disabled: counted(destinations().filter(|d| !d.enabled).count()),
            destinations: counted(destinations().count()),
            poisoned: backlog.poison,
            in_order: backlog.in_order,
            healed_requests: self.repairs.missing(),
            healed_deliveries: self.repairs.stuck(),
            troubles: self.quarantine(backlog.poison).await.map_err(away)?.into_iter().collect(),
            streams,
            tables: measured.tables.iter().map(sizes::table_to_api).collect(),
            database_bytes: measured.database.bytes,
            database_free_bytes: measured.database.free,
            keep_history: Some(duration_to_api(self.history.keep_history)),
            destinations_failing: counted(failing.len()),
            most_failing: self.health.of(&failing.into_iter().take(MAX_TOP as usize).collect::<Vec<_>>()).await?,
            succeeded: recent.succeeded,
            failed: recent.failed,
            attempts: recent.attempts,
            failed_attempts: recent.failed_attempts,
            oldest_waiting_at: self.store.oldest_open().await.map_err(failed)?.map(timestamp_to_api),
        })
    }

    /// The time up to which lists of leads and deliveries are complete.
    async fn shown_until(&self) -> Result<api::GetShownUntilResponse, Status> {
        let away = |e: JournalError| self.unknown(e.to_string());
        let (mut waiting, mut until) = (0, None);
        for stream in [StreamName::Leads, StreamName::Deliveries] {
            // The checkpoint is read last, so that facts that are projected meanwhile do not count as waiting.
            let last = self.journal.stream(stream).last_sequence().await.map_err(away)?;
            let shown = self.store.checkpoint(stream).await.map_err(failed)?;
            if last <= shown {
                continue;
            }
            waiting += last - shown;
            let next = self.journal.stream(stream).time_after(shown).await.map_err(away)?;
            until = [until, next].into_iter().flatten().min();
        }
        Ok(api::GetShownUntilResponse { shown_until: until.map(timestamp_to_api), waiting })
    }

    /// The destinations that are switched on and fail, the one with the latest failure first.
    async fn failing<'a>(&self, registry: &'a Registry) -> Result<Vec<&'a Arc<Destination>>, Status> {
        let found = self.store.failing(FAILING_AFTER, MAX_FAILING).await.map_err(failed)?;
        let known = found.iter().filter_map(|id| registry.destination(id));
        Ok(known.filter(|destination| !destination.is_off()).collect())
    }

    fn troubles(&self) -> Vec<api::Trouble> {
        let report = self.readiness.report().into_iter();
        report.filter_map(|(name, part)| Some(api::Trouble { part: name.into(), text: part.state.err()? })).collect()
    }

    /// The trouble about messages in quarantine; `None` if there are none.
    async fn quarantine(&self, messages: u64) -> Result<Option<api::Trouble>, JournalError> {
        if messages == 0 {
            return Ok(None);
        }
        let latest = self.journal.quarantine().latest().await?;
        Ok(latest.map(|latest| quarantine_to_api(messages, &latest)))
    }

    /// The status of a call whose figures are unknown, with the failures that the readiness reports.
    fn unknown(&self, why: String) -> Status {
        let mut text = format!("cannot count the waiting work: {why}");
        for trouble in self.troubles().into_iter().filter(|trouble| !why.contains(&trouble.text)) {
            text.push_str(&format!("; {}: {}", trouble.part, trouble.text));
        }
        unavailable(text)
    }
}

fn quarantine_to_api(messages: u64, latest: &Quarantined) -> api::Trouble {
    let Quarantined { original, reader, reason } = latest;
    let count = if messages == 1 { "1 message is".to_owned() } else { format!("{messages} messages are") };
    let text =
        format!("{count} unreadable and set aside; the last one is {original}; {reader} cannot read it: {reason}");
    api::Trouble { part: QUARANTINE.to_owned(), text }
}

fn lag_to_api(name: &str, stream: StreamName, waiting: u64, in_hand: u64) -> api::ConsumerLag {
    api::ConsumerLag { name: name.to_owned(), stream: stream.as_str().to_owned(), waiting, in_hand }
}

fn parked_to_api(registry: &Registry, id: &DestinationId, parked: u64) -> api::ParkedDestination {
    let destination = registry.destination_ever(id);
    let state = match destination {
        None => api::ParkedState::Unknown,
        Some(_) if registry.destination(id).is_none() => api::ParkedState::Deleted,
        Some(d) if !d.enabled => api::ParkedState::Disabled,
        Some(d) if d.deactivated.is_some() => api::ParkedState::Deactivated,
        Some(_) => api::ParkedState::Open,
    };
    api::ParkedDestination {
        destination_id: id.to_string(),
        account_id: destination.map(|d| d.account.to_string()).unwrap_or_default(),
        name: destination.map(|d| d.name.clone()).unwrap_or_default(),
        parked,
        state: state.word(),
        state_code: state.into(),
    }
}
