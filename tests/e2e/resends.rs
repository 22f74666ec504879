//! Resends with `force`: one delivery, many, or a period of time.

use api::{DeliveryStatus, JobStatus};
use serde_json::json;
use testkit::{Answer, Receiver, wait};
use tonic::{Code, Status};

use crate::{
    jobs::{counts, retries},
    world::{ACCOUNT, SOON, World, some_destination},
};

fn forced() -> api::RetryDeliveryRequest {
    api::RetryDeliveryRequest {
        requested_by: "Grace".into(),
        force: true,
        reason: "the CRM lost it".into(),
        ..api::RetryDeliveryRequest::default()
    }
}

impl World {
    /// Requests another round for the only delivery of an event.
    async fn resend(&self, event: &str, request: api::RetryDeliveryRequest) -> Result<api::Delivery, Status> {
        let delivery_id = self.delivery(event).await.delivery.unwrap().delivery_id;
        let request = api::RetryDeliveryRequest { delivery_id, ..request };
        self.deliveries().retry_delivery(request).await.map(|answer| answer.into_inner().delivery.unwrap())
    }

    /// Waits for the outcome of a job: numbers of succeeded, failed and waiting deliveries.
    async fn outcome(&self, job_id: &str, expected: (u64, u64, u64)) {
        wait::until_eq("the outcome of the job", SOON, expected, async || {
            let counts = counts(&self.job(job_id).await);
            (counts.succeeded, counts.failed, counts.waiting)
        })
        .await;
    }
}

#[tokio::test]
async fn resend_keeps_its_ids_and_logs_person_and_reason() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        world.destination(&receiver.url()).await;
        world.publish("e1").await;
        let before = world.delivery_is("e1", DeliveryStatus::Succeeded).await.delivery.unwrap();
        let refused = world.retry("e1").await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("set force"), "{refused}");

        let once = api::RetryDeliveryRequest { request_id: "call-1".into(), ..forced() };
        world.resend("e1", once.clone()).await.unwrap();
        wait::until_eq("the resend", SOON, 2, async || receiver.count()).await;
        let after = world.delivery_is("e1", DeliveryStatus::Succeeded).await;
        assert_eq!(after.attempts.iter().map(|attempt| attempt.round).collect::<Vec<_>>(), [0, 1]);
        let after = after.delivery.unwrap();
        assert_eq!((&after.delivery_id, after.attempts, after.retries), (&before.delivery_id, 2, 1));
        let requests = receiver.requests();
        for header in ["webhook-id", "leadline-event-id"] {
            assert_eq!(requests[0].header(header), requests[1].header(header));
        }
        assert_eq!(requests[0].body, requests[1].body);

        // A repeated call sends nothing more; another call does.
        let again = world.resend("e1", once).await.unwrap();
        assert_eq!((again.retries, receiver.count()), (1, 2));
        world.resend("e1", api::RetryDeliveryRequest { request_id: "call-2".into(), ..forced() }).await.unwrap();
        wait::until_eq("another resend", SOON, 3, async || receiver.count()).await;
        let details = world.log("e1").await.into_iter().filter(|(entry, _)| entry == "resentwebhook");
        let details: Vec<_> = details.map(|(_, detail)| detail).collect();
        assert_eq!(details.len(), 2, "{details:?}");
        assert!(details[0].starts_with("resend 1 requested by key "), "{details:?}");
        assert!(details[0].ends_with(" for Grace: the CRM lost it"), "{details:?}");
    }
}

#[tokio::test]
async fn failed_resend_makes_the_delivery_failed() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    receiver.answer(Answer::Status(500));
    world.resend("e1", forced()).await.unwrap();
    let failed = world.delivery_is("e1", DeliveryStatus::Failed).await.delivery.unwrap();
    assert_eq!((failed.http_status_code, failed.attempts), (500, 2));
    assert_eq!(world.lead("e1").await.failed_deliveries, 1);
    let listed = world.all(DeliveryStatus::Failed).await;
    assert_eq!((listed.len(), world.all(DeliveryStatus::Succeeded).await.len()), (1, 0));
    receiver.answer(Answer::Status(200));
    world.retry("e1").await.unwrap();
    let home = world.delivery_is("e1", DeliveryStatus::Succeeded).await.delivery.unwrap();
    assert_eq!((home.attempts, home.retries, home.http_status_code), (3, 2, 200));
    assert_eq!(world.lead("e1").await.failed_deliveries, 0);
}

#[tokio::test]
async fn resend_respects_held_destinations_and_anonymised_leads() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let ordered = api::Destination { url: receiver.url(), ordered: true, ..some_destination() };
    let id = world.destination_with(ordered).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    world.disable(&id).await;
    world.resend("e1", forced()).await.unwrap();
    world.delivery_is("e1", DeliveryStatus::Held).await;
    assert_eq!(receiver.count(), 1, "a disabled destination gets nothing");
    let refused = world.resend("e1", forced()).await.unwrap_err();
    assert!(refused.message().contains("held, not failed; it continues when its destination is enabled"), "{refused}");
    world.enable(&id, false).await;
    wait::until_eq("the resend", SOON, 2, async || receiver.count()).await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;

    let lead_ids = vec![world.lead("e1").await.lead_id];
    let request = api::AnonymizeLeadsRequest { account_id: ACCOUNT.into(), lead_ids, ..Default::default() };
    world.leads().anonymize_leads(request).await.unwrap();
    let refused = world.resend("e1", forced()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("anonymised"), "{refused}");
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn events_of_a_burst_can_be_resent() {
    let (world, receiver) = (World::start_with(&["--burst-above", "1"], &[]).await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish_many(30).await;
    wait::until_eq("all of them", SOON, 30, async || world.all(DeliveryStatus::Succeeded).await.len()).await;
    world.resend("e29", forced()).await.unwrap();
    wait::until_eq("the resend", SOON, 31, async || receiver.count()).await;
    world.delivery_is("e29", DeliveryStatus::Succeeded).await;
}

#[tokio::test]
async fn invalid_resends_are_refused_by_field() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let cases = [
        (api::RetryDeliveryRequest { reason: "two\nlines".into(), ..forced() }, "reason: "),
        (api::RetryDeliveryRequest { reason: "x".repeat(201), ..forced() }, "reason: "),
        (api::RetryDeliveryRequest { request_id: "a b".into(), ..forced() }, "request_id: "),
    ];
    for (request, field) in cases {
        let refused = world.resend("e1", request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(field), "{refused}");
    }
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn bulk_resend_reaches_every_delivery_if_only_both_statuses_together_exceed_a_page() {
    const OF_EACH: usize = 260;
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    receiver.answer_next(vec![Answer::Status(500); OF_EACH]);
    world.publish_many(2 * OF_EACH).await;
    for status in [DeliveryStatus::Failed, DeliveryStatus::Succeeded] {
        wait::until_eq(status.as_str_name(), SOON, OF_EACH, async || world.all(status).await.len()).await;
    }
    let filter = Some(api::DeliveryFilter::default());
    let job = world.retry_many(api::RetryDeliveriesRequest { filter, force: true, ..retries() }).await.unwrap();
    let done = world.job_is(&job.job_id, JobStatus::Completed).await;
    assert_eq!(counts(&done).retried, 2 * OF_EACH as u64, "{done:?}");
}

#[tokio::test]
async fn bulk_resend_reports_its_outcome() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        world.destination(&receiver.url()).await;
        receiver.answer_next([Answer::Status(500)]);
        world.publish("bad").await;
        world.delivery_is("bad", DeliveryStatus::Failed).await;
        world.publish_many(5).await;
        wait::until_eq("the good ones", SOON, 5, async || world.all(DeliveryStatus::Succeeded).await.len()).await;

        let filter = Some(api::DeliveryFilter::default());
        let all = api::RetryDeliveriesRequest { filter, force: true, reason: "lost".into(), ..retries() };
        receiver.answer_next([Answer::Status(500), Answer::Status(500)]);
        let job = world.retry_many(all.clone()).await.unwrap();
        let done = world.job_is(&job.job_id, JobStatus::Completed).await;
        assert_eq!((counts(&done).examined, counts(&done).retried, done.reason.as_str()), (6, 6, "lost"));
        world.outcome(&job.job_id, (4, 2, 0)).await;
        assert_eq!((receiver.count(), world.all(DeliveryStatus::Failed).await.len()), (12, 2));

        // A later job does not change the outcome of this one.
        let succeeded =
            api::DeliveryFilter { statuses: vec![DeliveryStatus::Succeeded.into()], ..api::DeliveryFilter::default() };
        let refused = world.retry_many(api::RetryDeliveriesRequest { filter: Some(succeeded), ..retries() }).await;
        assert!(refused.unwrap_err().message().contains("with force"));
        let filter = Some(api::DeliveryFilter::default());
        let second = world.retry_many(api::RetryDeliveriesRequest { filter, ..retries() }).await.unwrap();
        world.job_is(&second.job_id, JobStatus::Completed).await;
        world.outcome(&second.job_id, (2, 0, 0)).await;
        world.outcome(&job.job_id, (4, 2, 0)).await;
    }
}

#[tokio::test]
async fn recovery_can_include_successes_and_limit_types() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        let id = world.destination(&receiver.url()).await;
        world.publish_many(3).await;
        world.publish_with("opened", json!({"type": "email.open"})).await;
        wait::until_eq("all of them", SOON, 4, async || world.all(DeliveryStatus::Succeeded).await.len()).await;
        let recovery = api::RecoverDestinationRequest {
            account_id: ACCOUNT.into(),
            destination_id: id,
            since: Some(prost_types::Timestamp { seconds: 1_000_000_000, nanos: 0 }),
            pace: 1_000,
            reason: "restored from a backup".into(),
            ..api::RecoverDestinationRequest::default()
        };
        let run = async |request: api::RecoverDestinationRequest| {
            let job = world.jobs().recover_destination(request).await.unwrap().into_inner().job.unwrap();
            world.job_is(&job.job_id, JobStatus::Completed).await
        };
        let plain = run(recovery.clone()).await;
        assert_eq!((counts(&plain).had, counts(&plain).retried), (4, 0));
        let event_types = vec!["email.*".to_owned()];
        let some = api::RecoverDestinationRequest { include_succeeded: true, event_types, ..recovery.clone() };
        let opened = run(some).await;
        assert_eq!(counts(&opened).retried, 1);
        world.outcome(&opened.job_id, (1, 0, 0)).await;
        let log = world.log("opened").await;
        assert!(log.iter().any(|(_, detail)| detail.ends_with(": restored from a backup")), "{log:?}");
        let all = run(api::RecoverDestinationRequest { include_succeeded: true, ..recovery.clone() }).await;
        assert_eq!(counts(&all).retried, 4);
        world.outcome(&all.job_id, (4, 0, 0)).await;
        assert_eq!(receiver.count(), 9);
        let wrong = api::RecoverDestinationRequest { event_types: vec!["E mail".into()], ..recovery };
        let refused = world.jobs().recover_destination(wrong).await.unwrap_err();
        assert!(refused.message().starts_with("event_types: "), "{refused}");
    }
}
