//! Compiles the stored facts of `proto/` without `protoc`: protox parses, prost-build generates.

use std::{env, error::Error, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.join("leadline/events").display());
    let files = ["events", "lookup"].map(|name| root.join(format!("leadline/events/v1/{name}.proto")));
    let files = protox::compile(files, [&root])?;
    prost_build::Config::new()
        .bytes([".leadline.events.v1.LeadEvent.payload", ".leadline.events.v1.DeliveryAttempted.exchange"])
        .compile_fds(files)?;
    Ok(())
}
