//! Forwards the requests that `leadline listen` receives to another receiver, such as one under development on this
//! machine.

use std::time::Duration;

use anyhow::Context as _;
use axum::http::{HeaderName, StatusCode, header, request::Parts};
use bytes::Bytes;
use reqwest::Url;

use crate::demo::system::no_tls;

/// How long the other receiver may take: the longest timeout of a destination.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer that is passed on, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Headers that are not forwarded: they belong to a connection (RFC 9110, 7.6.1), or the client writes them itself.
const OWN: [HeaderName; 6] =
    [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::TE, header::UPGRADE];

#[derive(Debug)]
pub(crate) struct Forward {
    url: Url,
    client: reqwest::Client,
}

impl Forward {
    pub(crate) fn to(url: Url) -> anyhow::Result<Self> {
        anyhow::ensure!(
            url.scheme() == "http",
            "--forward: {url} has to begin with http://, for a receiver on this network"
        );
        let redirects = reqwest::redirect::Policy::none();
        let builder = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(no_tls()?);
        let client = builder.redirect(redirects).timeout(TIMEOUT).build();
        Ok(Self { url, client: client.context("--forward: cannot create a client")? })
    }

    /// Forwards a request with its method, headers and body, and returns the answer. Returns 502 if the other receiver
    /// does not answer.
    pub(crate) async fn send(&self, parts: &Parts, body: &Bytes) -> (StatusCode, Bytes) {
        let mut headers = parts.headers.clone();
        for name in OWN {
            headers.remove(name);
        }
        let request = self.client.request(parts.method.clone(), self.url.clone()).headers(headers).body(body.clone());
        match self.answer(request).await {
            Ok(answer) => answer,
            Err(error) => (StatusCode::BAD_GATEWAY, format!("{} did not answer: {error}\n", self.url).into()),
        }
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<(StatusCode, Bytes), reqwest::Error> {
        let mut answer = request.send().await?;
        let (status, mut body) = (answer.status(), vec![]);
        while let Some(piece) = answer.chunk().await? {
            let room = MAX_ANSWER - body.len();
            body.extend_from_slice(&piece[..piece.len().min(room)]);
            if body.len() == MAX_ANSWER {
                break;
            }
        }
        Ok((status, body.into()))
    }
}
