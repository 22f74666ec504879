//! `/console/oidc`: sends a browser to the provider, and handles its return.

use std::{collections::HashMap, sync::Arc, time::Duration};

use access::Grant;
use axum::{
    Extension, Json,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::access::{Holder, rights_of};
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use runtime::{ErrorChain as _, Origin};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::{
    id_token::{self, Expected, NoToken},
    no_entry::NoEntry,
    options::Oidc,
    provider::Request,
};
use crate::{
    console::Console,
    links::{after, new_id},
    session::{add, unstored},
};

/// How long a person may take to log in at the provider.
const FLOW_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// How long the broker remembers that a log-in was finished: longer than it is valid, because clocks differ.
const USED_FOR: Duration = FLOW_LIFETIME.saturating_mul(2);
/// How long the console has to begin the session.
const LINK_LIFETIME: Duration = Duration::from_secs(60);
/// The maximum length of the address to which a person returns, in bytes.
const MAX_PLACE: usize = 1_000;
/// The first screen of the console.
const FIRST: &str = "/console/";
const CALLBACK: &str = "console/oidc/callback";

/// A log-in in flight, which the cookie of the browser holds. The names of its fields are short, because cookies have
/// to be.
#[derive(Debug, Serialize, Deserialize)]
struct Flow {
    /// Its id, which the provider returns as the state.
    s: String,
    /// The nonce, which the ID token has to name.
    n: String,
    /// The verifier (PKCE).
    v: String,
    /// The address to which the person returns.
    t: String,
    /// The end of its validity, in seconds.
    u: i64,
}

/// Whether people can log in at a provider, and its name.
pub(crate) async fn offered(State(console): State<Arc<Console>>) -> Response {
    let name = console.oidc.as_ref().map(|oidc| oidc.name.as_str());
    unstored(Json(json!({"name": name})).into_response())
}

/// Begins a log-in. The parameter `to` of the query is the address to which the person returns.
pub(crate) async fn begin(
    State(console): State<Arc<Console>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let Some(oidc) = &console.oidc else { return not_configured() };
    let flow = Flow {
        s: new_id(),
        n: new_id(),
        v: format!("{}{}", new_id(), new_id()),
        t: place(query.get("to").map_or("", String::as_str)),
        u: after(FLOW_LIFETIME).as_second(),
    };
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, flow.v.as_bytes()));
    let redirect_uri = console.sessions.site.at(CALLBACK);
    let request =
        Request { redirect_uri: &redirect_uri, state: &flow.s, nonce: &flow.n, challenge: challenge.as_str() };
    match oidc.provider.authorization_url(&request).await {
        Ok(url) => {
            let mut answer = see_other(url.as_str());
            let written = serde_json::to_string(&flow).unwrap_or_default();
            let value = console.sessions.log_in(&written);
            add(answer.headers_mut(), &console.log_in_line(&value, FLOW_LIFETIME.as_secs()));
            answer
        }
        Err(why) => refused(&why),
    }
}

/// Handles the return from the provider, and redirects to the console.
pub(crate) async fn finish(
    State(console): State<Arc<Console>>,
    Extension(address): Extension<Origin>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let Some(oidc) = &console.oidc else { return not_configured() };
    let mut answer = match console.finish(oidc, address, &headers, &query).await {
        Ok(location) => see_other(&location),
        Err(why) => refused(&why),
    };
    add(answer.headers_mut(), &console.log_in_line("", 0));
    answer
}

impl Console {
    /// Returns the address for the browser, with a link that begins the session.
    async fn finish(
        &self,
        oidc: &Oidc,
        address: Origin,
        headers: &HeaderMap,
        query: &HashMap<String, String>,
    ) -> Result<String, NoEntry> {
        let given = |name: &str| query.get(name).map_or("", String::as_str);
        let flow = self.sessions.log_in_of(headers).and_then(|text| serde_json::from_str::<Flow>(&text).ok());
        let flow = flow.filter(|flow| flow.s == given("state") && Timestamp::now().as_second() < flow.u);
        let flow = flow.ok_or(NoEntry::State)?;
        // RFC 9207: another provider has answered.
        if query.get("iss").is_some_and(|issuer| *issuer != oidc.provider.issuer) {
            return Err(NoEntry::State);
        }
        if query.contains_key("error") {
            let reason = format!("{} {}", given("error"), given("error_description"));
            return Err(NoEntry::Denied(reason.chars().take(200).collect::<String>().escape_debug().to_string()));
        }
        self.attempts.begin(address, std::time::Instant::now()).map_err(|_| NoEntry::TooMany)?;
        if !self.journal.positions().use_link(&flow.s, USED_FOR).await.map_err(NoEntry::Journal)? {
            return Err(NoEntry::Used);
        }
        let token = oidc.provider.id_token(given("code"), &self.sessions.site.at(CALLBACK), &flow.v).await?;
        let link = oidc.link(&token, &flow.n).await?;
        self.attempts.succeeded(address);
        Ok(format!("{}#token={}", flow.t, self.sessions.token(&link)))
    }

    /// The line that sets the cookie of a log-in. It is `Lax`, because the provider sends the browser back from another
    /// site.
    fn log_in_line(&self, value: &str, seconds: u64) -> String {
        let site = &self.sessions.site;
        let secure = if site.is_https() { "; Secure" } else { "" };
        format!("{}={value}; HttpOnly; SameSite=Lax{secure}; Path=/; Max-Age={seconds}", site.log_in_cookie())
    }
}

impl Oidc {
    /// A link for the person whom an ID token names.
    async fn link(&self, token: &str, nonce: &str) -> Result<Grant, NoEntry> {
        let provider = &self.provider;
        let expected = Expected { issuer: &provider.issuer, client_id: &provider.client_id, nonce };
        let checked = match id_token::check(token, &provider.known().await?.keys, &expected) {
            Err(NoToken::Key) => id_token::check(token, &provider.refreshed().await?.keys, &expected),
            checked => checked,
        };
        let claims = checked.map_err(|why| NoEntry::Token(why.chain()))?;
        let (rights, deciding) = rights_of(&self.rules, &claims.groups(&self.groups_claim)).ok_or(NoEntry::Group)?;
        let person = Arc::new(claims.person(&provider.issuer, deciding));
        let principal = person.principal(&rights, after(self.session_lifetime)).ok_or(NoEntry::Group)?;
        let bounds = access::bounds_of(&principal, String::new(), after(self.session_lifetime));
        tracing::info!(by = %principal, "accepted a log-in at the identity provider");
        Ok(Grant { id: new_id(), of: Holder::Person(person), bounds, good_until: after(LINK_LIFETIME) })
    }
}

/// The address to which a person returns: the given one if it is a screen of the console, else the first screen.
fn place(to: &str) -> String {
    let within = || {
        let here = Url::parse("https://console.invalid/").ok()?;
        let url = here.join(to).ok().filter(|url| url.origin() == here.origin() && to.len() <= MAX_PLACE)?;
        let is_screen = url.path().starts_with(FIRST) && !url.path().starts_with("/console/oidc");
        is_screen.then(|| url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path())))
    };
    within().unwrap_or_else(|| FIRST.to_owned())
}

fn see_other(location: &str) -> Response {
    let mut answer = unstored(StatusCode::SEE_OTHER.into_response());
    // A URL consists of characters that headers may contain.
    if let Ok(location) = HeaderValue::from_str(location) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

/// Redirects to the log-in page of the console, which shows the reason.
fn refused(why: &NoEntry) -> Response {
    tracing::warn!(why = why.chain(), "refused a log-in at the identity provider");
    see_other(&format!("/console/login#refused={}", why.word()))
}

fn not_configured() -> Response {
    let text = "this installation has no identity provider; log in with an API key (--oidc-issuer sets a provider)";
    (StatusCode::NOT_FOUND, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_in_returns_to_the_console_only() {
        for here in ["/console/", "/console/deliveries?status=failed", "/console/leads/a%2Fb"] {
            assert_eq!(place(here), here);
        }
        let elsewhere = [
            "",
            "https://evil.example/console/",
            "//evil.example/console/",
            "/\\evil.example/console/",
            "\\\\evil.example/console/",
            "/\t/evil.example/console/",
            "javascript:alert(1)",
            "data:text/html,x",
            "/console/../docs",
            "/console/%2e%2e/docs",
            "/v1/leads",
            "/console/oidc/log-in",
            "/consolex",
            "http://[",
        ];
        for there in elsewhere {
            assert_eq!(place(there), FIRST, "{there:?}");
        }
        assert_eq!(place(&format!("/console/{}", "x".repeat(MAX_PLACE))), FIRST);
        assert_eq!(place("/console/\r\nset-cookie: x"), "/console/set-cookie:%20x");
    }
}
