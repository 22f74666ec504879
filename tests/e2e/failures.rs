//! Every kind of failure, with real receivers.

use std::time::Duration;

use api::DeliveryStatus;
use testkit::{
    Answer, NameServer, Receiver, free_port,
    tls::{Authority, Certificate},
};

use crate::world::{SOON, World, some_destination};

/// Publishes to this URL alone, and returns the failed delivery.
async fn failed(world: &World, url: &str) -> api::Delivery {
    let destination_id = world.destination(url).await;
    let event = format!("e-{}", destination_id.trim_start_matches("dst_"));
    world.publish(&event).await;
    let detail = world.delivery_is(&event, DeliveryStatus::Failed).await;
    assert_eq!(detail.attempts.len(), 1);
    let delete = api::DeleteDestinationRequest { account_id: crate::world::ACCOUNT.into(), destination_id };
    world.registry().delete_destination(delete).await.unwrap();
    let delivery = detail.delivery.unwrap();
    assert_eq!(delivery.failure_reason, "exhausted");
    assert!(!delivery.suggested_action.is_empty());
    delivery
}

#[tokio::test]
async fn status_without_an_answer_is_999_with_an_error_kind() {
    let authority = Authority::default();
    let ca_file = authority.file();
    let names =
        NameServer::start(&[("internal.test", &["10.0.0.1"]), ("empty.test", &[]), ("six.test", &["::1"])]).await;
    let name_server = names.address().to_string();
    let args = ["--ca-file", ca_file.to_str().unwrap(), "--dns-server", &name_server];
    let world = World::start_with(&args, &[]).await;
    let misbehaving = async |answer| {
        let receiver = Receiver::start().await;
        receiver.answer(answer);
        receiver
    };
    let (hanging, resetting) = (misbehaving(Answer::Hang).await, misbehaving(Answer::Reset).await);
    let babbling = misbehaving(Answer::Garbage).await;
    let self_signed = Receiver::start_tls(&Certificate::self_signed("localhost")).await;
    let wrong_host = Receiver::start_tls(&authority.certificate_for("elsewhere.example")).await;
    let plain = Receiver::start().await;
    let cases = [
        (format!("http://127.0.0.1:{}/", free_port()), "connect", "refused"),
        ("http://no-such-host.invalid/".to_owned(), "dns", "there is no host with the name no-such-host.invalid"),
        ("http://nowhere.test/".to_owned(), "dns", "there is no host with the name nowhere.test"),
        ("http://empty.test/".to_owned(), "dns", "has no address"),
        (self_signed.url(), "tls", "certificate"),
        (wrong_host.url(), "tls", "certificate"),
        (plain.url().replace("http://", "https://"), "tls", ""),
        (hanging.url(), "timeout", "no answer within 2s"),
        (resetting.url(), "reset", ""),
        (babbling.url(), "protocol", ""),
        ("http://internal.test/".to_owned(), "blocked", "internal.test is not a public address"),
        ("http://six.test/".to_owned(), "blocked", "six.test is not a public address"),
    ];
    for (url, kind, message) in cases {
        let delivery = failed(&world, &url).await;
        assert_eq!((delivery.http_status_code, delivery.error_kind.as_str()), (999, kind), "{url}: {delivery:?}");
        assert!(delivery.webhook_response.contains(message), "{url}: {:?}", delivery.webhook_response);
        assert!(!delivery.webhook_response.is_empty(), "{url}");
        assert!(!["10.0.0.1", "::1"].iter().any(|address| delivery.webhook_response.contains(address)), "{delivery:?}");
    }
    // The log shows the address to the operator; accounts must not see it.
    let line = world.process.wait_line("refused addresses that are not public", SOON).await;
    assert!(line.contains("internal.test") && line.contains("10.0.0.1") && line.contains("acme"), "{line}");
}

#[tokio::test]
async fn valid_certificate_is_accepted() {
    let authority = Authority::default();
    let ca_file = authority.file();
    let world = World::start_with(&["--ca-file", ca_file.to_str().unwrap()], &[]).await;
    let receiver = Receiver::start_tls(&authority.certificate_for("localhost")).await;
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
}

#[tokio::test]
async fn answers_outside_2xx_fail_and_redirects_are_not_followed() {
    let world = World::start().await;
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    for status in [301, 302, 307, 400, 401, 404, 410, 422, 500, 503] {
        receiver.answer(Answer::With(status, vec![("location", elsewhere.url())], format!("says {status}").into()));
        let delivery = failed(&world, &receiver.url()).await;
        assert_eq!((delivery.http_status_code, delivery.error_kind.as_str()), (status.into(), ""));
        assert_eq!(delivery.webhook_response, format!("says {status}"));
    }
    assert_eq!(elsewhere.count(), 0);
}

#[tokio::test]
async fn endless_body_is_cut_and_its_status_counts() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Endless);
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    let delivery = world.delivery_is("e1", DeliveryStatus::Succeeded).await.delivery.unwrap();
    assert_eq!(delivery.webhook_response, "x".repeat(2_048));
}

#[tokio::test]
async fn slow_attempt_is_processing_and_not_repeated() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Gate(200));
    let timeout = Some(api::duration_to_api(Duration::from_secs(20)));
    world.destination_with(api::Destination { url: receiver.url(), timeout, ..some_destination() }).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Processing).await;
    // Longer than the broker's acknowledgement wait without a heartbeat.
    let long = std::time::Instant::now() + journal::ACK_WAIT + Duration::from_secs(2);
    testkit::wait::until("a long time", Duration::from_secs(30), async || std::time::Instant::now() > long).await;
    receiver.open_gate();
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn proxies_of_the_environment_are_ignored() {
    let (proxy, receiver) = (Receiver::start().await, Receiver::start().await);
    let url = proxy.url();
    let env = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let world = World::start_with(&[], &env.map(|name| (name, url.as_str()))).await;
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!((receiver.count(), proxy.count()), (1, 0));
}
