//! Decoding a damaged record returns an error or another value, and never panics. Extreme values are read back
//! unchanged.

use std::{error::Error as _, fmt::Debug, sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{
    AccountId, AttemptId, AttemptOutcome, ClientId, DeliveryFact, DeliveryId, DeliveryRef, DestinationId, ErrorKind,
    EventId, EventType, InterfaceId, JobId, LeadEvent, LeadId, LeadSequence, NoticeFact, NoticeId, RegistryFact,
    RequestId, TokenId, Work,
    delivery::{
        AttemptStarted, DeliveryAbandoned, DeliveryAttempted, DeliveryHeld, DeliveryReleased, DeliveryRequested,
        FailureReason, HoldReason, NextStep, RequestLine, RequestedWork, RetryRequested, SpanRef, WorkTrace,
    },
    notice::ErrorNoticeSent,
    policy::RetryProgress,
    registry::{Algorithm, Change, DeactivationCause, SealedSecret, Token, TokenSecret},
};
use events::{Record, RecordError};
use jiff::Timestamp;
use proptest::{prelude::*, sample::select};
use uuid::Uuid;

fn t(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn account() -> AccountId {
    AccountId::parse("acme").unwrap()
}

fn lead_event() -> LeadEvent {
    LeadEvent {
        event_id: EventId::parse("crm:42").unwrap(),
        account: account(),
        interface: InterfaceId::parse("form").unwrap(),
        client: Some(ClientId::parse("client").unwrap()),
        lead: LeadId::parse("lead").unwrap(),
        destination: None,
        event_type: EventType::parse("email.open").unwrap(),
        occurred_at: t(1),
        received_at: t(2),
        registry_sequence: 3,
        hops: 0,
        payload: Bytes::from_static(b"{}"),
    }
}

fn reference() -> Arc<DeliveryRef> {
    let event = lead_event();
    Arc::new(DeliveryRef {
        delivery: DeliveryId::from_uuid(Uuid::from_u128(1)),
        account: event.account,
        interface: event.interface,
        client: event.client,
        destination: DestinationId::parse("dst").unwrap(),
        event_id: event.event_id,
        event_type: event.event_type,
        lead: event.lead,
        lead_sequence: LeadSequence(u64::MAX),
        requested_at: Some(t(4)),
    })
}

fn work() -> Work {
    Work {
        reference: reference(),
        attempt: 2,
        round: 1,
        resend: 1,
        progress: RetryProgress { quick_used: 1, step: 2, waits: 3 },
        redelivered: true,
        holds: 3,
        requested_at: t(4),
        first_failed_at: Some(t(5)),
        in_turn: true,
        trace: WorkTrace { starts: true, previous: Some(SpanRef { trace_id: 8, span_id: 9 }) },
    }
}

fn attempted(outcome: AttemptOutcome, next_step: NextStep) -> DeliveryAttempted {
    DeliveryAttempted {
        reference: reference(),
        attempt_id: AttemptId::from_uuid(Uuid::from_u128(2)),
        attempt: 1,
        round: 0,
        resend: 0,
        started_at: t(6),
        duration: Duration::from_millis(7),
        request: RequestLine { method: "POST".into(), url: "https://crm.example/".into() },
        exchange: Some(events::encode_exchange(crate::exchanges::exchange(&reference(), 2, "body"), &reference())),
        outcome,
        next_step,
        deactivated: Some(DeactivationCause::Gone),
        trace: Some(SpanRef { trace_id: 8, span_id: 9 }),
    }
}

fn response(retry_after: Option<Duration>) -> AttemptOutcome {
    AttemptOutcome::Response { status: 503, excerpt: "away".into(), retry_after }
}

fn delivery_facts() -> Vec<DeliveryFact> {
    let (reference, at, attempt_id) = (reference(), t(8), AttemptId::from_uuid(Uuid::from_u128(2)));
    let same = || Arc::clone(&reference);
    let job = Some(JobId::from_uuid(Uuid::from_u128(4)));
    let none = AttemptOutcome::NoResponse { kind: ErrorKind::Tls, message: "expired".into() };
    let mut facts = vec![
        DeliveryFact::Requested(DeliveryRequested { reference: same(), at, work: RequestedWork::InTurn, job: None }),
        DeliveryFact::Requested(DeliveryRequested { reference: same(), at, work: RequestedWork::Parked, job: None }),
        DeliveryFact::Requested(DeliveryRequested {
            reference: same(),
            at,
            work: RequestedWork::Here { again: true },
            job,
        }),
        DeliveryFact::Released(DeliveryReleased { reference: same(), requested_at: t(7), at, turn: 8 }),
        DeliveryFact::RetryRequested(RetryRequested {
            reference: same(),
            round: 1,
            resend: 1,
            attempts: 2,
            at,
            by: "me".into(),
            reason: "lost".into(),
            request: Some(RequestId::parse("call-1").unwrap()),
            job,
            previous: Some(SpanRef { trace_id: 8, span_id: 9 }),
        }),
        DeliveryFact::AttemptStarted(AttemptStarted {
            reference: same(),
            attempt_id,
            attempt: 1,
            round: 0,
            resend: 0,
            holds: 1,
            at,
        }),
        DeliveryFact::Attempted(attempted(response(Some(Duration::from_secs(9))), NextStep::RetryAt(t(10)))),
        DeliveryFact::Attempted(attempted(none, NextStep::Failed(FailureReason::Exhausted))),
        DeliveryFact::Attempted(attempted(response(None), NextStep::Succeeded)),
    ];
    facts.extend([HoldReason::Disabled, HoldReason::Deactivated].map(|reason| {
        DeliveryFact::Held(DeliveryHeld { reference: same(), attempts: 1, round: 0, resend: 0, hold: 1, at, reason })
    }));
    facts.extend(FailureReason::ALL.map(|reason| {
        DeliveryFact::Abandoned(DeliveryAbandoned { reference: same(), attempts: 1, round: 0, resend: 0, at, reason })
    }));
    facts
}

fn notice_fact() -> NoticeFact {
    let reference = reference();
    NoticeFact::ErrorNoticeSent(ErrorNoticeSent {
        notice: NoticeId::from_uuid(Uuid::from_u128(3)),
        account: reference.account.clone(),
        interface: reference.interface.clone(),
        lead: reference.lead.clone(),
        delivery: reference.delivery,
        destination: reference.destination.clone(),
        recipients: vec!["a@acme.example".into(), "b@acme.example".into()],
        subject: "A lead was not delivered".into(),
        at: t(11),
    })
}

fn registry_facts() -> Vec<RegistryFact> {
    let id = || DestinationId::parse("dst").unwrap();
    let destination = |interface: &str, token: &str| {
        let given = api::Destination {
            account_id: "acme".into(),
            interface_id: interface.into(),
            token_id: token.into(),
            url: "https://crm.example/".into(),
            ..api::Destination::default()
        };
        api::registry::destination(given, id()).unwrap()
    };
    let mut whole = api::Account::default();
    whole.account_id.push_str("acme");
    whole.brand.push_str("Brand");
    whole.routing.push_str("all");
    whole.notification_emails.push("a@acme.example".into());
    let interface = api::Interface {
        account_id: "acme".into(),
        interface_id: "form".into(),
        name: "Form".into(),
        retention: Some(api::duration_to_api(Duration::from_secs(86_400))),
        lead_notification_emails: vec!["a@acme.example".into()],
        ..api::Interface::default()
    };
    let client = api::Client { account_id: "acme".into(), client_id: "north".into(), name: "North".into() };
    let client = api::registry::client(client).unwrap();
    let user = api::ApiUser {
        account_id: "acme".into(),
        api_user_id: "ada".into(),
        name: "Ada".into(),
        email: "ada@acme.example".into(),
        role: "operator".into(),
        ..api::ApiUser::default()
    };
    let user = api::registry::api_user(user).unwrap();
    let token_id = TokenId::parse("key").unwrap();
    let secret = TokenSecret { sealed: SealedSecret(vec![0, 255]), created_at: t(12), expires_at: Some(t(13)) };
    let token = Token {
        account: account(),
        id: token_id.clone(),
        name: "Key".into(),
        algorithm: Algorithm::default(),
        secrets: vec![secret],
        deleted: false,
    };
    let changes = [
        Change::AccountCreated(api::registry::account(whole).unwrap()),
        Change::AccountDeleted(account()),
        Change::InterfaceCreated(api::registry::interface(interface).unwrap()),
        Change::InterfaceDeleted(account(), InterfaceId::parse("form").unwrap()),
        Change::ClientUpdated(client.clone()),
        Change::ClientDeleted(account(), client.id),
        Change::ApiUserCreated(user.clone()),
        Change::ApiUserDeleted(account(), user.id),
        Change::DestinationCreated(destination("", "")),
        Change::DestinationUpdated(destination("form", "key")),
        Change::DestinationDisabled(account(), id()),
        Change::DestinationDeleted(account(), id()),
        Change::TokenUpdated(token),
        Change::TokenDeleted(account(), token_id),
    ];
    changes.map(|change| RegistryFact { at: t(14), by: "me".into(), change }).into()
}

/// Each kind of record in its stored form.
fn stored() -> Vec<Bytes> {
    let mut all = vec![lead_event().encode(), work().encode(), notice_fact().encode()];
    all.extend(delivery_facts().iter().map(Record::encode));
    all.extend(registry_facts().iter().map(Record::encode));
    all
}

/// A record is refused, or equals itself after it is stored and read again.
fn reads_or_refuses<T: Record + PartialEq + Debug>(bytes: &Bytes) {
    match T::decode(bytes.clone()) {
        Ok(value) => assert_eq!(T::decode(value.encode()).unwrap(), value),
        Err(error) => {
            assert!(error.to_string().contains(T::NAME), "{error}");
            assert_eq!(matches!(error, RecordError::Encoding { .. }), error.source().is_some());
        }
    }
}

fn each_record_reads_or_refuses(bytes: &Bytes) {
    reads_or_refuses::<LeadEvent>(bytes);
    reads_or_refuses::<Work>(bytes);
    reads_or_refuses::<NoticeFact>(bytes);
    reads_or_refuses::<DeliveryFact>(bytes);
    reads_or_refuses::<RegistryFact>(bytes);
}

fn survives<T: Record + PartialEq + Debug>(value: &T) {
    assert_eq!(T::decode(value.encode()).as_ref().unwrap(), value);
}

proptest! {
    #[test]
    fn random_bytes_are_refused_or_decode_to_a_storable_record(bytes in any::<Vec<u8>>()) {
        each_record_reads_or_refuses(&bytes.into());
    }

    #[test]
    fn damaged_records_are_refused_or_decode_to_a_storable_record(
        bytes in select(stored()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = bytes.to_vec();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        each_record_reads_or_refuses(&bytes.into());
    }

    #[test]
    fn times_keep_their_microseconds(micros in -377_705_023_201_000_000..=253_402_207_200_999_999_i64, nanos in 0..1000_i64) {
        let occurred_at = Timestamp::from_nanosecond(i128::from(micros) * 1_000).unwrap();
        survives(&LeadEvent { occurred_at, ..lead_event() });
        // Only digits below a microsecond are lost.
        let finer = Timestamp::from_nanosecond(i128::from(micros) * 1_000 + i128::from(nanos));
        if let Ok(occurred_at) = finer {
            let read = LeadEvent::decode(LeadEvent { occurred_at, ..lead_event() }.encode()).unwrap();
            let lost = read.occurred_at.duration_since(occurred_at).abs();
            prop_assert!(lost < jiff::SignedDuration::from_micros(1), "{occurred_at} became {}", read.occurred_at);
        }
    }
}

#[test]
fn truncated_and_foreign_records_do_not_panic() {
    for bytes in stored() {
        for length in 0..=bytes.len() {
            each_record_reads_or_refuses(&bytes.slice(..length));
        }
    }
}

#[test]
fn empty_bytes_are_not_a_record() {
    let nothing = Bytes::new;
    assert_eq!(
        LeadEvent::decode(nothing()).unwrap_err().to_string(),
        "lead event with an invalid field event_id: event id is empty"
    );
    assert!(Work::decode(nothing()).unwrap_err().to_string().starts_with("work with an invalid field attempt: "));
    for error in [
        DeliveryFact::decode(nothing()).unwrap_err(),
        NoticeFact::decode(nothing()).unwrap_err(),
        RegistryFact::decode(nothing()).unwrap_err(),
    ] {
        assert!(error.to_string().contains("is missing"), "{error}");
    }
}

#[test]
fn every_kind_of_record_survives() {
    survives(&lead_event());
    survives(&LeadEvent { client: None, payload: Bytes::new(), ..lead_event() });
    survives(&work());
    survives(&Work { first_failed_at: None, ..work() });
    survives(&notice_fact());
    delivery_facts().iter().for_each(survives);
    registry_facts().iter().for_each(survives);
}

#[test]
fn extreme_times_and_numbers_survive() {
    for at in [Timestamp::MIN, Timestamp::UNIX_EPOCH, t(-1)] {
        survives(&LeadEvent { occurred_at: at, received_at: at, ..lead_event() });
    }
    let end = LeadEvent { received_at: Timestamp::MAX, registry_sequence: u64::MAX, ..lead_event() };
    let read = LeadEvent::decode(end.encode()).unwrap();
    assert_eq!(read.received_at.as_microsecond(), Timestamp::MAX.as_microsecond());
    survives(&Work { attempt: u32::MAX, round: u32::MAX, holds: u32::MAX, ..work() });
    for kind in ErrorKind::ALL {
        let outcome = AttemptOutcome::NoResponse { kind, message: String::new() };
        survives(&DeliveryFact::Attempted(attempted(outcome, NextStep::Succeeded)));
    }
    for status in [0, 100, 599, 999, u16::MAX] {
        let outcome = AttemptOutcome::Response { status, excerpt: String::new(), retry_after: Some(Duration::ZERO) };
        survives(&DeliveryFact::Attempted(attempted(outcome, NextStep::Failed(FailureReason::TooOld))));
    }
}

#[test]
fn too_long_durations_become_the_longest_storable_one() {
    let fact = DeliveryAttempted { duration: Duration::MAX, ..attempted(response(None), NextStep::Succeeded) };
    let Ok(DeliveryFact::Attempted(read)) = DeliveryFact::decode(DeliveryFact::Attempted(fact).encode()) else {
        panic!("not read")
    };
    assert_eq!(read.duration, Duration::from_micros(i64::MAX.unsigned_abs()));
}

#[test]
fn registry_facts_store_settings_without_the_deleted_flag() {
    for fact in registry_facts() {
        let (Change::DestinationCreated(destination) | Change::DestinationUpdated(destination)) = &fact.change else {
            continue;
        };
        let mut gone = destination.clone();
        gone.deleted = true;
        let read =
            RegistryFact::decode(RegistryFact { change: Change::DestinationUpdated(gone), ..fact.clone() }.encode());
        let Change::DestinationUpdated(read) = read.unwrap().change else { panic!("another change") };
        assert_eq!(&read, destination);
    }
}
