//! Tests in both databases: a repeated fact counts once.

use domain::{AccountId, EventId, EventType, InterfaceId, LeadEvent, LeadId, LeadSequence, lead::KnownEvent};
use jiff::Timestamp;

use crate::{
    sql::both::stores,
    tables::{
        leads,
        values::{self, FieldHash, NewValues, WantedHash},
    },
};

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
async fn an_event_and_its_outline_count_once() {
    let (sqlite, postgres, _folder) = stores().await;
    for store in [sqlite, postgres] {
        let event = event();
        // The blank event and the event may arrive in either order, in one batch or in several.
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

#[tokio::test]
async fn a_repeat_with_another_lead_belongs_to_the_first_lead() {
    let (sqlite, postgres, _folder) = stores().await;
    for store in [sqlite, postgres] {
        let (first, bob) = (event(), LeadId::parse("bob").unwrap());
        let repeat = LeadEvent { lead: bob.clone(), ..first.clone() };
        for batch in [vec![(7, &first), (8, &repeat)], vec![(9, &repeat)]] {
            let mut transaction = store.begin().await.unwrap();
            leads::add_events(&mut transaction, &batch, false).await.unwrap();
            transaction.commit().await.unwrap();
        }
        let ada = store.lead(&first.account, &first.lead).await.unwrap().unwrap();
        assert_eq!((ada.events, store.lead(&first.account, &bob).await.unwrap()), (1, None));
        let key = |event: &str, account: &str| (AccountId::parse(account).unwrap(), EventId::parse(event).unwrap());
        let keys = [key("other", "acme"), key("e", "acme"), key("e", "globex")];
        let known = store.known_events(&keys).await.unwrap();
        let first = KnownEvent { lead: first.lead, sequence: Some(LeadSequence(7)) };
        assert_eq!(known, [None, Some(first), None]);
    }
}

#[tokio::test]
async fn known_events_come_page_by_page_each_once() {
    let (sqlite, postgres, _folder) = stores().await;
    for store in [sqlite, postgres] {
        let mut transaction = store.begin().await.unwrap();
        let mut expected = vec![];
        for (account, id) in [("acme", "E2"), ("acme", "e:1"), ("acme", "e-1"), ("acme", "e1"), ("globex", "e1")] {
            let (account, event_id) = (AccountId::parse(account).unwrap(), EventId::parse(id).unwrap());
            let event = LeadEvent { account: account.clone(), event_id: event_id.clone(), ..event() };
            leads::add_events(&mut transaction, &[(expected.len() as u64 + 1, &event)], false).await.unwrap();
            expected.push((account, event_id));
        }
        transaction.commit().await.unwrap();
        let mut read = vec![];
        loop {
            let page = store.events_after(read.last(), 2).await.unwrap();
            assert!(page.len() <= 2);
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        read.sort();
        expected.sort();
        assert_eq!(read, expected);
    }
}

#[tokio::test]
async fn the_copy_of_an_erased_event_finds_no_lead() {
    let (sqlite, postgres, _folder) = stores().await;
    for store in [sqlite, postgres] {
        let event = event();
        let hashes = [FieldHash { field: "email".into(), hash: "h".into() }];
        let wanted = [WantedHash { field: "email".into(), hashes: vec!["h".into()] }];
        let is_nobody = async || store.chosen(&event.account, None, &wanted).await.unwrap().is_nobody();
        // If the read model is rebuilt after the event was erased, it sees the copy first.
        let mut transaction = store.begin().await.unwrap();
        let added = leads::add_events(&mut transaction, &[(9, &event)], false).await.unwrap();
        assert_eq!(added.new, [9].into());
        let new = NewValues { account: &event.account, lead: &event.lead, client: None, sequence: 9, hashes: &hashes };
        values::add(&mut transaction, &[new]).await.unwrap();
        transaction.commit().await.unwrap();
        assert!(!is_nobody().await);
        let mut transaction = store.begin().await.unwrap();
        let added = leads::add_events(&mut transaction, &[(7, &event)], true).await.unwrap();
        assert!(added.new.is_empty());
        transaction.commit().await.unwrap();
        assert!(is_nobody().await);
    }
}
