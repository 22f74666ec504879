//! `/console/session`: logs people in and out, and shows the console its session.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use access::{Grant, NoSession, Refused, bounds_of, from_here};
use axum::{
    Extension, Json,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use crypto::ApiKey;
use domain::{
    Principal,
    access::{Holder, Scope},
    registry::Account,
};
use journal::JournalError;
use runtime::{ErrorChain as _, Origin};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    console::Console,
    links::{LINK_LIFETIME, SESSION_LIFETIME, after, new_id},
};

/// The maximum size of the body of a log-in, in bytes: a token with the longest name fits.
const MAX_BODY: usize = 16 * 1024;
/// The maximum length of the name of a person, in characters.
pub(crate) const MAX_PERSON: usize = 100;
/// How long the broker remembers that a link was used: longer than a link is valid, because clocks differ.
const USED_FOR: Duration = LINK_LIFETIME.saturating_mul(2);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogIn {
    api_key: Option<String>,
    token: Option<String>,
    /// The person who logs in with the key.
    #[serde(default)]
    person: String,
}

/// Why a log-in is refused, or a session is not shown.
#[derive(Debug, thiserror::Error)]
enum NoLogIn {
    #[error("log in with a body of the media type application/json")]
    MediaType,
    #[error("the body is not {{\"api_key\": \"ll_…\"}} or {{\"token\": \"…\"}}, of at most {MAX_BODY} bytes")]
    Body,
    #[error("person is not one line of at most {MAX_PERSON} characters")]
    Person,
    #[error("too many log-ins from this address failed; try again in {} s", .0.as_secs().max(1))]
    TooMany(Duration),
    #[error("the link is not valid, or has expired; ask for another one, for example with leadline console")]
    Token,
    #[error("the link was used before; ask for another one, for example with leadline console")]
    Used,
    #[error("cannot check now whether the link was used before; try again")]
    Journal(#[source] JournalError),
    #[error(transparent)]
    Refused(#[from] Refused),
}

pub(crate) async fn log_in(
    State(console): State<Arc<Console>>,
    Extension(address): Extension<Origin>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match console.log_in(address, &headers, body).await {
        Ok((session, principal)) => {
            tracing::info!(by = %principal, portal = principal.is_portal(), "logged in to the console");
            console.shown(&session, &principal, true)
        }
        Err(why) => {
            tracing::info!(why = why.chain(), "refused a log-in to the console");
            why.into_response()
        }
    }
}

pub(crate) async fn show(State(console): State<Arc<Console>>, headers: HeaderMap) -> Response {
    let found = async {
        from_here(&headers).map_err(Refused::Session)?;
        let session = console.sessions.of_headers(&headers).unwrap_or(Err(NoSession::Ended));
        let session = session.map_err(Refused::Session)?;
        let principal = console.authenticator.of_session(&session).await?;
        Ok::<_, Refused>((session, principal))
    };
    match found.await {
        Ok((session, principal)) => console.shown(&session, &principal, false),
        Err(refused) => NoLogIn::Refused(refused).into_response(),
    }
}

pub(crate) async fn log_out(State(console): State<Arc<Console>>, headers: HeaderMap) -> Response {
    // Another site must not log people out. A session that has ended needs no check, because only its cookie is
    // removed.
    if let Some(Ok(session)) = console.sessions.of_headers(&headers)
        && let Err(why) = console.sessions.check_origin(&session, &headers)
    {
        return NoLogIn::Refused(Refused::Session(why)).into_response();
    }
    let mut gone = unstored(StatusCode::NO_CONTENT.into_response());
    console.remove_cookies(gone.headers_mut());
    gone
}

impl Console {
    async fn log_in(&self, address: Origin, headers: &HeaderMap, body: Body) -> Result<(Grant, Principal), NoLogIn> {
        from_here(headers).map_err(Refused::Session)?;
        // Pages of other sites can send a form, but JSON only if the server allows it.
        if !is_json(headers) {
            return Err(NoLogIn::MediaType);
        }
        self.attempts.begin(address, Instant::now()).map_err(NoLogIn::TooMany)?;
        let body = to_bytes(body, MAX_BODY).await.map_err(|_| NoLogIn::Body)?;
        let given: LogIn = serde_json::from_slice(&body).map_err(|_| NoLogIn::Body)?;
        if given.person.chars().count() > MAX_PERSON || given.person.chars().any(char::is_control) {
            return Err(NoLogIn::Person);
        }
        let session = match (given.api_key, given.token) {
            (Some(key), None) => self.of_key(&key, given.person).await?,
            (None, Some(token)) => self.of_token(&token, given.person).await?,
            _ => return Err(NoLogIn::Body),
        };
        let principal = self.authenticator.of_session(&session).await?;
        self.attempts.succeeded(address);
        Ok((session, principal))
    }

    async fn of_key(&self, key: &str, person: String) -> Result<Grant, NoLogIn> {
        let key: ApiKey = key.trim().parse().map_err(|_| Refused::Malformed)?;
        let principal = self.authenticator.of_key(&key).await?;
        let bounds = bounds_of(&principal, person, after(SESSION_LIFETIME));
        Ok(Grant { id: new_id(), of: principal.holder(), good_until: bounds.until, bounds })
    }

    async fn of_token(&self, token: &str, person: String) -> Result<Grant, NoLogIn> {
        let link = self.sessions.of_token(token).ok_or(NoLogIn::Token)?;
        // This check comes first, so that a link of a revoked key is not stored as used.
        self.authenticator.of_session(&link).await?;
        if !self.journal.positions().use_link(&link.id, USED_FOR).await.map_err(NoLogIn::Journal)? {
            return Err(NoLogIn::Used);
        }
        let mut bounds = link.bounds;
        // Links of portals and of identity providers name their person already.
        if bounds.person.is_empty() && !bounds.is_portal && matches!(link.of, Holder::Key(_)) {
            bounds.person = person;
        }
        Ok(Grant { id: new_id(), of: link.of, good_until: bounds.until, bounds })
    }

    /// The answer that shows a session, with its cookie if the session is new.
    fn shown(&self, session: &Grant, principal: &Principal, is_new: bool) -> Response {
        let key = principal.key();
        let text = |id: Option<&str>| id.unwrap_or_default().to_owned();
        let body = Json(json!({
            "csrf": self.sessions.csrf(session),
            "key": {
                "id": key.id.as_str(),
                "name": key.name,
                "scopes": key.scopes.named().map(Scope::as_str).collect::<Vec<_>>(),
                "account": text(key.account.as_ref().map(|id| id.as_str())),
                "client": text(key.client.as_ref().map(|id| id.as_str())),
            },
            "person": session.bounds.person,
            "portal": session.bounds.is_portal,
            "expires_at": session.good_until.to_string(),
            // Whether an identity provider vouches for the holder, who has no key.
            "is_person": matches!(session.of, Holder::Person(_)),
            "trace_url": self.trace_url.as_ref().filter(|_| !principal.is_portal()).map(ToString::to_string),
            "look": self.look(principal),
        }));
        let mut shown = unstored(body.into_response());
        if is_new {
            self.remove_cookies(shown.headers_mut());
            let seconds = (session.good_until.as_second() - after(Duration::ZERO).as_second()).max(0);
            let cookie = self.sessions.cookie(session);
            add(shown.headers_mut(), &self.line(&cookie, seconds, self.is_in_frame(session)));
        }
        shown
    }

    /// The look of a portal; `null` if the session is not in a portal.
    fn look(&self, principal: &Principal) -> Option<Value> {
        let account = principal.account().filter(|_| principal.is_portal())?;
        let entry = self.authenticator.account(account)?;
        let Account { name, portal, .. } = &entry.account;
        let logo = portal.logo.as_ref();
        let logo = logo.map(|logo| format!("data:{};base64,{}", logo.media_type(), STANDARD.encode(logo.bytes())));
        let color = portal.color.map(|color| color.to_string());
        Some(json!({"name": if name.is_empty() { account.as_str() } else { name }, "color": color, "logo": logo}))
    }

    /// Whether the session may be used in a frame of another site, to which browsers send only cookies that permit it.
    fn is_in_frame(&self, session: &Grant) -> bool {
        self.is_framed && session.bounds.is_portal && self.sessions.site.is_https()
    }

    /// The line that sets the cookie.
    fn line(&self, value: &str, seconds: i64, in_frame: bool) -> String {
        let site = &self.sessions.site;
        let is_for = match (in_frame, site.is_https()) {
            // Each site that shows the console in a frame has its own cookie.
            (true, _) => "SameSite=None; Secure; Partitioned",
            (false, true) => "SameSite=Strict; Secure",
            (false, false) => "SameSite=Strict",
        };
        format!("{}={value}; HttpOnly; {is_for}; Path=/; Max-Age={seconds}", site.cookie())
    }

    /// Removes the cookies of earlier sessions, so that a browser has at most one.
    fn remove_cookies(&self, headers: &mut HeaderMap) {
        add(headers, &self.line("", 0, false));
        if self.is_framed && self.sessions.site.is_https() {
            add(headers, &self.line("", 0, true));
        }
    }
}

impl IntoResponse for NoLogIn {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Refused(refused) => refused.http_status(),
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Body | Self::Person => StatusCode::BAD_REQUEST,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Token | Self::Used => StatusCode::UNAUTHORIZED,
            Self::Journal(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let code = match status {
            StatusCode::UNAUTHORIZED => "unauthenticated",
            StatusCode::FORBIDDEN => "permission_denied",
            StatusCode::TOO_MANY_REQUESTS => "resource_exhausted",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            _ => "invalid_argument",
        };
        // The same JSON as for a refused call in the Connect protocol.
        let body = Json(json!({"code": code, "message": self.to_string()}));
        let mut refused = unstored((status, body).into_response());
        let seconds = match &self {
            Self::TooMany(left) => Some(left.as_secs().max(1)),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => Some(1),
            _ => None,
        };
        if let Some(seconds) = seconds {
            refused.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        refused
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media_type.split(';').next().is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

pub(crate) fn unstored(mut answer: Response) -> Response {
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

pub(crate) fn add(headers: &mut HeaderMap, line: &str) {
    // A cookie consists of characters that headers may contain.
    if let Ok(line) = HeaderValue::from_str(line) {
        headers.append(header::SET_COOKIE, line);
    }
}
