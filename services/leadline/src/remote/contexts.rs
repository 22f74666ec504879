//! Contexts: named connections, kept in a file that only its owner can read, because it has API keys.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::terminal::errors::usage;

/// The path of the file below the folder for configuration.
const FILE: &str = "leadline/contexts.json";

/// A connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Context {
    pub(crate) grpc_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls_ca: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) api_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
}

/// The contexts of a person.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contexts {
    /// The name of the context in use; `None` if no context is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the file; there are no contexts if it does not exist.
    pub(crate) fn read() -> anyhow::Result<Self> {
        match file() {
            Some(file) => Self::of(&file),
            None => Ok(Self::default()),
        }
    }

    fn of(file: &Path) -> anyhow::Result<Self> {
        let text = match fs::read(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            read => read.with_context(|| format!("{} cannot be read", file.display()))?,
        };
        let mode = fs::metadata(file)?.permissions().mode() & 0o777;
        anyhow::ensure!(
            mode & 0o077 == 0,
            "{} has API keys and can be read by others (mode {mode:o}); chmod 600 {} corrects that",
            file.display(),
            file.display()
        );
        serde_json::from_slice(&text).with_context(|| format!("{} is not a file of contexts", file.display()))
    }

    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let file = file().context("there is no folder for configuration: HOME and XDG_CONFIG_HOME are not set")?;
        self.write_to(&file)
    }

    fn write_to(&self, file: &Path) -> anyhow::Result<()> {
        let failed = || format!("{} cannot be written", file.display());
        let unfinished = file.with_extension("part");
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(failed)?;
        }
        let mut out = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .with_context(failed)?;
        out.write_all(&serde_json::to_vec_pretty(self)?).with_context(failed)?;
        out.sync_all().with_context(failed)?;
        fs::rename(&unfinished, file).with_context(failed)
    }

    /// The context with this name, or the one in use; `None` if no context is in use.
    pub(crate) fn chosen(mut self, name: Option<&str>) -> anyhow::Result<Option<Context>> {
        let Some(name) = name.map(str::to_owned).or_else(|| self.current.clone()) else { return Ok(None) };
        let known = || usage(format!("there is no context {name}; leadline context list shows all contexts"));
        self.contexts.remove(&name).map(Some).ok_or_else(known)
    }
}

/// `None` if the environment names no home.
fn file() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(folder.join(FILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_kept_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("below/contexts.json");
        assert_eq!(Contexts::of(&file).unwrap(), Contexts::default());
        let live = Context {
            grpc_url: "https://leads.example:9090".into(),
            api_key: Some("ll_a_b".into()),
            ..Context::default()
        };
        let contexts = Contexts { current: Some("live".into()), contexts: [("live".to_owned(), live.clone())].into() };
        contexts.write_to(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Contexts::of(&file).unwrap(), contexts);
        assert_eq!(Contexts::of(&file).unwrap().chosen(None).unwrap(), Some(live));
        assert!(Contexts::of(&file).unwrap().chosen(Some("other")).is_err());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Contexts::of(&file).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }
}
