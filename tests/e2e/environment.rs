//! The environment of Compose: `VAR=${VAR:-}` sets an unset variable to an empty text.

use std::process::Command;

use crate::world::{SOON, World, program};

/// The variables that the help of a command names.
fn variables(command: &str) -> Vec<String> {
    let help = Command::new(program()).args([command, "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let named = help.split("[env: ").skip(1);
    named.map(|rest| rest.split(['=', ']']).next().unwrap().to_owned()).collect()
}

#[test]
fn the_help_of_each_service_explains_the_log() {
    for service in ["up", "ingest", "dispatcher", "notifier", "query", "maintenance"] {
        let help = Command::new(program()).args([service, "--help"]).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        for word in ["--log-filter", "RUST_LOG", "--log-format", "text", "json", "--log-deliveries"] {
            let is_there =
                help.contains(word) || (word == "--log-deliveries" && !["up", "dispatcher"].contains(&service));
            assert!(is_there, "{service}: {word}");
        }
    }
}

#[tokio::test]
async fn empty_variables_count_as_unset() {
    let of_server = variables("up");
    assert!(of_server.len() > 30, "{of_server:?}");
    let mut empty: Vec<_> = of_server.iter().map(|variable| (variable.as_str(), "")).collect();
    empty.extend([("RUST_LOG", ""), ("LEADLINE_LOG_FORMAT", ""), ("OTEL_EXPORTER_OTLP_ENDPOINT", "")]);
    let world = World::start_with(&[], &empty).await;

    let of_client = variables("status");
    assert!(of_client.iter().any(|variable| variable == "LEADLINE_API_KEY"), "{of_client:?}");
    let mut status = Command::new(program());
    status.args(["status", "--grpc-url", &world.grpc, "--data-dir"]).arg(world.home.data());
    let ran = status.envs(of_client.iter().map(|variable| (variable, ""))).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    // The log level is the default, not that of an empty filter.
    world.process.terminate();
    world.process.wait_line("stopping: finishing", SOON).await;
}
