//! The queries of the dashboards: Prometheus accepts each, and each names only metrics and labels that exist.

use std::{collections::BTreeSet, fs};

use serde_json::Value;
use testkit::Prometheus;

use super::{
    names::{everything, files},
    query_of,
    translated::labels,
};
use crate::features::root;

/// The words of PromQL that the dashboards use.
const LANGUAGE: [&str; 11] =
    ["by", "count", "histogram_quantile", "increase", "max", "min", "or", "rate", "sum", "vector", "and"];
/// Labels that Prometheus adds, and one that only a failure has.
const OTHER_LABELS: [&str; 3] = ["instance", "le", "error_type"];
/// Variables of Grafana, and a value for each.
const VARIABLES: [(&str, &str); 4] =
    [("$__rate_interval", "5m"), ("$__range", "1h"), ("$account", "acme"), ("$destination", "dst_1")];

/// The queries of all panels, with values for their variables.
fn queries() -> Vec<String> {
    let mut all = vec![];
    for file in files(&root().join("deploy/grafana/dashboards")) {
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        collect(&dashboard["panels"], &mut all);
    }
    let filled = |query: String| VARIABLES.iter().fold(query, |query, (name, value)| query.replace(name, value));
    all.into_iter().map(filled).collect()
}

fn collect(panels: &Value, queries: &mut Vec<String>) {
    for panel in panels.as_array().into_iter().flatten() {
        let targets = panel["targets"].as_array().into_iter().flatten();
        queries.extend(targets.filter_map(|target| target["expr"].as_str()).map(str::to_owned));
        collect(&panel["panels"], queries);
    }
}

/// The words of a query that are no text, number or duration.
fn words(query: &str) -> BTreeSet<String> {
    let outside_texts = query.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let words = outside_texts.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words.filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic())).map(str::to_owned).collect()
}

#[tokio::test]
async fn queries_are_accepted_and_name_existing_labels() {
    let (queries, prometheus) = (queries(), Prometheus::start(&[], "groups: []").await);
    assert!(queries.len() >= 60, "{} queries", queries.len());
    for query in &queries {
        let answer = query_of(&prometheus, query).await;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
    }

    let (_world, text) = everything(&[]).await;
    let rules = fs::read_to_string(root().join("deploy/prometheus/alerts.yml")).unwrap();
    let samples = || text.lines().filter(|line| !line.starts_with('#'));
    let mut known: BTreeSet<_> = samples().flat_map(labels).collect();
    known.extend(samples().filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned));
    known.extend(rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).map(str::to_owned));
    known.extend(LANGUAGE.iter().chain(&OTHER_LABELS).map(|word| (*word).to_owned()));
    // These exist only with TLS or with a limit of the account; names.rs looks for them.
    let rare = ["leadline_certificate", "leadline_broker_account_storage_limit_bytes"];
    for query in &queries {
        let unknown: Vec<_> = words(query)
            .into_iter()
            .filter(|word| !known.contains(word) && !rare.iter().any(|rare| word.starts_with(rare)))
            .collect();
        assert!(unknown.is_empty(), "{query} names {unknown:?}");
    }
}
