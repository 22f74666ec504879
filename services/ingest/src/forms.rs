//! `POST /v1/forms/{account}/{interface}`: HTML forms that web pages submit directly.
//!
//! The page holds a *form key*: an API key that has only the scope `form` and may be public. [`fields`] parses the form
//! into a payload and control fields, [`answer`] makes the answer for a browser or a script.
//!
//! Guarantees: a form key permits only the submission of forms. A key that permits more is refused, so that people
//! notice if a page exposes such a key. The browser is redirected only to the site of the form.

mod answer;
mod fields;
mod refusal;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use access::Authenticator;
use api::publish::{Fields, Publish, PublishError};
use axum::{
    Extension, Router,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use domain::{
    KeyId, Principal,
    access::{Rule, Scope},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use runtime::{RequestId, trace::TraceContext};
use serde::Deserialize;
use tonic::Code;

use self::{
    answer::{Outcome, Reader},
    fields::Form,
    refusal::Refusal,
};
use crate::{
    http::read,
    publisher::{CalledFrom, Checked, Publisher},
};

/// How long a browser may remember that any page may submit forms, in seconds.
const PREFLIGHT_MAX_AGE: &str = "7200";

/// The period of the rate limit.
const RATE_PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Endpoint {
    authenticator: Authenticator,
    publisher: Publisher,
    /// The maximum bytes of a form, and of its event.
    max_event: usize,
    /// Counts the submissions of each valid form key; `None` if there is no limit.
    limiter: Option<DefaultKeyedRateLimiter<KeyId>>,
}

#[derive(Debug, Deserialize)]
struct Parameters {
    key: Option<String>,
}

/// `rate`: maximum submissions per second of each form key; 0 if there is no limit.
pub(crate) fn routes(authenticator: Authenticator, publisher: Publisher, max_event: usize, rate: u32) -> Router {
    let limiter = NonZeroU32::new(rate).map(|rate| RateLimiter::keyed(Quota::per_second(rate)));
    let endpoint = Arc::new(Endpoint { authenticator, publisher, max_event, limiter });
    Router::new()
        .route("/v1/forms/{account}/{interface}", post(submit).options(preflight).fallback(other_method))
        .with_state(endpoint)
}

async fn preflight() -> Response {
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "accept, content-type"),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}

async fn other_method(Extension(id): Extension<RequestId>, headers: HeaderMap) -> Response {
    let (status, problem) = (StatusCode::METHOD_NOT_ALLOWED, "submit the form with method=\"post\"");
    let refusal = Refusal::new(status, Code::Unimplemented, "METHOD_NOT_ALLOWED", problem);
    let mut response = Reader::of(&headers).refused(refusal, &id);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

async fn submit(
    State(endpoint): State<Arc<Endpoint>>,
    Path((account, interface)): Path<(String, String)>,
    Query(parameters): Query<Parameters>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Response {
    let (headers, reader) = (request.headers().clone(), Reader::of(request.headers()));
    let mut response = match endpoint.store(&account, &interface, parameters.key, request).await {
        Ok(outcome) => reader.accepted(&headers, &outcome),
        Err(refusal) => reader.refused(refusal, &id),
    };
    // The key is public, and cookies have no effect, so any page may read the answer.
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after, x-request-id"));
    response
}

impl Endpoint {
    async fn store(
        &self,
        account: &str,
        interface: &str,
        key: Option<String>,
        request: Request,
    ) -> Result<Outcome, Refusal> {
        let headers = request.headers().clone();
        let from = CalledFrom {
            trace: TraceContext::of_request(&headers),
            request_id: request.extensions().get::<RequestId>().cloned(),
        };
        let body = read(request.into_body(), self.max_event).await.map_err(Refusal::of_body)?;
        let form = Form::read(&headers, body).await?;
        let by = self.admit(key.as_deref().or(form.key.as_deref())).await?;
        let payload = form.payload();
        // The bound of the body is not enough: control characters take six times as many bytes in JSON.
        if payload.len() > self.max_event {
            let problem = format!("has more than {} bytes as JSON, which is the limit (--max-event)", self.max_event);
            let refused = PublishError::invalid("payload", problem);
            return Err(Refusal::of_body((StatusCode::PAYLOAD_TOO_LARGE, refused)));
        }
        let publish = Fields {
            account,
            interface,
            client: form.client.as_deref().unwrap_or_default(),
            event_id: form.event_id.as_deref().unwrap_or_default(),
            event_type: form.event_type.as_deref().unwrap_or_default(),
            payload,
            ..Fields::default()
        };
        let checked = self.check(&by, publish.parse()?).await?;
        let (event_id, lead) = (checked.event.event_id.clone(), checked.event.lead.clone());
        if form.is_spam() {
            // The program that filled the form must not notice, so its answer is that of a stored form.
            tracing::debug!(account, interface, key = %by.id(), "ignored a form whose honeypot field is filled");
        } else {
            let looked_up = self.publisher.look_up(checked).await;
            self.publisher.stored(self.publisher.send(looked_up, &from).await).await?;
        }
        Ok(Outcome { redirect: form.redirect, event_id, lead })
    }

    /// The caller that the form key names.
    async fn admit(&self, key: Option<&str>) -> Result<Principal, Refusal> {
        let missing = "the form has no key; add ?key=ll_… to its action, or a hidden field _key (leadline keys create \
                       NAME --scope form --account ACCOUNT)";
        let unauthenticated =
            |reason, problem| Refusal::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, reason, problem);
        let key = key.filter(|key| !key.is_empty()).ok_or_else(|| unauthenticated("KEY_MISSING", missing))?;
        let value = HeaderValue::try_from(format!("Bearer {key}"));
        let value = value.map_err(|_| unauthenticated("KEY_MALFORMED", "the key of the form is not an API key"))?;
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        let by = self.authenticator.admit(&headers, Rule::Needs(Scope::Form)).await?;
        if !by.key().scopes.named().eq([Scope::Form]) {
            let powerful = "the key of the form permits more than submitting forms, and every visitor of the page can \
                            read it; revoke it, and create one with the scope form alone";
            return Err(Refusal::new(StatusCode::FORBIDDEN, Code::PermissionDenied, "KEY_NOT_FOR_FORMS", powerful));
        }
        if let Some(limiter) = &self.limiter
            && limiter.check_key(by.id()).is_err()
        {
            let many = "too many forms were submitted with this key within a second; submit the form again";
            let status = StatusCode::TOO_MANY_REQUESTS;
            let refusal = Refusal::new(status, Code::ResourceExhausted, "RATE_EXCEEDED", many);
            return Err(Refusal { retry_after: Some(RATE_PERIOD), ..refusal });
        }
        Ok(by)
    }

    async fn check(&self, by: &Principal, publish: Publish) -> Result<Checked, PublishError> {
        let checked = Publisher::check(&*self.publisher.latest().await?, by, publish)?;
        self.publisher.rates().admit([&checked.event.account])?;
        Ok(checked)
    }
}
