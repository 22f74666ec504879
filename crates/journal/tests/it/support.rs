//! Connections and facts for the tests.

use std::time::Duration;

use domain::{
    AccountId, DeliveryFact, DestinationId, EventId, EventType, InterfaceId, LeadEvent, LeadId, LeadSequence, Work,
    delivery::request,
};
use jiff::Timestamp;
use journal::{Journal, NatsOptions};
use runtime::Platform;
use testkit::NatsServer;

pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn options(server: &NatsServer) -> NatsOptions {
    NatsOptions { nats_url: Some(server.url()), dedup_window: Some(Duration::from_secs(60)), ..NatsOptions::default() }
}

pub(crate) async fn connect(server: &NatsServer) -> (Journal, Platform) {
    let platform = Platform::default();
    (Journal::connect(&options(server), &platform).await.unwrap(), platform)
}

pub(crate) fn event(id: &str) -> LeadEvent {
    LeadEvent {
        event_id: EventId::parse(id).unwrap(),
        account: AccountId::parse("acme").unwrap(),
        interface: InterfaceId::parse("form").unwrap(),
        client: None,
        lead: LeadId::parse("lead-1").unwrap(),
        destination: None,
        event_type: EventType::lead_created(),
        occurred_at: Timestamp::UNIX_EPOCH,
        received_at: Timestamp::UNIX_EPOCH,
        registry_sequence: 0,
        hops: 0,
        payload: br#"{"a": 1}"#.as_slice().into(),
    }
}

pub(crate) fn destination() -> DestinationId {
    DestinationId::parse("dst_1").unwrap()
}

pub(crate) fn requested(id: &str) -> DeliveryFact {
    request(&event(id), LeadSequence(1), &destination(), Timestamp::UNIX_EPOCH)
}

pub(crate) fn work(id: &str) -> Work {
    Work::requested_by(&requested(id)).unwrap()
}

pub(crate) async fn soon<T>(future: impl Future<Output = Option<T>>) -> T {
    tokio::time::timeout(SOON, future).await.expect("in time").expect("before the drain")
}

pub(crate) async fn messages_in(server: &NatsServer, stream: &str) -> u64 {
    let jetstream = async_nats::jetstream::new(server.client().await);
    jetstream.get_stream(stream).await.unwrap().cached_info().state.messages
}
