//! The data directory of `leadline up`. One process at a time uses it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use runtime::private;

/// Name of the file with the administrator's key.
pub(crate) const ADMIN_KEY: &str = "admin.key";

/// The data directory, locked against other processes while this value exists.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the folder if it is missing, and locks it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("--data-dir: the folder {} cannot be used", path.display());
        fs::create_dir_all(path).with_context(failed)?;
        let path = path.canonicalize().with_context(failed)?;
        private::tighten(&path);
        let lock = File::create(path.join("lock")).with_context(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!(
                    "another leadline uses the data directory {}; stop it, or choose another with --data-dir",
                    path.display()
                )
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(failed),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the secret in a file that only its owner may read. If the file is missing, creates it with a new secret.
    pub(crate) fn secret(&self, name: &str, make: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<String> {
        let file = self.path.join(name);
        match fs::read_to_string(&file) {
            Ok(kept) => Ok(kept.trim().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secret = make()?;
                self.write(name, format!("{secret}\n").as_bytes())?;
                Ok(secret)
            }
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display())),
        }
    }

    /// Writes a file that only its owner may read, completely or not at all.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let (file, unfinished) = (self.path.join(name), self.path.join(format!(".{name}.part")));
        let write = || {
            let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            out.write_all(content)?;
            out.sync_all()?;
            fs::rename(&unfinished, &file)
        };
        write().with_context(|| format!("{} cannot be written", file.display()))
    }

    /// Removes a file if it exists.
    pub(crate) fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.path.join(name));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&folder.path().join("new")).unwrap();
        assert_eq!(dir.secret("key", || Ok("one".into())).unwrap(), "one");
        assert_eq!(dir.secret("key", || Ok("two".into())).unwrap(), "one");
        let mode = fs::metadata(dir.path().join("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn one_process_at_a_time_uses_the_data_directory() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataDir::open(folder.path()).unwrap();
        let error = DataDir::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("another leadline"), "{error}");
        drop(held);
        DataDir::open(folder.path()).unwrap();
    }
}
