//! Repeated event ids after the broker's deduplication window.

use std::time::{Duration, Instant};

use api::{DeliveryStatus, publish_leads_result::Result as Outcome};
use futures::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use testkit::{NatsServer, Process, Receiver, wait};

use crate::{
    processes::{address, arguments},
    publishing::{nats, request},
    world::{ACCOUNT, Home, SOON, World, event_json, lead_of, program, web},
};

/// Shorter than the test, so that the broker forgets the ids.
const WINDOW: &str = "1s";
/// Far less than repeated waits for query would take.
const AT_ONCE: Duration = Duration::from_secs(5);
const NO_ENVIRONMENT: [(&str, &str); 0] = [];

/// Waits until the broker has forgotten all earlier ids: a new id that is stored twice shows that.
async fn forgotten(world: &World) {
    forgotten_by(&async_nats::jetstream::new(nats(world).await)).await;
}

async fn forgotten_by(jetstream: &async_nats::jetstream::Context) {
    let id = uuid::Uuid::new_v4().to_string();
    wait::until("the broker to forget an id", SOON, async || {
        let message = async_nats::jetstream::message::PublishMessage::build().message_id(&id);
        let message = message.outbound_message(format!("poison.LEADS.{}", u64::MAX));
        let stored = jetstream.publish_with_headers(message.subject, message.headers.unwrap(), message.payload);
        let sequence = async || jetstream.get_stream("POISON").await.unwrap().cached_info().state.last_sequence;
        stored.await.unwrap().await.unwrap();
        sequence().await > 1
    })
    .await;
}

async fn leads(world: &World) -> Vec<(String, u32)> {
    let request = api::ListLeadsRequest { account_id: ACCOUNT.into(), ..api::ListLeadsRequest::default() };
    let mut leads = world.leads().list_leads(request).await.unwrap().into_inner().leads;
    leads.sort_by(|a, b| a.lead_id.cmp(&b.lead_id));
    leads.into_iter().map(|lead| (lead.lead_id, lead.events)).collect()
}

#[tokio::test]
async fn event_id_repeated_after_a_restart_is_the_same_event() {
    let database = testkit::postgres::database().await;
    for more in [&[][..], &["--database-url", &database]] {
        let args = [&["--dedup-window", WINDOW], more].concat();
        let (world, receiver) = (World::start_with(&args, &[]).await, Receiver::start().await);
        world.destination(&receiver.url()).await;
        let first = json!({"event_id": "e1", "lead_id": "lead-e1", "duplicate": false});
        assert_eq!(world.post(event_json("e1").to_string(), &[]).await, (202, first));
        world.delivery_is("e1", DeliveryStatus::Succeeded).await;
        world.process.terminate();
        world.process.wait_exit(SOON).await;
        let world = world.again(&args).await;
        forgotten(&world).await;

        // A repeat with another lead gets the first answer; another payload is refused.
        let again = json!({"event_id": "e1", "lead_id": "lead-e1", "duplicate": true});
        let mut body = event_json("e1");
        body["lead_id"] = "lead-b".into();
        assert_eq!(world.post(body.to_string(), &[]).await, (202, again.clone()));
        let (status, answer) = world.post(format!("[{body}]"), &[]).await;
        assert_eq!((status, &answer["results"][0]), (202, &again));
        body["payload"] = json!({"v": 2});
        let (status, answer) = world.post(body.to_string(), &[]).await;
        assert_eq!((status, &answer["error"]["reason"]), (409, &json!("EVENT_CONFLICT")), "{answer}");
        let (status, answer) = world.post(format!("[{body}]"), &[]).await;
        assert_eq!((status, &answer["results"][0]["error"]["code"]), (409, &json!("already_exists")), "{answer}");
        let refused = world.ingest().publish_lead(request("e1")).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::AlreadyExists, "{refused}");
        let payload = event_json("e1")["payload"].to_string().into();
        let other_lead = api::PublishLeadRequest { lead_id: "lead-b".into(), payload, ..request("e1") };
        let over_grpc = world.ingest().publish_lead(other_lead.clone()).await.unwrap().into_inner();
        assert_eq!((over_grpc.duplicate, &*over_grpc.lead_id), (true, "lead-e1"));
        let requests = futures::stream::iter([other_lead, request("e2")]);
        let results = world.ingest().publish_leads(requests).await.unwrap().into_inner();
        let mut results: Vec<_> = futures::TryStreamExt::try_collect(results).await.unwrap();
        results.sort_by_key(|result: &api::PublishLeadsResult| result.index);
        let published = results.into_iter().map(|result| match result.result.unwrap() {
            Outcome::Published(published) => (published.lead_id, published.duplicate),
            Outcome::Refused(refused) => panic!("{refused:?}"),
        });
        let expected = [("lead-e1".to_owned(), true), ("lead-e2".to_owned(), false)];
        assert_eq!(published.collect::<Vec<_>>(), expected);

        // An event after the repeats is delivered after them.
        world.delivery_is("e2", DeliveryStatus::Succeeded).await;
        assert_eq!(receiver.count(), 2);
        assert!(receiver.requests()[0].body == event_json("e1")["payload"].to_string().as_bytes());
        let seen = || leads(&world);
        wait::until_eq("no lead without events", SOON, vec![("lead-e1".into(), 1), ("lead-e2".into(), 1)], seen).await;
    }
}

/// The requests of ingest to query about known event ids.
struct Lookups {
    jetstream: async_nats::jetstream::Context,
    subscriber: async_nats::Subscriber,
}

impl Lookups {
    async fn follow(server: &NatsServer) -> Self {
        let client = server.client().await;
        let subscriber = client.subscribe("leadline.known-events").await.unwrap();
        let mut lookups = Self { jetstream: async_nats::jetstream::new(client), subscriber };
        lookups.count().await;
        lookups
    }

    /// The number of requests since the last call.
    async fn count(&mut self) -> usize {
        // The broker answers on the same connection, after all earlier messages.
        self.jetstream.get_stream("POISON").await.unwrap();
        std::iter::from_fn(|| self.subscriber.next().now_or_never()).count()
    }
}

/// A further ingest process on the same broker.
struct Ingest {
    _process: Process,
    http: String,
    key: String,
}

impl Ingest {
    async fn start(world: &World, server: &NatsServer) -> Self {
        let process =
            Process::start("ingest", program(), arguments("ingest", &["--nats-url", &server.url()]), NO_ENVIRONMENT);
        let http = address(&process, "http=").await;
        Self { _process: process, http, key: world.key.clone() }
    }

    /// Whether it recognises an event id.
    async fn recognises(&self, event: &str) -> bool {
        let call = web().post(format!("{}/v1/leads", self.http)).bearer_auth(&self.key);
        let answer = call.body(event_json(event).to_string()).send().await.unwrap().bytes().await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        answer["duplicate"].as_bool().unwrap_or_else(|| panic!("{answer}"))
    }

    /// Publishes new ids until one causes no lookup.
    async fn knows_what_is_unknown(&self, lookups: &mut Lookups, name: &str) {
        let mut published = 0;
        wait::until("a publish without a lookup", SOON, async || {
            published += 1;
            lookups.count().await;
            assert!(!self.recognises(&format!("{name}{published}")).await);
            lookups.count().await == 0
        })
        .await;
    }
}

async fn is_shown(world: &World, event: &str) {
    let request = api::GetLeadRequest { account_id: ACCOUNT.into(), lead_id: lead_of(event) };
    wait::until("the lead", SOON, async || world.leads().get_lead(request.clone()).await.ok()).await;
}

#[tokio::test]
async fn certainly_unknown_id_needs_no_lookup() {
    let server = NatsServer::start().await;
    let world = World::start_with(&["--nats-url", &server.url()], &[]).await;
    let (ingest, mut lookups) = (Ingest::start(&world, &server).await, Lookups::follow(&server).await);
    ingest.knows_what_is_unknown(&mut lookups, "a").await;
    for n in 0..200 {
        assert!(!ingest.recognises(&format!("b{n}")).await);
    }
    // A few ids seem to be known (false positives).
    let count = lookups.count().await;
    assert!(count < 10, "{count} lookups for 200 ids");
    assert!(ingest.recognises("b7").await);
}

#[tokio::test]
async fn id_of_another_process_is_recognised_after_the_window() {
    let database = testkit::postgres::database().await;
    for more in [&[][..], &["--database-url", &database]] {
        let server = NatsServer::start().await;
        let world =
            World::start_with(&[&["--nats-url", &server.url(), "--dedup-window", "4s"], more].concat(), &[]).await;
        for event in ["before", "another"] {
            world.publish(event).await;
            is_shown(&world, event).await;
        }
        let (ingest, mut lookups) = (Ingest::start(&world, &server).await, Lookups::follow(&server).await);
        ingest.knows_what_is_unknown(&mut lookups, "a").await;
        world.publish("meanwhile").await;
        is_shown(&world, "meanwhile").await;
        forgotten_by(&async_nats::jetstream::new(server.client().await)).await;
        // Events stored before ingest started, by another process since then, and by itself.
        for event in ["before", "meanwhile", "a1"] {
            assert!(ingest.recognises(event).await, "{event}");
        }
        assert!(!ingest.recognises("new").await);
    }
}

#[tokio::test]
async fn without_query_only_the_window_recognises_repeats() {
    let (broker, home) = (NatsServer::start().await, Home::new());
    let url = broker.url();
    let up = home.up(&["--nats-url", &url], &[]);
    let world = World::attach(home, up).await;
    world.set_up().await;
    world.process.terminate();
    world.process.wait_exit(SOON).await;
    let ingest = Process::start("ingest", program(), arguments("ingest", &["--nats-url", &url]), NO_ENVIRONMENT);
    let http = address(&ingest, "http=").await;
    for duplicate in [false, true] {
        let began = Instant::now();
        let call = web().post(format!("{http}/v1/leads")).bearer_auth(&world.key).body(event_json("e1").to_string());
        let answer = call.send().await.unwrap().bytes().await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["duplicate"], duplicate, "{answer}");
        assert!(began.elapsed() < AT_ONCE);
    }
    // JSON with other white space is the same event; another payload is not.
    let payload = event_json("e1")["payload"].clone();
    let other = json!({"name": "Grace"});
    for (payload, status) in [(format!(" {payload:#}"), 202), (other.to_string(), 409)] {
        let whole = event_json("e1").to_string().replace(&event_json("e1")["payload"].to_string(), &payload);
        let call = web().post(format!("{http}/v1/leads")).bearer_auth(&world.key).body(whole);
        let answer = call.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{payload}");
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let reason = if status == 409 { json!("EVENT_CONFLICT") } else { Value::Null };
        assert_eq!(answer["error"]["reason"], reason, "{answer}");
    }
}
