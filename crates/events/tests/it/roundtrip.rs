//! Stored records are read back unchanged, and random bytes cause no panic.

use std::sync::Arc;

use bytes::Bytes;
use domain::{
    AccountId, AttemptId, AttemptOutcome, ClientId, DeliveryFact, DeliveryId, DeliveryRef, DestinationId, ErrorKind,
    EventId, EventType, InterfaceId, JobId, LeadEvent, LeadId, LeadSequence, NoticeFact, NoticeId, RegistryFact,
    RequestId, Work,
    anonymisation::{AnonymisationFact, LeadAnonymised, blank_attempt, blank_event},
    delivery::{
        AttemptStarted, DeliveryAbandoned, DeliveryAttempted, DeliveryHeld, DeliveryReleased, DeliveryRequested,
        FailureReason, HoldReason, NextStep, RequestLine, RequestedWork, RetryRequested, SpanRef, WorkTrace,
    },
    notice::ErrorNoticeSent,
    policy::RetryProgress,
    registry::DeactivationCause,
};
use events::Record;
use proptest::{option, prelude::*, sample::select};

use crate::{
    registry_facts::registry_fact,
    strategies::{span, time, token_text, uuid},
};

prop_compose! {
    fn lead_event()(
        ids in ("[A-Za-z0-9_:-]{1,128}", token_text(), token_text(), "[A-Za-z0-9_:-]{1,128}"),
        client in option::of(token_text()),
        event_type in "[a-z_]{1,10}(\\.[a-z0-9]{1,10}){0,3}",
        times in (time(), time()),
        registry_sequence in any::<u64>(),
        payload in any::<Vec<u8>>(),
    ) -> LeadEvent {
        LeadEvent {
            event_id: EventId::parse(&ids.0).unwrap(),
            account: AccountId::parse(&ids.1).unwrap(),
            interface: InterfaceId::parse(&ids.2).unwrap(),
            client: client.map(|text| ClientId::parse(&text).unwrap()),
            lead: LeadId::parse(&ids.3).unwrap(),
            destination: DestinationId::parse("dst_1").ok().filter(|_| registry_sequence % 2 == 1),
            event_type: EventType::parse(&event_type).unwrap(),
            occurred_at: times.0,
            received_at: times.1,
            registry_sequence,
            hops: 0,
            payload: Bytes::from(payload),
        }
    }
}

prop_compose! {
    fn reference()(
        event in lead_event(),
        destination in token_text(),
        id in uuid(),
        sequence in any::<u64>(),
        requested_at in option::of(time()),
    ) -> Arc<DeliveryRef> {
        Arc::new(DeliveryRef {
            delivery: DeliveryId::from_uuid(id),
            account: event.account,
            interface: event.interface,
            client: event.client,
            destination: DestinationId::parse(&destination).unwrap(),
            event_id: event.event_id,
            event_type: event.event_type,
            lead: event.lead,
            lead_sequence: LeadSequence(sequence),
            requested_at,
        })
    }
}

fn outcome() -> impl Strategy<Value = AttemptOutcome> {
    prop_oneof![
        (any::<u16>(), any::<String>(), option::of(span()))
            .prop_map(|(status, excerpt, retry_after)| AttemptOutcome::Response { status, excerpt, retry_after }),
        (select(ErrorKind::ALL.to_vec()), any::<String>())
            .prop_map(|(kind, message)| AttemptOutcome::NoResponse { kind, message }),
    ]
}

fn reason() -> impl Strategy<Value = FailureReason> {
    select(FailureReason::ALL.to_vec())
}

fn trace() -> impl Strategy<Value = Option<SpanRef>> {
    option::of(any::<(u128, u64)>().prop_map(|(trace_id, span_id)| SpanRef { trace_id, span_id }))
}

fn requested_work() -> impl Strategy<Value = RequestedWork> {
    let here = any::<bool>().prop_map(|again| RequestedWork::Here { again });
    prop_oneof![here, Just(RequestedWork::InTurn), Just(RequestedWork::Parked)]
}

fn next_step() -> impl Strategy<Value = NextStep> {
    prop_oneof![Just(NextStep::Succeeded), time().prop_map(NextStep::RetryAt), reason().prop_map(NextStep::Failed)]
}

prop_compose! {
    fn delivery_fact()(
        reference in reference(),
        kind in 0..8,
        at in time(),
        numbers in any::<(u32, u32, u32)>(),
        id in uuid(),
        text in any::<String>(),
        ended in (span(), outcome(), next_step()),
        reason in reason(),
        hold_reason in select(vec![HoldReason::Disabled, HoldReason::Deactivated]),
        job in option::of(uuid().prop_map(JobId::from_uuid)),
        work in requested_work(),
        trace in trace(),
    ) -> DeliveryFact {
        let (attempt, round, hold) = numbers;
        let attempt_id = AttemptId::from_uuid(id);
        match kind {
            0 => DeliveryFact::Requested(DeliveryRequested { reference, at, work, job }),
            1 => DeliveryFact::RetryRequested(RetryRequested {
                reference,
                round,
                resend: hold,
                attempts: attempt,
                at,
                by: text.clone(),
                reason: text,
                request: (hold % 2 == 1).then(|| RequestId::from_uuid(id)),
                job,
                previous: trace,
            }),
            2 => DeliveryFact::AttemptStarted(AttemptStarted { reference, attempt_id, attempt, round, resend: hold, holds: hold, at }),
            3 => DeliveryFact::Attempted(DeliveryAttempted {
                exchange: (attempt % 3 > 0).then(|| {
                    events::encode_exchange(crate::exchanges::exchange(&reference, attempt, &text), &reference)
                }),
                reference,
                attempt_id,
                attempt,
                round,
                resend: hold,
                started_at: at,
                duration: ended.0,
                request: RequestLine { method: "POST".into(), url: text },
                outcome: ended.1,
                next_step: ended.2,
                deactivated: (ended.0.as_secs() % 2 == 1).then_some(DeactivationCause::Exhausted),
                trace,
            }),
            4 => DeliveryFact::Held(DeliveryHeld {
                reference,
                attempts: attempt,
                round,
                resend: hold / 2,
                hold,
                at,
                reason: hold_reason,
            }),
            5 => DeliveryFact::Released(DeliveryReleased { reference, requested_at: at, at, turn: u64::from(hold) }),
            6 => blank_attempt(DeliveryAttempted {
                reference,
                attempt_id,
                attempt,
                round,
                resend: hold,
                started_at: at,
                duration: ended.0,
                request: RequestLine { method: "POST".into(), url: text },
                outcome: ended.1,
                next_step: ended.2,
                deactivated: None,
                exchange: None,
                trace,
            }),
            _ => DeliveryFact::Abandoned(DeliveryAbandoned {
                reference,
                attempts: attempt,
                round,
                resend: hold,
                at,
                reason,
            }),
        }
    }
}

prop_compose! {
    fn work()(
        reference in reference(),
        numbers in any::<(u32, u32, u32, u32, u32)>(),
        requested_at in time(),
        first_failed_at in option::of(time()),
        previous in trace(),
    ) -> Work {
        let (attempt, round, quick_used, step, holds) = numbers;
        let progress = RetryProgress { quick_used, step, waits: quick_used / 2 };
        let (redelivered, in_turn) = (attempt % 2 == 0, round % 2 == 0);
        let resend = holds / 2;
        let trace = WorkTrace { starts: step % 2 == 0, previous };
        Work {
            reference,
            attempt,
            round,
            resend,
            progress,
            holds,
            redelivered,
            requested_at,
            first_failed_at,
            in_turn,
            trace,
        }
    }
}

prop_compose! {
    fn notice_fact()(reference in reference(), id in uuid(), texts in any::<(Vec<String>, String)>(), at in time())
        -> NoticeFact
    {
        NoticeFact::ErrorNoticeSent(ErrorNoticeSent {
            notice: NoticeId::from_uuid(id),
            account: reference.account.clone(),
            interface: reference.interface.clone(),
            lead: reference.lead.clone(),
            delivery: reference.delivery,
            destination: reference.destination.clone(),
            recipients: texts.0,
            subject: texts.1,
            at,
        })
    }
}

fn survives<T: Record + PartialEq + std::fmt::Debug>(value: &T) {
    assert_eq!(T::decode(value.encode()).as_ref().unwrap(), value);
}

proptest! {
    #[test]
    fn lead_events_survive(value in lead_event()) {
        survives(&value);
    }

    #[test]
    fn anonymisation_facts_survive(event in lead_event(), place in any::<u64>(), at in time(), by in any::<String>()) {
        let (account, lead, until) = (event.account.clone(), event.lead.clone(), LeadSequence(place));
        survives(&AnonymisationFact::LeadAnonymised(LeadAnonymised { account, lead, until, at, by }));
        let blank = blank_event(until, event);
        prop_assert!(matches!(&blank, AnonymisationFact::EventBlanked(f) if f.event.payload.is_empty()));
        survives(&blank);
    }

    #[test]
    fn delivery_facts_survive(value in delivery_fact()) {
        survives(&value);
    }

    #[test]
    fn work_survives(value in work()) {
        survives(&value);
    }

    #[test]
    fn notices_survive(value in notice_fact()) {
        survives(&value);
    }

    #[test]
    fn registry_facts_survive(value in registry_fact()) {
        survives(&value);
    }

    #[test]
    fn random_bytes_are_errors_without_a_panic(bytes in any::<Vec<u8>>()) {
        let bytes = Bytes::from(bytes);
        let _ = LeadEvent::decode(bytes.clone());
        let _ = Work::decode(bytes.clone());
        let _ = NoticeFact::decode(bytes.clone());
        let _ = RegistryFact::decode(bytes.clone());
        prop_assert!(DeliveryFact::decode(bytes).is_err());
    }
}
