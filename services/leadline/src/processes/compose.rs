//! Puts a process together: platform, API, sessions, services, and an orderly end.

use std::process::ExitCode;

use access::{Sessions, Site};
use anyhow::Context as _;
use crypto::MasterKey;
use journal::{Journal, NatsOptions};
use runtime::{Addresses, Api, Listeners, Platform, Service, metrics, telemetry};
use web::OverHttp;

/// Runs services in this process until a signal stops it.
pub(crate) async fn alone(
    name: &'static str,
    listeners: &Listeners,
    nats: &NatsOptions,
    start: impl AsyncFnOnce(&Platform, &Journal) -> anyhow::Result<Vec<Service>>,
) -> anyhow::Result<ExitCode> {
    let _telemetry = telemetry::init(service_name(name), &listeners.telemetry)?;
    metrics::name_destinations(listeners.metrics_destinations);
    let platform = platform()?;
    let journal = Journal::connect(nats, &platform).await?;
    let services = start(&platform, &journal).await?;
    let addresses = runtime::serve(listeners, services, api()?, &platform).await?;
    announce(name, addresses, &platform).await;
    Ok(finish(&platform, listeners).await)
}

/// The API of every process: over gRPC, and over HTTP.
pub(crate) fn api() -> anyhow::Result<Api> {
    let over_http = OverHttp::new().context("the API's descriptors are broken")?;
    Ok(Api { descriptors: api::DESCRIPTORS, over_http: Box::new(|grpc, served| over_http.routes(grpc, served)) })
}

/// The sessions of the console.
pub(crate) fn sessions(
    public_url: Option<&str>,
    console: &console_http::Options,
    key: &MasterKey,
    platform: &Platform,
) -> anyhow::Result<Sessions> {
    let site = Site::new(public_url, platform.addresses.clone())?;
    Ok(Sessions::new(site, console.oidc.people()?, key))
}

/// Makes the platform of the services, which drains on a signal. Also raises the limit of open files to the hard limit.
pub(crate) fn platform() -> anyhow::Result<Platform> {
    let platform = Platform::default();
    runtime::shutdown_on_signal(&platform.drain).context("cannot handle signals")?;
    runtime::files::make_room();
    Ok(platform)
}

/// The name of a service in traces.
const fn service_name(name: &'static str) -> &'static str {
    match name.as_bytes() {
        b"ingest" => "leadline-ingest",
        b"dispatcher" => "leadline-dispatcher",
        b"notifier" => "leadline-notifier",
        b"query" => "leadline-query",
        b"maintenance" => "leadline-maintenance",
        _ => name,
    }
}

/// Waits until all services of the process are ready, and prints its addresses. Prints nothing if the drain begins
/// first.
pub(crate) async fn announce(name: &str, addresses: Addresses, platform: &Platform) {
    tokio::select! {
        () = platform.readiness.all_ready() => {
            println!("{name} is ready: http={} grpc={}", addresses.http_url(), addresses.grpc_url());
        }
        () = platform.drain.stopping() => {}
    }
}

/// Waits for the signal to stop, and then for the work in flight.
pub(crate) async fn finish(platform: &Platform, listeners: &Listeners) -> ExitCode {
    if platform.drain.finished(listeners.drain_deadline).await {
        return if platform.drain.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let deadline = listeners.drain_deadline;
    tracing::error!(
        ?deadline,
        "work in flight did not finish before the deadline; it is repeated after the next start"
    );
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use domain::registry::Destination;
    use runtime::duration;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Options {
        #[command(flatten)]
        listeners: Listeners,
    }

    #[test]
    fn compose_waits_for_the_drain_and_the_drain_for_requests() {
        let deadline = Options::try_parse_from(["leadline"]).unwrap().listeners.drain_deadline;
        assert!(deadline >= Destination::MAX_TIMEOUT + std::time::Duration::from_secs(10));
        let compose = include_str!("../../../../docker-compose.yml");
        let grace = compose.lines().find_map(|line| line.trim().strip_prefix("stop_grace_period: ")).unwrap();
        assert!(duration::parse(grace).unwrap() > deadline);
    }
}
