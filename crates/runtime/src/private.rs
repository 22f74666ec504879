//! Files that only their owner may read: they hold leads, answers of receivers and keys.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use nix::sys::stat::{Mode, umask};

use crate::chain::ErrorChain as _;

/// The permission bits of group and others.
const GROUP_AND_OTHERS: u32 = 0o077;

/// Makes every new file and folder of this process and its children private to their owner, including those of
/// libraries and the broker: the database and its log, mails, streams.
pub fn make_new_files_private() {
    umask(Mode::from_bits_truncate(GROUP_AND_OTHERS));
}

/// Removes the permissions of group and others from a file, or from a folder and everything in it. An older version or
/// a person may have set them. Does not look into a folder that is already closed. A path that does not exist counts
/// as private. A failure is only logged: the folder may belong to another user, who decides about its permissions.
pub fn tighten(path: &Path) {
    match tightened(path) {
        Ok(0) => {}
        Ok(count) => tracing::warn!(path = %path.display(), count, "closed files and folders to group and others"),
        Err(error) => {
            tracing::warn!(path = %path.display(), error = error.chain(), "cannot close files to group and others")
        }
    }
}

/// Returns how many files and folders were open.
fn tightened(path: &Path) -> io::Result<usize> {
    let Some(mode) = mode(path)? else { return Ok(0) };
    if mode & GROUP_AND_OTHERS == 0 {
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
    // The folder itself is closed last, so that the next start repeats an interrupted run.
    Ok(count + usize::from(close(path, mode)?))
}

/// The entries of a folder; empty for a file, or for a folder that no longer exists.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(found) => found.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::NotFound) => Ok(vec![]),
        Err(error) => Err(error),
    }
}

/// The permissions of a file or folder; `None` if it does not exist, or is a link.
fn mode(path: &Path) -> io::Result<Option<u32>> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Ok(None),
        Ok(found) => Ok(Some(found.permissions().mode())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn close(path: &Path, mode: u32) -> io::Result<bool> {
    if mode & GROUP_AND_OTHERS == 0 {
        return Ok(false);
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(mode & !GROUP_AND_OTHERS)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_are_closed_and_links_are_not_followed() {
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
