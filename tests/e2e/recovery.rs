//! Recoveries: a destination gets the events that it missed, and nothing twice.

use api::{DeliveryStatus, JobStatus};
use testkit::{Answer, Receiver, wait};
use tonic::{Code, Status};

use crate::{
    jobs::counts,
    world::{ACCOUNT, SOON, World, events_at, some_destination},
};

fn long_ago() -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: 1_000_000_000, nanos: 0 })
}

fn recovery(destination_id: &str) -> api::RecoverDestinationRequest {
    api::RecoverDestinationRequest {
        account_id: ACCOUNT.into(),
        destination_id: destination_id.into(),
        since: long_ago(),
        pace: 1_000,
        ..api::RecoverDestinationRequest::default()
    }
}

async fn recover(world: &World, request: api::RecoverDestinationRequest) -> Result<api::Job, Status> {
    let job = world.jobs().recover_destination(request).await?.into_inner().job.unwrap();
    Ok(world.job_is(&job.job_id, JobStatus::Completed).await)
}

/// The counts of requested, retried, present and too old deliveries.
fn outcome_counts(job: &api::Job) -> (u64, u64, u64, u64) {
    let counts = counts(job);
    assert_eq!(counts.refused, 0, "{job:?}");
    (counts.requested, counts.retried, counts.had, counts.before_created)
}

#[tokio::test]
async fn recovery_brings_skipped_and_failed_deliveries() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        let id = world.destination(&receiver.url()).await;
        world.publish("before").await;
        world.delivery_is("before", DeliveryStatus::Succeeded).await;
        world.disable(&id).await;
        world.publish_many(10).await;
        wait::until_eq("all held", SOON, 10, async || world.all(DeliveryStatus::Held).await.len()).await;
        assert_eq!(
            outcome_counts(&recover(&world, recovery(&id)).await.unwrap()),
            (0, 0, 11, 0),
            "held deliveries are not missed"
        );
        world.enable(&id, true).await;
        wait::until_eq("all skipped", SOON, 10, async || world.all(DeliveryStatus::Failed).await.len()).await;
        receiver.answer_next([Answer::Status(500)]);
        world.publish("failed").await;
        world.delivery_is("failed", DeliveryStatus::Failed).await;

        let dry = recover(&world, api::RecoverDestinationRequest { dry_run: true, ..recovery(&id) }).await.unwrap();
        assert_eq!((outcome_counts(&dry), dry.sample.len()), ((0, 11, 1, 0), 11));
        assert_eq!(receiver.count(), 2, "a dry run does nothing");

        assert_eq!(outcome_counts(&recover(&world, recovery(&id)).await.unwrap()), (0, 11, 1, 0));
        wait::until_eq("all of them", SOON, 12, async || world.all(DeliveryStatus::Succeeded).await.len()).await;
        assert_eq!((receiver.count(), events_at(&receiver).len()), (13, 12));
        assert_eq!(
            outcome_counts(&recover(&world, recovery(&id)).await.unwrap()),
            (0, 0, 12, 0),
            "nothing is missing any more"
        );
        assert_eq!(receiver.count(), 13);
    }
}

#[tokio::test]
async fn recovery_can_bring_events_from_before_the_destination() {
    for world in World::on_both().await {
        let (early, receiver) = (Receiver::start().await, Receiver::start().await);
        world.destination(&early.url()).await;
        world.publish_many(250).await;
        // All events are routed by now.
        wait::until_eq("all events at the earlier destination", SOON, 250, async || early.count()).await;
        let types = vec!["page.*".into()];
        let other = api::Destination { url: receiver.url(), event_types: types, ..some_destination() };
        let (id, other) = (world.destination(&receiver.url()).await, world.destination_with(other).await);
        for event in ["after0", "after1"] {
            world.publish(event).await;
        }
        wait::until_eq("two", SOON, 2, async || receiver.count()).await;
        assert_eq!(outcome_counts(&recover(&world, recovery(&id)).await.unwrap()), (0, 0, 2, 250));
        let all = api::RecoverDestinationRequest { include_before_created: true, ..recovery(&id) };
        let unwanted = api::RecoverDestinationRequest { destination_id: other, ..all.clone() };
        let job = recover(&world, unwanted).await.unwrap();
        assert_eq!((outcome_counts(&job), counts(&job).examined), ((0, 0, 0, 0), 252), "it wants other types");

        let dry = recover(&world, api::RecoverDestinationRequest { dry_run: true, ..all.clone() }).await.unwrap();
        assert_eq!((outcome_counts(&dry), dry.sample.len()), ((250, 0, 2, 0), 20));
        assert_eq!(receiver.count(), 2, "a dry run does nothing");
        let (one, two) = tokio::join!(recover(&world, all.clone()), recover(&world, all.clone()));
        let (one, two) = (outcome_counts(&one.unwrap()), outcome_counts(&two.unwrap()));
        assert_eq!(one.0 + two.0, 250, "two concurrent recoveries request each event once: {one:?} {two:?}");
        wait::until_eq("all of them", SOON, 252, async || receiver.count()).await;
        assert_eq!(outcome_counts(&recover(&world, all).await.unwrap()), (0, 0, 252, 0));
        assert_eq!((receiver.count(), events_at(&receiver).len(), early.count()), (252, 252, 252));
        let log = world.log("e7").await;
        assert_eq!(log.iter().filter(|(entry, _)| entry == "recovered").count(), 1, "{log:?}");
    }
}

#[tokio::test]
async fn recovery_is_limited_by_since_and_until() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let mut times = vec![];
    for event in ["a", "b", "c", "d"] {
        world.publish(event).await;
        let lead = wait::until("the lead", SOON, async || {
            let request = api::GetLeadRequest { account_id: ACCOUNT.into(), lead_id: format!("lead-{event}") };
            world.leads().get_lead(request).await.ok()
        })
        .await;
        times.push(lead.into_inner().created_at.unwrap());
    }
    let id = world.destination(&receiver.url()).await;
    let some = api::RecoverDestinationRequest {
        since: Some(times[1]),
        until: Some(times[3]),
        include_before_created: true,
        ..recovery(&id)
    };
    assert_eq!(outcome_counts(&recover(&world, some.clone()).await.unwrap()), (2, 0, 0, 0));
    wait::until_eq("two", SOON, vec!["b".to_owned(), "c".to_owned()], async || events_at(&receiver)).await;

    let refusal = async |request| recover(&world, request).await.unwrap_err();
    let backwards =
        refusal(api::RecoverDestinationRequest { since: some.until, until: some.since, ..some.clone() }).await;
    assert_eq!(backwards.code(), Code::InvalidArgument);
    assert!(backwards.message().contains("is not later than since"), "{backwards}");
    let endless = refusal(api::RecoverDestinationRequest { since: None, ..some.clone() }).await;
    assert_eq!((endless.code(), endless.message()), (Code::InvalidArgument, "since: is missing"));
    let nowhere = refusal(api::RecoverDestinationRequest { destination_id: "dst_none".into(), ..some }).await;
    assert_eq!(nowhere.code(), Code::NotFound);
}

#[tokio::test]
async fn recovery_ends_when_its_destination_is_deleted() {
    let (world, early, receiver) = (World::start().await, Receiver::start().await, Receiver::start().await);
    world.destination(&early.url()).await;
    world.publish_many(100).await;
    // All events are routed by now.
    wait::until_eq("all events at the earlier destination", SOON, 100, async || early.count()).await;
    let id = world.destination(&receiver.url()).await;
    let slow = api::RecoverDestinationRequest { include_before_created: true, pace: 5, ..recovery(&id) };
    let job = world.jobs().recover_destination(slow).await.unwrap().into_inner().job.unwrap();
    wait::until("some progress", SOON, async || counts(&world.job(&job.job_id).await).requested >= 3).await;
    world.delete(&id).await;
    let job = world.job_is(&job.job_id, JobStatus::Failed).await;
    assert_eq!(job.outcome, "destination_deleted");
    assert!(counts(&job).requested < 100);
    assert!(receiver.count() < 100);
}

#[tokio::test]
async fn recovery_can_be_cancelled() {
    let (world, early, receiver) = (World::start().await, Receiver::start().await, Receiver::start().await);
    world.destination(&early.url()).await;
    world.publish_many(100).await;
    wait::until_eq("all events at the earlier destination", SOON, 100, async || early.count()).await;
    let id = world.destination(&receiver.url()).await;
    let slow = api::RecoverDestinationRequest { include_before_created: true, pace: 5, ..recovery(&id) };
    let job = world.jobs().recover_destination(slow).await.unwrap().into_inner().job.unwrap();
    wait::until("some progress", SOON, async || counts(&world.job(&job.job_id).await).requested >= 3).await;
    let cancel = api::CancelJobRequest { job_id: job.job_id.clone(), requested_by: String::new() };
    world.jobs().cancel_job(cancel).await.unwrap();
    let job = world.job_is(&job.job_id, JobStatus::Cancelled).await;
    assert_eq!((job.outcome.as_str(), job.outcome_code()), ("cancelled", api::JobOutcome::Cancelled));
    let requested = usize::try_from(counts(&job).requested).unwrap();
    assert!((3..100).contains(&requested), "{job:?}");
    wait::until_eq("the requested deliveries", SOON, requested, async || receiver.count()).await;
}
