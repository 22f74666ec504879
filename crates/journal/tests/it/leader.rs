//! The life of a leader against a real broker.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use journal::{Journal, JournalError, NatsOptions, ReaderLease, SEQUENCER_LEASE, StreamName, leader};
use runtime::Platform;
use testkit::{NatsServer, wait};
use tokio::{sync::mpsc, time::sleep_until};

const SOON: Duration = Duration::from_secs(20);
/// A restart of the broker, and a lease that times out.
const ELECTED: Duration = Duration::from_secs(60);

async fn connect(server: &NatsServer) -> (Journal, Platform) {
    let options = NatsOptions { nats_url: Some(server.url()), ..NatsOptions::default() };
    let platform = Platform::default();
    (Journal::connect(&options, &platform).await.unwrap(), platform)
}

/// Advances the lease by one and keeps it until the drain begins. Sends the sequence that it began with.
async fn lead(
    journal: &Journal,
    mut lease: ReaderLease,
    began: &mpsc::UnboundedSender<u64>,
) -> Result<(), JournalError> {
    began.send(lease.sequence()).unwrap();
    let done = lease.sequence() + 1;
    while !journal.drain().is_stopping() {
        lease.advance(done).await?;
        tokio::select! {
            () = sleep_until(lease.renew_at()) => {}
            () = journal.drain().stopping() => {}
        }
    }
    lease.leave().await
}

#[tokio::test]
async fn one_process_leads_at_a_time_and_another_continues() {
    let server = NatsServer::start().await;
    let ((first, first_platform), (second, second_platform)) = (connect(&server).await, connect(&server).await);
    let (began, mut begun) = mpsc::unbounded_channel();
    let spawn = |journal: Journal| {
        let began = began.clone();
        tokio::spawn(async move { leader::run(&journal, SEQUENCER_LEASE, |lease| lead(&journal, lease, &began)).await })
    };
    let leading = spawn(first.clone());
    assert_eq!(begun.recv().await, Some(0));
    let waiting = spawn(second);
    // A leader writes its lease each second, and a lease that is not written for 4 s is free.
    let writes = async || first.stream(StreamName::Positions).last_sequence().await.unwrap() >= 7;
    wait::until("seven writes of the lease", SOON, writes).await;
    assert!(begun.try_recv().is_err(), "the second process waits");
    first_platform.drain.stop();
    tokio::time::timeout(SOON, leading).await.expect("the drain ends it").unwrap();
    assert_eq!(tokio::time::timeout(SOON, begun.recv()).await.expect("in time"), Some(1));
    second_platform.drain.stop();
    tokio::time::timeout(SOON, waiting).await.expect("the drain ends it").unwrap();
}

#[tokio::test]
async fn a_leader_that_fails_leads_again() {
    let server = NatsServer::start().await;
    let (journal, platform) = connect(&server).await;
    let times = AtomicUsize::new(0);
    let running = leader::run(&journal, SEQUENCER_LEASE, |mut lease| {
        let (time, server, drain) = (times.fetch_add(1, Ordering::Relaxed), &server, &platform.drain);
        async move {
            match time {
                0 => Err(JournalError::LostRace),
                1 => {
                    server.kill();
                    let failed = lease.advance(1).await;
                    assert!(matches!(failed, Err(JournalError::Unavailable { .. })), "{failed:?}");
                    server.restart().await;
                    failed
                }
                _ => {
                    drain.stop();
                    lease.leave().await
                }
            }
        }
    });
    tokio::time::timeout(ELECTED, running).await.expect("the drain ends it");
    assert_eq!(times.load(Ordering::Relaxed), 3);
}
