//! Real faults: each fires its alert, the command of the runbook shows the cause, and the alert clears when the fault
//! is over. The rules are those of deploy/prometheus/alerts.yml with windows of seconds.

use std::{
    fs::{self, File},
    time::{Duration, Instant},
};

use api::DeliveryStatus;
use async_nats::jetstream;
use testkit::{Answer, NatsServer, Process, Prometheus, Receiver, SmallDisk, SmtpSink, free_port, wait};

use super::asked;
use crate::{
    features::root,
    publishing::nats,
    world::{ACCOUNT, Home, INTERFACE, World, event_json, some_destination, web},
};

/// The maximum time until a fault fires its alert or clears it, with windows of seconds.
const FIRED: Duration = Duration::from_secs(90);
/// The size of a small disk, in bytes.
const DISK: u64 = 64 * 1024 * 1024;
/// Holds the lock of the writer of an SQLite database until it is killed.
const LOCK: &str = "import sqlite3, sys, time\n\
    database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n\
    database.execute('BEGIN IMMEDIATE')\nprint('locked', flush=True)\ntime.sleep(3600)\n";

/// The rules with windows of seconds.
fn fast_rules() -> String {
    let rules = fs::read_to_string(root().join("deploy/prometheus/alerts.yml")).unwrap();
    let mut fast_rules = String::new();
    for line in rules.lines() {
        let duration = ["for: ", "keep_firing_for: "].into_iter().find(|key| line.trim_start().starts_with(key));
        let line = match duration {
            Some(key) => line.split(key).next().unwrap().to_owned() + key + "1s",
            None => line.to_owned(),
        };
        let line = ["[5m]", "[30m]", "[1h]", "[6h]"].iter().fold(line, |line, window| line.replace(window, "[10s]"));
        fast_rules += &line.replace("> 60", "> 5");
        fast_rules.push('\n');
    }
    fast_rules
}

/// Prometheus with these rules, and the times for the drill of the runbook.
struct Drill {
    prometheus: Prometheus,
}

impl Drill {
    async fn start(world: &World) -> Self {
        let runbook = format!("{}/runbook", world.http);
        let drill = Self { prometheus: Prometheus::start_labelled(&[world.target()], &fast_rules(), &runbook).await };
        wait::until("the first scrape", FIRED, async || {
            let up = asked(&drill.prometheus, "query", &[("query", "up == 1")]).await;
            super::first(&up).map(drop)
        })
        .await;
        // While everything works, no alert fires. Before the first measurement, some alerts may fire.
        wait::until_eq("the end of all alerts", FIRED, vec![], async || drill.firing().await).await;
        drill
    }

    async fn firing(&self) -> Vec<String> {
        let answer = asked(&self.prometheus, "alerts", &[]).await;
        let alerts = answer["data"]["alerts"].as_array().unwrap().iter().filter(|alert| alert["state"] == "firing");
        alerts.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits for the alert of a fault that has just begun, and runs the command of the runbook.
    async fn fires(&self, world: &World, alert: &str, cause: &str) {
        let made = Instant::now();
        wait::until(alert, FIRED, async || {
            let firing = self.firing().await;
            if firing.iter().any(|name| name == alert) { Ok(()) } else { Err(firing) }
        })
        .await;
        let fired = made.elapsed();
        self.opens_its_chapter(alert).await;
        let command = command_for(alert);
        let words: Vec<_> = command.split(' ').skip(1).collect();
        let began = Instant::now();
        let ran = world.run(&words).await;
        let took = began.elapsed();
        assert!(format!("{}{}", ran.out, ran.err).contains(cause), "{command} shows {cause:?}: {ran:?}");
        eprintln!("drill: {alert} fired after {fired:.1?}, `{command}` showed the cause in {took:.1?}");
    }

    /// Follows the link of an alert that fires.
    async fn opens_its_chapter(&self, alert: &str) {
        let answer = asked(&self.prometheus, "alerts", &[]).await;
        let alerts = answer["data"]["alerts"].as_array().unwrap();
        let fired = alerts.iter().find(|fired| fired["labels"]["alertname"] == alert).unwrap();
        let link = fired["annotations"]["runbook_url"].as_str().unwrap();
        let (_, anchor) = link.split_once('#').unwrap();
        let page = web().get(link).send().await.unwrap();
        assert_eq!(page.status(), 200, "{link}");
        let page = page.text().await.unwrap();
        assert!(page.contains(&format!("<section id=\"{anchor}\"><h2>{alert}</h2>")), "{link} leads to {page}");
    }

    async fn clears(&self, alert: &str) {
        let mended = Instant::now();
        wait::until(&format!("the end of {alert}"), FIRED, async || {
            let firing = self.firing().await;
            if firing.iter().any(|name| name == alert) { Err(firing) } else { Ok(()) }
        })
        .await;
        eprintln!("drill: {alert} cleared {:.1?} after the fault was over", mended.elapsed());
    }
}

/// The one command that the runbook gives for an alert.
fn command_for(alert: &str) -> String {
    let runbook = fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let chapter = runbook.split("\n## ").find(|chapter| chapter.starts_with(&format!("{alert}\n"))).unwrap();
    let line = chapter.lines().find_map(|line| line.strip_prefix("**See it:** `")).unwrap();
    line.split('`').next().unwrap().to_owned()
}

#[tokio::test]
async fn killed_broker_fires_and_clears_its_alert() {
    let broker = NatsServer::start().await;
    let world = World::start_with(&["--nats-url", &broker.url()], &[]).await;
    let drill = Drill::start(&world).await;
    broker.kill();
    drill.fires(&world, "LeadlineBrokerLost", "the broker").await;
    broker.restart().await;
    drill.clears("LeadlineBrokerLost").await;
    assert!(world.metric("leadline_broker_reconnects_total", &[]).await >= 1.0);
}

#[tokio::test]
async fn full_disk_fires_and_clears_its_alert() {
    let disk = SmallDisk::mount(DISK);
    let home = Home::within(disk.path());
    let process = home.up(&[], &[]);
    let world = World::attach(home, process).await;
    world.set_up().await;
    let drill = Drill::start(&world).await;
    let filler = disk.path().join("filler");
    SmallDisk::fill(&filler);
    let mut number = 0;
    wait::until("an event that is refused", FIRED, async || {
        number += 1;
        (world.post(event_json(&format!("e{number}")).to_string(), &[]).await.0 == 503).then_some(())
    })
    .await;
    drill.fires(&world, "LeadlineCannotStore", "disk full").await;
    File::create(&filler).unwrap();
    drill.clears("LeadlineCannotStore").await;
}

#[tokio::test]
async fn reached_limit_of_the_broker_fires_and_clears_its_alert() {
    let broker = NatsServer::start_with(&format!("max_file_store: {DISK}")).await;
    let world = World::start_with(&["--nats-url", &broker.url()], &[]).await;
    let drill = Drill::start(&world).await;
    broker.fill().await;
    let (status, error) = world.post(event_json("e1").to_string(), &[]).await;
    assert_eq!(status, 503, "{error}");
    assert!(error.to_string().contains("a storage limit of the broker is reached"), "{error}");
    drill.fires(&world, "LeadlineCannotStore", "a storage limit of the broker is reached").await;
    jetstream::new(broker.client().await).delete_stream(NatsServer::FILLER).await.unwrap();
    assert_eq!(world.post(event_json("e1").to_string(), &[]).await.0, 202);
    drill.clears("LeadlineCannotStore").await;
}

#[tokio::test]
async fn nearly_full_stream_fires_and_clears_its_alert() {
    let world = World::start_with(&["--stream-max-bytes", "1000000"], &[]).await;
    let drill = Drill::start(&world).await;
    for number in 0..9 {
        let payload = serde_json::json!({"payload": {"text": "x".repeat(100_000)}});
        world.publish_with(&format!("e{number}"), payload).await;
    }
    drill.fires(&world, "LeadlineBrokerStorageFull", "LEADS").await;
    let Drill { prometheus } = drill;
    drop(prometheus);
    world.process.terminate();
    world.process.wait_exit(FIRED).await;
    let world = world.again(&["--stream-max-bytes", "50000000"]).await;
    let drill = Drill::start(&world).await;
    drill.clears("LeadlineBrokerStorageFull").await;
}

#[tokio::test]
async fn dead_destination_fires_and_clears_its_alert() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let drill = Drill::start(&world).await;
    world.destination(&receiver.url()).await;
    receiver.answer(Answer::Status(500));
    for event in ["e1", "e2", "e3"] {
        world.publish(event).await;
        world.delivery_is(event, DeliveryStatus::Failed).await;
    }
    drill.fires(&world, "LeadlineDestinationDead", "500").await;
    receiver.answer(Answer::Status(200));
    world.publish("e4").await;
    world.delivery_is("e4", DeliveryStatus::Succeeded).await;
    drill.clears("LeadlineDestinationDead").await;
}

#[tokio::test]
async fn absent_mail_server_fires_and_clears_its_alert() {
    let port = free_port();
    let smtp = format!("smtp://127.0.0.1:{port}");
    let (world, receiver) = (World::start_with(&["--smtp-url", &smtp], &[]).await, Receiver::start().await);
    let drill = Drill::start(&world).await;
    receiver.answer(Answer::Status(500));
    world.destination_with(api::Destination { url: receiver.url(), ..some_destination() }).await;
    world.publish("e1").await;
    drill.fires(&world, "LeadlineMailFailing", "mail: the mail server does not answer").await;
    let _server = SmtpSink::start_on(port).await;
    drill.clears("LeadlineMailFailing").await;
}

#[tokio::test]
async fn stopped_projector_fires_and_clears_its_alert() {
    let world = World::start().await;
    let drill = Drill::start(&world).await;
    let database = world.home.data().join("leadline.db");
    let no_env: [(&str, &str); 0] = [];
    let locker = Process::start("locker", "python3", ["-c", LOCK, database.to_str().unwrap()], no_env);
    locker.wait_line("locked", FIRED).await;
    world.publish("e1").await;
    drill.fires(&world, "LeadlineReadModelLag", "projector").await;
    locker.kill();
    drill.clears("LeadlineReadModelLag").await;
}

#[tokio::test]
async fn quarantined_message_fires_and_clears_its_alert() {
    let world = World::start().await;
    let drill = Drill::start(&world).await;
    let context = jetstream::new(nats(&world).await);
    context.publish(format!("lead.{ACCOUNT}.{INTERFACE}"), "rubbish".into()).await.unwrap().await.unwrap();
    drill.fires(&world, "LeadlineQuarantined", "1 message is unreadable and set aside; the last one is LEADS 1").await;
    context.get_stream("POISON").await.unwrap().purge().await.unwrap();
    drill.clears("LeadlineQuarantined").await;
}
