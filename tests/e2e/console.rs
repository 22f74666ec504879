//! The console in a browser: the tests of `console/tests`, which start this program and work with it in Chromium.

use std::{
    io::{Write as _, stderr},
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{features::root, world::program};

/// The folder of Node.js and the path of Chromium from `tools/bring-browser`.
fn browser() -> (String, PathBuf) {
    let brought = Command::new(root().join("tools/bring-browser")).stderr(Stdio::inherit()).output().unwrap();
    assert!(brought.status.success(), "tools/bring-browser failed");
    let text = String::from_utf8(brought.stdout).unwrap();
    let named = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    (named("node "), named("chromium ").into())
}

/// Runs the tests whose titles match the pattern; all if it is empty. Panics with their output if one fails.
fn run(pattern: &str) {
    let (node, chromium) = browser();
    let path = format!("{node}:{}", std::env::var("PATH").unwrap());
    let folder = root().join("console");
    let mut tests = Command::new(folder.join("node_modules/.bin/playwright"));
    tests.args(["test", "--grep", pattern]).current_dir(folder);
    tests.env("PATH", path).env("LEADLINE_CHROMIUM", chromium).env("LEADLINE_PROGRAM", program());
    tests.env("LEADLINE_NATS_SERVER", testkit::nats::binary()).env_remove("LEADLINE_PICTURES");
    let ran = tests.output().unwrap();
    let (out, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{errors}");
    // A line such as "66 passed (2.4m)". It is shown even if all tests pass, because docs/console.md says how long they
    // may take.
    let total = out.lines().rfind(|line| line.contains(" passed (")).unwrap_or_default();
    // The harness hides what a passing test prints with eprintln.
    let mut terminal = stderr();
    writeln!(terminal, "tests of the console: {}", total.trim()).unwrap();
}

#[test]
fn console_tests_pass_in_a_browser() {
    run("");
}
