//! Bulk retries: by list or filter, dry runs, pace, and cancelling.

use std::time::{Duration, Instant};

use api::{DeliveryStatus, JobStatus, job::Plan, job_service_client::JobServiceClient};
use testkit::{Answer, Receiver, wait};
use tonic::{Code, Status};

use crate::world::{ACCOUNT, INTERFACE, SOON, World};

/// A request for retries with common settings.
pub(crate) fn retries() -> api::RetryDeliveriesRequest {
    api::RetryDeliveriesRequest {
        account_id: ACCOUNT.into(),
        pace: 1_000,
        requested_by: "a test".into(),
        ..api::RetryDeliveriesRequest::default()
    }
}

impl World {
    pub(crate) async fn retry_many(&self, request: api::RetryDeliveriesRequest) -> Result<api::Job, Status> {
        self.jobs().retry_deliveries(request).await.map(|answer| answer.into_inner().job.unwrap())
    }

    pub(crate) async fn job(&self, job_id: &str) -> api::Job {
        self.jobs().get_job(api::GetJobRequest { job_id: job_id.into() }).await.unwrap().into_inner()
    }

    /// Waits until a job has ended.
    pub(crate) async fn job_is(&self, job_id: &str, status: JobStatus) -> api::Job {
        wait::until(&format!("job {}", status.as_str_name()), SOON, async || {
            let job = self.job(job_id).await;
            if job.status() == status { Ok(job) } else { Err(job) }
        })
        .await
    }

    /// Every delivery with a status, the newest first.
    pub(crate) async fn all(&self, status: DeliveryStatus) -> Vec<api::Delivery> {
        let filter = api::DeliveryFilter { statuses: vec![status.into()], ..api::DeliveryFilter::default() };
        let request = api::ListDeliveriesRequest { filter: Some(filter), page_size: 500, page_token: String::new() };
        self.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries
    }

    /// Publishes `e0`, `e1`, … to receivers that refuse, and waits until each delivery is failed.
    pub(crate) async fn publish_failing(&self, count: usize) -> Vec<api::Delivery> {
        self.publish_many(count).await;
        wait::until_eq("all failed", SOON, count, async || self.all(DeliveryStatus::Failed).await.len()).await;
        self.all(DeliveryStatus::Failed).await
    }

    async fn refusals(&self, job_id: &str) -> Vec<api::JobRefusal> {
        let (mut all, mut page_token) = (vec![], String::new());
        loop {
            let request = api::ListJobRefusalsRequest { job_id: job_id.into(), page_size: 2, page_token };
            let page = self.jobs().list_job_refusals(request).await.unwrap().into_inner();
            assert!(page.refusals.len() <= 2);
            all.extend(page.refusals);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return all;
            }
        }
    }
}

pub(crate) fn counts(job: &api::Job) -> api::JobCounts {
    job.counts.clone().unwrap()
}

#[tokio::test]
async fn listed_deliveries_are_retried_and_refusals_have_reasons() {
    for world in World::on_both().await {
        let (receiver, dead) = (Receiver::start().await, Receiver::start().await);
        receiver.answer_next([Answer::Status(500), Answer::Status(500)]);
        let kept = world.destination(&receiver.url()).await;
        for event in ["bad0", "bad1"] {
            world.publish(event).await;
            world.delivery_is(event, DeliveryStatus::Failed).await;
        }
        world.publish("good").await;
        world.delivery_is("good", DeliveryStatus::Succeeded).await;
        world.delete(&kept).await;
        let gone = world.destination(&dead.url()).await;
        dead.answer(Answer::Status(500));
        world.publish("orphan").await;
        world.delivery_is("orphan", DeliveryStatus::Failed).await;
        world.delete(&gone).await;
        // The first destination is deleted, too: only deliveries to an existing destination can succeed.
        world.destination(&receiver.url()).await;
        receiver.answer_next([Answer::Status(500)]);
        world.publish("worse").await;
        world.delivery_is("worse", DeliveryStatus::Failed).await;

        let id = async |event: &str| world.delivery(event).await.delivery.unwrap().delivery_id;
        let unknown = "00000000-0000-5000-8000-000000000000".to_owned();
        let delivery_ids = vec![
            id("worse").await,
            id("good").await,
            id("orphan").await,
            id("bad0").await,
            unknown.clone(),
            id("bad1").await,
        ];
        let job = world.retry_many(api::RetryDeliveriesRequest { delivery_ids, ..retries() }).await.unwrap();
        let job = world.job_is(&job.job_id, JobStatus::Completed).await;
        let done = counts(&job);
        assert_eq!((done.examined, done.retried, done.refused), (6, 1, 5), "{job:?}");
        assert_eq!((job.outcome.as_str(), job.pace), ("completed", 1_000));
        assert!(job.requested_by.ends_with(" for a test"), "the key, and the person it acts for: {}", job.requested_by);
        let mut why: Vec<_> =
            world.refusals(&job.job_id).await.into_iter().map(|r| (r.delivery_id, r.reason, r.message)).collect();
        why.sort();
        let mut expected = vec![(unknown, "unknown", "the account has no such delivery")];
        for event in ["good", "orphan", "bad0", "bad1"] {
            expected.push((id(event).await, "destination_deleted", "the destination was deleted"));
        }
        expected.sort();
        let expected: Vec<_> =
            expected.into_iter().map(|(id, reason, text)| (id, reason.to_owned(), text.to_owned())).collect();
        assert_eq!(why, expected);

        world.delivery_is("worse", DeliveryStatus::Succeeded).await;
        let seen: Vec<_> =
            receiver.requests().into_iter().filter(|seen| seen.header("leadline-event-id") == "worse").collect();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].body, seen[1].body, "the original payload");
        let resent = world.log("worse").await.into_iter().filter(|(entry, _)| entry == "resentwebhook");
        let details: Vec<_> = resent.map(|(_, detail)| detail).collect();
        assert_eq!(details, [format!("retry 1 requested by {} in job {}", job.requested_by, job.job_id)]);

        // The same delivery again: first after it has succeeded, then after its interface is deleted.
        let again = vec![id("worse").await];
        let request = api::RetryDeliveriesRequest { delivery_ids: again.clone(), ..retries() };
        let job = world.retry_many(request.clone()).await.unwrap();
        let refused = counts(&world.job_is(&job.job_id, JobStatus::Completed).await).refusals;
        assert_eq!((refused[0].reason.as_str(), refused[0].count), ("not_failed", 1));
        assert!(refused[0].message.contains("succeeded, not failed"), "{refused:?}");
        let interface = api::DeleteInterfaceRequest { account_id: ACCOUNT.into(), interface_id: INTERFACE.into() };
        world.registry().delete_interface(interface).await.unwrap();
        let job = world.retry_many(request).await.unwrap();
        let refused = counts(&world.job_is(&job.job_id, JobStatus::Completed).await).refusals;
        assert_eq!(refused[0].reason, "interface_deleted");
    }
}

#[tokio::test]
async fn filtered_deliveries_are_counted_by_a_dry_run_and_retried() {
    for world in World::on_both().await {
        let (one, other) = (Receiver::start().await, Receiver::start().await);
        one.answer(Answer::Status(500));
        other.answer(Answer::Status(500));
        let destination_id = world.destination(&one.url()).await;
        world.destination(&other.url()).await;
        world.publish_many(30).await;
        wait::until_eq("all failed", SOON, 60, async || world.all(DeliveryStatus::Failed).await.len()).await;

        let filter = api::DeliveryFilter { destination_id, ..api::DeliveryFilter::default() };
        let dry = api::RetryDeliveriesRequest { filter: Some(filter.clone()), dry_run: true, ..retries() };
        let job = world.retry_many(dry).await.unwrap();
        assert_eq!(job.status(), JobStatus::Completed, "the answer waits for the result");
        assert_eq!((counts(&job).retried, job.sample.len(), job.dry_run), (30, 20, true));
        let request = api::GetDeliveryRequest { delivery_id: job.sample[0].delivery_id.clone() };
        let first = world.deliveries().get_delivery(request).await.unwrap().into_inner().delivery.unwrap();
        assert_eq!(
            (first.event_id.as_str(), first.status()),
            (job.sample[0].event_id.as_str(), DeliveryStatus::Failed)
        );
        assert_eq!((one.count(), other.count()), (30, 30), "a dry run does nothing");
        assert!(world.log("e0").await.iter().all(|(entry, _)| entry != "resentwebhook"));

        for (http_status_class, examined) in [(5, 60), (4, 0)] {
            let filter = api::DeliveryFilter { http_status_class, ..api::DeliveryFilter::default() };
            let dry = api::RetryDeliveriesRequest { filter: Some(filter), dry_run: true, ..retries() };
            let job = world.retry_many(dry).await.unwrap();
            let job = world.job_is(&job.job_id, JobStatus::Completed).await;
            assert_eq!(counts(&job).examined, examined);
            let Some(Plan::Retry(plan)) = job.plan else { panic!("a retry: {job:?}") };
            assert_eq!(plan.filter.unwrap().http_status_class, http_status_class);
        }

        one.answer(Answer::Status(200));
        let real = api::RetryDeliveriesRequest { filter: Some(filter), pace: 100, ..retries() };
        let began = Instant::now();
        let job = world.retry_many(real.clone()).await.unwrap();
        let job = world.job_is(&job.job_id, JobStatus::Completed).await;
        assert_eq!((counts(&job).retried, counts(&job).refused, job.sample.len()), (30, 0, 0));
        assert!(began.elapsed() >= Duration::from_millis(280), "30 at 100 a second");
        wait::until_eq("all of them again", SOON, 60, async || one.count()).await;
        wait::until_eq("the retries", SOON, 30, async || world.all(DeliveryStatus::Succeeded).await.len()).await;
        assert_eq!(other.count(), 30);
        let job = world.retry_many(real).await.unwrap();
        assert_eq!(counts(&world.job_is(&job.job_id, JobStatus::Completed).await).examined, 0);
    }
}

#[tokio::test]
async fn cancelled_job_ends_early() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        receiver.answer(Answer::Status(500));
        world.destination(&receiver.url()).await;
        world.publish_failing(100).await;
        receiver.answer(Answer::Status(200));
        let filter = Some(api::DeliveryFilter::default());
        let job = world.retry_many(api::RetryDeliveriesRequest { filter, pace: 5, ..retries() }).await.unwrap();
        assert_eq!(job.status(), JobStatus::Running);
        wait::until("some progress", SOON, async || counts(&world.job(&job.job_id).await).retried >= 3).await;
        let cancel = api::CancelJobRequest { job_id: job.job_id.clone(), requested_by: "another".into() };
        let cancelled = world.jobs().cancel_job(cancel.clone()).await.unwrap().into_inner().job.unwrap();
        assert_eq!(cancelled.status(), JobStatus::Cancelling);
        assert!(cancelled.cancelled_by.ends_with(" for another"), "{cancelled:?}");
        let job = world.job_is(&job.job_id, JobStatus::Cancelled).await;
        let retried = usize::try_from(counts(&job).retried).unwrap();
        assert!((3..100).contains(&retried), "{job:?}");
        wait::until_eq("the requested retries", SOON, retried, async || {
            world.all(DeliveryStatus::Succeeded).await.len()
        })
        .await;
        assert_eq!(receiver.count(), 100 + retried);
        // The last deliveries may have succeeded after the job ended.
        let job = world.job(&job.job_id).await;
        assert_eq!(world.jobs().cancel_job(cancel).await.unwrap_err().code(), Code::FailedPrecondition);

        let list = async |status: JobStatus| {
            let account_id = ACCOUNT.into();
            let request = api::ListJobsRequest { account_id, status: status.into(), ..api::ListJobsRequest::default() };
            world.jobs().list_jobs(request).await.unwrap().into_inner().jobs
        };
        assert_eq!(list(JobStatus::Unspecified).await, std::slice::from_ref(&job));
        assert_eq!(list(JobStatus::Cancelled).await, [job]);
        assert_eq!(list(JobStatus::Running).await, []);
    }
}

#[tokio::test]
async fn repeated_call_returns_the_same_job_and_jobs_are_limited() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    world.publish_failing(200).await;
    let slow = |request_id: &str| api::RetryDeliveriesRequest {
        filter: Some(api::DeliveryFilter::default()),
        pace: 1,
        request_id: request_id.into(),
        ..retries()
    };
    let (one, same) = tokio::join!(world.retry_many(slow("one")), world.retry_many(slow("one")));
    let one = one.unwrap().job_id;
    assert_eq!(same.unwrap().job_id, one);
    let mut jobs = vec![one.clone()];
    for name in ["two", "three", "four", "five"] {
        jobs.push(world.retry_many(slow(name)).await.unwrap().job_id);
    }
    let refused = world.retry_many(slow("six")).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.message().contains("5 is the limit"), "{refused}");
    assert_eq!(world.retry_many(slow("one")).await.unwrap().job_id, one, "a repeated call starts no other job");
    for job_id in jobs {
        let request = api::CancelJobRequest { job_id: job_id.clone(), requested_by: String::new() };
        world.jobs().cancel_job(request).await.unwrap();
        world.job_is(&job_id, JobStatus::Cancelled).await;
    }
    let job = world.retry_many(slow("six")).await.unwrap();
    assert_eq!(job.status(), JobStatus::Running);
}

#[tokio::test]
async fn invalid_job_requests_are_refused_with_the_field() {
    let world = World::start().await;
    let an_id = |n: usize| format!("00000000-0000-5000-8000-{n:012}");
    let listed = |ids: Vec<String>| api::RetryDeliveriesRequest { delivery_ids: ids, ..retries() };
    let filtered = |filter: api::DeliveryFilter| api::RetryDeliveriesRequest { filter: Some(filter), ..retries() };
    let any = api::DeliveryFilter::default;
    let cases = [
        (retries(), "delivery_ids: no delivery is named"),
        (
            listed(vec![an_id(1), an_id(1)]),
            "delivery_ids: delivery 00000000-0000-5000-8000-000000000001 is named twice",
        ),
        (listed((0..1_001).map(an_id).collect()), "delivery_ids: has 1001 entries, and 1000 is the limit"),
        (listed(vec!["rubbish".into()]), "delivery_ids: delivery id"),
        (
            api::RetryDeliveriesRequest { filter: Some(any()), ..listed(vec![an_id(1)]) },
            "filter: cannot be given together",
        ),
        (filtered(api::DeliveryFilter { account_id: "other".into(), ..any() }), "filter.account_id: has to be acme"),
        (
            filtered(api::DeliveryFilter { statuses: vec![DeliveryStatus::Pending.into()], ..any() }),
            "filter.statuses: has a status other than failed",
        ),
        (api::RetryDeliveriesRequest { pace: 1_001, ..filtered(any()) }, "pace: 1001 is not from 1 to 1000"),
        (api::RetryDeliveriesRequest { account_id: String::new(), ..filtered(any()) }, "account_id: is missing"),
        (api::RetryDeliveriesRequest { request_id: "a b".into(), ..filtered(any()) }, "request_id: "),
    ];
    for (request, expected) in cases {
        let refused = world.retry_many(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{expected}");
        assert!(refused.message().starts_with(expected), "{expected}: {refused}");
    }
    let nobody = api::RetryDeliveriesRequest { account_id: "nobody".into(), ..filtered(any()) };
    assert_eq!(world.retry_many(nobody).await.unwrap_err().code(), Code::NotFound);
    let unknown = api::GetJobRequest { job_id: an_id(1) };
    assert_eq!(world.jobs().get_job(unknown).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn jobs_of_other_accounts_are_invisible() {
    let world = World::start().await;
    let filter = || Some(api::DeliveryFilter::default());
    let job = world.retry_many(api::RetryDeliveriesRequest { filter: filter(), ..retries() }).await.unwrap();
    let other = api::Account { account_id: "other".into(), name: "Other".into(), ..api::Account::default() };
    world.registry().create_account(api::CreateAccountRequest { account: Some(other) }).await.unwrap();
    let with = async |account: &str, scope: api::Scope| {
        let (key, _) = world.new_key(account, &[scope]).await;
        JobServiceClient::new(world.called_with(&key).await)
    };
    let get = || api::GetJobRequest { job_id: job.job_id.clone() };
    let cancel = || api::CancelJobRequest { job_id: job.job_id.clone(), requested_by: String::new() };
    let refusals = || api::ListJobRefusalsRequest { job_id: job.job_id.clone(), ..Default::default() };
    let retry = || api::RetryDeliveriesRequest { filter: filter(), ..retries() };
    let list = || api::ListJobsRequest { account_id: ACCOUNT.into(), ..api::ListJobsRequest::default() };

    let mut stranger = with("other", api::Scope::Operate).await;
    assert_eq!(stranger.get_job(get()).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(stranger.cancel_job(cancel()).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(stranger.list_job_refusals(refusals()).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(stranger.list_jobs(list()).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(stranger.retry_deliveries(retry()).await.unwrap_err().code(), Code::PermissionDenied);
    let recovery = api::RecoverDestinationRequest { account_id: ACCOUNT.into(), ..Default::default() };
    assert_eq!(stranger.recover_destination(recovery).await.unwrap_err().code(), Code::PermissionDenied);
    let mut reader = with(ACCOUNT, api::Scope::Read).await;
    assert_eq!(reader.get_job(get()).await.unwrap().into_inner().job_id, job.job_id);
    assert_eq!(reader.retry_deliveries(retry()).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(reader.cancel_job(cancel()).await.unwrap_err().code(), Code::PermissionDenied);
}
