//! What comes twice counts once, in both databases.

use domain::{AccountId, EventId, EventType, InterfaceId, LeadEvent, LeadId};
use jiff::Timestamp;

use super::{leads, plans::stores};

fn event() -> LeadEvent {
    LeadEvent {
        event_id: EventId::parse("e").unwrap(),
        account: AccountId::parse("acme").unwrap(),
        interface: InterfaceId::parse("form").unwrap(),
        client: None,
        lead: LeadId::parse("ada").unwrap(),
        destination: None,
        event_type: EventType::parse("lead.created").unwrap(),
        occurred_at: Timestamp::UNIX_EPOCH,
        received_at: Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(1),
        registry_sequence: 1,
        hops: 0,
        payload: bytes::Bytes::new(),
    }
}

#[tokio::test]
async fn an_event_and_its_outline_are_one_event_however_often_they_come() {
    let (sqlite, postgres, _folder) = stores().await;
    for store in [sqlite, postgres] {
        let event = event();
        // Whether the outline or the event comes first, and whether in one batch or in several.
        for (blank, times) in [(true, 2), (false, 1), (true, 1)] {
            let mut transaction = store.begin().await.unwrap();
            let batch = vec![(7, &event); times];
            leads::add_events(&mut transaction, &batch, blank).await.unwrap();
            transaction.commit().await.unwrap();
            let lead = store.lead(&event.account, &event.lead).await.unwrap().unwrap();
            assert_eq!(lead.events, 1, "{times} times, blank: {blank}");
        }
    }
}
