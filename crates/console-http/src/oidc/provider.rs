//! The identity provider over HTTP: its configuration (OpenID Connect Discovery 1.0), its keys, and the ID token of a
//! code.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::jwk::Jwk;
use reqwest::{Client, RequestBuilder, StatusCode, redirect::Policy};
use runtime::ErrorChain as _;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;
use tokio::sync::Mutex;
use url::{Host, Url, form_urlencoded};

use super::no_entry::NoEntry;

/// How long a request to the provider may take: a person waits for it.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum size of an answer of the provider, in bytes.
const MAX_ANSWER: usize = 256 * 1024;
/// How long the configuration and the keys of the provider are used before they are read again. A token with an unknown
/// key causes a read at once.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// The maximum number of keys.
const MAX_KEYS: usize = 100;

pub(super) struct Provider {
    pub(super) issuer: String,
    pub(super) client_id: String,
    /// `None` if Leadline is a public client there.
    secret: Option<String>,
    /// The requested scopes, separated by spaces.
    scope: String,
    client: Client,
    known: Mutex<Option<Known>>,
}

/// The configuration and the keys of the provider.
#[derive(Clone)]
pub(super) struct Known {
    configuration: Arc<Configuration>,
    pub(super) keys: Arc<[Jwk]>,
    at: Instant,
}

#[derive(Debug, Deserialize)]
struct Configuration {
    issuer: String,
    #[serde(deserialize_with = "url")]
    authorization_endpoint: Url,
    #[serde(deserialize_with = "url")]
    token_endpoint: Url,
    #[serde(deserialize_with = "url")]
    jwks_uri: Url,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Url, D::Error> {
    let text = String::deserialize(from)?;
    Url::parse(&text).map_err(|_| D::Error::custom(format!("{text:?} is not a URL")))
}

#[derive(Debug, Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

/// The parameters of one log-in.
pub(super) struct Request<'a> {
    pub(super) redirect_uri: &'a str,
    pub(super) state: &'a str,
    pub(super) nonce: &'a str,
    /// The SHA-256 of the verifier, in base64 for URLs.
    pub(super) challenge: &'a str,
}

impl Provider {
    /// A provider whose certificate is signed by these authorities, or else by the public ones.
    ///
    /// # Errors
    /// Why the authorities cannot be used.
    pub(super) fn new(
        issuer: String,
        client_id: String,
        secret: Option<String>,
        scope: String,
        authorities: Option<&str>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        match authorities {
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                    let certificate = certificate.map_err(|error| error.chain())?;
                    roots.add(certificate).map_err(|error| error.chain())?;
                }
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        if roots.is_empty() {
            return Err("it holds no certificates in PEM".into());
        }
        let tls = ClientConfig::builder_with_provider(ring::default_provider().into());
        let tls = tls.with_safe_default_protocol_versions().map_err(|error| error.chain())?;
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let client = Client::builder().tls_backend_preconfigured(tls).timeout(TIMEOUT).redirect(Policy::none());
        let client = client.build().map_err(|error| error.chain())?;
        Ok(Self { issuer, client_id, secret, scope, client, known: Mutex::new(None) })
    }

    /// The URL at which a browser begins a log-in.
    pub(super) async fn authorization_url(&self, request: &Request<'_>) -> Result<Url, NoEntry> {
        let mut url = self.known().await?.configuration.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", request.redirect_uri)
            .append_pair("scope", &self.scope)
            .append_pair("state", request.state)
            .append_pair("nonce", request.nonce)
            .append_pair("code_challenge", request.challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// The ID token that the provider gives for a code.
    pub(super) async fn id_token(&self, code: &str, redirect_uri: &str, verifier: &str) -> Result<String, NoEntry> {
        #[derive(Deserialize)]
        struct Tokens {
            id_token: String,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Failure {
            error: String,
            error_description: String,
        }
        let configuration = self.known().await?.configuration;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        let methods = &configuration.token_endpoint_auth_methods_supported;
        let knows = |method: &str| methods.iter().any(|known| known == method);
        let by_post = knows("client_secret_post") && !knows("client_secret_basic");
        let mut request = self.client.post(configuration.token_endpoint.clone());
        match &self.secret {
            None => form.push(("client_id", &self.client_id)),
            Some(secret) if by_post => form.extend([("client_id", self.client_id.as_str()), ("client_secret", secret)]),
            // RFC 6749, 2.3.1, wants both parts encoded as in a form.
            Some(secret) => {
                let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encoded(&self.client_id), encoded(secret));
                request = request.header("authorization", format!("Basic {}", STANDARD.encode(pair)));
            }
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let (status, body) = answer(request.header("accept", "application/json")).await?;
        if status.is_success() {
            let tokens: Tokens = read(&body, "the answer with the ID token")?;
            return Ok(tokens.id_token);
        }
        let failure: Failure = serde_json::from_slice(&body).unwrap_or_default();
        if failure.error == "invalid_grant" {
            return Err(NoEntry::Used);
        }
        let mut why = format!("the request for the ID token was answered with {status}");
        if !failure.error.is_empty() {
            let reason = format!("{} {}", failure.error, failure.error_description);
            let _ = write!(why, ": {}", reason.chars().take(200).collect::<String>().escape_debug());
        }
        Err(NoEntry::Provider(why))
    }

    /// The configuration and the keys. They are read again after [`MAX_AGE`].
    pub(super) async fn known(&self) -> Result<Known, NoEntry> {
        let mut known = self.known.lock().await;
        match &*known {
            Some(known) if known.at.elapsed() < MAX_AGE => Ok(known.clone()),
            _ => Ok(known.insert(self.look().await?).clone()),
        }
    }

    /// The configuration and the keys, read again now. A token with an unknown key needs this, because providers
    /// replace their keys.
    pub(super) async fn refreshed(&self) -> Result<Known, NoEntry> {
        let found = self.look().await?;
        Ok(self.known.lock().await.insert(found).clone())
    }

    async fn look(&self) -> Result<Known, NoEntry> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let configuration: Configuration = self.get(&url, "the configuration of the provider").await?;
        if configuration.issuer != self.issuer {
            let (other, own) = (&configuration.issuer, &self.issuer);
            return Err(NoEntry::Provider(format!("its configuration names the issuer {other:?} instead of {own:?}")));
        }
        let endpoints = [&configuration.authorization_endpoint, &configuration.token_endpoint, &configuration.jwks_uri];
        if let Some(unsafe_one) = endpoints.into_iter().find(|url| !is_safe(url)) {
            return Err(NoEntry::Provider(format!("its configuration names {unsafe_one}, which is not https")));
        }
        let Keys { keys } = self.get(configuration.jwks_uri.as_str(), "the keys of the provider").await?;
        // A key of an unknown kind must not hide the others.
        let keys = keys.into_iter().take(MAX_KEYS).filter_map(|key| serde_json::from_value(key).ok()).collect();
        Ok(Known { configuration: configuration.into(), keys, at: Instant::now() })
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, url: &str, what: &str) -> Result<T, NoEntry> {
        let (status, body) = answer(self.client.get(url).header("accept", "application/json")).await?;
        if status != StatusCode::OK {
            return Err(NoEntry::Provider(format!("{url} was answered with {status}")));
        }
        read(&body, what)
    }
}

async fn answer(request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), NoEntry> {
    let failed = |error: reqwest::Error| NoEntry::Provider(error.chain());
    let mut answer = request.send().await.map_err(failed)?;
    let mut body = vec![];
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(NoEntry::Provider(format!("an answer has more than {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((answer.status(), body))
}

fn read<T: for<'de> Deserialize<'de>>(body: &[u8], what: &str) -> Result<T, NoEntry> {
    serde_json::from_slice(body).map_err(|error| {
        // The text of the error may quote a value, and the value may be a token.
        let problem = if error.is_data() { "a field is missing or has another type" } else { "it is not JSON" };
        NoEntry::Provider(format!(
            "{what} cannot be read: {problem} (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

/// Whether a call of this URL uses TLS, or stays on this machine.
pub(super) fn is_safe(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}
