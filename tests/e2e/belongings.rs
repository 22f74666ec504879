//! Clients, interfaces and API users of an account, and destinations for each level.

use std::time::Duration;

use api::{DeliveryStatus, duration_to_api};
use serde_json::json;
use testkit::{Answer, Receiver, SmtpSink, wait};
use tonic::{Code, Status};

use crate::world::{ACCOUNT, API_USER, INTERFACE, SOON, World, event_json, events_at, some_destination};

fn code<T: std::fmt::Debug>(answer: Result<tonic::Response<T>, Status>) -> Code {
    answer.unwrap_err().code()
}

fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() })
}

fn client(id: &str, name: &str) -> api::Client {
    api::Client { account_id: ACCOUNT.into(), client_id: id.into(), name: name.into() }
}

async fn make_client(world: &World, id: &str) {
    let request = api::CreateClientRequest { client: Some(client(id, "")) };
    world.registry().create_client(request).await.unwrap();
}

async fn publish(world: &World, event: &str, client: Option<&str>) -> (u16, serde_json::Value) {
    let mut body = event_json(event);
    if let Some(client) = client {
        body["client"] = json!(client);
    }
    world.post(body.to_string(), &[]).await
}

#[tokio::test]
async fn clients_can_be_created_read_renamed_and_deleted() {
    let world = World::start().await;
    let mut registry = world.registry();
    let create = |c: api::Client| api::CreateClientRequest { client: Some(c) };
    let get = || api::GetClientRequest { account_id: ACCOUNT.into(), client_id: "north".into() };
    let made = registry.create_client(create(client("north", "North"))).await.unwrap().into_inner();
    assert_eq!(made, client("north", "North"));
    assert_eq!(code(registry.create_client(create(client("north", ""))).await), Code::AlreadyExists);
    let wrong = registry.create_client(create(client("no dots.", ""))).await.unwrap_err();
    assert!(wrong.code() == Code::InvalidArgument && wrong.message().starts_with("client_id: "), "{wrong}");
    let nowhere = api::Client { account_id: "nowhere".into(), ..client("north", "") };
    assert_eq!(code(registry.create_client(create(nowhere)).await), Code::NotFound);

    let rename = api::UpdateClientRequest { client: Some(client("north", "The north")), update_mask: mask(&["name"]) };
    registry.update_client(rename).await.unwrap();
    assert_eq!(registry.get_client(get()).await.unwrap().into_inner().name, "The north");
    let other = api::UpdateClientRequest { client: Some(client("north", "")), update_mask: mask(&["client_id"]) };
    assert_eq!(code(registry.update_client(other).await), Code::InvalidArgument);
    let list = || api::ListClientsRequest { account_id: ACCOUNT.into(), ..api::ListClientsRequest::default() };
    assert_eq!(registry.list_clients(list()).await.unwrap().into_inner().clients.len(), 1);

    let delete = || api::DeleteClientRequest { account_id: ACCOUNT.into(), client_id: "north".into() };
    registry.delete_client(delete()).await.unwrap();
    assert_eq!(code(registry.delete_client(delete()).await), Code::NotFound);
    assert_eq!(code(registry.get_client(get()).await), Code::NotFound);
    assert!(registry.list_clients(list()).await.unwrap().into_inner().clients.is_empty());
}

#[tokio::test]
async fn leads_of_unknown_or_deleted_clients_are_refused() {
    let world = World::start().await;
    let refused = |answer: (u16, serde_json::Value)| {
        assert_eq!((answer.0, &answer.1["error"]["field"]), (400, &json!("client")), "{answer:?}");
        assert!(answer.1.to_string().contains("north does not exist in account acme"), "{answer:?}");
    };
    refused(publish(&world, "early", Some("north")).await);
    make_client(&world, "north").await;
    assert_eq!(publish(&world, "known", Some("north")).await.0, 202);
    assert_eq!(publish(&world, "nobody-s", None).await.0, 202);
    let delete = api::DeleteClientRequest { account_id: ACCOUNT.into(), client_id: "north".into() };
    world.registry().delete_client(delete).await.unwrap();
    refused(publish(&world, "late", Some("north")).await);
    let request = api::PublishLeadRequest {
        account: ACCOUNT.into(),
        interface: INTERFACE.into(),
        client: "north".into(),
        payload: b"{}".as_slice().into(),
        ..api::PublishLeadRequest::default()
    };
    let status = world.ingest().publish_lead(request).await.unwrap_err();
    assert!(status.code() == Code::InvalidArgument && status.message().starts_with("client: "), "{status}");
}

#[tokio::test]
async fn higher_level_overrides_lower_ones_unless_routing_is_all() {
    let world = World::start().await;
    make_client(&world, "north").await;
    let (above, between, below) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let of = |receiver: &Receiver| api::Destination { url: receiver.url(), ..some_destination() };
    world.destination_with(api::Destination { interface_id: INTERFACE.into(), ..of(&below) }).await;
    let seen = async |event: &str, client: Option<&str>, at: &[&Receiver]| {
        assert_eq!(publish(&world, event, client).await.0, 202);
        for receiver in at {
            wait::until(&format!("{event} at its receiver"), SOON, async || {
                events_at(receiver).contains(&event.to_owned())
            })
            .await;
        }
        let all = [&above, &between, &below];
        let count = all.into_iter().filter(|receiver| events_at(receiver).contains(&event.to_owned())).count();
        assert_eq!(count, at.len(), "{event}");
    };
    seen("e1", Some("north"), &[&below]).await;
    world.destination_with(api::Destination { client_id: "north".into(), ..of(&between) }).await;
    seen("e2", Some("north"), &[&between]).await;
    seen("e3", None, &[&below]).await;
    let highest = world.destination_with(of(&above)).await;
    seen("e4", Some("north"), &[&above]).await;
    let routing = async |word: &str| {
        let account = api::Account { account_id: ACCOUNT.into(), routing: word.into(), ..api::Account::default() };
        let request = api::UpdateAccountRequest { account: Some(account), update_mask: mask(&["routing"]) };
        world.registry().update_account(request).await.map(|answer| answer.into_inner().routing)
    };
    assert_eq!(routing("all").await.unwrap(), "all");
    seen("e5", Some("north"), &[&above, &between, &below]).await;
    assert_eq!(routing("some").await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(routing("").await.unwrap(), "override");
    seen("e6", Some("north"), &[&above]).await;
    world.delete(&highest).await;
    seen("e7", Some("north"), &[&between]).await;
}

#[tokio::test]
async fn destination_can_move_between_levels() {
    let world = World::start().await;
    make_client(&world, "north").await;
    let made =
        api::Destination { interface_id: INTERFACE.into(), url: "https://crm.example/".into(), ..some_destination() };
    let destination_id = world.destination_with(made).await;
    let update = async |interface: &str, client: &str, paths: &[&str]| {
        let destination = api::Destination {
            destination_id: destination_id.clone(),
            url: "https://crm.example/".into(),
            interface_id: interface.into(),
            client_id: client.into(),
            ..some_destination()
        };
        let request = api::UpdateDestinationRequest {
            destination: Some(destination),
            update_mask: mask(paths),
            ..Default::default()
        };
        let updated = world.registry().update_destination(request).await.map(tonic::Response::into_inner);
        updated.map(|now| (now.interface_id, now.client_id))
    };
    let (of_form, of_north) = ((INTERFACE.to_owned(), String::new()), (String::new(), "north".to_owned()));
    assert_eq!(update("", "", &["name"]).await.unwrap(), of_form);
    assert_eq!(update("", "", &["client_id"]).await.unwrap(), of_form, "it has no client");
    assert_eq!(update("", "north", &["client_id"]).await.unwrap(), of_north);
    assert_eq!(update(INTERFACE, "", &["interface_id"]).await.unwrap(), of_form);
    assert_eq!(update("", "", &["interface_id"]).await.unwrap(), (String::new(), String::new()));
    let both = update(INTERFACE, "north", &[]).await.unwrap_err();
    assert!(both.code() == Code::InvalidArgument && both.message().starts_with("client_id: "), "{both}");
    let nobody = update("", "south", &[]).await.unwrap_err();
    assert_eq!((nobody.code(), nobody.message()), (Code::NotFound, "client \"south\" does not exist"));
}

#[tokio::test]
async fn interface_has_a_retention_and_lead_notification_emails() {
    let world = World::start().await;
    let day = Duration::from_secs(24 * 60 * 60);
    let of = |retention: Option<Duration>, emails: &[&str]| api::Interface {
        account_id: ACCOUNT.into(),
        interface_id: INTERFACE.into(),
        retention: retention.map(duration_to_api),
        lead_notification_emails: emails.iter().map(|&email| email.to_owned()).collect(),
        ..api::Interface::default()
    };
    let update = async |interface: api::Interface, paths: &[&str]| {
        let request = api::UpdateInterfaceRequest { interface: Some(interface), update_mask: mask(paths) };
        world.registry().update_interface(request).await.map(tonic::Response::into_inner)
    };
    let kept = update(of(Some(day * 30), &[]), &["retention"]).await.unwrap();
    assert_eq!((kept.name.as_str(), kept.retention), ("Form", Some(duration_to_api(day * 30))));
    let mailed = update(of(None, &["sales@acme.example"]), &["lead_notification_emails"]).await.unwrap();
    assert_eq!(mailed, api::Interface { lead_notification_emails: vec!["sales@acme.example".into()], ..kept });
    let get = api::GetInterfaceRequest { account_id: ACCOUNT.into(), interface_id: INTERFACE.into() };
    assert_eq!(world.registry().get_interface(get).await.unwrap().into_inner(), mailed);
    let forever = update(of(None, &[]), &["retention"]).await.unwrap();
    assert_eq!(forever.retention, None);
    for (interface, field) in [
        (of(Some(day / 2), &[]), "retention"),
        (of(Some(day * 4_000), &[]), "retention"),
        (of(None, &["nobody"]), "lead_notification_emails"),
        (of(None, &["a@acme.example"; 21]), "lead_notification_emails"),
    ] {
        let refused = update(interface, &[]).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().starts_with(field), "{refused}");
    }
    let absent = api::Interface { interface_id: "nothing".into(), ..of(None, &[]) };
    assert_eq!(update(absent, &[]).await.unwrap_err().code(), Code::NotFound);
}

fn api_user(id: &str, role: &str) -> api::ApiUser {
    let email = format!("{id}@acme.example");
    api::ApiUser {
        account_id: ACCOUNT.into(),
        api_user_id: id.into(),
        name: id.into(),
        email,
        role: role.into(),
        ..api::ApiUser::default()
    }
}

async fn make_api_user(world: &World, user: api::ApiUser) -> Result<api::ApiUser, Status> {
    let request = api::CreateApiUserRequest { api_user: Some(user) };
    world.registry().create_api_user(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn api_users_have_roles_and_can_be_changed_and_deleted() {
    let world = World::start().await;
    let mut registry = world.registry();
    let made = make_api_user(&world, api_user("ada", "viewer")).await.unwrap();
    assert_eq!(made, api_user("ada", "viewer"));
    assert_eq!(make_api_user(&world, api_user("ada", "admin")).await.unwrap_err().code(), Code::AlreadyExists);
    for (user, field) in [
        (api_user("bob", ""), "role"),
        (api_user("bob", "owner"), "role"),
        (api::ApiUser { email: "bob".into(), ..api_user("bob", "admin") }, "email"),
        (api_user("b ob", "admin"), "api_user_id"),
    ] {
        let refused = make_api_user(&world, user).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().starts_with(field), "{refused}");
    }
    let renamed = api::ApiUser { name: "Ada".into(), role: String::new(), ..api_user("ada", "") };
    let rename = api::UpdateApiUserRequest { api_user: Some(renamed), update_mask: mask(&["name"]) };
    let now = registry.update_api_user(rename).await.unwrap().into_inner();
    assert_eq!((now.name.as_str(), now.role.as_str()), ("Ada", "viewer"));
    let promote = api::UpdateApiUserRequest { api_user: Some(api_user("ada", "admin")), update_mask: mask(&["role"]) };
    registry.update_api_user(promote).await.unwrap();
    let get = || api::GetApiUserRequest { account_id: ACCOUNT.into(), api_user_id: "ada".into() };
    assert_eq!(registry.get_api_user(get()).await.unwrap().into_inner().role, "admin");
    let list = || api::ListApiUsersRequest { account_id: ACCOUNT.into(), ..api::ListApiUsersRequest::default() };
    assert_eq!(registry.list_api_users(list()).await.unwrap().into_inner().api_users.len(), 1);
    let delete = || api::DeleteApiUserRequest { account_id: ACCOUNT.into(), api_user_id: "ada".into() };
    registry.delete_api_user(delete()).await.unwrap();
    assert_eq!(code(registry.delete_api_user(delete()).await), Code::NotFound);
    assert_eq!(code(registry.get_api_user(get()).await), Code::NotFound);
    assert!(registry.list_api_users(list()).await.unwrap().into_inner().api_users.is_empty());
}

#[tokio::test]
async fn operators_and_admins_get_deactivation_notices() {
    let smtp = SmtpSink::start().await;
    let (world, receiver) = (World::start_with(&["--smtp-url", &smtp.url()], &[]).await, Receiver::start().await);
    for (id, role) in [("vera", "viewer"), ("olaf", "operator"), ("ada", "admin")] {
        make_api_user(&world, api_user(id, role)).await.unwrap();
    }
    let again = api::ApiUser { email: API_USER.to_uppercase(), ..api_user("dev", "admin") };
    make_api_user(&world, again).await.unwrap();
    receiver.answer(Answer::Status(410));
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Failed).await;
    let mailed = wait::until("three mails about the deactivation", SOON, async || {
        let mails = smtp.mails();
        let about = mails.iter().filter(|mail| mail.raw.contains("Webhook Deactivated"));
        let mut mailed: Vec<String> = about.flat_map(|mail| mail.to.clone()).collect();
        mailed.sort();
        (mailed.len() >= 3).then_some(mailed)
    })
    .await;
    assert_eq!(mailed, ["ada@acme.example", API_USER, "olaf@acme.example"]);
}

#[tokio::test]
async fn destination_of_an_interface_gets_no_leads_of_others() {
    let (world, form, campaign) = (World::start().await, Receiver::start().await, Receiver::start().await);
    world.interface("campaign").await;
    for (receiver, interface) in [(&form, INTERFACE), (&campaign, "campaign")] {
        let destination =
            api::Destination { url: receiver.url(), interface_id: interface.into(), ..some_destination() };
        world.destination_with(destination).await;
    }
    world.publish("of-form").await;
    world.publish_with("of-campaign", json!({"interface": "campaign"})).await;
    world.delivery_is("of-form", DeliveryStatus::Succeeded).await;
    world.delivery_is("of-campaign", DeliveryStatus::Succeeded).await;
    assert_eq!(events_at(&form), ["of-form"]);
    assert_eq!(events_at(&campaign), ["of-campaign"]);
}
