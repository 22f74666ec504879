//! A system with each service in a separate process.

use std::{fs, path::Path};

use serde_json::json;
use testkit::{NatsServer, Process};

use crate::world::{Home, SOON, World, program};

/// The arguments that dispatcher and query need for receivers on this machine.
pub(crate) const ALLOWED: [&str; 2] = ["--allow-network", "127.0.0.0/8"];

/// Services in separate processes, so that a test can kill one of them.
pub(crate) struct Alone {
    broker: NatsServer,
    key: String,
    database: String,
    admin: String,
    http: String,
    pub(crate) ingest: Process,
    pub(crate) dispatcher: Process,
}

impl Alone {
    pub(crate) async fn start(database: String) -> Self {
        Self::start_with(database, &[]).await
    }

    /// Like [`Alone::start`], with this command as a wrapper of the dispatcher; empty if there is none.
    pub(crate) async fn start_with(database: String, starts_dispatcher: &[&str]) -> Self {
        let broker = NatsServer::start().await;
        let key = crypto::MasterKey::generate().unwrap().reveal();
        let of_broker = [("LEADLINE_NATS_URL", broker.url())];
        let of_all = [of_broker[0].clone(), ("LEADLINE_MASTER_KEY", key.clone())];
        let ingest = Process::start("ingest", program(), arguments("ingest", &[]), of_all.clone());
        let http = address(&ingest, "http=").await;
        let leadline = program();
        let command = [starts_dispatcher, &[leadline.to_str().unwrap()]].concat();
        let args = [&command[1..], &arguments("dispatcher", &ALLOWED)].concat();
        let dispatcher = Process::start("dispatcher", Path::new(command[0]), args, of_all);
        address(&dispatcher, "http=").await;
        let bootstrap = Process::start("bootstrap", program(), ["keys", "bootstrap"], of_broker);
        let admin = bootstrap.wait_line("ll_", SOON).await;
        Self { broker, key, database, admin, http, ingest, dispatcher }
    }

    /// Starts query, and returns the system as seen through it.
    pub(crate) async fn query(&self, home: Home, env: &[(&str, &str)]) -> World {
        let url = self.broker.url();
        let mut variables = vec![("LEADLINE_NATS_URL", url.as_str()), ("LEADLINE_MASTER_KEY", &self.key)];
        variables.extend(env);
        let of_query = ["--database-url", &self.database, "--allow-plain-http"];
        let args = arguments("query", &[&of_query[..], &ALLOWED].concat());
        let process = Process::start("query", program(), args, variables);
        let grpc = address(&process, "grpc=").await;
        fs::create_dir_all(home.data()).unwrap();
        let addresses = json!({"http": self.http, "grpc": grpc, "nats": self.broker.url()});
        fs::write(home.data().join("addresses.json"), addresses.to_string()).unwrap();
        fs::write(home.data().join("admin.key"), &self.admin).unwrap();
        World::attach(home, process).await
    }

    /// Starts a notifier whose mails are files in this folder.
    pub(crate) async fn notifier(&self, outbox: &Path) -> Process {
        let variables = [("LEADLINE_NATS_URL", self.broker.url()), ("LEADLINE_MASTER_KEY", self.key.clone())];
        let args = arguments("notifier", &["--outbox", outbox.to_str().unwrap()]);
        let process = Process::start("notifier", program(), args, variables);
        address(&process, "http=").await;
        process
    }

    /// Starts maintenance with the database of query.
    pub(crate) async fn maintenance(&self) -> Process {
        let args = arguments("maintenance", &["--database-url", &self.database]);
        let process = Process::start("maintenance", program(), args, [("LEADLINE_NATS_URL", self.broker.url())]);
        address(&process, "http=").await;
        process
    }
}

/// The arguments of a service on free ports.
pub(crate) fn arguments<'a>(service: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[service, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"], more].concat()
}

pub(crate) async fn address(process: &Process, which: &str) -> String {
    let line = process.wait_line("is ready:", SOON).await;
    line.split_once(which).unwrap().1.split(' ').next().unwrap().to_owned()
}
