//! Configuration verbs: accounts and their members, destinations, tokens and keys.

use std::fs;

use api::DeliveryStatus;
use serde_json::json;
use testkit::{Answer, Receiver, wait};

use crate::world::{ACCOUNT, INTERFACE, SOON, World};

#[tokio::test]
async fn accounts_and_their_members_can_be_configured() {
    let world = World::start().await;
    let made =
        world.run(&["accounts", "create", "north", "--notify", "a@b.example,c@d.example", "--json"]).await.well();
    assert_eq!(made.json()["notification_emails"], json!(["a@b.example", "c@d.example"]));
    world.run(&["accounts", "update", "north", "--name", "North", "--notify", ""]).await.well();
    let shown = world.run(&["accounts", "show", "north", "--json"]).await.well().json();
    assert_eq!((&shown["name"], &shown["notification_emails"]), (&json!("North"), &json!(null)));
    let listed = world.run(&["accounts", "list"]).await.well();
    assert_eq!(listed.rows().iter().map(|row| row[0]).collect::<Vec<_>>(), [ACCOUNT, "north"]);
    assert_eq!(world.run(&["accounts", "list", "--json"]).await.well().json_lines().len(), 2);

    let of_north = ["--account", "north"];
    for (noun, create, update, shows) in [
        ("clients", &["create", "c1", "--name", "One"][..], &["update", "c1", "--name", "Two"][..], "Two"),
        (
            "interfaces",
            &["create", "i1", "--retention", "90d"],
            &["update", "i1", "--notify", "e@f.example"],
            "90 days",
        ),
        ("interfaces", &["create", "i2", "--name", "I"], &["update", "i2", "--name", "J"], "J"),
        (
            "api-users",
            &["create", "u1", "--email", "u@x.example", "--role", "viewer"],
            &["update", "u1", "--role", "admin"],
            "admin",
        ),
    ] {
        world.run(&[&[noun], create, &of_north].concat()).await.well();
        world.run(&[&[noun], update, &of_north, &["--json"]].concat()).await.well().json();
        let listed = world.run(&[&[noun, "list"], &of_north[..]].concat()).await.well();
        let row = listed.out.lines().find(|line| line.starts_with(create[1])).unwrap().to_owned();
        assert!(row.contains(shows), "{listed:?}");
        assert!(!world.run(&[&[noun, "list", "--json"], &of_north[..]].concat()).await.well().json_lines().is_empty());
        world.run(&[&[noun, "delete", create[1]], &of_north[..]].concat()).await.well();
        let left = world.run(&[&[noun, "list"], &of_north[..]].concat()).await.well();
        assert!(!left.out.contains(create[1]), "{left:?}");
    }
    assert_eq!(world.run(&["accounts", "delete", "north"]).await.well().out, "Account north is deleted.\n");
}

#[tokio::test]
async fn destinations_can_be_created_changed_switched_tested_and_deleted() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let url = receiver.url();
    let create =
        ["destinations", "create", "--name", "CRM", "--url", &url, "--events", "lead.*,email.*", "--timeout", "2s"];
    let more = ["--retry-policy", "manual", "--header", "X-Tenant: 7", "--ordered", "--interface", INTERFACE];
    let made = world.run(&[&create[..], &more].concat()).await.well();
    assert_eq!(
        (made.fact("events"), made.fact("for"), made.fact("ordered")),
        ("lead.* email.*", "interface form", "yes")
    );
    let id = made.fact("destination").to_owned();

    let updated =
        world.run(&["destinations", "update", "CRM", "--rate", "10", "--ordered=false", "--json"]).await.well();
    let updated = updated.json();
    assert_eq!((&updated["rate"], &updated["ordered"], &updated["name"]), (&json!(10), &json!(null), &json!("CRM")));
    let file = world.home.data().join("destination.json");
    let policy = json!({"custom": {"quickCount": 1, "quickPause": "1s"}});
    let auth = json!({"bearer_token": "a secret"});
    fs::write(&file, json!({"retry_policy": policy, "concurrency": 3, "auth": auth}).to_string()).unwrap();
    let from = ["destinations", "update", &id, "--from", file.to_str().unwrap(), "--name", "New CRM"];
    let updated = world.run(&from).await.well();
    assert_eq!(
        (updated.fact("name"), updated.fact("requests at once"), updated.fact("credentials")),
        ("New CRM", "3", "bearer authorization")
    );
    assert!(updated.fact("retry policy").contains("quick_count") && !updated.out.contains("a secret"), "{updated:?}");
    let shown = world.run(&["destinations", "show", "New CRM", "--json"]).await.well().json();
    assert_eq!((&shown["rate"], &shown["headers"][0]["value"]), (&json!(10), &json!("7")));
    fs::write(&file, shown.to_string()).unwrap();
    let copy = ["destinations", "create", "--from", file.to_str().unwrap(), "--name", "Copy", "--events", "page.*"];
    let copy = world.run(&[&copy[..], &["--json"]].concat()).await.well().json();
    assert_ne!(copy["destination_id"], id.as_str(), "the output of show creates another destination");

    let tried = world.run(&["destinations", "test", &id]).await.well();
    assert_eq!(tried.fact("status"), "succeeded");
    receiver.answer_next([Answer::Status(404)]);
    let tried = world.run(&["destinations", "test", &id, "--payload", "{\"a\": 1}", "--json"]).await;
    assert_eq!((tried.code, &tried.json()["delivery"]["http_status_code"]), (1, &json!(404)));
    assert_eq!(receiver.requests().last().unwrap().body, b"{\"a\": 1}".as_slice());
    let events = world.run(&["destinations", "events", &id]).await.well();
    assert_eq!(events.rows().iter().map(|row| row[2]).collect::<Vec<_>>(), ["debug", "success"]);
    assert_eq!(
        world.run(&["destinations", "events", &id, "--json", "--limit", "1"]).await.well().json_lines().len(),
        1
    );

    let state = async |verb: &[&str]| {
        let ran = world.run(&[&["destinations"], verb, &[&id]].concat()).await.well();
        ran.out.lines().nth(1).unwrap().to_owned()
    };
    assert!(state(&["disable"]).await.contains("disabled"));
    world.publish("held").await;
    world.delivery_is("held", DeliveryStatus::Held).await;
    assert!(state(&["enable", "--skip-held"]).await.contains("enabled"));
    world.delivery_is("held", DeliveryStatus::Failed).await;
    assert!(state(&["reactivate"]).await.contains("enabled"));
    let listed = world.run(&["destinations", "list"]).await.well();
    assert_eq!(listed.rows().len(), 2);
    assert!(world.run(&["destinations", "delete", &id]).await.well().out.contains("is deleted"));
    assert_eq!(world.run(&["destinations", "list", "--json"]).await.well().json_lines().len(), 1);
}

#[tokio::test]
async fn token_is_shown_once_and_signs_during_a_rotation() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    let unsigned = world.run(&["destinations", "rotate-secret", "CRM"]).await;
    assert_eq!(unsigned.code, 2);
    assert!(unsigned.err.contains("are not signed"), "{unsigned:?}");
    let made = world.run(&["tokens", "create", "crm", "--assign", "CRM"]).await.well();
    assert!(made.out.starts_with("whsec_") && made.out.lines().count() == 1, "{made:?}");
    let listed = world.run(&["tokens", "list"]).await.well();
    let token = listed.rows()[0][0].to_owned();
    assert!(!listed.out.contains("whsec_"));
    let rotated = world.run(&["destinations", "rotate-secret", &id, "--overlap", "1d"]).await.well();
    assert!(rotated.out.starts_with("whsec_") && rotated.out != made.out, "{rotated:?}");
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let signatures = receiver.requests()[0].header("webhook-signature").split(' ').count();
    assert_eq!(signatures, 2, "both secrets sign");
    let rotated = world.run(&["tokens", "rotate", &token, "--json"]).await.well().json();
    assert!(rotated["secret"].as_str().unwrap().starts_with("whsec_"));

    let used = world.run(&["tokens", "revoke", &token]).await;
    assert_eq!(used.code, 1);
    assert!(used.err.contains("refused (FAILED_PRECONDITION): "), "{used:?}");
    let other = world.run(&["tokens", "create", "other", "--algorithm", "ed25519", "--json"]).await.well().json();
    assert!(other["secret"].as_str().unwrap().starts_with("whpk_"));
    world.run(&["tokens", "assign", other["token"]["token_id"].as_str().unwrap(), "CRM"]).await.well();
    world.run(&["tokens", "revoke", &token]).await.well();
    assert_eq!(world.run(&["tokens", "list", "--json"]).await.well().json_lines().len(), 1);
}

#[tokio::test]
async fn keys_can_be_created_listed_and_revoked() {
    let world = World::start().await;
    let made = world.run(&["keys", "create", "forms", "--scope", "publish,read", "--expires", "90d"]).await.well();
    let key = made.out.trim();
    assert!(key.starts_with("ll_") && !made.err.contains(key), "{made:?}");
    let me = world.run(&["keys", "whoami", "--api-key", key, "--json"]).await.well().json();
    assert_eq!((&me["account_id"], &me["scopes"]), (&json!(ACCOUNT), &json!(["SCOPE_PUBLISH", "SCOPE_READ"])));
    assert!(me["expires_at"].is_string());
    let id = me["key_id"].as_str().unwrap();
    let listed = world.run(&["keys", "list"]).await.well();
    assert!(listed.rows().iter().any(|row| row[0] == id && row[2..4] == [ACCOUNT, "publish,read"]), "{listed:?}");
    let platform =
        world.run(&["keys", "create", "ops", "--scope", "operate", "--platform", "--json"]).await.well().json();
    assert_eq!(platform["key"]["account_id"], json!(null));

    let revoked = world.run(&["keys", "revoke", id]).await.well();
    assert!(revoked.out.contains("revoked"), "{revoked:?}");
    assert_eq!(world.run(&["keys", "list", "--json"]).await.well().json_lines().len(), 2);
    assert_eq!(world.run(&["keys", "list", "--ended", "--json"]).await.well().json_lines().len(), 3);
    testkit::wait::until_eq("the key to become invalid", SOON, 1, async || {
        world.run(&["keys", "whoami", "--api-key", key]).await.code
    })
    .await;
}

#[tokio::test]
async fn unconfirmed_addresses_are_marked_and_confirmed_by_a_code() {
    let world = World::start().await;
    let (key, _) = world.new_key("acme", &[api::Scope::Admin]).await;
    let update = ["accounts", "update", "acme", "--notify", "New@x.example", "--api-key", &key];
    let ran = world.run(&update).await.well();
    assert!(ran.out.contains("New@x.example (unconfirmed)"), "{ran:?}");
    let mail = wait::until("the confirmation mail", SOON, async || world.home.outbox().pop()).await;
    let mail = mailparse::parse_mail(mail.as_bytes()).unwrap().subparts[0].get_body().unwrap();
    let code = mail.split_once("leadline accounts confirm acme ").unwrap().1.split_whitespace().next().unwrap();
    world.run(&["accounts", "confirm", "acme", code, "--api-key", &key]).await.well();
    let ran = world.run(&["accounts", "show", "acme"]).await.well();
    assert!(ran.out.contains("New@x.example") && !ran.out.contains("unconfirmed"), "{ran:?}");
}
