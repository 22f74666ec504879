//! The HTTP client: no redirects, no proxies, guarded addresses, bounded answers.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use domain::{AccountId, AttemptOutcome, ErrorKind, Guard};
use reqwest::redirect::Policy;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::{
    outcome::{self, OutOfFiles},
    request::Request,
    resolver::{self, LookupError, Resolver},
};

/// How long an idle connection is kept for the next request.
const IDLE: Duration = Duration::from_secs(30);
/// How much of an answer's body is read. Reading short bodies to their end lets the connection be used again.
const MOST_READ: usize = 16 * 1024;

/// Makes requests to destinations.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    guard: Guard,
}

impl Client {
    pub(crate) fn new(guard: Guard, name_servers: &[SocketAddr], ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let resolver = Resolver::new(guard.clone(), name_servers).context("names of hosts cannot be resolved")?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(ca_file)?)
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(resolver)
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("Leadline/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("the HTTP client cannot be made")?;
        Ok(Self { http, guard })
    }

    /// Makes a request of an account, and waits at most for `timeout` for the answer.
    ///
    /// # Errors
    /// When nothing was sent, and that says nothing about the receiver.
    pub(crate) async fn send(
        &self,
        account: &AccountId,
        request: Request,
        timeout: Duration,
    ) -> Result<AttemptOutcome, OutOfFiles> {
        // The connector resolves names only; an address in the URL is looked at here.
        if let Err(blocked) = self.guard.check_literal(&request.url) {
            let message = LookupError::NotPublic(blocked.0.to_string()).to_string();
            return Ok(AttemptOutcome::NoResponse { kind: ErrorKind::Blocked, message });
        }
        let sending = self
            .http
            .request(request.method, request.url)
            .headers(request.headers)
            .body(request.body)
            .timeout(timeout)
            .send();
        match resolver::on_behalf_of(account.clone(), sending).await {
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

#[cfg(test)]
mod tests {
    use std::error::Error;

    use reqwest::dns::{Name, Resolve, Resolving};

    use super::*;
    use crate::{redaction::Redaction, resolver::LookupError};

    /// Has no file left to resolve a name with.
    struct OutOfFilesResolver;

    impl Resolve for OutOfFilesResolver {
        fn resolve(&self, name: Name) -> Resolving {
            let host = name.as_str().to_owned();
            let source = nix::errno::Errno::EMFILE.into();
            let error = LookupError::OutOfFiles { host, source };
            Box::pin(async { Err(Box::new(error) as Box<dyn Error + Send + Sync>) })
        }
    }

    #[tokio::test]
    async fn for_want_of_files_nothing_is_said_of_the_receiver() {
        let mut client = Client::new(Guard::new(vec![]), &[], None).unwrap();
        let builder = reqwest::Client::builder().tls_backend_preconfigured(tls(None).unwrap()).no_proxy();
        client.http = builder.dns_resolver(OutOfFilesResolver).build().unwrap();
        let url = "http://example.com/".parse().unwrap();
        let (method, headers) = (http::Method::POST, http::HeaderMap::new());
        let request = Request { method, url, headers, body: vec![].into(), redaction: Redaction::default() };
        let error = client.send(&"acme".parse().unwrap(), request, Duration::from_secs(5)).await.unwrap_err();
        let text = format!("{:#}", anyhow::Error::from(error));
        assert!(text.contains("ulimit") && text.contains("Too many open files"), "{text}");
    }
}
