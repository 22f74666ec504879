//! Stored records are read back unchanged, and random bytes are errors.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{
    AccountId, ApiUserId, AttemptId, AttemptOutcome, ClientId, Condition, DeliveryFact, DeliveryId, DeliveryRef,
    DestinationId, ErrorKind, EventId, EventType, InterfaceId, JobId, KeyId, LeadEvent, LeadId, LeadSequence,
    NoticeFact, NoticeId, RegistryFact, RequestId, RetryPolicy, TokenId, Work, access,
    anonymisation::{AnonymisationFact, LeadAnonymised, blank_attempt, blank_event},
    delivery::{
        AttemptStarted, DeliveryAbandoned, DeliveryAttempted, DeliveryHeld, DeliveryReleased, DeliveryRequested,
        FailureReason, HoldReason, NextStep, RequestLine, RequestedWork, RetryRequested, SpanRef, WorkTrace,
    },
    notice::{ErrorNoticeSent, NoticeKind},
    policy::{Deactivate, Progress},
    registry::{
        Account, Algorithm, ApiKey, ApiUser, Body, Change, Client, ClientAuthentication, ClientCertificate,
        CompatibilitySignature, Confirmation, ContentType, CredentialKind, Credentials, DeactivatedBy, Deactivation,
        DeactivationCause, Destination, DestinationProxy, Encoding, EventTypePattern, Form, Hash, Interface, KeyHash,
        Lists, Logo, Method, Nesting, OAuth2Client, OptOut, Portal, RequestShape, Role, Routing, Scope, SealedSecret,
        SentTrace, SignedContent, Token, TokenSecret, Transport, WebhookId,
    },
};
use events::Record;
use jiff::Timestamp;
use proptest::{option, prelude::*, sample::select};
use uuid::Uuid;

use crate::searchable;

/// Times are stored in microseconds.
fn time() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_000_000_i64).prop_map(|micros| Timestamp::from_microsecond(micros).unwrap())
}

fn span() -> impl Strategy<Value = Duration> {
    (0..10_000_000_000_u64).prop_map(Duration::from_micros)
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn token_text() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_-]{1,64}"
}

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
            2 => DeliveryFact::AttemptStarted(AttemptStarted { reference, attempt_id, attempt, round, resend: hold, at }),
            3 => DeliveryFact::Attempted(DeliveryAttempted {
                exchange: (attempt % 3 > 0).then(|| Box::new(crate::exchanges::exchange(&reference, attempt, &text))),
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
        let progress = Progress { quick_used, step, waits: quick_used / 2 };
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

prop_compose! {
    fn shape()(
        method in select(Method::ALL.to_vec()),
        body in select(vec![
            Body::Payload, Body::Envelope, Body::Slack, Body::Form, Body::Multipart, Body::Template("{{ payload }}".into()),
        ]),
        content_type in option::of(select(vec!["text/xml; charset=utf-8", "application/vnd.api+json"])),
        form in (
            select(Nesting::ALL.to_vec()), select(Lists::ALL.to_vec()), any::<bool>(),
            any::<Vec<(String, String)>>(), any::<Vec<(String, String)>>(),
        ),
        signature in option::of((
            select(Hash::ALL.to_vec()), select(Encoding::ALL.to_vec()), any::<(String, String)>(),
            select(vec![
                SignedContent::Body, SignedContent::TimestampInSignature,
                SignedContent::TimestampInHeader("x-timestamp".into()),
            ]),
        )),
        headers in prop::collection::vec(any::<(String, String)>(), 0..3),
        credentials in option::of((select(CredentialKind::ALL.to_vec()), any::<String>(), any::<Vec<u8>>())),
        oauth2 in option::of(oauth2()),
        webhook_id in select(WebhookId::ALL.to_vec()),
        trace_context in select(SentTrace::ALL.to_vec()),
    ) -> RequestShape {
        let credentials = credentials
            .map(|(kind, header, sealed)| Credentials { kind, header, sealed: SealedSecret(sealed), oauth2 });
        let content_type = content_type.map(|text| ContentType::parse(text).unwrap());
        let (nesting, lists, only_fields, fields, constants) = form;
        let form = Form { nesting, lists, fields, only_fields, constants };
        let compatibility_signature = signature.map(|(hash, encoding, (header, prefix), content)| {
            CompatibilitySignature { header, hash, encoding, prefix, content }
        });
        RequestShape {
            method,
            body,
            content_type,
            form,
            headers,
            credentials,
            compatibility_signature,
            webhook_id,
            trace_context,
        }
    }
}

prop_compose! {
    fn oauth2()(
        texts in any::<(String, String, String)>(),
        parameters in prop::collection::vec(any::<(String, String)>(), 0..3),
        authentication in select(&ClientAuthentication::ALL[..]),
    ) -> OAuth2Client {
        OAuth2Client { token_url: texts.0, client_id: texts.1, scope: texts.2, parameters, authentication }
    }
}

prop_compose! {
    fn transport()(
        certificate in option::of((any::<(String, String)>(), any::<Vec<u8>>(), time())),
        authorities in option::of("[A-Z ]{1,9}"),
        proxy in option::of((any::<(String, String)>(), option::of(prop::collection::vec(any::<u8>(), 1..9)))),
    ) -> Transport {
        let client_certificate = certificate.map(|((chain, subject), key, not_after)| {
            ClientCertificate { chain, key: SealedSecret(key), subject, not_after }
        });
        let proxy = proxy.map(|((url, username), password)| {
            DestinationProxy { url, username, password: password.map(SealedSecret) }
        });
        Transport { client_certificate, authorities, proxy }
    }
}

prop_compose! {
    fn destination()(
        ids in (token_text(), token_text(), option::of((any::<bool>(), token_text())), option::of(token_text())),
        texts in any::<(String, String)>(),
        patterns in prop::collection::vec(select(vec!["*", "lead.created", "email.*"]), 0..3),
        spans in (span(), option::of(span())),
        concurrency in any::<u32>(),
        enabled in any::<bool>(),
        deactivate in select(Deactivate::ALL.to_vec()),
        preset in select(vec![RetryPolicy::standard(), RetryPolicy::patient(), RetryPolicy::manual()]),
        shape in shape(),
        condition in option::of(select(vec![r#"{"payload.a": 1.10}"#, r#"{"or": [{"payload": {"exists": true}}]}"#])),
        transport in transport(),
    ) -> Destination {
        Destination {
            account: AccountId::parse(&ids.0).unwrap(),
            id: DestinationId::parse(&ids.1).unwrap(),
            name: texts.0,
            scope: match ids.2 {
                None => Scope::Account,
                Some((true, text)) => Scope::Client(ClientId::parse(&text).unwrap()),
                Some((false, text)) => Scope::Interface(InterfaceId::parse(&text).unwrap()),
            },
            url: texts.1,
            event_types: patterns.into_iter().map(|text| EventTypePattern::parse(text).unwrap()).collect(),
            condition: condition.map(|text| Condition::parse(text).unwrap()),
            timeout: spans.0,
            concurrency,
            retry: RetryPolicy { max_age: spans.1, deactivate, ..preset },
            rate: Some(concurrency).filter(|rate| *rate > 0),
            breaker_failures: concurrency,
            ordered: concurrency % 2 == 1,
            request: shape,
            transport: Arc::new(transport),
            token: ids.3.map(|text| TokenId::parse(&text).unwrap()),
            enabled,
            deactivated: None,
            skip_held_before: None,
            deleted: false,
        }
    }
}

prop_compose! {
    fn registry_fact()(
        kind in 0..27_usize,
        destination in destination(),
        interface_text in token_text(),
        token_text in token_text(),
        retention in option::of(span()),
        role in select(&Role::ALL[..]),
        texts in any::<(String, Vec<String>, String)>(),
        sealed in prop::collection::vec((any::<Vec<u8>>(), time(), option::of(time())), 0..3),
        skip in option::of(time()),
        at in time(),
    ) -> RegistryFact {
        let (account, id) = (destination.account.clone(), destination.id.clone());
        let interface_id = InterfaceId::parse(&interface_text).unwrap();
        let interface = Interface {
            account: account.clone(),
            id: interface_id.clone(),
            name: texts.0.clone(),
            retention,
            lead_notification_emails: texts.1.clone(),
            searchable: searchable::fields(retention.is_some()),
            unconfirmed: texts.1.clone(),
            deleted: false,
        };
        let client_id = ClientId::parse(&interface_text).unwrap();
        let client =
            Client { account: account.clone(), id: client_id.clone(), name: texts.0.clone(), deleted: false };
        let user_id = ApiUserId::parse(&interface_text).unwrap();
        let user = ApiUser {
            account: account.clone(),
            id: user_id.clone(),
            name: texts.0.clone(),
            email: texts.2.clone(),
            role,
            unconfirmed: vec![texts.2.clone()],
            deleted: false,
        };
        let token_id = TokenId::parse(&token_text).unwrap();
        let secret = |(sealed, created_at, expires_at)| {
            TokenSecret { sealed: SealedSecret(sealed), created_at, expires_at }
        };
        let token = Token {
            account: account.clone(),
            id: token_id.clone(),
            name: texts.0.clone(),
            algorithm: if kind % 2 == 0 { Algorithm::HmacSha256 } else { Algorithm::Ed25519 },
            secrets: sealed.into_iter().map(secret).collect(),
            deleted: false,
        };
        let whole = Account {
            id: account.clone(),
            name: texts.0.clone(),
            brand: Some(texts.0).filter(|brand| !brand.is_empty()),
            notification_emails: texts.1.clone(),
            api_user_emails: texts.1.clone(),
            unconfirmed: texts.1.clone(),
            routing: if kind % 2 == 0 { Routing::Override } else { Routing::All },
            keep_history: interface.retention,
            portal: Portal {
                color: (kind % 2 == 0).then(|| "#1f5fbf".parse().unwrap()),
                logo: (kind % 3 == 0).then(|| Logo::parse(b"\x89PNG\r\n\x1a\n").unwrap()),
            },
            deleted: false,
        };
        let opt_out = OptOut::new(account.clone(), &texts.2, NoticeKind::ALL[kind % NoticeKind::ALL.len()]);
        let key = ApiKey {
            id: KeyId::parse(token_id.as_str()).unwrap(),
            account: Some(account.clone()).filter(|_| skip.is_some()),
            name: texts.2.clone(),
            scopes: access::Scope::ALL.into_iter().take(texts.1.len() % 5).collect(),
            hash: KeyHash([u8::from(skip.is_some()); 32]),
            created_at: at,
            created_by: texts.2.clone(),
            expires_at: skip,
            revoked_at: None,
            client: Some(client_id.clone()).filter(|_| skip.is_some()),
        };
        let change = match kind {
            0 => Change::AccountCreated(whole),
            1 => Change::AccountUpdated(whole),
            2 => Change::AccountDeleted(account),
            3 => Change::InterfaceCreated(interface),
            4 => Change::InterfaceUpdated(interface),
            5 => Change::InterfaceDeleted(account, interface_id),
            6 => Change::DestinationCreated(destination),
            7 => Change::DestinationUpdated(destination),
            8 => Change::DestinationEnabled(account, id, skip),
            9 => Change::DestinationDisabled(account, id),
            10 => Change::DestinationDeleted(account, id),
            11 => Change::TokenCreated(token),
            12 => Change::TokenUpdated(token),
            13 => Change::TokenDeleted(account, token_id),
            14 => Change::ClientCreated(client),
            15 => Change::ClientUpdated(client),
            16 => Change::ClientDeleted(account, client_id),
            17 => Change::ApiUserCreated(user),
            18 => Change::ApiUserUpdated(user),
            19 => Change::ApiUserDeleted(account, user_id),
            20 => Change::KeyCreated(key),
            21 => Change::KeyRevoked(key.account, key.id),
            22 => Change::OptOutCreated(opt_out),
            23 => Change::OptOutDeleted(account, opt_out.id),
            24 => Change::EmailConfirmed(Confirmation::new(account, &texts.2)),
            25 => {
                let (event, lead) = (EventId::parse(token_id.as_str()), LeadId::parse(token_id.as_str()));
                Change::PayloadViewed(account, event.unwrap(), lead.unwrap())
            }
            _ => {
                let delivery = skip.map(|_| DeactivatedBy {
                    delivery: DeliveryId::from_uuid(Uuid::from_u128(7)),
                    lead: LeadId::parse(token_id.as_str()).unwrap(),
                    event_id: EventId::parse(token_id.as_str()).unwrap(),
                    attempts: u32::try_from(kind).unwrap(),
                    status_code: 999,
                    error_kind: ErrorKind::ALL.into_iter().nth(kind % ErrorKind::ALL.len()),
                });
                let why = Deactivation { at, cause: DeactivationCause::Gone, first_failed_at: skip, delivery };
                Change::DestinationDeactivated(account, id, why)
            }
        };
        RegistryFact { at, by: texts.2, change }
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
