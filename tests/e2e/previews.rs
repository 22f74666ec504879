//! Previews: requests are rendered without being sent, for a destination or for an earlier attempt.

use std::collections::HashMap;

use api::{DeliveryStatus, Scope, delivery_service_client::DeliveryServiceClient};
use serde_json::json;
use testkit::{Answer, Receiver, wait};
use tonic::{Code, Status};

use crate::world::{ACCOUNT, SOON, World, some_destination};

const SECRET: &str = "s3cret-of-the-destination";

fn headers(request: &api::RenderedRequest) -> HashMap<&str, &str> {
    request.headers.iter().map(|header| (header.name.as_str(), header.value.as_str())).collect()
}

fn templated(receiver: &Receiver) -> api::Destination {
    let bearer = api::auth::Kind::BearerToken(SECRET.into());
    api::Destination {
        url: format!("{}leads/{{{{ payload.id }}}}", receiver.url()),
        body: Some(api::destination::Body::BodyTemplate(r#"{"greeting": {{ "Hi " ~ payload.name }}}"#.into())),
        auth: Some(api::Auth { kind: Some(bearer), ..api::Auth::default() }),
        headers: vec![api::Header { name: "x-own".into(), value: "mine".into() }],
        ..some_destination()
    }
}

async fn preview(world: &World, request: api::PreviewRequestRequest) -> Result<api::RenderedRequest, Status> {
    world.deliveries().preview_request(request).await.map(tonic::Response::into_inner)
}

fn of(destination_id: &str) -> api::PreviewRequestRequest {
    api::PreviewRequestRequest {
        account_id: ACCOUNT.into(),
        destination_id: destination_id.into(),
        ..api::PreviewRequestRequest::default()
    }
}

#[tokio::test]
async fn preview_shows_the_request_without_sending_it() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination_with(templated(&receiver)).await;
    let payload = json!({"id": 7, "name": "Ada"}).to_string().into_bytes();
    let shown = preview(&world, api::PreviewRequestRequest { payload: payload.clone(), ..of(&id) }).await.unwrap();
    assert_eq!((shown.method.as_str(), shown.url.clone()), ("POST", format!("{}leads/7", receiver.url())));
    assert_eq!(shown.body_text, r#"{"greeting": "Hi Ada"}"#);
    assert_eq!(receiver.count(), 0, "nothing was sent");
    assert!(!format!("{shown:?}").contains(SECRET));

    // A sent request has the same headers, and the same values except secrets and times.
    world.publish_with("e1", json!({"payload": {"id": 7, "name": "Ada"}})).await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let of_event = preview(&world, api::PreviewRequestRequest { event_id: "e1".into(), ..of(&id) }).await.unwrap();
    let (seen, would) = (&receiver.requests()[0], headers(&of_event));
    let mut names: Vec<_> = seen.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    // Without an exporter and without a trace of the publisher, no `traceparent` is sent.
    let mut expected: Vec<_> = would.keys().copied().filter(|name| *name != "traceparent").collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    for (name, value) in would {
        match name {
            "authorization" => assert_eq!(value, "[redacted]"),
            "webhook-signature" | "traceparent" => assert!(value.contains("made when"), "{name}: {value}"),
            "webhook-timestamp" => {}
            name => assert_eq!(value, seen.header(name), "{name}"),
        }
    }
    assert_eq!(&of_event.body[..], &seen.body[..]);
    assert_eq!(receiver.count(), 1);
    // The first preview used a payload of the caller. Only the preview with a stored event counts as a view.
    assert_eq!(viewed(&world, 1).await, ["e1"]);
}

/// The events whose payloads were viewed, once their number is reached.
async fn viewed(world: &World, count: usize) -> Vec<String> {
    wait::until("the views in the audit log", SOON, async || {
        let views = world.views().await;
        assert!(views.iter().all(|view| view.action == "viewed" && view.by.contains("admin.key")), "{views:?}");
        if views.len() >= count { Ok(views) } else { Err(views) }
    })
    .await
    .into_iter()
    .map(|view| view.entity_id)
    .collect()
}

#[tokio::test]
async fn impossible_and_forbidden_previews_are_refused() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination_with(templated(&receiver)).await;
    world.publish_with("e1", json!({"payload": {"id": 7, "name": "Ada"}})).await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let lacks = api::PreviewRequestRequest { payload: b"{}".to_vec(), ..of(&id) };
    let refused = preview(&world, lacks.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("template, line 1"), "{refused}");
    for (wrong, field) in [
        (of(&id), "payload: is missing"),
        (api::PreviewRequestRequest { event_id: "e1".into(), ..lacks.clone() }, "payload: is given together with"),
        (api::PreviewRequestRequest { payload: b"{".to_vec(), ..of(&id) }, "payload: is not JSON"),
        (api::PreviewRequestRequest { event_type: "No Type".into(), ..lacks.clone() }, "event_type: "),
    ] {
        let refused = preview(&world, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(field), "{refused}");
    }
    let nobody = api::PreviewRequestRequest { destination_id: "dst_none".into(), ..lacks.clone() };
    assert_eq!(preview(&world, nobody).await.unwrap_err().code(), Code::NotFound);

    // A key with the scope read can preview its own payload, but not a stored one.
    let (reader, _) = world.new_key(ACCOUNT, &[Scope::Read]).await;
    let mut reader = DeliveryServiceClient::new(world.called_with(&reader).await);
    let given = api::PreviewRequestRequest { payload: br#"{"id": 1, "name": "Bo"}"#.to_vec(), ..of(&id) };
    assert!(reader.preview_request(given).await.is_ok());
    let event = api::PreviewRequestRequest { event_id: "e1".into(), ..of(&id) };
    let refused = reader.preview_request(event).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("needs the scope payload"), "{refused}");
    let delivery_id = world.delivery("e1").await.delivery.unwrap().delivery_id;
    let sent = api::GetAttemptRequestRequest { delivery_id, attempt_id: String::new() };
    assert_eq!(reader.get_attempt_request(sent).await.unwrap_err().code(), Code::PermissionDenied);
    assert!(world.views().await.is_empty(), "nothing was seen");
}

#[tokio::test]
async fn request_of_an_attempt_is_rendered_again_with_differences() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        receiver.answer(Answer::Status(500));
        let id = world.destination_with(templated(&receiver)).await;
        world.publish_with("e1", json!({"payload": {"id": 7, "name": "Ada"}})).await;
        let detail = world.delivery_is("e1", DeliveryStatus::Failed).await;
        let delivery_id = detail.delivery.unwrap().delivery_id;
        let get = async |attempt_id: &str| {
            let (delivery_id, attempt_id) = (delivery_id.clone(), attempt_id.to_owned());
            let request = api::GetAttemptRequestRequest { delivery_id, attempt_id };
            world.deliveries().get_attempt_request(request).await.map(tonic::Response::into_inner)
        };
        let again = get("").await.unwrap();
        assert_eq!(viewed(&world, 1).await, ["e1"]);
        let (request, seen) = (again.request.clone().unwrap(), &receiver.requests()[0]);
        assert_eq!((&request.body[..], again.body_matches, again.url_matches), (&seen.body[..], Some(true), true));
        assert_eq!(again.settings_changed_at, None);
        let would = headers(&request);
        assert_eq!(would["webhook-timestamp"], seen.header("webhook-timestamp"), "as it was sent");
        assert_eq!(would["authorization"], "[redacted]");

        let destination = api::Destination {
            destination_id: id.clone(),
            body: Some(api::destination::Body::BodyTemplate(r#"{"hello": {{ payload.name }}}"#.into())),
            ..templated(&receiver)
        };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["body".into()] });
        let update =
            api::UpdateDestinationRequest { destination: Some(destination), update_mask, ..Default::default() };
        world.registry().update_destination(update).await.unwrap();
        let changed = testkit::wait::until("the change", crate::world::SOON, async || {
            let changed = get(&again.attempt_id).await.unwrap();
            if changed.settings_changed_at.is_some() { Ok(changed) } else { Err(changed) }
        })
        .await;
        assert_eq!((changed.body_matches, changed.url_matches), (Some(false), true));
        assert_eq!(changed.request.unwrap().body_text, r#"{"hello": "Ada"}"#);
        let other = "00000000-0000-7000-8000-000000000000";
        assert_eq!(get(other).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(get("none").await.unwrap_err().code(), Code::InvalidArgument);

        let shown = world.run(&["deliveries", "request", &delivery_id]).await.well();
        assert!(shown.out.contains(r#"{"hello": "Ada"}"#) && shown.err.contains("differ"), "{shown:?}");
        let preview = ["destinations", "test", "CRM", "--preview", "--event", "e1"];
        let shown = world.run(&preview).await.well();
        assert!(shown.out.contains(r#"{"hello": "Ada"}"#) && shown.out.contains("x-own: mine"), "{shown:?}");
        assert_eq!(receiver.count(), 1, "nothing was sent");
    }
}
