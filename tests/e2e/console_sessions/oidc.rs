//! Log-in at an identity provider: which people get which rights, who is refused, and what the browser has to send.

use std::{fs, time::Duration};

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use testkit::{IdentityProvider, free_port, wait};
use url::Url;

use super::{Browser, WHO, log_in};
use crate::{
    web::{Answered, sent},
    world::{ACCOUNT, Home, SOON, World, web},
};

const CLIENT: &str = "leadline console";
const SECRET: &str = "a secret: with signs";
const RULES: &str = "crm/support=operate+payload@acme,admins=admin";

fn ada(groups: &[&str]) -> Value {
    json!({"sub": "8a1f", "email": "ada@acme.example", "email_verified": true, "name": "Ada", "groups": groups})
}

struct Installed {
    world: World,
    provider: IdentityProvider,
}

async fn installed(groups: &[&str]) -> Installed {
    let provider = IdentityProvider::start(CLIENT, SECRET, ada(groups)).await;
    let issuer = provider.issuer();
    let args = ["--oidc-issuer", &issuer, "--oidc-client-id", CLIENT, "--oidc-groups", RULES];
    let world = World::start_with(&args, &[("LEADLINE_OIDC_CLIENT_SECRET", SECRET)]).await;
    Installed { world, provider }
}

/// A log-in that waits at the provider.
struct Begun {
    /// The header with which the browser sends its cookie.
    cookie: String,
    /// Where the provider sends the browser back.
    back: String,
}

/// A request of a browser that comes from another site.
fn from_elsewhere(url: &str) -> RequestBuilder {
    web().get(url).header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "navigate")
}

fn location(answer: &Answered) -> &str {
    assert_eq!(answer.status, 303, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.header("location")
}

async fn begin(http: &str, to: &str) -> Begun {
    let url = Url::parse_with_params(&format!("{http}/console/oidc/log-in"), [("to", to)]).unwrap();
    let begun = sent(web().get(url)).await;
    let set = begun.header("set-cookie").to_owned();
    for part in ["leadline_log_in=", "; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=600"] {
        assert!(set.contains(part), "{part:?} is missing in {set}");
    }
    let at_provider = sent(web().get(location(&begun))).await;
    let back = location_of_provider(&at_provider);
    Begun { cookie: set.split(';').next().unwrap().to_owned(), back }
}

fn location_of_provider(answer: &Answered) -> String {
    assert_eq!(answer.status, 303, "{}", String::from_utf8_lossy(&answer.body));
    answer.header("location").to_owned()
}

impl Begun {
    /// The address to which Leadline redirects the browser after its return.
    async fn ends_at(&self) -> String {
        let answer = sent(from_elsewhere(&self.back).header("cookie", &self.cookie)).await;
        assert!(answer.header("set-cookie").contains("leadline_log_in=; "), "the cookie of the log-in stays");
        location(&answer).to_owned()
    }
}

impl Installed {
    async fn tries(&self) -> String {
        begin(&self.world.http, "/console/").await.ends_at().await
    }

    async fn logs_in(&self) -> Browser {
        let end = self.tries().await;
        let token = end.strip_prefix("/console/#token=").unwrap_or_else(|| panic!("refused: {end}"));
        Browser::with(&self.world.http, json!({"token": token})).await
    }

    /// Fails to log in, for the reason that the log names.
    async fn is_refused(&self, word: &str, why: &str) {
        assert_eq!(self.tries().await, format!("/console/login#refused={word}"), "{why}");
        let output = self.world.process.output();
        assert!(output.contains(why), "{why:?} is not in the log:\n{output}");
    }
}

#[tokio::test]
async fn provider_log_in_names_the_person_in_the_audit_log() {
    let installed = installed(&["staff", "crm/support"]).await;
    let (http, world) = (&installed.world.http, &installed.world);
    let offered = sent(web().get(format!("{http}/console/oidc"))).await.json();
    assert_eq!(offered, json!({"name": "127.0.0.1"}));
    let begun = begin(http, "/console/deliveries?status=failed").await;
    let end = begun.ends_at().await;
    let token = end.strip_prefix("/console/deliveries?status=failed#token=").unwrap_or_else(|| panic!("{end}"));
    let answer = sent(log_in(http, &json!({"token": token, "person": "Mallory"}))).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let ada = Browser::of(http, &answer);
    assert!(ada.set.last().unwrap().contains("; HttpOnly; SameSite=Strict; "), "{:?}", ada.set);
    let key = &ada.session["key"];
    assert_eq!((&key["name"], &key["account"]), (&json!("ada@acme.example"), &json!(ACCOUNT)));
    assert_eq!((&key["scopes"], &ada.session["person"]), (&json!(["operate", "payload"]), &json!("")));
    assert_eq!(sent(log_in(http, &json!({"token": token}))).await.status, 401, "the link was used");

    let id = world.destination("http://127.0.0.1:9/").await;
    let disabled = json!({"accountId": ACCOUNT, "destinationId": id});
    assert_eq!(
        ada.bare("RegistryService/DisableDestination", &disabled).send().await.unwrap().status(),
        403,
        "no CSRF"
    );
    let disabled = ada.call("RegistryService/DisableDestination", disabled).await;
    assert_eq!(disabled.status, 200, "{}", disabled.json());
    let log = wait::until("the name of the person in the audit log", SOON, async || {
        let request = api::ListAuditLogRequest { account_id: ACCOUNT.into(), ..api::ListAuditLogRequest::default() };
        let entries = world.audit().list_audit_log(request).await.unwrap().into_inner().entries;
        entries.into_iter().find(|entry| entry.action == "disabled")
    })
    .await;
    assert_eq!(log.by, "person 8a1f (ada@acme.example)");
    let refused =
        ada.call("RegistryService/DeleteDestination", json!({"accountId": ACCOUNT, "destinationId": id})).await;
    assert_eq!(refused.status, 403, "{}", refused.json());
    let other = ada.call("RegistryService/ListInterfaces", json!({"accountId": "other"})).await;
    assert_eq!(other.status, 403, "{}", other.json());

    // A portal that a person creates has no more rights than they have, and ends with their session.
    let portal = json!({"accountId": ACCOUNT, "scopes": ["SCOPE_READ"]});
    let portal = ada.call("AccessService/CreatePortalSession", portal).await.json();
    let token = portal["url"].as_str().unwrap().split_once("#token=").unwrap().1;
    let portal = Browser::with(http, json!({"token": token})).await;
    assert_eq!(portal.session["person"], json!(format!("the portal of {ACCOUNT}")));
    assert_eq!(portal.session["key"]["scopes"], json!(["read"]));
    let output = installed.world.process.output();
    assert!(!output.contains(SECRET) && !output.contains("code-number-") && !output.contains(token));
}

#[tokio::test]
async fn groups_decide_rights_and_strangers_are_refused() {
    let installed = installed(&["strangers"]).await;
    installed.is_refused("group", "no rule of --oidc-groups names one of the person's groups").await;
    installed.provider.says(json!({"sub": "8a1f"}));
    installed.is_refused("group", "no rule of --oidc-groups").await;
    // A provider with one group may write it as a text.
    installed
        .provider
        .says(json!({"sub": "77", "groups": "admins", "preferred_username": "root", "email": "x@y.example",
        "email_verified": false}));
    let admin = installed.logs_in().await;
    let key = &admin.session["key"];
    assert_eq!((&key["account"], &key["scopes"], &key["name"]), (&json!(""), &json!(["admin"]), &json!("root")));
    installed.provider.says(ada(&["admins", "crm/support"]));
    // The first matching rule decides the account.
    assert_eq!(installed.logs_in().await.session["key"]["account"], json!(ACCOUNT));

    let more = json!({"name": "of an administrator", "scopes": ["SCOPE_READ"]});
    assert_eq!(admin.call("AccessService/CreateKey", more).await.status, 200);
    // Without the rule, sessions of the group end.
    let Installed { world, provider } = installed;
    world.process.terminate();
    world.process.wait_exit(SOON).await;
    let (issuer, rules) = (provider.issuer(), "crm/support=read@acme");
    let args = ["--oidc-issuer", &issuer, "--oidc-client-id", CLIENT, "--oidc-groups", rules];
    let world = world.again(&args).await;
    let cookie = admin.cookie.clone();
    let shown = sent(web().get(format!("{}/console/session", world.http)).header("cookie", cookie)).await;
    assert_eq!((shown.status, &shown.json()["code"]), (401, &json!("unauthenticated")));
}

#[tokio::test]
async fn wrong_id_tokens_are_refused() {
    let installed = installed(&["admins"]).await;
    let provider = &installed.provider;
    provider.tampers(|claims| claims["nonce"] = "another".into());
    installed.is_refused("token", "its nonce is that of another log-in").await;
    provider.tampers(|claims| {
        claims.as_object_mut().unwrap().remove("nonce");
    });
    installed.is_refused("token", "its nonce is that of another log-in").await;
    provider.tampers(|claims| claims["exp"] = (claims["iat"].as_u64().unwrap() - 3_600).into());
    installed.is_refused("token", "it has expired").await;
    provider.tampers(|claims| claims["aud"] = "another client".into());
    installed.is_refused("token", "it is for another client").await;
    provider.tampers(|claims| claims["aud"] = json!([CLIENT, "another client"]));
    installed.is_refused("token", "it is for several clients").await;
    provider.tampers(|claims| claims["azp"] = "another client".into());
    installed.is_refused("token", "it was issued to another client").await;
    provider.tampers(|claims| claims["iss"] = "https://another.example".into());
    installed.is_refused("token", "it is of another issuer").await;
    provider.tampers(|claims| claims["sub"] = "".into());
    installed.is_refused("token", "its subject is not").await;
    for _ in 0..2 {
        installed.is_refused("token", "its subject is not").await;
    }
    // An address may fail ten times a minute.
    provider.is_honest();
    installed.is_refused("often", "too many log-ins from this address failed").await;
}

#[tokio::test]
async fn provider_keys_rotate_and_unknown_keys_sign_nothing() {
    let installed = installed(&["admins"]).await;
    installed.logs_in().await;
    let count = |path: &str| installed.provider.requests().iter().filter(|request| request.path == path).count();
    installed.logs_in().await;
    assert_eq!(count("/keys"), 1, "known keys are not asked for again");
    installed.provider.rotate_to_es256("second");
    let browser = installed.logs_in().await;
    assert_eq!((count("/keys"), browser.call(WHO, json!({})).await.status), (2, 200));
    installed.provider.signs_with_another_key();
    installed.is_refused("token", "none of the keys of the provider has signed it").await;
}

#[tokio::test]
async fn log_in_is_finished_once_by_its_own_browser() {
    let installed = installed(&["admins"]).await;
    let http = &installed.world.http;
    let (first, second) = (begin(http, "/console/").await, begin(http, "/console/").await);
    let refused = |word: &str| format!("/console/login#refused={word}");
    let bare = sent(from_elsewhere(&first.back)).await;
    assert_eq!(location(&bare), refused("state"), "another browser");
    let crossed = Begun { cookie: second.cookie.clone(), back: first.back.clone() };
    assert_eq!(crossed.ends_at().await, refused("state"), "a log-in that another one began");
    let forged = Begun { cookie: format!("{}x", first.cookie), back: first.back.clone() };
    assert_eq!(forged.ends_at().await, refused("state"));
    let mixed =
        Begun { cookie: first.cookie.clone(), back: first.back.replace("iss=", "iss=https%3A%2F%2Fevil.example%2F") };
    assert_eq!(mixed.ends_at().await, refused("state"), "another provider");
    assert!(first.ends_at().await.starts_with("/console/#token="));
    assert_eq!(first.ends_at().await, refused("used"), "the same code and state again");
    // The code of another log-in does not fit the verifier of this one.
    let code = |back: &str| back.split_once("code=").unwrap().1.split('&').next().unwrap().to_owned();
    let third = begin(http, "/console/").await;
    let swapped = third.back.replace(&code(&third.back), &code(&second.back));
    assert_eq!(Begun { cookie: third.cookie, back: swapped }.ends_at().await, refused("used"));
    installed.provider.denies(true);
    installed.is_refused("denied", "access_denied").await;
}

#[tokio::test]
async fn log_in_returns_here_and_a_dead_provider_is_named() {
    let installed = installed(&["admins"]).await;
    let http = &installed.world.http;
    for to in [
        "https://evil.example/console/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/console/../docs",
    ] {
        let end = begin(http, to).await.ends_at().await;
        assert!(end.starts_with("/console/#token="), "{to:?} leads to {end}");
    }
    let begun = begin(http, "/console/").await;
    installed.provider.fails(Some(503));
    assert_eq!(begun.ends_at().await, "/console/login#refused=provider");
    let output = installed.world.process.output();
    assert!(output.contains("the request for the ID token was answered with 503"), "{output}");
    installed.provider.fails(None);
    installed.logs_in().await;

    let closed = format!("http://127.0.0.1:{}", free_port());
    let args = ["--oidc-issuer", &closed, "--oidc-client-id", CLIENT, "--oidc-groups", RULES];
    let away = World::start_with(&args, &[]).await;
    let answer = sent(web().get(format!("{}/console/oidc/log-in", away.http))).await;
    assert_eq!(location(&answer), "/console/login#refused=provider");
    Browser::with_key(&away, &away.key).await;
}

#[tokio::test]
async fn wrong_provider_settings_prevent_the_start() {
    let home = Home::new();
    let secret = home.data().with_file_name("secret.txt");
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let all = |issuer, rules| vec!["--oidc-issuer", issuer, "--oidc-client-id", CLIENT, "--oidc-groups", rules];
    let wrong = [
        (vec!["--oidc-issuer", "https://id.example"], "give all three"),
        (all("http://id.example", RULES), "is not an https URL"),
        (all("https://id.example?x=1", RULES), "is not an https URL"),
        (all("https://id.example", "admins=everything"), "is not GROUP=SCOPE+SCOPE"),
        (all("https://id.example", "admins=form@acme"), "is not GROUP=SCOPE+SCOPE"),
        ([all("https://id.example", RULES), vec!["--oidc-client-secret-file", "/nowhere"]].concat(), "/nowhere"),
        ([all("https://id.example", RULES), vec!["--oidc-session-lifetime", "13h"]].concat(), "1m to 12h"),
    ];
    for (args, text) in wrong {
        let process = home.up(&args, &[]);
        let status = process.wait_exit(Duration::from_secs(60)).await;
        assert!(!status.success() && process.output().contains(text), "{args:?}: {}", process.output());
    }
    let provider = IdentityProvider::start(CLIENT, SECRET, ada(&["admins"])).await;
    let issuer = provider.issuer();
    let args = [all(&issuer, RULES), vec!["--oidc-client-secret-file", secret.to_str().unwrap()]].concat();
    let process = home.up(&args, &[]);
    let world = World::attach(home, process).await;
    Installed { world, provider }.logs_in().await;
}
