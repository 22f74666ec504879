//! The session of a command with a running system: it connects, finds the account, and prints answers.

mod lists;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use access::AuthChannel;
use anyhow::Context as _;
use api::{
    access_service_client::AccessServiceClient, delivery_service_client::DeliveryServiceClient,
    ingest_service_client::IngestServiceClient, job_service_client::JobServiceClient,
    lead_service_client::LeadServiceClient, problem_service_client::ProblemServiceClient,
    registry_service_client::RegistryServiceClient, routing_service_client::RoutingServiceClient,
    status_service_client::StatusServiceClient,
};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::{Message, Name};
use tonic::{Code, Request, Status};

use crate::{
    remote::client::ClientOptions,
    terminal::{
        errors::usage,
        output::{Out, print},
        table::{Cell, Column, Table},
        time_args,
    },
};

/// The maximum calls of one command that are under way at once.
const MAX_CALLS: usize = 8;
/// How long an answer may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The options of every command.
#[derive(Debug, Args)]
pub(crate) struct Remote {
    /// Print JSON: one document, or for lists one object on each line
    #[arg(long)]
    json: bool,
    /// Do not cut texts to the width of the terminal
    #[arg(long)]
    wide: bool,
    /// Read and show times in UTC instead of the local time zone
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    client: ClientOptions,
}

/// The account of a command.
#[derive(Debug, Args)]
pub(crate) struct ForAccount {
    /// The account [default: that of the context or of the key, or else the only account]
    #[arg(long, env = "LEADLINE_ACCOUNT", value_name = "ID")]
    account: Option<String>,
}

/// How many entries of a list to show.
#[derive(Debug, Args)]
pub(crate) struct Paging {
    /// Show at most this many
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Show all
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

/// A connection and its output.
#[derive(Debug)]
pub(crate) struct Session {
    channel: AuthChannel,
    /// The account of the context; `None` if the context has no account.
    account: Option<String>,
    pub(crate) out: Out,
}

impl Remote {
    pub(crate) async fn connect(&self) -> anyhow::Result<Session> {
        if self.utc {
            time_args::use_utc();
        }
        let account = self.client.context()?.account;
        Ok(Session { channel: self.client.connect().await?, account, out: Out::new(self.json, self.wide) })
    }
}

impl Session {
    pub(crate) fn access(&self) -> AccessServiceClient<AuthChannel> {
        AccessServiceClient::new(self.channel.clone())
    }

    pub(crate) fn deliveries(&self) -> DeliveryServiceClient<AuthChannel> {
        DeliveryServiceClient::new(self.channel.clone())
    }

    pub(crate) fn ingest(&self) -> IngestServiceClient<AuthChannel> {
        IngestServiceClient::new(self.channel.clone())
    }

    pub(crate) fn jobs(&self) -> JobServiceClient<AuthChannel> {
        JobServiceClient::new(self.channel.clone())
    }

    pub(crate) fn leads(&self) -> LeadServiceClient<AuthChannel> {
        LeadServiceClient::new(self.channel.clone())
    }

    pub(crate) fn problems(&self) -> ProblemServiceClient<AuthChannel> {
        ProblemServiceClient::new(self.channel.clone())
    }

    pub(crate) fn registry(&self) -> RegistryServiceClient<AuthChannel> {
        RegistryServiceClient::new(self.channel.clone())
    }

    pub(crate) fn routing(&self) -> RoutingServiceClient<AuthChannel> {
        RoutingServiceClient::new(self.channel.clone())
    }

    pub(crate) fn status(&self) -> StatusServiceClient<AuthChannel> {
        StatusServiceClient::new(self.channel.clone())
    }

    /// The account of a filter: the named one, or that of the context. Empty means every account if the key is
    /// platform-wide.
    pub(crate) fn account_of_filter(&self, given: &ForAccount) -> String {
        given.account.as_ref().or(self.account.as_ref()).cloned().unwrap_or_default()
    }

    /// The named account, or that of the context or of the key; empty if the key is platform-wide.
    pub(crate) async fn own_account(&self, given: &ForAccount) -> anyhow::Result<String> {
        if let Some(account) = given.account.as_ref().or(self.account.as_ref()) {
            return Ok(account.clone());
        }
        match self.access().who_am_i(within(api::WhoAmIRequest {})).await {
            Ok(key) => Ok(key.into_inner().account_id),
            // An ingest that runs alone serves only publishing.
            Err(status) if status.code() == Code::Unimplemented => Ok(String::new()),
            Err(status) => Err(status.into()),
        }
    }

    /// The only account of the installation; `None` if there are several or none, or if the key may not list accounts.
    pub(crate) async fn only_account(&self) -> anyhow::Result<Option<String>> {
        let mut accounts = match self.two_accounts().await {
            Ok(accounts) => accounts,
            Err(status) if status.code() == Code::PermissionDenied => return Ok(None),
            Err(status) => return Err(status.into()),
        };
        Ok(accounts.pop().filter(|_| accounts.is_empty()).map(|only| only.account_id))
    }

    /// At most two accounts: enough to know whether there is only one.
    async fn two_accounts(&self) -> Result<Vec<api::Account>, Status> {
        let request = api::ListAccountsRequest { page_size: 2, page_token: String::new() };
        Ok(self.registry().list_accounts(within(request)).await?.into_inner().accounts)
    }

    pub(crate) async fn account(&self, given: &ForAccount) -> anyhow::Result<String> {
        let own = self.own_account(given).await?;
        if !own.is_empty() {
            return Ok(own);
        }
        let accounts = self.two_accounts().await.context("--account is missing, and accounts cannot be listed")?;
        match accounts.as_slice() {
            [only] => Ok(only.account_id.clone()),
            [] => Err(usage("there is no account yet; create one with leadline accounts create")),
            [first, ..] => {
                Err(usage(format!("--account is missing; there are several accounts, such as {}", first.account_id)))
            }
        }
    }

    /// The destination with this id, name or beginning of an id. Fails if several destinations have the name.
    pub(crate) async fn destination(&self, account: &str, named: &str) -> anyhow::Result<api::Destination> {
        let request = api::GetDestinationRequest { account_id: account.to_owned(), destination_id: named.to_owned() };
        match self.registry().get_destination(within(request)).await {
            Ok(found) => return Ok(found.into_inner()),
            // `named` may be a name.
            Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => {}
            Err(status) => return Err(status.into()),
        }
        let mut called = self.destinations_called(account, named).await?;
        match called.len() {
            1 => Ok(called.remove(0)),
            0 => self.destination_beginning(account, named).await,
            _ => {
                let ids: Vec<_> = called.into_iter().map(|destination| destination.destination_id).collect();
                Err(usage(format!("{named} is the name of several destinations: {}", ids.join(", "))))
            }
        }
    }

    /// The names of these destinations, by their ids. A destination is left out if it was deleted, if it has no name,
    /// or if the key may not see it.
    pub(crate) async fn names_of<'a>(
        &self,
        account: &str,
        ids: impl Iterator<Item = &'a str>,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let ids: BTreeSet<_> = ids.filter(|id| !id.is_empty()).map(str::to_owned).collect();
        let named = stream::iter(ids).map(async |id| {
            let request = api::GetDestinationRequest { account_id: account.to_owned(), destination_id: id.clone() };
            match self.registry().get_destination(within(request)).await.map(tonic::Response::into_inner) {
                Ok(found) if found.name.is_empty() => Ok(None),
                Ok(found) => Ok(Some((id, found.name))),
                Err(status) if matches!(status.code(), Code::NotFound | Code::PermissionDenied) => Ok(None),
                Err(status) => Err(status),
            }
        });
        let named: Vec<_> = named.buffer_unordered(MAX_CALLS).try_collect().await?;
        Ok(named.into_iter().flatten().collect())
    }

    pub(crate) async fn destinations_called(&self, account: &str, name: &str) -> anyhow::Result<Vec<api::Destination>> {
        let (mut called, mut page_token) = (vec![], String::new());
        loop {
            let (account_id, name) = (account.to_owned(), name.to_owned());
            let request = api::ListDestinationsRequest { account_id, name, page_size: 0, page_token };
            let page = self.registry().list_destinations(within(request)).await?.into_inner();
            called.extend(page.destinations);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(called);
            }
        }
    }

    /// Prints one message as a table with one row, or as a JSON document.
    pub(crate) fn one<T: Message + Name>(
        &self,
        columns: impl Into<Vec<Column>>,
        row: impl Fn(&T) -> Vec<Cell>,
        one: &T,
    ) -> anyhow::Result<()> {
        if self.out.is_json() {
            return self.out.json(one);
        }
        Table::new(columns).print(&self.out, &[row(one)])
    }

    /// Prints in words that a call succeeded, or its answer as JSON.
    pub(crate) fn done<T: Message + Name>(&self, answer: &T, in_words: &str) -> anyhow::Result<()> {
        if self.out.is_json() { self.out.json(answer) } else { print(in_words) }
    }
}

impl Paging {
    /// No limit.
    pub(crate) const ALL: Self = Self { limit: 0, all: true };
}

impl ForAccount {
    pub(crate) fn is_given(&self) -> bool {
        self.account.is_some()
    }
}

/// A request with a timeout.
pub(crate) fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}
