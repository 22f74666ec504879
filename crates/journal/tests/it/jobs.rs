//! Facts about jobs, and the reads that jobs need, against a real broker.

use std::sync::Arc;

use domain::{
    AccountId, DestinationId, JobFact, JobId, LeadEvent, LeadSequence,
    delivery::request,
    job::{JobOutcome, JobRef, JobStarted, JobStatus, Pace, Plan, Progress, cancel, finish},
};
use jiff::{SignedDuration, Timestamp};
use journal::{Journal, JournalError, LeadsFrom, NatsOptions, Traffic};
use runtime::{Platform, trace::TraceContext};
use testkit::NatsServer;
use uuid::Uuid;

use crate::support;

async fn connect(server: &NatsServer) -> Journal {
    let options = NatsOptions { nats_url: Some(server.url()), ..NatsOptions::default() };
    Journal::connect(&options, &Platform::default()).await.unwrap()
}

fn account(name: &str) -> AccountId {
    AccountId::parse(name).unwrap()
}

fn event(owner: &str, id: &str) -> LeadEvent {
    LeadEvent { account: account(owner), ..support::event(id) }
}

fn started() -> JobStarted {
    JobStarted {
        reference: JobRef { job: JobId::from_uuid(Uuid::from_u128(1)), account: account("acme") },
        plan: Plan::RetryListed(Arc::from([])),
        dry_run: false,
        pace: Pace::DEFAULT,
        force: false,
        by: "test".into(),
        reason: String::new(),
        at: Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn only_one_job_runner_records_progress_and_sees_a_cancel() {
    let server = NatsServer::start().await;
    let (journal, trace) = (connect(&server).await, TraceContext::of_ids(7, 8));
    let job = started();
    assert_eq!(journal.jobs().get(&job.reference).await.unwrap(), None);
    let version = journal.jobs().append(&JobFact::Started(job.clone()), 0, &trace).await.unwrap();
    let again = journal.jobs().append(&JobFact::Started(job.clone()), 0, &trace).await;
    assert!(matches!(again, Err(JournalError::LostRace)));

    let progress = Progress::default().record(&job, vec![], Timestamp::UNIX_EPOCH);
    let (one, other) = tokio::join!(
        journal.jobs().append(&progress, version, &trace),
        journal.jobs().append(&progress, version, &trace)
    );
    assert_eq!([one, other].iter().filter(|end| matches!(end, Err(JournalError::LostRace))).count(), 1);
    let now = journal.jobs().get(&job.reference).await.unwrap().unwrap();
    assert_eq!((now.job.progress.step, now.job.status()), (1, JobStatus::Running));
    let cancel_request = cancel(&now.job, "me".into(), Timestamp::UNIX_EPOCH).unwrap().unwrap();
    journal.jobs().append(&cancel_request, now.version, &trace).await.unwrap();
    let end = finish(&now.job, JobOutcome::Cancelled, Timestamp::UNIX_EPOCH);
    assert!(matches!(journal.jobs().append(&end, now.version, &trace).await, Err(JournalError::LostRace)));
    let wanted = journal.jobs().get(&job.reference).await.unwrap().unwrap();
    assert_eq!((wanted.job.status(), wanted.reached_at), (JobStatus::Cancelling, now.reached_at));
    journal.jobs().append(&end, wanted.version, &trace).await.unwrap();
    assert_eq!(journal.jobs().get(&job.reference).await.unwrap().unwrap().job.status(), JobStatus::Cancelled);
}

#[tokio::test]
async fn facts_of_a_job_are_found_by_its_id() {
    let server = NatsServer::start().await;
    let (journal, trace) = (connect(&server).await, TraceContext::of_ids(7, 8));
    let (job, to) = (started().reference, DestinationId::parse("dst_1").unwrap());
    let fact = |id: &str| request(&event("acme", id), LeadSequence(1), &to, Timestamp::UNIX_EPOCH);
    let own = fact("own").requested_in(job.job);
    let facts = [fact("routed"), own.clone(), fact("other").requested_in(JobId::from_uuid(Uuid::from_u128(2)))];
    journal.deliveries().append_all(&facts, &trace).await.unwrap();
    let since = Timestamp::now() - SignedDuration::from_mins(1);
    assert_eq!(journal.deliveries().requested_by_job(&job, since).await.unwrap(), [own]);
    assert_eq!(
        journal.deliveries().requested_by_job(&job, Timestamp::now() + SignedDuration::from_mins(1)).await.unwrap(),
        []
    );
}

#[tokio::test]
async fn events_of_an_account_are_read_page_by_page() {
    let server = NatsServer::start().await;
    let (journal, trace) = (connect(&server).await, TraceContext::of_ids(7, 8));
    for n in 0..5 {
        journal.leads().append(&event("acme", &format!("e{n}")), &trace).await.unwrap();
        journal.leads().append(&event("other", &format!("e{n}")), &trace).await.unwrap();
    }
    let page = async |from| {
        let page = journal.leads().page(Some(&account("acme")), from, 2).await.unwrap();
        page.into_iter().map(|e| (e.sequence, e.value.unwrap().event_id.to_string())).collect::<Vec<_>>()
    };
    let ago = Timestamp::now() - SignedDuration::from_mins(1);
    assert_eq!(page(LeadsFrom::Time(ago)).await, [(1, "e0".to_owned()), (3, "e1".to_owned())]);
    assert_eq!(page(LeadsFrom::After(LeadSequence(3))).await, [(5, "e2".to_owned()), (7, "e3".to_owned())]);
    assert_eq!(page(LeadsFrom::After(LeadSequence(7))).await, [(9, "e4".to_owned())]);
    assert_eq!(page(LeadsFrom::After(LeadSequence(9))).await, []);
    assert_eq!(page(LeadsFrom::Time(Timestamp::now() + SignedDuration::from_mins(1))).await, []);
}

#[tokio::test]
async fn position_of_the_router_is_known() {
    let server = NatsServer::start().await;
    let (journal, trace) = (connect(&server).await, TraceContext::of_ids(7, 8));
    assert!(journal.leads().is_routed(LeadSequence(0), false).await.is_err(), "no router has run yet");
    let [mut steady, mut bursts] = [Traffic::Steady, Traffic::Burst].map(|traffic| journal.leads().work_queue(traffic));
    let of_a_burst = async |id| {
        let submitted = journal.leads().submit(&event("acme", id), Traffic::Burst, &trace).await.unwrap();
        submitted.stored().await.unwrap().sequence
    };
    assert_eq!(of_a_burst("e1").await, 1);
    bursts.next().await.unwrap().ack().await;
    for n in 2..4 {
        journal.leads().append(&event("acme", &format!("e{n}")), &trace).await.unwrap();
    }
    let (first, second) = (steady.next().await.unwrap(), steady.next().await.unwrap());
    assert!(!journal.leads().is_routed(LeadSequence(2), false).await.unwrap());
    first.ack().await;
    let soon = std::time::Duration::from_secs(10);
    testkit::wait::until("the first", soon, async || journal.leads().is_routed(LeadSequence(2), false).await.unwrap())
        .await;
    assert!(!journal.leads().is_routed(LeadSequence(3), false).await.unwrap());
    assert_eq!(of_a_burst("e4").await, 4, "bursts share the order of the stream");
    second.ack().await;
    let last = bursts.next().await.unwrap();
    let jetstream = async_nats::jetstream::new(server.client().await);
    let leads = jetstream.get_stream("LEADS").await.unwrap();
    testkit::wait::until_eq("nothing unacknowledged", soon, 0, async || {
        leads.consumer_info("router").await.unwrap().num_ack_pending
    })
    .await;
    assert!(!journal.leads().is_routed(LeadSequence(4), false).await.unwrap());
    last.ack().await;
    testkit::wait::until("all", soon, async || journal.leads().is_routed(LeadSequence(99), false).await.unwrap()).await;
}
