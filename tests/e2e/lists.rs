//! Reading deliveries: filters, pages, details, and the events of a destination, on both databases.

use std::time::Duration;

use api::{DeliveryFilter, DeliveryStatus, EventLevel, timestamp};
use serde_json::json;
use testkit::{Answer, Receiver, wait};
use tonic::Code;

use crate::world::{ACCOUNT, INTERFACE, SOON, World, retries, some_destination};

/// Every delivery that matches a filter, read page by page.
async fn listed(world: &World, filter: DeliveryFilter, page_size: u32) -> Vec<api::Delivery> {
    let (mut all, mut page_token) = (vec![], String::new());
    loop {
        let request = api::ListDeliveriesRequest { filter: Some(filter.clone()), page_size, page_token };
        let page = world.deliveries().list_deliveries(request).await.unwrap().into_inner();
        assert!(page.deliveries.len() <= page_size as usize);
        all.extend(page.deliveries);
        if page.next_page_token.is_empty() {
            return all;
        }
        page_token = page.next_page_token;
    }
}

fn matches(filter: &DeliveryFilter, delivery: &api::Delivery) -> bool {
    let text = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
    let of_type = match filter.event_type.strip_suffix('*') {
        Some(beginning) => delivery.event_type.starts_with(beginning),
        None => text(&filter.event_type, &delivery.event_type),
    };
    let at = |time: &Option<prost_types::Timestamp>| time.as_ref().and_then(timestamp);
    let requested_at = at(&delivery.requested_at);
    text(&filter.account_id, &delivery.account_id)
        && text(&filter.interface_id, &delivery.interface_id)
        && text(&filter.client_id, &delivery.client_id)
        && text(&filter.destination_id, &delivery.destination_id)
        && text(&filter.lead_id, &delivery.lead_id)
        && text(&filter.event_id, &delivery.event_id)
        && text(&filter.failure_reason, &delivery.failure_reason)
        && of_type
        && (filter.statuses.is_empty() || filter.statuses.contains(&delivery.status))
        && (filter.http_status_code == 0 || filter.http_status_code == delivery.http_status_code)
        && (filter.http_status_class == 0 || filter.http_status_class == delivery.http_status_code / 100)
        && at(&filter.requested_from).is_none_or(|from| requested_at >= Some(from))
        && at(&filter.requested_before).is_none_or(|before| requested_at < Some(before))
}

/// Creates varied deliveries: to a working destination, a failing one, and a disabled one.
async fn fill(world: &World, good: &Receiver, bad: &Receiver) -> [String; 3] {
    let works = world.destination(&good.url()).await;
    let fails = world.destination(&bad.url()).await;
    let waits = world.destination(&good.url()).await;
    world.disable(&waits).await;
    bad.answer(Answer::Status(503));
    for client in ["north", "south"] {
        world.client(client).await;
    }
    let types = ["lead.created", "email.open", "email.link_click", "emails.sent"];
    for n in 0..16 {
        let fields = json!({"type": types[n % 4], "client": if n % 3 == 0 { "north" } else { "south" },
            "lead_id": format!("lead-{}", n % 5)});
        world.publish_with(&format!("e{n}"), fields).await;
    }
    wait::until("all of them", SOON, async || {
        let all = listed(world, DeliveryFilter::default(), 500).await;
        let done = |delivery: &api::Delivery| {
            let end = [DeliveryStatus::Succeeded, DeliveryStatus::Failed, DeliveryStatus::Held];
            end.contains(&delivery.status())
        };
        if all.len() == 48 && all.iter().all(done) { Ok(()) } else { Err(all.len()) }
    })
    .await;
    [works, fails, waits]
}

fn filters(destinations: &[String; 3], middle: Option<prost_types::Timestamp>) -> Vec<DeliveryFilter> {
    let none = DeliveryFilter::default;
    let account = || DeliveryFilter { account_id: ACCOUNT.into(), ..none() };
    let to = |n: usize| DeliveryFilter { destination_id: destinations[n].clone(), ..none() };
    let (failed, held, succeeded) =
        (DeliveryStatus::Failed.into(), DeliveryStatus::Held.into(), DeliveryStatus::Succeeded.into());
    vec![
        none(),
        account(),
        DeliveryFilter { account_id: "other".into(), ..none() },
        DeliveryFilter { interface_id: INTERFACE.into(), ..account() },
        DeliveryFilter { interface_id: "other".into(), ..account() },
        DeliveryFilter { client_id: "north".into(), ..account() },
        DeliveryFilter { lead_id: "lead-3".into(), ..none() },
        DeliveryFilter { lead_id: "lead-3".into(), statuses: vec![failed], ..account() },
        DeliveryFilter { event_id: "e7".into(), ..none() },
        DeliveryFilter {
            event_id: "e7".into(),
            event_type: "email.*".into(),
            statuses: vec![held, succeeded],
            ..to(0)
        },
        to(1),
        DeliveryFilter { statuses: vec![failed], ..to(1) },
        DeliveryFilter { statuses: vec![failed], ..to(0) },
        DeliveryFilter { statuses: vec![failed, held], ..none() },
        DeliveryFilter { statuses: vec![failed, succeeded], ..account() },
        DeliveryFilter { statuses: vec![held, failed, DeliveryStatus::Retrying.into()], ..account() },
        DeliveryFilter { event_type: "email.open".into(), ..account() },
        DeliveryFilter { event_type: "email.*".into(), ..account() },
        DeliveryFilter { event_type: "email.*".into(), ..none() },
        DeliveryFilter {
            event_type: "email.*".into(),
            statuses: vec![failed, held],
            client_id: "south".into(),
            ..none()
        },
        DeliveryFilter { event_type: "*".into(), ..to(2) },
        DeliveryFilter { event_type: "no.such".into(), ..account() },
        DeliveryFilter { http_status_code: 503, ..account() },
        DeliveryFilter { http_status_code: 503, statuses: vec![succeeded], ..account() },
        DeliveryFilter { http_status_code: 200, ..to(0) },
        DeliveryFilter { http_status_code: 999, ..none() },
        DeliveryFilter { http_status_class: 5, ..none() },
        DeliveryFilter { http_status_class: 5, ..account() },
        DeliveryFilter { http_status_class: 5, statuses: vec![failed, held], ..to(1) },
        DeliveryFilter { http_status_class: 5, http_status_code: 503, client_id: "north".into(), ..account() },
        DeliveryFilter { http_status_class: 4, ..account() },
        DeliveryFilter { http_status_class: 2, ..account() },
        DeliveryFilter { http_status_class: 2, event_type: "email.*".into(), ..account() },
        DeliveryFilter { http_status_class: 2, http_status_code: 503, ..none() },
        DeliveryFilter { failure_reason: "exhausted".into(), ..account() },
        DeliveryFilter { failure_reason: "exhausted".into(), statuses: vec![held], ..none() },
        DeliveryFilter { failure_reason: "too_old".into(), ..none() },
        DeliveryFilter { requested_from: middle, ..account() },
        DeliveryFilter { requested_before: middle, statuses: vec![failed, held], ..none() },
    ]
}

#[tokio::test]
async fn every_filter_finds_its_matches_page_by_page() {
    for world in World::on_both().await {
        let (good, bad) = (Receiver::start().await, Receiver::start().await);
        let destinations = fill(&world, &good, &bad).await;
        let all = listed(&world, DeliveryFilter::default(), 500).await;
        let middle = all[24].requested_at;
        for filter in filters(&destinations, middle) {
            let expected: Vec<_> = all.iter().filter(|delivery| matches(&filter, delivery)).cloned().collect();
            assert_eq!(listed(&world, filter.clone(), 3).await, expected, "{filter:?}");
            assert_eq!(listed(&world, filter.clone(), 500).await, expected, "{filter:?}");
        }
    }
}

#[tokio::test]
async fn pages_are_stable_while_deliveries_are_added() {
    for world in World::on_both().await {
        let (good, bad) = (Receiver::start().await, Receiver::start().await);
        fill(&world, &good, &bad).await;
        let before: Vec<_> = listed(&world, DeliveryFilter::default(), 500).await;
        let filter = || Some(DeliveryFilter { account_id: ACCOUNT.into(), ..DeliveryFilter::default() });
        let (mut seen, mut page_token) = (vec![], String::new());
        for n in 0.. {
            let request = api::ListDeliveriesRequest { filter: filter(), page_size: 10, page_token };
            let page = world.deliveries().list_deliveries(request).await.unwrap().into_inner();
            seen.extend(page.deliveries.into_iter().map(|delivery| delivery.delivery_id));
            if page.next_page_token.is_empty() {
                break;
            }
            page_token = page.next_page_token;
            let event = format!("later{n}");
            world.publish(&event).await;
            let of_event = DeliveryFilter { event_id: event, ..DeliveryFilter::default() };
            wait::until_eq("its deliveries", SOON, 3, async || listed(&world, of_event.clone(), 500).await.len()).await;
        }
        assert_eq!(seen, before.into_iter().map(|delivery| delivery.delivery_id).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn invalid_filters_are_refused_with_the_field() {
    let world = World::start().await;
    let none = DeliveryFilter::default;
    let wrong = [
        ("event_type", DeliveryFilter { event_type: "email*".into(), ..none() }),
        ("statuses", DeliveryFilter { statuses: vec![0], ..none() }),
        ("failure_reason", DeliveryFilter { failure_reason: "bad luck".into(), ..none() }),
        ("http_status_code", DeliveryFilter { http_status_code: 20, ..none() }),
        ("http_status_class", DeliveryFilter { http_status_class: 6, ..none() }),
        ("client_id", DeliveryFilter { client_id: "a.b".into(), ..none() }),
    ];
    for (field, filter) in wrong {
        let request = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
        let refused = world.deliveries().list_deliveries(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(&format!("filter.{field}: ")), "{refused}");
    }
}

#[tokio::test]
async fn detail_of_a_failure_has_request_answer_and_advice() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        receiver.answer(Answer::With(422, vec![], "no field phone".into()));
        let url = format!("{}?form={{{{ interface }}}}", receiver.url());
        let retry_policy = Some(retries(&[Duration::from_secs(3_600)]));
        let destination = api::Destination { url, method: "PUT".into(), retry_policy, ..some_destination() };
        world.destination_with(destination).await;
        world.publish("e1").await;
        let detail = world.delivery_is("e1", DeliveryStatus::Retrying).await;
        let delivery = detail.delivery.unwrap();
        let url = format!("{}?form={INTERFACE}", receiver.url());
        let texts = [&delivery.event_type, &delivery.event_id, &delivery.destination_name, &delivery.request_method];
        assert_eq!(texts, ["lead.created", "e1", "CRM", "PUT"]);
        assert_eq!((&delivery.request_url, delivery.http_status_code, delivery.attempts), (&url, 422, 1));
        assert_eq!((delivery.webhook_response.as_str(), delivery.failure_reason.as_str()), ("no field phone", ""));
        assert!(delivery.suggested_action.contains("body's shape"), "{}", delivery.suggested_action);
        let next = timestamp(&delivery.next_attempt_at.unwrap()).unwrap();
        let updated = timestamp(&delivery.updated_at.unwrap()).unwrap();
        assert!(next > updated, "{next} {updated}");
        let [attempt] = &detail.attempts[..] else { panic!("one attempt: {:?}", detail.attempts) };
        assert_eq!((attempt.number, attempt.request_method.as_str(), &attempt.request_url), (1, "PUT", &url));
        assert_eq!((attempt.http_status_code, attempt.webhook_response.as_str()), (422, "no field phone"));
        assert_eq!(attempt.suggested_action, delivery.suggested_action);
        assert_eq!((attempt.deactivation_cause.as_str(), delivery.deactivation_cause.as_str()), ("", ""));
    }
}

async fn events(world: &World, destination_id: &str, limit: u32) -> Vec<api::DestinationEvent> {
    let (account_id, destination_id) = (ACCOUNT.into(), destination_id.to_owned());
    let request = api::ListDestinationEventsRequest { account_id, destination_id, limit, ..Default::default() };
    world.deliveries().list_destination_events(request).await.unwrap().into_inner().events
}

#[tokio::test]
async fn destination_events_are_success_debug_or_error() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        let id = world.destination(&receiver.url()).await;
        world.publish("good").await;
        world.delivery_is("good", DeliveryStatus::Succeeded).await;
        receiver.answer(Answer::With(500, vec![], "oops".into()));
        world.publish("bad").await;
        world.delivery_is("bad", DeliveryStatus::Failed).await;
        receiver.answer(Answer::Status(410));
        world.publish("last").await;
        let last = world.delivery_is("last", DeliveryStatus::Failed).await.delivery.unwrap();
        assert_eq!(last.deactivation_cause, "gone");

        let found = events(&world, &id, 0).await;
        let short: Vec<_> = found.iter().map(|event| (event.event_id.as_str(), event.level())).collect();
        let expected = [("last", EventLevel::Error), ("bad", EventLevel::Debug), ("good", EventLevel::Success)];
        assert_eq!(short, expected);
        assert_eq!((found[0].delivery_id.as_str(), found[0].lead_id.as_str()), (&*last.delivery_id, "lead-last"));
        let attempt = found[1].attempt.as_ref().unwrap();
        assert_eq!((attempt.request_method.as_str(), &attempt.request_url), ("POST", &receiver.url()));
        assert_eq!((attempt.http_status_code, attempt.webhook_response.as_str()), (500, "oops"));
        assert_eq!(events(&world, &id, 1).await, found[..1]);

        let unknown = api::ListDestinationEventsRequest {
            account_id: ACCOUNT.into(),
            destination_id: "dst_none".into(),
            ..Default::default()
        };
        let refused = world.deliveries().list_destination_events(unknown).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
    }
}

#[tokio::test]
async fn at_most_a_hundred_destination_events_are_on_a_page() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    world.publish_many(120).await;
    wait::until_eq("all of them", SOON, 120, async || {
        let succeeded = vec![DeliveryStatus::Succeeded.into()];
        listed(&world, DeliveryFilter { statuses: succeeded, ..DeliveryFilter::default() }, 500).await.len()
    })
    .await;
    let found = events(&world, &id, 0).await;
    assert_eq!(found.len(), 100);
    let started: Vec<_> = found.iter().map(|e| timestamp(&e.attempt.as_ref().unwrap().started_at.unwrap())).collect();
    assert!(started.is_sorted_by(|a, b| a >= b), "the newest first");
    // The older events are on further pages, each once.
    let (mut ids, mut page_token) = (std::collections::BTreeSet::new(), String::new());
    let sizes = async |page_token: &str| {
        let request = api::ListDestinationEventsRequest {
            account_id: ACCOUNT.into(),
            destination_id: id.clone(),
            limit: 50,
            page_token: page_token.to_owned(),
        };
        world.deliveries().list_destination_events(request).await.unwrap().into_inner()
    };
    for size in [50, 50, 20] {
        let page = sizes(&page_token).await;
        assert_eq!(page.events.len(), size);
        ids.extend(page.events.into_iter().map(|event| event.delivery_id));
        page_token = page.next_page_token;
    }
    assert_eq!((ids.len(), page_token.as_str()), (120, ""));
}
