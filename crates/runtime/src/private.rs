//! Files for their owner only: they hold leads, answers of receivers and keys.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use nix::sys::stat::{Mode, umask};

use crate::ErrorChain as _;

/// What group and others may do.
const OF_OTHERS: u32 = 0o077;

/// Makes every new file and folder of this process and its children private to their owner, also those that libraries and
/// the broker make: the database and its log, mails, streams.
pub fn make_new_files_private() {
    umask(Mode::from_bits_truncate(OF_OTHERS));
}

/// Takes from group and others what they may do to a file, or to a folder and all that is in it, which a version before
/// this one, or a person, left to them. A folder that is closed to them is not looked into. What does not exist is private.
/// A failure is logged only: the owner of a folder may be another user, who has to know.
pub fn tighten(path: &Path) {
    match tightened(path) {
        Ok(0) => {}
        Ok(count) => tracing::warn!(path = %path.display(), count, "closed files and folders to group and others"),
        Err(error) => {
            tracing::warn!(path = %path.display(), error = error.chain(), "cannot close files to group and others")
        }
    }
}

/// How many files and folders were open.
fn tightened(path: &Path) -> io::Result<usize> {
    let Some(mode) = mode(path)? else { return Ok(0) };
    if mode & OF_OTHERS == 0 {
        return Ok(0);
    }
    let mut count = 0;
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for inside in entries(&folder)? {
            let Some(mode) = self::mode(&inside)? else { continue };
            count += usize::from(close(&inside, mode)?);
            if inside.is_dir() {
                folders.push(inside);
            }
        }
    }
    // Last, so that it is looked into again if this is interrupted.
    Ok(count + usize::from(close(path, mode)?))
}

/// What is in a folder; nothing is in a file, or in a folder that is gone.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(found) => found.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::NotFound) => Ok(vec![]),
        Err(error) => Err(error),
    }
}

/// The permissions of a file or folder; `None` if it does not exist, or is only a link.
fn mode(path: &Path) -> io::Result<Option<u32>> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Ok(None),
        Ok(found) => Ok(Some(found.permissions().mode())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn close(path: &Path, mode: u32) -> io::Result<bool> {
    if mode & OF_OTHERS == 0 {
        return Ok(false);
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(mode & !OF_OTHERS)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_version_left_open_is_closed_and_links_are_not_followed() {
        let top = tempfile::tempdir().unwrap();
        let (data, elsewhere) = (top.path().join("data"), top.path().join("elsewhere"));
        fs::create_dir_all(data.join("outbox")).unwrap();
        for file in [&elsewhere, &data.join("leadline.db"), &data.join("outbox/mail.eml")] {
            fs::write(file, "x").unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
        }
        for folder in [&data, &data.join("outbox")] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::os::unix::fs::symlink(&elsewhere, data.join("link")).unwrap();

        assert_eq!(tightened(&data).unwrap(), 4);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&data), mode(&data.join("outbox"))), (0o700, 0o700));
        assert_eq!((mode(&data.join("leadline.db")), mode(&data.join("outbox/mail.eml"))), (0o600, 0o600));
        assert_eq!(mode(&elsewhere), 0o644);

        assert_eq!(tightened(&data).unwrap(), 0);
        assert_eq!(tightened(&elsewhere).unwrap(), 1);
        assert_eq!(tightened(&data.join("none")).unwrap(), 0);
    }
}
