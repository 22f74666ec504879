//! The system under test as it is scaled out: a broker, and each service as a process of its own, of dispatchers as many as
//! wanted.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use crypto::MasterKey;
use tempfile::TempDir;
use testkit::{NatsServer, Process};

use crate::{
    api::{Addresses, Api},
    usage::Processes,
};

/// How long a service may take to be ready.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// The broker flushes as that of `leadline up` does.
const JETSTREAM: &str = "sync_interval: 100ms";

/// A running system of many processes.
#[derive(Debug)]
pub(crate) struct Apart {
    services: Vec<(String, Process)>,
    pub(crate) api: Api,
    broker: NatsServer,
    _folder: TempDir,
}

impl Apart {
    /// One with so many dispatchers, and an account.
    pub(crate) async fn start(program: &Path, dispatchers: usize) -> anyhow::Result<Self> {
        let (broker, folder) = (NatsServer::start_with(JETSTREAM).await, tempfile::tempdir()?);
        let at = |name: &str| folder.path().join(name).display().to_string();
        let (database, outbox) = (format!("sqlite:{}?mode=rwc", at("leadline.db")), at("outbox"));
        let url = broker.url();
        let master_key = MasterKey::generate()?.reveal();
        let env = [("LEADLINE_NATS_URL", url.as_str()), ("LEADLINE_MASTER_KEY", &master_key)];
        let start = |name: &str, args: &[&str]| {
            let mut all = vec![name, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
            all.extend(args);
            Process::start(name, program, all, env)
        };
        let ingest = start("ingest", &[]);
        let (http, ingest_grpc) = addresses(&ingest).await?;
        let query = start("query", &["--database-url", &database, "--allow-plain-http"]);
        let (_, query_grpc) = addresses(&query).await?;
        let notifier = start("notifier", &["--outbox", &outbox]);
        addresses(&notifier).await?;
        let mut services = vec![("ingest".into(), ingest), ("query".into(), query), ("notifier".into(), notifier)];
        for nth in 1..=dispatchers {
            let dispatcher = start("dispatcher", &["--allow-network", "127.0.0.0/8"]);
            addresses(&dispatcher).await?;
            services.push((format!("dispatcher {nth}"), dispatcher));
        }
        let bootstrap = Process::start("leadline keys bootstrap", program, ["keys", "bootstrap"], env);
        let key = bootstrap.wait_line("ll_", START_DEADLINE).await;
        let api = Api::connect(Addresses { http, ingest: ingest_grpc, query: query_grpc }, key).await?;
        api.account().await?;
        Ok(Self { services, api, broker, _folder: folder })
    }

    /// Its processes.
    pub(crate) fn processes(&self) -> Processes {
        let services = self.services.iter().map(|(name, process)| (name.clone(), process.id()));
        services.chain(self.broker.id().map(|id| ("broker".to_owned(), id))).collect()
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
