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
    world::{ACCOUNT, INTERFACE, World},
};

/// The events that each client publishes. They fill three pages of two.
const EVENTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(120);
const NO_ENVIRONMENT: [(&str, &str); 0] = [];

/// A system whose receiver refuses each event once.
async fn stage(events: usize) -> (World, Receiver) {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer_next(std::iter::repeat_n(Answer::Status(500), events));
    world.destination(&receiver.url()).await;
    (world, receiver)
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
async fn python_client_publishes_watches_lists_and_retries() {
    let generated = tempfile::tempdir().unwrap();
    let folder = generated.path().to_str().unwrap();
    generate(&["--python_out", folder, "--grpc_python_out", folder]);
    let (world, receiver) = stage(EVENTS).await;
    let count = EVENTS.to_string();
    let address = world.grpc.trim_start_matches("http://");
    let args = [&script("python/client.py"), folder, address, &world.key, ACCOUNT, INTERFACE, &count];
    let client = Process::start("client.py", root().join(".tools/python-grpc/bin/python"), args, NO_ENVIRONMENT);
    let said = client.wait_line("refused:", PATIENCE).await;
    assert_eq!(said, "failed: 5 on 3 pages; succeeded: 5; found: py1; refused: FAILED_PRECONDITION");
    assert_eq!(receiver.count(), 2 * EVENTS);
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
    for (protocol, refused) in [
        ("connect", "FailedPrecondition with google.rpc.ErrorInfo"),
        ("grpc-web", "FailedPrecondition with google.rpc.ErrorInfo"),
    ] {
        let (world, receiver) = stage(EVENTS).await;
        let count = EVENTS.to_string();
        let args = [client.to_str().unwrap(), protocol, &world.http, &world.key, ACCOUNT, INTERFACE, &count];
        let client = Process::start("client.ts", Path::new("node"), args, NO_ENVIRONMENT);
        let said = client.wait_line("refused:", PATIENCE).await;
        let expected = format!("failed: 5 on 3 pages; succeeded: 5; found: {protocol}1; refused: {refused}");
        assert_eq!(said, expected, "{protocol}");
        assert_eq!(receiver.count(), 2 * EVENTS);
    }
}

#[tokio::test]
async fn curl_works_as_the_readme_shows() {
    let text = fs::read_to_string(script("curl.sh")).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains(text.trim()), "README.md does not quote tests/e2e/clients/curl.sh");
    let (world, receiver) = stage(1).await;
    world.interface("contact-form").await;
    let environment = [("LEADLINE_URL", world.http.as_str()), ("LEADLINE_API_KEY", &world.key)];
    let curl = Process::start("curl.sh", Path::new("sh"), ["-eu", &script("curl.sh")], environment);
    assert!(curl.wait_exit(PATIENCE).await.success(), "{}", curl.output());
    assert!(curl.output().contains(r#""eventId":"order-7""#), "{}", curl.output());
    assert!(curl.output().contains(r#""leadId":""#), "{}", curl.output());
    assert_eq!(receiver.count(), 2);
}
