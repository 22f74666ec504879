//! The values of metrics about the broker, about certificates and keys that expire, and about services in separate
//! processes.

use std::{collections::BTreeSet, fs, time::Duration};

use api::{DeliveryStatus, Scope};
use async_nats::jetstream;
use jiff::{SignedDuration, Timestamp};
use testkit::{NatsCluster, NatsServer, Process, Receiver, postgres, tls::Authority, wait};

use super::{label, samples};
use crate::{
    features::root,
    maintenance::LEFT_TO_OTHERS,
    mutual_tls::identity,
    processes::{Alone, address},
    publishing::nats,
    tls::{self, trusting},
    world::{ACCOUNT, Home, INTERFACE, SOON, World, event_json, some_destination, web},
};

/// How long servers of a cluster may take on a busy machine.
const IN_SYNC: Duration = Duration::from_secs(90);
/// The years in which the certificates of these tests expire.
const YEARS: [i32; 3] = [2040, 2041, 2042];
/// How far a value may differ from the real one, in seconds. Figures are measured every five seconds.
const TOLERANCE: f64 = 60.0;
/// The hours after which the API keys expire.
const HOURS: [i32; 2] = [3, 2];

/// The only sample of this name whose labels contain all of these; `None` if there is none.
fn value(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let found = samples(text, name, labels);
    assert!(found.len() <= 1, "several samples of {name} {labels:?}");
    found.first().copied()
}

/// The seconds until a year begins.
fn until(year: i32) -> f64 {
    let begins: Timestamp = format!("{year}-01-01T00:00:00Z").parse().unwrap();
    begins.duration_since(Timestamp::now()).as_secs_f64()
}

#[tokio::test]
async fn broker_figures_are_those_of_the_broker() {
    let (world, receiver) =
        (World::start_with(&["--stream-max-bytes", "50000000"], &[]).await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish_many(5).await;
    world.delivery_is("e4", DeliveryStatus::Succeeded).await;
    let context = jetstream::new(nats(&world).await);
    let rubbish = context.publish(format!("lead.{ACCOUNT}.{INTERFACE}"), "rubbish".into()).await.unwrap();
    rubbish.await.unwrap();
    world
        .metrics_are(&[
            ("leadline_quarantined", &[], 1.0),
            ("leadline_healed_total", &["leadline_kind=\"missing\""], 0.0),
            ("leadline_healed_total", &["leadline_kind=\"stuck\""], 0.0),
            ("leadline_broker_connected", &[], 1.0),
            ("leadline_broker_reconnects_total", &[], 0.0),
            ("leadline_broker_messages", &["\"LEADS\""], 6.0),
            ("leadline_broker_storage_limit_bytes", &["\"LEADS\""], 50_000_000.0),
            ("leadline_broker_replicas_behind", &[], 0.0),
        ])
        .await;
    for stream in ["LEADS", "REGISTRY", "DELIVERIES"] {
        let name = format!("messaging_destination_name=\"{stream}\"");
        let name = [name.as_str()];
        wait::until(&format!("the size of {stream}"), SOON, async || {
            let state = context.get_stream(stream).await.unwrap().cached_info().state.clone();
            let text = world.metrics().await;
            let shown = [
                value(&text, "leadline_broker_messages", &name),
                value(&text, "leadline_broker_storage_used_bytes", &name),
            ];
            #[expect(clippy::cast_precision_loss, reason = "the streams are small")]
            let real = [Some(state.messages as f64), Some(state.bytes as f64)];
            if shown == real { Ok(()) } else { Err((shown, real)) }
        })
        .await;
    }
    let used = value(&world.metrics().await, "leadline_broker_account_storage_used_bytes", &[]);
    assert!(used.is_some_and(|bytes| bytes > 0.0 && bytes < 50_000_000.0), "{used:?}");
}

#[tokio::test]
async fn limit_of_the_account_is_measured() {
    let broker = NatsServer::start_with_more(
        "accounts { leadline: { jetstream: { max_file: 300000000 }, users: [ { user: a, password: b } ] } }\n\
         no_auth_user: a\n",
    )
    .await;
    let world = World::start_with(&["--nats-url", &broker.url()], &[]).await;
    world.metrics_are(&[("leadline_broker_account_storage_limit_bytes", &[], 300_000_000.0)]).await;
}

#[tokio::test]
async fn replicas_that_are_away_are_behind_until_they_catch_up() {
    let cluster = NatsCluster::start().await;
    let world = World::start_with(&["--nats-url", &cluster.url(), "--replicas", "3"], &[]).await;
    let behind = async |stream: &str| {
        let stream = format!("messaging_destination_name=\"{stream}\"");
        value(&world.metrics().await, "leadline_broker_replicas_behind", &[&stream])
    };
    wait::until("the replicas", IN_SYNC, || cluster.in_sync()).await;
    wait::until_eq("no replica behind", IN_SYNC, Some(0.0), async || behind("LEADS").await).await;
    let leader = cluster.leader_of("LEADS").await.unwrap();
    let other = &cluster.servers()[(leader + 1) % cluster.servers().len()];
    other.kill();
    // A stream that the server led answers again when another server leads it.
    wait::until("an event that is stored", IN_SYNC, async || {
        (world.post(event_json("e1").to_string(), &[]).await.0 == 202).then_some(())
    })
    .await;
    wait::until_eq("a replica behind", IN_SYNC, Some(1.0), async || behind("LEADS").await).await;
    other.restart().await;
    wait::until_eq("no replica behind", IN_SYNC, Some(0.0), async || behind("LEADS").await).await;
}

#[tokio::test]
async fn what_expires_first_is_named_and_its_time_is_right() {
    for (named, expected) in [("0", &[0][..]), ("2", &[0, 1])] {
        let world = World::start_with(&["--metrics-destinations", named], &[]).await;
        let mut ids = vec![];
        for year in YEARS {
            let client_certificate = identity(&Authority::default().client("leadline at acme", year));
            let own = api::Destination { url: "https://localhost:1/".into(), client_certificate, ..some_destination() };
            ids.push(world.destination_with(own).await);
        }
        let mut keys = vec![];
        for hours in HOURS {
            let ends = Timestamp::now() + SignedDuration::from_hours(hours.into());
            let key = api::CreateKeyRequest {
                account_id: ACCOUNT.into(),
                name: "for a while".into(),
                scopes: vec![Scope::Read.into()],
                expires_at: Some(api::timestamp_to_api(ends)),
                ..api::CreateKeyRequest::default()
            };
            keys.push(world.access().create_key(key).await.unwrap().into_inner().key.unwrap().key_id);
        }
        let certificate = "leadline_destination_certificate_expires_in_seconds";
        let text = wait::until("both metrics", SOON, async || {
            let text = world.metrics().await;
            let lines = text.lines().filter(|line| line.starts_with(&format!("{certificate}{{"))).count();
            let key = samples(&text, "leadline_api_key_expires_in_seconds", &[]).len();
            let is_complete = lines == expected.len() && key == keys.len();
            if is_complete { Ok(text) } else { Err((lines, key)) }
        })
        .await;
        for index in expected {
            let left = value(&text, certificate, &[&ids[*index], "leadline_account=\"acme\""]).unwrap();
            assert!((left - until(YEARS[*index])).abs() < TOLERANCE, "{left} s until {}", YEARS[*index]);
        }
        for (key, hours) in keys.iter().zip(HOURS) {
            let labels = [&*format!("leadline_api_key=\"{key}\""), "leadline_account=\"acme\""];
            let left = value(&text, "leadline_api_key_expires_in_seconds", &labels).unwrap();
            let expected = f64::from(hours) * 3_600.0;
            assert!((left - expected).abs() < TOLERANCE, "{left} s until a key of {hours} h expires");
        }
    }
}

#[tokio::test]
async fn certificate_of_the_listeners_is_measured() {
    let (authority, home) = (Authority::default(), Home::new());
    let files = authority.files_for(&["localhost", "127.0.0.1"]);
    let (certificate, key) = files.names();
    let process = home.up(&["--tls-cert", certificate, "--tls-key", key], &[]);
    let (http, _) = tls::addresses(&process).await;
    let answer = trusting(&authority).get(format!("{http}/metrics")).send().await.unwrap();
    let text = answer.text().await.unwrap();
    let left = value(&text, "leadline_certificate_expires_in_seconds", &["leadline_certificate=\"listeners\""]);
    // Certificates of the testkit have the default of rcgen.
    assert!(left.is_some_and(|left| (left - until(4096)).abs() < TOLERANCE), "{left:?}");
}

/// The metrics of a process.
async fn metrics_of(process: &Process) -> String {
    let url = format!("{}/metrics", address(process, "http=").await);
    web().get(url).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn services_in_processes_of_their_own_have_their_metrics() {
    let alone = Alone::start(postgres::database().await).await;
    let world = alone.query(Home::new(), &LEFT_TO_OTHERS).await;
    let outbox = tempfile::tempdir().unwrap();
    let (notifier, maintenance) = (alone.notifier(outbox.path()).await, alone.maintenance().await);
    world.set_up().await;
    let client_certificate = identity(&Authority::default().client("leadline at acme", YEARS[0]));
    let own = api::Destination { url: "https://localhost:1/".into(), client_certificate, ..some_destination() };
    let id = world.destination_with(own).await;
    let shown = wait::until("the figures of query", SOON, async || {
        let text = metrics_of(&world.process).await;
        if text.contains(&id) && text.contains("leadline_quarantined ") { Ok(text) } else { Err(text) }
    })
    .await;
    assert_eq!(value(&shown, "leadline_quarantined", &[]), Some(0.0));
    // The alert LeadlineServiceMissing recognises each service by one of these.
    let services = [
        ("ingest", "leadline_events_accepted_total", &alone.ingest),
        ("dispatcher", "leadline_requests_limit", &alone.dispatcher),
        ("notifier", "leadline_mails_sent_total", &notifier),
        ("query", "leadline_destinations", &world.process),
        ("maintenance", "leadline_healed_total", &maintenance),
    ];
    let rules = fs::read_to_string(root().join("deploy/prometheus/alerts.yml")).unwrap();
    for (service, metric, _) in services {
        let rule = format!("label_replace(absent({metric}), \"leadline_service\", \"{service}\"");
        assert!(rules.contains(&rule), "{rule}");
        for (other, _, process) in services {
            let text = metrics_of(process).await;
            let has_it = text.lines().any(|line| line.split(['{', ' ']).next() == Some(metric));
            assert_eq!(has_it, service == other, "{metric} of {other}");
        }
    }
    let healed = metrics_of(&maintenance).await;
    let kinds: BTreeSet<_> = healed
        .lines()
        .filter(|line| line.starts_with("leadline_healed_total{"))
        .filter_map(|line| label(line, "leadline_kind"))
        .collect();
    assert_eq!(kinds, BTreeSet::from(["missing", "stuck"].map(Into::into)));
}
