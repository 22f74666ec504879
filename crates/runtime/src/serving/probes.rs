//! Health probes: `/healthz`, `/readyz` and `grpc.health.v1`.
//!
//! Each service has its own answer: it is ready if every part that it needs works. `/readyz?service=NAME` answers for
//! one service. Without a name `/readyz` answers for the services that decide readiness ([`crate::Service`]), or for
//! all services of the process if none does. In `grpc.health.v1` the empty name means all services with gRPC methods,
//! or all services of the process if none has any.

use std::{collections::BTreeMap, fmt::Write as _};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{platform::Platform, readiness::Readiness};

/// The names of a service of this process.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) name: &'static str,
    pub(crate) grpc: Vec<&'static str>,
    pub(crate) decides_readiness: bool,
}

#[derive(Clone)]
struct Probed {
    readiness: Readiness,
    served: Vec<Served>,
}

#[derive(Debug, Deserialize)]
struct ProbeQuery {
    service: Option<String>,
}

pub(crate) fn routes(readiness: &Readiness, served: &[Served]) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .with_state(Probed { readiness: readiness.clone(), served: served.to_vec() })
}

async fn readyz(State(probed): State<Probed>, Query(query): Query<ProbeQuery>) -> Response {
    let services = match &query.service {
        None => of_process(&probed.served),
        Some(name) => match named(&probed.served, name) {
            Some(services) => services,
            None => return (StatusCode::NOT_FOUND, unknown(&probed.served)).into_response(),
        },
    };
    let mut status = StatusCode::OK;
    let mut words = BTreeMap::new();
    for (name, part) in probed.readiness.report() {
        let word = match part.state {
            Ok(()) => "ready".to_owned(),
            Err(why) if part.needed_by.any_of(&services) => {
                status = StatusCode::SERVICE_UNAVAILABLE;
                why
            }
            Err(why) => format!("degraded: {why}"),
        };
        words.insert(name, word);
    }
    (status, Json(words)).into_response()
}

fn of_process(served: &[Served]) -> Vec<&'static str> {
    let deciding = served.iter().filter(|service| service.decides_readiness);
    let deciding: Vec<_> = deciding.map(|service| service.name).collect();
    if deciding.is_empty() { served.iter().map(|service| service.name).collect() } else { deciding }
}

/// The services that a name means; `None` if the process does not serve it.
fn named(served: &[Served], name: &str) -> Option<Vec<&'static str>> {
    served.iter().find_map(|service| {
        if service.name == name {
            return Some(vec![service.name]);
        }
        let grpc = service.grpc.iter().find(|grpc| **grpc == name)?;
        Some(vec![service.name, *grpc])
    })
}

fn unknown(served: &[Served]) -> String {
    let mut text = String::from("this process does not serve that name; it serves");
    for name in served.iter().flat_map(|service| std::iter::once(&service.name).chain(&service.grpc)) {
        let _ = write!(text, " {name}");
    }
    text + "\n"
}

/// Reports to `grpc.health.v1` which services are ready, until the drain begins.
pub(crate) async fn report_health(platform: &Platform, mut reporter: HealthReporter, served: &[Served]) {
    let names = in_health(served);
    let mut changes = platform.readiness.changes();
    loop {
        for (name, services) in &names {
            let serving = !platform.drain.is_stopping() && platform.readiness.is_ready_for(services);
            let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
            reporter.set_service_status(*name, status).await;
        }
        if platform.drain.is_stopping() {
            // The watchers have received the last status. This ends their streams, which would keep the listener open.
            for (name, _) in &names {
                reporter.clear_service_status(name).await;
            }
            return;
        }
        tokio::select! {
            () = changes.next() => {}
            () = platform.drain.stopping() => {}
        }
    }
}

/// The names in `grpc.health.v1`, each with the services that it means.
fn in_health(served: &[Served]) -> Vec<(&'static str, Vec<&'static str>)> {
    let mut names = vec![];
    let mut all = vec![];
    for service in served {
        for grpc in &service.grpc {
            names.push((*grpc, vec![service.name, *grpc]));
            all.extend([service.name, *grpc]);
        }
    }
    if all.is_empty() {
        all.extend(served.iter().map(|service| service.name));
    }
    names.push(("", all));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readiness::NeededBy;

    fn served() -> Vec<Served> {
        let service =
            |name, grpc: &[&'static str]| Served { name, grpc: grpc.to_vec(), decides_readiness: name == "ingest" };
        vec![
            service("ingest", &["leadline.v1.IngestService"]),
            service("notifier", &[]),
            service("query", &["leadline.v1.LeadService", "leadline.v1.JobService"]),
        ]
    }

    async fn ask(readiness: &Readiness, service: Option<&str>) -> (u16, String) {
        let probed = Probed { readiness: readiness.clone(), served: served() };
        let query = ProbeQuery { service: service.map(str::to_owned) };
        let answer = readyz(State(probed), Query(query)).await;
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ingest_decides_the_answer_and_each_service_has_its_own() {
        let readiness = Readiness::default();
        readiness.latch("broker").ready();
        let mail = readiness.latch_for("mail", NeededBy::Only(&["notifier"]));
        mail.ready();
        assert_eq!(ask(&readiness, None).await, (200, r#"{"broker":"ready","mail":"ready"}"#.into()));
        mail.not_ready("no answer");
        let degraded = (200, r#"{"broker":"ready","mail":"degraded: no answer"}"#.into());
        assert_eq!(ask(&readiness, None).await, degraded);
        assert_eq!(ask(&readiness, Some("leadline.v1.LeadService")).await, degraded);
        let unready = (503, r#"{"broker":"ready","mail":"no answer"}"#.into());
        assert_eq!(ask(&readiness, Some("notifier")).await, unready);
        let (status, text) = ask(&readiness, Some("other")).await;
        assert_eq!(status, 404);
        assert!(text.contains("leadline.v1.JobService"), "{text}");
    }

    #[test]
    fn the_empty_health_name_means_services_with_methods() {
        let names = in_health(&served());
        let (_, all) = names.iter().find(|(name, _)| name.is_empty()).unwrap();
        assert!(all.contains(&"query") && !all.contains(&"notifier"), "{all:?}");
        let alone = in_health(&served()[1..2]);
        assert_eq!(alone, [("", vec!["notifier"])]);
    }
}
