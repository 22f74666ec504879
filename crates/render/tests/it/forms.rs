//! Payloads as forms, and templates of bodies other than JSON.

use domain::registry::{Body, ContentType, Form, Lists, Method, Nesting, RequestShape};

use crate::common::{check_shape, shaped};

const PAYLOAD: &str = r#"{"name": "Ada & Co", "age": 1.50, "ok": true, "phone": null, "empty": {}, "none": [],
    "person": {"email": "ada+x@example.com", "address": {"city": "Köln"}}, "tags": ["a", "b c"],
    "cars": [{"make": "VW"}, {"make": "BMW"}]}"#;

fn pairs(entries: &[(&str, &str)]) -> Vec<(String, String)> {
    entries.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

fn form(form: Form, payload: &str) -> Result<String, String> {
    let shape = RequestShape { body: Body::Form, form, ..RequestShape::default() };
    shaped(shape, payload).map(|made| made.body)
}

fn template(content_type: &str, text: &str, payload: &str) -> Result<String, String> {
    let content_type = Some(ContentType::parse(content_type).unwrap());
    let shape = RequestShape { body: Body::Template(text.into()), content_type, ..RequestShape::default() };
    check_shape(&shape)?;
    shaped(shape, payload).map(|made| made.body)
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn payload_fields_become_form_fields() {
    assert_eq!(
        form(Form::default(), PAYLOAD).unwrap(),
        "name=Ada%20%26%20Co&age=1.50&ok=true&phone=&person%5Bemail%5D=ada%2Bx%40example.com\
         &person%5Baddress%5D%5Bcity%5D=K%C3%B6ln&tags=a&tags=b%20c&cars%5Bmake%5D=VW&cars%5Bmake%5D=BMW"
    );
    let payload = r#"{"a": {"b": [1, {"c": 2}]}}"#;
    for (nesting, lists, expected) in [
        (Nesting::Brackets, Lists::Repeat, "a[b]=1&a[b][c]=2"),
        (Nesting::Brackets, Lists::Brackets, "a[b][]=1&a[b][][c]=2"),
        (Nesting::Brackets, Lists::Indices, "a[b][0]=1&a[b][1][c]=2"),
        (Nesting::Dots, Lists::Repeat, "a.b=1&a.b.c=2"),
        (Nesting::Dots, Lists::Brackets, "a.b[]=1&a.b[].c=2"),
        (Nesting::Dots, Lists::Indices, "a.b.0=1&a.b.1.c=2"),
    ] {
        let made = form(Form { nesting, lists, ..Form::default() }, payload).unwrap();
        assert_eq!(made.replace("%5B", "[").replace("%5D", "]"), expected);
    }
}

#[test]
fn form_mapping_renames_and_omits_fields_and_adds_constants() {
    let mapping = Form {
        fields: pairs(&[("name", "last_name"), ("person.address", "addr"), ("age", ""), ("tags.1", "second")]),
        constants: pairs(&[("oid", "00D"), ("retURL", "https://x.example/?a=1")]),
        ..Form::default()
    };
    let payload = r#"{"name": "Ada", "age": 3, "person": {"address": {"city": "X"}, "a": 1}, "tags": ["p", "q"]}"#;
    let made = form(mapping.clone(), payload).unwrap();
    assert_eq!(
        made.replace("%5B", "[").replace("%5D", "]"),
        "oid=00D&retURL=https%3A%2F%2Fx.example%2F%3Fa%3D1&last_name=Ada&addr[city]=X&person[a]=1&tags=p&second=q"
    );
    let made = form(Form { only_fields: true, ..mapping }, payload).unwrap();
    let end = "&last_name=Ada&addr[city]=X&second=q";
    assert!(made.replace("%5B", "[").replace("%5D", "]").ends_with(end) && !made.contains("person"), "{made}");
}

#[test]
fn lead_fields_cannot_replace_constants() {
    let constants = pairs(&[("oid", "00D"), ("lead.source", "web"), ("a[b]", "1")]);
    for name in ["oid", "OID", " oid", "o\u{0}id", "lead_source", "lead source", "lead.source", "a[b]", "a_b", "A.b"] {
        let payload = serde_json::json!({ name: "evil", "a": {"b": "evil"}, "ok": "x" }).to_string();
        let made = form(Form { constants: constants.clone(), ..Form::default() }, &payload).unwrap();
        assert!(!made.contains("evil") && made.ends_with("&ok=x"), "{name}: {made}");
    }
}

#[test]
fn forms_are_bounded_and_need_an_object() {
    for payload in ["[1]", "\"text\"", "1", "null"] {
        assert!(form(Form::default(), payload).unwrap_err().contains("is not an object"), "{payload}");
    }
    let long = serde_json::json!({ "x".repeat(100_000): (0..1_000).collect::<Vec<_>>() }).to_string();
    assert!(form(Form::default(), &long).unwrap_err().contains("more than 1048576 bytes"));
    let escapes = serde_json::json!({ "a": "&".repeat(500_000) }).to_string();
    assert!(form(Form::default(), &escapes).unwrap_err().contains("more than 1048576 bytes"));
    let deep = "{\"aaaaaaaaaa\":".repeat(100) + "1" + &"}".repeat(100);
    assert!(form(Form::default(), &deep).unwrap().ends_with("%5D=1"));
    let only = Form { only_fields: true, ..Form::default() };
    assert_eq!(form(only, &long).unwrap(), "");
    // A long name that is not sent costs nothing.
    let hollow = serde_json::json!({ "x".repeat(500_000): vec![serde_json::json!({}); 100_000] }).to_string();
    let began = std::time::Instant::now();
    assert_eq!(form(Form::default(), &hollow).unwrap(), "");
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn multipart_boundary_occurs_in_no_value() {
    let multipart = |payload: &str| {
        let shape = RequestShape { body: Body::Multipart, ..RequestShape::default() };
        shaped(shape, payload).unwrap()
    };
    let made = multipart(r#"{"a\"\r\nb": "1\r\n2", "c": "ä"}"#);
    let boundary = made.content_type.as_deref().unwrap().strip_prefix("multipart/form-data; boundary=").unwrap();
    assert_eq!(
        made.body,
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"a%22%0D%0Ab\"\r\n\r\n1\r\n2\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"c\"\r\n\r\nä\r\n--{boundary}--\r\n"
        )
    );
    let value = format!("\r\n--{boundary}--\r\n");
    let evil = multipart(&serde_json::json!({ "a": value }).to_string());
    let other = evil.content_type.as_deref().unwrap().split_once("boundary=").unwrap().1;
    assert!(!value.contains(other) && evil.body.ends_with(&format!("\r\n--{other}--\r\n")), "{other}");
    assert_eq!(evil.body.matches(other).count(), 2);
}

#[test]
fn form_template_encodes_its_values() {
    let lines = "oid=00D\n  &last_name={{ payload.name }}\n&age={{ payload.age }}&phone={{ payload.phone }}\n";
    assert_eq!(template(FORM, lines, PAYLOAD).unwrap(), "oid=00D&last_name=Ada%20%26%20Co&age=1.50&phone=");
    let json = "payload={{ payload.tags|tojson }}&who={{ \"Hi \" ~ payload.phone ~ payload.name }}";
    let made = template(FORM, json, PAYLOAD).unwrap();
    assert_eq!(made, "payload=%5B%22a%22%2C%22b%20c%22%5D&who=Hi%20Ada%20%26%20Co");
    let block = "{% set who %}{{ payload.name|e }}{% endset %}a={{ who }}";
    assert_eq!(template(FORM, block, PAYLOAD).unwrap(), "a=Ada%20%26%20Co");
    for (text, says) in [
        ("a={{ payload.tags }}", "payload.tags is a list, and only a text"),
        ("a={{ payload.person }}", "payload.person is an object"),
        ("a={{ payload.name|safe }}", "the filter safe is unknown in a form"),
        ("a=b c", "' ' has to be percent-encoded"),
        ("a=ä", "has to be percent-encoded"),
        ("a={{ payload.missing }}", "payload.missing is not in this lead"),
    ] {
        let error = template(FORM, text, PAYLOAD).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn xml_template_escapes_its_values() {
    let adf = "<?ADF VERSION \"1.0\"?>\n<adf><name part=\"{{ payload.name }}\">{{ payload.name|escape }}</name>\
               {% for tag in payload.tags %}<tag>{{ tag }}</tag>{% endfor %}<n>{{ payload.age }}</n></adf>";
    assert_eq!(
        template("text/xml; charset=utf-8", adf, PAYLOAD).unwrap(),
        "<?ADF VERSION \"1.0\"?>\n<adf><name part=\"Ada &amp; Co\">Ada &amp; Co</name>\
         <tag>a</tag><tag>b c</tag><n>1.50</n></adf>"
    );
    let evil = r#"{"name": "</a><admin>1</admin>\" x=\"'"}"#;
    let made = template("application/xml", "<a b=\"{{ payload.name }}\">{{ payload.name }}</a>", evil).unwrap();
    assert!(!made.contains("<admin>") && made.matches('"').count() == 2, "{made}");
    for (text, says) in [
        ("<a>{{ payload.name|safe }}</a>", "the filter safe is unknown in XML"),
        ("<a>{{ payload.name }}", "is not XML"),
        ("<a b={{ payload.name }}/>", "is not XML"),
        ("{{ payload.name }}", "is not XML"),
    ] {
        let error = template("text/xml", text, PAYLOAD).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
    // Valid for some leads only.
    let sometimes = "<a>{% if payload.ok %}<b>{% endif %}</a>";
    assert!(template("text/xml", sometimes, PAYLOAD).unwrap_err().contains("is not XML"));
    assert_eq!(template("text/xml", sometimes, r#"{"ok": false}"#).unwrap(), "<a></a>");
}

#[test]
fn template_of_another_type_writes_values_unchanged() {
    let text = "Lead: {{ payload.name }} <{{ payload.person.email }}>\nAge: {{ payload.age }}, {{ payload.phone }}.";
    let expected = "Lead: Ada & Co <ada+x@example.com>\nAge: 1.50, .";
    assert_eq!(template("text/plain; charset=utf-8", text, PAYLOAD).unwrap(), expected);
    assert!(template("text/plain", "{{ payload.tags }}", PAYLOAD).unwrap_err().contains("is a list"));
    assert_eq!(template("text/plain", "{{ payload.tags|tojson }}", PAYLOAD).unwrap(), r#"["a","b c"]"#);
}

#[test]
fn json_may_have_another_type_and_get_has_no_body() {
    let json = Some(ContentType::parse("application/vnd.api+json").unwrap());
    let text = r#"{"name": {{ payload.name }}}"#;
    let shape =
        RequestShape { body: Body::Template(text.into()), content_type: json.clone(), ..RequestShape::default() };
    let made = shaped(shape, PAYLOAD).unwrap();
    assert_eq!(
        (made.body.as_str(), made.content_type.as_deref()),
        (r#"{"name": "Ada & Co"}"#, Some("application/vnd.api+json"))
    );
    let made = shaped(RequestShape { content_type: json, ..RequestShape::default() }, PAYLOAD).unwrap();
    assert_eq!((made.body.as_str(), made.content_type.as_deref()), (PAYLOAD, Some("application/vnd.api+json")));
    let plain = shaped(RequestShape::default(), PAYLOAD).unwrap();
    assert_eq!((plain.body.as_str(), plain.content_type.as_deref()), (PAYLOAD, Some("application/json")));
    for method in [Method::Get, Method::Delete] {
        let made = shaped(RequestShape { method, ..RequestShape::default() }, PAYLOAD).unwrap();
        assert_eq!((made.body.as_str(), made.content_type), ("", None));
    }
}
