//! The health of a projector.

use journal::StreamName;
use read_model::StoreError;
use runtime::{ErrorChain as _, Latch};

/// Reports whether a projector works: in its readiness, and in the log once for each reason.
pub(super) struct ProjectorHealth {
    pub(super) stream: StreamName,
    pub(super) latch: Latch,
    /// Why the projector is stopped; `None` if it works.
    pub(super) failure: Option<String>,
}

impl ProjectorHealth {
    pub(super) fn works(&mut self) {
        if self.failure.take().is_some() {
            tracing::info!(stream = self.stream.as_str(), "projector resumed");
        }
        self.latch.ready();
    }

    pub(super) fn fails(&mut self, error: &StoreError) {
        let why = error.chain();
        if self.failure.as_ref() != Some(&why) {
            let public = error.public();
            tracing::warn!(
                stream = self.stream.as_str(),
                error = error.chain(),
                "projector stopped: {public}; retrying"
            );
        }
        self.latch.not_ready(error.public());
        self.failure = Some(why);
    }
}
