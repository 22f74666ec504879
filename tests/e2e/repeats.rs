//! Event ids that come again after the broker forgot them.

use std::time::{Duration, Instant};

use api::{DeliveryStatus, publish_leads_result::Result as Outcome};
use serde_json::{Value, json};
use testkit::{NatsServer, Process, Receiver, wait};

use crate::{
    alone::{address, arguments},
    publishing::{nats, request},
    world::{ACCOUNT, Home, SOON, World, event_json, program, web},
};

/// Shorter than the test, so that the broker has forgotten the ids.
const WINDOW: &str = "1s";
/// Far less than ingest would take if it waited for query again and again.
const AT_ONCE: Duration = Duration::from_secs(5);
const NO_ENVIRONMENT: [(&str, &str); 0] = [];

/// Waits until the broker has forgotten every id that it was given before: an id of its own that is stored twice says so.
async fn forgotten(world: &World) {
    let jetstream = async_nats::jetstream::new(nats(world).await);
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
async fn an_event_id_that_comes_again_after_a_restart_is_the_same_event() {
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

        // Other bytes, and another lead: both are answered with what was stored first.
        let again = json!({"event_id": "e1", "lead_id": "lead-e1", "duplicate": true});
        for fields in [json!({"payload": {"v": 2}}), json!({"lead_id": "lead-b"})] {
            let mut body = event_json("e1");
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            assert_eq!(world.post(body.to_string(), &[]).await, (202, again.clone()));
            let (status, answer) = world.post(format!("[{body}]"), &[]).await;
            assert_eq!((status, &answer["results"][0]), (202, &again));
        }
        let other_lead = api::PublishLeadRequest { lead_id: "lead-b".into(), ..request("e1") };
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

        // What comes after the repeats is delivered after them.
        world.delivery_is("e2", DeliveryStatus::Succeeded).await;
        assert_eq!(receiver.count(), 2);
        assert!(receiver.requests()[0].body == event_json("e1")["payload"].to_string().as_bytes());
        let seen = || leads(&world);
        wait::until_eq("no lead without events", SOON, vec![("lead-e1".into(), 1), ("lead-e2".into(), 1)], seen).await;
    }
}

#[tokio::test]
async fn without_query_publishing_goes_on_and_the_window_alone_counts() {
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
}
