//! TLS of Leadline's servers, and of its connections to the broker.

use std::{path::Path, time::Duration};

use access::AuthInterceptor;
use api::{DeliveryStatus, access_service_client::AccessServiceClient};
use testkit::{
    NatsServer, Process, Receiver,
    tls::{Authority, CertificateFiles},
    wait,
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use crate::world::{Home, SOON, World, event_json, program, web};

const NO_ENV: [(&str, &str); 0] = [];

/// The HTTP and gRPC addresses that a process prints.
pub(crate) async fn addresses(process: &Process) -> (String, String) {
    let line = process.wait_line("is ready:", SOON).await;
    let (http, grpc) = line.split_once("http=").unwrap().1.split_once(" grpc=").unwrap();
    (http.to_owned(), grpc.to_owned())
}

pub(crate) fn trusting(authority: &Authority) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(&std::fs::read(authority.file()).unwrap()).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap()
}

async fn channel(url: &str, ca: &Path) -> Result<Channel, tonic::transport::Error> {
    let ca = Certificate::from_pem(std::fs::read(ca).unwrap());
    let config = ClientTlsConfig::new().ca_certificate(ca);
    Channel::from_shared(url.to_owned()).unwrap().tls_config(config)?.connect().await
}

#[tokio::test]
async fn with_a_certificate_http_and_grpc_speak_only_tls() {
    let (authority, home) = (Authority::default(), Home::new());
    let files = authority.files_for(&["localhost", "127.0.0.1"]);
    let (certificate, key) = files.names();
    let process = home.up(&["--tls-cert", certificate, "--tls-key", key], &[]);
    let (http, grpc) = addresses(&process).await;
    assert!(http.starts_with("https://") && grpc.starts_with("https://"), "{http} {grpc}");

    let healthy = trusting(&authority).get(format!("{http}/healthz")).send().await.unwrap();
    assert_eq!(healthy.status().as_u16(), 200);
    let key = home.admin_key();
    let posted =
        trusting(&authority).post(format!("{http}/v1/leads")).bearer_auth(&key).body(event_json("e").to_string());
    assert_eq!(posted.send().await.unwrap().status().as_u16(), 400, "there is no account");
    let with_key = AuthInterceptor::new(&key).unwrap().over(channel(&grpc, &authority.file()).await.unwrap());
    AccessServiceClient::new(with_key).who_am_i(api::WhoAmIRequest {}).await.unwrap();
    assert!(channel(&grpc, &Authority::default().file()).await.is_err(), "an untrusted authority");

    // A client without TLS gets an explanation, and its key is not processed.
    let (plain_http, plain_grpc) = (http.replace("https", "http"), grpc.replace("https", "http"));
    let refused = web().get(format!("{plain_http}/healthz")).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 400);
    assert!(refused.text().await.unwrap().contains("speaks TLS"));
    let call = |url: &str, more: &[&str]| {
        let args = [&["call", "AccessService/WhoAmI", "--grpc-url", url, "--api-key", &key], more].concat();
        Process::start("call", program(), args, NO_ENV)
    };
    let ca = authority.file();
    call(&grpc, &["--tls-ca", ca.to_str().unwrap()]).wait_line("SCOPE_ADMIN", SOON).await;
    let refused = call(&plain_grpc, &[]);
    refused.wait_line("speaks TLS", SOON).await;
    assert!(!refused.wait_exit(SOON).await.success());
    let untrusted = call(&grpc, &[]);
    untrusted.wait_line("--tls-ca", SOON).await;

    // A silent connection does not delay others.
    let silent = tokio::net::TcpStream::connect(http.trim_start_matches("https://")).await.unwrap();
    let request = trusting(&authority).get(format!("{http}/readyz")).timeout(Duration::from_secs(5)).send();
    assert_eq!(request.await.unwrap().status().as_u16(), 200);
    drop(silent);
    process.terminate();
    assert_eq!(process.wait_exit(SOON).await.code(), Some(0), "{}", process.output());
}

#[tokio::test]
async fn unusable_server_certificate_is_named() {
    let (authority, home) = (Authority::default(), Home::new());
    let (one, two) = (authority.files_for(&["localhost"]), authority.files_for(&["elsewhere.example"]));
    let ((certificate, key), (_, other_key)) = (one.names(), two.names());
    for (args, expected) in [
        (["--tls-cert", certificate, "--tls-key", other_key], "does not fit"),
        (["--tls-cert", key, "--tls-key", key], "check --tls-cert"),
        (["--tls-cert", certificate, "--tls-key", "/nowhere"], "cannot use /nowhere"),
    ] {
        let process = home.up(&args, &[]);
        assert!(!process.wait_exit(SOON).await.success());
        assert!(process.output().contains(expected), "{}", process.output());
    }
    let process = home.up(&["--tls-cert", certificate], &[]);
    assert!(!process.wait_exit(SOON).await.success());
    assert!(process.output().contains("--tls-key"), "{}", process.output());
}

#[tokio::test]
async fn replaced_broker_certificates_are_read_at_the_next_connection() {
    let (authority, next) = (Authority::default(), Authority::default());
    let broker = NatsServer::start_tls(&authority).await;
    // Broker and Leadline have separate files, like on two machines.
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (ca, own) = (file("ca.pem"), CertificateFiles { certificate: file("certificate.pem"), key: file("key.pem") });
    let renew = |authority: &Authority| {
        std::fs::copy(authority.file(), &ca).unwrap();
        authority.files_for(&["leadline"]).copy_to(&own);
    };
    renew(&authority);
    let (certificate, key) = own.names();
    let url = broker.url();
    let args =
        [["--nats-url", &url, "--nats-ca", ca.to_str().unwrap()], ["--nats-cert", certificate, "--nats-key", key]];
    let world = World::start_with(&args.concat(), &[]).await;
    let receiver = Receiver::start().await;
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;

    broker.replace_certificates(&next);
    broker.kill();
    wait::until("a lost connection", SOON, async || world.process.output().contains("connection to the broker lost"))
        .await;
    // Until Leadline's files are replaced, too, neither side trusts the other.
    broker.restart_unasked();
    assert_eq!(world.post(event_json("e2").to_string(), &[]).await.0, 503);
    renew(&next);
    wait::until("an accepted event", SOON, async || world.post(event_json("e2").to_string(), &[]).await.0 == 202).await;
    world.delivery_is("e2", DeliveryStatus::Succeeded).await;
}

#[tokio::test]
async fn broker_connection_uses_tls_with_a_client_certificate() {
    let authority = Authority::default();
    let broker = NatsServer::start_tls(&authority).await;
    let (ca, own) = (authority.file(), authority.files_for(&["leadline"]));
    let (ca, (certificate, key), url) = (ca.to_str().unwrap(), own.names(), broker.url());
    let stranger = Authority::default().file();
    for args in [
        vec!["--nats-url", &url],
        vec!["--nats-url", &url, "--nats-ca", stranger.to_str().unwrap()],
        vec!["--nats-url", &url, "--nats-ca", ca],
    ] {
        let process = Process::start("keys", program(), [vec!["keys", "bootstrap"], args.clone()].concat(), NO_ENV);
        assert!(!process.wait_exit(SOON).await.success(), "{args:?}");
        assert!(process.output().contains("--nats-ca"), "{args:?}: {}", process.output());
    }
    let world =
        World::start_with(&["--nats-url", &url, "--nats-ca", ca, "--nats-cert", certificate, "--nats-key", key], &[])
            .await;
    let receiver = Receiver::start().await;
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    // A lost connection is reopened with TLS.
    broker.restart().await;
    wait::until("an accepted event", SOON, async || world.post(event_json("e2").to_string(), &[]).await.0 == 202).await;
    world.delivery_is("e2", DeliveryStatus::Succeeded).await;

    let home = Home::new();
    let process = home.up(&["--nats-ca", ca], &[]);
    assert!(!process.wait_exit(SOON).await.success());
    assert!(process.output().contains("--nats-url"), "{}", process.output());
}
