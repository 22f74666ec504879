//! Publishing: accepted and refused events, and the meaning of an acceptance.

use api::{DeliveryStatus, publish_leads_result::Result as Outcome};
use serde_json::json;
use testkit::{NatsServer, Process, Receiver, wait};
use tonic::Code;

use crate::{
    processes::address,
    world::{ACCOUNT, INTERFACE, SOON, World, event_json, program, some_destination, web},
};

#[tokio::test]
async fn repeated_event_id_returns_the_same_answer() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let first = world.post(event_json("e1").to_string(), &[]).await;
    let again = world.post(event_json("e1").to_string(), &[]).await;
    assert_eq!(first, (202, json!({"event_id": "e1", "lead_id": "lead-e1", "duplicate": false})));
    assert_eq!(again, (202, json!({"event_id": "e1", "lead_id": "lead-e1", "duplicate": true})));
    let payload = event_json("e1")["payload"].to_string().into();
    let same = api::PublishLeadRequest { payload, ..request("e1") };
    assert!(world.ingest().publish_lead(same).await.unwrap().into_inner().duplicate);
    let other = world.ingest().publish_lead(request("e1")).await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists, "{other}");
    // An event after the repeats is delivered after them.
    world.publish("e2").await;
    world.delivery_is("e2", DeliveryStatus::Succeeded).await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.count(), 2);
}

pub(crate) fn request(event: &str) -> api::PublishLeadRequest {
    api::PublishLeadRequest {
        account: ACCOUNT.into(),
        interface: INTERFACE.into(),
        event_id: event.into(),
        lead_id: format!("lead-{event}"),
        payload: br#"{"name": "Ada"}"#.as_slice().into(),
        ..api::PublishLeadRequest::default()
    }
}

#[tokio::test]
async fn invalid_events_are_refused_by_field_and_not_stored() {
    let world = World::start().await;
    let with = |field: &str, value: serde_json::Value| {
        let mut event = event_json("wrong");
        event[field] = value;
        event.to_string()
    };
    let too_large = with("payload", "x".repeat(300 * 1024).into());
    let cases = [
        (with("account", "nobody".into()), 400, "account"),
        (with("account", "a b".into()), 400, "account"),
        (with("account", 7.into()), 400, "account"),
        (with("interface", "nothing".into()), 400, "interface"),
        (with("event_id", "a.b".into()), 400, "event_id"),
        (with("lead_id", "x".repeat(129).into()), 400, "lead_id"),
        (with("type", "Not A Type".into()), 400, "type"),
        (with("occurred_at", "yesterday".into()), 400, "occurred_at"),
        (with("typo", 1.into()), 400, "body"),
        ("{".into(), 400, "body"),
        ("nonsense".into(), 400, "body"),
        (too_large, 413, "body"),
        ("x".repeat(5 * 1024 * 1024), 413, "body"),
        (format!("[{},{}]", event_json("good"), with("account", "nobody".into())), 400, ""),
    ];
    for (body, status, field) in cases {
        let shown: String = body.chars().take(100).collect();
        let (got, answer) = world.post(body, &[]).await;
        assert_eq!((got, answer["error"]["field"].as_str().unwrap_or_default()), (status, field), "{shown}: {answer}");
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
    }
    for (wrong, field) in [
        (api::PublishLeadRequest { account: "nobody".into(), ..request("g") }, "account"),
        (api::PublishLeadRequest { interface: String::new(), ..request("g") }, "interface"),
        (api::PublishLeadRequest { payload: b"{".as_slice().into(), ..request("g") }, "payload"),
        (api::PublishLeadRequest { payload: vec![b'1'; 300 * 1024].into(), ..request("g") }, "payload"),
    ] {
        let status = world.ingest().publish_lead(wrong).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(field), "{status}");
    }
    let jetstream = async_nats::jetstream::new(nats(&world).await);
    assert_eq!(jetstream.get_stream("LEADS").await.unwrap().cached_info().state.last_sequence, 0);
}

pub(crate) async fn nats(world: &World) -> async_nats::Client {
    let (user, host) = world.nats.strip_prefix("nats://").unwrap().split_once('@').unwrap();
    let (user, password) = user.split_once(':').unwrap();
    let options = async_nats::ConnectOptions::new().user_and_password(user.into(), password.into());
    options.connect(host).await.unwrap()
}

#[tokio::test]
async fn events_can_come_as_array_lines_or_stream() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let array = json!([event_json("a1"), event_json("a2")]).to_string();
    let (status, answer) = world.post(array, &[]).await;
    assert_eq!((status, answer["results"].as_array().unwrap().len()), (202, 2));
    let lines: Vec<_> = (0..50).map(|n| event_json(&format!("l{n}")).to_string()).collect();
    // Programs on Windows begin a file with a byte order mark.
    let lines = format!("\u{feff}{}", lines.join("\n"));
    let (status, answer) = world.post(lines, &[("content-type", "application/x-ndjson")]).await;
    assert_eq!((status, answer["results"].as_array().unwrap().len()), (202, 50));

    let mut requests: Vec<_> = (0..100).map(|n| request(&format!("s{n}"))).collect();
    requests.push(api::PublishLeadRequest { account: "nobody".into(), ..request("bad") });
    let answers = world.ingest().publish_leads(futures::stream::iter(requests)).await.unwrap().into_inner();
    let answers: Vec<_> = futures::TryStreamExt::try_collect(answers).await.unwrap();
    assert_eq!(answers.len(), 101);
    for answer in answers {
        match answer.result.unwrap() {
            Outcome::Published(published) => assert_eq!(published.event_id, format!("s{}", answer.index)),
            Outcome::Refused(refused) => {
                assert_eq!((answer.index, refused.field.as_str()), (100, "account"));
                assert_eq!(refused.code, i32::from(Code::InvalidArgument));
            }
        }
    }
    wait::until_eq("all of them", SOON, 152, async || receiver.count()).await;
}

#[tokio::test]
async fn publishing_is_refused_while_the_broker_is_away() {
    let broker = NatsServer::start().await;
    let world = World::start_with(&["--nats-url", &broker.url()], &[]).await;
    broker.kill();
    let answer = web()
        .post(format!("{}/v1/leads", world.http))
        .bearer_auth(&world.key)
        .body(event_json("e1").to_string())
        .send();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let status = world.ingest().publish_lead(request("e1")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let ready = web().get(format!("{}/readyz", world.http)).send().await.unwrap();
    assert_eq!(ready.status().as_u16(), 503);
    broker.restart().await;
    wait::until("an accepted event", SOON, async || world.post(event_json("e1").to_string(), &[]).await.0 == 202).await;
    wait::until("readiness", SOON, async || {
        web().get(format!("{}/readyz", world.http)).send().await.unwrap().status().as_u16() == 200
    })
    .await;
}

#[tokio::test]
async fn concurrent_publishes_are_batched_if_every_write_is_flushed() {
    let world = World::start_with(&["--nats-flush", "every-write"], &[]).await;
    let receiver = Receiver::start().await;
    world.destination(&receiver.url()).await;
    let posts = (0..200).map(|n| {
        let world = &world;
        async move { world.post(event_json(&format!("e{n}")).to_string(), &[]).await }
    });
    let answers = futures::future::join_all(posts).await;
    assert!(answers.iter().all(|(status, answer)| *status == 202 && answer["duplicate"] == false));
    wait::until_eq("all of them", SOON, 200, async || receiver.count()).await;
}

#[tokio::test]
async fn burst_of_one_interface_does_not_delay_others() {
    const EVENTS: usize = 4_000;
    let broker = NatsServer::start().await;
    let on_broker = ["--nats-url", &broker.url()];
    let mut world = World::start_with(&on_broker, &[]).await;
    let (of_many, of_one) = (Receiver::start().await, Receiver::start().await);
    world.interface("quiet").await;
    for (interface, receiver) in [(INTERFACE, &of_many), ("quiet", &of_one)] {
        let interface_id = interface.to_owned();
        world.destination_with(api::Destination { url: receiver.url(), interface_id, ..some_destination() }).await;
    }
    let mut quiet = event_json("quiet");
    quiet["interface"] = "quiet".into();
    let events = (0..EVENTS).map(|n| event_json(&format!("e{n}"))).chain([quiet]);
    let body: Vec<_> = events.map(|event| event.to_string()).collect();
    // One request stores its events in this order. They are stored while no router runs.
    world.process.terminate();
    world.process.wait_exit(SOON).await;
    let args = ["ingest", "--burst-above", "100", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
    let no_env = [] as [(&str, &str); 0];
    let ingest = Process::start("ingest", program(), [&args[..], &on_broker].concat(), no_env);
    world.http = address(&ingest, "http=").await;
    let (status, answer) = world.post(body.join("\n"), &[("content-type", "application/x-ndjson")]).await;
    assert_eq!(status, 202, "{answer}");
    let _world = world.again(&on_broker).await;
    wait::until_eq("the quiet event", SOON, 1, async || of_one.count()).await;
    wait::until("the whole burst", SOON, async || of_many.count() >= EVENTS).await;
    let at = of_one.requests()[0].at;
    let before = of_many.requests().iter().filter(|seen| seen.at < at).count();
    assert!(before < EVENTS / 4, "{before} of {EVENTS} events of the burst came before it");
}

#[tokio::test]
async fn services_without_a_broker_say_what_to_do() {
    let nowhere = format!("nats://127.0.0.1:{}", testkit::free_port());
    for (args, expected) in [
        (vec!["ingest", "--nats-url", "nats://["], "--nats-url takes"),
        (vec!["query", "--nats-url", &nowhere], "--master-key"),
        (vec!["up", "--data-dir", "/proc/nowhere"], "--data-dir"),
        (vec!["up", "--nats-server", "/nowhere", "--data-dir", "DATA"], "--nats-server"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let args = args.iter().map(|arg| arg.replace("DATA", folder.path().to_str().unwrap()));
        let process = Process::start("leadline", program(), args, std::iter::empty::<(&str, &str)>());
        assert!(!process.wait_exit(SOON).await.success());
        assert!(process.output().contains(expected), "{}", process.output());
    }
}
