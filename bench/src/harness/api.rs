//! Calls of the measurements to a running system, over its public interfaces.

use std::{fmt, time::Duration};

use access::{AuthChannel, AuthInterceptor};
use anyhow::{Context as _, ensure};
use api::{
    delivery_service_client::DeliveryServiceClient, duration_to_api, ingest_service_client::IngestServiceClient,
    lead_service_client::LeadServiceClient, problem_service_client::ProblemServiceClient,
    registry_service_client::RegistryServiceClient, status_service_client::StatusServiceClient,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;
use tonic::transport::Channel;

/// The account of all leads.
pub(crate) const ACCOUNT: &str = "bench";
/// The request timeout of destinations.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The number of concurrent calls that create interfaces.
const CONCURRENT_CALLS: usize = 32;
/// The interval at which the status is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The addresses of a system.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    pub(crate) http: String,
    /// The ingest service over gRPC.
    pub(crate) ingest: String,
    /// Every other service over gRPC.
    pub(crate) query: String,
}

/// A running system, as its users see it.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) addresses: Addresses,
    pub(crate) key: String,
    channel: AuthChannel,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Api {
    pub(crate) async fn connect(addresses: Addresses, key: String) -> anyhow::Result<Self> {
        let channel = keyed(&addresses.query, &key).await?;
        Ok(Self { addresses, key, channel })
    }

    /// Opens a new connection.
    pub(crate) async fn ingest(&self) -> anyhow::Result<IngestServiceClient<AuthChannel>> {
        Ok(IngestServiceClient::new(keyed(&self.addresses.ingest, &self.key).await?))
    }

    pub(crate) fn deliveries(&self) -> DeliveryServiceClient<AuthChannel> {
        DeliveryServiceClient::new(self.channel.clone())
    }

    pub(crate) fn problems(&self) -> ProblemServiceClient<AuthChannel> {
        ProblemServiceClient::new(self.channel.clone())
    }

    pub(crate) fn leads(&self) -> LeadServiceClient<AuthChannel> {
        LeadServiceClient::new(self.channel.clone())
    }

    fn registry(&self) -> RegistryServiceClient<AuthChannel> {
        RegistryServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn status(&self) -> anyhow::Result<api::GetStatusResponse> {
        let mut service = StatusServiceClient::new(self.channel.clone());
        Ok(service.get_status(api::GetStatusRequest::default()).await?.into_inner())
    }

    /// Waits until each published event is routed, in its lane or parked, and in the read model.
    pub(crate) async fn settled(&self, within: Duration) -> anyhow::Result<()> {
        let give_up = Instant::now() + within;
        loop {
            let behind: u64 = self.status().await?.lags.iter().map(|lag| lag.waiting).sum();
            if behind == 0 {
                return Ok(());
            }
            ensure!(Instant::now() < give_up, "{behind} messages still wait in work queues after {within:?}");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until at least `count` timers are pending.
    pub(crate) async fn has_timers(&self, count: u64, within: Duration) -> anyhow::Result<()> {
        let give_up = Instant::now() + within;
        loop {
            let pending = self.status().await?.timers_pending;
            if pending >= count {
                return Ok(());
            }
            ensure!(Instant::now() < give_up, "{pending} of {count} timers are pending after {within:?}");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    pub(crate) async fn account(&self) -> anyhow::Result<()> {
        let account = api::Account { account_id: ACCOUNT.into(), ..api::Account::default() };
        self.registry().create_account(api::CreateAccountRequest { account: Some(account) }).await?;
        Ok(())
    }

    /// The id of the first destination.
    pub(crate) async fn destination(&self) -> anyhow::Result<String> {
        let request =
            api::ListDestinationsRequest { account_id: ACCOUNT.into(), ..api::ListDestinationsRequest::default() };
        let all = self.registry().list_destinations(request).await?.into_inner().destinations;
        Ok(all.into_iter().next().context("a destination")?.destination_id)
    }

    /// Creates `count` interfaces, named after `prefix`, each with one destination that gets its leads alone and
    /// signed. One token signs for all of them.
    pub(crate) async fn interfaces(&self, prefix: &str, count: usize, url: &str) -> anyhow::Result<Vec<String>> {
        self.interfaces_like(prefix, count, url, &api::Destination::default()).await
    }

    /// Like [`Api::interfaces`], with the settings of `like` for the destinations.
    pub(crate) async fn interfaces_like(
        &self,
        prefix: &str,
        count: usize,
        url: &str,
        like: &api::Destination,
    ) -> anyhow::Result<Vec<String>> {
        let token = api::CreateTokenRequest {
            account_id: ACCOUNT.into(),
            name: prefix.into(),
            ..api::CreateTokenRequest::default()
        };
        let token = self.registry().create_token(token).await?.into_inner().token.context("a token")?;
        let like = api::Destination {
            account_id: ACCOUNT.into(),
            url: url.into(),
            token_id: token.token_id,
            timeout: Some(duration_to_api(TIMEOUT)),
            ..like.clone()
        };
        let names = (0..count).map(|n| format!("{prefix}{n}"));
        let made = names.map(|name| self.interface(name, &like));
        stream::iter(made).buffered(CONCURRENT_CALLS).try_collect().await
    }

    /// Creates interfaces whose events no destination wants.
    pub(crate) async fn unwanted(&self, prefix: &str, count: usize) -> anyhow::Result<Vec<String>> {
        let made = (0..count).map(|n| self.unwanted_interface(format!("{prefix}{n}")));
        stream::iter(made).buffered(CONCURRENT_CALLS).try_collect().await
    }

    /// Names values in the payloads of an interface by which leads are found.
    pub(crate) async fn searchable(&self, interface: &str, fields: &[(&str, &str)]) -> anyhow::Result<()> {
        let field = |(name, path): &(&str, &str)| api::SearchableField {
            name: (*name).to_owned(),
            path: (*path).to_owned(),
            kind: api::SearchableKind::Text.into(),
        };
        let interface = api::Interface {
            account_id: ACCOUNT.into(),
            interface_id: interface.into(),
            searchable_fields: fields.iter().map(field).collect(),
            ..api::Interface::default()
        };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["searchable_fields".into()] });
        let request = api::UpdateInterfaceRequest { interface: Some(interface), update_mask };
        self.registry().update_interface(request).await?;
        Ok(())
    }

    async fn unwanted_interface(&self, id: String) -> anyhow::Result<String> {
        let interface =
            api::Interface { account_id: ACCOUNT.into(), interface_id: id.clone(), ..api::Interface::default() };
        self.registry().create_interface(api::CreateInterfaceRequest { interface: Some(interface) }).await?;
        Ok(id)
    }

    async fn interface(&self, id: String, like: &api::Destination) -> anyhow::Result<String> {
        let id = self.unwanted_interface(id).await?;
        let destination = api::Destination { interface_id: id.clone(), name: id.clone(), ..like.clone() };
        let request = api::CreateDestinationRequest {
            destination: Some(destination),
            ..api::CreateDestinationRequest::default()
        };
        self.registry().create_destination(request).await?;
        Ok(id)
    }
}

async fn keyed(url: &str, key: &str) -> anyhow::Result<AuthChannel> {
    let channel = Channel::from_shared(url.to_owned())?.connect().await?;
    Ok(AuthInterceptor::new(key).context("the key of the administrator does not fit into a header")?.over(channel))
}
