//! How many files a process may have open, of which each of its connections is one.

use std::{fs::File, io};

use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::close,
};

use crate::ErrorChain as _;

/// For how many the kernel makes room at once.
const ROOM: i32 = 16 * 1024;
/// The most that the limit is lifted to; what Linux allows unless it is told otherwise (`fs.nr_open`).
const MOST: u64 = 1024 * 1024;
/// One of this many files may be a connection from outside.
const PART_FOR_CALLERS: usize = 4;

/// Lets this process have as many files open as its hard limit allows (the usual soft one, 1,024, is fewer than hanging
/// receivers have connections) and makes room for [`ROOM`] of them. A table that is full is doubled, and meanwhile no
/// thread of the process opens a file or takes a connection: 5 to 15 ms, each time. What of it is refused, is logged.
pub fn make_room() {
    if let Err(error) = lift() {
        tracing::warn!(
            error = error.chain(),
            "the limit of open files (RLIMIT_NOFILE) cannot be lifted; it stays as it is"
        );
    }
    if let Err(error) = reserve(i32::try_from(most()).map_or(ROOM, |most| most.min(ROOM))) {
        tracing::warn!(
            error = error.chain(),
            "no room can be made for files in advance; it is made when they are opened"
        );
    }
}

fn lift() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard.min(MOST) {
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(MOST), hard)?;
    }
    Ok(())
}

/// The table of files has room for the highest number that was ever in use.
fn reserve(files: i32) -> io::Result<()> {
    let highest = fcntl(File::open("/dev/null")?, FcntlArg::F_DUPFD_CLOEXEC(files - 1))?;
    Ok(close(highest)?)
}

/// How many connections callers may have open together: a part of all files, so that connections from outside cannot use
/// up those that deliveries need. Half of all is for requests of the dispatcher; the rest for connections that are kept for
/// the next request, for broker and database.
pub fn for_callers() -> usize {
    most() / PART_FOR_CALLERS
}

/// How many files this process may have open.
pub fn most() -> usize {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(usize::MAX, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_all_that_may_be_opened_or_for_many() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(256), hard).unwrap();
        make_room();
        assert_eq!(most(), usize::try_from(hard.min(MOST)).unwrap());
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let room = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        assert!(room.trim().parse::<u64>().unwrap() >= hard.min(ROOM.try_into().unwrap()), "{room}");
    }
}
