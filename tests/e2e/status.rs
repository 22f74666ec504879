//! The status of the installation.

use std::time::Duration;

use api::DeliveryStatus;
use futures::TryStreamExt as _;
use testkit::{Answer, Receiver, SmtpSink, wait};
use tonic::Code;

use crate::{
    publishing::nats,
    world::{SOON, World, retries, some_destination},
};

async fn status(world: &World) -> api::GetStatusResponse {
    world.status().get_status(api::GetStatusRequest::default()).await.unwrap().into_inner()
}

#[tokio::test]
async fn status_shows_waiting_work_and_its_place() {
    for world in World::on_both().await {
        let (receiver, failing, gone) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
        let held = world.destination(&receiver.url()).await;
        world.disable(&held).await;
        failing.answer(Answer::Status(500));
        let retry_policy = Some(retries(&[Duration::from_secs(3_600)]));
        world.destination_with(api::Destination { url: failing.url(), retry_policy, ..some_destination() }).await;
        gone.answer(Answer::Status(410));
        world.destination(&gone.url()).await;
        for n in 0..5 {
            world.publish(&format!("e{n}")).await;
        }
        let seen = wait::until("the figures", SOON, async || {
            let seen = status(&world).await;
            let settled = seen.timers_pending == 5
                && seen.destinations_deactivated == 1
                && seen.most_parked.iter().any(|parked| parked.destination_id == held && parked.parked == 5)
                && seen.lags.iter().all(|lag| lag.waiting == 0);
            if settled { Ok(seen) } else { Err(seen) }
        })
        .await;
        assert_eq!((seen.destinations, seen.destinations_disabled, seen.poisoned), (3, 1, 0));
        assert_eq!(seen.parked, seen.most_parked.iter().map(|parked| parked.parked).sum::<u64>());
        assert_eq!(seen.parked_destinations, seen.most_parked.len() as u64);
        let first = &seen.most_parked[0];
        assert_eq!(
            (first.destination_id.as_str(), first.state.as_str(), first.name.as_str()),
            (&*held, "disabled", "CRM")
        );
        let names: Vec<_> = seen.lags.iter().map(|lag| (lag.name.as_str(), lag.stream.as_str())).collect();
        let consumers = [
            ("router", "LEADS"),
            ("router of bursts", "LEADS"),
            ("sender", "DELIVERIES"),
            ("timers", "TIMERS"),
            ("mailer", "NOTICES"),
            ("mailer of leads", "NOTICES"),
            ("mailer of deactivations", "REGISTRY"),
            ("mailer of confirmations", "REGISTRY"),
            ("outbox", "DELIVERIES"),
            ("outbox of leads", "ANONYMISED"),
            ("job runner", "JOBS"),
            ("sequencer", "LEADS"),
            ("notifier", "DELIVERIES"),
            ("lead-notifier", "LEADS"),
        ];
        let projectors =
            ["LEADS", "REGISTRY", "DELIVERIES", "NOTICES", "JOBS", "ANONYMISED"].map(|stream| ("projector", stream));
        assert_eq!(names, [&consumers[..], &projectors[..]].concat());

        let top = api::GetStatusRequest { top: 1 };
        assert_eq!(world.status().get_status(top).await.unwrap().into_inner().most_parked.len(), 1);
        let refused = world.status().get_status(api::GetStatusRequest { top: 501 }).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        world.enable(&held, false).await;
        wait::until_eq("the released deliveries", SOON, 5, async || receiver.count()).await;
        wait::until("nothing parked there", SOON, async || {
            status(&world).await.most_parked.iter().all(|parked| parked.destination_id != held)
        })
        .await;
    }
}

#[tokio::test]
async fn status_counts_unacknowledged_work() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Gate(200));
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    wait::until("a request in flight", SOON, async || {
        status(&world).await.lags.iter().any(|lag| lag.name == "router" && lag.in_hand == 1)
    })
    .await;
    receiver.open_gate();
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
}

#[tokio::test]
async fn nothing_waits_for_an_outbox_that_a_mail_server_replaced() {
    let has_outbox = async |world: &World| {
        let (context, mut all) = (async_nats::jetstream::new(nats(world).await), vec![]);
        for stream in ["DELIVERIES", "ANONYMISED"] {
            let stream = context.get_stream(stream).await.unwrap();
            all.extend(stream.consumer_names().try_collect::<Vec<_>>().await.unwrap());
        }
        [all.contains(&"outbox".to_owned()), all.contains(&"outbox-leads".to_owned())]
    };
    let (world, smtp) = (World::start().await, SmtpSink::start().await);
    wait::until_eq("the consumers of the outbox", SOON, [true; 2], async || has_outbox(&world).await).await;
    world.process.kill();
    let world = world.again(&["--smtp-url", &smtp.url()]).await;
    wait::until_eq("no consumers of the outbox", SOON, [false; 2], async || has_outbox(&world).await).await;
}
