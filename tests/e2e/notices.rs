//! Notices and operational events about a destination, and their number.

mod abuse;
mod killed;
mod refused;
mod unsubscribing;

use std::time::{Duration, Instant};

use api::DeliveryStatus;
use domain::EventType;
use serde_json::Value;
use testkit::{Answer, Receiver, SmtpSink, wait};

use crate::world::{ACCOUNT, API_USER, INTERFACE, OWNER, SOON, World, events_at, some_destination};

fn header(mail: &str, name: &str) -> String {
    let (headers, _) = mailparse::parse_headers(mail.as_bytes()).unwrap();
    mailparse::MailHeaderMap::get_first_value(&headers[..], name).unwrap_or_default()
}

fn bodies(mail: &str) -> (String, String) {
    let mail = mailparse::parse_mail(mail.as_bytes()).unwrap();
    (mail.subparts[0].get_body().unwrap(), mail.subparts[1].get_body().unwrap())
}

/// The sorted subjects of all mails.
fn subjects(smtp: &SmtpSink) -> Vec<String> {
    let mut subjects: Vec<_> = smtp.mails().iter().map(|mail| header(&mail.raw, "Subject")).collect();
    subjects.sort();
    subjects
}

async fn world_with(smtp: &SmtpSink, args: &[&str]) -> World {
    let url = smtp.url();
    World::start_with(&[&["--smtp-url", &url][..], args].concat(), &[]).await
}

/// A destination for operational events alone.
async fn listener(receiver: &Receiver, world: &World, event_types: &[&str]) -> String {
    let event_types = event_types.iter().map(|&text| text.to_owned()).collect();
    world.destination_with(api::Destination { url: receiver.url(), event_types, ..some_destination() }).await
}

/// The types of the operational events that a receiver has seen.
fn types_at(receiver: &Receiver) -> Vec<String> {
    let mut types: Vec<_> =
        receiver.requests().iter().map(|seen| seen.header("leadline-event-type").to_owned()).collect();
    types.sort();
    types
}

#[tokio::test]
async fn dead_receiver_causes_few_mails_that_count_every_failure() {
    const FAILURES: usize = 2_000;
    const A_WHILE: Duration = Duration::from_secs(240);
    let (smtp, receiver) = (SmtpSink::start().await, Receiver::start().await);
    let world = world_with(&smtp, &["--notice-window", "5s", "--alert-after", "10"]).await;
    receiver.answer(Answer::With(401, vec![], "<script>no</script>".into()));
    let id = world.destination(&receiver.url()).await;
    let began = Instant::now();
    world.publish_many(FAILURES).await;
    let further = wait::until("all failures to be reported", A_WHILE, async || {
        let mails = smtp.mails();
        let bodies_of_mails: Vec<_> = mails.iter().map(|mail| bodies(&mail.raw)).collect();
        let further: usize = bodies_of_mails.iter().filter_map(|(text, _)| count_of_further(text)).sum();
        if further + 1 == FAILURES {
            Ok(bodies_of_mails)
        } else {
            Err(format!("{further} further failures are reported"))
        }
    })
    .await;
    let digest = further.iter().find(|(text, _)| count_of_further(text).is_some()).unwrap();
    for part in [&*id, "CRM", "401", "credentials", "lead lead-e"] {
        assert!(digest.0.contains(part) && digest.1.contains(part), "{part:?} is missing in:\n{}", digest.0);
    }
    assert!(further.iter().all(|(_, html)| !html.contains("<script")));
    assert!(further.iter().any(|(text, html)| text.contains("<script>") && html.contains("&lt;script&gt;")));
    // The first mail, the alert, and one mail per window.
    let windows = usize::try_from(began.elapsed().as_secs() / 5).unwrap() + 1;
    assert!(smtp.mails().len() <= 2 + windows, "{:?}", subjects(&smtp));
    let alerts = subjects(&smtp)
        .into_iter()
        .filter(|subject| subject.starts_with("Acme Cloud Webhook Keeps Failing: CRM ("))
        .count();
    assert_eq!(alerts, 1);
    let others = subjects(&smtp)
        .into_iter()
        .filter(|subject| subject.starts_with("Acme Cloud Webhook Error Notice: CRM ("))
        .count();
    assert_eq!(others + 1, smtp.mails().len());
}

/// The number in "12 more leads could not be delivered …".
fn count_of_further(text: &str) -> Option<usize> {
    if text.starts_with("One more lead ") {
        return Some(1);
    }
    text.split_once(" more leads ")?.0.parse().ok()
}

#[tokio::test]
async fn repeated_failures_and_recovery_cause_one_mail_and_event_each() {
    let smtp = SmtpSink::start().await;
    let (receiver, operations, all) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let world = world_with(&smtp, &["--alert-after", "2"]).await;
    let id = world.destination(&receiver.url()).await;
    listener(&operations, &world, &["leadline.delivery.*", "leadline.destination.recovered"]).await;
    listener(&all, &world, &["*"]).await;
    receiver.answer(Answer::Status(500));
    for event in ["e1", "e2", "e3"] {
        world.publish(event).await;
    }
    wait::until_eq("three failed deliveries", SOON, 3, async || types_at(&operations).len()).await;
    receiver.answer(Answer::Status(200));
    for event in ["e4", "e5"] {
        world.publish(event).await;
    }
    wait::until_eq("the recovery", SOON, 4, async || types_at(&operations).len()).await;
    wait::until_eq("three mails", SOON, 3, async || smtp.mails().len()).await;
    assert_eq!(
        subjects(&smtp),
        [
            "Acme Cloud Webhook Error Notice: CRM (500)",
            "Acme Cloud Webhook Keeps Failing: CRM (500)",
            "Acme Cloud Webhook Recovered: CRM"
        ]
    );
    assert!(smtp.mails().iter().all(|mail| mail.to == [OWNER]));
    let expected = [&[EventType::DELIVERY_FAILED; 3][..], &[EventType::DESTINATION_RECOVERED]].concat();
    assert_eq!(types_at(&operations), expected);
    let event: Value = serde_json::from_slice(&operations.requests()[0].body).unwrap();
    assert_eq!((&event["destination"]["id"], &event["delivery"]["http_status_code"]), (&id.into(), &500.into()));
    assert!(!event.to_string().contains("Ada"), "the event contains no data of the lead: {event}");
    // A destination for all types gets all published events, and no operational ones.
    wait::until_eq("the leads", SOON, 5, async || events_at(&all).len()).await;
    assert!(types_at(&all).iter().all(|event_type| event_type == EventType::LEAD_CREATED));
    // Operational events are in no list of leads.
    let request = api::ListLeadsRequest { account_id: ACCOUNT.into(), ..api::ListLeadsRequest::default() };
    wait::until_eq("the leads in the list", SOON, 5, async || {
        world.leads().list_leads(request.clone()).await.unwrap().into_inner().leads.len()
    })
    .await;
}

#[tokio::test]
async fn failures_of_operational_events_cause_no_further_events() {
    let (smtp, receiver) = (SmtpSink::start().await, Receiver::start().await);
    let (operations, other) = (Receiver::start().await, Receiver::start().await);
    let world = world_with(&smtp, &["--alert-after", "1"]).await;
    receiver.answer(Answer::Status(410));
    operations.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    let types = ["leadline.delivery.failed", "leadline.destination.deactivated", "leadline.destination.recovered"];
    listener(&operations, &world, &types).await;
    listener(&other, &world, &types).await;
    world.publish("e1").await;
    wait::until_eq("both events", SOON, 2, async || events_at(&operations).len()).await;
    wait::until_eq("both events at the other", SOON, 2, async || events_at(&other).len()).await;
    // Failures of operational events cause mails; further events would have been stored before the mails.
    wait::until("the mails", SOON, async || {
        let subjects = subjects(&smtp);
        let count = |what: &str| subjects.iter().filter(|subject| subject.contains(what)).count();
        let done = count("Keeps Failing") == 2 && count("Deactivated") == 1;
        if done { Ok(()) } else { Err(subjects) }
    })
    .await;
    assert_eq!(types_at(&other), ["leadline.delivery.failed", "leadline.destination.deactivated"]);
    assert_eq!(types_at(&operations), ["leadline.delivery.failed", "leadline.destination.deactivated"]);
    assert!(smtp.mails().iter().any(|mail| mail.to == [API_USER]));
}

#[tokio::test]
async fn operational_events_can_be_retried() {
    let (smtp, receiver, operations) = (SmtpSink::start().await, Receiver::start().await, Receiver::start().await);
    let world = world_with(&smtp, &[]).await;
    receiver.answer(Answer::Status(500));
    operations.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    listener(&operations, &world, &["leadline.delivery.failed"]).await;
    world.publish("e1").await;
    let about_failures = async |status: DeliveryStatus| {
        let filter = api::DeliveryFilter {
            event_type: "leadline.delivery.failed".into(),
            statuses: vec![status.into()],
            ..api::DeliveryFilter::default()
        };
        let request = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
        wait::until("the event about the failure", SOON, async || {
            world.deliveries().list_deliveries(request.clone()).await.unwrap().into_inner().deliveries.pop()
        })
        .await
    };
    let failed = about_failures(DeliveryStatus::Failed).await;
    operations.answer(Answer::Status(200));
    let request = api::RetryDeliveryRequest { delivery_id: failed.delivery_id.clone(), ..Default::default() };
    world.deliveries().retry_delivery(request).await.unwrap();
    assert_eq!(about_failures(DeliveryStatus::Succeeded).await.delivery_id, failed.delivery_id);
    let requests = operations.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    assert_eq!(requests[0].body, requests[1].body);
}

#[tokio::test]
async fn each_new_lead_causes_one_mail() {
    let (smtp, receiver) = (SmtpSink::start().await, Receiver::start().await);
    let world = world_with(&smtp, &["--notice-window", "0s"]).await;
    world.publish("before").await;
    let interface = api::Interface {
        account_id: ACCOUNT.into(),
        interface_id: INTERFACE.into(),
        lead_notification_emails: vec!["sales@acme.example".into()],
        ..api::Interface::default()
    };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["lead_notification_emails".into()] });
    let request = api::UpdateInterfaceRequest { interface: Some(interface), update_mask };
    receiver.answer(Answer::Status(503));
    world.destination(&receiver.url()).await;
    wait::until_eq("the earlier event to be skipped", SOON, true, async || {
        let status = world.status().get_status(api::GetStatusRequest { top: 0 }).await.unwrap().into_inner();
        status.lags.iter().any(|lag| lag.name == "lead-notifier" && lag.waiting == 0)
    })
    .await;
    world.registry().update_interface(request).await.unwrap();
    world.publish("e1").await;
    world.publish("e1").await;
    world.publish_with("opened", serde_json::json!({"type": "email.open"})).await;
    world.delivery_is("e1", DeliveryStatus::Failed).await;
    world.retry("e1").await.unwrap();
    world.publish("e2").await;
    world.delivery_is("e1", DeliveryStatus::Failed).await;
    let of_leads = async || {
        let mails = smtp.mails().into_iter().filter(|mail| header(&mail.raw, "Subject") == "Acme Cloud New Lead: Form");
        mails.collect::<Vec<_>>()
    };
    wait::until_eq("two mails", SOON, 2, async || of_leads().await.len()).await;
    for mail in of_leads().await {
        assert_eq!(mail.to, ["sales@acme.example"]);
        let (text, html) = bodies(&mail.raw);
        assert!(text.contains("\"name\": \"Ada\"") && html.contains("&quot;name&quot;: &quot;Ada&quot;"), "{text}");
    }
    let texts: Vec<_> = of_leads().await.iter().map(|mail| bodies(&mail.raw).0).collect();
    for event in ["lead-e1", "lead-e2"] {
        assert_eq!(texts.iter().filter(|text| text.contains(event)).count(), 1, "{texts:?}");
    }
}
