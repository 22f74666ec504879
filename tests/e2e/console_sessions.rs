//! The console over HTTP: logging in, calls in a session, the end of a session, and the content security policy.

mod clients;
mod oidc;
mod portals;

use api::{DeliveryStatus, Scope, access_service_client::AccessServiceClient};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use testkit::{Answer, Process, Receiver, wait};

use crate::{
    processes::{Alone, address},
    web::{Answered, sent},
    world::{ACCOUNT, Home, SOON, World, program, web},
};

/// A logged-in browser.
struct Browser {
    http: String,
    /// The `Cookie` header.
    cookie: String,
    csrf: String,
    /// The `Set-Cookie` headers.
    set: Vec<String>,
    session: Value,
}

fn log_in(http: &str, body: &Value) -> RequestBuilder {
    let request = web().post(format!("{http}/console/session"));
    request.header("content-type", "application/json").header("sec-fetch-site", "same-origin").body(body.to_string())
}

impl Browser {
    async fn with(http: &str, body: Value) -> Self {
        let answer = sent(log_in(http, &body)).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        Self::of(http, &answer)
    }

    fn of(http: &str, answer: &Answered) -> Self {
        let set = answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap().to_owned());
        let set: Vec<_> = set.collect();
        let cookie = set.last().unwrap().split(';').next().unwrap().to_owned();
        let session = answer.json();
        let csrf = session["csrf"].as_str().unwrap().to_owned();
        Self { http: http.into(), cookie, csrf, set, session }
    }

    async fn with_key(world: &World, key: &str) -> Self {
        Self::with(&world.http, json!({"api_key": key})).await
    }

    /// A Connect call with the cookie only.
    fn bare(&self, method: &str, message: &Value) -> RequestBuilder {
        let request = web().post(format!("{}/leadline.v1.{method}", self.http)).header("cookie", &self.cookie);
        request.header("content-type", "application/json").body(message.to_string())
    }

    async fn call(&self, method: &str, message: Value) -> Answered {
        let request = self.bare(method, &message).header("x-leadline-csrf", &self.csrf);
        sent(request.header("sec-fetch-site", "same-origin")).await
    }

    async fn shown(&self) -> Answered {
        sent(web().get(format!("{}/console/session", self.http)).header("cookie", &self.cookie)).await
    }

    fn log_out(&self) -> RequestBuilder {
        web().delete(format!("{}/console/session", self.http)).header("cookie", &self.cookie)
    }
}

fn token_of(url: &str) -> &str {
    url.split_once("/console/login#token=").unwrap_or_else(|| panic!("no link: {url}")).1
}

const WHO: &str = "AccessService/WhoAmI";

#[tokio::test]
async fn session_calls_succeed_and_are_recorded_with_the_person() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    let failed = world.delivery_is("e1", DeliveryStatus::Failed).await.delivery.unwrap().delivery_id;
    let (key, id) = world.new_key(ACCOUNT, &[Scope::Operate]).await;
    let secret = key.splitn(3, '_').nth(2).unwrap();

    let answer = sent(log_in(&world.http, &json!({"api_key": key, "person": "Ada Lovelace"}))).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    let browser = Browser::of(&world.http, &answer);
    let line = browser.set.last().unwrap();
    for part in ["leadline_session=", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(line.contains(part), "{part:?} is missing in {line}");
    }
    let seconds: u32 = line.split_once("; Max-Age=").unwrap().1.parse().unwrap();
    assert!((43_000..=43_200).contains(&seconds), "a session lasts for 12 hours, not {seconds} s");
    assert!(!line.contains("Secure"), "over http no browser would send it: {line}");
    let shown = json!({"id": id, "name": "of a test", "scopes": ["operate"], "account": ACCOUNT, "client": ""});
    assert_eq!((&browser.session["key"], &browser.session["person"]), (&shown, &json!("Ada Lovelace")));
    let again = browser.shown().await;
    assert_eq!((again.status, again.json()), (200, browser.session.clone()));

    let who = browser.call(WHO, json!({})).await;
    assert_eq!((who.status, &who.json()["keyId"]), (200, &json!(id)), "{}", who.json());
    receiver.answer(Answer::Status(200));
    // A session cannot name another person.
    let retry = json!({"deliveryId": failed, "requestedBy": "Charles"});
    let retried = browser.call("DeliveryService/RetryDelivery", retry).await;
    assert_eq!(retried.status, 200, "{}", retried.json());
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let by = format!("key {id} (of a test) for Ada Lovelace");
    let log = world.log("e1").await;
    assert!(log.iter().any(|(_, detail)| detail.contains(&by)), "{log:?}");
    let denied = browser.call("AccessService/ListKeys", json!({"accountId": ACCOUNT})).await;
    assert_eq!((denied.status, &denied.json()["code"]), (403, &json!("permission_denied")));

    let everything = [answer, again, who, retried, denied].map(|answer| {
        let headers = format!("{:?}", answer.headers);
        headers + &String::from_utf8_lossy(&answer.body)
    });
    assert!(!everything.concat().contains(secret), "an answer has the secret of the key");
    assert!(!world.process.output().contains(secret));
    assert_eq!(sent(browser.log_out()).await.status, 403, "without the header");
    let gone = sent(browser.log_out().header("x-leadline-csrf", &browser.csrf)).await;
    assert_eq!(gone.status, 204);
    assert!(
        gone.header("set-cookie").contains("leadline_session=; ") && gone.header("set-cookie").contains("Max-Age=0")
    );
}

#[tokio::test]
async fn session_calls_from_outside_the_console_are_refused() {
    let world = World::start().await;
    let (key, key_id) = world.new_key(ACCOUNT, &[Scope::Read]).await;
    let browser = Browser::with_key(&world, &key).await;
    let other = Browser::with_key(&world, &world.key).await;
    let call = || browser.bare(WHO, &json!({}));
    let good = || call().header("x-leadline-csrf", &browser.csrf);
    let tampered = |cookie: &str, at: usize| {
        let mut bytes = cookie.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let with_cookie = |cookie: String| {
        let request = web().post(format!("{}/leadline.v1.{WHO}", world.http)).header("cookie", cookie);
        request.header("content-type", "application/json").header("x-leadline-csrf", &browser.csrf).body("{}")
    };
    let last = browser.cookie.len() - 4;
    let cases = [
        ("good", good(), 200),
        ("from the address bar", good().header("sec-fetch-site", "none"), 200),
        ("without the header", call(), 403),
        ("with another header", call().header("x-leadline-csrf", "AAAA"), 403),
        ("with the header of another session", call().header("x-leadline-csrf", &other.csrf), 403),
        ("from another site", good().header("sec-fetch-site", "cross-site"), 403),
        ("from a neighbour", good().header("sec-fetch-site", "same-site"), 403),
        ("with a changed code", with_cookie(tampered(&browser.cookie, 20)), 401),
        ("with a changed content", with_cookie(tampered(&browser.cookie, last)), 401),
        ("with rubbish", with_cookie("leadline_session=rubbish".into()), 401),
        ("with the header as cookie", with_cookie(format!("leadline_session={}", browser.csrf)), 401),
        ("with the name of https", with_cookie(browser.cookie.replace("leadline_", "__Host-leadline_")), 401),
        ("with a key", call().bearer_auth(&key), 200),
        ("with a wrong key and a good session", good().bearer_auth("ll_rubbish"), 401),
    ];
    for (what, request, status) in cases {
        let answer = sent(request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.json());
        let message = answer.json().to_string();
        assert!(status == 200 || message.contains("message"), "{what}: {message}");
    }
    // GET calls need the header, too.
    let get = format!("{}/leadline.v1.{WHO}?encoding=json&message=%7B%7D", world.http);
    assert_eq!(sent(web().get(&get).header("cookie", &browser.cookie)).await.status, 403);
    let get = web().get(&get).header("cookie", &browser.cookie).header("x-leadline-csrf", &browser.csrf);
    assert_eq!(sent(get).await.status, 200);

    world.access().revoke_key(api::RevokeKeyRequest { key_id }).await.unwrap();
    let ended = browser.call(WHO, json!({})).await;
    assert_eq!((ended.status, browser.shown().await.status), (401, 401));
    assert!(ended.json()["message"].as_str().unwrap().contains("revoked"), "{}", ended.json());
    assert_eq!(other.call(WHO, json!({})).await.status, 200);
}

#[tokio::test]
async fn session_ends_at_its_expiry() {
    let world = World::start().await;
    let end = std::time::SystemTime::now() + std::time::Duration::from_secs(3);
    let request = api::CreateKeyRequest {
        account_id: ACCOUNT.into(),
        scopes: vec![Scope::Read.into()],
        expires_at: Some(end.into()),
        ..api::CreateKeyRequest::default()
    };
    let key = world.access().create_key(request).await.unwrap().into_inner().secret;
    let browser = Browser::with_key(&world, &key).await;
    wait::until("the end of the session", SOON, async || {
        let answer = browser.shown().await;
        let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
        if answer.status == 401 && message.contains("session has ended") { Ok(()) } else { Err(answer.json()) }
    })
    .await;
    assert_eq!(browser.call(WHO, json!({})).await.status, 401);
    let gone = sent(browser.log_out()).await;
    assert_eq!(gone.status, 204, "an ended session has nothing to protect");
}

#[tokio::test]
async fn log_in_needs_a_valid_key_and_the_same_site() {
    let world = World::start().await;
    let (revoked, key_id) = world.new_key(ACCOUNT, &[Scope::Read]).await;
    world.access().revoke_key(api::RevokeKeyRequest { key_id }).await.unwrap();
    let good = json!({"api_key": world.key});
    let form = web().post(format!("{}/console/session", world.http)).body(good.to_string());
    let cases = [
        (form, 415),
        (log_in(&world.http, &good).header("sec-fetch-site", "cross-site"), 403),
        (log_in(&world.http, &json!({"api_key": world.key, "token": "x"})), 400),
        (log_in(&world.http, &json!({"key": world.key})), 400),
        (log_in(&world.http, &json!({"api_key": world.key, "person": "two\nlines"})), 400),
        (log_in(&world.http, &json!({"api_key": world.key, "person": "x".repeat(101)})), 400),
        (log_in(&world.http, &json!({"api_key": "x".repeat(20_000)})), 400),
        (log_in(&world.http, &json!({"api_key": revoked})), 401),
        (log_in(&world.http, &json!({"api_key": crypto::ApiKey::generate().unwrap().reveal()})), 401),
        (log_in(&world.http, &json!({"token": "rubbish"})), 401),
        (log_in(&world.http, &good), 200),
    ];
    for (number, (request, status)) in cases.into_iter().enumerate() {
        let answer = sent(request).await;
        assert_eq!(answer.status, status, "case {number}: {}", answer.json());
        assert_eq!(answer.headers.contains_key("set-cookie"), status == 200, "case {number}");
    }
    assert_eq!(sent(web().get(format!("{}/console/session", world.http))).await.status, 401);
    // Eight of these failed and were counted; a successful log-in is not.
    for _ in 0..20 {
        if sent(log_in(&world.http, &json!({"api_key": revoked}))).await.status == 429 {
            break;
        }
    }
    let limited = sent(log_in(&world.http, &good)).await;
    assert_eq!((limited.status, &limited.json()["code"]), (429, &json!("resource_exhausted")));
    let seconds: u64 = limited.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn link_logs_in_once_and_sessions_survive_a_restart() {
    let world = World::start().await;
    let line = world.process.wait_line("console: ", SOON).await;
    let link = line.trim().strip_prefix("console: ").unwrap().to_owned();
    assert!(link.starts_with(&format!("{}/console/login#token=", world.http)), "{link}");
    let token = token_of(&link).to_owned();
    let browser = Browser::with(&world.http, json!({"token": token})).await;
    assert_eq!(browser.session["key"]["name"], "admin.key");
    let used = sent(log_in(&world.http, &json!({"token": token}))).await;
    assert_eq!(used.status, 401);
    assert!(used.json()["message"].as_str().unwrap().contains("used before"), "{}", used.json());
    // A cookie is not accepted as a token, nor a token as a cookie.
    let cookie = browser.cookie.split_once('=').unwrap().1;
    assert_eq!(sent(log_in(&world.http, &json!({"token": cookie}))).await.status, 401);
    let as_cookie = format!("leadline_session={token}");
    let shown = web().get(format!("{}/console/session", world.http)).header("cookie", as_cookie);
    assert_eq!(sent(shown).await.status, 401);

    let data = world.home.data();
    let args = ["console", "--person", "Ada", "--grpc-url", &world.grpc, "--data-dir", data.to_str().unwrap()];
    let printed = Process::start("console", program(), args, std::iter::empty::<(&str, &str)>());
    let link = printed.wait_line("#token=", SOON).await;
    let ada = Browser::with(&world.http, json!({"token": token_of(link.trim())})).await;
    assert_eq!(ada.session["person"], "Ada");

    world.process.terminate();
    world.process.wait_exit(SOON).await;
    let world = world.again(&[]).await;
    let (browser, ada) = (Browser { http: world.http.clone(), ..browser }, Browser { http: world.http.clone(), ..ada });
    assert_eq!((browser.call(WHO, json!({})).await.status, ada.call(WHO, json!({})).await.status), (200, 200));
    let used = sent(log_in(&world.http, &json!({"token": token}))).await;
    assert!(used.json()["message"].as_str().unwrap().contains("used before"), "{}", used.json());
}

#[tokio::test]
async fn sessions_and_used_links_are_shared_by_query_processes() {
    let database = testkit::postgres::database().await;
    let alone = Alone::start(database).await;
    let public = [("LEADLINE_PUBLIC_URL", "http://leads.example/")];
    let (one, two) = (alone.query(Home::new(), &public).await, alone.query(Home::new(), &public).await);
    let (http_one, http_two) = (address(&one.process, "http=").await, address(&two.process, "http=").await);
    let (key, key_id) = one.new_key("", &[Scope::Read]).await;
    let channel = one.called_with(&key).await;
    let mut access = AccessServiceClient::new(channel);
    let link = access.create_console_link(api::CreateConsoleLinkRequest::default()).await.unwrap();
    let url = link.into_inner().url;
    assert!(url.starts_with("http://leads.example/console/login#token="), "{url}");
    let token = json!({"token": token_of(&url)});
    let browser = Browser::with(&http_one, token.clone()).await;
    assert_eq!(sent(log_in(&http_two, &token)).await.status, 401);
    let there = Browser { http: http_two.clone(), ..browser };
    assert_eq!((there.call(WHO, json!({})).await.status, there.shown().await.status), (200, 200));
    two.access().revoke_key(api::RevokeKeyRequest { key_id }).await.unwrap();
    let here = Browser { http: http_one, ..there };
    assert_eq!((here.call(WHO, json!({})).await.status, here.shown().await.status), (401, 401));
}

#[tokio::test]
async fn console_pages_have_a_strict_policy() {
    let world = World::start().await;
    let get = |path: &str| web().get(format!("{}{path}", world.http));
    let index = sent(get("/console")).await;
    assert_eq!((index.status, index.header("content-type")), (200, "text/html; charset=utf-8"));
    for path in ["/console/", "/console/deliveries/0198b2c4", "/console/login", "/console/index.html"] {
        let page = sent(get(path)).await;
        assert_eq!((page.status, page.header("cache-control")), (200, "no-cache"), "{path}");
        assert_eq!(page.body, index.body, "{path}");
    }
    let policy = index.header("content-security-policy");
    for part in ["default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let headers = [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")];
    for (name, value) in headers {
        assert_eq!(index.header(name), value);
        assert_eq!(sent(get("/console/session")).await.header(name), value);
    }
    let known = sent(get("/console").header("if-none-match", index.header("etag"))).await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    let missing = sent(get("/console/assets/index-0000.js")).await;
    assert_eq!(missing.status, 404);
    let posted = sent(web().post(format!("{}/console/deliveries", world.http))).await;
    assert_eq!(posted.status, 405);

    let page = String::from_utf8(index.body.clone()).unwrap();
    let hashed: Vec<_> = page.split('"').filter(|part| part.starts_with("/console/assets/")).collect();
    assert!(hashed.iter().any(|path| path.ends_with(".js")), "{page}");
    for path in hashed {
        let plain = sent(get(path)).await;
        assert_eq!((plain.status, plain.header("cache-control")), (200, "public, max-age=31536000, immutable"));
        assert_ne!(plain.header("content-type"), "application/octet-stream", "{path}");
    }
    let gzip = sent(get("/console").header("accept-encoding", "gzip")).await;
    assert_eq!((gzip.header("content-encoding"), gzip.header("vary")), ("gzip", "accept-encoding"));
    let mut unpacked = vec![];
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&gzip.body[..]), &mut unpacked).unwrap();
    assert_eq!(unpacked, index.body);
}
