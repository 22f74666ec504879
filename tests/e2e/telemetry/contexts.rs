//! The trace contexts that receivers get.

use api::DeliveryStatus;
use testkit::{OtlpSink, Receiver, wait};

use super::{ENDPOINT, SOON_EXPORTED};
use crate::world::{ACCOUNT, SOON, World, event_json, some_destination};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const HEADERS: [&str; 3] = ["traceparent", "tracestate", "baggage"];

fn with(receiver: &Receiver, trace_context: &str) -> api::Destination {
    api::Destination { url: receiver.url(), trace_context: trace_context.into(), ..some_destination() }
}

/// The headers about traces of the request that brings an event to a receiver; "" for each that is missing.
async fn received(world: &World, receiver: &Receiver, event: &str, given: &[(&str, &str)]) -> [String; 3] {
    assert_eq!(world.post(event_json(event).to_string(), given).await.0, 202);
    let is_meant = |seen: &testkit::receiver::Seen| seen.header("leadline-event-id") == event;
    let seen =
        wait::until("the request", SOON, async || receiver.requests().into_iter().find(is_meant).ok_or(())).await;
    HEADERS.map(|name| seen.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned())
}

#[tokio::test]
async fn a_receiver_gets_only_the_context_that_its_destination_allows() {
    let given = [("traceparent", CALLER), ("tracestate", "vendor=7"), ("baggage", "tenant=9")];
    for exports in [false, true] {
        let collector = OtlpSink::start().await;
        let endpoint = collector.endpoint();
        let env: &[_] = if exports { &[(ENDPOINT, endpoint.as_str()), SOON_EXPORTED] } else { &[] };
        let world = World::start_with(&[], env).await;
        for setting in ["none", "restart", "", "continue"] {
            let receiver = Receiver::start().await;
            let id = world.destination_with(with(&receiver, setting)).await;
            let [parent, state, baggage] = received(&world, &receiver, &format!("traced-{setting}"), &given).await;
            let untraced = received(&world, &receiver, &format!("untraced-{setting}"), &[]).await;
            match (setting, exports) {
                ("none", _) | ("restart" | "", false) => {
                    assert_eq!([&parent, &state, &baggage], [""; 3], "{setting} {exports}");
                    assert_eq!(untraced, [""; 3]);
                }
                ("continue", false) => {
                    assert_eq!((parent.as_str(), state.as_str(), baggage.as_str()), (CALLER, "vendor=7", "tenant=9"));
                    assert_eq!(untraced, [""; 3], "no context is made up");
                }
                ("continue", true) => {
                    assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-01"), "{parent}");
                    assert_eq!((state.as_str(), baggage.as_str()), ("vendor=7", "tenant=9"));
                }
                (_, true) => {
                    assert!(!parent.contains(TRACE) && parent.ends_with("-01"), "{parent}");
                    assert_eq!((state.as_str(), baggage.as_str()), ("", ""));
                    let (trace, span) = (&parent[3..35], &parent[36..52]);
                    let links = async || collector.spans().into_iter().flat_map(|span| span.links).collect::<Vec<_>>();
                    let is_it = |link: &testkit::otlp::ExportedLink| link.trace == trace && link.id == span;
                    wait::until("the link", SOON, async || links().await.into_iter().find(is_it).ok_or(())).await;
                }
                other => unreachable!("{other:?}"),
            }
            world.delete(&id).await;
        }
    }
}

#[tokio::test]
async fn the_setting_is_shown_previewed_and_left_alone_by_updates() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    for (given, kept, is_sent) in [("none", "none", false), ("", "restart", true), ("continue", "continue", true)] {
        let id = world.destination_with(with(&receiver, given)).await;
        let request = api::PreviewRequestRequest {
            account_id: ACCOUNT.into(),
            destination_id: id.clone(),
            payload: b"{}".to_vec(),
            ..Default::default()
        };
        let preview = world.deliveries().preview_request(request).await.unwrap().into_inner();
        assert_eq!(preview.headers.iter().any(|header| header.name == "traceparent"), is_sent, "{given:?}");
        // A caller that does not know the setting does not change it.
        let destination = api::Destination {
            account_id: ACCOUNT.into(),
            destination_id: id,
            name: "New name".into(),
            ..with(&receiver, "")
        };
        let update = api::UpdateDestinationRequest { destination: Some(destination), ..Default::default() };
        let updated = world.registry().update_destination(update).await.unwrap().into_inner();
        assert_eq!((updated.name.as_str(), updated.trace_context.as_str()), ("New name", kept));
    }
    let wrong = api::CreateDestinationRequest { destination: Some(with(&receiver, "maybe")), ..Default::default() };
    let refused = world.registry().create_destination(wrong).await.unwrap_err();
    assert!(refused.message().contains("trace_context: \"maybe\" is not none, restart or continue"), "{refused}");
}

#[tokio::test]
async fn an_attempt_belongs_to_the_callers_trace_without_a_collector_too() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination_with(with(&receiver, "continue")).await;
    let [parent, ..] = received(&world, &receiver, "e1", &[("traceparent", CALLER)]).await;
    assert_eq!(parent, CALLER);
    let detail = world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!(detail.attempts[0].trace_id, TRACE);
}
