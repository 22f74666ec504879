//! What a process takes, as the operating system counts it.

use std::fs;

use testkit::Process;

/// The number behind a name in `/proc/<pid>/status`: kibibytes for `VmHWM` (the most memory that it ever had) and `VmRSS`.
pub(crate) fn status(process: &Process, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

pub(crate) fn open_files(process: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count()
}
