//! OTLP back ends and Prometheus show the same metrics: the names of one follow from those of the other by the rules of
//! OpenTelemetry (<https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>), so dashboards and
//! alerts work with both.

use std::collections::{BTreeMap, BTreeSet};

use testkit::{OtlpSink, otlp::ExportedPoint, wait};

use super::{ENDPOINT, SOON_EXPORTED, names::everything};
use crate::world::SOON;

/// The kind of a metric, and the names of its labels.
type Family = (String, BTreeSet<String>);

/// A name without characters that Prometheus does not allow, and without repeated underscores.
fn sanitised(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

/// The name that a collector and Prometheus' OTLP receiver give to a metric.
fn translated(name: &str, unit: &str, kind: &str) -> String {
    let mut words: Vec<String> = sanitised(name).split('_').map(str::to_owned).collect();
    let word = match unit {
        "s" => Some("seconds"),
        "By" => Some("bytes"),
        "1" if kind == "gauge" => Some("ratio"),
        "" | "1" => None,
        annotation if annotation.starts_with('{') => None,
        other => panic!("{name} has the unit {other}, for which this test knows no word"),
    };
    let missing = word.filter(|word| !words.iter().any(|part| part == word));
    words.extend(missing.map(str::to_owned));
    if kind == "counter" {
        words.retain(|part| part != "total");
        words.push("total".to_owned());
    }
    words.join("_")
}

/// The metrics that a collector received.
fn received(points: &[ExportedPoint]) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::<String, Family>::new();
    for point in points {
        let name = translated(&point.name, &point.unit, point.kind);
        let (kind, labels) = families.entry(name).or_default();
        point.kind.clone_into(kind);
        labels.extend(point.attributes.keys().map(|key| sanitised(key)));
    }
    families
}

/// The metrics of a scrape.
fn scraped(text: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::<String, Family>::new();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    for (family, kind) in types.filter(|(_, kind)| *kind != "info") {
        let (name, sample) = match kind {
            "counter" => (format!("{family}_total"), format!("{family}_total")),
            "histogram" => (family.to_owned(), format!("{family}_count")),
            _ => (family.to_owned(), family.to_owned()),
        };
        let samples = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(sample.as_str()));
        families.insert(name, (kind.to_owned(), samples.flat_map(labels).collect()));
    }
    families
}

/// The names of the labels of a sample.
pub(super) fn labels(sample: &str) -> Vec<String> {
    let Some((_, labels)) = sample.split_once('{') else { return vec![] };
    let mut parts: Vec<_> = labels.split("=\"").collect();
    // The last part is the value of the last label.
    parts.pop();
    parts.into_iter().filter_map(|part| part.rsplit([',', '"']).next()).map(str::to_owned).collect()
}

#[tokio::test]
async fn names_over_otlp_translate_to_those_for_prometheus() {
    let collector = OtlpSink::start().await;
    let endpoint = collector.endpoint();
    let (world, _) = everything(&[(ENDPOINT, endpoint.as_str()), SOON_EXPORTED]).await;
    let same = wait::until("the same metrics by both ways", SOON, async || {
        let (exported, shown) = (received(&collector.points()), scraped(&world.metrics().await));
        let differs = |(name, family): &(&String, &Family)| exported.get(*name) != Some(*family);
        let of_prometheus: Vec<_> = shown.iter().filter(differs).collect();
        let of_otlp: Vec<_> = exported.keys().filter(|name| !shown.contains_key(*name)).collect();
        let is_same = of_prometheus.is_empty() && of_otlp.is_empty();
        if is_same { Ok(shown) } else { Err(format!("/metrics: {of_prometheus:#?}\nOTLP: {of_otlp:#?}")) }
    })
    .await;
    let accepted: Family = ("counter".to_owned(), ["leadline_protocol".to_owned()].into());
    assert_eq!(same["leadline_events_accepted_total"], accepted);
    assert_eq!(same["leadline_read_model_lag_seconds"].0, "gauge");
    assert_eq!(same["leadline_delivery_time_to_first_attempt_seconds"].0, "histogram");
    assert!(same.contains_key("leadline_broker_storage_used_bytes") && same.contains_key("leadline_parked"));
}

#[test]
fn units_and_counters_are_translated_as_the_specification_says() {
    for (name, unit, kind, expected) in [
        ("leadline.events.accepted", "{event}", "counter", "leadline_events_accepted_total"),
        ("process.cpu.time", "s", "counter", "process_cpu_time_seconds_total"),
        ("a.bytes.used", "By", "gauge", "a_bytes_used"),
        ("share", "1", "gauge", "share_ratio"),
        ("a..b-c", "", "gauge", "a_b_c"),
    ] {
        assert_eq!(translated(name, unit, kind), expected);
    }
}
