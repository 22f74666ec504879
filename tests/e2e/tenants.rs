//! A hostile account beside an honest one. During each attack all leads of the honest account are accepted and arrive,
//! and the process stays small.

use std::{fs, time::Duration};

use access::AuthChannel;
use api::{
    Scope, delivery_service_client::DeliveryServiceClient, destination::Body,
    ingest_service_client::IngestServiceClient, registry_service_client::RegistryServiceClient,
};
use futures::{StreamExt as _, future::join_all, stream};
use serde_json::json;
use testkit::{NameServer, Receiver, wait};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    connections::half_sent,
    usage,
    world::{World, event_json, some_destination, web},
};

const HOSTILE: &str = "hostile";
/// Interfaces of the hostile account, each with its own destinations.
const TEMPLATES: &str = "templates";
const NAMES: &str = "names";
const LOOP: &str = "loop";
/// The number of honest leads during each attack.
const LEADS: usize = 10;
/// How long the honest leads may take on a busy machine.
const TIMELY: Duration = Duration::from_secs(15);
/// Limits of the process: memory, threads, and open files.
const MAX_MEMORY_KIB: u64 = 512 * 1024;
const MAX_THREADS: usize = 96;
const MAX_FILES: usize = 600;
/// Connections that send half a request, and destinations with a silent name server.
const HALF_SENT: usize = 300;
const SILENT: usize = 200;
/// Events that are streamed without waiting for answers, each for [`SILENT`] destinations.
const STREAMED: usize = 1_000;
/// The number of opened watches and streams.
const OPENED: usize = 150;

/// The hostile account, which has only its own keys.
struct Hostile<'a> {
    world: &'a World,
    publish: String,
    registry: RegistryServiceClient<AuthChannel>,
}

impl<'a> Hostile<'a> {
    async fn new(world: &'a World) -> Self {
        let account = api::Account { account_id: HOSTILE.into(), ..api::Account::default() };
        world.registry().create_account(api::CreateAccountRequest { account: Some(account) }).await.unwrap();
        let (admin, _) = world.new_key(HOSTILE, &[Scope::Admin]).await;
        let mut registry = RegistryServiceClient::new(world.called_with(&admin).await);
        for id in [TEMPLATES, NAMES, LOOP] {
            let interface =
                api::Interface { account_id: HOSTILE.into(), interface_id: id.into(), ..Default::default() };
            registry.create_interface(api::CreateInterfaceRequest { interface: Some(interface) }).await.unwrap();
        }
        let (publish, _) = world.new_key(HOSTILE, &[Scope::Publish, Scope::Read]).await;
        Self { world, publish, registry }
    }

    async fn destination(&self, interface: &str, destination: api::Destination) -> Result<(), tonic::Status> {
        let (account_id, interface_id) = (HOSTILE.into(), interface.into());
        let destination = Some(api::Destination { account_id, interface_id, ..destination });
        let request = api::CreateDestinationRequest { destination, ..Default::default() };
        self.registry.clone().create_destination(request).await.map(drop)
    }

    async fn post(&self, body: String) -> u16 {
        let request = web().post(format!("{}/v1/leads", self.world.http)).bearer_auth(&self.publish).body(body);
        request.send().await.unwrap().status().as_u16()
    }

    async fn publish(&self, interface: &str, id: &str) {
        let mut event = event_json(id);
        event["account"] = HOSTILE.into();
        event["interface"] = interface.into();
        assert_eq!(self.post(event.to_string()).await, 202);
    }

    /// Templates that multiply, chain and loop. Some are refused when they are set; the others get leads.
    async fn templates(&self) {
        let chain = format!("{{{{ {} }}}}", vec!["1"; 4_000].join("+"));
        let slow = "[{% for i in range(1000) %}{% for j in range(1000) %}{{ i }},{% endfor %}{% endfor %}0]";
        let bomb = "[{% for i in range(1000) %}{{ payload.name|replace('a', payload.name) }},{% endfor %}0]";
        let indent = r#"{"a": {{ payload.name|indent(1000000000000000) }}}"#;
        for template in [&chain, slow, bomb, indent] {
            let body = Some(Body::BodyTemplate(template.to_owned()));
            let url = "http://127.0.0.1:9/".to_owned();
            let _ = self.destination(TEMPLATES, api::Destination { url, body, ..some_destination() }).await;
        }
        join_all(["t1", "t2", "t3", "t4"].map(|id| self.publish(TEMPLATES, id))).await;
    }

    async fn silent_name_servers(&self) {
        let create = |n: usize| async move {
            let url = format!("http://h{n}.silent.test/");
            self.destination(NAMES, api::Destination { url, ..some_destination() }).await.unwrap();
        };
        stream::iter(0..SILENT).for_each_concurrent(32, create).await;
        self.publish(NAMES, "silent").await;
    }

    async fn a_million_events(&self) {
        assert_eq!(self.post(format!("[{{}}{}]", ",{}".repeat(1_300_000))).await, 413);
    }

    async fn a_stream_without_waiting(&self) {
        let mut client = IngestServiceClient::new(self.world.called_with(&self.publish).await);
        let event = |n: usize| api::PublishLeadRequest {
            account: HOSTILE.into(),
            interface: NAMES.into(),
            event_id: format!("s{n}"),
            payload: b"{}".to_vec().into(),
            ..Default::default()
        };
        let results = client.publish_leads(stream::iter(0..STREAMED).map(event)).await.unwrap().into_inner();
        assert_eq!(results.filter(|result| std::future::ready(result.is_ok())).count().await, STREAMED);
    }

    async fn half_sent_requests(&self) {
        let world = self.world;
        let open = |n: usize| async move {
            let url = if n.is_multiple_of(2) { &world.http } else { &world.grpc };
            half_sent(url, b"POST /v1/leads HTT", 2).await
        };
        let open = join_all((0..HALF_SENT).map(open)).await;
        assert_eq!(self.post(String::new()).await, 400);
        drop(open);
    }

    async fn streams_and_watches(&self) {
        let channel = Channel::from_shared(self.world.grpc.clone()).unwrap().connect().await.unwrap();
        let mut health = HealthClient::new(channel);
        let mut watches = DeliveryServiceClient::new(self.world.called_with(&self.publish).await);
        let (mut open, mut refused) = ((vec![], vec![]), 0);
        for _ in 0..OPENED {
            open.0.extend(health.watch(HealthCheckRequest::default()).await);
            match watches.watch_deliveries(api::WatchDeliveriesRequest::default()).await {
                Ok(watch) => open.1.push(watch),
                Err(status) => {
                    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 0, "no watch was refused");
    }

    async fn a_loop(&self) {
        let event = json!({"account": HOSTILE, "interface": LOOP, "payload": {}}).to_string();
        let destination = api::Destination {
            url: format!("{}/v1/leads", self.world.http),
            auth: Some(api::Auth {
                kind: Some(api::auth::Kind::BearerToken(self.publish.clone())),
                ..Default::default()
            }),
            body: Some(Body::BodyTemplate(format!("[{event}, {event}]"))),
            ..some_destination()
        };
        self.destination(LOOP, destination).await.unwrap();
        self.publish(LOOP, "loop").await;
    }
}

/// Publishes honest leads, and checks that each arrives in time.
async fn honest_leads_arrive(world: &World, receiver: &Receiver, attack: &str, before: usize) {
    for n in 0..LEADS {
        world.publish(&format!("{attack}-{n}")).await;
    }
    let health = web().get(format!("{}/healthz", world.http)).send();
    let health = tokio::time::timeout(TIMELY, health).await.expect("an answer of /healthz in time").unwrap();
    assert_eq!(health.status().as_u16(), 200);
    wait::until_eq(&format!("the leads beside {attack}"), TIMELY, before + LEADS, async || receiver.count()).await;
}

#[tokio::test]
async fn attacks_of_one_account_do_not_affect_another() {
    let names = NameServer::start(&[]).await;
    let address = names.address().to_string();
    let world = World::start_with(&["--dns-server", &address, "--max-deliveries-per-event", "1000"], &[]).await;
    let receiver = Receiver::start().await;
    world.destination(&receiver.url()).await;
    let hostile = Hostile::new(&world).await;
    let mut before = 0;
    macro_rules! beside {
        ($attack:ident) => {
            let honest = honest_leads_arrive(&world, &receiver, stringify!($attack), before);
            tokio::join!(hostile.$attack(), honest);
            before += LEADS;
        };
    }
    beside!(templates);
    beside!(silent_name_servers);
    beside!(a_million_events);
    beside!(a_stream_without_waiting);
    beside!(half_sent_requests);
    beside!(streams_and_watches);
    beside!(a_loop);
    assert_eq!(receiver.count(), before, "each lead arrives once");

    let threads = fs::read_dir(format!("/proc/{}/task", world.process.id())).unwrap().count();
    assert!(threads <= MAX_THREADS, "{threads} threads");
    let memory = usage::status(&world.process, "VmHWM");
    assert!(memory <= MAX_MEMORY_KIB, "{memory} KiB at peak");
    let files = usage::open_files(&world.process);
    assert!(files <= MAX_FILES, "{files} files");
}
