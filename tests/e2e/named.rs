//! An event that names its destination goes to it alone.

use api::DeliveryStatus;
use serde_json::json;
use testkit::{Receiver, wait};

use crate::world::{ACCOUNT, SOON, World, event_json, some_destination};

#[tokio::test]
async fn event_goes_only_to_the_destination_that_it_names() {
    let world = World::start().await;
    let (everything, opens) = (Receiver::start().await, Receiver::start().await);
    world.destination(&everything.url()).await;
    let named = api::Destination {
        name: "Opens".into(),
        url: opens.url(),
        event_types: vec!["email.open".into()],
        condition: r#"{"payload.country": "NO"}"#.into(),
        ..some_destination()
    };
    let id = world.destination_with(named).await;
    world.publish_with("e1", json!({"destination_id": id})).await;
    let delivery = world.delivery_is("e1", DeliveryStatus::Succeeded).await.delivery.unwrap();
    assert_eq!((delivery.destination_id.as_str(), opens.count(), everything.count()), (id.as_str(), 1, 0));
    let request = api::GetEventRequest { account_id: ACCOUNT.into(), event_id: "e1".into() };
    assert_eq!(world.leads().get_event(request).await.unwrap().into_inner().destination_id, id);

    let published = ["publish", "--interface", "form", "--event", "e2", "--payload", "{}", "--destination", "Opens"];
    world.run(&published).await.well();
    wait::until_eq("the second event", SOON, 2, async || opens.count()).await;
    // A recovery of another destination skips these events.
    let recover = world.run(&["recover", "--since", "1h", "--include-before-created", &delivery.destination_id]).await;
    assert!(recover.out.contains("2 already delivered or in progress"), "{recover:?}");
    assert_eq!(everything.count(), 0);
}

#[tokio::test]
async fn named_destination_must_belong_to_the_account() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    let other = api::Account { account_id: "other".into(), name: "Other".into(), ..api::Account::default() };
    world.registry().create_account(api::CreateAccountRequest { account: Some(other) }).await.unwrap();
    let of_other = api::Destination { account_id: "other".into(), url: receiver.url(), ..some_destination() };
    let foreign = world.destination_with(of_other).await;
    world.delete(&id).await;
    for wrong in [id.as_str(), foreign.as_str(), "dst_none", "no id"] {
        let mut event = event_json("e1");
        event["destination_id"] = json!(wrong);
        let (status, answer) = world.post(event.to_string(), &[]).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer.to_string().contains("destination_id"), "{answer}");
    }
}
