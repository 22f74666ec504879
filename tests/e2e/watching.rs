//! Watching deliveries as they change.

use std::collections::HashMap;

use access::AuthInterceptor;
use api::{DeliveryStatus, WatchDeliveriesRequest, delivery_service_client::DeliveryServiceClient};
use testkit::{Answer, Process, Receiver, postgres};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming, transport::Channel};

use crate::world::{ACCOUNT, SOON, World, program};

type Watch = Streaming<api::WatchDeliveriesResponse>;

async fn watch(world: &World, request: WatchDeliveriesRequest) -> Watch {
    world.deliveries().watch_deliveries(request).await.unwrap().into_inner()
}

/// The next change: event and status, and the token to resume with.
async fn next(watch: &mut Watch) -> (String, DeliveryStatus, String) {
    loop {
        let change = timeout(SOON, watch.message()).await.expect("a change in time").unwrap().expect("no end");
        if let Some(delivery) = change.delivery {
            return (delivery.event_id.clone(), delivery.status(), change.resume_token);
        }
    }
}

/// Reads until the delivery of an event has a status. Returns the resume token.
async fn until(watch: &mut Watch, event: &str, status: DeliveryStatus) -> String {
    loop {
        let (of, now, token) = next(watch).await;
        if (of.as_str(), now) == (event, status) {
            return token;
        }
    }
}

fn everything() -> WatchDeliveriesRequest {
    WatchDeliveriesRequest { account_id: ACCOUNT.into(), ..WatchDeliveriesRequest::default() }
}

#[tokio::test]
async fn watch_shows_existing_deliveries_and_then_changes() {
    for world in World::on_both().await {
        let (receiver, other) = (Receiver::start().await, Receiver::start().await);
        let id = world.destination(&receiver.url()).await;
        world.publish("before").await;
        world.delivery_is("before", DeliveryStatus::Succeeded).await;
        let other_id = world.destination(&other.url()).await;

        let mut all = watch(&world, WatchDeliveriesRequest { existing: true, ..everything() }).await;
        let (event, status, _) = next(&mut all).await;
        assert_eq!((event.as_str(), status), ("before", DeliveryStatus::Succeeded));
        let mut of_one = watch(&world, WatchDeliveriesRequest { destination_id: id, ..everything() }).await;
        let failed = vec![DeliveryStatus::Failed.into()];
        let mut failures = watch(&world, WatchDeliveriesRequest { statuses: failed, ..everything() }).await;
        let lead = WatchDeliveriesRequest { lead_id: "lead-bad".into(), ..WatchDeliveriesRequest::default() };
        let mut of_lead = watch(&world, lead).await;
        let mut refusals = watch(&world, WatchDeliveriesRequest { http_status_class: 5, ..everything() }).await;
        let mut exactly = watch(&world, WatchDeliveriesRequest { http_status_code: 500, ..everything() }).await;

        other.answer(Answer::Status(500));
        world.publish("good").await;
        let mut ends = vec![];
        while ends.len() < 2 {
            let (event, status, _) = next(&mut all).await;
            assert_eq!(event, "good");
            ends.extend([status].into_iter().filter(|s| *s != DeliveryStatus::Pending));
        }
        ends.sort();
        assert_eq!(ends, [DeliveryStatus::Succeeded, DeliveryStatus::Failed]);
        until(&mut of_one, "good", DeliveryStatus::Succeeded).await;
        world.delete(&other_id).await;
        receiver.answer(Answer::Status(500));
        world.publish("bad").await;
        // These two watches saw no other changes.
        assert_eq!(next(&mut failures).await.0, "good");
        let (event, status, _) = next(&mut failures).await;
        assert_eq!((event.as_str(), status), ("bad", DeliveryStatus::Failed));
        assert_eq!(next(&mut of_lead).await.0, "bad");
        for answered in [&mut refusals, &mut exactly] {
            for expected in ["good", "bad"] {
                let (event, status, _) = next(answered).await;
                assert_eq!((event.as_str(), status), (expected, DeliveryStatus::Failed));
            }
        }
        loop {
            let (event, status, _) = next(&mut of_one).await;
            assert_ne!(
                (event.as_str(), status),
                ("good", DeliveryStatus::Failed),
                "the failure was at the other destination"
            );
            if (event.as_str(), status) == ("bad", DeliveryStatus::Failed) {
                break;
            }
        }
    }
}

#[tokio::test]
async fn interrupted_watch_can_be_resumed() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let mut first = watch(&world, everything()).await;
    world.publish("seen").await;
    let token = until(&mut first, "seen", DeliveryStatus::Succeeded).await;
    drop(first);
    world.publish("missed").await;
    world.delivery_is("missed", DeliveryStatus::Succeeded).await;
    let mut resumed = watch(&world, WatchDeliveriesRequest { resume_token: token.clone(), ..everything() }).await;
    until(&mut resumed, "missed", DeliveryStatus::Succeeded).await;

    let nonsense = WatchDeliveriesRequest { resume_token: "x".into(), ..everything() };
    let refused = world.deliveries().watch_deliveries(nonsense).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);

    world.process.terminate();
    let end: Status = loop {
        match timeout(SOON, resumed.message()).await.expect("an end in time") {
            Ok(change) => assert!(change.is_some(), "the end says why"),
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), Code::Unavailable, "{end}");
    assert!(end.message().contains("resume_token"), "{end}");
    assert_eq!(world.process.wait_exit(SOON).await.code(), Some(0), "{}", world.process.output());
}

#[tokio::test]
async fn slow_watch_gets_every_final_status() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let mut slow = watch(&world, everything()).await;
    const EVENTS: usize = 3_000;
    world.publish_many(EVENTS).await;
    // The slow watch reads its first change only when every event was delivered and the last one is shown.
    testkit::wait::until_eq("all of them", SOON, EVENTS, async || receiver.count()).await;
    world.delivery_is(&format!("e{}", EVENTS - 1), DeliveryStatus::Succeeded).await;
    let mut now = HashMap::new();
    while now.len() < EVENTS || now.values().any(|status| *status != DeliveryStatus::Succeeded) {
        let (event, status, _) = next(&mut slow).await;
        now.insert(event, status);
    }
}

#[tokio::test]
async fn watch_shows_changes_projected_by_other_processes() {
    let database = postgres::database().await;
    let world = World::start_with(&["--database-url", &database], &[]).await;
    let receiver = Receiver::start().await;
    world.destination(&receiver.url()).await;
    let key = std::fs::read_to_string(world.home.data().join("master.key")).unwrap();
    let env = [
        ("LEADLINE_NATS_URL", world.nats.as_str()),
        ("LEADLINE_DATABASE_URL", &database),
        ("LEADLINE_MASTER_KEY", key.trim()),
    ];
    let mut watches = vec![watch(&world, everything()).await];
    let mut others = vec![];
    for _ in 0..2 {
        let args = ["query", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
        let query = Process::start("query", program(), args, env);
        let ready = query.wait_line("is ready:", SOON).await;
        let grpc = ready.split_once("grpc=").unwrap().1.to_owned();
        let channel = Channel::from_shared(grpc).unwrap().connect().await.unwrap();
        let mut client = DeliveryServiceClient::new(AuthInterceptor::new(&world.key).unwrap().over(channel));
        watches.push(client.watch_deliveries(everything()).await.unwrap().into_inner());
        others.push(query);
    }
    for n in 0..20 {
        let event = format!("e{n}");
        world.publish(&event).await;
        for watch in &mut watches {
            until(watch, &event, DeliveryStatus::Succeeded).await;
        }
    }
}

#[tokio::test]
async fn watches_of_a_key_are_limited() {
    let world = World::start_with(&["--max-watches-per-key", "100"], &[]).await;
    let mut watches = vec![];
    for _ in 0..100 {
        watches.push(watch(&world, everything()).await);
    }
    let refused = world.deliveries().watch_deliveries(everything()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    drop(watches.pop());
    testkit::wait::until("room for another", SOON, async || {
        world.deliveries().watch_deliveries(everything()).await.is_ok()
    })
    .await;
}
