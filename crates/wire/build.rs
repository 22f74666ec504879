//! Compiles `proto/` without `protoc`: protox parses, tonic-prost-build generates.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let files = [
        "events/v1/events",
        "v1/ingest",
        "v1/account",
        "v1/audit",
        "v1/registry",
        "v1/delivery",
        "v1/lead",
        "v1/status",
    ]
    .map(|name| root.join(format!("leadline/{name}.proto")));
    println!("cargo:rerun-if-changed={}", root.display());

    let descriptors = protox::compile(&files, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".leadline.events.v1.LeadEvent.payload")
        .bytes(".leadline.v1.PublishLeadRequest.payload")
        .bytes(".leadline.v1.ExportLeadsResponse.csv")
        .compile_fds(descriptors)?;
    Ok(())
}
