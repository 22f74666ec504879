//! The configuration over the API.

use api::DeliveryStatus;
use testkit::{Receiver, wait};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::world::{ACCOUNT, INTERFACE, OWNER, SOON, World, is_readable_in, some_destination};

fn code<T: std::fmt::Debug>(answer: Result<tonic::Response<T>, Status>) -> Code {
    answer.unwrap_err().code()
}

#[tokio::test]
async fn configuration_can_be_read_changed_and_deleted() {
    let world = World::start().await;
    let mut registry = world.registry();
    let id = world.destination("https://crm.example/hook").await;
    let get = api::GetDestinationRequest { account_id: ACCOUNT.into(), destination_id: id.clone() };
    let made = registry.get_destination(get.clone()).await.unwrap().into_inner();
    assert_eq!((made.url.as_str(), made.event_types.as_slice()), ("https://crm.example/hook", &["*".to_owned()][..]));
    assert_eq!((made.concurrency, made.enabled), (32, Some(true)));

    let change = api::Destination { url: "https://crm.example/v2".into(), name: "ignored".into(), ..made.clone() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["url".into()] });
    let request = api::UpdateDestinationRequest { destination: Some(change), update_mask, ..Default::default() };
    let changed = registry.update_destination(request).await.unwrap().into_inner();
    assert_eq!(changed, api::Destination { url: "https://crm.example/v2".into(), ..made });
    assert_eq!(registry.get_destination(get.clone()).await.unwrap().into_inner(), changed);

    let list = api::ListDestinationsRequest { account_id: ACCOUNT.into(), ..api::ListDestinationsRequest::default() };
    assert_eq!(registry.list_destinations(list.clone()).await.unwrap().into_inner().destinations, [changed]);
    let delete = api::DeleteDestinationRequest { account_id: ACCOUNT.into(), destination_id: id };
    registry.delete_destination(delete.clone()).await.unwrap();
    assert!(registry.list_destinations(list).await.unwrap().into_inner().destinations.is_empty());
    assert_eq!(code(registry.get_destination(get).await), Code::NotFound);
    assert_eq!(code(registry.delete_destination(delete).await), Code::NotFound);

    let account = registry.get_account(api::GetAccountRequest { account_id: ACCOUNT.into() }).await.unwrap();
    assert_eq!(account.into_inner().notification_emails, [OWNER]);
    let interfaces = api::ListInterfacesRequest { account_id: ACCOUNT.into(), ..api::ListInterfacesRequest::default() };
    let interfaces = registry.list_interfaces(interfaces).await.unwrap().into_inner().interfaces;
    assert_eq!(interfaces[0].interface_id, INTERFACE);
    assert_eq!(
        registry.list_accounts(api::ListAccountsRequest::default()).await.unwrap().into_inner().accounts.len(),
        1
    );
}

#[tokio::test]
async fn invalid_configuration_is_refused_by_field() {
    let world = World::start().await;
    let good = || api::Destination { url: "https://crm.example/".into(), ..some_destination() };
    let cases = [
        (api::Destination { url: String::new(), ..good() }, "url"),
        (api::Destination { url: "ftp://crm.example/".into(), ..good() }, "url"),
        (api::Destination { url: "https://user:secret@crm.example/".into(), ..good() }, "url"),
        (api::Destination { event_types: vec!["Not A Type".into()], ..good() }, "event_types"),
        (api::Destination { concurrency: 100_000, ..good() }, "concurrency"),
        (api::Destination { name: "two\nlines".into(), ..good() }, "name"),
        (api::Destination { account_id: String::new(), ..good() }, "account_id"),
    ];
    for (destination, field) in cases {
        let request = api::CreateDestinationRequest {
            destination: Some(destination),
            ..api::CreateDestinationRequest::default()
        };
        let status = world.registry().create_destination(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().starts_with(field), "{field}: {status}");
    }
    let absent = api::Destination { interface_id: "nothing".into(), ..good() };
    let request =
        api::CreateDestinationRequest { destination: Some(absent), ..api::CreateDestinationRequest::default() };
    assert_eq!(code(world.registry().create_destination(request).await), Code::NotFound);
    let twice = api::Account { account_id: ACCOUNT.into(), ..api::Account::default() };
    let request = api::CreateAccountRequest { account: Some(twice) };
    assert_eq!(code(world.registry().create_account(request).await), Code::AlreadyExists);
}

#[tokio::test]
async fn plain_http_is_refused_unless_it_is_allowed() {
    let home = crate::world::Home::new();
    let nats_server = testkit::nats::binary();
    let data = home.data();
    let args = ["up", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()];
    let env = [("LEADLINE_NATS_SERVER", nats_server.to_str().unwrap())];
    let process = testkit::Process::start("leadline up", crate::world::program(), args, env);
    let world = World::attach(home, process).await;
    world.set_up().await;
    let destination = api::Destination { url: "http://crm.example/".into(), ..some_destination() };
    let request =
        api::CreateDestinationRequest { destination: Some(destination), ..api::CreateDestinationRequest::default() };
    let status = world.registry().create_destination(request).await.unwrap_err();
    assert!(status.message().contains("plain http is not allowed"), "{status}");
}

#[tokio::test]
async fn token_is_shown_once_and_signs_for_its_destination() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let destination_id = world.destination(&receiver.url()).await;
    let request = api::CreateTokenRequest {
        account_id: ACCOUNT.into(),
        name: "crm".into(),
        ..api::CreateTokenRequest::default()
    };
    let made = world.registry().create_token(request).await.unwrap().into_inner();
    let token_id = made.token.unwrap().token_id;
    assert!(made.secret.starts_with("whsec_"));
    world.publish("unsigned").await;
    world.delivery_is("unsigned", DeliveryStatus::Succeeded).await;
    let assign = |token_id: &str| api::AssignTokenRequest {
        account_id: ACCOUNT.into(),
        destination_id: destination_id.clone(),
        token_id: token_id.into(),
    };
    world.registry().assign_token(assign(&token_id)).await.unwrap();
    world.publish("signed").await;
    world.delivery_is("signed", DeliveryStatus::Succeeded).await;
    let signed: Vec<_> = receiver.requests().iter().map(|seen| !seen.header("webhook-signature").is_empty()).collect();
    assert_eq!(signed, [false, true]);

    let delete = api::DeleteTokenRequest { account_id: ACCOUNT.into(), token_id };
    let refused = world.registry().delete_token(delete.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("is still used by"), "{refused}");
    world.registry().assign_token(assign("")).await.unwrap();
    world.registry().delete_token(delete).await.unwrap();
    let list = api::ListTokensRequest { account_id: ACCOUNT.into(), ..api::ListTokensRequest::default() };
    assert!(world.registry().list_tokens(list).await.unwrap().into_inner().tokens.is_empty());
    // No stored file contains the secret.
    let secret = made.secret.trim_start_matches("whsec_").as_bytes().to_vec();
    wait::until("the facts on disk", SOON, async || is_readable_in(&world.home.data(), b"tok_")).await;
    assert!(!is_readable_in(&world.home.data(), &secret));
}

#[tokio::test]
async fn concurrent_updates_are_never_lost_silently() {
    let world = World::start().await;
    let rename = |n: u32| {
        let account = api::Account { account_id: ACCOUNT.into(), name: format!("name {n}"), ..api::Account::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["name".into()] });
        let mut registry = world.registry();
        async move { registry.update_account(api::UpdateAccountRequest { account: Some(account), update_mask }).await }
    };
    let answers = futures::future::join_all((0..16).map(rename)).await;
    assert!(answers.iter().any(Result::is_ok));
    for status in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(status.code(), Code::Aborted, "{status}");
    }
    let account = world.registry().get_account(api::GetAccountRequest { account_id: ACCOUNT.into() }).await.unwrap();
    assert_eq!(account.into_inner().notification_emails, [OWNER], "fields outside of the mask stay");
}

#[tokio::test]
async fn creation_repeated_with_its_request_id_creates_nothing_more() {
    let world = World::start().await;
    let create = |request_id: &str| {
        let destination = api::Destination { url: "https://crm.example/".into(), ..some_destination() };
        let request = api::CreateDestinationRequest {
            destination: Some(destination),
            request_id: request_id.into(),
            ..Default::default()
        };
        let mut registry = world.registry();
        async move { registry.create_destination(request).await.map(|answer| answer.into_inner().destination_id) }
    };
    let answers = futures::future::join_all((0..16).map(|_| create("call:1"))).await;
    let first = create("call:1").await.unwrap();
    assert!(answers.iter().all(|id| id.as_ref().unwrap() == &first), "{answers:?}");
    assert_ne!(create("call:2").await.unwrap(), first);
    assert_ne!(create("").await.unwrap(), create("").await.unwrap());
    let list = api::ListDestinationsRequest { account_id: ACCOUNT.into(), ..api::ListDestinationsRequest::default() };
    assert_eq!(world.registry().list_destinations(list).await.unwrap().into_inner().destinations.len(), 4);
    world.delete(&first).await;
    assert_eq!(create("call:1").await.unwrap_err().code(), Code::AlreadyExists, "ids of destinations are never reused");
    let wrong = create("two words").await.unwrap_err();
    assert!(wrong.code() == Code::InvalidArgument && wrong.message().starts_with("request_id: "), "{wrong}");
}

#[tokio::test]
async fn validated_destination_is_checked_and_not_stored() {
    let world = World::start().await;
    let good = || api::Destination { url: "https://crm.example/".into(), ..some_destination() };
    let form = api::Destination { name: "Form".into(), interface_id: INTERFACE.into(), ..good() };
    let form = world.destination_with(form).await;
    let validate = async |destination: api::Destination| {
        let destination = Some(destination);
        let request = api::CreateDestinationRequest { destination, validate_only: true, ..Default::default() };
        world.registry().create_destination(request).await.map(tonic::Response::into_inner)
    };
    let would = validate(good()).await.unwrap();
    assert_eq!((would.url.as_str(), would.concurrency), ("https://crm.example/", 32));
    let [warning] = would.warnings.as_slice() else { panic!("{:?}", would.warnings) };
    assert!(warning.starts_with(&format!("This destination overrides Form ({form}) of interface")), "{warning}");

    // Every wrong field is named at once, also those of later checks.
    let wrong = api::Destination { url: "https://10.1.2.3/".into(), content_type: "nonsense".into(), ..good() };
    let refused = validate(wrong).await.unwrap_err();
    let mut fields = refused.get_details_bad_request().unwrap().field_violations;
    fields.sort_by(|a, b| a.field.cmp(&b.field));
    assert_eq!(fields.iter().map(|wrong| wrong.field.as_str()).collect::<Vec<_>>(), ["content_type", "url"]);
    let template = "https://crm.example/{{ lead.id".into();
    let refused = validate(api::Destination { url: template, ..good() }).await.unwrap_err();
    assert!(refused.message().starts_with("template: URL template, line 1"), "{refused}");
    let absent = api::Destination { interface_id: "nothing".into(), ..good() };
    assert_eq!(validate(absent).await.unwrap_err().code(), Code::NotFound);

    let update = async |name: &str, validate_only: bool| {
        let destination = api::Destination { destination_id: form.clone(), name: name.into(), ..good() };
        let update_mask = Some(prost_types::FieldMask { paths: ["name", "interface_id"].map(Into::into).into() });
        let request = api::UpdateDestinationRequest { destination: Some(destination), update_mask, validate_only };
        world.registry().update_destination(request).await.map(tonic::Response::into_inner)
    };
    let would = update("Everything", true).await.unwrap();
    assert_eq!((would.name.as_str(), would.interface_id.as_str()), ("Everything", ""));
    assert_eq!(update("two\nlines", true).await.unwrap_err().code(), Code::InvalidArgument);
    let list = api::ListDestinationsRequest { account_id: ACCOUNT.into(), ..api::ListDestinationsRequest::default() };
    let [stored] = &world.registry().list_destinations(list).await.unwrap().into_inner().destinations[..] else {
        panic!("a validated destination was stored")
    };
    assert_eq!((stored.name.as_str(), stored.interface_id.as_str()), ("Form", INTERFACE));
    // The audit log has the facts in their order, so a fact of a validation would be before that of this change.
    update("All", false).await.unwrap();
    let log = api::ListAuditLogRequest {
        entity_kind: "destination".into(),
        account_id: ACCOUNT.into(),
        ..Default::default()
    };
    let actions = wait::until("the change in the audit log", SOON, async || {
        let entries = world.audit().list_audit_log(log.clone()).await.unwrap().into_inner().entries;
        (entries.first()?.action == "updated")
            .then(|| entries.iter().map(|entry| entry.action.clone()).collect::<Vec<_>>())
    })
    .await;
    assert_eq!(actions, ["updated", "created"]);
}

#[tokio::test]
async fn tokens_can_be_created_renamed_and_rotated() {
    let world = World::start().await;
    let create = async || {
        let (account_id, request_id) = (ACCOUNT.into(), "call:1".into());
        let request = api::CreateTokenRequest { account_id, request_id, ..api::CreateTokenRequest::default() };
        world.registry().create_token(request).await.unwrap().into_inner()
    };
    let (made, repeated) = (create().await, create().await);
    assert!(made.secret.starts_with("whsec_"));
    assert_eq!((&repeated.token, repeated.secret.as_str()), (&made.token, ""), "a secret is shown once");
    let token = made.token.unwrap();
    let rename = api::Token { name: "crm".into(), algorithm: "ignored".into(), ..token.clone() };
    let rename = |update_mask| api::UpdateTokenRequest { token: Some(rename.clone()), update_mask };
    let renamed = world.registry().update_token(rename(None)).await.unwrap().into_inner();
    assert_eq!(renamed, api::Token { name: "crm".into(), ..token.clone() });
    let get = |token_id: &str| api::GetTokenRequest { account_id: ACCOUNT.into(), token_id: token_id.into() };
    assert_eq!(world.registry().get_token(get(&token.token_id)).await.unwrap().into_inner(), renamed);
    assert_eq!(code(world.registry().get_token(get("tok_no")).await), Code::NotFound);
    let other = Some(prost_types::FieldMask { paths: vec!["algorithm".into()] });
    assert_eq!(code(world.registry().update_token(rename(other)).await), Code::InvalidArgument);
    let (account_id, token_id) = (ACCOUNT.to_owned(), token.token_id.clone());
    let rotate = api::RotateTokenRequest { account_id, token_id, ..Default::default() };
    let rotated = world.registry().rotate_token(rotate).await.unwrap().into_inner();
    assert!(rotated.secret.starts_with("whsec_") && rotated.secret != made.secret);
    let list = api::ListTokensRequest { account_id: ACCOUNT.into(), ..api::ListTokensRequest::default() };
    assert_eq!(world.registry().list_tokens(list).await.unwrap().into_inner().tokens.len(), 1);
}

#[tokio::test]
async fn creations_during_a_deletion_end_with_the_account() {
    let world = World::start().await;
    let account = || api::Account { account_id: "brief".into(), ..api::Account::default() };
    for _ in 0..10 {
        let create = api::CreateAccountRequest { account: Some(account()) };
        world.registry().create_account(create.clone()).await.unwrap();
        let destination = || api::Destination {
            account_id: "brief".into(),
            url: "https://crm.example/".into(),
            ..some_destination()
        };
        let creations = (0..8).map(|_| {
            let (mut registry, destination) = (world.registry(), Some(destination()));
            let request = api::CreateDestinationRequest { destination, ..api::CreateDestinationRequest::default() };
            async move { registry.create_destination(request).await.map(drop).map_err(|status| status.code()) }
        });
        let delete = async {
            let request = api::DeleteAccountRequest { account_id: "brief".into() };
            world.registry().delete_account(request).await.unwrap();
        };
        let (made, ()) = futures::future::join(futures::future::join_all(creations), delete).await;
        assert!(made.iter().all(|answer| matches!(answer, Ok(()) | Err(Code::NotFound))), "{made:?}");
        world.registry().create_account(create).await.unwrap();
        let list =
            api::ListDestinationsRequest { account_id: "brief".into(), ..api::ListDestinationsRequest::default() };
        let left = world.registry().list_destinations(list).await.unwrap().into_inner().destinations;
        assert!(left.is_empty(), "{left:?}");
        let request = api::DeleteAccountRequest { account_id: "brief".into() };
        world.registry().delete_account(request).await.unwrap();
    }
}

#[tokio::test]
async fn enabling_reactivates_a_destination_and_updating_does_not() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(testkit::Answer::Status(410));
    let destination_id = world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Failed).await;
    let get = api::GetDestinationRequest { account_id: ACCOUNT.into(), destination_id: destination_id.clone() };
    let deactivated = wait::until("the deactivation", SOON, async || {
        let now = world.registry().get_destination(get.clone()).await.unwrap().into_inner();
        now.deactivated.is_some().then_some(now)
    })
    .await;
    world.disable(&destination_id).await;
    // An update with `enabled` does not reactivate a deactivated destination.
    let fewer = api::Destination { enabled: Some(true), event_types: vec!["lead.*".into()], ..deactivated.clone() };
    let paths = ["enabled", "event_types"].map(Into::into).into();
    let update_mask = Some(prost_types::FieldMask { paths });
    let request = api::UpdateDestinationRequest { destination: Some(fewer), update_mask, ..Default::default() };
    let updated = world.registry().update_destination(request).await.unwrap().into_inner();
    assert_eq!((updated.deactivated, updated.event_types), (deactivated.deactivated, vec!["lead.*".to_owned()]));
    world.disable(&destination_id).await;
    receiver.answer(testkit::Answer::Status(200));
    world.publish("e2").await;
    world.delivery_is("e2", DeliveryStatus::Held).await;
    world.enable(&destination_id, false).await;
    world.delivery_is("e2", DeliveryStatus::Succeeded).await;
}
