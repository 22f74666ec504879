//! `leadline clients`, `interfaces` and `api-users`: the resources of an account.

mod api_users;
mod clients;
mod interfaces;

use clap::Args;

pub(crate) use self::{api_users::ApiUsers, clients::Clients, interfaces::Interfaces};
use crate::session::{ForAccount, Remote};

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Named {
    /// Its id
    id: String,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}
