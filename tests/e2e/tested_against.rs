//! What Leadline was tested against: `docs/compatibility.md` is made from this list, and from what the tools bring.

use std::{fs, path::Path, process::Command};

use testkit::{nats, zoo::program};

use crate::features::{exists, root};

/// Says that the document is to be written.
const WRITE: &str = "LEADLINE_WRITE_COMPATIBILITY";

const TITLE: &str = "\
# Compatibility

What Leadline was tested against, in the versions that `tools/` brings to the machine of the tests; newer ones are expected to
work. This page is made by the tests (`LEADLINE_WRITE_COMPATIBILITY=1 cargo test -p leadline --test e2e -- tested_against::`),
which fail if a test that it names does not exist, or a version is another one.

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
            "brokers::a_cluster_is_restarted_node_by_node_in_lame_duck_mode_and_by_signal",
            "brokers::leaders_of_streams_and_of_the_router_step_down",
            "chaos: cluster::a_cluster_outlives_its_leaders_and_the_restart_of_every_node",
            "tls::the_broker_is_spoken_to_over_tls_with_a_certificate_of_ones_own",
            "tls::certificates_for_the_broker_that_are_replaced_on_disk_are_read_at_the_next_connection",
        ],
    },
    Row {
        what: "PostgreSQL, with and without TLS",
        version: || of(Path::new(&brought("bring-postgres")).join("postgres"), "--version"),
        tests: &[
            "databases::a_database_that_takes_tls_only_is_used_over_tls",
            "rebuild::a_rebuilt_read_model_is_the_same_on_both_databases",
            "history::what_has_ended_is_pruned_and_what_waits_stays",
        ],
    },
    Row {
        what: "PgBouncer in transaction mode",
        version: || of(brought("bring-pgbouncer"), "--version"),
        tests: &["databases::a_transaction_pooler_answers_every_question_and_survives_restarts"],
    },
    Row {
        what: "SQLite, as libsqlite3-sys has it",
        version: || locked("libsqlite3-sys"),
        tests: &[
            "rebuild::a_rebuilt_read_model_is_the_same_on_both_databases",
            "history::what_has_ended_is_pruned_and_what_waits_stays",
        ],
    },
    Row {
        what: "receivers on hyper, with HTTP/1.1",
        version: || locked("hyper"),
        tests: &["happy::a_lead_arrives_byte_for_byte_and_signed"],
    },
    Row {
        what: "receivers on h2, with HTTP/2",
        version: || locked("h2"),
        tests: &["receivers::few_streams_of_http2_are_no_timeouts"],
    },
    Row {
        what: "receivers on node",
        version: || of(program("node"), "--version"),
        tests: &["receivers::node_takes_all_leads_at_their_first_attempt"],
    },
    Row {
        what: "receivers on Python's http.server",
        version: || of("python3", "--version"),
        tests: &["receivers::python_takes_all_leads_at_their_first_attempt"],
    },
    Row {
        what: "receivers on nginx, with HTTP/2 over TLS",
        version: || of(program("nginx"), "-v"),
        tests: &["receivers::nginx_with_http_2_takes_all_leads_at_their_first_attempt"],
    },
    Row {
        what: "receivers behind HAProxy",
        version: || of(program("haproxy"), "-v"),
        tests: &["receivers::haproxy_before_node_takes_all_leads_at_their_first_attempt"],
    },
    Row {
        what: "gRPC clients on the C core (grpcio of Python)",
        version: || {
            let text = fs::read_to_string(root().join("tools/bring-python-grpc")).unwrap();
            number(text.split_once("grpcio==").unwrap().1)
        },
        tests: &["limits::grpcio_streams_events_of_any_size_without_waiting_for_answers"],
    },
    Row {
        what: "collectors that take OTLP (opentelemetry-proto)",
        version: || locked("opentelemetry-proto"),
        tests: &["traces::a_trace_runs_from_the_publish_call_through_every_attempt_to_the_mail"],
    },
];

#[test]
fn the_document_names_the_versions_that_the_tests_ran_with_and_tests_that_exist() {
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
    assert!(written == text, "{} is to be made again with {WRITE}=1; it should be:\n{text}", file.display());
}

/// The version that a program tells.
fn of(program: impl AsRef<Path>, argument: &str) -> String {
    let program = program.as_ref();
    let output = Command::new(program).arg(argument).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    // nginx tells it on the other stream.
    let text = [output.stdout, output.stderr].concat();
    number(&String::from_utf8_lossy(&text))
}

/// What a script of `tools/` prints.
fn brought(script: &str) -> String {
    let output = Command::new(root().join("tools").join(script)).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The version of a library that is in the program.
fn locked(name: &str) -> String {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let entry = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).unwrap().1;
    number(entry)
}

/// The first number with a dot in it.
fn number(text: &str) -> String {
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.')).map(|word| word.trim_matches('.'));
    words.into_iter().find(|word| word.contains('.')).unwrap_or_else(|| panic!("no version in {text}")).to_owned()
}
