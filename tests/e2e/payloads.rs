//! Payloads are shown unchanged, only to keys with the scope, and every view is in the audit log.

use api::{PayloadState, Scope, lead_service_client::LeadServiceClient};
use serde_json::json;
use testkit::{Receiver, wait};
use tonic::{Code, Status};

use crate::world::{ACCOUNT, SOON, World};

fn event(event_id: &str) -> api::GetEventRequest {
    api::GetEventRequest { account_id: ACCOUNT.into(), event_id: event_id.into() }
}

impl World {
    async fn event(&self, event_id: &str) -> Result<api::Event, Status> {
        self.leads().get_event(event(event_id)).await.map(tonic::Response::into_inner)
    }

    /// The audit entries of views, the newest first.
    pub(crate) async fn views(&self) -> Vec<api::AuditEntry> {
        let request = api::ListAuditLogRequest {
            account_id: ACCOUNT.into(),
            entity_kind: "event".into(),
            ..api::ListAuditLogRequest::default()
        };
        self.audit().list_audit_log(request).await.unwrap().into_inner().entries
    }
}

#[tokio::test]
async fn payload_is_shown_unchanged_and_views_are_audited() {
    for world in World::on_both().await {
        // Spaces, the order of fields and extreme numbers stay unchanged.
        let payload = r#"{ "email":"ada@example.com",  "z":1e400, "a":0.10 }"#;
        let body = format!(
            r#"{{"account":"{ACCOUNT}","interface":"form","event_id":"e1","lead_id":"ada","type":"email.open","payload":{payload}}}"#
        );
        let (status, answer) = world.post(body, &[]).await;
        assert_eq!(status, 202, "{answer}");
        let shown = world.event("e1").await.unwrap();
        assert_eq!(shown.payload_state(), PayloadState::Stored);
        assert_eq!((&shown.payload[..], shown.payload_json.as_str()), (payload.as_bytes(), payload));
        assert_eq!((shown.lead_id.as_str(), shown.event_type.as_str()), ("ada", "email.open"));
        assert_eq!(shown.interface_id, "form");
        world.event("e1").await.unwrap();
        let views = wait::until("both views", SOON, async || {
            let views = world.views().await;
            if views.len() == 2 { Ok(views) } else { Err(views) }
        })
        .await;
        for view in &views {
            assert_eq!((view.entity_id.as_str(), view.action.as_str()), ("e1", "viewed"));
            assert!(view.by.starts_with("key ") && view.by.contains("admin.key"), "{view:?}");
            assert_eq!((view.changes[0].field.as_str(), view.changes[0].new_value.as_str()), ("lead_id", "ada"));
        }
        assert_eq!(world.event("none").await.unwrap_err().code(), Code::NotFound);
        assert_eq!(world.event("").await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn only_keys_with_the_scope_see_payloads() {
    let world = World::start().await;
    world.publish("e1").await;
    let other = api::Account { account_id: "other".into(), name: "Other".into(), ..api::Account::default() };
    world.registry().create_account(api::CreateAccountRequest { account: Some(other) }).await.unwrap();
    for scopes in [&[Scope::Publish][..], &[Scope::Read, Scope::Operate], &[Scope::Admin]] {
        let (key, _) = world.new_key(ACCOUNT, scopes).await;
        let mut leads = LeadServiceClient::new(world.called_with(&key).await);
        let refused = leads.get_event(event("e1")).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{scopes:?}");
        assert!(refused.message().contains("needs the scope payload"), "{refused}");
    }
    let (key, _) = world.new_key("other", &[Scope::Payload]).await;
    let mut stranger = LeadServiceClient::new(world.called_with(&key).await);
    assert_eq!(stranger.get_event(event("e1")).await.unwrap_err().code(), Code::PermissionDenied);
    assert!(world.views().await.is_empty());

    // An administrator of the account may create such a key; an operator may not.
    let create = api::CreateKeyRequest {
        account_id: ACCOUNT.into(),
        name: "support".into(),
        scopes: vec![Scope::Payload.into()],
        ..api::CreateKeyRequest::default()
    };
    let (operator, _) = world.new_key(ACCOUNT, &[Scope::Operate]).await;
    let mut access = api::access_service_client::AccessServiceClient::new(world.called_with(&operator).await);
    assert_eq!(access.create_key(create.clone()).await.unwrap_err().code(), Code::PermissionDenied);
    let (admin, _) = world.new_key(ACCOUNT, &[Scope::Admin]).await;
    let mut access = api::access_service_client::AccessServiceClient::new(world.called_with(&admin).await);
    let support = access.create_key(create).await.unwrap().into_inner().secret;
    let mut leads = LeadServiceClient::new(world.called_with(&support).await);
    let shown = leads.get_event(event("e1")).await.unwrap().into_inner();
    assert_eq!(shown.payload_state(), PayloadState::Stored);
}

#[tokio::test]
async fn anonymised_event_is_shown_without_its_payload() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish_with("e1", json!({"lead_id": "ada", "payload": {"email": "ada@example.com"}})).await;
    assert_eq!(world.event("e1").await.unwrap().payload_state(), PayloadState::Stored);
    let lead_ids = vec!["ada".to_owned()];
    let request = api::AnonymizeLeadsRequest { account_id: ACCOUNT.into(), lead_ids, ..Default::default() };
    world.leads().anonymize_leads(request).await.unwrap();
    let left = world.event("e1").await.unwrap();
    assert_eq!(left.payload_state(), PayloadState::Anonymised);
    assert_eq!((left.lead_id.as_str(), left.event_type.as_str()), ("ada", "lead.created"));
    assert!(left.payload.is_empty() && left.payload_json.is_empty() && left.occurred_at.is_none());
    world.publish("e2").await;
    world.event("e2").await.unwrap();
    let seen = wait::until("the later view", SOON, async || {
        let seen: Vec<_> = world.views().await.into_iter().map(|view| view.entity_id).collect();
        if seen.contains(&"e2".to_owned()) { Ok(seen) } else { Err(seen) }
    })
    .await;
    assert_eq!(seen, ["e2", "e1"], "an answer without a payload is not a view");
}

#[tokio::test]
async fn command_line_shows_payloads_on_request() {
    let world = World::start().await;
    world.publish_with("e1", json!({"lead_id": "ada", "payload": {"email": "ada@example.com"}})).await;
    world.publish_with("e2", json!({"lead_id": "ada", "payload": {"phone": "123"}})).await;
    let received = async || world.run(&["leads", "show", "ada"]).await.out.matches("received").count();
    wait::until_eq("both events", SOON, 2, received).await;
    let plain = world.run(&["leads", "show", "ada"]).await.well();
    assert!(!plain.out.contains("ada@example.com"), "{plain:?}");
    let shown = world.run(&["leads", "show", "ada", "--payload"]).await.well();
    let (first, second) = (shown.out.find(r#"{"email":"ada@example.com"}"#), shown.out.find(r#"{"phone":"123"}"#));
    assert!(first.unwrap() < second.unwrap(), "{shown:?}");
    let json = world.run(&["leads", "show", "ada", "--payload", "--json"]).await.well();
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["events"][1]["payload_json"], r#"{"phone":"123"}"#);

    let (key, _) = world.new_key(ACCOUNT, &[Scope::Read]).await;
    let refused = world.run(&["leads", "show", "ada", "--payload", "--api-key", &key]).await;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("needs the scope payload"), "{refused:?}");
    assert!(!refused.out.contains("ada@example.com"), "{refused:?}");
}
