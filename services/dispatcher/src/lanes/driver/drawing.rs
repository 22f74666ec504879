//! Draws parked work: takes it from the broker, so that the lane attempts, holds or abandons it.

use std::time::Duration;

use domain::delivery::FailureReason;
use runtime::ErrorChain as _;
use tokio::{task::JoinError, time::Instant};

use super::{Drawn, Lane, MAX_DRAWN, State, is_skipped};
use crate::work_item::{WorkItem, WorkSource};

/// The delay before parked work is drawn again after the broker did not answer.
const DRAW_INTERVAL: Duration = Duration::from_secs(1);

impl Lane {
    /// Draws parked work if at least half of the requests that the lane may have are free. With fewer free ones, each
    /// draw would take only a few messages.
    pub(super) fn draw(&mut self, state: &State) {
        let room = self.startable(state);
        let worthwhile = room >= self.in_flight.count();
        if !self.backlog || !self.queue.is_empty() || room == 0 || !worthwhile || self.draw_again_at.is_some() {
            return;
        }
        // Work that cannot start within a second would be parked again.
        let startable = match state {
            State::Open(destination) => destination.rate.map_or(MAX_DRAWN, |rate| rate as usize),
            State::Held(_) | State::Gone | State::Unknown => MAX_DRAWN,
        };
        if let Some(mut parked) = self.parked.take() {
            self.drawing.spawn(async move {
                let taken = parked.take(room.min(startable).min(MAX_DRAWN)).await;
                (parked, taken)
            });
        }
    }

    pub(super) fn drawn(&mut self, drawn: Result<Drawn, JoinError>, state: &State) {
        let Ok((parked, taken)) = drawn else {
            tracing::error!(destination = %self.destination, "cannot draw parked work; its task panicked");
            self.parked = Some(self.shared.journal.parking().lane(&self.destination));
            return;
        };
        self.parked = Some(parked);
        match taken {
            Ok(messages) => {
                self.backlog = !messages.is_empty();
                for message in messages {
                    let item = WorkItem::new(message, WorkSource::Other);
                    match state {
                        State::Gone => self.abandon(item, FailureReason::DestinationDeleted),
                        State::Open(destination) if is_skipped(&item, destination) => {
                            self.abandon(item, FailureReason::Skipped);
                        }
                        // If the destination was disabled just now, the next iteration of the lane's loop holds the
                        // work.
                        _ => self.queue.push(item),
                    }
                }
            }
            Err(error) => {
                tracing::debug!(error = error.chain(), destination = %self.destination, "cannot draw parked work");
                self.draw_again_at = Some(Instant::now() + DRAW_INTERVAL);
            }
        }
    }
}
