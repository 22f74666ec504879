//! The system under test scaled out: a broker, and a process for each service, with any number of dispatchers.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use crypto::MasterKey;
use tempfile::TempDir;
use testkit::{NatsServer, Process};

use crate::harness::{
    api::{Addresses, Api},
    usage::Processes,
};

/// How long a service may take to be ready.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// The name of the broker in tables.
pub(crate) const BROKER: &str = "broker";
/// The flush interval that `leadline up` sets, too.
const JETSTREAM: &str = "sync_interval: 100ms";

/// A running system of many processes.
#[derive(Debug)]
pub(crate) struct Apart {
    services: Vec<Service>,
    pub(crate) api: Api,
    broker: NatsServer,
    _folder: TempDir,
}

#[derive(Debug)]
struct Service {
    name: String,
    process: Process,
    start: Start,
}

/// The command that starts a process again.
#[derive(Debug, Clone)]
struct Start {
    program: PathBuf,
    args: Vec<String>,
    env: [(&'static str, String); 2],
}

impl Start {
    fn process(&self, name: &str) -> Process {
        Process::start(name, &self.program, &self.args, self.env.clone())
    }
}

impl Apart {
    /// Starts the system with this number of dispatchers, and creates an account.
    pub(crate) async fn start(program: &Path, dispatchers: usize) -> anyhow::Result<Self> {
        let (broker, folder) = (NatsServer::start_with(JETSTREAM).await, tempfile::tempdir()?);
        let at = |name: &str| folder.path().join(name).display().to_string();
        let (database, outbox) = (format!("sqlite:{}?mode=rwc", at("leadline.db")), at("outbox"));
        let url = broker.url();
        let master_key = MasterKey::generate()?.reveal();
        let env = [("LEADLINE_NATS_URL", url), ("LEADLINE_MASTER_KEY", master_key)];
        let start = |args: &[&str]| Start {
            program: program.to_owned(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: env.clone(),
        };
        let service = |name: &str, args: &[&str]| {
            let (kind, listen) =
                (name.split(' ').next().unwrap_or(name), ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]);
            let start = start(&[&[kind], &listen[..], args].concat());
            Service { name: name.to_owned(), process: start.process(name), start }
        };
        let ingest = service("ingest", &[]);
        let (http, ingest_grpc) = addresses(&ingest.process).await?;
        let query =
            service("query", &["--database-url", &database, "--allow-plain-http", "--allow-network", "127.0.0.0/8"]);
        let (_, query_grpc) = addresses(&query.process).await?;
        let notifier = service("notifier", &["--outbox", &outbox]);
        addresses(&notifier.process).await?;
        let mut services = vec![ingest, query, notifier];
        for nth in 1..=dispatchers {
            let dispatcher = service(&format!("dispatcher {nth}"), &["--allow-network", "127.0.0.0/8"]);
            addresses(&dispatcher.process).await?;
            services.push(dispatcher);
        }
        let bootstrap = start(&["keys", "bootstrap"]).process("leadline keys bootstrap");
        let key = bootstrap.wait_line("ll_", START_DEADLINE).await;
        let api = Api::connect(Addresses { http, ingest: ingest_grpc, query: query_grpc }, key).await?;
        api.account().await?;
        Ok(Self { services, api, broker, _folder: folder })
    }

    pub(crate) fn processes(&self) -> Processes {
        let services = self.services.iter().map(|service| (service.name.clone(), service.process.id()));
        services.chain(self.broker.id().map(|id| (BROKER.to_owned(), id))).collect()
    }

    /// Kills a service or the broker.
    pub(crate) fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        if name == BROKER {
            self.broker.kill();
        } else {
            self.service(name)?.process.kill();
        }
        Ok(())
    }

    /// Starts a killed process again. A service may listen at another address than before.
    pub(crate) async fn restart(&mut self, name: &str) -> anyhow::Result<()> {
        if name == BROKER {
            self.broker.restart().await;
            return Ok(());
        }
        let service = self.service(name)?;
        service.process = service.start.process(name);
        addresses(&service.process).await.map(drop)
    }

    fn service(&mut self, name: &str) -> anyhow::Result<&mut Service> {
        let found = self.services.iter_mut().find(|service| service.name == name);
        found.with_context(|| format!("there is no {name}"))
    }
}

/// Where a service listens for HTTP and gRPC, once it is ready.
async fn addresses(service: &Process) -> anyhow::Result<(String, String)> {
    let line = service.wait_line("is ready:", START_DEADLINE).await;
    let of = |which: &str| {
        let address = line.split_whitespace().find_map(|word| word.strip_prefix(which)).map(str::to_owned);
        address.with_context(|| format!("{line:?} does not say {which}…"))
    };
    Ok((of("http=")?, of("grpc=")?))
}
