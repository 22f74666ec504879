//! The crates of the domain, the stored facts, the journal and the read model must not depend on gRPC or the API.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// This crate may depend on gRPC: it has the listener, besides the telemetry and errors that every crate needs.
const WITH_LISTENERS: &str = "runtime";

/// The dependencies of each crate of `crates/`, without those of its tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifests = fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().path().join("Cargo.toml"));
    manifests
        .filter_map(|manifest| fs::read_to_string(manifest).ok())
        .map(|manifest| {
            let sections = manifest.split("\n[").map(|section| section.split_once("]\n").unwrap_or((section, "")));
            let (mut name, mut needed) = (String::new(), BTreeSet::new());
            for (title, lines) in sections {
                match title.trim_start_matches('[') {
                    "package" => {
                        let line = lines.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap();
                        name = line.trim_end_matches('"').to_owned();
                    }
                    "dependencies" | "build-dependencies" => {
                        let names = lines.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
                        needed.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
                    }
                    _ => {}
                }
            }
            (name, needed)
        })
        .collect()
}

#[test]
fn facts_journal_and_read_model_know_no_grpc() {
    let all = dependencies();
    assert!(all["api"].contains("tonic") && all["api"].contains("domain"), "the manifests are read: {all:?}");
    for of in ["domain", "events", "journal", "read_model"] {
        let (mut reached, mut left) = (BTreeSet::from([of.to_owned()]), vec![of.to_owned()]);
        while let Some(name) = left.pop() {
            if name == WITH_LISTENERS {
                continue;
            }
            for needed in all.get(&name).into_iter().flatten() {
                if reached.insert(needed.clone()) {
                    left.push(needed.clone());
                }
            }
        }
        let wrong: Vec<_> = reached.iter().filter(|name| *name == "api" || name.starts_with("tonic")).collect();
        assert!(wrong.is_empty(), "{of} depends on {wrong:?}");
    }
}
