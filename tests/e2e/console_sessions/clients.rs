//! Keys and portals of a client see only its leads, deliveries and destinations.

use api::{DeliveryStatus, Scope, access_service_client::AccessServiceClient};
use serde_json::{Value, json};
use testkit::{Answer, Receiver, wait};

use super::{Browser, token_of};
use crate::{
    web::Answered,
    world::{ACCOUNT, SOON, World, lead_of, some_destination},
};

/// Two clients with a destination each, and a destination of the account that gets everything.
struct Clients {
    world: World,
    own: String,
    other: String,
    of_account: String,
    receiver: Receiver,
    browser: Browser,
}

async fn destination(world: &World, url: &str, client: &str) -> String {
    let destination = api::Destination { url: url.into(), client_id: client.into(), ..some_destination() };
    Box::pin(world.destination_with(destination)).await
}

async fn ended(world: &World, event: &str, count: usize) -> Vec<api::Delivery> {
    let filter = api::DeliveryFilter { event_id: event.into(), ..api::DeliveryFilter::default() };
    let request = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
    wait::until(&format!("the deliveries of {event}"), SOON, async || {
        let found = world.deliveries().list_deliveries(request.clone()).await.unwrap().into_inner().deliveries;
        let done = found.iter().all(|d| matches!(d.status(), DeliveryStatus::Succeeded | DeliveryStatus::Failed));
        if found.len() == count && done { Ok(found) } else { Err(found) }
    })
    .await
}

impl Clients {
    async fn start() -> Self {
        let (world, receiver) = (World::start().await, Receiver::start().await);
        receiver.answer(Answer::Status(500));
        let account = api::Account { account_id: ACCOUNT.into(), routing: "all".into(), ..api::Account::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["routing".into()] });
        let update = api::UpdateAccountRequest { account: Some(account), update_mask };
        world.registry().update_account(update).await.unwrap();
        for client in ["north", "south"] {
            world.client(client).await;
        }
        let own = destination(&world, &receiver.url(), "north").await;
        let other = destination(&world, &receiver.url(), "south").await;
        let of_account = destination(&world, &receiver.url(), "").await;
        world.publish_with("e1", json!({"client": "north"})).await;
        world.publish_with("e2", json!({"client": "south"})).await;
        world.publish("e3").await;
        for (event, count) in [("e1", 2), ("e2", 2), ("e3", 1)] {
            ended(&world, event, count).await;
        }
        let request = api::CreatePortalSessionRequest {
            account_id: ACCOUNT.into(),
            client_id: "north".into(),
            scopes: vec![Scope::Operate.into()],
            ..api::CreatePortalSessionRequest::default()
        };
        let link = world.access().create_portal_session(request).await.unwrap().into_inner();
        let browser = Browser::with(&world.http, json!({"token": token_of(&link.url)})).await;
        assert_eq!(browser.session["key"]["client"], "north");
        assert_eq!(browser.session["person"], "the portal of north");
        Self { world, own, other, of_account, receiver, browser }
    }

    async fn call(&self, method: &str, mut message: Value) -> Answered {
        if !method.starts_with("DeliveryService/") || method.ends_with("SendTestDelivery") {
            message["accountId"] = ACCOUNT.into();
        }
        self.browser.call(method, message).await
    }

    async fn status(&self, method: &str, message: Value) -> u16 {
        self.call(method, message).await.status
    }
}

/// The sorted values of a field in a list.
fn all<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    let mut values: Vec<_> = list.as_array().unwrap().iter().map(|one| one[field].as_str().unwrap()).collect();
    values.sort_unstable();
    values
}

#[tokio::test]
async fn client_portal_sees_only_data_of_its_client() {
    let clients = Clients::start().await;
    let listed = clients.call("DeliveryService/ListDeliveries", json!({})).await.json();
    assert_eq!(all(&listed["deliveries"], "eventId"), ["e1", "e1"], "{listed}");
    assert_eq!(all(&listed["deliveries"], "clientId"), ["north", "north"]);
    let south = json!({"filter": {"clientId": "south"}});
    assert_eq!(clients.status("DeliveryService/ListDeliveries", south).await, 403);
    let listed = clients.call("LeadService/ListLeads", json!({})).await.json();
    assert_eq!(all(&listed["leads"], "leadId"), [lead_of("e1")], "{listed}");
    assert_eq!(clients.status("LeadService/ListLeads", json!({"clientId": "south"})).await, 403);
    let listed = clients.call("RegistryService/ListDestinations", json!({})).await.json();
    assert_eq!(all(&listed["destinations"], "destinationId"), [clients.own.as_str()], "{listed}");

    for (event, status) in [("e1", 200), ("e2", 404), ("e3", 404)] {
        let lead = json!({"leadId": lead_of(event)});
        assert_eq!(clients.status("LeadService/GetLead", lead.clone()).await, status, "{event}");
        assert_eq!(clients.status("LeadService/GetLeadLog", lead).await, status, "{event}");
        for delivery in ended(&clients.world, event, if event == "e3" { 1 } else { 2 }).await {
            let delivery = json!({"deliveryId": delivery.delivery_id});
            assert_eq!(clients.status("DeliveryService/GetDelivery", delivery).await, status, "{event}");
        }
    }
    for (destination, status) in [(&clients.own, 200), (&clients.other, 404), (&clients.of_account, 404)] {
        let destination = json!({"destinationId": destination});
        for method in ["GetDestination", "DisableDestination", "EnableDestination"] {
            let method = format!("RegistryService/{method}");
            assert_eq!(clients.status(&method, destination.clone()).await, status, "{method} {destination}");
        }
        assert_eq!(clients.status("DeliveryService/SendTestDelivery", destination).await, status);
    }
    for closed in ["AuditService/ListAuditLog", "RegistryService/ListClients", "JobService/ListJobs"] {
        assert_eq!(clients.status(closed, json!({})).await, 403, "{closed}");
    }
}

#[tokio::test]
async fn client_portal_hides_other_destinations_of_its_leads() {
    let clients = Clients::start().await;
    let deliveries = ended(&clients.world, "e1", 2).await;
    let find = |destination: &str| deliveries.iter().find(|d| d.destination_id == destination).unwrap();
    let (own, elsewhere) = (find(&clients.own), find(&clients.of_account));
    assert!(!elsewhere.request_url.is_empty());
    let shown = async |delivery: &api::Delivery| {
        let id = json!({"deliveryId": delivery.delivery_id});
        clients.call("DeliveryService/GetDelivery", id).await.json()
    };
    let (own_shown, hidden) = (shown(own).await, shown(elsewhere).await);
    assert_eq!(own_shown["delivery"]["requestUrl"], own.request_url.as_str());
    assert_eq!(own_shown["attempts"][0]["requestUrl"], own.request_url.as_str());
    for part in [&hidden["delivery"], &hidden["attempts"][0]] {
        assert_eq!(
            (&part["requestUrl"], &part["webhookResponse"], &part["destinationName"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        assert_eq!(part["httpStatusCode"], 500);
    }
    let lead = clients.call("LeadService/GetLead", json!({"leadId": lead_of("e1")})).await.json();
    assert_eq!(lead["webhookResponse"], Value::Null, "{lead}");

    clients.receiver.answer(Answer::Status(200));
    let retry = |delivery: &api::Delivery| json!({"deliveryId": delivery.delivery_id});
    assert_eq!(clients.status("DeliveryService/RetryDelivery", retry(elsewhere)).await, 403);
    assert_eq!(clients.status("DeliveryService/RetryDelivery", retry(own)).await, 200);
}

#[tokio::test]
async fn client_key_watches_and_exports_only_its_client() {
    let clients = Clients::start().await;
    let request = api::CreateKeyRequest {
        account_id: ACCOUNT.into(),
        client_id: "south".into(),
        scopes: vec![Scope::Read.into()],
        ..api::CreateKeyRequest::default()
    };
    let made = clients.world.access().create_key(request.clone()).await.unwrap().into_inner();
    assert_eq!(made.key.unwrap().client_id, "south");
    let wrong = [("", "south", tonic::Code::InvalidArgument), (ACCOUNT, "nobody", tonic::Code::NotFound)];
    for (account, client, code) in wrong {
        let request = api::CreateKeyRequest { account_id: account.into(), client_id: client.into(), ..request.clone() };
        assert_eq!(
            clients.world.access().create_key(request).await.unwrap_err().code(),
            code,
            "{client} of {account:?}"
        );
    }
    let channel = clients.world.called_with(&made.secret).await;
    let who = AccessServiceClient::new(channel.clone()).who_am_i(api::WhoAmIRequest {}).await.unwrap().into_inner();
    assert_eq!((who.account_id.as_str(), who.client_id.as_str()), (ACCOUNT, "south"));

    let export = api::ExportLeadsRequest { account_id: ACCOUNT.into(), ..api::ExportLeadsRequest::default() };
    let mut leads = api::lead_service_client::LeadServiceClient::new(channel.clone());
    let mut pieces = leads.export_leads(export).await.unwrap().into_inner();
    let mut csv = String::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        csv.push_str(&String::from_utf8_lossy(&piece.csv));
    }
    assert_eq!(csv.lines().count(), 2, "the columns and one lead: {csv}");
    assert!(csv.contains(&lead_of("e2")), "{csv}");

    let mut deliveries = api::delivery_service_client::DeliveryServiceClient::new(channel);
    let request = api::WatchDeliveriesRequest { existing: true, ..api::WatchDeliveriesRequest::default() };
    let mut watch = deliveries.watch_deliveries(request).await.unwrap().into_inner();
    // Of the new events, only the last belongs to the client.
    clients.world.publish_with("e4", json!({"client": "north"})).await;
    ended(&clients.world, "e4", 2).await;
    clients.world.publish_with("e5", json!({"client": "south"})).await;
    ended(&clients.world, "e5", 2).await;
    let mut events = vec![];
    while events.last().is_none_or(|event| event != "e5") {
        let change = tokio::time::timeout(SOON, watch.message()).await.unwrap().unwrap().unwrap();
        events.extend(change.delivery.map(|delivery| delivery.event_id));
    }
    events.dedup();
    assert_eq!(events, ["e2", "e5"]);
}
