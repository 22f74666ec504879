//! Another hand than the one that is tested: Python's standard library.

use std::{io::Write as _, process::Stdio};

/// What a program prints that gets these arguments, and this on its standard input.
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
