//! Templates of URLs and bodies, and payloads: results are bounded, stay on the same host, and match their content
//! type.
//!
//! The input is three texts separated by zero bytes: the URL, the body, and the payload.

use std::thread;

use bytes::Bytes;
use domain::{
    AccountId, DestinationId, EventId, EventType, InterfaceId, LeadEvent, LeadId, LeadSequence, RetryPolicy,
    delivery::request,
    registry::{Body, ContentType, Destination, EventTypePattern, Format, RequestShape, Scope},
};
use jiff::Timestamp;
use render::{Input, LARGEST, MAX_URL, STACK, check, render};
use serde_json::value::RawValue;
use url::Url;

pub fn templates(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.splitn(3, '\0');
    let [url, body, payload] = [(); 3].map(|()| parts.next().unwrap_or_default());
    // Ingest accepts only JSON payloads.
    let payload = if serde_json::from_str::<&RawValue>(payload).is_ok() { payload } else { "{}" };
    let json = [Body::Template(body.to_owned()), Body::Payload, Body::Envelope, Body::Slack].map(|body| (body, None));
    let forms = [Body::Form, Body::Multipart].map(|body| (body, None));
    let other = ["application/x-www-form-urlencoded", "text/xml", "text/plain"];
    let other = other.map(|content_type| (Body::Template(body.to_owned()), Some(content_type)));
    for (body, content_type) in json.into_iter().chain(forms).chain(other) {
        let content_type = content_type.map(|text| ContentType::parse(text).expect("a content type"));
        let destination = destination(url, RequestShape { body, content_type, ..RequestShape::default() });
        // A template that the configuration refuses may have been stored by an older version. Then it fails with a
        // message.
        if let Err(error) = check(&destination) {
            assert!(!error.to_string().is_empty());
        }
        match rendered(&destination, payload) {
            Ok(made) => {
                let written = Url::parse(url).expect("a URL that was filled in is one");
                let origin = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port());
                assert_eq!(origin(&made.url), origin(&written));
                let parts = |url: &Url| url.path_segments().map_or(0, Iterator::count);
                if !url.contains("{%") && !url.contains("{#") {
                    assert_eq!(parts(&made.url), parts(&without_expressions(url)), "{}", made.url);
                }
                assert!(made.url.as_str().len() <= 4 * MAX_URL.max(url.len()));
                assert!(made.body.len() <= LARGEST + payload.len());
                match destination.request.format() {
                    Format::Json => assert!(serde_json::from_slice::<&RawValue>(&made.body).is_ok()),
                    Format::Form => assert!(made.body.iter().all(u8::is_ascii_graphic), "{:?}", made.body),
                    Format::Multipart | Format::Xml | Format::Text => assert!(std::str::from_utf8(&made.body).is_ok()),
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// Replaces each expression of the URL by a letter.
fn without_expressions(url: &str) -> Url {
    let mut out = String::new();
    let mut rest = url;
    while let Some((before, expression)) = rest.split_once("{{") {
        out.push_str(before);
        out.push('x');
        rest = expression.split_once("}}").map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    Url::parse(&out).expect("a URL whose expressions are filled in is one")
}

/// Renders on a thread with a large stack, like the dispatcher.
fn rendered(destination: &Destination, payload: &str) -> Result<render::Rendered, render::RenderError> {
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    let event = event(payload.clone());
    let requested = request(&event, LeadSequence(1), &destination.id, Timestamp::UNIX_EPOCH);
    let input = Input { reference: requested.reference(), occurred_at: event.occurred_at, payload: &payload };
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || render(destination, &input));
        thread.expect("a thread").join().expect("no template makes the engine panic")
    })
}

fn event(payload: Bytes) -> LeadEvent {
    LeadEvent {
        event_id: EventId::parse("evt:1").expect("an id"),
        account: AccountId::parse("acme").expect("an id"),
        interface: InterfaceId::parse("form").expect("an id"),
        client: None,
        lead: LeadId::parse("lead:1").expect("an id"),
        destination: None,
        event_type: EventType::lead_created(),
        occurred_at: Timestamp::UNIX_EPOCH,
        received_at: Timestamp::UNIX_EPOCH,
        registry_sequence: 0,
        hops: 0,
        payload,
    }
}

fn destination(url: &str, request: RequestShape) -> Destination {
    Destination {
        account: AccountId::parse("acme").expect("an id"),
        id: DestinationId::parse("dst").expect("an id"),
        name: String::new(),
        scope: Scope::Account,
        url: url.into(),
        condition: None,
        event_types: vec![EventTypePattern::any()],
        timeout: Destination::DEFAULT_TIMEOUT,
        concurrency: 1,
        retry: RetryPolicy::standard(),
        rate: None,
        breaker_failures: 0,
        ordered: false,
        request,
        transport: Default::default(),
        token: None,
        enabled: true,
        deactivated: None,
        skip_held_before: None,
        deleted: false,
    }
}
