//! A destination that the command line names.

use clap::Args;

use crate::remote::session::{ForAccount, Remote, Session};

#[derive(Debug, Args)]
pub(super) struct Named {
    /// The destination: its id or its name
    pub(super) destination: String,
    #[command(flatten)]
    pub(super) account: ForAccount,
    #[command(flatten)]
    pub(super) remote: Remote,
}

impl Named {
    pub(super) async fn found(&self) -> anyhow::Result<(Session, api::Destination)> {
        let session = self.remote.connect().await?;
        let account_id = session.account(&self.account).await?;
        let destination = session.destination(&account_id, &self.destination).await?;
        Ok((session, destination))
    }
}
