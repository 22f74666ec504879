//! The master key: a process with another key does not start, and a secret that cannot be opened is not the receiver's
//! fault.

use api::DeliveryStatus;
use async_nats::jetstream;
use crypto::MasterKey;
use domain::{RegistryFact, registry::Change};
use events::Record as _;
use testkit::{NatsServer, Process, Receiver, wait};

use crate::{
    dispatchers::{beside, with_dispatchers},
    processes::{ALLOWED, arguments},
    world::{ACCOUNT, Home, SOON, World, program, some_destination, web},
};

/// Starts a service with this master key.
fn start(broker: &NatsServer, service: &str, key: &MasterKey, args: &[&str]) -> Process {
    let env = [("LEADLINE_NATS_URL", broker.url()), ("LEADLINE_MASTER_KEY", key.reveal())];
    Process::start(service, program(), arguments(service, args), env)
}

/// Waits until a process refuses to start, and returns its output.
async fn refused(process: Process) -> String {
    assert_eq!(process.wait_exit(SOON).await.code(), Some(1), "{}", process.output());
    let message = process.output();
    assert!(message.contains("--master-key") && !message.contains("is ready:"), "{message}");
    message
}

#[tokio::test]
async fn process_with_another_master_key_does_not_start() {
    let (broker, home, folder) = (NatsServer::start().await, Home::new(), tempfile::tempdir().unwrap());
    let (own, other) = (MasterKey::generate().unwrap(), MasterKey::generate().unwrap());
    let database = format!("sqlite:{}?mode=rwc", folder.path().join("leads.db").display());
    let first = start(&broker, "query", &own, &["--database-url", &database]);
    first.wait_line("is ready:", SOON).await;
    let other_text = other.reveal();
    let wrong = [
        start(&broker, "dispatcher", &other, &[]),
        start(&broker, "query", &other, &["--database-url", &database]),
        start(&broker, "notifier", &other, &[]),
        home.up(&["--nats-url", &broker.url(), "--master-key", &other_text], &[]),
    ];
    for process in wrong {
        let message = refused(process).await;
        for part in [own.fingerprint(), other.fingerprint(), format!("--replace-master-key {}", own.fingerprint())] {
            assert!(message.contains(&part), "{part} is missing in {message}");
        }
        assert!(!message.contains(&other_text), "{message}");
    }
    start(&broker, "dispatcher", &own, &[]).wait_line("is ready:", SOON).await;
    // The key is lost. Another key replaces only the one whose fingerprint is named.
    refused(start(&broker, "dispatcher", &other, &["--replace-master-key", &other.fingerprint()])).await;
    let fingerprint = own.fingerprint();
    let replacing = start(&broker, "dispatcher", &other, &["--replace-master-key", &fingerprint]);
    replacing.wait_line("is ready:", SOON).await;
    start(&broker, "notifier", &other, &[]).wait_line("is ready:", SOON).await;
    refused(start(&broker, "dispatcher", &own, &[])).await;
}

/// Creates a destination with signed requests, and its token.
async fn signed(world: &World, receiver: &Receiver) -> (String, String) {
    let request = api::CreateTokenRequest { account_id: ACCOUNT.into(), ..api::CreateTokenRequest::default() };
    let token_id = world.registry().create_token(request).await.unwrap().into_inner().token.unwrap().token_id;
    let custom = api::CustomRetryPolicy { deactivate: "on_exhaustion".into(), ..api::CustomRetryPolicy::default() };
    let retry_policy = Some(api::RetryPolicy { policy: Some(api::retry_policy::Policy::Custom(custom)) });
    let destination = api::Destination {
        url: receiver.url(),
        token_id: token_id.clone(),
        event_types: vec!["lead.*".to_owned()],
        retry_policy,
        ..some_destination()
    };
    (world.destination_with(destination).await, token_id)
}

#[tokio::test]
async fn without_a_fingerprint_the_key_must_open_the_secrets() {
    let (broker, world, _) = with_dispatchers(1).await;
    let receiver = Receiver::start().await;
    signed(&world, &receiver).await;
    let positions = jetstream::new(broker.client().await).get_stream("POSITIONS").await.unwrap();
    positions.purge().filter("position.master-key").await.unwrap();
    let other = MasterKey::generate().unwrap();
    let message = refused(start(&broker, "dispatcher", &other, &[])).await;
    assert!(message.contains("does not open 1 of the 1 secrets"), "{message}");
    beside(&world, &broker, "dispatcher", &ALLOWED).wait_line("is ready:", SOON).await;
    let message = refused(start(&broker, "dispatcher", &other, &[])).await;
    assert!(message.contains("is recorded"), "{message}");
}

async fn readyz(world: &World) -> (u16, String) {
    let answer = web().get(format!("{}/readyz?service=dispatcher", world.http)).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn deliveries_wait_while_a_secret_cannot_be_opened() {
    let (broker, world, _) = with_dispatchers(1).await;
    let (receiver, healthy) = (Receiver::start().await, Receiver::start().await);
    let (id, token) = signed(&world, &receiver).await;
    let context = jetstream::new(broker.client().await);
    let subject = format!("registry.{ACCOUNT}.token.{token}");
    let registry = context.get_stream("REGISTRY").await.unwrap();
    let stored = registry.get_last_raw_message_by_subject(&subject).await.unwrap().payload;
    let mut fact = RegistryFact::decode(stored.clone()).unwrap();
    let Change::TokenCreated(mut changed) = fact.change else { panic!("another fact") };
    *changed.secrets[0].sealed.0.last_mut().unwrap() ^= 1;
    fact.change = Change::TokenUpdated(changed);
    context.publish(subject.clone(), fact.encode()).await.unwrap().await.unwrap();

    world.publish("e1").await;
    let (status, message) = wait::until("the unreadable secret to be reported", SOON, async || {
        Some(readyz(&world).await).filter(|(_, message)| message.contains("cannot be opened"))
    })
    .await;
    assert_eq!(status, 503);
    assert!(message.contains("secrets") && message.contains("--master-key") && !message.contains(&id), "{message}");
    assert!(world.process.output().contains(&id), "the log names the destination");
    // Other destinations are not affected.
    let event_types = vec!["other.thing".to_owned()];
    world.destination_with(api::Destination { url: healthy.url(), event_types, ..some_destination() }).await;
    world.publish_with("other", serde_json::json!({"type": "other.thing"})).await;
    wait::until_eq("the healthy one", SOON, 1, async || healthy.count()).await;
    let waiting = world.delivery_is("e1", DeliveryStatus::Pending).await;
    assert_eq!((waiting.attempts, receiver.count(), world.home.outbox().len()), (vec![], 0, 0));
    let request = api::GetDestinationRequest { account_id: ACCOUNT.into(), destination_id: id };
    let destination = world.registry().get_destination(request).await.unwrap().into_inner();
    assert_eq!(destination.deactivated, None);

    context.publish(subject, stored).await.unwrap().await.unwrap();
    let sent = world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!((sent.attempts.len(), receiver.count()), (1, 1));
    wait::until_eq("readiness", SOON, 200, async || readyz(&world).await.0).await;
}
