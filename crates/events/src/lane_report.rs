//! The reports of dispatchers about lanes that are not open.

use std::time::Duration;

use bytes::Bytes;
use domain::{DestinationId, health::LaneCondition};
use prost::Message as _;
use stored::reported_lane::{Condition, Narrowed, Paused, Probing};
use uuid::Uuid;

use crate::{
    primitives::{message, parsed, uuid},
    record::{Record, RecordError},
    stored,
};

/// The lanes of one dispatcher that are not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneReport {
    pub dispatcher: Uuid,
    pub lanes: Vec<(DestinationId, LaneCondition)>,
}

impl Record for LaneReport {
    const NAME: &'static str = "lane report";

    fn encode(&self) -> Bytes {
        let lane = |(destination, condition): &(DestinationId, LaneCondition)| stored::ReportedLane {
            destination: destination.to_string(),
            condition: Some(match *condition {
                LaneCondition::Probing { after, failures } => {
                    Condition::Probing(Probing { after: micros(after), failures })
                }
                LaneCondition::Paused { left } => Condition::Paused(Paused { left: micros(left) }),
                LaneCondition::Narrowed { allowed, failures } => Condition::Narrowed(Narrowed { allowed, failures }),
            }),
        };
        let lanes = self.lanes.iter().map(lane).collect();
        stored::LaneReport { dispatcher: self.dispatcher.as_bytes().to_vec(), lanes }.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let report: stored::LaneReport = message(Self::NAME, bytes)?;
        let mut lanes = vec![];
        for lane in &report.lanes {
            // A later version may know other conditions.
            let Some(condition) = &lane.condition else { continue };
            let condition = match condition {
                Condition::Probing(Probing { after, failures }) => {
                    LaneCondition::Probing { after: Duration::from_micros(*after), failures: *failures }
                }
                Condition::Paused(Paused { left }) => LaneCondition::Paused { left: Duration::from_micros(*left) },
                Condition::Narrowed(Narrowed { allowed, failures }) => {
                    LaneCondition::Narrowed { allowed: *allowed, failures: *failures }
                }
            };
            lanes.push((parsed(Self::NAME, "destination", &lane.destination, DestinationId::parse)?, condition));
        }
        Ok(Self { dispatcher: uuid(Self::NAME, "dispatcher", &report.dispatcher)?, lanes })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
