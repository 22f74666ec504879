//! Values for tests.

use std::{sync::Arc, time::Duration};

use domain::{
    AccountId, ApiUserId, AttemptId, AttemptOutcome, ClientId, DeliveryFact, DestinationId, ErrorKind, EventId,
    EventType, InterfaceId, LeadEvent, LeadId, LeadSequence, RegistryFact, RetryPolicy, Work,
    delivery::{Effect, Execution, FailureReason, RequestLine, RetryRequest, abandon, request},
    registry::{
        Account, ApiUser, Change, Client, Destination, EventTypePattern, Interface, RequestShape, Role, Routing, Scope,
    },
};
use jiff::Timestamp;
use uuid::Uuid;

pub(crate) fn t(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

pub(crate) fn account_id() -> AccountId {
    AccountId::parse("acme").unwrap()
}

pub(crate) fn interface_id(text: &str) -> InterfaceId {
    InterfaceId::parse(text).unwrap()
}

pub(crate) fn client_id(text: &str) -> ClientId {
    ClientId::parse(text).unwrap()
}

pub(crate) fn destination_id(text: &str) -> DestinationId {
    DestinationId::parse(text).unwrap()
}

pub(crate) fn event(id: &str, interface: &str, event_type: &str) -> LeadEvent {
    LeadEvent {
        event_id: EventId::parse(id).unwrap(),
        account: account_id(),
        interface: interface_id(interface),
        client: None,
        lead: LeadId::parse("lead").unwrap(),
        destination: None,
        event_type: EventType::parse(event_type).unwrap(),
        occurred_at: t(0),
        received_at: t(0),
        registry_sequence: 0,
        hops: 0,
        payload: b"{}".as_slice().into(),
    }
}

pub(crate) fn requested() -> DeliveryFact {
    request(&event("e", "form", "lead.created"), LeadSequence(7), &destination_id("dst"), t(100))
}

pub(crate) fn work() -> Work {
    Work::requested_by(&requested()).unwrap()
}

/// Redelivered work.
pub(crate) fn again(work: Work) -> Work {
    Work { redelivered: true, ..work }
}

pub(crate) fn abandoned(work: &Work, reason: FailureReason, at: Timestamp) -> DeliveryFact {
    match abandon(work, reason, at).into_iter().next() {
        Some(Effect::Append(fact)) => fact,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn status(status: u16) -> AttemptOutcome {
    AttemptOutcome::Response { status, excerpt: String::new(), retry_after: None }
}

pub(crate) fn refused() -> AttemptOutcome {
    AttemptOutcome::NoResponse { kind: ErrorKind::Connect, message: "refused".into() }
}

pub(crate) fn execution(id: u128, started_at: Timestamp, outcome: AttemptOutcome) -> Execution {
    Execution {
        attempt_id: AttemptId::from_uuid(Uuid::from_u128(id)),
        started_at,
        duration: Duration::from_secs(1),
        request: RequestLine { method: "POST".into(), url: "https://crm.example/".into() },
        outcome,
        exchange: None,
        destination_off: false,
        others_succeeded: false,
        trace: None,
    }
}

/// A request for a retry, without `force`.
pub(crate) fn retry_by(name: &str) -> RetryRequest {
    RetryRequest { by: name.into(), ..RetryRequest::default() }
}

/// A request for another round, with `force`.
pub(crate) fn insisted() -> RetryRequest {
    RetryRequest { by: "me".into(), reason: "the CRM lost it".into(), force: true, ..RetryRequest::default() }
}

pub(crate) fn account() -> Account {
    Account {
        id: account_id(),
        name: "Acme".into(),
        brand: None,
        notification_emails: vec![],
        api_user_emails: vec![],
        routing: Routing::default(),
        keep_history: None,
        portal: domain::registry::Portal::default(),
        unconfirmed: vec![],
        deleted: false,
    }
}

pub(crate) fn interface(id: &str) -> Interface {
    Interface {
        account: account_id(),
        id: interface_id(id),
        name: String::new(),
        retention: None,
        lead_notification_emails: vec![],
        searchable: vec![],
        unconfirmed: vec![],
        deleted: false,
    }
}

pub(crate) fn client(id: &str) -> Client {
    Client { account: account_id(), id: client_id(id), name: String::new(), deleted: false }
}

pub(crate) fn api_user(id: &str, email: &str, role: Role) -> ApiUser {
    let id = ApiUserId::parse(id).unwrap();
    ApiUser {
        account: account_id(),
        id,
        name: String::new(),
        email: email.into(),
        role,
        unconfirmed: vec![],
        deleted: false,
    }
}

pub(crate) fn destination(id: &str, scope: Scope, types: &[&str]) -> Destination {
    Destination {
        account: account_id(),
        id: destination_id(id),
        name: "CRM".into(),
        scope,
        url: "https://crm.example/".into(),
        condition: None,
        event_types: types.iter().map(|text| EventTypePattern::parse(text).unwrap()).collect(),
        timeout: Destination::DEFAULT_TIMEOUT,
        concurrency: Destination::DEFAULT_CONCURRENCY,
        retry: RetryPolicy::standard(),
        rate: None,
        breaker_failures: Destination::DEFAULT_BREAKER_FAILURES,
        ordered: false,
        request: RequestShape::default(),
        transport: Arc::default(),
        token: None,
        enabled: true,
        deactivated: None,
        skip_held_before: None,
        deleted: false,
    }
}

pub(crate) fn fact(change: Change) -> RegistryFact {
    RegistryFact { at: t(0), by: "test".into(), change }
}

pub(crate) fn reference_of(fact: &DeliveryFact) -> Arc<domain::DeliveryRef> {
    Arc::clone(fact.reference())
}
