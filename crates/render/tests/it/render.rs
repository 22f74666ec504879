//! Rendering of good and bad templates.

use domain::registry::{Body, ContentType, RequestShape};
use render::{check, without_values};

use crate::common::{check_shape, destination, rendered_with, shaped};

const PAYLOAD: &str =
    r#"{"name": "Ada \"L\" <a&b>", "n": 1.50, "tags": ["x", "y"], "evil": "\",\"admin\":true,\"x\":\""}"#;

fn body(body: Body) -> Result<String, String> {
    rendered_with(PAYLOAD, "https://crm.example/", body).map(|(_, body)| body)
}

fn template(text: &str) -> Result<String, String> {
    body(Body::Template(text.into()))
}

fn url(text: &str) -> Result<String, String> {
    rendered_with(PAYLOAD, text, Body::Payload).map(|(url, _)| url)
}

#[test]
fn payload_is_sent_unchanged() {
    assert_eq!(body(Body::Payload).unwrap(), PAYLOAD);
}

#[test]
fn envelope_contains_the_payload_unchanged() {
    let expected = format!(r#"{{"type":"lead.created","timestamp":"1970-01-01T00:00:00Z","data":{PAYLOAD}}}"#);
    assert_eq!(body(Body::Envelope).unwrap(), expected);
}

#[test]
fn slack_message_mentions_no_user() {
    let text = body(Body::Slack).unwrap();
    let message: serde_json::Value = serde_json::from_str(&text).unwrap();
    let text = message["text"].as_str().unwrap();
    assert!(text.starts_with("*lead.created* from form: lead lead:1\n"), "{text}");
    assert!(text.contains("• name: Ada \"L\" &lt;a&amp;b&gt;"), "{text}");
    assert!(!text.contains("tags"), "{text}");
}

#[test]
fn values_are_written_as_json_and_cannot_break_out() {
    let text = template(
        r#"{"who": {{ payload.name }}, "evil": {{ payload.evil }}, "all": {{ payload.tags }}, "id": {{ lead.id }}}"#,
    );
    let value: serde_json::Value = serde_json::from_str(&text.unwrap()).unwrap();
    assert_eq!(value["who"], "Ada \"L\" <a&b>");
    assert_eq!(value["evil"], "\",\"admin\":true,\"x\":\"");
    assert!(value.get("admin").is_none());
    assert_eq!(value["all"], serde_json::json!(["x", "y"]));
    assert_eq!(value["id"], "lead:1");
}

#[test]
fn loops_conditions_and_defaults_work() {
    let text = r#"[{% for tag in payload.tags %}{{ tag }}{% if not loop.last %},{% endif %}{% endfor %}, {{ payload.phone|default("none") }}]"#;
    assert_eq!(template(text).unwrap(), r#"["x","y", "none"]"#);
}

#[test]
fn a_template_error_names_problem_and_line() {
    for (text, says) in [
        ("{\n\"a\": {{ payload.missing }}}", "body template, line 2: payload.missing is not in this lead"),
        ("{{ oops", "body template, line 1"),
        ("{{ payload.name|nofilter }}", "line 1: the filter nofilter is unknown"),
        ("not json", "body template: the result is not JSON"),
        (
            "{% for a in range(10000) %}{% for b in range(10000) %}1{% endfor %}{% endfor %}",
            "takes more than 100000 steps",
        ),
        ("{% for a in range(9000) %}{{ payload }}{{ payload }}{{ payload }}{{ payload }}{% endfor %}", "body template"),
    ] {
        let error = template(text).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
    let error = check(&destination("https://crm.example/", Body::Template("{% if %}".into()))).unwrap_err();
    assert!(error.to_string().starts_with("body template, line 1"), "{error}");
    assert!(check(&destination("https://crm.example/{{ x", Body::Payload)).is_err());
    assert!(rendered_with("no json", "https://crm.example/", Body::Envelope).is_err());
}

#[test]
fn values_in_a_url_are_encoded_and_keep_its_host() {
    assert_eq!(
        url("https://crm.example/leads/{{ lead.id }}?who={{ payload.name }}").unwrap(),
        "https://crm.example/leads/lead%3A1?who=Ada%20%22L%22%20%3Ca%26b%3E"
    );
    assert_eq!(url("https://crm.example/plain").unwrap(), "https://crm.example/plain");
    assert!(url("https://{{ payload.name }}/").is_err());
    assert!(url("https://crm.example/{{ payload.missing }}").unwrap_err().contains("URL template"));
    let evil = r#"{"path": "../../@evil.example/?x#"}"#;
    let (url, _) = rendered_with(evil, "https://crm.example/a/{{ payload.path }}", Body::Payload).unwrap();
    assert!(url.starts_with("https://crm.example/"), "{url}");
}

#[test]
fn errors_quote_no_value_of_the_lead() {
    let payload = r#"{"word": "Marker", "large": 98765432109876543210987654321098765432}"#;
    let of_type = |content_type: &str, text: &str| RequestShape {
        content_type: Some(ContentType::parse(content_type).unwrap()),
        body: Body::Template(text.into()),
        ..RequestShape::default()
    };
    for (content_type, text) in [
        ("application/json", "{{ payload.large * payload.large }}"),
        ("application/json", "{{ payload.large % 0 }}"),
        ("application/json", "{{ payload.word * 2 }}"),
        ("application/json", "{{ payload.word|int }}"),
        ("application/json", "{{ payload[payload.word] }}"),
        ("application/json", "{{ [1]|map(payload.word) }}"),
        ("application/json", "{{ payload.word.missing }}"),
        ("application/json", "\"{{ payload.word }}\""),
        ("text/xml", "<{{ payload.word }}></b>"),
        ("text/xml", "<a>&{{ payload.word }};</a>"),
        ("text/xml", "<a b=\"&{{ payload.word }};\"/>"),
    ] {
        let error = shaped(of_type(content_type, text), payload).unwrap_err();
        assert!(!error.contains("Marker") && !error.contains("98765"), "{text}: {error}");
    }
    // The text of the template may be quoted when it is set.
    let refused = check_shape(&of_type("text/xml", "<a></b>")).unwrap_err();
    assert!(refused.contains('b') && refused.contains("before byte"), "{refused}");
}

#[test]
fn url_is_shown_without_values_of_the_lead() {
    let template = "https://crm.example/leads/{{ payload.name }}?a={% if payload.n %}b{% endif %}";
    for (settings, requested, shown) in [
        (template, "https://crm.example/leads/Ada?a=b", template),
        // The request was not rendered.
        (template, template, template),
        ("https://CRM.example/hook a", "https://crm.example/hook%20a", "https://CRM.example/hook a"),
        // The settings were changed after the request.
        ("https://crm.example/new", "https://crm.example/leads/Ada", "https://crm.example/…"),
        (template, "https://crm.example/old/Ada?b=Ada", "https://crm.example/…"),
        (template, "https://u:p@other.example:8443/leads/Ada", "https://other.example:8443/…"),
        ("", "http://127.0.0.1:1/Ada", "http://127.0.0.1:1/…"),
        (template, "", ""),
    ] {
        assert_eq!(without_values(settings, requested), shown, "{settings} {requested}");
    }
}
