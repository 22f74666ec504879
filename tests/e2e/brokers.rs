//! A cluster of brokers with planned restarts: publishers get at most an error that asks for a repeat, and nothing is
//! lost or sent twice.

use std::{collections::BTreeMap, time::Duration};

use api::DeliveryStatus;
use futures::future::join;
use testkit::{NatsCluster, NatsServer, Receiver, wait};
use tokio::sync::watch;

use crate::world::{World, event_json, events_at, some_destination};

/// How long a node may take to hand over its leaderships on a busy machine.
const HANDED_OVER: Duration = Duration::from_secs(90);
/// How long deliveries may take after the last change of leaders.
const DELIVERED: Duration = Duration::from_secs(90);
const EVENT_INTERVAL: Duration = Duration::from_millis(50);

/// The minimum number of accepted events; a 503 answer may take seconds.
const MIN_EVENTS: usize = 5;
/// The time limit for all restarts and all accepted events.
const PUBLISHED: Duration = Duration::from_secs(240);

/// A system on a cluster, and a receiver that accepts everything.
struct Clustered {
    cluster: NatsCluster,
    world: World,
    receiver: Receiver,
}

impl Clustered {
    async fn start() -> Self {
        let cluster = NatsCluster::start().await;
        let world = World::start_with(&["--nats-url", &cluster.url(), "--replicas", "3"], &[]).await;
        let receiver = Receiver::start().await;
        world.destination_with(api::Destination { url: receiver.url(), ..some_destination() }).await;
        wait::until("the replicas", HANDED_OVER, || cluster.in_sync()).await;
        Self { cluster, world, receiver }
    }

    /// Publishes events one after another while something happens, repeats each until it is accepted, and checks their
    /// deliveries.
    async fn publish_during(&self, happening: impl AsyncFnOnce()) {
        let (over, is_over) = watch::channel(false);
        let publishing = async {
            let (mut count, mut answers) = (0, BTreeMap::<u16, usize>::new());
            while count < MIN_EVENTS || !*is_over.borrow() {
                let event = event_json(&format!("e{count}")).to_string();
                loop {
                    let (status, _) = self.world.post(event.clone(), &[]).await;
                    *answers.entry(status).or_default() += 1;
                    match status {
                        202 => break,
                        // The event is not stored; repeat it.
                        503 => tokio::time::sleep(EVENT_INTERVAL).await,
                        other => panic!("e{count} was answered with {other}"),
                    }
                }
                count += 1;
                tokio::time::sleep(EVENT_INTERVAL).await;
            }
            (count, answers)
        };
        let happening = async {
            happening().await;
            over.send_replace(true);
        };
        let both = tokio::time::timeout(PUBLISHED, join(publishing, happening)).await;
        let ((count, answers), ()) = both.expect("events are accepted again");
        println!("{count} events, answers {answers:?}");
        wait::until("all deliveries", DELIVERED, async || {
            let delivered = events_at(&self.receiver).len();
            if delivered == count { Ok(()) } else { Err(format!("{delivered} of {count}")) }
        })
        .await;
        self.world.delivery_is(&format!("e{}", count - 1), DeliveryStatus::Succeeded).await;
        assert_eq!(self.receiver.count(), count, "requests for {count} events");
    }
}

#[tokio::test]
async fn cluster_survives_rolling_restarts_in_lame_duck_mode() {
    let clustered = Clustered::start().await;
    let cluster = &clustered.cluster;
    clustered
        .publish_during(async || {
            // Leadline's client is connected to each server in turn, so each restart disconnects it.
            for server in cluster.servers() {
                server.enter_lame_duck_mode();
                ends_and_comes_back(cluster, server).await;
            }
            let server = &cluster.servers()[0];
            server.terminate();
            ends_and_comes_back(cluster, server).await;
        })
        .await;
    let output = clustered.world.process.output();
    assert!(output.contains("broker enters lame duck mode"), "{output}");
}

async fn ends_and_comes_back(cluster: &NatsCluster, server: &NatsServer) {
    wait::until("the end of a node", HANDED_OVER, async || !server.is_running()).await;
    server.restart().await;
    wait::until("all three again", HANDED_OVER, || cluster.in_sync()).await;
}

#[tokio::test]
async fn cluster_survives_changes_of_stream_leaders() {
    let clustered = Clustered::start().await;
    let cluster = &clustered.cluster;
    clustered
        .publish_during(async || {
            for stream in ["LEADS", "DELIVERIES", "TIMERS", "POSITIONS", "REGISTRY", "LEADS"] {
                let leader = wait::until("a leader", HANDED_OVER, || cluster.leader_of(stream)).await;
                cluster.step_down(&format!("STREAM.LEADER.STEPDOWN.{stream}")).await;
                wait::until("another leader", HANDED_OVER, async || {
                    cluster.leader_of(stream).await.filter(|other| *other != leader)
                })
                .await;
                wait::until("all replicas", HANDED_OVER, || cluster.in_sync()).await;
            }
            cluster.step_down("CONSUMER.LEADER.STEPDOWN.LEADS.router").await;
            wait::until("all replicas", HANDED_OVER, || cluster.in_sync()).await;
        })
        .await;
}
