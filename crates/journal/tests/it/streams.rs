//! Stream settings: changes by an operator are kept, and settings that the broker cannot provide are errors at once.

use std::time::Duration;

use async_nats::jetstream::{
    self,
    stream::{Compression, Config},
};
use journal::{Journal, JournalError, NatsOptions};
use runtime::{ErrorChain as _, Platform};
use testkit::NatsServer;
use tokio::time::Instant;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A start that retries takes 30 seconds.
const AT_ONCE: Duration = Duration::from_secs(10);

fn options(server: &NatsServer) -> NatsOptions {
    NatsOptions { nats_url: Some(server.url()), ..NatsOptions::default() }
}

async fn start(options: &NatsOptions) -> Result<Journal, JournalError> {
    Journal::connect(options, &Platform::default()).await
}

async fn config(server: &NatsServer, stream: &str) -> Config {
    let context = jetstream::new(server.client().await);
    context.get_stream(stream).await.unwrap().cached_info().config.clone()
}

#[tokio::test]
async fn stream_settings_changed_by_an_operator_are_kept() {
    let server = NatsServer::start().await;
    start(&options(&server)).await.unwrap();
    let mut changed = config(&server, "LEADS").await;
    assert_eq!((changed.max_age, changed.max_bytes), (DAY * 90, -1));
    changed.max_bytes = 5_000_000;
    changed.max_age = DAY * 30;
    changed.compression = Some(Compression::S2);
    changed.description = Some("leads of the shop".into());
    changed.metadata.insert("owner".into(), "shop".into());
    jetstream::new(server.client().await).update_stream(&changed).await.unwrap();
    let changed = config(&server, "LEADS").await;
    start(&options(&server)).await.unwrap();
    assert_eq!(config(&server, "LEADS").await, changed);
}

#[tokio::test]
async fn retention_of_events_is_a_setting_that_persists() {
    let server = NatsServer::start().await;
    let kept = |days| NatsOptions { keep_events: Some(DAY * days), ..options(&server) };
    for (options, days) in [(kept(10), 10), (options(&server), 10), (kept(120), 120)] {
        start(&options).await.unwrap();
        for (stream, times) in
            [("LEADS", 1), ("DELIVERIES", 1), ("NOTICES", 1), ("JOBS", 1), ("ANONYMISED", 2), ("TIMERS", 0)]
        {
            assert_eq!(config(&server, stream).await.max_age, DAY * days * times, "{stream} for {days} days");
        }
    }
    // Event ids are remembered no longer than events are kept.
    start(&NatsOptions { keep_events: Some(Duration::from_secs(5)), ..options(&server) }).await.unwrap();
    assert_eq!(config(&server, "LEADS").await.duplicate_window, Duration::from_secs(5));
}

#[tokio::test]
async fn missing_stream_limits_are_errors_that_name_the_setting() {
    const LIMITED: &str = "accounts {\n  A {\n    jetstream { max_bytes_required: true, max_store: 1GB }\n    \
        users: [{ user: u, password: p }]\n  }\n}\nno_auth_user: u\n";
    let server = NatsServer::start_with_more(LIMITED).await;
    let begun = Instant::now();
    let refused = start(&options(&server)).await.unwrap_err();
    assert!(refused.to_string().contains("--stream-max-bytes"), "{refused}");
    let limited = |bytes| NatsOptions { stream_max_bytes: Some(bytes), ..options(&server) };
    let refused = start(&limited(1 << 31)).await.unwrap_err();
    assert!(refused.to_string().contains("lower --stream-max-bytes"), "{}", refused.chain());
    let refused = start(&NatsOptions { replicas: Some(3), ..limited(10_000_000) }).await.unwrap_err();
    assert!(refused.to_string().contains("--replicas"), "{}", refused.chain());
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    start(&limited(10_000_000)).await.unwrap();
    start(&options(&server)).await.unwrap();
    assert_eq!(config(&server, "LEADS").await.max_bytes, 10_000_000);
}
