//! Anonymisation by age, and repeated events after an anonymisation.

use std::time::Duration;

use api::{DeliveryStatus, duration_to_api};
use jiff::Timestamp;
use testkit::{Receiver, wait};
use tonic::Code;

use super::{HOUR, LEAD, PERSON, anonymised, broker, ends, publish, store};
use crate::world::{ACCOUNT, INTERFACE, SOON, World, is_readable_in};

#[tokio::test]
async fn leads_older_than_the_retention_are_anonymised() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        world.destination(&receiver.url()).await;
        let interface = api::Interface {
            account_id: ACCOUNT.into(),
            interface_id: INTERFACE.into(),
            retention: Some(duration_to_api(HOUR * 24)),
            ..api::Interface::default()
        };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["retention".into()] });
        let request = api::UpdateInterfaceRequest { interface: Some(interface), update_mask };
        world.registry().update_interface(request).await.unwrap();
        publish(&world, "new", "lead-b", "Grace").await;
        store(&world, "old", LEAD, Timestamp::now() - HOUR * 25).await;
        wait::until("the retention to take effect", SOON, async || {
            let request = api::GetLeadRequest { account_id: ACCOUNT.into(), lead_id: LEAD.into() };
            world.leads().get_lead(request).await.is_ok_and(|lead| lead.get_ref().anonymised)
        })
        .await;
        wait::until("the erasure", SOON, async || !is_readable_in(&world.home.data(), PERSON.as_bytes())).await;
        let request = api::GetLeadRequest { account_id: ACCOUNT.into(), lead_id: "lead-b".into() };
        assert!(!world.leads().get_lead(request).await.unwrap().into_inner().anonymised);
    }
}

#[tokio::test]
async fn leads_can_be_anonymised_by_age() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        world.destination(&receiver.url()).await;
        store(&world, "old", LEAD, Timestamp::now() - HOUR * 25).await;
        publish(&world, "new", "lead-b", "Grace").await;
        let ask = async |request: api::AnonymizeLeadsRequest| {
            let request = api::AnonymizeLeadsRequest { account_id: ACCOUNT.into(), ..request };
            wait::until("an answer other than UNAVAILABLE", SOON, async || {
                let answer = world.leads().anonymize_leads(request.clone()).await.map(tonic::Response::into_inner);
                answer.as_ref().err().is_none_or(|e| e.code() != Code::Unavailable).then_some(answer)
            })
            .await
        };
        let older = |interface: &str, than: Duration| api::AnonymizeLeadsRequest {
            interface_id: interface.into(),
            older_than: Some(duration_to_api(than)),
            ..api::AnonymizeLeadsRequest::default()
        };
        assert_eq!(ask(older(INTERFACE, HOUR * 26)).await.unwrap().leads, []);
        let done = ask(older(INTERFACE, HOUR * 24)).await.unwrap();
        assert!(!done.more && matches!(&done.leads[..], [lead] if lead.lead_id == LEAD && lead.anonymised), "{done:?}");
        assert_eq!(ask(older(INTERFACE, HOUR * 24)).await.unwrap().leads, []);
        wait::until("the erasure", SOON, async || !is_readable_in(&world.home.data(), PERSON.as_bytes())).await;
        let request = api::GetLeadRequest { account_id: ACCOUNT.into(), lead_id: "lead-b".into() };
        assert!(!world.leads().get_lead(request).await.unwrap().into_inner().anonymised);

        assert_eq!(ask(older("nothing", HOUR)).await.unwrap_err().code(), Code::NotFound);
        let both = api::AnonymizeLeadsRequest { lead_ids: vec![LEAD.into()], ..older(INTERFACE, HOUR) };
        let ageless = api::AnonymizeLeadsRequest { older_than: None, ..older(INTERFACE, HOUR) };
        for wrong in [both, ageless, older(INTERFACE, Duration::ZERO), older("", HOUR)] {
            assert_eq!(ask(wrong).await.unwrap_err().code(), Code::InvalidArgument);
        }
    }
}

#[tokio::test]
async fn repeated_event_is_erased_again_after_anonymisation() {
    let database = testkit::postgres::database().await;
    for more in [&[][..], &["--database-url", &database]] {
        let world = World::start_with(&[&["--dedup-window", "1s"], more].concat(), &[]).await;
        let (receiver, later) = (Receiver::start().await, Receiver::start().await);
        world.destination(&receiver.url()).await;
        publish(&world, "e1", LEAD, PERSON).await;
        wait::until_eq("the event", SOON, 1, async || receiver.count()).await;
        wait::until("its delivery shown", SOON, async || {
            ends(&world, LEAD).await == [(DeliveryStatus::Succeeded, String::new())]
        })
        .await;
        anonymised(&world, &[LEAD]).await;
        let erased = async || !is_readable_in(&world.home.data(), PERSON.as_bytes());
        wait::until("the event to be erased", SOON, erased).await;

        // A destination that is created later does not get the event either.
        world.destination(&later.url()).await;
        let broker = broker(&world).await;
        let stored = async || broker.get_stream("LEADS").await.unwrap().cached_info().state.last_sequence;
        let before = stored().await;
        publish(&world, "e1", LEAD, PERSON).await;
        assert_eq!(stored().await, before, "the event id is known, although the event was erased");
        // The same while query is away: only the broker recognises repeats, within its deduplication window.
        store(&world, "e1", LEAD, Timestamp::now()).await;
        assert_eq!(stored().await, before + 1);
        publish(&world, "e5", "lead-c", "Grace").await;
        wait::until_eq("the later event", SOON, (2, 1), async || (receiver.count(), later.count())).await;
        let expected = [(DeliveryStatus::Succeeded, String::new()), (DeliveryStatus::Failed, "anonymised".to_owned())];
        wait::until("the copy to have no effect", SOON, async || {
            let now = ends(&world, LEAD).await;
            if now == expected { Ok(()) } else { Err(now) }
        })
        .await;
        wait::until("the copy to be erased", SOON, erased).await;
        assert_eq!((receiver.count(), later.count()), (2, 1));
    }
}
