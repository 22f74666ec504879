//! An ingest process that lags: an acknowledged change of the configuration applies to every event published
//! afterwards.

use std::time::Duration;

use api::DeliveryStatus;
use testkit::{Answer, Receiver, wait};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    dispatchers::{beside, with_dispatchers},
    processes::address,
    world::{SOON, World, event_json, retries, some_destination},
};

const ROUNDS: usize = 12;

/// The statuses of an event's deliveries, in the order in which the destinations were created.
async fn statuses(world: &World, event: &str) -> Vec<DeliveryStatus> {
    let filter = api::DeliveryFilter { event_id: event.into(), ..api::DeliveryFilter::default() };
    let request = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
    let deliveries = world.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries;
    deliveries.iter().map(api::Delivery::status).collect()
}

#[tokio::test]
async fn acknowledged_changes_apply_to_later_events_on_a_lagging_ingest() {
    let (broker, world, _) = with_dispatchers(1).await;
    let (ingest, receiver) = (beside(&world, &broker, "ingest", &[]), Receiver::start().await);
    let http = address(&ingest, " http=http://").await;
    receiver.answer(Answer::Status(500));
    for round in 0..ROUNDS {
        // The process hangs for a moment. When it continues, the change and the event arrive together.
        ingest.freeze();
        let retry_policy = Some(retries(&[Duration::from_secs(3_600)]));
        let ordered = api::Destination { url: receiver.url(), ordered: true, retry_policy, ..some_destination() };
        world.destination_with(ordered).await;
        let event = |number| {
            let mut event = event_json(&format!("e{round}-{number}"));
            event["lead_id"] = format!("lead-{round}").into();
            event.to_string()
        };
        let body = [event(1), event(2)].join("\n");
        let head = format!(
            "POST /v1/leads HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
             content-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
            world.key,
            body.len()
        );
        let mut connection = TcpStream::connect(&http).await.unwrap();
        connection.write_all((head + &body).as_bytes()).await.unwrap();
        ingest.thaw();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        for (number, status) in [(1, DeliveryStatus::Retrying), (2, DeliveryStatus::Pending)] {
            let (event, wanted) = (format!("e{round}-{number}"), vec![status; round + 1]);
            let what = format!("the deliveries of {event}");
            wait::until_eq(&what, SOON, wanted, async || statuses(&world, &event).await).await;
        }
    }
}
