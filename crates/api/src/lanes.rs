//! Conversion of the condition of a lane.

use std::time::Duration;

use domain::{health::LaneCondition, registry::Destination};
use jiff::{SignedDuration, Timestamp};

use crate::primitives::timestamp_to_api;

/// The lane of a destination; `condition` is `None` if the lane is open.
pub fn lane_to_api(destination: &Destination, condition: Option<LaneCondition>, now: Timestamp) -> crate::Lane {
    let until = |after: Duration| {
        let at = SignedDuration::try_from(after).ok().and_then(|after| now.checked_add(after).ok());
        at.map(timestamp_to_api)
    };
    let secs = |time: Duration| time.as_secs_f64().ceil();
    if destination.is_off() {
        let summary = "the destination is switched off, so its deliveries are held".to_owned();
        return crate::Lane { state: crate::LaneState::Held.into(), summary, ..crate::Lane::default() };
    }
    match condition {
        None => crate::Lane {
            state: crate::LaneState::Open.into(),
            allowed: destination.concurrency,
            summary: "open".to_owned(),
            ..crate::Lane::default()
        },
        Some(LaneCondition::Probing { after, failures }) => crate::Lane {
            state: crate::LaneState::Probing.into(),
            until: until(after),
            failures_in_a_row: failures,
            allowed: 0,
            summary: format!("probing in {} s after {failures} failures", secs(after)),
        },
        Some(LaneCondition::Paused { left }) => crate::Lane {
            state: crate::LaneState::Paused.into(),
            until: until(left),
            summary: format!("paused by Retry-After for {} s", secs(left)),
            ..crate::Lane::default()
        },
        Some(LaneCondition::Narrowed { allowed, failures }) => crate::Lane {
            state: crate::LaneState::Narrowed.into(),
            failures_in_a_row: failures,
            allowed,
            summary: format!("narrowed to {allowed} of {} requests at once", destination.concurrency),
            ..crate::Lane::default()
        },
    }
}
