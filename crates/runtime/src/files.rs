//! The limit of open files of a process; each connection is an open file.

use std::{fs::File, io};

use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::close,
};

use crate::chain::ErrorChain as _;

/// The number of files for which the kernel's table is sized in advance.
const RESERVED_FILES: i32 = 16 * 1024;
/// The maximum of the lifted limit. Linux allows this unless `fs.nr_open` is lower.
const MAX_FILES: u64 = 1024 * 1024;
/// Connections of callers may use the number of open files divided by this.
const CALLERS_DIVISOR: usize = 4;

/// Lifts the limit of open files to the hard limit, because the usual soft limit, 1,024, is less than hanging receivers
/// need. Also sizes the kernel's table for [`RESERVED_FILES`] files. The kernel doubles a full table, and meanwhile no
/// thread of the process can open a file or accept a connection: 5 to 15 ms each time. A failure is only logged.
pub fn make_room() {
    if let Err(error) = lift() {
        tracing::warn!(
            error = error.chain(),
            "cannot lift the limit of open files (RLIMIT_NOFILE); it stays unchanged"
        );
    }
    if let Err(error) = reserve(i32::try_from(max_open()).map_or(RESERVED_FILES, |limit| limit.min(RESERVED_FILES))) {
        tracing::warn!(
            error = error.chain(),
            "cannot size the table of open files in advance; the kernel grows it on demand"
        );
    }
}

fn lift() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard.min(MAX_FILES) {
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(MAX_FILES), hard)?;
    }
    Ok(())
}

/// The kernel sizes the table for the highest descriptor that was ever in use.
fn reserve(files: i32) -> io::Result<()> {
    let highest = fcntl(File::open("/dev/null")?, FcntlArg::F_DUPFD_CLOEXEC(files - 1))?;
    Ok(close(highest)?)
}

/// How many connections all callers together may have open: a quarter of the files, so that callers cannot use up the
/// files that deliveries need. Half of the files is for requests of the dispatcher. The rest is for idle connections to
/// receivers, for the broker and for the database.
pub fn for_callers() -> usize {
    max_open() / CALLERS_DIVISOR
}

/// The limit of open files of this process.
pub fn max_open() -> usize {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(usize::MAX, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_lifted_and_the_table_is_sized() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(256), hard).unwrap();
        make_room();
        assert_eq!(max_open(), usize::try_from(hard.min(MAX_FILES)).unwrap());
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let room = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        assert!(room.trim().parse::<u64>().unwrap() >= hard.min(RESERVED_FILES.try_into().unwrap()), "{room}");
    }
}
