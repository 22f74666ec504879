//! Clients in other languages with code generated from the protos, and curl.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use testkit::{Answer, Process, Receiver};

use crate::{
    features::root,
    world::{ACCOUNT, INTERFACE, World, some_destination},
};

/// The events that each client publishes. They fill three pages of two.
const EVENTS: usize = 5;
/// The leads that each client pages through: 20 pages of 500.
const LEADS: usize = 10_000;
/// An interface whose events no destination wants.
const IMPORTED: &str = "imported";
const PATIENCE: Duration = Duration::from_secs(300);
const NO_ENVIRONMENT: [(&str, &str); 0] = [];

/// A system whose receiver refuses each event of an interface once.
async fn stage(interface: &str, events: usize) -> (World, Receiver) {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer_next(std::iter::repeat_n(Answer::Status(500), events));
    if interface != INTERFACE {
        world.interface(interface).await;
    }
    let interface_id = interface.to_owned();
    world.destination_with(api::Destination { interface_id, url: receiver.url(), ..some_destination() }).await;
    (world, receiver)
}

/// Runs a client until it ends. Returns the lines that it wrote.
async fn ran(name: &str, program: &Path, args: &[&str]) -> Vec<String> {
    let client = Process::start(name, program, args, NO_ENVIRONMENT);
    assert!(client.wait_exit(PATIENCE).await.success(), "{}", client.output());
    client.output().lines().map(str::to_owned).collect()
}

/// What a client writes that did everything. Its events have this prefix.
fn expected(prefix: &str, refused: &str) -> Vec<String> {
    vec![
        "failed: 5 on 3 pages; succeeded: 5".into(),
        format!("found: {prefix}1; payload: {prefix}1@example.com"),
        "explained: The destination gets the event. The delivery is succeeded. Against it: nothing".into(),
        format!("without force: {refused}; resent: {prefix}1"),
        format!("stored: {LEADS}; listed: {LEADS} of {LEADS} on 20 pages; the same: true"),
        "done".into(),
    ]
}

/// The receiver got each event twice and the resent one three times, and the log says why.
async fn was_resent(world: &World, receiver: &Receiver, event: &str, lead: &str) {
    let sent =
        |event: &str| receiver.requests().iter().filter(|seen| seen.header("leadline-event-id") == event).count();
    assert_eq!(sent(event), 3);
    let request = api::GetLeadLogRequest { account_id: ACCOUNT.into(), lead_id: lead.into(), ..Default::default() };
    let log = world.leads().get_lead_log(request).await.unwrap().into_inner().entries;
    let mut reasons = log.iter().filter(|entry| entry.kind() == api::LeadLogKind::Resentwebhook);
    assert!(reasons.next_back().unwrap().detail.contains("the receiver lost it"), "{log:?}");
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
    let generated = tempfile::tempdir().unwrap();
    let folder = generated.path().to_str().unwrap();
    generate(&["--python_out", folder, "--grpc_python_out", folder]);
    let (world, receiver) = stage(INTERFACE, EVENTS).await;
    world.interface(IMPORTED).await;
    let (count, leads) = (EVENTS.to_string(), LEADS.to_string());
    let address = world.grpc.trim_start_matches("http://");
    let client = script("python/client.py");
    let args = [&client, folder, address, &world.key, ACCOUNT, INTERFACE, &count, IMPORTED, &leads];
    let said = ran("client.py", &root().join(".tools/python-grpc/bin/python"), &args).await;
    assert_eq!(said, expected("py", "FAILED_PRECONDITION"));
    assert_eq!(receiver.count(), 2 * EVENTS + 1);
    was_resent(&world, &receiver, "py1", "py1").await;
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
    let folder = tempfile::tempdir().unwrap();
    let client = compiled(folder.path());
    let client = client.to_str().unwrap();
    for protocol in ["connect", "grpc-web"] {
        let (world, receiver) = stage(INTERFACE, EVENTS).await;
        world.interface(IMPORTED).await;
        let (count, leads) = (EVENTS.to_string(), LEADS.to_string());
        let args = [client, protocol, &world.http, &world.key, ACCOUNT, INTERFACE, &count, IMPORTED, &leads];
        let said = ran("client.ts", Path::new("node"), &args).await;
        assert_eq!(said, expected(protocol, "FailedPrecondition with google.rpc.ErrorInfo"), "{protocol}");
        assert_eq!(receiver.count(), 2 * EVENTS + 1);
        let resent = format!("{protocol}1");
        was_resent(&world, &receiver, &resent, &resent).await;
    }
}

#[tokio::test]
async fn curl_works_as_the_readme_shows() {
    let text = fs::read_to_string(script("curl.sh")).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains(text.trim()), "README.md does not quote tests/e2e/clients/curl.sh");
    let (world, receiver) = stage("contact-form", 1).await;
    let environment = [("LEADLINE_URL", world.http.as_str()), ("LEADLINE_API_KEY", &world.key)];
    let curl = Process::start("curl.sh", Path::new("sh"), ["-eu", &script("curl.sh")], environment);
    assert!(curl.wait_exit(PATIENCE).await.success(), "{}", curl.output());
    let said = curl.output();
    for step in [
        r#""leadId":""#,
        r#"\"email\": \"ada@example.com\""#,
        "The destination gets the event. The delivery is failed",
        r#""eventId":"order-7""#,
        r#""retries":2"#,
    ] {
        assert!(said.contains(step), "{step}: {said}");
    }
    assert!(said.trim_end().ends_with("}10000 leads"), "{said}");
    assert_eq!(receiver.count(), 3);
    let lead = world.delivery("order-7").await.delivery.unwrap().lead_id;
    was_resent(&world, &receiver, "order-7", &lead).await;
}
