//! Retries: by policy, and on request.

use std::time::Duration;

use api::{DeliveryStatus, duration_to_api};
use serde_json::json;
use testkit::{Answer, Receiver, wait};
use tonic::Code;

use crate::world::{ACCOUNT, INTERFACE, SOON, World, retries, some_destination};

#[tokio::test]
async fn retry_has_the_same_id_and_payload() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer_next([Answer::Status(503), Answer::Status(500)]);
    let policy = Some(retries(&[Duration::from_millis(300), Duration::from_millis(300)]));
    world.destination_with(api::Destination { url: receiver.url(), retry_policy: policy, ..some_destination() }).await;
    world.publish("e1").await;
    let detail = world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let statuses: Vec<_> = detail.attempts.iter().map(|attempt| (attempt.number, attempt.http_status_code)).collect();
    assert_eq!(statuses, [(1, 503), (2, 500), (3, 200)]);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        assert_eq!(request.header("leadline-event-id"), "e1");
        assert_eq!(request.header("webhook-id"), requests[0].header("webhook-id"));
        assert_eq!(request.body, requests[0].body);
    }
    assert!(requests[1].at - requests[0].at >= Duration::from_millis(300));
}

#[tokio::test]
async fn retrying_delivery_shows_its_next_attempt() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    let policy = Some(retries(&[Duration::from_secs(3_600)]));
    world.destination_with(api::Destination { url: receiver.url(), retry_policy: policy, ..some_destination() }).await;
    world.publish("e1").await;
    let delivery = world.delivery_is("e1", DeliveryStatus::Retrying).await.delivery.unwrap();
    let wait = delivery.next_attempt_at.unwrap().seconds - delivery.updated_at.unwrap().seconds;
    assert!((3_590..=3_610).contains(&wait), "{wait}");
    let refused = world.retry("e1").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("retrying, not failed"), "{refused}");
}

#[tokio::test]
async fn transient_failures_have_quick_retries_first() {
    let world = World::start().await;
    let custom = api::CustomRetryPolicy {
        quick_count: 2,
        quick_pause: Some(duration_to_api(Duration::from_millis(100))),
        schedule: vec![duration_to_api(Duration::from_secs(3_600))],
        ..api::CustomRetryPolicy::default()
    };
    let policy = Some(api::RetryPolicy { policy: Some(api::retry_policy::Policy::Custom(custom)) });
    let at = async |url: String, event_type: &str| {
        let event_types = vec![event_type.to_owned()];
        let destination = api::Destination { url, event_types, retry_policy: policy.clone(), ..some_destination() };
        world.destination_with(destination).await;
        world.publish_with(&event_type.replace('.', "-"), json!({"type": event_type})).await;
    };
    for status in [408, 409, 504] {
        let receiver = Receiver::start().await;
        receiver.answer(Answer::Status(status));
        at(receiver.url(), &format!("status.{status}")).await;
        wait::until_eq("two quick retries", SOON, 3, async || receiver.count()).await;
    }
    at("http://no-such-host.invalid/".to_owned(), "no.name").await;
    for event in ["status-408", "status-409", "status-504", "no-name"] {
        wait::until("the long wait", SOON, async || {
            world.delivery_is(event, DeliveryStatus::Retrying).await.delivery.unwrap().attempts == 3
        })
        .await;
    }
}

#[tokio::test]
async fn requested_retry_delivers_a_failed_delivery() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Failed).await;
    let lead = world.lead("e1").await;
    assert!(lead.failed);
    assert_eq!((lead.failed_deliveries, lead.http_status_code), (1, 500));

    receiver.answer(Answer::Status(204));
    let retried = world.retry("e1").await.unwrap();
    assert_ne!(retried.status(), DeliveryStatus::Failed);
    let delivery = world.delivery_is("e1", DeliveryStatus::Succeeded).await.delivery.unwrap();
    assert_eq!((delivery.attempts, delivery.retries), (2, 1));
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(
        (requests[0].header("webhook-id"), &requests[0].body),
        (requests[1].header("webhook-id"), &requests[1].body)
    );

    let entries: Vec<_> = world.log("e1").await.into_iter().map(|(entry, _)| entry).collect();
    let of_the_webhook: Vec<_> = entries.iter().filter(|entry| *entry != "errornotice").collect();
    assert_eq!(of_the_webhook, ["received", "webhook", "resentwebhook", "webhook"]);
    let lead = world.lead("e1").await;
    assert!(!lead.failed);
    assert_eq!((lead.events, lead.deliveries, lead.http_status_code), (1, 1, 204));
    let refused = world.retry("e1").await.unwrap_err();
    assert!(refused.message().contains("succeeded, not failed"), "{refused}");
}

#[tokio::test]
async fn each_retry_is_logged_with_time_and_person() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    for requested_by in ["ada", "grace"] {
        let failed = world.delivery_is("e1", DeliveryStatus::Failed).await.delivery.unwrap();
        let request = api::RetryDeliveryRequest {
            delivery_id: failed.delivery_id,
            requested_by: requested_by.into(),
            ..api::RetryDeliveryRequest::default()
        };
        world.deliveries().retry_delivery(request).await.unwrap();
    }
    wait::until_eq("all attempts", SOON, 3, async || receiver.count()).await;
    world.delivery_is("e1", DeliveryStatus::Failed).await;
    let request =
        api::GetLeadLogRequest { account_id: ACCOUNT.into(), lead_id: "lead-e1".into(), ..Default::default() };
    let entries = world.leads().get_lead_log(request).await.unwrap().into_inner().entries;
    let retries: Vec<_> = entries.iter().filter(|entry| entry.entry == "resentwebhook").collect();
    assert!(retries.iter().all(|entry| entry.kind() == api::LeadLogKind::Resentwebhook));
    assert_eq!(retries.len(), 2, "{entries:?}");
    assert!(retries[0].detail.contains("ada") && retries[1].detail.contains("grace"), "{retries:?}");
    let received = entries[0].at.unwrap();
    let times: Vec<_> = retries.iter().map(|entry| entry.at.unwrap()).map(|at| (at.seconds, at.nanos)).collect();
    assert!((received.seconds, received.nanos) < times[0] && times[0] < times[1], "{entries:?}");
}

#[tokio::test]
async fn concurrent_requests_for_a_retry_start_one_round() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Failed).await;
    receiver.answer(Answer::Gate(200));
    let answers = futures::future::join_all((0..8).map(|_| world.retry("e1"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(refused.into_iter().all(|status| status.code() == Code::FailedPrecondition));
    receiver.open_gate();
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn retry_of_a_deleted_interface_or_destination_is_refused() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    let destination_id = world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Failed).await;
    let request = api::DeleteDestinationRequest { account_id: ACCOUNT.into(), destination_id };
    world.registry().delete_destination(request).await.unwrap();
    let refused = world.retry("e1").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("destination was deleted"), "{refused}");

    let request = api::DeleteInterfaceRequest { account_id: ACCOUNT.into(), interface_id: INTERFACE.into() };
    world.registry().delete_interface(request).await.unwrap();
    let refused = world.retry("e1").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("interface"), "{refused}");

    let nobody = api::RetryDeliveryRequest {
        delivery_id: "00000000-0000-5000-8000-000000000000".into(),
        ..api::RetryDeliveryRequest::default()
    };
    assert_eq!(world.deliveries().retry_delivery(nobody).await.unwrap_err().code(), Code::NotFound);
    let rubbish = api::RetryDeliveryRequest { delivery_id: "rubbish".into(), ..Default::default() };
    assert_eq!(world.deliveries().retry_delivery(rubbish).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn lists_have_pages_and_filters() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let destination_id = world.destination(&receiver.url()).await;
    for n in 0..5 {
        world.publish(&format!("good{n}")).await;
    }
    wait::until_eq("the good ones", SOON, 5, async || receiver.count()).await;
    receiver.answer(Answer::Status(404));
    for n in 0..2 {
        world.publish(&format!("bad{n}")).await;
        world.delivery_is(&format!("bad{n}"), DeliveryStatus::Failed).await;
    }
    let list = async |filter: api::DeliveryFilter, page_size| {
        let (mut pages, mut page_token) = (vec![], String::new());
        loop {
            let request = api::ListDeliveriesRequest { filter: Some(filter.clone()), page_size, page_token };
            let page = world.deliveries().list_deliveries(request).await.unwrap().into_inner();
            pages.push(page.deliveries.into_iter().map(|d| d.event_id).collect::<Vec<_>>());
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return pages;
            }
        }
    };
    let everything = list(api::DeliveryFilter::default(), 3).await;
    assert_eq!(everything.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    assert_eq!(everything.concat()[..2], ["bad1", "bad0"]);
    let failed =
        api::DeliveryFilter { statuses: vec![DeliveryStatus::Failed.into()], ..api::DeliveryFilter::default() };
    assert_eq!(list(failed, 0).await, [["bad1", "bad0"]]);
    let by_all = api::DeliveryFilter {
        account_id: ACCOUNT.into(),
        interface_id: INTERFACE.into(),
        destination_id,
        lead_id: "lead-good3".into(),
        event_id: "good3".into(),
        event_type: "lead.created".into(),
        statuses: vec![DeliveryStatus::Succeeded.into()],
        ..api::DeliveryFilter::default()
    };
    assert_eq!(list(by_all, 0).await, [["good3"]]);

    let leads = async |failed| {
        let request = api::ListLeadsRequest { account_id: ACCOUNT.into(), failed, ..api::ListLeadsRequest::default() };
        let leads = world.leads().list_leads(request).await.unwrap().into_inner().leads;
        leads.into_iter().map(|lead| lead.lead_id).collect::<Vec<_>>()
    };
    assert_eq!(leads(None).await.len(), 7);
    assert_eq!(leads(Some(true)).await, ["lead-bad1", "lead-bad0"]);
    assert_eq!(leads(Some(false)).await.len(), 5);
}
