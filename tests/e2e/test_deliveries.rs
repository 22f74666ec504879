//! Test deliveries.

use api::DeliveryStatus;
use serde_json::{Value, json};
use testkit::{Answer, Receiver};
use tonic::Code;

use crate::world::{ACCOUNT, SOON, World, event_json, some_destination};

fn test_of(destination_id: &str) -> api::SendTestDeliveryRequest {
    let (account_id, destination_id) = (ACCOUNT.into(), destination_id.to_owned());
    api::SendTestDeliveryRequest { account_id, destination_id, payload: vec![] }
}

/// Sends a test and waits until its delivery has a status.
async fn tested(world: &World, request: api::SendTestDeliveryRequest, status: DeliveryStatus) -> api::Delivery {
    let sent = world.deliveries().send_test_delivery(request).await.unwrap().into_inner();
    let request = api::GetDeliveryRequest { delivery_id: sent.delivery_id };
    // The delivery is readable at once.
    world.deliveries().get_delivery(request.clone()).await.unwrap();
    testkit::wait::until("the end of the test", SOON, async || {
        let detail = world.deliveries().get_delivery(request.clone()).await.unwrap().into_inner();
        let delivery = detail.delivery.unwrap();
        if delivery.status() == status { Ok(delivery) } else { Err(delivery) }
    })
    .await
}

#[tokio::test]
async fn test_event_is_a_normal_delivery_to_one_destination() {
    for world in World::on_both().await {
        let (receiver, other) = (Receiver::start().await, Receiver::start().await);
        world.destination(&other.url()).await;
        let narrow = api::Destination {
            url: receiver.url(),
            event_types: vec!["email.*".into()],
            interface_id: "form".into(),
            ..some_destination()
        };
        let id = world.destination_with(narrow).await;
        let delivery = tested(&world, test_of(&id), DeliveryStatus::Succeeded).await;
        assert_eq!((delivery.event_type.as_str(), delivery.destination_id.as_str()), ("webhook.test", id.as_str()));
        let seen = &receiver.requests()[0];
        assert_eq!(seen.header("leadline-delivery-id"), delivery.delivery_id);
        assert_eq!(seen.header("leadline-event-type"), "webhook.test");
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!((&body["type"], &body["destination"]["id"]), (&json!("webhook.test"), &json!(id)));

        let own = api::SendTestDeliveryRequest { payload: br#"{"mine": 1}"#.to_vec(), ..test_of(&id) };
        tested(&world, own, DeliveryStatus::Succeeded).await;
        assert_eq!(receiver.requests()[1].body, br#"{"mine": 1}"#.as_slice());
        assert_eq!(other.count(), 0);

        let leads = api::ListLeadsRequest { account_id: ACCOUNT.into(), ..api::ListLeadsRequest::default() };
        assert!(world.leads().list_leads(leads.clone()).await.unwrap().into_inner().leads.is_empty());
        let tests = api::ListLeadsRequest { interface_id: "webhook-test".into(), ..leads };
        testkit::wait::until_eq("the leads of the tests", SOON, 2, async || {
            world.leads().list_leads(tests.clone()).await.unwrap().into_inner().leads.len()
        })
        .await;
    }
}

#[tokio::test]
async fn failed_test_has_no_consequences_and_can_be_retried() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination_with(api::Destination { url: receiver.url(), retry_policy: None, ..some_destination() });
    let id = id.await;
    receiver.answer(Answer::Status(410));
    let delivery = tested(&world, test_of(&id), DeliveryStatus::Failed).await;
    assert_eq!((delivery.http_status_code, delivery.attempts), (410, 1));
    receiver.answer(Answer::Status(503));
    let delivery = tested(&world, test_of(&id), DeliveryStatus::Failed).await;
    assert_eq!((delivery.http_status_code, delivery.attempts), (503, 1));
    receiver.answer(Answer::Status(200));
    let retry = api::RetryDeliveryRequest {
        delivery_id: delivery.delivery_id.clone(),
        requested_by: "me".into(),
        ..Default::default()
    };
    world.deliveries().retry_delivery(retry).await.unwrap();
    testkit::wait::until("the retry", SOON, async || {
        let request = api::GetDeliveryRequest { delivery_id: delivery.delivery_id.clone() };
        let now = world.deliveries().get_delivery(request).await.unwrap().into_inner().delivery.unwrap();
        now.status() == DeliveryStatus::Succeeded
    })
    .await;
    let request = api::GetDestinationRequest { account_id: ACCOUNT.into(), destination_id: id.clone() };
    let destination = world.registry().get_destination(request).await.unwrap().into_inner();
    assert_eq!((destination.enabled, destination.deactivated), (Some(true), None));
    // A failed lead causes a mail; mails about tests would have come before it.
    receiver.answer(Answer::Status(410));
    world.publish("e1").await;
    testkit::wait::until("the mail about the lead", SOON, async || !world.home.outbox().is_empty()).await;
    assert!(world.home.outbox().iter().all(|mail| !mail.contains("webhook.test")), "{:?}", world.home.outbox());
}

#[tokio::test]
async fn test_of_a_disabled_or_deleted_destination_is_refused() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    world.disable(&id).await;
    let refused = world.deliveries().send_test_delivery(test_of(&id)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("is disabled"), "{refused}");
    world.enable(&id, false).await;
    let wrong = api::SendTestDeliveryRequest { payload: b"{".to_vec(), ..test_of(&id) };
    assert_eq!(world.deliveries().send_test_delivery(wrong).await.unwrap_err().code(), Code::InvalidArgument);
    world.delete(&id).await;
    let refused = world.deliveries().send_test_delivery(test_of(&id)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(receiver.count(), 0);

    // Publishers cannot send test events, nor use their interface.
    let mut forged = event_json("e1");
    forged["type"] = "webhook.test".into();
    assert_eq!(world.post(forged.to_string(), &[]).await.0, 400);
    let interface =
        api::Interface { account_id: ACCOUNT.into(), interface_id: "webhook-test".into(), ..api::Interface::default() };
    let request = api::CreateInterfaceRequest { interface: Some(interface) };
    assert_eq!(world.registry().create_interface(request).await.unwrap_err().code(), Code::InvalidArgument);
}
