//! Python's standard library, for checks that are independent of the tested code.

use std::{io::Write as _, process::Stdio};

/// Runs a program with these arguments and standard input. Returns its output.
pub(crate) fn python(program: &str, args: &[&str], input: &[u8]) -> String {
    let mut python = std::process::Command::new("python3")
        .args(["-c", program])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(input).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(input));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
