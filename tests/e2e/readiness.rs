//! Readiness: each service reports whether it can work, and recovers without help.

use std::{fs::File, time::Duration};

use api::DeliveryStatus;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use testkit::{Answer, NatsServer, Receiver, SmallDisk, free_port, wait};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{
    publishing::request,
    world::{ACCOUNT, Home, SOON, World, event_json, retries, some_destination, web},
};

/// How long an installation may take to recover by itself.
const HEALED: Duration = Duration::from_secs(60);
/// The size of a small disk, in bytes.
const DISK: u64 = 64 * 1024 * 1024;

impl World {
    /// The answer of `/readyz` with this query.
    async fn ready(&self, query: &str) -> (u16, Value) {
        let answer = web().get(format!("{}/readyz{query}", self.http)).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    async fn health(&self, service: &str) -> ServingStatus {
        let channel = Channel::from_shared(self.grpc.clone()).unwrap().connect().await.unwrap();
        let request = HealthCheckRequest { service: service.into() };
        HealthClient::new(channel).check(request).await.unwrap().into_inner().status()
    }

    /// The troubles in the status: part and text.
    async fn troubles(&self) -> Vec<(String, String)> {
        let status = self.status().get_status(api::GetStatusRequest::default()).await.unwrap().into_inner();
        status.troubles.into_iter().map(|trouble| (trouble.part, trouble.text)).collect()
    }
}

#[tokio::test]
async fn unavailable_mail_server_only_degrades_readiness() {
    let smtp = format!("smtp://127.0.0.1:{}", free_port());
    let (world, receiver) = (World::start_with(&["--smtp-url", &smtp], &[]).await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    world.destination_with(api::Destination { url: receiver.url(), ..some_destination() }).await;
    world.publish("e1").await;
    wait::until("trouble with mail", SOON, async || world.ready("").await.1["mail"] != "ready").await;

    let (status, parts) = world.ready("").await;
    assert_eq!((status, &parts["broker"]), (200, &Value::from("ready")), "{parts}");
    let mail = parts["mail"].as_str().unwrap();
    assert!(mail.starts_with("degraded: ") && !mail.contains("127.0.0.1"), "{mail}");
    assert!(parts.as_object().unwrap().values().all(Value::is_string), "{parts}");
    for service in ["", "leadline.v1.IngestService", "leadline.v1.LeadService", "leadline.v1.RegistryService"] {
        assert_eq!(world.health(service).await, ServingStatus::Serving, "{service}");
    }
    assert_eq!(world.ready("?service=ingest").await.0, 200);
    assert_eq!(world.ready("?service=leadline.v1.LeadService").await.0, 200);
    assert_eq!(world.ready("?service=notifier").await.0, 503);
    assert_eq!(world.ready("?service=nothing").await.0, 404);
    assert_eq!(world.troubles().await, [("mail".into(), mail.trim_start_matches("degraded: ").into())]);
    let shown = world.run(&["status"]).await.well();
    assert!(shown.fact("trouble").starts_with("mail: "), "{shown:?}");
    world.publish("e2").await;
}

#[tokio::test]
async fn full_disk_is_reported_and_recovers_by_itself() {
    let disk = SmallDisk::mount(DISK);
    let home = Home::within(disk.path());
    let process = home.up(&[], &[]);
    let (world, receiver) = (World::attach(home, process).await, Receiver::start().await);
    world.set_up().await;
    receiver.answer(Answer::Status(500));
    let retry_policy = Some(retries(&[Duration::from_secs(5); 20]));
    world.destination_with(api::Destination { retry_policy, url: receiver.url(), ..some_destination() }).await;
    world.publish("e0").await;
    world.delivery_is("e0", DeliveryStatus::Retrying).await;

    let filler = disk.path().join("filler");
    SmallDisk::fill(&filler);
    let mut number = 0;
    let mut accepted = vec!["e0".to_owned()];
    let refused = wait::until("an event that is refused", SOON, async || {
        number += 1;
        let event = format!("e{number}");
        let (status, answer) = world.post(event_json(&event).to_string(), &[]).await;
        if status == 202 {
            accepted.push(event);
        }
        (status == 503).then(|| answer.to_string())
    })
    .await;
    assert!(refused.contains("disk full"), "{refused}");
    let status = world.ingest().publish_lead(request("e-grpc")).await.unwrap_err();
    assert!(status.code() == Code::Unavailable && status.message().contains("disk full"), "{status:?}");
    let (status, parts) = world.ready("").await;
    assert_eq!(status, 503, "{parts}");
    assert!(parts["storage"].as_str().unwrap().contains("disk full"), "{parts}");
    assert!(!parts.to_string().contains(disk.path().to_str().unwrap()), "readyz shows no path: {parts}");
    assert_eq!(world.health("leadline.v1.IngestService").await, ServingStatus::NotServing);
    let troubles = world.troubles().await;
    assert!(troubles.iter().any(|(part, text)| part == "storage" && text.contains("disk full")), "{troubles:?}");
    let shown = world.run(&["status"]).await.well();
    assert!(shown.out.contains("storage: disk full"), "{shown:?}");

    File::create(&filler).unwrap();
    receiver.answer(Answer::Status(200));
    wait::until("events that are accepted again", HEALED, async || {
        world.post(event_json("after").to_string(), &[]).await.0 == 202
    })
    .await;
    accepted.push("after".into());
    for event in &accepted {
        world.delivery_is(event, DeliveryStatus::Succeeded).await;
    }
    wait::until_eq("readiness", HEALED, 200, async || world.ready("").await.0).await;
    wait::until("no trouble", HEALED, async || world.troubles().await.is_empty()).await;
    assert_eq!(world.health("").await, ServingStatus::Serving);
    let log = world.process.output();
    let of_broker = log.lines().filter(|line| line.contains("disk full: the broker cannot store")).count();
    assert_eq!(of_broker, 1, "once in the log:\n{log}");
    assert!(!log.contains("moved by another process"), "{log}");
}

#[tokio::test]
async fn hanging_broker_is_reported_and_recovers() {
    let broker = NatsServer::start().await;
    let world = World::start_with(&["--nats-url", &broker.url()], &[]).await;
    let process = Pid::from_raw(broker.id().unwrap().cast_signed());
    assert_eq!(world.ready("").await.0, 200);
    kill(process, Signal::SIGSTOP).unwrap();
    let parts = wait::until("a broker that does not answer", SOON, async || {
        let (status, parts) = world.ready("").await;
        if status == 503 { Ok(parts) } else { Err(parts) }
    })
    .await;
    assert_eq!(parts["broker"], "the broker does not answer");
    assert_eq!(world.health("leadline.v1.IngestService").await, ServingStatus::NotServing);
    assert_eq!(world.health("leadline.v1.LeadService").await, ServingStatus::Serving, "the read model works");
    let unknown = world.status().get_status(api::GetStatusRequest::default()).await.unwrap_err();
    assert!(unknown.message().contains("the broker does not answer"), "{unknown:?}");
    let shown = world.run(&["status"]).await;
    assert!(shown.code == 1 && shown.err.contains("the broker does not answer"), "{shown:?}");
    let leads = api::ListLeadsRequest { account_id: ACCOUNT.into(), ..api::ListLeadsRequest::default() };
    world.leads().list_leads(leads).await.unwrap();

    kill(process, Signal::SIGCONT).unwrap();
    wait::until_eq("readiness", SOON, 200, async || world.ready("").await.0).await;
    world.publish("e1").await;
}
