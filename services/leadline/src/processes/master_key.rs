//! The option for the master key, which seals secrets.

use anyhow::Context as _;
use clap::Args;
use crypto::MasterKey;

use journal::Journal;

use crate::processes::{data_dir::DataDir, installation};

#[derive(Debug, Args)]
pub(crate) struct KeyOptions {
    /// Key that seals secrets and signs links in mails: 32 bytes in base64, the same for every process [up: created at
    /// the first start and kept in the data directory]
    #[arg(long, env = "LEADLINE_MASTER_KEY", value_name = "KEY", hide_env_values = true)]
    master_key: Option<String>,
    /// Fingerprint of the installation's lost master key, which --master-key replaces; secrets that the lost key sealed
    /// have to be set again. The error of a process with another key names the recorded fingerprint
    #[arg(long, env = "LEADLINE_REPLACE_MASTER_KEY", value_name = "FINGERPRINT")]
    replace_master_key: Option<String>,
}

impl KeyOptions {
    pub(crate) fn required(&self) -> anyhow::Result<MasterKey> {
        let given = self.master_key.as_deref();
        parse(given.context("--master-key is missing: 32 random bytes in base64, e.g. from: openssl rand -base64 32")?)
    }

    /// `None` if no key is given.
    pub(crate) fn given(&self) -> anyhow::Result<Option<MasterKey>> {
        self.master_key.as_deref().map(parse).transpose()
    }

    /// Checks that this is the master key of the installation.
    pub(crate) async fn confirm(&self, key: &MasterKey, journal: &Journal) -> anyhow::Result<()> {
        installation::confirm(journal, key, self.replace_master_key.as_deref()).await
    }

    /// The given key, or else the key in the data directory, which is created if there is none.
    pub(crate) fn or_kept_in(&self, data_dir: &DataDir) -> anyhow::Result<MasterKey> {
        if let Some(given) = &self.master_key {
            return parse(given);
        }
        let kept = data_dir.secret("master.key", || Ok(MasterKey::generate()?.reveal()))?;
        parse(&kept).with_context(|| format!("the file master.key in {}", data_dir.path().display()))
    }
}

fn parse(text: &str) -> anyhow::Result<MasterKey> {
    text.trim().parse().context("the master key is invalid; --master-key takes 32 bytes in base64")
}
