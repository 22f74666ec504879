//! When a delivery deactivates its destination, and the status of deliveries that wait there.

use std::sync::Arc;

use domain::{
    AttemptOutcome, DeliveryFact, DeliveryRef, DeliveryStatus, ErrorKind, EventType, RetryPolicy, Work,
    delivery::{Effect, Execution, Switch, after_attempt, spared_by_success_since},
    policy::Deactivate,
    registry::{DeactivatedBy, Deactivation, DeactivationCause},
};

use crate::common::{execution, refused, requested, status, t, work};

/// A policy without further attempts.
fn policy(deactivate: Deactivate) -> RetryPolicy {
    RetryPolicy { deactivate, ..RetryPolicy::manual() }
}

/// The last attempt of a delivery whose first failure was at second 40.
fn last() -> Work {
    Work { attempt: 3, first_failed_at: Some(t(40)), ..work() }
}

fn ended(work: &Work, policy: &RetryPolicy, outcome: AttemptOutcome, others_succeeded: bool) -> Option<Deactivation> {
    let execution = Execution { others_succeeded, ..execution(1, t(100), outcome) };
    let effects = after_attempt(work, policy, execution);
    let why = effects.iter().find_map(|effect| match effect {
        Effect::Deactivate { why, .. } => Some(why.clone()),
        _ => None,
    });
    // The fact of the attempt and the deactivation have the same cause.
    let recorded = effects.iter().find_map(|effect| match effect {
        Effect::Append(DeliveryFact::Attempted(f)) => Some(f.deactivated),
        _ => None,
    });
    assert_eq!(recorded.unwrap(), why.as_ref().map(|why| why.cause));
    why
}

#[test]
fn deactivation_depends_on_the_rule_and_other_successes() {
    use Deactivate::{IfNothingSucceeded, Never, OnExhaustion};
    use DeactivationCause::{Exhausted, Gone};
    let table = [
        (Never, 422, false, None),
        (Never, 422, true, None),
        (Never, 410, true, Some(Gone)),
        (IfNothingSucceeded, 422, false, Some(Exhausted)),
        (IfNothingSucceeded, 422, true, None),
        (IfNothingSucceeded, 503, true, None),
        (IfNothingSucceeded, 410, true, Some(Gone)),
        (IfNothingSucceeded, 200, false, None),
        (OnExhaustion, 422, false, Some(Exhausted)),
        (OnExhaustion, 422, true, Some(Exhausted)),
        (OnExhaustion, 410, true, Some(Gone)),
        (OnExhaustion, 200, false, None),
    ];
    for (rule, code, others, cause) in table {
        let why = ended(&last(), &policy(rule), status(code), others);
        assert_eq!(why.map(|why| why.cause), cause, "{rule:?} {code} {others}");
    }
    for (preset, rule) in [
        (RetryPolicy::standard(), IfNothingSucceeded),
        (RetryPolicy::patient(), IfNothingSucceeded),
        (RetryPolicy::manual(), Never),
    ] {
        assert_eq!(preset.deactivate, rule);
    }
}

#[test]
fn successes_are_looked_up_only_if_they_decide() {
    let since =
        |work: &Work, rule, outcome| spared_by_success_since(work, &policy(rule), &execution(1, t(100), outcome));
    let rule = Deactivate::IfNothingSucceeded;
    assert_eq!(since(&last(), rule, status(422)), Some(t(40)));
    assert_eq!(since(&last(), rule, refused()), Some(t(40)));
    // The attempt begins at 100 and ends at 101.
    assert_eq!(since(&work(), rule, status(422)), Some(t(101)), "this attempt is the first failure");
    // The first failure is unknown for later rounds and for lost work.
    let requested_at = requested().reference().requested_at;
    let retried = Work { round: 1, first_failed_at: Some(t(90)), requested_at: t(80), ..last() };
    assert_eq!(since(&retried, rule, status(422)), requested_at);
    assert_eq!(since(&Work { first_failed_at: None, ..last() }, rule, status(422)), requested_at);
    for (rule, outcome) in [
        (Deactivate::Never, status(422)),
        (Deactivate::OnExhaustion, status(422)),
        (rule, status(410)),
        (rule, status(200)),
    ] {
        assert_eq!(since(&last(), rule, outcome.clone()), None, "{rule:?} {outcome:?}");
    }
    let again = RetryPolicy { schedule: vec![std::time::Duration::from_secs(1)], ..policy(rule) };
    assert_eq!(spared_by_success_since(&last(), &again, &execution(1, t(100), status(422))), None);
    let off = Execution { destination_off: true, ..execution(1, t(100), status(422)) };
    assert_eq!(spared_by_success_since(&last(), &policy(rule), &off), None);
    let event_type = EventType::webhook_test();
    let test =
        Work { reference: Arc::new(DeliveryRef { event_type, ..DeliveryRef::clone(&last().reference) }), ..last() };
    assert_eq!(since(&test, rule, status(422)), None);
}

#[test]
fn deactivation_names_the_delivery_and_the_last_answer() {
    let why = ended(&last(), &policy(Deactivate::IfNothingSucceeded), refused(), false).unwrap();
    assert_eq!((why.at, why.first_failed_at), (t(101), Some(t(40))));
    let reference = last().reference;
    let by = DeactivatedBy {
        delivery: reference.delivery,
        lead: reference.lead.clone(),
        event_id: reference.event_id.clone(),
        attempts: 3,
        status_code: 999,
        error_kind: Some(ErrorKind::Connect),
    };
    assert_eq!(why.delivery, Some(by));
}

#[test]
fn rule_takes_precedence_over_the_older_flag() {
    for rule in Deactivate::ALL {
        for flag in [false, true] {
            assert_eq!(Deactivate::parse(rule.as_str(), flag), Some(rule));
        }
    }
    assert_eq!(Deactivate::parse("", true), Some(Deactivate::IfNothingSucceeded));
    assert_eq!(Deactivate::parse("", false), Some(Deactivate::Never));
    assert_eq!(Deactivate::parse("sometimes", true), None);
}

#[test]
fn deliveries_at_a_disabled_destination_are_held() {
    use DeliveryStatus::{Failed, Held, Pending, Processing, Retrying, Succeeded};
    for (status, off, in_order) in [
        (Pending, Held, Pending),
        (Retrying, Held, Held),
        (Held, Held, Held),
        (Processing, Processing, Processing),
        (Succeeded, Succeeded, Succeeded),
        (Failed, Failed, Failed),
    ] {
        let shown = [Switch::On, Switch::Off, Switch::OffInOrder].map(|switch| status.at_destination(switch));
        assert_eq!(shown, [status, off, in_order]);
    }
}
