//! Whether an attempt deactivates its destination.
//!
//! A delivery that used up its attempts deactivates its destination, unless its policy forbids that. By default it
//! deactivates nothing if another delivery succeeded meanwhile. Such a success shows that the receiver works, and
//! rejects only this lead. The domain does not know the successes. If the decision depends on them
//! ([`spared_by_success_since`]), the dispatcher looks for a success, and the [`Execution`] says whether it found one.

use jiff::Timestamp;

use super::{
    facts::{FailureReason, NextStep},
    work::Work,
};
use crate::{
    delivery::execution::{Execution, next_step},
    policy::{Deactivate, RetryPolicy},
    registry::{DeactivatedBy, Deactivation, DeactivationCause},
};

/// 410: the receiver is gone for good (RFC 9110, 15.5.11).
const STATUS_GONE: u16 = 410;

/// If a delivery succeeded at the destination since this time, this execution does not deactivate the destination.
/// `None` if the decision does not depend on a success.
pub fn spared_by_success_since(work: &Work, policy: &RetryPolicy, execution: &Execution) -> Option<Timestamp> {
    let (next_step, _) = next_step(work, policy, execution);
    let decides = policy.deactivate == Deactivate::IfNothingSucceeded
        && cause(work, policy, execution, next_step) == Some(DeactivationCause::Exhausted);
    decides.then(|| first_failure(work, execution.ended_at()))
}

/// Why and when this execution deactivates its destination, if it does.
pub(super) fn deactivation(
    work: &Work,
    policy: &RetryPolicy,
    execution: &Execution,
    next_step: NextStep,
) -> Option<Deactivation> {
    let cause = cause(work, policy, execution, next_step)?;
    let spared = policy.deactivate == Deactivate::IfNothingSucceeded && execution.others_succeeded;
    if cause == DeactivationCause::Exhausted && spared {
        return None;
    }
    let (reference, ended_at) = (&work.reference, execution.ended_at());
    Some(Deactivation {
        at: ended_at,
        cause,
        first_failed_at: work.first_failed_at.or(Some(ended_at)),
        delivery: Some(DeactivatedBy {
            delivery: reference.delivery,
            lead: reference.lead.clone(),
            event_id: reference.event_id.clone(),
            attempts: work.attempt,
            status_code: execution.outcome.status_code(),
            error_kind: execution.outcome.error_kind(),
        }),
    })
}

/// The cause of a deactivation if no delivery succeeded at the destination. Apart from 410, only used-up attempts
/// count, because other reasons to fail do not concern the receiver. A test delivery deactivates nothing, because its
/// failure concerns only the person who tests.
fn cause(work: &Work, policy: &RetryPolicy, execution: &Execution, next_step: NextStep) -> Option<DeactivationCause> {
    if work.reference.event_type.is_test() || execution.destination_off {
        return None;
    }
    if execution.outcome.status_code() == STATUS_GONE {
        return Some(DeactivationCause::Gone);
    }
    let exhausted = next_step == NextStep::Failed(FailureReason::Exhausted);
    (exhausted && policy.deactivate != Deactivate::Never).then_some(DeactivationCause::Exhausted)
}

/// When the delivery first failed. The work knows that time only in round 0. In a later round, and for work that
/// replaces lost work, this function returns the time of the request, which is the latest known time before the first
/// failure.
fn first_failure(work: &Work, ended_at: Timestamp) -> Timestamp {
    match work.first_failed_at {
        Some(at) if work.round == 0 => at,
        None if work.attempt == 1 => ended_at,
        _ => work.reference.requested_at.unwrap_or(work.requested_at),
    }
}
