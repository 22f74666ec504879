//! A small disk that tests can fill. Mounting it needs root on Linux.

use std::{
    fs::File,
    io::{ErrorKind, Write as _},
    path::Path,
    process::Command,
};

use tempfile::TempDir;

/// The size of one write, in bytes.
const BLOCK: usize = 4 * 1024;

/// A mounted tmpfs. It is unmounted when it is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts a disk of this size in bytes.
    ///
    /// # Panics
    /// If it cannot be mounted. A test that is skipped would show nothing.
    pub fn mount(size: u64) -> Self {
        Self::try_mount(size).unwrap_or_else(|why| {
            panic!(
                "cannot mount a tmpfs as a small disk: {why}\n\
                 Tests of a full disk need root on Linux, in a container with the capability SYS_ADMIN. \
                 Leave them out with: cargo test … -- --skip full_disk"
            )
        })
    }

    /// Like [`SmallDisk::mount`], for tests that also run without such a disk.
    ///
    /// # Errors
    /// If it cannot be mounted; the text says why.
    pub fn try_mount(size: u64) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("leadline-disk-").tempdir().map_err(|e| e.to_string())?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path());
        let mounted = mount.output().map_err(|e| format!("mount: {e}"))?;
        if mounted.status.success() {
            Ok(Self { folder })
        } else {
            Err(String::from_utf8_lossy(&mounted.stderr).trim().to_owned())
        }
    }

    /// Its mount point.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes to this file until the disk is full.
    ///
    /// # Panics
    /// If a write fails for another reason.
    pub fn fill(file: &Path) {
        let mut file = File::create(file).expect("a file on a small disk");
        loop {
            match file.write_all(&[b'x'; BLOCK]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("cannot fill a small disk: {error}"),
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because processes that still have a file open on it are about to end.
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).output();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_refuses_writes_until_space_is_freed() {
        let disk = SmallDisk::mount(256 * 1024);
        let (filler, other) = (disk.path().join("filler"), disk.path().join("other"));
        SmallDisk::fill(&filler);
        assert!(std::fs::write(&other, [0; BLOCK]).is_err());
        // The file is emptied, not removed: a process that another test has just forked may hold it open until it
        // executes its program.
        File::create(&filler).unwrap();
        std::fs::write(&other, [0; BLOCK]).unwrap();
    }
}
