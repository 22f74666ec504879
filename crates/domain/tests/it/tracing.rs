//! Which trace an attempt belongs to.

use domain::{
    Delivery, DeliveryFact, JobId, RetryPolicy, Work,
    delivery::{
        Effect, MAX_CHILD_AGE, Placement, RetryContext, RetryRequest, SpanRef, after_attempt, hold, request_retry,
    },
};
use uuid::Uuid;

use crate::common::{execution, requested, status, t, work};

const SPAN: SpanRef = SpanRef { trace_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, span_id: 7 };

#[test]
fn only_an_attempt_soon_after_its_request_is_a_child() {
    let work = work();
    let after = |seconds| work.requested_at + jiff::SignedDuration::from_secs(seconds);
    assert_eq!(MAX_CHILD_AGE.as_secs(), 60);
    for (seconds, placement) in
        [(0, Placement::Child), (60, Placement::Child), (61, Placement::OwnTrace), (86_400, Placement::OwnTrace)]
    {
        assert_eq!(work.placement(after(seconds)), placement, "{seconds} s");
    }
    // Held work keeps the time of its request.
    let (_, held) = hold(&work, domain::delivery::HoldReason::Disabled, after(1));
    assert_eq!(held.placement(after(3_600)), Placement::OwnTrace);
}

#[test]
fn requested_attempt_starts_a_trace_and_soon_ones_continue_it() {
    let requested = requested();
    let job = JobId::from_uuid(Uuid::from_u128(1));
    let at = requested.at();
    assert_eq!(Work::requested_by(&requested).unwrap().placement(at), Placement::Child);
    let recovered = Work::requested_by(&requested.requested_in(job)).unwrap();
    assert_eq!(recovered.placement(at), Placement::OwnTrace);

    let mut failing = execution(1, t(100), status(500));
    failing.trace = Some(SPAN);
    let effects = after_attempt(&work(), &RetryPolicy::manual(), failing.clone());
    let Some(Effect::Append(failed)) = effects.into_iter().find(|effect| matches!(effect, Effect::Append(_))) else {
        panic!("no fact")
    };
    let DeliveryFact::Attempted(attempted) = &failed else { panic!("{failed:?}") };
    assert_eq!(attempted.trace, Some(SPAN));
    let delivery = Delivery::evolve(None, &failed).unwrap();
    let retry_request = RetryRequest { by: "me".into(), previous: Some(SPAN), ..RetryRequest::default() };
    let retry = request_retry(&delivery, RetryContext::default(), t(200), retry_request).unwrap();
    let retried = Work::requested_by(&retry).unwrap();
    assert_eq!((retried.placement(t(200)), retried.trace.previous), (Placement::OwnTrace, Some(SPAN)));
    // Its next attempts belong to the trace that the retry starts. A late attempt starts its own trace, which links to
    // the earlier one.
    let again = after_attempt(&retried, &RetryPolicy::standard(), failing);
    let Some(Effect::SetTimer { work: next, .. }) = again.into_iter().next() else { panic!("no timer") };
    assert_eq!((next.placement(t(210)), next.trace.previous), (Placement::Child, Some(SPAN)));
    assert_eq!(next.placement(t(300)), Placement::OwnTrace);
}

#[test]
fn a_span_is_read_back_from_its_bytes_and_its_text() {
    assert_eq!(SpanRef::from_bytes(&SPAN.to_bytes()), Some(SPAN));
    assert_eq!(SpanRef::parse(&SPAN.to_string()), Some(SPAN));
    assert_eq!(SPAN.trace_id(), "0af7651916cd43dd8448eb211c80319c");
    for rubbish in ["", "0af7", "0af7651916cd43dd8448eb211c80319c", "x-y"] {
        assert_eq!((SpanRef::parse(rubbish), SpanRef::from_bytes(rubbish.as_bytes())), (None, None), "{rubbish}");
    }
}
