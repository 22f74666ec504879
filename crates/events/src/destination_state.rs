//! The stored state of a destination in the notifier: its health, and its pending notices.

use bytes::Bytes;
use domain::{
    AccountId, DestinationId,
    notice::{DestinationHealth, DestinationState},
};
use prost::Message as _;

use crate::{
    notice::{called_from_stored, called_to_stored},
    primitives::{message, parsed, time},
    record::{Record, RecordError},
    stored,
    window::{window, window_to_stored},
};

impl Record for DestinationState {
    const NAME: &'static str = "destination health";

    fn encode(&self) -> Bytes {
        let health = &self.health;
        let stored = stored::Watched {
            account: self.account.to_string(),
            destination: self.destination.to_string(),
            sequence: health.sequence,
            window: health.window.as_ref().map(window_to_stored),
            failures: health.failures,
            failing_since: health.failing_since.map(|at| at.as_microsecond()),
            alerted: health.alerted,
            deactivated_at: health.deactivated_at.map(|at| at.as_microsecond()),
            last_alert: health.last_alert.map(|at| at.as_microsecond()),
            unsaid: self.pending.iter().map(called_to_stored).collect(),
        };
        stored.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let stored: stored::Watched = message(Self::NAME, bytes)?;
        let optional_time = |field, at: Option<i64>| at.map(|at| time(Self::NAME, field, at)).transpose();
        let health = DestinationHealth {
            sequence: stored.sequence,
            window: stored.window.map(|stored| window(Self::NAME, stored)).transpose()?,
            failures: stored.failures,
            failing_since: optional_time("failing_since", stored.failing_since)?,
            alerted: stored.alerted,
            deactivated_at: optional_time("deactivated_at", stored.deactivated_at)?,
            last_alert: optional_time("last_alert", stored.last_alert)?,
        };
        let account = parsed(Self::NAME, "account", &stored.account, AccountId::parse)?;
        let destination = parsed(Self::NAME, "destination", &stored.destination, DestinationId::parse)?;
        let pending = stored.unsaid.into_iter().map(called_from_stored).collect::<Result<_, _>>()?;
        Ok(Self { account, destination, health, pending })
    }
}
