//! History is pruned, and nothing that is still needed is pruned with it.

use std::time::Duration;

use api::{DeliveryStatus, duration_to_api};
use async_nats::jetstream;
use futures::TryStreamExt as _;
use testkit::{Answer, NatsServer, Receiver, wait};
use tonic::Code;

use crate::world::{ACCOUNT, INTERFACE, OWNER, SOON, World, lead_of, some_destination};

/// Everything expires within seconds.
const SHORT: [&str; 6] = ["--keep-events", "3s", "--keep-history", "4s", "--dedup-window", "1s"];

async fn on_both(args: &[&str]) -> [World; 2] {
    let database = testkit::postgres::database().await;
    let with_database = [args, &["--database-url", &database]].concat();
    let env = [("RUST_LOG", "info,maintenance=debug")];
    [World::start_with(args, &env).await, World::start_with(&with_database, &env).await]
}

async fn get_delivery(world: &World, delivery_id: &str) -> Result<api::DeliveryDetail, tonic::Status> {
    let request = api::GetDeliveryRequest { delivery_id: delivery_id.into() };
    world.deliveries().get_delivery(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn ended_history_is_pruned_and_open_deliveries_stay() {
    for world in on_both(&SHORT).await {
        let (receiver, held_receiver) = (Receiver::start().await, Receiver::start().await);
        world.interface("other").await;
        let of_interface = async |interface: &str, receiver: &Receiver| {
            let (url, interface_id) = (receiver.url(), interface.to_owned());
            world.destination_with(api::Destination { url, interface_id, ..some_destination() }).await
        };
        of_interface(INTERFACE, &receiver).await;
        let held = of_interface("other", &held_receiver).await;
        world.disable(&held).await;
        world.publish("e1").await;
        world.publish_with("e2", serde_json::json!({"interface": "other"})).await;
        let ended = world.delivery_is("e1", DeliveryStatus::Succeeded).await.delivery.unwrap();
        let waits = world.delivery_is("e2", DeliveryStatus::Held).await.delivery.unwrap();
        let gone =
            wait::until("the end of history", SOON, async || get_delivery(&world, &ended.delivery_id).await.err());
        let gone = gone.await;
        assert_eq!(gone.code(), Code::NotFound);
        assert!(gone.message().ends_with("; history is kept for 4s"), "{gone:?}");

        let lead = |event: &str| api::GetLeadRequest { account_id: ACCOUNT.into(), lead_id: lead_of(event) };
        let gone = wait::until("the lead to be pruned", SOON, async || world.leads().get_lead(lead("e1")).await.err());
        let gone = gone.await;
        assert_eq!(gone.code(), Code::NotFound);
        assert!(gone.message().contains("history is kept for"), "{gone:?}");
        assert_eq!(get_delivery(&world, &waits.delivery_id).await.unwrap().delivery.unwrap(), waits);
        assert_eq!(world.leads().get_lead(lead("e2")).await.unwrap().into_inner().deliveries, 1);
    }
}

#[tokio::test]
async fn history_lasts_at_least_as_long_as_events() {
    for world in on_both(&["--keep-history", "1s"]).await {
        let receiver = Receiver::start().await;
        let destination_id = world.destination(&receiver.url()).await;
        world.publish("e1").await;
        let delivery = world.delivery_is("e1", DeliveryStatus::Succeeded).await.delivery.unwrap();
        // Waits for several sweeps, so that the delivery is older than the history.
        let sweeps = || world.process.output().matches("no history to prune").count();
        let before = sweeps();
        wait::until("further sweeps", SOON, async || sweeps() > before + 3).await;
        get_delivery(&world, &delivery.delivery_id).await.unwrap();
        let request = api::RecoverDestinationRequest {
            account_id: ACCOUNT.into(),
            destination_id,
            since: Some(prost_types::Timestamp::default()),
            ..api::RecoverDestinationRequest::default()
        };
        let job_id = world.jobs().recover_destination(request).await.unwrap().into_inner().job.unwrap().job_id;
        wait::until("the end of the recovery", SOON, async || {
            let job = world.jobs().get_job(api::GetJobRequest { job_id: job_id.clone() }).await.unwrap().into_inner();
            if job.status() == api::JobStatus::Completed { Ok(job) } else { Err(job) }
        })
        .await;
        assert_eq!(receiver.count(), 1);
    }
}

#[tokio::test]
async fn account_can_set_its_history_retention() {
    let world = World::start().await;
    let set = async |kept: Option<u64>| {
        let account = api::Account {
            account_id: ACCOUNT.into(),
            keep_history: kept.map(|days| duration_to_api(Duration::from_secs(days * 24 * 60 * 60))),
            ..api::Account::default()
        };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["keep_history".into()] });
        world.registry().update_account(api::UpdateAccountRequest { account: Some(account), update_mask }).await
    };
    assert_eq!(set(Some(180)).await.unwrap().into_inner().keep_history.unwrap().seconds, 180 * 24 * 60 * 60);
    let refused = set(Some(0)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("keep_history: is not from 1 to 3,650 days"), "{refused:?}");
    let (key, _) = world.new_key(ACCOUNT, &[api::Scope::Read]).await;
    let request = api::GetDeliveryRequest { delivery_id: "00000000-0000-5000-8000-000000000001".into() };
    let theirs = api::delivery_service_client::DeliveryServiceClient::new(world.called_with(&key).await);
    let missing = theirs.clone().get_delivery(request.clone()).await.unwrap_err();
    assert!(missing.message().ends_with("is kept for 180 days"), "{missing:?}");
    let missing = world.deliveries().get_delivery(request).await.unwrap_err();
    assert!(missing.message().ends_with("is kept for 400 days"), "{missing:?}");
    assert_eq!(set(None).await.unwrap().into_inner().keep_history, None);

    let shown = world.run(&["accounts", "update", ACCOUNT, "--keep-history", "90d"]).await.well();
    assert!(shown.out.contains("90 days"), "{shown:?}");
    world.run(&["accounts", "update", ACCOUNT, "--no-keep-history"]).await.well();
    let account = world.registry().get_account(api::GetAccountRequest { account_id: ACCOUNT.into() }).await.unwrap();
    assert_eq!(account.into_inner().keep_history, None);
}

#[tokio::test]
async fn status_shows_sizes_and_growth_of_streams_and_tables() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        world.destination(&receiver.url()).await;
        for event in ["e1", "e2"] {
            world.publish(event).await;
            world.delivery_is(event, DeliveryStatus::Succeeded).await;
        }
        let status = wait::until("the figures", SOON, async || {
            let status = world.status().get_status(api::GetStatusRequest::default()).await.unwrap().into_inner();
            let rows = |all: &[api::Stored], name: &str| all.iter().find(|s| s.name == name).map(|stored| stored.rows);
            let both = (rows(&status.streams, "LEADS"), rows(&status.tables, "deliveries"));
            if both == (Some(2), Some(2)) { Ok(status) } else { Err(status) }
        })
        .await;
        for name in ["LEADS", "DELIVERIES", "REGISTRY"] {
            let stream = status.streams.iter().find(|stream| stream.name == name).unwrap();
            assert!(stream.bytes > 0 && stream.oldest.is_some(), "{stream:?}");
            assert_eq!(stream.bytes_per_day, stream.bytes, "the stream is younger than a day: {stream:?}");
        }
        let deliveries = status.tables.iter().find(|table| table.name == "deliveries").unwrap();
        assert!(deliveries.bytes > 0 && deliveries.bytes_per_day == deliveries.bytes, "{deliveries:?}");
        let tables: u64 = status.tables.iter().map(|table| table.bytes).sum();
        assert!(status.database_bytes >= tables, "{status:?}");
        assert_eq!(status.keep_history.unwrap().seconds, 400 * 24 * 60 * 60);

        let output = world.run(&["status"]).await.well().out;
        for word in ["ADDED PER DAY", "LEADS", "400 days", "KiB"] {
            assert!(output.contains(word), "{word}: {output}");
        }
    }
}

#[tokio::test]
async fn notifier_state_of_a_deleted_destination_is_removed() {
    let server = NatsServer::start().await;
    let world = World::start_with(&["--nats-url", &server.url(), "--notice-window", "1s"], &[]).await;
    let receiver = Receiver::start().await;
    receiver.answer(Answer::Status(422));
    let (one, two) = (world.destination(&receiver.url()).await, world.destination(&receiver.url()).await);
    let broker = jetstream::new(server.client().await);
    let positions = broker.get_stream("POSITIONS").await.unwrap();
    let remembered = async || {
        let info = positions.info_with_subjects("position.notices.*").await.unwrap();
        let mut subjects: Vec<_> = info.map_ok(|(subject, _)| subject).try_collect().await.unwrap();
        subjects.sort();
        subjects
    };
    let mut both = [&one, &two].map(|id| format!("position.notices.{id}"));
    both.sort();
    world.publish("e1").await;
    wait::until_eq("both to be remembered", SOON, both.to_vec(), remembered).await;
    world.delete(&one).await;
    wait::until_eq("one to be forgotten", SOON, vec![format!("position.notices.{two}")], remembered).await;
    // The health of the other destination is still tracked.
    world.publish("e2").await;
    wait::until("a mail about it", SOON, async || world.home.outbox().iter().any(|mail| mail.contains(&two))).await;
}

#[tokio::test]
async fn notifier_state_of_a_deleted_interface_is_removed() {
    let server = NatsServer::start().await;
    let world = World::start_with(&["--nats-url", &server.url(), "--notice-window", "1s"], &[]).await;
    world.interface("other").await;
    let broker = jetstream::new(server.client().await);
    let positions = broker.get_stream("POSITIONS").await.unwrap();
    let remembered = async || {
        let info = positions.info_with_subjects("position.leads.>").await.unwrap();
        let mut subjects: Vec<_> = info.map_ok(|(subject, _)| subject).try_collect().await.unwrap();
        subjects.sort();
        subjects
    };
    let both = [INTERFACE, "other"].map(|id| format!("position.leads.{ACCOUNT}.{id}"));
    for (event, id) in [("e1", INTERFACE), ("e2", "other")] {
        let interface = api::Interface {
            account_id: ACCOUNT.into(),
            interface_id: id.into(),
            lead_notification_emails: vec![OWNER.into()],
            ..api::Interface::default()
        };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["lead_notification_emails".into()] });
        let request = api::UpdateInterfaceRequest { interface: Some(interface), update_mask };
        world.registry().update_interface(request).await.unwrap();
        world.publish_with(event, serde_json::json!({"interface": id})).await;
    }
    wait::until_eq("both to be remembered", SOON, both.to_vec(), remembered).await;
    let delete = async |id: &str| {
        let request = api::DeleteInterfaceRequest { account_id: ACCOUNT.into(), interface_id: id.into() };
        world.registry().delete_interface(request).await.unwrap();
    };
    delete("other").await;
    wait::until_eq("one to be forgotten", SOON, both[..1].to_vec(), remembered).await;
    // The remaining interface still has an open window, and no other interface wants mails.
    world.publish("e3").await;
    wait::until("a mail about it", SOON, async || world.home.outbox().iter().any(|mail| mail.contains("lead-e3")))
        .await;
    delete(INTERFACE).await;
    wait::until_eq("the other to be forgotten, too", SOON, vec![], remembered).await;
}
