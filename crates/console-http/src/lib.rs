//! The console over HTTP: its files at `/console`, and the sessions of the people who use it.
//!
//! * [`assets`] are the built files of `console/`, embedded in the program
//! * [`session`] logs people in and out with an API key, or with a link that is used once
//! * [`links`] makes these links
//! * [`oidc`] logs people in at an identity provider
//! * [`attempts`] limits how often an address may fail to log in
//!
//! Guarantees: no answer contains an API key. No page of another site can make calls with a session. Such a page can
//! show the console in a frame only if the operator names the origin of the page.

mod assets;
mod attempts;
mod console;
pub mod links;
pub mod oidc;
mod session;
mod trace_url;

use std::sync::Arc;

use access::{Authenticator, Sessions};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use journal::Journal;
use runtime::cors::Origin;

use attempts::Attempts;
use console::Console;
use trace_url::TraceUrl;

/// Options of the console.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "console")]
pub struct Options {
    /// Origins whose pages may show the console in a frame, written like --cors-origins; browsers need https for
    /// sessions in frames of other sites [default: none]
    #[arg(long, env = "LEADLINE_CONSOLE_FRAME_ANCESTORS", value_name = "ORIGINS", value_delimiter = ',')]
    pub console_frame_ancestors: Vec<Origin>,
    /// Where the console shows the trace of an attempt: an http or https URL with {trace_id} in its path or query
    /// [default: traces have no links]
    #[arg(long, env = "LEADLINE_TRACE_URL", value_name = "URL")]
    pub trace_url: Option<TraceUrl>,
    #[command(flatten)]
    pub oidc: oidc::Options,
}

/// The routes of the console. `authenticator` has to accept these sessions.
///
/// # Errors
/// If the settings of the identity provider cannot be used.
pub fn routes(
    options: &Options,
    authenticator: Authenticator,
    sessions: Sessions,
    journal: Journal,
) -> Result<Router, oidc::NoOidc> {
    let is_framed = !options.console_frame_ancestors.is_empty();
    let (trace_url, oidc) = (options.trace_url.clone(), options.oidc.oidc()?);
    let attempts = Attempts::default();
    let console = Arc::new(Console { authenticator, sessions, journal, attempts, is_framed, trace_url, oidc });
    let session = get(session::show).post(session::log_in).delete(session::log_out);
    let routes = Router::new()
        .route("/console/session", session)
        .route("/console/oidc", get(oidc::offered))
        .route("/console/oidc/log-in", get(oidc::begin))
        .route("/console/oidc/callback", get(oidc::finish))
        .with_state(console)
        .route("/console", get(assets::index))
        .route("/console/", get(assets::index))
        .route("/console/{*path}", get(assets::file))
        .layer(middleware::from_fn_with_state(headers(options), protect));
    Ok(routes)
}

/// The headers of every answer. They limit what the pages may do in a browser.
fn headers(options: &Options) -> Arc<[(HeaderName, HeaderValue)]> {
    let ancestors: Vec<_> = options.console_frame_ancestors.iter().map(ToString::to_string).collect();
    let ancestors = if ancestors.is_empty() { "'none'".to_owned() } else { ancestors.join(" ") };
    let policy = format!(
        "default-src 'self'; img-src 'self' data:; base-uri 'none'; object-src 'none'; form-action 'self'; \
         frame-ancestors {ancestors}"
    );
    // An origin is a header value, so the policy is one as well.
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    Arc::new([
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ])
}

async fn protect(State(headers): State<Arc<[(HeaderName, HeaderValue)]>>, request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    answer.headers_mut().extend(headers.iter().cloned());
    answer
}
