//! Hostile templates and leads: their cost is bounded, and they fail with a clear error.

use std::time::{Duration, Instant};

use crate::common::{body, body_of, checked, url_of};

/// A debug build takes many times as long as a release build, and the machine may be busy.
const RENDER_TIMEOUT: Duration = Duration::from_secs(20);

fn large() -> String {
    format!(r#"{{"a": "{}", "list": [{}1]}}"#, "x".repeat(200_000), "1,".repeat(20_000))
}

#[test]
fn growth_of_input_is_bounded() {
    let doubled = "{% set a = payload.a %}".to_owned() + &"{% set a = a ~ a %}".repeat(60) + "{{ a }}";
    let lists = "{% set a = payload.list %}".to_owned() + &"{% set a = a + a %}".repeat(60) + "{{ a|length }}";
    let with = "{% with a = payload.a %}".to_owned()
        + &"{% with a = a ~ a %}".repeat(25)
        + "{{ a }}"
        + &"{% endwith %}".repeat(26);
    let captured = "{% set a %}{{ payload.a }}{% endset %}".to_owned()
        + &"{% set a %}{{ a }}{{ a }}{% endset %}".repeat(40)
        + "{{ a }}";
    let escaped = "{% set a = payload.list %}".to_owned() + &r#"{% set a = [a, "\\\""] ~ "" %}"#.repeat(60) + "{{ a }}";
    let deep = "{% set a = 1 %}".to_owned() + &"{% set a = [a] %}".repeat(900) + "{{ a }}";
    let nested = "{% set a = 1 %}".to_owned()
        + &format!("{{% set a = {}a{} %}}", "[".repeat(90), "]".repeat(90)).repeat(300)
        + "{{ a }}";
    let folded = r#"{{ "#.to_owned() + &"[".repeat(40) + r#""\\""# + &r#"] ~ """#.repeat(40) + " }}";
    for template in [
        r#"{"a": {{ payload.a|indent(1000000000000000) }} }"#,
        r#"{"a": {{ payload.a|indent(18446744073709551615) }} }"#,
        "{% for i in range(400) %}{% if (payload.a|indent(100000000))|length == 0 %}1{% endif %}{% endfor %}",
        r#"{{ "x" * 99999999 }}"#,
        r#"{{ 99999999 * payload.a }}"#,
        "{{ [1] * 99999999 }}",
        r#"{{ "%99999999999d"|format(1) }}"#,
        r#"{{ payload.a|center(99999999999) }}"#,
        r#"{{ payload.a|replace("x", payload.a) }}"#,
        r#"{{ payload.list|join(payload.a) }}"#,
        r#"{{ payload.list|batch(3, payload.a)|list }}"#,
        "{{ range(100000000000) }}",
        "{% for i in range(90000) %}{% set b = range(90000) %}{% endfor %}1",
        "{% for i in range(9000) %}{% if payload.a == payload.a ~ i %}1{% endif %}{% endfor %}1",
        "{% for i in range(9000) %}{% if payload.list == payload.list + [1] %}1{% endif %}{% endfor %}1",
        "{% for i in range(9000) %}{% if payload.a|upper == 1 %}1{% endif %}{% endfor %}1",
        "{% for i in range(9000) %}{% if payload.list|sort == 1 %}1{% endif %}{% endfor %}1",
        "{% for i in range(9000) %}{% if payload.a is endingwith(payload.a) %}{% endif %}{% endfor %}1",
        "{% for i in range(9000) %}{% if payload.list[1:] == 1 %}1{% endif %}{% endfor %}1",
        "{% for i in range(90000) %}{% if payload.a[199999] == 1 %}1{% endif %}{% endfor %}1",
        "{% for x in [payload.a] recursive %}{{ loop([x ~ x]) }}{% endfor %}",
        "{% for i in range(90000) %}{{ payload.a }}{% endfor %}",
        "{% macro m(x) %}{{ m(x ~ x) }}{% endmacro %}{{ m(payload.a) }}",
        "{% set ns = namespace(a=payload.a) %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}1",
        &format!("{{% for i in range(90000) %}}{}{{% endfor %}}", "text ".repeat(2_000)),
        &doubled,
        &lists,
        &with,
        &captured,
        &escaped,
        &deep,
        &nested,
        &folded,
    ] {
        let began = Instant::now();
        let error = body_of(template, &large()).unwrap_err();
        assert!(error.starts_with("body template"), "{template}: {error}");
        assert!(began.elapsed() < RENDER_TIMEOUT, "{:.100}: {:?}", template, began.elapsed());
    }
}

#[test]
fn long_chains_do_not_overflow_the_stack() {
    let chains = [
        format!("{{{{ 1{} }}}}", "+1".repeat(30_000)),
        format!("{{{{ payload{} }}}}", ".a".repeat(30_000)),
        format!("{{{{ payload{} }}}}", "[0]".repeat(20_000)),
        format!("{{{{ {}1 }}}}", "not ".repeat(15_000)),
        format!("{{{{ {}1 }}}}", "-".repeat(60_000)),
        format!("{{{{ 1{} }}}}", "|abs".repeat(15_000)),
        format!("{{{{ 1{} }}}}", " if 1 else 1".repeat(5_000)),
        format!("{{{{ 1{} }}}}", " < 1".repeat(15_000)),
        format!("{{{{ {}1{} }}}}", "(".repeat(30_000), ")".repeat(30_000)),
        format!("{{{{ {}1{} }}}}", "[".repeat(30_000), "]".repeat(30_000)),
        format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(5_000)),
        format!("{}{}", "{% if 1 %}".repeat(3_000), "{% endif %}".repeat(3_000)),
        format!("{}{}", "{% for a in [1] %}".repeat(1_500), "{% endfor %}".repeat(1_500)),
        format!("{}{}", "{% with a = 1 %}".repeat(1_500), "{% endwith %}".repeat(1_500)),
    ];
    for chain in chains {
        let (short, text) = (&chain[..20].to_owned(), format!(r#"{{"a": {chain}}}"#));
        let refused = checked("https://crm.example/", &text).unwrap_err();
        assert!(refused.starts_with("body template, line 1: "), "{short}: {refused}");
        // The template may be stored already.
        assert!(body_of(&text, "{}").unwrap_err().starts_with("body template, line 1: "), "{short}");
        let in_url = checked(&format!("https://crm.example/{chain}"), "1").unwrap_err();
        assert!(in_url.starts_with("URL template, line 1: "), "{short}: {in_url}");
    }
    // These are just within the limits.
    for allowed in [
        format!("{{{{ 1{} }}}}", "+1".repeat(498)),
        format!("{{{{ payload{}|default(1) }}}}", ".a".repeat(400)),
        format!("{{{{ 1{} }}}}", "|abs".repeat(498)),
        format!("{{{{ {}1 }}}}", "not ".repeat(140)),
        format!("{{% if 1 %}}1{}{{% endif %}}", "{% elif 1 %}1".repeat(900)),
    ] {
        let _ = checked("https://crm.example/", &allowed);
        let _ = body_of(&allowed, "{}");
    }
}

#[test]
fn a_lead_cannot_change_the_path() {
    let tenants = "https://crm.example/v1/tenants/{{ payload.t }}/contacts";
    for (template, payload) in [
        (tenants, r#"{"t": ".."}"#),
        (tenants, r#"{"t": "."}"#),
        ("https://crm.example/v1/contacts/{{ payload.t }}", r#"{"t": ".."}"#),
        ("https://crm.example/{{ payload.t }}{{ payload.t }}/admin", r#"{"t": "."}"#),
        ("https://crm.example/a/{{ payload.t }}%2e/b", r#"{"t": "."}"#),
        ("https://crm.example/a/%2E{{ payload.t }}/b", r#"{"t": "."}"#),
        ("https://crm.example/a/.{{ payload.t }}/b", r#"{"t": "."}"#),
        ("https://crm.example/a/{{ payload.t }}{{ payload.none }}/b", r#"{"t": "..", "none": ""}"#),
        ("https://crm.example/a/{{ payload.t ~ payload.t }}/b?x=1", r#"{"t": "."}"#),
        ("https://crm.example/a/.\n{{ payload.t }}/b", r#"{"t": "."}"#),
    ] {
        let error = url_of(template, payload).unwrap_err();
        assert!(error.contains("the lead may not change the shape of the path"), "{template}: {error}");
    }
    for (payload, url) in [
        (r#"{"t": "../x"}"#, "https://crm.example/v1/tenants/..%2Fx/contacts"),
        (r#"{"t": "%2e%2e"}"#, "https://crm.example/v1/tenants/%252e%252e/contacts"),
        (r#"{"t": "..."}"#, "https://crm.example/v1/tenants/.../contacts"),
        (r#"{"t": "..\\x"}"#, "https://crm.example/v1/tenants/..%5Cx/contacts"),
        (r#"{"t": "a?b#c;d"}"#, "https://crm.example/v1/tenants/a%3Fb%23c%3Bd/contacts"),
    ] {
        assert_eq!(url_of(tenants, payload).unwrap(), url);
    }
    assert_eq!(
        url_of("https://crm.example/a?b={{ payload.t }}", r#"{"t": "../.."}"#).unwrap(),
        "https://crm.example/a?b=..%2F.."
    );
}

#[test]
fn only_one_piece_of_text_goes_into_a_url() {
    for (payload, says) in [
        (r#"{"t": null}"#, "URL template, line 1: payload.t is null, "),
        (r#"{"t": {"a": 1}}"#, "URL template, line 1: payload.t is an object, "),
        (r#"{"t": [1]}"#, "URL template, line 1: payload.t is a list, "),
        ("{}", "URL template, line 1: payload.t is not in this lead"),
    ] {
        for template in ["https://crm.example/{{ payload.t }}", "https://crm.example/{{ \"a\" ~ payload.t }}"] {
            let error = url_of(template, payload).unwrap_err();
            assert!(error.starts_with(says), "{template} {payload}: {error}");
        }
    }
    let typed = url_of("https://crm.example/{{ payload.t }}/{{ payload.u }}", r#"{"t": true, "u": 1.10}"#);
    assert_eq!(typed.unwrap(), "https://crm.example/true/1.10");
}

#[test]
fn numbers_keep_their_digits_and_objects_their_order() {
    let payload = r#"{"z": 12345678901234567890123, "y": 1.10, "x": 1e2, "w": -0, "v": -9223372036854775809,
        "u": 18446744073709551615, "t": 1e999, "s": 0.1, "r": 1E+5, "q": 123456789012345678901234567890123456789012345}"#;
    let compact = payload.replace([' ', '\n'], "");
    assert_eq!(body_of("{{ payload }}", payload).unwrap(), compact);
    for field in ["z", "y", "x", "w", "v", "u", "t", "s", "r", "q"] {
        let digits = body_of(&format!("{{{{ payload.{field} }}}}"), payload).unwrap();
        assert!(compact.contains(&format!("\"{field}\":{digits}")), "{field}: {digits}");
        let text = body_of(&format!(r#"{{{{ "n " ~ payload.{field} }}}}"#), payload).unwrap();
        assert_eq!(text, format!("\"n {digits}\""));
    }
    assert_eq!(body_of("{{ payload.y + 1 }} ", payload).unwrap().trim(), "2.1");
    assert_eq!(body_of("{{ payload.x == 100 }}", payload).unwrap(), "true");
    assert_eq!(body_of("{{ payload.y|round }}", payload).unwrap(), "1.0");
    assert_eq!(body_of("{{ payload.y is number }}", payload).unwrap(), "true");
}

#[test]
fn every_accepted_payload_can_be_rendered() {
    let lone = r#"{"name": "Hi \ud83d", "\udc00": "\ud83d\ude00", "b": "\ud83dx\ud83d\u0041"}"#;
    assert_eq!(body_of("{{ payload.name }}", lone).unwrap(), "\"Hi \u{fffd}\"");
    assert_eq!(body_of("{{ payload.b }}", lone).unwrap(), "\"\u{fffd}x\u{fffd}A\"");
    assert!(body_of("{{ payload }}", lone).unwrap().contains('😀'));
    assert!(body(domain::registry::Body::Slack, lone).unwrap().contains("Hi \u{fffd}"));
    let deep = format!("{}1{}", "[".repeat(512), "]".repeat(512));
    assert_eq!(body_of("{{ payload }}", &deep).unwrap(), deep);
    body(domain::registry::Body::Slack, &deep).unwrap();
    // A template that does not use the payload does not read it.
    for broken in ["no json", &"[".repeat(100_000)] {
        assert_eq!(body_of(r#"{"id": {{ lead.id }}}"#, broken).unwrap(), r#"{"id": "lead:1"}"#);
        assert!(body_of("{{ payload.a }}", broken).unwrap_err().contains("the payload cannot be read"));
        assert!(body(domain::registry::Body::Slack, broken).unwrap_err().contains("the payload cannot be read"));
    }
}

#[test]
fn slack_shows_fields_in_order_and_counts_the_rest() {
    let fields: Vec<_> = (0..29).map(|n| format!(r#""f{}": 1.{n}0"#, 28 - n)).collect();
    let text = body(domain::registry::Body::Slack, &format!("{{{}}}", fields.join(","))).unwrap();
    let message: serde_json::Value = serde_json::from_str(&text).unwrap();
    let lines: Vec<_> = message["text"].as_str().unwrap().lines().skip(1).map(str::to_owned).collect();
    assert_eq!((lines[0].as_str(), lines[1].as_str()), ("• f28: 1.00", "• f27: 1.10"));
    assert_eq!((lines.len(), lines[20].as_str()), (21, "…and 9 more"));
}

#[test]
fn a_failure_names_template_line_and_path() {
    let payload = r#"{"name": "Ada", "n": "text", "none": null}"#;
    for (template, says) in [
        ("{\n\"phone\": {{ payload.phone }}}", "body template, line 2: payload.phone is not in this lead"),
        ("{{ payload.a.b }}", "body template, line 1: payload.a is not in this lead"),
        (r#"{{ payload["phone"] }}"#, "body template, line 1: payload['phone'] is not in this lead"),
        ("{{ payload.phone|upper }}", "body template, line 1: payload.phone is not in this lead"),
        (r#"{{ "Hi " ~ payload.phone }}"#, "body template, line 1: payload.phone is not in this lead"),
        ("{% for x in payload.list %}{% endfor %}", "body template, line 1: payload.list is not in this lead"),
        ("{% if payload.phone %}{% endif %}", "body template, line 1: payload.phone is not in this lead"),
        ("{{ payload.name|round }}", "body template, line 1: "),
        ("{{ payload.name + 1 }}", "body template, line 1: "),
        ("\n{% for x in 5 %}{% endfor %}", "body template, line 2: "),
        (r#"{"text": "Hi {{ payload.name }}"}"#, r#"write {{ "Hi " ~ payload.name }} instead of"#),
        ("{% for i in range(3000) %}{{ \"0123456789\" * 1 }}{% endfor %}", "only numbers can be used in a calculation"),
    ] {
        let error = body_of(template, payload).unwrap_err();
        assert!(error.contains(says), "{template}: {error}");
    }
    let size = body_of(&format!("[{{% for i in range(99) %}}\"{}\",{{% endfor %}}1]", "x".repeat(20_000)), "{}");
    let says = "body template: the body for this lead has 1980300 bytes, and 1048576 is the limit";
    assert_eq!(size.unwrap_err(), says);
    let long = url_of("https://crm.example/{{ payload.a }}", &large()).unwrap_err();
    assert_eq!(long, "URL template: the URL for this lead has 200020 bytes, and 8192 is the limit");
}

#[test]
fn a_template_that_fails_for_every_lead_is_refused() {
    for (template, says) in [
        (r#"{"text": "Hi {{ payload.name }}"}"#, r#"{{ "Hi " ~ payload.name }}"#),
        ("{{ payload.name|upcase }}", "the filter upcase is unknown; available: "),
        ("{{ nosuch }}", "nosuch is unknown; available: payload, event, lead, "),
        ("{% if payload.a %}{{ nosuch.x }}{% else %}1{% endif %}", "nosuch is unknown"),
        ("{{ payload.name is nosuch }}", "the test nosuch is unknown"),
        ("{{ lookup(1) }}", "the function lookup is unknown"),
        ("not json", "the result is not JSON"),
        (r#"{"a": {{ payload.a }}, }"#, "the result is not JSON"),
        ("{{ payload.name", "body template, line 1: "),
        ("{% include \"x\" %}", "body template, line 1: "),
    ] {
        let error = checked("https://crm.example/", template).unwrap_err();
        assert!(error.contains(says), "{template}: {error}");
    }
    for url in
        ["https://{{ payload.host }}/", "https://crm.example/{{ payload.a", "https://crm.example/a/../{{ payload.a }}"]
    {
        assert!(checked(url, "1").is_err(), "{url}");
    }
}

#[test]
fn a_template_that_may_work_is_not_refused() {
    for template in [
        "{{ payload }}",
        r#"{"a": {{ payload.a.b[0].c }}, "b": {{ payload["x y"] }}, "c": {{ payload.n + 1 }}}"#,
        r#"[{% for i in payload.items %}{{ i.name }}{% if not loop.last %},{% endif %}{% endfor %}]"#,
        r#"{% if payload.kind == "a" %}{"a": 1}{% endif %}"#,
        r#"{"a": {{ payload.a|default("x") }}, "b": {{ payload.b|upper }}, "c": {{ payload.l|join(", ") }}}"#,
        r#"{% set name = payload.first ~ " " ~ payload.last %}{"name": {{ name }}}"#,
        r#"{{ {"a": payload.a, "b": [payload.b, 1]} }}"#,
        r#"{{ payload|tojson }}"#,
        r#"{"n": {{ payload.n|int * 2 }}, "r": {{ payload.n|float|round(2) }}, "l": {{ payload.l|length }}}"#,
        r#"{% with x = payload.x %}{"x": {{ x[:3] }}}{% endwith %}"#,
        r#"{"x": {{ x|default(1) }}, "c": {{ client }}, "t": {{ event.type }}, "y": {{ 1 if payload.y is defined else 2 }}}"#,
        r#"{% for k, v in payload|items %}{% endfor %}{"a": 1}"#,
        r#"{"a": "{{ payload.a|safe }}"}"#,
    ] {
        assert_eq!(checked("https://crm.example/{{ lead.id }}?a={{ payload.a }}", template), Ok(()), "{template}");
    }
}
