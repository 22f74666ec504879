//! Deliveries: one lead event for one destination.
//!
//! [`facts`] are stored, and [`state`] folds them. [`decide`] decides what may happen next. [`mod@lost_work`] finds out
//! whether the work of a delivery is lost, [`deactivation`] whether an attempt deactivates its destination, and
//! [`tracing`] which trace an attempt belongs to.

mod deactivation;
mod decide;
mod exchange;
mod execution;
mod facts;
mod filter;
mod lost_work;
pub(crate) mod state;
mod tracing;
mod work;

pub use deactivation::spared_by_success_since;
pub use decide::{
    Effect, RetryContext, RetryRefusal, RetryRequest, abandon, after_attempt, hold, release, release_next, request,
    request_in_turn, request_parked, request_retry,
};
pub use exchange::{EncodedExchange, Exchange, HeaderLine, HttpVersion, Times};
pub use execution::Execution;
pub use facts::{
    AttemptStarted, DeliveryAbandoned, DeliveryAttempted, DeliveryFact, DeliveryHeld, DeliveryRef, DeliveryReleased,
    DeliveryRequested, FailureReason, HoldReason, NextStep, RequestLine, RequestedWork, RetryRequested,
};
pub use filter::DeliveryFilter;
pub use lost_work::{PendingState, lost_work, may_be_lost};
pub use state::{Delivery, DeliveryStatus, IllegalHistory, InJob, LastAttempt, Position, RoundOutcome, Switch};
pub use tracing::{MAX_CHILD_AGE, Placement, SpanRef, WorkTrace};
pub use work::Work;
