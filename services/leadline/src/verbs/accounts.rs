//! `leadline accounts`: the owners of leads and configuration.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use api::duration_to_api;
use clap::{Args, Subcommand};
use prost_types::FieldMask;

use crate::{
    remote::session::{Paging, Remote, within},
    terminal::{
        errors::usage,
        table::{Cell, Column, fixed, flexible},
        time_args::{days, span},
    },
};

/// Configure accounts.
#[derive(Debug, Args)]
pub(crate) struct Accounts {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List accounts
    #[command(after_help = "Example:\n  leadline accounts list")]
    List(List),
    /// Show an account
    #[command(after_help = "Example:\n  leadline accounts show acme")]
    Show(Named),
    /// Create an account
    #[command(after_help = "Example:\n  leadline accounts create acme --notify owner@acme.example")]
    Create(Fields),
    /// Change the given settings of an account
    #[command(after_help = "Example:\n  leadline accounts update acme --routing all --keep-history 180d")]
    Update(Fields),
    /// Confirm a mail address with the code that its owner got by mail
    #[command(after_help = "Example:\n  leadline accounts confirm acme 3q2-7wAAAAA…")]
    Confirm(Confirm),
    /// Delete an account with everything that belongs to it
    #[command(after_help = "Example:\n  leadline accounts delete acme")]
    Delete(Named),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Named {
    /// The account
    #[arg(value_name = "ACCOUNT")]
    account_id: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Confirm {
    /// The account
    #[arg(value_name = "ACCOUNT")]
    account_id: String,
    /// The code from the mail
    #[arg(allow_hyphen_values = true)]
    code: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Fields {
    /// Id of the account: letters, digits, '_' and '-'
    #[arg(value_name = "ACCOUNT")]
    account_id: String,
    /// Name of the account
    #[arg(long)]
    name: Option<String>,
    /// Brand that its mails show
    #[arg(long)]
    brand: Option<String>,
    /// Addresses for mails about failures, separated by commas; '' removes all
    #[arg(long, value_name = "EMAIL", value_delimiter = ',')]
    notify: Option<Vec<String>>,
    /// Addresses for mails about deactivated destinations
    #[arg(long, value_name = "EMAIL", value_delimiter = ',')]
    notify_api_users: Option<Vec<String>>,
    /// Which destinations that want an event get it: override (those of the highest level) or all
    #[arg(long)]
    routing: Option<String>,
    /// How long its deliveries, leads and jobs are shown, 1d to 3650d; at most --keep-history of the servers
    #[arg(long, value_name = "DURATION", value_parser = span)]
    keep_history: Option<Duration>,
    /// Show its deliveries, leads and jobs for --keep-history of the servers
    #[arg(long, conflicts_with = "keep_history")]
    no_keep_history: bool,
    /// Colour of its portals, such as #1f5fbf; '' for that of the console
    #[arg(long, value_name = "COLOR")]
    portal_color: Option<String>,
    /// Image with the logo of its portals: PNG, JPEG or WebP, at most 32 KiB
    #[arg(long, value_name = "FILE")]
    portal_logo: Option<PathBuf>,
    /// Show no logo in its portals
    #[arg(long, conflicts_with = "portal_logo")]
    no_portal_logo: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Accounts {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.verb {
            Verb::List(List { remote }) => {
                let session = remote.connect().await?;
                session
                    .list(&Paging::ALL, COLUMNS, row, async |page_size, page_token| {
                        let request = api::ListAccountsRequest { page_size, page_token };
                        let page = session.registry().list_accounts(within(request)).await?.into_inner();
                        Ok((page.accounts, page.next_page_token))
                    })
                    .await
            }
            Verb::Show(Named { account_id, remote }) => {
                let session = remote.connect().await?;
                let request = api::GetAccountRequest { account_id };
                let account = session.registry().get_account(within(request)).await?.into_inner();
                session.one(COLUMNS, row, &account)
            }
            Verb::Create(change) => {
                let session = change.remote.connect().await?;
                let request = api::CreateAccountRequest { account: Some(change.split()?.0) };
                let account = session.registry().create_account(within(request)).await?.into_inner();
                session.one(COLUMNS, row, &account)
            }
            Verb::Update(change) => {
                let session = change.remote.connect().await?;
                let (account, paths) = change.split()?;
                let (account, update_mask) = (Some(account), Some(mask(&paths)?));
                let request = api::UpdateAccountRequest { account, update_mask };
                let account = session.registry().update_account(within(request)).await?.into_inner();
                session.one(COLUMNS, row, &account)
            }
            Verb::Confirm(Confirm { account_id, code, remote }) => {
                let session = remote.connect().await?;
                let request = api::ConfirmEmailRequest { account_id, code };
                let confirmed = session.registry().confirm_email(within(request)).await?.into_inner();
                session.done(&confirmed, &format!("{} gets mails from now on.", confirmed.email))
            }
            Verb::Delete(Named { account_id, remote }) => {
                let session = remote.connect().await?;
                let request = api::DeleteAccountRequest { account_id: account_id.clone() };
                let deleted = session.registry().delete_account(within(request)).await?.into_inner();
                session.done(&deleted, &format!("Account {account_id} is deleted."))
            }
        }
    }
}

/// The maximum size of a logo, in bytes.
const MAX_IMAGE: u64 = 32 * 1024;

const COLUMNS: [Column; 6] =
    [fixed("ACCOUNT"), flexible("NAME"), flexible("BRAND"), flexible("NOTIFIED"), fixed("ROUTING"), fixed("HISTORY")];

fn row(account: &api::Account) -> Vec<Cell> {
    vec![
        account.account_id.as_str().into(),
        account.name.as_str().into(),
        account.brand.as_str().into(),
        marked_addresses(&account.notification_emails, &account.unconfirmed_emails).into(),
        account.routing.as_str().into(),
        days(account.keep_history.as_ref()).into(),
    ]
}

/// Addresses; those without consent are marked.
pub(super) fn marked_addresses(emails: &[String], unconfirmed: &[String]) -> String {
    let shown = emails.iter().map(|email| match unconfirmed.contains(&email.to_lowercase()) {
        true => format!("{email} (unconfirmed)"),
        false => email.clone(),
    });
    shown.collect::<Vec<_>>().join(", ")
}

impl Fields {
    /// The account with the given settings, and the names of these settings.
    fn split(self) -> anyhow::Result<(api::Account, Vec<&'static str>)> {
        let Self {
            account_id,
            name,
            brand,
            notify,
            notify_api_users,
            routing,
            keep_history,
            no_keep_history,
            portal_color,
            portal_logo,
            no_portal_logo,
            remote: _,
        } = self;
        let given = [
            ("name", name.is_some()),
            ("brand", brand.is_some()),
            ("notification_emails", notify.is_some()),
            ("api_user_emails", notify_api_users.is_some()),
            ("routing", routing.is_some()),
            ("keep_history", keep_history.is_some() || no_keep_history),
            ("portal_color", portal_color.is_some()),
            ("portal_logo", portal_logo.is_some() || no_portal_logo),
        ];
        let account = api::Account {
            account_id,
            name: name.unwrap_or_default(),
            brand: brand.unwrap_or_default(),
            notification_emails: some(notify),
            api_user_emails: some(notify_api_users),
            routing: routing.unwrap_or_default(),
            unconfirmed_emails: vec![],
            keep_history: keep_history.map(duration_to_api),
            portal_color: portal_color.unwrap_or_default(),
            portal_logo: portal_logo.map(|file| image(&file)).transpose()?.unwrap_or_default(),
        };
        Ok((account, names(given)))
    }
}

/// The bytes of an image; the server checks them.
fn image(file: &Path) -> anyhow::Result<Vec<u8>> {
    let length = std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?.len();
    if length > MAX_IMAGE {
        return Err(usage(format!("--portal-logo: {} has more than 32 KiB", file.display())));
    }
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The names of the given settings.
pub(super) fn names<const N: usize>(settings: [(&'static str, bool); N]) -> Vec<&'static str> {
    settings.into_iter().filter_map(|(name, is_given)| is_given.then_some(name)).collect()
}

/// The field mask for the API. An empty mask would mean every field, so it is refused.
pub(super) fn mask(paths: &[impl AsRef<str>]) -> anyhow::Result<FieldMask> {
    if paths.is_empty() {
        return Err(usage("nothing to change: give at least one setting; --help lists them"));
    }
    Ok(FieldMask { paths: paths.iter().map(|path| path.as_ref().to_owned()).collect() })
}

/// A list without empty texts.
pub(super) fn some(list: Option<Vec<String>>) -> Vec<String> {
    list.unwrap_or_default().into_iter().filter(|text| !text.is_empty()).collect()
}
