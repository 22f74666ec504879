//! Portal sessions: the console for the people of an account or of one of its clients.

use api::{Scope, access_service_client::AccessServiceClient};
use serde_json::json;
use tonic::Code;

use super::{Browser, WHO, log_in, token_of};
use crate::{
    web::sent,
    world::{ACCOUNT, World},
};

fn portal(scopes: &[Scope]) -> api::CreatePortalSessionRequest {
    api::CreatePortalSessionRequest {
        account_id: ACCOUNT.into(),
        scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        person: "Grace".into(),
        ..api::CreatePortalSessionRequest::default()
    }
}

#[tokio::test]
async fn portal_has_the_bounds_of_its_key_and_ends_with_it() {
    let world = World::start().await;
    let (key, key_id) = world.new_key("", &[Scope::Operate]).await;
    let mut access = AccessServiceClient::new(world.called_with(&key).await);
    let mut refused = async |request, code| {
        let status = access.create_portal_session(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
    };
    refused(portal(&[Scope::Admin]), Code::PermissionDenied).await;
    refused(portal(&[Scope::Read, Scope::Publish]), Code::PermissionDenied).await;
    refused(portal(&[]), Code::InvalidArgument).await;
    refused(api::CreatePortalSessionRequest { client_id: "nobody".into(), ..portal(&[Scope::Read]) }, Code::NotFound)
        .await;
    let long = Some(prost_types::Duration { seconds: 43_201, nanos: 0 });
    refused(api::CreatePortalSessionRequest { lifetime: long, ..portal(&[Scope::Read]) }, Code::InvalidArgument).await;
    refused(
        api::CreatePortalSessionRequest { account_id: String::new(), ..portal(&[Scope::Read]) },
        Code::InvalidArgument,
    )
    .await;

    let lifetime = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let request = api::CreatePortalSessionRequest { lifetime, ..portal(&[Scope::Operate]) };
    let link = access.create_portal_session(request).await.unwrap().into_inner();
    let token = json!({"token": token_of(&link.url), "person": "Mallory"});
    let browser = Browser::with(&world.http, token.clone()).await;
    let seconds: u32 = browser.set.last().unwrap().split_once("Max-Age=").unwrap().1.parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    let expected = json!({"id": key_id, "name": "of a test", "scopes": ["operate"], "account": ACCOUNT, "client": ""});
    assert_eq!(browser.session["key"], expected);
    assert_eq!((&browser.session["person"], &browser.session["portal"]), (&json!("Grace"), &json!(true)));
    assert_eq!(sent(log_in(&world.http, &token)).await.status, 401, "used");

    assert_eq!(browser.call(WHO, json!({})).await.json()["accountId"], ACCOUNT);
    let others = browser.call("RegistryService/ListInterfaces", json!({"accountId": "other"})).await;
    assert_eq!((others.status, &others.json()["code"]), (403, &json!("permission_denied")));
    let more = json!({"accountId": ACCOUNT, "scopes": ["SCOPE_READ"]});
    let more = browser.call("AccessService/CreatePortalSession", more).await;
    assert_eq!(more.status, 403, "{}", more.json());
    // A further link of the portal has the same bounds, and the same end.
    let further = browser.call("AccessService/CreateConsoleLink", json!({"person": "Mallory"})).await.json();
    assert_eq!(further["sessionExpiresAt"], browser.session["expires_at"], "{further}");
    let further = Browser::with(&world.http, json!({"token": token_of(further["url"].as_str().unwrap())})).await;
    assert_eq!((&further.session["key"], &further.session["person"]), (&expected, &json!("Grace")));

    let mut of_admin = AccessServiceClient::new(world.called_with(&world.key).await);
    let link = of_admin.create_portal_session(portal(&[Scope::Admin])).await.unwrap().into_inner();
    let admin = Browser::with(&world.http, json!({"token": token_of(&link.url)})).await;
    let key = json!({"accountId": ACCOUNT, "name": "mine", "scopes": ["SCOPE_READ"]});
    let key = admin.call("AccessService/CreateKey", key).await;
    assert_eq!(key.status, 403, "a key would outlive the portal: {}", key.json());

    let unused = access.create_portal_session(portal(&[Scope::Read])).await.unwrap().into_inner().url;
    world.access().revoke_key(api::RevokeKeyRequest { key_id }).await.unwrap();
    for ended in [&browser, &further] {
        assert_eq!((ended.call(WHO, json!({})).await.status, ended.shown().await.status), (401, 401));
    }
    assert_eq!(sent(log_in(&world.http, &json!({"token": token_of(&unused)}))).await.status, 401);
    assert_eq!(admin.call(WHO, json!({})).await.status, 200);
}

#[tokio::test]
async fn only_named_origins_may_frame_a_portal() {
    let args = ["--console-frame-ancestors", "https://portal.example,https://shop.example"];
    let world = World::start_with(&args, &[("LEADLINE_PUBLIC_URL", "https://leads.example")]).await;
    let page = sent(crate::world::web().get(format!("{}/console/", world.http))).await;
    let policy = page.header("content-security-policy");
    assert!(policy.ends_with("frame-ancestors https://portal.example https://shop.example"), "{policy}");

    let link = world.access().create_portal_session(portal(&[Scope::Read])).await.unwrap().into_inner();
    assert!(link.url.starts_with("https://leads.example/console/login#token="), "{}", link.url);
    let framed = Browser::with(&world.http, json!({"token": token_of(&link.url)})).await;
    let line = framed.set.last().unwrap();
    for part in ["__Host-leadline_session=", "; HttpOnly", "; SameSite=None; Secure; Partitioned", "; Path=/;"] {
        assert!(line.contains(part), "{part:?} is missing in {line}");
    }
    assert_eq!(framed.call(WHO, json!({})).await.status, 200);
    let own = Browser::with_key(&world, &world.key).await;
    let line = own.set.last().unwrap();
    assert!(line.contains("; SameSite=Strict; Secure; ") && !line.contains("Partitioned"), "{line}");
    assert_eq!(own.set.len(), 3, "it removes both earlier cookies: {:?}", own.set);
}

/// The smallest PNG image there is.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB`\x82";

#[tokio::test]
async fn portal_shows_color_and_logo_of_its_account_but_no_svg() {
    let world = World::start().await;
    let update = async |color: &str, logo: &[u8]| {
        let account = api::Account {
            account_id: ACCOUNT.into(),
            portal_color: color.into(),
            portal_logo: logo.to_vec(),
            ..api::Account::default()
        };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["portal_color".into(), "portal_logo".into()] });
        world.registry().update_account(api::UpdateAccountRequest { account: Some(account), update_mask }).await
    };
    let svg = br#"<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>"#;
    let large = [PNG, &vec![0; 32 * 1024]].concat();
    for (color, logo, text) in [
        ("#1f5fbf", &svg[..], "portal_logo: is not a PNG, JPEG or WebP image"),
        ("#1f5fbf", b"GIF89a", "portal_logo: is not a PNG, JPEG or WebP image"),
        ("#1f5fbf", &large, "portal_logo: has more than 32768 bytes"),
        ("red; } body { display: none", PNG, "is not a colour such as #1f5fbf"),
    ] {
        let refused = update(color, logo).await.unwrap_err();
        assert!(refused.code() == Code::InvalidArgument && refused.message().contains(text), "{refused:?}");
    }
    let updated = update("#1F5FBF", PNG).await.unwrap().into_inner();
    assert_eq!((updated.portal_color.as_str(), updated.portal_logo.as_slice()), ("#1f5fbf", PNG));

    let mut access = world.access();
    let link = access.create_portal_session(portal(&[Scope::Read])).await.unwrap().into_inner();
    let browser = Browser::with(&world.http, json!({"token": token_of(&link.url)})).await;
    let look = &browser.session["look"];
    assert_eq!(look["color"], "#1f5fbf");
    let logo = look["logo"].as_str().unwrap();
    assert!(logo.starts_with("data:image/png;base64,iVBORw0KGgo"), "{logo}");
    let own = Browser::with_key(&world, &world.key).await;
    assert!(own.session["look"].is_null(), "{}", own.session);
    let page = sent(crate::world::web().get(format!("{}/console/", world.http))).await;
    assert!(page.header("content-security-policy").starts_with("default-src 'self'; img-src 'self' data:; "));
}
