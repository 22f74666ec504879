//! The process dies between two steps, with its broker, and continues after a restart.

use std::time::Duration;

use api::DeliveryStatus;
use testkit::{Answer, Process, Receiver, wait};

use crate::world::{ACCOUNT, SOON, World, event_json, retries, some_destination};

/// The crash points in order, the answers of the receiver, and the expected end.
struct Story {
    crashes: Vec<&'static str>,
    answers: Vec<Answer>,
    then: Answer,
    ends: DeliveryStatus,
    /// The minimum and maximum number of requests.
    requests: (usize, usize),
    mails: usize,
}

impl Story {
    /// The receiver accepts the event at once.
    fn taken(crash: &'static str, max: usize) -> Self {
        let ends = DeliveryStatus::Succeeded;
        Self { crashes: vec![crash], answers: vec![], then: Answer::Status(200), ends, requests: (1, max), mails: 0 }
    }

    /// The receiver refuses the event once.
    fn retried(crash: &'static str, max: usize) -> Self {
        Self { answers: vec![Answer::Status(500)], requests: (2, max), ..Self::taken(crash, max) }
    }

    /// The receiver never accepts the event.
    fn refused(crash: &'static str) -> Self {
        let then = Answer::Status(500);
        Self { then, ends: DeliveryStatus::Failed, requests: (2, 2), mails: 1, ..Self::taken(crash, 2) }
    }

    async fn play(self) {
        let (world, receiver) = (World::start().await, Receiver::start().await);
        receiver.answer_next(self.answers);
        receiver.answer(self.then);
        let policy = Some(retries(&[Duration::from_millis(300)]));
        let destination = api::Destination { url: receiver.url(), retry_policy: policy, ..some_destination() };
        world.destination_with(destination).await;
        // The configuration has to be in the read model; otherwise the process would crash at its facts.
        wait::until("account, interface and destination in the audit log", SOON, async || {
            let of_account = api::ListAuditLogRequest { account_id: ACCOUNT.into(), ..Default::default() };
            world.audit().list_audit_log(of_account).await.unwrap().into_inner().entries.len() == 3
        })
        .await;
        world.process.terminate();
        world.process.wait_exit(SOON).await;

        // The same system with a crash point.
        let (first, then) = self.crashes.split_first().unwrap();
        let home = world.home;
        let process = home.up(&[], &[("LEADLINE_CRASH_AT", first)]);
        let mut world = World::attach(home, process).await;
        publish(&world).await;
        dies(&world.process, first).await;
        for crash in then {
            world.process = world.home.up(&[], &[("LEADLINE_CRASH_AT", crash)]);
            dies(&world.process, crash).await;
        }

        let world = world.again(&[]).await;
        // The publisher got no answer, and repeats the event.
        publish(&world).await;
        let delivery = world.delivery_is("e1", self.ends).await.delivery.unwrap();
        let (min, max) = self.requests;
        let seen = receiver.requests();
        assert!((min..=max).contains(&seen.len()), "{:?}: {} requests", self.crashes, seen.len());
        assert!(seen.iter().all(|request| request.header("leadline-event-id") == "e1"));
        // An answer that was not recorded does not count.
        assert!((1..=min).contains(&(delivery.attempts as usize)), "{:?}: {delivery:?}", self.crashes);
        // The streams of leads and notices are projected separately from deliveries.
        let expected: &[&str] = if self.mails > 0 { &["received", "errornotice"] } else { &["received"] };
        wait::until("the lead and its notice in the log", SOON, async || {
            let log = world.log("e1").await;
            expected.iter().all(|wanted| log.iter().any(|(entry, _)| entry == wanted))
        })
        .await;
        assert_eq!(world.home.outbox().len(), self.mails, "{:?}", self.crashes);
        let log = world.log("e1").await;
        assert_eq!(log.iter().filter(|(entry, _)| entry == "received").count(), 1, "{:?}: {log:?}", self.crashes);
        assert_eq!(log.iter().filter(|(entry, _)| entry == "errornotice").count(), self.mails, "{log:?}");
    }
}

async fn dies(process: &Process, at: &str) {
    let status = process.wait_exit(SOON).await;
    assert!(!status.success() && process.output().contains("aborting"), "{at}: {}", process.output());
}

/// Publishes and ignores the answer: the process may die before it answers.
async fn publish(world: &World) {
    let request = crate::world::web()
        .post(format!("{}/v1/leads", world.http))
        .bearer_auth(&world.key)
        .body(event_json("e1").to_string());
    let _ = request.send().await;
}

#[tokio::test]
async fn before_and_after_a_lead_is_stored() {
    Story::taken("before a lead is stored", 1).play().await;
    Story::taken("after a lead is stored", 1).play().await;
}

#[tokio::test]
async fn after_an_event_is_routed_and_before_a_request() {
    Story::taken("before a request", 1).play().await;
    // Deliveries of a redelivered event are requested again. The dispatcher may already have got an answer.
    let again = vec!["before a request", "after an event is routed"];
    Story { crashes: again, ..Story::taken("", 2) }.play().await;
}

#[tokio::test]
async fn between_the_parking_of_an_event_and_its_fact() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    world.disable(&id).await;
    world.process.terminate();
    world.process.wait_exit(SOON).await;
    let at = "after an event is parked";
    let process = world.home.up(&[], &[("LEADLINE_CRASH_AT", at)]);
    let world = World::attach(world.home, process).await;
    publish(&world).await;
    dies(&world.process, at).await;
    let world = world.again(&[]).await;
    world.delivery_is("e1", DeliveryStatus::Held).await;
    wait::until_eq("one parked message and nothing else", SOON, (1, 0), async || {
        let status = world.status().get_status(api::GetStatusRequest::default()).await.unwrap().into_inner();
        (status.parked, status.lags.iter().map(|lag| lag.in_hand).sum())
    })
    .await;
    world.enable(&id, false).await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn between_an_answer_and_its_recording() {
    // The one case in which a receiver may get an event twice.
    Story::taken("after an answer", 2).play().await;
    Story::retried("after an answer", 3).play().await;
}

#[tokio::test]
async fn after_setting_a_timer_and_after_storing_a_fact() {
    Story::retried("after a timer is set", 3).play().await;
    Story::retried("after a fact is stored", 2).play().await;
    Story::taken("after a fact is stored", 1).play().await;
}

#[tokio::test]
async fn between_a_mail_and_its_recording() {
    Story::refused("after a mail is sent").play().await;
    Story::refused("after a notice is stored").play().await;
}

#[tokio::test]
async fn before_and_after_the_read_model_is_written() {
    Story::retried("before the read model is written", 3).play().await;
    Story::retried("after the read model is written", 3).play().await;
}
