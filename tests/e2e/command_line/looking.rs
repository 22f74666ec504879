//! Reading verbs: leads, deliveries, export, watch and status.

use std::fs;

use api::DeliveryStatus;
use testkit::{Answer, Process, Receiver, wait};

use crate::world::{ACCOUNT, SOON, World, program};

/// Creates one succeeded and one failed delivery. Returns the id of the failed one.
async fn one_of_each(world: &World, receiver: &Receiver) -> String {
    world.destination(&receiver.url()).await;
    world.publish("good").await;
    world.delivery_is("good", DeliveryStatus::Succeeded).await;
    receiver.answer_next([Answer::Status(404)]);
    world.publish("bad").await;
    world.delivery_is("bad", DeliveryStatus::Failed).await.delivery.unwrap().delivery_id
}

#[tokio::test]
async fn deliveries_are_listed_and_shown() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        let failed = one_of_each(&world, &receiver).await;
        let ran = world.run(&["deliveries"]).await.well();
        let rows = ran.rows();
        assert_eq!(rows.iter().map(|row| row[2]).collect::<Vec<_>>(), ["failed", "succeeded"]);
        assert_eq!((rows[0][3], rows[0][4], rows[0].last()), (failed.as_str(), "CRM", Some(&"404")));
        for filter in [
            &["--status", "failed,held"][..],
            &["--http-status", "404", "--since", "1h"],
            &["--answer", "404"],
            &["--answer", "4xx"],
            &["--destination", "CRM", "--lead", "lead-bad"],
            &["--account", ACCOUNT, "--reason", "exhausted"],
            &["--event", "bad", "--type", "lead.*"],
            &["--limit", "1"],
        ] {
            let found = world.run(&[&["deliveries", "list", "--json"], filter].concat()).await.well().json_lines();
            let ids: Vec<_> = found.iter().map(|delivery| delivery["delivery_id"].as_str().unwrap()).collect();
            assert_eq!(ids, [failed.as_str()], "{filter:?}");
        }
        let more = world.run(&["deliveries", "--limit", "1"]).await.well();
        assert!(more.err.contains("--all"), "{more:?}");
        assert_eq!(world.run(&["deliveries", "--all", "--json"]).await.well().json_lines().len(), 2);
        for filter in [["--until", "1h"], ["--answer", "5xx"], ["--answer", "none"]] {
            let none = world.run(&[&["deliveries"][..], &filter].concat()).await.well();
            assert_eq!((none.out.as_str(), none.err.as_str()), ("", "There are none.\n"), "{filter:?}");
        }

        let shown = world.run(&["deliveries", "show", &failed]).await.well();
        assert_eq!(shown.fact("status"), "failed (exhausted)");
        assert_eq!(shown.fact("lead"), "lead-bad");
        let detail = world.run(&["deliveries", "show", &failed, "--json"]).await.well().json();
        assert_eq!(shown.fact("to do"), detail["delivery"]["suggested_action"].as_str().unwrap());
        assert_eq!(detail["attempts"].as_array().unwrap().len(), 1);
        assert_eq!(detail["delivery"]["status"], "DELIVERY_STATUS_FAILED");
    }
}

#[tokio::test]
async fn leads_are_listed_shown_and_exported() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        one_of_each(&world, &receiver).await;
        let of_lead = async || world.run(&["leads", "--failed"]).await.well().rows().len();
        wait::until_eq("the failed one", SOON, 1, of_lead).await;
        let ran = world.run(&["leads"]).await.well();
        let rows = ran.rows();
        assert_eq!(rows.iter().map(|row| row[2]).collect::<Vec<_>>(), ["lead-bad", "lead-good"]);
        assert_eq!(rows[0][5..8], ["1", "of", "1"]);
        let found = world.run(&["leads", "list", "--not-failed", "--json"]).await.well().json_lines();
        assert_eq!((found.len(), found[0]["lead_id"].as_str()), (1, Some("lead-good")));

        let shown = world.run(&["leads", "show", "lead-bad"]).await.well();
        assert_eq!(shown.fact("failed deliveries"), "1 of 1");
        assert!(shown.out.contains("received") && shown.out.contains("attempt 1 to"), "{shown:?}");
        let log = shown.out.lines().find(|line| line.contains("  webhook  ")).unwrap();
        assert!(log.contains("  CRM  "), "{log}");
        let document = world.run(&["leads", "show", "lead-bad", "--json"]).await.well().json();
        assert_eq!(document["lead"]["failed"], true);
        let entries = document["log"].as_array().unwrap().iter().map(|entry| entry["entry"].as_str().unwrap());
        assert_eq!(entries.take(2).collect::<Vec<_>>(), ["received", "webhook"]);

        let csv = world.run(&["export"]).await.well().out;
        assert!(csv.starts_with("account_id,interface_id,") && csv.matches("acme,").count() == 2, "{csv}");
        let file = world.home.data().join("leads.csv");
        let to_file = ["export", "--failed", "--output", file.to_str().unwrap()];
        let ran = world.run(&to_file).await.well();
        assert!(ran.out.is_empty() && ran.err.contains("leads.csv has 1 lead."), "{ran:?}");
        let written = fs::read_to_string(&file).unwrap();
        assert!(written.contains("lead-bad") && !written.contains("lead-good"), "{written}");
        assert_eq!(world.run(&["export", "--json"]).await.well().json_lines().len(), 2);
    }
}

#[tokio::test]
async fn watch_survives_a_restart_of_the_server() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish("before").await;
    world.delivery_is("before", DeliveryStatus::Succeeded).await;
    let watch = |args: &[&str]| {
        let data = world.home.data();
        let place = ["watch", "--grpc-url", &world.grpc, "--data-dir", data.to_str().unwrap(), "--status", "succeeded"];
        Process::start("watch", program(), [&place, args].concat(), [] as [(&str, &str); 0])
    };
    let (table, json) = (watch(&["--existing"]), watch(&["--existing", "--json"]));
    let row = table.wait_line("lead-before", SOON).await;
    assert!(row.contains("succeeded") && row.chars().count() <= super::DEFAULT_WIDTH, "{row}");
    let first: serde_json::Value = serde_json::from_str(&json.wait_line("lead-before", SOON).await).unwrap();
    let grpc = world.grpc.trim_start_matches("http://").to_owned();

    world.process.terminate();
    world.process.wait_exit(SOON).await;
    table.wait_line("was interrupted", SOON).await;
    let world = world.again(&["--grpc", &grpc]).await;
    world.publish("after").await;
    for watch in [&table, &json] {
        watch.wait_line("lead-after", SOON).await;
        assert_eq!(watch.output().matches("lead-before").count(), 1, "no change is shown twice");
    }
    let data = world.home.data();
    let token = first["resume_token"].as_str().unwrap();
    let place = ["watch", "--grpc-url", &world.grpc, "--data-dir", data.to_str().unwrap(), "--resume", token];
    let resumed = Process::start("watch", program(), place, [] as [(&str, &str); 0]);
    resumed.wait_line("lead-after", SOON).await;
    assert!(!resumed.output().contains("lead-before"));
}

#[tokio::test]
async fn status_shows_waiting_work() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    world.disable(&id).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Held).await;
    wait::until("the parked delivery", SOON, async || {
        world.run(&["status", "--json"]).await.well().json()["most_parked"][0]["destination_id"] == id.as_str()
    })
    .await;
    let status = world.run(&["status"]).await.well();
    assert_eq!(status.fact("parked"), "1 for 1 destinations");
    assert_eq!(status.fact("destinations"), "1: 0 deactivated, 1 disabled");
}
