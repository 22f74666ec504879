//! The commands that call the API of a running system. Each file has the commands for one kind of thing. They share
//! [`crate::remote::session`] for calls, and [`crate::terminal`] for output.

pub(crate) mod account_resources;
pub(crate) mod accounts;
pub(crate) mod console;
pub(crate) mod contexts;
pub(crate) mod deliveries;
pub(crate) mod destinations;
pub(crate) mod explain;
pub(crate) mod jobs;
pub(crate) mod leads;
pub(crate) mod problems;
pub(crate) mod publish;
pub(crate) mod retry;
mod searching;
pub(crate) mod status;
pub(crate) mod tokens;
pub(crate) mod watch;

use clap::Subcommand;

use self::{
    account_resources::{ApiUsers, Clients, Interfaces},
    accounts::Accounts,
    console::Console,
    contexts::ContextVerbs,
    deliveries::Deliveries,
    destinations::Destinations,
    explain::Explain,
    jobs::Jobs,
    leads::{Export, Leads},
    problems::Problems,
    publish::Publish,
    retry::{Recover, Retry},
    status::Status,
    tokens::Tokens,
    watch::Watch,
};
use crate::{api_keys::Keys, remote::call::Call};

/// A command that calls a running system.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Publish(Publish),
    Leads(Box<Leads>),
    Export(Export),
    Deliveries(Box<Deliveries>),
    Explain(Explain),
    Problems(Box<Problems>),
    Watch(Watch),
    Retry(Box<Retry>),
    Recover(Recover),
    Jobs(Jobs),
    Destinations(Box<Destinations>),
    Tokens(Tokens),
    Accounts(Accounts),
    Clients(Clients),
    Interfaces(Interfaces),
    ApiUsers(ApiUsers),
    Keys(Keys),
    Status(Status),
    Console(Console),
    Context(ContextVerbs),
    /// Call any method of the API, in JSON
    Call(Call),
}

impl Verb {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Publish(publish) => publish.run().await,
            Self::Leads(leads) => leads.run().await,
            Self::Export(export) => export.run().await,
            Self::Deliveries(deliveries) => deliveries.run().await,
            Self::Explain(explain) => explain.run().await,
            Self::Problems(problems) => problems.run().await,
            Self::Watch(watch) => watch.run().await,
            Self::Retry(retry) => retry.run().await,
            Self::Recover(recover) => recover.run().await,
            Self::Jobs(jobs) => jobs.run().await,
            // Boxed, because it is large.
            Self::Destinations(destinations) => Box::pin(destinations.run()).await,
            Self::Tokens(tokens) => tokens.run().await,
            Self::Accounts(accounts) => accounts.run().await,
            Self::Clients(clients) => clients.run().await,
            Self::Interfaces(interfaces) => interfaces.run().await,
            Self::ApiUsers(api_users) => api_users.run().await,
            Self::Keys(keys) => keys.run().await,
            Self::Status(status) => status.run().await,
            Self::Console(console) => console.run().await,
            Self::Context(context) => context.run(),
            Self::Call(call) => call.run().await,
        }
    }
}
