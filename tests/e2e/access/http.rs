//! Publishing over HTTP with every kind of key.

use api::Scope;
use serde_json::json;

use super::{OTHER, expired_key, revoke, secret_of, two_accounts};
use crate::world::{ACCOUNT, INTERFACE, World, event_json, web};

async fn post(world: &World, authorization: &str, body: String) -> reqwest::Response {
    let mut request = web().post(format!("{}/v1/leads", world.http)).body(body);
    if !authorization.is_empty() {
        request = request.header("authorization", authorization);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn publishing_over_http_needs_a_key_for_it() {
    let world = two_accounts().await;
    let bearer = |key: &str| format!("Bearer {key}");
    let (revoked, id) = world.new_key("", &[Scope::Publish]).await;
    revoke(&world, &id).await;
    let of_account = async |account, scope| bearer(&world.new_key(account, &[scope]).await.0);
    let cases = [
        (String::new(), 401),
        ("Basic bGw6bGw=".into(), 401),
        (bearer("ll_rubbish"), 401),
        (bearer(&crypto::ApiKey::generate().unwrap().reveal()), 401),
        (bearer(&revoked), 401),
        (bearer(&expired_key(&world).await), 401),
        (of_account(ACCOUNT, Scope::Read).await, 403),
        (of_account(ACCOUNT, Scope::Operate).await, 403),
        (of_account(OTHER, Scope::Publish).await, 403),
        (of_account(OTHER, Scope::Admin).await, 403),
        (of_account(ACCOUNT, Scope::Publish).await, 202),
        (of_account(ACCOUNT, Scope::Admin).await, 202),
        (of_account("", Scope::Publish).await, 202),
        (of_account("", Scope::Read).await, 403),
    ];
    for (authorization, status) in &cases {
        let answer = post(&world, authorization, event_json("e1").to_string()).await;
        assert_eq!(answer.status().as_u16(), *status, "{authorization}");
        let challenge = answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(challenge.as_deref(), (*status == 401).then_some("Bearer"));
        let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(message.is_empty(), *status == 202, "{answer}");
        let secret = secret_of(authorization);
        assert!(secret.is_empty() || !message.contains(secret), "{answer}");
    }
    // A client that sends a large body before it reads gets the answer, too.
    let large = post(&world, "", "x".repeat(200 * 1024)).await;
    assert_eq!(large.status().as_u16(), 401);
    for open in ["healthz", "readyz"] {
        let answer = web().get(format!("{}/{open}", world.http)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{open}");
    }
}

#[tokio::test]
async fn one_event_for_another_account_refuses_the_whole_request() {
    let world = two_accounts().await;
    let (key, _) = world.new_key(ACCOUNT, &[Scope::Publish]).await;
    let foreign = json!({"account": OTHER, "interface": INTERFACE, "event_id": "e2", "payload": {}});
    let absent = json!({"account": "no-such-account", "interface": INTERFACE, "event_id": "e3", "payload": {}});
    for wrong in [foreign, absent] {
        let many = json!([event_json("e1"), &wrong]).to_string();
        let answer = post(&world, &format!("Bearer {key}"), many).await;
        assert_eq!(answer.status().as_u16(), 403);
        let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!((&answer["errors"][0]["index"], &answer["errors"][0]["field"]), (&json!(1), &json!("account")));
        let many = json!([{}, event_json("e1"), &wrong]).to_string();
        let answer = post(&world, &format!("Bearer {key}"), many).await;
        assert_eq!(answer.status().as_u16(), 403);
        let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(answer["error"]["code"], "permission_denied", "the code is that of the status: {answer}");
    }
    let (status, answer) = world.post(event_json("e1").to_string(), &[]).await;
    assert_eq!((status, &answer["duplicate"]), (202, &json!(false)), "nothing was stored");
}
