//! Dashboards, rules and documents name only metrics that the system exposes.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use api::DeliveryStatus;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use testkit::{Receiver, tls::Authority, wait};

use crate::{
    features::root,
    mutual_tls::identity,
    tls::trusting,
    world::{ACCOUNT, Home, SOON, World, some_destination},
};

/// The prefixes of Leadline's metrics, and of the conventions that it follows.
const PREFIXES: [&str; 8] =
    ["leadline_", "http_server_", "http_client_", "rpc_server_", "messaging_", "db_client_", "process_", "tokio_"];
/// Labels and other words with these prefixes.
const LABELS: [&str; 4] = [
    "messaging_destination_name",
    "messaging_consumer_group_name",
    "db_client_connection_state",
    "db_client_connection_pool_name",
];
/// Metrics that exist only if the account of the broker has a limit.
const OF_LIMITED_ACCOUNTS: &str = "leadline_broker_account_storage_limit_bytes";
const FAR: i32 = 2040;

/// The words of a text that are names of metrics, without the suffixes of histograms and counters.
pub(super) fn named_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named = words.filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix)));
    named.map(family).filter(|word| !is_label(word)).map(str::to_owned).collect()
}

fn is_label(word: &str) -> bool {
    const OWN: [&str; 11] = [
        "leadline_account",
        "leadline_api_key",
        "leadline_certificate",
        "leadline_consumer",
        "leadline_destination",
        "leadline_kind",
        "leadline_outcome",
        "leadline_part",
        "leadline_reason",
        "leadline_state",
        "leadline_waited",
    ];
    // The last two are labels of alerts only.
    const OTHERS: [&str; 4] = ["leadline_protocol", "leadline_status", "leadline_runbook", "leadline_service"];
    LABELS.contains(&word) || OWN.contains(&word) || OTHERS.contains(&word)
}

/// Whether a metric is Leadline's own, and not one of the conventions.
pub(super) fn is_own(name: &str) -> bool {
    name.starts_with("leadline_")
}

fn family(name: &str) -> &str {
    let parts = ["_bucket", "_sum", "_count", "_total"];
    // The word "count" ends some names by itself.
    let own = ["process_thread_count", "process_unix_file_descriptor_count", "db_client_connection_count"];
    if own.contains(&name) {
        return name;
    }
    parts.into_iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name)
}

/// The families of a scrape.
pub(super) fn exposed(text: &str) -> BTreeSet<String> {
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    families.map(str::to_owned).collect()
}

pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![];
    for entry in fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
        if entry.is_dir() { all.extend(files(&entry)) } else { all.push(entry) }
    }
    all
}

/// A system that contains everything that is measured, except the certificate of the listeners, and its metrics.
pub(super) async fn everything(env: &[(&str, &str)]) -> (World, String) {
    let args = ["--stream-max-bytes", "50000000", "--metrics-destinations", "5"];
    let (world, receiver) = (World::start_with(&args, env).await, Receiver::start().await);
    let soon = Timestamp::now() + SignedDuration::from_hours(1);
    let key = api::CreateKeyRequest {
        account_id: ACCOUNT.into(),
        name: "for a while".into(),
        scopes: vec![api::Scope::Read.into()],
        expires_at: Some(api::timestamp_to_api(soon)),
        ..api::CreateKeyRequest::default()
    };
    world.access().create_key(key).await.unwrap();
    let client_certificate = identity(&Authority::default().client("leadline at acme", FAR));
    let own = api::Destination { url: "https://localhost:1/".into(), client_certificate, ..some_destination() };
    let own = world.destination_with(own).await;
    world.disable(&own).await;
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    wait::until("a delivery", SOON, async || (receiver.count() > 0).then_some(())).await;
    let filter = api::DeliveryFilter { event_id: "e1".into(), ..api::DeliveryFilter::default() };
    let request = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
    wait::until("a success and a held delivery", SOON, async || {
        let found = world.deliveries().list_deliveries(request.clone()).await.unwrap().into_inner().deliveries;
        let is = |status| found.iter().any(|delivery| delivery.status() == status);
        (is(DeliveryStatus::Succeeded) && is(DeliveryStatus::Held)).then_some(())
    })
    .await;
    let wanted = "leadline_destination_parked";
    let text = wait::until("the parked work", SOON, async || {
        let text = world.metrics().await;
        text.contains(wanted).then_some(text)
    })
    .await;
    (world, text)
}

/// The families of a system whose listeners speak TLS.
async fn exposed_over_tls() -> BTreeSet<String> {
    let (authority, home) = (Authority::default(), Home::new());
    let files = authority.files_for(&["localhost", "127.0.0.1"]);
    let (certificate, key) = files.names();
    let process = home.up(&["--tls-cert", certificate, "--tls-key", key], &[]);
    let (http, _) = crate::tls::addresses(&process).await;
    let answer = trusting(&authority).get(format!("{http}/metrics")).send().await.unwrap();
    exposed(&answer.text().await.unwrap())
}

#[tokio::test]
async fn dashboards_rules_and_documents_name_existing_metrics() {
    let (_world, text) = everything(&[]).await;
    let exposed = &exposed(&text) | &exposed_over_tls().await;
    let deploy = root().join("deploy");
    let mut sources = files(&deploy.join("grafana"));
    sources.extend(files(&deploy.join("prometheus")));
    sources.push(root().join("docs/telemetry.md"));
    sources.push(root().join("docs/runbook.md"));
    assert!(sources.iter().filter(|file| file.extension().is_some_and(|e| e == "json")).count() >= 3);
    for source in &sources {
        let named = named_in(&fs::read_to_string(source).unwrap());
        let missing: Vec<_> =
            named.iter().filter(|name| !exposed.contains(*name) && *name != OF_LIMITED_ACCOUNTS).collect();
        assert!(missing.is_empty(), "{} names {missing:?}; there is {exposed:#?}", source.display());
    }
    let documented = named_in(&fs::read_to_string(root().join("docs/telemetry.md")).unwrap());
    let unknown: Vec<_> =
        exposed.iter().filter(|name| named_in(name).contains(*name) && !documented.contains(*name)).collect();
    assert!(unknown.is_empty(), "docs/telemetry.md does not name {unknown:#?}");
}

#[test]
fn every_alert_has_a_complete_runbook_chapter() {
    let rules = fs::read_to_string(root().join("deploy/prometheus/alerts.yml")).unwrap();
    let runbook = fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let titles: BTreeSet<_> =
        runbook.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_lowercase).collect();
    let alerts = rules.matches("- alert: ").count();
    let links: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("runbook_url: ")).collect();
    assert_eq!(links.len(), alerts);
    for link in links {
        let chapter = link.strip_prefix("\"{{ $externalLabels.leadline_runbook }}#").unwrap().trim_end_matches('"');
        assert!(titles.contains(chapter), "{chapter} is not among {titles:?}");
    }
    for chapter in runbook.split("\n## ").filter(|chapter| chapter.starts_with("Leadline")) {
        for part in ["**Meaning:**", "**See it:** `leadline ", "**Do:**", "**Over:**"] {
            assert!(chapter.contains(part), "{part} is missing: {chapter}");
        }
    }
}

/// The names of the alerts.
pub(super) fn alerts() -> Vec<String> {
    let rules = fs::read_to_string(root().join("deploy/prometheus/alerts.yml")).unwrap();
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect()
}

#[test]
fn every_alert_fires_and_is_silent_in_a_rule_test() {
    let tests = fs::read_to_string(root().join("deploy/prometheus/alerts_test.yml")).unwrap();
    for alert in alerts() {
        let cases: Vec<_> = tests.split(&format!("alertname: {alert}\n")).skip(1).collect();
        let is_silent = |case: &&&str| case.trim_start().starts_with("exp_alerts: []");
        let silent = cases.iter().filter(is_silent).count();
        assert!(silent > 0 && silent < cases.len(), "{alert} is silent in {silent} of {} cases", cases.len());
    }
}

#[test]
fn dashboards_are_valid_and_choose_their_data_source() {
    for file in files(&root().join("deploy/grafana/dashboards")) {
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        assert!(variables.iter().any(|variable| variable["type"] == "datasource"), "{}", file.display());
        assert!(dashboard["panels"].as_array().unwrap().len() >= 6, "{}", file.display());
        assert!(dashboard["uid"].as_str().is_some_and(|uid| uid.starts_with("leadline-")));
    }
}
