//! The tested versions: `docs/compatibility.md` is generated from this list and from the downloaded tools.

use std::{fs, path::Path, process::Command};

use testkit::{nats, zoo::program};

use crate::features::{exists, root};

/// The variable that makes the test write the document.
const WRITE: &str = "LEADLINE_WRITE_COMPATIBILITY";

const TITLE: &str = "\
# Compatibility

Leadline is tested against these versions, which `tools/` downloads; newer versions are expected to work. The tests generate
this page (`LEADLINE_WRITE_COMPATIBILITY=1 cargo test -p leadline --test e2e -- tested_against::`) and fail if a named test
does not exist or a version differs.

| what | version | tests |
|---|---|---|
";

struct Row {
    what: &'static str,
    version: fn() -> String,
    tests: &'static [&'static str],
}

const ROWS: [Row; 12] = [
    Row {
        what: "nats-server, alone and as a cluster of three",
        version: || of(nats::binary(), "--version"),
        tests: &[
            "brokers::cluster_survives_rolling_restarts_in_lame_duck_mode",
            "brokers::cluster_survives_changes_of_stream_leaders",
            "chaos: cluster::cluster_survives_its_leaders_and_the_restart_of_every_node",
            "tls::broker_connection_uses_tls_with_a_client_certificate",
            "tls::replaced_broker_certificates_are_read_at_the_next_connection",
        ],
    },
    Row {
        what: "PostgreSQL, with and without TLS",
        version: || of(Path::new(&brought("bring-postgres")).join("postgres"), "--version"),
        tests: &[
            "databases::postgres_with_tls_only_is_used_over_tls",
            "rebuild::rebuilt_read_model_is_the_same_on_both_databases",
            "history::ended_history_is_pruned_and_open_deliveries_stay",
        ],
    },
    Row {
        what: "PgBouncer in transaction mode",
        version: || of(brought("bring-pgbouncer"), "--version"),
        tests: &["databases::queries_work_behind_a_transaction_pooler"],
    },
    Row {
        what: "SQLite (libsqlite3-sys)",
        version: || locked("libsqlite3-sys"),
        tests: &[
            "rebuild::rebuilt_read_model_is_the_same_on_both_databases",
            "history::ended_history_is_pruned_and_open_deliveries_stay",
        ],
    },
    Row {
        what: "receivers on hyper, with HTTP/1.1",
        version: || locked("hyper"),
        tests: &["first_delivery::lead_arrives_byte_for_byte_and_signed"],
    },
    Row {
        what: "receivers on h2, with HTTP/2",
        version: || locked("h2"),
        tests: &["receivers::low_http2_stream_limits_cause_no_timeouts"],
    },
    Row {
        what: "receivers on node",
        version: || of(program("node"), "--version"),
        tests: &["receivers::node_accepts_all_leads_at_their_first_attempt"],
    },
    Row {
        what: "receivers on Python's http.server",
        version: || of("python3", "--version"),
        tests: &["receivers::python_accepts_all_leads_at_their_first_attempt"],
    },
    Row {
        what: "receivers on nginx, with HTTP/2 over TLS",
        version: || of(program("nginx"), "-v"),
        tests: &["receivers::nginx_with_http2_accepts_all_leads_at_their_first_attempt"],
    },
    Row {
        what: "receivers behind HAProxy",
        version: || of(program("haproxy"), "-v"),
        tests: &["receivers::haproxy_before_node_accepts_all_leads_at_their_first_attempt"],
    },
    Row {
        what: "gRPC clients with the C core (grpcio of Python)",
        version: || {
            let text = fs::read_to_string(root().join("tools/bring-python-grpc")).unwrap();
            number(text.split_once("grpcio==").unwrap().1)
        },
        tests: &["limits::grpcio_streams_events_without_waiting_for_answers"],
    },
    Row {
        what: "OTLP collectors (opentelemetry-proto)",
        version: || locked("opentelemetry-proto"),
        tests: &["traces::one_trace_connects_publish_attempts_and_mail"],
    },
];

#[test]
fn compatibility_page_matches_versions_and_tests() {
    let missing: Vec<_> = ROWS.iter().flat_map(|row| row.tests).filter(|test| !exists(test)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let mut text = TITLE.to_owned();
    for row in ROWS {
        let tests: Vec<_> = row.tests.iter().map(|test| format!("`{test}`")).collect();
        text.push_str(&format!("| {} | {} | {} |\n", row.what, (row.version)(), tests.join(", ")));
    }
    let file = root().join("docs/compatibility.md");
    if std::env::var_os(WRITE).is_some() {
        fs::write(&file, &text).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == text, "{} is out of date; write it with {WRITE}=1; it should be:\n{text}", file.display());
}

/// The version that a program prints.
fn of(program: impl AsRef<Path>, argument: &str) -> String {
    let program = program.as_ref();
    let output = Command::new(program).arg(argument).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    // nginx prints it on standard error.
    let text = [output.stdout, output.stderr].concat();
    number(&String::from_utf8_lossy(&text))
}

/// The output of a script of `tools/`.
fn brought(script: &str) -> String {
    let output = Command::new(root().join("tools").join(script)).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The version of a library in Cargo.lock.
fn locked(name: &str) -> String {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let entry = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).unwrap().1;
    number(entry)
}

/// The first number with a dot.
fn number(text: &str) -> String {
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.')).map(|word| word.trim_matches('.'));
    words.into_iter().find(|word| word.contains('.')).unwrap_or_else(|| panic!("no version in {text}")).to_owned()
}
