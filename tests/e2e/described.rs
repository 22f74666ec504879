//! The OpenAPI description, checked by third-party programs.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use prost_reflect::DescriptorPool;
use serde_json::Value;
use testkit::Process;

use crate::{
    features::root,
    web::sent,
    world::{ACCOUNT, World, web},
};

const PATIENCE: Duration = Duration::from_secs(300);
const NO_ENVIRONMENT: [(&str, &str); 0] = [];

/// A program that `tools/bring-openapi-tools` downloads.
pub(crate) fn tool(name: &str) -> PathBuf {
    let program = root().join(".tools/openapi/bin").join(name);
    assert!(program.is_file(), "no {name}: run tools/bring-openapi-tools");
    program
}

#[tokio::test]
async fn openapi_is_valid_and_complete_and_docs_load_nothing_external() {
    let world = World::start().await;
    let get = |path: &str| sent(web().get(format!("{}/{path}", world.http)));
    let description = get("openapi.json").await;
    assert_eq!((description.status, description.header("content-type")), (200, "application/json"));
    let paths = description.json()["paths"].clone();
    let pool = DescriptorPool::decode(api::DESCRIPTORS).unwrap();
    let methods = pool.services().filter(|service| service.package_name() == "leadline.v1");
    for method in methods.flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let is_stream = method.is_client_streaming() || method.is_server_streaming();
        assert_eq!(paths[&path]["post"].is_null(), is_stream, "{path}");
    }
    assert!(paths["/v1/leads"]["post"].is_object());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.json");
    fs::write(&file, &description.body).unwrap();
    let checked = Command::new(tool("python")).args(["-m", "openapi_spec_validator"]).arg(&file).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));

    let page = get("docs").await;
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{:?}", page.headers);
    for asset in ["docs", "docs/docs.js", "docs/docs.css"] {
        let asset = get(asset).await;
        assert_eq!(asset.status, 200);
        let text = String::from_utf8(asset.body).unwrap();
        assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
    }
}

#[tokio::test]
async fn schemathesis_finds_no_undescribed_answer() {
    let world = World::start().await;
    let (key, _) = world.new_key(ACCOUNT, &[api::Scope::Admin]).await;
    let (description, authorization) = (format!("{}/openapi.json", world.http), format!("authorization: Bearer {key}"));
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    let args = [
        "run",
        &description,
        "--header",
        &authorization,
        "--checks",
        checks,
        "--phases",
        "fuzzing",
        "--mode",
        "positive",
        "--max-examples",
        "2",
        "--seed",
        "1",
        "--workers",
        "2",
        "--no-color",
        "--generation-database",
        "none",
    ];
    let schemathesis = Process::start("schemathesis", tool("schemathesis"), args, NO_ENVIRONMENT);
    let ended = schemathesis.wait_exit(PATIENCE).await;
    assert!(ended.success(), "{}", schemathesis.output());
    assert!(schemathesis.output().contains("Tested"), "{}", schemathesis.output());
    let still = sent(web().get(format!("{}/readyz", world.http))).await;
    assert_eq!(serde_json::from_slice::<Value>(&still.body).unwrap()["broker"], "ready");
}
