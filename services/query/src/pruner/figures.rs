//! Measures how pruning delays readers and writers. Run by hand, as it takes minutes:
//! `LEADLINE_PRUNE_LEADS=300000 cargo test --release -p query -- --ignored --nocapture what_others_notice_of_pruning`

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use domain::{AccountId, EventId, EventType, InterfaceId, LeadEvent, LeadId};
use jiff::Timestamp;
use journal::StreamName;
use runtime::Drain;
use tokio::time::{Instant, sleep};

use super::{Sweep, TooOld};
use crate::{
    page::Page,
    store::{
        Store, leads,
        pages::{DeliveryFilter, SwitchedOff},
        pruned::{Rows, fill},
    },
};

const ACCOUNT: &str = "acme";
/// The older half of the leads came before this time, in microseconds.
const BEFORE: i64 = 1_000_000_000_000_000;
const STEP: i64 = 1_000;
/// How long the others are measured, at most.
const MEASURED: Duration = Duration::from_secs(60);

fn old() -> TooOld {
    let account = AccountId::parse(ACCOUNT).unwrap();
    TooOld { account, before: Timestamp::from_microsecond(BEFORE).unwrap() }
}

/// The latencies of one kind of work, in milliseconds.
fn shown(what: &str, mut took: Vec<Duration>) -> String {
    took.sort();
    let at = |part: f64| {
        let place = (took.len() as f64 * part) as usize;
        took.get(place.min(took.len().saturating_sub(1))).map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
    };
    format!("{what}: {} times, p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms", took.len(), at(0.5), at(0.99), at(1.0))
}

/// The first page of the newest deliveries, which people look at most.
async fn list(store: &Store, until: &AtomicBool) -> Vec<Duration> {
    let filter = DeliveryFilter { account: AccountId::parse(ACCOUNT).ok(), ..DeliveryFilter::default() };
    let mut took = vec![];
    while !until.load(Ordering::Relaxed) {
        let began = Instant::now();
        let page = Page::of(50, "", ()).unwrap();
        let found = store.deliveries(&filter, &page, &SwitchedOff::NOWHERE).await.unwrap();
        took.push(began.elapsed());
        assert_eq!(found.len(), 51);
        sleep(Duration::from_millis(5)).await;
    }
    took
}

/// Writes twenty events ten times a second, like a projector.
async fn write(store: &Store, until: &AtomicBool) -> Vec<Duration> {
    let mut took = vec![];
    while !until.load(Ordering::Relaxed) {
        let at = store.checkpoint(StreamName::Leads).await.unwrap();
        let events: Vec<_> = (0..20).map(|n| (at + n, event(at + n))).collect();
        let events: Vec<_> = events.iter().map(|(sequence, event)| (*sequence, event)).collect();
        let began = Instant::now();
        let mut transaction = store.advance(StreamName::Leads, at, at + 20).await.unwrap().unwrap();
        leads::add_events(&mut transaction, &events, false).await.unwrap();
        transaction.commit().await.unwrap();
        took.push(began.elapsed());
        sleep(Duration::from_millis(100)).await;
    }
    took
}

fn event(number: u64) -> LeadEvent {
    LeadEvent {
        event_id: EventId::parse(&format!("new-{number}")).unwrap(),
        account: AccountId::parse(ACCOUNT).unwrap(),
        interface: InterfaceId::parse("form").unwrap(),
        client: None,
        lead: LeadId::parse(&format!("new-{number}")).unwrap(),
        destination: None,
        event_type: EventType::parse("lead.created").unwrap(),
        occurred_at: Timestamp::UNIX_EPOCH,
        received_at: Timestamp::from_microsecond(BEFORE * 2).unwrap(),
        registry_sequence: 1,
        hops: 0,
        payload: bytes::Bytes::new(),
    }
}

/// The latencies of the others during some work, or without any.
async fn beside<T>(store: &Store, done: impl Future<Output = T>) -> (T, [String; 2]) {
    let until = AtomicBool::new(false);
    let done = async {
        let done = done.await;
        until.store(true, Ordering::Relaxed);
        done
    };
    let (done, listed, written) = tokio::join!(done, list(store, &until), write(store, &until));
    (done, [shown("lists", listed), shown("writes", written)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; prints figures"]
async fn what_others_notice_of_pruning() {
    let count = std::env::var("LEADLINE_PRUNE_LEADS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite:{}?mode=rwc", folder.path().join("figures.db").display());
    for url in [sqlite, testkit::postgres::database().await] {
        let store = Store::connect(&url).await.unwrap();
        println!("{}", url.split(':').next().unwrap());
        let rows =
            |name, at| Rows { account: ACCOUNT, name, count, at, step: STEP, status: "succeeded", response: 700 };
        fill(&store, &rows("old", BEFORE - i64::from(count) * STEP - 1)).await;
        fill(&store, &rows("young", BEFORE * 2)).await;
        store.settle().await;
        let size = store.database_size().await.unwrap();
        println!("  {} MiB, {count} leads and deliveries to prune and as many to keep", size.bytes >> 20);
        let (_, figures) = beside(&store, sleep(MEASURED / 4)).await;
        println!("  alone: {figures:?}");
        let mut sweep = Sweep::new(store.clone(), Drain::default());
        sweep.claim().await.unwrap();
        let began = Instant::now();
        let (pruned, figures) = beside(&store, tokio::time::timeout(MEASURED, sweep.prune_account(&old()))).await;
        println!("  beside pruning: {figures:?}");
        println!(
            "  {:?} rows in {:?}, at last {} in a step",
            pruned.map(Result::unwrap),
            began.elapsed(),
            sweep.pace.rows
        );
        store.drop_attempts_before(BEFORE).await;
        let free = store.database_size().await.unwrap();
        let began = Instant::now();
        let (_, figures) = beside(&store, tokio::time::timeout(MEASURED, sweep.give_back())).await;
        let left = store.database_size().await.unwrap();
        println!("  beside giving back: {figures:?}");
        println!(
            "  {} MiB with {} MiB free, after {:?} {} MiB with {} MiB free",
            free.bytes >> 20,
            free.free >> 20,
            began.elapsed(),
            left.bytes >> 20,
            left.free >> 20
        );
    }
}
