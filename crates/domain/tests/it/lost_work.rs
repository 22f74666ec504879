//! When the work of a delivery counts as lost, and the work that replaces it.

use std::time::Duration;

use domain::{
    Delivery, DeliveryFact, DeliveryId, RetryPolicy, Work,
    delivery::{Effect, FailureReason, HoldReason, PendingState, after_attempt, hold, lost_work, may_be_lost},
};
use uuid::Uuid;

use crate::common::{abandoned, execution, refused, requested, status, t, work};

/// No pending work; all messages from before this second are acknowledged.
fn nothing(handled_before: i64) -> PendingState {
    PendingState { handled_before: t(handled_before), timer: false, parked: false, turn: None }
}

fn of(facts: &[DeliveryFact]) -> Delivery {
    facts.iter().fold(None, |state, fact| Some(Delivery::evolve(state, fact).unwrap())).unwrap()
}

/// A delivery whose first attempt failed at second 101, its next work, and when that is due.
fn retrying() -> (Delivery, Work, i64) {
    let policy = RetryPolicy { schedule: vec![Duration::from_secs(60)], ..RetryPolicy::manual() };
    let effects = after_attempt(&work(), &policy, execution(1, t(100), refused()));
    let (mut timer, mut facts) = (None, vec![requested()]);
    for effect in effects {
        match effect {
            Effect::SetTimer { work, at } => timer = Some((work, at.as_second())),
            Effect::Append(fact) => facts.push(fact),
            other => panic!("{other:?}"),
        }
    }
    let (work, due) = timer.unwrap();
    (of(&facts), work, due)
}

#[test]
fn only_work_without_a_place_is_lost() {
    let delivery = of(&[requested()]);
    let lost = lost_work(&delivery, nothing(200)).unwrap();
    assert_eq!(lost, Work { redelivered: true, ..work() }, "the work of the request");
    let somewhere = [
        PendingState { timer: true, ..nothing(200) },
        PendingState { parked: true, ..nothing(200) },
        PendingState { turn: Some(DeliveryId::from_uuid(Uuid::nil())), ..nothing(200) },
        // A process may still hold the unacknowledged message.
        nothing(100),
        nothing(101),
    ];
    for pending in somewhere {
        assert_eq!(lost_work(&delivery, pending), None, "{pending:?}");
    }
}

#[test]
fn lost_work_keeps_its_turn() {
    let delivery = of(&[requested()]);
    let its_own = PendingState { turn: Some(delivery.reference.delivery), ..nothing(200) };
    assert!(lost_work(&delivery, its_own).unwrap().in_turn);
}

#[test]
fn lost_retry_becomes_the_next_attempt_of_its_round() {
    let (delivery, scheduled, due) = retrying();
    let lost = lost_work(&delivery, nothing(200)).unwrap();
    assert_eq!(
        (lost.attempt, lost.round, lost.requested_at),
        (scheduled.attempt, scheduled.round, scheduled.requested_at)
    );
    let minute = Duration::from_secs(60);
    assert!(!may_be_lost(&delivery, t(due + 60), minute), "it is due, but not late yet");
    assert!(may_be_lost(&delivery, t(due + 61), minute));
}

#[test]
fn lost_work_is_held_again_unless_it_has_ended() {
    let (held, _) = hold(&work(), HoldReason::Disabled, t(100));
    let delivery = of(&[requested(), held]);
    assert_eq!(lost_work(&delivery, nothing(200)).unwrap().holds, 1);

    let effects = after_attempt(&work(), &RetryPolicy::manual(), execution(1, t(100), status(200)));
    let Some(Effect::Append(succeeded)) = effects.into_iter().next() else { panic!("a fact") };
    for end in [succeeded, abandoned(&work(), FailureReason::Skipped, t(100))] {
        let delivery = of(&[requested(), end]);
        assert_eq!(lost_work(&delivery, nothing(1_000)), None);
        assert!(!may_be_lost(&delivery, t(1_000_000), Duration::ZERO));
    }
}
