//! docker-compose.yml and the files that it mounts. No test runs Docker: nats-server gets the configuration of the
//! broker, and the compose file is read.

use std::{fs, path::PathBuf};

use testkit::{Process, free_port, nats, wait};

use crate::{
    processes::{address, arguments},
    world::{SOON, program},
};

/// A password of `openssl rand -hex 24` may have only digits, which a NATS configuration without quotes takes for a
/// number.
const PASSWORD: &str = "123456789012345678901234567890123456789012345678";

fn source(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

#[tokio::test]
async fn broker_of_compose_requires_the_password() {
    let (folder, port, monitor) = (tempfile::tempdir().unwrap(), free_port(), free_port().to_string());
    let (configuration, listens) = (source("deploy/nats.conf"), port.to_string());
    let args = ["-c", configuration.to_str().unwrap(), "-a", "127.0.0.1", "-p", &listens, "-m", &monitor, "-sd"];
    let args = [&args[..], &[folder.path().to_str().unwrap()]].concat();
    let quoted = format!("\"{PASSWORD}\"");
    let broker = Process::start("nats-server", nats::binary(), args, [("NATS_PASSWORD", &quoted)]);
    broker.wait_line("Server is ready", SOON).await;

    let ingest = |url: String| Process::start("ingest", program(), arguments("ingest", &["--nats-url", &url]), NO_ENV);
    let stranger = ingest(format!("nats://127.0.0.1:{port}"));
    assert!(!stranger.wait_exit(SOON).await.success());
    assert!(stranger.output().contains("refuses the credentials"), "{}", stranger.output());
    let welcome = ingest(format!("nats://leadline:{PASSWORD}@127.0.0.1:{port}"));
    address(&welcome, "http=").await;

    // The request of the container's health check.
    let health = format!("http://127.0.0.1:{monitor}/healthz");
    wait::until("a healthy broker", SOON, async || {
        crate::world::web().get(&health).send().await.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
}

const NO_ENV: [(&str, &str); 0] = [];

#[test]
fn every_mounted_file_of_compose_exists() {
    let file = fs::read_to_string(source("docker-compose.yml")).unwrap();
    let mounts: Vec<_> = file.split(['\n', '[', ' ']).filter_map(|word| word.strip_prefix("./")).collect();
    assert!(mounts.len() >= 5, "{mounts:?}");
    for mount in mounts {
        let path = mount.split(':').next().unwrap();
        assert!(source(path).exists(), "{path}");
    }
}

#[test]
fn compose_requires_passwords_and_publishes_locally() {
    let file = fs::read_to_string(source("docker-compose.yml")).unwrap();
    let lines = || file.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let published: Vec<_> = lines().filter(|line| line.starts_with("ports:")).collect();
    assert_eq!(published.len(), 4);
    assert!(published.iter().all(|line| line.starts_with("ports: [\"127.0.0.1:")), "{published:?}");
    let of_secrets = ["_PASSWORD:", "MASTER_KEY:", "NATS_URL:", "DATABASE_URL:"];
    let secrets: Vec<_> = lines().filter(|line| of_secrets.iter().any(|name| line.contains(name))).collect();
    assert_eq!(secrets.len(), 5, "{secrets:?}");
    for line in secrets {
        assert!(line.contains(":?make one with openssl rand"), "{line}");
    }
    let images: Vec<_> = lines().filter_map(|line| line.strip_prefix("image: ")).collect();
    assert!(images.contains(&"nats:2.15.1-alpine") && images.contains(&"postgres:17"), "{images:?}");
    let has_version =
        |image: &&str| image.rsplit_once(':').is_some_and(|(_, tag)| tag.contains(|c: char| c.is_ascii_digit()));
    assert!(images.iter().all(has_version), "{images:?}");
}
