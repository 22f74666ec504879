//! Three brokers that replicate each fact: their leader is killed, and each of them is restarted under load.

use std::time::Duration;

use testkit::{NatsCluster, wait};

use crate::{
    plan::Seeded,
    program::SOON,
    scenario::{EVENTS, Fire, Settings},
    stage::{Brokers, Shape, Victim},
};

const REPLICAS: &str = "3";

async fn in_sync(fire: &Fire) {
    let Brokers::Three(cluster) = &fire.stage.brokers else { unreachable!("the stage has a cluster") };
    wait::until("all replicas of all streams", SOON, || cluster.in_sync()).await;
}

async fn leader_of(fire: &Fire, stream: &str) -> usize {
    let Brokers::Three(cluster) = &fire.stage.brokers else { unreachable!("the stage has a cluster") };
    wait::until("a leader", SOON, || cluster.leader_of(stream)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_survives_its_leaders_and_the_restart_of_every_node() {
    // Three brokers use more of the machine than one.
    let settings = Settings::from_env(EVENTS / 4);
    let settings = Settings { rate: settings.rate.div_ceil(2), ..settings };
    let brokers = Brokers::Three(NatsCluster::start().await);
    let env = vec![("LEADLINE_REPLICAS", REPLICAS.to_owned())];
    let shape = Shape { brokers, of_each: 1, env, seed: settings.seed };
    let fire = Fire::light_on("cluster of three", settings, shape).await;
    let mut seeded = Seeded::of(settings.seed, "cluster");
    let mut nodes = vec![leader_of(&fire, "LEADS").await];
    let mut others: Vec<_> = (0..3).filter(|node| *node != nodes[0]).collect();
    seeded.shuffle(&mut others);
    nodes.extend(others);
    for node in nodes {
        in_sync(&fire).await;
        let away = Duration::from_millis(500 + seeded.below(2_000) as u64);
        fire.kill_alone(&[Victim::Broker(node)], away).await;
    }
    in_sync(&fire).await;
    fire.kill_alone(&[Victim::Broker(leader_of(&fire, "DELIVERIES").await)], Duration::from_secs(1)).await;
    fire.go_on().await;
    fire.out().await;
}
