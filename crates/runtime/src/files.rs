//! How many files a process may have open, of which each of its connections is one.

use std::{fs::File, io};

use nix::{
    fcntl::{FcntlArg, fcntl},
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::close,
};

/// For how many the kernel makes room at once.
const ROOM: i32 = 16 * 1024;

/// Lets this process have as many files open as its hard limit allows (the usual soft one, 1,024, is fewer than hanging
/// receivers have connections) and makes room for [`ROOM`] of them. A table that is full is doubled, and meanwhile no
/// thread of the process opens a file or takes a connection: 5 to 15 ms, each time.
///
/// # Errors
/// When the limit cannot be read or set.
pub fn make_room() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    let most = i32::try_from(hard).unwrap_or(i32::MAX);
    // The table has room for the highest number that was ever in use.
    let highest = fcntl(File::open("/dev/null")?, FcntlArg::F_DUPFD_CLOEXEC(ROOM.min(most) - 1))?;
    Ok(close(highest)?)
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
        make_room().unwrap();
        assert_eq!(most(), usize::try_from(hard).unwrap());
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let room = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        assert!(room.trim().parse::<u64>().unwrap() >= hard.min(ROOM.try_into().unwrap()), "{room}");
    }
}
