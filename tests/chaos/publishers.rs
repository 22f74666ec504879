//! The publishers: each publishes one event after another, at its pace, and repeats a call until it is told that the event
//! is stored.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use access::WithKey;
use api::{PublishLeadRequest, ingest_service_client::IngestServiceClient};
use serde_json::json;
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tonic::{Code, transport::Channel};

use crate::{
    ledger::Ledger,
    stage::Stage,
    wants::{Event, INTERFACE},
};

/// How many publish at once; every second one over gRPC.
const PUBLISHERS: usize = 6;
/// How long a call may take before it is repeated.
const CALL: Duration = Duration::from_secs(5);
/// The pause before it is repeated.
const PAUSE: Duration = Duration::from_millis(50);

/// Those who publish, until they are told to stop.
#[derive(Debug)]
pub(crate) struct Publishers {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

impl Publishers {
    /// `rate` events in a second, together.
    pub(crate) fn start(stage: &Stage, ledger: &Ledger, seed: u64, rate: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for publisher in 0..PUBLISHERS {
            let doors: Vec<_> = stage.services_of("ingest").map(|ingest| Door::new(publisher, ingest, stage)).collect();
            let (ledger, stop) = (ledger.clone(), Arc::clone(&stop));
            let mut pace = tokio::time::interval(Duration::from_secs(1) * PUBLISHERS as u32 / rate as u32);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tasks.spawn(async move {
                for number in 0.. {
                    pace.tick().await;
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let event = Event::new(seed, publisher, number);
                    publish(&doors, &event).await;
                    ledger.accepted(&event);
                }
            });
        }
        Self { tasks, stop }
    }

    /// Lets each have the event accepted that it is at.
    pub(crate) async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

/// A way to an ingest service.
enum Door {
    Http { web: reqwest::Client, url: String, key: String },
    Grpc(Box<IngestServiceClient<access::Keyed>>),
}

/// One door after another, until the event is accepted.
async fn publish(doors: &[Door], event: &Event) {
    for door in doors.iter().cycle() {
        match tokio::time::timeout(CALL, door.publish(event)).await {
            Ok(true) => return,
            Ok(false) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

impl Door {
    fn new(publisher: usize, ingest: &crate::stage::Service, stage: &Stage) -> Self {
        if publisher.is_multiple_of(2) {
            return Self::Http { web: web(), url: format!("{}/v1/leads", ingest.http), key: stage.key.clone() };
        }
        let channel = Channel::from_shared(ingest.grpc.clone()).unwrap().connect_lazy();
        Self::Grpc(Box::new(IngestServiceClient::new(WithKey::new(&stage.key).unwrap().over(channel))))
    }

    /// Whether the event is stored. Nothing that is killed makes an event, or who publishes it, a wrong one.
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
