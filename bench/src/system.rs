//! The system under test: `leadline up` in a folder of its own.

use std::{path::Path, time::Duration};

use access::{Keyed, WithKey};
use anyhow::{Context as _, ensure};
use serde_json::Value;
use tempfile::TempDir;
use testkit::Process;
use tonic::transport::Channel;
use wire::{
    api::{
        self, delivery_service_client::DeliveryServiceClient, lead_service_client::LeadServiceClient,
        registry_service_client::RegistryServiceClient, status_service_client::StatusServiceClient,
    },
    duration_to_api,
};

use crate::machine::{children, cpu_ms, memory_mib};

pub(crate) const ACCOUNT: &str = "bench";

/// A running system.
pub(crate) struct System {
    process: Process,
    pub(crate) http: String,
    pub(crate) database: String,
    pub(crate) key: String,
    channel: Keyed,
    folder: TempDir,
}

/// What a system has used: processor time in milliseconds, memory in MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) services_cpu: f64,
    pub(crate) broker_cpu: f64,
    pub(crate) services_memory: f64,
    pub(crate) broker_memory: f64,
}

impl System {
    pub(crate) async fn start(program: &Path, args: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        let data_text = data.to_str().context("a folder whose name is UTF-8")?;
        let mut all = vec!["up", "--data-dir", data_text, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
        all.extend(["--allow-network", "127.0.0.0/8", "--allow-plain-http"]);
        all.extend(args);
        let nats_server = testkit::nats::binary();
        let env = [("LEADLINE_NATS_SERVER", nats_server.as_os_str())];
        let process = Process::start("leadline up", program, all, env);
        process.wait_line("is ready", Duration::from_secs(60)).await;
        let addresses = testkit::wait::until("addresses.json", Duration::from_secs(10), async || {
            serde_json::from_slice::<Value>(&std::fs::read(data.join("addresses.json")).ok()?).ok()
        })
        .await;
        let text = |name: &str| addresses[name].as_str().map(str::to_owned).context("addresses.json is incomplete");
        let channel = Channel::from_shared(text("grpc")?)?.connect().await?;
        let key = std::fs::read_to_string(data.join("admin.key"))?.trim().to_owned();
        let channel = WithKey::new(&key).context("a key")?.over(channel);
        let (http, database) = (text("http")?, text("database")?);
        let system = Self { process, http, database, key, channel, folder };
        let account = api::Account { account_id: ACCOUNT.into(), ..api::Account::default() };
        system.registry().create_account(api::CreateAccountRequest { account: Some(account) }).await?;
        Ok(system)
    }

    fn registry(&self) -> RegistryServiceClient<Keyed> {
        RegistryServiceClient::new(self.channel.clone())
    }

    pub(crate) fn deliveries(&self) -> DeliveryServiceClient<Keyed> {
        DeliveryServiceClient::new(self.channel.clone())
    }

    pub(crate) fn leads(&self) -> LeadServiceClient<Keyed> {
        LeadServiceClient::new(self.channel.clone())
    }

    /// Waits until everything that was published is routed, and handed to its lane or parked.
    pub(crate) async fn settled(&self, within: Duration) -> anyhow::Result<()> {
        let give_up = tokio::time::Instant::now() + within;
        loop {
            let mut service = StatusServiceClient::new(self.channel.clone());
            let status = service.get_status(api::GetStatusRequest::default()).await?.into_inner();
            let behind: u64 = status.lags.iter().map(|lag| lag.waiting).sum();
            if behind == 0 {
                return Ok(());
            }
            ensure!(
                tokio::time::Instant::now() < give_up,
                "{behind} messages still wait for somebody after {within:?}"
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// The id of some destination.
    pub(crate) async fn destination(&self) -> anyhow::Result<String> {
        let request = api::ListDestinationsRequest { account_id: ACCOUNT.into() };
        let all = self.registry().list_destinations(request).await?.into_inner().destinations;
        Ok(all.into_iter().next().context("a destination")?.destination_id)
    }

    /// An interface with one destination, which gets its leads alone.
    pub(crate) async fn interface(&self, id: &str, url: &str) -> anyhow::Result<()> {
        let interface =
            api::Interface { account_id: ACCOUNT.into(), interface_id: id.into(), ..api::Interface::default() };
        self.registry().create_interface(api::CreateInterfaceRequest { interface: Some(interface) }).await?;
        let token = api::CreateTokenRequest {
            account_id: ACCOUNT.into(),
            name: id.into(),
            ..api::CreateTokenRequest::default()
        };
        let token = self.registry().create_token(token).await?.into_inner().token.context("a token")?;
        let destination = api::Destination {
            account_id: ACCOUNT.into(),
            interface_id: id.into(),
            name: id.into(),
            url: url.into(),
            token_id: token.token_id,
            timeout: Some(duration_to_api(Duration::from_secs(15))),
            ..api::Destination::default()
        };
        let request = api::CreateDestinationRequest {
            destination: Some(destination),
            ..api::CreateDestinationRequest::default()
        };
        self.registry().create_destination(request).await?;
        Ok(())
    }

    pub(crate) fn usage(&self) -> Usage {
        let id = self.process.id();
        let brokers = children(id);
        Usage {
            services_cpu: cpu_ms(id),
            broker_cpu: brokers.iter().map(|broker| cpu_ms(*broker)).sum(),
            services_memory: memory_mib(id),
            broker_memory: brokers.iter().map(|broker| memory_mib(*broker)).sum(),
        }
    }

    /// Stops it in good order.
    pub(crate) async fn stop(self) {
        self.process.terminate();
        self.process.wait_exit(Duration::from_secs(60)).await;
        drop(self.folder);
    }
}

impl Usage {
    /// Processor time since an earlier look, in milliseconds: services, broker.
    pub(crate) fn cpu_since(&self, before: &Self) -> (f64, f64) {
        (self.services_cpu - before.services_cpu, self.broker_cpu - before.broker_cpu)
    }
}
