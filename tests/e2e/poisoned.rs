//! Templates and leads that cannot be rendered: each ends only its own delivery, at once.

use std::{fs, time::Duration};

use api::{DeliveryStatus, destination::Body};
use serde_json::{Value, json};
use testkit::{Receiver, wait};
use tonic::Code;

use crate::world::{ACCOUNT, SOON, World, event_json, retries, some_destination, web};

fn event(id: &str, payload: Value) -> Value {
    let mut event = event_json(id);
    event["payload"] = payload;
    event
}

fn destination(url: &str, template: &str) -> api::Destination {
    let policy = Some(retries(&[Duration::from_millis(100), Duration::from_millis(100)]));
    let body = Some(Body::BodyTemplate(template.into()));
    api::Destination { url: url.into(), body, retry_policy: policy, ..some_destination() }
}

/// The delivery of this event to this destination, once it has ended.
async fn ended(world: &World, event: &str, destination: &str) -> api::Delivery {
    let list = api::ListDeliveriesRequest {
        filter: Some(api::DeliveryFilter {
            account_id: ACCOUNT.into(),
            destination_id: destination.into(),
            ..api::DeliveryFilter::default()
        }),
        ..api::ListDeliveriesRequest::default()
    };
    wait::until("the end of a delivery", SOON, async || {
        let found = world.deliveries().list_deliveries(list.clone()).await.unwrap().into_inner().deliveries;
        let ended = [DeliveryStatus::Succeeded, DeliveryStatus::Failed].map(i32::from);
        found.into_iter().find(|d| d.event_id == event && ended.contains(&d.status))
    })
    .await
}

async fn deactivated(world: &World, id: &str) -> Option<api::Deactivation> {
    let get = api::GetDestinationRequest { account_id: ACCOUNT.into(), destination_id: id.into() };
    world.registry().get_destination(get).await.unwrap().into_inner().deactivated
}

#[tokio::test]
async fn render_failure_is_final_and_does_not_deactivate() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let url = receiver.url();
    let in_url = |template: &str| format!("{url}/{template}");
    let good = json!({"phone": "1", "name": "Ada", "n": 1, "list": [1], "a": {"b": 1}, "big": "x"});
    let bad = json!({"name": 5, "n": "text", "list": 5, "a": 1, "big": "x".repeat(200_000), "none": null});
    let kinds = [
        (url.clone(), r#"{"phone": {{ payload.phone }}}"#, "body template, line 1: payload.phone is not in this lead"),
        (url.clone(), r#"{"phone": {{ payload.phone|upper }}}"#, "payload.phone is not in this lead"),
        (url.clone(), r#"{"b": {{ payload.a.b }}}"#, "body template, line 1: payload.a.b is not in this lead"),
        (url.clone(), r#"{"n": {{ payload.n|round }}}"#, "body template, line 1: "),
        (url.clone(), "[{% for i in payload.list %}{{ i }}{% endfor %}]", "body template, line 1: "),
        (
            url.clone(),
            r#"{{ payload.big ~ payload.big ~ payload.big ~ payload.big ~ payload.big ~ payload.big }}"#,
            "bytes, and 1048576 is the limit",
        ),
        (in_url("{{ payload.phone }}"), "1", "URL template, line 1: payload.phone is not in this lead"),
        (in_url("{{ payload.none|default(1) }}"), "1", "URL template, line 1: payload.none is null, "),
        (in_url("{{ payload.big }}"), "1", "bytes, and 8192 is the limit"),
    ];
    let mut ids = vec![];
    for (url, template, _) in &kinds {
        ids.push(world.destination_with(destination(url, template)).await);
    }
    assert_eq!(world.post(event("bad", bad).to_string(), &[]).await.0, 202);
    for ((_, template, expected), id) in kinds.iter().zip(&ids) {
        let delivery = ended(&world, "bad", id).await;
        assert_eq!(delivery.attempts, 1, "{template}: {delivery:?}");
        assert_eq!(
            (delivery.status(), delivery.failure_reason.as_str()),
            (DeliveryStatus::Failed, "render"),
            "{template}"
        );
        assert!(delivery.webhook_response.contains(expected), "{template}: {}", delivery.webhook_response);
        assert_eq!(deactivated(&world, id).await, None, "{template}");
    }
    assert_eq!(receiver.count(), 0);
    assert_eq!(world.post(event("good", good).to_string(), &[]).await.0, 202);
    for ((_, template, _), id) in kinds.iter().zip(&ids) {
        let delivery = ended(&world, "good", id).await;
        assert_eq!(delivery.status(), DeliveryStatus::Succeeded, "{template}: {}", delivery.webhook_response);
    }
}

#[tokio::test]
async fn lead_cannot_change_the_path_of_a_url() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let template = format!("{}/tenants/{{{{ payload.t }}}}/contacts", receiver.url());
    let id = world.destination_with(destination(&template, "1")).await;
    for (event_id, t) in [("e1", ".."), ("e2", "."), ("e3", "../..")] {
        assert_eq!(world.post(event(event_id, json!({"t": t})).to_string(), &[]).await.0, 202);
    }
    for event_id in ["e1", "e2"] {
        let delivery = ended(&world, event_id, &id).await;
        assert_eq!(delivery.failure_reason, "render");
        let expected = "URL template: the lead may not change the shape of the path";
        assert!(delivery.webhook_response.starts_with(expected), "{}", delivery.webhook_response);
    }
    assert_eq!(ended(&world, "e3", &id).await.status(), DeliveryStatus::Succeeded);
    let paths: Vec<_> = receiver.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/hook/tenants/..%2F../contacts"]);
}

#[tokio::test]
async fn undeliverable_templates_are_refused_when_set() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let chain = format!("{{{{ 1{} }}}}", "+1".repeat(30_000));
    for (template, expected) in [
        (r#"{"text": "Hi {{ payload.name }}"}"#, r#"{{ "Hi " ~ payload.name }}"#),
        ("{{ payload.name|upcase }}", "the filter upcase is unknown"),
        ("{{ nosuch }}", "nosuch is unknown"),
        (r#"{"a": {{ payload.a|indent(1000000000000000) }} }"#, "the filter indent is unknown"),
        (&chain, "an expression has more than 1000 words and signs, which is the limit"),
        ("not json", "not JSON"),
    ] {
        let destination = Some(destination(&receiver.url(), template));
        let create = api::CreateDestinationRequest { destination, ..api::CreateDestinationRequest::default() };
        let status = world.registry().create_destination(create).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(expected), "{status}");
    }
    let deep = format!("{}{}", "[".repeat(600), "]".repeat(600));
    let body = format!(r#"{{"account": "{ACCOUNT}", "interface": "form", "payload": {deep}}}"#);
    let (status, answer) = world.post(body, &[]).await;
    assert_eq!(status, 400, "{answer}");
    assert!(answer.to_string().contains("payload") && answer.to_string().contains("512"), "{answer}");
}

/// Accepted payloads are delivered, even with JSON values that programs rarely support.
#[tokio::test]
async fn accepted_payload_keeps_its_digits_and_order() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let slack = api::Destination { body: Some(Body::BodyPreset("slack".into())), ..destination(&receiver.url(), "") };
    let unused = destination(&format!("{}/{{{{ lead.id }}}}", receiver.url()), r#"{"id": {{ lead.id }}}"#);
    let ids = [
        world.destination_with(destination(&receiver.url(), "{{ payload }}")).await,
        world.destination_with(slack).await,
        world.destination_with(unused).await,
    ];
    let payload = r#"{"z":"Hi \ud83d","y":1e999,"x":12345678901234567890123,"w":1.10,"v":1e2,"u":-0}"#;
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for (id, payload) in [("e1", payload), ("e2", &deep)] {
        let body = format!(
            r#"{{"account": "{ACCOUNT}", "interface": "form", "event_id": "{id}", "lead_id": "lead-{id}", "payload": {payload}}}"#
        );
        assert_eq!(world.post(body, &[]).await.0, 202);
        for destination in &ids {
            let delivery = ended(&world, id, destination).await;
            assert_eq!(delivery.status(), DeliveryStatus::Succeeded, "{}", delivery.webhook_response);
        }
    }
    let bodies: Vec<_> = receiver.requests().iter().map(|r| String::from_utf8_lossy(&r.body).into_owned()).collect();
    assert!(bodies.contains(&payload.replace(r"\ud83d", "\u{fffd}")), "{bodies:#?}");
    assert!(bodies.contains(&deep));
    let lines = r"• z: Hi �\n• y: 1e999\n• x: 12345678901234567890123\n• w: 1.10\n• v: 1e2\n• u: -0";
    assert!(bodies.iter().any(|body| body.contains(lines)), "{bodies:#?}");
}

/// Templates at their limits, with large payloads, beside a destination of another account.
#[tokio::test]
async fn slow_templates_do_not_delay_other_accounts() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let honest = api::Account { account_id: "honest".into(), name: "Honest".into(), ..api::Account::default() };
    world.registry().create_account(api::CreateAccountRequest { account: Some(honest) }).await.unwrap();
    let form = api::Interface {
        account_id: "honest".into(),
        interface_id: "form".into(),
        name: "Form".into(),
        ..api::Interface::default()
    };
    world.registry().create_interface(api::CreateInterfaceRequest { interface: Some(form) }).await.unwrap();
    let slow = "{% for i in range(90000) %}{% if payload.a|upper == i %}{% endif %}{% endfor %}1";
    let mut hostile = vec![];
    for _ in 0..8 {
        hostile.push(world.destination_with(destination(&receiver.url(), slow)).await);
    }
    let simple = api::Destination { account_id: "honest".into(), ..destination(&receiver.url(), "{{ payload }}") };
    world.destination_with(simple).await;
    for n in 0..4 {
        let lead = event(&format!("slow{n}"), json!({"a": "x".repeat(100_000)}));
        assert_eq!(world.post(lead.to_string(), &[]).await.0, 202);
    }
    let mut lead = event("e1", json!({"honest": true}));
    lead["account"] = "honest".into();
    assert_eq!(world.post(lead.to_string(), &[]).await.0, 202);
    wait::until("the lead of the other account", Duration::from_secs(5), async || receiver.count() == 1).await;
    assert_eq!(receiver.requests()[0].body, r#"{"honest":true}"#);
    let healthy = web().get(format!("{}/healthz", world.http)).send().await.unwrap();
    assert_eq!(healthy.status(), 200);
    for id in &hostile {
        let delivery = ended(&world, "slow0", id).await;
        assert!(delivery.webhook_response.contains("the limit"), "{}", delivery.webhook_response);
    }
}

#[tokio::test]
async fn panic_ends_only_its_own_delivery() {
    let at = [("LEADLINE_CRASH_AT", "before a request panic e1")];
    let (world, receiver) = (World::start_with(&[], &at).await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.publish("e2").await;
    assert_eq!(ended(&world, "e2", &id).await.status(), DeliveryStatus::Succeeded);
    let delivery = ended(&world, "e1", &id).await;
    assert_eq!((delivery.status(), delivery.failure_reason.as_str()), (DeliveryStatus::Failed, "crashed"));
    assert_eq!(deactivated(&world, &id).await, None);
    assert_eq!(receiver.count(), 1);
    assert_eq!(world.process.output().matches("attempt panicked").count(), 1);
}

/// A request that kills every process does so only a few times; the other event is delivered.
#[tokio::test]
async fn work_that_kills_processes_is_given_up() {
    const MAX_DEATHS: usize = 10;
    let crash = [("LEADLINE_CRASH_AT", "before a request of e1")];
    let (mut world, receiver) = (World::start_with(&[], &crash).await, Receiver::start().await);
    let id = world.destination_with(destination(&receiver.url(), "{{ payload }}")).await;
    let both = json!([event_json("e1"), event_json("e2")]).to_string();
    // The process may die before it has stored both, and answered.
    let post = web().post(format!("{}/v1/leads", world.http)).bearer_auth(&world.key).body(both);
    let _ = post.send().await;
    let mut deaths = 0;
    loop {
        let given_up = wait::until("the end of the process, or of the delivery", SOON, async || {
            let given_up = world.process.output().contains("abandoning its delivery");
            (given_up || !world.process.is_running()).then_some(given_up)
        });
        if given_up.await {
            break;
        }
        deaths += 1;
        assert!(deaths <= MAX_DEATHS, "processes keep dying");
        let _ = fs::remove_file(world.home.data().join("addresses.json"));
        world.process = world.home.up(&[], &crash);
    }
    assert!(deaths > 3, "a process may be killed for other reasons: {deaths}");
    let world = World::attach(world.home, world.process).await;
    let delivery = ended(&world, "e1", &id).await;
    assert_eq!((delivery.status(), delivery.failure_reason.as_str()), (DeliveryStatus::Failed, "crashed"));
    assert_eq!(deactivated(&world, &id).await, None);
    // The event may not have been stored when the first process died; a publisher without an answer repeats it.
    world.publish("e2").await;
    assert_eq!(ended(&world, "e2", &id).await.status(), DeliveryStatus::Succeeded);
    assert!(receiver.requests().iter().all(|request| request.header("leadline-event-id") == "e2"));
}
