//! The arguments of verbs about the resources of an account.

use clap::Args;

use crate::remote::session::{ForAccount, Remote};

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    pub(super) account: ForAccount,
    #[command(flatten)]
    pub(super) remote: Remote,
}

#[derive(Debug, Args)]
pub(super) struct Named {
    /// Its id
    pub(super) id: String,
    #[command(flatten)]
    pub(super) account: ForAccount,
    #[command(flatten)]
    pub(super) remote: Remote,
}
