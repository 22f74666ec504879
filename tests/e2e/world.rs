//! A running system with an account, and its operations in tests.

mod home;

use std::{fs, path::Path, time::Duration};

use access::{AuthChannel, AuthInterceptor};
use api::{
    DeliveryStatus, access_service_client::AccessServiceClient, audit_service_client::AuditServiceClient,
    delivery_service_client::DeliveryServiceClient, duration_to_api, ingest_service_client::IngestServiceClient,
    job_service_client::JobServiceClient, lead_service_client::LeadServiceClient,
    registry_service_client::RegistryServiceClient, status_service_client::StatusServiceClient,
};
use serde_json::{Value, json};
use testkit::{Process, Receiver, wait};
use tonic::transport::Channel;

pub(crate) use self::home::{Home, program};

/// The usual deadline of waits.
pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const ACCOUNT: &str = "acme";
pub(crate) const INTERFACE: &str = "form";
pub(crate) const API_USER: &str = "dev@acme.example";
pub(crate) const OWNER: &str = "owner@acme.example";

/// A running system.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) home: Home,
    pub(crate) process: Process,
    pub(crate) http: String,
    pub(crate) grpc: String,
    pub(crate) nats: String,
    /// The administrator's key.
    pub(crate) key: String,
    channel: AuthChannel,
    web: reqwest::Client,
}

impl World {
    /// Starts a system with an account and an interface.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[], &[]).await
    }

    /// Like [`World::start`], with arguments and environment.
    pub(crate) async fn start_with(args: &[&str], env: &[(&str, &str)]) -> Self {
        let home = Home::new();
        let process = home.up(args, env);
        let world = Self::attach(home, process).await;
        world.set_up().await;
        world
    }

    /// Starts two systems: one with its read model in SQLite, one in PostgreSQL.
    pub(crate) async fn on_both() -> [Self; 2] {
        let database = testkit::postgres::database().await;
        let args = ["--database-url", database.as_str()];
        let (sqlite, postgres) = tokio::join!(Box::pin(Self::start()), Box::pin(Self::start_with(&args, &[])));
        [sqlite, postgres]
    }

    /// Waits until a process is ready.
    pub(crate) async fn attach(home: Home, process: Process) -> Self {
        let file = home.data().join("addresses.json");
        let addresses = wait::attempt(SOON, async || {
            if !process.is_running() {
                return Some(None);
            }
            read_json(&file).map(Some)
        })
        .await;
        let Ok(Some(addresses)) = addresses else { panic!("leadline up is not ready:\n{}", process.output()) };
        let text = |name: &str| addresses[name].as_str().unwrap().to_owned();
        let channel = Channel::from_shared(text("grpc")).unwrap().connect().await.unwrap();
        let key = home.admin_key();
        let channel = AuthInterceptor::new(&key).unwrap().over(channel);
        Self { home, process, http: text("http"), grpc: text("grpc"), nats: text("nats"), key, channel, web: web() }
    }

    /// Starts the system again in the same folder, after it ended.
    pub(crate) async fn again(self, args: &[&str]) -> Self {
        let home = self.home;
        let _ = fs::remove_file(home.data().join("addresses.json"));
        let process = home.up(args, &[]);
        Self::attach(home, process).await
    }

    pub(crate) async fn set_up(&self) {
        let account = api::Account {
            account_id: ACCOUNT.into(),
            name: "Acme".into(),
            brand: "Acme Cloud".into(),
            notification_emails: vec![OWNER.into()],
            api_user_emails: vec![API_USER.into()],
            ..api::Account::default()
        };
        self.registry().create_account(api::CreateAccountRequest { account: Some(account) }).await.unwrap();
        let interface = api::Interface {
            account_id: ACCOUNT.into(),
            interface_id: INTERFACE.into(),
            name: "Form".into(),
            ..api::Interface::default()
        };
        self.registry().create_interface(api::CreateInterfaceRequest { interface: Some(interface) }).await.unwrap();
    }

    /// The API, called with another key.
    pub(crate) async fn called_with(&self, key: &str) -> AuthChannel {
        let channel = Channel::from_shared(self.grpc.clone()).unwrap().connect().await.unwrap();
        AuthInterceptor::new(key).unwrap().over(channel)
    }

    /// Creates a key. Returns secret and id. The key is platform-wide if the account is empty.
    pub(crate) async fn new_key(&self, account: &str, scopes: &[api::Scope]) -> (String, String) {
        let request = api::CreateKeyRequest {
            account_id: account.into(),
            name: "of a test".into(),
            scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
            ..api::CreateKeyRequest::default()
        };
        let made = self.access().create_key(request).await.unwrap().into_inner();
        (made.secret, made.key.unwrap().key_id)
    }

    /// The API, called with the administrator's key.
    pub(crate) fn channel(&self) -> AuthChannel {
        self.channel.clone()
    }

    pub(crate) fn access(&self) -> AccessServiceClient<AuthChannel> {
        AccessServiceClient::new(self.channel.clone())
    }

    pub(crate) fn registry(&self) -> RegistryServiceClient<AuthChannel> {
        RegistryServiceClient::new(self.channel.clone())
    }

    pub(crate) fn audit(&self) -> AuditServiceClient<AuthChannel> {
        AuditServiceClient::new(self.channel.clone())
    }

    pub(crate) fn deliveries(&self) -> DeliveryServiceClient<AuthChannel> {
        DeliveryServiceClient::new(self.channel.clone())
    }

    pub(crate) fn leads(&self) -> LeadServiceClient<AuthChannel> {
        LeadServiceClient::new(self.channel.clone())
    }

    pub(crate) fn status(&self) -> StatusServiceClient<AuthChannel> {
        StatusServiceClient::new(self.channel.clone())
    }

    pub(crate) fn jobs(&self) -> JobServiceClient<AuthChannel> {
        JobServiceClient::new(self.channel.clone())
    }

    pub(crate) fn ingest(&self) -> IngestServiceClient<AuthChannel> {
        IngestServiceClient::new(self.channel.clone())
    }

    /// Creates a destination for the whole account. Returns its id.
    pub(crate) async fn destination(&self, url: &str) -> String {
        // Boxed, because the future is large, and tests hold several.
        Box::pin(self.destination_with(api::Destination { url: url.into(), ..some_destination() })).await
    }

    pub(crate) async fn destination_with(&self, destination: api::Destination) -> String {
        let request = api::CreateDestinationRequest {
            destination: Some(destination),
            ..api::CreateDestinationRequest::default()
        };
        Box::pin(self.registry().create_destination(request)).await.unwrap().into_inner().destination_id
    }

    pub(crate) async fn interface(&self, id: &str) {
        let interface =
            api::Interface { account_id: ACCOUNT.into(), interface_id: id.into(), ..api::Interface::default() };
        self.registry().create_interface(api::CreateInterfaceRequest { interface: Some(interface) }).await.unwrap();
    }

    pub(crate) async fn client(&self, id: &str) {
        let client = api::Client { account_id: ACCOUNT.into(), client_id: id.into(), name: String::new() };
        self.registry().create_client(api::CreateClientRequest { client: Some(client) }).await.unwrap();
    }

    pub(crate) async fn disable(&self, destination_id: &str) {
        let (account_id, destination_id) = (ACCOUNT.into(), destination_id.to_owned());
        let request = api::DisableDestinationRequest { account_id, destination_id };
        let disabled = self.registry().disable_destination(request).await.unwrap().into_inner();
        assert_eq!(disabled.enabled, Some(false));
    }

    pub(crate) async fn enable(&self, destination_id: &str, skip_held: bool) {
        let (account_id, destination_id) = (ACCOUNT.into(), destination_id.to_owned());
        let request = api::EnableDestinationRequest { account_id, destination_id, skip_held };
        let enabled = self.registry().enable_destination(request).await.unwrap().into_inner();
        assert_eq!((enabled.enabled, enabled.deactivated), (Some(true), None));
    }

    pub(crate) async fn delete(&self, destination_id: &str) {
        let (account_id, destination_id) = (ACCOUNT.into(), destination_id.to_owned());
        let request = api::DeleteDestinationRequest { account_id, destination_id };
        self.registry().delete_destination(request).await.unwrap();
    }

    /// Publishes events with the ids `e0`, `e1`, … in one request.
    pub(crate) async fn publish_many(&self, count: usize) {
        let events: Vec<_> = (0..count).map(|n| event_json(&format!("e{n}")).to_string()).collect();
        let (status, answer) = self.post(events.join("\n"), &[("content-type", "application/x-ndjson")]).await;
        assert_eq!(status, 202, "{answer}");
    }

    /// Posts a body to `/v1/leads`.
    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>, headers: &[(&str, &str)]) -> (u16, Value) {
        let mut request = self.web.post(format!("{}/v1/leads", self.http)).bearer_auth(&self.key).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    /// Publishes an event like [`event_json`], with other values for some fields.
    pub(crate) async fn publish_with(&self, event: &str, fields: Value) {
        let mut body = event_json(event);
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let (status, answer) = self.post(body.to_string(), &[]).await;
        assert_eq!(status, 202, "{answer}");
    }

    /// Publishes an event with this id about the lead `lead-<id>`.
    pub(crate) async fn publish(&self, event: &str) {
        let (status, answer) = self.post(event_json(event).to_string(), &[]).await;
        assert_eq!(status, 202, "{answer}");
    }

    /// The only delivery of an event, once it exists.
    pub(crate) async fn delivery(&self, event: &str) -> api::DeliveryDetail {
        let filter = api::DeliveryFilter { event_id: event.into(), ..api::DeliveryFilter::default() };
        let request = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
        let known = wait::until(&format!("the delivery of {event}"), SOON, async || {
            let found = self.deliveries().list_deliveries(request.clone()).await.unwrap().into_inner().deliveries;
            assert!(found.len() <= 1, "one delivery only: {found:?}");
            found.into_iter().next()
        })
        .await;
        let request = api::GetDeliveryRequest { delivery_id: known.delivery_id };
        self.deliveries().get_delivery(request).await.unwrap().into_inner()
    }

    /// Waits until the only delivery of an event has a status.
    pub(crate) async fn delivery_is(&self, event: &str, status: DeliveryStatus) -> api::DeliveryDetail {
        wait::until(&format!("the delivery of {event} {}", status.as_str_name()), SOON, async || {
            let detail = self.delivery(event).await;
            let now = detail.delivery.as_ref().unwrap().status();
            if now == status { Ok(detail) } else { Err(detail) }
        })
        .await
    }

    pub(crate) async fn retry(&self, event: &str) -> Result<api::Delivery, tonic::Status> {
        let delivery_id = self.delivery(event).await.delivery.unwrap().delivery_id;
        let request = api::RetryDeliveryRequest { delivery_id, requested_by: "a test".into(), ..Default::default() };
        self.deliveries().retry_delivery(request).await.map(|answer| answer.into_inner().delivery.unwrap())
    }

    /// The log of the lead of an event: entry and detail.
    pub(crate) async fn log(&self, event: &str) -> Vec<(String, String)> {
        let request = api::GetLeadLogRequest {
            account_id: ACCOUNT.into(),
            lead_id: lead_of(event),
            ..api::GetLeadLogRequest::default()
        };
        let entries = self.leads().get_lead_log(request).await.unwrap().into_inner().entries;
        entries.into_iter().map(|entry| (entry.entry, entry.detail)).collect()
    }

    pub(crate) async fn lead(&self, event: &str) -> api::Lead {
        let request = api::GetLeadRequest { account_id: ACCOUNT.into(), lead_id: lead_of(event) };
        self.leads().get_lead(request).await.unwrap().into_inner()
    }
}

pub(crate) fn web() -> reqwest::Client {
    let roots = rustls::RootCertStore::empty();
    let tls =
        rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()));
    let tls = tls.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_backend_preconfigured(tls)
        .build()
        .unwrap()
}

pub(crate) fn read_json(file: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

pub(crate) fn lead_of(event: &str) -> String {
    format!("lead-{event}")
}

pub(crate) fn event_json(event: &str) -> Value {
    json!({"account": ACCOUNT, "interface": INTERFACE, "event_id": event, "lead_id": lead_of(event),
        "payload": {"name": "Ada", "event": event}})
}

/// A destination for the whole account, without retries.
pub(crate) fn some_destination() -> api::Destination {
    api::Destination {
        account_id: ACCOUNT.into(),
        name: "CRM".into(),
        timeout: Some(duration_to_api(Duration::from_secs(2))),
        retry_policy: Some(retries(&[])),
        ..api::Destination::default()
    }
}

/// A retry policy with one retry after each of these delays, and no quick retries.
pub(crate) fn retries(schedule: &[Duration]) -> api::RetryPolicy {
    let custom = api::CustomRetryPolicy {
        schedule: schedule.iter().copied().map(duration_to_api).collect(),
        ..api::CustomRetryPolicy::default()
    };
    api::RetryPolicy { policy: Some(api::retry_policy::Policy::Custom(custom)) }
}

/// The ids of the events that a receiver has seen, each once.
pub(crate) fn events_at(receiver: &Receiver) -> Vec<String> {
    let mut ids: Vec<_> = receiver.requests().iter().map(|seen| seen.header("leadline-event-id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Whether any file in a folder contains these bytes.
pub(crate) fn is_readable_in(folder: &Path, needle: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return is_readable_in(&path, needle);
        }
        fs::read(&path).is_ok_and(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
    })
}
