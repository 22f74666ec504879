//! Lists that exceed one gRPC message.

use std::collections::BTreeSet;

use prost_reflect::DescriptorPool;
use testkit::{Answer, Receiver, wait};
use tonic::Code;

use crate::world::{ACCOUNT, SOON, World, some_destination};

/// The number of destinations that together exceed the 4 MiB limit of gRPC clients.
const DESTINATIONS: usize = 70;
/// The size of each template, in bytes.
const TEMPLATE: usize = 64 * 1024 - 100;

/// Creates destinations with large templates, and returns their ids. The first one has this URL.
async fn many(world: &World, url: &str) -> Vec<String> {
    let template = format!("{{\"text\": \"{}\"}}", "x".repeat(TEMPLATE - 12));
    let make = async |n: usize| {
        let destination = api::Destination {
            name: format!("Number {n}"),
            url: if n == 0 { url.into() } else { "https://crm.example/".into() },
            // Different types, so that one event has few deliveries.
            event_types: vec![format!("number.{n}")],
            body: Some(api::destination::Body::BodyTemplate(template.clone())),
            ..some_destination()
        };
        world.destination_with(destination).await
    };
    futures::future::join_all((0..DESTINATIONS).map(make)).await
}

#[tokio::test]
async fn every_verb_works_with_destinations_beyond_one_message() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer_by(|_| Answer::Status(500));
    let ids = many(&world, &receiver.url()).await;
    let listed = world.run(&["destinations", "list", "--json"]).await.well().json_lines();
    let listed: BTreeSet<_> = listed.iter().map(|one| one["destination_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, ids.iter().cloned().collect());
    assert_eq!(world.run(&["destinations", "list"]).await.well().rows().len(), DESTINATIONS);

    world.publish_with("e", serde_json::json!({"type": "number.0"})).await;
    world.delivery_is("e", api::DeliveryStatus::Failed).await;
    for named in [ids[0].as_str(), "Number 0"] {
        for verb in ["show", "disable", "enable"] {
            world.run(&["destinations", verb, named]).await.well();
        }
        // The receiver refuses the request, and the verb reports that.
        let tested = world.run(&["destinations", "test", named]).await;
        assert!(tested.out.contains("500") || tested.err.contains("500"), "{tested:?}");
        let found = world.run(&["deliveries", "--destination", named, "--json"]).await.well();
        assert!(!found.json_lines().is_empty(), "{found:?}");
        world.run(&["retry", "--destination", named, "--dry-run"]).await.well();
        world.run(&["tokens", "create", "T", "--assign", named]).await.well();
    }
    world.run(&["destinations", "delete", &ids[1]]).await.well();
    world.run(&["destinations", "delete", "Number 2"]).await.well();
    assert_eq!(world.run(&["destinations", "list", "--json"]).await.well().json_lines().len(), DESTINATIONS - 2);
}

#[tokio::test]
async fn pages_of_destinations_are_bounded_by_bytes_and_by_count() {
    let world = World::start().await;
    let ids: BTreeSet<_> = many(&world, "https://crm.example/").await.into_iter().collect();
    let list = async |page_size: u32, page_token: String| {
        let request = api::ListDestinationsRequest {
            account_id: ACCOUNT.into(),
            page_size,
            page_token,
            ..api::ListDestinationsRequest::default()
        };
        world.registry().list_destinations(request).await.map(tonic::Response::into_inner)
    };
    for (size, at_least) in [(0, 2), (20, 4), (1_000, 2)] {
        let (mut seen, mut token, mut pages) = (BTreeSet::new(), String::new(), 0);
        loop {
            // A client with the default limits of gRPC.
            let page = list(size, token).await.unwrap();
            assert!(size == 0 || page.destinations.len() <= size as usize);
            seen.extend(page.destinations.into_iter().map(|destination| destination.destination_id));
            (token, pages) = (page.next_page_token, pages + 1);
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, ids, "page_size {size}");
        assert!(pages >= at_least && pages < 6, "page_size {size}: {pages} pages");
    }
    for (size, token, field) in [(1_001, "", "page_size"), (0, "rubbish", "page_token")] {
        let refused = list(size, token.into()).await.unwrap_err();
        assert!(refused.code() == Code::InvalidArgument && refused.message().starts_with(field), "{refused}");
    }
    // The audit log has these templates, too.
    let request =
        api::ListAuditLogRequest { account_id: ACCOUNT.into(), page_size: 500, ..api::ListAuditLogRequest::default() };
    wait::until("the audit log", SOON, async || {
        let found = world.audit().list_audit_log(request.clone()).await.unwrap().into_inner().entries;
        found.len() > DESTINATIONS
    })
    .await;
}

#[test]
fn every_list_of_the_api_has_pages_or_a_limit() {
    let pool = DescriptorPool::decode(api::DESCRIPTORS).unwrap();
    let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let lists: Vec<_> = methods.filter(|method| method.name().starts_with("List")).collect();
    assert!(lists.len() > 12, "{lists:?}");
    for method in lists {
        let (input, output) = (method.input(), method.output());
        let has = |name: &str| input.get_field_by_name(name).is_some();
        let paged = has("page_size") && has("page_token") && output.get_field_by_name("next_page_token").is_some();
        assert!(paged || has("limit"), "{}", method.full_name());
    }
}
