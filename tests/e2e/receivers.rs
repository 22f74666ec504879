//! Receivers as they occur in practice: their treatment of connections does not fail deliveries.

use std::time::{Duration, Instant};

use api::{DeliveryStatus, duration_to_api};
use testkit::{
    Answer, Receiver,
    tls::Authority,
    wait,
    zoo::{Habit, Http2Habit, Http2Receiver, Program, Proxy, RawReceiver},
};

use crate::world::{ACCOUNT, SOON, World, retries, some_destination};

/// Starts a system that trusts an authority of tests.
async fn trusting(authority: &Authority) -> World {
    World::start_with(&["--ca-file", authority.file().to_str().unwrap()], &[]).await
}

/// The number of deliveries to a destination that succeeded at their first attempt.
async fn succeeded_at_once(world: &World, destination_id: &str) -> usize {
    let filter = api::DeliveryFilter {
        destination_id: destination_id.into(),
        statuses: vec![DeliveryStatus::Succeeded.into()],
        ..api::DeliveryFilter::default()
    };
    let request = api::ListDeliveriesRequest { filter: Some(filter), page_size: 500, page_token: String::new() };
    let found = world.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries;
    found.iter().filter(|delivery| delivery.attempts == 1).count()
}

#[tokio::test]
async fn unfinished_response_body_is_a_success_and_not_repeated() {
    const OPEN: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n";
    let (world, receiver) = (World::start().await, RawReceiver::start(Habit::SaysAndHangs(OPEN)).await);
    let timeout = Some(duration_to_api(Duration::from_secs(15)));
    let id = world.destination_with(api::Destination { url: receiver.url(), timeout, ..some_destination() }).await;
    let begun = Instant::now();
    world.publish_many(40).await;
    wait::until_eq("all succeeded", SOON, 40, async || succeeded_at_once(&world, &id).await).await;
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    let ids: Vec<_> = receiver.requests().into_iter().map(|seen| seen.id).collect();
    assert_eq!(ids.len(), 40);
    // A stop in the meantime does not cause another request.
    world.publish("last").await;
    wait::until_eq("the last request", SOON, 41, async || receiver.requests().len()).await;
    world.process.terminate();
    assert_eq!(world.process.wait_exit(SOON).await.code(), Some(0), "{}", world.process.output());
    let world = world.again(&[]).await;
    world.delivery_is("last", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.requests().len(), 41);
}

#[tokio::test]
async fn connection_closed_on_reuse_costs_no_attempt() {
    const SHORT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let world = World::start().await;
    let (mut receivers, mut ids) = (vec![], vec![]);
    for habit in [Habit::ClosesAtTheSecond, Habit::ResetsAtTheSecond, Habit::SaysAndCloses(SHORT)] {
        let receiver = RawReceiver::start(habit).await;
        // The policy does not retry.
        ids.push(
            world
                .destination_with(api::Destination { concurrency: 1, url: receiver.url(), ..some_destination() })
                .await,
        );
        receivers.push(receiver);
    }
    world.publish_many(20).await;
    for (id, receiver) in ids.iter().zip(&receivers) {
        let what = format!("all at {receiver:?}");
        wait::until_eq(&what, SOON, 20, async || succeeded_at_once(&world, id).await).await;
        assert_eq!(receiver.requests().len(), 20, "{receiver:?}");
    }
}

#[tokio::test]
async fn answers_of_old_http_stacks_are_accepted() {
    let world = World::start().await;
    let answers: [&'static [u8]; 5] = [
        b"HTTP/1.1 200 OK\r\nx-powered-by: a\r\n  folded header\r\nconnection: close\r\n\r\nok",
        b"http/1.0 200 ok\n\nok",
        b"HTTP/1.1 200\r\nPHP Notice: undefined index\r\nbad header here\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n2\r\nok\r\n0\r\nx: y\r\n\r\n",
    ];
    let (mut receivers, mut ids) = (vec![], vec![]);
    for answer in answers {
        receivers.push(RawReceiver::start(Habit::SaysAndCloses(answer)).await);
        ids.push(world.destination(&receivers[receivers.len() - 1].url()).await);
    }
    let early = b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
    receivers.push(RawReceiver::start(Habit::SaysBeforeTheBody(early)).await);
    ids.push(world.destination(&receivers[receivers.len() - 1].url()).await);
    world.publish("e1").await;
    for (id, receiver) in ids.iter().zip(&receivers) {
        let what = format!("a success of {receiver:?}");
        wait::until_eq(&what, SOON, 1, async || succeeded_at_once(&world, id).await).await;
    }
}

#[tokio::test]
async fn dead_http2_connection_costs_one_timeout() {
    let authority = Authority::default();
    let receiver = Http2Receiver::start(Http2Habit::default(), &authority.certificate_for("localhost")).await;
    let (world, proxy) = (trusting(&authority).await, Proxy::start(receiver.address()).await);
    let destination = api::Destination {
        url: proxy.url(),
        timeout: Some(duration_to_api(Duration::from_secs(1))),
        retry_policy: Some(retries(&[Duration::from_millis(100)])),
        breaker_failures: Some(0),
        ..some_destination()
    };
    world.destination_with(destination.clone()).await;
    world.publish("before").await;
    world.delivery_is("before", DeliveryStatus::Succeeded).await;
    assert_eq!(proxy.connections(), 1);
    proxy.freeze();
    world.publish("after").await;
    let after = world.delivery_is("after", DeliveryStatus::Succeeded).await;
    let attempts: Vec<_> = after.attempts.iter().map(|attempt| attempt.error_kind.as_str()).collect();
    assert_eq!(attempts, ["timeout", ""], "the second one uses a new connection");
    assert_eq!(proxy.connections(), 2);
    // Another destination on the same host does not use the dead connection either.
    world.interface("other").await;
    let other = api::Destination { interface_id: "other".into(), retry_policy: Some(retries(&[])), ..destination };
    let id = world.destination_with(other).await;
    let test = api::SendTestDeliveryRequest { account_id: ACCOUNT.into(), destination_id: id, ..Default::default() };
    let delivery_id = world.deliveries().send_test_delivery(test).await.unwrap().into_inner().delivery_id;
    wait::until("a good test", SOON, async || {
        let request = api::GetDeliveryRequest { delivery_id: delivery_id.clone() };
        let tested = world.deliveries().get_delivery(request).await.map(|answer| answer.into_inner().delivery.unwrap());
        tested.is_ok_and(|delivery| delivery.status() == DeliveryStatus::Succeeded)
    })
    .await;
}

#[tokio::test]
async fn low_http2_stream_limits_cause_no_timeouts() {
    let authority = Authority::default();
    let habit = Http2Habit { streams: Some(1), pause: Duration::from_secs(1), ..Http2Habit::default() };
    let receiver = Http2Receiver::start(habit, &authority.certificate_for("localhost")).await;
    let world = trusting(&authority).await;
    let timeout = Some(duration_to_api(Duration::from_secs(8)));
    let wide = api::Destination { url: receiver.url(), timeout, concurrency: 32, ..some_destination() };
    let id = world.destination_with(wide).await;
    world.publish_many(32).await;
    wait::until_eq("all at the first attempt", SOON, 32, async || succeeded_at_once(&world, &id).await).await;
    assert_eq!(receiver.answered().len(), 32);
}

#[tokio::test]
async fn old_connections_are_replaced_while_busy() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let world = World::start_with(&["--connection-max-age", "1s"], &[]).await;
    let receiver = RawReceiver::start(Habit::Says(ANSWER)).await;
    let id =
        world.destination_with(api::Destination { concurrency: 1, url: receiver.url(), ..some_destination() }).await;
    let mut count = 0;
    wait::until("a second connection", SOON, async || {
        world.publish(&format!("e{count}")).await;
        count += 1;
        receiver.connections() >= 2
    })
    .await;
    wait::until_eq("all of them", SOON, count, async || succeeded_at_once(&world, &id).await).await;
    assert!(receiver.connections() < count, "{} connections for {count} requests", receiver.connections());
}

#[tokio::test]
async fn stop_waits_for_the_longest_request_in_flight() {
    const PATIENCE: Duration = Duration::from_secs(11);
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Gate(200));
    let timeout = Some(duration_to_api(Duration::from_secs(30)));
    world.destination_with(api::Destination { url: receiver.url(), timeout, ..some_destination() }).await;
    world.publish("slow").await;
    wait::until_eq("a request in flight", SOON, 1, async || receiver.in_flight()).await;
    world.process.terminate();
    let stopping_since = Instant::now();
    wait::until("a long time", SOON, async || {
        assert!(world.process.is_running(), "{}", world.process.output());
        stopping_since.elapsed() > PATIENCE
    })
    .await;
    receiver.open_gate();
    assert_eq!(world.process.wait_exit(SOON).await.code(), Some(0), "{}", world.process.output());
    let world = world.again(&[]).await;
    world.delivery_is("slow", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.count(), 1);
}

/// Delivers leads at once, and one more after the server has closed idle connections.
async fn accepts_all_at_their_first_attempt(world: &World, program: &Program, idle: Duration) {
    const LEADS: usize = 60;
    // Python's server has a backlog of five connections. If it is full, Linux drops the SYN, and the client repeats it
    // after one, three and seven seconds.
    const TIMEOUT: Duration = Duration::from_secs(15);
    let name = program.url();
    let timeout = Some(duration_to_api(TIMEOUT));
    let destination = api::Destination { url: program.url(), timeout, ..some_destination() };
    let id = world.destination_with(destination).await;
    world.publish_many(LEADS).await;
    wait::until(&name, SOON, async || {
        let failed = world.all(DeliveryStatus::Failed).await;
        assert!(failed.is_empty(), "{} failed: {:?}", failed.len(), failed.first().map(|d| &d.webhook_response));
        succeeded_at_once(world, &id).await == LEADS
    })
    .await;
    tokio::time::sleep(idle).await;
    world.publish("late").await;
    wait::until_eq(&name, SOON, LEADS + 1, async || succeeded_at_once(world, &id).await).await;
    assert!(program.is_running());
}

/// Longer than the server keeps an idle connection, and shorter than the dispatcher does.
const IDLE: Duration = Duration::from_millis(1_500);

#[tokio::test]
async fn node_accepts_all_leads_at_their_first_attempt() {
    accepts_all_at_their_first_attempt(&World::start().await, &Program::node().await, IDLE * 4).await;
}

#[tokio::test]
async fn python_accepts_all_leads_at_their_first_attempt() {
    accepts_all_at_their_first_attempt(&World::start().await, &Program::python().await, IDLE).await;
}

#[tokio::test]
async fn nginx_with_http2_accepts_all_leads_at_their_first_attempt() {
    let authority = Authority::default();
    accepts_all_at_their_first_attempt(&trusting(&authority).await, &Program::nginx(&authority).await, IDLE).await;
}

#[tokio::test]
async fn haproxy_before_node_accepts_all_leads_at_their_first_attempt() {
    let node = Program::node().await;
    accepts_all_at_their_first_attempt(&World::start().await, &Program::haproxy(&node).await, IDLE).await;
}
