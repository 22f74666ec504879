//! Anonymisation: nothing published about an anonymised lead remains in any file, and no receiver gets it.

mod later;

use std::{fs, path::PathBuf, time::Duration};

use api::{DeliveryStatus, duration_to_api};
use domain::{AccountId, EventId, EventType, InterfaceId, LeadEvent, LeadId};
use events::Record as _;
use jiff::Timestamp;
use serde_json::json;
use testkit::{Answer, Receiver, postgres::Postgres, wait};
use tonic::Code;

use crate::{
    leads::exported,
    publishing::nats,
    rebuild::{everything, rebuild},
    world::{ACCOUNT, INTERFACE, SOON, World, is_readable_in, read_json, retries, some_destination},
};

/// Personal data in payloads and in answers of receivers, and therefore in URLs and mails.
const PERSON: &str = "Ada-7f3a9c1e-Lovelace";
/// One mail for each failure.
const MAIL_EACH: [&str; 2] = ["--notice-window", "0s"];
/// The lead that is anonymised.
const LEAD: &str = "lead-a";
const HOUR: Duration = Duration::from_secs(3_600);

/// Receivers with different faults, and their destinations.
struct Cast {
    receivers: Vec<Receiver>,
    held: String,
    /// Answers when its gate is opened.
    slow: Receiver,
}

impl Cast {
    /// Receivers: one accepts everything, one refuses it, one is retried after an hour, one has a disabled destination,
    /// one has an ordered destination with retries, and one does not answer yet.
    async fn of(world: &World) -> Self {
        let (taking, refusing, later, held, ordered, slow) = (
            Receiver::start().await,
            Receiver::start().await,
            Receiver::start().await,
            Receiver::start().await,
            Receiver::start().await,
            Receiver::start().await,
        );
        taking.answer(Answer::Echo(200));
        [&refusing, &later, &ordered].into_iter().for_each(|receiver| receiver.answer(Answer::Echo(500)));
        slow.answer(Answer::Gate(500));
        let to = |receiver: &Receiver| api::Destination {
            url: format!("{}/in?who={{{{ payload.name }}}}", receiver.url()),
            timeout: Some(duration_to_api(Duration::from_secs(60))),
            ..some_destination()
        };
        let in_an_hour = || Some(retries(&[HOUR]));
        for destination in [
            to(&taking),
            to(&refusing),
            api::Destination { retry_policy: in_an_hour(), ..to(&later) },
            api::Destination { retry_policy: in_an_hour(), ordered: true, ..to(&ordered) },
            api::Destination { retry_policy: in_an_hour(), concurrency: 1, ..to(&slow) },
        ] {
            world.destination_with(destination).await;
        }
        let held_id = world.destination_with(to(&held)).await;
        world.disable(&held_id).await;
        Self { receivers: vec![taking, refusing, later, held, ordered], held: held_id, slow }
    }

    fn requests(&self) -> usize {
        self.receivers.iter().map(Receiver::count).sum()
    }
}

async fn publish(world: &World, event: &str, lead: &str, name: &str) {
    world.publish_with(event, json!({"lead_id": lead, "payload": {"name": name, "mail": "nobody"}})).await;
}

async fn anonymise(world: &World, leads: &[&str]) -> Result<Vec<api::Lead>, tonic::Status> {
    let lead_ids = leads.iter().map(|&lead| lead.to_owned()).collect();
    let request =
        api::AnonymizeLeadsRequest { account_id: ACCOUNT.into(), lead_ids, ..api::AnonymizeLeadsRequest::default() };
    Ok(world.leads().anonymize_leads(request).await?.into_inner().leads)
}

/// Repeats the call while the read model lags.
async fn anonymised(world: &World, leads: &[&str]) -> Vec<api::Lead> {
    wait::until("the leads anonymised", SOON, async || anonymise(world, leads).await).await
}

async fn deliveries(world: &World, lead: &str) -> Vec<api::Delivery> {
    let filter = api::DeliveryFilter { lead_id: lead.into(), ..api::DeliveryFilter::default() };
    let request = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
    world.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries
}

/// Statuses and reasons of a lead's deliveries, in order.
async fn ends(world: &World, lead: &str) -> Vec<(DeliveryStatus, String)> {
    let all = deliveries(world, lead).await;
    let mut ends: Vec<_> = all.into_iter().map(|d| (d.status(), d.failure_reason)).collect();
    ends.sort_by_key(|(status, reason)| (*status as i32, reason.clone()));
    ends
}

/// Publishes two events of one lead and one of another, and waits until all receivers have reacted.
async fn play(world: &World) -> Cast {
    let cast = Box::pin(Cast::of(world)).await;
    for (event, lead, name) in [("e1", LEAD, PERSON), ("e2", LEAD, PERSON), ("e3", "lead-b", "Grace")] {
        publish(world, event, lead, name).await;
    }
    wait::until("everything except the requests in flight", SOON, async || {
        let now = ends(world, LEAD).await;
        let count = |status| now.iter().filter(|(s, _)| *s == status).count();
        let settled = now.len() == 12
            && count(DeliveryStatus::Succeeded) == 2
            && count(DeliveryStatus::Failed) == 2
            && count(DeliveryStatus::Held) == 2
            && count(DeliveryStatus::Retrying) >= 3
            && cast.slow.count() == 1;
        if settled { Ok(()) } else { Err(now) }
    })
    .await;
    wait::until_eq("the mails", SOON, 3, async || world.home.outbox().len()).await;
    put_unreadable(world).await;
    cast
}

/// Writes an unreadable message to the broker; the router quarantines it.
async fn put_unreadable(world: &World) {
    let broker = broker(world).await;
    let text = json!({"account_id": ACCOUNT, "lead_id": LEAD, "name": PERSON}).to_string();
    broker.publish(format!("lead.{ACCOUNT}.{INTERFACE}"), text.into()).await.unwrap().await.unwrap();
    wait::until_eq("the quarantined message", SOON, 1, async || {
        broker.get_stream("POISON").await.unwrap().cached_info().state.messages
    })
    .await;
}

async fn broker(world: &World) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(nats(world).await)
}

/// Stores an event directly in the broker: with a time in the past, or a second time. The API does not allow that.
async fn store(world: &World, event: &str, lead: &str, received_at: Timestamp) {
    store_with(world, event, lead, received_at, json!({"name": PERSON}).to_string()).await;
}

/// Like [`store`], with any payload, even one that ingest would refuse.
pub(crate) async fn store_with(world: &World, event: &str, lead: &str, received_at: Timestamp, payload: String) {
    let event = LeadEvent {
        event_id: EventId::parse(event).unwrap(),
        account: AccountId::parse(ACCOUNT).unwrap(),
        interface: InterfaceId::parse(INTERFACE).unwrap(),
        client: None,
        lead: LeadId::parse(lead).unwrap(),
        destination: None,
        event_type: EventType::lead_created(),
        occurred_at: Timestamp::UNIX_EPOCH,
        received_at,
        // The current configuration.
        registry_sequence: 0,
        hops: 0,
        payload: payload.into(),
    };
    let subject = format!("lead.{ACCOUNT}.{INTERFACE}");
    broker(world).await.publish(subject, event.encode()).await.unwrap().await.unwrap();
}

/// The data folders of a world; for PostgreSQL without the write-ahead log.
fn folders(world: &World, postgres: Option<&Postgres>) -> Vec<PathBuf> {
    [world.home.data()].into_iter().chain(postgres.map(|postgres| postgres.data().join("base"))).collect()
}

async fn no_trace(world: &World, postgres: Option<(&Postgres, &str)>) {
    wait::until("no trace of the person in any file", SOON, async || {
        if let Some((postgres, database)) = postgres {
            postgres.vacuum(database).await;
        }
        let found = folders(world, postgres.map(|p| p.0)).into_iter().find(|f| is_readable_in(f, PERSON.as_bytes()));
        match found {
            None => Ok(()),
            Some(folder) => Err(files(&folder)),
        }
    })
    .await;
    let request = api::ExportLeadsRequest { account_id: ACCOUNT.into(), ..api::ExportLeadsRequest::default() };
    assert!(!exported(world, request).await.contains(PERSON));
    assert!(!everything(&world.channel()).await.contains(PERSON));
    assert!(!world.process.output().contains(PERSON), "{}", world.process.output());
}

/// Stopped servers write their memory to files.
async fn no_trace_when_all_is_stopped(world: &World, postgres: Option<&Postgres>) {
    world.process.terminate();
    assert!(world.process.wait_exit(SOON).await.success(), "{}", world.process.output());
    if let Some(postgres) = postgres {
        postgres.stop().await;
    }
    for folder in folders(world, postgres) {
        assert_eq!(files(&folder), Vec::<PathBuf>::new());
    }
    assert!(!fs::read_dir(world.home.data()).unwrap().flatten().any(|file| file.path().ends_with("leadline.db-wal")));
}

/// The files that contain personal data.
fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for path in fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else if fs::read(&path).is_ok_and(|b| b.windows(PERSON.len()).any(|window| window == PERSON.as_bytes())) {
            found.push(path);
        }
    }
    found
}

/// Waits until all open deliveries have ended; ended ones stay unchanged.
async fn all_ended(world: &World) {
    let anonymised = (DeliveryStatus::Failed, "anonymised".to_owned());
    let mut expected = vec![(DeliveryStatus::Succeeded, String::new()); 2];
    expected.extend(vec![anonymised; 8]);
    expected.extend(vec![(DeliveryStatus::Failed, "exhausted".to_owned()); 2]);
    wait::until_eq("everything ended", SOON, expected, async || ends(world, LEAD).await).await;
}

async fn anonymise_and_look_everywhere(world: &World, postgres: Option<(&Postgres, &str)>) {
    let cast = play(world).await;
    for folder in folders(world, postgres.map(|p| p.0)) {
        if let Some((postgres, database)) = postgres {
            postgres.vacuum(database).await;
        }
        assert!(is_readable_in(&folder, PERSON.as_bytes()), "the data was there before, in {}", folder.display());
    }
    let failed = deliveries(world, LEAD).await.into_iter().find(|d| d.failure_reason == "exhausted").unwrap();

    let missing = anonymise(world, &[LEAD, "nobody"]).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound, "{missing:?}");
    assert_eq!(anonymise(world, &[]).await.unwrap_err().code(), Code::InvalidArgument);
    let shown = anonymised(world, &[LEAD, LEAD]).await;
    cast.slow.open_gate();
    assert!(matches!(&shown[..], [lead] if lead.anonymised && lead.anonymised_at.is_some() && lead.events == 2));
    let again = anonymised(world, &[LEAD]).await;
    assert_eq!(again[0].anonymised_at, shown[0].anonymised_at, "a second time changes nothing");

    all_ended(world).await;
    no_trace(world, postgres).await;
    // Only the mail about the other lead remains.
    wait::until_eq("the mail about the other lead", SOON, 1, async || world.home.outbox().len()).await;
    let request = api::RetryDeliveryRequest { delivery_id: failed.delivery_id, ..api::RetryDeliveryRequest::default() };
    let refused = world.deliveries().retry_delivery(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    assert!(refused.message().contains("anonymised"), "{refused:?}");
    let request = api::ListLeadsRequest { account_id: ACCOUNT.into(), ..api::ListLeadsRequest::default() };
    let listed = world.leads().list_leads(request).await.unwrap().into_inner().leads;
    assert_eq!(
        listed.iter().map(|l| (l.lead_id.as_str(), l.anonymised)).collect::<Vec<_>>(),
        [("lead-b", false), (LEAD, true)]
    );

    // Held deliveries are released without the anonymised lead. The other lead is unchanged, and a new event of this
    // lead is delivered.
    let before = cast.requests();
    world.enable(&cast.held, false).await;
    wait::until_eq("the delivery of the other lead", SOON, before + 1, async || cast.requests()).await;
    all_ended(world).await;
    publish(world, "e4", LEAD, "Augusta").await;
    let all = || async { ends(world, LEAD).await.len() };
    wait::until_eq("deliveries of the new event", SOON, 18, all).await;
    wait::until("the new event to be accepted", SOON, async || {
        ends(world, LEAD).await.iter().filter(|(s, _)| *s == DeliveryStatus::Succeeded).count() == 4
    })
    .await;

    nothing_changes_by_a_rebuild(world, postgres).await;
}

async fn nothing_changes_by_a_rebuild(world: &World, postgres: Option<(&Postgres, &str)>) {
    let addresses = read_json(&world.home.data().join("addresses.json")).unwrap();
    let database = addresses["database"].as_str().unwrap_or_else(|| postgres.unwrap().1);
    wait::until("the end of all work", SOON, async || {
        let now = [ends(world, LEAD).await, ends(world, "lead-b").await].concat();
        let moves = [DeliveryStatus::Processing, DeliveryStatus::Pending];
        let has_read = notices_are_read(world).await;
        if !has_read || now.iter().any(|(status, _)| moves.contains(status)) { Err(now) } else { Ok(()) }
    })
    .await;
    // A process may notice late that there is nothing to send, and then records that once.
    wait::until("nothing to change by a rebuild", SOON * 2, async || {
        let before = everything(&world.channel()).await;
        rebuild(&world.nats, database);
        let after = everything(&world.channel()).await;
        if before == after { Ok(()) } else { Err([before, after]) }
    })
    .await;
    no_trace(world, postgres).await;
}

/// Whether notifier, mailer and projector have read everything.
async fn notices_are_read(world: &World) -> bool {
    let status = world.status().get_status(api::GetStatusRequest { top: 0 }).await.unwrap().into_inner();
    let of_notices = |name: &str| ["notifier", "mailer", "projector"].contains(&name);
    status.lags.iter().filter(|lag| of_notices(&lag.name)).all(|lag| lag.waiting + lag.in_hand == 0)
}

#[tokio::test]
async fn anonymised_lead_leaves_no_trace_with_sqlite() {
    let world = World::start_with(&MAIL_EACH, &[]).await;
    anonymise_and_look_everywhere(&world, None).await;
    no_trace_when_all_is_stopped(&world, None).await;
}

#[tokio::test]
async fn anonymised_lead_leaves_no_trace_with_postgres() {
    let postgres = Postgres::start().await;
    let database = postgres.database().await;
    let world = World::start_with(&[&MAIL_EACH[..], &["--database-url", &database]].concat(), &[]).await;
    anonymise_and_look_everywhere(&world, Some((&postgres, &database))).await;
    no_trace_when_all_is_stopped(&world, Some(&postgres)).await;
}

#[tokio::test]
async fn erasing_continues_after_a_crash() {
    for place in ["before an event is erased", "before an attempt is erased", "after a message is erased"] {
        let world = World::start_with(&MAIL_EACH, &[("LEADLINE_CRASH_AT", place)]).await;
        let cast = play(&world).await;
        // It may die before it answers.
        let _ = anonymise(&world, &[LEAD]).await;
        cast.slow.open_gate();
        let status = world.process.wait_exit(SOON).await;
        assert!(
            !status.success() && world.process.output().contains("aborting"),
            "{place}: {}",
            world.process.output()
        );
        let world = world.again(&[]).await;
        all_ended(&world).await;
        no_trace(&world, None).await;
        nothing_changes_by_a_rebuild(&world, None).await;
    }
}
