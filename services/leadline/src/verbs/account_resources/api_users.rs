//! `leadline api-users`: the people and programs behind the API of an account.

use clap::{Args, Subcommand};

use super::args::{List, Named};
use crate::{
    remote::session::{ForAccount, Paging, Remote, within},
    terminal::table::{Cell, Column, fixed, flexible},
    verbs::accounts::{marked_addresses, mask, names},
};

/// Configure API users: the people and programs behind the API of an account.
#[derive(Debug, Args)]
pub(crate) struct ApiUsers {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the API users of an account
    #[command(after_help = "Example:\n  leadline api-users list --account acme")]
    List(List),
    /// Create an API user
    #[command(after_help = "Example:\n  leadline api-users create dev --email dev@acme.example --role operator")]
    Create(Fields),
    /// Change the given settings of an API user
    #[command(after_help = "Example:\n  leadline api-users update dev --role viewer")]
    Update(Fields),
    /// Delete an API user
    #[command(after_help = "Example:\n  leadline api-users delete dev")]
    Delete(Named),
}

#[derive(Debug, Args)]
struct Fields {
    /// Id of the API user: letters, digits, '_' and '-'
    id: String,
    /// Name of the API user
    #[arg(long)]
    name: Option<String>,
    /// Address for its mails
    #[arg(long)]
    email: Option<String>,
    /// Role: viewer, operator or admin; operators and admins get mails about deactivated destinations
    #[arg(long)]
    role: Option<String>,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    remote: Remote,
}

impl ApiUsers {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.verb {
            Verb::List(List { account, remote }) => {
                let session = remote.connect().await?;
                let account_id = session.account(&account).await?;
                session
                    .list(&Paging::ALL, COLUMNS, row, async |page_size, page_token| {
                        let request =
                            api::ListApiUsersRequest { account_id: account_id.clone(), page_size, page_token };
                        let page = session.registry().list_api_users(within(request)).await?.into_inner();
                        Ok((page.api_users, page.next_page_token))
                    })
                    .await
            }
            Verb::Create(change) => {
                let session = change.remote.connect().await?;
                let account_id = session.account(&change.account).await?;
                let request = api::CreateApiUserRequest { api_user: Some(change.split(account_id).0) };
                let api_user = session.registry().create_api_user(within(request)).await?.into_inner();
                session.one(COLUMNS, row, &api_user)
            }
            Verb::Update(change) => {
                let session = change.remote.connect().await?;
                let account_id = session.account(&change.account).await?;
                let (api_user, paths) = change.split(account_id);
                let (api_user, update_mask) = (Some(api_user), Some(mask(&paths)?));
                let request = api::UpdateApiUserRequest { api_user, update_mask };
                let api_user = session.registry().update_api_user(within(request)).await?.into_inner();
                session.one(COLUMNS, row, &api_user)
            }
            Verb::Delete(Named { id, account, remote }) => {
                let session = remote.connect().await?;
                let account_id = session.account(&account).await?;
                let request = api::DeleteApiUserRequest { account_id, api_user_id: id.clone() };
                let deleted = session.registry().delete_api_user(within(request)).await?.into_inner();
                session.done(&deleted, &format!("API user {id} is deleted."))
            }
        }
    }
}

const COLUMNS: [Column; 4] = [fixed("API USER"), flexible("NAME"), flexible("EMAIL"), fixed("ROLE")];

fn row(api_user: &api::ApiUser) -> Vec<Cell> {
    vec![
        api_user.api_user_id.as_str().into(),
        api_user.name.as_str().into(),
        marked_addresses(std::slice::from_ref(&api_user.email), &api_user.unconfirmed_emails).into(),
        api_user.role.as_str().into(),
    ]
}

impl Fields {
    fn split(self, account_id: String) -> (api::ApiUser, Vec<&'static str>) {
        let given = [("name", self.name.is_some()), ("email", self.email.is_some()), ("role", self.role.is_some())];
        let api_user = api::ApiUser {
            account_id,
            api_user_id: self.id,
            name: self.name.unwrap_or_default(),
            email: self.email.unwrap_or_default(),
            role: self.role.unwrap_or_default(),
            unconfirmed_emails: vec![],
        };
        (api_user, names(given))
    }
}
