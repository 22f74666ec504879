//! Several dispatchers share the work, and take over the work of one that dies.

use std::time::{Duration, Instant};

use api::DeliveryStatus;
use testkit::{Answer, NatsServer, Process, Receiver, wait};

use crate::{
    processes::{ALLOWED, arguments},
    world::{Home, SOON, World, events_at, program, some_destination},
};

/// A system on its own broker, with further dispatchers.
pub(crate) async fn with_dispatchers(count: usize) -> (NatsServer, World, Vec<Process>) {
    let broker = NatsServer::start().await;
    let home = Home::new();
    let process = home.up(&["--nats-url", &broker.url()], &[]);
    let world = World::attach(home, process).await;
    world.set_up().await;
    let others: Vec<_> = (1..count).map(|_| beside(&world, &broker, "dispatcher", &ALLOWED)).collect();
    for other in &others {
        other.wait_line("is ready:", SOON).await;
    }
    (broker, world, others)
}

/// Starts a further service of a system on this broker.
pub(crate) fn beside(world: &World, broker: &NatsServer, service: &str, args: &[&str]) -> Process {
    let key = std::fs::read_to_string(world.home.data().join("master.key")).unwrap();
    let env = [("LEADLINE_NATS_URL", broker.url()), ("LEADLINE_MASTER_KEY", key.trim().to_owned())];
    Process::start(service, program(), arguments(service, args), env)
}

#[tokio::test]
async fn several_dispatchers_send_everything_once() {
    for count in [2, 4] {
        let (_broker, world, _others) = with_dispatchers(count).await;
        let receiver = Receiver::start().await;
        world.destination(&receiver.url()).await;
        world.publish_many(500).await;
        wait::until("all of them", SOON, async || receiver.count() >= 500).await;
        world.delivery_is("e499", DeliveryStatus::Succeeded).await;
        assert_eq!((receiver.count(), events_at(&receiver).len()), (500, 500), "{count} dispatchers");
    }
}

#[tokio::test]
async fn work_of_a_dead_dispatcher_is_redelivered_after_ack_wait() {
    let (_broker, world, others) = with_dispatchers(2).await;
    let receiver = Receiver::start().await;
    receiver.answer(Answer::Gate(200));
    let timeout = Some(api::duration_to_api(Duration::from_secs(30)));
    let wide = api::Destination { url: receiver.url(), timeout, ..some_destination() };
    world.destination_with(wide).await;
    world.publish_many(40).await;
    wait::until_eq("all in flight", SOON, 40, async || receiver.in_flight()).await;
    others[0].kill();
    let died = Instant::now();
    receiver.open_gate();
    for n in 0..40 {
        world.delivery_is(&format!("e{n}"), DeliveryStatus::Succeeded).await;
    }
    assert_eq!(events_at(&receiver).len(), 40);
    let last = receiver.requests().iter().map(|seen| seen.at).max().unwrap();
    // The acknowledgement wait, and the time that the broker takes for the redelivery.
    assert!(last.saturating_duration_since(died) < journal::ACK_WAIT + Duration::from_secs(4));
}
