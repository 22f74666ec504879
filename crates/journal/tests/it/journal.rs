//! The journal against a real broker.

use std::{collections::HashSet, sync::Arc, time::Duration};

use domain::{
    AccountId, DeliveryFact, DeliveryId, LeadEvent, LeadSequence, RegistryFact,
    delivery::{Effect, FailureReason, HoldReason, abandon, hold, request_parked},
    registry::{Account, Change, Routing},
};
use events::Record as _;
use jiff::Timestamp;
use journal::{
    Flush, Journal, JournalError, NatsOptions, RangeError, RegistryView, SEQUENCER_LEASE, Since, StreamName, Traffic,
};
use runtime::{ErrorChain as _, Platform, trace::TraceContext};
use testkit::{NatsCluster, NatsServer, wait};
use tokio::time::Instant;

use crate::support::{SOON, connect, destination, event, messages_in, options, requested, soon, work};

/// A server without its cluster answers only after ten seconds.
const ELECTED: Duration = Duration::from_secs(60);

#[tokio::test]
async fn repeated_event_is_stored_once_and_unchanged() {
    let server = NatsServer::start().await;
    let (journal, _platform) = connect(&server).await;
    let trace = TraceContext::of_ids(7, 8);
    let first = journal.leads().append(&event("e1"), &trace).await.unwrap();
    let again = journal.leads().append(&event("e1"), &trace).await.unwrap();
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(first.sequence, again.sequence);
    assert_eq!(journal.leads().get(LeadSequence(first.sequence)).await.unwrap(), Some(event("e1")));
    assert_eq!(journal.leads().get(LeadSequence(99)).await.unwrap(), None);
    assert_eq!(journal.stream(StreamName::Leads).last_sequence().await.unwrap(), 1);

    let message = soon(journal.leads().work_queue(Traffic::Steady).next()).await;
    assert_eq!((message.value, message.trace, message.delivered), (event("e1"), trace, 1));
}

#[tokio::test]
async fn ids_of_a_range_are_read_and_gaps_are_noticed() {
    let server = NatsServer::start().await;
    let (journal, _platform) = connect(&server).await;
    for n in 1..=5 {
        journal.leads().append(&event(&format!("e{n}")), &TraceContext::of_ids(7, 8)).await.unwrap();
    }
    let read = async |range| {
        let mut ids = vec![];
        journal.leads().event_ids(range, |id| ids.push(id.to_owned())).await.map(|()| ids)
    };
    let reach = journal.leads().bounds().await.unwrap();
    assert_eq!((reach.first, reach.last, reach.dedup_window), (1, 5, Duration::from_secs(60)));
    assert_eq!(read(2..=4).await.unwrap(), ["e2", "e3", "e4"].map(|id| event(id).message_id()));
    // The broker has no event 6 yet.
    assert!(matches!(read(4..=6).await, Err(RangeError::Gone)));
    journal.facts::<LeadEvent>().erase(3).await.unwrap();
    assert!(matches!(read(2..=4).await, Err(RangeError::Gone)));
    assert!(matches!(read(3..=3).await, Err(RangeError::Gone)));
    assert_eq!(read(4..=5).await.unwrap().len(), 2);
    journal.facts::<LeadEvent>().erase(5).await.unwrap();
    assert_eq!(journal.leads().bounds().await.unwrap().last, 5);
}

#[tokio::test]
async fn concurrent_events_are_batched_if_the_broker_flushes_every_write() {
    let server = NatsServer::start_with("sync_interval: always").await;
    let platform = Platform::default();
    let options = NatsOptions { nats_flush: Flush::EveryWrite, ..options(&server) };
    let journal = Journal::connect(&options, &platform).await.unwrap();
    let publish = |id: String| {
        let journal = journal.clone();
        async move { journal.leads().append(&event(&id), &TraceContext::of_ids(7, 8)).await.unwrap() }
    };
    let stored = futures::future::join_all((0..300).map(|n| publish(format!("e{n}")))).await;
    for (n, appended) in stored.iter().enumerate() {
        assert!(!appended.duplicate);
        let read = journal.leads().get(LeadSequence(appended.sequence)).await.unwrap().unwrap();
        assert_eq!(read.event_id.as_str(), format!("e{n}"));
    }
    // A repeated event makes the broker refuse the whole batch; the other events are stored all the same.
    let again = futures::future::join_all((250..350).map(|n| publish(format!("e{n}")))).await;
    assert_eq!(again.iter().filter(|appended| appended.duplicate).count(), 50);
    assert_eq!(journal.stream(StreamName::Leads).last_sequence().await.unwrap(), 350);
}

#[tokio::test]
async fn concurrent_writers_race_and_views_follow_the_winner() {
    let server = NatsServer::start().await;
    let (journal, platform) = connect(&server).await;
    let fact = |name: &str| RegistryFact {
        at: Timestamp::UNIX_EPOCH,
        by: "test".into(),
        change: Change::AccountCreated(Account {
            id: AccountId::parse("acme").unwrap(),
            name: name.into(),
            brand: None,
            notification_emails: vec![],
            api_user_emails: vec![],
            routing: Routing::Override,
            keep_history: None,
            portal: domain::registry::Portal::default(),
            unconfirmed: vec![],
            deleted: false,
        }),
    };
    let first = journal.registry().append(&fact("one"), 0).await.unwrap();
    let view = RegistryView::follow(&journal, &platform).await.unwrap();
    assert_eq!(view.snapshot().sequence(), first);
    assert!(matches!(journal.registry().append(&fact("two"), 0).await, Err(JournalError::LostRace)));
    let second = journal.registry().append(&fact("two"), first).await.unwrap();
    let registry = view.at_least(second, SOON).await.unwrap();
    assert_eq!(registry.account(&AccountId::parse("acme").unwrap()).unwrap().account.name, "two");
    assert!(view.at_least(second + 1, Duration::from_millis(10)).await.is_none());
}

#[tokio::test]
async fn unacknowledged_messages_are_redelivered_and_unreadable_ones_quarantined() {
    let server = NatsServer::start().await;
    let (journal, _platform) = connect(&server).await;
    let jetstream = async_nats::jetstream::new(server.client().await);
    jetstream.publish("delivery.todo.acme.dst_1", "rubbish".into()).await.unwrap().await.unwrap();
    journal.deliveries().append(&requested("e1"), &TraceContext::of_ids(7, 8)).await.unwrap();
    let mut queue = journal.deliveries().work_queue();
    let first = soon(queue.next()).await;
    assert_eq!((first.sequence, first.delivered), (2, 1));
    first.nak(Duration::ZERO).await;
    let second = soon(queue.next()).await;
    assert_eq!((second.sequence, second.delivered), (2, 2));
    assert_eq!(second.value, requested("e1"));
    let poison = jetstream.get_stream("POISON").await.unwrap();
    let copy = poison.get_raw_message(1).await.unwrap();
    let reason = copy.headers.get("Leadline-Reason").unwrap().as_str();
    let cause = DeliveryFact::decode("rubbish".into()).unwrap_err().chain();
    assert!(reason == cause && reason.contains("Protobuf"), "{reason}");
    assert_eq!(messages_in(&server, "POISON").await, 1);
}

#[tokio::test]
async fn a_divided_message_is_acknowledged_when_all_parts_are() {
    let server = NatsServer::start().await;
    let (journal, _platform) = connect(&server).await;
    let trace = TraceContext::of_ids(7, 8);
    journal.leads().append(&event("e1"), &trace).await.unwrap();
    let mut queue = journal.leads().work_queue(Traffic::Steady);
    let in_hand = async || journal.backlog().await.unwrap().lags[0].in_hand;
    let parts: Vec<_> = soon(queue.next()).await.divided(vec!["a", "b"], trace.clone()).collect();
    assert_eq!(parts.iter().map(|part| part.value).collect::<Vec<_>>(), ["a", "b"]);
    parts[0].nak(Duration::ZERO).await;
    assert_eq!(in_hand().await, 1, "the other part is not done");
    parts[1].ack().await;
    let again = soon(queue.next()).await;
    assert_eq!((again.delivered, &again.value), (2, &event("e1")));
    for part in again.divided(vec![(), ()], trace) {
        assert_eq!(in_hand().await, 1);
        part.ack().await;
    }
    wait::until_eq("all done", SOON, 0, in_hand).await;
}

#[tokio::test]
async fn message_that_waited_in_a_process_may_be_a_repeat() {
    let server = NatsServer::start().await;
    let (journal, _platform) = connect(&server).await;
    let [mut slow, mut other] = [Traffic::Steady, Traffic::Steady].map(|traffic| journal.leads().work_queue(traffic));
    for id in ["e1", "e2"] {
        journal.leads().append(&event(id), &TraceContext::of_ids(7, 8)).await.unwrap();
    }
    // The broker delivers both messages to the slow process, which takes one of them.
    let first = soon(slow.next()).await;
    assert_eq!((first.value, first.delivered), (event("e1"), 1));
    let taken_at = Instant::now();
    assert_eq!(soon(other.next()).await.delivered, 2, "the acknowledgement came too late");
    let waited = soon(slow.next()).await;
    assert_eq!((waited.value, waited.delivered), (event("e2"), 1), "the process cannot know that another one has it");
    assert!(waited.may_be_repeat.is_some_and(|as_of| as_of > taken_at), "the history has to be read up to now");
}

#[tokio::test]
async fn an_unacknowledged_event_is_not_handled() {
    let server = NatsServer::start().await;
    let (journal, _platform) = connect(&server).await;
    journal.leads().append(&event("e1"), &TraceContext::of_ids(7, 8)).await.unwrap();
    let [mut steady, mut bursts] = [Traffic::Steady, Traffic::Burst].map(|traffic| journal.leads().work_queue(traffic));
    let mut work = journal.deliveries().work_queue();
    let event = soon(steady.next()).await;
    let before = tokio::select! {
        _ = bursts.next() => panic!("there is no burst"),
        _ = work.next() => panic!("nothing is requested"),
        before = wait::until("all work queues", SOON, async || journal.pending_work().handled_before().await.ok()) => before,
    };
    assert!(before <= event.published_at);
    event.ack().await;
    let handled = async || journal.pending_work().handled_before().await.unwrap() > event.published_at;
    wait::until("the event to be handled", SOON, handled).await;
}

#[tokio::test]
async fn settled_deliveries_need_no_request() {
    let server = NatsServer::start().await;
    let (journal, _platform) = connect(&server).await;
    let now = Timestamp::UNIX_EPOCH;
    let Effect::Append(given_up) = abandon(&work("given_up"), FailureReason::Skipped, now).remove(0) else { panic!() };
    let (held, _) = hold(&work("held"), HoldReason::Disabled, now);
    for fact in [requested("requested"), request_parked(&work("parked")), given_up, held] {
        journal.deliveries().append(&fact, &TraceContext::of_ids(7, 8)).await.unwrap();
    }
    let account = event("e").account;
    let looked = journal.deliveries().requested(&account, &destination(), Since::Time(now)).await.unwrap();
    let of = |id: &&str| DeliveryId::of(&event(id).account, &event(id).event_id, &destination());
    // A held delivery may not have been parked.
    assert_eq!(looked.found, ["requested", "parked", "given_up"].iter().map(of).collect::<HashSet<_>>());
    journal.deliveries().append(&requested("meanwhile"), &TraceContext::of_ids(7, 8)).await.unwrap();
    let looked = journal.deliveries().requested(&account, &destination(), Since::Sequence(looked.until)).await.unwrap();
    assert_eq!((looked.found, looked.until), (HashSet::from([of(&"meanwhile")]), 5));
}

#[tokio::test]
async fn every_reader_quarantines_an_unreadable_message_once() {
    let server = NatsServer::start().await;
    let (journal, _platform) = connect(&server).await;
    let jetstream = async_nats::jetstream::new(server.client().await);
    let rubbish = async |subject: &'static str| {
        jetstream.publish(subject, "rubbish".into()).await.unwrap().await.unwrap().sequence
    };
    let lead = rubbish("lead.acme.form").await;
    for _ in 0..2 {
        assert_eq!(journal.leads().get(LeadSequence(lead)).await.unwrap(), None, "an unreadable event counts as gone");
        let batch = soon(async { Some(journal.facts::<LeadEvent>().read(1).next_batch(10).await) }).await;
        assert!(batch[0].value.is_none());
    }
    // The next leader begins at 0, and has to read what was done.
    rubbish("position.sequencer").await;
    let mut lease = soon(journal.positions().acquire(SEQUENCER_LEASE)).await;
    assert_eq!((lease.sequence(), lease.unsure_until()), (0, lead));
    lease.advance(lead).await.unwrap();
    lease.leave().await.unwrap();
    let lease = soon(journal.positions().acquire(SEQUENCER_LEASE)).await;
    assert_eq!((lease.sequence(), lease.unsure_until()), (lead, 0));
    wait::until_eq("both of them", SOON, 2, async || messages_in(&server, "POISON").await).await;
}

#[tokio::test]
async fn work_queues_and_readers_survive_a_broker_restart() {
    let server = NatsServer::start().await;
    let (journal, platform) = connect(&server).await;
    let trace = TraceContext::of_ids(7, 8);
    let (mut queue, mut reader) = (journal.leads().work_queue(Traffic::Steady), journal.facts::<LeadEvent>().read(1));
    journal.leads().append(&event("e1"), &trace).await.unwrap();
    soon(queue.next()).await.ack().await;
    assert_eq!(reader.next_batch(10).await.len(), 1);

    server.kill();
    wait::until("a service that is not ready", SOON, async || !platform.readiness.is_ready()).await;
    assert!(matches!(journal.leads().append(&event("e2"), &trace).await, Err(JournalError::Unavailable { .. })));
    server.restart().await;
    let journal = Arc::new(journal);
    wait::until("an append", SOON, async || journal.leads().append(&event("e3"), &trace).await.is_ok()).await;

    let mut seen = vec![];
    while seen.last().map(String::as_str) != Some("e3") {
        let message = soon(queue.next()).await;
        seen.push(message.value.event_id.to_string());
        message.ack().await;
    }
    let mut read = vec![];
    while read.last().map(String::as_str) != Some("e3") {
        let batch = tokio::time::timeout(SOON, reader.next_batch(10)).await.expect("in time");
        read.extend(batch.into_iter().map(|entry| entry.value.unwrap().event_id.to_string()));
    }
    // The failed append may have been stored; no event may be duplicated or out of order.
    assert!(read == ["e3"] || read == ["e2", "e3"], "{read:?}");
    platform.drain.stop();
    assert!(queue.next().await.is_none());
}

#[tokio::test]
async fn without_a_leader_stream_state_is_unavailable() {
    let cluster = NatsCluster::start().await;
    let options = NatsOptions { nats_url: Some(cluster.url()), replicas: Some(3), ..NatsOptions::default() };
    let journal = Journal::connect(&options, &Platform::default()).await.unwrap();
    let appended = journal.leads().append(&event("e1"), &TraceContext::of_ids(7, 8)).await.unwrap();
    let last = async || journal.stream(StreamName::Leads).last_sequence().await;
    assert_eq!(last().await.unwrap(), appended.sequence);
    wait::until("all replicas", ELECTED, || cluster.in_sync()).await;

    let [left, others @ ..] = cluster.servers() else { panic!("a cluster has servers") };
    others.iter().for_each(NatsServer::kill);
    let asked = async_nats::jetstream::new(left.client().await);
    for stream in [StreamName::Leads, StreamName::Parked] {
        wait::until("an answer without a leader", ELECTED, async || {
            let answer = asked.get_stream(stream.as_str()).await.ok()?;
            answer.cached_info().cluster.as_ref()?.leader.is_none().then_some(())
        })
        .await;
    }
    let why = |error: JournalError| error.chain();
    assert!(last().await.map_err(why).unwrap_err().contains("leads LEADS"), "the answer counts as unavailable");
    let parked = journal.parking().has(&destination()).await.map_err(why);
    assert!(parked.unwrap_err().contains("leads PARKED"), "so does the answer that nothing is parked");
}

#[tokio::test]
async fn a_single_server_is_trusted_although_it_names_a_cluster() {
    let server = NatsServer::start_named("alone").await;
    let (journal, _platform) = connect(&server).await;
    journal.leads().append(&event("e1"), &TraceContext::of_ids(7, 8)).await.unwrap();
    let mut events = journal.leads().work_queue(Traffic::Steady);
    let event = soon(events.next()).await;
    let in_hand = async || journal.backlog().await.unwrap().lags.iter().map(|lag| lag.in_hand).sum::<u64>();
    wait::until_eq("one unacknowledged message", SOON, 1, in_hand).await;
    event.ack().await;
    wait::until_eq("no unacknowledged message", SOON, 0, in_hand).await;
}
