//! Clients in other languages with code generated from the protos, and curl.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Weak},
    time::Duration,
};

use access::{AuthChannel, AuthInterceptor};
use api::{lead_service_client::LeadServiceClient, registry_service_client::RegistryServiceClient};
use testkit::{Answer, Process, Receiver};
use tokio::{sync::Mutex, time::timeout};
use tonic::transport::Channel;

use crate::{
    features::root,
    world::{ACCOUNT, Home, INTERFACE, World, some_destination},
};

/// The events that each client publishes. They fill three pages of two.
const EVENTS: usize = 5;
/// The leads that each client pages through: 20 pages of 500. curl.sh publishes them.
const LEADS: usize = 10_000;
/// The interface of these leads, whose events no destination wants.
const IMPORTED: &str = "imported";
const PATIENCE: Duration = Duration::from_secs(300);

/// A system in which curl.sh has done everything. The other clients page through the leads that it published.
struct Stage {
    /// Declared before the folder, so that the process ends before the folder is removed.
    _process: Process,
    _home: Home,
    http: String,
    grpc: String,
    key: String,
    /// The receiver of curl.sh, and the output of curl.sh.
    receiver: Receiver,
    answers: String,
}

impl Stage {
    /// The system of the tests that run now. The first of them starts it, and it ends with the last.
    async fn shared() -> Arc<Self> {
        static STAGE: Mutex<Weak<Stage>> = Mutex::const_new(Weak::new());
        let mut shared = STAGE.lock().await;
        if let Some(stage) = shared.upgrade() {
            return stage;
        }
        let stage = Arc::new(Self::start().await);
        *shared = Arc::downgrade(&stage);
        stage
    }

    async fn start() -> Self {
        let (world, receiver) = (World::start().await, Receiver::start().await);
        receiver.answer_next([Answer::Status(500)]);
        world.interface("contact-form").await;
        let destination =
            api::Destination { interface_id: "contact-form".into(), url: receiver.url(), ..some_destination() };
        world.destination_with(destination).await;
        let mut curl = tokio::process::Command::new("sh");
        curl.args(["-eu", &script("curl.sh")]);
        curl.env("LEADLINE_URL", &world.http).env("LEADLINE_API_KEY", &world.key);
        let answers = ran(curl).await;
        let World { home, process, http, grpc, key, .. } = world;
        Self { _process: process, _home: home, http, grpc, key, receiver, answers }
    }

    /// A connection to the API for one test.
    async fn channel(&self) -> AuthChannel {
        let channel = Channel::from_shared(self.grpc.clone()).unwrap().connect().await.unwrap();
        AuthInterceptor::new(&self.key).unwrap().over(channel)
    }

    /// An account of a client, whose receiver refuses each event once.
    async fn account(&self, account_id: &str) -> Receiver {
        let receiver = Receiver::start().await;
        receiver.answer_next(std::iter::repeat_n(Answer::Status(500), EVENTS));
        let mut registry = RegistryServiceClient::new(self.channel().await);
        let account = api::Account { account_id: account_id.into(), ..api::Account::default() };
        registry.create_account(api::CreateAccountRequest { account: Some(account) }).await.unwrap();
        let interface = api::Interface {
            account_id: account_id.into(),
            interface_id: INTERFACE.into(),
            ..api::Interface::default()
        };
        registry.create_interface(api::CreateInterfaceRequest { interface: Some(interface) }).await.unwrap();
        let destination = api::Destination { account_id: account_id.into(), url: receiver.url(), ..some_destination() };
        let request = api::CreateDestinationRequest {
            destination: Some(destination),
            ..api::CreateDestinationRequest::default()
        };
        Box::pin(registry.create_destination(request)).await.unwrap();
        receiver
    }

    /// Checks that the receiver got the resent event three times, and that the log has the reason.
    async fn was_resent(&self, receiver: &Receiver, account: &str, event: &str, lead: &str) {
        let sent = receiver.requests().iter().filter(|seen| seen.header("leadline-event-id") == event).count();
        assert_eq!(sent, 3);
        let request = api::GetLeadLogRequest { account_id: account.into(), lead_id: lead.into(), ..Default::default() };
        let log = LeadServiceClient::new(self.channel().await).get_lead_log(request).await.unwrap();
        let log = log.into_inner().entries;
        let mut reasons = log.iter().filter(|entry| entry.kind() == api::LeadLogKind::Resentwebhook);
        assert!(reasons.next_back().unwrap().detail.contains("the receiver lost it"), "{log:?}");
    }
}

/// Runs a client until it ends. Returns its standard output only, because libraries may write warnings to standard
/// error.
async fn ran(mut client: tokio::process::Command) -> String {
    client.kill_on_drop(true);
    let ended = timeout(PATIENCE, client.output()).await.expect("the client ends in time").unwrap();
    let (out, errors) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{out}\n{errors}");
    out.into_owned()
}

/// The output of a client that did everything. Its events have this prefix.
fn expected(prefix: &str, refused: &str) -> Vec<String> {
    vec![
        "failed: 5 on 3 pages; succeeded: 5".into(),
        format!("found: {prefix}1; payload: {prefix}1@example.com"),
        "explained: The destination gets the event. The delivery has succeeded. Against it: nothing".into(),
        format!("without force: {refused}; resent: {prefix}1"),
        format!("listed: {LEADS} of {LEADS} on 20 pages; all are there: true"),
        "done".into(),
    ]
}

/// Runs a generator of code with protoc, which comes with grpcio-tools.
fn generate(args: &[&str]) {
    let python = root().join(".tools/python-grpc/bin/python");
    assert!(python.is_file(), "no Python with grpcio-tools: run tools/bring-python-grpc");
    let mut protoc = Command::new(python);
    protoc.args(["-m", "grpc_tools.protoc", "-I"]).arg(root().join("proto")).args(args);
    let files = fs::read_dir(root().join("proto/leadline/v1")).unwrap();
    let files: Vec<_> = files.map(|file| format!("leadline/v1/{}", file.unwrap().file_name().display())).collect();
    let ran = protoc.args(files).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

fn script(name: &str) -> String {
    root().join("tests/e2e/clients").join(name).to_str().unwrap().to_owned()
}

#[tokio::test]
async fn python_client_works_with_leads_and_deliveries() {
    // Before the code is generated: a test that runs meanwhile has started the stage, and may end before.
    let stage = Stage::shared().await;
    let generated = tempfile::tempdir().unwrap();
    let folder = generated.path().to_str().unwrap();
    generate(&["--python_out", folder, "--grpc_python_out", folder]);
    let receiver = stage.account("py").await;
    let mut client = tokio::process::Command::new(root().join(".tools/python-grpc/bin/python"));
    client.args([&script("python/client.py"), folder, stage.grpc.trim_start_matches("http://"), &stage.key]);
    client.args(["py", INTERFACE, &EVENTS.to_string(), ACCOUNT, IMPORTED, &LEADS.to_string()]);
    let answers = ran(client).await;
    assert_eq!(answers.lines().collect::<Vec<_>>(), expected("py", "FAILED_PRECONDITION"));
    assert_eq!(receiver.count(), 2 * EVENTS + 1);
    stage.was_resent(&receiver, "py", "py1", "py1").await;
}

/// Compiles the client with the generated code. Returns the file to run.
fn compiled(folder: &Path) -> PathBuf {
    let packages = root().join(".tools/typescript/node_modules");
    assert!(packages.is_dir(), "no packages of TypeScript: run tools/bring-typescript");
    std::os::unix::fs::symlink(&packages, folder.join("node_modules")).unwrap();
    fs::copy(script("typescript/client.ts"), folder.join("client.ts")).unwrap();
    fs::write(folder.join("package.json"), r#"{"type": "module"}"#).unwrap();
    let plugin = format!("--plugin=protoc-gen-es={}", packages.join(".bin/protoc-gen-es").display());
    generate(&[&plugin, "--es_out", folder.to_str().unwrap(), "--es_opt", "target=ts,import_extension=js"]);
    let mut compiler = Command::new(packages.join(".bin/tsc"));
    compiler.args(["--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom", "--skipLibCheck"]);
    let ran = compiler.arg("client.ts").current_dir(folder).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    folder.join("client.js")
}

#[tokio::test]
async fn typescript_client_works_over_the_http_port() {
    let stage = Stage::shared().await;
    let folder = tempfile::tempdir().unwrap();
    let file = compiled(folder.path());
    for protocol in ["connect", "grpc-web"] {
        let receiver = stage.account(protocol).await;
        let mut client = tokio::process::Command::new("node");
        client.arg(&file).args([protocol, &stage.http, &stage.key, protocol, INTERFACE, &EVENTS.to_string()]);
        client.args([ACCOUNT, IMPORTED, &LEADS.to_string()]);
        let answers = ran(client).await;
        let expected = expected(protocol, "FailedPrecondition with google.rpc.ErrorInfo");
        assert_eq!(answers.lines().collect::<Vec<_>>(), expected, "{protocol}");
        assert_eq!(receiver.count(), 2 * EVENTS + 1);
        let resent = format!("{protocol}1");
        stage.was_resent(&receiver, protocol, &resent, &resent).await;
    }
}

#[tokio::test]
async fn curl_works_as_the_readme_shows() {
    let text = fs::read_to_string(script("curl.sh")).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains(text.trim()), "README.md does not quote tests/e2e/clients/curl.sh");
    let stage = Stage::shared().await;
    let answers = &stage.answers;
    for step in [
        r#""leadId":""#,
        r#"\"email\": \"ada@example.com\""#,
        "The destination gets the event. The delivery has failed",
        r#""eventId":"order-7""#,
        r#""retries":2"#,
    ] {
        assert!(answers.contains(step), "{step}: {answers}");
    }
    assert!(answers.trim_end().ends_with(&format!("}}{LEADS} leads")), "{answers}");
    assert_eq!(stage.receiver.count(), 3);
    let event = api::GetEventRequest { account_id: ACCOUNT.into(), event_id: "order-7".into() };
    let lead = LeadServiceClient::new(stage.channel().await).get_event(event).await.unwrap().into_inner().lead_id;
    stage.was_resent(&stage.receiver, ACCOUNT, "order-7", &lead).await;
}
