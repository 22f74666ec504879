//! The answer to a form: a redirect or a page for a browser, JSON for a script.

use axum::{
    Json,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use domain::{EventId, LeadId};
use runtime::RequestId;
use serde_json::json;
use url::Url;

use super::refusal::Refusal;
use crate::http::errors::with_retry_after;

/// The pages load and run nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The result of a submitted form. A form that a program filled has the same result, and is not stored.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) redirect: Option<String>,
    pub(super) event_id: EventId,
    pub(super) lead: LeadId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Browser,
    Script,
}

impl Reader {
    /// The sender of a request, by its header `accept`: a script accepts JSON, and a browser that submits a form
    /// accepts HTML.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if accept.contains("application/json") && !accept.contains("text/html") { Self::Script } else { Self::Browser }
    }

    pub(super) fn accepted(self, request: &HeaderMap, outcome: &Outcome) -> Response {
        if self == Self::Script {
            let body = json!({"event_id": outcome.event_id.as_str(), "lead_id": outcome.lead.as_str()});
            return (StatusCode::ACCEPTED, Json(body)).into_response();
        }
        match outcome.redirect.as_deref().and_then(|address| redirect(request, address)) {
            // 303: the browser gets the next page with GET (RFC 9110, section 15.4.4).
            Some(url) => (StatusCode::SEE_OTHER, [(header::LOCATION, url.to_string())]).into_response(),
            None => page(StatusCode::OK, "Thank you", "Your message has arrived."),
        }
    }

    pub(super) fn refused(self, refusal: Refusal, id: &RequestId) -> Response {
        let Refusal { status, message, mut error, retry_after } = refusal;
        error["request_id"] = id.as_str().into();
        let response = match self {
            Self::Script => (status, Json(json!({"error": error}))).into_response(),
            Self::Browser => page(status, "Your message was not sent", &message),
        };
        with_retry_after(status, retry_after, response)
    }
}

/// The address that a browser is redirected to. It is on the site of the form, because a link to this server must not
/// lead to any other site.
fn redirect(request: &HeaderMap, address: &str) -> Option<Url> {
    let of_page = [header::REFERER, header::ORIGIN].into_iter().find_map(|name| {
        let value = request.get(name)?.to_str().ok()?;
        Url::parse(value).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
    })?;
    let url = of_page.join(address).ok()?;
    (url.origin() == of_page.origin()).then_some(url)
}

fn page(status: StatusCode, title: &str, text: &str) -> Response {
    let text = escaped(text);
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><body style=\"font: 1.1em sans-serif; margin: 3em auto; max-width: 30em\">\
         <h1>{title}</h1><p>{text}</p></body></html>\n"
    );
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (status, headers, body).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_stays_on_the_site_of_the_form() {
        let from = |name: header::HeaderName, value: &str| HeaderMap::from_iter([(name, value.parse().unwrap())]);
        let to = |headers: &HeaderMap, address: &str| redirect(headers, address).map(String::from);
        for headers in
            [from(header::REFERER, "https://acme.example/contact?x=1"), from(header::ORIGIN, "https://acme.example")]
        {
            for (address, url) in [
                ("/thanks", Some("https://acme.example/thanks")),
                ("https://acme.example/thanks", Some("https://acme.example/thanks")),
                ("https://evil.example/", None),
                ("//evil.example/", None),
                ("http://acme.example/", None),
                ("https://acme.example:8443/", None),
                ("javascript:alert(1)", None),
            ] {
                assert_eq!(to(&headers, address).as_deref(), url, "{address}");
            }
        }
        for headers in [HeaderMap::new(), from(header::ORIGIN, "null"), from(header::REFERER, "file:///form.html")] {
            assert_eq!(to(&headers, "/thanks"), None, "{headers:?}");
        }
    }

    #[test]
    fn a_script_asks_for_json_and_a_browser_for_html() {
        for (accept, reader) in [
            ("application/json", Reader::Script),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Reader::Browser),
            ("*/*", Reader::Browser),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
            assert_eq!(Reader::of(&headers), reader, "{accept}");
        }
    }
}
