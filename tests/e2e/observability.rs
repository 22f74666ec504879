//! The profile `observability` of docker-compose.yml: the files of the collector, Prometheus, Tempo and Grafana are
//! complete, and agree with each other and with the containers. No test runs Docker.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value;

use crate::{described::tool, features::root};

/// The services of Leadline, which Prometheus reads.
const SERVICES: [&str; 5] = ["dispatcher", "ingest", "maintenance", "notifier", "query"];

/// A YAML file. Python reads it, with the package that tools/bring-openapi-tools brings.
fn yaml(name: &str) -> Value {
    const READ: &str = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let read = Command::new(tool("python")).args(["-c", READ]).arg(root().join(name)).output().unwrap();
    assert!(read.status.success(), "{name}: {}", String::from_utf8_lossy(&read.stderr));
    serde_json::from_slice(&read.stdout).unwrap()
}

fn compose() -> Value {
    yaml("docker-compose.yml")
}

fn texts(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn names(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

/// The host and the port of an address such as `http://tempo:3200`.
fn host_and_port(address: &str) -> (&str, &str) {
    address.split("://").last().unwrap().split_once(':').unwrap()
}

/// Whether two containers have a network in common.
fn are_connected(compose: &Value, one: &str, other: &str) -> bool {
    let networks = |name: &str| texts(&compose["services"][name]["networks"]);
    !networks(one).is_disjoint(&networks(other))
}

/// The files and folders of this repository that are mounted into a container: the path there, and the path here.
fn mounts(compose: &Value, container: &str) -> Vec<(String, String)> {
    let volumes = texts(&compose["services"][container]["volumes"]).into_iter();
    let files = volumes.filter_map(|volume| volume.strip_prefix("./").map(str::to_owned));
    let parts = files.map(|file| file.split(':').map(str::to_owned).collect::<Vec<_>>());
    parts.map(|parts| (parts[1].clone(), parts[0].clone())).collect()
}

/// The file of this repository that a container sees at a path.
fn file_at(compose: &Value, container: &str, path: &str) -> String {
    let found = mounts(compose, container).into_iter().find_map(|(target, file)| {
        let rest = path.strip_prefix(&target)?;
        Some(format!("{file}{rest}"))
    });
    found.unwrap_or_else(|| panic!("{container} sees nothing at {path}"))
}

#[test]
fn pipelines_of_the_collector_have_defined_parts_and_use_all() {
    let collector = yaml("deploy/otel-collector.yaml");
    let pipelines = collector["service"]["pipelines"].as_object().unwrap();
    assert_eq!(names(&collector["service"]["pipelines"]), ["logs", "metrics", "traces"].map(str::to_owned).into());
    for part in ["receivers", "processors", "exporters"] {
        let used: BTreeSet<_> = pipelines.values().flat_map(|pipeline| texts(&pipeline[part])).collect();
        assert_eq!(used, names(&collector[part]), "{part}");
    }
    for (name, pipeline) in pipelines {
        let processors = pipeline["processors"].as_array().unwrap();
        // The documentation of the collector requires this order: first refuse, and finally batch what is left.
        assert_eq!(processors.first().unwrap(), "memory_limiter", "{name}");
        assert_eq!(processors.last().unwrap(), "batch", "{name}");
    }
}

#[test]
fn containers_start_with_files_that_they_see() {
    let compose = compose();
    for (container, option) in
        [("otel-collector", "--config="), ("prometheus", "--config.file="), ("tempo", "-config.file=")]
    {
        let command = texts(&compose["services"][container]["command"]);
        let path = command.iter().find_map(|word| word.strip_prefix(option)).unwrap();
        let file = file_at(&compose, container, path);
        assert!(root().join(&file).is_file(), "{container} reads {file}");
        yaml(&file);
    }
    let rules = texts(&yaml("deploy/prometheus/prometheus.yml")["rule_files"]);
    assert!(rules.iter().all(|file| root().join("deploy/prometheus").join(file).is_file()), "{rules:?}");
    let dashboards = yaml("deploy/grafana/provisioning/dashboards/leadline.yaml");
    let path = dashboards["providers"][0]["options"]["path"].as_str().unwrap();
    let folder = file_at(&compose, "grafana", path);
    assert_eq!(fs::read_dir(root().join(folder)).unwrap().count(), 3);
    let provisioned = file_at(&compose, "grafana", "/etc/grafana/provisioning/datasources/leadline.yaml");
    assert!(root().join(provisioned).is_file());
}

#[test]
fn prometheus_reads_every_service_at_its_port() {
    let (compose, prometheus) = (compose(), yaml("deploy/prometheus/prometheus.yml"));
    let services = compose["services"].as_object().unwrap().iter();
    let measured: BTreeSet<_> = services
        .filter(|(_, service)| !service["environment"]["LEADLINE_METRICS_LISTEN"].is_null())
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(measured, SERVICES.into());
    let job = &prometheus["scrape_configs"][0];
    // The alert LeadlineProcessDown uses this name.
    assert_eq!(job["job_name"], "leadline");
    let discovered = &job["dns_sd_configs"][0];
    assert_eq!(texts(&discovered["names"]), SERVICES.map(str::to_owned).into());
    for service in SERVICES {
        let listens = compose["services"][service]["environment"]["LEADLINE_METRICS_LISTEN"].as_str().unwrap();
        assert_eq!(host_and_port(listens).1, discovered["port"].to_string());
        assert!(are_connected(&compose, "prometheus", service), "{service}");
    }
    // The links of alerts lead to a port that is published.
    let runbook = prometheus["global"]["external_labels"]["leadline_runbook"].as_str().unwrap();
    let published = compose["services"]["query"]["ports"].as_array().unwrap();
    let (address, port) = host_and_port(runbook);
    let port = format!("{address}:{}:8080", port.split('/').next().unwrap());
    assert!(published.iter().any(|mapping| *mapping == *port) && runbook.ends_with("/runbook"), "{runbook}");
}

#[test]
fn traces_find_their_way_to_tempo_and_grafana() {
    let (compose, collector, tempo) = (compose(), yaml("deploy/otel-collector.yaml"), yaml("deploy/tempo.yaml"));
    let text = fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    let protocols = &collector["receivers"]["otlp"]["protocols"];
    let (_, grpc) = host_and_port(protocols["grpc"]["endpoint"].as_str().unwrap());
    assert!(text.contains(&format!("set this to http://otel-collector:{grpc} ")), "the port of the collector");
    let exports = collector["exporters"]["otlp/tempo"]["endpoint"].as_str().unwrap();
    let receives = tempo["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"].as_str().unwrap();
    assert_eq!(host_and_port(exports), ("tempo", host_and_port(receives).1));
    for (one, other) in [("ingest", "otel-collector"), ("otel-collector", "tempo"), ("grafana", "tempo")] {
        assert!(are_connected(&compose, one, other), "{one} does not reach {other}");
    }

    let sources = yaml("deploy/grafana/provisioning/datasources/leadline.yaml");
    let mut uids = BTreeSet::new();
    for source in sources["datasources"].as_array().unwrap() {
        let (host, port) = host_and_port(source["url"].as_str().unwrap());
        let expected = match host {
            "tempo" => tempo["server"]["http_listen_port"].to_string(),
            // The default of Prometheus, because its command sets no port.
            "prometheus" => "9090".to_owned(),
            other => panic!("no container {other}"),
        };
        assert_eq!(port, expected, "{host}");
        assert!(are_connected(&compose, "grafana", host), "{host}");
        uids.insert(source["uid"].as_str().unwrap());
    }
    let exemplars = &sources["datasources"][0]["jsonData"]["exemplarTraceIdDestinations"][0];
    assert_eq!(exemplars["name"], "trace_id");
    assert!(uids.contains(exemplars["datasourceUid"].as_str().unwrap()), "{uids:?}");
}
