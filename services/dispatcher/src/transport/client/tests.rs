//! Tests of the client against receivers with the faults and habits of real ones.

mod answers;
mod connecting;
mod identities;
mod proxied;
mod reusing;

use std::{
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use domain::ErrorKind;
use futures::{FutureExt as _, future::BoxFuture};
use http::HeaderMap;
use testkit::tls::Authority;

use super::*;
use crate::{transport::redaction::Redaction, transport::resolver::LookupError};

const SOON: Duration = Duration::from_secs(10);
const LONG_LIFE: Duration = Duration::from_secs(300);

/// A resolver with the addresses that a test sets.
#[derive(Debug, Default)]
struct Names {
    addresses: Mutex<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Names {
    fn lead_to(addresses: &[&str]) -> Arc<Self> {
        let names = Self::default();
        names.move_to(addresses);
        Arc::new(names)
    }

    fn move_to(&self, addresses: &[&str]) {
        *self.addresses.lock().unwrap() = addresses.iter().map(|address| address.parse().unwrap()).collect();
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a AccountId, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, LookupError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(self.addresses.lock().unwrap().clone())).boxed()
    }
}

fn client_with(resolver: Arc<dyn Resolve>, authority: Option<&Authority>, max_age: Duration) -> Client {
    let file = authority.map(Authority::file);
    let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
    Client::resolving_with(
        resolver,
        guard,
        Settings { name_servers: &[], ca_file: file.as_deref(), max_age, max_idle: 100, egress: None },
    )
    .unwrap()
}

/// The resolver of the system. These tests look up only `localhost`, which is in /etc/hosts.
fn system() -> Arc<dyn Resolve> {
    Arc::new(Resolver::new(Guard::new(vec!["127.0.0.0/8".parse().unwrap()]), &[]).unwrap())
}

fn client() -> Client {
    client_with(system(), None, LONG_LIFE)
}

fn client_trusting(authority: &Authority) -> Client {
    client_with(system(), Some(authority), LONG_LIFE)
}

async fn send_body(client: &Client, url: &str, body: Vec<u8>, timeout: Duration) -> AttemptOutcome {
    let request = Request {
        method: http::Method::POST,
        url: url.parse().unwrap(),
        headers: HeaderMap::from_iter([("webhook-id".parse().unwrap(), "e1".parse().unwrap())]),
        body: body.into(),
        redaction: Redaction::default(),
        route: None,
        grant: None,
    };
    client.send(&"acme".parse().unwrap(), &request, timeout).await.unwrap().outcome
}

async fn send(client: &Client, url: &str) -> AttemptOutcome {
    send_body(client, url, b"{}".to_vec(), SOON).await
}

/// Sends a request and expects this status. Returns the beginning of the body.
async fn expect(client: &Client, url: &str, expected: u16) -> String {
    match send(client, url).await {
        AttemptOutcome::Response { status, excerpt, .. } if status == expected => excerpt,
        outcome => panic!("{expected} was expected of {url}: {outcome:?}"),
    }
}

fn kind(outcome: &AttemptOutcome) -> Option<ErrorKind> {
    outcome.error_kind()
}
