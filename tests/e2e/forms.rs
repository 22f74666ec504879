//! HTML forms: a submitted form arrives as a lead, and the key in the page permits nothing else.

use api::{DeliveryStatus, Scope};
use reqwest::{Response, StatusCode, header};
use serde_json::{Value, json};
use testkit::{Receiver, wait};
use tonic::Code;
use url::form_urlencoded;

use crate::world::{ACCOUNT, INTERFACE, SOON, World, some_destination, web};

const URLENCODED: &str = "application/x-www-form-urlencoded";
const PAGE: &str = "https://acme.example/contact";
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn encoded(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// Submits a form like a page at [`PAGE`].
async fn submit(world: &World, key: &str, accept: &str, fields: &[(&str, &str)]) -> Response {
    let url = format!("{}/v1/forms/{ACCOUNT}/{INTERFACE}?key={key}", world.http);
    let request = web().post(url).header(header::REFERER, PAGE).header(header::ACCEPT, accept);
    request.header(header::CONTENT_TYPE, URLENCODED).body(encoded(fields)).send().await.unwrap()
}

async fn form_key(world: &World) -> String {
    world.new_key(ACCOUNT, &[Scope::Form]).await.0
}

#[tokio::test]
async fn submitted_form_arrives_as_a_lead_and_redirects_the_browser() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination_with(api::Destination { url: receiver.url(), ..some_destination() }).await;
    let key = form_key(&world).await;
    let fields = [
        ("name", "Ada Löv"),
        ("wish", "a"),
        ("wish", "b"),
        ("_redirect", "/thanks"),
        ("_event_id", "e1"),
        ("_honeypot", ""),
    ];
    let answer = submit(&world, &key, BROWSER, &fields).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()[header::LOCATION], "https://acme.example/thanks");
    wait::until_eq("the lead", SOON, 1, async || receiver.count()).await;
    let body: Value = serde_json::from_slice(&receiver.requests()[0].body).unwrap();
    assert_eq!(body, json!({"name": "Ada Löv", "wish": ["a", "b"]}));

    // A double click submits the form again.
    let again = submit(&world, &key, "application/json", &fields).await;
    assert_eq!(again.status(), StatusCode::ACCEPTED);
    assert_eq!(again.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    assert_eq!(again.json::<Value>().await.unwrap()["event_id"], "e1");
    // Without a redirect, and with one to another site, the browser shows a page.
    for redirect in ["", "https://evil.example/"] {
        let page = submit(&world, &key, BROWSER, &[("name", "Bob"), ("_redirect", redirect)]).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert!(page.headers()[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"));
        assert!(page.text().await.unwrap().contains("Thank you"));
    }
    wait::until_eq("the others", SOON, 3, async || receiver.count()).await;
    // A form with a filled honeypot gets the same answer and is not stored: only the form submitted after it arrives.
    let robot = submit(&world, &key, BROWSER, &[("name", "Robot"), ("_honeypot", "x"), ("_redirect", "/thanks")]).await;
    assert_eq!(robot.status(), StatusCode::SEE_OTHER);
    let robot = submit(&world, &key, "application/json", &[("name", "Robot"), ("_honeypot", "x")]).await;
    assert_eq!(robot.status(), StatusCode::ACCEPTED);
    let answer: Value = robot.json().await.unwrap();
    assert!(["event_id", "lead_id"].iter().all(|field| answer[field].is_string()), "{answer}");
    let part = |name, value| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let parts = [part("name", "Cleo"), part("_key", &key), part("_event_id", "e4"), "--b--\r\n".to_owned()].concat();
    let url = format!("{}/v1/forms/{ACCOUNT}/{INTERFACE}", world.http);
    let multipart = web().post(url).header(header::CONTENT_TYPE, "multipart/form-data; boundary=b").body(parts);
    let answer = multipart.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    world.delivery_is("e4", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.count(), 4);
}

#[tokio::test]
async fn form_keys_permit_only_forms_and_forms_need_them() {
    let world = World::start().await;
    let key = form_key(&world).await;
    let published = web().post(format!("{}/v1/leads", world.http)).bearer_auth(&key).body("{}").send().await.unwrap();
    assert_eq!(published.status(), StatusCode::FORBIDDEN);
    let mut access = api::access_service_client::AccessServiceClient::new(world.called_with(&key).await);
    let whoami = access.who_am_i(api::WhoAmIRequest::default()).await;
    assert_eq!(whoami.unwrap_err().code(), Code::PermissionDenied);

    for (scopes, status) in [(&[Scope::Publish][..], StatusCode::FORBIDDEN), (&[Scope::Admin], StatusCode::FORBIDDEN)] {
        let (other, _) = world.new_key(ACCOUNT, scopes).await;
        let refused = submit(&world, &other, BROWSER, &[("name", "Ada")]).await;
        assert_eq!(refused.status(), status, "{scopes:?}");
    }
    for wrong in ["", "ll_nothing_secret", "nonsense%0A"] {
        let refused = submit(&world, wrong, "application/json", &[("name", "Ada")]).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{wrong}");
        let error = refused.json::<Value>().await.unwrap()["error"].clone();
        let reason = if wrong.is_empty() { "KEY_MISSING" } else { "KEY_MALFORMED" };
        assert_eq!(
            (error["code"].as_str(), error["reason"].as_str()),
            (Some("unauthenticated"), Some(reason)),
            "{error}"
        );
        assert!(["message", "request_id"].iter().all(|field| error[field].as_str().is_some_and(|it| !it.is_empty())));
    }
    // A key of one account is not accepted for another account.
    let url = format!("{}/v1/forms/other/{INTERFACE}?key={key}", world.http);
    let refused = web().post(url).header(header::CONTENT_TYPE, URLENCODED).body("name=Ada").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);

    // A script gets code, reason and field as from /v1/leads.
    let url = format!("{}/v1/forms/{ACCOUNT}/nowhere?key={key}", world.http);
    let call = web().post(url).header(header::CONTENT_TYPE, URLENCODED).header(header::ACCEPT, "application/json");
    let error = call.body("name=Ada").send().await.unwrap().json::<Value>().await.unwrap()["error"].clone();
    assert_eq!(
        (error["reason"].as_str(), error["field"].as_str()),
        (Some("FIELD_INVALID"), Some("interface")),
        "{error}"
    );

    let with_more = api::CreateKeyRequest {
        account_id: ACCOUNT.into(),
        name: "form".into(),
        scopes: vec![Scope::Form.into(), Scope::Read.into()],
        ..api::CreateKeyRequest::default()
    };
    let platform_wide =
        api::CreateKeyRequest { account_id: String::new(), scopes: vec![Scope::Form.into()], ..with_more.clone() };
    for request in [with_more, platform_wide] {
        assert_eq!(world.access().create_key(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn forms_allow_cross_origin_scripts_within_a_rate() {
    let world = World::start_with(&["--form-rate", "2"], &[]).await;
    let key = form_key(&world).await;
    let url = format!("{}/v1/forms/{ACCOUNT}/{INTERFACE}?key={key}", world.http);
    let preflight =
        web().request(reqwest::Method::OPTIONS, &url).header(header::ORIGIN, "https://acme.example").send().await;
    let preflight = preflight.unwrap();
    assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
    assert_eq!(preflight.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    let mut statuses = vec![];
    for _ in 0..20 {
        let answer = submit(&world, &key, "application/json", &[("name", "Ada")]).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
            return;
        }
        statuses.push(answer.status());
    }
    panic!("all were accepted: {statuses:?}");
}
