//! Comforts of the command line: options anywhere, local times, whole texts in pipes, contexts, completions.

use std::{collections::HashMap, os::unix::fs::PermissionsExt as _, process::Stdio};

use api::DeliveryStatus;
use domain::{AccountId, DeliveryId, DestinationId, EventId, RequestId, TokenId};
use serde_json::json;
use testkit::{Answer, Process, Receiver, wait};
use tokio::process::Command;

use super::{Ran, finished, program};
use crate::world::{ACCOUNT, INTERFACE, SOON, World, some_destination};

#[tokio::test]
async fn options_may_stand_anywhere_and_pipes_get_whole_texts() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let reason = "because ".repeat(60);
    receiver.answer(Answer::With(422, vec![], reason.clone().into()));
    world.publish("e").await;
    world.delivery_is("e", DeliveryStatus::Failed).await;
    let listed = world.run(&["--utc", "leads", "list"]).await.well();
    assert!(listed.out.contains(reason.trim()), "nothing is cut in a pipe: {}", listed.out);
    assert!(listed.rows()[0][1].ends_with('Z'), "{}", listed.out);
    assert_eq!(world.run(&["--json", "leads"]).await.well().json_lines().len(), 1);
    let unknown = world.run(&["--account", "unknown", "leads"]).await;
    assert!(unknown.code == 1 && unknown.err.contains("NOT_FOUND"), "{unknown:?}");

    let mut in_tokyo = world.command(&["leads"]);
    in_tokyo.env("TZ", "Asia/Tokyo");
    let listed = finished(in_tokyo, "").await.well();
    assert!(listed.rows()[0][1].ends_with("+09:00"), "{}", listed.out);
    for (since, found) in [("today", 1), ("yesterday 9:30", 1), ("tomorrow", 0)] {
        let listed = world.run(&["deliveries", "--since", since, "--json"]).await.well();
        assert_eq!(listed.json_lines().len(), found, "{since}");
    }
}

#[tokio::test]
async fn unknown_names_in_filters_are_errors() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let destination = world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let nowhere = destination.chars().rev().collect::<String>().replace("_tsd", "");
    let nowhere = format!("dst_{nowhere}");
    for (args, expected) in [
        (&["leads", "--interface", "nowhere"][..], "interface"),
        (&["leads", "--client", "unknown"], "client"),
        (&["deliveries", "--account", "acme", "--interface", "nowhere"], "interface"),
        (&["deliveries", "--account", "acme", "--lead", "unknown-lead"], "lead"),
        // With one account only, a platform-wide key need not name it.
        (&["deliveries", "--lead", "unknown-lead"], "lead"),
        (&["deliveries", "--interface", "nowhere"], "interface"),
        (&["deliveries", "--destination", "Mail"], "has no destination Mail"),
        (&["deliveries", "--account", "acme", "--destination", &nowhere], "destination"),
        (&["deliveries", "--account", "acme", "--event", "e9"], "event"),
        (&["deliveries", "--account", "acme", "--event", "e9", "--destination", "CRM"], "event"),
        (&["retry", "--dry-run", "--interface", "nowhere"], "interface"),
        (&["retry", "--dry-run", "--lead", "unknown-lead"], "lead"),
        (&["retry", "--dry-run", "--event", "e9"], "event"),
        (&["retry", "--dry-run", "--destination", &nowhere], "destination"),
        (&["export", "--interface", "nowhere"], "interface"),
        (&["export", "--client", "unknown"], "client"),
        (&["watch", "--account", "acme", "--lead", "unknown-lead"], "lead"),
        (&["watch", "--account", "acme", "--destination", &nowhere], "destination"),
    ] {
        let ran = world.run(args).await;
        assert_eq!(ran.code, 1, "{args:?}: {ran:?}");
        assert!(ran.err.contains("NOT_FOUND") && ran.err.contains(expected), "{args:?}: {ran:?}");
    }
    let none = world.run(&["leads", "--interface", INTERFACE, "--failed"]).await.well();
    assert!(none.err.contains("There are none."), "{none:?}");
    for known in [&["--event", "e1"][..], &["--lead", "lead-e1"], &["--destination", &destination]] {
        let none =
            world.run(&[&["deliveries", "--account", "acme", "--status", "failed"], known].concat()).await.well();
        assert!(none.err.contains("There are none."), "{none:?}");
    }
    // A deleted destination has deliveries.
    world.delete(&destination).await;
    let found = world.run(&["deliveries", "--account", "acme", "--destination", &destination, "--json"]).await.well();
    assert_eq!(found.json_lines().len(), 1);
    let of_deleted = ["deliveries", "--account", "acme", "--destination", &destination, "--status", "failed"];
    world.run(&of_deleted).await.well();
}

#[tokio::test]
async fn contexts_store_connections_privately() {
    let world = World::start().await;
    let home = tempfile::tempdir().unwrap();
    let run = async |args: &[&str]| {
        let mut command = Command::new(program());
        command.args(args).kill_on_drop(true).env("XDG_CONFIG_HOME", home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finished(command, "").await
    };
    let connection = ["--grpc-url", &world.grpc, "--api-key", &world.key, "--account", "acme"];
    run(&[&["context", "add", "here"], &connection[..]].concat()).await.well();
    run(&["context", "add", "elsewhere", "--grpc-url", "http://127.0.0.1:1", "--api-key", &world.key]).await.well();
    let file = home.path().join("leadline/contexts.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    run(&["leads"]).await.well();
    let listed = run(&["context", "list"]).await.well();
    assert!(listed.out.contains("*") && !listed.out.contains(&world.key), "{}", listed.out);
    let other = run(&["--context", "elsewhere", "leads"]).await;
    assert!(other.code == 1 && other.err.contains("127.0.0.1:1"), "{other:?}");
    run(&["context", "use", "elsewhere"]).await.well();
    assert_eq!(run(&["leads"]).await.code, 1);
    assert_eq!(run(&["context", "use", "nowhere"]).await.code, 2);
    // Lists are those of the account of the context, also with a key that sees all accounts.
    let receiver = Receiver::start().await;
    let other = api::Account { account_id: "other".into(), ..api::Account::default() };
    world.registry().create_account(api::CreateAccountRequest { account: Some(other) }).await.unwrap();
    let form =
        api::Interface { account_id: "other".into(), interface_id: INTERFACE.into(), ..api::Interface::default() };
    world.registry().create_interface(api::CreateInterfaceRequest { interface: Some(form) }).await.unwrap();
    let destination = api::Destination { account_id: "other".into(), url: receiver.url(), ..some_destination() };
    world.destination_with(destination).await;
    world.publish_with("of-other", json!({"account": "other"})).await;
    world.delivery_is("of-other", DeliveryStatus::Succeeded).await;
    world.new_key("other", &[api::Scope::Read]).await;
    for (args, in_all) in [(["deliveries", "list", "--json"], 1), (["keys", "list", "--json"], 1)] {
        let of_other = |ran: Ran| ran.json_lines().iter().filter(|line| line["account_id"] == "other").count();
        assert_eq!(of_other(world.run(&args).await.well()), in_all, "{args:?}");
        assert_eq!(of_other(run(&[&["--context", "here"][..], &args].concat()).await.well()), 0, "{args:?}");
    }
    // The key of a context is sent to its own server only.
    let strange = run(&["--context", "here", "leads", "--grpc-url", "http://127.0.0.2:1"]).await;
    assert!(strange.err.contains("there is no API key"), "{strange:?}");
    run(&["context", "remove", "elsewhere"]).await.well();
    assert_eq!(
        run(&["context", "list", "--json"]).await.well().json_lines(),
        [json!({"name": "here", "grpc_url": world.grpc, "account": "acme", "in_use": false})]
    );
}

#[tokio::test]
async fn unique_id_prefixes_are_accepted() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    receiver.answer_next([Answer::Status(500)]);
    world.publish("e").await;
    let delivery = world.delivery_is("e", DeliveryStatus::Failed).await.delivery.unwrap().delivery_id;
    let shown = world.run(&["deliveries", "show", &delivery[..8]]).await.well();
    assert_eq!(shown.fact("delivery"), delivery);
    world.run(&["retry", &delivery[..13]]).await.well();
    world.delivery_is("e", DeliveryStatus::Succeeded).await;
    let of = world.run(&["destinations", "show", &id[..id.len() - 2], "--json"]).await.well().json();
    assert_eq!(of["destination_id"], id.as_str());
    let listed = world.run(&["deliveries", "--destination", &id[..id.len() - 2], "--json"]).await.well();
    assert_eq!(listed.json_lines().len(), 1);
    let ran = world.run(&["retry", "--all", "--dry-run", "--json"]).await.well().json();
    let job = ran["job_id"].as_str().unwrap();
    assert_eq!(world.run(&["jobs", "show", &job[..8], "--json"]).await.well().json()["job_id"], job);
    let unknown = world.run(&["jobs", "show", "ffffffff"]).await;
    assert!(unknown.err.contains("begins with ffffffff"), "{unknown:?}");
    // A delivery of another account is not found by a prefix of its id.
    let (key, _) = world.new_key("acme", &[api::Scope::Read]).await;
    assert_eq!(world.run(&["deliveries", "show", &delivery[..8], "--api-key", &key]).await.code, 0);
    let other = api::Account { account_id: "other".into(), name: "Other".into(), ..api::Account::default() };
    world.registry().create_account(api::CreateAccountRequest { account: Some(other) }).await.unwrap();
    let (key, _) = world.new_key("other", &[api::Scope::Read]).await;
    let refused = world.run(&["deliveries", "show", &delivery[..8], "--api-key", &key]).await;
    assert!(refused.code == 1 && refused.err.contains("NOT_FOUND"), "{refused:?}");
}

/// Finds two ids whose first `length` characters are equal. Returns each with the value from which it was made.
fn alike<T>(length: usize, id: impl Fn(usize) -> (T, String)) -> [(T, String); 2] {
    let mut seen: HashMap<String, (T, String)> = HashMap::new();
    for number in 0.. {
        let found = id(number);
        match seen.remove(&found.1[..length]) {
            Some(first) => return [first, found],
            None => drop(seen.insert(found.1[..length].to_owned(), found)),
        }
    }
    unreachable!()
}

#[tokio::test]
async fn ambiguous_id_prefixes_are_refused() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let account = AccountId::parse(ACCOUNT).unwrap();
    let request = |number: usize| RequestId::parse(&format!("r{number}")).unwrap();
    let of_destination = |number| (number, DestinationId::of_request(&account, &request(number)).to_string());
    let destinations = alike("dst_".len() + 4, of_destination);
    for (number, id) in &destinations {
        let destination =
            api::Destination { url: receiver.url(), event_types: vec!["none".into()], ..some_destination() };
        let create = api::CreateDestinationRequest {
            destination: Some(destination),
            request_id: format!("r{number}"),
            ..Default::default()
        };
        let made = world.registry().create_destination(create).await.unwrap().into_inner();
        assert_eq!(made.destination_id, *id);
    }
    let tokens =
        alike("tok_".len() + 4, |number| (number, TokenId::of_request(&account, &request(number)).to_string()));
    for (number, id) in &tokens {
        let create = api::CreateTokenRequest {
            account_id: ACCOUNT.into(),
            algorithm: "hmac-sha256".into(),
            request_id: format!("r{number}"),
            ..api::CreateTokenRequest::default()
        };
        let made = world.registry().create_token(create).await.unwrap().into_inner();
        assert_eq!(made.token.unwrap().token_id, *id);
    }
    let destination = DestinationId::parse(&world.destination(&receiver.url()).await).unwrap();
    let deliveries = alike(6, |number| {
        let event = format!("e{number}");
        let id = DeliveryId::of(&account, &EventId::parse(&event).unwrap(), &destination);
        (event, id.to_string())
    });
    for (event, _) in &deliveries {
        world.publish(event).await;
        world.delivery_is(event, DeliveryStatus::Succeeded).await;
    }
    for (verb, ids, length) in [
        (&["destinations", "show"][..], destinations.map(|(_, id)| id), 8),
        (&["tokens", "revoke"], tokens.map(|(_, id)| id), 8),
        (&["deliveries", "show"], deliveries.map(|(_, id)| id), 6),
    ] {
        let refused = world.run(&[verb, &[&ids[0][..length]]].concat()).await;
        assert_ne!(refused.code, 0, "{verb:?}: {refused:?}");
        assert!(refused.err.contains("begin with"), "{verb:?}: {refused:?}");
        assert!(ids.iter().all(|id| refused.err.contains(id)), "{verb:?}: {refused:?}");
        let shared = ids[0].bytes().zip(ids[1].bytes()).take_while(|(one, other)| one == other).count();
        world.run(&[verb, &[&ids[0][..=shared]]].concat()).await.well();
    }
    // Ids of keys are random.
    let (_, key) = world.new_key(ACCOUNT, &[api::Scope::Read]).await;
    let revoked = world.run(&["keys", "revoke", &key[..key.len() - 1]]).await.well();
    assert!(revoked.out.contains(&key) && revoked.out.contains("revoked"), "{revoked:?}");
    assert!(world.run(&["keys", "revoke", "none-such"]).await.err.contains("NOT_FOUND"));
}

#[tokio::test]
async fn shells_complete_commands() {
    for (shell, has) in
        [("bash", "complete -F _leadline"), ("zsh", "#compdef leadline"), ("fish", "complete -c leadline")]
    {
        let mut command = Command::new(program());
        command.args(["completions", shell]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let ran = finished(command, "").await.well();
        assert!(ran.out.contains(has) && ran.out.contains("destinations"), "{shell}");
    }
}

#[tokio::test]
async fn listen_forwards_requests_and_answers() {
    let (world, behind) = (World::start().await, Receiver::start().await);
    let url = behind.url();
    let args = ["listen", "--address", "127.0.0.1:0", "--forward", &url];
    let listen = Process::start("listen", program(), args, [] as [(&str, &str); 0]);
    let line = listen.wait_line("listening on ", SOON).await;
    let address = line.split("listening on ").nth(1).unwrap().split(';').next().unwrap().to_owned();
    world.destination(&address).await;
    behind.answer_next([Answer::Status(418), Answer::Status(200)]);
    world.publish("e").await;
    let failed = world.delivery_is("e", DeliveryStatus::Failed).await.delivery.unwrap();
    assert_eq!(failed.http_status_code, 418);
    world.retry("e").await.unwrap();
    world.delivery_is("e", DeliveryStatus::Succeeded).await;
    let seen = behind.requests();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].headers.get("leadline-event-id").unwrap(), "e");
}

#[tokio::test]
async fn watch_reconnects_after_the_server_was_killed() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish("before").await;
    world.delivery_is("before", DeliveryStatus::Succeeded).await;
    let (data, grpc) = (world.home.data(), world.grpc.clone());
    let args = ["watch", "--grpc-url", &grpc, "--data-dir", data.to_str().unwrap(), "--existing"];
    let watch = Process::start("watch", program(), args, [] as [(&str, &str); 0]);
    watch.wait_line("lead-before", SOON).await;
    world.process.kill();
    world.process.wait_exit(SOON).await;
    watch.wait_line("reconnecting", SOON).await;
    let address = grpc.trim_start_matches("http://").to_owned();
    let world = world.again(&["--grpc", &address]).await;
    world.publish("after").await;
    watch.wait_line("lead-after", SOON).await;
    wait::until("the watch to start", SOON, async || watch.is_running()).await;
}
