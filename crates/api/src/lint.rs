//! Tests that only this crate makes statuses and reads fields. They search every source file of the services.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The constructors of a status.
const CONSTRUCTORS: [&str; 20] = [
    "new",
    "with_details",
    "with_error_details",
    "with_metadata",
    "from_error",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "unauthenticated",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The lines of the services, without their tests, for which a rule holds.
fn lines_of_services(holds: impl Fn(&str) -> bool) -> Vec<String> {
    let mut files = vec![];
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../services"), &mut files);
    assert!(files.len() > 100, "cannot find the sources of the services");
    let mut found = vec![];
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let lines = code.lines().enumerate().filter(|(_, line)| holds(line));
        found.extend(lines.map(|(number, line)| format!("{}:{}: {}", file.display(), number + 1, line.trim())));
    }
    found
}

/// Whether a line calls a constructor of a status. Such a status has no reason for programs.
fn makes_status(line: &str) -> bool {
    line.match_indices("Status::").any(|(at, found)| {
        let is_other = line[..at].ends_with(|c: char| c.is_alphanumeric());
        let name = line[at + found.len()..].split(|c: char| !c.is_alphanumeric() && c != '_').next();
        !is_other && name.is_some_and(|name| CONSTRUCTORS.contains(&name))
    })
}

#[test]
fn no_service_makes_a_status_by_itself() {
    assert!(makes_status("Err(Status::internal(text))") && makes_status("map_err(tonic::Status::not_found)"));
    assert!(!makes_status("DeliveryStatus::new(1)") && !makes_status("Result<T, Status>"));
    let wrong = lines_of_services(makes_status);
    assert!(wrong.is_empty(), "make statuses with api::status:\n{}", wrong.join("\n"));
}

/// Texts of the errors of the helpers that read a field. A service that contains one of them has its own helper.
const WORDS: [&str; 2] = ["\"is missing\"", "\"is out of range\""];
/// The attributes of CloudEvents are not fields of the API.
const OTHER_FIELDS: &str = "ingest/src/http/cloud_events.rs:";

#[test]
fn no_service_reads_required_fields_and_times_by_itself() {
    let mut wrong = lines_of_services(|line| WORDS.iter().any(|words| line.contains(words)));
    wrong.retain(|line| !line.contains(OTHER_FIELDS));
    assert!(wrong.is_empty(), "read fields with api::request:\n{}", wrong.join("\n"));
}
