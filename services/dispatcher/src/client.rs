//! The HTTP client: no redirects, no proxies, guarded addresses, bounded answers.

use std::{error::Error, fs, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use domain::{AttemptOutcome, ErrorKind};
use moka::sync::Cache;
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::sync::Semaphore;

use crate::{
    guard::Guard,
    outcome::{self, OutOfFiles},
    request::Request,
};

/// How long an idle connection is kept for the next request.
const IDLE: Duration = Duration::from_secs(30);
/// How much of an answer's body is read. Reading short bodies to their end lets the connection be used again.
const MOST_READ: usize = 16 * 1024;

/// How many look-ups of one host may be under way, and for how many hosts they are counted.
const LOOK_UPS: usize = 4;
const MOST_HOSTS: u64 = 10_000;

/// Makes requests to destinations.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    guard: Arc<Guard>,
}

/// The host name does not resolve.
#[derive(Debug, thiserror::Error)]
#[error("the host name {host} does not resolve")]
pub(crate) struct Unresolvable {
    host: String,
    #[source]
    source: Option<io::Error>,
}

impl Client {
    pub(crate) fn new(guard: Guard, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let guard = Arc::new(guard);
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(ca_file)?)
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Resolver::new(Arc::clone(&guard)))
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("Leadline/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("the HTTP client cannot be made")?;
        Ok(Self { http, guard })
    }

    /// Makes a request, and waits at most for `timeout` for the answer.
    ///
    /// # Errors
    /// When nothing was sent, and that says nothing about the receiver.
    pub(crate) async fn send(&self, request: Request, timeout: Duration) -> Result<AttemptOutcome, OutOfFiles> {
        // The connector resolves names only; an address in the URL is looked at here.
        if let Err(blocked) = self.guard.check_literal(&request.url) {
            return Ok(AttemptOutcome::NoResponse { kind: ErrorKind::Blocked, message: blocked.to_string() });
        }
        let sending = self
            .http
            .request(request.method, request.url)
            .headers(request.headers)
            .body(request.body)
            .timeout(timeout)
            .send();
        match sending.await {
            Ok(response) => {
                let status = response.status().as_u16();
                let retry_after = outcome::retry_after(response.headers());
                let excerpt = outcome::excerpt(&beginning(response).await);
                Ok(AttemptOutcome::Response { status, excerpt, retry_after })
            }
            Err(error) => outcome::of_failure(&error, timeout),
        }
    }
}

/// The beginning of the body. What the receiver answered is known by now, so a body that breaks off, does not end in
/// time or never ends changes nothing.
async fn beginning(mut response: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < MOST_READ
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk[..chunk.len().min(MOST_READ - body.len())]);
    }
    body
}

fn tls(ca_file: Option<&Path>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = ca_file {
        let pem = fs::read(file).with_context(|| format!("--ca-file: {} cannot be read", file.display()))?;
        let bad = || format!("--ca-file: {} is no file of certificates in PEM", file.display());
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate.with_context(bad)?).with_context(bad)?;
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Resolves names with the system's resolver and leaves only addresses that may be called.
///
/// A look-up holds a thread of the process until the system gives up, so a host may have few of them at once: dead name
/// servers of some destinations cost the others nothing.
struct Resolver {
    guard: Arc<Guard>,
    hosts: Cache<String, Arc<Semaphore>>,
}

impl Resolver {
    fn new(guard: Arc<Guard>) -> Self {
        Self { guard, hosts: Cache::builder().max_capacity(MOST_HOSTS).build() }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.guard);
        let host = name.as_str().to_owned();
        let turns = self.hosts.get_with_by_ref(&host, || Arc::new(Semaphore::new(LOOK_UPS)));
        Box::pin(async move {
            let _turn = turns.acquire_owned().await?;
            let found = tokio::net::lookup_host((host.as_str(), 0)).await;
            let found: Vec<SocketAddr> =
                found.map_err(|e| Unresolvable { host: host.clone(), source: Some(e) })?.collect();
            let mut blocked = None;
            let check = |address: &SocketAddr| guard.check(address.ip()).map_err(|e| blocked = Some(e)).is_ok();
            let allowed: Vec<_> = found.into_iter().filter(check).collect();
            match (allowed.is_empty(), blocked) {
                (false, _) => Ok(Box::new(allowed.into_iter()) as Addrs),
                (true, Some(blocked)) => Err(Box::new(blocked) as Box<dyn Error + Send + Sync>),
                (true, None) => Err(Box::new(Unresolvable { host, source: None }) as _),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(allowed: &[&str]) -> Client {
        Client::new(Guard::new(allowed.iter().map(|network| network.parse().unwrap()).collect()), None).unwrap()
    }

    #[tokio::test]
    async fn of_a_name_s_addresses_only_those_that_are_allowed_are_called() {
        let resolve = async |allowed: &[&str]| {
            let resolver = Resolver::new(Arc::clone(&client(allowed).guard));
            resolver.resolve("localhost".parse().unwrap()).await.map(|found| found.map(|a| a.ip()).collect::<Vec<_>>())
        };
        assert!(resolve(&[]).await.err().unwrap().is::<crate::guard::Blocked>());
        let found = resolve(&["127.0.0.0/8"]).await.unwrap();
        assert!(
            !found.is_empty() && found.iter().all(|address| address.is_ipv4() && address.is_loopback()),
            "{found:?}"
        );
        let nowhere =
            Resolver::new(Arc::clone(&client(&[]).guard)).resolve("no-such-host.invalid".parse().unwrap()).await;
        assert!(nowhere.err().unwrap().is::<Unresolvable>());
    }

    /// Has no file left to resolve a name with.
    struct OutOfFilesResolver;

    impl Resolve for OutOfFilesResolver {
        fn resolve(&self, name: Name) -> Resolving {
            let host = name.as_str().to_owned();
            let source = Some(nix::errno::Errno::EMFILE.into());
            Box::pin(async { Err(Box::new(Unresolvable { host, source }) as Box<dyn Error + Send + Sync>) })
        }
    }

    #[tokio::test]
    async fn for_want_of_files_nothing_is_said_of_the_receiver() {
        let mut client = client(&[]);
        let builder = reqwest::Client::builder().tls_backend_preconfigured(tls(None).unwrap()).no_proxy();
        client.http = builder.dns_resolver(OutOfFilesResolver).build().unwrap();
        let url = "http://example.com/".parse().unwrap();
        let request = Request { method: http::Method::POST, url, headers: http::HeaderMap::new(), body: vec![].into() };
        let error = client.send(request, Duration::from_secs(5)).await.unwrap_err();
        let text = format!("{:#}", anyhow::Error::from(error));
        assert!(text.contains("ulimit") && text.contains("Too many open files"), "{text}");
    }
}
