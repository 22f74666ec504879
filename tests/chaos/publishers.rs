//! The publishers. Each publishes one event after another at a fixed rate, and repeats a call until the event is
//! stored.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use access::AuthInterceptor;
use api::{PublishLeadRequest, ingest_service_client::IngestServiceClient};
use serde_json::json;
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tonic::{Code, transport::Channel};

use crate::{
    expectations::{Event, INTERFACE},
    ledger::Ledger,
    stage::Stage,
};

/// The number of publishers. Every second one uses gRPC.
const PUBLISHERS: usize = 6;
/// The timeout of a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before a call is repeated.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// Publishers that run until [`Publishers::stop`].
#[derive(Debug)]
pub(crate) struct Publishers {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

impl Publishers {
    /// Starts publishers that together publish `rate` events per second.
    pub(crate) fn start(stage: &Stage, ledger: &Ledger, seed: u64, rate: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for publisher in 0..PUBLISHERS {
            let clients: Vec<_> =
                stage.services_of("ingest").map(|ingest| Client::new(publisher, ingest, stage)).collect();
            let (ledger, stop) = (ledger.clone(), Arc::clone(&stop));
            let mut ticks = tokio::time::interval(Duration::from_secs(1) * PUBLISHERS as u32 / rate as u32);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tasks.spawn(async move {
                for number in 0.. {
                    ticks.tick().await;
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let event = Event::new(seed, publisher, number);
                    publish(&clients, &event).await;
                    ledger.accepted(&event);
                }
            });
        }
        Self { tasks, stop }
    }

    /// Stops each publisher once its current event is accepted.
    pub(crate) async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

/// A client of an ingest service.
enum Client {
    Http { web: reqwest::Client, url: String, key: String },
    Grpc(Box<IngestServiceClient<access::AuthChannel>>),
}

/// Tries one client after another until the event is accepted.
async fn publish(clients: &[Client], event: &Event) {
    for client in clients.iter().cycle() {
        match tokio::time::timeout(CALL_TIMEOUT, client.publish(event)).await {
            Ok(true) => return,
            Ok(false) | Err(_) => tokio::time::sleep(RETRY_DELAY).await,
        }
    }
}

impl Client {
    fn new(publisher: usize, ingest: &crate::stage::Service, stage: &Stage) -> Self {
        if publisher.is_multiple_of(2) {
            return Self::Http { web: web(), url: format!("{}/v1/leads", ingest.http), key: stage.key.clone() };
        }
        let channel = Channel::from_shared(ingest.grpc.clone()).unwrap().connect_lazy();
        Self::Grpc(Box::new(IngestServiceClient::new(AuthInterceptor::new(&stage.key).unwrap().over(channel))))
    }

    /// Whether the event is stored. A killed process must never cause an error that blames event or publisher.
    async fn publish(&self, event: &Event) -> bool {
        match self {
            Self::Http { web, url, key } => {
                let payload: serde_json::Value = serde_json::from_str(&event.payload()).unwrap();
                let body = json!({"account": event.account, "interface": INTERFACE, "event_id": event.id,
                    "lead_id": event.lead, "type": event.kind, "payload": payload});
                let Ok(answer) = web.post(url).bearer_auth(key).body(body.to_string()).send().await else {
                    return false;
                };
                let status = answer.status().as_u16();
                assert!(status == 202 || status >= 500, "{status}: {:?}", answer.text().await);
                status == 202
            }
            Self::Grpc(client) => {
                let request = PublishLeadRequest {
                    account: event.account.into(),
                    interface: INTERFACE.into(),
                    event_id: event.id.clone(),
                    lead_id: event.lead.clone(),
                    r#type: event.kind.into(),
                    payload: event.payload().into(),
                    ..PublishLeadRequest::default()
                };
                match client.clone().publish_lead(request).await {
                    Ok(_) => true,
                    Err(status) => {
                        let wrong =
                            [Code::InvalidArgument, Code::Unauthenticated, Code::PermissionDenied, Code::NotFound];
                        assert!(!wrong.contains(&status.code()), "{status}");
                        false
                    }
                }
            }
        }
    }
}

fn web() -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let tls = tls.with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build().unwrap()
}
