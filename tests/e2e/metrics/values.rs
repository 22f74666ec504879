//! The values of Leadline's own metrics: after a known number of events, attempts, mails and jobs, each metric is exactly
//! that number.

use std::{fs, time::Duration};

use api::{DeliveryStatus, JobStatus, Scope};
use serde_json::json;
use testkit::{Answer, NatsServer, Receiver, SmtpSink, Step, wait};

use super::{
    names::{is_own, named_in},
    samples,
};
use crate::{
    features::root,
    world::{ACCOUNT, INTERFACE, OWNER, SOON, World, event_json, retries, some_destination, web},
};

/// A metric, parts of the labels of its samples, and the sum of these samples.
type Value<'a> = (&'a str, &'a [&'a str], f64);

const LONG: Duration = Duration::from_secs(3_600);

impl World {
    /// Waits for each of these values. Then compares all of them again, because one of them may have grown meanwhile.
    pub(super) async fn metrics_are(&self, expected: &[Value<'_>]) {
        for (name, labels, value) in expected {
            wait::until_eq(&format!("{name} {labels:?}"), SOON, Some(*value), async || self.sample(name, labels).await)
                .await;
        }
        for (name, labels, value) in expected {
            assert_eq!(self.sample(name, labels).await, Some(*value), "{name} {labels:?}");
        }
    }

    /// The sum of the samples; `None` if there is none.
    async fn sample(&self, name: &str, labels: &[&str]) -> Option<f64> {
        samples(&self.metrics().await, name, labels).into_iter().reduce(|sum, value| sum + value)
    }

    /// A destination for the leads of an interface, which has the same name.
    async fn destination_of(&self, name: &str, receiver: &Receiver, more: api::Destination) -> String {
        self.interface(name).await;
        let (name, url) = (name.to_owned(), receiver.url());
        self.destination_with(api::Destination { interface_id: name.clone(), name, url, ..more }).await
    }

    async fn publish_to(&self, interface: &str, event: &str) {
        self.publish_with(event, json!({"interface": interface})).await;
    }
}

#[tokio::test]
async fn events_are_counted_by_protocol_and_reason() {
    let broker = NatsServer::start().await;
    let url = broker.url();
    // So slow that the burst is not refilled while the test runs.
    let args = ["--nats-url", &url, "--max-hops", "2", "--publish-rate", "1", "--publish-burst", "100"];
    let world = World::start_with(&args, &[]).await;
    let other = api::Account { account_id: "other".into(), ..api::Account::default() };
    world.registry().create_account(api::CreateAccountRequest { account: Some(other) }).await.unwrap();
    let (stranger, _) = world.new_key("other", &[Scope::Publish]).await;
    world.publish_many(7).await;
    for _ in 0..2 {
        world.publish("e0").await;
    }
    let event = api::PublishLeadRequest {
        account: ACCOUNT.into(),
        interface: INTERFACE.into(),
        payload: b"{}".as_slice().into(),
        ..api::PublishLeadRequest::default()
    };
    world.ingest().publish_lead(event).await.unwrap();
    let mut other = event_json("e0");
    other["payload"] = json!({"name": "Grace"});
    assert_eq!(world.post(other.to_string(), &[]).await.0, 409);
    assert_eq!(world.post("{}", &[]).await.0, 400);
    assert_eq!(world.post(event_json("far").to_string(), &[("leadline-hops", "3")]).await.0, 508);
    let denied = web().post(format!("{}/v1/leads", world.http)).bearer_auth(stranger);
    assert_eq!(denied.body(event_json("no").to_string()).send().await.unwrap().status(), 403);
    let many: Vec<_> = (0..80).map(|n| event_json(&format!("m{n}")).to_string()).collect();
    let many = format!("[{}]", many.join(","));
    assert_eq!(world.post(many.clone(), &[]).await.0, 202);
    assert_eq!(world.post(many, &[]).await.0, 429);
    broker.kill();
    let (status, answer) = world.post(event_json("late").to_string(), &[]).await;
    assert_eq!(status, 503, "{answer}");

    let refused = |reason| format!("leadline_reason=\"{reason}\"");
    let reasons = ["invalid", "conflict", "denied", "loop", "too_fast", "unavailable"].map(refused);
    let (accepted, refused) = ("leadline_events_accepted_total", "leadline_events_refused_total");
    let mut expected: Vec<Value<'_>> = vec![
        (accepted, &["leadline_protocol=\"http\""], 87.0),
        (accepted, &["leadline_protocol=\"grpc\""], 1.0),
        ("leadline_events_duplicates_total", &[], 2.0),
        (refused, &["leadline_reason=\"key_ended\""], 0.0),
    ];
    let reasons: Vec<_> = reasons.iter().map(|reason| [reason.as_str()]).collect();
    expected.extend(reasons.iter().map(|reason| (refused, reason.as_slice(), 1.0)));
    world.metrics_are(&expected).await;
}

#[tokio::test]
async fn deliveries_and_waiting_work_are_counted_where_they_are() {
    let receivers = [(); 6].map(|()| Receiver::start());
    let [flaky, later, paused, hanging, gone, off] = futures::future::join_all(receivers).await.try_into().unwrap();
    let world = World::start_with(&["--metrics-destinations", "50", "--requests", "60"], &[]).await;
    let hour = || api::Destination { retry_policy: Some(retries(&[LONG])), ..some_destination() };
    let soon = Some(retries(&[Duration::from_millis(100)]));
    flaky.answer_next([Answer::Status(500)]);
    world.destination_of("flaky", &flaky, api::Destination { retry_policy: soon, ..some_destination() }).await;
    later.answer(Answer::Status(500));
    world.destination_of("later", &later, hour()).await;
    world.destination_of("ordered", &later, api::Destination { ordered: true, ..hour() }).await;
    paused.answer(Answer::With(503, vec![("retry-after", "3600".into())], "later".into()));
    world.destination_of("paused", &paused, hour()).await;
    hanging.answer(Answer::Gate(200));
    let patient = Some(api::duration_to_api(Duration::from_secs(60)));
    world.destination_of("hanging", &hanging, api::Destination { timeout: patient, ..hour() }).await;
    gone.answer(Answer::Status(410));
    world.destination_of("gone", &gone, some_destination()).await;
    let held = world.destination_of("off", &off, some_destination()).await;
    world.disable(&held).await;

    world.publish_to("flaky", "flaky").await;
    world.delivery_is("flaky", DeliveryStatus::Succeeded).await;
    for event in ["later1", "later2", "later3"] {
        world.publish_to("later", event).await;
        world.delivery_is(event, DeliveryStatus::Retrying).await;
    }
    for (event, status) in [("first", DeliveryStatus::Retrying), ("second", DeliveryStatus::Pending)] {
        world.publish_with(event, json!({"interface": "ordered", "lead_id": "one"})).await;
        world.delivery_is(event, status).await;
    }
    for (event, status) in [
        ("paused", DeliveryStatus::Retrying),
        ("gone", DeliveryStatus::Failed),
        ("off", DeliveryStatus::Held),
        ("hanging", DeliveryStatus::Processing),
    ] {
        world.publish_to(event, event).await;
        if status != DeliveryStatus::Processing {
            world.delivery_is(event, status).await;
        }
    }
    let of_held = format!("leadline_destination=\"{held}\"");
    let state = |state| format!("leadline_state=\"{state}\"");
    let [on, failing, disabled, deactivated, lane] = ["on", "failing", "disabled", "deactivated", "paused"].map(state);
    world
        .metrics_are(&[
            ("leadline_attempts_total", &["leadline_kind=\"2xx\"", "succeeded"], 1.0),
            ("leadline_attempts_total", &["leadline_kind=\"4xx\"", "failed"], 1.0),
            ("leadline_attempts_total", &["leadline_kind=\"5xx\"", "failed"], 6.0),
            ("leadline_deliveries_ended_total", &["succeeded"], 1.0),
            ("leadline_deliveries_ended_total", &["failed"], 1.0),
            ("leadline_delivery_time_to_success_seconds_count", &[], 1.0),
            ("leadline_requests_in_flight", &[], 1.0),
            ("leadline_requests_limit", &[], 60.0),
            ("leadline_work_waiting", &[], 0.0),
            ("leadline_lanes", &[&lane], 1.0),
            ("leadline_parked", &[], 1.0),
            ("leadline_destination_parked", &[&of_held, "leadline_account=\"acme\""], 1.0),
            ("leadline_held", &[], 1.0),
            ("leadline_ordered", &[], 2.0),
            ("leadline_timers_pending", &[], 5.0),
            // The message whose request hangs is not acknowledged.
            ("leadline_consumer_in_hand", &[], 1.0),
            ("leadline_consumer_waiting", &[], 0.0),
            ("leadline_consumer_oldest_waiting_seconds", &["leadline_consumer=\"timers\""], 0.0),
            ("leadline_read_model_lag_seconds", &[], 0.0),
            ("leadline_destinations", &[&on], 5.0),
            ("leadline_destinations", &[&failing], 1.0),
            ("leadline_destinations", &[&disabled], 1.0),
            ("leadline_destinations", &[&deactivated], 1.0),
            ("leadline_problems_open", &[], 4.0),
        ])
        .await;
    let oldest = world.sample("leadline_consumer_oldest_waiting_seconds", &[]).await;
    assert!(oldest.is_some_and(|seconds| seconds > 0.0), "{oldest:?}");

    hanging.open_gate();
    world.delivery_is("hanging", DeliveryStatus::Succeeded).await;
    world.enable(&held, false).await;
    world.delivery_is("off", DeliveryStatus::Succeeded).await;
    let waited = |waited| format!("leadline_waited=\"{waited}\"");
    let [waited, at_once] = [true, false].map(waited);
    world
        .metrics_are(&[
            ("leadline_attempts_total", &["leadline_kind=\"2xx\"", "succeeded"], 3.0),
            ("leadline_deliveries_ended_total", &["succeeded"], 3.0),
            ("leadline_delivery_time_to_success_seconds_count", &[], 3.0),
            // The held delivery, and the first ordered one.
            ("leadline_delivery_time_to_first_attempt_seconds_count", &[&waited], 2.0),
            ("leadline_delivery_time_to_first_attempt_seconds_count", &[&at_once], 7.0),
            ("leadline_requests_in_flight", &[], 0.0),
            ("leadline_parked", &[], 0.0),
            ("leadline_held", &[], 0.0),
            ("leadline_consumer_in_hand", &[], 0.0),
            ("leadline_consumer_oldest_waiting_seconds", &[], 0.0),
            ("leadline_destinations", &[&on], 6.0),
            ("leadline_destinations", &[&disabled], 0.0),
        ])
        .await;
}

#[tokio::test]
async fn mails_and_jobs_are_counted_by_what_became_of_them() {
    let (smtp, receiver) = (SmtpSink::start().await, Receiver::start().await);
    let world = World::start_with(&["--smtp-url", &smtp.url()], &[]).await;
    receiver.answer(Answer::Status(500));
    let mail = ["leadline_part=\"mail\""];
    let mut mails = [0.0; 2];
    // Each destination has its own notice.
    for (interface, given_up) in [("one", false), ("two", false), ("three", true)] {
        if given_up {
            smtp.refuse_recipient(OWNER, "550 5.1.1 no such person");
        }
        world.destination_of(interface, &receiver, some_destination()).await;
        world.publish_to(interface, interface).await;
        mails[usize::from(given_up)] += 1.0;
        world
            .metrics_are(&[
                ("leadline_mails_sent_total", &[], mails[0]),
                ("leadline_mails_given_up_total", &[], mails[1]),
                ("leadline_mails_postponed_total", &[], 0.0),
                ("leadline_mails_waiting", &[], 0.0),
                ("leadline_part_ready", &mail, 1.0),
            ])
            .await;
    }
    smtp.accept();
    smtp.refuse_at(Step::Data, "451 4.3.0 later");
    world.destination_of("four", &receiver, some_destination()).await;
    world.publish_to("four", "four").await;
    world.metrics_are(&[("leadline_mails_waiting", &[], 1.0)]).await;
    assert!(world.sample("leadline_mails_postponed_total", &[]).await.is_some_and(|postponed| postponed >= 1.0));
    smtp.accept();
    world.metrics_are(&[("leadline_mails_sent_total", &[], 3.0), ("leadline_mails_waiting", &[], 0.0)]).await;

    let running = ["leadline_status=\"running\""];
    world.metrics_are(&[("leadline_jobs", &[], 0.0)]).await;
    for n in 0..60 {
        world.publish_to("one", &format!("job{n}")).await;
    }
    world.metrics_are(&[("leadline_deliveries_ended_total", &["failed"], 64.0)]).await;
    wait::until_eq("failed deliveries", SOON, 64, async || world.all(DeliveryStatus::Failed).await.len()).await;
    // With one retry a second, the job runs for longer than the test.
    let slow = api::RetryDeliveriesRequest {
        account_id: ACCOUNT.into(),
        filter: Some(api::DeliveryFilter::default()),
        pace: 1,
        ..api::RetryDeliveriesRequest::default()
    };
    let job = world.retry_many(slow).await.unwrap();
    world.metrics_are(&[("leadline_jobs", &running, 1.0), ("leadline_jobs", &[], 1.0)]).await;
    let cancel = api::CancelJobRequest { job_id: job.job_id.clone(), ..api::CancelJobRequest::default() };
    world.jobs().cancel_job(cancel).await.unwrap();
    world.job_is(&job.job_id, JobStatus::Cancelled).await;
    world.metrics_are(&[("leadline_jobs", &[], 0.0)]).await;
}

#[test]
fn every_own_metric_has_a_test_of_its_value() {
    let folder = root().join("tests/e2e/metrics");
    let tests = ["values.rs", "installation.rs"].map(|file| fs::read_to_string(folder.join(file)).unwrap()).concat();
    let tested = named_in(&tests);
    let documented = named_in(&fs::read_to_string(root().join("docs/telemetry.md")).unwrap());
    let missing: Vec<_> = documented.iter().filter(|name| is_own(name) && !tested.contains(*name)).collect();
    assert!(missing.is_empty(), "no test knows the value of {missing:#?}");
}
