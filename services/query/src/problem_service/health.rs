//! The health of destinations: from the read model, the registry and the reports of dispatchers.

use std::sync::Arc;

use api::{duration_to_api, lanes::lane_to_api, timestamp_to_api};
use domain::{
    delivery::{DeliveryStatus, Switch},
    health::{Counts, HealthState, LaneCondition},
    registry::Destination,
};
use jiff::{SignedDuration, Timestamp};
use read_model::{
    Store,
    tables::{
        counts::Width,
        health::{HealthRow, OPEN},
    },
};
use tokio::time::Instant;
use tonic::Status;

use super::counts::shown_answers;
use crate::{call::errors::failed, lanes::Lanes};

/// The period that rates cover.
const RECENT: SignedDuration = SignedDuration::from_hours(1);

/// The sources of the health of destinations.
#[derive(Debug, Clone)]
pub(crate) struct HealthView {
    pub(crate) store: Store,
    pub(crate) lanes: Lanes,
}

impl HealthView {
    /// The health of these destinations, in their order.
    pub(crate) async fn of(&self, of: &[&Arc<Destination>]) -> Result<Vec<api::DestinationHealth>, Status> {
        let now = Timestamp::now();
        let since = now.checked_sub(RECENT).unwrap_or(Timestamp::MIN);
        let ids: Vec<_> = of.iter().map(|destination| &destination.id).collect();
        let rows = self.store.health_of(&ids).await.map_err(failed)?;
        let waits = |row: &HealthRow| row.open.iter().sum::<i64>() > 0;
        let waiting: Vec<_> = ids.iter().copied().filter(|id| rows.get(*id).is_some_and(waits)).collect();
        let oldest = self.store.oldest_waiting(&waiting).await.map_err(failed)?;
        let counts = self.store.counts_since(&ids, since).await.map_err(failed)?;
        let mut health = vec![];
        for destination in of {
            let row = rows.get(&destination.id).cloned().unwrap_or_default();
            let counts = counts.get(&destination.id).copied().unwrap_or_default();
            let lane = self.lanes.condition(&destination.id, Instant::now());
            let mut shown = health_to_api(destination, &row, &counts, lane, now, since);
            shown.oldest_waiting_at = oldest.get(&destination.id).copied().map(timestamp_to_api);
            self.add_who_switched_off(destination, &mut shown).await?;
            health.push(shown);
        }
        Ok(health)
    }

    async fn add_who_switched_off(
        &self,
        destination: &Destination,
        shown: &mut api::DestinationHealth,
    ) -> Result<(), Status> {
        if let Some(why) = &destination.deactivated {
            shown.switched_off_by = format!("rule: {}", why.cause.as_str());
            shown.switched_off_at = Some(timestamp_to_api(why.at));
        } else if !destination.enabled {
            let by = self.store.disabled_by(&destination.account, &destination.id).await.map_err(failed)?;
            if let Some((actor, at)) = by {
                shown.switched_off_by = actor;
                shown.switched_off_at = Some(timestamp_to_api(at));
            }
        }
        Ok(())
    }
}

fn health_to_api(
    destination: &Destination,
    row: &HealthRow,
    counts: &Counts,
    lane: Option<LaneCondition>,
    now: Timestamp,
    since: Timestamp,
) -> api::DestinationHealth {
    let state = match (&destination.deactivated, destination.enabled, row.streak.state(counts)) {
        (Some(_), _, _) => api::HealthState::Deactivated,
        (None, false, _) => api::HealthState::Disabled,
        (None, true, HealthState::Healthy) => api::HealthState::Healthy,
        (None, true, HealthState::Failing) => api::HealthState::Failing,
        (None, true, HealthState::Idle) => api::HealthState::Idle,
    };
    let (waiting, held) = waiting(row, destination.switch());
    let percentile = |percent| counts.latencies.percentile(percent).map(duration_to_api);
    let since = Timestamp::from_microsecond(Width::FiveMinutes.start_of(since)).unwrap_or(since);
    let streak = &row.streak;
    api::DestinationHealth {
        account_id: destination.account.to_string(),
        destination_id: destination.id.to_string(),
        destination_name: destination.name.clone(),
        state: state.into(),
        summary: summary(state, row, counts, now),
        since: Some(timestamp_to_api(since)),
        succeeded: counts.succeeded,
        failed: counts.failed,
        attempts: counts.attempts,
        failed_attempts: counts.failed_attempts,
        p50: percentile(50),
        p95: percentile(95),
        last_success_at: streak.last_success_at.map(timestamp_to_api),
        last_failure_at: streak.last_failure_at.map(timestamp_to_api),
        failures_in_a_row: streak.failures_in_a_row,
        waiting,
        held,
        oldest_waiting_at: None,
        lane: Some(lane_to_api(destination, lane, now)),
        switched_off_by: String::new(),
        switched_off_at: None,
        answers: Some(shown_answers(&counts.answers)),
    }
}

/// The number of deliveries that wait, and of those that are held, as lists show them.
fn waiting(row: &HealthRow, switch: Switch) -> (u64, u64) {
    let (mut waiting, mut held) = (0, 0);
    for (status, count) in OPEN.into_iter().zip(row.open) {
        let count = u64::try_from(count).unwrap_or_default();
        match status.at_destination(switch) {
            DeliveryStatus::Held => held += count,
            _ => waiting += count,
        }
    }
    (waiting, held)
}

fn summary(state: api::HealthState, row: &HealthRow, counts: &Counts, now: Timestamp) -> String {
    let streak = &row.streak;
    let ago = |at: Timestamp| format!("the last success was {} ago", short(now.duration_since(at)));
    let last_success = streak.last_success_at.map(ago);
    match state {
        api::HealthState::Failing => {
            let last_success = last_success.as_deref().unwrap_or("none has ever succeeded");
            format!("Fails: {} attempts in a row failed; {last_success}.", streak.failures_in_a_row)
        }
        api::HealthState::Idle => "Nothing was sent yet.".to_owned(),
        api::HealthState::Disabled => "A person disabled the destination; its deliveries are held.".to_owned(),
        api::HealthState::Deactivated => "A rule deactivated the destination; its deliveries are held.".to_owned(),
        _ if counts.attempts == 0 => {
            last_success.map_or_else(|| "No attempt has succeeded yet.".to_owned(), |last| format!("Works: {last}."))
        }
        _ => format!("Works: {} of {} attempts succeeded.", counts.attempts - counts.failed_attempts, counts.attempts),
    }
}

/// A time in its largest unit.
fn short(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
