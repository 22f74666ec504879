//! The `webhook-id` by which receivers discard repeats.

use testkit::{Receiver, wait};
use tonic::Code;

use crate::world::{ACCOUNT, INTERFACE, SOON, World, some_destination};

const OTHER: &str = "globex";

/// The requests that remain for a receiver that discards repeats by `webhook-id`: event ids and bodies.
fn kept(receiver: &Receiver) -> Vec<(String, String)> {
    let mut seen = std::collections::HashSet::new();
    let requests = receiver.requests();
    let new = requests.iter().filter(|request| seen.insert(request.header("webhook-id").to_owned()));
    let text = |request: &testkit::receiver::Seen| String::from_utf8_lossy(&request.body).into_owned();
    let mut kept: Vec<_> = new.map(|request| (request.header("leadline-event-id").to_owned(), text(request))).collect();
    kept.sort();
    kept
}

async fn other_account(world: &World) {
    let account = api::Account { account_id: OTHER.into(), ..api::Account::default() };
    world.registry().create_account(api::CreateAccountRequest { account: Some(account) }).await.unwrap();
    let interface =
        api::Interface { account_id: OTHER.into(), interface_id: INTERFACE.into(), ..api::Interface::default() };
    world.registry().create_interface(api::CreateInterfaceRequest { interface: Some(interface) }).await.unwrap();
}

async fn publish_for_both(world: &World) {
    for account in [ACCOUNT, OTHER] {
        world.publish_with("order-1", serde_json::json!({"account": account, "payload": {"of": account}})).await;
    }
}

#[tokio::test]
async fn webhook_ids_differ_between_accounts_with_equal_event_ids() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    other_account(&world).await;
    for account in [ACCOUNT, OTHER] {
        let destination = api::Destination { account_id: account.into(), url: receiver.url(), ..some_destination() };
        world.destination_with(destination).await;
    }
    publish_for_both(&world).await;
    wait::until_eq("both", SOON, 2, async || receiver.count()).await;
    let of = |account: &str| ("order-1".to_owned(), format!("{{\"of\":\"{account}\"}}"));
    assert_eq!(kept(&receiver), [of(ACCOUNT), of(OTHER)]);
    // Another attempt has the same id.
    let first = receiver.requests().remove(0);
    assert_eq!(first.header("webhook-id"), first.header("leadline-delivery-id"));
}

#[tokio::test]
async fn webhook_id_is_a_setting_that_other_updates_keep() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let made = async |kind: &str| {
        let destination = api::Destination { url: receiver.url(), webhook_id: kind.into(), ..some_destination() };
        let request = api::CreateDestinationRequest { destination: Some(destination), ..Default::default() };
        world.registry().create_destination(request).await.map(tonic::Response::into_inner)
    };
    assert_eq!(made("").await.unwrap().webhook_id, "delivery");
    let old = made("event").await.unwrap();
    assert_eq!(old.webhook_id, "event");
    let refused = made("lead").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("webhook_id: \"lead\" is not delivery or event"), "{refused}");
    world.publish("e1").await;
    wait::until_eq("both requests", SOON, 2, async || receiver.count()).await;
    let mut ids: Vec<_> = receiver.requests().iter().map(|seen| seen.header("webhook-id") == "e1").collect();
    ids.sort_unstable();
    assert_eq!(ids, [false, true]);
    assert!(receiver.requests().iter().all(|seen| seen.header("leadline-event-id") == "e1"));

    // A client that does not know the setting sends back all other fields.
    let unknowing = api::Destination { webhook_id: String::new(), name: "New name".into(), ..old.clone() };
    let update = async |destination: api::Destination, paths: &[&str]| {
        let paths = paths.iter().map(|&path| path.to_owned()).collect();
        let update_mask = Some(prost_types::FieldMask { paths });
        let request =
            api::UpdateDestinationRequest { destination: Some(destination), update_mask, ..Default::default() };
        world.registry().update_destination(request).await.unwrap().into_inner()
    };
    let updated = update(unknowing, &[]).await;
    assert_eq!((updated.name.as_str(), updated.webhook_id.as_str()), ("New name", "event"));
    let changed = api::Destination { webhook_id: "delivery".into(), ..old };
    assert_eq!(update(changed, &["webhook_id"]).await.webhook_id, "delivery");
    let shown = world.run(&["destinations", "update", "New name", "--webhook-id", "event"]).await.well();
    assert_eq!(shown.fact("webhook-id"), "id of the event");
}
