//! Timers and parked work.

use std::time::Duration;

use domain::Work;
use jiff::Timestamp;
use runtime::trace::TraceContext;
use testkit::{NatsServer, wait};

use crate::support::{SOON, connect, destination, messages_in, soon, work};

#[tokio::test]
async fn a_timer_fires_once_at_its_last_time_unless_cancelled() {
    let server = NatsServer::start().await;
    let (journal, _platform) = connect(&server).await;
    let trace = TraceContext::of_ids(7, 8);
    let now = Timestamp::now();
    let at = |millis: u64| now + Duration::from_millis(millis);
    journal.timers().schedule(&work("gone"), at(600), &trace).await.unwrap();
    journal.timers().cancel(&destination(), work("gone").reference.delivery, 0).await.unwrap();
    journal.timers().schedule(&work("moved"), at(300), &trace).await.unwrap();
    journal.timers().schedule(&Work { attempt: 2, ..work("moved") }, at(900), &trace).await.unwrap();

    let mut due = journal.timers().work_queue();
    let fired = soon(due.next()).await;
    assert_eq!(fired.value, Work { attempt: 2, ..work("moved") });
    assert_eq!(fired.trace, trace);
    assert!(Timestamp::now() >= at(900));
    fired.ack().await;
    wait::until_eq("an empty stream of timers", SOON, 0, async || messages_in(&server, "TIMERS").await).await;
}

#[tokio::test]
async fn late_timer_does_not_replace_one_of_a_later_attempt() {
    let server = NatsServer::start().await;
    let (journal, _platform) = connect(&server).await;
    let (now, trace, second) = (Timestamp::now(), TraceContext::of_ids(7, 8), Duration::from_secs(1));
    let attempt = |attempt| Work { attempt, ..work("e1") };
    let mut due = journal.timers().work_queue();
    let mut fires = async |expected: Work| {
        let fired = soon(due.next()).await;
        assert_eq!(fired.value, expected);
        fired.ack().await;
    };
    journal.timers().schedule(&attempt(2), now, &trace).await.unwrap();
    fires(attempt(2)).await;
    // The caller repeats the call, because it got no acknowledgement.
    journal.timers().schedule(&attempt(2), now, &trace).await.unwrap();
    journal.timers().schedule(&attempt(3), now + 600 * second, &trace).await.unwrap();
    // A call with another time has another message id, as if the broker had forgotten the first id.
    journal.timers().schedule(&attempt(2), now + second, &trace).await.unwrap();
    journal.timers().schedule(&work("later"), now + 2 * second, &trace).await.unwrap();
    fires(work("later")).await;
    journal.timers().schedule(&attempt(3), now, &trace).await.unwrap();
    fires(attempt(3)).await;
    // If the round has no timer, a late timer is set. The timer of the next attempt replaces it.
    journal.timers().schedule(&attempt(2), now + 600 * second, &trace).await.unwrap();
    journal.timers().schedule(&attempt(4), now, &trace).await.unwrap();
    fires(attempt(4)).await;
    wait::until_eq("an empty stream of timers", SOON, 0, async || messages_in(&server, "TIMERS").await).await;
}

#[tokio::test]
async fn parked_work_is_listed_by_lane_and_delivered_once() {
    let server = NatsServer::start().await;
    let (journal, _platform) = connect(&server).await;
    for id in ["a", "b"] {
        journal.parking().park(&work(id), format!("TEST/{id}"), &TraceContext::of_ids(7, 8)).await.unwrap();
    }
    assert_eq!(journal.parking().lanes().await.unwrap(), [(destination(), 2)]);
    let mut parked = journal.parking().lane(&destination());
    let first = parked.take(1).await.unwrap();
    let second = parked.take(10).await.unwrap();
    assert!(parked.take(10).await.unwrap().is_empty(), "a taken message is not delivered to another process");
    for (message, id) in first.iter().chain(&second).zip(["a", "b"]) {
        assert_eq!(message.value, work(id));
        message.ack().await;
    }
    wait::until_eq("nothing parked", SOON, vec![], async || journal.parking().lanes().await.unwrap()).await;
}
