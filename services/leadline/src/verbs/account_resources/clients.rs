//! `leadline clients`: configures the customers of an account.

use clap::{Args, Subcommand};

use super::args::{List, Named};
use crate::{
    remote::session::{ForAccount, Paging, Remote, within},
    terminal::table::{Cell, Column, fixed, flexible},
    verbs::accounts::{mask, names},
};

/// Configure clients: the customers of an account.
#[derive(Debug, Args)]
pub(crate) struct Clients {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the clients of an account
    #[command(after_help = "Example:\n  leadline clients list --account acme")]
    List(List),
    /// Create a client
    #[command(after_help = "Example:\n  leadline clients create north --name 'Acme North'")]
    Create(Fields),
    /// Rename a client
    #[command(after_help = "Example:\n  leadline clients update north --name 'Acme Northern'")]
    Update(Fields),
    /// Delete a client
    #[command(after_help = "Example:\n  leadline clients delete north")]
    Delete(Named),
}

#[derive(Debug, Args)]
struct Fields {
    /// Id of the client: letters, digits, '_' and '-'
    id: String,
    /// Name of the client
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

impl Clients {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.verb {
            Verb::List(List { account, remote }) => {
                let session = remote.connect().await?;
                let account_id = session.account(&account).await?;
                session
                    .list(&Paging::ALL, COLUMNS, row, async |page_size, page_token| {
                        let request = api::ListClientsRequest { account_id: account_id.clone(), page_size, page_token };
                        let page = session.registry().list_clients(within(request)).await?.into_inner();
                        Ok((page.clients, page.next_page_token))
                    })
                    .await
            }
            Verb::Create(Fields { id, name, account, remote }) => {
                let session = remote.connect().await?;
                let (account_id, name) = (session.account(&account).await?, name.unwrap_or_default());
                let client = api::Client { account_id, client_id: id, name };
                let request = api::CreateClientRequest { client: Some(client) };
                let client = session.registry().create_client(within(request)).await?.into_inner();
                session.one(COLUMNS, row, &client)
            }
            Verb::Update(Fields { id, name, account, remote }) => {
                let session = remote.connect().await?;
                let update_mask = Some(mask(&names([("name", name.is_some())]))?);
                let (account_id, name) = (session.account(&account).await?, name.unwrap_or_default());
                let client = api::Client { account_id, client_id: id, name };
                let request = api::UpdateClientRequest { client: Some(client), update_mask };
                let client = session.registry().update_client(within(request)).await?.into_inner();
                session.one(COLUMNS, row, &client)
            }
            Verb::Delete(Named { id, account, remote }) => {
                let session = remote.connect().await?;
                let account_id = session.account(&account).await?;
                let request = api::DeleteClientRequest { account_id, client_id: id.clone() };
                let deleted = session.registry().delete_client(within(request)).await?.into_inner();
                session.done(&deleted, &format!("Client {id} is deleted."))
            }
        }
    }
}

const COLUMNS: [Column; 2] = [fixed("CLIENT"), flexible("NAME")];

fn row(client: &api::Client) -> Vec<Cell> {
    vec![client.client_id.as_str().into(), client.name.as_str().into()]
}
