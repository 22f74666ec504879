//! Receivers that ask for client certificates (mutual TLS), and receivers with private authorities.

use api::DeliveryStatus;
use prost_types::FieldMask;
use testkit::{Nginx, Receiver, tls::Authority};
use tonic::{Code, Status};

use crate::world::{ACCOUNT, World, is_readable_in, some_destination};

const FAR: i32 = 2040;

pub(crate) fn identity((chain, key): &(String, String)) -> Option<api::ClientCertificate> {
    let (certificate_chain, private_key) = (chain.clone(), key.clone());
    Some(api::ClientCertificate { certificate_chain, private_key, ..api::ClientCertificate::default() })
}

async fn create(world: &World, destination: api::Destination) -> Result<api::Destination, Status> {
    let destination = Some(destination);
    let request = api::CreateDestinationRequest { destination, ..api::CreateDestinationRequest::default() };
    world.registry().create_destination(request).await.map(tonic::Response::into_inner)
}

async fn update(world: &World, destination: api::Destination, fields: &[&str]) -> Result<api::Destination, Status> {
    let paths = fields.iter().map(|field| (*field).to_owned()).collect();
    let update_mask = (!fields.is_empty()).then_some(FieldMask { paths });
    let request = api::UpdateDestinationRequest { destination: Some(destination), update_mask, ..Default::default() };
    world.registry().update_destination(request).await.map(tonic::Response::into_inner)
}

/// Publishes an event and waits for the end of its delivery: status, error kind and response.
async fn tried(world: &World, event: &str) -> (u32, String, String) {
    world.publish(event).await;
    let delivery = testkit::wait::until("the end of the delivery", crate::world::SOON, async || {
        let delivery = world.delivery(event).await.delivery.unwrap();
        matches!(delivery.status(), DeliveryStatus::Succeeded | DeliveryStatus::Failed).then_some(delivery)
    })
    .await;
    (delivery.http_status_code, delivery.error_kind, delivery.webhook_response)
}

#[tokio::test]
async fn client_certificate_is_sent_and_its_key_is_never_shown() {
    let (servers, clients) = (Authority::default(), Authority::default());
    let receiver = Receiver::start_mutual_tls(&servers.certificate_for("localhost"), &clients).await;
    let (world, own) = (World::start().await, clients.client("leadline at acme", FAR));
    let destination = api::Destination {
        url: receiver.url(),
        client_certificate: identity(&own),
        ca_certificates: servers.pem(),
        ..some_destination()
    };
    let made = create(&world, destination).await.unwrap();
    assert_eq!(tried(&world, "e1").await.0, 200);
    let shown = made.client_certificate.clone().unwrap();
    assert_eq!(shown.subject, "CN=leadline at acme");
    assert_eq!(api::timestamp(&shown.not_after.unwrap()).unwrap().to_string(), "2040-01-01T00:00:00Z");
    assert_eq!((shown.certificate_chain.as_str(), shown.private_key.as_str()), ("", ""));
    assert!(made.ca_certificates.starts_with("-----BEGIN CERTIFICATE-----"));

    // Sending back what was read removes nothing, with and without an update mask.
    update(&world, made.clone(), &[]).await.unwrap();
    update(&world, made.clone(), &["client_certificate", "ca_certificates", "name"]).await.unwrap();
    assert_eq!(tried(&world, "e2").await.0, 200);

    // Another certificate opens another connection; the receiver refuses an unknown one.
    let stranger = Authority::default().client("stranger", FAR);
    update(
        &world,
        api::Destination { client_certificate: identity(&stranger), ..made.clone() },
        &["client_certificate"],
    )
    .await
    .unwrap();
    let (status, kind, text) = tried(&world, "e3").await;
    assert_eq!((status, kind.as_str()), (999, "tls"), "{text}");
    update(&world, api::Destination { client_certificate: None, ..made.clone() }, &["client_certificate"])
        .await
        .unwrap();
    assert_eq!(tried(&world, "e4").await.1, "tls");
    assert_eq!(receiver.count(), 2);

    let request = api::ListAuditLogRequest { account_id: ACCOUNT.into(), page_size: 500, ..Default::default() };
    let changes_of_key = testkit::wait::until("the log of the new key", crate::world::SOON, async || {
        let entries = world.audit().list_audit_log(request.clone()).await.unwrap().into_inner().entries;
        let changes = entries.into_iter().flat_map(|entry| entry.changes).filter(|c| c.field == "client_certificate");
        Some(changes.collect::<Vec<_>>()).filter(|changes| changes.len() >= 3)
    })
    .await;
    assert!(changes_of_key.iter().all(|change| change.secret), "{changes_of_key:?}");
    for key in [&own.1, &stranger.1] {
        let line = key.lines().nth(1).unwrap();
        assert!(!is_readable_in(&world.home.data(), line.as_bytes()), "a key is readable on disk");
        assert!(!world.process.output().contains(line));
        assert!(!format!("{changes_of_key:?}").contains(line));
    }
}

#[tokio::test]
async fn nginx_accepts_the_client_certificate_over_http2() {
    let (servers, clients) = (Authority::default(), Authority::default());
    let nginx = Nginx::start(&servers.files_for(&["localhost"]), &clients).await;
    let world = World::start().await;
    let destination = api::Destination {
        url: nginx.url(),
        client_certificate: identity(&clients.client("leadline at acme", FAR)),
        ca_certificates: servers.pem(),
        ..some_destination()
    };
    let made = create(&world, destination).await.unwrap();
    for event in ["e1", "e2"] {
        let (status, _, text) = tried(&world, event).await;
        assert_eq!((status, text.as_str()), (200, "HTTP/2.0 CN=leadline at acme"), "{}", nginx.log());
    }
    update(&world, api::Destination { client_certificate: None, ..made }, &["client_certificate"]).await.unwrap();
    let (status, _, text) = tried(&world, "e3").await;
    assert_eq!(status, 400);
    assert!(text.contains("No required SSL certificate was sent"), "{text}");
}

#[tokio::test]
async fn authorities_of_a_destination_replace_all_others() {
    let (known, own) = (Authority::default(), Authority::default());
    let world = World::start_with(&["--ca-file", known.file().to_str().unwrap()], &[]).await;
    let by_known = Receiver::start_tls(&known.certificate_for("localhost")).await;
    let by_own = Receiver::start_tls(&own.certificate_for("localhost")).await;
    let made = create(&world, api::Destination { url: by_known.url(), ..some_destination() }).await.unwrap();
    assert_eq!(tried(&world, "e1").await.0, 200);
    let own = api::Destination { ca_certificates: own.pem(), ..made };
    update(&world, own.clone(), &["ca_certificates"]).await.unwrap();
    let (status, kind, text) = tried(&world, "e2").await;
    assert_eq!((status, kind.as_str()), (999, "tls"));
    assert!(text.starts_with("invalid peer certificate"), "{text}");
    update(&world, api::Destination { url: by_own.url(), ..own }, &["url"]).await.unwrap();
    assert_eq!(tried(&world, "e3").await.0, 200);
    assert_eq!((by_known.count(), by_own.count()), (1, 1));
}

#[tokio::test]
async fn unusable_client_certificate_is_refused_when_set() {
    let (world, clients) = (World::start().await, Authority::default());
    let (good, other, old) = (clients.client("good", FAR), clients.client("other", FAR), clients.client("old", 2020));
    let chain = "client_certificate.certificate_chain: ";
    let key = "client_certificate.private_key: ";
    let encrypted = good.1.replace("PRIVATE", "ENCRYPTED PRIVATE");
    for (given, field, expected) in [
        (identity(&(good.0.clone(), other.1.clone())), key, "does not belong to the first certificate"),
        (identity(&(good.0.clone(), encrypted)), key, "is encrypted"),
        (identity(&(good.0.clone(), String::new())), key, "holds no private key"),
        (identity(&(String::new(), good.1.clone())), chain, "holds no certificate"),
        (identity(&old), chain, "CN=old expired at 2020-01-01T00:00:00Z"),
        (identity(&("x".repeat(70_000), good.1.clone())), chain, "is longer than 65536 bytes"),
    ] {
        let destination = api::Destination { url: "https://crm.example/".into(), ..some_destination() };
        let refused = create(&world, api::Destination { client_certificate: given, ..destination }).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let text = refused.message();
        assert!(text.starts_with(field) && text.contains(expected) && text.len() < 1_000, "{text}");
        assert!(!text.contains("PRIVATE KEY-----\nM"), "{text}");
    }
    let ca_certificates = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
    let bad = api::Destination { url: "https://crm.example/".into(), ca_certificates, ..some_destination() };
    let refused = create(&world, bad).await.unwrap_err();
    assert!(refused.message().starts_with("ca_certificates: "), "{refused}");
}

#[tokio::test]
async fn changed_origin_needs_the_client_certificate_again() {
    let (world, clients) = (World::start().await, Authority::default());
    let own = clients.client("leadline", FAR);
    let url = "https://crm.example/".to_owned();
    let made = create(&world, api::Destination { url, client_certificate: identity(&own), ..some_destination() });
    let made = made.await.unwrap();
    let moved = api::Destination { url: "https://other.example/".into(), ..made };
    let refused = update(&world, moved.clone(), &["url"]).await.unwrap_err();
    assert!(refused.message().contains("its client certificate (client_certificate)"), "{refused}");
    // A certificate as read has no key, so the key is missing.
    update(&world, moved.clone(), &["url", "client_certificate"]).await.unwrap_err();
    let again = api::Destination { client_certificate: identity(&own), ..moved };
    update(&world, again, &["url", "client_certificate"]).await.unwrap();
}

#[tokio::test]
async fn command_line_sets_certificates_and_a_proxy() {
    let (world, servers, clients) = (World::start().await, Authority::default(), Authority::default());
    let receiver = Receiver::start_mutual_tls(&servers.certificate_for("localhost"), &clients).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (chain, key) = clients.client("leadline at acme", FAR);
    let (chain, key, ca) = (file("own.pem", &chain), file("own.key", &key), file("ca.pem", &servers.pem()));
    let url = receiver.url();
    let create = ["destinations", "create", "--name", "CRM", "--url", &url, "--retry-policy", "manual"];
    let with = ["--client-cert", &chain, "--client-key", &key, "--ca", &ca];
    world.run(&[&create[..], &with].concat()).await.well();
    assert_eq!(tried(&world, "e1").await.0, 200);
    let shown = world.run(&["destinations", "show", "CRM"]).await.well().out;
    assert!(shown.contains("CN=leadline at acme until 2040-01-01"), "{shown}");
    assert!(shown.contains("1 of its own"), "{shown}");
    world.run(&["destinations", "update", "CRM", "--proxy", "socks5://127.0.0.1:1080"]).await.well();
    let shown = world.run(&["destinations", "show", "CRM"]).await.well().out;
    assert!(shown.contains("socks5://127.0.0.1:1080") && shown.contains("CN=leadline at acme"), "{shown}");
    world.run(&["destinations", "update", "CRM", "--proxy", "", "--client-cert", "", "--ca", ""]).await.well();
    let shown = world.run(&["destinations", "show", "CRM"]).await.well().out;
    for gone in ["socks5", "CN=", "of its own"] {
        assert!(!shown.contains(gone), "{gone} is in {shown}");
    }
    let refused = world.run(&["destinations", "update", "CRM", "--client-key", &key]).await;
    assert!(refused.err.contains("--client-cert is missing"), "{refused:?}");
}
