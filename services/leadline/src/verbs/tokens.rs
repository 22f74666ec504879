//! `leadline tokens`: configures the secrets that sign requests.

mod import;

use std::time::Duration;

use api::duration_to_api;
use clap::{Args, Subcommand};

use self::import::Import;
use super::deliveries::named;
use crate::{
    remote::session::{ForAccount, Paging, Remote, Session, within},
    terminal::{
        output::{note, print},
        table::{fixed, flexible},
        time_args::{shown, span},
    },
};

/// Configure tokens: the secrets that sign requests.
#[derive(Debug, Args)]
pub(crate) struct Tokens {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List tokens
    #[command(after_help = "Example:\n  leadline tokens list --account acme")]
    List(List),
    /// Create a token and print its secret, which is shown only once
    #[command(after_help = "Examples:\n  leadline tokens create crm --assign CRM\n  \
                            leadline tokens create crm --secret-file old-secret.txt --secret-format utf-8")]
    Create(Create),
    /// Sign the requests of a destination with a token
    #[command(after_help = "Example:\n  leadline tokens assign tok_1 CRM")]
    Assign(Assign),
    /// Give a token a new secret and print it; the old one still signs for a while
    #[command(after_help = "Example:\n  leadline tokens rotate tok_1 --overlap 7d")]
    Rotate(Rotate),
    /// Delete a token; refused while a destination uses it
    #[command(after_help = "Example:\n  leadline tokens revoke tok_1")]
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Create {
    /// Name of the token
    name: String,
    /// hmac-sha256, or ed25519 if the receiver should not be able to sign
    #[arg(long, default_value = "hmac-sha256", value_name = "NAME")]
    algorithm: String,
    /// Sign the requests of this destination with it: its id or its name
    #[arg(long, value_name = "DESTINATION")]
    assign: Option<String>,
    #[command(flatten)]
    import: Import,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Assign {
    /// The token: its id, or the beginning of it
    #[arg(value_name = "TOKEN")]
    token_id: String,
    /// The destination: its id or its name
    destination: String,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Rotate {
    /// The token: its id, or the beginning of it
    #[arg(value_name = "TOKEN")]
    token_id: String,
    #[command(flatten)]
    overlap: Overlap,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

/// The options for a new secret.
#[derive(Debug, Args)]
pub(crate) struct Overlap {
    /// How long the old secret still signs, at most 30d [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = span)]
    overlap: Option<Duration>,
    #[command(flatten)]
    import: Import,
}

#[derive(Debug, Args)]
struct Revoke {
    /// The token: its id, or the beginning of it
    #[arg(value_name = "TOKEN")]
    token_id: String,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

impl Tokens {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.verb {
            Verb::List(list) => list.run().await,
            Verb::Create(create) => create.run().await,
            Verb::Assign(Assign { token_id, destination, account, remote }) => {
                let session = remote.connect().await?;
                let account_id = session.account(&account).await?;
                let token_id = session.token_id(&account_id, &token_id).await?;
                let destination = session.destination(&account_id, &destination).await?;
                let destination = assign(&session, &destination, &token_id).await?;
                let name = named(&destination.name, &destination.destination_id);
                session.done(&destination, &format!("The requests of {name} are signed with token {token_id}."))
            }
            Verb::Rotate(Rotate { token_id, overlap, account, remote }) => {
                let session = remote.connect().await?;
                let account_id = session.account(&account).await?;
                let token_id = session.token_id(&account_id, &token_id).await?;
                rotate(&session, account_id, token_id, &overlap).await
            }
            Verb::Revoke(Revoke { token_id, account, remote }) => {
                let session = remote.connect().await?;
                let account_id = session.account(&account).await?;
                let token_id = session.token_id(&account_id, &token_id).await?;
                let request = api::DeleteTokenRequest { account_id, token_id: token_id.clone() };
                let deleted = session.registry().delete_token(within(request)).await?.into_inner();
                session.done(&deleted, &format!("Token {token_id} is deleted."))
            }
        }
    }
}

impl List {
    async fn run(&self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let columns = [fixed("TOKEN"), flexible("NAME"), fixed("ALGORITHM"), fixed("CREATED")];
        let row = |token: &api::Token| {
            vec![
                token.token_id.as_str().into(),
                token.name.as_str().into(),
                token.algorithm.as_str().into(),
                shown(token.created_at.as_ref()).into(),
            ]
        };
        let account_id = session.account(&self.account).await?;
        session
            .list(&Paging::ALL, columns, row, async |page_size, page_token| {
                let request = api::ListTokensRequest { account_id: account_id.clone(), page_size, page_token };
                let page = session.registry().list_tokens(within(request)).await?.into_inner();
                Ok((page.tokens, page.next_page_token))
            })
            .await
    }
}

impl Create {
    async fn run(self) -> anyhow::Result<()> {
        let Self { name, algorithm, assign: to, import, account, remote } = self;
        let imported = import.read()?;
        let session = remote.connect().await?;
        let account_id = session.account(&account).await?;
        // The destination is looked up first: a misspelt name must not lose a secret that is shown only once.
        let destination = match &to {
            Some(named) => Some(session.destination(&account_id, named).await?),
            None => None,
        };
        let request =
            api::CreateTokenRequest { account_id, name, algorithm, imported, ..api::CreateTokenRequest::default() };
        let made = session.registry().create_token(within(request)).await?.into_inner();
        let token = made.token.clone().unwrap_or_default();
        if session.out.is_json() {
            session.out.json(&made)?;
        } else if made.secret.is_empty() {
            print(&format!("Token {} ({}) signs with the imported secret.", token.token_id, token.name))?;
        } else {
            note(&format!("Token {} ({}). Its secret is shown only here:", token.token_id, token.name));
            print(&made.secret)?;
        }
        if let Some(destination) = destination {
            assign(&session, &destination, &token.token_id).await?;
            note(&format!("It signs the requests of {}.", named(&destination.name, &destination.destination_id)));
        }
        Ok(())
    }
}

async fn assign(session: &Session, destination: &api::Destination, token_id: &str) -> anyhow::Result<api::Destination> {
    let request = api::AssignTokenRequest {
        account_id: destination.account_id.clone(),
        destination_id: destination.destination_id.clone(),
        token_id: token_id.to_owned(),
    };
    Ok(session.registry().assign_token(within(request)).await?.into_inner())
}

/// Gives a token a new secret, and prints it.
pub(crate) async fn rotate(
    session: &Session,
    account_id: String,
    token_id: String,
    Overlap { overlap, import }: &Overlap,
) -> anyhow::Result<()> {
    let (overlap, imported) = (overlap.map(duration_to_api), import.read()?);
    let request = api::RotateTokenRequest { account_id, token_id, overlap, imported };
    let rotated = session.registry().rotate_token(within(request)).await?.into_inner();
    if session.out.is_json() {
        return session.out.json(&rotated);
    }
    let token = rotated.token.unwrap_or_default();
    if rotated.secret.is_empty() {
        return print(&format!("Token {} ({}) signs with the imported secret.", token.token_id, token.name));
    }
    note(&format!("Token {} ({}) has a new secret. It is shown only here:", token.token_id, token.name));
    print(&rotated.secret)
}
