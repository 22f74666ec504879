//! Resource usage of a process, from the operating system.

use std::fs;

use testkit::Process;

/// The number after a name in `/proc/<pid>/status`, in KiB for `VmHWM` (peak memory) and `VmRSS`.
pub(crate) fn status(process: &Process, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

pub(crate) fn open_files(process: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count()
}
