//! Secrets: files belong to their owner alone, credentials to their host, and no log or answer contains passwords.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use api::{DeliveryStatus, auth::Kind};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost_types::FieldMask;
use testkit::{Answer, NatsServer, Process, Receiver, wait};
use tonic::{Code, Status};

use crate::{
    processes::{address, arguments},
    world::{ACCOUNT, SOON, World, is_readable_in, program, some_destination},
};

/// Every character that is not a letter needs encoding in a URL.
const PASSWORD: &str = "p@ss/w#1:?%";
const ENCODED: &str = "p%40ss%2Fw%231%3A%3F%25";

/// The folder and everything in it.
fn all_files(folder: &Path) -> Vec<PathBuf> {
    let inside = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let mut all: Vec<_> = inside.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect();
    all.push(folder.to_owned());
    all
}

/// Files and folders that are accessible to group or others.
fn open_to_others(folder: &Path) -> Vec<PathBuf> {
    let mode = |path: &Path| fs::symlink_metadata(path).map_or(0, |found| found.permissions().mode());
    all_files(folder).into_iter().filter(|path| mode(path) & 0o077 != 0).collect()
}

fn open_up(folder: &Path) {
    for path in all_files(folder) {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[tokio::test]
async fn data_folder_is_accessible_to_its_owner_alone() {
    let (world, receiver) = (World::start_with(&["--notice-window", "0s"], &[]).await, Receiver::start().await);
    receiver.answer(Answer::With(422, vec![], "no".into()));
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    wait::until_eq("a mail", SOON, 1, async || world.home.outbox().len()).await;
    let data = world.home.data();
    let names: Vec<_> = all_files(&data).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    for name in ["leadline.db", "leadline.db-wal", "leadline.db-shm", "nats.log", "nats.conf", "lock", "admin.key"] {
        assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
    }
    assert_eq!(open_to_others(&data), [] as [PathBuf; 0]);

    // Older versions left them accessible.
    world.process.terminate();
    world.process.wait_exit(SOON).await;
    open_up(&data);
    let world = world.again(&[]).await;
    assert_eq!(open_to_others(&data), [] as [PathBuf; 0]);
    assert!(world.process.output().contains("closed files and folders to group and others"));
}

#[tokio::test]
async fn separate_services_protect_database_and_outbox() {
    let (broker, folder) = (NatsServer::start().await, tempfile::tempdir().unwrap());
    let (database, outbox) = (folder.path().join("leads.db"), folder.path().join("outbox"));
    fs::write(&database, "").unwrap();
    fs::create_dir(&outbox).unwrap();
    fs::write(outbox.join("old.eml"), "").unwrap();
    open_up(folder.path());
    let env = [("LEADLINE_NATS_URL", broker.url()), ("LEADLINE_MASTER_KEY", STANDARD.encode([7; 32]))];
    let url = format!("sqlite:{}?mode=rwc", database.display());
    let query = Process::start("query", program(), arguments("query", &["--database-url", &url]), env.clone());
    let of_notifier = arguments("notifier", &["--outbox", outbox.to_str().unwrap()]);
    let notifier = Process::start("notifier", program(), of_notifier, env);
    address(&query, "grpc=").await;
    address(&notifier, "http=").await;
    // The parent folder does not belong to Leadline, and stays unchanged.
    assert_eq!(open_to_others(folder.path()), [folder.path()]);
    assert!(database.with_extension("db-wal").exists() && outbox.join("old.eml").exists());
}

fn bearer(secret: &str) -> Option<api::Auth> {
    Some(api::Auth { kind: Some(Kind::BearerToken(secret.into())), ..api::Auth::default() })
}

async fn token(world: &World) -> String {
    let account_id = ACCOUNT.to_owned();
    let request = api::CreateTokenRequest { account_id, name: "crm".into(), ..api::CreateTokenRequest::default() };
    world.registry().create_token(request).await.unwrap().into_inner().token.unwrap().token_id
}

async fn update(world: &World, destination: api::Destination, fields: &[&str]) -> Result<api::Destination, Status> {
    let paths = fields.iter().map(|field| (*field).to_owned()).collect();
    let request = api::UpdateDestinationRequest {
        destination: Some(api::Destination { account_id: ACCOUNT.into(), ..destination }),
        update_mask: (!fields.is_empty()).then_some(FieldMask { paths }),
        ..Default::default()
    };
    world.registry().update_destination(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn changed_origin_needs_credentials_and_token_again() {
    let (world, before, after) = (World::start().await, Receiver::start().await, Receiver::start().await);
    let token_id = token(&world).await;
    let destination = api::Destination {
        url: format!("{}/{{{{ lead.id }}}}", before.url()),
        auth: bearer("SECRETBEARER0001"),
        token_id: token_id.clone(),
        ..some_destination()
    };
    let destination_id = world.destination_with(destination).await;
    let to = |url: &str| api::Destination {
        destination_id: destination_id.clone(),
        url: url.to_owned(),
        ..api::Destination::default()
    };

    // Another path is the same origin, and so is another spelling.
    let path = format!("{}/other/{{{{ lead.id }}}}", before.url().replace("http", "HTTP"));
    update(&world, to(&path), &["url"]).await.unwrap();

    let port = after.url().rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
    for url in [
        after.url(),
        before.url().replace("http://", "https://"),
        before.url().replace("127.0.0.1", "localhost"),
        format!("http://127.0.0.1:{port}/{{{{ lead.id }}}}"),
    ] {
        for fields in [&["url"][..], &["url", "name"], &["url", "auth"], &["url", "token_id"]] {
            let mut changed = to(&url);
            changed.token_id.clone_from(&token_id);
            changed.auth = bearer("SECRETBEARER0002");
            let refused = update(&world, changed, fields).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument);
            let text = refused.message();
            assert!(text.starts_with("url:") && text.contains("give them again"), "{text}");
            assert_eq!(text.contains("credentials (auth)"), !fields.contains(&"auth"), "{text}");
            assert_eq!(text.contains("token (token_id)"), !fields.contains(&"token_id"), "{text}");
        }
    }
    // A destination as read has no credentials, so another URL is refused.
    let get = api::GetDestinationRequest { account_id: ACCOUNT.into(), destination_id: destination_id.clone() };
    let shown = world.registry().get_destination(get).await.unwrap().into_inner();
    let refused = update(&world, api::Destination { url: after.url(), ..shown.clone() }, &[]).await.unwrap_err();
    assert!(refused.message().contains("credentials (auth)"), "{refused}");

    let again = api::Destination { token_id, auth: bearer("SECRETBEARER0002"), ..to(&after.url()) };
    update(&world, again, &["url", "auth", "token_id"]).await.unwrap();
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!(after.requests()[0].header("authorization"), "Bearer SECRETBEARER0002");
    assert_eq!(before.count(), 0);

    // Without credentials and token, any URL is allowed.
    update(&world, to(&before.url()), &["url", "auth", "token_id"]).await.unwrap();
    update(&world, to(&after.url()), &["url"]).await.unwrap();
    world.publish("e2").await;
    world.delivery_is("e2", DeliveryStatus::Succeeded).await;
    assert_eq!(after.requests()[1].header("authorization"), "");
}

#[tokio::test]
async fn echoed_credentials_are_neither_stored_nor_mailed() {
    let (world, receiver) = (World::start_with(&["--notice-window", "0s"], &[]).await, Receiver::start().await);
    let basic = api::BasicAuth { username: "bob".into(), password: "PASSWORD0001".into() };
    let auth = Some(api::Auth { kind: Some(Kind::Basic(basic)), ..api::Auth::default() });
    world.destination_with(api::Destination { url: receiver.url(), auth, ..some_destination() }).await;
    // Some receivers echo the header and its content.
    let sent = STANDARD.encode("bob:PASSWORD0001");
    let echo = format!("you are bob with PASSWORD0001, by your header authorization: Basic {sent}; who is that?");
    receiver.answer(Answer::With(403, vec![], echo.into()));
    world.publish("e1").await;
    let delivery = world.delivery_is("e1", DeliveryStatus::Failed).await;
    assert_eq!(receiver.requests()[0].header("authorization"), format!("Basic {sent}"));
    let expected = "you are bob with [redacted], by your header authorization: [redacted]; who is that?";
    assert_eq!(delivery.delivery.unwrap().webhook_response, expected);
    assert_eq!(delivery.attempts[0].webhook_response, expected);
    let mail = wait::until("a mail", SOON, async || world.home.outbox().pop()).await;
    assert!(mail.contains("redacted"), "{mail}");
    for secret in ["PASSWORD0001", &sent, sent.trim_end_matches('=')] {
        assert!(!is_readable_in(&world.home.data(), secret.as_bytes()), "{secret} is readable on disk");
    }
}

#[tokio::test]
async fn password_of_the_broker_is_decoded_and_never_logged() {
    let broker = NatsServer::start_with_login(&format!("user: leadline, password: {PASSWORD:?}")).await;
    let of_token = NatsServer::start_with_login(&format!("token: {PASSWORD:?}")).await;
    for (broker, login) in [(&broker, format!("leadline:{ENCODED}")), (&of_token, ENCODED.to_owned())] {
        let url = broker.url().replace("nats://", &format!("nats://{login}@"));
        let env = [("LEADLINE_NATS_URL", url.as_str()), ("RUST_LOG", "trace,async_nats=debug")];
        let ingest = Process::start("ingest", program(), arguments("ingest", &[]), env);
        address(&ingest, "http=").await;
        let output = ingest.output();
        assert!(output.contains("async_nats"), "the client of the broker logs at this level");
        assert!(!output.contains(PASSWORD) && !output.contains(ENCODED), "{output}");
    }
    // The password of the broker that `up` starts is not logged either.
    let world = World::start_with(&[], &[("RUST_LOG", "debug,async_nats=debug")]).await;
    let password = fs::read_to_string(world.home.data().join("nats.password")).unwrap();
    assert!(world.process.output().contains("async_nats"));
    assert!(!world.process.output().contains(password.trim()));
}

#[tokio::test]
async fn payloads_are_not_logged() {
    let (world, receiver) = (World::start_with(&[], &[("RUST_LOG", "trace")]).await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish_with("e1", serde_json::json!({"payload": {"name": "An unmistakable name"}})).await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let output = world.process.output();
    assert!(output.contains("TRACE") && !output.contains("An unmistakable name"));
}

#[tokio::test]
async fn unusable_broker_url_is_refused_at_once() {
    for url in ["nats://leadline:sec/ret@127.0.0.1:4222", "http://leadline:secret@127.0.0.1:4222", "nats://:secret@h"] {
        let args = arguments("ingest", &["--nats-url", url]);
        let ingest = Process::start("ingest", program(), args, [] as [(&str, &str); 0]);
        // Far less than the time that a service waits for a starting broker.
        assert!(!ingest.wait_exit(Duration::from_secs(5)).await.success());
        let text = ingest.output();
        assert!(text.contains("--nats-url") && text.contains("%40"), "{text}");
        assert!(!text.contains("secret") && !text.contains("sec/"), "{text}");
    }
}

#[tokio::test]
async fn private_addresses_are_refused_in_destinations() {
    let (world, receiver) = (World::start_with(&["--allow-network", "10.0.0.0/8"], &[]).await, Receiver::start().await);
    let create = async |url: &str| {
        let destination = api::Destination { url: url.into(), ..some_destination() };
        let request = api::CreateDestinationRequest {
            destination: Some(destination),
            ..api::CreateDestinationRequest::default()
        };
        world.registry().create_destination(request).await.map(tonic::Response::into_inner)
    };
    for url in [
        "http://169.254.169.254/latest",
        "https://192.168.0.1/",
        "http://[::1]/{{ lead.id }}",
        "http://0xc0a80001/",
        "http://[64:ff9b:1::101:101]/",
        "http://[::ffff:192.168.0.1]:8080/",
    ] {
        let refused = create(url).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{url}");
        let text = refused.message();
        assert!(text.starts_with("url:") && text.contains("is not a public address"), "{url}: {text}");
    }
    create(&receiver.url()).await.unwrap();
    let allowed = create("http://10.0.0.1/").await.unwrap();
    let changed = api::Destination { url: "http://172.16.0.1/".into(), ..allowed.clone() };
    let refused = update(&world, changed, &["url"]).await.unwrap_err();
    assert!(refused.message().contains("172.16.0.1 is not a public address"), "{refused}");

    // The address is checked again before each request.
    world.process.terminate();
    world.process.wait_exit(SOON).await;
    let world = world.again(&[]).await;
    world.publish("e1").await;
    let request = api::ListDestinationEventsRequest {
        account_id: ACCOUNT.into(),
        destination_id: allowed.destination_id,
        limit: 10,
        page_token: String::new(),
    };
    let blocked = wait::until("an attempt at it", SOON, async || {
        let listed = world.deliveries().list_destination_events(request.clone()).await.unwrap().into_inner();
        listed.events.into_iter().find_map(|event| event.attempt)
    })
    .await;
    assert_eq!((blocked.http_status_code, blocked.error_kind.as_str()), (999, "blocked"), "{blocked:?}");
    assert!(blocked.webhook_response.contains("is not a public address"), "{blocked:?}");
}
