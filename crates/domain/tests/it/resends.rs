//! Resends of succeeded deliveries: when they are allowed, and their effect on the delivery.

use std::time::Duration;

use domain::{
    Delivery, DeliveryFact, DeliveryStatus, RetryPolicy, Work,
    delivery::{
        Effect, HoldReason, PendingState, RetryContext, RetryRefusal, Switch, after_attempt, hold, lost_work,
        request_retry,
    },
};
use jiff::Timestamp;

use crate::common::{execution, insisted, requested, retry_by, status, t, work};

fn attempt(id: u128, work: &Work, at: i64, code: u16) -> DeliveryFact {
    let effects = after_attempt(work, &RetryPolicy::manual(), execution(id, t(at), status(code)));
    let fact = effects.into_iter().find_map(|effect| match effect {
        Effect::Append(fact) => Some(fact),
        _ => None,
    });
    fact.unwrap()
}

fn of(facts: &[DeliveryFact]) -> Delivery {
    facts.iter().fold(None, |state, fact| Some(Delivery::evolve(state, fact).unwrap())).unwrap()
}

/// The facts of a succeeded delivery with a resend, and the work of the resend.
fn resent() -> (Vec<DeliveryFact>, Work) {
    let mut facts = vec![requested(), attempt(1, &work(), 110, 200)];
    let resend = request_retry(&of(&facts), RetryContext::default(), t(200), insisted()).unwrap();
    let work = Work::requested_by(&resend).unwrap();
    facts.push(resend);
    (facts, work)
}

#[test]
fn success_is_resent_only_with_force() {
    let succeeded = of(&[requested(), attempt(1, &work(), 110, 200)]);
    let refused = request_retry(&succeeded, RetryContext::default(), t(200), retry_by("me")).unwrap_err();
    assert_eq!(refused, RetryRefusal::NotFailed(DeliveryStatus::Succeeded));
    assert!(refused.to_string().contains("set force"), "{refused}");

    let (facts, work) = resent();
    let DeliveryFact::RetryRequested(resend) = facts.last().unwrap() else { panic!("{facts:?}") };
    assert_eq!((resend.round, resend.resend, resend.attempts), (1, 1, 1));
    assert!(resend.is_resend());
    assert_eq!((work.attempt, work.round, work.resend), (2, 1, 1));
    assert_eq!(of(&facts).status, DeliveryStatus::Pending);
    assert_eq!(of(&facts).reference, succeeded.reference, "the delivery and its webhook-id stay the same");
}

#[test]
fn undeliverable_deliveries_cannot_be_resent() {
    let succeeded = of(&[requested(), attempt(1, &work(), 110, 200)]);
    for subject in [
        RetryContext { lead_anonymised: true, ..RetryContext::default() },
        RetryContext { destination_deleted: true, ..RetryContext::default() },
        RetryContext { interface_deleted: true, ..RetryContext::default() },
        RetryContext { payload_gone: true, ..RetryContext::default() },
    ] {
        let refused = request_retry(&succeeded, subject, t(200), insisted()).unwrap_err();
        assert_eq!(Err(refused), subject.check());
    }
    let off = RetryContext { switch: Switch::Off, ..RetryContext::default() };
    assert!(request_retry(&succeeded, off, t(200), insisted()).is_ok(), "the resend waits at the destination");
}

#[test]
fn open_deliveries_cannot_be_resent() {
    let held = hold(&work(), HoldReason::Disabled, t(110)).0;
    for facts in [vec![requested()], vec![requested(), held]] {
        let open = of(&facts);
        let refused = request_retry(&open, RetryContext::default(), t(200), insisted()).unwrap_err();
        assert_eq!(refused, RetryRefusal::NotFailed(open.status));
        assert!(refused.to_string().contains("not failed; it continues"), "{refused}");
    }
}

#[test]
fn outcome_of_a_resend_replaces_the_success() {
    let (mut facts, work) = resent();
    facts.push(attempt(2, &work, 210, 500));
    let failed = of(&facts);
    assert_eq!((failed.status, failed.attempts, failed.round), (DeliveryStatus::Failed, 2, 1));
    assert_eq!(failed.last.as_ref().unwrap().outcome.status_code(), 500);

    // The delivery has failed, so a retry needs no `force`. A success then counts for this resend only.
    let retry = request_retry(&failed, RetryContext::default(), t(300), retry_by("me")).unwrap();
    let DeliveryFact::RetryRequested(stored) = &retry else { panic!("{retry:?}") };
    assert_eq!((stored.round, stored.resend, stored.is_resend()), (2, 1, false));
    let again = Work::requested_by(&retry).unwrap();
    facts.extend([retry, attempt(3, &again, 310, 200)]);
    assert_eq!((of(&facts).status, of(&facts).attempts), (DeliveryStatus::Succeeded, 3));
    facts.reverse();
    assert_eq!((of(&facts).status, of(&facts).attempts), (DeliveryStatus::Succeeded, 3), "in any order");
}

#[test]
fn late_facts_from_before_a_resend_change_nothing() {
    let (mut facts, resend) = resent();
    facts.push(attempt(2, &resend, 210, 500));
    let before = of(&facts);
    // A second process made the first attempt, too, and reports it last.
    facts.push(attempt(9, &Work { redelivered: true, ..work() }, 220, 200));
    let after = of(&facts);
    assert_eq!((after.status, after.attempts), (before.status, before.attempts));
    assert_eq!(after.last, before.last);
}

#[test]
fn late_success_of_a_resend_counts() {
    let (mut facts, resend) = resent();
    let failed = attempt(2, &resend, 210, 500);
    facts.push(failed);
    let retry = request_retry(&of(&facts), RetryContext::default(), t(300), retry_by("me")).unwrap();
    facts.push(retry);
    facts.push(attempt(3, &Work { redelivered: true, ..resend }, 320, 200));
    assert_eq!(of(&facts).status, DeliveryStatus::Succeeded, "the receiver has it");
}

#[test]
fn lost_work_of_a_resend_stays_a_resend() {
    let (facts, resend) = resent();
    let nothing = PendingState { handled_before: t(1_000), timer: false, parked: false, turn: None };
    let lost = lost_work(&of(&facts), nothing).unwrap();
    assert_eq!(lost, Work { redelivered: true, ..resend });
    let mut all = facts;
    all.push(attempt(2, &lost, 1_010, 200));
    let healed = of(&all);
    assert_eq!((healed.status, healed.attempts, healed.round), (DeliveryStatus::Succeeded, 2, 1));
}

#[test]
fn held_resend_is_shown_as_held() {
    let (mut facts, resend) = resent();
    let (fact, held) = hold(&resend, HoldReason::Disabled, t(205));
    facts.push(fact);
    assert_eq!(of(&facts).status, DeliveryStatus::Held);
    facts.push(attempt(2, &held, 300, 200));
    assert_eq!(of(&facts).status, DeliveryStatus::Succeeded);
}

#[test]
fn timer_keeps_the_resend_number() {
    let (mut facts, resend) = resent();
    let policy = RetryPolicy { schedule: vec![Duration::from_secs(60)], jitter_percent: 0, ..RetryPolicy::manual() };
    let mut next = None;
    for effect in after_attempt(&resend, &policy, execution(2, t(210), status(503))) {
        match effect {
            Effect::SetTimer { work, .. } => next = Some(work),
            Effect::Append(fact) => facts.push(fact),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(of(&facts).status, DeliveryStatus::Retrying);
    let next = next.unwrap();
    assert_eq!((next.round, next.resend), (1, 1));
    facts.push(attempt(3, &next, 280, 200));
    let ended = of(&facts);
    assert_eq!((ended.status, ended.updated_at > Timestamp::UNIX_EPOCH), (DeliveryStatus::Succeeded, true));
}
