//! Compiles `proto/` without `protoc`: protox parses, tonic-prost-build generates.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let files = [
        "v1/access",
        "v1/ingest",
        "v1/account",
        "v1/audit",
        "v1/registry",
        "v1/delivery",
        "v1/lead",
        "v1/job",
        "v1/problem",
        "v1/routing",
        "v1/status",
    ]
    .map(|name| root.join(format!("leadline/{name}.proto")));
    println!("cargo:rerun-if-changed={}", root.display());

    let mut compiler = protox::Compiler::new([&root])?;
    // The comments of the files describe methods and fields to callers: over reflection, and in OpenAPI.
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // The compiler encodes the descriptors, because prost would leave out the custom options of methods.
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    // The command line finds the descriptor of a message by its name.
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    config.disable_comments(["."]);
    tonic_prost_build::configure()
        .bytes(".leadline.v1.PublishLeadRequest.payload")
        .bytes(".leadline.v1.ExportLeadsResponse.csv")
        .bytes(".leadline.v1.Event.payload")
        .bytes(".leadline.v1.RenderedRequest.body")
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    Ok(())
}
