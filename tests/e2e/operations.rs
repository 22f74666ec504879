//! Operation: holding, draining, health, and services in separate processes.

use std::time::Duration;

use access::AuthInterceptor;
use api::DeliveryStatus;
use testkit::{Answer, NatsServer, Process, Receiver, wait};
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::{
    processes::{ALLOWED, arguments},
    world::{ACCOUNT, SOON, World, event_json, program, some_destination, web},
};

#[tokio::test]
async fn disabled_destination_holds_its_deliveries_until_enabled() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let destination_id = world.destination(&receiver.url()).await;
    let request = api::DisableDestinationRequest { account_id: ACCOUNT.into(), destination_id: destination_id.clone() };
    world.registry().disable_destination(request).await.unwrap();
    for n in 0..5 {
        world.publish(&format!("e{n}")).await;
        world.delivery_is(&format!("e{n}"), DeliveryStatus::Held).await;
    }
    assert_eq!(receiver.count(), 0);
    world.enable(&destination_id, false).await;
    for n in 0..5 {
        world.delivery_is(&format!("e{n}"), DeliveryStatus::Succeeded).await;
    }
    assert_eq!(receiver.count(), 5);
}

#[tokio::test]
async fn deleted_destination_gets_nothing_more() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let destination_id = world.destination(&receiver.url()).await;
    world.disable(&destination_id).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Held).await;
    world.delete(&destination_id).await;
    let delivery = world.delivery_is("e1", DeliveryStatus::Failed).await.delivery.unwrap();
    assert_eq!(delivery.failure_reason, "destination_deleted");
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn concurrency_limit_of_one_destination_does_not_slow_others() {
    let world = World::start().await;
    let (slow, fast) = (Receiver::start().await, Receiver::start().await);
    slow.answer(Answer::Gate(200));
    let timeout = Some(api::duration_to_api(Duration::from_secs(30)));
    let narrow = api::Destination { url: slow.url(), concurrency: 3, timeout, ..some_destination() };
    world.destination_with(narrow).await;
    world.destination(&fast.url()).await;
    world.publish_many(400).await;
    wait::until_eq("all at the fast one", SOON, 400, async || fast.count()).await;
    wait::until_eq("three at the slow one", SOON, 3, async || slow.in_flight()).await;
    slow.open_gate();
    wait::until_eq("all at the slow one", SOON, 400, async || slow.count()).await;
    assert_eq!(slow.max_in_flight(), 3);
}

#[tokio::test]
async fn process_drains_and_continues_after_a_restart() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Gate(200));
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    wait::until_eq("a request in flight", SOON, 1, async || receiver.in_flight()).await;
    world.process.terminate();
    wait::until("the listener to refuse connections", SOON, async || {
        web().get(format!("{}/healthz", world.http)).send().await.is_err()
    })
    .await;
    receiver.open_gate();
    assert_eq!(world.process.wait_exit(SOON).await.code(), Some(0), "{}", world.process.output());
    assert!(!world.home.data().join("addresses.json").exists());
    let world = world.again(&[]).await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn up_restarts_a_dead_broker() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let output = std::process::Command::new("pgrep")
        .args(["-f", &format!("nats-server -c {}", world.home.data().join("nats.conf").display())])
        .output()
        .unwrap();
    let pid = String::from_utf8(output.stdout).unwrap();
    let killed = std::process::Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap();
    assert!(killed.success());
    wait::until("an accepted event", SOON, async || world.post(event_json("e1").to_string(), &[]).await.0 == 202).await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
}

#[tokio::test]
async fn health_and_reflection_are_served() {
    let world = World::start().await;
    let channel = Channel::from_shared(world.grpc.clone()).unwrap().connect().await.unwrap();
    for service in ["", "leadline.v1.DeliveryService", "leadline.v1.IngestService"] {
        let request = HealthCheckRequest { service: service.into() };
        let answer = HealthClient::new(channel.clone()).check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let names = services_by_reflection(channel).await;
    for name in ["IngestService", "RegistryService", "DeliveryService", "LeadService", "StatusService"] {
        assert!(names.contains(&format!("leadline.v1.{name}")), "{names:?}");
    }
    assert!(names.contains(&"grpc.health.v1.Health".to_owned()), "{names:?}");
    let healthy = web().get(format!("{}/healthz", world.http)).send().await.unwrap();
    assert_eq!(healthy.status().as_u16(), 200);
}

async fn services_by_reflection(channel: Channel) -> Vec<String> {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel);
    let mut answers = client.server_reflection_info(futures::stream::iter([request])).await.unwrap().into_inner();
    match answers.message().await.unwrap().unwrap().message_response.unwrap() {
        MessageResponse::ListServicesResponse(list) => list.service.into_iter().map(|s| s.name).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn services_run_in_separate_processes() {
    let (broker, receiver) = (NatsServer::start().await, Receiver::start().await);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let key = crypto::MasterKey::generate().unwrap().reveal();
    let database = format!("sqlite:{}?mode=rwc", at("leads.db"));
    let outbox = at("outbox");
    let env = [("LEADLINE_NATS_URL", broker.url()), ("LEADLINE_MASTER_KEY", key)];
    let start =
        |service: &str, args: &[&str]| Process::start(service, program(), arguments(service, args), env.clone());
    let services = [
        start("ingest", &[]),
        start("dispatcher", &ALLOWED),
        start("notifier", &["--outbox", &outbox]),
        start("query", &[&["--database-url", &database, "--allow-plain-http"], &ALLOWED[..]].concat()),
    ];
    let mut addresses = vec![];
    for service in &services {
        let line = service.wait_line("is ready:", SOON).await;
        let (http, grpc) = line.split_once("http=").unwrap().1.split_once(" grpc=").unwrap();
        addresses.push((http.to_owned(), grpc.to_owned()));
    }
    let bootstrap = Process::start("bootstrap", program(), ["keys", "bootstrap"], env.clone());
    let key = bootstrap.wait_line("ll_", SOON).await;
    let channel = Channel::from_shared(addresses[3].1.clone()).unwrap().connect().await.unwrap();
    let channel = AuthInterceptor::new(&key).unwrap().over(channel);
    let mut registry = api::registry_service_client::RegistryServiceClient::new(channel.clone());
    let account = api::Account { account_id: ACCOUNT.into(), ..api::Account::default() };
    registry.create_account(api::CreateAccountRequest { account: Some(account) }).await.unwrap();
    let interface =
        api::Interface { account_id: ACCOUNT.into(), interface_id: "form".into(), ..api::Interface::default() };
    registry.create_interface(api::CreateInterfaceRequest { interface: Some(interface) }).await.unwrap();
    let destination = Some(api::Destination { url: receiver.url(), ..some_destination() });
    registry
        .create_destination(api::CreateDestinationRequest { destination, ..api::CreateDestinationRequest::default() })
        .await
        .unwrap();

    let url = format!("{}/v1/leads", addresses[0].0);
    let answer = web().post(url).bearer_auth(&key).body(event_json("e1").to_string()).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 202);
    let mut deliveries = api::delivery_service_client::DeliveryServiceClient::new(channel);
    wait::until("the delivery", SOON, async || {
        let all = deliveries.list_deliveries(api::ListDeliveriesRequest::default()).await.unwrap().into_inner();
        all.deliveries.iter().any(|delivery| delivery.status() == DeliveryStatus::Succeeded)
    })
    .await;
    for service in &services {
        service.terminate();
    }
    for service in &services {
        assert_eq!(service.wait_exit(SOON).await.code(), Some(0), "{}", service.output());
    }
}

#[tokio::test]
async fn command_line_calls_any_method_and_stream() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let account = format!("{{\"account_id\": \"{ACCOUNT}\"}}");
    let call = |method: &str| {
        let data = world.home.data();
        let place = ["--grpc-url", &world.grpc, "--data-dir", data.to_str().unwrap()];
        let args: Vec<_> = ["call", method, &account].into_iter().chain(place).map(str::to_owned).collect();
        Process::start("leadline call", program(), args, [] as [(&str, &str); 0])
    };
    let destinations = call("RegistryService/ListDestinations");
    assert_eq!(destinations.wait_exit(SOON).await.code(), Some(0), "{}", destinations.output());
    world.destination(&receiver.url()).await;
    let watch = call("DeliveryService/WatchDeliveries");
    for n in 0.. {
        // Eventually an event is published after the watch began.
        world.publish(&format!("e{n}")).await;
        world.delivery_is(&format!("e{n}"), DeliveryStatus::Succeeded).await;
        if watch.output().contains("DELIVERY_STATUS_SUCCEEDED") {
            break;
        }
        assert!(watch.is_running() && n < 1_000, "{}", watch.output());
    }
}
