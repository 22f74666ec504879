//! Access tokens by OAuth 2.0 client credentials (RFC 6749, 4.4). Waiting requests share one token request, and a token
//! is kept until shortly before it expires.
//!
//! A token server is called through the same proxy as the receiver, with the same certificate and authorities, and
//! never on a network that the [`Guard`](domain::Guard) forbids.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{AccountId, AttemptOutcome, ErrorKind, registry::ClientAuthentication};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use moka::sync::Cache;
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};
use url::{Url, form_urlencoded};

use crate::{
    transport::answer::Answer,
    transport::client::Client,
    transport::grant::Grant,
    transport::outcome::{self, MAX_MESSAGE, NotSent, cut},
    transport::redaction::Redaction,
    transport::request::Request,
    transport::route::Route,
};

/// How long a token server may take to answer.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a token is used if its server does not say when it expires. If it expires earlier, the receiver refuses it.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);
/// How long before its expiry a token is replaced, because a request may take that long. The margin of a short-lived
/// token is a tenth of its lifetime.
const MAX_MARGIN: Duration = Duration::from_secs(60);
/// A token is used for at most this time, even if its server gives it a longer lifetime.
const MAX_LIFETIME: Duration = Duration::from_hours(24);
/// The maximum number of destinations whose tokens are kept.
const MAX_TOKENS: u64 = 10_000;

/// A token from a server.
#[derive(Clone)]
pub(crate) struct AccessToken {
    /// The whole value of the `authorization` header.
    pub(crate) header: HeaderValue,
    pub(crate) fetched_at: Instant,
    expires_at: Instant,
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The installation is at fault, not the token server.
    #[error(transparent)]
    NotSent(#[from] NotSent),
    /// The token server or the settings of the client are at fault.
    #[error("{0}")]
    Refused(String),
}

impl TokenError {
    /// The outcome of an attempt without a token.
    pub(crate) fn into_outcome(self) -> Result<AttemptOutcome, NotSent> {
        match self {
            Self::NotSent(error) => Err(error),
            Self::Refused(message) => {
                Ok(AttemptOutcome::NoResponse { kind: ErrorKind::OAuth, message: cut(message, MAX_MESSAGE) })
            }
        }
    }
}

/// The known tokens.
pub(crate) struct AccessTokens {
    slots: Cache<Vec<u8>, Arc<Mutex<Slot>>>,
}

/// The token of one grant. The task that holds the lock requests it.
#[derive(Debug, Default)]
struct Slot {
    token: Option<AccessToken>,
    /// The last failure and its time. Tasks that waited for the lock meanwhile get the same failure.
    failed: Option<(Instant, Failed)>,
}

#[derive(Debug, Clone)]
enum Failed {
    Egress(String),
    Refused(String),
}

impl From<Failed> for TokenError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Egress(message) => Self::NotSent(NotSent::Egress(message)),
            Failed::Refused(message) => Self::Refused(message),
        }
    }
}

impl Default for AccessTokens {
    fn default() -> Self {
        Self { slots: Cache::builder().max_capacity(MAX_TOKENS).build() }
    }
}

impl AccessTokens {
    /// A valid token, from memory or from its server.
    pub(crate) async fn get(
        &self,
        client: &Client,
        account: &AccountId,
        grant: &Grant,
        route: Option<&Route>,
    ) -> Result<AccessToken, TokenError> {
        let asked_at = Instant::now();
        let slot = self.slots.get_with(grant.sealed.clone(), Arc::default);
        let mut slot = slot.lock().await;
        if let Some(token) = slot.token.as_ref().filter(|token| Instant::now() < token.expires_at) {
            return Ok(token.clone());
        }
        if let Some((_, failed)) = slot.failed.as_ref().filter(|(at, _)| *at >= asked_at) {
            return Err(failed.clone().into());
        }
        match fetch(client, account, grant, route).await {
            Ok(token) => {
                *slot = Slot { token: Some(token.clone()), failed: None };
                Ok(token)
            }
            Err(error) => {
                let failed = match &error {
                    TokenError::Refused(message) => Some(Failed::Refused(message.clone())),
                    TokenError::NotSent(NotSent::Egress(message)) => Some(Failed::Egress(message.clone())),
                    TokenError::NotSent(NotSent::OutOfFiles(_)) => None,
                };
                slot.failed = failed.map(|failed| (Instant::now(), failed));
                Err(error)
            }
        }
    }

    /// Forgets a token that a receiver refused, unless it was replaced already.
    pub(crate) async fn discard(&self, grant: &Grant, token: &AccessToken) {
        let Some(slot) = self.slots.get(&grant.sealed) else { return };
        let mut slot = slot.lock().await;
        if slot.token.as_ref().is_some_and(|known| known.header == token.header) {
            slot.token = None;
        }
    }
}

async fn fetch(
    client: &Client,
    account: &AccountId,
    grant: &Grant,
    route: Option<&Route>,
) -> Result<AccessToken, TokenError> {
    let host = Url::parse(&grant.client.token_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let server = format!("the token server {}", host.unwrap_or_default());
    let refused = |problem: &dyn fmt::Display| TokenError::Refused(format!("{server} {problem}"));
    let request = token_request(grant, route).map_err(|e| refused(&format!("cannot be called: {e}")))?;
    match client.ask(account, &request, TOKEN_TIMEOUT).await {
        Ok(answer) => read(&answer, Instant::now()).map_err(|problem| {
            let problem = refused(&problem);
            TokenError::Refused(request.redaction.apply_to(problem.to_string()))
        }),
        Err(failure) => match outcome::of_failure(&failure, TOKEN_TIMEOUT)? {
            AttemptOutcome::NoResponse { kind, message } => {
                Err(refused(&format!("did not answer ({kind}): {message}")))
            }
            AttemptOutcome::Response { status, .. } => Err(refused(&format!("answered {status}"))),
        },
    }
}

fn token_request(grant: &Grant, route: Option<&Route>) -> anyhow::Result<Request> {
    let Grant { client, secret, .. } = grant;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if !client.scope.is_empty() {
        form.append_pair("scope", &client.scope);
    }
    form.extend_pairs(&client.parameters);
    match client.authentication {
        ClientAuthentication::Basic => {
            // Both are form-encoded first (RFC 6749, 2.3.1).
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = STANDARD.encode(format!("{}:{}", encoded(&client.client_id), encoded(secret)));
            let mut login = HeaderValue::from_str(&format!("Basic {pair}"))?;
            login.set_sensitive(true);
            headers.insert(AUTHORIZATION, login);
        }
        ClientAuthentication::Post => {
            form.append_pair("client_id", &client.client_id).append_pair("client_secret", secret);
        }
    }
    Ok(Request {
        method: Method::POST,
        url: Url::parse(&client.token_url)?,
        headers,
        body: form.finish().into(),
        redaction: Redaction::of_header(secret.as_bytes()),
        route: route.cloned(),
        grant: None,
    })
}

/// The answer of a token server (RFC 6749, 5). Some servers write numbers as text.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenResponse {
    access_token: String,
    token_type: String,
    expires_in: serde_json::Value,
    error: String,
    error_description: String,
}

/// The token in an answer. An error is worded to follow the name of the server.
fn read(answer: &Answer, now: Instant) -> Result<AccessToken, String> {
    let response = serde_json::from_slice::<TokenResponse>(&answer.beginning);
    if answer.status != StatusCode::OK {
        let TokenResponse { error, error_description, .. } = response.unwrap_or_default();
        let why = [error, error_description].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
        let why = if why.is_empty() { outcome::excerpt(&answer.beginning) } else { why };
        return Err(format!("answered {}: {why}", answer.status.as_u16()));
    }
    let response = response.map_err(|error| format!("answered 200 without a token in JSON: {error}"))?;
    if response.access_token.is_empty() {
        return Err("answered 200 without an access_token".into());
    }
    if !response.token_type.is_empty() && !response.token_type.eq_ignore_ascii_case("bearer") {
        return Err(format!("gives tokens of the type {}, and only bearer is supported", response.token_type));
    }
    let header = HeaderValue::from_str(&format!("Bearer {}", response.access_token));
    let mut header = header.map_err(|_| "gave a token that cannot be sent in a header".to_owned())?;
    header.set_sensitive(true);
    let life = lifetime(&response.expires_in);
    let margin = MAX_MARGIN.min(life / 10);
    Ok(AccessToken { header, fetched_at: now, expires_at: now + (life - margin) })
}

fn lifetime(expires_in: &serde_json::Value) -> Duration {
    let seconds = expires_in.as_f64().or_else(|| expires_in.as_str()?.trim().parse().ok());
    let life = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    life.unwrap_or(DEFAULT_LIFETIME).min(MAX_LIFETIME)
}

#[cfg(test)]
mod tests {
    use domain::registry::{OAuth2Client, SealedSecret};

    use super::*;

    fn grant(authentication: ClientAuthentication) -> Grant {
        let client = OAuth2Client {
            token_url: "https://auth.example/token?tenant=7".into(),
            client_id: "lead line".into(),
            scope: "a b".into(),
            parameters: vec![("audience".into(), "https://crm.example/".into())],
            authentication,
        };
        Grant::new(&client, b"s:cret/7", &SealedSecret(vec![1]))
    }

    #[test]
    fn a_token_request_authenticates_in_header_or_body() {
        let basic = token_request(&grant(ClientAuthentication::Basic), None).unwrap();
        let form = "grant_type=client_credentials&scope=a+b&audience=https%3A%2F%2Fcrm.example%2F";
        assert_eq!(basic.body, form);
        let expected = format!("Basic {}", STANDARD.encode("lead+line:s%3Acret%2F7"));
        assert_eq!(basic.headers[AUTHORIZATION], expected);
        let post = token_request(&grant(ClientAuthentication::Post), None).unwrap();
        assert_eq!(post.body, format!("{form}&client_id=lead+line&client_secret=s%3Acret%2F7"));
        assert!(!post.headers.contains_key(AUTHORIZATION));
        assert!(!format!("{:?}", grant(ClientAuthentication::Post)).contains("s:cret"));
    }

    fn answered(status: u16, body: &str) -> Result<(String, Duration), String> {
        let now = Instant::now();
        let answer = Answer::made_up(status, body);
        let token = read(&answer, now)?;
        Ok((token.header.to_str().unwrap().to_owned(), token.expires_at - now))
    }

    #[test]
    fn a_token_is_used_until_shortly_before_it_expires() {
        for (expires_in, seconds) in [
            (r#","expires_in":3600"#, 3_540.0),
            (r#","expires_in":"600""#, 540.0),
            (r#","expires_in":60"#, 54.0),
            (r#","expires_in":0"#, 0.0),
            ("", 270.0),
            (r#","expires_in":-1"#, 270.0),
            (r#","expires_in":1e300"#, 270.0),
            (r#","expires_in":99999999"#, 86_340.0),
            (r#","expires_in":null,"scope":"a""#, 270.0),
        ] {
            let body = format!(r#"{{"access_token":"abc","token_type":"Bearer"{expires_in}}}"#);
            let (header, life) = answered(200, &body).unwrap();
            assert_eq!(header, "Bearer abc");
            assert!((life.as_secs_f64() - seconds).abs() < 0.001, "{expires_in}: {life:?}");
        }
    }

    #[test]
    fn the_error_of_a_token_server_is_shown() {
        for (status, body, said) in [
            (
                401,
                r#"{"error":"invalid_client","error_description":"no such client"}"#,
                "answered 401: invalid_client: no such",
            ),
            (400, r#"{"error":"invalid_scope"}"#, "answered 400: invalid_scope"),
            (503, "<h1>busy</h1>", "answered 503: <h1>busy</h1>"),
            (200, "<html>", "answered 200 without a token in JSON"),
            (200, "{}", "answered 200 without an access_token"),
            (200, r#"{"access_token":"a","token_type":"mac"}"#, "gives tokens of the type mac"),
            (200, r#"{"access_token":"a\nb"}"#, "gave a token that cannot be sent"),
        ] {
            let problem = answered(status, body).unwrap_err();
            assert!(problem.starts_with(said), "{problem}");
        }
    }
}
