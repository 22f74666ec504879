//! API keys: which keys are accepted, what they permit, and that a key cannot show or change anything of another
//! account.

mod http;
pub(crate) mod matrix;
mod sweep;

use std::os::unix::fs::PermissionsExt as _;

use api::{
    DeliveryStatus, Scope, access_service_client::AccessServiceClient, delivery_service_client::DeliveryServiceClient,
    ingest_service_client::IngestServiceClient, publish_leads_result::Result as Outcome,
    registry_service_client::RegistryServiceClient,
};
use testkit::{Process, Receiver, wait};
use tonic::Code;

use crate::world::{ACCOUNT, INTERFACE, SOON, World, event_json, is_readable_in, program, some_destination};

/// A second account.
const OTHER: &str = "other";

/// The secret part of a key, which may contain underscores. A text that is not a key is secret as a whole.
fn secret_of(key: &str) -> &str {
    key.splitn(3, '_').last().unwrap_or_default()
}

/// A world with a second account that has an interface.
async fn two_accounts() -> World {
    let world = World::start().await;
    let account = api::Account { account_id: OTHER.into(), ..api::Account::default() };
    world.registry().create_account(api::CreateAccountRequest { account: Some(account) }).await.unwrap();
    let interface =
        api::Interface { account_id: OTHER.into(), interface_id: INTERFACE.into(), ..api::Interface::default() };
    world.registry().create_interface(api::CreateInterfaceRequest { interface: Some(interface) }).await.unwrap();
    world
}

async fn revoke(world: &World, key_id: &str) {
    world.access().revoke_key(api::RevokeKeyRequest { key_id: key_id.into() }).await.unwrap();
}

/// Creates a key and waits until it has expired.
async fn expired_key(world: &World) -> String {
    let end = std::time::SystemTime::now() + std::time::Duration::from_millis(500);
    let request = api::CreateKeyRequest {
        scopes: vec![Scope::Admin.into()],
        expires_at: Some(end.into()),
        ..api::CreateKeyRequest::default()
    };
    let key = world.access().create_key(request).await.unwrap().into_inner().secret;
    let channel = world.called_with(&key).await;
    wait::until("the end of the key", SOON, async || {
        let answer = AccessServiceClient::new(channel.clone()).who_am_i(api::WhoAmIRequest {}).await;
        answer.is_err_and(|status| status.code() == Code::Unauthenticated && status.message().contains("expired"))
    })
    .await;
    key
}

#[tokio::test]
async fn first_key_is_in_the_data_directory_alone() {
    let world = World::start().await;
    let file = world.home.data().join("admin.key");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let output = world.process.wait_line("admin.key", SOON).await;
    assert!(output.contains("commands find it"), "{output}");
    let secret = secret_of(&world.key).to_owned();
    assert!(!world.process.output().contains(&secret));
    let me = world.access().who_am_i(api::WhoAmIRequest {}).await.unwrap().into_inner();
    assert_eq!((me.name.as_str(), me.account_id.as_str()), ("admin.key", ""));
    assert_eq!(me.scopes().collect::<Vec<_>>(), [Scope::Admin, Scope::Payload]);
    assert_eq!(world.key.split('_').nth(1), Some(me.key_id.as_str()));

    let data = world.home.data();
    let call = |args: &[&str]| {
        let args = [&["call", "AccessService/WhoAmI", "--grpc-url", &world.grpc], args].concat();
        Process::start("call", program(), args, std::iter::empty::<(&str, &str)>())
    };
    call(&["--data-dir", data.to_str().unwrap()]).wait_line("SCOPE_ADMIN", SOON).await;
    let (reader, _) = world.new_key(ACCOUNT, &[Scope::Read]).await;
    call(&["--api-key", &reader]).wait_line("SCOPE_READ", SOON).await;
    call(&["--data-dir", "/proc/nowhere"]).wait_line("LEADLINE_API_KEY", SOON).await;

    // Only hashes are stored. A restarted system knows the same keys.
    assert!(!is_readable_in(&data.join("nats"), secret_of(&reader).as_bytes()));
    world.process.terminate();
    world.process.wait_exit(SOON).await;
    let before = world.key.clone();
    let world = world.again(&[]).await;
    assert_eq!(world.key, before);
    let channel = world.called_with(&reader).await;
    AccessServiceClient::new(channel).who_am_i(api::WhoAmIRequest {}).await.unwrap();
}

#[tokio::test]
async fn keys_are_bounded_by_their_creator_and_listed_per_account() {
    let world = two_accounts().await;
    let (admin, admin_id) = world.new_key(ACCOUNT, &[Scope::Admin]).await;
    let (_, foreign_id) = world.new_key(OTHER, &[Scope::Read]).await;
    let mut access = AccessServiceClient::new(world.called_with(&admin).await);
    let request = |account: &str| api::CreateKeyRequest {
        account_id: account.into(),
        name: "web form".into(),
        scopes: vec![Scope::Publish.into()],
        ..api::CreateKeyRequest::default()
    };
    for account in [OTHER, "", "no-such-account"] {
        let refused = access.create_key(request(account)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{account:?}: {refused}");
    }
    let made = access.create_key(request(ACCOUNT)).await.unwrap().into_inner().key.unwrap();
    assert_eq!(made.created_by, format!("key {admin_id} (of a test)"));

    let list = api::ListKeysRequest::default();
    let ids = |keys: Vec<api::Key>| keys.into_iter().map(|key| key.key_id).collect::<Vec<_>>();
    let seen = ids(access.list_keys(list.clone()).await.unwrap().into_inner().keys);
    assert_eq!(seen, [made.key_id.clone(), admin_id.clone()], "the newest first, and only keys of the account");
    let all = ids(world.access().list_keys(list.clone()).await.unwrap().into_inner().keys);
    assert_eq!(all.len(), 4, "keys of both accounts, and the first key: {all:?}");
    let page = api::ListKeysRequest { page_size: 3, ..list.clone() };
    let first = world.access().list_keys(page.clone()).await.unwrap().into_inner();
    let page = api::ListKeysRequest { page_token: first.next_page_token, ..page };
    let second = world.access().list_keys(page).await.unwrap().into_inner();
    assert_eq!([ids(first.keys), ids(second.keys)].concat(), all);

    let foreign = access.revoke_key(api::RevokeKeyRequest { key_id: foreign_id.clone() }).await.unwrap_err();
    let absent = access.revoke_key(api::RevokeKeyRequest { key_id: "none".into() }).await.unwrap_err();
    assert_eq!((foreign.code(), absent.code()), (Code::NotFound, Code::NotFound));
    assert_eq!(foreign.message().replace(&foreign_id, "none"), absent.message());
    for _ in 0..2 {
        let revoked = access.revoke_key(api::RevokeKeyRequest { key_id: made.key_id.clone() }).await.unwrap();
        assert!(revoked.into_inner().revoked_at.is_some());
    }
    let left = api::ListKeysRequest { account_id: ACCOUNT.into(), ..list.clone() };
    assert_eq!(ids(access.list_keys(left.clone()).await.unwrap().into_inner().keys), [admin_id]);
    let ever = api::ListKeysRequest { include_ended: true, ..left };
    assert_eq!(access.list_keys(ever).await.unwrap().into_inner().keys.len(), 2);
}

#[tokio::test]
async fn things_of_other_accounts_seem_not_to_exist() {
    let (world, receiver) = (two_accounts().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    let delivery = world.delivery_is("e1", DeliveryStatus::Succeeded).await.delivery.unwrap().delivery_id;
    let (stranger, _) = world.new_key(OTHER, &[Scope::Admin]).await;
    let channel = world.called_with(&stranger).await;
    let mut deliveries = DeliveryServiceClient::new(channel.clone());
    let nothing = "00000000-0000-0000-0000-000000000000";
    let get = |id: &str| api::GetDeliveryRequest { delivery_id: id.into() };
    let foreign = deliveries.get_delivery(get(&delivery)).await.unwrap_err();
    let absent = deliveries.get_delivery(get(nothing)).await.unwrap_err();
    assert_eq!(foreign.code(), Code::NotFound);
    assert_eq!(foreign.message().replace(&delivery, nothing), absent.message());
    let retry = |id: &str| api::RetryDeliveryRequest { delivery_id: id.into(), ..Default::default() };
    let foreign = deliveries.retry_delivery(retry(&delivery)).await.unwrap_err();
    assert_eq!(foreign.code(), Code::NotFound, "{foreign}");

    let all = deliveries.list_deliveries(api::ListDeliveriesRequest::default()).await.unwrap().into_inner();
    assert!(all.deliveries.is_empty());
    let accounts = RegistryServiceClient::new(channel.clone()).list_accounts(api::ListAccountsRequest::default()).await;
    let accounts: Vec<_> = accounts.unwrap().into_inner().accounts.into_iter().map(|a| a.account_id).collect();
    assert_eq!(accounts, [OTHER]);
    // An account that does not exist is refused in the same way.
    for account_id in [ACCOUNT, "no-such-account"] {
        let request = api::GetAccountRequest { account_id: account_id.into() };
        let refused = RegistryServiceClient::new(channel.clone()).get_account(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(!refused.message().contains(account_id), "{refused}");
    }
    let moved = api::Destination { url: "https://crm.example/".into(), ..some_destination() };
    let request = api::CreateDestinationRequest { destination: Some(moved), ..Default::default() };
    let refused = RegistryServiceClient::new(channel).create_destination(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn history_names_the_key_and_the_claimed_person() {
    let world = World::start().await;
    world.destination("http://127.0.0.1:1/").await;
    world.publish("e1").await;
    let delivery_id = world.delivery_is("e1", DeliveryStatus::Failed).await.delivery.unwrap().delivery_id;
    let (operator, key_id) = world.new_key(ACCOUNT, &[Scope::Operate]).await;
    let mut deliveries = DeliveryServiceClient::new(world.called_with(&operator).await);
    let retry = api::RetryDeliveryRequest { delivery_id, requested_by: "key 0000 (boss)".into(), ..Default::default() };
    deliveries.retry_delivery(retry).await.unwrap();
    let expected = format!("key {key_id} (of a test) for key 0000 (boss)");
    wait::until("the name of the caller in the log", SOON, async || {
        let log = world.log("e1").await;
        if log.iter().any(|(_, detail)| detail.contains(&expected)) { Ok(()) } else { Err(log) }
    })
    .await;
}

#[tokio::test]
async fn open_streams_end_when_their_key_is_revoked() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let (key, key_id) = world.new_key(ACCOUNT, &[Scope::Publish, Scope::Read]).await;
    let channel = world.called_with(&key).await;
    let mut watch = DeliveryServiceClient::new(channel.clone());
    let mut watch = watch.watch_deliveries(api::WatchDeliveriesRequest::default()).await.unwrap().into_inner();
    let (events, requests) = tokio::sync::mpsc::channel(4);
    let event = |id: &str| api::PublishLeadRequest {
        account: ACCOUNT.into(),
        interface: INTERFACE.into(),
        event_id: id.into(),
        payload: b"{}".as_slice().into(),
        ..api::PublishLeadRequest::default()
    };
    events.send(event("e1")).await.unwrap();
    let requests = futures::stream::unfold(requests, async |mut requests: tokio::sync::mpsc::Receiver<_>| {
        Some((requests.recv().await?, requests))
    });
    let mut stream = IngestServiceClient::new(channel).publish_leads(requests).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap().result.unwrap();
    assert!(matches!(first, Outcome::Published(_)), "{first:?}");
    assert!(watch.message().await.unwrap().is_some());

    revoke(&world, &key_id).await;
    // Ingest notices the revocation without a request.
    wait::until("the end of the stream's key", SOON, async || {
        events.send(event("e2")).await.unwrap();
        let refused = stream.message().await.unwrap().unwrap().result.unwrap();
        matches!(refused, Outcome::Refused(refused) if refused.code == i32::from(Code::Unauthenticated))
    })
    .await;
    world.post(event_json("e3").to_string(), &[]).await;
    let ended = loop {
        match watch.message().await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert_eq!(ended.unwrap_err().code(), Code::Unauthenticated);
}
