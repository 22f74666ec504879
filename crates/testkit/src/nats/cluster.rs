//! A cluster of three brokers, for tests in which some of them are away.

use std::time::Duration;

use async_nats::jetstream;
use futures::TryStreamExt as _;

use super::{NatsServer, Setup};
use crate::{port::free_port, wait};

const SIZE: usize = 3;
/// How long a cluster may take to elect its leader on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// A cluster of three brokers on loopback ports.
#[derive(Debug)]
pub struct NatsCluster {
    servers: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts a cluster and returns once its JetStream answers.
    ///
    /// # Panics
    /// If the cluster does not start.
    pub async fn start() -> Self {
        let routes: Vec<_> = (0..SIZE).map(|_| format!("127.0.0.1:{}", free_port())).collect();
        let all = routes.iter().map(|route| format!("\"nats://{route}\"")).collect::<Vec<_>>().join(", ");
        let server = |(number, route): (usize, &String)| {
            let more = format!(
                "server_name: n{number}\ncluster {{\n  name: leadline\n  listen: \"{route}\"\n  routes: [{all}]\n}}\n\
                 lame_duck_duration: 30s\nlame_duck_grace_period: 1s\n"
            );
            NatsServer::configured(Setup { more, ..Setup::default() })
        };
        let cluster = Self { servers: routes.iter().enumerate().map(server).collect() };
        cluster.servers.iter().for_each(NatsServer::spawn);
        for server in &cluster.servers {
            if let Err(seen) = wait::attempt(START_DEADLINE, || server.answers()).await {
                panic!("a cluster did not come up: {seen}; a log:\n{}", server.log());
            }
        }
        cluster
    }

    /// The URLs of all its servers.
    pub fn url(&self) -> String {
        self.servers.iter().map(NatsServer::url).collect::<Vec<_>>().join(",")
    }

    pub fn servers(&self) -> &[NatsServer] {
        &self.servers
    }

    /// The server that leads a stream; `None` if it is unknown now.
    pub async fn leader_of(&self, stream: &str) -> Option<usize> {
        let info = self.context().await?.get_stream(stream).await.ok()?;
        let leader = info.cached_info().cluster.as_ref()?.leader.clone()?;
        leader.strip_prefix('n')?.parse().ok()
    }

    /// Checks that every stream has a leader, and that all its replicas are present and up to date.
    ///
    /// # Errors
    /// If something is missing; the text names it.
    pub async fn in_sync(&self) -> Result<(), String> {
        let context = self.context().await.ok_or("no server answers")?;
        let streams: Vec<_> = context.streams().try_collect().await.map_err(|e| e.to_string())?;
        for stream in &streams {
            let name = &stream.config.name;
            let cluster = stream.cluster.as_ref().ok_or_else(|| format!("{name} is in no cluster"))?;
            if cluster.leader.is_none() {
                return Err(format!("{name} has no leader"));
            }
            if let Some(late) = cluster.replicas.iter().find(|replica| !replica.current || replica.offline) {
                return Err(format!("{} is behind with {name}", late.name));
            }
        }
        Ok(())
    }

    /// Makes the leader of a stream (`STREAM.LEADER.STEPDOWN.<stream>`) or a consumer
    /// (`CONSUMER.LEADER.STEPDOWN.<stream>.<consumer>`) step down.
    ///
    /// # Panics
    /// If no server answers.
    pub async fn step_down(&self, request: &str) {
        let server = self.servers.iter().find(|server| server.is_running()).expect("a server runs");
        let client = server.client().await;
        let answer = client.request(format!("$JS.API.{request}"), bytes::Bytes::new()).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer.payload).into_owned();
        assert!(answer.contains("\"success\":true"), "{request}: {answer}");
    }

    async fn context(&self) -> Option<jetstream::Context> {
        let server = self.servers.iter().find(|server| server.is_running())?;
        let client = server.options().connect(server.url()).await.ok()?;
        Some(jetstream::new(client))
    }
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream;

    use super::*;

    #[tokio::test]
    async fn a_stream_with_three_replicas_outlives_its_leader() {
        let cluster = NatsCluster::start().await;
        let context = cluster.context().await.unwrap();
        let config =
            stream::Config { name: "S".into(), subjects: vec!["s".into()], num_replicas: 3, ..Default::default() };
        context.create_stream(config).await.unwrap();
        context.publish("s", "one".into()).await.unwrap().await.unwrap();
        wait::until("the replicas", START_DEADLINE, || cluster.in_sync()).await;
        let leader = cluster.leader_of("S").await.unwrap();
        cluster.servers()[leader].kill();
        wait::until("another leader", START_DEADLINE, async || {
            cluster.leader_of("S").await.filter(|other| *other != leader)
        })
        .await;
        cluster.servers()[leader].restart().await;
        wait::until("all three again", START_DEADLINE, || cluster.in_sync()).await;
    }
}
