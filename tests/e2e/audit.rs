//! The audit log.

use testkit::wait;
use tonic::{Code, Request, Status};

use crate::world::{ACCOUNT, INTERFACE, SOON, World, is_readable_in, some_destination};

fn all() -> api::ListAuditLogRequest {
    api::ListAuditLogRequest { account_id: ACCOUNT.into(), page_size: 500, ..api::ListAuditLogRequest::default() }
}

async fn page(world: &World, request: api::ListAuditLogRequest) -> Result<api::ListAuditLogResponse, Status> {
    world.audit().list_audit_log(request).await.map(tonic::Response::into_inner)
}

/// The log, newest first, once it has `count` entries.
async fn log(world: &World, request: api::ListAuditLogRequest, count: usize) -> Vec<api::AuditEntry> {
    wait::until(&format!("{count} entries"), SOON, async || {
        let entries = page(world, request.clone()).await.unwrap().entries;
        if entries.len() == count { Ok(entries) } else { Err(entries) }
    })
    .await
}

fn what(entry: &api::AuditEntry) -> (&str, &str, &str) {
    (entry.entity_kind.as_str(), entry.entity_id.as_str(), entry.action.as_str())
}

fn change(field: &str, old: &str, new: &str) -> api::FieldChange {
    api::FieldChange { field: field.into(), old_value: old.into(), new_value: new.into(), secret: false }
}

fn by<T>(actor: &'static str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("leadline-actor", actor.parse().unwrap());
    request
}

#[tokio::test]
async fn audit_entries_name_caller_and_old_and_new_values() {
    let world = World::start().await;
    let mut registry = world.registry();
    let destination_id =
        world.destination_with(api::Destination { url: "https://crm.example/".into(), ..some_destination() }).await;
    let destination = api::Destination {
        destination_id: destination_id.clone(),
        name: "CRM 2".into(),
        url: "https://crm.example/v2".into(),
        event_types: vec!["lead.*".into()],
        ..some_destination()
    };
    let update_mask = Some(prost_types::FieldMask { paths: ["name", "url", "event_types"].map(Into::into).into() });
    let update = api::UpdateDestinationRequest { destination: Some(destination), update_mask, ..Default::default() };
    registry.update_destination(by("ada", update)).await.unwrap();
    world.disable(&destination_id).await;
    world.enable(&destination_id, true).await;
    world.delete(&destination_id).await;

    let entries = log(&world, all(), 7).await;
    let shown: Vec<_> = entries.iter().map(what).collect();
    let of = |action| ("destination", destination_id.as_str(), action);
    assert_eq!(
        shown,
        [
            of("deleted"),
            of("enabled"),
            of("disabled"),
            of("updated"),
            of("created"),
            ("interface", INTERFACE, "created"),
            ("account", ACCOUNT, "created"),
        ]
    );
    let key = world.key.split('_').nth(1).unwrap();
    assert_eq!(entries[3].by, format!("key {key} (admin.key) for ada"));
    assert_eq!(
        entries[3].changes,
        [
            change("event_types", "[\"*\"]", "[\"lead.*\"]"),
            change("name", "CRM", "CRM 2"),
            change("url", "https://crm.example/", "https://crm.example/v2"),
        ]
    );
    assert_eq!(entries[2].changes, [change("enabled", "true", "false")]);
    assert_eq!(entries[1].changes, [change("enabled", "false", "true"), change("skip_held", "", "true")]);
    assert_eq!(
        (&entries[4].by, entries[5].changes.as_slice()),
        (&format!("key {key} (admin.key)"), &[change("name", "", "Form")][..])
    );
    assert!(entries[4].changes.contains(&change("url", "", "https://crm.example/")));
    assert!(entries[0].changes.contains(&change("url", "https://crm.example/v2", "")));
    assert!(entries.windows(2).all(|two| two[0].sequence > two[1].sequence && two[0].at.is_some()));
}

#[tokio::test]
async fn audit_log_shows_changed_secrets_without_their_values() {
    let world = World::start().await;
    let bearer = |token: &str| {
        let kind = Some(api::auth::Kind::BearerToken(token.into()));
        let auth = Some(api::Auth { kind, ..api::Auth::default() });
        api::Destination { url: "https://crm.example/".into(), auth, ..some_destination() }
    };
    let destination_id = world.destination_with(bearer("first-secret-of-two")).await;
    let update = api::UpdateDestinationRequest {
        destination: Some(api::Destination {
            destination_id: destination_id.clone(),
            ..bearer("second-secret-of-two")
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["auth".into()] }),
        ..Default::default()
    };
    world.registry().update_destination(update).await.unwrap();
    let request = api::CreateTokenRequest { account_id: ACCOUNT.into(), ..api::CreateTokenRequest::default() };
    let token_id = world.registry().create_token(request).await.unwrap().into_inner().token.unwrap().token_id;
    let rotate = api::RotateTokenRequest { account_id: ACCOUNT.into(), token_id, ..Default::default() };
    world.registry().rotate_token(rotate).await.unwrap();

    let entries = log(&world, all(), 6).await;
    let secret = |field: &str| api::FieldChange { secret: true, ..change(field, "", "") };
    assert_eq!(entries[0].changes, [secret("secret")]);
    assert!(entries[1].changes.contains(&secret("secret")));
    assert_eq!(entries[2].changes, [secret("auth")]);
    let made = entries[3].changes.iter().find(|change| change.field == "auth").unwrap();
    assert!(made.secret && made.new_value.contains("bearer"), "{made:?}");
    assert!(!format!("{entries:?}").contains("secret-of-two"));
    assert!(!is_readable_in(&world.home.data(), b"secret-of-two"));
}

#[tokio::test]
async fn audit_log_has_filters_and_stable_pages() {
    let world = World::start().await;
    let client = |n: usize| api::Client { account_id: ACCOUNT.into(), client_id: format!("c{n}"), name: String::new() };
    let create = async |n: usize| {
        world.registry().create_client(api::CreateClientRequest { client: Some(client(n)) }).await.unwrap();
    };
    for n in 0..5 {
        create(n).await;
    }
    let whole = log(&world, all(), 7).await;
    let of_clients = api::ListAuditLogRequest { entity_kind: "client".into(), page_size: 2, ..all() };
    let first = page(&world, of_clients.clone()).await.unwrap();
    assert_eq!(first.entries, whole[..2]);
    // New entries appear before the first page.
    create(5).await;
    log(&world, all(), 8).await;
    let next = |token: &str| api::ListAuditLogRequest { page_token: token.into(), ..of_clients.clone() };
    let second = page(&world, next(&first.next_page_token)).await.unwrap();
    assert_eq!(second.entries, whole[2..4]);
    let third = page(&world, next(&second.next_page_token)).await.unwrap();
    assert_eq!((&third.entries[..], third.next_page_token.as_str()), (&whole[4..5], ""));

    let one = api::ListAuditLogRequest { entity_kind: "client".into(), entity_id: "c3".into(), ..all() };
    assert_eq!(page(&world, one).await.unwrap().entries, whole[1..2]);
    let (from, before) = (whole[3].at, whole[1].at);
    let between = page(&world, api::ListAuditLogRequest { from, before, ..all() }).await.unwrap();
    assert_eq!(between.entries, whole[2..4]);
    let elsewhere = api::ListAuditLogRequest { account_id: "other".into(), ..all() };
    assert!(page(&world, elsewhere).await.unwrap().entries.is_empty());

    let other_filter = api::ListAuditLogRequest { page_token: first.next_page_token.clone(), ..all() };
    for (request, field) in [
        (api::ListAuditLogRequest { account_id: "no id".into(), ..all() }, "account_id"),
        (api::ListAuditLogRequest { entity_kind: "lead".into(), ..all() }, "entity_kind"),
        (api::ListAuditLogRequest { entity_id: "c3".into(), ..all() }, "entity_kind"),
        (api::ListAuditLogRequest { page_size: 501, ..all() }, "page_size"),
        (other_filter, "page_token"),
    ] {
        let refused = page(&world, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().starts_with(field), "{refused}");
    }
}
