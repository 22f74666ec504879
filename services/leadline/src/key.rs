//! The master key that secrets are sealed with.

use anyhow::Context as _;
use clap::Args;
use crypto::MasterKey;

use journal::Journal;

use crate::{data_dir::DataDir, installation};

/// The master key that secrets are sealed with.
#[derive(Debug, Args)]
pub(crate) struct KeyOptions {
    /// Key that seals the secrets of tokens and vouches for links in mails: 32 bytes in base64, the same for every process [up: made at the first
    /// start and kept in the data directory]
    #[arg(long, env = "LEADLINE_MASTER_KEY", value_name = "KEY", hide_env_values = true)]
    master_key: Option<String>,
    /// The fingerprint of the installation's master key, if that is lost and this one takes its place: secrets that were sealed
    /// with it have to be given again. A process with another key says which fingerprint is recorded
    #[arg(long, env = "LEADLINE_REPLACE_MASTER_KEY", value_name = "FINGERPRINT")]
    replace_master_key: Option<String>,
}

impl KeyOptions {
    /// The key that was given.
    pub(crate) fn required(&self) -> anyhow::Result<MasterKey> {
        let given = self.master_key.as_deref();
        parse(given.context("--master-key is missing: 32 random bytes in base64, e.g. from: openssl rand -base64 32")?)
    }

    /// The key that was given, if one was.
    pub(crate) fn given(&self) -> anyhow::Result<Option<MasterKey>> {
        self.master_key.as_deref().map(parse).transpose()
    }

    /// Makes sure that the installation has this key.
    pub(crate) async fn confirm(&self, key: &MasterKey, journal: &Journal) -> anyhow::Result<()> {
        installation::confirm(journal, key, self.replace_master_key.as_deref()).await
    }

    /// The key that was given, or that of the data directory, which is made if need be.
    pub(crate) fn or_kept_in(&self, data_dir: &DataDir) -> anyhow::Result<MasterKey> {
        if let Some(given) = &self.master_key {
            return parse(given);
        }
        let kept = data_dir.secret("master.key", || Ok(MasterKey::generate()?.reveal()))?;
        parse(&kept).with_context(|| format!("the file master.key in {}", data_dir.path().display()))
    }
}

fn parse(text: &str) -> anyhow::Result<MasterKey> {
    text.trim().parse().context("the master key is none; --master-key takes 32 bytes in base64")
}
