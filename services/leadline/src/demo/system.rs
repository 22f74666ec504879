//! The demonstrated system: a child process that the demo calls through public interfaces only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use access::{AuthChannel, AuthInterceptor};
use anyhow::{Context as _, bail, ensure};
use api::{
    Delivery, DeliveryFilter, ListDeliveriesRequest, RetryDeliveryRequest, access_service_client::AccessServiceClient,
    delivery_service_client::DeliveryServiceClient, registry_service_client::RegistryServiceClient,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tonic::transport::Channel;

use crate::processes::{data_dir::ADMIN_KEY, up::ADDRESSES};

/// How long the system may take to start or to stop.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// How often a condition is checked.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Events in one HTTP request.
const MAX_BATCH: u32 = 100;
/// Deliveries on one page.
const PAGE_SIZE: u32 = 500;

/// The account and the interface of the demo.
pub(super) const ACCOUNT: &str = "acme";
pub(super) const INTERFACE: &str = "contact-form";

pub(super) struct System {
    child: Child,
    folder: PathBuf,
    pub(super) http: String,
    pub(super) grpc: String,
    web: reqwest::Client,
    key: String,
    channel: AuthChannel,
}

/// The results of publishing.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) stored: usize,
}

impl System {
    pub(super) async fn start(folder: &Path, nats_server: Option<&Path>) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find the file of this program")?;
        let log = fs::File::create(folder.join("leadline.log"))?;
        let mut command = Command::new(program);
        command.arg("up").arg("--data-dir").arg(folder.join("data"));
        command.args(["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--brand", "Leadline Demo"]);
        command.args(["--allow-network", "127.0.0.0/8", "--allow-plain-http"]);
        // Each failed delivery causes one mail, so that the mails can be counted.
        command.args(["--notice-window", "0s", "--alert-after", "0"]);
        // No quota may suppress one of these mails.
        command.args(["--mails-per-account", "0", "--mails-per-recipient", "0"]);
        if let Some(nats_server) = nats_server {
            command.arg("--nats-server").arg(nats_server);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().context("leadline up cannot be started")?;
        let addresses = addresses(&mut child, folder).await?;
        let text = |name: &str| addresses[name].as_str().map(str::to_owned).context("addresses.json is incomplete");
        let (http, grpc) = (text("http")?, text("grpc")?);
        let channel =
            Channel::from_shared(grpc.clone())?.connect().await.context("leadline up does not answer over gRPC")?;
        let key = fs::read_to_string(folder.join("data").join(ADMIN_KEY)).context("the admin key cannot be read")?;
        let with_key = AuthInterceptor::new(&key).context("the admin key is invalid")?;
        let (key, channel) = (key.trim().to_owned(), with_key.over(channel));
        let web = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(no_tls()?).build()?;
        Ok(Self { child, folder: folder.to_owned(), http, grpc, web, key, channel })
    }

    pub(super) fn registry(&self) -> RegistryServiceClient<AuthChannel> {
        RegistryServiceClient::new(self.channel.clone())
    }

    /// A link that logs in to the console, once.
    pub(super) async fn console_link(&self) -> anyhow::Result<String> {
        let mut client = AccessServiceClient::new(self.channel.clone());
        let link = client.create_console_link(api::CreateConsoleLinkRequest::default()).await?;
        Ok(link.into_inner().url)
    }

    /// Publishes leads in NDJSON requests.
    pub(super) async fn publish(&self, count: u32) -> anyhow::Result<Published> {
        let mut published = Published::default();
        for first in (0..count).step_by(MAX_BATCH as usize) {
            let events: Vec<_> = (first..count.min(first + MAX_BATCH)).map(|n| event(n).to_string()).collect();
            let request = self.web.post(format!("{}/v1/leads", self.http)).bearer_auth(&self.key);
            let request = request.header("content-type", "application/x-ndjson").body(events.join("\n"));
            let answer = request.send().await?;
            let status = answer.status();
            let answer: Value = serde_json::from_slice(&answer.bytes().await?)?;
            ensure!(status.as_u16() == 202, "publishing was answered with {status}: {answer}");
            let results = answer["results"].as_array().context("the answer has no results")?;
            published.stored += results.iter().filter(|result| result["duplicate"] == false).count();
        }
        Ok(published)
    }

    /// Publishes the first leads again, one by one.
    pub(super) async fn publish_again(&self, count: usize) -> anyhow::Result<Published> {
        let mut published = Published::default();
        for n in (0..).take(count) {
            let request =
                self.web.post(format!("{}/v1/leads", self.http)).bearer_auth(&self.key).body(event(n).to_string());
            let answer: Value = serde_json::from_slice(&request.send().await?.bytes().await?)?;
            published.stored += usize::from(answer["duplicate"] != true);
        }
        Ok(published)
    }

    pub(super) async fn deliveries(&self, filter: &DeliveryFilter) -> anyhow::Result<Vec<Delivery>> {
        let mut client = DeliveryServiceClient::new(self.channel.clone());
        let (mut all, mut page_token) = (vec![], String::new());
        loop {
            let filter = Some(filter.clone());
            let page =
                client.list_deliveries(ListDeliveriesRequest { filter, page_size: PAGE_SIZE, page_token }).await?;
            let page = page.into_inner();
            all.extend(page.deliveries);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    pub(super) async fn retry(&self, delivery: &str) -> anyhow::Result<()> {
        let mut client = DeliveryServiceClient::new(self.channel.clone());
        let request = RetryDeliveryRequest {
            delivery_id: delivery.to_owned(),
            requested_by: "demo".to_owned(),
            ..RetryDeliveryRequest::default()
        };
        client.retry_delivery(request).await?;
        Ok(())
    }

    /// Waits until the outbox has at least `min` mails or the timeout has passed, and returns their number.
    pub(super) async fn emails(&self, min: usize, timeout: Duration) -> anyhow::Result<usize> {
        let give_up = Instant::now() + timeout;
        loop {
            let files = fs::read_dir(self.folder.join("data/outbox"))?.flatten();
            let count = files.filter(|file| file.path().extension().is_some_and(|end| end == "eml")).count();
            if count >= min || Instant::now() >= give_up {
                return Ok(count);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(id) = self.child.id() else { bail!("leadline up ended too early") };
        kill(Pid::from_raw(id.cast_signed()), Signal::SIGTERM)?;
        let status = tokio::time::timeout(START_DEADLINE, self.child.wait()).await;
        let status = status.context("leadline up does not stop")??;
        ensure!(status.success(), "leadline up failed while stopping: {status}");
        Ok(())
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("leadline.log")).unwrap_or_default()
    }
}

async fn addresses(child: &mut Child, folder: &Path) -> anyhow::Result<Value> {
    let give_up = Instant::now() + START_DEADLINE;
    loop {
        if let Ok(written) = fs::read(folder.join("data").join(ADDRESSES)) {
            return serde_json::from_slice(&written).context("addresses.json is not JSON");
        }
        let log = || fs::read_to_string(folder.join("leadline.log")).unwrap_or_default();
        if let Some(status) = child.try_wait()? {
            bail!("leadline up ended with {status}:\n{}", log());
        }
        ensure!(Instant::now() < give_up, "leadline up is not ready after {START_DEADLINE:?}:\n{}", log());
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn event(n: u32) -> Value {
    json!({
        "account": ACCOUNT,
        "interface": INTERFACE,
        "event_id": format!("demo-{n}"),
        "lead_id": format!("lead-{n}"),
        "payload": {"name": format!("Person {n}"), "email": format!("person{n}@example.com"), "score": n % 100},
    })
}

/// A TLS configuration without certificates, for clients that call plain HTTP only: the default would load
/// certificates.
pub(crate) fn no_tls() -> anyhow::Result<rustls::ClientConfig> {
    let builder =
        rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}
